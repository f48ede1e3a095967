//! What is wrong with a set of pictures, before a model is trained on it: files that are no pictures,
//! copies across splits, doubtful labels, shortcuts.
//!
//! Imports: base, report, drift, vision. No stage, run, HTTP or terminal.

//! What DVC 3.67.1 makes of templates, and what is said about broken ones.

//! Detectors fitted to a model: what it sees of pictures, whether that moved away from a reference, and
//! what people read about it.
//!
//! `features` is what is compared, `fitted` the detectors with their reference (`params` says which, `folder`
//! keeps them), `check` compares, `checked` is what it says, `scored` says it of single pictures, `page` shows it
//! with pictures, `served` compares over a time (`following`: with a reference that moves along); `arrays` are
//! features from elsewhere.
//! Imports: base, report, drift, vision. No stage, run, HTTP or terminal.

mod accuracy;
pub mod arrays;
mod check;
pub mod checked;
mod classes;
mod detector;
mod error;
mod errors;
pub mod features;
pub mod fitted;
mod folder;
mod following;
pub mod kind;
mod outlier;
mod page;
pub mod params;
mod projection;
mod rows;
pub mod scored;
pub mod served;
pub mod tables;
mod tensors;
#[cfg(test)]
mod tests;
mod watch;

pub use checked::Checked;
pub use detector::DetectorSpec;
pub use error::Error;
pub use features::{Features, Input};
pub use fitted::Fitted;
pub use outlier::{OutlierScore, OutlierSpec};
pub use page::{Illustration, page};
pub use params::DriftParams;
pub use watch::Watch;

//! Detectors that look at one observation after the other and say when the world moved.
//!
//! Each is set up from a reference and the *expected run time* (ERT): how many observations pass, on
//! average, between two false alarms while nothing moves. Thresholds come from simulation (`calibrate`):
//! the one of step t is a quantile over the simulated streams that raised no earlier alarm, so that a
//! false alarm is as likely at any step as at any other (Cobb, Van Looveren and Klaise, Sequential
//! multivariate change detection with calibrated and memoryless false detection rates, AISTATS 2022).
//!
//! `detector` is what a caller holds: an [`Online`] of one of four methods. `mmd` and `lsdd` compare many
//! features at once, `cvm` the distribution of each feature, `fisher` the rate of each stream of zeros
//! and ones. `state` writes a detector down in two parts: what was fitted, and where it stands. Memory
//! does not grow with the stream. Imports: base, `drift::{error, kernel, sample}`.

mod calibrate;
mod cvm;
mod detector;
mod draws;
mod fisher;
mod lsdd;
mod mmd;
mod ranks;
mod state;
#[cfg(test)]
mod tests;
mod windows;

pub use cvm::CvmOptions;
pub use detector::{HISTORY, Online, Part, Step};
pub use draws::{Draws, Permutations};
pub use fisher::{Direction, FisherOptions};
pub use lsdd::{FirstWindow, LsddOptions};
pub use mmd::MmdOptions;

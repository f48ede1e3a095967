//! How good a network is: numbers from predictions and labels, then files and a page from them.
//!
//! `evaluate` is pure: labels and logits in, an `Evaluation` out. `write` turns one into
//! `metrics.json`, `predictions.jsonl`, SVG plots and a self-contained page. Imports: base, report, `vision::{predict`,
//! image, train, error}.

mod bootstrap;
mod classification;
mod evaluation;
mod metrics_file;
mod page;
mod params;
mod plots;
mod predictions;
mod probability;
mod write;

pub use bootstrap::Interval;
pub use classification::{Average, ClassScores, Confusion};
pub use evaluation::{Evaluation, EvaluationInput, Mistake, evaluate};
pub use params::{EvaluateParams, EvaluatedSplit};
pub use predictions::Predictions;
pub use probability::Bin;
pub use write::{Destinations, Illustration, write};

//! Is this one row strange? Scores that grow with strangeness, and what counts as too strange.
//! Imports: `drift::{distance, error, sample, spectrum}`.

mod lof;
mod mahalanobis;
mod nearest;
mod residual;
mod threshold;

pub use lof::LocalOutlierFactor;
pub use mahalanobis::Mahalanobis;
pub use nearest::NearestNeighbours;
pub use residual::PcaResidual;
pub use threshold::Threshold;

//! Networks: declared (`spec`, `read`), worked out (`plan`), filled (`init`, `weights`), built
//! (`conv`, `ops`, `build`), asked (`executor`, `inference`), shown (`summary`).
//!
//! Invariant: no tensor exists before `Plan::new` has said that all shapes fit. Imports: base,
//! `vision::{error, kernels`}.

mod build;
mod conv;
mod executor;
mod inference;
mod init;
pub(in crate::vision) mod ops;
mod plan;
mod read;
mod spec;
mod summary;
mod weights;

pub(in crate::vision) use build::read_values;
pub use build::{Dropout, Network};
pub use executor::Executor;
pub(in crate::vision) use inference::{Inference, images_tensor};
pub use init::initial_weights;
pub use plan::{Input, Layer, PARAMETERS_MAX, Plan, Role, Shape, TensorPlan};
pub use spec::{Activation, ConvBlock, Head, ModelSpec, Padding, Pool, Preset};
pub use summary::{Summary, SummaryRow, summary};
pub use weights::{Tensor, Weights, WeightsProblem};
pub(in crate::vision) use weights::{f32_bytes, f32_values};

//! Training: parameters, batches, schedule, the loop over epochs, early stopping, checkpoints.
//!
//! `fit` is a function of data, declaration and seed: the same three give the same bytes, whatever
//! the number of threads and however often it was interrupted and resumed. Every draw comes from a
//! named stream of the seed that is opened anew in each epoch: `init`, `shuffle`, `augment`,
//! `dropout`. What happens is told through `TrainEvent` only.
//!
//! Imports: base, `vision::{device`, model, augment, shard, error}.

mod batch;
mod checkpoint;
mod early_stop;
mod event;
mod fit;
mod history;
mod optimiser;
mod params;
mod schedule;
#[cfg(test)]
mod tests;

pub(in crate::vision) use batch::Normaliser;
pub use batch::{Normalisation, Sample};
pub use early_stop::{EarlyStopping, Metric};
pub use event::TrainEvent;
pub use fit::{Fitted, Stop, TrainData, TrainSpec, fit};
pub use history::EpochRecord;
pub(in crate::vision) use history::six;
pub use params::{Keep, OptimiserKind, TrainParams};
pub use schedule::Schedule;

//! Everything that can happen in a training. Imports: `train::history`.

use std::time::Duration;

use super::history::EpochRecord;

/// What happens in a training, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum TrainEvent {
    /// Training begins.
    Start {
        /// Epochs in all.
        epochs: usize,
        /// Steps of one epoch.
        steps: usize,
        /// Training images.
        images: usize,
        /// Validation images; 0 when there is no validation split.
        val_images: usize,
        /// Values in the network's tensors.
        parameters: u64,
        /// `cpu`, `cuda` or `wgpu`.
        device: &'static str,
    },
    /// A checkpoint was found; training goes on after its epoch.
    Resumed {
        /// Epochs already done.
        epochs_done: usize,
    },
    /// A checkpoint was found but not used.
    CheckpointIgnored {
        /// Why, for people.
        reason: String,
    },
    /// A step is done.
    Batch {
        /// From 1.
        epoch: usize,
        /// Steps of this epoch done.
        step: usize,
        /// Steps of one epoch.
        steps: usize,
        /// Training images per second, over this epoch so far.
        images_per_s: f64,
        /// Estimated time until the last epoch ends, without early stopping.
        remaining: Duration,
        /// Mean loss of this epoch, as far as it was read from the device.
        loss: Option<f64>,
    },
    /// An epoch is done and validated.
    Epoch {
        /// Its figures.
        record: EpochRecord,
        /// Wall time of the epoch with its validation.
        seconds: f64,
        /// Is it the best so far?
        is_best: bool,
    },
    /// A checkpoint is safely on disk.
    Checkpoint {
        /// Epochs done in it.
        epochs_done: usize,
    },
    /// The metric no longer improves; training stops.
    EarlyStop {
        /// The last epoch.
        epoch: usize,
        /// The best epoch.
        best_epoch: usize,
    },
    /// Training is over.
    End {
        /// Epochs done.
        epochs: usize,
        /// The epoch whose weights are the result.
        kept_epoch: usize,
    },
}

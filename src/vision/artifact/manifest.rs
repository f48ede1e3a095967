//! The file `model.json`: what one must know to use the weights beside it. Plain serde types, one
//! per object; the field order is the order in the file. Imports: `vision::{model, train}`.

use serde::{Deserialize, Serialize};

use crate::vision::model::ModelSpec;
use crate::vision::train::{Normalisation, TrainParams};

/// What the file says it is.
pub(super) const FORMAT: &str = "cvops.model";
/// Raised when a reader of the old form would misread the new one.
pub(super) const VERSION: u64 = 1;

/// `model.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: String,
    pub(super) version: u64,
    pub(super) classes: Vec<String>,
    pub(super) input: InputFormat,
    pub(super) architecture: ModelSpec,
    pub(super) parameters: u64,
    pub(super) weights: WeightsFormat,
    pub(super) training: TrainingFormat,
}

/// What the network takes: from a picture file to the first layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputFormat {
    pub(super) height: u32,
    pub(super) width: u32,
    pub(super) channels: u64,
    /// How pictures of other sizes are resized.
    pub(super) filter: String,
    /// Red, green, blue under transparent pixels.
    pub(super) background: [u8; 3],
    /// Applied to values divided by 255.
    pub(super) normalisation: Normalisation,
    /// Order of the dimensions of a batch; always `nchw` in this version.
    pub(super) layout: String,
}

/// The file of the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WeightsFormat {
    pub(super) file: String,
    /// BLAKE3 of its bytes.
    pub(super) hash: String,
}

/// How the weights came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainingFormat {
    /// Hash of the prepared data's manifest.
    pub(super) data: String,
    pub(super) epochs: usize,
    pub(super) kept_epoch: usize,
    pub(super) batch_size: usize,
    pub(super) learning_rate: f64,
    pub(super) optimiser: String,
    pub(super) weight_decay: f64,
    pub(super) schedule: String,
    pub(super) label_smoothing: f64,
    pub(super) augment: AugmentFormat,
    pub(super) seed: u64,
}

/// Random changes of the training images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AugmentFormat {
    pub(super) flip: f64,
    pub(super) shift: u32,
    pub(super) rotate: f64,
    pub(super) crop: u32,
}

impl TrainingFormat {
    pub(super) fn new(params: &TrainParams, data: String, epochs: usize, kept: usize) -> Self {
        Self {
            data,
            epochs,
            kept_epoch: kept,
            batch_size: params.batch_size,
            learning_rate: params.learning_rate,
            optimiser: params.optimiser_name().to_owned(),
            weight_decay: params.weight_decay,
            schedule: params.schedule.name().to_owned(),
            label_smoothing: params.label_smoothing,
            augment: AugmentFormat {
                flip: params.augment.flip,
                shift: params.augment.shift,
                rotate: params.augment.rotate,
                crop: params.augment.crop,
            },
            seed: params.seed,
        }
    }
}

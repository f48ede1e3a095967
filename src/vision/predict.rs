//! Asks a trained network about pictures. Imports: burn, base, `vision::{artifact`, device, image,
//! model, train}.

use std::path::Path;

use crate::base::Cancel;

use super::Error;
use super::artifact::ModelArtifact;
use super::device::Device;
use super::image::Pixels;
use super::model::Inference;
use super::train::{Normaliser, Sample};

/// Images per forward pass: large enough to keep the cores busy, small enough for 35×35 maps of 64
/// channels to stay within some tens of MiB.
const BATCH_IMAGES: usize = 128;

/// A network that is ready to be asked.
pub struct Predictor {
    artifact: ModelArtifact,
    network: Inference,
    normaliser: Normaliser,
    device: Device,
}

/// What a network says about some pictures: one number per picture and class, larger is likelier.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    /// `[pictures, classes]`, last dimension fastest.
    pub rows: Vec<f32>,
    /// Numbers per picture.
    pub classes: usize,
}

impl Logits {
    /// Returns the softmax of each picture's row.
    #[must_use]
    pub fn probabilities(&self) -> Vec<Vec<f64>> {
        self.rows.chunks_exact(self.classes).map(softmax).collect()
    }
}

/// Returns exp(xᵢ) / Σ exp(xⱼ), computed in f64 after subtracting the largest x, so that nothing
/// overflows and the sum is 1 to the last digits.
#[must_use]
pub fn softmax(row: &[f32]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f64> = row.iter().map(|x| f64::from(x - largest).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.into_iter().map(|e| e / sum).collect()
}

impl Predictor {
    /// Loads the model in the folder `dir`.
    ///
    /// # Errors
    /// As `ModelArtifact::load`.
    pub fn load(dir: &Path, device: &Device) -> Result<Self, Error> {
        Self::new(ModelArtifact::load(dir)?, device)
    }

    /// Puts a model on a device.
    ///
    /// # Errors
    /// The weights do not belong to the network.
    pub fn new(artifact: ModelArtifact, device: &Device) -> Result<Self, Error> {
        let network = Inference::new(&artifact.plan, &artifact.weights, device)?;
        Ok(Self {
            network,
            normaliser: Normaliser::new(&artifact.normalisation),
            artifact,
            device: device.clone(),
        })
    }

    /// Returns where the network computes: `cpu`, `cuda` or `wgpu`.
    #[must_use]
    pub fn device_name(&self) -> &'static str {
        self.device.name()
    }

    /// Returns the model: classes, input, how pictures are fitted.
    #[must_use]
    pub fn model(&self) -> &ModelArtifact {
        &self.artifact
    }

    /// Returns the logits of all `pixels`, computed in batches; `cancel` is checked between them.
    ///
    /// # Errors
    /// The pictures have another size than the model takes; `cancel` was requested.
    pub fn predict(&self, pixels: &Pixels, cancel: &Cancel) -> Result<Logits, Error> {
        let input = self.artifact.plan.input;
        let size = |height, width, channels| format!("{height}×{width}×{channels}");
        let expected = size(input.height, input.width, input.channels);
        let found = size(pixels.height(), pixels.width(), pixels.channels());
        if expected != found {
            return Err(Error::InputSize { expected, found });
        }
        let classes = self.artifact.classes.len();
        let mut rows = Vec::with_capacity(pixels.count() * classes);
        for from in (0..pixels.count()).step_by(BATCH_IMAGES) {
            if let Some(reason) = cancel.reason() {
                return Err(Error::Cancelled(reason));
            }
            let to = pixels.count().min(from + BATCH_IMAGES);
            let images = self.normaliser.images(pixels, from, to);
            rows.extend(self.network.logits(images));
        }
        Ok(Logits { rows, classes })
    }

    /// Returns the logits of `samples`, computed as one batch.
    ///
    /// # Errors
    /// A picture has another number of values than the model takes.
    pub fn predict_batch(&self, samples: &[Sample<'_>]) -> Result<Logits, Error> {
        let classes = self.artifact.classes.len();
        let input = self.artifact.plan.input;
        let len = self.artifact.target.image_len();
        for sample in samples {
            let found = match sample {
                Sample::Bytes(values) => values.len(),
                Sample::Unit(values) => values.len(),
            };
            if found != len {
                return Err(Error::InputSize {
                    expected: format!("{}×{}×{}", input.height, input.width, input.channels),
                    found: format!("{found} values"),
                });
            }
        }
        if samples.is_empty() {
            let rows = Vec::new();
            return Ok(Logits { rows, classes });
        }
        let rows = self.network.logits(self.normaliser.samples(samples, len));
        Ok(Logits { rows, classes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_neither_overflows_nor_loses_small_classes() {
        let p = softmax(&[1000.0, 1000.0, -1000.0]);
        assert!((p[0] - 0.5).abs() < 1e-15 && p[2] == 0.0);
        let p = softmax(&[0.0, -50.0]);
        assert!((p[1] / (-50f64).exp() - 1.0).abs() < 1e-12);
        let sum: f64 = softmax(&[0.1, 0.2, 0.3]).iter().sum();
        assert!((sum - 1.0).abs() < 1e-15);
    }
}

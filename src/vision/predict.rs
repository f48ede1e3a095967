//! Asks a network about pictures: one that was trained here, or one from elsewhere.
//! Imports: base, `vision::{artifact`, device, image, model, onnx, train}.

use std::path::Path;

use crate::base::Cancel;

use super::Error;
use super::artifact::{Described, Loaded, ModelArtifact};
use super::device::Device;
use super::image::Pixels;
use super::model::Inference;
#[cfg(feature = "onnx")]
use super::onnx::{OnnxModel, OnnxNetwork};
use super::train::{Normaliser, Sample};

/// Images per forward pass: large enough to keep the cores busy, small enough for 35×35 maps of 64
/// channels to stay within some tens of MiB.
const BATCH_IMAGES: usize = 128;

/// A network that is ready to be asked.
pub struct Predictor {
    described: Described,
    network: Network,
    normaliser: Normaliser,
    device: &'static str,
}

enum Network {
    /// Trained here.
    Own(Inference),
    /// From elsewhere.
    #[cfg(feature = "onnx")]
    Onnx(Box<OnnxNetwork>),
}

impl Network {
    /// Returns the logits, `[count, classes]`, of normalised `images`, `[count, height, width,
    /// channels]`.
    #[cfg_attr(
        not(feature = "onnx"),
        expect(
            clippy::unnecessary_wraps,
            reason = "a network from elsewhere may fail"
        )
    )]
    fn logits(&self, images: Vec<f32>) -> Result<Vec<f32>, Error> {
        match self {
            Self::Own(network) => Ok(network.logits(images)),
            #[cfg(feature = "onnx")]
            Self::Onnx(network) => network.logits(&images),
        }
    }

    /// As `logits`, with the embeddings, `[count, embedding_width]`, where the network has them.
    #[cfg_attr(
        not(feature = "onnx"),
        expect(
            clippy::unnecessary_wraps,
            reason = "a network from elsewhere may fail, and has no embeddings"
        )
    )]
    fn observe(&self, images: Vec<f32>) -> Result<(Vec<f32>, Vec<f32>), Error> {
        match self {
            Self::Own(network) => Ok(network.observe(images)),
            #[cfg(feature = "onnx")]
            Self::Onnx(network) => Ok((network.logits(&images)?, Vec::new())),
        }
    }

    /// Returns how many activations of a picture enter the last layer, where that is known.
    #[cfg_attr(
        not(feature = "onnx"),
        expect(
            clippy::unnecessary_wraps,
            reason = "a network from elsewhere has no embeddings"
        )
    )]
    fn embedding_width(&self) -> Option<usize> {
        match self {
            Self::Own(network) => Some(network.embedding_width()),
            #[cfg(feature = "onnx")]
            Self::Onnx(_) => None,
        }
    }
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

/// What enters the last layer of a network, of some pictures: its view of them, before it decides.
///
/// With a hidden dense layer these are its activations; else the maps of the last block, pooled or
/// channel by channel, as the weights of the last layer are ordered. Dropout is off.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// `[pictures, width]`, last dimension fastest.
    pub rows: Vec<f32>,
    /// Numbers per picture.
    pub width: usize,
}

/// Everything that a network makes of some pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// What it says, bit by bit as `Predictor::predict` returns it.
    pub logits: Logits,
    /// What it made that of; none for networks from elsewhere, whose last layer is not known.
    pub embeddings: Option<Embeddings>,
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
    /// Loads the model at `path`: a folder, or an ONNX file.
    ///
    /// # Errors
    /// As `Loaded::load` and `new`.
    pub fn load(path: &Path, device: &Device) -> Result<Self, Error> {
        Self::new(Loaded::load(path)?, device)
    }

    /// Puts a model on a device. A network from elsewhere computes on the CPU, whatever `device` is.
    ///
    /// # Errors
    /// The weights do not belong to the network; a network from elsewhere cannot be computed here, or
    /// is not as its description says.
    pub fn new(model: impl Into<Loaded>, device: &Device) -> Result<Self, Error> {
        match model.into() {
            Loaded::Trained(artifact) => Self::trained(*artifact, device),
            #[cfg(feature = "onnx")]
            Loaded::Onnx(model) => Self::onnx(*model),
        }
    }

    fn trained(artifact: ModelArtifact, device: &Device) -> Result<Self, Error> {
        let network = Inference::new(&artifact.plan, &artifact.weights, device)?;
        Ok(Self {
            network: Network::Own(network),
            normaliser: Normaliser::new(&artifact.normalisation),
            device: device.name(),
            described: Described {
                target: artifact.target,
                parameters: artifact.plan.parameters(),
                weights_hash: artifact.weights_hash(),
                classes: artifact.classes,
            },
        })
    }

    #[cfg(feature = "onnx")]
    fn onnx(model: OnnxModel) -> Result<Self, Error> {
        let made = model.network()?;
        Ok(Self {
            network: Network::Onnx(Box::new(made.network)),
            normaliser: Normaliser::new(&made.normalisation),
            device: OnnxNetwork::DEVICE,
            described: made.described,
        })
    }

    /// Returns where the network computes: `cpu`, `cuda` or `wgpu`; the engine of a network from
    /// elsewhere.
    #[must_use]
    pub fn device_name(&self) -> &'static str {
        self.device
    }

    /// Returns what there is to know of the model: classes, input, how pictures are fitted.
    #[must_use]
    pub fn model(&self) -> &Described {
        &self.described
    }

    /// Returns the logits of all `pixels`, computed in batches; `cancel` is checked between them.
    ///
    /// # Errors
    /// The pictures have another size than the model takes; `cancel` was requested; a network from
    /// elsewhere fails.
    pub fn predict(&self, pixels: &Pixels, cancel: &Cancel) -> Result<Logits, Error> {
        let classes = self.described.classes.len();
        let mut rows = Vec::with_capacity(pixels.count() * classes);
        self.in_batches(pixels, cancel, |images| {
            rows.extend(self.network.logits(images)?);
            Ok(())
        })?;
        Ok(Logits { rows, classes })
    }

    /// Returns the logits of all `pixels` as `predict` does, and what entered the last layer.
    ///
    /// # Errors
    /// As `predict`.
    pub fn observe(&self, pixels: &Pixels, cancel: &Cancel) -> Result<Observed, Error> {
        let classes = self.described.classes.len();
        let width = self.network.embedding_width();
        let mut rows = Vec::with_capacity(pixels.count() * classes);
        let mut embedded = Vec::with_capacity(pixels.count() * width.unwrap_or(0));
        self.in_batches(pixels, cancel, |images| {
            let (logits, embeddings) = self.network.observe(images)?;
            rows.extend(logits);
            embedded.extend(embeddings);
            Ok(())
        })?;
        Ok(Observed {
            logits: Logits { rows, classes },
            embeddings: width.map(|width| Embeddings {
                rows: embedded,
                width,
            }),
        })
    }

    /// Calls `ask` with all `pixels`, normalised, batch after batch.
    fn in_batches(
        &self,
        pixels: &Pixels,
        cancel: &Cancel,
        mut ask: impl FnMut(Vec<f32>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let expected = self.input_size();
        let (height, width) = (pixels.height(), pixels.width());
        let found = format!("{height}×{width}×{}", pixels.channels());
        if expected != found {
            return Err(Error::InputSize { expected, found });
        }
        for from in (0..pixels.count()).step_by(BATCH_IMAGES) {
            if let Some(reason) = cancel.reason() {
                return Err(Error::Cancelled(reason));
            }
            let to = pixels.count().min(from + BATCH_IMAGES);
            ask(self.normaliser.images(pixels, from, to))?;
        }
        Ok(())
    }

    /// Returns the logits of `samples`, computed as one batch.
    ///
    /// # Errors
    /// A picture has another number of values than the model takes; a network from elsewhere fails.
    pub fn predict_batch(&self, samples: &[Sample<'_>]) -> Result<Logits, Error> {
        let classes = self.described.classes.len();
        let len = self.described.target.image_len();
        for sample in samples {
            let found = match sample {
                Sample::Bytes(values) => values.len(),
                Sample::Unit(values) => values.len(),
            };
            if found != len {
                return Err(Error::InputSize {
                    expected: self.input_size(),
                    found: format!("{found} values"),
                });
            }
        }
        if samples.is_empty() {
            let rows = Vec::new();
            return Ok(Logits { rows, classes });
        }
        let rows = self.network.logits(self.normaliser.samples(samples, len))?;
        Ok(Logits { rows, classes })
    }

    fn input_size(&self) -> String {
        let target = &self.described.target;
        let channels = target.channels.count();
        format!("{}×{}×{channels}", target.height, target.width)
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

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

    /// Returns how many activations of a picture enter the last layer; `None` for networks from elsewhere,
    /// which have no embeddings.
    #[must_use]
    pub fn embedding_width(&self) -> Option<usize> {
        self.network.embedding_width()
    }

    /// Returns the logits of `samples`, computed as one batch.
    ///
    /// # Errors
    /// A picture has another number of values than the model takes; a network from elsewhere fails.
    pub fn predict_batch(&self, samples: &[Sample<'_>]) -> Result<Logits, Error> {
        self.require_samples(samples)?;
        let classes = self.described.classes.len();
        if samples.is_empty() {
            let rows = Vec::new();
            return Ok(Logits { rows, classes });
        }
        let rows = self.network.logits(self.images(samples))?;
        Ok(Logits { rows, classes })
    }

    /// Returns the logits of `samples` as `predict_batch` does, and what entered the last layer.
    ///
    /// # Errors
    /// As `predict_batch`.
    pub fn observe_batch(&self, samples: &[Sample<'_>]) -> Result<Observed, Error> {
        let Some(width) = self.embedding_width().filter(|_| !samples.is_empty()) else {
            return Ok(Observed {
                logits: self.predict_batch(samples)?,
                embeddings: None,
            });
        };
        self.require_samples(samples)?;
        let classes = self.described.classes.len();
        let (rows, embedded) = self.network.observe(self.images(samples))?;
        Ok(Observed {
            logits: Logits { rows, classes },
            embeddings: Some(Embeddings {
                rows: embedded,
                width,
            }),
        })
    }

    fn images(&self, samples: &[Sample<'_>]) -> Vec<f32> {
        let len = self.described.target.image_len();
        self.normaliser.samples(samples, len)
    }

    fn require_samples(&self, samples: &[Sample<'_>]) -> Result<(), Error> {
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
        Ok(())
    }

    fn input_size(&self) -> String {
        let target = &self.described.target;
        let channels = target.channels.count();
        format!("{}×{}×{channels}", target.height, target.width)
    }
}

#[cfg(test)]
impl Predictor {
    /// Returns a network as it starts its training, for tests: it says something else of each picture.
    pub(crate) fn untrained(
        spec: &super::model::ModelSpec,
        target: super::image::Target,
        classes: &[&str],
    ) -> Self {
        use super::model::{Input, Plan, initial_weights};
        use super::train::Normalisation;

        let channels = target.channels.count();
        let input = Input {
            height: target.height as usize,
            width: target.width as usize,
            channels,
        };
        let plan = Plan::new(spec, input, classes.len()).unwrap();
        let weights = initial_weights(&plan, 1);
        let device = Device::cpu();
        let normalisation = Normalisation {
            mean: vec![0.5; channels],
            std: vec![0.25; channels],
        };
        Self {
            network: Network::Own(Inference::new(&plan, &weights, &device).unwrap()),
            normaliser: Normaliser::new(&normalisation),
            device: device.name(),
            described: Described {
                classes: classes.iter().map(|name| (*name).to_owned()).collect(),
                target,
                parameters: plan.parameters(),
                weights_hash: crate::base::ContentHash::of(&weights.to_safetensors()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::base::{CancelReason, rng};
    use crate::vision::image::{Channels, Filter, Target};
    use crate::vision::model::Preset;

    /// Noise, and as many pictures as two batches need.
    fn pixels(side: usize) -> Pixels {
        let count = BATCH_IMAGES + 3;
        let mut rng = rng::stream(1, "predict", 0);
        let values = (0..count * side * side * 3).map(|_| rng.random::<u8>());
        Pixels::from_data(side, side, 3, values.collect()).unwrap()
    }

    fn predictor(preset: Preset, side: u32) -> Predictor {
        let target = Target {
            height: side,
            width: side,
            channels: Channels::Rgb,
            filter: Filter::Bilinear,
            background: [255; 3],
        };
        Predictor::untrained(&preset.spec(), target, &["a", "b", "c"])
    }

    #[test]
    fn who_observes_is_told_the_same_logits() {
        for (preset, width) in [(Preset::Lenet, 84), (Preset::Resnet8, 64)] {
            let predictor = predictor(preset, 12);
            let pixels = pixels(12);
            let expected = predictor.predict(&pixels, &Cancel::new()).unwrap();
            let samples: Vec<_> = (0..5).map(|i| Sample::Bytes(pixels.image(i))).collect();
            let batch = predictor.predict_batch(&samples).unwrap();
            let seen = predictor.observe_batch(&samples).unwrap();
            assert_eq!(seen.logits, batch, "{preset:?}");
            let observed = predictor.observe(&pixels, &Cancel::new()).unwrap();
            assert_eq!(observed.logits, expected, "{preset:?}");
            let embeddings = observed.embeddings.unwrap();
            assert_eq!(embeddings.width, width, "{preset:?}");
            assert_eq!(embeddings.rows.len(), pixels.count() * width, "{preset:?}");
            let of_batch = seen.embeddings.unwrap().rows;
            assert_eq!(of_batch, embeddings.rows[..5 * width], "{preset:?}");
            // One of the second batch, alone.
            let last = pixels.count() - 1;
            let data = pixels.image(last).to_vec();
            let alone = Pixels::from_data(12, 12, 3, data).unwrap();
            let alone = predictor.observe(&alone, &Cancel::new()).unwrap();
            assert_eq!(alone.logits.rows, expected.rows[last * 3..]);
            let row = alone.embeddings.unwrap().rows;
            assert_eq!(row, embeddings.rows[last * width..]);
            assert!(row.iter().any(|value| 0.0 < *value));
        }
    }

    #[test]
    fn observing_ends_as_predicting_does() {
        let predictor = predictor(Preset::Lenet, 12);
        let cancel = Cancel::new();
        let other = predictor.observe(&Pixels::new(12, 13, 3), &cancel);
        assert!(matches!(other, Err(Error::InputSize { .. })));
        let none = predictor.observe(&Pixels::new(12, 12, 3), &cancel).unwrap();
        assert!(none.logits.rows.is_empty());
        assert!(none.embeddings.unwrap().rows.is_empty());
        cancel.request(CancelReason::Interrupted);
        assert!(matches!(
            predictor.observe(&pixels(12), &cancel),
            Err(Error::Cancelled(CancelReason::Interrupted))
        ));
    }

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

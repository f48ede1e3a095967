//! The engine: a network from elsewhere, ready to be asked. The only file that knows rten's models.
//!
//! Pictures are computed one at a time. The engine gains nothing from batches (ADR 43), and so
//! the answer to a picture depends on nothing but the picture, memory does not grow with the batch, and
//! networks that were exported for single pictures are asked like all others. As many threads work on a
//! picture as the pool has in which the network was made: one on the thread of a server.
//!
//! Imports: rten, rten-tensor, rayon, `onnx::{description`, graph, settle}.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use rten::{Model, ModelOptions, RunOptions, ThreadPool, Value, ValueView};
use rten_tensor::{AsView as _, Layout as _};

use crate::vision::Error;

use super::description::{Layout, Output};
use super::graph::Graph;
use super::settle::Input;

/// A network from elsewhere that is ready to be asked.
pub(in crate::vision) struct OnnxNetwork {
    path: PathBuf,
    model: Model,
    options: RunOptions,
    input: Input,
    output: Output,
}

/// Hands the bytes of a network to the engine, which plans how to compute it.
///
/// # Errors
/// It has an operator that the engine lacks, or contradicts itself.
pub(super) fn plan(graph: &mut Graph) -> Result<Model, Error> {
    let bytes = std::mem::take(&mut graph.bytes);
    let load = || {
        let mut options = ModelOptions::with_all_ops();
        options.prepack_weights(true);
        options.load(bytes)
    };
    let unusable = |problem: String| {
        Error::Onnx {
        path: graph.path.clone(),
        problem,
        help: "check it with `onnx.checker`, simplify it (`onnxsim`), or export it with other operators"
            .to_owned(),
    }
    };
    // A broken file may go against what the engine takes for granted.
    match catch_unwind(AssertUnwindSafe(load)) {
        Ok(loaded) => loaded.map_err(|error| unusable(error.to_string())),
        Err(_panic) => Err(unusable("the engine gave up on it".to_owned())),
    }
}

impl OnnxNetwork {
    /// What computes it, as a device is named.
    pub(in crate::vision) const DEVICE: &'static str = "rten";

    /// Makes a network ready for pictures of the form `input`.
    pub(super) fn new(model: Model, graph: &Graph, input: Input) -> Self {
        let pool = ThreadPool::with_num_threads(rayon::current_num_threads());
        Self {
            path: graph.path.clone(),
            model,
            options: RunOptions::default().with_thread_pool(Some(Arc::new(pool))),
            input,
            output: graph.output,
        }
    }

    /// Says what its numbers are, if that is known better than the graph tells.
    pub(super) fn with_output(self, output: Output) -> Self {
        Self { output, ..self }
    }

    /// Returns the numbers that the network gives for one picture `[height, width, channels]`, as it
    /// gives them.
    pub(super) fn raw(&self, picture: &[f32]) -> Result<Vec<f32>, Error> {
        let failed = |problem: String| Error::Onnx {
            path: self.path.clone(),
            problem,
            help: "check it with `onnx.checker`, or ask it with onnxruntime for comparison"
                .to_owned(),
        };
        let [height, width, channels] = self.input.shape();
        let turned;
        let (shape, values) = match self.input.layout {
            Layout::Nhwc => ([1, height, width, channels], picture),
            Layout::Nchw => {
                turned = channels_first(picture, channels);
                ([1, channels, height, width], turned.as_slice())
            }
        };
        let run = || {
            let view = ValueView::from_shape(shape, values).map_err(|e| e.to_string())?;
            let value = self.model.run_one(view.into(), Some(self.options.clone()));
            value.map_err(|error| error.to_string())
        };
        let value = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(value) => value.map_err(failed)?,
            Err(_panic) => return Err(failed("the engine gave up on it".to_owned())),
        };
        let numbers = match value {
            Value::FloatTensor(numbers) => numbers,
            other => {
                let kind = other.dtype();
                let problem = format!("its output is a {kind}, and not one of float32");
                return Err(failed(problem));
            }
        };
        let shape = numbers.shape().to_vec();
        match shape.as_slice() {
            [1, _, rest @ ..] if rest.iter().all(|side| *side == 1) => Ok(numbers.to_vec()),
            other => {
                let shown: Vec<String> = other.iter().map(ToString::to_string).collect();
                let shape = shown.join("×");
                Err(failed(format!(
                    "its output for one picture is {shape}, and not 1×the number of classes"
                )))
            }
        }
    }

    /// Returns the logits, `[count, classes]`, of normalised `images`, `[count, height, width,
    /// channels]`.
    ///
    /// # Errors
    /// The engine fails.
    pub(in crate::vision) fn logits(&self, images: &[f32]) -> Result<Vec<f32>, Error> {
        let len: usize = self.input.shape().iter().product();
        let mut logits = Vec::new();
        for picture in images.chunks_exact(len) {
            let numbers = self.raw(picture)?.into_iter();
            match self.output {
                Output::Logits => logits.extend(numbers),
                Output::Probabilities => logits.extend(numbers.map(logarithm)),
            }
        }
        Ok(logits)
    }
}

/// Turns `[height, width, channels]` into `[channels, height, width]`.
fn channels_first(picture: &[f32], channels: usize) -> Vec<f32> {
    let of_channel = |channel| picture.iter().skip(channel).step_by(channels).copied();
    (0..channels).flat_map(of_channel).collect()
}

/// Returns the logit of a probability, so that their softmax is the probabilities again. What lies a
/// rounding error below 0 counts as 0, whose logit is finite; what is no probability is no number.
fn logarithm(probability: f32) -> f32 {
    const ROUNDING: f32 = 1e-6;
    if (-ROUNDING..f32::MIN_POSITIVE).contains(&probability) {
        f32::MIN_POSITIVE.ln()
    } else {
        probability.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::predict::softmax;

    #[test]
    fn channels_come_first() {
        let picture = [1.0, 10.0, 100.0, 2.0, 20.0, 200.0];
        assert_eq!(
            channels_first(&picture, 3),
            [1.0, 2.0, 10.0, 20.0, 100.0, 200.0]
        );
        assert_eq!(channels_first(&picture, 1), picture);
    }

    #[test]
    fn probabilities_survive_as_logits() {
        let probabilities = [0.7_f32, 0.299_999, 1e-6, 0.0, -1e-9];
        let logits: Vec<f32> = probabilities.iter().map(|p| logarithm(*p)).collect();
        assert!(logits.iter().all(|logit| logit.is_finite()));
        for (expected, found) in probabilities.iter().zip(softmax(&logits)) {
            assert!(
                (f64::from(*expected) - found).abs() < 1e-6,
                "{expected} {found}"
            );
        }
        assert!(logarithm(-0.5).is_nan() && logarithm(f32::NAN).is_nan());
    }
}

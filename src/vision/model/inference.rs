//! A network ready to be asked, wherever it computes. Imports: burn, `vision::{device, kernels}`,
//! `model::{build, executor, plan, weights}`.

use burn::tensor::{Device as BurnDevice, Tensor, TensorData};

use crate::vision::device::Device;
use crate::vision::kernels::Cpu;

use super::build::{Network, read_values};
use super::executor::Executor;
use super::plan::{Input, Plan};
use super::weights::{Weights, WeightsProblem};

/// A network that takes pictures and returns logits.
#[derive(Debug)]
pub(in crate::vision) struct Inference {
    form: Form,
    input: Input,
    embedding_width: usize,
}

#[derive(Debug)]
enum Form {
    /// On the CPU our kernels do it all.
    Executor(Box<Executor>),
    /// Elsewhere burn's module.
    Network(Box<Network>, BurnDevice),
}

impl Inference {
    /// Puts the network of `plan` with these weights on a device.
    ///
    /// # Errors
    /// A tensor is missing, unexpected or of another shape.
    pub(in crate::vision) fn new(
        plan: &Plan,
        weights: &Weights,
        device: &Device,
    ) -> Result<Self, WeightsProblem> {
        let form = if device.is_cpu() {
            let executor = Executor::new(Cpu::current(), plan, weights)?;
            Form::Executor(Box::new(executor))
        } else {
            let device = device.inference();
            Form::Network(Box::new(Network::new(plan, weights, &device)?), device)
        };
        Ok(Self {
            form,
            input: plan.input,
            embedding_width: plan.embedding_width(),
        })
    }

    /// Returns how many activations of a picture enter the output layer.
    pub(in crate::vision) fn embedding_width(&self) -> usize {
        self.embedding_width
    }

    /// Returns the logits, `[count, classes]`, of normalised `images`, `[count, height, width,
    /// channels]`.
    pub(in crate::vision) fn logits(&self, images: Vec<f32>) -> Vec<f32> {
        match &self.form {
            Form::Executor(executor) => executor.logits(&images),
            Form::Network(network, device) => {
                read_values(network.forward(images_tensor(images, self.input, device)))
            }
        }
    }

    /// Returns the logits as `logits` does, and what enters the output layer, `[count,
    /// embedding_width]`.
    pub(in crate::vision) fn observe(&self, images: Vec<f32>) -> (Vec<f32>, Vec<f32>) {
        match &self.form {
            Form::Executor(executor) => executor.observe(&images),
            Form::Network(network, device) => {
                let images = images_tensor(images, self.input, device);
                let (logits, embeddings) = network.observe(images);
                (read_values(logits), read_values(embeddings))
            }
        }
    }
}

/// Puts normalised pictures `[count, height, width, channels]` on a device.
pub(in crate::vision) fn images_tensor(
    images: Vec<f32>,
    input: Input,
    device: &BurnDevice,
) -> Tensor<4> {
    let (height, width, channels) = (input.height, input.width, input.channels);
    let count = images.len() / (height * width * channels);
    let shape = [count, height, width, channels];
    Tensor::from_data(TensorData::new(images, shape), device)
}

//! The loss of a classifier. Imports: burn, burn-flex, `ops::*`, `kernels::Buffer`.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use burn_flex::FlexTensor;

use crate::vision::kernels::Buffer;

use super::bytes::{flat, tensor_of};
use super::route::{Op, WayBack, input, run};

/// Cross entropy of softmax(`logits`) against `targets`, both `[batch, classes]`: the mean over the
/// batch, `[1]`. No gradient goes to `targets`.
#[must_use]
pub(in crate::vision) fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    match run(&CrossEntropy, [input(&logits), input(&targets)]) {
        Some((loss, _)) => Tensor::from_dispatch(loss),
        None => stock(logits, targets),
    }
}

/// The same with burn's operations.
pub(super) fn stock(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let batch = logits.dims()[0];
    (log_softmax(logits, 1) * targets.detach()).sum().neg() / batch as f32
}

#[derive(Clone, Debug)]
struct CrossEntropy;

impl Op for CrossEntropy {
    /// The gradient of the logits, but for the factor that arrives on the way back.
    type Saved = Option<FlexTensor>;

    fn forward(&self, inputs: Vec<FlexTensor>, way_back: WayBack) -> (FlexTensor, Self::Saved) {
        let (logits, targets) = (flat(&inputs[0]), flat(&inputs[1]));
        let shape = inputs[0].layout().shape();
        let (batch, classes) = (shape[0], shape[1]);
        let mut slopes = (way_back == WayBack::Kept).then(|| Buffer::take(logits.len()));
        let mut exps = vec![0.0; classes];
        // The sum of all rows is exact enough in f64 whatever their number.
        let mut loss = 0.0;
        for row in 0..batch {
            let columns = row * classes..(row + 1) * classes;
            let (logits, targets) = (&logits[columns.clone()], &targets[columns.clone()]);
            // exp(z - largest) neither overflows nor makes the sum zero.
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for (exp, logit) in exps.iter_mut().zip(logits) {
                *exp = (logit - largest).exp();
            }
            let sum: f32 = exps.iter().sum();
            let log_sum = sum.ln();
            let mut weight = 0.0;
            for (logit, target) in logits.iter().zip(targets) {
                weight += target;
                // 0 · -∞ is no part of the loss.
                if *target != 0.0 {
                    loss -= f64::from(*target) * f64::from(logit - largest - log_sum);
                }
            }
            if let Some(slopes) = &mut slopes {
                let (scale, shrink) = (weight / sum, 1.0 / batch as f32);
                let pairs = exps.iter().zip(targets);
                for (slope, (exp, target)) in slopes[columns].iter_mut().zip(pairs) {
                    *slope = (scale * exp - target) * shrink;
                }
            }
        }
        let mut mean = Buffer::take(1);
        mean[0] = (loss / batch as f64) as f32;
        let slopes = slopes.map(|slopes| tensor_of(slopes, [batch, classes]));
        (tensor_of(mean, [1]), slopes)
    }

    fn backward(
        &self,
        saved: Self::Saved,
        dy: FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let (true, Some(slopes)) = (wanted[0], saved) else {
            return vec![None];
        };
        let factor = flat(&dy)[0];
        let mut dlogits = Buffer::take(flat(&slopes).len());
        for (to, slope) in dlogits.iter_mut().zip(flat(&slopes)) {
            *to = factor * slope;
        }
        let shape = slopes.layout().shape();
        vec![Some(tensor_of(dlogits, [shape[0], shape[1]]))]
    }
}

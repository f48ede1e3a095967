//! Batch normalisation as it is done in training (Ioffe and Szegedy 2015), with what follows it in
//! the same pass. Imports: burn, burn-flex, `ops::*`, `vision::kernels`.

use burn::backend::Flex;
use burn::tensor::Tensor;
use burn::tensor::module::batch_norm_train;
use burn_flex::FlexTensor;

use crate::vision::kernels::{self, Buffer, Cpu};

use super::bytes::{flat, tensor_like, tensor_of};
use super::route::{Op, WayBack, input, run};
use super::{activate, maps, planes};

/// Normalised maps, and what they were normalised with.
#[derive(Clone, Debug)]
pub(in crate::vision) struct Normed {
    /// `[batch, height, width, channels]`.
    pub(in crate::vision) y: Tensor<4>,
    /// Mean of each channel, `[channels]`; no gradient goes through it.
    pub(in crate::vision) mean: Tensor<1>,
    /// Mean squared distance from it, `[channels]` (divided by the number of values, not by one
    /// less); no gradient goes through it.
    pub(in crate::vision) variance: Tensor<1>,
}

/// Normalises each channel over the batch, then adds `residual` and turns values below zero into
/// slope·value.
///
/// `x` and `residual` are `[batch, height, width, channels]`, `gamma` and `beta` `[channels]`.
#[must_use]
pub(in crate::vision) fn norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f32,
    residual: Option<Tensor<4>>,
    slope: f32,
) -> Normed {
    let op = Norm { epsilon, slope };
    let inputs = [input(&x), input(&gamma), input(&beta)];
    let done = match &residual {
        Some(residual) => {
            let [x, gamma, beta] = inputs;
            run(&op, [x, gamma, beta, input(residual)])
        }
        None => run(&op, inputs),
    };
    let Some((y, saved)) = done else {
        return stock(x, gamma, beta, epsilon, residual, slope);
    };
    let lift = |values| {
        let values = Tensor::<1>::from_primitive::<Flex>(values);
        if x.is_autodiff() {
            Tensor::from_inner(values)
        } else {
            values
        }
    };
    Normed {
        y: Tensor::from_dispatch(y),
        mean: lift(saved.mean),
        variance: lift(saved.variance),
    }
}

/// The same with burn's operations.
pub(super) fn stock(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f32,
    residual: Option<Tensor<4>>,
    slope: f32,
) -> Normed {
    let normed = batch_norm_train(planes(x), gamma, beta, f64::from(epsilon));
    let y = maps(normed.output);
    let y = match residual {
        Some(residual) => y + residual,
        None => y,
    };
    Normed {
        y: activate(y, slope),
        mean: normed.mean.detach(),
        variance: normed.variance.detach(),
    }
}

#[derive(Clone, Debug)]
struct Norm {
    epsilon: f32,
    slope: f32,
}

#[derive(Clone, Debug)]
struct Saved {
    x: FlexTensor,
    gamma: FlexTensor,
    y: FlexTensor,
    mean: FlexTensor,
    variance: FlexTensor,
}

impl Op for Norm {
    type Saved = Saved;

    fn forward(&self, inputs: Vec<FlexTensor>, _way_back: WayBack) -> (FlexTensor, Saved) {
        let [x, gamma] = [inputs[0].clone(), inputs[1].clone()];
        let channels = flat(&gamma).len();
        let mut y = Buffer::take(flat(&x).len());
        let (mut mean, mut variance) = (Buffer::take(channels), Buffer::take(channels));
        kernels::norm::forward(
            Cpu::current(),
            self.epsilon,
            self.slope,
            flat(&x),
            (flat(&gamma), flat(&inputs[2])),
            inputs.get(3).map(flat),
            &mut y,
            (&mut mean, &mut variance),
        );
        let y = tensor_like(y, x.layout().shape());
        let saved = Saved {
            x,
            gamma,
            y: y.clone(),
            mean: tensor_of(mean, [channels]),
            variance: tensor_of(variance, [channels]),
        };
        (y, saved)
    }

    fn backward(&self, saved: Saved, dy: FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        let Saved {
            x,
            gamma,
            y,
            mean,
            variance,
        } = &saved;
        let (len, channels) = (flat(x).len(), flat(gamma).len());
        let mut dx = wanted[0].then(|| Buffer::take(len));
        let (mut dgamma, mut dbeta) = (Buffer::take(channels), Buffer::take(channels));
        let mut dresidual = wanted
            .get(3)
            .is_some_and(|wanted| *wanted)
            .then(|| Buffer::take(len));
        kernels::norm::backward(
            Cpu::current(),
            self.epsilon,
            self.slope,
            kernels::norm::Saved {
                x: flat(x),
                y: flat(y),
                gamma: flat(gamma),
                mean: flat(mean),
                variance: flat(variance),
            },
            flat(&dy),
            dx.as_deref_mut(),
            (&mut dgamma, &mut dbeta),
            dresidual.as_deref_mut(),
        );
        let shape = x.layout().shape();
        vec![
            dx.map(|dx| tensor_like(dx, shape)),
            Some(tensor_of(dgamma, [channels])),
            Some(tensor_of(dbeta, [channels])),
            dresidual.map(|dresidual| tensor_like(dresidual, shape)),
        ]
    }
}

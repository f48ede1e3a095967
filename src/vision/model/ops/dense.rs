//! Dense layers: the product is Flex's (the gemm crate), bias and activation and their gradients
//! are one pass over it. Imports: burn, burn-flex, `ops::*`, `kernels::Buffer`.

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use crate::vision::kernels::Buffer;

use super::activate;
use super::bytes::{flat, flat_mut, tensor_like, tensor_of};
use super::route::{Op, WayBack, input, run};

/// x · weight + bias, with values below zero turned into slope·value.
///
/// `x` is `[batch, in]`, `weight` `[in, out]`, `bias` `[out]`.
#[must_use]
pub(in crate::vision) fn dense(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    slope: f32,
) -> Tensor<2> {
    let op = Dense { slope };
    let inputs = [input(&x), input(&weight)];
    let done = match &bias {
        Some(bias) => {
            let [x, weight] = inputs;
            run(&op, [x, weight, input(bias)])
        }
        None => run(&op, inputs),
    };
    match done {
        Some((y, _)) => Tensor::from_dispatch(y),
        None => stock(x, weight, bias, slope),
    }
}

/// The same with burn's operations.
pub(super) fn stock(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    slope: f32,
) -> Tensor<2> {
    let y = x.matmul(weight);
    let y = match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    };
    activate(y, slope)
}

#[derive(Clone, Debug)]
struct Dense {
    slope: f32,
}

#[derive(Clone, Debug)]
struct Saved {
    x: FlexTensor,
    weight: FlexTensor,
    y: FlexTensor,
}

impl Op for Dense {
    type Saved = Saved;

    fn forward(&self, inputs: Vec<FlexTensor>, _way_back: WayBack) -> (FlexTensor, Saved) {
        let [x, weight] = [inputs[0].clone(), inputs[1].clone()];
        let mut y = Flex::float_matmul(x.clone(), weight.clone());
        let outputs = weight.layout().shape()[1];
        let bias = inputs.get(2).map(flat);
        let slope = self.slope;
        if (bias.is_some() || slope != 1.0)
            && let Some(values) = flat_mut(&mut y)
        {
            for row in values.chunks_exact_mut(outputs) {
                if let Some(bias) = bias {
                    for (value, bias) in row.iter_mut().zip(bias) {
                        *value += bias;
                    }
                }
                if slope != 1.0 {
                    for value in row {
                        *value = if *value > 0.0 { *value } else { slope * *value };
                    }
                }
            }
        }
        let saved = Saved {
            x,
            weight,
            y: y.clone(),
        };
        (y, saved)
    }

    fn backward(&self, saved: Saved, dy: FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        let Saved { x, weight, y } = saved;
        let outputs = weight.layout().shape()[1];
        let dy = if self.slope == 1.0 {
            dy
        } else {
            let mut damped = Buffer::take(flat(&dy).len());
            let pairs = flat(&dy).iter().zip(flat(&y));
            for (to, (dy, y)) in damped.iter_mut().zip(pairs) {
                *to = if *y > 0.0 { *dy } else { self.slope * dy };
            }
            tensor_like(damped, dy.layout().shape())
        };
        let dbias = wanted.get(2).is_some_and(|wanted| *wanted).then(|| {
            let mut dbias = Buffer::zeros(outputs);
            for row in flat(&dy).chunks_exact(outputs) {
                for (sum, dy) in dbias.iter_mut().zip(row) {
                    *sum += dy;
                }
            }
            tensor_of(dbias, [outputs])
        });
        let dx = wanted[0].then(|| Flex::float_matmul(dy.clone(), weight.transpose(0, 1)));
        let dweight = wanted[1].then(|| Flex::float_matmul(x.transpose(0, 1), dy));
        vec![dx, dweight, dbias]
    }
}

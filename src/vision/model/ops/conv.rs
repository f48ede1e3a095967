//! Convolutions with what follows them in the same pass. Imports: burn, burn-flex, `ops::*`,
//! `vision::kernels`.

use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::module::{conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn_flex::FlexTensor;

use crate::vision::kernels::{self, Buffer, ConvShape, Cpu, Finish};

use super::bytes::{flat, tensor_like, tensor_of};
use super::route::{Op, WayBack, input, run};
use super::{activate, maps, planes};

/// How a kernel moves over a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vision) struct Geometry {
    /// Step in both directions.
    pub(in crate::vision) stride: usize,
    /// Zeros around the map at each side.
    pub(in crate::vision) border: usize,
}

/// Convolution with a square kernel, bias, activation and max pooling.
///
/// `x` is `[batch, height, width, in]`, `weight` `[out, in, kernel, kernel]`, `bias` `[out]`; the
/// result is `[batch, height' / pool, width' / pool, out]`.
#[must_use]
pub(in crate::vision) fn conv(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    geometry: Geometry,
    finish: Finish,
) -> Tensor<4> {
    let op = Conv { geometry, finish };
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
        None => stock(x, weight, bias, geometry, 1, finish),
    }
}

/// Convolution of each channel with a square kernel of its own, bias and activation.
///
/// `x` is `[batch, height, width, channels]`, `weight` `[channels, 1, kernel, kernel]`, `bias`
/// `[channels]`; the result is `[batch, height', width', channels]`.
#[must_use]
pub(in crate::vision) fn depthwise(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    geometry: Geometry,
    slope: f32,
) -> Tensor<4> {
    let op = Depthwise { geometry, slope };
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
        None => {
            let groups = weight.dims()[0];
            stock(x, weight, bias, geometry, groups, Finish { slope, pool: 1 })
        }
    }
}

/// The same with burn's operations.
pub(super) fn stock(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    geometry: Geometry,
    groups: usize,
    finish: Finish,
) -> Tensor<4> {
    let (stride, border) = ([geometry.stride; 2], [geometry.border; 2]);
    let options = ConvOptions::new(stride, border, [1, 1], groups);
    let y = activate(conv2d(planes(x), weight, bias, options), finish.slope);
    maps(match finish.pool {
        1 => y,
        size => max_pool2d(y, MaxPoolOptions::new([size; 2])),
    })
}

/// Returns the sizes of a convolution of `x` with `weight`.
fn shape_of(x: &FlexTensor, weight: &FlexTensor, geometry: Geometry) -> ConvShape {
    let (x, weight) = (x.layout().shape(), weight.layout().shape());
    ConvShape {
        batch: x[0],
        height: x[1],
        width: x[2],
        inputs: x[3],
        outputs: weight[0],
        kernel: weight[2],
        stride: geometry.stride,
        border: geometry.border,
    }
}

/// What both kinds of convolution need on the way back.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    x: FlexTensor,
    weight: FlexTensor,
    y: FlexTensor,
    /// Where the largest value of each window stood.
    places: Option<Arc<Vec<u8>>>,
}

#[derive(Clone, Debug)]
struct Conv {
    geometry: Geometry,
    finish: Finish,
}

impl Op for Conv {
    type Saved = Saved;

    fn forward(&self, inputs: Vec<FlexTensor>, way_back: WayBack) -> (FlexTensor, Saved) {
        let [x, weight] = [inputs[0].clone(), inputs[1].clone()];
        let (shape, finish) = (shape_of(&x, &weight, self.geometry), self.finish);
        let mut y = Buffer::take(shape.batch * shape.out_len(finish));
        let pools = finish.pool != 1 && way_back == WayBack::Kept;
        let mut places = pools.then(|| vec![0; y.len()]);
        kernels::conv::forward(
            Cpu::current(),
            &shape,
            finish,
            flat(&x),
            flat(&weight),
            inputs.get(2).map(flat),
            &mut y,
            places.as_deref_mut(),
        );
        let (height, width) = (
            shape.out_height() / finish.pool,
            shape.out_width() / finish.pool,
        );
        let y = tensor_of(y, [shape.batch, height, width, shape.outputs]);
        let saved = Saved {
            x,
            weight,
            y: y.clone(),
            places: places.map(Arc::new),
        };
        (y, saved)
    }

    fn backward(&self, saved: Saved, dy: FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        let Saved {
            x,
            weight,
            y,
            places,
        } = &saved;
        let shape = shape_of(x, weight, self.geometry);
        let mut dx = wanted[0].then(|| Buffer::take(flat(x).len()));
        let mut dweight = Buffer::take(flat(weight).len());
        let mut dbias = wanted.get(2).map(|_| Buffer::take(shape.outputs));
        kernels::conv::backward(
            Cpu::current(),
            &shape,
            self.finish,
            kernels::conv::Saved {
                x: flat(x),
                w: flat(weight),
                y: flat(y),
                places: places.as_ref().map(|places| &places[..]),
            },
            flat(&dy),
            kernels::conv::Gradients {
                dx: dx.as_deref_mut(),
                dw: &mut dweight,
                dbias: dbias.as_deref_mut(),
            },
        );
        let dbias = dbias.map(|dbias| tensor_of(dbias, [shape.outputs]));
        vec![
            dx.map(|dx| tensor_like(dx, x.layout().shape())),
            Some(tensor_like(dweight, weight.layout().shape())),
            dbias,
        ]
    }
}

#[derive(Clone, Debug)]
struct Depthwise {
    geometry: Geometry,
    slope: f32,
}

impl Op for Depthwise {
    type Saved = Saved;

    fn forward(&self, inputs: Vec<FlexTensor>, _way_back: WayBack) -> (FlexTensor, Saved) {
        let [x, weight] = [inputs[0].clone(), inputs[1].clone()];
        let shape = shape_of(&x, &weight, self.geometry);
        let mut y = Buffer::take(shape.batch * shape.map_len());
        kernels::depthwise::forward(
            Cpu::current(),
            &shape,
            self.slope,
            flat(&x),
            flat(&weight),
            inputs.get(2).map(flat),
            &mut y,
        );
        let y = tensor_of(
            y,
            [
                shape.batch,
                shape.out_height(),
                shape.out_width(),
                shape.outputs,
            ],
        );
        let saved = Saved {
            x,
            weight,
            y: y.clone(),
            places: None,
        };
        (y, saved)
    }

    fn backward(&self, saved: Saved, dy: FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        let Saved { x, weight, y, .. } = &saved;
        let shape = shape_of(x, weight, self.geometry);
        let mut dx = wanted[0].then(|| Buffer::take(flat(x).len()));
        let mut dweight = Buffer::take(flat(weight).len());
        let mut dbias = wanted.get(2).map(|_| Buffer::take(shape.outputs));
        kernels::depthwise::backward(
            Cpu::current(),
            &shape,
            self.slope,
            (flat(x), flat(weight), flat(y)),
            flat(&dy),
            dx.as_deref_mut(),
            &mut dweight,
            dbias.as_deref_mut(),
        );
        let dbias = dbias.map(|dbias| tensor_of(dbias, [shape.outputs]));
        vec![
            dx.map(|dx| tensor_like(dx, x.layout().shape())),
            Some(tensor_like(dweight, weight.layout().shape())),
            dbias,
        ]
    }
}

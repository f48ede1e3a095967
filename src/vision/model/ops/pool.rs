//! Pooling of NHWC maps. Imports: burn, burn-flex, `ops::*`, `vision::kernels`.

use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn_flex::FlexTensor;

use crate::vision::kernels::{self, Buffer, Cpu, MapShape};

use super::bytes::{flat, tensor_of};
use super::route::{Op, WayBack, input, run};
use super::{maps, planes};

/// Largest value of each window of `size`², which is also the step; what fills no window is
/// dropped. The first of equal values gets the gradient.
///
/// `[batch, height, width, channels]` → `[batch, height / size, width / size, channels]`.
#[must_use]
pub(in crate::vision) fn max_pool(x: Tensor<4>, size: usize) -> Tensor<4> {
    match run(&MaxPool { size }, [input(&x)]) {
        Some((y, _)) => Tensor::from_dispatch(y),
        None => stock_max(x, size),
    }
}

/// Mean of each window of `size`², which is also the step; what fills no window is dropped.
///
/// `[batch, height, width, channels]` → `[batch, height / size, width / size, channels]`.
#[must_use]
pub(in crate::vision) fn avg_pool(x: Tensor<4>, size: usize) -> Tensor<4> {
    match run(&AvgPool { size }, [input(&x)]) {
        Some((y, _)) => Tensor::from_dispatch(y),
        None => stock_avg(x, size),
    }
}

/// Mean of each channel, `[batch, height, width, channels]` → `[batch, channels]`.
#[must_use]
pub(in crate::vision) fn global_avg_pool(x: Tensor<4>) -> Tensor<2> {
    match run(&GlobalAvg, [input(&x)]) {
        Some((y, _)) => Tensor::from_dispatch(y),
        None => stock_global_avg(x),
    }
}

/// Largest value of each channel, `[batch, height, width, channels]` → `[batch, channels]`. The
/// first of equal values gets the gradient.
#[must_use]
pub(in crate::vision) fn global_max_pool(x: Tensor<4>) -> Tensor<2> {
    match run(&GlobalMax, [input(&x)]) {
        Some((y, _)) => Tensor::from_dispatch(y),
        None => stock_global_max(x),
    }
}

pub(super) fn stock_max(x: Tensor<4>, size: usize) -> Tensor<4> {
    maps(max_pool2d(planes(x), MaxPoolOptions::new([size; 2])))
}

pub(super) fn stock_avg(x: Tensor<4>, size: usize) -> Tensor<4> {
    maps(avg_pool2d(planes(x), AvgPoolOptions::new([size; 2])))
}

pub(super) fn stock_global_avg(x: Tensor<4>) -> Tensor<2> {
    x.flatten::<3>(1, 2).mean_dim(1).flatten(1, 2)
}

pub(super) fn stock_global_max(x: Tensor<4>) -> Tensor<2> {
    x.flatten::<3>(1, 2).max_dim(1).flatten(1, 2)
}

fn shape_of(x: &FlexTensor) -> MapShape {
    let shape = x.layout().shape();
    MapShape {
        batch: shape[0],
        height: shape[1],
        width: shape[2],
        channels: shape[3],
    }
}

/// Pooled maps of `shape`, to be filled.
fn pooled(shape: MapShape, size: usize) -> (Buffer, [usize; 4]) {
    let sides = [
        shape.batch,
        shape.height / size,
        shape.width / size,
        shape.channels,
    ];
    (Buffer::take(sides.iter().product()), sides)
}

fn whole(shape: MapShape) -> (Buffer, [usize; 4]) {
    pooled(shape, 1)
}

#[derive(Clone, Debug)]
struct MaxPool {
    size: usize,
}

impl Op for MaxPool {
    /// Where the largest value of each window stood.
    type Saved = (MapShape, Option<Arc<Vec<u8>>>);

    fn forward(&self, inputs: Vec<FlexTensor>, way_back: WayBack) -> (FlexTensor, Self::Saved) {
        let shape = shape_of(&inputs[0]);
        let (mut y, sides) = pooled(shape, self.size);
        let mut places = (way_back == WayBack::Kept).then(|| vec![0; y.len()]);
        kernels::pool::max_forward(
            Cpu::current(),
            shape,
            self.size,
            flat(&inputs[0]),
            &mut y,
            places.as_deref_mut(),
        );
        (tensor_of(y, sides), (shape, places.map(Arc::new)))
    }

    fn backward(
        &self,
        (shape, places): Self::Saved,
        dy: FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let (true, Some(places)) = (wanted[0], places) else {
            return vec![None];
        };
        let (mut dx, sides) = whole(shape);
        kernels::pool::max_backward(
            Cpu::current(),
            shape,
            self.size,
            &places,
            flat(&dy),
            &mut dx,
        );
        vec![Some(tensor_of(dx, sides))]
    }
}

#[derive(Clone, Debug)]
struct AvgPool {
    size: usize,
}

impl Op for AvgPool {
    type Saved = MapShape;

    fn forward(&self, inputs: Vec<FlexTensor>, _way_back: WayBack) -> (FlexTensor, MapShape) {
        let shape = shape_of(&inputs[0]);
        let (mut y, sides) = pooled(shape, self.size);
        kernels::pool::avg_forward(Cpu::current(), shape, self.size, flat(&inputs[0]), &mut y);
        (tensor_of(y, sides), shape)
    }

    fn backward(
        &self,
        shape: MapShape,
        dy: FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let dx = wanted[0].then(|| {
            let (mut dx, sides) = whole(shape);
            kernels::pool::avg_backward(Cpu::current(), shape, self.size, flat(&dy), &mut dx);
            tensor_of(dx, sides)
        });
        vec![dx]
    }
}

#[derive(Clone, Debug)]
struct GlobalAvg;

impl Op for GlobalAvg {
    type Saved = MapShape;

    fn forward(&self, inputs: Vec<FlexTensor>, _way_back: WayBack) -> (FlexTensor, MapShape) {
        let shape = shape_of(&inputs[0]);
        let mut y = Buffer::take(shape.batch * shape.channels);
        kernels::pool::global_avg_forward(Cpu::current(), shape, flat(&inputs[0]), &mut y);
        (tensor_of(y, [shape.batch, shape.channels]), shape)
    }

    fn backward(
        &self,
        shape: MapShape,
        dy: FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let dx = wanted[0].then(|| {
            let (mut dx, sides) = whole(shape);
            kernels::pool::global_avg_backward(Cpu::current(), shape, flat(&dy), &mut dx);
            tensor_of(dx, sides)
        });
        vec![dx]
    }
}

#[derive(Clone, Debug)]
struct GlobalMax;

impl Op for GlobalMax {
    /// The pixel of each largest value.
    type Saved = (MapShape, Option<Arc<Vec<u32>>>);

    fn forward(&self, inputs: Vec<FlexTensor>, way_back: WayBack) -> (FlexTensor, Self::Saved) {
        let shape = shape_of(&inputs[0]);
        let mut y = Buffer::take(shape.batch * shape.channels);
        let mut places = (way_back == WayBack::Kept).then(|| vec![0; y.len()]);
        kernels::pool::global_max_forward(
            Cpu::current(),
            shape,
            flat(&inputs[0]),
            &mut y,
            places.as_deref_mut(),
        );
        let y = tensor_of(y, [shape.batch, shape.channels]);
        (y, (shape, places.map(Arc::new)))
    }

    fn backward(
        &self,
        (shape, places): Self::Saved,
        dy: FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let (true, Some(places)) = (wanted[0], places) else {
            return vec![None];
        };
        let (mut dx, sides) = whole(shape);
        kernels::pool::global_max_backward(Cpu::current(), shape, &places, flat(&dy), &mut dx);
        vec![Some(tensor_of(dx, sides))]
    }
}

//! Depthwise convolution: each channel has a kernel of its own (Howard et al. 2017).
//!
//! Its shape has as many outputs as inputs; the weights are `[channels, 1, kernel, kernel]`.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::Cpu;
use super::direct::{bordered, bordered_len};
use super::scratch::{self, piece};
use super::shape::{ConvShape, Finish};
use super::simd::{load, load_some, store, store_some};

/// Pictures whose weight gradients are summed by one thread, in order.
const CHUNK: usize = 8;
/// Outputs of a row that are summed side by side.
const SIDE: usize = 6;

/// Weights `[kernel, kernel, channels in whole vectors]` and bias.
#[derive(Clone, Debug)]
pub struct Prepared {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Prepared {
    /// Prepares `w`, `[channels, 1, kernel, kernel]`, and `bias`, `[channels]`.
    ///
    /// # Panics
    /// The lengths do not fit the shape.
    #[must_use]
    pub fn new(cpu: Cpu, shape: &ConvShape, w: &[f32], bias: Option<&[f32]>) -> Self {
        shape.check(Finish::NONE);
        let (channels, taps) = (shape.outputs, shape.kernel * shape.kernel);
        assert!(shape.inputs == channels && w.len() == channels * taps);
        let pixel = channels.next_multiple_of(cpu.lanes());
        let mut weights = vec![0.0; taps * pixel];
        for (c, kernel) in w.chunks_exact(taps).enumerate() {
            for (tap, &value) in kernel.iter().enumerate() {
                weights[tap * pixel + c] = value;
            }
        }
        let mut padded = vec![0.0; pixel];
        if let Some(bias) = bias {
            padded[..channels].copy_from_slice(bias);
        }
        Self {
            weights,
            bias: padded,
        }
    }
}

/// Computes the convolution with bias and activation; `x` and `y` are NHWC.
///
/// # Panics
/// The lengths do not fit the shape.
pub fn forward(
    cpu: Cpu,
    shape: &ConvShape,
    slope: f32,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let prepared = Prepared::new(cpu, shape, w, bias);
    assert!(x.len() == shape.batch * shape.in_len() && y.len() == shape.batch * shape.map_len());
    let pictures = x.par_chunks(shape.in_len());
    let maps = y.par_chunks_mut(shape.map_len());
    pictures
        .zip(maps)
        .for_each(|(x, y)| forward_here(cpu, shape, slope, x, &prepared, y));
}

/// As `forward`, on this thread, for as many pictures as `x` holds, with weights that were prepared
/// before.
///
/// # Panics
/// As `forward`.
pub fn forward_here(
    cpu: Cpu,
    shape: &ConvShape,
    slope: f32,
    x: &[f32],
    prepared: &Prepared,
    y: &mut [f32],
) {
    shape.check(Finish::NONE);
    let pictures = x.len() / shape.in_len();
    assert!(x.len() == pictures * shape.in_len() && y.len() == pictures * shape.map_len());
    assert!(prepared.weights.len() == shape.kernel * shape.kernel * prepared.bias.len());
    scratch::with(piece(bordered_len(shape)), |mut scratch| {
        let copy = scratch.take(bordered_len(shape));
        let pairs = x
            .chunks_exact(shape.in_len())
            .zip(y.chunks_exact_mut(shape.map_len()));
        for (x, y) in pairs {
            let x = bordered(shape, x, copy);
            cpu.run(Forward {
                shape,
                slope,
                x,
                prepared,
                y,
            });
        }
    });
}

/// Writes the gradients of `forward` from `dy`, that of its output `y`; none of them is read.
///
/// # Panics
/// The lengths do not fit the shape.
#[expect(
    clippy::too_many_arguments,
    reason = "one slice for each tensor of the formula"
)]
pub fn backward(
    cpu: Cpu,
    shape: &ConvShape,
    slope: f32,
    (x, w, y): (&[f32], &[f32], &[f32]),
    dy: &[f32],
    dx: Option<&mut [f32]>,
    dw: &mut [f32],
    dbias: Option<&mut [f32]>,
) {
    shape.check(Finish::NONE);
    let (in_len, map_len) = (shape.in_len(), shape.map_len());
    let channels = shape.outputs;
    assert!(x.len() == shape.batch * in_len && y.len() == shape.batch * map_len);
    assert!(dbias.as_ref().is_none_or(|dbias| dbias.len() == channels));
    assert!(dy.len() == y.len() && dw.len() == w.len());
    assert!(dx.as_ref().is_none_or(|dx| dx.len() == x.len()));
    let prepared = Prepared::new(cpu, shape, w, None);
    // Of each chunk: the weight gradient, laid out as the weights, then that of the bias.
    let (weights_len, pixel) = (prepared.weights.len(), prepared.bias.len());
    let partial_len = weights_len + pixel;
    let pictures = x.len() / in_len;
    let mut partial = vec![0.0; pictures.div_ceil(CHUNK) * partial_len];
    let run = |chunk: usize, partial: &mut [f32], mut dx: Option<&mut [f32]>| {
        let end = pictures.min((chunk + 1) * CHUNK);
        let (dw, dbias) = partial.split_at_mut(weights_len);
        let edged = bordered_len(shape);
        scratch::with(
            2 * piece(edged.max(in_len)) + piece(map_len),
            |mut scratch| {
                let (copy, back) = (scratch.take(edged), scratch.take(edged.max(in_len)));
                let gradient = scratch.take(map_len);
                for (i, picture) in (chunk * CHUNK..end).enumerate() {
                    let map = picture * map_len..(picture + 1) * map_len;
                    let x = bordered(shape, &x[picture * in_len..(picture + 1) * in_len], copy);
                    back.fill(0.0);
                    cpu.run(Backward {
                        shape,
                        slope,
                        x,
                        y: &y[map.clone()],
                        dy: &dy[map],
                        weights: dx.is_some().then_some(&prepared.weights[..]),
                        gradient,
                        dx: back,
                        dw,
                        dbias,
                    });
                    if let Some(dx) = &mut dx {
                        crop(shape, back, &mut dx[i * in_len..(i + 1) * in_len]);
                    }
                }
            },
        );
    };
    let partials = partial.par_chunks_exact_mut(partial_len).enumerate();
    match dx {
        Some(dx) => partials
            .zip(dx.par_chunks_mut(CHUNK * in_len))
            .for_each(|((chunk, partial), dx)| run(chunk, partial, Some(dx))),
        None => partials.for_each(|(chunk, partial)| run(chunk, partial, None)),
    }
    let sum = |at: usize| partial.iter().skip(at).step_by(partial_len).sum::<f32>();
    let taps = shape.kernel * shape.kernel;
    for (i, dw) in dw.iter_mut().enumerate() {
        *dw = sum(i % taps * pixel + i / taps);
    }
    if let Some(dbias) = dbias {
        for (c, dbias) in dbias.iter_mut().enumerate() {
            *dbias = sum(weights_len + c);
        }
    }
}

/// Copies what lies within the border.
fn crop(shape: &ConvShape, bordered: &[f32], picture: &mut [f32]) {
    let line = shape.width * shape.inputs;
    let edge = shape.border * shape.inputs;
    let rows = bordered.chunks_exact(line + 2 * edge).skip(shape.border);
    for (to, from) in picture.chunks_exact_mut(line).zip(rows) {
        to.copy_from_slice(&from[edge..edge + line]);
    }
}

/// One picture, with its border, on its way forward.
struct Forward<'a> {
    shape: &'a ConvShape,
    slope: f32,
    x: &'a [f32],
    prepared: &'a Prepared,
    y: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            shape,
            slope,
            x,
            prepared: Prepared { weights, bias },
            y,
        } = self;
        let channels = shape.outputs;
        let width = shape.width + 2 * shape.border;
        let (kernel, step) = (shape.kernel, shape.stride * channels);
        assert!(x.len() == (shape.height + 2 * shape.border) * width * channels);
        assert!(bias.len() == channels.next_multiple_of(S::F32_LANES));
        assert!(weights.len() == kernel * kernel * bias.len() && y.len() == shape.map_len());
        let zero = simd.splat_f32s(0.0);
        let slope = simd.splat_f32s(slope);
        for row in 0..shape.out_height() {
            let mut column = 0;
            while column < shape.out_width() {
                // The last outputs are computed again with their neighbours, if there are enough.
                let side = SIDE.min(shape.out_width());
                let first = column.min(shape.out_width() - side);
                for c in (0..channels).step_by(S::F32_LANES) {
                    let count = channels - c;
                    // SAFETY: the kernel's windows lie within the bordered picture, of whose pixels
                    // `count` channels are left; weights and bias are whole vectors.
                    unsafe {
                        let mut sums = [load(simd, bias.as_ptr().add(c)); SIDE];
                        for tap in 0..kernel * kernel {
                            let weight = load(simd, weights.as_ptr().add(tap * bias.len() + c));
                            let line = row * shape.stride + tap / kernel;
                            let pixel = line * width + first * shape.stride + tap % kernel;
                            let from = x.as_ptr().add(pixel * channels + c);
                            if side == SIDE && S::F32_LANES <= count {
                                for (i, sum) in sums.iter_mut().enumerate() {
                                    let x = load(simd, from.add(i * step));
                                    *sum = simd.mul_add_e_f32s(x, weight, *sum);
                                }
                            } else {
                                for (i, sum) in sums.iter_mut().enumerate().take(side) {
                                    let x = load_some(simd, from.add(i * step), count);
                                    *sum = simd.mul_add_e_f32s(x, weight, *sum);
                                }
                            }
                        }
                        let to = (row * shape.out_width() + first) * channels + c;
                        for (i, &sum) in sums.iter().enumerate().take(side) {
                            let below = simd.less_than_f32s(sum, zero);
                            let sum = simd.select_f32s(below, simd.mul_f32s(sum, slope), sum);
                            store_some(simd, y.as_mut_ptr().add(to + i * channels), sum, count);
                        }
                    }
                }
                column += SIDE;
            }
        }
    }
}

/// One picture, with its border, on its way back.
struct Backward<'a> {
    shape: &'a ConvShape,
    slope: f32,
    x: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
    /// If `dx` is wanted.
    weights: Option<&'a [f32]>,
    /// Room for the gradient before the activation.
    gradient: &'a mut [f32],
    /// Zeros, with the border.
    dx: &'a mut [f32],
    /// Added to.
    dw: &'a mut [f32],
    /// Added to.
    dbias: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            shape,
            slope,
            x,
            y,
            dy,
            weights,
            gradient,
            dx,
            dw,
            dbias,
        } = self;
        for ((gradient, y), dy) in gradient.iter_mut().zip(y).zip(dy) {
            *gradient = if 0.0 < *y { *dy } else { dy * slope };
        }
        let channels = shape.outputs;
        let width = shape.width + 2 * shape.border;
        let (kernel, pixel) = (shape.kernel, dbias.len());
        let picture = (shape.height + 2 * shape.border) * width * channels;
        assert!(x.len() == picture && dx.len() == picture && gradient.len() == shape.map_len());
        assert!(pixel == channels.next_multiple_of(S::F32_LANES));
        assert!(dw.len() == kernel * kernel * pixel);
        assert!(weights.is_none_or(|weights| weights.len() == dw.len()));
        for c in (0..channels).step_by(S::F32_LANES) {
            let count = channels - c;
            for tap in 0..kernel * kernel {
                // SAFETY: as in `Forward`; `dw` and `dbias` are whole vectors.
                unsafe {
                    let dw = dw.as_mut_ptr().add(tap * pixel + c);
                    let mut sum = load(simd, dw);
                    let mut total = load(simd, dbias.as_ptr().add(c));
                    let weight = match weights {
                        Some(weights) => load(simd, weights.as_ptr().add(tap * pixel + c)),
                        None => simd.splat_f32s(0.0),
                    };
                    for row in 0..shape.out_height() {
                        for column in 0..shape.out_width() {
                            let at = (row * shape.out_width() + column) * channels + c;
                            let g = load_some(simd, gradient.as_ptr().add(at), count);
                            let line = row * shape.stride + tap / kernel;
                            let pixel = line * width + column * shape.stride + tap % kernel;
                            let at = pixel * channels + c;
                            let x = load_some(simd, x.as_ptr().add(at), count);
                            sum = simd.mul_add_e_f32s(g, x, sum);
                            total = simd.add_f32s(total, g);
                            if weights.is_some() {
                                let to = dx.as_mut_ptr().add(at);
                                let old = load_some(simd, to, count);
                                let new = simd.mul_add_e_f32s(g, weight, old);
                                store_some(simd, to, new, count);
                            }
                        }
                    }
                    store(simd, dw, sum);
                    if tap == 0 {
                        store(simd, dbias.as_mut_ptr().add(c), total);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::conv::{self, Gradients, Saved};
    use super::super::tests::Numbers;
    use super::super::{ConvShape, Cpu, Finish};

    /// A depthwise convolution is a full one whose kernels between different channels are zero.
    #[test]
    fn channels_are_convolved_alone() {
        let mut numbers = Numbers(5);
        for cpu in Cpu::available() {
            for (channels, side, kernel, stride, border, slope) in [
                (1, 5, 3, 1, 1, 0.0),
                (8, 9, 3, 2, 1, 0.01),
                (16, 12, 5, 1, 2, 1.0),
                (17, 7, 3, 1, 0, 0.0),
                (33, 10, 1, 2, 0, 0.0),
                (40, 11, 7, 3, 3, 0.0),
            ] {
                let shape = ConvShape {
                    batch: 11,
                    height: side,
                    width: side + 2,
                    inputs: channels,
                    outputs: channels,
                    kernel,
                    stride,
                    border,
                };
                let taps = kernel * kernel;
                let x = numbers.values(shape.batch * shape.in_len());
                let w = numbers.values(channels * taps);
                let bias = numbers.values(channels);
                let mut full = vec![0.0; shape.weights_len()];
                for c in 0..channels {
                    let at = (c * channels + c) * taps;
                    full[at..at + taps].copy_from_slice(&w[c * taps..(c + 1) * taps]);
                }
                let out_len = shape.batch * shape.map_len();
                let dy = numbers.values(out_len);
                let finish = Finish { slope, pool: 1 };

                let (mut y, mut full_y) = (vec![f32::NAN; out_len], vec![f32::NAN; out_len]);
                super::forward(cpu, &shape, slope, &x, &w, Some(&bias), &mut y);
                conv::forward(
                    cpu,
                    &shape,
                    finish,
                    &x,
                    &full,
                    Some(&bias),
                    &mut full_y,
                    None,
                );
                let grads = || (vec![f32::NAN; x.len()], vec![f32::NAN; channels]);
                let (mut dx, mut dbias) = grads();
                let mut dw = vec![f32::NAN; w.len()];
                // From the same outputs, so that both see the same side of the activation.
                let saved = (&x[..], &w[..], &full_y[..]);
                super::backward(
                    cpu,
                    &shape,
                    slope,
                    saved,
                    &dy,
                    Some(&mut dx),
                    &mut dw,
                    Some(&mut dbias),
                );
                let (mut full_dx, mut full_dbias) = grads();
                let mut full_dw = vec![f32::NAN; full.len()];
                let saved = Saved {
                    x: &x,
                    w: &full,
                    y: &full_y,
                    places: None,
                };
                let gradients = Gradients {
                    dx: Some(&mut full_dx),
                    dw: &mut full_dw,
                    dbias: Some(&mut full_dbias),
                };
                conv::backward(cpu, &shape, finish, saved, &dy, gradients);
                let diagonal: Vec<f32> = (0..channels)
                    .flat_map(|c| full_dw[(c * channels + c) * taps..][..taps].to_vec())
                    .collect();
                for (name, found, expected) in [
                    ("y", &y, &full_y),
                    ("dx", &dx, &full_dx),
                    ("dw", &dw, &diagonal),
                    ("dbias", &dbias, &full_dbias),
                ] {
                    let largest = expected
                        .iter()
                        .fold(1.0f32, |largest, v| largest.max(v.abs()));
                    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                        let error = (found - expected).abs();
                        assert!(
                            error <= 5e-6 * largest,
                            "{name}[{i}] of {cpu:?} {shape:?}: {found} {expected}"
                        );
                    }
                }
            }
        }
    }
}

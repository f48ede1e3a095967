//! Convolution as it is defined, for every kernel, stride and border.
//!
//! In NHWC a row of the kernel covers values that lie side by side, so a row of outputs is a product
//! of matrices that reads the picture where it is: A walks the kernel's rows as segments, and
//! neighbouring outputs start `stride` pixels apart. A 1×1 convolution (and so a dense layer) is one
//! product over all pixels.
//!
//! Backward, the weight gradient sums over pixels in the same walk. The input gradient is a
//! convolution of the output gradient with the flipped kernel; a stride of s splits it into s×s
//! convolutions, one for each phase of the input's pixels, with the taps that reach them.

use pulp::Simd;

use super::buffer::Buffer;
use super::finish::Frame;
use super::scratch::{Pieces, piece};
use super::shape::ConvShape;
use super::tile::{Product, Start};

/// Returns the shape in which 1×1 convolutions are computed: all pixels of the group in one row.
fn unrolled(shape: &ConvShape, pictures: usize) -> (ConvShape, usize) {
    if shape.kernel == 1 && shape.stride == 1 && shape.border == 0 {
        let width = pictures * shape.height * shape.width;
        let row = ConvShape {
            height: 1,
            width,
            ..*shape
        };
        (row, 1)
    } else {
        (*shape, pictures)
    }
}

/// Values of a picture with its border.
pub(super) fn bordered_len(shape: &ConvShape) -> usize {
    if shape.border == 0 {
        return 0;
    }
    let [height, width] = [shape.height, shape.width].map(|side| side + 2 * shape.border);
    height * width * shape.inputs
}

/// Returns `picture` with its border of zeros: itself if it has none.
pub(super) fn bordered<'a>(
    shape: &ConvShape,
    picture: &'a [f32],
    copy: &'a mut [f32],
) -> &'a [f32] {
    if shape.border == 0 {
        return picture;
    }
    let line = shape.width * shape.inputs;
    let edge = shape.border * shape.inputs;
    copy.fill(0.0);
    let rows = copy.chunks_exact_mut(line + 2 * edge).skip(shape.border);
    for (to, from) in rows.zip(picture.chunks_exact(line)) {
        to[edge..edge + line].copy_from_slice(from);
    }
    copy
}

/// Returns the length of the weights that `order_weights` writes.
pub(super) fn weights_len(shape: &ConvShape, lanes: usize) -> usize {
    shape.kernel * shape.kernel * shape.inputs * shape.outputs.next_multiple_of(lanes)
}

/// Writes `w`, `[outputs, inputs, kernel, kernel]`, as `[kernel, kernel, inputs, outputs in whole
/// vectors]`.
pub(super) fn order_weights(shape: &ConvShape, lanes: usize, w: &[f32], out: &mut [f32]) {
    let taps = shape.kernel * shape.kernel;
    let columns = shape.outputs.next_multiple_of(lanes);
    for (row, out) in out.chunks_exact_mut(columns).enumerate() {
        let (tap, input) = (row / shape.inputs, row % shape.inputs);
        out.fill(0.0);
        for (output, out) in out[..shape.outputs].iter_mut().enumerate() {
            *out = w[(output * shape.inputs + input) * taps + tap];
        }
    }
}

/// A group of pictures on its way forward; the fields are those of `winograd::Forward`.
pub(super) struct Forward<'a> {
    pub(super) shape: &'a ConvShape,
    pub(super) x: &'a [f32],
    pub(super) weights: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) slope: f32,
    pub(super) y: &'a mut [f32],
    pub(super) pixel: usize,
}

impl Forward<'_> {
    /// Returns how much memory `compute` needs.
    pub(super) fn scratch(shape: &ConvShape) -> usize {
        piece(bordered_len(shape))
    }

    /// Computes the maps.
    #[inline(always)]
    pub(super) fn compute<S: Simd>(self, simd: S, mut scratch: Pieces<'_>) {
        let Self {
            x,
            weights,
            bias,
            slope,
            y,
            pixel,
            ..
        } = self;
        let (shape, pictures) = unrolled(self.shape, x.len() / self.shape.in_len());
        let columns = shape.outputs.next_multiple_of(S::F32_LANES);
        let (rows, row_len) = (shape.out_height(), shape.out_width());
        let width = shape.width + 2 * shape.border;
        let segment = shape.kernel * shape.inputs;
        assert!(pictures * shape.in_len() == x.len() && bias.len() == columns);
        assert!(weights.len() == weights_len(&shape, S::F32_LANES) && shape.outputs <= pixel);
        assert!(y.len() == pictures * rows * row_len * pixel);
        let copy = scratch.take(bordered_len(&shape));
        let maps = y.chunks_exact_mut(rows * row_len * pixel);
        for (picture, map) in x.chunks_exact(shape.in_len()).zip(maps) {
            let picture = bordered(&shape, picture, copy);
            for (row, out) in map.chunks_exact_mut(row_len * pixel).enumerate() {
                let product = Product {
                    a: picture[row * shape.stride * width * shape.inputs..].as_ptr(),
                    a_row: shape.stride * shape.inputs,
                    a_step: 1,
                    a_segment: width * shape.inputs,
                    b: weights.as_ptr(),
                    b_step: columns,
                    b_segment: segment * columns,
                    len: segment,
                    segments: shape.kernel,
                    c: out.as_mut_ptr(),
                    c_row: pixel,
                    rows: row_len,
                    columns: shape.outputs,
                    start: Start::Bias(bias.as_ptr()),
                    slope,
                };
                // SAFETY: the kernel's rows at every output lie within the bordered picture, the
                // weights are whole vectors, and the row of outputs is `pixel` values a pixel.
                unsafe { product.compute(simd) };
            }
        }
    }
}

/// A group of pictures on its way back; the fields are those of `winograd::Backward`, but that `dw`
/// is the gradient itself, `[kernel, kernel, inputs, outputs in whole vectors]`.
pub(super) struct Backward<'a> {
    pub(super) shape: &'a ConvShape,
    pub(super) x: &'a [f32],
    /// From `flip_weights`; only looked at for `dx`.
    pub(super) weights: &'a [f32],
    pub(super) dy: &'a [f32],
    pub(super) dx: Option<&'a mut [f32]>,
    pub(super) dw: &'a mut [f32],
}

/// The pixels of one phase along one side, and the taps that reach them.
#[derive(Clone, Copy)]
struct Phase {
    /// Pixels at `first + stride·i` for i in `0..count`.
    first: usize,
    count: usize,
    /// Output that the first tap (flipped) of the first pixel reads, counted from the frame's edge.
    start: usize,
    /// Number of taps; tap t (flipped) is tap `phase + stride·(taps - 1 - t)` of the kernel.
    taps: usize,
}

/// Returns phase `phase` of a side of `len` pixels.
fn phase(shape: &ConvShape, len: usize, phase: usize) -> Phase {
    let (stride, border) = (shape.stride, shape.border);
    let taps = (shape.kernel + stride - 1 - phase) / stride;
    // Pixel p is reached by tap k from output (p + border - k) / stride; q = (p + border) / stride.
    let first_q = border.saturating_sub(phase).div_ceil(stride);
    let first = first_q * stride + phase - border;
    Phase {
        first,
        count: len.saturating_sub(first).div_ceil(stride),
        start: first_q + before(shape) + 1 - taps.max(1),
        taps,
    }
}

/// Zeros that the input gradient needs before the output gradient.
fn before(shape: &ConvShape) -> usize {
    shape.kernel.div_ceil(shape.stride) - 1
}

/// Returns where the weights of each phase begin, and their length in all.
fn phase_weights(shape: &ConvShape, lanes: usize) -> (Vec<usize>, usize) {
    let row = shape.outputs.next_multiple_of(lanes) * shape.inputs.next_multiple_of(lanes);
    let mut starts = Vec::with_capacity(shape.stride * shape.stride);
    let mut len = 0;
    for row_phase in 0..shape.stride {
        for column_phase in 0..shape.stride {
            let taps = phase(shape, shape.height, row_phase).taps
                * phase(shape, shape.width, column_phase).taps;
            starts.push(len);
            len += taps * row;
        }
    }
    (starts, len)
}

/// Returns the weights for the input gradient: for each phase its taps, flipped, as `[taps, taps,
/// outputs, inputs]`, channels in whole vectors.
pub(super) fn flip_weights(shape: &ConvShape, lanes: usize, w: &[f32]) -> Buffer {
    let (starts, len) = phase_weights(shape, lanes);
    let [inputs, outputs] = [shape.inputs, shape.outputs].map(|c| c.next_multiple_of(lanes));
    let (kernel, stride) = (shape.kernel, shape.stride);
    let mut flipped = Buffer::zeros(len);
    for (number, start) in starts.into_iter().enumerate() {
        let (row_phase, column_phase) = (number / stride, number % stride);
        let rows = phase(shape, shape.height, row_phase).taps;
        let columns = phase(shape, shape.width, column_phase).taps;
        for tap in 0..rows * columns {
            let (row, column) = (tap / columns, tap % columns);
            let k = (row_phase + stride * (rows - 1 - row)) * kernel
                + column_phase
                + stride * (columns - 1 - column);
            for output in 0..shape.outputs {
                let to = start + (tap * outputs + output) * inputs;
                for input in 0..shape.inputs {
                    flipped[to + input] = w[(output * shape.inputs + input) * kernel * kernel + k];
                }
            }
        }
    }
    flipped
}

impl Backward<'_> {
    /// Returns how `dy` is laid out: with the zeros that the taps at the edges read.
    pub(super) fn frame(lanes: usize, shape: &ConvShape) -> Frame {
        let before = before(shape);
        let side = |len: usize, out_len: usize| {
            let last = (len - 1 + shape.border) / shape.stride;
            before + out_len + (last + 1).saturating_sub(out_len)
        };
        Frame {
            before,
            height: side(shape.height, shape.out_height()),
            width: side(shape.width, shape.out_width()),
            pixel: shape.outputs.next_multiple_of(lanes),
        }
    }

    /// Returns how much memory `compute` needs.
    pub(super) fn scratch(shape: &ConvShape) -> usize {
        Forward::scratch(shape)
    }

    /// Adds to `dw` and writes `dx`.
    #[inline(always)]
    pub(super) fn compute<S: Simd>(self, simd: S, mut scratch: Pieces<'_>) {
        let Self {
            x,
            weights,
            dy,
            mut dx,
            dw,
            ..
        } = self;
        let (shape, pictures) = unrolled(self.shape, x.len() / self.shape.in_len());
        let frame = Self::frame(S::F32_LANES, &shape);
        let width = shape.width + 2 * shape.border;
        let segment = shape.kernel * shape.inputs;
        assert!(x.len() == pictures * shape.in_len() && dy.len() == pictures * frame.len());
        assert!(dw.len() == weights_len(&shape, S::F32_LANES));
        assert!(dx.as_ref().is_none_or(|dx| dx.len() == x.len()));
        let copy = scratch.take(bordered_len(&shape));
        for number in 0..pictures {
            let picture = &x[number * shape.in_len()..][..shape.in_len()];
            let dy = &dy[number * frame.len()..][..frame.len()];
            let bordered = bordered(&shape, picture, copy);
            for (row, dw) in dw.chunks_exact_mut(segment * frame.pixel).enumerate() {
                let product = Product {
                    a: bordered[row * width * shape.inputs..].as_ptr(),
                    a_row: 1,
                    a_step: shape.stride * shape.inputs,
                    a_segment: shape.stride * width * shape.inputs,
                    b: dy[frame.at(0, 0)..].as_ptr(),
                    b_step: frame.pixel,
                    b_segment: frame.width * frame.pixel,
                    len: shape.out_width(),
                    segments: shape.out_height(),
                    c: dw.as_mut_ptr(),
                    c_row: frame.pixel,
                    rows: segment,
                    columns: frame.pixel,
                    start: Start::Add,
                    slope: 1.0,
                };
                // SAFETY: row `row` of the kernel at every output lies within the bordered picture,
                // and every output within the frame.
                unsafe { product.compute(simd) };
            }
            if let Some(dx) = &mut dx {
                let dx = &mut dx[number * shape.in_len()..][..shape.in_len()];
                input_gradient(simd, &shape, frame, weights, dy, dx);
            }
        }
    }
}

#[inline(always)]
fn input_gradient<S: Simd>(
    simd: S,
    shape: &ConvShape,
    frame: Frame,
    weights: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let inputs = shape.inputs.next_multiple_of(S::F32_LANES);
    let (starts, len) = phase_weights(shape, S::F32_LANES);
    assert!(weights.len() == len);
    for (number, start) in starts.into_iter().enumerate() {
        let rows = phase(shape, shape.height, number / shape.stride);
        let columns = phase(shape, shape.width, number % shape.stride);
        if columns.count == 0 {
            continue;
        }
        for row in 0..rows.count {
            let pixel = (rows.first + row * shape.stride) * shape.width + columns.first;
            let segment = columns.taps * frame.pixel;
            let product = Product {
                a: dy[((rows.start + row) * frame.width + columns.start) * frame.pixel..].as_ptr(),
                a_row: frame.pixel,
                a_step: 1,
                a_segment: frame.width * frame.pixel,
                // A phase without taps may begin where the weights end.
                b: weights[start..].as_ptr(),
                b_step: inputs,
                b_segment: segment * inputs,
                len: segment,
                segments: if segment == 0 { 0 } else { rows.taps },
                c: dx[pixel * shape.inputs..].as_mut_ptr(),
                c_row: shape.stride * shape.inputs,
                rows: columns.count,
                columns: shape.inputs,
                start: Start::Zero,
                slope: 1.0,
            };
            // SAFETY: the frame holds every output that a tap of a pixel of this phase reads, zeros
            // among them, and the pixels of the phase lie within the picture.
            unsafe { product.compute(simd) };
        }
    }
}

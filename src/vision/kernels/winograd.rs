//! 3×3 convolution with stride 1 in tiles of 4×4 outputs: Winograd's F(4×4, 3×3) of Lavin & Gray,
//! "Fast Algorithms for Convolutional Neural Networks" (2016), and its exact adjoints.
//!
//! With matrices Bᵀ (6×6), G (6×3) and Aᵀ (4×6) of that paper, a tile of outputs is
//! Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A, where d is a 6×6 patch of inputs and g a kernel. Summed over input
//! channels, the element-wise products become one matrix product for each of the 36 elements, over
//! all tiles and channels. Backward, with D = A dY Aᵀ for a tile of gradients: the weight gradient
//! is Gᵀ(Σ V ⊙ D)G and the input gradient the overlapping sum of B(U ⊙ D)Bᵀ.
//!
//! 36 multiplications do the work of 144. The constants make sums lose about two bits against
//! direct convolution; the tests state the bounds.

use pulp::Simd;

use super::finish::Frame;
use super::scratch::{LINE, Pieces, piece};
use super::shape::ConvShape;
use super::simd::{LANES_MAX, load, load_row, load_some, prefetch, store, store_some};
use super::tile::{Product, Start};

/// Elements of a transformed tile.
const ELEMENTS: usize = 36;
/// Side of a tile of outputs.
const TILE: usize = 4;
/// Side of a tile of inputs.
const PATCH: usize = 6;
/// Values of the transformed tiles of one block, which should stay in the second-level cache beside
/// some of the weights.
const BLOCK_VALUES: usize = 48 * 1024;
/// How many tiles before its turn a patch is fetched into the cache.
const AHEAD: usize = 2;

/// Matrices, one for each of the 36 elements. A line lies between them, so that equal places of
/// all 36 do not fall on the same lines of the cache.
#[derive(Clone, Copy)]
struct Matrices {
    rows: usize,
    columns: usize,
}

impl Matrices {
    fn stride(self) -> usize {
        self.rows * self.columns + LINE
    }

    fn len(self) -> usize {
        ELEMENTS * self.stride()
    }
}

/// The tiles of all pictures of a group, numbered picture by picture, row by row.
#[derive(Clone, Copy)]
struct Tiles {
    rows: usize,
    columns: usize,
}

impl Tiles {
    fn new(shape: &ConvShape) -> Self {
        Self {
            rows: shape.out_height().div_ceil(TILE),
            columns: shape.out_width().div_ceil(TILE),
        }
    }

    fn per_picture(self) -> usize {
        self.rows * self.columns
    }

    /// Returns picture, row and column of a tile.
    fn place(self, tile: usize) -> (usize, usize, usize) {
        let (picture, rest) = (tile / self.per_picture(), tile % self.per_picture());
        (picture, rest / self.columns, rest % self.columns)
    }
}

/// Returns how many tiles are transformed before they are multiplied.
fn block_tiles(lanes: usize, shape: &ConvShape) -> usize {
    let channels = shape.inputs.next_multiple_of(lanes) + shape.outputs.next_multiple_of(lanes);
    (BLOCK_VALUES / (ELEMENTS * channels)).clamp(24, 128)
}

/// Does this convolution have the form that this file computes, and is it faster so?
pub(super) fn suits(shape: &ConvShape, lanes: usize) -> bool {
    if shape.kernel != 3 || shape.stride != 1 {
        return false;
    }
    let [inputs, outputs] = [shape.inputs, shape.outputs].map(|c| c.next_multiple_of(lanes));
    let tiles = Tiles::new(shape).per_picture();
    // In multiplications: the transforms cost about as much as 250 of them for each channel.
    let winograd = tiles * (ELEMENTS * shape.inputs * outputs + 250 * (inputs + outputs));
    let direct = shape.out_height() * shape.out_width() * 9 * shape.inputs * outputs;
    winograd < direct
}

/// Returns the length of the weights that `transform_weights` writes.
pub(super) fn weights_len(sums: usize, columns: usize) -> usize {
    Matrices {
        rows: sums,
        columns,
    }
    .len()
}

/// Writes G g Gᵀ of the kernels `sums` (of the channels that are summed over) into `out`, which is
/// `weights_len` long and shared between calls for disjoint `sums`.
///
/// `w` is `[outputs, inputs, 3, 3]`. Forward, input channels are summed over and output channels are
/// columns; `backward` swaps them.
///
/// # Safety
/// `out` can be written for `weights_len(all sums, columns)` values.
#[inline(always)]
pub(super) unsafe fn transform_weights<S: Simd>(
    simd: S,
    shape: &ConvShape,
    w: &[f32],
    backward: bool,
    sums: std::ops::Range<usize>,
    out: *mut f32,
) {
    let lanes = S::F32_LANES;
    let (all_sums, columns) = if backward {
        (shape.outputs, shape.inputs)
    } else {
        (shape.inputs, shape.outputs)
    };
    let matrices = Matrices {
        rows: all_sums,
        columns: columns.next_multiple_of(lanes),
    };
    let zero = simd.splat_f32s(0.0);
    for sum in sums {
        let mut column = 0;
        while column < columns {
            let mut taps = [[0.0f32; LANES_MAX]; 9];
            for lane in 0..lanes.min(columns - column) {
                let kernel = if backward {
                    sum * shape.inputs + column + lane
                } else {
                    (column + lane) * shape.inputs + sum
                };
                for (taps, &value) in taps.iter_mut().zip(&w[kernel * 9..kernel * 9 + 9]) {
                    taps[lane] = value;
                }
            }
            let mut rows = [[zero; PATCH]; 3];
            for (row, taps) in rows.iter_mut().zip(taps.as_chunks::<3>().0) {
                // SAFETY: each tap is as long as a vector of any form.
                *row = g_times(simd, unsafe {
                    load_row(simd, taps.as_ptr().cast(), LANES_MAX)
                });
            }
            for j in 0..PATCH {
                let elements = g_times(simd, column_of(&rows, j));
                for (i, &element) in elements.iter().enumerate() {
                    let at = (i * PATCH + j) * matrices.stride() + sum * matrices.columns + column;
                    // SAFETY: row and column lie within the matrix of the element.
                    unsafe { store(simd, out.add(at), element) };
                }
            }
            column += lanes;
        }
    }
}

/// A group of pictures on its way forward.
pub(super) struct Forward<'a> {
    /// The convolution; its `batch` is not looked at.
    pub(super) shape: &'a ConvShape,
    /// The pictures.
    pub(super) x: &'a [f32],
    /// Transformed weights.
    pub(super) weights: &'a [f32],
    /// In whole vectors.
    pub(super) bias: &'a [f32],
    /// Slope of the activation below zero.
    pub(super) slope: f32,
    /// The maps, `[pictures, out_height, out_width, pixel]`.
    pub(super) y: &'a mut [f32],
    /// Values from one pixel of `y` to the next, at least `outputs`.
    pub(super) pixel: usize,
}

impl Forward<'_> {
    /// Returns how much memory `compute` needs.
    pub(super) fn scratch(lanes: usize, shape: &ConvShape) -> usize {
        let rows = block_tiles(lanes, shape);
        let matrices = [shape.inputs, shape.outputs].map(|channels| {
            let columns = channels.next_multiple_of(lanes);
            piece(Matrices { rows, columns }.len())
        });
        piece(PATCH * PATCH * shape.inputs) + matrices.iter().sum::<usize>()
    }

    /// Computes the maps.
    #[inline(always)]
    pub(super) fn compute<S: Simd>(self, simd: S, mut scratch: Pieces<'_>) {
        let Self {
            shape,
            x,
            weights,
            bias,
            slope,
            y,
            pixel,
        } = self;
        let pictures = x.len() / shape.in_len();
        let tiles = Tiles::new(shape);
        let block = block_tiles(S::F32_LANES, shape);
        let columns = shape.outputs.next_multiple_of(S::F32_LANES);
        let patches = Matrices {
            rows: block,
            columns: shape.inputs.next_multiple_of(S::F32_LANES),
        };
        let sums = Matrices {
            rows: block,
            columns,
        };
        let kernels = Matrices {
            rows: shape.inputs,
            columns,
        };
        assert!(pictures * shape.in_len() == x.len() && bias.len() == columns);
        assert!(weights.len() == kernels.len() && shape.outputs <= pixel);
        assert!(y.len() == pictures * shape.out_height() * shape.out_width() * pixel);
        let edge = scratch.take(PATCH * PATCH * shape.inputs);
        let v = scratch.take(patches.len());
        let m = scratch.take(sums.len());
        let all = pictures * tiles.per_picture();
        let mut first = 0;
        while first < all {
            let count = block.min(all - first);
            for tile in 0..count {
                let place = tiles.place(first + tile);
                transform_patch(simd, shape, x, place, (patches, tile), v, edge);
            }
            for element in 0..ELEMENTS {
                let product = Product {
                    a: v[element * patches.stride()..].as_ptr(),
                    a_row: patches.columns,
                    a_step: 1,
                    a_segment: 0,
                    b: weights[element * kernels.stride()..].as_ptr(),
                    b_step: columns,
                    b_segment: 0,
                    len: shape.inputs,
                    segments: 1,
                    c: m[element * sums.stride()..].as_mut_ptr(),
                    c_row: columns,
                    rows: count,
                    columns,
                    start: Start::Zero,
                    slope: 1.0,
                };
                // SAFETY: `count` rows of the element's matrices, all of whole vectors.
                unsafe { product.compute(simd) };
            }
            for tile in 0..count {
                let (picture, row, column) = tiles.place(first + tile);
                let corner = ((picture * shape.out_height() + row * TILE) * shape.out_width()
                    + column * TILE)
                    * pixel;
                let size = [
                    shape.out_height() - row * TILE,
                    shape.out_width() - column * TILE,
                ];
                let mut c = 0;
                while c < shape.outputs {
                    // SAFETY: the element's row holds whole vectors; pixels inside the map are
                    // written, each `outputs` wide.
                    unsafe {
                        let from = m.as_ptr().add(tile * columns + c);
                        let start = load(simd, bias.as_ptr().add(c));
                        let to = y.as_mut_ptr().add(corner + c);
                        let line = shape.out_width() * pixel;
                        write_tile(
                            simd,
                            (from, sums.stride()),
                            start,
                            slope,
                            (to, line, pixel),
                            size,
                            shape.outputs - c,
                        );
                    }
                    c += S::F32_LANES;
                }
            }
            first += count;
        }
    }
}

/// Writes Bᵀ d B of one patch of inputs into row `tile` of the 36 matrices.
#[inline(always)]
fn transform_patch<S: Simd>(
    simd: S,
    shape: &ConvShape,
    x: &[f32],
    (picture, row, column): (usize, usize, usize),
    (patches, tile): (Matrices, usize),
    v: &mut [f32],
    edge: &mut [f32],
) {
    let channels = shape.inputs;
    let (top, left) = (row * TILE, column * TILE);
    assert!((tile + 1) * patches.columns <= patches.stride() && patches.len() <= v.len());
    assert!(edge.len() == PATCH * PATCH * channels);
    // Rows and columns of the patch that lie within the picture.
    let rows = inside(top, shape.border, shape.height);
    let columns = inside(left, shape.border, shape.width);
    let origin = (picture * shape.height + top) * shape.width + left;
    let origin = origin as isize - (shape.border * shape.width + shape.border) as isize;
    for i in 0..PATCH {
        let ahead = i * shape.width + PATCH - TILE + AHEAD * TILE;
        let at = (origin + ahead as isize) * channels as isize;
        prefetch(x.as_ptr().wrapping_offset(at), TILE * channels);
    }
    let mut from = x.as_ptr().wrapping_offset(origin * channels as isize);
    let mut line = shape.width * channels;
    if rows != (0, PATCH) || columns != (0, PATCH) {
        // At the edge: a copy with zeros around it.
        edge.fill(0.0);
        // None at all where the border is wider than a patch.
        let within = if columns.0 < columns.1 {
            rows.0..rows.1
        } else {
            0..0
        };
        for i in within {
            let pixel = origin + (i * shape.width + columns.0) as isize;
            let at = pixel as usize * channels;
            let len = (columns.1 - columns.0) * channels;
            let to = (i * PATCH + columns.0) * channels;
            edge[to..to + len].copy_from_slice(&x[at..at + len]);
        }
        (from, line) = (edge.as_ptr(), PATCH * channels);
    }
    let mut c = 0;
    while c + S::F32_LANES <= channels {
        let at = tile * patches.columns + c;
        // SAFETY: the patch lies within the picture or the copy, a whole vector is left of its
        // pixels, and the rows of the matrices are whole vectors.
        unsafe {
            let from = (from.add(c), line, channels);
            transform_vectors::<S, false>(
                simd,
                from,
                S::F32_LANES,
                (v.as_mut_ptr().add(at), patches.stride()),
            );
        }
        c += S::F32_LANES;
    }
    if c < channels {
        let at = tile * patches.columns + c;
        // SAFETY: as above, with the channels that are left.
        unsafe {
            let from = (from.add(c), line, channels);
            transform_vectors::<S, true>(
                simd,
                from,
                channels - c,
                (v.as_mut_ptr().add(at), patches.stride()),
            );
        }
    }
}

/// Writes Bᵀ d B of 6×6 vectors; `SOME`: of which only the first `count` values exist.
///
/// # Safety
/// 6×6 vectors can be read at `from`, at the distances `line` and `pixel`, and 36 written at `to` at
/// the distance `stride`.
#[inline(always)]
unsafe fn transform_vectors<S: Simd, const SOME: bool>(
    simd: S,
    (from, line, pixel): (*const f32, usize, usize),
    count: usize,
    (to, stride): (*mut f32, usize),
) {
    let mut half = [[simd.splat_f32s(0.0); PATCH]; PATCH];
    for (i, half) in half.iter_mut().enumerate() {
        let mut row = [simd.splat_f32s(0.0); PATCH];
        for (j, value) in row.iter_mut().enumerate() {
            // SAFETY: as the caller promises.
            unsafe {
                let from = from.add(i * line + j * pixel);
                *value = if SOME {
                    load_some(simd, from, count)
                } else {
                    load(simd, from)
                };
            }
        }
        *half = b_transposed_times(simd, row);
    }
    for j in 0..PATCH {
        let elements = b_transposed_times(simd, column_of(&half, j));
        for (i, &element) in elements.iter().enumerate() {
            // SAFETY: as the caller promises.
            unsafe { store(simd, to.add((i * PATCH + j) * stride), element) };
        }
    }
}

/// Returns the range of a patch from `from` (counted from `border` before the picture) that lies
/// within `len`.
#[inline(always)]
fn inside(from: usize, border: usize, len: usize) -> (usize, usize) {
    let first = border.saturating_sub(from);
    let end = (len + border).saturating_sub(from);
    (first.min(PATCH), end.min(PATCH))
}

/// Writes Aᵀ m A, with bias and activation, clipped to `size`.
///
/// # Safety
/// 36 vectors at distance `stride` can be read at `m`; `size` pixels (at most 4×4) can be written
/// at `to`, at the distances `line` and `pixel`, each `channels` (at most a vector) wide.
#[inline(always)]
unsafe fn write_tile<S: Simd>(
    simd: S,
    (m, stride): (*const f32, usize),
    bias: S::f32s,
    slope: f32,
    (to, line, pixel): (*mut f32, usize, usize),
    size: [usize; 2],
    channels: usize,
) {
    let zero = simd.splat_f32s(0.0);
    let below_slope = simd.splat_f32s(slope);
    let mut half = [[zero; TILE]; PATCH];
    for (i, half) in half.iter_mut().enumerate() {
        // SAFETY: as the caller promises.
        let row = unsafe { load_row(simd, m.add(i * PATCH * stride), stride) };
        *half = a_transposed_times(simd, row);
    }
    for j in 0..TILE {
        let values = a_transposed_times(simd, column_of(&half, j));
        for (i, &value) in values.iter().enumerate() {
            if i < size[0] && j < size[1] {
                let mut value = simd.add_f32s(value, bias);
                if slope != 1.0 {
                    let below = simd.less_than_f32s(value, zero);
                    value = simd.select_f32s(below, simd.mul_f32s(value, below_slope), value);
                }
                // SAFETY: as the caller promises.
                unsafe { store_some(simd, to.add(i * line + j * pixel), value, channels) };
            }
        }
    }
}

/// A group of pictures on its way back.
pub(super) struct Backward<'a> {
    /// The convolution; its `batch` is not looked at.
    pub(super) shape: &'a ConvShape,
    /// The pictures.
    pub(super) x: &'a [f32],
    /// Transformed weights, outputs summed over; only looked at for `dx`.
    pub(super) weights: &'a [f32],
    /// Gradients of the maps, laid out by `frame`.
    pub(super) dy: &'a [f32],
    /// Gradients of the pictures, if wanted.
    pub(super) dx: Option<&'a mut [f32]>,
    /// Sums of V ⊙ D so far.
    pub(super) du: &'a mut [f32],
}

impl Backward<'_> {
    /// Returns how `dy` is laid out: rows and columns fill whole tiles.
    pub(super) fn frame(lanes: usize, shape: &ConvShape) -> Frame {
        let tiles = Tiles::new(shape);
        Frame {
            before: 0,
            height: tiles.rows * TILE,
            width: tiles.columns * TILE,
            pixel: shape.outputs.next_multiple_of(lanes),
        }
    }

    /// Returns the length of `du`.
    pub(super) fn du_len(lanes: usize, shape: &ConvShape) -> usize {
        weights_len(shape.inputs, shape.outputs.next_multiple_of(lanes))
    }

    /// Returns how much memory `compute` needs.
    pub(super) fn scratch(lanes: usize, shape: &ConvShape) -> usize {
        Forward::scratch(lanes, shape)
    }

    /// Adds to `du` and writes `dx`.
    #[inline(always)]
    pub(super) fn compute<S: Simd>(self, simd: S, mut scratch: Pieces<'_>) {
        let Self {
            shape,
            x,
            weights,
            dy,
            mut dx,
            du,
        } = self;
        let lanes = S::F32_LANES;
        let pictures = x.len() / shape.in_len();
        let tiles = Tiles::new(shape);
        let frame = Self::frame(lanes, shape);
        let block = block_tiles(S::F32_LANES, shape);
        let [inputs, outputs] = [shape.inputs, shape.outputs].map(|c| c.next_multiple_of(lanes));
        let patches = Matrices {
            rows: block,
            columns: inputs,
        };
        let gradients = Matrices {
            rows: block,
            columns: outputs,
        };
        let kernels = Matrices {
            rows: shape.outputs,
            columns: inputs,
        };
        let sums = Matrices {
            rows: shape.inputs,
            columns: outputs,
        };
        assert!(x.len() == pictures * shape.in_len() && dy.len() == pictures * frame.len());
        assert!(du.len() == sums.len());
        assert!(
            dx.as_ref()
                .is_none_or(|dx| dx.len() == x.len() && weights.len() == kernels.len())
        );
        let edge = scratch.take(PATCH * PATCH * shape.inputs);
        let v = scratch.take(patches.len());
        let d = scratch.take(gradients.len());
        if let Some(dx) = &mut dx {
            dx.fill(0.0);
        }
        let all = pictures * tiles.per_picture();
        let mut first = 0;
        while first < all {
            let count = block.min(all - first);
            for tile in 0..count {
                let (picture, row, column) = tiles.place(first + tile);
                transform_patch(
                    simd,
                    shape,
                    x,
                    (picture, row, column),
                    (patches, tile),
                    v,
                    edge,
                );
                let corner = picture * frame.len() + frame.at(row * TILE, column * TILE);
                transform_gradients(simd, frame, &dy[corner..], (gradients, tile), d);
            }
            for element in 0..ELEMENTS {
                let v = v[element * patches.stride()..].as_mut_ptr();
                let d = d[element * gradients.stride()..].as_ptr();
                let product = Product {
                    a: v,
                    a_row: 1,
                    a_step: inputs,
                    a_segment: 0,
                    b: d,
                    b_step: outputs,
                    b_segment: 0,
                    len: count,
                    segments: 1,
                    c: du[element * sums.stride()..].as_mut_ptr(),
                    c_row: outputs,
                    rows: shape.inputs,
                    columns: outputs,
                    start: Start::Add,
                    slope: 1.0,
                };
                // SAFETY: `count` rows of the element's matrices of this block.
                unsafe { product.compute(simd) };
                if dx.is_some() {
                    let product = Product {
                        a: d,
                        a_row: outputs,
                        a_step: 1,
                        a_segment: 0,
                        b: weights[element * kernels.stride()..].as_ptr(),
                        b_step: inputs,
                        b_segment: 0,
                        len: shape.outputs,
                        segments: 1,
                        c: v,
                        c_row: inputs,
                        rows: count,
                        columns: inputs,
                        start: Start::Zero,
                        slope: 1.0,
                    };
                    // SAFETY: as above; the patches have been used and make room for their gradient.
                    unsafe { product.compute(simd) };
                }
            }
            if let Some(dx) = &mut dx {
                for tile in 0..count {
                    scatter_patch(simd, shape, dx, tiles.place(first + tile), patches, tile, v);
                }
            }
            first += count;
        }
    }
}

/// Writes A dY Aᵀ of the tile of gradients that begins at `dy` into row `tile` of the 36 matrices.
#[inline(always)]
fn transform_gradients<S: Simd>(
    simd: S,
    frame: Frame,
    dy: &[f32],
    (gradients, tile): (Matrices, usize),
    d: &mut [f32],
) {
    let line = frame.width * frame.pixel;
    assert!(((TILE - 1) * frame.width + TILE) * frame.pixel <= dy.len());
    assert!((tile + 1) * frame.pixel <= gradients.stride() && gradients.len() <= d.len());
    for c in (0..frame.pixel).step_by(S::F32_LANES) {
        // SAFETY: the tile lies within `dy`, and pixels and matrices are whole vectors.
        unsafe {
            let from = dy.as_ptr().add(c);
            let to = d.as_mut_ptr().add(tile * frame.pixel + c);
            transform_gradient(simd, (from, line, frame.pixel), (to, gradients.stride()));
        }
    }
}

/// Writes A dY Aᵀ of a 4×4 tile of gradients.
///
/// # Safety
/// 4×4 vectors can be read at `from`, at the distances `line` and `pixel`, and 36 written at `to` at
/// the distance `stride`.
#[inline(always)]
unsafe fn transform_gradient<S: Simd>(
    simd: S,
    (from, line, pixel): (*const f32, usize, usize),
    (to, stride): (*mut f32, usize),
) {
    let mut half = [[simd.splat_f32s(0.0); PATCH]; TILE];
    for (i, half) in half.iter_mut().enumerate() {
        // SAFETY: as the caller promises.
        *half = a_times(simd, unsafe { load_row(simd, from.add(i * line), pixel) });
    }
    for j in 0..PATCH {
        let elements = a_times(simd, column_of(&half, j));
        for (i, &element) in elements.iter().enumerate() {
            // SAFETY: as the caller promises.
            unsafe { store(simd, to.add((i * PATCH + j) * stride), element) };
        }
    }
}

/// Adds B t Bᵀ of row `tile` of the 36 matrices to the patch of inputs it came from.
#[inline(always)]
fn scatter_patch<S: Simd>(
    simd: S,
    shape: &ConvShape,
    dx: &mut [f32],
    (picture, row, column): (usize, usize, usize),
    patches: Matrices,
    tile: usize,
    v: &[f32],
) {
    let channels = shape.inputs;
    let (top, left) = (row * TILE, column * TILE);
    let rows = inside(top, shape.border, shape.height);
    let columns = inside(left, shape.border, shape.width);
    let origin = (picture * shape.height + top) * shape.width + left;
    let origin = origin as isize - (shape.border * shape.width + shape.border) as isize;
    let mut c = 0;
    while c < channels {
        let count = channels - c;
        let mut half = [[simd.splat_f32s(0.0); PATCH]; PATCH];
        for (i, half) in half.iter_mut().enumerate() {
            let at = i * PATCH * patches.stride() + tile * patches.columns + c;
            // SAFETY: the row of the element's matrix holds whole vectors.
            let row = unsafe { load_row(simd, v.as_ptr().add(at), patches.stride()) };
            *half = b_times(simd, row);
        }
        for j in 0..PATCH {
            let values = b_times(simd, column_of(&half, j));
            if j < columns.0 || columns.1 <= j {
                continue;
            }
            for (i, &value) in values.iter().enumerate() {
                if i < rows.0 || rows.1 <= i {
                    continue;
                }
                let at = (origin + (i * shape.width + j) as isize) * channels as isize + c as isize;
                // SAFETY: the pixel lies within the picture, and `count` channels are left.
                unsafe {
                    let to = dx.as_mut_ptr().offset(at);
                    let sum = simd.add_f32s(load_some(simd, to, count), value);
                    store_some(simd, to, sum, count);
                }
            }
        }
        c += S::F32_LANES;
    }
}

/// Writes Gᵀ u G of the summed products into `dw`, `[3, 3, inputs, outputs in whole vectors]`.
#[inline(always)]
pub(super) fn weight_gradient<S: Simd>(simd: S, shape: &ConvShape, du: &[f32], dw: &mut [f32]) {
    let outputs = shape.outputs.next_multiple_of(S::F32_LANES);
    let sums = Matrices {
        rows: shape.inputs,
        columns: outputs,
    };
    assert!(du.len() == sums.len() && dw.len() == 9 * shape.inputs * outputs);
    for input in 0..shape.inputs {
        for c in (0..outputs).step_by(S::F32_LANES) {
            let at = input * outputs + c;
            let mut half = [[simd.splat_f32s(0.0); 3]; PATCH];
            for (i, half) in half.iter_mut().enumerate() {
                let from = i * PATCH * sums.stride() + at;
                // SAFETY: row and column lie within the matrix of the element.
                let row = unsafe { load_row(simd, du.as_ptr().add(from), sums.stride()) };
                *half = g_transposed_times(simd, row);
            }
            for j in 0..3 {
                let taps = g_transposed_times(simd, column_of(&half, j));
                for (i, &tap) in taps.iter().enumerate() {
                    let to = (i * 3 + j) * shape.inputs * outputs + at;
                    // SAFETY: the same place in the matrix of the tap.
                    unsafe { store(simd, dw.as_mut_ptr().add(to), tap) };
                }
            }
        }
    }
}

/// a·b + c.
#[inline(always)]
fn fma<S: Simd>(simd: S, a: f32, b: S::f32s, c: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(a), b, c)
}

/// a·b.
#[inline(always)]
fn times<S: Simd>(simd: S, a: f32, b: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(a), b)
}

/// Returns column `j`.
#[inline(always)]
fn column_of<V: Copy, const C: usize, const R: usize>(rows: &[[V; C]; R], j: usize) -> [V; R] {
    let mut column = [rows[0][j]; R];
    for i in 1..R {
        column[i] = rows[i][j];
    }
    column
}

/// Returns Bᵀ d: Bᵀ = [4 0 -5 0 1 0; 0 -4 -4 1 1 0; 0 4 -4 -1 1 0; 0 -2 -1 2 1 0; 0 2 -1 -2 1 0;
/// 0 4 0 -5 0 1].
#[inline(always)]
fn b_transposed_times<S: Simd>(simd: S, d: [S::f32s; PATCH]) -> [S::f32s; PATCH] {
    let even = fma(simd, -4.0, d[2], d[4]);
    let odd = fma(simd, -4.0, d[1], d[3]);
    let even2 = simd.sub_f32s(d[4], d[2]);
    let odd2 = simd.sub_f32s(d[3], d[1]);
    [
        fma(simd, 4.0, d[0], fma(simd, -5.0, d[2], d[4])),
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        fma(simd, 2.0, odd2, even2),
        fma(simd, -2.0, odd2, even2),
        fma(simd, 4.0, d[1], fma(simd, -5.0, d[3], d[5])),
    ]
}

/// Returns B t, B the transpose of the matrix above.
#[inline(always)]
fn b_times<S: Simd>(simd: S, t: [S::f32s; PATCH]) -> [S::f32s; PATCH] {
    let sum1 = simd.add_f32s(t[1], t[2]);
    let difference1 = simd.sub_f32s(t[2], t[1]);
    let sum3 = simd.add_f32s(t[3], t[4]);
    let difference3 = simd.sub_f32s(t[4], t[3]);
    let four = simd.splat_f32s(4.0);
    [
        simd.mul_f32s(four, t[0]),
        fma(
            simd,
            4.0,
            difference1,
            fma(simd, 2.0, difference3, simd.mul_f32s(four, t[5])),
        ),
        fma(simd, -5.0, t[0], fma(simd, -4.0, sum1, simd.neg_f32s(sum3))),
        fma(
            simd,
            -2.0,
            difference3,
            fma(simd, -5.0, t[5], simd.neg_f32s(difference1)),
        ),
        simd.add_f32s(t[0], simd.add_f32s(sum1, sum3)),
        t[5],
    ]
}

/// Returns Aᵀ m: Aᵀ = [1 1 1 1 1 0; 0 1 -1 2 -2 0; 0 1 1 4 4 0; 0 1 -1 8 -8 1].
#[inline(always)]
fn a_transposed_times<S: Simd>(simd: S, m: [S::f32s; PATCH]) -> [S::f32s; TILE] {
    let sum1 = simd.add_f32s(m[1], m[2]);
    let difference1 = simd.sub_f32s(m[1], m[2]);
    let sum3 = simd.add_f32s(m[3], m[4]);
    let difference3 = simd.sub_f32s(m[3], m[4]);
    [
        simd.add_f32s(simd.add_f32s(m[0], sum1), sum3),
        fma(simd, 2.0, difference3, difference1),
        fma(simd, 4.0, sum3, sum1),
        fma(simd, 8.0, difference3, simd.add_f32s(difference1, m[5])),
    ]
}

/// Returns A y, A the transpose of the matrix above.
#[inline(always)]
fn a_times<S: Simd>(simd: S, y: [S::f32s; TILE]) -> [S::f32s; PATCH] {
    let even = simd.add_f32s(y[0], y[2]);
    let odd = simd.add_f32s(y[1], y[3]);
    let even2 = fma(simd, 4.0, y[2], y[0]);
    let odd2 = fma(simd, 4.0, y[3], y[1]);
    [
        y[0],
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        fma(simd, 2.0, odd2, even2),
        fma(simd, -2.0, odd2, even2),
        y[3],
    ]
}

/// Returns G g: G = [1/4 0 0; -1/6 -1/6 -1/6; -1/6 1/6 -1/6; 1/24 1/12 1/6; 1/24 -1/12 1/6; 0 0 1].
#[inline(always)]
fn g_times<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; PATCH] {
    let outer = times(simd, -1.0 / 6.0, simd.add_f32s(g[0], g[2]));
    let outer2 = fma(simd, 1.0 / 24.0, g[0], times(simd, 1.0 / 6.0, g[2]));
    [
        times(simd, 0.25, g[0]),
        fma(simd, -1.0 / 6.0, g[1], outer),
        fma(simd, 1.0 / 6.0, g[1], outer),
        fma(simd, 1.0 / 12.0, g[1], outer2),
        fma(simd, -1.0 / 12.0, g[1], outer2),
        g[2],
    ]
}

/// Returns Gᵀ t, G as above.
#[inline(always)]
fn g_transposed_times<S: Simd>(simd: S, t: [S::f32s; PATCH]) -> [S::f32s; 3] {
    let sum1 = simd.add_f32s(t[1], t[2]);
    let difference1 = simd.sub_f32s(t[2], t[1]);
    let sum3 = simd.add_f32s(t[3], t[4]);
    let difference3 = simd.sub_f32s(t[3], t[4]);
    [
        fma(
            simd,
            0.25,
            t[0],
            fma(simd, -1.0 / 6.0, sum1, times(simd, 1.0 / 24.0, sum3)),
        ),
        fma(
            simd,
            1.0 / 6.0,
            difference1,
            times(simd, 1.0 / 12.0, difference3),
        ),
        fma(simd, -1.0 / 6.0, sum1, fma(simd, 1.0 / 6.0, sum3, t[5])),
    ]
}

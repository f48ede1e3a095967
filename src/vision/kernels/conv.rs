//! Convolution with what follows it, forward and backward, over a batch and all threads.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::cpu::Cpu;
use super::finish::{Frame, pool_map, spread_gradient};
use super::scratch::{self, Pieces, piece};
use super::shape::{ConvShape, Finish};
use super::{direct, winograd};

/// Pictures whose weight gradients are summed by one thread, in order. The bits of the result depend
/// on it, the number of threads does not matter.
const CHUNK: usize = 8;
/// Values of maps that a group of pictures may take before they are pooled.
const GROUP_VALUES: usize = 64 * 1024;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Direct,
    Winograd,
}

fn algorithm(shape: &ConvShape, lanes: usize) -> Algorithm {
    if winograd::suits(shape, lanes) {
        Algorithm::Winograd
    } else {
        Algorithm::Direct
    }
}

/// Weights and bias of a convolution in the form in which they are multiplied.
#[derive(Debug)]
pub struct Prepared {
    algorithm: Algorithm,
    /// Sizes that this was made for, whatever the batch.
    shape: ConvShape,
    weights: Buffer,
    bias: Vec<f32>,
}

impl Prepared {
    /// Prepares `w`, `[outputs, inputs, kernel, kernel]`, and `bias`, `[outputs]`, for maps of this
    /// size.
    ///
    /// # Panics
    /// The lengths do not fit the shape.
    #[must_use]
    pub fn new(cpu: Cpu, shape: &ConvShape, w: &[f32], bias: Option<&[f32]>) -> Self {
        shape.check(Finish::NONE);
        assert!(w.len() == shape.weights_len());
        assert!(bias.is_none_or(|bias| bias.len() == shape.outputs));
        let lanes = cpu.lanes();
        let algorithm = algorithm(shape, lanes);
        let columns = shape.outputs.next_multiple_of(lanes);
        let weights = match algorithm {
            Algorithm::Direct => {
                let mut weights = Buffer::take(direct::weights_len(shape, lanes));
                direct::order_weights(shape, lanes, w, &mut weights);
                weights
            }
            Algorithm::Winograd => transformed(cpu, shape, w, false),
        };
        let mut padded = vec![0.0; columns];
        if let Some(bias) = bias {
            padded[..bias.len()].copy_from_slice(bias);
        }
        Self {
            algorithm,
            shape: *shape,
            weights,
            bias: padded,
        }
    }
}

/// Returns the transformed weights, computed by all threads.
fn transformed(cpu: Cpu, shape: &ConvShape, w: &[f32], backward: bool) -> Buffer {
    struct Part<'a> {
        shape: &'a ConvShape,
        w: &'a [f32],
        backward: bool,
        sums: Range<usize>,
        out: Shared,
    }
    #[derive(Clone, Copy)]
    struct Shared(*mut f32);
    // SAFETY: each thread writes rows of its own.
    unsafe impl Send for Shared {}
    // SAFETY: as above.
    unsafe impl Sync for Shared {}
    impl WithSimd for Part<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self {
                shape,
                w,
                backward,
                sums,
                out,
            } = self;
            // SAFETY: `out` is `weights_len` long, and no other part has these rows.
            unsafe { winograd::transform_weights(simd, shape, w, backward, sums, out.0) };
        }
    }
    let (sums, columns) = if backward {
        (shape.outputs, shape.inputs)
    } else {
        (shape.inputs, shape.outputs)
    };
    let mut out = Buffer::take(winograd::weights_len(
        sums,
        columns.next_multiple_of(cpu.lanes()),
    ));
    let shared = Shared(out.as_mut_ptr());
    // A row of few columns is not worth the way to another thread.
    let rows = (2048 / columns).max(1);
    (0..sums.div_ceil(rows)).into_par_iter().for_each(|part| {
        let sums = part * rows..sums.min((part + 1) * rows);
        cpu.run(Part {
            shape,
            w,
            backward,
            sums,
            out: shared,
        });
    });
    out
}

/// Computes a convolution with bias, activation and pooling.
///
/// `x` is `[batch, height, width, inputs]`, `w` `[outputs, inputs, kernel, kernel]`, `bias`
/// `[outputs]`, `y` `[batch, out_height / pool, out_width / pool, outputs]`; `places`, of the same
/// shape, gets the position (row · pool + column) of the largest value in each window.
///
/// # Panics
/// The lengths do not fit the shape.
#[expect(
    clippy::too_many_arguments,
    reason = "one slice for each tensor of the formula"
)]
pub fn forward(
    cpu: Cpu,
    shape: &ConvShape,
    finish: Finish,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    places: Option<&mut [u8]>,
) {
    let prepared = Prepared::new(cpu, shape, w, bias);
    forward_prepared(cpu, shape, finish, x, &prepared, y, places);
}

/// Returns how many pictures are computed together: enough to share the weights between them, few
/// enough for their maps to stay in the cache.
fn group(shape: &ConvShape) -> usize {
    (GROUP_VALUES / shape.map_len().max(1)).clamp(1, CHUNK)
}

/// As `forward`, with weights that were prepared before, for the same sizes but for the batch.
///
/// # Panics
/// The lengths do not fit the shape, or the weights were prepared for another.
pub fn forward_prepared(
    cpu: Cpu,
    shape: &ConvShape,
    finish: Finish,
    x: &[f32],
    prepared: &Prepared,
    y: &mut [f32],
    places: Option<&mut [u8]>,
) {
    shape.check(finish);
    let out_len = shape.out_len(finish);
    assert!(x.len() == shape.batch * shape.in_len() && y.len() == shape.batch * out_len);
    assert!(places.as_ref().is_none_or(|places| places.len() == y.len()));
    if shape.batch == 0 || out_len == 0 {
        return;
    }
    let group = group(shape);
    let run = |x: &[f32], y: &mut [f32], places: Option<&mut [u8]>| {
        forward_here(cpu, shape, finish, x, prepared, y, places);
    };
    let pictures = x.par_chunks(group * shape.in_len());
    let maps = y.par_chunks_mut(group * out_len);
    match places {
        Some(places) => pictures
            .zip(maps)
            .zip(places.par_chunks_mut(group * out_len))
            .with_max_len(1)
            .for_each(|((x, y), places)| run(x, y, Some(places))),
        None => pictures
            .zip(maps)
            .with_max_len(1)
            .for_each(|(x, y)| run(x, y, None)),
    }
}

/// As `forward_prepared`, on this thread, for as many pictures as `x` holds; `shape.batch` is not
/// looked at.
///
/// # Panics
/// As `forward_prepared`.
pub fn forward_here(
    cpu: Cpu,
    shape: &ConvShape,
    finish: Finish,
    x: &[f32],
    prepared: &Prepared,
    y: &mut [f32],
    places: Option<&mut [u8]>,
) {
    assert!(
        ConvShape { batch: 0, ..*shape }
            == ConvShape {
                batch: 0,
                ..prepared.shape
            }
    );
    // The prepared sizes were checked, and these are the same: only the window is new.
    prepared.shape.check(finish);
    let (in_len, out_len) = (shape.in_len(), shape.out_len(finish));
    let pictures = x.len() / in_len;
    assert!(x.len() == pictures * in_len && y.len() == pictures * out_len);
    assert!(places.as_ref().is_none_or(|places| places.len() == y.len()));
    if y.is_empty() {
        return;
    }
    let pixel = shape.outputs.next_multiple_of(cpu.lanes());
    let maps = match finish.pool {
        1 => 0,
        _ => pictures * shape.out_height() * shape.out_width() * pixel,
    };
    let inner = match prepared.algorithm {
        Algorithm::Direct => direct::Forward::scratch(shape),
        Algorithm::Winograd => winograd::Forward::scratch(cpu.lanes(), shape),
    };
    // Around `run`, not within: a closure would not be compiled for its instructions.
    scratch::with(piece(maps) + inner, |mut scratch| {
        cpu.run(ForwardGroup {
            shape,
            finish,
            x,
            prepared,
            y,
            places,
            maps: scratch.take(maps),
            scratch,
        });
    });
}

struct ForwardGroup<'a> {
    shape: &'a ConvShape,
    finish: Finish,
    x: &'a [f32],
    prepared: &'a Prepared,
    y: &'a mut [f32],
    places: Option<&'a mut [u8]>,
    /// The maps before pooling, if there is any.
    maps: &'a mut [f32],
    scratch: Pieces<'a>,
}

impl WithSimd for ForwardGroup<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            shape,
            finish,
            x,
            prepared,
            y,
            mut places,
            maps,
            scratch,
        } = self;
        let pools = 1 < finish.pool;
        let (to, pixel) = if pools {
            (&mut *maps, shape.outputs.next_multiple_of(S::F32_LANES))
        } else {
            (&mut *y, shape.outputs)
        };
        let (weights, bias, slope) = (&prepared.weights, &prepared.bias, finish.slope);
        match prepared.algorithm {
            Algorithm::Direct => {
                let forward = direct::Forward {
                    shape,
                    x,
                    weights,
                    bias,
                    slope,
                    y: to,
                    pixel,
                };
                forward.compute(simd, scratch);
            }
            Algorithm::Winograd => {
                let forward = winograd::Forward {
                    shape,
                    x,
                    weights,
                    bias,
                    slope,
                    y: to,
                    pixel,
                };
                forward.compute(simd, scratch);
            }
        }
        if pools {
            let (map_len, out_len) = (
                shape.out_height() * shape.out_width() * pixel,
                shape.out_len(finish),
            );
            let pairs = maps.chunks_exact(map_len).zip(y.chunks_exact_mut(out_len));
            for (i, (map, y)) in pairs.enumerate() {
                let places = places.as_deref_mut();
                let places = places.map(|places| &mut places[i * out_len..][..out_len]);
                pool_map(simd, shape, finish.pool, map, y, places);
            }
        }
    }
}

/// What the way forward leaves for the way back.
#[derive(Clone, Copy)]
pub struct Saved<'a> {
    /// The input.
    pub x: &'a [f32],
    /// The weights.
    pub w: &'a [f32],
    /// The output after activation and pooling.
    pub y: &'a [f32],
    /// Where each largest value stood; needed if `pool` is above 1.
    pub places: Option<&'a [u8]>,
}

/// Where gradients are written; none of them is read.
pub struct Gradients<'a> {
    /// Of the input, if wanted.
    pub dx: Option<&'a mut [f32]>,
    /// Of the weights, `[outputs, inputs, kernel, kernel]`.
    pub dw: &'a mut [f32],
    /// Of the bias, if there is one.
    pub dbias: Option<&'a mut [f32]>,
}

/// Computes the gradients of `forward` from `dy`, the gradient of its output.
///
/// # Panics
/// The lengths do not fit the shape; the output was pooled and `places` are missing.
pub fn backward(
    cpu: Cpu,
    shape: &ConvShape,
    finish: Finish,
    saved: Saved<'_>,
    dy: &[f32],
    gradients: Gradients<'_>,
) {
    shape.check(finish);
    let (in_len, out_len) = (shape.in_len(), shape.out_len(finish));
    let Gradients { dx, dw, dbias } = gradients;
    let Saved { x, w, y, places } = saved;
    assert!(x.len() == shape.batch * in_len && y.len() == shape.batch * out_len);
    assert!(w.len() == shape.weights_len() && dw.len() == w.len() && dy.len() == y.len());
    assert!(dx.as_ref().is_none_or(|dx| dx.len() == x.len()));
    assert!(
        dbias
            .as_ref()
            .is_none_or(|dbias| dbias.len() == shape.outputs)
    );
    assert!(finish.pool == 1 || places.is_some());
    assert!(places.is_none_or(|places| places.len() == y.len()));
    let lanes = cpu.lanes();
    let algorithm = algorithm(shape, lanes);
    let weights = match algorithm {
        _ if dx.is_none() => Buffer::take(0),
        Algorithm::Direct => direct::flip_weights(shape, lanes, w),
        Algorithm::Winograd => transformed(cpu, shape, w, true),
    };
    let pixel = shape.outputs.next_multiple_of(lanes);
    // Of each chunk: the weight gradient, `[kernel, kernel, inputs, pixel]`, then that of the bias.
    let dw_len = direct::weights_len(shape, lanes);
    let chunks = shape.batch.div_ceil(CHUNK);
    let mut partial = Buffer::take(chunks * (dw_len + pixel));
    let (frame, inner, du_len) = match algorithm {
        Algorithm::Direct => (
            direct::Backward::frame(lanes, shape),
            direct::Backward::scratch(shape),
            0,
        ),
        Algorithm::Winograd => (
            winograd::Backward::frame(lanes, shape),
            winograd::Backward::scratch(lanes, shape),
            winograd::Backward::du_len(lanes, shape),
        ),
    };
    let framed_len = group(shape) * frame.len();
    let run = |chunk: usize, partial: &mut [f32], dx: Option<&mut [f32]>| {
        let pictures = chunk * CHUNK..shape.batch.min((chunk + 1) * CHUNK);
        let outs = pictures.start * out_len..pictures.end * out_len;
        let (dw, dbias) = partial.split_at_mut(dw_len);
        dbias.fill(0.0);
        if algorithm == Algorithm::Direct {
            // Winograd writes its gradient once, at the end.
            dw.fill(0.0);
        }
        scratch::with(piece(framed_len) + piece(du_len) + inner, |mut scratch| {
            cpu.run(BackwardChunk {
                algorithm,
                shape,
                finish,
                x: &x[pictures.start * in_len..pictures.end * in_len],
                weights: &weights,
                y: &y[outs.clone()],
                places: places.map(|places| &places[outs.clone()]),
                dy: &dy[outs],
                dx,
                dw,
                dbias,
                frame,
                framed: scratch.take(framed_len),
                du: scratch.take(du_len),
                scratch,
            });
        });
    };
    let partials = partial.par_chunks_exact_mut(dw_len + pixel).enumerate();
    match dx {
        Some(dx) => partials
            .zip(dx.par_chunks_mut((CHUNK * in_len).max(1)))
            .with_max_len(1)
            .for_each(|((chunk, partial), dx)| run(chunk, partial, Some(dx))),
        None => partials
            .with_max_len(1)
            .for_each(|(chunk, partial)| run(chunk, partial, None)),
    }
    sum_chunks(shape, pixel, &partial, dw_len + pixel, dw, dbias);
}

/// Adds up the chunks in order and writes the sums in the order of the weights.
fn sum_chunks(
    shape: &ConvShape,
    pixel: usize,
    partial: &[f32],
    partial_len: usize,
    dw: &mut [f32],
    dbias: Option<&mut [f32]>,
) {
    let taps = shape.kernel * shape.kernel;
    let row = shape.inputs * taps;
    let sum = |at: usize| partial.iter().skip(at).step_by(partial_len).sum::<f32>();
    // Sixteen outputs at a time: neighbours in the chunks, a vector of sums.
    dw.par_chunks_mut(16 * row)
        .enumerate()
        .for_each(|(part, dw)| {
            let first = part * 16;
            let outputs = dw.len() / row;
            for input in 0..shape.inputs {
                for tap in 0..taps {
                    let at = (tap * shape.inputs + input) * pixel + first;
                    let mut sums = [0.0f32; 16];
                    for chunk in partial.chunks_exact(partial_len) {
                        for (sum, value) in sums.iter_mut().zip(&chunk[at..at + outputs]) {
                            *sum += value;
                        }
                    }
                    for (output, sum) in sums[..outputs].iter().enumerate() {
                        dw[output * row + input * taps + tap] = *sum;
                    }
                }
            }
        });
    if let Some(dbias) = dbias {
        for (output, dbias) in dbias.iter_mut().enumerate() {
            *dbias = sum(row * pixel + output);
        }
    }
}

struct BackwardChunk<'a> {
    algorithm: Algorithm,
    shape: &'a ConvShape,
    finish: Finish,
    x: &'a [f32],
    weights: &'a [f32],
    y: &'a [f32],
    places: Option<&'a [u8]>,
    dy: &'a [f32],
    dx: Option<&'a mut [f32]>,
    dw: &'a mut [f32],
    dbias: &'a mut [f32],
    frame: Frame,
    /// The gradients of the maps of a group.
    framed: &'a mut [f32],
    /// Winograd's sums.
    du: &'a mut [f32],
    scratch: Pieces<'a>,
}

impl WithSimd for BackwardChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            algorithm,
            shape,
            finish,
            x,
            weights,
            y,
            places,
            dy,
            mut dx,
            dw,
            dbias,
            frame,
            framed,
            du,
            mut scratch,
        } = self;
        let (in_len, out_len, group) = (shape.in_len(), shape.out_len(finish), group(shape));
        du.fill(0.0);
        // Once: the maps of each group fill the same places.
        framed.fill(0.0);
        for (i, x) in x.chunks(group * in_len).enumerate() {
            let pictures = x.len() / in_len;
            let framed = &mut framed[..pictures * frame.len()];
            for (p, framed) in framed.chunks_exact_mut(frame.len()).enumerate() {
                let outs = (i * group + p) * out_len..(i * group + p + 1) * out_len;
                let places = places.map(|places| &places[outs.clone()]);
                let map = (&y[outs.clone()], places, &dy[outs]);
                spread_gradient(simd, shape, finish, map, frame, framed, dbias);
            }
            let dx = dx.as_deref_mut();
            let dx = dx.map(|dx| &mut dx[i * group * in_len..][..x.len()]);
            let (dy, scratch) = (&*framed, scratch.again());
            match algorithm {
                Algorithm::Direct => {
                    let backward = direct::Backward {
                        shape,
                        x,
                        weights,
                        dy,
                        dx,
                        dw: &mut *dw,
                    };
                    backward.compute(simd, scratch);
                }
                Algorithm::Winograd => {
                    let backward = winograd::Backward {
                        shape,
                        x,
                        weights,
                        dy,
                        dx,
                        du: &mut *du,
                    };
                    backward.compute(simd, scratch);
                }
            }
        }
        if algorithm == Algorithm::Winograd {
            winograd::weight_gradient(simd, shape, du, dw);
        }
    }
}

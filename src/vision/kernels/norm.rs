//! Batch normalisation in training (Ioffe & Szegedy 2015), with what follows it: the sum with a
//! shortcut and the activation.
//!
//! Maps are rows of channels, one row for each pixel of each picture. Sums over rows are formed in
//! chunks of fixed size, in f32 within a chunk and in f64 over the chunks, in order.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::Cpu;
use super::simd::{load_some, store_some};

/// Values of the rows that are summed in f32.
const CHUNK: usize = 16 * 1024;

/// What the way forward leaves for the way back.
#[derive(Clone, Copy)]
pub struct Saved<'a> {
    /// The input, `[rows, channels]`.
    pub x: &'a [f32],
    /// The output, `[rows, channels]`.
    pub y: &'a [f32],
    /// γ, `[channels]`.
    pub gamma: &'a [f32],
    /// Mean over the rows, `[channels]`.
    pub mean: &'a [f32],
    /// Mean square distance from the mean (biased), `[channels]`.
    pub variance: &'a [f32],
}

/// Writes y = f(γ·(x - mean)/√(variance + ε) + β + residual), and mean and (biased) variance of the
/// rows; f multiplies what is below zero with `slope`.
///
/// `x`, `y` and the residual are `[rows, channels]`, the others `[channels]`.
///
/// # Panics
/// The lengths do not fit.
#[expect(
    clippy::too_many_arguments,
    reason = "one slice for each tensor of the formula"
)]
pub fn forward(
    cpu: Cpu,
    epsilon: f32,
    slope: f32,
    x: &[f32],
    (gamma, beta): (&[f32], &[f32]),
    residual: Option<&[f32]>,
    y: &mut [f32],
    (mean, variance): (&mut [f32], &mut [f32]),
) {
    let channels = gamma.len();
    assert!(x.len().is_multiple_of(channels) && y.len() == x.len() && beta.len() == channels);
    assert!(mean.len() == channels && variance.len() == channels);
    assert!(residual.is_none_or(|residual| residual.len() == x.len()));
    let rows = (x.len() / channels) as f64;
    let chunk = chunk_len(channels);
    let sums = sum_chunks(x.len(), chunk, channels, |part, sums| {
        cpu.run(Sums { x: &x[part], sums });
    });
    for (mean, sum) in mean.iter_mut().zip(sums) {
        *mean = (sum / rows) as f32;
    }
    let centre = &*mean;
    let squares = sum_chunks(x.len(), chunk, channels, |part, sums| {
        cpu.run(Squares {
            x: &x[part],
            centre,
            sums,
        });
    });
    for (variance, sum) in variance.iter_mut().zip(squares) {
        *variance = (sum / rows) as f32;
    }
    let scale = scales(gamma, variance, epsilon);
    let shift: Vec<f32> = (0..channels)
        .map(|c| beta[c] - mean[c] * scale[c])
        .collect();
    y.par_chunks_mut(chunk).enumerate().for_each(|(part, y)| {
        let range = part * chunk..part * chunk + y.len();
        cpu.run(Normalise {
            slope,
            x: &x[range.clone()],
            scale: &scale,
            shift: &shift,
            residual: residual.map(|residual| &residual[range]),
            y,
        });
    });
}

/// Writes the gradients of `forward` from `dy`, that of its output.
///
/// `dx` and `dresidual` are `[rows, channels]`, `dgamma` and `dbeta` `[channels]`; none is read.
///
/// # Panics
/// The lengths do not fit.
#[expect(
    clippy::too_many_arguments,
    reason = "one slice for each tensor of the formula"
)]
pub fn backward(
    cpu: Cpu,
    epsilon: f32,
    slope: f32,
    saved: Saved<'_>,
    dy: &[f32],
    dx: Option<&mut [f32]>,
    (dgamma, dbeta): (&mut [f32], &mut [f32]),
    dresidual: Option<&mut [f32]>,
) {
    let Saved {
        x,
        y,
        gamma,
        mean,
        variance,
    } = saved;
    let channels = gamma.len();
    assert!(x.len().is_multiple_of(channels) && y.len() == x.len() && dy.len() == x.len());
    assert!(mean.len() == channels && variance.len() == channels);
    assert!(dgamma.len() == channels && dbeta.len() == channels);
    assert!(dx.as_ref().is_none_or(|dx| dx.len() == x.len()));
    assert!(
        dresidual
            .as_ref()
            .is_none_or(|dresidual| dresidual.len() == x.len())
    );
    let rows = (x.len() / channels) as f64;
    let chunk = chunk_len(channels);
    let inverse = scales(&vec![1.0; channels], variance, epsilon);
    // For each channel: the sum of the gradient after the activation, and of it times x̂.
    let sums = sum_chunks(x.len(), chunk, 2 * channels, |part, sums| {
        cpu.run(GradientSums {
            slope,
            x: &x[part.clone()],
            y: &y[part.clone()],
            dy: &dy[part],
            mean,
            inverse: &inverse,
            sums,
        });
    });
    for c in 0..channels {
        dbeta[c] = sums[c] as f32;
        dgamma[c] = sums[channels + c] as f32;
    }
    if let Some(dresidual) = dresidual {
        dresidual
            .par_chunks_mut(chunk)
            .enumerate()
            .for_each(|(part, out)| {
                let range = part * chunk..part * chunk + out.len();
                let (y, dy) = (&y[range.clone()], &dy[range]);
                cpu.run(Mask { slope, y, dy, out });
            });
    }
    if let Some(dx) = dx {
        // dx = γ/σ·(g - mean(g) - x̂·mean(g·x̂)) = a·(g - c) + b·(x - mean) for each channel.
        let mut factors = [
            vec![0.0; channels],
            vec![0.0; channels],
            vec![0.0; channels],
        ];
        for k in 0..channels {
            let sigma = f64::from(inverse[k]);
            let a = f64::from(gamma[k]) * sigma;
            factors[0][k] = a as f32;
            factors[1][k] = (-a * sigma * sums[channels + k] / rows) as f32;
            factors[2][k] = (sums[k] / rows) as f32;
        }
        dx.par_chunks_mut(chunk).enumerate().for_each(|(part, dx)| {
            let range = part * chunk..part * chunk + dx.len();
            cpu.run(InputGradient {
                slope,
                x: &x[range.clone()],
                y: &y[range.clone()],
                dy: &dy[range],
                mean,
                factors: &factors,
                dx,
            });
        });
    }
}

/// Returns how many values a chunk has: whole rows.
fn chunk_len(channels: usize) -> usize {
    (CHUNK / channels).max(1) * channels
}

/// Returns γ/√(variance + ε) of each channel.
fn scales(gamma: &[f32], variance: &[f32], epsilon: f32) -> Vec<f32> {
    let pairs = gamma.iter().zip(variance);
    pairs
        .map(|(gamma, variance)| gamma / (variance + epsilon).sqrt())
        .collect()
}

/// Returns the sums, `count` of them, that `add` forms of each chunk of `len` values, added up in
/// order.
fn sum_chunks(
    len: usize,
    chunk: usize,
    count: usize,
    add: impl Fn(Range<usize>, &mut [f32]) + Sync,
) -> Vec<f64> {
    let mut parts = vec![0.0f32; len.div_ceil(chunk) * count];
    let each = parts.par_chunks_exact_mut(count).enumerate();
    each.for_each(|(part, sums)| add(part * chunk..len.min((part + 1) * chunk), sums));
    let mut sums = vec![0.0; count];
    for part in parts.chunks_exact(count) {
        for (sum, part) in sums.iter_mut().zip(part) {
            *sum += f64::from(*part);
        }
    }
    sums
}

/// Rows that are summed side by side.
const SIDE: usize = 4;

/// Returns the sum of `SIDE` sums.
#[inline(always)]
fn total<S: Simd>(simd: S, sums: [S::f32s; SIDE]) -> S::f32s {
    simd.add_f32s(
        simd.add_f32s(sums[0], sums[1]),
        simd.add_f32s(sums[2], sums[3]),
    )
}

/// Σ x of each channel.
struct Sums<'a> {
    x: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, sums } = self;
        let channels = sums.len();
        for c in (0..channels).step_by(S::F32_LANES) {
            let count = channels - c;
            // Four sums, so that an addition need not wait for the last.
            let mut sum = [simd.splat_f32s(0.0); SIDE];
            let rows = x.len() / channels;
            let mut row = 0;
            while row < rows {
                for (i, sum) in sum.iter_mut().enumerate() {
                    if row + i < rows {
                        // SAFETY: `count` channels of the row are left.
                        let x = unsafe {
                            load_some(simd, x.as_ptr().add((row + i) * channels + c), count)
                        };
                        *sum = simd.add_f32s(*sum, x);
                    }
                }
                row += SIDE;
            }
            let sum = total(simd, sum);
            // SAFETY: as above.
            unsafe { store_some(simd, sums.as_mut_ptr().add(c), sum, count) };
        }
    }
}

/// Σ (x - centre)² of each channel.
struct Squares<'a> {
    x: &'a [f32],
    centre: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for Squares<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, centre, sums } = self;
        let channels = sums.len();
        for c in (0..channels).step_by(S::F32_LANES) {
            let count = channels - c;
            // SAFETY: `count` channels are left, of every slice.
            let centre = unsafe { load_some(simd, centre.as_ptr().add(c), count) };
            let mut sum = [simd.splat_f32s(0.0); SIDE];
            let rows = x.len() / channels;
            let mut row = 0;
            while row < rows {
                for (i, sum) in sum.iter_mut().enumerate() {
                    if row + i < rows {
                        // SAFETY: as above.
                        let x = unsafe {
                            load_some(simd, x.as_ptr().add((row + i) * channels + c), count)
                        };
                        let distance = simd.sub_f32s(x, centre);
                        *sum = simd.mul_add_e_f32s(distance, distance, *sum);
                    }
                }
                row += SIDE;
            }
            let sum = total(simd, sum);
            // SAFETY: as above.
            unsafe { store_some(simd, sums.as_mut_ptr().add(c), sum, count) };
        }
    }
}

/// y = f(x·scale + shift + residual).
struct Normalise<'a> {
    slope: f32,
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    residual: Option<&'a [f32]>,
    y: &'a mut [f32],
}

impl WithSimd for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            slope,
            x,
            scale,
            shift,
            residual,
            y,
        } = self;
        let channels = scale.len();
        let zero = simd.splat_f32s(0.0);
        let slope = simd.splat_f32s(slope);
        for row in 0..x.len() / channels {
            for c in (0..channels).step_by(S::F32_LANES) {
                let (at, count) = (row * channels + c, channels - c);
                // SAFETY: `count` channels are left, of every row and slice.
                unsafe {
                    let x = load_some(simd, x.as_ptr().add(at), count);
                    let scale = load_some(simd, scale.as_ptr().add(c), count);
                    let shift = load_some(simd, shift.as_ptr().add(c), count);
                    let mut value = simd.mul_add_e_f32s(x, scale, shift);
                    if let Some(residual) = residual {
                        let residual = load_some(simd, residual.as_ptr().add(at), count);
                        value = simd.add_f32s(value, residual);
                    }
                    let below = simd.less_than_f32s(value, zero);
                    let value = simd.select_f32s(below, simd.mul_f32s(value, slope), value);
                    store_some(simd, y.as_mut_ptr().add(at), value, count);
                }
            }
        }
    }
}

/// Σ g and Σ g·x̂ of each channel, where g is the gradient before the activation.
struct GradientSums<'a> {
    slope: f32,
    x: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
    mean: &'a [f32],
    /// 1/σ.
    inverse: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for GradientSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            slope,
            x,
            y,
            dy,
            mean,
            inverse,
            sums,
        } = self;
        let channels = mean.len();
        let zero = simd.splat_f32s(0.0);
        let slope = simd.splat_f32s(slope);
        for c in (0..channels).step_by(S::F32_LANES) {
            let count = channels - c;
            let mut sum = [zero; SIDE];
            let mut product = [zero; SIDE];
            // SAFETY: `count` channels are left, of every row and slice; `sums` holds two of each.
            unsafe {
                let mean = load_some(simd, mean.as_ptr().add(c), count);
                let inverse = load_some(simd, inverse.as_ptr().add(c), count);
                let rows = x.len() / channels;
                let mut row = 0;
                while row < rows {
                    for (i, (sum, product)) in sum.iter_mut().zip(&mut product).enumerate() {
                        if row + i < rows {
                            let at = (row + i) * channels + c;
                            let x = load_some(simd, x.as_ptr().add(at), count);
                            let y = load_some(simd, y.as_ptr().add(at), count);
                            let dy = load_some(simd, dy.as_ptr().add(at), count);
                            let passes = simd.greater_than_f32s(y, zero);
                            let g = simd.select_f32s(passes, dy, simd.mul_f32s(dy, slope));
                            let distance = simd.sub_f32s(x, mean);
                            *sum = simd.add_f32s(*sum, g);
                            *product = simd.mul_add_e_f32s(g, distance, *product);
                        }
                    }
                    row += SIDE;
                }
                let product = simd.mul_f32s(total(simd, product), inverse);
                let sum = total(simd, sum);
                store_some(simd, sums.as_mut_ptr().add(c), sum, count);
                store_some(simd, sums.as_mut_ptr().add(channels + c), product, count);
            }
        }
    }
}

/// The gradient before the activation.
struct Mask<'a> {
    slope: f32,
    y: &'a [f32],
    dy: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Mask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { slope, y, dy, out } = self;
        for ((out, y), dy) in out.iter_mut().zip(y).zip(dy) {
            *out = if 0.0 < *y { *dy } else { dy * slope };
        }
    }
}

/// dx = a·(g - c) + b·(x - mean), with the factors of each channel. The differences come first: with
/// few rows the sum all but cancels.
struct InputGradient<'a> {
    slope: f32,
    x: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
    mean: &'a [f32],
    factors: &'a [Vec<f32>; 3],
    dx: &'a mut [f32],
}

impl WithSimd for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            slope,
            x,
            y,
            dy,
            mean,
            factors,
            dx,
        } = self;
        let channels = factors[0].len();
        let zero = simd.splat_f32s(0.0);
        let slope = simd.splat_f32s(slope);
        for row in 0..x.len() / channels {
            for c in (0..channels).step_by(S::F32_LANES) {
                let (at, count) = (row * channels + c, channels - c);
                // SAFETY: `count` channels are left, of every row and slice.
                unsafe {
                    let x = load_some(simd, x.as_ptr().add(at), count);
                    let y = load_some(simd, y.as_ptr().add(at), count);
                    let dy = load_some(simd, dy.as_ptr().add(at), count);
                    let a = load_some(simd, factors[0].as_ptr().add(c), count);
                    let b = load_some(simd, factors[1].as_ptr().add(c), count);
                    let centre = load_some(simd, factors[2].as_ptr().add(c), count);
                    let mean = load_some(simd, mean.as_ptr().add(c), count);
                    let passes = simd.greater_than_f32s(y, zero);
                    let g = simd.select_f32s(passes, dy, simd.mul_f32s(dy, slope));
                    let distance = simd.mul_f32s(b, simd.sub_f32s(x, mean));
                    let sum = simd.mul_add_e_f32s(a, simd.sub_f32s(g, centre), distance);
                    store_some(simd, dx.as_mut_ptr().add(at), sum, count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Numbers;
    use super::*;

    const EPSILON: f32 = 1e-5;

    /// Forward and backward against the formulas in f64; all bounds are for values of order 1.
    fn check(cpu: Cpu, rows: usize, channels: usize, slope: f32, with_residual: bool) {
        let what = format!("{cpu:?} {rows}×{channels} slope {slope} residual {with_residual}");
        let mut numbers = Numbers(7 + rows as u64);
        let len = rows * channels;
        // Far from zero, where a sum of squares would lose the variance.
        let x: Vec<f32> = numbers.values(len).iter().map(|x| x + 5.0).collect();
        let (gamma, beta) = (numbers.values(channels), numbers.values(channels));
        let residual = numbers.values(len);
        let residual = with_residual.then_some(&residual[..]);
        let dy = numbers.values(len);
        let (mut y, mut dx, mut dresidual) = (vec![0.0; len], vec![0.0; len], vec![0.0; len]);
        let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
        let (mut dgamma, mut dbeta) = (vec![0.0; channels], vec![0.0; channels]);
        forward(
            cpu,
            EPSILON,
            slope,
            &x,
            (&gamma, &beta),
            residual,
            &mut y,
            (&mut mean, &mut variance),
        );
        let saved = Saved {
            x: &x,
            y: &y,
            gamma: &gamma,
            mean: &mean,
            variance: &variance,
        };
        backward(
            cpu,
            EPSILON,
            slope,
            saved,
            &dy,
            Some(&mut dx),
            (&mut dgamma, &mut dbeta),
            Some(&mut dresidual),
        );
        let close = |name: &str, found: f32, expected: f64, bound: f64| {
            let error = (f64::from(found) - expected).abs();
            assert!(error <= bound, "{name} of {what}: {found} for {expected}");
        };
        let n = rows as f64;
        for c in 0..channels {
            let at = |row: usize| row * channels + c;
            let value = |v: &[f32], row: usize| f64::from(v[at(row)]);
            let mu = (0..rows).map(|r| value(&x, r)).sum::<f64>() / n;
            let var = (0..rows).map(|r| (value(&x, r) - mu).powi(2)).sum::<f64>() / n;
            close("mean", mean[c], mu, 2e-6);
            close("variance", variance[c], var, 2e-6);
            let inverse = 1.0 / (var + f64::from(EPSILON)).sqrt();
            let hat = |r| (value(&x, r) - mu) * inverse;
            let g = |r| {
                value(&dy, r)
                    * if 0.0 < y[at(r)] {
                        1.0
                    } else {
                        f64::from(slope)
                    }
            };
            let (sum, product) =
                (0..rows).fold((0.0, 0.0), |(s, p), r| (s + g(r), p + g(r) * hat(r)));
            close("dbeta", dbeta[c], sum, 1e-5 * n.sqrt());
            close("dgamma", dgamma[c], product, 2e-5 * n.sqrt());
            for r in 0..rows {
                let normal = hat(r) * f64::from(gamma[c]) + f64::from(beta[c]);
                let before = normal + residual.map_or(0.0, |residual| value(residual, r));
                let expected = if before < 0.0 {
                    before * f64::from(slope)
                } else {
                    before
                };
                // One row has no variance: x̂ is rounding times 1/√ε.
                let bound = 1e-5 * inverse.max(1.0);
                close("y", y[at(r)], expected, bound);
                close("dresidual", dresidual[at(r)], g(r), 1e-7);
                let dx_expected =
                    f64::from(gamma[c]) * inverse * (g(r) - sum / n - hat(r) * product / n);
                close("dx", dx[at(r)], dx_expected, 2.0 * bound);
            }
        }
    }

    #[test]
    fn normalisation_is_what_the_formulas_say() {
        for cpu in Cpu::available() {
            for (rows, channels) in [
                (2, 1),
                (3, 5),
                (7, 16),
                (50, 17),
                (2100, 32),
                (1000, 40),
                (9, 300),
            ] {
                for (slope, residual) in [(0.0, false), (1.0, true), (0.01, true)] {
                    check(cpu, rows, channels, slope, residual);
                }
            }
        }
    }
}

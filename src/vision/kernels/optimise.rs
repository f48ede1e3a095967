//! Steps of optimisers, one pass over a parameter with its gradient and moments.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::Cpu;

/// Values that one thread changes at a time.
const CHUNK: usize = 16 * 1024;

/// One step of Adam (Kingma & Ba 2015) or `AdamW` (Loshchilov & Hutter 2019), its bias corrections
/// folded into the numbers:
///
/// g ← g + penalty·w, m ← β₁m + (1 - β₁)g, v ← β₂v + (1 - β₂)g²,
/// w ← keep·w - rate·m / (√v + ε).
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// β₁, decay of the first moment.
    pub beta_1: f32,
    /// β₂, decay of the second moment.
    pub beta_2: f32,
    /// Factor of the weight that is added to its gradient.
    pub penalty: f32,
    /// Factor of the weight before the step.
    pub keep: f32,
    /// Learning rate · √(1 - β₂ᵗ) / (1 - β₁ᵗ).
    pub rate: f32,
    /// ε·√(1 - β₂ᵗ).
    pub epsilon: f32,
}

/// One step of gradient descent: g ← g + penalty·w, v ← momentum·v + g, w ← w - rate·v.
#[derive(Clone, Copy, Debug)]
pub struct SgdStep {
    /// Learning rate.
    pub rate: f32,
    /// Factor of the velocity.
    pub momentum: f32,
    /// Factor of the weight that is added to its gradient.
    pub penalty: f32,
}

/// Changes weights `w` and moments `m` and `v` by their gradient `g`.
///
/// # Panics
/// The lengths differ.
pub fn adam(cpu: Cpu, step: &AdamStep, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    assert!(w.len() == g.len() && m.len() == g.len() && v.len() == g.len());
    if w.len() <= 2 * CHUNK {
        // Not worth the way to another thread.
        return cpu.run(Adam { step, w, g, m, v });
    }
    let weights = w.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK));
    let moments = m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
    weights.zip(moments).for_each(|((w, g), (m, v))| {
        cpu.run(Adam { step, w, g, m, v });
    });
}

/// Changes weights `w` and velocity `v` by their gradient `g`; without `v` there is no momentum.
///
/// # Panics
/// The lengths differ.
pub fn sgd(cpu: Cpu, step: &SgdStep, w: &mut [f32], g: &[f32], v: Option<&mut [f32]>) {
    assert!(w.len() == g.len() && v.as_ref().is_none_or(|v| v.len() == g.len()));
    if w.len() <= 2 * CHUNK {
        // As in `adam`.
        let v = v.unwrap_or_default();
        return cpu.run(Sgd { step, w, g, v });
    }
    let weights = w.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK));
    match v {
        Some(v) => weights
            .zip(v.par_chunks_mut(CHUNK))
            .for_each(|((w, g), v)| {
                cpu.run(Sgd { step, w, g, v });
            }),
        None => weights.for_each(|(w, g)| {
            cpu.run(Sgd {
                step,
                w,
                g,
                v: &mut [],
            });
        }),
    }
}

struct Adam<'a> {
    step: &'a AdamStep,
    w: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl WithSimd for Adam<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { step, w, g, m, v } = self;
        let AdamStep {
            beta_1,
            beta_2,
            penalty,
            keep,
            rate,
            epsilon,
        } = *step;
        for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            let g = g + penalty * *w;
            *m = beta_1 * *m + (1.0 - beta_1) * g;
            *v = beta_2 * *v + (1.0 - beta_2) * (g * g);
            *w = keep * *w - rate * *m / (v.sqrt() + epsilon);
        }
    }
}

struct Sgd<'a> {
    step: &'a SgdStep,
    w: &'a mut [f32],
    g: &'a [f32],
    /// Empty without momentum.
    v: &'a mut [f32],
}

impl WithSimd for Sgd<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { step, w, g, v } = self;
        let SgdStep {
            rate,
            momentum,
            penalty,
        } = *step;
        if v.is_empty() {
            for (w, &g) in w.iter_mut().zip(g) {
                *w -= rate * (g + penalty * *w);
            }
        } else {
            for ((w, &g), v) in w.iter_mut().zip(g).zip(v) {
                *v = momentum * *v + (g + penalty * *w);
                *w -= rate * *v;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: AdamStep = AdamStep {
        beta_1: 0.9,
        beta_2: 0.999,
        penalty: 0.01,
        keep: 0.995,
        rate: 0.02,
        epsilon: 1e-8,
    };

    fn wave(len: usize, factor: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * factor).sin()).collect()
    }

    #[test]
    fn steps_are_those_of_the_formulas() {
        for cpu in Cpu::available() {
            for len in [1, 17, 1000, 40_001] {
                let (w, g, m) = (wave(len, 0.3), wave(len, 0.7), wave(len, 0.1));
                let v: Vec<f32> = wave(len, 0.2).iter().map(|v| v * v).collect();
                let (mut w1, mut m1, mut v1) = (w.clone(), m.clone(), v.clone());
                adam(cpu, &STEP, &mut w1, &g, &mut m1, &mut v1);
                let sgd_step = SgdStep {
                    rate: 0.1,
                    momentum: 0.9,
                    penalty: 0.01,
                };
                let (mut w2, mut v2, mut w3) = (w.clone(), m.clone(), w.clone());
                sgd(cpu, &sgd_step, &mut w2, &g, Some(&mut v2));
                sgd(cpu, &sgd_step, &mut w3, &g, None);
                for i in 0..len {
                    let f = |x: &[f32]| f64::from(x[i]);
                    let gradient = f(&g) + 0.01 * f(&w);
                    let first = 0.9 * f(&m) + 0.1 * gradient;
                    let second = 0.999 * f(&v) + 0.001 * gradient * gradient;
                    let adam = 0.995 * f(&w) - 0.02 * first / (second.sqrt() + 1e-8);
                    let velocity = 0.9 * f(&m) + gradient;
                    for (found, expected) in [
                        (f(&m1), first),
                        (f(&v1), second),
                        (f(&v2), velocity),
                        (f(&w2), f(&w) - 0.1 * velocity),
                        (f(&w3), f(&w) - 0.1 * gradient),
                    ] {
                        assert!((found - expected).abs() < 1e-6, "{cpu:?} {i}");
                    }
                    // The quotient of two small moments may be large.
                    assert!(
                        (f(&w1) - adam).abs() < 1e-5 * adam.abs().max(1.0),
                        "{cpu:?} {i}"
                    );
                }
            }
        }
    }
}

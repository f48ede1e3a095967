//! The minimum of a smooth convex function of many variables: L-BFGS with a backtracking line search.
//! Imports: nothing of ours.
//!
//! Nocedal & Wright, Numerical Optimization (2006), algorithms 7.4, 7.5 and 3.1. An optimisation crate
//! would bring an array crate with it, for less code than its glue.

use std::collections::VecDeque;

/// Steps that are remembered.
const MEMORY: usize = 8;
/// A step has to gain this part of what the slope promises (Armijo).
const SUFFICIENT: f64 = 1e-4;
/// The search is over when a step gains less than this part of the value.
const GAIN_MIN: f64 = 1e-5;
/// Halvings of a step before it is given up.
const HALVINGS_MAX: usize = 30;

/// A function's value and gradient at a point.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) loss: f64,
    pub(super) gradient: Vec<f64>,
}

/// A step that was taken, and what it did to the gradient.
struct Step {
    moved: Vec<f64>,
    turned: Vec<f64>,
    /// Of `moved` and `turned`; positive.
    curvature: f64,
}

/// Returns a point near the minimum of `function`, from `start` on, after `steps_max` steps at most: fewer
/// when they stop to gain.
///
/// # Errors
/// As `function`.
pub(super) fn minimise<E>(
    start: Vec<f64>,
    steps_max: usize,
    mut function: impl FnMut(&[f64]) -> Result<Value, E>,
) -> Result<Vec<f64>, E> {
    let mut point = start;
    let mut here = function(&point)?;
    let mut memory: VecDeque<Step> = VecDeque::with_capacity(MEMORY);
    for _ in 0..steps_max {
        let direction = direction(&here.gradient, &memory);
        let slope = dot(&direction, &here.gradient);
        // Also when the gradient is 0, or no number.
        if slope.is_nan() || 0.0 <= slope {
            break;
        }
        let Some((next, there)) = search(&point, &direction, here.loss, slope, &mut function)?
        else {
            break;
        };
        let moved = difference(&next, &point);
        let turned = difference(&there.gradient, &here.gradient);
        let curvature = dot(&moved, &turned);
        // A step along which the gradient hardly turns says nothing of the curvature.
        if f64::EPSILON * dot(&turned, &turned) < curvature {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back(Step {
                moved,
                turned,
                curvature,
            });
        }
        let gain = here.loss - there.loss;
        (point, here) = (next, there);
        if gain <= GAIN_MIN * here.loss.abs() {
            break;
        }
    }
    Ok(point)
}

/// Minus the gradient times an estimate of the inverse Hessian (the two-loop recursion).
fn direction(gradient: &[f64], memory: &VecDeque<Step>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for step in memory.iter().rev() {
        let share = dot(&step.moved, &direction) / step.curvature;
        add_scaled(&mut direction, -share, &step.turned);
        shares.push(share);
    }
    // Before anything is known, a step of length 1.
    let scale = match memory.back() {
        Some(last) => last.curvature / dot(&last.turned, &last.turned),
        None => 1.0 / dot(gradient, gradient).sqrt(),
    };
    for value in &mut direction {
        *value *= scale;
    }
    for (step, share) in memory.iter().zip(shares.into_iter().rev()) {
        let back = dot(&step.turned, &direction) / step.curvature;
        add_scaled(&mut direction, share - back, &step.moved);
    }
    direction
}

/// Halves the step until it gains enough; `None` if it never does.
fn search<E>(
    point: &[f64],
    direction: &[f64],
    loss: f64,
    slope: f64,
    function: &mut impl FnMut(&[f64]) -> Result<Value, E>,
) -> Result<Option<(Vec<f64>, Value)>, E> {
    let mut length = 1.0;
    for _ in 0..HALVINGS_MAX {
        let mut next = point.to_vec();
        add_scaled(&mut next, length, direction);
        let there = function(&next)?;
        if there.loss <= loss + SUFFICIENT * length * slope {
            return Ok(Some((next, there)));
        }
        length /= 2.0;
    }
    Ok(None)
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add_scaled(sum: &mut [f64], scale: f64, values: &[f64]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += scale * value;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_valley_is_walked_to_its_end() {
        // ½ Σ aᵢ (xᵢ − i)², with a from 1 to 1000: its minimum is at i.
        let stretch = |i: usize| 10_f64.powf(i as f64 / 3.0);
        let function = |x: &[f64]| {
            let off = |i: usize| x[i] - i as f64;
            // The constant keeps the relative gain meaningful near a minimum of 0.
            let loss = (0..10)
                .map(|i| 0.5 * stretch(i) * off(i) * off(i))
                .sum::<f64>()
                + 1e-9;
            let gradient = (0..10).map(|i| stretch(i) * off(i)).collect();
            Ok::<_, Infallible>(Value { loss, gradient })
        };
        let found = minimise(vec![20.0; 10], 500, function).unwrap();
        for (i, x) in found.iter().enumerate() {
            assert!((x - i as f64).abs() < 1e-3, "{found:?}");
        }
    }

    #[test]
    fn an_error_ends_the_search() {
        let mut calls = 0;
        let found = minimise(vec![1.0], 10, |x| {
            calls += 1;
            let (loss, gradient) = (x[0] * x[0], vec![2.0 * x[0]]);
            if calls < 2 {
                Ok(Value { loss, gradient })
            } else {
                Err("stop")
            }
        });
        assert_eq!((found, calls), (Err("stop"), 2));
    }

    #[test]
    fn at_the_minimum_nothing_moves() {
        let flat = |_: &[f64]| {
            let gradient = vec![0.0; 2];
            Ok::<_, Infallible>(Value {
                loss: 3.0,
                gradient,
            })
        };
        assert_eq!(minimise(vec![1.0, 2.0], 10, flat).unwrap(), [1.0, 2.0]);
    }

    proptest! {
        /// Softplus of random slopes: convex, with a finite minimum because of the square.
        #[test]
        fn the_gradient_is_near_zero_at_the_end(slopes in prop::collection::vec(-3.0..3.0_f64, 1..6)) {
            let function = |x: &[f64]| {
                let mut loss = 0.0;
                let mut gradient = Vec::new();
                for (x, slope) in x.iter().zip(&slopes) {
                    let z = slope * x;
                    loss += z.max(0.0) + (-z.abs()).exp().ln_1p() + 0.05 * x * x;
                    gradient.push(slope / (1.0 + (-z).exp()) + 0.1 * x);
                }
                Ok::<_, Infallible>(Value { loss, gradient })
            };
            let found = minimise(vec![4.0; slopes.len()], 200, function).unwrap();
            let gradient = function(&found).unwrap().gradient;
            prop_assert!(dot(&gradient, &gradient).sqrt() < 0.05, "{:?}", gradient);
        }
    }
}

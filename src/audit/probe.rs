//! What a simple classifier says of each picture that it has not seen: out-of-fold probabilities of a
//! linear probe, which is a multinomial logistic regression on standardised features.
//! Imports: base, vision, `audit::{error, features, folds, lbfgs}`.
//!
//! The loss is the mean over the pictures of −ln p(label), plus λ/2 times the squares of the weights
//! (not of the intercepts). Sums run over portions of fixed size and are added in their order: the
//! result has the same bits whatever the number of threads.

use rayon::prelude::*;

use crate::base::Cancel;
use crate::vision;

use super::error::Error;
use super::features::{Features, Units};
use super::folds::FOLDS;
use super::lbfgs::{Value, minimise};

/// λ for many pictures; fewer than its inverse are held by the inverse of their number, which is what
/// scikit-learn's `C = 1` is.
const PENALTY_MIN: f64 = 1e-3;
/// Portions into which the sums over all pictures are cut, and the least pictures of one.
const PORTIONS: usize = 16;
const PORTION_MIN: usize = 256;
/// Multiplications of one pass over all pictures, times steps: what may be spent on one fold. Stopping
/// early only keeps the weights smaller.
const WORK: usize = 7_000_000_000;
const STEPS_MIN: usize = 15;
const STEPS_MAX: usize = 100;

/// The probability of each class, for each picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Probabilities {
    /// `[pictures, classes]`, last dimension fastest; each row adds up to 1.
    values: Vec<f64>,
    classes: usize,
}

impl Probabilities {
    /// Takes rows of `classes` probabilities; `None` if they do not fill whole rows.
    #[must_use]
    pub fn new(values: Vec<f64>, classes: usize) -> Option<Self> {
        (0 < classes && values.len().is_multiple_of(classes)).then_some(Self { values, classes })
    }

    /// Returns the number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Returns the probabilities of each picture.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.classes)
    }

    /// Returns what each picture is taken for; `labels` has the class of each.
    ///
    /// # Panics
    /// If a label is no class.
    pub(super) fn said(&self, labels: &[u32]) -> Vec<Said> {
        let rows = self.rows().zip(labels);
        rows.map(|(row, label)| Said::new(row, *label)).collect()
    }
}

/// What a picture is taken for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Said {
    /// The likeliest class; of equals the first.
    pub(super) class: u32,
    /// Its probability.
    pub(super) probability: f64,
    /// The probability of the class that the picture is labelled as.
    pub(super) of_label: f64,
}

impl Said {
    /// Reads the probabilities of a picture of class `label`.
    ///
    /// # Panics
    /// If `label` is no class.
    pub(super) fn new(probabilities: &[f64], label: u32) -> Self {
        let classes = (0..probabilities.len()).rev();
        let class = classes
            .max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]))
            .unwrap_or(0);
        Self {
            class: class as u32,
            probability: probabilities[class],
            of_label: probabilities[label as usize],
        }
    }
}

/// Pictures as the probe sees them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task<'a> {
    /// One row for each picture.
    pub(super) features: &'a Features,
    /// Its class, below `classes`.
    pub(super) labels: &'a [u32],
    pub(super) classes: usize,
    /// Its fold, below `FOLDS`.
    pub(super) folds: &'a [usize],
}

/// Returns what a probe that learnt from the other folds says of each picture.
///
/// # Errors
/// `cancel` was requested.
pub(super) fn out_of_fold(task: Task<'_>, cancel: &Cancel) -> Result<Probabilities, Error> {
    let inputs = Inputs::standardised(task.features);
    let rows = |wanted: &dyn Fn(usize) -> bool| -> Vec<usize> {
        let all = task.folds.iter().enumerate();
        all.filter(|(_, fold)| wanted(**fold))
            .map(|(row, _)| row)
            .collect()
    };
    let mut values = vec![0.0; task.labels.len() * task.classes];
    for fold in 0..FOLDS {
        let (asked, learnt) = (rows(&|of| of == fold), rows(&|of| of != fold));
        if asked.is_empty() || learnt.is_empty() {
            continue;
        }
        let regression = Regression {
            inputs: &inputs,
            labels: task.labels,
            classes: task.classes,
            rows: &learnt,
        };
        let weights = regression.fit(cancel)?;
        let said: Vec<Vec<f64>> = asked
            .par_iter()
            .map(|row| regression.probabilities(&weights, *row))
            .collect();
        for (row, said) in asked.into_iter().zip(said) {
            values[row * task.classes..(row + 1) * task.classes].copy_from_slice(&said);
        }
    }
    let classes = task.classes;
    Ok(Probabilities { values, classes })
}

/// Features with mean 0 and standard deviation 1, or, where they have a common unit, at most 1: principal
/// components of noise stay small. Those that do not vary are 0. Means and deviations are of all
/// pictures, the asked ones among them: they know no labels.
struct Inputs {
    values: Vec<f32>,
    width: usize,
}

impl Inputs {
    fn standardised(features: &Features) -> Self {
        let (width, count) = (features.width(), features.rows().len() as f64);
        let mut means = vec![0.0_f64; width];
        for row in features.rows() {
            for (mean, value) in means.iter_mut().zip(row) {
                *mean += f64::from(*value) / count;
            }
        }
        let mut squares = vec![0.0_f64; width];
        for row in features.rows() {
            for ((square, value), mean) in squares.iter_mut().zip(row).zip(&means) {
                let off = f64::from(*value) - mean;
                *square += off * off / count;
            }
        }
        let largest = squares.iter().copied().fold(0.0, f64::max).sqrt();
        let scales: Vec<f64> = squares
            .iter()
            .zip(&means)
            .map(|(square, mean)| {
                let deviation = square.sqrt();
                // What rounding makes of a constant varies too.
                let varies = 1e-6 * mean.abs() < deviation && 1e-9 * largest < deviation;
                match features.units() {
                    _ if !varies => 0.0,
                    Units::Own => 1.0 / deviation,
                    Units::Common => 1.0 / largest,
                }
            })
            .collect();
        let scaled = |row: &[f32]| -> Vec<f32> {
            let of = row.iter().zip(&means).zip(&scales);
            of.map(|((value, mean), scale)| ((f64::from(*value) - mean) * scale) as f32)
                .collect()
        };
        Self {
            values: features.rows().flat_map(scaled).collect(),
            width,
        }
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }
}

/// The regression on some of the pictures. Weights are `[width + 1, lanes]`: of each feature for each
/// class, the intercepts last. Lanes are the classes, rounded up to fours that fit the registers.
struct Regression<'a> {
    inputs: &'a Inputs,
    labels: &'a [u32],
    classes: usize,
    /// Those it learns from.
    rows: &'a [usize],
}

impl Regression<'_> {
    fn lanes(&self) -> usize {
        self.classes.next_multiple_of(4)
    }

    fn fit(&self, cancel: &Cancel) -> Result<Vec<f64>, Error> {
        let width = self.inputs.width;
        let pass = self.rows.len() * (width + 1) * self.classes;
        let steps = (WORK / pass.max(1)).clamp(STEPS_MIN, STEPS_MAX);
        let start = vec![0.0; (width + 1) * self.lanes()];
        minimise(start, steps, |weights| match cancel.reason() {
            Some(reason) => Err(Error::Vision(vision::Error::Cancelled(reason))),
            None => Ok(self.value(weights)),
        })
    }

    /// Returns the loss and its gradient.
    fn value(&self, weights: &[f64]) -> Value {
        let portion = self.rows.len().div_ceil(PORTIONS).max(PORTION_MIN);
        let sums: Vec<Value> = self
            .rows
            .par_chunks(portion)
            .map(|rows| self.sum(weights, rows))
            .collect();
        let count = self.rows.len() as f64;
        let penalty = PENALTY_MIN.max(1.0 / count);
        let (penalised, _) = weights.split_at(self.inputs.width * self.lanes());
        let squares: f64 = penalised.iter().map(|w| w * w).sum();
        let mut loss = penalty / 2.0 * squares;
        let mut gradient: Vec<f64> = penalised.iter().map(|w| penalty * w).collect();
        gradient.resize(weights.len(), 0.0);
        for sum in sums {
            loss += sum.loss / count;
            add_scaled(&mut gradient, 1.0 / count, &sum.gradient);
        }
        Value { loss, gradient }
    }

    /// Returns the sums of loss and gradient over some pictures.
    fn sum(&self, weights: &[f64], rows: &[usize]) -> Value {
        let lanes = self.lanes();
        let mut loss = 0.0;
        let mut gradient = vec![0.0; weights.len()];
        let mut slopes = vec![0.0; lanes];
        for row in rows {
            let label = self.labels[*row] as usize;
            self.logits(weights, *row, &mut slopes);
            let given = slopes[label];
            loss += softmax(&mut slopes[..self.classes]) - given;
            // Of the loss by the logits; lanes without a class stay 0, since their weights do.
            slopes[label] -= 1.0;
            let (of_features, of_intercepts) = gradient.split_at_mut(self.inputs.width * lanes);
            for (x, gradient) in self
                .inputs
                .row(*row)
                .iter()
                .zip(of_features.chunks_exact_mut(lanes))
            {
                add_scaled(gradient, f64::from(*x), &slopes);
            }
            add_scaled(of_intercepts, 1.0, &slopes);
        }
        Value { loss, gradient }
    }

    fn logits(&self, weights: &[f64], row: usize, logits: &mut [f64]) {
        let lanes = self.lanes();
        let (of_features, intercepts) = weights.split_at(self.inputs.width * lanes);
        logits.copy_from_slice(intercepts);
        for (x, weights) in self
            .inputs
            .row(row)
            .iter()
            .zip(of_features.chunks_exact(lanes))
        {
            add_scaled(logits, f64::from(*x), weights);
        }
    }

    fn probabilities(&self, weights: &[f64], row: usize) -> Vec<f64> {
        let mut values = vec![0.0; self.lanes()];
        self.logits(weights, row, &mut values);
        values.truncate(self.classes);
        softmax(&mut values);
        values
    }
}

/// Turns logits into probabilities; returns ln Σ exp of the logits.
fn softmax(logits: &mut [f64]) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - largest).exp();
        sum += *logit;
    }
    for value in logits {
        *value /= sum;
    }
    largest + sum.ln()
}

/// Adds `scale` · `values` to `sums`, both of a length that is a multiple of four.
fn add_scaled(sums: &mut [f64], scale: f64, values: &[f64]) {
    // Four at a time, without a remainder: this loop is where the time goes.
    let (sums, values) = (sums.as_chunks_mut::<4>().0, values.as_chunks::<4>().0);
    for (sums, values) in sums.iter_mut().zip(values) {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += scale * value;
        }
    }
}

#[cfg(test)]
mod tests;

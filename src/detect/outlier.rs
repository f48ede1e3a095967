//! Is this one row strange? A score, and which score is too high. Imports: drift, `detect::{features, kind, params, rows}`.
//!
//! The score is fitted on all rows of the reference, its threshold on scores that rows get from detectors
//! which were fitted without them (five folds): a row looks more usual to a detector that has seen it.

use serde::{Deserialize, Serialize};

use crate::drift::outlier::{
    LocalOutlierFactor, Mahalanobis, NearestNeighbours, PcaResidual, Threshold,
};
use crate::drift::{Error, Sample};

use super::features::Input;
use super::kind::OutlierMethod;
use super::rows;

/// Rows number i belong to fold i modulo this.
const FOLDS: usize = 5;

/// What a score is, as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutlierSpec {
    /// The score.
    pub method: OutlierMethod,
    /// What it looks at.
    pub input: Input,
    /// The share of usual rows that are called outliers.
    pub false_positives: f64,
    /// k of `knn` and `lof`.
    pub neighbours: usize,
    /// Of `pca`, at most.
    pub components: usize,
}

/// A score with its threshold.
#[derive(Clone, Debug)]
pub struct OutlierScore {
    pub(super) spec: OutlierSpec,
    score: Score,
    threshold: Threshold,
    /// Of the rows of the reference, each from the folds without it.
    pub(super) usual: Vec<f64>,
}

#[derive(Clone, Debug)]
enum Score {
    Mahalanobis(Mahalanobis),
    Nearest(NearestNeighbours),
    Residual(PcaResidual),
    Lof(LocalOutlierFactor),
}

impl OutlierScore {
    /// Fits score and threshold.
    ///
    /// # Errors
    /// The reference has fewer rows than 1 in `false_positives`, or the score cannot be computed of it.
    pub(super) fn fit(spec: OutlierSpec, reference: &Sample) -> Result<Self, Error> {
        reference.require_rows("a score of outliers", 2 * FOLDS)?;
        let mut usual = vec![0.0; reference.rows()];
        for fold in 0..FOLDS {
            let (held, others): (Vec<usize>, Vec<usize>) =
                (0..reference.rows()).partition(|row| row % FOLDS == fold);
            let score = Score::fit(&spec, &rows::pick(reference, &others)?)?;
            let scores = score.scores(&rows::pick(reference, &held)?)?;
            for (row, score) in held.into_iter().zip(scores) {
                usual[row] = score;
            }
        }
        Self::with_usual(spec, reference, usual)
    }

    /// Fits the score, and takes the scores that were found when the threshold was.
    ///
    /// # Errors
    /// As of `fit`.
    pub(super) fn with_usual(
        spec: OutlierSpec,
        reference: &Sample,
        usual: Vec<f64>,
    ) -> Result<Self, Error> {
        Ok(Self {
            spec,
            score: Score::fit(&spec, reference)?,
            threshold: Threshold::fit(&usual, spec.false_positives)?,
            usual,
        })
    }

    /// Returns the method.
    #[must_use]
    pub fn method(&self) -> OutlierMethod {
        self.spec.method
    }

    /// Returns what it looks at.
    #[must_use]
    pub fn input(&self) -> Input {
        self.spec.input
    }

    /// Returns the share of usual rows that are called outliers.
    #[must_use]
    pub fn false_positives(&self) -> f64 {
        self.spec.false_positives
    }

    /// Returns the score above which a row is an outlier.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold.value()
    }

    /// Says whether a row with `score` is an outlier.
    #[must_use]
    pub fn is_outlier(&self, score: f64) -> bool {
        self.threshold.is_outlier(score)
    }

    /// Returns the probability that a usual row scores at least as high; never 0.
    #[must_use]
    pub fn p_value(&self, score: f64) -> f64 {
        self.threshold.p_value(score)
    }

    /// Returns the score of each row.
    ///
    /// # Errors
    /// `sample` has other features, or rows so far away that squares overflow.
    pub(super) fn scores(&self, sample: &Sample) -> Result<Vec<f64>, Error> {
        self.score.scores(sample)
    }
}

impl Score {
    fn fit(spec: &OutlierSpec, reference: &Sample) -> Result<Self, Error> {
        Ok(match spec.method {
            OutlierMethod::Mahalanobis => Self::Mahalanobis(Mahalanobis::fit(reference)?),
            OutlierMethod::Knn => {
                Self::Nearest(NearestNeighbours::fit(reference, &[spec.neighbours])?)
            }
            OutlierMethod::Pca => {
                // As many as leave a direction over, in folds as well.
                let most = reference.width().saturating_sub(1).max(1);
                Self::Residual(PcaResidual::fit(reference, spec.components.min(most))?)
            }
            OutlierMethod::Lof => Self::Lof(LocalOutlierFactor::fit(reference, spec.neighbours)?),
        })
    }

    fn scores(&self, sample: &Sample) -> Result<Vec<f64>, Error> {
        match self {
            Self::Mahalanobis(score) => score.scores(sample),
            Self::Nearest(score) => score.scores(sample),
            Self::Residual(score) => score.scores(sample),
            Self::Lof(score) => score.scores(sample),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;
    use rand::RngExt;

    /// Uniform values about 0, moved by `shift`.
    fn sample(rows: usize, shift: f64, seed: u64) -> Sample {
        let mut rng = rng::stream(seed, "test.detect.outlier", 0);
        let values = (0..rows * 4).map(|_| rng.random::<f64>() - 0.5 + shift);
        Sample::new(values.collect(), 4).unwrap()
    }

    fn spec(method: OutlierMethod) -> OutlierSpec {
        OutlierSpec {
            method,
            input: Input::Embedding,
            false_positives: 0.05,
            neighbours: 5,
            components: 2,
        }
    }

    #[test]
    fn usual_rows_are_rarely_strange_and_strange_ones_always() {
        for (_, method) in OutlierMethod::NAMES {
            let fitted = OutlierScore::fit(spec(method), &sample(300, 0.0, 1)).unwrap();
            let share = |new: &Sample| {
                let scores = fitted.scores(new).unwrap();
                let strange = scores.iter().filter(|score| fitted.is_outlier(**score));
                strange.count() as f64 / scores.len() as f64
            };
            let usual = share(&sample(400, 0.0, 2));
            assert!((0.01..0.12).contains(&usual), "{}: {usual}", method.name());
            let strange = share(&sample(50, 5.0, 3));
            assert!(strange > 0.9, "{}: {strange}", method.name());
        }
    }

    #[test]
    fn too_few_rows_give_no_threshold() {
        let error = OutlierScore::fit(spec(OutlierMethod::Knn), &sample(15, 0.0, 1)).unwrap_err();
        assert!(matches!(
            error,
            Error::TooFew {
                found: 15,
                needed: 20,
                ..
            }
        ));
    }
}

//! Which of some rows are strange, one by one: the score that was fitted, of each of them.
//! Imports: `detect::{error, features, fitted, outlier}`.

use serde::Serialize;

use super::Error;
use super::features::{Features, Input};
use super::fitted::Fitted;
use super::outlier::OutlierScore;

/// The scores of all rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scored {
    /// `mahalanobis`, `knn`, `pca`, `lof`.
    pub method: String,
    /// What it looks at.
    pub input: Input,
    /// The score above which a row is an outlier.
    pub threshold: f64,
    /// The share of usual rows that is called so.
    pub false_positives: f64,
    /// Rows that were scored.
    pub rows: usize,
    /// How many are outliers.
    pub outliers: usize,
    /// Their share.
    pub share: f64,
    /// All of them, the strangest first; of equal ones in their order.
    pub scores: Vec<ScoredRow>,
}

/// A row with its score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoredRow {
    /// From 0.
    pub row: usize,
    /// The path of the picture, if it has one.
    pub picture: Option<String>,
    /// The class that the model names.
    pub class: String,
    /// Higher is stranger.
    pub score: f64,
    /// The probability that a usual row scores at least as high, (1 + rows of the reference that do) / (1 + rows of
    /// the reference); never 0.
    pub p_val: f64,
    /// Whether the score is above the threshold.
    pub is_outlier: bool,
}

impl Fitted {
    /// Returns the score of single rows.
    ///
    /// # Errors
    /// None was fitted; says what was left out then, and why.
    pub fn require_outliers(&self) -> Result<&OutlierScore, Error> {
        self.outliers().ok_or_else(|| Error::NoOutlierScore {
            notes: self.notes().to_vec(),
        })
    }

    /// Scores each row of `new` by itself.
    ///
    /// # Errors
    /// No score was fitted; the rows have no such input, another number of features, or lie so far away that squares
    /// overflow.
    pub fn score(&self, new: &Features) -> Result<Scored, Error> {
        let outlier = self.require_outliers()?;
        let scores = outlier.scores(&self.sample(outlier.input(), new)?)?;
        let class = |row: usize| {
            let index = new.labels().get(row)?;
            self.classes().get(*index as usize).cloned()
        };
        let mut scores: Vec<ScoredRow> = scores
            .into_iter()
            .enumerate()
            .map(|(row, score)| ScoredRow {
                row,
                picture: None,
                class: class(row).unwrap_or_default(),
                score,
                p_val: outlier.p_value(score),
                is_outlier: outlier.is_outlier(score),
            })
            .collect();
        scores.sort_by(|a, b| b.score.total_cmp(&a.score));
        let outliers = scores.iter().filter(|one| one.is_outlier).count();
        Ok(Scored {
            method: outlier.method().name().to_owned(),
            input: outlier.input(),
            threshold: outlier.threshold(),
            false_positives: outlier.false_positives(),
            rows: scores.len(),
            outliers,
            share: outliers as f64 / scores.len().max(1) as f64,
            scores,
        })
    }
}

impl Scored {
    /// Writes the paths of the pictures beside the rows; `paths` has one for each.
    pub fn name_pictures(&mut self, paths: &[String]) {
        for one in &mut self.scores {
            one.picture = paths.get(one.row).cloned();
        }
    }
}

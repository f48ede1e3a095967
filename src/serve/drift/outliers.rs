//! Is a single picture strange to the model? Each answer is scored as it comes. Imports: base, detect,
//! `serve::drift::{active, seen}`.
//!
//! Mahalanobis and PCA cost a product with a matrix; nearest neighbours and LOF look at every row of the reference. So
//! that pictures that come fast leave the monitor its time for the rest, scores have a share of it: what
//! comes while that is spent is not scored. Which pictures those are does not depend on what they show.

use std::time::{Duration, Instant};

use crate::detect::{Fitted, Input, OutlierScore};

use super::active::guarded;
use super::seen::{Answer, features};

/// Of a core, so much goes into scores at most.
const SHARE: f64 = 0.2;
/// Time that nobody needed is saved up to this: pictures that come in bursts are all scored.
const SAVED_MAX: Duration = Duration::from_secs(2);
/// A threshold of 0 is exceeded by any factor.
const RELATIVE_MAX: f64 = 1e6;

/// What scores the answers of one model.
pub(super) struct Outliers {
    pub(super) name: String,
    pub(super) input: Input,
    /// The share of usual pictures that are called outliers.
    pub(super) false_positives: f64,
    budget: Budget,
    /// What was last wrong with a score, if anything was.
    problem: Option<String>,
}

/// What came of a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scored {
    pub(super) is_outlier: bool,
    /// The score in units of its threshold.
    pub(super) relative: f64,
}

impl Outliers {
    pub(super) fn new(score: &OutlierScore, now: Instant) -> Self {
        Self {
            name: format!("{}-{}", score.input(), score.method().name()),
            input: score.input(),
            false_positives: score.false_positives(),
            budget: Budget::new(now),
            problem: None,
        }
    }

    /// Scores an answer; `None` if there is no time for it.
    pub(super) fn score(
        &mut self,
        fitted: &Fitted,
        answer: &Answer,
        now: Instant,
    ) -> Option<Result<Scored, String>> {
        if !self.budget.has_time(now) {
            return None;
        }
        let began = Instant::now();
        let scored = guarded(|| scored(fitted, answer));
        self.budget.spend(began.elapsed());
        // Not forgotten where a score succeeds: good and bad pictures in turn are told once.
        if let Err(problem) = &scored
            && self.problem.as_ref() != Some(problem)
        {
            let detector = &self.name;
            tracing::warn!(
                detector,
                problem,
                "a picture cannot be scored as an outlier"
            );
            self.problem = Some(problem.clone());
        }
        Some(scored)
    }
}

fn scored(fitted: &Fitted, answer: &Answer) -> Result<Scored, String> {
    let found = fitted.outlier_scores(&features([answer])?);
    let scores = found.map_err(|e| e.to_string())?.unwrap_or_default();
    let (Some(score), Some(outlier)) = (scores.first(), fitted.outliers()) else {
        return Err("no score was fitted: this is a bug in cvops".to_owned());
    };
    Ok(Scored {
        is_outlier: outlier.is_outlier(*score),
        relative: relative(*score, outlier.threshold()),
    })
}

/// Scores are distances or ratios of them: none is below 0.
fn relative(score: f64, threshold: f64) -> f64 {
    if score <= 0.0 {
        0.0
    } else if threshold <= 0.0 {
        RELATIVE_MAX
    } else {
        (score / threshold).min(RELATIVE_MAX)
    }
}

/// Time that may be spent: it grows by `SHARE` of what passes, up to `SAVED_MAX`.
struct Budget {
    seconds: f64,
    at: Instant,
}

impl Budget {
    fn new(now: Instant) -> Self {
        Self {
            seconds: SAVED_MAX.as_secs_f64(),
            at: now,
        }
    }

    /// Is there time? The last one who had some may have overdrawn it.
    fn has_time(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.seconds = (self.seconds + SHARE * passed).min(SAVED_MAX.as_secs_f64());
        0.0 < self.seconds
    }

    fn spend(&mut self, took: Duration) {
        self.seconds -= took.as_secs_f64();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_have_a_share_of_the_time_and_what_was_saved() {
        let began = Instant::now();
        let mut budget = Budget::new(began);
        // A burst: 20 scores of 100 ms are saved for, the next is not.
        let scored = |budget: &mut Budget, now: Instant| {
            let has_time = budget.has_time(now);
            if has_time {
                budget.spend(Duration::from_millis(100));
            }
            usize::from(has_time)
        };
        let burst: usize = (0..100).map(|_| scored(&mut budget, began)).sum();
        assert!((20..=21).contains(&burst), "{burst}");
        // From then on two a second, of ten.
        let later = |i: u32| began + Duration::from_millis(100) * i;
        let steady: usize = (1..=1000).map(|i| scored(&mut budget, later(i))).sum();
        assert!((195..=205).contains(&steady), "{steady}");
        // What was not needed is saved, to a bound.
        let much_later = began + Duration::from_hours(1);
        let burst: usize = (0..100).map(|_| scored(&mut budget, much_later)).sum();
        assert!((20..=21).contains(&burst), "{burst}");
    }

    #[test]
    fn a_score_is_told_in_units_of_its_threshold() {
        assert_eq!(relative(3.0, 2.0), 1.5);
        assert_eq!(relative(0.0, 0.0), 0.0);
        assert_eq!(relative(1e-9, 0.0), RELATIVE_MAX);
        assert_eq!(relative(1e300, 1e-300), RELATIVE_MAX);
    }
}

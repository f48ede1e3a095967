//! What was tried and what came of it, as charts see it: a sweep of ours, or any runs that are parts of
//! one run. Pure. Imports: base, report, `sweep::{domain`, metric, state}.

use crate::report::chart::ScaleKind;

use super::domain::{Domain, Interval, Spread, Written};
use super::metric::Goal;
use super::state::{Sweep, TrialState};

/// Trials that have their metric, and what they were tried with.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// What the metric is called.
    pub metric: String,
    /// Which way it improves.
    pub goal: Goal,
    /// The parameters.
    pub axes: Vec<StudyAxis>,
    /// The trials, in the order in which they began.
    pub trials: Vec<StudyTrial>,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyAxis {
    /// Its name.
    pub name: String,
    /// What values it has.
    pub kind: AxisKind,
}

/// What values a parameter has.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisKind {
    /// Any in a range.
    Range(ScaleKind),
    /// One of a few.
    Choices {
        /// As they are written.
        names: Vec<String>,
        /// Can they be placed along an axis of numbers?
        are_numbers: bool,
    },
}

/// A trial.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyTrial {
    /// Its number, from 1.
    pub number: u64,
    /// What scripts call it.
    pub id: String,
    /// Where a click leads; may be empty.
    pub link: String,
    /// Its values, one for each axis.
    pub values: Vec<StudyValue>,
    /// The metric.
    pub value: f64,
}

/// A value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyValue {
    /// As it is written.
    pub text: String,
    /// As a number, if it is one.
    pub number: Option<f64>,
}

impl Study {
    /// Returns the finished trials of a sweep.
    #[must_use]
    pub fn of(sweep: &Sweep) -> Self {
        let definition = &sweep.definition;
        let axes = definition.space.dimensions.iter().map(|dimension| {
            let kind = match &dimension.domain {
                Domain::Interval(Interval {
                    spread: Spread::Log,
                    ..
                }) => AxisKind::Range(ScaleKind::Log),
                Domain::Interval(_) => AxisKind::Range(ScaleKind::Linear),
                Domain::Choices { values, .. } => AxisKind::Choices {
                    names: values.iter().map(|v| Written(v).to_string()).collect(),
                    are_numbers: values
                        .iter()
                        .all(|v| v.as_f64().is_some_and(f64::is_finite)),
                },
            };
            StudyAxis {
                name: dimension.param.to_string(),
                kind,
            }
        });
        let trials = sweep.trials.iter().filter_map(|trial| {
            let TrialState::Finished(finished) = &trial.state else {
                return None;
            };
            let values = trial.values.iter().map(|value| StudyValue {
                text: Written(value).to_string(),
                number: value.as_f64(),
            });
            Some(StudyTrial {
                number: trial.number,
                id: trial.number.to_string(),
                link: String::new(),
                values: values.collect(),
                value: finished.value,
            })
        });
        Self {
            metric: definition.metric.key.to_string(),
            goal: definition.goal,
            axes: axes.collect(),
            trials: trials.collect(),
        }
    }

    /// Returns the best trial; the earlier of equals.
    #[must_use]
    pub fn best(&self) -> Option<&StudyTrial> {
        let mut best: Option<&StudyTrial> = None;
        for trial in self.trials.iter().filter(|trial| !trial.value.is_nan()) {
            if best.is_none_or(|known| self.goal.is_better(trial.value, known.value)) {
                best = Some(trial);
            }
        }
        best
    }

    pub(super) fn is_best(&self, trial: &StudyTrial) -> bool {
        self.best().is_some_and(|best| best.number == trial.number)
    }
}

impl StudyTrial {
    pub(super) fn number_at(&self, axis: usize) -> Option<f64> {
        self.values.get(axis)?.number
    }

    pub(super) fn text_at(&self, axis: usize) -> &str {
        self.values.get(axis).map_or("", |value| &value.text)
    }

    pub(super) fn name(&self) -> String {
        format!("trial {}", self.number)
    }
}

impl AxisKind {
    /// Returns how the values lie along an axis of numbers, if they do.
    #[must_use]
    pub fn scale(&self) -> Option<ScaleKind> {
        match self {
            Self::Range(scale) => Some(*scale),
            Self::Choices { are_numbers, .. } => are_numbers.then_some(ScaleKind::Linear),
        }
    }
}

//! What a sweep is and how far it is: the values that the journal is read into. Imports: base,
//! `experiment::sweep`.

use crate::base::doc::Value;

use super::baseline::Inputs;
use super::metric::{Goal, MetricRef};
use super::sampler::Method;
use super::space::Space;

/// What a sweep is about, in our own types.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The parameters.
    pub space: Space,
    /// How values are proposed.
    pub method: Method,
    /// Seed of all draws.
    pub seed: u64,
    /// Trials in all.
    pub trials: Option<u64>,
    /// What is improved.
    pub metric: MetricRef,
    /// Which way.
    pub goal: Goal,
    /// Stages or outputs that each trial brings up to date; none: all.
    pub targets: Vec<String>,
    /// Hash over all other parameters.
    pub base: String,
    /// What the stages are made of beside parameters, when the first trial began.
    pub inputs: Inputs,
    /// The run that the trials' runs belong to.
    pub run: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub at_ms: i64,
}

impl Definition {
    /// Returns the values of a trial by parameter name.
    #[must_use]
    pub fn named(&self, values: &[Value]) -> Value {
        let names = self.space.dimensions.iter().map(|d| d.param.to_string());
        Value::Map(names.zip(values.iter().cloned()).collect())
    }
}

/// A trial as the journal tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its number, from 1.
    pub number: u64,
    /// Its values, one per dimension.
    pub values: Vec<Value>,
    /// How it ended.
    pub state: TrialState,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq)]
pub enum TrialState {
    /// Not yet: it runs, or its driver died.
    Open,
    /// With its metric.
    Finished(Finished),
    /// Without.
    Failed {
        /// Why, in one sentence.
        error: String,
        /// How long it took.
        seconds: f64,
        /// The run it is recorded as.
        run: Option<String>,
    },
}

/// A trial with its metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// The metric.
    pub value: f64,
    /// How long it took.
    pub seconds: f64,
    /// Stages whose commands ran, in that order, with how long each took in seconds.
    pub ran: Vec<(String, f64)>,
    /// Stages whose outputs came from the cache.
    pub restored: Vec<String>,
    /// The run it is recorded as.
    pub run: Option<String>,
}

/// A sweep as its journal tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub definition: Definition,
    /// Its trials, by number.
    pub trials: Vec<Trial>,
    /// Why the driver ended, if it did in an orderly way.
    pub ended: Option<String>,
}

impl Sweep {
    /// Returns the best trial so far; the earlier of equals.
    #[must_use]
    pub fn best(&self) -> Option<(&Trial, &Finished)> {
        let mut best: Option<(&Trial, &Finished)> = None;
        for trial in &self.trials {
            if let TrialState::Finished(finished) = &trial.state
                && best.is_none_or(|(_, b)| self.definition.goal.is_better(finished.value, b.value))
            {
                best = Some((trial, finished));
            }
        }
        best
    }

    /// Returns the number of trials with an end: finished, failed.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let count = |f: fn(&TrialState) -> bool| self.trials.iter().filter(|t| f(&t.state)).count();
        (
            count(|s| matches!(s, TrialState::Finished(_))),
            count(|s| matches!(s, TrialState::Failed { .. })),
        )
    }
}

//! What the user asks for, from flags and from a `sweep:` block, and the definition made of it.
//! Imports: base, pipeline.

use std::path::Path;
use std::time::Duration;

use crate::pipeline::Plan;
use crate::project::Layout;

use super::super::Error;
use super::driver::total;
use super::error::SweepError;
use super::journal::{self, Definition};
use super::metric::{self, Goal};
use super::params;
use super::sampler::Method;
use super::space::{Space, overlap};

/// Trials of a random sweep that says nothing else.
const TRIALS_DEFAULT: u64 = 20;
/// The seed of a sweep that says nothing else.
const SEED_DEFAULT: u64 = 0;

/// What was asked for; what is absent has a default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The sweep's name.
    pub name: Option<String>,
    /// How values are proposed.
    pub method: Option<Method>,
    /// Trials in all.
    pub trials: Option<u64>,
    /// Seed of all draws.
    pub seed: Option<u64>,
    /// `FILE:KEY`, or a key.
    pub metric: Option<String>,
    /// Which way is better.
    pub goal: Option<Goal>,
    /// No trial starts after this time.
    pub timeout: Option<Duration>,
    /// Trials at the same time.
    pub jobs: Option<usize>,
    /// The sweep ends after so many failed trials in a row.
    pub max_failures: Option<u64>,
    /// Stages or outputs that each trial brings up to date; none: all.
    pub targets: Vec<String>,
    /// The parameters.
    pub space: Space,
}

impl Request {
    /// Returns this request with what it leaves open taken from `block`. Parameters are taken from
    /// one of the two, never mixed.
    #[must_use]
    pub fn or(self, block: Self) -> Self {
        Self {
            name: self.name.or(block.name),
            method: self.method.or(block.method),
            trials: self.trials.or(block.trials),
            seed: self.seed.or(block.seed),
            metric: self.metric.or(block.metric),
            goal: self.goal.or(block.goal),
            timeout: self.timeout.or(block.timeout),
            jobs: self.jobs.or(block.jobs),
            max_failures: self.max_failures.or(block.max_failures),
            targets: if self.targets.is_empty() {
                block.targets
            } else {
                self.targets
            },
            space: if self.space.dimensions.is_empty() {
                block.space
            } else {
                self.space
            },
        }
    }

    /// Makes the definition of a new sweep over the stages of `plan`.
    ///
    /// # Errors
    /// No parameters; one that is not there or that no stage reads; a grid over an interval; no
    /// metric to improve.
    pub fn define(&self, plan: &Plan<'_>, root: &Path, at_ms: i64) -> Result<Definition, Error> {
        let space = self.space.clone();
        if space.dimensions.is_empty() {
            return Err(SweepError::new("nothing-to-sweep", "there is no parameter to sweep")
                .help("name one with its values (`cvops params sweep train.epochs=1,2`), or write a `sweep:` block into `pipeline.yaml`")
                .into());
        }
        let files = params::read(&space, root)?;
        check_read(plan, &space)?;
        let method = self.method.unwrap_or(if space.is_grid() {
            Method::Grid
        } else {
            Method::Random
        });
        let metric = metric::resolve(self.metric.as_deref(), plan, root)?;
        let goal = self.goal.unwrap_or_else(|| Goal::of_metric(&metric, plan));
        let definition = Definition {
            method,
            seed: self.seed.unwrap_or(SEED_DEFAULT),
            trials: self
                .trials
                .or((method == Method::Random).then_some(TRIALS_DEFAULT)),
            metric,
            goal,
            targets: self.targets.clone(),
            base: params::base_hash(plan, &space, root)?,
            run: None,
            at_ms,
            space,
        };
        total(&definition)?;
        // A value that cannot be placed is found now, not in the first trial.
        if let Some(values) = method.propose(&definition.space, definition.seed, 1) {
            params::with_values(&files, &definition.space, &values)?;
        }
        Ok(definition)
    }
}

/// Every trial would be the same if no stage read a parameter.
fn check_read(plan: &Plan<'_>, space: &Space) -> Result<(), SweepError> {
    let stages = || plan.order().iter().map(|&i| &plan.graph().stages()[i]);
    for dimension in &space.dimensions {
        let param = &dimension.param;
        let is_read = stages().any(|stage| {
            stage.params.keys().any(|p| overlap(p, param))
                || stage.deps.keys().any(|d| d.contains(&param.file))
        });
        if !is_read {
            return Err(SweepError::new(
                "unread-parameter",
                format!("no stage to be run depends on `{param}`"),
            )
            .help("list it under `params:` of the stage that reads it; else every trial gives the same"));
        }
    }
    Ok(())
}

/// Returns the name of a new sweep: the one asked for, or the first free `sweep-N`.
///
/// # Errors
/// It is no name, or taken.
pub fn new_name(layout: &Layout, wanted: Option<&str>) -> Result<String, SweepError> {
    let Some(name) = wanted else {
        let free = (1..=u32::MAX)
            .map(|n| format!("sweep-{n}"))
            .find(|n| !journal::exists(layout, n));
        return Ok(free.unwrap_or_default());
    };
    check_name(name)?;
    if journal::exists(layout, name) {
        return Err(SweepError::new("sweep-exists", format!("there is a sweep `{name}` already"))
            .help(format!(
                "go on with it (`cvops params sweep --resume --name {name}`), or choose another `--name`"
            )));
    }
    Ok(name.to_owned())
}

/// Returns the name of the sweep to go on with: the one asked for, or the only one there is.
///
/// # Errors
/// There is none, or several.
pub fn existing_name(layout: &Layout, wanted: Option<&str>) -> Result<String, SweepError> {
    if let Some(name) = wanted {
        check_name(name)?;
        return Ok(name.to_owned());
    }
    let mut names = journal::names(layout);
    match (names.pop(), names.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(SweepError::new("no-sweeps", "there is no sweep yet")
            .help("start one: `cvops params sweep train.epochs=1,2`")),
        (Some(last), false) => Err(SweepError::new("which-sweep", "which sweep is meant?")
            .help(format!("name one of {}, {last}", names.join(", ")))),
    }
}

fn check_name(name: &str) -> Result<(), SweepError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.starts_with(['-', '.']) || !name.chars().all(fits) {
        return Err(SweepError::new(
            "bad-name",
            format!("`{}` is no name for a sweep", name.escape_debug()),
        )
        .help("use letters, digits, `_`, `-` and `.`"));
    }
    Ok(())
}

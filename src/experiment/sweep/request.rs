//! What the user asks for, from flags and from a `sweep:` block, and the definition made of it.
//! Imports: base, pipeline.

use std::time::Duration;

use crate::pipeline::Plan;
use crate::pipeline::spec::{Freshness, StageSpec};
use crate::project::{Layout, Project};

use super::super::Error;
use super::baseline::{self, Inputs};
use super::driver::{shared_stages, total};
use super::error::SweepError;
use super::journal::{self, Journal};
use super::metric::{self, Goal, MetricRef};
use super::params;
use super::sampler::Method;
use super::space::{Space, overlap};
use super::state::{Definition, Sweep};
use super::variant::Templated;

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
    pub fn define(
        &self,
        plan: &Plan<'_>,
        project: &Project,
        at_ms: i64,
    ) -> Result<Definition, Error> {
        let root = &project.root;
        let space = self.space.clone();
        if space.dimensions.is_empty() {
            return Err(SweepError::new("nothing-to-sweep", "there is no parameter to sweep")
                .help("name one with its values (`cvops params sweep train.epochs=1,2`), or write a `sweep:` block into `pipeline.yaml`")
                .into());
        }
        let files = params::read(&space, root)?;
        let templated = Templated::find(project, plan.graph(), &space)?;
        check_read(plan, &space, &templated)?;
        let method = self.method.unwrap_or(if space.is_grid() {
            Method::Grid
        } else {
            Method::Random
        });
        let metric = metric::resolve(self.metric.as_deref(), plan, root)?;
        let goal = self.goal.unwrap_or_else(|| Goal::of_metric(&metric, plan));
        let mut definition = Definition {
            method,
            seed: self.seed.unwrap_or(SEED_DEFAULT),
            trials: self
                .trials
                .or((method == Method::Random).then_some(TRIALS_DEFAULT)),
            metric,
            goal,
            targets: self.targets.clone(),
            base: String::new(),
            // The driver looks at the sources when it begins.
            inputs: Inputs::new(),
            run: None,
            at_ms,
            space,
        };
        total(&definition)?;
        definition.base = baseline::base(&definition, plan, project)?;
        check_reached(plan, &definition, &templated)?;
        // A value that cannot be placed is found now, not in the first trial.
        if let Some(values) = method.propose(&definition.space, definition.seed, 1) {
            params::with_values(&files, &definition.space, &values)?;
        }
        Ok(definition)
    }
}

/// Every trial would be the same if no stage that runs read a parameter.
fn check_read(plan: &Plan<'_>, space: &Space, templated: &Templated) -> Result<(), SweepError> {
    for (number, dimension) in space.dimensions.iter().enumerate() {
        let param = &dimension.param;
        let reads = |stage: &&StageSpec| {
            stage.params.keys().any(|p| overlap(p, param))
                || stage.deps.keys().any(|d| d.contains(&param.file))
                || templated.reads(&stage.name, number)
        };
        let stages = plan.order().iter().map(|&i| &plan.graph().stages()[i]);
        let readers: Vec<&StageSpec> = stages.filter(reads).collect();
        if let Some(first) = readers.first() {
            if readers.iter().any(|stage| idle(stage).is_none()) {
                continue;
            }
            let why = readers.iter().find_map(|stage| idle(stage));
            return Err(SweepError::new(
                "idle-reader",
                format!(
                    "no trial would run a stage that depends on `{param}`: `{}` is {}",
                    first.name,
                    why.unwrap_or_default()
                ),
            )
            .help(match first.service {
                Some(_) => "list it under `params:` of the stage that reports the metric as well, or sweep another parameter".to_owned(),
                None => format!("`cvops unfreeze {}` lets it run again", first.name),
            }));
        }
        return Err(SweepError::new(
            "unread-parameter",
            format!("no stage to be run depends on `{param}`"),
        )
        .help(
            "list it under `params:` of the stage that reads it; else every trial gives the same",
        ));
    }
    Ok(())
}

/// Why trials pass over a stage, if they do.
fn idle(stage: &StageSpec) -> Option<&'static str> {
    if stage.service.is_some() {
        Some("a service")
    } else if stage.freshness == Freshness::Frozen {
        Some("frozen")
    } else {
        None
    }
}

/// The best of equal metrics would mean nothing.
fn check_reached(
    plan: &Plan<'_>,
    definition: &Definition,
    templated: &Templated,
) -> Result<(), SweepError> {
    let MetricRef { file, .. } = &definition.metric;
    let Some(index) = plan.graph().producer_of(file) else {
        return Ok(());
    };
    if !shared_stages(plan, definition, templated).contains(&index) {
        return Ok(());
    }
    let stage = &plan.graph().stages()[index];
    let why = match idle(stage) {
        Some(why) => format!("is {why}"),
        None => "depends on no swept parameter".to_owned(),
    };
    Err(SweepError::new(
        "same-metric",
        format!(
            "every trial would report the same `{}`: `{}` {why}",
            definition.metric, stage.name
        ),
    )
    .help("name a metric of a stage that the parameters reach, or let that stage depend on them"))
}

/// Returns the name of a new sweep: the one asked for, or the first free `sweep-N`.
///
/// # Errors
/// It is no name, or taken.
pub fn new_name(layout: &Layout, wanted: Option<&str>) -> Result<String, SweepError> {
    let Some(name) = wanted else {
        let free = automatic().find(|n| !journal::exists(layout, n));
        return Ok(free.unwrap_or_default());
    };
    check_name(name)?;
    if journal::exists(layout, name) {
        return Err(taken(name));
    }
    Ok(name.to_owned())
}

/// Opens the journal of a new sweep under the name asked for, or the first free `sweep-N`. From
/// then on the name is this process's: of two sweeps that begin at once, each gets its own.
///
/// # Errors
/// As `new_name`; or the journal cannot be created.
pub fn claim(layout: &Layout, wanted: Option<&str>) -> Result<Journal, Error> {
    if let Some(name) = wanted {
        new_name(layout, wanted)?;
        let journal = Journal::open(layout, name)?;
        return if journal.is_new() {
            Ok(journal)
        } else {
            Err(taken(name).into())
        };
    }
    for name in automatic().filter(|n| !journal::exists(layout, n)) {
        match Journal::open(layout, &name) {
            Ok(journal) if journal.is_new() => return Ok(journal),
            // Somebody else was faster.
            Ok(_) | Err(Error::Sweep(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(SweepError::new("no-name", "no name of a sweep is free")
        .help("give it one: `--name NAME`")
        .into())
}

fn automatic() -> impl Iterator<Item = String> {
    (1..=u32::MAX).map(|n| format!("sweep-{n}"))
}

fn taken(name: &str) -> SweepError {
    SweepError::new("sweep-exists", format!("there is a sweep `{name}` already")).help(format!(
        "go on with it (`cvops params sweep --resume --name {name}`), or choose another `--name`"
    ))
}

/// Checks that what was typed together with `--resume` is what `sweep` does anyway.
///
/// # Errors
/// It is another sweep that is asked for.
pub fn check_resume(typed: &Request, sweep: &Sweep) -> Result<(), SweepError> {
    let Definition {
        space,
        method,
        seed,
        metric,
        goal,
        targets,
        ..
    } = &sweep.definition;
    let name = &sweep.name;
    let differs = |flag: &str, is: &str| {
        Err(SweepError::new(
            "other-sweep",
            format!("`{flag}` is not what the sweep `{name}` began with: {is}"),
        )
        .help(format!(
            "leave `{flag}` out: `--resume` takes it from the journal; or start a sweep of another name"
        )))
    };
    if !typed.space.dimensions.is_empty() && typed.space != *space {
        return Err(SweepError::new(
            "other-space",
            format!("the sweep `{name}` searches other parameters"),
        )
        .help("leave the parameters out: `--resume` takes them from the journal"));
    }
    if typed.method.is_some_and(|m| m != *method) {
        return differs("--method", method.name());
    }
    if typed.seed.is_some_and(|s| s != *seed) {
        return differs("--seed", &seed.to_string());
    }
    let names_it = |text: &String| *text == metric.to_string() || *text == metric.key.to_string();
    if typed.metric.as_ref().is_some_and(|text| !names_it(text)) {
        return differs("--metric", &metric.to_string());
    }
    if typed.goal.is_some_and(|g| g != *goal) {
        return differs("--goal", goal.name());
    }
    if !typed.targets.is_empty() && typed.targets != *targets {
        let all = if targets.is_empty() {
            "all stages".to_owned()
        } else {
            targets.join(",")
        };
        return differs("--targets", &all);
    }
    let begun = sweep.trials.len() as u64;
    if let Some(trials) = typed.trials.filter(|trials| *trials < begun) {
        return Err(SweepError::new(
            "fewer-trials",
            format!("`--trials {trials}` is less than the {begun} trials that the sweep `{name}` has begun"),
        )
        .help(format!(
            "give {begun} or more; `cvops params sweep status {name}` shows them"
        )));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::grammar;

    fn definition() -> Definition {
        let lr = grammar::parse("lr=1,2").unwrap();
        Definition {
            space: Space::of_overrides(vec![lr]).unwrap(),
            method: Method::Grid,
            seed: 0,
            trials: None,
            metric: MetricRef {
                file: "m.json".parse().unwrap(),
                key: "acc".parse().unwrap(),
            },
            goal: Goal::Maximize,
            targets: Vec::new(),
            base: String::new(),
            inputs: Inputs::new(),
            run: None,
            at_ms: 1,
        }
    }

    #[test]
    fn a_name_belongs_to_whoever_holds_its_journal() {
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(tmp.path(), &crate::project::CVOPS);
        // Both began at once: the first has no line yet.
        let mut first = claim(&layout, None).unwrap();
        let second = claim(&layout, None).unwrap();
        assert_eq!((first.name(), second.name()), ("sweep-1", "sweep-2"));
        assert!(claim(&layout, Some("sweep-1")).is_err());
        first.append(&definition().to_record()).unwrap();
        drop((first, second));
        let error = claim(&layout, Some("sweep-1")).unwrap_err();
        assert!(error.to_string().contains("already"), "{error}");
        // The second ended before its first line: its name is free.
        assert_eq!(claim(&layout, None).unwrap().name(), "sweep-2");
    }

    #[test]
    fn resume_takes_only_what_the_sweep_is_about() {
        let trials = [1, 2].map(|number| crate::experiment::sweep::state::Trial {
            number,
            values: vec![crate::base::doc::Value::Int(1)],
            state: crate::experiment::sweep::state::TrialState::Open,
        });
        let sweep = Sweep {
            name: "s".into(),
            definition: definition(),
            trials: trials.into(),
            ended: None,
        };
        let code = |typed: Request| {
            let error = check_resume(&typed, &sweep).err();
            error.map(|e| crate::base::ToDiagnostics::to_diagnostics(&e)[0].code)
        };
        let nothing = Request::default;
        let metric = |text: &str| Request {
            metric: Some(text.into()),
            ..nothing()
        };
        assert_eq!(code(nothing()), None);
        assert_eq!(code(metric("acc")), None);
        assert_eq!(code(metric("m.json:acc")), None);
        assert_eq!(code(metric("loss")), Some("other-sweep"));
        let other = [
            Request {
                goal: Some(Goal::Minimize),
                ..nothing()
            },
            Request {
                seed: Some(1),
                ..nothing()
            },
            Request {
                method: Some(Method::Random),
                ..nothing()
            },
            Request {
                targets: vec!["train".into()],
                ..nothing()
            },
        ];
        for typed in other {
            assert_eq!(code(typed), Some("other-sweep"));
        }
        let of_trials = |n| Request {
            trials: Some(n),
            ..nothing()
        };
        assert_eq!(code(of_trials(2)), None);
        assert_eq!(code(of_trials(1)), Some("fewer-trials"));
        let lr = grammar::parse("lr=1,3").unwrap();
        let space = Space::of_overrides(vec![lr]).unwrap();
        assert_eq!(code(Request { space, ..nothing() }), Some("other-space"));
    }
}

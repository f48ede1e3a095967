//! What changes when one version takes over from another. Pure. Imports: pipeline, track.

use std::collections::{BTreeMap, BTreeSet};

use crate::pipeline::spec::Direction;
use crate::track::overview::{is_table, main_metrics};
use crate::track::{Key, Run, Status};

use super::evidence::Evidence;

/// Metrics that are compared at most; the page of the two runs has all.
const METRICS_MAX: usize = 60;

/// Params that say on what a model is judged begin so, or have this word in their name.
const JUDGING: [&str; 3] = ["evaluate", "eval", "test"];
const SPLIT: &str = "split";

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Better,
    Worse,
    Same,
    /// Only one of the two has it.
    Unknown,
}

/// One metric of both.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MetricRow {
    pub(super) key: Key,
    pub(super) held: Option<f64>,
    pub(super) new: Option<f64>,
    pub(super) direction: Direction,
    pub(super) verdict: Verdict,
}

/// A param or a dataset that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) name: String,
    pub(super) held: Option<String>,
    pub(super) new: Option<String>,
}

/// What changes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    /// The metric that counts comes first.
    pub(super) metrics: Vec<MetricRow>,
    /// Metrics that are not listed.
    pub(super) more_metrics: usize,
    pub(super) params: Vec<Changed>,
    /// All datasets, those that are the same as well.
    pub(super) data: Vec<Changed>,
    /// What to think about before.
    pub(super) warnings: Vec<String>,
}

/// What a model was judged by: paths with hashes.
type Inputs = BTreeMap<String, String>;

/// Says in which direction metrics improve: as the project declares for a file, or by name.
pub(super) type Declared = BTreeMap<String, Direction>;

/// Returns the metric by which versions are judged: the one that is asked for, or the first of the
/// main ones of their runs.
pub(super) fn main_metric(all: &[&Evidence], asked: Option<&str>) -> Option<Key> {
    let keys = ordered_keys(all);
    match asked {
        Some(name) => keys.into_iter().find(|key| key.is_called(name)),
        None => keys.into_iter().next(),
    }
}

/// Returns all keys, those worth a look first, curves last.
fn ordered_keys(all: &[&Evidence]) -> Vec<Key> {
    let runs: Vec<Run> = all.iter().filter_map(|one| one.run.clone()).collect();
    let of_models = all.iter().flat_map(|one| one.logged.iter());
    let of_models = of_models.flat_map(|model| &model.metrics);
    let mut keys: Vec<Key> = of_models
        .map(|metric| Key::new("", &metric.point.name))
        .collect();
    keys.extend(main_metrics(&runs, usize::MAX));
    let rest = all.iter().flat_map(|one| one.metrics());
    let rest: Vec<Key> = rest.map(|(key, _)| key).collect();
    let (curves, others): (Vec<Key>, Vec<Key>) =
        rest.into_iter().partition(|key| is_table(&key.file));
    keys.extend(others);
    keys.extend(curves);
    let mut seen = BTreeSet::new();
    // The same number can have been logged with its file and without.
    keys.retain(|key| seen.insert(key.key.clone()));
    keys
}

/// Compares the version that holds a title with one that is to have it.
pub(super) fn difference(
    held: Option<&Evidence>,
    new: &Evidence,
    asked: Option<&str>,
    declared: &Declared,
) -> Difference {
    let both: Vec<&Evidence> = held.into_iter().chain([new]).collect();
    let main = main_metric(&both, asked);
    let mut keys = ordered_keys(&both);
    if let Some(main) = &main {
        keys.retain(|key| key != main);
        keys.insert(0, main.clone());
    }
    let mut metrics: Vec<MetricRow> = keys
        .into_iter()
        .map(|key| metric_row(key, held, new, declared))
        .collect();
    let more_metrics = metrics.len().saturating_sub(METRICS_MAX);
    metrics.truncate(METRICS_MAX);
    let params = held.map_or_else(BTreeMap::new, Evidence::params);
    let params = changed(&params, &new.params(), String::clone);
    let data = held.map_or_else(BTreeMap::new, Evidence::data);
    let data = union(&data, &new.data(), |(name, context)| {
        if context.is_empty() {
            name.clone()
        } else {
            format!("{name} ({context})")
        }
    });
    let judged = main.as_ref().map(|key| {
        let of = |one: &Evidence| one.judged_by(&key.file);
        (
            held.and_then(of).unwrap_or_default(),
            of(new).unwrap_or_default(),
        )
    });
    let mut warnings = of_runs(held, new);
    warnings.extend(main.as_ref().and_then(|_| of_main(metrics.first())));
    if held.is_some() {
        warnings.extend(of_judging(&params, &data, judged.as_ref()));
        if metrics.iter().all(|row| row.verdict == Verdict::Unknown) {
            warnings.push(
                "the two versions have no metric in common: nothing says which one is better"
                    .to_owned(),
            );
        }
    }
    Difference {
        metrics,
        more_metrics,
        params,
        data,
        warnings,
    }
}

fn metric_row(key: Key, held: Option<&Evidence>, new: &Evidence, declared: &Declared) -> MetricRow {
    let direction = declared.get(&key.file).copied();
    let direction = direction.unwrap_or_else(|| Direction::of_name(&key.key));
    let (held, new) = (held.and_then(|one| one.metric(&key)), new.metric(&key));
    MetricRow {
        verdict: verdict(held, new, direction),
        key,
        held,
        new,
        direction,
    }
}

fn verdict(held: Option<f64>, new: Option<f64>, direction: Direction) -> Verdict {
    let (Some(held), Some(new)) = (held, new) else {
        return Verdict::Unknown;
    };
    if held == new || (held.is_nan() && new.is_nan()) {
        return Verdict::Same;
    }
    // A number that could not be computed is worse than any.
    let is_better = match (held.is_nan(), new.is_nan()) {
        (true, _) => true,
        (_, true) => false,
        _ => match direction {
            Direction::Max => held < new,
            Direction::Min => new < held,
        },
    };
    if is_better {
        Verdict::Better
    } else {
        Verdict::Worse
    }
}

fn union<K: Ord>(
    held: &BTreeMap<K, String>,
    new: &BTreeMap<K, String>,
    named: impl Fn(&K) -> String,
) -> Vec<Changed> {
    let keys: BTreeSet<&K> = held.keys().chain(new.keys()).collect();
    let rows = keys.into_iter().map(|key| Changed {
        name: named(key),
        held: held.get(key).cloned(),
        new: new.get(key).cloned(),
    });
    rows.collect()
}

fn changed<K: Ord>(
    held: &BTreeMap<K, String>,
    new: &BTreeMap<K, String>,
    named: impl Fn(&K) -> String,
) -> Vec<Changed> {
    let mut all = union(held, new, named);
    all.retain(Changed::is_changed);
    all
}

impl Changed {
    pub(super) fn is_changed(&self) -> bool {
        self.held != self.new
    }
}

fn of_runs(held: Option<&Evidence>, new: &Evidence) -> Vec<String> {
    let mut warnings = Vec::new();
    match &new.run {
        None => warnings.push(
            "nothing is known of the run that made this version: it is not recorded here"
                .to_owned(),
        ),
        Some(run) => match run.status {
            Status::Finished => {}
            Status::Failed => warnings.push(format!("the run `{}` failed", run.name)),
            Status::Killed => {
                warnings.push(format!("the run `{}` was stopped before its end", run.name));
            }
            Status::Running | Status::Scheduled => {
                warnings.push(format!("the run `{}` has not ended yet", run.name));
            }
        },
    }
    if new.version.status != "READY" {
        warnings.push(format!(
            "the version is not ready: its status is `{}`",
            new.version.status
        ));
    }
    if let Some((_, Some(true))) = new.commit() {
        warnings.push(
            "it was made from files that were not committed: the commit alone does not bring it back"
                .to_owned(),
        );
    }
    if held.is_some_and(|held| held.run.is_none()) {
        warnings.push(
            "nothing is known of the run that made the version in use: it is not recorded here"
                .to_owned(),
        );
    }
    warnings
}

fn of_main(row: Option<&MetricRow>) -> Option<String> {
    let row = row?;
    let name = &row.key.key;
    match (row.verdict, row.new) {
        (Verdict::Worse, _) => Some(format!("it is worse in `{name}`, the metric that counts")),
        (_, None) => Some(format!("it has no `{name}`, the metric that counts")),
        (Verdict::Better | Verdict::Same | Verdict::Unknown, Some(_)) => None,
    }
}

/// Numbers can only be compared if both models were judged by the same.
fn of_judging(
    params: &[Changed],
    data: &[Changed],
    judged: Option<&(Inputs, Inputs)>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut told = BTreeSet::new();
    if let Some((held, new)) = judged.filter(|(held, new)| !held.is_empty() && !new.is_empty()) {
        for one in changed(held, new, String::clone) {
            warnings.push(format!(
                "the two were evaluated on other data: `{}` is not the same",
                one.name
            ));
            told.insert(one.name);
        }
    }
    // Older runs and runs of clients may not say what they read.
    let says_nothing =
        |side: fn(&Changed) -> &Option<String>| data.iter().all(|one| side(one).is_none());
    if says_nothing(|one| &one.held) || says_nothing(|one| &one.new) {
        if told.is_empty() {
            warnings.push(
                "which data they come from is not recorded for both: the numbers may not be comparable"
                    .to_owned(),
            );
        }
        warnings.extend(of_params(params));
        return warnings;
    }
    for one in data.iter().filter(|one| one.is_changed()) {
        let name = one.name.split(" (").next().unwrap_or_default();
        if told.contains(name) {
            continue;
        }
        warnings.push(match (&one.held, &one.new) {
            (Some(_), Some(_)) => format!(
                "the two come from other data: `{}` is not the same",
                one.name
            ),
            _ => format!("only one of the two used the data `{}`", one.name),
        });
    }
    warnings.extend(of_params(params));
    warnings
}

fn of_params(params: &[Changed]) -> Vec<String> {
    let judging = params.iter().filter(|one| is_judging(&one.name));
    judging
        .map(|one| {
            let side =
                |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
            let (held, new) = (side(&one.held), side(&one.new));
            let name = &one.name;
            format!("the two were evaluated otherwise: `{name}` is {new} instead of {held}")
        })
        .collect()
}

/// Does a param say on what a model is judged?
fn is_judging(name: &str) -> bool {
    let key = name.rsplit(':').next().unwrap_or(name).to_lowercase();
    let mut words = key.split(|c: char| !c.is_alphanumeric());
    let first = words.clone().next().unwrap_or_default();
    JUDGING.contains(&first) || words.any(|word| word == SPLIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_knows_the_direction() {
        use Direction::{Max, Min};
        for (held, new, direction, expected) in [
            (Some(0.8), Some(0.9), Max, Verdict::Better),
            (Some(0.8), Some(0.9), Min, Verdict::Worse),
            (Some(0.8), Some(0.8), Min, Verdict::Same),
            (Some(f64::NAN), Some(0.1), Max, Verdict::Better),
            (Some(0.1), Some(f64::NAN), Min, Verdict::Worse),
            (Some(f64::NAN), Some(f64::NAN), Min, Verdict::Same),
            (None, Some(1.0), Max, Verdict::Unknown),
        ] {
            assert_eq!(verdict(held, new, direction), expected, "{held:?} {new:?}");
        }
    }

    #[test]
    fn params_that_judge_are_known_by_their_words() {
        for name in [
            "evaluate.split",
            "data.test_split",
            "eval.batch",
            "p.yaml:test.n",
        ] {
            assert!(is_judging(name), "{name}");
        }
        for name in ["train.epochs", "latest", "data.splitter", "model.evaluated"] {
            assert!(!is_judging(name), "{name}");
        }
    }

    #[test]
    fn other_judging_data_is_told_once() {
        let one = |name: &str, held: &str, new: &str| Changed {
            name: name.into(),
            held: Some(held.into()),
            new: Some(new.into()),
        };
        let map = |hash: &str| BTreeMap::from([("raw".to_owned(), hash.to_owned())]);
        let told = of_judging(
            &[one("evaluate.split", "test", "val"), one("lr", "1", "2")],
            &[one("raw (prepare)", "a", "b"), one("other", "c", "c")],
            Some(&(map("a"), map("b"))),
        );
        assert_eq!(
            told,
            [
                "the two were evaluated on other data: `raw` is not the same",
                "the two were evaluated otherwise: `evaluate.split` is val instead of test",
            ]
        );
    }
}

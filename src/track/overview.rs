//! What to show of several runs side by side: the params in which they differ, their main metrics.
//! Pure. Imports: run.

use std::collections::BTreeSet;

use super::run::{Key, Run};

/// File endings of tables: their metrics are curves, and their last values say less than the
/// numbers that an evaluation writes.
const TABLES: [&str; 4] = [".jsonl", ".ndjson", ".csv", ".tsv"];

/// Metrics of the machine begin so (MLflow's name): they say how busy it was, not what came out.
pub const SYSTEM: &str = "system/";

/// Tags of a trial begin so; the name of a swept parameter follows.
const SWEPT: &str = "cvops.sweep.";

/// Returns the params that do not have the same value in all `runs` that have them, those that were
/// swept first, else by name. A run without a param says nothing about it: the run of a whole sweep
/// has none, and a repro of one stage has those of that stage.
#[must_use]
pub fn differing_params(runs: &[Run]) -> Vec<Key> {
    let keys: BTreeSet<&Key> = runs.iter().flat_map(|run| run.params.keys()).collect();
    let mut differing: Vec<Key> = keys
        .into_iter()
        .filter(|key| {
            let mut values = runs.iter().filter_map(|run| run.params.get(*key));
            let first = values.next();
            values.any(|value| first.is_some_and(|first| !first.same(value)))
        })
        .cloned()
        .collect();
    let swept: BTreeSet<&str> = runs
        .iter()
        .flat_map(|run| run.tags.keys())
        .filter_map(|tag| tag.strip_prefix(SWEPT))
        .collect();
    // A stable sort: within a rank the order stays.
    differing.sort_by_key(|key| !swept.contains(key.to_string().as_str()));
    differing
}

/// Is a file of this name a table, whose metrics are curves?
#[must_use]
pub fn is_table(file: &str) -> bool {
    TABLES.iter().any(|end| file.ends_with(end))
}

/// Is this a metric of the machine?
#[must_use]
pub fn is_system(key: &Key) -> bool {
    key.file.is_empty() && key.key.starts_with(SYSTEM)
}

/// Among several runs a metric that is always the same (`top_k`) tells them not apart.
const CONSTANT_FROM: usize = 3;

/// Returns at most `limit` metrics worth a column: those of metrics files before curves, and top
/// keys (`accuracy`) before nested ones (`per_class.bag.f1`), else in the order of their files.
/// Those that are the same in many runs are left out, unless nothing else is there.
#[must_use]
pub fn main_metrics(runs: &[Run], limit: usize) -> Vec<Key> {
    let mut seen = BTreeSet::new();
    let mut keys: Vec<&Key> = runs
        .iter()
        .flat_map(|run| &run.metrics)
        .map(|metric| &metric.key)
        .filter(|key| !is_system(key))
        .filter(|key| seen.insert(*key))
        .collect();
    if keys.iter().any(|key| !is_table(&key.file)) {
        keys.retain(|key| !is_table(&key.file));
    }
    let is_constant = |key: &Key| {
        let values: Vec<f64> = runs.iter().filter_map(|run| run.metric(key)).collect();
        CONSTANT_FROM <= values.len() && values.windows(2).all(|pair| pair[0] == pair[1])
    };
    if keys.iter().any(|key| !is_constant(key)) {
        keys.retain(|key| !is_constant(key));
    }
    // A stable sort: within a rank the order stays.
    keys.sort_by_key(|key| key.key.contains('.'));
    keys.into_iter().take(limit).cloned().collect()
}

/// Returns what each key is called in a heading: its own name where that is clear, else with its
/// file.
#[must_use]
pub fn headings(keys: &[Key]) -> Vec<String> {
    keys.iter()
        .map(|key| {
            let is_clear = keys.iter().filter(|k| k.key == key.key).count() == 1;
            if is_clear && !key.key.is_empty() {
                key.key.clone()
            } else {
                format!("{}:{}", key.file, key.key)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::clock::Timestamp;
    use crate::base::doc::Value;
    use crate::track::run::{Metric, RunId, Status};

    fn run(params: &[(&str, i64)], metrics: &[(&str, &str, f64)]) -> Run {
        let metric = |(file, key, value): &(&str, &str, f64)| Metric {
            key: Key::new(*file, *key),
            value: *value,
            step: 0,
            at: Timestamp::UNIX_EPOCH,
        };
        Run {
            id: RunId::random(),
            name: String::new(),
            experiment: String::new(),
            parent: None,
            status: Status::Finished,
            started: Timestamp::UNIX_EPOCH,
            ended: None,
            command: String::new(),
            targets: Vec::new(),
            git: None,
            stages: Vec::new(),
            params: params
                .iter()
                .map(|(key, value)| (Key::new("params.yaml", *key), Value::Int(*value)))
                .collect(),
            metrics: metrics.iter().map(metric).collect(),
            artifacts: Vec::new(),
            tags: BTreeMap::new(),
        }
    }

    #[test]
    fn columns_are_what_differs_and_what_counts() {
        let runs = [
            run(
                &[("lr", 1), ("epochs", 3)],
                &[
                    ("t.jsonl", "loss", 1.0),
                    ("m.json", "a.b", 1.0),
                    ("m.json", "z", 1.0),
                ],
            ),
            run(
                &[("lr", 2), ("epochs", 3), ("new", 1)],
                &[("n.json", "z", 2.0)],
            ),
        ];
        assert_eq!(headings(&differing_params(&runs)), ["lr"]);
        let metrics = main_metrics(&runs, 9);
        assert_eq!(headings(&metrics), ["m.json:z", "n.json:z", "a.b"]);
        assert_eq!(main_metrics(&runs, 1), metrics[..1]);
        let curves_only = [run(&[], &[("t.jsonl", "loss", 1.0)])];
        assert_eq!(headings(&main_metrics(&curves_only, 9)), ["loss"]);
    }

    #[test]
    fn a_sweep_shows_what_it_swept() {
        let mut runs = vec![run(&[], &[])];
        for (lr, seed) in [(1, 5), (2, 6)] {
            let mut trial = run(&[("a", seed), ("batch", 8), ("lr", lr)], &[]);
            trial.tags.insert(format!("{SWEPT}lr"), lr.to_string());
            runs.push(trial);
        }
        assert_eq!(headings(&differing_params(&runs)), ["lr", "a"]);
    }

    #[test]
    fn a_metric_that_never_changes_takes_no_column() {
        let one = |accuracy| {
            run(
                &[],
                &[("m.json", "top_k", 5.0), ("m.json", "acc", accuracy)],
            )
        };
        let runs = [one(0.1), one(0.2), one(0.2)];
        assert_eq!(headings(&main_metrics(&runs, 9)), ["acc"]);
        assert_eq!(headings(&main_metrics(&runs[..2], 9)), ["top_k", "acc"]);
        assert_eq!(headings(&main_metrics(&runs[1..], 9)), ["top_k", "acc"]);
        let same = [one(0.1), one(0.1), one(0.1)];
        assert_eq!(headings(&main_metrics(&same, 9)), ["top_k", "acc"]);
    }
}

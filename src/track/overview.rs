//! What to show of several runs side by side: the params in which they differ, their main metrics.
//! Pure. Imports: run.

use std::collections::BTreeSet;

use super::run::{Key, Run};

/// File endings of tables: their metrics are curves, and their last values say less than the
/// numbers that an evaluation writes.
const TABLES: [&str; 4] = [".jsonl", ".ndjson", ".csv", ".tsv"];

/// Returns the params that do not have the same value in all `runs`, by name.
#[must_use]
pub fn differing_params(runs: &[Run]) -> Vec<Key> {
    let keys: BTreeSet<&Key> = runs.iter().flat_map(|run| run.params.keys()).collect();
    keys.into_iter()
        .filter(|key| {
            let mut values = runs.iter().map(|run| run.params.get(*key));
            let first = values.next();
            values.any(|value| Some(value) != first)
        })
        .cloned()
        .collect()
}

/// Returns at most `limit` metrics worth a column: those of metrics files before curves, and top
/// keys (`accuracy`) before nested ones (`per_class.bag.f1`), else in the order of their files.
#[must_use]
pub fn main_metrics(runs: &[Run], limit: usize) -> Vec<Key> {
    let mut seen = BTreeSet::new();
    let mut keys: Vec<&Key> = runs
        .iter()
        .flat_map(|run| &run.metrics)
        .map(|metric| &metric.key)
        .filter(|key| seen.insert(*key))
        .collect();
    let is_curve = |key: &Key| TABLES.iter().any(|end| key.file.ends_with(end));
    if keys.iter().any(|key| !is_curve(key)) {
        keys.retain(|key| !is_curve(key));
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
        assert_eq!(headings(&differing_params(&runs)), ["lr", "new"]);
        let metrics = main_metrics(&runs, 9);
        assert_eq!(headings(&metrics), ["m.json:z", "n.json:z", "a.b"]);
        assert_eq!(main_metrics(&runs, 1), metrics[..1]);
        let curves_only = [run(&[], &[("t.jsonl", "loss", 1.0)])];
        assert_eq!(headings(&main_metrics(&curves_only, 9)), ["loss"]);
    }
}

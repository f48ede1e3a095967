//! What differs between a run and another one: params, metrics, what stages read and wrote.
//! Imports: pipeline, track, `ui::*`.

use std::collections::{BTreeMap, BTreeSet};

use super::charts::is_of_system;
use super::seen::Seen;
use crate::pipeline::lock::{LockEntry, LockFile};
use crate::store::Presence;
use crate::ui::asked::Asked;
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::number::number;
use crate::ui::parts::table::{Cell, Column, DataTable};

/// More rows than this are left out of a page.
const ROWS_MAX: usize = 500;

/// The tables of a difference: each holds only what differs.
pub(super) struct Difference {
    /// The other run.
    pub(super) name: String,
    pub(super) href: String,
    pub(super) compare_href: String,
    pub(super) params: DataTable,
    pub(super) metrics: DataTable,
    pub(super) stages: DataTable,
    pub(super) is_nothing: bool,
}

impl Difference {
    /// Compares `seen` with `other`.
    pub(super) fn of(asked: &Asked, seen: &Seen, other: &Seen) -> Self {
        let (params, metrics) = (params(asked, seen, other), metrics(asked, seen, other));
        let stages = stages(asked, seen, other);
        Self {
            name: other.record.info.name.clone(),
            href: other.href(),
            compare_href: format!("/compare?run={}&run={}", seen.id(), other.id()),
            is_nothing: [&params, &metrics, &stages]
                .iter()
                .all(|table| table.rows.is_empty()),
            params,
            metrics,
            stages,
        }
    }
}

/// Puts the values of both sides beside one another, where they are not the same.
fn pairs<'a, T: PartialEq>(
    here: impl Iterator<Item = (&'a str, T)>,
    there: impl Iterator<Item = (&'a str, T)>,
) -> Vec<(&'a str, Option<T>, Option<T>)> {
    let mut both: BTreeMap<&str, (Option<T>, Option<T>)> = BTreeMap::new();
    for (name, value) in there {
        both.entry(name).or_default().0 = Some(value);
    }
    for (name, value) in here {
        both.entry(name).or_default().1 = Some(value);
    }
    let differing = both.into_iter().filter(|(_, (old, new))| old != new);
    differing
        .take(ROWS_MAX)
        .map(|(name, (old, new))| (name, old, new))
        .collect()
}

fn table(asked: &Asked, id: &'static str, what: &str, other: &Seen, is_number: bool) -> DataTable {
    let column = |key: &str, title: &str| {
        if is_number {
            Column::number(key, title)
        } else {
            Column::text(key, title)
        }
    };
    let mut table = DataTable::new(asked, id, &format!("{what} that differ"));
    table.columns = vec![
        Column::text("name", "Name"),
        column("other", &other.record.info.name),
        column("this", "This run"),
    ];
    table
}

fn params_of(seen: &Seen) -> impl Iterator<Item = (&str, &str)> {
    let params = seen.record.params.iter();
    params.map(|param| (param.key.as_str(), param.value.as_str()))
}

/// Returns metrics as bits: two NaNs do not differ.
fn metrics_of(seen: &Seen) -> impl Iterator<Item = (&str, u64)> {
    let metrics = seen.record.metrics.iter();
    metrics
        .filter(|metric| !is_of_system(&metric.name))
        .map(|metric| (metric.name.as_str(), metric.value.to_bits()))
}

fn params(asked: &Asked, seen: &Seen, other: &Seen) -> DataTable {
    let mut table = table(asked, "diff-params", "Params", other, false);
    let cell = |value: Option<&str>| match value {
        Some(value) => Cell::Code(value.to_owned()),
        None => Cell::Empty,
    };
    let found = pairs(params_of(seen), params_of(other));
    table.rows = found
        .into_iter()
        .map(|(name, old, new)| vec![Cell::Text(name.to_owned()), cell(old), cell(new)])
        .collect();
    table
}

fn metrics(asked: &Asked, seen: &Seen, other: &Seen) -> DataTable {
    let mut table = table(asked, "diff-metrics", "Metrics", other, true);
    table.columns.push(Column::number("change", "Change"));
    let found = pairs(metrics_of(seen), metrics_of(other));
    let cell = |bits: Option<u64>| match bits {
        Some(bits) => Cell::Number(f64::from_bits(bits)),
        None => Cell::Empty,
    };
    table.rows = found
        .into_iter()
        .map(|(name, old, new)| {
            let change = match (old, new) {
                (Some(old), Some(new)) => {
                    let value = f64::from_bits(new) - f64::from_bits(old);
                    let sign = if 0.0 < value { "+" } else { "" };
                    Cell::Shown {
                        value,
                        text: format!("{sign}{}", number(value)),
                    }
                }
                _ => Cell::Empty,
            };
            vec![Cell::Text(name.to_owned()), cell(old), cell(new), change]
        })
        .collect();
    table
}

/// Returns what the locks of both runs say differently: commands, deps, outs.
fn stages(asked: &Asked, seen: &Seen, other: &Seen) -> DataTable {
    let mut table = DataTable::new(asked, "diff-stages", "Stages that differ");
    table.columns = vec![
        Column::text("stage", "Stage"),
        Column::text("what", "What"),
        Column::text("change", "Change"),
        Column::text("other", &other.record.info.name),
        Column::text("this", "This run"),
    ];
    // Locks of DVC repositories have another form: those are shown as texts only.
    let read = |seen: &Seen| {
        let text = seen.detail.lock.clone()?;
        LockFile::parse("pipeline.lock", text).ok()
    };
    let (Some(here), Some(there)) = (read(seen), read(other)) else {
        return table;
    };
    let facts = |lock: &LockFile| -> BTreeMap<(String, String), String> {
        let mut all = BTreeMap::new();
        for (name, entry) in &lock.stages {
            for (what, value) in facts_of(entry) {
                all.insert((name.to_string(), what), value);
            }
        }
        all
    };
    let (here, there) = (facts(&here), facts(&there));
    let keys: BTreeSet<_> = here.keys().chain(there.keys()).collect();
    for key in keys {
        let (old, new) = (there.get(key), here.get(key));
        if old == new || ROWS_MAX <= table.rows.len() {
            continue;
        }
        let change = match (old, new) {
            (None, _) => Chip::new(Tone::Good, "added"),
            (_, None) => Chip::new(Tone::Bad, "removed"),
            _ => Chip::new(Tone::Warn, "changed"),
        };
        let cell = |value: Option<&String>| match value {
            Some(value) => Cell::Code(value.clone()),
            None => Cell::Empty,
        };
        table.rows.push(vec![
            Cell::Text(key.0.clone()),
            Cell::Code(key.1.clone()),
            Cell::State(change),
            cell(old),
            cell(new),
        ]);
    }
    table
}

/// Digits of a hash that people see.
const HASH_DIGITS: usize = 10;

fn facts_of(entry: &LockEntry) -> Vec<(String, String)> {
    let shown = |presence: &Presence| match presence {
        Presence::Missing => "missing".to_owned(),
        Presence::Present(present) => present
            .object
            .hash()
            .to_string()
            .chars()
            .take(HASH_DIGITS)
            .collect(),
    };
    let mut facts = vec![("cmd".to_owned(), entry.commands.join("\n"))];
    let deps = entry.deps.iter();
    facts.extend(deps.map(|(path, presence)| (format!("dep {path}"), shown(presence))));
    let outs = entry.outs.iter();
    facts.extend(outs.map(|(path, presence)| (format!("out {path}"), shown(presence))));
    facts
}

//! Runs in groups: what runs with the same value of a param have in common, with the spread of their
//! metrics. Imports: mlflow, track, `ui::parts`.

use crate::mlflow::Refused;
use crate::track::Reader;
use crate::track::table::{ColumnRef, Group, GroupsQuery, Spread};
use crate::ui::asked::{Asked, Format};
use crate::ui::parts::number::number;
use crate::ui::parts::table::{Cell, Column, DataTable};

use super::ask::RunsAsk;
use super::columns::{Shown, first_page};

/// Groups that are shown, the largest ones; a file has all.
const GROUPS_SHOWN: usize = 500;

/// Metrics that are summed up.
const METRICS_MAX: usize = 5;

/// Returns the table of groups, and how many there are in all.
pub(super) fn table(
    reader: &Reader<'_>,
    asked: &Asked,
    ask: &RunsAsk,
) -> Result<(DataTable, usize), Refused> {
    let metrics: Vec<String> = ask
        .columns
        .iter()
        .filter_map(|column| match column {
            Shown::Logged(ColumnRef::Metric(name)) => Some(name.clone()),
            _ => None,
        })
        .take(METRICS_MAX)
        .collect();
    // A page shows the deviation beside the mean.
    let is_file = asked.format()? != Format::Html;
    let query = GroupsQuery {
        runs: ask.runs(),
        by: ask.group.clone(),
        metrics: metrics.clone(),
        groups_max: if is_file { usize::MAX } else { GROUPS_SHOWN },
    };
    let found = reader.group_runs(&query)?;
    let mut table = DataTable::new(asked, "groups", "Groups of runs");
    "No runs here.".clone_into(&mut table.empty);
    let by = ask.group.iter();
    table.columns = by
        .map(|column| Column::text(&column.to_string(), column.name()))
        .collect();
    table.columns.push(Column::number("runs", "Runs"));
    for name in &metrics {
        for (key, title) in [
            ("mean", format!("{name}: mean ± sd")),
            ("deviation", "sd".to_owned()),
            ("min", "lowest".to_owned()),
            ("max", "highest".to_owned()),
        ] {
            if key == "deviation" && !is_file {
                continue;
            }
            table
                .columns
                .push(Column::number(&format!("metrics.{name}.{key}"), &title));
        }
    }
    for group in &found.groups {
        table.rows.push(row(asked, ask, group));
    }
    if !is_file {
        // Of each metric the second of four.
        let first = ask.group.len() + 1;
        for row in &mut table.rows {
            let mut at = 0;
            row.retain(|_| {
                at += 1;
                at <= first || (at - 1 - first) % 4 != 1
            });
        }
    }
    Ok((table, found.total))
}

fn row(asked: &Asked, ask: &RunsAsk, group: &Group) -> Vec<Cell> {
    let mut cells: Vec<Cell> = group
        .key
        .iter()
        .map(|value| match value {
            Some(value) => Cell::Text(value.clone()),
            None => Cell::Empty,
        })
        .collect();
    cells.push(match filter_of(ask, group) {
        Some(filter) => Cell::Link {
            text: group.runs.to_string(),
            href: first_page(asked, &[("group", None), ("filter", Some(&filter))]),
        },
        None => Cell::Text(group.runs.to_string()),
    });
    for spread in &group.metrics {
        match spread {
            Some(spread) => cells.extend(of_spread(spread)),
            None => cells.extend([Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty]),
        }
    }
    cells
}

fn of_spread(spread: &Spread) -> [Cell; 4] {
    let of_run = |value: f64, run: &crate::track::RunId| Cell::Link {
        text: number(value),
        href: format!("/runs/{run}"),
    };
    let mean = match spread.deviation {
        Some(deviation) => format!("{} ± {}", number(spread.mean), number(rounded(deviation))),
        None => number(spread.mean),
    };
    [
        Cell::Shown {
            value: spread.mean,
            text: mean,
        },
        spread.deviation.map_or(Cell::Empty, Cell::Number),
        of_run(spread.min, &spread.min_run),
        of_run(spread.max, &spread.max_run),
    ]
}

/// Two digits tell how far numbers spread; more would tell of chance.
fn rounded(deviation: f64) -> f64 {
    if deviation == 0.0 || !deviation.is_finite() {
        return deviation;
    }
    format!("{deviation:.1e}").parse().unwrap_or(deviation)
}

/// Returns the filter that finds the runs of a group; `None`: the grammar cannot say it.
fn filter_of(ask: &RunsAsk, group: &Group) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    if !ask.filter.is_empty() {
        parts.push(ask.filter.clone());
    }
    for (column, value) in ask.group.iter().zip(&group.key) {
        let name = column.quoted();
        parts.push(match (column, value) {
            (ColumnRef::Metric(_), _) => return None,
            (_, None) => format!("{name} IS NULL"),
            (_, Some(value)) if !value.contains('\'') => format!("{name} = '{value}'"),
            (_, Some(value)) if !value.contains('"') => format!("{name} = \"{value}\""),
            (_, Some(_)) => return None,
        });
    }
    Some(parts.join(" AND "))
}

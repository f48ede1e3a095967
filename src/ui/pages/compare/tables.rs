//! Differences as tables: one row for each thing, one column for each run. Imports: track, `ui::*`,
//! `compare::*`.

use std::collections::BTreeMap;

use super::quantity::best;
use super::sides::Sides;
use crate::base::ObjectId;
use crate::track::exchange::ImportedRun;
use crate::ui::asked::{Asked, segment};
use crate::ui::parts::chip::Chip;
use crate::ui::parts::number::number;
use crate::ui::parts::table::{Cell, Column, DataTable};
use crate::ui::parts::time::Ago;

/// Longer texts are cut in a cell.
const CHARS_MAX: usize = 300;

fn table(
    asked: &Asked,
    sides: &Sides,
    id: &'static str,
    caption: &str,
    of: fn(&str, &str) -> Column,
) -> DataTable {
    let mut table = DataTable::new(asked, id, caption);
    table.columns.push(Column::text("name", "Name"));
    for (run, name) in sides.runs.iter().zip(&sides.names) {
        table.columns.push(of(&run.id.to_string(), name));
    }
    table
}

fn text(value: Option<&str>) -> Cell {
    match value {
        None => Cell::Empty,
        Some(text) if text.chars().count() <= CHARS_MAX => Cell::Text(text.to_owned()),
        Some(text) => {
            let cut: String = text.chars().take(CHARS_MAX).collect();
            Cell::Text(format!("{cut}…"))
        }
    }
}

/// Returns what the runs are: when, how, at which commit; notes; tags; and what of it is the same in
/// all.
pub(super) fn about(asked: &Asked, sides: &Sides) -> (DataTable, DataTable) {
    let mut table = table(asked, sides, "about", "The runs", Column::text);
    let mut row = |name: &str, cell: &dyn Fn(&ImportedRun) -> Cell| {
        let cells: Vec<Cell> = sides.runs.iter().map(cell).collect();
        if !cells.iter().all(|cell| matches!(cell, Cell::Empty)) {
            let mut row = vec![Cell::Text(name.to_owned())];
            row.extend(cells);
            table.rows.push(row);
        }
    };
    row("run", &|run| Cell::Link {
        text: run.id.short(),
        href: format!("/runs/{}", run.id),
    });
    row("state", &|run| Cell::State(Chip::of_run(run.status)));
    row("started", &|run| {
        Cell::Time(Ago {
            at_ms: run.started_ms,
            now_ms: asked.now_ms,
        })
    });
    row("took", &|run| match run.ended_ms {
        Some(ended) => Cell::Duration(ended - run.started_ms),
        None => Cell::Empty,
    });
    row("experiment", &|run| text(Some(&run.experiment)));
    row("user", &|run| {
        text(
            Some(&run.user)
                .filter(|user| !user.is_empty())
                .map(String::as_str),
        )
    });
    row("commit", &|run| match &run.git {
        Some(git) => {
            let short: String = git.commit.chars().take(8).collect();
            let dirty = if git.dirty == Some(true) {
                " + changes"
            } else {
                ""
            };
            Cell::Code(format!("{short}{dirty}"))
        }
        None => text(Sides::tag(run, "mlflow.source.git.commit")),
    });
    row("branch", &|run| {
        text(run.git.as_ref().and_then(|git| git.branch.as_deref()))
    });
    row("command", &|run| match run.command.as_str() {
        "" => Cell::Empty,
        command => Cell::Code(command.chars().take(CHARS_MAX).collect()),
    });
    row("data", &|run| {
        let names: Vec<String> = run
            .datasets
            .iter()
            .map(|input| format!("{} ({})", input.dataset.name, input.dataset.digest))
            .collect();
        text(Some(names.join(", ").as_str()).filter(|names| !names.is_empty()))
    });
    row("note", &|run| text(Sides::tag(run, "mlflow.note.content")));
    for key in sides.tag_keys() {
        row(key, &|run| text(Sides::tag(run, key)));
    }
    let same = DataTable::new(asked, "same-about", "What is the same in all runs");
    split(table, same)
}

/// Returns the latest values, the best one of each metric marked where its name tells which it is;
/// of two runs also the difference.
pub(super) fn metrics(asked: &Asked, sides: &Sides) -> DataTable {
    let caption = "Metrics, latest values; ★ is the best where the name tells what is better";
    let mut table = table(asked, sides, "metrics", caption, Column::number);
    let are_two = sides.runs.len() == 2;
    if are_two {
        table
            .columns
            .push(Column::number("difference", "Difference"));
    }
    for (name, values) in sides.metrics() {
        let numbers: Vec<f64> = values
            .iter()
            .map(|value| value.unwrap_or(f64::NAN))
            .collect();
        let best = best(name, &numbers);
        let mut row = vec![Cell::Text(name.to_owned())];
        for (at, value) in values.iter().enumerate() {
            row.push(match value {
                None => Cell::Empty,
                Some(value) if best == Some(at) => Cell::Shown {
                    value: *value,
                    text: format!("★ {}", number(*value)),
                },
                Some(value) => Cell::Number(*value),
            });
        }
        if are_two {
            let difference = numbers[1] - numbers[0];
            let sign = if 0.0 < difference { "+" } else { "" };
            row.push(if difference.is_finite() {
                Cell::Shown {
                    value: difference,
                    text: format!("{sign}{}", number(difference)),
                }
            } else {
                Cell::Empty
            });
        }
        table.rows.push(row);
    }
    "None of these runs has logged a metric.".clone_into(&mut table.empty);
    table
}

/// Returns the params that differ, and those that are the same in all runs.
pub(super) fn params(asked: &Asked, sides: &Sides) -> (DataTable, DataTable) {
    let mut table = table(asked, sides, "params", "Params that differ", Column::text);
    for (name, values) in sides.params() {
        let title = Cell::Text(name.to_owned());
        let cells = values.iter().map(|value| text(value.as_deref()));
        table
            .rows
            .push(std::iter::once(title).chain(cells).collect());
    }
    "No parameter differs.".clone_into(&mut table.empty);
    let same = DataTable::new(asked, "same-params", "Params that are the same in all runs");
    split(table, same)
}

/// Moves the rows that say the same of all of several runs to a table of names and values.
fn split(mut table: DataTable, mut same: DataTable) -> (DataTable, DataTable) {
    same.columns = vec![Column::text("name", "Name"), Column::text("value", "Value")];
    let runs: Vec<String> = table
        .columns
        .iter()
        .skip(1)
        .map(|column| column.key.clone())
        .collect();
    let told = table.json();
    let is_same = |row: &serde_json::Value| {
        1 < runs.len() && runs.windows(2).all(|pair| row[&pair[0]] == row[&pair[1]])
    };
    let rows = std::mem::take(&mut table.rows);
    for (told, mut row) in told.as_array().into_iter().flatten().zip(rows) {
        if is_same(told) {
            row.truncate(2);
            same.rows.push(row);
        } else {
            table.rows.push(row);
        }
    }
    (table, same)
}

/// Returns the artifacts that are not the same in all runs, and how many are.
pub(super) fn artifacts(asked: &Asked, sides: &Sides) -> (DataTable, usize) {
    let caption = "Artifacts that differ, by the hash of their content";
    let mut table = table(asked, sides, "artifacts", caption, Column::text);
    let mut all: BTreeMap<&str, Vec<Option<ObjectId>>> = BTreeMap::new();
    for (at, run) in sides.runs.iter().enumerate() {
        let outputs = run
            .artifacts
            .iter()
            .map(|output| (output.path.as_str(), output.object));
        let files = run
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.object));
        for (path, object) in outputs.chain(files) {
            let row = all
                .entry(path)
                .or_insert_with(|| vec![None; sides.runs.len()]);
            row[at] = Some(object);
        }
    }
    let mut same = 0;
    for (path, objects) in all {
        if 1 < objects.len() && objects.windows(2).all(|pair| pair[0] == pair[1]) {
            same += 1;
            continue;
        }
        let cells = objects
            .iter()
            .zip(&sides.runs)
            .map(|(object, run)| match object {
                None => Cell::Empty,
                Some(object) => Cell::Link {
                    text: object.short(),
                    href: format!("/runs/{}/artifacts/{}", run.id, path_of(path)),
                },
            });
        let title = Cell::Code(path.to_owned());
        table
            .rows
            .push(std::iter::once(title).chain(cells).collect());
    }
    "No artifact differs.".clone_into(&mut table.empty);
    (table, same)
}

/// Returns a path as it stands in a URL.
fn path_of(path: &str) -> String {
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

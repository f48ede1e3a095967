//! All trials of a sweep as a table. Imports: `ui::*`.

use super::shown::{Shown, TrialRow};
use crate::mlflow::Refused;
use crate::ui::asked::Asked;
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::table::{Cell, Column, DataTable, Sorted};

/// Trials in the page's table; CSV and JSON have all.
const ROWS_MAX: usize = 1000;

/// By what the table is sorted: `-` in front means downwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Number,
    Value,
    Seconds,
    Param(usize),
}

/// Returns the table; more than fit a page are cut off unless it is asked for as a file.
///
/// # Errors
/// The table cannot be sorted so.
pub(super) fn table(asked: &Asked, shown: &Shown) -> Result<DataTable, Refused> {
    let text = asked.query.filled("sort").unwrap_or("trial");
    let (by, is_down) = order(text, shown)?;
    let mut rows: Vec<&TrialRow> = shown.rows.iter().collect();
    rows.sort_by(|a, b| {
        let (a, b) = if is_down { (b, a) } else { (a, b) };
        compare(a, b, by)
    });
    // What has no value comes last, either way.
    rows.sort_by_key(|row| match by {
        By::Value => row.value.is_none(),
        By::Seconds => row.seconds.is_none(),
        By::Number | By::Param(_) => false,
    });
    let mut table = DataTable::new(asked, "trials", "Trials");
    let column = |column: Column, name: &str, own: By| {
        let now = match (by == own, is_down) {
            (false, _) => Sorted::Not,
            (true, false) => Sorted::Ascending,
            (true, true) => Sorted::Descending,
        };
        let next = if now == Sorted::Ascending {
            format!("-{name}")
        } else {
            name.to_owned()
        };
        column.sort(asked.href_with(&[("sort", Some(&next))]), now)
    };
    table.columns = vec![column(
        Column::number("trial", "Trial"),
        "trial",
        By::Number,
    )];
    for (index, axis) in shown.study.axes.iter().enumerate() {
        let is_number = axis.kind.scale().is_some();
        let plain = if is_number {
            Column::number(&axis.name, &axis.name)
        } else {
            Column::text(&axis.name, &axis.name)
        };
        table
            .columns
            .push(column(plain, &format!("p{index}"), By::Param(index)));
    }
    let metric = Column::number("value", &shown.study.metric);
    table.columns.extend([
        column(metric, "value", By::Value),
        Column::text("state", "State"),
        column(Column::number("time", "Time"), "time", By::Seconds),
        Column::text("run", "Run"),
        Column::text("note", "Note"),
    ]);
    let best = shown.study.best().map(|best| best.number);
    let is_page = asked.query.get("format").is_none();
    let most = if is_page { ROWS_MAX } else { usize::MAX };
    table.rows = rows
        .into_iter()
        .take(most)
        .map(|row| cells(row, best == Some(row.number)))
        .collect();
    if is_page && ROWS_MAX < shown.rows.len() {
        table.caption = format!("Trials, the first {ROWS_MAX} of {}", shown.rows.len());
    }
    "No trial has begun yet.".clone_into(&mut table.empty);
    Ok(table)
}

fn order(text: &str, shown: &Shown) -> Result<(By, bool), Refused> {
    let (name, is_down) = match text.strip_prefix('-') {
        Some(name) => (name, true),
        None => (text, false),
    };
    let param = || {
        let index: usize = name.strip_prefix('p')?.parse().ok()?;
        (index < shown.study.axes.len()).then_some(By::Param(index))
    };
    let by = match name {
        "trial" => Some(By::Number),
        "value" => Some(By::Value),
        "time" => Some(By::Seconds),
        _ => param(),
    };
    by.map(|by| (by, is_down)).ok_or_else(|| {
        Refused::invalid(format!(
            "`sort={text}`: trials are sorted by `trial`, `value`, `time` or a parameter (`p0`, …)"
        ))
    })
}

fn compare(a: &TrialRow, b: &TrialRow, by: By) -> std::cmp::Ordering {
    let floats = |a: Option<f64>, b: Option<f64>| {
        let of = |value: Option<f64>| value.unwrap_or(f64::NAN);
        of(a).total_cmp(&of(b))
    };
    match by {
        By::Number => a.number.cmp(&b.number),
        By::Value => floats(a.value, b.value),
        By::Seconds => floats(a.seconds, b.seconds),
        By::Param(index) => {
            let (Some(a), Some(b)) = (a.values.get(index), b.values.get(index)) else {
                return std::cmp::Ordering::Equal;
            };
            match (a.number, b.number) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                _ => a.text.cmp(&b.text),
            }
        }
    }
}

fn cells(row: &TrialRow, is_best: bool) -> Vec<Cell> {
    let mut cells = vec![Cell::Number(row.number as f64)];
    cells.extend(row.values.iter().map(|value| match value.number {
        Some(number) => Cell::Shown {
            value: number,
            text: value.text.clone(),
        },
        None if value.text.is_empty() => Cell::Empty,
        None => Cell::Text(value.text.clone()),
    }));
    cells.push(row.value.map_or(Cell::Empty, Cell::Number));
    cells.push(Cell::State(if is_best {
        Chip::new(Tone::Good, "best")
    } else {
        row.state.chip()
    }));
    let ms = |seconds: f64| Cell::Duration((seconds * 1000.0) as i64);
    cells.push(row.seconds.map_or(Cell::Empty, ms));
    cells.push(row.run.map_or(Cell::Empty, |id| Cell::Link {
        text: id.short(),
        href: format!("/runs/{id}"),
    }));
    cells.push(if row.note.is_empty() {
        Cell::Empty
    } else {
        Cell::Text(row.note.clone())
    });
    cells
}

//! The table of runs, and the same rows for `table.js` and for files.
//! Imports: mlflow, track, `ui::parts`, `pages::series`.

use askama::Template;
use serde_json::{Value, json};

use crate::http::Response;
use crate::mlflow::Refused;
use crate::track::run::RunId;
use crate::track::table::{ColumnRef, PageAt, RunRow, RunsQuery};
use crate::track::{Catalogue, Error, Reader};
use crate::ui::asked::Asked;
use crate::ui::pages::series::run_ids;
use crate::ui::parts::drawn::drawn;
use crate::ui::parts::table::{Cell, Column, DataTable, Markup};
use crate::ui::parts::table_file::{self, SomeRows};

use super::ask::RunsAsk;
use super::columns::{Shown, href, sorted};

/// The table's id.
pub(super) const TABLE: &str = "runs";

/// Cells that are read at once for a file.
const CELLS_AT_ONCE: usize = 20_000;

/// Bytes that are read at once for a file: a text may have thousands of letters. One row is read in any
/// case.
const BYTES_AT_ONCE: usize = 1 << 20;

/// Runs that are found at once for a file: some orders look at all runs each time.
const IDS_AT_ONCE: usize = 5000;

/// Whatever the columns: at least and at most so many rows.
const ROWS_AT_ONCE: (usize, usize) = (100, 5000);

/// Chooses a run.
#[derive(Template)]
#[template(
    ext = "html",
    source = "<input type=\"checkbox\" name=\"run\" value=\"{{ id }}\" aria-label=\"Select {{ name }}\">"
)]
struct Choose<'a> {
    id: RunId,
    name: &'a str,
}

/// Returns the page's table.
pub(super) fn table(
    asked: &Asked,
    ask: &RunsAsk,
    catalogue: &Catalogue,
    rows: &[RunRow],
) -> Result<DataTable, Refused> {
    let mut table = DataTable::new(asked, TABLE, "Runs");
    table.empty = if ask.filter.is_empty() {
        "No runs here yet: `cvops repro` records one, and so does `mlflow.start_run()`.".to_owned()
    } else {
        "No run passes this filter.".to_owned()
    };
    table.columns = vec![
        Column::text("select", "Select"),
        sorted(
            Column::text("run_name", "Run"),
            asked,
            &ask.order,
            "run_name",
            false,
        ),
    ];
    let columns = ask.columns.iter();
    let columns = columns.map(|column| column.column(asked, &ask.order, catalogue));
    table.columns.extend(columns);
    for row in rows {
        let choose = Choose {
            id: row.id,
            name: &row.name,
        };
        let mut cells = vec![Cell::Markup {
            html: Markup::of(&choose)?,
            text: String::new(),
        }];
        cells.extend(cells_of(ask, row, asked.now_ms));
        table.rows.push(cells);
    }
    Ok(table)
}

/// Returns a run's cells: its name, then the columns.
fn cells_of(ask: &RunsAsk, row: &RunRow, now_ms: i64) -> Vec<Cell> {
    let mut cells = vec![Cell::Link {
        text: row.name.clone(),
        href: href(row),
    }];
    let mut values = row.values.iter();
    let columns = ask.columns.iter();
    cells.extend(columns.map(|column| column.cell(row, &mut values, now_ms)));
    cells
}

/// Returns a row as `table.js` draws it.
pub(super) fn drawn_row(ask: &RunsAsk, row: &RunRow, now_ms: i64) -> Value {
    let cells: Vec<Value> = cells_of(ask, row, now_ms).iter().map(drawn).collect();
    json!({ "id": row.id.to_string(), "name": row.name, "cells": cells })
}

/// Answers with all runs that are asked for as a file, or with those that are named.
pub(super) fn file(asked: &Asked, mut ask: RunsAsk) -> Result<Response, Refused> {
    let named = run_ids(&asked.query)?;
    // Its first column.
    ask.columns.retain(|column| *column != Shown::Id);
    let mut columns = vec![
        Column::text("run_id", "Run id"),
        Column::text("run_name", "Run"),
    ];
    let others = ask.columns.iter();
    columns.extend(others.map(|column| Column::text(&column.to_string(), column.title())));
    let rows_max = (CELLS_AT_ONCE / columns.len()).clamp(ROWS_AT_ONCE.0, ROWS_AT_ONCE.1);
    let mut source = Source::of(&ask, named, rows_max);
    let (shared, now_ms) = (asked.shared.clone(), asked.now_ms);
    table_file::long(asked, TABLE, &columns, move || {
        let rows = shared.read(|reader| source.some(reader))?;
        let cells = |row: &RunRow| {
            let id = std::iter::once(Cell::Code(row.id.to_string()));
            id.chain(cells_of(&ask, row, now_ms)).collect()
        };
        Ok(SomeRows {
            rows: rows.iter().map(cells).collect(),
            has_more: source.has_more(),
        })
    })
}

/// Where the rows of a file come from, some at a time, each time in a moment of its own: a run whose
/// place in the order changes meanwhile may be passed over, or come twice.
struct Source {
    /// The next runs, the next one last.
    ids: Vec<RunId>,
    /// What finds those behind them; `None`: there are none.
    rest: Option<RunsQuery>,
    columns: Vec<ColumnRef>,
    /// So many rows are asked for next: no more than about twice as many as found room last.
    rows: usize,
    rows_max: usize,
}

impl Source {
    fn of(ask: &RunsAsk, named: Vec<RunId>, rows_max: usize) -> Self {
        let all = || RunsQuery {
            at: PageAt::Offset(0),
            limit: IDS_AT_ONCE,
            ..ask.query()
        };
        Self {
            rest: named.is_empty().then(all),
            ids: named.into_iter().rev().collect(),
            columns: ask.logged(),
            rows: rows_max,
            rows_max,
        }
    }

    /// Are there more runs behind those that were read?
    fn has_more(&self) -> bool {
        !self.ids.is_empty() || self.rest.is_some()
    }

    /// Reads the next runs.
    fn some(&mut self, reader: &Reader<'_>) -> Result<Vec<RunRow>, Error> {
        if self.ids.is_empty()
            && let Some(query) = self.rest.take()
        {
            let page = reader.run_ids_at(&query)?;
            self.ids = page.ids;
            self.ids.reverse();
            self.rest = page.next.map(|next| RunsQuery {
                at: PageAt::After(next),
                ..query
            });
        }
        let next = self.ids.iter().rev().take(self.rows);
        let next: Vec<RunId> = next.copied().collect();
        let some = reader.run_rows_within(&next, &self.columns, BYTES_AT_ONCE)?;
        self.ids.truncate(self.ids.len().saturating_sub(some.taken));
        self.rows = some.taken.saturating_mul(2).clamp(1, self.rows_max);
        Ok(some.rows)
    }
}

//! What stands in the rows of a table of runs: the run itself and the columns that are asked for, as
//! far as there is room. Imports: entity, run, table, error, rusqlite.

use std::ops::ControlFlow;

use rusqlite::Row;

use crate::track::entity::{ExperimentId, Lifecycle};
use crate::track::error::Error;
use crate::track::run::{RunId, Status};
use crate::track::table::{ColumnRef, RunRow, RunValue};

use super::super::{Reader, write};

/// What a run is, without what was logged to it. The signs: parts are found by their whole, not by the
/// index of all runs of the experiment. Runs of MLflow's clients have their commit and source
/// in tags.
pub(super) const HEADS: &str = "
    SELECT j.key, r.number, r.id, r.name, r.experiment, r.parent,
           (SELECT count(*) FROM runs c WHERE c.parent = r.id
              AND +c.lifecycle_stage = r.lifecycle_stage AND +c.experiment = r.experiment),
           r.status, r.user, r.started_ms, r.ended_ms, r.lifecycle_stage,
           coalesce(r.git_commit, (SELECT value FROM tags
               WHERE run = r.number AND key = 'mlflow.source.git.commit')),
           r.git_dirty,
           coalesce(nullif(r.command, ''), (SELECT value FROM tags
               WHERE run = r.number AND key = 'mlflow.source.name'), ''),
           r.owner
    FROM json_each(?1) j CROSS JOIN runs r ON r.number = j.value ORDER BY j.key";

/// How much is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Longer texts are cut to so many characters, and end with `…`.
    pub(super) text_chars: usize,
    /// The rows take about so many bytes. The first row is read, however large it is.
    pub(super) bytes: usize,
}

/// Rows that were read.
pub(super) struct ReadRows {
    pub(super) rows: Vec<RunRow>,
    /// The place, among the numbers that were asked for, of the first one that found no room.
    pub(super) behind: Option<usize>,
}

/// Rows that are being read. Values come row by row, a kind of column after the other; a row that does
/// not fit is dropped with all behind it, so that not much more than the room is ever held.
struct Filling {
    rows: Vec<RunRow>,
    /// What each row takes, bytes.
    weights: Vec<usize>,
    room: Room,
    /// The row that came last, and what those before it take.
    at: usize,
    before: usize,
}

impl Filling {
    /// Adds a row; breaks if there is no room for it.
    fn push(&mut self, row: RunRow) -> ControlFlow<()> {
        let weight = weight_of_row(&row);
        if !self.rows.is_empty() && self.room.bytes < self.before.saturating_add(weight) {
            return ControlFlow::Break(());
        }
        self.before += weight;
        self.weights.push(weight);
        self.rows.push(row);
        ControlFlow::Continue(())
    }

    /// Begins another kind of columns.
    fn rewind(&mut self) {
        (self.at, self.before) = (0, 0);
    }

    /// Adds a value of row `at`, which is not before the row of the value before it; breaks if there is
    /// no room for it.
    fn add(&mut self, at: usize, column: Option<usize>, value: RunValue) -> ControlFlow<()> {
        while self.at < at {
            self.before += self.weights.get(self.at).copied().unwrap_or(0);
            self.at += 1;
        }
        let (Some(row), Some(weight)) = (self.rows.get_mut(at), self.weights.get_mut(at)) else {
            return ControlFlow::Break(());
        };
        if let RunValue::Text(text) = &value {
            *weight += text.len();
        }
        if 0 < at && self.room.bytes < self.before.saturating_add(*weight) {
            self.keep(at);
            return ControlFlow::Break(());
        }
        if let Some(cell) = column.and_then(|column| row.values.get_mut(column)) {
            *cell = Some(value);
        }
        ControlFlow::Continue(())
    }

    /// Drops what does not fit after all: rows of which later kinds of columns had nothing.
    fn done(&mut self) {
        let mut all: usize = 0;
        let mut fits = |weight: &usize| {
            all = all.saturating_add(*weight);
            all <= self.room.bytes
        };
        let fitting = self
            .weights
            .iter()
            .take_while(|weight| fits(weight))
            .count();
        self.keep(fitting.max(1));
    }

    fn keep(&mut self, rows: usize) {
        self.rows.truncate(rows);
        self.weights.truncate(rows);
    }

    /// Returns the numbers of its rows as a list in JSON: what stands there at a place belongs to the
    /// row at this place.
    fn list(&self) -> String {
        let numbers: Vec<i64> = self.rows.iter().map(|row| row.number).collect();
        serde_json::json!(numbers).to_string()
    }
}

fn weight_of_row(row: &RunRow) -> usize {
    let texts = [&row.name, &row.user, &row.source];
    let commit = row.git_commit.as_ref().map_or(0, String::len);
    size_of::<RunRow>()
        + row.values.len() * size_of::<Option<RunValue>>()
        + texts.iter().map(|text| text.len()).sum::<usize>()
        + commit
}

/// A kind of texts: its table, the column of its keys, and which columns are of it.
type Kind = (&'static str, &'static str, fn(&ColumnRef) -> bool);

/// Columns of one kind: their places among all, and their names as a list in JSON.
struct OfKind {
    places: Vec<usize>,
    names: String,
}

impl OfKind {
    fn of(columns: &[ColumnRef], is_of_kind: fn(&ColumnRef) -> bool) -> Self {
        let of_kind = columns
            .iter()
            .enumerate()
            .filter(|(_, column)| is_of_kind(column));
        let (places, names): (Vec<usize>, Vec<&str>) = of_kind
            .map(|(place, column)| (place, column.name()))
            .unzip();
        Self {
            places,
            names: serde_json::json!(names).to_string(),
        }
    }

    /// Returns the place among all columns.
    fn place(&self, key: usize) -> Option<usize> {
        self.places.get(key).copied()
    }
}

impl Reader<'_> {
    /// Reads runs, by their numbers, as rows: the first ones, as far as there is room.
    pub(super) fn read_rows(
        &self,
        numbers: &[i64],
        columns: &[ColumnRef],
        room: Room,
    ) -> Result<ReadRows, Error> {
        let mut filling = Filling {
            rows: Vec::new(),
            weights: Vec::new(),
            room,
            at: 0,
            before: 0,
        };
        // Where each row stands among the numbers.
        let mut places: Vec<usize> = Vec::new();
        let mut bad = None;
        let list = serde_json::json!(numbers).to_string();
        self.each(HEADS, &[&list], |row| {
            places.push(place(row, 0)?);
            Ok(match head(row)? {
                Ok(head) => filling.push(RunRow {
                    values: vec![None; columns.len()],
                    ..head
                }),
                Err(error) => {
                    bad = Some(error);
                    ControlFlow::Break(())
                }
            })
        })?;
        if let Some(error) = bad {
            return Err(error);
        }
        self.add_texts(&mut filling, columns)?;
        self.add_metrics(&mut filling, columns)?;
        filling.done();
        Ok(ReadRows {
            behind: places.get(filling.rows.len()).copied(),
            rows: filling.rows,
        })
    }

    /// Reads what runs have in columns of params and tags: one statement a kind, which looks each
    /// value up by its key.
    fn add_texts(&self, filling: &mut Filling, columns: &[ColumnRef]) -> Result<(), Error> {
        let chars_max = filling.room.text_chars;
        let chars = i64::try_from(chars_max).unwrap_or(i64::MAX - 1);
        let kinds: [Kind; 2] = [
            ("params", "name", |c| matches!(c, ColumnRef::Param(_))),
            ("tags", "key", |c| matches!(c, ColumnRef::Tag(_))),
        ];
        for (table, key, is_of_kind) in kinds {
            let of_kind = OfKind::of(columns, is_of_kind);
            if of_kind.places.is_empty() {
                continue;
            }
            // In the order of the runs, which is what is left of the order of a CROSS JOIN.
            let sql = format!(
                "SELECT j.key, n.key, substr(x.value, 1, ?3 + 1)
                 FROM json_each(?1) j CROSS JOIN json_each(?2) n
                 CROSS JOIN {table} x ON x.run = j.value AND x.{key} = n.value"
            );
            filling.rewind();
            let list = filling.list();
            self.each(&sql, &[&list, &of_kind.names, &chars], |row| {
                let (at, column) = (place(row, 0)?, of_kind.place(place(row, 1)?));
                let text = cut(row.get(2)?, chars_max);
                Ok(filling.add(at, column, RunValue::Text(text)))
            })?;
        }
        Ok(())
    }

    /// Reads what runs have in columns of metrics.
    fn add_metrics(&self, filling: &mut Filling, columns: &[ColumnRef]) -> Result<(), Error> {
        let of_kind = OfKind::of(columns, |c| matches!(c, ColumnRef::Metric(_)));
        if of_kind.places.is_empty() {
            return Ok(());
        }
        filling.rewind();
        let list = filling.list();
        self.each(
            "SELECT j.key, n.key, x.value, x.step FROM json_each(?1) j CROSS JOIN json_each(?2) n
             CROSS JOIN metrics x ON x.run = j.value AND x.name = n.value",
            &[&list, &of_kind.names],
            |row| {
                let (at, column) = (place(row, 0)?, of_kind.place(place(row, 1)?));
                let value = RunValue::Number {
                    value: row.get::<_, Option<f64>>(2)?.unwrap_or(f64::NAN),
                    step: row.get(3)?,
                };
                Ok(filling.add(at, column, value))
            },
        )
    }
}

/// Reads a place in a list.
pub(super) fn place(row: &Row<'_>, column: usize) -> rusqlite::Result<usize> {
    let place: i64 = row.get(column)?;
    Ok(usize::try_from(place).unwrap_or(usize::MAX))
}

/// Reads a row of `HEADS`; the inner error is a value that this program does not know.
fn head(row: &Row<'_>) -> rusqlite::Result<Result<RunRow, Error>> {
    let id: String = row.get(2)?;
    let parent: Option<String> = row.get(5)?;
    let children: i64 = row.get(6)?;
    let status: String = row.get(7)?;
    let owner: Option<String> = row.get(15)?;
    let lifecycle: String = row.get(11)?;
    let (number, name, experiment) = (row.get(1)?, row.get(3)?, row.get(4)?);
    let (user, started_ms, ended_ms) = (row.get(8)?, row.get(9)?, row.get(10)?);
    let (git_commit, git_dirty, source) = (row.get(12)?, row.get(13)?, row.get(14)?);
    let build = || {
        let status = match status.parse() {
            Ok(Status::Running) if write::is_abandoned(owner.as_deref()) => Status::Killed,
            Ok(status) => status,
            Err(what) => return Err(Error::BadRecord { what }),
        };
        Ok(RunRow {
            number,
            id: run_id(&id)?,
            name,
            experiment: ExperimentId(experiment),
            // A client may name anything the parent of its run.
            parent: parent.and_then(|parent| parent.parse().ok()),
            children: u64::try_from(children).unwrap_or(0),
            status,
            user,
            started_ms,
            ended_ms,
            lifecycle: Lifecycle::of_str(&lifecycle),
            git_commit,
            git_dirty,
            source,
            values: Vec::new(),
        })
    };
    Ok(build())
}

/// Reads the id of a run.
pub(super) fn run_id(text: &str) -> Result<RunId, Error> {
    text.parse().map_err(|_| Error::BadRecord {
        what: format!("the run id `{text}`"),
    })
}

fn cut(text: String, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

//! Runs as rows of a table: a page in either direction, only the columns that are asked for; how many
//! there are; groups. Imports: entity, run, table, error, rusqlite.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Row, ToSql};

use crate::track::entity::{ExperimentId, Lifecycle};
use crate::track::error::Error;
use crate::track::run::{RunId, Status};
use crate::track::table::{
    ColumnRef, Counted, Group, Groups, GroupsQuery, RunRow, RunRows, RunValue, RunsQuery,
    RunsWanted, Spread,
};

use super::super::{Reader, write};
use super::check_max_results;
use super::page::Paging;
use super::runs::{RESULTS_MAX, Scope, Wanted, scopes};
use super::statement::Statement;

/// More columns than a person looks at.
const COLUMNS_MAX: usize = 500;

/// So many groups are kept apart; a column of which each run has another value makes no groups.
const GROUPS_MAX: usize = 10_000;

/// More columns to group by, or metrics to sum up, are refused: SQLite joins no more than 64 tables.
const JOINED_MAX: usize = 20;

impl Reader<'_> {
    /// Returns a page of runs. A page beside another costs what the first one costs; one at an offset
    /// passes over all rows before it.
    ///
    /// # Errors
    /// The filter, an order, the number of rows or a token cannot be.
    pub fn run_rows(&self, query: &RunsQuery) -> Result<RunRows, Error> {
        check_max_results(query.limit, RESULTS_MAX)?;
        if COLUMNS_MAX < query.columns.len() {
            return Err(Error::invalid(format!(
                "at most {COLUMNS_MAX} columns are shown, got {}",
                query.columns.len()
            )));
        }
        let (wanted, _) = self.wanted(&query.runs, &query.order_by, query.limit)?;
        let paging = Paging::at(wanted.order(), query.limit, &query.at)?;
        let scopes = scopes(&query.runs.experiments, query.runs.view, paging.limit());
        let cut = paging.cut_both(self.find_wanted(&wanted, &scopes, &paging)?);
        let numbers: Vec<i64> = cut.found.iter().map(|one| one.number(0)).collect();
        Ok(RunRows {
            rows: self.table_rows(&numbers, &query.columns, query.text_chars_max)?,
            previous: cut.previous,
            next: cut.next,
        })
    }

    /// Returns these runs as rows, whatever else is asked; those that do not exist are left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn run_rows_of(
        &self,
        ids: &[RunId],
        columns: &[ColumnRef],
        text_chars_max: usize,
    ) -> Result<Vec<RunRow>, Error> {
        let list: Vec<String> = ids.iter().map(RunId::to_string).collect();
        let numbers: Vec<i64> = self.rows(
            "SELECT r.number FROM json_each(?1) j CROSS JOIN runs r ON r.id = j.value ORDER BY j.key",
            &[&serde_json::json!(list).to_string()],
            |row| row.get(0),
        )?;
        self.table_rows(&numbers, columns, text_chars_max)
    }

    /// Counts runs, up to `max`.
    ///
    /// # Errors
    /// The filter cannot be.
    pub fn count_runs(&self, runs: &RunsWanted, max: u64) -> Result<Counted, Error> {
        let (wanted, scopes) = self.wanted(runs, &[], 1)?;
        let mut n = 0;
        for scope in &scopes {
            let limit = i64::try_from(max.saturating_sub(n)).unwrap_or(i64::MAX);
            let (sql, values) = wanted
                .unordered(self, scope)?
                .build_count(limit.saturating_add(1));
            let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
            let of_scope: Option<i64> = self.row(&sql, &values, |row| row.get(0))?;
            n += u64::try_from(of_scope.unwrap_or(0)).unwrap_or(0);
        }
        Ok(Counted {
            runs: n.min(max),
            is_exact: n <= max,
        })
    }

    /// Puts runs into groups and sums up metrics of each.
    ///
    /// # Errors
    /// The filter cannot be, or what is asked for is too much.
    pub fn group_runs(&self, query: &GroupsQuery) -> Result<Groups, Error> {
        let joined = query.by.len() + query.metrics.len();
        if JOINED_MAX < joined {
            return Err(Error::invalid(format!(
                "at most {JOINED_MAX} columns and metrics can be grouped, got {joined}"
            )));
        }
        let (wanted, scopes) = self.wanted(&query.runs, &[], 1)?;
        let mut groups: BTreeMap<Vec<Option<String>>, Sums> = BTreeMap::new();
        for scope in &scopes {
            let mut statement = wanted.unordered(self, scope)?;
            let columns = group_columns(&mut statement, query);
            let (sql, values) = statement.build_all(&columns);
            self.sum_up(&sql, &values, query, &mut groups)?;
        }
        let total = groups.len();
        let mut groups: Vec<(Vec<Option<String>>, Sums)> = groups.into_iter().collect();
        groups.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.runs));
        groups.truncate(query.groups_max);
        let groups = groups.into_iter().map(|(key, sums)| {
            let metrics = sums.metrics.iter().map(|sum| self.spread(sum));
            Ok(Group {
                key,
                runs: sums.runs,
                metrics: metrics.collect::<Result<_, Error>>()?,
            })
        });
        Ok(Groups {
            groups: groups.collect::<Result<_, Error>>()?,
            total,
        })
    }

    fn wanted(
        &self,
        runs: &RunsWanted,
        order_by: &[String],
        limit: usize,
    ) -> Result<(Wanted, Vec<Scope>), Error> {
        let mut wanted = Wanted::of(self, &runs.search(order_by, limit))?;
        wanted.parts = runs.parts;
        Ok((wanted, scopes(&runs.experiments, runs.view, limit)))
    }

    fn table_rows(
        &self,
        numbers: &[i64],
        columns: &[ColumnRef],
        text_chars_max: usize,
    ) -> Result<Vec<RunRow>, Error> {
        let list = serde_json::json!(numbers).to_string();
        let mut places: BTreeMap<i64, usize> = BTreeMap::new();
        let mut rows: Vec<RunRow> = Vec::with_capacity(numbers.len());
        for (key, row) in self.rows(HEADS, &[&list], |row| Ok((row.get(0)?, head(row)?)))? {
            places.insert(key, rows.len());
            rows.push(RunRow {
                values: vec![None; columns.len()],
                ..row?
            });
        }
        self.add_values(&list, columns, text_chars_max, &mut |key, column, value| {
            let row = places.get(&key).and_then(|at| rows.get_mut(*at));
            if let Some(cell) = row.and_then(|row| row.values.get_mut(column)) {
                *cell = Some(value);
            }
        })?;
        Ok(rows)
    }

    /// Reads what runs have in columns: one statement a kind, which looks each value up by its key.
    fn add_values(
        &self,
        list: &str,
        columns: &[ColumnRef],
        text_chars_max: usize,
        add: &mut dyn FnMut(i64, usize, RunValue),
    ) -> Result<(), Error> {
        let names = |of: fn(&ColumnRef) -> bool| -> (Vec<usize>, String) {
            let of_kind = columns.iter().enumerate().filter(|(_, column)| of(column));
            let (places, names): (Vec<usize>, Vec<&str>) = of_kind
                .map(|(place, column)| (place, column.name()))
                .unzip();
            (places, serde_json::json!(names).to_string())
        };
        let place = |places: &[usize], key: i64| {
            let key = usize::try_from(key).ok();
            key.and_then(|key| places.get(key))
                .copied()
                .unwrap_or(usize::MAX)
        };
        let chars = i64::try_from(text_chars_max).unwrap_or(i64::MAX - 1);
        for (table, key, of) in [
            (
                "params",
                "name",
                (|c| matches!(c, ColumnRef::Param(_))) as fn(&ColumnRef) -> bool,
            ),
            ("tags", "key", |c| matches!(c, ColumnRef::Tag(_))),
        ] {
            let (places, names) = names(of);
            if places.is_empty() {
                continue;
            }
            let sql = format!(
                "SELECT j.key, n.key, substr(x.value, 1, ?3 + 1)
                 FROM json_each(?1) j CROSS JOIN json_each(?2) n
                 CROSS JOIN {table} x ON x.run = j.value AND x.{key} = n.value"
            );
            self.rows(&sql, &[&list, &names, &chars], |row| {
                let text: String = row.get(2)?;
                let column = place(&places, row.get(1)?);
                add(
                    row.get(0)?,
                    column,
                    RunValue::Text(cut(text, text_chars_max)),
                );
                Ok(())
            })?;
        }
        let (places, names) = names(|c| matches!(c, ColumnRef::Metric(_)));
        if places.is_empty() {
            return Ok(());
        }
        self.rows(
            "SELECT j.key, n.key, x.value, x.step FROM json_each(?1) j CROSS JOIN json_each(?2) n
             CROSS JOIN metrics x ON x.run = j.value AND x.name = n.value",
            &[&list, &names],
            |row| {
                let value = RunValue::Number {
                    value: row.get::<_, Option<f64>>(2)?.unwrap_or(f64::NAN),
                    step: row.get(3)?,
                };
                add(row.get(0)?, place(&places, row.get(1)?), value);
                Ok(())
            },
        )
        .map(drop)
    }

    /// Adds the rows of a statement to the groups they belong to.
    fn sum_up(
        &self,
        sql: &str,
        values: &[Value],
        query: &GroupsQuery,
        groups: &mut BTreeMap<Vec<Option<String>>, Sums>,
    ) -> Result<(), Error> {
        let mut is_too_many = false;
        let mut work = || -> rusqlite::Result<()> {
            let mut statement = self.db.prepare_cached(sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                let number: i64 = row.get(0)?;
                let n = query.by.len();
                let key: Vec<Option<String>> =
                    (1..=n).map(|at| row.get(at)).collect::<Result<_, _>>()?;
                if GROUPS_MAX <= groups.len() && !groups.contains_key(&key) {
                    is_too_many = true;
                    return Ok(());
                }
                let group = groups.entry(key).or_insert_with(|| Sums {
                    runs: 0,
                    metrics: vec![Sum::EMPTY; query.metrics.len()],
                });
                group.runs += 1;
                for (at, sum) in group.metrics.iter_mut().enumerate() {
                    if let Some(value) = row.get::<_, Option<f64>>(1 + n + at)? {
                        sum.add(number, value);
                    }
                }
            }
            Ok(())
        };
        work().map_err(|e| self.failed(e))?;
        if is_too_many {
            let by: Vec<String> = query.by.iter().map(|one| format!("`{one}`")).collect();
            return Err(Error::invalid(format!(
                "{} has more than {GROUPS_MAX} different values: choose another, or a filter",
                by.join(" with ")
            )));
        }
        Ok(())
    }

    fn spread(&self, sum: &Sum) -> Result<Option<Spread>, Error> {
        if sum.n == 0 {
            return Ok(None);
        }
        let id = |number: i64| -> Result<RunId, Error> {
            let text: Option<String> =
                self.row("SELECT id FROM runs WHERE number = ?1", &[&number], |row| {
                    row.get(0)
                })?;
            run_id(&text.unwrap_or_default())
        };
        #[expect(clippy::cast_precision_loss, reason = "a mean")]
        let deviation = (1 < sum.n).then(|| (sum.squares / (sum.n - 1) as f64).sqrt());
        Ok(Some(Spread {
            n: sum.n,
            mean: sum.mean,
            deviation,
            min: sum.min.0,
            min_run: id(sum.min.1)?,
            max: sum.max.0,
            max_run: id(sum.max.1)?,
        }))
    }
}

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

fn run_id(text: &str) -> Result<RunId, Error> {
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

/// A group that is being summed up.
struct Sums {
    runs: u64,
    metrics: Vec<Sum>,
}

/// Numbers that are being summed up (Welford 1962), with the runs that have the lowest and highest.
#[derive(Clone)]
struct Sum {
    n: u64,
    mean: f64,
    squares: f64,
    min: (f64, i64),
    max: (f64, i64),
}

impl Sum {
    const EMPTY: Self = Self {
        n: 0,
        mean: 0.0,
        squares: 0.0,
        min: (f64::INFINITY, 0),
        max: (f64::NEG_INFINITY, 0),
    };

    fn add(&mut self, run: i64, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.n += 1;
        let from_mean = value - self.mean;
        #[expect(clippy::cast_precision_loss, reason = "a mean")]
        let n = self.n as f64;
        self.mean += from_mean / n;
        self.squares += from_mean * (value - self.mean);
        if value < self.min.0 {
            self.min = (value, run);
        }
        if self.max.0 < value {
            self.max = (value, run);
        }
    }
}

/// Joins what groups are made of and what is summed up; returns the columns.
fn group_columns(statement: &mut Statement, query: &GroupsQuery) -> Vec<String> {
    let mut columns = vec!["r.number".to_owned()];
    let metrics = query
        .metrics
        .iter()
        .map(|name| ("metrics", "name", name.as_str()));
    let by = query.by.iter().map(|column| match column {
        ColumnRef::Param(name) => ("params", "name", name.as_str()),
        ColumnRef::Metric(name) => ("metrics", "name", name.as_str()),
        ColumnRef::Tag(key) => ("tags", "key", key.as_str()),
    });
    for (place, (table, key, name)) in by.chain(metrics).enumerate() {
        let name = statement.bind(name.to_owned());
        statement.from += &format!(
            " LEFT JOIN {table} g{place} ON g{place}.run = r.number AND g{place}.{key} = {name}"
        );
        columns.push(if place < query.by.len() {
            format!("CAST(g{place}.value AS TEXT)")
        } else {
            format!("g{place}.value")
        });
    }
    columns
}

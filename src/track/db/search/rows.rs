//! Runs as rows of a table: a page in either direction, only the columns that are asked for; how many
//! there are; groups. Imports: entity, run, table, error, rusqlite.

use std::collections::BTreeMap;

use rusqlite::ToSql;
use rusqlite::types::Value;

use crate::track::error::Error;
use crate::track::run::RunId;
use crate::track::table::{
    ColumnRef, Counted, Group, Groups, GroupsQuery, RunIds, RunRow, RunRows, RunsQuery, RunsWanted,
    SomeRuns, Spread,
};

use super::super::Reader;
use super::cells::{Room, place, run_id};
use super::check_max_results;
use super::page::{Cut, Paging};
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
        let cut = self.found_at(query)?;
        let numbers: Vec<i64> = cut.found.iter().map(|one| one.number(0)).collect();
        let room = Room {
            text_chars: query.text_chars_max,
            bytes: usize::MAX,
        };
        Ok(RunRows {
            rows: self.read_rows(&numbers, &query.columns, room)?.rows,
            previous: cut.previous,
            next: cut.next,
        })
    }

    /// Returns a page as ids, for who reads the rows bit by bit; the columns of the query do not
    /// matter.
    ///
    /// # Errors
    /// As `run_rows`.
    pub fn run_ids_at(&self, query: &RunsQuery) -> Result<RunIds, Error> {
        check_max_results(query.limit, RESULTS_MAX)?;
        let cut = self.found_at(query)?;
        let numbers: Vec<i64> = cut.found.iter().map(|one| one.number(0)).collect();
        let ids = self.rows(
            "SELECT r.id FROM json_each(?1) j CROSS JOIN runs r ON r.number = j.value ORDER BY j.key",
            &[&serde_json::json!(numbers).to_string()],
            |row| row.get::<_, String>(0),
        )?;
        let ids = ids.iter().map(|id| run_id(id));
        Ok(RunIds {
            ids: ids.collect::<Result<_, _>>()?,
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
        let room = Room {
            text_chars: text_chars_max,
            bytes: usize::MAX,
        };
        let found = self.numbers_of(ids)?;
        let numbers: Vec<i64> = found.iter().map(|(_, number)| *number).collect();
        Ok(self.read_rows(&numbers, columns, room)?.rows)
    }

    /// Returns the first of these runs as rows, with whole texts: as many as take about `bytes_max`
    /// bytes, and at least one. Those that do not exist are left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn run_rows_within(
        &self,
        ids: &[RunId],
        columns: &[ColumnRef],
        bytes_max: usize,
    ) -> Result<SomeRuns, Error> {
        let room = Room {
            text_chars: usize::MAX,
            bytes: bytes_max,
        };
        let found = self.numbers_of(ids)?;
        let numbers: Vec<i64> = found.iter().map(|(_, number)| *number).collect();
        let read = self.read_rows(&numbers, columns, room)?;
        let behind = read.behind.and_then(|place| found.get(place));
        Ok(SomeRuns {
            rows: read.rows,
            taken: behind.map_or(ids.len(), |(place, _)| *place),
        })
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

    /// Returns what a page holds, and where those beside it are.
    fn found_at(&self, query: &RunsQuery) -> Result<Cut, Error> {
        let (wanted, _) = self.wanted(&query.runs, &query.order_by, query.limit)?;
        let paging = Paging::at(wanted.order(), query.limit, &query.at)?;
        let scopes = scopes(&query.runs.experiments, query.runs.view, paging.limit());
        Ok(paging.cut_both(self.find_wanted(&wanted, &scopes, &paging)?))
    }

    /// Returns the numbers of those runs that exist, each with its place among the ids.
    fn numbers_of(&self, ids: &[RunId]) -> Result<Vec<(usize, i64)>, Error> {
        let list: Vec<String> = ids.iter().map(RunId::to_string).collect();
        self.rows(
            "SELECT j.key, r.number FROM json_each(?1) j CROSS JOIN runs r ON r.id = j.value
             ORDER BY j.key",
            &[&serde_json::json!(list).to_string()],
            |row| Ok((place(row, 0)?, row.get(1)?)),
        )
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

//! What there is to look at in an experiment: the names of its params, metrics and tags; whether
//! anything has changed. Imports: entity, table, rusqlite.
//!
//! **Names.** An index tells the names of all metrics of an experiment. Params and tags are found by
//! their runs only: of more than `SAMPLE` runs, the newest and an even sample of the others are looked
//! at. A name that only few old runs have can be missing then, and counts are of the sample.
//!
//! **Changes.** `Shared::version` tells in microseconds that some connection, of this process or
//! another, has changed something since; what it was is found out by the marks. Both are numbers that
//! differ after a change, and mean nothing else.

use std::collections::BTreeMap;

use rusqlite::Row;

use crate::base::ContentHash;
use crate::track::entity::{Experiment, ExperimentId, View};
use crate::track::error::Error;
use crate::track::run::RunId;
use crate::track::table::ColumnRef;

use super::Reader;

/// So many runs are looked at for names. Tests are to come to a sample.
const SAMPLE: i64 = if cfg!(test) { 20 } else { 2000 };

/// More names than this are left out: nobody reads them.
const NAMES_MAX: usize = 5000;

/// Columns that runs of an experiment have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// By kind and name.
    pub columns: Vec<ColumnInfo>,
    /// How many runs were looked at.
    pub looked_at: u64,
    /// Are these all runs?
    pub is_whole: bool,
}

/// A column that runs have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Which.
    pub column: ColumnRef,
    /// How many of the runs that were looked at have it.
    pub runs: u64,
    /// Is it a number in all of them?
    pub is_number: bool,
    /// Has it more than one value in them?
    pub differs: bool,
}

/// An experiment, with its runs counted.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentCounts {
    /// The experiment.
    pub experiment: Experiment,
    /// How many active runs it has.
    pub active: u64,
    /// How many deleted runs.
    pub deleted: u64,
}

impl Reader<'_> {
    /// Returns the columns that runs of an experiment have, of active or deleted ones.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn catalogue(&self, id: ExperimentId, view: View) -> Result<Catalogue, Error> {
        let stages: &[&str] = match view {
            View::Active => &["active"],
            View::Deleted => &["deleted"],
            View::All => &["active", "deleted"],
        };
        let mut numbers: Vec<i64> = Vec::new();
        let mut is_whole = true;
        for stage in stages {
            let (of_stage, all) = self.sample(id, stage)?;
            numbers.extend(of_stage);
            is_whole &= all;
        }
        let list = serde_json::json!(numbers).to_string();
        let mut columns: BTreeMap<ColumnRef, ColumnInfo> = BTreeMap::new();
        for name in self.metric_names(id)? {
            let column = ColumnRef::Metric(name);
            columns.insert(column.clone(), unseen(column));
        }
        let mut add = |sql: &str, of: fn(String) -> ColumnRef| -> Result<(), Error> {
            for (name, runs, is_number, differs) in self.rows(sql, &[&list], counted)? {
                let column = of(name);
                let info = ColumnInfo {
                    column: column.clone(),
                    runs: u64::try_from(runs).unwrap_or(0),
                    is_number,
                    differs,
                };
                columns.insert(column, info);
            }
            Ok(())
        };
        add(
            "SELECT x.name, count(*), TRUE, min(x.value) IS NOT max(x.value)
             FROM json_each(?1) j CROSS JOIN metrics x ON x.run = j.value GROUP BY x.name",
            ColumnRef::Metric,
        )?;
        for (sql, of) in [
            (PARAMS, ColumnRef::Param as fn(String) -> ColumnRef),
            (TAGS, ColumnRef::Tag),
        ] {
            add(sql, of)?;
        }
        Ok(Catalogue {
            columns: columns.into_values().take(NAMES_MAX).collect(),
            looked_at: numbers.len() as u64,
            is_whole,
        })
    }

    /// Returns runs to look at, and whether these are all.
    fn sample(&self, id: ExperimentId, stage: &str) -> Result<(Vec<i64>, bool), Error> {
        let n: Option<i64> = self.row(
            "SELECT count(*) FROM runs WHERE experiment = ?1 AND lifecycle_stage = ?2",
            &[&id.0, &stage],
            |row| row.get(0),
        )?;
        let n = n.unwrap_or(0);
        let every = (n / (SAMPLE / 2)).max(1);
        let numbers = self.rows(
            "SELECT * FROM (SELECT number FROM runs WHERE experiment = ?1 AND lifecycle_stage = ?2
                            ORDER BY started_ms DESC, id LIMIT ?3)
             UNION
             SELECT number FROM runs
             WHERE experiment = ?1 AND lifecycle_stage = ?2 AND (number % ?4 = 0 OR ?5 <= ?6)",
            &[&id.0, &stage, &(SAMPLE / 2), &every, &n, &SAMPLE],
            |row| row.get(0),
        )?;
        Ok((numbers, n <= SAMPLE))
    }

    /// Returns the names of the metrics of an experiment: each found in the index behind the one
    /// before.
    fn metric_names(&self, id: ExperimentId) -> Result<Vec<String>, Error> {
        let max = i64::try_from(NAMES_MAX).unwrap_or(i64::MAX);
        self.rows(
            "WITH RECURSIVE names (name) AS (
                 SELECT min(name) FROM metrics WHERE experiment = ?1
                 UNION ALL
                 SELECT (SELECT min(name) FROM metrics WHERE experiment = ?1 AND name > names.name)
                 FROM names WHERE name IS NOT NULL LIMIT ?2)
             SELECT name FROM names WHERE name IS NOT NULL",
            &[&id.0, &max],
            |row| row.get(0),
        )
    }

    /// Returns experiments with their runs counted, by the time of their last change, the newest
    /// first; at most so many.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn experiments_counted(
        &self,
        view: View,
        max: usize,
    ) -> Result<Vec<ExperimentCounts>, Error> {
        let which = match view {
            View::Active => "lifecycle_stage = 'active'",
            View::Deleted => "lifecycle_stage = 'deleted'",
            View::All => "TRUE",
        };
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT id FROM experiments WHERE {which} ORDER BY updated_ms DESC, id DESC LIMIT ?1"
        );
        let ids = self.rows(&sql, &[&max], |row| row.get(0).map(ExperimentId))?;
        let count = |id: ExperimentId, stage: &str| -> Result<u64, Error> {
            let n: Option<i64> = self.row(
                "SELECT count(*) FROM runs WHERE experiment = ?1 AND lifecycle_stage = ?2",
                &[&id.0, &stage],
                |row| row.get(0),
            )?;
            Ok(u64::try_from(n.unwrap_or(0)).unwrap_or(0))
        };
        let experiments = self.experiments_of(&ids)?.into_iter();
        experiments
            .map(|experiment| {
                Ok(ExperimentCounts {
                    active: count(experiment.id, "active")?,
                    deleted: count(experiment.id, "deleted")?,
                    experiment,
                })
            })
            .collect()
    }

    /// Returns what differs after a run of an experiment began, ended, was deleted or restored. What
    /// else changes in a run is not looked at: `run_mark` tells of that.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn experiment_mark(&self, id: ExperimentId) -> Result<u64, Error> {
        let mut seen = String::new();
        for stage in ["active", "deleted"] {
            let of_stage = self.row(
                "SELECT count(*), max(started_ms) FROM runs
                 WHERE experiment = ?1 AND lifecycle_stage = ?2",
                &[&id.0, &stage],
                |row| all(row, 2),
            )?;
            seen += &of_stage.unwrap_or_default();
        }
        for number in self.running(id)? {
            seen += &format!("{number};");
        }
        Ok(mark(&seen))
    }

    /// Returns the experiment of the run that began last, else the first one there is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn newest_experiment(&self) -> Result<Option<ExperimentId>, Error> {
        let of_run = self.row(
            "SELECT experiment FROM runs WHERE lifecycle_stage = 'active'
             ORDER BY started_ms DESC, number DESC LIMIT 1",
            &[],
            |row| row.get(0).map(ExperimentId),
        )?;
        if of_run.is_some() {
            return Ok(of_run);
        }
        self.row(
            "SELECT id FROM experiments WHERE lifecycle_stage = 'active' ORDER BY id LIMIT 1",
            &[],
            |row| row.get(0).map(ExperimentId),
        )
    }

    fn running(&self, id: ExperimentId) -> Result<Vec<i64>, Error> {
        self.rows(
            "SELECT number FROM runs WHERE status = 'RUNNING' AND +experiment = ?1 ORDER BY number",
            &[&id.0],
            |row| row.get(0),
        )
    }

    /// Returns runs of an experiment that say they go on, the newest first; at most so many.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn runs_going_on(&self, id: ExperimentId, max: usize) -> Result<Vec<RunId>, Error> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let ids: Vec<String> = self.rows(
            "SELECT id FROM runs WHERE status = 'RUNNING' AND +experiment = ?1
             ORDER BY number DESC LIMIT ?2",
            &[&id.0, &max],
            |row| row.get(0),
        )?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Returns what differs after a run changed, or something was logged to it; 0 if there is none.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn run_mark(&self, id: RunId) -> Result<u64, Error> {
        let run = self.row(
            "SELECT number, name, status, ended_ms, lifecycle_stage, owner FROM runs WHERE id = ?1",
            &[&id.to_string()],
            |row| Ok((row.get::<_, i64>(0)?, all(row, 6)?)),
        )?;
        let Some((number, mut seen)) = run else {
            return Ok(0);
        };
        for (sql, columns) in [
            (
                "SELECT count(*), total(step), total(at_ms), total(value), max(id), total(curve)
                 FROM metrics WHERE run = ?1",
                6,
            ),
            ("SELECT count(*) FROM params WHERE run = ?1", 1),
            (
                "SELECT count(*), group_concat(key), group_concat(value) FROM tags WHERE run = ?1",
                3,
            ),
            (
                "SELECT count(*), total(size) FROM artifacts WHERE run = ?1",
                2,
            ),
            (
                "SELECT count(*), total(took_ms) FROM stages WHERE run = ?1",
                2,
            ),
            ("SELECT count(*) FROM inputs WHERE run = ?1", 1),
            ("SELECT count(*) FROM model_outputs WHERE run = ?1", 1),
        ] {
            seen += &self
                .row(sql, &[&number], |row| all(row, columns))?
                .unwrap_or_default();
        }
        Ok(mark(&seen))
    }
}

/// What a text must not hold to be a number; the empty text is none either.
macro_rules! counted_texts {
    ($table:literal, $key:literal) => {
        concat!(
            "SELECT x.",
            $key,
            ", count(*), min(x.value <> '' AND x.value NOT GLOB '*[^-+.0-9eE]*'),
                    min(x.value) <> max(x.value)
             FROM json_each(?1) j CROSS JOIN ",
            $table,
            " x ON x.run = j.value GROUP BY x.",
            $key
        )
    };
}
const PARAMS: &str = counted_texts!("params", "name");
const TAGS: &str = counted_texts!("tags", "key");

fn unseen(column: ColumnRef) -> ColumnInfo {
    ColumnInfo {
        column,
        runs: 0,
        is_number: true,
        differs: true,
    }
}

fn counted(row: &Row<'_>) -> rusqlite::Result<(String, i64, bool, bool)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

/// Returns the first columns of a row as a text that is another for other values.
fn all(row: &Row<'_>, columns: usize) -> rusqlite::Result<String> {
    let mut seen = String::new();
    for at in 0..columns {
        seen += &format!("{:?};", row.get_ref(at)?);
    }
    Ok(seen)
}

fn mark(seen: &str) -> u64 {
    let hash = ContentHash::of(seen.as_bytes()).to_string();
    // Never 0, which is the mark of nothing.
    u64::from_str_radix(&hash[..16], 16).unwrap_or(0) | 1
}

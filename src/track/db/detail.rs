//! What a page of one run shows beside its record: how it was begun, its stages, its parts, the run
//! before it. Deleted runs have it, too. Imports: entity, run, error, rusqlite.

use std::time::Duration;

use super::{Reader, write};
use crate::track::error::Error;
use crate::track::run::{Git, RunId, StageRecord, Status};

/// How a run was begun, and what its stages did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunDetail {
    /// The command, as typed; empty for runs of clients.
    pub command: String,
    /// The stages or outputs asked for; none means all.
    pub targets: Vec<String>,
    /// Where the project stood in git.
    pub git: Option<Git>,
    /// The run that it is a part of.
    pub parent: Option<RunId>,
    /// Stages, in the order in which they finished.
    pub stages: Vec<StageRecord>,
    /// The lock as it stood after the run.
    pub lock: Option<String>,
}

/// A part of a run: a trial, a nested run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its id.
    pub id: RunId,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub status: Status,
    /// When it began.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
}

fn bad(what: String) -> Error {
    Error::BadRecord { what }
}

impl Reader<'_> {
    /// Returns how a run was begun and what its stages did.
    ///
    /// # Errors
    /// There is no such run.
    pub fn run_detail(&self, id: RunId) -> Result<RunDetail, Error> {
        let number = self.number(id)?;
        let row = self.row(
            "SELECT r.command, r.targets, r.parent, r.git_commit, r.git_branch, r.git_dirty, l.text
             FROM runs r LEFT JOIN locks l ON l.id = r.lock WHERE r.number = ?1",
            &[&number],
            |row| {
                let targets: String = row.get(1)?;
                let parent: Option<String> = row.get(2)?;
                let commit: Option<String> = row.get(3)?;
                let (branch, dirty) = (row.get(4)?, row.get(5)?);
                Ok(RunDetail {
                    command: row.get(0)?,
                    targets: serde_json::from_str(&targets).unwrap_or_default(),
                    git: commit.map(|commit| Git {
                        commit,
                        branch,
                        dirty,
                    }),
                    // A client may call anything the parent of a run.
                    parent: parent.and_then(|id| id.parse().ok()),
                    stages: Vec::new(),
                    lock: row.get(6)?,
                })
            },
        )?;
        Ok(RunDetail {
            stages: self.stages_of(number)?,
            ..row.unwrap_or_default()
        })
    }

    fn stages_of(&self, number: i64) -> Result<Vec<StageRecord>, Error> {
        let rows = self.rows(
            "SELECT name, outcome, took_ms, message FROM stages WHERE run = ?1 ORDER BY place",
            &[&number],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, i64>(2)?,
                    row.get(3)?,
                ))
            },
        )?;
        rows.into_iter()
            .map(|(name, outcome, took_ms, message)| {
                Ok(StageRecord {
                    name,
                    outcome: outcome.parse().map_err(bad)?,
                    took: Duration::from_millis(u64::try_from(took_ms).unwrap_or(0)),
                    message,
                })
            })
            .collect()
    }

    /// Returns how many active parts a run has, and the newest of them, not more than `max`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn parts_of(&self, id: RunId, max: usize) -> Result<(u64, Vec<Part>), Error> {
        let (id, max) = (id.to_string(), i64::try_from(max).unwrap_or(i64::MAX));
        let count = self.row(
            "SELECT count(*) FROM runs WHERE parent = ?1 AND lifecycle_stage = 'active'",
            &[&id],
            |row| row.get::<_, i64>(0),
        )?;
        let rows = self.rows(
            "SELECT id, name, status, started_ms, ended_ms, owner FROM runs
             WHERE parent = ?1 AND lifecycle_stage = 'active'
             ORDER BY started_ms DESC, number DESC LIMIT ?2",
            &[&id, &max],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get(1)?,
                    row.get::<_, String>(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get::<_, Option<String>>(5)?,
                ))
            },
        )?;
        let parts = rows
            .into_iter()
            .map(|(id, name, status, started_ms, ended_ms, owner)| {
                let status = match status.parse().map_err(bad)? {
                    Status::Running if write::is_abandoned(owner.as_deref()) => Status::Killed,
                    status => status,
                };
                Ok(Part {
                    id: id.parse().map_err(|_| bad(format!("the run id `{id}`")))?,
                    name,
                    status,
                    started_ms,
                    ended_ms,
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok((u64::try_from(count.unwrap_or(0)).unwrap_or(0), parts))
    }

    /// Returns the run with which this one is compared unless something else is asked: the one before
    /// it in the same experiment, and below the same run, that finished.
    ///
    /// # Errors
    /// There is no such run.
    pub fn run_before(&self, id: RunId) -> Result<Option<RunId>, Error> {
        let number = self.number(id)?;
        let found = self.row(
            "SELECT b.id FROM runs r JOIN runs b ON b.experiment = r.experiment
             WHERE r.number = ?1 AND b.lifecycle_stage = 'active' AND b.status = 'FINISHED'
               AND b.parent IS r.parent
               AND (b.started_ms, b.number) < (r.started_ms, r.number)
             ORDER BY b.started_ms DESC, b.number DESC LIMIT 1",
            &[&number],
            |row| row.get::<_, String>(0),
        )?;
        Ok(found.and_then(|id| id.parse().ok()))
    }

    /// Returns the registered versions that a run made: names and numbers, the newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn versions_from(&self, id: RunId) -> Result<Vec<(String, i64)>, Error> {
        self.rows(
            "SELECT model, version FROM model_versions WHERE run = ?1
             ORDER BY created_ms DESC, model, version DESC LIMIT 100",
            &[&id.to_string()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }
}

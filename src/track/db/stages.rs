//! What became of one stage in run after run. Imports: run, rusqlite.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Reader;
use crate::track::error::Error;
use crate::track::run::{RunId, StageOutcome};

/// How long a stage took is looked for in so many of the newest runs.
const RUNS_LOOKED_AT: i64 = 200;

/// A stage in a run.
#[derive(Clone, Debug, PartialEq)]
pub struct StageRun {
    /// The run.
    pub run: RunId,
    /// Its name.
    pub run_name: String,
    /// When the run began.
    pub started_ms: i64,
    /// What became of the stage.
    pub outcome: StageOutcome,
    /// How long that took.
    pub took: Duration,
    /// Why it failed.
    pub message: Option<String>,
}

impl Reader<'_> {
    /// Returns the newest runs in which the stage `name` ran, was restored or failed, newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn stage_history(&self, name: &str, limit: usize) -> Result<Vec<StageRun>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.rows(
            "SELECT r.id, r.name, r.started_ms, s.outcome, s.took_ms, s.message
             FROM stages s JOIN runs r ON r.number = s.run
             WHERE s.name = ?1 AND s.outcome IN ('ran', 'restored', 'failed')
               AND r.lifecycle_stage = 'active'
             ORDER BY r.started_ms DESC, r.number DESC LIMIT ?2",
            &[&name, &limit],
            |row| {
                let (id, outcome): (String, String) = (row.get(0)?, row.get(3)?);
                let took: i64 = row.get(4)?;
                // What another program wrote into the tables is passed over.
                let known = id
                    .parse::<RunId>()
                    .ok()
                    .zip(outcome.parse::<StageOutcome>().ok());
                let Some((run, outcome)) = known else {
                    return Ok(None);
                };
                Ok(Some(StageRun {
                    run,
                    run_name: row.get(1)?,
                    started_ms: row.get(2)?,
                    outcome,
                    took: Duration::from_millis(u64::try_from(took).unwrap_or(0)),
                    message: row.get(5)?,
                }))
            },
        )?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Returns how long each stage took when its command last ran, as far as the newest runs tell.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn stage_durations(&self) -> Result<BTreeMap<String, Duration>, Error> {
        let rows = self.rows(
            "SELECT name, took_ms FROM stages
             WHERE outcome = 'ran' AND run IN (
                 SELECT number FROM runs WHERE lifecycle_stage = 'active'
                 ORDER BY number DESC LIMIT ?1)
             ORDER BY run",
            &[&RUNS_LOOKED_AT],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)),
        )?;
        let durations = rows.into_iter();
        Ok(durations
            .map(|(name, ms)| (name, Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
            .collect())
    }
}

//! Runs that have parts: what clients of MLflow log as nested runs. Imports: run, error.

use crate::track::error::Error;
use crate::track::run::{RunId, Status};

use super::Reader;

/// A run with its parts counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentRun {
    /// Its id.
    pub id: RunId,
    /// Its name.
    pub name: String,
    /// The name of its experiment.
    pub experiment: String,
    /// The sweep of this project that it is the run of, if it is one.
    pub sweep: Option<String>,
    /// How far it is.
    pub status: Status,
    /// When it began, milliseconds since 1970.
    pub started_ms: i64,
    /// How many parts it has: all, failed and stopped ones, those that go on.
    pub parts: [usize; 3],
}

impl Reader<'_> {
    /// Returns runs of at least two parts, the one with the newest part first; at most so many.
    /// Deleted runs and deleted parts do not count.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn parents(&self, most: usize) -> Result<Vec<ParentRun>, Error> {
        let rows = self.rows(
            "SELECT p.id, e.name, p.name,
                    (SELECT value FROM tags t WHERE t.run = p.number AND t.key = 'cvops.sweep'),
                    count(*), sum(c.status IN ('FAILED', 'KILLED')), sum(c.status = 'RUNNING')
             FROM runs c JOIN runs p ON p.id = c.parent JOIN experiments e ON e.id = p.experiment
             WHERE c.parent IS NOT NULL AND c.lifecycle_stage = 'active'
                 AND p.lifecycle_stage = 'active'
             GROUP BY c.parent HAVING 2 <= count(*) ORDER BY max(c.number) DESC LIMIT ?1",
            &[&(most as i64)],
            |row| {
                let count = |at: usize| {
                    row.get::<_, i64>(at)
                        .map(|n| usize::try_from(n).unwrap_or(0))
                };
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, Option<String>>(3)?,
                    [count(4)?, count(5)?, count(6)?],
                ))
            },
        )?;
        let mut parents = Vec::with_capacity(rows.len());
        for (id, experiment, name, sweep, parts) in rows {
            // Ids are checked when they are written; a database of others may hold anything.
            let Ok(id) = id.parse::<RunId>() else {
                continue;
            };
            // A run whose process died says so there.
            let info = self.run_info(id)?;
            parents.push(ParentRun {
                id,
                name,
                experiment,
                sweep,
                status: info.status,
                started_ms: info.started_ms,
                parts,
            });
        }
        Ok(parents)
    }
}

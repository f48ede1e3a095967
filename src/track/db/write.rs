//! Writing runs. Imports: base, run, owner, rusqlite.

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use crate::base::ContentHash;
use crate::base::diag::nearest;
use crate::base::doc::Value;
use crate::track::error::Error;
use crate::track::owner::Owner;
use crate::track::run::{Batch, Curve, End, Metric, NewRun, Run, RunId, StageRecord, Status};

use super::{Tracking, curve};

impl Tracking {
    /// Begins a run of this process; returns its id and its name.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn create_run(&mut self, new: &NewRun) -> Result<(RunId, String), Error> {
        let id = RunId::random();
        let name = new.name.clone().unwrap_or_else(|| id.default_name());
        let targets = serde_json::json!(new.targets).to_string();
        let started = new.started.as_millisecond();
        self.write(|tx| {
            tx.execute(
                "INSERT INTO experiments (name, created_ms, updated_ms) VALUES (?1, ?2, ?2)
                 ON CONFLICT (name) DO NOTHING",
                params![new.experiment, started],
            )?;
            tx.execute(
                "INSERT INTO runs (id, experiment, name, parent, status, started_ms, command, targets, owner)
                 SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM experiments WHERE name = ?2",
                params![
                    id.to_string(),
                    new.experiment,
                    name,
                    new.parent.map(|p| p.to_string()),
                    Status::Running.as_str(),
                    started,
                    new.command,
                    targets,
                    Owner::this().to_string(),
                ],
            )?;
            let run = tx.last_insert_rowid();
            for (key, value) in &new.tags {
                put_tag(tx, run, key, value)?;
            }
            Ok(())
        })?;
        Ok((id, name))
    }

    /// Adds to a run, all or nothing.
    ///
    /// # Errors
    /// There is no such run, or the database cannot be written.
    pub fn log_batch(&mut self, id: RunId, batch: &Batch) -> Result<(), Error> {
        self.write(|tx| put_batch(tx, number(tx, id)?, batch))
    }

    /// Ends a run, adding what is known at its end. On disk when this returns.
    ///
    /// # Errors
    /// There is no such run, or the database cannot be written.
    pub fn finish(&mut self, id: RunId, batch: &Batch, end: &End) -> Result<(), Error> {
        let durable = |on: bool| if on { "FULL" } else { "NORMAL" };
        self.db
            .pragma_update(None, "synchronous", durable(true))
            .map_err(|e| self.failed(e))?;
        let written = self.write(|tx| {
            let run = number(tx, id)?;
            put_batch(tx, run, batch)?;
            let lock = match &end.lock {
                Some(text) => Some(put_lock(tx, text)?),
                None => None,
            };
            let git = end.git.as_ref();
            tx.execute(
                "UPDATE runs SET status = ?2, ended_ms = ?3, lock = ?4, git_commit = ?5,
                 git_branch = ?6, git_dirty = ?7 WHERE number = ?1",
                params![
                    run,
                    end.status.as_str(),
                    end.ended.as_millisecond(),
                    lock,
                    git.map(|g| &g.commit),
                    git.and_then(|g| g.branch.as_ref()),
                    git.and_then(|g| g.dirty),
                ],
            )?;
            Ok(())
        });
        self.db
            .pragma_update(None, "synchronous", durable(false))
            .map_err(|e| self.failed(e))?;
        written
    }

    /// Marks the runs of dead processes as killed; returns how many there were. When they died is
    /// not known, so they get no end.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub fn close_abandoned(&mut self) -> Result<usize, Error> {
        // Looking first: nothing is locked when there is nothing to do.
        let abandoned: Vec<i64> = {
            let mut statement = self
                .db
                .prepare("SELECT number, owner FROM runs WHERE status = 'RUNNING'")
                .map_err(|e| self.failed(e))?;
            let rows = statement
                .query_map([], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
                })
                .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
                .map_err(|e| self.failed(e))?;
            rows.into_iter()
                .filter(|(_, owner)| is_abandoned(owner.as_deref()))
                .map(|(number, _)| number)
                .collect()
        };
        if abandoned.is_empty() {
            return Ok(0);
        }
        self.write(|tx| {
            let mut closed = 0;
            for number in &abandoned {
                closed += tx.execute(
                    "UPDATE runs SET status = 'KILLED' WHERE number = ?1 AND status = 'RUNNING'",
                    [number],
                )?;
            }
            Ok(closed)
        })
    }

    /// Sets a tag.
    ///
    /// # Errors
    /// There is no such run, or the database cannot be written.
    pub fn set_tag(&mut self, id: RunId, key: &str, value: &str) -> Result<(), Error> {
        self.write(|tx| put_tag(tx, number(tx, id)?, key, value))
    }

    /// Removes a tag of `run`.
    ///
    /// # Errors
    /// The run has no such tag, or the database cannot be written.
    pub fn remove_tag(&mut self, run: &Run, key: &str) -> Result<(), Error> {
        let removed = self.write(|tx| {
            let number = number(tx, run.id)?;
            tx.execute(
                "DELETE FROM tags WHERE run = ?1 AND key = ?2",
                params![number, key],
            )
        })?;
        if removed == 0 {
            return Err(Error::UnknownTag {
                name: run.name.clone(),
                key: key.to_owned(),
                nearest: nearest(key, run.tags.keys().map(String::as_str)).map(str::to_owned),
            });
        }
        Ok(())
    }

    /// Removes the records of runs, all or none. Objects in the cache stay.
    ///
    /// # Errors
    /// One of them goes on, or the database cannot be written.
    pub fn delete(&mut self, runs: &[Run]) -> Result<(), Error> {
        if let Some(run) = runs.iter().find(|run| run.status == Status::Running) {
            return Err(Error::StillRunning {
                name: run.name.clone(),
            });
        }
        self.write(|tx| {
            for run in runs {
                tx.execute("DELETE FROM runs WHERE id = ?1", [run.id.to_string()])?;
            }
            tx.execute(
                "DELETE FROM locks WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.lock = locks.id)",
                [],
            )?;
            tx.execute(
                "DELETE FROM curves
                 WHERE NOT EXISTS (SELECT 1 FROM metrics WHERE metrics.curve = curves.id)",
                [],
            )?;
            Ok(())
        })
    }

    /// Runs `work` in one transaction.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let path = &self.path;
        let fail = |source| super::failed(path, source);
        // Taking the write lock at once: a transaction that reads first can find the database
        // changed when it comes to write, and no waiting would help it.
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(fail)?;
        let result = work(&tx).map_err(fail)?;
        tx.commit().map_err(fail)?;
        Ok(result)
    }
}

/// Is a run of this owner, said to go on, over? Runs without an owner are written by somebody else.
pub(super) fn is_abandoned(owner: Option<&str>) -> bool {
    owner
        .and_then(|text| text.parse::<Owner>().ok())
        .is_some_and(|owner| owner.is_dead())
}

fn number(tx: &Transaction<'_>, id: RunId) -> rusqlite::Result<i64> {
    tx.query_row(
        "SELECT number FROM runs WHERE id = ?1",
        [id.to_string()],
        |row| row.get(0),
    )
}

fn put_tag(tx: &Transaction<'_>, run: i64, key: &str, value: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO tags (run, key, value) VALUES (?1, ?2, ?3)")?
        .execute(params![run, key, value])
        .map(drop)
}

fn put_lock(tx: &Transaction<'_>, text: &str) -> rusqlite::Result<i64> {
    let hash = ContentHash::of(text.as_bytes());
    let known = tx
        .query_row(
            "SELECT id FROM locks WHERE hash = ?1",
            [hash.as_bytes()],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    tx.execute(
        "INSERT INTO locks (hash, text) VALUES (?1, ?2)",
        params![hash.as_bytes(), text],
    )?;
    Ok(tx.last_insert_rowid())
}

fn put_batch(tx: &Transaction<'_>, run: i64, batch: &Batch) -> rusqlite::Result<()> {
    for param in &batch.params {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO params (run, file, key, value) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            run,
            param.key.file,
            param.key.key,
            json(&param.value)
        ])?;
    }
    for curve in &batch.curves {
        put_curve(tx, run, curve)?;
    }
    for metric in &batch.metrics {
        let id = put_metric(tx, run, metric)?;
        let value = (!metric.value.is_nan()).then_some(metric.value);
        tx.prepare_cached(
            "INSERT INTO points (metric, step, at_ms, value) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![id, metric.step, metric.at.as_millisecond(), value])?;
    }
    for (key, value) in &batch.tags {
        put_tag(tx, run, key, value)?;
    }
    for artifact in &batch.artifacts {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO artifacts (run, path, object, size, files, stage)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            run,
            artifact.path,
            artifact.object.to_string(),
            signed(artifact.size),
            artifact.files.map(signed),
            artifact.stage,
        ])?;
    }
    put_stages(tx, run, &batch.stages)
}

/// Records the last value of a metric; returns the number of its row.
fn put_metric(tx: &Transaction<'_>, run: i64, metric: &Metric) -> rusqlite::Result<i64> {
    let (file, key) = (&metric.key.file, &metric.key.key);
    let value = (!metric.value.is_nan()).then_some(metric.value);
    // The last value is the one of the highest step, then of the latest time (MLflow's rule).
    tx.prepare_cached(
        "INSERT INTO metrics (run, file, key, value, step, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (run, file, key) DO UPDATE
         SET value = excluded.value, step = excluded.step, at_ms = excluded.at_ms
         WHERE step < excluded.step OR (step = excluded.step AND at_ms <= excluded.at_ms)",
    )?
    .execute(params![
        run,
        file,
        key,
        value,
        metric.step,
        metric.at.as_millisecond()
    ])?;
    tx.prepare_cached("SELECT id FROM metrics WHERE run = ?1 AND file = ?2 AND key = ?3")?
        .query_row(params![run, file, key], |row| row.get(0))
}

fn put_curve(tx: &Transaction<'_>, run: i64, whole: &Curve) -> rusqlite::Result<()> {
    let mut points = whole.points.clone();
    // A stable sort: of two values of a step the later one stays the last.
    points.sort_by_key(|(step, _)| *step);
    let Some(&(step, value)) = points.last() else {
        return Ok(());
    };
    let last = Metric {
        key: whole.key.clone(),
        value,
        step,
        at: whole.at,
    };
    let metric = put_metric(tx, run, &last)?;
    let bytes = curve::to_bytes(&points);
    let hash = ContentHash::of(&bytes);
    tx.prepare_cached(
        "INSERT INTO curves (hash, points) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING",
    )?
    .execute(params![hash.as_bytes(), bytes])?;
    tx.prepare_cached(
        "UPDATE metrics SET curve = (SELECT id FROM curves WHERE hash = ?2) WHERE id = ?1",
    )?
    .execute(params![metric, hash.as_bytes()])
    .map(drop)
}

fn put_stages(tx: &Transaction<'_>, run: i64, stages: &[StageRecord]) -> rusqlite::Result<()> {
    if stages.is_empty() {
        return Ok(());
    }
    let first: i64 = tx.query_row(
        "SELECT coalesce(max(place) + 1, 0) FROM stages WHERE run = ?1",
        [run],
        |row| row.get(0),
    )?;
    for (place, stage) in (first..).zip(stages) {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO stages (run, name, place, outcome, took_ms, message)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            run,
            stage.name,
            place,
            stage.outcome.as_str(),
            i64::try_from(stage.took.as_millis()).unwrap_or(i64::MAX),
            stage.message,
        ])?;
    }
    Ok(())
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Returns a param's value as JSON text; NaN and infinities, which JSON lacks, as Rust spells them.
fn json(value: &Value) -> String {
    value.to_string()
}

/// Reads what `json` wrote.
pub(super) fn of_json(text: &str) -> Value {
    match text {
        "NaN" => Value::Float(f64::NAN),
        "inf" => Value::Float(f64::INFINITY),
        "-inf" => Value::Float(f64::NEG_INFINITY),
        text => serde_json::from_str(text).unwrap_or_else(|_| Value::Str(text.to_owned())),
    }
}

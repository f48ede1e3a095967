//! Writing runs of the pipeline. Imports: base, run, owner, records, curve, rusqlite.

use std::collections::BTreeSet;

use crate::base::ContentHash;
use crate::base::diag::nearest;
use crate::base::doc::Value;
use crate::track::error::Error;
use crate::track::owner::Owner;
use crate::track::run::{
    Artifact, Batch, Curve, End, Key, Metric, NewRun, Run, RunId, StageRecord, Status,
};

use super::records::{NAME_TAG, PARENT_TAG, USER_TAG};
use super::{Tracking, Writing, curve, kept, signed};

/// Tags that MLflow gives a meaning.
const SOURCE_TAG: &str = "mlflow.source.name";
const COMMIT_TAG: &str = "mlflow.source.git.commit";
const BRANCH_TAG: &str = "mlflow.source.git.branch";

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
        let user = new.tags.get(USER_TAG).cloned().unwrap_or_default();
        self.change(|writing| {
            writing.make_experiment(&new.experiment, started)?;
            writing.execute(
                // What is recorded into a deleted one would be hidden with it.
                "UPDATE experiments SET lifecycle_stage = 'active'
                 WHERE name = ?1 AND lifecycle_stage <> 'active'",
                &[&new.experiment],
            )?;
            writing.execute(
                "INSERT INTO runs
                     (id, experiment, name, status, started_ms, command, targets, owner, user)
                 SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM experiments WHERE name = ?2",
                &[
                    &id.to_string(),
                    &new.experiment,
                    &name,
                    &Status::Running.as_str(),
                    &started,
                    &new.command,
                    &targets,
                    &Owner::this().to_string(),
                    &user,
                ],
            )?;
            let run = writing.db.last_insert_rowid();
            let parent = new.parent.map(|parent| parent.to_string());
            let of_run = [(NAME_TAG, Some(&name)), (PARENT_TAG, parent.as_ref())];
            for (key, value) in of_run {
                if let Some(value) = value {
                    writing.put_run_tag(run, key, value)?;
                }
            }
            let source = (!new.command.is_empty()).then_some((SOURCE_TAG, &new.command));
            let more = new.tags.iter().map(|(key, value)| (key.as_str(), value));
            for (key, value) in source.into_iter().chain(more) {
                writing.put_run_tag(run, key, value)?;
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
        self.change(|writing| writing.put_batch(writing.number(id)?, batch))
    }

    /// Ends a run, adding what is known at its end. On disk when this returns.
    ///
    /// # Errors
    /// There is no such run, or the database cannot be written.
    pub fn finish(&mut self, id: RunId, batch: &Batch, end: &End) -> Result<(), Error> {
        let durable = |on: bool| if on { "FULL" } else { "NORMAL" };
        self.db
            .pragma_update(None, "synchronous", durable(true))
            .map_err(|e| self.reader().failed(e))?;
        let written = self.change(|writing| {
            let run = writing.number(id)?;
            writing.put_batch(run, batch)?;
            let lock = match &end.lock {
                Some(text) => Some(writing.put_lock(text)?),
                None => None,
            };
            let git = end.git.as_ref();
            writing.execute(
                "UPDATE runs SET status = ?2, ended_ms = ?3, lock = ?4, git_commit = ?5,
                 git_branch = ?6, git_dirty = ?7 WHERE number = ?1",
                &[
                    &run,
                    &end.status.as_str(),
                    &end.ended.as_millisecond(),
                    &lock,
                    &git.map(|g| &g.commit),
                    &git.and_then(|g| g.branch.as_ref()),
                    &git.and_then(|g| g.dirty),
                ],
            )?;
            if let Some(git) = git {
                writing.put_run_tag(run, COMMIT_TAG, &git.commit)?;
                if let Some(branch) = &git.branch {
                    writing.put_run_tag(run, BRANCH_TAG, branch)?;
                }
            }
            Ok(())
        });
        self.db
            .pragma_update(None, "synchronous", durable(false))
            .map_err(|e| self.reader().failed(e))?;
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
                .map_err(|e| self.reader().failed(e))?;
            let rows = statement
                .query_map([], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
                })
                .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
                .map_err(|e| self.reader().failed(e))?;
            rows.into_iter()
                .filter(|(_, owner)| is_abandoned(owner.as_deref()))
                .map(|(number, _)| number)
                .collect()
        };
        if abandoned.is_empty() {
            return Ok(0);
        }
        self.change(|writing| {
            let mut closed = 0;
            for number in &abandoned {
                closed += writing.execute(
                    "UPDATE runs SET status = 'KILLED' WHERE number = ?1 AND status = 'RUNNING'",
                    &[number],
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
        self.change(|writing| writing.put_run_tag(writing.number(id)?, key, value))
    }

    /// Removes a tag of `run`.
    ///
    /// # Errors
    /// The run has no such tag, or the database cannot be written.
    pub fn remove_tag(&mut self, run: &Run, key: &str) -> Result<(), Error> {
        let removed = self.change(|writing| {
            let number = writing.number(run.id)?;
            writing.execute(
                "DELETE FROM tags WHERE run = ?1 AND key = ?2",
                &[&number, &key],
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
}

/// Is a run of this owner, said to go on, over? Runs without an owner are written by somebody else.
pub(super) fn is_abandoned(owner: Option<&str>) -> bool {
    owner
        .and_then(|text| text.parse::<Owner>().ok())
        .is_some_and(|owner| owner.is_dead())
}

/// What names a metric's row: the flat name that clients see is its key, unless a metric of another
/// file has it.
enum Named {
    /// There is a row.
    Known(i64),
    /// There is none; it is to have this name.
    New(String),
}

impl Writing<'_> {
    pub(super) fn put_lock(&self, text: &str) -> Result<i64, Error> {
        let hash = ContentHash::of(text.as_bytes());
        let known = self.row(
            "SELECT id FROM locks WHERE hash = ?1",
            &[&hash.as_bytes()],
            |row| row.get(0),
        )?;
        if let Some(id) = known {
            return Ok(id);
        }
        self.execute(
            "INSERT INTO locks (hash, text) VALUES (?1, ?2)",
            &[&hash.as_bytes(), &text],
        )?;
        Ok(self.db.last_insert_rowid())
    }

    fn put_batch(&self, run: i64, batch: &Batch) -> Result<(), Error> {
        for param in &batch.params {
            let name = param.key.to_string();
            let (value, typed) = match &param.value {
                Value::Str(text) => (text.clone(), false),
                value => (json(value), true),
            };
            self.execute(
                "INSERT OR REPLACE INTO params (run, name, file, key, value, typed)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                &[&run, &name, &param.key.file, &param.key.key, &value, &typed],
            )?;
        }
        // Curves are written first, so that they are shown first; the plain names go to the others.
        let taken: BTreeSet<&str> = batch.metrics.iter().map(|m| m.key.key.as_str()).collect();
        for curve in &batch.curves {
            self.put_curve(run, curve, &taken)?;
        }
        for metric in &batch.metrics {
            self.put_metric(run, metric)?;
        }
        for (key, value) in &batch.tags {
            self.put_run_tag(run, key, value)?;
        }
        self.put_artifacts(run, &batch.artifacts)?;
        self.put_stages(run, &batch.stages)
    }

    /// Finds the row of a metric. What a client logged while the stage ran, and the file holds as its
    /// last value, is the same metric.
    fn named(&self, run: i64, last: &Metric, taken: &BTreeSet<&str>) -> Result<Named, Error> {
        let Key { file, key } = &last.key;
        let full = format!("{file}:{key}");
        if !key.is_empty() && !taken.contains(key.as_str()) {
            let found = self.row(
                "SELECT id, file, step, value FROM metrics WHERE run = ?1 AND name = ?2",
                &[&run, key],
                |row| {
                    Ok((
                        row.get::<_, i64>(0)?,
                        row.get::<_, String>(1)?,
                        (row.get::<_, i64>(2)?, row.get::<_, Option<f64>>(3)?),
                    ))
                },
            )?;
            match found {
                None => return Ok(Named::New(key.clone())),
                Some((id, of, _)) if of == *file => return Ok(Named::Known(id)),
                Some((id, of, latest))
                    if of.is_empty() && latest == (last.step, kept(last.value)) =>
                {
                    self.execute(
                        "UPDATE metrics SET file = ?2, key = ?3 WHERE id = ?1",
                        &[&id, file, key],
                    )?;
                    return Ok(Named::Known(id));
                }
                Some(_) => {}
            }
        }
        let known = self.row(
            "SELECT id FROM metrics WHERE run = ?1 AND name = ?2",
            &[&run, &full],
            |row| row.get(0),
        )?;
        Ok(known.map_or(Named::New(full), Named::Known))
    }

    /// Records the last value of a metric; returns the number of its row.
    fn put_latest(&self, run: i64, metric: &Metric, taken: &BTreeSet<&str>) -> Result<i64, Error> {
        let at = metric.at.as_millisecond();
        let value = kept(metric.value);
        match self.named(run, metric, taken)? {
            Named::Known(id) => {
                // The last value is the one of the highest step, then of the latest time (MLflow's rule).
                self.execute(
                    "UPDATE metrics SET value = ?2, step = ?3, at_ms = ?4
                     WHERE id = ?1 AND (step < ?3 OR (step = ?3 AND at_ms <= ?4))",
                    &[&id, &value, &metric.step, &at],
                )?;
                Ok(id)
            }
            Named::New(name) => {
                self.execute(
                    "INSERT INTO metrics (run, experiment, name, file, key, value, step, at_ms)
                     SELECT ?1, experiment, ?2, ?3, ?4, ?5, ?6, ?7 FROM runs WHERE number = ?1",
                    &[
                        &run,
                        &name,
                        &metric.key.file,
                        &metric.key.key,
                        &value,
                        &metric.step,
                        &at,
                    ],
                )?;
                Ok(self.db.last_insert_rowid())
            }
        }
    }

    fn put_metric(&self, run: i64, metric: &Metric) -> Result<(), Error> {
        let id = self.put_latest(run, metric, &BTreeSet::new())?;
        let value = kept(metric.value);
        self.execute(
            "INSERT OR IGNORE INTO points (metric, at_ms, step, value, is_number)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            &[
                &id,
                &metric.at.as_millisecond(),
                &metric.step,
                &value.unwrap_or(0.0),
                &value.is_some(),
            ],
        )
        .map(drop)
    }

    fn put_curve(&self, run: i64, whole: &Curve, taken: &BTreeSet<&str>) -> Result<(), Error> {
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
        let metric = self.put_latest(run, &last, taken)?;
        let bytes = curve::to_bytes(&points);
        let hash = ContentHash::of(&bytes);
        self.execute(
            "INSERT INTO curves (hash, points) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING",
            &[&hash.as_bytes(), &bytes],
        )?;
        // What was logged point by point is in the curve as well.
        self.execute("DELETE FROM points WHERE metric = ?1", &[&metric])?;
        self.execute(
            "UPDATE metrics SET curve = (SELECT id FROM curves WHERE hash = ?2) WHERE id = ?1",
            &[&metric, &hash.as_bytes()],
        )
        .map(drop)
    }

    /// Records outputs; one of the same path replaces what was recorded before.
    pub(super) fn put_artifacts(&self, run: i64, artifacts: &[Artifact]) -> Result<(), Error> {
        for artifact in artifacts {
            self.execute(
                "INSERT OR REPLACE INTO artifacts (run, path, object, size, files, stage)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                &[
                    &run,
                    &artifact.path,
                    &artifact.object.to_string(),
                    &signed(artifact.size),
                    &artifact.files.map(signed),
                    &artifact.stage,
                ],
            )?;
        }
        Ok(())
    }

    /// Records stages, after those that are recorded already.
    pub(super) fn put_stages(&self, run: i64, stages: &[StageRecord]) -> Result<(), Error> {
        if stages.is_empty() {
            return Ok(());
        }
        let first: Option<i64> = self.row(
            "SELECT coalesce(max(place) + 1, 0) FROM stages WHERE run = ?1",
            &[&run],
            |row| row.get(0),
        )?;
        for (place, stage) in (first.unwrap_or(0)..).zip(stages) {
            self.execute(
                "INSERT OR REPLACE INTO stages (run, name, place, outcome, took_ms, message)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                &[
                    &run,
                    &stage.name,
                    &place,
                    &stage.outcome.as_str(),
                    &i64::try_from(stage.took.as_millis()).unwrap_or(i64::MAX),
                    &stage.message,
                ],
            )?;
        }
        Ok(())
    }
}

/// Returns a param's value as JSON text; NaN and infinities, which JSON lacks, as Rust spells them.
fn json(value: &Value) -> String {
    value.to_string()
}

/// Reads the value of a param: a text as it is, or what `json` wrote.
pub(super) fn value_of(text: String, typed: bool) -> Value {
    match text.as_str() {
        _ if !typed => Value::Str(text),
        "NaN" => Value::Float(f64::NAN),
        "inf" => Value::Float(f64::INFINITY),
        "-inf" => Value::Float(f64::NEG_INFINITY),
        json => serde_json::from_str(json).unwrap_or(Value::Str(text)),
    }
}

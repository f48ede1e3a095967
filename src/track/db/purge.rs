//! What was deleted and can be restored, and what goes for good: records of deleted runs, experiments
//! and logged models, with the uploaded files they had. Imports: base, entity, run, rusqlite.
//!
//! **What the registry needs stays.** A run or logged model that a version of a registered model
//! comes from is kept whole, deleted or not: whoever loads the model finds its files, and whoever
//! asks where it comes from gets an answer. It goes with a purge after the version went.
//!
//! **Order.** Records go first, in one transaction; the objects in the cache that only they named are
//! garbage from then on, for `data::gc`. A crash in between leaves garbage, never a record of files
//! that are gone.

use std::collections::BTreeSet;

use rusqlite::TransactionBehavior;

use crate::base::ObjectId;
use crate::base::diag::nearest;
use crate::track::artifacts::path_of_uri;
use crate::track::error::{Candidate, Error};
use crate::track::run::{RunId, Status};

use super::export::{object, range_below};
use super::{Reader, Tracking, Writing, failed, time, write};

/// Shorter beginnings of an id are refused, as for runs that are not deleted.
const PREFIX_MIN: usize = 4;

/// The one that was deleted last.
const LAST: &str = "last";

/// Digits of the ids of runs, and of logged models after `m-`.
const ID_DIGITS: usize = 32;

/// A run that can be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedRun {
    /// Its id.
    pub id: RunId,
    /// Its name.
    pub name: String,
    /// The experiment it belongs to.
    pub experiment: String,
    /// How it ended.
    pub status: Status,
    /// When it began.
    pub started_ms: i64,
    /// When it was deleted, if that is known.
    pub deleted_ms: Option<i64>,
}

/// What is to go for good.
#[derive(Clone, Copy, Debug)]
pub struct Purge {
    /// Only what was deleted no later.
    pub until_ms: Option<i64>,
}

/// What went for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Runs.
    pub runs: usize,
    /// Experiments.
    pub experiments: usize,
    /// Logged models.
    pub models: usize,
    /// Uploaded files, with their bytes.
    pub files: usize,
    /// Bytes of those files; equal ones lie in the cache once.
    pub bytes: u64,
    /// Names of deleted runs and logged models that a registered model needs.
    pub needed: Vec<String>,
}

impl Purged {
    /// Did nothing go?
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.runs + self.experiments + self.models + self.files == 0
    }
}

/// Which objects a clean-up of the cache keeps for the sake of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All that any record names, of deleted runs too.
    All,
    /// What nothing can make again or the registry needs: uploaded files, and the outputs of runs
    /// that registered models come from.
    Irreplaceable,
}

/// What an attempt to shrink the file of the database came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shrunk {
    /// Bytes before and after.
    Done(u64, u64),
    /// Somebody uses it.
    Busy,
}

struct Row {
    number: i64,
    id: String,
    name: String,
    is_going_on: bool,
}

impl Reader<'_> {
    /// Returns the runs that can be restored, the last deleted first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn deleted_runs(&self) -> Result<Vec<DeletedRun>, Error> {
        let rows = self.rows(
            "SELECT r.id, r.name, e.name, r.status, r.started_ms, r.deleted_ms, r.owner
             FROM runs r JOIN experiments e ON e.id = r.experiment
             WHERE r.lifecycle_stage = 'deleted' ORDER BY r.deleted_ms DESC, r.number DESC",
            &[],
            |row| {
                let texts: (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let status: String = row.get(3)?;
                let owner: Option<String> = row.get(6)?;
                Ok((texts, status, row.get(4)?, row.get(5)?, owner))
            },
        )?;
        rows.into_iter()
            .map(
                |((id, name, experiment), status, started_ms, deleted_ms, owner)| {
                    let unknown = |what: String| Error::BadRecord { what };
                    let status = match status.parse().map_err(unknown)? {
                        Status::Running if write::is_abandoned(owner.as_deref()) => Status::Killed,
                        status => status,
                    };
                    Ok(DeletedRun {
                        id: id
                            .parse()
                            .map_err(|_| unknown(format!("the run id `{id}`")))?,
                        name,
                        experiment,
                        status,
                        started_ms,
                        deleted_ms,
                    })
                },
            )
            .collect()
    }

    /// Finds a deleted run by its id, the beginning of its id, its name, or `last`, which is the one
    /// that was deleted last.
    ///
    /// # Errors
    /// There is none, or several.
    pub fn find_deleted(&self, text: &str) -> Result<DeletedRun, Error> {
        let mut all = self.deleted_runs()?;
        if text == LAST && !all.is_empty() {
            return Ok(all.swap_remove(0));
        }
        let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        let begin = text.to_ascii_lowercase();
        let mut found: Vec<DeletedRun> = all.iter().filter(|r| r.name == text).cloned().collect();
        if found.is_empty() && is_hex && PREFIX_MIN <= text.len() {
            let fits = |run: &&DeletedRun| run.id.to_string().starts_with(&begin);
            found = all.iter().filter(fits).cloned().collect();
        }
        match found.len() {
            0 => Err(Error::UnknownRun {
                text: text.to_owned(),
                nearest: nearest(text, all.iter().map(|r| r.name.as_str())).map(str::to_owned),
                is_short: is_hex && text.len() < PREFIX_MIN,
            }),
            1 => Ok(found.remove(0)),
            _ => Err(Error::AmbiguousRun {
                text: text.to_owned(),
                candidates: found
                    .into_iter()
                    .map(|run| {
                        Ok(Candidate {
                            name: run.name,
                            id: run.id,
                            status: run.status,
                            started: time(run.started_ms)?,
                        })
                    })
                    .collect::<Result<_, Error>>()?,
            }),
        }
    }

    /// Returns the objects that a clean-up of the cache must keep for the sake of the record.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn kept_objects(&self, keep: Keep) -> Result<BTreeSet<ObjectId>, Error> {
        let outputs = match keep {
            Keep::All => self.rows("SELECT DISTINCT object FROM artifacts", &[], |row| {
                row.get::<_, String>(0)
            })?,
            Keep::Irreplaceable => {
                let needed = self.needed_by_registry()?;
                let list = serde_json::json!(needed).to_string();
                self.rows(
                    "SELECT DISTINCT a.object FROM json_each(?1) j
                     CROSS JOIN runs r ON r.id = j.value JOIN artifacts a ON a.run = r.number",
                    &[&list],
                    |row| row.get(0),
                )?
            }
        };
        let uploaded = self.rows("SELECT DISTINCT object FROM artifact_files", &[], |row| {
            row.get::<_, String>(0)
        })?;
        let all = outputs.iter().chain(&uploaded);
        all.map(|text| object(text)).collect()
    }

    /// Returns the ids of runs and logged models that versions of registered models come from: those
    /// they name, and those in whose artifacts their files are.
    fn needed_by_registry(&self) -> Result<BTreeSet<String>, Error> {
        let rows = self.rows(
            "SELECT coalesce(run, ''), coalesce(logged_model, ''), source, storage
             FROM model_versions",
            &[],
            |row| {
                let ids: (String, String) = (row.get(0)?, row.get(1)?);
                let places: (String, String) = (row.get(2)?, row.get(3)?);
                Ok((ids, places))
            },
        )?;
        let mut needed = BTreeSet::new();
        for ((run, model), (source, storage)) in rows {
            for place in [source, storage] {
                let parts = place.split('/').filter(|part| is_id(part));
                needed.extend(parts.map(str::to_owned));
            }
            needed.extend([run, model].into_iter().filter(|id| !id.is_empty()));
        }
        Ok(needed)
    }

    fn rows_of(&self, sql: &str, value: &dyn rusqlite::ToSql) -> Result<Vec<Row>, Error> {
        self.rows(sql, &[value], |row| {
            let status: String = row.get(3)?;
            let owner: Option<String> = row.get(4)?;
            // Runs of clients have no owner: whoever deleted one knew what he did.
            let is_going_on = status == Status::Running.as_str()
                && owner.is_some()
                && !write::is_abandoned(owner.as_deref());
            Ok(Row {
                number: row.get(0)?,
                id: row.get(1)?,
                name: row.get(2)?,
                is_going_on,
            })
        })
    }
}

/// Is a part of a path the id of a run or a logged model?
fn is_id(part: &str) -> bool {
    let digits = part.strip_prefix("m-").unwrap_or(part);
    digits.len() == ID_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Writing<'_> {
    /// Restores a deleted run, and its experiment if that is deleted; other runs of it stay deleted.
    ///
    /// # Errors
    /// There is no such run.
    pub fn restore_run_and_experiment(&self, id: RunId, now_ms: i64) -> Result<(), Error> {
        self.restore_run(id)?;
        self.execute(
            "UPDATE experiments SET lifecycle_stage = 'active', updated_ms = ?2
             WHERE lifecycle_stage = 'deleted'
               AND id = (SELECT experiment FROM runs WHERE id = ?1)",
            &[&id.to_string(), &now_ms],
        )
        .map(drop)
    }

    /// Removes for good what was deleted.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn purge(&self, what: Purge) -> Result<Purged, Error> {
        let until = what.until_ms.unwrap_or(i64::MAX);
        let needed = self.needed_by_registry()?;
        let mut purged = Purged::default();
        let runs = self.rows_of(
            "SELECT number, id, name, status, owner FROM runs
             WHERE lifecycle_stage = 'deleted' AND coalesce(deleted_ms, 0) <= ?1 ORDER BY number",
            &until,
        )?;
        self.purge_runs(&runs, &needed, &mut purged)?;
        let models = self.rows(
            "SELECT id, name, artifact_uri FROM logged_models
             WHERE lifecycle_stage = 'deleted' AND coalesce(deleted_ms, 0) <= ?1 ORDER BY id",
            &[&until],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        self.purge_models(models, &needed, &mut purged)?;
        let experiments = self.rows(
            "SELECT id FROM experiments
             WHERE lifecycle_stage = 'deleted' AND updated_ms <= ?1 ORDER BY id",
            &[&until],
            |row| row.get::<_, i64>(0),
        )?;
        for experiment in experiments {
            self.purge_experiment(experiment, &needed, &mut purged)?;
        }
        self.execute(
            "DELETE FROM locks WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.lock = locks.id)",
            &[],
        )?;
        self.execute(
            "DELETE FROM curves
             WHERE NOT EXISTS (SELECT 1 FROM metrics WHERE metrics.curve = curves.id)",
            &[],
        )?;
        self.execute(
            "DELETE FROM datasets
             WHERE NOT EXISTS (SELECT 1 FROM inputs WHERE inputs.dataset = datasets.id)",
            &[],
        )?;
        purged.needed.sort();
        purged.needed.dedup();
        Ok(purged)
    }

    fn purge_runs(
        &self,
        runs: &[Row],
        needed: &BTreeSet<String>,
        purged: &mut Purged,
    ) -> Result<(), Error> {
        for run in runs {
            if needed.contains(&run.id) {
                purged.needed.push(run.name.clone());
                continue;
            }
            if run.is_going_on {
                continue;
            }
            if let Some(uri) = self.artifact_uri_of(&run.id)? {
                self.purge_files(&uri, &run.id, purged)?;
            }
            self.execute("DELETE FROM runs WHERE number = ?1", &[&run.number])?;
            purged.runs += 1;
        }
        Ok(())
    }

    fn purge_models(
        &self,
        models: Vec<(String, String, String)>,
        needed: &BTreeSet<String>,
        purged: &mut Purged,
    ) -> Result<(), Error> {
        for (id, name, uri) in models {
            if needed.contains(&id) {
                purged.needed.push(name);
                continue;
            }
            self.purge_files(&uri, &id, purged)?;
            self.execute("DELETE FROM logged_models WHERE id = ?1", &[&id])?;
            purged.models += 1;
        }
        Ok(())
    }

    fn purge_experiment(
        &self,
        experiment: i64,
        needed: &BTreeSet<String>,
        purged: &mut Purged,
    ) -> Result<(), Error> {
        // A run can begin, or be restored, in a deleted experiment: nobody has deleted that one.
        let in_use = self.row(
            "SELECT 1 FROM runs WHERE experiment = ?1 AND lifecycle_stage = 'active' LIMIT 1",
            &[&experiment],
            |_| Ok(()),
        )?;
        if in_use.is_some() {
            return Ok(());
        }
        let runs = self.rows_of(
            "SELECT number, id, name, status, owner FROM runs WHERE experiment = ?1 ORDER BY number",
            &experiment,
        )?;
        self.purge_runs(&runs, needed, purged)?;
        let models = self.rows(
            "SELECT id, name, artifact_uri FROM logged_models WHERE experiment = ?1 ORDER BY id",
            &[&experiment],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        self.purge_models(models, needed, purged)?;
        // `Default` is where runs go that name no experiment: it is always there. So is one whose
        // runs or models could not go.
        let removed = self.execute(
            "DELETE FROM experiments WHERE id = ?1 AND id <> 0
               AND NOT EXISTS (SELECT 1 FROM runs WHERE experiment = ?1)
               AND NOT EXISTS (SELECT 1 FROM logged_models WHERE experiment = ?1)",
            &[&experiment],
        )?;
        purged.experiments += removed;
        Ok(())
    }

    /// Removes the uploaded files of a run or a logged model. A place that does not carry its id is
    /// not its own.
    fn purge_files(&self, uri: &str, owner: &str, purged: &mut Purged) -> Result<(), Error> {
        let Some(path) = path_of_uri(uri) else {
            return Ok(());
        };
        if !path.split('/').any(|part| part == owner) {
            return Ok(());
        }
        let (from, to) = range_below(path);
        let bytes = self.row(
            "SELECT coalesce(sum(size), 0) FROM artifact_files WHERE ?1 <= path AND path < ?2",
            &[&from, &to],
            |row| row.get::<_, i64>(0),
        )?;
        purged.bytes += bytes.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        purged.files += self.execute(
            "DELETE FROM artifact_files WHERE ?1 <= path AND path < ?2",
            &[&from, &to],
        )?;
        Ok(())
    }
}

impl Tracking {
    /// Removes for good what was deleted; returns that, and the objects that a clean-up of the cache
    /// must still keep.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn purge(
        &mut self,
        what: Purge,
        keep: Keep,
    ) -> Result<(Purged, BTreeSet<ObjectId>), Error> {
        self.change(|writing| Ok((writing.purge(what)?, writing.kept_objects(keep)?)))
    }

    /// Says what `purge` would do, and takes it back.
    ///
    /// # Errors
    /// As `purge`.
    pub fn would_purge(
        &mut self,
        what: Purge,
        keep: Keep,
    ) -> Result<(Purged, BTreeSet<ObjectId>), Error> {
        let path = &self.path;
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| failed(path, e))?;
        let writing = Writing(Reader { db: &tx, path });
        let result = (writing.purge(what)?, writing.kept_objects(keep)?);
        tx.rollback().map_err(|e| failed(path, e))?;
        Ok(result)
    }

    /// Gives the room that is free in the file of the database back to the disk.
    ///
    /// # Errors
    /// The disk is full, or the database damaged.
    pub fn shrink(&mut self) -> Result<Shrunk, Error> {
        let before = self.bytes();
        let work = || -> rusqlite::Result<bool> {
            self.db.execute_batch("VACUUM")?;
            self.db
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        };
        match work() {
            Ok(false) => Ok(Shrunk::Done(before, self.bytes())),
            Ok(true) => Ok(Shrunk::Busy),
            Err(rusqlite::Error::SqliteFailure(error, _))
                if matches!(
                    error.code,
                    rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked
                ) =>
            {
                Ok(Shrunk::Busy)
            }
            Err(source) => Err(failed(&self.path, source)),
        }
    }

    /// Returns the bytes of the database with its log.
    fn bytes(&self) -> u64 {
        let log = {
            let mut name = self.path.as_os_str().to_owned();
            name.push("-wal");
            name
        };
        let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |m| m.len());
        size(&self.path) + size(std::path::Path::new(&log))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ContentHash;
    use crate::project::{CVOPS, Layout};
    use crate::track::artifacts::Stored;
    use crate::track::db::{Histories, NewRecord};

    #[test]
    fn files_of_a_named_server_are_ours_too() {
        let tmp = tempfile::tempdir().unwrap();
        let mut tracking = Tracking::open(&Layout::new(tmp.path(), &CVOPS)).unwrap();
        let stored = Stored {
            object: ObjectId::File(ContentHash::of(b"x")),
            size: 1,
        };
        let purged = tracking.change(|w| {
            let place = "mlflow-artifacts://host:5000/far";
            let run = w.create_record(&NewRecord {
                experiment: w.create_experiment("far", Some(place), &[], 1)?,
                user: String::new(),
                name: None,
                started_ms: 1,
                tags: Vec::new(),
            })?;
            let (id, uri) = (run.info.id, run.info.artifact_uri);
            // Where a client uploads to: the server is this one, whatever it is called.
            let path = format!("{}/a.txt", path_of_uri(&uri).unwrap());
            assert_eq!(path, format!("far/{id}/artifacts/a.txt"));
            w.put_file(&path, &stored, 1)?;
            assert_eq!(w.whole_run(id, Histories::Latest)?.files.len(), 1);
            w.delete_run(id, 2)?;
            w.purge(Purge { until_ms: None })
        });
        assert_eq!(purged.unwrap().files, 1);
        let left = tracking.reader().kept_objects(Keep::All).unwrap();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn a_run_that_nobody_deleted_stays_in_a_deleted_experiment() {
        let tmp = tempfile::tempdir().unwrap();
        let mut tracking = Tracking::open(&Layout::new(tmp.path(), &CVOPS)).unwrap();
        let (gone, back) = tracking
            .change(|w| {
                let new = NewRecord {
                    experiment: w.create_experiment("e", None, &[], 1)?,
                    user: String::new(),
                    name: None,
                    started_ms: 1,
                    tags: Vec::new(),
                };
                let (gone, back) = (
                    w.create_record(&new)?.info.id,
                    w.create_record(&new)?.info.id,
                );
                w.delete_experiment(new.experiment, 2)?;
                w.restore_run(back)?;
                let purged = w.purge(Purge { until_ms: None })?;
                assert_eq!((purged.runs, purged.experiments), (1, 0));
                Ok((gone, back))
            })
            .unwrap();
        assert!(tracking.reader().run_info(back).is_ok());
        assert!(tracking.reader().run_info(gone).is_err());
    }

    #[test]
    fn ids_are_told_from_other_parts_of_a_path() {
        let run = "0123456789abcdef0123456789abcdef";
        assert!(is_id(run) && is_id(&format!("m-{run}")));
        for other in ["artifacts", "", "m-", &run[1..], &format!("x{}", &run[1..])] {
            assert!(!is_id(other), "{other}");
        }
    }
}

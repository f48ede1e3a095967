//! What a remote tracking server has of the recorded runs. Imports: db, entity, run, rusqlite.
//!
//! **Marks.** A run that the remote knows has a row in `forwards`: which run it is there, `sent`, the
//! fingerprint of all but metrics and files as it was last sent, and `done` once it has ended and all
//! is there. Of each metric `print` is the fingerprint of its history as it was last sent. Points are
//! sent again only if the fingerprint has changed, and then only from the newest time on that was
//! sent (`at_ms`), provided that as many points as then (`earlier`) are older: else a point with an
//! older time has come, and all go once more. Sending a point twice stores it once.

use std::collections::BTreeMap;

use super::super::error::Error;
use super::super::run::RunId;
use super::{Reader, Writing};

/// A run that a remote server may lack something of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number in the record.
    pub number: i64,
    /// Its id.
    pub id: RunId,
    /// Its name.
    pub name: String,
    /// The run there, if there is one.
    pub forwarded: Option<Forwarded>,
}

/// A run as a remote server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Its id there.
    pub run: String,
    /// The id of its experiment there.
    pub experiment: String,
    /// Below which URI its artifacts are there.
    pub artifacts: String,
    /// The fingerprint of what was sent, metrics and files aside; empty if nothing was.
    pub sent: String,
    /// Has it ended, and is all of it there?
    pub done: bool,
}

/// How much of a metric was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricMark {
    /// The fingerprint of the history that was sent.
    pub print: String,
    /// The newest time of a point that was sent.
    pub at_ms: i64,
    /// Points that were older than that.
    pub earlier: i64,
}

/// Which of the runs that a server gets are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Those that are not done.
    Unfinished,
    /// All: tags may have been set after a run had ended.
    All,
}

impl Reader<'_> {
    /// Returns the runs that the server `uri` gets, the oldest first: active ones, and none that is
    /// itself the copy of a run (`copy_tag`).
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn forward_waiting(
        &self,
        uri: &str,
        span: Span,
        copy_tag: &str,
    ) -> Result<Vec<Waiting>, Error> {
        let rows = self.rows(
            "SELECT r.number, r.id, r.name, f.remote_run, f.remote_experiment, f.remote_artifacts,
                    f.sent, f.done
             FROM forward_targets t JOIN runs r ON t.after < r.number
             LEFT JOIN forwards f ON f.run = r.number AND f.uri = t.uri
             WHERE t.uri = ?1 AND r.lifecycle_stage = 'active'
               AND (?2 OR f.done IS NULL OR NOT f.done)
               AND NOT EXISTS (SELECT 1 FROM tags g WHERE g.run = r.number AND g.key = ?3)
             ORDER BY r.number",
            &[&uri, &(span == Span::All), &copy_tag],
            |row| {
                let forwarded = match row.get::<_, Option<String>>(3)? {
                    None => None,
                    Some(run) => Some(Forwarded {
                        run,
                        experiment: row.get(4)?,
                        artifacts: row.get(5)?,
                        sent: row.get(6)?,
                        done: row.get(7)?,
                    }),
                };
                Ok((
                    row.get(0)?,
                    row.get::<_, String>(1)?,
                    row.get(2)?,
                    forwarded,
                ))
            },
        )?;
        let waiting = |(number, id, name, forwarded): (i64, String, String, _)| {
            let id = id.parse().map_err(|_| Error::BadRecord {
                what: format!("the run id `{id}`"),
            })?;
            Ok(Waiting {
                number,
                id,
                name,
                forwarded,
            })
        };
        rows.into_iter().map(waiting).collect()
    }

    /// Returns the id that a run has on the server `uri`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn forwarded_run(&self, uri: &str, id: &str) -> Result<Option<String>, Error> {
        self.row(
            "SELECT f.remote_run FROM runs r JOIN forwards f ON f.run = r.number
             WHERE r.id = ?1 AND f.uri = ?2",
            &[&id, &uri],
            |row| row.get(0),
        )
    }

    /// Returns the fingerprints of the histories of a run's metrics as they are now, by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn metric_prints(&self, number: i64) -> Result<Vec<(String, String)>, Error> {
        self.rows(
            "SELECT m.name, coalesce(m.curve, '') || ':' || m.step || ':' || m.at_ms || ':' ||
                    coalesce(m.value, 'nan') || ':' ||
                    (SELECT count(*) FROM points p WHERE p.metric = m.id)
             FROM metrics m WHERE m.run = ?1 ORDER BY m.name",
            &[&number],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Returns how much of each metric was sent, by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn metric_marks(
        &self,
        uri: &str,
        number: i64,
    ) -> Result<BTreeMap<String, MetricMark>, Error> {
        let rows = self.rows(
            "SELECT name, print, at_ms, earlier FROM forward_metrics WHERE run = ?1 AND uri = ?2",
            &[&number, &uri],
            |row| {
                let mark = MetricMark {
                    print: row.get(1)?,
                    at_ms: row.get(2)?,
                    earlier: row.get(3)?,
                };
                Ok((row.get(0)?, mark))
            },
        )?;
        Ok(rows.into_iter().collect())
    }

    /// Returns the objects of the files that were sent, by path.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn forwarded_files(
        &self,
        uri: &str,
        number: i64,
    ) -> Result<BTreeMap<String, String>, Error> {
        let rows = self.rows(
            "SELECT path, object FROM forward_files WHERE run = ?1 AND uri = ?2",
            &[&number, &uri],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(rows.into_iter().collect())
    }

    /// Returns what clients uploaded below the folder `root`, as paths in it, sorted.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn uploads_below(&self, root: &str) -> Result<Vec<String>, Error> {
        // `0` is the character after `/`: all that lies between is in the folder.
        let (first, end) = (format!("{root}/"), format!("{root}0"));
        let skipped = i64::try_from(first.chars().count()).unwrap_or(i64::MAX);
        self.rows(
            "SELECT substr(path, ?3 + 1) FROM artifact_files
             WHERE ?1 < path AND path < ?2 ORDER BY path",
            &[&first, &end, &skipped],
            |row| row.get(0),
        )
    }
}

impl Writing<'_> {
    /// Notes that the server `uri` gets all runs from the next one on; what was noted before stays.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn forward_from_now(&self, uri: &str) -> Result<(), Error> {
        self.execute(
            "INSERT OR IGNORE INTO forward_targets (uri, after)
             SELECT ?1, coalesce(max(number), 0) FROM runs",
            &[&uri],
        )?;
        Ok(())
    }

    /// Notes that the server `uri` gets all runs, those of the past included.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn forward_all(&self, uri: &str) -> Result<(), Error> {
        self.execute(
            "INSERT INTO forward_targets (uri, after) VALUES (?1, 0)
             ON CONFLICT (uri) DO UPDATE SET after = 0",
            &[&uri],
        )?;
        Ok(())
    }

    /// Notes which run it is on the server `uri`, and how much of it was sent.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn set_forwarded(&self, uri: &str, number: i64, to: &Forwarded) -> Result<(), Error> {
        self.execute(
            "INSERT INTO forwards
                 (run, uri, remote_run, remote_experiment, remote_artifacts, sent, done)
             SELECT number, ?2, ?3, ?4, ?5, ?6, ?7 FROM runs WHERE number = ?1
             ON CONFLICT (run, uri) DO UPDATE SET sent = excluded.sent, done = excluded.done",
            &[
                &number,
                &uri,
                &to.run,
                &to.experiment,
                &to.artifacts,
                &to.sent,
                &to.done,
            ],
        )?;
        Ok(())
    }

    /// Notes how much of a metric was sent.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn mark_metric(
        &self,
        uri: &str,
        number: i64,
        name: &str,
        mark: &MetricMark,
    ) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO forward_metrics (run, uri, name, print, at_ms, earlier)
             SELECT run, uri, ?3, ?4, ?5, ?6 FROM forwards WHERE run = ?1 AND uri = ?2",
            &[
                &number,
                &uri,
                &name,
                &mark.print,
                &mark.at_ms,
                &mark.earlier,
            ],
        )?;
        Ok(())
    }

    /// Notes that a file was sent.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn mark_file(&self, uri: &str, number: i64, path: &str, object: &str) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO forward_files (run, uri, path, object)
             SELECT run, uri, ?3, ?4 FROM forwards WHERE run = ?1 AND uri = ?2",
            &[&number, &uri, &path, &object],
        )?;
        Ok(())
    }

    /// Forgets what was sent of a run: the server has lost it.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn forget_forwarded(&self, uri: &str, number: i64) -> Result<(), Error> {
        self.execute(
            "DELETE FROM forwards WHERE run = ?1 AND uri = ?2",
            &[&number, &uri],
        )?;
        Ok(())
    }
}

//! The database of runs, `.cvops/tracking.db`: tables, opening, and what is common to reading and
//! writing. Imports: base, project, run, owner, rusqlite.
//!
//! **Tables.** A run has a number (its rowid: children refer to it, and it tells the order in which
//! runs began) and an id (what the outside sees). `metrics` holds the last value of each metric of
//! a run, `points` the history of those that come value by value. SQLite has no NaN and keeps NULL
//! instead; infinities it keeps. Locks stand apart and once each: most runs of a sweep of unchanged
//! stages end with a lock seen before. So do `curves`, the histories that come whole, each under the
//! hash of its points (`curve.rs` has the form): the files of unchanged stages are read at the end of
//! every run and hold the same curves. Databases of the first schema have curves among `points`.
//! `lifecycle_stage` is MLflow's soft delete; nothing here sets it yet, and deleted runs are not
//! shown.
//!
//! **Writers and readers.** WAL: a reader never waits, and sees whole transactions only. Writers
//! wait for each other (up to the busy timeout of `base::db`). Everything about a run is written in
//! few transactions; only the last one is forced to disk, so that a power loss may leave a run
//! without its middle, never a finished one unfinished.

mod curve;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::path::PathBuf;

use rusqlite::Connection;

use crate::base::clock::Timestamp;
use crate::base::{self, db, fs};
use crate::project::Layout;

use super::error::Error;

pub use read::{Filter, Order};

const MIGRATIONS: &[&str] = &[FIRST, CURVES];

const FIRST: &str = "
    CREATE TABLE experiments (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        lifecycle_stage TEXT NOT NULL DEFAULT 'active',
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL
    );
    INSERT INTO experiments (id, name, created_ms, updated_ms) VALUES (0, 'Default', 0, 0);
    CREATE TABLE locks (
        id INTEGER PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        text TEXT NOT NULL
    );
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        experiment INTEGER NOT NULL REFERENCES experiments (id),
        name TEXT NOT NULL,
        parent TEXT,
        status TEXT NOT NULL,
        lifecycle_stage TEXT NOT NULL DEFAULT 'active',
        deleted_ms INTEGER,
        started_ms INTEGER NOT NULL,
        ended_ms INTEGER,
        command TEXT NOT NULL,
        targets TEXT NOT NULL,
        git_commit TEXT,
        git_branch TEXT,
        git_dirty INTEGER,
        owner TEXT,
        lock INTEGER REFERENCES locks (id)
    );
    CREATE INDEX runs_by_name ON runs (name);
    CREATE INDEX runs_by_experiment ON runs (experiment, number);
    CREATE INDEX runs_by_parent ON runs (parent, number) WHERE parent IS NOT NULL;
    CREATE INDEX runs_by_lock ON runs (lock) WHERE lock IS NOT NULL;
    CREATE INDEX runs_going_on ON runs (status) WHERE status = 'RUNNING';
    CREATE TABLE params (
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        file TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (run, file, key)
    ) WITHOUT ROWID;
    CREATE TABLE metrics (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        file TEXT NOT NULL,
        key TEXT NOT NULL,
        value REAL,
        step INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        UNIQUE (run, file, key)
    );
    CREATE TABLE points (
        metric INTEGER NOT NULL REFERENCES metrics (id) ON DELETE CASCADE,
        step INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        value REAL
    );
    CREATE INDEX points_of_metric ON points (metric, step);
    CREATE TABLE tags (
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (run, key)
    ) WITHOUT ROWID;
    CREATE TABLE artifacts (
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        path TEXT NOT NULL,
        object TEXT NOT NULL,
        size INTEGER NOT NULL,
        files INTEGER,
        stage TEXT NOT NULL,
        PRIMARY KEY (run, path)
    ) WITHOUT ROWID;
    CREATE TABLE stages (
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        name TEXT NOT NULL,
        place INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        took_ms INTEGER NOT NULL,
        message TEXT,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;
";

const CURVES: &str = "
    CREATE TABLE curves (
        id INTEGER PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        points BLOB NOT NULL
    );
    ALTER TABLE metrics ADD COLUMN curve INTEGER REFERENCES curves (id);
    CREATE INDEX metrics_by_curve ON metrics (curve) WHERE curve IS NOT NULL;
";

/// The record of a project's runs.
#[derive(Debug)]
pub struct Tracking {
    db: Connection,
    path: PathBuf,
}

impl Tracking {
    /// Opens the record, creating it if there is none.
    ///
    /// # Errors
    /// The database is damaged, was written by a newer version, or cannot be created.
    pub fn open(layout: &Layout) -> Result<Self, Error> {
        let path = layout.tracking_db();
        let dir = layout.state_dir();
        if !dir.is_dir() {
            fs::create_dir_all(dir).map_err(base::Error::io("create folder", dir))?;
        }
        let db = db::open(&path, MIGRATIONS).map_err(Error::Database)?;
        let this = Self { db, path };
        this.db
            .pragma_update(None, "foreign_keys", true)
            .map_err(|source| this.failed(source))?;
        Ok(this)
    }

    /// Opens the record if there is one; creates nothing.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_existing(layout: &Layout) -> Result<Option<Self>, Error> {
        if layout.tracking_db().exists() {
            Self::open(layout).map(Some)
        } else {
            Ok(None)
        }
    }

    fn failed(&self, source: rusqlite::Error) -> Error {
        failed(&self.path, source)
    }
}

fn failed(path: &std::path::Path, source: rusqlite::Error) -> Error {
    Error::Database(base::Error::Database {
        path: path.to_owned(),
        source,
    })
}

/// Returns the time of a column of milliseconds.
fn time(ms: i64) -> Result<Timestamp, Error> {
    Timestamp::from_millisecond(ms).map_err(|_| Error::BadRecord {
        what: format!("the time {ms} ms"),
    })
}

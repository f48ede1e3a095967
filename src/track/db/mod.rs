//! The database of runs, `.cvops/tracking.db`: opening, readers, writers. `schema` has the tables.
//! Imports: base, project, entity, run, owner, rusqlite.
//!
//! **Writers and readers.** WAL: a reader never waits, and sees whole transactions only. Writers
//! wait for each other (up to the busy timeout of `base::db`). What can be asked is a method of
//! `Reader`, what can be changed a method of `Writing`, which exists only inside a transaction.
//! `Tracking` is the record for one thread: a command, a repro. Its commits survive the death of
//! the process; only the one that ends a run is forced to disk, so that a power loss may leave a run
//! without its middle, never a finished one unfinished. `Shared` is the record for a server: one
//! thread writes, many changes in one commit, and each is on disk when its writer is told.

mod catalogue;
#[cfg(test)]
mod client_tests;
mod curve;
mod detail;
mod experiments;
mod export;
mod files;
mod forwards;
mod import;
mod listed;
mod log;
mod logged_models;
mod mlflow_sqlite;
mod parents;
mod promote;
mod purge;
mod read;
mod records;
mod registry;
#[cfg(test)]
mod registry_tests;
mod schema;
mod search;
mod series;
mod shared;
mod stages;
#[cfg(test)]
mod tests;
mod users;
mod versions;
#[cfg(test)]
mod versions_tests;
mod write;

use std::ops::{ControlFlow, Deref};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row, ToSql, TransactionBehavior};

use crate::base::clock::Timestamp;
use crate::base::{self, db, fs};
use crate::project::Layout;

use super::error::Error;

pub use catalogue::{Catalogue, ColumnInfo, ExperimentCounts};
pub use detail::{Part, RunDetail};
pub use export::{Histories, Names};
pub use forwards::{Forwarded, MetricMark, Span, Waiting};
pub use import::{Put, PutModel};
pub use log::{LoggedBatch, LoggedPoint, token_behind};
pub use logged_models::NewLoggedModel;
pub use mlflow_sqlite::{is_sqlite, read as read_mlflow};
pub use parents::ParentRun;
pub use promote::{Promote, Promoted, Withdraw};
pub use purge::{DeletedRun, Keep, Purge, Purged, Shrunk};
pub use read::{Filter, Order};
pub use records::{NewRecord, RunChange};
pub use series::{PointsLeft, SeriesQuery};
pub use shared::Shared;
pub use stages::StageRun;
pub use users::{
    Account, BadRole, BadUserName, Bearer, PasswordHash, Role, TOKEN_DIGITS_MIN, Token, User,
    UserName,
};
pub use versions::NewVersion;

/// The record of a project's runs, for one thread.
#[derive(Debug)]
pub struct Tracking {
    db: Connection,
    path: PathBuf,
}

/// What can be asked of the record; what it answers is of one moment if it is part of a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    db: &'a Connection,
    path: &'a Path,
}

/// A transaction: what can be changed, and what can be asked meanwhile.
#[derive(Debug)]
pub struct Writing<'a>(Reader<'a>);

impl<'a> Deref for Writing<'a> {
    type Target = Reader<'a>;

    fn deref(&self) -> &Reader<'a> {
        &self.0
    }
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
        Self::open_at(path)
    }

    /// Opens the record if there is one; creates nothing. Where it may not be written it can be read
    /// all the same, as long as nobody else writes it.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_existing(layout: &Layout) -> Result<Option<Self>, Error> {
        let path = layout.tracking_db();
        if !path.exists() {
            return Ok(None);
        }
        let error = match Self::open(layout) {
            Ok(record) => return Ok(Some(record)),
            Err(error) => error,
        };
        if let Error::Database(why) = &error
            && db::trouble(why) == Some(db::Trouble::NotWritable)
            && let Ok(Some(db)) = db::open_still(&path, schema::MIGRATIONS)
        {
            return Self::with(db, path).map(Some);
        }
        Err(error)
    }

    fn open_at(path: PathBuf) -> Result<Self, Error> {
        let db = db::open(&path, schema::MIGRATIONS, db::Backup::First).map_err(Error::Database)?;
        Self::with(db, path)
    }

    fn with(db: Connection, path: PathBuf) -> Result<Self, Error> {
        let set = || -> rusqlite::Result<()> {
            db.pragma_update(None, "foreign_keys", true)?;
            // As MLflow does on SQLite; `ILIKE` compares folded texts.
            db.pragma_update(None, "case_sensitive_like", true)?;
            db.set_prepared_statement_cache_capacity(STATEMENTS);
            Ok(())
        };
        set().map_err(|source| failed(&path, source))?;
        Ok(Self { db, path })
    }

    /// Asks.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            db: &self.db,
            path: &self.path,
        }
    }

    /// Changes, all or nothing.
    ///
    /// # Errors
    /// What `work` says, or the database cannot be written.
    pub fn change<T>(
        &mut self,
        work: impl FnOnce(&Writing<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let path = &self.path;
        let fail = |source| failed(path, source);
        // Taking the write lock at once: a transaction that reads first can find the database
        // changed when it comes to write, and no waiting would help it.
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(fail)?;
        let result = work(&Writing(Reader { db: &tx, path }))?;
        tx.commit().map_err(fail)?;
        Ok(result)
    }
}

/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 128;

impl Reader<'_> {
    fn failed(&self, source: rusqlite::Error) -> Error {
        failed(self.path, source)
    }

    /// Reads all rows of a statement that is asked again and again.
    fn rows<T>(
        &self,
        sql: &str,
        values: &[&dyn ToSql],
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let work = || -> rusqlite::Result<Vec<T>> {
            let mut statement = self.db.prepare_cached(sql)?;
            statement.query_map(values, read)?.collect()
        };
        work().map_err(|e| self.failed(e))
    }

    /// Hands rows to `read`, one after the other, until it breaks off.
    fn each(
        &self,
        sql: &str,
        values: &[&dyn ToSql],
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> Result<(), Error> {
        let mut work = || -> rusqlite::Result<()> {
            let mut statement = self.db.prepare_cached(sql)?;
            let mut rows = statement.query(values)?;
            while let Some(row) = rows.next()? {
                if read(row)?.is_break() {
                    break;
                }
            }
            Ok(())
        };
        work().map_err(|e| self.failed(e))
    }

    /// Reads the first row, if there is one.
    fn row<T>(
        &self,
        sql: &str,
        values: &[&dyn ToSql],
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        let work = || -> rusqlite::Result<Option<T>> {
            let mut statement = self.db.prepare_cached(sql)?;
            let mut rows = statement.query(values)?;
            rows.next()?.map(read).transpose()
        };
        work().map_err(|e| self.failed(e))
    }
}

impl Writing<'_> {
    /// Runs a statement; returns how many rows it changed.
    fn execute(&self, sql: &str, values: &[&dyn ToSql]) -> Result<usize, Error> {
        let work = || self.db.prepare_cached(sql)?.execute(values);
        work().map_err(|e| self.failed(e))
    }
}

fn failed(path: &Path, source: rusqlite::Error) -> Error {
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

/// Returns what is kept of a number: nothing for NaN, which SQLite does not have.
fn kept(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

/// Returns a count or a size as SQLite keeps it.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

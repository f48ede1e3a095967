//! Opens SQLite databases: WAL, a busy timeout, forward-only migrations by `user_version`.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::Error;

/// How long a statement waits for another process's write before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens (or creates) the database at `path` and applies the `migrations` it has not seen yet.
///
/// # Errors
/// The file cannot be opened, is no database, or was written by a newer version.
pub fn open(path: &Path, migrations: &[&str]) -> Result<Connection, Error> {
    let fail = |source| Error::Database {
        path: path.to_owned(),
        source,
    };
    let mut db = Connection::open(path).map_err(fail)?;
    db.busy_timeout(BUSY_TIMEOUT).map_err(fail)?;
    let seen: u32 = db
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(fail)?;
    let newest = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if newest < seen {
        return Err(Error::NewerDatabase {
            path: path.to_owned(),
            schema: seen,
        });
    }
    if seen < newest {
        db.pragma_update(None, "journal_mode", "WAL")
            .map_err(fail)?;
        let tx = db
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(fail)?;
        // Another process may have migrated while this one waited for the write lock.
        let seen: u32 = tx
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(fail)?;
        for migration in migrations.iter().skip(seen as usize) {
            tx.execute_batch(migration).map_err(fail)?;
        }
        tx.pragma_update(None, "user_version", newest.max(seen))
            .map_err(fail)?;
        tx.commit().map_err(fail)?;
    }
    // NORMAL loses no committed data on a process kill, only possibly on power loss; what needs
    // more than that asks for it.
    db.pragma_update(None, "synchronous", "NORMAL")
        .map_err(fail)?;
    Ok(db)
}

/// Looks through the database at `path` for damage, without writing to it; returns what is wrong,
/// nothing if all is well. Reads the whole file.
///
/// # Errors
/// It cannot be opened, or is no database.
pub fn quick_check(path: &Path) -> Result<Vec<String>, Error> {
    let fail = |source| Error::Database {
        path: path.to_owned(),
        source,
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(fail)?;
    db.busy_timeout(BUSY_TIMEOUT).map_err(fail)?;
    let mut statement = db.prepare("PRAGMA quick_check").map_err(fail)?;
    let rows = statement.query_map([], |row| row.get(0)).map_err(fail)?;
    let mut found: Vec<String> = rows.collect::<Result<_, _>>().map_err(fail)?;
    found.retain(|line| line != "ok");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_found_without_writing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        assert!(quick_check(&path).is_err() && !path.exists());
        let db = open(&path, &["CREATE TABLE t (x); INSERT INTO t VALUES (1);"]).unwrap();
        assert_eq!(quick_check(&path).unwrap(), Vec::<String>::new());
        drop(db);
        crate::base::fs::write_atomic(&path, b"no database, but long enough to be one").unwrap();
        assert!(quick_check(&path).is_err());
    }
}

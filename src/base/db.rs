//! Opens SQLite databases: WAL, a busy timeout, forward-only migrations by `user_version`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::Error;
use super::fs;

/// How long a statement waits for another process's write before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What becomes of a database before it is migrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backup {
    /// It is copied to `<path>.v<schema>`, which stays.
    First,
    /// Nothing: it can be made anew.
    None,
}

/// Opens (or creates) the database at `path` and applies the `migrations` it has not seen yet.
///
/// # Errors
/// The file cannot be opened, is no database, or was written by a newer version.
pub fn open(path: &Path, migrations: &[&str], backup: Backup) -> Result<Connection, Error> {
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
        if 0 < seen && seen < newest && backup == Backup::First {
            back_up(path, seen)?;
        }
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

/// Opens the database at `path` to read it where nobody may write, not even the index that readers
/// share; returns nothing if a log holds changes that only a writer could bring into it, or if the
/// schema is another than that of the `migrations`.
///
/// # Errors
/// The file cannot be opened, or is no database.
pub fn open_still(path: &Path, migrations: &[&str]) -> Result<Option<Connection>, Error> {
    let fail = |source| Error::Database {
        path: path.to_owned(),
        source,
    };
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let pending = std::fs::metadata(log).is_ok_and(|log| log.len() != 0);
    let Some(name) = path.to_str().filter(|_| !pending) else {
        return Ok(None);
    };
    // What ends a path in a URI of SQLite.
    let name = name
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let db = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags);
    let db = db.map_err(fail)?;
    let seen: usize = db
        .query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0))
        .map_err(fail)? as usize;
    Ok((seen == migrations.len()).then_some(db))
}

/// Copies the database at `path`, whose schema is number `schema`, beside it. Called while the writer's
/// lock is held: a connection of its own reads what was committed before.
fn back_up(path: &Path, schema: u32) -> Result<(), Error> {
    let fail = |source| Error::Database {
        path: path.to_owned(),
        source,
    };
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{schema}"));
    let copy = PathBuf::from(name);
    if copy.exists() {
        // An earlier attempt ended before its migration did; its copy may be half of one.
        fs::remove_file(&copy).map_err(Error::io("remove", &copy))?;
    }
    let reader =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(fail)?;
    reader.busy_timeout(BUSY_TIMEOUT).map_err(fail)?;
    let copied = reader.execute("VACUUM INTO ?1", [copy.to_string_lossy().as_ref()]);
    copied.map(drop).map_err(fail)
}

/// What is wrong with a database that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Another process writes, and the wait for it was in vain.
    Busy,
    /// There is no space left.
    Full,
    /// File, folder or file system may not be written, or not even read.
    NotWritable,
    /// It is damaged, or no database at all.
    Damaged,
    /// Something else.
    Other,
}

/// Says what is wrong, if `error` is one of a database.
#[must_use]
pub fn trouble(error: &Error) -> Option<Trouble> {
    let Error::Database { source, .. } = error else {
        return None;
    };
    // The index of the log could not be made as large as it has to be.
    let extended = source.sqlite_error().map(|error| error.extended_code);
    if extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) {
        return Some(Trouble::Full);
    }
    Some(match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Busy,
        Some(ErrorCode::DiskFull) => Trouble::Full,
        // Beside the file SQLite writes a log: a folder that may not be written is not opened.
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            Trouble::NotWritable
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Damaged,
        _ => Trouble::Other,
    })
}

/// Returns the next step where a database is in trouble, if there is a plain one.
#[must_use]
pub fn trouble_help(trouble: Trouble) -> Option<&'static str> {
    match trouble {
        Trouble::Busy => Some(
            "another process is writing to it and did not finish in time: wait for it, then run the same command again",
        ),
        Trouble::Full => Some(
            "free some space on this file system, then run the same command again; nothing was lost",
        ),
        Trouble::NotWritable => Some(
            "give yourself permission to read and write the file and its folder (`ls -ld` shows owner and mode): SQLite keeps a log beside the file",
        ),
        Trouble::Damaged | Trouble::Other => None,
    }
}

/// Returns the newest of the copies that migrations left beside the database at `path`.
#[must_use]
pub fn newest_copy(path: &Path) -> Option<PathBuf> {
    let prefix = format!("{}.v", path.file_name()?.to_str()?);
    let names = std::fs::read_dir(path.parent()?).ok()?.flatten();
    let schemas = names.filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.strip_prefix(&prefix)?.parse::<u32>().ok()
    });
    let newest = schemas.max()?;
    Some(path.with_file_name(format!("{prefix}{newest}")))
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
    fn a_database_at_rest_is_read_without_writing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a?b#c%20.db");
        let migrations = ["CREATE TABLE t (x); INSERT INTO t VALUES (1);"];
        let db = open(&path, &migrations, Backup::None).unwrap();
        assert!(open_still(&path, &migrations).unwrap().is_none());
        drop(db);
        let still = open_still(&path, &migrations).unwrap().unwrap();
        let x: i64 = still
            .query_row("SELECT x FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!((x, std::fs::read_dir(dir.path()).unwrap().count()), (1, 1));
        assert!(still.execute("DELETE FROM t", []).is_err());
        assert!(open_still(&path, &[]).unwrap().is_none());
    }

    #[test]
    fn damage_is_found_without_writing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        assert!(quick_check(&path).is_err() && !path.exists());
        let db = open(
            &path,
            &["CREATE TABLE t (x); INSERT INTO t VALUES (1);"],
            Backup::None,
        )
        .unwrap();
        assert_eq!(quick_check(&path).unwrap(), Vec::<String>::new());
        drop(db);
        crate::base::fs::write_atomic(&path, b"no database, but long enough to be one").unwrap();
        assert!(quick_check(&path).is_err());
    }

    #[test]
    fn troubles_of_a_database_are_told_apart() {
        let error = |code| Error::Database {
            path: "x".into(),
            source: rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None),
        };
        for (code, expected) in [
            (rusqlite::ffi::SQLITE_BUSY, Trouble::Busy),
            (rusqlite::ffi::SQLITE_FULL, Trouble::Full),
            (rusqlite::ffi::SQLITE_READONLY, Trouble::NotWritable),
            (rusqlite::ffi::SQLITE_CORRUPT, Trouble::Damaged),
            (rusqlite::ffi::SQLITE_NOTADB, Trouble::Damaged),
            (rusqlite::ffi::SQLITE_MISUSE, Trouble::Other),
        ] {
            assert_eq!(trouble(&error(code)), Some(expected));
        }
    }
}

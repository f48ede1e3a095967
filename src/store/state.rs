//! The stat cache: which hash belongs to which stat, so that an unchanged file is never read twice.
//! Imports: `base`, `store::{members, stat}`, rusqlite.
//!
//! **Tables of `.cvops/state.db`.** `files`: one row per path that was asked for by name. `trees`:
//! one row per folder: a fingerprint over the paths and stats of all its files, and the tree it
//! gave; an unchanged folder of 5,000 files costs 5,000 stats and this row. `members`: the hashes of
//! a folder's files in one blob, read only when the fingerprint differs, so that then only the
//! files that changed are hashed. `files` and `trees` are loaded in one go on first use: there is no
//! SQL per path.
//!
//! **It may be wrong about nothing.** A row is a claim "this stat had this hash", checked against
//! the stat of now, and only settled stats get in (`store::stat`). So it may be deleted, restored
//! from a backup, or written by two processes at once (the later row wins; both are true). A
//! damaged file is moved to `state.db.damaged` and built anew. Where it cannot be opened (read-only
//! folder, newer version, full disk), a warning is logged and this process remembers in memory.
//! Nothing is written before `flush`, which is one transaction: killed at any instant, the old rows
//! or the new ones are there. Losing rows costs time, never correctness, so `flush` cannot fail.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use crate::base::fs::fault;
use crate::base::hash::HashAlgo;
use crate::base::{self, ContentHash, db, fs};

use super::members::Members;
use super::stat::Stat;

const MIGRATIONS: &[&str] = &["
    CREATE TABLE files (path TEXT PRIMARY KEY, stat BLOB NOT NULL, hash BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE trees (path TEXT PRIMARY KEY, fingerprint BLOB NOT NULL, tree BLOB NOT NULL,
                        size INTEGER NOT NULL, files INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE members (path TEXT PRIMARY KEY, entries BLOB NOT NULL);
"];

/// What is remembered of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TreeRow {
    pub(crate) fingerprint: ContentHash,
    /// Hash of the listing.
    pub(crate) tree: ContentHash,
    /// Bytes of all files.
    pub(crate) size: u64,
    /// Number of files.
    pub(crate) files: u64,
}

/// The stat cache of one project.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    rows: Mutex<Rows>,
}

#[derive(Debug)]
struct Rows {
    algo: HashAlgo,
    loaded: bool,
    db: Option<Connection>,
    files: BTreeMap<String, (Stat, ContentHash)>,
    trees: BTreeMap<String, TreeRow>,
    /// Members recorded by this process; the others are in the database.
    members: BTreeMap<String, Arc<Members>>,
    /// Paths whose rows differ from the database's.
    changed: BTreeSet<String>,
}

impl State {
    /// Returns the stat cache kept at `path`, of hashes by `algo`; touches no file.
    pub(crate) fn new(path: PathBuf, algo: HashAlgo) -> Self {
        Self {
            path,
            rows: Mutex::new(Rows::new(algo)),
        }
    }

    /// Returns the hash of the file at `path`, if it was recorded with this stat.
    pub(crate) fn file(&self, path: &str, stat: &Stat) -> Option<ContentHash> {
        let rows = self.loaded();
        rows.files
            .get(path)
            .filter(|(known, _)| known == stat)
            .map(|(_, hash)| *hash)
    }

    /// Returns the row of the folder at `path`, if it was recorded with this fingerprint.
    pub(crate) fn tree(&self, path: &str, fingerprint: &ContentHash) -> Option<TreeRow> {
        let rows = self.loaded();
        rows.trees
            .get(path)
            .filter(|row| row.fingerprint == *fingerprint)
            .copied()
    }

    /// Returns the last row of the folder at `path`, whatever is there now.
    pub(crate) fn last_tree(&self, path: &str) -> Option<TreeRow> {
        self.loaded().trees.get(path).copied()
    }

    /// Returns what is known of files below the folder `path`: from its own row, and from rows of
    /// folders around and below it, since stages may depend on a folder and on a part of it.
    pub(crate) fn members(&self, path: &str) -> Arc<Members> {
        let mut rows = self.loaded();
        let inside = format!("{path}/");
        let mut known = BTreeMap::new();
        let related: Vec<String> = rows
            .trees
            .keys()
            .filter(|other| {
                other.starts_with(&inside)
                    || path
                        .strip_prefix(other.as_str())
                        .is_some_and(|r| r.starts_with('/'))
            })
            .cloned()
            .collect();
        for other in related {
            for (relative, entry) in rows.members(&self.path, &other).iter() {
                let full = format!("{other}/{relative}");
                if let Some(relative) = full.strip_prefix(&inside) {
                    known.insert(relative.to_owned(), entry);
                }
            }
        }
        for (full, entry) in rows.files.range(inside.clone()..) {
            let Some(relative) = full.strip_prefix(&inside) else {
                break;
            };
            known.insert(relative.to_owned(), *entry);
        }
        let own = rows.members(&self.path, path);
        if known.is_empty() {
            return own;
        }
        known.extend(own.iter().map(|(path, entry)| (path.to_owned(), entry)));
        let mut all = Members::new(rows.algo);
        for (path, (stat, hash)) in &known {
            all.push(path, *stat, *hash);
        }
        Arc::new(all)
    }

    /// Remembers a file; the caller has checked that `stat` is settled.
    pub(crate) fn record_file(&self, path: &str, stat: Stat, hash: ContentHash) {
        let mut rows = self.loaded();
        rows.forget(path);
        rows.files.insert(path.to_owned(), (stat, hash));
        rows.changed.insert(path.to_owned());
    }

    /// Remembers the settled `members` of a folder, and the folder itself if all of them are.
    pub(crate) fn record_tree(&self, path: &str, row: Option<TreeRow>, members: Members) {
        let mut rows = self.loaded();
        rows.forget(path);
        if let Some(row) = row {
            rows.trees.insert(path.to_owned(), row);
        }
        rows.members.insert(path.to_owned(), Arc::new(members));
        rows.changed.insert(path.to_owned());
    }

    /// Forgets a path that is gone.
    pub(crate) fn forget(&self, path: &str) {
        let mut rows = self.loaded();
        if rows.forget(path) {
            rows.changed.insert(path.to_owned());
        }
    }

    /// Writes what changed since the last call. Failing costs the next command some hashing, so it
    /// is logged and not returned.
    pub(crate) fn flush(&self) {
        let mut rows = self.lock();
        if rows.changed.is_empty() {
            return;
        }
        if let Err(error) = rows.write(&self.path) {
            tracing::warn!(%error, "the stat cache was not written; files will be hashed again");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loaded(&self) -> MutexGuard<'_, Rows> {
        let mut rows = self.lock();
        if !rows.loaded {
            rows.loaded = true;
            if let Err(error) = rows.load(&self.path) {
                tracing::warn!(%error, "the stat cache cannot be read; files will be hashed again");
                rows.db = None;
            }
        }
        rows
    }
}

impl Rows {
    fn new(algo: HashAlgo) -> Self {
        Self {
            algo,
            loaded: false,
            db: None,
            files: BTreeMap::new(),
            trees: BTreeMap::new(),
            members: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Drops the rows of `path` in memory; was there one?
    fn forget(&mut self, path: &str) -> bool {
        let file = self.files.remove(path).is_some();
        let tree = self.trees.remove(path).is_some();
        self.members.remove(path).is_some() || file || tree
    }

    fn load(&mut self, path: &Path) -> Result<(), base::Error> {
        if !path.exists() {
            return Ok(());
        }
        let loaded = match open(path) {
            Ok(db) => self.read(&db, path).map(|()| self.db = Some(db)),
            Err(error) => Err(error),
        };
        match loaded {
            Err(error) if is_damage(&error) => {
                tracing::warn!(%error, "the stat cache is damaged; it is moved aside and rebuilt");
                self.files.clear();
                self.trees.clear();
                move_aside(path)
            }
            other => other,
        }
    }

    fn read(&mut self, db: &Connection, path: &Path) -> Result<(), base::Error> {
        let fail = |source| base::Error::Database {
            path: path.to_owned(),
            source,
        };
        let mut statement = db
            .prepare("SELECT path, stat, hash FROM files")
            .map_err(fail)?;
        let mut rows = statement.query([]).map_err(fail)?;
        while let Some(row) = rows.next().map_err(fail)? {
            let path: String = row.get(0).map_err(fail)?;
            let stat = row
                .get_ref(1)
                .map_err(fail)?
                .as_blob()
                .ok()
                .and_then(Stat::from_bytes);
            if let (Some(stat), Some(hash)) = (stat, self.hash(row, 2).map_err(fail)?) {
                self.files.insert(path, (stat, hash));
            }
        }
        let select = "SELECT path, fingerprint, tree, size, files FROM trees";
        let mut statement = db.prepare(select).map_err(fail)?;
        let mut rows = statement.query([]).map_err(fail)?;
        while let Some(row) = rows.next().map_err(fail)? {
            let path: String = row.get(0).map_err(fail)?;
            let size: i64 = row.get(3).map_err(fail)?;
            let files: i64 = row.get(4).map_err(fail)?;
            let Some(tree) = self.hash(row, 2).map_err(fail)? else {
                continue;
            };
            let tree = TreeRow {
                fingerprint: ContentHash::Blake3(row.get(1).map_err(fail)?),
                tree,
                size: size.cast_unsigned(),
                files: files.cast_unsigned(),
            };
            self.trees.insert(path, tree);
        }
        Ok(())
    }

    /// Returns a hash of the project's algorithm; `None` for one of another: the folder was another
    /// kind of project when it was written.
    fn hash(
        &self,
        row: &rusqlite::Row<'_>,
        column: usize,
    ) -> rusqlite::Result<Option<ContentHash>> {
        let bytes = row.get_ref(column)?.as_blob()?;
        Ok(ContentHash::from_bytes(self.algo, bytes))
    }

    fn members(&mut self, db_path: &Path, path: &str) -> Arc<Members> {
        if let Some(members) = self.members.get(path) {
            return Arc::clone(members);
        }
        let none = || Arc::new(Members::new(self.algo));
        if self.changed.contains(path) {
            // Forgotten or replaced since the database was written.
            return none();
        }
        let Some(db) = &self.db else {
            return none();
        };
        let found: rusqlite::Result<Vec<u8>> = db
            .prepare_cached("SELECT entries FROM members WHERE path = ?1")
            .and_then(|mut s| s.query_row([path], |row| row.get(0)));
        match found {
            Ok(blob) => Arc::new(Members::from_bytes(self.algo, blob)),
            Err(rusqlite::Error::QueryReturnedNoRows) => none(),
            Err(error) => {
                tracing::warn!(%error, path = %db_path.display(), "the stat cache cannot be read");
                none()
            }
        }
    }

    fn write(&mut self, path: &Path) -> Result<(), base::Error> {
        fault::point("state.write").map_err(base::Error::io("write", path))?;
        let fail = |source| base::Error::Database {
            path: path.to_owned(),
            source,
        };
        let mut db = match self.db.take() {
            Some(db) => db,
            None => {
                let dir = path.parent().unwrap_or(path);
                fs::create_dir_all(dir).map_err(base::Error::io("create folder", dir))?;
                db::open(path, MIGRATIONS, db::Backup::None)?
            }
        };
        let tx = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(fail)?;
        let write = || -> rusqlite::Result<()> {
            let mut drop_file = tx.prepare("DELETE FROM files WHERE path = ?1")?;
            let mut drop_tree = tx.prepare("DELETE FROM trees WHERE path = ?1")?;
            let mut drop_members = tx.prepare("DELETE FROM members WHERE path = ?1")?;
            let mut file = tx.prepare("INSERT OR REPLACE INTO files VALUES (?1, ?2, ?3)")?;
            let mut tree =
                tx.prepare("INSERT OR REPLACE INTO trees VALUES (?1, ?2, ?3, ?4, ?5)")?;
            let mut members = tx.prepare("INSERT OR REPLACE INTO members VALUES (?1, ?2)")?;
            for path in &self.changed {
                if let Some((stat, hash)) = self.files.get(path) {
                    file.execute(params![path, stat.to_bytes(), hash.as_bytes()])?;
                } else {
                    drop_file.execute([path])?;
                }
                if let Some(row) = self.trees.get(path) {
                    let (size, files) = (row.size.cast_signed(), row.files.cast_signed());
                    let (fingerprint, hash) = (row.fingerprint.as_bytes(), row.tree.as_bytes());
                    tree.execute(params![path, fingerprint, hash, size, files])?;
                } else {
                    drop_tree.execute([path])?;
                }
                if let Some(entries) = self.members.get(path) {
                    members.execute(params![path, entries.as_bytes()])?;
                } else {
                    drop_members.execute([path])?;
                }
            }
            Ok(())
        };
        write().map_err(fail)?;
        tx.commit().map_err(fail)?;
        self.changed.clear();
        self.db = Some(db);
        Ok(())
    }
}

/// Opens the database; in a folder that cannot be written, as it is and for reading only.
fn open(path: &Path) -> Result<Connection, base::Error> {
    let error = match db::open(path, MIGRATIONS, db::Backup::None) {
        Ok(db) => return Ok(db),
        Err(error) => error,
    };
    let read_only = matches!(
        &error,
        base::Error::Database { source, .. } if matches!(
            source.sqlite_error_code(),
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
        )
    );
    // A `?`, `#` or `%` in the path would end or change the address.
    let text = path
        .to_str()
        .filter(|text| read_only && !text.contains(['?', '#', '%']));
    let Some(text) = text else { return Err(error) };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{text}?immutable=1"), flags).map_err(|_| error)
}

fn is_damage(error: &base::Error) -> bool {
    let base::Error::Database { source, .. } = error else {
        return false;
    };
    matches!(
        source.sqlite_error_code(),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
    ) || matches!(
        source,
        // Right file, wrong tables or types: not written by this program.
        rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error {
                    code: ErrorCode::Unknown,
                    ..
                },
                _
            )
    )
}

fn move_aside(path: &Path) -> Result<(), base::Error> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    fs::rename(path, &beside(".damaged")).map_err(base::Error::io("move aside", path))?;
    for suffix in ["-wal", "-shm"] {
        let journal = beside(suffix);
        fs::remove_file(&journal).map_err(base::Error::io("remove", &journal))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(n: u64) -> Stat {
        Stat {
            size: n,
            mtime_ns: 7,
            ctime_ns: 8,
            inode: 9,
        }
    }

    fn hash(text: &str) -> ContentHash {
        ContentHash::of(text.as_bytes())
    }

    fn members(files: &[(&str, Stat, &str)]) -> Members {
        let mut members = Members::new(HashAlgo::Blake3);
        for (path, stat, text) in files {
            members.push(path, *stat, hash(text));
        }
        members
    }

    fn row(text: &str) -> TreeRow {
        TreeRow {
            fingerprint: hash(text),
            tree: hash("tree"),
            size: 5,
            files: 2,
        }
    }

    #[test]
    fn rows_survive_the_process_and_match_only_their_stat() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("state.db");
        let state = State::new(path.clone(), HashAlgo::Blake3);
        state.record_file("a", stat(1), hash("a"));
        let known = members(&[("x", stat(2), "x")]);
        state.record_tree("d", Some(row("f")), known.clone());
        state.record_file("gone", stat(3), hash("g"));
        state.forget("gone");
        state.flush();

        let state = State::new(path.clone(), HashAlgo::Blake3);
        assert_eq!(state.file("a", &stat(1)), Some(hash("a")));
        assert_eq!(state.file("a", &stat(2)), None);
        assert_eq!(state.file("gone", &stat(3)), None);
        assert_eq!(state.tree("d", &hash("f")), Some(row("f")));
        assert_eq!(state.tree("d", &hash("g")), None);
        assert_eq!(*state.members("d"), known);
        assert_eq!(*state.members("d/sub"), members(&[]));
        // A folder becomes a file: its rows go.
        state.record_file("d", stat(1), hash("d"));
        assert_eq!(*state.members("d"), members(&[]));
        state.flush();
        let state = State::new(path, HashAlgo::Blake3);
        assert_eq!(state.tree("d", &hash("f")), None);
        assert_eq!(*state.members("d"), members(&[]));
    }

    #[test]
    fn overlapping_folders_share_what_is_known() {
        let tmp = tempfile::tempdir().unwrap();
        let state = State::new(tmp.path().join("state.db"), HashAlgo::Blake3);
        state.record_tree(
            "data",
            Some(row("f")),
            members(&[("train/x", stat(2), "x")]),
        );
        state.record_file("data/test/y", stat(1), hash("y"));
        assert_eq!(
            *state.members("data/train"),
            members(&[("x", stat(2), "x")])
        );
        assert_eq!(*state.members("data/test"), members(&[("y", stat(1), "y")]));
    }

    #[test]
    fn a_damaged_database_is_moved_aside_and_rebuilt() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("state.db");
        fs::write_atomic(&path, &[b'x'; 5000]).unwrap();
        let state = State::new(path.clone(), HashAlgo::Blake3);
        assert_eq!(state.file("a", &stat(1)), None);
        state.record_file("a", stat(1), hash("a"));
        state.flush();
        assert!(tmp.path().join("state.db.damaged").is_file());
        assert_eq!(
            State::new(path, HashAlgo::Blake3).file("a", &stat(1)),
            Some(hash("a"))
        );
    }
}

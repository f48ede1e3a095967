//! DVC's locks, so that `dvc` and cvops can work in one repository by turns and at the same time.
//! Imports: `base`, `project::{error, hardlink_lock, layout, locks}`.
//!
//! **The repository lock** is a `flock` on `.dvc/tmp/lock`, which holds the pid of its last owner
//! (zc.lockfile). DVC holds it through a whole command, but not while a stage's command runs; and
//! gives up after three seconds of waiting for it. So whoever holds it here lets it go as soon as it
//! can: `RepoLock::release` before a stage's command, `RepoLock::again` after it.
//!
//! **The path locks** are entries in `.dvc/tmp/rwlock`, one JSON document `{"read": {path: [{pid,
//! cmd}]}, "write": {path: {pid, cmd}}}`, read and replaced under a `flock` on `rwlock.lock`. Nobody
//! writes what somebody reads or writes, or what lies above or below it. Entries of dead processes
//! count for nothing and are taken out by whoever meets them.
//!
//! Where `core.hardlink_lock` is set, both files are locks of another kind (`hardlink_lock`).
//!
//! In a project without such locks (`Layout::dvc_locks` is `None`) both are there and lock nothing,
//! so that the engine need not ask.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::base::fs::fault;
use crate::base::{self, Cancel, fs};

use super::error::Error;
use super::hardlink_lock::{HardlinkLock, pid_of};
use super::layout::{Layout, LockKind};
use super::locks::{Access, Holder, Wait, is_alive, try_lock};

/// How often a waiter looks again.
const POLL: Duration = Duration::from_millis(50);
/// How often a waiter is told that it still waits.
const REMIND: Duration = Duration::from_secs(5);
/// How long the end of a guard may wait to take its entries out; who dies leaves them, too.
const RELEASE_MAX: Duration = Duration::from_secs(10);
/// Longest command line that is shown.
const COMMAND_BYTES_MAX: usize = 4096;

/// DVC's lock of the whole repository, released when dropped.
#[derive(Debug)]
pub struct RepoLock {
    path: Option<PathBuf>,
    kind: LockKind,
    held: Option<Held>,
}

impl RepoLock {
    /// Takes the lock, waiting as long as it takes; `on_wait` is told for whom.
    ///
    /// # Errors
    /// Cancelled, or the lock file cannot be created.
    pub fn acquire(
        layout: &Layout,
        cancel: &Cancel,
        on_wait: &dyn Fn(&Wait),
    ) -> Result<Self, Error> {
        let dir = layout.dvc_locks();
        let mut lock = Self {
            path: dir.as_ref().map(|dir| dir.join("lock")),
            kind: layout.dvc_lock_kind(),
            held: None,
        };
        if let Some(dir) = dir {
            fs::create_dir_all(&dir).map_err(base::Error::io("create folder", &dir))?;
        }
        lock.again(cancel, on_wait)?;
        Ok(lock)
    }

    /// Lets the lock go, to take it `again` later: while a stage's command runs.
    pub fn release(&mut self) {
        self.held = None;
    }

    /// Takes the lock again; nothing to do where it is held.
    ///
    /// # Errors
    /// As `acquire`.
    pub fn again(&mut self, cancel: &Cancel, on_wait: &dyn Fn(&Wait)) -> Result<(), Error> {
        if let (Some(path), None) = (&self.path, &self.held) {
            self.held = Some(take(path, self.kind, cancel, on_wait)?);
        }
        Ok(())
    }
}

/// The path locks of one command. Its workers share it: what two of them read is let go by the last.
#[derive(Debug)]
pub struct PathLocks {
    dir: Option<PathBuf>,
    kind: LockKind,
    me: Info,
    /// How many guards of this process hold a path.
    held: Mutex<BTreeMap<(Mode, String), usize>>,
    turn: Mutex<()>,
}

/// Paths that are locked until this is dropped.
#[derive(Debug)]
pub struct RwGuard<'l> {
    locks: &'l PathLocks,
    wanted: Vec<(Mode, String)>,
    has_waited: bool,
}

impl RwGuard<'_> {
    /// Did somebody else have one of the paths, and may have changed what lies there?
    #[must_use]
    pub fn has_waited(&self) -> bool {
        self.has_waited
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    Read,
    Write,
}

/// Who holds a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Info {
    pid: u32,
    cmd: String,
}

/// The document.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Table {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    write: BTreeMap<String, Info>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    read: BTreeMap<String, Vec<Info>>,
}

impl PathLocks {
    /// Returns the path locks for a command, as typed; takes none.
    #[must_use]
    pub fn new(layout: &Layout, command: &str) -> Self {
        Self {
            dir: layout.dvc_locks(),
            kind: layout.dvc_lock_kind(),
            me: Info {
                pid: std::process::id(),
                cmd: command.to_owned(),
            },
            held: Mutex::default(),
            turn: Mutex::default(),
        }
    }

    /// Locks absolute paths, waiting as long as it takes; `on_wait` is told for whom. Paths that this
    /// command itself holds are no obstacle: the graph keeps its stages apart.
    ///
    /// # Errors
    /// Cancelled, or the table cannot be read or written.
    pub fn lock(
        &self,
        reads: &[PathBuf],
        writes: &[PathBuf],
        cancel: &Cancel,
        on_wait: &dyn Fn(&Wait),
    ) -> Result<RwGuard<'_>, Error> {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let wanted: Vec<(Mode, String)> = reads
            .iter()
            .map(|path| (Mode::Read, text(path)))
            .chain(writes.iter().map(|path| (Mode::Write, text(path))))
            .collect();
        let nothing = RwGuard {
            locks: self,
            wanted: Vec::new(),
            has_waited: false,
        };
        let Some(dir) = self.dir.as_deref().filter(|_| !wanted.is_empty()) else {
            return Ok(nothing);
        };
        fs::create_dir_all(dir).map_err(base::Error::io("create folder", dir))?;
        let begin = Instant::now();
        let mut next_message = POLL;
        let mut has_waited = false;
        loop {
            {
                let _turn = self.take_turn();
                let _guard = take(&dir.join("rwlock.lock"), self.kind, cancel, on_wait)?;
                let mut table = read(dir)?;
                let blocker = table.blocker(&self.me, &wanted);
                match blocker {
                    None => {
                        table.enter(&self.me, &wanted);
                        write(dir, &table)?;
                        self.count(&wanted);
                        return Ok(RwGuard {
                            locks: self,
                            wanted,
                            has_waited,
                        });
                    }
                    Some(blocker) => {
                        has_waited = true;
                        let elapsed = begin.elapsed();
                        if next_message <= elapsed {
                            on_wait(&Wait {
                                holder: Some(blocker.holder()),
                                elapsed,
                            });
                            next_message = elapsed + REMIND;
                        }
                    }
                }
            }
            if cancel.is_requested() {
                return Err(Error::Cancelled);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Stages of this process take turns at the file among themselves: who finds it taken looks again
    /// only after `POLL`.
    fn take_turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, wanted: &[(Mode, String)]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for key in wanted {
            *held.entry(key.clone()).or_default() += 1;
        }
    }

    /// Returns what nobody in this process holds any more.
    fn uncount(&self, wanted: &[(Mode, String)]) -> Vec<(Mode, String)> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = Vec::new();
        for key in wanted {
            match held.get_mut(key) {
                Some(n) if 1 < *n => *n -= 1,
                _ => {
                    held.remove(key);
                    free.push(key.clone());
                }
            }
        }
        free
    }

    fn unlock(&self, dir: &Path, wanted: &[(Mode, String)]) -> Result<(), Error> {
        let deadline = Instant::now() + RELEASE_MAX;
        let path = dir.join("rwlock.lock");
        let _turn = self.take_turn();
        let _guard = loop {
            if let Some(held) = try_take(&path, self.kind)? {
                break held;
            }
            if deadline < Instant::now() {
                return Err(Error::Cancelled);
            }
            std::thread::sleep(POLL);
        };
        let free = self.uncount(wanted);
        let mut table = read(dir)?;
        table.leave(&self.me, &free);
        write(dir, &table)
    }
}

impl Drop for RwGuard<'_> {
    fn drop(&mut self) {
        let Some(dir) = self
            .locks
            .dir
            .as_deref()
            .filter(|_| !self.wanted.is_empty())
        else {
            return;
        };
        // Entries that stay end with this process.
        if let Err(error) = self.locks.unlock(dir, &self.wanted) {
            tracing::warn!(%error, "could not release path locks in `.dvc/tmp/rwlock`");
        }
    }
}

impl Table {
    /// Returns who stands in the way, if anybody does; takes the entries of the dead out.
    fn blocker(&mut self, me: &Info, wanted: &[(Mode, String)]) -> Option<Info> {
        self.write.retain(|_, info| is_alive(info.pid));
        for readers in self.read.values_mut() {
            readers.retain(|info| is_alive(info.pid));
        }
        self.read.retain(|_, readers| !readers.is_empty());
        for (mode, path) in wanted {
            let writer = self
                .write
                .iter()
                .find(|(other, info)| *info != me && overlap(path, other));
            if let Some((_, info)) = writer {
                return Some(info.clone());
            }
            if *mode == Mode::Read {
                continue;
            }
            let reader = self
                .read
                .iter()
                .filter(|(other, _)| overlap(path, other))
                .find_map(|(_, infos)| infos.iter().find(|info| *info != me));
            if let Some(info) = reader {
                return Some(info.clone());
            }
        }
        None
    }

    fn enter(&mut self, me: &Info, wanted: &[(Mode, String)]) {
        for (mode, path) in wanted {
            match mode {
                Mode::Write => {
                    self.write.insert(path.clone(), me.clone());
                }
                Mode::Read => {
                    let readers = self.read.entry(path.clone()).or_default();
                    if !readers.contains(me) {
                        readers.push(me.clone());
                    }
                }
            }
        }
    }

    fn leave(&mut self, me: &Info, paths: &[(Mode, String)]) {
        for (mode, path) in paths {
            match mode {
                Mode::Write => {
                    if self.write.get(path) == Some(me) {
                        self.write.remove(path);
                    }
                }
                Mode::Read => {
                    if let Some(readers) = self.read.get_mut(path) {
                        readers.retain(|info| info != me);
                    }
                }
            }
        }
        self.read.retain(|_, readers| !readers.is_empty());
    }
}

impl Info {
    fn holder(&self) -> Holder {
        Holder {
            pid: self.pid,
            command: self.cmd.clone(),
            since: 0,
        }
    }
}

/// Is one the other, or above it?
fn overlap(a: &str, b: &str) -> bool {
    let (a, b) = (Path::new(a), Path::new(b));
    a.starts_with(b) || b.starts_with(a)
}

fn table_path(dir: &Path) -> PathBuf {
    dir.join("rwlock")
}

/// Reads the table. A text that is none is an error, as it is for DVC: it may hide a lock.
fn read(dir: &Path) -> Result<Table, Error> {
    let path = table_path(dir);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Table::default()),
        Err(e) => return Err(base::Error::io("read", &path)(e).into()),
    };
    // A process that was killed while it wrote leaves nothing.
    if bytes.is_empty() {
        return Ok(Table::default());
    }
    serde_json::from_slice(&bytes).map_err(|e| Error::DvcLockTable {
        path,
        problem: e.to_string(),
    })
}

fn write(dir: &Path, table: &Table) -> Result<(), Error> {
    let path = table_path(dir);
    fault::point("dvc-rwlock").map_err(base::Error::io("write", &path))?;
    let text = serde_json::to_vec(table).unwrap_or_default();
    // Replaced and not written in place, but never durable: it says nothing after a power loss.
    let replace = || -> std::io::Result<()> {
        let mut staged = fs::Staged::new_in(dir)?;
        staged.file().write_all(&text)?;
        // Others who work in the repository read it.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::Permissions::from_mode(0o644);
            staged.file().set_permissions(mode)?;
        }
        staged.commit(&path)
    };
    replace().map_err(base::Error::io("write", &path))?;
    Ok(())
}

/// A lock file that is held; let go when dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held, never looked into")]
enum Held {
    Flock(File),
    Hardlink(HardlinkLock),
}

/// Takes a lock, waiting as long as it takes.
fn take(
    path: &Path,
    kind: LockKind,
    cancel: &Cancel,
    on_wait: &dyn Fn(&Wait),
) -> Result<Held, Error> {
    let begin = Instant::now();
    let mut next_message = POLL * 2;
    loop {
        if let Some(held) = try_take(path, kind)? {
            return Ok(held);
        }
        if cancel.is_requested() {
            return Err(Error::Cancelled);
        }
        let elapsed = begin.elapsed();
        if next_message <= elapsed {
            on_wait(&Wait {
                holder: holder_of(path),
                elapsed,
            });
            next_message = elapsed + REMIND;
        }
        std::thread::sleep(POLL);
    }
}

fn try_take(path: &Path, kind: LockKind) -> Result<Option<Held>, Error> {
    match kind {
        LockKind::Flock => Ok(try_flock(path)?.map(Held::Flock)),
        LockKind::Hardlink => {
            let held = HardlinkLock::try_take(path).map_err(base::Error::io("lock", path))?;
            Ok(held.map(Held::Hardlink))
        }
    }
}

/// Takes a lock of zc.lockfile's kind: a `flock` on a file that says the pid.
fn try_flock(path: &Path) -> Result<Option<File>, Error> {
    let mut file = open(path)?;
    if !try_lock(&file, Access::Exclusive, path)? {
        return Ok(None);
    }
    // A full disk costs the message, not the lock.
    let text = format!(" {}\n", std::process::id());
    let written = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.write_all(text.as_bytes()))
        .and_then(|()| file.set_len(text.len() as u64));
    if let Err(error) = written {
        tracing::debug!(%error, "could not write the pid into `{}`", path.display());
    }
    Ok(Some(file))
}

fn open(path: &Path) -> Result<File, base::Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(base::Error::io("open", path))
}

/// Returns the process that a lock file names, if it lives.
fn holder_of(path: &Path) -> Option<Holder> {
    let text = std::fs::read_to_string(path).ok()?;
    let pid = text.trim().parse().ok().or_else(|| pid_of(path));
    let pid: u32 = pid.filter(|pid| is_alive(*pid))?;
    Some(Holder {
        pid,
        command: command_of(pid).unwrap_or_else(|| "dvc".to_owned()),
        since: 0,
    })
}

/// Returns the command line of a process, where the system tells it. A script's interpreter is left
/// out: `dvc repro`, and not `/usr/bin/python3 /usr/bin/dvc repro`.
fn command_of(pid: u32) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(COMMAND_BYTES_MAX)]).into_owned();
    let mut words: Vec<&str> = text.split('\0').filter(|word| !word.is_empty()).collect();
    let name = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    if 1 < words.len() && name(words[0]).starts_with("python") && !words[1].starts_with('-') {
        words.remove(0);
    }
    let (first, rest) = words.split_first()?;
    let words: Vec<String> = std::iter::once(name(first))
        .chain(rest.iter().map(|word| (*word).to_owned()))
        .collect();
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CancelReason;
    use crate::project::personality::{CVOPS, DVC};

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    /// Takes path locks of another process: an entry with a pid that lives and is not ours.
    fn other(layout: &Layout, json: &str) {
        let dir = layout.dvc_locks().unwrap();
        fs::create_dir_all(&dir).unwrap();
        fs::write_atomic(&dir.join("rwlock"), json.as_bytes()).unwrap();
    }

    fn try_path_lock(layout: &Layout, reads: &[&str], writes: &[&str]) -> Result<(), Option<u32>> {
        let cancel = Cancel::new();
        let blocked_by = Mutex::new(None);
        let locks = PathLocks::new(layout, "cvops repro");
        let on_wait = |wait: &Wait| {
            *blocked_by.lock().unwrap() = wait.holder.as_ref().map(|h| h.pid);
            cancel.request(CancelReason::Interrupted);
        };
        let result = locks.lock(&paths(reads), &paths(writes), &cancel, &on_wait);
        result.map(drop).map_err(|_| *blocked_by.lock().unwrap())
    }

    #[test]
    fn readers_share_and_writers_do_not() {
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(tmp.path(), &DVC);
        let lives = std::os::unix::process::parent_id();
        let entry = format!(r#"{{"pid": {lives}, "cmd": "dvc repro"}}"#);
        other(
            &layout,
            &format!(r#"{{"read": {{"/p/data": [{entry}]}}, "write": {{"/p/out": {entry}}}}}"#),
        );
        assert_eq!(try_path_lock(&layout, &["/p/data/a"], &["/p/mine"]), Ok(()));
        assert_eq!(
            try_path_lock(&layout, &[], &["/p/data/a"]),
            Err(Some(lives))
        );
        assert_eq!(try_path_lock(&layout, &[], &["/p"]), Err(Some(lives)));
        assert_eq!(try_path_lock(&layout, &["/p/out"], &[]), Err(Some(lives)));
        assert_eq!(try_path_lock(&layout, &["/p/out2"], &["/p/data2"]), Ok(()));
    }

    #[test]
    fn the_dead_hold_nothing_and_nothing_is_left_behind() {
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(tmp.path(), &DVC);
        let dead = r#"{"pid": 1073741808, "cmd": "gone"}"#;
        other(
            &layout,
            &format!(r#"{{"write": {{"/p/a": {dead}}}, "read": {{"/p/b": [{dead}]}}}}"#),
        );
        let cancel = Cancel::new();
        let locks = PathLocks::new(&layout, "cvops repro");
        let table = layout.dvc_locks().unwrap().join("rwlock");
        let one = locks.lock(&paths(&["/p/x"]), &paths(&["/p/a"]), &cancel, &|_| {});
        let two = locks.lock(&paths(&["/p/x"]), &[], &cancel, &|_| {});
        let text = std::fs::read_to_string(&table).unwrap();
        let me = std::process::id();
        let mine = format!(r#"{{"pid":{me},"cmd":"cvops repro"}}"#);
        assert_eq!(
            text,
            format!(r#"{{"write":{{"/p/a":{mine}}},"read":{{"/p/x":[{mine}]}}}}"#)
        );
        drop(one);
        let text = std::fs::read_to_string(&table).unwrap();
        assert_eq!(text, format!(r#"{{"read":{{"/p/x":[{mine}]}}}}"#));
        drop(two);
        assert_eq!(std::fs::read_to_string(&table).unwrap(), "{}");
        other(&layout, "{");
        assert!(matches!(
            locks.lock(&[], &paths(&["/p/a"]), &cancel, &|_| {}),
            Err(Error::DvcLockTable { .. })
        ));
    }

    #[test]
    fn the_repository_lock_names_its_holder_and_can_be_lent_out() {
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(tmp.path(), &DVC);
        let cancel = Cancel::new();
        let mut held = RepoLock::acquire(&layout, &cancel, &|_| {}).unwrap();
        let stop = Cancel::new();
        let seen = Mutex::new(None);
        let on_wait = |wait: &Wait| {
            *seen.lock().unwrap() = wait.holder.as_ref().map(|h| h.pid);
            stop.request(CancelReason::Interrupted);
        };
        let second = RepoLock::acquire(&layout, &stop, &on_wait);
        assert!(matches!(second, Err(Error::Cancelled)));
        assert_eq!(*seen.lock().unwrap(), Some(std::process::id()));
        held.release();
        drop(RepoLock::acquire(&layout, &cancel, &|_| {}).unwrap());
        held.again(&cancel, &|_| {}).unwrap();

        let none = Layout::new(tmp.path(), &CVOPS);
        drop(RepoLock::acquire(&none, &cancel, &|_| {}).unwrap());
        let locks = PathLocks::new(&none, "x");
        drop(locks.lock(&[], &paths(&["/p"]), &cancel, &|_| {}).unwrap());
        assert!(!tmp.path().join(".cvops").exists());
    }
}

//! The project lock: whoever needs the project for itself; whoever waits is told for whom. The edit lock: changes of
//! the user's files take turns. Imports: `base`, `project::layout`.
//!
//! The lock is the operating system's (`flock`) on `.cvops/tmp/locks/project.lock`, so it ends with
//! its process however that ends; the file is never removed or replaced, because a lock on a
//! replaced file locks nothing. The holder writes who it is into the file. That text is only a
//! message: it is read while the lock is held by somebody else, and a text whose process no longer
//! exists (left by `kill -9`, and the next holder has not written its own yet) is not shown.
//! A torn text reads as "unknown holder".
//!
//! The edit lock is another file, because a repro holds the project lock for hours and nobody should
//! wait that long to set a parameter. It is held for the milliseconds between reading and writing.
//! Whoever needs both takes the project lock first.
//!
//! A repro shares the project lock with other repros; what they must not touch at the same time is
//! settled path by path (`claims`).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::base::{self, Cancel, fs};

use super::claims;
use super::error::Error;
use super::init::guard_state;
use super::layout::Layout;

/// How often a waiter looks again.
const POLL: Duration = Duration::from_millis(100);
/// How often a waiter is told that it still waits.
const REMIND: Duration = Duration::from_secs(5);
/// How often a waiter for the edit lock looks again.
const EDIT_POLL: Duration = Duration::from_millis(5);
/// Longest holder text that is read; a command line may be long.
const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// What the lock is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads something that must not change meanwhile; several at a time.
    Shared,
    /// Changes the workspace, the lock file or the cache; alone.
    Exclusive,
}

/// Who holds the lock. Also the format of the text in the lock file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// The command, as typed.
    pub command: String,
    /// When the lock was taken, in seconds since 1970.
    pub since: u64,
}

/// A wait as it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// For whom, if known.
    pub holder: Option<Holder>,
    /// For how long so far.
    pub elapsed: Duration,
}

/// The lock, held until dropped.
#[derive(Debug)]
pub struct ProjectLock {
    file: File,
    access: Access,
    since: SystemTime,
    last_holder_died: bool,
}

impl ProjectLock {
    /// Takes the lock, waiting for other commands as long as it takes. `on_wait` is called when
    /// the wait begins and every few seconds after.
    ///
    /// # Errors
    /// Cancelled, or the lock file cannot be created.
    pub fn acquire(
        layout: &Layout,
        access: Access,
        command: &str,
        cancel: &Cancel,
        on_wait: &dyn Fn(&Wait),
    ) -> Result<Self, Error> {
        guard_state(layout)?;
        let path = layout.project_lock();
        let dir = layout.locks();
        fs::create_dir_all(&dir).map_err(base::Error::io("create folder", &dir))?;
        let mut file = open(&path)?;
        let begin = Instant::now();
        // One poll of silence: a command that only peeks holds the lock for an instant.
        let mut next_message = POLL;
        while !try_lock(&file, access, &path)? {
            if cancel.is_requested() {
                return Err(Error::Cancelled);
            }
            let elapsed = begin.elapsed();
            if next_message <= elapsed {
                let holder = read_holder(&mut file).or_else(|| {
                    // Commands that share the lock are known by what they claim.
                    let mut others = claims::look(layout).living.into_iter();
                    others.find(|h| h.pid != std::process::id())
                });
                on_wait(&Wait { holder, elapsed });
                next_message = elapsed + REMIND;
            }
            std::thread::sleep(POLL);
        }
        Ok(Self::held(file, access, command))
    }

    fn held(mut file: File, access: Access, command: &str) -> Self {
        // A holder that ends in an orderly way empties the text.
        let last_holder_died = file.metadata().is_ok_and(|m| m.len() != 0);
        #[expect(
            clippy::disallowed_methods,
            reason = "the moment of taking the lock is its own"
        )]
        let since = SystemTime::now();
        if access == Access::Exclusive {
            let holder = Holder {
                pid: std::process::id(),
                command: command.to_owned(),
                since: since.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
            };
            // A full disk costs the message, not the lock.
            if let Err(error) = write_holder(&mut file, &holder) {
                tracing::debug!(%error, "could not write the holder of the project lock");
            }
        }
        Self {
            file,
            access,
            since,
            last_holder_died,
        }
    }

    /// Makes an exclusive lock a shared one. Another command may have the lock for itself in between.
    ///
    /// # Errors
    /// As `acquire`.
    pub fn share(mut self, layout: &Layout, cancel: &Cancel) -> Result<Self, Error> {
        if self.access == Access::Exclusive {
            // Written before the lock is let go: the text belongs to whoever holds it.
            let _ = self.file.set_len(0);
            self.access = Access::Shared;
        }
        while !try_lock(&self.file, Access::Shared, &layout.project_lock())? {
            if cancel.is_requested() {
                return Err(Error::Cancelled);
            }
            std::thread::sleep(EDIT_POLL);
        }
        Ok(self)
    }

    /// Takes the lock for this command alone, if it can be had at once.
    ///
    /// # Errors
    /// The lock file cannot be created.
    pub fn try_exclusive(layout: &Layout, command: &str) -> Result<Option<Self>, Error> {
        guard_state(layout)?;
        let path = layout.project_lock();
        let dir = layout.locks();
        fs::create_dir_all(&dir).map_err(base::Error::io("create folder", &dir))?;
        let file = open(&path)?;
        if try_lock(&file, Access::Exclusive, &path)? {
            Ok(Some(Self::held(file, Access::Exclusive, command)))
        } else {
            Ok(None)
        }
    }

    /// Returns who holds the lock exclusively right now, if anybody. Waits for nothing and writes
    /// nothing: for commands that only look.
    #[must_use]
    pub fn peek(layout: &Layout) -> Option<Holder> {
        let mut file = File::open(layout.project_lock()).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => read_holder(&mut file),
            // Dropping the file gives the shared lock back at once.
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }

    /// Did the last holder die with the lock in its hands? Then it may have left things lying about.
    #[must_use]
    pub fn last_holder_died(&self) -> bool {
        self.last_holder_died
    }

    /// Returns when the lock was taken: temporary files older than this belong to dead processes.
    #[must_use]
    pub fn since(&self) -> SystemTime {
        self.since
    }
}

impl Drop for ProjectLock {
    fn drop(&mut self) {
        if self.access == Access::Exclusive {
            // The lock itself ends when the file closes, whether or not this works.
            let _ = self.file.set_len(0);
        }
    }
}

/// The right to read, edit and write files of the user (`params.yaml`, `pipeline.yaml`, settings),
/// held until dropped: without it, of two commands at the same time one would undo the other.
#[derive(Debug)]
pub struct EditLock {
    /// Closing it ends the lock.
    _file: File,
}

impl EditLock {
    /// Takes the lock of a project.
    ///
    /// # Errors
    /// Cancelled, or the lock file cannot be created.
    pub fn acquire(layout: &Layout, cancel: &Cancel) -> Result<Self, Error> {
        guard_state(layout)?;
        Self::on(&layout.edit_lock(), cancel)
    }

    /// Takes the lock of a file that belongs to no project; it is a file beside that one.
    ///
    /// # Errors
    /// As `acquire`.
    pub fn beside(path: &Path, cancel: &Cancel) -> Result<Self, Error> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        Self::on(Path::new(&name), cancel)
    }

    /// Takes the right to bring the lock file and `.gitignore` files up to date: held for the
    /// milliseconds between reading and writing, so nobody has to be able to give up on it.
    ///
    /// # Errors
    /// The lock file cannot be created.
    pub fn for_commit(layout: &Layout) -> Result<Self, Error> {
        let path = layout.commit_lock();
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(base::Error::io("create folder", dir))?;
        }
        let file = open(&path)?;
        file.lock().map_err(base::Error::io("lock", &path))?;
        Ok(Self { _file: file })
    }

    fn on(path: &Path, cancel: &Cancel) -> Result<Self, Error> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(base::Error::io("create folder", dir))?;
        }
        let file = open(path)?;
        while !try_lock(&file, Access::Exclusive, path)? {
            if cancel.is_requested() {
                return Err(Error::Cancelled);
            }
            std::thread::sleep(EDIT_POLL);
        }
        Ok(Self { _file: file })
    }

    /// Replaces a file of the user; where that is a symbolic link, what it points to. What is
    /// written must come from what was read while this lock was held.
    ///
    /// # Errors
    /// The file cannot be written; it is as it was.
    pub fn write(&self, path: &Path, text: &str) -> Result<(), base::Error> {
        fs::write_through_links(path, text.as_bytes()).map_err(base::Error::io("write", path))
    }
}

/// Opens a lock file, which is made if it is not there.
pub(super) fn open(path: &Path) -> Result<File, base::Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(base::Error::io("open", path))
}

pub(super) fn try_lock(file: &File, access: Access, path: &Path) -> Result<bool, base::Error> {
    let tried = match access {
        Access::Shared => file.try_lock_shared(),
        Access::Exclusive => file.try_lock(),
    };
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(base::Error::io("lock", path)(e)),
    }
}

fn write_holder(file: &mut File, holder: &Holder) -> std::io::Result<()> {
    let text = serde_json::to_vec(holder)?;
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&text)
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(TEXT_BYTES_MAX).read_to_end(&mut text).ok()?;
    let holder: Holder = serde_json::from_slice(&text).ok()?;
    is_alive(holder.pid).then_some(holder)
}

#[cfg(unix)]
pub(super) fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let Some(pid) = pid else { return false };
    // "Not permitted" means that it lives and is somebody else's.
    !matches!(
        rustix::process::test_kill_process(pid),
        Err(rustix::io::Errno::SRCH)
    )
}

#[cfg(not(unix))]
pub(super) fn is_alive(_: u32) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CancelReason;
    use crate::project::personality::CVOPS;
    use std::sync::Mutex;

    fn silent(_: &Wait) {}

    #[test]
    fn a_waiter_is_told_the_holder_and_can_be_cancelled() {
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(tmp.path(), &CVOPS);
        assert_eq!(ProjectLock::peek(&layout), None);
        let cancel = Cancel::new();
        let held =
            ProjectLock::acquire(&layout, Access::Exclusive, "cvops repro", &cancel, &silent)
                .unwrap();
        let holder = ProjectLock::peek(&layout).unwrap();
        assert_eq!(
            (holder.pid, holder.command.as_str()),
            (std::process::id(), "cvops repro")
        );

        let seen = Mutex::new(Vec::new());
        let stop = Cancel::new();
        let told = |wait: &Wait| {
            seen.lock().unwrap().push(wait.clone());
            stop.request(CancelReason::Interrupted);
        };
        let result = ProjectLock::acquire(&layout, Access::Exclusive, "x", &stop, &told);
        assert!(matches!(result, Err(Error::Cancelled)));
        assert_eq!(seen.lock().unwrap()[0].holder.as_ref(), Some(&holder));

        drop(held);
        assert_eq!(ProjectLock::peek(&layout), None);
        let one = ProjectLock::acquire(&layout, Access::Shared, "a", &cancel, &silent).unwrap();
        let two = ProjectLock::acquire(&layout, Access::Shared, "b", &cancel, &silent).unwrap();
        drop((one, two));
    }

    #[test]
    fn a_text_left_by_a_dead_process_is_not_believed() {
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(tmp.path(), &CVOPS);
        fs::create_dir_all(&layout.locks()).unwrap();
        let stale = Holder {
            pid: 0x3fff_fff0,
            command: "gone".into(),
            since: 1,
        };
        let text = serde_json::to_vec(&stale).unwrap();
        fs::write_atomic(&layout.project_lock(), &text).unwrap();
        assert_eq!(ProjectLock::peek(&layout), None);
        let mut file = File::open(layout.project_lock()).unwrap();
        file.try_lock_shared().unwrap();
        assert_eq!(read_holder(&mut file), None);
    }

    #[test]
    fn edits_take_turns_and_none_is_lost() {
        const EACH: usize = 20;
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(tmp.path(), &CVOPS);
        let path = tmp.path().join("params.yaml");
        let cancel = Cancel::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        let lock = EditLock::acquire(&layout, &cancel).unwrap();
                        let old = std::fs::read_to_string(&path).unwrap_or_default();
                        lock.write(&path, &format!("{old}x")).unwrap();
                    }
                });
            }
        });
        assert_eq!(std::fs::read_to_string(&path).unwrap().len(), 4 * EACH);

        let _held = EditLock::beside(&path, &cancel).unwrap();
        let stop = Cancel::new();
        stop.request(CancelReason::Interrupted);
        let second = EditLock::beside(&path, &stop);
        assert!(matches!(second, Err(Error::Cancelled)));
    }
}

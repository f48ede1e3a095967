//! The lock that DVC takes where `core.hardlink_lock` is set, for shares on which `flock` does not
//! work. Imports: `base`, `project::locks`.
//!
//! The lock is the existence of its file, which is a second link to a claim beside it; it says who
//! claims (`file|host|pid|number`) and its modification time when the claim ends, a year on. Whoever
//! lets go removes both names. Unlike the lock of the operating system it outlives a killed process:
//! what a dead process of this machine holds, what has ended, and a file with one link (which somebody
//! who locks the other way left behind) is taken away by the next who wants the lock.

use std::fs::Metadata;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::base::fs::{self, LinkKind};

use super::locks::is_alive;

/// How long a claim lasts.
const LIFETIME: Duration = Duration::from_hours(365 * 24);
/// By how much the clocks of two machines may differ.
const CLOCK_SLOP: Duration = Duration::from_secs(10);

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(super) struct HardlinkLock {
    path: PathBuf,
    claim: PathBuf,
    text: String,
}

impl HardlinkLock {
    /// Takes the lock `path`; `None` where somebody has it.
    pub(super) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = path.parent().unwrap_or(path);
        let pid = std::process::id();
        let lock = Self {
            path: path.to_owned(),
            claim: dir.join(format!("cvops-{pid}-{number}.lock")),
            text: format!("{}|{}|{pid}|{number}", path.display(), host()),
        };
        // One of a dead process that had our pid.
        let _ = fs::remove_file(&lock.claim);
        let mut claim = fs::create_new(&lock.claim)?;
        claim.write_all(lock.text.as_bytes())?;
        // The clock of the share, which its files have in common.
        let now = claim.metadata()?.modified()?;
        claim.set_modified(now + LIFETIME)?;
        match fs::place(&lock.claim, path, &[LinkKind::Hardlink]) {
            Ok(_) => Ok(Some(lock)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                if is_left_behind(path, now) {
                    // Who wants it next, we among them, finds it free.
                    let _ = fs::remove_file(path);
                }
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }
}

impl Drop for HardlinkLock {
    fn drop(&mut self) {
        // A lock that somebody broke may be theirs by now.
        if std::fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = fs::remove_file(&self.path);
        }
        let _ = fs::remove_file(&self.claim);
    }
}

/// Returns the process of this machine that a lock file names.
pub(super) fn pid_of(path: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut parts = text.trim().rsplit('|').skip(1);
    let pid = parts.next()?.parse().ok()?;
    (parts.next()? == host()).then_some(pid)
}

fn is_left_behind(path: &Path, now: SystemTime) -> bool {
    let Ok(metadata) = std::fs::metadata(path) else {
        return false;
    };
    let over = |time: SystemTime| time + CLOCK_SLOP < now;
    let has_ended = metadata.modified().is_ok_and(over);
    has_ended || !is_linked(&metadata) || pid_of(path).is_some_and(|pid| !is_alive(pid))
}

#[cfg(unix)]
fn is_linked(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    1 < metadata.nlink()
}

#[cfg(not(unix))]
fn is_linked(_: &Metadata) -> bool {
    true
}

/// Returns the name of this machine, where the system tells it.
fn host() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_and_the_dead_do_not() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("lock");
        let names = || std::fs::read_dir(tmp.path()).unwrap().count();
        let first = HardlinkLock::try_take(&path).unwrap();
        assert!(first.is_some());
        assert_eq!(pid_of(&path), Some(std::process::id()));
        assert!(HardlinkLock::try_take(&path).unwrap().is_none());
        assert_eq!(names(), 2, "the claim of who did not get it went");
        drop(first);
        assert_eq!(names(), 0);

        // Killed: the lock and its claim stay.
        let claim = tmp.path().join("claim");
        let write = |path: &Path, text: &str| fs::write_atomic(path, text.as_bytes()).unwrap();
        let link = || fs::place(&claim, &path, &[LinkKind::Hardlink]).unwrap();
        let text = format!("{}|{}|1073741808|7", path.display(), host());
        write(&claim, &text);
        link();
        assert!(HardlinkLock::try_take(&path).unwrap().is_none());
        assert!(HardlinkLock::try_take(&path).unwrap().is_some());

        // Of another machine, or of DVC, which does not say whose it is: until its time is over.
        let end = |end: SystemTime| {
            let claim = std::fs::File::options().write(true).open(&claim).unwrap();
            claim.set_modified(end).unwrap();
        };
        write(&claim, "/p/.dvc/tmp/0123.lock");
        link();
        end(SystemTime::UNIX_EPOCH + 100 * LIFETIME);
        for _ in 0..2 {
            assert!(HardlinkLock::try_take(&path).unwrap().is_none());
        }
        end(SystemTime::UNIX_EPOCH);
        assert!(HardlinkLock::try_take(&path).unwrap().is_none());
        assert!(HardlinkLock::try_take(&path).unwrap().is_some());

        // The file of a lock of the operating system.
        write(&path, " 1\n");
        assert!(HardlinkLock::try_take(&path).unwrap().is_none());
        assert!(HardlinkLock::try_take(&path).unwrap().is_some());
    }
}

//! Claims on paths: commands that touch different paths go on side by side, those that touch the
//! same ones wait. Imports: `base`, `project::{layout, locks}`.
//!
//! Each command that executes has one file in `.cvops/tmp/locks/claims/`, on which it holds the
//! operating system's lock (`flock`) as long as it lives, so its claims end with it however it ends.
//! The file says who the command is and what it claims now. All of this is read and written under a
//! short lock on `claims.lock`, so a command takes all paths of a stage at once or none of them:
//! nobody holds some and waits for others, hence no deadlock.
//!
//! A file that nobody holds was left by a command that was killed. If it still names claims, there
//! may be processes that go on writing there: whoever comes first stops them (`Dead`) before the
//! claims are void, and empties the file. The empty file stays as a note that something may lie
//! about, until somebody who is alone has tidied up.
//!
//! `claims.lock` holds a number that grows with each claim: from it a command knows whether what it
//! has just judged may have been changed by another one meanwhile.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::base::{self, ArtifactPath, fs};

use super::error::Error;
use super::layout::Layout;
use super::locks::{Holder, open};

/// Longest text of claims that is read.
const TEXT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What a stage is about to touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Paths that must not change meanwhile.
    #[serde(with = "paths")]
    pub reads: Vec<ArtifactPath>,
    /// Paths that it changes.
    #[serde(with = "paths")]
    pub writes: Vec<ArtifactPath>,
}

/// Paths as texts.
mod paths {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::base::ArtifactPath;

    pub(super) fn serialize<S: Serializer>(
        paths: &[ArtifactPath],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(paths.iter().map(ArtifactPath::as_str))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Vec<ArtifactPath>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        Ok(texts.iter().filter_map(|text| text.parse().ok()).collect())
    }
}

/// For whom a claim has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The other command.
    pub holder: Holder,
    /// The path that both want.
    pub path: ArtifactPath,
}

/// Did other commands claim anything since this one last looked?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// Nobody: what was judged still holds.
    Nothing,
    /// Somebody did, and may have changed what was judged.
    Something,
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The paths are this command's until it gives them back.
    Granted(Meanwhile),
    /// Another command has one of them.
    Held(Conflict),
}

/// A command that died with claims in its hands.
#[derive(Debug)]
pub struct Dead<'a> {
    /// Its id, as `Claims::id` gave it.
    pub id: &'a str,
}

/// What a file of claims holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Text {
    holder: Holder,
    claims: BTreeMap<String, Wanted>,
}

/// The claims of this command; given back when dropped.
#[derive(Debug)]
pub struct Claims {
    dir: PathBuf,
    lock: PathBuf,
    /// Opened with the first claim: a command that finds nothing to do writes nothing.
    table: Option<Table>,
    id: String,
    text: Text,
    /// The number of claims ever made when this command last looked.
    seen: u64,
}

#[derive(Debug)]
struct Table {
    lock: File,
    own: File,
    path: PathBuf,
}

impl Claims {
    /// Prepares for claims of the command `command`; writes nothing yet.
    #[must_use]
    pub fn new(layout: &Layout, command: &str) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the moment from which this command holds claims is its own"
        )]
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let pid = std::process::id();
        let lock = layout.claims_lock();
        let seen = File::open(&lock).map_or(0, |mut file| read_number(&mut file));
        Self {
            dir: layout.claims(),
            lock,
            table: None,
            id: format!("{pid}-{}", now.as_nanos()),
            text: Text {
                holder: Holder {
                    pid,
                    command: command.to_owned(),
                    since: now.as_secs(),
                },
                claims: BTreeMap::new(),
            },
            seen,
        }
    }

    /// Returns a name of this command that no other has or will have.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Claims all of `wanted` for `stage`, or nothing. `bury` stops what a killed command left
    /// running; its claims are void after that.
    ///
    /// # Errors
    /// The claims cannot be read or written.
    pub fn ask(
        &mut self,
        stage: &str,
        wanted: Wanted,
        bury: &dyn Fn(&Dead<'_>),
    ) -> Result<Asked, Error> {
        self.open()?;
        let Some(table) = &mut self.table else {
            return Ok(Asked::Granted(Meanwhile::Something));
        };
        let lock_error = base::Error::io("lock", &self.lock);
        table.lock.lock().map_err(lock_error)?;
        let answer = (|| {
            if let Some(conflict) = conflict(&self.dir, &self.id, &wanted, bury)? {
                return Ok(Asked::Held(conflict));
            }
            let made = read_number(&mut table.lock);
            self.text.claims.insert(stage.to_owned(), wanted);
            write(&mut table.own, &self.text).map_err(base::Error::io("write", &table.path))?;
            write_number(&mut table.lock, made + 1)
                .map_err(base::Error::io("write", &self.lock))?;
            let meanwhile = if made == self.seen {
                Meanwhile::Nothing
            } else {
                Meanwhile::Something
            };
            self.seen = made + 1;
            Ok(Asked::Granted(meanwhile))
        })();
        unlock(&table.lock);
        answer
    }

    /// Gives back what was claimed for `stages`.
    ///
    /// # Errors
    /// The claims cannot be written: then they last until this command ends.
    pub fn give_back<'s>(
        &mut self,
        stages: impl IntoIterator<Item = &'s str>,
    ) -> Result<(), Error> {
        let before = self.text.claims.len();
        for stage in stages {
            self.text.claims.remove(stage);
        }
        let Some(table) = &mut self.table else {
            return Ok(());
        };
        if self.text.claims.len() == before {
            return Ok(());
        }
        table
            .lock
            .lock()
            .map_err(base::Error::io("lock", &self.lock))?;
        let written = write(&mut table.own, &self.text);
        unlock(&table.lock);
        Ok(written.map_err(base::Error::io("write", &table.path))?)
    }

    fn open(&mut self) -> Result<(), Error> {
        if self.table.is_some() {
            return Ok(());
        }
        fs::create_dir_all(&self.dir).map_err(base::Error::io("create folder", &self.dir))?;
        let lock = open(&self.lock)?;
        let path = self.dir.join(&self.id);
        // Before anybody can see it, it is held.
        lock.lock().map_err(base::Error::io("lock", &self.lock))?;
        let made = (|| {
            drop(fs::create_new(&path).map_err(base::Error::io("create", &path))?);
            let own = open(&path)?;
            own.lock().map_err(base::Error::io("lock", &path))?;
            Ok::<File, base::Error>(own)
        })();
        unlock(&lock);
        self.table = Some(Table {
            lock,
            own: made?,
            path,
        });
        Ok(())
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        if let Some(table) = &self.table {
            // A file that stays is taken for one of a command that was killed: that costs a look.
            let _ = fs::remove_file(&table.path);
        }
    }
}

/// Voids the claims of all commands that died; says whether there were any. What they left running is
/// stopped by `bury` first. `Tidy::Yes` also removes the notes that they died.
///
/// # Errors
/// The claims cannot be read or written.
pub fn bury_dead(layout: &Layout, tidy: Tidy, bury: &dyn Fn(&Dead<'_>)) -> Result<bool, Error> {
    let dir = layout.claims();
    if std::fs::read_dir(&dir).map_or(true, |mut entries| entries.next().is_none()) {
        return Ok(false);
    }
    let path = layout.claims_lock();
    let lock = open(&path)?;
    lock.lock().map_err(base::Error::io("lock", &path))?;
    let mut any = false;
    for other in others(&dir, "")? {
        let Other::Dead(path) = other else { continue };
        any = true;
        void(&path, bury)?;
        if tidy == Tidy::Yes {
            fs::remove_file(&path).map_err(base::Error::io("remove", &path))?;
        }
    }
    unlock(&lock);
    Ok(any)
}

/// What is done with the note that a command died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tidy {
    /// It is removed: the caller is alone, and tidies up.
    Yes,
    /// It stays for somebody who is alone.
    No,
}

/// Who is at work, and who was.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Commands that hold claims now, in no particular order.
    pub living: Vec<Holder>,
    /// Stages of commands that were killed, sorted.
    pub left: Vec<String>,
}

/// Looks at the claims; writes nothing.
#[must_use]
pub fn look(layout: &Layout) -> Look {
    let mut look = Look::default();
    let Ok(lock) = File::open(layout.claims_lock()) else {
        return look;
    };
    if lock.lock_shared().is_err() {
        return look;
    }
    for other in others(&layout.claims(), "").unwrap_or_default() {
        match other {
            Other::Living(text) => look.living.push(text.holder),
            Other::Dead(path) => {
                let text = File::open(path).ok().and_then(|mut file| read(&mut file));
                look.left
                    .extend(text.into_iter().flat_map(|t| t.claims.into_keys()));
            }
            Other::Silent => {}
        }
    }
    look.left.sort();
    look
}

/// A file of claims that is not this command's.
enum Other {
    Living(Text),
    /// It lives, and claims nothing yet.
    Silent,
    Dead(PathBuf),
}

fn others(dir: &Path, own: &str) -> Result<Vec<Other>, base::Error> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(dir).map_err(base::Error::io("read", dir))?;
    for entry in entries.flatten() {
        if entry.file_name() == own {
            continue;
        }
        let path = entry.path();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            // Its command has just ended.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(base::Error::io("open", &path)(e)),
        };
        found.push(match file.try_lock_shared() {
            Ok(()) if path.exists() => Other::Dead(path),
            Ok(()) => continue,
            Err(TryLockError::WouldBlock) => read(&mut file).map_or(Other::Silent, Other::Living),
            Err(TryLockError::Error(e)) => return Err(base::Error::io("lock", &path)(e)),
        });
    }
    Ok(found)
}

fn conflict(
    dir: &Path,
    own: &str,
    wanted: &Wanted,
    bury: &dyn Fn(&Dead<'_>),
) -> Result<Option<Conflict>, Error> {
    for other in others(dir, own)? {
        match other {
            Other::Silent => {}
            Other::Dead(path) => void(&path, bury)?,
            Other::Living(text) => {
                let path = text
                    .claims
                    .values()
                    .find_map(|theirs| clash(wanted, theirs));
                if let Some(path) = path {
                    let holder = text.holder;
                    return Ok(Some(Conflict { holder, path }));
                }
            }
        }
    }
    Ok(None)
}

/// Returns a path that one of the two changes and the other touches.
fn clash(mine: &Wanted, theirs: &Wanted) -> Option<ArtifactPath> {
    let touch = |a: &ArtifactPath, b: &ArtifactPath| a.contains(b) || b.contains(a);
    let written = mine.writes.iter().find(|path| {
        let mut all = theirs.writes.iter().chain(&theirs.reads);
        all.any(|other| touch(path, other))
    });
    let read = || {
        let mut reads = mine.reads.iter();
        reads.find(|path| theirs.writes.iter().any(|other| touch(path, other)))
    };
    written.or_else(read).cloned()
}

/// Ends the claims of a dead command, after what it left running was stopped.
fn void(path: &Path, bury: &dyn Fn(&Dead<'_>)) -> Result<(), Error> {
    let left_nothing = path.metadata().is_ok_and(|m| m.len() == 0);
    if left_nothing {
        return Ok(());
    }
    if let Some(id) = path.file_name().and_then(|name| name.to_str()) {
        bury(&Dead { id });
    }
    let emptied = open(path)?.set_len(0);
    Ok(emptied.map_err(base::Error::io("write", path))?)
}

fn read(file: &mut File) -> Option<Text> {
    let mut text = Vec::new();
    file.take(TEXT_BYTES_MAX).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn write(file: &mut File, text: &Text) -> std::io::Result<()> {
    fs::fault::point("claims.write")?;
    let bytes = serde_json::to_vec(text)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&bytes)?;
    file.set_len(bytes.len() as u64)
}

fn read_number(file: &mut File) -> u64 {
    let mut text = String::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_string(&mut text));
    read.ok().and_then(|_| text.parse().ok()).unwrap_or(0)
}

fn write_number(file: &mut File, number: u64) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(number.to_string().as_bytes())
}

/// Ends a lock on a file that stays open; a lock that cannot be given back ends with the process.
fn unlock(file: &File) {
    let _ = file.unlock();
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::project::personality::CVOPS;

    fn wanted(reads: &[&str], writes: &[&str]) -> Wanted {
        let paths = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect();
        Wanted {
            reads: paths(reads),
            writes: paths(writes),
        }
    }

    fn nobody(_: &Dead<'_>) {
        panic!("nobody died");
    }

    #[test]
    fn what_touches_waits_and_what_does_not_goes_on() {
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(tmp.path(), &CVOPS);
        let mut first = Claims::new(&layout, "cvops repro a");
        let mut second = Claims::new(&layout, "cvops repro b");
        let granted = |asked: Asked| matches!(asked, Asked::Granted(_));
        let a = wanted(&["data"], &["out/a"]);
        assert!(granted(first.ask("a", a, &nobody).unwrap()));
        for (reads, writes, free) in [
            (&["data"][..], &["out/b"][..], true),
            (&[], &["out/ab"], true),
            (&[], &["out/a"], false),
            (&[], &["out"], false),
            (&["out/a/x"], &[], false),
            (&[], &["data/x"], false),
            (&["data/x"], &[], true),
        ] {
            let asked = second.ask("b", wanted(reads, writes), &nobody).unwrap();
            assert_eq!(granted(asked.clone()), free, "{reads:?} {writes:?}");
            if let Asked::Held(conflict) = asked {
                assert_eq!(conflict.holder.command, "cvops repro a");
            }
            second.give_back(["b"]).unwrap();
        }
        assert_eq!(look(&layout).living.len(), 2);
        first.give_back(["a"]).unwrap();
        let b = wanted(&[], &["out"]);
        assert!(granted(second.ask("b", b, &nobody).unwrap()));
        drop((first, second));
        assert!(look(&layout).living.is_empty());
        let left = std::fs::read_dir(layout.claims()).unwrap().count();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_command_learns_that_others_were_at_work() {
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(tmp.path(), &CVOPS);
        let mut first = Claims::new(&layout, "1");
        let mut second = Claims::new(&layout, "2");
        let ask = |claims: &mut Claims, out: &str| match claims
            .ask(out, wanted(&[], &[out]), &nobody)
            .unwrap()
        {
            Asked::Granted(meanwhile) => meanwhile,
            Asked::Held(_) => panic!("held"),
        };
        assert_eq!(ask(&mut first, "a"), Meanwhile::Nothing);
        assert_eq!(ask(&mut first, "b"), Meanwhile::Nothing);
        assert_eq!(ask(&mut second, "c"), Meanwhile::Something);
        assert_eq!(ask(&mut first, "d"), Meanwhile::Something);
        assert_eq!(ask(&mut first, "e"), Meanwhile::Nothing);
    }

    #[test]
    fn claims_of_the_dead_are_void_once_they_are_buried() {
        let tmp = tempfile::tempdir().unwrap();
        let layout = Layout::new(tmp.path(), &CVOPS);
        let mut claims = Claims::new(&layout, "x");
        claims.ask("a", wanted(&[], &["a"]), &nobody).unwrap();
        let text = std::fs::read(layout.claims().join(claims.id())).unwrap();
        fs::write_atomic(&layout.claims().join("7-7"), &text).unwrap();
        // Half a text is as good as one: its command did not end in order.
        fs::write_atomic(&layout.claims().join("8-8"), b"{\"hol").unwrap();
        let buried = Cell::new(0);
        let bury = |dead: &Dead<'_>| {
            assert!(["7-7", "8-8"].contains(&dead.id), "{}", dead.id);
            buried.set(buried.get() + 1);
        };
        let mut other = Claims::new(&layout, "y");
        let asked = other.ask("b", wanted(&["b"], &[]), &bury).unwrap();
        assert!(matches!(asked, Asked::Granted(_)));
        assert_eq!(buried.get(), 2);
        assert!(bury_dead(&layout, Tidy::No, &nobody).unwrap());
        assert!(bury_dead(&layout, Tidy::Yes, &nobody).unwrap());
        assert!(!bury_dead(&layout, Tidy::Yes, &nobody).unwrap());
        assert_eq!(look(&layout).living.len(), 2);
    }
}

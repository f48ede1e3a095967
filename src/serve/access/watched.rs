//! The keys of a running server: read at the start, and again whenever their file changes.
//!
//! A server that asks for keys never stops asking. A file that is broken or gone changes nothing but
//! the log: the keys that were read last stay. A file whose last key was removed lets nobody in, and so does
//! one that appears and cannot be read: it was put there to keep somebody out.
//! Imports: base, arc-swap, `serve::access::{file, key}`.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::base::diag::ToDiagnostics;
use crate::base::secret::Mark;
use crate::serve::Error;

use super::file::KeyFile;
use super::key::ApiKey;

/// Where a server finds its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The file of the project. Without one, or without a key in it, nobody is asked.
    Project(KeyFile),
    /// A file that was named, by a flag or a parameter: it must be there with a key.
    Named(KeyFile),
}

impl KeySource {
    /// Returns the file.
    #[must_use]
    pub fn file(&self) -> &KeyFile {
        match self {
            Self::Project(file) | Self::Named(file) => file,
        }
    }
}

/// A key with its name as logs and buckets have it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) key: ApiKey,
    pub(super) name: Arc<str>,
}

/// Who is asked for a key; a later one is stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    /// Nobody: there are no keys.
    #[default]
    Nobody,
    /// Everybody, in vain, until it can be seen whether there is a file at all.
    ForNow,
    /// Everybody, until the server is started again.
    Everybody,
}

/// What is known at one time.
#[derive(Debug, Default)]
pub(super) struct Keys {
    asked: Asked,
    /// By hash: what a client could learn from the time of a look-up is how the hash of a text begins
    /// that it chose itself.
    by_mark: BTreeMap<[u8; 32], Arc<Known>>,
}

impl Keys {
    /// Puts the keys of a file together; `before` it was read, so many were asked.
    fn new(keys: Vec<ApiKey>, before: Asked) -> Self {
        Self {
            asked: match before {
                Asked::Nobody | Asked::ForNow if keys.is_empty() => Asked::Nobody,
                Asked::Nobody | Asked::ForNow | Asked::Everybody => Asked::Everybody,
            },
            by_mark: keys
                .into_iter()
                .map(|key| {
                    let name = Arc::from(key.name.as_str());
                    (*key.mark.as_bytes(), Arc::new(Known { key, name }))
                })
                .collect(),
        }
    }

    /// Must requests bring a key?
    pub(super) fn are_required(&self) -> bool {
        self.asked != Asked::Nobody
    }

    /// Returns the key of this mark.
    pub(super) fn find(&self, mark: &Mark) -> Option<&Arc<Known>> {
        self.by_mark.get(mark.as_bytes())
    }
}

/// A file of keys under watch.
#[derive(Debug)]
pub(super) struct Watched {
    file: KeyFile,
    keys: ArcSwap<Keys>,
    seen: Mutex<Seen>,
}

/// What the last look found.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Which bytes the file held that was read, if it was there.
    stamp: Option<Stamp>,
    /// What was wrong, once told.
    problem: Option<String>,
}

/// Which bytes a file holds: writing it anew changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    /// When its content and its name changed, in seconds and nanoseconds.
    times: [i64; 4],
    size: u64,
    inode: u64,
}

impl Watched {
    /// Reads the keys for the first time.
    ///
    /// # Errors
    /// The file cannot be read or is broken; a named one is not there or has no key.
    pub(super) fn start(source: &KeySource) -> Result<Self, Error> {
        let file = source.file().clone();
        // Before it is read: if it is written meanwhile, the next look sees it.
        let stamp = stamp(&file).ok().flatten();
        let read = file.read()?;
        let shown = || file.to_string();
        let keys = match (source, read) {
            (KeySource::Project(_), read) => read.unwrap_or_default(),
            (KeySource::Named(_), None) => return Err(Error::NoKeyFile { file: shown() }),
            (KeySource::Named(_), Some(keys)) if keys.is_empty() => {
                return Err(Error::NoKeys { file: shown() });
            }
            (KeySource::Named(_), Some(keys)) => keys,
        };
        let problem = None;
        Ok(Self {
            keys: ArcSwap::from_pointee(Keys::new(keys, Asked::Nobody)),
            seen: Mutex::new(Seen { stamp, problem }),
            file,
        })
    }

    /// Returns the keys as they are now.
    pub(super) fn keys(&self) -> arc_swap::Guard<Arc<Keys>> {
        self.keys.load()
    }

    /// Looks whether the file has changed, and reads it if so. Waits for the disk.
    pub(super) fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = match stamp(&self.file) {
            Ok(stamp) if stamp == seen.stamp && seen.problem.is_none() => return,
            Ok(stamp) => stamp,
            Err(error) => return self.refuse(&mut seen, Asked::ForNow, &error.to_string()),
        };
        let asked = self.keys().asked;
        // An editor that writes in place empties the file first; `keys: []` is what says that there
        // are none.
        if stamp.is_some_and(|stamp| stamp.size == 0) && asked == Asked::Everybody {
            return self.refuse(&mut seen, asked, "the file is empty");
        }
        match self.file.read() {
            Ok(Some(keys)) => {
                let keys = Keys::new(keys, asked);
                if keys.are_required() && keys.by_mark.is_empty() {
                    tracing::warn!(
                        file = %self.file,
                        "no key is left: nobody may ask until there is one, or the server is started again"
                    );
                } else {
                    tracing::info!(file = %self.file, keys = keys.by_mark.len(), "read the keys again");
                }
                self.keys.store(Arc::new(keys));
                let problem = None;
                *seen = Seen { stamp, problem };
            }
            Ok(None) if asked == Asked::Everybody => {
                self.refuse(&mut seen, asked, "the file is gone");
            }
            Ok(None) => {
                if asked == Asked::ForNow {
                    tracing::info!(file = %self.file, "there are no keys after all: nobody is asked for one");
                    self.keys.store(Arc::default());
                }
                let problem = None;
                *seen = Seen { stamp, problem };
            }
            Err(error) => {
                let problems = error.to_diagnostics().into_iter();
                let problems: Vec<String> = problems.map(|problem| problem.headline).collect();
                self.refuse(&mut seen, Asked::Everybody, &problems.join("; "));
            }
        }
    }

    /// Goes on with the keys that are known, and asks `asked` for one at least; says why once. Whoever makes
    /// the first key, and the server cannot read it, must not believe that it is asked for.
    fn refuse(&self, seen: &mut Seen, asked: Asked, problem: &str) {
        let keys = self.keys();
        if keys.asked < asked {
            let by_mark = BTreeMap::new();
            self.keys.store(Arc::new(Keys { asked, by_mark }));
        }
        if seen.problem.as_deref() == Some(problem) {
            return;
        }
        if keys.by_mark.is_empty() {
            tracing::error!(
                file = %self.file,
                problem,
                "the keys cannot be read: no request that needs one is answered until they can"
            );
        } else {
            tracing::warn!(
                file = %self.file,
                problem,
                "the keys cannot be read: those that were read last stay valid"
            );
        }
        seen.problem = Some(problem.to_owned());
    }
}

fn stamp(file: &KeyFile) -> io::Result<Option<Stamp>> {
    match std::fs::metadata(file.path()) {
        Ok(meta) => Ok(Some(Stamp {
            times: [
                meta.mtime(),
                meta.mtime_nsec(),
                meta.ctime(),
                meta.ctime_nsec(),
            ],
            size: meta.size(),
            inode: meta.ino(),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::base::clock::Timestamp;
    use crate::base::fs;
    use crate::serve::access::key::Scope;

    fn draw(name: &str) -> ApiKey {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let scopes = BTreeSet::from([Scope::Predict]);
        ApiKey::draw(name.parse().unwrap(), scopes, at, None)
            .unwrap()
            .1
    }

    fn file(dir: &Path) -> KeyFile {
        KeyFile::new(dir.join("keys.yaml"), "keys.yaml")
    }

    fn knows(watched: &Watched, key: &ApiKey) -> bool {
        watched.keys().find(&key.mark).is_some()
    }

    #[test]
    fn a_server_that_asks_never_stops_asking() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path());
        let watched = Watched::start(&KeySource::Project(file.clone())).unwrap();
        assert!(!watched.keys().are_required(), "there is no file");
        watched.look();
        let (one, two) = (draw("one"), draw("two"));
        file.add(one.clone()).unwrap();
        watched.look();
        assert!(watched.keys().are_required() && knows(&watched, &one));
        file.add(two.clone()).unwrap();
        watched.look();
        assert!(knows(&watched, &one) && knows(&watched, &two));

        let good = std::fs::read(file.path()).unwrap();
        fs::write_atomic(file.path(), b"keys: [{name: one}]").unwrap();
        watched.look();
        assert!(knows(&watched, &one), "a broken file changes nothing");
        fs::write_atomic(file.path(), b"").unwrap();
        watched.look();
        assert!(knows(&watched, &one), "an empty file changes nothing");
        fs::remove_file(file.path()).unwrap();
        watched.look();
        assert!(knows(&watched, &one), "a file that is gone changes nothing");
        fs::write_atomic(file.path(), &good).unwrap();
        file.remove(std::slice::from_ref(&one.name)).unwrap();
        watched.look();
        assert!(!knows(&watched, &one) && knows(&watched, &two));
        file.remove(std::slice::from_ref(&two.name)).unwrap();
        watched.look();
        assert!(watched.keys().are_required() && !knows(&watched, &two));
    }

    #[test]
    fn a_first_key_that_cannot_be_read_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path());
        for unreadable in [true, false] {
            let watched = Watched::start(&KeySource::Project(file.clone())).unwrap();
            assert!(!watched.keys().are_required());
            if unreadable {
                // For root, too.
                fs::create_dir_all(file.path()).unwrap();
            } else {
                fs::write_atomic(file.path(), b"keys: [{name: one}]").unwrap();
            }
            watched.look();
            assert!(watched.keys().are_required());
            fs::remove_dir_all(file.path())
                .or_else(|_| fs::remove_file(file.path()))
                .unwrap();
            watched.look();
            assert!(watched.keys().are_required(), "somebody wanted it closed");
            let one = draw("one");
            file.add(one.clone()).unwrap();
            watched.look();
            assert!(knows(&watched, &one));
            fs::remove_file(file.path()).unwrap();
        }
    }

    #[test]
    fn while_nobody_can_look_nobody_is_let_in() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        let file = file(&folder);
        let watched = Watched::start(&KeySource::Project(file.clone())).unwrap();
        // A file in the place of the folder: whether there are keys in it cannot be said.
        fs::write_atomic(&folder, b"").unwrap();
        watched.look();
        assert!(watched.keys().are_required());
        fs::remove_file(&folder).unwrap();
        watched.look();
        assert!(!watched.keys().are_required(), "there are none");
        fs::write_atomic(&folder, b"").unwrap();
        watched.look();
        fs::remove_file(&folder).unwrap();
        fs::create_dir_all(&folder).unwrap();
        let one = draw("one");
        file.add(one.clone()).unwrap();
        watched.look();
        assert!(watched.keys().are_required() && knows(&watched, &one));
        fs::remove_dir_all(&folder).unwrap();
        fs::write_atomic(&folder, b"").unwrap();
        watched.look();
        assert!(knows(&watched, &one), "what is known stays");
    }

    #[test]
    fn a_named_file_must_be_there_with_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path());
        let source = KeySource::Named(file.clone());
        let start = || Watched::start(&source).map(|watched| watched.keys().are_required());
        assert!(matches!(start(), Err(Error::NoKeyFile { .. })));
        fs::write_atomic(file.path(), b"keys: []").unwrap();
        assert!(matches!(start(), Err(Error::NoKeys { .. })));
        fs::write_atomic(file.path(), b"keys: {}").unwrap();
        assert!(matches!(start(), Err(Error::Base(_))));
        fs::write_atomic(file.path(), b"").unwrap();
        file.add(draw("one")).unwrap();
        assert!(start().unwrap());
        let elsewhere = KeySource::Project(super::KeyFile::new(dir.path().join("none"), "none"));
        assert!(!Watched::start(&elsewhere).unwrap().keys().are_required());
    }
}

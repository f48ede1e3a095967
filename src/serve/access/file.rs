//! The file of keys: a list under `keys`, each with name, hash, scopes and times. The keys themselves
//! are in no file.
//!
//! The hash is BLAKE3 of the key's text. A password needs a slow hash because people choose few
//! passwords; a key is 256 random bits, which nobody tries at any speed, and a slow hash would cost
//! each request milliseconds. Imports: base.

mod reading;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::base::diag::nearest;
use crate::base::doc::{Map, Value, emit};
use crate::base::{self, fs};

use super::key::{ApiKey, KeyName};
use crate::serve::Error;

const HEAD: &str = "\
# Who may ask `cvops serve`: hashes of keys, not the keys. `cvops serve keys` writes this file.
";

/// Where keys are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    path: PathBuf,
    shown: String,
}

impl KeyFile {
    /// Names a file by its absolute path, and how messages call it.
    #[must_use]
    pub fn new(path: PathBuf, shown: impl Into<String>) -> Self {
        Self {
            path,
            shown: shown.into(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the keys, in the order of the file; `None` if there is no file.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong: all of that is told.
    pub fn read(&self) -> Result<Option<Vec<ApiKey>>, Error> {
        match std::fs::read(&self.path) {
            Ok(bytes) => self.parse(bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(base::Error::io("read", &self.path)(error).into()),
        }
    }

    fn parse(&self, bytes: Vec<u8>) -> Result<Vec<ApiKey>, Error> {
        let text = String::from_utf8(bytes).map_err(|_| {
            let broken = io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8");
            base::Error::io("read", &self.path)(broken)
        })?;
        Ok(reading::read(&self.shown, text)?)
    }

    /// Adds a key; a file that is not there is made, for its owner alone.
    ///
    /// # Errors
    /// There is a key of this name, or the file cannot be read, written or left to whom it belongs.
    pub fn add(&self, key: ApiKey) -> Result<(), Error> {
        self.change(|keys| {
            if keys.iter().any(|other| other.name == key.name) {
                return Err(Error::KeyExists {
                    name: key.name.to_string(),
                });
            }
            keys.push(key);
            Ok(())
        })
    }

    /// Removes the keys of these names; all of them or none. Returns what was removed and how many
    /// are left.
    ///
    /// # Errors
    /// There is no key of one of the names, or the file cannot be read, written or left to whom it belongs.
    pub fn remove(&self, names: &[KeyName]) -> Result<(Vec<ApiKey>, usize), Error> {
        self.change(|keys| {
            for name in names {
                if !keys.iter().any(|key| key.name == *name) {
                    let known = keys.iter().map(|key| key.name.as_str());
                    return Err(Error::UnknownKey {
                        name: name.to_string(),
                        nearest: nearest(name.as_str(), known).map(str::to_owned),
                    });
                }
            }
            let (removed, left) = keys.drain(..).partition(|key| names.contains(&key.name));
            *keys = left;
            Ok((removed, keys.len()))
        })
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<ApiKey>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // What a link leads to is changed, not the link.
        let path = self.path.canonicalize();
        let path = path.unwrap_or_else(|_| self.path.clone());
        let dir = path.parent().unwrap_or(Path::new("/"));
        let folder = File::open(dir).map_err(base::Error::io("open the folder", dir))?;
        // Two changes at once would lose one. File systems that lock no folders have one admin.
        if let Err(error) = folder.lock() {
            tracing::debug!(%error, "the folder of the keys cannot be locked");
        }
        let mut keys = self.read()?.unwrap_or_default();
        let outcome = change(&mut keys)?;
        write(&path, &text(&keys))?;
        Ok(outcome)
    }
}

impl fmt::Display for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Replaces the file. An old one keeps its mode, owner and group, by any of which a server may read it. A new
/// one is for its owner alone: whoever writes it, but what root writes belongs to the owner of the folder, as
/// whom the server runs that has its project there.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |error: io::Error| Error::from(base::Error::io("write", path)(error));
    let dir = path.parent().unwrap_or(Path::new("/"));
    let old = match std::fs::metadata(path) {
        Ok(metadata) => Some(fs::Owner::of(&metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let owner = match old {
        Some(owner) => Some(owner),
        None if rustix::process::geteuid().is_root() => {
            Some(fs::Owner::of(&std::fs::metadata(dir).map_err(failed)?))
        }
        None => None,
    };
    let mut staged = fs::Staged::new_in(dir).map_err(failed)?;
    staged.file().write_all(text.as_bytes()).map_err(failed)?;
    if let Some(owner) = owner {
        let refused = |source| Error::KeyFileOwner {
            file: path.display().to_string(),
            owner,
            source,
        };
        staged.give_to(owner).map_err(refused)?;
    }
    if old.is_some() {
        return staged.finish(path).map_err(failed);
    }
    staged.file().sync_all().map_err(failed)?;
    staged.commit(path).map_err(failed)?;
    fs::sync_dir(dir).map_err(failed)
}

fn text(keys: &[ApiKey]) -> String {
    let keys = keys.iter().map(value).collect();
    let root = Map::from([("keys".to_owned(), Value::List(keys))]);
    HEAD.to_owned() + &emit::to_yaml(&Value::Map(root))
}

fn value(key: &ApiKey) -> Value {
    let text = |text: &dyn fmt::Display| Value::Str(text.to_string());
    let scopes = key.scopes.iter().map(|scope| text(scope)).collect();
    let mut map = Map::new();
    map.insert("name".to_owned(), text(&key.name));
    map.insert("blake3".to_owned(), text(&key.mark));
    map.insert("scopes".to_owned(), Value::List(scopes));
    map.insert("created".to_owned(), text(&key.created));
    if let Some(at) = &key.expires {
        map.insert("expires".to_owned(), text(at));
    }
    Value::Map(map)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;
    use crate::base::clock::Timestamp;
    use crate::serve::access::key::Scope;

    fn draw(name: &str, scopes: &[Scope]) -> (String, ApiKey) {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let scopes = scopes.iter().copied().collect();
        ApiKey::draw(name.parse().unwrap(), scopes, now, None).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_added_is_read_again_and_holds_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::new(dir.path().join("keys.yaml"), "keys.yaml");
        assert_eq!(file.read().unwrap(), None);
        let (one, mut key) = draw("123", &[Scope::Predict, Scope::Feedback]);
        key.expires = key.created.checked_add(Duration::from_hours(24)).ok();
        let (two, other) = draw("true", &[Scope::Admin]);
        file.add(key.clone()).unwrap();
        assert_eq!(mode(&file.path), 0o600);
        fs::set_executable(&file.path, fs::Executable::Yes).unwrap();
        file.add(other.clone()).unwrap();
        assert_eq!(mode(&file.path), 0o700, "a mode that was given stays");
        assert_eq!(file.read().unwrap(), Some(vec![key.clone(), other.clone()]));
        let text = std::fs::read_to_string(&file.path).unwrap();
        for secret in [&one, &two] {
            assert!(!text.contains(&secret[4..]), "{text}");
        }
        assert!(matches!(file.add(other), Err(Error::KeyExists { .. })));
        let names = ["123", "ture"].map(|name| name.parse::<KeyName>().unwrap());
        let Err(Error::UnknownKey { nearest, .. }) = file.remove(&names) else {
            panic!("there is no such key");
        };
        assert_eq!(nearest.as_deref(), Some("true"));
        assert_eq!(file.remove(&names[..1]).unwrap(), (vec![key], 1));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_stays_with_its_owner_and_a_new_one_of_root_goes_to_that_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::new(dir.path().join("keys.yaml"), "keys.yaml");
        let owner = |path: &Path| fs::Owner::of(&std::fs::metadata(path).unwrap());
        let own = owner(dir.path());
        let give = |path: &Path, to: fs::Owner| {
            std::os::unix::fs::chown(path, Some(to.user), Some(to.group)).unwrap();
        };
        // Whoever is not root may give a file to another group of theirs, if they have one.
        let is_root = rustix::process::geteuid().is_root();
        let groups = rustix::process::getgroups().unwrap();
        let mut groups = groups.into_iter().map(rustix::process::Gid::as_raw);
        let [of_folder, of_file] = if is_root {
            [3001, 3002].map(|n| fs::Owner { user: n, group: n })
        } else {
            let other = groups.find(|group| *group != own.group);
            let group = other.unwrap_or(own.group);
            [own, fs::Owner { group, ..own }]
        };
        give(dir.path(), of_folder);
        file.add(draw("one", &[Scope::Predict]).1).unwrap();
        assert_eq!((owner(&file.path), mode(&file.path)), (of_folder, 0o600));
        give(&file.path, of_file);
        file.add(draw("two", &[Scope::Predict]).1).unwrap();
        assert_eq!((owner(&file.path), mode(&file.path)), (of_file, 0o600));
        file.remove(&["one".parse().unwrap()]).unwrap();
        assert_eq!((owner(&file.path), mode(&file.path)), (of_file, 0o600));
    }

    #[test]
    fn two_who_change_it_at_once_both_succeed() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::new(dir.path().join("keys.yaml"), "keys.yaml");
        std::thread::scope(|scope| {
            for n in 0..8 {
                let file = &file;
                scope.spawn(move || {
                    file.add(draw(&format!("k{n}"), &[Scope::Predict]).1)
                        .unwrap();
                });
            }
        });
        assert_eq!(file.read().unwrap().unwrap().len(), 8);
    }
}

//! A place that keeps objects for others: `Service` is what every kind of place can do, `Remote` a
//! configured one. Imports: `base`, `project`.
//!
//! A remote is laid out like the cache: an object's key is its path below the cache folder, and
//! `runs/` holds run records. So a folder copied by hand is a remote, and a remote is a cache.
//!
//! **Promise of a folder object.** It is uploaded after its members are there for good, and removed
//! before them. So where it is, they are; nobody asks for twenty thousand files one by one.
//!
//! **Crashes.** A file is written under a temporary name in the folder of its key and renamed: a key
//! is complete or not there. What a killed process leaves under temporary names is never read, and
//! removed by `gc`.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;

use crate::base::fs::{self, LinkKind, Staged, fault, is_temp_name};

use crate::project::{self, Sharing};

use super::error::Error;

/// Files up to this size are copied through memory: two system calls instead of five.
const SMALL_BYTES: u64 = 256 * 1024;
/// Keys that one task looks for.
const KEYS_PER_TASK: usize = 64;

/// A file of a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name: `/`-separated, relative to the remote.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written, where the service says so.
    pub written: Option<SystemTime>,
}

/// What reading a file with a limit gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// All bytes.
    Whole(Vec<u8>),
    /// It is larger than the limit.
    Larger,
}

/// What every kind of remote can do. Called from many threads.
pub trait Service: Debug + Send + Sync {
    /// Says for each of `keys` whether it is there.
    ///
    /// # Errors
    /// The service cannot be asked.
    fn exists_many(&self, keys: &[String]) -> io::Result<Vec<bool>>;

    /// Returns all files below `folder`, sorted by key; none if there is no such folder.
    ///
    /// # Errors
    /// The service cannot be asked.
    fn list(&self, folder: &str) -> io::Result<Vec<Item>>;

    /// Copies the file `from` to `key`: complete or not at all. Nothing else may see it half.
    ///
    /// # Errors
    /// `from` cannot be read or the service refuses.
    fn upload(&self, from: &Path, key: &str) -> io::Result<()>;

    /// Makes everything uploaded so far survive a power loss at the other end.
    ///
    /// # Errors
    /// The service reports a loss.
    fn settle(&self) -> io::Result<()>;

    /// Reads `key` if it is not larger than `limit` bytes.
    ///
    /// # Errors
    /// `NotFound` if it is not there; the service refuses.
    fn read(&self, key: &str, limit: u64) -> io::Result<Body>;

    /// Copies `key` to the new file `to`.
    ///
    /// # Errors
    /// As `read`; `to` cannot be written.
    fn download(&self, key: &str, to: &Path) -> io::Result<()>;

    /// Removes `key`; it being gone is fine.
    ///
    /// # Errors
    /// The service refuses.
    fn remove(&self, key: &str) -> io::Result<()>;
}

/// A configured remote.
#[derive(Debug)]
pub struct Remote {
    /// Its name in the settings.
    pub name: String,
    /// Where it is, as messages say it.
    pub url: String,
    service: Box<dyn Service>,
}

impl Remote {
    /// Opens the remote `name` that the settings describe. Touches nothing.
    ///
    /// # Errors
    /// It is of a kind that is not supported yet.
    pub fn open(name: &str, settings: &project::Remote) -> Result<Self, Error> {
        let folder = settings.local_folder(name)?;
        Ok(Self {
            name: name.to_owned(),
            url: folder.display().to_string(),
            service: Box::new(Folder::new(folder, settings.shared)),
        })
    }

    /// Returns what the place can do.
    #[must_use]
    pub fn service(&self) -> &dyn Service {
        &*self.service
    }

    /// Returns a closure for `map_err` on a call of the service.
    pub fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> Error + use<> {
        let (remote, url) = (self.name.clone(), self.url.clone());
        move |source| Error::Remote {
            remote,
            url,
            doing,
            source,
        }
    }
}

/// A folder of this machine or of a mounted share.
#[derive(Debug)]
struct Folder {
    root: PathBuf,
    sharing: Sharing,
}

impl Folder {
    fn new(root: PathBuf, sharing: Sharing) -> Self {
        Self { root, sharing }
    }

    /// Creates a temporary file in `dir`, which is created if it has to be.
    fn staged(&self, dir: &Path) -> io::Result<Staged> {
        match Staged::new_in(dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                self.sharing.create_dir_all(dir)?;
                Staged::new_in(dir)
            }
            other => other,
        }
    }
}

impl Service for Folder {
    fn exists_many(&self, keys: &[String]) -> io::Result<Vec<bool>> {
        // One stat per key costs a folder no more than a listing does, and a listing grows with
        // what others have put there.
        if !self.root.is_dir() {
            return Ok(vec![false; keys.len()]);
        }
        keys.par_iter()
            .with_min_len(KEYS_PER_TASK)
            .map(|key| match std::fs::metadata(self.root.join(key)) {
                Ok(metadata) => Ok(metadata.is_file()),
                Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
                Err(e) => Err(e),
            })
            .collect()
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            let entries = match std::fs::read_dir(self.root.join(&folder)) {
                Ok(entries) => entries,
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            for entry in entries {
                let entry = entry?;
                // What is not UTF-8 is none of ours.
                let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                    continue;
                };
                let key = format!("{folder}/{name}");
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    Err(e) if e.kind() == ErrorKind::NotFound => continue,
                    Err(e) => return Err(e),
                };
                if metadata.is_dir() {
                    open.push(key);
                } else {
                    items.push(Item {
                        key,
                        size: metadata.len(),
                        written: metadata.modified().ok(),
                    });
                }
            }
        }
        items.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(items)
    }

    fn upload(&self, from: &Path, key: &str) -> io::Result<()> {
        let to = self.root.join(key);
        let dir = to.parent().unwrap_or(&self.root);
        let mut source = File::open(from)?;
        let size = source.metadata()?.len();
        let mut staged = self.staged(dir)?;
        fault::point("remote.upload.write")?;
        if size < SMALL_BYTES {
            let mut bytes = Vec::with_capacity(size as usize);
            source.read_to_end(&mut bytes)?;
            staged.file().write_all(&bytes)?;
        } else {
            fs::fill(staged.file(), &source)?;
        }
        fs::share_read_only(staged.file())?;
        fault::point("remote.upload.rename")?;
        staged.commit(&to)
    }

    fn settle(&self) -> io::Result<()> {
        fs::sync_filesystem(&self.root)
    }

    fn read(&self, key: &str, limit: u64) -> io::Result<Body> {
        let mut file = File::open(self.root.join(key))?;
        let size = file.metadata()?.len();
        if limit < size {
            return Ok(Body::Larger);
        }
        let mut bytes = Vec::with_capacity(size as usize);
        file.read_to_end(&mut bytes)?;
        Ok(Body::Whole(bytes))
    }

    fn download(&self, key: &str, to: &Path) -> io::Result<()> {
        let from = self.root.join(key);
        fs::place(&from, to, &[LinkKind::Reflink, LinkKind::Copy]).map(drop)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        fs::remove_file(&self.root.join(key))
    }
}

/// Is this key a temporary file that an upload left behind?
#[must_use]
pub fn is_leftover(key: &str) -> bool {
    key.rsplit('/').next().is_some_and(is_temp_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_gives_back_lists_and_removes() {
        let tmp = tempfile::tempdir().unwrap();
        let service = Folder::new(tmp.path().join("far"), Sharing::Umask);
        let keys = ["a/b/c".to_owned(), "a/d".to_owned()];
        assert_eq!(service.exists_many(&keys).unwrap(), [false, false]);
        assert_eq!(service.list("a").unwrap(), []);
        let large: Vec<u8> = (0..SMALL_BYTES + 9).map(|i| (i % 251) as u8).collect();
        for (key, bytes) in [("a/b/c", b"small".as_slice()), ("a/d", &large)] {
            let from = tmp.path().join("from");
            fs::write_atomic(&from, bytes).unwrap();
            service.upload(&from, key).unwrap();
            let Body::Whole(read) = service.read(key, u64::MAX).unwrap() else {
                panic!("{key}");
            };
            assert_eq!(read, bytes);
        }
        service.settle().unwrap();
        assert_eq!(service.exists_many(&keys).unwrap(), [true, true]);
        assert_eq!(service.read("a/d", 5).unwrap(), Body::Larger);
        let names: Vec<String> = service
            .list("a")
            .unwrap()
            .into_iter()
            .map(|i| i.key)
            .collect();
        assert_eq!(names, ["a/b/c", "a/d"]);
        let to = tmp.path().join("to");
        service.download("a/d", &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), large);
        service.remove("a/d").unwrap();
        service.remove("a/d").unwrap();
        assert_eq!(service.exists_many(&keys).unwrap(), [true, false]);
        let gone = service.read("a/d", 5).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    }
}

//! Files that only grow: journals and logs.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::fault;

/// A file that is appended to. A crash leaves all records that were synced, and at most one torn
/// record after them, for the reader to pass over.
#[derive(Debug)]
pub struct Appender(File);

impl Appender {
    /// Opens `path`, creating it if it is not there.
    ///
    /// # Errors
    /// Its folder is missing or not writable.
    pub fn open(path: &Path) -> io::Result<Self> {
        fault::point("append.open")?;
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(file))
    }

    /// Takes the file for this process alone; false if another one has it. The lock ends with the
    /// process, however that ends.
    ///
    /// # Errors
    /// The file system knows no locks.
    pub fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    /// Is this the file at `path` still? It may have been removed after it was opened.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        let (Ok(own), Ok(there)) = (self.0.metadata(), std::fs::metadata(path)) else {
            return false;
        };
        (own.dev(), own.ino()) == (there.dev(), there.ino())
    }

    /// Cuts the file to `len` bytes: a torn record at its end goes.
    ///
    /// # Errors
    /// The file cannot be changed.
    pub fn cut(&self, len: u64) -> io::Result<()> {
        fault::point("append.cut")?;
        self.0.set_len(len)
    }

    /// Appends `bytes` in one write.
    ///
    /// # Errors
    /// The write failed; a part of it may be there.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        fault::point("append.bytes")?;
        self.0.write_all(bytes)
    }

    /// Makes everything appended so far survive a power loss.
    ///
    /// # Errors
    /// The system reports a write error.
    pub fn sync(&self) -> io::Result<()> {
        fault::point("append.sync")?;
        self.0.sync_data()
    }
}

/// Is the file at `path` taken by a process with `Appender::try_lock` right now?
#[must_use]
pub fn is_locked(path: &Path) -> bool {
    // Dropping the file gives the shared lock back at once.
    File::open(path)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

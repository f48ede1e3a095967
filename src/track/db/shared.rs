//! The record for many threads: one thread writes, a few connections read. Imports: db, rusqlite.
//!
//! **Group commit.** A change waits in a queue for the writing thread, which takes all that have come
//! and makes them one transaction: each in a savepoint of its own, so that one that fails takes back
//! only itself, and one forced write to disk for all. Whoever asked is told after that write.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rusqlite::Connection;

use crate::project::Layout;
use crate::track::error::Error;

use super::{Reader, Tracking, Writing, failed};

/// Changes that one commit takes at most: the first of them waits for the last.
const GROUP_MAX: usize = 512;

/// Connections that are kept for readers; more may be in use.
const READERS_KEPT: usize = 4;

/// Pages after which SQLite moves the log into the database.
const CHECKPOINT_PAGES: i64 = 4000;

/// Tells whoever asked what came of the change, given what came of the commit.
type Done = Box<dyn FnOnce(Result<(), Error>) + Send>;
/// Makes a change in the transaction, or learns that there is none.
type Job = Box<dyn FnOnce(Result<&Writing<'_>, Error>) -> Made + Send>;

enum Made {
    /// It is part of the transaction.
    Change(Done),
    /// It is to be taken back, and knows why.
    Nothing(Done),
}

/// The record of a project's runs, for many threads. Copies are the same record.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    path: PathBuf,
    jobs: Sender<Job>,
    readers: Mutex<Vec<Tracking>>,
    /// Only asked whether others have changed something: a connection counts their commits.
    watch: Mutex<Tracking>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.0.path).finish()
    }
}

impl Shared {
    /// Opens the record, creating it if there is none, and starts its writing thread, which ends
    /// with the last copy.
    ///
    /// # Errors
    /// As `Tracking::open`, or no thread can be started.
    pub fn open(layout: &Layout) -> Result<Self, Error> {
        let tracking = Tracking::open(layout)?;
        let path = tracking.path.clone();
        let set = || -> rusqlite::Result<()> {
            tracking.db.pragma_update(None, "synchronous", "FULL")?;
            tracking
                .db
                .pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)
        };
        set().map_err(|e| failed(&path, e))?;
        let watch = Tracking::open_at(path.clone())?;
        let (jobs, queue) = mpsc::channel();
        thread::Builder::new()
            .name("cvops-track".to_owned())
            .spawn(move || write_all(&tracking, &queue))
            .map_err(crate::base::Error::io("start a thread for", &path))?;
        Ok(Self(Arc::new(Inner {
            path,
            jobs,
            readers: Mutex::default(),
            watch: Mutex::new(watch),
        })))
    }

    /// Asks. What `work` sees is of one moment.
    ///
    /// # Errors
    /// What `work` says, or the database cannot be read.
    pub fn read<T>(&self, work: impl FnOnce(&Reader<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let readers = || {
            self.0
                .readers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let kept = readers().pop();
        let tracking = match kept {
            Some(tracking) => tracking,
            None => Tracking::open_at(self.0.path.clone())?,
        };
        let result = {
            let snapshot = tracking.db.unchecked_transaction();
            snapshot
                .map_err(|e| failed(&self.0.path, e))
                .and_then(|_snapshot| work(&tracking.reader()))
        };
        let mut readers = readers();
        if readers.len() < READERS_KEPT {
            readers.push(tracking);
        }
        result
    }

    /// Returns a number that is another after anything in the record has changed, by whichever
    /// process. It takes microseconds: a live page asks every second.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn version(&self) -> Result<i64, Error> {
        let watch = self.0.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let version = watch
            .reader()
            .row("PRAGMA data_version", &[], |row| row.get(0))?;
        Ok(version.unwrap_or(0))
    }

    /// Changes, all or nothing; `done` is called by the writing thread when the change is on disk,
    /// or will never be. It must not wait for anything.
    pub fn change_then<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Writing<'_>) -> Result<T, Error> + Send + 'static,
        done: impl FnOnce(Result<T, Error>) + Send + 'static,
    ) {
        let job: Job = Box::new(move |writing| {
            // One request must not end the thread that all others need. What it did is taken back, so
            // nobody sees anything half made.
            let made = panic::catch_unwind(AssertUnwindSafe(|| writing.and_then(work)));
            match made.unwrap_or(Err(Error::Panicked)) {
                Ok(value) => Made::Change(Box::new(move |committed| {
                    done(committed.map(|()| value));
                })),
                Err(error) => Made::Nothing(Box::new(move |_| done(Err(error)))),
            }
        });
        // The thread lives as long as this handle, unless something in here made it panic.
        if let Err(mpsc::SendError(job)) = self.0.jobs.send(job) {
            refuse(job, Error::WriterGone);
        }
    }

    /// Changes and waits until the change is on disk.
    ///
    /// # Errors
    /// What `work` says, or the database cannot be written.
    pub fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Writing<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.change_then(work, move |result| {
            let _ = answer.send(result);
        });
        answered.recv().unwrap_or(Err(Error::WriterGone))
    }
}

/// Writes until the last `Shared` is gone.
fn write_all(tracking: &Tracking, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && let Ok(next) = queue.try_recv()
        {
            group.push(next);
        }
        write_group(tracking, group);
    }
}

fn write_group(tracking: &Tracking, group: Vec<Job>) {
    let (db, path) = (&tracking.db, &tracking.path);
    let mut broken = run(db, "BEGIN IMMEDIATE").err();
    let alone = group.len() == 1;
    let mut made: Vec<Done> = Vec::with_capacity(group.len());
    for job in group {
        if broken.is_none() && !alone {
            broken = run(db, "SAVEPOINT one").err();
        }
        if let Some(error) = &broken {
            refuse(job, failed(path, copy_of(error)));
            continue;
        }
        match job(Ok(&Writing(Reader { db, path }))) {
            Made::Change(done) => {
                made.push(done);
                if !alone {
                    broken = run(db, "RELEASE one").err();
                }
            }
            Made::Nothing(done) => {
                // A full disk and the like end the whole transaction, whatever else it held.
                broken = if db.is_autocommit() {
                    Some(ended())
                } else if alone {
                    None
                } else {
                    run(db, "ROLLBACK TO one")
                        .and_then(|()| run(db, "RELEASE one"))
                        .err()
                };
                done(Ok(()));
            }
        }
    }
    if broken.is_none() && !made.is_empty() {
        broken = run(db, "COMMIT").err();
    }
    if !db.is_autocommit() {
        // Nothing is left to tell: what was made is told of below.
        let _ = run(db, "ROLLBACK");
    }
    for done in made {
        done(match &broken {
            None => Ok(()),
            Some(error) => Err(failed(path, copy_of(error))),
        });
    }
}

fn refuse(job: Job, error: Error) {
    match job(Err(error)) {
        Made::Change(done) | Made::Nothing(done) => done(Ok(())),
    }
}

fn run(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(drop)
}

/// Several changes learn of the same failure.
fn copy_of(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            rusqlite::Error::SqliteFailure(*code, message.clone())
        }
        other => rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR),
            Some(other.to_string()),
        ),
    }
}

fn ended() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT),
        Some("another change of the same commit could not be written".to_owned()),
    )
}

//! How much the cache takes. Counting walks all of it, so it is done beside, now and then. Imports:
//! base.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::base::fs;

/// What was counted is shown for so long.
const FRESH: Duration = Duration::from_mins(1);
/// A page waits so long for the first count: that of a small cache is there by then.
const PATIENCE: Duration = Duration::from_millis(50);

/// What the cache takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

/// Counts, and remembers.
#[derive(Debug, Default)]
pub(in crate::ui) struct Disk(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    taken: Option<(Instant, Taken)>,
    is_counting: bool,
}

impl Disk {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what the cache at `dir` took when it was last counted; `None` while it is counted for
    /// the first time.
    pub(super) fn taken(self: &Arc<Self>, dir: &Path) -> Option<Taken> {
        let (known, is_due) = {
            let mut state = self.state();
            let is_due = state.taken.is_none_or(|(at, _)| FRESH <= at.elapsed());
            let starts = is_due && !state.is_counting;
            state.is_counting |= starts;
            (state.taken, starts)
        };
        if is_due {
            self.count(dir.to_owned());
        }
        if known.is_none() {
            std::thread::sleep(PATIENCE);
        }
        self.state().taken.map(|(_, taken)| taken)
    }

    fn count(self: &Arc<Self>, dir: PathBuf) {
        let disk = Arc::clone(self);
        let counting = std::thread::Builder::new()
            .name("cvops-disk".to_owned())
            .spawn(move || {
                let taken = count(dir);
                let mut state = disk.state();
                state.taken = Some((Instant::now(), taken));
                state.is_counting = false;
            });
        if counting.is_err() {
            self.state().is_counting = false;
        }
    }
}

fn count(dir: PathBuf) -> Taken {
    let mut taken = Taken { bytes: 0, files: 0 };
    let mut folders = vec![dir];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => {
                    taken.bytes += metadata.len();
                    taken.files += 1;
                }
                // It was removed meanwhile.
                Err(_) => {}
            }
        }
    }
    taken
}

/// Returns the bytes that are free where `dir` is.
pub(super) fn free(dir: &Path) -> Option<u64> {
    let there = dir.ancestors().find(|dir| dir.is_dir())?;
    fs::volume(there).ok().map(|volume| volume.free_bytes)
}

//! Finds journals, reads them as they grow, and removes old ones. Imports: base, project, entry,
//! story.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::base::clock::Timestamp;
use crate::base::fs;
use crate::project::Layout;

use super::entry::{Entry, Finish, Head, Line};
use super::story::{State, Story};

const ENDING: &str = ".jsonl";
/// Journals of trials are told by their names: a sweep must not push out those of other commands.
const OF_TRIAL: &str = "-trial.jsonl";
/// So many journals are kept, of commands and of trials each.
const LOGS_MAX: usize = 50;
/// All of them together, each kind, are no larger than this when a new one begins.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A first line that is longer is none of ours.
const HEAD_MAX: u64 = 4 * 1024 * 1024;
/// The last line is looked for in so many bytes.
const END_MAX: u64 = 8 * 1024;

/// A journal in the folder.
#[derive(Clone, Debug)]
pub struct Log {
    /// The file's name, without its ending: by it the journal can be found again.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// When the command began, milliseconds since 1970.
    pub began_ms: i64,
    /// Its first line.
    pub head: Head,
    /// How far the command is.
    pub state: State,
}

/// Returns a journal's file name, which orders journals by their beginning.
pub(super) fn name_of(began: Timestamp, pid: u32, number: u64, trial: bool) -> String {
    let ending = if trial { OF_TRIAL } else { ENDING };
    let began = began.as_millisecond();
    format!("{began:014}-{pid}-{number}{ending}")
}

/// Returns the newest journals of commands and trials, newest first, not more than `limit`. What is
/// none, or cannot be read, is passed over.
#[must_use]
pub fn list(layout: &Layout, limit: usize) -> Vec<Log> {
    let dir = layout.logs();
    let names = names(&dir).into_iter().rev();
    names
        .filter_map(|name| look(&dir, &name))
        .take(limit)
        .collect()
}

/// Returns the journals of the commands that run stages now, newest first.
#[must_use]
pub fn going_on(layout: &Layout) -> Vec<Log> {
    let dir = layout.logs();
    names(&dir)
        .into_iter()
        .rev()
        .filter(|name| fs::is_locked(&dir.join(name)))
        .filter_map(|name| look(&dir, &name))
        .collect()
}

/// Returns the names of the journals of commands, trials aside, newest first. None of them is read.
#[must_use]
pub fn names_of_commands(layout: &Layout) -> Vec<String> {
    let names = names(&layout.logs()).into_iter().rev();
    names
        .filter(|name| !name.ends_with(OF_TRIAL))
        .filter_map(|name| name.strip_suffix(ENDING).map(str::to_owned))
        .collect()
}

/// Returns the journal of this name.
#[must_use]
pub fn find(layout: &Layout, name: &str) -> Option<Log> {
    let dir = layout.logs();
    let file = format!("{name}{ENDING}");
    names(&dir)
        .contains(&file)
        .then(|| look(&dir, &file))
        .flatten()
}

/// Returns the names of journals, oldest first.
fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(ENDING))
        .collect();
    names.sort_unstable();
    names
}

fn look(dir: &Path, file: &str) -> Option<Log> {
    let path = dir.join(file);
    let line = first_line(&path)?;
    let Entry::Begin(head) = line.entry else {
        return None;
    };
    Some(Log {
        name: file.strip_suffix(ENDING)?.to_owned(),
        state: state_of(&path),
        path,
        began_ms: line.at_ms,
        head,
    })
}

fn first_line(path: &Path) -> Option<Line> {
    let file = File::open(path).ok()?;
    let mut reader = io::BufReader::new(file.take(HEAD_MAX));
    let mut line = Vec::new();
    io::BufRead::read_until(&mut reader, b'\n', &mut line).ok()?;
    serde_json::from_slice(&line).ok()
}

/// Returns how far the command of a journal is: as its last line says, else whether it lives.
#[must_use]
pub fn state_of(path: &Path) -> State {
    // Asked first: who ends in between has written the end by then.
    let lives = fs::is_locked(path);
    match last_line(path) {
        Some(Entry::End { how, .. }) => match how {
            Finish::Done => State::Done,
            Finish::Failed => State::Failed,
            Finish::Stopped => State::Stopped,
        },
        _ if lives => State::Running,
        _ => State::Died,
    }
}

fn last_line(path: &Path) -> Option<Entry> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END_MAX)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(END_MAX).read_to_end(&mut bytes).ok()?;
    let whole = bytes.strip_suffix(b"\n")?;
    let last = whole.rsplit(|byte| *byte == b'\n').next()?;
    let line: Line = serde_json::from_slice(last).ok()?;
    Some(line.entry)
}

/// Reads a journal as it grows.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    offset: u64,
}

impl Tail {
    /// Begins at the first line.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self::from(path, 0)
    }

    /// Begins at `offset`, which an earlier tail gave.
    #[must_use]
    pub fn from(path: &Path, offset: u64) -> Self {
        Self {
            path: path.to_owned(),
            offset,
        }
    }

    /// Returns up to where it has read.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the lines that came since, of not more than about `bytes_max` bytes; a line that is not
    /// complete yet comes later, one that cannot be read is passed over.
    ///
    /// # Errors
    /// The journal cannot be read: it was removed, for example.
    pub fn read(&mut self, bytes_max: u64) -> io::Result<Vec<Line>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        // A single line may be longer than asked for.
        let room = bytes_max.max(HEAD_MAX);
        let mut taken = 0;
        while taken < room {
            let step = bytes_max.clamp(1, room - taken);
            let count = file.by_ref().take(step).read_to_end(&mut bytes)?;
            taken += count as u64;
            if count == 0 || bytes.contains(&b'\n') {
                break;
            }
        }
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(Vec::new());
        };
        self.offset += end as u64 + 1;
        let lines = bytes[..end].split(|byte| *byte == b'\n');
        Ok(lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect())
    }

    /// Takes all lines that are there into `story`.
    ///
    /// # Errors
    /// As `read`.
    pub fn follow(&mut self, story: &mut Story) -> io::Result<()> {
        const STEP: u64 = 1024 * 1024;
        loop {
            let before = self.offset;
            self.read(STEP)?
                .into_iter()
                .for_each(|line| story.take(line));
            if self.offset == before {
                return Ok(());
            }
        }
    }
}

/// Removes the oldest journals of this kind, so that there is room for a new one. What cannot be
/// removed stays: the next command tries again.
pub(super) fn remove_old(dir: &Path, trials: bool) {
    let of_kind = names(dir)
        .into_iter()
        .filter(|name| name.ends_with(OF_TRIAL) == trials);
    let sized: Vec<(PathBuf, u64)> = of_kind
        .map(|name| dir.join(name))
        .map(|path| {
            let bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            (path, bytes)
        })
        .collect();
    let (mut count, mut bytes) = (
        sized.len(),
        sized.iter().map(|(_, bytes)| bytes).sum::<u64>(),
    );
    for (path, size) in sized {
        if count < LOGS_MAX && bytes <= BYTES_MAX {
            return;
        }
        // A command that still runs keeps its journal.
        if !fs::is_locked(&path) && fs::remove_file(&path).is_ok() {
            count -= 1;
            bytes -= size;
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a journal as a crash leaves it")]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const HEAD: &str = r#"{"at_ms":1,"event":"begin","version":1,"command":"cvops repro","pid":1,"targets":[],"stages":["a"]}"#;

    fn output(n: usize) -> String {
        format!(r#"{{"at_ms":2,"event":"output","stage":"a","line":"{n}"}}"#)
    }

    #[test]
    fn a_torn_line_is_read_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1-1-0.jsonl");
        let whole = format!("{HEAD}\n{}\n", output(1));
        let (torn, rest) = whole.split_at(whole.len() - 9);
        std::fs::write(&path, torn).unwrap();
        let mut tail = Tail::new(&path);
        assert_eq!(tail.read(1).unwrap().len(), 1);
        assert!(tail.read(1).unwrap().is_empty());
        std::fs::write(
            &path,
            format!("{torn}{rest}not json\n{{\"at_ms\":3,\"event\":\"new\"}}\n"),
        )
        .unwrap();
        let lines = tail.read(1 << 20).unwrap();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[1].entry, Entry::Unknown);
        assert!(tail.read(1 << 20).unwrap().is_empty());
    }

    #[test]
    fn who_holds_no_lock_and_wrote_no_end_died() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1-1-0.jsonl");
        std::fs::write(&path, format!("{HEAD}\n{}", output(1))).unwrap();
        assert_eq!(state_of(&path), State::Died);
        let held = fs::Appender::open(&path).unwrap();
        assert!(held.try_lock().unwrap());
        assert_eq!(state_of(&path), State::Running);
        let end = r#"{"at_ms":9,"event":"end","how":"failed","seconds":1.0}"#;
        std::fs::write(&path, format!("{HEAD}\n{end}\n")).unwrap();
        assert_eq!(state_of(&path), State::Failed);
    }

    #[test]
    fn much_is_read_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1-1-0.jsonl");
        let mut text = format!("{HEAD}\n");
        for n in 0..1000 {
            writeln!(text, "{}", output(n)).unwrap();
        }
        std::fs::write(&path, &text).unwrap();
        let mut tail = Tail::new(&path);
        let (mut lines, mut calls) = (0, 0);
        loop {
            let read = tail.read(4096).unwrap();
            if read.is_empty() {
                break;
            }
            lines += read.len();
            calls += 1;
        }
        assert_eq!(lines, 1001);
        assert!(10 < calls, "{calls}");
        assert_eq!(tail.offset(), text.len() as u64);
    }

    #[test]
    fn old_journals_make_room_and_running_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let named = |n: i64, trial| {
            let began = Timestamp::from_millisecond(n).unwrap();
            dir.path().join(name_of(began, 7, 0, trial))
        };
        for n in 0..60 {
            std::fs::write(named(n, false), HEAD).unwrap();
        }
        std::fs::write(named(0, true), HEAD).unwrap();
        let held = fs::Appender::open(&named(0, false)).unwrap();
        assert!(held.try_lock().unwrap());
        remove_old(dir.path(), false);
        let left = names(dir.path());
        assert_eq!(left.len(), LOGS_MAX, "{left:?}");
        assert!(named(0, false).exists() && named(0, true).exists());
        assert!(!named(1, false).exists() && named(59, false).exists());
    }
}

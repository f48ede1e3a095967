//! Writes a journal while stages run. Imports: base, project, pipeline, entry, read.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::base::diag::{Diagnostic, Severity, ToDiagnostics};
use crate::base::{self, clock, fs, units};
use crate::pipeline::execute::Event;
use crate::pipeline::{Error, StageDecision};
use crate::project::Layout;

use super::entry::{self, Entry, Finish, Head, Judgement, Line};
use super::read;

/// Lines reach the file at the latest after this time, and when a stage ends.
pub(in crate::experiment) const WRITE_EVERY: Duration = Duration::from_millis(200);
/// This many bytes are written at once, whatever the clock says.
const BUFFER_MAX: usize = 64 * 1024;
/// Of a stage's output the journal keeps so many bytes.
const STAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Of all output, so many.
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longer messages are cut.
const MESSAGE_CHARS_MAX: usize = 2000;
/// How often, and after what time, the lock on a new journal is tried again: a reader that asks
/// whether it is taken holds it for a moment.
const TRIES: u32 = 20;
const TRY: Duration = Duration::from_millis(5);

/// Tells apart the journals of one process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The journal of one command.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    head: Head,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<Open>,
    /// What happened before the first stage was about to run or be restored.
    before: Vec<Line>,
    /// No line is written after the first that could not be.
    problem: Option<Diagnostic>,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    appender: fs::Appender,
    buffer: Vec<u8>,
    began: Instant,
    written_at: Instant,
    /// Bytes of output, by stage.
    output: BTreeMap<String, usize>,
    output_bytes: usize,
}

impl Journal {
    /// Returns the journal of a command that is about to judge `stages`; touches no file.
    #[must_use]
    pub fn new(layout: &Layout, head: Head) -> Self {
        Self {
            dir: layout.logs(),
            head,
            state: Mutex::default(),
        }
    }

    /// Takes note of what happens to stages.
    pub fn note(&self, event: &Event) {
        let mut state = self.state();
        if state.problem.is_some() {
            return;
        }
        if state.file.is_none() {
            match event {
                Event::Decided {
                    decision: StageDecision::Run(_) | StageDecision::Restore { .. },
                    ..
                }
                | Event::Failed { .. } => self.begin(&mut state),
                _ => {
                    let entries = entries_of(event);
                    state.before.extend(entries.into_iter().map(now));
                    return;
                }
            }
        }
        let ends = matches!(event, Event::Finished { .. } | Event::Failed { .. });
        state.write(|open| {
            match event {
                Event::Output {
                    stage,
                    stream,
                    line,
                } => open.output(stage.as_str(), entry::output(stage.as_str(), *stream, line)),
                Event::Told { stage, told } => {
                    for (stream, line) in &told.lines {
                        open.output(stage.as_str(), entry::output(stage.as_str(), *stream, line));
                    }
                }
                other => entries_of(other)
                    .into_iter()
                    .map(now)
                    .for_each(|line| open.push(&line)),
            }
            open.flush(if ends { Flush::Now } else { Flush::IfDue })
        });
    }

    /// The command is recorded as this run.
    pub fn belongs_to(&self, id: &str, name: &str) {
        let line = now(Entry::Run {
            id: id.to_owned(),
            name: name.to_owned(),
        });
        let mut state = self.state();
        if state.file.is_none() {
            state.before.push(line);
            return;
        }
        state.write(|open| {
            open.push(&line);
            Ok(())
        });
    }

    /// Writes what waits to be written. Called now and then while stages are silent.
    pub fn flush(&self) {
        let mut state = self.state();
        state.write(|open| open.flush(Flush::Now));
    }

    /// The command is over; returns what went wrong with the journal, as a warning.
    #[must_use]
    pub fn end(&self, how: Finish) -> Option<Diagnostic> {
        let mut state = self.state();
        state.write(|open| {
            let seconds = open.began.elapsed().as_secs_f64();
            open.push(&now(Entry::End { how, seconds }));
            open.flush(Flush::Now)
        });
        state.file = None;
        state.problem.take()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, state: &mut State) {
        match Open::create(&self.dir, &self.head) {
            Ok(mut open) => {
                state.before.drain(..).for_each(|line| open.push(&line));
                state.file = Some(open);
            }
            Err((path, error)) => state.problem = Some(warning(&path, error)),
        }
    }
}

impl State {
    /// Writes, if there is a journal; the first failure ends it.
    fn write(&mut self, work: impl FnOnce(&mut Open) -> io::Result<()>) {
        let Some(open) = &mut self.file else { return };
        if let Err(error) = work(open) {
            self.problem = Some(warning(&open.path, error));
            self.file = None;
        }
    }
}

fn warning(path: &Path, error: io::Error) -> Diagnostic {
    let all = base::Error::io("write", path)(error).to_diagnostics();
    let mut warning = all
        .into_iter()
        .next()
        .unwrap_or_else(|| Diagnostic::error("io", String::new()));
    warning.severity = Severity::Warning;
    warning.headline = format!(
        "the log of this command is not complete: {}",
        warning.headline
    );
    warning
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flush {
    Now,
    IfDue,
}

impl Open {
    fn create(dir: &Path, head: &Head) -> Result<Self, (PathBuf, io::Error)> {
        fs::create_dir_all(dir).map_err(|e| (dir.to_owned(), e))?;
        read::remove_old(dir, head.sweep.is_some());
        let began = clock::now();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = read::name_of(began, head.pid, number, head.sweep.is_some());
        let path = dir.join(name);
        let appender = open_locked(&path).map_err(|e| (path.clone(), e))?;
        let mut open = Self {
            path,
            appender,
            buffer: Vec::new(),
            began: Instant::now(),
            written_at: Instant::now(),
            output: BTreeMap::new(),
            output_bytes: 0,
        };
        open.push(&Line {
            at_ms: began.as_millisecond(),
            entry: Entry::Begin(head.clone()),
        });
        // Whoever looks for a command that runs finds this one from now on.
        match open.flush(Flush::Now) {
            Ok(()) => Ok(open),
            Err(error) => Err((open.path, error)),
        }
    }

    fn push(&mut self, line: &Line) {
        // Texts and numbers always have a form in JSON.
        if serde_json::to_writer(&mut self.buffer, line).is_ok() {
            self.buffer.push(b'\n');
        }
    }

    /// Keeps a line of output, as long as there is room for it.
    fn output(&mut self, stage: &str, entry: Entry) {
        let before = self.buffer.len();
        let used = self.output.get(stage).copied().unwrap_or(0);
        if STAGE_BYTES_MAX < used {
            return;
        }
        if OUTPUT_BYTES_MAX < self.output_bytes {
            self.output.insert(stage.to_owned(), STAGE_BYTES_MAX + 1);
        } else {
            self.push(&now(entry));
            let bytes = self.buffer.len() - before;
            self.output_bytes += bytes;
            self.output.insert(stage.to_owned(), used + bytes);
            if used + bytes <= STAGE_BYTES_MAX {
                return;
            }
        }
        let stage = stage.to_owned();
        self.push(&now(Entry::Truncated { stage }));
    }

    fn flush(&mut self, when: Flush) -> io::Result<()> {
        let due = WRITE_EVERY <= self.written_at.elapsed() || BUFFER_MAX <= self.buffer.len();
        if self.buffer.is_empty() || (when == Flush::IfDue && !due) {
            return Ok(());
        }
        self.written_at = Instant::now();
        let written = self.appender.append(&self.buffer);
        self.buffer.clear();
        written
    }
}

/// Opens a journal and takes it for this process. Where the file system knows no locks it goes
/// without: the command then seems to have died.
fn open_locked(path: &Path) -> io::Result<fs::Appender> {
    let appender = fs::Appender::open(path)?;
    for _ in 0..TRIES {
        match appender.try_lock() {
            Ok(true) | Err(_) => break,
            Ok(false) => std::thread::sleep(TRY),
        }
    }
    Ok(appender)
}

fn now(entry: Entry) -> Line {
    Line {
        at_ms: clock::now().as_millisecond(),
        entry,
    }
}

/// Returns the lines for an event; output is bounded and comes its own way.
fn entries_of(event: &Event) -> Option<Entry> {
    Some(match event {
        Event::Decided { stage, decision } => {
            let (decision, because) = Judgement::of(decision);
            Entry::Decided {
                stage: stage.to_string(),
                decision,
                because: because.iter().map(|text| cut(text)).collect(),
            }
        }
        Event::Waiting {
            stage, conflict, ..
        } => Entry::Waiting {
            stage: stage.to_string(),
            holder: conflict.holder.command.clone(),
            path: conflict.path.to_string(),
        },
        Event::Retrying {
            stage,
            error,
            attempt,
            of,
        } => Entry::Retrying {
            stage: stage.to_string(),
            error: cut(&short(error)),
            attempt: *attempt,
            of: *of,
        },
        Event::Started { stage, command } => Entry::Started {
            stage: stage.to_string(),
            command: cut(command),
        },
        Event::Finished { stage, how, took } => Entry::Finished {
            stage: stage.to_string(),
            how: (*how).into(),
            seconds: took.as_secs_f64(),
        },
        Event::Failed { stage, error, took } => Entry::Failed {
            stage: stage.to_string(),
            error: cut(&short(error)),
            seconds: took.as_secs_f64(),
        },
        Event::Stopping { stages } => Entry::Stopping {
            stages: stages.iter().map(ToString::to_string).collect(),
        },
        Event::WaitingForDvc { .. }
        | Event::Told { .. }
        | Event::Output { .. }
        | Event::Saved { .. }
        | Event::OutsInGit { .. }
        | Event::InputsChanged { .. }
        | Event::RecordUnusable { .. }
        | Event::LeftoverStopped { .. }
        | Event::Ready { .. } => return None,
    })
}

/// Returns why a stage failed; which stage and command that was stands beside it.
fn short(error: &Error) -> String {
    match error {
        Error::Failed { how, .. } => how.clone(),
        Error::GaveUp { error, attempts } => {
            let attempts = units::count(*attempts as usize, "attempt");
            format!("{} after {attempts}", short(error))
        }
        other => other.to_string(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

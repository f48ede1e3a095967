//! Runs one shell command in a process group of its own and passes its output on line by line.
//!
//! Imports: base, project, spec, execute.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::base::{Cancel, CancelReason, Observer};

use super::{Event, Stream};
use crate::pipeline::spec::{StageName, StageSpec};
use crate::project::Commands;

/// Longer lines are passed on in pieces.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// How often a silent command is asked whether it has ended (its pipes may be held open by others).
const POLL_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};
/// How often a stopped process group is asked whether it is gone.
const GROUP_POLL: Duration = Duration::from_millis(20);
/// How often a command that has closed its pipes is asked whether it has ended, while it has a
/// deadline.
const END_POLL: Duration = Duration::from_millis(5);
/// How long a stage has between SIGTERM and SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(10);
const NOTHING: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The process groups that run now, by stage.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<BTreeMap<StageName, Pid>>);

impl Running {
    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<StageName, Pid>) -> T) -> T {
        f(&mut self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Returns the stages that run now.
    pub(super) fn stages(&self) -> Vec<StageName> {
        self.with(|groups| groups.keys().cloned().collect())
    }

    /// Sends `signal` to every group; returns the stages.
    pub(super) fn signal(&self, signal: Signal) -> Vec<StageName> {
        self.with(|groups| {
            for pid in groups.values() {
                // A group that has just ended is no error.
                let _ = kill_process_group(*pid, signal);
            }
            groups.keys().cloned().collect()
        })
    }
}

/// The shell, and what it is given.
#[derive(Debug)]
pub(super) struct Program {
    path: String,
    flags: &'static [&'static str],
    commands: Commands,
}

impl Program {
    /// Chooses the shell; `user` is the user's own.
    pub(super) fn of(commands: Commands, user: Option<&str>) -> Self {
        let path = match commands {
            Commands::Whole => None,
            Commands::ByLine => user.filter(|shell| !shell.is_empty()),
        };
        let path = path.unwrap_or("/bin/sh");
        // Start-up files may change what a command does.
        let flags: &[&str] = match (commands, path.rsplit('/').next()) {
            (Commands::ByLine, Some("bash")) => &["--noprofile", "--norc"],
            (Commands::ByLine, Some("zsh")) => &["--no-rcs"],
            _ => &[],
        };
        Self {
            path: path.to_owned(),
            flags,
            commands,
        }
    }

    /// Returns what the shell is given, one after the other, for the commands of `stage`.
    pub(super) fn commands<'s>(&self, stage: &'s StageSpec) -> Vec<&'s str> {
        stage.shell_commands(self.commands)
    }
}

/// How a command is run.
pub(super) struct Shell<'a> {
    pub(super) program: &'a Program,
    pub(super) stage: &'a StageName,
    pub(super) dir: &'a Path,
    pub(super) env: &'a [(String, OsString)],
    /// Variables that it does not inherit.
    pub(super) removed: &'a [String],
    pub(super) running: &'a Running,
    pub(super) cancel: &'a Cancel,
    /// When its commands are stopped if they have not ended.
    pub(super) deadline: Option<Instant>,
    pub(super) events: &'a dyn Observer<Event>,
}

/// How a command ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// It was stopped at its deadline.
    pub(super) late: bool,
}

/// Stops a process group that is past its deadline: asks first, then kills.
struct Clock {
    group: Pid,
    deadline: Option<Instant>,
    asked: Option<Instant>,
    killed: bool,
}

impl Clock {
    fn look(&mut self) {
        let Some(deadline) = self.deadline else {
            return;
        };
        match self.asked {
            None if deadline <= Instant::now() => {
                self.asked = Some(Instant::now());
                let _ = kill_process_group(self.group, Signal::TERM);
            }
            Some(asked) if !self.killed && GRACE <= asked.elapsed() => {
                self.killed = true;
                let _ = kill_process_group(self.group, Signal::KILL);
            }
            _ => {}
        }
    }

    fn is_late(&self) -> bool {
        self.asked.is_some()
    }
}

impl Shell<'_> {
    /// Runs `command` to its end, or to the deadline.
    pub(super) fn run(&self, command: &str) -> io::Result<Ended> {
        let mut process = Command::new(&self.program.path);
        for name in self.removed {
            process.env_remove(name);
        }
        let mut child = process
            .args(self.program.flags)
            .arg("-c")
            .arg(command)
            .current_dir(self.dir)
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let pid = Pid::from_child(&child);
        self.running
            .with(|groups| groups.insert(self.stage.clone(), pid));
        // The coordinator signals the groups it knows of; one that starts just then is ours.
        if self.cancel.is_requested() {
            let _ = kill_process_group(pid, Signal::TERM);
        }
        let pipes = [
            child
                .stdout
                .take()
                .map(|p| Pipe::new(OwnedFd::from(p), Stream::Out)),
            child
                .stderr
                .take()
                .map(|p| Pipe::new(OwnedFd::from(p), Stream::Err)),
        ];
        let mut clock = Clock {
            group: pid,
            deadline: self.deadline,
            asked: None,
            killed: false,
        };
        let pipes = pipes.into_iter().flatten().collect();
        let status = self.follow(&mut child, pipes, &mut clock);
        // The shell may die of the signal before its children do: a stopped stage is over when its
        // whole group is, so the coordinator can still kill what does not heed SIGTERM.
        while (self.cancel.is_requested() || clock.is_late()) && group_lives(pid) {
            clock.look();
            if self.cancel.reason() == Some(CancelReason::SecondInterrupt) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            std::thread::sleep(GROUP_POLL);
        }
        self.running.with(|groups| groups.remove(self.stage));
        Ok(Ended {
            status: status?,
            late: clock.is_late(),
        })
    }

    /// Passes lines on until the command has ended. Usually both pipes close at that moment; a
    /// background process that the command left behind may hold them open for ever, so after the
    /// command's end only what is there already is read.
    fn follow(
        &self,
        child: &mut Child,
        mut pipes: Vec<Pipe>,
        clock: &mut Clock,
    ) -> io::Result<ExitStatus> {
        let mut ended = None;
        while !pipes.is_empty() {
            clock.look();
            let mut polled: Vec<PollFd<'_>> = pipes
                .iter()
                .map(|p| PollFd::new(&p.fd, PollFlags::IN))
                .collect();
            let wait = if ended.is_some() { NOTHING } else { POLL_EVERY };
            match poll(&mut polled, Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            let ready: Vec<bool> = polled.iter().map(|p| !p.revents().is_empty()).collect();
            if !ready.contains(&true) {
                if ended.is_some() {
                    break;
                }
                ended = child.try_wait()?;
                continue;
            }
            let mut index = 0;
            pipes.retain_mut(|pipe| {
                index += 1;
                !ready[index - 1] || pipe.read(|line, stream| self.tell(line, stream))
            });
        }
        for pipe in &mut pipes {
            pipe.flush(|line, stream| self.tell(line, stream));
        }
        if let Some(status) = ended {
            return Ok(status);
        }
        if self.deadline.is_none() {
            return child.wait();
        }
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            clock.look();
            std::thread::sleep(END_POLL);
        }
    }

    fn tell(&self, line: &[u8], stream: Stream) {
        let line = String::from_utf8_lossy(line).into_owned();
        self.events.notify(Event::Output {
            stage: self.stage.clone(),
            stream,
            line,
        });
    }
}

/// Does a process of the group still run?
///
/// Its members that lost their parent belong to process 1 when they end, which may be slow to collect
/// them, or never do so (in a container, where it is this very program): what only waits to be
/// collected does not count (proc(5), Linux).
fn group_lives(group: Pid) -> bool {
    if test_kill_process_group(group).is_err() {
        return false;
    }
    let Ok(table) = std::fs::read_dir("/proc") else {
        return true;
    };
    table
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
        })
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .any(|stat| runs_in(&stat, group))
}

/// Says `/proc/PID/stat` that the process belongs to `group` and has not ended?
fn runs_in(stat: &str, group: Pid) -> bool {
    // The name in parentheses may hold anything; behind it: state, parent, group.
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return false;
    };
    let mut fields = rest.split_whitespace();
    let ended = matches!(fields.next(), Some("Z" | "X") | None);
    let of_group =
        fields.nth(1).and_then(|field| field.parse().ok()) == Some(group.as_raw_nonzero().get());
    of_group && !ended
}

/// One pipe of a command and the start of a line that is not complete yet.
struct Pipe {
    fd: OwnedFd,
    stream: Stream,
    line: Vec<u8>,
}

impl Pipe {
    fn new(fd: OwnedFd, stream: Stream) -> Self {
        Self {
            fd,
            stream,
            line: Vec::new(),
        }
    }

    /// Reads what is there and passes complete lines on; returns false at the pipe's end.
    fn read(&mut self, tell: impl Fn(&[u8], Stream)) -> bool {
        let mut buffer = [0; 8192];
        let count = match rustix::io::read(&self.fd, &mut buffer) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return true,
            Err(_) => 0,
        };
        for &byte in &buffer[..count] {
            if byte == b'\n' {
                let end = self.line.len() - usize::from(self.line.ends_with(b"\r"));
                tell(&self.line[..end], self.stream);
                self.line.clear();
            } else {
                self.line.push(byte);
                if LINE_BYTES_MAX <= self.line.len() {
                    self.flush(&tell);
                }
            }
        }
        if count == 0 {
            self.flush(tell);
        }
        count != 0
    }

    fn flush(&mut self, tell: impl Fn(&[u8], Stream)) {
        if !self.line.is_empty() {
            tell(&self.line, self.stream);
            self.line.clear();
        }
    }
}

/// Returns how a process ended, for messages.
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended without a status".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_to_be_collected_runs_no_more() {
        let group = Pid::from_raw(77).unwrap();
        for (stat, expected) in [
            ("78 (sh) S 1 77 77 0 -1", true),
            ("78 (a) b) (c) R 1 77 77 0 -1", true),
            ("78 (sh) Z 1 77 77 0 -1", false),
            ("78 (sh) S 77 78 77 0 -1", false),
            ("", false),
        ] {
            assert_eq!(runs_in(stat, group), expected, "{stat}");
        }
    }
}

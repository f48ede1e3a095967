//! Projects with stages that leave a trace outside the project, so that a test can say which ran.

use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Output, Project, project};

/// How long something that must happen may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Three stages in a row: `prepare` writes upper-case words, `top` keeps the first `lines` of them,
/// `tally` counts them. Each notes its run in `~/runs`.
pub(crate) fn sample() -> Project {
    let p = project();
    p.write(
        "pipeline.yaml",
        r#"stages:
  prepare:
    cmd: echo prepare >> ~/runs; tr a-z A-Z < data/words.txt > upper.txt
    deps: [data/words.txt]
    outs: [upper.txt]
  top:
    cmd: echo top >> ~/runs; head -n "$(sed 's/[^0-9]//g' params.yaml)" upper.txt > top.txt
    deps: [upper.txt]
    params: [lines]
    outs: [top.txt]
  tally:
    cmd: echo tally >> ~/runs; grep -c . top.txt > tally.txt
    deps: [top.txt]
    outs: [tally.txt]
"#,
    );
    p.write("params.yaml", "lines: 2\n");
    p.write("data/words.txt", "fig\nkiwi\nlime\n");
    p
}

/// A project with this pipeline file.
pub(crate) fn with_pipeline(text: &str) -> Project {
    let p = project();
    p.write("pipeline.yaml", text);
    p
}

impl Project {
    /// Returns the stages that ran since the last call, in order.
    pub(crate) fn ran(&self) -> String {
        let path = self.home().join("runs");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text.lines().collect::<Vec<_>>().join(" ")
    }

    /// Replaces a piece of a file, which must be there.
    #[track_caller]
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) -> &Self {
        let text = self.read(path);
        assert!(text.contains(from), "`{from}` is not in {path}:\n{text}");
        self.write(path, text.replace(from, to))
    }

    /// Returns the text of the cached object named `hash`.
    pub(crate) fn cached(&self, hash: &str) -> String {
        self.read(&format!(
            ".cvops/cache/blake3/{}/{}",
            &hash[..2],
            &hash[2..]
        ))
    }

    /// Returns the names of all files below a folder, sorted, without what lies in `.cvops/`.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.root().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path
                    .strip_prefix(self.root())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                if path.is_dir() && name != ".cvops" && name != ".git" {
                    folders.push(path);
                } else if !path.is_dir() {
                    found.push(name);
                }
            }
        }
        found.sort();
        found
    }
}

impl Output {
    /// Returns stdout's JSON documents, one per line.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// Returns the events of this kind.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        self.json()
            .into_iter()
            .filter(|e| e["event"] == kind)
            .collect()
    }
}

/// A command that runs beside the test; stopped, with its stages, when the test ends before it.
pub(crate) struct Beside(Child);

impl Beside {
    /// Starts a command.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Returns its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits for its end; returns the exit code, if it exited.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Option<i32> {
        let mut status = None;
        wait_until("it ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.signal(Signal::TERM);
            let _ = self.0.wait();
        }
    }
}

/// Waits until something is so that another process brings about.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

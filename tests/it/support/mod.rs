//! A project in a temporary folder, the real binary run in it, and transcripts of what it said.
//!
//! ```ignore
//! let p = project();
//! p.write("pipeline.yaml", "stages: {a: {cmd: echo 1 > a.txt, outs: [a.txt]}}\n");
//! check(&p.cvops("repro -j 2"), str![]);
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use snapbox::IntoData;
use tempfile::TempDir;

#[cfg(feature = "vision")]
pub(crate) mod arrays;
#[cfg(feature = "vision")]
pub(crate) mod bombs;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod dvc;
pub(crate) mod dvc_world;
pub(crate) mod filter;
#[cfg(feature = "vision")]
pub(crate) mod html;
#[cfg(feature = "vision")]
pub(crate) mod memory;
pub(crate) mod mlflow;
#[cfg(feature = "vision")]
pub(crate) mod openapi;
#[cfg(feature = "vision")]
pub(crate) mod pictures;
#[cfg(feature = "vision")]
pub(crate) mod protocols;
pub(crate) mod remote_tracking;
pub(crate) mod server;
pub(crate) mod stages;
#[cfg(feature = "vision")]
pub(crate) mod tls;
pub(crate) mod triton;
pub(crate) mod twins;

/// A project folder and a home folder, both gone when this value is dropped.
pub(crate) struct Project {
    /// Keeps the folders alive.
    _dir: TempDir,
    root: PathBuf,
    home: PathBuf,
}

/// Returns an empty project folder. Nothing is initialised in it.
pub(crate) fn project() -> Project {
    let dir = tempfile::Builder::new()
        .prefix("cvops-it-")
        .tempdir()
        .unwrap();
    // The program prints resolved paths; a temporary folder behind a link would not be recognised.
    let top = dir.path().canonicalize().unwrap();
    let (root, home) = (top.join("project"), top.join("home"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&home).unwrap();
    Project {
        _dir: dir,
        root,
        home,
    }
}

impl Project {
    /// Returns a copy of all there is, also beside the project, as it stands: times and all, at another place.
    pub(crate) fn twin(&self) -> Self {
        let twin = project();
        let copied = Command::new("cp")
            .arg("-a")
            .arg(self.root.join("../."))
            .arg(twin.root.join(".."))
            .status();
        assert!(copied.unwrap().success(), "cp failed");
        twin
    }

    /// Returns the project folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the home folder of everything that is run.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the absolute path of `path`.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes a file with its folders, replacing what was there.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        self
    }

    /// Returns a file's text.
    pub(crate) fn read(&self, path: &str) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Returns a file's bytes.
    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Is there a file or folder of this name?
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Deletes a file or a folder with all in it.
    pub(crate) fn remove(&self, path: &str) -> &Self {
        let path = self.path(path);
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        self
    }

    /// Makes the folder a git repository with one commit of all that is in it.
    pub(crate) fn git_init(&self) -> &Self {
        self.git("init --quiet --initial-branch main");
        self.git("add --all");
        self.git("commit --quiet --allow-empty --message start");
        self
    }

    /// Runs git, which must succeed, and returns its stdout.
    pub(crate) fn git(&self, args: &str) -> String {
        let output = self.run(self.clean(Command::new("git")).args(words(args)));
        assert_eq!(
            output.exit,
            Exit::Code(0),
            "git {args}\n{}",
            output.transcript()
        );
        output.stdout
    }

    /// Runs cvops in the project folder. `args` are split like a shell does, quotes included.
    pub(crate) fn cvops(&self, args: &str) -> Output {
        self.run(&mut self.command(args))
    }

    /// Runs cvops, which must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, args: &str) -> Output {
        let output = self.cvops(args);
        assert_eq!(
            output.exit,
            Exit::Code(0),
            "cvops {args}\n{}",
            output.transcript()
        );
        output
    }

    /// Returns the command that `cvops` runs, for tests that set variables, feed stdin or kill it.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = self.clean(Command::new(env!("CARGO_BIN_EXE_cvops")));
        command.args(words(args));
        command
    }

    /// Runs a prepared command to its end.
    pub(crate) fn run(&self, command: &mut Command) -> Output {
        let output = command
            .output()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("cvops prints UTF-8");
        Output {
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            exit: Exit::of(output.status),
            root: self.root.clone(),
            home: self.home.clone(),
        }
    }

    /// Puts together what a process left behind that a test started and watched itself.
    pub(crate) fn output(&self, stdout: String, stderr: String, exit: Exit) -> Output {
        Output {
            stdout,
            stderr,
            exit,
            root: self.root.clone(),
            home: self.home.clone(),
        }
    }

    /// Takes the outside world away: no variable but PATH, a home of its own, no git settings.
    fn clean(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("NO_COLOR", "1")
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", "test")
            .env("GIT_AUTHOR_EMAIL", "test@example.org")
            .env("GIT_COMMITTER_NAME", "test")
            .env("GIT_COMMITTER_EMAIL", "test@example.org")
            .current_dir(&self.root)
            .stdin(Stdio::null());
        // So that the suite can be run in each form of the kernels.
        if let Some(form) = std::env::var_os("CVOPS_CPU") {
            command.env("CVOPS_CPU", form);
        }
        command
    }
}

/// What a process left behind.
pub(crate) struct Output {
    /// As printed, unfiltered.
    pub(crate) stdout: String,
    /// As printed, unfiltered.
    pub(crate) stderr: String,
    /// How it ended.
    pub(crate) exit: Exit,
    root: PathBuf,
    home: PathBuf,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl Exit {
    fn of(status: std::process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

impl Output {
    /// Returns stdout, stderr (under a line that says so) and the exit status as one text, without
    /// what differs between runs and machines.
    pub(crate) fn transcript(&self) -> String {
        let mut text = self.filtered(&self.stdout);
        let stderr = self.filtered(&self.stderr);
        if !stderr.is_empty() {
            text.push_str("--- stderr ---\n");
            text.push_str(&stderr);
        }
        text.push_str(&match self.exit {
            Exit::Code(code) => format!("[exit {code}]"),
            Exit::Signal(signal) => format!("[signal {signal}]"),
        });
        text
    }

    fn filtered(&self, text: &str) -> String {
        let paths = [
            (self.root.as_path(), "[ROOT]"),
            (self.home.as_path(), "[HOME]"),
        ];
        let mut text = text.to_owned();
        for (path, name) in paths {
            text = text.replace(path.to_str().expect("temporary folders are UTF-8"), name);
        }
        text = filter::volatile(&text);
        if !text.is_empty() && !text.ends_with('\n') {
            text.push_str("[no newline]\n");
        }
        text
    }
}

/// Compares a transcript with an inline snapshot: `check(&p.cvops("status"), str![…])`.
///
/// `[..]` matches within a line, `...` on a line of its own matches any lines.
#[track_caller]
pub(crate) fn check(output: &Output, expected: impl IntoData) {
    // A backslash in what was printed is one, not a path of another system.
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .normalize_paths(false)
        .eq(output.transcript(), expected);
}

/// Splits a command line at spaces; '…' and "…" keep spaces and may be empty.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(q), _) if q == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    assert_eq!(quote, None, "unclosed quote in `{line}`");
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use snapbox::str;

    use super::*;

    #[test]
    fn words_keep_what_is_quoted() {
        assert_eq!(words("repro  -j 2"), ["repro", "-j", "2"]);
        assert_eq!(words("a 'b c' \"d 'e\" ''"), ["a", "b c", "d 'e", ""]);
    }

    #[test]
    fn a_transcript_shows_both_streams_and_the_exit_without_volatile_parts() {
        let p = project();
        p.write("sub/a.txt", "hello\n");
        let script =
            "cat sub/a.txt; echo \"in $PWD took 1.5 s\"; printf 'oops at %s' $HOME >&2; exit 3";
        let output = p.run(p.clean(Command::new("sh")).args(["-c", script]));
        check(
            &output,
            str![[r"
hello
in [ROOT] took [TIME]
--- stderr ---
oops at [HOME][no newline]
[exit 3]
"]],
        );
        assert_eq!(p.read("sub/a.txt"), "hello\n");
        assert!(p.exists("sub") && !p.remove("sub").exists("sub"));
        assert!(p.root().is_dir());
    }

    #[test]
    fn the_environment_is_clean() {
        let p = project();
        let output = p.run(&mut p.clean(Command::new("env")));
        assert!(!output.stdout.contains("CVOPS_") && !output.stdout.contains("CARGO"));
    }

    #[test]
    fn git_starts_with_one_commit_of_everything() {
        let p = project();
        p.write("a.txt", "1\n").git_init();
        assert_eq!(p.git("ls-files"), "a.txt\n");
        assert_eq!(p.git("log --format=%s"), "start\n");
    }

    #[test]
    fn the_binary_runs() {
        let p = project();
        p.ok("--version");
    }
}

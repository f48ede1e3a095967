//! The real DVC in a test's project, and pictures of projects that can be compared.
//!
//! `CVOPS_TEST_DVC` names the program. Without it the tests say that they skip; with
//! `CVOPS_TEST_DVC_REQUIRED` (as in `.ci/run`) a skip is a failure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Exit, Output, Project, project, words};

/// Returns DVC's program, or says why the test `what` does not take place.
pub(crate) fn program(what: &str) -> Option<PathBuf> {
    if let Some(dvc) = std::env::var_os("CVOPS_TEST_DVC") {
        return Some(PathBuf::from(dvc));
    }
    assert!(
        std::env::var_os("CVOPS_TEST_DVC_REQUIRED").is_none(),
        "{what}: CVOPS_TEST_DVC names no DVC, and this run must not skip it"
    );
    // Not `eprintln!`, which is swallowed when a test passes.
    let line = format!("skipped: {what}: CVOPS_TEST_DVC names no DVC\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    None
}

/// Returns an empty DVC repository inside a git repository, as `dvc init` leaves it.
pub(crate) fn repository() -> Project {
    let p = project();
    p.git("init --quiet --initial-branch main");
    p.write(".dvc/config", "")
        .write(".dvc/.gitignore", "/config.local\n/tmp\n/cache\n")
        .write(
            ".dvcignore",
            "# Add patterns of files dvc should ignore, which could improve\n\
             # the performance. Learn more at\n\
             # https://dvc.org/doc/user-guide/dvcignore\n",
        );
    let quiet = p.home().join(".config/dvc");
    fs::create_dir_all(&quiet).unwrap();
    fs::write(
        quiet.join("config"),
        "[core]\n    analytics = false\n    check_update = false\n",
    )
    .unwrap();
    p
}

impl Project {
    /// Runs DVC in the project folder, with the environment that cvops gets.
    pub(crate) fn dvc(&self, args: &str) -> Output {
        self.run(&mut self.dvc_command(args))
    }

    /// Runs DVC, which must succeed.
    #[track_caller]
    pub(crate) fn dvc_ok(&self, args: &str) -> Output {
        let output = self.dvc(args);
        assert_eq!(
            output.exit,
            Exit::Code(0),
            "dvc {args}\n{}",
            output.transcript()
        );
        output
    }

    /// Returns the command that `dvc` runs.
    pub(crate) fn dvc_command(&self, args: &str) -> Command {
        let dvc = program("a test that asked already").expect("asked for before");
        let mut command = self.clean(Command::new(dvc));
        command
            .env("DVC_NO_ANALYTICS", "1")
            .env("DVC_SITE_CACHE_DIR", self.home().join("site"))
            .args(words(args));
        command
    }

    /// Returns what lies in the project, without what belongs to git, to one tool alone, or to a
    /// run that is over.
    pub(crate) fn picture(&self) -> Picture {
        Picture::of(self.root())
    }
}

/// What lies in a project: names, permissions, bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Picture(BTreeMap<String, Seen>);

#[derive(Clone, PartialEq, Eq)]
enum Seen {
    Folder,
    Link(PathBuf),
    File { mode: u32, bytes: Vec<u8> },
}

/// Of one tool alone, or passing.
const UNSEEN: [&str; 6] = [
    ".git",
    ".cvops",
    ".dvc/tmp",
    ".dvc/config.local",
    ".dvc/cache/runs/tmp",
    ".dvc/cache/tmp",
];

impl Picture {
    /// Returns what lies in a folder.
    pub(crate) fn of(folder: &Path) -> Self {
        let mut picture = Self(BTreeMap::new());
        picture.look(folder, "");
        picture
    }

    fn look(&mut self, folder: &Path, name: &str) {
        let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let file = entry.file_name().into_string().unwrap();
            let path = if name.is_empty() {
                file
            } else {
                format!("{name}/{file}")
            };
            // Half a transfer, which a kill leaves behind under a name of its own; `gc` takes it.
            let is_rest = path.contains("/.cvops-tmp-");
            if UNSEEN.contains(&path.as_str()) || is_rest {
                continue;
            }
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                self.0.insert(path.clone(), Seen::Folder);
                self.look(&entry.path(), &path);
            } else if meta.is_symlink() {
                let target = fs::read_link(entry.path()).unwrap();
                self.0.insert(path, Seen::Link(target));
            } else {
                // Objects have exactly one mode; of the user's files, only who may execute counts, and
                // there DVC itself writes 744 and 755 by turns.
                let mode = meta.permissions().mode() & 0o777;
                let mode = match (path.starts_with(".dvc/cache/files"), mode & 0o100) {
                    (true, _) => mode,
                    (false, 0) => 0o644,
                    (false, _) => 0o755,
                };
                let bytes = fs::read(entry.path()).unwrap();
                self.0.insert(path, Seen::File { mode, bytes });
            }
        }
    }

    /// Returns it as text to be kept: a line for every file, and the text of those that speak of data.
    pub(crate) fn text(&self) -> String {
        let (mut list, mut texts) = (String::new(), String::new());
        for (name, seen) in &self.0 {
            match seen {
                Seen::Folder => {}
                Seen::Link(target) => writeln!(list, "{name} -> {}", target.display()).unwrap(),
                Seen::File { mode, bytes } => {
                    writeln!(list, "{mode:o} {} {name}", md5(bytes)).unwrap();
                    let speaks = name.ends_with("dvc.lock")
                        || Path::new(name).extension().is_some_and(|e| e == "dvc")
                        || name.ends_with(".gitignore")
                        || name.starts_with(".dvc/cache/runs/")
                        || bytes.starts_with(b"[{\"md5\"");
                    if speaks {
                        let text = String::from_utf8_lossy(bytes);
                        writeln!(texts, "\n---- {name}\n{text}").unwrap();
                    }
                }
            }
        }
        list + &texts
    }

    /// Returns the names of all files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        let is_file = |seen: &Seen| matches!(seen, Seen::File { .. });
        let files = self.0.iter().filter(move |(_, seen)| is_file(seen));
        files.map(|(name, _)| name.as_str())
    }

    /// Fails when the two differ, and says in what.
    #[track_caller]
    pub(crate) fn assert_same(&self, other: &Self, what: &str) {
        let mut text = String::new();
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        for name in names {
            match (self.0.get(name), other.0.get(name)) {
                (Some(a), Some(b)) if a == b => {}
                (Some(a), Some(b)) => difference(&mut text, name, a, b),
                (Some(a), None) => writeln!(text, "only left:  {name} {}", a.short()).unwrap(),
                (None, Some(b)) => writeln!(text, "only right: {name} {}", b.short()).unwrap(),
                (None, None) => unreachable!("it came from one of them"),
            }
        }
        assert!(text.is_empty(), "{what}:\n{text}");
    }
}

fn md5(bytes: &[u8]) -> String {
    use md5::Digest;
    let digest = md5::Md5::digest(bytes);
    digest
        .iter()
        .fold(String::new(), |text, b| text + &format!("{b:02x}"))
}

impl Seen {
    fn short(&self) -> String {
        match self {
            Self::Folder => "(folder)".to_owned(),
            Self::Link(target) => format!("-> {}", target.display()),
            Self::File { mode, bytes } => {
                let text = String::from_utf8_lossy(bytes);
                let start: String = text.chars().take(300).collect();
                format!("({mode:o}, {} bytes) {start:?}", bytes.len())
            }
        }
    }
}

/// Writes how two files of one name differ: line by line when both are text.
fn difference(out: &mut String, name: &str, left: &Seen, right: &Seen) {
    if let (Seen::File { mode: ml, bytes: l }, Seen::File { mode: mr, bytes: r }) = (left, right) {
        if ml != mr {
            writeln!(out, "{name}: mode {ml:o} against {mr:o}").unwrap();
        }
        if let (Ok(l), Ok(r)) = (std::str::from_utf8(l), std::str::from_utf8(r)) {
            let (l, r): (Vec<_>, Vec<_>) = (l.lines().collect(), r.lines().collect());
            let differing = (0..l.len().max(r.len())).filter(|&i| l.get(i) != r.get(i));
            for i in differing.take(12) {
                writeln!(
                    out,
                    "{name}:{}: {:?} against {:?}",
                    i + 1,
                    l.get(i),
                    r.get(i)
                )
                .unwrap();
            }
            return;
        }
    }
    writeln!(out, "{name}: {} against {}", left.short(), right.short()).unwrap();
}

//! Verbs over data, killed or let down by the disk at every write in turn: the same command once more
//! ends as if nothing had been, the cache is clean, and nothing of the user's is lost.

use std::fs;

use crate::support::dvc::{Picture, repository};
use crate::support::{Exit, Output, Project, project};

/// More rungs than any verb has write steps.
const RUNGS_MAX: u32 = 300;

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const EACCES: i32 = 13;

/// Where the ladder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Native,
    Dvc,
}

impl Kind {
    fn project(self) -> Project {
        match self {
            Self::Native => {
                let p = project();
                // Enough of a git repository for data to be listed in `.gitignore`.
                p.write(".git/HEAD", "");
                p.ok("init");
                p
            }
            Self::Dvc => repository(),
        }
    }

    fn pointer(self, path: &str) -> String {
        match self {
            Self::Native => format!("{path}.cvops"),
            Self::Dvc => format!("{path}.dvc"),
        }
    }

    fn cache(self) -> &'static str {
        match self {
            Self::Native => ".cvops/cache",
            Self::Dvc => ".dvc/cache",
        }
    }
}

/// One verb: what stands before it, what is typed, and what is typed after the disturbance.
struct Verb {
    /// `{pointer}` stands for what the names of pointers end in.
    command: &'static str,
    before: fn(&Project, Kind),
    /// For commands that name what the first try may have taken away: typed only while that is there.
    again_if: Option<&'static str>,
}

/// Texts that must be in the workspace or in the cache, whatever happens.
const KEPT: [&str; 5] = ["one\n", "two\n", "changed\n", "file\n", "new\n"];

/// A folder and a file that are tracked, pushed, and then changed.
fn changed(p: &Project, kind: Kind) {
    p.write("d/one", "one\n")
        .write("d/sub/two", "two\n")
        .write("f.txt", "file\n");
    p.ok("add d f.txt");
    p.ok("remote add --default far ../far");
    p.ok("push");
    p.write("d/one", "changed\n").write("d/new", "new\n");
    p.write("unnamed", "one\n").ok("add unnamed");
    p.remove(&kind.pointer("unnamed"));
}

fn committed(p: &Project, kind: Kind) {
    changed(p, kind);
    p.ok("add d f.txt");
}

fn missing(p: &Project, kind: Kind) {
    committed(p, kind);
    p.ok("push");
    p.remove(kind.cache()).remove("f.txt");
}

const VERBS: [Verb; 11] = [
    Verb {
        command: "add d f.txt",
        before: changed,
        again_if: None,
    },
    Verb {
        command: "commit --force",
        before: changed,
        again_if: None,
    },
    Verb {
        command: "push",
        before: committed,
        again_if: None,
    },
    Verb {
        command: "fetch",
        before: missing,
        again_if: None,
    },
    Verb {
        command: "pull",
        before: missing,
        again_if: None,
    },
    Verb {
        command: "checkout",
        before: |p, kind| {
            committed(p, kind);
            p.remove("d").remove("f.txt");
        },
        again_if: None,
    },
    Verb {
        command: "gc --workspace --force",
        before: committed,
        again_if: None,
    },
    Verb {
        command: "move f.txt g.txt",
        before: committed,
        again_if: Some("f.txt"),
    },
    Verb {
        command: "move d into",
        before: |p, kind| {
            committed(p, kind);
            p.write("into/mine", "file\n");
        },
        again_if: Some("d"),
    },
    Verb {
        command: "remove make --outs",
        before: |p, kind| {
            committed(p, kind);
            let file = match kind {
                Kind::Native => "pipeline.yaml",
                Kind::Dvc => "dvc.yaml",
            };
            p.write(
                file,
                "stages:\n  make:\n    cmd: cp f.txt out\n    deps: [f.txt]\n    outs: [out]\n  other:\n    cmd: cp f.txt o2\n    deps: [f.txt]\n    outs: [o2]\n",
            );
            p.ok("repro");
            p.write("out", "new\n");
        },
        again_if: None,
    },
    Verb {
        command: "remove f.txt{pointer}",
        before: committed,
        again_if: Some("f.txt"),
    },
];

/// Returns everything that lies under a project's top, the remote included.
fn all(p: &Project) -> [Picture; 2] {
    let far = p.root().join("../far");
    fs::create_dir_all(&far).unwrap();
    [p.picture(), Picture::of(&far)]
}

fn assert_kept(p: &Project, kind: Kind, what: &str) {
    let mut seen = Vec::new();
    let mut folders = vec![p.root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                seen.push(text);
            }
        }
    }
    for text in KEPT {
        // An object that was swept as garbage may be gone; what a pointer names may not.
        let is_garbage = text == "one\n";
        assert!(
            is_garbage || seen.iter().any(|s| s == text),
            "{what}: {text:?} is lost ({kind:?})"
        );
    }
}

/// Runs `verb` with its n-th write disturbed until none is left to disturb.
fn climb(
    kind: Kind,
    verb: &Verb,
    variable: &str,
    value: impl Fn(u32) -> String,
    judge: impl Fn(&Output, &str),
) {
    let scene = kind.project();
    (verb.before)(&scene, kind);
    let undisturbed = scene.twin();
    let command = verb.command.replace("{pointer}", &kind.pointer(""));
    undisturbed.ok(&command);
    let right = all(&undisturbed);
    for n in 1..RUNGS_MAX {
        let what = format!("{kind:?}: {} with {variable}={}", verb.command, value(n));
        let p = scene.twin();
        let output = p.run(
            p.command(&command)
                .env(variable, value(n))
                .env("CVOPS_LOG", "cvops=debug"),
        );
        assert!(
            !output.stderr.contains("panicked"),
            "{what}: {}",
            output.transcript()
        );
        if verb.command != "pull" && verb.command != "fetch" {
            assert_kept(&p, kind, &what);
        }
        let fired = output.stderr.contains("fault point fires");
        let ended = output.exit == Exit::Code(0);
        if !ended {
            judge(&output, &what);
            let is_declared = || {
                let read = |file| fs::read_to_string(p.root().join(file)).unwrap_or_default();
                [read("pipeline.yaml"), read("dvc.yaml")]
                    .concat()
                    .contains("make:")
            };
            let again = match verb.again_if {
                Some(path) => p.exists(&kind.pointer(path)),
                None => !verb.command.starts_with("remove make") || is_declared(),
            };
            if again {
                p.ok(&command);
            }
        }
        for (mine, right) in all(&p).iter().zip(&right) {
            mine.assert_same(right, &what);
        }
        let verified = p.cvops("cache verify");
        assert_eq!(
            verified.exit,
            Exit::Code(0),
            "{what}: {}",
            verified.transcript()
        );
        if ended && !fired {
            assert!(1 < n, "{what}: nothing was disturbed");
            return;
        }
    }
    panic!("{}: no end after {RUNGS_MAX} rungs", verb.command);
}

fn climb_killed(kind: Kind) {
    for verb in &VERBS {
        climb(
            kind,
            verb,
            "CVOPS_CRASH_AT",
            |n| n.to_string(),
            |output, what| {
                assert_eq!(
                    output.exit,
                    Exit::Signal(9),
                    "{what}: {}",
                    output.transcript()
                );
            },
        );
    }
}

fn climb_failing(kind: Kind, errno: i32, words: &str) {
    for verb in &VERBS {
        climb(
            kind,
            verb,
            "CVOPS_FAIL_AT",
            |n| format!("{n}:{errno}"),
            |output, what| {
                assert_eq!(
                    output.exit,
                    Exit::Code(1),
                    "{what}: {}",
                    output.transcript()
                );
                assert!(
                    output.stderr.contains("error: "),
                    "{what}: {}",
                    output.transcript()
                );
                assert!(
                    output.stderr.contains(words),
                    "{what}: {}",
                    output.transcript()
                );
            },
        );
    }
}

#[test]
fn verbs_killed_at_any_write_end_right_the_next_time() {
    climb_killed(Kind::Native);
}

#[test]
fn verbs_killed_in_a_dvc_repository_end_right_the_next_time() {
    climb_killed(Kind::Dvc);
}

#[test]
fn verbs_on_a_full_disk_say_so_and_end_right_the_next_time() {
    climb_failing(Kind::Native, ENOSPC, "No space left on device");
}

#[test]
fn verbs_on_a_broken_disk_say_so_and_end_right_the_next_time() {
    climb_failing(Kind::Dvc, EIO, "Input/output error");
}

#[test]
fn verbs_without_permission_say_so_and_end_right_the_next_time() {
    climb_failing(Kind::Native, EACCES, "Permission denied");
}

//! Whatever is wrong: one clear message with place and way out, the promised exit code, and nothing
//! lost.
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use snapbox::{IntoData, str};

use crate::support::stages::{sample, with_pipeline};
use crate::support::{Exit, Project, check, project};

/// Checks what `cvops repro` says to a pipeline file.
#[track_caller]
fn check_pipeline(text: &str, expected: impl IntoData) {
    let p = with_pipeline(text);
    check(&p.cvops("repro"), expected);
    assert_eq!(p.read("pipeline.yaml"), text);
}

#[test]
fn broken_yaml() {
    check_pipeline(
        "stages:\n  a:\n    cmd: [echo\n  b: {cmd: x}\n",
        str![[r#"
--- stderr ---
error: `pipeline.yaml` cannot be parsed
 --> pipeline.yaml:4:4
  |
4 |   b: {cmd: x}
  |    ^ did not find expected ',' or ']' at line 4 column 4, while parsing a flow sequence
[exit 2]
"#]],
    );
    check_pipeline(
        "stages:\n  a:\n\tcmd: x\n",
        str![[r#"
--- stderr ---
error: `pipeline.yaml` cannot be parsed
 --> pipeline.yaml:3:1
  |
3 |     cmd: x
  | ^^^^ found character that cannot start any token
  |
  = help: YAML indents with spaces, never with tabs
[exit 2]
"#]],
    );
    check_pipeline(
        "stages:\n  a: {cmd: x}\n  a: {cmd: y}\n",
        str![[r#"
--- stderr ---
error: `pipeline.yaml` has the key `a` twice
 --> pipeline.yaml:3:3
  |
2 |   a: {cmd: x}
  |   - first time
3 |   a: {cmd: y}
  |   ^ second time
  |
  = help: drop one of the two, or rename it
[exit 2]
"#]],
    );
}

#[test]
fn unknown_keys_and_wrong_types_all_at_once() {
    check_pipeline(
        "stages:\n  train:\n    cmd: echo\n    dpes: [x]\n    outs: {a: b}\n    frozen: maybe\n    params: 3\n  other: []\nstagse: {}\n",
        str![[r#"
--- stderr ---
error: unknown key `dpes` in `stages.train`
 --> pipeline.yaml:4:5
  |
4 |     dpes: [x]
  |     ^^^^ not a known key
  |
  = help: did you mean `deps`?
error: `stages.train.outs.a` must be a mapping of options
 --> pipeline.yaml:5:15
  |
5 |     outs: {a: b}
  |               ^ this is a text
error: `stages.train.frozen` must be `true` or `false`
 --> pipeline.yaml:6:13
  |
6 |     frozen: maybe
  |             ^^^^^ this is a text
error: `stages.train.params` must be a list of keys, or of `file: [keys]`
 --> pipeline.yaml:7:13
  |
7 |     params: 3
  |             ^ this is a whole number
error: `stages.other` must be a mapping with at least `cmd`
 --> pipeline.yaml:8:10
  |
8 |   other: []
  |          ^ this is a list
error: unknown key `stagse`
 --> pipeline.yaml:9:1
  |
9 | stagse: {}
  | ^^^^^^ not a known key
  |
  = help: did you mean `stages`?
[exit 2]
"#]],
    );
    check_pipeline(
        "stages: [a, b]\n",
        str![[r#"
--- stderr ---
error: `stages` must be a mapping from stage names to stages
 --> pipeline.yaml:1:9
  |
1 | stages: [a, b]
  |         ^ this is a list
[exit 2]
"#]],
    );
    check_pipeline(
        "stages:\n  a: {cmd: ''}\n  b: {deps: [x]}\n  c/d: {cmd: x}\n",
        str![[r#"
--- stderr ---
error: `stages.a.cmd` is empty
 --> pipeline.yaml:2:12
  |
2 |   a: {cmd: ''}
  |            ^^
error: `stages.b` has no `cmd`
 --> pipeline.yaml:3:3
  |
3 |   b: {deps: [x]}
  |   ^
  |
  = help: add the shell command that the stage runs
error: `c/d` is not a stage name: use letters, digits, blanks, `_`, `-` and `.`, beginning with a letter, digit or `_`
 --> pipeline.yaml:4:3
  |
4 |   c/d: {cmd: x}
  |   ^^^
[exit 2]
"#]],
    );
    check_pipeline(
        "stages:\n  a:\n    cmd: x\n    deps: [/etc/passwd, ../up, '']\n",
        str![[r#"
--- stderr ---
error: `/etc/passwd` is absolute; paths are relative to the pipeline file
 --> pipeline.yaml:4:12
  |
4 |     deps: [/etc/passwd, ../up, '']
  |            ^^^^^^^^^^^
  |
  = help: copy or link the data into the project and name it from there
error: `../up` lies outside the project
 --> pipeline.yaml:4:25
  |
4 |     deps: [/etc/passwd, ../up, '']
  |                         ^^^^^
  |
  = help: copy or link the data into the project and name it from there
error: the path is empty
 --> pipeline.yaml:4:32
  |
4 |     deps: [/etc/passwd, ../up, '']
  |                                ^^
[exit 2]
"#]],
    );
    check_pipeline(
        "stages:\n  a:\n    foreach: [1, 2]\n    cmd: x\n    executor: slurm\n",
        str![[r#"
--- stderr ---
error: `stages.a` has `foreach` but no `do`
 --> pipeline.yaml:2:3
  |
2 |   a:
  |   ^
  |
  = help: `foreach` says for what stages are made, and `do` holds their text
[exit 2]
"#]],
    );
}

#[test]
fn a_cycle() {
    check_pipeline(
        "stages:\n  a: {cmd: x, deps: [c.txt], outs: [a.txt]}\n  b: {cmd: x, deps: [a.txt], outs: [b.txt]}\n  c: {cmd: x, deps: [b.txt], outs: [c.txt]}\n",
        str![[r#"
--- stderr ---
error: stages depend on each other in a circle: `a` -> `b` -> `c` -> `a`
 --> pipeline.yaml:2:22
  |
2 |   a: {cmd: x, deps: [c.txt], outs: [a.txt]}
  |                      ^^^^^ written by `c`
  |
  = help: drop one of the deps in the circle, or split a stage in two
[exit 2]
"#]],
    );
    check_pipeline(
        "stages:\n  a: {cmd: x, deps: [o/f], outs: [o]}\n",
        str![[r#"
--- stderr ---
error: stage `a` depends on its own output `o/f`
 --> pipeline.yaml:2:22
  |
2 |   a: {cmd: x, deps: [o/f], outs: [o]}
  |                      ^^^ written by `a`
  |
  = help: drop one of the deps in the circle, or split a stage in two
[exit 2]
"#]],
    );
}

#[test]
fn overlapping_outputs() {
    check_pipeline(
        "stages:\n  a: {cmd: x, outs: [same.txt]}\n  b: {cmd: x, outs: [./same.txt]}\n  c: {cmd: x, outs: [d]}\n  e: {cmd: x, outs: [d/inside]}\n",
        str![[r#"
--- stderr ---
error: `same.txt` is written by both `a` and `b`
 --> pipeline.yaml:3:22
  |
2 |   a: {cmd: x, outs: [same.txt]}
  |                      -------- first here
3 |   b: {cmd: x, outs: [./same.txt]}
  |                      ^^^^^^^^^^ written by `a` already
  |
  = help: give each stage an output of its own
error: the output `d/inside` lies inside the output `d`
 --> pipeline.yaml:5:22
  |
4 |   c: {cmd: x, outs: [d]}
  |                      -
5 |   e: {cmd: x, outs: [d/inside]}
  |                      ^^^^^^^^ `d` is written by `c`
  |
  = help: declare only the outer folder, or move one of the two elsewhere
[exit 2]
"#]],
    );
    check_pipeline(
        "stages:\n  a: {cmd: x, outs: [o, o]}\n",
        str![[r#"
--- stderr ---
error: `o` is listed twice
 --> pipeline.yaml:2:25
  |
2 |   a: {cmd: x, outs: [o, o]}
  |                         ^ second time
  |
  = help: drop one of the two
[exit 2]
"#]],
    );
}

#[test]
fn a_missing_dependency() {
    let text = "stages:\n  first: {cmd: 'echo > first', outs: [first]}\n  a: {cmd: x, deps: [data/nothing.csv], outs: [a]}\n  b: {cmd: x, deps: [data/void], outs: [b]}\n";
    let p = with_pipeline(text);
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: stage `a` needs `data/nothing.csv`, which does not exist
 --> pipeline.yaml:3:22
  |
3 |   a: {cmd: x, deps: [data/nothing.csv], outs: [a]}
  |                      ^^^^^^^^^^^^^^^^
  |
  = help: create `data/nothing.csv`, or correct the dep in the pipeline file
error: stage `b` needs `data/void`, which does not exist
 --> pipeline.yaml:4:22
  |
4 |   b: {cmd: x, deps: [data/void], outs: [b]}
  |                      ^^^^^^^^^
  |
  = help: create `data/void`, or correct the dep in the pipeline file
[exit 2]
"#]],
    );
    assert!(!p.exists("first"), "found out before the first stage ran");
    check(
        &p.cvops("status"),
        str![[r#"
first  must run    it never ran
a      must run    it never ran
b      must run    it never ran
--- stderr ---
warning: stage `a` needs `data/nothing.csv`, which does not exist
 --> pipeline.yaml:3:22
  |
3 |   a: {cmd: x, deps: [data/nothing.csv], outs: [a]}
  |                      ^^^^^^^^^^^^^^^^
  |
  = help: create `data/nothing.csv`, or correct the dep in the pipeline file
warning: stage `b` needs `data/void`, which does not exist
 --> pipeline.yaml:4:22
  |
4 |   b: {cmd: x, deps: [data/void], outs: [b]}
  |                      ^^^^^^^^^
  |
  = help: create `data/void`, or correct the dep in the pipeline file
[exit 0]
"#]],
    );
    let p = sample();
    check(
        &p.cvops("repro -s top"),
        str![[r#"
--- stderr ---
error: stage `top` needs `upper.txt`, which does not exist
 --> pipeline.yaml:8:12
  |
8 |     deps: [upper.txt]
  |            ^^^^^^^^^
  |
  = help: run `cvops repro prepare` first, which writes it
[exit 2]
"#]],
    );
}

#[test]
fn a_missing_params_file_or_key() {
    let p = sample();
    p.remove("params.yaml");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: stage `top` needs parameters from `params.yaml`, which does not exist
 --> pipeline.yaml:9:14
  |
9 |     params: [lines]
  |              ^^^^^
  |
  = help: create `params.yaml`, or correct `params:`
[exit 2]
"#]],
    );
    check(
        &p.cvops("status"),
        str![[r#"
--- stderr ---
error: stage `top` needs parameters from `params.yaml`, which does not exist
 --> pipeline.yaml:9:14
  |
9 |     params: [lines]
  |              ^^^^^
  |
  = help: create `params.yaml`, or correct `params:`
[exit 2]
"#]],
    );
    p.write("params.yaml", "train: {lines: 2}\nlinse: 3\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: stage `top` needs the parameter `lines`, which `params.yaml` does not have
 --> pipeline.yaml:9:14
  |
9 |     params: [lines]
  |              ^^^^^
  |
  = help: did you mean `linse`?
[exit 2]
"#]],
    );
    p.write("params.yaml", "lines: [1\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: `params.yaml` cannot be parsed
 --> params.yaml:1:10
  |
1 | lines: [1
  |          ^ did not find expected ',' or ']' at line 2 column 1, while parsing a flow sequence
[exit 2]
"#]],
    );
    p.write("params.yaml", "");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: stage `top` needs the parameter `lines`, which `params.yaml` does not have
 --> pipeline.yaml:9:14
  |
9 |     params: [lines]
  |              ^^^^^
  |
  = help: add it to `params.yaml`, or correct `params:`
[exit 2]
"#]],
    );
    assert_eq!(p.ran(), "");
}

#[test]
fn a_command_that_is_not_found_or_may_not_be_run() {
    check_pipeline(
        "stages: {a: {cmd: trian --fast, outs: [a]}}\n",
        str![[r#"
--- stderr ---
a: running: it never ran
a $ trian --fast
a | /bin/sh: 1: trian: not found
error: stage `a` failed: `trian --fast` exited with code 127
 |
 = note: exit code 127 means that the shell did not find a command
 = help: check its spelling, and that it is installed and on PATH
1 stage: 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    let p = with_pipeline("stages: {a: {cmd: ./tool, outs: [a]}}\n");
    p.write("tool", "#!/bin/sh\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
a: running: it never ran
a $ ./tool
a | /bin/sh: 1: ./tool: Permission denied
error: stage `a` failed: `./tool` exited with code 126
 |
 = note: exit code 126 means that a command was found but may not be run
 = help: make it executable (`chmod +x`)
1 stage: 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
}

#[test]
fn a_failing_stage_and_one_that_is_killed() {
    check_pipeline(
        "stages: {a: {cmd: 'echo half > a; echo oh no >&2; exit 7', outs: [a]}}\n",
        str![[r#"
--- stderr ---
a: running: it never ran
a $ echo half > a; echo oh no >&2; exit 7
a | oh no
error: stage `a` failed: `echo half > a; echo oh no >&2; exit 7` exited with code 7
 |
 = help: its output is above; mend the cause and run the same command again: finished stages are kept
1 stage: 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    check_pipeline(
        "stages: {a: {cmd: kill -9 $$, outs: [a]}}\n",
        str![[r#"
--- stderr ---
a: running: it never ran
a $ kill -9 $$
error: stage `a` failed: `kill -9 $$` was killed by signal 9
 |
 = help: its output is above; mend the cause and run the same command again: finished stages are kept
1 stage: 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    let p = with_pipeline("stages: {a: {cmd: exit 7, outs: [a]}}\n");
    let output = p.cvops("repro --json");
    assert_eq!(output.exit, Exit::Code(1));
    let failed = output.events("failed");
    assert_eq!(failed[0]["errors"][0]["code"], "stage-failed");
    assert_eq!(output.events("done")[0]["failed"][0], "a");
}

#[test]
fn an_output_that_was_not_produced_or_cannot_be_kept() {
    let p = with_pipeline("stages: {a: {cmd: 'echo > a', outs: [a, b/c.txt]}}\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
a: running: it never ran
a $ echo > a
error: stage `a` did not produce its output `b/c.txt`
 |
 = help: let the command write `b/c.txt`, or drop it from `outs`
1 stage: 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    // What it did write is still there to be looked at.
    assert!(p.exists("a"));
    check_pipeline(
        "stages: {a: {cmd: mkfifo a, outs: [a]}}\n",
        str![[r#"
--- stderr ---
a: running: it never ran
a $ mkfifo a
error: `[ROOT]/a` is a named pipe, not a file or folder
 |
 = note: while putting the output `a` into the cache
 = help: remove it, or list it in `.cvopsignore`
1 stage: 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    check_pipeline(
        "stages: {a: {cmd: x, wdir: nowhere, outs: [a]}}\n",
        str![[r#"
--- stderr ---
a: running: it never ran
a $ x
a | /bin/sh: 1: x: not found
error: stage `a` failed: `x` exited with code 127
 |
 = note: exit code 127 means that the shell did not find a command
 = help: check its spelling, and that it is installed and on PATH
1 stage: 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
}

#[test]
fn a_failed_run_that_rewrote_its_output_does_not_count() {
    let p = with_pipeline("stages: {a: {cmd: 'cat n > a; exit $(cat n)', deps: [n], outs: [a]}}\n");
    p.write("n", "0\n");
    p.ok("repro");
    p.write("n", "1\n");
    assert_eq!(p.cvops("repro").exit, Exit::Code(1));
    assert_eq!(p.read("a"), "1\n");
    check(
        &p.cvops("status"),
        str![[r#"
a  must run    dependency `n` changed ([HASH] -> [HASH]) (and 1 more)
[exit 0]
"#]],
    );
    p.write("n", "0\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
a: restoring an earlier result: output `a` was modified ([HASH] -> [HASH])
a: `a` was not in the cache; its content is kept there as [HASH]
a: restored in [TIME]
1 stage: 1 restored
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.read("a"), "0\n");
}

/// Returns the place of the object that holds this text.
fn object(p: &Project, text: &str) -> PathBuf {
    let hash = blake3::hash(text.as_bytes()).to_hex();
    p.path(&format!(
        ".cvops/cache/blake3/{}/{}",
        &hash[..2],
        &hash[2..]
    ))
}

fn spoil(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_corrupted_cache_object_is_set_aside_and_the_stage_runs() {
    let p = sample();
    p.ok("repro");
    p.ran();
    spoil(&object(&p, "FIG\nKIWI\n"));
    p.remove("top.txt");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: unchanged
top: restoring an earlier result: output `top.txt` is missing
 WARN a corrupt object was taken out of the cache object=[HASH]
top: the earlier result cannot be used (the cache has a damaged object under `[HASH]`); running instead
top $ echo top >> ~/runs; head -n "$(sed 's/[^0-9]//g' params.yaml)" upper.txt > top.txt
top: done in [TIME]
tally: unchanged
3 stages: 1 ran, 2 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(
        (p.ran(), p.read("top.txt")),
        ("top".to_owned(), "FIG\nKIWI\n".to_owned())
    );
    p.ok("cache verify");
    spoil(&object(&p, "FIG\nKIWI\n"));
    check(
        &p.cvops("cache verify"),
        str![[r#"
[HASH] is damaged; it was moved to the cache's `corrupt` folder
3 objects (25 B) verified; `cvops fetch` brings what is missing from a remote, `cvops repro` makes it anew
--- stderr ---
 WARN a corrupt object was taken out of the cache object=[HASH]
[exit 1]
"#]],
    );
    check(
        &p.cvops("cache verify"),
        str![[r#"
2 objects (16 B) verified; all are what they should be
[exit 0]
"#]],
    );
    // The workspace still has the bytes, and gives them back when they are next needed.
    p.ok("repro -f top");
    p.ok("cache verify");
}

#[test]
fn a_deleted_cache_object_is_made_again() {
    let p = sample();
    p.ok("repro");
    p.ran();
    fs::remove_file(object(&p, "FIG\nKIWI\n")).unwrap();
    p.remove("top.txt");
    check(
        &p.cvops("checkout"),
        str![[r#"
--- stderr ---
error: `top.txt` cannot be put in place: the cache does not have `[HASH]`
 |
 = help: `cvops fetch` brings it from a remote that has it; `cvops repro top` makes it anew
[exit 1]
"#]],
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: unchanged
top: running: output `top.txt` is missing
top $ echo top >> ~/runs; head -n "$(sed 's/[^0-9]//g' params.yaml)" upper.txt > top.txt
top: done in [TIME]
tally: unchanged
3 stages: 1 ran, 2 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "top");
    // The whole cache gone: only what is not in the workspace is lost.
    p.remove(".cvops");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: unchanged
top: unchanged
tally: unchanged
everything is up to date (3 stages)
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "");
    p.write("params.yaml", "lines: 3\n");
    p.ok("repro");
    p.write("params.yaml", "lines: 2\n");
    p.ok("repro");
    p.ok("cache verify");
}

#[test]
fn a_file_missing_from_a_cached_folder() {
    let p = with_pipeline("stages: {a: {cmd: mkdir d; echo 1 > d/x; echo 2 > d/y, outs: [d]}}\n");
    p.ok("repro");
    fs::remove_file(object(&p, "2\n")).unwrap();
    check(
        &p.cvops("cache verify"),
        str![[r#"
[HASH].dir lacks 1 file
2 objects (237 B) verified; `cvops fetch` brings what is missing from a remote, `cvops repro` makes it anew
[exit 1]
"#]],
    );
    p.remove("d");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
a: restoring an earlier result: output `d` is missing
a: the earlier result cannot be used (the cache does not have all of the folder `[HASH]`: missing `[HASH]`); running instead
a $ mkdir d; echo 1 > d/x; echo 2 > d/y
a: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    p.ok("cache verify");
}

#[test]
fn a_lock_with_conflict_markers() {
    let p = sample();
    p.ok("repro");
    let lock = p.read("pipeline.lock");
    let conflict = lock.replacen(
        "        lines: 2\n",
        "<<<<<<< HEAD\n        lines: 2\n=======\n        lines: 3\n>>>>>>> other\n",
        1,
    );
    p.write("pipeline.lock", &conflict);
    for command in ["repro", "status", "checkout"] {
        check(
            &p.cvops(command),
            str![[r#"
--- stderr ---
error: `pipeline.lock` cannot be parsed
  --> pipeline.lock:33:14
   |
33 |         lines: 2
   |              ^ could not find expected ':' at line 33 column 14, while scanning a simple key
   |
   = note: line 32 holds a git conflict marker
   = help: keep either side (`git checkout --theirs pipeline.lock`), then run `cvops repro`: it brings the lock up to date
[exit 2]
"#]],
        );
    }
    assert_eq!(p.read("pipeline.lock"), conflict);
}

#[test]
fn a_lock_entry_with_a_bad_path_or_key_is_named() {
    let p = sample();
    p.ok("repro");
    let entry = |line: &str| format!("schema: '1'\nstages:\n  top:\n    cmd: x\n{line}");
    for (line, said) in [
        ("    wdir: ../up\n", "`../up` lies outside the project"),
        ("    params: {/etc/x: {a: 1}}\n", "`/etc/x` is absolute"),
        ("    params: {params.yaml: {'a[': 1}}\n", "a["),
        (
            "    params: {params.yaml: 3}\n",
            "must be a mapping of parameters to values",
        ),
        (
            "    env: {HOME: 3}\n",
            "`stages.top.env.HOME` must be a text or nothing",
        ),
        ("    deps: [{path: ../x}]\n", "no valid `path`"),
    ] {
        p.write("pipeline.lock", entry(line));
        let output = p.cvops("status");
        assert_eq!(output.exit, Exit::Code(2), "{line}");
        assert!(
            output.stderr.contains(said)
                && output.stderr.contains("--> pipeline.lock:5:")
                && output.stderr.contains("delete `pipeline.lock`"),
            "{line}\n{}",
            output.transcript()
        );
    }
}

#[test]
fn a_lock_of_another_version_or_broken() {
    let p = sample();
    p.ok("repro");
    p.edit("pipeline.lock", "schema: '1'", "schema: '9'");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: the lock has version 9, this program reads version 1
 --> pipeline.lock:2:9
  |
2 | schema: '9'
  |         ^^^
  |
  = help: update cvops to the version that wrote it
[exit 2]
"#]],
    );
    p.edit("pipeline.lock", "schema: '9'", "schema: '1'").edit(
        "pipeline.lock",
        "size: 9",
        "size: big",
    );
    check(
        &p.cvops("status"),
        str![[r#"
--- stderr ---
error: `stages.tally.deps[0].size` must be a whole number from 0 to 18446744073709551615
  --> pipeline.lock:19:13
   |
19 |       size: big
   |             ^^^ this is a text
   |
   = help: restore it from git, or delete `pipeline.lock`: `cvops repro` writes it anew and takes results from the run cache
error: `stages.top.outs[0].size` must be a whole number from 0 to 18446744073709551615
  --> pipeline.lock:36:13
   |
36 |       size: big
   |             ^^^ this is a text
   |
   = help: restore it from git, or delete `pipeline.lock`: `cvops repro` writes it anew and takes results from the run cache
[exit 2]
"#]],
    );
    p.write("pipeline.lock", "");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: restoring an earlier result: it never ran
prepare: restored in [TIME]
top: restoring an earlier result: it never ran
top: restored in [TIME]
tally: restoring an earlier result: it never ran
tally: restored in [TIME]
3 stages: 3 restored
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
}

#[test]
fn no_space_left() {
    let p = sample();
    let disk = p.path("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(&disk)
        .output()
        .is_ok_and(|o| o.status.success());
    if !mounted {
        eprintln!("skipped: only root may mount");
        return;
    }
    let _unmount = Unmount(&disk);
    p.write(".cvops/config.yaml", "cache: {dir: disk/cache}\n");
    p.write("data/words.txt", "word\n".repeat(30_000));
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: running: it never ran
prepare $ echo prepare >> ~/runs; tr a-z A-Z < data/words.txt > upper.txt
error: could not write an object in `[ROOT]/disk/cache/blake3`: No space left on device (os error 28)
 |
 = note: while putting the output `upper.txt` into the cache
 = help: free some space on this file system, then run the same command again; nothing was lost
3 stages: 1 failed, 2 not started
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    assert_eq!(p.read("data/words.txt").len(), 150_000);
    // What the stage wrote is in no cache, so it is not deleted to make room.
    p.write("data/words.txt", "fig\nkiwi\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: running: it never ran
error: could not write an object in `[ROOT]/disk/cache/blake3`: No space left on device (os error 28)
 |
 = note: while putting the output `upper.txt` into the cache
 = help: free some space on this file system, then run the same command again; nothing was lost
3 stages: 1 failed, 2 not started
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    p.remove("upper.txt");
    p.ok("repro");
    p.ok("cache verify");
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// Runs cvops as nobody, who may write nothing here; `None` if this process may not become nobody.
fn as_nobody(p: &Project, args: &str) -> Option<crate::support::Output> {
    // The folders above the project belong to root; let nobody look in.
    fs::set_permissions(
        p.root().parent().unwrap(),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let program = p.command(args);
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command
        .arg(program.get_program())
        .args(program.get_args())
        .env_clear();
    command
        .envs(program.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .current_dir(p.root());
    let output = p.run(&mut command);
    if output.stderr.contains("setpriv:") || output.exit == Exit::Code(127) {
        eprintln!("skipped: only root may become another user");
        return None;
    }
    Some(output)
}

#[test]
fn a_folder_without_write_permission() {
    let p = sample();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may become another user");
        return;
    }
    let Some(output) = as_nobody(&p, "repro") else {
        return;
    };
    check(
        &output,
        str![[r#"
--- stderr ---
error: could not create folder `[ROOT]/.cvops`: Permission denied (os error 13)
 |
 = help: give yourself permission (`ls -ld` shows owner and mode), then run the same command again
[exit 1]
"#]],
    );
    p.ok("repro");
    p.ran();
    // Looking needs no permission to write.
    check(
        &as_nobody(&p, "status").unwrap(),
        str![[r#"
prepare  unchanged
top      unchanged
tally    unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
    check(
        &as_nobody(&p, "repro").unwrap(),
        str![[r#"
--- stderr ---
error: could not open `[ROOT]/.cvops/tmp/locks/project.lock`: Permission denied (os error 13)
 |
 = help: give yourself permission (`ls -ld` shows owner and mode), then run the same command again
[exit 1]
"#]],
    );
    check(
        &as_nobody(&p, "init").unwrap(),
        str![[r#"
--- stderr ---
error: could not write `[ROOT]/.cvops/config.yaml`: Permission denied (os error 13)
 |
 = help: give yourself permission (`ls -ld` shows owner and mode), then run the same command again
[exit 1]
"#]],
    );
    p.ok("repro");
    assert_eq!(p.ran(), "");
}

#[test]
fn a_damaged_state_db_is_made_anew() {
    let p = sample();
    p.ok("repro");
    p.ran();
    p.write(
        ".cvops/state.db",
        "this is no database, and long enough to look like one\n".repeat(100),
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
 WARN the stat cache is damaged; it is moved aside and rebuilt error=could not use the database `[ROOT]/.cvops/state.db`: file is not a database
prepare: unchanged
top: unchanged
tally: unchanged
everything is up to date (3 stages)
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "");
    p.write(".cvops/state.db", "");
    p.ok("status");
    p.remove(".cvops/state.db");
    fs::create_dir(p.path(".cvops/state.db")).unwrap();
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
 WARN the stat cache cannot be read; files will be hashed again error=could not use the database `[ROOT]/.cvops/state.db`: unable to open database file: [ROOT]/.cvops/state.db
prepare: unchanged
top: unchanged
tally: unchanged
 WARN the stat cache was not written; files will be hashed again error=could not use the database `[ROOT]/.cvops/state.db`: unable to open database file: [ROOT]/.cvops/state.db
everything is up to date (3 stages)
[exit 0]
"#]],
    );
}

#[test]
fn a_damaged_run_record_counts_as_none() {
    let p =
        with_pipeline("stages: {a: {cmd: cat n > a; echo a >> ~/runs, deps: [n], outs: [a]}}\n");
    p.write("n", "1\n");
    p.ok("repro");
    for folder in fs::read_dir(p.path(".cvops/runs")).unwrap() {
        for record in fs::read_dir(folder.unwrap().path()).unwrap() {
            let record = record.unwrap().path();
            // What the stage told lies in a folder beside its record.
            if record.is_file() {
                fs::write(record, "{\"cmd\": [").unwrap();
            }
        }
    }
    p.write("n", "2\n");
    p.ok("repro");
    p.write("n", "1\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
 WARN a run record is damaged and counts as absent path=[ROOT]/.cvops/runs/[..].json error=`[ROOT]/.cvops/runs/[..].json` is not valid
a: running: dependency `n` changed ([HASH] -> [HASH])
a $ cat n > a; echo a >> ~/runs
a: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "a a a");
}

#[test]
fn no_pipeline_file_an_empty_one_and_one_that_is_no_text() {
    let p = project();
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: `[ROOT]` is not inside a cvops project
 |
 = note: looked for `pipeline.yaml`, `.dvc/` or `.cvops/config.yaml` here and above
 = help: run `cvops init` in the folder that should become the project
[exit 2]
"#]],
    );
    p.ok("init");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: there is no `pipeline.yaml` in `[ROOT]`
 |
 = help: write a `pipeline.yaml` with at least one stage (`cvops schema` describes it)
[exit 2]
"#]],
    );
    check(
        &p.cvops("status"),
        str![[r#"
--- stderr ---
error: there is no `pipeline.yaml` in `[ROOT]`
 |
 = help: write a `pipeline.yaml` with at least one stage (`cvops schema` describes it)
[exit 2]
"#]],
    );
    for text in ["", "# only a comment\n"] {
        p.write("pipeline.yaml", text);
        check(
            &p.cvops("repro"),
            str![[r#"
--- stderr ---
error: `pipeline.yaml` declares no stages
 |
 = help: add a `stages:` mapping, for example
           stages:
             hello:
               cmd: echo hello > out.txt
               outs: [out.txt]
[exit 2]
"#]],
        );
    }
    p.write("pipeline.yaml", "stages:\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
the pipeline has no stages yet (`cvops schema` describes them)
[exit 0]
"#]],
    );
    p.write("pipeline.yaml", "stages: {}\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
the pipeline has no stages yet (`cvops schema` describes them)
[exit 0]
"#]],
    );
    p.write("pipeline.yaml", [0x89, b'P', b'N', b'G', 0xff, 0xfe, 0, 0]);
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: `pipeline.yaml` is not UTF-8 text (first bad byte at offset 0)
 |
 = help: save the file as UTF-8
[exit 2]
"#]],
    );
    p.remove("pipeline.yaml");
    fs::create_dir(p.path("pipeline.yaml")).unwrap();
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: there is no `pipeline.yaml` in `[ROOT]`
 |
 = help: write a `pipeline.yaml` with at least one stage (`cvops schema` describes it)
[exit 2]
"#]],
    );
}

#[test]
fn a_misspelt_target_and_a_missing_folder() {
    let p = sample();
    check(
        &p.cvops("repro tahly"),
        str![[r#"
--- stderr ---
error: `tahly` is neither a stage nor an output of one
 |
 = help: did you mean `tally`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("status zzz"),
        str![[r#"
--- stderr ---
error: `zzz` is neither a stage nor an output of one
 |
 = help: `cvops dag` shows all stages
[exit 2]
"#]],
    );
    check(
        &p.cvops("why tallly"),
        str![[r#"
--- stderr ---
error: `tallly` is neither a stage nor an output of one
 |
 = help: did you mean `tally`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("-C nowhere repro"),
        str![[r#"
--- stderr ---
error: cannot work in the folder `nowhere`: No such file or directory (os error 2)
 |
 = help: check the path that follows `-C`
[exit 2]
"#]],
    );
    check(
        &p.cvops("-C data/words.txt repro"),
        str![[r#"
--- stderr ---
error: cannot work in the folder `data/words.txt`: it is a file
 |
 = help: check the path that follows `-C`
[exit 2]
"#]],
    );
    check(
        &p.cvops("repro -j 0"),
        str![[r#"
--- stderr ---
error: invalid value '0' for '--jobs <N>': it must be at least 1

For more information, try '--help'.
[exit 2]
"#]],
    );
    check(
        &p.cvops("repor"),
        str![[r#"
--- stderr ---
error: unrecognized subcommand 'repor'

  tip: a similar subcommand exists: 'repro'

Usage: cvops [OPTIONS] <COMMAND>

For more information, try '--help'.
[exit 2]
"#]],
    );
}

#[test]
fn broken_settings() {
    let p = sample();
    p.write(
        ".cvops/config.yaml",
        "core: {jobs: many}\ncahce: {dir: x}\n",
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: `core.jobs` must be a whole number from 1 to 1024
 --> .cvops/config.yaml:1:14
  |
1 | core: {jobs: many}
  |              ^^^^ this is a text
error: unknown key `cahce`
 --> .cvops/config.yaml:2:1
  |
2 | cahce: {dir: x}
  | ^^^^^ not a known key
  |
  = help: did you mean `cache`?
[exit 2]
"#]],
    );
    assert_eq!(p.ran(), "");
}

#[test]
fn a_repro_inside_a_stage_of_the_same_project() {
    let p = with_pipeline("stages: {a: {cmd: cvops repro && echo > a, outs: [a]}}\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
a: running: it never ran
a $ cvops repro && echo > a
a | error: `cvops repro` cannot run inside the stage `a` of the same project
a |  |
a |  = note: the command that runs the stage holds the project lock
a |  = help: drop it from the stage's `cmd`
error: stage `a` failed: `cvops repro && echo > a` exited with code 2
 |
 = help: its output is above; mend the cause and run the same command again: finished stages are kept
1 stage: 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    // Looking is fine, and so is another project.
    let p =
        with_pipeline("stages: {a: {cmd: 'cvops status > a; cvops -C inner repro', outs: [a]}}\n");
    p.write(
        "inner/pipeline.yaml",
        "stages: {b: {cmd: echo > b, outs: [b]}}\n",
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
a: running: it never ran
a $ cvops status > a; cvops -C inner repro
a | b: running: it never ran
a | b $ echo > b
a | b: done in [TIME]
a | 1 stage: 1 ran
a | recorded as `[RUN]`; `cvops runs show` shows it
a: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert!(p.exists("inner/b"));
}

#[test]
fn errors_have_a_machine_form() {
    let p = with_pipeline("stages:\n  a: {cmd: x, dpes: [y]}\n");
    let output = p.cvops("repro --json");
    assert_eq!((output.exit, output.stderr.as_str()), (Exit::Code(2), ""));
    let error = output.events("error")[0]["error"].clone();
    assert_eq!(error["code"], "unknown-key");
    assert_eq!(error["places"][0]["file"], "pipeline.yaml");
    assert_eq!(
        (
            error["places"][0]["line"].as_u64(),
            error["places"][0]["column"].as_u64()
        ),
        (Some(2), Some(15))
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_behind_stdout_is_a_failure() {
    let p = project();
    p.write("pipeline.yaml", "stages: {a: {cmd: echo > a, outs: [a]}}\n");
    for line in ["status --json", "config", "man"] {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = p.command(line).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(
            said.contains("error: cannot write the result to stdout: No space left"),
            "{line}: {said}"
        );
    }
}

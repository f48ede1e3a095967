//! `cvops push`, `fetch`, `pull` and `status --cloud`, with a folder as the remote.

use std::fs;
use std::path::{Path, PathBuf};

use snapbox::str;

use crate::support::{Exit, Project, check, project};

/// A file, a folder and a note that stays here, with the remote `far` beside the home folder.
pub(crate) fn scene() -> Project {
    let p = project();
    p.write(
        "pipeline.yaml",
        "stages:\n  file: {cmd: 'cat n.txt > one.txt', deps: [n.txt], outs: [one.txt]}\n  dir: {cmd: 'mkdir d; cp n.txt d/n; echo same > d/same', deps: [n.txt], outs: [d]}\n  note: {cmd: echo note > note.txt, outs: [{note.txt: {push: false}}]}\n",
    );
    p.write("n.txt", "1\n");
    add_remote(&p, "far");
    p.ok("repro");
    p
}

/// Makes a folder in the home folder the default remote.
fn add_remote(p: &Project, name: &str) {
    let folder = p.home().join(name);
    p.ok(&format!("remote add --default {name} {}", folder.display()));
}

/// Returns all files below a folder, relative to it, sorted.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

pub(crate) fn far(p: &Project) -> PathBuf {
    p.home().join("far")
}

/// Forgets all that is here and was pushed.
fn forget(p: &Project) {
    p.remove(".cvops/cache").remove("one.txt").remove("d");
}

/// Returns the place on the remote of the bytes `text`.
fn object(p: &Project, text: &str) -> PathBuf {
    let hash = blake3::hash(text.as_bytes()).to_hex();
    far(p).join("blake3").join(&hash[..2]).join(&hash[2..])
}

fn replace(path: &Path, text: &str) {
    fs::remove_file(path).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn what_is_pushed_once_is_not_pushed_again_and_comes_back() {
    let p = scene();
    check(
        &p.cvops("push"),
        str![[r#"
3 files pushed to `far` (245 B)
[exit 0]
"#]],
    );
    check(
        &p.cvops("push"),
        str![[r#"
everything is up to date
[exit 0]
"#]],
    );
    check(
        &p.cvops("push --json"),
        str![[r#"
{"bytes":0,"damaged":[],"lacking":[],"pushed":0,"remotes":["far"]}
[exit 0]
"#]],
    );
    let there = files(&far(&p));
    assert_eq!(there.len(), 3, "{there:?}");
    assert!(there.iter().all(|name| name.starts_with("blake3/")));
    check(
        &p.cvops("fetch"),
        str![[r#"
everything is up to date
[exit 0]
"#]],
    );
    forget(&p);
    check(
        &p.cvops("fetch"),
        str![[r#"
3 files fetched from `far` (245 B)
[exit 0]
"#]],
    );
    assert!(!p.exists("d"));
    check(
        &p.cvops("pull"),
        str![[r#"
A  d/
A  one.txt
3 files put in place
[exit 0]
"#]],
    );
    check(
        &p.cvops("pull"),
        str![[r#"
everything is up to date
[exit 0]
"#]],
    );
    assert_eq!(p.read("d/same"), "same\n");
    forget(&p);
    check(
        &p.cvops("pull --json"),
        str![[r#"
{"bytes":245,"changed":[{"change":"added","path":"d","saved":null},{"change":"added","path":"one.txt","saved":null}],"damaged":[],"fetched":3,"lacking":[],"remotes":["far"]}
[exit 0]
"#]],
    );
    p.ok("cache verify");
}

#[test]
fn targets_are_stages_outputs_and_parts_of_folders() {
    let p = scene();
    check(
        &p.cvops("push file"),
        str![[r#"
1 file pushed to `far` (2 B)
[exit 0]
"#]],
    );
    check(
        &p.cvops("push d one.txt"),
        str![[r#"
2 files pushed to `far` (243 B)
[exit 0]
"#]],
    );
    forget(&p);
    check(
        &p.cvops("pull d/same"),
        str![[r#"
A  d/same
1 file fetched from `far` (5 B), 1 file put in place
[exit 0]
"#]],
    );
    assert!(!p.exists("d/n"));
    check(
        &p.cvops("pull d"),
        str![[r#"
M  d/
1 file fetched from `far` (2 B), 1 file put in place
--- stderr ---
   its old content was not in the cache; it is kept there as [HASH].dir
[exit 0]
"#]],
    );
    check(
        &p.cvops("pull nosuch"),
        str![[r#"
--- stderr ---
error: `nosuch` is neither a stage nor an output of one
 |
 = help: `cvops dag` shows all stages
[exit 2]
"#]],
    );
    check(
        &p.cvops("-C d pull ../one.txt"),
        str![[r#"
A  one.txt
1 file put in place
[exit 0]
"#]],
    );
}

#[test]
fn outputs_go_where_they_want() {
    let p = scene();
    let near = p.home().join("near");
    p.ok(&format!("remote add near {}", near.display()));
    p.edit(
        "pipeline.yaml",
        "outs: [one.txt]",
        "outs: [{one.txt: {remote: near}}]",
    );
    p.ok("repro");
    check(
        &p.cvops("push"),
        str![[r#"
4 files pushed to `far`, `near` (247 B)
[exit 0]
"#]],
    );
    assert_eq!(files(&near).len(), 1);
    // What insists on another remote is left out when one is named, as in DVC.
    check(
        &p.cvops("push -r far"),
        str![[r#"
everything is up to date
[exit 0]
"#]],
    );
    check(
        &p.cvops("status -c"),
        str![[r#"
the cache and the remote `far`, `near` are in sync
[exit 0]
"#]],
    );
    check(
        &p.cvops("push -r fra"),
        str![[r#"
--- stderr ---
error: there is no remote `fra`
 |
 = help: did you mean `far`?
[exit 2]
"#]],
    );
    forget(&p);
    p.ok("pull");
    assert_eq!(p.read("one.txt"), "1\n");
}

#[test]
fn without_a_remote_it_says_how_to_add_one() {
    let p = project();
    p.write(
        "pipeline.yaml",
        "stages: {a: {cmd: echo 1 > a, outs: [a]}}\n",
    );
    p.ok("repro");
    check(
        &p.cvops("push"),
        str![[r#"
--- stderr ---
error: no remote was named, and there is no default one
 |
 = help: `cvops remote add --default NAME FOLDER` adds one
[exit 2]
"#]],
    );
    // Nothing has to come from anywhere.
    check(
        &p.cvops("pull"),
        str![[r#"
everything is up to date
[exit 0]
"#]],
    );
    p.remove(".cvops/cache");
    check(
        &p.cvops("fetch"),
        str![[r#"
--- stderr ---
error: no remote was named, and there is no default one
 |
 = help: `cvops remote add --default NAME FOLDER` adds one
[exit 2]
"#]],
    );
}

#[test]
fn what_is_lacking_or_damaged_is_named() {
    let p = scene();
    p.ok("push");
    forget(&p);
    fs::remove_file(object(&p, "same\n")).unwrap();
    check(
        &p.cvops("fetch"),
        str![[r#"
2 files fetched from `far` (240 B)
--- stderr ---
error: the remote `far` does not have `d/same`
 |
 = help: push it from a machine that has it (`cvops push --thorough`), or make outputs anew with `cvops repro`
[exit 1]
"#]],
    );
    check(
        &p.cvops("pull"),
        str![[r#"
A  one.txt
1 file put in place
--- stderr ---
error: the remote `far` does not have `d/same`
 |
 = help: push it from a machine that has it (`cvops push --thorough`), or make outputs anew with `cvops repro`
[exit 1]
"#]],
    );
    check(
        &p.cvops("pull --allow-missing"),
        str![[r#"
nothing changed
[exit 0]
"#]],
    );
    replace(&object(&p, "1\n"), "2\n");
    forget_cache(&p);
    check(
        &p.cvops("fetch file"),
        str![[r#"
everything is up to date
--- stderr ---
error: the remote `far` has damaged `one.txt`
 |
 = help: push it from a machine that has it (`cvops push --thorough`), or make outputs anew with `cvops repro`
[exit 1]
"#]],
    );
    check(
        &p.cvops("cache verify"),
        str![[r#"
0 objects (0 B) verified; all are what they should be
[exit 0]
"#]],
    );
    // The remote is mended by who has it.
    p.ok("repro");
    check(
        &p.cvops("push"),
        str![[r#"
everything is up to date
[exit 0]
"#]],
    );
    check(
        &p.cvops("push --thorough"),
        str![[r#"
2 files pushed to `far` (7 B)
[exit 0]
"#]],
    );
}

fn forget_cache(p: &Project) {
    p.remove(".cvops/cache");
}

#[test]
fn a_push_of_what_the_cache_lost_sends_the_rest() {
    let p = scene();
    let hash = blake3::hash(b"same\n").to_hex();
    p.remove(&format!(
        ".cvops/cache/blake3/{}/{}",
        &hash[..2],
        &hash[2..]
    ));
    check(
        &p.cvops("push"),
        str![[r#"
1 file pushed to `far` (2 B)
--- stderr ---
error: the cache does not have `d/same`
 |
 = help: `cvops fetch` brings it from another remote, `cvops repro` makes outputs anew; then push again
[exit 1]
"#]],
    );
    // The folder's own object stays here: where it is, its files are.
    assert_eq!(files(&far(&p)).len(), 1);
}

#[test]
fn a_remote_that_cannot_be_used_is_named() {
    let p = scene();
    fs::write(far(&p), "a file\n").unwrap();
    check(
        &p.cvops("push"),
        str![[r#"
--- stderr ---
error: could not write to the remote `far` (`[HOME]/far`): Not a directory (os error 20)
 |
 = help: check that `[HOME]/far` can be reached, or `cvops remote modify far url PATH`; then run the same command again: what arrived stays
[exit 1]
"#]],
    );
    check(
        &p.cvops("fetch"),
        str![[r#"
everything is up to date
[exit 0]
"#]],
    );
    p.ok("remote add --default cloud s3://bucket/x");
    check(
        &p.cvops("push"),
        str![[r#"
--- stderr ---
error: the remote `cloud` is a `s3://` one, which is not supported yet
 |
 = help: `cvops remote modify cloud url FOLDER` names a folder instead
[exit 2]
"#]],
    );
}

#[test]
fn the_differences_are_told_in_dvcs_words() {
    let p = scene();
    check(
        &p.cvops("status -c"),
        str![[r#"
	new:                d
	new:                d/n
	new:                d/same
	new:                one.txt
[exit 0]
"#]],
    );
    check(
        &p.cvops("status -c --json"),
        str![[r#"
{"d":"new","d/n":"new","d/same":"new","one.txt":"new"}
[exit 0]
"#]],
    );
    p.ok("push");
    check(
        &p.cvops("status -c"),
        str![[r#"
the cache and the remote `far` are in sync
[exit 0]
"#]],
    );
    check(
        &p.cvops("status -c --exit-code"),
        str![[r#"
the cache and the remote `far` are in sync
[exit 0]
"#]],
    );
    forget_cache(&p);
    check(
        &p.cvops("status -c --md"),
        str![[r#"
| state   | path    |
| ------- | ------- |
| deleted | d       |
| deleted | d/n     |
| deleted | d/same  |
| deleted | one.txt |
[exit 0]
"#]],
    );
    check(
        &p.cvops("status -c --exit-code -q"),
        str![[r#"
	deleted:            d
	deleted:            d/n
	deleted:            d/same
	deleted:            one.txt
[exit 1]
"#]],
    );
    fs::remove_dir_all(far(&p)).unwrap();
    check(
        &p.cvops("status -c file"),
        str![[r#"
	missing:            one.txt
[exit 0]
"#]],
    );
}

#[test]
fn commits_are_pushed_with_what_they_used() {
    let p = scene();
    p.git_init();
    p.git("tag first");
    p.write("n.txt", "2\n");
    p.ok("repro");
    p.git("commit --quiet --all --message second");
    p.write("n.txt", "3\n");
    p.ok("repro");
    check(
        &p.cvops("push"),
        str![[r#"
3 files pushed to `far` (245 B)
[exit 0]
"#]],
    );
    check(
        &p.cvops("push -T"),
        str![[r#"
2 files pushed to `far` (240 B)
[exit 0]
"#]],
    );
    check(
        &p.cvops("push -a"),
        str![[r#"
2 files pushed to `far` (240 B)
[exit 0]
"#]],
    );
    check(
        &p.cvops("status -A"),
        str![[r#"
the cache and the remote `far` are in sync
[exit 0]
"#]],
    );
    // A commit with a broken lock is left out, and named.
    let lock = p.read("pipeline.lock");
    p.write("pipeline.lock", "a: [\n");
    p.git("commit --quiet --all --message broken");
    p.write("pipeline.lock", lock);
    check(
        &p.cvops("push -A"),
        str![[r#"
everything is up to date
--- stderr ---
warning: `pipeline.lock` cannot be parsed
 --> pipeline.lock:1:5
  |
1 | a: [
  |     ^ did not find expected node content
  |
  = note: the revision `[..]` is left out
[exit 0]
"#]],
    );
    forget(&p);
    check(
        &p.cvops("fetch -T"),
        str![[r#"
5 files fetched from `far` (485 B)
[exit 0]
"#]],
    );
}

#[test]
fn colleagues_restore_what_one_has_computed() {
    let p = scene();
    p.write("n.txt", "2\n");
    p.ok("repro");
    p.write("n.txt", "1\n");
    p.ok("repro");
    check(
        &p.cvops("push --run-cache"),
        str![[r#"
11 files pushed to `far` (490 B)
[exit 0]
"#]],
    );
    check(
        &p.cvops("push --run-cache"),
        str![[r#"
everything is up to date
[exit 0]
"#]],
    );
    forget(&p);
    p.remove(".cvops/runs").write("n.txt", "2\n");
    check(
        &p.cvops("fetch --run-cache"),
        str![[r#"
11 files fetched from `far` (490 B)
[exit 0]
"#]],
    );
    let done = p.ok("repro --json").events("done");
    let outcomes: Vec<_> = done[0]["done"].as_array().unwrap().iter().collect();
    assert!(
        outcomes.iter().all(|d| d["outcome"] != "ran"),
        "{outcomes:?}"
    );
}

#[test]
fn repro_gets_what_is_missing_from_the_default_remote() {
    let p = scene();
    p.write("data.txt", "tracked\n");
    p.ok("add data.txt");
    p.write(
        "pipeline.yaml",
        "stages:\n  up: {cmd: tr a-z A-Z < data.txt > up.txt, deps: [data.txt], outs: [up.txt]}\n  down: {cmd: cat up.txt > down.txt, deps: [up.txt], outs: [down.txt]}\n",
    );
    p.ok("repro");
    p.ok("push --run-cache");
    let lock = p.read("pipeline.lock");
    for forgotten in ["the data and the results", "the lock, too"] {
        forget_cache(&p);
        p.remove(".cvops/runs")
            .remove("data.txt")
            .remove("up.txt")
            .remove("down.txt");
        if forgotten == "the lock, too" {
            p.remove("pipeline.lock");
        }
        let done = p.ok("repro --pull --json").events("done");
        let outcomes = done[0]["done"].as_array().unwrap();
        assert_eq!(outcomes.len(), 2, "{forgotten}");
        assert!(
            outcomes.iter().all(|d| d["outcome"] != "ran"),
            "{forgotten}: {outcomes:?}"
        );
        assert_eq!(p.read("data.txt"), "tracked\n", "{forgotten}");
        assert_eq!(p.read("down.txt"), "TRACKED\n", "{forgotten}");
        assert_eq!(p.read("pipeline.lock"), lock, "{forgotten}");
    }
}

/// A DVC repository with a tracked file, as DVC 3 writes it.
fn dvc_repository() -> Project {
    let p = project();
    let remote = far(&p);
    p.write(
        ".dvc/config",
        format!(
            "[core]\n    remote = far\n['remote \"far\"']\n    url = {}\n",
            remote.display()
        ),
    );
    p.write(
        "f.txt.dvc",
        "outs:\n- md5: 9a0364b9e99bb480dd25e1f0284c8555\n  size: 7\n  hash: md5\n  path: f.txt\n",
    );
    p.write(
        ".dvc/cache/files/md5/9a/0364b9e99bb480dd25e1f0284c8555",
        "content",
    );
    p
}

#[test]
fn a_dvc_repository_uses_dvcs_layout() {
    let p = dvc_repository();
    check(
        &p.cvops("push"),
        str![[r#"
1 file pushed to `far` (7 B)
[exit 0]
"#]],
    );
    assert_eq!(
        files(&far(&p)),
        ["files/md5/9a/0364b9e99bb480dd25e1f0284c8555"]
    );
    p.remove(".dvc/cache");
    check(
        &p.cvops("status -c"),
        str![[r#"
	deleted:            f.txt
[exit 0]
"#]],
    );
    check(
        &p.cvops("pull f.txt.dvc"),
        str![[r#"
A  f.txt
1 file fetched from `far` (7 B), 1 file put in place
[exit 0]
"#]],
    );
    assert_eq!(p.read("f.txt"), "content");
}

/// Kills, or fails, at each write of `args` in turn; afterwards the same command must end right.
fn climb(args: &str, prepare: impl Fn(&Project), judge: impl Fn(&Project)) {
    for variable in ["CVOPS_CRASH_AT", "CVOPS_FAIL_AT"] {
        let p = scene();
        prepare(&p);
        for n in 1..400 {
            let value = match variable {
                "CVOPS_FAIL_AT" => format!("{n}:28"),
                _ => n.to_string(),
            };
            let output = p.run(p.command(args).env(variable, value));
            assert!(
                !output.stderr.contains("panicked"),
                "{}",
                output.transcript()
            );
            if output.exit == Exit::Code(0) {
                assert!(4 < n, "{args} was disturbed too little");
                judge(&p);
                break;
            }
            if variable == "CVOPS_FAIL_AT" {
                assert_eq!(output.exit, Exit::Code(1), "{}", output.transcript());
            }
            p.ok(args);
            judge(&p);
            prepare(&p);
        }
    }
}

#[test]
fn a_push_broken_off_anywhere_is_finished_by_the_next() {
    climb(
        "push --run-cache",
        |p| {
            let _ = fs::remove_dir_all(far(p));
        },
        |p| {
            let there = files(&far(p));
            for name in there.iter().filter(|name| name.starts_with("blake3/")) {
                if name.contains(".cvops-tmp-") {
                    continue;
                }
                let bytes = fs::read(far(p).join(name)).unwrap();
                let hash = blake3::hash(&bytes).to_hex();
                let of_name = name["blake3/".len()..].replace('/', "");
                assert_eq!(of_name.trim_end_matches(".dir"), hash.as_str());
            }
            assert_eq!(p.ok("status -c --json").stdout, "{}\n");
        },
    );
}

#[test]
fn a_fetch_broken_off_anywhere_is_finished_by_the_next() {
    let is_prepared = std::cell::Cell::new(false);
    climb(
        "pull --run-cache",
        |p| {
            if !is_prepared.replace(true) || !far(p).exists() {
                p.ok("push --run-cache");
            }
            forget_all(p);
        },
        |p| {
            assert_eq!(p.read("d/same"), "same\n");
            assert_eq!(p.read("one.txt"), "1\n");
            p.ok("cache verify");
        },
    );
}

fn forget_all(p: &Project) {
    for path in [
        ".cvops/cache",
        ".cvops/runs",
        ".cvops/state.db",
        "one.txt",
        "d",
    ] {
        if p.exists(path) {
            p.remove(path);
        }
    }
}

#[test]
fn a_pull_says_what_nobody_can_bring() {
    let p = project();
    p.ok("init");
    p.write(
        "pipeline.yaml",
        "stages:\n  kept:\n    cmd: echo 1 > kept\n    outs:\n      - kept:\n          push: false\n  frozen:\n    cmd: echo 2 > frozen\n    outs: [frozen]\n  never:\n    cmd: echo 3 > never\n    outs: [never]\n",
    );
    p.ok("repro kept frozen");
    p.ok("freeze frozen");
    add_remote(&p, "far");
    p.ok("config core.remote far");
    p.ok("push");
    p.remove(".cvops/cache").remove("kept").remove("frozen");
    check(
        &p.cvops("pull"),
        str![[r#"
A  frozen
1 file fetched from `far` (2 B), 1 file put in place
--- stderr ---
error: `never` cannot be put in place: no run that wrote it is recorded
 |
 = help: `cvops repro never` makes it anew
error: `kept` cannot be put in place: it goes to no remote, and the cache does not have it
 |
 = help: `cvops repro kept` makes it anew if a stage writes it; or get it from whoever has it, or drop `push: false` and push it there
[exit 1]
"#]],
    );
    check(
        &p.cvops("pull frozen"),
        str![[r#"
everything is up to date
[exit 0]
"#]],
    );
    p.remove(".cvops/cache").remove("frozen");
    fs::remove_dir_all(far(&p).join("blake3")).unwrap();
    check(
        &p.cvops("pull frozen"),
        str![[r#"
nothing changed
--- stderr ---
error: the remote `far` does not have `frozen`
 |
 = help: push it from a machine that has it (`cvops push --thorough`), or make outputs anew with `cvops repro`
[exit 1]
"#]],
    );
    check(
        &p.cvops("pull --allow-missing --json"),
        str![[r#"
{"bytes":0,"changed":[],"damaged":[],"fetched":0,"lacking":["frozen","never","kept"],"remotes":["far"]}
[exit 0]
"#]],
    );
}

#[test]
fn patterns_name_stages_data_and_pointers() {
    let p = scene();
    p.write("extra.bin", "x\n").write("sub/more.bin", "y\n");
    p.ok("add extra.bin sub/more.bin");
    check(
        &p.cvops("push --glob 'ex*'"),
        str![[r#"
1 file pushed to `far` (2 B)
[exit 0]
"#]],
    );
    check(
        &p.cvops("-C sub push --glob '*.bin'"),
        str![[r#"
1 file pushed to `far` (2 B)
[exit 0]
"#]],
    );
    check(
        &p.cvops("push --glob 'one*'"),
        str![[r#"
1 file pushed to `far` (2 B)
[exit 0]
"#]],
    );
    check(
        &p.cvops("push --glob 'z*'"),
        str![[r#"
--- stderr ---
error: `z*` is neither a stage nor an output of one
 |
 = help: `cvops dag` shows all stages
[exit 2]
"#]],
    );
}

//! `cvops add`: files and folders tracked by pointers, in both kinds of projects.

use snapbox::{assert_data_eq, str};

use crate::support::{Exit, Project, check, project};

fn dvc() -> Project {
    let p = project();
    p.write(".dvc/config", "")
        .write(".dvc/.gitignore", "/config.local\n/tmp\n/cache\n");
    p.git_init();
    p
}

fn native() -> Project {
    let p = project();
    p.git_init();
    p.ok("init");
    p
}

#[test]
fn a_folder_and_a_file_get_pointers_as_dvc_writes_them() {
    let p = dvc();
    p.write("data/raw/cat/1.txt", "cat 1\n")
        .write("data/raw/2.txt", "2\n")
        .write("labels.txt", "cat\n");
    check(
        &p.cvops("add data/raw labels.txt"),
        str![[r#"
--- stderr ---
added `data/raw` (2 files, 8 B): data/raw.dvc
added `labels.txt` (4 B): labels.txt.dvc
to track the changes with git:
  git add .gitignore data/.gitignore data/raw.dvc labels.txt.dvc
(`cvops config core.autostage true` does so by itself)
[exit 0]
"#]],
    );
    assert_data_eq!(
        p.read("data/raw.dvc"),
        str![[r#"
outs:
- md5: 90121467d3436026cfc76a88febd7844.dir
  size: 8
  nfiles: 2
  hash: md5
  path: raw

"#]]
    );
    assert_data_eq!(
        p.read("labels.txt.dvc"),
        str![[r#"
outs:
- md5: 54b8617eca0e54c7d3c8e6732c6b687a
  size: 4
  hash: md5
  path: labels.txt

"#]]
    );
    assert_eq!(p.read("data/.gitignore"), "/raw\n");
    assert_eq!(p.read(".gitignore"), "/labels.txt\n");
    // What is the same already changes nothing.
    check(
        &p.cvops("add data/raw labels.txt"),
        str![[r#"
--- stderr ---
`data/raw` is as data/raw.dvc says already
`labels.txt` is as labels.txt.dvc says already
[exit 0]
"#]],
    );
    check(
        &p.cvops("status"),
        str![[r#"
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
}

#[test]
fn a_cvops_project_names_its_own_hash() {
    let p = native();
    p.write("data/1.txt", "1\n").write("run.sh", "#!/bin/sh\n");
    p.ok("add data run.sh");
    assert_data_eq!(
        p.read("data.cvops"),
        str![[r#"
outs:
- blake3: 52c0631c0e71d880aae83d95a22ccebf992370a2e0ad1011ef54e9e25b7e1cd4.dir
  size: 2
  nfiles: 1
  path: data

"#]]
    );
    assert_data_eq!(
        p.read("run.sh.cvops"),
        str![[r#"
outs:
- blake3: bc1f407a11c9377c8b9b13f956b279c8462775105eb958fc9ae3c40de87cc96e
  size: 10
  path: run.sh

"#]]
    );
    check(
        &p.cvops("add --json data"),
        str![[r#"
{"added":[{"change":"none","damaged":[],"files":1,"gone":false,"hash":"[HASH].dir","path":"data","pointer":"data.cvops","size":2}],"for_git":[]}
[exit 0]
"#]],
    );
}

#[test]
fn part_of_a_tracked_folder_updates_its_pointer_only() {
    let p = dvc();
    p.write("d/a", "1").write("d/b", "2");
    p.ok("add d");
    // `b` changed, too, but only `c` and the folder `e` are named.
    p.write("d/b", "other")
        .write("d/c", "3")
        .write("d/e/f", "4");
    check(
        &p.cvops("add d/c d/e"),
        str![[r#"
--- stderr ---
updated d.dvc for `d/c` (3 files, 3 B)
updated d.dvc for `d/e` (4 files, 4 B)
to track the changes with git:
  git add d.dvc
(`cvops config core.autostage true` does so by itself)
[exit 0]
"#]],
    );
    check(
        &p.cvops("data status --granular"),
        str![[r#"
Recorded since the last commit:
  (git commit the pointer and lock files)
        added: d/
        added: d/a
        added: d/b
        added: d/c
        added: d/e/f

Changed since it was recorded:
  (`cvops commit` records it, `cvops checkout` takes it back)
        modified: d/
        modified: d/b
[exit 0]
"#]],
    );
    p.ok("add d");
    check(
        &p.cvops("ls -R --dvc-only --size"),
        str![[r#"
size  path
 1 B  d/a
 5 B  d/b
 1 B  d/c
 1 B  d/e/f
[exit 0]
"#]],
    );
}

#[test]
fn what_was_removed_from_a_tracked_folder_is_recorded_by_its_name() {
    let p = dvc();
    p.ok("config cache.type symlink");
    p.write("d/a", "1").write("d/b", "2").write("d/e/f", "3");
    p.write("d/e/g", "4").ok("add d");
    p.remove("d/a")
        .remove("d/b")
        .remove("d/e/f")
        .remove("d/e/g");
    std::fs::remove_dir(p.path("d/e")).unwrap();
    // `b` is gone, too, but not named.
    check(
        &p.cvops("add d/a d/e"),
        str![[r#"
--- stderr ---
updated d.dvc: `d/a` is gone (3 files, 3 B left)
updated d.dvc: `d/e` is gone (1 file, 1 B left)
to track the changes with git:
  git add d.dvc
(`cvops config core.autostage true` does so by itself)
[exit 0]
"#]],
    );
    check(
        &p.cvops("data status --granular"),
        str![[r#"
Recorded since the last commit:
  (git commit the pointer and lock files)
        added: d/
        added: d/b

Changed since it was recorded:
  (`cvops commit` records it, `cvops checkout` takes it back)
        modified: d/
        deleted: d/b
--- stderr ---
(git has other changes; `git status` shows them)
[exit 0]
"#]],
    );
    check(
        &p.cvops("add --json d/b"),
        str![[r#"
{"added":[{"change":"updated","damaged":[],"files":0,"gone":true,"hash":"[HASH].dir","path":"d/b","pointer":"d.dvc","size":0}],"for_git":["d.dvc"]}
[exit 0]
"#]],
    );
    assert!(p.read("d.dvc").contains("nfiles: 0"), "{}", p.read("d.dvc"));
    check(
        &p.cvops("add d/b"),
        str![[r#"
--- stderr ---
error: there is no file or folder `d/b`
 |
 = help: check its spelling
[exit 2]
"#]],
    );
}

#[test]
fn a_part_is_not_gone_where_its_whole_folder_is_or_its_object() {
    let p = dvc();
    p.ok("config cache.type symlink");
    p.write("d/a", "1").write("d/b", "2").ok("add d");
    let pointer = p.read("d.dvc");
    std::fs::remove_file(std::fs::read_link(p.path("d/a")).unwrap()).unwrap();
    check(
        &p.cvops("add d/a"),
        str![[r#"
--- stderr ---
error: `[ROOT]/d/a` is a link into the cache, which does not have its object
 |
 = help: `cvops fetch` and `cvops checkout` bring it back from a remote; or remove the link
[exit 1]
"#]],
    );
    std::fs::remove_dir_all(p.path("d")).unwrap();
    check(
        &p.cvops("add d/b"),
        str![[r#"
--- stderr ---
error: there is no file or folder `d/b`
 |
 = help: check its spelling
[exit 2]
"#]],
    );
    assert_eq!(p.read("d.dvc"), pointer);
}

#[test]
fn comments_and_other_keys_survive() {
    let p = dvc();
    p.write("sub/x.dvc", "# where it came from\nwdir: ..\nouts:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  path: x   # here\n  hash: md5\n  size: 0\n  labels: [raw]\nmeta: {owner: me}\n");
    p.write("x", "content\n");
    p.ok("add x");
    assert_data_eq!(
        p.read("sub/x.dvc"),
        str![[r#"
# where it came from
wdir: ..
outs:
- md5: f75b8179e4bbe7e2b4a074dcef62de95
  path: x   # here
  hash: md5
  size: 8
  labels: [raw]
meta: {owner: me}

"#]]
    );
}

#[test]
fn what_cannot_be_tracked_is_refused_before_anything_is_stored() {
    let p = dvc();
    p.write(
        "dvc.yaml",
        "stages:\n  make:\n    cmd: mkdir out && echo 1 > out/x\n    outs: [out]\n",
    );
    p.write("d/a", "1")
        .write("in-git", "x")
        .write("new", "n")
        .write(".dvcignore", "*.log\n")
        .write("a.log", "");
    p.git("add in-git");
    p.ok("add d/a");
    p.write("out/y", "");
    check(
        &p.cvops("add nothing /etc/passwd"),
        str![[r#"
--- stderr ---
error: `/etc/passwd` lies outside the project
 |
 = help: `cvops add FILE --out PATH` copies it into the project
[exit 2]
"#]],
    );
    check(
        &p.cvops("add out"),
        str![[r#"
--- stderr ---
error: `out` is an output of the stage `make`
 |
 = help: `cvops repro make` records it; `cvops commit make` records what is there now
[exit 2]
"#]],
    );
    check(
        &p.cvops("add out/y d a.log new d/a.dvc dvc.yaml"),
        str![[r#"
--- stderr ---
error: `out/y` lies in `out`, an output of the stage `make`
 |
 = help: `cvops repro make` records it; `cvops commit make` records what is there now
error: `d` holds `d/a`, which `d/a.dvc` tracks already
 |
 = help: to track all of `d` together: `cvops remove d/a.dvc`, then add `d`
error: `a.log` is left out by an ignore file
 |
 = help: `cvops check-ignore -d PATH` names the pattern
error: `d/a.dvc` lies inside `d`: they cannot be added side by side
 |
 = help: `d` alone is enough
error: `d/a.dvc` is a pointer file, not data
 |
 = help: leave it to git
error: `dvc.yaml` is a pipeline file, not data
 |
 = help: leave it to git
[exit 2]
"#]],
    );
    check(
        &p.cvops("add in-git new"),
        str![[r#"
--- stderr ---
error: `in-git` is tracked by git already
 |
 = help: take it out of git first, the file stays: `git rm -r --cached 'in-git'`
[exit 2]
"#]],
    );
    check(
        &p.cvops("add new ."),
        str![[r#"
--- stderr ---
error: `.` is the project's own folder
 |
 = help: name files and folders in it
[exit 2]
"#]],
    );
    check(
        &p.cvops("add --glob *.nope"),
        str![[r#"
--- stderr ---
error: no file or folder fits `*.nope`
 |
 = help: quote patterns, so that the shell leaves them alone; `**` reaches into folders
[exit 2]
"#]],
    );
    assert!(!p.exists("new.dvc"));
}

#[test]
fn links_and_special_files_are_told_apart() {
    let p = dvc();
    p.write("real/a", "1");
    std::os::unix::fs::symlink("real", p.path("link")).unwrap();
    std::fs::create_dir(p.path("loop")).unwrap();
    std::os::unix::fs::symlink("../loop", p.path("loop/again")).unwrap();
    check(
        &p.cvops("add link/a"),
        str![[r#"
--- stderr ---
error: `link/a` lies behind the symbolic link `link`
 |
 = help: name the place that `link` leads to, or add the link's own folder
[exit 2]
"#]],
    );
    // As in DVC, what is behind a link to a folder is no part of the folder that holds the link.
    p.ok("add loop");
    assert!(p.read("loop.dvc").contains("nfiles: 0"));
}

#[test]
fn hashes_alone_are_recorded_until_a_commit() {
    let p = native();
    p.write("x", "content\n");
    p.ok("add --no-commit x");
    assert!(!p.exists(".cvops/cache/blake3"));
    check(
        &p.cvops("data status"),
        str![[r#"
Not in the cache:
  (`cvops fetch` brings it from a remote)
        x

Recorded since the last commit:
  (git commit the pointer and lock files)
        added: x
[exit 0]
"#]],
    );
    p.ok("commit x.cvops");
    p.remove("x");
    check(
        &p.cvops("checkout"),
        str![[r#"
A	x
[exit 0]
"#]],
    );
    assert_eq!(p.read("x"), "content\n");
}

#[test]
fn patterns_and_copies_from_elsewhere() {
    let p = native();
    p.write("data/1.zip", "1")
        .write("data/2.zip", "2")
        .write("data/3.txt", "3");
    std::fs::create_dir(p.home().join("scans")).unwrap();
    std::fs::write(p.home().join("scans/a"), "scan").unwrap();
    check(
        &p.cvops("add --glob data/*.zip"),
        str![[r#"
--- stderr ---
added `data/1.zip` (1 B): data/1.zip.cvops
added `data/2.zip` (1 B): data/2.zip.cvops
to track the changes with git:
  git add data/.gitignore data/1.zip.cvops data/2.zip.cvops
(`cvops config core.autostage true` does so by itself)
[exit 0]
"#]],
    );
    let scans = p.home().join("scans");
    let scans = scans.display();
    check(
        &p.cvops(&format!("add {scans} --out data/scans")),
        str![[r#"
--- stderr ---
added `data/scans` (1 file, 4 B): data/scans.cvops
to track the changes with git:
  git add data/.gitignore data/scans.cvops
(`cvops config core.autostage true` does so by itself)
[exit 0]
"#]],
    );
    check(
        &p.cvops(&format!("add {scans} --out data/scans")),
        str![[r#"
--- stderr ---
error: `data/scans` is there already
 |
 = help: choose another name, or move it away
[exit 2]
"#]],
    );
    std::fs::write(p.home().join("scans/b"), "more").unwrap();
    check(
        &p.cvops(&format!("add {scans} --out data/scans --force")),
        str![[r#"
--- stderr ---
updated data/scans.cvops for `data/scans` (2 files, 8 B)
to track the changes with git:
  git add data/scans.cvops
(`cvops config core.autostage true` does so by itself)
[exit 0]
"#]],
    );
    assert_eq!(p.read("data/scans/b"), "more");
}

#[test]
fn git_is_told_where_the_settings_ask_for_it() {
    let p = dvc();
    p.write(".dvc/config", "[core]\n    autostage = true\n")
        .write("x", "1");
    check(
        &p.cvops("add x"),
        str![[r#"
--- stderr ---
added `x` (1 B): x.dvc
[exit 0]
"#]],
    );
    assert_eq!(p.git("diff --cached --name-only"), ".gitignore\nx.dvc\n");
    p.ok("remove x.dvc");
    assert_eq!(p.git("diff --cached --name-only"), "");
}

#[test]
fn a_broken_pointer_shows_all_its_problems() {
    let p = dvc();
    p.write("x.dvc", "outs:\n- md5: abc\n  pth: x\n  cache: maybe\n");
    p.write("y", "1");
    check(
        &p.cvops("add y"),
        str![[r#"
--- stderr ---
warning: `x.dvc` is left out, it cannot be read: `outs[0]` has no `path`
 --> x.dvc:2:3
  |
2 | - md5: abc
  |   ^^^^^^^^
  |
  = note: 3 more problems in it
added `y` (1 B): y.dvc
to track the changes with git:
  git add .gitignore y.dvc
(`cvops config core.autostage true` does so by itself)
[exit 0]
"#]],
    );
    check(
        &p.cvops("add x.dvc"),
        str![[r#"
--- stderr ---
error: `outs[0]` has no `path`
 --> x.dvc:2:3
  |
2 | - md5: abc
  |   ^^^^^^^^
error: `abc` is not a content hash: expected 64 (BLAKE3) or 32 (MD5) hexadecimal digits, then `.dir` for a directory
 --> x.dvc:2:8
  |
2 | - md5: abc
  |        ^^^
error: unknown key `pth` in `outs[0]`
 --> x.dvc:3:3
  |
3 |   pth: x
  |   ^^^ not a known key
  |
  = help: did you mean `path`?
error: `outs[0].cache` must be `true` or `false`
 --> x.dvc:4:10
  |
4 |   cache: maybe
  |          ^^^^^ this is a text
[exit 2]
"#]],
    );
    check(
        &p.cvops("data status"),
        str![[r#"
--- stderr ---
error: `outs[0]` has no `path`
 --> x.dvc:2:3
  |
2 | - md5: abc
  |   ^^^^^^^^
error: `abc` is not a content hash: expected 64 (BLAKE3) or 32 (MD5) hexadecimal digits, then `.dir` for a directory
 --> x.dvc:2:8
  |
2 | - md5: abc
  |        ^^^
error: unknown key `pth` in `outs[0]`
 --> x.dvc:3:3
  |
3 |   pth: x
  |   ^^^ not a known key
  |
  = help: did you mean `path`?
error: `outs[0].cache` must be `true` or `false`
 --> x.dvc:4:10
  |
4 |   cache: maybe
  |          ^^^^^ this is a text
[exit 2]
"#]],
    );
}

#[test]
fn a_killed_add_leaves_the_old_pointer_or_the_new_one() {
    let p = dvc();
    p.write("d/a", "1").write("d/b", "2");
    p.ok("add d");
    let old = p.read("d.dvc");
    let mut n = 0;
    loop {
        n += 1;
        p.write("d.dvc", &old).write("d/c", format!("{n}"));
        let output = p.run(p.command("add d").env("CVOPS_CRASH_AT", n.to_string()));
        let now = p.read("d.dvc");
        if output.exit == Exit::Code(0) {
            assert_ne!(now, old);
            break;
        }
        p.ok("cache verify");
        p.ok("add d");
        assert_ne!(p.read("d.dvc"), old, "crash at {n}");
        assert!(n < 200, "the ladder has no end");
    }
    assert!(5 < n, "only {n} steps");
}

#[test]
fn data_goes_to_a_remote_alone() {
    let p = project();
    p.git_init();
    p.ok("init");
    p.write("../scans/a", "1").write("../scans/sub/b", "22");
    check(
        &p.cvops("add ../scans --to-remote --out raw"),
        str![[r#"
--- stderr ---
error: no remote was named, and there is no default one
 |
 = help: `cvops remote add --default NAME FOLDER` adds one
[exit 2]
"#]],
    );
    p.ok("remote add --default far ../far");
    p.ok("remote add near ../near");
    check(
        &p.cvops("add ../scans --to-remote --out raw"),
        str![[r#"
--- stderr ---
added `raw` (2 files, 3 B): raw.cvops
to track the changes with git:
  git add .gitignore raw.cvops
(`cvops config core.autostage true` does so by itself)
[exit 0]
"#]],
    );
    assert!(!p.exists("raw"));
    check(
        &p.cvops("add ../scans --to-remote --out raw --json"),
        str![[r#"
{"added":[{"change":"none","damaged":[],"files":2,"gone":false,"hash":"[HASH].dir","path":"raw","pointer":"raw.cvops","size":3}],"for_git":[]}
[exit 0]
"#]],
    );
    check(
        &p.cvops("pull"),
        str![[r#"
A  raw/
2 files fetched from `far` (3 B), 2 files put in place
[exit 0]
"#]],
    );
    assert_eq!(p.read("raw/sub/b"), "22");
    p.write("x", "3");
    p.ok("add x --to-remote --remote near");
    check(
        &p.cvops("data status --not-in-remote --remote near x"),
        str![[r#"
Not in the cache:
  (`cvops fetch` brings it from a remote)
        x

Recorded since the last commit:
  (git commit the pointer and lock files)
        added: x
[exit 0]
"#]],
    );
    check(
        &p.cvops("add x raw --to-remote"),
        str![[r#"
--- stderr ---
error: `--out` and `--to-remote` take one file or folder
 |
 = help: add them one by one, or copy them into a folder and add that
[exit 2]
"#]],
    );
    check(
        &p.cvops("add x --remote near"),
        str![[r#"
--- stderr ---
error: the following required arguments were not provided:
  --to-remote

Usage: cvops add --to-remote --remote <NAME> <PATH>...

For more information, try '--help'.
[exit 2]
"#]],
    );
    p.ok("cache verify");
}

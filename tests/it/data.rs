//! `cvops data status`, `diff`, `ls`, `du`, and `checkout` of tracked data.

use snapbox::{assert_data_eq, str};

use crate::support::{Project, check, project};

/// One commit with tracked data and an output; after it, changes of every kind.
fn changed() -> Project {
    let p = project();
    p.write(".dvc/config", "")
        .write(".dvc/.gitignore", "/config.local\n/tmp\n/cache\n");
    p.git_init();
    p.write("data/raw/cat/1", "cat 1")
        .write("data/raw/cat/2", "cat 2")
        .write("data/raw/dog/1", "dog 1");
    p.write("labels", "cat dog")
        .write("old", "moves")
        .write(".cvops/.gitignore", "*\n");
    p.ok("add data/raw labels old");
    p.git("add --all");
    p.git("commit --quiet --message data");
    p.git("tag v1");
    p.write("data/raw/cat/1", "changed")
        .write("data/raw/dog/2", "new")
        .remove("data/raw/dog/1");
    p.remove("labels");
    p.ok("move old renamed");
    p
}

#[test]
fn what_changed_is_told_since_the_record_and_since_the_commit() {
    let p = changed();
    check(
        &p.cvops("data status"),
        str![[r#"
Recorded since the last commit:
  (git commit the pointer and lock files)
        renamed: old -> renamed

Changed since it was recorded:
  (`cvops commit` records it, `cvops checkout` takes it back)
        modified: data/raw/
        deleted: labels
--- stderr ---
(git has other changes; `git status` shows them)
[exit 0]
"#]],
    );
    check(
        &p.cvops("data status --granular --unchanged --untracked-files"),
        str![[r#"
Recorded since the last commit:
  (git commit the pointer and lock files)
        renamed: old -> renamed

Changed since it was recorded:
  (`cvops commit` records it, `cvops checkout` takes it back)
        modified: data/raw/
        modified: data/raw/cat/1
        added: data/raw/dog/2
        deleted: data/raw/dog/1
        deleted: labels

Untracked files:
  (`git add` or `cvops add` tracks them)
        renamed.dvc

Unchanged:
        data/raw/cat/2
--- stderr ---
(git has other changes; `git status` shows them)
[exit 0]
"#]],
    );
    check(
        &p.cvops("data status --granular --unchanged --json"),
        str![[r#"
{"committed":{"renamed":[{"new":"renamed","old":"old"}]},"unchanged":["data/raw/cat/2"],"uncommitted":{"added":["data/raw/dog/2"],"deleted":["data/raw/dog/1","labels"],"modified":["data/raw/","data/raw/cat/1"]}}
[exit 0]
"#]],
    );
    check(
        &p.cvops("data status --md data/raw"),
        str![[r#"
| since  | change   | path      |
| ------ | -------- | --------- |
| record | modified | data/raw/ |
[exit 0]
"#]],
    );
    p.ok("commit data/raw.dvc");
    check(
        &p.cvops("data status --granular data"),
        str![[r#"
Recorded since the last commit:
  (git commit the pointer and lock files)
        modified: data/raw/
        modified: data/raw/cat/1
        added: data/raw/dog/2
        deleted: data/raw/dog/1
--- stderr ---
(git has other changes; `git status` shows them)
[exit 0]
"#]],
    );
    p.remove(".dvc/cache/files");
    check(
        &p.cvops("data status --json --exit-code"),
        str![[r#"
{"committed":{"modified":["data/raw/"],"renamed":[{"new":"renamed","old":"old"}]},"not_in_cache":["data/raw/","labels","renamed"],"uncommitted":{"deleted":["labels"]}}
[exit 3]
"#]],
    );
}

#[test]
fn versions_are_compared_file_by_file() {
    let p = changed();
    check(
        &p.cvops("diff"),
        str![[r#"
Added:
    data/raw/dog/2

Deleted:
    data/raw/dog/1
    labels

Renamed:
    old -> renamed

Modified:
    data/raw/
    data/raw/cat/1

files: 1 added, 2 deleted, 1 renamed, 1 modified
[exit 0]
"#]],
    );
    check(
        &p.cvops("diff --json --show-hash"),
        str![[r#"
{"added":[{"hash":"[HASH]","path":"data/raw/dog/2"}],"deleted":[{"hash":"[HASH]","path":"data/raw/dog/1"},{"hash":"[HASH]","path":"labels"}],"modified":[{"hash":{"new":"[HASH].dir","old":"[HASH].dir"},"path":"data/raw/"},{"hash":{"new":"[HASH]","old":"[HASH]"},"path":"data/raw/cat/1"}],"not in cache":[],"renamed":[{"hash":"[HASH]","path":{"new":"renamed","old":"old"}}]}
[exit 0]
"#]],
    );
    check(
        &p.cvops("diff --md --show-hash"),
        str![[r#"
| Status   | Hash               | Path              |
| -------- | ------------------ | ----------------- |
| added    | [HASH]           | data/raw/dog/2    |
| deleted  | [HASH]           | data/raw/dog/1    |
| deleted  | [HASH]           | labels            |
| renamed  | [HASH]           | old -&gt; renamed |
| modified | [HASH]..4ba33011 | data/raw/         |
| modified | [HASH]..8977dfac | data/raw/cat/1    |
[exit 0]
"#]],
    );
    p.ok("commit data/raw.dvc");
    p.git("add --all");
    p.git("commit --quiet --message more");
    check(
        &p.cvops("diff v1 HEAD --exit-code"),
        str![[r#"
Added:
    data/raw/dog/2

Deleted:
    data/raw/dog/1

Renamed:
    old -> renamed

Modified:
    data/raw/
    data/raw/cat/1

files: 1 added, 1 deleted, 1 renamed, 1 modified
[exit 3]
"#]],
    );
    check(
        &p.cvops("diff HEAD v1 --json --targets data"),
        str![[r#"
{"added":[{"path":"data/raw/dog/1"}],"deleted":[{"path":"data/raw/dog/2"}],"modified":[{"path":"data/raw/"},{"path":"data/raw/cat/1"}],"renamed":[]}
[exit 0]
"#]],
    );
    check(
        &p.cvops("diff HEAD HEAD"),
        str![[r#"
--- stderr ---
no tracked data differs
[exit 0]
"#]],
    );
    check(
        &p.cvops("diff v2"),
        str![[r#"
--- stderr ---
error: `v2` is no branch, tag or commit
 |
 = help: did you mean `v1`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("diff HEAD~1 --targets nothing"),
        str![[r#"
--- stderr ---
no tracked data differs
[exit 0]
"#]],
    );
    // A listing that is lost says what it can.
    p.remove(".dvc/cache/files");
    check(
        &p.cvops("diff v1 HEAD"),
        str![[r#"
Renamed:
    old -> renamed

Modified:
    data/raw/

files: 1 renamed
[exit 0]
"#]],
    );
}

#[test]
fn tracked_data_is_listed_and_measured_whether_or_not_it_is_there() {
    let p = changed();
    p.remove("data/raw");
    check(
        &p.cvops("ls"),
        str![[r#"
.gitignore
data
labels
labels.dvc
renamed
renamed.dvc
[exit 0]
"#]],
    );
    check(
        &p.cvops("ls -R data"),
        str![[r#"
.gitignore
raw.dvc
raw/cat/1
raw/cat/2
raw/dog/1
[exit 0]
"#]],
    );
    check(
        &p.cvops("ls data/raw --size --show-hash"),
        str![[r#"
size  hash  path
10 B        cat
 5 B        dog
[exit 0]
"#]],
    );
    check(
        &p.cvops("ls --rev v1 --json --dvc-only"),
        str![[r#"
[{"isdir":true,"isexec":false,"isout":false,"md5":null,"path":"data","size":117},{"isdir":false,"isexec":false,"isout":true,"md5":"[HASH]","path":"labels","size":7},{"isdir":false,"isexec":false,"isout":true,"md5":"[HASH]","path":"old","size":5}]
[exit 0]
"#]],
    );
    check(
        &p.cvops("ls . data/raw/cat"),
        str![[r#"
1
2
[exit 0]
"#]],
    );
    check(
        &p.cvops("ls nothing"),
        str![[r#"
--- stderr ---
error: there is no file or folder `nothing`
 |
 = help: check its spelling
[exit 2]
"#]],
    );
    check(
        &p.cvops("du"),
        str![[r#"
 size  path
  5 B  renamed
  7 B  labels
 17 B  .gitignore
 83 B  labels.dvc
 84 B  renamed.dvc
117 B  data
313 B  .
[exit 0]
"#]],
    );
    check(
        &p.cvops("du data/raw --json"),
        str![[r#"
{"entries":[{"path":"dog","size":5},{"path":"cat","size":10}],"path":"data/raw","size":15}
[exit 0]
"#]],
    );
    check(
        &p.cvops("du -s --rev v1 data"),
        str![[r#"
 size  path
117 B  data
[exit 0]
"#]],
    );
}

#[test]
fn tracked_data_is_put_in_place() {
    let p = changed();
    check(
        &p.cvops("checkout"),
        str![[r#"
M	data/raw/
A	labels
--- stderr ---
  the old content of `data/raw/` is kept in the cache as [HASH].dir
[exit 0]
"#]],
    );
    assert_eq!(p.read("data/raw/cat/1"), "cat 1");
    assert!(!p.exists("data/raw/dog/2"));
    check(
        &p.cvops("checkout"),
        str![[r#"
--- stderr ---
everything is in place already
[exit 0]
"#]],
    );
    // Part of a folder.
    p.remove("data/raw/cat")
        .remove("data/raw/dog/1")
        .remove("labels");
    check(
        &p.cvops("checkout data/raw/cat"),
        str![[r#"
A	data/raw/cat/
[exit 0]
"#]],
    );
    assert!(p.exists("data/raw/cat/2") && !p.exists("data/raw/dog/1"));
    check(
        &p.cvops("checkout -R data --summary"),
        str![[r#"
1 modified
--- stderr ---
  the old content of `data/raw/` is kept in the cache as [HASH].dir
[exit 0]
"#]],
    );
    check(
        &p.cvops("checkout --json labels.dvc"),
        str![[r#"
{"error":null,"path":"labels","result":"added","saved":null}
[exit 0]
"#]],
    );
    check(
        &p.cvops("checkout data"),
        str![[r#"
--- stderr ---
error: `data` is neither a stage nor an output of one
 |
 = help: `cvops dag` shows all stages
[exit 2]
"#]],
    );
    check(
        &p.cvops("checkout data/raw/horse"),
        str![[r#"
--- stderr ---
error: `data/raw/horse` is not tracked
 |
 = help: `cvops ls --dvc-only -R` shows what is tracked
[exit 2]
"#]],
    );
    // What the cache has lost is left alone.
    p.write("labels", "mine").remove(".dvc/cache/files");
    check(
        &p.cvops("checkout labels"),
        str![[r#"
--- stderr ---
error: `labels` cannot be put in place: the cache does not have `[HASH]`
 |
 = help: `cvops fetch` brings it from a remote that has it; if you have it elsewhere, put it there and `cvops add labels`
[exit 1]
"#]],
    );
    check(
        &p.cvops("checkout labels --allow-missing"),
        str![[r#"
--- stderr ---
`labels` is not in the cache, it is left as it is
everything is in place already
[exit 0]
"#]],
    );
    assert_eq!(p.read("labels"), "mine");
}

#[test]
fn the_hash_of_dvc_2_is_understood() {
    let p = project();
    p.write(".dvc/config", "");
    p.git_init();
    // `a\r\nb\r\n` by the hash of `a\nb\n`, in the old layout of the cache.
    p.write(
        "t.dvc",
        "outs:\n- md5: dd8c6a395b5dd36c56d23275028f526c\n  size: 6\n  path: t\n",
    );
    p.write("t", "a\r\nb\r\n");
    p.write(".dvc/cache/dd/8c6a395b5dd36c56d23275028f526c", "a\r\nb\r\n");
    check(
        &p.cvops("data status --json --unchanged"),
        str![[r#"
{"committed":{"added":["t"]}}
[exit 0]
"#]],
    );
    p.remove("t");
    check(
        &p.cvops("checkout"),
        str![[r#"
A	t
[exit 0]
"#]],
    );
    assert_eq!(p.read("t"), "a\r\nb\r\n");
    check(
        &p.cvops("checkout"),
        str![[r#"
--- stderr ---
everything is in place already
[exit 0]
"#]],
    );
    p.write("t", "other\n");
    p.ok("add t");
    assert_data_eq!(
        p.read("t.dvc"),
        str![[r#"
outs:
- md5: ba7790b1708b71cb2b61b1a30d824712
  size: 6
  path: t
  hash: md5

"#]]
    );
}

#[test]
fn what_was_not_pushed_is_told() {
    let p = project();
    p.git_init();
    p.ok("init");
    p.write("d/a", "1").write("d/b", "2").write("x", "3");
    p.ok("add d x");
    check(
        &p.cvops("data status --not-in-remote"),
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
    p.ok("push x");
    check(
        &p.cvops("data status --not-in-remote --json"),
        str![[r#"
{"committed":{"added":["d/","x"]},"not_in_remote":["d/"]}
[exit 0]
"#]],
    );
    check(
        &p.cvops("data status --not-in-remote d/a"),
        str![[r#"
Not on the remote:
  (`cvops push` sends it)
        d/a
[exit 0]
"#]],
    );
    check(
        &p.cvops("data status --not-in-remote --granular"),
        str![[r#"
Not on the remote:
  (`cvops push` sends it)
        d/
        d/a
        d/b

Recorded since the last commit:
  (git commit the pointer and lock files)
        added: d/
        added: d/a
        added: d/b
        added: x
[exit 0]
"#]],
    );
    p.ok("push");
    check(
        &p.cvops("data status --not-in-remote d x"),
        str![[r#"
Recorded since the last commit:
  (git commit the pointer and lock files)
        added: d/
        added: x
[exit 0]
"#]],
    );
    check(
        &p.cvops("data status --not-in-remote --remote near x"),
        str![[r#"
Not on the remote:
  (`cvops push` sends it)
        x

Recorded since the last commit:
  (git commit the pointer and lock files)
        added: x
[exit 0]
"#]],
    );
}

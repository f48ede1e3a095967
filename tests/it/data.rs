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
    check(&p.cvops("data status"), str![]);
    check(
        &p.cvops("data status --granular --unchanged --untracked-files"),
        str![],
    );
    check(
        &p.cvops("data status --granular --unchanged --json"),
        str![],
    );
    check(&p.cvops("data status --md data/raw"), str![]);
    p.ok("commit data/raw.dvc");
    check(&p.cvops("data status --granular data"), str![]);
    p.remove(".dvc/cache/files");
    check(&p.cvops("data status --json --exit-code"), str![]);
}

#[test]
fn versions_are_compared_file_by_file() {
    let p = changed();
    check(&p.cvops("diff"), str![]);
    check(&p.cvops("diff --json --show-hash"), str![]);
    check(&p.cvops("diff --md --show-hash"), str![]);
    p.ok("commit data/raw.dvc");
    p.git("add --all");
    p.git("commit --quiet --message more");
    check(&p.cvops("diff v1 HEAD --exit-code"), str![]);
    check(&p.cvops("diff HEAD v1 --json --targets data"), str![]);
    check(&p.cvops("diff HEAD HEAD"), str![]);
    check(&p.cvops("diff v2"), str![]);
    check(&p.cvops("diff HEAD~1 --targets nothing"), str![]);
    // A listing that is lost says what it can.
    p.remove(".dvc/cache/files");
    check(&p.cvops("diff v1 HEAD"), str![]);
}

#[test]
fn tracked_data_is_listed_and_measured_whether_or_not_it_is_there() {
    let p = changed();
    p.remove("data/raw");
    check(&p.cvops("ls"), str![]);
    check(&p.cvops("ls -R data"), str![]);
    check(&p.cvops("ls data/raw --size --show-hash"), str![]);
    check(&p.cvops("ls --rev v1 --json --dvc-only"), str![]);
    check(&p.cvops("ls . data/raw/cat"), str![]);
    check(&p.cvops("ls nothing"), str![]);
    check(&p.cvops("du"), str![]);
    check(&p.cvops("du data/raw --json"), str![]);
    check(&p.cvops("du -s --rev v1 data"), str![]);
}

#[test]
fn tracked_data_is_put_in_place() {
    let p = changed();
    check(&p.cvops("checkout"), str![]);
    assert_eq!(p.read("data/raw/cat/1"), "cat 1");
    assert!(!p.exists("data/raw/dog/2"));
    check(&p.cvops("checkout"), str![]);
    // Part of a folder.
    p.remove("data/raw/cat")
        .remove("data/raw/dog/1")
        .remove("labels");
    check(&p.cvops("checkout data/raw/cat"), str![]);
    assert!(p.exists("data/raw/cat/2") && !p.exists("data/raw/dog/1"));
    check(&p.cvops("checkout -R data --summary"), str![]);
    check(&p.cvops("checkout --json labels.dvc"), str![]);
    check(&p.cvops("checkout data"), str![]);
    check(&p.cvops("checkout data/raw/horse"), str![]);
    // What the cache has lost is left alone.
    p.write("labels", "mine").remove(".dvc/cache/files");
    check(&p.cvops("checkout labels"), str![]);
    check(&p.cvops("checkout labels --allow-missing"), str![]);
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
    check(&p.cvops("data status --json --unchanged"), str![]);
    p.remove("t");
    check(&p.cvops("checkout"), str![]);
    assert_eq!(p.read("t"), "a\r\nb\r\n");
    check(&p.cvops("checkout"), str![]);
    p.write("t", "other\n");
    p.ok("add t");
    assert_data_eq!(p.read("t.dvc"), str![]);
}

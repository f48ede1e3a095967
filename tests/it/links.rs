//! Symbolic links among tracked data: those into the cache that somebody wrote through, and those to
//! folders that are not the project's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use snapbox::str;

use crate::support::{Project, check, project};

/// Returns a project whose files are links into its cache.
fn linked() -> Project {
    let p = project();
    p.ok("init");
    p.ok("config cache.type symlink");
    p
}

/// Appends to a file as an editor does that follows the link and is told to write anyway.
fn write_through(p: &Project, file: &str) {
    let file = p.path(file);
    assert!(file.is_symlink());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}edited\n")).unwrap();
}

#[test]
fn verify_gives_an_edit_made_through_a_link_back_to_all_that_lead_there() {
    let p = linked();
    p.write("f", "one\n")
        .write("d/a", "one\n")
        .write("d/b", "two\n");
    p.ok("add f d");
    write_through(&p, "f");
    check(&p.cvops("cache verify"), str![]);
    for file in ["f", "d/a"] {
        assert_eq!(p.read(file), "one\nedited\n");
        assert!(!p.path(file).is_symlink(), "{file}");
    }
    assert!(p.path("d/b").is_symlink());
    check(&p.cvops("data status"), str![]);
    p.ok("add f");
    p.ok("cache verify --json");
    assert_eq!(p.read("f"), "one\nedited\n");
}

#[test]
fn checkout_gives_an_edit_made_through_a_link_back_and_says_so() {
    let p = linked();
    p.write("f", "one\n").ok("add f");
    write_through(&p, "f");
    check(&p.cvops("checkout"), str![]);
    assert_eq!(p.read("f"), "one\nedited\n");
    assert!(!p.path("f").is_symlink());
    p.ok("add f");
    p.ok("checkout");
    assert_eq!(p.read("f"), "one\nedited\n");
}

#[test]
fn add_of_an_edit_made_through_a_link_says_that_the_version_before_is_damaged() {
    let p = linked();
    p.write("f", "one\n").write("g", "one\n").ok("add f g");
    write_through(&p, "f");
    check(&p.cvops("add f"), str![]);
    for file in ["f", "g"] {
        assert_eq!(p.read(file), "one\nedited\n");
    }
    check(&p.cvops("data status"), str![]);
}

#[test]
fn pull_brings_the_object_back_and_leaves_the_edit_in_the_cache() {
    let p = linked();
    p.write("f", "one\n").ok("add f");
    p.ok("remote add --default far ../far");
    p.ok("push");
    write_through(&p, "f");
    check(&p.cvops("pull"), str![]);
    assert_eq!(p.read("f"), "one\n");
    p.ok("cache verify");
}

#[test]
fn a_stage_whose_output_was_written_through_a_link_runs_again_and_the_edit_is_kept() {
    let p = linked();
    p.write(
        "pipeline.yaml",
        "stages: {a: {cmd: echo 1 > out, outs: [out]}}\n",
    );
    p.ok("repro");
    write_through(&p, "out");
    check(&p.cvops("repro"), str![]);
    assert_eq!(p.read("out"), "1\n");
    p.ok("cache verify");
}

#[test]
fn links_that_lost_their_objects_are_missing_data_and_not_recorded_as_none() {
    let p = linked();
    p.write("f", "one\n")
        .write("d/a", "one\n")
        .write("d/b", "two\n");
    p.ok("add f d");
    p.remove(".cvops/cache");
    check(&p.cvops("data status"), str![]);
    check(&p.cvops("add d"), str![]);
    check(&p.cvops("add f"), str![]);
    check(&p.cvops("checkout"), str![]);
    for file in ["f", "d/a", "d/b"] {
        p.remove(file);
    }
    p.write("f", "one\n")
        .write("d/a", "one\n")
        .write("d/b", "two\n");
    p.ok("add f d");
    p.ok("checkout");
}

#[test]
fn a_link_to_a_folder_is_not_added() {
    let p = project();
    p.ok("init");
    fs::create_dir(p.root().join("../far")).unwrap();
    fs::write(p.root().join("../far/e1"), "e1\n").unwrap();
    symlink("../far", p.path("big")).unwrap();
    check(&p.cvops("add big"), str![]);
}

/// What is behind a link in a tracked folder belongs to somebody else.
#[test]
fn nothing_is_written_or_removed_behind_a_link_in_a_folder() {
    for kind in ["copy", "symlink"] {
        let p = project();
        p.ok("init");
        p.ok(&format!("config cache.type {kind}"));
        let far = p.root().join("../far");
        fs::create_dir(&far).unwrap();
        fs::write(far.join("e1"), "e1\n").unwrap();
        p.write("d/x", "x\n");
        symlink(&far, p.path("d/l")).unwrap();
        p.ok("add d");
        assert!(!far.join("e1").is_symlink());
        // Behind the link all stays; the folder gets what is recorded.
        fs::write(far.join("e1"), "changed\n").unwrap();
        fs::write(far.join("e2"), "e2\n").unwrap();
        p.ok("checkout");
        assert_eq!(p.read("d/l/e1"), "e1\n");
        assert!(!p.exists("d/l/e2") && !p.path("d/l").is_symlink());
        assert_eq!(fs::read_to_string(far.join("e1")).unwrap(), "changed\n");
        assert_eq!(fs::read_to_string(far.join("e2")).unwrap(), "e2\n");
        // A folder that is replaced by a link gives way as well.
        p.remove("d");
        symlink(&far, p.path("d")).unwrap();
        p.ok("checkout");
        assert_eq!(p.read("d/x"), "x\n");
        assert!(!p.path("d").is_symlink());
        assert_eq!(fs::read_to_string(far.join("e1")).unwrap(), "changed\n");
    }
}

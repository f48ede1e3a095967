//! Symbolic links among tracked data: those into the cache that somebody wrote through, and those to
//! folders that are not the project's.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

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
    check(
        &p.cvops("cache verify"),
        str![[r#"
[HASH] is damaged; it was moved to the cache's `corrupt` folder
`d/a` was a link to a damaged object, through which somebody may have written: it is a file of its own now, with those bytes
`f` was a link to a damaged object, through which somebody may have written: it is a file of its own now, with those bytes
[HASH].dir lacks 1 file
3 objects (250 B) verified; `cvops fetch` brings what is missing from a remote, `cvops repro` makes it anew
--- stderr ---
 WARN a corrupt object was taken out of the cache object=[HASH]
[exit 1]
"#]],
    );
    for file in ["f", "d/a"] {
        assert_eq!(p.read(file), "one\nedited\n");
        assert!(!p.path(file).is_symlink(), "{file}");
    }
    assert!(p.path("d/b").is_symlink());
    check(
        &p.cvops("data status"),
        str![[r#"
Not in the cache:
  (`cvops fetch` brings it from a remote)
        d/
        f

Changed since it was recorded:
  (`cvops commit` records it, `cvops checkout` takes it back)
        modified: d/
        modified: f
[exit 0]
"#]],
    );
    p.ok("add f d");
    assert_eq!(p.read("f"), "one\nedited\n");
}

#[test]
fn checkout_gives_an_edit_made_through_a_link_back_and_says_so() {
    let p = linked();
    p.write("f", "one\n").ok("add f");
    write_through(&p, "f");
    check(
        &p.cvops("checkout"),
        str![[r#"
--- stderr ---
 WARN a corrupt object was taken out of the cache object=[HASH]
error: `f` cannot be put in place: the cache has a damaged object under `[HASH]`
 |
 = note: damaged objects were moved to the `corrupt` folder of the cache
 = note: through a link into the cache somebody wrote to `f`; what was written is kept there, in a file of its own (`cvops commit` records it)
 = help: `cvops fetch` brings it from a remote that has it; if you have it elsewhere, put it there and `cvops add f`
[exit 1]
"#]],
    );
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
    check(
        &p.cvops("add f"),
        str![[r#"
--- stderr ---
 WARN a corrupt object was taken out of the cache object=[HASH]
updated f.cvops for `f` (11 B)
  its version before is damaged in the cache: [HASH] was written to through a link, and was moved to the cache's `corrupt` folder
[exit 0]
"#]],
    );
    for file in ["f", "g"] {
        assert_eq!(p.read(file), "one\nedited\n");
    }
    check(
        &p.cvops("data status"),
        str![[r#"
Not in the cache:
  (`cvops fetch` brings it from a remote)
        g

Changed since it was recorded:
  (`cvops commit` records it, `cvops checkout` takes it back)
        modified: g
[exit 0]
"#]],
    );
}

#[test]
fn pull_brings_the_object_back_and_leaves_the_edit_in_the_cache() {
    let p = linked();
    p.write("f", "one\n").ok("add f");
    p.ok("remote add --default far ../far");
    p.ok("push");
    write_through(&p, "f");
    check(
        &p.cvops("pull"),
        str![[r#"
M  f
1 file fetched from `far` (4 B), 1 file put in place
--- stderr ---
 WARN a corrupt object was taken out of the cache object=[HASH]
   its old content was not in the cache; it is kept there as [HASH]
[exit 0]
"#]],
    );
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
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
a: restoring an earlier result: output `out` was modified ([HASH] -> [HASH])
 WARN a corrupt object was taken out of the cache object=[HASH]
a: the earlier result cannot be used (the cache has a damaged object under `[HASH]`); running instead
a: `out` was not in the cache; its content is kept there as [HASH]
a $ echo 1 > out
a: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
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
    check(
        &p.cvops("data status"),
        str![[r#"
Not in the cache:
  (`cvops fetch` brings it from a remote)
        d/
        f

Changed since it was recorded:
  (`cvops commit` records it, `cvops checkout` takes it back)
        modified: d/
        deleted: f
[exit 0]
"#]],
    );
    check(
        &p.cvops("add d"),
        str![[r#"
--- stderr ---
error: `[ROOT]/d/a` is a link into the cache, which does not have its object
 |
 = help: `cvops fetch` and `cvops checkout` bring it back from a remote; or remove the link
[exit 1]
"#]],
    );
    check(
        &p.cvops("add f"),
        str![[r#"
--- stderr ---
error: `[ROOT]/f` is a link into the cache, which does not have its object
 |
 = help: `cvops fetch` and `cvops checkout` bring it back from a remote; or remove the link
[exit 1]
"#]],
    );
    check(
        &p.cvops("checkout"),
        str![[r#"
--- stderr ---
error: `d` cannot be put in place: the cache does not have `[HASH]`
 |
 = help: `cvops fetch` brings it from a remote that has it; if you have it elsewhere, put it there and `cvops add d`
error: `f` cannot be put in place: the cache does not have `[HASH]`
 |
 = help: `cvops fetch` brings it from a remote that has it; if you have it elsewhere, put it there and `cvops add f`
[exit 1]
"#]],
    );
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
    check(
        &p.cvops("add big"),
        str![[r#"
--- stderr ---
error: `big` is a symbolic link to a folder
 |
 = help: files behind it are not the project's to change; `rm big`, then `cvops add FOLDER --out big` copies what it leads to
[exit 2]
"#]],
    );
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

/// Says what a file is, in the words of `cache.type`.
fn kind(p: &Project, file: &str) -> &'static str {
    let metadata = fs::symlink_metadata(p.path(file)).unwrap();
    if metadata.is_symlink() {
        "symlink"
    } else if 1 < metadata.nlink() {
        "hardlink"
    } else {
        "copy"
    }
}

#[test]
fn relinking_makes_the_kind_of_link_that_the_settings_name_now() {
    let p = project();
    p.ok("init");
    p.ok("config cache.type hardlink");
    p.write("f", "one\n").write("d/a", "two\n");
    p.write("d/s/b", "three\n").ok("add f d");
    let is = |expected: &str| {
        for file in ["f", "d/a", "d/s/b"] {
            assert_eq!(kind(&p, file), expected, "{file}");
        }
    };
    is("hardlink");
    for now in ["symlink", "hardlink", "copy", "symlink", "copy", "hardlink"] {
        p.ok(&format!("config cache.type {now}"));
        // Files that hold what they should are left as they are without being told.
        check(
            &p.cvops("checkout"),
            str![[r#"
--- stderr ---
everything is in place already
[exit 0]
"#]],
        );
        check(
            &p.cvops("checkout --relink"),
            str![[r#"
--- stderr ---
relinked 2 paths (3 files)
[exit 0]
"#]],
        );
        is(now);
        check(
            &p.cvops("checkout --relink"),
            str![[r#"
--- stderr ---
everything is in place already
[exit 0]
"#]],
        );
        assert_eq!(p.read("d/s/b"), "three\n");
    }
    p.ok("config cache.type symlink");
    check(
        &p.cvops("checkout --relink --json f"),
        str![[r#"
{"error":null,"path":"f","relinked":1,"result":"unchanged","saved":null}
[exit 0]
"#]],
    );
    assert!(!p.ok("data status").stdout.contains("Changed since"));
    p.ok("cache verify");
}

//! `cvops move`, `remove` and `unprotect`: tracked data moved, let go and made editable.

use snapbox::{assert_data_eq, str};

use crate::support::{Exit, Project, check, project};

fn tracked() -> Project {
    let p = project();
    p.git_init();
    p.ok("init");
    p.write("data/raw/a", "1")
        .write("data/raw/b", "2")
        .write("x", "3");
    p.ok("add data/raw x");
    p
}

#[test]
fn data_moves_with_its_pointer_and_ignore_line() {
    let p = tracked();
    check(
        &p.cvops("move data/raw photos"),
        str![[r#"
--- stderr ---
moved `data/raw` to `photos`: photos.cvops
to track the changes with git:
  git add .gitignore photos.cvops
(`cvops config core.autostage true` does so by itself)
[exit 0]
"#]],
    );
    assert_eq!(p.read("photos/a"), "1");
    assert!(!p.exists("data/raw") && !p.exists("data/raw.cvops") && !p.exists("data/.gitignore"));
    check(
        &p.cvops("data status"),
        str![[r#"
Recorded since the last commit:
  (git commit the pointer and lock files)
        added: photos/
        added: x
[exit 0]
"#]],
    );
    // Into a folder; and by a relative path.
    check(
        &p.cvops("-C data move ../x ."),
        str![[r#"
--- stderr ---
moved `x` to `data/x`: data/x.cvops
to track the changes with git:
  git add ../.gitignore .gitignore x.cvops
(`cvops config core.autostage true` does so by itself)
[exit 0]
"#]],
    );
    assert_eq!(p.read("data/x"), "3");
    check(
        &p.cvops("ls -R --dvc-only"),
        str![[r#"
data/x
photos/a
photos/b
[exit 0]
"#]],
    );
}

#[test]
fn nothing_is_overwritten() {
    let p = tracked();
    p.write("y", "mine").write("z.cvops", "mine");
    check(
        &p.cvops("move x y"),
        str![[r#"
--- stderr ---
warning: `z.cvops` is left out, it cannot be read: `z.cvops` must be a mapping of keys to values
 --> z.cvops:1:1
  |
1 | mine
  | ^^^^ this is a text
error: `y` is there already
 |
 = help: choose another name, or move it away
[exit 2]
"#]],
    );
    check(
        &p.cvops("move x z"),
        str![[r#"
--- stderr ---
warning: `z.cvops` is left out, it cannot be read: `z.cvops` must be a mapping of keys to values
 --> z.cvops:1:1
  |
1 | mine
  | ^^^^ this is a text
error: `z.cvops` is there already
 |
 = help: choose another name, or move it away
[exit 2]
"#]],
    );
    check(
        &p.cvops("move data/raw/a elsewhere"),
        str![[r#"
--- stderr ---
warning: `z.cvops` is left out, it cannot be read: `z.cvops` must be a mapping of keys to values
 --> z.cvops:1:1
  |
1 | mine
  | ^^^^ this is a text
error: `data/raw/a` is part of `data/raw`, which is tracked as a whole
 |
 = help: name `data/raw`
[exit 2]
"#]],
    );
    check(
        &p.cvops("move data/raw data/raw/deeper"),
        str![[r#"
--- stderr ---
warning: `z.cvops` is left out, it cannot be read: `z.cvops` must be a mapping of keys to values
 --> z.cvops:1:1
  |
1 | mine
  | ^^^^ this is a text
error: `data/raw/deeper` lies inside `data/raw`, which is to move there
 |
 = help: choose a place outside it
[exit 2]
"#]],
    );
    check(
        &p.cvops("move nothing elsewhere"),
        str![[r#"
--- stderr ---
warning: `z.cvops` is left out, it cannot be read: `z.cvops` must be a mapping of keys to values
 --> z.cvops:1:1
  |
1 | mine
  | ^^^^ this is a text
error: `nothing` is not tracked
 |
 = help: `cvops ls --dvc-only -R` shows what is tracked
[exit 2]
"#]],
    );
    assert_eq!((p.read("x").as_str(), p.read("y").as_str()), ("3", "mine"));
}

#[test]
fn a_pointer_goes_and_its_data_stays_or_goes() {
    let p = tracked();
    check(
        &p.cvops("remove data/raw"),
        str![[r#"
--- stderr ---
error: `data/raw` is data; what can be removed is its pointer `data/raw.cvops`
 |
 = help: `cvops remove data/raw.cvops`
[exit 2]
"#]],
    );
    check(
        &p.cvops("remove data/raw.cvops"),
        str![[r#"
--- stderr ---
removed data/raw.cvops; `data/raw` is not tracked any more
[exit 0]
"#]],
    );
    assert_eq!(p.read("data/raw/a"), "1");
    assert!(!p.exists("data/raw.cvops") && !p.exists("data/.gitignore"));
    p.write("x", "edited");
    check(
        &p.cvops("remove --outs x.cvops"),
        str![[r#"
--- stderr ---
removed x.cvops and `x`
  the content of `x` is kept in the cache as [HASH]
[exit 0]
"#]],
    );
    assert!(!p.exists("x") && !p.exists("x.cvops"));
    check(
        &p.cvops("remove x.cvops"),
        str![[r#"
--- stderr ---
error: `x.cvops` is not tracked
 |
 = help: `cvops ls --dvc-only -R` shows what is tracked
[exit 2]
"#]],
    );
}

#[test]
fn links_become_files_that_can_be_edited() {
    let p = tracked();
    p.ok("config cache.type [symlink,copy]");
    p.ok("checkout --relink");
    assert!(p.path("x").is_symlink() && p.path("data/raw/a").is_symlink());
    check(
        &p.cvops("unprotect x data/raw"),
        str![[r#"
--- stderr ---
`x`: 1 file can be edited now
`data/raw`: 2 files can be edited now
[exit 0]
"#]],
    );
    check(
        &p.cvops("unprotect x"),
        str![[r#"
--- stderr ---
`x` can be edited already
[exit 0]
"#]],
    );
    check(
        &p.cvops("unprotect nothing"),
        str![[r#"
--- stderr ---
error: there is no file or folder `nothing`
 |
 = help: check its spelling
[exit 2]
"#]],
    );
    assert!(!p.path("x").is_symlink() && !p.path("data/raw/a").is_symlink());
    p.write("x", "edited");
    check(
        &p.cvops("checkout x"),
        str![[r#"
M	x
--- stderr ---
  the old content of `x` is kept in the cache as [HASH]
[exit 0]
"#]],
    );
    assert_eq!(p.read("x"), "3");
    // A pointer that goes leaves plain files.
    p.ok("checkout --relink");
    p.ok("remove x.cvops");
    assert!(!p.path("x").is_symlink());
}

#[test]
fn an_interrupted_move_into_a_folder_goes_on() {
    let p = tracked();
    p.write("into/mine", "4");
    for n in 1..40 {
        let output = p.run(
            p.command("move data/raw into")
                .env("CVOPS_CRASH_AT", n.to_string()),
        );
        if output.exit == crate::support::Exit::Code(0) {
            break;
        }
        if p.exists("data/raw.cvops") {
            p.ok("move data/raw into");
        }
        assert_eq!(p.read("into/raw/a"), "1");
        assert_eq!(p.read("into/.gitignore"), "/raw\n");
        assert!(!p.exists("data/raw") && !p.exists("data/raw.cvops"));
        p.ok("move into/raw data/raw");
    }
    assert_eq!(p.read("into/raw/b"), "2");
}

#[test]
fn what_git_never_knew_is_not_handed_to_it() {
    let p = tracked();
    check(
        &p.cvops("remove x.cvops"),
        str![[r#"
--- stderr ---
removed x.cvops; `x` is not tracked any more
[exit 0]
"#]],
    );
    // With it, `git add` would refuse the other files, too.
    p.write(".cvops/config.yaml", "core:\n  autostage: true\n");
    p.write("y", "5").ok("add y");
    p.ok("move y z");
    assert_eq!(p.git("status --porcelain z.cvops y.cvops"), "A  z.cvops\n");
    check(
        &p.cvops("remove z.cvops --json"),
        str![[r#"
{"for_git":[".gitignore","z.cvops"],"removed":[{"paths":["z"],"pointer":"z.cvops","saved":[]}]}
[exit 0]
"#]],
    );
    assert_eq!(p.git("status --porcelain z.cvops y.cvops"), "");
}

/// Two stages, of which one has run.
fn stages() -> Project {
    let p = project();
    p.git_init();
    p.write(
        "pipeline.yaml",
        "# Two of them.\nstages:\n  one:\n    cmd: cp in a\n    deps: [in]\n    outs: [a]\n\n  # The other.\n  two:\n    cmd: cp a b && cp a m.json\n    deps: [a]\n    outs: [b]\n    metrics:\n      - m.json:\n          cache: false\n",
    );
    p.write("in", "1\n");
    p.ok("repro");
    p
}

#[test]
fn a_stage_goes_with_its_lock_entry_and_ignore_lines() {
    let p = stages();
    check(
        &p.cvops("remove two"),
        str![[r#"
--- stderr ---
removed the stage `two`; what it wrote stays: `b`, `m.json`
to track the changes with git:
  git add .gitignore pipeline.lock pipeline.yaml
(`cvops config core.autostage true` does so by itself)
[exit 0]
"#]],
    );
    assert_data_eq!(
        format!("{}--\n{}", p.read("pipeline.yaml"), p.read(".gitignore")),
        str![[r#"
# Two of them.
stages:
  one:
    cmd: cp in a
    deps: [in]
    outs: [a]

  # The other.
--
/a

"#]],
    );
    assert!(!p.read("pipeline.lock").contains("two:"));
    assert_eq!(p.read("b"), "1\n");
    check(
        &p.cvops("status"),
        str![[r#"
one  unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
    // The outputs too; what the cache lacks is kept there.
    p.write("a", "mine\n");
    check(
        &p.cvops("remove one --outs"),
        str![[r#"
--- stderr ---
removed the stage `one` and `a`
  the content of `a` is kept in the cache as [HASH]
[exit 0]
"#]],
    );
    assert!(!p.exists("a") && !p.exists("pipeline.yaml") && !p.exists("pipeline.lock"));
}

#[test]
fn what_is_no_stage_of_its_own_cannot_be_removed() {
    let p = stages();
    check(
        &p.cvops("remove three"),
        str![[r#"
--- stderr ---
error: `three` is neither a stage nor an output of one
 |
 = help: `cvops dag` shows all stages
[exit 2]
"#]],
    );
    check(
        &p.cvops("remove b"),
        str![[r#"
--- stderr ---
error: `b` is an output of the stage `two`; what can be removed is the stage
 |
 = help: `cvops remove two`
[exit 2]
"#]],
    );
    p.write(
        "pipeline.yaml",
        "stages:\n  each:\n    foreach: [x, y]\n    do:\n      cmd: echo ${item}\n",
    );
    check(
        &p.cvops("remove each@x"),
        str![[r#"
--- stderr ---
error: `each@x` is one of the stages of `each` and cannot be changed alone
 |
 = help: write it into `each` in the pipeline file, where it holds for all of them
[exit 2]
"#]],
    );
}

#[test]
fn a_project_is_destroyed_and_its_files_stay() {
    let p = stages();
    p.write("data/x", "2")
        .write(".cvops/config.yaml", "cache:\n  type: symlink\n");
    p.ok("add data");
    check(
        &p.cvops("destroy"),
        str![[r#"
--- stderr ---
error: this removes the settings, the cache, the pipelines, the pointers and the recorded runs of `[ROOT]`
 |
 = note: nobody can be asked: the input is no terminal
 = help: `cvops destroy --force` does it
[exit 2]
"#]],
    );
    check(
        &p.cvops("destroy --force"),
        str![[r#"
--- stderr ---
removed data.cvops
removed pipeline.lock
removed pipeline.yaml
removed .cvops
[exit 0]
"#]],
    );
    for path in [".cvops", "pipeline.yaml", "pipeline.lock", "data.cvops"] {
        assert!(!p.exists(path), "{path}");
    }
    assert_eq!(p.read("data/x") + &p.read("a"), "21\n");
    assert!(!p.root().join("data/x").is_symlink());
}

/// Data under the name of a pointer would be read as one by every later command.
#[test]
fn data_gets_no_name_of_a_pointer() {
    let p = project();
    p.write("f", "1\n").ok("init");
    p.ok("add f");
    let refused = p.cvops("move f z.cvops");
    assert_eq!(refused.exit, Exit::Code(2), "{}", refused.transcript());
    assert!(refused.stderr.contains("`z.cvops` is a pointer file"));
    assert_eq!(p.read("f"), "1\n");
    p.ok("data status");
}

//! Data in DVC repositories, by DVC and by cvops in turn: pointers, objects, remotes.

use std::fs;

use snapbox::{assert_data_eq, str};

use crate::support::dvc::{Picture, program, repository};
use crate::support::twins::Tool::{Cvops, Dvc};
use crate::support::twins::Twins;
use crate::support::{Project, check};

/// Returns what lies in the remote beside a project.
fn remote(p: &Project) -> Picture {
    Picture::of(&p.root().join("../remote"))
}

/// Takes from the remotes what only cvops sends: DVC sends records without the metrics and plots
/// that they name and git keeps, so that nobody who fetches them can restore the run.
fn forget_what_records_alone_name(twins: &Twins) {
    let files = |p: &Project| remote(p).files().map(str::to_owned).collect::<Vec<_>>();
    let (Cvops, ours) = &twins.seats[1] else {
        panic!("no swap came before");
    };
    let theirs = files(&twins.seats[0].1);
    for file in files(ours).iter().filter(|file| !theirs.contains(file)) {
        let path = ours.root().join("../remote").join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("acc") || text.contains("epoch"),
            "{file} is neither metric nor plot: {text}"
        );
        fs::remove_file(&path).unwrap();
        fs::remove_dir(path.parent().unwrap()).unwrap();
    }
}

/// Takes from the cache what the remote has: the rest (`push: false`) is nowhere else.
fn forget_what_is_pushed(p: &Project) {
    for path in remote(p).files() {
        let cached = p.path(".dvc/cache").join(path);
        if cached.exists() {
            fs::remove_file(cached).unwrap();
        }
    }
}

#[test]
fn pointers_and_objects_are_the_same_whoever_writes_them() {
    if program("data by both tools").is_none() {
        return;
    }
    let mut twins = Twins::new(4);
    for (_, p) in &twins.seats {
        // Data alone: a pointer needs no pipeline.
        p.remove("dvc.yaml").remove("sub");
        p.write("data/zero", "").write("data/sp ace.bin", "s\n");
        p.write("data/empty/.keep", "").remove("data/empty/.keep");
    }
    twins.both(
        "add data/raw data/labels.txt data/zero 'data/sp ace.bin' data/empty",
        "of all kinds",
    );
    twins.swap_data("new data");
    for (_, p) in &twins.seats {
        p.write("data/raw/a/new.txt", "new\n")
            .write("data/raw/no-extension", "changed\n");
    }
    twins.both("add data/raw/a/new.txt", "of a part");
    twins.both("add data/raw", "of the rest");
    twins.swap_data("a part");
    for (_, p) in &twins.seats {
        p.write("data/labels.txt", "committed\n")
            .remove("data/raw/a/new.txt");
    }
    twins.both("commit --force", "of what was changed");
    twins.swap_data("a commit");
    twins.both("move data/labels.txt data/names.txt", "of a file");
    twins.both("remove data/zero.dvc", "of a pointer");
    for (_, p) in &twins.seats {
        // DVC's next `checkout` deletes what it once linked and no longer tracks; ours does not.
        p.remove("data/zero");
    }
    twins.swap_data("a move and a removal");
    for (_, p) in &twins.seats {
        p.remove("data/raw")
            .remove("data/names.txt")
            .remove("data/sp ace.bin");
    }
    twins.both("checkout", "of what is missing");
    twins.both("gc --workspace --force", "of what nothing names");
    twins.swap_data("a collection of garbage");
}

#[test]
fn what_a_user_wrote_into_a_pointer_stays() {
    let texts = [Dvc, Cvops].map(|tool| {
        if tool == Dvc && program("comments of pointers").is_none() {
            return None;
        }
        let p = repository();
        p.write("d.txt", "one\n");
        p.write(
            "d.txt.dvc",
            "# mine\ndesc: words\nouts:\n- md5: 5bbf5a52328e7439ae6e719dfe712200\n  size: 4\n  hash: md5\n  # also mine\n  path: d.txt\n  remote: far\n  push: false\nmeta:\n  who: me\n",
        );
        p.write("d.txt", "two\n");
        tool.ok(&p, "commit --force d.txt.dvc");
        Some(p.read("d.txt.dvc"))
    });
    if let [Some(theirs), Some(ours)] = texts {
        assert_eq!(ours, theirs);
    }
}

#[test]
fn what_one_pushes_the_other_pulls() {
    if program("remotes by both tools").is_none() {
        return;
    }
    let mut twins = Twins::new(5);
    twins.both("add data/raw data/labels.txt", "");
    twins.both("repro --all-pipelines", "");
    twins.both("remote add --default far ../remote", "of a folder");
    twins.both("push --run-cache", "of everything");
    forget_what_records_alone_name(&twins);
    let [left, right] = twins.seats.each_ref().map(|(_, p)| remote(p));
    left.assert_same(&right, "the remotes");
    twins.swap("a push");
    twins.both("push", "of nothing new");
    for (_, p) in &twins.seats {
        forget_what_is_pushed(p);
        p.remove("data/raw")
            .remove("build/prep")
            .remove("build/lines.txt");
    }
    twins.both("pull", "of everything");
    twins.swap("a pull");
    for (_, p) in &twins.seats {
        forget_what_is_pushed(p);
        p.remove("dvc.lock").remove("build");
    }
    // cvops brings what the records name as well, DVC when it is wanted.
    for (tool, p) in &twins.seats {
        tool.ok(p, "fetch --run-cache");
    }
    twins.both(
        "repro --all-pipelines --pull",
        "of results that the remote has",
    );
    twins.swap("results of the remote's run cache");
}

#[test]
fn a_folder_with_an_ignore_file_in_it_is_refused() {
    let p = repository();
    p.write("d/sub/x", "1").write("d/sub/.dvcignore", "*.tmp\n");
    check(
        &p.cvops("add d"),
        str![[r#"
--- stderr ---
error: `d` holds `d/sub/.dvcignore`: in a DVC repository no tracked folder has an ignore file in it
 |
 = help: write its patterns into a `.dvcignore` above `d`, then remove it
[exit 2]
"#]],
    );
    assert!(!p.exists("d.dvc"));
}

#[test]
fn a_stage_is_removed_as_dvc_does() {
    let p = repository();
    p.write("in", "1\n");
    p.write(
        "dvc.yaml",
        "stages:\n  one:\n    cmd: cp in a\n    deps: [in]\n    outs: [a]\n  two:\n    cmd: cp a b\n    deps: [a]\n    outs: [b]\n",
    );
    p.ok("repro");
    p.ok("remove dvc.yaml:one --outs");
    assert!(!p.exists("a"));
    assert_data_eq!(
        format!(
            "{}--\n{}--\n{}",
            p.read("dvc.yaml"),
            p.read("dvc.lock"),
            p.read(".gitignore")
        ),
        str![[r#"
stages:
  two:
    cmd: cp a b
    deps: [a]
    outs: [b]
--
schema: '2.0'
stages:
  two:
    cmd: cp a b
    deps:
    - path: a
      hash: md5
      md5: b026324c6904b2a9cb4b88d6d61c81d1
      size: 2
    outs:
    - path: b
      hash: md5
      md5: b026324c6904b2a9cb4b88d6d61c81d1
      size: 2
--
/b

"#]],
    );
}

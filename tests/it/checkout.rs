//! `cvops checkout`: outputs put in place as the lock names them.

use snapbox::str;

use crate::support::stages::{sample, with_pipeline};
use crate::support::{check, project};

#[test]
fn what_is_missing_or_different_is_put_in_place_and_nothing_runs() {
    let p = sample();
    check(
        &p.cvops("checkout"),
        str![[r#"
--- stderr ---
error: `tally.txt` cannot be put in place: no run that wrote it is recorded
 |
 = help: `cvops repro tally` makes it anew
error: `top.txt` cannot be put in place: no run that wrote it is recorded
 |
 = help: `cvops repro top` makes it anew
error: `upper.txt` cannot be put in place: no run that wrote it is recorded
 |
 = help: `cvops repro prepare` makes it anew
[exit 1]
"#]],
    );
    p.ok("repro");
    p.ran();
    check(
        &p.cvops("checkout"),
        str![[r#"
--- stderr ---
everything is in place already
[exit 0]
"#]],
    );
    p.remove("upper.txt").write("top.txt", "by hand\n");
    check(
        &p.cvops("checkout"),
        str![[r#"
M	top.txt
A	upper.txt
--- stderr ---
  the old content of `top.txt` is kept in the cache as [HASH]
[exit 0]
"#]],
    );
    assert_eq!(
        (p.read("upper.txt").as_str(), p.read("top.txt").as_str()),
        ("FIG\nKIWI\nLIME\n", "FIG\nKIWI\n")
    );
    p.remove("upper.txt").remove("top.txt").remove("tally.txt");
    check(
        &p.cvops("checkout top tally.txt"),
        str![[r#"
A	tally.txt
A	top.txt
[exit 0]
"#]],
    );
    assert!(!p.exists("upper.txt"));
    check(
        &p.cvops("checkout --json upper.txt"),
        str![[r#"
{"error":null,"path":"upper.txt","result":"added","saved":null}
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "");
}

#[test]
fn another_commit_brings_its_outputs_back() {
    let p = sample();
    p.write(".gitignore", ".cvops\n");
    p.ok("repro");
    p.git_init();
    let outputs = ["upper.txt", "top.txt", "tally.txt"];
    let old = outputs.map(|o| p.read(o));
    p.write("data/words.txt", "apple\n");
    p.ok("repro");
    p.git("add --all");
    p.git("commit --quiet --message apple");
    p.git("checkout --quiet HEAD~1 -- data/words.txt pipeline.lock");
    p.ok("checkout");
    assert_eq!(outputs.map(|o| p.read(o)), old);
    check(
        &p.cvops("status --exit-code"),
        str![[r#"
prepare  unchanged
top      unchanged
tally    unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
}

/// git has what `cache: false` leaves to it: an edit there is none of checkout's business, and in a
/// clone the cache does not have it.
#[test]
fn what_is_left_to_git_is_left_alone() {
    let p = with_pipeline(
        "stages:\n  score:\n    cmd: \"echo '{\\\"a\\\": 1}' > m.json; echo o > o.txt\"\n    metrics: [{m.json: {cache: false}}]\n    outs: [o.txt]\n",
    );
    p.ok("repro");
    p.write("note.txt", "one\n").ok("add note.txt");
    let pointer = p.read("note.txt.cvops");
    p.write("note.txt.cvops", format!("{pointer}  cache: false\n"));
    p.write("m.json", "{\"a\": 2}\n").write("note.txt", "two\n");
    for command in ["checkout", "checkout --force", "checkout m.json note.txt"] {
        check(
            &p.cvops(command),
            str![[r#"
--- stderr ---
everything is in place already
[exit 0]
"#]],
        );
    }
    assert_eq!(p.read("m.json"), "{\"a\": 2}\n");
    assert_eq!(p.read("note.txt"), "two\n");
    // As in a fresh clone, after `pull` has brought the output.
    p.remove(".cvops/cache").remove(".cvops/runs");
    p.ok("repro --force");
    let object = blake3::hash(p.read("m.json").as_bytes()).to_hex();
    p.remove(&format!(
        ".cvops/cache/blake3/{}/{}",
        &object[..2],
        &object[2..]
    ));
    p.ok("checkout");
    // What is gone is for git to bring back.
    p.remove("m.json");
    p.ok("checkout");
    assert!(!p.exists("m.json"));
}

#[test]
fn the_help_for_what_the_cache_lacks_is_what_helps() {
    let p = with_pipeline("stages: {a: {cmd: echo 1 > out, outs: [out]}}\n");
    p.write("f", "1\n2\n").ok("add f");
    p.ok("freeze a");
    check(
        &p.cvops("checkout out"),
        str![[r#"
--- stderr ---
error: `out` cannot be put in place: no run that wrote it is recorded
 |
 = help: `a` is frozen: `cvops unfreeze a`, then `cvops repro a` makes it anew
[exit 1]
"#]],
    );
    p.ok("unfreeze a");
    p.ok("repro");
    p.ok("freeze a");
    p.remove(".cvops/cache").remove("out").remove("f");
    check(
        &p.cvops("checkout"),
        str![[r#"
--- stderr ---
error: `f` cannot be put in place: the cache does not have `[HASH]`
 |
 = help: `cvops fetch` brings it from a remote that has it; if you have it elsewhere, put it there and `cvops add f`
error: `out` cannot be put in place: the cache does not have `[HASH]`
 |
 = help: `cvops fetch` brings it from a remote that has it; `a` is frozen: `cvops unfreeze a`, then `cvops repro a` makes it anew
[exit 1]
"#]],
    );
    p.ok("unfreeze a");
    check(
        &p.cvops("checkout out"),
        str![[r#"
--- stderr ---
error: `out` cannot be put in place: the cache does not have `[HASH]`
 |
 = help: `cvops fetch` brings it from a remote that has it; `cvops repro a` makes it anew
[exit 1]
"#]],
    );
}

/// What the branch one comes from tracked, and this one does not, would be new files to git.
#[test]
fn a_branch_takes_its_data_along() {
    for dvc in [false, true] {
        let p = project();
        p.write("readme", "1\n").git_init();
        p.ok(if dvc { "init --dvc" } else { "init" });
        p.git("add --all");
        p.git("commit --quiet --message init");
        p.git("checkout --quiet -b data");
        p.write("f", "one\n")
            .write("d/a", "1\n")
            .write("mine", "1\n");
        p.ok("add f d mine");
        p.git("add --all");
        p.git("commit --quiet --message data");
        p.git("checkout --quiet main");
        p.write("mine", "edited\n");
        check(
            &p.cvops("checkout"),
            str![[r#"
D	d/
D	f
[exit 0]
"#]],
        );
        assert_eq!(p.git("status --porcelain"), "?? mine\n");
        check(
            &p.cvops("checkout"),
            str![[r#"
--- stderr ---
everything is in place already
[exit 0]
"#]],
        );
        p.git("checkout --quiet data");
        check(
            &p.cvops("checkout"),
            str![[r#"
M	mine
A	d/
A	f
--- stderr ---
  the old content of `mine` is kept in the cache as [HASH]
[exit 0]
"#]],
        );
        assert_eq!(p.read("d/a"), "1\n");
    }
}

/// What the user stopped tracking stays, even if another branch tracks the same.
#[test]
fn what_is_not_tracked_any_more_is_no_stray() {
    let p = project();
    p.write("f", "one\n").ok("init");
    p.ok("add f");
    p.git_init();
    p.git("checkout --quiet -b other");
    p.write("note", "1\n").git("add note");
    p.git("commit --quiet --message note");
    p.git("checkout --quiet main");
    p.ok("remove f.cvops");
    p.ok("checkout");
    assert_eq!(p.read("f"), "one\n");
}

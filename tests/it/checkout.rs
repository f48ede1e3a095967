//! `cvops checkout`: outputs put in place as the lock names them.

use snapbox::str;

use crate::support::check;
use crate::support::stages::sample;

#[test]
fn what_is_missing_or_different_is_put_in_place_and_nothing_runs() {
    let p = sample();
    check(
        &p.cvops("checkout"),
        str![[r#"
--- stderr ---
error: `tally.txt` cannot be restored: the lock records no run of `tally` that wrote it
 |
 = help: `cvops repro` makes it anew
error: `top.txt` cannot be restored: the lock records no run of `top` that wrote it
 |
 = help: `cvops repro` makes it anew
error: `upper.txt` cannot be restored: the lock records no run of `prepare` that wrote it
 |
 = help: `cvops repro` makes it anew
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

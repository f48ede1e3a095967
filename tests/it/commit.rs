//! `cvops commit`: the workspace recorded as it is.

use snapbox::str;

use crate::support::check;
use crate::support::stages::{sample, with_pipeline};

#[test]
fn outputs_changed_by_hand_are_the_result_then() {
    let p = sample();
    p.ok("repro");
    p.ran();
    check(
        &p.cvops("commit"),
        str![[r#"
--- stderr ---
nothing changed since it was recorded
[exit 0]
"#]],
    );
    p.write("tally.txt", "mine\n");
    check(
        &p.cvops("commit"),
        str![[r#"
tally: recorded `tally.txt`
[exit 0]
"#]],
    );
    check(
        &p.cvops("status"),
        str![[r#"
prepare  unchanged
top      unchanged
tally    unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
    p.write("top.txt", "MINE\n");
    check(
        &p.cvops("commit --json top"),
        str![[r#"
{"sources":[],"stages":[{"changed":["top.txt"],"recorded":true,"stage":"top","stored":["top.txt"]}],"stored":[]}
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "");
}

#[test]
fn inputs_that_changed_need_to_be_insisted_on() {
    let p = sample();
    check(
        &p.cvops("commit prepare"),
        str![[r#"
--- stderr ---
error: the outputs of `prepare` may not be its result: it never ran here
 |
 = help: run `cvops repro prepare`; or, if you know that the outputs are right, `cvops commit --force prepare`
[exit 1]
"#]],
    );
    p.ok("repro");
    p.write("params.yaml", "lines: 1\n");
    p.write("data/words.txt", "fig\n");
    let lock = p.read("pipeline.lock");
    check(
        &p.cvops("commit"),
        str![[r#"
--- stderr ---
error: the outputs of `prepare` may not be its result: its dependency `data/words.txt` changed
 |
 = help: run `cvops repro prepare`; or, if you know that the outputs are right, `cvops commit --force prepare`
error: the outputs of `top` may not be its result: its parameter `lines` changed
 |
 = help: run `cvops repro top`; or, if you know that the outputs are right, `cvops commit --force top`
[exit 1]
"#]],
    );
    assert_eq!(p.read("pipeline.lock"), lock);
    check(
        &p.cvops("commit -f -d top"),
        str![[r#"
prepare: recorded its outputs as the result of its inputs now
top: recorded its outputs as the result of its inputs now
[exit 0]
"#]],
    );
    check(
        &p.cvops("status"),
        str![[r#"
prepare  unchanged
top      unchanged
tally    unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
    p.remove("top.txt");
    check(
        &p.cvops("commit -f top"),
        str![[r#"
--- stderr ---
error: stage `top` did not produce its output `top.txt`
 |
 = help: let the command write `top.txt`, or drop it from `outs`
[exit 1]
"#]],
    );
}

#[test]
fn what_was_recorded_without_being_stored_is_put_into_the_cache() {
    let p = with_pipeline("stages: {a: {cmd: 'echo 1 > a', outs: [a]}}\n");
    p.ok("remote add -d store store");
    p.write("N", "new\n").write("d/x", "1").write("d/y", "2");
    p.ok("add --no-commit N d");
    p.ok("repro --no-commit");
    check(
        &p.cvops("push N"),
        str![[r#"
everything is up to date
--- stderr ---
error: the cache does not have `N`
 |
 = help: `cvops commit N` puts what is in place into the cache; then push again
[exit 1]
"#]],
    );
    check(
        &p.cvops("push"),
        str![[r#"
everything is up to date
--- stderr ---
error: the cache does not have `N`, `a`, `d`
 |
 = help: `cvops commit N a d` puts what is in place into the cache; then push again
[exit 1]
"#]],
    );
    check(
        &p.cvops("commit N"),
        str![[r#"
`N`: put into the cache
[exit 0]
"#]],
    );
    check(
        &p.cvops("commit N"),
        str![[r#"
--- stderr ---
nothing changed since it was recorded
[exit 0]
"#]],
    );
    check(
        &p.cvops("commit"),
        str![[r#"
`d`: put into the cache
a: put `a` into the cache
[exit 0]
"#]],
    );
    check(
        &p.cvops("push"),
        str![[r#"
5 files pushed to `store` (243 B)
[exit 0]
"#]],
    );
    check(
        &p.cvops("commit --json"),
        str![[r#"
{"sources":[],"stages":[{"changed":[],"recorded":false,"stage":"a","stored":[]}],"stored":[]}
[exit 0]
"#]],
    );
}

#[test]
fn broken_data_elsewhere_is_a_warning() {
    let p = sample();
    p.write("f", "1\n").ok("add f");
    p.write("bad.cvops", "a: [").write("f", "2\n");
    check(
        &p.cvops("commit f.cvops"),
        str![[r#"
f.cvops: recorded anew: `f` changed ([HASH] -> [HASH])
--- stderr ---
warning: `bad.cvops` is left out, it cannot be read: `bad.cvops` cannot be parsed
 --> bad.cvops:1:4
  |
1 | a: [
  |    ^ did not find expected node content
[exit 0]
"#]],
    );
    check(
        &p.cvops("commit bad"),
        str![[r#"
--- stderr ---
error: `bad.cvops` cannot be parsed
 --> bad.cvops:1:4
  |
1 | a: [
  |    ^ did not find expected node content
[exit 2]
"#]],
    );
}

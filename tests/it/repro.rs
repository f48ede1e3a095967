//! `cvops repro`: what runs, what is restored, what is left alone, and what is said about it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use snapbox::str;

use crate::support::check;
use crate::support::stages::{Beside, sample, wait_until, with_pipeline};

#[test]
fn a_first_run_runs_all_and_a_second_nothing() {
    let p = sample();
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: running: it never ran
prepare $ echo prepare >> ~/runs; tr a-z A-Z < data/words.txt > upper.txt
prepare: done in [TIME]
top: running: it never ran
top $ echo top >> ~/runs; head -n "$(sed 's/[^0-9]//g' params.yaml)" upper.txt > top.txt
top: done in [TIME]
tally: running: it never ran
tally $ echo tally >> ~/runs; grep -c . top.txt > tally.txt
tally: done in [TIME]
3 stages: 3 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "prepare top tally");
    assert_eq!(p.read("top.txt"), "FIG\nKIWI\n");
    assert_eq!(p.read("tally.txt"), "2\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: unchanged
top: unchanged
tally: unchanged
everything is up to date (3 stages)
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "");
    let done = p.ok("repro --json").events("done");
    assert_eq!(done[0]["files_hashed"], 0);
}

#[test]
fn the_lock_is_this_text() {
    let p = sample();
    p.ok("repro");
    snapbox::assert_data_eq!(
        p.read("pipeline.lock"),
        str![[r##"
# Written by cvops: what each stage last ran with and wrote. Commit it; do not edit it.
schema: '1'
stages:
  prepare:
    cmd: echo prepare >> ~/runs; tr a-z A-Z < data/words.txt > upper.txt
    deps:
    - path: data/words.txt
      blake3: 5fbf9cace0be4e50cb48e16862707f0a44264a0e9d9ff6012666e99e53cbf983
      size: 14
    outs:
    - path: upper.txt
      blake3: 107ec67b0e778dc0042bf29deb7249bd7bac7148810a51b583d2031a47fd8a62
      size: 14
  tally:
    cmd: echo tally >> ~/runs; grep -c . top.txt > tally.txt
    deps:
    - path: top.txt
      blake3: 98bb3a0c2f27aeaf67836b01db40815f1516ddcd6ea53c685b88c8597e634c24
      size: 9
    outs:
    - path: tally.txt
      blake3: b9a1a3183dd350f0e896d0f4b59c87e7bda8b1ed3a1af76afc86c1cb8f7cbbde
      size: 2
  top:
    cmd: echo top >> ~/runs; head -n "$(sed 's/[^0-9]//g' params.yaml)" upper.txt > top.txt
    deps:
    - path: upper.txt
      blake3: 107ec67b0e778dc0042bf29deb7249bd7bac7148810a51b583d2031a47fd8a62
      size: 14
    params:
      params.yaml:
        lines: 2
    outs:
    - path: top.txt
      blake3: 98bb3a0c2f27aeaf67836b01db40815f1516ddcd6ea53c685b88c8597e634c24
      size: 9

"##]]
    );
    let first = p.read("pipeline.lock");
    p.remove("pipeline.lock");
    p.ok("repro");
    assert_eq!(p.read("pipeline.lock"), first);
}

#[test]
fn json_tells_the_same_story() {
    let p = sample();
    let output = p.ok("repro --json tally");
    let events: Vec<_> = output
        .json()
        .iter()
        .map(|e| e["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        events.join(" "),
        "decided started finished decided started finished decided started finished done"
    );
    assert_eq!(output.stderr, "");
    p.write("params.yaml", "lines: 1\n");
    let decided = p.ok("repro --json").events("decided");
    assert_eq!(decided[1]["reasons"][0]["kind"], "parameter_changed");
    assert_eq!(decided[1]["reasons"][0]["parameter"], "lines");
    assert_eq!(decided[2]["reasons"][0]["kind"], "upstream_changed");
}

#[test]
fn a_changed_parameter_runs_its_stage_and_going_back_restores() {
    let p = sample();
    p.ok("repro");
    p.ran();
    p.write("params.yaml", "lines: 3\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: unchanged
top: running: parameter `lines` changed (2 -> 3)
top $ echo top >> ~/runs; head -n "$(sed 's/[^0-9]//g' params.yaml)" upper.txt > top.txt
top: done in [TIME]
tally: running: upstream `top` ran and its output `top.txt` really changed
tally $ echo tally >> ~/runs; grep -c . top.txt > tally.txt
tally: done in [TIME]
3 stages: 2 ran, 1 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "top tally");
    p.write("params.yaml", "lines: 2\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: unchanged
top: restoring an earlier result: parameter `lines` changed (3 -> 2)
top: restored in [TIME]
tally: restoring an earlier result: upstream `top` ran and its output `top.txt` really changed
tally: restored in [TIME]
3 stages: 2 restored, 1 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "");
    assert_eq!(
        (p.read("top.txt").as_str(), p.read("tally.txt").as_str()),
        ("FIG\nKIWI\n", "2\n")
    );
    p.write("params.yaml", "lines: 3\n");
    p.ok("repro --no-run-cache");
    assert_eq!(p.ran(), "top tally");
}

#[test]
fn a_stage_whose_output_comes_out_the_same_stops_the_wave() {
    let p = sample();
    p.ok("repro");
    p.ran();
    p.write("data/words.txt", "Fig\nKIWI\nlime\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: running: dependency `data/words.txt` changed ([HASH] -> [HASH])
prepare $ echo prepare >> ~/runs; tr a-z A-Z < data/words.txt > upper.txt
prepare: done in [TIME]
top: unchanged
tally: unchanged
3 stages: 1 ran, 2 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "prepare");
    // Lines beyond those that `top` keeps.
    p.write("data/words.txt", "fig\nkiwi\nplum\n");
    p.ok("repro");
    assert_eq!(p.ran(), "prepare top");
}

#[test]
fn one_file_changed_in_a_folder_is_named() {
    let p = with_pipeline(
        "stages: {join: {cmd: cat parts/*/* > all.txt, deps: [parts], outs: [all.txt]}}\n",
    );
    p.write("parts/a/1", "1\n")
        .write("parts/a/2", "2\n")
        .write("parts/b/3", "3\n");
    p.ok("repro");
    p.write("parts/a/2", "two\n").write("parts/b/4", "4\n");
    check(
        &p.cvops("why join"),
        str![[r#"
join must run: dependency `parts` changed ([HASH] -> [HASH]: 1 added, 1 modified)
    modified a/2
    added b/4
[exit 0]
"#]],
    );
    check(
        &p.cvops("status"),
        str![[r#"
join  must run    dependency `parts` changed ([HASH] -> [HASH]: 1 added, 1 modified)
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
join: running: dependency `parts` changed ([HASH] -> [HASH]: 1 added, 1 modified)
join $ cat parts/*/* > all.txt
join: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.read("all.txt"), "1\ntwo\n3\n4\n");
    p.write("parts/a/2", "2\n").remove("parts/b/4");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
join: restoring an earlier result: dependency `parts` changed ([HASH] -> [HASH]: 1 removed, 1 modified)
join: restored in [TIME]
1 stage: 1 restored
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.read("all.txt"), "1\n2\n3\n");
}

#[test]
fn a_changed_command_runs_again() {
    let p = sample();
    p.ok("repro");
    p.ran();
    p.edit("pipeline.yaml", "grep -c .", "grep -c I");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: unchanged
top: unchanged
tally: running: command changed (`echo tally >> ~/runs; grep -c . top.txt > tally.txt` -> `echo tally >> ~/runs; grep -c I top.txt > tally.txt`)
tally $ echo tally >> ~/runs; grep -c I top.txt > tally.txt
tally: done in [TIME]
3 stages: 1 ran, 2 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "tally");
}

#[test]
fn an_environment_variable_counts_when_declared() {
    let p = with_pipeline(
        "stages: {e: {cmd: 'echo \\${COLOUR-none} $OTHER > e.txt', env: [COLOUR], outs: [e.txt]}}\n",
    );
    p.ok("repro");
    assert_eq!(p.read("e.txt"), "none\n");
    check(
        &p.run(p.command("repro").env("COLOUR", "red").env("OTHER", "x")),
        str![[r#"
--- stderr ---
e: running: environment variable `COLOUR` changed (unset -> `red`)
e $ echo ${COLOUR-none} $OTHER > e.txt
e: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.read("e.txt"), "red x\n");
    check(
        &p.run(p.command("repro").env("COLOUR", "red").env("OTHER", "y")),
        str![[r#"
--- stderr ---
e: unchanged
everything is up to date (1 stage)
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
e: restoring an earlier result: environment variable `COLOUR` changed (`red` -> unset)
e: restored in [TIME]
1 stage: 1 restored
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.read("e.txt"), "none\n");
}

#[test]
fn a_deleted_output_is_restored() {
    let p = sample();
    p.ok("repro");
    p.ran();
    p.remove("top.txt");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: unchanged
top: restoring an earlier result: output `top.txt` is missing
top: restored in [TIME]
tally: unchanged
3 stages: 1 restored, 2 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "");
    assert_eq!(p.read("top.txt"), "FIG\nKIWI\n");
}

#[test]
fn an_output_edited_by_hand_is_kept_in_the_cache_before_it_is_replaced() {
    let p = sample();
    p.ok("repro");
    p.ran();
    // Before a restore.
    p.write("top.txt", "mine\n");
    let output = p.cvops("repro");
    check(
        &output,
        str![[r#"
--- stderr ---
prepare: unchanged
top: restoring an earlier result: output `top.txt` was modified ([HASH] -> [HASH])
top: `top.txt` was not in the cache; its content is kept there as [HASH]
top: restored in [TIME]
tally: unchanged
3 stages: 1 restored, 2 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(
        (p.ran(), p.read("top.txt")),
        (String::new(), "FIG\nKIWI\n".to_owned())
    );
    let hash = saved_hash(&output.stderr);
    assert_eq!(p.cached(&hash), "mine\n");
    // Before a run.
    p.write("top.txt", "mine again\n")
        .write("params.yaml", "lines: 1\n");
    let saved = p.ok("repro --json").events("saved");
    assert_eq!(saved[0]["path"], "top.txt");
    let object = saved[0]["object"].as_str().unwrap().to_owned();
    assert_eq!(p.cached(&object), "mine again\n");
    assert_eq!(p.read("top.txt"), "FIG\n");
}

/// Returns the full hash that a message names.
fn saved_hash(text: &str) -> String {
    let is_hash = |w: &&str| w.len() == 64 && w.bytes().all(|b| b.is_ascii_hexdigit());
    text.split_whitespace()
        .find(is_hash)
        .unwrap_or_else(|| panic!("no hash in {text}"))
        .to_owned()
}

#[test]
fn a_frozen_stage_never_runs() {
    let p = sample();
    p.ok("repro");
    p.ran();
    p.edit(
        "pipeline.yaml",
        "    params: [lines]\n",
        "    params: [lines]\n    frozen: true\n",
    );
    p.write("params.yaml", "lines: 3\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: unchanged
top: frozen
tally: unchanged
3 stages: 2 unchanged, 1 frozen
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro -f top"),
        str![[r#"
--- stderr ---
top: frozen
1 stage: 1 frozen
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "");
}

#[test]
fn an_always_changed_stage_always_runs() {
    let p = with_pipeline(
        "stages:\n  now: {cmd: echo now >> ~/runs; echo 1 > now.txt, outs: [now.txt], always_changed: true}\n  use: {cmd: echo use >> ~/runs; cp now.txt use.txt, deps: [now.txt], outs: [use.txt]}\n",
    );
    p.ok("repro");
    assert_eq!(p.ran(), "now use");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
now: running: always changed (so declared)
now $ echo now >> ~/runs; echo 1 > now.txt
now: done in [TIME]
use: unchanged
2 stages: 1 ran, 1 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "now");
}

#[test]
fn a_persistent_output_is_there_when_the_command_starts() {
    let p = with_pipeline(
        "stages:\n  log:\n    cmd: cat in.txt >> log.txt\n    deps: [in.txt]\n    outs: [log.txt: {persist: true}]\n",
    );
    p.write("in.txt", "one\n");
    p.ok("repro");
    p.write("in.txt", "two\n");
    p.ok("repro");
    assert_eq!(p.read("log.txt"), "one\ntwo\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
log: unchanged
everything is up to date (1 stage)
[exit 0]
"#]],
    );
}

#[test]
fn cached_outputs_are_ignored_by_git_and_others_are_not() {
    let p = with_pipeline(
        "stages:\n  m:\n    cmd: mkdir -p out/d; echo 1 > out/d/x; echo 2 > 'out/a b'; echo 3 > metrics.json\n    outs: [out/d, out/a b]\n    metrics: [metrics.json: {cache: false}]\n",
    );
    p.git_init();
    p.ok("repro");
    assert_eq!(p.read("out/.gitignore"), "/a b\n/d\n");
    assert_eq!(
        p.git("status --porcelain --untracked-files=all"),
        "?? .cvops/.gitignore\n?? metrics.json\n?? out/.gitignore\n?? pipeline.lock\n"
    );
    // Although git keeps it, the cache has it as well.
    p.remove("metrics.json");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
m: restoring an earlier result: output `metrics.json` is missing
m: restored in [TIME]
1 stage: 1 restored
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.read("metrics.json"), "3\n");
}

#[test]
fn a_working_folder_moves_all_paths_of_its_stage() {
    let p = with_pipeline(
        "stages:\n  w:\n    wdir: sub\n    cmd: cat in.txt ../top.txt > out.txt\n    deps: [in.txt, ../top.txt]\n    params: [x]\n    outs: [out.txt]\n",
    );
    p.write("sub/in.txt", "in\n")
        .write("sub/params.yaml", "x: 1\n")
        .write("top.txt", "top\n");
    p.ok("repro");
    assert_eq!(p.read("sub/out.txt"), "in\ntop\n");
    p.ok("repro sub/out.txt");
    p.write("sub/params.yaml", "x: 2\n");
    check(
        &p.cvops("status"),
        str![[r#"
w  must run    parameter `sub/params.yaml:x` changed (1 -> 2)
[exit 0]
"#]],
    );
    check(
        &p.cvops("-C sub repro"),
        str![[r#"
--- stderr ---
w: running: parameter `sub/params.yaml:x` changed (1 -> 2)
w $ cat in.txt ../top.txt > out.txt
w: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
}

#[test]
fn a_list_of_commands_stops_at_the_first_that_fails() {
    let p = with_pipeline(
        "stages: {l: {cmd: [echo one, 'echo two >&2; exit 3', echo three], outs: [x]}}\n",
    );
    check(
        &p.cvops("repro"),
        str![[r#"
l | one
--- stderr ---
l: running: it never ran
l $ echo one
l $ echo two >&2; exit 3
l | two
error: stage `l` failed: `echo two >&2; exit 3` exited with code 3
 |
 = help: its output is above; mend the cause and run the same command again: finished stages are kept
1 stage: 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    p.edit("pipeline.yaml", "exit 3", "echo 1 > x");
    check(
        &p.cvops("repro"),
        str![[r#"
l | one
l | three
--- stderr ---
l: running: it never ran
l $ echo one
l $ echo two >&2; echo 1 > x
l | two
l $ echo three
l: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
}

#[test]
fn force_and_single_item_do_as_they_say() {
    let p = sample();
    p.ok("repro");
    p.ran();
    check(
        &p.cvops("repro -f"),
        str![[r#"
--- stderr ---
prepare: running: forced
prepare $ echo prepare >> ~/runs; tr a-z A-Z < data/words.txt > upper.txt
prepare: done in [TIME]
top: running: forced
top $ echo top >> ~/runs; head -n "$(sed 's/[^0-9]//g' params.yaml)" upper.txt > top.txt
top: done in [TIME]
tally: running: forced
tally $ echo tally >> ~/runs; grep -c . top.txt > tally.txt
tally: done in [TIME]
3 stages: 3 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "prepare top tally");
    p.write("data/words.txt", "plum\nfig\n")
        .write("params.yaml", "lines: 1\n");
    check(
        &p.cvops("repro -s top"),
        str![[r#"
--- stderr ---
top: running: parameter `lines` changed (2 -> 1)
top $ echo top >> ~/runs; head -n "$(sed 's/[^0-9]//g' params.yaml)" upper.txt > top.txt
top: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(
        (p.ran(), p.read("top.txt")),
        ("top".to_owned(), "FIG\n".to_owned())
    );
    p.ok("repro -f -s tally");
    assert_eq!(p.ran(), "tally");
    check(
        &p.cvops("repro -s --downstream top"),
        str![[r#"
--- stderr ---
error: the argument '--single-item' cannot be used with '--downstream'

Usage: cvops repro --single-item <TARGETS>...

For more information, try '--help'.
[exit 2]
"#]],
    );
}

#[test]
fn downstream_reaches_from_the_target_to_the_end() {
    let p = sample();
    p.ok("repro");
    p.ran();
    p.write("data/words.txt", "plum\nfig\n")
        .write("params.yaml", "lines: 1\n");
    p.ok("repro --downstream top");
    assert_eq!(p.ran(), "top tally");
    p.ok("repro --downstream prepare");
    assert_eq!(
        (p.ran(), p.read("top.txt")),
        ("prepare top tally".to_owned(), "PLUM\n".to_owned())
    );
}

#[test]
fn a_dry_run_says_all_and_does_nothing() {
    let p = sample();
    let before = p.files();
    check(
        &p.cvops("repro --dry"),
        str![[r#"
prepare  must run    it never ran
top      must run    it never ran
tally    must run    it never ran
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro --dry -f tally"),
        str![[r#"
prepare  must run    forced (and 1 more)
top      must run    forced (and 1 more)
tally    must run    forced (and 1 more)
[exit 0]
"#]],
    );
    assert_eq!((p.files(), p.ran()), (before, String::new()));
    assert!(!p.exists("pipeline.lock"));
}

#[test]
fn a_failure_stops_what_follows_and_keep_going_spares_the_rest() {
    let text = "stages:\n  bad: {cmd: exit 1, outs: [bad]}\n  worse: {cmd: cp bad worse, deps: [bad], outs: [worse]}\n  good: {cmd: echo > good, outs: [good]}\n";
    let p = with_pipeline(text);
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
bad: running: it never ran
bad $ exit 1
error: stage `bad` failed: `exit 1` exited with code 1
 |
 = help: its output is above; mend the cause and run the same command again: finished stages are kept
3 stages: 1 failed, 2 not started
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    assert!(!p.exists("good"));
    check(
        &p.cvops("repro -k"),
        str![[r#"
--- stderr ---
bad: running: it never ran
bad $ exit 1
error: stage `bad` failed: `exit 1` exited with code 1
 |
 = help: its output is above; mend the cause and run the same command again: finished stages are kept
good: running: it never ran
good $ echo > good
good: done in [TIME]
3 stages: 1 ran, 1 failed, 1 not started
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    assert!(p.exists("good"));
    p.edit("pipeline.yaml", "exit 1", "echo > bad");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
bad: running: it never ran
bad $ echo > bad
bad: done in [TIME]
worse: running: it never ran
worse $ cp bad worse
worse: done in [TIME]
good: unchanged
3 stages: 2 ran, 1 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
}

#[test]
fn targets_may_be_outputs_or_files_in_them() {
    let p = with_pipeline(
        "stages:\n  dir: {cmd: mkdir -p o/d; echo > o/d/f, outs: [o/d]}\n  other: {cmd: echo > other, outs: [other]}\n",
    );
    check(
        &p.cvops("repro o/d/f"),
        str![[r#"
--- stderr ---
dir: running: it never ran
dir $ mkdir -p o/d; echo > o/d/f
dir: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro ./other dir"),
        str![[r#"
--- stderr ---
dir: unchanged
other: running: it never ran
other $ echo > other
other: done in [TIME]
2 stages: 1 ran, 1 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
}

#[test]
fn scratch_survives_a_failure_and_ends_with_success() {
    let p = with_pipeline(
        "stages:\n  slow:\n    cmd: if [ -e \"$CVOPS_SCRATCH/half\" ]; then cat \"$CVOPS_SCRATCH/half\" > out; else echo half > \"$CVOPS_SCRATCH/half\"; exit 1; fi\n    outs: [out]\n",
    );
    assert_eq!(p.cvops("repro -q").exit, crate::support::Exit::Code(1));
    p.ok("repro");
    assert_eq!(p.read("out"), "half\n");
    assert!(!p.exists(".cvops/tmp/scratch/slow"));
}

#[test]
fn a_stage_knows_its_project_its_name_and_this_very_program() {
    let p = with_pipeline(
        "stages:\n  here:\n    cmd: printf '%s\\n' \"$CVOPS_ROOT\" \"$DVC_ROOT\" \"$CVOPS_STAGE\" \"$DVC_STAGE\" \"$(command -v cvops)\" > env.txt\n    outs: [env.txt]\n",
    );
    // Another `cvops` on PATH does not win.
    let other = p.home().join("bin");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("cvops"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(other.join("cvops"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", other.display(), std::env::var("PATH").unwrap());
    let output = p.run(p.command("repro").env("PATH", path));
    assert_eq!(
        output.exit,
        crate::support::Exit::Code(0),
        "{}",
        output.transcript()
    );
    let root = p.root().display();
    let me = env!("CARGO_BIN_EXE_cvops");
    assert_eq!(
        p.read("env.txt"),
        format!("{root}\n{root}\nhere\nhere\n{me}\n")
    );
}

#[test]
fn outputs_come_back_executable_and_deps_count_the_bit() {
    let p = with_pipeline(
        "stages:\n  tool: {cmd: 'mkdir d; echo \"echo hi\" | tee t.sh > d/u.sh; chmod +x t.sh d/u.sh; echo > d/plain', outs: [t.sh, d]}\n  use: {cmd: sh in.sh > use.txt, deps: [in.sh], outs: [use.txt]}\n",
    );
    p.write("in.sh", "echo 1\n");
    p.ok("repro");
    p.remove("t.sh").remove("d");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
tool: restoring an earlier result: output `d` is missing (and 1 more)
tool: restored in [TIME]
use: unchanged
2 stages: 1 restored, 1 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    let executable =
        |path: &str| fs::metadata(p.path(path)).unwrap().permissions().mode() & 0o111 != 0;
    assert!(executable("t.sh") && executable("d/u.sh") && !executable("d/plain"));
    let chmod = |path: &str, mode| {
        fs::set_permissions(p.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod("in.sh", 0o755);
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
tool: unchanged
use: running: dependency `in.sh` changed (now executable)
use $ sh in.sh > use.txt
use: done in [TIME]
2 stages: 1 ran, 1 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    chmod("t.sh", 0o644);
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
tool: restoring an earlier result: output `t.sh` was modified (no longer executable)
tool: restored in [TIME]
use: unchanged
2 stages: 1 restored, 1 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert!(executable("t.sh"));
}

#[test]
fn a_folder_that_shrank_holds_nothing_of_old() {
    let p = with_pipeline(
        "stages:\n  many:\n    cmd: mkdir -p out/deep; for i in $(seq \"$(cat n.txt)\"); do echo $i > out/deep/$i; done\n    deps: [n.txt]\n    outs: [out]\n",
    );
    p.write("n.txt", "3\n");
    p.ok("repro");
    p.write("n.txt", "1\n");
    p.ok("repro");
    assert_eq!(
        p.files(),
        ["n.txt", "out/deep/1", "pipeline.lock", "pipeline.yaml"]
    );
    p.write("n.txt", "3\n").write("out/mine.txt", "by hand\n");
    let output = p.cvops("repro");
    check(
        &output,
        str![[r#"
--- stderr ---
many: restoring an earlier result: dependency `n.txt` changed ([HASH] -> [HASH]) (and 1 more)
many: `out` was not in the cache; its content is kept there as [HASH].dir
many: restored in [TIME]
1 stage: 1 restored
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(
        p.files(),
        [
            "n.txt",
            "out/deep/1",
            "out/deep/2",
            "out/deep/3",
            "pipeline.lock",
            "pipeline.yaml"
        ]
    );
    p.write("n.txt", "0\n");
    p.ok("repro");
    p.write("n.txt", "1\n");
    p.ok("repro");
    assert_eq!(p.read("out/deep/1"), "1\n");
}

#[test]
fn names_may_hold_spaces_and_any_letters() {
    let p = with_pipeline(
        "stages:\n  größe:\n    cmd: mkdir -p 'aus gabe/日本 語'; cp 'ein gabe/ä ö.txt' \"aus gabe/日本 語/it's.txt\"\n    deps: [ein gabe]\n    outs: [aus gabe/日本 語]\n",
    );
    p.write("ein gabe/ä ö.txt", "ü\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
größe: running: it never ran
größe $ mkdir -p 'aus gabe/日本 語'; cp 'ein gabe/ä ö.txt' "aus gabe/日本 語/it's.txt"
größe: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    p.remove("aus gabe");
    check(
        &p.cvops("repro größe"),
        str![[r#"
--- stderr ---
größe: restoring an earlier result: output `aus gabe/日本 語` is missing
größe: restored in [TIME]
1 stage: 1 restored
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.read("aus gabe/日本 語/it's.txt"), "ü\n");
    check(
        &p.cvops("status"),
        str![[r#"
größe  unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
}

#[test]
fn a_process_left_in_the_background_does_not_hold_repro_up() {
    let p = with_pipeline(
        "stages:\n  bg:\n    cmd: (sleep 20; echo > ~/late) & echo $! > ~/pid; echo done > out.txt\n    outs: [out.txt]\n",
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
bg: running: it never ran
bg $ (sleep 20; echo > ~/late) & echo $! > ~/pid; echo done > out.txt
bg: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert!(!p.home().join("late").exists());
    let pid: i32 = fs::read_to_string(p.home().join("pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[test]
fn lines_of_concurrent_stages_are_never_mixed() {
    let stage = |name: &str| {
        format!(
            "  {name}: {{cmd: \"for i in $(seq 30); do head -c 30000 /dev/zero | tr '\\\\0' {name}; echo; done; echo > {name}\", outs: [{name}]}}\n"
        )
    };
    let text: String = ["a", "b", "c", "d"].map(stage).concat();
    let p = with_pipeline(&format!("stages:\n{text}"));
    let output = p.ok("repro -j 4");
    let mut lines = 0;
    for line in output.stdout.lines() {
        let (stage, rest) = line.split_once(" | ").unwrap();
        assert!(rest.len() == 30000 && rest.bytes().all(|b| stage.as_bytes() == [b]));
        lines += 1;
    }
    assert_eq!(lines, 4 * 30);
}

#[test]
fn a_line_without_end_and_one_without_bound_are_passed_on() {
    let p = with_pipeline(
        "stages: {a: {cmd: \"head -c 200000 /dev/zero | tr '\\\\0' x; echo; printf '\\\\377 end' >&2; echo > a\", outs: [a]}}\n",
    );
    let output = p.ok("repro");
    let total: usize = output
        .stdout
        .lines()
        .map(|l| l.strip_prefix("a | ").unwrap().len())
        .sum();
    assert_eq!(total, 200_000);
    assert!(
        output.stderr.contains("a | \u{fffd} end\n"),
        "{}",
        output.stderr
    );
}

#[test]
fn as_many_stages_run_at_once_as_asked_for() {
    // Each stage waits until all eight have started: only possible when all run at once.
    let stage = |i: usize| {
        format!(
            "  s{i}:\n    cmd: 'date +%s%N > s{i}.start; n=0; while [ $(ls s*.start | wc -l) -lt 8 ]; do sleep 0.02; n=$((n+1)); [ $n -lt 500 ] || exit 1; done; sleep 0.05; date +%s%N > s{i}.end'\n    outs: [s{i}.start, s{i}.end]\n"
        )
    };
    let text: String = (0..8).map(stage).collect();
    let p = with_pipeline(&format!("stages:\n{text}"));
    p.ok("repro -j 8");
    let stamp =
        |i: usize, what: &str| -> u128 { p.read(&format!("s{i}.{what}")).trim().parse().unwrap() };
    let last_start = (0..8).map(|i| stamp(i, "start")).max().unwrap();
    let first_end = (0..8).map(|i| stamp(i, "end")).min().unwrap();
    assert!(last_start < first_end);
}

#[test]
fn no_more_stages_run_at_once_than_asked_for() {
    // A stage that finds two others at work says so.
    let stage = |i: usize| {
        format!(
            "  s{i}: {{cmd: 'touch ~/on.{i}; [ $(ls ~/on.* | wc -l) -le 2 ] || touch ~/crowd; sleep 0.03; rm ~/on.{i}; echo > s{i}', outs: [s{i}]}}\n"
        )
    };
    let text: String = (0..6).map(stage).collect();
    let p = with_pipeline(&format!("stages:\n{text}"));
    p.ok("repro -j 2");
    assert!(!p.home().join("crowd").exists());
    p.write(".cvops/config.yaml", "core: {jobs: 2}\n");
    p.ok("repro -f");
    assert!(!p.home().join("crowd").exists());
}

#[test]
fn quiet_shows_results_only() {
    let p = with_pipeline("stages: {a: {cmd: echo result; echo note >&2; echo > a, outs: [a]}}\n");
    check(
        &p.cvops("repro -q"),
        str![[r#"
a | result
[exit 0]
"#]],
    );
}

#[test]
fn a_stage_without_inputs_and_outputs_runs_every_time_or_once() {
    let p = with_pipeline("stages: {hello: {cmd: echo hello}}\n");
    check(
        &p.cvops("repro"),
        str![[r#"
hello | hello
--- stderr ---
hello: running: it never ran
hello $ echo hello
hello: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
hello: unchanged
everything is up to date (1 stage)
[exit 0]
"#]],
    );
}

#[test]
fn the_output_of_a_running_stage_is_seen_at_once() {
    let p = with_pipeline(
        "stages: {a: {cmd: 'echo ready; while [ ! -e go ]; do sleep 0.02; done; echo > a', outs: [a]}}\n",
    );
    let log = fs::File::create(p.home().join("log")).unwrap();
    let mut child = Beside::start(p.command("repro").stdout(log));
    wait_until("the line arrives", || {
        fs::read_to_string(p.home().join("log"))
            .unwrap()
            .contains("a | ready\n")
    });
    p.write("go", "");
    assert_eq!(child.end(), Some(0));
}

#[test]
fn an_empty_folder_and_an_empty_file_are_outputs_too() {
    let p = with_pipeline("stages: {a: {cmd: mkdir d; touch f, outs: [d, f]}}\n");
    p.ok("repro");
    p.remove("d").remove("f");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
a: restoring an earlier result: output `d` is missing (and 1 more)
a: restored in [TIME]
1 stage: 1 restored
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert!(p.path("d").is_dir() && p.read("f").is_empty());
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
a: unchanged
everything is up to date (1 stage)
[exit 0]
"#]],
    );
}

#[test]
fn a_renamed_or_dropped_stage_leaves_the_lock() {
    let p = sample();
    p.ok("repro");
    p.ran();
    p.edit("pipeline.yaml", "  tally:", "  total:");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: unchanged
top: unchanged
total: restoring an earlier result: it never ran
total: restored in [TIME]
3 stages: 1 restored, 2 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "");
    let lock = p.read("pipeline.lock");
    assert!(
        lock.contains("  total:") && !lock.contains("  tally:"),
        "{lock}"
    );
}

#[test]
fn outputs_of_many_stages_in_one_folder_are_listed_together() {
    let mut pipeline = "stages:\n".to_owned();
    for i in 0..40 {
        pipeline += &format!("  s{i}: {{cmd: echo {i} > out/{i}.txt, outs: [out/{i}.txt]}}\n");
    }
    // It reads the folder, and with it the `.gitignore` that the others got.
    pipeline += "  all: {cmd: ls out > all.txt, deps: [out], outs: [all.txt]}\n";
    let p = with_pipeline(&pipeline);
    p.git_init();
    p.ok("repro -j 4");
    let listed = p.read("out/.gitignore");
    assert_eq!(listed.lines().count(), 40, "{listed}");
    assert_eq!(
        p.git("status --porcelain --untracked-files=all"),
        "?? .cvops/.gitignore\n?? .gitignore\n?? out/.gitignore\n?? pipeline.lock\n"
    );
    let again = p.ok("repro").stderr;
    assert!(
        again.ends_with("everything is up to date (41 stages)\n"),
        "{again}"
    );
}

#[test]
fn an_output_that_moves_between_cache_and_git_is_listed_anew_without_a_run() {
    let of = |option: &str| {
        format!(
            "stages: {{a: {{cmd: echo 1 > m.json; echo 2 > o, outs: [m.json: {option}, o]}}}}\n"
        )
    };
    let p = with_pipeline(&of("{cache: true}"));
    p.git_init();
    p.ok("repro");
    assert_eq!(p.read(".gitignore"), "/m.json\n/o\n");
    p.write("pipeline.yaml", of("{cache: false}"));
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
a: unchanged
everything is up to date (1 stage)
[exit 0]
"#]],
    );
    assert_eq!(p.read(".gitignore"), "/o\n");
    p.write("pipeline.yaml", of("{cache: true}"));
    p.ok("repro");
    assert_eq!(p.read(".gitignore"), "/o\n/m.json\n");
    // A line of the user's own stays.
    p.write(".gitignore", "*.json\n/o\n");
    p.write("pipeline.yaml", of("{cache: false}"));
    p.ok("repro");
    assert_eq!(p.read(".gitignore"), "*.json\n/o\n");
}

#[test]
fn a_fresh_clone_runs_what_the_committed_lock_names() {
    let p = sample();
    p.ok("repro");
    p.ran();
    p.remove(".cvops").remove("upper.txt").remove("top.txt");
    check(
        &p.cvops("status"),
        str![[r#"
prepare  must run    output `upper.txt` is missing
top      depends     on what `prepare` will write
tally    depends     on what `top` will write
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: running: output `upper.txt` is missing
prepare $ echo prepare >> ~/runs; tr a-z A-Z < data/words.txt > upper.txt
prepare: done in [TIME]
top: running: output `top.txt` is missing
top $ echo top >> ~/runs; head -n "$(sed 's/[^0-9]//g' params.yaml)" upper.txt > top.txt
top: done in [TIME]
tally: unchanged
3 stages: 2 ran, 1 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "prepare top");
}

#[test]
fn outputs_that_git_keeps_as_well_are_told_of() {
    let p = sample();
    p.git_init();
    p.write("top.txt", "mine\n");
    p.git("add -f top.txt");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: running: it never ran
prepare $ echo prepare >> ~/runs; tr a-z A-Z < data/words.txt > upper.txt
prepare: done in [TIME]
top: running: it never ran
warning: the output `top.txt` of stage `top` is tracked by git already
  --> pipeline.yaml:10:12
   |
10 |     outs: [top.txt]
   |            ^^^^^^^
   |
   = help: take it out of git, the file stays: `git rm -r --cached 'top.txt'`; or leave it to git with `cache: false`; DVC refuses to run such a stage
top: `top.txt` was not in the cache; its content is kept there as [HASH]
top $ echo top >> ~/runs; head -n "$(sed 's/[^0-9]//g' params.yaml)" upper.txt > top.txt
top: done in [TIME]
tally: running: it never ran
tally $ echo tally >> ~/runs; grep -c . top.txt > tally.txt
tally: done in [TIME]
3 stages: 3 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    p.git("rm -q -f --cached top.txt");
    p.edit("pipeline.yaml", "echo top >>", "echo top  >>");
    assert!(!p.ok("repro").stderr.contains("tracked by git"));
}

#[test]
fn what_may_be_missing_is_missing_in_a_dry_run_too() {
    let p = sample();
    p.ok("repro");
    p.remove("data/words.txt");
    p.remove("top.txt");
    check(
        &p.cvops("repro --dry --allow-missing"),
        str![[r#"
prepare  unchanged
top      unchanged
tally    unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro --allow-missing"),
        str![[r#"
--- stderr ---
prepare: unchanged
top: unchanged
tally: unchanged
everything is up to date (3 stages)
[exit 0]
"#]],
    );
}

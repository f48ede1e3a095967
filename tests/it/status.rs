//! `cvops status`: what a repro would do, and why.

use snapbox::str;

use crate::support::stages::{sample, with_pipeline};
use crate::support::{Exit, check, project};

#[test]
fn each_state_has_its_word() {
    let p = sample();
    check(
        &p.cvops("status"),
        str![[r#"
prepare  must run    it never ran
top      must run    it never ran
tally    must run    it never ran
[exit 0]
"#]],
    );
    p.ok("repro");
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
    p.write("params.yaml", "lines: 1\n");
    check(
        &p.cvops("status"),
        str![[r#"
prepare  unchanged
top      must run    parameter `lines` changed (2 -> 1)
tally    depends     on what `top` will write
[exit 0]
"#]],
    );
    check(
        &p.cvops("status prepare"),
        str![[r#"
prepare  unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
    p.ok("repro");
    p.write("params.yaml", "lines: 2\n");
    check(
        &p.cvops("status"),
        str![[r#"
prepare  unchanged
top      restorable  parameter `lines` changed (1 -> 2)
tally    restorable  dependency `top.txt` changed ([HASH] -> [HASH])
[exit 0]
"#]],
    );
    p.remove("upper.txt").write("tally.txt", "mine\n");
    check(
        &p.cvops("status tally"),
        str![[r#"
prepare  restorable  output `upper.txt` is missing
top      restorable  parameter `lines` changed (1 -> 2)
tally    restorable  dependency `top.txt` changed ([HASH] -> [HASH]) (and 1 more)
[exit 0]
"#]],
    );
    p.write("data/words.txt", "new\n");
    check(
        &p.cvops("status"),
        str![[r#"
prepare  must run    dependency `data/words.txt` changed ([HASH] -> [HASH]) (and 1 more)
top      must run    parameter `lines` changed (1 -> 2)
tally    depends     on what `top` will write
[exit 0]
"#]],
    );
    p.edit(
        "pipeline.yaml",
        "    params: [lines]\n",
        "    params: [lines]\n    frozen: true\n",
    );
    check(
        &p.cvops("status"),
        str![[r#"
prepare  must run    dependency `data/words.txt` changed ([HASH] -> [HASH]) (and 1 more)
top      frozen
tally    restorable  output `tally.txt` was modified ([HASH] -> [HASH])
[exit 0]
"#]],
    );
}

#[test]
fn looking_changes_nothing() {
    let p = sample();
    let before = p.files();
    p.ok("status");
    assert_eq!(p.files(), before);
    assert!(!p.exists("pipeline.lock"));
    assert_eq!(p.ran(), "");
}

#[test]
fn the_exit_code_tells_of_changes_only_when_asked() {
    let p = sample();
    assert_eq!(p.cvops("status").exit, Exit::Code(0));
    assert_eq!(p.cvops("status --exit-code").exit, Exit::Code(3));
    p.ok("repro");
    assert_eq!(p.cvops("status --exit-code").exit, Exit::Code(0));
    p.remove("top.txt");
    assert_eq!(p.cvops("status --exit-code").exit, Exit::Code(3));
    p.write("pipeline.yaml", "stages: 3\n");
    assert_eq!(p.cvops("status --exit-code").exit, Exit::Code(2));
}

#[test]
fn json_names_state_and_reasons() {
    let p = sample();
    p.ok("repro");
    p.write("params.yaml", "lines: 1\n");
    check(
        &p.cvops("status --json"),
        str![[r#"
{"problems":[],"sources":[],"stages":[{"depends_on":[],"reasons":[],"stage":"prepare","state":"unchanged"},{"depends_on":[],"reasons":[{"kind":"parameter_changed","new":1,"old":2,"parameter":"lines","text":"parameter `lines` changed (2 -> 1)"}],"stage":"top","state":"must run"},{"depends_on":["top"],"reasons":[],"stage":"tally","state":"depends"}]}
[exit 0]
"#]],
    );
    p.ok("repro");
    p.write("params.yaml", "lines: 2\n")
        .write("tally.txt", "mine\n");
    let stages = p.ok("status --json").json()[0]["stages"].clone();
    assert_eq!(stages[1]["state"], "restorable");
    assert_eq!(stages[1]["reasons"][0]["old"], 1);
    assert_eq!(stages[2]["state"], "restorable");
}

#[test]
fn stages_that_may_be_cut_off_are_not_promised_to_run() {
    let p = with_pipeline(
        "stages:\n  a: {cmd: cp in mid, deps: [in], outs: [mid]}\n  b: {cmd: cp mid end, deps: [mid], outs: [end]}\n  c: {cmd: cp end x, deps: [end], outs: [x]}\n",
    );
    p.write("in", "1\n");
    p.ok("repro");
    p.write("in", "2\n");
    check(
        &p.cvops("status"),
        str![[r#"
a  must run    dependency `in` changed ([HASH] -> [HASH])
b  depends     on what `a` will write
c  depends     on what `b` will write
[exit 0]
"#]],
    );
}

#[test]
fn a_dependency_that_a_repro_would_miss_is_mentioned() {
    let p = with_pipeline("stages:\n  a: {cmd: cp in mid, deps: [in], outs: [mid]}\n");
    check(
        &p.cvops("status"),
        str![[r#"
a  must run    it never ran
--- stderr ---
warning: stage `a` needs `in`, which does not exist
 --> pipeline.yaml:2:30
  |
2 |   a: {cmd: cp in mid, deps: [in], outs: [mid]}
  |                              ^^
  |
  = help: create `in`, or correct the dep in the pipeline file
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro --dry"),
        str![[r#"
a  must run    it never ran
--- stderr ---
warning: stage `a` needs `in`, which does not exist
 --> pipeline.yaml:2:30
  |
2 |   a: {cmd: cp in mid, deps: [in], outs: [mid]}
  |                              ^^
  |
  = help: create `in`, or correct the dep in the pipeline file
[exit 0]
"#]],
    );
    check(
        &p.cvops("why a"),
        str![[r#"
a must run: it never ran
--- stderr ---
warning: stage `a` needs `in`, which does not exist
 --> pipeline.yaml:2:30
  |
2 |   a: {cmd: cp in mid, deps: [in], outs: [mid]}
  |                              ^^
  |
  = help: create `in`, or correct the dep in the pipeline file
[exit 0]
"#]],
    );
    let report = p.ok("status --json").json()[0].clone();
    assert_eq!(report["problems"][0]["code"], "missing-dependency");
    p.write("in", "1\n");
    let report = p.ok("status --json").json()[0].clone();
    assert_eq!(report["problems"], serde_json::json!([]));
}

#[test]
fn a_pipeline_without_stages() {
    let p = with_pipeline("stages: {}\n");
    check(
        &p.cvops("status"),
        str![[r#"
--- stderr ---
the pipeline has no stages yet (`cvops schema` describes them)
[exit 0]
"#]],
    );
    check(
        &p.cvops("dag"),
        str![[r#"
--- stderr ---
the pipeline has no stages yet (`cvops schema` describes them)
[exit 0]
"#]],
    );
}

#[test]
fn as_markdown_it_is_a_table() {
    let p = with_pipeline(
        "stages:\n  a:\n    cmd: echo 1 > a\n    outs: [a]\n  b:\n    cmd: cp a b\n    deps: [a]\n    outs: [b]\n",
    );
    let first = "| stage | state | why |";
    for line in ["status --md", "repro --dry --md"] {
        let text = p.ok(line).stdout;
        let cells: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        let head: Vec<&str> = first.split('|').map(str::trim).collect();
        assert_eq!(cells[0], head, "{text}");
        assert_eq!(cells[2][1..3], ["a", "must run"], "{text}");
        assert_eq!(cells.len(), 4, "{text}");
    }
}

#[test]
fn a_new_dvc_repository_is_no_error() {
    let p = crate::support::dvc::repository();
    check(
        &p.cvops("status"),
        str![[r#"
--- stderr ---
the pipeline has no stages yet (`cvops schema` describes them)
[exit 0]
"#]],
    );
    p.ok("status --exit-code");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
the pipeline has no stages yet (`cvops schema` describes them)
[exit 0]
"#]],
    );
    p.write("f", "1\n").ok("add f");
    check(
        &p.cvops("repro f.dvc"),
        str![[r#"
--- stderr ---
the data is recorded
[exit 0]
"#]],
    );
}

/// The stat cache may be the first thing that cvops writes in a repository of DVC.
#[test]
fn git_does_not_see_what_looking_leaves() {
    let p = project();
    p.write(".dvc/config", "").write("in.txt", "1\n").write(
        "dvc.yaml",
        "stages: {a: {cmd: cp in.txt a.txt, deps: [in.txt], outs: [a.txt]}}\n",
    );
    p.write("a.txt", "1\n").git_init();
    for command in ["status", "data status", "why a", "repro --dry"] {
        let _ = std::fs::remove_dir_all(p.path(".cvops"));
        p.ok(command);
        assert_eq!(p.git("status --porcelain"), "", "{command}");
    }
}

//! `metrics`, `params` and `plots` of a repository with several pipeline files and commits, alone and
//! beside the real DVC.

use snapbox::str;

use crate::support::dvc::{program, repository};
use crate::support::{Project, check};

/// A stage at the top, one in `sub` with templates from its own variables, and files that only the
/// top level of `sub/dvc.yaml` names. Three commits: `v1`, `v2` (variables alone changed) and `v3`.
fn history() -> Project {
    let p = repository();
    p.write(
        "dvc.yaml",
        "stages:
  f:
    foreach: ${names}
    do:
      cmd: cp params.yaml ${item}.yaml
      params: [lr]
      metrics:
        - ${item}.yaml
",
    )
    .write(
        "params.yaml",
        "lr: 1\nextra: {a: 1, b: [1, 2]}\nnames: [one]\n",
    )
    .write(
        "sub/dvc.yaml",
        "vars: [v.yaml]
stages:
  train:
    cmd: 'echo acc: ${acc} > m.yaml && cp m.yaml kept.yaml && cp table.csv ${plot}'
    deps: [table.csv]
    params: [lr, v.yaml: [acc]]
    metrics:
      - m.yaml: {cache: false}
      - kept.yaml
    plots:
      - ${plot}
params: [top.toml]
metrics: [top.json, dir]
artifacts: {m: {path: kept.yaml, type: model}}
",
    )
    .write("sub/table.csv", "x,y\n1,2\n")
    .write("sub/params.yaml", "lr: 5\nother: 1\n")
    .write("sub/v.yaml", "acc: 1\nplot: p.csv\n")
    .write("sub/top.toml", "[t]\nk = 1\n")
    .write("sub/top.json", r#"{"top": 1, "list": [1], "no": null}"#)
    .write("sub/dir/d.json", r#"{"d": 1}"#);
    let commit = |tag: &str| {
        p.ok("repro -P");
        p.git("add --all");
        p.git(&format!("commit --quiet --message {tag}"));
        p.git(&format!("tag {tag}"));
    };
    commit("v1");
    p.edit("sub/v.yaml", "acc: 1", "acc: 2");
    p.edit("params.yaml", "[one]", "[one, two]");
    p.edit("params.yaml", "lr: 1", "lr: 2");
    commit("v2");
    p.edit("sub/top.toml", "k = 1", "k = 2");
    p.edit("sub/params.yaml", "lr: 5", "lr: 6");
    p.write("sub/dir/d.json", r#"{"d": 3, "e": true}"#);
    commit("v3");
    p.edit("params.yaml", "a: 1", "a: 2");
    p.edit("sub/top.json", "\"top\": 1", "\"top\": 7");
    p
}

#[test]
fn all_pipeline_files_count_at_each_revision() {
    let p = history();
    check(
        &p.cvops("metrics diff v1 v3"),
        str![[r#"
path            metric   v1    v3  change
one.yaml        lr        1     2       1
sub/dir/d.json  d         1     3       2
sub/dir/d.json  e         -  true       -
sub/kept.yaml   acc       1     2       1
sub/m.yaml      acc       1     2       1
two.yaml        lr        -     2       -
two.yaml        extra.a   -     1       -
[exit 0]
"#]],
    );
    check(
        &p.cvops("-C sub metrics show dir top.json"),
        str![[r#"
path        metric  value
dir/d.json  d           3
dir/d.json  e        true
top.json    top         7
[exit 0]
"#]],
    );
    check(
        &p.cvops("metrics show v1 v2 --targets two.yaml"),
        str![[r#"
path      metric   v1  v2
two.yaml  lr        -   2
two.yaml  extra.a   -   1
[exit 0]
"#]],
    );
    check(
        &p.cvops("-C sub params diff v1"),
        str![[r#"
path            param         v1       workspace
../params.yaml  lr             1               2
../params.yaml  extra.a        1               2
../params.yaml  names    ["one"]  ["one", "two"]
params.yaml     lr             5               6
top.toml        t.k            1               2
v.yaml          acc            1               2
[exit 0]
"#]],
    );
    check(
        &p.cvops("params diff v1 v2 --deps"),
        str![[r#"
path         param  v1  v2
params.yaml  lr      1   2
sub/v.yaml   acc     1   2
[exit 0]
"#]],
    );
    check(
        &p.cvops("plots diff v1 v3 --json"),
        str![[r#"
{"data":{"sub/p.csv":[{"datapoints":{"v1":[{"x":1,"y":2}],"v3":[{"x":1,"y":2}]},"revisions":["v1","v3"],"type":"table"}]}}
[exit 0]
"#]],
    );
}

#[test]
fn what_is_broken_is_said_and_the_rest_shown() {
    let p = history();
    p.write("sub/top.json", "{");
    check(
        &p.cvops("metrics diff v1"),
        str![[r#"
path            metric   v1  workspace  change
one.yaml        lr        1          2       1
sub/dir/d.json  d         1          3       2
sub/dir/d.json  e         -       true       -
sub/kept.yaml   acc       1          2       1
sub/m.yaml      acc       1          2       1
sub/top.json    top       1          -       -
two.yaml        lr        -          2       -
two.yaml        extra.a   -          1       -
--- stderr ---
warning: `sub/top.json` cannot be parsed
 --> sub/top.json:1:1
  |
1 | {
  | ^ EOF while parsing an object
  |
  = note: it is left out
  = help: a metrics file holds a mapping of names to numbers: {"accuracy": 0.9}
[exit 0]
"#]],
    );
    p.write("sub/dvc.yaml", "stages: [\n");
    check(
        &p.cvops("metrics diff v1 --targets one.yaml"),
        str![[r#"
path      metric  v1  workspace  change
one.yaml  lr       1          2       1
--- stderr ---
warning: `sub/dvc.yaml` is left out, it cannot be read: `sub/dvc.yaml` cannot be parsed
 --> sub/dvc.yaml:1:10
  |
1 | stages: [
  |          ^ did not find expected node content
[exit 0]
"#]],
    );
    p.write("dvc.yaml", "stages: [\n");
    check(
        &p.cvops("metrics show"),
        str![[r#"
--- stderr ---
error: `dvc.yaml` cannot be parsed
 --> dvc.yaml:1:10
  |
1 | stages: [
  |          ^ did not find expected node content
error: `sub/dvc.yaml` cannot be parsed
 --> sub/dvc.yaml:1:10
  |
1 | stages: [
  |          ^ did not find expected node content
[exit 2]
"#]],
    );
}

/// Without a declared one, `params.yaml` at the top is shown.
#[test]
fn params_nobody_declares_are_those_of_the_default_file() {
    let p = repository();
    p.write("dvc.yaml", "stages: {s: {cmd: 'true'}}\n")
        .write("params.yaml", "lr: 1\n");
    p.git("add --all");
    p.git("commit --quiet --message first");
    p.write("params.yaml", "lr: 2\n");
    check(
        &p.cvops("params diff"),
        str![[r#"
path         param  HEAD  workspace
params.yaml  lr        1          2
[exit 0]
"#]],
    );
    check(
        &p.cvops("params diff --deps"),
        str![[r#"
--- stderr ---
error: the pipeline file declares no params
 |
 = help: list what a stage reads under `params` of that stage: `params: [train]`
[exit 2]
"#]],
    );
}

#[test]
fn both_tools_see_the_same_values() {
    if program("both_tools_see_the_same_values").is_none() {
        return;
    }
    let p = history();
    for args in [
        "metrics show --json",
        "metrics show --json sub/dir",
        "metrics show --json -T",
        "metrics diff --json",
        "metrics diff --json v1 v2",
        "metrics diff --json v1 v3",
        "metrics diff --json --all v2 v3",
        "metrics diff --json v1 v3 --targets sub/top.json",
        "params diff --json",
        "params diff --json v1 v3 --deps",
        "params diff --json v2 v3 --targets sub/params.yaml",
    ] {
        assert_eq!(p.ok(args).json(), p.dvc_ok(args).json(), "{args}");
    }
}

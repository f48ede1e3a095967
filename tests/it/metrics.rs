//! `cvops metrics`: the numbers now, at revisions and of the last repro, and what changed.

use snapbox::str;

use crate::support::stages::with_pipeline;
use crate::support::{Exit, Project, check, project};

/// A stage that copies `in.json` to a metrics file in git and to one that only the cache keeps.
fn measured() -> Project {
    let p = with_pipeline(
        "stages:\n  judge:\n    cmd: cp in.json open.json && cp in.json kept.json\n    deps: [in.json]\n    metrics:\n      - open.json: {cache: false}\n      - kept.json: {direction: min}\n",
    );
    p.write(
        "in.json",
        r#"{"val": {"loss": 0.5, "acc": 0.859}, "n": 3, "note": "first"}"#,
    );
    p.ok("repro");
    p
}

/// The same with a commit, and another result in the workspace.
fn changed() -> Project {
    let p = measured();
    // Now that there is a repository, `repro` keeps cached outputs out of it.
    p.git("init --quiet --initial-branch main");
    p.ok("repro --force");
    p.git_init();
    p.write(
        "in.json",
        r#"{"val": {"loss": 0.3, "acc": 0.88}, "n": 3, "note": "second", "new": 1e-9}"#,
    );
    p.ok("repro");
    p
}

#[test]
fn show_lists_every_value_in_file_order() {
    let p = measured();
    check(
        &p.cvops("metrics show"),
        str![[r#"
path       metric    value
kept.json  val.loss    0.5
kept.json  val.acc   0.859
kept.json  n             3
kept.json  note      first
open.json  val.loss    0.5
open.json  val.acc   0.859
open.json  n             3
open.json  note      first
[exit 0]
"#]],
    );
    check(
        &p.cvops("metrics show --targets open.json --md"),
        str![[r#"
| path      | metric   | value |
| --------- | -------- | ----: |
| open.json | val.loss |   0.5 |
| open.json | val.acc  | 0.859 |
| open.json | n        |     3 |
| open.json | note     | first |
[exit 0]
"#]],
    );
    check(
        &p.cvops("metrics show --targets open.json --json"),
        str![[r#"
{"":{"data":{"open.json":{"data":{"n":3,"note":"first","val":{"acc":0.859,"loss":0.5}}}}}}
[exit 0]
"#]],
    );
}

#[test]
fn show_has_a_column_for_each_revision() {
    let p = changed();
    check(
        &p.cvops("metrics show HEAD workspace --targets open.json"),
        str![[r#"
path       metric     HEAD  workspace
open.json  val.loss    0.5        0.3
open.json  val.acc   0.859       0.88
open.json  n             3          3
open.json  note      first     second
open.json  new           -     1.0e-9
[exit 0]
"#]],
    );
    p.git("commit --quiet --all --message second")
        .lines()
        .for_each(drop);
    p.git("tag v2");
    check(
        &p.cvops("metrics show --all-tags --all-branches --targets open.json"),
        str![[r#"
path       metric    workspace    main      v2
open.json  val.loss        0.3     0.3     0.3
open.json  val.acc        0.88    0.88    0.88
open.json  n                 3       3       3
open.json  note         second  second  second
open.json  new          1.0e-9  1.0e-9  1.0e-9
[exit 0]
"#]],
    );
    check(
        &p.cvops("metrics show v2 --json --targets open.json"),
        str![[r#"
{"v2":{"data":{"open.json":{"data":{"n":3,"new":1e-9,"note":"second","val":{"acc":0.88,"loss":0.3}}}}}}
[exit 0]
"#]],
    );
    assert!(
        p.ok("metrics show -A --json").json()[0]
            .as_object()
            .unwrap()
            .len()
            == 3
    );
}

#[test]
fn diff_compares_head_with_the_workspace() {
    let p = changed();
    // kept.json is not in git: its old values come from the cache.
    check(
        &p.cvops("metrics diff"),
        str![[r#"
path       metric     HEAD  workspace  change
kept.json  val.loss    0.5        0.3    -0.2
kept.json  val.acc   0.859       0.88   0.021
kept.json  note      first     second       -
kept.json  new           -     1.0e-9       -
open.json  val.loss    0.5        0.3    -0.2
open.json  val.acc   0.859       0.88   0.021
open.json  note      first     second       -
open.json  new           -     1.0e-9       -
[exit 0]
"#]],
    );
    check(
        &p.cvops("metrics diff --all --no-path --precision 2 --targets open.json"),
        str![[r#"
metric     HEAD  workspace  change
val.loss    0.5        0.3    -0.2
val.acc    0.86       0.88    0.02
n             3          3       0
note      first     second       -
new           -     1.0e-9       -
[exit 0]
"#]],
    );
    check(
        &p.cvops("metrics diff --md --targets kept.json"),
        str![[r#"
| path      | metric   |  HEAD | workspace | change |
| --------- | -------- | ----: | --------: | -----: |
| kept.json | val.loss |   0.5 |       0.3 |   -0.2 |
| kept.json | val.acc  | 0.859 |      0.88 |  0.021 |
| kept.json | note     | first |    second |      - |
| kept.json | new      |     - |    1.0e-9 |      - |
[exit 0]
"#]],
    );
    check(
        &p.cvops("metrics diff --json --targets open.json"),
        str![[r#"
{"open.json":{"new":{"new":1e-9,"old":null},"note":{"new":"second","old":"first"},"val.acc":{"diff":0.021,"new":0.88,"old":0.859},"val.loss":{"diff":-0.2,"new":0.3,"old":0.5}}}
[exit 0]
"#]],
    );
    check(
        &p.cvops("metrics diff HEAD HEAD"),
        str![[r#"
--- stderr ---
no metric changed
[exit 0]
"#]],
    );
    // The new side may be named as well.
    check(
        &p.cvops("metrics diff workspace HEAD --no-path --targets open.json"),
        str![[r#"
metric    workspace   HEAD  change
val.loss        0.3    0.5     0.2
val.acc        0.88  0.859  -0.021
note         second  first       -
new          1.0e-9      -       -
[exit 0]
"#]],
    );
    let output = p.cvops("metrics diff --exit-code --quiet");
    assert_eq!(output.exit, Exit::Code(3));
    assert_eq!(
        p.cvops("metrics diff HEAD HEAD --exit-code").exit,
        Exit::Code(0)
    );
}

#[test]
fn what_worsened_is_red() {
    let p = changed();
    let shown = p
        .ok("metrics diff --color always --targets open.json")
        .stdout;
    let line = |key: &str| shown.lines().find(|l| l.contains(key)).unwrap();
    assert!(
        line("val.loss").contains("\u{1b}[32m-0.2\u{1b}[0m"),
        "{shown:?}"
    );
    assert!(
        line("val.acc").contains("\u{1b}[32m0.021\u{1b}[0m"),
        "{shown:?}"
    );
    assert!(!line("note").contains('\u{1b}'), "{shown:?}");
    // `direction: min` is declared for the whole file: there a rise is bad.
    let shown = p
        .ok("metrics diff --color always --targets kept.json")
        .stdout;
    let line = shown.lines().find(|l| l.contains("val.acc")).unwrap();
    assert!(line.contains("\u{1b}[1;31m0.021"), "{shown:?}");
}

#[test]
fn without_git_the_last_repro_is_the_old_side() {
    let p = measured();
    check(
        &p.cvops("metrics diff"),
        str![[r#"
--- stderr ---
there is no git commit to compare with: `lock` is the last `cvops repro`
no metric changed
[exit 0]
"#]],
    );
    p.write(
        "open.json",
        r#"{"val": {"loss": 0.7, "acc": 0.859}, "n": 3, "note": "first"}"#,
    );
    check(
        &p.cvops("metrics diff"),
        str![[r#"
path       metric    lock  workspace  change
open.json  val.loss   0.5        0.7     0.2
--- stderr ---
there is no git commit to compare with: `lock` is the last `cvops repro`
[exit 0]
"#]],
    );
    check(
        &p.cvops("metrics diff HEAD"),
        str![[r#"
--- stderr ---
error: `HEAD` is neither a git revision nor a run
 |
 = note: `[ROOT]` is not inside a git repository
 = help: `cvops runs list` shows the runs; `lock` is the last repro
[exit 2]
"#]],
    );
    // Nor is a machine without git.
    let mut command = p.command("metrics diff HEAD");
    check(
        &p.run(command.env("PATH", "/nowhere")),
        str![[r#"
--- stderr ---
error: `HEAD` is neither a git revision nor a run
 |
 = note: the program `git` was not found
 = help: `cvops runs list` shows the runs; `lock` is the last repro
[exit 2]
"#]],
    );
    let mut command = p.command("metrics diff --quiet");
    check(
        &p.run(command.env("PATH", "/nowhere")),
        str![[r#"
path       metric    lock  workspace  change
open.json  val.loss   0.5        0.7     0.2
[exit 0]
"#]],
    );
    // A repository without a commit is no better.
    p.git("init --quiet --initial-branch main");
    check(
        &p.cvops("metrics diff"),
        str![[r#"
path       metric    lock  workspace  change
open.json  val.loss   0.5        0.7     0.2
--- stderr ---
there is no git commit to compare with: `lock` is the last `cvops repro`
[exit 0]
"#]],
    );
    check(
        &p.cvops("metrics diff HEAD"),
        str![[r#"
--- stderr ---
error: `HEAD` is neither a git revision nor a run
 |
 = note: the git repository around `[ROOT]` has no commit yet
 = help: `cvops runs list` shows the runs; `lock` is the last repro
[exit 2]
"#]],
    );
}

#[test]
fn a_project_below_the_top_of_its_repository() {
    let p = project();
    p.write(
        "sub/pipeline.yaml",
        "stages: {a: {cmd: cp i m.json, deps: [i], metrics: [m.json: {cache: false}]}}\n",
    );
    p.write("sub/i", "{\"a\": 1}");
    p.ok("-C sub repro");
    p.git_init();
    p.write("sub/m.json", "{\"a\": 2}");
    check(
        &p.cvops("-C sub metrics diff"),
        str![[r#"
path    metric  HEAD  workspace  change
m.json  a          1          2       1
[exit 0]
"#]],
    );
    // Targets are named from where one stands.
    p.write("sub/deep/x", "");
    check(
        &p.cvops("-C sub/deep metrics diff --targets ../m.json --no-path"),
        str![[r#"
metric  HEAD  workspace  change
a          1          2       1
[exit 0]
"#]],
    );
}

#[test]
fn a_file_that_one_side_lacks() {
    let p = changed();
    p.remove("open.json");
    check(
        &p.cvops("metrics diff --targets open.json --no-path"),
        str![[r#"
metric     HEAD  workspace  change
val.loss    0.5          -       -
val.acc   0.859          -       -
n             3          -       -
note      first          -       -
[exit 0]
"#]],
    );
    p.remove(".cvops/cache");
    check(
        &p.cvops("metrics diff --targets kept.json --no-path"),
        str![[r#"
metric    HEAD  workspace  change
val.loss     -        0.3       -
val.acc      -       0.88       -
n            -          3       -
note         -     second       -
new          -     1.0e-9       -
--- stderr ---
warning: `kept.json` of `HEAD` is not in the cache any more ([HASH])
 |
 = help: check that revision out and run `cvops repro` to make it again
[exit 0]
"#]],
    );
    let p = with_pipeline("stages: {a: {cmd: x, metrics: [m.json]}}\n");
    check(
        &p.cvops("metrics show"),
        str![[r#"
--- stderr ---
there are no metrics yet: `cvops repro` makes them
[exit 0]
"#]],
    );
    check(
        &p.cvops("metrics diff"),
        str![[r#"
--- stderr ---
there is no git commit to compare with: `lock` is the last `cvops repro`
there are no metrics yet: `cvops repro` makes them
[exit 0]
"#]],
    );
}

#[test]
fn the_pipeline_of_a_revision_says_what_its_metrics_are() {
    let p = changed();
    p.edit("pipeline.yaml", "open.json", "renamed.json");
    p.ok("repro");
    p.remove("open.json");
    check(
        &p.cvops("metrics diff"),
        str![[r#"
path          metric     HEAD  workspace  change
kept.json     val.loss    0.5        0.3    -0.2
kept.json     val.acc   0.859       0.88   0.021
kept.json     note      first     second       -
kept.json     new           -     1.0e-9       -
open.json     val.loss    0.5          -       -
open.json     val.acc   0.859          -       -
open.json     n             3          -       -
open.json     note      first          -       -
renamed.json  val.loss      -        0.3       -
renamed.json  val.acc       -       0.88       -
renamed.json  n             -          3       -
renamed.json  note          -     second       -
renamed.json  new           -     1.0e-9       -
[exit 0]
"#]],
    );
    p.git("add --all");
    p.git("commit --quiet --message renamed");
    p.write("pipeline.yaml", "stages: {a: {cmd: [}}\n");
    p.git("commit --quiet --all --message broken");
    p.write(
        "pipeline.yaml",
        "stages: {a: {cmd: x, metrics: [renamed.json]}}\n",
    );
    check(
        &p.cvops("metrics diff"),
        str![[r#"
--- stderr ---
warning: `pipeline.yaml at HEAD` cannot be read; the present one is used
no metric changed
[exit 0]
"#]],
    );
}

#[test]
fn bad_words_and_files_are_said_clearly() {
    let p = changed();
    p.git("branch feature");
    check(
        &p.cvops("metrics diff featrue"),
        str![[r#"
--- stderr ---
error: `featrue` is neither a git revision nor a run
 |
 = help: did you mean `feature`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("metrics diff no-such-thing"),
        str![[r#"
--- stderr ---
error: `no-such-thing` is neither a git revision nor a run
 |
 = help: `git log --oneline` and `cvops runs list` show what there is
[exit 2]
"#]],
    );
    check(
        &p.cvops("metrics diff HEAD:open.json"),
        str![[r#"
--- stderr ---
error: `HEAD:open.json` is neither a git revision nor a run
 |
 = help: `git log --oneline` and `cvops runs list` show what there is
[exit 2]
"#]],
    );
    check(
        &p.cvops("metrics diff --targets opne.json"),
        str![[r#"
--- stderr ---
error: `opne.json` is neither declared nor there
 |
 = help: did you mean `open.json`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("metrics diff --targets ../x"),
        str![[r#"
--- stderr ---
error: `../x` lies outside the project
[exit 2]
"#]],
    );
    p.write("open.json", "{\"val\": {\"loss\": 0.3,}}");
    check(
        &p.cvops("metrics diff --targets open.json"),
        str![[r#"
--- stderr ---
error: `open.json` cannot be parsed
 --> open.json:1:22
  |
1 | {"val": {"loss": 0.3,}}
  |                      ^ trailing comma
  |
  = help: a metrics file holds a mapping of names to numbers: {"accuracy": 0.9}
[exit 2]
"#]],
    );
    p.write("open.json", "not numbers at all");
    check(
        &p.cvops("metrics show --targets open.json"),
        str![[r#"
--- stderr ---
error: `open.json` cannot be parsed
 --> open.json:1:2
  |
1 | not numbers at all
  |  ^ expected ident
  |
  = help: a metrics file holds a mapping of names to numbers: {"accuracy": 0.9}
[exit 2]
"#]],
    );
    p.write("open.json", "\"a text\"");
    check(
        &p.cvops("metrics show --targets open.json"),
        str![[r#"
--- stderr ---
error: `open.json` holds no metrics: it is a text
 |
 = help: write a mapping of names to numbers, as JSON, YAML or TOML: {"accuracy": 0.9}
[exit 2]
"#]],
    );
    p.write("open.json", b"{\"a\": \"\xff\"}");
    check(
        &p.cvops("metrics show --targets open.json"),
        str![[r#"
--- stderr ---
error: `open.json` is not UTF-8 text
 |
 = help: write it as UTF-8 text
[exit 2]
"#]],
    );
    // What the file holds at a revision is named with it.
    p.write("open.json", "{]");
    p.git("commit --quiet --all --message bad");
    p.write("open.json", "{}");
    check(
        &p.cvops("metrics diff --targets open.json"),
        str![[r#"
--- stderr ---
error: `open.json at HEAD` cannot be parsed
 --> open.json at HEAD:1:2
  |
1 | {]
  |  ^ key must be a string
  |
  = help: a metrics file holds a mapping of names to numbers: {"accuracy": 0.9}
[exit 2]
"#]],
    );
}

#[test]
fn a_repository_of_somebody_else_is_refused() {
    let p = changed();
    let mut command = p.command("metrics diff");
    check(
        &p.run(command.env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")),
        str![[r#"
--- stderr ---
error: git refuses to read the repository around `[ROOT]`: it belongs to another user
 |
 = help: if you trust it: `git config --global --add safe.directory '[ROOT]'`
[exit 2]
"#]],
    );
}

#[test]
fn python_writes_nan() {
    let p = measured();
    p.git_init();
    p.write(
        "open.json",
        r#"{"val": {"loss": NaN, "acc": -Infinity}, "n": 3, "note": "first"}"#,
    );
    check(
        &p.cvops("metrics diff --targets open.json"),
        str![[r#"
path       metric     HEAD  workspace  change
open.json  val.loss    0.5        NaN     NaN
open.json  val.acc   0.859       -inf    -inf
[exit 0]
"#]],
    );
}

#[test]
fn nothing_to_compare() {
    let p = with_pipeline("stages: {a: {cmd: x}}\n");
    check(
        &p.cvops("metrics show"),
        str![[r#"
--- stderr ---
error: the pipeline file declares no metrics
 |
 = help: list the file with the numbers under `metrics` of its stage: `metrics: [reports/metrics.json]`
[exit 2]
"#]],
    );
    check(
        &p.cvops("metrics diff"),
        str![[r#"
--- stderr ---
error: the pipeline file declares no metrics
 |
 = help: list the file with the numbers under `metrics` of its stage: `metrics: [reports/metrics.json]`
[exit 2]
"#]],
    );
    p.write(
        "pipeline.yaml",
        "stages: {a: {cmd: x}}\nmetrics:\n  - m.json: {direction: up}\n",
    );
    check(
        &p.cvops("metrics show"),
        str![[r#"
--- stderr ---
error: `direction` of `m.json` must be one of `max`, `min`
 --> pipeline.yaml:3:3
  |
3 |   - m.json: {direction: up}
  |   ^^^^^^^^^^^^^^^^^^^^^^^^^
[exit 2]
"#]],
    );
    // A file of the top level needs no stage.
    p.edit("pipeline.yaml", "up", "max").write("m.json", "0.93");
    check(
        &p.cvops("metrics show"),
        str![[r#"
path    metric  value
m.json           0.93
[exit 0]
"#]],
    );
    check(
        &project().cvops("metrics diff"),
        str![[r#"
--- stderr ---
error: `[ROOT]` is not inside a cvops project
 |
 = note: looked for `pipeline.yaml`, `.dvc/` or `.cvops/config.yaml` here and above
 = help: run `cvops init` in the folder that should become the project
[exit 2]
"#]],
    );
}

#[test]
fn runs_are_sides_as_well() {
    let p = changed();
    // `last` made what lies in the workspace.
    check(
        &p.cvops("metrics diff last"),
        str![[r#"
--- stderr ---
no metric changed
[exit 0]
"#]],
    );
    p.write(
        "open.json",
        r#"{"val": {"loss": 0.1, "acc": 0.88}, "n": 3, "note": "third"}"#,
    );
    let diff = "metrics diff last workspace --json --targets open.json";
    check(
        &p.cvops(diff),
        str![[r#"
{"open.json":{"new":{"new":null,"old":1e-9},"note":{"new":"third","old":"second"},"val.loss":{"diff":-0.2,"new":0.1,"old":0.3}}}
[exit 0]
"#]],
    );
    // The numbers of a run outlive its files; its texts do not.
    p.remove(".cvops/cache");
    check(
        &p.cvops(diff),
        str![[r#"
{"open.json":{"new":{"new":null,"old":1e-9},"note":{"new":"third","old":null},"val.loss":{"diff":-0.2,"new":0.1,"old":0.3}}}
[exit 0]
"#]],
    );
    let shown = p.ok("runs show last --json").json();
    let id = shown[0]["id"].as_str().unwrap();
    assert_eq!(
        p.ok(&format!(
            "metrics diff {} workspace --json --targets open.json",
            &id[..8]
        ))
        .stdout,
        p.ok(diff).stdout
    );
    check(
        &p.cvops("metrics diff lsat"),
        str![[r#"
--- stderr ---
error: `lsat` is neither a git revision nor a run
 |
 = help: did you mean `last`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("metrics diff nothing-like-it"),
        str![[r#"
--- stderr ---
error: `nothing-like-it` is neither a git revision nor a run
 |
 = help: `git log --oneline` and `cvops runs list` show what there is
[exit 2]
"#]],
    );
}

#[test]
fn a_broken_file_does_not_hide_the_others() {
    let p = changed();
    p.write("open.json", "[0.5]");
    p.git("commit --quiet --all --message broken");
    p.git("commit --quiet --allow-empty --message again");
    p.write("open.json", "{\"loss\": 0.25}");
    // Both commits have the same broken file: one warning.
    let shown = p.ok("metrics show --all-commits");
    assert_eq!(shown.stderr.matches("holds no metrics").count(), 1);
    assert!(shown.stdout.contains("val.loss"), "{}", shown.stdout);
    check(&p.cvops("metrics diff"), str![]);
    p.write("open.json", "{]");
    p.remove("kept.json");
    check(&p.cvops("metrics show"), str![]);
}

#[test]
fn in_a_fresh_clone_results_in_git_stand_in_for_the_cache() {
    let p = changed();
    std::fs::remove_dir_all(p.path(".cvops/cache")).unwrap();
    p.git("add --all --force open.json pipeline.lock");
    p.git("commit --quiet --message results");
    check(
        &p.cvops("metrics diff lock --targets open.json --all"),
        str![],
    );
    p.write("open.json", "{\"n\": 4}");
    check(&p.cvops("metrics diff lock --targets open.json"), str![]);
}

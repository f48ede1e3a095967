//! `cvops stage list` and `stage add`.

use snapbox::str;

use crate::support::stages::with_pipeline;
use crate::support::{check, project};

const PIPELINE: &str = "\
# The whole story.
stages:
  load:           # from afar
    cmd: echo 1 > raw
    outs: [raw]

  # What it is for.
  train:
    cmd: cp raw model
    desc: |
      The classifier
      of cats
    deps:
      - raw       # as loaded
    outs:
      - model
# The end.
";

#[test]
fn the_list_says_what_stages_are_for() {
    let p = with_pipeline(PIPELINE);
    check(
        &p.cvops("stage list"),
        str![[r#"
load   Outputs raw
train  The classifier
[exit 0]
"#]],
    );
    check(
        &p.cvops("stage list --names-only train"),
        str![[r#"
train
[exit 0]
"#]],
    );
    check(
        &p.cvops("stage list --json"),
        str![[r#"
[{"commands":["echo 1 > raw"],"description":"Outputs raw","name":"load"},{"commands":["cp raw model"],"description":"The classifier","name":"train"}]
[exit 0]
"#]],
    );
    check(
        &p.cvops("stage list --md model"),
        str![[r#"
| name  | description    |
| ----- | -------------- |
| train | The classifier |
[exit 0]
"#]],
    );
    check(
        &p.cvops("stage list tain"),
        str![[r#"
--- stderr ---
error: `tain` is neither a stage nor an output of one
 |
 = help: did you mean `train`?
[exit 2]
"#]],
    );
}

#[test]
fn a_new_stage_leaves_everything_else_as_it_was() {
    let p = with_pipeline(PIPELINE);
    p.git_init();
    check(
        &p.cvops("stage add -n test -d model -d 'a b' -p lr,model -p other.yaml: -p 'p.json:x,y' -o out -O seen --outs-persist log -M m.json --plots p.csv --desc 'How good?' --always-changed -w . python test.py 'two words'"),
        str![[r#"
added stage `test` to `pipeline.yaml`
[exit 0]
"#]],
    );
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .eq(
            p.read("pipeline.yaml"),
            str![[r##"
# The whole story.
stages:
  load:           # from afar
    cmd: echo 1 > raw
    outs: [raw]

  # What it is for.
  train:
    cmd: cp raw model
    desc: |
      The classifier
      of cats
    deps:
      - raw       # as loaded
    outs:
      - model
  test:
    desc: How good?
    cmd: python test.py "two words"
    wdir: .
    deps:
    - a b
    - model
    params:
    - lr
    - model
    - other.yaml: null
    - p.json:
      - x
      - 'y'
    outs:
    - log:
        persist: true
    - out
    - seen:
        cache: false
    metrics:
    - m.json:
        cache: false
    plots:
    - p.csv
    always_changed: true
# The end.

"##]],
        );
    assert_eq!(p.read(".gitignore"), "/log\n/out\n/p.csv\n");
}

#[test]
fn the_first_stage_makes_the_file() {
    let p = project();
    p.ok("init");
    check(
        &p.cvops("stage add -n hello -o hello.txt --run 'echo hello > hello.txt'"),
        str![[r#"
added stage `hello` to `pipeline.yaml`
--- stderr ---
hello: running: it never ran
hello $ echo hello > hello.txt
hello: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.read("hello.txt"), "hello\n");
    let q = project();
    q.write(".dvc/config", "").write("sub/x", "1\n");
    q.ok("-C sub stage add -n copy -d x -o y cp x y");
    assert_eq!(
        q.read("sub/dvc.yaml"),
        "stages:\n  copy:\n    cmd: cp x y\n    deps:\n    - x\n    outs:\n    - 'y'\n"
    );
}

#[test]
fn what_would_break_the_pipeline_is_not_written() {
    let p = with_pipeline(PIPELINE);
    check(
        &p.cvops("stage add -n train -o x true"),
        str![[r#"
--- stderr ---
error: `pipeline.yaml` has a stage `train` already
 |
 = help: give the new one another name, or replace the old one with `--force`
[exit 2]
"#]],
    );
    check(
        &p.cvops("stage add -n again -o model true"),
        str![[r#"
--- stderr ---
error: `model` is written by both `train` and `again`
  --> pipeline.yaml:20:7
   |
16 |       - model
   |         ----- first here
...
20 |     - model
   |       ^^^^^ written by `train` already
   |
   = help: give each stage an output of its own
[exit 2]
"#]],
    );
    check(
        &p.cvops("stage add -n circle -d model -d circle -o circle true"),
        str![[r#"
--- stderr ---
error: stage `circle` depends on its own output `circle`
  --> pipeline.yaml:20:7
   |
20 |     - circle
   |       ^^^^^^ written by `circle`
   |
   = help: drop one of the deps in the circle, or split a stage in two
[exit 2]
"#]],
    );
    check(
        &p.cvops("stage add -n 'no/name' true"),
        str![[r#"
--- stderr ---
error: `no/name` is not a stage name: use letters, digits, blanks, `_`, `-` and `.`, beginning with a letter, digit or `_`
  --> pipeline.yaml:17:3
   |
17 |   no/name:
   |   ^^^^^^^
[exit 2]
"#]],
    );
    check(
        &p.cvops("stage add -n nothing"),
        str![[r#"
--- stderr ---
error: the following required arguments were not provided:
  <COMMAND>...

Usage: cvops stage add --name <NAME> <COMMAND>...

For more information, try '--help'.
[exit 2]
"#]],
    );
    assert_eq!(p.read("pipeline.yaml"), PIPELINE);
    check(
        &p.cvops("stage add --force -n train -d raw -o model -m m.json train"),
        str![[r#"
added stage `train` to `pipeline.yaml`
[exit 0]
"#]],
    );
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .eq(
            p.read("pipeline.yaml"),
            str![[r#"
# The whole story.
stages:
  load:           # from afar
    cmd: echo 1 > raw
    outs: [raw]

  # What it is for.
  train:
    cmd: train
    deps:
      - raw       # as loaded
    outs:
      - model
    metrics:
    - m.json
# The end.

"#]],
        );
}

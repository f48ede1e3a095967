//! `cvops freeze` and `unfreeze`: one line of the pipeline file, all others as they were.

use snapbox::str;

use crate::support::check;
use crate::support::stages::with_pipeline;

const PIPELINE: &str = "\
# The whole story.
stages:
  load:           # from afar
    cmd: echo 1 > raw
    outs: [raw]

  # What it is for.
  train:
    cmd: cp raw model
    deps:
      - raw       # as loaded
    outs:
      - model
  flow: {cmd: echo, deps: [model]}
";

#[test]
fn freeze_adds_a_line_and_unfreeze_takes_it_away() {
    let p = with_pipeline(PIPELINE);
    check(
        &p.cvops("freeze train flow"),
        str![[r#"
train is frozen
flow is frozen
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
    cmd: cp raw model
    deps:
      - raw       # as loaded
    outs:
      - model
    frozen: true
  flow: {cmd: echo, deps: [model], frozen: true}

"#]],
        );
    check(
        &p.cvops("freeze train"),
        str![[r#"
train was frozen already
[exit 0]
"#]],
    );
    check(
        &p.cvops("why train"),
        str![[r#"
train is frozen and never runs
--- stderr ---
warning: the output `model` of the frozen stage `train` does not exist
  --> pipeline.yaml:13:9
   |
13 |       - model
   |         ^^^^^
   |
   = help: `cvops checkout model` puts it in place from the cache, `cvops pull model` fetches it first; `cvops unfreeze train` lets the stage make it
[exit 0]
"#]],
    );
    check(
        &p.cvops("unfreeze train flow load --json"),
        str![[r#"
{"unchanged":["load"],"unfrozen":["train","flow"]}
[exit 0]
"#]],
    );
    assert_eq!(p.read("pipeline.yaml"), PIPELINE);
}

#[test]
fn unknown_stages_change_nothing() {
    let p = with_pipeline(PIPELINE);
    check(
        &p.cvops("freeze load tarin"),
        str![[r#"
--- stderr ---
error: `tarin` is neither a stage nor an output of one
 |
 = help: did you mean `train`?
[exit 2]
"#]],
    );
    assert_eq!(p.read("pipeline.yaml"), PIPELINE);
    check(
        &p.cvops("freeze"),
        str![[r#"
--- stderr ---
error: the following required arguments were not provided:
  <STAGE>...

Usage: cvops freeze <STAGE>...

For more information, try '--help'.
[exit 2]
"#]],
    );
}

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
    check(&p.cvops("stage list"), str![]);
    check(&p.cvops("stage list --names-only train"), str![]);
    check(&p.cvops("stage list --json"), str![]);
    check(&p.cvops("stage list --md model"), str![]);
    check(&p.cvops("stage list tain"), str![]);
}

#[test]
fn a_new_stage_leaves_everything_else_as_it_was() {
    let p = with_pipeline(PIPELINE);
    p.git_init();
    check(
        &p.cvops("stage add -n test -d model -d 'a b' -p lr,model -p other.yaml: -p 'p.json:x,y' -o out -O seen --outs-persist log -M m.json --plots p.csv --desc 'How good?' --always-changed -w . python test.py 'two words'"),
        str![],
    );
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .eq(p.read("pipeline.yaml"), str![]);
    assert_eq!(p.read(".gitignore"), "/log\n/out\n/p.csv\n");
}

#[test]
fn the_first_stage_makes_the_file() {
    let p = project();
    p.ok("init");
    check(
        &p.cvops("stage add -n hello -o hello.txt --run 'echo hello > hello.txt'"),
        str![],
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
    check(&p.cvops("stage add -n train -o x true"), str![]);
    check(&p.cvops("stage add -n again -o model true"), str![]);
    check(
        &p.cvops("stage add -n circle -d model -d circle -o circle true"),
        str![],
    );
    check(&p.cvops("stage add -n 'no name' true"), str![]);
    check(&p.cvops("stage add -n nothing"), str![]);
    assert_eq!(p.read("pipeline.yaml"), PIPELINE);
    check(
        &p.cvops("stage add --force -n train -d raw -o model -m m.json train"),
        str![],
    );
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .eq(p.read("pipeline.yaml"), str![]);
}

//! `cvops params sweep` where templates read the swept parameters: each trial has the pipeline that
//! its values make.

use crate::support::stages::with_pipeline;
use crate::support::{Exit, Project, check, project};

use snapbox::str;

/// `train` knows its parameter only through `${lr}`; `prepare` reads none.
const PIPELINE: &str = r#"stages:
  prepare:
    cmd: echo prepare >> ~/runs; echo data > data.txt
    outs: [data.txt]
  train:
    cmd: |-
      echo "train:${lr}" >> ~/runs
      echo "{\"score\": ${lr}}" > metrics.json; echo ${lr} > model-${lr}.txt
    deps: [data.txt]
    outs: ['model-${lr}.txt']
    metrics:
      - metrics.json: {cache: false}
"#;

fn native() -> Project {
    let p = with_pipeline(PIPELINE);
    p.write("params.yaml", "lr: 5\n");
    p
}

/// The same in a repository of DVC.
fn dvc() -> Project {
    let p = project();
    p.ok("init --dvc --no-scm");
    p.write("dvc.yaml", PIPELINE);
    p.write("params.yaml", "lr: 5\n");
    p
}

#[test]
fn each_trial_has_the_commands_and_outputs_of_its_values() {
    for p in [native(), dvc()] {
        p.ok("repro");
        assert_eq!(p.ran(), "prepare train:5");
        check(
            &p.cvops("params sweep lr=1,2 --metric score"),
            str![[r#"
trial  lr  score        status[..]
    1   1      1        done[..]train  prepare
    2   2      2  best  done[..]train  prepare
--- stderr ---
sweep-1: grid of 2 trials (lr), maximize metrics.json:score
trial 1: lr=1
trial 1: score = 1 in [TIME], best so far
trial 2: lr=2
trial 2: score = 2 in [TIME], best so far
best: score = 2 with lr=2 (trial 2); `cvops params sweep apply sweep-1` writes it into the params files
page: [ROOT]/.cvops/sweeps/sweep-1/report.html
[exit 0]
"#]],
        );
        assert_eq!(p.ran(), "train:1 train:2");
        // Nothing of it shows in the workspace.
        assert!(p.exists("model-5.txt") && !p.exists("model-2.txt"));
        check(
            &p.cvops("params sweep apply"),
            str![[r#"
lr: 5 → 2
--- stderr ---
trial 2 of sweep-1 is applied; `cvops repro` restores its outputs
[exit 0]
"#]],
        );
        p.ok("repro");
        assert_eq!(p.ran(), "");
        assert_eq!(p.read("model-2.txt"), "2\n");
        // Other values in the user's own file change no sweep: it goes on, with its own.
        p.ok("params sweep --resume --name sweep-1");
        assert_eq!(p.ran(), "");
        // A trial's run is gone back to with its values, and with the outputs they make.
        let applied = p.ok("runs apply sweep-1-1").stderr;
        assert!(applied.contains("the workspace is as the run"), "{applied}");
        assert!(p.read("params.yaml").contains("lr: 1"));
        p.ok("repro");
        assert_eq!(
            (p.ran(), p.read("model-1.txt")),
            (String::new(), "1\n".to_owned())
        );
        let diff = p.ok("runs diff sweep-1-1 sweep-1-2").stdout;
        assert!(
            diff.contains("params.yaml") && diff.contains("lr"),
            "{diff}"
        );
        // What the workspace has of another value is not written through.
        p.ok("params sweep lr=2,5 --metric score");
        assert_eq!(p.ran(), "");
        assert_eq!(p.read("model-2.txt"), "2\n");
    }
}

#[test]
fn a_killed_sweep_goes_on_after_other_values_were_written() {
    for point in [12, 20, 28, 36] {
        let p = native();
        let mut command = p.command("params sweep lr=1,2,3 --metric score");
        let killed = p.run(command.env("CVOPS_CRASH_AT", point.to_string()));
        assert_eq!(killed.exit, Exit::Signal(9), "{point}");
        p.write("params.yaml", "lr: 1\n");
        p.ok("params sweep --resume");
        let status = p.ok("params sweep status sweep-1 --json").json().remove(0);
        let values = status["trials"].as_array().unwrap().iter();
        let values: Vec<f64> = values.map(|t| t["value"].as_f64().unwrap()).collect();
        assert_eq!(values, [1.0, 2.0, 3.0], "{point}");
    }
}

#[test]
fn a_foreach_over_a_swept_list_makes_the_stages_of_its_trial() {
    let p = with_pipeline(
        r#"stages:
  part:
    foreach: ${parts}
    do:
      cmd: echo part:${item} >> ~/runs; echo 1 > ${item}.txt
      outs: ['${item}.txt']
  sum:
    cmd: echo "{\"score\":" $(cat *.txt | wc -l) "}" > metrics.json
    deps: ['*.txt']
    metrics:
      - metrics.json: {cache: false}
"#,
    );
    p.write("params.yaml", "parts: [a]\n");
    check(
        &p.cvops("params sweep parts=[a],[a,b] --metric score"),
        str![[r#"
trial  parts  score        status[..]
    1    [a]      1        done[..]sum         part@a
    2  [a,b]      2  best  done[..]part@b sum  part@a
--- stderr ---
sweep-1: grid of 2 trials (parts), maximize metrics.json:score
running what all trials share: `part@a`
shared stages: done in [TIME]
trial 1: parts=[a]
trial 1: score = 1 in [TIME], best so far
trial 2: parts=[a,b]
trial 2: score = 2 in [TIME], best so far
best: score = 2 with parts=[a,b] (trial 2); `cvops params sweep apply sweep-1` writes it into the params files
page: [ROOT]/.cvops/sweeps/sweep-1/report.html
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "part:a part:b");
}

#[test]
fn a_value_that_no_pipeline_can_have_is_told_before_the_first_trial() {
    let p = native();
    check(
        &p.cvops("params sweep lr=1,[2] --metric score"),
        str![[r#"
--- stderr ---
error: `${lr}` is a list, where a text must stand
 --> pipeline.yaml:7:19
  |
7 |       echo "train:${lr}" >> ~/runs
  |                   ^^^^^
  |
  = help: name one of its items, such as `${lr[0]}`
error: `${lr}` is a list, where a text must stand
  --> pipeline.yaml:10:19
   |
10 |     outs: ['model-${lr}.txt']
   |                   ^^^^^
   |
   = note: so it is with `lr=[2]`, which the sweep would try
   = help: name one of its items, such as `${lr[0]}`
[exit 2]
"#]],
    );
    // A parameter that neither stages nor templates read.
    p.write("params.yaml", "lr: 5\nother: 1\n");
    check(
        &p.cvops("params sweep other=1,2 --metric score"),
        str![[r#"
--- stderr ---
error: no stage to be run depends on `other`
 |
 = help: list it under `params:` of the stage that reads it; else every trial gives the same
[exit 2]
"#]],
    );
    assert!(!p.exists(".cvops/sweeps"));
}

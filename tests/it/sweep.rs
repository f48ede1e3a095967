//! `cvops params sweep`: which trials run, what they share, what a kill leaves, what is said.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use snapbox::str;

use crate::support::stages::{wait_until, with_pipeline};
use crate::support::{Exit, Output, Project, check, project};

/// `prepare` depends on no parameter; `train` gives a score that is best at `lr: 0.1`, `depth: 1`.
/// Each notes its run in `~/runs`, `train` with its values.
fn trainer() -> Project {
    let p = with_pipeline(
        r#"stages:
  prepare:
    cmd: echo prepare >> ~/runs; tr a-z A-Z < data/words.txt > upper.txt
    deps: [data/words.txt]
    outs: [upper.txt]
  train:
    cmd: |-
      lr=$(sed -n 's/^lr: \([^ ]*\).*/\1/p' params.yaml); depth=$(sed -n 's/^depth: //p' params.yaml)
      echo "train:$lr:$depth" >> ~/runs
      sh data/hook.sh "$lr" "$depth" || exit 3
      awk -v l="$lr" -v d="$depth" 'BEGIN { e = (l - 0.1) * (l - 0.1) + d / 100; printf "{\"score\": %.6f, \"loss\": %.6f}\n", 1 - e, e }' > metrics.json
    deps: [upper.txt, data/hook.sh]
    params: [lr, depth, opt]
    metrics:
      - metrics.json: {cache: false}
"#,
    );
    p.write(
        "params.yaml",
        "# How fast it learns.\nlr: 0.3   # too fast\n\ndepth: 4\nopt: {kind: sgd}\nname: x\n",
    );
    p.write("data/words.txt", "fig\nkiwi\n");
    p.write("data/hook.sh", "true\n");
    p
}

/// Returns a sweep's `status --json`.
fn status(p: &Project, name: &str) -> Value {
    p.ok(&format!("params sweep status {name} --json"))
        .json()
        .remove(0)
}

fn finished(sweep: &Value) -> Vec<u64> {
    let trials = sweep["trials"].as_array().unwrap();
    let done = trials.iter().filter(|t| t["status"] == "finished");
    done.map(|t| t["trial"].as_u64().unwrap()).collect()
}

/// How often `train` ran, by its values.
fn trainings(p: &Project) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in p.ran().split(' ').filter(|l| l.starts_with("train:")) {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn a_grid_is_tried_in_order_and_what_trials_share_runs_once() {
    let p = trainer();
    check(
        &p.cvops("params sweep lr=0.05,0.1 depth=1,2 --metric score"),
        str![[r#"
trial    lr  depth   score        status[..]
    1  0.05      1  0.9875        done[..]train  prepare
    2  0.05      2  0.9775        done[..]train  prepare
    3   0.1      1    0.99  best  done[..]train  prepare
    4   0.1      2    0.98        done[..]train  prepare
--- stderr ---
sweep-1: grid of 4 trials (lr, depth), maximize metrics.json:score
running what all trials share: `prepare`
shared stages: done in [TIME]
trial 1: lr=0.05 depth=1
trial 1: score = 0.9875 in [TIME], best so far
trial 2: lr=0.05 depth=2
trial 2: score = 0.9775 in [TIME], best 0.9875 in trial 1
trial 3: lr=0.1 depth=1
trial 3: score = 0.99 in [TIME], best so far
trial 4: lr=0.1 depth=2
trial 4: score = 0.98 in [TIME], best 0.99 in trial 3
best: score = 0.99 with lr=0.1 depth=1 (trial 3); `cvops params sweep apply sweep-1` writes it into the params files
page: [ROOT]/.cvops/sweeps/sweep-1/report.html
[exit 0]
"#]],
    );
    assert_eq!(
        p.ran(),
        "prepare train:0.05:1 train:0.05:2 train:0.1:1 train:0.1:2"
    );
    // Nothing of it shows in the workspace, and no tree is left.
    assert!(!p.exists("upper.txt") && !p.exists("metrics.json") && !p.exists("pipeline.lock"));
    assert!(p.read("params.yaml").contains("lr: 0.3   # too fast"));
    assert!(!p.exists(".cvops/tmp/trials/sweep-1"));
    let page = p.read(".cvops/sweeps/sweep-1/report.html");
    assert!(page.contains("Which parameter matters") && page.contains("Parameters and result"));
    check(
        &p.cvops("params sweep status"),
        str![[r#"
sweep    state     trials  failed  metric              best
sweep-1  complete     4/4       0  metrics.json:score  0.99
[exit 0]
"#]],
    );
    check(
        &p.cvops("params sweep best"),
        str![[r#"
parameter           value
lr                    0.1
depth                   1
metrics.json:score   0.99
--- stderr ---
trial 3 of sweep-1; `cvops params sweep apply sweep-1` writes it into the params files
[exit 0]
"#]],
    );
    check(
        &p.cvops("params sweep status sweep-1 --md"),
        str![[r#"
| trial |   lr | depth |  score |      | status |[..]
| ----: | ---: | ----: | -----: | ---- | ------ |[..]
|     1 | 0.05 |     1 | 0.9875 |      | done   |[..]
|     2 | 0.05 |     2 | 0.9775 |      | done   |[..]
|     3 |  0.1 |     1 |   0.99 | best | done   |[..]
|     4 |  0.1 |     2 |   0.98 |      | done   |[..]
--- stderr ---
sweep-1: complete, 4 of 4 trials done
[exit 0]
"#]],
    );
    // The same points again cost nothing.
    p.ok("params sweep depth=2,1 lr=0.1 --metric score");
    assert_eq!(p.ran(), "");
}

#[test]
fn upstream_stages_are_restored_in_each_trial() {
    let p = trainer();
    p.ok("repro");
    assert_eq!(p.ran(), "prepare train:0.3:4");
    let output = p.ok("params sweep depth=1,2,3 --metric metrics.json:loss --json");
    for ended in output.events("ended") {
        assert_eq!(ended["restored"], serde_json::json!(["prepare"]));
        let ran: Vec<&String> = ended["ran"].as_object().unwrap().keys().collect();
        assert_eq!(ran, ["train"]);
    }
    let done = output.events("done").remove(0);
    // The goal is told by the name: a loss is to be small.
    assert_eq!(
        (&done["goal"], &done["best"]),
        (&"minimize".into(), &1.into())
    );
    assert_eq!(p.ran(), "train:0.3:1 train:0.3:2 train:0.3:3");
    // The workspace is as it was.
    check(
        &p.cvops("status"),
        str![[r#"
prepare  unchanged
train    unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
}

#[test]
fn trials_at_the_same_time_run_an_equal_stage_once() {
    let p = with_pipeline(
        r#"stages:
  prepare:
    cmd: |-
      size=$(sed -n 's/^size: //p' params.yaml)
      echo "prepare:$size" >> ~/runs
      sleep 0.3
      echo "$size" > size.txt
    params: [size]
    outs: [size.txt]
  train:
    cmd: |-
      lr=$(sed -n 's/^lr: //p' params.yaml)
      echo "{\"score\": $(cat size.txt).$lr}" > metrics.json
    deps: [size.txt]
    params: [lr]
    metrics:
      - metrics.json: {cache: false}
"#,
    );
    p.write("params.yaml", "size: 0\nlr: 0\n");
    p.ok("params sweep size=1,2 lr=1,2,3 -j 3 --metric metrics.json:score");
    let mut ran: Vec<String> = p.ran().split(' ').map(str::to_owned).collect();
    ran.sort();
    assert_eq!(ran, ["prepare:1", "prepare:2"]);
    let sweep = status(&p, "sweep-1");
    assert_eq!(finished(&sweep).len(), 6);
    let trials = sweep["trials"].as_array().unwrap().iter();
    let restored = trials.filter(|t| t["restored"] == serde_json::json!(["prepare"]));
    assert_eq!(restored.count(), 4);
}

#[test]
fn random_draws_depend_on_the_seed_alone() {
    let p = trainer();
    let trials = |seed: u32| {
        let args = format!(
            "params sweep lr=tag(log,interval(1e-3,1)) depth=int(interval(1,8)) --trials 5 --metric metrics.json:score --dry-run --json --seed {seed}"
        );
        p.ok(&args).json().remove(0)["trials"].clone()
    };
    assert_eq!(trials(1), trials(1));
    assert_ne!(trials(1), trials(2));
    check(
        &p.cvops("params sweep lr=interval(0,1) depth=2,4 --trials 3 --metric metrics.json:score --dry-run"),
        str![[r#"
trial        lr  depth
    1    0.5553      2
    2  0.655308      4
    3  0.574455      4
--- stderr ---
3 trials, random, maximize metrics.json:score
the same in every trial: prepare
[exit 0]
"#]],
    );
    assert!(!p.exists(".cvops/sweeps"));
}

#[test]
fn trials_run_at_the_same_time() {
    let p = trainer();
    // Each of the two waits until it sees the other.
    p.write(
        "data/hook.sh",
        "touch ~/at-$2; n=0; while [ ! -e ~/at-1 ] || [ ! -e ~/at-2 ]; do n=$((n + 1)); [ $n -lt 600 ] || exit 1; sleep 0.05; done\n",
    );
    let output = p.ok("params sweep depth=1,2 -j 2 --metric metrics.json:score --json");
    assert_eq!(finished(&output.events("done")[0]), [1, 2]);
    // The shared stage was not run by both.
    assert_eq!(p.ran().matches("prepare").count(), 1);
}

#[test]
fn a_failing_trial_counts_and_the_sweep_goes_on() {
    let p = trainer();
    p.write("data/hook.sh", "[ $2 != 2 ]\n");
    check(
        &p.cvops("params sweep depth=1,2,3 --metric metrics.json:score"),
        str![[r#"
trial  depth  score        status[..]
    1      1   0.95  best  done[..]train  prepare
    2      2               failed[..]
    3      3   0.93        done[..]train  prepare
--- stderr ---
sweep-1: grid of 3 trials (depth), maximize metrics.json:score
running what all trials share: `prepare`
shared stages: done in [TIME]
trial 1: depth=1
trial 1: score = 0.95 in [TIME], best so far
trial 2: depth=2
trial 2: failed in [TIME]: stage `train` exited with code 3
trial 3: depth=3
trial 3: score = 0.93 in [TIME], best 0.95 in trial 1
trial 2: stage `train` exited with code 3 (log: [ROOT]/.cvops/sweeps/sweep-1/trial-2.log)
best: score = 0.95 with depth=1 (trial 1); `cvops params sweep apply sweep-1` writes it into the params files
page: [ROOT]/.cvops/sweeps/sweep-1/report.html
[exit 0]
"#]],
    );
    assert!(
        p.read(".cvops/sweeps/sweep-1/trial-2.log")
            .contains("train $ ")
    );
    // A metric that no trial reports.
    check(
        &p.cvops("params sweep depth=1,2,3,4 --metric metrics.json:scores --max-failures 2"),
        str![[r#"
trial  depth  scores     status[..]
    1      1             failed[..]
    2      2             failed[..]
--- stderr ---
sweep-2: grid of 4 trials (depth), maximize metrics.json:scores
trial 1: depth=1
trial 1: failed in [TIME]: `metrics.json` has no metric `scores`; did you mean `score`?
trial 2: depth=2
trial 2: failed in [TIME]: stage `train` exited with code 3
trial 1: `metrics.json` has no metric `scores`; did you mean `score`? (log: [ROOT]/.cvops/sweeps/sweep-2/trial-1.log)
trial 2: stage `train` exited with code 3 (log: [ROOT]/.cvops/sweeps/sweep-2/trial-2.log)
too many failed trials in a row, so the sweep ended (`--max-failures`)
no trial has finished
page: [ROOT]/.cvops/sweeps/sweep-2/report.html
[exit 1]
"#]],
    );
}

#[test]
fn apply_keeps_comments_and_the_next_repro_restores_all() {
    let p = trainer();
    p.ok("params sweep lr=0.1,0.2 depth=1,2 +opt.nesterov=true --metric metrics.json:score");
    p.ran();
    check(
        &p.cvops("params sweep apply"),
        str![[r#"
lr: 0.3 → 0.1
depth: 4 → 1
opt.nesterov: (none) → true
--- stderr ---
trial 1 of sweep-1 is applied; `cvops repro` restores its outputs
[exit 0]
"#]],
    );
    snapbox::assert_data_eq!(
        p.read("params.yaml"),
        str![[r#"
# How fast it learns.
lr: 0.1   # too fast

depth: 1
opt: {kind: sgd, nesterov: true}
name: x

"#]]
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prepare: restoring an earlier result: it never ran
prepare: restored in [TIME]
train: restoring an earlier result: it never ran
train: restored in [TIME]
2 stages: 2 restored
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "");
    assert_eq!(
        p.read("metrics.json"),
        "{\"score\": 0.990000, \"loss\": 0.010000}\n"
    );
    // Another trial, and at the end of a sweep.
    p.ok("params sweep apply sweep-1 --trial 4");
    assert!(p.read("params.yaml").contains("depth: 2"));
    p.ok("params sweep lr=0.11 --metric metrics.json:score --apply-best");
    let text = p.read("params.yaml");
    assert!(
        text.contains("lr: 0.11 ") && text.contains("# too fast"),
        "{text}"
    );
}

#[test]
fn a_block_in_the_pipeline_file_is_a_sweep() {
    let p = trainer();
    let text = p.read("pipeline.yaml");
    p.write(
        "pipeline.yaml",
        format!("sweep:\n  name: b\n  metric: {{name: loss, goal: minimize}}\n  run_cap: 2\n  parameters:\n    lr: {{values: [0.1, 0.2, 0.3]}}\n    depth: {{value: 1}}\n{text}"),
    );
    p.ok("params sweep");
    assert_eq!(finished(&status(&p, "b")), [1, 2]);
    p.edit("pipeline.yaml", "run_cap", "runcap");
    check(
        &p.cvops("params sweep"),
        str![[r#"
--- stderr ---
error: unknown key `runcap` in `sweep`
 --> pipeline.yaml:4:3
  |
4 |   runcap: 2
  |   ^^^^^^ not a known key
  |
  = help: did you mean `run_cap`?
[exit 2]
"#]],
    );
    // The stages can be run all the same.
    p.ok("status");
}

#[test]
fn mistakes_are_shown_with_the_way_out() {
    let p = trainer();
    check(
        &p.cvops("params sweep lrr=0.1,0.2"),
        str![[r#"
--- stderr ---
error: `params.yaml` has no parameter `lrr`
 |
 = help: did you mean `lr`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep lr=choise(1,2) 'depth=interval(2' --metric score"),
        str![[r#"
--- stderr ---
error: `lr=choise(1,2)` cannot be read as KEY=SPEC
 --> argument:1:4
  |
1 | lr=choise(1,2)
  |    ^^^^^^ there is no function `choise`
  |
  = help: did you mean `choice`?
error: `depth=interval(2` cannot be read as KEY=SPEC
 --> argument:1:16
  |
1 | depth=interval(2
  |                ^ expected `,` or `)` to close `interval(`
  |
  = help: a SPEC is `0.1,0.01`, `choice(a,b)`, `range(1,4)`, `interval(0,1)`, `tag(log,interval(1e-4,1e-1))` or `int(interval(2,6))`
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep"),
        str![[r#"
--- stderr ---
error: there is no parameter to sweep
 |
 = help: name one with its values (`cvops params sweep train.epochs=1,2`), or write a `sweep:` block into `pipeline.yaml`
[exit 2]
"#]],
    );
}

#[test]
fn what_cannot_be_searched_or_improved_is_said() {
    let p = trainer();
    check(
        &p.cvops("params sweep lr=interval(0,1) --method grid --metric score"),
        str![[r#"
--- stderr ---
error: a grid needs choices, and `lr` has the interval `interval(0.0,1.0)`
 |
 = help: name the values (`range(2,7)`, `0.1,0.01`), or use `--method random`
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep lr=1,2 --method tpe"),
        str![[r#"
--- stderr ---
error: the method `tpe` is not supported by this version of cvops
 |
 = help: use `random` (any space) or `grid` (choices only)
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep lr=1,2 --asha"),
        str![[r#"
--- stderr ---
error: `--asha` is not supported yet
 |
 = help: every trial runs to its end on this machine; `-j N` runs several at the same time
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep name=a,b --metric score"),
        str![[r#"
--- stderr ---
error: no stage to be run depends on `name`
 |
 = help: list it under `params:` of the stage that reads it; else every trial gives the same
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep lr=1,2"),
        str![[r#"
--- stderr ---
error: which metric shall the sweep improve?
 |
 = note: metrics files: `metrics.json`
 = help: name it: `--metric metrics.json:KEY`
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep lr=1,2 --metric metric.json:score"),
        str![[r#"
--- stderr ---
error: no stage to be run declares the metrics file `metric.json`
 |
 = help: did you mean `metrics.json`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep other.yaml:lr=1,2 --metric score"),
        str![[r#"
--- stderr ---
error: there is no params file `other.yaml`
 |
 = help: check its name; a key is given as `KEY=…` for `params.yaml`, else as `FILE:KEY=…`
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep lr.deep=1 --metric score"),
        str![[r#"
--- stderr ---
error: `params.yaml` has no parameter `lr.deep`
 |
 = help: write `+lr.deep=…` to add it, or look at `cvops params show`
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep ~lr"),
        str![[r#"
--- stderr ---
error: `~lr` cannot be read as KEY=SPEC
 --> argument:1:1
  |
1 | ~lr
  | ^ removing a parameter is not supported
  |
  = help: edit the params file, or sweep the parameter over values that switch it off
[exit 2]
"#]],
    );
}

#[test]
fn names_of_sweeps_are_looked_up_with_care() {
    let p = trainer();
    check(
        &p.cvops("params sweep best"),
        str![[r#"
--- stderr ---
error: there is no sweep yet
 |
 = help: start one: `cvops params sweep train.epochs=1,2`
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep status nothing"),
        str![[r#"
--- stderr ---
error: there is no sweep `nothing`
 |
 = help: start one: `cvops params sweep train.epochs=1,2`
[exit 2]
"#]],
    );
    p.ok("params sweep lr=0.1 --metric score --name one");
    check(
        &p.cvops("params sweep lr=0.1 --metric score --name one"),
        str![[r#"
--- stderr ---
error: there is a sweep `one` already
 |
 = help: go on with it (`cvops params sweep --resume --name one`), or choose another `--name`
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep status on"),
        str![[r#"
--- stderr ---
error: there is no sweep `on`
 |
 = help: did you mean `one`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep stop one"),
        str![[r#"
--- stderr ---
error: the sweep `one` is not running
 |
 = help: `cvops params sweep status one` shows how far it came
[exit 2]
"#]],
    );
    p.ok("repro");
    check(
        &p.cvops("params sweep lr=1 --metric scor"),
        str![[r#"
--- stderr ---
error: no metrics file has the metric `scor`
 |
 = note: metrics files: `metrics.json`
 = help: did you mean `score`?
[exit 2]
"#]],
    );
    // Other parameters changed: the trials could not be compared.
    p.edit("params.yaml", "depth: 4", "depth: 5");
    check(
        &p.cvops("params sweep --resume"),
        str![[r#"
--- stderr ---
error: parameters that the sweep `one` does not vary have changed since it began
 |
 = note: its further trials could not be compared with those that are done
 = help: bring the old values back, or start a sweep of another name
[exit 2]
"#]],
    );
}

/// Starts a sweep as the leader of a process group of its own.
fn start(p: &Project, args: &str) -> Child {
    p.command(args)
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn notes(p: &Project) -> usize {
    fs::read_to_string(p.home().join("runs"))
        .unwrap_or_default()
        .lines()
        .count()
}

#[test]
fn killed_at_any_moment_a_sweep_goes_on_and_repeats_nothing() {
    const GRID: &str = "lr=0.05,0.1,0.2 depth=1,2,3";
    let undisturbed = trainer();
    undisturbed.ok(&format!("params sweep {GRID} --metric metrics.json:score"));
    let best = status(&undisturbed, "sweep-1")["best"].clone();
    for seen in 1..=9 {
        let p = trainer();
        let mut child = start(
            &p,
            &format!("params sweep {GRID} -j 2 --metric metrics.json:score"),
        );
        wait_until("enough stages began", || seen <= notes(&p));
        kill_process_group(Pid::from_child(&child), Signal::KILL).unwrap();
        child.wait().unwrap();
        let before = p.cvops("params sweep status sweep-1 --json").json();
        let kept: Vec<u64> = before.first().map(finished).unwrap_or_default();
        let values = |sweep: &Value, trial: u64| {
            let params = &sweep["trials"][trial as usize - 1]["params"];
            format!("train:{}:{}", params["lr"], params["depth"])
        };
        let output = p.ok("params sweep --resume --json");
        let after = output.events("done").remove(0);
        assert_eq!(
            finished(&after),
            (1..=9).collect::<Vec<_>>(),
            "after {seen}"
        );
        assert_eq!(after["best"], best, "after {seen}");
        let trainings = trainings(&p);
        assert_eq!(trainings.len(), 9, "after {seen}");
        for trial in kept {
            let name = values(&after, trial);
            assert_eq!(trainings[&name], 1, "{name} ran again after {seen}");
        }
        assert!(!p.exists(".cvops/tmp/trials/sweep-1"));
    }
}

/// The stage of trial 2 waits in here until `~/go` is there.
const HOLD: &str = "[ $2 != 2 ] && exit 0; touch ~/held; n=0; while [ ! -e ~/go ]; do n=$((n + 1)); [ $n -lt 600 ] || exit 1; sleep 0.05; done\n";

#[test]
fn stop_lets_running_trials_end() {
    let p = trainer();
    p.write("data/hook.sh", HOLD);
    let mut child = start(&p, "params sweep depth=1,2,3 --metric metrics.json:score");
    wait_until("trial 2 runs", || p.home().join("held").exists());
    assert_eq!(status(&p, "sweep-1")["running"], true);
    check(
        &p.cvops("params sweep --resume"),
        str![[r#"
--- stderr ---
error: the sweep `sweep-1` is running already
 |
 = help: watch it with `cvops params sweep status sweep-1`, or end it with `cvops params sweep stop sweep-1`
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep stop"),
        str![[r#"
--- stderr ---
sweep-1 ends when its running trials are done
[exit 0]
"#]],
    );
    fs::write(p.home().join("go"), "").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let sweep = status(&p, "sweep-1");
    assert_eq!(
        (finished(&sweep), &sweep["ended"]),
        (vec![1, 2], &"stopped".into())
    );
    p.ok("params sweep --resume");
    assert_eq!(finished(&status(&p, "sweep-1")), [1, 2, 3]);
    assert_eq!(trainings(&p).values().sum::<usize>(), 3);
}

#[test]
fn ctrl_c_stops_the_trials_and_the_sweep_goes_on_later() {
    let p = trainer();
    p.write("data/hook.sh", HOLD);
    let mut child = start(&p, "params sweep depth=1,2,3 --metric metrics.json:score");
    wait_until("trial 2 runs", || p.home().join("held").exists());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let sweep = status(&p, "sweep-1");
    assert_eq!(
        (finished(&sweep), &sweep["ended"]),
        (vec![1], &"interrupted".into())
    );
    assert!(!p.exists(".cvops/tmp/trials/sweep-1"));
    fs::write(p.home().join("go"), "").unwrap();
    p.ok("params sweep --resume");
    assert_eq!(finished(&status(&p, "sweep-1")), [1, 2, 3]);
}

/// Runs a sweep with a fault at write 1, 4, 7, …; after each, the sweep must come to its end.
fn climb(variable: &str, value: fn(u32) -> String, judge: fn(&Output, &str)) {
    const ARGS: &str = "params sweep depth=1,2 --metric metrics.json:score --name s";
    for rung in (1..400).step_by(3) {
        let p = trainer();
        let mut command = p.command(&format!("{ARGS} -vv"));
        let output = p.run(command.env(variable, value(rung)));
        if !output.stderr.contains("fault point fires") {
            assert!(20 < rung, "only {rung} writes");
            assert_eq!(output.exit, Exit::Code(0));
            return;
        }
        let what = format!("{variable}={}", value(rung));
        judge(&output, &what);
        let again = p.cvops("params sweep --resume --name s");
        if again.exit != Exit::Code(0) {
            assert!(
                finished_before(&p).is_empty(),
                "{what}: {}",
                again.transcript()
            );
            p.ok(ARGS);
        }
        let sweep = status(&p, "s");
        assert_eq!(
            (finished(&sweep), &sweep["best"]),
            (vec![1, 2], &1.into()),
            "{what}"
        );
    }
    panic!("no end of the ladder");
}

/// Trials that are finished, none if there is no sweep yet.
fn finished_before(p: &Project) -> Vec<u64> {
    let output = p.cvops("params sweep status s --json");
    if output.exit == Exit::Code(0) {
        finished(&output.json()[0])
    } else {
        Vec::new()
    }
}

#[test]
fn with_a_full_disk_at_a_write_a_sweep_ends_and_goes_on_later() {
    climb(
        "CVOPS_FAIL_AT",
        |n| format!("{n}:28"),
        |output, what| {
            // A record of the run that cannot be kept is a warning; everything else ends the sweep.
            let text = output.transcript();
            assert!(matches!(output.exit, Exit::Code(0 | 1)), "{what}: {text}");
            let says_so = text.contains("No space left on device");
            assert!(says_so || output.exit == Exit::Code(0), "{what}: {text}");
        },
    );
}

#[test]
fn killed_at_a_write_a_sweep_goes_on_later() {
    climb(
        "CVOPS_CRASH_AT",
        |n| n.to_string(),
        |output, what| assert_eq!(output.exit, Exit::Signal(9), "{what}"),
    );
}

#[test]
fn a_sweep_without_a_pipeline_says_so() {
    check(
        &project().cvops("params sweep lr=1"),
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
fn a_metric_that_no_trial_changes_is_refused() {
    let p = trainer();
    p.ok("freeze train");
    check(
        &p.cvops("params sweep lr=1,2 --metric score"),
        str![[r#"
--- stderr ---
error: no trial would run a stage that depends on `lr`: `train` is frozen
 |
 = help: `cvops unfreeze train` lets it run again
[exit 2]
"#]],
    );
    p.ok("unfreeze train");
    let text = p.read("pipeline.yaml");
    p.write(
        "pipeline.yaml",
        format!("{text}  count:\n    cmd: \"echo '{{\\\"words\\\": 2}}' > count.json\"\n    deps: [data/words.txt]\n    metrics: [count.json]\n"),
    );
    check(
        &p.cvops("params sweep lr=1,2 --metric count.json:words"),
        str![[r#"
--- stderr ---
error: every trial would report the same `count.json:words`: `count` depends on no swept parameter
 |
 = help: name a metric of a stage that the parameters reach, or let that stage depend on them
[exit 2]
"#]],
    );
}

#[test]
fn a_sweep_does_not_go_on_with_other_sources() {
    let p = trainer();
    p.ok("params sweep depth=1,2,3 --trials 2 --metric metrics.json:score");
    p.write("data/hook.sh", "true # another\n");
    check(
        &p.cvops("params sweep --resume --trials 3"),
        str![[r#"
--- stderr ---
error: what the stages of the sweep `sweep-1` are made of has changed since it began: `data/hook.sh`
 |
 = note: its further trials could not be compared with those that are done
 = help: bring the old state back, or start a sweep of another name
[exit 2]
"#]],
    );
    // Nor is promised what cannot be kept.
    check(
        &p.cvops("params sweep apply"),
        str![[r#"
depth: 4 → 1
--- stderr ---
trial 1 of sweep-1 is applied; changed since the sweep began: `data/hook.sh`; so `cvops repro` runs what depends on it
[exit 0]
"#]],
    );
    p.write("data/hook.sh", "true\n");
    check(
        &p.cvops("params sweep --resume --trials 1"),
        str![[r#"
--- stderr ---
error: `--trials 1` is less than the 2 trials that the sweep `sweep-1` has begun
 |
 = help: give 2 or more; `cvops params sweep status sweep-1` shows them
[exit 2]
"#]],
    );
    check(
        &p.cvops("params sweep --resume --goal minimize"),
        str![[r#"
--- stderr ---
error: `--goal` is not what the sweep `sweep-1` began with: maximize
 |
 = help: leave `--goal` out: `--resume` takes it from the journal; or start a sweep of another name
[exit 2]
"#]],
    );
    p.ok("params sweep --resume --trials 3");
    assert_eq!(finished(&status(&p, "sweep-1")), [1, 2, 3]);
}

#[test]
fn a_source_changed_while_a_sweep_runs_is_told() {
    let p = trainer();
    // The second trial changes what the third one reads.
    let root = p.root().display().to_string();
    p.write(
        "data/hook.sh",
        format!("[ $2 != 2 ] || {{ echo; echo pear; }} >> {root}/data/words.txt\n"),
    );
    let text = p.read("pipeline.yaml");
    p.write(
        "pipeline.yaml",
        text.replace(
            "deps: [upper.txt, data/hook.sh]",
            "deps: [upper.txt, data/hook.sh, data/words.txt]",
        ),
    );
    let output = p.ok("params sweep depth=1,2,3 --metric metrics.json:score --json");
    let told = output.events("inputs_changed");
    assert_eq!(told.last().map(|t| &t["trial"]), Some(&3.into()));
    assert_eq!(told[0]["what"], serde_json::json!(["`data/words.txt`"]));
}

#[test]
fn a_damaged_journal_hides_no_other_sweep() {
    let p = trainer();
    p.ok("params sweep lr=0.1 --metric metrics.json:score --name good");
    p.ok("params sweep lr=0.1 --metric metrics.json:score --name broken");
    p.write(".cvops/sweeps/broken/journal.jsonl", "{}\n");
    check(
        &p.cvops("params sweep status"),
        str![[r#"
sweep   state     trials  failed  metric              best
broken  damaged
good    complete     1/1       0  metrics.json:score  0.96
[exit 0]
"#]],
    );
}

#[test]
fn a_sweep_with_nothing_left_is_complete() {
    let p = trainer();
    p.write("data/hook.sh", "echo 'cannot learn' >&2; exit 1\n");
    let output =
        p.cvops("params sweep depth=1,2 --metric metrics.json:score --max-failures 2 --json");
    assert_eq!(output.exit, Exit::Code(1));
    let done = output.events("done").remove(0);
    assert_eq!(done["ended"], "complete");
    let error = done["trials"][0]["error"].as_str().unwrap();
    assert!(error.ends_with(": cannot learn"), "{error}");
    // The run of a sweep without a result has failed.
    let run = p
        .ok(&format!(
            "runs show {} --json",
            done["run"].as_str().unwrap()
        ))
        .json()
        .remove(0);
    assert_eq!(run["status"], "failed");
}

#[test]
fn a_value_listed_twice_is_tried_once() {
    let p = trainer();
    check(
        &p.cvops("params sweep depth=1,2,1 --metric metrics.json:score --dry-run"),
        str![[r#"
trial  depth
    1      1
    2      2
--- stderr ---
`depth`: `1` is listed more than once and tried once
2 trials, grid, maximize metrics.json:score
the same in every trial: prepare
[exit 0]
"#]],
    );
    check(
        &p.cvops("params sweep depth=1,2 --metric metrics.json:score --dry-run --name=x/y"),
        str![[r#"
--- stderr ---
error: `x/y` is no name for a sweep
 |
 = help: use letters, digits, `_`, `-` and `.`
[exit 2]
"#]],
    );
}

#[test]
fn a_sweep_lists_what_it_swept_and_names_files_from_where_one_stands() {
    let p = trainer();
    p.ok("-C data params sweep ../params.yaml:lr=0.1,0.2 --metric ../metrics.json:score --name s");
    assert_eq!(finished(&status(&p, "s")), [1, 2]);
    let listed = p.ok("runs list").stdout;
    let heading = listed.lines().next().unwrap().trim_end();
    assert!(heading.ends_with("  lr"), "{heading}");
}

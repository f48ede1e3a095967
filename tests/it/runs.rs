//! `cvops runs`: what a repro records, and what can be done with it.

use std::fs;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use snapbox::str;

use crate::support::stages::{wait_until, with_pipeline};
use crate::support::{Exit, Output, Project, check, project};

/// Training and evaluation in shell: a curve, numbers that depend on params, a model.
fn study() -> Project {
    let p = with_pipeline(
        r#"stages:
  train:
    cmd: |
      lr=$(sed -n 's/^  lr: \([0-9]*\).*/\1/p' params.yaml)
      echo "model $lr" > model.bin
      printf '{"epoch":1,"loss":%s.5}\n{"epoch":2,"loss":%s.25}\n' $lr $lr > curve.jsonl
    params: [train]
    outs: [model.bin]
    plots: [curve.jsonl: {cache: false}]
  evaluate:
    cmd: echo "{\"accuracy\":$(tr -dc 0-9 < model.bin), \"per_class\":{\"cat\":0.5}}" > metrics.json
    deps: [model.bin]
    metrics: [metrics.json: {cache: false}]
"#,
    );
    p.write(
        "params.yaml",
        "# how to train\ntrain:\n  lr: 1   # the learning rate\n  epochs: 2\nunused: 1\n",
    );
    p
}

/// Compares a transcript without the blanks that align columns: they differ with the durations.
#[track_caller]
fn check_squeezed(output: &Output, expected: impl snapbox::IntoData) {
    let lines: Vec<String> = output
        .transcript()
        .lines()
        .map(|line| {
            if line.starts_with('|') {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                return cells.join(" | ").trim().to_owned();
            }
            let cells = line
                .split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty());
            cells.collect::<Vec<_>>().join("  ")
        })
        .collect();
    let mut text = lines.join("\n");
    while text.contains("----") {
        text = text.replace("----", "---");
    }
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .normalize_paths(false)
        .eq(text, expected);
}

/// Returns the runs as JSON, the newest first.
fn runs(p: &Project) -> Vec<serde_json::Value> {
    let listed = p.ok("runs list --all --json").json().remove(0);
    listed["runs"].as_array().unwrap().clone()
}

fn statuses(p: &Project) -> String {
    let runs = runs(p);
    let words: Vec<_> = runs.iter().map(|r| r["status"].as_str().unwrap()).collect();
    words.join(" ")
}

#[test]
fn a_repro_that_runs_something_is_recorded_and_one_that_does_not_is_not() {
    let p = study();
    check(
        &p.cvops("runs list"),
        str![[r#"
--- stderr ---
no run is recorded yet: every `cvops repro` that runs or restores a stage records one
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs show"),
        str![[r#"
--- stderr ---
error: no run is recorded in this project
 |
 = help: every `cvops repro` that runs or restores a stage records one
[exit 2]
"#]],
    );
    let first = p.ok("repro");
    assert!(
        first.transcript().contains("recorded as `[RUN]`"),
        "{}",
        first.transcript()
    );
    assert_eq!(runs(&p).len(), 1);
    for part in ["tracking.db", "tracking.db-wal", "tracking.db-shm"] {
        let _ = fs::remove_file(p.path(&format!(".cvops/{part}")));
    }
    let second = p.ok("repro");
    assert!(!second.stderr.contains("recorded"), "{}", second.stderr);
    assert!(!p.exists(".cvops/tracking.db"));
    p.remove("metrics.json");
    let third = p.ok("repro --json").events("done").remove(0);
    let run = &runs(&p)[0];
    assert_eq!(run["id"], third["run"]["id"]);
    assert_eq!(run["name"], third["run"]["name"]);
    assert_eq!(run["stages"][1]["outcome"], "restored");
    // A restored stage has metrics as well.
    assert_eq!(run["metrics"]["metrics.json"]["accuracy"], 1.0);
}

#[test]
fn no_track_records_nothing() {
    let p = study();
    let output = p.ok("repro --no-track");
    assert!(!output.stderr.contains("recorded"), "{}", output.stderr);
    assert!(!p.exists(".cvops/tracking.db"));
    check(
        &p.cvops("repro --no-track --name x"),
        str![[r#"
--- stderr ---
error: the argument '--no-track' cannot be used with '--name <NAME>'

Usage: cvops repro --no-track [TARGETS]...

For more information, try '--help'.
[exit 2]
"#]],
    );
}

#[test]
fn runs_are_listed_with_metrics_and_the_params_in_which_they_differ() {
    let p = study();
    p.ok("repro --name first");
    p.edit("params.yaml", "lr: 1 ", "lr: 3 ");
    p.ok("repro --name second");
    p.edit("params.yaml", "lr: 3 ", "lr: 2 ");
    p.ok("repro --name third --experiment other");
    check_squeezed(
        &p.cvops("runs list"),
        str![[r#"
name  id  started  status  took  stages  accuracy  train.lr
third  [HASH]  [DATE]  finished  [TIME]  2 ran  2  2
second  [HASH]  [DATE]  finished  [TIME]  2 ran  3  3
first  [HASH]  [DATE]  finished  [TIME]  2 ran  1  1
[exit 0]
"#]],
    );
    check_squeezed(
        &p.cvops("exp list --sort accuracy -n 2 --md"),
        str![[r#"
| name | id | started | status | took | stages | accuracy | per\_class.cat | train.lr |
| --- | --- | --- | --- | ---: | --- | ---: | ---: | ---: |
| second | [HASH] | [DATE] | finished | [TIME] | 2 ran | 3 | 0.5 | 3 |
| third | [HASH] | [DATE] | finished | [TIME] | 2 ran | 2 | 0.5 | 2 |
--- stderr ---
2 of 3 runs; `--all` lists the others
[exit 0]
"#]],
    );
    check_squeezed(
        &p.cvops("runs list --sort curve.jsonl:loss --metric per_class.cat --experiment Default"),
        str![[r#"
name  id  started  status  took  stages  loss  per_class.cat  train.lr
first  [HASH]  [DATE]  finished  [TIME]  2 ran  1.25  0.5  1
second  [HASH]  [DATE]  finished  [TIME]  2 ran  3.25  0.5  3
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs list --sort acuracy"),
        str![[r#"
--- stderr ---
error: no run has the metric `acuracy`
 |
 = help: did you mean `accuracy`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("runs list --experiment othr"),
        str![[r#"
--- stderr ---
error: there is no experiment `othr`
 |
 = help: did you mean `other`?
[exit 2]
"#]],
    );
    let run = &runs(&p)[0];
    assert_eq!(run["experiment"], "other");
    assert_eq!(run["params"]["params.yaml"]["train.lr"], 2);
    assert_eq!(run["metrics"]["curve.jsonl"]["loss"], 2.25);
}

#[test]
fn a_run_is_shown_with_all_that_is_known_of_it() {
    let p = study();
    p.ok("repro --name first evaluate");
    check_squeezed(
        &p.cvops("runs show"),
        str![[r#"
run  first
id  [HASH]
experiment  Default
status  finished
started  [DATE]
took  [TIME]
command  cvops repro --name first evaluate
host  [..]

stage  outcome  took
train  ran  [TIME]
evaluate  ran  [TIME]

path  param  value
params.yaml  train.epochs  2
params.yaml  train.lr  1

path  metric  value  step
curve.jsonl  loss  1.25  2
metrics.json  accuracy  1
metrics.json  per_class.cat  0.5

output  stage  size  object
curve.jsonl  train  47 B  [HASH]
metrics.json  evaluate  40 B  [HASH]
model.bin  train  8 B  [HASH]
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs show first --curve loss"),
        str![[r#"
step  loss
   1   1.5
   2  1.25
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs show last --curve los"),
        str![[r#"
--- stderr ---
error: no run has the metric `los`
 |
 = help: did you mean `loss`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("runs show frist"),
        str![[r#"
--- stderr ---
error: there is no run `frist`
 |
 = help: did you mean `first`?
[exit 2]
"#]],
    );
    let id = runs(&p)[0]["id"].as_str().unwrap().to_owned();
    let shown = p
        .ok(&format!("runs show {} --json", &id[..6]))
        .json()
        .remove(0);
    assert_eq!(shown["id"], id.as_str());
    assert_eq!(shown["command"], "cvops repro --name first evaluate");
    assert_eq!(shown["targets"][0], "evaluate");
    assert_eq!(shown["artifacts"][2]["path"], "model.bin");
}

#[test]
fn a_name_given_twice_needs_the_id() {
    let p = study();
    p.ok("repro --name twin");
    p.edit("params.yaml", "lr: 1 ", "lr: 3 ");
    p.ok("repro --name twin");
    let output = p.cvops("runs show twin");
    assert_eq!(output.exit, Exit::Code(2));
    assert!(
        output.stderr.contains("`twin` names 2 runs"),
        "{}",
        output.stderr
    );
    assert!(
        output
            .stderr
            .contains("give the id instead of the name, or its beginning"),
        "{}",
        output.stderr
    );
    p.ok("runs show last");
}

#[test]
fn two_runs_are_compared() {
    let p = study();
    p.ok("repro --name first");
    p.edit("params.yaml", "lr: 1 ", "lr: 3 ");
    p.ok("repro --name second");
    check(
        &p.cvops("runs diff first"),
        str![[r#"
path         param     first  second
params.yaml  train.lr      1       3

path          metric    first  second  change
curve.jsonl   loss       1.25    3.25     2.0
metrics.json  accuracy      1       3       2
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs diff second first --md --exit-code"),
        str![[r#"
| path        | param    | second | first |
| ----------- | -------- | -----: | ----: |
| params.yaml | train.lr |      3 |     1 |

| path         | metric   | second | first | change |
| ------------ | -------- | -----: | ----: | -----: |
| curve.jsonl  | loss     |   3.25 |  1.25 |   -2.0 |
| metrics.json | accuracy |      3 |     1 |     -2 |
[exit 3]
"#]],
    );
    check(
        &p.cvops("runs diff second --exit-code"),
        str![[r#"
--- stderr ---
`second` is compared with itself
[exit 0]
"#]],
    );
    let diff = p.ok("runs diff first second --json").json().remove(0);
    let lr = &diff["params"]["params.yaml"]["train.lr"];
    assert_eq!((&lr["old"], &lr["new"]), (&1.into(), &3.into()));
    assert_eq!(diff["metrics"]["curve.jsonl"]["loss"]["diff"], 2.0);
    assert_eq!(diff["a"]["name"], "first");
}

#[test]
fn a_run_is_applied_and_nothing_of_what_was_there_is_lost() {
    let p = study();
    p.ok("repro --name first");
    p.edit("params.yaml", "lr: 1 ", "lr: 3 ");
    p.ok("repro --name second");
    p.write("model.bin", "made by hand\n");
    let output = p.cvops("runs apply first");
    check(
        &output,
        str![[r#"
--- stderr ---
`train.lr`: 3 -> 1
restored `curve.jsonl`
restored `metrics.json`
restored `model.bin`
the old content of `model.bin` is kept in the cache as [HASH]
the old content of `params.yaml` is kept in the cache as [HASH]
the workspace is as the run `first` left it
[exit 0]
"#]],
    );
    let saved = blake3::hash(b"made by hand\n").to_hex();
    assert_eq!(p.cached(&saved), "made by hand\n");
    assert_eq!(
        p.read("params.yaml"),
        "# how to train\ntrain:\n  lr: 1   # the learning rate\n  epochs: 2\nunused: 1\n"
    );
    assert_eq!(p.read("model.bin"), "model 1\n");
    check(
        &p.cvops("status"),
        str![[r#"
train     unchanged
evaluate  unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs apply first"),
        str![[r#"
--- stderr ---
the workspace is as the run `first` left it
[exit 0]
"#]],
    );
}

#[test]
fn what_is_gone_from_the_cache_is_named_before_anything_changes() {
    let p = study();
    p.ok("repro --name first");
    p.edit("params.yaml", "lr: 1 ", "lr: 3 ");
    p.ok("repro --name second");
    let hash = blake3::hash(b"model 1\n").to_hex();
    p.remove(&format!(
        ".cvops/cache/blake3/{}/{}",
        &hash[..2],
        &hash[2..]
    ));
    let params = p.read("params.yaml");
    let lock = p.read("pipeline.lock");
    check(
        &p.cvops("runs apply first"),
        str![[r#"
--- stderr ---
error: 1 output of the run `first` cannot be restored
 |
 = note: `model.bin` is not in the cache
 = help: with `--force` the rest is applied, and `cvops repro` makes these anew
[exit 1]
"#]],
    );
    assert_eq!(
        (p.read("params.yaml"), p.read("pipeline.lock")),
        (params, lock)
    );
    assert_eq!(p.read("model.bin"), "model 3\n");
    check(
        &p.cvops("runs apply first --force"),
        str![[r#"
--- stderr ---
`train.lr`: 3 -> 1
restored `curve.jsonl`
restored `metrics.json`
the old content of `params.yaml` is kept in the cache as [HASH]
`model.bin` is not in the cache; `cvops repro` makes it anew
the run `first` is applied
warning: `train` is not as it was: output `model.bin` was modified ([HASH] -> [HASH])
warning: `evaluate` is not as it was: on what `train` will write
[exit 0]
"#]],
    );
    p.ok("repro");
    assert_eq!(p.read("model.bin"), "model 1\n");
}

#[test]
fn applying_says_what_else_is_different() {
    let p = study();
    p.ok("repro --name first");
    p.edit("pipeline.yaml", "\\\"cat\\\":0.5", "\\\"cat\\\":0.75");
    p.ok("repro --name second");
    check(
        &p.cvops("runs apply first"),
        str![[r#"
--- stderr ---
restored `metrics.json`
the run `first` is applied
warning: `evaluate` is not as it was: command changed (`echo "{\"accuracy\":$(tr -dc 0-9 < model.bin), \"per_class\":{\"cat\":0.5}}" > metrics.json` -> `echo "{\"accuracy\":$(tr -dc 0-9 < model.bin), \"per_class\":{\"cat\":0.75}}" > metrics.json`)
[exit 0]
"#]],
    );
}

#[test]
fn a_failed_run_is_recorded_with_what_finished() {
    let p = with_pipeline(
        "stages:\n  good: {cmd: echo 1 > good.txt, outs: [good.txt]}\n  bad: {cmd: exit 3, deps: [good.txt], params: [a], outs: [bad.txt]}\n  after: {cmd: cp bad.txt after.txt, deps: [bad.txt], outs: [after.txt]}\n",
    );
    p.write("params.yaml", "a: {b: 7}\n");
    assert_eq!(p.cvops("repro --name sad").exit, Exit::Code(1));
    check_squeezed(
        &p.cvops("runs show"),
        str![[r#"
run  sad
id  [HASH]
experiment  Default
status  failed
started  [DATE]
took  [TIME]
command  cvops repro --name sad
host  [..]

stage  outcome  took  why
good  ran  [TIME]
bad  failed  [TIME]  stage `bad` failed: `exit 3` exited with code 3
after  not finished

path  param  value
params.yaml  a.b  7

output  stage  size  object
good.txt  good  2 B  [HASH]
[exit 0]
"#]],
    );
    check_squeezed(
        &p.cvops("runs list"),
        str![[r#"
name  id  started  status  took  stages
sad  [HASH]  [DATE]  failed  [TIME]  1 ran, 1 failed, 1 not finished
[exit 0]
"#]],
    );
}

#[test]
fn ctrl_c_and_kill_are_told_from_each_other_and_both_from_an_end() {
    let p = with_pipeline(
        "stages:\n  first: {cmd: echo 1 > first.txt, outs: [first.txt]}\n  slow:\n    cmd: touch ~/started; while [ ! -e ~/go ]; do sleep 0.02; done; echo 1 > out.txt\n    deps: [first.txt]\n    outs: [out.txt]\n",
    );
    let started = p.home().join("started");
    let begin = |name: &str| {
        let _ = fs::remove_file(&started);
        let child = p
            .command(&format!("repro --name {name}"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the stage runs", || started.exists());
        child
    };
    let stop = |child: &mut std::process::Child, signal| {
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        child.wait().unwrap()
    };
    let mut child = begin("interrupted");
    assert_eq!(statuses(&p), "running");
    let refused = p.cvops("runs rm interrupted");
    check(
        &refused,
        str![[r#"
--- stderr ---
error: the run `interrupted` is still going on
 |
 = help: wait for it, or stop it with Ctrl-C where it runs
[exit 2]
"#]],
    );
    assert_eq!(stop(&mut child, Signal::INT).code(), Some(130));
    assert_eq!(statuses(&p), "killed");
    assert!(runs(&p)[0]["ended"].is_string());
    assert_eq!(runs(&p)[0]["stages"][1]["outcome"], "not_finished");

    let mut child = begin("killed");
    stop(&mut child, Signal::KILL);
    // Seen at once, before anything is written.
    assert_eq!(statuses(&p), "killed killed");
    assert!(runs(&p)[0]["ended"].is_null());

    check(
        &p.cvops("runs apply killed"),
        str![[r#"
--- stderr ---
stopped processes that a killed cvops left behind (stage `slow`)
error: the run `killed` left no results to go back to
 |
 = help: choose a run that finished a stage: `cvops runs list`
[exit 2]
"#]],
    );

    fs::write(p.home().join("go"), "").unwrap();
    p.ok("repro --name last-one");
    assert_eq!(statuses(&p), "finished killed killed");
    check(
        &p.cvops("runs rm --all-failed last-one --json -q"),
        str![[r#"
{"removed":[..]}
[exit 0]
"#]],
    );
    assert_eq!(statuses(&p), "");
    check(
        &p.cvops("runs rm --all-failed"),
        str![[r#"
--- stderr ---
no run failed
[exit 0]
"#]],
    );
}

#[test]
fn a_record_that_cannot_be_written_costs_no_result() {
    let p = study();
    p.write(
        ".cvops/tracking.db",
        "this is no database, and long enough to be read as one",
    );
    check_squeezed(
        &p.cvops("repro -q"),
        str![[r#"
--- stderr ---
warning: this run is not recorded: could not use the database `[ROOT]/.cvops/tracking.db`: file is not a database
|
= note: results of stages do not depend on it: lock and cache are as they were
= help: move it aside with its log (`mkdir [ROOT]/.cvops/damaged && mv [ROOT]/.cvops/tracking.db* [ROOT]/.cvops/damaged`), then bring back a copy of yours; without one the next run starts a new record
[exit 0]
"#]],
    );
    assert_eq!(p.read("model.bin"), "model 1\n");
    check(
        &p.cvops("status"),
        str![[r#"
train     unchanged
evaluate  unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs list"),
        str![[r#"
--- stderr ---
error: could not use the database `[ROOT]/.cvops/tracking.db`: file is not a database
 |
 = note: results of stages do not depend on it: lock and cache are as they were
 = help: move it aside with its log (`mkdir [ROOT]/.cvops/damaged && mv [ROOT]/.cvops/tracking.db* [ROOT]/.cvops/damaged`), then bring back a copy of yours; without one the next run starts a new record
[exit 1]
"#]],
    );
    p.write(".cvops/tracking.db", newer_database());
    p.remove("model.bin");
    check_squeezed(
        &p.cvops("repro -q"),
        str![[r#"
--- stderr ---
warning: this run is not recorded: the database `[ROOT]/.cvops/tracking.db` was written by a newer version of cvops (schema 99)
|
= help: update cvops
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs list"),
        str![[r#"
--- stderr ---
error: the database `[ROOT]/.cvops/tracking.db` was written by a newer version of cvops (schema 99)
 |
 = help: update cvops
[exit 2]
"#]],
    );
    let json = p.edit("params.yaml", "lr: 1 ", "lr: 3 ").ok("repro --json");
    let done = json.events("done").remove(0);
    assert!(done["run"].is_null());
    assert_eq!(done["done"].as_array().unwrap().len(), 2);
}

/// An empty database (the format's section 1.3) that says it has schema 99.
fn newer_database() -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[..16].copy_from_slice(b"SQLite format 3\0");
    bytes[16..24].copy_from_slice(&[0x10, 0, 1, 1, 0, 64, 32, 32]);
    bytes[24..32].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
    bytes[44..48].copy_from_slice(&4_u32.to_be_bytes());
    bytes[56..60].copy_from_slice(&1_u32.to_be_bytes());
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    bytes[92..96].copy_from_slice(&1_u32.to_be_bytes());
    bytes[100..108].copy_from_slice(&[0x0d, 0, 0, 0, 0, 0x10, 0, 0]);
    bytes
}

#[test]
fn a_metrics_file_that_cannot_be_read_is_left_out_with_a_warning() {
    let p = with_pipeline(
        "stages:\n  bad: {cmd: 'echo \"{broken\" > m.json', metrics: [m.json]}\n  odd: {cmd: 'echo \"{\\\"loss\\\": NaN, \\\"best\\\": -Infinity}\" > n.json', metrics: [n.json]}\n",
    );
    let output = p.ok("repro -q");
    check(
        &output,
        str![[r#"
--- stderr ---
warning: the numbers in `m.json` are not part of the run: `m.json` cannot be parsed
 --> m.json:1:2
  |
1 | {broken
  |  ^ key must be a string
[exit 0]
"#]],
    );
    let run = &runs(&p)[0];
    assert_eq!(run["metrics"]["n.json"]["loss"], "NaN");
    assert_eq!(run["metrics"]["n.json"]["best"], "-Infinity");
}

#[test]
fn a_long_curve_is_thinned_out_and_ends_where_it_ended() {
    let p = with_pipeline(
        r#"stages:
  train:
    cmd: 'seq 0 120001 | sed "s/.*/{\"step\":&,\"loss\":&}/" > h.jsonl'
    params: [lr]
    plots: [h.jsonl: {cache: false}]
  after:
    cmd: echo > after.txt
    params: [other]
    outs: [after.txt]
"#,
    );
    p.write("params.yaml", "lr: 1\nother: 1\n");
    let output = p.ok("repro");
    let note = "`h.jsonl` has more than 10000 steps: the run keeps one of every 16, and the last";
    assert!(output.stderr.contains(note), "{}", output.stderr);
    let curve = |p: &Project| p.ok("runs show --curve loss --json").json().remove(0);
    let first = curve(&p);
    let points = first["points"].as_array().unwrap();
    assert_eq!(points.len(), 7_502);
    assert_eq!(points[7_501]["value"], 120_001.0);
    assert_eq!(runs(&p)[0]["metrics"]["h.jsonl"]["loss"], 120_001.0);

    // A stage that did not run says nothing again, and its curve is the same.
    let size = p.bytes(".cvops/tracking.db").len();
    p.edit("params.yaml", "other: 1", "other: 2");
    let output = p.ok("repro");
    assert!(!output.stderr.contains("steps"), "{}", output.stderr);
    let points = |curve: &serde_json::Value| {
        let points = curve["points"].as_array().unwrap().iter();
        let pairs = points.map(|p| (p["step"].clone(), p["value"].clone()));
        pairs.collect::<Vec<_>>()
    };
    assert_eq!(points(&curve(&p)), points(&first));
    assert!(p.bytes(".cvops/tracking.db").len() < size + 50_000);
}

#[test]
fn a_run_knows_where_git_stood() {
    let p = study();
    p.git_init();
    p.ok("repro");
    let git = runs(&p)[0]["git"].clone();
    assert_eq!(git["commit"], p.git("rev-parse HEAD").trim());
    assert_eq!(
        (&git["branch"], &git["dirty"]),
        (&"main".into(), &false.into())
    );
    // What a repro writes says nothing about what it was made from.
    p.git("add --all");
    p.git("commit --quiet --message results");
    p.write("metrics.json", "{}\n");
    p.ok("repro");
    assert_eq!(runs(&p)[0]["git"]["dirty"], false);
    p.edit("params.yaml", "lr: 1 ", "lr: 3 ");
    p.ok("repro");
    assert_eq!(runs(&p)[0]["git"]["dirty"], true);
}

/// A git that never says whether files differ.
#[cfg(unix)]
#[test]
fn a_repro_does_not_wait_for_a_git_that_takes_long() {
    use std::os::unix::fs::PermissionsExt;

    let p = study();
    p.git_init();
    let slow = "#!/bin/sh\ncase $1 in status) while kill -0 $PPID; do sleep 0.1; done; exit 1 ;; esac\nPATH=${PATH#*:}\nexec git \"$@\"\n";
    p.write("bin/git", slow);
    std::fs::set_permissions(p.path("bin/git"), PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut repro = p.command("repro");
    repro.env("PATH", format!("{}:{path}", p.path("bin").display()));
    assert_eq!(p.run(&mut repro).exit, Exit::Code(0));
    let git = runs(&p)[0]["git"].clone();
    assert_eq!(git["commit"], p.git("rev-parse HEAD").trim());
    assert_eq!(
        (&git["branch"], &git["dirty"]),
        (&"main".into(), &serde_json::Value::Null)
    );
    let shown = p.ok("runs show");
    assert!(shown.stdout.contains("(main, changes not known)"));
}

#[test]
fn two_repros_at_once_are_two_runs_or_one() {
    let p = study();
    let spawn = || {
        p.command("repro")
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut children = [spawn(), spawn()];
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    // The second one waited and found nothing to do.
    assert_eq!(statuses(&p), "finished");
}

#[test]
fn tags_are_set_and_removed() {
    let p = study();
    p.ok("repro --name first");
    check(
        &p.cvops("runs tag last kind=baseline 'note=a = b'"),
        str![[r#"
kind=baseline
note=a = b
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs tag first --remove kind"),
        str![[r#"
note=a = b
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs tag first --remove nite"),
        str![[r#"
--- stderr ---
error: the run `first` has no tag `nite`
 |
 = help: did you mean `note`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("runs tag first nonsense"),
        str![[r#"
--- stderr ---
error: `nonsense` is not a tag
 |
 = help: write `KEY=VALUE`, for example `stage=baseline`
[exit 2]
"#]],
    );
    check(
        &p.cvops("runs rm first"),
        str![[r#"
deleted first ([HASH])
--- stderr ---
1 run deleted; `cvops runs restore` brings back, `cvops gc --deleted-runs` removes for good
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs tag last a=b"),
        str![[r#"
--- stderr ---
error: no run is recorded in this project
 |
 = help: every `cvops repro` that runs or restores a stage records one
[exit 2]
"#]],
    );
}

#[test]
fn looking_creates_nothing() {
    let empty = project();
    empty.write("pipeline.yaml", "stages: {}\n");
    empty.ok("runs list");
    assert!(!empty.exists(".cvops"));
}

#[test]
fn services_are_no_part_of_a_run() {
    let p = with_pipeline(
        "stages:\n  model: {cmd: cp seed.txt model.txt, deps: [seed.txt], outs: [model.txt]}\n  check: {cmd: grep -q 1 model.txt && cp model.txt ok.txt, deps: [model.txt], outs: [ok.txt]}\n  serve: {cmd: sleep 9, deps: [model.txt, ok.txt], service: {port: 5999, ready: /ready}}\n",
    );
    p.write("seed.txt", "1\n");
    p.ok("repro --name good");
    p.write("seed.txt", "2\n");
    assert_eq!(p.cvops("repro --name sad").exit, Exit::Code(1));
    let stages: Vec<_> = runs(&p)[0]["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(stages, ["model", "check"]);
    p.write("seed.txt", "1\n");
    let applied = p.ok("runs apply good");
    assert!(
        applied
            .stderr
            .contains("the workspace is as the run `good` left it"),
        "{}",
        applied.stderr
    );
}

#[test]
fn a_declared_direction_says_which_run_is_the_best() {
    let p = with_pipeline(
        "stages:\n  judge:\n    cmd: cp in.json m.json && cp in.json sub/n.json\n    deps: [in.json]\n    metrics:\n      - m.json: {cache: false, direction: min}\n      - sub/n.json: {cache: false}\n",
    );
    p.write("sub/here", "");
    for (name, cost) in [("low", 1), ("high", 2)] {
        p.write("in.json", format!("{{\"cost\": {cost}}}"));
        p.ok(&format!("repro --name {name}"));
    }
    let best = |args: &str| {
        let listed = p.ok(&format!("{args} --json")).json().remove(0);
        listed["runs"][0]["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(best("runs list --sort m.json:cost"), "low");
    assert_eq!(best("runs list --sort m.json:cost --reverse"), "high");
    assert_eq!(best("runs list --sort sub/n.json:cost"), "high");
    // A file is named from where the user stands.
    assert_eq!(best("-C sub runs list --sort n.json:cost"), "high");
    assert_eq!(best("-C sub runs list --sort ../m.json:cost"), "low");
    check(
        &p.cvops("runs list --sort cost"),
        str![[r#"
--- stderr ---
error: 2 metrics files have the key `cost`
 |
 = help: name its file as well: `m.json:cost`, `sub/n.json:cost`
[exit 2]
"#]],
    );
}

//! How stages are run: tried again, stopped in time, admitted, and what they printed shown again.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use snapbox::str;

use crate::support::server::free_port;
use crate::support::stages::{Beside, sample, wait_until, with_pipeline};
use crate::support::{Exit, check, project};

/// Fails as often as `~/tries` has lines less than `n`.
fn fails_until(n: u32, rest: &str) -> String {
    format!(
        "stages:\n  flaky:\n    cmd: echo x >> ~/tries; [ $(wc -l < ~/tries) -ge {n} ] && echo ok > out.txt\n    outs: [out.txt]\n{rest}"
    )
}

#[test]
fn a_stage_is_tried_again_where_it_says_so() {
    let p = with_pipeline(&fails_until(3, "    retry: {max: 2, on: [failed]}\n"));
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
flaky: running: it never ran
flaky $ echo x >> ~/tries; [ $(wc -l < ~/tries) -ge 3 ] && echo ok > out.txt
stage `flaky` failed: `echo x >> ~/tries; [ $(wc -l < ~/tries) -ge 3 ] && echo ok > out.txt` exited with code 1; attempt 2 of 3 begins
flaky $ echo x >> ~/tries; [ $(wc -l < ~/tries) -ge 3 ] && echo ok > out.txt
stage `flaky` failed: `echo x >> ~/tries; [ $(wc -l < ~/tries) -ge 3 ] && echo ok > out.txt` exited with code 1; attempt 3 of 3 begins
flaky $ echo x >> ~/tries; [ $(wc -l < ~/tries) -ge 3 ] && echo ok > out.txt
flaky: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.read("out.txt"), "ok\n");
    // How it is run is no input of its result.
    p.edit("pipeline.yaml", "max: 2", "max: 5");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
flaky: unchanged
everything is up to date (1 stage)
[exit 0]
"#]],
    );
}

#[test]
fn a_stage_that_goes_on_failing_fails() {
    let p = with_pipeline(&fails_until(9, "    retry: {max: 1, on: [failed]}\n"));
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
flaky: running: it never ran
flaky $ echo x >> ~/tries; [ $(wc -l < ~/tries) -ge 9 ] && echo ok > out.txt
stage `flaky` failed: `echo x >> ~/tries; [ $(wc -l < ~/tries) -ge 9 ] && echo ok > out.txt` exited with code 1; attempt 2 of 2 begins
flaky $ echo x >> ~/tries; [ $(wc -l < ~/tries) -ge 9 ] && echo ok > out.txt
error: stage `flaky` failed: `echo x >> ~/tries; [ $(wc -l < ~/tries) -ge 9 ] && echo ok > out.txt` exited with code 1
 |
 = note: it was tried 2 times (`retry`)
 = help: its output is above; mend the cause and run the same command again: finished stages are kept
1 stage: 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    // A command that says that it failed is only tried again if that is asked for.
    let p = with_pipeline(&fails_until(2, "    retry: 1\n"));
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
flaky: running: it never ran
flaky $ echo x >> ~/tries; [ $(wc -l < ~/tries) -ge 2 ] && echo ok > out.txt
error: stage `flaky` failed: `echo x >> ~/tries; [ $(wc -l < ~/tries) -ge 2 ] && echo ok > out.txt` exited with code 1
 |
 = help: its output is above; mend the cause and run the same command again: finished stages are kept
1 stage: 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
}

#[test]
fn a_stage_is_stopped_in_time_and_goes_on_from_its_scratch_folder() {
    let p = with_pipeline(
        "stages:\n  slow:\n    cmd: |\n      [ -e $CVOPS_SCRATCH/half ] && echo whole > out.txt && exit 0\n      touch $CVOPS_SCRATCH/half\n      sleep 60\n    outs: [out.txt]\n    timeout: 500ms\n",
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
slow: running: it never ran
slow $ [ -e $CVOPS_SCRATCH/half ] && echo whole > out.txt && exit 0
touch $CVOPS_SCRATCH/half
sleep 60
error: stage `slow` was stopped: it took longer than its `timeout` of [TIME]
 |
 = note: `[ -e $CVOPS_SCRATCH/half ] && echo whole > out.txt && exit 0
         touch $CVOPS_SCRATCH/half
         sleep 60` ran at that moment; its process group was ended
 = help: raise `timeout` of the stage, or let it be tried again with `retry: {max: 1}`; what it left in $CVOPS_SCRATCH is found by the next attempt
1 stage: 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    assert!(!p.exists("out.txt"));
    p.edit(
        "pipeline.yaml",
        "    timeout: 500ms\n",
        "    timeout: 5m\n    retry: 1\n",
    );
    p.ok("repro");
    assert_eq!(p.read("out.txt"), "whole\n");
}

#[test]
fn after_a_timeout_it_is_tried_again() {
    let p = with_pipeline(
        "stages:\n  slow:\n    cmd: '[ -e $CVOPS_SCRATCH/half ] && echo whole > out.txt && exit 0; touch $CVOPS_SCRATCH/half; sleep 60'\n    outs: [out.txt]\n    timeout: 0.5\n    retry: 1\n",
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
slow: running: it never ran
slow $ [ -e $CVOPS_SCRATCH/half ] && echo whole > out.txt && exit 0; touch $CVOPS_SCRATCH/half; sleep 60
stage `slow` was stopped: it took longer than its `timeout` of [TIME]; attempt 2 of 2 begins
slow $ [ -e $CVOPS_SCRATCH/half ] && echo whole > out.txt && exit 0; touch $CVOPS_SCRATCH/half; sleep 60
slow: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    let told = &p.ok("repro -f --json").events("retrying")[0];
    assert_eq!((&told["attempt"], &told["of"]), (&2.into(), &2.into()));
}

#[test]
fn a_stage_that_never_fits_is_refused_before_anything_runs() {
    let p = with_pipeline(
        "stages:\n  first: {cmd: 'echo first >> ~/runs; echo > a', outs: [a]}\n  huge:\n    cmd: cp a b\n    deps: [a]\n    outs: [b]\n    resources: {memory: 4096TiB}\n  wide:\n    cmd: echo > c\n    outs: [c]\n    resources: {cpus: 60000}\n",
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: stage `huge` can never start here: it asks for 4.0 PiB of memory and this machine has 23.5 GiB of memory
 --> pipeline.yaml:7:17
  |
7 |     resources: {memory: 4096TiB}
  |                 ^^^^^^
  |
  = help: lower it in `resources` of the stage, or run it on a larger machine
error: stage `wide` can never start here: it asks for 60000 CPUs and this machine has 2 CPUs
  --> pipeline.yaml:11:17
   |
11 |     resources: {cpus: 60000}
   |                 ^^^^
   |
   = help: lower `cpus` of its `resources`, or say with `-j` that this machine can do more
[exit 2]
"#]],
    );
    assert_eq!(p.ran(), "");
    // What is not needed does not matter.
    p.ok("repro first");
    // What is there already was made elsewhere.
    p.edit("pipeline.yaml", "4096TiB", "1MiB");
    p.ok("repro huge");
    p.edit("pipeline.yaml", "1MiB", "4096TiB");
    p.ok("repro huge");
}

#[test]
fn gpus_are_shared_out() {
    let stage = |i: u32| {
        format!(
            "  g{i}:\n    cmd: echo $CUDA_VISIBLE_DEVICES > g{i}; touch ~/at-{i}; while [ ! -e ~/go ] && [ -d ~ ]; do sleep 0.02; done\n    outs: [g{i}]\n    resources: {{gpus: 1}}\n"
        )
    };
    let all: String = (0..3).map(stage).collect();
    let p = with_pipeline(&format!("stages:\n{all}"));
    let mut command = p.command("repro -j 8");
    command
        .env("CUDA_VISIBLE_DEVICES", "4,7")
        .stderr(Stdio::null());
    let mut repro = Beside::start(&mut command);
    let at = |i: u32| p.home().join(format!("at-{i}")).exists();
    wait_until("two run", || at(0) && at(1));
    assert!(!at(2), "there are only two");
    fs::write(p.home().join("go"), "").unwrap();
    assert_eq!(repro.end(), Some(0));
    assert_eq!(
        (p.read("g0").as_str(), p.read("g1").as_str()),
        ("4\n", "7\n")
    );
    assert!(["4\n", "7\n"].contains(&p.read("g2").as_str()));
    let none = p.run(p.command("repro -f").env("CUDA_VISIBLE_DEVICES", ""));
    check(
        &none,
        str![[r#"
--- stderr ---
error: stage `g0` can never start here: it asks for 1 GPU and this machine has 0 GPUs
 --> pipeline.yaml:5:17
  |
5 |     resources: {gpus: 1}
  |                 ^^^^
  |
  = help: lower `gpus` of its `resources`, or run it where `nvidia-smi -L` lists so many (`CUDA_VISIBLE_DEVICES` narrows what is seen)
error: stage `g1` can never start here: it asks for 1 GPU and this machine has 0 GPUs
 --> pipeline.yaml:9:17
  |
9 |     resources: {gpus: 1}
  |                 ^^^^
  |
  = help: lower `gpus` of its `resources`, or run it where `nvidia-smi -L` lists so many (`CUDA_VISIBLE_DEVICES` narrows what is seen)
error: stage `g2` can never start here: it asks for 1 GPU and this machine has 0 GPUs
  --> pipeline.yaml:13:17
   |
13 |     resources: {gpus: 1}
   |                 ^^^^
   |
   = help: lower `gpus` of its `resources`, or run it where `nvidia-smi -L` lists so many (`CUDA_VISIBLE_DEVICES` narrows what is seen)
[exit 2]
"#]],
    );
}

#[test]
fn mistakes_in_how_a_stage_is_run_are_named() {
    let p = with_pipeline(
        "stages:\n  a:\n    cmd: x\n    retry: {max: 1, on: timeuot}\n    timeout: soon\n    resources: {cpus: 0, memory: lots}\n",
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: `timeuot` in `stages.a.retry.on` is none of `failed`, `timeout`, `preempted`, `node_fail`
 --> pipeline.yaml:4:25
  |
4 |     retry: {max: 1, on: timeuot}
  |                         ^^^^^^^
  |
  = help: did you mean `timeout`?
error: `stages.a.timeout` must be a number of seconds, or for example `500ms`, `30s`, `2h`, `1h 30m`
 --> pipeline.yaml:5:14
  |
5 |     timeout: soon
  |              ^^^^
  |
  = help: for example `timeout: 2h`
error: `stages.a.resources.cpus` must be a whole number from 1 to 65536
 --> pipeline.yaml:6:23
  |
6 |     resources: {cpus: 0, memory: lots}
  |                       ^ out of range
error: `stages.a.resources.memory` must be a number of bytes, or for example `512MiB`, `4GiB`, `16GB`
 --> pipeline.yaml:6:34
  |
6 |     resources: {cpus: 0, memory: lots}
  |                                  ^^^^
  |
  = help: for example `memory: 4GiB`
[exit 2]
"#]],
    );
}

#[test]
fn what_a_stage_printed_is_shown_again_when_it_is_restored() {
    let p = with_pipeline(
        "stages:\n  talk:\n    cmd: echo result; echo remark >&2; cp in.txt out.txt\n    deps: [in.txt]\n    outs: [out.txt]\n",
    );
    p.write("in.txt", "1\n");
    p.ok("repro");
    p.remove("out.txt");
    check(
        &p.cvops("repro"),
        str![[r#"
talk | result
--- stderr ---
talk: restoring an earlier result: output `out.txt` is missing
talk | remark
talk: restored in [TIME]
1 stage: 1 restored
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    p.remove("out.txt");
    check(&p.cvops("-q repro"), str!["[exit 0]"]);
    p.write("in.txt", "2\n");
    p.ok("repro");
    p.write("in.txt", "1\n");
    let told = &p.ok("repro --json").events("told")[0];
    assert_eq!(told["lines"][0]["stream"], "stdout");
    assert_eq!(told["lines"][0]["line"], "result");
    assert_eq!(told["lines"][1]["line"], "remark");
}

#[test]
fn results_of_another_version_are_named_and_not_made_again() {
    let p = with_pipeline("stages: {a: {cmd: 'echo a >> ~/runs; echo 1 > a', outs: [a]}}\n");
    p.ok("repro");
    p.ran();
    let told = p.path(".cvops/runs/told");
    let folder = fs::read_dir(told).unwrap().next().unwrap().unwrap().path();
    let file = fs::read_dir(folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let text = fs::read_to_string(&file).unwrap();
    let old = text.replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    assert_ne!(old, text);
    fs::write(&file, old).unwrap();
    p.remove("a");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
a: restoring an earlier result: output `a` is missing
a: restored in [TIME]
1 stage: 1 restored
1 restored result was made by another version of cvops (0.0.1); that is no reason to run anything again
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "");
    // What was kept is a companion: the result stands without it.
    fs::write(&file, "garbage").unwrap();
    p.remove("a").ok("repro");
    assert_eq!(p.ran(), "");
}

#[test]
fn the_critical_path_is_told() {
    let p = sample();
    let done = &p.ok("repro --json").events("done")[0];
    let path = &done["critical_path"];
    assert_eq!(
        path["stages"],
        serde_json::json!(["prepare", "top", "tally"])
    );
    assert!(path["seconds"].as_f64().unwrap() <= done["seconds"].as_f64().unwrap());
    p.write("params.yaml", "lines: 1\n");
    let output = p.run(p.command("repro -v").env("CVOPS_LOG", "off"));
    assert_eq!(output.stdout, "");
    let said = |start: &str| {
        let mut lines = output.stderr.lines();
        lines.any(|line| line.starts_with(start))
    };
    assert!(
        said("stage ") && said("top   ") && said("tally "),
        "{}",
        output.stderr
    );
    assert!(said("critical path: top > tally: "), "{}", output.stderr);
}

#[test]
fn a_watch_goes_on_through_changes_and_failures_until_it_is_stopped() {
    let p = sample();
    let log = p.home().join("log");
    let mut command = p.command("repro --watch");
    command.stderr(fs::File::create(&log).unwrap());
    let mut watch = Beside::start(&mut command);
    let said = |text: &str, times: usize| {
        wait_until(text, || {
            fs::read_to_string(&log).unwrap().matches(text).count() == times
        });
    };
    said("watching", 1);
    assert_eq!(p.read("tally.txt"), "2\n");
    p.write("params.yaml", "lines: 3\n");
    said("`params.yaml` changed", 1);
    said("watching", 2);
    assert_eq!(p.read("tally.txt"), "3\n");
    // Neither a failing stage nor a broken pipeline file ends it.
    p.edit("pipeline.yaml", "grep -c .", "false");
    said("watching", 3);
    said("error: stage `tally` failed", 1);
    p.edit("pipeline.yaml", "stages:\n", "stages: [\n");
    said("watching", 4);
    p.edit("pipeline.yaml", "stages: [\n", "stages:\n");
    said("watching", 5);
    p.edit("pipeline.yaml", "false", "grep -c .");
    said("watching", 6);
    // An output is no source.
    p.remove("tally.txt");
    p.write("data/words.txt", "fig\n");
    said("watching", 7);
    assert_eq!(p.read("tally.txt"), "1\n");
    watch.signal(Signal::INT);
    assert_eq!(watch.end(), Some(130));
}

#[test]
fn a_watch_sees_the_files_that_templates_come_from() {
    let p = project();
    p.write("names.yaml", "word: one\n").write(
        "pipeline.yaml",
        "vars: [names.yaml]\nstages: {say: {cmd: 'echo ${word} > said.txt', outs: [said.txt]}}\n",
    );
    let log = p.home().join("log");
    let mut command = p.command("repro --watch");
    command.stderr(fs::File::create(&log).unwrap());
    let mut watch = Beside::start(&mut command);
    let said = |text: &str, times: usize| {
        wait_until(text, || {
            fs::read_to_string(&log).unwrap().matches(text).count() == times
        });
    };
    said("watching", 1);
    p.write("names.yaml", "word: another\n");
    said("`names.yaml` changed", 1);
    said("watching", 2);
    assert_eq!(p.read("said.txt"), "another\n");
    watch.signal(Signal::INT);
    assert_eq!(watch.end(), Some(130));
}

#[test]
fn a_log_that_nobody_takes_is_no_crash() {
    let p = sample();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = p.command("repro -v");
    assert!(command.stderr(full).status().unwrap().success());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = p.command("repro -v -f");
    assert!(command.stderr(writer).status().unwrap().success());
}

#[test]
fn a_watched_service_starts_anew_when_what_it_reads_changed() {
    let port = free_port();
    let p = with_pipeline(&format!(
        "stages:\n  model: {{cmd: 'head -c 1 in.txt > model.txt', deps: [in.txt], outs: [model.txt]}}\n  serve:\n    cmd: echo $(cat model.txt) >> ~/starts; while [ -d ~ ]; do sleep 0.02; done\n    deps: [model.txt]\n    service: {{port: {port}, ready: /}}\n"
    ));
    p.write("in.txt", "1");
    let log = p.home().join("log");
    let mut command = p.command("repro --watch serve");
    command.stderr(fs::File::create(&log).unwrap());
    let mut watch = Beside::start(&mut command);
    let starts = || fs::read_to_string(p.home().join("starts")).unwrap_or_default();
    let watching = |times: usize| {
        wait_until("it watches", || {
            let said = fs::read_to_string(&log).unwrap();
            said.matches("watching").count() == times
        });
    };
    wait_until("the service starts", || starts() == "1\n");
    watching(1);
    // The same output is no reason to stop anything.
    p.write("in.txt", "1 and more");
    watching(2);
    assert_eq!(starts(), "1\n");
    p.write("in.txt", "2");
    wait_until("it starts anew", || starts() == "1\n2\n");
    watching(3);
    watch.signal(Signal::INT);
    assert_eq!(watch.end(), Some(130));
    assert_eq!(starts(), "1\n2\n");
}

#[test]
fn asked_before_each_stage_a_person_decides() {
    let p = sample();
    let answer = |text: &str| {
        let (out, mut to) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut to, text.as_bytes()).unwrap();
        drop(to);
        p.run(p.command("repro -i").stdin(out))
    };
    check(
        &answer("y\nn\n"),
        str![[r#"
--- stderr ---
run `prepare` (it never ran)? [y/N] prepare: running: it never ran
prepare $ echo prepare >> ~/runs; tr a-z A-Z < data/words.txt > upper.txt
prepare: done in [TIME]
run `top` (it never ran)? [y/N] 3 stages: 1 ran, 1 not started, 1 not wanted
recorded as `[RUN]`; `cvops runs show` shows it
[exit 1]
"#]],
    );
    assert_eq!(p.ran(), "prepare");
    assert_eq!(answer("").exit, Exit::Code(1));
    assert_eq!(answer("yes\ny\n").exit, Exit::Code(0));
    assert_eq!(p.ran(), "top tally");
}

#[test]
fn all_below_a_stage_that_ran_can_be_made_to_run() {
    let p = sample();
    p.ok("repro");
    p.ran();
    p.write("data/words.txt", "FIG\nkiwi\nlime\n");
    p.ok("repro --force-downstream");
    assert_eq!(p.ran(), "prepare top tally");
    p.ok("repro --force-downstream");
    assert_eq!(p.ran(), "");
}

#[test]
fn errors_can_be_ignored() {
    let p = with_pipeline(
        "stages:\n  bad: {cmd: 'echo 1 > a; false', outs: [a]}\n  after: {cmd: 'echo after >> ~/runs; cat a > b', deps: [a], outs: [b]}\n  side: {cmd: 'echo side >> ~/runs'}\n",
    );
    assert_eq!(p.cvops("repro -k").exit, Exit::Code(1));
    assert_eq!(p.ran(), "side");
    check(
        &p.cvops("repro --ignore-errors"),
        str![[r#"
--- stderr ---
bad: running: it never ran
bad: `a` was not in the cache; its content is kept there as [HASH]
bad $ echo 1 > a; false
error: stage `bad` failed: `echo 1 > a; false` exited with code 1
 |
 = help: its output is above; mend the cause and run the same command again: finished stages are kept
after: running: it never ran
after $ echo after >> ~/runs; cat a > b
after: done in [TIME]
side: unchanged
3 stages: 1 ran, 1 unchanged, 1 failed
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "after");
}

#[test]
fn outputs_can_stay_out_of_the_cache() {
    let p = with_pipeline("stages: {a: {cmd: 'echo a >> ~/runs; echo 1 > a', outs: [a]}}\n");
    p.ok("repro --no-commit");
    p.ran();
    assert!(!p.exists(".cvops/cache/blake3"));
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
a: unchanged
everything is up to date (1 stage)
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "");
    p.remove("a").ok("repro");
    assert_eq!(p.ran(), "a", "there is nothing to restore it from");
}

#[test]
fn data_that_is_elsewhere_can_be_taken_for_granted() {
    let p = sample();
    p.ok("repro");
    p.ran();
    p.remove("data/words.txt")
        .remove("upper.txt")
        .remove(".cvops/cache");
    assert_eq!(p.cvops("repro").exit, Exit::Code(2));
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
    check(
        &p.cvops("repro --allow-missing --dry"),
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
        &p.cvops("repro --allow-missing"),
        str![[r#"
--- stderr ---
prepare: unchanged
error: stage `top` needs `upper.txt`, which does not exist
 --> pipeline.yaml:8:12
  |
8 |     deps: [upper.txt]
  |            ^^^^^^^^^
  |
  = help: run `cvops repro prepare` first, which writes it
3 stages: 1 unchanged, 1 failed, 1 not started
[exit 1]
"#]],
    );
    assert_eq!(p.ran(), "");
    check(
        &p.cvops("repro --pull"),
        str![[r#"
--- stderr ---
error: there is no default remote to get missing data from
 |
 = help: drop `--pull`, or name a remote with `cvops remote add --default NAME URL`
[exit 2]
"#]],
    );
}

#[test]
fn in_a_dvc_repository_stages_run_as_they_do_there() {
    let p = project();
    // Each line has a shell of its own, and what declares nothing runs each time.
    p.write(".dvc/config", "").write(
        "dvc.yaml",
        "stages:\n  lines:\n    cmd: |\n      cd /\n      pwd > where.txt\n      echo $0 > shell.txt\n    outs: [where.txt, shell.txt]\n  list:\n    cmd: ['cd / && pwd > $DVC_ROOT/list.txt']\n    outs: [list.txt]\n  bare:\n    cmd: echo bare >> ~/runs\n",
    );
    let repro = |shell: &str| {
        let output = p.run(p.command("repro").env("SHELL", shell));
        assert_eq!(output.exit, Exit::Code(0), "{}", output.transcript());
        output
    };
    repro("/bin/bash");
    assert_eq!(p.read("where.txt").trim_end(), p.root().to_str().unwrap());
    assert_eq!(p.read("shell.txt"), "/bin/bash\n");
    assert_eq!(p.read("list.txt"), "/\n");
    p.ran();
    check(
        &repro("/bin/sh"),
        str![[r#"
--- stderr ---
lines: unchanged
list: unchanged
bare: running: it declares neither dependencies nor outputs
bare $ echo bare >> ~/runs
bare: done in [TIME]
3 stages: 1 ran, 2 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.ran(), "bare");
    assert!(p.read("dvc.lock").contains("schema: '2.0'"));
    // A project of our own has neither of the two.
    let p = with_pipeline("stages:\n  bare: {cmd: 'echo bare >> ~/runs'}\n");
    p.ok("repro");
    p.ok("repro");
    assert_eq!(p.ran(), "bare");
}

#[test]
fn dvc_is_waited_for_and_told_what_stages_touch() {
    let p = project();
    p.write(".dvc/config", "").write(
        "dvc.yaml",
        "stages:\n  slow:\n    cmd: touch ~/started; while [ ! -e ~/go ] && [ -d ~ ]; do sleep 0.02; done; cp in.txt out.txt\n    deps: [in.txt]\n    outs: [out.txt]\n",
    );
    p.write("in.txt", "1\n").write(".dvc/tmp/lock", "");
    let held = fs::File::open(p.path(".dvc/tmp/lock")).unwrap();
    held.lock().unwrap();
    let log = p.home().join("log");
    let mut command = p.command("repro");
    command.stderr(fs::File::create(&log).unwrap());
    let mut repro = Beside::start(&mut command);
    wait_until("it waits", || {
        fs::read_to_string(&log).unwrap().contains("waiting for")
    });
    drop(held);
    wait_until("it runs", || p.home().join("started").exists());
    // The lock of the repository is free while a stage runs; its paths are not.
    let free = fs::File::open(p.path(".dvc/tmp/lock")).unwrap();
    wait_until("the lock is free", || free.try_lock().is_ok());
    free.unlock().unwrap();
    let table = p.read(".dvc/tmp/rwlock");
    assert!(
        table.contains("out.txt") && table.contains("in.txt"),
        "{table}"
    );
    fs::write(p.home().join("go"), "").unwrap();
    assert_eq!(repro.end(), Some(0));
    assert!(!p.read(".dvc/tmp/rwlock").contains("out.txt"));
}

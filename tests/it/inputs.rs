//! What counts as the inputs of a result: changes while a stage runs, outputs that build on
//! themselves, params that a stage writes, numbers at the edge.

use snapbox::str;

use crate::support::check;
use crate::support::{Exit, project};

#[test]
fn a_result_whose_inputs_changed_meanwhile_is_not_recorded() {
    let p = project();
    p.write("d", "old\n").write(
        "pipeline.yaml",
        "stages: {a: {cmd: 'cat d > o; echo new > d', deps: [d], outs: [o]}}\n",
    );
    let first = p.ok("repro");
    assert!(
        first.stderr.contains("`d` changed while it ran"),
        "{}",
        first.stderr
    );
    // The dep is what it was when the stage was judged: without a record the stage runs again.
    p.write("d", "old\n");
    assert!(p.ok("repro").stderr.contains("a: running"));
    assert!(!p.exists("pipeline.lock") || !p.read("pipeline.lock").contains("cmd: cat d"));
}

#[test]
fn params_edited_while_a_stage_runs_do_not_poison_the_run_cache() {
    let p = project();
    p.write("params.yaml", "n: 1\n").write(
        "pipeline.yaml",
        "stages: {a: {cmd: 'echo \"n: 2\" > params.yaml; cat params.yaml > o', params: [n], outs: [o]}}\n",
    );
    assert!(p.ok("repro").stderr.contains("`n` changed while it ran"));
    p.write("params.yaml", "n: 1\n");
    assert!(!p.ok("repro").stderr.contains("restored"));
}

#[test]
fn outputs_that_would_take_the_ground_away_are_refused() {
    for (stage, path) in [
        ("{cmd: x, outs: [.git]}", ".git"),
        ("{cmd: x, outs: [.cvops/cache]}", ".cvops/cache"),
        ("{cmd: x, outs: [pipeline.yaml]}", "pipeline.yaml"),
        ("{cmd: x, outs: [pipeline.lock]}", "pipeline.lock"),
        ("{cmd: x, wdir: sub, outs: [../sub]}", "sub"),
    ] {
        let p = project();
        p.write("sub/file", "")
            .write("pipeline.yaml", format!("stages: {{a: {stage}}}\n"));
        let output = p.cvops("repro");
        assert_eq!(output.exit, Exit::Code(2), "{path}");
        let expected = format!("`{path}` cannot be an output");
        assert!(output.stderr.contains(&expected), "{}", output.stderr);
        assert!(p.exists("sub/file") && p.exists("pipeline.yaml"));
    }
    let p = project();
    p.write("params.yaml", "n: 1\n").write(
        "pipeline.yaml",
        "stages: {a: {cmd: x, params: [n], outs: [params.yaml]}}\n",
    );
    assert_eq!(p.cvops("repro").exit, Exit::Code(2));
    assert_eq!(p.read("params.yaml"), "n: 1\n");
}

#[test]
fn an_output_that_builds_on_itself_is_never_replaced_by_an_earlier_one() {
    let p = project();
    p.write("d", "1\n").write(
        "pipeline.yaml",
        "stages: {a: {cmd: cat d >> log, deps: [d], outs: [log: {persist: true}]}}\n",
    );
    for n in ["1", "2", "1"] {
        p.write("d", format!("{n}\n"));
        p.ok("repro");
    }
    assert_eq!(p.read("log"), "1\n2\n1\n");
}

#[test]
fn whole_numbers_keep_all_their_digits() {
    let p = project();
    p.write(
        "pipeline.yaml",
        "stages: {a: {cmd: cp params.yaml o, params: [seed], outs: [o]}}\n",
    );
    p.write("params.yaml", "seed: 18446744073709551001\n")
        .ok("repro");
    p.write("params.yaml", "seed: 18446744073709551002\n");
    assert_eq!(
        p.ok("why a").stdout,
        "a must run: parameter `seed` changed (18446744073709551001 -> 18446744073709551002)\n"
    );
}

#[test]
fn no_run_cache_means_running() {
    let p = project();
    p.write(
        "pipeline.yaml",
        "stages: {a: {cmd: echo 1 > o, outs: [o]}}\n",
    )
    .ok("repro");
    p.remove("o");
    assert!(
        p.ok("repro --no-run-cache")
            .stderr
            .contains("a: running: output `o` is missing")
    );
}

#[test]
fn params_that_a_stage_writes_make_an_edge() {
    let p = project();
    p.write("n", "1\n").write(
        "pipeline.yaml",
        "stages:\n  use: {cmd: cp gen.yaml o, params: [gen.yaml: [x]], outs: [o]}\n  gen: {cmd: 'echo \"x: $(cat n)\" > gen.yaml', deps: [n], outs: [gen.yaml]}\n",
    );
    assert!(p.ok("status").stdout.contains("use  depends"));
    p.ok("repro");
    p.write("n", "2\n").ok("repro");
    assert_eq!(p.read("o"), "x: 2\n");
    assert!(p.ok("repro").stderr.contains("everything is up to date"));
}

#[test]
fn a_frozen_stage_needs_nothing_but_its_outputs() {
    let p = project();
    p.write(
        "pipeline.yaml",
        "stages: {a: {cmd: x, deps: [gone], params: [n], outs: [o], frozen: true}}\n",
    );
    check(
        &p.cvops("status"),
        str![[r#"
a  frozen
--- stderr ---
warning: the output `o` of the frozen stage `a` does not exist
 --> pipeline.yaml:1:56
  |
1 | stages: {a: {cmd: x, deps: [gone], params: [n], outs: [o], frozen: true}}
  |                                                        ^
  |
  = help: `cvops checkout o` puts it in place from the cache, `cvops pull o` fetches it first; `cvops unfreeze a` lets the stage make it
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: the output `o` of the frozen stage `a` does not exist
 --> pipeline.yaml:1:56
  |
1 | stages: {a: {cmd: x, deps: [gone], params: [n], outs: [o], frozen: true}}
  |                                                        ^
  |
  = help: `cvops checkout o` puts it in place from the cache, `cvops pull o` fetches it first; `cvops unfreeze a` lets the stage make it
[exit 2]
"#]],
    );
    p.write("o", "1\n");
    p.ok("status");
    assert!(p.ok("repro").stderr.contains("a: frozen"));
}

//! `cvops why`: all reasons of one stage, in the contract's words and order.

use snapbox::str;

use crate::support::check;
use crate::support::stages::{sample, with_pipeline};

#[test]
fn one_reason_stands_in_the_line_several_below_it() {
    let p = sample();
    check(
        &p.cvops("why top"),
        str![[r#"
top must run: it never ran
[exit 0]
"#]],
    );
    p.ok("repro");
    check(
        &p.cvops("why top"),
        str![[r#"
top is unchanged
[exit 0]
"#]],
    );
    p.write("params.yaml", "lines: 1\n");
    check(
        &p.cvops("why top"),
        str![[r#"
top must run: parameter `lines` changed (2 -> 1)
[exit 0]
"#]],
    );
    check(
        &p.cvops("why tally"),
        str![[r#"
tally depends on what `top` will write
[exit 0]
"#]],
    );
    p.edit("pipeline.yaml", "head -n", "head --lines")
        .remove("top.txt");
    check(
        &p.cvops("why top.txt"),
        str![[r#"
top must run:
  command changed (`echo top >> ~/runs; head -n "$(sed 's/[^0-9]//g' params.yaml)" upper.txt > top.txt` -> `echo top >> ~/runs; head --lines "$(sed 's/[^0-9]//g' params.yaml)" upper.txt > top.txt`)
  parameter `lines` changed (2 -> 1)
  output `top.txt` is missing
[exit 0]
"#]],
    );
    check(
        &p.cvops("why top --json"),
        str![[r#"
{"depends_on":[],"reasons":[{"kind":"command_changed","new":["echo top >> ~/runs; head --lines \"$(sed 's/[^0-9]//g' params.yaml)\" upper.txt > top.txt"],"old":["echo top >> ~/runs; head -n \"$(sed 's/[^0-9]//g' params.yaml)\" upper.txt > top.txt"],"text":"command changed (`echo top >> ~/runs; head -n \"$(sed 's/[^0-9]//g' params.yaml)\" upper.txt > top.txt` -> `echo top >> ~/runs; head --lines \"$(sed 's/[^0-9]//g' params.yaml)\" upper.txt > top.txt`)"},{"kind":"parameter_changed","new":1,"old":2,"parameter":"lines","text":"parameter `lines` changed (2 -> 1)"},{"kind":"output_missing","path":"top.txt","text":"output `top.txt` is missing"}],"stage":"top","state":"must run"}
[exit 0]
"#]],
    );
    check(
        &p.cvops("why"),
        str![[r#"
--- stderr ---
error: the following required arguments were not provided:
  <STAGE>

Usage: cvops why <STAGE>

For more information, try '--help'.
[exit 2]
"#]],
    );
}

#[test]
fn parameters_are_compared_leaf_by_leaf() {
    let p = with_pipeline(
        "stages:\n  t:\n    cmd: echo > m\n    params: [train, cfg.toml: [a.b], all.json: ]\n    env: [SEED]\n    outs: [m]\n",
    );
    p.write(
        "params.yaml",
        "train: {lr: 0.1, opt: {name: adam}, sizes: [1, 2]}\nother: 1\n",
    );
    p.write("cfg.toml", "[a]\nb = \"x\"\nc = 1\n")
        .write("all.json", "{\"k\": null}");
    p.ok("repro");
    p.write(
        "params.yaml",
        "# a comment\nother: 2\ntrain: {sizes: [1, 3], opt: {name: sgd, beta: 0.9}}\n",
    );
    p.write("cfg.toml", "[a]\nc = 2\nb = \"y\"\n")
        .write("all.json", "{\"k\": true}");
    check(
        &p.run(p.command("why t").env("SEED", "7")),
        str![[r#"
t must run:
  parameter `all.json:k` changed (null -> true)
  parameter `cfg.toml:a.b` changed (x -> y)
  parameter `train.lr` changed (0.1 -> none)
  parameter `train.opt.name` changed (adam -> sgd)
  parameter `train.opt.beta` changed (none -> 0.9)
  parameter `train.sizes[1]` changed (2 -> 3)
  environment variable `SEED` changed (unset -> `7`)
[exit 0]
"#]],
    );
    check(
        &p.run(p.command("why t --json").env("SEED", "7")),
        str![[r#"
{"depends_on":[],"reasons":[{"kind":"parameter_changed","new":true,"old":null,"parameter":"all.json:k","text":"parameter `all.json:k` changed (null -> true)"},{"kind":"parameter_changed","new":"y","old":"x","parameter":"cfg.toml:a.b","text":"parameter `cfg.toml:a.b` changed (x -> y)"},{"kind":"parameter_changed","new":null,"old":0.1,"parameter":"train.lr","text":"parameter `train.lr` changed (0.1 -> none)"},{"kind":"parameter_changed","new":"sgd","old":"adam","parameter":"train.opt.name","text":"parameter `train.opt.name` changed (adam -> sgd)"},{"kind":"parameter_changed","new":0.9,"old":null,"parameter":"train.opt.beta","text":"parameter `train.opt.beta` changed (none -> 0.9)"},{"kind":"parameter_changed","new":3,"old":2,"parameter":"train.sizes[1]","text":"parameter `train.sizes[1]` changed (2 -> 3)"},{"kind":"environment_changed","new":"7","old":null,"text":"environment variable `SEED` changed (unset -> `7`)","variable":"SEED"}],"stage":"t","state":"must run"}
[exit 0]
"#]],
    );
}

#[test]
fn deps_and_outputs_that_came_and_went() {
    let p = with_pipeline("stages: {a: {cmd: touch x y, deps: [in, old], outs: [x, y]}}\n");
    p.write("in", "1\n").write("old", "").write("new", "");
    p.ok("repro");
    p.write(
        "pipeline.yaml",
        "stages: {a: {cmd: touch x y, deps: [in, new], outs: [x, z]}}\n",
    );
    p.write("in", "2\n").write("x", "by hand\n");
    check(
        &p.cvops("why a"),
        str![[r#"
a must run:
  dependency `in` changed ([HASH] -> [HASH])
  dependency `new` added
  dependency `old` dropped
  output `x` was modified ([HASH] -> [HASH])
  output `z` is newly declared
  output `y` is no longer declared
[exit 0]
"#]],
    );
}

#[test]
fn declared_exceptions() {
    let p = with_pipeline(
        "stages:\n  f: {cmd: x, frozen: true}\n  c: {cmd: echo > c, always_changed: true, outs: [c]}\n",
    );
    check(
        &p.cvops("why f"),
        str![[r#"
f is frozen and never runs
[exit 0]
"#]],
    );
    p.ok("repro c");
    check(
        &p.cvops("why c"),
        str![[r#"
c must run: always changed (so declared)
[exit 0]
"#]],
    );
}

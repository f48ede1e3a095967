//! `cvops params`: the parameters now and then, and `set`, which changes nothing but the value.

use snapbox::str;

use crate::support::stages::with_pipeline;
use crate::support::{Exit, Project, check};

const PARAMS: &str = "\
# All of it.
train:
  epochs: 12      # full passes
  layers: [16, 32]
  optimiser: 'adam'
  blocks:
    - {filters: 8}
    - {filters: 16}   # the second
data: {size: 35, crop: true}
";

fn tuned() -> Project {
    let p = with_pipeline(
        "stages:\n  train:\n    cmd: cat params.yaml > m\n    params: [train, data.size, other.toml: [a.b]]\n    outs: [m]\n",
    );
    p.write("params.yaml", PARAMS)
        .write("other.toml", "[a]\nb = 1 # one\n");
    p.ok("repro");
    p
}

#[test]
fn show_lists_every_key() {
    let p = tuned();
    check(
        &p.cvops("params show"),
        str![[r#"
path         param                       value
other.toml   a.b                             1
params.yaml  train.epochs                   12
params.yaml  train.layers             [16, 32]
params.yaml  train.optimiser              adam
params.yaml  train.blocks[0].filters         8
params.yaml  train.blocks[1].filters        16
params.yaml  data.size                      35
params.yaml  data.crop                    true
[exit 0]
"#]],
    );
    check(
        &p.cvops("params show --targets other.toml --json"),
        str![[r#"
{"":{"data":{"other.toml":{"data":{"a":{"b":1}}}}}}
[exit 0]
"#]],
    );
}

#[test]
fn diff_compares_leaf_by_leaf() {
    let p = tuned();
    p.git_init();
    p.ok("params set train.epochs=20 train.layers=[64] data.size=28 other.toml:a.b=2.5");
    p.edit("params.yaml", "{filters: 16}", "{filters: 32, kernel: 3}");
    check(
        &p.cvops("params diff"),
        str![[r#"
path         param                        HEAD  workspace
other.toml   a.b                             1        2.5
params.yaml  train.epochs                   12         20
params.yaml  train.layers             [16, 32]       [64]
params.yaml  train.blocks[1].filters        16         32
params.yaml  train.blocks[1].kernel          -          3
params.yaml  data.size                      35         28
[exit 0]
"#]],
    );
    check(
        &p.cvops("params diff --md --no-path --targets other.toml"),
        str![[r#"
| param | HEAD | workspace |
| ----- | ---: | --------: |
| a.b   |    1 |       2.5 |
[exit 0]
"#]],
    );
    check(
        &p.cvops("params diff --json"),
        str![[r#"
{"other.toml":{"a.b":{"diff":1.5,"new":2.5,"old":1}},"params.yaml":{"data.size":{"diff":-7,"new":28,"old":35},"train.blocks[1].filters":{"diff":16,"new":32,"old":16},"train.blocks[1].kernel":{"new":3,"old":null},"train.epochs":{"diff":8,"new":20,"old":12},"train.layers":{"new":[64],"old":[16,32]}}}
[exit 0]
"#]],
    );
    check(
        &p.cvops("params diff HEAD HEAD"),
        str![[r#"
--- stderr ---
no parameter changed
[exit 0]
"#]],
    );
    assert_eq!(p.cvops("params diff --exit-code").exit, Exit::Code(3));
    assert!(p.ok("params diff --all").stdout.contains("data.crop"));
}

#[test]
fn the_last_repro_knows_what_its_stages_read() {
    let p = tuned();
    p.ok("params set train.epochs=3 data.crop=false");
    // `data.crop` is read by no stage, so the lock does not know its old value.
    check(
        &p.cvops("params diff"),
        str![[r#"
path         param         lock  workspace
params.yaml  train.epochs    12          3
--- stderr ---
there is no git commit to compare with: `lock` is the last `cvops repro`
[exit 0]
"#]],
    );
    check(
        &p.cvops("params diff lock workspace --targets params.yaml --no-path"),
        str![[r#"
param         lock  workspace
train.epochs    12          3
[exit 0]
"#]],
    );
}

#[test]
fn a_run_knows_what_its_stages_read() {
    let p = tuned();
    p.ok("params set train.epochs=3 train.blocks[1].filters=1 data.crop=false");
    check(
        &p.cvops("params diff last workspace --json"),
        str![[r#"
{"params.yaml":{"train.blocks[1].filters":{"diff":-15,"new":1,"old":16},"train.epochs":{"diff":-9,"new":3,"old":12}}}
[exit 0]
"#]],
    );
}

#[test]
fn set_keeps_everything_else() {
    let p = tuned();
    check(
        &p.cvops(
            "params set train.epochs=100 train.optimiser=sgd train.layers=[16,32,64] train.blocks[1].filters=4 data.crop=false",
        ),
        str![[r#"
params.yaml: train.epochs = 100 (was 12)
params.yaml: train.optimiser = sgd (was adam)
params.yaml: train.layers = [16, 32, 64] (was [16, 32])
params.yaml: train.blocks[1].filters = 4 (was 16)
params.yaml: data.crop = false (was true)
[exit 0]
"#]],
    );
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .eq(
            p.read("params.yaml"),
            str![[r#"
# All of it.
train:
  epochs: 100     # full passes
  layers: [16, 32, 64]
  optimiser: 'sgd'
  blocks:
    - {filters: 8}
    - {filters: 4}   # the second
data: {size: 35, crop: false}

"#]],
        );
    check(
        &p.cvops("params set train.epochs=100 --json"),
        str![[r#"
{"params.yaml":{"train.epochs":{"new":100,"old":100}}}
[exit 0]
"#]],
    );
    check(
        &p.cvops("params set --add train.note='first: try' new.deep.key=[a,b] new.text='a # b' new.date=2026-11-27 new.empty= new.quoted='\"1\"'"),
        str![[r#"
params.yaml: train.note = first: try (new)
params.yaml: new.deep.key = ["a", "b"] (new)
params.yaml: new.text = a # b (new)
params.yaml: new.date = 2026-11-27 (new)
params.yaml: new.empty = null (new)
params.yaml: new.quoted = 1 (new)
[exit 0]
"#]],
    );
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .eq(
            p.read("params.yaml"),
            str![[r#"
# All of it.
train:
  epochs: 100     # full passes
  layers: [16, 32, 64]
  optimiser: 'sgd'
  blocks:
    - {filters: 8}
    - {filters: 4}   # the second
  note: 'first: try'
data: {size: 35, crop: false}
new:
  deep:
    key: [a, b]
  text: 'a # b'
  date: 2026-11-27
  empty: null
  quoted: '1'

"#]],
        );
    check(
        &p.cvops("params set other.toml:a.b=2"),
        str![[r#"
other.toml: a.b = 2 (was 1)
[exit 0]
"#]],
    );
    assert_eq!(p.read("other.toml"), "[a]\nb = 2 # one\n");
}

#[test]
fn set_refuses_what_it_cannot_do_and_writes_nothing() {
    let p = tuned();
    check(
        &p.cvops("params set data.size=1 trian.epochs=3"),
        str![[r#"
--- stderr ---
error: `params.yaml` has no key `trian.epochs`
 |
 = help: did you mean `train.epochs`? (`--add` creates a new key)
[exit 2]
"#]],
    );
    check(
        &p.cvops("params set train.epochs"),
        str![[r#"
--- stderr ---
error: `train.epochs` sets nothing
 |
 = help: write KEY=VALUE, for example train.epochs=20
[exit 2]
"#]],
    );
    check(
        &p.cvops("params set train..epochs=3"),
        str![[r#"
--- stderr ---
error: `train..epochs` is not a key: expected names joined by dots, like `train.learning_rate` or `a.b[0]`
 |
 = help: write KEY=VALUE, for example train.epochs=20
[exit 2]
"#]],
    );
    check(
        &p.cvops("params set train.epochs=[1"),
        str![[r#"
--- stderr ---
error: the value of `train.epochs` is no YAML: `[1`
 |
 = help: close the bracket or quote, or put the whole value in quotes inside quotes: '"[a"'
[exit 2]
"#]],
    );
    check(
        &p.cvops("params set --file nowhere.yaml a=1"),
        str![[r#"
--- stderr ---
error: there is no params file `nowhere.yaml`
 |
 = help: `--add` creates it; `--file` names another
[exit 2]
"#]],
    );
    check(
        &p.cvops("params set --add train.epochs.deeper=1"),
        str![[r#"
--- stderr ---
error: `train.epochs.deeper` of `params.yaml` cannot be changed: a whole number holds no key `deeper`
 |
 = help: change `params.yaml` by hand; nothing was written
[exit 2]
"#]],
    );
    check(
        &p.cvops("params set --add other.toml:a.c=1"),
        str![[r#"
--- stderr ---
error: `a.c` of `other.toml` cannot be changed: a new key of a TOML file has to be written by hand
 |
 = help: change `other.toml` by hand; nothing was written
[exit 2]
"#]],
    );
    check(
        &p.cvops("params set --add ../outside.yaml:a=1"),
        str![[r#"
--- stderr ---
error: `../outside.yaml` lies outside the project
[exit 2]
"#]],
    );
    assert_eq!(p.read("params.yaml"), PARAMS);
}

#[test]
fn set_refuses_files_that_it_cannot_edit() {
    let p = tuned();
    p.write("params.yaml", "base: &b {x: 1}\ncopy: *b\n");
    check(
        &p.cvops("params set base.x=2"),
        str![[r#"
--- stderr ---
error: `base.x` of `params.yaml` cannot be changed: `copy.x` would change with it (an anchor, or an unusual layout)
 |
 = help: change `params.yaml` by hand; nothing was written
[exit 2]
"#]],
    );
    p.write("params.yaml", "a: [1\n");
    check(
        &p.cvops("params set a=2"),
        str![[r#"
--- stderr ---
error: `params.yaml` cannot be parsed
 --> params.yaml:1:6
  |
1 | a: [1
  |      ^ did not find expected ',' or ']' at line 2 column 1, while parsing a flow sequence
[exit 2]
"#]],
    );
    p.remove("params.yaml");
    check(
        &p.cvops("params set a=2"),
        str![[r#"
--- stderr ---
error: there is no params file `params.yaml`
 |
 = help: `--add` creates it; `--file` names another
[exit 2]
"#]],
    );
    check(
        &p.cvops("params set --add a.b=2"),
        str![[r#"
params.yaml: a.b = 2 (new)
[exit 0]
"#]],
    );
    assert_eq!(p.read("params.yaml"), "a:\n  b: 2\n");
}

#[test]
fn a_changed_parameter_is_what_repro_sees() {
    let p = tuned();
    p.ok("params set train.epochs=13");
    check(
        &p.cvops("why train"),
        str![[r#"
train must run: parameter `train.epochs` changed (12 -> 13)
[exit 0]
"#]],
    );
    p.ok("params set train.epochs=12");
    check(
        &p.cvops("why train"),
        str![[r#"
train is unchanged
[exit 0]
"#]],
    );
}

#[test]
fn set_keeps_the_type_or_says_what_is_in_the_way() {
    let p = tuned();
    p.write("c.json", "{\"a\": 3}\n")
        .write("d.toml", "day = 2026-01-01\nk = 1\n")
        .write("train.py", "a = 1\n");
    check(
        &p.cvops("params set c.json:a='\"3\"'"),
        str![[r#"
c.json: a = "3" (was 3)
[exit 0]
"#]],
    );
    check(
        &p.cvops("params set c.json:a=.nan"),
        str![[r#"
--- stderr ---
error: `a` of `c.json` cannot be changed: JSON has no word for what is no finite number (`.nan`, `.inf`)
 |
 = help: change `c.json` by hand; nothing was written
[exit 2]
"#]],
    );
    check(
        &p.cvops("params set d.toml:k=null"),
        str![[r#"
--- stderr ---
error: `k` of `d.toml` cannot be changed: TOML has no word for nothing (`null`)
 |
 = help: change `d.toml` by hand; nothing was written
[exit 2]
"#]],
    );
    check(
        &p.cvops("params set d.toml:day=soon"),
        str![[r#"
--- stderr ---
error: `day` of `d.toml` cannot be changed: it is a date, and `soon` is none
 |
 = help: change `d.toml` by hand; nothing was written
[exit 2]
"#]],
    );
    check(
        &p.cvops("params set train.py:a=2"),
        str![[r#"
--- stderr ---
error: `a` of `train.py` cannot be changed: it is in a Python program
 |
 = help: change `train.py` by hand; nothing was written
[exit 2]
"#]],
    );
    check(
        &p.cvops("params set data.size=18446744073709551616"),
        str![[r#"
--- stderr ---
error: the value of `data.size` is beyond 64 bits: `18446744073709551616`
 |
 = help: such a number could only be kept inexactly; for a text, put quotes inside quotes: '"…"'
[exit 2]
"#]],
    );
    p.ok("params set d.toml:day=2027-02-03");
    assert_eq!(p.read("d.toml"), "day = 2027-02-03\nk = 1\n");
    p.ok("params set data.crop=yes data.size=12:30");
    let text = p.read("params.yaml");
    assert!(
        text.contains("data: {size: \"12:30\", crop: 'yes'}"),
        "{text}"
    );
}

#[test]
fn keys_with_dots_and_files_from_where_one_stands() {
    let p = tuned();
    p.write("sub/more.yaml", "a.b: 1\nc: {d.e: [1, 2]}\n");
    p.ok("-C sub params set more.yaml:a.b=2 more.yaml:c.d.e[1]=3 ../other.toml:a.b=4");
    assert_eq!(p.read("sub/more.yaml"), "a.b: 2\nc: {d.e: [1, 3]}\n");
    assert_eq!(p.read("other.toml"), "[a]\nb = 4 # one\n");
}

#[test]
fn set_keeps_a_link_and_changes_what_it_points_to() {
    let p = tuned();
    p.write("conf/real.yaml", "x: 1 # one\n");
    std::os::unix::fs::symlink("conf/real.yaml", p.path("linked.yaml")).unwrap();
    p.ok("params set --file linked.yaml x=2");
    assert!(p.path("linked.yaml").is_symlink());
    assert_eq!(p.read("conf/real.yaml"), "x: 2 # one\n");
}

#[test]
fn literals_of_a_python_file_are_params() {
    let p = with_pipeline(
        "stages:\n  a: {cmd: echo 1 > o, params: [config.py: [LR, Net.width, Net.depth]], outs: [o]}\n",
    );
    p.write(
        "config.py",
        "import os\nLR = 1e-3\nHOME = os.name\nclass Net:\n    width = (8, 16)\n    def __init__(self):\n        self.depth = 2\n",
    );
    p.ok("repro");
    p.write(
        "config.py",
        "LR = 0.001\nclass Net:\n    width = (8, 32)\n    def __init__(self):\n        self.depth = 2\n",
    );
    check(
        &p.cvops("status"),
        str![[r#"
a  must run    parameter `config.py:Net.width[1]` changed (16 -> 32)
[exit 0]
"#]],
    );
    p.write("config.py", "LR = [\n");
    check(
        &p.cvops("status"),
        str![[r#"
--- stderr ---
error: `config.py` cannot be parsed
 --> config.py:1:6
  |
1 | LR = [
  |      ^ this bracket is never closed
[exit 2]
"#]],
    );
}

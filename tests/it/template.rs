//! Templates and patterns in pipeline files: what runs, and what is said about mistakes.

use snapbox::str;

use crate::support::{Project, check, project};

/// A pipeline that trains two models and compares each with two seeds.
fn models() -> Project {
    let p = project();
    p.write(
        "params.yaml",
        "models: [small, large]\nopt: {lr: 0.1, augment: true}\n",
    );
    p.write("data.txt", "pictures\n");
    p.write(
        "pipeline.yaml",
        "vars:
  - out: {folder: out}
stages:
  train:
    foreach: ${models}
    do:
      cmd: mkdir -p ${out.folder} && echo ${item} ${opt} > ${out.folder}/${item}.txt
      deps: [data.txt]
      outs: ['${out.folder}/${item}.txt']
  score:
    matrix:
      model: ${models}
      seed: [1, 2]
    cmd: cat out/${item.model}.txt > ${key}.txt
    deps: ['out/${item.model}.txt']
    outs: ['${key}.txt']
",
    );
    p
}

#[test]
fn groups_run_and_are_targets() {
    let p = models();
    check(
        &p.cvops("repro train"),
        str![[r#"
--- stderr ---
train@small: running: it never ran
train@small $ mkdir -p out && echo small --lr 0.1 --augment > out/small.txt
train@small: done in [TIME]
train@large: running: it never ran
train@large $ mkdir -p out && echo large --lr 0.1 --augment > out/large.txt
train@large: done in [TIME]
2 stages: 2 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    check(
        &p.cvops("status"),
        str![[r#"
train@small    unchanged
train@large    unchanged
score@small-1  must run    it never ran
score@small-2  must run    it never ran
score@large-1  must run    it never ran
score@large-2  must run    it never ran
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro score@large-2"),
        str![[r#"
--- stderr ---
train@large: unchanged
score@large-2: running: it never ran
score@large-2 $ cat out/large.txt > large-2.txt
score@large-2: done in [TIME]
2 stages: 1 ran, 1 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.read("large-2.txt"), "large --lr 0.1 --augment\n");
    p.write("params.yaml", "models: [small]\nopt: {lr: 0.2}\n");
    check(
        &p.cvops("status"),
        str![[r#"
train@small    must run    command changed (`mkdir -p out && echo small --lr 0.1 --augment > out/small.txt` -> `mkdir -p out && echo small --lr 0.2 > out/small.txt`)
score@small-1  must run    it never ran
score@small-2  must run    it never ran
[exit 0]
"#]],
    );
    check(
        &p.cvops("why score@large-2"),
        str![[r#"
--- stderr ---
error: `score@large-2` is neither a stage nor an output of one
 |
 = help: `cvops dag` shows all stages
[exit 2]
"#]],
    );
}

#[test]
fn mistakes_are_told_at_once_with_their_places() {
    let p = models();
    p.write("params.yaml", "models: [small, large]\nout: 3\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: `out` is defined twice
 --> pipeline.yaml:2:5
  |
2 |   - out: {folder: out}
  |     ^^^ a second time, in `vars[0]`
  |
 ::: params.yaml:2:1
  |
2 | out: 3
  | ^^^ a first time, in `params.yaml`
  |
  = help: variables add to one another and never override: rename one of the two
[exit 2]
"#]],
    );
    p.write("params.yaml", "modles: [small, large]\nopt: [1]\n");
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
error: `models` is not defined
 --> pipeline.yaml:5:14
  |
5 |     foreach: ${models}
  |              ^^^^^^^^^
  |
  = help: did you mean `modles`?
error: `models` is not defined
  --> pipeline.yaml:12:14
   |
12 |       model: ${models}
   |              ^^^^^^^^^
   |
   = help: did you mean `modles`?
[exit 2]
"#]],
    );
    p.write("params.yaml", "models: {a: [}\n");
    check(
        &p.cvops("status"),
        str![[r#"
--- stderr ---
error: `params.yaml` cannot be parsed
 --> params.yaml:1:14
  |
1 | models: {a: [}
  |              ^ did not find expected node content
[exit 2]
"#]],
    );
}

#[test]
fn lines_of_a_command_share_a_shell_here_and_not_in_dvc_files() {
    let text =
        "stages:\n  s:\n    cmd: |\n      cd sub\n      echo here > here.txt\n    outs: [NAME]\n";
    let p = project();
    p.write("sub/keep", "");
    p.write("pipeline.yaml", text.replace("NAME", "sub/here.txt"));
    p.ok("repro");
    assert_eq!(p.read("sub/here.txt"), "here\n");
    let p = project();
    p.write("sub/keep", "");
    p.write(".dvc/config", "");
    p.write("dvc.yaml", text.replace("NAME", "here.txt"));
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
s: running: it never ran
s $ cd sub
s $ echo here > here.txt
s: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert_eq!(p.read("here.txt"), "here\n");
}

#[test]
fn a_pattern_stands_for_the_files_that_it_matches() {
    let p = project();
    p.write("data/a.csv", "a\n").write("data/b.csv", "b\n");
    p.write("data/notes.md", "n\n");
    p.write(
        "pipeline.yaml",
        "stages:
  more: {cmd: echo c > data/c.csv, outs: [data/c.csv]}
  all: {cmd: 'cat data/*.csv > all.txt', deps: ['data/*.csv'], outs: [all.txt]}
",
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
more: running: it never ran
more $ echo c > data/c.csv
more: done in [TIME]
all: running: it never ran
all $ cat data/*.csv > all.txt
all: done in [TIME]
2 stages: 2 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    check(
        &p.cvops("status"),
        str![[r#"
more  unchanged
all   unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
    p.write("data/notes.md", "changed\n");
    p.write("data/d.csv", "d\n").remove("data/a.csv");
    check(
        &p.cvops("status"),
        str![[r#"
more  unchanged
all   must run    dependency `data/d.csv` added (and 1 more)
[exit 0]
"#]],
    );
    p.ok("repro");
    assert_eq!(p.read("all.txt"), "b\nc\nd\n");
    p.write(
        "pipeline.yaml",
        "stages:\n  a: {cmd: x, deps: ['data/*.tsv', 'nope/*', 'x[']}\n",
    );
    check(
        &p.cvops("status"),
        str![[r#"
--- stderr ---
error: `data/*.tsv` matches no file
 --> pipeline.yaml:2:22
  |
2 |   a: {cmd: x, deps: ['data/*.tsv', 'nope/*', 'x[']}
  |                      ^^^^^^^^^^^^
  |
  = help: `*` stays inside one folder, `**` goes through all below; ignored files are left out
error: `nope/*` matches no file
 --> pipeline.yaml:2:36
  |
2 |   a: {cmd: x, deps: ['data/*.tsv', 'nope/*', 'x[']}
  |                                    ^^^^^^^^
  |
  = help: there is no folder `nope`
error: `x[` is no pattern: unclosed character class; missing ']'
 --> pipeline.yaml:2:46
  |
2 |   a: {cmd: x, deps: ['data/*.tsv', 'nope/*', 'x[']}
  |                                              ^^^^
[exit 2]
"#]],
    );
}

#[test]
fn what_lies_elsewhere_is_refused() {
    let p = project();
    p.write(
        "pipeline.yaml",
        "stages:
  a:
    cmd: x
    deps: ['s3://bucket/key', 'ds://mnist']
    params: [{p.yaml: []}]
artifacts:
  model: {path: m.bin, tpye: model}
  other: {type: model}
datasets:
  - {name: mnist, type: dvc, url: x}
  - mnist
",
    );
    check(
        &p.cvops("status"),
        str![[r#"
--- stderr ---
error: `s3://bucket/key` lies outside the project, which is not supported by this version of cvops
 --> pipeline.yaml:4:12
  |
4 |     deps: ['s3://bucket/key', 'ds://mnist']
  |            ^^^^^^^^^^^^^^^^^
  |
  = help: fetch it into the project, for example in a stage of its own, and name it by its path
error: `ds://mnist` names a dataset, which this version of cvops does not resolve
 --> pipeline.yaml:4:31
  |
4 |     deps: ['s3://bucket/key', 'ds://mnist']
  |                               ^^^^^^^^^^^^
  |
  = help: fetch the data into the project and name it by its path
error: unknown key `tpye` in `artifacts.model`
 --> pipeline.yaml:7:24
  |
7 |   model: {path: m.bin, tpye: model}
  |                        ^^^^ not a known key
  |
  = help: did you mean `type`?
error: `artifacts.other` has no `path`
 --> pipeline.yaml:8:3
  |
8 |   other: {type: model}
  |   ^^^^^
  |
  = help: add the file or folder that the name stands for
error: `datasets[1]` must be a mapping with `name` and `type`
  --> pipeline.yaml:11:5
   |
11 |   - mnist
   |     ^^^^^ this is a text
[exit 2]
"#]],
    );
    p.write(
        "pipeline.yaml",
        "stages: {a: {cmd: echo x}}\nartifacts: {Model_1: {path: m.bin}}\n",
    );
    check(
        &p.cvops("status"),
        str![[r#"
a  must run    it never ran
--- stderr ---
warning: the artifact `Model_1` has a name that cannot be registered
 |
 = help: use lower-case letters, digits, `-` and `/`, beginning with a letter and ending with a letter or digit
[exit 0]
"#]],
    );
}

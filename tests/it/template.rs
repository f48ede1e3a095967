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
    check(&p.cvops("repro train"), str![]);
    check(&p.cvops("status"), str![]);
    check(&p.cvops("repro score@large-2"), str![]);
    assert_eq!(p.read("large-2.txt"), "large --lr 0.1 --augment\n");
    p.write("params.yaml", "models: [small]\nopt: {lr: 0.2}\n");
    check(&p.cvops("status"), str![]);
    check(&p.cvops("why score@large-2"), str![]);
}

#[test]
fn mistakes_are_told_at_once_with_their_places() {
    let p = models();
    p.write("params.yaml", "models: [small, large]\nout: 3\n");
    check(&p.cvops("repro"), str![]);
    p.write("params.yaml", "modles: [small, large]\nopt: [1]\n");
    check(&p.cvops("repro"), str![]);
    p.write("params.yaml", "models: {a: [}\n");
    check(&p.cvops("status"), str![]);
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
    check(&p.cvops("repro"), str![]);
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
    check(&p.cvops("repro"), str![]);
    check(&p.cvops("status"), str![]);
    p.write("data/notes.md", "changed\n");
    p.write("data/d.csv", "d\n").remove("data/a.csv");
    check(&p.cvops("status"), str![]);
    p.ok("repro");
    assert_eq!(p.read("all.txt"), "b\nc\nd\n");
    p.write(
        "pipeline.yaml",
        "stages:\n  a: {cmd: x, deps: ['data/*.tsv', 'nope/*', 'x[']}\n",
    );
    check(&p.cvops("status"), str![]);
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
    check(&p.cvops("status"), str![]);
    p.write(
        "pipeline.yaml",
        "stages: {a: {cmd: echo x}}\nartifacts: {Model_1: {path: m.bin}}\n",
    );
    check(&p.cvops("status"), str![]);
}

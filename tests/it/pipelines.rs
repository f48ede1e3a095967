//! Several pipeline files and pointers in one repository: every `dvc.yaml` counts, names are
//! addresses, words are relative to the folder of the user, and what is broken elsewhere stays there.

use snapbox::str;

use crate::support::{Project, check, project};

/// `prep` at the top; `train` and `eval` in `sub`, of which `eval` runs at the top; tracked data.
fn repository() -> Project {
    let p = project();
    p.write(".dvc/config", "");
    p.write("data/raw/a.txt", "1\n")
        .write("data/raw/b.txt", "2\n");
    p.write("data/raw.dvc", RAW);
    p.write(
        "dvc.yaml",
        "stages:\n  prep:\n    cmd: cat data/raw/*.txt > prep.txt\n    deps: [data/raw]\n    outs: [prep.txt]\n",
    );
    p.write(
        "sub/dvc.yaml",
        "stages:
  train:
    cmd: tr 1 9 < ../prep.txt > model.txt
    deps: [../prep.txt]
    params: [lr]
    outs: [model.txt]
  eval:
    cmd: wc -l < sub/model.txt > m.json
    wdir: ..
    deps: [sub/model.txt]
    metrics: [m.json: {cache: false}]
",
    );
    p.write("sub/params.yaml", "lr: 1\n");
    p
}

/// As DVC writes it for `data/raw` of `repository`.
const RAW: &str = "\
outs:
- md5: d7105d8d436deea49663fc5326c856eb.dir
  size: 4
  nfiles: 2
  hash: md5
  path: raw
";

#[test]
fn stages_of_all_files_run_where_their_file_stands() {
    let p = repository();
    check(&p.cvops("repro sub/dvc.yaml"), str![]);
    check(&p.cvops("status"), str![]);
    assert_eq!(p.read("sub/model.txt"), "9\n2\n");
    assert_eq!(p.read("m.json").trim(), "2");
    assert!(p.exists("dvc.lock") && p.exists("sub/dvc.lock"));
    let top = p.read("dvc.lock");
    p.write("sub/params.yaml", "lr: 2\n");
    p.ok("repro sub/dvc.yaml:eval");
    assert_eq!(p.read("dvc.lock"), top);
    check(&p.cvops("-C sub why train"), str![]);
}

#[test]
fn a_bare_repro_is_about_the_file_of_the_folder() {
    let p = repository();
    check(&p.cvops("repro"), str![]);
    assert!(!p.exists("sub/model.txt"));
    check(&p.cvops("-C sub repro"), str![]);
}

#[test]
fn changed_data_is_named_and_recorded_anew() {
    let p = repository();
    p.ok("repro sub/dvc.yaml");
    p.write("data/raw/b.txt", "3\n");
    check(&p.cvops("status"), str![]);
    check(&p.cvops("why data/raw.dvc"), str![]);
    check(&p.cvops("status --json data/raw.dvc"), str![]);
    check(&p.cvops("status -q"), str![]);
    check(&p.cvops("repro"), str![]);
    check(&p.cvops("status data/raw.dvc"), str![]);
    assert_ne!(p.read("data/raw.dvc"), RAW);
    p.remove("data/raw");
    check(&p.cvops("status prep"), str![]);
    check(&p.cvops("repro -f prep"), str![]);
}

#[test]
fn scripts_read_what_dvc_status_prints() {
    let p = repository();
    check(&p.cvops("status --dvc"), str![]);
    p.ok("repro sub/dvc.yaml");
    check(&p.cvops("status --dvc"), str![]);
    p.write("sub/params.yaml", "lr: 2\n")
        .write("data/raw/c.txt", "4\n")
        .write("m.json", "7\n");
    p.remove("prep.txt");
    p.edit("dvc.yaml", "cat data", "cat  data");
    check(&p.cvops("status --dvc"), str![]);
}

#[test]
fn a_broken_file_elsewhere_breaks_only_what_needs_it() {
    let p = repository();
    p.ok("repro");
    p.edit(
        "sub/dvc.yaml",
        "    deps: [../prep.txt]\n",
        "    dpes: [../prep.txt]\n    oust: [a]\n",
    );
    check(&p.cvops("status prep"), str![]);
    check(&p.cvops("repro prep"), str![]);
    check(&p.cvops("status"), str![]);
    check(&p.cvops("-C sub status train"), str![]);
    p.write("other/dvc.yaml", "stages: [\n");
    check(&p.cvops("stage list"), str![]);
}

#[test]
fn what_cannot_be_a_graph_is_refused_with_both_places() {
    let p = repository();
    p.write(
        "sub/dvc.yaml",
        "stages:\n  a: {cmd: x, deps: [../prep.txt], outs: [../data/raw/a.txt]}\n  b: {cmd: x, outs: [../prep.txt]}\n",
    );
    check(&p.cvops("status"), str![]);
    p.write(
        "sub/dvc.yaml",
        "stages:\n  a: {cmd: x, deps: [../prep.txt], outs: [a]}\n",
    );
    p.edit("dvc.yaml", "deps: [data/raw]", "deps: [data/raw, sub/a]");
    check(&p.cvops("status"), str![]);
}

#[test]
fn targets_are_words_of_many_kinds() {
    let p = repository();
    let names = |targets: &str| {
        let stages = p.ok(&format!("status --json {targets}")).json()[0]["stages"].clone();
        let stages = stages.as_array().unwrap().clone();
        let names = stages.iter().map(|stage| stage["stage"].as_str().unwrap());
        names.collect::<Vec<_>>().join(" ")
    };
    let all = "prep sub/dvc.yaml:train sub/dvc.yaml:eval";
    assert_eq!(names("prep"), "prep");
    assert_eq!(names(":prep"), "prep");
    assert_eq!(names("dvc.yaml"), "prep");
    assert_eq!(names("sub/model.txt"), "prep sub/dvc.yaml:train");
    assert_eq!(names("-R sub"), all);
    assert_eq!(names("-R ."), all);
    assert_eq!(names("data/raw.dvc"), "");
    assert_eq!(names("data/raw/a.txt"), "");
    check(&p.cvops("status tarin"), str![]);
    check(&p.cvops("-C sub status tarin"), str![]);
    check(&p.cvops("status data/row.dvc"), str![]);
}

#[test]
fn the_drawing_shows_files_pointers_and_outputs() {
    let p = repository();
    check(&p.cvops("dag"), str![]);
    check(&p.cvops("dag --outs --json"), str![]);
    check(&p.cvops("dag --json prep"), str![]);
    check(&p.cvops("dag --full --mermaid prep"), str![]);
}

#[test]
fn other_projects_below_are_not_read() {
    let p = repository();
    p.write("theirs/.dvc/config", "")
        .write("theirs/dvc.yaml", "stages: {x: {cmd: x}}\n")
        .write("ours/pipeline.yaml", "stages: {y: {cmd: y}}\n")
        .write(".dvcignore", "/ignored\n")
        .write("ignored/dvc.yaml", "nonsense\n");
    check(&p.cvops("stage list --all --names-only"), str![]);
    check(&p.cvops("-C ours stage list"), str![]);
}

#[test]
fn freezing_edits_the_file_of_the_stage() {
    let p = repository();
    check(&p.cvops("freeze sub/dvc.yaml:eval data/raw.dvc"), str![]);
    check(&p.cvops("status"), str![]);
    assert!(p.read("sub/dvc.yaml").ends_with("    frozen: true\n"));
    p.ok("-C sub unfreeze eval ../data/raw.dvc");
    assert!(!p.read("sub/dvc.yaml").contains("frozen"));
    assert_eq!(p.read("data/raw.dvc"), RAW);
}

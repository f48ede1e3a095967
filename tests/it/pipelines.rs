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
    check(
        &p.cvops("repro sub/dvc.yaml"),
        str![[r#"
--- stderr ---
prep: running: it never ran
prep $ cat data/raw/*.txt > prep.txt
prep: done in [TIME]
sub/dvc.yaml:train: running: it never ran
sub/dvc.yaml:train $ tr 1 9 < ../prep.txt > model.txt
sub/dvc.yaml:train: done in [TIME]
sub/dvc.yaml:eval: running: it never ran
sub/dvc.yaml:eval $ wc -l < sub/model.txt > m.json
sub/dvc.yaml:eval: done in [TIME]
3 stages: 3 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    check(
        &p.cvops("status"),
        str![[r#"
prep                unchanged
sub/dvc.yaml:train  unchanged
sub/dvc.yaml:eval   unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
    assert_eq!(p.read("sub/model.txt"), "9\n2\n");
    assert_eq!(p.read("m.json").trim(), "2");
    assert!(p.exists("dvc.lock") && p.exists("sub/dvc.lock"));
    let top = p.read("dvc.lock");
    p.write("sub/params.yaml", "lr: 2\n");
    p.ok("repro sub/dvc.yaml:eval");
    assert_eq!(p.read("dvc.lock"), top);
    check(
        &p.cvops("-C sub why train"),
        str![[r#"
sub/dvc.yaml:train is unchanged
[exit 0]
"#]],
    );
}

#[test]
fn a_bare_repro_is_about_the_file_of_the_folder() {
    let p = repository();
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
prep: running: it never ran
prep $ cat data/raw/*.txt > prep.txt
prep: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    assert!(!p.exists("sub/model.txt"));
    check(
        &p.cvops("-C sub repro"),
        str![[r#"
--- stderr ---
prep: unchanged
sub/dvc.yaml:train: running: it never ran
sub/dvc.yaml:train $ tr 1 9 < ../prep.txt > model.txt
sub/dvc.yaml:train: done in [TIME]
sub/dvc.yaml:eval: running: it never ran
sub/dvc.yaml:eval $ wc -l < sub/model.txt > m.json
sub/dvc.yaml:eval: done in [TIME]
3 stages: 2 ran, 1 unchanged
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
}

#[test]
fn changed_data_is_named_and_recorded_anew() {
    let p = repository();
    p.ok("repro sub/dvc.yaml");
    p.write("data/raw/b.txt", "3\n");
    check(
        &p.cvops("status"),
        str![[r#"
data/raw.dvc        changed     `data/raw` changed ([HASH] -> [HASH]: 1 modified)
prep                must run    dependency `data/raw` changed ([HASH] -> [HASH]: 1 modified)
sub/dvc.yaml:train  depends     on what `prep` will write
sub/dvc.yaml:eval   depends     on what `sub/dvc.yaml:train` will write
[exit 0]
"#]],
    );
    check(
        &p.cvops("why data/raw.dvc"),
        str![[r#"
data/raw.dvc: `data/raw` changed ([HASH] -> [HASH]: 1 modified)
    modified b.txt
[exit 0]
"#]],
    );
    check(
        &p.cvops("status --json data/raw.dvc"),
        str![[r#"
{"problems":[],"sources":[{"files":[{"change":"modified","path":"b.txt"}],"new":"[HASH].dir","old":"[HASH].dir","path":"data/raw","pointer":"data/raw.dvc","state":"changed"}],"stages":[]}
[exit 0]
"#]],
    );
    check(&p.cvops("status -q"), str!["[exit 1]"]);
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
data/raw.dvc: recorded anew: `data/raw` changed ([HASH] -> [HASH]: 1 modified)
prep: running: dependency `data/raw` changed ([HASH] -> [HASH]: 1 modified)
prep $ cat data/raw/*.txt > prep.txt
prep: done in [TIME]
1 stage: 1 ran
recorded as `[RUN]`; `cvops runs show` shows it
[exit 0]
"#]],
    );
    check(
        &p.cvops("status data/raw.dvc"),
        str![[r#"
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
    assert_ne!(p.read("data/raw.dvc"), RAW);
    p.remove("data/raw");
    check(
        &p.cvops("status prep"),
        str![[r#"
data/raw.dvc  missing     `data/raw` is not in place; `cvops checkout` brings it from the cache
prep          must run    dependency `data/raw` changed ([HASH] -> missing)
--- stderr ---
warning: stage `prep` needs `data/raw`, which does not exist
 --> dvc.yaml:4:12
  |
4 |     deps: [data/raw]
  |            ^^^^^^^^
  |
  = help: `cvops checkout data/raw.dvc` puts it in place from the cache, `cvops pull data/raw.dvc` fetches it first
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro -f prep"),
        str![[r#"
--- stderr ---
error: stage `prep` needs `data/raw`, which does not exist
 --> dvc.yaml:4:12
  |
4 |     deps: [data/raw]
  |            ^^^^^^^^
  |
  = help: `cvops checkout data/raw.dvc` puts it in place from the cache, `cvops pull data/raw.dvc` fetches it first
[exit 2]
"#]],
    );
}

#[test]
fn scripts_read_what_dvc_status_prints() {
    let p = repository();
    check(
        &p.cvops("status --dvc"),
        str![[r#"
{"data/raw.dvc":[{"changed outs":{"data/raw":"not in cache"}}],"prep":[{"changed deps":{"data/raw":"modified"}},{"changed outs":{"prep.txt":"deleted"}}],"sub/dvc.yaml:eval":[{"changed deps":{"sub/model.txt":"deleted"}},{"changed outs":{"m.json":"deleted"}}],"sub/dvc.yaml:train":[{"changed deps":{"prep.txt":"deleted","sub/params.yaml":"new"}},{"changed outs":{"sub/model.txt":"deleted"}}]}
[exit 0]
"#]],
    );
    p.ok("repro sub/dvc.yaml");
    check(
        &p.cvops("status --dvc"),
        str![[r#"
{}
[exit 0]
"#]],
    );
    p.write("sub/params.yaml", "lr: 2\n")
        .write("data/raw/c.txt", "4\n")
        .write("m.json", "7\n");
    p.remove("prep.txt");
    p.edit("dvc.yaml", "cat data", "cat  data");
    check(
        &p.cvops("status --dvc"),
        str![[r#"
{"data/raw.dvc":[{"changed outs":{"data/raw":"modified"}}],"prep":[{"changed deps":{"data/raw":"modified"}},{"changed outs":{"prep.txt":"deleted"}},"changed command"],"sub/dvc.yaml:eval":[{"changed outs":{"m.json":"modified"}}],"sub/dvc.yaml:train":[{"changed deps":{"prep.txt":"deleted","sub/params.yaml":{"lr":"modified"}}}]}
[exit 0]
"#]],
    );
}

/// The same after a repro, with two slips in `sub/dvc.yaml`.
fn broken_below() -> Project {
    let p = repository();
    p.ok("repro");
    p.edit(
        "sub/dvc.yaml",
        "    deps: [../prep.txt]\n",
        "    dpes: [../prep.txt]\n    oust: [a]\n",
    );
    p
}

#[test]
fn a_broken_file_elsewhere_breaks_only_what_needs_it() {
    let p = broken_below();
    check(
        &p.cvops("status prep"),
        str![[r#"
prep  unchanged
--- stderr ---
warning: `sub/dvc.yaml` is left out, it cannot be read: unknown key `dpes` in `stages.train`
 --> sub/dvc.yaml:4:5
  |
4 |     dpes: [../prep.txt]
  |     ^^^^ not a known key
  |
  = note: 1 more problem in it
  = help: did you mean `deps`?
everything is up to date
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro prep"),
        str![[r#"
--- stderr ---
warning: `sub/dvc.yaml` is left out, it cannot be read: unknown key `dpes` in `stages.train`
 --> sub/dvc.yaml:4:5
  |
4 |     dpes: [../prep.txt]
  |     ^^^^ not a known key
  |
  = note: 1 more problem in it
  = help: did you mean `deps`?
prep: unchanged
everything is up to date (1 stage)
[exit 0]
"#]],
    );
}

#[test]
fn without_a_target_the_file_of_the_folder_is_needed() {
    let p = broken_below();
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
warning: `sub/dvc.yaml` is left out, it cannot be read: unknown key `dpes` in `stages.train`
 --> sub/dvc.yaml:4:5
  |
4 |     dpes: [../prep.txt]
  |     ^^^^ not a known key
  |
  = note: 1 more problem in it
  = help: did you mean `deps`?
prep: unchanged
everything is up to date (1 stage)
[exit 0]
"#]],
    );
    check(
        &p.cvops("-C sub repro"),
        str![[r#"
--- stderr ---
error: unknown key `dpes` in `stages.train`
 --> sub/dvc.yaml:4:5
  |
4 |     dpes: [../prep.txt]
  |     ^^^^ not a known key
  |
  = help: did you mean `deps`?
error: unknown key `oust` in `stages.train`
 --> sub/dvc.yaml:5:5
  |
5 |     oust: [a]
  |     ^^^^ not a known key
  |
  = help: did you mean `outs`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("repro -P"),
        str![[r#"
--- stderr ---
error: unknown key `dpes` in `stages.train`
 --> sub/dvc.yaml:4:5
  |
4 |     dpes: [../prep.txt]
  |     ^^^^ not a known key
  |
  = help: did you mean `deps`?
error: unknown key `oust` in `stages.train`
 --> sub/dvc.yaml:5:5
  |
5 |     oust: [a]
  |     ^^^^ not a known key
  |
  = help: did you mean `outs`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("status"),
        str![[r#"
--- stderr ---
error: unknown key `dpes` in `stages.train`
 --> sub/dvc.yaml:4:5
  |
4 |     dpes: [../prep.txt]
  |     ^^^^ not a known key
  |
  = help: did you mean `deps`?
error: unknown key `oust` in `stages.train`
 --> sub/dvc.yaml:5:5
  |
5 |     oust: [a]
  |     ^^^^ not a known key
  |
  = help: did you mean `outs`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("-C sub status train"),
        str![[r#"
--- stderr ---
error: unknown key `dpes` in `stages.train`
 --> sub/dvc.yaml:4:5
  |
4 |     dpes: [../prep.txt]
  |     ^^^^ not a known key
  |
  = help: did you mean `deps`?
error: unknown key `oust` in `stages.train`
 --> sub/dvc.yaml:5:5
  |
5 |     oust: [a]
  |     ^^^^ not a known key
  |
  = help: did you mean `outs`?
[exit 2]
"#]],
    );
}

#[test]
fn a_list_shows_what_can_be_read() {
    let p = broken_below();
    p.write("other/dvc.yaml", "stages: [\n");
    check(
        &p.cvops("stage list"),
        str![[r#"
prep  Outputs prep.txt
--- stderr ---
warning: `other/dvc.yaml` is left out, it cannot be read: `other/dvc.yaml` cannot be parsed
 --> other/dvc.yaml:1:10
  |
1 | stages: [
  |          ^ did not find expected node content
warning: `sub/dvc.yaml` is left out, it cannot be read: unknown key `dpes` in `stages.train`
 --> sub/dvc.yaml:4:5
  |
4 |     dpes: [../prep.txt]
  |     ^^^^ not a known key
  |
  = note: 1 more problem in it
  = help: did you mean `deps`?
[exit 0]
"#]],
    );
}

#[test]
fn what_cannot_be_a_graph_is_refused_with_both_places() {
    let p = repository();
    p.write(
        "sub/dvc.yaml",
        "stages:\n  a: {cmd: x, deps: [../prep.txt], outs: [../data/raw/a.txt]}\n  b: {cmd: x, outs: [../prep.txt]}\n",
    );
    check(
        &p.cvops("status"),
        str![[r#"
--- stderr ---
error: `prep.txt` is written by both `prep` and `sub/dvc.yaml:b`
 --> sub/dvc.yaml:3:22
  |
3 |   b: {cmd: x, outs: [../prep.txt]}
  |                      ^^^^^^^^^^^ written by `prep` already
  |
 ::: dvc.yaml:5:12
  |
5 |     outs: [prep.txt]
  |            ^^^^^^^^ first here
  |
  = help: give each stage an output of its own
error: the output `data/raw/a.txt` lies inside the tracked path `data/raw`
 --> sub/dvc.yaml:2:43
  |
2 |   a: {cmd: x, deps: [../prep.txt], outs: [../data/raw/a.txt]}
  |                                           ^^^^^^^^^^^^^^^^^ `data/raw` is tracked by `data/raw.dvc`
  |
 ::: data/raw.dvc:6:9
  |
6 |   path: raw
  |         ^^^
  |
  = help: declare only the outer folder, or move one of the two elsewhere
[exit 2]
"#]],
    );
    p.write(
        "sub/dvc.yaml",
        "stages:\n  a: {cmd: x, deps: [../prep.txt], outs: [a]}\n",
    );
    p.edit("dvc.yaml", "deps: [data/raw]", "deps: [data/raw, sub/a]");
    check(
        &p.cvops("status"),
        str![[r#"
--- stderr ---
error: stages depend on each other in a circle: `prep` -> `sub/dvc.yaml:a` -> `prep`
 --> dvc.yaml:4:22
  |
4 |     deps: [data/raw, sub/a]
  |                      ^^^^^ written by `sub/dvc.yaml:a`
  |
  = note: the circle goes through dvc.yaml, sub/dvc.yaml
  = help: drop one of the deps in the circle, or split a stage in two
[exit 2]
"#]],
    );
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
    check(
        &p.cvops("status tarin"),
        str![[r#"
--- stderr ---
error: `tarin` is neither a stage nor an output of one
 |
 = help: did you mean `sub/dvc.yaml:train`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("-C sub status tarin"),
        str![[r#"
--- stderr ---
error: `tarin` is neither a stage nor an output of one
 |
 = help: did you mean `train`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("status data/row.dvc"),
        str![[r#"
--- stderr ---
error: `data/row.dvc` is neither a stage nor an output of one
 |
 = help: did you mean `data/raw.dvc`?
[exit 2]
"#]],
    );
}

#[test]
fn the_drawing_shows_files_pointers_and_outputs() {
    let p = repository();
    check(
        &p.cvops("dag"),
        str![[r#"
   ┌──────────────┐
   │ data/raw.dvc │
   └───────┬──────┘
           ▼
       ┌──────┐
       │ prep │
       └───┬──┘
           ▼
┌────────────────────┐
│ sub/dvc.yaml:train │
└──────────┬─────────┘
           ▼
┌───────────────────┐
│ sub/dvc.yaml:eval │
└───────────────────┘
[exit 0]
"#]],
    );
    check(
        &p.cvops("dag --outs --json"),
        str![[r#"
{"edges":[["prep.txt","sub/model.txt"],["sub/model.txt","m.json"],["data/raw","prep.txt"]],"outs":["prep.txt","sub/model.txt","m.json","data/raw"]}
[exit 0]
"#]],
    );
    check(
        &p.cvops("dag --json prep"),
        str![[r#"
{"edges":[["data/raw.dvc","prep"]],"pointers":["data/raw.dvc"],"stages":["prep"]}
[exit 0]
"#]],
    );
    check(
        &p.cvops("dag --full --mermaid prep"),
        str![[r#"
flowchart TD
    n0["prep"]
    n1["sub/dvc.yaml:train"]
    n2["sub/dvc.yaml:eval"]
    n3["data/raw.dvc"]
    n0 --> n1
    n1 --> n2
    n3 --> n0
[exit 0]
"#]],
    );
}

#[test]
fn other_projects_below_are_not_read() {
    let p = repository();
    p.write("theirs/.dvc/config", "")
        .write("theirs/dvc.yaml", "stages: {x: {cmd: x}}\n")
        .write("ours/pipeline.yaml", "stages: {y: {cmd: y}}\n")
        .write(".dvcignore", "/ignored\n")
        .write("ignored/dvc.yaml", "nonsense\n");
    check(
        &p.cvops("stage list --all --names-only"),
        str![[r#"
prep
sub/dvc.yaml:train
sub/dvc.yaml:eval
data/raw.dvc
[exit 0]
"#]],
    );
    check(
        &p.cvops("-C ours stage list"),
        str![[r#"
y  No outputs or dependencies
[exit 0]
"#]],
    );
}

#[test]
fn freezing_edits_the_file_of_the_stage() {
    let p = repository();
    check(
        &p.cvops("freeze sub/dvc.yaml:eval data/raw.dvc"),
        str![[r#"
sub/dvc.yaml:eval is frozen
data/raw.dvc is frozen
[exit 0]
"#]],
    );
    check(
        &p.cvops("status"),
        str![[r#"
prep                must run    it never ran
sub/dvc.yaml:train  must run    it never ran
sub/dvc.yaml:eval   frozen
--- stderr ---
warning: the output `m.json` of the frozen stage `sub/dvc.yaml:eval` does not exist
  --> sub/dvc.yaml:11:15
   |
11 |     metrics: [m.json: {cache: false}]
   |               ^^^^^^
   |
   = help: `git checkout -- 'm.json'` brings it back; `cvops unfreeze sub/dvc.yaml:eval` lets the stage make it
[exit 0]
"#]],
    );
    assert!(p.read("sub/dvc.yaml").ends_with("    frozen: true\n"));
    p.ok("-C sub unfreeze eval ../data/raw.dvc");
    assert!(!p.read("sub/dvc.yaml").contains("frozen"));
    assert_eq!(p.read("data/raw.dvc"), RAW);
}

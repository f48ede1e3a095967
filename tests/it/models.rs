//! `cvops models`: outputs of runs as versions of named models.

use std::fs;

use snapbox::str;

use crate::support::stages::with_pipeline;
use crate::support::{Exit, Project, check};

/// A training in shell: a model of two files, and a table beside it.
fn study() -> Project {
    let p = with_pipeline(
        r"stages:
  train:
    cmd: |
      mkdir -p models/net/weights
      echo '{}' > models/net/model.json
      cp params.yaml models/net/weights/all.bin
      echo 1 > table.csv
    params: [size]
    outs: [models/net, table.csv]
",
    );
    p.write("params.yaml", "size: 1\n");
    p
}

/// `study` after two runs, called `first` and `second`.
fn trained() -> Project {
    let p = study();
    p.ok("repro --name first");
    p.write("params.yaml", "size: 22\n");
    p.ok("repro --name second");
    p
}

/// `trained` with the model `cats` of two versions; `champion` is the first.
fn registered() -> Project {
    let p = trained();
    p.ok("models register cats --run first --alias champion --tag reviewed=yes");
    p.ok("models register cats --description 'with more dogs'");
    p
}

#[test]
fn without_a_model_every_command_says_so() {
    let p = study();
    check(
        &p.cvops("models list"),
        str![[r#"
--- stderr ---
no model is registered yet: `cvops models register NAME` registers that of the last run
[exit 0]
"#]],
    );
    check(
        &p.cvops("models register cats"),
        str![[r#"
--- stderr ---
error: no run is recorded in this project
 |
 = help: every `cvops repro` that runs or restores a stage records one
[exit 2]
"#]],
    );
    check(
        &p.cvops("models show cats"),
        str![[r#"
--- stderr ---
error: no model is registered in this project
 |
 = help: `cvops models register NAME` registers the model of the last run
[exit 2]
"#]],
    );
    p.ok("repro");
    check(
        &p.cvops("models show cats"),
        str![[r#"
--- stderr ---
error: no model is registered in this project
 |
 = help: `cvops models register NAME` registers the model of the last run
[exit 2]
"#]],
    );
    check(
        &p.cvops("models list --json"),
        str![[r#"
{"models":[]}
[exit 0]
"#]],
    );
}

#[test]
fn the_model_of_the_last_run_is_registered() {
    let p = trained();
    check(
        &p.cvops("models register cats"),
        str![[r#"
registered cats/1
--- stderr ---
it is `models/net` of the run `second`
[exit 0]
"#]],
    );
    check(
        &p.cvops("models register cats --run first --path models/net --alias champion"),
        str![[r#"
registered cats/2
--- stderr ---
it is `models/net` of the run `first`; `champion` names it
[exit 0]
"#]],
    );
    let json = p
        .ok("models register cats --run first --path models/net/weights --tag a=1 --tag b= --json")
        .json()
        .remove(0);
    let run = json["run"].as_str().unwrap();
    assert_eq!(json["version"], 3);
    assert_eq!(
        json["source"],
        format!("mlflow-artifacts:/0/{run}/artifacts/models/net/weights")
    );
    assert_eq!(json["tags"], serde_json::json!({"a": "1", "b": ""}));
    assert_eq!(json["stage"], "None");
}

#[test]
fn what_cannot_be_registered_is_explained() {
    let p = trained();
    check(
        &p.cvops("models register cats --path models/nets"),
        str![[r#"
--- stderr ---
error: the run `second` has no output `models/nets`
 |
 = note: output `models/net`, a folder
 = note: output `table.csv`, a file
 = help: did you mean `models/net`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("models register cats --run fist"),
        str![[r#"
--- stderr ---
error: there is no run `fist`
 |
 = help: did you mean `first`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("models register a/b"),
        str![[r#"
--- stderr ---
error: Invalid model name 'a/b'. Names cannot contain '/' or ':'.
[exit 2]
"#]],
    );
    check(
        &p.cvops("models register cats --alias v1"),
        str![[r#"
--- stderr ---
error: Version alias name 'v1' is reserved.
[exit 2]
"#]],
    );
    check(
        &p.cvops("models register cats --tag x"),
        str![[r#"
--- stderr ---
error: invalid value 'x' for '--tag <KEY=VALUE>': write `KEY=VALUE`, for example `reviewed=yes`

For more information, try '--help'.
[exit 2]
"#]],
    );
    // Nothing was left behind by what failed.
    check(
        &p.cvops("models list"),
        str![[r#"
--- stderr ---
no model is registered yet: `cvops models register NAME` registers that of the last run
[exit 0]
"#]],
    );
}

#[test]
fn where_it_is_not_clear_which_output_is_the_model_all_are_listed() {
    let p = with_pipeline(
        r"stages:
  one:
    cmd: mkdir -p a && echo '{}' > a/model.json
    outs: [a]
  two:
    cmd: mkdir -p b && echo '{}' > b/model.json && echo 1 > c
    outs: [b, c]
",
    );
    p.ok("repro --name both");
    check(
        &p.cvops("models register cats"),
        str![[r#"
--- stderr ---
error: 2 outputs of the run `both` are folders with `model.json`
 |
 = note: output `a`, a folder
 = note: output `b`, a folder
 = note: output `c`, a file
 = help: say with `--path` which one is the model
[exit 2]
"#]],
    );
    p.ok("models register cats --path b");
    let p = with_pipeline("stages: {a: {cmd: echo 1 > a.txt, outs: [a.txt]}}\n");
    p.ok("repro --name plain");
    check(
        &p.cvops("models register cats"),
        str![[r#"
--- stderr ---
error: no output of the run `plain` is a folder with `model.json`
 |
 = note: output `a.txt`, a file
 = help: say with `--path` which one is the model
[exit 2]
"#]],
    );
}

#[test]
fn models_and_versions_are_listed_and_shown() {
    let p = registered();
    p.ok("models register dogs --run first");
    check(
        &p.cvops("models list"),
        str![[r#"
model  latest  aliases     updated
cats        2  champion=1  [DATE]
dogs        1              [DATE]
[exit 0]
"#]],
    );
    check(
        &p.cvops("models list cats"),
        str![[r#"
version  aliases   run     created           source      description
      2            second  [DATE]  models/net  with more dogs
      1  champion  first   [DATE]  models/net
[exit 0]
"#]],
    );
    check(
        &p.cvops("model list dogs --md"),
        str![[r#"
| version | run   | created          | source     |
| ------: | ----- | ---------------- | ---------- |
|       1 | first | [DATE] | models/net |
[exit 0]
"#]],
    );
    check(
        &p.cvops("models show cats"),
        str![[r#"
model        cats
created      [DATE]
updated      [DATE]
alias        champion = 1

version  aliases   run     created           source      description
      2            second  [DATE]  models/net  with more dogs
      1  champion  first   [DATE]  models/net
[exit 0]
"#]],
    );
    check(
        &p.cvops("models show cats@champion"),
        str![[r#"
version      cats/1
created      [DATE]
aliases      champion
run          first
source       mlflow-artifacts:/0/[..]/artifacts/models/net
tag          reviewed=yes

file             size  object
model.json        3 B  [HASH]
weights/all.bin   8 B  [HASH]
[exit 0]
"#]],
    );
    check(
        &p.cvops("models show models:/cats/latest --md"),
        str![[r#"
- version      cats/2
- created      [DATE]
- run          second
- source       mlflow-artifacts:/0/[..]/artifacts/models/net
- description  with more dogs

### Files

| file            | size | object   |
| --------------- | ---: | -------- |
| model.json      |  3 B | [HASH] |
| weights/all.bin |  9 B | [HASH] |
[exit 0]
"#]],
    );
    let model = p.ok("models show cats --json").json().remove(0);
    assert_eq!(model["aliases"], serde_json::json!({"champion": 1}));
    assert_eq!(model["latest"], 2);
    assert_eq!(model["versions"][0]["description"], "with more dogs");
    let version = p.ok("models show cats/1 --json").json().remove(0);
    let files = version["files"].as_array().unwrap();
    let paths: Vec<_> = files.iter().map(|f| f["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["model.json", "weights/all.bin"]);
    let listed = p.ok("models list --json").json().remove(0);
    assert_eq!(listed["models"][1]["model"], "dogs");
    let listed = p.ok("models list cats --json").json().remove(0);
    assert_eq!(listed["versions"][1]["aliases"][0], "champion");
}

#[test]
fn what_is_misspelt_is_answered_with_what_was_meant() {
    let p = registered();
    check(
        &p.cvops("models show cat"),
        str![[r#"
--- stderr ---
error: there is no registered model `cat`
 |
 = help: did you mean `cats`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("models list horses"),
        str![[r#"
--- stderr ---
error: there is no registered model `horses`
 |
 = help: `cvops models list` shows them
[exit 2]
"#]],
    );
    check(
        &p.cvops("models show cats@champoin"),
        str![[r#"
--- stderr ---
error: `cats` has no alias `champoin`
 |
 = help: did you mean `champion`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("models show cats/7"),
        str![[r#"
--- stderr ---
error: `cats` has no version 7
 |
 = help: its versions: 2, 1
[exit 2]
"#]],
    );
    check(
        &p.cvops("models show cats/production"),
        str![[r#"
--- stderr ---
error: `cats` has no version in the stage `production`
 |
 = help: its versions: 2, 1
[exit 2]
"#]],
    );
    check(
        &p.cvops("models download cats --to out"),
        str![[r#"
--- stderr ---
error: `cats` is a model, not a version of it
 |
 = help: write `cats@champion`, or `cats/latest`
[exit 2]
"#]],
    );
}

#[test]
fn an_alias_moves_and_goes() {
    let p = registered();
    check(
        &p.cvops("models alias cats champion 2"),
        str![[r#"
cats@champion is version 2
--- stderr ---
it was version 1
[exit 0]
"#]],
    );
    check(
        &p.cvops("models alias cats baseline 1"),
        str![[r#"
cats@baseline is version 1
[exit 0]
"#]],
    );
    check(
        &p.cvops("models alias cats tried champion"),
        str![[r#"
cats@tried is version 2
[exit 0]
"#]],
    );
    check(
        &p.cvops("models alias cats latest 1"),
        str![[r#"
--- stderr ---
error: 'latest' alias name (case insensitive) is reserved.
[exit 2]
"#]],
    );
    check(
        &p.cvops("models alias cats champion --delete"),
        str![[r#"
removed cats@champion
--- stderr ---
it was version 2
[exit 0]
"#]],
    );
    check(
        &p.cvops("models alias cats champion --delete"),
        str![[r#"
--- stderr ---
error: `cats` has no alias `champion`
 |
 = help: its aliases: `baseline`, `tried`
[exit 2]
"#]],
    );
    check(
        &p.cvops("models alias cats champion"),
        str![[r#"
--- stderr ---
error: the following required arguments were not provided:
  <VERSION>

Usage: cvops models alias <NAME> <ALIAS> <VERSION>

For more information, try '--help'.
[exit 2]
"#]],
    );
    let json = p.ok("models alias cats tried 1 --json").json().remove(0);
    let expected = serde_json::json!({"model": "cats", "alias": "tried", "version": 1, "old": 2});
    assert_eq!(json, expected);
}

#[test]
fn a_stage_is_changed_and_the_others_archived() {
    let p = registered();
    check(
        &p.cvops("models stage cats 1 production"),
        str![[r#"
cats/1 is in the stage Production
[exit 0]
"#]],
    );
    check(
        &p.cvops("models stage cats latest Production --archive"),
        str![[r#"
cats/2 is in the stage Production
--- stderr ---
archived `cats/1`
[exit 0]
"#]],
    );
    check(
        &p.cvops("models list cats"),
        str![[r#"
version  aliases   stage       run     created           source      description
      2            Production  second  [DATE]  models/net  with more dogs
      1  champion  Archived    first   [DATE]  models/net
[exit 0]
"#]],
    );
    check(
        &p.cvops("models stage cats 1 none --archive"),
        str![[r#"
--- stderr ---
error: `--archive` goes with the stages staging and production only
 |
 = help: leave it out
[exit 2]
"#]],
    );
    check(
        &p.cvops("models stage cats 1 prod"),
        str![[r#"
--- stderr ---
error: invalid value 'prod' for '<STAGE>'
  [possible values: none, staging, production, archived]

  tip: a similar value exists: 'production'

For more information, try '--help'.
[exit 2]
"#]],
    );
    check(
        &p.cvops("models stage cats 1 none"),
        str![[r#"
cats/1 is in no stage
[exit 0]
"#]],
    );
    p.ok("models show cats/production");
}

#[test]
fn the_files_of_a_version_are_put_into_a_folder() {
    let p = registered();
    check(
        &p.cvops("models download cats@champion --to out/model"),
        str![[r#"
cats/1 is in out/model
--- stderr ---
2 files, 11 B
[exit 0]
"#]],
    );
    assert_eq!(p.read("out/model/weights/all.bin"), "size: 1\n");
    // They are the user's own.
    p.write("out/model/weights/all.bin", "changed\n");
    check(
        &p.cvops("models download cats/1 --to out/model"),
        str![[r#"
--- stderr ---
error: `out/model` has other content already
 |
 = note: in the way: `weights/all.bin`
 = help: name another folder, or add `--force` to replace these files
[exit 2]
"#]],
    );
    assert_eq!(p.read("out/model/weights/all.bin"), "changed\n");
    p.write("out/model/mine.txt", "mine\n");
    check(
        &p.cvops("models download models:/cats/1 --to out/model --force"),
        str![[r#"
cats/1 is in out/model
--- stderr ---
2 files, 11 B; 1 of them were there
[exit 0]
"#]],
    );
    assert_eq!(p.read("out/model/weights/all.bin"), "size: 1\n");
    assert_eq!(p.read("out/model/mine.txt"), "mine\n");
    let json = p
        .ok("models download cats/latest --to fresh --json")
        .json()
        .remove(0);
    assert_eq!(json["version"], "cats/2");
    assert_eq!(json["written"], 2);
    assert_eq!(p.read("fresh/weights/all.bin"), "size: 22\n");
    check(
        &p.cvops("models download models:/m-0123 --to fresh"),
        str![[r#"
--- stderr ---
error: Logged model with ID 'm-0123' not found.
[exit 2]
"#]],
    );
    p.write("a/weights/all.bin/x", "");
    check(
        &p.cvops("models download cats/1 --to a --force"),
        str![[r#"
--- stderr ---
error: `a` has other content already
 |
 = note: in the way: `weights/all.bin`
 = help: name another folder: where files must go there are folders
[exit 2]
"#]],
    );
}

#[test]
fn a_download_that_breaks_off_leaves_whole_files_only() {
    let p = registered();
    for (variable, value) in [("CVOPS_CRASH_AT", ""), ("CVOPS_FAIL_AT", ":28")] {
        for step in 1.. {
            let mut command = p.command("models download cats/1 --to out --force");
            let output = p.run(command.env(variable, format!("{step}{value}")));
            for (file, content) in [("model.json", "{}\n"), ("weights/all.bin", "size: 1\n")] {
                let path = format!("out/{file}");
                assert!(
                    !p.exists(&path) || p.read(&path) == content,
                    "{step} {file}"
                );
            }
            if output.exit == Exit::Code(0) {
                // Folder, file and name, twice.
                assert!(6 <= step, "{step}");
                break;
            }
            assert!(step < 50, "{}", output.transcript());
            if p.exists("out") {
                p.remove("out");
            }
        }
        p.remove("out");
    }
}

#[test]
fn nothing_is_written_of_a_version_that_is_not_whole() {
    let p = registered();
    let version = p.ok("models show cats/1 --json").json().remove(0);
    let hash = version["files"][1]["object"].as_str().unwrap();
    lose(&p, hash);
    check(
        &p.cvops("models download cats/1 --to out"),
        str![[r#"
--- stderr ---
error: the cache has lost files of this version
 |
 = note: missing: `weights/all.bin`
 = help: `cvops fetch` brings what the remote has of the pipeline's outputs
[exit 1]
"#]],
    );
    assert!(!p.exists("out"));
}

/// Takes an object out of the cache.
fn lose(p: &Project, hash: &str) {
    let (folder, rest) = hash.split_at(2);
    let object = find(&p.path(".cvops"), &format!("{folder}/{rest}"));
    fs::remove_file(object.expect("the cache has the object")).unwrap();
}

/// Finds the file whose path ends so.
fn find(dir: &std::path::Path, end: &str) -> Option<std::path::PathBuf> {
    fs::read_dir(dir).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return find(&path, end);
        }
        path.to_str()?.ends_with(end).then_some(path)
    })
}

#[test]
fn a_model_that_the_cache_has_lost_is_not_registered() {
    let p = trained();
    let run = p.ok("runs show first --json").json().remove(0);
    let tree = run["artifacts"][0]["object"].as_str().unwrap();
    lose(&p, tree);
    check(
        &p.cvops("models register cats --run first"),
        str![[r#"
--- stderr ---
error: no output of the run `first` is a folder with `model.json`
 |
 = note: output `models/net`, a folder
 = note: output `table.csv`, a file
 = note: the cache has lost `models/net`
 = help: say with `--path` which one is the model
[exit 2]
"#]],
    );
    check(
        &p.cvops("models register cats --run first --path models/net"),
        str![[r#"
--- stderr ---
error: the cache has lost `models/net` of the run `first`
 |
 = help: `cvops fetch` brings what the remote has of the pipeline's outputs
[exit 1]
"#]],
    );
    check(
        &p.cvops("models register cats@champion"),
        str![[r#"
--- stderr ---
error: `cats@champion` is an alias of a model, not its name
 |
 = help: `cvops models register cats --alias champion` registers a version and lets it be called so
[exit 2]
"#]],
    );
}

#[test]
fn a_version_outlives_its_run() {
    let p = registered();
    p.ok("runs rm first");
    p.ok("gc -w --deleted-runs --force");
    p.ok("models download cats/1 --to brought");
    assert!(p.exists("brought/model.json"));
}

#[test]
fn versions_and_models_are_removed() {
    let p = registered();
    check(
        &p.cvops("models rm cats@champion"),
        str![[r#"
--- stderr ---
error: `cats@champion` may mean the alias or the version
 |
 = help: `cvops models alias cats champion --delete` removes the alias, `cvops models rm cats/1` the version
[exit 2]
"#]],
    );
    check(
        &p.cvops("models rm cats/1"),
        str![[r#"
removed cats/1
--- stderr ---
with what named it: `champion`
[exit 0]
"#]],
    );
    // Its number is not used again.
    p.ok("models rm cats/2");
    check(
        &p.cvops("models register cats"),
        str![[r#"
registered cats/3
--- stderr ---
it is `models/net` of the run `second`
[exit 0]
"#]],
    );
    check(
        &p.cvops("models rm cats/2"),
        str![[r#"
--- stderr ---
error: `cats` has no version 2
 |
 = help: its versions: 3
[exit 2]
"#]],
    );
    check(
        &p.cvops("models remove cats"),
        str![[r#"
removed cats (1 version)
[exit 0]
"#]],
    );
    check(
        &p.cvops("models rm cats"),
        str![[r#"
--- stderr ---
error: no model is registered in this project
 |
 = help: `cvops models register NAME` registers the model of the last run
[exit 2]
"#]],
    );
    p.ok("models register cats");
    let json = p.ok("models rm cats --json").json().remove(0);
    assert_eq!(json["versions"], serde_json::json!([1]));
}

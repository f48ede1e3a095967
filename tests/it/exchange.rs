//! Runs in and out: stores of the real MLflow (`tests/golden/mlflow/stores`), whole runs as lines,
//! tables; deleting, restoring, and room that is really freed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use snapbox::str;

use crate::push::files;
use crate::support::stages::with_pipeline;
use crate::support::{Exit, Project, check, mlflow, project};

const STORES: [&str; 4] = ["v2-file", "v3-file", "v2-sqlite", "v3-sqlite"];

/// A project without stages.
fn empty() -> Project {
    let p = project();
    p.write("pipeline.yaml", "stages: {}\n");
    p
}

/// Copies a store of MLflow into the project; returns what is to be imported.
fn store(p: &Project, name: &str) -> String {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mlflow/stores");
    copy(&from.join(name), &p.path("store"));
    let path = if name.ends_with("file") {
        "store/mlruns"
    } else {
        "store/mlflow.db"
    };
    path.to_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A project with the runs of a store.
fn imported(name: &str) -> Project {
    let p = empty();
    let path = store(&p, name);
    p.ok(&format!("runs import {path}"));
    p
}

/// Returns all runs as lines, deleted ones too.
fn lines(p: &Project) -> String {
    p.ok("runs export --all --deleted --format jsonl").stdout
}

fn by_name(p: &Project) -> BTreeMap<String, Value> {
    lines(p)
        .lines()
        .map(|line| {
            let run: Value = serde_json::from_str(line).unwrap();
            (run["name"].as_str().unwrap().to_owned(), run)
        })
        .collect()
}

/// Asks the database itself: the registry has no command.
fn ask(p: &Project, sql: &str) -> Vec<Vec<String>> {
    let db = rusqlite::Connection::open(p.path(".cvops/tracking.db")).unwrap();
    let mut statement = db.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement
        .query_map([], |row| {
            (0..columns)
                .map(|column| {
                    let value: rusqlite::types::Value = row.get(column)?;
                    Ok(match value {
                        rusqlite::types::Value::Null => "-".to_owned(),
                        rusqlite::types::Value::Text(text) => text,
                        other => format!("{other:?}"),
                    })
                })
                .collect()
        })
        .unwrap();
    rows.map(Result::unwrap).collect()
}

/// The objects in the cache.
fn cached(p: &Project) -> usize {
    files(&p.path(".cvops/cache/blake3")).len()
}

fn pairs(value: &Value) -> BTreeMap<&str, &str> {
    let pairs = value.as_array().unwrap().iter();
    pairs
        .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect()
}

#[test]
fn stores_of_mlflow_are_imported_with_everything() {
    for name in STORES {
        let p = empty();
        let path = store(&p, name);
        let said = p.ok(&format!("runs import {path} --json")).json().remove(0);
        let models = usize::from(name.starts_with("v3"));
        let expected = json!({
            "experiments": 2, "runs": 6, "logged_models": models, "model_versions": 2 + models,
            "artifacts": 3 + 2 * models, "bytes": 268 + 262 * models,
        });
        assert_eq!(said["imported"], expected, "{name}");
        assert_eq!(said["missing_artifacts"], json!([]), "{name}");
        assert_eq!(said["broken"], json!([]), "{name}");
        let runs = by_name(&p);
        let best = &runs["brave crane"];
        assert_eq!(best["experiment"], "pets/cats & dogs");
        assert_eq!(best["started_ms"], 1_700_000_000_000_i64);
        assert_eq!(best["ended_ms"], 1_700_000_060_000_i64);
        assert_eq!(
            (&best["status"], &best["user"]),
            (&json!("FINISHED"), &json!("ada"))
        );
        assert_eq!(best["command"], "train.py");
        let tags = pairs(&best["tags"]);
        assert_eq!(tags["note"], "lines\nand \"quotes\" and \\");
        assert_eq!(tags["日本"], "語 🦆");
        assert_eq!(tags["odd key/with.dots"], "v");
        let params: BTreeMap<_, _> = best["params"]
            .as_array()
            .unwrap()
            .iter()
            .map(|param| {
                (
                    param["name"].as_str().unwrap(),
                    param["value"].as_str().unwrap(),
                )
            })
            .collect();
        let long = "x".repeat(400);
        let expected = [
            ("empty", ""),
            ("lines", "a\nb"),
            ("long", long.as_str()),
            ("opt/name", "sgd ü"),
            ("train.lr", "0.1"),
        ];
        assert_eq!(params, expected.into(), "{name}");
        let metrics: BTreeMap<_, _> = best["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|metric| {
                let points = metric["points"].as_array().unwrap().len();
                (
                    metric["name"].as_str().unwrap(),
                    (metric["value"].clone(), points),
                )
            })
            .filter(|(metric, _)| *metric != "val")
            .collect();
        let expected = [
            ("back", (json!(1.0), 3)),
            ("loss", (json!(0.125), 5)),
            ("odd/-inf", (json!("-Infinity"), 1)),
            ("odd/inf", (json!("Infinity"), 1)),
            ("odd/nan", (json!("NaN"), 1)),
            ("third", (json!(1.0 / 3.0), 1)),
            ("tiny", (json!(5e-324), 1)),
        ];
        assert_eq!(metrics, expected.into(), "{name}");
        let files: Vec<_> = best["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| &f["path"])
            .collect();
        assert_eq!(
            files,
            ["model/notes ü.txt", "model/weights.bin", "notes ü.txt"]
        );
        let dataset = &best["datasets"][0];
        assert_eq!(
            (&dataset["name"], &dataset["digest"]),
            (&json!("faces"), &json!("abc123"))
        );
        assert_eq!(pairs(&dataset["tags"])["mlflow.data.context"], "training");
        assert_eq!(runs["child"]["parent"], best["id"]);
        assert_eq!(runs["child"]["status"], "FAILED");
        for (run, lifecycle, experiment) in [
            ("gone", "deleted", "pets/cats & dogs"),
            ("of the deleted", "deleted", "thrown away"),
            ("in default", "active", "Default"),
            ("goes on", "active", "Default"),
        ] {
            assert_eq!(runs[run]["lifecycle"], lifecycle, "{name}: {run}");
            assert_eq!(runs[run]["experiment"], experiment, "{name}: {run}");
        }
        assert!(runs["gone"]["deleted_ms"].is_i64(), "{name}");
        assert_eq!(runs["goes on"]["status"], "RUNNING");
        if models == 1 {
            let model = &best["models"][0];
            assert_eq!(
                (&model["name"], &model["model_type"]),
                (&json!("net"), &json!("classifier"))
            );
            assert_eq!(pairs(&model["params"])["depth"], "3");
            assert_eq!(model["metrics"][0]["dataset"], json!(["faces", "abc123"]));
            assert_eq!(model["metrics"][0]["run"], best["id"]);
            assert_eq!(model["files"].as_array().unwrap().len(), 2);
            assert_eq!(best["model_outputs"], json!([[model["id"], 4]]));
        }
    }
}

#[test]
fn the_registry_is_imported_and_finds_its_files() {
    for name in STORES {
        let p = imported(name);
        let best = by_name(&p)["brave crane"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let tags = ask(&p, "SELECT model, key, value FROM registered_model_tags");
        assert_eq!(tags, [["pet-classifier", "task", "classify"]]);
        let aliases = ask(&p, "SELECT alias, version FROM aliases");
        assert_eq!(aliases, [["champion", "Integer(1)"]], "{name}");
        let versions = ask(
            &p,
            "SELECT version, source, storage, run, stage, description FROM model_versions ORDER BY version",
        );
        let below = ask(&p, "SELECT path FROM artifact_files");
        for version in &versions {
            // Where a version's files are there are files.
            let storage = version[2].strip_prefix("mlflow-artifacts:/").unwrap();
            let storage = format!("{storage}/");
            let found = below.iter().filter(|path| path[0].starts_with(&storage));
            assert_eq!(found.count(), 2, "{name}: {storage}");
            assert_eq!(version[3], best);
        }
        assert!(
            versions[0][1].starts_with("mlflow-artifacts:/"),
            "{:?}",
            versions[0]
        );
        assert_eq!(versions[1][4..], ["Staging", "try 1"]);
        assert_eq!(versions.len(), if name.starts_with("v3") { 3 } else { 2 });
        if let Some(third) = versions.get(2) {
            assert!(third[1].starts_with("models:/m-"), "{third:?}");
        }
        let last = ask(&p, "SELECT last_version FROM registered_models");
        assert_eq!(last[0][0], format!("Integer({})", versions.len()));
        let tags = ask(
            &p,
            "SELECT version, value FROM model_version_tags ORDER BY version",
        );
        assert_eq!(tags[1], ["Integer(2)", "1"]);
    }
}

/// What a script of MLflow's user asks for after the move.
const READS: &str = r#"
import sys, mlflow, pathlib
from mlflow.tracking import MlflowClient
uri, out = sys.argv[1:]
mlflow.set_tracking_uri(uri)
client = MlflowClient()
ids = [e.experiment_id for e in client.search_experiments()]
runs = client.search_runs(ids, "metrics.loss < 0.2 and params.`opt/name` = 'sgd ü'")
assert [r.info.run_name for r in runs] == ["brave crane"], runs
best = runs[0].info.run_id
assert len(client.get_metric_history(best, "loss")) == 5
assert runs[0].inputs.dataset_inputs[0].dataset.name == "faces"
assert sorted(f.path for f in client.list_artifacts(best)) [-1] == "notes ü.txt"
champion = client.get_model_version_by_alias("pet-classifier", "champion")
assert (str(champion.version), champion.run_id) == ("1", best), champion
for number in client.search_model_versions("name = 'pet-classifier'"):
    to = pathlib.Path(out) / str(number.version)
    to.mkdir(parents=True)
    uri = client.get_model_version_download_uri("pet-classifier", number.version)
    got = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(to))
    assert (pathlib.Path(got) / "weights.bin").read_bytes() == bytes(range(256)), uri
"#;

#[test]
fn the_real_client_reads_what_was_imported() {
    let Some(python) = mlflow::python("the client of an imported store") else {
        return;
    };
    for name in STORES {
        let p = imported(name);
        fs::remove_dir_all(p.path("store")).unwrap();
        let server = p.ui("");
        let output = mlflow::command(&python)
            .args(["-c", READS, &format!("http://127.0.0.1:{}", server.port)])
            .arg(p.path("got"))
            .env("HOME", p.home())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
    }
}

#[test]
fn importing_twice_changes_nothing() {
    for name in STORES {
        let p = imported(name);
        let (before, objects) = (lines(&p), cached(&p));
        let path = store(&p, name);
        let again = p.ok(&format!("runs import {path}"));
        assert!(
            again.stdout.starts_with("0 runs imported"),
            "{}",
            again.stdout
        );
        assert!(again.stderr.contains("6 runs"), "{}", again.stderr);
        assert_eq!(lines(&p), before, "{name}");
        assert_eq!(cached(&p), objects);
    }
}

#[test]
fn an_import_says_what_it_did() {
    let p = empty();
    let path = store(&p, "v3-file");
    check(
        &p.cvops(&format!("runs import {path} --dry")),
        str![[r#"
6 runs, 2 experiments, 1 logged model, 3 versions of registered models, with 5 artifacts (530 B) would be imported
[exit 0]
"#]],
    );
    assert!(!p.exists(".cvops/tracking.db"));
    assert!(!p.exists(".cvops/cache"));
    check(
        &p.cvops(&format!("runs import {path}")),
        str![[r#"
6 runs, 2 experiments, 1 logged model, 3 versions of registered models, with 5 artifacts (530 B) imported
[exit 0]
"#]],
    );
    check(
        &p.cvops(&format!("runs import {path}")),
        str![[r#"
0 runs imported
--- stderr ---
skipped, as already here: 6 runs, 1 logged model, 3 model versions
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs import nowhere"),
        str![[r#"
--- stderr ---
error: there is no `nowhere`
 |
 = help: name a folder `mlruns`, a database `mlflow.db`, or a file of `cvops runs export --format jsonl`
[exit 2]
"#]],
    );
    p.write("folder/x", "");
    check(
        &p.cvops("runs import folder"),
        str![[r#"
--- stderr ---
error: `[ROOT]/folder` is no store of MLflow: no folder in it has a `meta.yaml`
[exit 2]
"#]],
    );
    check(
        &p.cvops("runs import .cvops/tracking.db"),
        str![[r#"
--- stderr ---
error: `[ROOT]/.cvops/tracking.db` is no database of MLflow: its tables are others
[exit 2]
"#]],
    );
    p.write("notes.txt", "hello\n");
    check(
        &p.cvops("runs import notes.txt"),
        str![[r#"
0 runs imported
--- stderr ---
error: line 1 of `[ROOT]/notes.txt`: expected value at line 1 column 1
[exit 1]
"#]],
    );
}

#[test]
fn runs_of_several_stores_may_go_into_one_experiment() {
    let p = empty();
    let path = store(&p, "v2-file");
    p.ok(&format!("runs import {path} --experiment old"));
    fs::remove_dir_all(p.path("store")).unwrap();
    let path = store(&p, "v3-sqlite");
    let second = p.cvops(&format!("runs import {path} --experiment old"));
    // Both stores have versions 1 and 2 of one model: those of the first stay.
    assert_eq!(second.exit, Exit::Code(1));
    let taken = "version 1 of the model `pet-classifier`: another version has this number here";
    assert!(second.stderr.contains(taken), "{}", second.stderr);
    let experiments = ask(
        &p,
        "SELECT e.name, count(*) FROM runs r JOIN experiments e ON e.id = r.experiment GROUP BY 1",
    );
    assert_eq!(experiments, [["old", "Integer(12)"]]);
    assert_eq!(ask(&p, "SELECT 1 FROM model_versions").len(), 3);
}

#[test]
fn what_is_broken_is_named_and_the_rest_imported() {
    let p = empty();
    store(&p, "v3-file");
    let runs = files(&p.path("store"));
    let meta = runs.iter().find(|path| {
        path.ends_with("meta.yaml") && p.read(&format!("store/{path}")).contains("run_name: child")
    });
    p.write(&format!("store/{}", meta.unwrap()), "run_id: [\n");
    let metric = runs
        .iter()
        .find(|path| path.ends_with("metrics/tiny"))
        .unwrap();
    p.write(&format!("store/{metric}"), "1 0.5 0\n17000");
    let param = runs
        .iter()
        .find(|path| path.ends_with("params/long"))
        .unwrap();
    p.write(&format!("store/{param}"), [0xff, 0xfe]);
    let output = p.cvops("runs import store");
    assert_eq!(output.exit, Exit::Code(1));
    assert!(output.stdout.contains("5 runs"), "{}", output.stdout);
    for part in [
        "meta.yaml`",
        "metrics/tiny`: line 2 is no value: `17000`",
        "params/long`: it is not UTF-8",
    ] {
        assert!(output.stderr.contains(part), "{}", output.stderr);
    }
    let best = &by_name(&p)["brave crane"];
    let metrics = best["metrics"].as_array().unwrap();
    let tiny = metrics.iter().find(|m| m["name"] == "tiny").unwrap();
    assert_eq!(tiny["value"], 0.5);

    let line = lines(&p).lines().next().unwrap().to_owned();
    let text = format!("{line}\n\n{{\"cvops_run\":1}}\nnonsense\n{line}\n");
    let q = empty();
    q.write("runs.jsonl", text);
    let output = q.cvops("runs import runs.jsonl");
    assert_eq!(output.exit, Exit::Code(1));
    assert!(output.stdout.starts_with("1 run"), "{}", output.stdout);
    assert!(output.stderr.contains("line 3 of"), "{}", output.stderr);
    assert!(output.stderr.contains("line 4 of"), "{}", output.stderr);
}

#[test]
fn artifacts_that_are_not_there_are_counted() {
    let p = empty();
    store(&p, "v3-sqlite");
    fs::rename(p.path("store/mlflow.db"), p.path("alone.db")).unwrap();
    let output = p.ok("runs import alone.db");
    assert!(
        output
            .stderr
            .contains("the artifacts of 7 runs were not found"),
        "{}",
        output.stderr
    );
    assert_eq!(by_name(&p).len(), 6);
    // A server of MLflow keeps them beside its database.
    let q = empty();
    store(&q, "v3-sqlite");
    fs::rename(q.path("store/mlruns"), q.path("store/mlartifacts")).unwrap();
    let db = rusqlite::Connection::open(q.path("store/mlflow.db")).unwrap();
    db.execute(
        "UPDATE runs SET artifact_uri = replace(artifact_uri, '/srv/mlflow/mlruns', 'mlflow-artifacts:')",
        [],
    )
    .unwrap();
    db.execute(
        "UPDATE runs SET artifact_uri = 's3://bucket/x' WHERE name = 'child'",
        [],
    )
    .unwrap();
    drop(db);
    let said = q.ok("runs import store/mlflow.db --json").json().remove(0);
    assert_eq!(said["imported"]["artifacts"], 5);
    assert_eq!(said["artifacts_elsewhere"], 1);
    let uri = ask(&q, "SELECT artifact_uri FROM runs WHERE name = 'child'");
    assert_eq!(uri, [["s3://bucket/x"]]);
}

#[test]
fn nothing_is_added_to_an_experiment_that_is_deleted_here() {
    let p = imported("v2-file");
    let db = rusqlite::Connection::open(p.path(".cvops/tracking.db")).unwrap();
    db.execute(
        "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE id > 0",
        [],
    )
    .unwrap();
    drop(db);
    fs::remove_dir_all(p.path("store")).unwrap();
    let path = store(&p, "v3-file");
    let output = p.cvops(&format!("runs import {path}"));
    assert_eq!(output.exit, Exit::Code(1));
    assert!(
        output.stderr.contains("experiment `pets/cats & dogs`"),
        "{}",
        output.stderr
    );
    // Those of `Default` and the deleted ones come.
    assert!(output.stdout.starts_with("4 runs"), "{}", output.stdout);
}

/// Runs of a pipeline: a curve, params of several kinds, outputs, a lock.
fn recorded() -> Project {
    let p = with_pipeline(
        r#"stages:
  train:
    cmd: |
      cat params.yaml > model.bin
      printf '{"epoch":1,"loss":0.5}\n{"epoch":2,"loss":NaN}\n' > curve.jsonl
      echo '{"accuracy": 0.1, "n": 3}' > metrics.json
    params: [train]
    outs: [model.bin]
    plots: [curve.jsonl: {cache: false}]
    metrics: [metrics.json: {cache: false}]
  fails:
    cmd: exit 3
    deps: [model.bin]
"#,
    );
    p.write(
        "params.yaml",
        "train: {lr: 1.50, name: ü 'x', all: [1, a], none: null}\n",
    );
    p.cvops("repro --name first --experiment study");
    p.write(
        "params.yaml",
        "train: {lr: .inf, name: '1', all: [], none: 2}\n",
    );
    p.cvops("repro --name second");
    p
}

#[test]
fn lines_give_the_same_runs() {
    let mut sources = vec![recorded()];
    sources.extend(STORES.map(imported));
    for p in sources {
        p.ok("runs export --all --deleted -o all.jsonl");
        let all = p.read("all.jsonl");
        assert_eq!(all, lines(&p));
        let q = empty();
        q.write("all.jsonl", &all);
        let said = q.ok("runs import all.jsonl --json").json().remove(0);
        assert_eq!(said["imported"]["runs"], all.lines().count());
        assert_eq!(lines(&q), all);
        let again = q.ok("runs import all.jsonl --json").json().remove(0);
        assert_eq!(again["imported"]["runs"], 0);
        assert_eq!(again["known"]["runs"], all.lines().count());
    }
}

#[test]
fn a_run_from_a_line_can_be_applied() {
    let p = recorded();
    p.ok("runs export first -o ../first.jsonl");
    p.ok("runs rm first");
    p.ok("gc --deleted-runs --force");
    let missing = p.cvops("runs apply first");
    assert_eq!(missing.exit, Exit::Code(2));
    let back = p.ok("runs import ../first.jsonl");
    assert!(
        !back.stderr.contains("cache does not have"),
        "{}",
        back.stderr
    );
    p.ok("runs apply first");
    assert!(
        p.read("params.yaml").contains("1.5"),
        "{}",
        p.read("params.yaml")
    );
    assert_eq!(p.cvops("runs show first").exit, Exit::Code(0));
}

#[test]
fn a_table_has_the_columns_of_mlflow() {
    for name in STORES {
        let p = imported(name);
        let output = p.ok("runs export --all --deleted --format csv");
        let mut table = csv::Reader::from_reader(output.stdout.as_bytes());
        let columns: Vec<String> = table.headers().unwrap().iter().map(str::to_owned).collect();
        // `mlflow.search_runs` of the same store.
        let theirs = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden/mlflow/stores")
            .join(name)
            .join("search_runs.csv");
        let mut theirs = csv::Reader::from_path(theirs).unwrap();
        let ours = csv_rows(&mut table);
        let mut theirs = csv_rows(&mut theirs);
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (id, row) in &mut theirs {
            for (column, value) in row {
                if ["experiment_id", "artifact_uri"].contains(&column.as_str()) {
                    continue;
                }
                assert!(columns.contains(column), "{name}: {column}");
                let mine = &ours[id][column];
                match (mine.as_str(), value.as_str()) {
                    // pandas leaves NaN out; MLflow's databases have no infinity.
                    ("nan", "")
                    | ("inf", "1.7976931348623157e+308")
                    | ("-inf", "-1.7976931348623157e+308") => {}
                    (mine, theirs) => assert_eq!(mine, theirs, "{name}: {column}"),
                }
            }
        }
    }
}

fn csv_rows(
    table: &mut csv::Reader<impl std::io::Read>,
) -> BTreeMap<String, BTreeMap<String, String>> {
    let columns = table.headers().unwrap().clone();
    table
        .records()
        .map(|row| {
            let row = row.unwrap();
            let cells = columns.iter().zip(row.iter());
            let cells: BTreeMap<_, _> = cells.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
            (cells["run_id"].clone(), cells)
        })
        .collect()
}

#[test]
fn exports_say_what_is_wrong() {
    let p = empty();
    check(
        &p.cvops("runs export --all --format csv"),
        str![[r#"
--- stderr ---
error: no run is recorded in this project
 |
 = help: every `cvops repro` that runs or restores a stage records one
[exit 2]
"#]],
    );
    let p = imported("v2-file");
    check(
        &p.cvops("runs export --format csv"),
        str![[r#"
--- stderr ---
error: the following required arguments were not provided:
  <RUN>...

Usage: cvops runs export --format <FORMAT> <RUN>...

For more information, try '--help'.
[exit 2]
"#]],
    );
    check(
        &p.cvops("runs export --all --format csv --json"),
        str![[r#"
{"error":{"code":"usage","help":"leave `--json` and `--md` out, or name a file with `-o`","message":"the runs themselves go to the output in their own format","notes":[],"places":[],"severity":"error"},"event":"error"}
[exit 2]
"#]],
    );
    check(
        &p.cvops("runs export --experiment nope --format csv"),
        str![[r#"
--- stderr ---
error: there is no experiment `nope`
 |
 = help: `cvops runs list` shows the runs
[exit 2]
"#]],
    );
    check(
        &p.cvops("runs export --all -o out.csv"),
        str![[r#"
--- stderr ---
4 runs written to `[ROOT]/out.csv`
[exit 0]
"#]],
    );
    assert!(p.read("out.csv").starts_with("run_id,run_name,experiment,"));
    check(
        &p.cvops("runs export --all --format csv -o no/out.csv"),
        str![[r#"
--- stderr ---
error: could not write `[ROOT]/no/out.csv`: No such file or directory (os error 2)
 |
 = help: check the spelling of the path and that it exists
[exit 1]
"#]],
    );
}

#[test]
fn a_deleted_run_is_restored_with_everything() {
    let p = recorded();
    let before = lines(&p);
    check(
        &p.cvops("runs rm first"),
        str![[r#"
deleted first ([HASH])
--- stderr ---
1 run deleted; `cvops runs restore` brings back, `cvops gc --deleted-runs` removes for good
[exit 0]
"#]],
    );
    let listed = p.ok("runs list --all --json").json().remove(0);
    assert_eq!(listed["runs"].as_array().unwrap().len(), 1);
    check(
        &p.cvops("runs list --deleted"),
        str![[r#"
name   id        experiment  started           status  deleted
first  [HASH]  study       [DATE]  failed  [DATE]
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs restore second"),
        str![[r#"
--- stderr ---
the run `second` is not deleted
[exit 0]
"#]],
    );
    check(
        &p.cvops("runs restore firs"),
        str![[r#"
--- stderr ---
error: there is no run `firs`
 |
 = help: did you mean `first`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("runs restore first second first"),
        str![[r#"
restored first ([HASH])
--- stderr ---
the run `second` is not deleted
[exit 0]
"#]],
    );
    assert_eq!(lines(&p), before);
    check(
        &p.cvops("runs list --deleted"),
        str![[r#"
--- stderr ---
no run is deleted
[exit 0]
"#]],
    );
    p.ok("runs rm first second");
    assert_eq!(
        p.ok("runs restore last --json").json().remove(0)["restored"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // With its experiment.
    let p = imported("v3-file");
    p.ok("runs restore 'of the deleted'");
    assert_eq!(by_name(&p)["of the deleted"]["lifecycle"], "active");
    p.ok("runs export --experiment 'thrown away' --format csv");
    p.ok("runs list --experiment 'thrown away'");
}

#[test]
fn deleted_runs_keep_their_files_until_they_go_for_good() {
    let p = recorded();
    p.remove("model.bin");
    p.ok("runs rm first second");
    p.write("pipeline.yaml", "stages: {}\n");
    p.remove("pipeline.lock");
    let objects = cached(&p);
    p.ok("gc -w --force");
    assert_eq!(cached(&p), objects);
    check(
        &p.cvops("gc --deleted-runs --dry"),
        str![[r#"
2 runs would go for good
--- stderr ---
what only they used stays in the cache until the next `cvops gc -w`
[exit 0]
"#]],
    );
    check(
        &p.cvops("gc -w --deleted-runs --older-than 1d --force"),
        str![[r#"
no deleted run is to go
nothing to remove from the cache (4 objects in use)
[exit 0]
"#]],
    );
    assert_eq!(cached(&p), objects);
    let dry = p.ok("gc -w --deleted-runs --dry --json").json().remove(0);
    assert_eq!(dry["deleted"]["runs"], 2);
    assert_eq!(
        p.ok("runs list --deleted --json").json().remove(0)["deleted"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let done = p.ok("gc -w --deleted-runs --force --json").json().remove(0);
    assert_eq!(done["cache"]["removed"], dry["cache"]["removed"]);
    assert_eq!(done["deleted"]["runs"], 2);
    assert_eq!(cached(&p), 0);
    assert_eq!(
        ask(
            &p,
            "SELECT 1 FROM locks UNION ALL SELECT 1 FROM curves UNION ALL SELECT 1 FROM points"
        )
        .len(),
        0
    );
    check(
        &p.cvops("gc --deleted-runs --force"),
        str![[r#"
no deleted run is to go
[exit 0]
"#]],
    );
    check(
        &p.cvops("gc --deleted-runs"),
        str![[r#"
--- stderr ---
error: this removes deleted runs, experiments and logged models for good
 |
 = note: nobody can be asked: the input is no terminal
 = help: `--dry` says what would go, `--force` removes it
[exit 2]
"#]],
    );
    check(
        &p.cvops("gc --older-than 3d -w"),
        str![[r#"
--- stderr ---
error: the following required arguments were not provided:
  --deleted-runs

Usage: cvops gc --deleted-runs --older-than <AGE> --workspace

For more information, try '--help'.
[exit 2]
"#]],
    );
    check(
        &p.cvops("gc --deleted-runs --older-than soon"),
        str![[r#"
--- stderr ---
error: invalid value 'soon' for '--older-than <AGE>': an age looks like 30d or 12h

For more information, try '--help'.
[exit 2]
"#]],
    );
    check(
        &p.cvops("gc --deleted-runs --drop-runs --force"),
        str![[r#"
--- stderr ---
error: say what is to be kept
 |
 = help: `-w` keeps what the workspace uses; `-a`, `-T`, `-A`, `--rev` and `--date` add commits
[exit 2]
"#]],
    );
}

#[test]
fn a_purge_makes_the_record_smaller() {
    let p = empty();
    let points: Vec<Value> = (0..30_000)
        .map(|step| {
            json!([
                step,
                1_700_000_000_000_i64 + step,
                f64::from(i32::try_from(step).unwrap()) / 7.0
            ])
        })
        .collect();
    let run = json!({
        "cvops_run": 1, "id": "0123456789abcdef0123456789abcdef", "name": "long", "experiment": "e",
        "status": "FINISHED", "lifecycle": "active", "started_ms": 1, "ended_ms": 2,
        "metrics": [{"name": "m", "key": "m", "value": 1.0, "step": 29999, "at_ms": 1, "points": points}],
    });
    p.write("run.jsonl", format!("{run}\n"));
    p.ok("runs import run.jsonl");
    p.ok("runs rm long");
    let size = || -> u64 {
        ["tracking.db", "tracking.db-wal"]
            .iter()
            .map(|name| fs::metadata(p.path(&format!(".cvops/{name}"))).map_or(0, |m| m.len()))
            .sum()
    };
    let before = size();
    let done = p.ok("gc --deleted-runs --force --json").json().remove(0);
    assert_eq!(done["deleted"]["runs"], 1);
    assert!(size() < before / 3, "{before} -> {}", size());
    assert!(
        done["deleted"]["database"]["after"].as_u64()
            < done["deleted"]["database"]["before"].as_u64()
    );
    assert!(done.get("cache").is_none());
}

#[test]
fn what_the_registry_needs_stays() {
    for name in ["v2-file", "v3-sqlite"] {
        let p = imported(name);
        p.ok("runs rm 'brave crane' child 'in default'");
        let objects = cached(&p);
        let output = p.ok("gc -w --deleted-runs --force");
        assert!(
            output
                .stderr
                .contains("versions of registered models come from them: brave crane"),
            "{}",
            output.stderr
        );
        let left = by_name(&p);
        let left: Vec<_> = left.keys().map(String::as_str).collect();
        assert_eq!(left, ["brave crane", "goes on"], "{name}");
        assert_eq!(cached(&p), objects);
        assert_eq!(ask(&p, "SELECT name FROM experiments ORDER BY id").len(), 2);
        // Its outputs too, whatever else of the runs is let go of.
        p.ok("gc -w --drop-runs --force");
        assert_eq!(cached(&p), objects);
        p.ok("runs restore 'brave crane'");
        let db = rusqlite::Connection::open(p.path(".cvops/tracking.db")).unwrap();
        db.execute_batch("PRAGMA foreign_keys = on; DELETE FROM registered_models")
            .unwrap();
        drop(db);
        p.ok("runs rm 'brave crane'");
        p.ok("gc -w --deleted-runs --force");
        let left = ask(&p, "SELECT count(*) FROM artifact_files");
        let models = if name.starts_with("v3") { 2 } else { 0 };
        assert_eq!(left, [[format!("Integer({models})")]]);
        assert!(cached(&p) < objects || models == 2);
    }
}

#[test]
fn a_run_of_no_time_is_left_out() {
    let p = imported("v3-file");
    let listed = p.ok("runs list --json").stdout;
    let run = by_name(&p)["brave crane"].clone();
    let (mut text, broken) = (String::new(), 3);
    for i in 0..broken {
        let mut line = run.clone();
        line["id"] = json!(format!("{i:032x}"));
        line["models"] = json!([]);
        match i {
            0 => line["started_ms"] = json!(i64::MAX),
            1 => line["ended_ms"] = json!(i64::MIN),
            _ => line["metrics"][0]["at_ms"] = json!(i64::MAX),
        }
        text += &format!("{line}\n");
    }
    p.write("times.jsonl", text);
    let output = p.cvops("runs import times.jsonl");
    assert_eq!(output.exit, Exit::Code(1));
    let named = output.stderr.matches("is no time").count();
    assert_eq!(named, broken, "{}", output.stderr);
    // One such run, and none could be listed or removed any more.
    assert_eq!(p.ok("runs list --json").stdout, listed);
}

#[test]
fn a_hostile_store_takes_no_other_files() {
    let p = empty();
    let path = store(&p, "v3-sqlite");
    p.write("secret/artifacts/key", "secret");
    let db = rusqlite::Connection::open(p.path(&path)).unwrap();
    let secret: PathBuf = p.path("secret/artifacts");
    db.execute(
        "UPDATE runs SET artifact_uri = ?1",
        [secret.to_str().unwrap()],
    )
    .unwrap();
    drop(db);
    let said = p.ok(&format!("runs import {path} --json")).json().remove(0);
    assert_eq!(said["imported"]["artifacts"], 2);
    assert_eq!(said["missing_artifacts"].as_array().unwrap().len(), 6);

    // Nor do links lead out of it.
    let p = empty();
    let path = store(&p, "v3-file");
    p.write("secret/key", "secret");
    let runs = fs::read_dir(p.path("store/mlruns/461584405289132662")).unwrap();
    let run = runs
        .flatten()
        .find(|run| run.path().join("artifacts").is_dir());
    let run = run.unwrap().path();
    for place in ["artifacts/key", "tags/key"] {
        std::os::unix::fs::symlink(p.path("secret/key"), run.join(place)).unwrap();
    }
    let output = p.cvops(&format!("runs import {path}"));
    assert_eq!(output.exit, Exit::Code(1));
    let named = output.stderr.matches("a link that leads out").count();
    assert_eq!(named, 2, "{}", output.stderr);
    assert!(!lines(&p).contains("secret"));

    // Nor does a line take the place of another run, or leave the artifacts.
    let p = imported("v3-file");
    let before = ask(&p, "SELECT path, object FROM artifact_files");
    let best = by_name(&p)["brave crane"].clone();
    let mut hostile = best.clone();
    hostile["id"] = json!("0123456789abcdef0123456789abcdef");
    let uri = ask(
        &p,
        "SELECT artifact_uri FROM runs WHERE name = 'brave crane'",
    );
    hostile["artifact_uri"] = json!(uri[0][0]);
    hostile["files"][0]["object"] = json!("00".repeat(32));
    hostile["models"][0]["id"] = json!("../../x");
    p.write("hostile.jsonl", format!("{hostile}\n"));
    let output = p.cvops("runs import hostile.jsonl");
    assert_eq!(output.exit, Exit::Code(1));
    assert!(
        output.stderr.contains("none of MLflow's"),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains("does not have 1 object"),
        "{}",
        output.stderr
    );
    // Nor does a name speak to the terminal.
    let mut loud = best.clone();
    loud["id"] = json!("2123456789abcdef0123456789abcdef");
    (loud["models"], loud["files"]) = (json!([]), json!([]));
    for key in ["name", "experiment", "command"] {
        loud[key] = json!("a\u{1b}]0;b\u{7}\nc");
    }
    loud["tags"] = json!([["k\u{1b}[1m", "v\u{1b}[2J"]]);
    p.write("loud.jsonl", format!("{loud}\n"));
    p.ok("runs import loud.jsonl");
    for command in [
        "runs show 2123",
        "runs tag 2123 a=b",
        "runs list",
        "runs rm 2123",
    ] {
        let output = p.ok(command);
        let said = output.stdout + &output.stderr;
        let is_quiet = |c: char| c == '\n' || !c.is_control();
        assert!(said.chars().all(is_quiet), "{command}: {said:?}");
    }

    // Nor does an output lie above the run's artifacts, where a download would write it.
    let mut outside = best.clone();
    outside["id"] = json!("1123456789abcdef0123456789abcdef");
    outside["artifacts"] = json!([
        {"path": "m/../../x", "object": "00".repeat(32), "size": 1, "files": null, "stage": "s"}
    ]);
    p.write("outside.jsonl", format!("{outside}\n"));
    let output = p.cvops("runs import outside.jsonl");
    assert_eq!(output.exit, Exit::Code(1));
    assert!(
        output.stderr.contains("`m/../../x` is no path"),
        "{}",
        output.stderr
    );
    let after = ask(&p, "SELECT path, object FROM artifact_files");
    assert!(before.iter().all(|file| after.contains(file)));
    assert_eq!(after.len(), before.len() + 3);
    assert!(after.iter().all(|file| !file[0].contains("..")));
}

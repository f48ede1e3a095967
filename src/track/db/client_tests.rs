//! What clients of MLflow log and change, and what a server's writer promises.

use std::collections::BTreeMap;

use super::*;
use crate::project::personality::CVOPS;
use crate::track::entity::{
    Dataset, DatasetInput, ExperimentId, Lifecycle, MetricPoint, ModelOutput, Tag,
};
use crate::track::error::Refusal;
use crate::track::run::{Batch, Curve, Key, Metric, NewRun, RunId, Status};

fn project() -> (tempfile::TempDir, Layout) {
    let tmp = tempfile::tempdir().unwrap();
    let layout = Layout::new(tmp.path(), &CVOPS);
    (tmp, layout)
}

fn tracking() -> (tempfile::TempDir, Tracking) {
    let (tmp, layout) = project();
    (tmp, Tracking::open(&layout).unwrap())
}

fn new_record(name: Option<&str>, tags: &[(&str, &str)]) -> NewRecord {
    NewRecord {
        experiment: ExperimentId(0),
        user: "ada".into(),
        name: name.map(str::to_owned),
        started_ms: 1_000,
        tags: tags.iter().map(|(k, v)| Tag::new(*k, *v)).collect(),
    }
}

fn record(tracking: &mut Tracking, name: Option<&str>) -> RunId {
    let made = tracking.change(|w| w.create_record(&new_record(name, &[])));
    made.unwrap().info.id
}

fn points(name: &str, points: &[(i64, i64, f64)]) -> LoggedBatch {
    let logged = points.iter().map(|&(step, at_ms, value)| LoggedPoint {
        point: MetricPoint {
            name: name.into(),
            value,
            at_ms,
            step,
        },
        model: None,
        dataset: None,
    });
    LoggedBatch {
        metrics: logged.collect(),
        ..LoggedBatch::default()
    }
}

fn params(params: &[(&str, &str)]) -> LoggedBatch {
    LoggedBatch {
        params: params.iter().map(|(k, v)| Tag::new(*k, *v)).collect(),
        ..LoggedBatch::default()
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, why: Refusal, message: &str) {
    match result {
        Err(Error::Refused {
            why: found,
            message: text,
        }) => {
            assert_eq!(found, why, "{text}");
            assert!(text.contains(message), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

fn history(tracking: &Tracking, id: RunId, name: &str) -> Vec<(i64, f64)> {
    let page = tracking.reader().metric_history(id, name, None, None);
    let items = page.unwrap().items;
    items.iter().map(|p| (p.step, p.value)).collect()
}

#[test]
fn every_earlier_schema_is_migrated_and_kept_beside() {
    // Those after them have the tables of today.
    for seen in [1, 2] {
        let (_tmp, layout) = project();
        fs::create_dir_all(layout.state_dir()).unwrap();
        let path = layout.tracking_db();
        let old = db::open(&path, &schema::MIGRATIONS[..seen], db::Backup::None).unwrap();
        let id = "0123456789abcdef0123456789abcdef";
        old.execute_batch(&format!(
            "INSERT INTO runs (number, id, experiment, name, status, started_ms, command, targets, git_commit)
             VALUES (1, '{id}', 0, 'old', 'FINISHED', 1000, 'cvops repro', '[]', 'abc');
             INSERT INTO params (run, file, key, value) VALUES
                 (1, 'params.yaml', 'lr', '0.1'), (1, 'params.yaml', 'name', '\"a\\\"b\"'),
                 (1, 'other.yaml', 'lr', 'NaN');
             INSERT INTO metrics (id, run, file, key, value, step, at_ms) VALUES
                 (1, 1, 'h.jsonl', 'loss', NULL, 2, 2000), (2, 1, 'm.json', 'loss', 0.5, 0, 2000);
             INSERT INTO points (metric, step, at_ms, value) VALUES
                 (1, 1, 2000, 1.0), (1, 2, 2000, NULL), (1, 2, 2000, NULL), (2, 0, 2000, 0.5);"
        ))
        .unwrap();
        drop(old);
        let tracking = Tracking::open(&layout).unwrap();
        let record = tracking.reader().record(id.parse().unwrap()).unwrap();
        let params: Vec<_> = record
            .params
            .iter()
            .map(|p| (p.key.as_str(), p.value.as_str()))
            .collect();
        assert_eq!(
            params,
            [("lr", "0.1"), ("name", "a\"b"), ("other.yaml:lr", "NaN")]
        );
        let run = tracking.get(record.info.id).unwrap();
        assert_eq!(run.params.len(), 3);
        assert_eq!(
            run.params[&Key::new("params.yaml", "name")].as_str(),
            Some("a\"b")
        );
        let names: Vec<_> = record.metrics.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["h.jsonl:loss", "loss"]);
        let old = history(&tracking, record.info.id, "h.jsonl:loss");
        assert!(old.len() == 2 && old.contains(&(1, 1.0)) && old.iter().any(|p| p.1.is_nan()));
        let tags: BTreeMap<_, _> = run
            .tags
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(tags["mlflow.runName"], "old");
        assert_eq!(tags["mlflow.source.git.commit"], "abc");
        let mut backup = path.into_os_string();
        backup.push(format!(".v{seen}"));
        let copy = Connection::open(&backup).unwrap();
        let rows: i64 = copy
            .query_row("SELECT count(*) FROM points", [], |row| row.get(0))
            .unwrap();
        let version: i64 = copy
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        assert_eq!((rows, version), (4, seen as i64));
    }
}

#[test]
fn experiments_are_renamed_deleted_and_restored_with_their_runs() {
    let (_tmp, mut tracking) = tracking();
    let default = tracking.reader().experiment(ExperimentId(0)).unwrap();
    assert_eq!(default.name, "Default");
    assert_eq!(default.artifact_location, "mlflow-artifacts:/0");
    let tags = [Tag::new("team", "vision")];
    let id = tracking
        .change(|w| w.create_experiment("défaut", None, &tags, 5))
        .unwrap();
    refused(
        tracking.change(|w| w.create_experiment("défaut", None, &[], 6)),
        Refusal::Exists,
        "Experiment(name=défaut) already exists",
    );
    refused(
        tracking.change(|w| w.create_experiment("", None, &[], 6)),
        Refusal::Invalid,
        "must not be empty",
    );
    let run = {
        let new = NewRecord {
            experiment: id,
            ..new_record(None, &[])
        };
        tracking.change(|w| w.create_record(&new)).unwrap().info
    };
    assert_eq!(
        run.artifact_uri,
        format!("mlflow-artifacts:/{id}/{}/artifacts", run.id)
    );
    tracking
        .change(|w| w.rename_experiment(id, "renamed", 7))
        .unwrap();
    refused(
        tracking.change(|w| w.rename_experiment(id, "Default", 8)),
        Refusal::Exists,
        "already exists",
    );
    tracking.change(|w| w.delete_experiment(id, 9)).unwrap();
    let info = |tracking: &Tracking| tracking.reader().run_info(run.id).unwrap().lifecycle;
    assert_eq!(info(&tracking), Lifecycle::Deleted);
    let deleted = tracking.reader().experiment_by_name("renamed").unwrap();
    assert_eq!(
        (deleted.lifecycle, deleted.updated_ms),
        (Lifecycle::Deleted, 9)
    );
    assert_eq!(deleted.tags, tags);
    refused(
        tracking.change(|w| w.rename_experiment(id, "x", 10)),
        Refusal::Invalid,
        "non-active",
    );
    refused(
        tracking.change(|w| w.set_experiment_tag(id, "a", "b", 10)),
        Refusal::Invalid,
        "Current state is deleted",
    );
    refused(
        tracking.change(|w| {
            w.create_record(&NewRecord {
                experiment: id,
                ..new_record(None, &[])
            })
        }),
        Refusal::Invalid,
        "must be in the 'active' state",
    );
    tracking.change(|w| w.restore_experiment(id, 11)).unwrap();
    assert_eq!(info(&tracking), Lifecycle::Active);
    tracking
        .change(|w| w.set_experiment_tag(id, "a", "b", 12))
        .unwrap();
    tracking
        .change(|w| w.delete_experiment_tag(id, "a", 13))
        .unwrap();
    refused(
        tracking.change(|w| w.delete_experiment_tag(id, "a", 13)),
        Refusal::Missing,
        "No tag with name: a",
    );
    refused(
        tracking.change(|w| w.delete_experiment(ExperimentId(99), 13)),
        Refusal::Missing,
        "No Experiment with id=99 exists",
    );
}

#[test]
fn a_name_is_a_tag_and_a_tag_a_name() {
    let (_tmp, mut tracking) = tracking();
    let mut name_of = |name: Option<&str>, tags: &[(&str, &str)]| {
        let new = new_record(name, tags);
        tracking.change(|w| w.create_record(&new))
    };
    let made = name_of(None, &[("mlflow.runName", "tagged")]).unwrap();
    assert_eq!(made.info.name, "tagged");
    let named = name_of(Some("named"), &[]).unwrap();
    assert_eq!(named.tags, [Tag::new("mlflow.runName", "named")]);
    assert!(!name_of(None, &[]).unwrap().info.name.is_empty());
    let unnamed = name_of(None, &[("mlflow.runName", "")]).unwrap();
    assert!(!unnamed.info.name.is_empty());
    assert_eq!(
        unnamed.tags,
        [Tag::new("mlflow.runName", unnamed.info.name)]
    );
    let kept = name_of(Some("kept"), &[("mlflow.runName", ""), ("mail@of", "ada")]).unwrap();
    let tags = [
        Tag::new("mail@of", "ada"),
        Tag::new("mlflow.runName", "kept"),
    ];
    assert_eq!(kept.tags, tags);
    refused(
        name_of(None, &[(&"k".repeat(251), "")]),
        Refusal::Invalid,
        "'tags[0].key' exceeds the maximum length of 250 characters",
    );
    refused(
        name_of(Some("a"), &[("mlflow.runName", "b")]),
        Refusal::Invalid,
        "but with different values (run_name='a', mlflow.runName='b')",
    );
    let id = named.info.id;
    let change = RunChange {
        status: Some(Status::Finished),
        ended_ms: Some(2_000),
        name: Some("renamed".into()),
    };
    let info = tracking.change(|w| w.update_run(id, &change)).unwrap();
    assert_eq!(
        (
            info.name.as_str(),
            info.status,
            info.ended_ms,
            info.user.as_str()
        ),
        ("renamed", Status::Finished, Some(2_000), "ada")
    );
    tracking
        .change(|w| w.set_run_tag(id, "mlflow.runName", "again"))
        .unwrap();
    tracking
        .change(|w| w.set_run_tag(id, "mlflow.runName", ""))
        .unwrap();
    assert_eq!(tracking.reader().run_info(id).unwrap().name, "again");
    let parent = made.info.id.to_string();
    tracking
        .change(|w| w.set_run_tag(id, "mlflow.parentRunId", &parent))
        .unwrap();
    assert_eq!(tracking.get(id).unwrap().parent, Some(made.info.id));
}

#[test]
fn a_deleted_run_is_read_and_not_written() {
    let (_tmp, mut tracking) = tracking();
    let id = record(&mut tracking, Some("r"));
    tracking.change(|w| w.delete_run(id, 5)).unwrap();
    assert_eq!(
        tracking.reader().run_info(id).unwrap().lifecycle,
        Lifecycle::Deleted
    );
    assert!(tracking.list(&Filter::default()).unwrap().is_empty());
    let deleted = "must be in the 'active' state. Current state is deleted.";
    let batch = points("a", &[(0, 0, 1.0)]);
    let writes = [
        tracking.change(|w| w.log_batch_of(id, &batch)),
        tracking.change(|w| w.set_run_tag(id, "a", "b")),
        tracking.change(|w| w.update_run(id, &RunChange::default()).map(drop)),
        tracking.change(|w| w.log_outputs(id, &[])),
    ];
    for write in writes {
        refused(write, Refusal::Invalid, deleted);
    }
    tracking.change(|w| w.restore_run(id)).unwrap();
    tracking.change(|w| w.log_batch_of(id, &batch)).unwrap();
    let other = RunId::random();
    refused(
        tracking.change(|w| w.delete_run(other, 5)),
        Refusal::Missing,
        "not found",
    );
}

#[test]
fn the_latest_value_is_of_the_highest_step_time_and_value() {
    let (_tmp, mut tracking) = tracking();
    let id = record(&mut tracking, None);
    let mut latest = |batch: &[(i64, i64, f64)]| {
        let batch = points("m", batch);
        tracking.change(|w| w.log_batch_of(id, &batch)).unwrap();
        let record = tracking.reader().record(id).unwrap();
        record.metrics[0].value
    };
    assert_eq!(latest(&[(5, 10, 1.0), (3, 99, 7.0)]), 1.0);
    assert_eq!(latest(&[(5, 9, 8.0)]), 1.0, "an earlier time");
    assert_eq!(latest(&[(5, 10, 0.5)]), 1.0, "a smaller value");
    assert_eq!(latest(&[(5, 10, f64::NAN)]), 1.0, "NaN is below all");
    assert_eq!(latest(&[(5, 10, 2.0)]), 2.0);
    assert!(latest(&[(6, 0, f64::NAN)]).is_nan());
    assert_eq!(latest(&[(6, 0, f64::NEG_INFINITY)]), f64::NEG_INFINITY);
    assert_eq!(latest(&[(-7, 0, 3.0)]), f64::NEG_INFINITY);
    let before = history(&tracking, id, "m").len();
    let twice = points("m", &[(5, 10, 2.0), (6, 0, f64::NAN), (5, 10, 2.0)]);
    tracking.change(|w| w.log_batch_of(id, &twice)).unwrap();
    assert_eq!(history(&tracking, id, "m").len(), before);
}

#[test]
fn histories_come_in_pages_that_hold_every_point_once() {
    let (_tmp, mut tracking) = tracking();
    let id = record(&mut tracking, None);
    // Many at one time and step, NaN among them.
    let mut all: Vec<(i64, i64, f64)> = (0..300)
        .map(|i| (i % 7, i / 50, f64::from(i as i32)))
        .collect();
    all.push((0, 0, f64::NAN));
    all.push((0, 0, f64::INFINITY));
    all.push((0, 0, -1.0));
    let batch = points("m", &all);
    tracking.change(|w| w.log_batch_of(id, &batch)).unwrap();
    let whole = tracking
        .reader()
        .metric_history(id, "m", None, None)
        .unwrap();
    assert_eq!((whole.items.len(), whole.next), (303, None));
    assert!(whole.items[0].value.is_nan() && whole.items[1].value == -1.0);
    for size in [1, 7, 100, 302, 303] {
        let (mut token, mut items) = (None, Vec::new());
        loop {
            let page = tracking
                .reader()
                .metric_history(id, "m", Some(size), token.as_deref())
                .unwrap();
            assert!(!page.items.is_empty() && page.items.len() <= size);
            items.extend(page.items);
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        assert!(
            format!("{items:?}") == format!("{:?}", whole.items),
            "{size}"
        );
    }
    let none = tracking
        .reader()
        .metric_history(id, "nope", Some(5), None)
        .unwrap();
    assert_eq!((none.items.len(), none.next), (0, None));
    refused(
        tracking
            .reader()
            .metric_history(id, "m", Some(5), Some("x!")),
        Refusal::Invalid,
        "Invalid page token",
    );
    let sampled = tracking
        .reader()
        .metric_histories(&[id], "m", Some((1, 6)), 2)
        .unwrap();
    assert!(sampled.iter().all(|(_, p)| p.step == 1 || p.step == 6));
}

#[test]
fn a_param_keeps_its_first_value_and_a_batch_is_all_or_nothing() {
    let (_tmp, mut tracking) = tracking();
    let id = record(&mut tracking, None);
    let log = |tracking: &mut Tracking, batch: &LoggedBatch| {
        tracking.change(|w| w.log_batch_of(id, batch))
    };
    log(&mut tracking, &params(&[("lr", "0.1"), ("empty", "")])).unwrap();
    log(&mut tracking, &params(&[("lr", "0.1"), ("empty", "")])).unwrap();
    let mut batch = params(&[("new", "1"), ("lr", "0.2")]);
    batch.metrics = points("m", &[(0, 0, 1.0)]).metrics;
    refused(
        log(&mut tracking, &batch),
        Refusal::Invalid,
        "[{'key': 'lr', 'old value': '0.1', 'new value': '0.2'}]",
    );
    let record = tracking.reader().record(id).unwrap();
    assert_eq!(
        record.params,
        [Tag::new("empty", ""), Tag::new("lr", "0.1")]
    );
    assert!(record.metrics.is_empty());
    log(&mut tracking, &params(&[("long", &"é".repeat(7000))])).unwrap();
    let record = tracking.reader().record(id).unwrap();
    assert_eq!(record.params[1].value.chars().count(), 6000);
}

#[test]
fn datasets_are_known_once_and_models_are_noted() {
    let (_tmp, mut tracking) = tracking();
    let input = |context: &str| DatasetInput {
        dataset: Dataset {
            name: "digits".into(),
            digest: "abc".into(),
            source_type: "local".into(),
            source: "{}".into(),
            schema: None,
            profile: Some("{}".into()),
        },
        tags: vec![Tag::new("mlflow.data.context", context)],
    };
    let ids = [record(&mut tracking, None), record(&mut tracking, None)];
    for (id, context) in ids.into_iter().zip(["training", "validation"]) {
        let output = ModelOutput {
            model: "m-1".into(),
            step: 3,
        };
        let (inputs, models) = ([input(context)], ["m-0".to_owned()]);
        tracking
            .change(|w| {
                w.log_inputs(id, &inputs, &models)?;
                w.log_inputs(id, &[input("later")], &models)?;
                w.log_outputs(id, &[output])
            })
            .unwrap();
    }
    for (id, context) in ids.into_iter().zip(["training", "validation"]) {
        let record = tracking.reader().record(id).unwrap();
        assert_eq!(record.datasets, [input(context)]);
        assert_eq!(record.model_inputs, ["m-0"]);
        assert_eq!(record.model_outputs[0].step, 3);
    }
    let count: i64 = tracking
        .db
        .query_row("SELECT count(*) FROM datasets", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 1);
    let mut long = input("x");
    long.dataset.digest = "d".repeat(37);
    let id = ids[0];
    refused(
        tracking.change(|w| w.log_inputs(id, &[long], &[])),
        Refusal::Invalid,
        "'digest' exceeds the maximum length of 36 characters",
    );
}

#[test]
fn what_a_stage_logs_and_writes_is_one_metric() {
    let (_tmp, mut tracking) = tracking();
    let new = NewRun {
        experiment: "Default".into(),
        name: Some("r".into()),
        parent: None,
        started: time(1_000).unwrap(),
        command: "cvops repro".into(),
        targets: Vec::new(),
        tags: BTreeMap::new(),
    };
    let (id, _) = tracking.create_run(&new).unwrap();
    for batch in [
        points("loss", &[(1, 10, 0.5), (2, 20, 0.25)]),
        points("other", &[(1, 10, 0.5)]),
        points("accuracy", &[(0, 30, 0.875)]),
    ] {
        tracking.change(|w| w.log_batch_of(id, &batch)).unwrap();
    }
    let curve = |key: &str, points: &[(i64, f64)]| Curve {
        key: Key::new("h.jsonl", key),
        points: points.to_vec(),
        at: time(2_000).unwrap(),
    };
    let metric = |file: &str, key: &str, value| Metric {
        key: Key::new(file, key),
        value,
        step: 0,
        at: time(2_000).unwrap(),
    };
    let batch = Batch {
        curves: vec![
            curve("loss", &[(1, 0.5), (2, 0.25)]),
            curve("other", &[(1, 0.75)]),
            curve("f1", &[(1, 0.75)]),
        ],
        metrics: vec![
            metric("m.json", "accuracy", 0.875),
            metric("m.json", "f1", 0.5),
            metric("n.json", "f1", 0.25),
        ],
        ..Batch::default()
    };
    tracking.log_batch(id, &batch).unwrap();
    tracking.log_batch(id, &batch).unwrap();
    let record = tracking.reader().record(id).unwrap();
    let metrics: Vec<_> = record
        .metrics
        .iter()
        .map(|m| (m.name.as_str(), m.value))
        .collect();
    assert_eq!(
        metrics,
        [
            ("accuracy", 0.875),
            ("f1", 0.5),
            ("h.jsonl:f1", 0.75),
            ("h.jsonl:other", 0.75),
            ("loss", 0.25),
            ("n.json:f1", 0.25),
            ("other", 0.5),
        ]
    );
    assert_eq!(history(&tracking, id, "loss"), [(1, 0.5), (2, 0.25)]);
    let run = tracking.get(id).unwrap();
    assert_eq!(run.metric(&Key::new("h.jsonl", "loss")), Some(0.25));
    assert_eq!(run.metric(&Key::new("m.json", "accuracy")), Some(0.875));
}

#[test]
fn many_threads_write_and_one_that_fails_takes_back_only_itself() {
    let (_tmp, layout) = project();
    let shared = Shared::open(&layout).unwrap();
    let id = shared
        .change(|w| w.create_record(&new_record(None, &[])))
        .unwrap()
        .info
        .id;
    std::thread::scope(|scope| {
        for thread in 0..8_i64 {
            let shared = shared.clone();
            scope.spawn(move || {
                for i in 0..50_i64 {
                    let batch = points(&format!("m{thread}"), &[(i, i, 1.0)]);
                    shared.change(move |w| w.log_batch_of(id, &batch)).unwrap();
                    let failed = shared.change(move |w| {
                        let batch = points("never", &[(i, i, 1.0)]);
                        w.log_batch_of(id, &batch)?;
                        Err::<(), _>(Error::invalid("on purpose"))
                    });
                    assert!(failed.is_err());
                }
            });
        }
    });
    let record = shared.read(|reader| reader.record(id)).unwrap();
    assert_eq!(record.metrics.len(), 8);
    for thread in 0..8 {
        let page = shared.read(|r| r.metric_history(id, &format!("m{thread}"), None, None));
        assert_eq!(page.unwrap().items.len(), 50);
    }
    // What was told is there for everybody else.
    let other = Tracking::open(&layout).unwrap();
    assert_eq!(other.reader().record(id).unwrap().metrics.len(), 8);
}

#[test]
fn a_change_that_panics_takes_back_only_itself() {
    let (_tmp, layout) = project();
    let shared = Shared::open(&layout).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let shared = shared.clone();
            scope.spawn(move || {
                for i in 0..5 {
                    let name = format!("e{thread}-{i}");
                    let broken: Result<(), Error> = shared.change(|w| {
                        w.create_experiment("never", None, &[], 1)?;
                        panic!("on purpose")
                    });
                    assert!(matches!(broken, Err(Error::Panicked)));
                    let made = shared.change(move |w| w.create_experiment(&name, None, &[], 1));
                    made.unwrap();
                }
            });
        }
    });
    let experiments = Tracking::open(&layout).unwrap().experiments().unwrap();
    assert_eq!(experiments.len(), 21);
    assert!(!experiments.iter().any(|name| name == "never"));
}

#[test]
fn of_racing_creates_of_one_name_one_wins() {
    let (_tmp, layout) = project();
    let shared = Shared::open(&layout).unwrap();
    let won = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(
                || match shared.change(|w| w.create_experiment("same", None, &[], 1)) {
                    Ok(_) => {
                        won.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                    Err(error) => refused(Err::<(), _>(error), Refusal::Exists, "same"),
                },
            );
        }
    });
    assert_eq!(won.into_inner(), 1);
}

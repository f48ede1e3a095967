//! Runs written and read back, by several processes' worth of connections.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::base::doc::Value;
use crate::base::{ContentHash, ObjectId};
use crate::project::personality::CVOPS;
use crate::track::run::{
    Artifact, Batch, Curve, End, Git, Key, Metric, NewRun, Param, Run, RunId, StageOutcome,
    StageRecord, Status,
};

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn new_run(name: Option<&str>) -> NewRun {
    NewRun {
        experiment: "Default".into(),
        name: name.map(str::to_owned),
        parent: None,
        started: at(1_000),
        command: "cvops repro".into(),
        targets: vec!["train".into()],
        tags: BTreeMap::from([("note".into(), "first".into())]),
    }
}

#[test]
fn runs_do_not_use_up_numbers_of_experiments() {
    let tmp = tempfile::tempdir().unwrap();
    let layout = Layout::new(tmp.path(), &CVOPS);
    let mut tracking = Tracking::open(&layout).unwrap();
    for _ in 0..5 {
        tracking.create_run(&new_run(None)).unwrap();
    }
    let named = NewRun {
        experiment: "next".into(),
        ..new_run(None)
    };
    tracking.create_run(&named).unwrap();
    tracking.create_run(&named).unwrap();
    let next = tracking.reader().experiment_by_name("next").unwrap();
    assert_eq!(next.id.0, 1);
}

fn metric(key: &str, value: f64, step: i64) -> Metric {
    Metric {
        key: Key::new("m.json", key),
        value,
        step,
        at: at(2_000),
    }
}

fn curve(points: &[(i64, f64)]) -> Curve {
    Curve {
        key: Key::new("h.jsonl", "loss"),
        points: points.to_vec(),
        at: at(2_500),
    }
}

fn end(status: Status, lock: Option<&str>) -> End {
    End {
        status,
        ended: at(3_500),
        lock: lock.map(str::to_owned),
        git: None,
    }
}

fn project() -> (tempfile::TempDir, Layout) {
    let tmp = tempfile::tempdir().unwrap();
    let layout = Layout::new(tmp.path(), &CVOPS);
    (tmp, layout)
}

fn names(runs: &[Run]) -> String {
    runs.iter()
        .map(|r| r.name.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_run_comes_back_as_it_was_recorded() {
    let (_tmp, layout) = project();
    assert!(Tracking::open_existing(&layout).unwrap().is_none());
    let mut tracking = Tracking::open(&layout).unwrap();
    let (id, name) = tracking.create_run(&new_run(None)).unwrap();
    assert_eq!(name, id.default_name());
    assert_eq!(tracking.get(id).unwrap().status, Status::Running);
    let batch = Batch {
        params: vec![
            Param {
                key: Key::new("params.yaml", "train.lr"),
                value: Value::Float(1.0),
            },
            Param {
                key: Key::new("params.yaml", "train.limit"),
                value: Value::Float(f64::INFINITY),
            },
            Param {
                key: Key::new("params.yaml", "model.blocks"),
                value: Value::List(vec![Value::Int(1), Value::Str("a".into())]),
            },
        ],
        metrics: vec![
            metric("loss", 0.5, 1),
            metric("loss", f64::NAN, 2),
            metric("accuracy", f64::INFINITY, 0),
        ],
        curves: vec![curve(&[(2, 0.25), (1, 0.5), (3, f64::NAN)])],
        tags: BTreeMap::from([("note".into(), "second".into())]),
        artifacts: vec![Artifact {
            path: "models/a".into(),
            object: ObjectId::Tree(ContentHash::of(b"a")),
            size: 12,
            files: Some(2),
            stage: "train".into(),
        }],
        stages: vec![StageRecord {
            name: "train".into(),
            outcome: StageOutcome::Failed,
            took: Duration::from_millis(1234),
            message: Some("it failed".into()),
        }],
    };
    tracking.log_batch(id, &batch).unwrap();
    let git = Git {
        commit: "c".repeat(40),
        branch: Some("main".into()),
        dirty: Some(true),
    };
    let end = End {
        git: Some(git.clone()),
        ..end(Status::Failed, Some("lock text"))
    };
    tracking.finish(id, &Batch::default(), &end).unwrap();

    let reader = Tracking::open_existing(&layout).unwrap().unwrap();
    let run = reader.find("last").unwrap();
    assert_eq!((run.id, run.status), (id, Status::Failed));
    assert_eq!(run.took(), Some(Duration::from_millis(2500)));
    assert_eq!(run.git, Some(git));
    assert_eq!(run.targets, ["train"]);
    assert_eq!(run.tags["note"], "second");
    assert_eq!(
        (&run.stages, &run.artifacts),
        (&batch.stages, &batch.artifacts)
    );
    let params: BTreeMap<_, _> = batch.params.into_iter().map(|p| (p.key, p.value)).collect();
    assert_eq!(run.params, params);
    assert!(run.metric(&Key::new("m.json", "loss")).unwrap().is_nan());
    assert_eq!(
        run.metric(&Key::new("m.json", "accuracy")),
        Some(f64::INFINITY)
    );
    let history = reader.history(id, &Key::new("m.json", "loss")).unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!((history[0].step, history[0].value), (1, 0.5));
    let key = Key::new("h.jsonl", "loss");
    assert!(run.metric(&key).unwrap().is_nan());
    let curve = reader.history(id, &key).unwrap();
    let steps: Vec<_> = curve.iter().map(|p| (p.step, p.at)).collect();
    assert_eq!(steps, [(1, at(2_500)), (2, at(2_500)), (3, at(2_500))]);
    assert_eq!((curve[0].value, curve[1].value), (0.5, 0.25));
    assert!(curve[2].value.is_nan());
    assert_eq!(reader.lock_text(id).unwrap().as_deref(), Some("lock text"));
    let kept = reader.reader().kept_objects(Keep::All).unwrap();
    assert_eq!(kept.len(), 1);
}

#[test]
fn runs_are_found_by_id_beginning_name_and_last() {
    let (_tmp, layout) = project();
    let mut tracking = Tracking::open(&layout).unwrap();
    assert!(matches!(tracking.find("last"), Err(Error::NoRuns)));
    assert!(matches!(tracking.find("x"), Err(Error::NoRuns)));
    let (a, _) = tracking.create_run(&new_run(Some("first"))).unwrap();
    let (b, _) = tracking.create_run(&new_run(Some("twin"))).unwrap();
    let (c, _) = tracking.create_run(&new_run(Some("twin"))).unwrap();
    assert_eq!(tracking.find("first").unwrap().id, a);
    assert_eq!(tracking.find(&b.to_string()).unwrap().id, b);
    assert_eq!(tracking.find(&b.to_string()[..12]).unwrap().id, b);
    let capitals = b.to_string()[..12].to_uppercase();
    assert_eq!(tracking.find(&capitals).unwrap().id, b);
    assert_eq!(tracking.find("last").unwrap().id, c);
    match tracking.find("twin") {
        Err(Error::AmbiguousRun { candidates, .. }) => {
            let ids: Vec<_> = candidates.into_iter().map(|one| one.id).collect();
            assert_eq!(ids, [c, b]);
        }
        other => panic!("{other:?}"),
    }
    match tracking.find("frist") {
        Err(Error::UnknownRun { nearest, .. }) => assert_eq!(nearest.as_deref(), Some("first")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        tracking.find(&a.to_string()[..3]),
        Err(Error::UnknownRun { is_short: true, .. })
    ));
}

#[test]
fn of_attempts_at_one_part_the_last_is_meant() {
    let (_tmp, layout) = project();
    let mut tracking = Tracking::open(&layout).unwrap();
    let (parent, _) = tracking.create_run(&new_run(Some("s"))).unwrap();
    let mut attempt = |status| {
        let new = NewRun {
            parent: Some(parent),
            ..new_run(Some("s-1"))
        };
        let (id, _) = tracking.create_run(&new).unwrap();
        let end = End {
            status,
            ended: at(2_000),
            lock: None,
            git: None,
        };
        tracking.finish(id, &Batch::default(), &end).unwrap();
        (id, tracking.find("s-1").unwrap().id)
    };
    let (first, found) = attempt(Status::Killed);
    assert_eq!(found, first);
    let (second, found) = attempt(Status::Killed);
    assert_eq!(found, second);
    let (third, found) = attempt(Status::Finished);
    assert_eq!(found, third);
    let (_, found) = attempt(Status::Killed);
    assert_eq!(found, third);
}

#[test]
fn lists_are_ordered_filtered_and_cut() {
    let (_tmp, layout) = project();
    let mut tracking = Tracking::open(&layout).unwrap();
    let mut add = |name: &str, experiment: &str, loss: Option<f64>, status: Status| {
        let new = NewRun {
            experiment: experiment.into(),
            ..new_run(Some(name))
        };
        let (id, _) = tracking.create_run(&new).unwrap();
        let batch = Batch {
            metrics: loss.map(|l| metric("loss", l, 0)).into_iter().collect(),
            ..Batch::default()
        };
        tracking.finish(id, &batch, &end(status, None)).unwrap();
    };
    add("a", "Default", Some(0.3), Status::Finished);
    add("b", "Default", Some(0.1), Status::Failed);
    add("c", "other", None, Status::Finished);
    add("d", "other", Some(0.2), Status::Killed);
    let list = |filter: Filter| names(&tracking.list(&filter).unwrap());
    assert_eq!(list(Filter::default()), "d c b a");
    let lowest = Filter {
        order: Order::Lowest("loss".into()),
        ..Filter::default()
    };
    assert_eq!(list(lowest.clone()), "b d a c");
    let highest = Filter {
        order: Order::Highest("m.json:loss".into()),
        limit: Some(2),
        ..Filter::default()
    };
    assert_eq!(list(highest), "a d");
    let other = Filter {
        experiment: Some("other".into()),
        ..lowest
    };
    assert_eq!(list(other), "d c");
    let failed = Filter {
        status: vec![Status::Failed, Status::Killed],
        limit: Some(1),
        ..Filter::default()
    };
    assert_eq!(list(failed), "d");
    let unknown = Filter {
        order: Order::Lowest("los".into()),
        ..Filter::default()
    };
    assert!(matches!(
        tracking.list(&unknown),
        Err(Error::UnknownMetric { nearest: Some(n), .. }) if n == "loss"
    ));
    assert_eq!(tracking.count().unwrap(), 4);
}

#[test]
fn a_metric_of_several_files_must_say_which() {
    let (_tmp, layout) = project();
    let mut tracking = Tracking::open(&layout).unwrap();
    let add = |tracking: &mut Tracking, files: &[(&str, f64)]| {
        let (id, _) = tracking.create_run(&new_run(None)).unwrap();
        let of = |(file, value): &(&str, f64)| Metric {
            key: Key::new(*file, "loss"),
            ..metric("loss", *value, 0)
        };
        let batch = Batch {
            metrics: files.iter().map(of).collect(),
            ..Batch::default()
        };
        let end = end(Status::Finished, None);
        tracking.finish(id, &batch, &end).unwrap();
    };
    add(&mut tracking, &[("t.jsonl", 0.1), ("b.json", 0.2)]);
    let found = tracking.metric_key("loss").unwrap();
    assert_eq!(found, Key::new("b.json", "loss"));
    let found = tracking.metric_key("t.jsonl:loss").unwrap();
    assert_eq!(found, Key::new("t.jsonl", "loss"));
    add(&mut tracking, &[("a.json", 0.3)]);
    match tracking.metric_key("loss") {
        Err(Error::AmbiguousMetric { candidates, .. }) => {
            assert_eq!(candidates, ["a.json:loss", "b.json:loss"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_value_is_that_of_the_highest_step() {
    let (_tmp, layout) = project();
    let mut tracking = Tracking::open(&layout).unwrap();
    let (id, _) = tracking.create_run(&new_run(None)).unwrap();
    let batch = Batch {
        metrics: vec![
            metric("m", 3.0, 3),
            metric("m", 1.0, 1),
            metric("m", 4.0, 3),
        ],
        ..Batch::default()
    };
    tracking.log_batch(id, &batch).unwrap();
    let run = tracking.get(id).unwrap();
    assert_eq!((run.metrics[0].value, run.metrics[0].step), (4.0, 3));
}

#[test]
fn a_run_of_a_dead_process_was_killed() {
    let (_tmp, layout) = project();
    let mut tracking = Tracking::open(&layout).unwrap();
    let (mine, _) = tracking.create_run(&new_run(None)).unwrap();
    let (dead, _) = tracking.create_run(&new_run(None)).unwrap();
    let (foreign, _) = tracking.create_run(&new_run(None)).unwrap();
    let set = "UPDATE runs SET owner = ?2 WHERE id = ?1";
    let of_me: String = tracking
        .db
        .query_row("SELECT owner FROM runs", [], |row| row.get(0))
        .unwrap();
    let of_dead = format!("{of_me}9");
    tracking
        .db
        .execute(set, [dead.to_string(), of_dead])
        .unwrap();
    tracking
        .db
        .execute(
            "UPDATE runs SET owner = NULL WHERE id = ?1",
            [foreign.to_string()],
        )
        .unwrap();
    let status = |tracking: &Tracking, id: RunId| tracking.get(id).unwrap().status;
    assert_eq!(status(&tracking, dead), Status::Killed);
    assert_eq!(tracking.close_abandoned().unwrap(), 1);
    assert_eq!(tracking.close_abandoned().unwrap(), 0);
    assert_eq!(status(&tracking, mine), Status::Running);
    assert_eq!(status(&tracking, foreign), Status::Running);
    let stored: String = tracking
        .db
        .query_row(
            "SELECT status FROM runs WHERE id = ?1",
            [dead.to_string()],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(stored, "KILLED");
}

/// Deletes runs, and then for good.
fn purge(tracking: &mut Tracking, runs: &[RunId]) {
    tracking
        .change(|writing| {
            for run in runs {
                writing.delete_run(*run, 5)?;
            }
            writing.purge(Purge { until_ms: None })
        })
        .unwrap();
}

#[test]
fn deleting_takes_all_that_belongs_to_a_run_and_nothing_else() {
    let (_tmp, layout) = project();
    let mut tracking = Tracking::open(&layout).unwrap();
    let batch = Batch {
        metrics: vec![metric("m", 1.0, 0)],
        tags: BTreeMap::from([("a".into(), "b".into())]),
        ..Batch::default()
    };
    let mut add = |lock: &str| {
        let (id, _) = tracking.create_run(&new_run(None)).unwrap();
        tracking
            .finish(id, &batch, &end(Status::Finished, Some(lock)))
            .unwrap();
        id
    };
    let (a, b) = (add("shared"), add("shared"));
    let c = add("own");
    let (going_on, _) = tracking.create_run(&new_run(None)).unwrap();
    // A run that goes on stays, deleted or not.
    purge(&mut tracking, &[a, c, going_on]);
    let count = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        tracking.db.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(
        (
            count("runs"),
            count("metrics"),
            count("points"),
            count("locks")
        ),
        (2, 1, 1, 1)
    );
    assert_eq!(tracking.lock_text(b).unwrap().as_deref(), Some("shared"));
}

#[test]
fn equal_curves_are_kept_once() {
    let (_tmp, layout) = project();
    let mut tracking = Tracking::open(&layout).unwrap();
    let mut add = |points: &[(i64, f64)]| {
        let batch = Batch {
            curves: vec![curve(points)],
            ..Batch::default()
        };
        let (id, _) = tracking.create_run(&new_run(None)).unwrap();
        let end = end(Status::Finished, None);
        tracking.finish(id, &batch, &end).unwrap();
        id
    };
    let (a, b) = (add(&[(0, 1.0), (1, 0.5)]), add(&[(0, 1.0), (1, 0.5)]));
    let other = add(&[(0, 1.0), (1, 0.25)]);
    let curves = |tracking: &Tracking| -> i64 {
        let sql = "SELECT count(*) FROM curves";
        tracking.db.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(curves(&tracking), 2);
    purge(&mut tracking, &[a, other]);
    assert_eq!(curves(&tracking), 1);
    let left = tracking.history(b, &Key::new("h.jsonl", "loss")).unwrap();
    assert_eq!(left.len(), 2);
}

#[test]
fn a_database_of_the_first_schema_keeps_its_histories() {
    let (_tmp, layout) = project();
    fs::create_dir_all(layout.state_dir()).unwrap();
    let old = db::open(
        &layout.tracking_db(),
        &schema::MIGRATIONS[..1],
        db::Backup::None,
    )
    .unwrap();
    let id = "0123456789abcdef0123456789abcdef";
    old.execute_batch(&format!(
        "INSERT INTO runs (number, id, experiment, name, status, started_ms, command, targets)
         VALUES (1, '{id}', 0, 'old', 'FINISHED', 1000, 'cvops repro', '[]');
         INSERT INTO metrics VALUES (1, 1, 'h.jsonl', 'loss', 0.5, 2, 2000);
         INSERT INTO points VALUES (1, 1, 2000, 1.0), (1, 2, 2000, 0.5);"
    ))
    .unwrap();
    drop(old);
    let tracking = Tracking::open(&layout).unwrap();
    let run = tracking.find("old").unwrap();
    assert_eq!(run.metrics[0].value, 0.5);
    let history = tracking.history(run.id, &run.metrics[0].key).unwrap();
    assert_eq!((history.len(), history[1].value), (2, 0.5));
}

#[test]
fn a_reader_does_not_wait_for_a_writer() {
    let (_tmp, layout) = project();
    let mut writer = Tracking::open(&layout).unwrap();
    writer.create_run(&new_run(Some("seen"))).unwrap();
    let tx = writer
        .db
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .unwrap();
    tx.execute("UPDATE runs SET name = 'unseen'", []).unwrap();
    let reader = Tracking::open_existing(&layout).unwrap().unwrap();
    assert_eq!(names(&reader.list(&Filter::default()).unwrap()), "seen");
    tx.commit().unwrap();
    assert_eq!(names(&reader.list(&Filter::default()).unwrap()), "unseen");
}

#[test]
fn damaged_and_newer_databases_are_named() {
    let (_tmp, layout) = project();
    fs::create_dir_all(layout.state_dir()).unwrap();
    fs::write_atomic(
        &layout.tracking_db(),
        b"no database at all, but long enough",
    )
    .unwrap();
    let Err(Error::Database(base::Error::Database { path, .. })) = Tracking::open(&layout) else {
        panic!("it opened");
    };
    assert_eq!(path, layout.tracking_db());
    fs::remove_file(&layout.tracking_db()).unwrap();
    let tracking = Tracking::open(&layout).unwrap();
    tracking.db.pragma_update(None, "user_version", 99).unwrap();
    drop(tracking);
    assert!(matches!(
        Tracking::open(&layout),
        Err(Error::Database(base::Error::NewerDatabase {
            schema: 99,
            ..
        }))
    ));
}

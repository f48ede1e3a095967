//! Searches over a database: they agree with a plain evaluation of filter and order over the runs
//! themselves, page by page, and walk the indexes that are meant for them.

use std::cmp::Ordering;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rusqlite::ToSql;
use rusqlite::types::Value;

use super::super::{Tracking, Writing};
use super::runs::{Wanted, scopes};
use crate::project::Layout;
use crate::project::personality::CVOPS;
use crate::track::entity::{ExperimentId, Lifecycle, RunRecord, View};
use crate::track::error::Error;
use crate::track::search::{
    Clause, DatasetAttribute, Direction, Field, LoggedModelSearch, ModelOrder, Number, Order,
    Relation, RunAttribute, RunSearch, Search, Test, Text, filter, orders,
};

fn open() -> (tempfile::TempDir, Tracking) {
    let tmp = tempfile::tempdir().unwrap();
    let tracking = Tracking::open(&Layout::new(tmp.path(), &CVOPS)).unwrap();
    (tmp, tracking)
}

pub(super) fn put(writing: &Writing<'_>, sql: &str, values: &[&dyn ToSql]) {
    writing.execute(sql, values).unwrap();
}

pub(super) fn search(filter: &str, order_by: &[&str]) -> RunSearch {
    RunSearch {
        experiments: vec![ExperimentId(0)],
        filter: filter.into(),
        order_by: order_by.iter().map(|one| (*one).to_owned()).collect(),
        view: View::Active,
        max_results: 1000,
        page_token: None,
    }
}

fn plain(filter: &str, order_by: &[&str]) -> Search {
    Search {
        filter: filter.into(),
        order_by: order_by.iter().map(|one| (*one).to_owned()).collect(),
        view: View::Active,
        max_results: 100,
        page_token: None,
    }
}

fn message<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Refused { message, .. }) => message,
        other => panic!("not refused: {other:?}"),
    }
}

pub(super) fn cases(cases: u32) -> Config {
    Config {
        cases,
        source_file: Some(file!()),
        ..Config::default()
    }
}

/// A small generator: the same numbers each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % n
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

const TEXTS: [&str; 7] = ["a", "A", "ab", "b_c", "", "é%", "it's"];
const NUMBERS: [Option<f64>; 7] = [
    Some(0.0),
    Some(1.0),
    Some(-0.5),
    Some(2.5),
    None,
    Some(f64::INFINITY),
    Some(f64::NEG_INFINITY),
];
const STATUSES: [&str; 4] = ["RUNNING", "FINISHED", "FAILED", "KILLED"];
const LONG_DEAD: &str = "h 0 1 1";

/// Writes runs of all kinds into the experiments 0, 1 and 2.
fn fill(writing: &Writing<'_>, runs: i64) {
    let mut draw = Draw(7);
    for id in [1, 2] {
        put(
            writing,
            "INSERT INTO experiments (id, name, created_ms, updated_ms) VALUES (?1, ?2, 0, 0)",
            &[&id, &format!("e{id}")],
        );
    }
    for (id, name) in ["digits", "Digits", "cats"].iter().enumerate() {
        put(
            writing,
            "INSERT INTO datasets (id, experiment, name, digest, source_type, source)
             VALUES (?1, 0, ?2, ?3, 'local', '')",
            &[&(id as i64), name, &draw.one::<&str>(&TEXTS)],
        );
    }
    for number in 1..=runs {
        let status: &str = draw.one(&STATUSES);
        let ended = (draw.below(3) != 0).then(|| draw.below(4) as i64);
        let stage = if draw.below(5) == 0 {
            "deleted"
        } else {
            "active"
        };
        let experiment = draw.below(3) as i64;
        let owner = (draw.below(2) == 0).then(|| {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            LONG_DEAD.replace('h', host.trim())
        });
        put(
            writing,
            "INSERT INTO runs (number, id, experiment, name, status, lifecycle_stage, started_ms,
                               ended_ms, command, targets, owner, user)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '', '[]', ?9, ?10)",
            &[
                &number,
                &format!("{:032x}", number * 7919 % 1009),
                &experiment,
                &draw.one::<&str>(&TEXTS),
                &status,
                &stage,
                &(draw.below(6) as i64),
                &ended,
                &owner,
                &draw.one::<&str>(&TEXTS),
            ],
        );
        for name in ["m", "n/o"] {
            if draw.below(4) != 0 {
                put(
                    writing,
                    "INSERT INTO metrics (run, experiment, name, file, key, value, step, at_ms)
                     VALUES (?1, ?2, ?3, '', ?3, ?4, 0, 0)",
                    &[
                        &number,
                        &experiment,
                        &name,
                        &draw.one::<Option<f64>>(&NUMBERS),
                    ],
                );
            }
        }
        for key in ["p", "q r"] {
            if draw.below(3) != 0 {
                put(
                    writing,
                    "INSERT INTO params (run, name, file, key, value, typed) VALUES (?1, ?2, '', ?2, ?3, 0)",
                    &[&number, &key, &draw.one::<&str>(&TEXTS)],
                );
            }
            if draw.below(3) != 0 {
                put(
                    writing,
                    "INSERT INTO tags (run, key, value) VALUES (?1, ?2, ?3)",
                    &[&number, &key, &draw.one::<&str>(&TEXTS)],
                );
            }
        }
        for dataset in 0..3_i64 {
            if draw.below(4) == 0 {
                put(
                    writing,
                    "INSERT INTO inputs (run, dataset, place) VALUES (?1, ?2, ?2)",
                    &[&number, &dataset],
                );
                if draw.below(2) == 0 {
                    put(
                        writing,
                        "INSERT INTO input_tags (run, dataset, key, value)
                         VALUES (?1, ?2, 'mlflow.data.context', ?3)",
                        &[&number, &dataset, &draw.one::<&str>(&["train", "eval"])],
                    );
                }
            }
        }
    }
}

pub(super) fn filled(runs: i64) -> (tempfile::TempDir, Tracking) {
    let (tmp, mut tracking) = open();
    let work = |writing: &Writing<'_>| {
        fill(writing, runs);
        Ok(())
    };
    tracking.change(work).unwrap();
    (tmp, tracking)
}

/// Does a text pass, by the definition?
fn passes(text: &str, test: &Text) -> bool {
    match test {
        Text::Equal(value) => text == value,
        Text::NotEqual(value) => text != value,
        Text::Like(pattern) => like(&chars(text), &chars(pattern)),
        Text::ILike(pattern) => like(
            &chars(&text.to_ascii_lowercase()),
            &chars(&pattern.to_ascii_lowercase()),
        ),
        Text::In(values) => values.iter().any(|value| value == text),
        Text::NotIn(values) => values.iter().all(|value| value != text),
    }
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn like(text: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|at| like(&text[at..], rest)),
        Some(('_', rest)) => !text.is_empty() && like(&text[1..], rest),
        Some((one, rest)) => text.first() == Some(one) && like(&text[1..], rest),
    }
}

fn compares(left: f64, relation: Relation, right: f64) -> bool {
    match relation {
        Relation::Equal => left == right,
        Relation::NotEqual => left != right,
        Relation::Less => left < right,
        Relation::AtMost => left <= right,
        Relation::Greater => left > right,
        Relation::AtLeast => left >= right,
    }
}

enum Seen {
    Text(String),
    Number(f64),
    Missing,
}

fn attribute(run: &RunRecord, attribute: RunAttribute) -> Seen {
    let info = &run.info;
    match attribute {
        RunAttribute::Id => Seen::Text(info.id.to_string()),
        RunAttribute::Name => Seen::Text(info.name.clone()),
        RunAttribute::User => Seen::Text(info.user.clone()),
        RunAttribute::Status => Seen::Text(info.status.as_str().into()),
        RunAttribute::ArtifactUri => Seen::Text(info.artifact_uri.clone()),
        RunAttribute::Started => Seen::Number(info.started_ms as f64),
        RunAttribute::Ended => info
            .ended_ms
            .map_or(Seen::Missing, |ms| Seen::Number(ms as f64)),
    }
}

fn metric(run: &RunRecord, name: &str) -> Option<f64> {
    let mut metrics = run.metrics.iter();
    metrics
        .find(|metric| metric.name == name)
        .map(|metric| metric.value)
}

fn tag<'a>(tags: &'a [crate::track::entity::Tag], key: &str) -> Option<&'a str> {
    tags.iter()
        .find(|tag| tag.key == key)
        .map(|tag| tag.value.as_str())
}

fn holds(run: &RunRecord, clause: &Clause<RunAttribute>) -> bool {
    let keyed = |value: Option<&str>, test: &Test| match test {
        Test::Is(test) => value.is_some_and(|value| passes(value, test)),
        Test::Present => value.is_some(),
        Test::Missing => value.is_none(),
    };
    match clause {
        Clause::Metric {
            name,
            relation,
            value,
        } => metric(run, name).is_some_and(|it| compares(it, *relation, *value)),
        Clause::Param { key, test } => keyed(tag(&run.params, key), test),
        Clause::Tag { key, test } => keyed(tag(&run.tags, key), test),
        Clause::Text {
            attribute: of,
            test,
        } => match attribute(run, *of) {
            Seen::Text(text) => passes(&text, test),
            Seen::Number(_) | Seen::Missing => false,
        },
        Clause::Number {
            attribute: of,
            relation,
            value,
        } => {
            let value = match value {
                Number::Integer(value) => *value as f64,
                Number::Real(value) => *value,
            };
            matches!(attribute(run, *of), Seen::Number(it) if compares(it, *relation, value))
        }
        Clause::Dataset { attribute, test } => run.datasets.iter().any(|input| match attribute {
            DatasetAttribute::Name => passes(&input.dataset.name, test),
            DatasetAttribute::Digest => passes(&input.dataset.digest, test),
            DatasetAttribute::Context => {
                tag(&input.tags, "mlflow.data.context").is_some_and(|context| passes(context, test))
            }
        }),
    }
}

/// Compares two runs by one key of an order, by the definition.
fn by(order: &Order<RunAttribute>, a: &RunRecord, b: &RunRecord) -> Ordering {
    let text = |value: Option<&str>| value.map_or(Seen::Missing, |text| Seen::Text(text.into()));
    let seen = |run: &RunRecord| match &order.field {
        Field::Metric(name) => metric(run, name).map_or(Seen::Missing, Seen::Number),
        Field::Param(key) => text(tag(&run.params, key)),
        Field::Tag(key) => text(tag(&run.tags, key)),
        Field::Attribute(of) => attribute(run, *of),
    };
    let rank = |seen: &Seen| match seen {
        Seen::Missing => 2,
        Seen::Number(number) if number.is_nan() => 1,
        Seen::Text(_) | Seen::Number(_) => 0,
    };
    let (a, b) = (seen(a), seen(b));
    let ascending = match (&a, &b) {
        (Seen::Text(a), Seen::Text(b)) => a.cmp(b),
        (Seen::Number(a), Seen::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        _ => Ordering::Equal,
    };
    rank(&a).cmp(&rank(&b)).then(match order.direction {
        Direction::Ascending => ascending,
        Direction::Descending => ascending.reverse(),
    })
}

/// What a search must find.
fn expected(runs: &[RunRecord], search: &RunSearch) -> Vec<String> {
    let clauses = filter::<RunAttribute>(&search.filter).unwrap();
    let orders = orders::<RunAttribute>(&search.order_by).unwrap();
    let mut found: Vec<&RunRecord> = runs
        .iter()
        .filter(|run| {
            search.experiments.contains(&run.info.experiment)
                && match search.view {
                    View::Active => run.info.lifecycle == Lifecycle::Active,
                    View::Deleted => run.info.lifecycle == Lifecycle::Deleted,
                    View::All => true,
                }
                && clauses.iter().all(|clause| holds(run, clause))
        })
        .collect();
    found.sort_by(|a, b| {
        let wanted = orders.iter().map(|order| by(order, a, b));
        wanted
            .fold(Ordering::Equal, Ordering::then)
            .then(b.info.started_ms.cmp(&a.info.started_ms))
            .then(a.info.id.cmp(&b.info.id))
    });
    found.iter().map(|run| run.info.id.to_string()).collect()
}

/// Goes through all pages.
pub(super) fn walked(tracking: &Tracking, search: &RunSearch) -> Vec<String> {
    let mut search = search.clone();
    let mut ids = Vec::new();
    loop {
        let page = tracking.reader().search_runs(&search).unwrap();
        assert!(page.items.len() <= search.max_results);
        ids.extend(page.items.iter().map(|run| run.info.id.to_string()));
        match page.next {
            None => return ids,
            Some(next) => {
                assert_eq!(page.items.len(), search.max_results);
                search.page_token = Some(next);
            }
        }
    }
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["p", "`q r`", "\"q r\"", "none"]).prop_map(str::to_owned)
}

fn quoted() -> impl Strategy<Value = String> {
    let text = prop::sample::select(TEXTS.to_vec());
    text.prop_map(|text| match text {
        "it's" => "\"it's\"".to_owned(),
        text => format!("'{text}'"),
    })
}

fn clause() -> impl Strategy<Value = String> {
    let relation = || prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]);
    let like = || {
        prop::sample::select(vec![
            "LIKE 'a%'",
            "ILIKE 'a%'",
            "LIKE '_'",
            "ilike '%B%'",
            "LIKE '%é%'",
        ])
    };
    let test = || {
        prop_oneof![
            (prop::sample::select(vec!["=", "!="]), quoted())
                .prop_map(|(op, text)| format!("{op} {text}")),
            like().prop_map(str::to_owned),
        ]
    };
    let number = || prop::sample::select(vec!["0", "1.0", "-0.5", "2", "1e400", "3"]);
    prop_oneof![
        4 => (prop::sample::select(vec!["m", "`n/o`", "none"]), relation(), number())
            .prop_map(|(key, relation, number)| format!("metrics.{key} {relation} {number}")),
        2 => (prop::sample::select(vec!["params", "tags"]), key(), test())
            .prop_map(|(of, key, test)| format!("{of}.{key} {test}")),
        1 => (prop::sample::select(vec!["param", "tag"]), key(), prop::sample::select(vec!["IS NULL", "is not null"]))
            .prop_map(|(of, key, test)| format!("{of}.{key} {test}")),
        1 => (prop::sample::select(vec!["run_name", "attributes.user_id", "artifact_uri"]), test())
            .prop_map(|(of, test)| format!("{of} {test}")),
        1 => (prop::sample::select(vec!["=", "!="]), prop::sample::select(STATUSES.to_vec()))
            .prop_map(|(op, status)| format!("status {op} '{status}'")),
        1 => (prop::sample::select(vec!["start_time", "end_time"]), relation(), number())
            .prop_map(|(of, relation, number)| format!("{of} {relation} {number}")),
        1 => (prop::sample::select(vec!["IN", "NOT IN"]), prop::collection::vec(1_i64..40, 1..20))
            .prop_map(|(op, numbers)| {
                let ids = numbers.iter().map(|n| format!("'{:032x}'", n * 7919 % 1009));
                format!("run_id {op} ({})", ids.collect::<Vec<_>>().join(","))
            }),
        1 => (prop::sample::select(vec!["name", "digest"]), test())
            .prop_map(|(of, test)| format!("dataset.{of} {test}")),
        1 => prop::sample::select(vec![
            "datasets.context = 'train'", "dataset.context IN ('eval', 'test')", "dataset.name ILIKE 'digits'",
        ]).prop_map(str::to_owned),
    ]
}

fn order() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "metrics.m",
        "metrics.m",
        "metrics.`n/o`",
        "metrics.none",
        "params.p",
        "tags.`q r`",
        "status",
        "run_name",
        "end_time",
        "start_time",
        "artifact_uri",
        "run_id",
    ]);
    (field, prop::sample::select(vec!["", " ASC", " DESC"]))
        .prop_map(|(field, way)| format!("{field}{way}"))
}

pub(super) fn any_search() -> impl Strategy<Value = RunSearch> {
    (
        prop::collection::vec(clause(), 0..3),
        prop::collection::vec(order(), 0..4),
        prop::sample::select(vec![
            vec![0],
            vec![0],
            vec![1, 0],
            vec![0, 1, 2, 2],
            vec![],
            (0..70).collect(),
        ]),
        prop::sample::select(vec![View::Active, View::Active, View::Deleted, View::All]),
        prop::sample::select(vec![1, 2, 3, 7, 1000]),
    )
        .prop_map(|(clauses, wanted, experiments, view, max_results)| {
            let mut order_by: Vec<String> = Vec::new();
            for one in wanted {
                let field = |text: &str| text.split(' ').next().map(str::to_owned);
                if order_by.iter().all(|other| field(other) != field(&one)) {
                    order_by.push(one);
                }
            }
            RunSearch {
                experiments: experiments.into_iter().map(ExperimentId).collect(),
                filter: clauses.join(" AND "),
                order_by,
                view,
                max_results,
                page_token: None,
            }
        })
}

#[test]
fn searches_agree_with_the_definition_page_by_page() {
    let (_tmp, mut tracking) = open();
    let runs = tracking
        .change(|writing| {
            fill(writing, 60);
            writing.records_of(&(1..=60).collect::<Vec<i64>>())
        })
        .unwrap();
    assert_eq!(runs.len(), 60);
    let mut runner = TestRunner::new(cases(1500));
    let found = std::cell::Cell::new(0);
    runner
        .run(&any_search(), |search| {
            let expected = expected(&runs, &search);
            found.set(found.get() + expected.len());
            prop_assert_eq!(walked(&tracking, &search), expected);
            Ok(())
        })
        .unwrap();
    assert!(
        1000 < found.get(),
        "the filters find next to nothing: {}",
        found.get()
    );
}

#[test]
fn no_token_is_too_strange() {
    let (_tmp, tracking) = filled(20);
    let reader = tracking.reader();
    let ask = |order: &[&str], token: &str| {
        let mut search = search("", order);
        search.experiments = vec![ExperimentId(0), ExperimentId(1), ExperimentId(2)];
        search.max_results = 2;
        search.page_token = Some(token.to_owned());
        reader.search_runs(&search)
    };
    let base64 = |text: &str| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let all = ask(&[], "").unwrap();
    // MLflow's own tokens.
    let second = ask(&[], &base64(r#"{"offset": 1}"#)).unwrap();
    assert_eq!(all.items[1], second.items[0]);
    assert_eq!(
        ask(&[], &base64(r#"{"offset": "1", "x": 2}"#)).unwrap(),
        second
    );
    assert!(
        ask(&[], &base64(r#"{"offset": 9007199254740993}"#))
            .unwrap()
            .items
            .is_empty()
    );
    let next = all.next.unwrap();
    assert!(ask(&[], &next).is_ok());
    let bad = "Invalid page token, could not base64-decode";
    for token in [
        "x",
        "!",
        "e30",
        &base64("{}"),
        &base64("null"),
        &base64(r#"{"offset": -1}"#),
        &base64(r#"{"offset": {}}"#),
        &base64(r#"{"order": "x", "after": ["i1"]}"#),
        &format!("{next}x"),
    ] {
        assert_eq!(message(ask(&[], token)), bad, "{token}");
    }
    // Of another order.
    assert_eq!(message(ask(&["metrics.m"], &next)), bad);
    let of_metric = ask(&["metrics.m"], "").unwrap().next.unwrap();
    assert_eq!(message(ask(&["metrics.m DESC"], &of_metric)), bad);
    let mut runner = TestRunner::new(cases(200));
    let decoded = {
        use base64::Engine;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(&of_metric)
            .unwrap();
        String::from_utf8(bytes).unwrap()
    };
    // Forged: any keys for the right order.
    runner
        .run(
            &prop::collection::vec("[irtnx][0-9a-f-]{0,4}", 0..6),
            |keys| {
                let mut forged: serde_json::Value = serde_json::from_str(&decoded).unwrap();
                forged["after"] = serde_json::json!(keys);
                match ask(&["metrics.m"], &base64(&forged.to_string())) {
                    Ok(_) => {}
                    other => prop_assert_eq!(message(other), bad),
                }
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn numbers_of_results_have_limits() {
    let (_tmp, tracking) = open();
    let reader = tracking.reader();
    let mut runs = search("", &[]);
    runs.max_results = 0;
    assert_eq!(
        message(reader.search_runs(&runs)),
        "Invalid value 0 for parameter 'max_results' supplied. It must be a positive integer"
    );
    runs.max_results = 50_001;
    assert_eq!(
        message(reader.search_runs(&runs)),
        "Invalid value 50001 for parameter 'max_results' supplied. It must be at most 50000"
    );
    let mut models = plain("", &[]);
    models.max_results = 1001;
    assert_eq!(
        message(reader.search_registered_models(&models)),
        "Invalid value for request parameter max_results. It must be at most 1000, but got value 1001"
    );
}

#[test]
fn a_page_does_not_shift_while_runs_arrive() {
    let (_tmp, mut tracking) = open();
    let add = |tracking: &mut Tracking, from: i64, to: i64| {
        tracking
            .change(|writing| {
                (from..to).for_each(|n| run_at(writing, n, n));
                Ok(())
            })
            .unwrap();
    };
    add(&mut tracking, 1, 6);
    let mut asked = search("", &[]);
    asked.max_results = 2;
    let first = tracking.reader().search_runs(&asked).unwrap();
    add(&mut tracking, 6, 9);
    asked.page_token = first.next;
    let second = tracking.reader().search_runs(&asked).unwrap();
    let started: Vec<i64> = second.items.iter().map(|run| run.info.started_ms).collect();
    assert_eq!(started, [3, 2]);
    // The last page, exactly full, says that it is the last.
    asked.page_token = None;
    asked.max_results = 8;
    assert_eq!(tracking.reader().search_runs(&asked).unwrap().next, None);
}

fn run_at(writing: &Writing<'_>, number: i64, started_ms: i64) {
    put(
        writing,
        "INSERT INTO runs (number, id, experiment, name, status, started_ms, command, targets)
         VALUES (?1, ?2, 0, 'r', 'FINISHED', ?3, '', '[]')",
        &[&number, &format!("{number:032x}"), &started_ms],
    );
}

pub(super) fn plan(tracking: &Tracking, (sql, values): (String, Vec<Value>)) -> String {
    let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
    let steps: Vec<String> = tracking
        .reader()
        .rows(&format!("EXPLAIN QUERY PLAN {sql}"), &values, |row| {
            row.get(3)
        })
        .unwrap();
    steps.join("; ")
}

/// What SQLite does for each statement of a search, one line a statement.
fn plans(tracking: &Tracking, search: &RunSearch) -> Vec<String> {
    let reader = tracking.reader();
    let wanted = Wanted::of(&reader, search).unwrap();
    let scopes = scopes(&search.experiments, search.view, search.max_results + 1);
    let mut plans = Vec::new();
    for (_, statements) in wanted.phases(&reader, &scopes).unwrap() {
        for statement in statements {
            plans.push(plan(tracking, statement.build(None, 101).unwrap()));
        }
    }
    plans
}

#[test]
fn searches_walk_the_indexes_meant_for_them() {
    let (_tmp, tracking) = filled(40);
    let check = |filter: &str, order_by: &[&str], expected: &[&str]| {
        let found = plans(&tracking, &search(filter, order_by));
        assert_eq!(
            found.len(),
            expected.len(),
            "{filter} {order_by:?}: {found:#?}"
        );
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                found.starts_with(expected),
                "{filter} {order_by:?}: {found:#?}"
            );
            assert!(
                !found.contains("SCAN r") && !found.contains("SCAN m"),
                "{found}"
            );
            // Only what is equal in the metric is sorted; nothing is by the time.
            assert!(
                !found.contains("TEMP B-TREE FOR ORDER BY"),
                "{filter} {order_by:?}: {found}"
            );
        }
    };
    let newest = "SEARCH r USING COVERING INDEX runs_newest (experiment=? AND lifecycle_stage=?)";
    check("", &[], &[newest]);
    check("", &["start_time DESC"], &[newest]);
    check(
        "metrics.m != 0 AND params.p = 'a' AND tags.p LIKE 'a%' AND tags.x IS NULL",
        &[],
        &[newest],
    );
    check(
        "dataset.name = 'digits' AND dataset.context = 'train'",
        &[],
        &[newest],
    );
    let by_value = "SEARCH m USING INDEX metrics_by_value (experiment=? AND name=? AND value>?)";
    check("metrics.m > 0", &["metrics.m DESC"], &[by_value]);
    check("metrics.m > 0", &["metrics.m ASC"], &[by_value]);
    check(
        "metrics.m > 0",
        &["metrics.m DESC", "params.p"],
        &[by_value],
    );
    let of_nan = "SEARCH m USING INDEX metrics_by_value (experiment=? AND name=? AND value=?)";
    for way in ["metrics.m DESC", "metrics.m"] {
        let found = plans(&tracking, &search("metrics.`n/o` != 5", &[way]));
        assert!(
            found[0].starts_with(by_value) && !found[0].contains("FOR ORDER BY"),
            "{found:#?}"
        );
        assert!(found[1].starts_with(of_nan), "{found:#?}");
        assert!(found[2].starts_with("SEARCH r USING"), "{found:#?}");
        assert!(
            found[2].contains("runs_newest") && !found[2].contains("B-TREE"),
            "{found:#?}"
        );
    }
    // Few runs have such a metric.
    for order in [&[][..], &["metrics.m"], &["params.p DESC"]] {
        let found = plans(&tracking, &search("metrics.none > 0", order));
        assert!(
            found.len() == 1 && found[0].starts_with(by_value),
            "{found:#?}"
        );
    }
    // A later page enters the index where it left it.
    let mut paged = search("metrics.m < 5", &["metrics.m DESC"]);
    paged.max_results = 2;
    let reader = tracking.reader();
    assert!(reader.search_runs(&paged).unwrap().next.is_some());
    let wanted = Wanted::of(&reader, &paged).unwrap();
    let scopes = scopes(&paged.experiments, View::Active, 3);
    let (_, first) = wanted.phases(&reader, &scopes).unwrap().remove(0);
    let keys = [
        0_i64.into(),
        0.5.into(),
        7_i64.into(),
        String::from("a").into(),
    ];
    for statement in first {
        let steps = plan(&tracking, statement.build(Some(&keys), 3).unwrap());
        assert!(
            steps.contains("metrics_by_value") && steps.contains("value<?"),
            "{steps}"
        );
    }
    // Few runs that are named are found by name.
    for (filter, index) in [
        (
            format!("run_id IN ('{:032x}')", 5),
            "sqlite_autoindex_runs_1",
        ),
        (
            format!("tags.mlflow.parentRunId = '{:032x}'", 5),
            "runs_by_parent",
        ),
    ] {
        for order in [&[][..], &["metrics.m"]] {
            let found = plans(&tracking, &search(&filter, order));
            assert!(found.len() == 1 && found[0].contains(index), "{found:#?}");
        }
    }
}

fn names(found: Result<(Vec<super::statement::Found>, Option<String>), Error>) -> String {
    let found = found.unwrap().0;
    let each = found.iter().map(|one| match one.ids.as_slice() {
        [Value::Integer(number)] => number.to_string(),
        [_] => one.text(0),
        _ => format!("{}{}", one.text(0), one.number(1)),
    });
    each.collect::<Vec<_>>().join(" ")
}

#[test]
fn experiments_are_found() {
    let (_tmp, mut tracking) = open();
    let rows = [
        (1, "b", "active", 5, 9),
        (2, "B%", "active", 5, 8),
        (3, "a", "deleted", 7, 7),
    ];
    tracking
        .change(|writing| {
            for (id, name, stage, created, updated) in rows {
                put(
                    writing,
                    "INSERT INTO experiments (id, name, lifecycle_stage, created_ms, updated_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    &[&id, &name, &stage, &created, &updated],
                );
            }
            put(
                writing,
                "INSERT INTO experiment_tags (experiment, key, value) VALUES (1, 'k', 'v')",
                &[],
            );
            Ok(())
        })
        .unwrap();
    let reader = tracking.reader();
    let check = |filter: &str, order: &[&str], view: View, expected: &str| {
        let mut asked = plain(filter, order);
        asked.view = view;
        assert_eq!(
            names(reader.find_experiments(&asked)),
            expected,
            "{filter} {order:?}"
        );
    };
    check("", &[], View::Active, "1 2 0");
    check("", &[], View::All, "3 1 2 0");
    check("", &["creation_time"], View::All, "0 2 1 3");
    check("", &["name DESC"], View::All, "1 3 0 2");
    check("name ILIKE 'b%'", &[], View::Active, "1 2");
    check("name LIKE 'b%'", &[], View::Active, "1");
    check("tags.k = 'v'", &[], View::Active, "1");
    check(
        "tags.k IS NULL AND last_update_time > 7",
        &[],
        View::Active,
        "2",
    );
    check("experiment_id NOT IN ('0', '2')", &[], View::All, "3 1");
    check(
        "experiment_id != '0'",
        &["last_update_time"],
        View::Deleted,
        "3",
    );
    for (filter, expected) in [
        (
            "experiment_id = 'x'",
            "Invalid experiment ID 'x'. Experiment ID must be a valid integer.",
        ),
        (
            "experiment_id LIKE '1'",
            "Invalid comparator for experiment_id: LIKE",
        ),
    ] {
        assert_eq!(
            message(reader.find_experiments(&plain(filter, &[]))),
            expected
        );
    }
    let mut paged = plain("", &["last_update_time DESC"]);
    paged.max_results = 2;
    let page = reader.search_experiments(&paged).unwrap();
    assert_eq!(page.items.len(), 2);
    paged.page_token = page.next;
    let page = reader.search_experiments(&paged).unwrap();
    assert_eq!((page.items.len(), page.next), (1, None));
}

#[test]
fn models_and_versions_are_found_and_prompts_are_not() {
    let (_tmp, mut tracking) = open();
    tracking
        .change(|writing| {
            for (name, created, updated) in [("cnn", 1, 9), ("Cnn", 2, 8), ("prompt", 3, 7)] {
                put(
                    writing,
                    "INSERT INTO registered_models (name, created_ms, updated_ms) VALUES (?1, ?2, ?3)",
                    &[&name, &created, &updated],
                );
                for version in 1..=2_i64 {
                    put(
                        writing,
                        "INSERT INTO model_versions (model, version, created_ms, updated_ms, source, storage, run)
                         VALUES (?1, ?2, ?3, ?4, ?5, '', ?6)",
                        &[&name, &version, &version, &updated, &format!("s3://{name}/{version}"),
                          &(version == 1).then_some("r1")],
                    );
                }
            }
            for sql in [
                "INSERT INTO registered_model_tags VALUES ('prompt', 'mlflow.prompt.is_prompt', 'true')",
                "INSERT INTO registered_model_tags VALUES ('cnn', 'task', 'digits')",
                "INSERT INTO model_version_tags VALUES ('prompt', 1, 'mlflow.prompt.is_prompt', 'true')",
                "INSERT INTO model_version_tags VALUES ('cnn', 2, 'task', 'digits')",
            ] {
                put(writing, sql, &[]);
            }
            Ok(())
        })
        .unwrap();
    let reader = tracking.reader();
    let models = |filter: &str, order: &[&str], expected: &str| {
        let asked = plain(filter, order);
        assert_eq!(
            names(reader.find_registered_models(&asked)),
            expected,
            "{filter} {order:?}"
        );
    };
    models("", &[], "Cnn cnn");
    models(
        "tag.`mlflow.prompt.is_prompt` != 'true'",
        &["timestamp DESC"],
        "cnn Cnn",
    );
    models(
        "tags.`mlflow.prompt.is_prompt` = 'false' AND name LIKE 'c%'",
        &[],
        "cnn",
    );
    models("tags.`mlflow.prompt.is_prompt` = 'true'", &[], "prompt");
    models(
        "tags.task = 'digits' AND tag.`mlflow.prompt.is_prompt` != 'true'",
        &[],
        "cnn",
    );
    models("name IN ('cnn', 'prompt')", &["creation_timestamp"], "cnn");
    models(
        "name ILIKE 'C%' AND name != 'x'",
        &["last_updated_timestamp"],
        "Cnn cnn",
    );
    let versions = |filter: &str, order: &[&str], expected: &str| {
        let asked = plain(filter, order);
        assert_eq!(
            names(reader.find_model_versions(&asked)),
            expected,
            "{filter} {order:?}"
        );
    };
    versions("", &[], "cnn2 cnn1 Cnn2 Cnn1");
    versions("name = 'cnn'", &["version_number"], "cnn1 cnn2");
    versions(
        "run_id IN ('r1') AND version_number < 2",
        &["name DESC"],
        "cnn1 Cnn1",
    );
    // A version of no run has the empty one, as MLflow's.
    versions("run_id != 'x'", &[], "cnn2 cnn1 Cnn2 Cnn1");
    versions("run_id = ''", &[], "cnn2 Cnn2");
    versions(
        "source_path LIKE 's3://cnn/%' AND tags.task = 'digits'",
        &[],
        "cnn2",
    );
    versions("tags.`mlflow.prompt.is_prompt` = 'true'", &[], "prompt1");
    versions("", &["creation_timestamp DESC"], "Cnn2 cnn2 Cnn1 cnn1");
    let mut paged = plain("", &[]);
    paged.max_results = 3;
    let page = reader.search_model_versions(&paged).unwrap();
    assert_eq!(page.items.len(), 3);
    paged.page_token = page.next;
    assert_eq!(names(reader.find_model_versions(&paged)), "Cnn1");
    paged.max_results = 1;
    paged.page_token = None;
    let page = reader.search_registered_models(&paged).unwrap();
    assert_eq!(
        (page.items[0].name.as_str(), page.next.is_some()),
        ("Cnn", true)
    );
}

#[test]
fn logged_models_are_found() {
    let (_tmp, mut tracking) = open();
    tracking
        .change(|writing| {
            for (id, created, kind, stage) in [
                ("m-1", 1, Some("cnn"), "active"),
                ("m-2", 2, None, "active"),
                ("m-3", 3, Some("mlp"), "active"),
                ("m-4", 4, None, "deleted"),
            ] {
                put(
                    writing,
                    "INSERT INTO logged_models (id, experiment, name, created_ms, updated_ms, artifact_uri,
                                                status, model_type, source_run, lifecycle_stage)
                     VALUES (?1, 0, 'model', ?2, ?2, '', 'LOGGED_MODEL_READY', ?3, NULL, ?4)",
                    &[&id, &created, &kind, &stage],
                );
            }
            for (model, dataset, run, value, at) in [
                ("m-1", "train", "r1", Some(0.5), 1),
                ("m-1", "eval", "r1", Some(0.1), 2),
                ("m-2", "eval", "r1", Some(0.3), 1),
                ("m-2", "eval", "r2", Some(0.7), 1),
                ("m-3", "", "r1", None, 1),
            ] {
                put(
                    writing,
                    "INSERT INTO logged_model_metrics VALUES (?1, 'acc', ?2, 'd', ?3, ?4, 0, ?5)",
                    &[&model, &dataset, &run, &value, &at],
                );
            }
            put(writing, "INSERT INTO logged_model_tags VALUES ('m-1', 'k', 'v')", &[]);
            put(writing, "INSERT INTO logged_model_params VALUES ('m-2', 'k', 'v')", &[]);
            Ok(())
        })
        .unwrap();
    let reader = tracking.reader();
    let ask =
        |filter: &str, order: &[(&str, bool, Option<&str>)], datasets: &[(&str, Option<&str>)]| {
            LoggedModelSearch {
                experiments: vec![ExperimentId(0)],
                filter: filter.into(),
                order_by: order
                    .iter()
                    .map(|(field, ascending, dataset)| ModelOrder {
                        field: (*field).into(),
                        ascending: *ascending,
                        dataset: dataset.map(|name| (name.into(), None)),
                    })
                    .collect(),
                datasets: datasets
                    .iter()
                    .map(|(name, digest)| ((*name).into(), digest.map(str::to_owned)))
                    .collect(),
                max_results: 50,
                page_token: None,
            }
        };
    let check = |asked: LoggedModelSearch, expected: &str| {
        assert_eq!(
            names(reader.find_logged_models(&asked)),
            expected,
            "{asked:?}"
        );
        // One by one it is the same.
        let mut paged = asked;
        paged.max_results = 1;
        let mut found = Vec::new();
        loop {
            let (one, next) = reader.find_logged_models(&paged).unwrap();
            found.extend(one.iter().map(|one| one.text(0)));
            match next {
                Some(next) => paged.page_token = Some(next),
                None => break,
            }
        }
        assert_eq!(found.join(" "), expected);
    };
    check(ask("", &[], &[]), "m-3 m-2 m-1");
    check(
        ask(
            "name = 'model' AND status = 'READY'",
            &[("creation_time", true, None)],
            &[],
        ),
        "m-1 m-2 m-3",
    );
    check(
        ask(
            "status IN ('LOGGED_MODEL_READY') AND model_type != 'mlp'",
            &[],
            &[],
        ),
        "m-1",
    );
    check(ask("metrics.acc > 0.4", &[], &[]), "m-2 m-1");
    check(ask("metrics.acc > 0.4", &[], &[("eval", None)]), "m-2");
    check(ask("metrics.acc != 0.5", &[], &[]), "m-3 m-2 m-1");
    check(ask("", &[], &[("eval", Some("d"))]), "m-2 m-1");
    check(
        ask("", &[], &[("eval", Some("other")), ("train", None)]),
        "m-1",
    );
    check(ask("tags.k = 'v'", &[], &[]), "m-1");
    check(ask("params.k IN ('v', 'w')", &[], &[]), "m-2");
    // The latest value counts; then NaN, then missing, either way.
    check(ask("", &[("metrics.acc", false, None)], &[]), "m-2 m-1 m-3");
    check(ask("", &[("metrics.acc", true, None)], &[]), "m-1 m-2 m-3");
    check(
        ask("", &[("metrics.acc", true, Some("train"))], &[]),
        "m-1 m-3 m-2",
    );
    check(ask("", &[("model_type", false, None)], &[]), "m-3 m-1 m-2");
    // Each dataset is bound once: a statement takes no more than 32,766 values.
    let many = vec!["metrics.acc > 0.4"; 200].join(" AND ");
    check(ask(&many, &[], &[("eval", Some("d")); 100]), "m-2");
    assert_eq!(
        reader
            .search_logged_models(&ask("", &[], &[]))
            .unwrap()
            .items
            .len(),
        3
    );
}

#[test]
fn datasets_are_listed_once_for_each_role() {
    let (_tmp, tracking) = filled(60);
    let found = tracking
        .reader()
        .search_datasets(&[ExperimentId(0), ExperimentId(9)])
        .unwrap();
    let shown: Vec<String> = found
        .iter()
        .map(|one| format!("{} {}", one.name, one.context.as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(
        shown,
        [
            "Digits -",
            "Digits eval",
            "Digits train",
            "cats -",
            "cats eval",
            "cats train",
            "digits -",
            "digits eval",
            "digits train"
        ]
    );
    assert!(tracking.reader().search_datasets(&[]).unwrap().is_empty());
}

#[test]
fn no_search_is_too_large_or_too_strange_for_the_database() {
    let (_tmp, tracking) = filled(30);
    let reader = tracking.reader();
    let ask = |search: &RunSearch| match reader.search_runs(search) {
        Ok(page) => page.next,
        Err(Error::Refused { message, .. }) => {
            assert!(
                !message.contains("SELECT") && !message.contains("json_each"),
                "{message}"
            );
            None
        }
        Err(other) => panic!("{search:?}: {other:?}"),
    };
    // As many clauses and orders as are read, of each kind that has a subquery or a join.
    let clauses = [
        "params.p != 'x'",
        "metrics.m != 7",
        "tags.none IS NULL",
        "status != 'x'",
    ];
    let fields = ["params.a", "metrics.a", "tags.a", "metrics.b"];
    let orders = (0..20)
        .map(|n| format!("{}{n} DESC", fields[n % 4]))
        .collect::<Vec<_>>();
    let mut large = search(
        &clauses
            .iter()
            .cycle()
            .take(200)
            .copied()
            .collect::<Vec<_>>()
            .join(" AND "),
        &[],
    );
    large.order_by = orders;
    large.max_results = 1;
    let next = ask(&large);
    assert!(next.is_some());
    large.page_token = next;
    assert!(ask(&large).is_some());
    large.experiments = (0..10_000).map(ExperimentId).collect();
    assert!(ask(&large).is_some());
    let ids = vec!["'x'"; 50_000].join(",");
    ask(&search(
        &format!(
            "run_id NOT IN ({ids}) AND params.p LIKE '{}'",
            "%a".repeat(25_000)
        ),
        &[],
    ));
    let strange = prop::collection::vec(
        prop::sample::select(vec![
            "metrics.m",
            "params.`q r`",
            "tags.\u{0}",
            "tags.'",
            "=",
            "!=",
            ">",
            "LIKE",
            "IN",
            "IS NULL",
            "IS NOT NULL",
            "'",
            "'a'",
            "\"b\"",
            "('a', 'b')",
            "1",
            "-1e999",
            "AND",
            "status",
            "run_id",
            "dataset.name",
            "dataset.context",
            "end_time",
            "9223372036854775808",
            "'\u{0}'",
            "'%_\\'",
            "--",
            ";",
        ]),
        0..8,
    );
    let order = prop::sample::select(vec![
        "metrics.m",
        "metrics.\"'\" DESC",
        "params.`\"` ASC",
        "tags.?1",
        "status",
    ]);
    TestRunner::new(cases(1000))
        .run(&(strange, order), |(pieces, order)| {
            ask(&search(&pieces.join(" "), &[order]));
            Ok(())
        })
        .unwrap();
}

//! Runs as a table: pages in either direction show what a search finds, groups and counts agree with a
//! plain evaluation, names are those that runs have, and the statements walk their indexes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rusqlite::types::Value;

use super::super::Tracking;
use super::runs::{Wanted, scopes};
use super::tests::{any_search, cases, filled, plan, put, search, walked};
use crate::track::entity::{ExperimentId, RunRecord, View};
use crate::track::error::Error;
use crate::track::table::{
    ColumnRef, Counted, GroupsQuery, PageAt, Parts, RunRow, RunValue, RunsQuery, RunsWanted,
};

fn runs(filter: &str) -> RunsWanted {
    RunsWanted {
        experiments: vec![ExperimentId(0)],
        filter: filter.into(),
        view: View::Active,
        parts: Parts::Listed,
    }
}

fn query(filter: &str, order_by: &[&str], limit: usize) -> RunsQuery {
    RunsQuery {
        runs: runs(filter),
        order_by: order_by.iter().map(|one| (*one).to_owned()).collect(),
        columns: Vec::new(),
        at: PageAt::Offset(0),
        limit,
        text_chars_max: 100,
    }
}

fn ids(rows: &[RunRow]) -> Vec<String> {
    rows.iter().map(|row| row.id.to_string()).collect()
}

/// All runs, page by page from the start, and page by page from the end.
fn both_ways(tracking: &Tracking, query: &RunsQuery) -> (Vec<String>, Vec<String>) {
    let reader = tracking.reader();
    let ask = |at: PageAt| {
        let page = RunsQuery {
            at,
            ..query.clone()
        };
        reader.run_rows(&page).unwrap()
    };
    let (mut forward, mut at) = (Vec::new(), PageAt::Offset(0));
    loop {
        let page = ask(at.clone());
        assert_eq!(page.previous.is_some(), at != PageAt::Offset(0));
        forward.extend(ids(&page.rows));
        match page.next {
            Some(next) => at = PageAt::After(next),
            None => break,
        }
    }
    let (mut pages, mut at) = (Vec::new(), PageAt::End);
    loop {
        let page = ask(at.clone());
        assert_eq!(page.next.is_some(), at != PageAt::End);
        pages.push(ids(&page.rows));
        match page.previous {
            Some(previous) => at = PageAt::Before(previous),
            None => break,
        }
    }
    (forward, pages.into_iter().rev().flatten().collect())
}

#[test]
fn pages_in_either_direction_show_each_run_once_in_the_order_of_the_search() {
    let (_tmp, tracking) = filled(120);
    let mut runner = TestRunner::new(cases(300));
    runner
        .run(&any_search(), |searched| {
            let limit = searched.max_results;
            let query = RunsQuery {
                runs: RunsWanted {
                    experiments: searched.experiments.clone(),
                    filter: searched.filter.clone(),
                    view: searched.view,
                    parts: Parts::Listed,
                },
                order_by: searched.order_by.clone(),
                ..query("", &[], limit)
            };
            let expected = walked(&tracking, &searched);
            let (forward, backward) = both_ways(&tracking, &query);
            prop_assert_eq!(&forward, &expected, "forward {:?}", query);
            prop_assert_eq!(&backward, &expected, "backward {:?}", query);
            // By offset, and counted.
            let second = RunsQuery {
                at: PageAt::Offset(limit),
                ..query.clone()
            };
            let page = tracking.reader().run_rows(&second).unwrap();
            let rest: Vec<String> = expected.iter().skip(limit).take(limit).cloned().collect();
            prop_assert_eq!(ids(&page.rows), rest);
            let n = expected.len() as u64;
            for max in [n, n / 2] {
                let counted = tracking.reader().count_runs(&query.runs, max).unwrap();
                prop_assert_eq!(
                    counted,
                    Counted {
                        runs: max.min(n),
                        is_exact: max == n
                    }
                );
            }
            Ok(())
        })
        .unwrap();
}

fn columns() -> Vec<ColumnRef> {
    [
        "tags.p",
        "metrics.n/o",
        "params.q r",
        "params.none",
        "metrics.m",
        "params.p",
    ]
    .iter()
    .map(|text| text.parse().unwrap())
    .collect()
}

fn all_records(tracking: &Tracking) -> Vec<RunRecord> {
    let mut all = search("", &[]);
    all.view = View::Active;
    tracking.reader().search_runs(&all).unwrap().items
}

fn value(run: &RunRecord, column: &ColumnRef) -> Option<RunValue> {
    let text = |tags: &[crate::track::entity::Tag], key: &str| {
        let found = tags.iter().find(|tag| tag.key == key);
        found.map(|tag| RunValue::Text(tag.value.clone()))
    };
    match column {
        ColumnRef::Param(name) => text(&run.params, name),
        ColumnRef::Tag(key) => text(&run.tags, key),
        ColumnRef::Metric(name) => {
            run.metrics
                .iter()
                .find(|one| one.name == *name)
                .map(|one| RunValue::Number {
                    value: one.value,
                    step: one.step,
                })
        }
    }
}

#[test]
fn rows_hold_what_runs_have_in_the_columns() {
    let (_tmp, tracking) = filled(60);
    let mut asked = query("", &[], 1000);
    asked.columns = columns();
    let page = tracking.reader().run_rows(&asked).unwrap();
    let records = all_records(&tracking);
    assert_eq!(page.rows.len(), records.len());
    for (row, record) in page.rows.iter().zip(&records) {
        assert_eq!(
            (row.id, &row.name, row.status, row.started_ms, row.ended_ms),
            (
                record.info.id,
                &record.info.name,
                record.info.status,
                record.info.started_ms,
                record.info.ended_ms
            )
        );
        for (value_of_row, column) in row.values.iter().zip(&asked.columns) {
            let expected = value(record, column);
            // NaN is not equal to itself.
            assert_eq!(
                format!("{value_of_row:?}"),
                format!("{expected:?}"),
                "{column}"
            );
        }
    }
    let some: Vec<_> = page.rows.iter().rev().take(3).map(|row| row.id).collect();
    let again = tracking
        .reader()
        .run_rows_of(&some, &asked.columns, 100)
        .unwrap();
    assert_eq!(again.iter().map(|row| row.id).collect::<Vec<_>>(), some);
    let mut many = query("", &[], 10);
    many.columns = vec![ColumnRef::Param("p".into()); 501];
    assert!(matches!(
        tracking.reader().run_rows(&many),
        Err(Error::Refused { .. })
    ));
}

#[test]
fn long_texts_are_cut() {
    let (_tmp, mut tracking) = filled(1);
    let work = |writing: &super::super::Writing<'_>| {
        put(
            writing,
            "UPDATE runs SET experiment = 0, lifecycle_stage = 'active'",
            &[],
        );
        put(
            writing,
            "INSERT OR REPLACE INTO tags VALUES (1, 'long', 'ééééé')",
            &[],
        );
        Ok(())
    };
    tracking.change(work).unwrap();
    let ask = |chars: usize| {
        let mut asked = query("", &[], 1);
        asked.columns = vec![ColumnRef::Tag("long".into())];
        asked.text_chars_max = chars;
        tracking.reader().run_rows(&asked).unwrap().rows[0].values[0].clone()
    };
    assert_eq!(ask(4), Some(RunValue::Text("éééé…".into())));
    assert_eq!(ask(5), Some(RunValue::Text("ééééé".into())));
    assert_eq!(ask(usize::MAX), Some(RunValue::Text("ééééé".into())));
}

#[test]
fn rows_are_read_as_far_as_there_is_room() {
    let (_tmp, mut tracking) = filled(200);
    let whole: Vec<_> = all_records(&tracking)
        .iter()
        .map(|run| run.info.id)
        .collect();
    let numbered = tracking.reader().run_rows_of(&whole, &[], 100).unwrap();
    let work = move |writing: &super::super::Writing<'_>| {
        for row in numbered.iter().skip(5).step_by(3) {
            for (key, chars) in [("long", 10_000), ("longer", 20_000)] {
                put(
                    writing,
                    "INSERT OR REPLACE INTO tags VALUES (?1, ?2, ?3)",
                    &[&row.number, &key, &"x".repeat(chars)],
                );
            }
        }
        Ok(())
    };
    tracking.change(work).unwrap();
    let columns = ["tags.long", "params.p", "tags.longer", "metrics.m"];
    let columns: Vec<ColumnRef> = columns.map(|text| text.parse().unwrap()).into();
    let reader = tracking.reader();
    // A run that does not exist is passed over, and one that is named twice comes twice.
    let nobody = "7".repeat(32).parse().unwrap();
    let mut ids = whole.clone();
    ids.insert(3, nobody);
    ids.push(whole[5]);
    ids.push(nobody);
    let expected = reader.run_rows_of(&ids, &columns, usize::MAX).unwrap();
    let texts = |row: &RunRow| -> usize {
        let texts = row.values.iter().flatten().map(|value| match value {
            RunValue::Text(text) => text.len(),
            RunValue::Number { .. } => 0,
        });
        texts.sum()
    };
    for bytes_max in [0, 25_000, 70_000, usize::MAX] {
        let (mut rows, mut rest, mut pieces) = (Vec::new(), &ids[..], 0);
        while !rest.is_empty() {
            let some = reader.run_rows_within(rest, &columns, bytes_max).unwrap();
            assert!(0 < some.taken);
            let held: usize = some.rows.iter().map(texts).sum();
            assert!(held <= bytes_max || some.rows.len() == 1, "{held}");
            rest = &rest[some.taken..];
            rows.extend(some.rows);
            pieces += 1;
        }
        // NaN is not equal to itself.
        assert_eq!(format!("{rows:?}"), format!("{expected:?}"), "{bytes_max}");
        match bytes_max {
            // A row each; ids of nobody at the end may come alone.
            0 => assert!((0..2).contains(&(pieces - expected.len())), "{pieces}"),
            usize::MAX => assert_eq!(pieces, 1),
            _ => assert!((2..expected.len()).contains(&pieces), "{pieces}"),
        }
    }
}

#[test]
fn pages_of_ids_are_those_of_rows() {
    let (_tmp, tracking) = filled(60);
    let reader = tracking.reader();
    let mut asked = query("", &["metrics.m DESC"], 7);
    loop {
        let (rows, page) = (
            reader.run_rows(&asked).unwrap(),
            reader.run_ids_at(&asked).unwrap(),
        );
        let of_page: Vec<String> = page.ids.iter().map(ToString::to_string).collect();
        assert_eq!((of_page, &page.next), (ids(&rows.rows), &rows.next));
        match page.next {
            Some(next) => asked.at = PageAt::After(next),
            None => break,
        }
    }
    asked.limit = 0;
    assert!(reader.run_ids_at(&asked).is_err());
}

#[test]
fn parts_are_folded_into_a_whole_that_is_listed() {
    let (_tmp, mut tracking) = filled(0);
    let id = |n: i64| format!("{n:032x}");
    let work = |writing: &super::super::Writing<'_>| {
        for (number, experiment, parent, stage) in [
            (1, 0, None, "active"),
            (2, 0, Some(1), "active"),
            (3, 0, Some(1), "deleted"),
            (4, 0, Some(2), "active"),
            // Its whole is in another experiment, deleted, or nowhere.
            (5, 1, Some(1), "active"),
            (6, 0, Some(3), "active"),
            (7, 0, Some(99), "active"),
        ] {
            put(
                writing,
                "INSERT INTO runs (number, id, experiment, name, parent, status, lifecycle_stage, started_ms,
                                   command, targets)
                 VALUES (?1, ?2, ?3, 'r', ?4, 'FINISHED', ?5, ?1, '', '[]')",
                &[&number, &id(number), &experiment, &parent.map(id), &stage],
            );
        }
        Ok(())
    };
    tracking.change(work).unwrap();
    let listed = |experiment: i64, parts: Parts| {
        let mut asked = query("", &["start_time ASC"], 100);
        asked.runs.parts = parts;
        asked.runs.experiments = vec![ExperimentId(experiment)];
        let rows = tracking.reader().run_rows(&asked).unwrap().rows;
        assert_eq!(
            tracking.reader().count_runs(&asked.runs, 100).unwrap().runs,
            rows.len() as u64
        );
        rows.iter()
            .map(|row| (row.number, row.children))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        listed(0, Parts::Listed),
        [(1, 1), (2, 1), (4, 0), (6, 0), (7, 0)]
    );
    assert_eq!(listed(0, Parts::Folded), [(1, 1), (6, 0), (7, 0)]);
    assert_eq!(listed(1, Parts::Folded), [(5, 0)]);
}

#[test]
fn groups_sum_up_what_their_runs_have() {
    let (_tmp, tracking) = filled(150);
    let records = all_records(&tracking);
    for filter in ["", "metrics.m > 0", "params.p != 'a'"] {
        let asked = GroupsQuery {
            runs: runs(filter),
            by: vec![ColumnRef::Param("p".into()), ColumnRef::Tag("q r".into())],
            metrics: vec!["m".into(), "none".into()],
            groups_max: 1000,
        };
        let found = tracking.reader().group_runs(&asked).unwrap();
        let of_filter: BTreeSet<String> = walked(&tracking, &search(filter, &[]))
            .into_iter()
            .collect();
        let mut expected: BTreeMap<Vec<Option<String>>, Vec<&RunRecord>> = BTreeMap::new();
        for run in &records {
            if of_filter.contains(&run.info.id.to_string()) {
                let key = asked.by.iter().map(|column| match value(run, column) {
                    Some(RunValue::Text(text)) => Some(text),
                    _ => None,
                });
                expected.entry(key.collect()).or_default().push(run);
            }
        }
        assert_eq!(
            (found.total, found.groups.len()),
            (expected.len(), expected.len())
        );
        assert!(
            found
                .groups
                .is_sorted_by_key(|group| std::cmp::Reverse(group.runs))
        );
        for group in &found.groups {
            let of_it = &expected[&group.key];
            assert_eq!(group.runs, of_it.len() as u64);
            let mut numbers: Vec<(f64, String)> = Vec::new();
            for run in of_it {
                if let Some(RunValue::Number { value, .. }) =
                    value(run, &ColumnRef::Metric("m".into()))
                    && value.is_finite()
                {
                    numbers.push((value, run.info.id.to_string()));
                }
            }
            assert_eq!(group.metrics[1], None);
            let Some(spread) = &group.metrics[0] else {
                assert!(numbers.is_empty());
                continue;
            };
            let n = numbers.len() as f64;
            let mean = numbers.iter().map(|one| one.0).sum::<f64>() / n;
            let squares: f64 = numbers.iter().map(|one| (one.0 - mean).powi(2)).sum();
            assert_eq!(spread.n, numbers.len() as u64);
            assert!((spread.mean - mean).abs() < 1e-12);
            match spread.deviation {
                None => assert_eq!(numbers.len(), 1),
                Some(deviation) => {
                    assert!((deviation - (squares / (n - 1.0)).sqrt()).abs() < 1e-12);
                }
            }
            assert!(numbers.contains(&(spread.min, spread.min_run.to_string())));
            assert!(numbers.contains(&(spread.max, spread.max_run.to_string())));
            assert!(
                numbers
                    .iter()
                    .all(|one| spread.min <= one.0 && one.0 <= spread.max)
            );
        }
    }
}

#[test]
fn the_catalogue_names_what_runs_have() {
    // Whole, and a sample.
    for n in [15, 150] {
        let (_tmp, tracking) = filled(n);
        let found = tracking
            .reader()
            .catalogue(ExperimentId(0), View::Active)
            .unwrap();
        let records = all_records(&tracking);
        assert_eq!(found.is_whole, records.len() <= 20);
        assert!(found.looked_at <= records.len() as u64 && found.looked_at <= 40);
        let names: Vec<String> = found
            .columns
            .iter()
            .map(|one| one.column.to_string())
            .collect();
        assert_eq!(
            names,
            [
                "params.p",
                "params.q r",
                "metrics.m",
                "metrics.n/o",
                "tags.p",
                "tags.q r"
            ]
        );
        for one in &found.columns {
            let have = records
                .iter()
                .filter(|run| value(run, &one.column).is_some());
            if found.is_whole {
                assert_eq!(one.runs, have.count() as u64, "{one:?}");
            }
            assert_eq!(
                one.is_number,
                matches!(one.column, ColumnRef::Metric(_)),
                "{one:?}"
            );
            assert!(one.differs);
        }
    }
}

#[test]
fn marks_differ_after_a_change() {
    let (_tmp, mut tracking) = filled(10);
    let record = all_records(&tracking).remove(0);
    let id = record.info.id;
    let end = |writing: &super::super::Writing<'_>| {
        put(
            writing,
            "UPDATE runs SET status = 'FINISHED', owner = NULL",
            &[],
        );
        Ok(())
    };
    tracking.change(end).unwrap();
    let mut seen = BTreeSet::new();
    let mut seen_of_experiment = BTreeSet::new();
    let mut look = |tracking: &Tracking| {
        let reader = tracking.reader();
        assert!(seen.insert(reader.run_mark(id).unwrap()));
        seen_of_experiment.insert(reader.experiment_mark(ExperimentId(0)).unwrap());
        seen_of_experiment.len()
    };
    assert_eq!(look(&tracking), 1);
    let number = format!("(SELECT number FROM runs WHERE id = '{id}')");
    for (sql, experiments) in [
        (
            format!("INSERT OR REPLACE INTO tags VALUES ({number}, 'new', 'a')"),
            1,
        ),
        (
            format!("UPDATE tags SET value = 'b' WHERE run = {number} AND key = 'new'"),
            1,
        ),
        (
            format!(
                "INSERT INTO metrics (run, experiment, name, file, key, value, step, at_ms)
                     VALUES ({number}, 0, 'new', '', 'new', 1, 0, 0)"
            ),
            1,
        ),
        (
            format!("UPDATE metrics SET step = 1 WHERE run = {number} AND name = 'new'"),
            1,
        ),
        (
            format!("UPDATE runs SET status = 'RUNNING', ended_ms = NULL WHERE id = '{id}'"),
            2,
        ),
        (
            format!("UPDATE runs SET status = 'FINISHED', ended_ms = 99 WHERE id = '{id}'"),
            // As it was.
            2,
        ),
        (
            format!(
                "UPDATE runs SET lifecycle_stage = 'deleted', deleted_ms = 7 WHERE id = '{id}'"
            ),
            3,
        ),
    ] {
        let work = |writing: &super::super::Writing<'_>| {
            put(writing, &sql, &[]);
            Ok(())
        };
        tracking.change(work).unwrap();
        assert_eq!(look(&tracking), experiments, "{sql}");
    }
    let none = "0123456789abcdef0123456789abcdef".parse().unwrap();
    assert_eq!(tracking.reader().run_mark(none).unwrap(), 0);
}

#[test]
fn pages_before_a_row_walk_the_same_indexes() {
    let (_tmp, tracking) = filled(40);
    let reader = tracking.reader();
    let newest = "SEARCH r USING COVERING INDEX runs_newest (experiment=? AND lifecycle_stage=?";
    let by_value = "SEARCH m USING INDEX metrics_by_value (experiment=? AND name=?";
    for (filter, order_by, expected) in [
        ("", vec![], newest),
        ("params.p = 'a'", vec!["start_time DESC"], newest),
        ("metrics.m > 0", vec!["metrics.m DESC"], by_value),
        ("metrics.m > 0", vec!["metrics.m ASC"], by_value),
    ] {
        let searched = search(filter, &order_by);
        let wanted = Wanted::of(&reader, &searched).unwrap();
        let scopes = scopes(&searched.experiments, View::Active, 101);
        let (_, statements) = wanted.phases(&reader, &scopes).unwrap().remove(0);
        for mut statement in statements {
            statement.reverse();
            let keys: Vec<Value> = statement.terms.iter().map(|_| Value::Integer(1)).collect();
            let found = plan(&tracking, statement.build(Some(&keys), 101).unwrap());
            assert!(
                found.starts_with(expected),
                "{filter} {order_by:?}: {found}"
            );
            assert!(!found.contains("TEMP B-TREE FOR ORDER BY"), "{found}");
        }
        let counted = wanted
            .unordered(&reader, &scopes[0])
            .unwrap()
            .build_count(10);
        let found = plan(&tracking, counted);
        assert!(
            !found.contains("SCAN r") && !found.contains("SCAN m"),
            "{filter}: {found}"
        );
    }
}

#[test]
fn parts_are_counted_by_the_index_of_their_whole() {
    let (_tmp, tracking) = filled(40);
    let list = Value::Text("[1, 2]".into());
    let found = plan(&tracking, (super::cells::HEADS.to_owned(), vec![list]));
    assert!(
        found.contains("SEARCH c USING INDEX runs_by_parent"),
        "{found}"
    );
    assert!(
        found.contains("SEARCH r USING INTEGER PRIMARY KEY"),
        "{found}"
    );
}

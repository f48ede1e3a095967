//! Random pipelines under random edits, against a model that computes every output by itself.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::Project;
use crate::support::stages::with_pipeline;

const SOURCES: usize = 2;
const STAGES_MAX: usize = 5;
const VALUES: u8 = 3;

/// A pipeline: what each stage reads. Inputs below `SOURCES` are source files, the others are
/// outputs of earlier stages.
type Needs = Vec<Vec<usize>>;

#[derive(Clone, Debug)]
enum Edit {
    Source(usize, u8),
    Param(usize, u8),
    Delete(usize),
    Spoil(usize),
    /// Sources and params as they were at the beginning.
    Revert,
}

/// What the user has written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    sources: Vec<u8>,
    params: Vec<u8>,
}

fn needs() -> impl Strategy<Value = Needs> {
    let raw = prop::collection::vec(
        prop::collection::vec(any::<prop::sample::Index>(), 1..3),
        1..=STAGES_MAX,
    );
    raw.prop_map(|stages| {
        let choose = |(i, picks): (usize, Vec<prop::sample::Index>)| {
            let chosen: BTreeSet<usize> =
                picks.iter().map(|pick| pick.index(SOURCES + i)).collect();
            chosen.into_iter().collect()
        };
        stages.into_iter().enumerate().map(choose).collect()
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0..SOURCES, 0..VALUES).prop_map(|(i, v)| Edit::Source(i, v)),
        (0..STAGES_MAX, 0..VALUES).prop_map(|(i, v)| Edit::Param(i, v)),
        (0..STAGES_MAX).prop_map(Edit::Delete),
        (0..STAGES_MAX).prop_map(Edit::Spoil),
        Just(Edit::Revert),
    ]
}

fn name(input: usize) -> String {
    match input.checked_sub(SOURCES) {
        None => format!("in{input}"),
        Some(stage) => format!("out{stage}"),
    }
}

/// Stage `i` writes its inputs one after the other, then its parameter; a parameter of 0 adds
/// nothing, so that different inputs may lead to equal outputs.
fn pipeline(needs: &Needs) -> String {
    let mut text = "stages:\n".to_owned();
    for (i, inputs) in needs.iter().enumerate() {
        let names: Vec<String> = inputs.iter().map(|&n| name(n)).collect();
        let _ = writeln!(
            text,
            "  s{i}:\n    cmd: 'echo s{i} >> ~/runs; (cat {}; sed -n \"s/^p{i}:.\\([1-9]\\)/\\1/p\" params.yaml) > out{i}'\n    deps: [{}]\n    params: [p{i}]\n    outs: [out{i}]",
            names.join(" "),
            names.join(", "),
        );
    }
    text
}

/// Returns what each stage must have written.
fn model(needs: &Needs, world: &World) -> Vec<String> {
    let mut outs: Vec<String> = Vec::new();
    for (i, inputs) in needs.iter().enumerate() {
        let mut text = String::new();
        for &input in inputs {
            match input.checked_sub(SOURCES) {
                None => writeln!(text, "{}", world.sources[input]).unwrap(),
                Some(stage) => text.push_str(&outs[stage]),
            }
        }
        if world.params[i] != 0 {
            writeln!(text, "{}", world.params[i]).unwrap();
        }
        outs.push(text);
    }
    outs
}

fn lay_out(p: &Project, world: &World) {
    for (i, value) in world.sources.iter().enumerate() {
        p.write(&format!("in{i}"), format!("{value}\n"));
    }
    let mut params = String::new();
    for (i, value) in world.params.iter().enumerate() {
        writeln!(params, "p{i}: {value}").unwrap();
    }
    p.write("params.yaml", params);
}

/// What a stage's outputs depend on: equal keys must never run twice.
fn key(needs: &Needs, world: &World, outs: &[String], stage: usize) -> (usize, Vec<String>, u8) {
    let input = |&n: &usize| match n.checked_sub(SOURCES) {
        None => format!("{}\n", world.sources[n]),
        Some(s) => outs[s].clone(),
    };
    (
        stage,
        needs[stage].iter().map(input).collect(),
        world.params[stage],
    )
}

fn check_story(needs: &Needs, edits: &[Edit]) {
    let p = with_pipeline(&pipeline(needs));
    let start = World {
        sources: vec![1; SOURCES],
        params: vec![0; STAGES_MAX],
    };
    let mut world = start.clone();
    let mut known = BTreeSet::new();
    for step in 0..=edits.len() {
        if let Some(edit) = step.checked_sub(1).map(|i| &edits[i]) {
            match *edit {
                Edit::Source(i, value) => world.sources[i] = value,
                Edit::Param(i, value) => world.params[i] = value,
                Edit::Delete(i) if i < needs.len() => drop(p.remove(&format!("out{i}"))),
                Edit::Spoil(i) if i < needs.len() => drop(p.write(&format!("out{i}"), "spoilt\n")),
                Edit::Delete(_) | Edit::Spoil(_) => {}
                Edit::Revert => world = start.clone(),
            }
        }
        lay_out(&p, &world);
        p.ok("repro -j 2");
        let outs = model(needs, &world);
        for (i, expected) in outs.iter().enumerate() {
            assert_eq!(
                &p.read(&format!("out{i}")),
                expected,
                "out{i} at step {step}"
            );
        }
        // Exactly the stages ran whose inputs never were like this before.
        let mut due = BTreeSet::new();
        for i in 0..needs.len() {
            if known.insert(key(needs, &world, &outs, i)) {
                due.insert(format!("s{i}"));
            }
        }
        let ran = p.ran();
        let mut ran: Vec<&str> = ran.split_whitespace().collect();
        ran.sort_unstable();
        assert_eq!(ran, due.iter().collect::<Vec<_>>(), "runs at step {step}");
        p.ok("repro");
        assert_eq!(p.ran(), "", "a second repro at step {step}");
    }
    p.ok("cache verify");
}

#[test]
fn every_output_is_what_its_inputs_make_it() {
    let config = Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(
            &(needs(), prop::collection::vec(edit(), 0..6)),
            |(needs, edits)| {
                check_story(&needs, &edits);
                Ok(())
            },
        )
        .unwrap();
}

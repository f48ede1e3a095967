//! Tests of the graph.

use super::*;
use crate::base::doc::Format;
use crate::pipeline::spec;
use proptest::prelude::*;

fn build(yaml: &str) -> Result<StageGraph, Error> {
    let document = Document::parse("pipeline.yaml", yaml.to_owned(), Format::Yaml)?;
    StageGraph::build(spec::read(document)?)
}

#[track_caller]
fn check_error(yaml: &str, headline: &str) {
    use crate::base::ToDiagnostics;
    let diagnostics = build(yaml).unwrap_err().to_diagnostics();
    assert_eq!(diagnostics[0].headline, headline);
}

#[test]
fn edges_follow_paths_in_both_directions() {
    let graph = build(
        "stages:\n  c: {cmd: x, deps: [d/sub/file], outs: [e]}\n  a: {cmd: x, outs: [d]}\n  b: {cmd: x, outs: [f/g]}\n  d: {cmd: x, deps: [f, ff]}\n",
    )
    .unwrap();
    assert_eq!(graph.edges(), [(1, 0), (2, 3)]);
    assert_eq!(graph.order(), [1, 0, 2, 3]);
}

#[test]
fn cycles_and_overlaps_are_named() {
    check_error(
        "stages:\n  a: {cmd: x, deps: [c], outs: [a]}\n  b: {cmd: x, deps: [a], outs: [b]}\n  c: {cmd: x, deps: [b], outs: [c]}\n",
        "stages depend on each other in a circle: `a` -> `b` -> `c` -> `a`",
    );
    check_error(
        "stages:\n  a: {cmd: x, deps: [o/f], outs: [o]}\n",
        "stage `a` depends on its own output `o/f`",
    );
    check_error(
        "stages:\n  a: {cmd: x, outs: [o]}\n  b: {cmd: x, outs: [o]}\n",
        "`o` is written by both `a` and `b`",
    );
    check_error(
        "stages:\n  a: {cmd: x, outs: [o]}\n  b: {cmd: x, outs: [o/p/q]}\n",
        "the output `o/p/q` lies inside the output `o`",
    );
}

proptest! {
    #[test]
    fn order_respects_every_edge(needs in proptest::collection::vec(proptest::collection::vec(0usize..12, 0..3), 1..12)) {
        let mut yaml = "stages:\n".to_owned();
        for (i, deps) in needs.iter().enumerate() {
            let deps: std::collections::BTreeSet<String> =
                deps.iter().filter(|&&d| d < i).map(|d| format!("o{d}")).collect();
            let deps: Vec<_> = deps.into_iter().collect();
            yaml += &format!("  s{i}: {{cmd: x, deps: [{}], outs: [o{i}]}}\n", deps.join(", "));
        }
        let graph = build(&yaml).unwrap();
        let mut place = vec![0; needs.len()];
        for (at, &stage) in graph.order().iter().enumerate() {
            place[stage] = at;
        }
        for (from, to) in graph.edges() {
            prop_assert!(place[from] < place[to]);
        }
    }
}

//! Tests of all drawings of a graph.

use proptest::prelude::*;

use super::*;
use crate::report::svg::tests::assert_well_formed;

fn view(labels: &[&str], edges: &[(usize, usize)]) -> GraphView {
    let node = |label: &&str| NodeView {
        id: (*label).to_owned(),
        label: (*label).to_owned(),
        detail: None,
        state: NodeState::Plain,
        href: None,
    };
    GraphView {
        nodes: labels.iter().map(node).collect(),
        edges: edges.to_vec(),
    }
}

fn check(labels: &[&str], edges: &[(usize, usize)], expected: &str) {
    let drawn = view(labels, edges).ascii(None);
    assert_eq!(
        drawn.trim_end(),
        expected.trim_matches('\n'),
        "drawn:\n{drawn}"
    );
}

#[test]
fn draws_nothing_and_one() {
    check(&[], &[], "");
    check(
        &["train"],
        &[(0, 0), (0, 7)],
        "
┌───────┐
│ train │
└───────┘",
    );
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z@/.\"<&|`#\\\\-]{0,12}".prop_map(String::from)
    ]
}

#[test]
fn no_terminal_is_too_narrow() {
    let view = view(&["a long label of many words", "b"], &[(0, 1)]);
    for width in 0..20 {
        assert!(view.ascii(Some(width)).contains("many words"), "{width}");
    }
}

proptest! {
    #[test]
    fn any_graph_is_drawn(
        nodes in prop::collection::vec((text(), prop::option::of(text()), 0usize..7), 0..14),
        edges in prop::collection::vec((0usize..15, 0usize..15), 0..40),
        width in prop::option::of(any::<u16>()),
    ) {
        use NodeState::{Done, Failed, Input, Pending, Plain, Running, Skipped};
        let states = [Plain, Input, Done, Pending, Running, Failed, Skipped];
        let nodes = nodes
            .into_iter()
            .map(|(label, detail, state)| NodeView { id: label.clone(), label, detail, state: states[state], href: None })
            .collect();
        let view = GraphView { nodes, edges };
        assert_well_formed(view.svg().as_str());
        prop_assert_eq!(view.svg(), view.svg());
        prop_assert_eq!(view.ascii(width), view.ascii(width));
        prop_assert!(view.ascii(width).chars().all(|c| c == '\n' || !c.is_control()));
        assert!(view.dot().ends_with("}\n"));
        prop_assert!(view.mermaid().starts_with("flowchart TD\n"));
    }
}

#[test]
fn lines_pass_boxes_and_arrive_straight() {
    check(
        &["preprocess", "train", "evaluate"],
        &[(0, 1), (1, 2), (0, 2)],
        "
   ┌────────────┐
   │ preprocess │
   └──────┬─────┘
    ┌─────┤
    ▼     │
┌───────┐ │
│ train │ │
└───┬───┘ │
    └──┐  │
       ▼  ▼
     ┌──────────┐
     │ evaluate │
     └──────────┘",
    );
}

#[test]
fn crossing_lines_are_not_branches() {
    check(
        &["a", "b", "c", "d"],
        &[(0, 2), (0, 3), (1, 2), (1, 3)],
        "
  ┌───┐   ┌───┐
  │ a │   │ b │
  └─┬─┘   └─┬─┘
  ┌─┴──────┐│
  │  ┌─────│┴─┐
  ▼  ▼     ▼  ▼
┌─────┐   ┌─────┐
│  c  │   │  d  │
└─────┘   └─────┘",
    );
}

#[test]
fn lines_to_one_box_join() {
    check(
        &["a", "b", "c", "d", "all"],
        &[(0, 4), (1, 4), (2, 4), (3, 4)],
        "
┌───┐   ┌───┐   ┌───┐   ┌───┐
│ a │   │ b │   │ c │   │ d │
└─┬─┘   └─┬─┘   └─┬─┘   └─┬─┘
  └───────┴───┬───┴───────┘
              ▼
           ┌─────┐
           │ all │
           └─────┘",
    );
}

#[test]
fn wide_rows_are_broken() {
    let labels = [
        "train", "report@1", "report@2", "report@3", "report@4", "report@5",
    ];
    let edges: Vec<(usize, usize)> = (1..6).map(|target| (0, target)).collect();
    let drawn = view(&labels, &edges).ascii(Some(32));
    assert!(
        drawn.lines().all(|line| line.chars().count() <= 32),
        "{drawn}"
    );
    assert_eq!(drawn.matches('▼').count(), 5, "{drawn}");
}

#[test]
fn parts_details_states_and_wide_letters() {
    let mut view = view(&["数据/raw", "train", "old"], &[(0, 1)]);
    view.nodes[0].state = NodeState::Input;
    view.nodes[1].state = NodeState::Failed;
    view.nodes[1].detail = Some("exit code 1".to_owned());
    view.nodes[2].state = NodeState::Skipped;
    let drawn = view.ascii(None);
    let expected = "  ╭──────────╮     ┌───────┐
  │ 数据/raw │     │ – old │
  ╰─────┬────╯     └───────┘
        ▼
┌─────────────┐
│   ✗ train   │
│ exit code 1 │
└─────────────┘
";
    assert_eq!(drawn, expected, "drawn:\n{drawn}");
}

#[test]
fn a_cycle_is_named_and_not_followed() {
    let drawn = view(&["a", "b"], &[(0, 1), (1, 0)]).ascii(None);
    assert!(
        drawn.ends_with("└───┘\n↺ b → a closes a cycle\n"),
        "{drawn}"
    );
}

#[test]
fn hundreds_of_nodes_are_drawn() {
    let labels: Vec<String> = (0..300).map(|i| format!("stage-{i}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let edges: Vec<(usize, usize)> = (1..300)
        .flat_map(|i| [(i * 7919 % i, i), (i / 2, i)])
        .collect();
    let view = view(&labels, &edges);
    let drawn = view.ascii(Some(120));
    assert!(
        labels
            .iter()
            .all(|label| drawn.contains(&format!(" {label} ")))
    );
    assert_well_formed(view.svg().as_str());
}

#[test]
fn sources_escape_what_their_readers_interpret() {
    let mut view = view(&["a\"b\\N", "1. <x>"], &[(0, 1)]);
    view.nodes[1].state = NodeState::Done;
    assert_eq!(
        view.mermaid(),
        "flowchart TD\n    n0[\"a#34;b#92;N\"]\n    n1[\"✓ 1. #60;x#62;\"]\n    n0 --> n1\n    \
         classDef done stroke:#00805d\n    class n1 done\n"
    );
    let dot = view.dot();
    assert!(dot.contains(r#""a\"b\\N" [label="a\"b\\N"];"#), "{dot}");
    assert!(dot.contains(r#""a\"b\\N" -> "1. <x>";"#), "{dot}");
}

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
    };
    GraphView { nodes: labels.iter().map(node).collect(), edges: edges.to_vec() }
}

fn check(labels: &[&str], edges: &[(usize, usize)], expected: &str) {
    let drawn = view(labels, edges).ascii(None);
    assert_eq!(drawn.trim_end(), expected.trim_matches('\n'), "drawn:\n{drawn}");
}

#[test]
fn draws_nothing_and_one() {
    check(&[], &[], "");
    check(&["train"], &[(0, 0), (0, 7)], "
┌───────┐
│ train │
└───────┘");
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-z@/.\"<&|`#\\\\-]{0,12}".prop_map(String::from)]
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
            .map(|(label, detail, state)| NodeView { id: label.clone(), label, detail, state: states[state] })
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
fn samples() {
    std::fs::create_dir_all("/tmp/report-samples").unwrap();
    let mut v = view(&["data/raw","preprocess","train","evaluate@test-1","publish@dev","publish@prod","evaluate@train-3","evaluate@train-1","evaluate@test-3","datä/läbels 标签.txt"],
      &[(0,1),(1,2),(1,3),(1,6),(1,7),(1,8),(2,3),(2,4),(2,5),(2,6),(2,7),(2,8)]);
    v.nodes[0].state = NodeState::Input; v.nodes[1].state = NodeState::Done; v.nodes[2].state=NodeState::Pending; v.nodes[3].state=NodeState::Failed; v.nodes[4].state=NodeState::Running; v.nodes[5].state=NodeState::Skipped; v.nodes[2].detail=Some("parameter `train.epochs` changed (2 -> 3)".into());
    println!("{}", v.ascii(None));
    std::fs::write("/tmp/report-samples/dag.svg", v.svg().as_str()).unwrap();
    std::fs::write("/tmp/report-samples/dag.mmd", v.mermaid()).unwrap();
    std::fs::write("/tmp/report-samples/dag.dot", v.dot()).unwrap();
    for k in [14usize, 200] {
        let names: Vec<String> = (0..k).map(|i| format!("stage-{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut x: u64 = 7; let mut edges = vec![];
        for i in 1..k { for _ in 0..2 { x=x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); let j=(x>>33) as usize % i; edges.push((j,i)); } }
        let v = view(&names, &edges);
        let t = std::time::Instant::now();
        let s = v.ascii(None);
        println!("{:?} width {} lines {}", t.elapsed(), s.lines().map(|l| l.chars().count()).max().unwrap(), s.lines().count());
        if k < 50 { println!("{s}"); }
        std::fs::write(format!("/tmp/report-samples/random{k}.txt"), s).unwrap();
        std::fs::write(format!("/tmp/report-samples/random{k}.svg"), v.svg().as_str()).unwrap();
    }
    let names: Vec<String> = (0..41).map(|i| if i == 0 { "train".into() } else {format!("evaluate@{i}")}).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut e: Vec<_> = (1..40).map(|i| (0,i)).collect(); e.extend((1..40).map(|i|(i,40)));
    let v = view(&names, &e);
    println!("{}", v.ascii(Some(80)));
    std::fs::write("/tmp/report-samples/fan.svg", v.svg().as_str()).unwrap();
    let v = view(&["preprocess","train","evaluate"], &[(0,1),(1,2),(0,2)]);
    println!("{}", v.ascii(Some(80)));
    let v = view(&["a","b","c"], &[(0,1),(1,2),(2,0)]);
    println!("{}", v.ascii(Some(80)));
}

//! Writes a graph as source text for Mermaid and for Graphviz, which draw it themselves.
//! Imports: `report::escape`.

use std::fmt::Write;

use super::{GraphView, NodeState, NodeView};
use crate::report::escape::one_line;

/// Returns a Mermaid flowchart. Nodes are named `n0`, `n1`, …: Mermaid reads some words and signs
/// in names as syntax, and a user's name may hold any of them.
pub(super) fn mermaid(view: &GraphView) -> String {
    let mut text = String::from("flowchart TD\n");
    for (index, node) in view.nodes.iter().enumerate() {
        let mut label = mermaid_text(&marked(node));
        if let Some(detail) = &node.detail {
            let _ = write!(
                label,
                "<br/><small>{}</small>",
                mermaid_text(&one_line(detail))
            );
        }
        let (open, close) = if node.state == NodeState::Input {
            ("([", "])")
        } else {
            ("[", "]")
        };
        let _ = writeln!(text, "    n{index}{open}\"{label}\"{close}");
    }
    for (from, to) in view.clean_edges() {
        let _ = writeln!(text, "    n{from} --> n{to}");
    }
    for (state, style) in [
        (NodeState::Input, "stroke-dasharray:4 3"),
        (NodeState::Done, "stroke:#00805d"),
        (NodeState::Pending, "stroke:#a87400"),
        (NodeState::Running, "stroke:#0072b2,stroke-width:2px"),
        (NodeState::Failed, "stroke:#c43d1b,stroke-width:2px"),
        (NodeState::Skipped, "opacity:0.6"),
    ] {
        let members: Vec<String> = (0..view.nodes.len())
            .filter(|&node| view.nodes[node].state == state)
            .map(|node| format!("n{node}"))
            .collect();
        if !members.is_empty() {
            let word = state.word();
            let _ = writeln!(
                text,
                "    classDef {word} {style}\n    class {} {word}",
                members.join(",")
            );
        }
    }
    text
}

/// Escapes with Mermaid's entity codes, which begin with `#` and not with `&`.
fn mermaid_text(text: &str) -> String {
    let mut escaped = String::new();
    for (index, c) in text.chars().enumerate() {
        match c {
            '#' | '&' | '<' | '>' | '"' | '`' | '\\' | '*' | '_' | '~' | '[' | ']' => {
                let _ = write!(escaped, "#{};", u32::from(c));
            }
            // At the start these would make a Markdown list, which Mermaid then refuses to draw.
            '-' | '+' if index == 0 => {
                let _ = write!(escaped, "#{};", u32::from(c));
            }
            '.' | ')' if text.chars().take(index).all(|c| c.is_ascii_digit()) => {
                let _ = write!(escaped, "#{};", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Returns a DOT digraph with the nodes' ids as names.
pub(super) fn dot(view: &GraphView) -> String {
    let mut text = String::from(
        "digraph {\n    node [shape=box, fontname=\"Helvetica\", fontsize=11];\n    edge [color=\"#808a96\"];\n",
    );
    for node in &view.nodes {
        let mut label = dot_text(&marked(node));
        if let Some(detail) = &node.detail {
            let _ = write!(label, "\\n{}", dot_text(&one_line(detail)));
        }
        let style = match node.state {
            NodeState::Plain => "",
            NodeState::Input => ", style=\"rounded,dashed\"",
            NodeState::Done => ", color=\"#00805d\"",
            NodeState::Pending => ", color=\"#a87400\"",
            NodeState::Running => ", color=\"#0072b2\", penwidth=2",
            NodeState::Failed => ", color=\"#c43d1b\", penwidth=2",
            NodeState::Skipped => ", color=\"#9aa5b1\", fontcolor=\"#5a6675\"",
        };
        let _ = writeln!(
            text,
            "    \"{}\" [label=\"{label}\"{style}];",
            dot_text(&one_line(&node.id))
        );
    }
    for (from, to) in view.clean_edges() {
        let name = |node: usize| dot_text(&one_line(&view.nodes[node].id));
        let _ = writeln!(text, "    \"{}\" -> \"{}\";", name(from), name(to));
    }
    text.push_str("}\n");
    text
}

fn marked(node: &NodeView) -> String {
    let label = one_line(&node.label);
    match node.state.mark() {
        Some(mark) => format!("{mark} {label}"),
        None => label,
    }
}

/// Escapes a double-quoted DOT string; a backslash would start an escape of labels such as `\N`.
fn dot_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

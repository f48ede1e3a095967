//! Drawings of a directed acyclic graph: for the terminal, as SVG, and as Mermaid and DOT source.
//!
//! `layer` gives each node its row, `bundle` joins edges to lines, `order` gives each node its
//! place within the row and `place` its column, `gap` and `route` lead the lines between the rows,
//! `layout` calls them in turn; `terminal` and `picture` draw the result, in character cells and in
//! pixels. All edges of one node leave it as one trunk and branch where their targets are: a stage
//! with a hundred readers is one line and not a hundred.
//!
//! The method is Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical
//! System Structures" (1981). Imports: `report::{escape`, svg, table}.

mod bundle;
mod gap;
mod layer;
mod layout;
mod order;
mod picture;
mod place;
mod route;
mod source;
mod terminal;

pub(super) use picture::LOOK;

use super::svg::Svg;

/// How a node stands; drawn as a mark and as a colour, never as a colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Nothing to say about it.
    Plain,
    /// Something from outside that the graph only reads; drawn with round corners.
    Input,
    /// Finished or up to date.
    Done,
    /// Still to be done.
    Pending,
    /// At work.
    Running,
    /// Went wrong.
    Failed,
    /// Left out on purpose.
    Skipped,
}

impl NodeState {
    /// Returns the mark before the label, where the state has one.
    fn mark(self) -> Option<&'static str> {
        match self {
            Self::Plain | Self::Input => None,
            Self::Done => Some("✓"),
            Self::Pending => Some("○"),
            Self::Running => Some("▶"),
            Self::Failed => Some("✗"),
            Self::Skipped => Some("–"),
        }
    }

    /// Returns the state as a word: a class name in SVG, Mermaid and DOT.
    fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Input => "input",
            Self::Done => "done",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A node as it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Name that is unique in the graph; the node's name in DOT.
    pub id: String,
    /// What the box says.
    pub label: String,
    /// A second, quieter line: a command, a reason, a duration.
    pub detail: Option<String>,
    /// How it stands.
    pub state: NodeState,
    /// Where a click on it leads, in SVG.
    pub href: Option<String>,
}

/// A graph to draw. Nodes are drawn in the given order wherever the edges leave a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphView {
    /// The nodes.
    pub nodes: Vec<NodeView>,
    /// Edges as indices into `nodes`, from the earlier to the later. Repeated edges count once;
    /// edges to nodes that do not exist, and from a node to itself, are left out.
    pub edges: Vec<(usize, usize)>,
}

impl GraphView {
    /// Returns the drawing for a terminal, in box-drawing characters: rows from top to bottom, each
    /// line ended by a line break. Rows wider than `width` columns (default 100) are broken into
    /// several; only labels and many long edges side by side can make a drawing wider.
    #[must_use]
    pub fn ascii(&self, width: Option<u16>) -> String {
        terminal::draw(self, width)
    }

    /// Returns the drawing as SVG.
    #[must_use]
    pub fn svg(&self) -> Svg {
        picture::draw(self)
    }

    /// Returns the graph as a Mermaid flowchart.
    #[must_use]
    pub fn mermaid(&self) -> String {
        source::mermaid(self)
    }

    /// Returns the graph in Graphviz's DOT language.
    #[must_use]
    pub fn dot(&self) -> String {
        source::dot(self)
    }

    /// Returns the edges that can be drawn, sorted, each once.
    fn clean_edges(&self) -> Vec<(usize, usize)> {
        let count = self.nodes.len();
        let mut edges: Vec<(usize, usize)> = self
            .edges
            .iter()
            .copied()
            .filter(|&(a, b)| a < count && b < count && a != b)
            .collect();
        edges.sort_unstable();
        edges.dedup();
        edges
    }
}

#[cfg(test)]
mod tests;

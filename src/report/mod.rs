//! Numbers and strings in, strings out: tables, DAG drawings, charts and report pages.
//!
//! The room knows neither stages nor runs nor models, opens no file and asks no clock: the same
//! input gives the same bytes, so every rendering may be a hashed output of a stage. Whatever text
//! comes in (file names, class names, labels of users) is escaped here, once, for its format.
//! Imports: base.

pub mod chart;
pub mod escape;
pub mod graph;
pub mod page;
pub mod svg;
pub mod table;
pub mod wording;

pub use graph::{GraphView, NodeState, NodeView};
pub use page::Page;
pub use svg::{EmbeddedSvg, Svg, theme_css};
pub use table::{Align, Column, Table, Tone};

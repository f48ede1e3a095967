//! Draws a layout as SVG. Imports: `report::{escape`, svg, `graph::layout`}.

use std::fmt::Write;

use super::layout::{Measures, Rect, layout};
use super::{GraphView, NodeState, NodeView};
use crate::report::escape::{Escaped, one_line};
use crate::report::svg::{Anchor, Canvas, Look, Num, Svg, fit_text, text_width};

const MARGIN: i32 = 24;
const LABEL_PX: f64 = 13.0;
const DETAIL_PX: f64 = 11.0;
/// How much wider bold letters are.
const BOLD: f64 = 1.07;
/// Longer lines of a box are cut.
const TEXT_WIDTH_MAX: f64 = 320.0;
/// Up to this many edges the description names each one for those who cannot see the picture.
const EDGES_DESCRIBED_MAX: usize = 60;

pub(in crate::report) const LOOK: Look = Look {
    kind: "graph",
    css: ".cvops-svg .wire{fill:none;stroke:var(--axis);stroke-width:1.5}\
.cvops-svg .head{fill:var(--axis)}\
.cvops-svg .box{fill:var(--paper);stroke:var(--axis);stroke-width:1.25}\
.cvops-svg .label{font-size:13px;font-weight:600}\
.cvops-svg .input .box{stroke-dasharray:4 3}\
.cvops-svg .done .box{stroke:var(--ok);fill:color-mix(in srgb,var(--ok) 8%,var(--paper))}\
.cvops-svg .done .mark{fill:var(--ok)}\
.cvops-svg .pending .box{stroke:var(--warn)}.cvops-svg .pending .mark{fill:var(--warn)}\
.cvops-svg .running .box{stroke:var(--c0);stroke-width:2}.cvops-svg .running .mark{fill:var(--c0)}\
.cvops-svg .failed .box{stroke:var(--bad);stroke-width:2;fill:color-mix(in srgb,var(--bad) 8%,var(--paper))}\
.cvops-svg .failed .mark{fill:var(--bad)}\
.cvops-svg .skipped{opacity:.65}",
};

pub(super) fn draw(view: &GraphView) -> Svg {
    let measures = Measures {
        box_gap: 28,
        trunk_gap: 14,
        lead: 16,
        track: 11,
        arrow: 18,
        port_gap: 14,
        part_gap: 48,
        width_max: 1200,
    };
    let texts: Vec<Texts> = view.nodes.iter().map(Texts::of).collect();
    let sizes: Vec<(i32, i32)> = texts.iter().map(Texts::size).collect();
    let edges = view.clean_edges();
    let laid = layout(&sizes, &edges, &measures);
    let (width, height) = (laid.width + 2 * MARGIN, laid.height + 2 * MARGIN);
    let mut canvas = Canvas::new(
        f64::from(width),
        f64::from(height),
        "Graph",
        &description(view, &edges),
        &LOOK,
    );
    if view.nodes.iter().any(|node| node.href.is_some()) {
        canvas.has_links();
    }
    for wire in &laid.wires {
        let points: Vec<(i32, i32)> = wire
            .points
            .iter()
            .map(|&(x, y)| (x + MARGIN, y + MARGIN))
            .collect();
        canvas.raw(format_args!(
            "<path class=\"wire\" d=\"{}\"/>",
            rounded(&points)
        ));
    }
    for wire in &laid.wires {
        if let Some(&(x, y)) = wire.points.last() {
            let (x, y) = (x + MARGIN, y + MARGIN);
            canvas.raw(format_args!(
                "<path class=\"head\" d=\"M{x} {y}l-4.5 -8h9z\"/>"
            ));
        }
    }
    for ((node, rect), texts) in view.nodes.iter().zip(&laid.boxes).zip(&texts) {
        node_box(&mut canvas, node, *rect, texts);
    }
    canvas.finish()
}

fn description(view: &GraphView, edges: &[(usize, usize)]) -> String {
    let mut text = format!("{} boxes, {} arrows", view.nodes.len(), edges.len());
    if edges.len() <= EDGES_DESCRIBED_MAX {
        for (index, &(from, to)) in edges.iter().enumerate() {
            let mark = if index == 0 { ':' } else { ',' };
            let _ = write!(
                text,
                "{mark} {} to {}",
                view.nodes[from].label, view.nodes[to].label
            );
        }
    }
    text
}

struct Texts {
    label: String,
    detail: Option<String>,
    mark: Option<&'static str>,
}

impl Texts {
    const MARK_WIDTH: f64 = 18.0;

    fn of(node: &NodeView) -> Self {
        Self {
            label: fit_text(&one_line(&node.label), LABEL_PX, TEXT_WIDTH_MAX),
            detail: node
                .detail
                .as_deref()
                .map(|detail| fit_text(&one_line(detail), DETAIL_PX, TEXT_WIDTH_MAX)),
            mark: node.state.mark(),
        }
    }

    fn label_width(&self) -> f64 {
        text_width(&self.label, LABEL_PX) * BOLD
            + if self.mark.is_some() {
                Self::MARK_WIDTH
            } else {
                0.0
            }
    }

    fn size(&self) -> (i32, i32) {
        let detail = self
            .detail
            .as_deref()
            .map_or(0.0, |detail| text_width(detail, DETAIL_PX));
        // Even widths put the middle, where lines leave, on a whole pixel.
        let width = (self.label_width().max(detail) + 28.0).max(56.0).ceil() as i32;
        (
            width + width % 2,
            if self.detail.is_some() { 50 } else { 34 },
        )
    }
}

fn node_box(canvas: &mut Canvas, node: &NodeView, rect: Rect, texts: &Texts) {
    let (x, y) = (rect.x + MARGIN, rect.y + MARGIN);
    let (width, height) = (rect.width, rect.height);
    let round = if node.state == NodeState::Input {
        height / 2
    } else {
        6
    };
    if let Some(href) = &node.href {
        canvas.raw(format_args!("<a href=\"{}\">", Escaped(href)));
    }
    canvas.raw(format_args!(
        "<g class=\"{}\"><title>{}</title><rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{width}\" \
         height=\"{height}\" rx=\"{round}\"/>",
        node.state.word(),
        Escaped(&node.label),
    ));
    let middle = f64::from(x) + f64::from(width) / 2.0;
    let label_y = f64::from(y) + 22.0;
    if let Some(mark) = texts.mark {
        let start = middle - texts.label_width() / 2.0;
        canvas.text(start, label_y, Anchor::Start, "mark", mark);
    }
    let shift = if texts.mark.is_some() {
        Texts::MARK_WIDTH / 2.0
    } else {
        0.0
    };
    canvas.text(
        middle + shift,
        label_y,
        Anchor::Middle,
        "label",
        &texts.label,
    );
    if let Some(detail) = &texts.detail {
        canvas.text(
            middle,
            label_y + 16.0,
            Anchor::Middle,
            "small muted",
            detail,
        );
    }
    canvas.raw(format_args!("</g>"));
    if node.href.is_some() {
        canvas.raw(format_args!("</a>"));
    }
}

/// Returns the path through the points, its corners rounded.
fn rounded(points: &[(i32, i32)]) -> String {
    const RADIUS: f64 = 7.0;
    let point = |i: usize| (f64::from(points[i].0), f64::from(points[i].1));
    let mut path = String::new();
    for i in 0..points.len() {
        let (x, y) = point(i);
        if i == 0 {
            let _ = write!(path, "M{} {}", Num(x), Num(y));
        } else if i + 1 == points.len() {
            let _ = write!(path, "L{} {}", Num(x), Num(y));
        } else {
            let towards = |other: (f64, f64)| {
                let (dx, dy) = (other.0 - x, other.1 - y);
                let length = dx.hypot(dy).max(1e-9);
                let radius = RADIUS.min(length / 2.0);
                (x + dx / length * radius, y + dy / length * radius)
            };
            let (start, end) = (towards(point(i - 1)), towards(point(i + 1)));
            let _ = write!(
                path,
                "L{} {}Q{} {} {} {}",
                Num(start.0),
                Num(start.1),
                Num(x),
                Num(y),
                Num(end.0),
                Num(end.1)
            );
        }
    }
    path
}

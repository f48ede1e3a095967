//! Parallel coordinates: one vertical axis per quantity, one line per record (Inselberg 1985).
//!
//! Lines and axes carry what a script needs to choose lines by ranges: `data-id` and `data-places`
//! (shares of the height, from below, one for each axis, `-` where there is none) of a line;
//! `data-axis`, `data-x`, `data-top`, `data-height`, `data-kind`, `data-low` and `data-high` of an
//! axis. Imports: `report::svg`, `report::chart::frame`.

use std::fmt::Write;

use super::WIDTH;
use super::frame::{Scale, ScaleKind, heading};
use crate::report::escape::Escaped;
use crate::report::svg::{Anchor, Canvas, Look, Num, Svg, fit_text};

/// What stands along an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParallelScale {
    /// Numbers.
    Numbers(ScaleKind),
    /// Names; a line's place is the index of one.
    Names(Vec<String>),
}

/// One axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParallelAxis {
    /// What it measures.
    pub title: String,
    /// What stands along it.
    pub scale: ParallelScale,
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelLine {
    /// Its place on each axis; one that cannot be shown leaves a gap.
    pub places: Vec<f64>,
    /// How much it stands out, 0 (least) to 1.
    pub strength: f64,
    /// What it is, shown when pointed at; may be empty.
    pub name: String,
    /// What a script calls it; may be empty.
    pub id: String,
    /// Is it the one that matters?
    pub marked: bool,
}

/// A chart of parallel coordinates.
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelCoordinates {
    /// Its title.
    pub title: String,
    /// A line below the title; may be empty.
    pub subtitle: String,
    /// The axes, from left to right.
    pub axes: Vec<ParallelAxis>,
    /// The records.
    pub lines: Vec<ParallelLine>,
}

pub(super) const LOOK: Look = Look {
    kind: "parallel",
    css: ".cvops-svg .way{fill:none;stroke:var(--c0);stroke-width:1.5;stroke-linejoin:round}.cvops-svg .halo{paint-order:stroke;stroke:var(--paper);stroke-width:3px}.cvops-svg .best{fill:none;stroke:var(--c1);stroke-width:3;stroke-linejoin:round}\
.cvops-svg .way:hover,.cvops-svg .best:hover{stroke:var(--ink);stroke-opacity:1;stroke-width:3}\
.cvops-svg .out{stroke:var(--muted);stroke-opacity:.12;stroke-width:1}.cvops-svg .brush{fill:var(--c0);fill-opacity:.22;stroke:var(--c0)}\
.cvops-svg .grip{fill:none;pointer-events:all;cursor:ns-resize}",
};

const HEIGHT: f64 = 260.0;
const SIDE: f64 = 70.0;
/// With more axes the chart is wider than others: names along an axis need this much room.
const GAP_MIN: f64 = 130.0;
/// More names along one axis would overlap; the others have no text.
const NAMES_MAX: usize = 20;

impl ParallelCoordinates {
    /// Returns the chart.
    #[must_use]
    pub fn svg(&self) -> Svg {
        let gaps = self.axes.len().saturating_sub(1).max(1) as f64;
        let width = WIDTH.max(gaps * GAP_MIN + 2.0 * SIDE);
        let below = if self.subtitle.is_empty() { 38.0 } else { 56.0 };
        let height = below + 34.0 + HEIGHT + 24.0;
        let mut canvas = Canvas::new(width, height, &self.title, &self.description(), &LOOK);
        let top = heading(&mut canvas, &self.title, &self.subtitle) + 34.0;
        let scales: Vec<Scale> = self
            .axes
            .iter()
            .enumerate()
            .map(|(i, a)| self.scale(i, a))
            .collect();
        let gap = (width - 2.0 * SIDE) / gaps;
        let x = |axis: usize| SIDE + gap * axis as f64;
        let y = |share: f64| top + (1.0 - share) * HEIGHT;
        for marked in [false, true] {
            for line in self.lines.iter().filter(|l| l.marked == marked) {
                draw_line(&mut canvas, line, &scales, &way(line, &scales, &x, &y));
            }
        }
        for (index, (axis, scale)) in self.axes.iter().zip(&scales).enumerate() {
            let left = x(index);
            canvas.raw(format_args!("{}", opened(index, axis, scale, (left, top))));
            canvas.line("axis", (left, top), (left, top + HEIGHT));
            let title = fit_text(&axis.title, 11.0, gap.min(180.0) - 6.0);
            canvas.text(left, top - 14.0, Anchor::Middle, "small", &title);
            for (value, text) in marks(axis, scale) {
                if let Some(share) = scale.at(value) {
                    let level = y(share);
                    let text = fit_text(&text, 11.0, gap.min(SIDE) - 10.0);
                    // The last axis has room on its right only.
                    let (side, anchor) = if 0 < index && index + 1 == self.axes.len() {
                        (1.0, Anchor::Start)
                    } else {
                        (-1.0, Anchor::End)
                    };
                    canvas.line("axis", (left, level), (left + 4.0 * side, level));
                    let at = left + 7.0 * side;
                    canvas.text(at, level + 4.0, anchor, "small muted halo", &text);
                }
            }
            canvas.raw(format_args!("</g>"));
        }
        canvas.finish()
    }

    fn scale(&self, index: usize, axis: &ParallelAxis) -> Scale {
        match &axis.scale {
            ParallelScale::Names(names) => {
                // Half a step of air above and below, so that a lone name stands in the middle.
                Scale::between(-0.5, names.len().max(1) as f64 - 0.5)
            }
            ParallelScale::Numbers(kind) => {
                let places = self
                    .lines
                    .iter()
                    .filter_map(|l| l.places.get(index))
                    .copied();
                let is_whole = places
                    .clone()
                    .all(|place| !place.is_finite() || place.fract() == 0.0);
                let scale = Scale::around(*kind, places);
                if is_whole { scale.whole() } else { scale }
            }
        }
    }

    fn description(&self) -> String {
        let names: Vec<&str> = self.axes.iter().map(|a| a.title.as_str()).collect();
        format!(
            "Parallel coordinates of {} records over {}.",
            self.lines.len(),
            names.join(", ")
        )
    }
}

/// Returns the beginning of an axis, with all that says what stands where along it.
fn opened(index: usize, axis: &ParallelAxis, scale: &Scale, (left, top): (f64, f64)) -> String {
    let kind = match (&axis.scale, scale.kind()) {
        (ParallelScale::Names(_), _) => "names",
        (ParallelScale::Numbers(_), ScaleKind::Linear) => "linear",
        (ParallelScale::Numbers(_), ScaleKind::Log) => "log",
    };
    let (low, high) = scale.ends();
    let mut text = format!(
        "<g data-axis=\"{index}\" data-title=\"{}\" data-x=\"{}\" data-top=\"{}\" data-height=\"{HEIGHT}\" \
         data-kind=\"{kind}\" data-low=\"{low:e}\" data-high=\"{high:e}\"",
        Escaped(&axis.title),
        Num(left),
        Num(top),
    );
    if let ParallelScale::Names(names) = &axis.scale {
        // No name can hold a line break once it is on one line.
        let names: Vec<String> = names
            .iter()
            .map(|name| name.replace(['\n', '\r'], " "))
            .collect();
        let _ = write!(text, " data-names=\"{}\"", Escaped(&names.join("\n")));
    }
    text.push('>');
    text
}

fn draw_line(canvas: &mut Canvas, line: &ParallelLine, scales: &[Scale], path: &str) {
    let strength = if line.marked {
        "class=\"best\"".to_owned()
    } else {
        let opacity = Num(0.15 + 0.65 * line.strength.clamp(0.0, 1.0));
        format!("class=\"way\" stroke-opacity=\"{opacity}\"")
    };
    let mut about = String::new();
    if !line.id.is_empty() {
        let places: Vec<String> = scales
            .iter()
            .enumerate()
            .map(|(axis, scale)| {
                let share = line.places.get(axis).and_then(|place| scale.at(*place));
                share.map_or_else(|| "-".to_owned(), |share| format!("{share:.5}"))
            })
            .collect();
        let (id, places) = (Escaped(&line.id), places.join(" "));
        about = format!(" data-id=\"{id}\" data-places=\"{places}\"");
    }
    if line.name.is_empty() {
        canvas.raw(format_args!("<path {strength}{about} d=\"{path}\"/>"));
    } else {
        let name = Escaped(&line.name);
        canvas.raw(format_args!(
            "<path {strength}{about} d=\"{path}\"><title>{name}</title></path>"
        ));
    }
}

fn marks(axis: &ParallelAxis, scale: &Scale) -> Vec<(f64, String)> {
    match &axis.scale {
        ParallelScale::Names(names) => names
            .iter()
            .take(NAMES_MAX)
            .enumerate()
            .map(|(i, name)| (i as f64, name.clone()))
            .collect(),
        ParallelScale::Numbers(_) => scale.ticks(5),
    }
}

fn way(
    line: &ParallelLine,
    scales: &[Scale],
    x: &dyn Fn(usize) -> f64,
    y: &dyn Fn(f64) -> f64,
) -> String {
    let mut path = String::new();
    let mut joined = false;
    for (index, scale) in scales.iter().enumerate() {
        let share = line.places.get(index).and_then(|place| scale.at(*place));
        if let Some(share) = share {
            let command = if joined { 'L' } else { 'M' };
            let _ = write!(path, "{command}{} {}", Num(x(index)), Num(y(share)));
        }
        joined = share.is_some();
    }
    path
}

//! Parallel coordinates: one vertical axis per quantity, one line per record (Inselberg 1985).
//! Imports: `report::svg`, `report::chart::frame`.

use std::fmt::Write;

use super::WIDTH;
use super::frame::{Scale, ScaleKind, heading};
use crate::report::svg::{Anchor, Canvas, Num, Svg, fit_text};

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

const HEIGHT: f64 = 260.0;
const SIDE: f64 = 70.0;
/// More names along one axis would overlap; the others have no text.
const NAMES_MAX: usize = 20;

impl ParallelCoordinates {
    /// Returns the chart.
    #[must_use]
    pub fn svg(&self) -> Svg {
        let css = ".cvops-svg .way{fill:none;stroke:var(--c0);stroke-width:1.5;stroke-linejoin:round}.cvops-svg .halo{paint-order:stroke;stroke:var(--paper);stroke-width:3px}.cvops-svg .best{fill:none;stroke:var(--c1);stroke-width:3;stroke-linejoin:round}";
        let below = if self.subtitle.is_empty() { 38.0 } else { 56.0 };
        let height = below + 34.0 + HEIGHT + 24.0;
        let mut canvas = Canvas::new(WIDTH, height, &self.title, &self.description(), css);
        let top = heading(&mut canvas, &self.title, &self.subtitle) + 34.0;
        let scales: Vec<Scale> = self
            .axes
            .iter()
            .enumerate()
            .map(|(i, a)| self.scale(i, a))
            .collect();
        let gap = (WIDTH - 2.0 * SIDE) / self.axes.len().saturating_sub(1).max(1) as f64;
        let x = |axis: usize| SIDE + gap * axis as f64;
        let y = |share: f64| top + (1.0 - share) * HEIGHT;
        for marked in [false, true] {
            for line in self.lines.iter().filter(|l| l.marked == marked) {
                let path = way(line, &scales, &x, &y);
                if marked {
                    canvas.raw(format_args!("<path class=\"best\" d=\"{path}\"/>"));
                } else {
                    let opacity = Num(0.15 + 0.65 * line.strength.clamp(0.0, 1.0));
                    canvas.raw(format_args!(
                        "<path class=\"way\" stroke-opacity=\"{opacity}\" d=\"{path}\"/>"
                    ));
                }
            }
        }
        for (index, (axis, scale)) in self.axes.iter().zip(&scales).enumerate() {
            let left = x(index);
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
                Scale::around(*kind, places)
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

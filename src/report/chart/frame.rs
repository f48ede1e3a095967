//! The frame of a chart with two axes: margins, grid, marks, titles, legend.
//! Imports: `report::svg`, `report::chart::ticks`.

use super::symbol::symbol;
use super::ticks::{self, Ticks};
use super::{WIDTH, colour, dashes};
use crate::report::svg::{Anchor, Canvas, Num, fit_text, text_width};

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleKind {
    /// Equal differences take equal room.
    Linear,
    /// Equal ratios take equal room; values up to 0 cannot be shown and are left out.
    Log,
}

/// An axis of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// What it measures, with the unit: `learning rate`, `loss (nats)`.
    pub title: String,
    /// How values are spread along it.
    pub scale: ScaleKind,
}

impl Axis {
    /// Returns a linear axis.
    #[must_use]
    pub fn linear(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            scale: ScaleKind::Linear,
        }
    }

    /// Returns a logarithmic axis.
    #[must_use]
    pub fn log(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            scale: ScaleKind::Log,
        }
    }
}

/// Maps values to 0..=1 along an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    kind: ScaleKind,
    low: f64,
    high: f64,
    /// Marks are at least this far apart; 1 for epochs and counts, which have no halves.
    step_min: f64,
}

impl Scale {
    /// Returns a scale that just holds the values; those that it cannot show are not counted.
    pub(super) fn around(kind: ScaleKind, values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|&value| is_shown(kind, value)) {
            low = low.min(value);
            high = high.max(value);
        }
        if high < low {
            (low, high) = if kind == ScaleKind::Log {
                (0.1, 1.0)
            } else {
                (0.0, 1.0)
            };
        }
        if high <= low {
            (low, high) = match kind {
                ScaleKind::Log => (low / 2.0, (high * 2.0).min(f64::MAX)),
                ScaleKind::Linear if low == 0.0 => (0.0, 1.0),
                ScaleKind::Linear => (
                    (low - low.abs() * 0.1).max(f64::MIN),
                    (high + high.abs() * 0.1).min(f64::MAX),
                ),
            };
        }
        Self {
            kind,
            low,
            high,
            step_min: 0.0,
        }
    }

    /// Returns a linear scale with these ends.
    pub(super) fn between(low: f64, high: f64) -> Self {
        Self {
            kind: ScaleKind::Linear,
            low,
            high: if low < high { high } else { low + 1.0 },
            step_min: 0.0,
        }
    }

    /// Marks whole numbers only.
    pub(super) fn whole(self) -> Self {
        Self {
            step_min: 1.0,
            ..self
        }
    }

    /// Widens a linear scale to round ends, so that curves do not touch the frame.
    pub(super) fn rounded(self, wanted: usize) -> Self {
        let step = ticks::step(self.low, self.high, wanted).max(self.step_min);
        if self.kind == ScaleKind::Log || !step.is_finite() || step <= 0.0 {
            return self;
        }
        let low = (self.low / step + 1e-9).floor() * step;
        let high = (self.high / step - 1e-9).ceil() * step;
        if !low.is_finite() || !high.is_finite() {
            return self;
        }
        Self { low, high, ..self }
    }

    /// Adds this share of the scale at both ends, so that marks do not sit on the frame.
    pub(super) fn padded(self, share: f64) -> Self {
        let (low, high) = match self.kind {
            ScaleKind::Linear => {
                let more = (self.high - self.low) * share;
                (self.low - more, self.high + more)
            }
            ScaleKind::Log => {
                let more = (self.high / self.low).powf(share);
                (self.low / more, self.high * more)
            }
        };
        // Ends that are too far apart for f64 stay as they are.
        let fits =
            low.is_finite() && high.is_finite() && (self.kind == ScaleKind::Linear || 0.0 < low);
        if fits {
            Self { low, high, ..self }
        } else {
            self
        }
    }

    /// Returns the least and the greatest value.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    pub(super) fn kind(&self) -> ScaleKind {
        self.kind
    }

    pub(super) fn ticks(&self, wanted: usize) -> Ticks {
        match self.kind {
            ScaleKind::Linear => ticks::linear(self.low, self.high, wanted, self.step_min),
            ScaleKind::Log => ticks::logarithmic(self.low, self.high),
        }
    }

    /// Returns where a value lies, `None` if it cannot be shown.
    pub(super) fn at(&self, value: f64) -> Option<f64> {
        if !is_shown(self.kind, value) {
            return None;
        }
        let share = match self.kind {
            ScaleKind::Linear if (self.high - self.low).is_finite() => {
                (value - self.low) / (self.high - self.low)
            }
            // The ends are too far apart for the difference of two f64; that of their halves fits.
            ScaleKind::Linear => {
                (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
            }
            ScaleKind::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        // The quotient of the ends of a logarithmic scale may be beyond f64.
        share.is_finite().then_some(share)
    }
}

fn is_shown(kind: ScaleKind, value: f64) -> bool {
    value.is_finite() && (kind == ScaleKind::Linear || 0.0 < value)
}

/// The plotting area and its scales.
pub(super) struct Frame {
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// What is drawn around the plotting area.
pub(super) struct FrameSpec<'a> {
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) x_title: &'a str,
    pub(super) y_title: &'a str,
    /// Where the space for the frame begins, below title and legend.
    pub(super) top: f64,
    /// Height of the plotting area.
    pub(super) height: f64,
    /// Room kept free on the right.
    pub(super) right: f64,
    pub(super) y_ticks: usize,
}

/// Room below the plotting area for marks and the title of the axis.
pub(super) const BELOW: f64 = 46.0;

impl Frame {
    /// Draws grid, marks and titles; returns the plotting area.
    pub(super) fn draw(canvas: &mut Canvas, spec: &FrameSpec<'_>) -> Self {
        let y_ticks = spec.y.ticks(spec.y_ticks);
        let marks = y_ticks
            .iter()
            .map(|tick| text_width(&tick.1, 11.0))
            .fold(0.0, f64::max);
        let left = 20.0 + marks.max(16.0) + 8.0;
        // The title of the vertical axis stands level above it: no one likes to turn their head.
        let top = spec.top + if spec.y_title.is_empty() { 8.0 } else { 24.0 };
        let frame = Self {
            x: spec.x,
            y: spec.y,
            left,
            top,
            width: WIDTH - left - spec.right,
            height: spec.height,
        };
        if !spec.y_title.is_empty() {
            canvas.text(20.0, top - 12.0, Anchor::Start, "small muted", spec.y_title);
        }
        let (right, bottom) = (left + frame.width, top + frame.height);
        for (value, text) in &y_ticks {
            if let Some(y) = frame.y_at(*value) {
                canvas.line("grid", (left, y), (right, y));
                canvas.text(left - 8.0, y + 4.0, Anchor::End, "small muted", text);
            }
        }
        canvas.line("axis", (left, bottom), (right, bottom));
        for (value, text) in spec.x.ticks(8) {
            if let Some(x) = frame.x_at(value) {
                canvas.line("axis", (x, bottom), (x, bottom + 4.0));
                canvas.text(x, bottom + 17.0, Anchor::Middle, "small muted", &text);
            }
        }
        if !spec.x_title.is_empty() {
            canvas.text(
                left + frame.width / 2.0,
                bottom + 36.0,
                Anchor::Middle,
                "small muted",
                spec.x_title,
            );
        }
        frame
    }

    /// Returns the pixel column of a value.
    pub(super) fn x_at(&self, value: f64) -> Option<f64> {
        self.x.at(value).map(|share| self.left + share * self.width)
    }

    /// Returns the pixel row of a value.
    pub(super) fn y_at(&self, value: f64) -> Option<f64> {
        self.y
            .at(value)
            .map(|share| self.top + (1.0 - share) * self.height)
    }

    /// Says in the middle of the area that there is nothing to show.
    pub(super) fn say_empty(&self, canvas: &mut Canvas) {
        let (x, y) = (self.left + self.width / 2.0, self.top + self.height / 2.0);
        canvas.text(x, y, Anchor::Middle, "muted", "no data");
    }
}

/// Draws the title and, if there is one, a line below it; returns where the chart goes on.
pub(super) fn heading(canvas: &mut Canvas, title: &str, below: &str) -> f64 {
    canvas.text(
        20.0,
        28.0,
        Anchor::Start,
        "title",
        &fit_text(title, 16.0, WIDTH - 40.0),
    );
    if below.is_empty() {
        return 38.0;
    }
    canvas.text(
        20.0,
        46.0,
        Anchor::Start,
        "small muted",
        &fit_text(below, 11.0, WIDTH - 40.0),
    );
    56.0
}

/// The mark of a legend's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Line,
    Area,
    /// The shape of the series.
    Symbol,
    /// The shape of the series on its line.
    MarkedLine,
}

/// Returns the rows of a legend: index and text of each entry with its column.
fn legend_rows(names: &[&str]) -> Vec<Vec<(usize, f64, String)>> {
    let mut rows = vec![Vec::new()];
    let mut x = 20.0;
    for (index, name) in names.iter().enumerate() {
        let name = fit_text(name, 12.0, 240.0);
        let width = 26.0 + text_width(&name, 12.0) + 18.0;
        if 20.0 < x && WIDTH - 20.0 < x + width - 18.0 {
            rows.push(Vec::new());
            x = 20.0;
        }
        if let Some(row) = rows.last_mut() {
            row.push((index, x, name));
        }
        x += width;
    }
    rows
}

const LEGEND_ROW: f64 = 19.0;

/// Returns the height of the legend of these names.
pub(super) fn legend_height(names: &[&str]) -> f64 {
    if names.is_empty() {
        0.0
    } else {
        legend_rows(names).len() as f64 * LEGEND_ROW + 4.0
    }
}

/// Draws the legend below `top`.
pub(super) fn legend(canvas: &mut Canvas, names: &[&str], key: Key, top: f64) {
    for (row, entries) in legend_rows(names).into_iter().enumerate() {
        let y = top + 14.0 + row as f64 * LEGEND_ROW;
        for (index, x, name) in entries {
            let (from, to, level, c) = (Num(x), Num(x + 18.0), Num(y - 4.0), colour(index));
            match key {
                Key::Symbol => symbol(canvas, index, (x + 9.0, y - 4.0)),
                Key::MarkedLine => {
                    canvas.raw(format_args!(
                        "<path class=\"line\" style=\"stroke:{c}\" d=\"M{from} {level}L{to} {level}\"/>"
                    ));
                    symbol(canvas, index, (x + 9.0, y - 4.0));
                }
                Key::Line => canvas.raw(format_args!(
                    "<path class=\"line\" style=\"stroke:{c}\" stroke-dasharray=\"{}\" d=\"M{from} {level}L{to} {level}\"/>",
                    dashes(index)
                )),
                Key::Area => canvas.raw(format_args!(
                    "<rect style=\"fill:{c}\" x=\"{from}\" y=\"{}\" width=\"14\" height=\"10\" rx=\"2\"/>",
                    Num(y - 9.0)
                )),
            }
            canvas.text(x + 26.0, y, Anchor::Start, "", &name);
        }
    }
}

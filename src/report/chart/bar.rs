//! Horizontal bars with values and intervals. Imports: `report::svg`, `report::chart::frame`.

use std::fmt::Write;

use super::frame::{Scale, heading};
use super::{NumberFormat, WIDTH};
use crate::report::svg::{Anchor, Canvas, Look, Num, Svg, fit_text, text_width};

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What it stands for.
    pub label: String,
    /// Its length; not finite: no bar, and `n/a` as value.
    pub value: f64,
    /// An interval around the value, such as a confidence interval, lower end first.
    pub interval: Option<(f64, f64)>,
}

/// A chart of horizontal bars, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub struct BarChart {
    /// Its title.
    pub title: String,
    /// A line below the title, such as what the intervals mean; may be empty.
    pub subtitle: String,
    /// What the bars measure, with the unit.
    pub axis_title: String,
    /// The end of the axis, for values with a natural limit such as 1; otherwise the data's own.
    pub axis_max: Option<f64>,
    /// How the values are written.
    pub format: NumberFormat,
    /// The bars.
    pub bars: Vec<Bar>,
}

pub(super) const LOOK: Look = Look {
    kind: "bar",
    css: ".cvops-svg .bar{fill:var(--c0)}.cvops-svg .whisker{stroke:var(--ink);stroke-width:1.25;fill:none}",
};
const ROW: f64 = 24.0;
const BAR: f64 = 15.0;
const LABEL_WIDTH_MAX: f64 = 190.0;

impl BarChart {
    /// Returns the chart.
    #[must_use]
    pub fn svg(&self) -> Svg {
        let below = if self.subtitle.is_empty() { 38.0 } else { 56.0 };
        let height = below + 10.0 + ROW * self.bars.len().max(2) as f64 + 48.0;
        let mut canvas = Canvas::new(WIDTH, height, &self.title, &self.description(), &LOOK);
        let top = heading(&mut canvas, &self.title, &self.subtitle) + 10.0;
        let values = || {
            self.bars
                .iter()
                .flat_map(|bar| {
                    [bar.value]
                        .into_iter()
                        .chain(bar.interval.into_iter().flat_map(|(a, b)| [a, b]))
                })
                .filter(|value| value.is_finite())
        };
        let low = values().fold(0.0, f64::min);
        let high = self.axis_max.filter(|max| max.is_finite()).unwrap_or(0.0);
        let scale = Scale::between(low, values().fold(high, f64::max));
        let labels: Vec<String> = self
            .bars
            .iter()
            .map(|bar| fit_text(&bar.label, 12.0, LABEL_WIDTH_MAX))
            .collect();
        let widest = labels
            .iter()
            .map(|label| text_width(label, 12.0))
            .fold(0.0, f64::max);
        let texts: Vec<String> = self
            .bars
            .iter()
            .map(|bar| self.format.show(bar.value))
            .collect();
        let value_room = texts
            .iter()
            .map(|text| text_width(text, 11.0))
            .fold(0.0, f64::max);
        let left = 20.0 + widest.min(LABEL_WIDTH_MAX) + 10.0;
        let width = WIDTH - left - value_room - 34.0;
        let bottom = top + ROW * self.bars.len().max(2) as f64;
        let at = |value: f64| scale.at(value).map(|share| left + share * width);
        for (value, text) in scale.ticks(6) {
            if let Some(x) = at(value) {
                canvas.line("grid", (x, top), (x, bottom));
                canvas.text(x, bottom + 16.0, Anchor::Middle, "small muted", &text);
            }
        }
        if !self.axis_title.is_empty() {
            canvas.text(
                left + width / 2.0,
                bottom + 34.0,
                Anchor::Middle,
                "small muted",
                &self.axis_title,
            );
        }
        let zero = at(0.0).unwrap_or(left);
        canvas.line("axis", (zero, top), (zero, bottom));
        for (index, bar) in self.bars.iter().enumerate() {
            let middle = top + ROW * (index as f64 + 0.5);
            canvas.text(left - 10.0, middle + 4.0, Anchor::End, "", &labels[index]);
            if let Some(x) = at(bar.value) {
                let (start, length) = (x.min(zero), (x - zero).abs());
                canvas.raw(format_args!(
                    "<rect class=\"bar\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{BAR}\" rx=\"2\"/>",
                    Num(start),
                    Num(middle - BAR / 2.0),
                    Num(length)
                ));
            }
            if let Some((from, to)) = bar.interval.and_then(|(from, to)| at(from).zip(at(to))) {
                let (a, b, y, up, down) = (
                    Num(from),
                    Num(to),
                    Num(middle),
                    Num(middle - 4.0),
                    Num(middle + 4.0),
                );
                canvas.raw(format_args!(
                    "<path class=\"whisker\" d=\"M{a} {y}L{b} {y}M{a} {up}L{a} {down}M{b} {up}L{b} {down}\"/>"
                ));
            }
            canvas.text(
                WIDTH - 20.0,
                middle + 4.0,
                Anchor::End,
                "small",
                &texts[index],
            );
        }
        if self.bars.is_empty() {
            canvas.text(
                left + width / 2.0,
                top + ROW,
                Anchor::Middle,
                "muted",
                "no data",
            );
        }
        canvas.finish()
    }

    fn description(&self) -> String {
        let mut text = format!("Bar chart of {}.", self.axis_title);
        for bar in &self.bars {
            let _ = write!(text, " {}: {}", bar.label, self.format.show(bar.value));
            if let Some((from, to)) = bar.interval {
                let _ = write!(
                    text,
                    " ({} to {})",
                    self.format.show(from),
                    self.format.show(to)
                );
            }
            text.push('.');
        }
        text
    }
}

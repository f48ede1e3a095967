//! Horizontal bars in parts: stacked, or side by side. Imports: `report::svg`, `report::chart::frame`.

use std::fmt::Write;

use super::frame::{Key, Scale, heading, legend, legend_height};
use super::{NumberFormat, WIDTH, colour};
use crate::report::escape::Escaped;
use crate::report::svg::{Anchor, Canvas, Look, Num, Svg, fit_text, text_width};

/// How the parts of a row stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// One behind the other; a part below 0 counts as 0.
    Stacked,
    /// One below the other.
    SideBySide,
}

/// One row: its label and the value of each part; one that is not finite has no bar.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupedRow {
    /// What it stands for.
    pub label: String,
    /// The values, in the order of the chart's parts.
    pub values: Vec<f64>,
}

/// A chart of rows with the same parts, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupedBars {
    /// Its title.
    pub title: String,
    /// A line below the title; may be empty.
    pub subtitle: String,
    /// What the bars measure, with the unit.
    pub axis_title: String,
    /// How the values are written.
    pub format: NumberFormat,
    /// How the parts stand.
    pub arrangement: Arrangement,
    /// The names of the parts.
    pub parts: Vec<String>,
    /// The rows.
    pub rows: Vec<GroupedRow>,
}

pub(super) const LOOK: Look = Look {
    kind: "grouped",
    css: ".cvops-svg .on{fill:var(--paper)}",
};

const BAR: f64 = 15.0;
const LABEL_WIDTH_MAX: f64 = 190.0;

impl GroupedBars {
    /// Returns the chart.
    #[must_use]
    pub fn svg(&self) -> Svg {
        let names: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        let legend_room = legend_height(&names);
        let below = if self.subtitle.is_empty() { 38.0 } else { 56.0 };
        let row = self.row_height();
        let area = row * self.rows.len().max(2) as f64;
        let height = below + legend_room + 10.0 + area + 48.0;
        let mut canvas = Canvas::new(WIDTH, height, &self.title, &self.description(), &LOOK);
        let top = heading(&mut canvas, &self.title, &self.subtitle);
        legend(&mut canvas, &names, Key::Area, top);
        let top = top + legend_room + 10.0;
        let widest = |texts: &mut dyn Iterator<Item = String>, px: f64| {
            texts.map(|text| text_width(&text, px)).fold(0.0, f64::max)
        };
        let labels = widest(&mut self.rows.iter().map(|row| row.label.clone()), 12.0);
        let sums = widest(&mut self.rows.iter().map(|row| self.end(row)), 11.0);
        let left = 20.0 + labels.min(LABEL_WIDTH_MAX) + 10.0;
        let width = WIDTH - left - sums - 34.0;
        let bottom = top + area;
        let scale = self.scale();
        let at = |value: f64| scale.at(value).map(|share| left + share * width);
        for (value, text) in scale.ticks(6) {
            if let Some(x) = at(value) {
                canvas.line("grid", (x, top), (x, bottom));
                canvas.text(x, bottom + 16.0, Anchor::Middle, "small muted", &text);
            }
        }
        let middle = left + width / 2.0;
        let title = &self.axis_title;
        canvas.text(middle, bottom + 34.0, Anchor::Middle, "small muted", title);
        let zero = at(0.0).unwrap_or(left);
        canvas.line("axis", (zero, top), (zero, bottom));
        for (index, one) in self.rows.iter().enumerate() {
            let level = top + row * (index as f64 + 0.5);
            let label = fit_text(&one.label, 12.0, LABEL_WIDTH_MAX);
            canvas.text(left - 10.0, level + 4.0, Anchor::End, "", &label);
            self.bars(&mut canvas, one, &at, level);
            let end = self.end(one);
            canvas.text(WIDTH - 20.0, level + 4.0, Anchor::End, "small", &end);
        }
        if self.rows.is_empty() {
            canvas.text(middle, top + row, Anchor::Middle, "muted", "no data");
        }
        canvas.finish()
    }

    fn row_height(&self) -> f64 {
        match self.arrangement {
            Arrangement::Stacked => 24.0,
            Arrangement::SideBySide => BAR * self.parts.len().max(1) as f64 + 9.0,
        }
    }

    fn part(row: &GroupedRow, index: usize) -> f64 {
        row.values.get(index).copied().unwrap_or(f64::NAN)
    }

    /// Returns the sum of a row's parts as they are stacked.
    fn sum(&self, row: &GroupedRow) -> f64 {
        (0..self.parts.len())
            .map(|index| Self::part(row, index))
            .filter(|value| value.is_finite())
            .map(|value| value.max(0.0))
            .sum()
    }

    /// Returns what is written at the end of a row.
    fn end(&self, row: &GroupedRow) -> String {
        match self.arrangement {
            Arrangement::Stacked => self.format.show(self.sum(row)),
            Arrangement::SideBySide => String::new(),
        }
    }

    fn scale(&self) -> Scale {
        let (mut low, mut high) = (0.0f64, 0.0f64);
        for row in &self.rows {
            match self.arrangement {
                Arrangement::Stacked => high = high.max(self.sum(row)),
                Arrangement::SideBySide => {
                    let values = (0..self.parts.len()).map(|index| Self::part(row, index));
                    for value in values.filter(|value| value.is_finite()) {
                        low = low.min(value);
                        high = high.max(value);
                    }
                }
            }
        }
        Scale::between(low, high.min(f64::MAX))
    }

    fn bars(
        &self,
        canvas: &mut Canvas,
        row: &GroupedRow,
        at: &dyn Fn(f64) -> Option<f64>,
        level: f64,
    ) {
        let mut below = 0.0;
        for (index, name) in self.parts.iter().enumerate() {
            let value = Self::part(row, index);
            let (from, to, y) = match self.arrangement {
                Arrangement::Stacked if 0.0 < value => (below, below + value, level - BAR / 2.0),
                Arrangement::Stacked => continue,
                Arrangement::SideBySide => {
                    let above = BAR * self.parts.len() as f64 / 2.0;
                    (0.0, value, level - above + BAR * index as f64)
                }
            };
            let Some((start, end)) = at(from).zip(at(to)) else {
                continue;
            };
            below = to;
            let (x, width) = (start.min(end), (end - start).abs());
            let text = self.format.show(value);
            // A hair of paper between two parts tells them apart in print.
            canvas.raw(format_args!(
                "<rect style=\"fill:{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\">\
                 <title>{}, {}: {text}</title></rect>",
                colour(index),
                Num(x),
                Num(y),
                Num((width - 1.0).max(0.5)),
                Num(BAR - 1.0),
                Escaped(&row.label),
                Escaped(name)
            ));
            let room = text_width(&text, 9.5) + 8.0;
            if room <= width {
                let middle = x + width / 2.0;
                canvas.text(middle, y + 11.0, Anchor::Middle, "tiny on", &text);
            }
        }
    }

    fn description(&self) -> String {
        let mut text = format!("Bars of {} in parts.", self.axis_title);
        for row in &self.rows {
            let _ = write!(text, " {}:", row.label);
            for (index, name) in self.parts.iter().enumerate() {
                let value = self.format.show(Self::part(row, index));
                let _ = write!(text, " {name} {value},");
            }
            text.pop();
            text.push('.');
        }
        text
    }
}

//! Counts per interval, stacked by kind. Imports: `report::svg`, `report::chart::frame`.

use super::frame::{
    BELOW, Frame, FrameSpec, Key, Scale, ScaleKind, heading, legend, legend_height,
};
use super::{WIDTH, colour};
use crate::report::svg::{Canvas, Look, Num, Svg};

/// Counts of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSeries {
    /// What is counted: `correct`, `wrong`.
    pub name: String,
    /// Counts, one per interval; missing ones are 0.
    pub counts: Vec<u64>,
}

/// A histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Its title.
    pub title: String,
    /// What the intervals measure, with the unit.
    pub x_title: String,
    /// What is counted.
    pub y_title: String,
    /// The ends of the intervals, ascending, one more than there are intervals.
    pub edges: Vec<f64>,
    /// The kinds, stacked from the bottom up.
    pub series: Vec<HistogramSeries>,
}

const HEIGHT: f64 = 230.0;

impl Histogram {
    /// Returns the chart.
    #[must_use]
    pub fn svg(&self) -> Svg {
        let bins = self.edges.len().saturating_sub(1);
        let count =
            |series: &HistogramSeries, bin: usize| series.counts.get(bin).copied().unwrap_or(0);
        let total = |bin: usize| {
            self.series
                .iter()
                .map(|s| count(s, bin) as f64)
                .sum::<f64>()
        };
        let highest = (0..bins).map(total).fold(0.0, f64::max);
        let names: Vec<&str> = if 1 < self.series.len() {
            self.series.iter().map(|s| s.name.as_str()).collect()
        } else {
            Vec::new()
        };
        let legend_room = legend_height(&names);
        let y_title_room = if self.y_title.is_empty() { 8.0 } else { 24.0 };
        let height = 38.0 + legend_room + y_title_room + HEIGHT + BELOW;
        let sum: f64 = (0..bins).map(total).sum();
        let description = format!(
            "Histogram of {}: {sum} values in {bins} intervals.",
            self.x_title
        );
        let mut canvas = Canvas::new(WIDTH, height, &self.title, &description, &Look::PLAIN);
        let top = heading(&mut canvas, &self.title, "");
        legend(&mut canvas, &names, Key::Area, top);
        let frame = Frame::draw(
            &mut canvas,
            &FrameSpec {
                x: Scale::around(ScaleKind::Linear, self.edges.iter().copied()),
                y: Scale::between(0.0, highest.max(1.0)).whole().rounded(5),
                x_title: &self.x_title,
                y_title: &self.y_title,
                top: top + legend_room,
                height: HEIGHT,
                right: 24.0,
                y_ticks: 5,
            },
        );
        if sum == 0.0 {
            frame.say_empty(&mut canvas);
        }
        for bin in 0..bins {
            let Some((from, to)) = frame
                .x_at(self.edges[bin])
                .zip(frame.x_at(self.edges[bin + 1]))
            else {
                continue;
            };
            let mut below = 0.0;
            for (index, series) in self.series.iter().enumerate() {
                let above = below + count(series, bin) as f64;
                if let (true, Some(start), Some(end)) =
                    (below < above, frame.y_at(above), frame.y_at(below))
                {
                    canvas.raw(format_args!(
                        "<rect style=\"fill:{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                        colour(index),
                        Num(from + 0.5),
                        Num(start),
                        Num((to - from - 1.0).max(0.5)),
                        Num(end - start)
                    ));
                }
                below = above;
            }
        }
        canvas.finish()
    }
}

//! Curves over a common axis. Imports: `report::svg`, `report::chart::frame`.

use std::fmt::Write;

use super::frame::{Axis, BELOW, Frame, FrameSpec, Key, Scale, heading, legend, legend_height};
use super::symbol::symbol;
use super::{NumberFormat, WIDTH, colour, dashes};
use crate::report::escape::Escaped;
use crate::report::svg::{Canvas, Look, Num, Svg, fit_text, text_width};

/// A named curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What it is called.
    pub name: String,
    /// Points `(x, y)` in the order in which they are joined. One that cannot be shown (not finite,
    /// or not positive on a logarithmic axis) leaves a gap.
    pub points: Vec<(f64, f64)>,
}

/// A named band: a middle and how far values spread around it, such as over seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// What it is called.
    pub name: String,
    /// Points `(x, low, middle, high)` in the order in which they are joined. One whose ends cannot
    /// be shown leaves a gap.
    pub points: Vec<(f64, f64, f64, f64)>,
}

/// Where the curves' names stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// In a legend above; left out for a single curve.
    Legend,
    /// In a legend above, each with a shape that its curve carries too: told apart without colour.
    Marked,
    /// At the end of each curve.
    Direct,
}

/// A chart of curves.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    /// Its title.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The curves.
    pub series: Vec<Series>,
    /// Where their names stand.
    pub naming: Naming,
}

/// Standalone charts without bands and marks keep the theme alone, byte for byte.
pub(super) const LOOK: Look = Look {
    kind: "line",
    css: ".cvops-svg .band{fill-opacity:.18;stroke:none}.cvops-svg .symbol{stroke:var(--paper);stroke-width:.75}",
};

const HEIGHT: f64 = 270.0;
/// Shapes on a marked curve.
const SYMBOLS: usize = 6;
/// Up to this many points per curve each has a dot.
const DOTTED_POINTS_MAX: usize = 40;

impl LineChart {
    /// Returns the chart.
    #[must_use]
    pub fn svg(&self) -> Svg {
        self.svg_with(&[])
    }

    /// Returns the chart with bands below the curves; their colours follow those of the curves.
    #[must_use]
    pub fn svg_with(&self, bands: &[Band]) -> Svg {
        let curves = self.curves(bands);
        let points = || curves.iter().flat_map(|curve| curve.points.iter());
        let spreads = || bands.iter().flat_map(|band| band.points.iter());
        let x = Scale::around(
            self.x.scale,
            points().filter(|p| p.1.is_finite()).map(|p| p.0),
        );
        let x = if points().all(|p| !p.0.is_finite() || p.0.fract() == 0.0) {
            x.whole()
        } else {
            x
        };
        let y = Scale::around(
            self.y.scale,
            points().filter(|p| p.0.is_finite()).map(|p| p.1).chain(
                spreads()
                    .filter(|p| p.0.is_finite())
                    .flat_map(|p| [p.1, p.3]),
            ),
        )
        .rounded(6);
        let names: Vec<&str> = match self.naming {
            Naming::Legend | Naming::Marked if 1 < curves.len() => {
                curves.iter().map(|curve| curve.name.as_str()).collect()
            }
            Naming::Legend | Naming::Marked | Naming::Direct => Vec::new(),
        };
        let right = match self.naming {
            Naming::Legend | Naming::Marked => 24.0,
            Naming::Direct => {
                let widest = curves
                    .iter()
                    .map(|s| text_width(&s.name, 12.0))
                    .fold(0.0, f64::max);
                widest.min(150.0) + 28.0
            }
        };
        let legend_room = legend_height(&names);
        let y_title_room = if self.y.title.is_empty() { 8.0 } else { 24.0 };
        let height = 38.0 + legend_room + y_title_room + HEIGHT + BELOW;
        let mut canvas = Canvas::new(
            WIDTH,
            height,
            &self.title,
            &self.description(&curves),
            self.look(bands),
        );
        let top = heading(&mut canvas, &self.title, "");
        let key = match self.naming {
            Naming::Marked => Key::MarkedLine,
            Naming::Legend | Naming::Direct => Key::Line,
        };
        legend(&mut canvas, &names, key, top);
        let frame = Frame::draw(
            &mut canvas,
            &FrameSpec {
                x,
                y,
                x_title: &self.x.title,
                y_title: &self.y.title,
                top: top + legend_room,
                height: HEIGHT,
                right,
                y_ticks: 6,
            },
        );
        for (index, band) in bands.iter().enumerate() {
            spread(&mut canvas, &frame, self.series.len() + index, band);
        }
        let mut ends = Vec::new();
        for (index, series) in curves.iter().enumerate() {
            if let Some(end) = curve(&mut canvas, &frame, index, series, self.naming) {
                ends.push((index, end));
            }
        }
        if ends.is_empty() {
            frame.say_empty(&mut canvas);
        } else if self.naming == Naming::Direct {
            direct_names(&mut canvas, &frame, &curves, ends);
        }
        canvas.finish()
    }

    /// Returns all curves: the series, then the middles of the bands.
    fn curves(&self, bands: &[Band]) -> Vec<Series> {
        let middles = bands.iter().map(|band| Series {
            name: band.name.clone(),
            points: band.points.iter().map(|p| (p.0, p.2)).collect(),
        });
        self.series.iter().cloned().chain(middles).collect()
    }

    fn look(&self, bands: &[Band]) -> &'static Look {
        if bands.is_empty() && self.naming != Naming::Marked {
            &Look::PLAIN
        } else {
            &LOOK
        }
    }

    fn description(&self, curves: &[Series]) -> String {
        let mut text = format!("Line chart of {} over {}.", self.y.title, self.x.title);
        for series in curves {
            if let Some((x, y)) = series
                .points
                .iter()
                .rev()
                .find(|p| p.0.is_finite() && p.1.is_finite())
            {
                let y = NumberFormat::Decimals(4).show(*y);
                let x = if x.abs() < 1e15 {
                    x.to_string()
                } else {
                    format!("{x:e}")
                };
                let _ = write!(text, " {} ends at {y} (at {x}).", series.name);
            }
        }
        text
    }
}

/// Writes the names at the ends of the curves, moved apart where they would overlap.
fn direct_names(
    canvas: &mut Canvas,
    frame: &Frame,
    curves: &[Series],
    mut ends: Vec<(usize, (f64, f64))>,
) {
    const LINE: f64 = 15.0;
    ends.sort_by(|a, b| a.1.1.total_cmp(&b.1.1));
    let mut rows: Vec<f64> = Vec::with_capacity(ends.len());
    for (_, (_, y)) in &ends {
        rows.push(rows.last().map_or(*y, |above| y.max(above + LINE)));
    }
    let mut limit = frame.top + frame.height;
    for row in rows.iter_mut().rev() {
        *row = row.min(limit);
        limit = *row - LINE;
    }
    for ((index, _), y) in ends.into_iter().zip(rows) {
        let x = frame.left + frame.width + 10.0;
        let name = fit_text(&curves[index].name, 12.0, 150.0);
        let (x, y, c) = (Num(x), Num(y + 4.0), colour(index));
        canvas.raw(format_args!(
            "<text class=\"s\" style=\"fill:{c}\" x=\"{x}\" y=\"{y}\">{}</text>",
            Escaped(&name)
        ));
    }
}
/// Draws how far a band spreads.
fn spread(canvas: &mut Canvas, frame: &Frame, index: usize, band: &Band) {
    let places: Vec<Option<(f64, f64, f64)>> = band
        .points
        .iter()
        .map(|&(x, low, _, high)| Some((frame.x_at(x)?, frame.y_at(low)?, frame.y_at(high)?)))
        .collect();
    let mut path = String::new();
    for piece in places
        .split(Option::is_none)
        .filter(|piece| 1 < piece.len())
    {
        let there = piece.iter().flatten().map(|&(x, low, _)| (x, low));
        let back = piece.iter().rev().flatten().map(|&(x, _, high)| (x, high));
        for (at, (x, y)) in there.chain(back).enumerate() {
            let command = if at == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{} {}", Num(x), Num(y));
        }
        path.push('Z');
    }
    let c = colour(index);
    canvas.raw(format_args!(
        "<path class=\"band\" style=\"fill:{c}\" d=\"{path}\"/>"
    ));
}

/// Draws a curve; returns where it ends, `None` if no point of it can be shown.
fn curve(
    canvas: &mut Canvas,
    frame: &Frame,
    index: usize,
    series: &Series,
    naming: Naming,
) -> Option<(f64, f64)> {
    let places: Vec<Option<(f64, f64)>> = series
        .points
        .iter()
        .map(|&(x, y)| frame.x_at(x).zip(frame.y_at(y)))
        .collect();
    let shown = |index: usize| places.get(index).copied().flatten();
    let mut path = String::new();
    let mut has_lone_point = false;
    for (index, (x, y)) in places
        .iter()
        .enumerate()
        .filter_map(|(index, place)| Some((index, (*place)?)))
    {
        let joined = 0 < index && shown(index - 1).is_some();
        let _ = write!(
            path,
            "{}{} {}",
            if joined { 'L' } else { 'M' },
            Num(x),
            Num(y)
        );
        has_lone_point |= !joined && shown(index + 1).is_none();
    }
    let c = colour(index);
    canvas.raw(format_args!(
        "<path class=\"line\" style=\"stroke:{c}\" stroke-dasharray=\"{}\" d=\"{path}\"/>",
        dashes(index)
    ));
    if naming == Naming::Marked {
        let shown: Vec<(f64, f64)> = places.iter().flatten().copied().collect();
        let stride = shown.len().div_ceil(SYMBOLS).max(1);
        // Curves that run together carry their shapes at different places.
        for place in shown.iter().skip(index % stride).step_by(stride) {
            symbol(canvas, index, *place);
        }
        return shown.last().copied();
    }
    // A point between two gaps has no line and would not be seen without its dot.
    if series.points.len() <= DOTTED_POINTS_MAX || has_lone_point {
        for (x, y) in places.iter().flatten() {
            let (x, y) = (Num(*x), Num(*y));
            canvas.raw(format_args!(
                "<circle style=\"fill:{c}\" cx=\"{x}\" cy=\"{y}\" r=\"2.6\"/>"
            ));
        }
    }
    places.into_iter().flatten().next_back()
}

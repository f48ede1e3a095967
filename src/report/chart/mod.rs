//! Charts as self-contained SVG: curves, bars, histograms, confusion matrix, calibration.
//!
//! Values that are not finite are left out of the drawing, and said to be missing where a number
//! would stand. Every chart is readable without colour, in light and in dark, and describes itself
//! in words for those who cannot see it. Imports: `report::svg`.

mod bar;
mod confusion;
mod contour;
mod frame;
mod grouped;
mod histogram;
mod line;
mod parallel;
mod reliability;
mod scatter;
mod sparkline;
mod spread;
mod surface;
mod symbol;
mod ticks;

pub use bar::{Bar, BarChart};
pub use confusion::ConfusionMatrix;
pub use contour::ContourChart;
pub use frame::{Axis, ScaleKind};
pub use grouped::{Arrangement, GroupedBars, GroupedRow};
pub use histogram::{Histogram, HistogramSeries};
pub use line::{Band, LineChart, Naming, Series};
pub use parallel::{ParallelAxis, ParallelCoordinates, ParallelLine, ParallelScale};
pub use reliability::{ReliabilityBin, ReliabilityDiagram};
pub use scatter::{ScatterChart, ScatterPoint, Shade};
pub use sparkline::sparkline;
pub use spread::Spread;

use super::svg::Look;

/// How the values of a chart are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberFormat {
    /// With this many decimals.
    Decimals(usize),
    /// A share 0..=1 as percent with this many decimals.
    Percent(usize),
}

impl NumberFormat {
    /// Returns the value as text, `n/a` if it is not finite.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return "n/a".to_owned();
        }
        // Beyond this, digits are no digits any more but the noise of binary fractions.
        if 1e15 <= value.abs() {
            return format!("{value:e}");
        }
        match self {
            Self::Decimals(decimals) => format!("{value:.decimals$}"),
            Self::Percent(decimals) => format!("{:.decimals$} %", value * 100.0),
        }
    }
}

/// Width of all charts, in pixels; pages scale them.
const WIDTH: f64 = 640.0;

/// The kinds of charts that have rules beside the theme's.
pub(super) const LOOKS: [&Look; 8] = [
    &bar::LOOK,
    &confusion::LOOK,
    &contour::LOOK,
    &grouped::LOOK,
    &line::LOOK,
    &parallel::LOOK,
    &reliability::LOOK,
    &scatter::LOOK,
];

/// Returns the class of the colour of series `index`.
fn colour(index: usize) -> String {
    format!("var(--c{})", index % super::svg::COLOURS)
}

/// Returns the dashes of series `index`: none while colours last, then a pattern for each round.
fn dashes(index: usize) -> &'static str {
    match index / super::svg::COLOURS {
        0 => "",
        1 => "6 4",
        2 => "2 3",
        _ => "9 3 2 3",
    }
}

#[cfg(test)]
mod gallery;
#[cfg(test)]
mod tests;

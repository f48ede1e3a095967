//! A curve as small as a word, for the cells of tables (Tufte, "Beautiful Evidence", 2006).
//! Imports: `report::svg`, `report::chart::frame`.

use std::fmt::Write;

use super::colour;
use super::frame::{Scale, ScaleKind};
use crate::report::svg::{Canvas, Look, Num, Svg};

const WIDTH: f64 = 96.0;
const HEIGHT: f64 = 22.0;
/// Room for the dot at the end.
const EDGE: f64 = 3.0;

/// Returns the curve; `title` says what it is and where it ends. Points that cannot be shown leave
/// gaps.
#[must_use]
pub fn sparkline(title: &str, points: &[(f64, f64)]) -> Svg {
    let mut canvas = Canvas::new(WIDTH, HEIGHT, title, "", &Look::PLAIN);
    let shown = || points.iter().filter(|p| p.0.is_finite() && p.1.is_finite());
    let x = Scale::around(ScaleKind::Linear, shown().map(|p| p.0));
    let y = Scale::around(ScaleKind::Linear, shown().map(|p| p.1));
    let place = |&(px, py): &(f64, f64)| {
        let (px, py) = x.at(px).zip(y.at(py))?;
        let (width, height) = (WIDTH - 2.0 * EDGE, HEIGHT - 2.0 * EDGE);
        Some((EDGE + px * width, EDGE + (1.0 - py) * height))
    };
    let mut path = String::new();
    let mut joined = false;
    for point in points.iter().map(place) {
        if let Some((x, y)) = point {
            let command = if joined { 'L' } else { 'M' };
            let _ = write!(path, "{command}{} {}", Num(x), Num(y));
        }
        joined = point.is_some();
    }
    let c = colour(0);
    if !path.is_empty() {
        canvas.raw(format_args!(
            "<path class=\"line\" style=\"stroke:{c}\" stroke-width=\"1.5\" d=\"{path}\"/>"
        ));
    }
    if let Some((x, y)) = points.iter().filter_map(place).next_back() {
        let (x, y) = (Num(x), Num(y));
        canvas.raw(format_args!(
            "<circle style=\"fill:{c}\" cx=\"{x}\" cy=\"{y}\" r=\"2.4\"/>"
        ));
    }
    canvas.finish()
}

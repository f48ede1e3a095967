//! Points over two axes, one of them set apart. Imports: `report::svg`, `report::chart::frame`.

use super::frame::{Axis, BELOW, Frame, FrameSpec, Scale, heading};
use super::{NumberFormat, WIDTH};
use crate::report::svg::{Canvas, Num, Svg};

/// One point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScatterPoint {
    /// Its place along the horizontal axis. A point that cannot be shown is left out.
    pub x: f64,
    /// Its place along the vertical axis.
    pub y: f64,
    /// Is it the one that matters?
    pub marked: bool,
}

/// A chart of points.
#[derive(Clone, Debug, PartialEq)]
pub struct ScatterChart {
    /// Its title.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The points.
    pub points: Vec<ScatterPoint>,
}

const HEIGHT: f64 = 240.0;

impl ScatterChart {
    /// Returns the chart.
    #[must_use]
    pub fn svg(&self) -> Svg {
        let shown = || {
            self.points
                .iter()
                .filter(|p| p.x.is_finite() && p.y.is_finite())
        };
        let x = Scale::around(self.x.scale, shown().map(|p| p.x));
        let x = if shown().all(|p| p.x.fract() == 0.0) {
            x.whole()
        } else {
            x
        };
        let x = x.padded(0.04);
        let y = Scale::around(self.y.scale, shown().map(|p| p.y)).padded(0.06);
        let css = ".cvops-svg .dot{fill:var(--c0);fill-opacity:.65}.cvops-svg .mark{fill:var(--c1);stroke:var(--ink);stroke-width:1.5}";
        let mut canvas = Canvas::new(
            WIDTH,
            38.0 + 24.0 + HEIGHT + BELOW,
            &self.title,
            &self.description(),
            css,
        );
        let top = heading(&mut canvas, &self.title, "");
        let frame = Frame::draw(
            &mut canvas,
            &FrameSpec {
                x,
                y,
                x_title: &self.x.title,
                y_title: &self.y.title,
                top,
                height: HEIGHT,
                right: 24.0,
                y_ticks: 6,
            },
        );
        let mut any = false;
        // The marked point is drawn last, so that none hides it.
        for marked in [false, true] {
            for point in self.points.iter().filter(|p| p.marked == marked) {
                if let (Some(x), Some(y)) = (frame.x_at(point.x), frame.y_at(point.y)) {
                    any = true;
                    let (class, r) = if marked {
                        ("mark", "6")
                    } else {
                        ("dot", "4.5")
                    };
                    let (x, y) = (Num(x), Num(y));
                    canvas.raw(format_args!(
                        "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{r}\"/>"
                    ));
                }
            }
        }
        if !any {
            frame.say_empty(&mut canvas);
        }
        canvas.finish()
    }

    fn description(&self) -> String {
        let mut text = format!(
            "Scatter chart of {} over {}, {} points.",
            self.y.title,
            self.x.title,
            self.points.len()
        );
        let four = NumberFormat::Decimals(4);
        for point in self.points.iter().filter(|p| p.marked) {
            text += &format!(" Marked: {} at {}.", four.show(point.y), four.show(point.x));
        }
        text
    }
}

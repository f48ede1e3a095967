//! A quantity over two others, from scattered points: bands of equal value between them, and the
//! points themselves. Beyond the points nothing is known, and nothing is drawn.
//! Imports: `report::svg`, `report::chart::{frame`, scatter, surface, symbol}.

use std::fmt::Write;

use super::frame::{Axis, BELOW, Frame, FrameSpec, Scale, ScaleKind, heading};
use super::scatter::{ScatterPoint, Shade, draw_point};
use super::surface::{Grid, Place, Surface, hull};
use super::symbol::{SHADE_KEY, shade, shade_key, shades};
use super::{NumberFormat, WIDTH};
use crate::report::svg::{Anchor, Canvas, Look, Svg};

/// A chart of bands; the height of a point is its `Shade::Value`.
#[derive(Clone, Debug, PartialEq)]
pub struct ContourChart {
    /// Its title.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What the bands measure.
    pub z: Axis,
    /// The points. One without a place or a height is left out.
    pub points: Vec<ScatterPoint>,
}

pub(super) const LOOK: Look = Look {
    kind: "contour",
    css: concat!(
        ".cvops-svg .iso{stroke:var(--paper);stroke-width:.75;stroke-opacity:.6}",
        ".cvops-svg .unknown{fill:var(--paper)}.cvops-svg .halo{paint-order:stroke;stroke:var(--paper);stroke-width:3px}",
        ".cvops-svg .shaded{stroke:color-mix(in oklab,var(--paper) 65%,var(--ink));stroke-width:1.25}.cvops-svg .rim{stroke:var(--muted);stroke-width:.75}.cvops-svg .ring{fill:none;stroke:var(--c1);stroke-width:2.5}",
        ".cvops-svg a:focus-visible{outline:2px solid var(--c0);outline-offset:2px}",
        shades!()
    ),
};

const HEIGHT: f64 = 300.0;
const COLUMNS: usize = 60;
const ROWS: usize = 40;
/// The surface goes through at most this many points, evenly chosen; all are drawn.
const SURFACE_POINTS_MAX: usize = 250;
const LEVELS: usize = 8;

/// A point that can be shown: its place in the area, its height along the scale of shades.
struct Shown<'a> {
    point: &'a ScatterPoint,
    place: Place,
    height: f64,
}

impl ContourChart {
    /// Returns the chart.
    #[must_use]
    pub fn svg(&self) -> Svg {
        let whole: Vec<(&ScatterPoint, f64)> = self
            .points
            .iter()
            .filter_map(|point| match point.shade {
                Shade::Value(z) if self.has_place(point, z) => Some((point, z)),
                Shade::Value(_) | Shade::Plain | Shade::Group(_) => None,
            })
            .collect();
        let around = |axis: &Axis, value: &dyn Fn(&(&ScatterPoint, f64)) -> f64| {
            Scale::around(axis.scale, whole.iter().map(value))
        };
        let x = around(&self.x, &|(point, _)| point.x).padded(0.03);
        let y = around(&self.y, &|(point, _)| point.y).padded(0.04);
        let z = around(&self.z, &|(_, z)| *z);
        let shown: Vec<Shown<'_>> = whole
            .iter()
            .filter_map(|&(point, value)| {
                Some(Shown {
                    point,
                    place: (x.at(point.x)?, y.at(point.y)?),
                    height: z.at(value)?,
                })
            })
            .collect();
        let height = 38.0 + SHADE_KEY + 24.0 + HEIGHT + BELOW;
        let mut canvas = Canvas::new(WIDTH, height, &self.title, &self.description(&shown), &LOOK);
        if shown.iter().any(|one| !one.point.link.is_empty()) {
            canvas.has_links();
        }
        let top = heading(&mut canvas, &self.title, "");
        shade_key(&mut canvas, &self.z.title, &z, top);
        let frame = Frame::draw(
            &mut canvas,
            &FrameSpec {
                x,
                y,
                x_title: &self.x.title,
                y_title: &self.y.title,
                top: top + SHADE_KEY,
                height: HEIGHT,
                right: 24.0,
                y_ticks: 6,
            },
        );
        if shown.is_empty() {
            frame.say_empty(&mut canvas);
        } else if !draw_bands(&mut canvas, &frame, &shown, &z) {
            let (x, y) = (frame.left + frame.width / 2.0, frame.top + 18.0);
            let why = "no bands: they need points that differ in both directions";
            canvas.text(x, y, Anchor::Middle, "small muted halo", why);
        }
        // The marked point is drawn last, so that none hides it.
        for marked in [false, true] {
            for one in shown.iter().filter(|one| one.point.marked == marked) {
                draw_point(&mut canvas, one.point, pixel(&frame, one.place), Some(&z));
            }
        }
        canvas.finish()
    }

    fn has_place(&self, point: &ScatterPoint, z: f64) -> bool {
        [
            (point.x, self.x.scale),
            (point.y, self.y.scale),
            (z, self.z.scale),
        ]
        .into_iter()
        .all(|(value, scale)| value.is_finite() && (scale == ScaleKind::Linear || 0.0 < value))
    }

    fn description(&self, shown: &[Shown<'_>]) -> String {
        let mut text = format!(
            "Contour chart of {} over {} and {}, from {} points.",
            self.z.title,
            self.x.title,
            self.y.title,
            shown.len()
        );
        let four = NumberFormat::Decimals(4);
        for point in shown.iter().map(|one| one.point).filter(|p| p.marked) {
            let (x, y) = (four.show(point.x), four.show(point.y));
            if let Shade::Value(z) = point.shade {
                let _ = write!(text, " Marked: {} at {x}, {y}.", four.show(z));
            }
        }
        text
    }
}

fn pixel(frame: &Frame, (x, y): Place) -> (f64, f64) {
    (
        frame.left + x * frame.width,
        frame.top + (1.0 - y) * frame.height,
    )
}

/// Draws the bands; returns false if the points do not say how they lie.
fn draw_bands(canvas: &mut Canvas, frame: &Frame, shown: &[Shown<'_>], z: &Scale) -> bool {
    let stride = shown.len().div_ceil(SURFACE_POINTS_MAX).max(1);
    let points: Vec<(Place, f64)> = shown
        .iter()
        .step_by(stride)
        .map(|one| (one.place, one.height))
        .collect();
    let Some(surface) = Surface::through(&points) else {
        return false;
    };
    let places: Vec<Place> = shown.iter().map(|one| one.place).collect();
    let known = hull(&places);
    if known.len() < 3 {
        return false;
    }
    let grid = Grid::of(&surface, COLUMNS, ROWS);
    let levels: Vec<(f64, String)> = z
        .ticks(LEVELS)
        .into_iter()
        .filter_map(|(value, text)| Some((z.at(value)?, text)))
        .filter(|(share, _)| (0.0..1.0).contains(share))
        .collect();
    let mut labels = Vec::new();
    let ground = [(f64::NEG_INFINITY, String::new())];
    for (index, (level, text)) in ground.iter().chain(&levels).enumerate() {
        let rings = grid.outlines(*level);
        let above = levels.get(index).map_or(1.0, |next| next.0);
        let middle = f64::midpoint(level.max(0.0), above);
        let path: String = rings.iter().map(|ring| outline(frame, ring)).collect();
        if path.is_empty() {
            continue;
        }
        canvas.raw(format_args!(
            "<path class=\"v{} iso\" fill-rule=\"evenodd\" d=\"{path}\"/>",
            shade(middle)
        ));
        labels.extend(label_place(&rings, &known).map(|place| (place, text)));
    }
    let area = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
    canvas.raw(format_args!(
        "<path class=\"unknown\" fill-rule=\"evenodd\" d=\"{}{}\"/>",
        outline(frame, &area),
        outline(frame, &known)
    ));
    for (place, text) in labels {
        let (x, y) = pixel(frame, place);
        canvas.text(x, y + 3.0, Anchor::Middle, "tiny halo", text);
    }
    true
}

fn outline(frame: &Frame, ring: &[Place]) -> String {
    let mut path = String::new();
    for (index, place) in ring.iter().enumerate() {
        let (x, y) = pixel(frame, *place);
        let command = if index == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{command}{x:.1} {y:.1}");
    }
    path.push('Z');
    path
}

/// Returns a place on the longest outline, well inside the known ground, for its label.
fn label_place(rings: &[Vec<Place>], known: &[Place]) -> Option<Place> {
    let inside = |place: Place| {
        let next = known.iter().cycle().skip(1);
        known.iter().zip(next).all(|(a, b)| {
            let (dx, dy) = (b.0 - a.0, b.1 - a.1);
            0.04 * dx.hypot(dy) < dx * (place.1 - a.1) - dy * (place.0 - a.0)
        })
    };
    let longest = rings.iter().max_by_key(|ring| ring.len())?;
    let within: Vec<Place> = longest.iter().copied().filter(|p| inside(*p)).collect();
    // A short piece has no room for a number.
    (8 <= within.len()).then(|| within[within.len() / 2])
}

//! Points over two axes: set apart, in groups, or shaded by a third quantity.
//! Imports: `report::svg`, `report::chart::{frame`, symbol}.

use super::frame::{
    Axis, BELOW, Frame, FrameSpec, Key, Scale, ScaleKind, heading, legend, legend_height,
};
use super::symbol::{SHADE_KEY, shade, shade_key, shades, shape};
use super::{NumberFormat, WIDTH, colour};
use crate::report::escape::Escaped;
use crate::report::svg::{Canvas, Look, Num, Svg};

/// What a point's colour says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shade {
    /// Nothing.
    Plain,
    /// To which of the chart's groups it belongs; each has its own shape, too.
    Group(usize),
    /// A third quantity; not finite: hollow.
    Value(f64),
}

/// One point.
#[derive(Clone, Debug, PartialEq)]
pub struct ScatterPoint {
    /// Its place along the horizontal axis. A point that cannot be shown is left out.
    pub x: f64,
    /// Its place along the vertical axis.
    pub y: f64,
    /// Is it the one that matters?
    pub marked: bool,
    /// What its colour says.
    pub shade: Shade,
    /// What it is, shown when pointed at; may be empty.
    pub title: String,
    /// Where a click leads: a path of the same site; may be empty.
    pub link: String,
}

impl ScatterPoint {
    /// Returns a point without a name.
    #[must_use]
    pub fn plain(x: f64, y: f64) -> Self {
        Self {
            x,
            y,
            marked: false,
            shade: Shade::Plain,
            title: String::new(),
            link: String::new(),
        }
    }
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
    /// The names of the groups that points belong to.
    pub groups: Vec<String>,
    /// The quantity that shades points; no axis, but spread like one.
    pub shade: Axis,
}

pub(super) const LOOK: Look = Look {
    kind: "scatter",
    css: concat!(
        ".cvops-svg .dot{fill:var(--c0);fill-opacity:.65}.cvops-svg .mark{fill:var(--c1);stroke:var(--ink);stroke-width:1.5}",
        ".cvops-svg .symbol,.cvops-svg .shaded{stroke:var(--paper);stroke-width:.75}.cvops-svg .shaded,.cvops-svg .rim{stroke:var(--muted);stroke-width:.75}",
        ".cvops-svg .hollow{fill:none;stroke:var(--muted);stroke-width:1.25}.cvops-svg .ring{fill:none;stroke:var(--ink);stroke-width:1.75}",
        ".cvops-svg a:focus-visible{outline:2px solid var(--c0);outline-offset:2px}",
        shades!()
    ),
};

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
        let y = Scale::around(self.y.scale, shown().map(|p| p.y)).padded(0.06);
        let shading = self.shading();
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        let key_room = legend_height(&groups) + shading.map_or(0.0, |_| SHADE_KEY);
        let height = 38.0 + key_room + 24.0 + HEIGHT + BELOW;
        let mut canvas = Canvas::new(WIDTH, height, &self.title, &self.description(), &LOOK);
        if self.points.iter().any(|point| is_link(&point.link)) {
            canvas.has_links();
        }
        let top = heading(&mut canvas, &self.title, "");
        legend(&mut canvas, &groups, Key::Symbol, top);
        if let Some(scale) = &shading {
            let top = top + legend_height(&groups);
            shade_key(&mut canvas, &self.shade.title, scale, top);
        }
        let frame = Frame::draw(
            &mut canvas,
            &FrameSpec {
                x: x.padded(0.04),
                y,
                x_title: &self.x.title,
                y_title: &self.y.title,
                top: top + key_room,
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
                    draw_point(&mut canvas, point, (x, y), shading.as_ref());
                }
            }
        }
        if !any {
            frame.say_empty(&mut canvas);
        }
        canvas.finish()
    }

    /// Returns how the third quantity is spread, `None` if no point has one.
    fn shading(&self) -> Option<Scale> {
        let values = || {
            self.points.iter().filter_map(|point| match point.shade {
                Shade::Value(value) if value.is_finite() => Some(value),
                Shade::Value(_) | Shade::Plain | Shade::Group(_) => None,
            })
        };
        let has_place = |value: f64| self.shade.scale == ScaleKind::Linear || 0.0 < value;
        values()
            .any(has_place)
            .then(|| Scale::around(self.shade.scale, values()))
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

/// A link leads to a page of ours or nowhere.
fn is_link(link: &str) -> bool {
    link.starts_with('/') && !link.starts_with("//") && !link.contains('\\')
}

/// Draws a point, named and linked.
pub(super) fn draw_point(
    canvas: &mut Canvas,
    point: &ScatterPoint,
    (x, y): (f64, f64),
    shading: Option<&Scale>,
) {
    let linked = is_link(&point.link);
    if linked {
        canvas.raw(format_args!(
            "<a href=\"{}\" aria-label=\"{}\">",
            Escaped(&point.link),
            Escaped(&point.title)
        ));
    }
    let title = Titled(&point.title);
    let (px, py) = (Num(x), Num(y));
    match point.shade {
        Shade::Plain => {
            let (class, r) = if point.marked {
                ("mark", "6")
            } else {
                ("dot", "4.5")
            };
            canvas.raw(format_args!(
                "<circle class=\"{class}\" cx=\"{px}\" cy=\"{py}\" r=\"{r}\"{title}"
            ));
        }
        Shade::Group(group) => canvas.raw(format_args!(
            "<path class=\"symbol\" style=\"fill:{}\" transform=\"translate({px} {py})\" d=\"{}\"{}",
            colour(group),
            shape(group),
            title.of("path")
        )),
        Shade::Value(value) => {
            let class = match shading.and_then(|scale| scale.at(value)) {
                Some(share) => format!("v{} shaded", shade(share)),
                None => "hollow".to_owned(),
            };
            canvas.raw(format_args!(
                "<circle class=\"{class}\" cx=\"{px}\" cy=\"{py}\" r=\"5\"{title}"
            ));
        }
    }
    if point.marked && point.shade != Shade::Plain {
        canvas.raw(format_args!(
            "<circle class=\"ring\" cx=\"{px}\" cy=\"{py}\" r=\"8.5\"/>"
        ));
    }
    if linked {
        canvas.raw(format_args!("</a>"));
    }
}

/// The rest of an element: closed, or with a title that is shown when it is pointed at.
struct Titled<'a>(&'a str);

impl Titled<'_> {
    fn of(&self, tag: &str) -> String {
        if self.0.is_empty() {
            "/>".to_owned()
        } else {
            format!("><title>{}</title></{tag}>", Escaped(self.0))
        }
    }
}

impl std::fmt::Display for Titled<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.of("circle"))
    }
}

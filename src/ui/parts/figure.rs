//! A chart in a page: drawn by the server, brought to life by `chart.js` where there are series to
//! ask for. Imports: report.

use std::fmt::{self, Display, Formatter};

use askama::filters::HtmlSafe;

use crate::report::Svg;
use crate::report::escape::Escaped;

/// A drawing with a caption. Shown as HTML; its page needs the module `chart.js` if it has series,
/// `parallel.js` if it is `brushed`.
#[derive(Clone, Debug)]
pub(in crate::ui) struct Figure {
    svg: Svg,
    caption: String,
    series: Option<SeriesOf>,
    class: &'static str,
}

/// What the script of a chart of series needs to know.
#[derive(Clone, Debug, Default)]
pub(in crate::ui) struct SeriesOf {
    /// Where the series are: `/ajax-api/cvops/series?run=…&key=…`.
    pub(in crate::ui) href: String,
    /// What the chart is called, and remembered by in the page's URL.
    pub(in crate::ui) title: String,
    /// The title of its vertical axis; may be empty.
    pub(in crate::ui) y_title: String,
    /// What it is drawn over at first: `step`, `time`, `wall`.
    pub(in crate::ui) x: &'static str,
    /// What it can be drawn over; empty: nothing but what the series say, called `x_title`.
    pub(in crate::ui) axes: &'static str,
    /// The title of an axis of its own.
    pub(in crate::ui) x_title: String,
    /// Charts of one group share zoom, cursor and controls.
    pub(in crate::ui) group: &'static str,
}

/// All that a metric can be drawn over.
pub(in crate::ui) const AXES: &str = "step time wall";

impl Figure {
    /// A drawing that stays as it is.
    pub(in crate::ui) fn new(svg: Svg, caption: impl Into<String>) -> Self {
        Self {
            svg,
            caption: caption.into(),
            series: None,
            class: "chart",
        }
    }

    /// Lets the script draw it anew, and zoom.
    pub(in crate::ui) fn series(mut self, series: SeriesOf) -> Self {
        self.series = Some(series);
        self
    }

    /// Lets readers choose lines of parallel coordinates by ranges.
    pub(in crate::ui) fn brushed(mut self) -> Self {
        self.class = "chart brushed";
        self
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "<figure class=\"{}\"", self.class)?;
        if let Some(series) = &self.series {
            let told = [
                ("chart", series.href.as_str()),
                ("title", &series.title),
                ("y", &series.y_title),
                ("x", series.x),
                ("axes", series.axes),
                ("x-title", &series.x_title),
                ("group", series.group),
            ];
            for (name, value) in told {
                // That there are no axes to choose from is said; nothing else is said by being empty.
                if !value.is_empty() || name == "axes" {
                    write!(f, " data-{name}=\"{}\"", Escaped(value))?;
                }
            }
        }
        write!(
            f,
            "><div class=\"chart-drawn\">{}</div>",
            self.svg.embedded()
        )?;
        if !self.caption.is_empty() {
            write!(f, "<figcaption>{}</figcaption>", Escaped(&self.caption))?;
        }
        f.write_str("</figure>")
    }
}

/// The drawing is `report`'s, all else is escaped.
impl HtmlSafe for Figure {}

//! How far confidence can be trusted: accuracy per confidence, against the diagonal.
//! Imports: `report::svg`, `report::chart::frame`.

use std::fmt::Write;

use super::WIDTH;
use super::frame::{BELOW, Frame, FrameSpec, Scale, heading};
use crate::report::svg::{Anchor, Canvas, Look, Num, Svg, text_width};

/// The predictions whose confidence lies in one interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// Lower end of the interval, 0..=1.
    pub from: f64,
    /// Upper end of the interval, 0..=1.
    pub to: f64,
    /// Mean confidence of its predictions; not finite if there are none.
    pub confidence: f64,
    /// Share of them that is right; not finite if there are none.
    pub accuracy: f64,
    /// How many they are.
    pub count: u64,
}

/// A reliability diagram (`DeGroot` and Fienberg, "The Comparison and Evaluation of Forecasters", 1983).
#[derive(Clone, Debug, PartialEq)]
pub struct ReliabilityDiagram {
    /// Its title.
    pub title: String,
    /// A line below the title, such as the calibration error; may be empty.
    pub subtitle: String,
    /// The intervals.
    pub bins: Vec<ReliabilityBin>,
}

const HEIGHT: f64 = 280.0;
const COUNTS_HEIGHT: f64 = 56.0;
/// Fewer predictions than this make a pale bar.
const FEW: u64 = 10;
pub(super) const LOOK: Look = Look {
    kind: "reliability",
    css: ".cvops-svg .hit{fill:var(--c0);fill-opacity:.85}\
.cvops-svg .over{fill:var(--c1);fill-opacity:.4}.cvops-svg .under{fill:var(--c2);fill-opacity:.75}\
.cvops-svg .pale{fill-opacity:.25}\
.cvops-svg .mark{stroke:var(--ink);stroke-width:2;fill:none}\
.cvops-svg .ideal{stroke:var(--ink);stroke-width:1.25;stroke-dasharray:5 4;fill:none}\
.cvops-svg .amount{fill:var(--c6)}",
};

impl ReliabilityDiagram {
    /// Returns the chart: a bar per interval as high as its accuracy, the gap to its mean confidence
    /// marked, and below how many predictions each interval holds.
    #[must_use]
    pub fn svg(&self) -> Svg {
        let below = if self.subtitle.is_empty() { 38.0 } else { 56.0 };
        let height = below + 22.0 + 24.0 + HEIGHT + BELOW + 20.0 + COUNTS_HEIGHT + 14.0;
        let mut canvas = Canvas::new(WIDTH, height, &self.title, &self.description(), &LOOK);
        let top = heading(&mut canvas, &self.title, &self.subtitle);
        key(&mut canvas, top);
        let frame = Frame::draw(
            &mut canvas,
            &FrameSpec {
                x: Scale::between(0.0, 1.0),
                y: Scale::between(0.0, 1.0),
                x_title: "confidence of the prediction",
                y_title: "accuracy",
                top: top + 22.0,
                height: HEIGHT,
                right: 24.0,
                y_ticks: 5,
            },
        );
        let most = self.bins.iter().map(|bin| bin.count).max().unwrap_or(0);
        for bin in self.bins.iter().filter(|bin| 0 < bin.count) {
            draw_bin(&mut canvas, &frame, bin, most);
        }
        if let (Some(x0), Some(x1), Some(y0), Some(y1)) = (
            frame.x_at(0.0),
            frame.x_at(1.0),
            frame.y_at(0.0),
            frame.y_at(1.0),
        ) {
            canvas.line("ideal", (x0, y0), (x1, y1));
        }
        if most == 0 {
            frame.say_empty(&mut canvas);
        }
        let strip = frame.top + frame.height + BELOW + 20.0 + COUNTS_HEIGHT;
        canvas.text(
            20.0,
            strip - COUNTS_HEIGHT - 8.0,
            Anchor::Start,
            "small muted",
            "predictions",
        );
        canvas.line(
            "axis",
            (frame.left, strip),
            (frame.left + frame.width, strip),
        );
        canvas.finish()
    }

    fn description(&self) -> String {
        let mut text = String::from("Reliability diagram: accuracy per confidence.");
        for bin in self
            .bins
            .iter()
            .filter(|bin| 0 < bin.count && bin.from.is_finite() && bin.to.is_finite())
        {
            let _ = write!(text, " {:.2} to {:.2}: ", bin.from, bin.to);
            if bin.accuracy.is_finite() {
                let _ = write!(text, "accuracy {:.3}, ", bin.accuracy);
            }
            let _ = write!(text, "{} predictions.", bin.count);
        }
        text
    }
}

fn draw_bin(canvas: &mut Canvas, frame: &Frame, bin: &ReliabilityBin, most: u64) {
    let unit = |value: f64| value.clamp(0.0, 1.0);
    let Some((from, to)) = frame.x_at(unit(bin.from)).zip(frame.x_at(unit(bin.to))) else {
        return;
    };
    let (x, width) = (from + 1.0, (to - from - 2.0).max(0.5));
    let floor = frame.top + frame.height;
    if let Some(accuracy) = frame
        .y_at(unit(bin.accuracy))
        .filter(|_| bin.accuracy.is_finite())
    {
        let confidence = frame
            .y_at(unit(bin.confidence))
            .filter(|_| bin.confidence.is_finite());
        let confidence = confidence.unwrap_or(accuracy);
        // An accuracy of few predictions says little: such bars are pale.
        let pale = if bin.count < FEW { " pale" } else { "" };
        let shared = accuracy.max(confidence);
        rect(
            canvas,
            &format!("hit{pale}"),
            x,
            shared,
            width,
            floor - shared,
        );
        let class = if confidence < accuracy {
            "over"
        } else {
            "under"
        };
        rect(
            canvas,
            &format!("{class}{pale}"),
            x,
            accuracy.min(confidence),
            width,
            (accuracy - confidence).abs(),
        );
        // The bar ends at the accuracy, whichever of the two is higher.
        canvas.line("mark", (x, accuracy), (x + width, accuracy));
    }
    let strip = floor + BELOW + 20.0 + COUNTS_HEIGHT;
    let tall = COUNTS_HEIGHT * bin.count as f64 / most.max(1) as f64;
    rect(canvas, "amount", x, strip - tall, width, tall);
    if 24.0 <= width {
        let (text, inside) = (bin.count.to_string(), 24.0 < tall);
        let y = if inside {
            strip - tall + 12.0
        } else {
            strip - tall - 3.0
        };
        let (cx, y) = (Num(x + width / 2.0), Num(y));
        let style = if inside {
            " style=\"fill:var(--paper)\""
        } else {
            ""
        };
        canvas.raw(format_args!(
            "<text class=\"m tiny\"{style} x=\"{cx}\" y=\"{y}\">{text}</text>"
        ));
    }
}

fn rect(canvas: &mut Canvas, class: &str, x: f64, y: f64, width: f64, height: f64) {
    let (x, y, w, h) = (Num(x), Num(y), Num(width), Num(height.max(0.0)));
    canvas.raw(format_args!(
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"/>"
    ));
}

fn key(canvas: &mut Canvas, top: f64) {
    let y = top + 4.0;
    let mut x = 20.0;
    for (class, name) in [
        ("mark", "accuracy"),
        ("over", "too confident"),
        ("under", "not confident enough"),
    ] {
        if class == "mark" {
            canvas.line(class, (x, y + 5.0), (x + 14.0, y + 5.0));
        } else {
            rect(canvas, class, x, y, 14.0, 10.0);
        }
        canvas.text(x + 20.0, y + 9.0, Anchor::Start, "small", name);
        x += 20.0 + text_width(name, 11.0) + 18.0;
    }
    canvas.line("ideal", (x, y + 5.0), (x + 22.0, y + 5.0));
    canvas.text(x + 28.0, y + 9.0, Anchor::Start, "small", "ideal");
}

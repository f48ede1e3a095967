//! Charts over time, on the page: detectors, classes, accuracy, confidence. Imports: report, `base::clock`,
//! `detect::{checked, fitted, page, served, tables}`.

use crate::base::clock::{self, Timestamp};
use crate::report::chart::{Axis, LineChart, Naming, Series};
use crate::report::page::{Block, Chart, Section, cut};
use crate::report::wording::keep_end;

use super::super::super::checked::Detected;
use super::super::super::fitted::Fitted;
use super::super::super::kind::TestKind;
use super::super::super::page::PERCENT;
use super::super::super::tables::{number, probability};
use super::super::{Served, Slot};

/// Detectors and classes that are drawn.
const DETECTORS_MAX: usize = 10;
const CLASSES_MAX: usize = 6;
/// Characters of a name in a chart.
const NAME_MAX: usize = 30;
/// A logarithmic axis has no 0, and smaller ps tell nothing more.
const LEAST_P: f64 = 1e-12;
/// Lengths that are told in a longer unit.
const LONG: f64 = 3.0;
const MINUTE_MS: f64 = 60_000.0;
const HOUR_MS: f64 = 60.0 * MINUTE_MS;
const DAY_MS: f64 = 24.0 * HOUR_MS;

/// Returns p and effect of each detector; `None` if none was computed.
pub(super) fn detectors(served: &Served, fitted: &Fitted) -> Option<Section> {
    let time = Time::of(served);
    let mut charts = Vec::new();
    let mut count = 0;
    for spec in fitted.detectors() {
        let name = spec.name.as_str();
        let one = |slot: &Slot| found(slot, name).is_some();
        if !served.windows.iter().any(one) {
            continue;
        }
        count += 1;
        if DETECTORS_MAX < count {
            continue;
        }
        charts.push(p_chart(served, &time, name));
        charts.push(effect_chart(
            served,
            &time,
            name,
            spec.test,
            spec.min_effect,
        ));
    }
    if charts.is_empty() {
        return None;
    }
    let text = "Left the p of each window, corrected over the features of the detector, and what it must fall below; \
                right the effect, which says how large the difference is whatever the number of answers. Drift is a p \
                below the line, with at least the least effect.";
    let mut blocks = vec![Block::Prose(text.to_owned()), Block::Charts(charts)];
    blocks.extend(cut(count, DETECTORS_MAX));
    Some(Section {
        heading: "Each detector over time".to_owned(),
        blocks,
    })
}

fn found<'a>(slot: &'a Slot, name: &str) -> Option<&'a Detected> {
    slot.checked.detectors.iter().find(|one| one.name == name)
}

fn p_chart(served: &Served, time: &Time, name: &str) -> Chart {
    let p = |slot: &Slot| {
        let measured = found(slot, name)?.measured()?;
        Some(measured.adjusted.max(LEAST_P))
    };
    let level = |slot: &Slot| Some(found(slot, name)?.alpha);
    let chart = LineChart {
        title: format!("{}: p", keep_end(name, NAME_MAX)),
        x: time.axis(),
        y: Axis::log("p"),
        series: vec![
            time.series(served, "p of the window", p),
            time.series(served, "drift below", level),
        ],
        naming: Naming::Marked,
    };
    let whole = found(&served.whole, name).and_then(Detected::measured);
    let mut caption = whole.map_or_else(
        || "Not computed of all together.".to_owned(),
        |one| format!("All together: p {}.", probability(one.adjusted)),
    );
    let is_cut = |slot: &Slot| {
        let measured = found(slot, name).and_then(Detected::measured);
        measured.is_some_and(|one| one.adjusted < LEAST_P)
    };
    if served.windows.iter().any(is_cut) {
        caption += &format!(" What is below {LEAST_P:e} is drawn there.");
    }
    Chart {
        svg: chart.svg(),
        caption,
    }
}

fn effect_chart(
    served: &Served,
    time: &Time,
    name: &str,
    test: TestKind,
    min_effect: f64,
) -> Chart {
    let effect = |slot: &Slot| found(slot, name)?.measured()?.effect;
    let mut series = vec![time.series(served, "effect of the window", effect)];
    if 0.0 < min_effect {
        series.push(time.series(served, "least effect", |_| Some(min_effect)));
    }
    let unit = match test {
        TestKind::Ks | TestKind::Cvm => "effect (standard deviations)",
        TestKind::Chi2 | TestKind::Fisher => "effect (Cramér's V)",
        TestKind::Mmd | TestKind::Lsdd => "effect (distance)",
    };
    let chart = LineChart {
        title: format!("{}: effect", keep_end(name, NAME_MAX)),
        x: time.axis(),
        y: Axis::linear(unit),
        series,
        naming: Naming::Marked,
    };
    let whole = effect(&served.whole).map_or_else(String::new, |effect| {
        format!("All together: {}.", number(effect))
    });
    Chart {
        svg: chart.svg(),
        caption: whole,
    }
}

/// Returns the shares of the classes that went farthest from the reference in a window; `None` if none is known.
pub(super) fn classes(served: &Served) -> Option<Section> {
    let count = served.whole.checked.classes.len();
    // Each check names all classes, in the order of the model.
    let farthest = |class: usize| {
        let moved = served.windows.iter().filter_map(|window| {
            let one = window.checked.classes.get(class)?;
            Some(one.difference.abs())
        });
        moved.fold(0.0, f64::max)
    };
    let mut all: Vec<(usize, f64)> = (0..count).map(|class| (class, farthest(class))).collect();
    if all.is_empty() {
        return None;
    }
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    let time = Time::of(served);
    let shown = || all.iter().take(CLASSES_MAX).map(|(class, _)| *class);
    let series = shown().map(|class| {
        let one = &served.whole.checked.classes[class];
        time.series(served, &keep_end(&one.class, NAME_MAX), |slot| {
            Some(slot.checked.classes.get(class)?.new)
        })
    });
    let chart = LineChart {
        title: "Predicted classes".to_owned(),
        x: time.axis(),
        y: Axis::linear("share of the answers"),
        series: series.collect(),
        naming: Naming::Marked,
    };
    let of_reference = shown().map(|class| {
        let one = &served.whole.checked.classes[class];
        let name = keep_end(&one.class, NAME_MAX);
        format!("{name} {}", PERCENT.show(one.reference))
    });
    let of_reference: Vec<String> = of_reference.collect();
    let caption = format!("Of the reference: {}.", of_reference.join(", "));
    let text = "How often each class was named, of the answers of a window. Those that went farthest from the reference \
                in a window come first.";
    let mut blocks = vec![
        Block::Prose(text.to_owned()),
        Block::Charts(vec![Chart {
            svg: chart.svg(),
            caption,
        }]),
    ];
    blocks.extend(cut(all.len(), CLASSES_MAX));
    Some(Section {
        heading: "Predicted classes over time".to_owned(),
        blocks,
    })
}

/// Returns how often the model is right; `None` if nothing says so.
pub(super) fn accuracy(served: &Served) -> Option<Section> {
    let estimated = |slot: &Slot| Some(slot.checked.accuracy.as_ref()?.estimated);
    let judged = |slot: &Slot| slot.figures.accuracy;
    let time = Time::of(served);
    let mut series = Vec::new();
    if served.windows.iter().any(|slot| estimated(slot).is_some()) {
        series.push(time.series(served, "estimated", estimated));
    }
    if served.windows.iter().any(|slot| judged(slot).is_some()) {
        series.push(time.series(served, "of judged answers", judged));
    }
    if series.is_empty() {
        return None;
    }
    series.extend(constant(served, &time, served.reference.accuracy));
    let text = "The estimate is by average thresholded confidence: it knows no labels, and nothing of what makes a model \
                wrong and sure. Judged answers are those that somebody gave feedback on; they may be few.";
    Some(over_time(
        "Accuracy over time",
        text,
        vec![drawn("Accuracy", "share that is right", &time, series)],
    ))
}

/// Returns how sure the model is; `None` if nothing is known of that.
pub(super) fn confidence(served: &Served) -> Option<Section> {
    let reference = served.reference;
    let charts = [
        figure(
            served,
            ["Confidence", "mean probability of the named class"],
            reference.confidence,
            |slot| slot.figures.confidence,
        ),
        figure(
            served,
            ["Entropy", "mean entropy (nats)"],
            reference.entropy,
            |slot| slot.figures.entropy,
        ),
    ];
    let charts: Vec<Chart> = charts.into_iter().flatten().collect();
    let text = "How sure the model is of its answers, in the mean of a window.";
    (!charts.is_empty()).then(|| over_time("Confidence over time", text, charts))
}

/// Returns a chart of a figure beside that of the reference; `None` if no window has it.
fn figure(
    served: &Served,
    [title, unit]: [&str; 2],
    reference: Option<f64>,
    value: impl Fn(&Slot) -> Option<f64>,
) -> Option<Chart> {
    if served.windows.iter().all(|slot| value(slot).is_none()) {
        return None;
    }
    let time = Time::of(served);
    let mut series = vec![time.series(served, "served", value)];
    series.extend(constant(served, &time, reference));
    Some(drawn(title, unit, &time, series))
}

fn over_time(heading: &str, text: &str, charts: Vec<Chart>) -> Section {
    Section {
        heading: heading.to_owned(),
        blocks: vec![Block::Prose(text.to_owned()), Block::Charts(charts)],
    }
}

fn drawn(title: &str, unit: &str, time: &Time, series: Vec<Series>) -> Chart {
    let chart = LineChart {
        title: title.to_owned(),
        x: time.axis(),
        y: Axis::linear(unit),
        series,
        naming: Naming::Marked,
    };
    Chart {
        svg: chart.svg(),
        caption: String::new(),
    }
}

/// Returns the value of the reference as a curve.
fn constant(served: &Served, time: &Time, value: Option<f64>) -> Option<Series> {
    let value = value?;
    Some(time.series(served, "reference", |_| Some(value)))
}

/// The axis of time: windows by their begin.
struct Time {
    /// The begin of the first window, as if it were whole.
    from_ms: i64,
    window_ms: i64,
    /// Milliseconds in a unit, and its name.
    unit_ms: f64,
    unit: &'static str,
}

impl Time {
    fn of(served: &Served) -> Self {
        let window_ms = ((served.window_s * 1e3).round() as i64).max(1);
        let first = served.windows.first().map_or(served.from, |one| one.from);
        let last = served.windows.last().map_or(served.until, |one| one.until);
        let length_ms = last.as_millisecond().saturating_sub(first.as_millisecond()) as f64;
        let (unit_ms, unit) = [(DAY_MS, "days"), (HOUR_MS, "hours")]
            .into_iter()
            .find(|(unit_ms, _)| LONG * unit_ms <= length_ms)
            .unwrap_or((MINUTE_MS, "minutes"));
        Self {
            from_ms: begin_ms(first, window_ms),
            window_ms,
            unit_ms,
            unit,
        }
    }

    fn axis(&self) -> Axis {
        let from = Timestamp::from_millisecond(self.from_ms).map_or_else(
            |_| "the begin".to_owned(),
            |from| format!("{} (UTC)", clock::utc_minute(from)),
        );
        Axis::linear(&format!("{} since {from}", self.unit))
    }

    /// Returns a curve with a point for each window; it is broken where there is none.
    fn series(&self, served: &Served, name: &str, value: impl Fn(&Slot) -> Option<f64>) -> Series {
        let mut points = Vec::with_capacity(served.windows.len());
        let mut next_ms = None;
        for window in &served.windows {
            let at_ms = begin_ms(window.from, self.window_ms);
            if next_ms.is_some_and(|next_ms| next_ms < at_ms) {
                points.push((f64::NAN, f64::NAN));
            }
            next_ms = Some(at_ms.saturating_add(self.window_ms));
            let x = at_ms.saturating_sub(self.from_ms) as f64 / self.unit_ms;
            points.push((x, value(window).unwrap_or(f64::NAN)));
        }
        Series {
            name: name.to_owned(),
            points,
        }
    }
}

/// Returns when the window begins that a time is in, in milliseconds since 1970.
fn begin_ms(at: Timestamp, window_ms: i64) -> i64 {
    at.as_millisecond()
        .div_euclid(window_ms)
        .saturating_mul(window_ms)
}

//! The page: the server's cards, the charts of the log, the last predictions. Imports: report, track,
//! `ui::*`, `serving::*`.

use askama::Template;

use crate::http::Response;
use crate::mlflow::Refused;
use crate::report::chart::{Bar, BarChart, Histogram, HistogramSeries, NumberFormat};
use crate::track::predictions::{Labelled, Window};
use crate::ui::asked::{Asked, Query};
use crate::ui::layout::{Layout, Section};
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::figure::Figure;
use crate::ui::parts::table::{Cell, Column, DataTable, Markup, as_file};
use crate::ui::parts::time::Ago;
use crate::ui::reply;
use crate::ui::site::Site;

use super::server::ServerPart;
use super::watch::Server;
use super::{broken, classes_of, log_of};

/// Rows that are shown if the query names no number, and at most.
const ROWS: usize = 50;
const ROWS_MAX: usize = 1000;
/// Parts of the histogram of confidence.
const BINS: usize = 20;
/// Classes that have a bar; the others share one.
const BARS_MAX: usize = 20;
/// A list to choose from is longer than this: one types.
const CHOICES_MAX: usize = 40;
/// Characters of a request's id that are shown: its end, which differs.
const ID_CHARS: usize = 8;

/// Which predictions are shown.
#[derive(Debug, Default, PartialEq)]
struct Filter {
    class: String,
    /// Confidence in percent.
    below: Option<f64>,
    feedback: Judged,
    rows: usize,
}

/// Which ones by what was said about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Judged {
    #[default]
    Any,
    None,
    Right,
    Wrong,
}

impl Judged {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Any, "", "all"),
        (Self::None, "none", "only without"),
        (Self::Right, "right", "only right ones"),
        (Self::Wrong, "wrong", "only wrong ones"),
    ];
}

impl Filter {
    fn of(query: &Query) -> Result<Self, Refused> {
        let word = query.filled("feedback").unwrap_or_default();
        let known = Judged::ALL.iter().find(|(_, name, _)| *name == word);
        let Some((feedback, ..)) = known else {
            return Err(Refused::invalid(format!(
                "`feedback={word}`: `none`, `right` and `wrong` are known"
            )));
        };
        let below = query.number("below", f64::NAN)?;
        if !below.is_nan() && !(0.0..=100.0).contains(&below) {
            return Err(Refused::invalid(
                "`below` is a confidence in percent, 0 to 100",
            ));
        }
        Ok(Self {
            class: query.filled("class").unwrap_or_default().to_owned(),
            below: (!below.is_nan()).then_some(below),
            feedback: *feedback,
            rows: query.number("rows", ROWS)?.clamp(1, ROWS_MAX),
        })
    }

    fn lets_pass(&self, labelled: &Labelled) -> bool {
        let prediction = &labelled.prediction;
        let percent = f64::from(prediction.confidence) * 100.0;
        (self.class.is_empty() || prediction.label == self.class)
            && self.below.is_none_or(|below| percent < below)
            && match self.feedback {
                Judged::Any => true,
                Judged::None => labelled.feedback.is_none(),
                Judged::Right => labelled.is_right() == Some(true),
                Judged::Wrong => labelled.is_right() == Some(false),
            }
    }
}

#[derive(Template)]
#[template(path = "pages/serving/serving.html")]
struct Page {
    layout: Layout,
    url: String,
    state: Chip,
    server: ServerPart,
    /// Is anything logged?
    has_log: bool,
    is_up: bool,
    seen: String,
    accuracy: Option<AccuracyCard>,
    mix: Figure,
    confidence: Figure,
    tables: [DataTable; 2],
    predictions: DataTable,
    /// Classes to choose from, with whether each is chosen.
    classes: Vec<(String, bool)>,
    /// Longer lists are typed into.
    is_typed: bool,
    below: String,
    judged: Vec<(&'static str, &'static str, bool)>,
    theme: &'static str,
    more: Option<String>,
    unreadable: usize,
}

struct AccuracyCard {
    percent: String,
    judged: usize,
    right: usize,
}

pub(super) fn answer(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let filter = Filter::of(&asked.query)?;
    let window = site.serving.window(&log_of(site)).map_err(|e| broken(&e))?;
    let classes = classes_of(&window);
    let passing: Vec<&Labelled> = window
        .predictions
        .iter()
        .filter(|l| filter.lets_pass(l))
        .collect();
    let predictions = predictions(asked, &filter, &passing, &classes)?;
    let tables = [mix_table(asked, &window), confidence_table(asked, &window)];
    if let Some(file) = as_file(asked, &[&predictions, &tables[0], &tables[1]])? {
        return Ok(file);
    }
    let server = site.serving.server(&site.serve_url, asked.now_ms);
    let part = ServerPart::of(&server, asked.now_ms);
    let layout = Layout::new(site, asked, Section::Serving, "Serving").module("serving.js");
    let more = (predictions.rows.len() < passing.len()).then(|| {
        let rows = (filter.rows * 2).min(ROWS_MAX).to_string();
        asked.href_with(&[("rows", Some(&rows))])
    });
    let accuracy = window.accuracy();
    let page = Page {
        theme: layout.theme,
        layout,
        url: site.serve_url.clone(),
        is_up: matches!(
            server,
            Server::Up(_)
                | Server::Unseen {
                    is_ready: Some(_),
                    ..
                }
        ),
        state: part.state(),
        server: part,
        has_log: !window.predictions.is_empty(),
        seen: seen(&window),
        accuracy: accuracy.ratio().map(|ratio| AccuracyCard {
            percent: format!("{:.1} %", ratio * 100.0),
            judged: accuracy.judged,
            right: accuracy.right,
        }),
        mix: mix(&window),
        confidence: confidence(&window),
        tables,
        more,
        predictions,
        is_typed: CHOICES_MAX < classes.len(),
        classes: classes
            .into_iter()
            .map(|class| {
                let is_chosen = class == filter.class;
                (class, is_chosen)
            })
            .collect(),
        below: filter
            .below
            .map_or_else(String::new, |below| below.to_string()),
        judged: Judged::ALL
            .map(|(which, word, title)| (word, title, which == filter.feedback))
            .to_vec(),
        unreadable: window.unreadable,
    };
    reply::html(asked, &page)
}

fn seen(window: &Window) -> String {
    let count = window.predictions.len();
    if window.is_cut {
        format!("the last {count} predictions of the log")
    } else if count == 1 {
        "the only prediction of the log".to_owned()
    } else {
        format!("all {count} predictions of the log")
    }
}

fn mix(window: &Window) -> Figure {
    let mix = window.class_mix();
    let total = window.predictions.len().max(1) as f64;
    let (shown, others) = mix.split_at(mix.len().min(BARS_MAX));
    let bar = |label: String, count: usize| Bar {
        label,
        value: count as f64 / total,
        interval: None,
    };
    let mut bars: Vec<Bar> = shown
        .iter()
        .map(|(class, n)| bar((*class).to_owned(), *n))
        .collect();
    if !others.is_empty() {
        let count = others.iter().map(|(_, n)| n).sum();
        bars.push(bar(format!("{} other classes", others.len()), count));
    }
    let chart = BarChart {
        title: "Predicted classes".to_owned(),
        subtitle: String::new(),
        axis_title: "share of the predictions".to_owned(),
        axis_max: None,
        format: NumberFormat::Percent(1),
        bars,
    };
    Figure::new(chart.svg(), seen(window))
}

fn confidence(window: &Window) -> Figure {
    let counts = window.confidence(BINS);
    // In this order the right ones are green, as everywhere.
    let kinds = [
        ("not judged", counts.not_judged),
        ("wrong", counts.wrong),
        ("right", counts.right),
    ];
    let chart = Histogram {
        title: "Confidence".to_owned(),
        x_title: "probability of the predicted class".to_owned(),
        y_title: "predictions".to_owned(),
        edges: (0..=BINS).map(|i| i as f64 / BINS as f64).collect(),
        series: kinds
            .map(|(name, counts)| HistogramSeries {
                name: name.to_owned(),
                counts,
            })
            .to_vec(),
    };
    Figure::new(chart.svg(), seen(window))
}

fn mix_table(asked: &Asked, window: &Window) -> DataTable {
    let mut table = DataTable::new(asked, "classes", "Predicted classes");
    table.columns = vec![
        Column::text("class", "Class"),
        Column::number("predictions", "Predictions"),
    ];
    let mix = window.class_mix().into_iter();
    table.rows = mix
        .map(|(class, n)| vec![Cell::Text(class.to_owned()), Cell::Number(n as f64)])
        .collect();
    table
}

fn confidence_table(asked: &Asked, window: &Window) -> DataTable {
    let mut table = DataTable::new(asked, "confidence", "Predictions by confidence");
    table.columns = vec![
        Column::number("from", "From"),
        Column::number("to", "To"),
        Column::number("right", "Right"),
        Column::number("wrong", "Wrong"),
        Column::number("not_judged", "Not judged"),
    ];
    let counts = window.confidence(BINS);
    let bins = 0..BINS;
    table.rows = bins
        .map(|bin| {
            let ends = [bin, bin + 1].map(|end| end as f64 / BINS as f64);
            let kinds = [&counts.right, &counts.wrong, &counts.not_judged];
            let kinds = kinds.map(|counts| counts[bin] as f64);
            ends.into_iter().chain(kinds).map(Cell::Number).collect()
        })
        .collect();
    table
}

/// The last characters of a request's id, with all of it as title.
#[derive(Template)]
#[template(source = "<code title=\"{{ id }}\">{{ short }}</code>", ext = "html")]
struct ShortId<'a> {
    id: &'a str,
    short: String,
}

/// What was said about a prediction, and the buttons to say it.
#[derive(Template)]
#[template(path = "pages/serving/feedback.html")]
struct FeedbackForm<'a> {
    id: &'a str,
    index: u32,
    predicted: &'a str,
    verdict: Option<Chip>,
    /// Where the page is come back to.
    back: &'a str,
    /// Tells the forms of a page apart.
    number: usize,
    classes: &'a [String],
    is_typed: bool,
}

fn predictions(
    asked: &Asked,
    filter: &Filter,
    passing: &[&Labelled],
    classes: &[String],
) -> Result<DataTable, Refused> {
    let mut table = DataTable::new(asked, "predictions", "Last predictions");
    table.columns = vec![
        Column::text("picture", "Picture"),
        Column::text("time", "Time"),
        Column::text("label", "Predicted"),
        Column::number("confidence", "Confidence"),
        Column::text("feedback", "It shows"),
        Column::text("model", "Model"),
        Column::number("latency_ms", "Latency"),
        Column::text("request", "Request"),
        Column::number("index", "No."),
    ];
    "No prediction in the log matches.".clone_into(&mut table.empty);
    let back = asked
        .query
        .with(&[("format", None), ("table", None)])
        .encoded();
    for (number, labelled) in passing.iter().take(filter.rows).enumerate() {
        table
            .rows
            .push(row(asked, labelled, classes, &back, number)?);
    }
    Ok(table)
}

fn row(
    asked: &Asked,
    labelled: &Labelled,
    classes: &[String],
    back: &str,
    number: usize,
) -> Result<Vec<Cell>, Refused> {
    let Labelled {
        segment,
        prediction,
        feedback,
    } = labelled;
    let truth = feedback
        .as_ref()
        .map_or("", |feedback| feedback.label.as_str());
    let verdict = labelled.is_right().map(|is_right| {
        let tone = if is_right { Tone::Good } else { Tone::Bad };
        Chip::new(tone, truth)
    });
    let form = FeedbackForm {
        id: &prediction.request_id,
        index: prediction.index,
        predicted: &prediction.label,
        verdict,
        back,
        number,
        classes,
        is_typed: CHOICES_MAX < classes.len(),
    };
    let chars = prediction.request_id.chars();
    let hidden = prediction
        .request_id
        .chars()
        .count()
        .saturating_sub(ID_CHARS);
    let short = ShortId {
        id: &prediction.request_id,
        short: if hidden == 0 {
            prediction.request_id.clone()
        } else {
            format!("…{}", chars.skip(hidden).collect::<String>())
        },
    };
    Ok(vec![
        prediction
            .picture
            .map_or(Cell::Empty, |kept| Cell::Picture {
                src: format!("/serving/pictures/{segment}/{}-{}", kept.at, kept.len),
                alt: format!("what was predicted to be {}", prediction.label),
            }),
        Cell::Time(Ago {
            at_ms: prediction.ts.as_millisecond(),
            now_ms: asked.now_ms,
        }),
        Cell::Text(prediction.label.clone()),
        Cell::Meter(f64::from(prediction.confidence)),
        Cell::Markup {
            html: Markup::of(&form)?,
            text: truth.to_owned(),
        },
        Cell::Text(format!("{} {}", prediction.model, prediction.version)),
        Cell::Shown {
            value: prediction.latency_ms,
            text: format!("{:.1} ms", prediction.latency_ms),
        },
        Cell::Markup {
            html: Markup::of(&short)?,
            text: prediction.request_id.clone(),
        },
        Cell::Number(f64::from(prediction.index)),
    ])
}

//! The page of one evaluation. Imports: http, mlflow, report, `ui::*`.

use askama::Template;
use serde_json::json;

use super::charts::{self, MATRIX_CLASSES_MAX};
use super::confusion::confusion;
use super::judge::{self, Judged, Slider};
use super::pictures::{Choice, Order, PAGE, Show};
use super::source::{self, Source};
use super::tables::{cell_href, class_table, mistake_table, percent};
use super::versus;
use crate::http::Response;
use crate::mlflow::Refused;
use crate::ui::asked::{Asked, Query};
use crate::ui::layout::{Layout, Section};
use crate::ui::outputs::Outputs;
use crate::ui::parts::number::number;
use crate::ui::parts::paging::Paging;
use crate::ui::parts::table::{DataTable, Markup, as_file};
use crate::ui::reply;
use crate::ui::site::Site;

/// Runs that can be chosen; others by their own pages.
const RUNS_MAX: usize = 50;
/// More classes than this have no figures that follow the slider: their tables would be megabytes.
const SLIDER_CLASSES_MAX: usize = 200;
/// The longer side of a picture in the grid, and of the one behind it.
const SIDE: u32 = 160;
const SIDE_WHOLE: u32 = 2048;

/// A choice in a form.
pub(super) struct Choosable {
    pub(super) value: String,
    pub(super) text: String,
    pub(super) is_chosen: bool,
}

/// A figure with what it is.
struct Figure {
    /// For the script that follows the slider; empty: it does not change.
    key: &'static str,
    title: &'static str,
    value: String,
    note: String,
}

/// A picture with what was said of it.
pub(super) struct Shown {
    /// `None`: it cannot be shown.
    pub(super) src: Option<String>,
    pub(super) whole: String,
    pub(super) path: String,
    pub(super) label: String,
    pub(super) predicted: String,
    pub(super) confidence: String,
    pub(super) is_right: bool,
}

/// Answers `/evaluation` and `/runs/{id}/evaluation`.
pub(super) fn answer(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let run = run_of(asked);
    let source = Source::asked(site, asked, run)?;
    match (source, asked.query.filled("other")) {
        (Ok(source), Some(other)) => versus::answer(site, asked, &source, other),
        (Ok(source), None) => page(site, asked, &source),
        (Err(outputs), _) => nothing(site, asked, &outputs),
    }
}

/// Returns the run that a request is about; `None`: the workspace.
fn run_of(asked: &Asked) -> Option<&str> {
    let of_path = Some(asked.param(0)).filter(|run| !run.is_empty());
    of_path.or(asked.query.filled("run"))
}

#[derive(Template)]
#[template(path = "pages/evaluation/nothing.html")]
struct NothingPage<'a> {
    layout: Layout,
    run: Option<&'a str>,
    problems: Vec<String>,
    runs: Vec<Choosable>,
}

fn nothing(site: &Site, asked: &Asked, outputs: &Outputs) -> Result<Response, Refused> {
    reply::html(
        asked,
        &NothingPage {
            layout: layout(site, asked, outputs, "Evaluation"),
            run: outputs.run.as_ref().map(|run| run.name.as_str()),
            problems: outputs
                .warnings
                .iter()
                .map(|w| w.headline.clone())
                .collect(),
            runs: runs(asked, "reports/predictions.jsonl", None)?,
        },
    )
}

pub(super) fn layout(site: &Site, asked: &Asked, outputs: &Outputs, title: &str) -> Layout {
    let layout = Layout::new(site, asked, Section::Evaluation, title);
    match &outputs.run {
        Some(run) => layout
            .crumb("Runs", "/runs")
            .crumb(run.name.clone(), format!("/runs/{}", run.id)),
        None => layout,
    }
}

/// Returns the runs that left the output `path` behind, for a choice.
pub(super) fn runs(
    asked: &Asked,
    path: &str,
    chosen: Option<&str>,
) -> Result<Vec<Choosable>, Refused> {
    let runs = asked
        .shared
        .read(|reader| reader.runs_with_output(path, RUNS_MAX))?;
    let choosable = runs.into_iter().map(|run| Choosable {
        is_chosen: chosen == Some(run.id.to_string().as_str()),
        value: run.id.to_string(),
        text: run.name,
    });
    Ok(choosable.collect())
}

#[derive(Template)]
#[template(path = "pages/evaluation/page.html")]
struct Page<'a> {
    layout: Layout,
    query: &'a Query,
    outputs: &'a Outputs,
    path: &'a str,
    split: &'a str,
    images: usize,
    run_id: String,
    runs: Vec<Choosable>,
    files: Vec<Choosable>,
    figures: Vec<Figure>,
    threshold: f64,
    thresholds_href: String,
    thresholds: Markup,
    confusion: Option<Markup>,
    reliability: Markup,
    class: Option<ClassPart>,
    grid: Grid,
    classes: DataTable,
    mistakes: DataTable,
    has_probabilities: bool,
}

impl Page<'_> {
    /// Is the run that is shown among those that can be chosen?
    fn lists_run(&self) -> bool {
        self.runs.iter().any(|run| run.is_chosen)
    }

    /// Returns the pairs that the form of the threshold keeps.
    fn kept(&self) -> impl Iterator<Item = &(String, String)> {
        let own = ["threshold", "page", "format", "table"];
        self.query
            .0
            .iter()
            .filter(move |(name, _)| !own.contains(&name.as_str()))
    }

    /// Returns the pairs that the form of the pictures keeps.
    fn kept_for_grid(&self) -> impl Iterator<Item = &(String, String)> {
        let own = [
            "true",
            "predicted",
            "show",
            "order",
            "page",
            "format",
            "table",
        ];
        self.query
            .0
            .iter()
            .filter(move |(name, _)| !own.contains(&name.as_str()))
    }
}

/// The curves of one class.
struct ClassPart {
    name: String,
    curves: Option<(Markup, Markup)>,
    away: String,
}

/// The pictures that are chosen.
struct Grid {
    heading: String,
    total: usize,
    first: usize,
    last: usize,
    pictures: Vec<Shown>,
    previous: Option<String>,
    next: Option<String>,
    shows: Vec<Choosable>,
    orders: Vec<Choosable>,
    labels: Vec<Choosable>,
    predictions: Vec<Choosable>,
    /// Why no picture is to be seen.
    no_pictures: Option<String>,
}

fn page(site: &Site, asked: &Asked, source: &Source) -> Result<Response, Refused> {
    let predictions = &*source.predictions;
    let choice = Choice::read(&asked.query, predictions)?;
    let judged = judge::judge(predictions, choice.threshold);
    let counts = confusion(predictions, choice.threshold);
    let classes = class_table(asked, source, &judged, &counts)?;
    let mistakes = mistake_table(asked, source, &judged, &counts);
    if let Some(file) = as_file(asked, &[&classes, &mistakes])? {
        return Ok(file);
    }
    let slider = judge::slider(predictions, 0);
    let bins = judge::bins(predictions);
    let run_id = source.outputs.run_id().unwrap_or_default();
    let cell = |label: usize, predicted: usize| {
        let (label, predicted) = (&predictions.classes[label], &predictions.classes[predicted]);
        cell_href(asked, label, predicted)
    };
    let n = predictions.classes.len();
    let matrix = (n <= MATRIX_CLASSES_MAX)
        .then(|| charts::confusion(&predictions.classes, counts.matrix(n), &cell));
    let page = Page {
        layout: layout(site, asked, &source.outputs, "Evaluation").module("evaluation.js"),
        query: &asked.query,
        outputs: &source.outputs,
        path: &source.path,
        split: &predictions.split,
        images: predictions.len(),
        runs: runs(asked, &source.path, Some(&run_id))?,
        files: files(source),
        figures: figures(source, &judged, &bins),
        threshold: choice.threshold,
        thresholds_href: thresholds_href(&run_id, &source.path),
        thresholds: Markup::svg(&charts::thresholds(&slider, judged.images)),
        confusion: matrix.as_ref().map(Markup::svg),
        reliability: Markup::svg(&charts::reliability(&bins)),
        class: class_part(asked, source)?,
        grid: grid(site, asked, source, &choice),
        has_probabilities: predictions
            .said
            .iter()
            .all(|s| s.label_probability.is_some()),
        classes,
        mistakes,
        run_id,
    };
    reply::html(asked, &page)
}

fn thresholds_href(run_id: &str, path: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !run_id.is_empty() {
        query.append_pair("run", run_id);
    }
    format!(
        "/ajax-api/cvops/evaluation/thresholds?{}",
        query.append_pair("file", path).finish()
    )
}

fn files(source: &Source) -> Vec<Choosable> {
    let all = source::files(&source.outputs);
    all.into_iter()
        .map(|path| Choosable {
            is_chosen: path == source.path,
            text: path.clone(),
            value: path,
        })
        .collect()
}

fn figures(source: &Source, judged: &Judged, bins: &[judge::Bin]) -> Vec<Figure> {
    let is_whole = judged.decided == judged.images;
    let interval = |interval: Option<source::Interval>| match interval.filter(|_| is_whole) {
        Some(of) => format!("95 % interval {:.3} to {:.3}", of.low, of.high),
        None => String::new(),
    };
    let reported = source.reported.as_ref();
    let accuracy = judged.accuracy().map_or_else(|| "–".to_owned(), percent);
    let caught = judged.wrong_in_all - judged.wrong();
    let mut figures = vec![
        Figure {
            key: "accuracy",
            title: "Accuracy",
            value: accuracy,
            note: interval(reported.and_then(|r| r.accuracy_interval)),
        },
        Figure {
            key: "coverage",
            title: "Coverage",
            value: percent(judged.coverage()),
            note: "decided by the model at this threshold".to_owned(),
        },
        Figure {
            key: "wrong",
            title: "Mistakes",
            value: judged.wrong().to_string(),
            note: format!(
                "{caught} of {} caught by the threshold",
                judged.wrong_in_all
            ),
        },
        Figure {
            key: "f1",
            title: "Macro F1",
            value: format!("{:.3}", judged.macro_f1()),
            note: interval(reported.and_then(|r| r.macro_f1_interval)),
        },
        Figure {
            key: "",
            title: "Calibration error",
            value: percent(judge::calibration_error(bins)),
            note: "expected, in 15 bins".to_owned(),
        },
    ];
    if let Some(loss) = judge::log_loss(&source.predictions) {
        figures.push(Figure {
            key: "",
            title: "Log loss",
            value: number((loss * 1e4).round() / 1e4),
            note: "mean cross entropy".to_owned(),
        });
    }
    figures
}

fn class_part(asked: &Asked, source: &Source) -> Result<Option<ClassPart>, Refused> {
    let Some(name) = asked.query.filled("class") else {
        return Ok(None);
    };
    let unknown = || Refused::invalid(format!("`class={name}`: no such class"));
    let class = source.predictions.class(name).ok_or_else(unknown)?;
    let curves = judge::one_against_rest(&source.predictions, class);
    Ok(Some(ClassPart {
        name: name.to_owned(),
        curves: curves.map(|curves| {
            let roc = Markup::svg(&charts::roc(&curves));
            (roc, Markup::svg(&charts::precision_recall(&curves)))
        }),
        away: asked.href_with(&[("class", None)]),
    }))
}

/// Returns a picture of a row with what was said of it.
pub(super) fn shown(source: &Source, row: usize) -> Shown {
    let predictions = &source.predictions;
    let (said, place) = (&predictions.said[row], &predictions.places[row]);
    Shown {
        src: source.picture(row, SIDE),
        whole: source.picture(row, SIDE_WHOLE).unwrap_or_default(),
        path: place.path.to_string(),
        label: predictions.name(said.label).to_owned(),
        predicted: predictions.name(said.predicted).to_owned(),
        confidence: format!("{:.3}", said.confidence),
        is_right: said.is_right(),
    }
}

/// Returns why no picture can be shown, if none can.
pub(super) fn no_pictures(site: &Site, source: &Source) -> Option<String> {
    if site.eye.is_none() {
        let text = "This program was built without vision: it cannot look into prepared data.";
        return Some(text.to_owned());
    }
    source.album.is_none().then(|| {
        let whose = match &source.outputs.run {
            Some(_) => "No output of this run",
            None => "No output in the workspace",
        };
        format!(
            "{whose} is the prepared data that these predictions were made on, so its pictures \
             cannot be shown."
        )
    })
}

fn grid(site: &Site, asked: &Asked, source: &Source, choice: &Choice) -> Grid {
    let predictions = &source.predictions;
    let rows = choice.rows(predictions);
    let no_pictures = no_pictures(site, source);
    let paging = Paging::new(choice.page, PAGE, rows.len());
    let to = |page: usize| {
        let href = asked.href_with(&[("page", Some(&page.to_string()))]);
        format!("{href}#pictures")
    };
    let classes = |chosen: Option<u32>| {
        let name = |(class, name): (usize, &String)| Choosable {
            value: name.clone(),
            text: name.clone(),
            is_chosen: chosen == Some(class as u32),
        };
        predictions.classes.iter().enumerate().map(name).collect()
    };
    let name = |class: Option<u32>| class.map(|class| predictions.name(class));
    let heading = match (name(choice.label), name(choice.predicted)) {
        (Some(label), Some(predicted)) if label == predicted => format!("{label}, told right"),
        (Some(label), Some(predicted)) => format!("{label}, taken for {predicted}"),
        (Some(label), None) => label.to_owned(),
        (None, Some(predicted)) => format!("Taken for {predicted}"),
        (None, None) => match (choice.show, choice.order) {
            (Show::Mistakes, Order::Confident) => "Worst mistakes".to_owned(),
            _ => "Pictures".to_owned(),
        },
    };
    Grid {
        heading,
        total: rows.len(),
        first: paging.first(),
        last: paging.range.end,
        pictures: rows[paging.range.clone()]
            .iter()
            .map(|row| {
                let mut shown = shown(source, *row);
                if no_pictures.is_some() {
                    shown.src = None;
                }
                shown
            })
            .collect(),
        previous: paging.previous().map(to),
        next: paging.next().map(to),
        shows: words(&Show::ALL, choice.show),
        orders: words(&Order::ALL, choice.order),
        labels: classes(choice.label),
        predictions: classes(choice.predicted),
        no_pictures,
    }
}

/// Returns words of a query as choices.
pub(super) fn words<T: Copy + PartialEq>(words: &[(T, &str, &str)], now: T) -> Vec<Choosable> {
    let choosable = |(value, word, text): &(T, &str, &str)| Choosable {
        value: (*word).to_owned(),
        text: (*text).to_owned(),
        is_chosen: *value == now,
    };
    words.iter().map(choosable).collect()
}

/// Answers what every step of the slider does, for the script that follows it.
pub(super) fn thresholds(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let missing = |_| Refused::missing("there are no predictions");
    let source = Source::asked(site, asked, asked.query.filled("run"))?.map_err(missing)?;
    let predictions = &source.predictions;
    let Slider { all, classes } = judge::slider(predictions, SLIDER_CLASSES_MAX);
    let names: &[String] = if classes.is_empty() {
        &[]
    } else {
        &predictions.classes
    };
    let support = judge::judge(predictions, 0.0);
    reply::json(
        asked,
        &json!({
            "images": predictions.len(),
            "wrong": support.wrong_in_all,
            "all": all,
            "names": names,
            "support": support.classes.iter().map(|c| c.support).take(names.len()).collect::<Vec<_>>(),
            "classes": classes,
        }),
    )
}

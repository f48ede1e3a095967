//! Two evaluations of the same pictures beside each other. Imports: http, mlflow, `ui::*`.

use askama::Template;

use super::judge::{self, Versus};
use super::page::{self, Choosable, Shown, shown, words};
use super::pictures::{PAGE, word};
use super::source::Source;
use super::tables::percent;
use crate::http::Response;
use crate::mlflow::Refused;
use crate::ui::asked::Asked;
use crate::ui::layout::Layout;
use crate::ui::parts::paging::Paging;
use crate::ui::parts::table::{Cell, Column, DataTable, as_file};
use crate::ui::reply;
use crate::ui::site::Site;

/// The word for the workspace where a run can be named.
const WORKSPACE: &str = "workspace";

/// Which pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    /// Wrong in the first, right in the second.
    Gained,
    /// Right in the first, wrong in the second.
    Lost,
    /// Taken for different classes.
    Differ,
    /// Wrong in both.
    Neither,
    All,
}

const SHOWS: [(Show, &str, &str); 5] = [
    (Show::Lost, "lost", "became wrong"),
    (Show::Gained, "gained", "became right"),
    (Show::Differ, "differ", "taken for different classes"),
    (Show::Neither, "neither", "wrong in both"),
    (Show::All, "all", "all"),
];

#[derive(Template)]
#[template(path = "pages/evaluation/versus.html")]
struct Page<'a> {
    layout: Layout,
    first: &'a str,
    second: &'a str,
    first_href: String,
    second_href: String,
    swap_href: String,
    versus: &'a Versus,
    p_value: String,
    figures: DataTable,
    shows: Vec<Choosable>,
    show: &'static str,
    total: usize,
    from: usize,
    to: usize,
    pairs: Vec<(Shown, Shown)>,
    previous: Option<String>,
    next: Option<String>,
    no_pictures: Option<String>,
    run_id: String,
    other_id: &'a str,
}

/// Answers `/evaluation?run=A&other=B`.
pub(super) fn answer(
    site: &Site,
    asked: &Asked,
    first: &Source,
    other: &str,
) -> Result<Response, Refused> {
    let other_run = Some(other).filter(|other| *other != WORKSPACE);
    let second = match Source::asked(site, asked, other_run)? {
        Ok(second) => second,
        Err(outputs) => {
            return Err(Refused::missing(format!(
                "{} has no predictions to compare with",
                outputs.title()
            )));
        }
    };
    let versus = judge::versus(&first.predictions, &second.predictions);
    let figures = figure_table(asked, first, &second);
    if let Some(file) = as_file(asked, &[&figures])? {
        return Ok(file);
    }
    let show = word(&asked.query, "show", &SHOWS, Show::Lost)?;
    let pairs = chosen(first, &second, &versus, show);
    let paging = Paging::new(asked.query.number("page", 1)?, PAGE, pairs.len());
    let turn = |page: usize| {
        let href = asked.href_with(&[("page", Some(&page.to_string()))]);
        format!("{href}#pictures")
    };
    let no_pictures = page::no_pictures(site, first);
    let both = |(a, b): &(u32, u32)| {
        let (mut a, b) = (shown(first, *a as usize), shown(&second, *b as usize));
        if no_pictures.is_some() {
            a.src = None;
        }
        (a, b)
    };
    let run_id = first.outputs.run_id().unwrap_or_default();
    let swapped = if run_id.is_empty() {
        WORKSPACE
    } else {
        &run_id
    };
    let alone = |run: &str| match run {
        "" | WORKSPACE => "/evaluation".to_owned(),
        run => format!("/runs/{run}/evaluation"),
    };
    let template = Page {
        layout: page::layout(site, asked, &first.outputs, "Two evaluations"),
        first: first.outputs.title(),
        second: second.outputs.title(),
        first_href: alone(&run_id),
        second_href: alone(other),
        swap_href: format!(
            "/evaluation?{}",
            asked
                .query
                .with(&[
                    ("run", other_run),
                    ("other", Some(swapped)),
                    ("show", None),
                    ("page", None)
                ])
                .encoded()
        ),
        p_value: p_value(versus.p_value()),
        figures,
        shows: words(&SHOWS, show),
        show: SHOWS
            .iter()
            .find(|(s, ..)| *s == show)
            .map_or("", |(_, _, text)| text),
        total: pairs.len(),
        from: paging.first(),
        to: paging.range.end,
        pairs: pairs[paging.range.clone()].iter().map(both).collect(),
        previous: paging.previous().map(turn),
        next: paging.next().map(turn),
        versus: &versus,
        run_id,
        other_id: other,
        no_pictures,
    };
    reply::html(asked, &template)
}

fn p_value(p: f64) -> String {
    if p < 0.001 {
        "p < 0.001".to_owned()
    } else {
        format!("p = {p:.3}")
    }
}

/// Returns the pairs that are shown; where the second is surest comes first.
fn chosen(first: &Source, second: &Source, versus: &Versus, show: Show) -> Vec<(u32, u32)> {
    let (a, b) = (&first.predictions, &second.predictions);
    let is_shown = |(x, y): &(u32, u32)| {
        let (x, y) = (&a.said[*x as usize], &b.said[*y as usize]);
        match show {
            Show::Gained => !x.is_right() && y.is_right(),
            Show::Lost => x.is_right() && !y.is_right(),
            Show::Differ => a.name(x.predicted) != b.name(y.predicted),
            Show::Neither => !x.is_right() && !y.is_right(),
            Show::All => true,
        }
    };
    let mut pairs: Vec<(u32, u32)> = versus.pairs.iter().copied().filter(is_shown).collect();
    let confidence = |row: u32| b.said[row as usize].confidence;
    pairs.sort_by(|x, y| confidence(y.1).total_cmp(&confidence(x.1)));
    pairs
}

fn figure_table(asked: &Asked, first: &Source, second: &Source) -> DataTable {
    let mut table = DataTable::new(asked, "figures", "Figures of both");
    table.columns = vec![
        Column::text("figure", "Figure"),
        Column::number("first", first.outputs.title()),
        Column::number("second", second.outputs.title()),
        Column::number("change", "Change"),
    ];
    let judged = [first, second].map(|source| {
        let judged = judge::judge(&source.predictions, 0.0);
        let bins = judge::bins(&source.predictions);
        [
            judged.accuracy(),
            Some(judged.macro_f1()),
            judge::log_loss(&source.predictions),
            Some(judge::calibration_error(&bins)),
        ]
    });
    let cell = |value: Option<f64>, text: fn(f64) -> String| match value {
        Some(value) => Cell::Shown {
            value,
            text: text(value),
        },
        None => Cell::Empty,
    };
    let names = ["Accuracy", "Macro F1", "Log loss", "Calibration error"];
    for (at, name) in names.into_iter().enumerate() {
        let (a, b) = (judged[0][at], judged[1][at]);
        let change = a.zip(b).map(|(a, b)| b - a);
        let is_share = name == "Accuracy" || name == "Calibration error";
        let text: fn(f64) -> String = if is_share { percent } else { three };
        let signed: fn(f64) -> String = if is_share {
            |v| format!("{:+.1} points", v * 100.0)
        } else {
            |v| format!("{v:+.3}")
        };
        table.rows.push(vec![
            Cell::Text(name.to_owned()),
            cell(a, text),
            cell(b, text),
            cell(change, signed),
        ]);
    }
    table
}

fn three(value: f64) -> String {
    format!("{value:.3}")
}

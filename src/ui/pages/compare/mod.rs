//! `/compare`: runs beside one another. Which runs: `?run=ID&run=ID…`, or `?experiment=ID&filter=…`
//! (the newest). What is shown of them: `metric=NAME…` (curves), `band_over=PARAM…` (runs that differ
//! in these alone are one band), `by=metrics.NAME` (what the others are judged by), `axis=…` (parallel
//! coordinates), `x=`, `y=`, `shade=` (scatter chart and, with `z=`, contour), each `params.NAME` or
//! `metrics.NAME`.
//!
//! `sides` reads the runs, `quantity` says what of them can be an axis, `charts` draws, `tables` has
//! the differences. Imports: http, mlflow, report, track, `ui::*`.

mod charts;
mod form;
mod quantity;
mod sides;
mod tables;

use askama::Template;

use crate::http::Response;
use crate::mlflow::Refused;
use crate::ui::asked::Asked;
use crate::ui::layout::{Layout, Section};
use crate::ui::parts::figure::Figure;
use crate::ui::parts::table::{self, DataTable};
use crate::ui::reply;
use crate::ui::site::{Endpoint, Site};

use form::Form;
use sides::Sides;

pub(in crate::ui) const ENDPOINTS: &[Endpoint] = &[Endpoint::get("/compare", compare)];

/// More runs than this are not compared one by one.
const RUNS_MAX: usize = 50;

#[derive(Template)]
#[template(path = "pages/compare/compare.html")]
struct Page {
    layout: Layout,
    form: Form,
    names: usize,
    /// Which runs were left out.
    note: String,
    evaluation_href: String,
    charts: Vec<Figure>,
    /// Metrics that were logged once have no curve.
    charts_note: String,
    parallel: Option<Figure>,
    scatter: Option<Figure>,
    contour: Option<Figure>,
    contour_note: &'static str,
    about: DataTable,
    same_about: DataTable,
    metrics: DataTable,
    params: DataTable,
    same_params: DataTable,
    artifacts: DataTable,
    same_artifacts: usize,
}

#[derive(Template)]
#[template(path = "pages/compare/nothing.html")]
struct Nothing {
    layout: Layout,
    /// Was there a filter that no run passed?
    asked_for: bool,
}

fn compare(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let layout = Layout::new(site, asked, Section::Runs, "Compare runs").crumb("Runs", "/runs");
    let sides = Sides::read(asked)?;
    if sides.runs.is_empty() {
        let asked_for = asked.query.filled("experiment").is_some();
        return reply::html(asked, &Nothing { layout, asked_for });
    }
    let form = Form::of(asked, &sides)?;
    let (about, same_about) = tables::about(asked, &sides);
    let metrics = tables::metrics(asked, &sides);
    let (params, same_params) = tables::params(asked, &sides);
    let (artifacts, same_artifacts) = tables::artifacts(asked, &sides);
    let all = [
        &about,
        &same_about,
        &metrics,
        &params,
        &same_params,
        &artifacts,
    ];
    if let Some(file) = table::as_file(asked, &all)? {
        return Ok(file);
    }
    let curves = charts::curves(asked, &sides, &form)?;
    let page = Page {
        layout: layout.module("chart.js").module("parallel.js"),
        names: sides.runs.len(),
        note: sides.note.clone(),
        evaluation_href: match &sides.runs[..] {
            [a, b] => format!("/evaluation?run={}&other={}", a.id, b.id),
            _ => String::new(),
        },
        charts_note: curves.note,
        charts: curves.figures,
        parallel: charts::parallel(&sides, &form),
        scatter: charts::scatter(&sides, &form),
        contour: charts::contour(&sides, &form),
        contour_note: "A contour needs four runs that have three numbers each: choose x, y and z above.",
        form,
        about,
        same_about,
        metrics,
        params,
        same_params,
        artifacts,
        same_artifacts,
    };
    reply::html(asked, &page)
}

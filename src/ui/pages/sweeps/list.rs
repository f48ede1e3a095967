//! `/sweeps`: all sweeps, and runs that have parts. Imports: experiment, project, track, `ui::*`.

use std::collections::BTreeMap;

use askama::Template;

use super::nested;
use super::ours::{self, Unread};
use super::shown::{Shown, TrialEnd, href as sweep_href};
use crate::experiment::sweep::journal;
use crate::http::Response;
use crate::mlflow::Refused;
use crate::project;
use crate::track::db::ParentRun;
use crate::ui::asked::{Asked, Format};
use crate::ui::layout::{Layout, Section};
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::table::{Cell, Column, DataTable, as_file};
use crate::ui::parts::time::Ago;
use crate::ui::reply;
use crate::ui::site::Site;

/// Sweeps on one page; older ones are behind `?from=`. A file has all.
const SWEEPS: usize = 100;

/// Runs with parts that are listed.
const NESTED_MAX: usize = 50;

#[derive(Template)]
#[template(path = "pages/sweeps/list.html")]
struct Page {
    layout: Layout,
    sweeps: DataTable,
    nested: DataTable,
    has_sweeps: bool,
    has_nested: bool,
    newer: Option<String>,
    older: Option<String>,
}

pub(super) fn page(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let layout = &site.project.layout;
    let names = journal::names(layout);
    let from: usize = asked.query.number("from", 0)?;
    let (from, most) = match asked.format()? {
        Format::Html => (from, SWEEPS),
        Format::Csv | Format::Json => (0, usize::MAX),
    };
    let mut sweeps = sweeps(site, asked, &shown(layout, &names, from, most));
    if SWEEPS < names.len() {
        let last = from.saturating_add(sweeps.rows.len());
        sweeps.caption = format!(
            "Sweeps, the newest first: {} to {last} of {}",
            from.saturating_add(1).min(last),
            names.len()
        );
    }
    let href = |from: usize| {
        let text = from.to_string();
        asked.href_with(&[("from", Some(text.as_str()).filter(|_| 0 < from))])
    };
    let next = from.saturating_add(SWEEPS);
    let parents = asked.shared.read(|reader| reader.parents(NESTED_MAX))?;
    let is_known = |one: &ParentRun| one.sweep.as_ref().is_some_and(|name| names.contains(name));
    let parents: Vec<ParentRun> = parents.into_iter().filter(|one| !is_known(one)).collect();
    let nested = nested(asked, &parents);
    if let Some(file) = as_file(asked, &[&sweeps, &nested])? {
        return Ok(file);
    }
    let page = Page {
        layout: Layout::new(site, asked, Section::Sweeps, "Sweeps"),
        newer: (0 < from).then(|| href(from.saturating_sub(SWEEPS))),
        older: (next < names.len()).then(|| href(next)),
        has_sweeps: !names.is_empty(),
        has_nested: !nested.rows.is_empty(),
        sweeps,
        nested,
    };
    reply::html(asked, &page)
}

/// Returns the sweeps of a page, the newest first. Of all others only the first line is read.
fn shown<'n>(
    layout: &project::Layout,
    names: &'n [String],
    from: usize,
    most: usize,
) -> Vec<&'n str> {
    let mut all: Vec<(i64, &str)> = names
        .iter()
        // One that cannot be read comes first: it is to be seen.
        .map(|name| {
            (
                journal::began(layout, name).unwrap_or(i64::MAX),
                name.as_str(),
            )
        })
        .collect();
    all.sort_by_key(|(began, _)| std::cmp::Reverse(*began));
    let page = all.into_iter().skip(from).take(most);
    page.map(|(_, name)| name).collect()
}

/// One that cannot be read must not hide the others.
enum Row {
    Read(Box<Shown>),
    Damaged(String, String),
}

fn sweeps(site: &Site, asked: &Asked, names: &[&str]) -> DataTable {
    let layout = &site.project.layout;
    let mut rows: Vec<Row> = Vec::new();
    for name in names {
        match ours::load(layout, name) {
            Ok(sweep) => {
                let shown = ours::shown(layout, &sweep, &BTreeMap::new());
                rows.push(Row::Read(Box::new(shown)));
            }
            Err(Unread::Damaged(why)) => rows.push(Row::Damaged((*name).to_owned(), why)),
            // It was deleted just now.
            Err(Unread::Missing) => {}
        }
    }
    let mut table = DataTable::new(asked, "sweeps", "Sweeps, the newest first");
    table.columns = vec![
        Column::text("sweep", "Sweep"),
        Column::text("state", "State"),
        Column::text("method", "Method"),
        Column::number("done", "Done"),
        Column::number("failed", "Failed"),
        Column::number("trials", "Trials in all"),
        Column::text("metric", "Metric"),
        Column::number("best", "Best"),
        Column::text("params", "Params"),
        Column::number("per_trial", "Per trial"),
        Column::text("since", "Began"),
    ];
    table.rows = rows.iter().map(|row| cells(asked, row)).collect();
    table
}

fn cells(asked: &Asked, row: &Row) -> Vec<Cell> {
    let shown = match row {
        Row::Read(shown) => shown,
        Row::Damaged(name, why) => {
            let mut cells = vec![
                Cell::Link {
                    text: name.clone(),
                    href: sweep_href(name),
                },
                Cell::State(Chip::new(Tone::Bad, "damaged")),
                Cell::Text(why.clone()),
            ];
            cells.resize(11, Cell::Empty);
            return cells;
        }
    };
    let count = |state: TrialEnd| Cell::Number(shown.count(state) as f64);
    let params: Vec<&str> = shown
        .study
        .axes
        .iter()
        .map(|axis| axis.name.as_str())
        .collect();
    vec![
        Cell::Link {
            text: shown.title.clone(),
            href: sweep_href(&shown.title),
        },
        Cell::State(shown.state.clone()),
        Cell::Text(shown.method.clone()),
        count(TrialEnd::Done),
        count(TrialEnd::Failed),
        shown
            .total
            .map_or(Cell::Empty, |total| Cell::Number(total as f64)),
        Cell::Text(shown.study.metric.clone()),
        shown
            .study
            .best()
            .map_or(Cell::Empty, |best| Cell::Number(best.value)),
        Cell::Text(params.join(", ")),
        shown.per_trial().map_or(Cell::Empty, |seconds| {
            Cell::Duration((seconds * 1000.0) as i64)
        }),
        Cell::Time(Ago {
            at_ms: shown.began_ms,
            now_ms: asked.now_ms,
        }),
    ]
}

fn nested(asked: &Asked, parents: &[ParentRun]) -> DataTable {
    let mut table = DataTable::new(asked, "nested", "Runs with parts, the latest first");
    table.columns = vec![
        Column::text("run", "Run"),
        Column::text("state", "State"),
        Column::text("experiment", "Experiment"),
        Column::number("parts", "Parts"),
        Column::number("failed", "Failed or stopped"),
        Column::text("note", ""),
        Column::text("since", "Began"),
    ];
    let rows = parents.iter().map(|one| {
        let [parts, failed, running] = one.parts;
        vec![
            Cell::Link {
                text: one.name.clone(),
                href: sweep_href(&one.id.to_string()),
            },
            Cell::State(nested::state(one.status, 0 < running)),
            Cell::Text(one.experiment.clone()),
            Cell::Number(parts as f64),
            Cell::Number(failed as f64),
            match &one.sweep {
                Some(name) => Cell::Text(format!("the folder of the sweep {name} is gone")),
                None => Cell::Empty,
            },
            Cell::Time(Ago {
                at_ms: one.started_ms,
                now_ms: asked.now_ms,
            }),
        ]
    });
    table.rows = rows.collect();
    table
}

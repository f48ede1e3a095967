//! `/images?run=A&run=B&key=K` and `/runs/{id}/images`: pictures by key, step and run. The page holds
//! only what is seen of it; its script asks the same address for JSON when the step changes.
//! Imports: track, `ui::*`.
//!
//! In the query: `run` and `key` (both several times), `filter` (a part of keys), `by` (`runs`, `steps`:
//! what the columns are), `step`, `from` (the first row).

mod grid;
mod name;
mod shots;

use askama::Template;

use self::grid::{Grid, GridAsk, ROWS};
use self::shots::{NO_STEP, OfRun};
use super::run::{Head, Part, Seen, layout as run_layout};
use super::series::{named_apart, run_ids};
use crate::base::units;
use crate::http::Response;
use crate::mlflow::Refused;
use crate::track::entity::View;
use crate::track::{Error, Reader, RunId, RunSearch, Search};
use crate::ui::asked::{Asked, Format};
use crate::ui::layout::{Layout, Section};
use crate::ui::parts::table::{Cell, Column, DataTable, as_file};
use crate::ui::parts::time::Ago;
use crate::ui::reply;
use crate::ui::site::{Endpoint, Site};

pub(in crate::ui) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/images", of_runs),
    Endpoint::get("/runs/{id}/images", of_run),
];

/// More runs than this do not stand beside one another.
const RUNS_MAX: usize = 8;

/// More steps than this are thinned out for the slider: a screen has no more places.
const STEPS_MAX: usize = 2000;

/// Keys that can be chosen from a list.
const KEYS_LISTED: usize = 500;

/// Runs from which one can choose.
const CHOICES: usize = 30;

/// Experiments whose runs are among them: the newest.
const EXPERIMENTS: usize = 100;

/// What the columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Runs,
    Steps,
}

/// A choice that a link makes.
struct Choice {
    text: String,
    href: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "pages/images/page.html")]
struct Page {
    layout: Layout,
    head: Option<Head>,
    /// Where the form leads.
    here: String,
    runs: Vec<(String, String)>,
    grid: Grid,
    keys: Vec<Choice>,
    keys_total: usize,
    keys_told: String,
    rows_told: String,
    filter: String,
    by: &'static str,
    by_links: Vec<Choice>,
    /// What the form keeps of the query.
    kept: Vec<(String, String)>,
    steps: Vec<i64>,
    steps_told: String,
    steps_json: String,
    previous: String,
    next: String,
    rows_before: String,
    rows_after: String,
    notes: Vec<String>,
}

#[derive(Template)]
#[template(path = "pages/images/choose.html")]
struct Choose {
    layout: Layout,
    table: DataTable,
}

fn of_runs(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let ids = run_ids(&asked.query)?;
    let layout = Layout::new(site, asked, Section::Images, "Images");
    if ids.is_empty() {
        return choose(asked, layout);
    }
    answer(asked, layout, None, &ids)
}

fn of_run(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let seen = Seen::of(asked)?;
    let mut ids = vec![seen.id()];
    ids.extend(
        run_ids(&asked.query)?
            .into_iter()
            .filter(|id| *id != seen.id()),
    );
    let head = Head::new(asked, &seen, Part::Images);
    answer(
        asked,
        run_layout(site, asked, &seen, Part::Images),
        Some(head),
        &ids,
    )
}

/// Offers runs to look at.
fn choose(asked: &Asked, layout: Layout) -> Result<Response, Refused> {
    let found = asked.shared.read(|reader| {
        let every = Search {
            filter: String::new(),
            order_by: Vec::new(),
            view: View::Active,
            max_results: EXPERIMENTS,
            page_token: None,
        };
        let experiments = reader.search_experiments(&every)?.items;
        let search = RunSearch {
            experiments: experiments.iter().map(|one| one.id).collect(),
            filter: String::new(),
            order_by: Vec::new(),
            view: View::Active,
            max_results: CHOICES,
            page_token: None,
        };
        Ok(reader.search_runs(&search)?.items)
    })?;
    let mut table = DataTable::new(asked, "newest", "The newest runs");
    table.columns = vec![
        Column::text("run", "Run"),
        Column::text("started", "Started"),
    ];
    table.rows = found
        .into_iter()
        .map(|record| {
            vec![
                Cell::Link {
                    text: record.info.name,
                    href: format!("/images?run={}", record.info.id),
                },
                Cell::Time(Ago {
                    at_ms: record.info.started_ms,
                    now_ms: asked.now_ms,
                }),
            ]
        })
        .collect();
    "No runs yet.".clone_into(&mut table.empty);
    if let Some(file) = as_file(asked, &[&table])? {
        return Ok(file);
    }
    reply::html(asked, &Choose { layout, table })
}

fn answer(
    asked: &Asked,
    layout: Layout,
    head: Option<Head>,
    ids: &[RunId],
) -> Result<Response, Refused> {
    if RUNS_MAX < ids.len() {
        return Err(Refused::invalid(format!(
            "{} runs are more than stand beside one another: at most {RUNS_MAX}",
            ids.len()
        )));
    }
    let by = match asked.query.filled("by") {
        None | Some("runs") => By::Runs,
        Some("steps") => By::Steps,
        Some(other) => {
            return Err(Refused::invalid(format!(
                "`by={other}`: expected `runs` or `steps`"
            )));
        }
    };
    let step = match asked.query.filled("step") {
        Some(_) => Some(asked.query.number::<i64>("step", 0)?),
        None => None,
    };
    let from = asked.query.number::<usize>("from", 0)?;
    let runs = asked.shared.read(|reader| read(reader, asked, ids))?;
    let filter = asked.query.filled("filter").unwrap_or_default().trim();
    let all = shots::keys(&runs);
    let matching: Vec<&str> = all
        .iter()
        .copied()
        .filter(|key| contains(key, filter))
        .collect();
    let chosen: Vec<&str> = asked.query.all("key").collect();
    let wanted: Vec<&str> = matching
        .iter()
        .copied()
        .filter(|key| chosen.is_empty() || chosen.contains(key))
        .collect();
    let steps: Vec<i64> = shots::steps(&runs, &wanted).into_iter().collect();
    // Without a step the last one is shown: how it is now.
    let step = step.or_else(|| steps.last().copied());
    let asks = GridAsk {
        runs: &runs,
        keys: &wanted,
        steps: &steps,
        step,
        from,
    };
    let grid = match by {
        By::Runs => asks.by_runs(),
        By::Steps => asks.by_steps(),
    };
    if asked.format()? == Format::Json {
        return reply::json(asked, &grid);
    }
    let keys = matching.iter().take(KEYS_LISTED).map(|key| Choice {
        text: (*key).to_owned(),
        href: toggled(asked, &chosen, key),
        is_chosen: chosen.contains(key),
    });
    let shown_by = |is: By, word: &'static str, text: &str| Choice {
        text: text.to_owned(),
        href: asked.href_with(&[("by", Some(word)), ("from", None)]),
        is_chosen: by == is,
    };
    let thinned = thinned(&steps);
    let at = |step: Option<i64>| {
        step.map_or_else(String::new, |step| {
            asked.href_with(&[("step", Some(&step.to_string()))])
        })
    };
    let rows_at = |from: usize| asked.href_with(&[("from", Some(&from.to_string()))]);
    let now = grid.step.unwrap_or(NO_STEP);
    let page = Page {
        layout: layout.module("images.js"),
        head,
        here: asked.path.clone(),
        runs: runs
            .iter()
            .map(|run| (run.run.to_string(), run.name.clone()))
            .collect(),
        keys: keys.collect(),
        keys_total: all.len(),
        keys_told: if matching.len() == all.len() {
            units::count(all.len(), "key")
        } else {
            format!("{} of {}", matching.len(), units::count(all.len(), "key"))
        },
        rows_told: format!("{} of {}", grid.rows.len(), units::count(grid.total, "row")),
        filter: filter.to_owned(),
        by: match by {
            By::Runs => "runs",
            By::Steps => "steps",
        },
        by_links: vec![
            shown_by(By::Runs, "runs", "Runs beside one another"),
            shown_by(By::Steps, "steps", "Steps beside one another"),
        ],
        kept: kept(asked),
        previous: at(steps.iter().rev().copied().find(|step| *step < now)),
        next: at(steps.iter().copied().find(|step| now < *step)),
        steps_json: serde_json::to_string(&thinned).unwrap_or_default(),
        steps_told: units::count(steps.len(), "step"),
        steps: thinned,
        rows_before: if grid.from == 0 {
            String::new()
        } else {
            rows_at(grid.from.saturating_sub(ROWS))
        },
        rows_after: match grid.from.saturating_add(ROWS) {
            behind if behind < grid.total => rows_at(behind),
            _ => String::new(),
        },
        notes: runs.iter().flat_map(|run| run.notes.clone()).collect(),
        grid,
    };
    reply::html(asked, &page)
}

fn read(reader: &Reader<'_>, asked: &Asked, ids: &[RunId]) -> Result<Vec<OfRun>, Error> {
    let mut runs = Vec::with_capacity(ids.len());
    for id in ids {
        runs.push(OfRun::read(reader, &asked.artifacts, *id)?);
    }
    let names = runs.iter().map(|run| (run.run, run.name.clone())).collect();
    for (run, (_, name)) in runs.iter_mut().zip(named_apart(names)) {
        run.name = name;
    }
    Ok(runs)
}

fn contains(key: &str, filter: &str) -> bool {
    filter.is_empty() || key.to_lowercase().contains(&filter.to_lowercase())
}

/// Returns the address with `key` chosen, or not any more.
fn toggled(asked: &Asked, chosen: &[&str], key: &str) -> String {
    let mut query = asked.query.clone();
    query
        .0
        .retain(|(name, value)| name != "from" && !(name == "key" && value == key));
    if !chosen.contains(&key) {
        query.0.push(("key".to_owned(), key.to_owned()));
    }
    format!("{}?{}", asked.path, query.encoded())
}

/// Returns what a form that asks for a step and a filter keeps.
fn kept(asked: &Asked) -> Vec<(String, String)> {
    let pairs = asked.query.0.iter();
    pairs
        .filter(|(name, _)| !matches!(name.as_str(), "step" | "filter" | "from" | "format"))
        .cloned()
        .collect()
}

fn thinned(steps: &[i64]) -> Vec<i64> {
    let every = steps.len().div_ceil(STEPS_MAX).max(1);
    let last = steps.len().saturating_sub(1);
    let kept = steps.iter().enumerate();
    kept.filter(|(at, _)| at.is_multiple_of(every) || *at == last)
        .map(|(_, step)| *step)
        .collect()
}

//! `/runs`: the runs of an experiment as a table. Filter, order, columns, groups and page stand in the
//! URL; `table.js` fetches further rows as JSON, a page beside another by its place in the order.
//! Imports: http, mlflow, track, `ui::*`.

mod ask;
mod change;
mod columns;
mod groups;
mod live;
mod rows;

use askama::Template;
use serde_json::{Value, json};

use crate::http::Response;
use crate::mlflow::Refused;
use crate::track::entity::{Experiment, View};
use crate::track::table::{ColumnRef, Counted, PageAt, Parts, RunRows};
use crate::track::{Catalogue, Reader};
use crate::ui::asked::{Asked, Format, Query};
use crate::ui::layout::{Layout, Section};
use crate::ui::parts::number::whole;
use crate::ui::parts::table::{DataTable, as_file};
use crate::ui::reply;
use crate::ui::site::{Endpoint, Site};

use ask::{RunsAsk, Wrong};
use columns::{Shown, first_page, info};

pub(in crate::ui) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/runs", page),
    Endpoint::get("/runs/live", live::answer),
    Endpoint::get("/ajax-api/cvops/runs", rows_as_json),
    Endpoint::post("/runs/change", change::runs),
    Endpoint::post("/experiments/change", change::experiments),
];

/// Runs are counted up to so many.
const COUNTED_MAX: u64 = 1_000_000;

/// Experiments that are listed.
const EXPERIMENTS_MAX: usize = 500;

/// Names that are offered as columns and in the filter box.
const NAMES_MAX: usize = 600;

/// An experiment in the list.
struct Listed {
    name: String,
    href: String,
    runs: String,
    is_here: bool,
}

/// A column in the panel.
struct Choice {
    key: String,
    title: String,
    kind: &'static str,
    note: String,
    is_shown: bool,
}

/// Something to choose from, with where it leads.
struct Switch {
    title: String,
    href: String,
    is_here: bool,
}

#[derive(Template)]
#[template(path = "pages/runs.html")]
struct Page {
    layout: Layout,
    experiment: Experiment,
    experiments: Vec<Listed>,
    deleted_experiments: Vec<Listed>,
    is_active: bool,
    filter: String,
    wrong: Option<Wrong>,
    wrong_order: Option<Wrong>,
    /// What the form of the filter must not forget.
    kept: Vec<(String, String)>,
    /// As `kept`, for the form of the columns.
    kept_beside_columns: Vec<(String, String)>,
    kept_beside_group: Vec<(String, String)>,
    names: Vec<String>,
    views: Vec<Switch>,
    parts: Vec<Switch>,
    choices: Vec<Choice>,
    reset_columns: String,
    groups: Vec<(String, String, bool)>,
    is_grouped: bool,
    is_deleted: bool,
    count: String,
    /// What the files hold, and where they are.
    files_of: &'static str,
    files: (String, String),
    table: DataTable,
    previous: Option<String>,
    next: Option<String>,
    /// Goes to `table.js`.
    data: String,
    change: String,
}

/// Says that there is nothing at all.
#[derive(Template)]
#[template(path = "pages/runs_none.html")]
struct NoExperiment {
    layout: Layout,
}

/// Reads what is asked for, with the columns that are usual here if it names none.
fn asking(asked: &Asked) -> Result<Option<(RunsAsk, Option<Catalogue>)>, Refused> {
    asked.shared.read(|reader| Ok(read_ask(reader, asked)))?
}

fn read_ask(
    reader: &Reader<'_>,
    asked: &Asked,
) -> Result<Option<(RunsAsk, Option<Catalogue>)>, Refused> {
    let Some(mut ask) = RunsAsk::of(reader, asked)? else {
        return Ok(None);
    };
    if ask.is_chosen {
        return Ok(Some((ask, None)));
    }
    let catalogue = reader.catalogue(ask.experiment.id, ask.view)?;
    ask.choose(&catalogue);
    Ok(Some((ask, Some(catalogue))))
}

/// Answers `/runs`.
fn page(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    if asked.format()? != Format::Html
        && let Some(file) = file(asked)?
    {
        return Ok(file);
    }
    let layout = Layout::new(site, asked, Section::Runs, "Runs").module("runs.js");
    // Everything that a page shows is of one moment.
    asked.shared.read(|reader| {
        Ok(match read_ask(reader, asked) {
            Ok(Some((ask, catalogue))) => show(reader, asked, layout, &ask, catalogue),
            Ok(None) => reply::html(asked, &NoExperiment { layout }),
            Err(refused) => Err(refused),
        })
    })?
}

/// Answers with runs as a file; `None`: what is asked for are groups, or there is no experiment.
fn file(asked: &Asked) -> Result<Option<Response>, Refused> {
    let Some((ask, _)) = asking(asked)? else {
        return Ok(None);
    };
    match ask.wrong() {
        (Some(wrong), _) | (_, Some(wrong)) => Err(Refused::invalid(wrong.message)),
        (None, None) if ask.group.is_empty() => rows::file(asked, ask).map(Some),
        (None, None) => Ok(None),
    }
}

fn show(
    reader: &Reader<'_>,
    asked: &Asked,
    layout: Layout,
    ask: &RunsAsk,
    catalogue: Option<Catalogue>,
) -> Result<Response, Refused> {
    let (wrong, wrong_order) = ask.wrong();
    let is_wrong = wrong.is_some() || wrong_order.is_some();
    let catalogue = match catalogue {
        Some(catalogue) => catalogue,
        None => reader.catalogue(ask.experiment.id, ask.view)?,
    };
    let empty = RunRows {
        rows: Vec::new(),
        previous: None,
        next: None,
    };
    let mut counted = Counted {
        runs: 0,
        is_exact: true,
    };
    let (mut page, mut groups) = (empty, 0);
    let table = if is_wrong {
        DataTable {
            empty: "Nothing is looked for until this is mended.".to_owned(),
            ..rows::table(asked, ask, &catalogue, &[])?
        }
    } else if ask.group.is_empty() {
        page = reader.run_rows(&ask.query())?;
        counted = reader.count_runs(&ask.runs(), COUNTED_MAX)?;
        rows::table(asked, ask, &catalogue, &page.rows)?
    } else {
        let (table, total) = groups::table(reader, asked, ask)?;
        groups = total;
        if let Some(file) = as_file(asked, &[&table])? {
            return Ok(file);
        }
        table
    };
    let count = match (ask.group.is_empty(), is_wrong) {
        (_, true) => String::new(),
        (true, false) => count_text(counted),
        (false, false) if table.rows.len() < groups => format!(
            "{} groups, the largest {} are shown",
            whole(groups as u64),
            table.rows.len()
        ),
        (false, false) => format!("{} groups", whole(groups as u64)),
    };
    let (experiments, deleted_experiments) = experiments(reader, ask)?;
    let view = Page {
        layout,
        data: data(asked, ask, &page, counted),
        change: format!("/runs/change?{}", back(asked)),
        experiments,
        deleted_experiments,
        is_active: ask.is_experiment_active(),
        filter: ask.filter.clone(),
        wrong,
        wrong_order,
        kept: kept(asked, &["filter"]),
        kept_beside_columns: kept(asked, &["column"]),
        kept_beside_group: kept(asked, &["group"]),
        names: filter_names(&catalogue),
        views: views(asked, ask),
        parts: parts(asked, ask),
        choices: choices(ask, &catalogue),
        reset_columns: first_page(asked, &[("column", None)]),
        groups: group_options(ask, &catalogue),
        is_grouped: !ask.group.is_empty(),
        is_deleted: ask.is_deleted(),
        count,
        files_of: match (ask.group.is_empty(), ask.filter.is_empty()) {
            (false, _) => "All groups",
            (true, true) => "All runs",
            (true, false) => "All runs that pass the filter",
        },
        files: (table.csv_href.clone(), table.json_href.clone()),
        table: DataTable {
            csv_href: String::new(),
            json_href: String::new(),
            ..table
        },
        previous: page
            .previous
            .map(|token| first_page(asked, &[("before", Some(&token))])),
        next: page
            .next
            .map(|token| first_page(asked, &[("after", Some(&token))])),
        experiment: ask.experiment.clone(),
    };
    reply::html(asked, &view)
}

/// Answers `/ajax-api/cvops/runs`: rows as `table.js` draws them.
fn rows_as_json(_site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let Some((ask, _)) = asking(asked)? else {
        return reply::json(asked, &json!({ "rows": [], "total": 0 }));
    };
    let (page, counted) = asked.shared.read(|reader| {
        let page = reader.run_rows(&ask.query())?;
        let counted = match asked.query.get("count") {
            Some(_) => Some(reader.count_runs(&ask.runs(), COUNTED_MAX)?),
            None => None,
        };
        Ok((page, counted))
    })?;
    let rows: Vec<Value> = page
        .rows
        .iter()
        .map(|row| rows::drawn_row(&ask, row, asked.now_ms))
        .collect();
    let total = counted.map(|counted| counted.runs);
    reply::json(
        asked,
        &json!({ "rows": rows, "previous": page.previous, "next": page.next, "total": total }),
    )
}

fn count_text(counted: Counted) -> String {
    let least = if counted.is_exact { "" } else { "≥ " };
    let noun = if counted.runs == 1 { "run" } else { "runs" };
    format!("{least}{} {noun}", whole(counted.runs))
}

/// What `table.js` goes on with.
fn data(asked: &Asked, ask: &RunsAsk, page: &RunRows, counted: Counted) -> String {
    let mut query = Query(kept(asked, &["column", "experiment", "theme"]));
    let mut add = |name: &str, value: String| query.0.push((name.to_owned(), value));
    add("experiment", ask.experiment.id.to_string());
    for column in &ask.columns {
        add("column", column.to_string());
    }
    json!({
        "query": query.encoded(),
        "experiment": ask.experiment.id.to_string(),
        "columns": ask.columns.iter().map(Shown::to_string).collect::<Vec<_>>(),
        "chosen": ask.is_chosen,
        "total": counted.runs,
        // Behind a token nobody knows how many rows came before.
        "offset": match ask.at { PageAt::Offset(offset) => Some(offset), _ => None },
        "next": page.next,
        "order": ask.order,
    })
    .to_string()
}

/// Returns the pairs of the query that stay when a form sets others; a form begins on the first page.
fn kept(asked: &Asked, without: &[&str]) -> Vec<(String, String)> {
    let of_page = [
        "after", "before", "offset", "limit", "format", "table", "count",
    ];
    let pairs = asked.query.0.iter();
    pairs
        .filter(|(name, _)| !of_page.contains(&name.as_str()) && !without.contains(&name.as_str()))
        .cloned()
        .collect()
}

fn back(asked: &Asked) -> String {
    Query(vec![("back".to_owned(), asked.href_with(&[]))]).encoded()
}

fn experiments(reader: &Reader<'_>, ask: &RunsAsk) -> Result<(Vec<Listed>, Vec<Listed>), Refused> {
    let list = |view: View| -> Result<Vec<Listed>, Refused> {
        let found = reader.experiments_counted(view, EXPERIMENTS_MAX)?;
        let listed = found.into_iter().map(|one| Listed {
            href: format!("/runs?experiment={}", one.experiment.id),
            runs: whole(one.active),
            is_here: one.experiment.id == ask.experiment.id,
            name: one.experiment.name,
        });
        Ok(listed.collect())
    };
    Ok((list(View::Active)?, list(View::Deleted)?))
}

fn views(asked: &Asked, ask: &RunsAsk) -> Vec<Switch> {
    let all = [
        ("Active", None, View::Active),
        ("Deleted", Some("deleted"), View::Deleted),
    ];
    let switches = all.into_iter().map(|(title, value, view)| Switch {
        title: title.to_owned(),
        href: first_page(asked, &[("view", value)]),
        is_here: ask.view == view,
    });
    switches.collect()
}

fn parts(asked: &Asked, ask: &RunsAsk) -> Vec<Switch> {
    let all = [
        ("All runs", None, Parts::Listed),
        ("Without parts", Some("folded"), Parts::Folded),
    ];
    let switches = all.into_iter().map(|(title, value, parts)| Switch {
        title: title.to_owned(),
        href: first_page(asked, &[("parts", value)]),
        is_here: ask.parts == parts,
    });
    switches.collect()
}

fn kind(column: &Shown) -> &'static str {
    match column {
        Shown::Logged(ColumnRef::Metric(_)) => "metric",
        Shown::Logged(ColumnRef::Param(_)) => "param",
        Shown::Logged(ColumnRef::Tag(_)) => "tag",
        _ => "run",
    }
}

/// Returns the columns to choose from: those that are shown first, as they stand.
fn choices(ask: &RunsAsk, catalogue: &Catalogue) -> Vec<Choice> {
    let of_run = Shown::OF_RUN.into_iter();
    let mut logged: Vec<Shown> = catalogue
        .columns
        .iter()
        .map(|info| Shown::Logged(info.column.clone()))
        .collect();
    logged.sort_by_key(|column| match kind(column) {
        "metric" => 0,
        "param" => 1,
        _ => 2,
    });
    let others = of_run
        .chain(logged)
        .filter(|column| !ask.columns.contains(column));
    let all = ask.columns.iter().cloned().chain(others);
    let choice = |column: Shown| Choice {
        note: match &column {
            Shown::Logged(of) => info(catalogue, of).map_or_else(String::new, |info| {
                format!("{} of {}", info.runs, catalogue.looked_at)
            }),
            _ => String::new(),
        },
        is_shown: ask.columns.contains(&column),
        key: column.to_string(),
        title: column.title().to_owned(),
        kind: kind(&column),
    };
    all.take(NAMES_MAX).map(choice).collect()
}

/// Returns what runs can be grouped by, with what is shown of it, and whether it is chosen.
fn group_options(ask: &RunsAsk, catalogue: &Catalogue) -> Vec<(String, String, bool)> {
    let columns = catalogue.columns.iter().map(|info| &info.column);
    let columns = columns.filter(|column| !matches!(column, ColumnRef::Metric(_)));
    columns
        .take(NAMES_MAX)
        .map(|column| {
            let is_chosen = ask.group.contains(column);
            (column.to_string(), column.to_string(), is_chosen)
        })
        .collect()
}

/// Returns names as a filter has them.
fn filter_names(catalogue: &Catalogue) -> Vec<String> {
    let of_run = [
        "status",
        "run_name",
        "start_time",
        "end_time",
        "user_id",
        "run_id",
    ];
    let logged = catalogue.columns.iter().map(|info| info.column.quoted());
    let of_run = of_run.into_iter().map(str::to_owned);
    of_run.chain(logged).take(NAMES_MAX).collect()
}

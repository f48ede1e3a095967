//! `/register`: makes a model that a run made a version of a name. `?run=` chooses the run, `?model=` the
//! name. Imports: base, track, `ui::*`.

use askama::Template;

use super::change::required;
use super::{model_href, run_href, version_href};
use crate::base::ObjectId;
use crate::http::Response;
use crate::mlflow::Refused;
use crate::track::artifacts::path_of_uri;
use crate::track::{Artifacts, Error, Filter, NewVersion, Reader, Run, RunId};
use crate::ui::asked::{Asked, Query};
use crate::ui::layout::{Layout, Section};
use crate::ui::parts::table::{Cell, Column, DataTable, as_file};
use crate::ui::parts::time::Ago;
use crate::ui::reply;
use crate::ui::site::Site;

/// By this file a folder is known as a model of ours, by the other as one of MLflow's.
const MODEL_FILES: [&str; 2] = ["model.json", "MLmodel"];

/// Runs to choose from.
const RUNS: usize = 30;

#[derive(Template)]
#[template(path = "pages/models/register.html")]
struct Page {
    layout: Layout,
    model: String,
    names: Vec<String>,
    run: Option<Chosen>,
    runs: Option<DataTable>,
}

/// The run that was chosen, with what it made.
struct Chosen {
    name: String,
    id: String,
    href: String,
    outputs: Vec<Output>,
}

struct Output {
    path: String,
    what: &'static str,
    is_likely: bool,
}

pub(super) fn page(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let model = asked.query.filled("model").unwrap_or_default();
    let asked_run = asked.query.filled("run");
    let (names, chosen, recent) = asked.shared.read(|reader| {
        let names = reader.registered_model_names()?;
        Ok(match asked_run {
            Some(text) => {
                let run = reader.find(text)?;
                (
                    names,
                    Some(chosen(reader, &asked.artifacts, &run)?),
                    Vec::new(),
                )
            }
            None => (names, None, recent(reader)?),
        })
    })?;
    let runs = chosen.is_none().then(|| runs(asked, &recent, model));
    if let Some(file) = as_file(asked, &runs.iter().collect::<Vec<_>>())? {
        return Ok(file);
    }
    let mut layout =
        Layout::new(site, asked, Section::Models, "Register a version").crumb("Models", "/models");
    if !model.is_empty() {
        layout = layout.crumb(model, model_href(model));
    }
    let page = Page {
        layout,
        model: model.to_owned(),
        names,
        runs,
        run: chosen,
    };
    reply::html(asked, &page)
}

fn recent(reader: &Reader<'_>) -> Result<Vec<Run>, Error> {
    reader.list(&Filter {
        limit: Some(RUNS),
        ..Filter::default()
    })
}

fn runs(asked: &Asked, runs: &[Run], model: &str) -> DataTable {
    let mut table = DataTable::new(asked, "last-runs", "The last runs");
    table.columns = vec![
        Column::text("run", "Run"),
        Column::text("experiment", "Experiment"),
        Column::text("started", "Started"),
        Column::number("outputs", "Outputs"),
        Column::text("choose", ""),
    ];
    let rows = runs.iter().map(|run| {
        let id = run.id.to_string();
        let mut query = vec![("run".to_owned(), id.clone())];
        if !model.is_empty() {
            query.push(("model".to_owned(), model.to_owned()));
        }
        vec![
            Cell::Link {
                text: run.name.clone(),
                href: run_href(&id),
            },
            Cell::Text(run.experiment.clone()),
            Cell::Time(Ago {
                at_ms: run.started.as_millisecond(),
                now_ms: asked.now_ms,
            }),
            Cell::Number(run.artifacts.len() as f64),
            Cell::Link {
                text: "Choose".to_owned(),
                href: format!("/register?{}", Query(query).encoded()),
            },
        ]
    });
    table.rows = rows.collect();
    "No run is recorded yet: `cvops repro` records one.".clone_into(&mut table.empty);
    table
}

fn chosen(reader: &Reader<'_>, artifacts: &Artifacts, run: &Run) -> Result<Chosen, Error> {
    let uri = reader.run_info(run.id)?.artifact_uri;
    let mut outputs = Vec::new();
    if let Some(root) = path_of_uri(&uri) {
        for entry in artifacts.list(reader, root)? {
            outputs.extend(output(reader, artifacts, root, entry.name, entry.is_dir)?);
        }
        for known in &run.artifacts {
            let is_dir = matches!(known.object, ObjectId::Tree(_));
            outputs.extend(output(reader, artifacts, root, known.path.clone(), is_dir)?);
        }
    }
    // A folder above an output is no output.
    let is_above = |path: &str| {
        let prefix = format!("{path}/");
        run.artifacts
            .iter()
            .any(|one| one.path.starts_with(&prefix))
    };
    outputs.retain(|output| !is_above(&output.path));
    outputs.sort_by(|a, b| (!a.is_likely, &a.path).cmp(&(!b.is_likely, &b.path)));
    outputs.dedup_by(|a, b| a.path == b.path);
    Ok(Chosen {
        name: run.name.clone(),
        id: run.id.to_string(),
        href: run_href(&run.id.to_string()),
        outputs,
    })
}

fn output(
    reader: &Reader<'_>,
    artifacts: &Artifacts,
    root: &str,
    path: String,
    is_dir: bool,
) -> Result<Option<Output>, Error> {
    let mut is_likely = false;
    if is_dir {
        for file in MODEL_FILES {
            let file = format!("{root}/{path}/{file}");
            is_likely |= artifacts.find(reader, &file)?.is_some();
        }
    }
    Ok(Some(Output {
        path,
        what: match (is_likely, is_dir) {
            (true, _) => "a model",
            (false, true) => "a folder",
            (false, false) => "a file",
        },
        is_likely,
    }))
}

pub(super) fn register(_: &Site, asked: &Asked) -> Result<Response, Refused> {
    let form = asked.form();
    let name = required(&form, "model")?;
    let path = required(&form, "path")?;
    let id = required(&form, "run")?;
    let id: RunId = id
        .parse()
        .map_err(|_| Refused::invalid(format!("`{id}` is not the id of a run")))?;
    let description = form.filled("description").map(str::to_owned);
    let now_ms = asked.now_ms;
    let is_there = asked.shared.read(|reader| {
        let uri = reader.run_info(id)?.artifact_uri;
        let Some(root) = path_of_uri(&uri) else {
            return Ok(false);
        };
        let full = format!("{root}/{path}");
        Ok(asked.artifacts.find(reader, &full)?.is_some()
            || !asked.artifacts.list(reader, &full)?.is_empty())
    })?;
    if !is_there {
        return Err(Refused::invalid(format!(
            "the run has no output `{path}`, or its files are gone"
        )));
    }
    let version = asked.shared.change(move |writing| {
        let uri = writing.run_info(id)?.artifact_uri;
        if !writing.registered_model_names()?.contains(&name) {
            writing.create_registered_model(&name, &[], None, now_ms)?;
        }
        let new = NewVersion {
            name: name.clone(),
            source: format!("{uri}/{path}"),
            run: Some(id.to_string()),
            tags: Vec::new(),
            run_link: None,
            description,
            logged_model: None,
        };
        writing.create_model_version(&new, now_ms)
    })?;
    reply::see_other(&version_href(&version.name, version.version))
}

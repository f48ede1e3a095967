//! `/models…`: registered models, their versions, where each comes from, and what changes hands when
//! one is promoted. Imports: track, pipeline, `ui::*`.

mod change;
mod difference;
mod evidence;
mod list;
mod model;
mod promote;
mod register;
mod version;

use crate::mlflow::Refused;
use crate::mlflow::rest::Access;
use crate::track::entity::ModelVersion;
use crate::track::promotion::Title;
use crate::ui::asked::{Asked, segment};
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::table::Cell;
use crate::ui::site::Endpoint;

pub(in crate::ui) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/models", list::page),
    Endpoint::post("/models", change::create),
    Endpoint::get("/models/{name}", model::page),
    Endpoint::post("/models/{name}", change::model),
    Endpoint::get("/models/{name}/{version}", version::page),
    Endpoint::post("/models/{name}/{version}", change::version),
    Endpoint::get("/models/{name}/{version}/promote", promote::page),
    Endpoint::post("/models/{name}/{version}/promote", promote::promote),
    Endpoint::get("/register", register::page),
    Endpoint::post("/register", register::register),
];

/// The stage of versions that were put in none.
const NO_STAGE: &str = "None";

/// The alias that is proposed where there is none yet.
const CHAMPION: &str = "champion";

/// Stages that a version can be promoted to.
const STAGES: [&str; 2] = ["Staging", "Production"];

/// The longest text of a user in a table; the whole one is on its page.
const CELL_CHARS_MAX: usize = 120;

fn model_href(name: &str) -> String {
    format!("/models/{}", segment(name))
}

fn version_href(name: &str, version: i64) -> String {
    format!("/models/{}/{version}", segment(name))
}

fn run_href(id: &str) -> String {
    format!("/runs/{}", segment(id))
}

/// Returns where a promotion is decided.
fn promote_href(name: &str, version: i64, title: &Title) -> String {
    let what = match title {
        Title::Alias(_) => "alias",
        Title::Stage(_) => "stage",
    };
    let query = crate::ui::asked::Query(vec![(what.to_owned(), title.name().to_owned())]);
    format!(
        "{}/promote?{}",
        version_href(name, version),
        query.encoded()
    )
}

/// May who asks change anything? Where nobody has to log in everybody may.
fn may_write(asked: &Asked) -> bool {
    let user = asked.user.as_ref();
    user.is_none_or(|user| Access::Write <= user.access)
}

/// Reads the number of a version out of the path.
fn number(asked: &Asked) -> Result<i64, Refused> {
    let text = asked.param(1);
    text.parse()
        .ok()
        .filter(|number| 0 < *number)
        .ok_or_else(|| {
            Refused::missing(format!(
                "`{text}` is no version of `{}`: versions are numbers from 1",
                asked.param(0)
            ))
        })
}

/// Returns the beginning of a text, in one line.
fn brief(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or_default().trim();
    match line.char_indices().nth(CELL_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

/// Returns the first digits of a hash or an id.
fn short(text: &str) -> String {
    text.chars().take(8).collect()
}

/// Returns a cell with the stage of a version, empty if it is in none.
fn stage_cell(stage: &str) -> Cell {
    match stage {
        NO_STAGE | "" => Cell::Empty,
        "Production" => Cell::State(Chip::new(Tone::Good, stage)),
        "Staging" => Cell::State(Chip::new(Tone::Busy, stage)),
        other => Cell::State(Chip::new(Tone::Plain, other)),
    }
}

/// Returns how far the files of a version are.
fn status_chip(version: &ModelVersion) -> Chip {
    match version.status.as_str() {
        "READY" => Chip::new(Tone::Good, "ready"),
        "PENDING_REGISTRATION" => Chip::new(Tone::Busy, "pending"),
        "FAILED_REGISTRATION" => Chip::new(Tone::Bad, "failed"),
        other => Chip::new(Tone::Warn, other),
    }
}

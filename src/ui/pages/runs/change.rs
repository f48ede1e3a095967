//! Changes that the runs page makes: to runs that were chosen, and to experiments.
//! Imports: mlflow, track, `ui::{asked, reply}`.

use crate::http::Response;
use crate::mlflow::Refused;
use crate::track::entity::ExperimentId;
use crate::track::run::RunId;
use crate::ui::asked::{Asked, Query};
use crate::ui::parts::tags::check_tag_of_people;
use crate::ui::reply;
use crate::ui::site::Site;

/// Runs that one form changes at most.
const RUNS_MAX: usize = 10_000;

/// Answers `POST /runs/change`.
pub(super) fn runs(_site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let form = asked.form();
    let mut ids: Vec<RunId> = Vec::new();
    for text in form.all("run") {
        let id = text
            .parse()
            .map_err(|_| Refused::invalid(format!("`{text}` is no run id")))?;
        ids.push(id);
    }
    if ids.is_empty() {
        return Err(Refused::invalid("no run is selected"));
    }
    if RUNS_MAX < ids.len() {
        return Err(Refused::invalid(format!(
            "at most {RUNS_MAX} runs are changed at once, got {}",
            ids.len()
        )));
    }
    let now_ms = asked.now_ms;
    let text = |name: &str| form.get(name).unwrap_or_default().to_owned();
    let (key, value) = (text("key").trim().to_owned(), text("value"));
    let action = text("action");
    if ["tag", "untag"].contains(&action.as_str()) {
        check_tag_of_people(&key)?;
    }
    match action.as_str() {
        "delete" => asked.shared.change(move |writing| {
            ids.iter()
                .try_for_each(|id| writing.delete_run(*id, now_ms))
        })?,
        "restore" => asked
            .shared
            .change(move |writing| ids.iter().try_for_each(|id| writing.restore_run(*id)))?,
        "tag" => asked.shared.change(move |writing| {
            ids.iter()
                .try_for_each(|id| writing.set_run_tag(*id, &key, &value))
        })?,
        "untag" => asked.shared.change(move |writing| {
            ids.iter()
                .try_for_each(|id| writing.delete_run_tag(*id, &key))
        })?,
        other => return Err(unknown(other, "delete, restore, tag, untag")),
    }
    reply::see_other(back(&asked.query))
}

/// Answers `POST /experiments/change`.
pub(super) fn experiments(_site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let form = asked.form();
    let text = |name: &str| form.get(name).unwrap_or_default().trim().to_owned();
    let (name, action, now_ms) = (text("name"), text("action"), asked.now_ms);
    let id = || -> Result<ExperimentId, Refused> {
        let id = text("experiment");
        let number = id.parse().map(ExperimentId);
        number.map_err(|_| Refused::invalid(format!("`{id}` is no id of an experiment")))
    };
    let shared = &asked.shared;
    let shown = match action.as_str() {
        "create" => {
            shared.change(move |writing| writing.create_experiment(&name, None, &[], now_ms))?
        }
        "rename" => {
            let id = id()?;
            shared.change(move |writing| writing.rename_experiment(id, &name, now_ms))?;
            id
        }
        "restore" => {
            let id = id()?;
            shared.change(move |writing| writing.restore_experiment(id, now_ms))?;
            id
        }
        "delete" => {
            let id = id()?;
            shared.change(move |writing| writing.delete_experiment(id, now_ms))?;
            return reply::see_other("/runs");
        }
        other => return Err(unknown(other, "create, rename, delete, restore")),
    };
    reply::see_other(&format!("/runs?experiment={shown}"))
}

fn unknown(action: &str, known: &str) -> Refused {
    Refused::invalid(format!("there is no action `{action}`: {known} are known"))
}

/// Returns where the form came from (`?back=…`), if that is a page of runs.
fn back(query: &Query) -> &str {
    let asked = query.get("back").unwrap_or_default();
    let is_ours = asked == "/runs" || asked.starts_with("/runs?") || asked.starts_with("/runs/");
    let is_plain = asked.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if is_ours && is_plain { asked } else { "/runs" }
}

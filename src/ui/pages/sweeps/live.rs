//! `/sweeps/{name}/live`: tells a page that there is something new; the page asks for itself again.
//! Imports: experiment, http, track, `ui::*`.

use std::time::Duration;

use super::ours;
use super::shown::{Shown, find};
use crate::experiment::sweep::journal;
use crate::http::{LiveEvent, Response};
use crate::mlflow::Refused;
use crate::project::Layout;
use crate::track::{RunId, Shared};
use crate::ui::asked::Asked;
use crate::ui::reply;
use crate::ui::site::Site;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

/// What is watched.
enum Watched {
    /// A journal, and the run of the whole.
    Ours(String),
    /// A run's parts.
    Nested(RunId),
}

pub(super) fn live(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let name = asked.param(0).to_owned();
    let shown = find(site, asked, &name)?;
    let layout = site.project.layout.clone();
    let shared = asked.shared.clone();
    let watched = watched(&layout, &name, &shown);
    let mut last = asked.query.get("mark").map(str::to_owned);
    Ok(reply::live(asked, EVERY, move || {
        // `None`: it is gone; the page says so when it is asked for again.
        let mark = mark(&layout, &shared, &watched)?;
        if last.as_ref() == Some(&mark) {
            return Some(Vec::new());
        }
        let data = serde_json::json!({"mark": mark}).to_string();
        last = Some(mark);
        Some(vec![LiveEvent {
            event: "change",
            data,
        }])
    }))
}

fn watched(layout: &Layout, name: &str, shown: &Shown) -> Watched {
    match shown.parent {
        Some(id) if !ours::exists(layout, name) => Watched::Nested(id),
        _ => Watched::Ours(name.to_owned()),
    }
}

/// Returns what differs when there is something new; as the page is sent with it, nothing is missed.
pub(super) fn mark_of(site: &Site, asked: &Asked, name: &str, shown: &Shown) -> String {
    let watched = watched(&site.project.layout, name, shown);
    mark(&site.project.layout, &asked.shared, &watched).unwrap_or_default()
}

fn mark(layout: &Layout, shared: &Shared, watched: &Watched) -> Option<String> {
    match watched {
        Watched::Ours(name) => {
            let length = journal::length(layout, name)?;
            let is_running = journal::is_running(layout, name);
            Some(format!("{length}{}", if is_running { "r" } else { "" }))
        }
        Watched::Nested(id) => {
            let told = shared.read(|reader| {
                let info = reader.run_info(*id)?;
                Ok((
                    reader.experiment_mark(info.experiment)?,
                    reader.run_mark(*id)?,
                ))
            });
            let (experiment, run) = told.ok()?;
            Some(format!("{experiment}.{run}"))
        }
    }
}

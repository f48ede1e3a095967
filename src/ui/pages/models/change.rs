//! What forms of these pages change: names, descriptions, tags, aliases, stages. Imports: track, `ui::*`.

use askama::Template;

use super::{model_href, number, version_href};
use crate::http::{Response, StatusCode};
use crate::mlflow::Refused;
use crate::track::{Error, Promoted, Withdraw, Writing};
use crate::ui::asked::{Asked, Query};
use crate::ui::layout::{Layout, Section};
use crate::ui::pages::conflict::{self, Conflict};
use crate::ui::parts::tags::check_tag_of_people;
use crate::ui::reply;
use crate::ui::site::Site;

/// Says that an alias names another version than the form that removes it showed.
#[derive(Template)]
#[template(path = "pages/models/moved.html")]
struct Moved {
    layout: Layout,
    alias: String,
    /// Who had it when this was decided.
    before: i64,
    now: i64,
    now_href: String,
    back: String,
}

pub(super) fn create(_: &Site, asked: &Asked) -> Result<Response, Refused> {
    let form = asked.form();
    let name = required(&form, "name")?;
    let description = form.filled("description").map(str::to_owned);
    let href = model_href(&name);
    let now_ms = asked.now_ms;
    asked.shared.change(move |writing| {
        writing.create_registered_model(&name, &[], description.as_deref(), now_ms)
    })?;
    reply::see_other(&href)
}

pub(super) fn model(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let form = asked.form();
    let action = required(&form, "action")?;
    let name = asked.param(0).to_owned();
    let now_ms = asked.now_ms;
    let text = |key: &str| form.get(key).unwrap_or_default().trim().to_owned();
    let mut href = model_href(&name);
    match action.as_str() {
        "describe" => {
            return describe(site, asked, &form, None, &href);
        }
        "rename" => {
            let new = required(&form, "name")?;
            told(asked, "model renamed", &format!("{name} to {new}"));
            href = model_href(&new);
            change(asked, move |writing| {
                writing
                    .rename_registered_model(&name, &new, now_ms)
                    .map(drop)
            })?;
        }
        "delete" => {
            told(asked, "model deleted", &name);
            "/models".clone_into(&mut href);
            change(asked, move |writing| writing.delete_registered_model(&name))?;
        }
        "tag" => {
            let (key, value) = (required(&form, "key")?, text("value"));
            check_tag_of_people(&key)?;
            change(asked, move |writing| {
                writing.set_registered_model_tag(&name, &key, &value)
            })?;
        }
        "untag" => {
            let key = required(&form, "key")?;
            check_tag_of_people(&key)?;
            change(asked, move |writing| {
                writing.delete_registered_model_tag(&name, &key)
            })?;
        }
        "unalias" => {
            let alias = required(&form, "alias")?;
            let version = required(&form, "version")?;
            let version = version.parse().map_err(|_| {
                Refused::invalid(format!(
                    "`version={version}`: the number of a version was expected"
                ))
            })?;
            return unalias(site, asked, alias, version, &href);
        }
        other => return Err(unknown(other)),
    }
    reply::see_other(&href)
}

pub(super) fn version(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let form = asked.form();
    let action = required(&form, "action")?;
    let (name, version) = (asked.param(0).to_owned(), number(asked)?);
    let now_ms = asked.now_ms;
    let text = |key: &str| form.get(key).unwrap_or_default().trim().to_owned();
    let mut href = version_href(&name, version);
    match action.as_str() {
        "describe" => {
            return describe(site, asked, &form, Some(version), &href);
        }
        "delete" => {
            told(asked, "version deleted", &format!("{name}/{version}"));
            href = model_href(&name);
            change(asked, move |writing| {
                writing.delete_model_version(&name, version, now_ms)
            })?;
        }
        "stage" => {
            let stage = required(&form, "stage")?;
            let by = user(asked);
            told(asked, "stage set", &format!("{name}/{version}: {stage}"));
            change(asked, move |writing| {
                writing.move_to_stage(&name, version, &stage, by.as_deref(), now_ms)
            })?;
        }
        "unalias" => {
            let alias = required(&form, "alias")?;
            return unalias(site, asked, alias, version, &href);
        }
        "tag" => {
            let (key, value) = (required(&form, "key")?, text("value"));
            check_tag_of_people(&key)?;
            change(asked, move |writing| {
                writing.set_model_version_tag(&name, version, &key, &value)
            })?;
        }
        "untag" => {
            let key = required(&form, "key")?;
            check_tag_of_people(&key)?;
            change(asked, move |writing| {
                writing.delete_model_version_tag(&name, version, &key)
            })?;
        }
        other => return Err(unknown(other)),
    }
    reply::see_other(&href)
}

fn change(
    asked: &Asked,
    work: impl FnOnce(&Writing<'_>) -> Result<(), Error> + Send + 'static,
) -> Result<(), Refused> {
    Ok(asked.shared.change(work)?)
}

/// Describes a model or a version of it, unless somebody else did after the form was begun.
fn describe(
    site: &Site,
    asked: &Asked,
    form: &Query,
    version: Option<i64>,
    href: &str,
) -> Result<Response, Refused> {
    let own = conflict::lines(form.get("description").unwrap_or_default());
    let own = own.trim().to_owned();
    let began = conflict::began(form);
    let (name, text, now_ms) = (asked.param(0).to_owned(), own.clone(), asked.now_ms);
    let other = asked.shared.change(move |writing| {
        let now = match version {
            Some(version) => writing.model_version(&name, version)?.description,
            None => writing.registered_model(&name)?.description,
        };
        let now = now.unwrap_or_default();
        if conflict::is_stale(began.as_deref(), &now, &text) {
            return Ok(Some(now));
        }
        let text = Some(text.as_str()).filter(|text| !text.is_empty());
        match version {
            Some(version) => drop(writing.update_model_version(&name, version, text, now_ms)?),
            None => drop(writing.update_registered_model(&name, text, now_ms)?),
        }
        Ok(None)
    })?;
    let Some(now) = other else {
        return reply::see_other(href);
    };
    Conflict {
        layout: Layout::new(site, asked, Section::Models, "Description")
            .crumb("Models", "/models")
            .crumb(asked.param(0), model_href(asked.param(0))),
        action: href.to_owned(),
        hidden: vec![("action", "describe")],
        field: "description",
        own,
        now,
        back: href.to_owned(),
    }
    .answer(asked)
}

/// Takes an alias from a version, unless it names another one by now: that is not what was decided.
fn unalias(
    site: &Site,
    asked: &Asked,
    alias: String,
    version: i64,
    back: &str,
) -> Result<Response, Refused> {
    let name = asked.param(0);
    let withdraw = Withdraw {
        name: name.to_owned(),
        alias: alias.clone(),
        version,
        by: user(asked),
        now_ms: asked.now_ms,
    };
    let done = asked
        .shared
        .change(move |writing| writing.withdraw(&withdraw))?;
    match done {
        Promoted::Done => told(asked, "alias removed", &format!("{name}@{alias}")),
        // Somebody else removed it.
        Promoted::Moved { holder: None } => {}
        Promoted::Moved { holder: Some(now) } => {
            let page = Moved {
                layout: Layout::new(site, asked, Section::Models, &format!("Alias {alias}"))
                    .crumb("Models", "/models")
                    .crumb(name, model_href(name)),
                now_href: version_href(name, now),
                back: back.to_owned(),
                alias,
                before: version,
                now,
            };
            let mut response = reply::html(asked, &page)?;
            *response.status_mut() = StatusCode::CONFLICT;
            return Ok(response);
        }
    }
    reply::see_other(back)
}

fn user(asked: &Asked) -> Option<String> {
    asked.user.as_ref().map(|user| user.name.clone())
}

/// Notes who changed what others rely on.
fn told(asked: &Asked, what: &'static str, of: &str) {
    let user = user(asked);
    tracing::info!(target: "cvops::ui", ?user, of, what, "registry");
}

pub(super) fn required(form: &Query, key: &str) -> Result<String, Refused> {
    let text = form.filled(key).map(|text| text.trim().to_owned());
    text.ok_or_else(|| Refused::invalid(format!("`{key}` is missing")))
}

fn unknown(action: &str) -> Refused {
    Refused::invalid(format!("there is no action `{action}`"))
}

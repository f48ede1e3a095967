//! Changes to a run, by the forms of its pages: each is answered with the page that shows it.
//! Imports: track, `ui::*`.

use askama::Template;

use super::overview::NOTE;
use super::seen::{Seen, run_of};
use crate::http::Response;
use crate::mlflow::Refused;
use crate::track::promotion::Title;
use crate::track::{NewVersion, Promote, Promoted, RunChange, RunId};
use crate::ui::asked::{Asked, Query, segment};
use crate::ui::layout::{Layout, Section};
use crate::ui::pages::conflict::{self, Conflict};
use crate::ui::parts::markdown::{self, Prose};
use crate::ui::parts::tags::check_tag_of_people;
use crate::ui::reply;
use crate::ui::site::Site;

/// What notes look like before they are saved.
#[derive(Template)]
#[template(path = "pages/run/note.html")]
struct Preview {
    layout: Layout,
    name: String,
    href: String,
    note: Prose,
    text: String,
    /// As the form said it.
    began: String,
}

/// Returns what a form says for a name that has to be filled.
fn needed(form: &Query, name: &str) -> Result<String, Refused> {
    form.filled(name)
        .map(|text| text.trim().to_owned())
        .ok_or_else(|| Refused::invalid(format!("`{name}` is empty")))
}

fn back(id: RunId) -> Result<Response, Refused> {
    reply::see_other(&format!("/runs/{id}"))
}

pub(super) fn rename(_: &Site, asked: &Asked) -> Result<Response, Refused> {
    let id = run_of(asked)?;
    let name = needed(&asked.form(), "name")?;
    asked.shared.change(move |writing| {
        writing.update_run(
            id,
            &RunChange {
                name: Some(name),
                ..RunChange::default()
            },
        )
    })?;
    back(id)
}

pub(super) fn tag(_: &Site, asked: &Asked) -> Result<Response, Refused> {
    let id = run_of(asked)?;
    let form = asked.form();
    let key = needed(&form, "key")?;
    let value = form.get("value").unwrap_or_default().to_owned();
    check_tag_of_people(&key)?;
    asked
        .shared
        .change(move |writing| writing.set_run_tag(id, &key, &value))?;
    back(id)
}

pub(super) fn untag(_: &Site, asked: &Asked) -> Result<Response, Refused> {
    let id = run_of(asked)?;
    let key = needed(&asked.form(), "key")?;
    check_tag_of_people(&key)?;
    asked
        .shared
        .change(move |writing| writing.delete_run_tag(id, &key))?;
    back(id)
}

pub(super) fn note(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let id = run_of(asked)?;
    let form = asked.form();
    let text = conflict::lines(form.get("note").unwrap_or_default());
    let began = conflict::began(&form);
    if form.filled("preview").is_some() {
        let seen = Seen::of(asked)?;
        let name = seen.record.info.name.clone();
        let page = Preview {
            layout: Layout::new(site, asked, Section::Runs, &format!("Notes of {name}"))
                .crumb("Runs", "/runs")
                .crumb(&name, seen.href()),
            href: seen.href(),
            note: markdown::render(&text),
            name,
            text,
            began: began.unwrap_or_default(),
        };
        return reply::html(asked, &page);
    }
    let own = text.clone();
    let other = asked.shared.change(move |writing| {
        let mut tags = writing.record(id)?.tags.into_iter();
        let now = tags.find(|tag| tag.key == NOTE).map(|tag| tag.value);
        let now = now.unwrap_or_default();
        if conflict::is_stale(began.as_deref(), &now, &text) {
            return Ok(Some(now));
        }
        writing.set_run_tag(id, NOTE, &text)?;
        Ok(None)
    })?;
    let Some(now) = other else {
        return back(id);
    };
    let seen = Seen::of(asked)?;
    let name = &seen.record.info.name;
    Conflict {
        layout: Layout::new(site, asked, Section::Runs, &format!("Notes of {name}"))
            .crumb("Runs", "/runs")
            .crumb(name, seen.href()),
        action: format!("{}/note", seen.href()),
        hidden: Vec::new(),
        field: "note",
        own,
        now,
        back: seen.href(),
    }
    .answer(asked)
}

pub(super) fn delete(_: &Site, asked: &Asked) -> Result<Response, Refused> {
    let (id, now) = (run_of(asked)?, asked.now_ms);
    asked
        .shared
        .change(move |writing| writing.delete_run(id, now))?;
    back(id)
}

pub(super) fn restore(_: &Site, asked: &Asked) -> Result<Response, Refused> {
    let id = run_of(asked)?;
    asked
        .shared
        .change(move |writing| writing.restore_run(id))?;
    back(id)
}

pub(super) fn register(_: &Site, asked: &Asked) -> Result<Response, Refused> {
    let (id, now) = (run_of(asked)?, asked.now_ms);
    let form = asked.form();
    let (name, source) = (needed(&form, "name")?, needed(&form, "source")?);
    let alias = form.filled("alias").map(|alias| alias.trim().to_owned());
    let logged_model = source.strip_prefix("models:/").map(str::to_owned);
    let new = NewVersion {
        name: name.clone(),
        source,
        run: Some(id.to_string()),
        tags: Vec::new(),
        run_link: None,
        description: None,
        logged_model,
    };
    let by = asked.user.as_ref().map(|user| user.name.clone());
    let wanted = alias.clone();
    let (version, promoted) = asked.shared.change(move |writing| {
        if !writing.registered_model_names()?.contains(&new.name) {
            writing.create_registered_model(&new.name, &[], None, now)?;
        }
        let version = writing.create_model_version(&new, now)?;
        let promoted = match wanted {
            Some(alias) => Some(writing.promote(&Promote {
                name: new.name.clone(),
                version: version.version,
                title: Title::Alias(alias),
                expected: None,
                by,
                now_ms: now,
            })?),
            None => None,
        };
        Ok((version.version, promoted))
    })?;
    let href = format!("/models/{}/{version}", segment(&name));
    match (promoted, alias) {
        // Another version has it: whoever registers decides that when the difference is seen.
        (Some(Promoted::Moved { .. }), Some(alias)) => {
            let query = Query(vec![("alias".to_owned(), alias)]).encoded();
            reply::see_other(&format!("{href}/promote?{query}"))
        }
        (Some(Promoted::Done), Some(alias)) => {
            let user = asked.user.as_ref().map(|user| user.name.as_str());
            tracing::info!(
                target: "cvops::ui", ?user, model = %name, version, to = %alias, "promoted"
            );
            reply::see_other(&href)
        }
        _ => reply::see_other(&href),
    }
}

//! `model-versions/…`. Imports: base, http, track, `mlflow::*`.

use crate::http::Method;
use crate::mlflow::refused::Refused;
use crate::track::entity::View;
use crate::track::{NewVersion, Reader, Search};

use super::dto::{self, VersionDto};
use super::fields::Fields;
use super::{Answer, Ask, Change, Endpoint};

/// All of them.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::change(Method::POST, "model-versions/create", create),
    Endpoint::ask(Method::GET, "model-versions/get", get),
    Endpoint::change(Method::PATCH, "model-versions/update", update),
    Endpoint::change(
        Method::POST,
        "model-versions/transition-stage",
        transition_stage,
    ),
    Endpoint::change(Method::DELETE, "model-versions/delete", delete),
    Endpoint::ask(Method::GET, "model-versions/search", search),
    Endpoint::ask(
        Method::GET,
        "model-versions/get-download-uri",
        get_download_uri,
    ),
    Endpoint::change(Method::POST, "model-versions/set-tag", set_tag),
    Endpoint::change(Method::DELETE, "model-versions/delete-tag", delete_tag),
];

/// Versions of a page, unless the client says how many, and at most.
const PAGE: usize = 10_000;
const PAGE_MAX: usize = 200_000;

fn create(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let new = NewVersion {
        name: fields.required("name")?,
        source: fields.required("source")?,
        run: fields.filled("run_id")?,
        tags: fields.tags("tags")?,
        run_link: fields.filled("run_link")?,
        description: fields.filled("description")?,
        logged_model: fields.filled("model_id")?,
    };
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        let version = writing.create_model_version(&new, now_ms)?;
        Ok(dto::one("model_version", VersionDto::new(&version)))
    }))
}

fn get(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let fields = Fields::of(ask)?;
    let version = reader.model_version(&fields.required("name")?, fields.version()?)?;
    Ok(dto::one("model_version", VersionDto::new(&version)))
}

fn update(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let name = fields.required("name")?;
    let version = fields.version()?;
    let description = fields.filled("description")?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        let version =
            writing.update_model_version(&name, version, description.as_deref(), now_ms)?;
        Ok(dto::one("model_version", VersionDto::new(&version)))
    }))
}

fn transition_stage(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let name = fields.required("name")?;
    let version = fields.version()?;
    let stage = fields.required("stage")?;
    let archive = fields
        .flag("archive_existing_versions")?
        .unwrap_or_default();
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        let version = writing.transition_stage(&name, version, &stage, archive, now_ms)?;
        Ok(dto::one("model_version", VersionDto::new(&version)))
    }))
}

fn delete(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let name = fields.required("name")?;
    let version = fields.version()?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        writing.delete_model_version(&name, version, now_ms)?;
        Ok(Answer::empty())
    }))
}

fn search(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let fields = Fields::of(ask)?;
    let page = reader.search_model_versions(&Search {
        filter: fields.text("filter")?.unwrap_or_default(),
        order_by: fields.texts("order_by")?,
        view: View::Active,
        max_results: fields.max_results(PAGE, PAGE_MAX)?,
        page_token: fields.page_token()?,
    })?;
    let next = page.next.as_deref();
    Ok(dto::page(
        "model_versions",
        &page.items,
        VersionDto::new,
        next,
    ))
}

fn get_download_uri(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let fields = Fields::of(ask)?;
    let version = reader.model_version(&fields.required("name")?, fields.version()?)?;
    Ok(dto::one("artifact_uri", &version.storage))
}

fn set_tag(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let name = fields.required("name")?;
    let version = fields.version()?;
    let tag = fields.tag()?;
    Ok(Box::new(move |writing| {
        writing.set_model_version_tag(&name, version, &tag.key, &tag.value)?;
        Ok(Answer::empty())
    }))
}

fn delete_tag(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let name = fields.required("name")?;
    let version = fields.version()?;
    let key = fields.required("key")?;
    Ok(Box::new(move |writing| {
        writing.delete_model_version_tag(&name, version, &key)?;
        Ok(Answer::empty())
    }))
}

//! `registered-models/…`. Imports: base, http, track, `mlflow::*`.

use crate::http::Method;
use crate::mlflow::refused::Refused;
use crate::track::entity::View;
use crate::track::{Reader, Search};

use super::dto::{self, RegisteredModelDto, VersionDto};
use super::fields::Fields;
use super::{Answer, Ask, Change, Endpoint};

/// All of them.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::change(Method::POST, "registered-models/create", create),
    Endpoint::ask(Method::GET, "registered-models/get", get),
    Endpoint::change(Method::PATCH, "registered-models/update", update),
    Endpoint::change(Method::POST, "registered-models/rename", rename),
    Endpoint::change(Method::DELETE, "registered-models/delete", delete),
    Endpoint::ask(Method::GET, "registered-models/search", search),
    Endpoint::ask(
        Method::POST,
        "registered-models/get-latest-versions",
        latest,
    ),
    Endpoint::ask(Method::GET, "registered-models/get-latest-versions", latest),
    Endpoint::change(Method::POST, "registered-models/set-tag", set_tag),
    Endpoint::change(Method::DELETE, "registered-models/delete-tag", delete_tag),
    Endpoint::change(Method::POST, "registered-models/alias", set_alias),
    Endpoint::ask(Method::GET, "registered-models/alias", get_by_alias),
    Endpoint::change(Method::DELETE, "registered-models/alias", delete_alias),
];

/// Models of a page, unless the client says how many, and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

fn create(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let name = fields.required("name")?;
    let tags = fields.tags("tags")?;
    let description = fields.filled("description")?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        let model =
            writing.create_registered_model(&name, &tags, description.as_deref(), now_ms)?;
        Ok(dto::one(
            "registered_model",
            RegisteredModelDto::new(&model),
        ))
    }))
}

fn get(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let model = reader.registered_model(&Fields::of(ask)?.required("name")?)?;
    Ok(dto::one(
        "registered_model",
        RegisteredModelDto::new(&model),
    ))
}

fn update(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let name = fields.required("name")?;
    let description = fields.filled("description")?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        let model = writing.update_registered_model(&name, description.as_deref(), now_ms)?;
        Ok(dto::one(
            "registered_model",
            RegisteredModelDto::new(&model),
        ))
    }))
}

fn rename(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let name = fields.required("name")?;
    let new = fields.required("new_name")?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        let model = writing.rename_registered_model(&name, &new, now_ms)?;
        Ok(dto::one(
            "registered_model",
            RegisteredModelDto::new(&model),
        ))
    }))
}

fn delete(ask: &Ask) -> Result<Change, Refused> {
    let name = Fields::of_body(ask)?.required("name")?;
    Ok(Box::new(move |writing| {
        writing.delete_registered_model(&name)?;
        Ok(Answer::empty())
    }))
}

fn search(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let fields = Fields::of(ask)?;
    let page = reader.search_registered_models(&Search {
        filter: fields.text("filter")?.unwrap_or_default(),
        order_by: fields.texts("order_by")?,
        view: View::Active,
        max_results: fields.max_results(PAGE, PAGE_MAX)?,
        page_token: fields.page_token()?,
    })?;
    let next = page.next.as_deref();
    Ok(dto::page(
        "registered_models",
        &page.items,
        RegisteredModelDto::new,
        next,
    ))
}

fn latest(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let fields = Fields::of(ask)?;
    let versions = reader.latest_versions(&fields.required("name")?, &fields.texts("stages")?)?;
    Ok(dto::page(
        "model_versions",
        &versions,
        VersionDto::new,
        None,
    ))
}

fn set_tag(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let name = fields.required("name")?;
    let tag = fields.tag()?;
    Ok(Box::new(move |writing| {
        writing.set_registered_model_tag(&name, &tag.key, &tag.value)?;
        Ok(Answer::empty())
    }))
}

fn delete_tag(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let name = fields.required("name")?;
    let key = fields.required("key")?;
    Ok(Box::new(move |writing| {
        writing.delete_registered_model_tag(&name, &key)?;
        Ok(Answer::empty())
    }))
}

fn set_alias(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let name = fields.required("name")?;
    let alias = fields.required("alias")?;
    let version = fields.version()?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        writing.set_alias(&name, &alias, version, now_ms)?;
        Ok(Answer::empty())
    }))
}

fn get_by_alias(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let fields = Fields::of(ask)?;
    let version = reader.version_by_alias(&fields.required("name")?, &fields.required("alias")?)?;
    Ok(dto::one("model_version", VersionDto::new(&version)))
}

fn delete_alias(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let name = fields.required("name")?;
    let alias = fields.required("alias")?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        writing.delete_alias(&name, &alias, now_ms)?;
        Ok(Answer::empty())
    }))
}

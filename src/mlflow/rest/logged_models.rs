//! `logged-models…`, the models of MLflow 3. Imports: base, http, track, `mlflow::*`.

use crate::http::Method;
use crate::mlflow::refused::Refused;
use crate::track::entity::LoggedModelStatus;
use crate::track::{LoggedModelSearch, ModelOrder, NewLoggedModel, Reader};

use super::artifacts;
use super::dto::{self, LoggedModelDto};
use super::fields::{self, Fields};
use super::{Answer, Ask, Change, Endpoint};

/// All of them. `search` comes before the ids that could be called so.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::change(Method::POST, "logged-models", create),
    Endpoint::ask(Method::POST, "logged-models/search", search),
    Endpoint::ask(Method::GET, "logged-models/{model_id}", get),
    Endpoint::change(Method::PATCH, "logged-models/{model_id}", finish),
    Endpoint::change(Method::DELETE, "logged-models/{model_id}", delete),
    Endpoint::change(Method::PATCH, "logged-models/{model_id}/tags", set_tags),
    Endpoint::change(
        Method::DELETE,
        "logged-models/{model_id}/tags/{tag_key}",
        delete_tag,
    ),
    Endpoint::change(Method::POST, "logged-models/{model_id}/params", log_params),
    Endpoint::ask(
        Method::GET,
        "logged-models/{model_id}/artifacts/directories",
        list_files,
    ),
];

/// Models of a page, unless the client says how many, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 50_000;

const STATUSES: [(&str, i64, LoggedModelStatus); 3] = [
    ("LOGGED_MODEL_PENDING", 1, LoggedModelStatus::Pending),
    ("LOGGED_MODEL_READY", 2, LoggedModelStatus::Ready),
    (
        "LOGGED_MODEL_UPLOAD_FAILED",
        3,
        LoggedModelStatus::UploadFailed,
    ),
];

/// Returns what stands for the placeholder at this place of the path.
fn in_path(ask: &Ask, place: usize, name: &str) -> Result<String, Refused> {
    ask.path_params
        .get(place)
        .cloned()
        .ok_or_else(|| fields::missing(name))
}

fn model_id(ask: &Ask) -> Result<String, Refused> {
    in_path(ask, 0, "model_id")
}

fn create(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let new = NewLoggedModel {
        experiment: fields.experiment()?,
        name: fields.filled("name")?,
        model_type: fields.filled("model_type")?,
        source_run: fields.filled("source_run_id")?,
        params: fields.tags("params")?,
        tags: fields.tags("tags")?,
    };
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        let model = writing.create_logged_model(&new, now_ms)?;
        Ok(dto::one("model", LoggedModelDto::new(&model)))
    }))
}

fn get(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let model = reader.logged_model(&model_id(ask)?)?;
    Ok(dto::one("model", LoggedModelDto::new(&model)))
}

/// Answers what is in a folder of a model.
fn list_files(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let model = reader.logged_model(&model_id(ask)?)?;
    let asked = ["artifact_directory_path", "artifactDirectoryPath"];
    let path = artifacts::value(&ask.query, &asked).unwrap_or_default();
    artifacts::list_below(reader, ask, &model.artifact_uri, path)
}

fn finish(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let id = model_id(ask)?;
    let status = fields.choice("status", &STATUSES)?;
    let status = status.ok_or_else(|| fields::missing("status"))?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        let model = writing.finish_logged_model(&id, status, now_ms)?;
        Ok(dto::one("model", LoggedModelDto::new(&model)))
    }))
}

fn delete(ask: &Ask) -> Result<Change, Refused> {
    let id = model_id(ask)?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        writing.delete_logged_model(&id, now_ms)?;
        Ok(Answer::empty())
    }))
}

fn set_tags(ask: &Ask) -> Result<Change, Refused> {
    let tags = Fields::of_body(ask)?.tags("tags")?;
    let id = model_id(ask)?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        writing.set_logged_model_tags(&id, &tags, now_ms)?;
        Ok(Answer::empty())
    }))
}

fn delete_tag(ask: &Ask) -> Result<Change, Refused> {
    let id = model_id(ask)?;
    let key = in_path(ask, 1, "tag_key")?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        writing.delete_logged_model_tag(&id, &key, now_ms)?;
        Ok(Answer::empty())
    }))
}

fn log_params(ask: &Ask) -> Result<Change, Refused> {
    let params = Fields::of_body(ask)?.tags("params")?;
    let id = model_id(ask)?;
    Ok(Box::new(move |writing| {
        writing.log_logged_model_params(&id, &params)?;
        Ok(Answer::empty())
    }))
}

fn search(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let fields = Fields::of(ask)?;
    if !fields.has("experiment_ids")? {
        return Err(fields::missing("experiment_ids"));
    }
    let order_by = fields.objects("order_by")?;
    let datasets = fields.objects("datasets")?;
    let datasets = datasets.iter().map(|one| {
        let name = one.required("dataset_name")?;
        Ok((name, one.filled("dataset_digest")?))
    });
    let page = reader.search_logged_models(&LoggedModelSearch {
        experiments: fields.experiments()?,
        filter: fields.text("filter")?.unwrap_or_default(),
        order_by: order_by.iter().map(order).collect::<Result<_, _>>()?,
        datasets: datasets.collect::<Result<_, Refused>>()?,
        max_results: fields.max_results(PAGE, PAGE_MAX)?,
        page_token: fields.page_token()?,
    })?;
    let next = page.next.as_deref();
    Ok(dto::page("models", &page.items, LoggedModelDto::new, next))
}

fn order(fields: &Fields<'_>) -> Result<ModelOrder, Refused> {
    let digest = fields.filled("dataset_digest")?;
    let dataset = fields.filled("dataset_name")?;
    Ok(ModelOrder {
        field: fields.required("field_name")?,
        ascending: fields.flag("ascending")?.unwrap_or(true),
        dataset: dataset.map(|name| (name, digest)),
    })
}

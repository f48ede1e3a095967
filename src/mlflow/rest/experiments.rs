//! `experiments/…`. Imports: base, http, track, `mlflow::*`.

use crate::http::Method;
use crate::mlflow::refused::Refused;
use crate::track::{Reader, Search};

use super::dto::{self, DatasetSummaryDto, ExperimentDto};
use super::fields::Fields;
use super::{Answer, Ask, Change, Endpoint};

/// All of them.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::change(Method::POST, "experiments/create", create),
    Endpoint::ask(Method::GET, "experiments/get", get),
    Endpoint::ask(Method::GET, "experiments/get-by-name", get_by_name),
    Endpoint::ask(Method::POST, "experiments/search", search),
    Endpoint::ask(Method::GET, "experiments/search", search),
    Endpoint::change(Method::POST, "experiments/update", update),
    Endpoint::change(Method::POST, "experiments/delete", delete),
    Endpoint::change(Method::POST, "experiments/restore", restore),
    Endpoint::change(Method::POST, "experiments/set-experiment-tag", set_tag),
    Endpoint::change(
        Method::POST,
        "experiments/delete-experiment-tag",
        delete_tag,
    ),
    Endpoint::ask(Method::POST, "experiments/search-datasets", search_datasets),
];

/// Experiments of a page, unless the client says how many, and at most.
const PAGE: usize = 1000;
const PAGE_MAX: usize = 50_000;

/// Experiments whose datasets may be asked for at once.
const DATASET_EXPERIMENTS_MAX: usize = 20;

fn create(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let name = fields.required("name")?;
    let location = fields.filled("artifact_location")?;
    let tags = fields.tags("tags")?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        let id = writing.create_experiment(&name, location.as_deref(), &tags, now_ms)?;
        Ok(dto::one("experiment_id", id.to_string()))
    }))
}

fn get(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let experiment = reader.experiment(Fields::of(ask)?.experiment()?)?;
    Ok(dto::one("experiment", ExperimentDto::new(&experiment)))
}

fn get_by_name(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let name = Fields::of(ask)?.required("experiment_name")?;
    let experiment = reader.experiment_by_name(&name)?;
    Ok(dto::one("experiment", ExperimentDto::new(&experiment)))
}

fn search(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let fields = Fields::of(ask)?;
    let page = reader.search_experiments(&Search {
        filter: fields.text("filter")?.unwrap_or_default(),
        order_by: fields.texts("order_by")?,
        view: fields.view("view_type")?,
        max_results: fields.max_results(PAGE, PAGE_MAX)?,
        page_token: fields.page_token()?,
    })?;
    let next = page.next.as_deref();
    Ok(dto::page(
        "experiments",
        &page.items,
        ExperimentDto::new,
        next,
    ))
}

fn update(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let id = fields.experiment()?;
    let name = fields.required("new_name")?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        writing.rename_experiment(id, &name, now_ms)?;
        Ok(Answer::empty())
    }))
}

fn delete(ask: &Ask) -> Result<Change, Refused> {
    let id = Fields::of_body(ask)?.experiment()?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        writing.delete_experiment(id, now_ms)?;
        Ok(Answer::empty())
    }))
}

fn restore(ask: &Ask) -> Result<Change, Refused> {
    let id = Fields::of_body(ask)?.experiment()?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        writing.restore_experiment(id, now_ms)?;
        Ok(Answer::empty())
    }))
}

fn set_tag(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let id = fields.experiment()?;
    let tag = fields.tag()?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        writing.set_experiment_tag(id, &tag.key, &tag.value, now_ms)?;
        Ok(Answer::empty())
    }))
}

fn delete_tag(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let id = fields.experiment()?;
    let key = fields.required("key")?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        writing.delete_experiment_tag(id, &key, now_ms)?;
        Ok(Answer::empty())
    }))
}

fn search_datasets(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let experiments = Fields::of(ask)?.experiments()?;
    if experiments.is_empty() {
        return Err(Refused::invalid(
            "SearchDatasets request must specify at least one experiment_id.",
        ));
    }
    if DATASET_EXPERIMENTS_MAX < experiments.len() {
        return Err(Refused::invalid(format!(
            "SearchDatasets request cannot specify more than {DATASET_EXPERIMENTS_MAX} \
             experiment_ids. Received {} experiment_ids.",
            experiments.len()
        )));
    }
    let found = reader.search_datasets(&experiments)?;
    Ok(dto::page(
        "dataset_summaries",
        &found,
        DatasetSummaryDto::new,
        None,
    ))
}

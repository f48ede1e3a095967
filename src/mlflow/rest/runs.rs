//! `runs/…`, but for what `metrics` has. Imports: base, http, track, `mlflow::*`.

use crate::http::Method;
use crate::mlflow::refused::Refused;
use crate::track::entity::{Dataset, DatasetInput, ExperimentId, ModelOutput};
use crate::track::{LoggedBatch, NewRecord, Reader, RunChange, RunSearch, Status, validate};

use super::dto::{self, RunDto, RunInfoDto};
use super::fields::{self, Fields};
use super::{Answer, Ask, Change, Endpoint};

/// All of them.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::change(Method::POST, "runs/create", create),
    Endpoint::ask(Method::GET, "runs/get", get),
    Endpoint::change(Method::POST, "runs/update", update),
    Endpoint::change(Method::POST, "runs/delete", delete),
    Endpoint::change(Method::POST, "runs/restore", restore),
    Endpoint::change(Method::POST, "runs/log-parameter", log_parameter),
    Endpoint::change(Method::POST, "runs/set-tag", set_tag),
    Endpoint::change(Method::POST, "runs/delete-tag", delete_tag),
    Endpoint::ask(Method::POST, "runs/search", search),
    Endpoint::change(Method::POST, "runs/log-inputs", log_inputs),
    Endpoint::change(Method::POST, "runs/outputs", log_outputs),
    Endpoint::change(Method::POST, "runs/log-model", log_model),
];

/// Runs of a page, unless the client says how many, and at most.
const PAGE: usize = 1000;
const PAGE_MAX: usize = 50_000;

/// The words for how far a run is.
const STATUSES: [(&str, i64, Status); 5] = [
    ("RUNNING", 1, Status::Running),
    ("SCHEDULED", 2, Status::Scheduled),
    ("FINISHED", 3, Status::Finished),
    ("FAILED", 4, Status::Failed),
    ("KILLED", 5, Status::Killed),
];

fn create(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let user = match fields.filled("user_id")? {
        Some(user) => user,
        None => ask
            .user
            .as_ref()
            .map_or_else(String::new, |user| user.name.clone()),
    };
    let new = NewRecord {
        experiment: match fields.filled("experiment_id")? {
            Some(_) => fields.experiment()?,
            None => ExperimentId(0),
        },
        user,
        name: fields.filled("run_name")?,
        started_ms: fields.time("start_time")?.unwrap_or(ask.now_ms),
        tags: fields.tags("tags")?,
    };
    Ok(Box::new(move |writing| {
        let record = writing.create_record(&new)?;
        Ok(dto::one("run", RunDto::begun(&record)))
    }))
}

fn get(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let record = reader.record(Fields::of(ask)?.run()?)?;
    Ok(dto::one("run", RunDto::new(&record)))
}

fn update(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let id = fields.run()?;
    let change = RunChange {
        status: fields.choice("status", &STATUSES)?,
        ended_ms: fields.time("end_time")?,
        name: fields.filled("run_name")?,
    };
    Ok(Box::new(move |writing| {
        let info = writing.update_run(id, &change)?;
        Ok(dto::one("run_info", RunInfoDto::new(&info)))
    }))
}

fn delete(ask: &Ask) -> Result<Change, Refused> {
    let id = Fields::of_body(ask)?.run()?;
    let now_ms = ask.now_ms;
    Ok(Box::new(move |writing| {
        writing.delete_run(id, now_ms)?;
        Ok(Answer::empty())
    }))
}

fn restore(ask: &Ask) -> Result<Change, Refused> {
    let id = Fields::of_body(ask)?.run()?;
    Ok(Box::new(move |writing| {
        writing.restore_run(id)?;
        Ok(Answer::empty())
    }))
}

fn log_parameter(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let id = fields.run()?;
    let param = fields.tag()?;
    validate::check_key(&param.key, "key")?;
    let batch = LoggedBatch {
        params: vec![param],
        ..LoggedBatch::default()
    };
    Ok(Box::new(move |writing| {
        writing.log_batch_of(id, &batch)?;
        Ok(Answer::empty())
    }))
}

fn set_tag(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let id = fields.run()?;
    let tag = fields.tag()?;
    Ok(Box::new(move |writing| {
        writing.set_run_tag(id, &tag.key, &tag.value)?;
        Ok(Answer::empty())
    }))
}

fn delete_tag(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let id = fields.run()?;
    let key = fields.required("key")?;
    Ok(Box::new(move |writing| {
        writing.delete_run_tag(id, &key)?;
        Ok(Answer::empty())
    }))
}

fn search(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let fields = Fields::of(ask)?;
    // Without experiments nothing is found; that what is asked for makes sense is checked all the same.
    let page = reader.search_runs(&RunSearch {
        experiments: fields.experiments()?,
        filter: fields.text("filter")?.unwrap_or_default(),
        order_by: fields.texts("order_by")?,
        view: fields.view("run_view_type")?,
        max_results: fields.max_results(PAGE, PAGE_MAX)?,
        page_token: fields.page_token()?,
    })?;
    Ok(dto::page(
        "runs",
        &page.items,
        RunDto::new,
        page.next.as_deref(),
    ))
}

fn log_inputs(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let id = fields.run()?;
    let datasets = fields.objects("datasets")?;
    let datasets: Vec<DatasetInput> = datasets.iter().map(input).collect::<Result<_, _>>()?;
    let models = fields.objects("models")?;
    let models = models.iter().map(|model| model.required("model_id"));
    let models: Vec<String> = models.collect::<Result<_, _>>()?;
    Ok(Box::new(move |writing| {
        writing.log_inputs(id, &datasets, &models)?;
        Ok(Answer::empty())
    }))
}

fn input(fields: &Fields<'_>) -> Result<DatasetInput, Refused> {
    let dataset = fields.object("dataset")?;
    Ok(DatasetInput {
        dataset: Dataset {
            name: dataset.required("name")?,
            digest: dataset.required("digest")?,
            source_type: dataset.text("source_type")?.unwrap_or_default(),
            source: dataset.text("source")?.unwrap_or_default(),
            schema: dataset.filled("schema")?,
            profile: dataset.filled("profile")?,
        },
        tags: fields.tags("tags")?,
    })
}

fn log_outputs(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let id = fields.run()?;
    if !fields.has("models")? {
        return Err(fields::missing("models"));
    }
    let models = fields.objects("models")?;
    let models = models.iter().map(|model| {
        Ok(ModelOutput {
            model: model.required("model_id")?,
            step: model.integer("step")?.unwrap_or_default(),
        })
    });
    let models: Vec<ModelOutput> = models.collect::<Result<_, Refused>>()?;
    Ok(Box::new(move |writing| {
        writing.log_outputs(id, &models)?;
        Ok(Answer::empty())
    }))
}

fn log_model(ask: &Ask) -> Result<Change, Refused> {
    let fields = Fields::of_body(ask)?;
    let id = fields.run()?;
    let model_json = fields.required("model_json")?;
    Ok(Box::new(move |writing| {
        writing.record_logged_model(id, &model_json)?;
        Ok(Answer::empty())
    }))
}

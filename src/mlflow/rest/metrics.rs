//! What trainings log, again and again (`runs/log-metric`, `runs/log-batch`), and the histories of
//! metrics (`metrics/…`). Imports: base, http, track, `mlflow::*`.
//!
//! The bodies of the first two go straight into structs whose texts are parts of the body.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::{self, Display};

use serde::Deserialize;

use crate::http::Method;
use crate::mlflow::refused::Refused;
use crate::track::entity::{MetricPoint, Tag};
use crate::track::{LoggedBatch, LoggedPoint, Reader, RunId, validate};

use super::dto::{self, MetricDto, RunMetricDto};
use super::fields::{self, Fields, Listed, Scalar};
use super::{Answer, Ask, Change, Endpoint};

/// All of them.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::change(Method::POST, "runs/log-metric", log_metric),
    Endpoint::change(Method::POST, "runs/log-batch", log_batch),
    Endpoint::ask(Method::GET, "metrics/get-history", get_history),
    Endpoint::ask(
        Method::GET,
        "metrics/get-history-bulk-interval",
        get_history_bulk_interval,
    ),
    Endpoint::ask(Method::GET, "metrics/get-history-bulk", get_history_bulk),
];

/// Runs whose histories may be asked for at once.
const BULK_RUNS_MAX: usize = 100;
/// Steps of each run in an even sample of its history.
const INTERVAL_STEPS_MAX: usize = 2500;
/// Points of all runs together.
const BULK_POINTS_MAX: usize = 25_000;

#[derive(Default, Deserialize)]
#[serde(default)]
struct MetricFields<'a> {
    #[serde(borrow)]
    key: Scalar<'a>,
    value: Scalar<'a>,
    timestamp: Scalar<'a>,
    step: Scalar<'a>,
    /// Which run, in `log-metric`.
    #[serde(alias = "runId")]
    run_id: Scalar<'a>,
    #[serde(alias = "runUuid")]
    run_uuid: Scalar<'a>,
    #[serde(alias = "modelId")]
    model_id: Scalar<'a>,
    #[serde(alias = "datasetName")]
    dataset_name: Scalar<'a>,
    #[serde(alias = "datasetDigest")]
    dataset_digest: Scalar<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TagFields<'a> {
    #[serde(borrow)]
    key: Scalar<'a>,
    value: Scalar<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BatchFields<'a> {
    #[serde(borrow, alias = "runId")]
    run_id: Scalar<'a>,
    #[serde(alias = "runUuid")]
    run_uuid: Scalar<'a>,
    metrics: Listed<'a, MetricFields<'a>>,
    params: Listed<'a, TagFields<'a>>,
    tags: Listed<'a, TagFields<'a>>,
}

/// Reads a body.
fn read<'a, T: Default + Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refused> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|e| Refused::broken_json(&e))
}

/// Names a field in a message: `key`, or `metrics[3].key`.
#[derive(Clone, Copy)]
struct Place {
    list: Option<(&'static str, usize)>,
    field: &'static str,
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((list, index)) = self.list {
            write!(f, "{list}[{index}].")?;
        }
        f.write_str(self.field)
    }
}

impl Place {
    fn check_key(self, key: &str) -> Result<(), Refused> {
        // Only a refusal needs the place as a text.
        if validate::check_key(key, self.field).is_ok() {
            return Ok(());
        }
        Ok(validate::check_key(key, &self.to_string())?)
    }
}

fn logged_point(
    metric: MetricFields<'_>,
    list: Option<(&'static str, usize)>,
) -> Result<LoggedPoint, Refused> {
    let place = |field| Place { list, field };
    let name = metric.key.required(place("key"))?;
    let value = metric.value.double(place("value"))?;
    let value = value.ok_or_else(|| fields::missing(place("value")))?;
    let at_ms = metric.timestamp.integer(place("timestamp"))?;
    let at_ms = at_ms.ok_or_else(|| fields::missing(place("timestamp")))?;
    let step = metric.step.integer(place("step"))?.unwrap_or_default();
    place("name").check_key(&name)?;
    let filled = |scalar: Scalar<'_>, field| -> Result<Option<String>, Refused> {
        let text = scalar.text(place(field))?;
        Ok(text.filter(|text| !text.is_empty()).map(Cow::into_owned))
    };
    let digest = filled(metric.dataset_digest, "dataset_digest")?;
    let dataset = filled(metric.dataset_name, "dataset_name")?;
    Ok(LoggedPoint {
        point: MetricPoint {
            name: name.into_owned(),
            value,
            at_ms: fields::check_time(place("timestamp"), at_ms)?,
            step,
        },
        model: filled(metric.model_id, "model_id")?,
        dataset: dataset.map(|name| (name, digest.unwrap_or_default())),
    })
}

fn log_metric(ask: &Ask) -> Result<Change, Refused> {
    let mut metric: MetricFields<'_> = read(&ask.body)?;
    let id = fields::run(
        std::mem::take(&mut metric.run_id),
        std::mem::take(&mut metric.run_uuid),
    )?;
    let batch = LoggedBatch {
        metrics: vec![logged_point(metric, None)?],
        ..LoggedBatch::default()
    };
    Ok(Box::new(move |writing| {
        writing.log_batch_of(id, &batch)?;
        Ok(Answer::empty())
    }))
}

fn log_batch(ask: &Ask) -> Result<Change, Refused> {
    let batch: BatchFields<'_> = read(&ask.body)?;
    let id = fields::run(batch.run_id, batch.run_uuid)?;
    let metrics = batch.metrics.items("metrics")?;
    let params = batch.params.items("params")?;
    let tags = batch.tags.items("tags")?;
    let all = metrics.len() + params.len() + tags.len();
    check_count("metrics", metrics.len(), validate::BATCH_MAX)?;
    check_count("params", params.len(), validate::BATCH_PARAMS_MAX)?;
    check_count("tags", tags.len(), validate::BATCH_PARAMS_MAX)?;
    check_count("metrics, params, and tags", all, validate::BATCH_MAX)?;
    let points = metrics.into_iter().enumerate();
    let points = points.map(|(i, metric)| logged_point(metric, Some(("metrics", i))));
    let batch = LoggedBatch {
        metrics: points.collect::<Result<_, _>>()?,
        params: pairs("params", params)?,
        tags: pairs("tags", tags)?,
    };
    check_unique(&batch.params)?;
    Ok(Box::new(move |writing| {
        writing.log_batch_of(id, &batch)?;
        Ok(Answer::empty())
    }))
}

fn check_count(what: &str, count: usize, max: usize) -> Result<(), Refused> {
    if count <= max {
        return Ok(());
    }
    Err(Refused::invalid(format!(
        "A batch logging request can contain at most {max} {what}. Got {count} {what}. Please split \
         up {what} across multiple requests and try again."
    )))
}

fn pairs(list: &'static str, pairs: Vec<TagFields<'_>>) -> Result<Vec<Tag>, Refused> {
    let pairs = pairs.into_iter().enumerate().map(|(i, pair)| {
        let place = |field| Place {
            list: Some((list, i)),
            field,
        };
        let key = pair.key.required(place("key"))?;
        place("key").check_key(&key)?;
        let value = pair.value.text(place("value"))?.unwrap_or_default();
        Ok(Tag::new(key, value))
    });
    pairs.collect()
}

fn check_unique(params: &[Tag]) -> Result<(), Refused> {
    let mut known = BTreeSet::new();
    let again = params.iter().filter(|param| !known.insert(&param.key));
    let again: Vec<String> = again.map(|param| format!("'{}'", param.key)).collect();
    if again.is_empty() {
        return Ok(());
    }
    Err(Refused::invalid(format!(
        "Duplicate parameter keys have been submitted: [{}]. Please ensure the request contains only \
         one param value per param key.",
        again.join(", ")
    )))
}

fn get_history(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let fields = Fields::of(ask)?;
    let id = fields.run()?;
    let name = fields.required("metric_key")?;
    let max = fields.max_results_given(usize::MAX)?;
    let token = fields.page_token()?;
    let page = reader.metric_history(id, &name, max, token.as_deref())?;
    Ok(dto::page(
        "metrics",
        &page.items,
        MetricDto::new,
        page.next.as_deref(),
    ))
}

fn get_history_bulk_interval(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let fields = Fields::of(ask)?;
    if !fields.has("run_ids")? {
        return Err(fields::missing("run_ids"));
    }
    let ids = fields.texts("run_ids")?;
    if BULK_RUNS_MAX < ids.len() {
        return Err(Refused::invalid(format!(
            "GetMetricHistoryBulkInterval request must specify at most {BULK_RUNS_MAX} run_ids. \
             Received {} run_ids.",
            ids.len()
        )));
    }
    let ids = runs(&ids)?;
    let name = fields.required("metric_key")?;
    let steps = match (fields.integer("start_step")?, fields.integer("end_step")?) {
        (Some(start), Some(end)) if end < start => {
            return Err(Refused::invalid(format!(
                "end_step must be greater than start_step. Found start_step={start} and \
                 end_step={end}."
            )));
        }
        (Some(start), Some(end)) => Some((start, end)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(Refused::invalid(
                "If either start step or end step are specified, both must be specified.",
            ));
        }
    };
    let max = fields.integer("max_results")?.map(usize::try_from);
    let max = match max {
        None => INTERVAL_STEPS_MAX,
        Some(Ok(max)) if (1..=INTERVAL_STEPS_MAX).contains(&max) => max,
        Some(_) => {
            return Err(Refused::invalid(format!(
                "max_results must be between 1 and {INTERVAL_STEPS_MAX}."
            )));
        }
    };
    let points = reader.metric_histories(&ids, &name, steps, max)?;
    Ok(dto::page("metrics", &points, RunMetricDto::new, None))
}

fn get_history_bulk(reader: &Reader<'_>, ask: &Ask) -> Result<Answer, Refused> {
    let fields = Fields::of(ask)?;
    let ids = fields.texts("run_id")?;
    if ids.is_empty() {
        return Err(Refused::invalid(
            "GetMetricHistoryBulk request must specify at least one run_id.",
        ));
    }
    if BULK_RUNS_MAX < ids.len() {
        return Err(Refused::invalid(format!(
            "GetMetricHistoryBulk request cannot specify more than {BULK_RUNS_MAX} run_ids. Received \
             {} run_ids.",
            ids.len()
        )));
    }
    let name = fields.filled("metric_key")?.ok_or_else(|| {
        Refused::invalid("GetMetricHistoryBulk request must specify a metric_key.")
    })?;
    let max = fields.max_results_given(usize::MAX)?;
    let max = max.unwrap_or(BULK_POINTS_MAX).min(BULK_POINTS_MAX);
    let mut points: Vec<(RunId, MetricPoint)> = Vec::new();
    for id in runs(&ids)?.into_iter().collect::<BTreeSet<_>>() {
        let page = reader.metric_history(id, &name, Some(max - points.len()), None)?;
        points.extend(page.items.into_iter().map(|point| (id, point)));
    }
    Ok(dto::all("metrics", &points, RunMetricDto::new))
}

fn runs(ids: &[String]) -> Result<Vec<RunId>, Refused> {
    let ids = ids.iter().map(|id| Ok(validate::run_id(id)?));
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn point(text: &str) -> Result<LoggedPoint, String> {
        let fields = read(text.as_bytes()).map_err(|e| e.message.into_owned())?;
        logged_point(fields, None).map_err(|e| e.message.into_owned())
    }

    fn refusal(result: Result<Change, Refused>) -> String {
        match result {
            Ok(_) => "none".to_owned(),
            Err(refused) => refused.message.into_owned(),
        }
    }

    #[test]
    fn a_point_is_read_leniently() {
        let read = point(
            r#"{"key": "l\u006fss", "value": "NaN", "timestamp": "7", "datasetName": "d",
                "model_id": "m-1", "unknown": [1]}"#,
        )
        .unwrap();
        assert_eq!(read.point.name, "loss");
        assert!(read.point.value.is_nan());
        assert_eq!((read.point.at_ms, read.point.step), (7, 0));
        assert_eq!(read.dataset, Some(("d".to_owned(), String::new())));
        assert_eq!(read.model.as_deref(), Some("m-1"));
        let read =
            point(r#"{"key": "a", "value": 3, "timestamp": 7.0, "step": -4, "model_id": ""}"#);
        let read = read.unwrap();
        assert!((read.point.value - 3.0).abs() < f64::EPSILON);
        assert_eq!((read.point.step, read.model), (-4, None));
    }

    #[test]
    fn what_a_point_lacks_is_said() {
        let rows = [
            (
                r#"{"value": 1, "timestamp": 1}"#,
                "required parameter 'key'",
            ),
            (
                r#"{"key": "a", "timestamp": 1}"#,
                "required parameter 'value'",
            ),
            (
                r#"{"key": "a", "value": 1}"#,
                "required parameter 'timestamp'",
            ),
            (
                r#"{"key": "a", "value": "x", "timestamp": 1}"#,
                r#"Invalid value "x" for parameter 'value' supplied"#,
            ),
            (
                r#"{"key": "a", "value": 1, "timestamp": -1}"#,
                "Invalid value -1 for parameter 'timestamp' supplied: Timestamp must be a nonnegative",
            ),
            (
                r#"{"key": 31, "value": 1, "timestamp": 1}"#,
                "Invalid value 31 for parameter 'key' supplied: Hint: Value was of type 'int'",
            ),
            (
                r#"{"key": "../a", "value": 1, "timestamp": 1}"#,
                r#"Invalid value "../a" for parameter 'name' supplied"#,
            ),
            (
                r#"{"key": "a", "value": 1e999, "timestamp": 1}"#,
                "out of range",
            ),
            (r#"{"key": "a", "value": 1,"#, "line 1 column 24"),
        ];
        for (text, expected) in rows {
            let message = point(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn batches_have_limits() {
        let list = |item: &str, count: usize| vec![item; count].join(",");
        let metric = r#"{"key": "a", "value": 1, "timestamp": 1}"#;
        let param = r#"{"key": "a", "value": "1"}"#;
        let rows = [
            (
                format!(r#""metrics": [{}]"#, list(metric, 1001)),
                "A batch logging request can contain at most 1000 metrics. Got 1001 metrics. Please \
                 split up metrics across multiple requests and try again.",
            ),
            (
                format!(r#""params": [{}]"#, list(param, 101)),
                "at most 100 params. Got 101",
            ),
            (
                format!(r#""tags": [{}]"#, list(param, 101)),
                "at most 100 tags. Got 101",
            ),
            (
                format!(r#""metrics": [{}], "tags": [{param}]"#, list(metric, 1000)),
                "at most 1000 metrics, params, and tags. Got 1001 metrics, params, and tags.",
            ),
            (
                format!(r#""params": [{}]"#, list(param, 2)),
                "Duplicate parameter keys have been submitted: ['a'].",
            ),
            (
                r#""metrics": "foo""#.to_owned(),
                r#"Invalid value "foo" for parameter 'metrics' supplied"#,
            ),
            (
                format!(r#""metrics": [{metric}, {{"key": "a", "value": 1}}]"#),
                "Missing value for required parameter 'metrics[1].timestamp'.",
            ),
            (
                r#""tags": [{"key": "a#", "value": ""}]"#.to_owned(),
                r#"Invalid value "a#" for parameter 'tags[0].key' supplied"#,
            ),
            (r#""metrics": [3]"#.to_owned(), "invalid type: integer `3`"),
        ];
        for (text, expected) in rows {
            let body = format!(r#"{{"run_id": "{ID}", {text}}}"#);
            let message = refusal(log_batch(&Ask::of(&[], &body)));
            assert!(message.contains(expected), "{expected}: {message}");
        }
        let body = format!(
            r#"{{"runUuid": "{ID}", "metrics": [{}], "params": null}}"#,
            list(metric, 1000)
        );
        assert_eq!(refusal(log_batch(&Ask::of(&[], &body))), "none");
    }
}

//! `POST /feedback`: what a picture really shows. Imports: http, base, `track::predictions`, tokio,
//! `serve::*`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::base::clock;
use crate::http::{Response, StatusCode};
use crate::track::predictions::{Feedback, OfRequest, predicts};

use super::ask::Ask;
use super::envelope;
use super::log::{Log, Said};
use super::recent::{Known, Verdict};
use super::refusal::{FieldProblem, Refusal};
use super::served::{self, Role};
use super::service::{Service, json as json_response};

/// A body is a few short texts.
pub(super) const BODY_BYTES_MAX: u64 = 64 << 10;
const ID_BYTES_MAX: usize = 128;
const COMMENT_CHARS_MAX: usize = 1000;
/// More classes than this are not listed in a refusal.
const CLASSES_SHOWN: usize = 50;
/// When a log that is behind is worth asking again.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// Looks into the files take turns: each reads all of them if need be.
static LOOKS: Mutex<()> = Mutex::const_new(());

/// What is asked for.
#[derive(Debug, PartialEq)]
struct Wanted {
    request_id: String,
    index: u32,
    label: String,
    source: String,
    comment: Option<String>,
}

/// `POST /feedback`
pub(super) async fn feedback(service: Arc<Service>, ask: Ask) -> Response {
    match take(&service, &ask).await {
        Ok(()) => json_response(StatusCode::ACCEPTED, &json!({"status": "accepted"})),
        Err(refusal) => service.refuse(&refusal, &ask.id),
    }
}

async fn take(service: &Service, ask: &Ask) -> Result<(), Refusal> {
    ask.require_plain()?;
    envelope::require_json(ask.content_type())?;
    let wanted = read(&ask.body, &classes(service)?)?;
    let Some(log) = &service.log else {
        let detail = "predictions are not logged here, so there is none to give feedback on: \
                      start the server in a project, with `serve.log.sample` above 0";
        return Err(Refusal::new(StatusCode::NOT_FOUND, "log_off", detail));
    };
    let mut verdict = say(log, &wanted, None).await?;
    if verdict == Verdict::Unknown {
        let known = look_up(log, &wanted).await?;
        verdict = say(log, &wanted, Some(known)).await?;
    }
    match verdict {
        Verdict::Accepted => Ok(()),
        Verdict::Unknown => Err(unknown(&wanted)),
        Verdict::NoPicture => Err(no_picture(&wanted)),
        Verdict::Unwritten => {
            let detail = "the prediction log cannot be written now, the server's log says why";
            Err(unavailable("log_unwritable", detail))
        }
    }
}

/// Returns the classes of all that answers requests: which of them answered this one is known only where
/// the request is known.
fn classes(service: &Service) -> Result<Vec<String>, Refusal> {
    let mut classes: Vec<String> = Vec::new();
    for served in &service.models {
        for (role, _, model) in served.models() {
            let new = |class: &&String| role != Role::Shadow && !classes.contains(class);
            let new: Vec<String> = model
                .predictor
                .model()
                .classes
                .iter()
                .filter(new)
                .cloned()
                .collect();
            classes.extend(new);
        }
    }
    if classes.is_empty() {
        // Says why.
        service.find(None, served::Wanted::Any { key: "" })?;
    }
    Ok(classes)
}

async fn say(log: &Log, wanted: &Wanted, known: Option<Known>) -> Result<Verdict, Refusal> {
    let feedback = Feedback {
        ts: clock::now(),
        request_id: wanted.request_id.clone(),
        index: wanted.index,
        label: wanted.label.clone(),
        source: wanted.source.clone(),
        comment: wanted.comment.clone(),
    };
    let busy = || unavailable("log_busy", "the prediction log is behind, try again");
    let verdict = log.say(Said { feedback, known }).ok_or_else(busy)?;
    verdict.await.map_err(|_| busy())
}

/// Looks into the files for an answer that the server does not remember.
async fn look_up(log: &Log, wanted: &Wanted) -> Result<Known, Refusal> {
    let Ok(turn) = LOOKS.try_lock() else {
        let detail = "feedback on another old prediction is being looked up, try again";
        return Err(unavailable("log_busy", detail));
    };
    let (reader, id) = (log.reader(), wanted.request_id.clone());
    let found = tokio::task::spawn_blocking(move || reader.request(&id)).await;
    drop(turn);
    let found = match found {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the prediction log cannot be read");
            return Err(unavailable(
                "log_unreadable",
                "the prediction log cannot be read now",
            ));
        }
        Err(_) => return Err(Refusal::internal("the prediction log could not be read")),
    };
    let OfRequest {
        predictions,
        judged,
    } = found;
    if predictions.is_empty() {
        return Err(unknown(wanted));
    }
    let picture = predictions.into_iter().find(|p| p.index == wanted.index);
    let picture = picture.ok_or_else(|| no_picture(wanted))?;
    Ok(Known {
        index: picture.index,
        label: picture.label,
        model: picture.model,
        version: picture.version,
        weights: predicts(&picture.route)
            .then(|| picture.weights.parse().ok())
            .flatten(),
        is_judged: judged.contains(&picture.index),
    })
}

fn unavailable(code: &'static str, detail: &'static str) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry(BUSY_RETRY)
}

fn unknown(wanted: &Wanted) -> Refusal {
    let detail = format!(
        "no prediction with the request id `{}` is in the log: it is too old, was not sampled, or never was",
        wanted.request_id
    );
    Refusal::new(StatusCode::NOT_FOUND, "unknown_request", detail)
}

fn no_picture(wanted: &Wanted) -> Refusal {
    let detail = format!(
        "the request `{}` has no picture {} (they count from 0)",
        wanted.request_id, wanted.index
    );
    Refusal::new(StatusCode::NOT_FOUND, "unknown_picture", detail)
}

fn read(body: &[u8], classes: &[String]) -> Result<Wanted, Refusal> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| envelope::json_invalid(body, &error))?;
    let Some(fields) = value.as_object() else {
        let msg = "Input should be a valid dictionary or object to extract fields from";
        let problem = FieldProblem::new("model_attributes_type", [json!("body")], msg, &value);
        return Err(Refusal::invalid(vec![problem]));
    };
    let mut problems = Vec::new();
    let mut text = |key: &'static str, required: bool| match fields.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        None | Some(Value::Null) => {
            if required {
                problems.push(FieldProblem::missing([json!("body"), json!(key)]));
            }
            None
        }
        Some(other) => {
            let msg = "Input should be a valid string";
            let loc = [json!("body"), json!(key)];
            problems.push(FieldProblem::new("string_type", loc, msg, other));
            None
        }
    };
    let request_id = text("request_id", true);
    let label = text("label", true);
    let source = text("source", false);
    let comment = text("comment", false);
    let index = match fields.get("index") {
        None | Some(Value::Null) => Some(0),
        Some(value) => value.as_u64().and_then(|index| u32::try_from(index).ok()),
    };
    let mut problem = |kind, key: &str, msg: String| {
        let input = fields.get(key).unwrap_or(&Value::Null);
        problems.push(FieldProblem::new(
            kind,
            [json!("body"), json!(key)],
            msg,
            input,
        ));
    };
    if index.is_none() {
        let msg = "Input should be a valid integer, 0 or more";
        problem("int_type", "index", msg.to_owned());
    }
    let is_id = |id: &String| id.len() <= ID_BYTES_MAX && id.bytes().all(|b| b.is_ascii_graphic());
    if request_id.as_ref().is_some_and(|id| !is_id(id)) {
        let msg = format!("Input should be at most {ID_BYTES_MAX} visible ASCII characters");
        problem("request_id", "request_id", msg);
    }
    if label.as_ref().is_some_and(|label| !classes.contains(label)) {
        problem(
            "literal_error",
            "label",
            format!("Input should be {}", names(classes)),
        );
    }
    let is_long = |text: &String| COMMENT_CHARS_MAX < text.chars().count();
    if comment.as_ref().is_some_and(is_long) {
        let msg = format!("String should have at most {COMMENT_CHARS_MAX} characters");
        problem("string_too_long", "comment", msg);
    }
    if source.as_ref().is_some_and(|source| !is_id(source)) {
        let msg = format!("Input should be at most {ID_BYTES_MAX} visible ASCII characters");
        problem("source", "source", msg);
    }
    match (request_id, label, index) {
        (Some(request_id), Some(label), Some(index)) if problems.is_empty() => Ok(Wanted {
            request_id,
            index,
            label,
            source: source.unwrap_or_else(|| "api".to_owned()),
            comment,
        }),
        _ => Err(Refusal::invalid(problems)),
    }
}

/// Returns the classes as pydantic lists what it expects: `'a', 'b' or 'c'`.
pub(super) fn names(classes: &[String]) -> String {
    let shown: Vec<String> = classes
        .iter()
        .take(CLASSES_SHOWN)
        .map(|class| format!("'{class}'"))
        .collect();
    match shown.split_last() {
        _ if CLASSES_SHOWN < classes.len() => {
            format!(
                "one of {} classes, such as {}",
                classes.len(),
                shown.join(", ")
            )
        }
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => shown.concat(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_feedback_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            text in r#"\{("(request_id|label|index|source|comment)": ?("[a-c ]*"|-?[0-9.e]{1,20}|null|\[\]|\{\}),?){0,5}\}"#,
        ) {
            for body in [bytes.as_slice(), text.as_bytes()] {
                match read(body, &classes()) {
                    Ok(wanted) => prop_assert!(classes().contains(&wanted.label)),
                    Err(refusal) => prop_assert!(refusal.is_clients()),
                }
            }
        }

        #[test]
        fn feedback_is_read_as_it_was_written(
            request_id in "[!-~]{1,128}",
            index: u32,
            label in prop::sample::select(classes()),
            source in "[!-~]{1,128}",
            comment in prop::option::of("\\PC{0,100}"),
        ) {
            let body = json!({
                "request_id": request_id, "index": index, "label": label, "source": source,
                "comment": comment,
            });
            let wanted = Wanted { request_id, index, label, source, comment };
            prop_assert_eq!(read(body.to_string().as_bytes(), &classes()), Ok(wanted));
        }
    }

    fn classes() -> Vec<String> {
        ["a", "b", "c"].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_body_is_read_and_what_is_wrong_with_it_is_named() {
        let whole = br#"{"request_id": "r", "label": "b", "index": 2, "comment": "x"}"#;
        let wanted = read(whole, &classes()).unwrap();
        assert_eq!((wanted.index, wanted.source.as_str()), (2, "api"));
        for (body, kind, part) in [
            ("{}", "missing", "Field required"),
            ("[]", "model_attributes_type", "object"),
            ("{", "json_invalid", "JSON"),
            (
                r#"{"request_id": 1, "label": "a"}"#,
                "string_type",
                "string",
            ),
            (
                r#"{"request_id": "r", "label": "d"}"#,
                "literal_error",
                "'a', 'b' or 'c'",
            ),
            (
                r#"{"request_id": "r", "label": "a", "index": -1}"#,
                "int_type",
                "integer",
            ),
            (
                r#"{"request_id": "a b", "label": "a"}"#,
                "request_id",
                "ASCII",
            ),
        ] {
            let refusal = read(body.as_bytes(), &classes()).unwrap_err();
            let detail = &refusal.item()["detail"][0];
            assert_eq!(detail["type"], kind, "{body}");
            assert!(detail["msg"].as_str().unwrap().contains(part), "{detail}");
        }
    }
}

//! `POST /models/{name}/reload`: an operator has a model loaded anew, or another version of it; and
//! `/models/{name}/unload`: takes it out of service until then. Imports: http, tokio, `serve::*`.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::http::{Response, StatusCode};

use super::ask::Ask;
use super::describe::describe;
use super::envelope;
use super::follow::{self, NotLoaded};
use super::model::Model;
use super::refusal::{FieldProblem, Refusal};
use super::served::{Role, Served};
use super::service::{Service, json as json_response};
use super::source::Target;

/// One model is exchanged at a time, whoever asks: it takes a thread, and memory for one more.
static TURNS: Mutex<()> = Mutex::const_new(());

/// A body is one short text.
pub(super) const BODY_BYTES_MAX: u64 = 4 << 10;

/// Answers when the model is loaded and warm, or says why it is not; then all is as it was.
pub(super) async fn reload(service: Arc<Service>, ask: Ask) -> Response {
    match load(&service, &ask).await {
        Ok((served, model)) => {
            let in_memory = served.models().into_iter();
            // Another version may have come since.
            let (role, share) = in_memory
                .map(|(role, share, _)| (role, share))
                .find(|(role, _)| *role == Role::Main)
                .unwrap_or((Role::Main, 1.0));
            let described = describe(&served, &(role, share, model)).await;
            json_response(StatusCode::OK, &described)
        }
        Err(refusal) => service.refuse(&refusal, &ask.id),
    }
}

async fn load(service: &Arc<Service>, ask: &Ask) -> Result<(Arc<Served>, Arc<Model>), Refusal> {
    ask.require_plain()?;
    let served = find(service, ask.param())?;
    let target = target(ask)?;
    let model = load_target(service, &served, target).await?;
    Ok((served, model))
}

/// Finds the model that a path names.
fn find(service: &Service, name: &str) -> Result<Arc<Served>, Refusal> {
    let served = service.served(Some(name)).cloned();
    served.ok_or_else(|| Refusal::model_not_found(name, &service.names()))
}

/// Takes a model out of service: requests that come from now on are refused with status 503 until it
/// is loaded again, those that are under way are answered.
pub(super) async fn unload(service: Arc<Service>, ask: Ask) -> Response {
    let served = match find(&service, ask.param()) {
        Ok(served) => served,
        Err(refusal) => return service.refuse(&refusal, &ask.id),
    };
    // A load that is under way comes first.
    match tokio::task::spawn_blocking(move || follow::unload(&served)).await {
        Ok(()) => json_response(StatusCode::OK, &json!({"status": "unloaded"})),
        Err(_) => service.refuse(
            &Refusal::internal("the model could not be unloaded"),
            &ask.id,
        ),
    }
}

/// Loads a model anew, or the version that `target` means.
///
/// # Errors
/// It cannot be loaded (status 409), or is a folder, which has no versions (422).
pub(super) async fn load_target(
    service: &Arc<Service>,
    served: &Arc<Served>,
    target: Option<Target>,
) -> Result<Arc<Model>, Refusal> {
    let _turn = TURNS.lock().await;
    let (service, of) = (Arc::clone(service), Arc::clone(served));
    let loading = tokio::task::spawn_blocking(move || follow::reload(&service, &of, target));
    match loading.await {
        Ok(Ok(model)) => Ok(model),
        Ok(Err(NotLoaded::NoVersions)) => {
            let msg = format!(
                "`{}` is served from a folder, which has no versions: send no body to read it again",
                served.name
            );
            let problem = FieldProblem::new("value_error", [json!("body")], msg, &Value::Null);
            Err(Refusal::invalid(vec![problem]))
        }
        Ok(Err(NotLoaded::Failed(problem))) => {
            // Who unloaded the model waits for it, and should not think that it is back.
            let state = if served.main.model().is_some() {
                "what was served goes on"
            } else {
                "it is not served until it is loaded"
            };
            let detail = format!("{problem}; {state}");
            Err(Refusal::new(StatusCode::CONFLICT, "reload_failed", detail))
        }
        Err(_) => Err(Refusal::internal("the model could not be loaded")),
    }
}

/// Reads `{}`, `{"version": "4"}` or `{"alias": "champion"}`; no body, or `null`, is as good as the first.
fn target(ask: &Ask) -> Result<Option<Target>, Refusal> {
    if ask.body.is_empty() {
        return Ok(None);
    }
    envelope::require_json(ask.content_type())?;
    let value: Value = serde_json::from_slice(&ask.body)
        .map_err(|error| envelope::json_invalid(&ask.body, &error))?;
    if value.is_null() {
        return Ok(None);
    }
    let Value::Object(fields) = &value else {
        let msg = "Input should be a valid dictionary or object to extract fields from";
        let problem = FieldProblem::new("model_attributes_type", [json!("body")], msg, &value);
        return Err(Refusal::invalid(vec![problem]));
    };
    let mut target = None;
    for (key, value) in fields {
        let wrong = |kind, msg: &str| {
            let loc = [json!("body"), json!(key)];
            Err(Refusal::invalid(vec![FieldProblem::new(
                kind, loc, msg, value,
            )]))
        };
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Number(number) if key == "version" => number.to_string(),
            _ => return wrong("string_type", "Input should be a valid string"),
        };
        let named = match key.as_str() {
            "version" => Target::Version(text),
            "alias" => Target::Alias(text),
            _ => return wrong("extra_forbidden", "Extra inputs are not permitted"),
        };
        if target.replace(named).is_some() {
            return wrong("value_error", "Value error, either `version` or `alias`");
        }
    }
    Ok(target)
}

//! Triton's model repository extension: which models there are, loading and unloading them.
//! Imports: http, tokio, `serve::*`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::http::{RequestId, Response, StatusCode};
use crate::serve::ask::Ask;
use crate::serve::follow;
use crate::serve::model::Status;
use crate::serve::protocol::Protocol;
use crate::serve::protocol::words::parsers_words;
use crate::serve::refusal::Refusal;
use crate::serve::reload::load_target;
use crate::serve::served::{Place, Served};
use crate::serve::service::{Service, json as json_response};

use super::model::ModelPath;
use super::request::bad;

/// Bodies are a few parameters.
pub(super) const BODY_BYTES_MAX: u64 = 64 << 10;

/// One version of a model.
#[derive(Serialize)]
struct Entry {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    state: &'static str,
    reason: String,
}

impl Entry {
    fn of(served: &Served, place: &Place) -> Self {
        let status = served.status(place);
        let (state, version) = match &*status {
            Status::Ready(model) => ("READY", model.version.version.as_str()),
            Status::Loading => ("LOADING", place.source.version_before()),
            Status::Absent(_) | Status::Broken { .. } | Status::Unloaded => {
                ("UNAVAILABLE", place.source.version_before())
            }
        };
        let reason = match &*status {
            Status::Ready(_) | Status::Loading => String::new(),
            // Triton's word.
            Status::Unloaded => "unloaded".to_owned(),
            Status::Absent(_) | Status::Broken { .. } => place.why_not_ready(&status),
        };
        Self {
            name: served.name.clone(),
            version: version.to_owned(),
            state,
            reason,
        }
    }

    fn is_ready(&self) -> bool {
        self.state == "READY"
    }
}

/// The body of an index request; none is as good as an empty one.
#[derive(Default, Deserialize)]
struct IndexRequest {
    ready: Option<bool>,
}

/// The body of a load request.
#[derive(Default, Deserialize)]
struct LoadRequest {
    parameters: Option<LoadParameters>,
}

#[derive(Deserialize)]
struct LoadParameters {
    config: Option<serde::de::IgnoredAny>,
}

fn read<'b, T: Default + Deserialize<'b>>(ask: &'b Ask) -> Result<T, Refusal> {
    ask.require_plain()?;
    if ask.body.is_empty() {
        return Ok(T::default());
    }
    // `null` is as good as nothing.
    let read = serde_json::from_slice::<Option<T>>(&ask.body);
    read.map(Option::unwrap_or_default).map_err(|error| {
        let words = parsers_words(&error);
        bad(format!("failed to parse the request JSON buffer: {words}"))
    })
}

/// `POST /v2/repository/index`
pub(super) fn index(service: &Service, ask: &Ask) -> Response {
    match read::<IndexRequest>(ask) {
        Ok(request) => {
            let models = service.models.iter();
            let entries = models.flat_map(|served| {
                let places = served.places();
                places.map(|place| Entry::of(served, place))
            });
            let wanted = |entry: &Entry| request.ready != Some(true) || entry.is_ready();
            let entries: Vec<Entry> = entries.filter(wanted).collect();
            json_response(StatusCode::OK, &entries)
        }
        Err(refusal) => service.refuse_in(Protocol::V2, &refusal, &ask.id),
    }
}

/// `POST /v2/repository/models/{name}/load`: loads a model, or loads it anew.
pub(super) async fn load(service: Arc<Service>, ask: Ask) -> Response {
    let loaded = load_as_asked(&service, &ask).await;
    let told = loaded.map(|name| json!({"name": name, "load": true}));
    respond(&service, &ask.id, told)
}

async fn load_as_asked(service: &Arc<Service>, ask: &Ask) -> Result<String, Refusal> {
    let served = ModelPath::of(ask).served(service)?;
    let request: LoadRequest = read(ask)?;
    if request.parameters.is_some_and(|p| p.config.is_some()) {
        return Err(bad(
            "the parameter 'config' is not offered: a model says itself what it takes",
        ));
    }
    load_target(service, served, None).await?;
    Ok(served.name.clone())
}

/// `POST /v2/repository/models/{name}/unload`: takes a model out of service until it is loaded.
pub(super) async fn unload(service: Arc<Service>, ask: Ask) -> Response {
    let unloaded = match ModelPath::of(&ask).served(&service) {
        Ok(served) => {
            let served = Arc::clone(served);
            // It waits for a load that is under way.
            let unloading = tokio::task::spawn_blocking(move || {
                follow::unload(&served);
                served.name.clone()
            });
            let failed = |_| Refusal::internal("the model could not be unloaded");
            unloading.await.map_err(failed)
        }
        Err(refusal) => Err(refusal),
    };
    let told = unloaded.map(|name| json!({"name": name, "unload": true}));
    respond(&service, &ask.id, told)
}

fn respond(
    service: &Service,
    id: &RequestId,
    told: Result<serde_json::Value, Refusal>,
) -> Response {
    match told {
        Ok(told) => json_response(StatusCode::OK, &told),
        Err(refusal) => service.refuse_in(Protocol::V2, &refusal, id),
    }
}

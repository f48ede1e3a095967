//! `POST /models/{name}/drift/reset`: the detectors of drift of a model begin anew. Imports: http, tokio, `serve::*`.

use std::sync::Arc;

use serde_json::json;

use crate::http::{Response, StatusCode};
use crate::serve::ask::Ask;
use crate::serve::refusal::Refusal;
use crate::serve::reload;
use crate::serve::service::{Service, json as json_response};

/// No body is read.
pub(in crate::serve) const BODY_BYTES_MAX: u64 = reload::BODY_BYTES_MAX;

/// Answers when they have.
pub(in crate::serve) async fn reset(service: Arc<Service>, ask: Ask) -> Response {
    match try_reset(&service, ask.param()).await {
        Ok(()) => json_response(StatusCode::OK, &json!({"status": "reset"})),
        Err(refusal) => service.refuse(&refusal, &ask.id),
    }
}

async fn try_reset(service: &Service, name: &str) -> Result<(), Refusal> {
    let served = service.served(Some(name));
    let served = served.ok_or_else(|| Refusal::model_not_found(name, &service.names()))?;
    let unwatched = || {
        let detail = format!(
            "no detector watches `{name}` for drift: `GET /models` says under `drift` whether some could, `cvops drift fit` makes them"
        );
        Refusal::new(StatusCode::CONFLICT, "not_watched", detail)
    };
    let tap = served.drift.clone().ok_or_else(unwatched)?;
    // A check that is under way comes first.
    let timeout = service.config.timeout;
    match tokio::time::timeout(timeout, tap.reset()).await {
        Ok(Some(true)) => Ok(()),
        Ok(Some(false)) => Err(unwatched()),
        Ok(None) => Err(Refusal::internal("drift is not watched any more")),
        Err(_) => Err(Refusal::deadline(timeout)),
    }
}

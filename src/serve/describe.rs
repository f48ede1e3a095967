//! What is said about the models that are served. Imports: base, tokio, `serve::*`.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;

use super::answer::{InputInfo, ModelInfo, Scores};
use super::model::Model;
use super::served::{Role, Served};
use super::source::{LockState, Moment};

/// Looks into the lock at a time.
static LOOKS: Semaphore = Semaphore::const_new(2);

/// A model that is in memory, what it is for, and the share of the requests that it answers.
pub(super) type InMemory = (Role, f64, Arc<Model>);

/// Returns the body of `GET /model` for one model of `served`.
pub(super) async fn describe(served: &Served, in_memory: &InMemory) -> Value {
    let (role, share, model) = in_memory;
    let Some(place) = served.places().find(|place| place.role == *role) else {
        return Value::Null;
    };
    // What does the lock say now? A repro writes it after the model.
    let check = Arc::clone(&place.source.check);
    let _turn = LOOKS.acquire().await;
    let lock = tokio::task::spawn_blocking(move || check(Moment::Serving)).await;
    let lock = lock.unwrap_or(LockState::Absent);
    let artifact = model.predictor.model();
    let scores = model.scores.load();
    let drift = match role {
        Role::Main => served.drift.as_ref().and_then(|tap| tap.shown()),
        // Detectors are fitted to the model that answers.
        Role::Canary | Role::Shadow => None,
    };
    let info = ModelInfo {
        name: &model.name,
        version: &model.version.version,
        role: role.label(),
        share: *share,
        alias: model.version.alias.as_deref(),
        run_id: model.version.run_id.as_deref(),
        behind: place.behind.load().as_deref().cloned(),
        blake3: model.weights.to_string(),
        lock: lock.word(),
        input: InputInfo {
            height: artifact.target.height,
            width: artifact.target.width,
            channels: artifact.target.channels.count(),
        },
        metrics: (!scores.is_empty()).then_some(Scores(&scores)),
        classes: &artifact.classes,
        parameters: artifact.parameters,
        device: model.predictor.device_name(),
        loaded_at: model.loaded_at.to_string(),
        drift: drift.as_deref(),
    };
    // Texts, numbers and lists always have a JSON form.
    serde_json::to_value(info).unwrap_or_default()
}

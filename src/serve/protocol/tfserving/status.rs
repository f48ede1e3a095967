//! What is said of a model: the state of its versions, and what its signature takes. Imports:
//! `serve::{ask, model, refusal, served, service}`.

use serde_json::Value;

use crate::serve::ask::Ask;
use crate::serve::model::Status;
use crate::serve::refusal::Refusal;
use crate::serve::served::{Place, Served};
use crate::serve::service::Service;

use super::answer::{self, State, VersionState};
use super::path::{ModelPath, Which};

/// The number of a version that a registry has not named yet: numbers begin with 1.
const NO_VERSION: &str = "0";

/// `GET /v1/models/{name}…`
pub(super) fn status(path: &ModelPath, service: &Service) -> Result<Value, Refusal> {
    let served = served(path, service).ok_or_else(|| path.no_status())?;
    let mut versions: Vec<VersionState> = Vec::new();
    for place in served.places() {
        let (state, alias) = state(served, place);
        let is_meant = match &path.which {
            Which::Latest => true,
            Which::Version(version) => state.version == *version,
            Which::Label(label) => alias.as_ref() == Some(label),
        };
        // A shadow may be another place of the same version.
        let known = versions.iter().any(|other| other.version == state.version);
        if is_meant && !known {
            versions.push(state);
        }
    }
    if versions.is_empty() {
        // What a registry will name is not known before.
        require_ready(served)?;
        return Err(path.no_status());
    }
    Ok(answer::status(&served.name, &versions))
}

/// `GET /v1/models/{name}…/metadata`
pub(super) fn metadata(path: &ModelPath, service: &Service, ask: &Ask) -> Result<Value, Refusal> {
    let served = served(path, service).ok_or_else(|| path.not_found())?;
    let Some(model) = served.find(path.wanted(ask)) else {
        require_ready(served)?;
        return Err(path.not_found());
    };
    let artifact = model.predictor.model();
    Ok(answer::metadata(
        &model.name,
        &model.version.version,
        &artifact.target,
        artifact.classes.len(),
    ))
}

fn served<'s>(path: &ModelPath, service: &'s Service) -> Option<&'s Served> {
    service.served(Some(&path.name)).map(|served| &**served)
}

fn require_ready(served: &Served) -> Result<(), Refusal> {
    match &*served.main.slot.get() {
        Status::Ready(_) => Ok(()),
        status => Err(Refusal::not_ready(served.main.why_not_ready(status))),
    }
}

/// Returns the state of a place's version, and its alias.
fn state(served: &Served, place: &Place) -> (VersionState, Option<String>) {
    let status = served.status(place);
    let (state, problem) = match &*status {
        Status::Ready(model) => {
            let state = VersionState {
                version: model.version.version.clone(),
                state: State::Available,
                problem: None,
            };
            return (state, model.version.alias.clone());
        }
        Status::Loading => (State::Loading, None),
        Status::Absent(_) => (State::Start, Some(place.why_not_ready(&status))),
        Status::Broken { .. } | Status::Unloaded => {
            (State::End, Some(place.why_not_ready(&status)))
        }
    };
    let version = match place.source.version_before() {
        "" => NO_VERSION,
        version => version,
    };
    let state = VersionState {
        version: version.to_owned(),
        state,
        problem,
    };
    (state, None)
}

//! Which model a path means, and what is said of it. Imports: http, `serve::*`.

use std::sync::Arc;

use serde_json::json;

use crate::http::{Response, StatusCode};
use crate::serve::ask::Ask;
use crate::serve::model::Model;
use crate::serve::protocol::Protocol;
use crate::serve::protocol::words::shown;
use crate::serve::refusal::{Detail, Refusal};
use crate::serve::served::{Served, Wanted};
use crate::serve::service::{Chosen, Service, json as json_response};

use super::{answer, not_ready};

/// A model, and maybe a version of it, as a path names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelPath {
    name: String,
    version: Option<String>,
}

impl ModelPath {
    /// Reads the path of a request: its placeholders are the name and, if there is a second one, the
    /// version.
    pub(super) fn of(ask: &Ask) -> Self {
        Self::named(&ask.params)
    }

    fn named(params: &[String]) -> Self {
        Self {
            name: params.first().cloned().unwrap_or_default(),
            version: params.get(1).cloned(),
        }
    }

    fn wanted<'a>(&'a self, ask: &'a Ask) -> Wanted<'a> {
        match &self.version {
            Some(version) => Wanted::Version(version),
            None => ask.any_version(),
        }
    }

    /// Returns the model that is to answer `ask`; see `Service::choose`.
    pub(super) fn choose(&self, service: &Service, ask: &Ask) -> Result<Chosen, Refusal> {
        service
            .choose(Protocol::V2, Some(&self.name), self.wanted(ask))
            .map_err(|refusal| self.in_words(refusal))
    }

    /// Returns what is served under the name.
    pub(super) fn served<'s>(&self, service: &'s Service) -> Result<&'s Arc<Served>, Refusal> {
        let name = &self.name;
        service
            .served(Some(name))
            .ok_or_else(|| self.in_words(Refusal::model_not_found(name, &service.names())))
    }

    /// Returns the model without counting a request; `None` if it is not ready.
    fn find<'s>(
        &self,
        service: &'s Service,
        ask: &Ask,
    ) -> Result<(&'s Arc<Served>, Option<Arc<Model>>), Refusal> {
        let served = self.served(service)?;
        let model = served.find(self.wanted(ask));
        let is_unknown = model.is_none() && served.main.model().is_some();
        if let (Some(version), true) = (&self.version, is_unknown) {
            let refusal = Refusal::version_not_found(&self.name, "version", version);
            return Err(self.in_words(refusal));
        }
        Ok((served, model))
    }

    /// Says in Triton's words that a model is not known, and in those of `KServe` that it is not ready.
    fn in_words(&self, refusal: Refusal) -> Refusal {
        let name = shown(&self.name);
        let detail = match (refusal.code, &self.version) {
            ("model_not_found", _) => format!("Request for unknown model: '{name}' is not found"),
            ("version_not_found", Some(version)) => {
                let version = shown(version);
                format!("Request for unknown model: '{name}' version {version} is not found")
            }
            ("model_not_ready", _) => {
                let why = refusal.detail.to_text();
                format!("Model with name {name} is not ready: {why}")
            }
            _ => return refusal,
        };
        Refusal {
            detail: Detail::Text(detail.into()),
            ..refusal
        }
    }
}

/// `GET …/models/{name}`
pub(super) fn metadata(path: &ModelPath, service: &Service, ask: &Ask) -> Response {
    let told = path.find(service, ask).and_then(|(served, model)| {
        let model = model.ok_or_else(|| {
            let why = served.main.why_not_ready(&served.main.slot.get());
            path.in_words(Refusal::not_ready(why))
        })?;
        let mut versions: Vec<String> = Vec::new();
        for (_, _, model) in served.models() {
            let version = &model.version.version;
            if !versions.contains(version) {
                versions.push(version.clone());
            }
        }
        let artifact = model.predictor.model();
        Ok(answer::metadata(
            &model.name,
            &versions,
            model.predictor.device_name(),
            &artifact.target,
            &artifact.classes,
        ))
    });
    match told {
        Ok(told) => json_response(StatusCode::OK, &told),
        Err(refusal) => service.refuse_in(Protocol::V2, &refusal, &ask.id),
    }
}

/// `GET …/models/{name}/ready`
pub(super) fn ready(path: &ModelPath, service: &Service, ask: &Ask) -> Response {
    match path.find(service, ask) {
        Ok((served, Some(_))) => {
            let told = json!({"name": served.name, "ready": true});
            json_response(StatusCode::OK, &told)
        }
        Ok((served, None)) => not_ready(&json!({"name": served.name, "ready": false})),
        Err(refusal) => service.refuse_in(Protocol::V2, &refusal, &ask.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_model_and_maybe_a_version() {
        let params = ["a /b".to_owned(), "3".to_owned()];
        let path = ModelPath::named(&params);
        assert_eq!((&*path.name, path.version.as_deref()), ("a /b", Some("3")));
        let path = ModelPath::named(&params[..1]);
        assert_eq!((&*path.name, path.version), ("a /b", None));
    }

    #[test]
    fn what_is_not_there_is_said_in_the_words_of_other_servers() {
        let path = ModelPath::named(&["nope".to_owned(), "9".to_owned()]);
        let said = |refusal| path.in_words(refusal).detail.to_text();
        assert_eq!(
            said(Refusal::model_not_found("nope", &["digits"])),
            "Request for unknown model: 'nope' is not found"
        );
        assert_eq!(
            said(Refusal::version_not_found("nope", "version", "9")),
            "Request for unknown model: 'nope' version 9 is not found"
        );
        assert_eq!(
            said(Refusal::not_ready("it is being loaded".to_owned())),
            "Model with name nope is not ready: it is being loaded"
        );
        assert_eq!(said(Refusal::internal("a bug")), "a bug");
    }
}

//! Which model a path below `/v1/models/` means. Imports: http,
//! `serve::{ask, refusal, served, service}`, `protocol::words`.

use crate::http::StatusCode;
use crate::serve::ask::Ask;
use crate::serve::refusal::Refusal;
use crate::serve::served::Wanted;
use crate::serve::service::{Chosen, Service};

use super::super::Protocol;
use super::super::words::shown;

/// A model, and maybe a version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelPath {
    pub(super) name: String,
    pub(super) which: Which,
}

/// Which version of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Whichever is to answer.
    Latest,
    Version(String),
    /// The one with this alias.
    Label(String),
}

/// How a path names a model, and maybe a version of it.
pub(super) trait Naming {
    /// The template of such paths.
    const PATH: &'static str;

    /// Says what stands for the second placeholder; there is none unless `PATH` has one.
    fn which(second: &str) -> Which;
}

/// By its name alone.
pub(super) struct ByName;
/// By name and version.
pub(super) struct ByVersion;
/// By name and alias, which is called label here.
pub(super) struct ByLabel;

impl Naming for ByName {
    const PATH: &'static str = "/v1/models/{name}";

    fn which(_: &str) -> Which {
        Which::Latest
    }
}

impl Naming for ByVersion {
    const PATH: &'static str = "/v1/models/{name}/versions/{version}";

    fn which(version: &str) -> Which {
        Which::Version(version.to_owned())
    }
}

impl Naming for ByLabel {
    const PATH: &'static str = "/v1/models/{name}/labels/{label}";

    fn which(label: &str) -> Which {
        Which::Label(label.to_owned())
    }
}

impl ModelPath {
    /// Reads the path of a request that names a model as `N` does.
    pub(super) fn of<N: Naming>(ask: &Ask) -> Self {
        Self::named::<N>(&ask.params)
    }

    fn named<N: Naming>(params: &[String]) -> Self {
        let param = |at: usize| params.get(at).map_or("", String::as_str);
        Self {
            name: param(0).to_owned(),
            which: N::which(param(1)),
        }
    }

    pub(super) fn wanted<'a>(&'a self, ask: &'a Ask) -> Wanted<'a> {
        match &self.which {
            Which::Latest => ask.any_version(),
            Which::Version(version) => Wanted::Version(version),
            Which::Label(label) => Wanted::Alias(label),
        }
    }

    /// Returns the model that is to answer `ask`; see `Service::choose`.
    pub(super) fn choose(&self, service: &Service, ask: &Ask) -> Result<Chosen, Refusal> {
        service
            .choose(Protocol::TfServing, Some(&self.name), self.wanted(ask))
            .map_err(|refusal| match refusal.code {
                "model_not_found" | "version_not_found" => self.not_found(),
                _ => refusal,
            })
    }

    /// Says in TensorFlow Serving's words that nothing of the kind is served.
    pub(super) fn not_found(&self) -> Refusal {
        let name = shown(&self.name);
        match &self.which {
            Which::Latest => missing(format!("Servable not found for request: Latest({name})")),
            Which::Version(version) => {
                let version = shown(version);
                missing(format!(
                    "Servable not found for request: Specific({name}, {version})"
                ))
            }
            Which::Label(label) => unknown_label(label),
        }
    }

    /// Says the same to those who ask for the status.
    pub(super) fn no_status(&self) -> Refusal {
        let name = shown(&self.name);
        match &self.which {
            Which::Latest => missing(format!("Could not find any versions of model {name}")),
            Which::Version(version) => {
                let version = shown(version);
                missing(format!("Could not find version {version} of model {name}"))
            }
            Which::Label(label) => unknown_label(label),
        }
    }
}

fn missing(message: String) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "not_found", message)
}

fn unknown_label(label: &str) -> Refusal {
    let message = format!("Unrecognized servable version label: {}", shown(label));
    Refusal::new(StatusCode::BAD_REQUEST, "invalid_argument", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::refusal::Detail;

    #[test]
    fn paths_name_a_model_and_a_version() {
        let path = |name: &str, which| ModelPath {
            name: name.to_owned(),
            which,
        };
        let params = ["a /b".to_owned(), "3".to_owned()];
        let version = Which::Version("3".to_owned());
        let label = Which::Label("3".to_owned());
        assert_eq!(
            ModelPath::named::<ByName>(&params[..1]),
            path("a /b", Which::Latest)
        );
        assert_eq!(
            ModelPath::named::<ByVersion>(&params),
            path("a /b", version)
        );
        assert_eq!(ModelPath::named::<ByLabel>(&params), path("a /b", label));
        // Templates have as many placeholders as are read.
        let placeholders = |template: &str| template.matches('{').count();
        let counts = [ByName::PATH, ByVersion::PATH, ByLabel::PATH].map(placeholders);
        assert_eq!(counts, [1, 2, 2]);
    }

    #[test]
    fn what_is_not_served_is_said_in_the_servers_words() {
        let path = |which| ModelPath {
            name: "half".to_owned(),
            which,
        };
        let said = |refusal: Refusal| (refusal.status.as_u16(), refusal.detail);
        let text = |text: &'static str| Detail::Text(text.into());
        let latest = path(Which::Latest);
        assert_eq!(
            said(latest.not_found()),
            (404, text("Servable not found for request: Latest(half)"))
        );
        assert_eq!(
            said(latest.no_status()),
            (404, text("Could not find any versions of model half"))
        );
        let version = path(Which::Version("9".to_owned()));
        assert_eq!(
            said(version.not_found()),
            (
                404,
                text("Servable not found for request: Specific(half, 9)")
            )
        );
        assert_eq!(
            said(version.no_status()),
            (404, text("Could not find version 9 of model half"))
        );
        let label = path(Which::Label("x".to_owned()));
        let expected = (400, text("Unrecognized servable version label: x"));
        assert_eq!(said(label.not_found()), expected.clone());
        assert_eq!(said(label.no_status()), expected);
    }
}

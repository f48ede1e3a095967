//! The tracking server that a repro is for its stages: what a stage logs with MLflow's client lands
//! in the repro's own run, without any set-up. Imports: base, project, pipeline, track, mlflow.
//!
//! It listens on this machine only, on a port that the system chooses, in this very process. It
//! starts when the first stage is about to run (a repro that runs nothing pays nothing), beside that
//! stage's preparations, and ends with the repro. A sweep has one for all its trials: whose values
//! they are is told by the run id that each trial's stages are given.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::base::diag::{Diagnostic, Severity, ToDiagnostics};
use crate::mlflow;
use crate::pipeline::StageName;
use crate::pipeline::execute::LateEnv;
use crate::project::Project;
use crate::track::RunId;
use crate::track::entity::ExperimentId;

/// Variables of MLflow's client that would lead it elsewhere, or show what is meant for another
/// server (<https://mlflow.org/docs/latest/api_reference/python_api/mlflow.environment_variables.html>).
const REMOVED: [&str; 8] = [
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_WORKSPACE",
];

/// Variables that send a program's requests to a proxy.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

/// Variables that say which hosts are not asked through it.
const NO_PROXY: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// Stages have ended when the server is told to: only what a killed one was sending is still open.
const DRAIN: Duration = Duration::from_secs(2);

/// The server, once it is needed.
pub struct Endpoint {
    project: Project,
    state: Mutex<State>,
}

enum State {
    /// Nobody has needed it yet.
    Waiting,
    Running(mlflow::Handle),
    /// It could not be started.
    Failed,
    Stopped,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.project.root).finish()
    }
}

impl Endpoint {
    /// Returns the server of the record of `project`; it is not started.
    #[must_use]
    pub fn new(project: &Project) -> Arc<Self> {
        Arc::new(Self {
            project: project.clone(),
            state: Mutex::new(State::Waiting),
        })
    }

    /// Starts it without waiting for it.
    pub(super) fn warm_up(self: &Arc<Self>, warn: &Arc<Warnings>) {
        let (endpoint, warn) = (Arc::clone(self), Arc::clone(warn));
        // Who needs it starts it, if no thread is to be had.
        let _ = std::thread::Builder::new()
            .name("cvops-endpoint".to_owned())
            .spawn(move || endpoint.place(&warn).map(drop));
    }

    /// Returns where it is and the token that it lets pass, starting it if it does not run; `None` if it
    /// cannot be started, of which the first who asks is warned.
    fn place(&self, warn: &Warnings) -> Option<(String, String)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Waiting = *state {
            *state = match mlflow::start(mlflow::Options {
                drain_timeout: DRAIN,
                ..mlflow::Options::local(self.project.clone())
            }) {
                Ok(handle) => {
                    tracing::info!(address = %handle.addr(), "stages can log");
                    State::Running(handle)
                }
                Err(error) => {
                    warn.add(&error);
                    State::Failed
                }
            };
        }
        match &*state {
            State::Running(handle) => {
                let uri = format!("http://{}", handle.addr());
                Some((uri, handle.token().to_owned()))
            }
            State::Waiting | State::Failed | State::Stopped => None,
        }
    }

    /// Ends it: what has been received is written first. It does not start again.
    pub fn stop(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Running(handle) = std::mem::replace(&mut *state, State::Stopped) {
            let drained = handle.stop();
            tracing::debug!(?drained, "stages can log no more");
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What went wrong, told at the end of the repro.
#[derive(Debug, Default)]
pub(super) struct Warnings(Mutex<Vec<Diagnostic>>);

impl Warnings {
    fn add(&self, error: &impl ToDiagnostics) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for mut warning in error.to_diagnostics() {
            warning.severity = Severity::Warning;
            let why = &warning.headline;
            warning.headline = format!("stages ran without a tracking server of this repro: {why}");
            all.push(warning);
        }
    }

    pub(super) fn take(&self) -> Vec<Diagnostic> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the stages of one run are given, so that they find the server and their run.
#[derive(Debug)]
pub(super) struct Children {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) warnings: Arc<Warnings>,
    /// The run, once it has begun.
    run: OnceLock<(RunId, ExperimentId)>,
    /// What keeps requests to this machine off a proxy.
    no_proxy: Vec<(String, OsString)>,
}

impl Children {
    /// Prepares for a run that has not begun; `env` is the environment that stages inherit.
    pub(super) fn new(endpoint: Arc<Endpoint>, env: &BTreeMap<String, String>) -> Arc<Self> {
        Arc::new(Self {
            endpoint,
            warnings: Arc::default(),
            run: OnceLock::new(),
            no_proxy: no_proxy(env),
        })
    }

    /// The run has begun.
    pub(super) fn belong_to(&self, run: RunId, experiment: ExperimentId) {
        // It begins once.
        let _ = self.run.set((run, experiment));
    }

    /// A stage is about to run.
    pub(super) fn prepare(&self) {
        if self.run.get().is_some() {
            self.endpoint.warm_up(&self.warnings);
        }
    }
}

impl LateEnv for Children {
    fn of_stage(&self, _stage: &StageName) -> Vec<(String, Option<OsString>)> {
        // A run that could not be begun is nothing to log to.
        let Some((run, experiment)) = self.run.get() else {
            return Vec::new();
        };
        let Some((uri, token)) = self.endpoint.place(&self.warnings) else {
            return Vec::new();
        };
        let given = [
            ("MLFLOW_TRACKING_URI", uri),
            // Of a project with users, stages of its own repro need not be one.
            ("MLFLOW_TRACKING_TOKEN", token),
            ("MLFLOW_RUN_ID", run.to_string()),
            ("MLFLOW_EXPERIMENT_ID", experiment.to_string()),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), Some(value.into())));
        let removed = REMOVED.map(|name| (name.to_owned(), None));
        let proxy = self.no_proxy.iter();
        given
            .into_iter()
            .chain(removed)
            .chain(proxy.map(|(name, value)| (name.clone(), Some(value.clone()))))
            .collect()
    }
}

/// Returns variables by which requests to this machine are not sent to the proxy that `env` names.
fn no_proxy(env: &BTreeMap<String, String>) -> Vec<(String, OsString)> {
    let is_set = |name: &&'static str| env.get(*name).is_some_and(|value| !value.is_empty());
    if !PROXIES.iter().any(is_set) {
        return Vec::new();
    }
    let known = NO_PROXY.iter().find(|name| is_set(name));
    let hosts = match known.and_then(|name| env.get(*name)) {
        Some(hosts) if hosts == "*" => return Vec::new(),
        Some(hosts) => format!("{hosts},127.0.0.1"),
        None => "127.0.0.1".to_owned(),
    };
    NO_PROXY
        .map(|name| (name.to_owned(), OsString::from(&hosts)))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_not_asked_for_this_machine() {
        for (env, expected) in [
            (vec![], None),
            (vec![("no_proxy", "a")], None),
            (vec![("http_proxy", "http://p:3128")], Some("127.0.0.1")),
            (
                vec![("HTTP_PROXY", "http://p"), ("NO_PROXY", "a,b")],
                Some("a,b,127.0.0.1"),
            ),
            (vec![("all_proxy", "socks5://p"), ("no_proxy", "*")], None),
        ] {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let found = no_proxy(&env.iter().map(owned).collect());
            assert!(found.iter().all(|(_, hosts)| hosts.to_str() == expected));
            assert_eq!(found.is_empty(), expected.is_none(), "{env:?}");
        }
    }
}

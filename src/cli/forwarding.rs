//! Sending recorded runs to the server of `tracking.uri`: beside a repro or a sweep, at its end, and
//! for `cvops runs push`. Imports: base, project, pipeline, track, ctx, render.
//!
//! The runs are recorded here whatever becomes of it: a server that does not answer costs a warning,
//! and changes no exit code. One process sends at a time, or two could make one run twice.

use std::collections::BTreeSet;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::base::diag::{Severity, ToDiagnostics};
use crate::base::fs::is_locked;
use crate::base::{Cancel, CancelReason, Diagnostic, units};
use crate::pipeline::StageGraph;
use crate::pipeline::spec::OutKind;
use crate::project::{EditLock, Project};
use crate::track::client::Login;
use crate::track::client::rest::Rest;
use crate::track::db::Span;
use crate::track::forward::{self, Pass, Passed, Sends};
use crate::track::{Error, Tracking};

use super::ctx::Ctx;
use super::env::Env;
use super::render::diagnostic;

/// Runs that go on are looked at this often at most.
const EVERY: Duration = Duration::from_secs(5);
/// A server that did not answer is left alone for so long.
const PAUSE: Duration = Duration::from_secs(30);
/// Looking at what there is to send takes no more than one part in so many of the time.
const SHARE: u32 = 20;
/// Whoever pressed Ctrl-C waits no longer than this for the last values to be sent.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Runs that are named in warnings.
const NAMED_MAX: usize = 5;

/// How long a pass goes on at most.
#[derive(Clone, Copy)]
pub(super) enum Until<'a> {
    /// Until the user asks for an end. A stage that failed asks for none.
    Interrupt(&'a Cancel),
    /// Until then.
    Deadline(Instant),
}

/// A server that gets the runs of a project.
pub(super) struct Forwarder {
    project: Project,
    rest: Rest,
    sends: Box<Sends>,
}

impl Forwarder {
    /// Returns what sends the runs of `project`, if `tracking.uri` is set. `graph` says which outputs
    /// are metrics and plots.
    pub(super) fn of(ctx: &Ctx, project: &Project, graph: Option<&StageGraph>) -> Option<Self> {
        let uri = project.config.tracking_uri.as_ref()?;
        let mut outputs = BTreeSet::new();
        for stage in graph.map(StageGraph::stages).unwrap_or_default() {
            outputs.extend(stage.outs.iter().filter_map(|(path, out)| match out.kind {
                OutKind::Metric | OutKind::Plot => Some(path.to_string()),
                OutKind::Data => None,
            }));
        }
        Some(Self {
            project: project.clone(),
            rest: Rest::new(uri, login(&ctx.env)),
            sends: Box::new(move |path| outputs.contains(path)),
        })
    }

    /// Returns the server's address.
    pub(super) fn uri(&self) -> &str {
        self.rest.uri()
    }

    /// Sends what waits, after whoever else does so now.
    ///
    /// # Errors
    /// The record cannot be read or written.
    pub(super) fn pass(&self, span: Span, until: Until<'_>) -> Result<Passed, Error> {
        let turn = self.project.layout.locks().join("forward");
        let patience = match until {
            Until::Deadline(_) if is_locked(&turn.with_extension("lock")) => {
                return Ok(Passed::default());
            }
            Until::Interrupt(cancel) if !is_interrupted(cancel) && !cancel.is_requested() => {
                cancel.clone()
            }
            Until::Interrupt(_) | Until::Deadline(_) => Cancel::new(),
        };
        let _turn = EditLock::beside(&turn, &patience)?;
        let Some(mut tracking) = Tracking::open_existing(&self.project.layout)? else {
            return Ok(Passed::default());
        };
        let pass = Pass {
            rest: &self.rest,
            project: &self.project,
            sends: &*self.sends,
            span,
            goes_on: &|| match until {
                Until::Interrupt(cancel) => !is_interrupted(cancel),
                Until::Deadline(end) => Instant::now() < end,
            },
        };
        forward::pass(&mut tracking, &pass)
    }
}

fn is_interrupted(cancel: &Cancel) -> bool {
    match cancel.reason() {
        Some(
            CancelReason::Terminated | CancelReason::Interrupted | CancelReason::SecondInterrupt,
        ) => true,
        Some(CancelReason::StageFailed) | None => false,
    }
}

/// Who asks, as MLflow's own client reads it.
fn login(env: &Env) -> Login {
    let name = env.get("MLFLOW_TRACKING_USERNAME");
    let password = env.get("MLFLOW_TRACKING_PASSWORD");
    match (name, password, env.get("MLFLOW_TRACKING_TOKEN")) {
        (Some(user), Some(password), _) => Login::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        },
        (_, _, Some(token)) => Login::Token(token.to_owned()),
        (Some(_) | None, _, None) => Login::Nobody,
    }
}

/// Runs are being sent beside something that records them.
pub(super) struct Forwarding {
    uri: String,
    stop: Sender<()>,
    thread: JoinHandle<Result<Passed, Error>>,
}

impl Forwarding {
    /// Starts to send the runs that are recorded from now on, and those that wait, if `tracking.uri`
    /// is set.
    pub(super) fn start(ctx: &Ctx, project: &Project, graph: &StageGraph) -> Option<Self> {
        let forwarder = Forwarder::of(ctx, project, Some(graph))?;
        let uri = forwarder.uri().to_owned();
        let begun = Tracking::open(&project.layout)
            .and_then(|mut tracking| tracking.change(|writing| writing.forward_from_now(&uri)));
        if let Err(error) = begun {
            show_error(ctx, &error);
            return None;
        }
        let (stop, asked) = mpsc::channel();
        let cancel = ctx.cancel.clone();
        let spawned = std::thread::Builder::new()
            .name("cvops-forward".to_owned())
            .spawn(move || forward_until(&forwarder, &asked, &cancel));
        match spawned {
            Ok(thread) => Some(Self { uri, stop, thread }),
            Err(error) => {
                tracing::warn!(%error, "no thread is left to send runs");
                None
            }
        }
    }

    /// Sends what is left, and shows what could not be sent.
    pub(super) fn end(self, ctx: &Ctx) {
        // A thread that panicked is in the log already.
        let _ = self.stop.send(());
        match self.thread.join() {
            Ok(Ok(passed)) => diagnostic::show_all(&ctx.out, &warnings(&self.uri, &passed)),
            Ok(Err(error)) => show_error(ctx, &error),
            Err(_) => {}
        }
    }
}

/// Sends from time to time, and a last time when told to stop.
fn forward_until(
    forwarder: &Forwarder,
    stop: &Receiver<()>,
    cancel: &Cancel,
) -> Result<Passed, Error> {
    let mut pause = EVERY;
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(pause) {
        let began = Instant::now();
        let passed = forwarder.pass(Span::Unfinished, Until::Interrupt(cancel));
        pause = match passed {
            Ok(passed) if passed.ended_by.is_none() => EVERY,
            Ok(_) => PAUSE,
            Err(error) => {
                // The last pass tells of it, if it stays.
                tracing::debug!(%error, "runs could not be sent");
                PAUSE
            }
        };
        pause = pause.max(began.elapsed() * SHARE);
    }
    let until = if is_interrupted(cancel) {
        Until::Deadline(Instant::now() + LAST_WORDS)
    } else {
        Until::Interrupt(cancel)
    };
    forwarder.pass(Span::Unfinished, until)
}

fn show_error(ctx: &Ctx, error: &Error) {
    let mut warnings = error.to_diagnostics();
    for warning in &mut warnings {
        warning.severity = Severity::Warning;
        warning.headline = format!("runs could not be sent: {}", warning.headline);
    }
    diagnostic::show_all(&ctx.out, &warnings);
}

/// Says what waits, and why.
pub(super) fn warnings(uri: &str, passed: &Passed) -> Vec<Diagnostic> {
    if let Some(problem) = &passed.ended_by {
        let runs = units::count(passed.left.len(), "run");
        let wait = if passed.left.len() == 1 {
            "waits"
        } else {
            "wait"
        };
        let text = format!("{runs} {wait} to be sent to `{uri}`: {problem}");
        let help = if problem.contains("answered 401") || problem.contains("answered 403") {
            "say who you are in `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, or in `MLFLOW_TRACKING_TOKEN`, then `cvops runs push`"
        } else {
            "all is recorded here; the next `cvops repro` sends it, or `cvops runs push`"
        };
        return vec![Diagnostic::warning("not-forwarded", text).help(help)];
    }
    let refused: Vec<_> = passed
        .left
        .iter()
        .filter_map(|left| Some((&left.name, left.problem.as_ref()?)))
        .collect();
    let one = |(name, problem): &(&String, &String)| {
        let text = format!("the run `{name}` could not be sent: {problem}");
        Diagnostic::warning("not-forwarded", text)
            .help("it is recorded here; `cvops runs push` tries again")
    };
    let mut warnings: Vec<Diagnostic> = refused.iter().take(NAMED_MAX).map(one).collect();
    if let (Some(last), true) = (warnings.last_mut(), NAMED_MAX < refused.len()) {
        let more = refused.len() - NAMED_MAX;
        *last = last.clone().note(format!("and {more} more"));
    }
    warnings
}

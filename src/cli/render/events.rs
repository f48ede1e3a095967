//! The story of a repro, line by line, as text or as JSON (one object per line).
//! Imports: base, pipeline, out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::base::{Diagnostic, Observer, Severity, ToDiagnostics, clock, units};

use crate::cli::out::{Form, Out, Style};
use crate::pipeline;
use crate::pipeline::execute::{Event, Outcome, Stream, Summary, Told};
use crate::pipeline::{SkipReason, StageDecision, StageName};
use crate::project::claims::Conflict;

use super::{decision, diagnostic, timing};

/// Lines of a stage that are shown after its failure when `-q` kept them back.
const HELD_BACK_LINES: usize = 50;

/// What a pipeline that is still empty gets told.
pub(in crate::cli) const NO_STAGES: &str =
    "the pipeline has no stages yet (`cvops schema` describes them)";

/// Shows events as they come.
pub(in crate::cli) struct Story<'a> {
    out: &'a Out,
    held_back: Mutex<BTreeMap<StageName, VecDeque<String>>>,
}

impl<'a> Story<'a> {
    /// Tells the story to `out`.
    pub(in crate::cli) fn new(out: &'a Out) -> Self {
        Self {
            out,
            held_back: Mutex::default(),
        }
    }

    /// Keeps a line that `-q` does not show, in case the stage fails.
    fn hold_back(&self, stage: &StageName, text: String) {
        let mut held = self
            .held_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let lines = held.entry(stage.clone()).or_default();
        if lines.len() == HELD_BACK_LINES {
            lines.pop_front();
        }
        lines.push_back(text);
    }

    /// Shows what was kept back of a stage that failed.
    fn release(&self, stage: &StageName) {
        let mut held = self
            .held_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for line in held.remove(stage).into_iter().flatten() {
            self.out.error(&line);
        }
    }
}

impl Observer<Event> for Story<'_> {
    fn notify(&self, event: Event) {
        match self.out.form {
            Form::Json => {
                self.out.json(&to_json(&event));
            }
            Form::Text | Form::Md => self.tell(&event),
        }
    }
}

impl Story<'_> {
    fn tell(&self, event: &Event) {
        let out = self.out;
        let name = |stage: &StageName| out.paint(Style::Strong, stage.as_str());
        match event {
            Event::Decided { stage, decision } => match decision {
                StageDecision::Skip(_) | StageDecision::Cached => {}
                StageDecision::Restore { because, .. } => out.note(&format!(
                    "{}: restoring an earlier result: {}",
                    name(stage),
                    decision::reasons(because)
                )),
                StageDecision::Run(because) => {
                    out.note(&format!(
                        "{}: running: {}",
                        name(stage),
                        decision::reasons(because)
                    ));
                }
            },
            Event::Waiting { .. } | Event::WaitingForDvc { .. } | Event::Retrying { .. } => {
                out.note(&self.held_up(event));
            }
            Event::Told { stage, told } => self.tell_again(stage, told),
            Event::Started { stage, command } => {
                out.note(
                    &out.paint(Style::Dim, &format!("{stage} $ {command}"))
                        .clone(),
                );
            }
            Event::Output {
                stage,
                stream,
                line,
            } => {
                let text = format!("{} {line}", out.paint(Style::Dim, &format!("{stage} |")));
                match stream {
                    Stream::Out => out.result(&text),
                    Stream::Err if out.is_quiet() => self.hold_back(stage, text),
                    Stream::Err => out.note(&text),
                }
            }
            Event::Saved {
                stage,
                path,
                object,
                // The whole hash: it is the way back to what was replaced.
            } => out.note(&format!(
                "{}: `{path}` was not in the cache; its content is kept there as {object}",
                name(stage),
            )),
            Event::OutsInGit { outs, .. } => diagnostic::show_all(out, &warnings(outs)),
            Event::InputsChanged { stage, what } => out.note(&format!(
                "{}: {} changed while it ran; the next `cvops repro` runs it again",
                name(stage),
                what.iter()
                    .map(|w| format!("`{w}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
            Event::RecordUnusable { stage, why } => out.note(&format!(
                "{}: the earlier result cannot be used ({why}); running instead",
                name(stage)
            )),
            Event::Finished { stage, how, took } => {
                let took = units::duration(*took);
                match how {
                    Outcome::Ran => out.note(&format!(
                        "{}: {} in {took}",
                        name(stage),
                        out.paint(Style::Good, "done")
                    )),
                    Outcome::Restored => {
                        out.note(&format!(
                            "{}: {} in {took}",
                            name(stage),
                            out.paint(Style::Good, "restored")
                        ));
                    }
                    Outcome::Unchanged => out.note(&format!("{}: unchanged", name(stage))),
                    Outcome::Frozen => out.note(&format!("{}: frozen", name(stage))),
                    // The summary tells how to start it.
                    Outcome::Service => {}
                }
            }
            Event::Failed { stage, error, .. } => {
                self.release(stage);
                diagnostic::show_all(out, &error.to_diagnostics());
            }
            Event::LeftoverStopped { stage } => out.note(&format!(
                "{}: stopped its processes, which a killed cvops left behind",
                name(stage)
            )),
            Event::Ready { stage, url, .. } => out.note(&format!(
                "{} is {} on {url}",
                name(stage),
                out.paint(Style::Good, "ready")
            )),
            Event::Stopping { stages } => {
                let names: Vec<_> = stages.iter().map(|s| format!("`{s}`")).collect();
                if !names.is_empty() {
                    out.note(&format!("stopping {} (again to kill)", names.join(", ")));
                }
            }
        }
    }
}

impl Story<'_> {
    /// Says what holds a stage up.
    fn held_up(&self, event: &Event) -> String {
        match event {
            Event::Waiting {
                stage,
                conflict: Conflict { holder, path },
                elapsed,
            } => format!(
                "{}: waiting for `{}` (pid {}, since {}), which is at `{path}`; {} so far",
                self.out.paint(Style::Strong, stage.as_str()),
                holder.command,
                holder.pid,
                clock::local_time(holder.since),
                units::duration(*elapsed)
            ),
            Event::WaitingForDvc { wait } => {
                let who = wait.holder.as_ref().map_or_else(
                    || "DVC".to_owned(),
                    |holder| format!("`{}` (pid {})", holder.command, holder.pid),
                );
                let elapsed = units::duration(wait.elapsed);
                format!("waiting for {who} to finish, {elapsed} so far")
            }
            Event::Retrying {
                error, attempt, of, ..
            } => {
                let text = format!("{error}; attempt {attempt} of {of} begins");
                self.out.paint(Style::Changed, &text)
            }
            _ => String::new(),
        }
    }

    /// Shows what a stage told when its result was made; `-q` hides it, for it is no news.
    fn tell_again(&self, stage: &StageName, told: &Told) {
        let out = self.out;
        if out.is_quiet() {
            return;
        }
        let mark = out.paint(Style::Dim, &format!("{stage} |"));
        if told.dropped != 0 {
            let lines = units::count(usize::try_from(told.dropped).unwrap_or(usize::MAX), "line");
            out.note(&format!("{mark} ({lines} before these were not kept)"));
        }
        for (stream, line) in &told.lines {
            let text = format!("{mark} {line}");
            match stream {
                Stream::Out => out.result(&text),
                Stream::Err => out.note(&text),
            }
        }
    }
}

/// Says that results come from other versions, which is no reason to run anything.
fn other_versions(summary: &Summary) -> Option<String> {
    let count: usize = summary.other_versions.values().sum();
    let versions: Vec<_> = summary.other_versions.keys().map(String::as_str).collect();
    (count != 0).then(|| {
        format!(
            "{} made by another version of cvops ({}); that is no reason to run anything again",
            if count == 1 {
                "1 restored result was".to_owned()
            } else {
                format!("{count} restored results were")
            },
            versions.join(", ")
        )
    })
}

/// Returns the last line: what happened in all.
pub(in crate::cli) fn summary_text(summary: &Summary) -> String {
    let mut parts = Vec::new();
    for (outcome, word) in [
        (Outcome::Ran, "ran"),
        (Outcome::Restored, "restored"),
        (Outcome::Unchanged, "unchanged"),
        (Outcome::Frozen, "frozen"),
    ] {
        let n = summary.count(outcome);
        if n != 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    if !summary.failed.is_empty() {
        parts.push(format!("{} failed", summary.failed.len()));
    }
    if !summary.not_started.is_empty() {
        parts.push(format!("{} not started", summary.not_started.len()));
    }
    if !summary.declined.is_empty() {
        parts.push(format!("{} not wanted", summary.declined.len()));
    }
    let undone = summary.failed.len() + summary.not_started.len() + summary.declined.len();
    if summary.done.len() + undone == 0 {
        return NO_STAGES.to_owned();
    }
    let done = summary.done.len() - summary.count(Outcome::Service);
    let went_wrong = undone != 0;
    if done == 0 && summary.count(Outcome::Service) != 0 && !went_wrong {
        return String::new();
    }
    if summary.count(Outcome::Unchanged) == done && !went_wrong {
        return format!("everything is up to date ({})", units::count(done, "stage"));
    }
    let total = units::count(done + undone, "stage");
    let all = format!("{total}: {}", parts.join(", "));
    match other_versions(summary) {
        Some(note) => format!("{all}\n{note}"),
        None => all,
    }
}

/// Returns the machine form of the summary.
pub(in crate::cli) fn summary_json(summary: &Summary) -> Value {
    let done: Vec<Value> = summary
        .done
        .iter()
        .map(|(stage, how, took)| {
            json!({"stage": stage.as_str(), "outcome": outcome(*how), "seconds": took.as_secs_f64()})
        })
        .collect();
    let names =
        |stages: &[StageName]| -> Vec<String> { stages.iter().map(ToString::to_string).collect() };
    json!({
        "event": "done",
        "done": done,
        "failed": names(&summary.failed),
        "not_started": names(&summary.not_started),
        "declined": names(&summary.declined),
        "seconds": summary.took.as_secs_f64(),
        "critical_path": timing::critical_json(&summary.critical_path),
        "other_versions": summary.other_versions,
        "files_hashed": summary.files_hashed,
    })
}

fn stream(stream: Stream) -> &'static str {
    match stream {
        Stream::Out => "stdout",
        Stream::Err => "stderr",
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ran => "ran",
        Outcome::Restored => "restored",
        Outcome::Unchanged => "unchanged",
        Outcome::Frozen => "frozen",
        Outcome::Service => "service",
    }
}

fn to_json(event: &Event) -> Value {
    match event {
        Event::Decided { stage, decision } => {
            let (what, because) = match decision {
                StageDecision::Skip(SkipReason::Frozen) => ("skip", &[][..]),
                StageDecision::Skip(SkipReason::Service) => ("service", &[][..]),
                StageDecision::Cached => ("unchanged", &[][..]),
                StageDecision::Restore { because, .. } => ("restore", because.as_slice()),
                StageDecision::Run(because) => ("run", because.as_slice()),
            };
            let reasons: Vec<Value> = because.iter().map(decision::reason_json).collect();
            json!({"event": "decided", "stage": stage.as_str(), "decision": what, "reasons": reasons})
        }
        Event::Waiting {
            stage,
            conflict: Conflict { holder, path },
            elapsed,
        } => json!({
            "event": "waiting", "stage": stage.as_str(), "path": path.as_str(),
            "for": {"pid": holder.pid, "command": holder.command, "since": holder.since},
            "seconds": elapsed.as_secs_f64(),
        }),
        Event::WaitingForDvc { wait } => json!({
            "event": "waiting_for_dvc", "seconds": wait.elapsed.as_secs_f64(),
            "for": wait.holder.as_ref().map(|h| json!({"pid": h.pid, "command": h.command})),
        }),
        Event::Retrying {
            stage,
            error,
            attempt,
            of,
        } => json!({
            "event": "retrying", "stage": stage.as_str(), "attempt": attempt, "of": of,
            "errors": error.to_diagnostics().iter().map(diagnostic::to_json).collect::<Vec<_>>(),
        }),
        Event::Told { stage, told } => {
            let lines: Vec<_> = told
                .lines
                .iter()
                .map(|(from, line)| json!({"stream": stream(*from), "line": line}))
                .collect();
            json!({
                "event": "told", "stage": stage.as_str(), "lines": lines, "dropped": told.dropped,
                "by": told.by, "seconds": told.took.as_secs_f64(),
            })
        }
        Event::Started { stage, command } => {
            json!({"event": "started", "stage": stage.as_str(), "command": command})
        }
        Event::Output {
            stage,
            stream: from,
            line,
        } => json!({
            "event": "output", "stage": stage.as_str(), "line": line, "stream": stream(*from),
        }),
        Event::Saved {
            stage,
            path,
            object,
        } => json!({
            "event": "saved", "stage": stage.as_str(), "path": path.as_str(), "object": object.to_string(),
        }),
        Event::OutsInGit { stage, outs } => json!({
            "event": "outs_in_git", "stage": stage.as_str(),
            "warnings": warnings(outs).iter().map(diagnostic::to_json).collect::<Vec<_>>(),
        }),
        Event::InputsChanged { stage, what } => {
            json!({"event": "inputs_changed", "stage": stage.as_str(), "inputs": what})
        }
        Event::RecordUnusable { stage, why } => {
            json!({"event": "record_unusable", "stage": stage.as_str(), "why": why})
        }
        Event::Finished { stage, how, took } => json!({
            "event": "finished", "stage": stage.as_str(), "outcome": outcome(*how),
            "seconds": took.as_secs_f64(),
        }),
        Event::Failed { stage, error, took } => json!({
            "event": "failed", "stage": stage.as_str(), "seconds": took.as_secs_f64(),
            "errors": error.to_diagnostics().iter().map(diagnostic::to_json).collect::<Vec<_>>(),
        }),
        Event::LeftoverStopped { stage } => {
            json!({"event": "leftover_stopped", "stage": stage.as_str()})
        }
        Event::Ready { stage, url, took } => json!({
            "event": "ready", "stage": stage.as_str(), "url": url, "seconds": took.as_secs_f64(),
        }),
        Event::Stopping { stages } => {
            let names: Vec<String> = stages.iter().map(ToString::to_string).collect();
            json!({"event": "stopping", "stages": names})
        }
    }
}

/// Returns errors that stop nothing.
fn warnings(errors: &[pipeline::Error]) -> Vec<Diagnostic> {
    let mut problems: Vec<_> = errors
        .iter()
        .flat_map(ToDiagnostics::to_diagnostics)
        .collect();
    for problem in &mut problems {
        problem.severity = Severity::Warning;
    }
    problems
}

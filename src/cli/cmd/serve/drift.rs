//! What watches the answers of `cvops serve` for drift: where the detectors are, the command of `on_drift`,
//! and what is told of both. Imports: base, project, serve, `cli::*`.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::base::{Cancel, Diagnostic};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::memory;
use crate::cli::params::here_or_in_root;
use crate::project::{self, Project};
use crate::serve::{
    Config, DriftEvent, DriftFolder, DriftFound, DriftOptions, DriftSource, Given, OnDrift,
    Reaction,
};

use super::Args;

/// Where `cvops drift fit` puts detectors.
const USUAL: &str = "models/drift";
/// How often it is looked whether the command has ended.
const POLL: Duration = Duration::from_millis(50);
/// How long a command may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(2);
/// How long is waited for the last lines of a command that has ended: what it left behind may hold the pipe.
const LAST_LINES: Duration = Duration::from_millis(500);
/// Bytes of a line of the command that reach the log.
const LINE_MAX: u64 = 4096;

/// Returns where the detectors of a model are, if any are to watch it; `of_model` is what it says itself, where
/// several are served.
pub(super) fn source(
    ctx: &Ctx,
    args: &Args,
    config: &Config,
    of_model: Option<&DriftFolder>,
) -> Option<DriftSource> {
    if let Some(dir) = &args.drift {
        return Some(named(ctx, dir.clone()));
    }
    let in_params = |dir: &Path| {
        let folder = args.params.folder(ctx);
        let inside = folder.strip_prefix(&ctx.dir).unwrap_or(&folder);
        named(ctx, inside.join(dir))
    };
    // Detectors are fitted to one model: where several are served, each names its own.
    match of_model.unwrap_or(&config.drift.folder) {
        DriftFolder::Off => None,
        DriftFolder::Named(dir) => Some(in_params(dir)),
        DriftFolder::Usual if of_model.is_some() => None,
        DriftFolder::Usual => {
            let shown = here_or_in_root(ctx, Path::new(USUAL), USUAL);
            Some(DriftSource {
                dir: ctx.dir.join(&shown),
                shown,
                given: Given::Usual,
            })
        }
    }
}

fn named(ctx: &Ctx, shown: PathBuf) -> DriftSource {
    DriftSource {
        dir: ctx.dir.join(&shown),
        shown,
        given: Given::Named,
    }
}

/// Refuses one folder of detectors for several models.
pub(super) fn refuse_for_several(
    args: &Args,
    config: &Config,
    models: usize,
) -> Result<(), CliError> {
    let key = match (&args.drift, &config.drift.folder) {
        (Some(dir), _) => format!("--drift {}", dir.display()),
        (None, DriftFolder::Named(_)) => "serve.drift".to_owned(),
        (None, DriftFolder::Usual | DriftFolder::Off) => return Ok(()),
    };
    if models < 2 {
        return Ok(());
    }
    let text = format!("`{key}` names detectors of one model for {models} models");
    let help =
        "detectors are fitted to one model: name them as `serve.models.NAME.drift` in params.yaml";
    Err(CliError::usage(
        Diagnostic::error("one-drift", text).help(help),
    ))
}

/// Returns where it is kept how detectors stand, and what is done when they find drift; outside of a project
/// there is no place for either.
///
/// # Errors
/// The project cannot be opened: that is not as good as none, nothing would be run when drift is found.
pub(super) fn options(ctx: &Ctx) -> Result<Option<DriftOptions>, CliError> {
    match project::find_root(&ctx.dir) {
        Ok(_) => {}
        Err(project::Error::NotAProject { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let project = ctx.project()?;
    let settings = &project.config.on_drift;
    let reaction = settings.command.as_ref().map(|command| Reaction {
        command: Arc::new(ShellCommand::new(command, &project)),
        period: settings.period,
        after: settings.after,
    });
    Ok(Some(DriftOptions {
        dir: project.layout.drift(),
        reaction,
    }))
}

/// The command of the settings.
struct ShellCommand {
    command: String,
    root: PathBuf,
}

impl ShellCommand {
    fn new(command: &str, project: &Project) -> Self {
        Self {
            command: command.to_owned(),
            root: project.root.clone(),
        }
    }
}

impl OnDrift for ShellCommand {
    fn run(&self, found: &DriftFound, cancel: &Cancel) -> io::Result<ExitStatus> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(&self.command)
            .current_dir(&self.root)
            .envs(variables(found))
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            // A Ctrl-C at the terminal is for the server, which then asks the command to end.
            .process_group(0);
        // Before it is started: a command that nobody listens to would be one that nobody waits for.
        let read = forward(reader)?;
        let mut child = memory::as_before(|| command.spawn())?;
        // It holds the other end of the pipe.
        drop(command);
        let status = wait(&mut child, cancel);
        let _ = read.recv_timeout(LAST_LINES);
        status
    }
}

/// What the command is told, in its environment.
fn variables(found: &DriftFound) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("CVOPS_DRIFT_MODEL", found.model.clone()),
        ("CVOPS_DRIFT_VERSION", found.version.clone()),
        ("CVOPS_DRIFT_DETECTOR", found.detector.clone()),
        ("CVOPS_DRIFT_SINCE", found.since.clone()),
    ];
    for (name, value) in [
        ("CVOPS_DRIFT_P_VALUE", found.p_value),
        ("CVOPS_DRIFT_SCORE", found.score),
        ("CVOPS_DRIFT_THRESHOLD", found.threshold),
    ] {
        variables.extend(value.map(|value| (name, value.to_string())));
    }
    variables
}

/// Writes what the command prints into the log, line by line, on a thread of its own; what is returned
/// hears of the end.
fn forward(reader: io::PipeReader) -> io::Result<Receiver<()>> {
    let (end, ended) = channel();
    let lines = move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while let Ok(1..) = reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line);
            tracing::info!(line = text.trim_end(), "the command of `on_drift`");
            line.clear();
        }
        // Who waited may have gone on.
        let _ = end.send(());
    };
    let thread = std::thread::Builder::new().name("cvops-on-drift-log".to_owned());
    thread.spawn(lines)?;
    Ok(ended)
}

/// Waits for the end of the command, which is asked for when `cancel` is requested.
fn wait(child: &mut Child, cancel: &Cancel) -> io::Result<ExitStatus> {
    let group = Pid::from_child(child);
    let mut asked: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        match asked {
            None if cancel.is_requested() => {
                asked = Some(Instant::now());
                // It may have ended meanwhile.
                let _ = kill_process_group(group, Signal::TERM);
            }
            Some(at) if GRACE <= at.elapsed() => {
                let _ = kill_process_group(group, Signal::KILL);
            }
            None | Some(_) => {}
        }
        std::thread::sleep(POLL);
    }
}

/// Says what happened, for people.
pub(super) fn text(model: &str, event: &DriftEvent) -> String {
    match event {
        DriftEvent::Watching {
            detectors,
            left_out,
        } => {
            let mut text = format!("`{model}` is watched for drift by {}", quoted(detectors));
            if !left_out.is_empty() {
                let _ = write!(
                    text,
                    "; {} cannot look here: embeddings are known of networks that were trained here, \
                     errors to streams alone (`drift.online`)",
                    quoted(left_out)
                );
            }
            text
        }
        DriftEvent::Refused { problem } => {
            format!("`{model}` is NOT watched for drift: {problem}")
        }
        DriftEvent::Found(found) => format!("drift of `{model}` {}", numbers(found)),
        DriftEvent::Started(found) => {
            format!(
                "`on_drift.command` is run: drift of `{model}` {}",
                numbers(found)
            )
        }
        DriftEvent::Ended(Ok(code)) => format!("`on_drift.command` ended with exit code {code}"),
        DriftEvent::Ended(Err(problem)) => format!("`on_drift.command` failed: {problem}"),
    }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn numbers(found: &DriftFound) -> String {
    let mut text = format!("since {}, says `{}`", found.since, found.detector);
    match (found.p_value, found.score, found.threshold) {
        (Some(p), _, Some(threshold)) => {
            let _ = write!(text, ": p = {p:.3e}, below {threshold:.3e}");
        }
        (None, Some(score), Some(threshold)) => {
            let _ = write!(text, ": {score:.4}, above {threshold:.4}");
        }
        _ => {}
    }
    text
}

/// Returns the level of the line that says it in the log.
pub(super) fn level(event: &DriftEvent) -> &'static str {
    match event {
        DriftEvent::Refused { .. } | DriftEvent::Found(_) | DriftEvent::Ended(Err(_)) => "WARN",
        DriftEvent::Ended(Ok(code)) if *code != 0 => "WARN",
        DriftEvent::Watching { .. } | DriftEvent::Started(_) | DriftEvent::Ended(Ok(_)) => "INFO",
    }
}

/// Says what happened, for programs.
pub(super) fn json_event(model: &str, event: &DriftEvent) -> Value {
    let of_found = |event: &str, found: &DriftFound| {
        json!({
            "event": event, "model": model, "version": found.version, "detector": found.detector,
            "p_value": found.p_value, "score": found.score, "threshold": found.threshold,
            "since": found.since,
        })
    };
    match event {
        DriftEvent::Watching {
            detectors,
            left_out,
        } => json!({
            "event": "drift_watched", "model": model, "detectors": detectors, "left_out": left_out,
        }),
        DriftEvent::Refused { problem } => {
            json!({"event": "drift_refused", "model": model, "problem": problem})
        }
        DriftEvent::Found(found) => of_found("drift", found),
        DriftEvent::Started(found) => of_found("on_drift_started", found),
        DriftEvent::Ended(ended) => json!({
            "event": "on_drift_ended", "model": model,
            "exit_code": ended.as_ref().ok(), "problem": ended.as_ref().err(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CancelReason;

    fn shell(command: &str, root: &Path) -> ShellCommand {
        ShellCommand {
            command: command.to_owned(),
            root: root.to_owned(),
        }
    }

    fn found() -> DriftFound {
        DriftFound {
            model: "digits".to_owned(),
            version: "3".to_owned(),
            detector: "softmax".to_owned(),
            p_value: Some(0.00025),
            score: None,
            threshold: Some(0.005),
            since: "2026-03-01T10:00:00Z".to_owned(),
        }
    }

    #[test]
    fn a_command_is_told_what_was_found_and_runs_in_the_project() {
        let dir = tempfile::tempdir().unwrap();
        let command = "env | grep ^CVOPS_DRIFT_ | sort > said; echo printed; exit 3";
        let status = shell(command, dir.path()).run(&found(), &Cancel::new());
        assert_eq!(status.unwrap().code(), Some(3));
        let said = std::fs::read_to_string(dir.path().join("said")).unwrap();
        assert_eq!(
            said,
            "CVOPS_DRIFT_DETECTOR=softmax\nCVOPS_DRIFT_MODEL=digits\nCVOPS_DRIFT_P_VALUE=0.00025\n\
             CVOPS_DRIFT_SINCE=2026-03-01T10:00:00Z\nCVOPS_DRIFT_THRESHOLD=0.005\nCVOPS_DRIFT_VERSION=3\n"
        );
    }

    #[test]
    fn a_command_ends_with_the_server_and_what_it_left_behind_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::new();
        cancel.request(CancelReason::Terminated);
        let status = shell("sleep 1000", dir.path()).run(&found(), &cancel);
        assert_eq!(status.unwrap().code(), None);
        // It holds the pipe and outlives the command.
        let command = "sleep 1000 & echo $! > pid";
        let status = shell(command, dir.path()).run(&found(), &Cancel::new());
        assert_eq!(status.unwrap().code(), Some(0));
        let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        let nowhere = shell("true", &dir.path().join("none"));
        assert!(nowhere.run(&found(), &Cancel::new()).is_err());
    }

    #[test]
    fn what_is_told_names_the_numbers() {
        let told = text("digits", &DriftEvent::Found(found()));
        assert_eq!(
            told,
            "drift of `digits` since 2026-03-01T10:00:00Z, says `softmax`: p = 2.500e-4, below 5.000e-3"
        );
        let watching = DriftEvent::Watching {
            detectors: vec!["softmax".to_owned(), "label".to_owned()],
            left_out: vec!["embedding".to_owned()],
        };
        let told = text("digits", &watching);
        assert!(told.starts_with(
            "`digits` is watched for drift by `softmax`, `label`; `embedding` cannot look here"
        ));
        let ended = json_event("digits", &DriftEvent::Ended(Err("no such file".to_owned())));
        assert_eq!(
            (&ended["exit_code"], &ended["problem"]),
            (&Value::Null, &json!("no such file"))
        );
    }
}

//! `cvops serve`: answer prediction requests over HTTP.

mod drift;
mod figures;
mod keys;
mod lock;
mod models;
mod registry;
mod transport;

use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use clap::Subcommand;
use serde_json::{Value, json};

use crate::base::doc::Problems;
use crate::base::{CancelReason, Diagnostic, clock, units};
use crate::cli::args::LogFormat;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::memory;
use crate::cli::out::Form;
use crate::cli::params::{ParamsArg, section};
use crate::cli::render::diagnostic;
use crate::cli::systemd;
use crate::http::Drained;
use crate::serve::{
    self, About, Absence, Build, Config, KeySource, Observer, Options, Role, ServerEvent,
};

use models::{NamedModel, Prepared, model_arg, model_name};
use transport::TransportArgs;

/// Answer prediction requests over HTTP
///
/// Serves the model at `POST /predict` (a picture as form field `file`, as the body, or as
/// base64 in JSON), with `/health/ready`, `/metrics`, `/docs` and a page to drop a picture on at
/// `/`. Without a model it starts and waits for one. A model of the registry is followed: when its
/// alias moves to another version, the server moves with it. Ctrl-C and SIGTERM let open requests finish.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  cvops serve\n  cvops serve --model models/classifier --port 8080\n  cvops serve --model models:/classifier@champion\n  curl -F file=@photo.jpg http://127.0.0.1:5001/predict"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Address to listen on, `0.0.0.0` for all (default: `serve.host`, else 127.0.0.1)
    #[arg(long, value_name = "ADDRESS", conflicts_with = "unix")]
    host: Option<String>,
    /// Port to listen on, 0 for any free one (default: `serve.port`, else 5001)
    #[arg(long, value_name = "PORT", conflicts_with = "unix")]
    port: Option<u16>,
    #[command(flatten)]
    transport: TransportArgs,
    /// Folder of the model, an ONNX file, or `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `models:/NAME/latest`;
    /// several times, each as `NAME=MODEL` if you like, for several models (default: `serve.models`, else
    /// models/classifier)
    #[arg(long, value_name = "MODEL", value_parser = model_arg)]
    model: Vec<NamedModel>,
    /// Name under which the one model is served (default: the folder's or the registered model's name)
    #[arg(long, value_name = "NAME", value_parser = model_name)]
    name: Option<String>,
    /// Bring the model and all it needs up to date first
    #[arg(long)]
    repro: bool,
    /// Refuse a model that is not the one that `pipeline.lock` records
    #[arg(long)]
    strict: bool,
    /// Folder of the fitted detectors that watch the answers for drift (default: `serve.drift`, else
    /// models/drift if it is there)
    #[arg(long, value_name = "DIR")]
    drift: Option<PathBuf>,
    /// File of the keys that requests must bring (default: `serve.keys`, else that of the project)
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    #[command(flatten)]
    params: ParamsArg,
}

#[derive(Debug, Subcommand)]
enum Action {
    Keys(keys::Args),
}

impl Args {
    /// Returns how log lines look.
    pub(in crate::cli) fn log_format(&self) -> LogFormat {
        self.log_format
    }
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    if let Some(Action::Keys(args)) = &args.action {
        return keys::run(ctx, args);
    }
    let (config, keys) = config(ctx, args)?;
    let models = match models::prepare(ctx, args, &config)? {
        Prepared::Models(models) => models,
        Prepared::Not(outcome) => return Ok(outcome),
    };
    let options = Options {
        config,
        models,
        build: BUILD,
        // Outside of a project there is no place for it, and nobody who asked for it.
        log: ctx
            .project()
            .ok()
            .map(|project| project.layout.predictions()),
        keys,
        drift: drift::options(ctx)?,
        watcher: systemd::watcher(),
        give_back: ctx.give_back,
    };
    // Once more: after `--repro`, or where the command line was not understood.
    memory::small_pages();
    let drained = serve(ctx, options, args.log_format)?;
    if 0 < drained.aborted {
        let requests = units::count(drained.aborted as usize, "request");
        let text = format!("{requests} did not finish in time and had to be cut off");
        let warning = Diagnostic::warning("drain", text)
            .help("raise `serve.drain_timeout_s` in params.yaml if requests may take longer");
        diagnostic::show_all(&ctx.out, &[warning]);
    }
    Ok(match ctx.cancel.reason() {
        Some(CancelReason::Interrupted | CancelReason::SecondInterrupt) => Outcome::Interrupted,
        _ if drained.aborted == 0 => Outcome::Done,
        _ => Outcome::Failed,
    })
}

/// What this program is; a build that knows its commit and compiler says so.
const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    commit: match option_env!("CVOPS_COMMIT") {
        Some(commit) => commit,
        None => "unknown",
    },
    rustc: match option_env!("CVOPS_RUSTC") {
        Some(rustc) => rustc,
        None => "unknown",
    },
    features: match (
        cfg!(feature = "onnx"),
        cfg!(feature = "cuda"),
        cfg!(feature = "wgpu"),
    ) {
        (false, false, false) => "vision",
        (false, false, true) => "vision,wgpu",
        (false, true, false) => "vision,cuda",
        (false, true, true) => "vision,cuda,wgpu",
        (true, false, false) => "vision,onnx",
        (true, false, true) => "vision,onnx,wgpu",
        (true, true, false) => "vision,onnx,cuda",
        (true, true, true) => "vision,onnx,cuda,wgpu",
    },
};

/// Reads the section `serve`, and says where the keys are; flags go before it.
fn config(ctx: &Ctx, args: &Args) -> Result<(Config, Option<KeySource>), CliError> {
    let document = args.params.document_of_project(ctx)?;
    let problems = Problems::new(&document);
    let config = Config::read(section(ctx, &problems, "serve"));
    let mut config = problems.into_result(config)?;
    if let Some(host) = &args.host {
        config.host.clone_from(host);
    }
    if let Some(port) = args.port {
        config.port = port;
    }
    if args.host.is_some() || args.port.is_some() {
        config.transport.unix = None;
    }
    config.transport.relative_to(&args.params.folder(ctx));
    args.transport.apply(ctx, &mut config.transport)?;
    let of_config = keys::of_config(ctx, &document, &config);
    let keys = keys::source(ctx, args.keys.as_deref(), of_config)?;
    Ok((config, keys))
}

/// Serves, and tells what happens, one line each: on stdout for programs, on stderr for people and for who
/// collects the log.
fn serve(ctx: &Ctx, options: Options, format: LogFormat) -> Result<Drained, serve::Error> {
    let (sender, events) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while let Ok(Some(event)) = events.recv() {
                let text = event_text(&event);
                systemd::status(&text);
                match (ctx.out.form, format) {
                    (Form::Json, _) => ctx.out.json(&event_json(&event)),
                    (Form::Text | Form::Md, LogFormat::Json) => {
                        ctx.out.note(&log_line(&event, &text));
                    }
                    (Form::Text | Form::Md, LogFormat::Text) => ctx.out.note(&text),
                }
            }
        });
        let teller = sender.clone();
        let observe: Observer = Arc::new(move |event| {
            // Nobody listens any more once the server has ended.
            let _ = teller.send(Some(event));
        });
        let drained = serve::run(options, &ctx.cancel, &observe);
        let _ = sender.send(None);
        drained
    })
}

/// Returns what happened as a line of the log, in the form of its other lines.
fn log_line(event: &ServerEvent, text: &str) -> String {
    let mut line = json!({
        "timestamp": clock::now().to_string(), "level": level(event), "message": text,
        "target": "cvops::serve",
    });
    if let (Some(line), Value::Object(event)) = (line.as_object_mut(), event_json(event)) {
        line.extend(event);
    }
    line.to_string()
}

/// Does somebody have to look at it?
fn level(event: &ServerEvent) -> &'static str {
    match event {
        ServerEvent::Broken { .. } | ServerEvent::Behind { .. } => "WARN",
        ServerEvent::Drift { event, .. } => drift::level(event),
        ServerEvent::Listening { .. }
        | ServerEvent::NoModel { .. }
        | ServerEvent::Ready { .. }
        | ServerEvent::Draining => "INFO",
    }
}

fn event_text(event: &ServerEvent) -> String {
    // What answers is the rule; the others say what they are.
    let whose = |about: &About| match about.role {
        Role::Main => String::new(),
        Role::Canary | Role::Shadow => format!("{} of `{}`: ", about.role.label(), about.model),
    };
    match event {
        ServerEvent::Listening { at, metrics } => match metrics {
            Some(addr) => format!("listening on {at}, metrics on http://{addr}/metrics"),
            None => format!("listening on {at}"),
        },
        ServerEvent::NoModel { about, said, .. } => format!("{}{said}", whose(about)),
        ServerEvent::Ready {
            about,
            version,
            classes,
            took,
        } => format!(
            "{}ready: {}`{}` with {}, loaded in {}",
            whose(about),
            version
                .as_ref()
                .map_or_else(String::new, |version| format!("version {version} of ")),
            about.model,
            // Fewer than two are no classifier.
            format_args!("{classes} classes"),
            units::duration(*took)
        ),
        ServerEvent::Broken { about, problem } => {
            format!("{}the model cannot be loaded yet: {problem}", whose(about))
        }
        ServerEvent::Behind {
            about,
            wanted: Some(_),
            serving,
            problem,
        } => format!("{}{problem}; version {serving} goes on", whose(about)),
        ServerEvent::Behind {
            about,
            wanted: None,
            serving,
            problem,
        } => format!(
            "{}the registry names no version any more: {problem}; version {serving} goes on",
            whose(about)
        ),
        ServerEvent::Drift { model, event } => drift::text(model, event),
        ServerEvent::Draining => "finishing open requests".to_owned(),
    }
}

fn event_json(event: &ServerEvent) -> Value {
    let about = |about: &About, mut event: Value| {
        event["model"] = json!(about.model);
        event["role"] = json!(about.role.label());
        event
    };
    match event {
        ServerEvent::Listening { at, metrics } => transport::listening(at, *metrics),
        ServerEvent::NoModel {
            about: whose,
            absence: Absence::File(missing),
            ..
        } => about(whose, json!({"event": "no_model", "missing": missing})),
        ServerEvent::NoModel {
            about: whose,
            absence: Absence::Version(problem),
            ..
        } => about(
            whose,
            json!({"event": "no_model", "missing": null, "problem": problem}),
        ),
        ServerEvent::Ready {
            about: whose,
            version,
            classes,
            took,
        } => {
            let seconds = took.as_secs_f64();
            let mut event = json!({"event": "ready", "classes": classes, "seconds": seconds});
            if let Some(version) = version {
                event["version"] = json!(version);
            }
            about(whose, event)
        }
        ServerEvent::Behind {
            about: whose,
            wanted,
            serving,
            problem,
        } => about(
            whose,
            json!({"event": "behind", "wanted": wanted, "serving": serving, "problem": problem}),
        ),
        ServerEvent::Broken {
            about: whose,
            problem,
        } => about(whose, json!({"event": "broken", "problem": problem})),
        ServerEvent::Drift { model, event } => drift::json_event(model, event),
        ServerEvent::Draining => json!({"event": "draining"}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_has_the_fields_of_the_others_and_those_of_the_event() {
        let line = |event: &ServerEvent| -> Value {
            serde_json::from_str(&log_line(event, &event_text(event))).unwrap()
        };
        let ended = line(&ServerEvent::Draining);
        assert_eq!(ended["message"], "finishing open requests");
        assert_eq!(
            (&ended["event"], &ended["level"], &ended["target"]),
            (&json!("draining"), &json!("INFO"), &json!("cvops::serve"))
        );
        let timestamp = ended["timestamp"].as_str().unwrap();
        assert!(timestamp.ends_with('Z'), "{timestamp}");
        let refused = line(&ServerEvent::Drift {
            model: "digits".to_owned(),
            event: serve::DriftEvent::Refused {
                problem: "of another model".to_owned(),
            },
        });
        assert_eq!(
            (&refused["level"], &refused["problem"], &refused["model"]),
            (&json!("WARN"), &json!("of another model"), &json!("digits"))
        );
    }
}

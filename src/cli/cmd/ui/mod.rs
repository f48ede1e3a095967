//! `cvops ui`: the tracking server of the project, and who may use it.

#[cfg(feature = "vision")]
mod eye;
mod secret;
mod server;
mod token;
mod user;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use crate::base::{CancelReason, Diagnostic, units};
use crate::cli::args::LogFormat;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::render::diagnostic;
use crate::http::Drained;
use crate::mlflow::{self, Options, ServerEvent};
use crate::project::Project;
use crate::track::Tracking;
use crate::ui::{self, Site};

/// How long open requests get after Ctrl-C.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Serve runs, artifacts and models to MLflow's clients
///
/// Answers MLflow's REST API, so `MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python train.py` logs into
/// the project unchanged. Uploaded files are kept in the project's cache, identical ones once. Ctrl-C
/// and SIGTERM let open requests finish.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  cvops ui\n  cvops ui --port 5050\n  MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python train.py"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Address to listen on, `0.0.0.0` for all; beyond this machine there must be users
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on, 0 for any free one
    #[arg(long, value_name = "PORT", default_value_t = 5000)]
    port: u16,
    /// Another name that requests may be sent to, such as that of a proxy on this machine (repeatable)
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Where the project's prediction server answers (default: where the section `serve` of
    /// params.yaml says, else `http://127.0.0.1:5001`)
    #[arg(long, value_name = "URL")]
    serve_url: Option<String>,
    /// The largest file that may be uploaded, MiB
    #[arg(long, value_name = "MIB", default_value_t = 10240, value_parser = clap::value_parser!(u32).range(1..))]
    upload_max: u32,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Action {
    User(user::Args),
    Token(token::Args),
}

impl Args {
    /// Returns how log lines look.
    pub(in crate::cli) fn log_format(&self) -> LogFormat {
        self.log_format
    }
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    match &args.action {
        None => serve(ctx, args),
        Some(Action::User(args)) => user::run(ctx, args),
        Some(Action::Token(args)) => token::run(ctx, args),
    }
}

/// Opens the record for a command that is about somebody who should be in it. Creates nothing before
/// there is something to write.
fn open(project: &Project) -> Result<Option<Tracking>, CliError> {
    Ok(Tracking::open_existing(&project.layout)?)
}

fn serve(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    ctx.listen();
    let site = Site::new(ui::Options {
        project: project.clone(),
        serve_url: match &args.serve_url {
            Some(url) => url.clone(),
            None => server::url(&project),
        },
        eye: eye(),
        env: ctx.env.all().clone(),
    });
    let options = Options {
        host: args.host.clone(),
        port: args.port,
        allowed_hosts: args.allow_host.clone(),
        upload_bytes_max: u64::from(args.upload_max) << 20,
        drain_timeout: DRAIN_TIMEOUT,
        project,
        pages: Some(Arc::new(site)),
    };
    let drained = listen(ctx, options)?;
    if 0 < drained.aborted {
        let requests = units::count(drained.aborted as usize, "request");
        let text = format!("{requests} did not finish in time and had to be cut off");
        diagnostic::show_all(&ctx.out, &[Diagnostic::warning("drain", text)]);
    }
    Ok(match ctx.cancel.reason() {
        Some(CancelReason::Interrupted | CancelReason::SecondInterrupt) => Outcome::Interrupted,
        _ if drained.aborted == 0 => Outcome::Done,
        _ => Outcome::Failed,
    })
}

/// Returns what sees pictures.
#[cfg(feature = "vision")]
#[expect(
    clippy::unnecessary_wraps,
    reason = "a program without vision sees none"
)]
fn eye() -> Option<Arc<dyn ui::Eye>> {
    Some(Arc::new(eye::VisionEye))
}

/// A program without vision sees no pictures.
#[cfg(not(feature = "vision"))]
fn eye() -> Option<Arc<dyn ui::Eye>> {
    None
}

/// Serves, and tells what happens, one line each: on stdout for programs, on stderr for people.
fn listen(ctx: &Ctx, options: Options) -> Result<Drained, mlflow::Error> {
    let (sender, events) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for event in events {
                if ctx.out.form == Form::Json {
                    ctx.out.json(&event_json(event));
                } else {
                    ctx.out.note(&event_text(event));
                }
            }
        });
        let drained = mlflow::run(options, &ctx.cancel, &|event| {
            // Nobody listens any more once the server has ended.
            let _ = sender.send(event);
        });
        drop(sender);
        drained
    })
}

fn event_text(event: ServerEvent) -> String {
    match event {
        ServerEvent::Listening { addr } => {
            format!("listening on http://{addr}: MLFLOW_TRACKING_URI=http://{addr}")
        }
        ServerEvent::Draining => "finishing open requests".to_owned(),
    }
}

fn event_json(event: ServerEvent) -> serde_json::Value {
    match event {
        ServerEvent::Listening { addr } => json!({
            "event": "listening", "host": addr.ip().to_string(), "port": addr.port(),
            "url": format!("http://{addr}"),
        }),
        ServerEvent::Draining => json!({"event": "draining"}),
    }
}

//! `cvops health`: ask a server whether it is well; for health checks of containers.

use std::time::Duration;

use serde_json::json;

use crate::base::probe::{ProbeError, probe};
use crate::base::{Diagnostic, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;

/// Ask a server whether it is ready: exit 0 if it answers 2xx, 1 if not
///
/// Needs no shell and no curl, so it serves as the health check of a container.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops health                                     is the prediction server ready?\n  cvops health http://127.0.0.1:9090/-/healthy     is Prometheus well?\n  cvops health unix:/run/cvops/cvops.sock          is the one at this socket ready?\n\nIn a compose file:\n  healthcheck: {test: [CMD, cvops, health]}"
)]
pub(in crate::cli) struct Args {
    /// What to ask (no TLS), or `unix:PATH` for the prediction server at a Unix socket
    #[arg(
        default_value = "http://127.0.0.1:5001/health/ready",
        value_name = "URL"
    )]
    url: String,
    /// How long to wait for the answer: seconds, or with `ms`, `s`, `m`
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    timeout: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    units::parse_duration(text).ok_or_else(|| format!("expected {}", units::DURATION_FORM))
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let url = &args.url;
    let (status, trouble) = match probe(url, args.timeout) {
        Ok(answer) if answer.is_well() => (Some(answer.status), None),
        Ok(answer) => {
            let trouble = answer.told(url);
            (Some(answer.status), Some(trouble))
        }
        Err(error @ ProbeError::BadUrl { .. }) => {
            let diagnostic = Diagnostic::error("bad-url", error.to_string())
                .help("for example `cvops health http://127.0.0.1:5001/health/ready`");
            return Err(CliError::usage(diagnostic));
        }
        Err(
            error @ (ProbeError::UnknownHost { .. }
            | ProbeError::Refused { .. }
            | ProbeError::TimedOut { .. }
            | ProbeError::Broken { .. }),
        ) => (None, Some(error.to_string())),
    };
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({
            "url": url, "ok": trouble.is_none(), "status": status, "error": trouble,
        }));
    } else {
        match &trouble {
            None => ctx.out.note(&format!("`{url}` is well")),
            // One line: what runs health checks keeps the last few.
            Some(trouble) => ctx.out.error(&format!("error: {trouble}")),
        }
    }
    Ok(match trouble {
        None => Outcome::Done,
        Some(_) => Outcome::Failed,
    })
}

//! `cvops runs push`: send runs that wait to the server of `tracking.uri`.

use serde_json::json;

use crate::base::{Diagnostic, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::forwarding::{self, Forwarder, Until};
use crate::cli::out::Form;
use crate::cli::render::diagnostic;
use crate::project::Project;
use crate::track::Tracking;
use crate::track::db::Span;

/// Send runs that wait to the server of `tracking.uri`
///
/// A repro sends its runs itself; what the server did not take then is sent now, and what has changed
/// since, such as tags.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops config tracking.uri http://mlflow.example.org:5000\n  cvops runs push\n  cvops runs push --all  also the runs of before"
)]
pub(super) struct Args {
    /// Also runs that were recorded before `tracking.uri` was set
    #[arg(long)]
    all: bool,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    // A pipeline that cannot be read has no metrics files to send; the runs are sent all the same.
    let graph = Ctx::graph(project).ok();
    let Some(forwarder) = Forwarder::of(ctx, project, graph.as_ref()) else {
        return Err(CliError::usage(
            Diagnostic::error("no-tracking-uri", "`tracking.uri` is not set")
                .help("name the server: `cvops config tracking.uri http://127.0.0.1:5000`"),
        ));
    };
    let uri = forwarder.uri().to_owned();
    let mut tracking = super::open(project)?;
    tracking.change(|writing| {
        if args.all {
            writing.forward_all(&uri)
        } else {
            writing.forward_from_now(&uri)
        }
    })?;
    drop::<Tracking>(tracking);
    let passed = forwarder.pass(Span::All, Until::Interrupt(&ctx.cancel))?;
    if ctx.out.form == Form::Json {
        let waiting: Vec<_> = passed
            .left
            .iter()
            .map(|left| json!({"id": left.id, "name": left.name, "problem": left.problem}))
            .collect();
        ctx.out
            .json(&json!({"uri": uri, "sent": passed.sent, "waiting": waiting}));
    } else {
        let runs = units::count(passed.sent, "run");
        ctx.out
            .result(&if passed.sent == 0 && passed.left.is_empty() {
                format!("`{uri}` has all runs")
            } else {
                format!("sent {runs} to `{uri}`")
            });
        let going_on = passed.left.iter().filter(|left| left.problem.is_none());
        let going_on = going_on.count();
        if 0 < going_on && passed.ended_by.is_none() {
            let runs = units::count(going_on, "run");
            ctx.out.note(&format!("{runs} not at an end yet"));
        }
    }
    diagnostic::show_all(&ctx.out, &forwarding::warnings(&uri, &passed));
    Ok(if ctx.cancel.is_requested() {
        Outcome::Interrupted
    } else if passed.is_well() {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

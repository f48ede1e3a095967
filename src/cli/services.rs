//! Services at the end of a `repro`: which there are, and running those that were named.
//! Imports: base, pipeline, ctx, render.

use std::ffi::OsString;

use serde_json::json;

use crate::base::{Cancel, CancelReason};
use crate::pipeline::execute::service::{self, Ended};
use crate::pipeline::workspace::Files;
use crate::pipeline::{Plan, StageSpec, words};

use super::ctx::Ctx;
use super::error::CliError;
use super::exit::Outcome;
use super::out::{Form, Style};
use super::render::events::Story;

/// Says of the services of `plan` that are not started how that is done.
pub(super) fn mention(ctx: &Ctx, plan: &Plan<'_>) {
    for index in plan.order() {
        let stage = &plan.graph().stages()[*index];
        if stage.service.is_some() && !plan.services().contains(index) {
            let name = stage.name.as_str();
            let shown = ctx.out.paint(Style::Strong, name);
            ctx.out.note(&words::is_a_service(&shown, name));
        }
    }
}

/// Says which services a repro of `plan` would start.
pub(super) fn announce(ctx: &Ctx, plan: &Plan<'_>) {
    for stage in chosen(plan) {
        let shown = ctx.out.paint(Style::Strong, stage.name.as_str());
        ctx.out.note(&format!("{shown} would start"));
    }
}

/// Makes sure, before an hour of training, that the services `plan` was asked for can start.
pub(super) fn preflight(
    plan: &Plan<'_>,
    files: &Files<'_>,
    story: &Story<'_>,
) -> Result<(), CliError> {
    Ok(service::check(&chosen(plan), files, story)?)
}

fn chosen<'g>(plan: &Plan<'g>) -> Vec<&'g StageSpec> {
    let stages = plan.graph().stages();
    plan.services().iter().map(|&i| &stages[i]).collect()
}

/// Runs the services that `plan` was asked for until `stop` or the end of one.
pub(super) fn run_until(
    plan: &Plan<'_>,
    files: &Files<'_>,
    env: &[(String, OsString)],
    stop: &Cancel,
    story: &Story<'_>,
) -> Result<Ended, CliError> {
    Ok(service::run(&chosen(plan), files, env, stop, story)?)
}

/// Runs the services that `plan` was asked for, in the foreground, until Ctrl-C or the end of one.
/// Call it without the project lock, when all they need is up to date.
pub(super) fn run(
    ctx: &Ctx,
    plan: &Plan<'_>,
    files: &Files<'_>,
    env: &[(String, OsString)],
    story: &Story<'_>,
) -> Result<Outcome, CliError> {
    let ended = run_until(plan, files, env, &ctx.cancel, story)?;
    Ok(match ended {
        Ended::Failed => Outcome::Failed,
        // As `cvops serve` ends: SIGTERM is how a service is stopped, Ctrl-C interrupts a user's command.
        Ended::Stopped if ctx.cancel.reason() == Some(CancelReason::Terminated) => {
            if ctx.out.form == Form::Json {
                ctx.out.json(&json!({"event": "stopped"}));
            }
            Outcome::Done
        }
        Ended::Stopped => {
            if ctx.out.form == Form::Json {
                ctx.out.json(&json!({"event": "interrupted"}));
            }
            Outcome::Interrupted
        }
    })
}

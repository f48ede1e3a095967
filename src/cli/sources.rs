//! Recording changed data anew at the start of a repro, and saying so.

use serde_json::json;

use crate::pipeline::Plan;
use crate::pipeline::sources;
use crate::pipeline::workspace::Files;

use super::ctx::Ctx;
use super::error::CliError;
use super::out::Form;
use super::render::decision;

/// Lets the pointers whose data the plan reads record what is there.
pub(super) fn record(ctx: &Ctx, plan: &Plan<'_>, files: &Files<'_>) -> Result<(), CliError> {
    let graph = plan.graph();
    for change in sources::record(files, graph, plan.pointers().iter().copied())?.changes {
        if ctx.out.form == Form::Json {
            let mut event = decision::source_json(graph, &change);
            event["event"] = json!("recorded");
            ctx.out.json(&event);
            continue;
        }
        let pointer = &graph.pointers()[change.pointer].file;
        let because = decision::source_because(&change);
        ctx.out
            .note(&format!("{pointer}: recorded anew: {because}"));
    }
    Ok(())
}

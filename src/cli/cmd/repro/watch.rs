//! `cvops repro --watch`: again and again, whenever something changes that the stages read.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use serde_json::json;

use super::{Args, pass};
use crate::base::{Cancel, CancelReason, Diagnostic, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::{ErrorClass, Outcome};
use crate::cli::out::{Form, Style};
use crate::cli::render::diagnostic;
use crate::cli::render::events::Story;
use crate::cli::services;
use crate::pipeline::Plan;
use crate::pipeline::inputs::RunKey;
use crate::pipeline::watch::{Snapshot, Sources, Waited};
use crate::pipeline::workspace::{Files, Workspace};
use crate::project::Project;

/// How many changed files are named.
const NAMED_MAX: usize = 3;
/// How often somebody who waits for a service to end looks whether the user is impatient.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Runs until the user stops it. A failure is told and waits for the next change.
pub(super) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    std::thread::scope(|scope| {
        let mut serving: Option<Serving<'_>> = None;
        let mut watched: Option<Sources> = None;
        loop {
            let project = ctx.project()?;
            let once = once(ctx, args, &project, watched.as_ref(), serving.as_ref());
            let (sources, before, wanted) = match once {
                Ok(once) => once,
                Err(error) => {
                    let Some(diagnostics) = worth_waiting(&error) else {
                        return Err(error);
                    };
                    diagnostic::show_all(&ctx.out, &diagnostics);
                    let known = watched.take().unwrap_or_default();
                    let sources = known.and(&Sources::of_broken(&project));
                    let before = sources.snapshot();
                    (sources, before, None)
                }
            };
            if let Some(keys) = wanted
                && !ctx.cancel.is_requested()
                && serving
                    .as_ref()
                    .is_none_or(|s| s.is_over() || s.keys != keys)
            {
                if let Some(old) = serving.take() {
                    old.stop(&ctx.cancel);
                }
                serving = Some(Serving::start(scope, ctx, args, keys));
            }
            let waited = wait(ctx, &project, &sources, &before);
            watched = Some(sources);
            if waited == Waited::Stopped {
                break;
            }
        }
        if let Some(serving) = serving {
            serving.stop(&ctx.cancel);
        }
        if ctx.out.form == Form::Json {
            ctx.out.json(&json!({"event": "interrupted"}));
        }
        Ok(Outcome::Interrupted)
    })
}

/// Returns what to show of an error that a change of the user's files may mend.
fn worth_waiting(error: &CliError) -> Option<Vec<Diagnostic>> {
    (error.class != ErrorClass::Interrupted).then(|| error.diagnostics.clone())
}

/// The inputs of the services that are wanted, by name.
type Keys = BTreeMap<String, RunKey>;

/// Brings everything up to date once; returns what was read, as it was before, and the services that
/// should run now.
fn once(
    ctx: &Ctx,
    args: &Args,
    project: &Project,
    watched: Option<&Sources>,
    serving: Option<&Serving<'_>>,
) -> Result<(Sources, Snapshot, Option<Keys>), CliError> {
    let graph = args.graph(ctx, project)?;
    let plan = args.plan(ctx, project, &graph)?;
    let sources = Sources::of(project, &plan);
    let before = sources.snapshot();
    let files = Files::open(project, &ctx.cancel);
    let story = Story::new(&ctx.out);
    if serving.is_none_or(Serving::is_over) {
        services::preflight(&plan, &files, &story)?;
    }
    let summary = match pass(ctx, args, &files, &plan, &story) {
        Ok(summary) => summary,
        Err(error) => {
            let Some(diagnostics) = worth_waiting(&error) else {
                return Err(error);
            };
            diagnostic::show_all(&ctx.out, &diagnostics);
            return Ok((sources, before, None));
        }
    };
    if watched.is_none() {
        services::mention(ctx, &plan);
    }
    let went_well = summary.failed.is_empty() && !plan.services().is_empty();
    let wanted = went_well.then(|| keys(ctx, &files, &plan)).transpose()?;
    Ok((sources, before, wanted))
}

fn keys(ctx: &Ctx, files: &Files<'_>, plan: &Plan<'_>) -> Result<Keys, CliError> {
    let mut workspace = Workspace::new(files, ctx.env.all());
    let mut keys = Keys::new();
    for &index in plan.services() {
        let stage = &plan.graph().stages()[index];
        let inputs = workspace.inputs(stage, &BTreeMap::new())?;
        keys.insert(stage.name.to_string(), RunKey::of(stage, &inputs));
    }
    Ok(keys)
}

/// Waits for a change, and says for what and of what.
fn wait(ctx: &Ctx, project: &Project, sources: &Sources, before: &Snapshot) -> Waited {
    let count = sources.count();
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({"event": "watching", "paths": count}));
    }
    let text = format!("watching {}; Ctrl-C ends it", units::count(count, "path"));
    ctx.out.note(&ctx.out.paint(Style::Dim, &text));
    let waited = sources.wait(before, &ctx.cancel);
    if let Waited::Changed(paths) = &waited {
        let relative = |path: &Path| {
            let inside = path.strip_prefix(&project.root).unwrap_or(path);
            inside.display().to_string()
        };
        let names: Vec<String> = paths.iter().map(|path| relative(path)).collect();
        if ctx.out.form == Form::Json {
            ctx.out.json(&json!({"event": "changed", "paths": names}));
        }
        let mut text = names
            .iter()
            .take(NAMED_MAX)
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        if NAMED_MAX < names.len() {
            text.push_str(&format!(" and {} more", names.len() - NAMED_MAX));
        }
        ctx.out.note(&format!("{text} changed"));
    }
    waited
}

/// Services that run while sources are watched.
struct Serving<'scope> {
    keys: Keys,
    stop: Cancel,
    thread: ScopedJoinHandle<'scope, ()>,
}

impl<'scope> Serving<'scope> {
    /// Starts the services that `args` name.
    fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        ctx: &'env Ctx,
        args: &'env Args,
        keys: Keys,
    ) -> Self {
        let stop = Cancel::new();
        let heard = stop.clone();
        let thread = scope.spawn(move || {
            if let Err(error) = serve(ctx, args, &heard) {
                diagnostic::show_all(&ctx.out, &error.diagnostics);
            }
        });
        Self { keys, stop, thread }
    }

    fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Stops them, and waits until they are gone; how urgently says `user`.
    fn stop(self, user: &Cancel) {
        self.stop.request(CancelReason::Terminated);
        while !self.thread.is_finished() {
            if let Some(reason) = user.reason() {
                self.stop.request(reason);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn serve(ctx: &Ctx, args: &Args, stop: &Cancel) -> Result<(), CliError> {
    let project = ctx.project()?;
    let graph = args.graph(ctx, &project)?;
    let plan = args.plan(ctx, &project, &graph)?;
    let files = Files::open(&project, stop);
    let story = Story::new(&ctx.out);
    let env = ctx.env.for_stages();
    services::run_until(&plan, &files, &env, stop, &story)?;
    Ok(())
}

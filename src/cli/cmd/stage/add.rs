//! `cvops stage add`: declare a stage.

use serde_json::json;

use crate::base::ArtifactPath;
use crate::cli::cmd::repro;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::pipeline::declare::{Existing, NewOut, NewStage, declare};
use crate::pipeline::spec::OutKind;
use crate::pipeline::workspace::Files;
use crate::project::{EditLock, Project};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The name of the stage
    #[arg(short, long)]
    name: String,
    /// Replace a stage of this name
    #[arg(short, long)]
    force: bool,
    /// A file or folder that the command reads
    #[arg(short, long, value_name = "PATH")]
    deps: Vec<String>,
    /// Parameters it reads: `KEY,KEY`, `FILE:KEY` or `FILE:`
    #[arg(short, long, value_name = "[FILE:]KEYS")]
    params: Vec<String>,
    #[command(flatten)]
    outs: Outs,
    /// The folder in which the command runs
    #[arg(short, long, value_name = "DIR")]
    wdir: Option<String>,
    /// Run it every time
    #[arg(long)]
    always_changed: bool,
    /// A sentence for people
    #[arg(long, value_name = "TEXT")]
    desc: Option<String>,
    /// Run it right away, with all it needs
    #[arg(long)]
    run: bool,
    /// What the stage runs
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Outs {
    /// A file or folder that it writes
    #[arg(short = 'o', long = "outs", value_name = "PATH")]
    cached: Vec<String>,
    /// The same, left to git
    #[arg(short = 'O', long = "outs-no-cache", value_name = "PATH")]
    no_cache: Vec<String>,
    /// The same, not removed before the stage runs
    #[arg(long = "outs-persist", value_name = "PATH")]
    persist: Vec<String>,
    /// Both
    #[arg(long = "outs-persist-no-cache", value_name = "PATH")]
    persist_no_cache: Vec<String>,
    /// A file of metrics
    #[arg(short = 'm', long, value_name = "PATH")]
    metrics: Vec<String>,
    /// The same, left to git
    #[arg(short = 'M', long, value_name = "PATH")]
    metrics_no_cache: Vec<String>,
    /// A file of points to plot
    #[arg(long, value_name = "PATH")]
    plots: Vec<String>,
    /// The same, left to git
    #[arg(long, value_name = "PATH")]
    plots_no_cache: Vec<String>,
}

/// Paths of one flag, what they are for, and their options.
type Kind<'a> = (&'a [String], OutKind, &'a [(&'static str, bool)]);

impl Outs {
    fn all(&self) -> Vec<NewOut> {
        const CACHE: (&str, bool) = ("cache", false);
        const PERSIST: (&str, bool) = ("persist", true);
        let lists: [Kind<'_>; 8] = [
            (&self.cached, OutKind::Data, &[]),
            (&self.no_cache, OutKind::Data, &[CACHE]),
            (&self.persist, OutKind::Data, &[PERSIST]),
            (&self.persist_no_cache, OutKind::Data, &[CACHE, PERSIST]),
            (&self.metrics, OutKind::Metric, &[]),
            (&self.metrics_no_cache, OutKind::Metric, &[CACHE]),
            (&self.plots, OutKind::Plot, &[]),
            (&self.plots_no_cache, OutKind::Plot, &[CACHE]),
        ];
        let outs = lists.into_iter().flat_map(|(paths, kind, options)| {
            paths.iter().map(move |path| NewOut {
                path: path.clone(),
                kind,
                options: options.to_vec(),
            })
        });
        outs.collect()
    }
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let file = file_of(ctx, &project);
    let new = NewStage {
        name: args.name.clone(),
        command: command(&args.command),
        deps: args.deps.clone(),
        params: args.params.clone(),
        outs: args.outs.all(),
        wdir: args.wdir.clone(),
        always_changed: args.always_changed,
        desc: args.desc.clone(),
    };
    let existing = if args.force {
        Existing::Replace
    } else {
        Existing::Keep
    };
    let lock = EditLock::acquire(&project.layout, &ctx.cancel)?;
    let declared = declare(&project, file.as_ref(), &new, existing, &lock)?;
    drop(lock);
    let files = Files::open(&project, &ctx.cancel);
    let is_it = declared.graph.find(declared.name.as_str());
    files.ignore_outs(is_it.map(|index| &declared.graph.stages()[index]))?;
    files.finish();
    let name = declared.name.as_str();
    match ctx.out.form {
        Form::Json => ctx.out.json(&json!({"stage": name, "file": declared.file})),
        Form::Text | Form::Md => ctx
            .out
            .result(&format!("added stage `{name}` to `{}`", declared.file)),
    }
    if args.run {
        return repro::run(ctx, &repro::Args::of_targets(vec![name.to_owned()]));
    }
    Ok(Outcome::Done)
}

/// Returns the pipeline file of this folder where each folder may have one; `None` is the one at the
/// top.
fn file_of(ctx: &Ctx, project: &Project) -> Option<ArtifactPath> {
    let folder = ctx.folder(project)?;
    project
        .personality
        .nested_pipelines
        .then(|| folder.join(project.personality.pipeline_file))
}

/// Puts the words of a command line together as DVC does: what has blanks is quoted.
fn command(words: &[String]) -> String {
    if let [one] = words {
        return one.clone();
    }
    let quote = |word: &String| match word.as_str() {
        "" => "\"\"".to_owned(),
        word if word.contains(' ') && !word.contains('"') => format!("\"{word}\""),
        word => word.to_owned(),
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

//! `cvops models register`.

use std::str::FromStr;

use crate::base::diag::nearest;
use crate::base::{Diagnostic, ObjectId, clock};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::Project;
use crate::track::artifacts::path_of_uri;
use crate::track::entity::Tag;
use crate::track::{Artifact, Artifacts, Error, NewVersion, Reader, Run, Tracking};

use super::{files, text};

/// By this file a folder is known as a model.
const MODEL_FILE: &str = "model.json";

/// Outputs that are listed where it is not clear which is meant.
const OUTPUTS_SHOWN: usize = 10;

/// Make a model that a run made a version of a name
///
/// Where there is no model of this name yet, it is created. Nothing is copied: the version refers to
/// the output of the run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops models register cats\n  cvops models register cats --run brave-otter-412 --alias champion --tag reviewed=yes\n  cvops models register cats --path models/classifier --description 'with more dogs'"
)]
pub(super) struct Args {
    /// The registered model
    name: String,
    /// The run that made it: a name, the first digits of an id, or `last`
    #[arg(long, default_value = "last")]
    run: String,
    /// Which of the run's outputs (default: the one folder with a `model.json`)
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Let this alias name the version
    #[arg(long, value_name = "ALIAS")]
    alias: Option<String>,
    /// What to know about the version
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A tag of the version (may be given several times)
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<Pair>,
}

/// A tag as it is typed.
#[derive(Clone, Debug)]
struct Pair(Tag);

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self(Tag::new(key, value))),
            Some(_) | None => Err("write `KEY=VALUE`, for example `reviewed=yes`"),
        }
    }
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    // MLflow would take it for a name, which nobody could ask for.
    if let Some((name, alias)) = args.name.rsplit_once('@') {
        let what = format!("`{}` is an alias of a model, not its name", args.name);
        return Err(CliError::usage(
            Diagnostic::error("bad-name", what).help(format!(
                "`cvops models register {name} --alias {alias}` registers a version and lets it be called so"
            )),
        ));
    }
    let mut tracking = Tracking::open_existing(&project.layout)?.ok_or(Error::NoRuns)?;
    let run = tracking.find(&args.run)?;
    let artifacts = Artifacts::open(project);
    let (path, source) = {
        let reader = tracking.reader();
        let uri = reader.run_info(run.id)?.artifact_uri;
        let path = output(&artifacts, &reader, &run, &uri, args.path.as_deref())?;
        let source = format!("{uri}/{path}");
        (path, source)
    };
    let new = NewVersion {
        name: args.name.clone(),
        source,
        run: Some(run.id.to_string()),
        tags: args.tags.iter().map(|pair| pair.0.clone()).collect(),
        run_link: None,
        description: args.description.clone(),
        logged_model: None,
    };
    let now = clock::now().as_millisecond();
    let version = tracking.change(|writing| {
        let names = writing.registered_model_names()?;
        if !names.contains(&new.name) {
            writing.create_registered_model(&new.name, &[], None, now)?;
        }
        let version = writing.create_model_version(&new, now)?;
        if let Some(alias) = &args.alias {
            writing.set_alias(&new.name, alias, version.version, now)?;
        }
        writing.model_version(&new.name, version.version)
    })?;
    if ctx.out.form == Form::Json {
        ctx.out.json(&text::version_json(&version));
        return Ok(Outcome::Done);
    }
    ctx.out
        .result(&format!("registered {}", text::version(&version)));
    let alias = match &args.alias {
        Some(alias) => format!("; `{alias}` names it"),
        None => String::new(),
    };
    ctx.out
        .note(&format!("it is `{path}` of the run `{}`{alias}", run.name));
    Ok(Outcome::Done)
}

/// Returns which of a run's outputs is meant.
fn output(
    artifacts: &Artifacts,
    reader: &Reader<'_>,
    run: &Run,
    uri: &str,
    asked: Option<&str>,
) -> Result<String, CliError> {
    let Some(root) = path_of_uri(uri) else {
        return Err(CliError::usage(
            Diagnostic::error(
                "elsewhere",
                format!(
                    "the run `{}` keeps its artifacts elsewhere: `{uri}`",
                    run.name
                ),
            )
            .help("register it with MLflow's client, which reaches that place"),
        ));
    };
    let is_there = |path: &str| -> Result<bool, CliError> {
        let path = format!("{root}/{path}");
        let is_file = artifacts.find(reader, &path)?.is_some();
        Ok(is_file || !artifacts.list(reader, &path)?.is_empty())
    };
    if let Some(path) = asked {
        let path = path.trim_start_matches("./").trim_matches('/');
        if let Some(output) = lost(artifacts, run).find(|output| output.path == path) {
            let what = format!(
                "the cache has lost `{}` of the run `{}`",
                output.path, run.name
            );
            return Err(files::failed(Diagnostic::error("not-in-cache", what)));
        }
        if !path.is_empty() && is_there(path)? {
            return Ok(path.to_owned());
        }
        let known = run.artifacts.iter().map(|output| output.path.as_str());
        let what = format!("the run `{}` has no output `{path}`", run.name);
        let diagnostic = with_outputs(Diagnostic::error("unknown-output", what), run);
        return Err(CliError::usage(match nearest(path, known) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic,
        }));
    }
    let mut models = Vec::new();
    for output in &run.artifacts {
        let model = format!("{root}/{}/{MODEL_FILE}", output.path);
        if matches!(output.object, ObjectId::Tree(_)) && artifacts.find(reader, &model)?.is_some() {
            models.push(output.path.clone());
        }
    }
    if models.len() == 1 {
        return Ok(models.remove(0));
    }
    let what = if models.is_empty() {
        format!(
            "no output of the run `{}` is a folder with `{MODEL_FILE}`",
            run.name
        )
    } else {
        format!(
            "{} outputs of the run `{}` are folders with `{MODEL_FILE}`",
            models.len(),
            run.name
        )
    };
    let mut diagnostic = with_outputs(Diagnostic::error("unclear-output", what), run);
    for output in lost(artifacts, run) {
        diagnostic = diagnostic.note(format!("the cache has lost `{}`", output.path));
    }
    Err(CliError::usage(
        diagnostic.help("say with `--path` which one is the model"),
    ))
}

/// Returns the outputs of a run that the cache does not have.
fn lost<'a>(artifacts: &'a Artifacts, run: &'a Run) -> impl Iterator<Item = &'a Artifact> {
    let is_lost = |output: &&Artifact| !artifacts.path_of(&output.object).exists();
    run.artifacts.iter().filter(is_lost)
}

fn with_outputs(mut diagnostic: Diagnostic, run: &Run) -> Diagnostic {
    if run.artifacts.is_empty() {
        return diagnostic.note("the run has no outputs");
    }
    for output in run.artifacts.iter().take(OUTPUTS_SHOWN) {
        let what = match output.object {
            ObjectId::Tree(_) => "a folder",
            ObjectId::File(_) => "a file",
        };
        diagnostic = diagnostic.note(format!("output `{}`, {what}", output.path));
    }
    match run.artifacts.len().checked_sub(OUTPUTS_SHOWN) {
        Some(more) if 0 < more => diagnostic.note(format!("and {more} more")),
        Some(_) | None => diagnostic,
    }
}

//! Which models `cvops serve` serves, and where each comes from: flags, `serve.models`, or the folder that
//! everybody has. Imports: base, serve, vision, `cli::*`.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use crate::base::{ArtifactPath, Diagnostic};
use crate::cli::cmd::repro;
use crate::cli::compare::in_project;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::params::here_or_in_root;
use crate::project::Project;
use crate::serve::{
    Config, DriftFolder, Figures, LockState, ModelSource, Origin, ServedModel, Strictness,
};
use crate::vision::artifact::ModelFiles;

use super::Args;
use super::drift;
use super::lock::beside_lock;
use super::registry::{self, Followed, ModelUri};

/// The folder that is served when none is named.
const DEFAULT_MODEL: &str = "models/classifier";

/// One `--model`.
#[derive(Clone, Debug)]
pub(super) struct NamedModel {
    /// The name before `=`.
    name: Option<String>,
    model: ModelArg,
}

/// What a model is served from.
#[derive(Clone, Debug)]
pub(super) enum ModelArg {
    /// A folder.
    Folder(PathBuf),
    /// A model of the registry.
    Registered(ModelUri),
}

pub(super) fn model_arg(text: &str) -> Result<NamedModel, String> {
    // A folder may have a `=` in its name: then something with `/` or `:` stands before it, or `./` helps.
    let named = text.split_once('=');
    let named = named.filter(|(name, _)| !name.contains(['/', ':', '.']));
    let (name, model) = match named {
        Some((name, model)) => (Some(model_name(name)?), model),
        None => (None, text),
    };
    let model = model.parse()?;
    Ok(NamedModel { name, model })
}

impl FromStr for ModelArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with(registry::SCHEME) {
            text.parse().map(Self::Registered)
        } else {
            Ok(Self::Folder(PathBuf::from(text)))
        }
    }
}

/// A name is a label of metrics and a line of the log.
pub(super) fn model_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("a name has at least one visible character".to_owned())
    } else if text.contains('/') || text.chars().any(char::is_control) {
        Err("a name is part of paths: it has no `/` and no control characters".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// What comes before a server.
pub(super) enum Prepared {
    /// Serve these.
    Models(Vec<ServedModel>),
    /// Bringing them up to date ended like this: serve nothing.
    Not(Outcome),
}

/// One model that is wanted.
struct Wanted {
    name: Option<String>,
    model: ModelArg,
    canary: Option<(ModelArg, f64)>,
    shadow: Option<ModelArg>,
    /// Which detectors watch it, where each model says that for itself.
    drift: Option<DriftFolder>,
}

/// Finds out which models are to be served, and brings them up to date first if that is asked for.
pub(super) fn prepare(ctx: &Ctx, args: &Args, config: &Config) -> Result<Prepared, CliError> {
    let wanted = wanted(args, config)?;
    drift::refuse_for_several(args, config, wanted.len())?;
    if args.repro {
        if let Some(outcome) = bring_up_to_date(ctx, &wanted)? {
            return Ok(Prepared::Not(outcome));
        }
    } else {
        ctx.listen();
    }
    let mut models: Vec<ServedModel> = Vec::new();
    for one in &wanted {
        let strictness = if args.strict {
            Strictness::Refuse
        } else {
            Strictness::Warn
        };
        let source = source(ctx, &one.model, one.name.as_deref(), strictness)?;
        let name = Some(source.name.as_str());
        if models.iter().any(|other| other.source.name == source.name) {
            let text = format!("two models are to be served as `{}`", source.name);
            return Err(CliError::usage(
                Diagnostic::error("same-name", text)
                    .help("give each a name of its own: `--model NAME=MODEL`"),
            ));
        }
        let beside = |model: &ModelArg| source_of(ctx, model, name);
        models.push(ServedModel {
            canary: match &one.canary {
                Some((model, share)) => Some((beside(model)?, *share)),
                None => None,
            },
            shadow: one.shadow.as_ref().map(beside).transpose()?,
            drift: drift::source(ctx, args, config, one.drift.as_ref()),
            source,
        });
    }
    Ok(Prepared::Models(models))
}

fn wanted(args: &Args, config: &Config) -> Result<Vec<Wanted>, CliError> {
    let mut wanted = if !args.model.is_empty() {
        let several = 1 < args.model.len();
        let of_flag = |named: &NamedModel| Wanted {
            name: named.name.clone(),
            model: named.model.clone(),
            canary: None,
            shadow: None,
            drift: several.then(DriftFolder::default),
        };
        args.model.iter().map(of_flag).collect()
    } else if config.models.is_empty() {
        vec![Wanted {
            name: None,
            model: ModelArg::Folder(PathBuf::from(DEFAULT_MODEL)),
            canary: None,
            shadow: None,
            drift: None,
        }]
    } else {
        of_config(config)?
    };
    if let Some(name) = &args.name {
        let [one] = wanted.as_mut_slice() else {
            let text = format!("`--name {name}` is one name for {} models", wanted.len());
            return Err(CliError::usage(
                Diagnostic::error("one-name", text).help("give each its own: `--model NAME=MODEL`"),
            ));
        };
        one.name = Some(name.clone());
    }
    let refused = [("--repro", args.repro), ("--strict", args.strict)];
    if let Some((flag, _)) = refused.iter().find(|(_, given)| *given) {
        for one in &wanted {
            if let ModelArg::Registered(uri) = &one.model {
                let text = format!("`{flag}` goes with the folder of a model, not with `{uri}`");
                return Err(CliError::usage(
                    Diagnostic::error("registered-model", text).help(
                        "a registered version is served as it was registered: leave the flag out",
                    ),
                ));
            }
        }
    }
    Ok(wanted)
}

fn of_config(config: &Config) -> Result<Vec<Wanted>, CliError> {
    let mut wanted = Vec::new();
    for model in &config.models {
        let parse = |key: &str, text: &str| {
            text.parse::<ModelArg>().map_err(|problem| {
                let text = format!("`serve.models.{}.{key}`: {problem}", model.name);
                CliError::usage(Diagnostic::error("bad-model", text))
            })
        };
        wanted.push(Wanted {
            name: Some(model.name.clone()),
            model: parse("model", &model.model)?,
            canary: match &model.canary {
                Some((canary, share)) => Some((parse("canary.model", canary)?, *share)),
                None => None,
            },
            shadow: match &model.shadow {
                Some(shadow) => Some(parse("shadow", shadow)?),
                None => None,
            },
            // One alone may go without a word, as the one of a flag.
            drift: (1 < config.models.len() || model.drift != DriftFolder::Usual)
                .then(|| model.drift.clone()),
        });
    }
    Ok(wanted)
}

/// Runs the stages that make the models; returns how that ended if it did not end well.
fn bring_up_to_date(ctx: &Ctx, wanted: &[Wanted]) -> Result<Option<Outcome>, CliError> {
    let mut targets = Vec::new();
    for one in wanted {
        if let ModelArg::Folder(model) = &one.model {
            refuse_file(ctx, model)?;
            let shown = here_or_in_root(ctx, model, DEFAULT_MODEL);
            let target = in_project(ctx, &ctx.project()?, &shown.display().to_string())?;
            targets.push(target.to_string());
        }
    }
    let outcome = repro::run(ctx, &repro::Args::of_targets(targets))?;
    Ok((outcome != Outcome::Done).then_some(outcome))
}

/// Returns where a model beside the one that answers comes from: a difference from the lock is a
/// warning at most.
fn source_of(ctx: &Ctx, model: &ModelArg, name: Option<&str>) -> Result<ModelSource, CliError> {
    source(ctx, model, name, Strictness::Warn)
}

fn source(
    ctx: &Ctx,
    model: &ModelArg,
    name: Option<&str>,
    strictness: Strictness,
) -> Result<ModelSource, CliError> {
    let uri = match model {
        ModelArg::Registered(uri) => uri,
        ModelArg::Folder(model) => {
            refuse_file(ctx, model)?;
            let shown = here_or_in_root(ctx, model, DEFAULT_MODEL);
            let dir = ctx.dir.join(&shown);
            let lock = beside_lock(ctx, &dir);
            return Ok(ModelSource {
                name: name.map_or_else(|| name_of(&dir), str::to_owned),
                shown,
                check: lock.check,
                evaluated: lock.evaluated,
                made_by: maker(ctx, &dir),
                strictness,
                origin: Origin::Folder(dir),
            });
        }
    };
    // A version is what was registered: neither a lock nor a repro has a say in it.
    Ok(ModelSource {
        shown: PathBuf::from(uri.to_string()),
        name: name.unwrap_or_else(|| uri.name()).to_owned(),
        check: Arc::new(|_| LockState::Absent),
        // What brings a version knows it from its run.
        evaluated: Arc::new(Figures::new),
        made_by: None,
        strictness: Strictness::Warn,
        origin: Origin::Registry(Arc::new(Followed::new(ctx.project()?, uri.clone()))),
    })
}

/// Returns the name of what a folder holds: its own, if it has one, else the folder's or the file's.
fn name_of(dir: &Path) -> String {
    if let Some(Ok(name)) = ModelFiles::own_name(dir).map(|name| model_name(&name)) {
        return name;
    }
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = if ModelFiles::is_onnx(&dir) {
        dir.file_stem()
    } else {
        dir.file_name()
    };
    name.map_or_else(|| "model".to_owned(), |n| n.to_string_lossy().into_owned())
}

/// A file would be waited for in vain: no model will ever appear below it. An ONNX file is a model.
fn refuse_file(ctx: &Ctx, model: &Path) -> Result<(), CliError> {
    if !ctx.dir.join(model).is_file() || ModelFiles::is_onnx(model) {
        return Ok(());
    }
    let folder = match model.parent() {
        None => Path::new("."),
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    Err(CliError::usage(
        Diagnostic::error(
            "model-is-file",
            format!("`{}` is a file, not the folder of a model", model.display()),
        )
        .help(format!("give the folder: `--model {}`", folder.display())),
    ))
}

/// Returns the command that makes the model in `dir`, if a stage of the project around has that folder,
/// or one above it, among its outputs.
fn maker(ctx: &Ctx, dir: &Path) -> Option<String> {
    let project = ctx.project().ok()?;
    let path = within(&project, dir)?;
    // A pipeline that cannot be read makes no model; the commands that need it say why.
    let graph = Ctx::graph(&project).ok()?;
    let stages = graph.stages();
    let stage = std::iter::once(path.clone())
        .chain(path.ancestors())
        .find_map(|path| stages.iter().find(|stage| stage.outs.contains_key(&path)))?;
    Some(format!("cvops repro {}", stage.name))
}

/// Returns `dir` relative to the project, if it lies in it.
fn within(project: &Project, dir: &Path) -> Option<ArtifactPath> {
    // What is not there yet has no canonical form: that of what is above it counts.
    let canonical = dir.ancestors().find_map(|above| {
        let rest = dir.strip_prefix(above).ok()?;
        Some(above.canonicalize().ok()?.join(rest))
    });
    let relative = canonical?;
    let relative = relative.strip_prefix(&project.root).ok()?;
    relative.to_str()?.parse().ok()
}

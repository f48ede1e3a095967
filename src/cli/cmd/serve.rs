//! `cvops serve`: answer prediction requests over HTTP.

mod registry;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use serde_json::json;

use crate::base::doc::Problems;
use crate::base::{ArtifactPath, Cancel, CancelReason, Diagnostic, ObjectId, units};
use crate::cli::args::LogFormat;
use crate::cli::compare::in_project;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::params::{ParamsArg, here_or_in_root, section};
use crate::cli::render::diagnostic;
use crate::http::Drained;
use crate::pipeline::workspace::Files;
use crate::project::Project;
use crate::serve::{
    self, Absence, Build, Config, LockCheck, LockState, ModelSource, Moment, Observer, Options,
    Origin, ServerEvent, Strictness,
};
use crate::store::Presence;

use super::repro;
use registry::{Followed, ModelUri};

/// The folder that is served when none is named.
const DEFAULT_MODEL: &str = "models/classifier";

/// Answer prediction requests over HTTP
///
/// Serves the model at `POST /predict` (a picture as form field `file`, as the body, or as
/// base64 in JSON), with `/health/ready`, `/metrics`, `/docs` and a page to drop a picture on at
/// `/`. Without a model it starts and waits for one. A model of the registry is followed: when its
/// alias moves to another version, the server moves with it. Ctrl-C and SIGTERM let open requests finish.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops serve\n  cvops serve --model models/classifier --port 8080\n  cvops serve --model models:/classifier@champion\n  curl -F file=@photo.jpg http://127.0.0.1:5001/predict"
)]
pub(in crate::cli) struct Args {
    /// Address to listen on, `0.0.0.0` for all (default: `serve.host`, else 127.0.0.1)
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// Port to listen on, 0 for any free one (default: `serve.port`, else 5001)
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Folder of the model, or `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `models:/NAME/latest`
    #[arg(long, value_name = "MODEL", default_value = DEFAULT_MODEL, value_parser = model_arg)]
    model: ModelArg,
    /// Name under which the model is served (default: the folder's or the registered model's name)
    #[arg(long, value_name = "NAME", value_parser = model_name)]
    name: Option<String>,
    /// Bring the model and all it needs up to date first
    #[arg(long)]
    repro: bool,
    /// Refuse a model that is not the one that `pipeline.lock` records
    #[arg(long)]
    strict: bool,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    #[command(flatten)]
    params: ParamsArg,
}

impl Args {
    /// Returns how log lines look.
    pub(in crate::cli) fn log_format(&self) -> LogFormat {
        self.log_format
    }
}

/// What `--model` names.
#[derive(Clone, Debug)]
enum ModelArg {
    /// A folder.
    Folder(PathBuf),
    /// A model of the registry.
    Registered(ModelUri),
}

fn model_arg(text: &str) -> Result<ModelArg, String> {
    if text.starts_with(registry::SCHEME) {
        text.parse().map(ModelArg::Registered)
    } else {
        Ok(ModelArg::Folder(PathBuf::from(text)))
    }
}

/// A name is a label of metrics and a line of the log.
fn model_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("a name has at least one visible character".to_owned())
    } else if text.chars().any(char::is_control) {
        Err("a name has no control characters".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// A file would be waited for in vain: no model will ever appear below it.
fn refuse_file(ctx: &Ctx, model: &Path) -> Result<(), CliError> {
    if !ctx.dir.join(model).is_file() {
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

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let config = config(ctx, args)?;
    let source = match &args.model {
        ModelArg::Folder(model) => match folder(ctx, args, model)? {
            Prepared::Source(source) => source,
            Prepared::Not(outcome) => return Ok(outcome),
        },
        ModelArg::Registered(uri) => registered(ctx, args, uri)?,
    };
    let options = Options {
        config,
        source,
        build: BUILD,
        // Outside of a project there is no place for it, and nobody who asked for it.
        log: ctx
            .project()
            .ok()
            .map(|project| project.layout.predictions()),
    };
    small_pages();
    let drained = serve(ctx, options)?;
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

/// What comes before a server of a folder.
enum Prepared {
    /// Serve this.
    Source(ModelSource),
    /// Bringing it up to date ended like this: serve nothing.
    Not(Outcome),
}

fn folder(ctx: &Ctx, args: &Args, model: &Path) -> Result<Prepared, CliError> {
    refuse_file(ctx, model)?;
    let shown = here_or_in_root(ctx, model, DEFAULT_MODEL);
    if args.repro {
        let target = in_project(ctx, &ctx.project()?, &shown.display().to_string())?;
        let target = target.to_string();
        let outcome = repro::run(ctx, &repro::Args::of_targets(vec![target]))?;
        if outcome != Outcome::Done {
            return Ok(Prepared::Not(outcome));
        }
    } else {
        ctx.listen();
    }
    let dir = ctx.dir.join(&shown);
    Ok(Prepared::Source(ModelSource {
        name: name(args, &dir),
        shown,
        check: lock_check(ctx, &dir),
        made_by: maker(ctx, &dir),
        strictness: if args.strict {
            Strictness::Refuse
        } else {
            Strictness::Warn
        },
        origin: Origin::Folder(dir),
    }))
}

/// A version is what was registered: neither a lock nor a repro has a say in it.
fn registered(ctx: &Ctx, args: &Args, uri: &ModelUri) -> Result<ModelSource, CliError> {
    let refused = [("--repro", args.repro), ("--strict", args.strict)];
    if let Some((flag, _)) = refused.iter().find(|(_, given)| *given) {
        let text = format!("`{flag}` goes with the folder of a model, not with `{uri}`");
        return Err(CliError::usage(
            Diagnostic::error("registered-model", text)
                .help("a registered version is served as it was registered: leave the flag out"),
        ));
    }
    let project = ctx.project()?;
    ctx.listen();
    Ok(ModelSource {
        shown: PathBuf::from(uri.to_string()),
        name: args.name.clone().unwrap_or_else(|| uri.name().to_owned()),
        check: Arc::new(|_| LockState::Absent),
        made_by: None,
        strictness: Strictness::Warn,
        origin: Origin::Registry(Arc::new(Followed::new(project, uri.clone()))),
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
    features: match (cfg!(feature = "cuda"), cfg!(feature = "wgpu")) {
        (false, false) => "vision",
        (true, false) => "vision,cuda",
        (false, true) => "vision,wgpu",
        (true, true) => "vision,cuda,wgpu",
    },
};

/// Keeps the allocator from taking memory in pages of 2 MiB, of which a server touches a corner each:
/// with them an idle one is half as large again. After `--repro`: trainings are faster with them.
fn small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "large pages stay on");
    }
}

/// Reads the section `serve`; flags go before it.
fn config(ctx: &Ctx, args: &Args) -> Result<Config, CliError> {
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
    Ok(config)
}

fn name(args: &Args, dir: &Path) -> String {
    let of_folder = || {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        dir.file_name()
            .map_or_else(|| "model".to_owned(), |n| n.to_string_lossy().into_owned())
    };
    args.name.clone().unwrap_or_else(of_folder)
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

/// Returns what compares the model with the lock of the project around it. Outside of a project, or
/// when the lock does not name the folder, nothing is recorded.
fn lock_check(ctx: &Ctx, dir: &Path) -> LockCheck {
    let Ok(project) = ctx.project() else {
        return Arc::new(|_| LockState::Absent);
    };
    let comparison = Comparison {
        project,
        dir: dir.to_owned(),
        cancel: ctx.cancel.clone(),
        kept: Mutex::default(),
    };
    Arc::new(move |moment| {
        comparison.state(moment).unwrap_or_else(|error| {
            let problem = error.diagnostics.first().map(|d| d.headline.as_str());
            tracing::warn!(problem, "the lock cannot be compared with the model");
            LockState::Absent
        })
    })
}

/// Compares the model with the lock, and remembers it until the lock changes.
struct Comparison {
    project: Project,
    dir: PathBuf,
    cancel: Cancel,
    kept: Mutex<Kept>,
}

/// What was found out.
#[derive(Default)]
struct Kept {
    /// The content of the folder, since it was loaded.
    found: Option<ObjectId>,
    /// What the lock says about it, with the lock's stamp.
    state: Option<(Stamp, LockState)>,
}

/// Which bytes the lock held, if there was one: writing it anew changes it.
type Stamp = Option<[i64; 4]>;

impl Comparison {
    fn state(&self, moment: Moment) -> Result<LockState, CliError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if moment == Moment::Loading {
            *kept = Kept::default();
        }
        // Before the lock is read: if it is written meanwhile, the next look sees it.
        let stamp = self.stamp();
        if let Some((of, state)) = kept.state
            && of == stamp
        {
            return Ok(state);
        }
        let state = self.compare(&mut kept.found)?;
        kept.state = Some((stamp, state));
        if (moment, state) == (Moment::Serving, LockState::Differs) {
            tracing::warn!(
                model = %self.dir.display(),
                "the lock was written anew, and the model that is served is not the one it records"
            );
        }
        Ok(state)
    }

    fn stamp(&self) -> Stamp {
        let meta = std::fs::metadata(self.project.lock_file()).ok()?;
        let (size, inode) = (meta.size().cast_signed(), meta.ino().cast_signed());
        Some([meta.mtime(), meta.mtime_nsec(), size, inode])
    }

    fn compare(&self, found: &mut Option<ObjectId>) -> Result<LockState, CliError> {
        let dir = self.dir.canonicalize();
        let dir = dir.unwrap_or_else(|_| self.dir.clone());
        let relative = dir.strip_prefix(&self.project.root).ok();
        let path = relative.and_then(|path| path.to_str()?.parse::<ArtifactPath>().ok());
        let Some(path) = path else {
            return Ok(LockState::Absent);
        };
        let graph = Ctx::graph(&self.project)?;
        let lock = Ctx::lock_file(&self.project, &graph)?;
        let recorded = lock.stages.values().find_map(|entry| entry.outs.get(&path));
        // A repro may record the folder later; by then it may hold another model.
        if found.is_none() && (recorded.is_some() || self.project.layout.state_dir().is_dir()) {
            let files = Files::open(&self.project, &self.cancel);
            *found = files.snapshot(&path)?.object();
            files.finish();
        }
        Ok(match recorded {
            Some(Presence::Present(recorded)) if *found == Some(recorded.object) => {
                LockState::Matches
            }
            Some(Presence::Present(_)) => LockState::Differs,
            Some(Presence::Missing) | None => LockState::Absent,
        })
    }
}

/// Serves, and tells what happens, one line each: on stdout for programs, on stderr for people.
fn serve(ctx: &Ctx, options: Options) -> Result<Drained, serve::Error> {
    let (sender, events) = mpsc::channel();
    let source = options.source.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while let Ok(Some(event)) = events.recv() {
                if ctx.out.form == Form::Json {
                    ctx.out.json(&event_json(&event));
                } else {
                    ctx.out.note(&event_text(&source, &event));
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

fn event_text(source: &ModelSource, event: &ServerEvent) -> String {
    match event {
        ServerEvent::Listening { addr } => format!("listening on http://{addr}"),
        ServerEvent::NoModel { absence } => source.absence(absence),
        ServerEvent::Ready {
            name,
            version,
            classes,
            took,
        } => format!(
            "ready: {}`{name}` with {}, loaded in {}",
            version
                .as_ref()
                .map_or_else(String::new, |version| format!("version {version} of ")),
            // Fewer than two are no classifier.
            format_args!("{classes} classes"),
            units::duration(*took)
        ),
        ServerEvent::Broken { problem } => format!("the model cannot be loaded yet: {problem}"),
        ServerEvent::Behind {
            wanted: Some(_),
            serving,
            problem,
        } => format!("{problem}; version {serving} goes on"),
        ServerEvent::Behind {
            wanted: None,
            serving,
            problem,
        } => {
            format!("the registry names no version any more: {problem}; version {serving} goes on")
        }
        ServerEvent::Draining => "finishing open requests".to_owned(),
    }
}

fn event_json(event: &ServerEvent) -> serde_json::Value {
    match event {
        ServerEvent::Listening { addr } => json!({
            "event": "listening", "host": addr.ip().to_string(), "port": addr.port(),
            "url": format!("http://{addr}"),
        }),
        ServerEvent::NoModel {
            absence: Absence::File(missing),
        } => json!({"event": "no_model", "missing": missing}),
        ServerEvent::NoModel {
            absence: Absence::Version(problem),
        } => json!({"event": "no_model", "missing": null, "problem": problem}),
        ServerEvent::Ready {
            name,
            version,
            classes,
            took,
        } => {
            let mut event = json!({
                "event": "ready", "model": name, "classes": classes, "seconds": took.as_secs_f64(),
            });
            if let (Some(event), Some(version)) = (event.as_object_mut(), version) {
                event.insert("version".to_owned(), json!(version));
            }
            event
        }
        ServerEvent::Behind {
            wanted,
            serving,
            problem,
        } => json!({
            "event": "behind", "wanted": wanted, "serving": serving, "problem": problem,
        }),
        ServerEvent::Broken { problem } => json!({"event": "broken", "problem": problem}),
        ServerEvent::Draining => json!({"event": "draining"}),
    }
}

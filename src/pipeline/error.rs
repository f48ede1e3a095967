//! The engine's error, and how each looks to the user.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::diag::Label;
use crate::base::ports::Owner;
use crate::base::{ArtifactPath, Diagnostic, ToDiagnostics, units};
use crate::{base, project, store};

use super::spec::{StageName, Storage};

/// What can go wrong with a pipeline.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A document or file operation.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// Project files.
    #[error(transparent)]
    Project(#[from] project::Error),
    /// The cache.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The project has no pipeline file.
    #[error("there is no `{}` in `{}`", file, root.display())]
    NoPipeline {
        /// The file's name.
        file: &'static str,
        /// The project root.
        root: PathBuf,
    },
    /// A stage that stands in no file by itself is to be edited.
    #[error("`{stage}` is one of the stages of `{group}` and cannot be changed alone")]
    Generated {
        /// The stage.
        stage: StageName,
        /// The `foreach` or `matrix` that it was made for.
        group: String,
    },
    /// A stage of this name is declared already.
    #[error("`{file}` has a stage `{stage}` already")]
    StageExists {
        /// The name.
        stage: String,
        /// The pipeline file.
        file: String,
    },
    /// A text that cannot name a stage.
    #[error("{problem}")]
    BadName {
        /// Why.
        problem: String,
    },
    /// The workspace cannot be recorded as the result of a stage without being told so.
    #[error("the outputs of `{stage}` may not be its result: {what}")]
    NotItsResult {
        /// The stage.
        stage: StageName,
        /// `its command changed, its dependency `a` changed`.
        what: String,
    },
    /// A pattern that cannot be read.
    #[error("`{pattern}` is not a pattern: {why}")]
    Pattern {
        /// What the user typed.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A target that is neither a stage nor an output.
    #[error("`{target}` is neither a stage nor an output of one")]
    UnknownTarget {
        /// What the user typed.
        target: String,
        /// The nearest stage name.
        nearest: Option<String>,
    },
    /// A dependency does not exist and no stage of the plan makes it.
    #[error("stage `{stage}` needs `{path}`, which does not exist")]
    MissingDependency {
        /// The stage.
        stage: StageName,
        /// The dep.
        path: ArtifactPath,
        /// The stage that would write it, when it is not part of the plan.
        producer: Option<StageName>,
        /// The pointer that tracks it.
        pointer: Option<ArtifactPath>,
    },
    /// An output of a frozen stage does not exist, and nothing will make it.
    #[error("the output `{path}` of the frozen stage `{stage}` does not exist")]
    FrozenMissing {
        /// The stage.
        stage: StageName,
        /// The output.
        path: ArtifactPath,
        /// Where it is kept.
        storage: Storage,
    },
    /// An output that the cache is to keep is kept by git already.
    #[error("the output `{path}` of stage `{stage}` is tracked by git already")]
    OutInGit {
        /// The stage.
        stage: StageName,
        /// The output.
        path: ArtifactPath,
    },
    /// A params file does not exist.
    #[error("stage `{stage}` needs parameters from `{file}`, which does not exist")]
    MissingParamsFile {
        /// The stage.
        stage: StageName,
        /// The file.
        file: ArtifactPath,
    },
    /// A parameter is not in its file.
    #[error("stage `{stage}` needs the parameter `{key}`, which `{file}` does not have")]
    MissingParam {
        /// The stage.
        stage: StageName,
        /// The file.
        file: ArtifactPath,
        /// The key.
        key: String,
        /// The nearest key of the file.
        nearest: Option<String>,
    },
    /// The shell could not be started.
    #[error("stage `{stage}` could not be started: {source}")]
    Spawn {
        /// The stage.
        stage: StageName,
        /// The system's answer.
        source: io::Error,
    },
    /// A command ended with a failure.
    #[error("stage `{stage}` failed: `{command}` {how}")]
    Failed {
        /// The stage.
        stage: StageName,
        /// The command that failed.
        command: String,
        /// `exited with code 3`, `was killed by signal 9`.
        how: String,
        /// The exit code, if it exited.
        code: Option<i32>,
    },
    /// A stage took longer than it may.
    #[error("stage `{stage}` was stopped: it took longer than its `timeout` of {}", units::duration(*timeout))]
    TimedOut {
        /// The stage.
        stage: StageName,
        /// The command that ran then.
        command: String,
        /// How long it had.
        timeout: Duration,
    },
    /// A stage failed as often as it may.
    #[error("{error} ({attempts} attempts)")]
    GaveUp {
        /// How it failed the last time.
        #[source]
        error: Box<Error>,
        /// How often it was tried.
        attempts: u32,
    },
    /// A stage asks for more than this machine has.
    #[error("stage `{stage}` can never start here: it asks for {} and this machine has {}", amount(what, *wants), amount(what, *has))]
    NeverFits {
        /// The stage.
        stage: StageName,
        /// Which key of `resources`.
        what: &'static str,
        /// How much it asks for.
        wants: u64,
        /// How much there is.
        has: u64,
    },
    /// A command succeeded without writing what it declares.
    #[error("stage `{stage}` did not produce its output `{path}`")]
    NotProduced {
        /// The stage.
        stage: StageName,
        /// The output.
        path: ArtifactPath,
    },
    /// The port of a service is not free.
    #[error(
        "service `{stage}` cannot start: port {port} is in use{}",
        owner.as_ref().map_or_else(String::new, |owner| format!(" by {owner}"))
    )]
    PortTaken {
        /// The service.
        stage: StageName,
        /// Its port.
        port: u16,
        /// Who listens there, if the system tells.
        owner: Option<Owner>,
        /// The running cvops whose service that is, by process id.
        keeper: Option<u32>,
    },
    /// Two services that are to run at once want one port.
    #[error("services `{first}` and `{second}` both want port {port}")]
    PortShared {
        /// One.
        first: StageName,
        /// The other.
        second: StageName,
        /// The port.
        port: u16,
    },
    /// A service ended although nobody asked it to.
    #[error("service `{stage}` ended by itself: `{command}` {how}")]
    ServiceEnded {
        /// The service.
        stage: StageName,
        /// Its last command.
        command: String,
        /// `exited with code 3`, `was killed by signal 9`.
        how: String,
        /// The last lines it wrote.
        lines: Vec<String>,
    },
    /// A service did not become ready in time.
    #[error("service `{stage}` was not ready within {}: {last}", units::duration(*after))]
    ServiceNotReady {
        /// The service.
        stage: StageName,
        /// How long it had.
        after: Duration,
        /// What was asked and came of it the last time.
        last: String,
    },
    /// A stage updates its output in place while the workspace shares its bytes with the cache.
    #[error(
        "stage `{stage}` has a `persist` output, which `cache.type: hardlink` or `symlink` would let it damage in the cache"
    )]
    PersistLinked {
        /// The stage.
        stage: StageName,
    },
    /// An output could not be put into the cache.
    #[error("{error}")]
    Keeping {
        /// What went wrong.
        #[source]
        error: Box<Error>,
        /// The output.
        path: ArtifactPath,
    },
    /// Several things are wrong at once.
    #[error("{} problems", _0.len())]
    Several(
        /// Each of them.
        Vec<Error>,
    ),
    /// An error with the line of the pipeline file that asks for what is not there.
    #[error("{error}")]
    At {
        /// What is wrong.
        #[source]
        error: Box<Error>,
        /// The place.
        label: Box<Label>,
    },
    /// Work was asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// A mistake of ours.
    #[error("this is a bug in cvops: {0}")]
    Bug(&'static str),
}

impl Error {
    /// Returns a closure for `map_err` that names the output being put into the cache; being asked
    /// to stop has nothing to do with it.
    pub(crate) fn keeping(path: &ArtifactPath) -> impl FnOnce(Self) -> Self + use<> {
        let path = path.clone();
        move |error| match error {
            stopped @ (Self::Cancelled | Self::Store(store::Error::Cancelled)) => stopped,
            error => Self::Keeping {
                error: Box::new(error),
                path,
            },
        }
    }
}

/// Returns so much of a resource in words.
fn amount(what: &str, n: u64) -> String {
    match what {
        "memory" => format!("{} of memory", units::bytes(n)),
        "cpus" => units::count(usize::try_from(n).unwrap_or(usize::MAX), "CPU"),
        "gpus" => units::count(usize::try_from(n).unwrap_or(usize::MAX), "GPU"),
        other => format!("{n} {other}"),
    }
}

/// Returns the messages of `error`, each with a remark.
fn noted(error: &Error, note: &str) -> Vec<Diagnostic> {
    let mut all = error.to_diagnostics();
    for diagnostic in &mut all {
        diagnostic.notes.push(note.to_owned());
    }
    all
}

/// Says what to do about a stage that asks for too much of a resource.
fn way_out(what: &str) -> &'static str {
    match what {
        "cpus" => "lower `cpus` of its `resources`, or say with `-j` that this machine can do more",
        "gpus" => {
            "lower `gpus` of its `resources`, or run it where `nvidia-smi -L` lists so many (`CUDA_VISIBLE_DEVICES` narrows what is seen)"
        }
        _ => "lower it in `resources` of the stage, or run it on a larger machine",
    }
}

/// Says how to get an output of a frozen stage.
fn how_to_thaw(stage: &StageName, path: &ArtifactPath, storage: Storage) -> String {
    let restore = match storage {
        Storage::Cached => format!(
            "`cvops checkout {path}` puts it in place from the cache, `cvops pull {path}` fetches it first"
        ),
        Storage::Git => format!("`git checkout -- '{path}'` brings it back"),
    };
    format!("{restore}; `cvops unfreeze {stage}` lets the stage make it")
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let error = |code| Diagnostic::error(code, self.to_string());
        let one = match self {
            Self::Base(e) => return e.to_diagnostics(),
            Self::Project(e) => return e.to_diagnostics(),
            Self::Store(e) => return e.to_diagnostics(),
            Self::At { error, label } => {
                let mut all = error.to_diagnostics();
                for diagnostic in &mut all {
                    diagnostic.labels.push(label.as_ref().clone());
                }
                return all;
            }
            Self::Keeping { error, path } => {
                return noted(error, &format!("while putting the output `{path}` into the cache"));
            }
            Self::Several(errors) => return errors.iter().flat_map(Self::to_diagnostics).collect(),
            Self::NoPipeline { file, .. } => error("no-pipeline").help(format!(
                "write a `{file}` with at least one stage (`cvops schema` describes it)"
            )),
            Self::UnknownTarget { nearest, .. } => error("unknown-target").help(match nearest {
                Some(name) => format!("did you mean `{name}`?"),
                None => "`cvops dag` shows all stages".to_owned(),
            }),
            Self::StageExists { .. } => error("stage-exists")
                .help("give the new one another name, or replace the old one with `--force`"),
            Self::BadName { .. } => error("bad-name"),
            Self::NotItsResult { stage, .. } => error("not-its-result").help(format!(
                "run `cvops repro {stage}`; or, if you know that the outputs are right, `cvops commit --force {stage}`"
            )),
            Self::Generated { group, .. } => error("generated-stage").help(format!(
                "write it into `{group}` in the pipeline file, where it holds for all of them"
            )),
            Self::Pattern { .. } => error("bad-pattern")
                .help("`*` stands for any text, `?` for one character, `[ab]` for one of these"),
            Self::MissingDependency { pointer: Some(pointer), .. } => {
                error("missing-dependency").help(format!(
                    "`cvops checkout {pointer}` puts it in place from the cache, `cvops pull {pointer}` fetches it first"
                ))
            }
            Self::MissingDependency { producer, path, .. } => {
                error("missing-dependency").help(match producer {
                    Some(producer) => {
                        format!("run `cvops repro {producer}` first, which writes it")
                    }
                    None => format!("create `{path}`, or correct the dep in the pipeline file"),
                })
            }
            Self::FrozenMissing {
                stage,
                path,
                storage,
            } => error("frozen-missing").help(how_to_thaw(stage, path, *storage)),
            Self::OutInGit { path, .. } => error("out-in-git").help(format!(
                "take it out of git, the file stays: `git rm -r --cached '{path}'`; or leave it to git with `cache: false`; DVC refuses to run such a stage"
            )),
            Self::MissingParamsFile { file, .. } => {
                error("missing-params-file").help(format!("create `{file}`, or correct `params:`"))
            }
            Self::MissingParam { nearest, file, .. } => {
                error("missing-parameter").help(match nearest {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("add it to `{file}`, or correct `params:`"),
                })
            }
            Self::PersistLinked { .. } => error("persist-linked")
                .help("set `cache.type: [reflink, copy]` in `.cvops/config.yaml`"),
            Self::Spawn { .. } => error("spawn").help("check that `/bin/sh` and `wdir` exist"),
            Self::Failed { code, .. } => {
                let diagnostic = error("stage-failed");
                match code {
                    Some(127) => diagnostic
                        .note("exit code 127 means that the shell did not find a command")
                        .help("check its spelling, and that it is installed and on PATH"),
                    Some(126) => diagnostic
                        .note("exit code 126 means that a command was found but may not be run")
                        .help("make it executable (`chmod +x`)"),
                    _ => diagnostic.help("its output is above; mend the cause and run the same command again: finished stages are kept"),
                }
            }
            Self::TimedOut { command, .. } => error("timed-out")
                .note(format!("`{command}` ran at that moment; its process group was ended"))
                .help("raise `timeout` of the stage, or let it be tried again with `retry: {max: 1}`; what it left in $CVOPS_SCRATCH is found by the next attempt"),
            Self::GaveUp { error, attempts } => {
                return noted(error, &format!("it was tried {attempts} times (`retry`)"));
            }
            Self::NeverFits { what, .. } => error("never-fits").help(way_out(what)),
            Self::NotProduced { path, .. } => error("output-not-produced").help(format!(
                "let the command write `{path}`, or drop it from `outs`"
            )),
            Self::PortTaken { keeper: Some(keeper), .. } => error("port-busy").help(format!(
                "it is a service of a running cvops: stop that (Ctrl-C where it runs, or `kill {keeper}`), or give the service another `port`"
            )),
            Self::PortTaken { port, owner, .. } => error("port-busy").help(match owner {
                Some(owner) => format!(
                    "stop it (`kill {}`), or give the service another `port`",
                    owner.pid
                ),
                None => format!(
                    "`ss -ltnp 'sport = :{port}'` shows who holds it; or give the service another `port`"
                ),
            }),
            Self::PortShared { .. } => {
                error("port-shared").help("start one of them, or give each its own `port`")
            }
            Self::ServiceEnded { lines, .. } => {
                let diagnostic = error("service-ended");
                let said = lines.iter().fold(diagnostic, |d, line| d.note(format!("it said: {line}")));
                said.help("a service runs until it is stopped; mend the cause and start it again")
            }
            Self::ServiceNotReady { .. } => error("service-not-ready").help(
                "if it needs longer, set `ready_timeout` of its `service`; if it listens elsewhere, correct `port` or `ready`",
            ),
            Self::Cancelled => error("interrupted"),
            Self::Bug(_) => {
                error("bug").help("please report it with the command and the pipeline file")
            }
        };
        vec![one]
    }
}

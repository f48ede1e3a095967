//! The error of this room. Imports: `base`.

use std::path::PathBuf;

use crate::base::diag::{Diagnostic, ToDiagnostics};
use crate::base::{self, ArtifactPath};

/// Why a project cannot be opened, set up or locked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No folder from here upwards is a project.
    #[error("`{}` is not inside a cvops project", from.display())]
    NotAProject {
        /// Where the search began.
        from: PathBuf,
    },
    /// A DVC repository should lie in git, and does not.
    #[error("`{}` is not the top folder of a git repository", root.display())]
    NoGitHere {
        /// The folder.
        root: PathBuf,
        /// The top folder of the repository in which it lies.
        in_git: Option<PathBuf>,
    },
    /// Cancelled while waiting for another command.
    #[error("stopped while waiting for the project lock")]
    Cancelled,
    /// A line of `.gitignore` cannot name this path.
    #[error("`{path}` cannot be listed in `.gitignore`: its name holds a line break")]
    Unlistable {
        /// The output.
        path: ArtifactPath,
    },
    /// A pattern in an ignore file breaks the grammar.
    #[error("`{}` holds a pattern that cannot be read: {problem}", path.display())]
    IgnorePattern {
        /// The ignore file.
        path: PathBuf,
        /// What is wrong with which line.
        problem: String,
    },
    /// Git is not used for this project.
    #[error("git is not used for `{}`", root.display())]
    WithoutGit {
        /// The project root.
        root: PathBuf,
    },
    /// A git hook of the user's that ours cannot stand behind.
    #[error("there is a git hook already that cannot be added to: `{}`", path.display())]
    HookTaken {
        /// The hook.
        path: PathBuf,
    },
    /// The table of DVC's path locks cannot be read.
    #[error("`{}` cannot be read: {problem}", path.display())]
    DvcLockTable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No remote was named, and none is the default.
    #[error("no remote was named, and there is no default one")]
    NoRemote {
        /// The remotes there are.
        known: Vec<String>,
    },
    /// No remote has this name.
    #[error("there is no remote `{name}`")]
    UnknownRemote {
        /// What the user or `core.remote` says.
        name: String,
        /// The nearest one.
        nearest: Option<String>,
    },
    /// A remote's options are there, but not where it is.
    #[error("the remote `{name}` has options, but no `url`")]
    RemoteWithoutUrl {
        /// Its name.
        name: String,
    },
    /// A remote that is no folder.
    #[error("the remote `{name}` is a `{scheme}://` one, which is not supported yet")]
    RemoteKind {
        /// Its name.
        name: String,
        /// How its URL begins.
        scheme: String,
    },
    /// There is no `git` program.
    #[error("the program `git` was not found")]
    NoGitProgram,
    /// The project lies in no git repository.
    #[error("`{}` is not inside a git repository", root.display())]
    NoRepository {
        /// The project root.
        root: PathBuf,
    },
    /// The git repository has no commit.
    #[error("the git repository around `{}` has no commit yet", root.display())]
    NoCommits {
        /// The project root.
        root: PathBuf,
    },
    /// git does not trust the repository, because it belongs to somebody else.
    #[error("git refuses to read the repository around `{}`: it belongs to another user", root.display())]
    UnsafeRepository {
        /// The project root.
        root: PathBuf,
    },
    /// No commit has this name.
    #[error("`{revision}` is no branch, tag or commit")]
    UnknownRevision {
        /// What the user typed.
        revision: String,
        /// The nearest branch or tag.
        nearest: Option<String>,
    },
    /// Several objects begin with these digits.
    #[error("`{revision}` is the beginning of several commits")]
    AmbiguousRevision {
        /// What the user typed.
        revision: String,
    },
    /// git failed in a way that is not foreseen.
    #[error("`git` failed: {problem}")]
    Git {
        /// Its words.
        problem: String,
    },
    /// A file or document problem.
    #[error(transparent)]
    Base(#[from] base::Error),
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let message = self.to_string();
        let diagnostic = match self {
            Self::NotAProject { .. } => Diagnostic::error("no-project", message)
                .note("looked for `pipeline.yaml`, `.dvc/` or `.cvops/config.yaml` here and above")
                .help("run `cvops init` in the folder that should become the project"),
            Self::NoGitHere { in_git, .. } => {
                Diagnostic::error("no-git-here", message).help(match in_git {
                    Some(top) => format!(
                        "`--subdir` accepts that `{}` is, or `--no-scm` does without git",
                        top.display()
                    ),
                    None => "run `git init` first, or do without git: `--no-scm`".to_owned(),
                })
            }
            Self::Cancelled => Diagnostic::error("cancelled", message),
            Self::WithoutGit { .. } => Diagnostic::error("without-git", message)
                .note("there is no repository around it, or `core.no_scm` says so")
                .help("run `git init` first"),
            Self::HookTaken { .. } => Diagnostic::error("hook-taken", message)
                .note("it is no shell script, or ends with `exec` or `exit`; nothing was changed")
                .help("move it aside and run `cvops install` again, or call `cvops` in it yourself"),
            Self::DvcLockTable { path, .. } => Diagnostic::error("dvc-lock-table", message)
                .note("DVC keeps there which process reads and writes what")
                .help(format!(
                    "if no `dvc` is running here, remove `{}`",
                    path.display()
                )),
            Self::NoRemote { known } => {
                Diagnostic::error("no-remote", message).help(match known.as_slice() {
                    [] => "`cvops remote add --default NAME FOLDER` adds one".to_owned(),
                    [first, ..] => format!(
                        "`cvops remote default {first}` makes `{first}` the default, `-r {first}` names it"
                    ),
                })
            }
            Self::UnknownRemote { nearest, .. } => {
                Diagnostic::error("unknown-remote", message).help(match nearest {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "`cvops remote list` shows those there are".to_owned(),
                })
            }
            Self::RemoteWithoutUrl { name } => Diagnostic::error("remote-without-url", message)
                .note("it may have been removed in another file of settings")
                .help(format!("`cvops remote add --force {name} URL` says where it is")),
            Self::RemoteKind { name, .. } => Diagnostic::error("remote-kind", message)
                .help(format!("`cvops remote modify {name} url FOLDER` names a folder instead")),
            Self::Unlistable { .. } => {
                Diagnostic::error("unlistable-path", message).help("rename the output")
            }
            Self::IgnorePattern { .. } => Diagnostic::error("ignore-pattern", message)
                .help("the grammar is that of `.gitignore` (`git help gitignore`)"),
            Self::NoGitProgram => Diagnostic::error("no-git", message)
                .help("install git, or leave the revision out to compare with the last `cvops repro`"),
            Self::NoRepository { .. } => Diagnostic::error("no-repository", message)
                .help("run `git init` and commit, or leave the revision out to compare with the last `cvops repro`"),
            Self::NoCommits { .. } => Diagnostic::error("no-commits", message)
                .help("commit once, or leave the revision out to compare with the last `cvops repro`"),
            Self::UnsafeRepository { root } => Diagnostic::error("unsafe-repository", message)
                .help(format!(
                    "if you trust it: `git config --global --add safe.directory '{}'`",
                    root.display()
                )),
            Self::UnknownRevision { nearest, .. } => {
                Diagnostic::error("unknown-revision", message).help(match nearest {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "`git branch --all`, `git tag` and `git log --oneline` list what there is".to_owned(),
                })
            }
            Self::AmbiguousRevision { .. } => {
                Diagnostic::error("ambiguous-revision", message).help("give more digits")
            }
            Self::Git { .. } => Diagnostic::error("git", message)
                .help("`git status` in this folder may say more"),
            Self::Base(error) => return error.to_diagnostics(),
        };
        vec![diagnostic]
    }
}

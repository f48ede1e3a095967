//! The error of this room. Imports: `base`, `project`, `store`, `pipeline`.

use std::path::PathBuf;

use crate::base::diag::{Diagnostic, ToDiagnostics};
use crate::base::path::PathError;
use crate::base::{self, ArtifactPath};
use crate::pipeline::StageName;
use crate::pipeline::spec::Freshness;

use super::tracked::StageOut;

/// What can go wrong with a verb over tracked data.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path that the user named is none inside the project.
    #[error("{}", bad_path(text, source))]
    Path {
        /// As typed.
        text: String,
        /// What is wrong with it.
        source: PathError,
    },
    /// There is nothing at a path.
    #[error("there is no file or folder `{path}`")]
    NothingThere {
        /// The path.
        path: ArtifactPath,
    },
    /// A pattern fits nothing.
    #[error("no file or folder fits `{pattern}`")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// A pattern cannot be read.
    #[error("`{pattern}` is not a pattern: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that belongs to the project itself.
    #[error("`{path}` is {what}, not data")]
    NotData {
        /// The path.
        path: ArtifactPath,
        /// What it is: `a pointer file`.
        what: &'static str,
    },
    /// Ignore rules leave the path out.
    #[error("`{path}` is left out by an ignore file")]
    Ignored {
        /// The path.
        path: ArtifactPath,
    },
    /// The path leads through a link, so its bytes are somewhere else.
    #[error("`{path}` lies behind the symbolic link `{link}`")]
    BehindLink {
        /// The path.
        path: ArtifactPath,
        /// The link.
        link: ArtifactPath,
    },
    /// git has the file already.
    #[error("`{path}` is tracked by git already")]
    InGit {
        /// The path.
        path: ArtifactPath,
    },
    /// A stage writes it.
    #[error("{}", stage_output(path, out, stage))]
    StageOutput {
        /// What was asked for.
        path: ArtifactPath,
        /// The output it meets.
        out: ArtifactPath,
        /// The stage.
        stage: StageName,
    },
    /// Another pointer tracks it.
    #[error("{}", overlap(path, out, pointer))]
    Overlap {
        /// What was asked for.
        path: ArtifactPath,
        /// The tracked path it meets.
        out: ArtifactPath,
        /// The pointer that tracks it.
        pointer: ArtifactPath,
    },
    /// A folder with an ignore file in it, where those are not allowed.
    #[error(
        "`{path}` holds `{file}`: in a DVC repository no tracked folder has an ignore file in it"
    )]
    HoldsIgnoreFile {
        /// The folder.
        path: ArtifactPath,
        /// The ignore file.
        file: ArtifactPath,
    },
    /// Two of the paths given overlap.
    #[error("`{inner}` lies inside `{outer}`: they cannot be added side by side")]
    Nested {
        /// The one.
        inner: ArtifactPath,
        /// The other.
        outer: ArtifactPath,
    },
    /// Data cannot move into itself.
    #[error("`{to}` lies inside `{from}`, which is to move there")]
    IntoItself {
        /// What is to move.
        from: ArtifactPath,
        /// Where to.
        to: ArtifactPath,
    },
    /// Nothing tracks it.
    #[error("`{path}` is not tracked")]
    NotTracked {
        /// What was named.
        path: ArtifactPath,
        /// What it was probably meant to be.
        nearest: Option<String>,
    },
    /// The data was named where the pointer is meant.
    #[error("`{path}` is data; what can be removed is its pointer `{pointer}`")]
    DataNamed {
        /// What was named.
        path: ArtifactPath,
        /// Its pointer.
        pointer: ArtifactPath,
    },
    /// An output was named where its stage is meant.
    #[error("`{path}` is an output of the stage `{stage}`; what can be removed is the stage")]
    OutputNamed {
        /// What was named.
        path: ArtifactPath,
        /// Its stage.
        stage: StageName,
    },
    /// A file was written to while it was sent.
    #[error("`{}` changed while it was sent", path.display())]
    ChangedMeanwhile {
        /// The file.
        path: PathBuf,
    },
    /// Something stands where something is to be put.
    #[error("`{}` is there already", path.display())]
    InTheWay {
        /// Where.
        path: PathBuf,
    },
    /// Only part of what a pointer tracks was named where all of it is needed.
    #[error("`{path}` is part of `{out}`, which is tracked as a whole")]
    Part {
        /// What was named.
        path: ArtifactPath,
        /// What is tracked.
        out: ArtifactPath,
    },
    /// A pointer names data, but not which.
    #[error("`{pointer}` does not say yet what belongs at `{path}`")]
    Unrecorded {
        /// The pointer.
        pointer: ArtifactPath,
        /// Its data.
        path: ArtifactPath,
    },
    /// The lock does not say what belongs at an output.
    #[error("`{path}` cannot be put in place: no run that wrote it is recorded")]
    NoRun {
        /// The output.
        path: ArtifactPath,
        /// The stage that writes it.
        origin: Origin,
    },
    /// The cache does not have, whole, what belongs at a path.
    #[error("`{path}` cannot be put in place: the cache {lack}")]
    NotInCache {
        /// The path.
        path: ArtifactPath,
        /// What is not there, or damaged.
        lack: String,
        /// Were damaged objects found, and taken out?
        is_damaged: bool,
        /// Who can make it.
        origin: Origin,
        /// Paths that were links to damaged objects, and hold those bytes by themselves now.
        rescued: Vec<String>,
    },
    /// The cache lacks what `push: false` keeps away from every remote.
    #[error(
        "`{path}` cannot be put in place: it goes to no remote, and the cache does not have it"
    )]
    NotPushed {
        /// The path.
        path: ArtifactPath,
    },
    /// What is to be added is a link to a folder.
    #[error("`{path}` is a symbolic link to a folder")]
    FolderLink {
        /// The link.
        path: ArtifactPath,
    },
    /// Several problems.
    #[error("{}", .0.first().map_or_else(String::new, ToString::to_string))]
    Several(Vec<Error>),
    /// From the room `project`.
    #[error(transparent)]
    Project(#[from] crate::project::Error),
    /// From the room `store`.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// From the room `pipeline`.
    #[error(transparent)]
    Pipeline(#[from] crate::pipeline::Error),
    /// There is more than one pipeline file, or one below the top.
    #[error(
        "a cvops project has one pipeline file, at its top; here are {}",
        list(files)
    )]
    SeveralPipelines {
        /// The files.
        files: Vec<String>,
    },
    /// Data is neither in the workspace nor in the cache.
    #[error(
        "it cannot be hashed anew, for it is neither in place nor in the cache: {}",
        list(paths)
    )]
    NothingToHash {
        /// Its paths.
        paths: Vec<String>,
    },
    /// A commit cannot be read.
    #[error("what the revision `{name}` uses cannot be found out: {error}")]
    Revision {
        /// Its name.
        name: String,
        /// Why.
        error: Box<Error>,
    },
    /// Not everything that was to be moved is at its source.
    #[error("{}", incomplete(*direction, remotes, lacking, damaged))]
    Incomplete {
        /// Which way.
        direction: Direction,
        /// The remotes, by name.
        remotes: Vec<String>,
        /// Paths of what the source does not have.
        lacking: Vec<String>,
        /// Those of them that stand in the workspace as they are recorded.
        in_place: Vec<String>,
        /// Paths of what the source has damaged.
        damaged: Vec<String>,
    },
    /// A file operation, document or database failed.
    #[error(transparent)]
    Base(#[from] base::Error),
}

/// Who can make what a path holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The user, who added it.
    User,
    /// A stage.
    Stage(StageName),
    /// A stage that does not run while it is frozen.
    FrozenStage(StageName),
}

impl Origin {
    pub(super) fn of(out: &StageOut) -> Self {
        let stage = out.stage.clone();
        match out.freshness {
            Freshness::Frozen => Self::FrozenStage(stage),
            Freshness::ByInputs | Freshness::AlwaysChanged => Self::Stage(stage),
        }
    }

    /// Says how it is made again.
    fn remake(&self, path: &ArtifactPath) -> String {
        match self {
            Self::User => format!("if you have it elsewhere, put it there and `cvops add {path}`"),
            Self::Stage(stage) => format!("`cvops repro {stage}` makes it anew"),
            Self::FrozenStage(stage) => format!(
                "`{stage}` is frozen: `cvops unfreeze {stage}`, then `cvops repro {stage}` makes it anew"
            ),
        }
    }
}

impl Error {
    /// Was the work stopped by the caller?
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        use crate::{pipeline, project, store};
        match self {
            Self::Project(error) => matches!(error, project::Error::Cancelled),
            Self::Store(error) => matches!(error, store::Error::Cancelled),
            Self::Pipeline(error) => matches!(error, pipeline::Error::Cancelled),
            _ => false,
        }
    }

    /// Makes one error of several.
    pub(super) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }
}

fn bad_path(text: &str, source: &PathError) -> String {
    match source {
        PathError::Empty => format!("`{text}` is the project's own folder"),
        other => other.to_string(),
    }
}

fn stage_output(path: &ArtifactPath, out: &ArtifactPath, stage: &StageName) -> String {
    if path == out {
        format!("`{path}` is an output of the stage `{stage}`")
    } else if out.contains(path) {
        format!("`{path}` lies in `{out}`, an output of the stage `{stage}`")
    } else {
        format!("`{path}` holds `{out}`, an output of the stage `{stage}`")
    }
}

fn overlap(path: &ArtifactPath, out: &ArtifactPath, pointer: &ArtifactPath) -> String {
    if path == out {
        format!("`{path}` is tracked by `{pointer}` already")
    } else if out.contains(path) {
        format!("`{path}` lies in `{out}`, which `{pointer}` tracks")
    } else {
        format!("`{path}` holds `{out}`, which `{pointer}` tracks already")
    }
}

/// Which way objects move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the cache to remotes.
    Push,
    /// From remotes to the cache.
    Fetch,
}

/// How many paths a message lists before it only counts.
const LISTED_MAX: usize = 5;

/// Lists the first few of `paths`.
fn list(paths: &[String]) -> String {
    let shown: Vec<String> = paths
        .iter()
        .take(LISTED_MAX)
        .map(|p| format!("`{p}`"))
        .collect();
    let more = paths.len().saturating_sub(LISTED_MAX);
    let tail = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    format!("{}{tail}", shown.join(", "))
}

fn incomplete(
    direction: Direction,
    remotes: &[String],
    lacking: &[String],
    damaged: &[String],
) -> String {
    let remote = format!("the remote `{}`", remotes.join("`, `"));
    let source = match direction {
        Direction::Push => "the cache".to_owned(),
        Direction::Fetch => remote,
    };
    let mut parts = Vec::new();
    if !lacking.is_empty() {
        parts.push(format!("{source} does not have {}", list(lacking)));
    }
    if !damaged.is_empty() {
        parts.push(format!("{source} has damaged {}", list(damaged)));
    }
    parts.join("; ")
}

/// Says how what is `in_place` gets into the cache.
fn commit_first(in_place: &[String]) -> String {
    const NAMED_MAX: usize = 4;
    let some: Vec<String> = in_place.iter().take(NAMED_MAX).cloned().collect();
    let rest = in_place.len().saturating_sub(NAMED_MAX);
    let more = if rest == 0 {
        String::new()
    } else {
        format!(" (and {rest} more)")
    };
    format!(
        "`cvops commit {}`{more} puts what is in place into the cache; then push again",
        some.join(" ")
    )
}

/// Adds what became of damaged objects and of what was written through links to them.
fn with_damage(diagnostic: Diagnostic, is_damaged: bool, rescued: &[String]) -> Diagnostic {
    let diagnostic = if is_damaged {
        diagnostic.note("damaged objects were moved to the `corrupt` folder of the cache")
    } else {
        diagnostic
    };
    if rescued.is_empty() {
        return diagnostic;
    }
    diagnostic.note(format!(
        "through a link into the cache somebody wrote to {}; what was written is kept there, in a file of its own (`cvops commit` records it)",
        list(rescued)
    ))
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let error = |code| Diagnostic::error(code, self.to_string());
        let one = match self {
            Self::Path { source, .. } => {
                let diagnostic = error("bad-path");
                match source {
                    PathError::Empty => diagnostic.help("name files and folders in it"),
                    PathError::Outside(_) | PathError::Absolute(_) => {
                        diagnostic.help("`cvops add FILE --out PATH` copies it into the project")
                    }
                    PathError::Character(_) => diagnostic.help("rename it"),
                }
            }
            Self::NothingThere { .. } => error("nothing-there").help("check its spelling"),
            Self::NoMatch { .. } => error("no-match").help(
                "quote patterns, so that the shell leaves them alone; `**` reaches into folders",
            ),
            Self::Pattern { .. } => error("bad-pattern").help("`*`, `?`, `[abc]` and `**` mean something in it"),
            Self::NotData { .. } => error("not-data").help("leave it to git"),
            Self::Ignored { .. } => {
                error("ignored").help("`cvops check-ignore -d PATH` names the pattern")
            }
            Self::BehindLink { link, .. } => error("behind-link").help(format!(
                "name the place that `{link}` leads to, or add the link's own folder"
            )),
            Self::InGit { path } => error("in-git").help(format!(
                "take it out of git first, the file stays: `git rm -r --cached '{path}'`"
            )),
            Self::StageOutput { stage, .. } => error("stage-output").help(format!(
                "`cvops repro {stage}` records it; `cvops commit {stage}` records what is there now"
            )),
            Self::Overlap { path, out, pointer } if path.contains(out) && path != out => {
                error("overlap").help(format!(
                    "to track all of `{path}` together: `cvops remove {pointer}`, then add `{path}`"
                ))
            }
            Self::Overlap { out, .. } => error("overlap").help(format!("`cvops add {out}` updates it")),
            Self::HoldsIgnoreFile { path, .. } => error("holds-ignore-file").help(format!(
                "write its patterns into a `.dvcignore` above `{path}`, then remove it"
            )),
            Self::Nested { outer, .. } => error("nested").help(format!("`{outer}` alone is enough")),
            Self::IntoItself { .. } => error("into-itself").help("choose a place outside it"),
            Self::NotTracked { nearest, .. } => match nearest {
                Some(name) => error("not-tracked").help(format!("did you mean `{name}`?")),
                None => error("not-tracked").help("`cvops ls --dvc-only -R` shows what is tracked"),
            },
            Self::DataNamed { pointer, .. } => {
                error("data-named").help(format!("`cvops remove {pointer}`"))
            }
            Self::OutputNamed { stage, .. } => {
                error("output-named").help(format!("`cvops remove {stage}`"))
            }
            Self::ChangedMeanwhile { .. } => {
                error("changed-meanwhile").help("try again when nothing writes to it")
            }
            Self::InTheWay { .. } => error("in-the-way").help("choose another name, or move it away"),
            Self::Part { out, .. } => error("part").help(format!("name `{out}`")),
            Self::Unrecorded { pointer, .. } => error("unrecorded")
                .help(format!("put the data there and record it with `cvops commit {pointer}`; where DVC imports it, `dvc update {pointer}` fetches it")),
            Self::NotPushed { path } => error("not-pushed").help(format!(
                "`cvops repro {path}` makes it anew if a stage writes it; or get it from whoever has it, or drop `push: false` and push it there"
            )),
            Self::NoRun { path, origin } => error("no-run").help(origin.remake(path)),
            Self::NotInCache {
                path,
                is_damaged,
                origin,
                rescued,
                ..
            } => {
                let again = format!(
                    "`cvops fetch` brings it from a remote that has it; {}",
                    origin.remake(path)
                );
                with_damage(error("not-in-cache").help(again), *is_damaged, rescued)
            }
            Self::FolderLink { path } => error("folder-link").help(format!(
                "files behind it are not the project's to change; `rm {path}`, then `cvops add FOLDER --out {path}` copies what it leads to"
            )),
            Self::SeveralPipelines { .. } => error("several-pipelines").help(
                "move their stages into one `dvc.yaml` at the top (with `wdir:` for those from below), or stay with DVC's files: cvops works with them as they are",
            ),
            Self::NothingToHash { .. } => error("nothing-to-hash")
                .help("`cvops fetch` brings it from the remote; then migrate again"),
            Self::Revision { error: why, .. } => error("revision")
                .note(
                    why
                        .to_diagnostics()
                        .iter()
                        .map(|d| d.headline.clone())
                        .collect::<Vec<_>>()
                        .join("; "),
                )
                .help("nothing was removed; `--skip-failed` goes on without what it uses"),
            Self::Incomplete { in_place, .. } if !in_place.is_empty() => {
                error("incomplete").help(commit_first(in_place))
            }
            Self::Incomplete { direction, .. } => error("incomplete").help(match direction {
                Direction::Push => {
                    "`cvops fetch` brings it from another remote, `cvops repro` makes outputs anew; then push again"
                }
                Direction::Fetch => {
                    "push it from a machine that has it (`cvops push --thorough`), or make outputs anew with `cvops repro`"
                }
            }),
            Self::Several(errors) => {
                return errors.iter().flat_map(ToDiagnostics::to_diagnostics).collect();
            }
            Self::Project(e) => return e.to_diagnostics(),
            Self::Store(e) => return e.to_diagnostics(),
            Self::Pipeline(e) => return e.to_diagnostics(),
            Self::Base(e) => return e.to_diagnostics(),
        };
        vec![one]
    }
}

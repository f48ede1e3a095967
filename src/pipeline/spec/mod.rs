//! What the user wrote, made concrete: stages with typed paths, and the reader of `pipeline.yaml`.
//!
//! Plain data; nothing here looks at the workspace. Imports: base, project.

mod catalog;
mod faults;
mod outs;
mod params;
mod paths;
mod read;
mod run;
mod schema;
mod service;
mod shown;
mod spelling;
pub mod template;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::Arc;

use crate::base::doc::{Document, KeyPath};
use crate::base::{ArtifactPath, Diagnostic};
use crate::project::{Commands, PARAMS_FILE};

pub use catalog::{Artifact, Catalog};
pub use read::{read, read_in};
pub use run::{FailureKind, Resources, Retry, RunSpec};
pub use schema::json_schema;
pub use service::ServiceSpec;
pub use shown::{Axes, Direction, Shown};
pub use spelling::Spelling;

/// The address of a stage: `train` in the pipeline file at the top of the project, `sub/dvc.yaml:train`
/// in one below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageName {
    address: Arc<str>,
    /// Where the name inside the file begins.
    local_at: usize,
}

impl StageName {
    /// Returns the address of the stage called `local` in `file`; `None` is the file at the top.
    ///
    /// # Errors
    /// `local` is no name.
    pub fn in_file(file: Option<&ArtifactPath>, local: &str) -> Result<Self, ParseStageNameError> {
        check_local(local)?;
        Ok(match file {
            None => Self {
                address: local.into(),
                local_at: 0,
            },
            Some(file) => Self {
                address: format!("{file}:{local}").into(),
                local_at: file.as_str().len() + 1,
            },
        })
    }

    /// Returns the whole address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// Returns the name inside the file.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.address[self.local_at..]
    }

    /// Returns the pipeline file; `None` is the one at the top of the project.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.address[..self.local_at].strip_suffix(':')
    }

    /// Returns the address of the group that a `foreach` or `matrix` made the stage for.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        let (group, _) = self.local().split_once(GROUP_SEPARATOR)?;
        Some(&self.address[..self.local_at + group.len()])
    }

    /// Returns a name for files of this stage: no other stage has it, and it is no path.
    #[must_use]
    pub fn file_name(&self) -> String {
        let mut name = String::with_capacity(self.address.len());
        for (at, c) in self.address.char_indices() {
            match c {
                '/' | '%' | '\\' | '\0' => {
                    let _ = write!(name, "%{:02X}", u32::from(c));
                }
                '.' if at == 0 => name.push_str("%2E"),
                c => name.push(c),
            }
        }
        name
    }
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// Why a text is no stage name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a stage name: use letters, digits, blanks, `_`, `-` and `.`, beginning with a letter, digit or `_`"
)]
pub struct ParseStageNameError(String);

/// Stands between the name of a group and what tells its stages apart.
pub const GROUP_SEPARATOR: char = '@';

/// Ends the file in an address; the names of pipeline files end like this.
const FILE_END: &str = ".yaml:";

/// Is this a name that a stage may have in its file? What follows the `@` of a group comes from data
/// and may be nearly anything.
fn check_local(text: &str) -> Result<(), ParseStageNameError> {
    let (name, suffix) = match text.split_once(GROUP_SEPARATOR) {
        Some((name, suffix)) => (name, Some(suffix)),
        None => (text, None),
    };
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    let is_name = name.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && !name.ends_with(' ')
        && name.chars().all(fits);
    if is_name && suffix.is_none_or(is_suffix) {
        return Ok(());
    }
    Err(ParseStageNameError(text.escape_debug().to_string()))
}

/// May this follow the `@` of a group?
fn is_suffix(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_control() || c == GROUP_SEPARATOR)
}

impl FromStr for StageName {
    type Err = ParseStageNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (file, local) = split_address(text);
        let file = match file.map(str::parse::<ArtifactPath>) {
            None => None,
            Some(Ok(file)) => Some(file),
            Some(Err(_)) => return Err(ParseStageNameError(text.to_owned())),
        };
        Self::in_file(file.as_ref(), local)
    }
}

/// Returns the file and the name in it that an address is made of; neither is checked.
#[must_use]
pub fn split_address(text: &str) -> (Option<&str>, &str) {
    match text.find(FILE_END) {
        Some(at) => {
            let end = at + FILE_END.len();
            (Some(&text[..end - 1]), &text[end..])
        }
        None => (None, text),
    }
}

/// A parameter that a stage depends on: a key of a file, or the whole file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParamRef {
    /// The params file.
    pub file: ArtifactPath,
    /// The key inside it; the root means the whole file.
    pub key: KeyPath,
}

impl fmt::Display for ParamRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.key.is_root()) {
            (PARAMS_FILE, false) => write!(f, "{}", self.key),
            (file, false) => write!(f, "{file}:{}", self.key),
            (file, true) => write!(f, "{file}"),
        }
    }
}

/// What an output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutKind {
    /// Data or a model.
    Data,
    /// Numbers that `cvops metrics` compares.
    Metric,
    /// Points or pictures to look at.
    Plot,
}

/// Is the output left to git, or git-ignored because the cache holds it?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the cache; git-ignored in the workspace.
    Cached,
    /// `cache: false`: committed to git by the user (kept in the cache as well, so that any earlier
    /// run can be restored).
    Git,
}

/// Is the output removed before its stage runs?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeforeRun {
    /// Removed, so that a stage cannot mix old results into new ones.
    Remove,
    /// `persist: true`: left in place for stages that update it.
    Keep,
}

/// May an output be pushed to a remote?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// It may.
    Allowed,
    /// `push: false`: it stays on this machine.
    Never,
}

/// One declared output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutSpec {
    /// What it is for.
    pub kind: OutKind,
    /// Where it is kept.
    pub storage: Storage,
    /// What happens to it before a run.
    pub before_run: BeforeRun,
    /// May it be pushed?
    pub push: Push,
    /// The one remote that it is kept on, where one is named.
    pub remote: Option<String>,
    /// In which direction a metric improves, where it is said.
    pub direction: Option<Direction>,
    /// What a plot shows on its axes.
    pub axes: Axes,
    /// Where it is declared, for messages.
    pub declared: KeyPath,
}

/// When a stage is up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Judged by its inputs.
    ByInputs,
    /// `frozen: true`: never run, whatever changed.
    Frozen,
    /// `always_changed: true`: run each time.
    AlwaysChanged,
}

/// How `cmd` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandForm {
    /// As one text.
    Text,
    /// As a list of texts.
    List,
}

/// One stage.
#[derive(Clone, Debug)]
pub struct StageSpec {
    /// Its name.
    pub name: StageName,
    /// What `cmd` says, without the blanks around each text.
    pub commands: Vec<String>,
    /// How `cmd` is written.
    pub command_form: CommandForm,
    /// The folder in which they run, relative to the project root; `None` is the root itself.
    pub wdir: Option<ArtifactPath>,
    /// Files and folders it reads, with the place of their declaration.
    pub deps: BTreeMap<ArtifactPath, KeyPath>,
    /// Patterns of files it reads; each is made the deps that it matches before anything else asks.
    pub patterns: BTreeMap<ArtifactPath, KeyPath>,
    /// Parameters it reads, with the place of their declaration.
    pub params: BTreeMap<ParamRef, KeyPath>,
    /// Environment variables that are dependencies by value.
    pub env: BTreeSet<String>,
    /// What it writes.
    pub outs: BTreeMap<ArtifactPath, OutSpec>,
    /// When it is up to date.
    pub freshness: Freshness,
    /// It runs until it is stopped instead of to its end: it has no outputs and is never done.
    pub service: Option<ServiceSpec>,
    /// How it is run; no input of its result.
    pub run: RunSpec,
    /// A sentence for people.
    pub description: Option<String>,
    /// Where the stage stands in the pipeline file.
    pub declared: KeyPath,
    /// How it is spelt there.
    pub spelling: Spelling,
}

impl StageSpec {
    /// Returns the texts that are each given to a shell of their own, in order; the first failure
    /// ends the stage.
    #[must_use]
    pub fn shell_commands(&self, run: Commands) -> Vec<&str> {
        match (run, self.command_form, self.commands.as_slice()) {
            (Commands::ByLine, CommandForm::Text, [text]) => text
                .lines()
                .filter(|line| !line.trim().is_empty())
                .collect(),
            (_, _, commands) => commands.iter().map(String::as_str).collect(),
        }
    }

    /// Is there nothing to judge it by: does it neither read nor write anything that is declared?
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.deps.is_empty() && self.params.is_empty() && self.outs.is_empty()
    }

    /// Returns every path that the stage reads: deps, then params files (each as often as it has
    /// keys).
    pub fn reads(&self) -> impl Iterator<Item = &ArtifactPath> {
        self.deps
            .keys()
            .chain(self.params.keys().map(|param| &param.file))
    }
}

/// A pipeline file as read.
#[derive(Debug)]
pub struct Pipeline {
    /// Where it is; `None`: at the top of the project.
    pub file: Option<ArtifactPath>,
    /// The stages in file order.
    pub stages: Vec<StageSpec>,
    /// The stages of each `foreach` and `matrix`, by the address under which they are declared.
    pub groups: BTreeMap<StageName, Vec<StageName>>,
    /// Files to show that the top level names.
    pub shown: Shown,
    /// Artifacts and datasets.
    pub catalog: Catalog,
    /// What the user should know although nothing is wrong.
    pub warnings: Vec<Diagnostic>,
    /// The params files that templates were resolved with, whether or not they exist.
    pub template_files: Vec<ArtifactPath>,
    /// The file, for messages about places found wrong later (cycles, overlaps).
    pub document: Document,
}

//! The names by which a project is known, and how it hashes. Imports: `base`,
//! `project::settings`.
//!
//! A personality is a value chosen once, when the project is discovered; no other room spells these
//! names, so that a second personality is a second constant and not a second code path.

use crate::base::hash::HashAlgo;

use super::settings::SettingsForm;

/// The file names and the hash of one kind of project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Personality {
    /// The file that declares stages.
    pub pipeline_file: &'static str,
    /// The file that records what was last run.
    pub lock_file: &'static str,
    /// What is appended to a tracked path to name its pointer file.
    pub pointer_suffix: &'static str,
    /// The folder for local state, and in a cvops project for settings.
    pub state_dir: &'static str,
    /// What `*`, `?`, `[` and `{` mean in deps.
    pub dep_patterns: DepPatterns,
    /// Does a pipeline file below the top count as well? If not, it belongs to another project.
    pub nested_pipelines: bool,
    /// The folder of the project's settings.
    pub settings_dir: &'static str,
    /// How they are written.
    pub settings: SettingsForm,
    /// The folder that makes a folder of the project another project, where that counts.
    pub inner_marker: Option<&'static str>,
    /// How a stage's commands are run.
    pub commands: Commands,
    /// When a stage runs that has neither deps nor outputs.
    pub bare_stages: BareStages,
    /// How content is hashed; the form of folder listings and of records follows from it.
    pub hash: HashAlgo,
    /// The default cache folder.
    pub cache: &'static str,
    /// The folder of the locks that DVC takes, if it may run beside us.
    pub dvc_locks: Option<&'static str>,
    /// Where the run cache is.
    pub runs: RunsIn,
    /// The folder of objects in the cache folder.
    pub objects: &'static str,
}

/// What a dep means that holds the characters of patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepPatterns {
    /// All files that it matches.
    Read,
    /// The file of that very name, as in DVC.
    Literal,
}

/// How a stage's commands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commands {
    /// Each as a whole, by `/bin/sh`.
    Whole,
    /// Each line of a text by itself, by the user's shell (`$SHELL`) without its start-up files.
    ByLine,
}

/// When a stage runs that has neither deps nor outputs: there is nothing to judge it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareStages {
    /// Once, until its command changes.
    RunOnce,
    /// Each time.
    RunAlways,
}

/// Where the run cache is: in its folder `runs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunsIn {
    /// Of the state folder: each project has its own.
    State,
    /// Of the cache folder: projects that share a cache share results.
    Cache,
}

/// A cvops project.
pub const CVOPS: Personality = Personality {
    pipeline_file: "pipeline.yaml",
    lock_file: "pipeline.lock",
    pointer_suffix: ".cvops",
    state_dir: ".cvops",
    dep_patterns: DepPatterns::Read,
    settings_dir: ".cvops",
    settings: SettingsForm::Yaml,
    nested_pipelines: false,
    inner_marker: None,
    commands: Commands::Whole,
    bare_stages: BareStages::RunOnce,
    hash: HashAlgo::Blake3,
    cache: ".cvops/cache",
    dvc_locks: None,
    runs: RunsIn::State,
    objects: "blake3",
};

/// A DVC repository: what DVC shares with others is where and how DVC has it; the rest is our own.
pub const DVC: Personality = Personality {
    pipeline_file: "dvc.yaml",
    lock_file: "dvc.lock",
    pointer_suffix: ".dvc",
    state_dir: ".cvops",
    dep_patterns: DepPatterns::Literal,
    settings_dir: DVC_DIR,
    settings: SettingsForm::Ini,
    nested_pipelines: true,
    inner_marker: Some(DVC_DIR),
    commands: Commands::ByLine,
    bare_stages: BareStages::RunAlways,
    hash: HashAlgo::Md5,
    cache: ".dvc/cache",
    dvc_locks: Some(".dvc/tmp"),
    runs: RunsIn::Cache,
    objects: "files/md5",
};

/// The params file of a key given without one.
pub const PARAMS_FILE: &str = "params.yaml";

/// The folder whose presence (without a pipeline file) makes a folder a DVC repository.
pub(crate) const DVC_DIR: &str = ".dvc";

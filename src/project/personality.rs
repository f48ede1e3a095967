//! The names by which a project is known. Imports: nothing.
//!
//! A personality is a value chosen once, when the project is discovered; no other room spells these
//! names, so that a second personality is a second constant and not a second code path.

/// The file names of one kind of project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Personality {
    /// The file that declares stages.
    pub pipeline_file: &'static str,
    /// The file that records what was last run.
    pub lock_file: &'static str,
    /// What is appended to a tracked path to name its pointer file.
    pub pointer_suffix: &'static str,
    /// The folder for settings and local state.
    pub state_dir: &'static str,
}

/// A cvops project.
pub const CVOPS: Personality = Personality {
    pipeline_file: "pipeline.yaml",
    lock_file: "pipeline.lock",
    pointer_suffix: ".cvops",
    state_dir: ".cvops",
};

/// The params file of a key given without one.
pub const PARAMS_FILE: &str = "params.yaml";

/// The folder whose presence (without a pipeline file) makes a folder a DVC repository.
pub(crate) const DVC_DIR: &str = ".dvc";

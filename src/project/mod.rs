//! Where are we: the root of the project, its personality, settings, folder layout, ignore rules
//! and lock. Imports: `base`.
//!
//! Invariant: no other room asks which kind of project this is or spells a path under `.cvops/`;
//! it asks `Personality` for a name and `Layout` for a path.

pub mod claims;
pub mod config;
pub mod discover;
pub mod dvc_locks;
pub mod error;
pub mod git;
pub mod gitignore;
mod hardlink_lock;
pub mod hooks;
pub mod ignore;
pub mod init;
pub mod layout;
pub mod locks;
pub mod personality;
pub mod remote;
pub mod settings;

pub use claims::{Claims, Wanted};
pub use config::{BoolFlags, Config, ListFlags, OnDriftSettings, Parsing, Sharing};
pub use discover::{Project, discover, find_root, marks_root};
pub use dvc_locks::{PathLocks, RepoLock, RwGuard};
pub use error::Error;
pub use git::{Commit, Git};
pub use gitignore::{GitRules, InGit, is_ignored};
pub use ignore::Ignore;
pub use init::{Scm, init, init_dvc};
pub use layout::Layout;
pub use locks::{Access, EditLock, Holder, ProjectLock, Wait};
pub use personality::{
    BareStages, CVOPS, Commands, DVC, DepPatterns, PARAMS_FILE, Personality, RunsIn,
};
pub use remote::Remote;
pub use settings::{
    Origin, OuterFiles, OuterSettings, SETTINGS, Setting, SettingName, SettingsFile, SettingsForm,
};

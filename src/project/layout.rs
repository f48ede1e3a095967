//! Every path under the state folder, spelt here and nowhere else. Imports:
//! `project::{personality, settings}`.

use std::path::{Path, PathBuf};

use super::personality::{Personality, RunsIn};
use super::settings::SettingsForm;

/// How DVC's locks are taken in a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LockKind {
    /// By the operating system.
    #[default]
    Flock,
    /// By hard links (`core.hardlink_lock`).
    Hardlink,
}

/// Where a project keeps settings and local state. Paths are computed, nothing is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    state: PathBuf,
    settings: PathBuf,
    form: SettingsForm,
    dvc_locks: Option<PathBuf>,
    dvc_lock_kind: LockKind,
    cache: PathBuf,
    runs: PathBuf,
    /// The state folder of the project whose results and knowledge are used as well.
    shared: Option<PathBuf>,
}

impl Layout {
    /// Returns the layout of the project at `root`.
    #[must_use]
    pub fn new(root: &Path, personality: &Personality) -> Self {
        Self {
            state: root.join(personality.state_dir),
            settings: root.join(personality.settings_dir),
            form: personality.settings,
            dvc_locks: personality.dvc_locks.map(|dir| root.join(dir)),
            dvc_lock_kind: LockKind::default(),
            cache: root.join(personality.cache),
            runs: root.join(match personality.runs {
                RunsIn::State => personality.state_dir,
                RunsIn::Cache => personality.cache,
            }),
            shared: None,
        }
    }

    /// Returns the layout of a work tree at `root` that shares results (run cache) and knowledge
    /// (stat cache) with this project, and has temporary things of its own.
    #[must_use]
    pub fn of_work_tree(&self, root: &Path, personality: &Personality) -> Self {
        Self {
            state: root.join(personality.state_dir),
            settings: root.join(personality.settings_dir),
            form: personality.settings,
            // A work tree belongs to one process, and DVC knows nothing of it.
            dvc_locks: None,
            dvc_lock_kind: LockKind::default(),
            cache: self.cache.clone(),
            runs: self.runs.clone(),
            shared: Some(self.shared_state().to_owned()),
        }
    }

    /// Returns this layout with the run cache where it is for the cache folder in use.
    #[must_use]
    pub(super) fn for_cache(mut self, cache_dir: &Path, personality: &Personality) -> Self {
        if personality.runs == RunsIn::Cache {
            cache_dir.clone_into(&mut self.runs);
        }
        self
    }

    /// Returns this layout with DVC's locks taken as the settings say.
    #[must_use]
    pub(super) fn with_lock_kind(mut self, kind: LockKind) -> Self {
        self.dvc_lock_kind = kind;
        self
    }

    /// Is this the layout of a work tree that belongs to another project?
    #[must_use]
    pub fn is_work_tree(&self) -> bool {
        self.shared.is_some()
    }

    fn shared_state(&self) -> &Path {
        self.shared.as_deref().unwrap_or(&self.state)
    }

    /// Returns the state folder itself.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// Returns the committed settings.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.settings.join(match self.form {
            SettingsForm::Yaml => "config.yaml",
            SettingsForm::Ini => "config",
        })
    }

    /// Returns the settings of this machine, not committed.
    #[must_use]
    pub fn local_config(&self) -> PathBuf {
        match self.form {
            SettingsForm::Yaml => self.own_local_config(),
            SettingsForm::Ini => self.settings.join("config.local"),
        }
    }

    /// Returns the settings of this machine in our own form, whatever the form of the project's.
    #[must_use]
    pub fn own_local_config(&self) -> PathBuf {
        self.state.join("config.local.yaml")
    }

    /// Does the state folder hold settings that are committed?
    #[must_use]
    pub fn state_holds_settings(&self) -> bool {
        self.state == self.settings
    }

    /// Returns the file that keeps local state out of git.
    #[must_use]
    pub fn gitignore(&self) -> PathBuf {
        self.state.join(".gitignore")
    }

    /// Returns the default cache folder; `cache.dir` may put it elsewhere.
    #[must_use]
    pub fn default_cache(&self) -> PathBuf {
        self.cache.clone()
    }

    /// Returns the run cache: results of earlier runs by their inputs.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.runs.join("runs")
    }

    /// Returns the folder of what earlier runs told: their output and how long they took.
    #[must_use]
    pub fn told(&self) -> PathBuf {
        // Not beside records that are DVC's.
        self.shared_state().join("runs").join("told")
    }

    /// Returns the stat cache; it may be deleted at any time.
    #[must_use]
    pub fn state_db(&self) -> PathBuf {
        self.shared_state().join("state.db")
    }

    /// Returns the record of runs.
    #[must_use]
    pub fn tracking_db(&self) -> PathBuf {
        self.state.join("tracking.db")
    }

    /// Returns the folder of temporary things; safe to delete when nothing runs.
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.state.join("tmp")
    }

    /// Returns the folder of scratch folders that stages get.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.tmp().join("scratch")
    }

    /// Returns the folder of listings of source folders: which files, not their bytes.
    #[must_use]
    pub fn listings(&self) -> PathBuf {
        self.shared_state().join("runs").join("listings")
    }

    /// Returns the folder of large documents in parsed form.
    #[must_use]
    pub fn parsed(&self) -> PathBuf {
        self.tmp().join("parsed")
    }

    /// Returns the folder of lock files.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.tmp().join("locks")
    }

    /// Returns the file on which the project lock is taken.
    #[must_use]
    pub fn project_lock(&self) -> PathBuf {
        self.locks().join("project.lock")
    }

    /// Returns the folder with one file for each command that executes: what it claims.
    #[must_use]
    pub fn claims(&self) -> PathBuf {
        self.locks().join("claims")
    }

    /// Returns the file on which looks at the claims take turns.
    #[must_use]
    pub fn claims_lock(&self) -> PathBuf {
        self.locks().join("claims.lock")
    }

    /// Returns the file on which updates of the lock file and of `.gitignore` files take turns.
    #[must_use]
    pub fn commit_lock(&self) -> PathBuf {
        self.locks().join("commit.lock")
    }

    /// Returns the folder of DVC's locks, where DVC may run beside us.
    #[must_use]
    pub fn dvc_locks(&self) -> Option<PathBuf> {
        self.dvc_locks.clone()
    }

    /// Returns how they are taken.
    #[must_use]
    pub fn dvc_lock_kind(&self) -> LockKind {
        self.dvc_lock_kind
    }

    /// Returns the file on which edits of the user's files take turns.
    #[must_use]
    pub fn edit_lock(&self) -> PathBuf {
        self.locks().join("edit.lock")
    }

    /// Returns the folder of sweeps, one folder each.
    #[must_use]
    pub fn sweeps(&self) -> PathBuf {
        self.state.join("sweeps")
    }

    /// Returns the folder of the work trees of trials, one folder per sweep.
    #[must_use]
    pub fn all_trials(&self) -> PathBuf {
        self.tmp().join("trials")
    }

    /// Returns the folder of the work trees of a sweep's trials.
    #[must_use]
    pub fn trials(&self, sweep: &str) -> PathBuf {
        self.all_trials().join(sweep)
    }

    /// Returns the folder of command logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// Returns the file of the keys that the prediction server asks for.
    #[must_use]
    pub fn serve_keys(&self) -> PathBuf {
        self.state.join("serve-keys.yaml")
    }

    /// Returns the folder in which a prediction server keeps where its detectors of drift stand.
    #[must_use]
    pub fn drift(&self) -> PathBuf {
        self.state.join("drift")
    }

    /// Returns the folder of the prediction log.
    #[must_use]
    pub fn predictions(&self) -> PathBuf {
        self.state.join("predictions")
    }
}

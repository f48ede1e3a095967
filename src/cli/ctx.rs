//! What every command gets: flags, environment, output, cancellation, and the project on demand.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::SystemTime;

use crate::base::{ArtifactPath, Cancel, Diagnostic};
use crate::pipeline::lock::LockFile;
use crate::pipeline::{self, Index, Reach, Selection, StageGraph, lock_files};
use crate::project::claims::Tidy;
use crate::project::{self, Access, Project, ProjectLock, RepoLock, Wait};
use crate::track::Tracking;

use super::args::Global;
use super::env::Env;
use super::error::CliError;
use super::out::{Form, Out, Style};
use super::render::diagnostic;
use super::signal;

/// The context of a command.
pub(super) struct Ctx {
    pub(super) env: Env,
    pub(super) out: Out,
    pub(super) cancel: Cancel,
    /// The folder in which the command works (`-C`).
    pub(super) dir: PathBuf,
    /// Returns memory to the system that the calling thread has and does not use.
    #[cfg_attr(
        not(feature = "vision"),
        expect(dead_code, reason = "only the prediction server asks for it")
    )]
    pub(super) give_back: fn(),
    /// Was it said what is odd about the settings?
    warned: Once,
}

/// A command's hold of a project that it has for itself.
#[derive(Debug)]
pub(super) struct Alone {
    // Released first: who waits for both takes the other first.
    _dvc: RepoLock,
    lock: ProjectLock,
}

impl Alone {
    /// Returns when the project was taken.
    pub(super) fn since(&self) -> SystemTime {
        self.lock.since()
    }
}

impl Ctx {
    /// Resolves `-C`. On failure the output is handed back, to show the error.
    pub(super) fn new(
        global: Global,
        env: Env,
        out: Out,
        cancel: Cancel,
        give_back: fn(),
    ) -> Result<Self, (Out, CliError)> {
        let dir = global.directory.unwrap_or_else(|| PathBuf::from("."));
        // A folder that is not there is a mistake in the arguments, unlike other failed file work.
        let why = match dir.canonicalize() {
            Ok(dir) if dir.is_dir() => {
                return Ok(Self {
                    env,
                    out,
                    cancel,
                    dir,
                    give_back,
                    warned: Once::new(),
                });
            }
            Ok(_) => "it is a file".to_owned(),
            Err(e) => e.to_string(),
        };
        let headline = format!("cannot work in the folder `{}`: {why}", dir.display());
        let diagnostic =
            Diagnostic::error("bad-folder", headline).help("check the path that follows `-C`");
        Err((out, CliError::usage(diagnostic)))
    }

    /// Opens the project around the current folder.
    pub(super) fn project(&self) -> Result<Project, CliError> {
        let project = project::discover(&self.dir, Some(&self.env.outer_settings()))?;
        if self.out.form != Form::Json && !self.out.is_quiet() {
            self.warned
                .call_once(|| diagnostic::show_all(&self.out, &project.config.warnings));
        }
        Ok(project)
    }

    /// Opens the project around another folder.
    pub(super) fn project_at(&self, dir: &Path) -> Result<Project, CliError> {
        Ok(project::discover(dir, Some(&self.env.outer_settings()))?)
    }

    /// Starts to listen for Ctrl-C: for commands that can stop in an orderly way.
    pub(super) fn listen(&self) {
        signal::install(&self.cancel);
    }

    /// Takes the project for a command that needs it for itself; says for whom it waits.
    /// In a DVC repository its lock is taken as well, so that `dvc` waits, too.
    pub(super) fn lock(&self, project: &Project, command: &str) -> Result<Alone, CliError> {
        self.refuse_nested(project, command)?;
        project::init::ensure_state_dir(&project.layout)?;
        let lock = self.wait_for(project, Access::Exclusive, command)?;
        self.tidy(project, &lock)?;
        let dvc = self.lock_dvc(project)?;
        Ok(Alone { lock, _dvc: dvc })
    }

    /// Takes DVC's lock of the repository, if `project` is one; says for whom it waits. Whoever needs
    /// the project lock takes that one first.
    pub(super) fn lock_dvc(&self, project: &Project) -> Result<RepoLock, CliError> {
        let on_wait = |wait: &Wait| self.say_wait(wait);
        Ok(RepoLock::acquire(&project.layout, &self.cancel, &on_wait)?)
    }

    /// Takes the project for a command that lets others of its kind go on beside it, each on paths
    /// of its own; says for whom it waits.
    pub(super) fn share(&self, project: &Project, command: &str) -> Result<ProjectLock, CliError> {
        self.refuse_nested(project, command)?;
        project::init::ensure_state_dir(&project.layout)?;
        // Whoever is alone tidies up; where others are at work, what a dead command holds is freed
        // when somebody wants it.
        if let Some(lock) = ProjectLock::try_exclusive(&project.layout, command)? {
            self.tidy(project, &lock)?;
            return Ok(lock.share(&project.layout, &self.cancel)?);
        }
        self.wait_for(project, Access::Shared, command)
    }

    fn refuse_nested(&self, project: &Project, command: &str) -> Result<(), CliError> {
        let inside = self
            .env
            .get("CVOPS_ROOT")
            .is_some_and(|r| project.root.as_os_str() == r)
            // No lock is held for a service.
            && self.env.get("CVOPS_SERVICE_OF").is_none();
        let (true, Some(stage)) = (inside, self.env.get("CVOPS_STAGE")) else {
            return Ok(());
        };
        let headline =
            format!("`{command}` cannot run inside the stage `{stage}` of the same project");
        Err(CliError::usage(
            Diagnostic::error("nested", headline)
                .note("the command that runs the stage holds the project lock")
                .help("drop it from the stage's `cmd`"),
        ))
    }

    fn wait_for(
        &self,
        project: &Project,
        access: Access,
        command: &str,
    ) -> Result<ProjectLock, CliError> {
        let on_wait = |wait: &Wait| self.say_wait(wait);
        let layout = &project.layout;
        let lock = ProjectLock::acquire(layout, access, command, &self.cancel, &on_wait)?;
        Ok(lock)
    }

    fn say_wait(&self, wait: &Wait) {
        let who = wait.holder.as_ref().map_or_else(
            || "another command".to_owned(),
            |h| format!("`{}` (pid {})", h.command, h.pid),
        );
        let elapsed = crate::base::units::duration(wait.elapsed);
        self.out
            .note(&format!("waiting for {who} to finish, {elapsed} so far"));
    }

    /// Puts in order what a command that was killed left behind; nobody else is at work.
    fn tidy(&self, project: &Project, lock: &ProjectLock) -> Result<(), CliError> {
        let left = pipeline::execute::stop_leftovers(&project.layout, &project.root, Tidy::Yes)?;
        if lock.last_holder_died() || left.somebody_died {
            pipeline::execute::remove_temporary(&project.root);
            // A database that cannot be used is told of by the command that needs it.
            let closed = Tracking::open_existing(&project.layout)
                .and_then(|tracking| tracking.map_or(Ok(0), |mut t| t.close_abandoned()));
            tracing::debug!(?closed, "marked runs of dead processes as killed");
        }
        for stage in left.stopped {
            let text =
                format!("stopped processes that a killed cvops left behind (stage `{stage}`)");
            self.out.note(&self.out.paint(Style::Changed, &text));
        }
        Ok(())
    }

    /// Reads all pipeline files and pointers and connects them; nothing of it may be broken.
    pub(super) fn graph(project: &Project) -> Result<StageGraph, CliError> {
        Ok(Self::index(project)?.graph()?)
    }

    /// As `graph`, for a command about `targets`: a file that they do not need may be broken, which
    /// is told as a warning.
    pub(super) fn graph_for(
        &self,
        project: &Project,
        targets: &[String],
    ) -> Result<StageGraph, CliError> {
        let folder = self.folder(project);
        let (graph, warnings) = Self::index(project)?.graph_for(targets, folder.as_ref())?;
        diagnostic::show_all(&self.out, &warnings);
        Ok(graph)
    }

    /// As `graph`, for a command about the pipeline file nearest to the user's folder.
    pub(super) fn graph_nearest(&self, project: &Project) -> Result<StageGraph, CliError> {
        let folder = self.folder(project);
        let (graph, warnings) = Self::index(project)?.graph_nearest(folder.as_ref())?;
        diagnostic::show_all(&self.out, &warnings);
        Ok(graph)
    }

    /// As `graph`, of what can be read; the rest is told as warnings.
    pub(super) fn sound_graph(&self, project: &Project) -> Result<StageGraph, CliError> {
        let (graph, warnings) = Self::index(project)?.sound_graph()?;
        diagnostic::show_all(&self.out, &warnings);
        Ok(graph)
    }

    fn index(project: &Project) -> Result<Index, CliError> {
        let index = Index::load(project)?;
        // Where a folder makes the project, it may be empty as yet.
        let marker = project.personality.inner_marker;
        let is_marked = marker.is_some_and(|marker| project.root.join(marker).is_dir());
        if index.is_empty() && !is_marked {
            let (file, root) = (project.personality.pipeline_file, project.root.clone());
            return Err(pipeline::Error::NoPipeline { file, root }.into());
        }
        Ok(index)
    }

    /// Returns the folder in which the user is, if it is not the top of the project: what is typed is
    /// relative to it.
    pub(super) fn folder(&self, project: &Project) -> Option<ArtifactPath> {
        let relative = self.dir.strip_prefix(&project.root).ok()?;
        relative.to_str()?.parse().ok()
    }

    /// Returns how a command chooses that reaches so far, for a user in this folder.
    pub(super) fn selection(&self, project: &Project, reach: Reach) -> Selection {
        Selection {
            reach,
            folder: self.folder(project),
            ..Selection::default()
        }
    }

    /// Reads the locks of all pipeline files.
    pub(super) fn lock_file(project: &Project, graph: &StageGraph) -> Result<LockFile, CliError> {
        Ok(lock_files::read(project, graph)?)
    }
}

//! Finds the project a path lies in. Imports: `base`, `project`.

use std::path::{Path, PathBuf};

use crate::base::{self, ArtifactPath};

use super::config::Config;
use super::error::Error;
use super::git;
use super::gitignore::{InGit, update_gitignore};
use super::layout::Layout;
use super::personality::{CVOPS, DVC, DVC_DIR, Personality};
use super::settings::OuterSettings;

/// A project, found and configured.
#[derive(Clone, Debug)]
pub struct Project {
    /// The top folder: absolute, symbolic links resolved.
    pub root: PathBuf,
    /// The names in use.
    pub personality: Personality,
    /// The merged settings.
    pub config: Config,
    /// Where state lives.
    pub layout: Layout,
}

impl Project {
    /// Returns the absolute place of `path`.
    #[must_use]
    pub fn absolute(&self, path: &ArtifactPath) -> PathBuf {
        path.under(&self.root)
    }

    /// Is git used for this project?
    #[must_use]
    pub fn uses_git(&self) -> bool {
        !self.config.no_scm && git::work_tree_root(&self.root).is_some()
    }

    /// Hands files that a command wrote to `git add`, where `core.autostage` asks for it. Were they?
    ///
    /// # Errors
    /// git refuses.
    pub fn autostage(&self, paths: &[PathBuf]) -> Result<bool, Error> {
        let wanted = self.config.autostage && self.uses_git();
        if wanted {
            git::stage(&self.root, paths)?;
        }
        Ok(wanted)
    }

    /// Makes git ignore or see each of `outs`, as `update_gitignore` does, if git is used.
    ///
    /// # Errors
    /// As `update_gitignore`.
    pub fn update_gitignore<'p>(
        &self,
        outs: impl IntoIterator<Item = (&'p ArtifactPath, InGit)>,
    ) -> Result<Vec<PathBuf>, Error> {
        if self.config.no_scm {
            return Ok(Vec::new());
        }
        update_gitignore(&self.root, outs)
    }

    /// Returns the absolute place of the pipeline file.
    #[must_use]
    pub fn pipeline_file(&self) -> PathBuf {
        self.root.join(self.personality.pipeline_file)
    }

    /// Returns the absolute place of the lock file.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.root.join(self.personality.lock_file)
    }
}

/// Opens the project of the nearest folder, from `from` upwards, that holds a pipeline file, a
/// `.dvc/` folder or `.cvops/config.yaml`. `outer` are the settings outside of projects, if the caller
/// knows of any.
///
/// # Errors
/// There is none, or its settings are broken.
pub fn discover(from: &Path, outer: Option<&OuterSettings>) -> Result<Project, Error> {
    let (root, personality) = find_root(from)?;
    let layout = Layout::new(&root, &personality);
    let none = OuterSettings::default();
    let config = Config::load(&root, &layout, &personality, outer.unwrap_or(&none))?;
    Ok(Project {
        layout: layout
            .for_cache(&config.cache_dir, &personality)
            .with_lock_kind(config.lock_kind),
        personality,
        config,
        root,
    })
}

/// Returns the folder that `discover` would open, symbolic links resolved, and what kind of project
/// it is; reads no settings.
///
/// # Errors
/// There is none.
pub fn find_root(from: &Path) -> Result<(PathBuf, Personality), Error> {
    let from = from.canonicalize().map_err(base::Error::io("open", from))?;
    for dir in from.ancestors() {
        if dir.join(CVOPS.pipeline_file).is_file() {
            return Ok((dir.to_owned(), CVOPS));
        }
        if dir.join(DVC_DIR).is_dir() {
            return Ok((dir.to_owned(), DVC));
        }
        if Layout::new(dir, &CVOPS).config().is_file() {
            return Ok((dir.to_owned(), CVOPS));
        }
    }
    Err(Error::NotAProject { from })
}

/// Does the entry `name` of the folder `dir` make it the top folder of a project?
#[must_use]
pub fn marks_root(dir: &Path, name: &str) -> bool {
    name == CVOPS.pipeline_file
        || (name == DVC_DIR && dir.join(DVC_DIR).is_dir())
        || (name == CVOPS.state_dir && Layout::new(dir, &CVOPS).config().is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs;

    #[test]
    fn the_nearest_marker_wins_and_the_pipeline_file_wins_over_dvc() {
        let tmp = tempfile::tempdir().unwrap();
        let top = tmp.path().canonicalize().unwrap();
        let dir = |path: &str| {
            fs::create_dir_all(&top.join(path)).unwrap();
            top.join(path)
        };
        let deep = dir("outer/inner/a/b");
        fs::write_atomic(&top.join("outer/pipeline.yaml"), b"stages: {}\n").unwrap();
        assert_eq!(discover(&deep, None).unwrap().root, top.join("outer"));

        dir("outer/inner/.cvops");
        assert_eq!(discover(&deep, None).unwrap().root, top.join("outer"));
        fs::write_atomic(&top.join("outer/inner/.cvops/config.yaml"), b"").unwrap();
        assert_eq!(discover(&deep, None).unwrap().root, top.join("outer/inner"));

        dir("outer/inner/.dvc");
        let dvc = discover(&deep, None).unwrap();
        assert_eq!((dvc.root, dvc.personality), (top.join("outer/inner"), DVC));
        fs::write_atomic(&top.join("outer/inner/pipeline.yaml"), b"").unwrap();
        let ours = discover(&deep, None).unwrap();
        assert_eq!(
            (ours.root, ours.personality),
            (top.join("outer/inner"), CVOPS)
        );
    }
}

//! Sets a folder up as a project. Imports: `base`, `project`.

use std::path::{Path, PathBuf};

use crate::base::{self, fs};

use super::error::Error;
use super::git;
use super::ignore::{DVC_IGNORE_FILE, IGNORE_FILE};
use super::layout::Layout;
use super::personality::{CVOPS, DVC, DVC_DIR};

const CONFIG: &str = "\
# Settings of this project, committed. Those of one machine go to config.local.yaml beside this file.
#
# cache:
#   dir: .cvops/cache          # relative to the project, or absolute (then shared between projects)
#   type: [reflink, copy]      # how cached files reach the workspace; also: hardlink, symlink
# core:
#   jobs: 2                    # stages that run at the same time; default: 1
";

const GITIGNORE: &str = "\
# Local state; only the settings are committed.
/*
!/.gitignore
!/config.yaml
";

/// In a DVC repository nothing of the state folder is committed, this file included.
const GITIGNORE_ALL: &str = "*\n";

/// What DVC keeps out of git.
const DVC_GITIGNORE: &str = "/config.local\n/tmp\n/cache\n";

const DVC_CONFIG_NO_SCM: &str = "[core]\n    no_scm = True\n";

const DVC_IGNORE: &str = "\
# Files that never belong to tracked data, in the grammar of .gitignore.
";

const IGNORE: &str = "\
# Files that never belong to a dependency or an output, in the grammar of .gitignore.
";

/// Creates what is missing of the state folder, its settings and the ignore files in `dir`; returns
/// what was created, as absolute paths. Doing it again changes nothing. In a DVC repository only local
/// state is ours, and nothing else is touched.
///
/// # Errors
/// Something cannot be created.
pub fn init(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let root = dir.canonicalize().map_err(base::Error::io("open", dir))?;
    if root.join(DVC_DIR).is_dir() && !root.join(CVOPS.pipeline_file).is_file() {
        return local_state(&Layout::new(&root, &DVC));
    }
    let layout = Layout::new(&root, &CVOPS);
    let mut created = Vec::new();
    let state = layout.state_dir();
    if !state.is_dir() {
        fs::create_dir_all(state).map_err(base::Error::io("create folder", state))?;
        created.push(state.to_owned());
    }
    // The ignore file first: no instant at which git sees state but not the rule against it.
    let files = [
        (layout.gitignore(), GITIGNORE),
        (layout.config(), CONFIG),
        (root.join(IGNORE_FILE), IGNORE),
    ];
    for (path, text) in files {
        if !path.exists() {
            fs::write_atomic(&path, text.as_bytes()).map_err(base::Error::io("write", &path))?;
            created.push(path);
        }
    }
    Ok(created)
}

fn local_state(layout: &Layout) -> Result<Vec<PathBuf>, Error> {
    let is_there = layout.gitignore().exists();
    guard_state(layout)?;
    Ok(if is_there {
        Vec::new()
    } else {
        vec![layout.state_dir().to_owned(), layout.gitignore()]
    })
}

/// What a new DVC repository has to do with git.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scm {
    /// It is the top of a git work tree.
    Git,
    /// It lies in a git work tree.
    GitAbove,
    /// Nothing.
    None,
}

/// Makes `dir` a DVC repository, as `dvc init` does; returns what was created, as absolute paths.
/// Doing it again changes nothing.
///
/// # Errors
/// There is no git work tree where one should be, or something cannot be created.
pub fn init_dvc(dir: &Path, scm: Scm) -> Result<Vec<PathBuf>, Error> {
    let root = dir.canonicalize().map_err(base::Error::io("open", dir))?;
    let in_git = git::work_tree_root(&root);
    match scm {
        Scm::None => {}
        Scm::Git if in_git.as_deref() == Some(&root) => {}
        Scm::GitAbove if in_git.is_some() => {}
        Scm::Git | Scm::GitAbove => return Err(Error::NoGitHere { root, in_git }),
    }
    let folder = root.join(DVC_DIR);
    let mut created = Vec::new();
    if !folder.is_dir() {
        fs::create_dir_all(&folder).map_err(base::Error::io("create folder", &folder))?;
        created.push(folder.clone());
    }
    let layout = Layout::new(&root, &DVC);
    let config = match scm {
        Scm::None => DVC_CONFIG_NO_SCM,
        Scm::Git | Scm::GitAbove => "",
    };
    // The ignore file first, as in `init`.
    let files = [
        (folder.join(".gitignore"), DVC_GITIGNORE),
        (layout.config(), config),
        (root.join(DVC_IGNORE_FILE), DVC_IGNORE),
    ];
    let mut written = Vec::new();
    for (path, text) in files {
        if !path.exists() {
            fs::write_atomic(&path, text.as_bytes()).map_err(base::Error::io("write", &path))?;
            written.push(path);
        }
    }
    if scm != Scm::None {
        git::stage(&root, &written)?;
    }
    created.extend(written);
    Ok(created)
}

/// Makes sure that git does not see local state, before any is written: a project may have come
/// without its state folder.
///
/// # Errors
/// The folder or the file cannot be created.
pub(crate) fn guard_state(layout: &Layout) -> Result<(), base::Error> {
    let path = layout.gitignore();
    if path.exists() {
        return Ok(());
    }
    let state = layout.state_dir();
    fs::create_dir_all(state).map_err(base::Error::io("create folder", state))?;
    let text = if layout.state_holds_settings() {
        GITIGNORE
    } else {
        GITIGNORE_ALL
    };
    fs::write_atomic(&path, text.as_bytes()).map_err(base::Error::io("write", &path))
}

/// Makes sure that the state folder is there and ignored by git: what a command that writes needs,
/// also in a project that was never initialised.
///
/// # Errors
/// Something cannot be created.
pub fn ensure_state_dir(layout: &Layout) -> Result<(), Error> {
    Ok(guard_state(layout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_is_idempotent_and_its_config_reads_as_the_defaults() {
        let tmp = tempfile::tempdir().unwrap();
        assert_eq!(init(tmp.path()).unwrap().len(), 4);
        assert!(init(tmp.path()).unwrap().is_empty());
        let project = crate::project::discover(tmp.path(), None).unwrap();
        assert_eq!(
            project.config,
            crate::project::Config::defaults(&project.layout)
        );
    }
}

//! `destroy`: takes everything of ours out of a project; the files in the workspace stay. Imports:
//! `base`, `project`, `store`, `pipeline`.
//!
//! **Order of work**: links into the cache become files first, then the files that describe the project
//! go, and last the folders that make it one. Killed on the way, the same command ends the work.

use crate::base::fs::fault;
use crate::base::{self, ArtifactPath, fs};
use crate::pipeline::graph::PipelineFile;
use crate::pipeline::lock_files;
use crate::project::DVC;
use crate::project::ignore::{DVC_IGNORE_FILE, IGNORE_FILE};

use super::error::Error;
use super::tracked::Tracked;

/// Returns the files and folders that `destroy` removes, as far as they are there, relative to the
/// root.
#[must_use]
pub fn described_by(tracked: &Tracked<'_>, files: &[PipelineFile]) -> Vec<String> {
    let project = tracked.project;
    let mut names: Vec<String> = tracked
        .pointers
        .iter()
        .map(|pointer| pointer.file.to_string())
        .collect();
    for file in files {
        let file = file.file.as_ref();
        names.push(lock_files::path_of(project, file));
        names.push(
            file.map_or(project.personality.pipeline_file, ArtifactPath::as_str)
                .to_owned(),
        );
    }
    names.push(IGNORE_FILE.to_owned());
    // Beside a project of ours it may belong to a DVC that is used still (`cvops migrate`).
    if project.personality == DVC {
        names.push(DVC_IGNORE_FILE.to_owned());
    }
    // The folder that makes it a project goes last.
    names.push(project.personality.state_dir.to_owned());
    names.push(project.personality.settings_dir.to_owned());
    names.dedup();
    names.retain(|name| std::fs::symlink_metadata(tracked.root().join(name)).is_ok());
    names
}

/// Removes what `described_by` found; every tracked file becomes one of the user's own first.
///
/// # Errors
/// A file operation failed; nothing was removed unless all tracked files stand on their own.
pub fn destroy(tracked: Tracked<'_>, names: &[String]) -> Result<(), Error> {
    let outs = tracked.outs().map(|(_, out)| &out.path);
    for path in outs.chain(tracked.stage_outs.keys()) {
        tracked.store.unprotect(path)?;
    }
    let root = tracked.root().to_owned();
    // What the store remembers lies in a folder that goes.
    drop(tracked);
    for name in names {
        let path = root.join(name);
        fault::point("data.destroy").map_err(base::Error::io("remove", &path))?;
        let is_folder = std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
        let gone = if is_folder {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        gone.map_err(base::Error::io("remove", &path))?;
    }
    Ok(())
}

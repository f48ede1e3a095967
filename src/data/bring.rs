//! Copies a file or folder from anywhere into the project (`add --out`). Imports: `base`, `project`,
//! `store`.

use std::path::Path;

use crate::base::fs::{Executable, LinkKind, fault, is_executable, walk};
use crate::base::{self, ArtifactPath, fs};
use crate::project::Ignore;
use crate::store::OnConflict;

use super::add::check_is_data;
use super::error::Error;
use super::tracked::Tracked;

/// What happens to what stands there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and nothing is copied.
    Refuse,
    /// It gives way; the cache keeps it.
    Replace,
}

/// Copies `source` to `to`, complete or not at all.
///
/// # Errors
/// There is no such file or folder, something is in the way, or it cannot be copied.
pub fn bring(
    tracked: &Tracked<'_>,
    source: &Path,
    to: &ArtifactPath,
    existing: Existing,
) -> Result<(), Error> {
    check_is_data(tracked, &Ignore::of(tracked.project), to)?;
    tracked.check_free(to, Some(to))?;
    let target = to.under(tracked.root());
    if std::fs::symlink_metadata(&target).is_ok() {
        if existing == Existing::Refuse {
            return Err(Error::InTheWay {
                path: to.as_str().into(),
            });
        }
        tracked.store.remove(to, OnConflict::SaveFirst)?;
    }
    let parent = target.parent().unwrap_or(tracked.root());
    fs::create_dir_all(parent).map_err(base::Error::io("create folder", parent))?;
    let temp = fs::temp_path(parent);
    let copied = copy(source, &temp).and_then(|()| {
        fault::point("data.bring.rename").map_err(base::Error::io("write", &target))?;
        fs::rename(&temp, &target).map_err(base::Error::io("write", &target))?;
        Ok(())
    });
    if copied.is_err() {
        // The first error is the one to tell.
        let _ = if temp.is_dir() {
            fs::remove_dir_all(&temp)
        } else {
            fs::remove_file(&temp)
        };
    }
    copied
}

fn copy(source: &Path, to: &Path) -> Result<(), Error> {
    let metadata = std::fs::metadata(source).map_err(base::Error::io("open", source))?;
    if !metadata.is_dir() {
        return copy_file(source, is_executable(&metadata), to);
    }
    let fail = |(at, e): (std::path::PathBuf, std::io::Error)| base::Error::io("read", &at)(e);
    let files = walk(source, &|_, _| true).map_err(fail)?;
    fs::create_dir_all(to).map_err(base::Error::io("create folder", to))?;
    for file in files {
        let target = to.join(&file.relative);
        if let Some(dir) = target.parent() {
            fs::create_dir_all(dir).map_err(base::Error::io("create folder", dir))?;
        }
        copy_file(
            &source.join(&file.relative),
            is_executable(&file.metadata),
            &target,
        )?;
    }
    Ok(())
}

fn copy_file(source: &Path, is_executable: bool, to: &Path) -> Result<(), Error> {
    fault::point("data.bring.copy").map_err(base::Error::io("copy", source))?;
    fs::place(source, to, &[LinkKind::Reflink, LinkKind::Copy])
        .map_err(base::Error::io("copy", source))?;
    let exec = if is_executable {
        Executable::Yes
    } else {
        Executable::No
    };
    fs::set_writable(to)
        .and_then(|()| fs::set_executable(to, exec))
        .map_err(base::Error::io("set mode of", to))?;
    Ok(())
}

//! Files that a command writes where the user says. Imports: base, `cli::error`.

use std::path::Path;

use crate::base::{self, fs};

use super::error::CliError;

/// Writes `path`, with its folder if that is missing.
///
/// # Errors
/// Either cannot be written.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(base::Error::io("create folder", folder))?;
    }
    fs::write_atomic(path, bytes).map_err(base::Error::io("write", path))?;
    Ok(())
}

//! The model that `cvops data check` asks: the one that was named, else the usual one.

use std::path::{Path, PathBuf};

use crate::audit::Asked;
use crate::cli::error::CliError;
use crate::vision;
use crate::vision::device::{Device, DeviceChoice};
use crate::vision::predict::Predictor;

/// Where the model is unless the user says otherwise.
const USUAL: &str = "models/classifier";

/// A model, and how it came to be asked.
pub(super) enum Model {
    /// There is none.
    Missing,
    /// The usual one cannot be loaded: why.
    Broken(String),
    /// The usual one.
    Usual(Box<Predictor>),
    /// The one that was named, and where it is.
    Named(PathBuf, Box<Predictor>),
}

impl Model {
    /// Loads the model that was named, relative to `dir`, or the usual one if it is there.
    ///
    /// # Errors
    /// The named model cannot be loaded.
    pub(super) fn load(dir: &Path, named: Option<&Path>) -> Result<Self, CliError> {
        if let Some(path) = named {
            let predictor = load(&dir.join(path))?;
            return Ok(Self::Named(path.to_owned(), Box::new(predictor)));
        }
        let path = dir.join(USUAL);
        if !path.exists() {
            return Ok(Self::Missing);
        }
        Ok(match load(&path) {
            Ok(predictor) => Self::Usual(Box::new(predictor)),
            Err(error) => {
                // As it is seen from there.
                let error = error
                    .to_string()
                    .replace(&format!("`{}/", dir.display()), "`");
                Self::Broken(format!("`{USUAL}` cannot be loaded: {error}"))
            }
        })
    }

    /// Returns it as the room takes it.
    pub(super) fn asked(&self) -> Asked<'_> {
        match self {
            Self::Missing => Asked::Nobody,
            Self::Broken(why) => Asked::Broken(why),
            Self::Usual(model) => Asked::Found(model),
            Self::Named(_, model) => Asked::Named(model),
        }
    }

    /// Returns where it is, as it is to be shown, if it can be asked.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Missing | Self::Broken(_) => None,
            Self::Usual(_) => Some(Path::new(USUAL)),
            Self::Named(path, _) => Some(path),
        }
    }
}

fn load(path: &Path) -> Result<Predictor, vision::Error> {
    let device = Device::pick(DeviceChoice::Auto)?;
    Predictor::load(path, &device)
}

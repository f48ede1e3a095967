//! A model that was read from its files, whichever form it has.
//! Imports: base, `artifact::{files`, model}, `vision::{image`, onnx, error}.

use std::path::Path;

use crate::base::ContentHash;
use crate::vision::Error;
use crate::vision::image::Target;
#[cfg(feature = "onnx")]
use crate::vision::onnx::OnnxModel;

use super::files::ModelFiles;
use super::model::ModelArtifact;

/// What one must know of a model to ask it and to show its answers.
#[derive(Clone, Debug)]
pub struct Described {
    /// Class names; output i is class i.
    pub classes: Vec<String>,
    /// How pictures are fitted to the input.
    pub target: Target,
    /// Numbers that were learnt.
    pub parameters: u64,
    /// BLAKE3 of the file of the weights.
    pub weights_hash: ContentHash,
}

/// A model that was read and checked, but has no place to compute yet.
pub enum Loaded {
    /// One that `cvops train` wrote.
    Trained(Box<ModelArtifact>),
    /// A network from elsewhere.
    #[cfg(feature = "onnx")]
    Onnx(Box<OnnxModel>),
}

impl Loaded {
    /// Reads the model at `path`: a folder, or an ONNX file.
    ///
    /// # Errors
    /// As `ModelFiles::find`, `ModelArtifact::load` and `OnnxModel::load`; an ONNX file, in a program
    /// that was built without the feature.
    pub fn load(path: &Path) -> Result<Self, Error> {
        match ModelFiles::find(path)? {
            ModelFiles::Trained(dir) => {
                let artifact = ModelArtifact::load(&dir)?;
                Ok(Self::Trained(Box::new(artifact)))
            }
            #[cfg(feature = "onnx")]
            ModelFiles::Onnx(network) => {
                let model = OnnxModel::load(&network)?;
                Ok(Self::Onnx(Box::new(model)))
            }
            #[cfg(not(feature = "onnx"))]
            ModelFiles::Onnx(network) => Err(Error::NoOnnx { path: network }),
        }
    }
}

impl From<ModelArtifact> for Loaded {
    fn from(artifact: ModelArtifact) -> Self {
        Self::Trained(Box::new(artifact))
    }
}

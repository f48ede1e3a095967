//! Saves and loads a trained network; what is loaded is checked against what was saved.
//! Imports: base, `artifact::manifest`, `vision::{model, train, image, shard}`.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::fs;
use crate::base::{ContentHash, Error as BaseError};
use crate::vision::Error;
use crate::vision::image::{Channels, Filter, Target};
use crate::vision::model::{Input, Plan, Weights};
use crate::vision::shard::Prepared;
use crate::vision::train::{Fitted, Normalisation, TrainParams};

use super::manifest::{FORMAT, InputFormat, Manifest, TrainingFormat, VERSION, WeightsFormat};

/// What the network is.
const MANIFEST: &str = "model.json";
/// Its weights.
const WEIGHTS: &str = "model.safetensors";
/// The only order of dimensions of this version.
const LAYOUT: &str = "nchw";

/// A trained network with everything needed to ask it about a picture file.
#[derive(Clone, Debug)]
pub struct ModelArtifact {
    /// The network with its shapes.
    pub plan: Plan,
    /// Its values.
    pub weights: Weights,
    /// Class names; output i is class i.
    pub classes: Vec<String>,
    /// How pictures are fitted to the input.
    pub target: Target,
    /// How their values are centred and scaled.
    pub normalisation: Normalisation,
    training: TrainingFormat,
    weights_hash: ContentHash,
}

impl ModelArtifact {
    /// Returns the artifact of a finished training.
    #[must_use]
    pub fn new(fitted: &Fitted, params: &TrainParams, prepared: &Prepared) -> Self {
        let data = prepared.content_hash.to_string();
        let epochs = fitted.history.len();
        Self {
            plan: fitted.plan.clone(),
            weights: fitted.weights.clone(),
            classes: prepared.classes.clone(),
            target: prepared.target,
            normalisation: Normalisation {
                mean: prepared.mean.clone(),
                std: prepared.std.clone(),
            },
            training: TrainingFormat::new(params, data, epochs, fitted.kept_epoch),
            weights_hash: ContentHash::of(&fitted.weights.to_safetensors()),
        }
    }

    /// Is there a model in the folder `dir`, as far as its file names tell? Returns the file that
    /// is missing otherwise.
    pub fn look(dir: &Path) -> Result<[PathBuf; 2], PathBuf> {
        let files = [dir.join(MANIFEST), dir.join(WEIGHTS)];
        match files.iter().find(|file| !file.is_file()) {
            Some(missing) => Err(missing.clone()),
            None => Ok(files),
        }
    }

    /// Returns the hash of the file of the weights.
    #[must_use]
    pub fn weights_hash(&self) -> ContentHash {
        self.weights_hash
    }

    /// Writes the model into the folder `dir`, which is created when needed. Equal models are equal
    /// bytes.
    ///
    /// The manifest names the hash of the weights and is written last: a folder in which only one of
    /// the two is new does not load.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        let (weights_path, manifest_path) = (dir.join(WEIGHTS), dir.join(MANIFEST));
        let weights = self.weights.to_safetensors();
        let mut manifest = serde_json::to_vec_pretty(&self.manifest(&weights))
            .map_err(|e| Error::io("write", &manifest_path)(io::Error::other(e)))?;
        manifest.push(b'\n');
        fs::create_dir_all(dir).map_err(Error::io("create folder", dir))?;
        fs::write_atomic(&weights_path, &weights).map_err(Error::io("write", &weights_path))?;
        fs::write_atomic(&manifest_path, &manifest).map_err(Error::io("write", &manifest_path))
    }

    /// Reads the model in the folder `dir`.
    ///
    /// # Errors
    /// A file is missing, of another version, or was changed; tensors are missing or of another
    /// shape than the architecture says.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let (weights_path, manifest_path) = (dir.join(WEIGHTS), dir.join(MANIFEST));
        let manifest = read_manifest(&manifest_path)?;
        let wrong = |problem: String| Error::NotAModel {
            path: manifest_path.clone(),
            problem,
        };
        let target =
            target(&manifest.input).ok_or_else(|| wrong("`input` is not understood".to_owned()))?;
        let input = Input {
            height: target.height as usize,
            width: target.width as usize,
            channels: target.channels.count(),
        };
        check_normalisation(&manifest.input.normalisation, input.channels).map_err(wrong)?;
        if manifest.classes.len() < 2 {
            return Err(wrong("it names fewer than two classes".to_owned()));
        }
        let plan = Plan::new(&manifest.architecture, input, manifest.classes.len())
            .map_err(|e| wrong(format!("`architecture` does not fit: {e}")))?;
        if plan.parameters() != manifest.parameters {
            let parameters = plan.parameters();
            return Err(wrong(format!("`parameters` should be {parameters}")));
        }
        let bytes = read(&weights_path)?;
        let wrong = |problem: String| Error::NotAModel {
            path: weights_path.clone(),
            problem,
        };
        if manifest.weights.file != WEIGHTS {
            return Err(wrong(format!("`{MANIFEST}` names another file")));
        }
        let weights_hash = ContentHash::of(&bytes);
        if weights_hash.to_string() != manifest.weights.hash {
            return Err(wrong(format!(
                "it is not the file that `{MANIFEST}` was written for"
            )));
        }
        let weights = Weights::from_safetensors(&bytes, &plan).map_err(|e| wrong(e.to_string()))?;
        Ok(Self {
            plan,
            weights,
            classes: manifest.classes,
            target,
            normalisation: manifest.input.normalisation,
            training: manifest.training,
            weights_hash,
        })
    }

    fn manifest(&self, weights: &[u8]) -> Manifest {
        Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            classes: self.classes.clone(),
            input: InputFormat {
                height: self.target.height,
                width: self.target.width,
                channels: self.target.channels.count() as u64,
                filter: self.target.filter.name().to_owned(),
                background: self.target.background,
                normalisation: self.normalisation.clone(),
                layout: LAYOUT.to_owned(),
            },
            architecture: self.plan.spec.clone(),
            parameters: self.plan.parameters(),
            weights: WeightsFormat {
                file: WEIGHTS.to_owned(),
                hash: ContentHash::of(weights).to_string(),
            },
            training: self.training.clone(),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NotAModel {
            path: path.to_owned(),
            problem: "the file is missing".to_owned(),
        },
        _ => Error::Base(BaseError::io("read", path)(source)),
    })
}

fn read_manifest(path: &Path) -> Result<Manifest, Error> {
    let wrong = |problem: String| Error::NotAModel {
        path: path.to_owned(),
        problem,
    };
    let bytes = read(path)?;
    // Format and version are looked at before the rest, whose form they decide.
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
    if value.get("format").and_then(serde_json::Value::as_str) != Some(FORMAT) {
        return Err(wrong(format!("it does not say `\"format\": \"{FORMAT}\"`")));
    }
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(VERSION) => {}
        Some(found) => {
            return Err(Error::ModelVersion {
                path: path.to_owned(),
                found,
                expected: VERSION,
            });
        }
        None => return Err(wrong("it has no format version".to_owned())),
    }
    serde_json::from_value(value).map_err(|e| wrong(e.to_string()))
}

fn target(input: &InputFormat) -> Option<Target> {
    let sides = [input.height, input.width];
    let known = input.layout == LAYOUT && sides.iter().all(|side| (1..=65_535).contains(side));
    known.then_some(Target {
        height: input.height,
        width: input.width,
        channels: Channels::from_count(input.channels)?,
        filter: Filter::from_name(&input.filter)?,
        background: input.background,
    })
}

fn check_normalisation(normalisation: &Normalisation, channels: usize) -> Result<(), String> {
    let Normalisation { mean, std } = normalisation;
    let usable = mean.len() == channels
        && std.len() == channels
        && mean.iter().all(|v| v.is_finite())
        && std.iter().all(|v| v.is_finite() && 0.0 < *v);
    if usable {
        Ok(())
    } else {
        Err("`normalisation` is not understood".to_owned())
    }
}

/// A model for tests that need some model: two classes, nothing learnt.
#[cfg(test)]
impl ModelArtifact {
    pub(crate) fn tiny() -> Self {
        use crate::vision::augment::AugmentParams;
        use crate::vision::device::DeviceChoice;
        use crate::vision::model::{Preset, initial_weights};
        use crate::vision::train::{Keep, OptimiserKind, Schedule};
        let input = Input {
            height: 20,
            width: 20,
            channels: 3,
        };
        let plan = Plan::new(&Preset::Lenet.spec(), input, 2).unwrap();
        let params = TrainParams {
            epochs: 3,
            batch_size: 64,
            learning_rate: 0.001,
            optimiser: OptimiserKind::Adam,
            momentum: 0.9,
            weight_decay: 0.0,
            schedule: Schedule::Cosine,
            warmup_epochs: 0,
            label_smoothing: 0.0,
            early_stopping: None,
            keep: Keep::Best,
            seed: 1,
            device: DeviceChoice::Cpu,
            augment: AugmentParams::default(),
        };
        let weights = initial_weights(&plan, 1);
        Self {
            weights_hash: ContentHash::of(&weights.to_safetensors()),
            weights,
            plan,
            classes: vec!["bag".to_owned(), "coat".to_owned()],
            target: Target {
                height: 20,
                width: 20,
                channels: Channels::from_count(3).unwrap(),
                filter: Filter::Bilinear,
                background: [255; 3],
            },
            normalisation: Normalisation {
                mean: vec![0.1, 0.25, 1.0 / 3.0],
                std: vec![0.5; 3],
            },
            training: TrainingFormat::new(&params, "0".repeat(64), 3, 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_survives_its_folder_and_equal_models_are_equal_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a/b"), folder.path().join("c"));
        let model = ModelArtifact::tiny();
        model.save(&first).unwrap();
        let loaded = ModelArtifact::load(&first).unwrap();
        loaded.save(&second).unwrap();
        for file in [MANIFEST, WEIGHTS] {
            let read = |dir: &Path| std::fs::read(dir.join(file)).unwrap();
            assert_eq!(read(&first), read(&second), "{file}");
        }
        assert_eq!(loaded.weights, model.weights);
        assert_eq!(loaded.normalisation, model.normalisation);
    }

    #[test]
    fn what_is_not_this_model_is_refused() {
        #[track_caller]
        fn check(change: impl FnOnce(&Path), expected: &str) {
            let folder = tempfile::tempdir().unwrap();
            ModelArtifact::tiny().save(folder.path()).unwrap();
            change(folder.path());
            let error = ModelArtifact::load(folder.path()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        fn edit(dir: &Path, from: &str, to: &str) {
            let path = dir.join(MANIFEST);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{text}");
            fs::write_atomic(&path, text.replacen(from, to, 1).as_bytes()).unwrap();
        }
        check(
            |dir| edit(dir, "\"version\": 1", "\"version\": 2"),
            "is a model of format version 2; this program reads version 1",
        );
        check(|dir| edit(dir, "cvops.model", "other"), "it does not say");
        check(
            |dir| edit(dir, "\"dense\"", "\"dence\""),
            "unknown field `dence`",
        );
        check(|dir| edit(dir, "120", "121"), "`parameters` should be");
        check(
            |dir| edit(dir, "\"stride\": 1", "\"stride\": 0"),
            "`architecture` does not fit",
        );
        check(
            |dir| fs::remove_file(&dir.join(WEIGHTS)).unwrap(),
            "model.safetensors` is not a model: the file is missing",
        );
        check(
            |dir| {
                let path = dir.join(WEIGHTS);
                let mut bytes = std::fs::read(&path).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write_atomic(&path, &bytes).unwrap();
            },
            "it is not the file that `model.json` was written for",
        );
    }
}

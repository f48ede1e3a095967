//! The state of a training after a whole epoch, on disk: what `fit` needs to go on as if nothing
//! had happened.
//!
//! One file, `checkpoint.safetensors`, replaced atomically after each epoch, so last state, best
//! weights and history can never be of different epochs. Tensors:
//!
//! | name | content |
//! |---|---|
//! | `last/…` | weights after the last epoch |
//! | `best/…` | weights of the best epoch, if that is not the last |
//! | `optimiser` | burn's record of the optimiser, as bytes |
//! | `history` | f64 `[epochs, 6]`: `EpochRecord`, exactly |
//! | `key` | 32 bytes: hash of everything that the training depends on |
//! | `seal` | 32 bytes: hash of all the above |
//!
//! Random generators are not part of it: each epoch opens its own streams. Killed while writing,
//! the old file stays. A file of another training (other key), of another version of the program,
//! or damaged, is not used and replaced at the next epoch. Imports: base, `model`,
//! `train::history`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};

use crate::base::ContentHash;
use crate::base::canon::Canon;
use crate::base::fs;
use crate::vision::Error;
use crate::vision::model::{Plan, Tensor, Weights, f32_bytes, f32_values};

use super::history::{EpochRecord, NUMBERS};

/// The file in the scratch folder.
const FILE: &str = "checkpoint.safetensors";

/// A training after a whole epoch.
#[derive(Debug, PartialEq)]
pub(super) struct Checkpoint {
    /// All finished epochs.
    pub(super) history: Vec<EpochRecord>,
    /// Weights after the last of them.
    pub(super) last: Weights,
    /// Weights of the best of them, if another one.
    pub(super) best: Option<Weights>,
    /// burn's record of the optimiser.
    pub(super) optimiser: Vec<u8>,
}

/// What the scratch folder holds.
pub(super) enum Found {
    /// No checkpoint.
    Nothing,
    /// One of this training.
    Usable(Box<Checkpoint>),
    /// One that cannot be used, and why.
    Unusable(String),
}

/// Writes `checkpoint` into `folder`, which is created when needed.
///
/// # Errors
/// The folder cannot be written; the old checkpoint is then still there.
pub(super) fn save(folder: &Path, key: ContentHash, checkpoint: &Checkpoint) -> Result<(), Error> {
    let path = folder.join(FILE);
    let bytes =
        encode(key, checkpoint).map_err(|e| Error::io("write", &path)(io::Error::other(e)))?;
    fs::create_dir_all(folder).map_err(Error::io("create folder", folder))?;
    fs::write_atomic(&path, &bytes).map_err(Error::io("write", &path))
}

/// Looks for a checkpoint of the training `key` in `folder`.
///
/// # Errors
/// The file is there and cannot be read.
pub(super) fn load(folder: &Path, key: ContentHash, plan: &Plan) -> Result<Found, Error> {
    let path = folder.join(FILE);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(match decode(&bytes, key, plan) {
            Ok(checkpoint) => Found::Usable(Box::new(checkpoint)),
            Err(reason) => Found::Unusable(reason),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

/// Tensors by name, in the order in which they are sealed.
type Parts = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn encode(key: ContentHash, checkpoint: &Checkpoint) -> Result<Vec<u8>, SafeTensorError> {
    let mut parts = Parts::new();
    let sets = [
        ("last", Some(&checkpoint.last)),
        ("best", checkpoint.best.as_ref()),
    ];
    for (prefix, weights) in sets {
        for (name, tensor) in weights.iter().flat_map(|w| &w.0) {
            let part = (Dtype::F32, tensor.shape.clone(), f32_bytes(&tensor.values));
            parts.insert(format!("{prefix}/{name}"), part);
        }
    }
    let numbers = checkpoint.history.iter().flat_map(|r| r.to_numbers());
    let history: Vec<u8> = numbers.flat_map(f64::to_le_bytes).collect();
    let shape = vec![checkpoint.history.len(), NUMBERS];
    parts.insert("history".to_owned(), (Dtype::F64, shape, history));
    let mut put_bytes = |name: &str, bytes: &[u8]| {
        parts.insert(
            name.to_owned(),
            (Dtype::U8, vec![bytes.len()], bytes.to_vec()),
        );
    };
    put_bytes("optimiser", &checkpoint.optimiser);
    put_bytes("key", key.as_bytes());
    let seal = seal(
        parts
            .iter()
            .map(|(n, (_, shape, bytes))| (n.as_str(), &shape[..], &bytes[..])),
    );
    parts.insert(
        "seal".to_owned(),
        (Dtype::U8, vec![32], seal.as_bytes().to_vec()),
    );

    let mut views = Vec::with_capacity(parts.len());
    for (name, (dtype, shape, bytes)) in &parts {
        views.push((
            name.as_str(),
            TensorView::new(*dtype, shape.clone(), bytes)?,
        ));
    }
    safetensors::serialize(views, None)
}

fn decode(bytes: &[u8], key: ContentHash, plan: &Plan) -> Result<Checkpoint, String> {
    const DAMAGED: &str = "it is damaged";
    let file = SafeTensors::deserialize(bytes).map_err(|_| DAMAGED)?;
    let mut parts: BTreeMap<&str, TensorView<'_>> = file.iter().collect();
    let sealed = parts.remove("seal").ok_or(DAMAGED)?;
    let seal = seal(
        parts
            .iter()
            .map(|(name, view)| (*name, view.shape(), view.data())),
    );
    if sealed.data() != seal.as_bytes() {
        return Err(DAMAGED.to_owned());
    }
    if parts.remove("key").ok_or(DAMAGED)?.data() != key.as_bytes() {
        return Err("it belongs to other data, parameters or another version of cvops".to_owned());
    }
    let optimiser = parts.remove("optimiser").ok_or(DAMAGED)?.data().to_vec();
    let history = parts.remove("history").ok_or(DAMAGED)?;
    let numbers: Vec<f64> = history
        .data()
        .as_chunks::<8>()
        .0
        .iter()
        .map(|b| f64::from_le_bytes(*b))
        .collect();
    let history: Vec<EpochRecord> = numbers
        .as_chunks::<NUMBERS>()
        .0
        .iter()
        .map(|n| EpochRecord::from_numbers(*n))
        .collect();
    let (mut last, mut best) = (Weights::default(), Weights::default());
    for (name, view) in parts {
        let (set, name) = match name.split_once('/') {
            Some(("last", name)) => (&mut last, name),
            Some(("best", name)) => (&mut best, name),
            _ => return Err(DAMAGED.to_owned()),
        };
        let tensor = Tensor {
            shape: view.shape().to_vec(),
            values: f32_values(view.data()),
        };
        set.0.insert(name.to_owned(), tensor);
    }
    last.check(plan).map_err(|p| p.to_string())?;
    let best = (!best.0.is_empty()).then_some(best);
    if let Some(best) = &best {
        best.check(plan).map_err(|p| p.to_string())?;
    }
    Ok(Checkpoint {
        history,
        last,
        best,
        optimiser,
    })
}

fn seal<'a>(parts: impl Iterator<Item = (&'a str, &'a [usize], &'a [u8])>) -> ContentHash {
    let mut canon = Canon::new("cvops.checkpoint.v1");
    for (name, shape, bytes) in parts {
        canon.text(name).list(shape.len());
        for side in shape {
            canon.int(*side as i128);
        }
        canon.bytes(bytes);
    }
    canon.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::model::{Input, Preset, initial_weights};

    fn plan() -> Plan {
        let input = Input {
            height: 14,
            width: 14,
            channels: 1,
        };
        Plan::new(&Preset::Lenet.spec(), input, 2).unwrap()
    }

    #[test]
    fn a_checkpoint_is_only_used_by_its_own_training_and_whole() {
        let plan = plan();
        let folder = tempfile::tempdir().unwrap();
        let key = ContentHash::of(b"this training");
        let checkpoint = Checkpoint {
            history: vec![EpochRecord {
                epoch: 1,
                lr: 0.1 + 0.2,
                train_loss: 1.0 / 3.0,
                train_accuracy: 0.5,
                val_loss: None,
                val_accuracy: None,
            }],
            last: initial_weights(&plan, 1),
            best: Some(initial_weights(&plan, 2)),
            optimiser: vec![1, 2, 3],
        };
        let scratch = folder.path().join("scratch");
        assert!(matches!(load(&scratch, key, &plan), Ok(Found::Nothing)));
        save(&scratch, key, &checkpoint).unwrap();
        match load(&scratch, key, &plan).unwrap() {
            Found::Usable(loaded) => assert_eq!(*loaded, checkpoint),
            Found::Nothing | Found::Unusable(_) => panic!("the checkpoint is usable"),
        }
        let other = ContentHash::of(b"another training");
        assert!(matches!(
            load(&scratch, other, &plan),
            Ok(Found::Unusable(_))
        ));

        let path = scratch.join(FILE);
        let bytes = std::fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        let middle = bytes.len() / 2;
        flipped[middle] ^= 1;
        for damaged in [&flipped[..], &bytes[..middle], b""] {
            fs::write_atomic(&path, damaged).unwrap();
            assert!(matches!(load(&scratch, key, &plan), Ok(Found::Unusable(_))));
        }
    }
}

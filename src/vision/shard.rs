//! Prepared data: a folder that `preprocess` writes and that training and evaluation read.
//!
//! ```text
//! prepared.json          size, classes, mean and std, counts, and the hashes of all other files
//! train-00000.safetensors …   pixels u8 [n, height, width, channels], labels i64 [n]
//! index.jsonl            one line per picture in the order of the shards: path, content, split, class
//! classes.json           the class names alone, for other programs
//! card.json, card.html   the data card, for programs and for people
//! ```
//!
//! No clock, host or absolute path is in any of them, so the same pictures and parameters give the
//! same bytes. What is read is checked against the hashes: a half-copied folder is an error, not a
//! worse network. Imports: base, `image`, `dataset`.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::base::ContentHash;

use super::Error;
use super::dataset::ClassCounts;
pub use super::dataset::Split;
use super::image::{Channels, Filter, Pixels, Target};

/// The manifest's name.
pub(crate) const MANIFEST: &str = "prepared.json";
/// The list of pictures.
pub(crate) const INDEX: &str = "index.jsonl";
/// What the manifest says it is.
pub(crate) const FORMAT: &str = "cvops.prepared";
/// Version of the whole folder; raised when a reader of the old one would misread the new one.
pub(crate) const VERSION: u64 = 1;

/// The file `prepared.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format: String,
    pub(crate) version: u64,
    pub(crate) input: Input,
    pub(crate) seed: u64,
    pub(crate) classes: Vec<String>,
    pub(crate) mean: Vec<f64>,
    pub(crate) std: Vec<f64>,
    pub(crate) counts: ClassCounts,
    pub(crate) shards: Vec<ShardEntry>,
    pub(crate) index: String,
}

/// How pictures were fitted, so that `predict` can do the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    height: u32,
    width: u32,
    channels: u64,
    filter: String,
    background: [u8; 3],
}

impl From<Target> for Input {
    fn from(target: Target) -> Self {
        Self {
            height: target.height,
            width: target.width,
            channels: target.channels.count() as u64,
            filter: target.filter.name().to_owned(),
            background: target.background,
        }
    }
}

impl Input {
    fn target(&self) -> Option<Target> {
        let Self {
            height,
            width,
            background,
            ..
        } = *self;
        let channels = Channels::from_count(self.channels)?;
        let filter = Filter::from_name(&self.filter)?;
        let sides = [height, width]
            .iter()
            .all(|side| (1..=u32::from(u16::MAX)).contains(side));
        sides.then_some(Target {
            height,
            width,
            channels,
            filter,
            background,
        })
    }
}

/// One shard in the manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShardEntry {
    pub(crate) file: String,
    pub(crate) split: String,
    pub(crate) images: usize,
    pub(crate) hash: String,
}

/// One line of `index.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndexLine {
    pub(crate) path: String,
    pub(crate) content: String,
    pub(crate) split: String,
    pub(crate) class: u32,
}

/// A folder of prepared data whose manifest was read and found sound.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Class names, sorted; a label is an index into them.
    pub classes: Vec<String>,
    /// Height of all pictures in pixels.
    pub height: usize,
    /// Width of all pictures in pixels.
    pub width: usize,
    /// Values per pixel: 1 or 3.
    pub channels: usize,
    /// How pictures were fitted; `predict` does the same.
    pub target: Target,
    /// Mean of the training pictures per channel, of values 0..=1.
    pub mean: Vec<f64>,
    /// Standard deviation of the training pictures per channel, of values 0..=1; never below 1/255,
    /// so dividing by it is safe.
    pub std: Vec<f64>,
    /// Pictures per class and split.
    pub counts: ClassCounts,
    /// Stands for all the data: the hash of the manifest, which names the hash of every shard.
    pub content_hash: ContentHash,
    dir: PathBuf,
    manifest: Manifest,
}

/// The pictures of one split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitData {
    /// `[count, height, width, channels]`.
    pub pixels: Pixels,
    /// Index of each picture's class.
    pub labels: Vec<u32>,
    /// Each picture's path in the dataset, `/`-separated.
    pub paths: Vec<String>,
    /// The hash of each picture's file.
    pub contents: Vec<String>,
}

impl Prepared {
    /// Reads the manifest of a folder that `preprocess` wrote.
    ///
    /// # Errors
    /// It is missing, of another version, or says things that do not fit together.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let bytes = read_prepared(&dir.join(MANIFEST))?;
        Self::of_manifest(dir, &bytes)
    }

    /// Takes `bytes` as the manifest of the folder `dir`, which is not looked at.
    ///
    /// # Errors
    /// They are none, of another version, or say things that do not fit together.
    pub(crate) fn of_manifest(dir: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let path = dir.join(MANIFEST);
        let not_prepared = |problem: String| Error::not_prepared(&path)(problem);
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|e| not_prepared(e.to_string()))?;
        if value.get("format").and_then(serde_json::Value::as_str) != Some(FORMAT) {
            return Err(not_prepared(format!(
                "it does not say `\"format\": \"{FORMAT}\"`"
            )));
        }
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(VERSION) => {}
            Some(found) => {
                return Err(Error::PreparedVersion {
                    path,
                    found,
                    expected: VERSION,
                });
            }
            None => return Err(not_prepared("it has no format version".to_owned())),
        }
        let manifest: Manifest =
            serde_json::from_value(value).map_err(|e| not_prepared(e.to_string()))?;
        let target = check(&manifest).map_err(not_prepared)?;
        Ok(Self {
            classes: manifest.classes.clone(),
            height: target.height as usize,
            width: target.width as usize,
            channels: target.channels.count(),
            target,
            mean: manifest.mean.clone(),
            std: manifest.std.clone(),
            counts: manifest.counts.clone(),
            content_hash: ContentHash::of(bytes),
            dir: dir.to_owned(),
            manifest,
        })
    }

    /// Returns the folder it was read from.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads all pictures of `split`, in the order of their paths; no pictures is no error. Takes
    /// `count × height × width × channels` bytes of memory.
    ///
    /// # Errors
    /// A file is missing, or is not what the manifest says.
    pub fn load(&self, split: Split) -> Result<SplitData, Error> {
        let (paths, contents) = self.load_index(split)?.into_iter().unzip();
        let mut data = SplitData {
            pixels: Pixels::new(self.height, self.width, self.channels),
            labels: Vec::new(),
            paths,
            contents,
        };
        for part in self.parts(split) {
            let (pixels, labels) = part?;
            data.pixels.append(&pixels);
            data.labels.extend(labels);
        }
        self.require_counted(split, data.labels.len(), data.paths.len())?;
        Ok(data)
    }

    /// Reads the pictures of `split` with the index of the class of each, file after file, in the order of `load`:
    /// only those of one file are in memory.
    ///
    /// # Errors
    /// Each file that is missing, or is not what the manifest says.
    pub fn parts(
        &self,
        split: Split,
    ) -> impl Iterator<Item = Result<(Pixels, Vec<u32>), Error>> + '_ {
        let shards = self.manifest.shards.iter();
        let shards = shards.filter(move |shard| shard.split == split.name());
        shards.map(move |shard| {
            let path = self.dir.join(&shard.file);
            let bytes = read_checked(&path, &shard.hash)?;
            decode(&bytes, self, shard.images).map_err(Error::not_prepared(&path))
        })
    }

    /// Returns the path of each picture of `split` in the dataset, in the order of `load`: as many as `parts` reads.
    ///
    /// # Errors
    /// The index is missing, or is not what the manifest says; its parts do not fit together.
    pub fn paths(&self, split: Split) -> Result<Vec<String>, Error> {
        let index = self.load_index(split)?;
        let paths: Vec<String> = index.into_iter().map(|(path, _)| path).collect();
        let shards = self.manifest.shards.iter();
        let images = shards
            .filter(|shard| shard.split == split.name())
            .fold(0_usize, |all, shard| all.saturating_add(shard.images));
        self.require_counted(split, images, paths.len())?;
        Ok(paths)
    }

    fn require_counted(&self, split: Split, pixels: usize, paths: usize) -> Result<(), Error> {
        let counted = self.counts.total(split);
        if [pixels, paths] == [counted, counted] {
            return Ok(());
        }
        let problem = format!(
            "{pixels} pixels and {paths} paths of `{}` for {counted} images",
            split.name()
        );
        Err(Error::not_prepared(&self.dir.join(MANIFEST))(problem))
    }

    /// Returns where `split` keeps picture `index`: the file, how many pictures it holds, and which of
    /// them it is; `None` past the end.
    pub(crate) fn shard_of(&self, split: Split, index: usize) -> Option<(&ShardEntry, usize)> {
        let mut before = 0_usize;
        let of_split = |shard: &&ShardEntry| shard.split == split.name();
        self.manifest
            .shards
            .iter()
            .filter(of_split)
            .find_map(|shard| {
                let within = index.checked_sub(before)?;
                // The numbers are those of the file.
                before = before.saturating_add(shard.images);
                (within < shard.images).then_some((shard, within))
            })
    }

    /// Returns path and content hash of each picture of `split`.
    fn load_index(&self, split: Split) -> Result<Vec<(String, String)>, Error> {
        let path = self.dir.join(INDEX);
        let bytes = read_checked(&path, &self.manifest.index)?;
        let mut pictures = Vec::new();
        for line in bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            let line: IndexLine =
                serde_json::from_slice(line).map_err(Error::not_prepared(&path))?;
            if line.split == split.name() {
                pictures.push((line.path, line.content));
            }
        }
        Ok(pictures)
    }
}

/// Returns the bytes of a shard file.
///
/// # Errors
/// Only for a header that is too large, which a bounded shard cannot have.
pub(crate) fn encode(
    pixels: &Pixels,
    labels: &[u32],
) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    // i64 is what PyTorch and ONNX expect of labels.
    let labels_bytes: Vec<u8> = labels
        .iter()
        .flat_map(|&l| i64::from(l).to_le_bytes())
        .collect();
    let shape = vec![
        pixels.count(),
        pixels.height(),
        pixels.width(),
        pixels.channels(),
    ];
    let tensors = [
        (
            "labels",
            TensorView::new(Dtype::I64, vec![labels.len()], &labels_bytes)?,
        ),
        ("pixels", TensorView::new(Dtype::U8, shape, pixels.data())?),
    ];
    safetensors::serialize(tensors, None)
}

fn decode(bytes: &[u8], prepared: &Prepared, images: usize) -> Result<(Pixels, Vec<u32>), String> {
    let Prepared {
        height,
        width,
        channels,
        ..
    } = *prepared;
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let tensor = |name: &str, dtype: Dtype, shape: &[usize]| {
        let tensor = tensors.tensor(name).map_err(|e| e.to_string())?;
        if tensor.dtype() == dtype && tensor.shape() == shape {
            return Ok(tensor.data());
        }
        Err(format!(
            "tensor `{name}` is {:?} {:?}, not {dtype:?} {shape:?}",
            tensor.dtype(),
            tensor.shape()
        ))
    };
    let pixels = tensor("pixels", Dtype::U8, &[images, height, width, channels])?;
    let labels = tensor("labels", Dtype::I64, &[images])?;
    let labels: Option<Vec<u32>> = labels
        .as_chunks::<8>()
        .0
        .iter()
        .map(|&bytes| u32::try_from(i64::from_le_bytes(bytes)).ok())
        .map(|label| label.filter(|&l| (l as usize) < prepared.classes.len()))
        .collect();
    let labels = labels.ok_or("a label names no class")?;
    let pixels = Pixels::from_data(height, width, channels, pixels.to_vec())
        .ok_or("the pixels are not a whole number of pictures")?;
    Ok((pixels, labels))
}

/// Checks that the manifest's parts fit together, and returns what it says about pictures.
fn check(manifest: &Manifest) -> Result<Target, String> {
    let target = manifest.input.target().ok_or("`input` is not understood")?;
    let classes = manifest.classes.len();
    if classes < 2 {
        return Err("it names fewer than two classes".to_owned());
    }
    if Split::ALL
        .iter()
        .any(|split| manifest.counts.of(*split).len() != classes)
    {
        return Err(format!("`counts` are not those of {classes} classes"));
    }
    let channels = target.channels.count();
    if manifest.mean.len() != channels || manifest.std.len() != channels {
        return Err(format!(
            "`mean` and `std` are not those of {channels} channels"
        ));
    }
    let usable = |value: &f64| value.is_finite() && 0.0 < *value;
    if !manifest.mean.iter().all(|value| value.is_finite()) || !manifest.std.iter().all(usable) {
        return Err("`mean` and `std` must be finite, and `std` above 0".to_owned());
    }
    for shard in &manifest.shards {
        let plain = Path::new(&shard.file)
            .file_name()
            .is_some_and(|n| n == shard.file.as_str());
        if !plain || Split::from_name(&shard.split).is_none() {
            return Err(format!(
                "shard `{}` of `{}` is not understood",
                shard.file, shard.split
            ));
        }
    }
    Ok(target)
}

fn read_prepared(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| {
        if source.kind() == std::io::ErrorKind::NotFound {
            return Error::not_prepared(path)("the file is missing");
        }
        Error::io("read", path)(source)
    })
}

fn read_checked(path: &Path, hash: &str) -> Result<Vec<u8>, Error> {
    let bytes = read_prepared(path)?;
    if ContentHash::of(&bytes).to_string() != hash {
        return Err(Error::not_prepared(path)(format!(
            "the file was changed or cut since `{MANIFEST}` was written"
        )));
    }
    Ok(bytes)
}

//! Fitted detectors as a folder, `models/drift/`. Imports: base, drift, vision, `detect::{detector, error, features,
//! fitted, kind, outlier, params, projection, watch}`.
//!
//! ```text
//! drift.json              model, classes, reference, parameters, detectors, and the hashes of the other files
//! reference.safetensors   rows of each input f64 [rows, features], labels i64 [rows], thumbnails
//! online.jsonl            the fitted part of each detector for a stream, one line each, in the order of drift.json
//! ```
//!
//! No clock, host or path is in any of them: the same model, reference and parameters give the same bytes.
//! `drift.json` is written last; a folder of which only some files are new does not load.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::ContentHash;
use crate::base::{self, fs};
use crate::drift::Sample;
use crate::vision::image::PROPERTIES;
use crate::vision::shard::Split;

use super::Error;
use super::detector::{Detector, DetectorSpec};
use super::features::Input;
use super::fitted::{Fitted, Reference, Thumbnails};
use super::kind::Family;
use super::outlier::{OutlierScore, OutlierSpec};
use super::params::{PERMUTATIONS, ROWS};
use super::projection::Projection;
use super::tensors::{Tensors, decode, encode};
use super::watch::{Watch, WatchSpec};

const MANIFEST: &str = "drift.json";
const REFERENCE: &str = "reference.safetensors";
const ONLINE: &str = "online.jsonl";
/// What the manifest says it is.
const FORMAT: &str = "cvops.drift";
/// Version of the whole folder; raised when a reader of the old one would misread the new one.
const VERSION: u64 = 1;

/// What detectors have in common.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) alpha: f64,
    pub(super) family: Family,
    pub(super) permutations: usize,
    /// At most, of the reference, and of new rows for tests by a kernel.
    pub(super) rows: usize,
    pub(super) seed: u64,
}

/// The file `drift.json`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: String,
    version: u64,
    /// Of the weights.
    model: String,
    classes: Vec<String>,
    reference: ReferenceEntry,
    settings: Settings,
    detectors: Vec<DetectorSpec>,
    online: Vec<WatchSpec>,
    /// The hash of `online.jsonl`.
    online_hash: String,
    outlier: Option<OutlierSpec>,
    /// What could not be fitted, and why.
    notes: Vec<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ReferenceEntry {
    split: String,
    rows: usize,
    /// The hash of the prepared data.
    data: String,
    /// The hash of `reference.safetensors`.
    hash: String,
}

impl Fitted {
    /// Writes the folder `dir`, which is created when needed.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        let place = |name: &str| dir.join(name);
        let reference = encode(&Tensors {
            samples: self.reference.samples.clone(),
            labels: self.reference.labels.clone(),
            projection: self.projection.clone(),
            usual: self.outlier.as_ref().map(|outlier| outlier.usual.clone()),
            thumbnails: self.thumbnails.clone(),
        })
        .map_err(|problem| write_error(&place(REFERENCE), problem))?;
        let mut online = Vec::new();
        for watch in &self.watches {
            let bytes = watch.online.fitted_bytes();
            online.extend(bytes.map_err(|problem| write_error(&place(ONLINE), problem))?);
            online.push(b'\n');
        }
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            model: self.model.to_string(),
            classes: self.classes.clone(),
            reference: ReferenceEntry {
                split: self.reference.split.name().to_owned(),
                rows: self.rows(),
                data: self.reference.data.to_string(),
                hash: ContentHash::of(&reference).to_string(),
            },
            settings: self.settings,
            detectors: self.detectors.iter().map(|one| one.spec.clone()).collect(),
            online: self.watches.iter().map(|one| one.spec.clone()).collect(),
            online_hash: ContentHash::of(&online).to_string(),
            outlier: self.outlier.as_ref().map(|one| one.spec),
            notes: self.notes.clone(),
        };
        let mut text = serde_json::to_vec_pretty(&manifest)
            .map_err(|problem| write_error(&place(MANIFEST), problem))?;
        text.push(b'\n');
        fs::create_dir_all(dir).map_err(base::Error::io("create folder", dir))?;
        for (name, bytes) in [
            (REFERENCE, &reference),
            (ONLINE, &online),
            (MANIFEST, &text),
        ] {
            let path = place(name);
            fs::write_atomic(&path, bytes).map_err(base::Error::io("write", &path))?;
        }
        Ok(())
    }

    /// Reads the folder `dir`.
    ///
    /// # Errors
    /// A file is missing, of another version, or was changed.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let manifest = read_manifest(&dir.join(MANIFEST))?;
        let wrong = |name: &str| {
            let path = dir.join(name);
            move |problem: String| Error::NotFitted { path, problem }
        };
        let told = Told::new(&manifest).map_err(wrong(MANIFEST))?;
        let bytes = read_checked(&dir.join(REFERENCE), &manifest.reference.hash)?;
        let tensors = decode(&bytes).map_err(wrong(REFERENCE))?;
        check_tensors(&tensors, &manifest).map_err(wrong(REFERENCE))?;
        let online = read_checked(&dir.join(ONLINE), &manifest.online_hash)?;
        let reference = Reference {
            split: told.split,
            data: told.data,
            samples: tensors.samples,
            labels: tensors.labels,
        };
        let sample = |name: &str, input: Input| {
            let found = reference.sample(input);
            found.ok_or_else(|| format!("`{name}` looks at `{}`, which is not there", input.name()))
        };
        let seed = manifest.settings.seed;
        let detector = |spec: &DetectorSpec| {
            let rows = sample(&spec.name, spec.input)?;
            Detector::fit(spec.clone(), rows, seed).map_err(|e| format!("`{}`: {e}", spec.name))
        };
        let detectors = manifest.detectors.iter().map(detector);
        let detectors: Vec<Detector> = detectors
            .collect::<Result<_, String>>()
            .map_err(wrong(MANIFEST))?;
        let lines: Vec<&[u8]> = online.split(|b| *b == b'\n').collect();
        if lines.len() != manifest.online.len() + 1 {
            let problem = format!("expected {} lines", manifest.online.len());
            return Err(wrong(ONLINE)(problem));
        }
        let watch = |(spec, line): (&WatchSpec, &&[u8])| {
            Watch::read(spec.clone(), line, sample(&spec.name, spec.input)?)
        };
        let watches = manifest.online.iter().zip(&lines).map(watch);
        let watches: Vec<Watch> = watches
            .collect::<Result<_, String>>()
            .map_err(wrong(ONLINE))?;
        let outlier = match (manifest.outlier, tensors.usual) {
            (Some(spec), Some(usual)) => {
                let rows = sample("outlier", spec.input).map_err(wrong(MANIFEST))?;
                let fitted = OutlierScore::with_usual(spec, rows, usual);
                Some(fitted.map_err(|e| wrong(MANIFEST)(e.to_string()))?)
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err(wrong(MANIFEST)(format!(
                    "`outlier` does not belong to `{REFERENCE}`"
                )));
            }
        };
        Ok(Self {
            settings: manifest.settings,
            model: told.model,
            classes: manifest.classes,
            reference,
            projection: tensors.projection,
            detectors,
            watches,
            outlier,
            thumbnails: tensors.thumbnails,
            notes: manifest.notes,
        })
    }
}

/// What the manifest says as texts.
struct Told {
    model: ContentHash,
    data: ContentHash,
    split: Split,
}

impl Told {
    fn new(manifest: &Manifest) -> Result<Self, String> {
        let Settings {
            alpha,
            permutations,
            rows,
            ..
        } = manifest.settings;
        // Memory grows with both: a file from elsewhere must not ask for more than parameters may.
        let usual = PERMUTATIONS.contains(&(permutations as u64)) && ROWS.contains(&(rows as u64));
        if !(0.0 < alpha && alpha < 1.0 && usual) {
            return Err("`settings` are not understood".to_owned());
        }
        if manifest.classes.len() < 2 {
            return Err("it names fewer than two classes".to_owned());
        }
        let detectors = manifest.detectors.iter().map(|one| &one.name);
        let mut names: Vec<&String> = detectors
            .chain(manifest.online.iter().map(|one| &one.name))
            .collect();
        names.sort_unstable();
        if let Some([name, _]) = names.array_windows().find(|[a, b]| a == b) {
            return Err(format!("two detectors are called `{name}`"));
        }
        if manifest.detectors.is_empty() {
            return Err("it names no detector".to_owned());
        }
        if let Some(one) = manifest
            .detectors
            .iter()
            .find(|one| !one.test.takes(one.input))
        {
            return Err(format!("the detector `{}` is not understood", one.name));
        }
        let bad_watch = |one: &&WatchSpec| !one.method.takes(one.input) || one.every == 0;
        if let Some(one) = manifest.online.iter().find(bad_watch) {
            return Err(format!("the detector `{}` is not understood", one.name));
        }
        let hash = |text: &str, key: &str| {
            let parsed: Result<ContentHash, _> = text.parse();
            parsed.map_err(|_| format!("`{key}` is no hash"))
        };
        Ok(Self {
            model: hash(&manifest.model, "model")?,
            data: hash(&manifest.reference.data, "reference.data")?,
            split: Split::from_name(&manifest.reference.split)
                .ok_or("`reference.split` is no split")?,
        })
    }
}

/// Checks that the reference is one of as many rows and classes as the manifest says.
fn check_tensors(tensors: &Tensors, manifest: &Manifest) -> Result<(), String> {
    let (rows, classes) = (manifest.reference.rows, manifest.classes.len());
    let fits = |(input, sample): &(Input, Sample)| {
        let width = match input {
            Input::Softmax => Some(classes),
            Input::Label | Input::Entropy | Input::Margin | Input::Error => Some(1),
            Input::Embedding => tensors.projection.as_ref().map(Projection::components),
            Input::Properties => Some(PROPERTIES.len()),
        };
        sample.rows() == rows && width.is_none_or(|width| sample.width() == width)
    };
    if tensors.labels.len() != rows || !tensors.samples.iter().all(fits) {
        return Err(format!("it does not hold {rows} rows of each input"));
    }
    let is_class = |label: f64| label.fract() == 0.0 && (0.0..classes as f64).contains(&label);
    let predicted = tensors
        .samples
        .iter()
        .filter(|(input, _)| *input == Input::Label);
    let mut predicted = predicted.flat_map(|(_, sample)| sample.values());
    let known = tensors
        .labels
        .iter()
        .all(|label| (*label as usize) < classes);
    if !known || !predicted.all(|label| is_class(*label)) {
        return Err("a label names no class".to_owned());
    }
    let usual = tensors
        .usual
        .as_ref()
        .is_none_or(|usual| usual.len() == rows);
    let Thumbnails { pictures, rows: of } = &tensors.thumbnails;
    if !usual || pictures.len() != of.len() || of.iter().any(|row| rows <= *row) {
        return Err("scores or thumbnails are not those of its rows".to_owned());
    }
    Ok(())
}

fn write_error(path: &Path, problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    base::Error::io("write", path)(io::Error::other(problem)).into()
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NotFitted {
            path: path.to_owned(),
            problem: "the file is missing".to_owned(),
        },
        _ => base::Error::io("read", path)(source).into(),
    })
}

fn read_checked(path: &Path, hash: &str) -> Result<Vec<u8>, Error> {
    let bytes = read(path)?;
    if ContentHash::of(&bytes).to_string() == hash {
        return Ok(bytes);
    }
    Err(Error::NotFitted {
        path: path.to_owned(),
        problem: format!("the file was changed or cut since `{MANIFEST}` was written"),
    })
}

fn read_manifest(path: &Path) -> Result<Manifest, Error> {
    let wrong = |problem: String| Error::NotFitted {
        path: PathBuf::from(path),
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
            return Err(Error::FittedVersion {
                path: path.to_owned(),
                found,
                expected: VERSION,
            });
        }
        None => return Err(wrong("it has no format version".to_owned())),
    }
    serde_json::from_value(value).map_err(|e| wrong(e.to_string()))
}

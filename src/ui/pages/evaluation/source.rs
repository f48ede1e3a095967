//! Finds an evaluation among outputs: its predictions, the figures beside them, and the prepared data
//! that its pictures are in. Imports: mlflow (the words of a refusal), `ui::*`.

use std::sync::Arc;

use serde::Deserialize;

use super::predictions::Predictions;
use crate::mlflow::Refused;
use crate::ui::asked::Asked;
use crate::ui::lines::Lines;
use crate::ui::outputs::{Outputs, unusable};
use crate::ui::prepared::{self, Samples};
use crate::ui::site::Site;

/// How files of predictions are called.
pub(super) const FILE: &str = "predictions.jsonl";
/// Where `cvops evaluate` puts it; where clients of MLflow upload it.
const USUAL: [&str; 2] = ["reports/predictions.jsonl", FILE];
/// What to do with more than is read.
const INSTEAD: &str = "write a sample of the pictures, or leave `probabilities` out";
const METRICS_BYTES_MAX: u64 = 1 << 20;

/// An interval of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
}

/// What is taken from the figures beside the predictions.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Reported {
    accuracy: f64,
    #[serde(default)]
    pub(super) accuracy_interval: Option<Interval>,
    #[serde(default)]
    pub(super) macro_f1_interval: Option<Interval>,
}

/// Where pictures are.
pub(super) struct Album {
    /// The folder of prepared data.
    pub(super) folder: String,
    /// What is in it.
    pub(super) samples: Arc<Samples>,
}

/// An evaluation that was found.
pub(super) struct Source {
    pub(super) outputs: Outputs,
    /// The file of predictions.
    pub(super) path: String,
    pub(super) predictions: Arc<Predictions>,
    pub(super) reported: Option<Reported>,
    /// `None`: no prepared data holds these pictures.
    pub(super) album: Option<Album>,
}

/// Returns the files of predictions among outputs.
pub(super) fn files(outputs: &Outputs) -> Vec<String> {
    let of_outputs = outputs.all.iter().map(|output| output.path.as_str());
    let named = of_outputs.filter(|path| path.rsplit('/').next() == Some(FILE));
    let mut found: Vec<String> = Vec::new();
    for path in named.chain(USUAL) {
        if !found.iter().any(|known| known == path) && outputs.identity(path).is_some() {
            found.push(path.to_owned());
        }
    }
    found
}

impl Source {
    /// Reads the evaluation of `outputs` in `file`, in the first one if that is not said; gives the
    /// outputs back if there is none.
    ///
    /// # Errors
    /// The named file is none of predictions, or is broken.
    pub(super) fn read(
        site: &Site,
        outputs: Outputs,
        file: Option<&str>,
    ) -> Result<Result<Self, Outputs>, Refused> {
        let known = files(&outputs);
        let path = match file {
            None => known.first().cloned(),
            Some(file) => {
                let found = known.iter().find(|known| *known == file).cloned();
                let missing = || Refused::missing(format!("there are no predictions in `{file}`"));
                Some(found.ok_or_else(missing)?)
            }
        };
        let Some((path, identity)) = path.and_then(|path| {
            let identity = outputs.identity(&path)?;
            Some((path, identity))
        }) else {
            return Ok(Err(outputs));
        };
        let read = || {
            let file = outputs.open(&path).map_err(|e| e.to_string())?;
            let file = file.ok_or("it is no longer there")?;
            Predictions::read(Lines::of_file(file, INSTEAD)?)
        };
        let predictions = site.parsed.get(&identity, read);
        let predictions = predictions.map_err(|e| unusable(&path, &e))?;
        Ok(Ok(Self {
            reported: reported(&outputs, &path, &predictions),
            album: album(site, &outputs, &predictions),
            predictions,
            path,
            outputs,
        }))
    }

    /// As `read`, of the run (or workspace) that a request names.
    ///
    /// # Errors
    /// As `read`, and there is no such run.
    pub(super) fn asked(
        site: &Site,
        asked: &Asked,
        run: Option<&str>,
    ) -> Result<Result<Self, Outputs>, Refused> {
        let outputs = Outputs::of(site, asked, run)?;
        Self::read(site, outputs, asked.query.filled("file"))
    }

    /// Returns where the picture of a row is to be had, if it is the one that was judged.
    pub(super) fn picture(&self, row: usize, side: u32) -> Option<String> {
        let place = &self.predictions.places[row];
        let (album, index) = (self.album.as_ref()?, place.index?);
        let split = &self.predictions.split;
        let sample = album.samples.get(split, index)?;
        (*sample.content == *place.content)
            .then(|| prepared::picture_href(&self.outputs, &album.folder, sample, side))
    }
}

/// Returns the figures in `metrics.json` beside the predictions, if they are of these predictions.
fn reported(outputs: &Outputs, path: &str, predictions: &Predictions) -> Option<Reported> {
    let folder = path
        .rsplit_once('/')
        .map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let bytes = outputs
        .read(&format!("{folder}metrics.json"), METRICS_BYTES_MAX)
        .ok()??;
    let reported: Reported = serde_json::from_slice(&bytes).ok()?;
    let accuracy = super::judge::judge(predictions, 0.0).accuracy()?;
    ((reported.accuracy - accuracy).abs() < 1e-5).then_some(reported)
}

/// Returns the prepared data that holds the pictures which were judged: that in which the first, the
/// middle and the last one are.
fn album(site: &Site, outputs: &Outputs, predictions: &Predictions) -> Option<Album> {
    let rows = predictions.len();
    if rows == 0 {
        return None;
    }
    for output in outputs.folders_with(prepared::MANIFEST) {
        let Ok(Some(samples)) = Samples::of(&site.parsed, outputs, &output.path) else {
            continue;
        };
        let is_there = |row: usize| {
            let place = &predictions.places[row];
            let sample = samples.get(&predictions.split, place.index?)?;
            Some(*sample.content == *place.content)
        };
        if [0, rows / 2, rows - 1]
            .into_iter()
            .all(|row| is_there(row) == Some(true))
        {
            return Some(Album {
                folder: output.path.clone(),
                samples,
            });
        }
    }
    None
}

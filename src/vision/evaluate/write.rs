//! Writes an evaluation's files. Equal evaluations are equal bytes: no clock, host or absolute path.
//! Imports: base, `evaluate::*`, `vision::{image, train}`.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::fs;
use crate::vision::Error;
use crate::vision::image::Pixels;
use crate::vision::train::EpochRecord;

use super::evaluation::Evaluation;
use super::metrics_file::MetricsFile;
use super::predictions::Predictions;
use super::{page, plots};

/// Where the files go; missing folders are created.
#[derive(Clone, Copy, Debug)]
pub struct Destinations<'a> {
    /// `reports/metrics.json`.
    pub metrics: &'a Path,
    /// `reports/predictions.jsonl`.
    pub predictions: &'a Path,
    /// The folder of the SVG plots.
    pub plots: &'a Path,
    /// `reports/evaluation.html`.
    pub page: &'a Path,
}

/// What the page shows beside the figures.
#[derive(Clone, Copy, Debug)]
pub struct Illustration<'a> {
    /// The pictures judged, in order; mistakes are shown.
    pub pixels: &'a Pixels,
    /// The epochs of the training; may be empty.
    pub history: &'a [EpochRecord],
    /// Facts for the head of the page, in order: name and value.
    pub facts: &'a [(String, String)],
}

/// Writes `metrics.json`, `predictions.jsonl`, the plots and the page; returns the files in the order of writing.
///
/// # Errors
/// A file cannot be written.
pub fn write(
    evaluation: &Evaluation,
    predictions: Predictions<'_>,
    illustration: Illustration<'_>,
    to: Destinations<'_>,
) -> Result<Vec<PathBuf>, Error> {
    let figures = plots::evaluation_plots(evaluation);
    let training = plots::training_plots(illustration.history);
    let page = page::page(
        evaluation,
        illustration.facts,
        illustration.pixels,
        &figures,
        &training,
    );
    let mut metrics = serde_json::to_vec_pretty(&MetricsFile::from(evaluation))
        .map_err(|e| Error::io("write", to.metrics)(io::Error::other(e)))?;
    metrics.push(b'\n');
    let predictions = predictions
        .to_jsonl()
        .map_err(|e| Error::io("write", to.predictions)(io::Error::other(e)))?;

    let mut files = vec![
        (to.metrics.to_owned(), metrics),
        (to.predictions.to_owned(), predictions),
    ];
    for plot in figures.iter().chain(&training) {
        files.push((
            to.plots.join(plot.file),
            plot.svg.as_str().as_bytes().to_vec(),
        ));
    }
    files.push((to.page.to_owned(), page.html().into_bytes()));
    for (path, bytes) in &files {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder).map_err(Error::io("create folder", folder))?;
        }
        fs::write_atomic(path, bytes).map_err(Error::io("write", path))?;
    }
    // Without epochs, curves that lie there are of another training than the figures beside them.
    for file in plots::TRAINING_FILES.iter().filter(|_| training.is_empty()) {
        let path = to.plots.join(file);
        fs::remove_file(&path).map_err(Error::io("remove", &path))?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::dataset::Split;
    use crate::vision::evaluate::evaluation::tests::{PARAMS, formula};
    use crate::vision::evaluate::{EvaluationInput, evaluate};

    #[test]
    fn all_files_are_written_and_equal_evaluations_are_equal_bytes() {
        let (classes, labels, logits, paths) = formula();
        let input = EvaluationInput {
            classes: &classes,
            labels: &labels,
            logits: &logits,
            paths: &paths,
        };
        let evaluation = evaluate(input, &PARAMS);
        let predictions = Predictions {
            input,
            split: Split::Test,
            contents: &paths,
        };
        let pixels = Pixels::from_data(2, 2, 3, vec![7; 40 * 12]).unwrap();
        let history = [EpochRecord {
            epoch: 1,
            lr: 0.1,
            train_loss: 1.0,
            train_accuracy: 0.5,
            val_loss: Some(1.1),
            val_accuracy: Some(0.4),
        }];
        let illustration = Illustration {
            pixels: &pixels,
            history: &history,
            facts: &[("network".to_owned(), "small & <quick>".to_owned())],
        };
        let folder = tempfile::tempdir().unwrap();
        let run = |name: &str| -> Vec<(String, Vec<u8>)> {
            let dir = folder.path().join(name);
            let to = Destinations {
                metrics: &dir.join("metrics.json"),
                predictions: &dir.join("predictions.jsonl"),
                plots: &dir.join("plots"),
                page: &dir.join("evaluation.html"),
            };
            let files = write(&evaluation, predictions, illustration, to).unwrap();
            let read = |path: &PathBuf| {
                let name = path.strip_prefix(&dir).unwrap().display().to_string();
                (name, std::fs::read(path).unwrap())
            };
            files.iter().map(read).collect()
        };
        let first = run("a");
        assert_eq!(first, run("b"));
        let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "metrics.json",
                "predictions.jsonl",
                "plots/confusion.svg",
                "plots/per_class_f1.svg",
                "plots/reliability.svg",
                "plots/training_loss.svg",
                "plots/training_accuracy.svg",
                "evaluation.html"
            ]
        );
        let metrics: serde_json::Value = serde_json::from_slice(&first[0].1).unwrap();
        assert_eq!(metrics["per_class"]["cat"]["precision"], 0.384_615);
        assert_eq!(metrics["macro"]["f1"], 0.455_263);
        let html = String::from_utf8(first[7].1.clone()).unwrap();
        assert!(html.contains("small &amp; &lt;quick&gt;") && html.contains("data:image/png"));
    }
}

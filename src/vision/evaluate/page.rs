//! An evaluation as one self-contained page. Imports: report, `base::units`, `evaluate::{evaluation,
//! plots}`, `vision::image`.

use crate::base::units;
use crate::report::chart::NumberFormat;
use crate::report::page::{Block, Chart, Page, Picture, PictureFact, Section, Tile, Tone};
use crate::report::{Align, Table};
use crate::vision::image::{Pixels, thumbnail_of};

use super::bootstrap::Interval;
use super::evaluation::{Evaluation, Mistake};
use super::plots::Plot;

const PERCENT: NumberFormat = NumberFormat::Percent(1);
const THREE: NumberFormat = NumberFormat::Decimals(3);

/// Returns the page.
pub(super) fn page(
    evaluation: &Evaluation,
    facts: &[(String, String)],
    pixels: &Pixels,
    plots: &[Plot],
    training: &[Plot],
) -> Page {
    let right = (evaluation.accuracy * evaluation.images as f64).round() as u64;
    let mut sections = vec![
        Section {
            heading: "Summary".to_owned(),
            blocks: vec![
                Block::Tiles(tiles(evaluation)),
                Block::Prose(in_words(evaluation)),
            ],
        },
        Section {
            heading: "Where it errs".to_owned(),
            blocks: vec![Block::Charts(charts(&plots[..plots.len().min(2)]))],
        },
        Section {
            heading: "Classes".to_owned(),
            blocks: vec![Block::Table {
                table: class_table(evaluation),
                caption: "F1 is the harmonic mean of precision and recall.".to_owned(),
            }],
        },
        Section {
            heading: "Can its confidence be trusted?".to_owned(),
            blocks: vec![Block::Charts(charts(plots.get(2..).unwrap_or_default()))],
        },
    ];
    if !evaluation.worst.is_empty() {
        sections.push(Section {
            heading: "Worst mistakes".to_owned(),
            blocks: vec![
                Block::Prose(
                    "The pictures that were taken for something else with the highest confidence."
                        .to_owned(),
                ),
                Block::Pictures(pictures(evaluation, pixels)),
            ],
        });
    }
    if !training.is_empty() {
        sections.push(Section {
            heading: "Training".to_owned(),
            blocks: vec![Block::Charts(charts(training))],
        });
    }
    let images = units::count(evaluation.images, "image");
    Page {
        title: "Evaluation".to_owned(),
        subtitle: format!(
            "{right} of {images} told right: {}",
            PERCENT.show(evaluation.accuracy)
        ),
        facts: facts.to_vec(),
        sections,
        footer: String::new(),
    }
}

fn tiles(evaluation: &Evaluation) -> Vec<Tile> {
    let range = |interval: Option<Interval>, format: NumberFormat| {
        interval.map_or(String::new(), |i| {
            format!(
                "95 % interval {} to {}",
                format.show(i.low),
                format.show(i.high)
            )
        })
    };
    let tile = |label: &str, value: String, note: String| Tile {
        label: label.to_owned(),
        value,
        note,
    };
    let mut tiles = vec![
        tile(
            "accuracy",
            PERCENT.show(evaluation.accuracy),
            range(evaluation.accuracy_interval, PERCENT),
        ),
        tile(
            "macro F1",
            THREE.show(evaluation.macro_average.f1),
            range(evaluation.macro_f1_interval, THREE),
        ),
        tile(
            &format!("top-{} accuracy", evaluation.top_k),
            PERCENT.show(evaluation.top_k_accuracy),
            String::new(),
        ),
        tile(
            "log loss",
            THREE.show(evaluation.log_loss),
            "smaller is better".to_owned(),
        ),
        tile(
            "calibration error",
            PERCENT.show(evaluation.ece),
            "ECE, smaller is better".to_owned(),
        ),
        tile(
            "Brier score",
            THREE.show(evaluation.brier),
            "0 to 2, smaller is better".to_owned(),
        ),
    ];
    if let Some(area) = evaluation.roc_auc {
        let note = "mean over classes, one against the rest".to_owned();
        tiles.push(tile("ROC AUC", THREE.show(area), note));
    }
    tiles
}

/// Says what stands out: the weakest class and the most frequent confusion.
fn in_words(evaluation: &Evaluation) -> String {
    let named = evaluation.classes.iter().zip(&evaluation.per_class);
    let weakest = named
        .filter(|(_, scores)| 0 < scores.support)
        .min_by(|a, b| a.1.f1.total_cmp(&b.1.f1));
    let mut text = String::new();
    if let Some((class, scores)) = weakest {
        text += &format!("Hardest class: {class}, F1 {}. ", THREE.show(scores.f1));
    }
    let counts = &evaluation.confusion.counts;
    let pairs = (0..counts.len()).flat_map(|i| (0..counts.len()).map(move |j| (i, j)));
    // The later of equals would win with `max_by_key`; the first is meant.
    let most = pairs
        .filter(|(i, j)| i != j)
        .rev()
        .max_by_key(|(i, j)| counts[*i][*j]);
    if let Some((i, j)) = most.filter(|(i, j)| 0 < counts[*i][*j]) {
        text += &format!(
            "Most frequent confusion: {} taken for {} ({} of {}).",
            evaluation.classes[i],
            evaluation.classes[j],
            counts[i][j],
            evaluation.per_class[i].support
        );
    }
    text.trim_end().to_owned()
}

fn class_table(evaluation: &Evaluation) -> Table {
    let mut table = Table::new([
        ("class", Align::Left),
        ("precision", Align::Right),
        ("recall", Align::Right),
        ("F1", Align::Right),
        ("images", Align::Right),
    ]);
    for (class, scores) in evaluation.classes.iter().zip(&evaluation.per_class) {
        table.row([
            class.clone(),
            THREE.show(scores.precision),
            THREE.show(scores.recall),
            THREE.show(scores.f1),
            scores.support.to_string(),
        ]);
    }
    let averages = [
        ("mean of classes", evaluation.macro_average),
        ("mean of images", evaluation.weighted_average),
    ];
    for (name, average) in averages {
        table.row([
            name.to_owned(),
            THREE.show(average.precision),
            THREE.show(average.recall),
            THREE.show(average.f1),
            evaluation.images.to_string(),
        ]);
    }
    table
}

fn charts(plots: &[Plot]) -> Vec<Chart> {
    let chart = |plot: &Plot| Chart {
        svg: plot.svg.clone(),
        caption: plot.caption.clone(),
    };
    plots.iter().map(chart).collect()
}

fn pictures(evaluation: &Evaluation, pixels: &Pixels) -> Vec<Picture> {
    let picture = |mistake: &Mistake| {
        let label = &evaluation.classes[mistake.label];
        let decision = &evaluation.classes[mistake.decision];
        let with = |class: &str, probability| format!("{class}, {}", PERCENT.show(probability));
        Picture {
            png: thumbnail_of(pixels, mistake.index).unwrap_or_default(),
            alt: format!("{}: {label} taken for {decision}", mistake.path),
            facts: vec![
                PictureFact::new("is", with(label, mistake.label_probability), Tone::Good),
                PictureFact::new("taken for", with(decision, mistake.confidence), Tone::Bad),
                PictureFact::new("file", mistake.path.as_str(), Tone::Neutral),
            ],
        }
    };
    evaluation.worst.iter().map(picture).collect()
}

//! The file `reports/predictions.jsonl`: what the network said of each picture.
//!
//! One JSON object per line and nothing else, in the order of the pictures:
//!
//! ```text
//! {"split":"test","index":0,"path":"test/cat/1.png","content":"<64 hex>","label":"cat",
//!  "predicted":"dog","confidence":0.93,"probabilities":{"cat":0.06,"dog":0.93}}      (one line)
//! ```
//!
//! There is no first line about the file, because every reader of JSON lines (pandas, polars, `DuckDB`,
//! jq) would take it for a picture. Each line says what it needs to be understood instead: classes by
//! name, `content` for the bytes that were looked at, split and index for where prepared data holds
//! them. Which model and which data these were is what the stage's entry in the lock says.
//!
//! Probabilities are rounded to six decimals so that noise in the last digits is no change; those that
//! are then zero are left out, and of many classes only the `KEPT_MAX` likeliest and the true one are
//! kept: a thousand classes are not a thousand numbers per picture. Pure. Imports: `evaluate::*`,
//! `vision::{dataset, train}`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::vision::dataset::Split;
use crate::vision::train::six;

use super::evaluation::EvaluationInput;
use super::probability;

/// Probabilities kept of a picture, beside that of its own class.
const KEPT_MAX: usize = 100;

/// The pictures that were judged and what was said of them.
#[derive(Clone, Copy, Debug)]
pub struct Predictions<'a> {
    /// Labels, logits, paths.
    pub input: EvaluationInput<'a>,
    /// The split they are from.
    pub split: Split,
    /// The hash of each picture's file.
    pub contents: &'a [String],
}

/// A line; field order is file order.
#[derive(Serialize)]
struct Line<'a> {
    split: &'static str,
    index: usize,
    path: &'a str,
    content: &'a str,
    label: &'a str,
    predicted: &'a str,
    confidence: f64,
    probabilities: BTreeMap<&'a str, f64>,
}

impl Predictions<'_> {
    /// Returns the text of the file.
    ///
    /// # Errors
    /// None that its types allow; what serde says is passed on.
    pub(super) fn to_jsonl(self) -> serde_json::Result<Vec<u8>> {
        let Self {
            input,
            split,
            contents,
        } = self;
        let mut text = Vec::new();
        let rows = input.logits.probabilities();
        for (index, row) in rows.iter().enumerate() {
            let (label, predicted) = (input.labels[index] as usize, probability::decide(row));
            let line = Line {
                split: split.name(),
                index,
                path: &input.paths[index],
                content: &contents[index],
                label: &input.classes[label],
                predicted: &input.classes[predicted],
                confidence: six(row[predicted]),
                probabilities: kept(row, label)
                    .into_iter()
                    .map(|class| (input.classes[class].as_str(), six(row[class])))
                    .filter(|(_, probability)| 0.0 < *probability)
                    .collect(),
            };
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        Ok(text)
    }
}

/// Returns the classes whose probabilities are kept; of equally likely ones the first.
fn kept(row: &[f64], label: usize) -> Vec<usize> {
    let mut classes: Vec<usize> = (0..row.len()).collect();
    if KEPT_MAX < row.len() {
        classes.sort_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
        classes.truncate(KEPT_MAX);
        if !classes.contains(&label) {
            classes.push(label);
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::predict::Logits;

    fn text(classes: &[String], labels: &[u32], rows: Vec<f32>) -> String {
        let logits = Logits {
            rows,
            classes: classes.len(),
        };
        let paths: Vec<String> = (0..labels.len()).map(|i| format!("{i}.png")).collect();
        let predictions = Predictions {
            input: EvaluationInput {
                classes,
                labels,
                logits: &logits,
                paths: &paths,
            },
            split: Split::Test,
            contents: &paths,
        };
        String::from_utf8(predictions.to_jsonl().unwrap()).unwrap()
    }

    #[test]
    fn each_picture_is_a_line_of_its_own() {
        let classes = ["a\"b", "dog"].map(str::to_owned);
        assert_eq!(
            text(&classes, &[0, 1], vec![0.0, 1.0, 0.0, 40.0]),
            "{\"split\":\"test\",\"index\":0,\"path\":\"0.png\",\"content\":\"0.png\",\
             \"label\":\"a\\\"b\",\"predicted\":\"dog\",\"confidence\":0.731059,\
             \"probabilities\":{\"a\\\"b\":0.268941,\"dog\":0.731059}}\n\
             {\"split\":\"test\",\"index\":1,\"path\":\"1.png\",\"content\":\"1.png\",\
             \"label\":\"dog\",\"predicted\":\"dog\",\"confidence\":1.0,\
             \"probabilities\":{\"dog\":1.0}}\n"
        );
    }

    #[test]
    fn of_many_classes_the_likeliest_and_the_true_one_are_kept() {
        let classes: Vec<String> = (0..300).map(|i| format!("{i:03}")).collect();
        let line = text(
            &classes,
            &[299],
            (0..300).map(|i| -i as f32 / 100.0).collect(),
        );
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let probabilities = line["probabilities"].as_object().unwrap();
        assert_eq!(probabilities.len(), KEPT_MAX + 1);
        assert!(probabilities.contains_key("099") && probabilities.contains_key("299"));
    }
}

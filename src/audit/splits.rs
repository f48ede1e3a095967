//! Findings about splits: do validation and test look like train? Kolmogorov-Smirnov tests of the
//! measures with Bonferroni's correction, a χ² test of the labels, both with an effect size (see the room
//! `drift`). What cannot be compared is a note. Pure.
//! Imports: drift, vision, `audit::{columns, finding, outliers, params, pictures}`.

use crate::drift;
use crate::drift::Sample;
use crate::drift::correction::Correction;
use crate::drift::univariate::{Alternative, Method, Report, Rule, Sorted, Test, features};
use crate::vision::dataset::Split;

use super::columns::{Measure, measures};
use super::error::Error;
use super::finding::{Check, Finding, Item};
use super::outliers::{middle, short};
use super::params::AuditParams;
use super::pictures::Pictures;

/// For p-values of labels where classes are small.
const PERMUTATIONS: u32 = 10_000;

/// What was found, and what could not be compared.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) findings: Vec<Finding>,
    pub(super) notes: Vec<String>,
    /// Checks that could not be made, of one split or both.
    pub(super) left_out: Vec<Check>,
}

/// Compares validation and test with train.
///
/// # Errors
/// A measure is not finite.
pub(super) fn compare(pictures: &Pictures, params: &AuditParams) -> Result<Compared, Error> {
    let measures = measures(pictures);
    let train: Vec<usize> = pictures.rows_of(Split::Train).collect();
    let mut compared = Compared::default();
    let (mut moved, mut labels) = (Vec::new(), Vec::new());
    let mut pairs = 0;
    for split in [Split::Val, Split::Test] {
        let rows: Vec<usize> = pictures.rows_of(split).collect();
        if train.is_empty() || rows.is_empty() {
            continue;
        }
        pairs += 1;
        match tested(&measures, &train, &rows, params) {
            Ok(report) => moved.extend(properties(
                &measures, &report, &train, &rows, split, params,
            )?),
            Err(error) => {
                compared.left_out.push(Check::PropertyDrift);
                compared.notes.push(untested("properties", split, &error));
            }
        }
        match classes(pictures, &train, &rows, params) {
            Ok(report) => labels.extend(label_item(&report, split, params)),
            Err(error) => {
                compared.left_out.push(Check::LabelDrift);
                compared.notes.push(untested("class shares", split, &error));
            }
        }
    }
    if pairs == 0 {
        let untested = [Check::LabelDrift, Check::PropertyDrift];
        compared.left_out.extend(untested);
        let note = "splits were not compared: there are no two to compare";
        compared.notes.push(note.to_owned());
    }
    compared.findings.extend(Finding::new(
        Check::LabelDrift,
        "splits whose class shares differ from those of train",
        "draw the splits from the same pictures, or judge by figures per class",
        labels,
    ));
    compared.findings.extend(Finding::new(
        Check::PropertyDrift,
        "properties whose distribution differs from that of train",
        "draw the splits from the same source, or expect other figures in use",
        moved,
    ));
    Ok(compared)
}

fn untested(what: &str, split: Split, error: &drift::Error) -> String {
    format!(
        "{what} of `{}` were not compared with those of `train`: {error}",
        split.name()
    )
}

/// Tests all measures.
fn tested(
    measures: &[Measure],
    train: &[usize],
    rows: &[usize],
    params: &AuditParams,
) -> Result<Report, drift::Error> {
    let sample = |rows: &[usize]| {
        let values = rows
            .iter()
            .flat_map(|&row| measures.iter().map(move |measure| measure.values[row]));
        Sample::new(values.collect(), measures.len())
    };
    let rule = Rule {
        test: Test::KolmogorovSmirnov {
            alternative: Alternative::TwoSided,
            method: Method::Auto,
        },
        correction: Correction::Bonferroni,
        alpha: params.alpha,
        min_effect: params.min_effect,
    };
    features(&Sorted::new(&sample(train)?), &sample(rows)?, &rule)
}

/// Returns the measures that moved, the farthest first.
fn properties(
    measures: &[Measure],
    report: &Report,
    train: &[usize],
    rows: &[usize],
    split: Split,
    params: &AuditParams,
) -> Result<Vec<Item>, Error> {
    let median = |measure: &Measure, rows: &[usize]| {
        middle(rows.iter().map(|&row| measure.values[row]).collect()).map(short)
    };
    let mut moved: Vec<_> = measures
        .iter()
        .zip(&report.features)
        .filter(|(_, feature)| feature.is_drift && feature.adjusted_p < params.alpha)
        .collect();
    moved.sort_by(|(_, a), (_, b)| b.effect.total_cmp(&a.effect));
    moved
        .into_iter()
        .map(|(measure, feature)| {
            let moved = if feature.effect.is_finite() {
                format!("moved by {:.2} standard deviations", feature.effect)
            } else {
                "neither varies".to_owned()
            };
            Ok(Item {
                split: Some(split),
                detail: format!(
                    "{}: median {}, in train {}; {moved} (KS {:.3}, p {:.1e})",
                    measure.name,
                    median(measure, rows)?,
                    median(measure, train)?,
                    feature.distance,
                    feature.adjusted_p
                ),
                ..Item::default()
            })
        })
        .collect()
}

/// Tests the labels.
fn classes(
    pictures: &Pictures,
    train: &[usize],
    rows: &[usize],
    params: &AuditParams,
) -> Result<Report, drift::Error> {
    let sample = |rows: &[usize]| {
        let labels = rows.iter().map(|&row| f64::from(pictures.rows[row].class));
        Sample::new(labels.collect(), 1)
    };
    let rule = Rule {
        test: Test::ChiSquare {
            permutations: PERMUTATIONS,
            seed: params.preprocess.seed,
        },
        correction: Correction::None,
        alpha: params.alpha,
        min_effect: params.min_effect,
    };
    features(&Sorted::new(&sample(train)?), &sample(rows)?, &rule)
}

fn label_item(report: &Report, split: Split, params: &AuditParams) -> Option<Item> {
    let feature = report.features.first()?;
    (report.is_drift && feature.p < params.alpha).then(|| Item {
        split: Some(split),
        detail: format!(
            "class shares differ from those of train: Cramér's V {:.2} (χ² {:.1}, p {:.1e})",
            feature.effect, feature.distance, feature.p
        ),
        ..Item::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::drawn::{Drawn, params, table};

    fn drawn(split: Split, seeds: std::ops::Range<u64>, class: u32) -> Vec<Drawn> {
        seeds.map(|seed| Drawn::new(seed, split, class)).collect()
    }

    #[test]
    fn equal_splits_show_nothing() {
        let all = [
            drawn(Split::Train, 0..80, 0),
            drawn(Split::Test, 100..160, 0),
        ]
        .concat();
        let compared = compare(&table(&all), &params()).unwrap();
        assert_eq!((compared.findings.len(), compared.notes.len()), (0, 0));
        assert_eq!(compared.left_out, []);
        let alone = compare(&table(&all[..80]), &params()).unwrap();
        assert_eq!(alone.left_out, [Check::LabelDrift, Check::PropertyDrift]);
        assert_eq!(alone.notes.len(), 1);
    }

    #[test]
    fn a_brighter_test_and_other_classes_are_told() {
        let test = drawn(Split::Test, 100..160, 1);
        let test: Vec<Drawn> = test.into_iter().map(|d| d.brighter(20)).collect();
        let all = [
            drawn(Split::Train, 0..80, 0),
            drawn(Split::Train, 80..90, 1),
            test,
        ]
        .concat();
        let compared = compare(&table(&all), &params()).unwrap();
        let checks: Vec<Check> = compared.findings.iter().map(|f| f.check).collect();
        assert_eq!(checks, [Check::LabelDrift, Check::PropertyDrift]);
        let moved = &compared.findings[1].items;
        assert!(
            moved
                .iter()
                .any(|item| item.detail.starts_with("brightness: median"))
        );
        assert!(moved.iter().all(|item| item.split == Some(Split::Test)));
    }

    #[test]
    fn another_size_throughout_is_told_in_words() {
        let all = [
            drawn(Split::Train, 0..80, 0),
            drawn(Split::Test, 100..160, 0),
        ]
        .concat();
        let mut pictures = table(&all);
        for picture in &mut pictures.rows {
            picture.width *= if picture.split == Split::Test { 2 } else { 1 };
        }
        let compared = compare(&pictures, &params()).unwrap();
        let details = compared.findings.iter().flat_map(|found| &found.items);
        let details: Vec<&str> = details.map(|item| item.detail.as_str()).collect();
        let told = "pixels: median 2450, in train 1225; neither varies (KS 1.000, p ";
        assert!(
            details.iter().any(|detail| detail.starts_with(told)),
            "{details:?}"
        );
    }

    #[test]
    fn too_few_pictures_are_no_equality() {
        let all = [
            drawn(Split::Train, 0..80, 0),
            drawn(Split::Val, 100..101, 0),
        ]
        .concat();
        let compared = compare(&table(&all), &params()).unwrap();
        assert!(compared.findings.is_empty());
        assert_eq!(compared.notes.len(), 2);
        assert!(compared.notes[0].starts_with("properties of `val` were not compared"));
    }
}

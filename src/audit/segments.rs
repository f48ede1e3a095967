//! On which kinds of pictures is a classifier weak? Accuracy by quarter of a property, and by class and
//! quarter, against the rest. Pure. Imports: drift, `vision::dataset`, `audit::{bins, columns}`.
//!
//! Whether a segment is worse than the rest is judged by Fisher's exact test (both are samples), and all
//! tests together by Benjamini and Hochberg, since hundreds of segments are looked at.

use serde::Serialize;

use crate::drift;
use crate::drift::correction::Correction;
use crate::drift::univariate::Alternative;
use crate::drift::univariate::fisher::{self, Share};
use crate::vision::dataset::Split;

use super::bins::Bins;
use super::columns::Measure;

/// Parts into which the range of a property is cut.
const QUARTERS: usize = 4;
/// Segments that share this part of their pictures are one.
const SAME: f64 = 0.8;

/// Which segments are told of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmentParams {
    /// Pictures that a segment and its rest must have at least.
    pub support_min: usize,
    /// How much lower the accuracy must be than that of the rest, 0..=1.
    pub gap_min: f64,
    /// The share of false ones among the segments told of, after correction.
    pub alpha: f64,
}

/// What a classifier said of pictures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged<'a> {
    /// Their classes.
    pub(super) labels: &'a [u32],
    /// What they were taken for.
    pub(super) predicted: &'a [u32],
}

/// A kind of pictures on which the classifier is weak.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Segment {
    /// By which the pictures are told apart.
    pub property: &'static str,
    /// Other properties that single out nearly the same pictures.
    pub also: Vec<&'static str>,
    /// Index of the class that the segment is a part of; `null`: of all pictures.
    pub class: Option<u32>,
    /// The least value of the property in it.
    pub from: f64,
    /// The greatest.
    pub to: f64,
    /// Pictures in it.
    pub support: usize,
    /// The share of them that was told right.
    pub accuracy: f64,
    /// The same for the other pictures of the class, or all others.
    pub rest_accuracy: f64,
    /// Pictures that would have been told right with the accuracy of the rest.
    pub loss: f64,
    /// Of the test, adjusted for the number of segments.
    pub p: f64,
    /// Its pictures that were taken for another class, the surest of the mistakes first.
    pub mistakes: Vec<Mistake>,
    /// Its pictures, ascending.
    #[serde(skip)]
    pub rows: Vec<usize>,
}

/// A picture that was taken for another class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mistake {
    /// The picture, relative to the dataset.
    pub path: String,
    /// Its split.
    pub split: Split,
    /// Index of the class it is labelled as.
    pub given: u32,
    /// Index of the class it was taken for.
    pub taken: u32,
    /// Probability of the given class.
    pub given_probability: f64,
    /// Probability of the class it was taken for.
    pub taken_probability: f64,
    /// Its row in `Pictures`.
    #[serde(skip)]
    pub row: usize,
}

/// What was found, and what could not be looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Weak {
    /// Those that cost most pictures first; `mistakes` are for who knows the pictures.
    pub(super) segments: Vec<Segment>,
    /// Properties that have one value in all pictures.
    pub(super) constant: Vec<&'static str>,
}

/// Looks for weak segments.
///
/// # Errors
/// `params.alpha` is not between 0 and 1.
pub(super) fn weak_segments(
    measures: &[Measure],
    judged: Judged<'_>,
    params: SegmentParams,
) -> Result<Weak, drift::Error> {
    let classes = judged.labels.iter().max().map_or(0, |most| most + 1);
    let mut segments = Vec::new();
    let mut constant = Vec::new();
    for measure in measures {
        let bins = Bins::quantiles(&measure.values, QUARTERS);
        if bins.len() < 2 {
            constant.push(measure.name);
            continue;
        }
        for class in std::iter::once(None).chain((0..classes).map(Some)) {
            segments.extend(of_measure(measure, &bins, class, judged, params)?);
        }
    }
    if segments.is_empty() {
        return Ok(Weak { segments, constant });
    }
    let p: Vec<f64> = segments.iter().map(|segment| segment.p).collect();
    let adjusted = Correction::BenjaminiHochberg
        .decide(&p, params.alpha)?
        .adjusted_p;
    for (segment, p) in segments.iter_mut().zip(adjusted) {
        segment.p = p;
    }
    segments.retain(|segment| {
        segment.p < params.alpha && params.gap_min <= segment.rest_accuracy - segment.accuracy
    });
    segments.sort_by(|a, b| b.loss.total_cmp(&a.loss).then(a.p.total_cmp(&b.p)));
    Ok(Weak {
        segments: without_repetition(segments),
        constant,
    })
}

/// Returns the segments of one measure within a class, weak or not.
fn of_measure(
    measure: &Measure,
    bins: &Bins,
    class: Option<u32>,
    judged: Judged<'_>,
    params: SegmentParams,
) -> Result<Vec<Segment>, drift::Error> {
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); bins.len()];
    for (row, value) in measure.values.iter().enumerate() {
        if class.is_none_or(|class| class == judged.labels[row]) {
            rows[bins.of(*value)].push(row);
        }
    }
    let share = |rows: &[usize]| {
        let right = rows
            .iter()
            .filter(|row| judged.labels[**row] == judged.predicted[**row]);
        Share {
            ones: right.count() as u64,
            of: rows.len() as u64,
        }
    };
    let shares: Vec<Share> = rows.iter().map(|rows| share(rows)).collect();
    let all = Share {
        ones: shares.iter().map(|share| share.ones).sum(),
        of: shares.iter().map(|share| share.of).sum(),
    };
    let support_min = params.support_min.max(1) as u64;
    let mut segments = Vec::new();
    for (rows, inside) in rows.into_iter().zip(shares) {
        let rest = Share {
            ones: all.ones - inside.ones,
            of: all.of - inside.of,
        };
        if inside.of < support_min || rest.of < support_min {
            continue;
        }
        let accuracy = |share: Share| share.ones as f64 / share.of as f64;
        let (of_segment, of_rest) = (accuracy(inside), accuracy(rest));
        let values = || rows.iter().map(move |row| measure.values[*row]);
        segments.push(Segment {
            property: measure.name,
            also: Vec::new(),
            class,
            from: values().fold(f64::INFINITY, f64::min),
            to: values().fold(f64::NEG_INFINITY, f64::max),
            support: rows.len(),
            accuracy: of_segment,
            rest_accuracy: of_rest,
            loss: (of_rest - of_segment) * inside.of as f64,
            p: fisher::compare(rest, inside, Alternative::Less)?.p,
            mistakes: Vec::new(),
            rows,
        });
    }
    Ok(segments)
}

/// Brightness and the means of the colours single out the same pictures: the first segment stays and
/// names the properties of those that repeat it.
fn without_repetition(segments: Vec<Segment>) -> Vec<Segment> {
    let mut kept: Vec<Segment> = Vec::new();
    for segment in segments {
        let same = |other: &&mut Segment| {
            other.class == segment.class && overlap(&other.rows, &segment.rows) >= SAME
        };
        match kept.iter_mut().find(same) {
            Some(first) if first.property == segment.property => {}
            Some(first) => first.also.push(segment.property),
            None => kept.push(segment),
        }
    }
    for segment in &mut kept {
        segment.also.sort_unstable();
        segment.also.dedup();
    }
    kept
}

/// Returns the share of common rows in the rows of either (Jaccard's index) of ascending lists.
fn overlap(a: &[usize], b: &[usize]) -> f64 {
    let common = a.iter().filter(|row| b.binary_search(row).is_ok()).count();
    common as f64 / (a.len() + b.len() - common).max(1) as f64
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::base::rng::{self, ChaCha8Rng};

    const PARAMS: SegmentParams = SegmentParams {
        support_min: 30,
        gap_min: 0.05,
        alpha: 0.05,
    };

    /// Two columns of noise, two classes, and the given chance of a mistake.
    fn simulated(seed: u64, wrong: impl Fn(f64, u32) -> f64) -> (Vec<Measure>, Vec<u32>, Vec<u32>) {
        let mut rng = rng::stream(seed, "test.audit.segments", 0);
        let mut column = |name| Measure {
            name,
            values: noise(&mut rng),
        };
        let columns = vec![column("brightness"), column("contrast")];
        let labels: Vec<u32> = (0..2000).map(|row| row % 2).collect();
        let mut rng = rng::stream(seed, "test.audit.segments", 1);
        let predicted = labels
            .iter()
            .zip(&columns[0].values)
            .map(|(label, value)| {
                let mistaken = rng.random::<f64>() < wrong(*value, *label);
                if mistaken { 1 - label } else { *label }
            })
            .collect();
        (columns, labels, predicted)
    }

    fn noise(rng: &mut ChaCha8Rng) -> Vec<f64> {
        (0..2000).map(|_| rng.random::<f64>()).collect()
    }

    #[track_caller]
    fn segments(columns: &[Measure], labels: &[u32], predicted: &[u32]) -> Vec<Segment> {
        let judged = Judged { labels, predicted };
        weak_segments(columns, judged, PARAMS).unwrap().segments
    }

    #[test]
    fn dark_pictures_of_one_class_are_found() {
        let wrong = |value: f64, label: u32| {
            if value < 0.25 && label == 1 {
                0.6
            } else {
                0.05
            }
        };
        let (columns, labels, predicted) = simulated(1, wrong);
        let found = segments(&columns, &labels, &predicted);
        let first = found
            .iter()
            .find(|segment| segment.class == Some(1))
            .unwrap();
        assert!(
            first.from < 0.01 && (0.2..0.3).contains(&first.to),
            "{first:?}"
        );
        assert!((0.3..0.5).contains(&first.accuracy) && first.rest_accuracy > 0.9);
        let expected = (first.rest_accuracy - first.accuracy) * first.support as f64;
        assert!((first.loss - expected).abs() < 1e-9);
        assert!(
            found.iter().all(|segment| segment.property == "brightness"),
            "{found:?}"
        );
        assert!(found.is_sorted_by(|a, b| a.loss >= b.loss));
    }

    #[test]
    fn mistakes_by_chance_make_no_segment() {
        // At most one in twenty of the data sets may name any: of 60 that is 3, 9 in the 99.9 % band.
        let alarms = (0..60)
            .filter(|seed| {
                let (columns, labels, predicted) = simulated(*seed, |_, _| 0.2);
                let params = SegmentParams {
                    gap_min: 0.0,
                    ..PARAMS
                };
                let judged = Judged {
                    labels: &labels,
                    predicted: &predicted,
                };
                let found = weak_segments(&columns, judged, params).unwrap();
                !found.segments.is_empty()
            })
            .count();
        assert!(alarms <= 9, "{alarms}");
    }

    #[test]
    fn properties_that_single_out_the_same_pictures_are_named_together() {
        let (mut columns, labels, predicted) =
            simulated(2, |value, _| if value < 0.25 { 0.5 } else { 0.05 });
        let values = columns[0].values.iter().map(|value| 2.0 * value + 1.0);
        columns.push(Measure {
            name: "red",
            values: values.collect(),
        });
        columns.push(Measure {
            name: "saturation",
            values: vec![0.0; 2000],
        });
        let found = segments(&columns, &labels, &predicted);
        let whole = found
            .iter()
            .find(|segment| segment.class.is_none())
            .unwrap();
        assert_eq!(
            (whole.property, &whole.also[..]),
            ("brightness", &["red"][..])
        );
        assert!(found.iter().all(|segment| segment.property == "brightness"));
    }

    #[test]
    fn small_segments_are_left_out() {
        let column = Measure {
            name: "entropy",
            values: (0..40).map(f64::from).collect(),
        };
        let labels = [0; 40];
        let predicted: Vec<u32> = (0..40).map(|row| u32::from(row < 10)).collect();
        assert!(segments(std::slice::from_ref(&column), &labels, &predicted).is_empty());
        let params = SegmentParams {
            support_min: 10,
            ..PARAMS
        };
        let judged = Judged {
            labels: &labels,
            predicted: &predicted,
        };
        let found = weak_segments(&[column], judged, params).unwrap().segments;
        // The class is all there is: its segment is that of all pictures, and both are told of.
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].from, found[0].to, found[0].accuracy),
            (0.0, 9.0, 0.0)
        );
    }

    #[test]
    fn a_property_of_one_frequent_value_is_cut_and_one_of_one_value_is_named() {
        // Half of the pictures are grey, and the mistakes are among the others.
        let saturation = Measure {
            name: "saturation",
            values: (0..400_u32)
                .map(|row| f64::from(row.saturating_sub(199)))
                .collect(),
        };
        let pixels = Measure {
            name: "pixels",
            values: vec![1225.0; 400],
        };
        let predicted: Vec<u32> = (0..400).map(|row| u32::from(300 <= row)).collect();
        let judged = Judged {
            labels: &[0; 400],
            predicted: &predicted,
        };
        let found = weak_segments(&[saturation, pixels], judged, PARAMS).unwrap();
        assert_eq!(found.constant, ["pixels"]);
        let first = &found.segments[0];
        assert_eq!((first.property, first.support), ("saturation", 100));
        assert_eq!((first.from, first.to), (101.0, 200.0));
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(segments(&[], &[0, 1], &[0, 1]).is_empty());
        let column = Measure {
            name: "entropy",
            values: Vec::new(),
        };
        assert!(segments(&[column], &[], &[]).is_empty());
    }
}

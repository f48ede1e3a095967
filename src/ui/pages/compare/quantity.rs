//! What of runs can be an axis, a shade, or a judge. Pure. Imports: pipeline, report, track, `compare::sides`.

use std::str::FromStr;

use super::sides::Sides;
use crate::pipeline::spec::Direction;
use crate::report::chart::{Axis, ScaleKind};
use crate::track::table::ColumnRef;

/// A param or a metric of all runs that are compared.
#[derive(Clone, Debug)]
pub(super) struct Quantity {
    pub(super) column: ColumnRef,
    /// For each run; NaN where it has none. Of names: the place in `names`.
    pub(super) values: Vec<f64>,
    /// Empty for numbers.
    pub(super) names: Vec<String>,
    /// Does it differ between runs?
    pub(super) differs: bool,
}

impl Quantity {
    /// Returns all quantities: params by name, then metrics.
    pub(super) fn all(sides: &Sides) -> Vec<Self> {
        let params = sides
            .params()
            .into_iter()
            .map(|(name, values)| Self::of_texts(ColumnRef::Param(name.to_owned()), &values));
        let metrics = sides.metrics().into_iter().map(|(name, values)| {
            let numbers: Vec<f64> = values
                .iter()
                .map(|value| value.unwrap_or(f64::NAN))
                .collect();
            let bits = |value: &f64| value.to_bits();
            Self {
                column: ColumnRef::Metric(name.to_owned()),
                differs: numbers
                    .windows(2)
                    .any(|pair| bits(&pair[0]) != bits(&pair[1])),
                values: numbers,
                names: Vec::new(),
            }
        });
        params.chain(metrics).collect()
    }

    fn of_texts(column: ColumnRef, texts: &[Option<String>]) -> Self {
        let differs = texts.windows(2).any(|pair| pair[0] != pair[1]);
        let number = |text: &Option<String>| match text {
            None => Some(f64::NAN),
            Some(text) => f64::from_str(text).ok(),
        };
        let numbers: Option<Vec<f64>> = texts.iter().map(number).collect();
        if let Some(values) = numbers {
            return Self {
                column,
                values,
                names: Vec::new(),
                differs,
            };
        }
        let mut names: Vec<String> = texts.iter().flatten().cloned().collect();
        names.sort_unstable();
        names.dedup();
        let place = |text: &Option<String>| {
            let text = text.as_ref()?;
            Some(names.binary_search(text).ok()? as f64)
        };
        Self {
            column,
            values: texts
                .iter()
                .map(|text| place(text).unwrap_or(f64::NAN))
                .collect(),
            names,
            differs,
        }
    }

    pub(super) fn is_number(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns how its numbers are spread: by ratios if they span two powers of ten.
    pub(super) fn scale(&self) -> ScaleKind {
        let finite = || {
            self.values
                .iter()
                .copied()
                .filter(|value| value.is_finite())
        };
        let (low, high) = (
            finite().fold(f64::INFINITY, f64::min),
            finite().fold(0.0, f64::max),
        );
        if self.is_number() && 0.0 < low && 100.0 <= high / low {
            ScaleKind::Log
        } else {
            ScaleKind::Linear
        }
    }

    pub(super) fn axis(&self) -> Axis {
        Axis {
            title: self.column.name().to_owned(),
            scale: self.scale(),
        }
    }

    /// Returns how many runs have a number of it.
    pub(super) fn known(&self) -> usize {
        self.values.iter().filter(|value| value.is_finite()).count()
    }
}

/// Words in names of metrics that are better when larger.
const BETTER_LARGE: [&str; 22] = [
    "accuracy",
    "acc",
    "f1",
    "precision",
    "recall",
    "auc",
    "auroc",
    "ap",
    "map",
    "iou",
    "miou",
    "dice",
    "r2",
    "score",
    "kappa",
    "mcc",
    "top1",
    "top5",
    "throughput",
    "tpr",
    "sensitivity",
    "specificity",
];

/// Returns the direction that the name of a metric tells; `None` if nothing: a star on the largest
/// learning rate would mean something to nobody.
pub(super) fn better(name: &str) -> Option<Direction> {
    if Direction::of_name(name) == Direction::Min {
        return Some(Direction::Min);
    }
    let lower_case = name.to_lowercase();
    let mut words = lower_case.split(|c: char| !c.is_alphanumeric());
    words
        .any(|word| BETTER_LARGE.contains(&word))
        .then_some(Direction::Max)
}

/// Returns which of the values is the best one; `None` if that is unknown or all are the same.
pub(super) fn best(name: &str, values: &[f64]) -> Option<usize> {
    let better = better(name)?;
    let finite = || {
        values
            .iter()
            .enumerate()
            .filter(|(_, value)| value.is_finite())
    };
    let order = |a: &(usize, &f64), b: &(usize, &f64)| match better {
        Direction::Min => b.1.total_cmp(a.1).then(b.0.cmp(&a.0)),
        Direction::Max => a.1.total_cmp(b.1).then(b.0.cmp(&a.0)),
    };
    let found = finite().max_by(order)?;
    finite()
        .any(|(_, value)| value != found.1)
        .then_some(found.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_which_values_are_better() {
        for (name, expected) in [
            ("val_loss", Some(Direction::Min)),
            ("reports/metrics.json:accuracy", Some(Direction::Max)),
            ("accuracy_error", Some(Direction::Min)),
            ("epoch_seconds", None),
            ("epochs", None),
            ("missing", None),
        ] {
            assert_eq!(better(name), expected, "{name}");
        }
    }

    #[test]
    fn the_best_is_the_first_of_the_best_and_none_among_equals() {
        assert_eq!(best("loss", &[3.0, f64::NAN, 1.0, 1.0]), Some(2));
        assert_eq!(best("accuracy", &[0.5, 0.7, 0.7]), Some(1));
        assert_eq!(best("accuracy", &[0.5, 0.5]), None);
        assert_eq!(best("epochs", &[1.0, 2.0]), None);
        assert_eq!(best("loss", &[f64::NAN]), None);
    }

    #[test]
    fn texts_are_numbers_if_all_are() {
        let some = |texts: &[&str]| -> Vec<Option<String>> {
            texts.iter().map(|text| Some((*text).to_owned())).collect()
        };
        let of =
            |texts: &[Option<String>]| Quantity::of_texts(ColumnRef::Param("p".to_owned()), texts);
        let numbers = of(&some(&["1e-4", "0.1", "1"]));
        assert!(numbers.is_number() && numbers.differs && numbers.scale() == ScaleKind::Log);
        let names = of(&some(&["sgd", "adam", "sgd"]));
        assert_eq!(
            (names.names.len(), &names.values[..]),
            (2, &[1.0, 0.0, 1.0][..])
        );
        assert!(!of(&some(&["1", "1"])).differs);
    }
}

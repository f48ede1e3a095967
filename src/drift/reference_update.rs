//! How a reference follows the data it has judged. Imports: base, `drift::{error, sample}`.
//!
//! Off by default, because what moves slowly takes such a reference along and is never seen.

use std::fmt;
use std::num::NonZeroUsize;

use rand::RngExt;

use super::error::Error;
use super::sample::Sample;
use crate::base::rng;

/// What becomes of rows that have been judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceUpdate {
    /// The reference stays as it is.
    None,
    /// The last so many rows are the reference.
    Last(NonZeroUsize),
    /// So many rows, each that was ever seen with the same probability: Vitter's algorithm R.
    Reservoir(NonZeroUsize),
}

impl ReferenceUpdate {
    /// Says whether rows come in that have been judged.
    #[must_use]
    pub fn follows(self) -> bool {
        match self {
            Self::None => false,
            Self::Last(_) | Self::Reservoir(_) => true,
        }
    }
}

impl fmt::Display for ReferenceUpdate {
    /// As it is asked for: `none`, `last:500`, `reservoir:500`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Last(rows) => write!(f, "last:{rows}"),
            Self::Reservoir(rows) => write!(f, "reservoir:{rows}"),
        }
    }
}

/// A reference, and how it goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdatedReference {
    rule: ReferenceUpdate,
    width: usize,
    values: Vec<f64>,
    seen: u64,
}

impl UpdatedReference {
    /// Begins with `initial`, whose rows count as seen; if they are more than the rule keeps, the last of
    /// them, or a choice drawn from `seed`.
    #[must_use]
    pub fn new(initial: &Sample, rule: ReferenceUpdate, seed: u64) -> Self {
        let mut this = Self {
            rule,
            width: initial.width(),
            values: Vec::new(),
            seen: 0,
        };
        match rule {
            ReferenceUpdate::None => this.keep_all(initial),
            ReferenceUpdate::Last(_) | ReferenceUpdate::Reservoir(_) => {
                this.take(initial, &mut |item| uniform(seed, item));
            }
        }
        this
    }

    /// Returns the reference.
    ///
    /// # Errors
    /// None: rows of a sample are a sample.
    pub fn sample(&self) -> Result<Sample, Error> {
        Sample::new(self.values.clone(), self.width)
    }

    /// Takes the rows of `arrivals`, after they have been judged. Draws depend on `seed` and the number of
    /// the row among all seen: two references that see equally many rows keep the same ones.
    ///
    /// # Errors
    /// They have other features than the reference.
    pub fn add(&mut self, arrivals: &Sample, seed: u64) -> Result<(), Error> {
        self.add_with(arrivals, |item| uniform(seed, item))
    }

    /// As [`Self::add`], where `uniform` gives the number between 0 and 1 that decides about the item with a
    /// number, from 1, where one is needed.
    fn add_with(
        &mut self,
        arrivals: &Sample,
        mut uniform: impl FnMut(u64) -> f64,
    ) -> Result<(), Error> {
        if arrivals.width() != self.width {
            return Err(Error::Width {
                found: arrivals.width(),
                expected: self.width,
            });
        }
        self.take(arrivals, &mut uniform);
        Ok(())
    }

    fn take(&mut self, arrivals: &Sample, uniform: &mut dyn FnMut(u64) -> f64) {
        match self.rule {
            ReferenceUpdate::None => self.seen += arrivals.rows() as u64,
            ReferenceUpdate::Last(size) => {
                self.keep_all(arrivals);
                let kept = size.get() * self.width;
                let excess = self.values.len().saturating_sub(kept);
                self.values.drain(..excess);
            }
            ReferenceUpdate::Reservoir(size) => {
                for row in arrivals.values().chunks_exact(self.width) {
                    self.seen += 1;
                    if self.values.len() < size.get() * self.width {
                        self.values.extend_from_slice(row);
                        continue;
                    }
                    let place = (uniform(self.seen) * self.seen as f64) as usize;
                    if place < size.get() {
                        let start = place * self.width;
                        self.values[start..start + self.width].copy_from_slice(row);
                    }
                }
            }
        }
    }

    fn keep_all(&mut self, rows: &Sample) {
        self.values.extend_from_slice(rows.values());
        self.seen += rows.rows() as u64;
    }
}

fn uniform(seed: u64, item: u64) -> f64 {
    rng::stream(seed, "drift.reservoir", item).random()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{numbers, parse};
    use super::*;

    fn rows(values: Vec<f64>) -> Sample {
        Sample::new(values, 1).unwrap()
    }

    fn size(rows: usize) -> NonZeroUsize {
        NonZeroUsize::new(rows).unwrap()
    }

    #[test]
    fn agrees_with_the_golden_values() {
        let golden = parse(include_str!(
            "../../tests/golden/drift/reference_update.json"
        ));
        let initial = rows(numbers(&golden["initial"]));
        let arrivals = rows(numbers(&golden["arrivals"]));
        let of = size(golden["size"].as_u64().unwrap() as usize);
        let mut uniforms = numbers(&golden["uniforms_in_order_of_use"]).into_iter();
        let mut kept = UpdatedReference::new(&initial, ReferenceUpdate::Reservoir(of), 0);
        kept.add_with(&arrivals, |_| uniforms.next().unwrap())
            .unwrap();
        assert_eq!(uniforms.next(), None);
        assert_eq!(
            kept.sample().unwrap(),
            rows(numbers(&golden["reservoir_after"]))
        );
        let mut kept = UpdatedReference::new(&initial, ReferenceUpdate::Last(of), 0);
        kept.add(&arrivals, 0).unwrap();
        assert_eq!(
            kept.sample().unwrap(),
            rows(numbers(&golden["last_n_after"]))
        );
    }

    #[test]
    fn no_update_is_none() {
        let initial = rows(vec![1.0, 2.0]);
        let mut kept = UpdatedReference::new(&initial, ReferenceUpdate::None, 0);
        kept.add(&rows(vec![3.0]), 0).unwrap();
        assert_eq!(kept.sample().unwrap(), initial);
    }

    #[test]
    fn references_of_equally_many_rows_keep_the_same_ones() {
        for rule in [
            ReferenceUpdate::Reservoir(size(5)),
            ReferenceUpdate::Last(size(5)),
        ] {
            let numbers = |from: u32, to: u32| rows((from..to).map(f64::from).collect());
            let wide = |from: u32, to: u32| {
                let pairs = (from..to).flat_map(|row| [f64::from(row), 0.0]);
                Sample::new(pairs.collect(), 2).unwrap()
            };
            let mut one = UpdatedReference::new(&numbers(0, 20), rule, 4);
            let mut two = UpdatedReference::new(&wide(0, 20), rule, 4);
            one.add(&numbers(20, 50), 4).unwrap();
            two.add(&wide(20, 50), 4).unwrap();
            let kept = one.sample().unwrap();
            assert_eq!(kept.rows(), 5, "{rule}");
            assert_eq!(kept.values(), two.sample().unwrap().column(0), "{rule}");
        }
    }

    #[test]
    fn a_reservoir_keeps_old_and_new_rows_alike() {
        let mut old = 0;
        for seed in 0..200 {
            let initial = rows(vec![0.0; 50]);
            let rule = ReferenceUpdate::Reservoir(size(10));
            let mut kept = UpdatedReference::new(&initial, rule, seed);
            kept.add(&rows(vec![1.0; 50]), seed).unwrap();
            let sample = kept.sample().unwrap();
            old += sample
                .values()
                .iter()
                .filter(|value| **value == 0.0)
                .count();
        }
        // 1000 of 2000 expected, standard deviation 21.
        assert!((900..1100).contains(&old), "{old}");
    }

    #[test]
    fn rules_are_shown_as_they_are_asked_for() {
        let shown = [
            ReferenceUpdate::None,
            ReferenceUpdate::Last(size(500)),
            ReferenceUpdate::Reservoir(size(20)),
        ];
        let shown = shown.map(|rule| rule.to_string());
        assert_eq!(shown, ["none", "last:500", "reservoir:20"]);
    }

    #[test]
    fn other_features_are_refused() {
        let rule = ReferenceUpdate::Last(size(3));
        let mut kept = UpdatedReference::new(&rows(vec![1.0]), rule, 0);
        let wide = Sample::new(vec![1.0, 2.0], 2).unwrap();
        assert!(matches!(
            kept.add(&wide, 0),
            Err(Error::Width {
                found: 2,
                expected: 1
            })
        ));
    }
}

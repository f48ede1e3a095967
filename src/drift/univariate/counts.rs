//! How often each category occurs in two samples. Imports: `drift::error`.

use super::super::error::Error;

/// Counts of the same categories in a reference and a test sample; neither sample is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    pairs: Vec<(u64, u64)>,
    totals: (u64, u64),
}

impl Counts {
    /// Takes the counts of each category, in the same order for both samples.
    ///
    /// # Errors
    /// The samples have different numbers of categories, or one has no observations.
    pub fn new(reference: &[u64], test: &[u64]) -> Result<Self, Error> {
        if reference.len() != test.len() {
            return Err(Error::Categories {
                found: reference.len(),
                other: test.len(),
            });
        }
        let pairs = reference.iter().copied().zip(test.iter().copied());
        Self::of_pairs(pairs.collect())
    }

    /// Takes pairs of counts, of the reference and of the test sample.
    pub(super) fn of_pairs(pairs: Vec<(u64, u64)>) -> Result<Self, Error> {
        let totals = pairs
            .iter()
            .fold((0, 0), |sums, pair| (sums.0 + pair.0, sums.1 + pair.1));
        for (total, sample) in [(totals.0, "the reference"), (totals.1, "the test sample")] {
            if total == 0 {
                return Err(Error::NoCounts { sample });
            }
        }
        Ok(Self { pairs, totals })
    }

    /// Returns the counts of each category, of the reference and of the test sample.
    #[must_use]
    pub fn pairs(&self) -> &[(u64, u64)] {
        &self.pairs
    }

    /// Returns the observations of the reference and of the test sample.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        self.totals
    }

    /// Returns the share of each category in the reference and in the test sample.
    pub fn shares(&self) -> impl Iterator<Item = (f64, f64)> {
        let (n, m) = (self.totals.0 as f64, self.totals.1 as f64);
        self.pairs
            .iter()
            .map(move |(a, b)| (*a as f64 / n, *b as f64 / m))
    }

    /// Returns the categories that occur at all: their counts, and those to be expected if both
    /// samples had the same shares.
    pub(super) fn expected(&self) -> impl Iterator<Item = ((f64, f64), (f64, f64))> {
        let (n, m) = (self.totals.0 as f64, self.totals.1 as f64);
        self.pairs
            .iter()
            .filter(|pair| **pair != (0, 0))
            .map(move |(a, b)| {
                let share = (a + b) as f64 / (n + m);
                ((*a as f64, *b as f64), (n * share, m * share))
            })
    }
}

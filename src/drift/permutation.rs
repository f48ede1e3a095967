//! Tests by relabelling: which rows would have been "reference" and "test" if it did not matter, and
//! what the statistics of such relabellings say about the one observed.
//! Imports: base, `drift::{correction, error}`.
//!
//! Phipson & Smyth, Permutation P-values Should Never Be Zero, SAGMB 9 (2010).

use std::fmt;

use rand::RngExt;
use rayon::prelude::*;
use statrs::function::factorial::ln_binomial;

use super::correction::require_level;
use super::error::Error;
use crate::base::rng::{self, ChaCha8Rng};

/// Two statistics that differ by less, in their own size or 1, whichever is larger, are equal: the same
/// rows, summed in another order.
const ROUNDING: f64 = 1e-12;

/// Memory that the relabellings of one test may take.
pub const MEMORY_BYTES_MAX: u64 = 2 << 30;

/// Which of the two samples a list of rows stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The rows that count as reference.
    Reference,
    /// The rows that count as test.
    Test,
}

/// Ways to call `reference` of the pooled rows "reference" and the others "test". The first is the one
/// observed, where the reference's rows come first.
///
/// Kept is the smaller side of each, as an ascending list of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relabellings {
    reference: usize,
    test: usize,
    /// `[relabellings, size of the smaller side]`.
    members: Vec<u32>,
}

impl Relabellings {
    /// Draws `count` relabellings of `reference` + `test` rows, number i from stream i of `seed`.
    ///
    /// # Errors
    /// `count` is 0, one of the samples has no rows, or so many of so many rows take too much memory.
    pub fn draw(reference: usize, test: usize, count: usize, seed: u64) -> Result<Self, Error> {
        check_sizes(reference, test, count)?;
        require_memory(reference, test, count)?;
        let (rows, size) = (reference + test, reference.min(test));
        let drawn: Vec<Vec<u32>> = (0..count as u64)
            .into_par_iter()
            .map(|index| choose(rows, size, rng::stream(seed, "drift.permutation", index)))
            .collect();
        Ok(Self::of_lists(reference, test, drawn.iter().flatten()))
    }

    /// Takes `permutations` of the pooled rows as they are: the first `reference` entries of each are its
    /// reference. For comparison with other programs.
    ///
    /// # Errors
    /// There are none, one of the samples has no rows, an entry is missing or there twice, or so many of so many rows
    /// take too much memory.
    pub fn given(
        reference: usize,
        test: usize,
        permutations: &[Vec<usize>],
    ) -> Result<Self, Error> {
        check_sizes(reference, test, permutations.len())?;
        require_memory(reference, test, permutations.len())?;
        let rows = reference + test;
        let mut members = Vec::with_capacity(permutations.len() * reference.min(test));
        for (index, permutation) in permutations.iter().enumerate() {
            let mut place = vec![None; rows];
            for (at, row) in permutation.iter().enumerate() {
                if let Some(place) = place.get_mut(*row) {
                    *place = Some(at);
                }
            }
            if permutation.len() != rows || place.contains(&None) {
                return Err(Error::NotAPermutation {
                    what: "permutation",
                    index,
                    rows,
                });
            }
            let belongs =
                |at: &Option<usize>| at.is_some_and(|at| (at < reference) == (reference <= test));
            let listed = (0..).zip(&place).filter(|(_, at)| belongs(at));
            members.extend(listed.map(|(row, _)| row));
        }
        Ok(Self::of_lists(reference, test, &members))
    }

    fn of_lists<'a>(
        reference: usize,
        test: usize,
        lists: impl IntoIterator<Item = &'a u32>,
    ) -> Self {
        let observed = if reference <= test {
            0..reference as u32
        } else {
            reference as u32..(reference + test) as u32
        };
        Self {
            reference,
            test,
            members: observed.chain(lists.into_iter().copied()).collect(),
        }
    }

    /// Returns how many rows count as reference.
    #[must_use]
    pub fn reference(&self) -> usize {
        self.reference
    }

    /// Returns how many rows count as test.
    #[must_use]
    pub fn test(&self) -> usize {
        self.test
    }

    /// Returns the side whose rows are listed: the smaller one.
    #[must_use]
    pub fn side(&self) -> Side {
        if self.reference <= self.test {
            Side::Reference
        } else {
            Side::Test
        }
    }

    /// Returns the rows of the smaller side, ascending: the observed ones first, then those of each
    /// relabelling.
    pub fn lists(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.members.chunks_exact(self.reference.min(self.test))
    }

    /// Returns an error if the relabellings are not of `reference` and `test` rows.
    ///
    /// # Errors
    /// They are of others.
    pub fn require_rows(&self, reference: usize, test: usize) -> Result<(), Error> {
        if (self.reference, self.test) == (reference, test) {
            return Ok(());
        }
        Err(Error::OtherRows {
            found: (self.reference, self.test),
            expected: (reference, test),
        })
    }
}

fn check_sizes(reference: usize, test: usize, count: usize) -> Result<(), Error> {
    if count == 0 {
        return Err(Error::NoPermutations);
    }
    if reference == 0 || test == 0 {
        return Err(Error::TooFew {
            what: "a test of two samples",
            found: 0,
            needed: 1,
        });
    }
    Ok(())
}

/// Returns the bytes that `count` relabellings of `reference` and `test` rows take: the rows of the smaller side as
/// numbers of four bytes, once more while they are drawn, and two bits for each row of both where sums are taken.
#[must_use]
pub fn memory_bytes(reference: usize, test: usize, count: usize) -> u64 {
    let lists = (count as u64).saturating_add(1);
    lists.saturating_mul(bytes_per_list(reference, test))
}

/// Returns how many relabellings of `reference` and `test` rows take at most [`MEMORY_BYTES_MAX`]; at least 1.
#[must_use]
pub fn count_max(reference: usize, test: usize) -> usize {
    let lists = MEMORY_BYTES_MAX / bytes_per_list(reference, test).max(1);
    usize::try_from(lists.saturating_sub(1)).map_or(usize::MAX, |count| count.max(1))
}

fn bytes_per_list(reference: usize, test: usize) -> u64 {
    let listed = (reference.min(test) as u64).saturating_mul(8);
    let pooled = (reference as u64).saturating_add(test as u64);
    listed.saturating_add(pooled / 4)
}

/// Checks that `count` relabellings of `reference` and `test` rows take no more memory than [`MEMORY_BYTES_MAX`].
///
/// # Errors
/// They take more.
pub fn require_memory(reference: usize, test: usize, count: usize) -> Result<(), Error> {
    let bytes = memory_bytes(reference, test, count);
    if bytes <= MEMORY_BYTES_MAX {
        return Ok(());
    }
    Err(Error::TooMuchMemory {
        permutations: count,
        reference,
        test,
        bytes,
        most: MEMORY_BYTES_MAX,
        count_max: count_max(reference, test),
    })
}

/// Checks that `list` holds each of the numbers below `rows` once; errors name it `what` number `index`.
pub(super) fn require_permutation(
    what: &'static str,
    index: usize,
    list: &[usize],
    rows: usize,
) -> Result<(), Error> {
    let mut sorted = list.to_vec();
    sorted.sort_unstable();
    if sorted.iter().copied().eq(0..rows) {
        return Ok(());
    }
    Err(Error::NotAPermutation { what, index, rows })
}

/// Chooses `size` of `rows` rows, all choices equally likely, ascending: a Fisher-Yates shuffle that
/// stops early.
pub(super) fn choose(rows: usize, size: usize, mut rng: ChaCha8Rng) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows as u32).collect();
    for at in 0..size {
        let other = rng.random_range(at as u32..rows as u32);
        order.swap(at, other as usize);
    }
    order.truncate(size);
    // Many lists are kept at a time.
    order.shrink_to_fit();
    order.sort_unstable();
    order
}

/// What the observed labels gave, and what the relabellings gave.
#[derive(Clone, Debug, PartialEq)]
pub struct PermutationTest {
    /// The statistic of the samples as they are.
    pub statistic: f64,
    /// That of each relabelling, in their order.
    pub permuted: Vec<f64>,
}

impl PermutationTest {
    /// Splits statistics of which the first is the observed one.
    pub(super) fn of_statistics(statistics: &[f64]) -> Result<Self, Error> {
        match statistics {
            [statistic, permuted @ ..] if !permuted.is_empty() => Ok(Self {
                statistic: *statistic,
                permuted: permuted.to_vec(),
            }),
            _ => Err(Error::NoPermutations),
        }
    }

    /// Returns b: how many relabellings gave at least the observed statistic.
    #[must_use]
    pub fn at_least_as_extreme(&self) -> usize {
        let least = self.statistic - ROUNDING * self.statistic.abs().max(1.0);
        self.permuted.iter().filter(|s| **s >= least).count()
    }

    /// Returns (b + 1) / (B + 1), which is never 0: the observed labels are one of the possible ones.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        (self.at_least_as_extreme() + 1) as f64 / (self.permuted.len() + 1) as f64
    }

    /// Returns b / B, as other programs report it; it may be 0.
    #[must_use]
    pub fn p_value_plain(&self) -> f64 {
        self.at_least_as_extreme() as f64 / self.permuted.len() as f64
    }

    /// Returns the statistic above which the observed one is significant at `alpha`: number ⌊`alpha` · B⌋,
    /// from 0, of the relabellings' in descending order.
    ///
    /// # Errors
    /// `alpha` is not between 0 and 1.
    pub fn threshold(&self, alpha: f64) -> Result<f64, Error> {
        require_level(alpha)?;
        let mut sorted = self.permuted.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let at = (alpha * sorted.len() as f64) as usize;
        Ok(sorted[at.min(sorted.len() - 1)])
    }
}

/// Returns the share of all ways to draw `test` of `reference` + `test` rows that one of them is.
pub(super) fn share_of_one(reference: usize, test: usize) -> f64 {
    (-ln_binomial((reference + test) as u64, test as u64)).exp()
}

/// Checks that a test of `reference` and `test` rows by relabelling can give a p-value below `alpha`,
/// however many permutations there are: of few rows, there are few ways to call them.
///
/// # Errors
/// It cannot, or `alpha` is not between 0 and 1.
pub fn require_power(reference: usize, test: usize, alpha: f64) -> Result<(), Error> {
    require_level(alpha)?;
    // Which of two samples of one size is the reference makes no difference to a distance.
    let ways = if reference == test { 2.0 } else { 1.0 };
    let smallest = (ways * share_of_one(reference, test)).min(1.0);
    // The logarithm of a factorial is not exact, and p = α is not below it.
    if smallest < alpha * (1.0 - 1e-9) {
        return Ok(());
    }
    Err(Error::Powerless {
        reference,
        test,
        smallest,
        level: alpha,
    })
}

/// So few relabellings that no p-value can be below the significance level: a test that always says "no
/// drift".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFewPermutations {
    /// How many there are.
    pub count: usize,
    /// How many it takes.
    pub needed: usize,
}

impl TooFewPermutations {
    /// Returns the warning for `count` relabellings and p-values compared as p < `alpha`, if there is one:
    /// the smallest p-value is 1 / (`count` + 1).
    ///
    /// # Errors
    /// `alpha` is not between 0 and 1.
    pub fn check(count: usize, alpha: f64) -> Result<Option<Self>, Error> {
        require_level(alpha)?;
        let possible = |count: usize| 1.0 / (count as f64 + 1.0) < alpha;
        if possible(count) {
            return Ok(None);
        }
        // 1 / α − 1 is one short where it is a whole number.
        let least = (1.0 / alpha) as usize;
        let needed = least.saturating_sub(1);
        let needed = (needed..).take(4).find(|count| possible(*count));
        Ok(Some(Self {
            count,
            needed: needed.unwrap_or(least),
        }))
    }
}

/// Checks that `count` permutations can give a p-value below `alpha`.
///
/// # Errors
/// They cannot, or `alpha` is not between 0 and 1.
pub fn require_count(count: usize, alpha: f64) -> Result<(), Error> {
    match TooFewPermutations::check(count, alpha)? {
        None => Ok(()),
        Some(few) => Err(Error::FewPermutations {
            found: few.count,
            needed: few.needed,
            level: alpha,
        }),
    }
}

impl fmt::Display for TooFewPermutations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, needed } = self;
        write!(
            f,
            "{count} permutations cannot show drift at this significance level: it takes at least {needed}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn test(statistic: f64, permuted: &[f64]) -> PermutationTest {
        PermutationTest {
            statistic,
            permuted: permuted.to_vec(),
        }
    }

    #[test]
    fn p_values_count_what_is_at_least_as_extreme() {
        let none = test(5.0, &[1.0, 2.0, 3.0]);
        assert_eq!((none.p_value(), none.p_value_plain()), (0.25, 0.0));
        let ties = test(2.0, &[1.0, 2.0, 2.0 - 1e-13, 3.0]);
        assert_eq!((ties.p_value(), ties.p_value_plain()), (0.8, 0.75));
    }

    #[test]
    fn thresholds_are_found_by_index() {
        let drawn: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(test(0.0, &drawn).threshold(0.05), Ok(94.0));
        assert_eq!(test(0.0, &drawn).threshold(0.001), Ok(99.0));
        for bad in [0.0, 1.0, -0.1, f64::NAN] {
            let error = test(0.0, &drawn).threshold(bad).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { .. }), "{bad}");
        }
    }

    #[test]
    fn too_few_permutations_are_told() {
        let needed = |count, alpha| {
            TooFewPermutations::check(count, alpha)
                .unwrap()
                .map(|warning| warning.needed)
        };
        assert_eq!(needed(20, 0.05), None);
        assert_eq!(needed(19, 0.05), Some(20));
        assert_eq!(needed(5, 0.01), Some(100));
        assert_eq!(needed(2, 0.3), Some(3));
        assert_eq!(needed(3, 0.3), None);
    }

    #[test]
    fn so_few_rows_that_nothing_can_be_seen_are_told() {
        // 20 ways to draw 3 of 6 rows, each the same as its opposite; 35 to draw 3 of 7.
        let error = require_power(3, 3, 0.05).unwrap_err();
        assert!(
            matches!(error, Error::Powerless { smallest, .. } if (smallest - 0.1).abs() < 1e-9),
            "{error:?}"
        );
        assert_eq!(require_power(4, 3, 0.05), Ok(()));
        assert!(require_power(4, 3, 0.02).is_err());
        // One of 20, which is not below 0.05.
        assert!(require_power(19, 1, 0.05).is_err());
        assert!(require_power(30, 30, 0.0).is_err());
    }

    #[test]
    fn more_than_memory_should_hold_is_refused_before_it_is_drawn() {
        // The largest reference and the most permutations that parameters know, each alone and both.
        assert_eq!(require_memory(2000, 2000, 100_000), Ok(()));
        assert_eq!(require_memory(20_000, 20_000, 10_000), Ok(()));
        let error = Relabellings::draw(20_000, 20_000, 100_000, 1).unwrap_err();
        let Error::TooMuchMemory {
            bytes, count_max, ..
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!(bytes, (8 * 20_000 + 10_000) * 100_001);
        assert_eq!(require_memory(20_000, 20_000, count_max), Ok(()));
        assert!(require_memory(20_000, 20_000, count_max + 1).is_err());
        assert!(require_memory(usize::MAX, usize::MAX, usize::MAX).is_err());
    }

    #[test]
    fn permutations_are_checked() {
        let given = |permutations: &[&[usize]]| {
            let permutations: Vec<Vec<usize>> = permutations.iter().map(|p| p.to_vec()).collect();
            Relabellings::given(2, 1, &permutations)
        };
        let good = given(&[&[0, 1, 2], &[2, 0, 1]]).unwrap();
        let lists: Vec<&[u32]> = good.lists().collect();
        assert_eq!(good.side(), Side::Test);
        assert_eq!(lists, [[2], [2], [1]]);
        for bad in [&[0, 1][..], &[0, 1, 1], &[0, 1, 3], &[0, 1, 2, 2]] {
            let error = given(&[&[0, 1, 2], bad]).unwrap_err();
            let what = "permutation";
            assert_eq!(
                error,
                Error::NotAPermutation {
                    what,
                    index: 1,
                    rows: 3
                }
            );
        }
        assert_eq!(given(&[]).unwrap_err(), Error::NoPermutations);
    }

    proptest! {
        #[test]
        fn drawn_lists_ascend_and_belong_to_the_smaller_side(
            reference in 1usize..30,
            test in 1usize..30,
            seed in 0u64..100,
        ) {
            let drawn = Relabellings::draw(reference, test, 7, seed).unwrap();
            prop_assert_eq!(drawn.lists().len(), 8);
            for list in drawn.lists() {
                prop_assert_eq!(list.len(), reference.min(test));
                prop_assert!(list.is_sorted_by(|a, b| a < b));
                prop_assert!(list.iter().all(|row| (*row as usize) < reference + test));
            }
        }
    }

    #[test]
    fn every_row_is_chosen_equally_often() {
        let drawn = Relabellings::draw(3, 7, 4000, 1).unwrap();
        let mut counts = [0usize; 10];
        for list in drawn.lists().skip(1) {
            for row in list {
                counts[*row as usize] += 1;
            }
        }
        // 1200 expected, standard deviation 29.
        assert!(
            counts.iter().all(|count| count.abs_diff(1200) < 120),
            "{counts:?}"
        );
    }
}

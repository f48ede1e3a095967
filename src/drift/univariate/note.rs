//! What should be known about the p-value of a feature. Imports: `univariate::pooled`.

use std::fmt;

use super::pooled::Pooled;

/// Why a p-value says less than it seems to, or what stood out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Note {
    /// Every row of both samples has the same value: p is 1, and no evidence either way.
    Constant {
        /// Which.
        value: f64,
    },
    /// A test of measurements met data that are mostly ties: p is too large rather than too small.
    Discrete {
        /// Distinct values in both samples.
        distinct: u64,
        /// Rows of both samples.
        rows: u64,
    },
    /// Ties across the samples were counted by distribution functions instead of ranks.
    TiesAcross,
    /// Categories of the test sample that the reference does not have.
    Unseen {
        /// How many.
        categories: usize,
        /// The least of them.
        first: f64,
        /// Rows of the test sample that have one.
        rows: u64,
    },
    /// Categories of the reference that the test sample does not have.
    Missing {
        /// How many.
        categories: usize,
        /// The least of them.
        first: f64,
    },
    /// p comes from permutations, because the χ² law needs larger expected counts.
    Permuted {
        /// How many.
        permutations: u32,
        /// The smallest expected count.
        smallest_expected: f64,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant { value } => write!(
                f,
                "constant: every row of both samples is {value}, which is no evidence either way"
            ),
            Self::Discrete { distinct, rows } => write!(
                f,
                "only {distinct} distinct values in {rows} rows: the p-value is rather too large; \
                 compare categories with the chi-square test"
            ),
            Self::TiesAcross => write!(
                f,
                "values tie across the samples: compared by distribution functions, not by ranks"
            ),
            Self::Unseen {
                categories,
                first,
                rows,
            } => write!(
                f,
                "{categories} categories that the reference does not have (the first is {first}), \
                 in {rows} rows"
            ),
            Self::Missing { categories, first } => write!(
                f,
                "{categories} categories of the reference do not occur (the first is {first})"
            ),
            Self::Permuted {
                permutations,
                smallest_expected,
            } => write!(
                f,
                "expected counts go down to {smallest_expected:.2}: the p-value is from \
                 {permutations} permutations"
            ),
        }
    }
}

/// Notes data that are no measurements: less than half of their values are distinct.
pub(super) fn discrete(pooled: &Pooled, notes: &mut Vec<Note>) {
    let (distinct, (n, m)) = (pooled.distinct, pooled.rows());
    if 1 < distinct && 2 * distinct <= n + m {
        notes.push(Note::Discrete {
            distinct,
            rows: n + m,
        });
    }
}

/// Notes categories that only one of the samples has.
pub(super) fn categories(pooled: &Pooled, notes: &mut Vec<Note>) {
    let unseen: Vec<_> = pooled.steps().filter(|s| s.reference == 0).collect();
    if let [first, ..] = unseen[..] {
        notes.push(Note::Unseen {
            categories: unseen.len(),
            first: first.value,
            rows: unseen.iter().map(|step| step.test).sum(),
        });
    }
    let missing: Vec<_> = pooled.steps().filter(|s| s.test == 0).collect();
    if let [first, ..] = missing[..] {
        notes.push(Note::Missing {
            categories: missing.len(),
            first: first.value,
        });
    }
}

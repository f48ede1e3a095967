//! What can be wrong with the numbers that are to be compared. Imports: nothing of ours.

/// Why a detector gives no answer. It never says "no drift" instead.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value is NaN or infinite.
    #[error("row {row}, column {column} is {value}: all values should be finite numbers")]
    NotFinite {
        /// From 0.
        row: usize,
        /// From 0.
        column: usize,
        /// What stands there.
        value: f64,
    },
    /// The values do not fill whole rows.
    #[error("{values} values do not fill rows of {width}")]
    Ragged {
        /// How many there are.
        values: usize,
        /// Of a row.
        width: usize,
    },
    /// Another number of features than the reference has.
    #[error("the sample has {found} features, the reference has {expected}")]
    Width {
        /// Of the sample.
        found: usize,
        /// Of the reference.
        expected: usize,
    },
    /// Fewer rows than the method needs.
    #[error("{what} needs at least {needed} rows, found {found}")]
    TooFew {
        /// The method, and which of its samples.
        what: &'static str,
        /// Rows.
        found: usize,
        /// Rows.
        needed: usize,
    },
    /// A number that should be a probability, a significance level or a share is none.
    #[error("{what} is {found}: expected {expected}")]
    OutOfRange {
        /// The number's name.
        what: &'static str,
        /// What it is.
        found: f64,
        /// What it should be, in words.
        expected: &'static str,
    },
    /// The median distance is 0.
    #[error(
        "half of all pairs of rows of the reference are equal, so the median heuristic finds no bandwidth: \
         remove repeated rows, take other features, or give a bandwidth"
    )]
    ZeroBandwidth,
    /// Squares of the values are infinite.
    #[error("the rows are so far apart that their distances overflow: scale the features")]
    TooFarApart,
    /// Nothing varies.
    #[error("the rows of the reference are all equal, or nearly so: expected rows that differ")]
    NoVariance,
    /// One feature does not vary.
    #[error(
        "feature {column} is {value} in all rows of the reference: expected values that differ; leave it out"
    )]
    ConstantFeature {
        /// From 0.
        column: usize,
        /// What stands there.
        value: f64,
    },
    /// A test by relabelling without relabellings.
    #[error("0 permutations: expected at least 1")]
    NoPermutations,
    /// A list that does not hold each row once.
    #[error("permutation {index} does not hold each of the numbers 0 to {} once", rows - 1)]
    NotAPermutation {
        /// From 0.
        index: usize,
        /// Of the pooled samples.
        rows: usize,
    },
    /// Relabellings of samples of other sizes.
    #[error(
        "the permutations are of {} + {} rows, the samples have {} + {}",
        found.0, found.1, expected.0, expected.1
    )]
    OtherRows {
        /// Reference and test.
        found: (usize, usize),
        /// Reference and test.
        expected: (usize, usize),
    },
    /// No λ keeps the error of LSDD's approximation small.
    #[error(
        "no regularisation gives LSDD a stable estimate, because too many rows are the same: use MMD"
    )]
    NoRegularisation,
    /// More components or directions than there are.
    #[error("{asked} components: expected 1 to {available}")]
    Components {
        /// How many.
        asked: usize,
        /// How many there are at most.
        available: usize,
    },
    /// More neighbours than other rows.
    #[error(
        "{asked} neighbours in a reference of {rows} rows: expected at least 1, and fewer than rows"
    )]
    Neighbours {
        /// How many.
        asked: usize,
        /// Of the reference.
        rows: usize,
    },
}

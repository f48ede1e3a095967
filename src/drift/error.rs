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
    /// A kernel cannot have this width.
    #[error(
        "the bandwidth is {value}: expected a positive number, neither so small nor so large that its square is lost"
    )]
    Bandwidth {
        /// What was given; 0 where nothing was.
        value: f64,
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
}

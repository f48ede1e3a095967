//! The error of this room: what can be wrong with numbers that are to be compared, with how a detector is set
//! up, and with one that was written down. Imports: `base::units`.

use crate::base::units;

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
    /// A row that should be the probabilities of classes is none.
    #[error(
        "row {row} is no distribution over classes (its values lie in {lowest}..={highest} and add \
         up to {sum}): expected probabilities that add up to 1; for logits, take their softmax first"
    )]
    NotProbabilities {
        /// From 0.
        row: usize,
        /// Its least value.
        lowest: f64,
        /// Its greatest value.
        highest: f64,
        /// Of its values.
        sum: f64,
    },
    /// The rows are probabilities one by one, but miss 1 by too much together.
    #[error("the probabilities of a row miss 1 by {found:e} on average: expected at most {most:e}")]
    Unnormalised {
        /// Mean of |sum − 1| over the rows.
        found: f64,
        /// That is allowed.
        most: f64,
    },
    /// A feature that should be a category is a measurement.
    #[error(
        "feature {column} has the value {value}, but {test} compares categories: expected {expected}; \
         compare measurements with the Kolmogorov-Smirnov test"
    )]
    NotCategory {
        /// From 0.
        column: usize,
        /// One of its values.
        value: f64,
        /// The test's name.
        test: &'static str,
        /// Which values the test takes, in words.
        expected: &'static str,
    },
    /// Counts of categories that cannot be compared.
    #[error(
        "{found} categories of the reference and {other} of the test sample: expected the same"
    )]
    Categories {
        /// Of the reference.
        found: usize,
        /// Of the test sample.
        other: usize,
    },
    /// More ones than observations.
    #[error("{ones} of {of} observations: expected at most {of}")]
    MoreThanAll {
        /// Observations that are 1.
        ones: u64,
        /// All observations.
        of: u64,
    },
    /// No observations at all.
    #[error("the counts of {sample} add up to 0: expected at least one observation")]
    NoCounts {
        /// Which sample.
        sample: &'static str,
    },
    /// No data of this size could be called different.
    #[error(
        "{reference} reference rows and {test} test rows cannot show drift: the smallest p-value they \
         can give is {smallest:.2e}, and it should be below {level:.2e}; take more rows, fewer \
         features or a larger significance level"
    )]
    Powerless {
        /// Rows.
        reference: usize,
        /// Rows.
        test: usize,
        /// The smallest p-value.
        smallest: f64,
        /// What p is compared with.
        level: f64,
    },
    /// No result of so few permutations could be called different.
    #[error("{found} permutations cannot give a p-value below {level:.2e}: take at least {needed}")]
    FewPermutations {
        /// How many were asked for.
        found: usize,
        /// How many make it possible.
        needed: usize,
        /// What p is compared with.
        level: f64,
    },
    /// So many permutations of so many rows that they would take too much memory.
    #[error(
        "{permutations} permutations of {reference} reference rows and {test} test rows take {}, more than the {} \
         that a test may take: ask for at most {count_max} permutations, or compare fewer rows",
        units::bytes(*bytes), units::bytes(*most)
    )]
    TooMuchMemory {
        /// As asked for.
        permutations: usize,
        /// Rows.
        reference: usize,
        /// Rows.
        test: usize,
        /// That they take.
        bytes: u64,
        /// That they may take.
        most: u64,
        /// Permutations of these rows that take no more.
        count_max: usize,
    },
    /// An exact computation that would take too long.
    #[error(
        "{what} is computed for at most {most} pairs of rows, found {found}: take the asymptotic one"
    )]
    TooManyPairs {
        /// The computation.
        what: &'static str,
        /// Reference rows times test rows.
        found: u128,
        /// Of them.
        most: u128,
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
    #[error("{what} {index} does not hold each of the numbers 0 to {} once", rows.saturating_sub(1))]
    NotAPermutation {
        /// What the list is.
        what: &'static str,
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
    /// With a setting of a detector that watches a stream.
    #[error("`{name}` is {value}: expected {expected}")]
    Setting {
        /// As the options call it.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What would do.
        expected: String,
    },
    /// Of the simulated streams, too few would be left at the last step.
    #[error(
        "{bootstraps} bootstraps are too few for an expected run time of {ert}: use at least {needed}, \
         so that enough simulated streams reach the last threshold without an alarm"
    )]
    TooFewBootstraps {
        /// As given.
        bootstraps: usize,
        /// As given.
        ert: f64,
        /// The smallest number that works.
        needed: usize,
    },
    /// Simulated statistics are so often equal that no threshold parts them as it should.
    #[error(
        "at step {step}, only {survivors} simulated streams are left and {needed} are needed, because their \
         statistics repeat: use more bootstraps, or a reference with fewer equal rows"
    )]
    Repeats {
        /// From 0.
        step: usize,
        /// How many are left.
        survivors: usize,
        /// How many should be.
        needed: usize,
    },
    /// The simulation would not fit into memory.
    #[error(
        "{bootstraps} bootstraps of {steps} steps need {mib} MiB, more than the {limit_mib} allowed: an expected run \
         time this long is reached by watching one observation of many, or a mean of many"
    )]
    TooMuch {
        /// Simulated streams.
        bootstraps: usize,
        /// Of each.
        steps: usize,
        /// What they take.
        mib: usize,
        /// What they may take.
        limit_mib: usize,
    },
    /// A stream of zeros and ones holds another number.
    #[error("row {row}, column {column} is {value}: expected 0 or 1")]
    NotBinary {
        /// From 0.
        row: usize,
        /// From 0.
        column: usize,
        /// What stands there.
        value: f64,
    },
    /// No part of the reference is a window to begin with.
    #[error(
        "none of {tried} splits of the reference gives a first window below its threshold: give more splits"
    )]
    NoSplit {
        /// How many.
        tried: usize,
    },
    /// Written by another version.
    #[error("the detector has schema {found}, this version reads {expected}: fit it again")]
    Schema {
        /// As written.
        found: u64,
        /// The only one that is read.
        expected: u64,
    },
    /// Not what this program writes.
    #[error("what is written down is damaged: {reason}; fit the detector again")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// Written beside another detector.
    #[error(
        "the state belongs to another detector ({found}, not {expected}): begin anew, as after each fit"
    )]
    Foreign {
        /// The hash of the detector it belongs to.
        found: String,
        /// Of this one.
        expected: String,
    },
}

impl Error {
    /// Says that the bytes are not what they should be.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "errors of serde and texts alike, and as a function to `map_err`"
    )]
    pub(super) fn damaged(reason: impl ToString) -> Self {
        Self::Damaged {
            reason: reason.to_string(),
        }
    }
}

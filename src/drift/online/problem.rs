//! Why a detector cannot be set up, fed or read back. Imports: `drift::error`.

use super::super::error::Error;

/// What is wrong with a detector's settings, an observation or what was written down.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OnlineError {
    /// With the numbers themselves.
    #[error(transparent)]
    Sample(#[from] Error),
    /// With a setting.
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
    /// A feature of the reference never varies.
    #[error("feature {column} is {value} in all rows of the reference: leave it out")]
    Constant {
        /// From 0.
        column: usize,
        /// What it always is.
        value: f64,
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
    /// What was handed in is no permutation of the rows.
    #[error("{which} {number} is not a permutation of the numbers 0 to {last}")]
    Permutation {
        /// Bootstraps, splits or centres.
        which: &'static str,
        /// From 0.
        number: usize,
        /// One less than there are rows.
        last: usize,
    },
    /// No part of the reference is a window to begin with.
    #[error(
        "none of {tried} splits of the reference gives a first window below its threshold: give more splits"
    )]
    NoSplit {
        /// How many.
        tried: usize,
    },
    /// The density difference cannot be estimated.
    #[error(
        "no regularisation up to 1 makes the density difference stable: the reference has too many repeated \
         rows; remove them, or use MMD"
    )]
    NoRegularisation,
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

impl OnlineError {
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

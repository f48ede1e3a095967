//! Two-sample tests of one feature at a time. Imports: base, `drift::{correction, error, permutation, sample}`.
//!
//! `Sorted` is a reference that is kept, `features` compares a sample with it, feature by feature.
//! Below it stand the tests, which work on one feature: on `Pooled`, two sorted samples merged, or on
//! `Counts` of categories. Every p-value comes with an effect size: with enough rows any difference
//! is significant, also one that does not matter.

mod features;
mod note;
mod pooled;
mod sorted;

mod counts;

pub mod binomial;
pub mod chi2;
pub mod cvm;
pub mod effect;
pub mod fisher;
pub mod kolmogorov;
pub mod ks;

mod cvm_law;

#[cfg(test)]
mod tests;

pub use counts::Counts;
pub use features::{Feature, Report, Rule, Test, features};
pub use note::Note;
pub use pooled::{Pooled, Step};
pub use sorted::{Column, Sorted};

/// Which difference a test looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alternative {
    /// Any.
    TwoSided,
    /// The test sample's values (or its share of ones) are greater than the reference's.
    Greater,
    /// They are less.
    Less,
}

/// How a p-value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Exactly where that is cheap.
    Auto,
    /// Exactly, for samples without ties.
    Exact,
    /// By the law for large samples.
    Asymptotic,
}

/// What a test says of one feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tested {
    /// The test's statistic.
    pub statistic: f64,
    /// The probability of a statistic at least as extreme if nothing changed.
    pub p: f64,
}

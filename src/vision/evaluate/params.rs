//! Reads the `evaluate` section of `params.yaml`.
//!
//! | key | value | default |
//! |---|---|---|
//! | `split` | `test`, `val` | `test` |
//! | `top_k` | 2 to 1000; counts up to the number of classes | 3 |
//! | `bootstrap` | resamples, 0 (no intervals) to 100000 | 1000 |
//! | `worst` | mistakes shown as pictures, 0 to 500 | 24 |
//! | `seed` | 0 to 2^53; of the bootstrap | 42 |
//!
//! Imports: `base::doc`, `vision::shard`.

use crate::base::doc::Fields;
use crate::vision::shard::Split;

/// How a network is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluateParams {
    /// On which pictures.
    pub split: EvaluatedSplit,
    /// A picture counts as told right if its class is among the `top_k` likeliest.
    pub top_k: usize,
    /// Resamples of the bootstrap; 0 for no intervals.
    pub bootstrap: usize,
    /// How many mistakes are kept.
    pub worst: usize,
    /// The seed of the bootstrap.
    pub seed: u64,
}

/// A split that was not learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvaluatedSplit {
    /// Kept for the final test.
    Test,
    /// Used to choose between epochs and settings.
    Val,
}

impl From<EvaluatedSplit> for Split {
    fn from(split: EvaluatedSplit) -> Self {
        match split {
            EvaluatedSplit::Test => Self::Test,
            EvaluatedSplit::Val => Self::Val,
        }
    }
}

impl EvaluateParams {
    /// Reads the section `evaluate`; problems are reported to the document's collector and replaced
    /// by defaults.
    #[must_use]
    pub fn read(fields: Fields<'_, '_>) -> Self {
        let splits = [("test", EvaluatedSplit::Test), ("val", EvaluatedSplit::Val)];
        let params = Self {
            split: fields.choice("split", EvaluatedSplit::Test, &splits),
            top_k: fields.int("top_k", 3, 2..=1000) as usize,
            bootstrap: fields.int("bootstrap", 1000, 0..=100_000) as usize,
            worst: fields.int("worst", 24, 0..=500) as usize,
            seed: fields.int("seed", 42, 0..=1 << 53),
        };
        fields.finish();
        params
    }
}

//! Where the permutations of a calibration come from: a seed, or the caller.
//! Imports: base, `drift::{error, permutation}`.

use rand::seq::SliceRandom;
use rand::seq::index;

use crate::base::rng;

use super::super::error::Error;
use super::super::permutation::require_permutation;

/// The source of all that is random when a kernel detector is set up.
#[derive(Clone, Debug, PartialEq)]
pub enum Draws {
    /// Named streams of a seed.
    Seed(u64),
    /// Permutations that were drawn elsewhere, for comparison with other programs.
    Given(Permutations),
}

/// Permutations of the rows that are drawn from, each with every row once, from 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Permutations {
    /// One for each bootstrap; its last 2W − 1 rows are the simulated stream, in this order.
    pub bootstraps: Vec<Vec<usize>>,
    /// Tried in turn for the split of the reference; the last W rows are the first window.
    pub splits: Vec<Vec<usize>>,
    /// LSDD only: the first rows are the kernel's centres, all others are what bootstraps and splits
    /// count.
    pub centres: Vec<usize>,
}

/// Splits that are tried; each fails in one of ERT cases.
const SPLITS_MAX: u64 = 100;

impl Draws {
    /// Returns how many bootstraps were handed in.
    pub(super) fn given_bootstraps(&self) -> Option<usize> {
        match self {
            Self::Seed(_) => None,
            Self::Given(given) => Some(given.bootstraps.len()),
        }
    }

    /// Checks all that was handed in, for `rows` rows.
    pub(super) fn check(&self, rows: usize) -> Result<(), Error> {
        let Self::Given(given) = self else {
            return Ok(());
        };
        for (which, all) in [
            ("bootstrap permutation", &given.bootstraps),
            ("split", &given.splits),
        ] {
            for (number, permutation) in all.iter().enumerate() {
                require_permutation(which, number, permutation, rows)?;
            }
        }
        Ok(())
    }

    /// Returns the order of `rows` rows whose first ones are kernel centres.
    pub(super) fn centres(&self, rows: usize) -> Result<Vec<usize>, Error> {
        match self {
            Self::Seed(seed) => {
                let mut order: Vec<usize> = (0..rows).collect();
                order.shuffle(&mut rng::stream(*seed, "drift.online.centres", 0));
                Ok(order)
            }
            Self::Given(given) => {
                require_permutation("order of centres", 0, &given.centres, rows)?;
                Ok(given.centres.clone())
            }
        }
    }

    /// Returns the last `taken` of `rows` rows in the permutation of bootstrap `number`.
    pub(super) fn bootstrap(&self, number: usize, rows: usize, taken: usize) -> Vec<usize> {
        match self {
            Self::Seed(seed) => sample(*seed, "drift.online.bootstrap", number as u64, rows, taken),
            Self::Given(given) => given.bootstraps[number][rows - taken..].to_vec(),
        }
    }

    /// Returns the first split of `rows` rows that `fits`: its last `taken` rows.
    pub(super) fn split(
        &self,
        rows: usize,
        taken: usize,
        fits: impl Fn(&[usize]) -> bool,
    ) -> Result<Vec<usize>, Error> {
        let tries = match self {
            Self::Seed(_) => SPLITS_MAX as usize,
            Self::Given(given) => given.splits.len(),
        };
        for number in 0..tries {
            let tail = match self {
                Self::Seed(seed) => sample(*seed, "drift.online.split", number as u64, rows, taken),
                Self::Given(given) => given.splits[number][rows - taken..].to_vec(),
            };
            if fits(&tail) {
                return Ok(tail);
            }
        }
        Err(Error::NoSplit { tried: tries })
    }

    /// Returns the seed of what no permutation says.
    pub(super) fn seed(&self) -> u64 {
        match self {
            Self::Seed(seed) => *seed,
            Self::Given(_) => 0,
        }
    }
}

/// Which of 0..`rows` are not in `tail`, ascending.
pub(super) fn others(tail: &[usize], rows: usize) -> Vec<usize> {
    let mut free = vec![true; rows];
    for row in tail {
        free[*row] = false;
    }
    (0..rows).filter(|row| free[*row]).collect()
}

fn sample(seed: u64, name: &str, number: u64, rows: usize, taken: usize) -> Vec<usize> {
    index::sample(&mut rng::stream(seed, name, number), rows, taken).into_vec()
}

//! Which values a trial gets: a pure function of the space, the seed and the trial's number, so a
//! resumed sweep proposes what an uninterrupted one would. Imports: base, `sweep::space`.

pub mod grid;
pub mod random;

use crate::base::doc::Value;

use super::error::SweepError;
use super::space::Space;

/// How values are proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// All combinations.
    Grid,
    /// Independent draws.
    Random,
}

impl Method {
    /// Returns the name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Random => "random",
        }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// It is none, or one of a later version.
    pub fn parse(name: &str) -> Result<Self, SweepError> {
        match name {
            "grid" => Ok(Self::Grid),
            "random" => Ok(Self::Random),
            "tpe" | "cmaes" | "bayes" => Err(SweepError::new(
                "unsupported-method",
                format!("the method `{name}` is not supported by this version of cvops"),
            )
            .help("use `random` (any space) or `grid` (choices only)")),
            _ => {
                let near = crate::base::diag::nearest(name, ["grid", "random"]);
                Err(
                    SweepError::new("unknown-method", format!("there is no method `{name}`")).help(
                        match near {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => "use `grid` or `random`".to_owned(),
                        },
                    ),
                )
            }
        }
    }

    /// Returns how many trials there are, `None` if there is no end.
    ///
    /// # Errors
    /// A grid over an interval, or over more combinations than anyone could run.
    pub fn trials(self, space: &Space) -> Result<Option<u64>, SweepError> {
        match self {
            Self::Grid => grid::size(space).map(Some),
            Self::Random => Ok(None),
        }
    }

    /// Returns the values of trial `number` (from 1), one per dimension; `None` after the last.
    #[must_use]
    pub fn propose(self, space: &Space, seed: u64, number: u64) -> Option<Vec<Value>> {
        match self {
            Self::Grid => grid::propose(space, seed, number),
            Self::Random => Some(random::propose(space, seed, number)),
        }
    }
}

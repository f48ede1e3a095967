//! All combinations in the order of the parameters, the last one fastest. Imports: base, `sweep`.

use rand::seq::SliceRandom;

use crate::base::doc::Value;
use crate::base::rng;

use crate::experiment::sweep::domain::{Domain, Order};
use crate::experiment::sweep::error::SweepError;
use crate::experiment::sweep::space::Space;

/// Most combinations of a grid.
const SIZE_MAX: u64 = 1_000_000;

/// Returns the number of combinations.
///
/// # Errors
/// A parameter has an interval instead of choices, or there are too many combinations.
pub fn size(space: &Space) -> Result<u64, SweepError> {
    let mut size: u64 = 1;
    for dimension in &space.dimensions {
        match &dimension.domain {
            Domain::Choices { values, .. } => size = size.saturating_mul(values.len() as u64),
            Domain::Interval(interval) => {
                return Err(SweepError::new(
                    "grid-over-interval",
                    format!(
                        "a grid needs choices, and `{}` has the interval `{interval}`",
                        dimension.param
                    ),
                )
                .help("name the values (`range(2,7)`, `0.1,0.01`), or use `--method random`"));
            }
        }
    }
    if SIZE_MAX < size {
        return Err(SweepError::new(
            "grid-too-large",
            format!("this grid has {size} combinations; at most {SIZE_MAX} are tried"),
        )
        .help("name fewer values, or use `--method random --trials N`"));
    }
    Ok(size)
}

/// Returns combination `number`, counted from 1; `None` after the last.
#[must_use]
pub fn propose(space: &Space, seed: u64, number: u64) -> Option<Vec<Value>> {
    let mut left = number.checked_sub(1)?;
    let mut values = Vec::with_capacity(space.dimensions.len());
    for (index, dimension) in space.dimensions.iter().enumerate().rev() {
        let Domain::Choices {
            values: choices,
            order,
        } = &dimension.domain
        else {
            return None;
        };
        let count = choices.len() as u64;
        let place = (left % count) as usize;
        left /= count;
        values.push(match order {
            Order::Given => choices[place].clone(),
            Order::Shuffled => {
                let mut places: Vec<usize> = (0..choices.len()).collect();
                places.shuffle(&mut rng::stream(seed, "sweep.shuffle", index as u64));
                choices[places[place]].clone()
            }
        });
    }
    values.reverse();
    (left == 0).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::grammar;

    fn space(specs: &[&str]) -> Space {
        let overrides = specs.iter().map(|s| grammar::parse(s).unwrap()).collect();
        Space::of_overrides(overrides).unwrap()
    }

    #[test]
    fn the_last_parameter_varies_fastest() {
        let space = space(&["a=1,2", "b=x,y,z"]);
        assert_eq!(size(&space), Ok(6));
        let all: Vec<String> = (1..)
            .map_while(|n| propose(&space, 0, n))
            .map(|v| Value::List(v).to_string())
            .collect();
        assert_eq!(
            all,
            [
                r#"[1, "x"]"#,
                r#"[1, "y"]"#,
                r#"[1, "z"]"#,
                r#"[2, "x"]"#,
                r#"[2, "y"]"#,
                r#"[2, "z"]"#
            ]
        );
        assert_eq!(propose(&space, 0, 0), None);
    }

    #[test]
    fn a_shuffled_parameter_takes_each_value_once() {
        let space = space(&["a=shuffle(range(20))"]);
        let of_seed = |seed| -> Vec<i64> {
            (1..=20)
                .filter_map(|n| propose(&space, seed, n)?[0].as_i64())
                .collect()
        };
        let mut sorted = of_seed(1);
        assert_ne!(sorted, of_seed(2));
        assert_eq!(sorted, of_seed(1));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn an_interval_or_a_million_are_refused() {
        assert!(
            size(&space(&["a=interval(0,1)"]))
                .unwrap_err()
                .to_string()
                .contains("`a`")
        );
        assert!(size(&space(&["a=range(2000)", "b=range(2000)"])).is_err());
    }
}

//! Independent draws: trial n draws from stream n of the seed, one value per parameter in their
//! order. Imports: base, `sweep`.

use rand::RngExt;

use crate::base::doc::Value;
use crate::base::rng::{self, ChaCha8Rng};

use crate::experiment::sweep::domain::{Domain, Interval, Number, Spread};
use crate::experiment::sweep::space::Space;

/// Significant digits of a drawn number: enough for any search, and readable in a params file.
const DIGITS: usize = 6;

/// Returns the values of trial `number`.
#[must_use]
pub fn propose(space: &Space, seed: u64, number: u64) -> Vec<Value> {
    let mut rng = rng::stream(seed, "sweep.random", number);
    space
        .dimensions
        .iter()
        .map(|d| draw(&mut rng, &d.domain))
        .collect()
}

fn draw(rng: &mut ChaCha8Rng, domain: &Domain) -> Value {
    match domain {
        Domain::Choices { values, .. } => values[rng.random_range(0..values.len())].clone(),
        Domain::Interval(interval) => within(rng.random::<f64>(), interval),
    }
}

/// Returns the number at `share` (0 to 1) of the way through the interval.
fn within(share: f64, interval: &Interval) -> Value {
    let Interval {
        low,
        high,
        spread,
        number,
    } = *interval;
    // A whole number stands for the half on either side of it, so that the ends are as likely as
    // the others.
    let (from, to) = match number {
        Number::Float => (low, high),
        Number::Int => (low - 0.5, high + 0.5),
    };
    let drawn = match spread {
        // Not `from + share * (to - from)`: the width of a wide interval is no finite number.
        Spread::Linear => from * (1.0 - share) + to * share,
        Spread::Log => (from.ln() + share * (to.ln() - from.ln())).exp(),
    };
    match number {
        Number::Int => Value::Int(drawn.round().clamp(low, high) as i64),
        Number::Float => {
            let short = format!("{drawn:.*e}", DIGITS - 1).parse().unwrap_or(drawn);
            Value::Float(f64::clamp(short, low, high))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::grammar;
    use proptest::prelude::*;

    fn space(specs: &[&str]) -> Space {
        let overrides = specs.iter().map(|s| grammar::parse(s).unwrap()).collect();
        Space::of_overrides(overrides).unwrap()
    }

    #[test]
    fn draws_depend_on_seed_and_number_only() {
        let space = space(&[
            "a=interval(0,1)",
            "b=tag(log,interval(1e-4,1e-1))",
            "c=x,y",
            "d=int(interval(2,6))",
        ]);
        assert_eq!(propose(&space, 7, 3), propose(&space, 7, 3));
        assert_ne!(propose(&space, 7, 3), propose(&space, 7, 4));
        assert_ne!(propose(&space, 7, 3), propose(&space, 8, 3));
    }

    #[test]
    fn the_widest_interval_has_a_middle() {
        let space = space(&["a=interval(-1.7e308,1.7e308)"]);
        let draws = (0..50).filter_map(|n| propose(&space, 1, n)[0].as_f64());
        let inner = draws.filter(|x| x.abs() < 1.69e308).count();
        assert!(40 < inner, "{inner}");
    }

    #[test]
    fn whole_numbers_are_equally_likely_and_log_ones_by_ratio() {
        let space = space(&["d=int(interval(2,6))", "l=tag(log,interval(1e-4,1))"]);
        let (mut counts, mut below) = ([0_u32; 7], 0);
        for n in 0..5000 {
            let values = propose(&space, 1, n);
            counts[values[0].as_i64().unwrap() as usize] += 1;
            below += u32::from(values[1].as_f64().unwrap() < 1e-2);
        }
        assert!(
            counts[..2] == [0, 0] && counts[2..].iter().all(|c| (900..1100).contains(c)),
            "{counts:?}"
        );
        assert!((2350..2650).contains(&below), "{below}");
    }

    proptest! {
        #[test]
        fn draws_stay_inside(low in -1e3..1e3f64, width in 0.0..1e3f64, share in 0.0..1.0f64, int: bool) {
            let (low, high) = if int { (low.round(), (low + width).round()) } else { (low, low + width) };
            let number = if int { Number::Int } else { Number::Float };
            let spread = if 1.0 <= low { Spread::Log } else { Spread::Linear };
            let value = within(share, &Interval { low, high, spread, number }).as_f64().unwrap();
            prop_assert!(low <= value && value <= high);
        }
    }
}

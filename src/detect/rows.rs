//! Which rows of a sample are taken where all would be too many. Imports: `base::rng`, drift.

use rand::seq::index;

use crate::base::rng;
use crate::drift::{Error, Sample};

/// Returns `most` of `rows` rows, ascending, drawn from the stream `name` of `seed`; all of them, if there are no more.
pub(super) fn choose(rows: usize, most: usize, seed: u64, name: &str) -> Vec<usize> {
    if rows <= most {
        return (0..rows).collect();
    }
    let mut rng = rng::stream(seed, name, 0);
    let mut chosen = index::sample(&mut rng, rows, most).into_vec();
    chosen.sort_unstable();
    chosen
}

/// Returns the numbers of `rows` rows in an order drawn from the stream `name` of `seed`.
pub(super) fn shuffled(rows: usize, seed: u64, name: &str) -> Vec<usize> {
    let mut rng = rng::stream(seed, name, 0);
    index::sample(&mut rng, rows, rows).into_vec()
}

/// Returns these rows of `sample`.
///
/// # Errors
/// There are none.
///
/// # Panics
/// One is not there.
pub(super) fn pick(sample: &Sample, rows: &[usize]) -> Result<Sample, Error> {
    let values = rows.iter().flat_map(|row| sample.row(*row)).copied();
    Sample::new(values.collect(), sample.width())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_all_and_many_are_a_draw() {
        assert_eq!(choose(3, 3, 1, "t"), [0, 1, 2]);
        let chosen = choose(1000, 10, 1, "t");
        assert!(chosen.len() == 10 && chosen.is_sorted_by(|a, b| a < b));
        assert_eq!(chosen, choose(1000, 10, 1, "t"));
        assert_ne!(chosen, choose(1000, 10, 2, "t"));
        let mut order = shuffled(100, 1, "t");
        assert!(order == shuffled(100, 1, "t") && !order.is_sorted());
        order.sort_unstable();
        assert_eq!(order, choose(100, 100, 1, "t"));
        let sample = Sample::new((0..8).map(f64::from).collect(), 2).unwrap();
        assert_eq!(
            pick(&sample, &[1, 3]).unwrap().values(),
            [2.0, 3.0, 6.0, 7.0]
        );
    }
}

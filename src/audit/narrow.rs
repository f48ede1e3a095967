//! Fewer numbers in place of many, so that what a network makes of all pictures fits into memory: the
//! count sketch of Charikar, Chen and Farach-Colton (2002), also known as feature hashing. Every number is
//! added, with a sign, to one of a few; which one, and the sign, are drawn once. Scalar products, and with
//! them distances and angles, are on average as they were. Pure. Imports: base.

use rand::RngExt;

use crate::base::rng;

/// How rows of numbers become shorter ones.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Narrow {
    /// Of each number: where it is added, and its sign.
    places: Vec<(usize, f32)>,
    width: usize,
}

impl Narrow {
    /// Draws how `from` numbers become `to`, at least 1.
    pub(super) fn new(from: usize, to: usize, seed: u64) -> Self {
        let mut rng = rng::stream(seed, "audit.narrow", 0);
        let places = (0..from).map(|_| {
            let place = rng.random_range(0..to);
            let sign = if rng.random::<bool>() { 1.0 } else { -1.0 };
            (place, sign)
        });
        Self {
            places: places.collect(),
            width: to,
        }
    }

    /// Returns the short rows of `rows`, which have as many numbers each as was said, one after the other.
    pub(super) fn rows(&self, rows: &[f32]) -> Vec<f32> {
        let short = rows.chunks_exact(self.places.len().max(1)).map(|row| {
            let mut short = vec![0.0; self.width];
            for ((place, sign), value) in self.places.iter().zip(row) {
                short[*place] += sign * value;
            }
            short
        });
        short.flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
    }

    #[test]
    fn distances_stay_nearly_as_they_were() {
        let mut rng = rng::stream(3, "test.audit.narrow", 0);
        let wide: Vec<f32> = (0..12 * 4000).map(|_| rng.random::<f32>()).collect();
        let narrow = Narrow::new(4000, 512, 1);
        let short = narrow.rows(&wide);
        assert_eq!(short.len(), 12 * 512);
        let (wide, short): (Vec<_>, Vec<_>) =
            (wide.chunks(4000).collect(), short.chunks(512).collect());
        for other in 1..12 {
            let ratio = distance(short[0], short[other]) / distance(wide[0], wide[other]);
            // Its standard deviation is √(2 / 512), 0.06.
            assert!((0.75..1.25).contains(&ratio), "{ratio}");
        }
        assert_eq!(narrow, Narrow::new(4000, 512, 1));
        assert_ne!(narrow, Narrow::new(4000, 512, 2));
    }
}

//! How much two fitted pictures are alike: the difference of their values, and their correlation.
//!
//! Most pairs need not be compared value by value: the mean values of 8 × 8 cells say at once that they
//! are too far apart. By Jensen's inequality the mean square difference of cell means, weighted by the
//! size of the cells, is at most that of the values, so no pair that is alike is lost. The correlation r
//! is as good: of values with mean 0 and deviation 1 the mean square difference is 2(1 − r).
//! Imports: vision, `audit::{dhash, params}`.

use crate::vision::image::Pixels;

use super::dhash::{cells, part};
use super::params::NearParams;

/// Cells per side.
const SIDE: usize = 8;
/// Cells of a picture.
const CELLS: usize = SIDE * SIDE;
/// For the rounding of cell means, relative.
const SLACK: f32 = 1.001;
/// Values whose squared differences are added up in 32 bits.
const BLOCK: usize = 4096;

/// What is known of a picture before it is compared.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    /// Mean of all values, 0..=255.
    pub(super) mean: f64,
    /// Their deviation.
    pub(super) deviation: f64,
    /// Their greatest less their least.
    range: f64,
    /// Means of the cells, times the root of their part of the picture.
    cells: [f32; CELLS],
    /// The same of values with mean 0 and deviation 1.
    standard: [f32; CELLS],
}

/// How much two pictures are alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Likeness {
    /// Root mean square difference, as a part of the greater range of the two.
    pub(super) rmse: f64,
    /// Pearson's correlation; none if a picture has one value only.
    pub(super) correlation: Option<f64>,
}

impl Sketch {
    /// Sketches picture `index`.
    pub(super) fn new(pixels: &Pixels, index: usize) -> Self {
        let image = pixels.image(index);
        let count = image.len() as f64;
        let sum: u64 = image.iter().map(|&v| u64::from(v)).sum();
        let squares: u64 = image.iter().map(|&v| u64::from(v).pow(2)).sum();
        let mean = sum as f64 / count;
        let deviation = (squares as f64 / count - mean * mean).max(0.0).sqrt();
        let (least, most) = image
            .iter()
            .fold((u8::MAX, u8::MIN), |(a, b), &v| (a.min(v), b.max(v)));
        let mut sketch = Self {
            mean,
            deviation,
            range: f64::from(most) - f64::from(least),
            cells: [0.0; CELLS],
            standard: [0.0; CELLS],
        };
        let means = cells(pixels, index, SIDE, SIDE);
        let length = |at: usize, side: usize| {
            let (from, to) = part(at, SIDE, side);
            (to - from) as f32 / side as f32
        };
        for (at, cell) in means.into_iter().enumerate() {
            let weight = length(at / SIDE, pixels.height()) * length(at % SIDE, pixels.width());
            sketch.cells[at] = weight.sqrt() * cell;
            if 0.0 < deviation {
                sketch.standard[at] = weight.sqrt() * ((f64::from(cell) - mean) / deviation) as f32;
            }
        }
        sketch
    }

    /// May the two be alike?
    pub(super) fn may_be_near(&self, other: &Self, near: &NearParams) -> bool {
        let correlated = SLACK * (2.0 * (1.0 - near.correlation_min)) as f32;
        if 0.0 < self.deviation
            && 0.0 < other.deviation
            && squared_distance(&self.standard, &other.standard) <= correlated
        {
            return true;
        }
        let most = near.rmse_max * self.range.max(other.range);
        squared_distance(&self.cells, &other.cells) <= SLACK * (most * most) as f32
    }
}

fn squared_distance(a: &[f32; CELLS], b: &[f32; CELLS]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

impl Likeness {
    /// Compares two pictures, whose sketches are given, value by value.
    pub(super) fn of(a: (&[u8], &Sketch), b: (&[u8], &Sketch)) -> Self {
        let ((a, sketch_a), (b, sketch_b)) = (a, b);
        let blocks = a.chunks(BLOCK).zip(b.chunks(BLOCK));
        let squares: u64 = blocks.map(|(a, b)| u64::from(squares(a, b))).sum();
        let square = squares as f64 / a.len() as f64;
        let rmse = if squares == 0 {
            0.0
        } else {
            square.sqrt() / sketch_a.range.max(sketch_b.range) // infinite for two constants
        };
        // Σ(a − b)² = Σa² + Σb² − 2Σab
        let deviations = sketch_a.deviation * sketch_b.deviation;
        let covariance = (sketch_a.deviation.powi(2)
            + sketch_b.deviation.powi(2)
            + (sketch_a.mean - sketch_b.mean).powi(2)
            - square)
            / 2.0;
        Self {
            rmse,
            correlation: (0.0 < deviations).then(|| (covariance / deviations).clamp(-1.0, 1.0)),
        }
    }

    /// Are they nearly the same picture?
    pub(super) fn is_near(self, near: &NearParams) -> bool {
        self.rmse <= near.rmse_max || self.correlation.is_some_and(|r| near.correlation_min <= r)
    }
}

/// Returns the sum of squared differences of up to `BLOCK` values.
fn squares(a: &[u8], b: &[u8]) -> u32 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2))
        .sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn likeness(a: &[u8], b: &[u8], side: usize) -> (Likeness, bool) {
        let data = [a, b].concat();
        let pixels = Pixels::from_data(side, side, a.len() / side / side, data).unwrap();
        let (one, two) = (Sketch::new(&pixels, 0), Sketch::new(&pixels, 1));
        let likeness = Likeness::of((pixels.image(0), &one), (pixels.image(1), &two));
        (likeness, one.may_be_near(&two, &NearParams::USUAL))
    }

    #[test]
    fn a_brighter_copy_is_near_and_its_negative_is_not() {
        let a: Vec<u8> = (0..12 * 12).map(|at| (at * 37 % 101) as u8).collect();
        let with = |change: &dyn Fn(u8) -> u8| a.iter().map(|&v| change(v)).collect::<Vec<u8>>();
        let (brighter, maybe) = likeness(&a, &with(&|v| v + 2), 12);
        assert!(maybe && brighter.is_near(&NearParams::USUAL));
        assert!((brighter.rmse - 0.02).abs() < 1e-12, "2 of a range of 100");
        assert!((brighter.correlation.unwrap() - 1.0).abs() < 1e-9);
        let (stronger, maybe) = likeness(&a, &with(&|v| v * 2), 12);
        assert!(
            maybe
                && stronger.is_near(&NearParams::USUAL)
                && NearParams::USUAL.rmse_max < stronger.rmse
        );
        let (negative, _) = likeness(&a, &with(&|v| 100 - v), 12);
        assert!(!negative.is_near(&NearParams::USUAL));
        assert!((negative.correlation.unwrap() + 1.0).abs() < 1e-9);
    }

    #[test]
    fn pictures_of_one_value_are_near_only_if_equal() {
        let of = |a: u8, b: u8| likeness(&[a; 64], &[b; 64], 8);
        assert_eq!(
            of(7, 7).0,
            Likeness {
                rmse: 0.0,
                correlation: None
            }
        );
        assert!(of(7, 7).0.is_near(&NearParams::USUAL) && of(7, 7).1);
        assert!(!of(7, 8).0.is_near(&NearParams::USUAL));
    }

    proptest! {
        /// What the sketches rule out is not near.
        #[test]
        fn no_near_pair_is_ruled_out(
            a in prop::collection::vec(any::<u8>(), 11 * 11 * 3),
            noise in prop::collection::vec(-1.0..1.0_f64, 11 * 11 * 3),
            strength in 0.0..40.0_f64,
            scale in 0.2..1.2_f64,
        ) {
            let b: Vec<u8> = a
                .iter()
                .zip(&noise)
                .map(|(&v, n)| (f64::from(v) * scale + n * strength).clamp(0.0, 255.0) as u8)
                .collect();
            let (found, maybe) = likeness(&a, &b, 11);
            prop_assert!(maybe || !found.is_near(&NearParams::USUAL), "{found:?}");
        }
    }
}

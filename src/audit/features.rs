//! What the probe sees of pictures: what a network makes of them before its last layer, or, without a
//! network, the principal components of their pixels.
//! Imports: base, drift, vision, `audit::{asking, error}`.

use rand::seq::index;
use rayon::prelude::*;
use serde::Serialize;

use crate::base::{Cancel, rng};
use crate::drift::reduction::{Components, Pca};
use crate::drift::{self, Sample};
use crate::vision;
use crate::vision::image::Pixels;

use super::asking::Seen;
use super::error::Error;

/// Features that are taken as they are; of more, the principal components are.
const WIDTH_MAX: usize = 128;
/// Principal components.
const COMPONENTS: usize = 64;
/// Rows from which components are found: enough for as many directions.
const FIT_ROWS_MAX: usize = 2_000;
/// Cells per side of the grid whose means stand for the pixels.
const GRID: usize = 16;
/// Pictures that are turned into components at a time.
const PORTION: usize = 512;

/// Where features come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureSource {
    /// The activations before the last layer of a network.
    Embedding,
    /// The logits of a network that does not show its activations.
    Logits,
    /// The principal components of the pixels.
    Pixels,
}

/// Whether features can be compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Units {
    /// Each has its own; how much it varies says nothing.
    Own,
    /// All have the same: principal components, of which those that hardly vary are noise.
    Common,
}

/// Numbers that stand for pictures, all finite.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Features {
    values: Vec<f32>,
    width: usize,
    source: FeatureSource,
    units: Units,
}

impl Features {
    /// Takes what a network makes of the pictures.
    ///
    /// # Errors
    /// All pictures give the same.
    pub(super) fn of_network(seen: Seen, seed: u64, cancel: &Cancel) -> Result<Self, Error> {
        let Seen {
            values,
            width,
            source,
        } = seen;
        let features = Self::new(values, width, source)?;
        if width <= WIDTH_MAX {
            return Ok(features);
        }
        let row = |row: usize| to_f64(&features.values[row * width..(row + 1) * width]);
        let rows = features.values.len() / width;
        Self::components(rows, &row, source, seed, cancel)
    }

    /// Takes the principal components of the means over the cells of a 16×16 grid: finer detail hardly
    /// enters a linear classifier, but makes the components slow to find.
    ///
    /// # Errors
    /// All pictures are the same.
    pub(super) fn of_pixels(pixels: &Pixels, seed: u64, cancel: &Cancel) -> Result<Self, Error> {
        let grid = Grid::new(pixels);
        let row = |row: usize| grid.means(pixels.image(row));
        Self::components(pixels.count(), &row, FeatureSource::Pixels, seed, cancel)
    }

    fn components(
        rows: usize,
        row: &(impl Fn(usize) -> Vec<f64> + Sync),
        source: FeatureSource,
        seed: u64,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let mut drawn: Vec<usize> = if rows <= FIT_ROWS_MAX {
            (0..rows).collect()
        } else {
            let mut rng = rng::stream(seed, "audit.components", 0);
            index::sample(&mut rng, rows, FIT_ROWS_MAX).into_vec()
        };
        drawn.sort_unstable();
        let width = row(0).len();
        let sample = |rows: &[usize]| {
            let values = rows.iter().flat_map(|at| row(*at)).collect();
            Sample::new(values, width)
        };
        let failed = |source: drift::Error| Error::Statistics {
            what: "the principal components of the pictures",
            source,
        };
        let fitted = sample(&drawn).map_err(failed)?;
        // A picture less than there are: the centred rows add up to 0.
        let count = COMPONENTS.min(width).min(drawn.len().saturating_sub(1));
        let pca = Pca::fit(&fitted, Components::Count(count.max(1))).map_err(failed)?;
        let all: Vec<usize> = (0..rows).collect();
        let portions: Vec<Vec<f32>> = all
            .par_chunks(PORTION)
            .map(|rows| {
                if let Some(reason) = cancel.reason() {
                    return Err(Error::Vision(vision::Error::Cancelled(reason)));
                }
                transformed(&pca, &sample(rows).map_err(failed)?).map_err(failed)
            })
            .collect::<Result<_, Error>>()?;
        let components = Self::new(portions.concat(), pca.components(), source)?;
        Ok(Self {
            units: Units::Common,
            ..components
        })
    }

    /// Takes rows of `width` numbers.
    ///
    /// # Errors
    /// There are none, or one is not finite.
    pub(super) fn new(
        values: Vec<f32>,
        width: usize,
        source: FeatureSource,
    ) -> Result<Self, Error> {
        let problem = match values.iter().position(|value| !value.is_finite()) {
            _ if width == 0 || values.is_empty() || !values.len().is_multiple_of(width) => {
                drift::Error::Ragged {
                    values: values.len(),
                    width,
                }
            }
            Some(at) => drift::Error::NotFinite {
                row: at / width,
                column: at % width,
                value: values[at].into(),
            },
            None => {
                return Ok(Self {
                    values,
                    width,
                    source,
                    units: Units::Own,
                });
            }
        };
        Err(Error::Statistics {
            what: "a classifier of the pictures' features",
            source: problem,
        })
    }

    /// Returns the features of each picture.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }

    /// Returns the number of features.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Returns whether they can be compared with each other.
    pub(super) fn units(&self) -> Units {
        self.units
    }

    /// Returns where they come from.
    pub(super) fn source(&self) -> FeatureSource {
        self.source
    }
}

fn transformed(pca: &Pca, sample: &Sample) -> Result<Vec<f32>, drift::Error> {
    let reduced = pca.transform(sample)?;
    Ok(reduced.values().iter().map(|value| *value as f32).collect())
}

fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// Cuts pictures into cells: at most `GRID` per side, as equal as whole pixels allow.
struct Grid {
    height: usize,
    width: usize,
    channels: usize,
}

impl Grid {
    fn new(pixels: &Pixels) -> Self {
        Self {
            height: pixels.height(),
            width: pixels.width(),
            channels: pixels.channels(),
        }
    }

    /// Returns the mean of each cell and channel, `[rows, columns, channels]`, 0..=255.
    fn means(&self, picture: &[u8]) -> Vec<f64> {
        let (rows, columns) = (self.height.min(GRID), self.width.min(GRID));
        let mut sums = vec![0.0; rows * columns * self.channels];
        let mut counts = vec![0.0; rows * columns];
        for y in 0..self.height {
            for x in 0..self.width {
                let cell = y * rows / self.height * columns + x * columns / self.width;
                counts[cell] += 1.0;
                for channel in 0..self.channels {
                    let value = picture[(y * self.width + x) * self.channels + channel];
                    sums[cell * self.channels + channel] += f64::from(value);
                }
            }
        }
        for (sums, count) in sums.chunks_exact_mut(self.channels).zip(counts) {
            for sum in sums {
                *sum /= count;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_all_pixels_once() {
        // 35 pixels on 16 cells: two or three in each.
        let pixels = Pixels::from_data(35, 35, 1, vec![9; 35 * 35]).unwrap();
        let means = Grid::new(&pixels).means(pixels.image(0));
        assert_eq!(means, vec![9.0; 256]);
        let small = Pixels::from_data(1, 2, 3, vec![1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(
            Grid::new(&small).means(small.image(0)),
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        );
    }

    #[test]
    fn pictures_of_two_kinds_lie_apart() {
        let data = (0..40_usize)
            .flat_map(|picture| {
                (0..64).map(move |at| {
                    if (at < 32) == (picture % 2 == 0) {
                        200
                    } else {
                        (picture + at) as u8
                    }
                })
            })
            .collect();
        let pixels = Pixels::from_data(8, 8, 1, data).unwrap();
        let features = Features::of_pixels(&pixels, 1, &Cancel::new()).unwrap();
        assert_eq!(features.rows().len(), 40);
        assert!(features.width() <= COMPONENTS);
        let first: Vec<f32> = features.rows().map(|row| row[0]).collect();
        let sign = first[0].signum();
        for (picture, value) in first.iter().enumerate() {
            let expected = if picture % 2 == 0 { sign } else { -sign };
            assert_eq!(value.signum(), expected, "{first:?}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        let new = |values| Features::new(values, 2, FeatureSource::Embedding);
        assert!(new(vec![1.0, 2.0]).is_ok());
        for values in [vec![], vec![1.0], vec![1.0, f32::NAN]] {
            assert!(new(values).is_err());
        }
    }

    #[test]
    fn pictures_that_are_all_the_same_are_an_error() {
        let pixels = Pixels::from_data(4, 4, 1, vec![7; 160]).unwrap();
        let error = Features::of_pixels(&pixels, 1, &Cancel::new()).unwrap_err();
        assert!(error.to_string().contains("all equal"), "{error}");
    }
}

//! Training pictures, a little different in every epoch: pure functions of picture, parameters and
//! random stream. Imports: `base::{doc, rng}`.
//!
//! The parts apply in a fixed order, and all their random numbers are always drawn, so switching
//! one on leaves the others' draws as they were:
//!
//! 1. *crop*: pad by up to `crop` pixels with the mirror image, cut the original size out again;
//! 2. *rotate* about the centre by up to ± `rotate` degrees, bilinear, edges repeated;
//! 3. *shift* by up to ± `shift` whole pixels in each direction, edges repeated;
//! 4. *flip* left and right with probability `flip`.
//!
//! They are evaluated backwards, for each output pixel in one pass: crop and flip are index tables.

use rand::RngExt;

use crate::base::doc::Fields;
use crate::base::rng::{self, ChaCha8Rng};

const SCALE: f32 = 1.0 / 255.0;

/// The section `train.augment` of params.yaml. Everything is off by default.
///
/// | key | meaning | values | default |
/// |---|---|---|---|
/// | `flip` | probability of a mirrored picture | 0 to 1 | 0 |
/// | `shift` | largest shift in pixels | 0 to 16 | 0 |
/// | `rotate` | largest rotation in degrees | 0 to 45 | 0 |
/// | `crop` | padding of the random crop in pixels | 0 to 16 | 0 |
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AugmentParams {
    /// Probability of a mirrored picture, 0..=1.
    pub flip: f64,
    /// Largest shift in pixels.
    pub shift: u32,
    /// Largest rotation in degrees, 0..=45.
    pub rotate: f64,
    /// Padding of the random crop in pixels.
    pub crop: u32,
}

impl AugmentParams {
    /// Reads the section; problems are collected in the fields' `Problems`.
    #[must_use]
    pub fn read(fields: Fields<'_, '_>) -> Self {
        let params = Self {
            flip: fields.float("flip", 0.0, 0.0..=1.0),
            shift: fields.int("shift", 0, 0..=16) as u32,
            rotate: fields.float("rotate", 0.0, 0.0..=45.0),
            crop: fields.int("crop", 0, 0..=16) as u32,
        };
        fields.finish();
        params
    }

    /// Is everything off, so that `augment` would only scale?
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }
}

/// Height, width and channels of a picture in row-major order (HWC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Values per pixel.
    pub channels: usize,
}

impl Shape {
    /// Returns the number of values.
    #[must_use]
    pub fn values(&self) -> usize {
        self.height * self.width * self.channels
    }
}

/// Writes `image` as values 0..=1, unchanged otherwise: what is done to pictures that are judged.
///
/// # Panics
/// If the two have different lengths.
pub fn scale(image: &[u8], out: &mut [f32]) {
    assert_eq!(image.len(), out.len(), "a picture keeps its size");
    for (to, &from) in out.iter_mut().zip(image) {
        *to = f32::from(from) * SCALE;
    }
}

/// Returns the random stream of training picture `member` in `epoch` (from 0) of a training with
/// `seed`: one of its own for each, so that threads cannot matter and a page can show what was seen.
#[must_use]
pub fn dice(seed: u64, epoch: usize, member: usize) -> ChaCha8Rng {
    rng::stream(seed, "augment", (epoch as u64) << 32 | member as u64)
}

/// What the dice said for one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Draw {
    flip: bool,
    shift: [isize; 2],
    radians: f64,
    crop: [isize; 2],
}

impl Draw {
    fn new(params: &AugmentParams, rng: &mut ChaCha8Rng) -> Self {
        let flip = rng.random::<f64>() < params.flip;
        let mut pixels = |most: u32| {
            let most = i64::from(most);
            // `random_range` draws nothing for a single value; the stream must move on all the same.
            let step = (rng.random::<f64>() * (2 * most + 1) as f64).floor() as i64 - most;
            step.min(most) as isize
        };
        let shift = [pixels(params.shift), pixels(params.shift)];
        let crop = [pixels(params.crop), pixels(params.crop)];
        let radians = ((rng.random::<f64>() * 2.0 - 1.0) * params.rotate).to_radians();
        Self {
            flip,
            shift,
            radians,
            crop,
        }
    }
}

/// Writes a randomly changed copy of `image` (`[height, width, channels]`) as values 0..=1.
///
/// The result is a function of the three inputs: give each picture its own stream, and it does not
/// matter which thread changes it.
///
/// # Panics
/// If `image` or `out` has another length than `shape`.
pub fn augment(
    image: &[u8],
    shape: Shape,
    params: &AugmentParams,
    rng: &mut ChaCha8Rng,
    out: &mut [f32],
) {
    assert_eq!(
        (image.len(), out.len()),
        (shape.values(), shape.values()),
        "pictures fill their shape"
    );
    let draw = Draw::new(params, rng);
    let source = Cropped {
        image,
        shape,
        crop: draw.crop,
    };
    if draw.radians == 0.0 {
        move_whole_pixels(&source, &draw, out);
    } else {
        turn(&source, &draw, out);
    }
}

/// A picture seen through its random crop: coordinates are clamped to the edge, then mirrored into
/// the picture.
struct Cropped<'a> {
    image: &'a [u8],
    shape: Shape,
    crop: [isize; 2],
}

impl Cropped<'_> {
    fn row_start(&self, y: isize) -> usize {
        let row = inside(y, self.crop[0], self.shape.height);
        row * self.shape.width * self.shape.channels
    }

    fn column_start(&self, x: isize) -> usize {
        inside(x, self.crop[1], self.shape.width) * self.shape.channels
    }
}

/// Returns where coordinate `at` of the cropped picture lies in the original.
fn inside(at: isize, crop: isize, length: usize) -> usize {
    let length = length as isize;
    mirror(at.clamp(0, length - 1) + crop, length) as usize
}

/// Mirrors a coordinate at the edges without repeating them (`… 2 1 | 0 1 2`), as often as needed.
fn mirror(at: isize, length: isize) -> isize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length - 1);
    let at = at.rem_euclid(period);
    if at < length { at } else { period - at }
}

fn move_whole_pixels(source: &Cropped<'_>, draw: &Draw, out: &mut [f32]) {
    let Shape {
        width, channels, ..
    } = source.shape;
    let columns: Vec<usize> = (0..width)
        .map(|x| source.column_start(unflipped(x, draw, width) - draw.shift[1]))
        .collect();
    for (y, row) in out.chunks_exact_mut(width * channels).enumerate() {
        let from = source.row_start(y as isize - draw.shift[0]);
        let from = &source.image[from..from + width * channels];
        for (pixel, &column) in row.chunks_exact_mut(channels).zip(&columns) {
            scale(&from[column..column + channels], pixel);
        }
    }
}

fn unflipped(x: usize, draw: &Draw, width: usize) -> isize {
    (if draw.flip { width - 1 - x } else { x }) as isize
}

fn turn(source: &Cropped<'_>, draw: &Draw, out: &mut [f32]) {
    let Shape {
        height,
        width,
        channels,
    } = source.shape;
    // One entry on each side: the clamped neighbours of a sample outside.
    let table = |length: usize, start: &dyn Fn(isize) -> usize| -> Vec<usize> {
        (0..=length).map(|i| start(i as isize)).collect()
    };
    let rows = table(height, &|y| source.row_start(y));
    let columns = table(width, &|x| source.column_start(x));
    let (sin, cos) = draw.radians.sin_cos();
    let (sin, cos) = (sin as f32, cos as f32);
    let (bottom, right) = ((height - 1) as f32, (width - 1) as f32);
    let (centre_y, centre_x) = (bottom / 2.0, right / 2.0);
    for (y, row) in out.chunks_exact_mut(width * channels).enumerate() {
        let down = (y as isize - draw.shift[0]) as f32 - centre_y;
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let along = (unflipped(x, draw, width) - draw.shift[1]) as f32 - centre_x;
            let from_y = (cos * down - sin * along + centre_y).clamp(0.0, bottom);
            let from_x = (sin * down + cos * along + centre_x).clamp(0.0, right);
            let (top, left) = (from_y as usize, from_x as usize);
            let (dy, dx) = (from_y - top as f32, from_x - left as f32);
            let corners = [
                (rows[top] + columns[left], (1.0 - dy) * (1.0 - dx)),
                (rows[top] + columns[left + 1], (1.0 - dy) * dx),
                (rows[top + 1] + columns[left], dy * (1.0 - dx)),
                (rows[top + 1] + columns[left + 1], dy * dx),
            ];
            for (c, value) in pixel.iter_mut().enumerate() {
                let sum: f32 = corners
                    .iter()
                    .map(|&(at, weight)| f32::from(source.image[at + c]) * weight)
                    .sum();
                *value = sum * SCALE;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::stream;

    const SHAPE: Shape = Shape {
        height: 3,
        width: 4,
        channels: 1,
    };
    const IMAGE: [u8; 12] = [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23];

    fn with(draw: Draw) -> Vec<u8> {
        let mut out = vec![0.0; SHAPE.values()];
        let source = Cropped {
            image: &IMAGE,
            shape: SHAPE,
            crop: draw.crop,
        };
        if draw.radians == 0.0 {
            move_whole_pixels(&source, &draw, &mut out);
        } else {
            turn(&source, &draw, &mut out);
        }
        out.iter().map(|v| (v * 255.0).round() as u8).collect()
    }

    const STILL: Draw = Draw {
        flip: false,
        shift: [0, 0],
        radians: 0.0,
        crop: [0, 0],
    };

    #[test]
    fn each_part_moves_pixels_as_it_says() {
        for (draw, expected) in [
            (STILL, IMAGE),
            (
                Draw {
                    flip: true,
                    ..STILL
                },
                [3, 2, 1, 0, 13, 12, 11, 10, 23, 22, 21, 20],
            ),
            // Down and to the right, edges repeated.
            (
                Draw {
                    shift: [1, 1],
                    ..STILL
                },
                [0, 0, 1, 2, 0, 0, 1, 2, 10, 10, 11, 12],
            ),
            (
                Draw {
                    shift: [0, -2],
                    ..STILL
                },
                [2, 3, 3, 3, 12, 13, 13, 13, 22, 23, 23, 23],
            ),
            // Cut out further down and to the right, the rest is the mirror image.
            (
                Draw {
                    crop: [1, 1],
                    ..STILL
                },
                [11, 12, 13, 12, 21, 22, 23, 22, 11, 12, 13, 12],
            ),
            (
                Draw {
                    crop: [-1, 0],
                    ..STILL
                },
                [10, 11, 12, 13, 0, 1, 2, 3, 10, 11, 12, 13],
            ),
            (
                Draw {
                    radians: std::f64::consts::PI,
                    ..STILL
                },
                [23, 22, 21, 20, 13, 12, 11, 10, 3, 2, 1, 0],
            ),
        ] {
            assert_eq!(with(draw), expected, "{draw:?}");
        }
    }

    #[test]
    fn turning_by_almost_nothing_is_almost_nothing() {
        assert_eq!(
            with(Draw {
                radians: 1e-9,
                ..STILL
            }),
            IMAGE
        );
        let moved = Draw {
            shift: [1, -1],
            crop: [1, 1],
            flip: true,
            ..STILL
        };
        assert_eq!(
            with(Draw {
                radians: 1e-9,
                ..moved
            }),
            with(moved)
        );
    }

    #[test]
    fn off_only_scales_and_one_stream_gives_one_result() {
        let run = |params: &AugmentParams, index| {
            let mut out = vec![0.0; SHAPE.values()];
            augment(
                &IMAGE,
                SHAPE,
                params,
                &mut stream(1, "augment", index),
                &mut out,
            );
            out
        };
        let mut plain = vec![0.0; SHAPE.values()];
        scale(&IMAGE, &mut plain);
        assert_eq!(run(&AugmentParams::default(), 0), plain);
        let all = AugmentParams {
            flip: 0.5,
            shift: 2,
            rotate: 15.0,
            crop: 2,
        };
        assert_eq!(run(&all, 3), run(&all, 3));
        assert!((0..8).any(|index| run(&all, index) != run(&all, 3)));
    }

    proptest::proptest! {
        /// Any picture, however small, stays in range under the strongest settings.
        #[test]
        fn values_stay_in_range(height in 1usize..6, width in 1usize..6, seed: u64) {
            let shape = Shape { height, width, channels: 3 };
            let image: Vec<u8> = (0..shape.values()).map(|i| (i * 37 % 256) as u8).collect();
            let params = AugmentParams { flip: 0.5, shift: 16, rotate: 45.0, crop: 16 };
            let mut out = vec![-1.0; shape.values()];
            augment(&image, shape, &params, &mut stream(seed, "augment", 0), &mut out);
            proptest::prop_assert!(out.iter().all(|v| (0.0..=1.0001).contains(v)));
        }

        #[test]
        fn draws_stay_within_their_limits(seed: u64) {
            let params = AugmentParams { flip: 1.0, shift: 2, rotate: 10.0, crop: 3 };
            let draw = Draw::new(&params, &mut stream(seed, "augment", 0));
            proptest::prop_assert!(draw.flip);
            proptest::prop_assert!(draw.shift.iter().all(|d| (-2..=2).contains(d)));
            proptest::prop_assert!(draw.crop.iter().all(|d| (-3..=3).contains(d)));
            proptest::prop_assert!(draw.radians.abs() <= 10f64.to_radians());
        }
    }
}

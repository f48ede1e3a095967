//! Pooling by itself: windows of equal side and step (what fills no window is dropped), and whole
//! maps. Maps are NHWC. A map is one piece of work.

use rayon::prelude::*;

use super::cpu::Cpu;
use super::plain::{Reduction, Windows, reduce};

/// Sizes of some maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// Pictures.
    pub batch: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels.
    pub channels: usize,
}

impl MapShape {
    /// Values of one map.
    #[must_use]
    pub fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Has a map no values?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn whole(&self) -> Windows {
        self.windows([self.height, self.width])
    }

    fn windows(&self, size: [usize; 2]) -> Windows {
        Windows {
            height: self.height,
            width: self.width,
            channels: self.channels,
            size,
        }
    }
}

/// Writes the largest value of each window, `[batch, height / size, width / size, channels]`, and
/// where it stands in the window (row · size + column; the first of equals).
///
/// # Panics
/// The lengths do not fit.
pub fn max_forward(
    cpu: Cpu,
    shape: MapShape,
    size: usize,
    x: &[f32],
    y: &mut [f32],
    places: Option<&mut [u8]>,
) {
    let windows = shape.windows([size; 2]);
    check(shape, windows, x.len(), y.len());
    forward(cpu, windows, Reduction::Max, x, y);
    if let Some(places) = places {
        assert!(size <= 16 && places.len() == y.len());
        find_places(windows, x, y, places);
    }
}

/// Writes the gradient of `max_forward`.
///
/// # Panics
/// The lengths do not fit.
pub fn max_backward(
    cpu: Cpu,
    shape: MapShape,
    size: usize,
    places: &[u8],
    dy: &[f32],
    dx: &mut [f32],
) {
    let windows = shape.windows([size; 2]);
    check(shape, windows, dx.len(), dy.len());
    assert!(places.len() == dy.len());
    at_places(cpu, windows, places, dy, dx);
}

/// Writes the mean of each window, `[batch, height / size, width / size, channels]`.
///
/// # Panics
/// The lengths do not fit.
pub fn avg_forward(cpu: Cpu, shape: MapShape, size: usize, x: &[f32], y: &mut [f32]) {
    let windows = shape.windows([size; 2]);
    check(shape, windows, x.len(), y.len());
    forward(cpu, windows, Reduction::Mean, x, y);
}

/// Writes the gradient of `avg_forward`.
///
/// # Panics
/// The lengths do not fit.
pub fn avg_backward(_cpu: Cpu, shape: MapShape, size: usize, dy: &[f32], dx: &mut [f32]) {
    let windows = shape.windows([size; 2]);
    check(shape, windows, dx.len(), dy.len());
    shared(windows, dy, dx);
}

/// Writes the mean of each channel, `[batch, channels]`.
///
/// # Panics
/// The lengths do not fit.
pub fn global_avg_forward(cpu: Cpu, shape: MapShape, x: &[f32], y: &mut [f32]) {
    check(shape, shape.whole(), x.len(), y.len());
    forward(cpu, shape.whole(), Reduction::Mean, x, y);
}

/// Writes the gradient of `global_avg_forward`.
///
/// # Panics
/// The lengths do not fit.
pub fn global_avg_backward(_cpu: Cpu, shape: MapShape, dy: &[f32], dx: &mut [f32]) {
    check(shape, shape.whole(), dx.len(), dy.len());
    shared(shape.whole(), dy, dx);
}

/// Writes the largest value of each channel, `[batch, channels]`, and the number of its pixel (the
/// first of equals).
///
/// # Panics
/// The lengths do not fit.
pub fn global_max_forward(
    cpu: Cpu,
    shape: MapShape,
    x: &[f32],
    y: &mut [f32],
    places: Option<&mut [u32]>,
) {
    check(shape, shape.whole(), x.len(), y.len());
    forward(cpu, shape.whole(), Reduction::Max, x, y);
    if let Some(places) = places {
        assert!(places.len() == y.len());
        find_places(shape.whole(), x, y, places);
    }
}

/// Writes the gradient of `global_max_forward`.
///
/// # Panics
/// The lengths do not fit.
pub fn global_max_backward(cpu: Cpu, shape: MapShape, places: &[u32], dy: &[f32], dx: &mut [f32]) {
    check(shape, shape.whole(), dx.len(), dy.len());
    assert!(places.len() == dy.len());
    at_places(cpu, shape.whole(), places, dy, dx);
}

/// Sees that `values` are as many maps as `reduced` are reduced ones, `batch`.
fn check(shape: MapShape, windows: Windows, values: usize, reduced: usize) {
    assert!(
        !shape.is_empty() && windows.out_len() != 0,
        "no window fits into the map: {windows:?}"
    );
    assert!(values == shape.batch * windows.len() && reduced == shape.batch * windows.out_len());
}

fn forward(cpu: Cpu, windows: Windows, reduction: Reduction, x: &[f32], y: &mut [f32]) {
    let maps = x.par_chunks_exact(windows.len());
    let reduced = y.par_chunks_exact_mut(windows.out_len());
    maps.zip(reduced)
        .for_each(|(x, y)| reduce(cpu, windows, reduction, x, y));
}

/// The number of a place in a window.
trait Place: Copy + PartialEq + Send + Sync {
    fn of(number: usize) -> Self;
}

impl Place for u8 {
    fn of(number: usize) -> Self {
        number as Self
    }
}

impl Place for u32 {
    fn of(number: usize) -> Self {
        number as Self
    }
}

fn find_places<P: Place>(windows: Windows, x: &[f32], y: &[f32], places: &mut [P]) {
    let reduced = y.par_chunks_exact(windows.out_len());
    let places = places.par_chunks_exact_mut(windows.out_len());
    let maps = x.par_chunks_exact(windows.len());
    maps.zip(reduced).zip(places).for_each(|((x, y), places)| {
        let pixels = y.chunks_exact(windows.channels);
        for (at, (y, places)) in pixels
            .zip(places.chunks_exact_mut(windows.channels))
            .enumerate()
        {
            // Backwards, so that the first of equals is written last.
            for place in (0..windows.places()).rev() {
                let from = windows.pixel(at, place);
                let x = &x[from..from + windows.channels];
                for ((to, x), y) in places.iter_mut().zip(x).zip(y) {
                    if x == y || x.is_nan() {
                        *to = P::of(place);
                    }
                }
            }
        }
    });
}

fn at_places<P: Place>(_cpu: Cpu, windows: Windows, places: &[P], dy: &[f32], dx: &mut [f32]) {
    let gradients = dy.par_chunks_exact(windows.out_len());
    let places = places.par_chunks_exact(windows.out_len());
    let maps = dx.par_chunks_exact_mut(windows.len());
    maps.zip(gradients)
        .zip(places)
        .for_each(|((dx, dy), places)| {
            dx.fill(0.0);
            let pixels = dy.chunks_exact(windows.channels);
            for (at, (dy, places)) in pixels
                .zip(places.chunks_exact(windows.channels))
                .enumerate()
            {
                for number in 0..windows.places() {
                    let to = windows.pixel(at, number);
                    let dx = &mut dx[to..to + windows.channels];
                    for ((dx, dy), place) in dx.iter_mut().zip(dy).zip(places) {
                        *dx = if *place == P::of(number) { *dy } else { 0.0 };
                    }
                }
            }
        });
}

/// Gives every value of a window an equal share of its gradient.
fn shared(windows: Windows, dy: &[f32], dx: &mut [f32]) {
    let share = 1.0 / windows.places() as f32;
    let gradients = dy.par_chunks_exact(windows.out_len());
    let maps = dx.par_chunks_exact_mut(windows.len());
    maps.zip(gradients).for_each(|(dx, dy)| {
        dx.fill(0.0);
        for (at, dy) in dy.chunks_exact(windows.channels).enumerate() {
            for place in 0..windows.places() {
                let to = windows.pixel(at, place);
                let dx = &mut dx[to..to + windows.channels];
                for (dx, dy) in dx.iter_mut().zip(dy) {
                    *dx = dy * share;
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::tests::Numbers;
    use super::*;

    #[test]
    fn windows_are_reduced_and_gradients_find_their_way_back() {
        let mut numbers = Numbers(9);
        for cpu in Cpu::available() {
            for (batch, height, width, channels, size) in [
                (1, 2, 2, 1, 2),
                (3, 7, 5, 3, 2),
                (2, 9, 9, 17, 3),
                (2, 4, 6, 16, 0),
                (5, 3, 1, 40, 0),
            ] {
                let shape = MapShape {
                    batch,
                    height,
                    width,
                    channels,
                };
                // 0 stands for the whole map.
                let side = if size == 0 {
                    [height, width]
                } else {
                    [size; 2]
                };
                let windows = shape.windows(side);
                let mut x = numbers.values(batch * shape.len());
                x[0] = x[channels.min(shape.len() - 1)];
                let out_len = batch * windows.out_len();
                let dy = numbers.values(out_len);
                let (mut largest, mut mean) = (vec![0.0; out_len], vec![0.0; out_len]);
                let (mut back, mut shares) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
                if size == 0 {
                    let mut places = vec![0; out_len];
                    global_max_forward(cpu, shape, &x, &mut largest, Some(&mut places));
                    global_max_backward(cpu, shape, &places, &dy, &mut back);
                    global_avg_forward(cpu, shape, &x, &mut mean);
                    global_avg_backward(cpu, shape, &dy, &mut shares);
                } else {
                    let mut places = vec![0; out_len];
                    max_forward(cpu, shape, size, &x, &mut largest, Some(&mut places));
                    max_backward(cpu, shape, size, &places, &dy, &mut back);
                    avg_forward(cpu, shape, size, &x, &mut mean);
                    avg_backward(cpu, shape, size, &dy, &mut shares);
                }
                let (mut expected_back, mut expected_shares) =
                    (vec![0.0; x.len()], vec![0.0; x.len()]);
                for at in 0..out_len {
                    let (map, at_map) = (at / windows.out_len(), at % windows.out_len());
                    let (pixel, c) = (at_map / channels, at_map % channels);
                    let members: Vec<usize> = (0..windows.places())
                        .map(|place| map * shape.len() + windows.pixel(pixel, place) + c)
                        .collect();
                    let first = members
                        .iter()
                        .fold(members[0], |a, &b| if x[a] < x[b] { b } else { a });
                    assert_eq!(largest[at], x[first], "{cpu:?} {shape:?}");
                    expected_back[first] = dy[at];
                    let sum: f64 = members.iter().map(|&i| f64::from(x[i])).sum();
                    assert!((f64::from(mean[at]) - sum / members.len() as f64).abs() < 1e-6);
                    for i in members {
                        expected_shares[i] = dy[at] / windows.places() as f32;
                    }
                }
                assert_eq!(back, expected_back, "{cpu:?} {shape:?} {size}");
                for (share, expected) in shares.iter().zip(expected_shares) {
                    assert!((share - expected).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn nan_is_the_largest() {
        let shape = MapShape {
            batch: 1,
            height: 2,
            width: 2,
            channels: 1,
        };
        for cpu in Cpu::available() {
            let (mut y, mut places) = ([0.0], [9]);
            max_forward(
                cpu,
                shape,
                2,
                &[1.0, f32::NAN, 3.0, 2.0],
                &mut y,
                Some(&mut places),
            );
            assert!(y[0].is_nan() && places == [1], "{cpu:?}");
        }
    }
}

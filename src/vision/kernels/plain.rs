//! Passes that read each value once, on the calling thread: loops that the compiler turns into
//! vectors of the chosen form.

use pulp::{Simd, WithSimd};

use super::cpu::Cpu;

/// How a map, or a part of it, is reduced to one value for each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The largest; a NaN is larger than all numbers.
    Max,
    /// The mean.
    Mean,
}

/// Adds `other` to `values`, then results x below zero become slope·x.
///
/// # Panics
/// The lengths differ.
pub fn add_in_place(cpu: Cpu, slope: f32, other: &[f32], values: &mut [f32]) {
    assert!(values.len() == other.len());
    cpu.run(Add {
        slope,
        other,
        values,
    });
}

struct Add<'a> {
    slope: f32,
    other: &'a [f32],
    values: &'a mut [f32],
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self {
            slope,
            other,
            values,
        } = self;
        for (value, other) in values.iter_mut().zip(other) {
            let sum = *value + other;
            *value = if sum < 0.0 { sum * slope } else { sum };
        }
    }
}

/// A map that is reduced window by window.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// Rows and columns of a window, which is also the step; what fills no window is dropped.
    pub size: [usize; 2],
}

impl Windows {
    /// Values of the map.
    pub(super) fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Pixels of a window.
    pub(super) fn places(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Returns the first value of pixel `place` of window `at`.
    #[inline(always)]
    pub(super) fn pixel(&self, at: usize, place: usize) -> usize {
        let columns = self.width / self.size[1];
        let row = at / columns * self.size[0] + place / self.size[1];
        let column = at % columns * self.size[1] + place % self.size[1];
        (row * self.width + column) * self.channels
    }

    /// Values of the reduced map.
    #[must_use]
    pub fn out_len(&self) -> usize {
        self.height / self.size[0] * (self.width / self.size[1]) * self.channels
    }
}

/// Reduces the windows of each of the maps in `x`, `[height, width, channels]`, to one pixel.
///
/// # Panics
/// The lengths do not fit.
pub fn reduce(cpu: Cpu, windows: Windows, reduction: Reduction, x: &[f32], y: &mut [f32]) {
    assert!(x.len().is_multiple_of(windows.len()));
    assert!(x.len() / windows.len() * windows.out_len() == y.len());
    cpu.run(Reduce {
        windows,
        reduction,
        x,
        y,
    });
}

struct Reduce<'a> {
    windows: Windows,
    reduction: Reduction,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self {
            windows,
            reduction,
            x,
            y,
        } = self;
        let channels = windows.channels;
        let scale = 1.0 / windows.places() as f32;
        let maps = x.chunks_exact(windows.len());
        for (x, y) in maps.zip(y.chunks_exact_mut(windows.out_len())) {
            for (at, y) in y.chunks_exact_mut(channels).enumerate() {
                let corner = windows.pixel(at, 0);
                y.copy_from_slice(&x[corner..corner + channels]);
                for place in 1..windows.places() {
                    let from = windows.pixel(at, place);
                    let pixel = &x[from..from + channels];
                    match reduction {
                        Reduction::Mean => {
                            for (y, x) in y.iter_mut().zip(pixel) {
                                *y += x;
                            }
                        }
                        Reduction::Max => {
                            for (y, &x) in y.iter_mut().zip(pixel) {
                                *y = if x > *y || x.is_nan() { x } else { *y };
                            }
                        }
                    }
                }
                if reduction == Reduction::Mean {
                    for y in y {
                        *y *= scale;
                    }
                }
            }
        }
    }
}

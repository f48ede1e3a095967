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
    let len = windows.height * windows.width * windows.channels;
    assert!(x.len().is_multiple_of(len) && x.len() / len * windows.out_len() == y.len());
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
        let Windows {
            height,
            width,
            channels,
            size,
        } = self.windows;
        let scale = 1.0 / (size[0] * size[1]) as f32;
        let columns = width / size[1];
        let maps = self.x.chunks_exact(height * width * channels);
        for (x, y) in maps.zip(self.y.chunks_exact_mut(self.windows.out_len())) {
            for (at, y) in y.chunks_exact_mut(channels).enumerate() {
                let corner = (at / columns * size[0] * width + at % columns * size[1]) * channels;
                y.copy_from_slice(&x[corner..corner + channels]);
                for place in 1..size[0] * size[1] {
                    let from = corner + (place / size[1] * width + place % size[1]) * channels;
                    let pixel = &x[from..from + channels];
                    match self.reduction {
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
                if self.reduction == Reduction::Mean {
                    for y in y {
                        *y *= scale;
                    }
                }
            }
        }
    }
}

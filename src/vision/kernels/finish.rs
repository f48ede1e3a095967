//! What follows the sums of a convolution: the largest of each window, and on the way back the
//! gradient of window and activation.

use pulp::Simd;

use super::shape::{ConvShape, Finish};
use super::simd::{LANES_MAX, load, load_some, store, store_some};

/// Writes the largest value of each window of one map, and where in the window it stands (row · size
/// + column; the first of equals). A NaN is larger than all numbers.
///
/// `map` is `[out_height, out_width, channels in whole vectors]`, `y` and `places` are
/// `[out_height / pool, out_width / pool, outputs]`.
#[inline(always)]
pub(super) fn pool_map<S: Simd>(
    simd: S,
    shape: &ConvShape,
    pool: usize,
    map: &[f32],
    y: &mut [f32],
    mut places: Option<&mut [u8]>,
) {
    let lanes = S::F32_LANES;
    let channels = shape.outputs;
    let pixel = channels.next_multiple_of(lanes);
    let width = shape.out_width();
    let (rows, columns) = (shape.out_height() / pool, width / pool);
    assert!(
        map.len() >= shape.out_height() * width * pixel && y.len() == rows * columns * channels
    );
    assert!(places.as_ref().is_none_or(|places| places.len() == y.len()));
    for row in 0..rows {
        for column in 0..columns {
            let at = (row * columns + column) * channels;
            let from = (row * pool * width + column * pool) * pixel;
            let mut c = 0;
            while c < channels {
                let count = (channels - c).min(lanes);
                let corner = map[from + c..].as_ptr();
                // SAFETY: the window lies within the map, whose pixels are whole vectors.
                let mut largest = unsafe { load(simd, corner) };
                let mut place = simd.splat_u32s(0);
                for r in 0..pool {
                    for k in 0..pool {
                        // SAFETY: as above.
                        let value = unsafe { load(simd, corner.add((r * width + k) * pixel)) };
                        let larger = simd.or_m32s(
                            simd.greater_than_f32s(value, largest),
                            simd.not_m32s(simd.equal_f32s(value, value)),
                        );
                        largest = simd.select_f32s(larger, value, largest);
                        let here = simd.splat_u32s((r * pool + k) as u32);
                        place = simd.select_u32s(larger, here, place);
                    }
                }
                // SAFETY: `count` channels of the output are left.
                unsafe { store_some(simd, y.as_mut_ptr().add(at + c), largest, count) };
                if let Some(places) = &mut places {
                    let mut numbers = [0u32; LANES_MAX];
                    // SAFETY: there is room for a vector of any form.
                    unsafe {
                        store(
                            simd,
                            numbers.as_mut_ptr().cast(),
                            simd.transmute_f32s_u32s(place),
                        );
                    }
                    for (to, number) in places[at + c..at + c + count].iter_mut().zip(numbers) {
                        *to = number as u8;
                    }
                }
                c += lanes;
            }
        }
    }
}

/// Where the gradient of a map is laid out: zeros all around it, pixels in whole vectors.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// Zero rows and columns before the map.
    pub(super) before: usize,
    /// Rows with the zeros.
    pub(super) height: usize,
    /// Columns with the zeros.
    pub(super) width: usize,
    /// Values of a pixel.
    pub(super) pixel: usize,
}

impl Frame {
    /// Values of one map.
    pub(super) fn len(&self) -> usize {
        self.height * self.width * self.pixel
    }

    /// Index of the first value of the map's pixel.
    pub(super) fn at(&self, row: usize, column: usize) -> usize {
        ((row + self.before) * self.width + column + self.before) * self.pixel
    }
}

/// Writes the gradient before activation and pooling into `framed`, and adds its sum over all pixels
/// to `dbias`. What lies around the map, or is dropped by pooling, is left as it is: zero.
///
/// `dy`, `y` and `places` are one map after `finish`.
#[inline(always)]
pub(super) fn spread_gradient<S: Simd>(
    simd: S,
    shape: &ConvShape,
    finish: Finish,
    (y, places, dy): (&[f32], Option<&[u8]>, &[f32]),
    frame: Frame,
    framed: &mut [f32],
    dbias: &mut [f32],
) {
    let lanes = S::F32_LANES;
    let (channels, pool) = (shape.outputs, finish.pool);
    let (rows, columns) = (shape.out_height() / pool, shape.out_width() / pool);
    assert!(dy.len() == rows * columns * channels && y.len() == dy.len());
    assert!(places.is_none_or(|places| places.len() == y.len()));
    assert!(framed.len() == frame.len() && dbias.len() == frame.pixel);
    let zero = simd.splat_f32s(0.0);
    let slope = simd.splat_f32s(finish.slope);
    for row in 0..rows {
        for column in 0..columns {
            let at = (row * columns + column) * channels;
            let to = frame.at(row * pool, column * pool);
            let mut c = 0;
            while c < channels {
                let count = (channels - c).min(lanes);
                // SAFETY: `count` channels are left in the compact maps; the frame's pixels and
                // `dbias` are whole vectors, and the window lies within the frame.
                unsafe {
                    let mut gradient = load_some(simd, dy.as_ptr().add(at + c), count);
                    if finish.slope != 1.0 {
                        let y = load_some(simd, y.as_ptr().add(at + c), count);
                        let passes = simd.greater_than_f32s(y, zero);
                        let damped = simd.mul_f32s(gradient, slope);
                        gradient = simd.select_f32s(passes, gradient, damped);
                    }
                    let sum = dbias.as_mut_ptr().add(c);
                    store(simd, sum, simd.add_f32s(load(simd, sum), gradient));
                    let framed = framed.as_mut_ptr().add(to + c);
                    if let Some(places) = places.filter(|_| pool != 1) {
                        let mut numbers = [0u32; LANES_MAX];
                        for (number, &place) in
                            numbers.iter_mut().zip(&places[at + c..at + c + count])
                        {
                            *number = u32::from(place);
                        }
                        let place = simd.transmute_u32s_f32s(load(simd, numbers.as_ptr().cast()));
                        for r in 0..pool {
                            for k in 0..pool {
                                let here = simd.splat_u32s((r * pool + k) as u32);
                                let here = simd.equal_u32s(place, here);
                                let value = simd.select_f32s(here, gradient, zero);
                                store(simd, framed.add((r * frame.width + k) * frame.pixel), value);
                            }
                        }
                    } else {
                        store(simd, framed, gradient);
                    }
                }
                c += lanes;
            }
        }
    }
}

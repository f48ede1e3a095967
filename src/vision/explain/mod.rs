//! Which parts of a picture an answer depends on: occlusion sensitivity (Zeiler & Fergus 2014,
//! section 4.2). A patch is slid over the picture as the network sees it; where covering lowers the
//! probability of a class, the network looks there. Pure: the caller asks the network.
//!
//! The patch has the mean colour of the picture. A fixed grey would be a new object on a dark or
//! bright picture, with edges that the network reacts to; the mean leaves brightness and colour of the
//! whole as they were, so that what is measured is the loss of what was covered.
//!
//! Imports: `vision::image`.

mod heat;

pub use heat::heat_map;

/// One side of the patch is this part of the picture's shorter side, unless something else is asked.
const PATCHES_PER_SIDE: usize = 5;

/// How a patch is slid over pictures of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occlusion {
    height: usize,
    width: usize,
    channels: usize,
    patch: usize,
    stride: usize,
    tops: Vec<usize>,
    lefts: Vec<usize>,
}

/// Returns the side of the patch for pictures of `height` × `width`: a fifth of the shorter side, large
/// enough to hide a feature and small enough to tell where it was.
#[must_use]
pub fn usual_patch(height: usize, width: usize) -> usize {
    (height.min(width) / PATCHES_PER_SIDE).max(1)
}

/// Returns the step for a patch: half of it, so that most pixels are covered four times.
#[must_use]
pub fn usual_stride(patch: usize) -> usize {
    (patch / 2).max(1)
}

impl Occlusion {
    /// Plans a square `patch` that moves by `stride` pixels over pictures of `height` × `width` with
    /// `channels` values per pixel. A patch is at most as large as the picture and a stride at most as
    /// long as the patch, so that every pixel is covered.
    #[must_use]
    pub fn new(height: usize, width: usize, channels: usize, patch: usize, stride: usize) -> Self {
        let patch = patch.clamp(1, height.min(width).max(1));
        let stride = stride.clamp(1, patch);
        Self {
            height,
            width,
            channels,
            patch,
            stride,
            tops: starts(height, patch, stride),
            lefts: starts(width, patch, stride),
        }
    }

    /// Returns the side of the patch in pixels.
    #[must_use]
    pub fn patch(&self) -> usize {
        self.patch
    }

    /// Returns the step in pixels.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Returns how many pictures there are with a part covered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tops.len() * self.lefts.len()
    }

    /// Returns `values` (`[height, width, channels]`) with the patch at its place number `index` in
    /// `colour`; row by row from the top left.
    ///
    /// # Panics
    /// If `values` or `colour` have another size, or there is no such place.
    #[must_use]
    pub fn covered(&self, values: &[u8], colour: &[u8], index: usize) -> Vec<u8> {
        assert_eq!(values.len(), self.height * self.width * self.channels);
        assert_eq!(colour.len(), self.channels);
        let (top, left) = self.place(index);
        let mut covered = values.to_vec();
        let row_len = self.width * self.channels;
        for row in covered.chunks_exact_mut(row_len).skip(top).take(self.patch) {
            let from = left * self.channels;
            let to = from + self.patch * self.channels;
            for pixel in row[from..to].chunks_exact_mut(self.channels) {
                pixel.copy_from_slice(colour);
            }
        }
        covered
    }

    /// Returns what each pixel matters, `[height][width]`: the mean of the `drops` of probability over
    /// all patches that covered it. Negative where covering helps.
    ///
    /// # Panics
    /// If there is not one drop for each place.
    #[must_use]
    pub fn grid(&self, drops: &[f32]) -> Vec<Vec<f32>> {
        assert_eq!(drops.len(), self.count());
        let mut sums = vec![vec![(0.0f64, 0u32); self.width]; self.height];
        for (index, drop) in drops.iter().enumerate() {
            let (top, left) = self.place(index);
            for row in &mut sums[top..top + self.patch] {
                for (sum, count) in &mut row[left..left + self.patch] {
                    *sum += f64::from(*drop);
                    *count += 1;
                }
            }
        }
        let mean = |(sum, count): (f64, u32)| (sum / f64::from(count.max(1))) as f32;
        sums.into_iter()
            .map(|row| row.into_iter().map(mean).collect())
            .collect()
    }

    fn place(&self, index: usize) -> (usize, usize) {
        let columns = self.lefts.len();
        (self.tops[index / columns], self.lefts[index % columns])
    }
}

/// Returns where a patch starts along a side: every `stride` pixels, and once at the end.
fn starts(side: usize, patch: usize, stride: usize) -> Vec<usize> {
    let last = side.saturating_sub(patch);
    let mut starts: Vec<usize> = (0..=last).step_by(stride).collect();
    if starts.last() != Some(&last) {
        starts.push(last);
    }
    starts
}

/// Returns the mean colour of a picture, `[height, width, channels]` values, one value per channel.
///
/// # Panics
/// If `channels` is zero.
#[must_use]
pub fn mean_colour(values: &[u8], channels: usize) -> Vec<u8> {
    assert!(0 < channels, "a pixel has a value");
    let pixels = (values.len() / channels).max(1) as u64;
    let mean = |channel: usize| {
        let of_channel = values.iter().skip(channel).step_by(channels);
        let sum: u64 = of_channel.map(|value| u64::from(*value)).sum();
        // A mean of bytes is a byte.
        ((sum + pixels / 2) / pixels) as u8
    };
    (0..channels).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_patch_covers_its_square_and_nothing_else() {
        let plan = Occlusion::new(4, 5, 2, 2, 2);
        // Tops 0, 2; lefts 0, 2, 3.
        assert_eq!(plan.count(), 6);
        let values = [7; 4 * 5 * 2];
        let covered = plan.covered(&values, &[1, 2], 5);
        let expected: Vec<u8> = (0..4 * 5)
            .flat_map(|pixel| match (pixel / 5, pixel % 5) {
                (2..4, 3..5) => [1, 2],
                _ => [7, 7],
            })
            .collect();
        assert_eq!(covered, expected);
    }

    #[test]
    fn sizes_are_brought_into_their_bounds() {
        let plan = Occlusion::new(3, 9, 1, 100, 100);
        assert_eq!((plan.patch(), plan.stride(), plan.count()), (3, 3, 3));
        let plan = Occlusion::new(1, 1, 1, 0, 0);
        assert_eq!((plan.patch(), plan.stride(), plan.count()), (1, 1, 1));
        assert_eq!((usual_patch(35, 35), usual_stride(7)), (7, 3));
        assert_eq!((usual_patch(3, 224), usual_stride(1)), (1, 1));
    }

    #[test]
    fn the_colour_is_the_mean_of_each_channel() {
        assert_eq!(mean_colour(&[0, 10, 3, 20], 2), [2, 15]);
        assert_eq!(mean_colour(&[255; 27], 3), [255, 255, 255]);
    }

    /// A network that looks at one pixel only is found out.
    #[test]
    fn the_grid_points_at_what_matters() {
        let plan = Occlusion::new(7, 9, 1, 3, 1);
        let mut values = vec![0; 63];
        values[2 * 9 + 6] = 200;
        let says = |values: &[u8]| f32::from(values[2 * 9 + 6]) / 200.0;
        let drops: Vec<f32> = (0..plan.count())
            .map(|i| says(&values) - says(&plan.covered(&values, &[0], i)))
            .collect();
        let grid = plan.grid(&drops);
        for (y, row) in grid.iter().enumerate() {
            for (x, value) in row.iter().enumerate() {
                let is_far = 2 < y.abs_diff(2) || 2 < x.abs_diff(6);
                assert!(*value <= grid[2][6], "{y} {x}");
                assert_eq!(*value == 0.0, is_far, "{y} {x}");
            }
        }
        assert_eq!(grid[2][6], 1.0);
    }

    proptest! {
        #[test]
        fn every_pixel_is_covered(
            height in 1usize..40, width in 1usize..40, patch in 1usize..50, stride in 1usize..50,
        ) {
            let plan = Occlusion::new(height, width, 1, patch, stride);
            // With a drop of 1 everywhere, a pixel that no patch covers would have 0.
            let grid = plan.grid(&vec![1.0; plan.count()]);
            prop_assert_eq!(grid.len(), height);
            prop_assert!(grid.iter().all(|row| row.len() == width && row.iter().all(|v| *v == 1.0)));
        }
    }
}

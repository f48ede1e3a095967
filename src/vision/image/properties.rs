//! What can be said of a picture without a network: how bright, contrasty, sharp and colourful it is.
//! Imports: `image::pixels`.

use super::pixels::Pixels;

/// What `properties` measures, in its order.
pub const PROPERTIES: [&str; 8] = [
    "brightness",
    "contrast",
    "sharpness",
    "red",
    "green",
    "blue",
    "saturation",
    "entropy",
];

/// Luma of white, in the units of `luma`.
const WHITE: i32 = 255 * 1000;

/// Measures picture number `index` of `pixels`; see `properties_of`.
///
/// # Panics
/// There is no such picture, or it is neither grey nor of three colours.
#[must_use]
pub fn properties(pixels: &Pixels, index: usize) -> [f64; PROPERTIES.len()] {
    let picture = pixels.image(index);
    properties_of(pixels.height(), pixels.width(), pixels.channels(), picture)
}

/// Measures a picture of any size, `values` being `[height, width, channels]`, grey or red, green, blue.
/// (`fit` to a picture's own size lays one with alpha over a background.)
///
/// Luma is that of ITU-R BT.601 on the values as they are stored (0.299 red + 0.587 green + 0.114 blue),
/// from 0, black, to 1, white. With that
/// - `brightness` is the mean of luma, from 0 to 1;
/// - `contrast` is its standard deviation, from 0 to 0.5 (RMS contrast, Peli 1990);
/// - `sharpness` is the variance of the Laplacian of luma, the sum of the four neighbours less four times
///   the pixel itself, from 0 (Pech-Pacheco et al. 2000); a neighbour outside the picture counts as equal
///   to the pixel. It belongs to a size: a picture that is shrunk is sharper;
/// - `red`, `green` and `blue` are the means of the channels, from 0 to 1, all the same of a grey picture;
/// - `saturation` is the mean of that of HSV, (max − min) / max of the channels and 0 of black, from 0 to 1;
/// - `entropy` is Shannon's of the histogram of luma in 256 bins, in bits, from 0 to 8.
///
/// What does not vary has a contrast, sharpness and entropy of exactly 0, and the three of a picture are
/// the same bits however it is turned.
///
/// # Panics
/// There are no pixels, `values` has another size, or `channels` is neither 1 nor 3.
#[must_use]
pub fn properties_of(
    height: usize,
    width: usize,
    channels: usize,
    values: &[u8],
) -> [f64; PROPERTIES.len()] {
    assert!(
        !values.is_empty() && height * width * channels == values.len(),
        "the values of a picture are as many as its size says"
    );
    let pixels: &mut dyn Iterator<Item = [u8; 3]> = match channels {
        1 => &mut values.iter().map(|value| [*value; 3]),
        3 => &mut values.as_chunks::<3>().0.iter().copied(),
        other => panic!("a picture of {other} channels is neither grey nor of three colours"),
    };
    let count = height * width;
    let mut lumas = Vec::with_capacity(count);
    let mut sums = [0_u64; 3];
    let mut saturation = 0.0;
    for pixel in pixels {
        lumas.push(luma(pixel));
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += u64::from(value);
        }
        saturation += saturation_of(pixel);
    }
    let white = f64::from(WHITE);
    let of_luma = Moments::of(lumas.iter().copied());
    let of_laplacian = Moments::of(laplacian(&lumas, height, width));
    let [red, green, blue] = sums.map(|sum| sum as f64 / (255 * count) as f64);
    [
        of_luma.mean() / white,
        of_luma.variance().sqrt() / white,
        of_laplacian.variance() / (white * white),
        red,
        green,
        blue,
        saturation / count as f64,
        entropy(&lumas),
    ]
}

/// Returns the luma of a pixel in thousandths of a step, a whole number: sums are exact.
fn luma([red, green, blue]: [u8; 3]) -> i32 {
    299 * i32::from(red) + 587 * i32::from(green) + 114 * i32::from(blue)
}

fn saturation_of([red, green, blue]: [u8; 3]) -> f64 {
    let (least, most) = (red.min(green).min(blue), red.max(green).max(blue));
    // Of black both are 0.
    f64::from(most - least) / f64::from(most.max(1))
}

/// Returns the sum of the neighbours of each pixel less four times itself, row by row.
fn laplacian(lumas: &[i32], height: usize, width: usize) -> impl Iterator<Item = i32> {
    (0..height * width).map(move |at| {
        let (y, x) = (at / width, at % width);
        let here = lumas[at];
        let difference = |is_inside: bool, neighbour: usize| {
            if is_inside {
                lumas[neighbour] - here
            } else {
                0
            }
        };
        difference(0 < y, at.wrapping_sub(width))
            + difference(y + 1 < height, at + width)
            + difference(0 < x, at.wrapping_sub(1))
            + difference(x + 1 < width, at + 1)
    })
}

fn entropy(lumas: &[i32]) -> f64 {
    let mut histogram = [0_u64; 256];
    for luma in lumas {
        histogram[(luma + 500) as usize / 1000] += 1;
    }
    let count = lumas.len() as f64;
    let filled = histogram.iter().filter(|bin| 0 < **bin);
    // p · log2(1/p) and not −p · log2(p), which is −0 of a single bin.
    let bits = filled.map(|bin| *bin as f64 / count * (count / *bin as f64).log2());
    bits.sum()
}

/// Count, sum and sum of squares of whole numbers: exact, so that what does not vary has no variance.
struct Moments {
    count: i128,
    sum: i128,
    squares: i128,
}

impl Moments {
    fn of(values: impl Iterator<Item = i32>) -> Self {
        let start = Self {
            count: 0,
            sum: 0,
            squares: 0,
        };
        values.map(i64::from).fold(start, |so_far, value| Self {
            count: so_far.count + 1,
            sum: so_far.sum + i128::from(value),
            squares: so_far.squares + i128::from(value * value),
        })
    }

    fn mean(&self) -> f64 {
        self.sum as f64 / self.count as f64
    }

    /// Returns the mean square of the distances from the mean.
    fn variance(&self) -> f64 {
        let scaled = self.count * self.squares - self.sum * self.sum;
        scaled as f64 / (self.count * self.count) as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(height: usize, width: usize, values: &[u8], expected: [f64; 8]) {
        let channels = values.len() / (height * width);
        let found = properties_of(height, width, channels, values);
        for ((name, found), expected) in PROPERTIES.iter().zip(found).zip(expected) {
            assert!(
                (found - expected).abs() < 1e-12,
                "{name}: {found} {expected}"
            );
        }
    }

    #[test]
    fn known_pictures_have_known_properties() {
        // Flat grey, and the same as colour.
        let flat = [0.2, 0.0, 0.0, 0.2, 0.2, 0.2, 0.0, 0.0];
        check(5, 7, &[51; 35], flat);
        check(5, 7, &[51; 105], flat);
        check(1, 1, &[51], flat);
        // Flat red.
        let red = [0.299, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0];
        check(2, 2, &[255, 0, 0].repeat(4), red);
        // A black pixel beside a white one, and above it.
        let edge = [0.5, 0.5, 1.0, 0.5, 0.5, 0.5, 0.0, 1.0];
        check(1, 2, &[0, 255], edge);
        check(2, 1, &[0, 255], edge);
        // A board of 4 × 4: 4 pixels with four neighbours, 8 with three, 4 with two.
        let board: Vec<u8> = (0..16)
            .map(|i| if (i / 4 + i % 4) % 2 == 0 { 0 } else { 255 })
            .collect();
        let sharpness = (4.0 * 16.0 + 8.0 * 9.0 + 4.0 * 4.0) / 16.0;
        check(4, 4, &board, [0.5, 0.5, sharpness, 0.5, 0.5, 0.5, 0.0, 1.0]);
        // A white point: the Laplacian is −4 there, 1 beside it, 0 in the corners.
        let ninth = 1.0_f64 / 9.0;
        let bits = ninth * 9.0_f64.log2() + 8.0 * ninth * (9.0_f64 / 8.0).log2();
        let contrast = (ninth * (1.0 - ninth)).sqrt();
        let point = [ninth, contrast, 20.0 / 9.0, ninth, ninth, ninth, 0.0, bits];
        check(3, 3, &[0, 0, 0, 0, 255, 0, 0, 0, 0], point);
        // One orange pixel in black: (200 − 50) / 200 of it.
        let found = properties_of(1, 2, 3, &[200, 100, 50, 0, 0, 0]);
        assert_eq!(
            found[3..7],
            [100.0 / 255.0, 50.0 / 255.0, 25.0 / 255.0, 0.375]
        );
    }

    #[test]
    fn all_values_once_are_eight_bits() {
        let ramp: Vec<u8> = (0..=255).collect();
        let found = properties_of(16, 16, 1, &ramp);
        assert!((found[0] - 0.5).abs() < 1e-12);
        let contrast = ((256.0_f64 * 256.0 - 1.0) / 12.0).sqrt() / 255.0;
        assert!((found[1] - contrast).abs() < 1e-12);
        assert!((found[7] - 8.0).abs() < 1e-12);
    }

    #[test]
    fn what_does_not_vary_is_exactly_zero() {
        for value in 0..=255 {
            let found = properties_of(9, 11, 3, &[value, 255 - value, value / 3].repeat(99));
            assert_eq!([found[1], found[2], found[7]], [0.0; 3], "{value}");
            assert!(found.iter().all(|v| v.is_sign_positive()));
        }
    }

    #[test]
    fn a_picture_of_a_block_is_measured_alone() {
        let pixels = Pixels::from_data(1, 2, 1, vec![0, 0, 51, 51, 0, 255]).unwrap();
        assert_eq!(properties(&pixels, 1), properties_of(1, 2, 1, &[51, 51]));
        assert_eq!(properties(&pixels, 2)[0], 0.5);
    }

    proptest! {
        #[test]
        fn laws_of_all_pictures(
            (height, width, values) in (1_usize..9, 1_usize..9).prop_flat_map(|(height, width)| {
                let values = prop::collection::vec(any::<u8>(), height * width * 3);
                (Just(height), Just(width), values)
            }),
        ) {
            let found = properties_of(height, width, 3, &values);
            let most = [1.0, 0.5, 64.0, 1.0, 1.0, 1.0, 1.0, 8.0];
            for (value, most) in found.iter().zip(most) {
                prop_assert!((0.0..=most + 1e-12).contains(value), "{found:?}");
            }
            // Turned by 180°, and the axes exchanged.
            let pixel = |y: usize, x: usize| {
                let at = (y * width + x) * 3;
                values[at..at + 3].to_vec()
            };
            let turned: Vec<u8> = (0..height * width)
                .flat_map(|i| pixel(height - 1 - i / width, width - 1 - i % width))
                .collect();
            let exchanged: Vec<u8> = (0..height * width)
                .flat_map(|i| pixel(i % height, i / height))
                .collect();
            for other in [
                properties_of(height, width, 3, &turned),
                properties_of(width, height, 3, &exchanged),
            ] {
                prop_assert_eq!(&found[..6], &other[..6]);
                prop_assert!((found[6] - other[6]).abs() < 1e-12);
                prop_assert_eq!(found[7], other[7]);
            }
            // Grey is grey, however many channels say so.
            let grey: Vec<u8> = values.iter().step_by(3).copied().collect();
            let tripled: Vec<u8> = grey.iter().flat_map(|v| [*v; 3]).collect();
            prop_assert_eq!(
                properties_of(height, width, 1, &grey),
                properties_of(height, width, 3, &tripled)
            );
        }
    }
}

//! The difference hash of a picture: 64 bits that say where it becomes brighter from left to right.
//! Pictures that look alike have hashes that differ in few bits, so it finds the pairs that are worth
//! comparing; it never decides.
//!
//! Of 8 rows of 9 cells each bit compares two neighbours. A plain comparison gives bits of noise where a
//! picture is flat, and files are flat around their object: of Fashion-MNIST's pictures saved as JPEG at
//! quality 95 only 64 % kept 60 bits. A step of a 64th of the picture's range keeps 99.8 %
//! (ADR 47). After N. Krawetz, "Kind of like that", 2013. Imports: vision.

use crate::vision::image::Pixels;

const ROWS: usize = 8;
const COLUMNS: usize = 9;
/// A cell is brighter than its neighbour if it is so by more than the picture's range divided by this.
const STEPS: f32 = 64.0;

/// Returns the hash of picture `index`.
///
/// # Panics
/// If there is no such picture.
pub(super) fn of(pixels: &Pixels, index: usize) -> u64 {
    let cells = cells(pixels, index, ROWS, COLUMNS);
    let least = cells.iter().copied().fold(f32::INFINITY, f32::min);
    let most = cells.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let step = (most - least) / STEPS;
    let pairs = cells
        .chunks_exact(COLUMNS)
        .flat_map(|row| row.windows(2).map(|pair| pair[1] - pair[0]));
    pairs.fold(0, |hash, rise| hash << 1 | u64::from(step < rise))
}

/// Returns the mean values of the cells of picture `index`, cut into `rows` × `columns`, over all
/// channels. A side of fewer pixels repeats some.
pub(super) fn cells(pixels: &Pixels, index: usize, rows: usize, columns: usize) -> Vec<f32> {
    let (height, width, channels) = (pixels.height(), pixels.width(), pixels.channels());
    let image = pixels.image(index);
    let mut means = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        let (top, bottom) = part(row, rows, height);
        for column in 0..columns {
            let (left, right) = part(column, columns, width);
            let sum: u32 = (top..bottom)
                .map(|y| {
                    let from = (y * width + left) * channels;
                    let to = (y * width + right) * channels;
                    image[from..to].iter().map(|&v| u32::from(v)).sum::<u32>()
                })
                .sum();
            let values = (bottom - top) * (right - left) * channels;
            means.push(sum as f32 / values as f32);
        }
    }
    means
}

/// Returns where part `at` of `parts` of a side begins and ends; it has one pixel at least.
pub(super) fn part(at: usize, parts: usize, side: usize) -> (usize, usize) {
    let from = at * side / parts;
    (from, ((at + 1) * side / parts).max(from + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(pixel: impl Fn(usize, usize) -> u8) -> u64 {
        let data = (0..35 * 35).map(|at| pixel(at % 35, at / 35)).collect();
        of(&Pixels::from_data(35, 35, 1, data).unwrap(), 0)
    }

    #[test]
    fn bits_are_rises_from_left_to_right() {
        assert_eq!(hash(|x, _| x as u8 * 7), u64::MAX);
        assert_eq!(hash(|x, _| 250 - x as u8 * 7), 0);
        assert_eq!(
            hash(|x, y| if y < 17 { x as u8 } else { 0 }),
            u64::MAX << 32
        );
    }

    #[test]
    fn noise_in_flat_parts_sets_no_bits() {
        let noise = |x: usize, y: usize| ((x * 31 + y * 17) % 3) as u8;
        let square = |x: usize, y: usize| (10..20).contains(&x) && (10..20).contains(&y);
        let clean = hash(|x, y| if square(x, y) { 200 } else { 0 });
        let noisy = hash(|x, y| if square(x, y) { 200 } else { noise(x, y) });
        assert_eq!(clean, noisy);
        assert_ne!(clean, 0);
        assert_eq!(hash(|_, _| 9), 0);
    }

    #[test]
    fn small_pictures_have_one_too() {
        let pixels = Pixels::from_data(8, 8, 3, (0..=191).collect()).unwrap();
        assert_eq!(cells(&pixels, 0, 8, 9).len(), 72);
    }
}

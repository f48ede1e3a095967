//! Heat maps: what matters of a picture, as colours over it. Imports: `vision::image`.

use crate::vision::image::{Channels, png};

/// A small picture is enlarged to about so many pixels, by a whole factor.
const SIDE: usize = 280;

/// Share of the colour; the rest is the picture in grey.
const COLOUR_SHARE: f32 = 0.65;

/// Indigo, rose, pale yellow in `OKLab` (Ottosson 2020): lightness rises evenly, so the order of the
/// values is also seen without colours, and the way between two of them is a straight line in that
/// space, so equal differences look equal.
const STOPS: [[f32; 3]; 3] = [
    [0.27, 0.034, -0.126],
    [0.62, 0.19, 0.055],
    [0.94, -0.03, 0.12],
];
/// Where the second of them lies, so that both ways have the same number of units for their length.
const MIDDLE: f32 = 0.518;

/// Draws `grid` (`[height][width]`) over a picture (`values`, `[height, width, channels]`) as a PNG
/// file: dark where covering changes nothing or helps, light where the most depends on. Small pictures
/// are enlarged, each pixel to a square.
///
/// Returns no bytes if the values do not fill such a picture.
#[must_use]
pub fn heat_map(values: &[u8], channels: Channels, grid: &[Vec<f32>]) -> Vec<u8> {
    let (height, width) = (grid.len(), grid.first().map_or(0, Vec::len));
    if height == 0 || width == 0 || values.len() != height * width * channels.count() {
        return Vec::new();
    }
    let most = grid.iter().flatten().copied().fold(0.0f32, f32::max);
    let scale = if 0.0 < most { most.recip() } else { 0.0 };
    let factor = (SIDE / height.max(width)).max(1);
    let mut pixels = Vec::with_capacity(height * width * factor * factor * 3);
    let rows = values.chunks_exact(width * channels.count()).zip(grid);
    for (row, matters) in rows {
        let mut line = Vec::with_capacity(width * factor * 3);
        for (pixel, value) in row.chunks_exact(channels.count()).zip(matters) {
            let mixed = mixed(grey(pixel), colour(value * scale));
            line.extend(std::iter::repeat_n(mixed, factor).flatten());
        }
        for _ in 0..factor {
            pixels.extend_from_slice(&line);
        }
    }
    let side = |side: usize| u32::try_from(side * factor).unwrap_or(0);
    png(&pixels, side(height), side(width), Channels::Rgb)
}

/// Returns the brightness of a pixel, 0 to 1 (ITU-R BT.601 luma).
fn grey(pixel: &[u8]) -> f32 {
    match pixel {
        [r, g, b] => {
            (0.299 * f32::from(*r) + 0.587 * f32::from(*g) + 0.114 * f32::from(*b)) / 255.0
        }
        _ => f32::from(pixel.first().copied().unwrap_or(0)) / 255.0,
    }
}

fn mixed(grey: f32, colour: [f32; 3]) -> [u8; 3] {
    colour.map(|c| {
        let mixed = COLOUR_SHARE * c + (1.0 - COLOUR_SHARE) * grey;
        (mixed * 255.0).round().clamp(0.0, 255.0) as u8
    })
}

/// Returns the colour of a value from 0 to 1, as sRGB.
fn colour(value: f32) -> [f32; 3] {
    let value = value.clamp(0.0, 1.0);
    let [low, middle, high] = STOPS;
    let (from, to, part) = if value < MIDDLE {
        (low, middle, value / MIDDLE)
    } else {
        (middle, high, (value - MIDDLE) / (1.0 - MIDDLE))
    };
    let at = |i: usize| from[i] + part * (to[i] - from[i]);
    srgb([at(0), at(1), at(2)])
}

/// From `OKLab` to sRGB, as its author gives it; what the screen cannot show is cut off.
fn srgb([l, a, b]: [f32; 3]) -> [f32; 3] {
    let cube = |x: f32| x * x * x;
    let long = cube(l + 0.396_337_78 * a + 0.215_803_76 * b);
    let medium = cube(l - 0.105_561_346 * a - 0.063_854_17 * b);
    let short = cube(l - 0.089_484_18 * a - 1.291_485_5 * b);
    [
        4.076_741_7 * long - 3.307_711_6 * medium + 0.230_969_94 * short,
        -1.268_438 * long + 2.609_757_4 * medium - 0.341_319_38 * short,
        -0.004_196_086_3 * long - 0.703_418_6 * medium + 1.707_614_7 * short,
    ]
    .map(|linear| {
        let linear = linear.clamp(0.0, 1.0);
        if linear <= 0.003_130_8 {
            12.92 * linear
        } else {
            1.055 * linear.powf(1.0 / 2.4) - 0.055
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::image::{Limits, decode};

    const LIMITS: Limits = Limits {
        pixels_max: 1 << 20,
        side_max: u32::MAX,
        file_bytes_max: 1 << 20,
    };

    #[test]
    fn equal_steps_look_equal() {
        let [low, middle, high] = STOPS;
        let far = |a: [f32; 3], b: [f32; 3]| {
            let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
            squares.sum::<f32>().sqrt()
        };
        let pace = [
            far(low, middle) / MIDDLE,
            far(middle, high) / (1.0 - MIDDLE),
        ];
        assert!((pace[0] / pace[1] - 1.0).abs() < 0.02, "{pace:?}");
        // No stop is cut off on the way to the screen, which would bend the scale.
        for stop in STOPS {
            let [r, g, b] = srgb(stop);
            assert!([r, g, b].iter().all(|c| 0.0 < *c && *c < 1.0), "{stop:?}");
        }
        let light = |value: f32| {
            let [r, g, b] = colour(value);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        assert!((1..=20).all(|i| light((i - 1) as f32 / 20.0) < light(i as f32 / 20.0)));
    }

    #[test]
    fn small_pictures_become_visible() {
        let grid = vec![vec![-1.0, 0.0, 0.5, 0.0], vec![0.0, 0.0, 0.25, 0.0]];
        let values = vec![255; 8 * 3];
        let picture = decode(&heat_map(&values, Channels::Rgb, &grid), LIMITS).unwrap();
        assert_eq!((picture.width, picture.height), (280, 140));
        let pixel = |x: usize, y: usize| {
            let at = 3 * (y * 70 * 280 + x * 70);
            picture.data[at..at + 3].to_vec()
        };
        // What helps to cover looks like what changes nothing; the largest is the lightest.
        assert_eq!(pixel(0, 0), pixel(1, 0));
        assert!(pixel(2, 1) < pixel(2, 0) && pixel(1, 1) < pixel(2, 1));
        // A picture that nothing depends on is all dark, not all light.
        let flat = vec![vec![0.0; 4]; 2];
        let picture = decode(&heat_map(&[255; 8], Channels::Grey, &flat), LIMITS).unwrap();
        assert_eq!(picture.data[..3], pixel(1, 0));
        assert!(heat_map(&[1, 2], Channels::Grey, &flat).is_empty());
        assert!(heat_map(&[], Channels::Grey, &[]).is_empty());
    }
}

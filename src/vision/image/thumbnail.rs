//! PNG pictures for pages, and whole ones to keep.
//!
//! Imports: `image::{decode, fit, pixels}`.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::decode::{Layout, Picture};
use super::fit::{Channels, Filter, Target, fit};
use super::pixels::Pixels;

/// Longest side of a thumbnail, in pixels; smaller pictures keep their size.
const SIDE_MAX: u32 = 64;

/// Returns `[height, width, channels]` values as a PNG file, shrunk to a thumbnail if larger.
///
/// Returns no bytes if the values do not fill such a picture (the page then shows nothing).
#[must_use]
pub fn thumbnail(values: &[u8], height: usize, width: usize, channels: Channels) -> Vec<u8> {
    shrunk(values, height, width, channels, SIDE_MAX)
}

/// Returns picture `index` of `pixels` as a thumbnail; `None` if there is none.
#[must_use]
pub fn thumbnail_of(pixels: &Pixels, index: usize) -> Option<Vec<u8>> {
    let channels = Channels::from_count(pixels.channels() as u64)?;
    let there = index < pixels.count();
    let file = there.then(|| {
        let values = pixels.image(index);
        thumbnail(values, pixels.height(), pixels.width(), channels)
    });
    file.filter(|bytes| !bytes.is_empty())
}

/// Returns `[height, width, channels]` values as a PNG file whose longer side has at most `side_max`
/// pixels; smaller pictures keep their size.
///
/// Returns no bytes if the values do not fill such a picture.
#[must_use]
pub fn shrunk(
    values: &[u8],
    height: usize,
    width: usize,
    channels: Channels,
    side_max: u32,
) -> Vec<u8> {
    let (Ok(height), Ok(width)) = (u32::try_from(height), u32::try_from(width)) else {
        return Vec::new();
    };
    let longest = height.max(width).max(1);
    let side = |length: u32| {
        if longest <= side_max {
            length
        } else {
            (length * side_max / longest).max(1)
        }
    };
    let (layout, color) = match channels {
        Channels::Grey => (Layout::Grey, ExtendedColorType::L8),
        Channels::Rgb => (Layout::Rgb, ExtendedColorType::Rgb8),
    };
    let picture = Picture {
        width,
        height,
        layout,
        data: values.to_vec(),
    };
    let target = Target {
        height: side(height),
        width: side(width),
        channels,
        filter: Filter::Bilinear,
        background: [0; 3],
    };
    let mut bytes = Vec::new();
    // Fixed settings: the same picture gives the same bytes.
    let encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive);
    let written = fit(&picture, &target)
        .ok()
        .filter(|small| small.len() == target.image_len());
    match written.map(|small| encoder.write_image(&small, target.width, target.height, color)) {
        Some(Ok(())) => bytes,
        Some(Err(_)) | None => Vec::new(),
    }
}

/// Returns `[height, width, channels]` values as a PNG file of the same pixels, made quickly.
///
/// Returns no bytes if the values do not fill such a picture.
#[must_use]
pub fn png(values: &[u8], height: u32, width: u32, channels: Channels) -> Vec<u8> {
    let color = match channels {
        Channels::Grey => ExtendedColorType::L8,
        Channels::Rgb => ExtendedColorType::Rgb8,
    };
    if values.len() != height as usize * width as usize * channels.count() {
        return Vec::new();
    }
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Up);
    match encoder.write_image(values, width, height, color) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
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
    fn small_pictures_stay_and_large_ones_shrink() {
        for ((height, width), expected) in [
            ((2, 3), (2, 3)),
            ((64, 64), (64, 64)),
            ((128, 256), (32, 64)),
            ((512, 1), (64, 1)),
        ] {
            let file = thumbnail(&vec![9; height * width * 3], height, width, Channels::Rgb);
            let picture = decode(&file, LIMITS).unwrap();
            assert_eq!((picture.height, picture.width), expected);
            assert!(picture.data.iter().all(|v| *v == 9));
        }
        assert!(thumbnail(&[1, 2, 3], 9, 9, Channels::Grey).is_empty());
    }

    #[test]
    fn a_kept_picture_has_the_same_pixels() {
        let values: Vec<u8> = (0..5 * 7 * 3).map(|i| (i * 37) as u8).collect();
        let picture = decode(&png(&values, 5, 7, Channels::Rgb), LIMITS).unwrap();
        assert_eq!((picture.height, picture.width), (5, 7));
        assert_eq!(picture.data, values);
        assert!(png(&values, 5, 8, Channels::Rgb).is_empty());
    }
}

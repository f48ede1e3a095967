//! Decodes PNG, JPEG, WebP, BMP, GIF and TIFF files, recognised by their content, into 8-bit
//! pictures. Of an animated GIF or WebP it is the first frame, of a TIFF the first page.
//!
//! The size a file claims is checked before memory is taken for it, so a few hostile bytes cannot
//! ask for gigabytes. EXIF orientation is applied: the picture stands as people see it.
//! `error` says why a file is none, `look` what the bytes are. Imports: nothing of ours.

mod error;
mod look;

use std::io::Cursor;

use image::codecs::{
    bmp::BmpDecoder, gif::GifDecoder, jpeg::JpegDecoder, png::PngDecoder, tiff::TiffDecoder,
    webp::WebPDecoder,
};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use error::reason;
use look::{guess, jpeg_is_complete, name};

pub use error::ImageError;

/// Memory a decoder may take per pixel: 16-bit RGBA is 8 bytes, and there may be one copy.
const DECODER_BYTES_PER_PIXEL: u64 = 16;
/// Memory a decoder may take beyond that (tables, metadata).
const DECODER_BYTES_EXTRA: u64 = 16 << 20;

/// How much one file may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest width × height.
    pub pixels_max: u64,
    /// Largest width, and largest height.
    pub side_max: u32,
    /// Largest file, in bytes.
    pub file_bytes_max: u64,
}

/// Which values one pixel of a `Picture` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One: grey.
    Grey,
    /// Two: grey, alpha.
    GreyAlpha,
    /// Three: red, green, blue.
    Rgb,
    /// Four: red, green, blue, alpha (not premultiplied).
    Rgba,
}

impl Layout {
    /// Returns the number of values per pixel.
    #[must_use]
    pub fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// A decoded picture: `[height, width, layout.channels()]` values of 8 bits, upright.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// Values per pixel.
    pub layout: Layout,
    /// The values, row by row.
    pub data: Vec<u8>,
}

/// Returns the picture in `bytes`, upright.
///
/// 16-bit values are scaled to 8 bits, palettes are looked up, CMYK becomes RGB, alpha is kept.
///
/// # Errors
/// Why the bytes are no usable picture.
pub fn decode(bytes: &[u8], limits: Limits) -> Result<Picture, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if limits.file_bytes_max < bytes.len() as u64 {
        return Err(ImageError::TooManyBytes {
            bytes: bytes.len() as u64,
            bytes_max: limits.file_bytes_max,
        });
    }
    let memory = memory_for(limits.pixels_max);
    match image::guess_format(bytes) {
        Ok(ImageFormat::Png) => {
            let mut memory = memory;
            if let Some((width, height)) = png_size(bytes) {
                // The decoder calls a file damaged whose rows it could not address.
                require_size(width, height, limits)?;
                // It unpacks a profile of colours as far as it may: that of a small picture is small.
                memory = memory_for(u64::from(width) * u64::from(height));
                let with_file = |most: u64| most.saturating_add(bytes.len() as u64);
                memory.max_alloc = memory.max_alloc.map(with_file);
            }
            let decoder = PngDecoder::with_limits(Cursor::new(bytes), memory.clone());
            upright(decoder.map_err(reason)?, limits, memory)
        }
        Ok(ImageFormat::Jpeg) => {
            let decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(|e| {
                if jpeg_is_complete(bytes) {
                    reason(e)
                } else {
                    ImageError::Truncated
                }
            })?;
            // The decoder fills what is missing with grey and calls it a success; a cut file must
            // not become a training picture. Only files that decode are looked at, after `upright`
            // has checked their size.
            let picture = upright(decoder, limits, memory)?;
            if jpeg_is_complete(bytes) {
                Ok(picture)
            } else {
                Err(ImageError::Truncated)
            }
        }
        Ok(ImageFormat::WebP) => {
            let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(reason)?;
            upright(decoder, limits, memory)
        }
        Ok(ImageFormat::Bmp) => {
            let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(reason)?;
            upright(decoder, limits, memory)
        }
        Ok(ImageFormat::Gif) => {
            let decoder = GifDecoder::new(Cursor::new(bytes)).map_err(reason)?;
            upright(decoder, limits, memory)
        }
        Ok(ImageFormat::Tiff) => {
            let decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(reason)?;
            upright(decoder, limits, memory)
        }
        Ok(other) => Err(ImageError::NotAnImage {
            content: name(other),
        }),
        Err(_) => Err(ImageError::NotAnImage {
            content: guess(bytes),
        }),
    }
}

/// Returns the grey picture of `width` × `height` whose values an array holds, row by row.
///
/// # Errors
/// It is larger than `limits` allow, or its values are not as many as its pixels.
pub fn grey(width: u32, height: u32, values: &[u8], limits: Limits) -> Result<Picture, ImageError> {
    require_size(width, height, limits)?;
    if values.is_empty() {
        return Err(ImageError::Empty);
    }
    if u64::from(width) * u64::from(height) != values.len() as u64 {
        return Err(ImageError::Truncated);
    }
    Ok(Picture {
        width,
        height,
        layout: Layout::Grey,
        data: values.to_vec(),
    })
}

/// Returns what a decoder may take for a picture of so many pixels.
fn memory_for(pixels: u64) -> image::Limits {
    let mut memory = image::Limits::no_limits();
    let bytes = pixels.saturating_mul(DECODER_BYTES_PER_PIXEL);
    memory.max_alloc = Some(bytes.saturating_add(DECODER_BYTES_EXTRA));
    memory
}

/// Returns how many pixels the head of a picture claims; `None` if that cannot be read with little
/// memory.
#[must_use]
pub fn pixels(bytes: &[u8]) -> Option<u64> {
    let mut reader = ImageReader::new(Cursor::new(bytes));
    reader.limits(memory_for(0));
    let (width, height) = reader.with_guessed_format().ok()?.into_dimensions().ok()?;
    Some(u64::from(width) * u64::from(height))
}

fn upright(
    mut decoder: impl ImageDecoder,
    limits: Limits,
    memory: image::Limits,
) -> Result<Picture, ImageError> {
    let (width, height) = decoder.dimensions();
    require_size(width, height, limits)?;
    // A frame may claim more than the picture it belongs to.
    decoder.set_limits(memory).map_err(reason)?;
    // A damaged EXIF block is no reason to refuse a good picture.
    let orientation = decoder
        .orientation()
        .unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(reason)?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    let (layout, data) = match image {
        DynamicImage::ImageLuma8(image) => (Layout::Grey, image.into_raw()),
        DynamicImage::ImageLumaA8(image) => (Layout::GreyAlpha, image.into_raw()),
        DynamicImage::ImageRgb8(image) => (Layout::Rgb, image.into_raw()),
        DynamicImage::ImageRgba8(image) => (Layout::Rgba, image.into_raw()),
        DynamicImage::ImageLuma16(image) => (Layout::Grey, to_8_bits(image.as_raw())),
        DynamicImage::ImageLumaA16(image) => (Layout::GreyAlpha, to_8_bits(image.as_raw())),
        DynamicImage::ImageRgb16(image) => (Layout::Rgb, to_8_bits(image.as_raw())),
        DynamicImage::ImageRgba16(image) => (Layout::Rgba, to_8_bits(image.as_raw())),
        other => (Layout::Rgba, other.into_rgba8().into_raw()),
    };
    Ok(Picture {
        width,
        height,
        layout,
        data,
    })
}

/// Returns the size that the head of a PNG file claims (PNG, section 11.2.1).
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let head = bytes.get(12..24)?.strip_prefix(b"IHDR")?;
    let (width, height) = head.split_first_chunk::<4>()?;
    let height = height.first_chunk::<4>()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}

fn require_size(width: u32, height: u32, limits: Limits) -> Result<(), ImageError> {
    if limits.side_max < width.max(height) {
        return Err(ImageError::SideTooLong {
            width,
            height,
            side_max: limits.side_max,
        });
    }
    if limits.pixels_max < u64::from(width) * u64::from(height) {
        return Err(ImageError::TooManyPixels {
            width,
            height,
            pixels_max: limits.pixels_max,
        });
    }
    Ok(())
}

/// Scales 0..=65535 to 0..=255, rounding to the nearest (65535 = 257 × 255).
fn to_8_bits(values: &[u16]) -> Vec<u8> {
    values
        .iter()
        .map(|&v| ((u32::from(v) + 128) / 257) as u8)
        .collect()
}

#[cfg(test)]
mod tests;

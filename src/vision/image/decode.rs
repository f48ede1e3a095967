//! Decodes PNG, JPEG, WebP, BMP, GIF and TIFF files, recognised by their content, into 8-bit
//! pictures. Of an animated GIF or WebP it is the first frame, of a TIFF the first page.
//!
//! The size a file claims is checked before memory is taken for it, so a few hostile bytes cannot
//! ask for gigabytes. EXIF orientation is applied: the picture stands as people see it.
//! Imports: `image::format`.

use std::io::{self, Cursor};

use image::codecs::{
    bmp::BmpDecoder, gif::GifDecoder, jpeg::JpegDecoder, png::PngDecoder, tiff::TiffDecoder,
    webp::WebPDecoder,
};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::format::FORMAT_LIST;

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

/// Why a file is no usable picture. The text fits after the file's name and a colon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Nothing in it.
    #[error("the file is empty (0 bytes)")]
    Empty,
    /// Not a picture of a format that is read.
    #[error("not a {} image ({content})", FORMAT_LIST)]
    NotAnImage {
        /// What it seems to be: `it is text`, `it is an AVIF image`.
        content: &'static str,
    },
    /// The file stops before the picture does.
    #[error("the file is truncated")]
    Truncated,
    /// More pixels than allowed.
    #[error("too large: {width}x{height} pixels, the limit is {pixels_max} (`max_pixels`)")]
    TooManyPixels {
        /// Claimed width.
        width: u32,
        /// Claimed height.
        height: u32,
        /// The limit on width × height.
        pixels_max: u64,
    },
    /// Wider or higher than allowed.
    #[error("too large: {width}x{height} pixels, the limit for a side is {side_max} (`max_side`)")]
    SideTooLong {
        /// Claimed width.
        width: u32,
        /// Claimed height.
        height: u32,
        /// The limit on each of them.
        side_max: u32,
    },
    /// More bytes than allowed.
    #[error("too large: {bytes} bytes, the limit is {bytes_max}")]
    TooManyBytes {
        /// Size of the file.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A picture, but of a kind of its format that is not read: a TIFF with a palette, say.
    #[error("not read: {reason}")]
    Unsupported {
        /// The decoder's words.
        reason: String,
    },
    /// The decoder gave up for another reason.
    #[error("damaged: {reason}")]
    Damaged {
        /// The decoder's words.
        reason: String,
    },
    /// The file could not be read at all.
    #[error("could not be read: {reason}")]
    Unreadable {
        /// The system's words.
        reason: String,
    },
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

fn reason(error: image::ImageError) -> ImageError {
    match error {
        image::ImageError::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            ImageError::Truncated
        }
        image::ImageError::Unsupported(why) => ImageError::Unsupported {
            reason: why.to_string(),
        },
        // The crate's own text repeats the format's name; the source says what is wrong.
        other => {
            let words = std::error::Error::source(&other)
                .map_or_else(|| other.to_string(), ToString::to_string);
            // What the GIF decoder says of a file that stops early.
            if ["Unexpected End of File", "image truncated"].contains(&words.as_str()) {
                return ImageError::Truncated;
            }
            // The PNG decoder prints its own types after this.
            let words = words
                .split(" while decoding ChunkType")
                .next()
                .unwrap_or_default();
            ImageError::Damaged {
                reason: words.trim_end_matches('.').to_owned(),
            }
        }
    }
}

/// Does the JPEG stream reach its end-of-image marker? (ITU-T T.81, annex B)
///
/// Segments are stepped over by their length, so a thumbnail inside EXIF does not count, and what
/// some cameras append after the end does no harm.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const START_OF_IMAGE: u8 = 0xD8;
    const END_OF_IMAGE: u8 = 0xD9;
    const START_OF_SCAN: u8 = 0xDA;
    let mut at = 0;
    let mut in_scan = false;
    while at + 1 < bytes.len() {
        let (first, second) = (bytes[at], bytes[at + 1]);
        match (first, second) {
            (0xFF, END_OF_IMAGE) => return true,
            (0xFF, 0xFF) => at += 1, // a fill byte before a marker
            // Stuffed zeros, restart markers and the start: no length follows.
            (0xFF, 0x00..=0x01 | 0xD0..=0xD7 | START_OF_IMAGE) => at += 2,
            (0xFF, marker) => {
                let Some(length) = bytes.get(at + 2..at + 4) else {
                    return false;
                };
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
                in_scan = marker == START_OF_SCAN;
            }
            _ if in_scan => {
                // Entropy-coded data: on to the next 0xFF.
                let rest = &bytes[at + 1..];
                at += 1 + rest.iter().position(|&b| b == 0xFF).unwrap_or(rest.len());
            }
            // Garbage between segments: decoders skip it as well.
            _ => at += 1,
        }
    }
    false
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Avif => "it is an AVIF image",
        _ => "it is an image of another format",
    }
}

/// Says what bytes without an image's signature seem to be.
fn guess(bytes: &[u8]) -> &'static str {
    const LOOKED_AT: usize = 512;
    let head = &bytes[..bytes.len().min(LOOKED_AT)];
    // A character may be cut at the end of the head.
    let is_text = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    } && !head.contains(&0);
    if head.starts_with(b"%PDF") {
        "it is a PDF document"
    } else if is_text {
        if head.trim_ascii_start().starts_with(b"<") {
            "it is HTML or XML"
        } else {
            "it is text"
        }
    } else if head.iter().all(|&b| b == 0) {
        "it is all zeros"
    } else {
        "unknown content"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{
        ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder,
    };

    const LIMITS: Limits = Limits {
        pixels_max: 1 << 20,
        side_max: 1 << 16,
        file_bytes_max: 1 << 20,
    };

    fn png(data: &[u8], width: u32, height: u32, color: ExtendedColorType) -> Vec<u8> {
        let mut out = Vec::new();
        PngEncoder::new(&mut out)
            .write_image(data, width, height, color)
            .unwrap();
        out
    }

    /// TIFF header, one IFD with one entry: tag 0x0112 (orientation), SHORT, one value.
    fn exif(orientation: u8) -> Vec<u8> {
        [
            &b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..],
            &[orientation],
            &[0, 0, 0, 0, 0, 0],
        ]
        .concat()
    }

    fn jpeg(width: u32, height: u32, orientation: Option<u8>) -> Vec<u8> {
        // Left half black, right half white.
        let data: Vec<u8> = (0..width * height)
            .map(|i| if i % width < width / 2 { 0 } else { 255 })
            .collect();
        let mut out = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut out, 95);
        if let Some(orientation) = orientation {
            encoder.set_exif_metadata(exif(orientation)).unwrap();
        }
        encoder
            .write_image(&data, width, height, ExtendedColorType::L8)
            .unwrap();
        out
    }

    /// CRC-32 of PNG chunks (PNG specification, annex D), to forge a header.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, &b| {
            (0..8).fold(crc ^ u32::from(b), |c, _| {
                (c >> 1) ^ (0xEDB8_8320 * (c & 1))
            })
        })
    }

    fn huge_png() -> Vec<u8> {
        let mut bytes = png(&[0], 1, 1, ExtendedColorType::L8);
        bytes[16..24].copy_from_slice(&[0, 0, 0xC3, 0x50, 0, 0, 0xC3, 0x50]); // 50000 x 50000
        let sum = crc(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    #[test]
    fn refuses_with_the_reason() {
        let cut = |bytes: Vec<u8>, len: usize| bytes[..len].to_vec();
        let noise: Vec<u8> = (0..64 * 64)
            .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let good_png = png(&noise, 64, 64, ExtendedColorType::L8);
        let good_jpeg = jpeg(64, 64, Some(6));
        let mut wrong_crc = good_png.clone();
        wrong_crc[200] ^= 0xFF;
        let rows: Vec<(&str, Vec<u8>, &str)> = vec![
            ("zero bytes", vec![], "the file is empty (0 bytes)"),
            (
                "text named .png",
                b"not a picture".to_vec(),
                "not a PNG, JPEG, WebP, BMP, GIF or TIFF image (it is text)",
            ),
            (
                "a saved error page",
                b"<!doctype html>".to_vec(),
                "not a PNG, JPEG, WebP, BMP, GIF or TIFF image (it is HTML or XML)",
            ),
            (
                "avif",
                b"\0\0\0\x1cftypavif\0\0\0\0".to_vec(),
                "not a PNG, JPEG, WebP, BMP, GIF or TIFF image (it is an AVIF image)",
            ),
            (
                "only a gif header",
                b"GIF89a\x01\0\x01\0".to_vec(),
                "the file is truncated",
            ),
            (
                "zeros",
                vec![0; 100],
                "not a PNG, JPEG, WebP, BMP, GIF or TIFF image (it is all zeros)",
            ),
            (
                "half a png",
                cut(good_png.clone(), good_png.len() / 2),
                "the file is truncated",
            ),
            (
                "only a png header",
                cut(good_png.clone(), 12),
                "the file is truncated",
            ),
            (
                "half a jpeg",
                cut(good_jpeg.clone(), good_jpeg.len() - 20),
                "the file is truncated",
            ),
            (
                "only a jpeg header",
                cut(good_jpeg.clone(), 30),
                "the file is truncated",
            ),
            (
                "a bomb",
                huge_png(),
                "too large: 50000x50000 pixels, the limit is 1048576 (`max_pixels`)",
            ),
            (
                "many bytes",
                vec![1; (1 << 20) + 1],
                "too large: 1048577 bytes, the limit is 1048576",
            ),
        ];
        for (what, bytes, expected) in rows {
            assert_eq!(
                decode(&bytes, LIMITS).unwrap_err().to_string(),
                expected,
                "{what}"
            );
        }
        assert!(matches!(
            decode(&wrong_crc, LIMITS),
            Err(ImageError::Damaged { .. })
        ));
    }

    #[test]
    fn keeps_layout_and_scales_16_bits() {
        let rows = [
            (
                png(&[7, 8], 2, 1, ExtendedColorType::L8),
                Layout::Grey,
                vec![7, 8],
            ),
            (
                png(&[7, 0], 1, 1, ExtendedColorType::La8),
                Layout::GreyAlpha,
                vec![7, 0],
            ),
            (
                png(&[1, 2, 3], 1, 1, ExtendedColorType::Rgb8),
                Layout::Rgb,
                vec![1, 2, 3],
            ),
            (
                png(&[1, 2, 3, 4], 1, 1, ExtendedColorType::Rgba8),
                Layout::Rgba,
                vec![1, 2, 3, 4],
            ),
            (
                png(
                    bytemuck(&[0, 65535, 257 * 100 + 128]),
                    3,
                    1,
                    ExtendedColorType::L16,
                ),
                Layout::Grey,
                vec![0, 255, 100],
            ),
        ];
        for (bytes, layout, data) in rows {
            let picture = decode(&bytes, LIMITS).unwrap();
            assert_eq!((picture.layout, picture.data), (layout, data));
        }
    }

    /// The encoder takes 16-bit values in the machine's byte order.
    fn bytemuck(values: &[u16]) -> &'static [u8] {
        values
            .iter()
            .flat_map(|v| v.to_ne_bytes())
            .collect::<Vec<_>>()
            .leak()
    }

    #[test]
    fn exif_orientation_stands_the_picture_up() {
        let at = |p: &Picture, x: u32, y: u32| {
            p.data[((y * p.width + x) as usize) * p.layout.channels()]
        };
        let plain = decode(&jpeg(32, 16, None), LIMITS).unwrap();
        assert_eq!((plain.width, plain.height), (32, 16));
        assert!(at(&plain, 2, 8) < 20 && 235 < at(&plain, 29, 8));
        // 6: the camera was turned; the left (black) half belongs at the top.
        let turned = decode(&jpeg(32, 16, Some(6)), LIMITS).unwrap();
        assert_eq!((turned.width, turned.height), (16, 32));
        assert!(at(&turned, 8, 2) < 20 && 235 < at(&turned, 8, 29));
        // 2: mirrored.
        let mirrored = decode(&jpeg(32, 16, Some(2)), LIMITS).unwrap();
        assert!(235 < at(&mirrored, 2, 8) && at(&mirrored, 29, 8) < 20);
    }

    #[test]
    fn what_follows_the_end_of_a_jpeg_does_no_harm() {
        let mut bytes = jpeg(16, 16, None);
        bytes.extend_from_slice(b"appended by a camera");
        assert!(decode(&bytes, LIMITS).is_ok());
    }

    /// A picture of 24 x 16 in each format beyond PNG and JPEG: left half dark, right half light.
    fn others() -> Vec<(&'static str, Vec<u8>)> {
        let picture = DynamicImage::ImageRgb8(image::RgbImage::from_fn(24, 16, |x, _| {
            image::Rgb(if x < 12 {
                [10, 20, 30]
            } else {
                [200, 210, 220]
            })
        }));
        let encoded = |format: ImageFormat| {
            let mut out = Cursor::new(Vec::new());
            picture.write_to(&mut out, format).unwrap();
            out.into_inner()
        };
        vec![
            ("bmp", encoded(ImageFormat::Bmp)),
            ("gif", encoded(ImageFormat::Gif)),
            ("tiff", encoded(ImageFormat::Tiff)),
            ("webp", encoded(ImageFormat::WebP)),
        ]
    }

    #[test]
    fn every_format_gives_the_same_picture() {
        for (format, bytes) in others() {
            let picture = decode(&bytes, LIMITS).unwrap();
            assert_eq!((picture.width, picture.height), (24, 16), "{format}");
            let channels = picture.layout.channels();
            let pixel = |x: usize| &picture.data[(24 * 8 + x) * channels..][..3];
            assert_eq!(pixel(2), [10, 20, 30], "{format}");
            assert_eq!(pixel(21), [200, 210, 220], "{format}");
        }
    }

    #[test]
    fn every_format_obeys_the_limits_and_must_be_whole() {
        let small = Limits {
            pixels_max: 24 * 16 - 1,
            ..LIMITS
        };
        for (format, bytes) in others() {
            let too_large = ImageError::TooManyPixels {
                width: 24,
                height: 16,
                pixels_max: 24 * 16 - 1,
            };
            assert_eq!(decode(&bytes, small), Err(too_large), "{format}");
            for len in [bytes.len() / 4, bytes.len() / 2, bytes.len() - 8] {
                let cut = decode(&bytes[..len], LIMITS);
                assert!(cut.is_err(), "{format} cut at {len} of {}", bytes.len());
            }
        }
    }

    #[test]
    fn the_largest_png_is_too_large_and_not_damaged() {
        // The head of a file of 2147483647 x 2147483647 pixels, grey, without a right checksum.
        let bytes = [
            &b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR"[..],
            b"\x7F\xFF\xFF\xFF\x7F\xFF\xFF\xFF\x08\0\0\0\0\0\0\0\0",
        ]
        .concat();
        let side = 0x7FFF_FFFF;
        let limits = Limits {
            side_max: side,
            ..LIMITS
        };
        let too_many = ImageError::TooManyPixels {
            width: side,
            height: side,
            pixels_max: limits.pixels_max,
        };
        assert_eq!(decode(&bytes, limits), Err(too_many));
    }

    #[test]
    fn a_frame_larger_than_its_gif_takes_no_memory() {
        // Screen 1 x 1, then a frame that claims 65535 x 65535 (GIF89a, sections 18 and 20).
        let bytes = [
            &b"GIF89a\x01\0\x01\0\0\0\0"[..],
            b"\x2C\0\0\0\0\xFF\xFF\xFF\xFF\x80\0\0\0\xFF\xFF\xFF",
            b"\x02\x02\x44\x01\0\x3B",
        ]
        .concat();
        assert!(decode(&bytes, LIMITS).is_err());
    }

    #[test]
    fn of_a_moving_picture_it_is_the_first_frame() {
        let frame = |grey: u8| {
            image::Frame::new(image::RgbaImage::from_pixel(
                4,
                4,
                image::Rgba([grey, grey, grey, 255]),
            ))
        };
        let mut bytes = Vec::new();
        image::codecs::gif::GifEncoder::new(&mut bytes)
            .encode_frames([frame(50), frame(250)])
            .unwrap();
        let picture = decode(&bytes, LIMITS).unwrap();
        assert_eq!((picture.width, picture.height), (4, 4));
        assert_eq!(&picture.data[..4], [50, 50, 50, 255]);
    }

    #[test]
    fn tiff_keeps_its_layout_and_scales_16_bits() {
        let tiff = |data: &[u8], width: u32, height: u32, color: ExtendedColorType| {
            let mut out = Cursor::new(Vec::new());
            image::codecs::tiff::TiffEncoder::new(&mut out)
                .write_image(data, width, height, color)
                .unwrap();
            out.into_inner()
        };
        let rows = [
            (
                tiff(&[7, 8], 2, 1, ExtendedColorType::L8),
                Layout::Grey,
                vec![7, 8],
            ),
            (
                tiff(&[1, 2, 3, 4], 1, 1, ExtendedColorType::Rgba8),
                Layout::Rgba,
                vec![1, 2, 3, 4],
            ),
            (
                tiff(
                    bytemuck(&[0, 65535, 257 * 100 + 128]),
                    3,
                    1,
                    ExtendedColorType::L16,
                ),
                Layout::Grey,
                vec![0, 255, 100],
            ),
        ];
        for (bytes, layout, data) in rows {
            let picture = decode(&bytes, LIMITS).unwrap();
            assert_eq!((picture.layout, picture.data), (layout, data));
        }
    }

    #[test]
    fn tiff_and_webp_orientation_stands_the_picture_up() {
        // TIFF says it in a tag of its own. The encoder writes none, so this file is made by hand:
        // 2 x 1 grey pixels, one strip (TIFF 6.0, section 8; the orientation tag is 274).
        let entry = |tag: u16, kind: u16, value: u32| {
            let mut bytes = Vec::new();
            bytes.extend(tag.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(1u32.to_le_bytes());
            bytes.extend(value.to_le_bytes());
            bytes
        };
        let entries = [
            entry(256, 3, 2), // width
            entry(257, 3, 1), // height
            entry(258, 3, 8), // bits
            entry(259, 3, 1), // no compression
            entry(262, 3, 1), // black is zero
            entry(273, 4, 8), // the strip begins after the header
            entry(274, 3, 6), // turned
            entry(277, 3, 1), // one value per pixel
            entry(278, 3, 1), // one row per strip
            entry(279, 4, 2), // bytes in the strip
        ];
        let mut tiff = b"II\x2A\0\x0A\0\0\0\x05\xFA".to_vec();
        tiff.extend((entries.len() as u16).to_le_bytes());
        tiff.extend(entries.concat());
        tiff.extend([0; 4]);
        let picture = decode(&tiff, LIMITS).unwrap();
        assert_eq!((picture.width, picture.height), (1, 2));
        assert_eq!(picture.data, [5, 250]);

        let mut webp = Vec::new();
        let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut webp);
        encoder.set_exif_metadata(exif(6)).unwrap();
        encoder
            .write_image(&[5, 5, 5, 250, 250, 250], 2, 1, ExtendedColorType::Rgb8)
            .unwrap();
        let picture = decode(&webp, LIMITS).unwrap();
        assert_eq!((picture.width, picture.height), (1, 2));
        assert_eq!(picture.data, [5, 5, 5, 250, 250, 250]);
    }

    proptest::proptest! {
        /// No damage may panic the decoder: flipped bytes give a picture or a reason.
        #[test]
        fn damage_never_panics(at: [u16; 3], value: [u8; 3], which in 0usize..6) {
            let mut bytes = match which {
                0 => jpeg(16, 16, Some(3)),
                1 => png(&[9; 256], 16, 16, ExtendedColorType::L8),
                other => others().swap_remove(other - 2).1,
            };
            // One byte among the first, where the headers are, and two anywhere.
            let len = bytes.len();
            bytes[usize::from(at[0]) % len.min(64)] = value[0];
            bytes[usize::from(at[1]) % len] = value[1];
            bytes[usize::from(at[2]) % len] = value[2];
            let _ = decode(&bytes, LIMITS);
        }
    }
}

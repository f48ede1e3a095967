//! Pictures of every format, whole, cut, damaged and forged.

use super::*;
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder};

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
    let at =
        |p: &Picture, x: u32, y: u32| p.data[((y * p.width + x) as usize) * p.layout.channels()];
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

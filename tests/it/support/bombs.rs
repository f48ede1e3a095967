//! Small files that would be large: they claim, or unpack to, far more than they are.
//!
//! Formats: deflate (RFC 1951), zlib (RFC 1950), gzip (RFC 1952), PNG (W3C, second edition), JPEG (ITU-T
//! T.81, annex B), `GIF89a`, WebP (RFC 9649), BMP and TIFF 6.0.

use flate2::{Compress, Compression, FlushCompress};

use super::pictures::{chunk, start};

const MIB: usize = 1 << 20;
/// The largest side that JPEG and GIF can claim.
const SIDE: u16 = u16::MAX;

/// Returns zeros, packed with gzip.
pub(crate) fn gzip(mebibytes: usize) -> Vec<u8> {
    // No name, no time, an unknown system.
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let zeros = (mebibytes * MIB) as u32;
    // Nobody gets as far as the sum.
    [
        &head[..],
        &deflated(mebibytes),
        &[0; 4],
        &zeros.to_le_bytes(),
    ]
    .concat()
}

/// Returns a PNG file of that size with so many zeros for its rows.
pub(crate) fn png(width: u32, height: u32, mebibytes: usize) -> Vec<u8> {
    let mut file = start(width, height);
    chunk(&mut file, *b"IDAT", &zlib(mebibytes * MIB));
    chunk(&mut file, *b"IEND", &[]);
    file
}

/// Returns a black PNG file of 16 x 16 pixels with a chunk of `kind` that is packed: `iCCP` or `zTXt`.
pub(crate) fn png_with(kind: [u8; 4], mebibytes: usize) -> Vec<u8> {
    let mut file = start(16, 16);
    // A name, its end, and the only method there is.
    let packed = [&b"x\0\0"[..], &zlib(mebibytes * MIB)].concat();
    chunk(&mut file, kind, &packed);
    chunk(&mut file, *b"IDAT", &zlib(16 * (1 + 16 * 3)));
    chunk(&mut file, *b"IEND", &[]);
    file
}

/// Returns files of a few bytes that claim thousands of millions of pixels.
pub(crate) fn claims() -> Vec<(&'static str, Vec<u8>)> {
    let side = SIDE.to_be_bytes();
    let little = SIDE.to_le_bytes();
    let jpeg = [
        &b"\xff\xd8\xff\xc0\0\x11\x08"[..],
        &side,
        &side,
        b"\x03\x01\x11\0\x02\x11\0\x03\x11\0",
        b"\xff\xda\0\x0c\x03\x01\0\x02\0\x03\0\0\x3f\0\0\xff\xd9",
    ]
    .concat();
    let gif = [
        &b"GIF89a"[..],
        &little,
        &little,
        b"\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0",
        &little,
        &little,
        b"\0\x02\x02\x44\x01\0\x3b",
    ]
    .concat();
    // The screen is small, and its one frame is not.
    let gif_frame = [
        &b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0"[..],
        &little,
        &little,
        b"\0\x02\x02\x44\x01\0\x3b",
    ]
    .concat();
    // 14 bits for each side, less 1: 16383 x 16383.
    let webp_lossless = webp(*b"VP8L", b"\x2f\xfe\xbf\xff\x0f\0\0\0\0\0");
    let webp_lossy = webp(*b"VP8 ", b"\x10\0\0\x9d\x01\x2a\xff\x3f\xff\x3f\0\0");
    let webp_canvas = webp(*b"VP8X", b"\0\0\0\0\xff\xff\0\xff\xff\0");
    let wide = u32::from(SIDE).to_le_bytes();
    let bmp = [
        &b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"[..],
        &wide,
        &wide,
        b"\x01\0\x18\0",
        &[0; 24],
    ]
    .concat();
    vec![
        ("a JPEG", jpeg),
        ("a GIF", gif),
        ("a frame of a GIF", gif_frame),
        ("a lossless WebP", webp_lossless),
        ("a lossy WebP", webp_lossy),
        ("the canvas of a WebP", webp_canvas),
        ("a BMP", bmp),
        ("a TIFF", tiff()),
    ]
}

fn webp(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| (bytes as u32).to_le_bytes();
    let file = length(4 + 8 + data.len());
    [
        &b"RIFF"[..],
        &file,
        b"WEBP",
        &kind,
        &length(data.len()),
        data,
    ]
    .concat()
}

/// One strip of nothing for all rows.
fn tiff() -> Vec<u8> {
    let side = u32::from(SIDE);
    let entries = [
        (256, side),     // width
        (257, side),     // height
        (258, 8),        // bits
        (259, 1),        // no compression
        (262, 1),        // black is zero
        (273, 8),        // where the strip begins
        (277, 1),        // values per pixel
        (278, side),     // rows per strip
        (279, u32::MAX), // bytes in the strip
    ];
    let mut file = b"II\x2a\0\x08\0\0\0".to_vec();
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, value) in entries {
        // LONG, one of them.
        file.extend(u16::to_le_bytes(tag));
        file.extend([4, 0, 1, 0, 0, 0]);
        file.extend(u32::to_le_bytes(value));
    }
    file.extend([0; 4]);
    file
}

fn zlib(zeros: usize) -> Vec<u8> {
    // Adler-32 of zeros: the first sum stays 1, and the second one counts it.
    let sum = (zeros as u32 % 65_521) << 16 | 1;
    let packed = match zeros % MIB {
        0 => deflated(zeros / MIB),
        _ => {
            let mut packed = piece(zeros);
            packed.extend(END);
            packed
        }
    };
    [&[0x78, 0xda][..], &packed, &sum.to_be_bytes()].concat()
}

/// An empty block, the last one (RFC 1951, section 3.2.6).
const END: [u8; 2] = [0x03, 0x00];

/// The same MiB over and over: what is packed refers to nothing before itself.
fn deflated(mebibytes: usize) -> Vec<u8> {
    let mut all = piece(MIB).repeat(mebibytes);
    all.extend(END);
    all
}

/// Zeros that end at a whole byte and leave nothing to refer to.
fn piece(zeros: usize) -> Vec<u8> {
    let mut packed = Vec::with_capacity(64 << 10);
    let mut compress = Compress::new(Compression::best(), false);
    compress
        .compress_vec(&vec![0; zeros], &mut packed, FlushCompress::Full)
        .unwrap();
    assert_eq!(compress.total_in(), zeros as u64);
    packed
}

#[test]
fn what_is_packed_here_is_what_it_says() {
    use std::io::Read;

    let mut zeros = Vec::new();
    let packed = zlib(3 * MIB);
    assert!(packed.len() < 8 << 10);
    flate2::read::ZlibDecoder::new(&packed[..])
        .read_to_end(&mut zeros)
        .unwrap();
    assert_eq!(zeros, vec![0; 3 * MIB]);
    zeros.clear();
    flate2::read::ZlibDecoder::new(&zlib(784)[..])
        .read_to_end(&mut zeros)
        .unwrap();
    assert_eq!(zeros, vec![0; 784]);
}

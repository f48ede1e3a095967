//! A look at the bytes of a file: is a JPEG file whole, and what is it that is no picture? Imports: nothing
//! of ours.

use image::ImageFormat;

/// Does the JPEG stream reach its end-of-image marker? (ITU-T T.81, annex B)
///
/// Segments are stepped over by their length, so a thumbnail inside EXIF does not count, and what
/// some cameras append after the end does no harm.
pub(super) fn jpeg_is_complete(bytes: &[u8]) -> bool {
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

/// Says what a picture is of a format that is not read.
pub(super) fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Avif => "it is an AVIF image",
        _ => "it is an image of another format",
    }
}

/// Says what bytes without an image's signature seem to be.
pub(super) fn guess(bytes: &[u8]) -> &'static str {
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

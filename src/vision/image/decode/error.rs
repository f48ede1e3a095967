//! Why a file is no usable picture, also in the decoders' words. Imports: `image::format`.

use std::io;

use crate::vision::image::format::FORMAT_LIST;

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

/// Returns what a decoder complains of.
pub(super) fn reason(error: image::ImageError) -> ImageError {
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

//! Which picture files are read: one list for the decoder, the folder scan, the commands and their
//! messages. Imports: nothing of ours.

use std::path::Path;

use image::ImageFormat;

/// A format that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG, with or without EXIF.
    Jpeg,
    /// WebP, lossy or lossless.
    WebP,
    /// Windows bitmap.
    Bmp,
    /// GIF; the first frame counts.
    Gif,
    /// TIFF; the first page counts.
    Tiff,
}

impl Format {
    /// All of them, in the order in which they are met.
    pub const ALL: [Self; 6] = [
        Self::Png,
        Self::Jpeg,
        Self::WebP,
        Self::Bmp,
        Self::Gif,
        Self::Tiff,
    ];

    /// Returns the format that a file's first bytes claim.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match image::guess_format(bytes).ok()? {
            ImageFormat::Png => Some(Self::Png),
            ImageFormat::Jpeg => Some(Self::Jpeg),
            ImageFormat::WebP => Some(Self::WebP),
            ImageFormat::Bmp => Some(Self::Bmp),
            ImageFormat::Gif => Some(Self::Gif),
            ImageFormat::Tiff => Some(Self::Tiff),
            _ => None,
        }
    }

    /// Returns its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Tiff => "TIFF",
        }
    }
}

/// The formats within a sentence: "a … image", "… files".
pub const FORMAT_LIST: &str = "PNG, JPEG, WebP, BMP, GIF or TIFF";

/// Extensions of files that are tried; what is inside decides how they are decoded.
pub const EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"];

/// Does the file's name end like a picture's, in any case?
#[must_use]
pub fn is_picture_name(name: &str) -> bool {
    Path::new(name)
        .extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_every_format() {
        let names = Format::ALL.map(Format::name);
        assert_eq!(FORMAT_LIST.replace(" or ", ", "), names.join(", "));
    }
}

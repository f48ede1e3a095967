//! Which picture files are read: one list for the decoder, the folder scan, the commands and their
//! messages. Imports: nothing of ours.

use std::path::Path;

/// The formats by name, in the order in which they are met.
pub const FORMATS: [&str; 6] = ["PNG", "JPEG", "WebP", "BMP", "GIF", "TIFF"];

/// The same within a sentence: "a … image", "… files".
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
        assert_eq!(FORMAT_LIST.replace(" or ", ", "), FORMATS.join(", "));
    }
}

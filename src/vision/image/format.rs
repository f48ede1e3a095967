//! Which picture files are read: one list for the decoder, the folder scan, the commands and their
//! messages. Imports: nothing of ours.

use std::path::Path;

/// The formats for people, in the order in which they are met.
pub const FORMATS: &str = "PNG, JPEG, WebP, BMP, GIF or TIFF";

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

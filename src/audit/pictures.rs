//! The table that all checks look at: one row for each usable picture, and its fitted pixels.
//! Imports: base, vision.

use crate::base::ContentHash;
use crate::vision::dataset::Split;
use crate::vision::image::{Facts, Pixels};

/// One usable picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Relative to the dataset, `/`-separated.
    pub path: String,
    /// What `preprocess` uses it for.
    pub split: Split,
    /// Index into the classes.
    pub class: u32,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// What the file says of itself: format, size, values, frames.
    pub facts: Facts,
    /// Width of the decoded picture, upright, in pixels.
    pub width: u32,
    /// Height of the decoded picture, upright, in pixels.
    pub height: u32,
    /// Hash of the decoded pixels with their size: the same for the same picture in another file.
    pub content: ContentHash,
    /// `vision::image::PROPERTIES` of the fitted picture.
    pub properties: [f64; 8],
    /// Difference hash of the fitted picture, 64 bits: near for pictures that look alike.
    pub dhash: u64,
}

/// All usable pictures, sorted by path.
#[derive(Clone, Debug)]
pub struct Pictures {
    /// Class names, sorted; `Picture::class` is an index into them.
    pub classes: Vec<String>,
    /// One for each picture.
    pub rows: Vec<Picture>,
    /// The fitted pictures, `[rows, height, width, channels]`: picture `i` belongs to row `i`.
    pub pixels: Pixels,
}

impl Pictures {
    /// Returns the name of the class of row `row`.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn class(&self, row: usize) -> &str {
        &self.classes[self.rows[row].class as usize]
    }
}

//! The table that all checks look at: one row for each usable picture, and its pixels, small.
//! Imports: base, vision, `audit::finding`.

use crate::base::ContentHash;
use crate::vision::dataset::Split;
use crate::vision::image::{Facts, Pixels};

use super::finding::{Item, Place};

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
    /// Does a pixel let the background through?
    pub transparent: bool,
    /// Width of the decoded picture, upright, in pixels.
    pub width: u32,
    /// Height of the decoded picture, upright, in pixels.
    pub height: u32,
    /// Hash of the decoded pixels with their size: the same for the same picture in another file.
    pub content: ContentHash,
    /// `vision::image::PROPERTIES` of the picture as `preprocess` fits it.
    pub properties: [f64; 8],
    /// Difference hash of the picture at 35×35, 64 bits: near for pictures that look alike.
    pub dhash: u64,
}

/// All usable pictures, sorted by path.
#[derive(Clone, Debug)]
pub struct Pictures {
    /// Class names, sorted; `Picture::class` is an index into them.
    pub classes: Vec<String>,
    /// One for each picture.
    pub rows: Vec<Picture>,
    /// The pictures at 35×35, `[rows, height, width, channels]`: picture `i` belongs to row `i`.
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

    /// Returns row `row` as a thing that a check found.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn item(&self, row: usize, detail: impl Into<String>) -> Item {
        let picture = &self.rows[row];
        Item {
            path: Some(picture.path.clone()),
            split: Some(picture.split),
            class: Some(self.class(row).to_owned()),
            detail: detail.into(),
            row: Some(row),
            ..Item::default()
        }
    }

    /// Returns where row `row` lies.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn place(&self, row: usize) -> Place {
        let picture = &self.rows[row];
        Place {
            path: picture.path.clone(),
            split: picture.split,
            class: self.class(row).to_owned(),
            row,
        }
    }

    /// Returns the rows of a split, ascending.
    pub fn rows_of(&self, split: Split) -> impl Iterator<Item = usize> {
        let rows = self.rows.iter().enumerate();
        rows.filter(move |(_, picture)| picture.split == split)
            .map(|(row, _)| row)
    }
}

//! What pages need of pictures: those of prepared data, as they are and as a training would change
//! them. Pages know how prepared data is listed (`prepared`), not how pixels are kept: that is what an
//! `Eye` can see, which the program hands in if it was built with one. Imports: nothing of ours.

use std::fmt;
use std::fs::File;
use std::io;

/// Opens a file of a folder of prepared data by its name; `None` if there is none. The folder may be
/// one of the workspace, or one that a run left in the cache.
pub type Opener<'a> = dyn Fn(&str) -> io::Result<Option<File>> + 'a;

/// Which picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// `train`, `val` or `test`.
    pub split: &'a str,
    /// Which of the split, from 0, in the order of `index.jsonl`.
    pub index: u32,
    /// The longer side in pixels at most; smaller pictures keep their size.
    pub side_max: u32,
}

/// How a training changes pictures: the keys of `train.augment`, the seed, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augmented {
    /// Probability of a mirrored picture.
    pub flip: f64,
    /// Largest shift in pixels.
    pub shift: u64,
    /// Largest rotation in degrees.
    pub rotate: f64,
    /// Padding of the random crop in pixels.
    pub crop: u64,
    /// `train.seed`.
    pub seed: u64,
    /// From 1.
    pub epoch: u64,
}

/// Why there is no picture to be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EyeError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Asked(String),
    /// The folder is not what it should be.
    #[error("{0}")]
    Folder(String),
}

/// Sees pictures in prepared data.
pub trait Eye: fmt::Debug + Send + Sync {
    /// Returns a picture as a PNG file; `None` if the split has fewer.
    ///
    /// # Errors
    /// There is no such split, or the folder is not what `cvops preprocess` writes.
    fn picture(&self, open: &Opener<'_>, wanted: Wanted<'_>) -> Result<Option<Vec<u8>>, EyeError>;

    /// Returns a picture as a PNG file, changed as a training changes it; `None` if the split has fewer.
    ///
    /// # Errors
    /// As `picture`; a number is outside of what `train.augment` may say.
    fn augmented(
        &self,
        open: &Opener<'_>,
        wanted: Wanted<'_>,
        how: Augmented,
    ) -> Result<Option<Vec<u8>>, EyeError>;
}

//! Where a dataset's pictures come from: files below a folder, or arrays. One way for all who read
//! them, so that a picture is the same to `preprocess` and to the data check, whatever holds it.
//! Imports: `base::hash`, `image`, `dataset::{idx, manifest}`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::ContentHash;
use crate::base::hash::{HashAlgo, hash_file};
use crate::vision::Error;
use crate::vision::image::{Facts, ImageError, Limits, Picture, decode, facts, grey};

use super::{idx, manifest};

/// What a dataset is given as.
pub(super) enum Form {
    /// A folder of pictures.
    Folder,
    /// A file that lists pictures.
    Manifest(manifest::Format),
    /// A folder with arrays of pictures and of labels.
    Idx(idx::Files),
}

impl Form {
    /// Looks at the names there are.
    pub(super) fn of(input: &Path) -> Result<Self, Error> {
        if !input.is_dir() {
            let path = input.to_owned();
            return match manifest::Format::of(input) {
                Some(format) if input.is_file() => Ok(Self::Manifest(format)),
                Some(_) => Err(Error::NoManifest { path }),
                None => Err(Error::NoDataset { path }),
            };
        }
        Ok(match idx::Files::find(input)? {
            Some(files) => Self::Idx(files),
            None => Self::Folder,
        })
    }
}

/// Returns the folder that holds all that is read of `input`, which is a dataset: its own folder, or the
/// one that a manifest lies in.
#[must_use]
pub fn folder_of(input: &Path) -> &Path {
    if manifest::Format::of(input).is_none() || input.is_dir() {
        return input;
    }
    match input.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The pictures of a dataset, to be read by their paths (`ImageFile::path`).
pub struct PictureSource(Held);

enum Held {
    /// In files below this folder.
    Files(PathBuf),
    /// In memory.
    Arrays(Vec<idx::Array>),
}

impl PictureSource {
    /// Opens `input`, which `scan` or `survey` has accepted. Arrays are read as a whole.
    ///
    /// # Errors
    /// `input` is no dataset; an array cannot be read, is damaged or too large.
    pub fn open(input: &Path) -> Result<Self, Error> {
        Ok(Self(match Form::of(input)? {
            Form::Folder | Form::Manifest(_) => Held::Files(folder_of(input).to_owned()),
            Form::Idx(files) => Held::Arrays(files.arrays()?),
        }))
    }

    /// Returns the hash of a picture's content: of the bytes of its file, whatever their number, or of its
    /// values.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn hash(&self, path: &str) -> Result<ContentHash, ImageError> {
        match &self.0 {
            Held::Files(folder) => {
                hash_file(HashAlgo::Blake3, &folder.join(path)).map_err(|e| unreadable(&e))
            }
            Held::Arrays(arrays) => Ok(Content::of_array(arrays, path)?.hash()),
        }
    }

    /// Returns a picture's content.
    ///
    /// # Errors
    /// It cannot be read, or its file is larger than `limits` allow.
    pub fn read(&self, path: &str, limits: Limits) -> Result<Content<'_>, ImageError> {
        let folder = match &self.0 {
            Held::Files(folder) => folder,
            Held::Arrays(arrays) => return Content::of_array(arrays, path),
        };
        let file = folder.join(path);
        let bytes = fs::metadata(&file).map_err(|e| unreadable(&e))?.len();
        let bytes_max = limits.file_bytes_max;
        if bytes_max < bytes {
            return Err(ImageError::TooManyBytes { bytes, bytes_max });
        }
        let bytes = fs::read(&file).map_err(|e| unreadable(&e))?;
        Ok(Content(Stored::File(bytes)))
    }
}

/// What is stored of a picture, before it is decoded.
pub struct Content<'s>(Stored<'s>);

enum Stored<'s> {
    /// The bytes of a file.
    File(Vec<u8>),
    /// Grey values, row by row.
    Values {
        width: u32,
        height: u32,
        values: &'s [u8],
    },
}

impl<'s> Content<'s> {
    fn of_array(arrays: &'s [idx::Array], path: &str) -> Result<Self, ImageError> {
        let (array, values) = arrays
            .iter()
            .find_map(|array| Some((array, array.values(path)?)))
            .ok_or_else(|| ImageError::Unreadable {
                reason: "there is no such picture".to_owned(),
            })?;
        Ok(Self(Stored::Values {
            width: array.width,
            height: array.height,
            values,
        }))
    }
}

impl Content<'_> {
    /// Returns its bytes: those of the file, or the values.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Stored::File(bytes) => bytes,
            Stored::Values { values, .. } => values,
        }
    }

    /// Returns their hash.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        ContentHash::of(self.bytes())
    }

    /// Returns the picture, upright.
    ///
    /// # Errors
    /// Why it is no usable picture.
    pub fn decode(&self, limits: Limits) -> Result<Picture, ImageError> {
        match &self.0 {
            Stored::File(bytes) => decode(bytes, limits),
            Stored::Values {
                width,
                height,
                values,
            } => grey(*width, *height, values, limits),
        }
    }

    /// Returns what the file says of itself; `None` if it is no picture.
    #[must_use]
    pub fn facts(&self) -> Option<Facts> {
        match &self.0 {
            Stored::File(bytes) => facts(bytes),
            Stored::Values { .. } => Some(Facts::ARRAY),
        }
    }
}

fn unreadable(error: &std::io::Error) -> ImageError {
    ImageError::Unreadable {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_of_a_manifest_lies_in_its_folder() {
        for (input, folder) in [
            ("data/pets", "data/pets"),
            ("data/pets/labels.csv", "data/pets"),
            ("data/labels.JSONL", "data"),
            ("labels.ndjson", "."),
        ] {
            assert_eq!(folder_of(Path::new(input)), Path::new(folder), "{input}");
        }
    }
}

//! Folders of IDX files: arrays of pictures and of labels, as MNIST and its family are published.
//!
//! ```text
//! train-images-idx3-ubyte.gz   train-labels-idx1-ubyte.gz   train, of which val is cut
//! t10k-images-idx3-ubyte.gz    t10k-labels-idx1-ubyte.gz    test; may be missing
//! classes.txt                                               may be missing
//! ```
//!
//! Each with or without `.gz`, and with `.idx3-ubyte` for `-idx3-ubyte`. Classes are named by their
//! labels, in digits, unless `classes.txt` names them: line 1 is label 0. A picture's path is the name of
//! its array and its number, from 0: `train-images-idx3-ubyte#12`. Other files mean nothing here.
//!
//! Format: Y. `LeCun`, C. Cortes and C. Burges, "The MNIST database of handwritten digits", section "File
//! formats". Imports: `base::units`, `dataset::{found, idx::array, scan, split}`.

mod array;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::base::units;
use crate::vision::Error;
use crate::vision::error::count_classes;

use super::found::{Found, PICTURES_MAX};
use super::split::Split;

/// How the names of the files begin, and what their pictures are for.
const PARTS: [(&str, Split); 2] = [("train", Split::Train), ("t10k", Split::Test)];
/// The file that names the classes.
const NAMES: &str = "classes.txt";
/// Largest file of names; there are at most 256.
const NAMES_BYTES_MAX: u64 = 1 << 20;

/// The files of a folder.
#[derive(Debug)]
pub(super) struct Files {
    parts: Vec<Part>,
    names: Option<PathBuf>,
}

/// The pictures of a split, and their labels.
#[derive(Debug)]
struct Part {
    split: Split,
    images: PathBuf,
    labels: PathBuf,
}

/// Pictures in memory.
pub(super) struct Array {
    /// The name of its file, without `.gz`.
    name: String,
    pub(super) width: u32,
    pub(super) height: u32,
    /// `[pictures, height, width]`, grey.
    values: Vec<u8>,
}

impl Array {
    /// Returns the values of the picture `path`, `[height, width]`; `None` if it is not in here.
    pub(super) fn values(&self, path: &str) -> Option<&[u8]> {
        let number = path.strip_prefix(&self.name)?.strip_prefix('#')?;
        let number: usize = number.parse().ok()?;
        let size = self.width as usize * self.height as usize;
        let start = number.checked_mul(size)?;
        self.values.get(start..start.checked_add(size)?)
    }
}

impl Files {
    /// Looks for the names in `folder`; returns `None` if none of them is there.
    ///
    /// # Errors
    /// One of them is there, and another that it needs is not.
    pub(super) fn find(folder: &Path) -> Result<Option<Self>, Error> {
        let mut parts = Vec::new();
        for (start, split) in PARTS {
            let images = file(folder, start, "images", "idx3");
            let labels = file(folder, start, "labels", "idx1");
            match (images, labels) {
                (Some(images), Some(labels)) => parts.push(Part {
                    split,
                    images,
                    labels,
                }),
                (Some(found), None) => return Err(lacks(&found, start, "labels", "idx1")),
                (None, Some(found)) => return Err(lacks(&found, start, "images", "idx3")),
                (None, None) => {}
            }
        }
        match parts.first() {
            None => return Ok(None),
            Some(part) if part.split != Split::Train => {
                return Err(lacks(&part.images, "train", "images", "idx3"));
            }
            Some(_) => {}
        }
        let names = Some(folder.join(NAMES)).filter(|path| path.is_file());
        Ok(Some(Self { parts, names }))
    }

    /// Reads all pictures.
    ///
    /// # Errors
    /// A file cannot be read, is damaged or too large.
    pub(super) fn arrays(&self) -> Result<Vec<Array>, Error> {
        self.parts
            .iter()
            .map(|part| array_of(&part.images))
            .collect()
    }
}

fn array_of(path: &Path) -> Result<Array, Error> {
    let read = array::read::<3>(&mut open(path)?);
    let ([count, height, width], values) = read.map_err(broken(path))?;
    require_size(path, count, height, width)?;
    Ok(Array {
        name: shown(path),
        width,
        height,
        values,
    })
}

/// Reads the labels and the heads of the pictures' files.
///
/// # Errors
/// A file cannot be read, is damaged or too large, or does not fit the others.
pub(super) fn look(folder: &Path, files: &Files) -> Result<Found, Error> {
    let mut parts = Vec::new();
    for part in &files.parts {
        let path = &part.images;
        let sizes = array::head::<3>(&mut open(path)?);
        let [count, height, width] = sizes.map_err(broken(path))?;
        require_size(path, count, height, width)?;
        // Labels are read once their number is known to be one that fits.
        let sizes = array::head::<1>(&mut open(&part.labels)?);
        let [labels] = sizes.map_err(broken(&part.labels))?;
        if count != labels {
            let problem = format!(
                "it holds {}, and `{}` {}",
                units::count(count as usize, "image"),
                shown(&part.labels),
                units::count(labels as usize, "label"),
            );
            return Err(broken(path)(problem));
        }
        let labels = array::read::<1>(&mut open(&part.labels)?);
        let (_, labels) = labels.map_err(broken(&part.labels))?;
        parts.push((part, labels));
    }
    let used: BTreeSet<u8> = parts
        .iter()
        .flat_map(|(_, labels)| labels)
        .copied()
        .collect();
    let last = used.last().copied().unwrap_or_default();
    let names = match &files.names {
        Some(path) => names(path, last)?,
        // As many digits as the last one has: the order of names is that of numbers.
        None => {
            let digits = last.to_string().len();
            (0..=last)
                .map(|label| format!("{label:0digits$}"))
                .collect()
        }
    };
    let mut found = Found {
        splits: parts
            .iter()
            .map(|(part, _)| (part.split.name().to_owned(), part.split))
            .collect(),
        ..Found::default()
    };
    for (part, labels) in &parts {
        let array = shown(&part.images);
        for (number, label) in labels.iter().enumerate() {
            let class = &names[usize::from(*label)];
            found.add(Some(part.split), class, format!("{array}#{number}"));
        }
    }
    let entries = super::scan::list(folder)?;
    let folders = entries.into_iter().filter(|entry| entry.is_dir);
    found.skipped = folders.map(|entry| format!("{}/", entry.name)).collect();
    Ok(found)
}

/// Returns the class names in the file `path`, of label 0 to at least `last`.
fn names(path: &Path, last: u8) -> Result<Vec<String>, Error> {
    let refuse = broken(path);
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(NAMES_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(Error::io("read", path))?;
    if NAMES_BYTES_MAX < bytes.len() as u64 {
        return Err(refuse(format!("it is larger than {NAMES_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8".to_owned()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_end();
    let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    let mut seen = BTreeSet::new();
    for (number, name) in (1..).zip(&names) {
        if name.is_empty() || name.contains(char::is_control) {
            return Err(refuse(format!("line {number} is no name of a class")));
        }
        if !seen.insert(name) {
            return Err(refuse(format!("`{name}` is there twice")));
        }
    }
    if names.len() <= usize::from(last) {
        return Err(refuse(format!(
            "it names {}, and labels go up to {last}: line 1 is label 0",
            count_classes(names.len()),
        )));
    }
    Ok(names)
}

/// Returns the first of the spellings of a name that is there.
fn file(folder: &Path, start: &str, what: &str, rank: &str) -> Option<PathBuf> {
    let mut spellings = ["", ".gz"].into_iter().flat_map(|end| {
        ["-", "."].map(|dot| folder.join(format!("{start}-{what}{dot}{rank}-ubyte{end}")))
    });
    spellings.find(|path| path.is_file())
}

fn lacks(found: &Path, start: &str, what: &str, rank: &str) -> Error {
    broken(found)(format!(
        "`{start}-{what}-{rank}-ubyte` belongs to it, with or without `.gz`, and is not there"
    ))
}

fn require_size(path: &Path, count: u32, height: u32, width: u32) -> Result<(), Error> {
    if count == 0 || height == 0 || width == 0 {
        let problem = format!("it holds {count} images of {height}×{width} pixels");
        return Err(broken(path)(problem));
    }
    if PICTURES_MAX < count as usize {
        let problem = format!("it holds {count} images, more than {PICTURES_MAX}");
        return Err(broken(path)(problem));
    }
    Ok(())
}

/// Returns the name of an array: that of its file, compressed or not.
fn shown(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".gz").unwrap_or(&name).to_owned()
}

fn open(path: &Path) -> Result<Box<dyn Read>, Error> {
    let file = fs::File::open(path).map_err(Error::io("open", path))?;
    let file = BufReader::new(file);
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn Read> = if is_packed {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    Ok(reader)
}

/// Returns a closure that says what is wrong with the file `path`.
fn broken(path: &Path) -> impl Fn(String) -> Error {
    let path = path.to_owned();
    move |problem| Error::Idx {
        path: path.clone(),
        problem,
    }
}

#[cfg(test)]
mod tests;

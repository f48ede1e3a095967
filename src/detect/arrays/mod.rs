//! Arrays of numbers from files: features that another program computed. Imports: base, drift.
//!
//! `ArrayFile` reads `.npy`, `.csv` and `.safetensors` by the end of the name; `Array::rows` makes a sample of what is
//! there, and `compare` compares two of them. Every mistake names its file and its place in it.

mod compare;
mod csv;
mod error;
mod npy;
mod number;
mod safetensors;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::base;
use crate::drift::Sample;

pub use compare::{Compared, Detector, Found, Relabelling, Request, Whole, compare};
pub use error::{ArrayError, Fault, Place};

/// Files beyond are refused before they are read.
const BYTES_MAX: u64 = 4 << 30;
/// Numbers beyond are refused before there is memory for them: each takes eight bytes, also where the file has one.
const NUMBERS_MAX: usize = 1 << 29;

/// A file that holds an array, and which of its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayFile {
    /// The file.
    pub path: PathBuf,
    /// A tensor of a safetensors file; needed where there are several.
    pub tensor: Option<String>,
}

/// Whether the first line of a CSV file holds the names of its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// If it is no line of numbers.
    Auto,
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    path: PathBuf,
    content: Content,
}

/// What the readers of the formats find.
#[derive(Clone, Debug, Default, PartialEq)]
struct Content {
    shape: Vec<usize>,
    /// In row-major order.
    values: Vec<f64>,
    /// Of each row of a text, from 1; empty for other files.
    lines: Vec<u64>,
    /// Of the columns; empty if they have none.
    names: Vec<String>,
    /// What should be known about how it was read.
    notes: Vec<String>,
}

/// What a reader does not take, and where.
#[derive(Debug, PartialEq)]
struct Bad {
    place: Option<Place>,
    fault: Fault,
}

/// Checks that there is memory for `found` numbers.
fn require_room(found: usize) -> Result<(), Fault> {
    if found <= NUMBERS_MAX {
        return Ok(());
    }
    let most = NUMBERS_MAX;
    Err(Fault::TooManyNumbers { found, most })
}

impl From<Fault> for Bad {
    fn from(fault: Fault) -> Self {
        Self { place: None, fault }
    }
}

/// Observations from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// The file.
    pub path: PathBuf,
    /// The numbers, all finite.
    pub sample: Sample,
    /// The names of the features; empty if they have none.
    pub names: Vec<String>,
    /// What should be known about how they were read.
    pub notes: Vec<String>,
    lines: Vec<u64>,
}

impl ArrayFile {
    /// Reads a path as users write it, with the tensor's name after a `#`: `features.safetensors#embedding`.
    #[must_use]
    pub fn named(path: &Path) -> Self {
        let split = path
            .to_str()
            .and_then(|text| text.split_once(".safetensors#"));
        match split {
            Some((stem, tensor)) => Self {
                path: PathBuf::from(format!("{stem}.safetensors")),
                tensor: Some(tensor.to_owned()),
            },
            None => Self {
                path: path.to_owned(),
                tensor: None,
            },
        }
    }

    /// Reads the array.
    ///
    /// # Errors
    /// The file cannot be read, is too large, or holds no array of numbers.
    pub fn read(&self, head: Head) -> Result<Array, ArrayError> {
        let bad = |bad: Bad| ArrayError::File {
            path: self.path.clone(),
            place: bad.place,
            fault: bad.fault,
        };
        let extension = self.path.extension().map(OsStr::to_ascii_lowercase);
        let format = match extension.as_ref().and_then(|end| end.to_str()) {
            Some("npy") => Format::Npy,
            Some("csv") => Format::Csv,
            Some("safetensors") => Format::Safetensors,
            _ => return Err(bad(Fault::UnknownFormat.into())),
        };
        let found = std::fs::metadata(&self.path)
            .map_err(base::Error::io("read", &self.path))?
            .len();
        if BYTES_MAX < found {
            let most = BYTES_MAX;
            return Err(bad(Fault::TooLarge { found, most }.into()));
        }
        let bytes = std::fs::read(&self.path).map_err(base::Error::io("read", &self.path))?;
        let content = match format {
            Format::Npy => npy::read(&bytes).map_err(Bad::from),
            Format::Csv => csv::read(&bytes, head),
            Format::Safetensors => {
                safetensors::read(&bytes, self.tensor.as_deref()).map_err(Bad::from)
            }
        };
        Ok(Array {
            path: self.path.clone(),
            content: content.map_err(bad)?,
        })
    }
}

#[derive(Clone, Copy)]
enum Format {
    Npy,
    Csv,
    Safetensors,
}

impl Array {
    /// Takes the first dimension as observations, all others together as features; an array of one dimension
    /// has one feature.
    ///
    /// # Errors
    /// There are no rows or no features, or a value is NaN or infinite.
    pub fn rows(self) -> Result<Rows, ArrayError> {
        let Content {
            shape,
            values,
            lines,
            names,
            mut notes,
        } = self.content;
        let bad = |place, fault| ArrayError::File {
            path: self.path.clone(),
            place,
            fault,
        };
        let Some((_, inner)) = shape.split_first() else {
            return Err(bad(None, Fault::Scalar));
        };
        if values.is_empty() {
            return Err(bad(None, Fault::Empty { shape }));
        }
        // Of as many values as there are: it cannot overflow.
        let width: usize = inner.iter().product();
        if 1 < inner.len() {
            notes.push(format!(
                "it has {} dimensions: each row was flattened to {width} features",
                shape.len()
            ));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let fault = Fault::NotFinite {
                feature: at % width,
                value: values[at],
            };
            return Err(bad(Some(place(&lines, at / width)), fault));
        }
        let sample = Sample::new(values, width).map_err(|error| bad(None, error.into()))?;
        Ok(Rows {
            path: self.path,
            sample,
            names,
            notes,
            lines,
        })
    }

    /// Returns permutations of the numbers 0 to `rows` − 1, one for each row of the array: `[permutations, rows]`.
    ///
    /// # Errors
    /// The array has another shape, or holds other numbers. That each number is there once is not checked.
    pub fn permutations(&self, rows: usize) -> Result<Vec<Vec<usize>>, ArrayError> {
        match &self.content.shape[..] {
            [_, width] if *width == rows => self.indices(rows),
            _ => Err(self.bad_shape(format!("(permutations, {rows}), of the pooled rows"))),
        }
    }

    /// Returns an order of the numbers 0 to `rows` − 1 from an array of as many numbers: `[rows]`.
    ///
    /// # Errors
    /// The array has another size, or holds other numbers. That each number is there once is not checked.
    pub fn order(&self, rows: usize) -> Result<Vec<usize>, ArrayError> {
        let long = self.content.shape.iter().filter(|size| **size != 1).count();
        if long <= 1 && self.content.values.len() == rows {
            return Ok(self.indices(rows)?.concat());
        }
        Err(self.bad_shape(format!("({rows},), of the rows of the reference")))
    }

    fn bad_shape(&self, expected: String) -> ArrayError {
        ArrayError::File {
            path: self.path.clone(),
            place: None,
            fault: Fault::Shape {
                shape: self.content.shape.clone(),
                expected,
            },
        }
    }

    /// Returns the values as numbers of rows, row by row of the array.
    fn indices(&self, rows: usize) -> Result<Vec<Vec<usize>>, ArrayError> {
        let width = self.content.shape.last().map_or(1, |width| (*width).max(1));
        let whole = |value: f64| value.fract() == 0.0 && 0.0 <= value && value < rows as f64;
        let lists = self.content.values.chunks_exact(width).enumerate();
        lists
            .map(|(row, list)| match list.iter().position(|v| !whole(*v)) {
                None => Ok(list.iter().map(|value| *value as usize).collect()),
                Some(entry) => Err(ArrayError::File {
                    path: self.path.clone(),
                    place: Some(place(&self.content.lines, row)),
                    fault: Fault::NotAnIndex {
                        entry,
                        value: list[entry],
                        last: rows.saturating_sub(1),
                    },
                }),
            })
            .collect()
    }
}

impl Rows {
    /// Returns how a row is named in messages.
    fn place(&self, row: usize) -> Place {
        place(&self.lines, row)
    }
}

fn place(lines: &[u64], row: usize) -> Place {
    lines
        .get(row)
        .map_or(Place::Row(row), |line| Place::Line(*line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], values: &[f64]) -> Array {
        Array {
            path: PathBuf::from("x.npy"),
            content: Content {
                shape: shape.to_vec(),
                values: values.to_vec(),
                ..Content::default()
            },
        }
    }

    #[test]
    fn a_tensor_is_named_after_the_file() {
        let named = |text: &str| ArrayFile::named(Path::new(text));
        assert_eq!(named("a#b/c.npy").path, Path::new("a#b/c.npy"));
        let found = named("a#b/c.safetensors#layer.1#x");
        assert_eq!(found.path, Path::new("a#b/c.safetensors"));
        assert_eq!(found.tensor.as_deref(), Some("layer.1#x"));
        assert_eq!(named("c.safetensors").tensor, None);
    }

    #[test]
    fn dimensions_become_rows_and_features() {
        let shape = |shape: &[usize]| {
            let rows = array(shape, &[1.0; 12]).rows().unwrap();
            (rows.sample.rows(), rows.sample.width(), rows.notes.len())
        };
        assert_eq!(shape(&[12]), (12, 1, 0));
        assert_eq!(shape(&[4, 3]), (4, 3, 0));
        assert_eq!(shape(&[2, 3, 2]), (2, 6, 1));
        let refused =
            |shape: &[usize], values: &[f64]| array(shape, values).rows().unwrap_err().to_string();
        assert!(refused(&[], &[1.0]).contains("single number"));
        assert!(refused(&[0, 3], &[]).contains("(0, 3)"));
        assert!(refused(&[3, 0], &[]).contains("(3, 0)"));
        let told = refused(&[2, 2], &[1.0, 2.0, f64::INFINITY, 3.0]);
        assert_eq!(
            told,
            "`x.npy`, row 1: feature 0 is inf: expected a finite number"
        );
    }

    #[test]
    fn permutations_have_the_right_shape_and_whole_numbers() {
        let lists = array(&[2, 3], &[0.0, 1.0, 2.0, 2.0, 1.0, 0.0]);
        assert_eq!(lists.permutations(3).unwrap(), [[0, 1, 2], [2, 1, 0]]);
        assert!(lists.permutations(2).is_err() && lists.order(6).is_err());
        for shape in [&[3][..], &[1, 3], &[3, 1]] {
            assert_eq!(array(shape, &[2.0, 0.0, 1.0]).order(3).unwrap(), [2, 0, 1]);
        }
        for bad in [0.5, -1.0, 3.0, f64::NAN] {
            let error = array(&[1, 3], &[0.0, bad, 1.0])
                .permutations(3)
                .unwrap_err();
            assert!(error.to_string().contains("row 0: entry 1 is"), "{error}");
        }
    }
}

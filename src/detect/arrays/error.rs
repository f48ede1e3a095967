//! Why a file is no array of numbers, or why two arrays cannot be compared. Imports: base, drift.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::base::{self, Diagnostic, ToDiagnostics, units};
use crate::drift;

/// What is wrong with the arrays of a comparison. The room's error wraps it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArrayError {
    /// A file cannot be read at all.
    #[error(transparent)]
    Read(#[from] base::Error),
    /// A file holds something else than was expected.
    #[error("{}: {fault}", shown(path, *place))]
    File {
        /// The file.
        path: PathBuf,
        /// Where in it, if it is one place.
        place: Option<Place>,
        /// What is wrong.
        fault: Fault,
    },
    /// The two arrays do not go together, or not with what is asked of them.
    #[error("`{}` cannot be compared with `{}`: {error}", test.display(), reference.display())]
    Pair {
        /// The file of the reference.
        reference: PathBuf,
        /// The file of the test sample.
        test: PathBuf,
        /// What is wrong.
        error: drift::Error,
    },
    /// Two files name the same column differently: their columns may be in another order.
    #[error(
        "`{}` cannot be compared with `{}`: feature {feature} is called `{found}` in the one and `{expected}` in the other",
        test.display(), reference.display()
    )]
    OtherNames {
        /// The file of the reference.
        reference: PathBuf,
        /// The file of the test sample.
        test: PathBuf,
        /// From 0.
        feature: usize,
        /// In the test sample.
        found: String,
        /// In the reference.
        expected: String,
    },
    /// Nothing varies anywhere: that no difference is found would say nothing.
    #[error(
        "`{}` cannot be compared with `{}`: every feature has one and the same value in all rows of both",
        test.display(), reference.display()
    )]
    AllConstant {
        /// The file of the reference.
        reference: PathBuf,
        /// The file of the test sample.
        test: PathBuf,
    },
}

/// A row of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By its index, from 0.
    Row(usize),
    /// By the line of a text, from 1.
    Line(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(row) => write!(f, "row {row}"),
            Self::Line(line) => write!(f, "line {line}"),
        }
    }
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Its name says nothing about its format.
    #[error("its name ends in none of .npy, .csv and .safetensors")]
    UnknownFormat,
    /// So large that it is surely not meant.
    #[error("it has {found} bytes, more than the {most} that are read")]
    TooLarge {
        /// Bytes.
        found: u64,
        /// Bytes.
        most: u64,
    },
    /// So many numbers that memory should not be asked for.
    #[error(
        "its array has {found} numbers, which take {} of memory at eight bytes each: at most {most} ({}) are read",
        units::bytes((*found as u64).saturating_mul(8)), units::bytes((*most as u64).saturating_mul(8))
    )]
    TooManyNumbers {
        /// In the file.
        found: usize,
        /// That are read.
        most: usize,
    },
    /// Its first bytes are others.
    #[error("it does not begin as a .npy file does, with the byte 0x93 and `NUMPY`")]
    NotNpy,
    /// A version that there was not when this was written.
    #[error("it has version {major}.{minor} of the .npy format: expected 1.0, 2.0 or 3.0")]
    NpyVersion {
        /// As written.
        major: u8,
        /// As written.
        minor: u8,
    },
    /// The description of the array cannot be read.
    #[error("the header that describes its array is damaged: {0}")]
    NpyHeader(String),
    /// Not a safetensors file.
    #[error("it is not a safetensors file: {0}")]
    NotSafetensors(String),
    /// One of several tensors must be named.
    #[error("it holds {} tensors ({})", names.len(), listed(names))]
    SeveralTensors {
        /// Their names, sorted.
        names: Vec<String>,
    },
    /// There is no tensor of this name.
    #[error("it holds no tensor `{asked}` (there are: {})", listed(names))]
    NoTensor {
        /// The name that was asked for.
        asked: String,
        /// The names that there are, sorted.
        names: Vec<String>,
    },
    /// Not a table of comma-separated values.
    #[error("it cannot be read as comma-separated values: {0}")]
    NotCsv(String),
    /// Other values than numbers.
    #[error("it holds {0}: expected floats, whole numbers or booleans")]
    NotNumbers(String),
    /// Fewer or more bytes than the array takes.
    #[error(
        "after its header it has {found} bytes, and an array of shape {} takes {expected}",
        tuple(shape)
    )]
    Size {
        /// Bytes.
        found: usize,
        /// Bytes; as text, because it may be more than can be counted.
        expected: String,
        /// Of the array.
        shape: Vec<usize>,
    },
    /// A single number.
    #[error("it holds a single number: expected rows")]
    Scalar,
    /// No rows, or rows of nothing.
    #[error(
        "it has no values (its shape is {}): expected at least one row and one column",
        tuple(shape)
    )]
    Empty {
        /// Of the array.
        shape: Vec<usize>,
    },
    /// A line with more or fewer fields than the first.
    #[error("{found} fields: expected {expected}, as before")]
    Ragged {
        /// Of this line.
        found: usize,
        /// Of the lines before.
        expected: usize,
    },
    /// A field is no number.
    #[error("feature {feature} is `{text}`: expected a number")]
    NotANumber {
        /// From 0.
        feature: usize,
        /// What stands there.
        text: String,
    },
    /// Nothing stands in a field.
    #[error("feature {feature} is empty: expected a number")]
    Missing {
        /// From 0.
        feature: usize,
    },
    /// The first line is half a heading.
    #[error(
        "some of its fields are numbers and some are not (`{text}`): expected numbers, or names of columns"
    )]
    HalfAHeading {
        /// The first that is none.
        text: String,
    },
    /// The names of columns begin with an empty one.
    #[error(
        "the first column has no name: it looks like the index that pandas writes beside a table"
    )]
    IndexColumn,
    /// NaN or infinite.
    #[error("feature {feature} is {value}: expected a finite number")]
    NotFinite {
        /// From 0.
        feature: usize,
        /// What stands there.
        value: f64,
    },
    /// No list of lists.
    #[error("its shape is {}: expected {expected}", tuple(shape))]
    Shape {
        /// Of the array.
        shape: Vec<usize>,
        /// In words.
        expected: String,
    },
    /// A list that should hold the numbers of rows.
    #[error("entry {entry} is {value}: expected a whole number from 0 to {last}")]
    NotAnIndex {
        /// From 0.
        entry: usize,
        /// What stands there.
        value: f64,
        /// The number of the last row.
        last: usize,
    },
    /// The numbers themselves do not do.
    #[error(transparent)]
    Numbers(#[from] drift::Error),
}

impl ToDiagnostics for ArrayError {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let (code, help) = match self {
            Self::Read(error) => return error.to_diagnostics(),
            Self::File { place, fault, .. } => (fault.code(), fault.help(*place)),
            Self::Pair { error, .. } => ("samples", pair_help(error)),
            Self::OtherNames { .. } => (
                "other-columns",
                Some("write both with the same columns in the same order"),
            ),
            Self::AllConstant { .. } => (
                "constant",
                Some("give features that vary, or leave the others out"),
            ),
        };
        let mut diagnostic = Diagnostic::error(code, self.to_string());
        if let Some(help) = help {
            diagnostic = diagnostic.help(help);
        }
        vec![diagnostic]
    }
}

impl Fault {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownFormat => "unknown-format",
            Self::TooLarge { .. } | Self::TooManyNumbers { .. } => "too-large",
            Self::NotFinite { .. } => "not-finite",
            Self::Numbers(_) => "samples",
            Self::NotNpy
            | Self::NpyVersion { .. }
            | Self::NpyHeader(_)
            | Self::NotSafetensors(_)
            | Self::SeveralTensors { .. }
            | Self::NoTensor { .. }
            | Self::NotCsv(_)
            | Self::NotNumbers(_)
            | Self::Size { .. }
            | Self::Scalar
            | Self::Empty { .. }
            | Self::Ragged { .. }
            | Self::NotANumber { .. }
            | Self::Missing { .. }
            | Self::HalfAHeading { .. }
            | Self::IndexColumn
            | Self::Shape { .. }
            | Self::NotAnIndex { .. } => "not-an-array",
        }
    }

    fn help(&self, place: Option<Place>) -> Option<&'static str> {
        Some(match self {
            Self::UnknownFormat => {
                "write it with `numpy.save`, `numpy.savetxt(…, delimiter=\",\")` or safetensors"
            }
            Self::TooLarge { .. } | Self::TooManyNumbers { .. } => {
                "give a sample of its rows: some thousands show any drift that matters"
            }
            Self::NotNpy => "write it with `numpy.save`, or give it the name of its format",
            Self::NpyVersion { .. } | Self::NpyHeader(_) => "write it anew with `numpy.save`",
            Self::NotSafetensors(_) => "write it anew, or give it the name of its format",
            Self::SeveralTensors { .. } | Self::NoTensor { .. } => {
                "name one of them: `FILE.safetensors#NAME`"
            }
            Self::NotCsv(_) => "write it anew as UTF-8, with commas between the fields",
            Self::NotNumbers(_) => {
                "write numbers: `array.astype(float)`, and codes in place of texts"
            }
            Self::Size { .. } => {
                "the file is cut off, or holds several arrays: write it anew, one array to a file"
            }
            Self::Scalar | Self::Empty { .. } => "give an array of one row for each observation",
            Self::Ragged { .. } => "lines are counted from 1; fields are parted by commas",
            Self::NotANumber { .. } => {
                "lines are counted from 1, features from 0; fields are parted by commas"
            }
            Self::Missing { .. } => {
                "lines are counted from 1, features from 0; leave rows with gaps out, or fill them"
            }
            Self::HalfAHeading { .. } => {
                "`--header yes` takes the first line as names, `--header no` as numbers"
            }
            Self::IndexColumn => "write the table without it: `to_csv(…, index=False)`",
            Self::NotFinite { .. } => match place {
                Some(Place::Line(_)) => {
                    "lines are counted from 1, features from 0; leave such rows out, or find out where they come from"
                }
                _ => {
                    "rows and features are counted from 0; leave such rows out, or find out where they come from"
                }
            },
            Self::Shape { .. } | Self::NotAnIndex { .. } => {
                "a row for each permutation: the numbers of the pooled rows, those of the reference first, counted from 0"
            }
            Self::Numbers(error) => return pair_help(error),
        })
    }
}

/// What to do about an error that does not say so itself.
fn pair_help(error: &drift::Error) -> Option<&'static str> {
    match error {
        drift::Error::Width { .. } => Some("both need the same features in the same order"),
        drift::Error::TooFew { .. } => Some("take more rows"),
        _ => None,
    }
}

fn shown(path: &Path, place: Option<Place>) -> String {
    match place {
        None => format!("`{}`", path.display()),
        Some(place) => format!("`{}`, {place}", path.display()),
    }
}

/// The first names of a list that may be long.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if SHOWN < names.len() {
        text.push_str(", …");
    }
    text
}

/// A shape as NumPy writes it.
fn tuple(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    match &sizes[..] {
        [one] => format!("({one},)"),
        _ => format!("({})", sizes.join(", ")),
    }
}

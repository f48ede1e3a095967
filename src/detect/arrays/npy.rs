//! NumPy's file of one array. Imports: `arrays::{error, number}`.
//!
//! The format is that of <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>: eight bytes, the
//! length of a header, the header (a literal of a Python dictionary with three keys), the numbers. Read here and
//! not by the crate `npyz`, which reserves as much memory as a damaged header asks for, multiplies its sizes without
//! a check, and brings a parser of all literals that Python has.

use super::error::Fault;
use super::number::{Endian, Number};
use super::{Content, require_room};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads an array from the bytes of its file.
pub(super) fn read(bytes: &[u8]) -> Result<Content, Fault> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(Fault::NotNpy)?;
    let (header, data) = split_header(rest)?;
    let header = Header::parse(&String::from_utf8_lossy(header))?;
    let shape = header.shape;
    let count = shape
        .iter()
        .try_fold(1usize, |all, size| all.checked_mul(*size));
    if let Some(count) = count {
        require_room(count)?;
    }
    let expected = count.and_then(|count| count.checked_mul(header.number.size()));
    if expected != Some(data.len()) {
        return Err(Fault::Size {
            found: data.len(),
            expected: expected
                .map_or_else(|| "more than there can be".to_owned(), |n| n.to_string()),
            shape,
        });
    }
    let values = header.number.values(data, header.endian);
    let values = match header.order {
        Order::RowMajor => values,
        Order::ColumnMajor => row_major(&values, &shape),
    };
    Ok(Content {
        shape,
        values,
        ..Content::default()
    })
}

/// Splits what follows the magic bytes into the header's text and the numbers.
fn split_header(rest: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let cut = || Fault::NpyHeader("the file ends within it".to_owned());
    let (&[major, minor], rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (length, rest) = match (major, minor) {
        (1, 0) => {
            let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        (2 | 3, 0) => {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        _ => return Err(Fault::NpyVersion { major, minor }),
    };
    rest.split_at_checked(length).ok_or_else(cut)
}

/// Which index of an array changes from one number to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// The last.
    RowMajor,
    /// The first, as Fortran has it.
    ColumnMajor,
}

/// What the header says.
#[derive(Debug, PartialEq)]
struct Header {
    number: Number,
    endian: Endian,
    order: Order,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Result<Self, Fault> {
        let mut cursor = Cursor { rest: text };
        let (mut numbers, mut order, mut shape) = (None, None, None);
        cursor.expect("{")?;
        while !cursor.take("}") {
            let key = cursor.string()?;
            cursor.expect(":")?;
            match key {
                "descr" => numbers = Some(cursor.numbers()?),
                "fortran_order" => order = Some(cursor.order()?),
                "shape" => shape = Some(cursor.shape()?),
                other => return Err(damaged(format!("it has a key `{other}`"))),
            }
            if !cursor.take(",") {
                cursor.expect("}")?;
                break;
            }
        }
        let missing = |key: &str| damaged(format!("it does not have the key `{key}`"));
        let (number, endian) = numbers.ok_or_else(|| missing("descr"))?;
        Ok(Self {
            number,
            endian,
            order: order.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }
}

/// Reads a literal from left to right.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// Passes `what` if it comes next, after blanks.
    fn take(&mut self, what: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, what: &str) -> Result<(), Fault> {
        if self.take(what) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{what}`")))
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let found: String = self.rest.trim_start().chars().take(20).collect();
        damaged(format!("expected {expected}, found `{}`", found.trim_end()))
    }

    /// Reads a text in quotes; those of headers hold no escapes.
    fn string(&mut self) -> Result<&'a str, Fault> {
        for quote in ["'", "\""] {
            if self.take(quote) {
                let (text, rest) = self
                    .rest
                    .split_once(quote)
                    .ok_or_else(|| self.unexpected("the end of a text"))?;
                self.rest = rest;
                return Ok(text);
            }
        }
        Err(self.unexpected("a text in quotes"))
    }

    fn numbers(&mut self) -> Result<(Number, Endian), Fault> {
        if self.take("[") || self.take("(") {
            return Err(Fault::NotNumbers("records with fields".to_owned()));
        }
        let text = self.string()?;
        number(text).ok_or_else(|| Fault::NotNumbers(said(text)))
    }

    fn order(&mut self) -> Result<Order, Fault> {
        if self.take("False") {
            Ok(Order::RowMajor)
        } else if self.take("True") {
            Ok(Order::ColumnMajor)
        } else {
            Err(self.unexpected("`True` or `False`"))
        }
    }

    fn shape(&mut self) -> Result<Vec<usize>, Fault> {
        let mut shape = Vec::new();
        self.expect("(")?;
        while !self.take(")") {
            shape.push(self.size()?);
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(shape)
    }

    fn size(&mut self) -> Result<usize, Fault> {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let size = digits
            .parse::<usize>()
            .map_err(|_| self.unexpected("a size that memory can hold"))?;
        // Python 2 wrote long numbers so.
        self.rest = rest.strip_prefix('L').unwrap_or(rest);
        Ok(size)
    }
}

fn damaged(why: String) -> Fault {
    Fault::NpyHeader(why)
}

/// Reads a type as NumPy writes it: `<f8`, `|b1`.
fn number(text: &str) -> Option<(Number, Endian)> {
    let (endian, kind) = match text.strip_prefix('>') {
        Some(kind) => (Endian::Big, kind),
        None => (Endian::Little, text.strip_prefix(['<', '|'])?),
    };
    let number = match kind {
        "b1" => Number::Bool,
        "i1" => Number::I8,
        "i2" => Number::I16,
        "i4" => Number::I32,
        "i8" => Number::I64,
        "u1" => Number::U8,
        "u2" => Number::U16,
        "u4" => Number::U32,
        "u8" => Number::U64,
        "f2" => Number::F16,
        "f4" => Number::F32,
        "f8" => Number::F64,
        _ => return None,
    };
    Some((number, endian))
}

/// Says what a type is that is none of numbers.
fn said(text: &str) -> String {
    let kind = text.trim_start_matches(['<', '>', '|', '=']).chars().next();
    let what = match kind {
        Some('O') => "Python objects",
        Some('U' | 'S' | 'a') => "texts",
        Some('c') => "complex numbers",
        Some('M' | 'm') => "dates or times",
        Some('V') => "records",
        Some('f') => "floats of a size that only NumPy knows",
        _ => "values of an unknown type",
    };
    format!("{what} (`{text}`)")
}

/// Puts values in order whose first index changes fastest.
fn row_major(values: &[f64], shape: &[usize]) -> Vec<f64> {
    let mut ordered = Vec::with_capacity(values.len());
    let mut index = vec![0usize; shape.len()];
    for _ in 0..values.len() {
        // Horner's rule, from the last index, which changes slowest here.
        let at = index
            .iter()
            .zip(shape)
            .rev()
            .fold(0, |at, (index, size)| at * size + index);
        ordered.push(values[at]);
        for (index, size) in index.iter_mut().zip(shape).rev() {
            *index += 1;
            if *index < *size {
                break;
            }
            *index = 0;
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
    }

    #[test]
    fn headers_of_all_versions_are_read() {
        let header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }  \n";
        for version in [1u8, 2, 3] {
            let length = (header.len() as u32).to_le_bytes();
            let length = if version == 1 {
                &length[..2]
            } else {
                &length[..]
            };
            let bytes = [MAGIC, &[version, 0], length, header, &[5, 6]].concat();
            let found = read(&bytes).unwrap();
            assert_eq!((found.shape, found.values), (vec![2], vec![5.0, 6.0]));
        }
        let error = read(&[MAGIC, &[4, 0, 0, 0]].concat()).unwrap_err();
        assert_eq!(error, Fault::NpyVersion { major: 4, minor: 0 });
    }

    #[test]
    fn the_order_of_fortran_is_undone() {
        // numpy.arange(12).reshape(2, 3, 2), in either order.
        let rows: Vec<u8> = (0..12).collect();
        let columns = [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11];
        for (order, data) in [("False", &rows[..]), ("True", &columns[..])] {
            let header =
                format!("{{'descr': '|u1', 'fortran_order': {order}, 'shape': (2, 3, 2)}}");
            let found = read(&file(&header, data)).unwrap();
            assert_eq!(found.shape, [2, 3, 2]);
            let expected: Vec<f64> = (0..12).map(f64::from).collect();
            assert_eq!(found.values, expected, "{order}");
        }
    }

    #[test]
    fn what_is_no_array_of_numbers_is_said() {
        let of = |descr: &str, shape: &str| {
            let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}");
            read(&file(&header, &[0; 16])).unwrap_err().to_string()
        };
        for (descr, shape, expected) in [
            ("'|O'", "(2,)", "Python objects"),
            ("'<U3'", "(2,)", "texts"),
            ("'<c16'", "(1,)", "complex"),
            ("'<M8[ns]'", "(2,)", "dates"),
            ("[('a', '<f8')]", "(2,)", "records"),
            ("'<f16'", "(1,)", "only NumPy"),
            (
                "'<f8'",
                "(3,)",
                "has 16 bytes, and an array of shape (3,) takes 24",
            ),
            ("'<f8'", "(1,)", "takes 8"),
            (
                "'|u1'",
                "(1000, 536871)",
                "has 536871000 numbers, which take 4.0 GiB of memory at eight bytes each",
            ),
            (
                "'<f8'",
                "(4611686018427387904, 8)",
                "takes more than there can be",
            ),
            ("'<f8'", "(99999999999999999999, 8)", "expected a size"),
            ("'<f8'", "(-1,)", "expected a size"),
            ("'<f8'", "2", "expected `(`"),
            ("8", "(2,)", "expected a text in quotes"),
        ] {
            let found = of(descr, shape);
            assert!(found.contains(expected), "{descr}, {shape}: {found}");
        }
        let whole = file(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}",
            &[0; 16],
        );
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_err(), "{cut} bytes");
        }
    }

    proptest! {
        /// Damaged files are errors, whatever the damage, and take no memory that they do not have.
        #[test]
        fn damage_is_an_error_or_another_array(at in 0usize..80, byte: u8) {
            let header = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }";
            let mut bytes = file(header, &[0; 16]);
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(found) = read(&bytes) {
                prop_assert_eq!(found.values.len(), found.shape.iter().product::<usize>());
                prop_assert!(found.values.len() <= 16);
            }
        }

        #[test]
        fn headers_are_read_or_refused(text in "\\PC{0,60}") {
            let _ = Header::parse(&text);
        }
    }
}

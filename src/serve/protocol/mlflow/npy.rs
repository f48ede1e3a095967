//! Arrays in NumPy's format (NEP 1, versions 1.0 to 3.0): a magic, the length of a header, the header
//! as a Python dictionary of three keys, then the numbers in row-major order. Nothing but numbers is
//! read: an array of objects is a pickle, which could be a program. What the header says can be judged
//! before the numbers are read. Imports: `serve::tensor`.

use crate::serve::tensor::Tensor;

use super::super::words::shown;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Longer headers describe no array that anybody means.
const HEADER_BYTES_MAX: usize = 4096;
/// More dimensions are no picture.
const DIMENSIONS_MAX: usize = 8;

/// What a header says.
#[derive(Debug, Default, PartialEq)]
struct Header<'b> {
    descr: Option<&'b str>,
    fortran_order: Option<Order>,
    shape: Option<Vec<usize>>,
}

/// Which dimension is the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// The last.
    C,
    /// The first.
    Fortran,
}

/// An array whose numbers are not read yet.
#[derive(Debug, PartialEq)]
pub(super) struct Array<'b> {
    /// Length of each dimension, the outermost first.
    pub(super) shape: Vec<usize>,
    number: Number,
    data: &'b [u8],
}

impl Array<'_> {
    /// Reads the numbers.
    pub(super) fn tensor(self) -> Tensor {
        Tensor {
            values: self.number.values(self.data),
            shape: self.shape,
        }
    }
}

/// Reads the header of an array, and compares it with the length of what follows.
pub(super) fn open(body: &[u8]) -> Result<Array<'_>, String> {
    let rest = body
        .strip_prefix(MAGIC)
        .ok_or("it does not begin like a .npy file")?;
    let (header, data) = match rest {
        [1, _, low, high, rest @ ..] => cut(rest, u16::from_le_bytes([*low, *high]).into()),
        [2 | 3, _, a, b, c, d, rest @ ..] => {
            cut(rest, u32::from_le_bytes([*a, *b, *c, *d]) as usize)
        }
        [version, ..] if 3 < *version || *version == 0 => {
            return Err(format!("version {version} of the format is not known"));
        }
        _ => None,
    }
    .ok_or("it ends in its header, or the header is too long")?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is no text")?;
    let header = Header::read(header)?;
    let (Some(descr), Some(order), Some(shape)) =
        (header.descr, header.fortran_order, header.shape)
    else {
        return Err("its header lacks one of `descr`, `fortran_order`, `shape`".to_owned());
    };
    // An array of one dimension has the same bytes in both orders.
    if order == Order::Fortran && 1 < shape.len() {
        return Err(
            "it is in Fortran order: save `numpy.ascontiguousarray(array)` instead".to_owned(),
        );
    }
    let number = Number::of(descr)?;
    let count = shape
        .iter()
        .try_fold(1usize, |count, length| count.checked_mul(*length))
        .and_then(|count| count.checked_mul(number.bytes()));
    if count != Some(data.len()) {
        return Err(format!(
            "the array {shape:?} of `{descr}` does not take {} bytes",
            data.len()
        ));
    }
    Ok(Array {
        shape,
        number,
        data,
    })
}

fn cut(rest: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    (length <= HEADER_BYTES_MAX)
        .then(|| rest.split_at_checked(length))
        .flatten()
}

/// A type of numbers that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    F4,
    F8,
    U1,
    U2,
    U4,
    U8,
    I1,
    I2,
    I4,
    I8,
}

impl Number {
    fn of(descr: &str) -> Result<Self, String> {
        let known = match descr.as_bytes() {
            // What is one byte long has no order.
            [b'|' | b'<' | b'=' | b'>', rest @ ..] if rest == b"u1" => Some(Self::U1),
            [b'|' | b'<' | b'=' | b'>', rest @ ..] if rest == b"i1" => Some(Self::I1),
            [b'<' | b'=', rest @ ..] => match rest {
                b"f4" => Some(Self::F4),
                b"f8" => Some(Self::F8),
                b"u2" => Some(Self::U2),
                b"u4" => Some(Self::U4),
                b"u8" => Some(Self::U8),
                b"i2" => Some(Self::I2),
                b"i4" => Some(Self::I4),
                b"i8" => Some(Self::I8),
                _ => None,
            },
            _ => None,
        };
        known.ok_or_else(|| {
            format!(
                "the type `{}` is not read: save f4, f8, u1 to u8 or i1 to i8, little-endian (`array.astype('<f4')`)",
                shown(descr)
            )
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::U1 | Self::I1 => 1,
            Self::U2 | Self::I2 => 2,
            Self::F4 | Self::U4 | Self::I4 => 4,
            Self::F8 | Self::U8 | Self::I8 => 8,
        }
    }

    fn values(self, data: &[u8]) -> Vec<f32> {
        match self {
            Self::F4 => each(data, f32::from_le_bytes),
            Self::F8 => each(data, |b| f64::from_le_bytes(b) as f32),
            Self::U1 => each(data, |b| f32::from(u8::from_le_bytes(b))),
            Self::U2 => each(data, |b| f32::from(u16::from_le_bytes(b))),
            Self::U4 => each(data, |b| u32::from_le_bytes(b) as f32),
            Self::U8 => each(data, |b| u64::from_le_bytes(b) as f32),
            Self::I1 => each(data, |b| f32::from(i8::from_le_bytes(b))),
            Self::I2 => each(data, |b| f32::from(i16::from_le_bytes(b))),
            Self::I4 => each(data, |b| i32::from_le_bytes(b) as f32),
            Self::I8 => each(data, |b| i64::from_le_bytes(b) as f32),
        }
    }
}

fn each<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (chunks, _) = data.as_chunks::<N>();
    chunks.iter().map(|chunk| number(*chunk)).collect()
}

impl<'b> Header<'b> {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn read(text: &'b str) -> Result<Self, String> {
        let mut rest = Rest(text);
        let mut header = Self::default();
        rest.expect("{")?;
        while !rest.take("}") {
            let key = rest.text()?;
            rest.expect(":")?;
            match key {
                "descr" => header.descr = Some(rest.text()?),
                "fortran_order" if rest.take("False") => header.fortran_order = Some(Order::C),
                "fortran_order" if rest.take("True") => {
                    header.fortran_order = Some(Order::Fortran);
                }
                "shape" => header.shape = Some(rest.shape()?),
                _ => return Err(rest.odd()),
            }
            if !rest.take(",") {
                rest.expect("}")?;
                break;
            }
        }
        if rest.0.trim().is_empty() {
            Ok(header)
        } else {
            Err(rest.odd())
        }
    }
}

/// What is left of a header.
struct Rest<'b>(&'b str);

impl<'b> Rest<'b> {
    fn odd(&self) -> String {
        let here = shown(self.0);
        format!("its header is not the dictionary that numpy.save writes, at `{here}`")
    }

    /// Passes over `token`, if it stands here.
    fn take(&mut self, token: &str) -> bool {
        let found = self.0.trim_start().strip_prefix(token);
        if let Some(after) = found {
            self.0 = after;
        }
        found.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) {
            Ok(())
        } else {
            Err(self.odd())
        }
    }

    /// A text in single or double quotes without escapes.
    fn text(&mut self) -> Result<&'b str, String> {
        let start = self.0.trim_start();
        let quote = start.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let text = quote.and_then(|quote| start[1..].split_once(quote));
        let (text, after) = text.ok_or_else(|| self.odd())?;
        self.0 = after;
        Ok(text)
    }

    /// `()`, `(3,)` or `(3, 4)`.
    fn shape(&mut self) -> Result<Vec<usize>, String> {
        self.expect("(")?;
        let mut shape = Vec::new();
        while !self.take(")") {
            let start = self.0.trim_start();
            let digits = start.bytes().take_while(u8::is_ascii_digit).count();
            let length = start[..digits].parse();
            let (Ok(length), true) = (length, shape.len() < DIMENSIONS_MAX) else {
                return Err(self.odd());
            };
            shape.push(length);
            self.0 = &start[digits..];
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &[u8]) -> Result<Tensor, String> {
        open(body).map(Array::tensor)
    }

    fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut file = [MAGIC, &[version, 0]].concat();
        if version == 1 {
            file.extend((header.len() as u16).to_le_bytes());
        } else {
            file.extend((header.len() as u32).to_le_bytes());
        }
        [&file, header.as_bytes(), data].concat()
    }

    #[test]
    fn arrays_of_numbers() {
        let tensor = |shape: &[usize], values: &[f32]| Tensor {
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        // As numpy 2.3 writes it: padded to 64 bytes with spaces and a line end.
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 2), }           \n";
        let expected = tensor(&[2, 1, 2], &[1.0, 2.0, 254.0, 255.0]);
        for version in 1..=3 {
            assert_eq!(
                read(&npy(version, header, &[1, 2, 254, 255])),
                Ok(expected.clone())
            );
        }
        for (descr, data, value) in [
            ("<f4", &1.5f32.to_le_bytes()[..], 1.5),
            ("<f8", &(-2.25f64).to_le_bytes(), -2.25),
            ("<u2", &300u16.to_le_bytes(), 300.0),
            ("<u4", &7u32.to_le_bytes(), 7.0),
            ("=u8", &7u64.to_le_bytes(), 7.0),
            ("|i1", &[0xff], -1.0),
            ("<i2", &(-3i16).to_le_bytes(), -3.0),
            ("<i4", &(-3i32).to_le_bytes(), -3.0),
            ("<i8", &(-3i64).to_le_bytes(), -3.0),
        ] {
            let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,)}}");
            assert_eq!(
                read(&npy(1, &header, data)),
                Ok(tensor(&[1], &[value])),
                "{descr}"
            );
        }
        let scalar = "{\"shape\": (), 'fortran_order': True, 'descr': '<f4'}";
        assert_eq!(read(&npy(1, scalar, &[0; 4])), Ok(tensor(&[], &[0.0])));
    }

    #[test]
    fn what_is_not_read_says_why() {
        let with = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")
        };
        for (header, data, part) in [
            (
                with("'|O'", "False", "(1,)"),
                &[0; 8][..],
                "`|O` is not read",
            ),
            (with("'>f4'", "False", "(1,)"), &[0; 4], "little-endian"),
            (
                with("[('x', '<f4')]", "False", "(1,)"),
                &[0; 4],
                "its header is not",
            ),
            (
                with("'<f4'", "True", "(1, 1)"),
                &[0; 4],
                "ascontiguousarray",
            ),
            (
                with("'<f4'", "None", "(1, 1)"),
                &[0; 4],
                "its header is not",
            ),
            (
                with("'<f4'", "False", "(2,)"),
                &[0; 4],
                "[2] of `<f4` does not take 4 bytes",
            ),
            (
                with("'<f4'", "False", "(-1,)"),
                &[0; 4],
                "its header is not",
            ),
            (
                with("'<f4'", "False", "(18446744073709551615, 2)"),
                &[],
                "does not take 0 bytes",
            ),
            (
                with("'<f4'", "False", "(1,1,1,1,1,1,1,1,1)"),
                &[0; 4],
                "its header is not",
            ),
            ("{'descr': '<f4'}".to_owned(), &[], "lacks one of"),
            ("{'descr': '<f4'} 3".to_owned(), &[], "its header is not"),
            (String::new(), &[], "its header is not"),
        ] {
            let error = read(&npy(1, &header, data)).unwrap_err();
            assert!(error.contains(part), "{header}: {error}");
        }
        for (body, part) in [
            (&b"PK\x03\x04"[..], "does not begin"),
            (b"\x93NUMPY", "ends in its header"),
            (b"\x93NUMPY\x01\0\xff", "ends in its header"),
            (b"\x93NUMPY\x01\0\xff\x0f", "ends in its header"),
            (b"\x93NUMPY\x02\0\xff\xff\xff\xff", "too long"),
            (b"\x93NUMPY\x09\0", "version 9"),
        ] {
            let error = read(body).unwrap_err();
            assert!(error.contains(part), "{body:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_array_or_an_error(
            version in 0u8..5, header in "[{}()'a-z0-9:, <|_FT]{0,60}", data: Vec<u8>,
        ) {
            let _ = read(&npy(version, &header, &data));
            let _ = read(&data);
        }

        #[test]
        fn arrays_come_back(shape in prop::collection::vec(0usize..4, 0..5), seed: u32) {
            let count: usize = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|i| (seed as f32) / (i + 1) as f32).collect();
            let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
            let comma = if shape.len() == 1 { "," } else { "" };
            let lengths = lengths.join(", ") + comma;
            let header =
                format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({lengths}), }}\n");
            prop_assert_eq!(read(&npy(1, &header, &data)), Ok(Tensor { shape, values }));
        }
    }
}

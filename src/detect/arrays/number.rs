//! Numbers as bytes: the types that files of arrays hold, and their values as `f64`. Imports: nothing of ours.

use half::{bf16, f16};

/// A type of numbers. All but the largest whole numbers (beyond 2^53) are exact as `f64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    Bf16,
    F32,
    F64,
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endian {
    /// The least significant one.
    Little,
    /// The most significant one.
    Big,
}

impl Number {
    /// Returns how many bytes one takes.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::Bf16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// Returns the numbers that fill `bytes`.
    pub(super) fn values(self, bytes: &[u8], endian: Endian) -> Vec<f64> {
        match self {
            Self::Bool => each(bytes, endian, |[byte]: [u8; 1]| {
                f64::from(u8::from(byte != 0))
            }),
            Self::I8 => each(bytes, endian, |b| i8::from_le_bytes(b).into()),
            Self::I16 => each(bytes, endian, |b| i16::from_le_bytes(b).into()),
            Self::I32 => each(bytes, endian, |b| i32::from_le_bytes(b).into()),
            Self::I64 => each(bytes, endian, |b| i64::from_le_bytes(b) as f64),
            Self::U8 => each(bytes, endian, |b| u8::from_le_bytes(b).into()),
            Self::U16 => each(bytes, endian, |b| u16::from_le_bytes(b).into()),
            Self::U32 => each(bytes, endian, |b| u32::from_le_bytes(b).into()),
            Self::U64 => each(bytes, endian, |b| u64::from_le_bytes(b) as f64),
            Self::F16 => each(bytes, endian, |b| f16::from_le_bytes(b).to_f64()),
            Self::Bf16 => each(bytes, endian, |b| bf16::from_le_bytes(b).to_f64()),
            Self::F32 => each(bytes, endian, |b| f32::from_le_bytes(b).into()),
            Self::F64 => each(bytes, endian, f64::from_le_bytes),
        }
    }
}

fn each<const SIZE: usize>(
    bytes: &[u8],
    endian: Endian,
    number: impl Fn([u8; SIZE]) -> f64,
) -> Vec<f64> {
    let (numbers, _) = bytes.as_chunks::<SIZE>();
    let values = numbers.iter().map(|bytes| {
        let mut bytes = *bytes;
        if endian == Endian::Big {
            bytes.reverse();
        }
        number(bytes)
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_read_in_both_orders() {
        let cases: [(Number, &[u8], f64); 13] = [
            (Number::Bool, &[7], 1.0),
            (Number::I8, &[0xfe], -2.0),
            (Number::I16, &[0xfe, 0xff], -2.0),
            (Number::I32, &[0xfe, 0xff, 0xff, 0xff], -2.0),
            (
                Number::I64,
                &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                -2.0,
            ),
            (Number::U8, &[0xfe], 254.0),
            (Number::U16, &[2, 1], 258.0),
            (Number::U32, &[2, 1, 0, 0], 258.0),
            (Number::U64, &[2, 1, 0, 0, 0, 0, 0, 0], 258.0),
            (Number::F16, &[0x00, 0xc1], -2.5),
            (Number::Bf16, &[0x20, 0xc0], -2.5),
            (Number::F32, &[0, 0, 0x20, 0xc0], -2.5),
            (Number::F64, &[0, 0, 0, 0, 0, 0, 0x04, 0xc0], -2.5),
        ];
        for (number, bytes, expected) in cases {
            assert_eq!(number.size(), bytes.len(), "{number:?}");
            let twice = [bytes, bytes].concat();
            assert_eq!(
                number.values(&twice, Endian::Little),
                [expected; 2],
                "{number:?}"
            );
            let big: Vec<u8> = bytes.iter().rev().copied().collect();
            assert_eq!(number.values(&big, Endian::Big), [expected], "{number:?}");
        }
    }
}

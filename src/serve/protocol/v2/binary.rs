//! Types of tensors, and tensors as bytes: little-endian, row-major, without gaps; an element of type
//! `BYTES` is its length (u32) and its bytes. Imports: half, serde.

use bytes::Bytes;
use half::{bf16, f16};
use serde::Deserialize;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Fp32,
    Fp64,
    Bf16,
    Bytes,
}

impl Datatype {
    /// Returns its name in the protocol.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bf16 => "BF16",
            Self::Bytes => "BYTES",
        }
    }

    /// Returns the bytes of one number; `None` for what is no number.
    pub(super) fn number_bytes(self) -> Option<usize> {
        match self {
            Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bool | Self::Bytes => None,
        }
    }

    /// Can `value`, which was written in decimal, be one of its elements?
    pub(super) fn holds(self, value: f32) -> bool {
        let whole = |least: f32, most: f32| value.fract() == 0.0 && (least..=most).contains(&value);
        match self {
            Self::Uint8 => whole(0.0, 255.0),
            Self::Uint16 => whole(0.0, 65535.0),
            Self::Uint32 | Self::Uint64 => whole(0.0, f32::MAX),
            Self::Int8 => whole(-128.0, 127.0),
            Self::Int16 => whole(-32768.0, 32767.0),
            Self::Int32 | Self::Int64 => whole(f32::MIN, f32::MAX),
            Self::Fp32 | Self::Fp64 => value.is_finite(),
            // The protocol knows no decimal form of them.
            Self::Fp16 | Self::Bf16 | Self::Bool | Self::Bytes => false,
        }
    }

    /// Returns the numbers in `bytes`; none if it is no type of numbers.
    pub(super) fn numbers(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::Uint8 => cast(bytes, |b| u8::from_le_bytes(b).into()),
            Self::Uint16 => cast(bytes, |b| u16::from_le_bytes(b).into()),
            Self::Uint32 => cast(bytes, |b| u32::from_le_bytes(b) as f32),
            Self::Uint64 => cast(bytes, |b| u64::from_le_bytes(b) as f32),
            Self::Int8 => cast(bytes, |b| i8::from_le_bytes(b).into()),
            Self::Int16 => cast(bytes, |b| i16::from_le_bytes(b).into()),
            Self::Int32 => cast(bytes, |b| i32::from_le_bytes(b) as f32),
            Self::Int64 => cast(bytes, |b| i64::from_le_bytes(b) as f32),
            Self::Fp16 => cast(bytes, |b| f16::from_le_bytes(b).to_f32()),
            Self::Bf16 => cast(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Self::Fp32 => cast(bytes, f32::from_le_bytes),
            Self::Fp64 => cast(bytes, |b| f64::from_le_bytes(b) as f32),
            Self::Bool | Self::Bytes => Vec::new(),
        }
    }
}

fn cast<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks::<N>();
    numbers.iter().map(|bytes| number(*bytes)).collect()
}

/// Why bytes are no tensor of `count` elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ElementsProblem {
    /// An element, or its length, goes beyond the end.
    #[error("element {element} ends behind the end of the tensor")]
    CutOff { element: usize },
    /// There are bytes behind the last element.
    #[error("{left} bytes are left behind the last element")]
    Left { left: usize },
}

/// Returns the `count` elements of a `BYTES` tensor; no byte is copied.
pub(super) fn elements(bytes: &Bytes, count: usize) -> Result<Vec<Bytes>, ElementsProblem> {
    let mut left = bytes.clone();
    let mut elements = Vec::new();
    for element in 0..count {
        let cut_off = ElementsProblem::CutOff { element };
        let (length, _) = left.split_first_chunk::<4>().ok_or(cut_off)?;
        let length = u32::from_le_bytes(*length) as usize;
        if left.len() - 4 < length {
            return Err(cut_off);
        }
        let _ = left.split_to(4);
        elements.push(left.split_to(length));
    }
    if left.is_empty() {
        Ok(elements)
    } else {
        Err(ElementsProblem::Left { left: left.len() })
    }
}

/// Writes an element of a `BYTES` tensor.
pub(super) fn write_element(out: &mut Vec<u8>, element: &[u8]) {
    // Class names and the like: far below 4 GiB.
    out.extend_from_slice(&(element.len() as u32).to_le_bytes());
    out.extend_from_slice(element);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Datatype; 14] = [
        Datatype::Bool,
        Datatype::Uint8,
        Datatype::Uint16,
        Datatype::Uint32,
        Datatype::Uint64,
        Datatype::Int8,
        Datatype::Int16,
        Datatype::Int32,
        Datatype::Int64,
        Datatype::Fp16,
        Datatype::Fp32,
        Datatype::Fp64,
        Datatype::Bf16,
        Datatype::Bytes,
    ];

    #[test]
    fn numbers_of_every_type() {
        for (datatype, bytes, expected) in [
            (Datatype::Uint8, vec![0, 200, 255], vec![0.0, 200.0, 255.0]),
            (Datatype::Uint16, vec![1, 2], vec![513.0]),
            (Datatype::Uint32, vec![1, 0, 1, 0], vec![65537.0]),
            (
                Datatype::Uint64,
                u64::MAX.to_le_bytes().to_vec(),
                vec![u64::MAX as f32],
            ),
            (Datatype::Int8, vec![0xff, 127], vec![-1.0, 127.0]),
            (Datatype::Int16, vec![0xfe, 0xff], vec![-2.0]),
            (
                Datatype::Int32,
                (-70000_i32).to_le_bytes().to_vec(),
                vec![-70000.0],
            ),
            (Datatype::Int64, 255_i64.to_le_bytes().to_vec(), vec![255.0]),
            // 1.5 and 255 in both half precisions.
            (
                Datatype::Fp16,
                vec![0x00, 0x3e, 0xf8, 0x5b],
                vec![1.5, 255.0],
            ),
            (
                Datatype::Bf16,
                vec![0xc0, 0x3f, 0x7f, 0x43],
                vec![1.5, 255.0],
            ),
            (Datatype::Fp32, 0.1_f32.to_le_bytes().to_vec(), vec![0.1]),
            (Datatype::Fp64, 0.1_f64.to_le_bytes().to_vec(), vec![0.1]),
            (Datatype::Bool, vec![1], vec![]),
            (Datatype::Bytes, vec![0, 0, 0, 0], vec![]),
        ] {
            assert_eq!(datatype.numbers(&bytes), expected, "{datatype:?}");
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for datatype in ALL {
            let json = format!("\"{}\"", datatype.name());
            assert_eq!(serde_json::from_str::<Datatype>(&json).unwrap(), datatype);
        }
        let error = serde_json::from_str::<Datatype>("\"FP8\"").unwrap_err();
        assert!(error.to_string().contains("`UINT8`"), "{error}");
    }

    #[test]
    fn decimal_values_are_those_of_their_type() {
        for (datatype, holds, not) in [
            (Datatype::Uint8, vec![0.0, 255.0], vec![-1.0, 256.0, 0.5]),
            (Datatype::Uint16, vec![65535.0], vec![65536.0, -1.0]),
            (Datatype::Uint64, vec![1e10], vec![-1.0, 0.5]),
            (Datatype::Int8, vec![-128.0, 127.0], vec![128.0, 1.5]),
            (Datatype::Int16, vec![-32768.0], vec![32768.0]),
            (Datatype::Int64, vec![-1e10], vec![0.5, f32::INFINITY]),
            (Datatype::Fp32, vec![0.5, -1e30], vec![f32::INFINITY]),
            (Datatype::Fp16, vec![], vec![1.0]),
            (Datatype::Bool, vec![], vec![1.0]),
        ] {
            assert!(holds.iter().all(|v| datatype.holds(*v)), "{datatype:?}");
            assert!(!not.iter().any(|v| datatype.holds(*v)), "{datatype:?}");
        }
    }

    #[test]
    fn elements_of_bytes() {
        let tensor = Bytes::from_static(b"\x02\0\0\0hi\0\0\0\0\x01\0\0\0!");
        let found = elements(&tensor, 3).unwrap();
        assert_eq!(found, ["hi", "", "!"]);
        assert_eq!(elements(&tensor, 2), Err(ElementsProblem::Left { left: 5 }));
        assert_eq!(
            elements(&tensor, 4),
            Err(ElementsProblem::CutOff { element: 3 })
        );
        for cut in 0..tensor.len() {
            assert!(elements(&tensor.slice(..cut), 3).is_err(), "{cut}");
        }
        let huge = Bytes::from_static(b"\xff\xff\xff\xffhi");
        assert_eq!(
            elements(&huge, 1),
            Err(ElementsProblem::CutOff { element: 0 })
        );
    }

    proptest! {
        #[test]
        fn elements_come_back_as_they_were_written(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8),
        ) {
            let mut written = Vec::new();
            for text in &texts {
                write_element(&mut written, text);
            }
            let read = elements(&written.into(), texts.len()).unwrap();
            prop_assert_eq!(read, texts);
        }

        #[test]
        fn any_bytes_are_elements_or_a_problem(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            count in 0_usize..5,
        ) {
            let length = bytes.len();
            if let Ok(found) = elements(&bytes.into(), count) {
                let sum: usize = found.iter().map(|element| 4 + element.len()).sum();
                prop_assert_eq!((found.len(), sum), (count, length));
            }
        }

        #[test]
        fn numbers_are_as_many_as_fit(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for datatype in ALL {
                let size = datatype.number_bytes().unwrap_or(usize::MAX);
                prop_assert_eq!(datatype.numbers(&bytes).len(), bytes.len() / size);
            }
        }
    }
}

//! One IDX file: a magic number, the sizes of the dimensions, the values. Only unsigned bytes are read.
//!
//! ```text
//! 0x00 0x00 | type: 0x08 for unsigned bytes | dimensions | size of each, 32 bits, big-endian | values
//! ```
//!
//! Nothing is allocated for what a head merely claims. Imports: nothing of ours.

use std::io::Read;

/// Most values of an array: 2 GiB, which are held in memory.
const VALUES_MAX: u64 = 2 << 30;
/// The type of unsigned bytes.
const UBYTE: u8 = 0x08;
/// How a gzip file begins (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Returns the sizes that a file of `D` dimensions begins with.
///
/// # Errors
/// What is wrong with it, in one sentence.
pub(super) fn head<const D: usize>(reader: &mut impl Read) -> Result<[u32; D], String> {
    let mut magic = [0; 4];
    fill(reader, &mut magic)?;
    let expected = [0, 0, UBYTE, D as u8];
    if magic != expected {
        let shown = |magic: [u8; 4]| format!("0x{:08x}", u32::from_be_bytes(magic));
        let help = if magic.starts_with(&GZIP) {
            ": it is compressed, so its name must end in `.gz`"
        } else {
            ""
        };
        return Err(format!(
            "it begins with {}, not with the magic number {} of {D} {} of bytes{help}",
            shown(magic),
            shown(expected),
            if D == 1 { "dimension" } else { "dimensions" },
        ));
    }
    let mut sizes = [0; D];
    for size in &mut sizes {
        let mut bytes = [0; 4];
        fill(reader, &mut bytes)?;
        *size = u32::from_be_bytes(bytes);
    }
    values_of(&sizes)?;
    Ok(sizes)
}

/// Returns the sizes and the values, as many as the product of the sizes.
///
/// # Errors
/// What is wrong with the file, in one sentence.
pub(super) fn read<const D: usize>(reader: &mut impl Read) -> Result<([u32; D], Vec<u8>), String> {
    let sizes = head(reader)?;
    let expected = values_of(&sizes)?;
    let mut values = Vec::new();
    reader
        .take(expected + 1)
        .read_to_end(&mut values)
        .map_err(unreadable)?;
    let found = values.len() as u64;
    if found < expected {
        return Err(format!("it is truncated: {found} of {expected} values"));
    }
    if expected < found {
        return Err(format!("it goes on after its {expected} values"));
    }
    Ok((sizes, values))
}

/// Returns the product of the sizes.
fn values_of(sizes: &[u32]) -> Result<u64, String> {
    let product = sizes
        .iter()
        .try_fold(1_u64, |product, size| product.checked_mul(u64::from(*size)));
    product
        .filter(|product| *product <= VALUES_MAX)
        .ok_or_else(|| {
            let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
            format!(
                "it claims {} values, more than {VALUES_MAX}",
                sizes.join("×")
            )
        })
}

fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), String> {
    reader.read_exact(bytes).map_err(unreadable)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that `map_err` takes"
)]
fn unreadable(error: std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        "it is truncated".to_owned()
    } else {
        format!("it could not be read: {error}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        let images = |bytes: &[u8]| read::<3>(&mut &bytes[..]).map(|_| ()).unwrap_err();
        let sized = |sizes: [u32; 3], values: &[u8]| {
            let sizes = sizes.map(u32::to_be_bytes).concat();
            images(&[&[0, 0, 8, 3][..], &sizes, values].concat())
        };
        assert_eq!(images(b""), "it is truncated");
        assert_eq!(images(&[0, 0, 8, 3, 0, 0]), "it is truncated");
        assert_eq!(
            images(&[0, 0, 8, 1, 0, 0]),
            "it begins with 0x00000801, not with the magic number 0x00000803 of 3 dimensions of bytes"
        );
        assert_eq!(
            images(&[0x1f, 0x8b, 8, 0]),
            "it begins with 0x1f8b0800, not with the magic number 0x00000803 of 3 dimensions of bytes: it is compressed, so its name must end in `.gz`"
        );
        assert_eq!(sized([2, 1, 2], &[1; 3]), "it is truncated: 3 of 4 values");
        assert_eq!(sized([2, 1, 2], &[1; 5]), "it goes on after its 4 values");
        assert_eq!(
            sized([u32::MAX; 3], &[]),
            "it claims 4294967295×4294967295×4294967295 values, more than 2147483648"
        );
        // A claim alone takes no memory.
        assert_eq!(
            sized([1 << 15, 1 << 8, 1 << 8], &[]),
            "it is truncated: 0 of 2147483648 values"
        );
    }

    proptest::proptest! {
        /// Whatever stands in a file, it is read to its end; what is taken is whole.
        #[test]
        fn no_bytes_are_fatal(has_head: bool, rest in proptest::collection::vec(0_u8..4, 0..60)) {
            let head: &[u8] = if has_head { &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0] } else { &[] };
            let bytes = [head, &rest].concat();
            if let Ok((sizes, values)) = read::<3>(&mut &bytes[..]) {
                let size: u32 = sizes.iter().product();
                proptest::prop_assert_eq!(size as usize, values.len());
                proptest::prop_assert_eq!(&bytes[16..], &values[..]);
            }
        }
    }
}

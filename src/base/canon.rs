//! The one canonical encoding that is hashed: run keys and directory fingerprints.
//!
//! Every item is a tag byte, a length (u64, little endian) and the bytes, so that no two different
//! sequences of items give the same bytes (`["ab", "c"]` and `["a", "bc"]` differ). The first item
//! names the format and its version: a change of meaning is a new name, never a silent reuse.
//! Imports: `base::hash`.

use super::hash::ContentHash;

/// Builds a canonical byte sequence and hashes it.
#[derive(Debug)]
pub struct Canon(blake3::Hasher);

impl Canon {
    /// Starts an encoding of the format `name`, for example `cvops.run-key.v1`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut canon = Self(blake3::Hasher::new());
        canon.text(name);
        canon
    }

    fn item(&mut self, tag: u8, bytes: &[u8]) -> &mut Self {
        self.0
            .update(&[tag])
            .update(&(bytes.len() as u64).to_le_bytes())
            .update(bytes);
        self
    }

    /// Appends a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.item(b's', text.as_bytes())
    }

    /// Appends raw bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.item(b'b', bytes)
    }

    /// Appends a whole number.
    pub fn int(&mut self, value: i128) -> &mut Self {
        self.item(b'i', &value.to_le_bytes())
    }

    /// Appends a floating-point number by its bits; all NaNs count as one, and so do both zeros.
    pub fn float(&mut self, value: f64) -> &mut Self {
        let bits = if value.is_nan() {
            f64::NAN.to_bits()
        } else if value == 0.0 {
            0
        } else {
            value.to_bits()
        };
        self.item(b'f', &bits.to_le_bytes())
    }

    /// Appends "nothing here", which differs from every value.
    pub fn none(&mut self) -> &mut Self {
        self.item(b'n', &[])
    }

    /// Opens a list of `len` items; the items follow.
    pub fn list(&mut self, len: usize) -> &mut Self {
        self.item(b'l', &(len as u64).to_le_bytes())
    }

    /// Returns the hash of all that was appended.
    #[must_use]
    pub fn finish(&self) -> ContentHash {
        ContentHash::Blake3(self.digest())
    }

    /// Returns the same as raw bytes.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(items: &[String]) -> ContentHash {
        let mut canon = Canon::new("test");
        canon.list(items.len());
        for item in items {
            canon.text(item);
        }
        canon.finish()
    }

    proptest! {
        #[test]
        fn different_lists_have_different_hashes(
            a in proptest::collection::vec("[ab]{0,3}", 0..4),
            b in proptest::collection::vec("[ab]{0,3}", 0..4),
        ) {
            prop_assert_eq!(a == b, encode(&a) == encode(&b));
        }
    }

    #[test]
    fn kinds_never_collide() {
        let none = Canon::new("t").none().finish();
        let empty = Canon::new("t").text("").finish();
        let zero = Canon::new("t").int(0).finish();
        let float = Canon::new("t").float(0.0).finish();
        let all = [none, empty, zero, float];
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b));
        }
        assert_eq!(Canon::new("t").float(-0.0).finish(), float);
    }
}

//! Content hashes (BLAKE3, 256 bit) and the identity of stored objects. Imports: nothing of ours.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

/// Files from this size on are memory-mapped and hashed on all cores; below it one read and one
/// core are faster (the blake3 crate's own advice is a threshold of about 128 KiB).
const MMAP_BYTES_MIN: u64 = 128 * 1024;

/// A BLAKE3 digest. Printed and parsed as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Returns the hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Returns the raw digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the hash with this raw digest (for values read back from our own database).
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the first eight hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({})", self.short())
    }
}

/// Why a text is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a content hash: expected 64 hexadecimal digits{suffix}")]
pub struct ParseHashError {
    text: String,
    suffix: &'static str,
}

impl FromStr for ContentHash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseHashError {
            text: text.to_owned(),
            suffix: "",
        };
        // from_hex accepts upper case; the canonical spelling is lower case only, so that a hash
        // has one text form and lock files stay byte-stable.
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(error());
        }
        blake3::Hash::from_hex(text)
            .map(|h| Self(*h.as_bytes()))
            .map_err(|_| error())
    }
}

/// What a stored object is: the bytes of a file, or the canonical listing of a directory.
///
/// Text form: the hash, with `.dir` appended for a directory (DVC's spelling).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectId {
    /// The bytes of one file.
    File(ContentHash),
    /// A directory: the hash of its canonical listing.
    Tree(ContentHash),
}

impl ObjectId {
    /// Returns the hash under which the object's bytes are stored.
    #[must_use]
    pub fn hash(&self) -> &ContentHash {
        match self {
            Self::File(hash) | Self::Tree(hash) => hash,
        }
    }

    /// Returns the first eight hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.hash().short()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(hash) => write!(f, "{hash}"),
            Self::Tree(hash) => write!(f, "{hash}.dir"),
        }
    }
}

impl FromStr for ObjectId {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_suffix(".dir") {
            Some(hash) => hash.parse().map(Self::Tree),
            None => text
                .parse()
                .map(Self::File)
                .map_err(|e: ParseHashError| ParseHashError {
                    suffix: ", then `.dir` for a directory",
                    ..e
                }),
        }
    }
}

/// Returns the hash of a file's bytes; large files use all cores.
///
/// # Errors
/// Whatever opening or reading the file gives.
pub fn hash_file(path: &Path) -> io::Result<ContentHash> {
    let mut hasher = blake3::Hasher::new();
    let file = std::fs::File::open(path)?;
    if file.metadata()?.len() < MMAP_BYTES_MIN {
        hasher.update_reader(file)?;
    } else {
        hasher.update_mmap_rayon(path)?;
    }
    Ok(ContentHash(*hasher.finalize().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_is_strict() {
        let hash = ContentHash::of(b"pixels");
        assert_eq!(hash.to_string().parse::<ContentHash>(), Ok(hash));
        assert_eq!(
            format!("{hash}.dir").parse::<ObjectId>(),
            Ok(ObjectId::Tree(hash))
        );
        for bad in [
            "",
            "abc",
            &hash.to_string().to_uppercase(),
            &format!("{hash}0"),
        ] {
            assert!(bad.parse::<ContentHash>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mapped_file_hashes_like_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        for len in [0usize, 1, 4096, 128 * 1024, 700_001] {
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let path = dir.path().join("f");
            crate::base::fs::write_atomic(&path, &bytes).unwrap();
            assert_eq!(
                hash_file(&path).unwrap(),
                ContentHash::of(&bytes),
                "{len} bytes"
            );
        }
    }
}

//! Content hashes (BLAKE3, 256 bit; MD5, 128 bit, as DVC names objects) and the identity of stored
//! objects. Imports: nothing of ours.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use md5::{Digest, Md5};

/// Files from this size on are memory-mapped and hashed on all cores; below it one read and one
/// core are faster (the blake3 crate's own advice is a threshold of about 128 KiB).
const MMAP_BYTES_MIN: u64 = 128 * 1024;
/// How much of a file is read at once where it is hashed on one core.
const BLOCK_BYTES: usize = 1024 * 1024;
/// How much of a file decides whether it is text (DVC 2's rule).
const TEXT_PROBE_BYTES: usize = 512;

/// How content is hashed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HashAlgo {
    /// BLAKE3, 256 bit: cvops projects.
    Blake3,
    /// MD5, 128 bit: DVC repositories.
    Md5,
    /// MD5 of the content with `\r\n` read as `\n` in text files: what DVC named objects by before
    /// version 3 (`md5-dos2unix` there).
    Md5Dos2Unix,
}

impl HashAlgo {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Blake3, Self::Md5, Self::Md5Dos2Unix];

    /// Returns the name as lock files spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3",
            Self::Md5 => "md5",
            Self::Md5Dos2Unix => "md5-dos2unix",
        }
    }

    /// Returns the hash of `bytes`.
    #[must_use]
    pub fn hash(self, bytes: &[u8]) -> ContentHash {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Hashes content that comes in pieces.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    // The state of BLAKE3 is large; it is not copied about.
    Blake3(Box<blake3::Hasher>),
    Md5(Md5),
    Dos2Unix(Dos2Unix),
}

impl Hasher {
    /// Starts a hash.
    #[must_use]
    pub fn new(algo: HashAlgo) -> Self {
        Self(match algo {
            HashAlgo::Blake3 => State::Blake3(Box::default()),
            HashAlgo::Md5 => State::Md5(Md5::new()),
            HashAlgo::Md5Dos2Unix => State::Dos2Unix(Dos2Unix::default()),
        })
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Blake3(hasher) => {
                hasher.update(bytes);
            }
            State::Md5(hasher) => hasher.update(bytes),
            State::Dos2Unix(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the hash of all bytes.
    #[must_use]
    pub fn finish(self) -> ContentHash {
        match self.0 {
            State::Blake3(hasher) => ContentHash::Blake3(*hasher.finalize().as_bytes()),
            State::Md5(hasher) => ContentHash::Md5(hasher.finalize().into()),
            State::Dos2Unix(hasher) => ContentHash::Md5Dos2Unix(hasher.finish()),
        }
    }
}

/// MD5 with the line ends of text files made equal. What counts as text is judged by the first 512
/// bytes: no NUL, and at most 30 % of them outside printable ASCII, blanks and line ends.
#[derive(Clone, Debug, Default)]
struct Dos2Unix {
    md5: Md5,
    /// The first bytes, until there are enough to judge.
    probe: Vec<u8>,
    is_text: Option<bool>,
    /// A `\r` whose successor is not known yet.
    carriage: bool,
}

impl Dos2Unix {
    fn update(&mut self, bytes: &[u8]) {
        if self.is_text.is_some() {
            self.feed(bytes);
            return;
        }
        self.probe.extend_from_slice(bytes);
        if TEXT_PROBE_BYTES <= self.probe.len() {
            self.judge();
        }
    }

    fn judge(&mut self) {
        let probe = std::mem::take(&mut self.probe);
        self.is_text = Some(is_text(&probe[..probe.len().min(TEXT_PROBE_BYTES)]));
        self.feed(&probe);
    }

    fn feed(&mut self, bytes: &[u8]) {
        if self.is_text != Some(true) {
            self.md5.update(bytes);
            return;
        }
        let mut rest = bytes;
        if let (true, Some(first)) = (self.carriage, rest.first()) {
            if *first != b'\n' {
                self.md5.update(b"\r");
            }
            self.carriage = false;
        }
        while let Some(at) = rest.iter().position(|&b| b == b'\r') {
            self.md5.update(&rest[..at]);
            match rest.get(at + 1) {
                Some(b'\n') => {}
                Some(_) => self.md5.update(b"\r"),
                None => self.carriage = true,
            }
            rest = &rest[at + 1..];
        }
        self.md5.update(rest);
    }

    fn finish(mut self) -> [u8; 16] {
        if self.is_text.is_none() {
            self.judge();
        }
        if self.carriage {
            self.md5.update(b"\r");
        }
        self.md5.finalize().into()
    }
}

fn is_text(probe: &[u8]) -> bool {
    let plain = |b: &u8| matches!(*b, 32..=126 | b'\n' | b'\r' | b'\t' | 12 | 8);
    let strange = probe.iter().filter(|b| !plain(b)).count();
    !probe.contains(&0) && strange * 10 <= probe.len() * 3
}

/// A digest of content. Printed and parsed as lower-case hexadecimal digits, 64 or 32 of them; 32
/// digits are parsed as MD5 of the bytes as they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentHash {
    /// BLAKE3.
    Blake3([u8; 32]),
    /// MD5.
    Md5([u8; 16]),
    /// MD5 with the line ends of text files made equal.
    Md5Dos2Unix([u8; 16]),
}

impl ContentHash {
    /// Returns the BLAKE3 hash of `bytes`; content of a project is hashed by its own algorithm
    /// (`HashAlgo::hash`).
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::Blake3(*blake3::hash(bytes).as_bytes())
    }

    /// Returns the algorithm.
    #[must_use]
    pub fn algo(&self) -> HashAlgo {
        match self {
            Self::Blake3(_) => HashAlgo::Blake3,
            Self::Md5(_) => HashAlgo::Md5,
            Self::Md5Dos2Unix(_) => HashAlgo::Md5Dos2Unix,
        }
    }

    /// Returns the raw digest, 32 or 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Blake3(bytes) => bytes,
            Self::Md5(bytes) | Self::Md5Dos2Unix(bytes) => bytes,
        }
    }

    /// Returns the hash with this raw digest (for values read back from our own database); `None`
    /// if it has another length.
    #[must_use]
    pub fn from_bytes(algo: HashAlgo, bytes: &[u8]) -> Option<Self> {
        match algo {
            HashAlgo::Blake3 => bytes.try_into().ok().map(Self::Blake3),
            HashAlgo::Md5 => bytes.try_into().ok().map(Self::Md5),
            HashAlgo::Md5Dos2Unix => bytes.try_into().ok().map(Self::Md5Dos2Unix),
        }
    }

    /// Returns an MD5 as one whose text files had their line ends made equal, for entries that DVC
    /// wrote before version 3; others stay as they are.
    #[must_use]
    pub fn dos2unix(self) -> Self {
        match self {
            Self::Md5(bytes) => Self::Md5Dos2Unix(bytes),
            other => other,
        }
    }

    /// Is this the hash of no bytes at all?
    #[must_use]
    pub fn is_of_nothing(&self) -> bool {
        *self == self.algo().hash(b"")
    }

    /// Returns the first eight hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Sixty-four digits at most: no allocation, since listings print a hash per file.
        let mut text = [0; 64];
        let bytes = self.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            text[2 * at] = DIGITS[usize::from(byte >> 4)];
            text[2 * at + 1] = DIGITS[usize::from(byte & 15)];
        }
        let text = std::str::from_utf8(&text[..2 * bytes.len()]).map_err(|_| fmt::Error)?;
        f.write_str(text)
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({})", self.short())
    }
}

/// Why a text is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a content hash: expected 64 (BLAKE3) or 32 (MD5) hexadecimal digits{suffix}"
)]
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
        // The canonical spelling is lower case only, so that a hash has one text form and lock files
        // stay byte-stable.
        match text.len() {
            64 => digits(text).map(Self::Blake3),
            32 => digits(text).map(Self::Md5),
            _ => None,
        }
        .ok_or_else(error)
    }
}

/// Reads `2 * N` lower-case hexadecimal digits.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
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

    /// Returns the object of a hash read under the name of `algo`: an MD5 is told by its length, but
    /// not what was done to line ends before.
    #[must_use]
    pub fn as_hashed_by(self, algo: HashAlgo) -> Self {
        match (algo, self) {
            (HashAlgo::Md5Dos2Unix, Self::File(hash)) => Self::File(hash.dos2unix()),
            (HashAlgo::Md5Dos2Unix, Self::Tree(hash)) => Self::Tree(hash.dos2unix()),
            (HashAlgo::Blake3 | HashAlgo::Md5, object) => object,
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

/// Returns the hash of a file's bytes; large files use all cores where the algorithm can.
///
/// # Errors
/// Whatever opening or reading the file gives.
pub fn hash_file(algo: HashAlgo, path: &Path) -> io::Result<ContentHash> {
    let mut file = std::fs::File::open(path)?;
    if algo == HashAlgo::Blake3 {
        let mut hasher = blake3::Hasher::new();
        if file.metadata()?.len() < MMAP_BYTES_MIN {
            hasher.update_reader(file)?;
        } else {
            hasher.update_mmap_rayon(path)?;
        }
        return Ok(ContentHash::Blake3(*hasher.finalize().as_bytes()));
    }
    let mut hasher = Hasher::new(algo);
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(BLOCK_BYTES);
    let mut block = vec![0; len.clamp(1, BLOCK_BYTES)];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&block[..read]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_is_strict() {
        let hash = ContentHash::of(b"pixels");
        assert_eq!(hash.to_string(), blake3::hash(b"pixels").to_hex().as_str());
        assert_eq!(hash.to_string().parse::<ContentHash>(), Ok(hash));
        let md5 = HashAlgo::Md5.hash(b"[]");
        assert_eq!(md5.to_string(), "d751713988987e9331980363e24189ce");
        assert_eq!(md5.to_string().parse::<ContentHash>(), Ok(md5));
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
            for algo in [HashAlgo::Blake3, HashAlgo::Md5, HashAlgo::Md5Dos2Unix] {
                let hash = hash_file(algo, &path).unwrap();
                assert_eq!(hash, algo.hash(&bytes), "{len} bytes, {algo:?}");
            }
        }
    }

    #[test]
    fn line_ends_of_text_count_once_whatever_the_pieces() {
        let of = |pieces: &[&[u8]]| {
            let mut hasher = Hasher::new(HashAlgo::Md5Dos2Unix);
            for piece in pieces {
                hasher.update(piece);
            }
            hasher.finish().as_bytes().to_owned()
        };
        let plain = |bytes: &[u8]| HashAlgo::Md5.hash(bytes).as_bytes().to_owned();
        assert_eq!(of(&[b"a\r\nb\r", b"\nc\rd\r"]), plain(b"a\nb\nc\rd\r"));
        let long = "x\r\n".repeat(400);
        assert_eq!(of(&[long.as_bytes()]), plain("x\n".repeat(400).as_bytes()));
        assert_eq!(
            of(&[&long.as_bytes()[..601], &long.as_bytes()[601..]]),
            of(&[long.as_bytes()])
        );
        // Binary: left alone.
        assert_eq!(of(&[b"a\r\n\0"]), plain(b"a\r\n\0"));
        assert_eq!(of(&[b"\xff\xff\r\n"]), plain(b"\xff\xff\r\n"));
    }
}

//! The settled stats and hashes of a folder's files, in the form in which they are stored.
//! Imports: `base`, `store::stat`.
//!
//! A folder may have a million files. So they are kept as the bytes that the database keeps, with the
//! place of each file beside them: nothing is decoded before it is asked for, and nothing is encoded
//! to be written.
//!
//! Version byte, then per file, sorted by path: length of the path (u32, little endian), path, stat,
//! hash. The version says which hashes.

use crate::base::ContentHash;
use crate::base::hash::HashAlgo;

use super::stat::Stat;

/// Settled stats and hashes of a folder's files, sorted by path relative to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Members {
    algo: HashAlgo,
    bytes: Vec<u8>,
    /// Where in `bytes` each file begins.
    places: Vec<u32>,
}

impl Members {
    /// Returns none, of hashes by `algo`.
    pub(crate) fn new(algo: HashAlgo) -> Self {
        Self {
            algo,
            bytes: vec![version(algo)],
            places: Vec::new(),
        }
    }

    /// Makes room for `files` more files with paths of `path_bytes` in total.
    pub(crate) fn reserve(&mut self, files: usize, path_bytes: usize) {
        let rest = 4 + Stat::LEN + hash_len(self.algo);
        self.bytes.reserve_exact(files * rest + path_bytes);
        self.places.reserve_exact(files);
    }

    /// Adds a file, whose path must come after all others; a hash of another algorithm, or what
    /// would be too much to store, is left out.
    pub(crate) fn push(&mut self, path: &str, stat: Stat, hash: ContentHash) {
        let (Ok(place), Ok(len)) = (u32::try_from(self.bytes.len()), u32::try_from(path.len()))
        else {
            return;
        };
        if hash.algo() != self.algo {
            return;
        }
        self.places.push(place);
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.extend_from_slice(&stat.to_bytes());
        self.bytes.extend_from_slice(hash.as_bytes());
    }

    /// Returns the number of files.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns what is known of the file at `path`.
    pub(crate) fn get(&self, path: &str) -> Option<(Stat, ContentHash)> {
        let at = self
            .places
            .binary_search_by(|place| self.path(*place).cmp(path.as_bytes()))
            .ok()?;
        self.entry(self.places[at]).map(|(_, known)| known)
    }

    /// Returns all files, sorted by path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, (Stat, ContentHash))> {
        self.places.iter().filter_map(|place| self.entry(*place))
    }

    /// Returns the stored form.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads the stored form; anything else reads as far as it makes sense.
    pub(crate) fn from_bytes(algo: HashAlgo, mut bytes: Vec<u8>) -> Self {
        if bytes.first() != Some(&version(algo)) {
            return Self::new(algo);
        }
        let mut places = Vec::new();
        let mut last: Option<&str> = None;
        let mut at = 1;
        while let Some((path, _, len)) = read(algo, bytes.get(at..).unwrap_or_default()) {
            let (Ok(place), true) = (u32::try_from(at), last.is_none_or(|last| last < path)) else {
                break;
            };
            places.push(place);
            last = Some(path);
            at += len;
        }
        bytes.truncate(at);
        Self {
            algo,
            bytes,
            places,
        }
    }

    /// Returns the path of the file that begins at `place`.
    fn path(&self, place: u32) -> &[u8] {
        let bytes = self.bytes.get(place as usize..).unwrap_or_default();
        let Some((len, rest)) = bytes.split_first_chunk::<4>() else {
            return &[];
        };
        rest.get(..u32::from_le_bytes(*len) as usize)
            .unwrap_or_default()
    }

    fn entry(&self, place: u32) -> Option<(&str, (Stat, ContentHash))> {
        let (path, known, _) = read(self.algo, self.bytes.get(place as usize..)?)?;
        Some((path, known))
    }
}

fn version(algo: HashAlgo) -> u8 {
    match algo {
        HashAlgo::Blake3 => 1,
        HashAlgo::Md5 => 2,
        HashAlgo::Md5Dos2Unix => 3,
    }
}

fn hash_len(algo: HashAlgo) -> usize {
    match algo {
        HashAlgo::Blake3 => 32,
        HashAlgo::Md5 | HashAlgo::Md5Dos2Unix => 16,
    }
}

/// Reads one file: its path, what is known of it, and how many bytes that took.
fn read(algo: HashAlgo, bytes: &[u8]) -> Option<(&str, (Stat, ContentHash), usize)> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (path, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    let (stat, rest) = rest.split_at_checked(Stat::LEN)?;
    let (hash, rest) = rest.split_at_checked(hash_len(algo))?;
    let known = (
        Stat::from_bytes(stat)?,
        ContentHash::from_bytes(algo, hash)?,
    );
    let path = std::str::from_utf8(path).ok()?;
    Some((path, known, bytes.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_bytes_of_unknown_form_read_as_far_as_they_make_sense() {
        let stat = Stat {
            size: 2,
            mtime_ns: 7,
            ctime_ns: 8,
            inode: 9,
        };
        let hash = |text: &str| ContentHash::of(text.as_bytes());
        let mut members = Members::new(HashAlgo::Blake3);
        for path in ["a", "b/c", "é/x"] {
            members.push(path, stat, hash(path));
        }
        members.push("z", stat, HashAlgo::Md5.hash(b"z"));
        assert_eq!(members.len(), 3);
        assert_eq!(members.get("b/c"), Some((stat, hash("b/c"))));
        assert_eq!(members.get("b"), None);
        let of = |bytes: &[u8]| Members::from_bytes(HashAlgo::Blake3, bytes.to_vec());
        let mut bytes = members.as_bytes().to_vec();
        assert_eq!(of(&bytes), members);
        bytes.extend_from_slice(&[9, 0, 0, 0, b'x']);
        assert_eq!(of(&bytes), members);
        // Out of order: what follows could not be found.
        let mut unsorted = members.clone();
        unsorted.push("b", stat, hash("b"));
        assert_eq!(of(unsorted.as_bytes()), members);
        bytes[0] = 2;
        assert_eq!(of(&bytes), Members::new(HashAlgo::Blake3));
        assert_eq!(of(&[]), Members::new(HashAlgo::Blake3));
    }
}

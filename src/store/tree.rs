//! Directory listings: the object that stands for a folder. Imports: `base`.
//!
//! Format `cvops.listing.v1`: UTF-8 JSON in exactly one spelling, so that equal folders have equal
//! hashes, with one file per line, so that tools which compare lines can compare folders:
//!
//! ```text
//! {"format":"cvops.listing.v1","files":[
//! {"path":"cat/1.png","hash":"<64 hex>","size":123},
//! {"path":"run.sh","hash":"<64 hex>","size":12,"exec":true}
//! ]}
//! ```
//!
//! Files are sorted bytewise by path; a path is relative, `/`-separated, without `.`, `..`, empty
//! parts, backslash or NUL; its Unicode form is kept as found. `exec` is there only when true (the
//! owner's execute bit). Empty folders are not recorded, as in git and DVC; an empty folder as an
//! output is a listing without files. The reader accepts only what the writer writes.
//!
//! In a DVC repository a listing is what DVC writes, byte for byte: Python's `json.dumps(files,
//! sort_keys=True)` of `{"md5": …, "relpath": …}` per file, sorted by path; it says neither sizes nor
//! execute bits. Its name is the MD5 of those bytes. Any spelling of that JSON is read.

use std::borrow::Cow;
use std::fmt::Write;
use std::io;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::base::fs::Executable;
use crate::base::hash::{HashAlgo, Hasher};
use crate::base::{ContentHash, ObjectId};

const FORMAT: &str = "cvops.listing.v1";
/// How much text is put together before it is handed on.
const PIECE_BYTES: usize = 64 * 1024;

/// One file of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingEntry {
    /// Path relative to the folder.
    pub path: String,
    /// Hash of its bytes.
    pub hash: ContentHash,
    /// Its size in bytes; DVC's listings do not say it.
    pub size: Option<u64>,
    /// May its owner execute it?
    pub exec: Executable,
}

/// The files of a folder, sorted by path, without conflicts.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Listing {
    entries: Vec<ListingEntry>,
}

/// Why bytes or entries are no listing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// Not the JSON that the format prescribes.
    #[error("{0}")]
    Grammar(String),
    /// Right content in another spelling than the canonical one.
    #[error("it is not in canonical form")]
    NotCanonical,
    /// A path that is absolute, leaves the folder, or holds a forbidden character.
    #[error("`{0}` is not a path inside a folder")]
    Path(String),
    /// Paths are unsorted or occur twice.
    #[error("`{0}` is out of order or occurs twice")]
    Order(String),
    /// One path is a file and a folder at once.
    #[error("`{0}` is both a file and a folder")]
    Conflict(String),
}

impl Listing {
    /// Makes a listing of sorted `entries`.
    ///
    /// # Errors
    /// They are unsorted, not unique, or hold an impossible path.
    pub fn new(entries: Vec<ListingEntry>) -> Result<Self, ListingError> {
        for (i, entry) in entries.iter().enumerate() {
            if !is_inside(&entry.path) {
                return Err(ListingError::Path(entry.path.clone()));
            }
            if 0 < i && entry.path <= entries[i - 1].path {
                return Err(ListingError::Order(entry.path.clone()));
            }
        }
        for (i, entry) in entries.iter().enumerate() {
            let before = i.checked_sub(1).map_or("", |i| entries[i].path.as_str());
            for (slash, _) in entry.path.match_indices('/') {
                let folder = &entry.path[..slash];
                // What holds of the file before, which lies in this folder too, was found out there.
                if before
                    .strip_prefix(folder)
                    .is_some_and(|r| r.starts_with('/'))
                {
                    continue;
                }
                if entries
                    .binary_search_by(|e| e.path.as_str().cmp(folder))
                    .is_ok()
                {
                    return Err(ListingError::Conflict(folder.to_owned()));
                }
            }
        }
        Ok(Self { entries })
    }

    /// Returns the files, sorted by path.
    #[must_use]
    pub fn entries(&self) -> &[ListingEntry] {
        &self.entries
    }

    /// Returns the file at `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&ListingEntry> {
        let at = self
            .entries
            .binary_search_by(|e| e.path.as_str().cmp(path))
            .ok()?;
        self.entries.get(at)
    }

    /// Returns the sum of the file sizes in bytes, as far as they are known.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.entries.iter().filter_map(|e| e.size).sum()
    }

    /// Returns the number of files.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Returns the canonical bytes, as projects write them that hash by `algo`.
    #[must_use]
    pub fn to_bytes(&self, algo: HashAlgo) -> Vec<u8> {
        let mut all = Vec::new();
        // What only takes bytes cannot fail.
        let _ = self.write_to(algo, &mut |bytes| {
            all.extend_from_slice(bytes);
            Ok(())
        });
        all
    }

    /// Hands the canonical bytes to `take`, piece by piece: the text of a million files is large.
    ///
    /// # Errors
    /// What `take` says.
    pub fn write_to(
        &self,
        algo: HashAlgo,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let (start, end) = match algo {
            HashAlgo::Blake3 => (format!("{{\"format\":\"{FORMAT}\",\"files\":[\n"), "]}\n"),
            HashAlgo::Md5 | HashAlgo::Md5Dos2Unix => ("[".to_owned(), "]"),
        };
        let mut text = start;
        for (i, entry) in self.entries.iter().enumerate() {
            let is_last = i + 1 == self.entries.len();
            match algo {
                HashAlgo::Blake3 => push_native(&mut text, entry, is_last),
                HashAlgo::Md5 | HashAlgo::Md5Dos2Unix => push_dvc(&mut text, entry, is_last),
            }
            if PIECE_BYTES <= text.len() {
                take(text.as_bytes())?;
                text.clear();
            }
        }
        text.push_str(end);
        take(text.as_bytes())
    }

    /// Returns the identity of the folder: the hash of the canonical bytes.
    #[must_use]
    pub fn id(&self, algo: HashAlgo) -> ObjectId {
        self.id_and_len(algo).0
    }

    /// Returns the identity of the folder and the number of the canonical bytes.
    pub(crate) fn id_and_len(&self, algo: HashAlgo) -> (ObjectId, u64) {
        let (mut hasher, mut len) = (Hasher::new(algo), 0);
        // What only takes bytes cannot fail.
        let _ = self.write_to(algo, &mut |bytes| {
            hasher.update(bytes);
            len += bytes.len() as u64;
            Ok(())
        });
        (ObjectId::Tree(hasher.finish()), len)
    }

    /// Reads the bytes of a listing of hashes by `algo`.
    ///
    /// # Errors
    /// The bytes are no such listing; a native one must be just what `to_bytes` writes.
    pub fn parse(algo: HashAlgo, bytes: &[u8]) -> Result<Self, ListingError> {
        match algo {
            HashAlgo::Blake3 => Self::parse_native(bytes),
            HashAlgo::Md5 | HashAlgo::Md5Dos2Unix => Self::parse_dvc(algo, bytes),
        }
    }

    fn parse_dvc(algo: HashAlgo, bytes: &[u8]) -> Result<Self, ListingError> {
        let lines: Vec<DvcEntry> =
            serde_json::from_slice(bytes).map_err(|e| ListingError::Grammar(e.to_string()))?;
        let mut entries: Vec<ListingEntry> = lines.into_iter().map(|line| line.0).collect();
        if algo == HashAlgo::Md5Dos2Unix {
            for entry in &mut entries {
                entry.hash = entry.hash.dos2unix();
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Self::new(entries)
    }

    fn parse_native(bytes: &[u8]) -> Result<Self, ListingError> {
        let grammar = |e: &dyn std::fmt::Display| ListingError::Grammar(e.to_string());
        let file: File = serde_json::from_slice(bytes).map_err(|e| grammar(&e))?;
        if file.format != FORMAT {
            return Err(ListingError::Grammar(format!(
                "its format is `{}`, this version reads `{FORMAT}`",
                file.format
            )));
        }
        let entries = file
            .files
            .into_iter()
            .map(|line| {
                Ok(ListingEntry {
                    hash: line.hash.parse().map_err(|e| grammar(&e))?,
                    path: line.path,
                    size: Some(line.size),
                    exec: if line.exec {
                        Executable::Yes
                    } else {
                        Executable::No
                    },
                })
            })
            .collect::<Result<_, _>>()?;
        let listing = Self::new(entries)?;
        if listing.to_bytes(HashAlgo::Blake3) == bytes {
            Ok(listing)
        } else {
            Err(ListingError::NotCanonical)
        }
    }
}

/// The wire form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    files: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    path: String,
    hash: String,
    size: u64,
    #[serde(default)]
    exec: bool,
}

/// One file in DVC's listing; what else DVC may write there is not for us.
#[derive(Deserialize)]
struct DvcLine {
    #[serde(deserialize_with = "hash_of_text")]
    md5: ContentHash,
    relpath: String,
}

/// A file of DVC's listing, made at once into what is kept of it: there may be a million.
#[derive(Deserialize)]
#[serde(from = "DvcLine")]
struct DvcEntry(ListingEntry);

impl From<DvcLine> for DvcEntry {
    fn from(line: DvcLine) -> Self {
        Self(ListingEntry {
            path: line.relpath,
            hash: line.md5,
            size: None,
            exec: Executable::No,
        })
    }
}

fn hash_of_text<'de, D: Deserializer<'de>>(from: D) -> Result<ContentHash, D::Error> {
    let text = <Cow<'de, str>>::deserialize(from)?;
    text.parse().map_err(D::Error::custom)
}

fn push_native(text: &mut String, entry: &ListingEntry, is_last: bool) {
    let path = serde_json::Value::from(entry.path.as_str());
    let exec = match entry.exec {
        Executable::Yes => ",\"exec\":true",
        Executable::No => "",
    };
    let comma = if is_last { "" } else { "," };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{{\"path\":{path},\"hash\":\"{}\",\"size\":{}{exec}}}{comma}",
        entry.hash,
        entry.size.unwrap_or_default()
    );
}

fn push_dvc(text: &mut String, entry: &ListingEntry, is_last: bool) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{{\"md5\": \"{}\", \"relpath\": ", entry.hash);
    push_python_text(text, &entry.path);
    text.push_str(if is_last { "}" } else { "}, " });
}

/// Appends a text as Python's `json.dumps` spells it: ASCII only, others as `\uXXXX` in lower case.
fn push_python_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

fn is_inside(path: &str) -> bool {
    !path.contains(['\0', '\\']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// How one file differs between two versions of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// Only in the new version.
    Added(String),
    /// Only in the old version.
    Removed(String),
    /// Other bytes, or the execute bit changed.
    Modified(String),
}

/// Returns the differences from `old` to `new`, sorted by path.
#[must_use]
pub fn diff(old: &Listing, new: &Listing) -> Vec<FileChange> {
    let (mut olds, mut news) = (old.entries.iter().peekable(), new.entries.iter().peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (olds.peek(), news.peek()) {
            (None, None) => return changes,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(a), Some(b)) => a.path.cmp(&b.path),
        };
        let (a, b) = match order {
            std::cmp::Ordering::Less => (olds.next(), None),
            std::cmp::Ordering::Equal => (olds.next(), news.next()),
            std::cmp::Ordering::Greater => (None, news.next()),
        };
        match (a, b) {
            (Some(a), None) => changes.push(FileChange::Removed(a.path.clone())),
            (None, Some(b)) => changes.push(FileChange::Added(b.path.clone())),
            (Some(a), Some(b)) if a.hash != b.hash || a.exec != b.exec => {
                changes.push(FileChange::Modified(b.path.clone()));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn listing(files: &BTreeMap<String, (Vec<u8>, bool)>) -> Option<Listing> {
        let entries = files
            .iter()
            .map(|(path, (bytes, exec))| ListingEntry {
                path: path.clone(),
                hash: ContentHash::of(bytes),
                size: Some(bytes.len() as u64),
                exec: if *exec {
                    Executable::Yes
                } else {
                    Executable::No
                },
            })
            .collect();
        Listing::new(entries).ok()
    }

    fn files() -> impl Strategy<Value = BTreeMap<String, (Vec<u8>, bool)>> {
        let path = "[a-cé\"\n ]{1,2}(/[a-c.]{1,3}){0,2}";
        proptest::collection::btree_map(path, (any::<Vec<u8>>(), any::<bool>()), 0..6)
    }

    proptest! {
        #[test]
        fn listings_round_trip(files in files()) {
            if let Some(listing) = listing(&files) {
                let native = listing.to_bytes(HashAlgo::Blake3);
                prop_assert_eq!(Listing::parse(HashAlgo::Blake3, &native), Ok(listing));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
            let _ = Listing::parse(HashAlgo::Blake3, &bytes);
            let _ = Listing::parse(HashAlgo::Md5, &bytes);
        }

        #[test]
        fn a_diff_is_empty_exactly_for_equals(a in files(), b in files()) {
            if let (Some(a), Some(b)) = (listing(&a), listing(&b)) {
                prop_assert_eq!(diff(&a, &b).is_empty(), a == b);
                prop_assert_eq!(diff(&a, &b).len(), diff(&b, &a).len());
            }
        }
    }

    #[test]
    fn the_format_is_pinned_and_the_reader_is_strict() {
        #[track_caller]
        fn check(text: &str, good: bool) {
            let read = Listing::parse(HashAlgo::Blake3, text.as_bytes());
            assert_eq!(read.is_ok(), good, "{text}");
        }
        let hash = ContentHash::of(b"x");
        let line = |path: &str, tail: &str| {
            format!("{{\"path\":\"{path}\",\"hash\":\"{hash}\",\"size\":1{tail}}}")
        };
        let file = |lines: &[String]| {
            let joined = lines.join(",\n");
            let end = if lines.is_empty() { "" } else { "\n" };
            format!("{{\"format\":\"cvops.listing.v1\",\"files\":[\n{joined}{end}]}}\n")
        };
        let (a, b) = (line("a", ""), line("b/c", ",\"exec\":true"));
        check(&file(&[]), true);
        check(&file(&[a.clone(), b.clone()]), true);
        check(&file(&[b.clone(), a.clone()]), false);
        check(&file(&[a.clone(), a.clone()]), false);
        check(&file(&[a.clone(), line("a.b", ""), line("a/c", "")]), false);
        check(&file(&[line("a", ",\"exec\":false")]), false);
        check(&file(&[line("a", ",\"mode\":7")]), false);
        for path in [
            "", "/a", "../a", "a/../b", "a//b", "./a", "a/", "a\\\\b", "a\\u0000",
        ] {
            check(&file(&[line(path, "")]), false);
        }
        check(&file(&[a]).replace("v1", "v2"), false);
        check(&format!("{} ", file(&[])), false);
    }

    #[test]
    fn dvc_listings_are_those_of_dvc() {
        let entry = |path: &str, bytes: &[u8]| ListingEntry {
            path: path.to_owned(),
            hash: HashAlgo::Md5.hash(bytes),
            size: Some(1),
            exec: Executable::No,
        };
        let empty = Listing::default();
        assert_eq!(
            empty.id(HashAlgo::Md5).to_string(),
            "d751713988987e9331980363e24189ce.dir"
        );
        let listing = Listing::new(vec![
            entry("a-b/z", b"1"),
            entry("a.txt", b"2"),
            entry("a/\"\u{e9}\u{1f600}\u{7f}", b"3"),
        ])
        .unwrap();
        let text = String::from_utf8(listing.to_bytes(HashAlgo::Md5)).unwrap();
        assert_eq!(
            text,
            r#"[{"md5": "c4ca4238a0b923820dcc509a6f75849b", "relpath": "a-b/z"}, {"md5": "c81e728d9d4c2f636f067f89cc14862c", "relpath": "a.txt"}, {"md5": "eccbc87e4b5ce2fe28308fd9f2a7baf3", "relpath": "a/\"\u00e9\ud83d\ude00\u007f"}]"#
        );
        let back = Listing::parse(HashAlgo::Md5, text.as_bytes()).unwrap();
        assert!(diff(&back, &listing).is_empty());
        assert_eq!(back.id(HashAlgo::Md5), listing.id(HashAlgo::Md5));
    }
}

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

use std::fmt::Write;

use serde::Deserialize;

use crate::base::fs::Executable;
use crate::base::{ContentHash, ObjectId};

const FORMAT: &str = "cvops.listing.v1";

/// One file of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingEntry {
    /// Path relative to the folder.
    pub path: String,
    /// Hash of its bytes.
    pub hash: ContentHash,
    /// Its size in bytes.
    pub size: u64,
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
        for entry in &entries {
            for (slash, _) in entry.path.match_indices('/') {
                let folder = &entry.path[..slash];
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

    /// Returns the sum of the file sizes in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.entries.iter().map(|e| e.size).sum()
    }

    /// Returns the number of files.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Returns the canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{{\"format\":\"{FORMAT}\",\"files\":[\n");
        for (i, entry) in self.entries.iter().enumerate() {
            let path = serde_json::Value::from(entry.path.as_str());
            let exec = match entry.exec {
                Executable::Yes => ",\"exec\":true",
                Executable::No => "",
            };
            let comma = if i + 1 < self.entries.len() { "," } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{{\"path\":{path},\"hash\":\"{}\",\"size\":{}{exec}}}{comma}",
                entry.hash, entry.size
            );
        }
        text.push_str("]}\n");
        text.into_bytes()
    }

    /// Returns the identity of the folder: the hash of the canonical bytes.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        ObjectId::Tree(ContentHash::of(&self.to_bytes()))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// The bytes differ in any way from what `to_bytes` writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ListingError> {
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
                    size: line.size,
                    exec: if line.exec {
                        Executable::Yes
                    } else {
                        Executable::No
                    },
                })
            })
            .collect::<Result<_, _>>()?;
        let listing = Self::new(entries)?;
        if listing.to_bytes() == bytes {
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
                size: bytes.len() as u64,
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
                prop_assert_eq!(Listing::parse(&listing.to_bytes()), Ok(listing));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
            let _ = Listing::parse(&bytes);
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
            assert_eq!(Listing::parse(text.as_bytes()).is_ok(), good, "{text}");
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
}

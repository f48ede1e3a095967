//! Two versions of what is tracked, put side by side. Pure but for the listings it is handed. Imports:
//! `base`, `store`.
//!
//! A tracked folder is an entry of its own, and (seen closely) so is each file in it. Where the
//! listing of one side cannot be had, what is inside is unknown rather than added or deleted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::{ArtifactPath, ObjectId};
use crate::store::Listing;

/// What a version of the project says is where.
pub type Side = BTreeMap<ArtifactPath, ObjectId>;

/// Reads the listing of a tracked folder; `None` if it cannot be had.
pub type Listings<'l> = &'l dyn Fn(&ArtifactPath, &ObjectId) -> Option<Listing>;

/// How closely two versions are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Tracked folders count as one.
    Whole,
    /// Every file in them counts.
    Files,
    /// As `Files`, and what is unchanged is listed as well.
    AllFiles,
}

/// One side of an entry.
pub type Content = ObjectId;

/// How an entry changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Only in the new version.
    Added,
    /// Only in the old version.
    Deleted,
    /// In both, with other content.
    Modified,
    /// Deleted at one place, and added at another.
    Renamed,
    /// The same.
    Unchanged,
    /// In a folder of which one version is not known.
    Unknown,
}

/// One entry of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How it changed.
    pub kind: Kind,
    /// Where it is; where it was, if it was deleted.
    pub path: String,
    /// Where it was, if it was renamed.
    pub from: Option<String>,
    /// What it was.
    pub old: Option<Content>,
    /// What it is.
    pub new: Option<Content>,
}

impl Entry {
    /// Returns its path, with a slash at the end if it is a folder.
    #[must_use]
    pub fn shown(&self) -> String {
        shown(&self.path, self.new.or(self.old))
    }

    /// Returns where it was, in the same form.
    #[must_use]
    pub fn shown_from(&self) -> String {
        shown(self.from.as_ref().unwrap_or(&self.path), self.old)
    }
}

/// Returns a path with a slash at the end if it is a folder.
#[must_use]
pub fn shown(path: &str, content: Option<Content>) -> String {
    match content {
        Some(ObjectId::Tree(_)) => format!("{path}/"),
        Some(ObjectId::File(_)) | None => path.to_owned(),
    }
}

/// The files of one side of an out.
enum Files {
    /// It is a file, or is not looked into.
    None,
    /// Nobody knows them.
    Unknown,
    /// These.
    Known(Listing),
}

/// Both versions of the entries, by path.
#[derive(Default)]
struct Pairs {
    entries: BTreeMap<String, (Option<Content>, Option<Content>)>,
    unknown: BTreeSet<String>,
}

/// Compares `old` with `new`; entries come sorted by path.
#[must_use]
pub fn compare(
    old: &Side,
    new: &Side,
    depth: Depth,
    old_listing: Listings<'_>,
    new_listing: Listings<'_>,
) -> Vec<Entry> {
    let mut pairs = Pairs::default();
    let paths: BTreeSet<&ArtifactPath> = old.keys().chain(new.keys()).collect();
    for path in paths {
        let (a, b) = (old.get(path).copied(), new.get(path).copied());
        let is_same = a == b;
        if is_same && depth != Depth::AllFiles {
            pairs.entries.insert(path.to_string(), (a, b));
            continue;
        }
        let open = |content: Option<Content>, listing: Listings<'_>| match content {
            Some(object @ ObjectId::Tree(_)) if depth != Depth::Whole => {
                listing(path, &object).map_or(Files::Unknown, Files::Known)
            }
            _ => Files::None,
        };
        let old_files = open(a, old_listing);
        // One listing serves both sides, and the older one is in the cache.
        let new_files = match &old_files {
            Files::Known(listing) if is_same => Files::Known(listing.clone()),
            _ => open(b, new_listing),
        };
        pairs.add(path, a, old_files, true);
        pairs.add(path, b, new_files, false);
    }
    let mut entries = pairs.judge();
    find_renames(&mut entries);
    entries.sort_by(|a, b| (&a.path, a.kind).cmp(&(&b.path, b.kind)));
    entries
}

impl Pairs {
    fn add(&mut self, path: &ArtifactPath, content: Option<Content>, files: Files, is_old: bool) {
        let Some(content) = content else { return };
        self.set(path.to_string(), content, is_old);
        match files {
            Files::None => {}
            Files::Unknown => {
                self.unknown.insert(path.to_string());
            }
            Files::Known(listing) => {
                for file in listing.entries() {
                    let at = format!("{path}/{}", file.path);
                    self.set(at, ObjectId::File(file.hash), is_old);
                }
            }
        }
    }

    fn set(&mut self, path: String, content: Content, is_old: bool) {
        let pair = self.entries.entry(path).or_default();
        if is_old {
            pair.0 = Some(content);
        } else {
            pair.1 = Some(content);
        }
    }

    fn judge(self) -> Vec<Entry> {
        let unknown = self.unknown;
        let in_unknown = |path: &str| {
            path.match_indices('/')
                .any(|(at, _)| unknown.contains(&path[..at]))
        };
        let judged = self.entries.into_iter().map(|(path, (old, new))| {
            let kind = match (old, new) {
                _ if in_unknown(&path) => Kind::Unknown,
                (None, _) => Kind::Added,
                (_, None) => Kind::Deleted,
                (a, b) if a == b => Kind::Unchanged,
                _ => Kind::Modified,
            };
            Entry {
                kind,
                path,
                from: None,
                old,
                new,
            }
        });
        judged.collect()
    }
}

/// Makes one rename of a deletion and an addition of the same content, in the order of paths.
fn find_renames(entries: &mut Vec<Entry>) {
    let mut gone: BTreeMap<Content, VecDeque<usize>> = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        if let (Kind::Deleted, Some(old)) = (entry.kind, entry.old) {
            gone.entry(old).or_default().push_back(at);
        }
    }
    let mut used = BTreeSet::new();
    for at in 0..entries.len() {
        let (Kind::Added, Some(new)) = (entries[at].kind, entries[at].new) else {
            continue;
        };
        if let Some(from) = gone.get_mut(&new).and_then(VecDeque::pop_front) {
            used.insert(from);
            entries[at].kind = Kind::Renamed;
            entries[at].from = Some(entries[from].path.clone());
            entries[at].old = entries[from].old;
        }
    }
    let mut at = 0;
    entries.retain(|_| {
        at += 1;
        !used.contains(&(at - 1))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ContentHash;
    use crate::base::fs::Executable;
    use crate::store::ListingEntry;

    fn file(text: &str) -> ObjectId {
        ObjectId::File(ContentHash::of(text.as_bytes()))
    }

    fn listing(files: &[(&str, &str)]) -> Listing {
        let entries = files.iter().map(|(path, text)| ListingEntry {
            path: (*path).to_owned(),
            hash: ContentHash::of(text.as_bytes()),
            size: Some(1),
            exec: Executable::No,
        });
        Listing::new(entries.collect()).unwrap()
    }

    fn side(entries: &[(&str, ObjectId)]) -> Side {
        let entries = entries
            .iter()
            .map(|(path, object)| (path.parse().unwrap(), *object));
        entries.collect()
    }

    fn shown_all(entries: &[Entry]) -> Vec<String> {
        let entries = entries.iter().map(|e| match &e.from {
            Some(_) => format!("{:?} {} -> {}", e.kind, e.shown_from(), e.shown()),
            None => format!("{:?} {}", e.kind, e.shown()),
        });
        entries.collect()
    }

    #[test]
    fn files_of_folders_are_compared_and_renames_found() {
        let old_files = listing(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let new_files = listing(&[("a", "1"), ("b", "9"), ("z", "3")]);
        let tree = |text: &str| ObjectId::Tree(ContentHash::of(text.as_bytes()));
        let old = side(&[("d", tree("old")), ("m", file("m")), ("same", file("s"))]);
        let new = side(&[("d", tree("new")), ("n", file("m")), ("same", file("s"))]);
        let olds = |_: &ArtifactPath, _: &ObjectId| Some(old_files.clone());
        let news = |_: &ArtifactPath, _: &ObjectId| Some(new_files.clone());
        let entries = compare(&old, &new, Depth::Files, &olds, &news);
        assert_eq!(
            shown_all(&entries),
            [
                "Modified d/",
                "Unchanged d/a",
                "Modified d/b",
                "Renamed d/c -> d/z",
                "Renamed m -> n",
                "Unchanged same",
            ]
        );
        let none = |_: &ArtifactPath, _: &ObjectId| None;
        let entries = compare(&old, &new, Depth::Files, &none, &news);
        assert_eq!(shown_all(&entries)[..2], ["Modified d/", "Unknown d/a"]);
        let entries = compare(&old, &new, Depth::Whole, &olds, &news);
        assert_eq!(shown_all(&entries)[0], "Modified d/");
        assert_eq!(entries.len(), 3);
    }
}

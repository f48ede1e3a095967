//! Merges lock and pointer files by what they say, for git's merge driver.
//! Imports: `base`, `project`, `store`.
//!
//! Locks are merged entry by entry, as text: both tools write the same entry in the same way, so a
//! difference of text is one of meaning, and what is kept stays byte for byte. Pointers of folders are
//! merged file by file through the listings in the cache. Where both sides changed the same thing in
//! two ways, ours stays and is named: the merged file can be read, whatever happens.

use std::collections::BTreeMap;

use crate::base::doc::{Document, Format, KeyPath, Value, edit};
use crate::base::hash::ContentHash;
use crate::base::{self, ObjectId};
use crate::store::{Listing, ListingEntry, Store};

use super::error::Error;

/// The three texts of a merge; the ancestor is empty where both sides added the file.
#[derive(Clone, Debug, Default)]
pub struct Sides {
    /// What both began with.
    pub ancestor: String,
    /// What is checked out.
    pub ours: String,
    /// What is merged into it.
    pub theirs: String,
}

/// The result of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The merged text.
    pub text: String,
    /// What both sides changed in different ways: stages, files, or why nothing could be merged.
    pub conflicts: Vec<String>,
}

/// What comes of one thing that three sides say something about.
enum Choice<T> {
    Is(T),
    Conflict,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the three are looked at alike"
)]
fn choose<T: PartialEq>(ancestor: T, ours: T, theirs: T) -> Choice<T> {
    if ours == theirs || theirs == ancestor {
        Choice::Is(ours)
    } else if ours == ancestor {
        Choice::Is(theirs)
    } else {
        Choice::Conflict
    }
}

impl Sides {
    fn whole(&self) -> Choice<&str> {
        choose(&self.ancestor[..], &self.ours[..], &self.theirs[..])
    }

    fn conflict(&self, why: impl Into<String>) -> Merged {
        Merged {
            text: self.ours.clone(),
            conflicts: vec![why.into()],
        }
    }
}

/// A lock cut into its entries.
#[derive(Default)]
struct Lock<'t> {
    /// All lines up to `stages:`.
    head: String,
    entries: Vec<(&'t str, &'t str)>,
    /// What stands behind the stages.
    tail: String,
}

impl<'t> Lock<'t> {
    fn parse(text: &'t str) -> Self {
        let mut lock = Self::default();
        let mut part = 0;
        let mut open: Option<(&'t str, usize)> = None;
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let start = at;
            at += line.len();
            let is_top = !line.starts_with([' ', '#', '\n', '\r']);
            if part == 1 && is_top {
                part = 2;
                if let Some((name, begin)) = open.take() {
                    lock.entries.push((name, &text[begin..start]));
                }
            }
            match part {
                0 => {
                    if line.trim_end() == "stages:" {
                        part = 1;
                    } else if line.trim_end() != "stages: {}" {
                        lock.head.push_str(line);
                    }
                }
                1 => {
                    let is_entry =
                        line.starts_with("  ") && !line[2..].starts_with([' ', '-', '#']);
                    if is_entry {
                        if let Some((name, begin)) = open.take() {
                            lock.entries.push((name, &text[begin..start]));
                        }
                        open = Some((line.trim().trim_end_matches(':'), start));
                    }
                }
                _ => lock.tail.push_str(line),
            }
        }
        if let Some((name, begin)) = open {
            lock.entries.push((name, &text[begin..]));
        }
        lock
    }

    fn get(&self, name: &str) -> Option<&'t str> {
        let found = self.entries.iter().find(|(known, _)| *known == name);
        found.map(|(_, text)| *text)
    }
}

/// Merges three lock files.
#[must_use]
pub fn locks(sides: &Sides) -> Merged {
    if let Choice::Is(text) = sides.whole() {
        let text = text.to_owned();
        let conflicts = Vec::new();
        return Merged { text, conflicts };
    }
    for text in [&sides.ancestor, &sides.ours, &sides.theirs] {
        if Document::parse("lock", text.clone(), Format::Yaml).is_err() {
            return sides.conflict("one side is no lock file");
        }
    }
    let [ancestor, ours, theirs] =
        [&sides.ancestor, &sides.ours, &sides.theirs].map(|text| Lock::parse(text));
    let mut conflicts = Vec::new();
    let mut names: Vec<&str> = ours.entries.iter().map(|(name, _)| *name).collect();
    // Our own locks are sorted, DVC appends.
    let is_sorted = names.is_sorted();
    let new = theirs.entries.iter().map(|(name, _)| *name);
    let new: Vec<&str> = new.filter(|name| ours.get(name).is_none()).collect();
    names.extend(new);
    if is_sorted && theirs.entries.is_sorted_by_key(|(name, _)| *name) {
        names.sort_unstable();
    }
    let mut entries = String::new();
    for name in names {
        let merged = match choose(ancestor.get(name), ours.get(name), theirs.get(name)) {
            Choice::Is(entry) => entry,
            Choice::Conflict => {
                conflicts.push(name.to_owned());
                ours.get(name).or(theirs.get(name))
            }
        };
        if let Some(entry) = merged {
            entries.push_str(entry);
            if !entry.ends_with('\n') {
                entries.push('\n');
            }
        }
    }
    let tail = match choose(&ancestor.tail, &ours.tail, &theirs.tail) {
        Choice::Is(tail) => tail,
        Choice::Conflict => {
            conflicts.push("what stands behind the stages".to_owned());
            &ours.tail
        }
    };
    let head = if ours.head.is_empty() {
        &theirs.head
    } else {
        &ours.head
    };
    let stages = if entries.is_empty() {
        "stages: {}\n"
    } else {
        "stages:\n"
    };
    let text = format!("{head}{stages}{entries}{tail}");
    Merged { text, conflicts }
}

/// What a pointer of one path says.
struct PointerSide {
    document: Document,
    /// `md5` or `blake3`.
    key: &'static str,
    object: Option<ObjectId>,
    /// All but the identity of the content.
    rest: Value,
}

impl PointerSide {
    /// Reads a pointer with one out; `None` for anything else.
    fn parse(text: &str) -> Option<Self> {
        let document = Document::parse("pointer", text.to_owned(), Format::Yaml).ok()?;
        let at = KeyPath::root().key("outs");
        let Value::List(outs) = at.get(&document.root)? else {
            return None;
        };
        let [Value::Map(out)] = outs.as_slice() else {
            return None;
        };
        let key = ["blake3", "md5"]
            .into_iter()
            .find(|key| out.contains_key(*key))?;
        let object = out.get(key)?.as_str()?.parse().ok();
        let mut rest = document.root.clone();
        if let Value::Map(map) = &mut rest
            && let Some(Value::List(outs)) = map.get_mut("outs")
            && let Some(Value::Map(out)) = outs.first_mut()
        {
            out.retain(|name, _| !["blake3", "md5", "size", "nfiles"].contains(&name.as_str()));
        }
        Some(Self {
            document,
            key,
            object,
            rest,
        })
    }
}

/// Merges three pointer files. A merged folder is put into the cache.
///
/// # Errors
/// The cache cannot be read or written.
pub fn pointers(store: &Store, sides: &Sides) -> Result<Merged, Error> {
    if let Choice::Is(text) = sides.whole() {
        let text = text.to_owned();
        let conflicts = Vec::new();
        return Ok(Merged { text, conflicts });
    }
    let parsed = (
        PointerSide::parse(&sides.ours),
        PointerSide::parse(&sides.theirs),
    );
    let (Some(ours), Some(theirs)) = parsed else {
        return Ok(sides.conflict("only pointers of one path can be merged"));
    };
    let ancestor = PointerSide::parse(&sides.ancestor);
    let before = ancestor.as_ref().map_or(&Value::Null, |side| &side.rest);
    let kept = match choose(before, &ours.rest, &theirs.rest) {
        Choice::Is(rest) if *rest == theirs.rest => &theirs,
        Choice::Is(_) => &ours,
        Choice::Conflict => {
            return Ok(sides.conflict("the pointers differ in more than the content"));
        }
    };
    let mut listings = Vec::new();
    for side in [ancestor.as_ref(), Some(&ours), Some(&theirs)] {
        match side.map(|side| side.object) {
            None => listings.push(Listing::default()),
            Some(Some(ObjectId::Tree(hash))) => match store.cache.listing(&hash) {
                Ok(listing) => listings.push(listing),
                Err(error) => {
                    let why = format!("`{hash}.dir` is not in the cache ({error}); fetch it first");
                    return Ok(sides.conflict(why));
                }
            },
            Some(_) => return Ok(sides.conflict("both sides changed the file")),
        }
    }
    let [ancestor, mine, other] = [&listings[0], &listings[1], &listings[2]];
    let (entries, conflicts) = files(ancestor, mine, other);
    if !conflicts.is_empty() {
        let text = sides.ours.clone();
        let conflicts = conflicts.iter();
        let conflicts = conflicts.map(|file| format!("both sides changed `{file}` in it"));
        return Ok(Merged {
            text,
            conflicts: conflicts.collect(),
        });
    }
    let listing = match Listing::new(entries) {
        Ok(listing) => listing,
        Err(error) => return Ok(sides.conflict(error.to_string())),
    };
    let object = store.cache.insert_listing(&listing)?;
    store.make_durable()?;
    let text = rewritten(store, kept, &listing, &object)?;
    Ok(Merged {
        text,
        conflicts: Vec::new(),
    })
}

/// Merges three listings file by file; the second value names files that both changed.
fn files(ancestor: &Listing, ours: &Listing, theirs: &Listing) -> (Vec<ListingEntry>, Vec<String>) {
    let mut all: BTreeMap<&str, [Option<&ListingEntry>; 3]> = BTreeMap::new();
    for (i, listing) in [ancestor, ours, theirs].into_iter().enumerate() {
        for entry in listing.entries() {
            all.entry(&entry.path).or_default()[i] = Some(entry);
        }
    }
    let mut entries = Vec::new();
    let mut conflicts = Vec::new();
    for (path, [ancestor, ours, theirs]) in all {
        let what = |entry: Option<&ListingEntry>| -> Option<(ContentHash, base::fs::Executable)> {
            entry.map(|e| (e.hash, e.exec))
        };
        match choose(what(ancestor), what(ours), what(theirs)) {
            Choice::Is(chosen) => {
                let of = [ours, theirs].into_iter().flatten();
                entries.extend(of.clone().find(|e| what(Some(e)) == chosen).cloned());
            }
            Choice::Conflict => conflicts.push(path.to_owned()),
        }
    }
    (entries, conflicts)
}

/// Returns the text of a pointer that names `object`.
fn rewritten(
    store: &Store,
    kept: &PointerSide,
    listing: &Listing,
    object: &ObjectId,
) -> Result<String, Error> {
    let out = KeyPath::root().key("outs").index(0);
    let name = Value::Str(object.to_string());
    let mut document = edit::set(&kept.document, &out.key(kept.key), &name)?;
    let size = size_of(store, listing).and_then(|size| i64::try_from(size).ok());
    let files = i64::try_from(listing.files()).ok();
    for (key, number) in [("size", size), ("nfiles", files)] {
        let path = out.key(key);
        let is_there = path.get(&document.root).is_some();
        document = match number {
            Some(number) if is_there => edit::set(&document, &path, &Value::Int(number))?,
            // Better nothing than what is not true any more.
            None if is_there => edit::remove(&document, &path)?,
            _ => document,
        };
    }
    Ok(document.source.text.clone())
}

/// Returns the size of all files, as the listing or the cache knows it.
fn size_of(store: &Store, listing: &Listing) -> Option<u64> {
    let size = |entry: &ListingEntry| {
        let object = store.cache.object_path(&ObjectId::File(entry.hash));
        let stat = || std::fs::metadata(object).ok().map(|m| m.len());
        entry.size.or_else(stat)
    };
    listing.entries().iter().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(entries: &[(&str, &str)]) -> String {
        let mut text = "schema: '2.0'\nstages:\n".to_owned();
        for (name, cmd) in entries {
            text.push_str(&format!(
                "  {name}:\n    cmd: {cmd}\n    outs:\n    - path: x\n"
            ));
        }
        text
    }

    #[track_caller]
    fn check(sides: [&[(&str, &str)]; 3], merged: &[(&str, &str)], conflicts: &[&str]) {
        let [ancestor, ours, theirs] = sides.map(lock);
        let sides = Sides {
            ancestor,
            ours,
            theirs,
        };
        let result = locks(&sides);
        assert_eq!(result.text, lock(merged));
        assert_eq!(result.conflicts, conflicts);
    }

    #[test]
    fn entries_are_merged_one_by_one() {
        let base: &[_] = &[("a", "1"), ("b", "1"), ("c", "1")];
        check(
            [
                base,
                &[("a", "2"), ("b", "1"), ("c", "1")],
                &[("a", "1"), ("b", "3"), ("c", "1")],
            ],
            &[("a", "2"), ("b", "3"), ("c", "1")],
            &[],
        );
        check(
            [
                base,
                &[("a", "1"), ("c", "1"), ("z", "9")],
                &[("a", "1"), ("b", "1"), ("c", "1"), ("n", "8")],
            ],
            &[("a", "1"), ("c", "1"), ("n", "8"), ("z", "9")],
            &[],
        );
        check(
            [
                base,
                &[("a", "2"), ("b", "2"), ("c", "1")],
                &[("a", "3"), ("b", "2"), ("c", "4")],
            ],
            &[("a", "2"), ("b", "2"), ("c", "4")],
            &["a"],
        );
        // DVC appends, and so do we to what is not sorted.
        check(
            [
                &[("b", "1"), ("a", "1")],
                &[("b", "1"), ("a", "2")],
                &[("b", "1"), ("a", "1"), ("0", "1")],
            ],
            &[("b", "1"), ("a", "2"), ("0", "1")],
            &[],
        );
    }

    #[test]
    fn listings_are_merged_file_by_file() {
        let listing = |files: &[(&str, &str)]| {
            let entry = |(path, text): &(&str, &str)| ListingEntry {
                path: (*path).to_owned(),
                hash: ContentHash::of(text.as_bytes()),
                size: Some(1),
                exec: base::fs::Executable::No,
            };
            Listing::new(files.iter().map(entry).collect()).unwrap()
        };
        let ancestor = listing(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let ours = listing(&[("a", "2"), ("b", "1"), ("d", "1")]);
        let theirs = listing(&[("a", "1"), ("c", "1"), ("e", "1")]);
        let (entries, conflicts) = files(&ancestor, &ours, &theirs);
        let expected = listing(&[("a", "2"), ("d", "1"), ("e", "1")]);
        assert_eq!(
            (entries.as_slice(), conflicts),
            (expected.entries(), Vec::new())
        );
        let (_, conflicts) = files(&ancestor, &ours, &listing(&[("a", "3"), ("b", "1")]));
        assert_eq!(conflicts, ["a"]);
    }
}

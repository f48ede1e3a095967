//! What `cvops preprocess` says of data: the card with its counts and oddities, and the list of
//! pictures. Files are read here, pixels by an `Eye`. Imports: mlflow (the words of a refusal),
//! `ui::{lines, memo, outputs}`.

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::sync::Arc;

use form_urlencoded::Serializer;
use serde::Deserialize;

use super::lines::Lines;
use super::memo::{Memo, Weighed, heap_bytes};
use super::outputs::{Outputs, unusable};
use crate::mlflow::Refused;

/// The splits, in the order of a card.
pub(in crate::ui) const SPLITS: [&str; 3] = ["train", "val", "test"];

/// The file of the card.
pub(in crate::ui) const CARD: &str = "card.json";
/// The file that makes a folder one of prepared data.
pub(in crate::ui) const MANIFEST: &str = "prepared.json";
/// The list of pictures.
const INDEX: &str = "index.jsonl";
const CARD_BYTES_MAX: u64 = 64 << 20;
/// What to do with a longer list than is read.
const INSTEAD: &str = "prepare a part of the data into a folder of its own to look at its pictures";

/// The file `card.json`.
#[derive(Deserialize)]
struct CardFile {
    format: String,
    version: u64,
    card: Card,
}

/// What is known about a dataset after `preprocess`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(in crate::ui) struct Card {
    /// Class names, sorted.
    pub(in crate::ui) classes: Vec<String>,
    /// Pictures per split and class.
    counts: BTreeMap<String, Vec<u64>>,
    /// Pictures that could not be used.
    pub(in crate::ui) corrupt: Vec<Corrupt>,
    /// What was passed over.
    pub(in crate::ui) skipped: Vec<String>,
    /// The same picture more than once.
    pub(in crate::ui) duplicates: Vec<Group>,
    /// The same picture in more than one split.
    pub(in crate::ui) leakage: Vec<Group>,
    /// The same picture under more than one class.
    pub(in crate::ui) conflicts: Vec<Group>,
}

/// A picture that could not be used.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(in crate::ui) struct Corrupt {
    /// Relative to the dataset.
    pub(in crate::ui) path: String,
    /// Why.
    pub(in crate::ui) reason: String,
}

/// Files with the same bytes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(in crate::ui) struct Group {
    /// Hash of the bytes.
    pub(in crate::ui) content: String,
    /// The files.
    pub(in crate::ui) paths: Vec<String>,
}

impl Card {
    /// Reads the card in the folder `folder`; `None` if it has none of ours.
    ///
    /// # Errors
    /// It is broken, or of another version.
    pub(in crate::ui) fn read(outputs: &Outputs, folder: &str) -> io::Result<Option<Self>> {
        let bytes = outputs.read(&format!("{folder}/{CARD}"), CARD_BYTES_MAX)?;
        bytes.map_or(Ok(None), |bytes| Self::parse(&bytes))
    }

    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let is_ours = serde_json::from_slice::<serde_json::Value>(bytes)
            .is_ok_and(|value| value["format"] == "cvops.data-card");
        if !is_ours {
            return Ok(None);
        }
        let file: CardFile = serde_json::from_slice(bytes).map_err(io::Error::other)?;
        if file.version != 1 {
            let problem = format!(
                "version {} of {} is not known here",
                file.version, file.format
            );
            return Err(io::Error::other(problem));
        }
        Ok(Some(file.card))
    }

    /// Returns the number of pictures of a class in a split.
    pub(in crate::ui) fn count(&self, split: &str, class: usize) -> u64 {
        let counts = self.counts.get(split);
        counts
            .and_then(|counts| counts.get(class))
            .copied()
            .unwrap_or(0)
    }

    /// Returns the number of pictures of a split.
    pub(in crate::ui) fn total(&self, split: &str) -> u64 {
        sum((0..self.classes.len()).map(|class| self.count(split, class)))
    }

    /// Returns the number of pictures of a class in all splits.
    pub(in crate::ui) fn of_class(&self, class: usize) -> u64 {
        sum(SPLITS.iter().map(|split| self.count(split, class)))
    }

    /// Returns the number of all pictures.
    pub(in crate::ui) fn all(&self) -> u64 {
        sum(SPLITS.iter().map(|split| self.total(split)))
    }
}

/// Adds counts: those of a damaged card may be more than there are numbers.
fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// A picture in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ui) struct Sample {
    /// The place of its split among `SPLITS`.
    pub(in crate::ui) split: u8,
    /// Which of its split.
    pub(in crate::ui) index: u32,
    /// The number of its class.
    pub(in crate::ui) class: u32,
    /// Its path in the dataset.
    pub(in crate::ui) path: Box<str>,
    /// The hash of its file.
    pub(in crate::ui) content: Box<str>,
}

impl Sample {
    /// Returns the name of its split.
    pub(in crate::ui) fn split_name(&self) -> &'static str {
        SPLITS[self.split as usize]
    }
}

/// A line of `index.jsonl`.
#[derive(Deserialize)]
struct Line {
    path: Box<str>,
    content: Box<str>,
    split: String,
    class: u32,
}

/// The pictures of a folder.
#[derive(Debug, Default)]
pub(in crate::ui) struct Samples {
    /// In the order of the list.
    pub(in crate::ui) all: Vec<Sample>,
    /// Of each split, the places of its pictures.
    of_split: [Vec<u32>; SPLITS.len()],
    /// The places by path.
    by_path: Vec<u32>,
}

impl Samples {
    /// Returns the pictures of the folder `folder`; `None` if it has no list of them.
    ///
    /// # Errors
    /// A line is broken, or there are more than are read.
    pub(in crate::ui) fn of(
        memo: &Memo,
        outputs: &Outputs,
        folder: &str,
    ) -> Result<Option<Arc<Self>>, Refused> {
        let path = format!("{folder}/{INDEX}");
        let Some(identity) = outputs.identity(&path) else {
            return Ok(None);
        };
        let read = || {
            let file = outputs.open(&path).map_err(|e| e.to_string())?;
            let file = file.ok_or("it is no longer there")?;
            Ok(Self::new(parse_index(Lines::of_file(file, INSTEAD)?)?))
        };
        let samples = memo.get(&identity, read);
        samples.map(Some).map_err(|e| unusable(&path, &e))
    }

    /// Returns why `of` would not read the list of the folder `folder`, if there are more pictures than
    /// are read.
    pub(in crate::ui) fn too_many(outputs: &Outputs, folder: &str) -> Option<String> {
        let path = format!("{folder}/{INDEX}");
        let file = outputs.open(&path).ok()??;
        let problem = Lines::of_file(file, INSTEAD).err()?;
        Some(format!(
            "The pictures of `{path}` are not shown: {problem}."
        ))
    }

    fn new(all: Vec<Sample>) -> Self {
        let mut of_split: [Vec<u32>; SPLITS.len()] = Default::default();
        for (at, sample) in all.iter().enumerate() {
            of_split[sample.split as usize].push(at as u32);
        }
        let mut by_path: Vec<u32> = (0..all.len() as u32).collect();
        by_path.sort_by(|a, b| all[*a as usize].path.cmp(&all[*b as usize].path));
        Self {
            all,
            of_split,
            by_path,
        }
    }

    /// Returns picture `index` of a split.
    pub(in crate::ui) fn get(&self, split: &str, index: u32) -> Option<&Sample> {
        let split = SPLITS.iter().position(|known| *known == split)?;
        let at = self.of_split[split].get(index as usize)?;
        self.all.get(*at as usize)
    }

    /// Returns the picture that was at `path` in the dataset.
    pub(in crate::ui) fn at_path(&self, path: &str) -> Option<&Sample> {
        let path_of = |at: &u32| &*self.all[*at as usize].path;
        let found = self
            .by_path
            .binary_search_by(|at| path_of(at).cmp(path))
            .ok()?;
        self.all.get(self.by_path[found] as usize)
    }
}

impl Weighed for Samples {
    fn bytes(&self) -> usize {
        let texts = self.all.iter();
        let texts = texts.map(|sample| heap_bytes(&sample.path) + heap_bytes(&sample.content));
        // Each picture has a place in its split, and one in the order of paths.
        texts.sum::<usize>() + self.all.len() * (size_of::<Sample>() + 2 * size_of::<u32>())
    }
}

/// Returns where a picture is to be had, its longer side at most `side` pixels.
pub(in crate::ui) fn picture_href(
    outputs: &Outputs,
    folder: &str,
    sample: &Sample,
    side: u32,
) -> String {
    let mut query = Serializer::new(String::new());
    if let Some(run) = outputs.run_id() {
        query.append_pair("run", &run);
    }
    query
        .append_pair("folder", folder)
        .append_pair("split", sample.split_name())
        .append_pair("index", &sample.index.to_string())
        .append_pair("side", &side.to_string())
        // Another picture has another address, so a browser may keep what it has.
        .append_pair(
            "content",
            sample.content.get(..16).unwrap_or(&sample.content),
        );
    format!("/ajax-api/cvops/data/picture?{}", query.finish())
}

fn parse_index(mut lines: Lines<impl BufRead>) -> Result<Vec<Sample>, String> {
    let mut seen = [0; SPLITS.len()];
    let mut samples = Vec::new();
    while let Some((number, line)) = lines.advance()? {
        let wrong = |problem: String| format!("line {number}: {problem}");
        let line: Line = serde_json::from_slice(line).map_err(|e| wrong(e.to_string()))?;
        let Some(split) = SPLITS.iter().position(|split| *split == line.split) else {
            return Err(wrong(format!("there is no split `{}`", line.split)));
        };
        samples.push(Sample {
            split: split as u8,
            index: seen[split],
            class: line.class,
            path: line.path,
            content: line.content,
        });
        seen[split] += 1;
    }
    samples.shrink_to_fit();
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_read_if_it_is_ours() {
        let card = r#"{"format":"cvops.data-card","version":1,"card":{"classes":["a","b"],"counts":{"train":[3,4],"val":[1,0],"test":[0,2]},"corrupt":[{"path":"x","reason":"cut"}],"skipped":[],"duplicates":[],"leakage":[],"conflicts":[]}}"#;
        let card = Card::parse(card.as_bytes()).unwrap().unwrap();
        assert_eq!(
            (card.count("train", 1), card.total("test"), card.of_class(0)),
            (4, 2, 4)
        );
        assert_eq!((card.count("train", 9), card.count("other", 0)), (0, 0));
        let damaged = format!(
            r#"{{"format":"cvops.data-card","version":1,"card":{{"classes":["a","b"],"counts":{{"train":[{0},1],"val":[{0},0],"test":[0,{0}]}},"corrupt":[],"skipped":[],"duplicates":[],"leakage":[],"conflicts":[]}}}}"#,
            u64::MAX
        );
        let card = Card::parse(damaged.as_bytes()).unwrap().unwrap();
        for sum in [card.total("train"), card.of_class(0), card.all()] {
            assert_eq!(sum, u64::MAX);
        }
        for other in ["{}", "[]", "no json", r#"{"format":"x"}"#] {
            assert_eq!(Card::parse(other.as_bytes()).unwrap(), None, "{other}");
        }
        let newer = r#"{"format":"cvops.data-card","version":2,"card":{}}"#;
        assert!(Card::parse(newer.as_bytes()).is_err());
    }

    #[test]
    fn pictures_are_counted_in_their_split() {
        let line = |split, path| {
            format!("{{\"path\":\"{path}\",\"content\":\"c\",\"split\":\"{split}\",\"class\":1}}\n")
        };
        let text = [line("train", "a"), line("train", "b"), line("test", "c")].concat();
        let samples = parse_index(Lines::new(text.as_bytes())).unwrap();
        let places: Vec<_> = samples.iter().map(|s| (s.split_name(), s.index)).collect();
        assert_eq!(places, [("train", 0), ("train", 1), ("test", 0)]);
        let samples = Samples::new(samples);
        assert_eq!(samples.get("train", 1), samples.at_path("b"));
        assert!((200..500).contains(&samples.bytes()), "{}", samples.bytes());
        let wrong = parse_index(Lines::new(line("dev", "a").as_bytes())).unwrap_err();
        assert_eq!(wrong, "line 1: there is no split `dev`");
    }
}

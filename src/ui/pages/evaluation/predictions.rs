//! What a network said of each picture: `predictions.jsonl`, parsed once into columns.
//!
//! Written by `cvops evaluate`; whatever writes lines with `label`, `predicted` and `confidence` is
//! read as well, so the evaluation page is there for every framework. Imports: `ui::{lines, memo}`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;

use crate::ui::lines::Lines;
use crate::ui::memo::{Weighed, heap_bytes};

/// More rows than this are not looked at one by one by anybody.
const ROWS_MAX: usize = 5_000_000;
/// More classes than this are none: somebody has put names of files or ids there. Twice as many as
/// `ImageNet` has, and few enough for a page that has a row for each.
const CLASSES_MAX: usize = 2000;
/// Letters of a class that is none, in the message.
const CLASS_CHARS_SHOWN: usize = 60;

/// One line of the file.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    label: Cow<'a, str>,
    #[serde(borrow)]
    predicted: Cow<'a, str>,
    confidence: f64,
    #[serde(default, borrow)]
    path: Cow<'a, str>,
    #[serde(default, borrow)]
    content: Cow<'a, str>,
    #[serde(default, borrow)]
    split: Cow<'a, str>,
    index: Option<u32>,
    #[serde(default)]
    probabilities: BTreeMap<String, f64>,
}

/// The classes that were named so far, numbered as they came.
#[derive(Default)]
struct Classes(BTreeMap<String, u32>);

impl Classes {
    /// Returns the number of the class that stands in `key`.
    ///
    /// # Errors
    /// There are more than can be classes.
    fn number(&mut self, key: &str, name: &str) -> Result<u32, String> {
        if let Some(number) = self.0.get(name) {
            return Ok(*number);
        }
        if self.0.len() == CLASSES_MAX {
            let name: String = name.chars().take(CLASS_CHARS_SHOWN).collect();
            return Err(format!(
                "`{key}` does not look like a class: with `{name}` the file names more than \
                 {CLASSES_MAX} of them. Write what a picture shows in `label` and `predicted`, and \
                 which picture it is in `path`"
            ));
        }
        let number = self.0.len() as u32;
        self.0.insert(name.to_owned(), number);
        Ok(number)
    }
}

/// Where a picture is to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ui) struct Place {
    /// Its path in the dataset; may be empty.
    pub(in crate::ui) path: Box<str>,
    /// The hash of its file; may be empty.
    pub(in crate::ui) content: Box<str>,
    /// Where prepared data holds it in the split.
    pub(in crate::ui) index: Option<u32>,
}

/// What was said of one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::ui) struct Said {
    /// Its class.
    pub(in crate::ui) label: u32,
    /// What it was taken for.
    pub(in crate::ui) predicted: u32,
    /// The probability of `predicted`.
    pub(in crate::ui) confidence: f32,
    /// That of `label`, if it is known.
    pub(in crate::ui) label_probability: Option<f32>,
}

impl Said {
    /// Was it taken for what it is?
    pub(in crate::ui) fn is_right(&self) -> bool {
        self.label == self.predicted
    }
}

/// The file. Class numbers are indices into `classes`.
#[derive(Debug, Default)]
pub(in crate::ui) struct Predictions {
    /// All classes that are named, sorted.
    pub(in crate::ui) classes: Vec<String>,
    /// The split of the first line; empty if it says none.
    pub(in crate::ui) split: String,
    /// Row by row.
    pub(in crate::ui) said: Vec<Said>,
    /// Row by row.
    pub(in crate::ui) places: Vec<Place>,
    /// Classes and probabilities of all rows, one after the other, and where each row's end.
    scores: Vec<(u32, f32)>,
    ends: Vec<usize>,
}

impl Predictions {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// Says which line is none, and why.
    #[cfg(test)]
    pub(in crate::ui) fn parse(text: &[u8]) -> Result<Self, String> {
        Self::read(Lines::new(text))
    }

    /// Reads the lines of a file.
    ///
    /// # Errors
    /// Says which line is none, and why.
    pub(in crate::ui) fn read(mut lines: Lines<impl BufRead>) -> Result<Self, String> {
        let mut classes = Classes::default();
        let mut read = Self::default();
        while let Some((number, line)) = lines.advance()? {
            let wrong = |problem: String| format!("line {number}: {problem}");
            let line: Line<'_> = serde_json::from_slice(line).map_err(|e| wrong(e.to_string()))?;
            if !(0.0..=1.0).contains(&line.confidence) {
                let confidence = line.confidence;
                return Err(wrong(format!("confidence {confidence} is not in 0..=1")));
            }
            if read.said.len() == ROWS_MAX {
                return Err(format!("it has more than {ROWS_MAX} lines"));
            }
            let knows = !line.probabilities.is_empty();
            let of_label = line.probabilities.get(line.label.as_ref()).copied();
            read.said.push(Said {
                label: classes.number("label", &line.label).map_err(wrong)?,
                predicted: classes
                    .number("predicted", &line.predicted)
                    .map_err(wrong)?,
                confidence: line.confidence as f32,
                // What is left out of known probabilities is zero.
                label_probability: knows.then(|| of_label.unwrap_or(0.0) as f32),
            });
            for (class, probability) in &line.probabilities {
                let class = classes.number("probabilities", class).map_err(wrong)?;
                read.scores.push((class, *probability as f32));
            }
            read.ends.push(read.scores.len());
            if read.split.is_empty() {
                read.split = line.split.into_owned();
            }
            read.places.push(Place {
                path: line.path.into(),
                content: line.content.into(),
                index: line.index,
            });
        }
        read.renumber(classes.0);
        // It is kept for a while.
        read.said.shrink_to_fit();
        read.places.shrink_to_fit();
        read.scores.shrink_to_fit();
        read.ends.shrink_to_fit();
        Ok(read)
    }

    /// Numbers the classes in the order of their names instead of that of their appearance.
    fn renumber(&mut self, known: BTreeMap<String, u32>) {
        let mut new = vec![0; known.len()];
        for (at, old) in known.values().enumerate() {
            new[*old as usize] = at as u32;
        }
        for said in &mut self.said {
            said.label = new[said.label as usize];
            said.predicted = new[said.predicted as usize];
        }
        for (class, _) in &mut self.scores {
            *class = new[*class as usize];
        }
        self.classes = known.into_keys().collect();
    }

    /// Returns the number of pictures.
    pub(in crate::ui) fn len(&self) -> usize {
        self.said.len()
    }

    /// Returns the number of a class.
    pub(in crate::ui) fn class(&self, name: &str) -> Option<u32> {
        let at = self.classes.binary_search_by(|c| c.as_str().cmp(name));
        at.ok().map(|at| at as u32)
    }

    /// Returns the name of a class.
    pub(in crate::ui) fn name(&self, class: u32) -> &str {
        self.classes.get(class as usize).map_or("", String::as_str)
    }

    /// Returns classes and probabilities of a row, as far as the file says them.
    pub(in crate::ui) fn scores(&self, row: usize) -> &[(u32, f32)] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.scores[start..self.ends[row]]
    }

    /// Returns each row's probability of `class`; `None` if the file says no probabilities.
    pub(in crate::ui) fn scores_of(&self, class: u32) -> Option<Vec<f32>> {
        if self.scores.is_empty() {
            return None;
        }
        let of_row = |row| {
            let scores = self.scores(row);
            scores
                .iter()
                .find(|(c, _)| *c == class)
                .map_or(0.0, |s| s.1)
        };
        Some((0..self.len()).map(of_row).collect())
    }
}

impl Weighed for Predictions {
    fn bytes(&self) -> usize {
        let classes = self.classes.iter().map(|name| heap_bytes(name));
        let places = self.places.iter();
        let places = places.map(|place| heap_bytes(&place.path) + heap_bytes(&place.content));
        classes.chain(places).sum::<usize>()
            + self.said.len() * size_of::<Said>()
            + self.places.len() * size_of::<Place>()
            + self.scores.len() * size_of::<(u32, f32)>()
            + self.ends.len() * size_of::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_becomes_columns() {
        let text = br#"{"split":"test","index":0,"path":"b/1.png","content":"c0","label":"b","predicted":"a","confidence":0.75,"probabilities":{"a":0.75,"b":0.2,"c":0.05}}
{"split":"test","index":1,"path":"a/2.png","content":"c1","label":"a","predicted":"a","confidence":1.0,"probabilities":{"a":1.0}}

"#;
        let read = Predictions::parse(text).unwrap();
        assert_eq!((read.len(), read.split.as_str()), (2, "test"));
        assert_eq!(read.classes, ["a", "b", "c"]);
        assert_eq!(
            read.said[0],
            Said {
                label: 1,
                predicted: 0,
                confidence: 0.75,
                label_probability: Some(0.2),
            }
        );
        assert!(read.said[1].is_right() && !read.said[0].is_right());
        assert_eq!(read.scores(1), [(0, 1.0)]);
        assert_eq!(read.scores_of(1), Some(vec![0.2, 0.0]));
        assert_eq!(
            (read.class("c"), read.class("d"), read.name(2)),
            (Some(2), None, "c")
        );
        assert_eq!(read.places[1].index, Some(1));
    }

    #[test]
    fn names_of_files_are_no_classes() {
        let line = |label: String| {
            format!("{{\"label\":\"{label}\",\"predicted\":\"c0\",\"confidence\":1}}\n")
        };
        let mut text: String = (0..CLASSES_MAX).map(|n| line(format!("c{n}"))).collect();
        let read = Predictions::parse(text.as_bytes()).unwrap();
        assert_eq!(read.classes.len(), CLASSES_MAX);
        text += &line("x".repeat(999));
        let said = Predictions::parse(text.as_bytes()).unwrap_err();
        assert!(
            said.starts_with("line 2001: `label` does not look like a class: with `xxx"),
            "{said}"
        );
        assert!(said.len() < 300, "{said}");
    }

    #[test]
    fn three_keys_are_enough_and_nonsense_is_named() {
        let read =
            Predictions::parse(br#"{"label":"x","predicted":"y","confidence":0.5}"#).unwrap();
        assert_eq!(
            (read.said[0].label_probability, read.scores_of(0)),
            (None, None)
        );
        assert_eq!(Predictions::parse(b"").unwrap().len(), 0);
        assert!((60..300).contains(&read.bytes()), "{}", read.bytes());
        for (text, problem) in [
            ("\n{}", "line 2: missing field `label` at line 1 column 2"),
            ("[1", "line 1: "),
            (
                r#"{"label":"x","predicted":"y","confidence":1.5}"#,
                "line 1: confidence 1.5 is not in 0..=1",
            ),
        ] {
            let said = Predictions::parse(text.as_bytes()).unwrap_err();
            assert!(said.starts_with(problem), "{said}");
        }
    }
}

//! The member `data` of a tensor: numbers or texts, flat or in nested lists, read into one block
//! without a tree of values in between. Imports: serde, `serve::{config, tensor}`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use crate::serve::config::BATCH_ITEMS_MAX;
use crate::serve::tensor::Reader;

/// What stands in `data`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Data<'b> {
    /// Lengths of its lists, the outermost first.
    pub(super) shape: Vec<usize>,
    pub(super) elements: Elements<'b>,
}

/// What stands in the innermost lists, last dimension fastest.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Elements<'b> {
    /// Numbers, or nothing.
    Numbers(Vec<f32>),
    Texts(Vec<Cow<'b, str>>),
}

impl Default for Elements<'_> {
    fn default() -> Self {
        Self::Numbers(Vec::new())
    }
}

impl Elements<'_> {
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
        }
    }
}

impl<'de: 'b, 'b> Deserialize<'de> for Data<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut found = Found::default();
        Level {
            found: &mut found,
            depth: 0,
        }
        .deserialize(deserializer)?;
        let tensor = found.reader.finish();
        Ok(Self {
            shape: tensor.shape,
            elements: if found.texts.is_empty() {
                Elements::Numbers(tensor.values)
            } else {
                Elements::Texts(found.texts)
            },
        })
    }
}

/// What is known so far.
#[derive(Default)]
struct Found<'b> {
    reader: Reader,
    texts: Vec<Cow<'b, str>>,
    has_numbers: bool,
}

/// Reads what stands at one depth.
struct Level<'f, 'b> {
    found: &'f mut Found<'b>,
    depth: usize,
}

impl<'de: 'b, 'b> DeserializeSeed<'de> for Level<'_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'b> Level<'_, 'b> {
    fn number<E: Error>(self, value: f32) -> Result<(), E> {
        if !self.found.texts.is_empty() {
            return Err(E::custom("numbers and texts are mixed"));
        }
        self.found.has_numbers = true;
        self.found.reader.number(self.depth, value)
    }

    fn text<E: Error>(self, text: Cow<'b, str>) -> Result<(), E> {
        if self.found.has_numbers {
            return Err(E::custom("numbers and texts are mixed"));
        }
        // Each is a picture.
        if self.found.texts.len() == BATCH_ITEMS_MAX {
            return Err(E::custom(format_args!(
                "a tensor has more than {BATCH_ITEMS_MAX} texts"
            )));
        }
        self.found.reader.leaf(self.depth)?;
        self.found.texts.push(text);
        Ok(())
    }
}

impl<'de: 'b, 'b> Visitor<'de> for Level<'_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers or texts")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(value as f32)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value as f32)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value as f32)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.text(text.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.text(text.to_owned().into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { found, depth } = self;
        found.reader.enter::<A::Error>(depth)?;
        let mut count = 0;
        loop {
            let level = Level {
                found: &mut *found,
                depth: depth + 1,
            };
            if items.next_element_seed(level)?.is_none() {
                break;
            }
            count += 1;
        }
        found.reader.leave(depth, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_in_lists() {
        let read = |json: &'static str| serde_json::from_str::<Data<'_>>(json);
        let numbers = |numbers: &[f32]| Elements::Numbers(numbers.to_vec());
        let texts = |texts: &[&'static str]| {
            Elements::Texts(texts.iter().map(|text| Cow::Borrowed(*text)).collect())
        };
        for (json, shape, elements) in [
            ("[1, -2.5, 3e0]", vec![3], numbers(&[1.0, -2.5, 3.0])),
            ("[[1], [2]]", vec![2, 1], numbers(&[1.0, 2.0])),
            ("[\"a\", \"b\\n\"]", vec![2], texts(&["a", "b\n"])),
            ("[[\"a\"], [\"\"]]", vec![2, 1], texts(&["a", ""])),
            ("[]", vec![0], numbers(&[])),
            ("[[], []]", vec![2, 0], numbers(&[])),
            ("7", vec![], numbers(&[7.0])),
        ] {
            let data = read(json).unwrap();
            assert_eq!((data.shape, data.elements), (shape, elements), "{json}");
        }
        for (json, part) in [
            ("[1, \"a\"]", "numbers and texts are mixed"),
            ("[\"a\", 1]", "numbers and texts are mixed"),
            ("[\"a\", [\"b\"]]", "mixed"),
            ("[[\"a\"], \"b\"]", "mixed"),
            ("[[1], [2, 3]]", "different lengths"),
            ("[true]", "expected a list of numbers or texts"),
            ("{}", "expected a list of numbers or texts"),
            ("[null]", "expected a list of numbers or texts"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}

//! Nested lists of numbers in JSON as one block of values with a shape, without a tree in between.
//! Imports: serde.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};

/// Deeper lists are no tensor that anybody means.
const DIMENSIONS_MAX: usize = 8;

/// Numbers in row-major order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tensor {
    /// Length of each dimension, the outermost first.
    pub(super) shape: Vec<usize>,
    /// The values, last dimension fastest.
    pub(super) values: Vec<f32>,
}

impl<'de> serde::Deserialize<'de> for Tensor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut reader = Reader::default();
        Level {
            reader: &mut reader,
            depth: 0,
        }
        .deserialize(deserializer)?;
        Ok(Self {
            shape: reader
                .shape
                .into_iter()
                .map(Option::unwrap_or_default)
                .collect(),
            values: reader.values,
        })
    }
}

/// What is known so far.
#[derive(Default)]
struct Reader {
    /// Lengths of lists at each depth, known when the first one has ended.
    shape: Vec<Option<usize>>,
    /// Depth at which numbers stand.
    rank: Option<usize>,
    values: Vec<f32>,
}

/// Reads what stands at one depth.
struct Level<'r> {
    reader: &'r mut Reader,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Level<'_> {
    fn number<E: serde::de::Error>(self, value: f32) -> Result<(), E> {
        if *self.reader.rank.get_or_insert(self.depth) != self.depth {
            return Err(E::custom("numbers and lists are mixed"));
        }
        self.reader.values.push(value);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a list of numbers")
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.number(value as f32)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.number(value as f32)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.number(value as f32)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { reader, depth } = self;
        if depth == DIMENSIONS_MAX || reader.rank.is_some_and(|rank| rank <= depth) {
            return Err(A::Error::custom(
                "numbers and lists are mixed, or nested too deeply",
            ));
        }
        if reader.shape.len() == depth {
            reader.shape.push(None);
        }
        let mut count = 0;
        loop {
            let level = Level {
                reader: &mut *reader,
                depth: depth + 1,
            };
            if items.next_element_seed(level)?.is_none() {
                break;
            }
            count += 1;
        }
        let expected = *reader.shape[depth].get_or_insert(count);
        if expected != count {
            return Err(A::Error::custom(format_args!(
                "lists of one depth have different lengths: {expected} and {count}"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_values() {
        let read = |text: &str| {
            serde_json::from_str::<Tensor>(text)
                .map(|t| (t.shape, t.values))
                .map_err(|e| e.to_string())
        };
        assert_eq!(
            read("[[1, 2.5, -3], [0, 1e-1, 5]]"),
            Ok((vec![2, 3], vec![1.0, 2.5, -3.0, 0.0, 0.1, 5.0]))
        );
        assert_eq!(read("7"), Ok((vec![], vec![7.0])));
        assert_eq!(read("[]"), Ok((vec![0], vec![])));
        assert_eq!(read("[[], []]"), Ok((vec![2, 0], vec![])));
        for (bad, part) in [
            ("[[1], [1, 2]]", "different lengths: 1 and 2"),
            ("[1, [2]]", "mixed"),
            ("[[2], 1]", "mixed"),
            ("[\"a\"]", "expected a number or a list of numbers"),
            ("[null]", "expected a number"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(part), "{bad}: {error}");
        }
        let deep = "[".repeat(20) + &"]".repeat(20);
        assert!(read(&deep).is_err());
    }
}

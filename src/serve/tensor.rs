//! Pictures as numbers: nested lists in JSON as one block of values with a shape, without a tree in
//! between, and the body of `/predict/model`. Imports: serde, vision, `serve::{envelope, refusal}`.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::{Value, json};

use crate::vision::image::Target;

use super::envelope;
use super::refusal::{FieldProblem, Refusal};

/// Deeper lists are no tensor that anybody means.
const DIMENSIONS_MAX: usize = 8;
/// The only signature of `/predict/model`.
const SIGNATURE: &str = "serving_default";
/// How far a value may lie outside 0..=1: resampling with a sharp filter overshoots a little.
const OVERSHOOT: f32 = 0.1;
/// No more than this of a parser's words is repeated.
const WORDS_MAX: usize = 200;

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
        Ok(reader.finish())
    }
}

/// What is known so far of a tensor. Whoever meets its lists and numbers reports them.
#[derive(Default)]
pub(super) struct Reader {
    /// Lengths of lists at each depth, known when the first one has ended.
    shape: Vec<Option<usize>>,
    /// Depth at which numbers stand.
    rank: Option<usize>,
    values: Vec<f32>,
}

impl Reader {
    /// A list begins at `depth`.
    pub(super) fn enter<E: serde::de::Error>(&mut self, depth: usize) -> Result<(), E> {
        if depth == DIMENSIONS_MAX || self.rank.is_some_and(|rank| rank <= depth) {
            return Err(E::custom(
                "numbers and lists are mixed, or nested too deeply",
            ));
        }
        if self.shape.len() == depth {
            self.shape.push(None);
        }
        Ok(())
    }

    /// The list at `depth` ends after `count` items.
    pub(super) fn leave<E: serde::de::Error>(
        &mut self,
        depth: usize,
        count: usize,
    ) -> Result<(), E> {
        let expected = *self.shape[depth].get_or_insert(count);
        if expected != count {
            return Err(E::custom(format_args!(
                "lists of one depth have different lengths: {expected} and {count}"
            )));
        }
        Ok(())
    }

    /// A number stands at `depth`.
    pub(super) fn number<E: serde::de::Error>(
        &mut self,
        depth: usize,
        value: f32,
    ) -> Result<(), E> {
        self.leaf(depth)?;
        self.values.push(value);
        Ok(())
    }

    /// Something that is no list stands at `depth`.
    pub(super) fn leaf<E: serde::de::Error>(&mut self, depth: usize) -> Result<(), E> {
        if *self.rank.get_or_insert(depth) != depth || depth < self.shape.len() {
            return Err(E::custom("numbers and lists are mixed"));
        }
        Ok(())
    }

    /// Have numbers been met, or lists below the outermost?
    pub(super) fn holds_more_than_a_list(&self) -> bool {
        self.rank.is_some() || 1 < self.shape.len()
    }

    /// Returns the tensor.
    pub(super) fn finish(self) -> Tensor {
        Tensor {
            shape: self
                .shape
                .into_iter()
                .map(Option::unwrap_or_default)
                .collect(),
            values: self.values,
        }
    }
}

/// Reads what stands at one depth.
pub(super) struct Level<'r> {
    pub(super) reader: &'r mut Reader,
    pub(super) depth: usize,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a list of numbers")
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.reader.number(self.depth, value as f32)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.reader.number(self.depth, value as f32)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.reader.number(self.depth, value as f32)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { reader, depth } = self;
        reader.enter::<A::Error>(depth)?;
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
        reader.leave(depth, count)
    }
}

#[derive(Deserialize)]
struct TensorRequest {
    signature_name: Option<String>,
    data: Tensor,
}

/// Reads `{"signature_name": …, "data": [pictures][height][width][channels]}`, values 0..=1, of at most
/// `pictures_max` pictures.
pub(super) fn read(
    body: &[u8],
    target: &Target,
    pictures_max: usize,
) -> Result<Vec<Vec<f32>>, Refusal> {
    let invalid = |kind, key: &str, msg: String, input: &Value| {
        let loc = [json!("body"), json!(key)];
        Refusal::invalid(vec![FieldProblem::new(kind, loc, msg, input)])
    };
    let request: TensorRequest = serde_json::from_slice(body).map_err(|error| {
        let words: String = error.to_string().chars().take(WORDS_MAX).collect();
        if !error.is_data() {
            envelope::json_invalid(body, &error)
        } else if words.starts_with("missing field `data`") {
            Refusal::invalid(vec![FieldProblem::missing([json!("body"), json!("data")])])
        } else {
            invalid("value_error", "data", words, &Value::Null)
        }
    })?;
    if let Some(name) = request.signature_name
        && name != SIGNATURE
    {
        let msg = format!("Input should be '{SIGNATURE}'");
        return Err(invalid(
            "literal_error",
            "signature_name",
            msg,
            &json!(name),
        ));
    }
    let Tensor { shape, values } = request.data;
    let one = [
        target.height as usize,
        target.width as usize,
        target.channels.count(),
    ];
    let is_empty = shape == [0];
    if !is_empty && (shape.len() != 4 || shape[1..] != one) {
        let [height, width, channels] = one;
        let msg = format!(
            "Expected the shape [n, {height}, {width}, {channels}] (pictures, height, width, channels), found {shape:?}"
        );
        return Err(invalid("shape", "data", msg, &json!(shape)));
    }
    // Before they are copied, picture by picture.
    envelope::require_count(shape[0], pictures_max)?;
    if let Some(value) = values
        .iter()
        .find(|v| !(-OVERSHOOT..=1.0 + OVERSHOOT).contains(*v))
    {
        let msg = "Values should be between 0 and 1: divide pixels by 255".to_owned();
        return Err(invalid("value_range", "data", msg, &json!(value)));
    }
    let pictures = values.chunks_exact(target.image_len());
    Ok(pictures.map(<[f32]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vision::image::{Channels, Filter};

    proptest! {
        #[test]
        fn any_bytes_are_pictures_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            text in r#"\{"data": [\[\]\{\}",:0-9.eE+-]{0,60}\}?"#,
        ) {
            for body in [bytes.as_slice(), text.as_bytes()] {
                match read(body, &TARGET, 9) {
                    Ok(pictures) => prop_assert!(pictures.iter().all(|one| one.len() == 2)),
                    Err(refusal) => prop_assert!(refusal.is_clients()),
                }
            }
        }

        #[test]
        fn pictures_come_out_as_they_went_in(
            pictures in prop::collection::vec(prop::array::uniform2(0.0_f32..=1.0), 0..5),
        ) {
            let nested: Vec<_> = pictures.iter().map(|[a, b]| json!([[[a], [b]]])).collect();
            let body = json!({"signature_name": SIGNATURE, "data": nested}).to_string();
            let pictures: Vec<Vec<f32>> = pictures.into_iter().map(Vec::from).collect();
            prop_assert_eq!(read(body.as_bytes(), &TARGET, 9), Ok(pictures));
        }
    }

    const TARGET: Target = Target {
        height: 1,
        width: 2,
        channels: Channels::Grey,
        filter: Filter::Bilinear,
        background: [255; 3],
    };

    #[test]
    fn tensors_have_the_shape_and_the_range_of_the_model() {
        let read = |body: &[u8]| read(body, &TARGET, 2);
        let pictures = read(br#"{"data": [[[[0.5], [1]]], [[[0], [0]]]]}"#).unwrap();
        assert_eq!(pictures, [[0.5, 1.0], [0.0, 0.0]]);
        assert_eq!(read(br#"{"data": []}"#), Ok(vec![]));
        let one = "[[[0], [0]]]";
        let three = format!("{{\"data\": [{one}, {one}, {one}]}}");
        let refusal = read(three.as_bytes()).unwrap_err();
        assert_eq!(refusal.code, "too_many_images");
        for (body, kind, part) in [
            ("{}", "missing", "Field required"),
            ("{\"data\": [[[[1]]]]}", "shape", "[n, 1, 2, 1]"),
            (
                "{\"data\": [[[[1], [2, 3]]]]}",
                "value_error",
                "different lengths",
            ),
            (
                "{\"data\": [[[[1], [255]]]]}",
                "value_range",
                "divide pixels by 255",
            ),
            ("{\"data\": \"x\"}", "value_error", "expected a number"),
            ("{\"data\": ", "json_invalid", "JSON decode error"),
            (
                "{\"signature_name\": \"x\", \"data\": []}",
                "literal_error",
                "serving_default",
            ),
        ] {
            let refusal = read(body.as_bytes()).unwrap_err();
            let detail = &refusal.item()["detail"][0];
            assert_eq!(detail["type"], kind, "{body}");
            assert!(detail["msg"].as_str().unwrap().contains(part), "{detail}");
        }
    }

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

//! The inputs of a JSON body in the row and column forms of TensorFlow Serving, which MLflow took
//! over: numbers in nested lists, or encoded pictures as `{"b64": "…"}`, named or not. Read in one
//! pass, without a tree in between. Imports: serde, bytes, `serve::{config, envelope, tensor}`,
//! `protocol::given`.

use std::fmt;

use bytes::Bytes;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::serve::config::BATCH_ITEMS_MAX;
use crate::serve::envelope;
use crate::serve::tensor::{Level, Reader};

use super::given::Given;
use super::words::shown;

/// The input's name; the second one is that of encoded pictures.
pub(super) const NAMES: [&str; 2] = ["image", "image_bytes"];
/// The key of an encoded picture.
const B64: &str = "b64";

/// What a text among the inputs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    /// An encoded picture, in base64.
    Pictures,
    /// A mistake: pictures are sent as `{"b64": …}`.
    Refused,
}

/// How inputs are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A list with an element per picture, each of which may name its input.
    Rows,
    /// All pictures as one value, which may be named.
    Columns,
}

/// Reads one value as inputs of `form`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs {
    pub(super) form: Form,
    pub(super) texts: Texts,
}

impl<'de> DeserializeSeed<'de> for Inputs {
    type Value = Given;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Given, D::Error> {
        let mut gathered = Gathered::new(self.texts);
        let place = match self.form {
            Form::Rows => Place::Rows,
            Form::Columns => Place::Columns,
        };
        gathered.at(place).deserialize(deserializer)?;
        gathered.finish()
    }
}

/// What is known so far.
pub(super) struct Gathered {
    reader: Reader,
    /// The first ones: nobody may send more than `BATCH_ITEMS_MAX`, and what is kept of each, or said
    /// about it, takes many times the memory of a short text.
    files: Vec<Result<Bytes, String>>,
    /// How many there are in all.
    count: usize,
    texts: Texts,
}

/// Where a value stands, and so what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The list of all rows.
    Rows,
    /// The value of all pictures, or the name before it.
    Columns,
    /// The same after its name.
    Column,
    /// A row, or the name before it.
    Row,
    /// One picture.
    Cell,
}

impl Place {
    /// How many lists stand around it.
    fn depth(self) -> usize {
        match self {
            Self::Rows | Self::Columns | Self::Column => 0,
            Self::Row | Self::Cell => 1,
        }
    }

    /// What stands after a name, if one may stand here.
    fn named(self) -> Option<Self> {
        match self {
            Self::Columns => Some(Self::Column),
            Self::Row => Some(Self::Cell),
            Self::Rows | Self::Column | Self::Cell => None,
        }
    }

    /// What the elements of a list here are; numbers, if it is one picture.
    fn item(self) -> Option<Self> {
        match self {
            Self::Rows => Some(Self::Row),
            Self::Columns | Self::Column => Some(Self::Cell),
            Self::Row | Self::Cell => None,
        }
    }
}

impl Gathered {
    pub(super) fn new(texts: Texts) -> Self {
        Self {
            reader: Reader::default(),
            files: Vec::new(),
            count: 0,
            texts,
        }
    }

    /// Reads what stands at `place`.
    pub(super) fn at(&mut self, place: Place) -> At<'_> {
        At {
            gathered: self,
            place,
        }
    }

    /// A list of pictures begins.
    pub(super) fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.reader.enter(0)
    }

    /// The list of pictures ends after `count`.
    pub(super) fn leave<E: serde::de::Error>(&mut self, count: usize) -> Result<(), E> {
        self.reader.leave(0, count)
    }

    /// A picture in base64.
    pub(super) fn picture(&mut self, text: &str) {
        self.count += 1;
        if self.count <= BATCH_ITEMS_MAX {
            self.files
                .push(envelope::base64_bytes(text).map(Bytes::from));
        }
    }

    /// Returns all of it.
    pub(super) fn finish<E: serde::de::Error>(self) -> Result<Given, E> {
        if self.files.is_empty() {
            return Ok(Given::Numbers(self.reader.finish()));
        }
        if self.reader.holds_more_than_a_list() {
            return Err(E::custom("numbers and encoded pictures are mixed"));
        }
        if BATCH_ITEMS_MAX < self.count {
            return Ok(Given::TooMany(self.count));
        }
        Ok(Given::Files(self.files))
    }
}

/// Reads what stands at one place.
pub(super) struct At<'g> {
    gathered: &'g mut Gathered,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'g> At<'g> {
    /// The same place as the tensor's reader knows it.
    fn level(self) -> Result<Level<'g>, &'static str> {
        if self.place == Place::Rows {
            return Err("expected a list of inputs, one for each picture");
        }
        Ok(Level {
            depth: self.place.depth(),
            reader: &mut self.gathered.reader,
        })
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers in nested lists, or an encoded picture")
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.level().map_err(E::custom)?.visit_f64(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.level().map_err(E::custom)?.visit_u64(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.level().map_err(E::custom)?.visit_i64(value)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        match (self.gathered.texts, self.place) {
            (Texts::Pictures, Place::Columns | Place::Column | Place::Row | Place::Cell) => {
                self.gathered.picture(text);
                Ok(())
            }
            (Texts::Pictures, Place::Rows) => {
                Err(E::custom("expected a list of inputs, one for each picture"))
            }
            (Texts::Refused, _) => Err(E::custom(
                "a text is no input: an encoded picture is sent as {\"b64\": \"BASE64\"}",
            )),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some(item) = self.place.item() else {
            return self.level().map_err(A::Error::custom)?.visit_seq(items);
        };
        let gathered = self.gathered;
        gathered.enter::<A::Error>()?;
        let mut count = 0;
        while items.next_element_seed(gathered.at(item))?.is_some() {
            count += 1;
        }
        gathered.leave(count)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let place = self.place;
        if place == Place::Rows {
            return Err(A::Error::custom(
                "expected a list of inputs, one for each picture",
            ));
        }
        let Some(key) = members.next_key::<Key>()? else {
            return Err(A::Error::custom(
                "an empty object is no input: `image` is missing",
            ));
        };
        match (key, place.named()) {
            (Key::B64, _) => members.next_value_seed(Picture(self.gathered))?,
            (Key::Name, Some(named)) => members.next_value_seed(self.gathered.at(named))?,
            (Key::Name, None) => {
                return Err(A::Error::custom("an input is named twice"));
            }
            (Key::Other(name), _) => {
                return Err(A::Error::custom(format_args!(
                    "unexpected input `{name}`: the model takes `image`, numbers or {{\"b64\": \"BASE64\"}}"
                )));
            }
        }
        if members.next_key::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom(
                "more than one input for a picture: the model takes `image` alone",
            ));
        }
        Ok(())
    }
}

/// A key of an object among the inputs.
enum Key {
    B64,
    Name,
    Other(String),
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;

        impl Visitor<'_> for Reading {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Key, E> {
                Ok(if key == B64 {
                    Key::B64
                } else if NAMES.contains(&key) {
                    Key::Name
                } else {
                    Key::Other(shown(key).into_owned())
                })
            }
        }

        deserializer.deserialize_str(Reading)
    }
}

/// Reads the text of an encoded picture.
struct Picture<'g>(&'g mut Gathered);

impl<'de> DeserializeSeed<'de> for Picture<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Picture<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a picture in base64")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.0.picture(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::serve::tensor::Tensor;

    fn read(form: Form, texts: Texts, body: &str) -> Result<Given, String> {
        let mut deserializer = serde_json::Deserializer::from_str(body);
        let inputs = Inputs { form, texts };
        let given = inputs.deserialize(&mut deserializer);
        given.map_err(|e| e.to_string())
    }

    fn numbers(shape: &[usize], values: &[f32]) -> Given {
        Given::Numbers(Tensor {
            shape: shape.to_vec(),
            values: values.to_vec(),
        })
    }

    fn files(files: &[&'static str]) -> Given {
        let file = |text: &&'static str| Ok(Bytes::from_static(text.as_bytes()));
        Given::Files(files.iter().map(file).collect())
    }

    const FORMS: [Form; 2] = [Form::Rows, Form::Columns];

    proptest! {
        #[test]
        fn any_text_is_inputs_or_an_error(
            text in r#"[\[\]\{\}",:0-9.eE-]{0,60}"#,
            named in r#"\{"(image|image_bytes|b64|x)":[\[\]\{\}",:a-z0-9]{0,30}\}"#,
        ) {
            for body in [&text, &named, &format!("[{named}]")] {
                for form in FORMS {
                    for texts in [Texts::Pictures, Texts::Refused] {
                        let _ = read(form, texts, body);
                    }
                }
            }
        }

        #[test]
        fn inputs_come_out_as_they_went_in(
            values in prop::collection::vec(prop::array::uniform3(-1e30_f32..1e30), 1..5),
            files in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5),
        ) {
            let plain = json!(values).to_string();
            let rows: Vec<_> = values.iter().map(|row| json!({"image": row})).collect();
            let expected: Result<Given, String> = Ok(numbers(&[values.len(), 3], &values.concat()));
            prop_assert_eq!(read(Form::Rows, Texts::Refused, &plain), expected.clone());
            prop_assert_eq!(read(Form::Columns, Texts::Refused, &plain), expected.clone());
            prop_assert_eq!(read(Form::Rows, Texts::Refused, &json!(rows).to_string()), expected);

            let texts: Vec<String> = files.iter().map(|file| STANDARD.encode(file)).collect();
            let objects: Vec<_> = texts.iter().map(|text| json!({"b64": text})).collect();
            let files = files.into_iter().map(|file| Ok(file.into())).collect();
            let expected: Result<Given, String> = Ok(Given::Files(files));
            for form in FORMS {
                let body = json!(objects).to_string();
                prop_assert_eq!(read(form, Texts::Refused, &body), expected.clone());
                let body = json!(texts).to_string();
                prop_assert_eq!(read(form, Texts::Pictures, &body), expected.clone());
            }
        }
    }

    #[test]
    fn rows_and_columns_named_and_not() {
        for (form, body, expected) in [
            (
                Form::Rows,
                "[[1, 2], [3, 4]]",
                numbers(&[2, 2], &[1.0, 2.0, 3.0, 4.0]),
            ),
            (Form::Rows, "[1, 2]", numbers(&[2], &[1.0, 2.0])),
            (Form::Rows, "[]", numbers(&[0], &[])),
            (
                Form::Rows,
                r#"[{"image": [1]}, {"image": [2]}]"#,
                numbers(&[2, 1], &[1.0, 2.0]),
            ),
            (
                Form::Rows,
                r#"[{"image": [1]}, [2]]"#,
                numbers(&[2, 1], &[1.0, 2.0]),
            ),
            (
                Form::Rows,
                r#"[{"b64": "aGk="}, {"image_bytes": {"b64": "aG8"}}]"#,
                files(&["hi", "ho"]),
            ),
            (
                Form::Rows,
                r#"[{"image": {"b64": "aGk="}}]"#,
                files(&["hi"]),
            ),
            (Form::Columns, "[[1], [2]]", numbers(&[2, 1], &[1.0, 2.0])),
            (Form::Columns, "7", numbers(&[], &[7.0])),
            (
                Form::Columns,
                r#"{"image": [[1], [2]]}"#,
                numbers(&[2, 1], &[1.0, 2.0]),
            ),
            (
                Form::Columns,
                r#"{"image_bytes": [{"b64": "aGk="}, {"b64": "aG8="}]}"#,
                files(&["hi", "ho"]),
            ),
            (Form::Columns, r#"{"b64": "aGk="}"#, files(&["hi"])),
        ] {
            assert_eq!(read(form, Texts::Refused, body), Ok(expected), "{body}");
        }
        let texts = r#"["aGk=", "aG8="]"#;
        assert_eq!(
            read(Form::Rows, Texts::Pictures, texts),
            Ok(files(&["hi", "ho"]))
        );
        assert_eq!(
            read(Form::Columns, Texts::Pictures, texts),
            Ok(files(&["hi", "ho"]))
        );
    }

    #[test]
    fn what_is_no_base64_is_the_problem_of_that_picture() {
        let given = read(
            Form::Rows,
            Texts::Refused,
            r#"[{"b64": "?"}, {"b64": "aGk="}]"#,
        );
        let Ok(Given::Files(files)) = given else {
            panic!("{given:?}");
        };
        assert!(files[0].as_ref().unwrap_err().contains("not valid base64"));
        assert_eq!(files[1], Ok(Bytes::from_static(b"hi")));
    }

    #[test]
    fn a_body_full_of_short_texts_is_only_counted() {
        let most = BATCH_ITEMS_MAX;
        for (form, kind, one) in [
            (Form::Columns, Texts::Pictures, "\"?\""),
            (Form::Rows, Texts::Refused, r#"{"b64": "?"}"#),
        ] {
            let body = |count: usize| format!("[{}]", vec![one; count].join(","));
            let all = read(form, kind, &body(most));
            assert!(matches!(&all, Ok(Given::Files(files)) if files.len() == most));
            let more = most + 7;
            assert_eq!(read(form, kind, &body(more)), Ok(Given::TooMany(more)));
        }
    }

    #[test]
    fn problems_are_named() {
        for (form, body, part) in [
            (Form::Rows, "3", "expected a list of inputs"),
            (Form::Rows, "{}", "expected a list of inputs"),
            (Form::Rows, "[null]", "invalid type: null"),
            (Form::Rows, "[{}]", "`image` is missing"),
            (
                Form::Rows,
                r#"[{"pixels": [1]}]"#,
                "unexpected input `pixels`",
            ),
            (Form::Rows, r#"[{"image": {"image": [1]}}]"#, "named twice"),
            (
                Form::Rows,
                r#"[{"image": [1], "mask": [1]}]"#,
                "more than one input",
            ),
            (
                Form::Rows,
                r#"[{"b64": "", "image": 1}]"#,
                "more than one input",
            ),
            (
                Form::Rows,
                r#"[{"b64": 1}]"#,
                "expected a picture in base64",
            ),
            (Form::Rows, r#"["aGk="]"#, "a text is no input"),
            (Form::Rows, r#"[[1], {"b64": ""}]"#, "mixed"),
            (Form::Rows, r#"[[], {"b64": ""}]"#, "mixed"),
            (Form::Rows, r#"[[1], 2]"#, "mixed"),
            (Form::Rows, r#"[[], 2]"#, "mixed"),
            (
                Form::Rows,
                r#"[[{"b64": ""}]]"#,
                "expected a number or a list of numbers",
            ),
            (Form::Rows, "[[1], [1, 2]]", "different lengths: 1 and 2"),
            (Form::Columns, r#"[{"image": [1]}]"#, "named twice"),
            (Form::Columns, r#"{"x": [1]}"#, "unexpected input `x`"),
        ] {
            let error = read(form, Texts::Refused, body).unwrap_err();
            assert!(error.contains(part), "{body}: {error}");
        }
    }
}

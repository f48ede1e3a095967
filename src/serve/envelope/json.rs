//! Pictures as base64 in JSON: one, several, or one in each line. Imports: serde, `serve::{config, refusal}`,
//! `envelope::encoded`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::{Value, json};

use crate::serve::config::BATCH_ITEMS_MAX;
use crate::serve::refusal::{Detail, FieldProblem, Refusal};

use super::encoded::base64_bytes;
use super::require_count;

/// Larger JSON bodies are not explained in detail when they have another form than expected.
const EXPLAINED_BYTES_MAX: usize = 64 << 10;

/// Returns the bytes of the one picture of a JSON body.
pub(in crate::serve) fn json_one(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    match serde_json::from_slice::<OneImage<'_>>(body) {
        Ok(one) => base64_bytes(&one.image).map_err(|problem| {
            let loc = [json!("body"), json!("image")];
            Refusal::invalid(vec![bad_base64(loc, &problem)])
        }),
        Err(_) => Err(explain(body, "image", |image, loc| {
            let msg = "Input should be a valid string";
            (!image.is_string()).then(|| FieldProblem::new("string_type", loc, msg, image))
        })),
    }
}

/// Returns the bytes of the pictures of a JSON body, if they are not more than `pictures_max`; what is
/// no base64 is a problem of that picture.
pub(in crate::serve) fn json_many(
    body: &[u8],
    pictures_max: usize,
) -> Result<Vec<Result<Vec<u8>, Refusal>>, Refusal> {
    let Ok(many) = serde_json::from_slice::<ManyImages<'_>>(body) else {
        return Err(explain(body, "images", |images, loc| {
            let Some(items) = images.as_array() else {
                let msg = "Input should be a valid list";
                return Some(FieldProblem::new("list_type", loc, msg, images));
            };
            let position = items.iter().position(|item| !item.is_string())?;
            let loc = loc.into_iter().chain([json!(position)]);
            let msg = "Input should be a valid string";
            Some(FieldProblem::new("string_type", loc, msg, &items[position]))
        }));
    };
    if many.images.count == 0 {
        let loc = [json!("body"), json!("images")];
        let msg = "List should have at least 1 item after validation, not 0";
        let problem = FieldProblem::new("too_short", loc, msg, &json!([]));
        return Err(Refusal::invalid(vec![problem]));
    }
    // Before anything is made of them: a refusal takes many times the memory of a short text.
    require_count(many.images.count, pictures_max)?;
    let decode = |(i, text): (usize, &Cow<'_, str>)| {
        base64_bytes(text).map_err(|problem| {
            let loc = [json!("body"), json!("images"), json!(i)];
            Refusal::invalid(vec![bad_base64(loc, &problem)])
        })
    };
    Ok(many.images.kept.iter().enumerate().map(decode).collect())
}

/// Returns the bytes of the pictures of a body with one JSON document in each line; a line that cannot
/// be read is a problem of that picture. Empty lines are passed over.
pub(in crate::serve) fn json_lines(
    body: &[u8],
    pictures_max: usize,
) -> Result<Vec<Result<Vec<u8>, Refusal>>, Refusal> {
    let lines = body.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    match lines.clone().count() {
        0 => {
            let msg = "The body should have at least 1 line, not 0";
            let problem = FieldProblem::new("too_short", [json!("body")], msg, &Value::Null);
            return Err(Refusal::invalid(vec![problem]));
        }
        count => require_count(count, pictures_max)?,
    }
    let read = |(i, line): (usize, &[u8])| {
        json_one(line).map_err(|mut refusal| {
            if let Detail::Fields(problems) = &mut refusal.detail {
                for problem in problems {
                    problem.loc.insert(1, json!(i));
                }
            }
            refusal
        })
    };
    Ok(lines.enumerate().map(read).collect())
}

/// Says where a body stops being JSON.
pub(in crate::serve) fn json_invalid(body: &[u8], error: &serde_json::Error) -> Refusal {
    let lines = body.split_inclusive(|&b| b == b'\n');
    let before: usize = lines
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let offset = before + error.column().saturating_sub(1);
    let words = error.to_string();
    let words = words.split(" at line").next().unwrap_or_default();
    let loc = [json!("body"), json!(offset)];
    let problem = FieldProblem::new("json_invalid", loc, "JSON decode error", &Value::Null)
        .ctx(json!({"error": words}));
    Refusal::invalid(vec![problem])
}

/// `{"image": "…"}`; the text is borrowed from the body where it has no escapes.
#[derive(Deserialize)]
struct OneImage<'b> {
    #[serde(borrow)]
    image: Cow<'b, str>,
}

#[derive(Deserialize)]
struct ManyImages<'b> {
    #[serde(borrow)]
    images: Texts<'b>,
}

/// One text of a list, borrowed like that of `OneImage`.
#[derive(Deserialize)]
struct Text<'b>(#[serde(borrow)] Cow<'b, str>);

/// A list of texts.
#[derive(Default)]
struct Texts<'b> {
    /// The first ones, as many as a request may hold pictures at most: millions of short ones would take
    /// many times the memory of the body.
    kept: Vec<Cow<'b, str>>,
    /// How many there are in all.
    count: usize,
}

impl<'de: 'b, 'b> Deserialize<'de> for Texts<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;

        impl<'de> Visitor<'de> for Reading {
            type Value = Texts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts<'de>, A::Error> {
                let mut texts = Texts::default();
                while texts.count < BATCH_ITEMS_MAX {
                    let Some(Text(text)) = items.next_element()? else {
                        return Ok(texts);
                    };
                    texts.kept.push(text);
                    texts.count += 1;
                }
                while items.next_element::<IgnoredAny>()?.is_some() {
                    texts.count += 1;
                }
                Ok(texts)
            }
        }

        deserializer.deserialize_seq(Reading)
    }
}

fn bad_base64(loc: impl IntoIterator<Item = Value>, problem: &str) -> FieldProblem {
    let msg = format!("Value error, {problem}");
    FieldProblem::new("value_error", loc, msg, &Value::Null)
}

/// Says what is wrong with a JSON body that does not have the form expected: `check` looks at the
/// value of `key`.
fn explain(
    body: &[u8],
    key: &str,
    check: impl FnOnce(&Value, [Value; 2]) -> Option<FieldProblem>,
) -> Refusal {
    // A tree of values takes many times the memory of its text: the whole of a large body is only
    // looked at for its syntax.
    let value = if body.len() <= EXPLAINED_BYTES_MAX {
        serde_json::from_slice::<Value>(body)
    } else {
        serde_json::from_slice::<IgnoredAny>(body).map(|_| Value::Null)
    };
    let value = match value {
        Ok(value) => value,
        Err(error) => return json_invalid(body, &error),
    };
    let Value::Object(object) = &value else {
        let msg = "Input should be a valid dictionary or object to extract fields from";
        let problem = FieldProblem::new("model_attributes_type", [json!("body")], msg, &value);
        return Refusal::invalid(vec![problem]);
    };
    let loc = [json!("body"), json!(key)];
    let problem = match object.get(key) {
        None => Some(FieldProblem::missing(loc)),
        Some(value) => check(value, loc),
    };
    let other = || {
        let msg = "Input could not be read";
        FieldProblem::new(
            "value_error",
            [json!("body"), json!(key)],
            msg,
            &Value::Null,
        )
    };
    Refusal::invalid(vec![problem.unwrap_or_else(other)])
}

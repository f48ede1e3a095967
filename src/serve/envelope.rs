//! From a request's body to the pictures in it: `multipart/form-data`, the bytes themselves, or
//! base64 in JSON. Nothing is decoded here. Reading a body takes time in proportion to its size, so it
//! belongs on a blocking thread. Imports: multer, base64, futures, `serve::{config, ndjson, refusal}`.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use futures_util::FutureExt;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::{Value, json};

use crate::http::StatusCode;

use super::config::BATCH_ITEMS_MAX;
use super::ndjson::NDJSON;
use super::refusal::{Detail, FieldProblem, Refusal};

/// Names of the form fields that hold a picture; the first is the one that is missed.
const ONE: [&str; 2] = ["file", "image"];
const MANY: [&str; 4] = ["files", "file", "images", "image"];

/// Parts of a form beside its pictures that are passed over; each costs time and no picture.
const OTHER_PARTS_MAX: usize = 16;

/// Larger JSON bodies are not explained in detail when they have another form than expected.
const EXPLAINED_BYTES_MAX: usize = 64 << 10;

/// Padding may be left out: many clients do.
const BASE64_CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, BASE64_CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, BASE64_CONFIG);

/// How a body holds its pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Envelope {
    /// A form with this boundary.
    Form { boundary: String },
    /// The picture itself.
    Raw,
    /// Base64 in JSON.
    Json,
    /// Base64 in JSON, a line for each picture.
    Lines,
}

impl Envelope {
    /// Reads the header `Content-Type`. Without one, a body is taken as the picture itself. A refusal
    /// recommends what is `accepted`.
    pub(super) fn of(content_type: Option<&str>, accepted: &str) -> Result<Self, Refusal> {
        let Some(content_type) = content_type else {
            return Ok(Self::Raw);
        };
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        let kind = kind.to_ascii_lowercase();
        if kind == "multipart/form-data" {
            return match multer::parse_boundary(content_type) {
                Ok(boundary) => Ok(Self::Form { boundary }),
                Err(_) => Err(bad_form("the Content-Type names no boundary")),
            };
        }
        if kind == "application/octet-stream" || kind.starts_with("image/") {
            return Ok(Self::Raw);
        }
        if is_json(&kind) {
            return Ok(Self::Json);
        }
        if kind == NDJSON {
            return Ok(Self::Lines);
        }
        Err(Refusal::media_type(Some(content_type), accepted))
    }
}

fn is_json(kind: &str) -> bool {
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Is the body JSON, as far as its Content-Type tells?
pub(super) fn require_json(content_type: Option<&str>) -> Result<(), Refusal> {
    let kind = content_type.unwrap_or("application/json");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if is_json(&kind.to_ascii_lowercase()) {
        return Ok(());
    }
    Err(Refusal::media_type(content_type, "`application/json`"))
}

fn bad_form(problem: impl std::fmt::Display) -> Refusal {
    let detail = format!("the form cannot be read: {problem}");
    Refusal::new(StatusCode::BAD_REQUEST, "multipart", detail)
}

/// Returns the one picture of a form, of which at most `pictures_max` are looked at.
pub(super) fn form_one(
    body: &Bytes,
    boundary: &str,
    pictures_max: usize,
) -> Result<Bytes, Refusal> {
    let mut pictures = form(body, boundary, &ONE, pictures_max)?;
    match pictures.len() {
        0 => Err(missing_file(ONE[0])),
        1 => Ok(pictures.remove(0)),
        _ => {
            let msg = "One picture per request; `/predict/batch` takes several";
            let loc = [json!("body"), json!(ONE[0])];
            let problem = FieldProblem::new("too_long", loc, msg, &json!(pictures.len()));
            Err(Refusal::invalid(vec![problem]))
        }
    }
}

/// Returns all pictures of a form, in its order, if they are not many more than `pictures_max`.
pub(super) fn form_many(
    body: &Bytes,
    boundary: &str,
    pictures_max: usize,
) -> Result<Vec<Bytes>, Refusal> {
    let pictures = form(body, boundary, &MANY, pictures_max)?;
    if pictures.is_empty() {
        return Err(missing_file(MANY[0]));
    }
    Ok(pictures)
}

fn missing_file(name: &str) -> Refusal {
    Refusal::invalid(vec![FieldProblem::missing([json!("body"), json!(name)])])
}

fn form(
    body: &Bytes,
    boundary: &str,
    names: &[&str],
    pictures_max: usize,
) -> Result<Vec<Bytes>, Refusal> {
    let body = body.clone();
    let stream = futures_util::stream::once(async { Ok::<_, Infallible>(body) });
    let mut form = multer::Multipart::new(stream, boundary);
    let parts_max = pictures_max.saturating_add(OTHER_PARTS_MAX);
    let reading = async {
        let mut pictures = Vec::new();
        let mut parts = 0;
        while let Some(field) = form.next_field().await.map_err(bad_form)? {
            parts += 1;
            if parts_max < parts {
                let detail = format!(
                    "the form has more than {parts_max} parts, at most {pictures_max} pictures are taken"
                );
                return Err(Refusal::too_many_images(detail));
            }
            if field.name().is_some_and(|name| names.contains(&name)) {
                pictures.push(field.bytes().await.map_err(bad_form)?);
            }
        }
        Ok(pictures)
    };
    // The whole body is there, so there is nothing to wait for.
    let read = reading.now_or_never();
    read.unwrap_or_else(|| Err(bad_form("it ends in the middle")))
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

/// Returns the bytes of the one picture of a JSON body.
pub(super) fn json_one(body: &[u8]) -> Result<Vec<u8>, Refusal> {
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
pub(super) fn json_many(
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
pub(super) fn json_lines(
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

/// Are there no more pictures than one request may hold?
pub(super) fn require_count(pictures: usize, pictures_max: usize) -> Result<(), Refusal> {
    if pictures <= pictures_max {
        return Ok(());
    }
    Err(too_many(pictures, pictures_max))
}

/// Says that a request holds more than `pictures_max` pictures.
pub(super) fn too_many(pictures: usize, pictures_max: usize) -> Refusal {
    let detail = format!("{pictures} pictures in one request, at most {pictures_max} are taken");
    Refusal::too_many_images(detail)
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

/// Says where a body stops being JSON.
pub(super) fn json_invalid(body: &[u8], error: &serde_json::Error) -> Refusal {
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

/// Returns the bytes of base64 text or of a `data:` URL (RFC 2397) with base64.
pub(super) fn base64_bytes(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim();
    let data = match text.strip_prefix("data:") {
        None => text,
        Some(url) => match url.split_once(',') {
            Some((head, data)) if head.ends_with(";base64") => data,
            Some(_) => return Err("the data: URL is not base64".to_owned()),
            None => return Err("the data: URL has no comma".to_owned()),
        },
    };
    let url_safe = data.bytes().any(|b| matches!(b, b'-' | b'_'));
    let engine = if url_safe { &URL_SAFE } else { &STANDARD };
    // MIME wraps lines; so do some clients.
    let data: Cow<'_, str> = if data.bytes().any(|b| b.is_ascii_whitespace()) {
        data.split_ascii_whitespace().collect::<String>().into()
    } else {
        data.into()
    };
    engine
        .decode(data.as_bytes())
        .map_err(|error| format!("not valid base64: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pieces of forms, in an order that no program writes.
    fn scraps() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "--x",
            "--x--",
            "--",
            "\r\n",
            "\r\n\r\n",
            "\n",
            ";",
            "=",
            "\"",
            "\\\"",
            "name",
            "Content-Disposition: form-data; name=\"file\"",
            "Content-Type: image/png",
            "Content-Disposition: form-data; name=file; filename=\"",
            "data",
            "\u{e4}",
            "\0",
        ]);
        let noise = prop::collection::vec(any::<u8>(), 0..4);
        let pieces = prop::collection::vec((piece, noise), 0..20);
        pieces.prop_map(|pieces| {
            let bytes = |(piece, noise): (&str, Vec<u8>)| [piece.as_bytes(), &noise].concat();
            pieces.into_iter().flat_map(bytes).collect()
        })
    }

    fn files() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5)
    }

    /// Is it read, or the client's fault?
    fn is_fair<T>(read: Result<T, Refusal>) -> bool {
        read.map_or_else(|refusal| refusal.is_clients(), |_| true)
    }

    proptest! {
        #[test]
        fn any_content_type_is_an_envelope_or_refused(
            content_type in "\\PC{0,40}",
            more in "[ -~]{0,40}",
        ) {
            let form = format!("multipart/form-data;{more}");
            let boundary = format!("multipart/form-data; boundary={more}");
            for text in [content_type, form, boundary] {
                prop_assert!(is_fair(Envelope::of(Some(&text), "a picture")));
                prop_assert!(is_fair(require_json(Some(&text))));
            }
        }

        #[test]
        fn any_form_is_read_or_refused(scraps in scraps(), boundary in "(x|[ -~]{0,70})") {
            let body = Bytes::from(scraps);
            prop_assert!(is_fair(form_one(&body, &boundary, 3)));
            if let Ok(pictures) = form_many(&body, &boundary, 3) {
                prop_assert!((1..=3 + OTHER_PARTS_MAX).contains(&pictures.len()));
            }
        }

        #[test]
        fn pictures_come_out_of_a_form_as_they_went_in(
            files in files(),
            name in r"[ !#-\[\]-~]{0,20}",
        ) {
            const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";
            let mut body = Vec::new();
            for (file, field) in files.iter().zip(MANY.iter().cycle()) {
                let head = format!(
                    "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\r\n"
                );
                body.extend([head.as_bytes(), file, b"\r\n"].concat());
            }
            body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
            let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
            let envelope = Envelope::of(Some(&content_type), "");
            prop_assert_eq!(envelope, Ok(Envelope::Form { boundary: BOUNDARY.to_owned() }));
            let files = files.into_iter().map(Bytes::from).collect();
            prop_assert_eq!(form_many(&body.into(), BOUNDARY, 4), Ok(files));
        }

        #[test]
        fn any_bytes_are_json_pictures_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            text in r#"\{"(image|images)": [\[\]\{\}",:a-zA-Z0-9+/=\\ \n-]{0,40}\}?"#,
        ) {
            for body in [bytes.as_slice(), text.as_bytes()] {
                prop_assert!(is_fair(json_one(body)));
                prop_assert!(is_fair(json_many(body, 3)));
                if let Ok(pictures) = json_lines(body, 3) {
                    prop_assert!(pictures.len() <= 3);
                    prop_assert!(pictures.into_iter().all(is_fair));
                }
            }
            let _ = base64_bytes(&text);
        }

        #[test]
        fn pictures_come_out_of_json_as_they_went_in(files in files(), form in 0..4) {
            let text = |file: &Vec<u8>| match form {
                0 => STANDARD.encode(file),
                1 => URL_SAFE.encode(file).trim_end_matches('=').to_owned(),
                2 => format!("data:image/png;base64,{}", STANDARD.encode(file)),
                _ => STANDARD.encode(file).chars().flat_map(|c| [c, '\n']).collect(),
            };
            let texts: Vec<String> = files.iter().map(text).collect();
            let line = |text: &String| json!({"image": text}).to_string() + "\n";
            let lines: String = texts.iter().map(line).collect();
            prop_assert_eq!(json_one(line(&texts[0]).as_bytes()), Ok(files[0].clone()));
            let files: Vec<Result<Vec<u8>, Refusal>> = files.into_iter().map(Ok).collect();
            prop_assert_eq!(json_lines(lines.as_bytes(), 4), Ok(files.clone()));
            let list = json!({"images": texts}).to_string();
            prop_assert_eq!(json_many(list.as_bytes(), 4), Ok(files));
        }
    }

    #[test]
    fn content_types() {
        let form = Envelope::Form {
            boundary: "x".to_owned(),
        };
        for (content_type, expected) in [
            (None, Ok(Envelope::Raw)),
            (Some("image/png"), Ok(Envelope::Raw)),
            (Some("IMAGE/JPEG; q=1"), Ok(Envelope::Raw)),
            (Some("application/octet-stream"), Ok(Envelope::Raw)),
            (Some("application/json; charset=utf-8"), Ok(Envelope::Json)),
            (Some("application/x-ndjson"), Ok(Envelope::Lines)),
            (Some("multipart/form-data; boundary=x"), Ok(form)),
            (Some("multipart/form-data"), Err(400)),
            (Some("text/plain"), Err(415)),
            (Some("application/x-www-form-urlencoded"), Err(415)),
        ] {
            let found = Envelope::of(content_type, "").map_err(|r| r.status.as_u16());
            assert_eq!(found, expected, "{content_type:?}");
        }
    }

    #[test]
    fn forms_have_a_limited_number_of_parts() {
        let form = |names: &[&str]| {
            let part = |name: &&str| {
                format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{name}\r\n")
            };
            let parts: String = names.iter().map(part).collect();
            Bytes::from(parts + "--x--\r\n")
        };
        let status = |refusal: Refusal| refusal.status.as_u16();
        let one = |names: &[&str]| form_one(&form(names), "x", 4).map_err(status);
        let many = |names: &[&str]| form_many(&form(names), "x", 4).map_err(status);
        assert_eq!(one(&["note", "image"]), Ok(Bytes::from("image")));
        assert_eq!(one(&["note"]), Err(422));
        assert_eq!(one(&["file", "image"]), Err(422));
        let most = [["file"; 4].as_slice(), &["note"; OTHER_PARTS_MAX]].concat();
        assert_eq!(many(&most).map(|pictures| pictures.len()), Ok(4));
        let more = [most.as_slice(), &[""]].concat();
        assert_eq!((one(&more), many(&more)), (Err(413), Err(413)));
        let whole = form(&["file"]);
        for cut in 0..whole.len() - "--\r\n".len() {
            let cut_off = form_one(&whole.slice(..cut), "x", 4).map_err(status);
            assert_eq!(cut_off, Err(400), "{cut}");
        }
    }

    #[test]
    fn each_line_is_a_picture_of_its_own() {
        let read = |body: &str| json_lines(body.as_bytes(), 3);
        let status = |refusal: Refusal| refusal.status.as_u16();
        let lines = read("\n{\"image\": \"aGk\"}\r\n \n{\"image\": 3}\n{x}").unwrap();
        assert_eq!(lines[0], Ok(b"hi".to_vec()));
        let place = |line: usize| match &lines[line] {
            Err(refusal) => refusal.item()["detail"][0]["loc"].clone(),
            Ok(bytes) => panic!("{bytes:?}"),
        };
        assert_eq!(lines.len(), 3);
        assert_eq!(place(1), json!(["body", 1, "image"]));
        assert_eq!(place(2), json!(["body", 2, 1]));
        assert_eq!(read("\n \r\n").map_err(status), Err(422));
        assert_eq!(read("1\n2\n3\n4").map_err(status), Err(413));
        let images = |text: &str| json_many(text.as_bytes(), 3).map_err(status);
        assert_eq!(images(r#"{"images": ["!", "!", "!", "!"]}"#), Err(413));
        let short = format!("{{\"images\": [{}3]}}", "\"\",".repeat(BATCH_ITEMS_MAX));
        assert_eq!(images(&short), Err(413));
    }

    #[test]
    fn base64_in_the_forms_that_clients_send() {
        for text in [
            "+/+/aGk=",
            "+/+/aGk",
            "-_-_aGk",
            "data:image/png;base64,+/+/aGk=",
            " +/+/\r\naGk=\n",
        ] {
            assert_eq!(base64_bytes(text), Ok(b"\xfb\xff\xbfhi".to_vec()), "{text}");
        }
        assert_eq!(
            base64_bytes("data:text/plain,hi"),
            Err("the data: URL is not base64".to_owned())
        );
        assert!(
            base64_bytes("a b!")
                .unwrap_err()
                .contains("not valid base64")
        );
    }

    #[test]
    fn json_problems_name_their_place() {
        #[track_caller]
        fn check(body: &str, expected: &Value) {
            let refusal = json_one(body.as_bytes()).unwrap_err();
            assert_eq!(&refusal.item()["detail"][0], expected, "{body}");
        }
        check(
            "{}",
            &json!({"type": "missing", "loc": ["body", "image"], "msg": "Field required", "input": null}),
        );
        check(
            r#"{"image": 3}"#,
            &json!({"type": "string_type", "loc": ["body", "image"],
                "msg": "Input should be a valid string", "input": 3}),
        );
        check(
            "{\"image\":\n x}",
            &json!({"type": "json_invalid", "loc": ["body", 11], "msg": "JSON decode error",
                "input": null, "ctx": {"error": "expected value"}}),
        );
        check(
            "[1]",
            &json!({"type": "model_attributes_type", "loc": ["body"],
                "msg": "Input should be a valid dictionary or object to extract fields from",
                "input": "a list of 1"}),
        );
        let many = json_many(br#"{"images": ["aGk=", "?"]}"#, 2).unwrap();
        assert_eq!((many[0].is_ok(), many[1].is_ok()), (true, false));
        let refusal = json_many(br#"{"images": ["a", 1]}"#, 2).unwrap_err();
        assert_eq!(
            refusal.item()["detail"][0]["loc"],
            json!(["body", "images", 1])
        );
    }
}

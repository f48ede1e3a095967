//! Bodies that clients send, and that nobody would.

use base64::Engine;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::serve::config::BATCH_ITEMS_MAX;

use super::encoded::{STANDARD, URL_SAFE};
use super::form::{MANY, OTHER_PARTS_MAX};
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

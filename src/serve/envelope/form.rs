//! Pictures in `multipart/form-data`. Imports: bytes, futures, multer, `serve::refusal`.

use std::convert::Infallible;
use std::fmt::Display;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::json;

use crate::http::StatusCode;
use crate::serve::refusal::{FieldProblem, Refusal};

/// Names of the form fields that hold a picture; the first is the one that is missed.
const ONE: [&str; 2] = ["file", "image"];
pub(super) const MANY: [&str; 4] = ["files", "file", "images", "image"];

/// Parts of a form beside its pictures that are passed over; each costs time and no picture.
pub(super) const OTHER_PARTS_MAX: usize = 16;

/// Returns the one picture of a form, of which at most `pictures_max` are looked at.
pub(in crate::serve) fn form_one(
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
pub(in crate::serve) fn form_many(
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

/// Says that a form cannot be read.
pub(super) fn bad_form(problem: impl Display) -> Refusal {
    let detail = format!("the form cannot be read: {problem}");
    Refusal::new(StatusCode::BAD_REQUEST, "multipart", detail)
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

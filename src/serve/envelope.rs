//! From a request's body to the pictures in it: `multipart/form-data`, the bytes themselves, or
//! base64 in JSON. Nothing is decoded here. Reading a body takes time in proportion to its size, so it
//! belongs on a blocking thread. Imports: multer, `serve::{ndjson, refusal}`.

mod encoded;
mod form;
mod json;

use super::ndjson::NDJSON;
use super::refusal::Refusal;

use form::bad_form;

pub(super) use encoded::base64_bytes;
pub(super) use form::{form_many, form_one};
pub(super) use json::{json_invalid, json_lines, json_many, json_one};

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

#[cfg(test)]
mod tests;

//! `/runs/{id}/file/{*path}`: the bytes of an artifact that a page shows. A picture is sent as what its
//! first bytes say it is; pages and drawings of others are sent so that nothing in them runs; anything
//! else is refused: it can be downloaded. Imports: http, track, `ui::*`.

use std::io::Read;
use std::time::Duration;

use super::head::elsewhere;
use super::seen::Seen;
use crate::http::Response;
use crate::mlflow::Refused;
use crate::track::artifacts::FileRecord;
use crate::ui::asked::{Asked, segment};
use crate::ui::reply;
use crate::ui::site::Site;

/// Larger files are not shown, only offered for download.
pub(super) const SHOWN_BYTES_MAX: u64 = 32 << 20;

/// A kind of picture that browsers show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ui::pages) struct Picture(pub(in crate::ui::pages) &'static str);

/// Tells a picture by its first bytes (WHATWG MIME Sniffing, section 6.1).
pub(in crate::ui::pages) fn picture_of(bytes: &[u8]) -> Option<Picture> {
    let kind = match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => "image/webp",
        [b'B', b'M', ..] => "image/bmp",
        [
            _,
            _,
            _,
            _,
            b'f',
            b't',
            b'y',
            b'p',
            b'a',
            b'v',
            b'i',
            b'f',
            ..,
        ] => "image/avif",
        _ => return None,
    };
    Some(Picture(kind))
}

/// Returns the ending of a file's name, in small letters.
pub(super) fn ending(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.')
        .map_or_else(String::new, |(_, ending)| ending.to_ascii_lowercase())
}

/// Returns the address of an artifact's bytes.
pub(in crate::ui::pages) fn file_href(run: &str, path: &str) -> String {
    let parts: Vec<String> = path.split('/').map(segment).collect();
    format!("/runs/{run}/file/{}", parts.join("/"))
}

/// Returns the address from which a browser saves an artifact.
pub(super) fn download_href(run: &str, path: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("run_id", run).append_pair("path", path);
    format!("/get-artifact?{}", query.finish())
}

/// Returns the first bytes of a file, not more than `max`; `None` if the cache has lost them.
pub(super) fn beginning(
    asked: &Asked,
    file: &FileRecord,
    max: u64,
) -> Result<Option<Vec<u8>>, Refused> {
    let Some(opened) = asked.artifacts.open_file(file)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    opened.take(max).read_to_end(&mut bytes).map_err(|error| {
        tracing::error!(target: "cvops::ui", %error, "an artifact cannot be read");
        Refused::bug()
    })?;
    Ok(Some(bytes))
}

pub(super) fn answer(_: &Site, asked: &Asked) -> Result<Response, Refused> {
    let seen = Seen::of(asked)?;
    let path = asked.param(1);
    if seen.root().is_none() {
        return Err(elsewhere(&seen));
    }
    let file = asked
        .shared
        .read(|reader| seen.file(reader, &asked.artifacts, path))?
        .ok_or_else(|| Refused::missing(format!("this run has no artifact `{path}`")))?;
    if SHOWN_BYTES_MAX < file.size {
        return Err(Refused::invalid(format!(
            "`{path}` is too large to be shown: it can be downloaded"
        )));
    }
    // A run that goes on may write it again: the browser asks each time whether it is the same.
    let hash = file.object.hash().to_string();
    if let Some(response) = reply::unchanged(asked, &hash) {
        return Ok(response);
    }
    let bytes = beginning(asked, &file, SHOWN_BYTES_MAX)?
        .ok_or_else(|| Refused::missing(format!("the cache has lost `{path}`")))?;
    if let Some(Picture(kind)) = picture_of(&bytes) {
        let picture = reply::picture(bytes, kind, Duration::ZERO);
        return Ok(reply::tagged(picture, &hash));
    }
    match ending(path).as_str() {
        "svg" => Ok(reply::foreign(bytes, "image/svg+xml")),
        "html" | "htm" => Ok(reply::foreign(bytes, "text/html; charset=utf-8")),
        _ => Err(Refused::invalid(format!(
            "`{path}` is neither a picture nor a page: it can be downloaded"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_told_by_their_bytes_alone() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\n.."[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a..", Some("image/gif")),
            (b"RIFF1234WEBPVP8 ", Some("image/webp")),
            (b"RIFF1234WAVE", None),
            (b"<svg onload=alert(1)>", None),
            (b"<html>", None),
            (b"", None),
        ] {
            assert_eq!(picture_of(bytes).map(|p| p.0), kind, "{bytes:?}");
        }
        assert_eq!(ending("a.b/Plot.SVG"), "svg");
        assert_eq!(ending("a.b/plot"), "");
        assert_eq!(
            file_href("r", "a b/c#d.png"),
            "/runs/r/file/a%20b/c%23d.png"
        );
    }
}

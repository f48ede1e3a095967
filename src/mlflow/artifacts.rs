//! Artifacts over HTTP: the proxy of MLflow's clients, and the downloads and uploads of its pages.
//! Imports: base, http, track, `mime_guess`, tokio, `mlflow::*`.
//!
//! Bytes never are in memory as a whole: an upload is written while the next part of it is on its
//! way, a download is read a piece ahead. Whatever a file holds, a browser is to save it and not to
//! show it: pages among artifacts are not ours.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::task::JoinHandle;

use crate::base::clock;
use crate::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use crate::http::{
    self, HeaderMap, Intake, Method, Pieces, Problem, Response, StatusCode, Upload as Incoming,
};
use crate::track::artifacts::{FileRecord, Stored, Upload, check_path, path_of_uri};
use crate::track::{self, Artifacts, Shared};

use super::refused::{Code, Refused, render_of_upload};
use super::rest::artifacts::{base_names, join, missing, run_of, value};
use super::rest::{self, Access};

/// So much of an upload is gathered before a thread is asked to write it.
const WRITTEN_AT_ONCE: usize = 256 << 10;

/// So much of a download is read at once.
const READ_AT_ONCE: usize = 256 << 10;

/// What is escaped in a file name of `Content-Disposition` (RFC 8187: all but `attr-char`).
const NOT_ATTR_CHAR: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'*')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'{')
    .add(b'}');

/// What can be done with artifacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Upload a file.
    Put,
    /// Download a file.
    Get,
    /// List a folder.
    List,
    /// Forget a file or a folder.
    Delete,
    /// Uploads in parts that the client puts together: not offered for a store of our kind.
    Multipart,
    /// URLs that let a client pass us by: not offered either.
    Presigned,
    /// Download a file of a run.
    GetOfRun,
    /// Download a file of a version of a registered model.
    GetOfVersion,
    /// Upload a file of a run.
    PutOfRun,
}

impl Verb {
    pub(super) const ALL: [Self; 9] = [
        Self::Put,
        Self::Get,
        Self::List,
        Self::Delete,
        Self::Multipart,
        Self::Presigned,
        Self::GetOfRun,
        Self::GetOfVersion,
        Self::PutOfRun,
    ];

    pub(super) fn method(self) -> Method {
        match self {
            Self::Put => Method::PUT,
            Self::Get | Self::List | Self::Presigned | Self::GetOfRun | Self::GetOfVersion => {
                Method::GET
            }
            Self::Delete => Method::DELETE,
            Self::Multipart | Self::PutOfRun => Method::POST,
        }
    }

    pub(super) fn templates(self, prefixes: &[&str]) -> Vec<String> {
        let below = |path: &str| {
            prefixes
                .iter()
                .map(|prefix| format!("{prefix}{path}"))
                .collect()
        };
        match self {
            Self::Put | Self::Get | Self::Delete => below("artifacts/{*path}"),
            Self::List => below("artifacts"),
            Self::Multipart => below("mpu/{*path}"),
            Self::Presigned => below("presigned/{*path}"),
            Self::GetOfRun => vec!["/get-artifact".to_owned()],
            Self::GetOfVersion => vec!["/model-versions/get-artifact".to_owned()],
            Self::PutOfRun => vec!["/ajax-api/2.0/mlflow/upload-artifact".to_owned()],
        }
    }

    pub(super) fn intake(self) -> Intake {
        match self {
            Self::Put | Self::PutOfRun => Intake::Streamed,
            _ => Intake::Collected,
        }
    }

    pub(super) fn access(self) -> Access {
        match self {
            Self::Get | Self::List | Self::GetOfRun | Self::GetOfVersion | Self::Presigned => {
                Access::Read
            }
            Self::Put | Self::Delete | Self::PutOfRun | Self::Multipart => Access::Write,
        }
    }
}

/// Where artifacts are.
pub(super) struct Place {
    pub(super) shared: Shared,
    pub(super) artifacts: Arc<Artifacts>,
}

/// What is asked.
pub(super) struct Asked {
    /// What stands in the place of the path, decoded.
    pub(super) path: Option<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) upload: Option<Incoming>,
}

/// Answers.
///
/// # Errors
/// What the client is told.
pub(super) async fn answer(verb: Verb, place: Place, asked: Asked) -> Result<Response, Refused> {
    let path = asked.path.unwrap_or_default();
    match verb {
        Verb::Put => {
            check_path(&path)?;
            put(place, path, asked.upload, Bytes::new()).await
        }
        Verb::Get => {
            check_path(&path)?;
            get(place, asked.headers, move |_| Ok(path)).await
        }
        Verb::List => list(place, &asked.query, asked.headers).await,
        Verb::Delete => {
            // Clients ask so for all that a run holds: the root's name with `/` behind it.
            let path = path.strip_suffix('/').map_or(path.clone(), str::to_owned);
            check_path(&path)?;
            delete(place, path).await
        }
        Verb::Multipart => Err(not_offered("uploads in parts: send the file in one PUT")),
        Verb::Presigned => Err(not_offered("presigned URLs: get the file here")),
        Verb::GetOfRun => {
            let run = run_of(&asked.query)?;
            let path = path_in_tree(&asked.query)?;
            get(place, asked.headers, move |reader| {
                in_tree(&reader.run_info(run)?.artifact_uri, &path)
            })
            .await
        }
        Verb::GetOfVersion => {
            let named = |name| value(&asked.query, &[name]).ok_or_else(|| missing(name));
            let (name, version) = (named("name")?.to_owned(), named("version")?);
            let version: i64 = version.parse().map_err(|_| {
                Refused::invalid(format!("Model version must be an integer, got '{version}'"))
            })?;
            let path = path_in_tree(&asked.query)?;
            get(place, asked.headers, move |reader| {
                in_tree(&reader.model_version(&name, version)?.storage, &path)
            })
            .await
        }
        Verb::PutOfRun => {
            let run = run_of(&asked.query)?;
            let inside = path_in_tree(&asked.query)?;
            let shared = place.shared.clone();
            let path = rest::blocking(move || {
                let info = shared.read(|reader| reader.run_info(run))?;
                Ok(in_tree(&info.artifact_uri, &inside)?)
            });
            let path = path.await?;
            put(place, path, asked.upload, Bytes::from_static(b"{}")).await
        }
    }
}

fn not_offered(what: &str) -> Refused {
    Refused::new(Code::NotImplemented, format!("this server has no {what}"))
}

/// Returns the path inside of a run that a query names.
fn path_in_tree(query: &[(String, String)]) -> Result<String, Refused> {
    let path = value(query, &["path"]).ok_or_else(|| missing("path"))?;
    check_path(path)?;
    Ok(path.to_owned())
}

fn in_tree(uri: &str, path: &str) -> Result<String, track::Error> {
    let root = path_of_uri(uri).ok_or_else(|| {
        track::Error::invalid(format!("these artifacts are kept elsewhere: '{uri}'"))
    })?;
    Ok(join(root, path))
}

fn no_such(path: &str) -> track::Error {
    track::Error::missing(format!("No such artifact: '{path}'"))
}

async fn list(
    place: Place,
    query: &[(String, String)],
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let path = listed(value(query, &["path"]).unwrap_or_default());
    if !path.is_empty() {
        check_path(&path)?;
    }
    rest::blocking(move || {
        let entries = place
            .shared
            .read(|reader| place.artifacts.list(reader, &path))?;
        let json = HeaderValue::from_static("application/json");
        Ok(http::text(base_names(entries).0, json, &headers))
    })
    .await
}

/// Returns the folder that a client means: it joins what it is asked for to the root as it is, so
/// there may be `.` in it and `/` around it.
fn listed(path: &str) -> String {
    let parts: Vec<&str> = path
        .trim_start_matches('/')
        .split('/')
        .filter(|part| *part != ".")
        .collect();
    let path = parts.join("/");
    path.strip_suffix('/').map_or(path.clone(), str::to_owned)
}

/// Removes a file, or a folder and all in it; what is not there is gone already.
async fn delete(place: Place, path: String) -> Result<Response, Refused> {
    let artifacts = Arc::clone(&place.artifacts);
    rest::write(&place.shared, move |writing| {
        if writing.remove_files(&path)? != 0 {
            return Ok(());
        }
        let is_output = artifacts.find(writing, &path)?.is_some()
            || !artifacts.list(writing, &path)?.is_empty();
        if is_output {
            return Err(track::Error::invalid(format!(
                "'{path}' is an output of a stage of the run: it goes with the run"
            )));
        }
        Ok(())
    })
    .await?;
    Ok(json(Bytes::from_static(b"{}")))
}

fn json(body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    let value = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}

/// Receives an upload and writes its name down; it is on disk when this returns.
async fn put(
    place: Place,
    path: String,
    incoming: Option<Incoming>,
    answer: Bytes,
) -> Result<Response, Refused> {
    let pieces = incoming.and_then(|incoming| incoming.take());
    let pieces = pieces.ok_or_else(Refused::bug)?;
    let upload = match receive(place.artifacts.receive(), pieces).await {
        Ok(upload) => upload,
        Err(Broken::Transport(problem)) => return Ok(render_of_upload(&problem)),
        Err(Broken::Store(refused)) => return Err(refused),
    };
    let artifacts = Arc::clone(&place.artifacts);
    let stored: Stored = rest::blocking(move || {
        let stored = upload.finish()?;
        artifacts.make_durable()?;
        Ok(stored)
    })
    .await?;
    let now_ms = clock::now().as_millisecond();
    let name = path.clone();
    rest::write(&place.shared, move |writing| {
        writing.put_file(&name, &stored, now_ms)
    })
    .await?;
    let artifacts = place.artifacts;
    if !rest::blocking(move || Ok(artifacts.hold(&stored))).await? {
        rest::write(&place.shared, move |writing| {
            writing.forget_file(&path, &stored)
        })
        .await?;
        return Err(Refused::new(
            Code::TemporarilyUnavailable,
            "the cache was cleaned up while the file came: send it again",
        ));
    }
    Ok(if answer.is_empty() {
        Response::new(Bytes::new().into())
    } else {
        json(answer)
    })
}

/// Why an upload did not come to its end.
enum Broken {
    Transport(Problem),
    Store(Refused),
}

/// Receives all of a body: while a thread writes what came, more is gathered.
async fn receive(upload: Upload, mut pieces: Pieces) -> Result<Upload, Broken> {
    let mut writer = Writer::Idle(upload);
    let mut gathered: Vec<Bytes> = Vec::new();
    let mut size = 0;
    loop {
        let piece = pieces.next().await.map_err(Broken::Transport)?;
        let is_end = piece.is_none();
        if let Some(piece) = piece {
            size += piece.len();
            gathered.push(piece);
        }
        if is_end || WRITTEN_AT_ONCE <= size {
            let mut upload = writer.idle().await.map_err(Broken::Store)?;
            let batch = std::mem::take(&mut gathered);
            size = 0;
            writer = Writer::Busy(tokio::task::spawn_blocking(move || {
                for piece in batch {
                    upload.write(&piece)?;
                }
                Ok(upload)
            }));
        }
        if is_end {
            return writer.idle().await.map_err(Broken::Store);
        }
    }
}

/// Writes an upload, or waits for more of it.
enum Writer {
    Idle(Upload),
    Busy(JoinHandle<Result<Upload, track::Error>>),
}

impl Writer {
    async fn idle(self) -> Result<Upload, Refused> {
        match self {
            Self::Idle(upload) => Ok(upload),
            Self::Busy(busy) => Ok(busy.await.map_err(|_| Refused::bug())??),
        }
    }
}

/// Answers with the file whose path `find` returns.
async fn get(
    place: Place,
    headers: HeaderMap,
    find: impl FnOnce(&track::Reader<'_>) -> Result<String, track::Error> + Send + 'static,
) -> Result<Response, Refused> {
    rest::blocking(move || {
        let (path, file) = place.shared.read(|reader| {
            let path = find(reader)?;
            let file = place.artifacts.find(reader, &path)?;
            let file = file.ok_or_else(|| no_such(&path))?;
            Ok((path, file))
        })?;
        let Some(bytes) = place.artifacts.open_file(&file)? else {
            return Err(Refused::missing(format!(
                "No such artifact: '{path}' is known, but its content `{}` is not in the cache: \
                 it was removed, or never brought here; `cvops fetch` may bring it from a remote",
                file.object.short()
            )));
        };
        send(&path, &file, bytes, &headers)
    })
    .await
}

/// Puts a file into an answer, or what of it is asked for.
fn send(
    path: &str,
    file: &FileRecord,
    mut bytes: File,
    headers: &HeaderMap,
) -> Result<Response, Refused> {
    let etag = format!("\"{}\"", file.object.hash());
    let described = describe(path, file, &etag);
    if matches_tag(headers, &etag) {
        let mut response = Response::new(Bytes::new().into());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        for (name, value) in described {
            if name != CONTENT_TYPE {
                response.headers_mut().insert(name, value);
            }
        }
        return Ok(response);
    }
    let part = match wanted(headers, &etag, file.size) {
        Wanted::All => None,
        Wanted::Part(range) => Some(range),
        Wanted::Nothing => {
            let mut response = Refused::new(
                Code::RangeNotSatisfiable,
                format!(
                    "the file has {} bytes, none of them in the range",
                    file.size
                ),
            )
            .respond();
            if let Ok(value) = HeaderValue::from_str(&format!("bytes */{}", file.size)) {
                response.headers_mut().insert(CONTENT_RANGE, value);
            }
            return Ok(response);
        }
    };
    let range = part.clone().unwrap_or(0..file.size);
    let read = |error: &io::Error| {
        tracing::error!(target: "cvops::mlflow", %error, path, "an artifact cannot be read");
        Refused::new(
            Code::InternalError,
            format!("'{path}' cannot be read: {error}"),
        )
    };
    if range.start != 0 {
        bytes
            .seek(SeekFrom::Start(range.start))
            .map_err(|e| read(&e))?;
    }
    let length = range.end - range.start;
    let mut response = if length <= READ_AT_ONCE as u64 {
        let mut all = vec![0; length as usize];
        bytes.read_exact(&mut all).map_err(|e| read(&e))?;
        Response::new(Bytes::from(all).into())
    } else {
        http::stream(length, pieces(bytes, length))
    };
    response.headers_mut().extend(described);
    if let Some(range) = part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let text = format!("bytes {}-{}/{}", range.start, range.end - 1, file.size);
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(CONTENT_RANGE, value);
        }
    }
    Ok(response)
}

/// Reads `length` bytes piece by piece, on threads that may wait.
fn pieces(
    file: File,
    length: u64,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let reading = tokio::task::spawn_blocking(move || {
            let size = left.min(READ_AT_ONCE as u64);
            let mut piece = vec![0; size as usize];
            file.read_exact(&mut piece)?;
            Ok((Bytes::from(piece), (file, left - size)))
        });
        reading.await.map_err(io::Error::other)?.map(Some)
    })
}

/// Returns the headers that belong to a file.
fn describe(path: &str, file: &FileRecord, etag: &str) -> Vec<(HeaderName, HeaderValue)> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let texts = [
        (CONTENT_TYPE, content_type(name)),
        (CONTENT_DISPOSITION, disposition(name)),
        (ETAG, etag.to_owned()),
        (LAST_MODIFIED, http_date(file.modified_ms)),
    ];
    let fixed = [
        (ACCEPT_RANGES, "bytes"),
        // If it is shown after all: nothing of it runs, and it is of no site.
        (CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
    ];
    let fixed = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
    texts
        .into_iter()
        .filter_map(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?)))
        .chain(fixed)
        .collect()
}

fn content_type(name: &str) -> String {
    let guessed = mime_guess::from_path(name).first_or_octet_stream();
    if guessed.type_() == "text" {
        format!("{guessed}; charset=utf-8")
    } else {
        guessed.to_string()
    }
}

/// Returns the value of `Content-Disposition`: the name in plain characters for old programs, and in
/// full (RFC 6266).
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| match c {
            ' '..='~' if !matches!(c, '"' | '\\' | '%') => c,
            _ => '_',
        })
        .collect();
    if plain == name {
        return format!("attachment; filename=\"{plain}\"");
    }
    let full = utf8_percent_encode(name, NOT_ATTR_CHAR);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{full}")
}

/// Returns a time in HTTP's form: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(ms: i64) -> String {
    clock::Timestamp::from_millisecond(ms)
        .map(|at| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

/// Does the client have this very content?
fn matches_tag(headers: &HeaderMap, etag: &str) -> bool {
    let mut values = headers.get_all(IF_NONE_MATCH).iter();
    values.any(|value| {
        let mut tags = value.to_str().unwrap_or_default().split(',');
        tags.any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
        })
    })
}

/// What of a file is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

/// Reads the header `Range` (RFC 9110, 14): one range is answered, several or what is no range count
/// as none.
fn wanted(headers: &HeaderMap, etag: &str, size: u64) -> Wanted {
    let is_other = |value: &HeaderValue| value.as_bytes() != etag.as_bytes();
    if headers.get(IF_RANGE).is_some_and(is_other) {
        return Wanted::All;
    }
    let Some(range) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else {
        return Wanted::All;
    };
    parse_range(range, size).unwrap_or(Wanted::All)
}

fn parse_range(text: &str, size: u64) -> Option<Wanted> {
    let (first, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(first) || !is_number(last) {
        return None;
    }
    let range = match (first, last) {
        ("", "") => return None,
        // The last so many bytes.
        ("", last) => {
            let count: u64 = last.parse().ok()?;
            size.saturating_sub(count)..size
        }
        (first, "") => first.parse().ok()?..size,
        (first, last) => {
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            if last < first {
                return None;
            }
            first..size.min(last.saturating_add(1))
        }
    };
    Some(if range.start < range.end {
        Wanted::Part(range)
    } else {
        Wanted::Nothing
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (text, expected) in [
            ("bytes=0-4", Wanted::Part(0..5)),
            ("bytes=5-", Wanted::Part(5..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=9-99", Wanted::Part(9..10)),
            ("bytes= 2 - 2 ", Wanted::Part(2..3)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-12", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=4-2", Wanted::All),
            ("bytes=0-1,4-5", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("bytes=99999999999999999999999-", Wanted::All),
            ("lines=1-2", Wanted::All),
        ] {
            assert_eq!(
                parse_range(text, 10).unwrap_or(Wanted::All),
                expected,
                "{text}"
            );
        }
        assert_eq!(parse_range("bytes=0-", 0), Some(Wanted::Nothing));
    }

    #[test]
    fn names_are_safe_in_headers() {
        for (name, expected) in [
            ("a b.txt", "attachment; filename=\"a b.txt\""),
            (
                "a\"b\r\nX: 1",
                "attachment; filename=\"a_b__X: 1\"; filename*=UTF-8''a%22b%0D%0AX%3A%201",
            ),
            (
                "日本.png",
                "attachment; filename=\"__.png\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.png",
            ),
        ] {
            assert_eq!(disposition(name), expected);
        }
        for (name, expected) in [
            ("MLmodel", "application/octet-stream"),
            ("a.json", "application/json"),
            ("a.html", "text/html; charset=utf-8"),
            ("a.PNG", "image/png"),
            ("a.svg", "image/svg+xml"),
        ] {
            assert_eq!(content_type(name), expected);
        }
        assert_eq!(http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn a_client_that_has_the_content_is_told_so() {
        let check = |value: &str, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, value.parse().unwrap());
            assert_eq!(matches_tag(&headers, "\"abc\""), expected, "{value}");
        };
        check("\"abc\"", true);
        check("\"x\", W/\"abc\"", true);
        check("*", true);
        check("abc", false);
        check("\"abcd\"", false);
    }
}

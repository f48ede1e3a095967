//! Answers line by line (newline-delimited JSON): which client wants one, and the answer whose lines
//! are sent as they become ready. Imports: http, tokio, warp.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc;
use warp::Reply;

use crate::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY};
use crate::http::{HeaderMap, Response};

/// The media type.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// How a client wants the answers to several pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// In one JSON document, when all are there.
    Whole,
    /// Each in a line of its own, as soon as it and those before it are there.
    Lines,
}

impl Delivery {
    /// Reads the header `Accept`: lines are for those who name them, and like JSON no better.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let weight = |wanted: &str| {
            let values = headers.get_all(ACCEPT).into_iter();
            let ranges = values.filter_map(|value| value.to_str().ok());
            let weights = ranges
                .flat_map(|ranges| ranges.split(','))
                .filter_map(|range| weight_of(range, wanted));
            weights.fold(0.0, f32::max)
        };
        let lines = weight(NDJSON);
        if 0.0 < lines && weight("application/json") <= lines {
            Self::Lines
        } else {
            Self::Whole
        }
    }
}

/// Returns how much a media range of `Accept` wants `media_type`, if it is that one (RFC 9110, 12.5.1).
fn weight_of(range: &str, media_type: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?;
    let weight = parts.find_map(|parameter| parameter.strip_prefix("q="));
    let weight = weight.map_or(Some(1.0), |q| q.parse().ok())?;
    name.eq_ignore_ascii_case(media_type).then_some(weight)
}

/// Where the lines of an answer are written.
pub(super) struct Lines(mpsc::Sender<Bytes>);

impl Lines {
    /// Adds a line; there is room for all that were announced, so it never waits for the reader.
    pub(super) fn write(&self, value: &impl Serialize) {
        let Ok(mut line) = serde_json::to_vec(value) else {
            // Left out, which breaks the answer off. Finite numbers always have a JSON form.
            return;
        };
        line.push(b'\n');
        // The client may have gone.
        let _ = self.0.try_send(line.into());
    }

    /// Ends when the client has gone.
    pub(super) async fn is_unread(&self) {
        self.0.closed().await;
    }
}

/// Returns an answer of `count` lines and where they are written. A reader that is slow holds nothing
/// up: the lines wait for it in memory. If fewer come, the connection is broken off, which is how the
/// client learns of it.
pub(super) fn answer(count: usize) -> (Lines, Response) {
    let (sender, receiver) = mpsc::channel(count.max(1));
    let pieces = stream::unfold((receiver, count), |(mut receiver, left)| async move {
        match receiver.recv().await {
            Some(line) => Some((Ok(line), (receiver, left.saturating_sub(1)))),
            None if left == 0 => None,
            None => {
                let broken = io::Error::other("lines of the answer are missing");
                Some((Err(broken), (receiver, 0)))
            }
        }
    });
    let mut response = warp::reply::stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    (Lines(sender), response)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn lines_are_for_those_who_ask() {
        for (accept, expected) in [
            ("application/x-ndjson", Delivery::Lines),
            ("Application/X-NDJSON; charset=utf-8", Delivery::Lines),
            ("application/json, application/x-ndjson", Delivery::Lines),
            (
                "application/json;q=0.5, application/x-ndjson;q=0.4",
                Delivery::Whole,
            ),
            ("application/x-ndjson;q=0", Delivery::Whole),
            ("application/x-ndjson;q=much", Delivery::Whole),
            ("*/*", Delivery::Whole),
            ("application/json", Delivery::Whole),
            ("", Delivery::Whole),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Delivery::of(&headers), expected, "{accept}");
        }
        assert_eq!(Delivery::of(&HeaderMap::new()), Delivery::Whole);
    }

    #[tokio::test]
    async fn an_answer_with_too_few_lines_is_broken_off() {
        for (written, is_whole) in [(2, true), (1, false), (0, false)] {
            let (lines, response) = answer(2);
            for number in 0..written {
                lines.write(&number);
            }
            drop(lines);
            let read = response.into_body().collect().await;
            let read = read.map(http_body_util::Collected::to_bytes).ok();
            assert_eq!(read, is_whole.then(|| Bytes::from("0\n1\n")), "{written}");
        }
    }

    #[tokio::test]
    async fn a_reader_that_goes_is_noticed() {
        let (lines, response) = answer(1);
        drop(response);
        lines.is_unread().await;
        lines.write(&1);
    }
}

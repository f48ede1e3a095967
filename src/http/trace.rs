//! Trace context of the W3C (<https://www.w3.org/TR/trace-context/>): the trace that a request belongs
//! to, told by its client in `traceparent`, or begun here.
//!
//! A header that is not exactly as the recommendation says counts as none: a trace that is continued
//! under a wrong id is worse than one that is broken. Imports: nothing of ours.

use std::fmt;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that carries it.
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Length of a header of version 00, which later versions begin with.
const CHARS: usize = 55;

/// The flags that have a meaning: sampled, and (level 2) that the trace id is random. Others are not
/// handed on.
const KNOWN_FLAGS: u8 = 0b11;

/// The number of a trace: all that one request of a user brings about, on every machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TraceId(u128);

/// The number of one piece of work in a trace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpanId(u64);

/// The trace of one request. Handlers find it in the request's extensions:
/// `warp::ext::get::<TraceContext>()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// This request in it.
    pub span_id: SpanId,
    /// What the client was doing when it asked, if it said so.
    pub parent_id: Option<SpanId>,
    flags: u8,
}

impl TraceContext {
    /// Goes on with the trace of the client's `traceparent`, or begins a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let parent = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().and_then(parse),
            // Of two nobody knows which one is meant.
            (Some(_), Some(_)) | (None, _) => None,
        };
        match parent {
            Some(Parent {
                trace_id,
                span_id,
                flags,
            }) => Self {
                trace_id,
                span_id: SpanId::draw(),
                parent_id: Some(span_id),
                flags: flags & KNOWN_FLAGS,
            },
            None => Self {
                trace_id: TraceId::draw(),
                span_id: SpanId::draw(),
                parent_id: None,
                flags: 0,
            },
        }
    }

    /// Did the client say that the trace is recorded?
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Returns the header for the answer: the trace, and this request in it.
    pub(super) fn header(&self) -> HeaderValue {
        // Hexadecimal digits and hyphens always make a header value.
        HeaderValue::from_str(&self.to_string()).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

/// As in a header, version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            flags,
            ..
        } = self;
        write!(f, "00-{trace_id}-{span_id}-{flags:02x}")
    }
}

impl TraceId {
    /// Draws a new one: the 122 random bits of a UUID, the last seven bytes all random, as level 2 wants.
    fn draw() -> Self {
        Self(Uuid::new_v4().as_u128())
    }
}

impl SpanId {
    /// Draws a new one. Its first bit is set by the form of a UUID, so it is never zero.
    fn draw() -> Self {
        Self(Uuid::new_v4().as_u64_pair().1)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a `traceparent` says.
#[derive(Debug, PartialEq, Eq)]
struct Parent {
    trace_id: TraceId,
    span_id: SpanId,
    flags: u8,
}

/// Reads a `traceparent` (recommendation, 3.2.2): `version-traceid-parentid-flags` in lower-case
/// hexadecimal digits. Version ff is forbidden, and so are ids of zeros; a version that is not known yet
/// may have more behind another hyphen.
fn parse(text: &str) -> Option<Parent> {
    let (known, more) = text.split_at_checked(CHARS)?;
    let mut parts = known.split('-');
    let mut next = |digits: usize| {
        let part = parts.next()?;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (part.len() == digits && part.bytes().all(is_hex)).then_some(part)
    };
    let version = u8::from_str_radix(next(2)?, 16).ok()?;
    let trace_id = u128::from_str_radix(next(32)?, 16).ok()?;
    let span_id = u64::from_str_radix(next(16)?, 16).ok()?;
    let flags = u8::from_str_radix(next(2)?, 16).ok()?;
    let ends_well = match version {
        0 => more.is_empty(),
        0xff => false,
        _ => more.is_empty() || more.starts_with('-'),
    };
    (ends_well && trace_id != 0 && span_id != 0).then_some(Parent {
        trace_id: TraceId(trace_id),
        span_id: SpanId(span_id),
        flags,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn context(values: &[&str]) -> TraceContext {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        TraceContext::of(&headers)
    }

    #[test]
    fn a_valid_header_is_gone_on_with() {
        let context = context(&[GIVEN]);
        let trace_id = context.trace_id.to_string();
        assert_eq!(trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        let parent = context.parent_id.unwrap();
        assert_eq!(parent.to_string(), "00f067aa0ba902b7");
        assert!(context.is_sampled());
        assert_ne!(context.span_id, parent);
        let answered = context.header();
        let answered = answered.to_str().unwrap();
        let expected = format!("00-{trace_id}-{}-01", context.span_id);
        assert_eq!(answered, expected);
        assert_eq!(parse(answered).unwrap().span_id, context.span_id);
    }

    #[test]
    fn what_is_not_exactly_so_begins_a_new_trace() {
        for bad in [
            "",
            "00",
            // One short, one long, something behind version 00.
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
            // The version that is none.
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            // Zeros.
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            // Upper case.
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "0A-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A",
            // What numbers of Rust may have and these may not.
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            // Hyphens in other places.
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            // A later version goes on with a hyphen or not at all.
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
            let context = context(&[bad]);
            assert_eq!((context.parent_id, context.is_sampled()), (None, false));
        }
        assert_eq!(context(&[GIVEN, GIVEN]).parent_id, None);
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        for later in [
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09-what-the-future-brings",
        ] {
            let context = context(&[later]);
            assert!(context.parent_id.is_some(), "{later}");
            // Flags without a meaning are not handed on, and we speak version 00.
            let text = context.to_string();
            assert!(
                text.starts_with("00-4bf9") && text.ends_with("-01"),
                "{text}"
            );
        }
    }

    #[test]
    fn new_traces_differ_and_are_valid() {
        let (one, other) = (context(&[]), context(&[]));
        assert_ne!(one.trace_id, other.trace_id);
        assert_ne!(one.span_id, other.span_id);
        assert!(parse(&one.to_string()).is_some());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,70}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_read_is_what_was_written(
            version in 0_u8..0xff,
            trace_id in 1_u128..,
            span_id in 1_u64..,
            flags: u8,
            more in "(-[!-~]{0,20})?",
        ) {
            let more = if version == 0 { "" } else { &more };
            let (trace_id, span_id) = (TraceId(trace_id), SpanId(span_id));
            let text = format!("{version:02x}-{trace_id}-{span_id}-{flags:02x}{more}");
            prop_assert_eq!(parse(&text), Some(Parent { trace_id, span_id, flags }));
        }

        #[test]
        fn one_wrong_character_makes_it_none(at in 0_usize..CHARS, wrong in "[^0-9a-f]") {
            let mut text: Vec<char> = GIVEN.chars().collect();
            let wrong = wrong.chars().next().unwrap();
            prop_assume!(text[at] != wrong);
            text[at] = wrong;
            prop_assert_eq!(parse(&text.into_iter().collect::<String>()), None);
        }
    }
}

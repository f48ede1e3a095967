//! Which pages of other origins may read answers (CORS, the Fetch standard, section 3.2).
//!
//! A browser asks first with `OPTIONS` (a preflight), which brings no key and is answered before the
//! guard is asked; it shows an answer to a page only if the answer names the page's origin. Origins
//! that are not listed get the same answers without these headers: it is the browser that keeps
//! them from the page. Cookies and passwords that a browser sends by itself are never allowed
//! (`Access-Control-Allow-Credentials`); a key that a script knows is a header like any other.
//!
//! warp's filter for it stands behind the reading of bodies and sees neither a 404 nor a 413.
//! Imports: nothing of ours.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
};
use warp::reply::Response;

/// Where pages come from that may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Anywhere.
    Any,
    /// There: scheme, host and port as browsers write them.
    Exact(String),
}

impl FromStr for Origin {
    type Err = BadOrigin;

    /// Reads `*` or an origin, `https://app.example:8443`. The port that belongs to the scheme is
    /// left out and capital letters are made small, as browsers do.
    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.eq_ignore_ascii_case("null") {
            return Err(BadOrigin::Null);
        }
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) = lower.split_once("://").ok_or(BadOrigin::NoScheme)?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(is_scheme_byte);
        if !is_scheme {
            return Err(BadOrigin::NoScheme);
        }
        if rest.contains('*') {
            return Err(BadOrigin::Pattern);
        }
        if !rest.is_ascii() {
            return Err(BadOrigin::NotAscii);
        }
        if rest.contains(['/', '?', '#', '@']) {
            return Err(BadOrigin::More);
        }
        let (host, port) = split_port(rest);
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
        if !is_host(host) || !is_port {
            return Err(BadOrigin::Host);
        }
        let usual = match scheme {
            "http" => Some("80"),
            "https" => Some("443"),
            _ => None,
        };
        Ok(Self::Exact(
            match port.filter(|port| Some(*port) != usual) {
                Some(port) => format!("{scheme}://{host}:{port}"),
                None => format!("{scheme}://{host}"),
            },
        ))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "*",
            Self::Exact(origin) => origin,
        })
    }
}

fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    // The colons of an IPv6 address stand in brackets.
    let after = authority.rfind(']').map_or(0, |end| end + 1);
    match authority[after..].find(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(after + colon);
            (host, Some(&port[1..]))
        }
        None => (authority, None),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !host.is_empty() && host.bytes().all(is_part)
}

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOrigin {
    /// It does not begin with a scheme.
    #[error("an origin begins with a scheme: `https://app.example`")]
    NoScheme,
    /// It is `null`.
    #[error("`null` is the origin of every sandboxed page and local file: it names nobody")]
    Null,
    /// It has a `*` inside.
    #[error("`*` stands for every origin, never for a part of one: list them one by one")]
    Pattern,
    /// It has letters of other alphabets.
    #[error("browsers write such a host in ASCII (`xn--…`)")]
    NotAscii,
    /// It goes on after the port, or has a user before the host.
    #[error("an origin ends after host and port: no path, no `/` at the end, no user")]
    More,
    /// Host or port are none.
    #[error("host or port are none: `https://app.example`, `http://localhost:3000`")]
    Host,
}

/// What pages of other origins may do.
#[derive(Clone, Debug)]
pub struct Cors {
    /// Those that may ask; `None` for everybody.
    origins: Option<Vec<HeaderValue>>,
    max_age: HeaderValue,
    exposed: HeaderValue,
}

impl Cors {
    /// Allows `origins`. A browser may remember the answer to a preflight for `max_age`; its pages see
    /// the headers `exposed` (names with commas between).
    #[must_use]
    pub fn new(origins: &[Origin], max_age: Duration, exposed: &'static str) -> Self {
        let mut exact = Vec::new();
        let mut any = false;
        for origin in origins {
            match origin {
                Origin::Any => any = true,
                // `Origin` holds visible ASCII only.
                Origin::Exact(text) => exact.extend(HeaderValue::from_str(text)),
            }
        }
        Self {
            origins: (!any).then_some(exact),
            max_age: HeaderValue::from(max_age.as_secs()),
            exposed: HeaderValue::from_static(exposed),
        }
    }

    /// Returns what the answer must name so that the page that asks sees it.
    pub(super) fn allowed(&self, asked: &HeaderMap) -> Option<HeaderValue> {
        let from = asked.get(ORIGIN)?;
        match &self.origins {
            None => Some(HeaderValue::from_static("*")),
            Some(origins) => origins.iter().find(|origin| *origin == from).cloned(),
        }
    }

    /// Completes the answer to `OPTIONS`, if it was a preflight: the methods that the path knows
    /// (`allow`), and the headers that the page asked for, whichever they are: an origin is trusted
    /// or it is not.
    pub(super) fn preflight(&self, asked: &HeaderMap, allow: &HeaderValue, answer: &mut Response) {
        if !asked.contains_key(ACCESS_CONTROL_REQUEST_METHOD) || self.allowed(asked).is_none() {
            return;
        }
        let headers = answer.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
        if let Some(wanted) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
            headers.append(VARY, VARY_HEADERS);
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
    }

    /// Completes any answer to a request for which `allowed` returned this.
    pub(super) fn stamp(&self, allowed: Option<HeaderValue>, answer: &mut Response) {
        let headers = answer.headers_mut();
        if self.origins.is_some() {
            // Also where no origin was named: a cache must not hand this answer to a page.
            headers.append(VARY, VARY_ORIGIN);
        }
        if let Some(origin) = allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed.clone());
        }
    }
}

const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("origin");
const VARY_HEADERS: HeaderValue = HeaderValue::from_static("access-control-request-headers");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_do() {
        for (text, expected) in [
            ("*", "*"),
            ("https://app.example", "https://app.example"),
            ("HTTPS://App.Example:443", "https://app.example"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://localhost:80", "http://localhost"),
            ("https://h:80", "https://h:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            let read = text.parse::<Origin>().map(|origin| origin.to_string());
            assert_eq!(read.as_deref(), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("", BadOrigin::NoScheme),
            ("app.example", BadOrigin::NoScheme),
            ("//app.example", BadOrigin::NoScheme),
            ("1x://app.example", BadOrigin::NoScheme),
            ("null", BadOrigin::Null),
            ("https://*.example", BadOrigin::Pattern),
            ("https://bücher.example", BadOrigin::NotAscii),
            ("https://app.example/", BadOrigin::More),
            ("https://me@app.example", BadOrigin::More),
            ("https://", BadOrigin::Host),
            ("https://:80", BadOrigin::Host),
            ("https://app.example:", BadOrigin::Host),
            ("https://app.example:0", BadOrigin::Host),
            ("https://app.example:70000", BadOrigin::Host),
            ("https://app .example", BadOrigin::Host),
            ("https://app.example\r\nX: y", BadOrigin::Host),
            ("http://[::1", BadOrigin::Host),
            ("http://[::1]x:1", BadOrigin::Host),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(expected), "{text}");
        }
    }

    fn cors(origins: &[&str]) -> Cors {
        let origins: Vec<Origin> = origins.iter().map(|o| o.parse().unwrap()).collect();
        Cors::new(&origins, Duration::from_mins(10), "x-request-id")
    }

    fn asked(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    /// Returns the headers of an answer to `OPTIONS`, sorted.
    fn told(cors: &Cors, asked: &HeaderMap) -> Vec<String> {
        let mut answer = Response::new(bytes::Bytes::new().into());
        let allow = HeaderValue::from_static("POST, OPTIONS");
        cors.preflight(asked, &allow, &mut answer);
        cors.stamp(cors.allowed(asked), &mut answer);
        let headers = answer.headers().iter();
        let mut told: Vec<String> = headers
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        told.sort();
        told
    }

    #[test]
    fn a_preflight_of_a_listed_origin_is_allowed() {
        let headers = asked(&[
            ("origin", "https://app.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,x-api-key"),
        ]);
        let cors = cors(&["https://app.example", "http://localhost:3000"]);
        assert_eq!(
            told(&cors, &headers),
            [
                "access-control-allow-headers: authorization,x-api-key",
                "access-control-allow-methods: POST, OPTIONS",
                "access-control-allow-origin: https://app.example",
                "access-control-expose-headers: x-request-id",
                "access-control-max-age: 600",
                "vary: access-control-request-headers",
                "vary: origin",
            ]
        );
    }

    #[test]
    fn others_learn_nothing() {
        let one = cors(&["https://app.example"]);
        for origin in ["https://evil.example", "https://app.example.evil", "null"] {
            let headers = asked(&[
                ("origin", origin),
                ("access-control-request-method", "POST"),
            ]);
            assert_eq!(told(&one, &headers), ["vary: origin"], "{origin}");
        }
        assert_eq!(told(&one, &asked(&[])), ["vary: origin"]);
    }

    #[test]
    fn everybody_is_named_by_a_star_and_nothing_varies() {
        let all = cors(&["https://app.example", "*"]);
        let headers = asked(&[("origin", "null")]);
        assert_eq!(
            told(&all, &headers),
            [
                "access-control-allow-origin: *",
                "access-control-expose-headers: x-request-id",
            ]
        );
        assert!(told(&all, &asked(&[])).is_empty());
    }
}

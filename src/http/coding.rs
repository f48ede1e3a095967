//! Content codings (RFC 9110, section 8.4): which one a body has or may have, and both directions.
//! Nothing is unpacked without a limit: what comes out is bounded as a body is that came as it is, by
//! the route's limit and by the budget of all bodies. Imports: `base::units`.

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compression, Decompress, FlushDecompress, Status};
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use hyper::{HeaderMap, StatusCode};

use crate::base::units;

use super::body::busy;
use super::budget::{Budget, Share};
use super::problem::{Problem, ProblemCode};

/// Unpacked at a time.
const CHUNK_BYTES: usize = 16 << 10;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// The zlib format (RFC 1950), which HTTP calls `deflate`.
    Deflate,
}

impl Coding {
    /// Returns the coding of a body with these headers, if it has one.
    ///
    /// # Errors
    /// The name of a coding, or of several, that is not known here.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, String> {
        let mut found = None;
        for value in headers.get_all(CONTENT_ENCODING) {
            let name = value.to_str().unwrap_or("unreadable").trim();
            if name.eq_ignore_ascii_case("identity") {
                continue;
            }
            match (Self::named(name), found) {
                (Some(coding), None) => found = Some(coding),
                // Packed twice.
                (Some(_), Some(_)) => return Err(name.to_owned()),
                // Packed in a way that is not known.
                (None, None | Some(_)) => return Err(name.to_owned()),
            }
        }
        Ok(found)
    }

    /// Returns the coding that an answer to a request with these headers may have, the best if there
    /// are several.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut codings = [Self::Gzip, Self::Deflate].into_iter();
        codings.find(|coding| coding.is_asked_for(headers))
    }

    /// May an answer to a request with these headers have it?
    pub(super) fn is_asked_for(self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(ACCEPT_ENCODING).into_iter();
        values.any(|value| value.to_str().is_ok_and(|text| self.is_accepted(text)))
    }

    fn named(name: &str) -> Option<Self> {
        // `x-gzip` is the same (RFC 9110, section 8.4.1.3).
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            Some(Self::Gzip)
        } else if name.eq_ignore_ascii_case("deflate") {
            Some(Self::Deflate)
        } else {
            None
        }
    }

    /// Returns its name in headers.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// Does the header `Accept-Encoding` name it, and not with weight 0 (RFC 9110, section 12.5.3)?
    pub(super) fn is_accepted(self, accepted: &str) -> bool {
        accepted.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let refused = parts.any(|parameter| {
                parameter
                    .strip_prefix("q=")
                    .and_then(|q| q.parse::<f32>().ok())
                    == Some(0.0)
            });
            name.eq_ignore_ascii_case(self.name()) && !refused
        })
    }

    /// Compresses fast; `None` cannot happen but for lack of memory.
    pub(super) fn pack(self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes).ok()?;
                encoder.finish().ok()
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes).ok()?;
                encoder.finish().ok()
            }
        }
    }

    /// Unpacks the body of a request, to at most `max` bytes. That takes time in proportion to what
    /// comes out, so it belongs on a blocking thread.
    ///
    /// # Errors
    /// It is damaged, or too large, or the bodies of all requests take as much as they may.
    pub fn unpack(self, body: &[u8], max: u64, budget: &BodyBudget) -> Result<Bytes, Problem> {
        let mut unpacked = Unpacked {
            bytes: Vec::new(),
            share: budget.0.share(),
            max,
        };
        match self {
            Self::Gzip => gunzip(body, &mut unpacked)?,
            Self::Deflate => inflate(body, &mut unpacked)?,
        }
        Ok(unpacked.share.tie(unpacked.bytes.into()))
    }

    fn broken(self, problem: impl std::fmt::Display) -> Problem {
        let detail = format!("the body is no {}: {problem}", self.name());
        Problem::new(StatusCode::BAD_REQUEST, ProblemCode::BodyBroken, detail)
    }
}

/// The memory that bodies of requests may take together; among a request's extensions, for handlers
/// that unpack its body.
#[derive(Clone, Debug)]
pub struct BodyBudget(pub(super) Arc<Budget>);

/// What has come out so far.
struct Unpacked {
    bytes: Vec<u8>,
    share: Share,
    max: u64,
}

impl Unpacked {
    fn push(&mut self, more: &[u8]) -> Result<(), Problem> {
        let length = self.bytes.len() + more.len();
        if self.max < length as u64 {
            let max = units::bytes(self.max);
            let detail = format!("the unpacked body is larger than {max}");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(Problem::new(status, ProblemCode::BodyTooLarge, detail));
        }
        if self.bytes.capacity() < length {
            let room = (2 * length as u64).min(self.max).max(length as u64);
            // The share is there before the memory is.
            self.share.grow_to(room).map_err(busy)?;
            self.bytes.reserve_exact(room as usize - self.bytes.len());
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }
}

fn gunzip(body: &[u8], unpacked: &mut Unpacked) -> Result<(), Problem> {
    let mut packed = GzDecoder::new(body);
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        let count = packed
            .read(&mut chunk)
            .map_err(|error| Coding::Gzip.broken(error))?;
        if count == 0 {
            break;
        }
        unpacked.push(&chunk[..count])?;
    }
    // Members behind the first are allowed by the format, but millions of empty ones are no body.
    if packed.into_inner().is_empty() {
        Ok(())
    } else {
        Err(Coding::Gzip.broken("there are bytes behind its end"))
    }
}

fn inflate(body: &[u8], unpacked: &mut Unpacked) -> Result<(), Problem> {
    let mut packed = Decompress::new(true);
    let mut chunk = [0; CHUNK_BYTES];
    let mut left = body;
    loop {
        let (taken, given) = (packed.total_in(), packed.total_out());
        let status = packed
            .decompress(left, &mut chunk, FlushDecompress::None)
            .map_err(|error| Coding::Deflate.broken(error))?;
        let taken = (packed.total_in() - taken) as usize;
        let given = (packed.total_out() - given) as usize;
        left = &left[taken..];
        unpacked.push(&chunk[..given])?;
        match status {
            Status::StreamEnd if left.is_empty() => return Ok(()),
            Status::StreamEnd => {
                return Err(Coding::Deflate.broken("there are bytes behind its end"));
            }
            Status::Ok | Status::BufError if taken == 0 && given == 0 => {
                return Err(Coding::Deflate.broken("it ends in the middle"));
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use hyper::header::HeaderValue;

    proptest! {
        #[test]
        fn any_bytes_are_unpacked_within_the_limit_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            plain in prop::collection::vec(0_u8..4, 0..2000),
            flipped: prop::sample::Index,
            value: u8,
            max in 0_u64..2500,
        ) {
            let budget = budget(1 << 20);
            for coding in BOTH {
                let packed = coding.pack(&plain).unwrap();
                let mut damaged = packed.clone();
                let at = flipped.index(damaged.len());
                damaged[at] = value;
                for body in [&bytes, &packed, &damaged] {
                    match coding.unpack(body, max, &budget) {
                        Ok(unpacked) => prop_assert!(unpacked.len() as u64 <= max),
                        Err(problem) => prop_assert!(problem.status.is_client_error()),
                    }
                }
                if plain.len() as u64 <= max {
                    prop_assert_eq!(coding.unpack(&packed, max, &budget).unwrap(), plain.clone());
                }
            }
        }
    }

    const BOTH: [Coding; 2] = [Coding::Gzip, Coding::Deflate];

    fn budget(bytes: u64) -> BodyBudget {
        BodyBudget(Budget::new(bytes))
    }

    fn outcome(result: Result<Bytes, Problem>) -> Result<usize, (u16, String)> {
        result
            .map(|bytes| bytes.len())
            .map_err(|problem| (problem.status.as_u16(), problem.detail.into_owned()))
    }

    #[test]
    fn codings_are_sent_to_those_who_ask() {
        for (header, expected) in [
            ("gzip", Some(Coding::Gzip)),
            ("deflate", Some(Coding::Deflate)),
            ("deflate, GZIP;q=0.5", Some(Coding::Gzip)),
            ("gzip;q=0, deflate", Some(Coding::Deflate)),
            ("gzip;q=0", None),
            ("identity", None),
            ("x-gzip", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(header));
            assert_eq!(Coding::accepted(&headers), expected, "{header}");
        }
        assert_eq!(Coding::accepted(&HeaderMap::new()), None);
    }

    #[test]
    fn codings_of_requests() {
        for (values, expected) in [
            (vec![], Ok(None)),
            (vec!["identity"], Ok(None)),
            (vec!["Gzip"], Ok(Some(Coding::Gzip))),
            (vec!["x-gzip", "identity"], Ok(Some(Coding::Gzip))),
            (vec![" deflate"], Ok(Some(Coding::Deflate))),
            (vec!["br"], Err("br".to_owned())),
            (vec!["gzip, gzip"], Err("gzip, gzip".to_owned())),
            (vec!["gzip", "deflate"], Err("deflate".to_owned())),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(Coding::of(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let budget = budget(1 << 30);
        for coding in BOTH {
            for length in [0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 1] {
                let plain: Vec<u8> = (0..length).map(|i| (i * i % 251) as u8).collect();
                let packed = coding.pack(&plain).unwrap();
                let max = length as u64;
                assert_eq!(coding.unpack(&packed, max, &budget).unwrap(), plain);
                if 0 < length {
                    let (status, detail) =
                        outcome(coding.unpack(&packed, max - 1, &budget)).unwrap_err();
                    assert_eq!(status, 413);
                    assert!(
                        detail.starts_with("the unpacked body is larger"),
                        "{detail}"
                    );
                }
                for cut in [0, 1, packed.len() / 2, packed.len() - 1] {
                    let (status, _) =
                        outcome(coding.unpack(&packed[..cut], max, &budget)).unwrap_err();
                    assert_eq!(status, 400, "{coding:?} of {length} cut off at {cut}");
                }
                let more = [packed.as_slice(), b"x"].concat();
                let (status, detail) = outcome(coding.unpack(&more, max, &budget)).unwrap_err();
                assert_eq!((status, detail.ends_with("behind its end")), (400, true));
            }
            assert_eq!(
                outcome(coding.unpack(b"plain", 10, &budget)).unwrap_err().0,
                400
            );
        }
    }

    #[test]
    fn what_comes_out_counts_among_all_bodies() {
        let budget = budget(1 << 20);
        let bomb = Coding::Gzip.pack(&vec![0; 1 << 20]).unwrap();
        assert!(bomb.len() < 10_000);
        let first = Coding::Gzip.unpack(&bomb, 1 << 20, &budget).unwrap();
        assert_eq!(
            outcome(Coding::Gzip.unpack(&bomb, 1 << 20, &budget))
                .unwrap_err()
                .0,
            503
        );
        drop(first);
        assert_eq!(
            outcome(Coding::Gzip.unpack(&bomb, 1 << 20, &budget)),
            Ok(1 << 20)
        );
    }
}

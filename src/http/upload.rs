//! A request's body that is not collected: whoever answers takes it piece by piece, within the
//! route's limit of size and the server's limit of time for each piece. Imports: nothing of ours.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::body::{broken, too_large, too_slow};
use super::problem::Problem;

/// The body of a request to a streamed route; among the request's extensions. What is not read to
/// its end costs the connection, as any body that nobody reads.
#[derive(Clone, Debug)]
pub struct Upload(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    body: Mutex<Option<Incoming>>,
    announced: Option<u64>,
    max: u64,
    timeout: Duration,
    received: AtomicU64,
    is_read: AtomicBool,
}

impl Upload {
    /// Prepares `body`; one that announces more than `max` bytes is refused unread.
    pub(super) fn new(body: Incoming, max: u64, timeout: Duration) -> Result<Self, Problem> {
        if max < body.size_hint().lower() {
            return Err(too_large(max));
        }
        Ok(Self(Arc::new(Shared {
            announced: body.size_hint().exact(),
            is_read: AtomicBool::new(body.is_end_stream()),
            body: Mutex::new(Some(body)),
            max,
            timeout,
            received: AtomicU64::new(0),
        })))
    }

    /// Returns the size that the client announced, bytes.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        self.0.announced
    }

    /// Hands the body out, once.
    #[must_use]
    pub fn take(&self) -> Option<Pieces> {
        let mut body = self.0.body.lock().unwrap_or_else(PoisonError::into_inner);
        let body = body.take()?;
        Some(Pieces {
            body,
            shared: Arc::clone(&self.0),
        })
    }

    /// Returns how many bytes were read so far.
    pub(super) fn received(&self) -> u64 {
        self.0.received.load(Ordering::SeqCst)
    }

    /// Was all of it read?
    pub(super) fn is_read(&self) -> bool {
        self.0.is_read.load(Ordering::SeqCst)
    }
}

/// A body on its way.
#[derive(Debug)]
pub struct Pieces {
    body: Incoming,
    shared: Arc<Shared>,
}

impl Pieces {
    /// Returns the next bytes, `None` at the end.
    ///
    /// # Errors
    /// The body is larger than the route takes, broke off, or did not go on in time.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let frame = tokio::time::timeout(self.shared.timeout, self.body.frame())
                .await
                .map_err(|_| too_slow("the next part of the body", self.shared.timeout))?;
            let Some(frame) = frame else {
                self.shared.is_read.store(true, Ordering::SeqCst);
                return Ok(None);
            };
            // Trailers say nothing that is asked for here.
            let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() else {
                continue;
            };
            let length = data.len() as u64;
            let before = self.shared.received.fetch_add(length, Ordering::SeqCst);
            if self.shared.max < before + length {
                return Err(too_large(self.shared.max));
            }
            if self.body.is_end_stream() {
                self.shared.is_read.store(true, Ordering::SeqCst);
            }
            return Ok(Some(data));
        }
    }
}

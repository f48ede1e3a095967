//! What is noted about a request: metrics, and one line of the access log (`tracing`, target
//! `cvops::http`, level info).
//!
//! A `Record` lives from the head of a request to the last byte of its answer: it travels in the
//! answer's body and is written when that is dropped, however that comes about.
//! Imports: nothing of ours.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use hyper::{Method, StatusCode};
use tracing::field::display;

use super::connection::Visit;
use super::request_id::RequestId;
use super::run::Server;
use super::trace::TraceContext;

/// One request on its way.
pub(super) struct Record {
    server: Arc<Server>,
    start: Instant,
    method: Method,
    /// Number of its path in the table; one past the last for unknown ones.
    path: usize,
    pub(super) id: RequestId,
    /// Where it comes from.
    client: Option<IpAddr>,
    /// Who asks, if a guard knows.
    pub(super) who: Option<Arc<str>>,
    pub(super) trace: TraceContext,
    /// Size of its body, once that is read.
    pub(super) received: u64,
    status: Option<StatusCode>,
    sent: u64,
}

impl Record {
    /// Notes that a request of `client` has come in.
    pub(super) fn start(
        server: &Arc<Server>,
        visit: &Visit,
        client: Option<IpAddr>,
        method: Method,
        path: usize,
        id: RequestId,
        trace: TraceContext,
    ) -> Self {
        server.in_flight.fetch_add(1, Ordering::SeqCst);
        visit.greeted.store(true, Ordering::SeqCst);
        server.app.of_routes[path].in_progress.inc();
        Self {
            server: Arc::clone(server),
            start: Instant::now(),
            method,
            path,
            id,
            client,
            who: None,
            trace,
            received: 0,
            status: None,
            sent: 0,
        }
    }

    /// Notes that it was answered.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let route = &self.server.app.of_routes[self.path];
        let took = self.start.elapsed();
        route.in_progress.dec();
        match self.status {
            Some(status) => {
                route.request_size.observe(self.received as f64);
                route.response_size.observe(self.sent as f64);
                let metrics = &self.server.app.metrics;
                metrics.count(route, &self.method, status, took.as_secs_f64());
                tracing::info!(
                    target: "cvops::http",
                    method = %self.method,
                    route = route.handler(),
                    status = status.as_u16(),
                    ms = (took.as_secs_f64() * 1e6).round() / 1e3,
                    bytes = self.sent,
                    client = self.client.map(display),
                    key = self.who.as_deref(),
                    request_id = self.id.as_str(),
                    trace_id = %self.trace.trace_id,
                    "answered"
                );
            }
            None => tracing::info!(
                target: "cvops::http",
                method = %self.method,
                route = route.handler(),
                ms = (took.as_secs_f64() * 1e6).round() / 1e3,
                client = self.client.map(display),
                key = self.who.as_deref(),
                request_id = self.id.as_str(),
                trace_id = %self.trace.trace_id,
                "the client went away"
            ),
        }
        self.server.finished.fetch_add(1, Ordering::SeqCst);
        self.server.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The body of an answer with the record of its request.
pub(super) struct Recorded<B> {
    body: B,
    record: Record,
}

impl<B> Recorded<B> {
    pub(super) fn new(body: B, record: Record) -> Self {
        Self { body, record }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Recorded<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.record.sent += data.remaining() as u64;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

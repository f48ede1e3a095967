//! One connection: hyper over a socket, with timeouts, a close that lets the client read the last
//! answer, an end for clients that take nothing, and a drain that ends idle connections at once. Imports: nothing of ours.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::answer::answer;
use super::listen::Caller;
use super::places::Place;
use super::problem::{Asked, Problem, ProblemCode};
use super::request_id::RequestId;
use super::run::Server;
use super::stream::Stream;

/// How long a client may go on sending after an answer that ends the connection. Closing at once
/// would make the system throw the answer away with the bytes that nobody read.
const LINGER: Duration = Duration::from_secs(2);

/// What a connection buffers, bytes: also the largest head. hyper looks after each read, so that twice as
/// much may be there. Its own limit is 408 KiB, which is much for each of a thousand connections.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// How long an answer to a client that did not send its request in time may take: it may have gone.
const LAST_WORD: Duration = Duration::from_secs(1);

/// How long a drain waits for the first request of a connection that has sent none.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// How long a drain looks for a next request that has arrived. Any time that is not none lets the
/// runtime ask the system once more.
const NEXT_REQUEST: Duration = Duration::from_millis(1);

/// What a connection and its requests tell each other.
#[derive(Debug)]
pub(super) struct Visit {
    /// The address at the other end; a Unix socket has none.
    pub(super) peer: Option<IpAddr>,
    /// What its requests may be about.
    pub(super) place: Place,
    /// There was a request.
    pub(super) greeted: AtomicBool,
    /// The last answer ends the connection while the client may still be sending.
    pub(super) lingers: AtomicBool,
    /// The server was asked to stop.
    drains: AtomicBool,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    server: Arc<Server>,
    caller: Caller,
    place: Place,
    draining: watch::Receiver<bool>,
) {
    let visit = Arc::new(Visit {
        peer: caller.peer,
        place,
        greeted: AtomicBool::new(false),
        lingers: AtomicBool::new(false),
        drains: AtomicBool::new(false),
    });
    let stay = server.limits.spare_timeout;
    tokio::select! {
        () = converse(server, caller, &visit, draining) => {}
        () = outstayed(&visit.place, stay) => {
            tracing::debug!(target: "cvops::http", "a connection beyond the limit was given up");
        }
    }
}

/// Ends when a connection has had a spare place for as long as it may.
async fn outstayed(place: &Place, stay: Duration) {
    if place.is_spare() {
        tokio::time::sleep(stay).await;
    }
    // It may have got another one.
    if !place.is_spare() {
        std::future::pending::<()>().await;
    }
}

async fn converse(
    server: Arc<Server>,
    caller: Caller,
    visit: &Arc<Visit>,
    mut draining: watch::Receiver<bool>,
) {
    let stream = tokio::select! {
        stream = caller.greet(server.limits.header_timeout) => stream,
        () = drained_and(FIRST_REQUEST, &mut draining) => None,
    };
    let Some(stream) = stream else {
        return;
    };
    let socket = Socket {
        io: TokioIo::new(stream),
        visit: Arc::clone(visit),
        lingering: None,
        stall: None,
        reads_later: false,
        patience: Patience {
            usual: server.limits.stall_timeout,
            in_drain: server.limits.drain_stall_timeout,
        },
    };
    let service = {
        let (server, visit) = (Arc::clone(&server), Arc::clone(visit));
        service_fn(move |request| answer(Arc::clone(&server), Arc::clone(&visit), request))
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(server.limits.header_timeout)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(socket, service);
    let mut ended = tokio::select! {
        biased;
        ended = &mut connection => Some(ended),
        () = drained_and(Duration::ZERO, &mut draining) => None,
    };
    if ended.is_none() {
        visit.drains.store(true, Ordering::SeqCst);
        // hyper closes a connection at once of which it has read nothing yet, and so loses a request
        // that has arrived.
        let patience = if visit.greeted.load(Ordering::SeqCst) {
            NEXT_REQUEST
        } else {
            FIRST_REQUEST
        };
        ended = tokio::select! {
            biased;
            ended = &mut connection => Some(ended),
            () = tokio::time::sleep(patience) => None,
        };
    }
    let ended = match ended {
        Some(ended) => ended,
        None if visit.greeted.load(Ordering::SeqCst) => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
        // It has sent nothing, or half a head, for which hyper would wait.
        None => Ok(()),
    };
    match ended {
        Ok(()) => {}
        Err(error) if error.is_timeout() => {
            let mut parts = connection.into_parts();
            // A connection that idled is closed without a word.
            if !parts.read_buf.is_empty() {
                say_timeout(&server, parts.io.io.inner_mut()).await;
            }
        }
        Err(error) => tracing::debug!(target: "cvops::http", %error, "a connection broke"),
    }
}

/// Ends `more` after the drain began.
async fn drained_and(more: Duration, draining: &mut watch::Receiver<bool>) {
    // The sender lives as long as the server.
    let _ = draining.wait_for(|draining| *draining).await;
    if !more.is_zero() {
        tokio::time::sleep(more).await;
    }
}

/// Answers a head that did not come in time: hyper only gives up.
async fn say_timeout(server: &Server, stream: &mut Stream) {
    let id = RequestId::new();
    let problem = Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        ProblemCode::Other("header_timeout"),
        "the head of the request did not arrive in time",
    );
    let asked = Asked {
        path: "",
        template: None,
        request_id: &id,
    };
    let rendered = (server.app.render)(&problem, &asked);
    let head = format!(
        "HTTP/1.1 408 Request Timeout\r\n{CONTENT_TYPE}: {}\r\ncontent-length: {}\r\nx-request-id: {}\r\nconnection: close\r\n\r\n",
        rendered.content_type.to_str().unwrap_or("text/plain"),
        rendered.body.len(),
        id.as_str(),
    );
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&rendered.body);
    let said = async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    };
    // A client that slow may have gone.
    let _ = tokio::time::timeout(LAST_WORD, said).await;
}

/// A socket that lingers: after the last answer it reads on, into nothing, until the client is done
/// or `LINGER` is over. Of a client that takes nothing of what is written nothing is read, and after a
/// while it is an error, so that hyper ends the connection.
struct Socket {
    io: TokioIo<Stream>,
    visit: Arc<Visit>,
    lingering: Option<Pin<Box<Sleep>>>,
    stall: Option<Stall>,
    /// hyper wanted to read during the stall.
    reads_later: bool,
    patience: Patience,
}

/// How long a client may take nothing.
struct Patience {
    usual: Duration,
    in_drain: Duration,
}

/// There is something to write, and no room for it.
struct Stall {
    since: Instant,
    /// What had gone out below TLS when it began.
    sent: Option<u64>,
    over: Pin<Box<Sleep>>,
}

impl Socket {
    /// Passes on what came of writing, flushing or shutting down, unless the client took nothing for too
    /// long. Writing alone does not tell: TLS takes 64 KiB and is `Ready`, and what waits then is the flush,
    /// or the shutdown of a connection that ends.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.stall = None;
            if std::mem::take(&mut self.reads_later) {
                cx.waker().wake_by_ref();
            }
            return done;
        }
        // A part of what waits in TLS has gone out.
        let sent = self.io.inner().sent();
        if self.stall.as_ref().is_some_and(|stall| stall.sent != sent) {
            self.stall = None;
        }
        let patience = if self.visit.drains.load(Ordering::SeqCst) {
            self.patience.in_drain.min(self.patience.usual)
        } else {
            self.patience.usual
        };
        let stall = self.stall.get_or_insert_with(|| {
            let since = Instant::now();
            Stall {
                since,
                sent,
                over: Box::pin(tokio::time::sleep_until(since + patience)),
            }
        });
        // A drain shortens it.
        let deadline = stall.since + patience;
        if deadline < stall.over.deadline() {
            stall.over.as_mut().reset(deadline);
        }
        if stall.over.as_mut().poll(cx).is_ready() {
            let what = "the client takes nothing of its answer";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)));
        }
        Poll::Pending
    }
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // Requests may come one behind the other without end, and hyper keeps the heads of all answers
        // that nobody takes. The write that wakes this task lets it read again.
        if self.stall.is_some() {
            self.reads_later = true;
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.unless_stalled(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.unless_stalled(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            let shut = Pin::new(&mut this.io).poll_shutdown(cx);
            std::task::ready!(this.unless_stalled(cx, shut))?;
            if !this.visit.lingers.load(Ordering::SeqCst) {
                return Poll::Ready(Ok(()));
            }
        }
        let over = this
            .lingering
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut scratch = [0; 16 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(this.io.inner_mut()).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, buffers);
        self.unless_stalled(cx, written)
    }
}

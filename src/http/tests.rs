//! The behaviour of a server, seen from its clients: raw sockets against a small app on port 0. Here are
//! the app and its client; the tests are in modules by what they are about.

mod answers;
mod bodies;
mod counts;
mod crowd;
mod drain;
mod guard;
mod patience;
mod ports;
mod stall_tls;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use prometheus::Registry;
use serde_json::json;
use tokio::sync::Notify;
use warp::{Filter, Reply};

use crate::base::{Cancel, CancelReason};

use super::*;

/// What a test waits at most for something that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The largest body of `/echo`, bytes.
const ECHO_MAX: u64 = 1000;

/// The largest body of `/length`, bytes.
const LENGTH_MAX: u64 = 1 << 20;

/// The largest body of streamed routes, bytes.
const UPLOAD_MAX: u64 = 3 << 20;

/// The answer of `/long`: pieces, and bytes of each.
const LONG_PIECES: usize = 64;
const LONG_PIECE: usize = 1 << 20;

/// The answer of `/page`, bytes.
const PAGE: usize = 48 << 10;

/// A server that runs in a thread of this process.
struct TestServer {
    addr: SocketAddr,
    cancel: Cancel,
    registry: Registry,
    /// Told each time when `/slow` has been reached.
    reached: mpsc::Receiver<()>,
    /// Lets one `/slow` go on.
    release: Arc<Notify>,
    draining: mpsc::Receiver<()>,
    ended: std::thread::JoinHandle<Drained>,
}

fn start(limits: Limits) -> TestServer {
    start_with(limits, |app| app)
}

fn start_with(limits: Limits, finish: impl FnOnce(App) -> App) -> TestServer {
    start_on(Listener::from, limits, finish)
}

fn start_on(
    listener: impl FnOnce(Bound) -> Listener,
    limits: Limits,
    finish: impl FnOnce(App) -> App,
) -> TestServer {
    let bound = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    start_at(bound, listener, Cancel::new(), limits, finish)
}

fn start_at(
    bound: Bound,
    listener: impl FnOnce(Bound) -> Listener,
    cancel: Cancel,
    limits: Limits,
    finish: impl FnOnce(App) -> App,
) -> TestServer {
    let (reach, reached) = mpsc::channel();
    let (drain, draining) = mpsc::channel();
    let reach = Arc::new(Mutex::new(reach));
    let release = Arc::new(Notify::new());
    let registry = Registry::new();
    let routes = RouteTable::new(vec![
        Route::get("/hello"),
        Route::post("/echo", ECHO_MAX),
        Route::get("/panic"),
        Route::get("/slow"),
        Route::get("/id"),
        Route::get("/trace"),
        Route::post("/length", LENGTH_MAX),
        Route::new(Method::PUT, "/up/{*path}", UPLOAD_MAX).streamed(),
        Route::post("/ignored", UPLOAD_MAX).streamed(),
        Route::get("/stream/{size}"),
        Route::get("/long"),
        Route::get("/page"),
    ]);
    let slow = {
        let release = Arc::clone(&release);
        warp::path!("slow").and(warp::get()).then(move || {
            let (reach, release) = (Arc::clone(&reach), Arc::clone(&release));
            async move {
                reach.lock().unwrap().send(()).unwrap();
                release.notified().await;
                "slow"
            }
        })
    };
    let hello = warp::path!("hello").and(warp::get()).map(|| "hello");
    let echo = warp::path!("echo")
        .and(warp::post())
        .and(warp::body::bytes())
        .map(|body: Bytes| {
            warp::http::Response::new(warp::reply::Response::new(body.into()).into_body())
        });
    let panics = warp::path!("panic")
        .and(warp::get())
        .then(|| async { std::hint::black_box(None::<&str>).expect("a secret of the house") });
    let id = warp::path!("id")
        .and(warp::get())
        .and(warp::ext::get::<RequestId>())
        .map(|id: RequestId| id.as_str().to_owned());
    let trace = warp::path!("trace")
        .and(warp::get())
        .and(warp::ext::get::<TraceContext>())
        .map(|trace: TraceContext| trace.to_string());
    let length = warp::path!("length")
        .and(warp::post())
        .and(warp::body::bytes())
        .map(|body: Bytes| body.len().to_string());
    let upload = warp::path("up")
        .and(warp::put())
        .and(warp::ext::get::<Matched>())
        .and(warp::ext::get::<Upload>())
        .then(upload);
    let ignored = warp::path!("ignored").and(warp::post()).map(|| "ignored");
    let streamed = warp::path("stream")
        .and(warp::ext::get::<Matched>())
        .map(|matched: Matched| {
            // As many pieces as the size says, of one byte each, but never more than 3.
            let size: u64 = matched.params[0].parse().unwrap();
            let pieces = ["a", "b", "c"].into_iter().take(size as usize);
            let pieces = pieces.map(|piece| Ok(Bytes::from(piece)));
            stream(size, futures_util::stream::iter(pieces))
        });
    // More than the buffers of any system hold.
    let long = warp::path!("long").and(warp::get()).map(|| {
        let (_switch, ending) = ending();
        let mut left = LONG_PIECES;
        let next = move || {
            left = left.saturating_sub(1);
            Ok((0 < left).then(|| vec![b'x'; LONG_PIECE]))
        };
        let kind = header::HeaderValue::from_static("text/plain");
        piecemeal(kind, &HeaderMap::new(), &ending, next)
    });
    let filter = hello
        .or(long)
        .or(page())
        .or(upload)
        .or(ignored)
        .or(streamed)
        .or(echo)
        .or(length)
        .or(panics)
        .or(slow)
        .or(id)
        .or(trace)
        .map(Reply::into_response);
    let metrics = Metrics::new(&registry).unwrap();
    let app = finish(App::new(routes, filter, render, &metrics));
    let addr = bound.addr();
    let listener = listener(bound);
    let ended = {
        let cancel = cancel.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                // One, so that a request has begun when the next one is looked at.
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            let on_drain = || drain.send(()).unwrap();
            let drained = runtime.block_on(serve(listener, app, limits, &cancel, on_drain));
            runtime.shutdown_background();
            drained.unwrap()
        })
    };
    TestServer {
        addr,
        cancel,
        registry,
        reached,
        release,
        draining,
        ended,
    }
}

/// Answers with less than TLS holds by itself.
fn page() -> impl Filter<Extract = (String,), Error = warp::Rejection> + Clone {
    warp::path!("page")
        .and(warp::get())
        .map(|| "x".repeat(PAGE))
}

/// Reads a body piece by piece and says what came.
async fn upload(matched: Matched, upload: Upload) -> Response {
    let mut length = 0;
    let mut pieces = upload.take().unwrap();
    assert!(upload.take().is_none(), "a body is handed out once");
    loop {
        match pieces.next().await {
            Ok(Some(bytes)) => length += bytes.len(),
            Ok(None) => break,
            Err(problem) => {
                let text = problem.detail.clone().into_owned();
                return problem.respond(Rendered::json(&json!({
                    "code": problem.code.as_str(), "detail": text,
                })));
            }
        }
    }
    let text = format!("{:?} {length}", matched.params);
    Response::new(text.into())
}

fn render(problem: &Problem, asked: &Asked<'_>) -> Rendered {
    Rendered::json(&json!({
        "code": problem.code.as_str(),
        "detail": problem.detail,
        "path": asked.path,
        "template": asked.template,
    }))
}

impl TestServer {
    fn connect(&self) -> Client {
        Client::to(self.addr)
    }

    /// Sends one request on a connection of its own.
    fn ask(&self, request: &str) -> Answer {
        self.connect().ask(request)
    }

    fn stop(self) -> Drained {
        self.cancel.request(CancelReason::Terminated);
        self.ended.join().unwrap()
    }

    fn metric(&self, series: &str) -> Option<f64> {
        let text = exposition(&self.registry).unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    /// Waits until a series has a value: it is written after the client has its answer.
    fn until(&self, series: &str, value: f64) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.metric(series) != Some(value) {
            let found = self.metric(series);
            assert!(
                std::time::Instant::now() < deadline,
                "{series} is {found:?}, not {value}"
            );
            std::thread::yield_now();
        }
    }
}

struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    /// In lower case.
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["code"].as_str().unwrap().to_owned()
    }
}

impl Client {
    fn to(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    fn send(&mut self, text: &str) -> &mut Self {
        self.stream.write_all(text.as_bytes()).unwrap();
        self
    }

    fn ask(&mut self, request: &str) -> Answer {
        self.send(request);
        self.answer(request.starts_with("HEAD"))
    }

    /// Reads one answer; `bare` ones have no body whatever their head says.
    fn answer(&mut self, bare: bool) -> Answer {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.more(), "no answer: {:?}", self.read);
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let mut answer = Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_lowercase(),
            body: String::new(),
        };
        if !bare && answer.status != 204 {
            let length: usize = answer.header("content-length").unwrap().parse().unwrap();
            while self.read.len() < length {
                assert!(self.more(), "half an answer");
            }
            answer.body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        }
        answer
    }

    /// Reads on; false at the end of the connection.
    fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).unwrap();
        self.read.extend_from_slice(&buffer[..count]);
        count != 0
    }

    /// Has the server closed the connection, without another byte?
    fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !self.more()
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

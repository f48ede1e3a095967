//! The behaviour of a server, seen from its clients: raw sockets against a small app on port 0.

mod crowd;
mod guard;
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

fn short() -> Limits {
    Limits {
        header_timeout: Duration::from_millis(50),
        body_timeout: Duration::from_millis(50),
        ..Limits::default()
    }
}

#[test]
fn paths_come_before_methods() {
    let server = start(Limits::default());
    let unknown = server.ask(&get("/nowhere"));
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "not_found")
    );
    assert_eq!(server.ask(&post("/nowhere", "")).status, 404);
    let other = server.ask(&post("/hello", ""));
    assert_eq!(
        (other.status, other.code().as_str()),
        (405, "method_not_allowed")
    );
    assert_eq!(other.header("allow"), Some("get, head, options"));
    let options = server.ask("OPTIONS /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(options.status, 204);
    assert_eq!(options.header("allow"), Some("post, options"));
    assert_eq!(
        server.ask("OPTIONS /x HTTP/1.1\r\nHost: x\r\n\r\n").status,
        404
    );
    // A body that nobody reads ends the connection, and the answer still arrives.
    let refused = server.ask(&post("/nowhere", &"x".repeat(100_000)));
    assert_eq!(
        (refused.status, refused.header("connection")),
        (404, Some("close"))
    );
    server.stop();
}

#[test]
fn head_is_get_without_its_body() {
    let server = start(Limits::default());
    let mut client = server.connect();
    let head = client.ask("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("5"))
    );
    // Had the body been sent, it would stand before the next answer.
    let get = client.ask(&get("/hello"));
    assert_eq!((get.status, get.body.as_str()), (200, "hello"));
    assert_eq!(
        client.ask("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n").status,
        404
    );
    drop(client);
    server.stop();
}

#[test]
fn a_connection_carries_many_requests() {
    let server = start(Limits::default());
    let mut client = server.connect();
    for i in 0..50 {
        let body = format!("{i}").repeat(10);
        assert_eq!(client.ask(&post("/echo", &body)).body, body);
    }
    server.until("cvops_http_connections", 1.0);
    drop(client);
    server.until("cvops_http_connections", 0.0);
    server.stop();
}

#[test]
fn bodies_have_a_limit_however_they_come() {
    let server = start(Limits::default());
    let most = "x".repeat(ECHO_MAX as usize);
    assert_eq!(server.ask(&post("/echo", &most)).body, most);
    // In pieces, chunked.
    let chunked = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = server.connect();
    client.send(chunked);
    for piece in ["3\r\nabc\r\n", "4\r\ndefg\r\n"] {
        client.send(piece);
    }
    assert_eq!(client.ask("0\r\n\r\n").body, "abcdefg");

    let refused = |answer: &Answer| {
        assert_eq!(answer.status, 413);
        assert_eq!(answer.code(), "body_too_large");
        assert_eq!(answer.header("connection"), Some("close"));
    };
    // Announced: refused before a byte of it is sent.
    let announced = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n";
    let mut client = server.connect();
    refused(&client.ask(announced));
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.is_closed());
    // Not announced: refused when it is too much.
    let chunk = format!("{chunked}3e9\r\n{}\r\n", "x".repeat(1001));
    refused(&server.ask(&chunk));
    // A client that sends all before it listens reads the answer too.
    refused(&server.ask(&post("/echo", &"x".repeat(8 << 20))));
    // A route without a body takes none.
    refused(&server.ask(&post("/hello", "x").replace("POST", "GET")));
    server.stop();
}

#[test]
fn streamed_bodies_are_read_piece_by_piece() {
    let server = start(Limits {
        body_timeout: Duration::from_millis(200),
        // What is streamed takes nothing of it.
        bodies_bytes_max: 100_000,
        ..Limits::default()
    });
    let put = |path: &str, body: &str| post(path, body).replace("POST", "PUT");
    let mut client = server.connect();
    let all = "x".repeat(UPLOAD_MAX as usize);
    let answer = client.ask(&put("/up/a%20b/c", &all));
    assert_eq!(answer.body, format!("[\"a%20b/c\"] {UPLOAD_MAX}"));
    assert_eq!(answer.header("connection"), None);
    server.until(
        r#"http_request_size_bytes_sum{handler="/up/{*path}"}"#,
        UPLOAD_MAX as f64,
    );
    // In pieces, chunked, on the same connection; each piece has the whole time.
    client.send("PUT /up/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in ["3\r\nabc\r\n", "4\r\ndefg\r\n"] {
        client.send(piece);
    }
    assert_eq!(client.ask("0\r\n\r\n").body, "[\"x\"] 7");
    // Empty.
    assert_eq!(client.ask(&put("/up/x", "")).body, "[\"x\"] 0");

    let is_over = |answer: &Answer, status, code: &str| {
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        assert_eq!(answer.header("connection"), Some("close"));
    };
    // Announced: refused before a byte of it is sent. Not announced: when it is too much.
    let announced = format!(
        "PUT /up/x HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        UPLOAD_MAX + 1
    );
    is_over(&server.ask(&announced), 413, "body_too_large");
    let chunked = "PUT /up/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let large = format!("{chunked}{:x}\r\n{all}x\r\n0\r\n\r\n", UPLOAD_MAX + 1);
    is_over(&server.ask(&large), 413, "body_too_large");
    is_over(
        &server.ask(&format!("{chunked}no number\r\n")),
        400,
        "body_broken",
    );
    is_over(
        &server.ask(&format!("{chunked}3\r\nab")),
        408,
        "body_timeout",
    );

    // What nobody reads ends the connection, and the answer still arrives.
    let ignored = server.ask(&post("/ignored", &all));
    assert_eq!((ignored.status, ignored.body.as_str()), (200, "ignored"));
    assert_eq!(ignored.header("connection"), Some("close"));
    let mut client = server.connect();
    let nothing = client.ask(&post("/ignored", ""));
    assert_eq!(nothing.header("connection"), None);
    assert_eq!(client.ask(&get("/hello")).status, 200);
    drop(client);
    server.stop();
}

#[test]
fn streams_have_a_size_and_break_off_when_they_end_before_it() {
    let server = start(Limits::default());
    let mut client = server.connect();
    let answer = client.ask(&get("/stream/3"));
    assert_eq!((answer.status, answer.body.as_str()), (200, "abc"));
    assert_eq!(answer.header("content-length"), Some("3"));
    let head = client.ask("HEAD /stream/3 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(head.header("content-length"), Some("3"));
    client.send(&get("/stream/4"));
    let mut bytes = Vec::new();
    // What was written before the stream ended may be thrown away with the connection.
    let _ = client.stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    assert!(body.len() < 4, "{text}");
    server.stop();
}

#[test]
fn large_texts_are_compressed_for_those_who_ask() {
    let large = Bytes::from("{\"a\": 1}".repeat(1000));
    let json = header::HeaderValue::from_static("application/json");
    let asked = |accepted: &'static str| {
        let mut headers = HeaderMap::new();
        let accepted = header::HeaderValue::from_static(accepted);
        headers.insert(header::ACCEPT_ENCODING, accepted);
        headers
    };
    let encoding = |body: &Bytes, headers: &HeaderMap| {
        let response = text(body.clone(), json.clone(), headers);
        let varies = response.headers().contains_key("vary");
        let encoding = response.headers().get("content-encoding").cloned();
        (encoding.map(|e| e.to_str().unwrap().to_owned()), varies)
    };
    let gzip = Some("gzip".to_owned());
    assert_eq!(encoding(&large, &asked("gzip, deflate")), (gzip, true));
    assert_eq!(encoding(&large, &asked("gzip;q=0")), (None, true));
    assert_eq!(encoding(&large, &HeaderMap::new()), (None, true));
    let small = large.slice(..1000);
    assert_eq!(encoding(&small, &asked("gzip")), (None, false));
}

#[test]
fn bodies_share_a_budget() {
    let server = start(Limits {
        bodies_bytes_max: 300_000,
        ..Limits::default()
    });
    let head = "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n";
    let mut first = server.connect();
    // With a byte of its body, the request is sure to be seen before the next connection's.
    first.send(head).send("x");
    server.until("cvops_http_requests_in_progress{handler=\"/length\"}", 1.0);
    let refused = |answer: &Answer| {
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "body_budget")
        );
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.header("connection"), Some("close"));
    };
    // Who only announces takes nothing.
    let large = post("/length", &"x".repeat(250_000));
    assert_eq!(server.ask(&large).body, "250000");
    // Who sends takes room for as much again, as soon as that has been read.
    first.send(&"x".repeat(149_999));
    let begin = std::time::Instant::now();
    while server.ask(&large).status != 503 {
        assert!(begin.elapsed() < PATIENCE);
    }
    // Announced: refused before a byte of it is sent.
    refused(&server.ask(head));
    // Not announced: refused when it is too much.
    let piece = format!("{:x}\r\n{}\r\n", 150_000, "x".repeat(150_000));
    let chunked = "POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    refused(&server.ask(&format!("{chunked}{piece}")));
    // Small ones are still answered.
    let small = post("/length", &"x".repeat(60_000));
    assert_eq!(server.ask(&small).body, "60000");
    assert_eq!(first.ask(&"x".repeat(50_000)).body, "200000");
    // What an answered request took is there again.
    for _ in 0..3 {
        assert_eq!(
            server.ask(&format!("{chunked}{piece}0\r\n\r\n")).body,
            "150000"
        );
        assert_eq!(
            server.ask(&post("/length", &"x".repeat(250_000))).body,
            "250000"
        );
    }
    // And what one took that was given up.
    let mut gone = server.connect();
    gone.send(head).send("x");
    server.until("cvops_http_requests_in_progress{handler=\"/length\"}", 1.0);
    drop(gone);
    server.until("cvops_http_requests_in_progress{handler=\"/length\"}", 0.0);
    assert_eq!(
        server.ask(&post("/length", &"x".repeat(250_000))).body,
        "250000"
    );
    drop(first);
    server.stop();
}

#[test]
fn broken_bodies_and_heads_are_bad_requests() {
    let server = start(Limits::default());
    let chunked =
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n";
    let answer = server.ask(chunked);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "body_broken")
    );
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(server.ask("NO HTTP\r\n\r\n").status, 400);
    assert_eq!(server.ask(&get("/hello")).status, 200);
    server.stop();
}

#[test]
fn slow_clients_are_told_and_left() {
    let server = start(short());
    let mut client = server.connect();
    let body = client.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!((body.status, body.code().as_str()), (408, "body_timeout"));
    assert_eq!(body.header("connection"), Some("close"));

    let mut client = server.connect();
    let head = client.ask("GET /hello HTTP/1.1\r\nHos");
    assert_eq!(
        (head.status, head.header("connection")),
        (408, Some("close"))
    );
    assert!(head.header("x-request-id").is_some());
    assert!(client.is_closed());

    // One that says nothing is left without a word.
    assert!(server.connect().is_closed());
    server.stop();
}

#[test]
fn a_panic_is_an_answer_and_the_server_lives_on() {
    let server = start(Limits::default());
    let mut client = server.connect();
    let answer = client.ask("GET /panic HTTP/1.1\r\nHost: x\r\nX-Request-Id: p1\r\n\r\n");
    assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
    assert_eq!(answer.header("x-request-id"), Some("p1"));
    assert!(!answer.body.contains("secret"), "{}", answer.body);
    assert_eq!(client.ask(&get("/hello")).status, 200);
    drop(client);
    server.stop();
}

#[test]
fn every_answer_has_a_request_id() {
    let server = start(Limits::default());
    let ask = |id: &str| server.ask(&format!("GET /id HTTP/1.1\r\nHost: x\r\n{id}\r\n"));
    let given = ask("X-Request-Id: abc-1\r\n");
    assert_eq!(
        (given.header("x-request-id"), given.body.as_str()),
        (Some("abc-1"), "abc-1")
    );
    for bad in [
        String::new(),
        "a b".to_owned(),
        "ä".to_owned(),
        "x".repeat(129),
    ] {
        let made = ask(&format!("X-Request-Id: {bad}\r\n"));
        let id = made.header("x-request-id").unwrap();
        assert_eq!(made.body, id);
        assert_eq!(
            uuid::Uuid::parse_str(id).unwrap().get_version_num(),
            7,
            "{bad}"
        );
    }
    let missing = server.ask("GET /x HTTP/1.1\r\nHost: x\r\nX-Request-Id: m\r\n\r\n");
    assert_eq!(missing.header("x-request-id"), Some("m"));
    server.stop();
}

#[test]
fn every_answer_has_its_trace_and_handlers_know_it() {
    let server = start(Limits::default());
    let ask = |path: &str, given: &str| {
        server.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n{given}\r\n"))
    };
    let given = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    for path in ["/trace", "/nowhere"] {
        let answer = ask(path, given);
        let trace = answer.header("traceparent").unwrap();
        assert!(
            trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"),
            "{trace}"
        );
        assert!(!trace.contains("00f067aa0ba902b7"), "{trace}");
        if answer.status == 200 {
            assert_eq!(answer.body, trace);
        }
    }
    let begun = ask("/trace", "");
    assert_eq!(begun.header("traceparent"), Some(&*begun.body));
    server.stop();
}

#[test]
fn a_drain_finishes_what_is_in_flight() {
    let server = start(Limits::default());
    let mut idle = server.connect();
    assert_eq!(idle.ask(&get("/hello")).status, 200);
    let mut client = server.connect();
    client.send(&get("/slow"));
    server.reached.recv_timeout(PATIENCE).unwrap();
    server.cancel.request(CancelReason::Terminated);
    server.draining.recv_timeout(PATIENCE).unwrap();
    // Idle connections end at once, although the drain is not over.
    assert!(idle.is_closed());
    server.release.notify_one();
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.body.as_str()), (200, "slow"));
    assert!(client.is_closed());
    let addr = server.addr;
    assert_eq!(
        server.ended.join().unwrap(),
        Drained {
            finished: 1,
            aborted: 0
        }
    );
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn who_has_connected_before_the_end_is_answered() {
    let bound = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = bound.addr();
    // They stand in the system's queue, their requests sent, when the server hears that it is to end.
    let mut clients: Vec<Client> = (0..20).map(|_| Client::to(addr)).collect();
    for client in &mut clients {
        client.send(&get("/hello"));
    }
    let cancel = Cancel::new();
    cancel.request(CancelReason::Terminated);
    let server = start_at(bound, Listener::from, cancel, Limits::default(), |app| app);
    for client in &mut clients {
        let answer = client.answer(false);
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
        assert!(client.is_closed());
    }
    assert_eq!(
        server.ended.join().unwrap(),
        Drained {
            finished: 20,
            aborted: 0
        }
    );
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn a_drain_has_a_deadline_and_a_second_signal_ends_it() {
    let cut_off = Drained {
        finished: 0,
        aborted: 1,
    };
    let server = start(Limits {
        drain_timeout: Duration::from_millis(20),
        ..Limits::default()
    });
    let mut client = server.connect();
    client.send(&get("/slow"));
    server.reached.recv_timeout(PATIENCE).unwrap();
    assert_eq!(server.stop(), cut_off);
    assert!(client.is_closed());

    let server = start(Limits {
        drain_timeout: Duration::from_hours(1),
        ..Limits::default()
    });
    let mut client = server.connect();
    client.send(&get("/slow"));
    server.reached.recv_timeout(PATIENCE).unwrap();
    server.cancel.request(CancelReason::Interrupted);
    server.draining.recv_timeout(PATIENCE).unwrap();
    server.cancel.request(CancelReason::SecondInterrupt);
    assert_eq!(server.ended.join().unwrap(), cut_off);
    assert!(client.is_closed());
}

/// Reads to the end of the connection, or until it breaks; returns whether all of `/long` came.
fn is_whole(mut client: Client) -> bool {
    let mut end = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = client.stream.read(&mut buffer) {
        end.extend_from_slice(&buffer[count.saturating_sub(5)..count]);
        end.drain(..end.len().saturating_sub(5));
    }
    end == b"0\r\n\r\n"
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_given_up() {
    let server = start(Limits {
        stall_timeout: Duration::ZERO,
        ..Limits::default()
    });
    let mut client = server.connect();
    client.send(&get("/long"));
    // The server is done with it although nothing was read.
    server.until(
        r#"http_requests_total{handler="/long",method="GET",status="2xx"}"#,
        1.0,
    );
    assert!(!is_whole(client));
    // Short answers find room, whatever the patience.
    assert_eq!(server.ask(&get("/hello")).status, 200);
    server.stop();

    let server = start(Limits::default());
    let mut client = server.connect();
    client.send(&get("/long").replace("Host: x", "Host: x\r\nConnection: close"));
    assert!(is_whole(client));
    server.stop();
}

#[test]
fn a_client_that_takes_nothing_holds_up_no_drain() {
    let server = start(Limits {
        stall_timeout: Duration::from_hours(1),
        drain_stall_timeout: Duration::ZERO,
        drain_timeout: Duration::from_hours(1),
        ..Limits::default()
    });
    let mut client = server.connect();
    client.send(&get("/long"));
    server.until(r#"cvops_http_requests_in_progress{handler="/long"}"#, 1.0);
    let given_up = Drained {
        finished: 1,
        aborted: 0,
    };
    assert_eq!(server.stop(), given_up);
    assert!(!is_whole(client));
}

#[test]
fn connections_beyond_the_limit_wait_their_turn() {
    let server = start(Limits {
        connections_max: 1,
        ..Limits::default()
    });
    let mut first = server.connect();
    assert_eq!(first.ask(&get("/hello")).status, 200);
    let mut second = server.connect();
    second.send(&get("/hello"));
    assert_eq!(first.ask(&get("/hello")).status, 200);
    assert_eq!(server.metric("cvops_http_connections"), Some(1.0));
    drop(first);
    assert_eq!(second.answer(false).status, 200);
    drop(second);
    server.stop();
}

#[test]
fn requests_are_counted_by_route_and_nothing_a_client_makes_up() {
    let server = start(Limits::default());
    let ok = r#"http_requests_total{handler="/echo",method="POST",status="2xx"}"#;
    assert_eq!(server.metric(ok), Some(0.0));
    server.ask(&post("/echo", "abc"));
    server.until(ok, 1.0);
    server.until(
        r#"http_request_duration_seconds_count{handler="/echo",method="POST"}"#,
        1.0,
    );
    server.until(r#"http_request_size_bytes_sum{handler="/echo"}"#, 3.0);
    server.until(r#"http_response_size_bytes_sum{handler="/echo"}"#, 3.0);
    server.until(r#"cvops_http_requests_in_progress{handler="/echo"}"#, 0.0);
    let none = |method: &str| {
        format!(r#"http_requests_total{{handler="none",method="{method}",status="4xx"}}"#)
    };
    server.ask(&get("/first"));
    server.ask("BREW /first HTTP/1.1\r\nHost: x\r\n\r\n");
    server.until(&none("other"), 1.0);
    server.until(&none("GET"), 1.0);
    let series = |server: &TestServer| exposition(&server.registry).unwrap().lines().count();
    let before = series(&server);
    let mut client = server.connect();
    for i in 0..200 {
        client.ask(&format!("M{i} /{i} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    drop(client);
    server.until(&none("other"), 201.0);
    assert_eq!(series(&server), before);
    server.stop();
}

#[test]
fn methods_that_a_path_does_not_answer_are_counted_as_one() {
    let server = start(Limits::default());
    let counted = |method: &str, class: &str| {
        format!(r#"http_requests_total{{handler="/hello",method="{method}",status="{class}"}}"#)
    };
    let refused = ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"];
    for method in refused.into_iter().chain(["HEAD", "OPTIONS"]) {
        server.ask(&format!("{method} /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    server.until(&counted("other", "4xx"), refused.len() as f64);
    // Those that it answers without being in the table have their names.
    server.until(&counted("HEAD", "2xx"), 1.0);
    server.until(&counted("OPTIONS", "2xx"), 1.0);
    let text = exposition(&server.registry).unwrap();
    for method in refused {
        let series = format!(r#"{{handler="/hello",method="{method}""#);
        assert!(!text.contains(&series), "{text}");
    }
    server.stop();
}

#[test]
fn a_busy_port_names_its_owner() {
    let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let Err(Error::PortBusy { addr, owner }) = bind(first.addr()) else {
        panic!("bound twice")
    };
    assert_eq!(addr, first.addr());
    if cfg!(target_os = "linux") {
        assert_eq!(owner.map(|o| o.pid), Some(std::process::id()));
    }
    let elsewhere = bind("192.0.2.1:0".parse().unwrap());
    assert!(
        matches!(elsewhere, Err(Error::AddressNotHere { .. })),
        "{elsewhere:?}"
    );
}

#[test]
fn the_exposition_has_the_type_to_the_letter() {
    let registry = Registry::new();
    Metrics::new(&registry).unwrap();
    let plain = exposition_response(&registry, None).unwrap();
    assert_eq!(
        plain.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(!plain.headers().contains_key("content-encoding"));
    let zipped = exposition_response(&registry, Some("gzip")).unwrap();
    assert_eq!(zipped.headers()["content-encoding"], "gzip");
}

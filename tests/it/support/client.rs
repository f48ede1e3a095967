//! A running `cvops serve` or `cvops ui` and a client for it on raw sockets: what goes over the wire is in the test.
#![cfg_attr(
    not(feature = "vision"),
    expect(dead_code, reason = "more of it serves the tests of `cvops serve`")
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::stages::wait_until;
use super::{Output, Project};

/// How long an answer may take on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server; killed when the test is over.
pub(crate) struct Server {
    child: Child,
    /// 0 where it listens at a Unix socket.
    pub(crate) port: u16,
    /// Its event `listening`.
    pub(crate) listening: Value,
    events: Receiver<Value>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Project {
    /// Starts `cvops serve --json` with `args` on a free port and waits until it listens.
    #[cfg(feature = "vision")]
    pub(crate) fn serve(&self, args: &str) -> Server {
        self.serve_with(&mut self.command(&format!("serve --json --port 0 {args}")))
    }

    /// Starts `cvops ui --json` with `args` on a free port and waits until it listens.
    pub(crate) fn ui(&self, args: &str) -> Server {
        self.serve_with(&mut self.command(&format!("ui --json --port 0 {args}")))
    }

    /// Starts a prepared server, which tells its events as JSON, and waits until it listens.
    pub(crate) fn serve_with(&self, command: &mut Command) -> Server {
        let stderr = std::fs::File::create(self.home().join("serve.log")).unwrap();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let (sender, events) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || forward(stdout, &sender));
        let mut server = Server {
            child,
            port: 0,
            listening: Value::Null,
            events,
        };
        server.listening = server.event("listening");
        let port = server.listening["port"].as_u64().unwrap_or_default();
        server.port = u16::try_from(port).unwrap();
        server
    }

    /// Starts a server and waits until it has a model.
    #[cfg(feature = "vision")]
    pub(crate) fn serve_ready(&self, args: &str) -> Server {
        let server = self.serve(args);
        server.event("ready");
        server
    }

    /// Returns what the last server wrote to stderr.
    pub(crate) fn serve_log(&self) -> String {
        std::fs::read_to_string(self.home().join("serve.log")).unwrap()
    }
}

fn forward(stdout: ChildStdout, events: &mpsc::Sender<Value>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let event = serde_json::from_str(&line).unwrap_or_else(|_| json!({"event": line}));
        if events.send(event).is_err() {
            return;
        }
    }
}

impl Server {
    /// Waits for an event; those before it are skipped.
    #[track_caller]
    pub(crate) fn event(&self, name: &str) -> Value {
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) if event["event"] == name => return event,
                Ok(_) => {}
                Err(e) => panic!("no event `{name}`: {e}"),
            }
        }
    }

    /// Returns the URL of a path, for a browser.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Opens a connection.
    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    /// Sends a request with these headers (one per line) and waits for the answer.
    pub(crate) fn send(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream
            .write_all(&request(line, headers, body))
            .unwrap_or_else(|e| panic!("{line}: {e}"));
        receive(&mut stream)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), "", b"")
    }

    pub(crate) fn post(&self, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> Answer {
        let header = format!("Content-Type: {content_type}\r\n");
        self.send(&format!("POST {path}"), &header, body.as_ref())
    }

    /// Sends files as a form.
    pub(crate) fn form(&self, path: &str, files: &[(&str, &[u8])]) -> Answer {
        let (content_type, body) = form(files);
        self.post(path, &content_type, body)
    }

    /// Returns the value of a series of `/metrics`, by its name and labels as written there.
    #[track_caller]
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.get("/metrics").text();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no `{series}` in\n{text}"));
        value.parse().unwrap()
    }

    #[cfg(feature = "vision")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the process and returns its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        let mut status = None;
        wait_until("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Returns status and code of an error, `200 -` for a success.
    #[track_caller]
    pub(crate) fn outcome(&self) -> String {
        let code = if self.status < 300 {
            Value::Null
        } else {
            self.json()["code"].clone()
        };
        format!("{} {}", self.status, code.as_str().unwrap_or("-"))
    }
}

/// Opens a connection to a port of this machine.
pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Returns the bytes of a request that wants the connection closed after its answer.
pub(crate) fn request(line: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = if body.is_empty() && line.starts_with("GET") {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let head =
        format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}{length}\r\n");
    [head.as_bytes(), body].concat()
}

/// Reads an answer until the server closes the connection.
pub(crate) fn receive(stream: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    // A server that refuses a body unread may reset the connection after its answer.
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(&bytes)));
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let mut answer = Answer {
        status: status.parse().unwrap(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: bytes[end + 4..].to_vec(),
    };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunked(&answer.body);
    }
    answer
}

/// Puts a body together that came in chunks (RFC 9112, 7.1).
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n");
        let end = end.expect("the answer was broken off");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        let from = end + 2;
        assert!(from + size <= rest.len(), "the answer was broken off");
        body.extend_from_slice(&rest[from..from + size]);
        rest = &rest[from + size + 2..];
    }
}

/// Returns Content-Type and body of a form with these fields.
pub(crate) fn form(files: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, content) in files {
        body.extend_from_slice(
            format!(
                "--XX\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n"
            )
            .as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XX--\r\n");
    ("multipart/form-data; boundary=XX".to_owned(), body)
}

/// Base64 (RFC 4648 §4), for bodies of JSON.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for i in 0..4 {
            if i <= chunk.len() {
                let letter = LETTERS[(bits >> (18 - 6 * i) & 63) as usize];
                text.push(char::from(letter));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// The failed start of a server, for transcripts.
pub(crate) fn failed_start(p: &Project, args: &str) -> Output {
    p.cvops(&format!("serve --port 0 {args}"))
}

#[test]
fn base64_is_that_of_the_rfc() {
    let encoded = ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes()));
    assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
}

//! Limits of the wire, metrics at an address of their own, trace context, and what a service manager
//! hears of `cvops serve`.

use std::io::{Read, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::client::{connect, receive, request};
use crate::support::pictures::{stripes, trained_project};
use crate::support::project;
use crate::support::stages::wait_until;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_trace_is_gone_on_with_and_is_in_the_log() {
    let p = project();
    let server = p.serve("-v --log-format json");
    let given = server.send("GET /health", &format!("traceparent: {PARENT}\r\n"), b"");
    let traced = given.header("traceparent").unwrap().to_owned();
    assert!(
        traced.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"),
        "{traced}"
    );
    assert!(traced.ends_with("-01") && traced != PARENT, "{traced}");
    let broken = server.send("GET /nowhere", "traceparent: 00-4BF9\r\n", b"");
    let begun = broken.header("traceparent").unwrap().to_owned();
    assert_eq!(begun.len(), PARENT.len());
    let id = given.header("x-request-id").unwrap().to_owned();
    let mut line = None;
    wait_until("both are logged", || {
        let log = p.serve_log();
        line = log
            .lines()
            .find(|line| line.contains(&id))
            .map(str::to_owned);
        line.is_some() && log.contains(&begun[3..35])
    });
    let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
    let trace_id = &line["trace_id"];
    assert_eq!(*trace_id, "4bf92f3577b34da6a3ce929d0e0e4736", "{line}");
}

#[test]
fn metrics_may_have_an_address_of_their_own() {
    let p = project();
    p.write("params.yaml", "serve: {metrics: {listen: '127.0.0.1:0'}}\n");
    let server = p.serve("");
    assert_eq!(server.get("/metrics").outcome(), "404 not_found");
    let url = server.listening["metrics"].as_str().unwrap().to_owned();
    let port = url.rsplit([':', '/']).nth(1).unwrap().parse().unwrap();
    let ask = |path: &str| {
        let mut stream = connect(port);
        let request = request(&format!("GET {path}"), "", b"");
        stream.write_all(&request).unwrap();
        receive(&mut stream)
    };
    assert_eq!(ask("/metrics").status, 200);
    let refused = "http_requests_total{handler=\"none\",method=\"GET\",status=\"4xx\"} 1";
    // A request is counted after its client has the answer.
    wait_until("the request for `/metrics` is counted", || {
        ask("/metrics").text().contains(refused)
    });
    assert_eq!(ask("/health").outcome(), "404 not_found");
    server.signal(Signal::TERM);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_server_that_others_have_filled_up_says_how_it_is() {
    let p = trained_project();
    let before = p.read("params.yaml");
    let limits = "serve: {connections_max: 2, header_timeout_s: 600}\n";
    p.write("params.yaml", format!("{before}{limits}"));
    let server = p.serve_ready("");
    let silent = [server.connect(), server.connect()];
    let connections = "cvops_http_connections";
    wait_until("both have their places", || {
        server.metric(connections) == 3.0
    });
    for path in [
        "/health",
        "/health/live",
        "/healthz",
        "/health/ready",
        "/readyz",
        "/ping",
        "/v2/health/live",
        "/v2/health/ready",
        "/metrics",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    // Everybody else is told so, in the words of his protocol, and whether he sends a body or not.
    let refused = server.post("/predict", "image/png", stripes(0, 0));
    assert_eq!(refused.outcome(), "503 connections_limit");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let refused = server.post("/v2/models/classifier/infer", "application/json", "{}");
    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.json()["error"],
        "the server has as many connections as it may: try again later"
    );
    assert_eq!(server.get("/nowhere").outcome(), "503 connections_limit");
    assert_eq!(
        server.metric("cvops_requests_rejected_total{reason=\"connections_limit\"}"),
        3.0
    );
    drop(silent);
    wait_until("there is a place again", || {
        server.metric(connections) == 1.0
    });
    let answer = server.post("/predict", "image/png", stripes(0, 0));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_body_has_its_own_time_limit() {
    let p = project();
    p.write("params.yaml", "serve: {body_timeout_s: 0.2}\n");
    let server = p.serve("");
    let mut stream = server.connect();
    let head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf";
    stream.write_all(head).unwrap();
    assert_eq!(receive(&mut stream).outcome(), "408 body_timeout");
}

#[test]
fn one_address_may_be_kept_to_a_few_connections() {
    let p = project();
    p.write(
        "params.yaml",
        "serve: {connections_per_ip_max: 2, header_timeout_s: 600}\n",
    );
    let server = p.serve("");
    let refused = |stream: &mut std::net::TcpStream| {
        // A closed connection reads as an end or as a reset; an open one answers.
        let request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut piece = [0; 1];
        !matches!(
            stream
                .write_all(request)
                .and_then(|()| stream.read(&mut piece)),
            Ok(1)
        )
    };
    let (mut first, mut second) = (server.connect(), server.connect());
    assert!(!refused(&mut first) && !refused(&mut second));
    assert!(refused(&mut server.connect()));
    drop(first);
    wait_until("the place is free again", || {
        !refused(&mut server.connect())
    });
    drop(second);
    wait_until("somebody may look", || {
        let mut stream = server.connect();
        !refused(&mut stream)
    });
    wait_until("the metrics can be had", || {
        let mut stream = server.connect();
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let mut text = String::new();
        let _ = stream
            .write_all(request)
            .and_then(|()| stream.read_to_string(&mut text));
        text.lines()
            .find_map(|line| line.strip_prefix("cvops_http_connections_refused_total "))
            .is_some_and(|count| 1.0 <= count.parse::<f64>().unwrap())
    });
}

/// What a service manager hears, one message after the other.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_mins(1)))
            .unwrap();
        Self(socket)
    }

    /// Waits for a message; those before it are returned as well.
    #[track_caller]
    fn hear(&self, wanted: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let mut bytes = [0; 4096];
            let read = self.0.recv(&mut bytes);
            let read = read.unwrap_or_else(|e| panic!("no `{wanted}` after {heard:?}: {e}"));
            let message = String::from_utf8_lossy(&bytes[..read]).trim().to_owned();
            let is_it = message == wanted;
            heard.push(message);
            if is_it {
                return heard;
            }
        }
    }
}

#[test]
fn a_service_manager_hears_of_start_life_and_end() {
    let p = trained_project();
    let path = p.home().join("notify");
    let manager = Manager::at(&path);
    let server = p.serve_with(
        p.command("serve --json --port 0")
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "100000"),
    );
    let before = manager.hear("READY=1");
    assert!(!before.iter().any(|m| m == "WATCHDOG=1"), "{before:?}");
    // Ready means that the model is there: nobody has to wait for it.
    assert_eq!(server.get("/health/ready").status, 200);
    manager.hear("WATCHDOG=1");
    manager.hear("WATCHDOG=1");
    server.signal(Signal::TERM);
    manager.hear("STOPPING=1");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_server_without_a_model_is_started_and_says_what_is_missing() {
    let p = project();
    let path = p.home().join("notify");
    let manager = Manager::at(&path);
    let _server = p.serve_with(
        p.command("serve --json --port 0")
            .env("NOTIFY_SOCKET", &path),
    );
    let heard = manager.hear("READY=1");
    let says = |heard: &[String]| heard.iter().any(|m| m.starts_with("STATUS=listening on "));
    if !says(&heard) {
        let mut bytes = [0; 4096];
        let read = manager.0.recv(&mut bytes).unwrap();
        let next = String::from_utf8_lossy(&bytes[..read]).into_owned();
        assert!(says(std::slice::from_ref(&next)), "{heard:?} {next}");
    }
}

/// Does `systemd-analyze` like the unit? Where it is not installed, only its keys are looked at.
#[test]
fn the_unit_of_systemd_is_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd/cvops.service");
    let unit = std::fs::read_to_string(path).unwrap();
    for line in [
        "Type=notify",
        "NotifyAccess=main",
        "WatchdogSec=30",
        "NoNewPrivileges=yes",
        // A `-` before the path would hide that the log cannot be written.
        "ReadWritePaths=/srv/cvops/.cvops",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    let p = project();
    let program = env!("CARGO_BIN_EXE_cvops");
    let here = unit.replace("/usr/local/bin/cvops", program);
    assert_ne!(here, unit);
    p.write("cvops.service", here);
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(p.path("cvops.service"))
        .output();
    let Ok(verified) = verified else {
        return;
    };
    let told = String::from_utf8_lossy(&verified.stderr);
    let ours: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("cvops.service"))
        .collect();
    assert!(verified.status.success() && ours.is_empty(), "{told}");
}

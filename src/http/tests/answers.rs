//! What is answered: paths before methods, heads, ids, traces, and what went wrong.

use super::*;

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

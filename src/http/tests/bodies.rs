//! Bodies: their limits, their budget, and those that come and go in pieces.

use super::*;

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

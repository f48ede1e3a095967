//! `cvops serve` and clients that mean it harm, or know no better: it goes on answering, gives back what
//! they took, and needs no more memory than it needs for others.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::support::client::{Server, connect, receive, request};
use crate::support::pictures::{stripes, trained_project};
use crate::support::stages::wait_until;
use crate::support::{Project, bombs, memory, project};

const PNG: &str = "Content-Type: image/png\r\n";
const JSON: &str = "application/json";

fn with_params(p: &Project, more: &str) {
    let params = p.read("params.yaml") + more;
    p.write("params.yaml", params);
}

/// Are others still answered?
#[track_caller]
fn is_well(server: &Server) {
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let answer = server.post("/predict", "image/png", stripes(0, 1));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Waits until nothing is left of what clients began, and looks whether all is well.
#[track_caller]
fn settles(server: &Server) {
    wait_until("all connections but the one that asks are closed", || {
        server.metric("cvops_http_connections") <= 1.0
    });
    for series in [
        "cvops_http_requests_in_progress{handler=\"/predict\"}",
        "cvops_inference_queue_length{model=\"classifier\"}",
    ] {
        wait_until(series, || server.metric(series) == 0.0);
    }
    is_well(server);
}

/// Reads to the end of a connection. The server must close it, in whatever way.
#[track_caller]
fn until_closed(stream: &mut impl Read) -> Vec<u8> {
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        let kind = error.kind();
        let is_open = matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!is_open, "the connection is left open");
    }
    answer
}

/// Returns the status of the first answer, if there is one.
fn status(answer: &[u8]) -> Option<u16> {
    // `HTTP/1.1 200 OK`, to old clients `HTTP/1.0 200 OK`.
    let line = answer.strip_prefix(b"HTTP/1.")?;
    std::str::from_utf8(line.get(2..5)?).ok()?.parse().ok()
}

/// Sends bytes as they are and returns all that comes back until the server closes the connection.
#[track_caller]
fn raw(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = server.connect();
    // The server may have had enough before all is sent.
    let _ = stream.write_all(bytes);
    until_closed(&mut stream)
}

#[test]
fn clients_that_never_finish_hold_nobody_up() {
    let p = trained_project();
    with_params(&p, "serve: {header_timeout_s: 600, body_timeout_s: 600}\n");
    let server = p.serve_ready("");
    is_well(&server);
    let before = memory::peak(&server);
    let begin = |number: usize| {
        let begun: &[u8] = match number % 4 {
            0 => b"",
            1 => b"GET /health HTTP/1.1\r\nX-Slow: ",
            2 => b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\nhalf",
            _ => b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\nhalf",
        };
        let mut stream = server.connect();
        stream.write_all(begun).unwrap();
        stream
    };
    let mut slow: Vec<TcpStream> = (0..200).map(begin).collect();
    wait_until("half of them have begun a request", || {
        server.metric("cvops_http_requests_in_progress{handler=\"/predict\"}") == 100.0
    });
    assert!(200.0 <= server.metric("cvops_http_connections"));
    for _ in 0..3 {
        for stream in &mut slow {
            stream.write_all(b"x").unwrap();
        }
        is_well(&server);
    }
    // They take no place in the queue.
    let series = "cvops_inference_queue_length{model=\"classifier\"}";
    assert_eq!(server.metric(series), 0.0);
    drop(slow);
    settles(&server);
    memory::peak(&server).grew_at_most(64, before);
}

#[test]
fn a_head_has_its_time_however_busily_it_is_sent() {
    let p = project();
    p.write("params.yaml", "serve: {header_timeout_s: 1}\n");
    let server = p.serve("");
    let mut stream = server.connect();
    stream
        .write_all(b"GET /health HTTP/1.1\r\nX-Slow: ")
        .unwrap();
    let mut writer = stream.try_clone().unwrap();
    let answer = std::thread::scope(|scope| {
        let reader = scope.spawn(move || receive(&mut stream));
        wait_until("the slow client is given up", || {
            // A byte now and then, each well before its time is over.
            let _ = writer.write(b"x");
            reader.is_finished()
        });
        reader.join().unwrap()
    });
    assert_eq!(answer.outcome(), "408 header_timeout");
}

#[test]
fn requests_that_break_off_leave_nothing_behind() {
    let p = trained_project();
    let server = p.serve_ready("");
    let picture = stripes(0, 1);
    let whole = request("POST /predict", PNG, &picture);
    let head = whole.len() - picture.len();
    let chunked = [
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7f".as_slice(),
        b"ff\r\n",
        &picture,
    ]
    .concat();
    let cuts = [0, 1, 20, head - 1, head, head + 1, whole.len() - 1];
    let mut begun: Vec<&[u8]> = cuts.iter().map(|cut| &whole[..*cut]).collect();
    let size = chunked.len() - picture.len();
    begun.extend([&chunked[..size - 3], &chunked[..size], &chunked]);
    for bytes in begun {
        for end in [Shutdown::Write, Shutdown::Both] {
            let mut stream = server.connect();
            stream.write_all(bytes).unwrap();
            stream.shutdown(end).unwrap();
            let answer = until_closed(&mut stream);
            let told = status(&answer);
            let is_fair = answer.is_empty() || told.is_some_and(|s| (400..500).contains(&s));
            let answer = String::from_utf8_lossy(&answer);
            assert!(is_fair, "{} bytes, {end:?}: {answer}", bytes.len());
        }
    }
    // A whole request of a client that has hung up is answered or dropped, and nothing else.
    let mut stream = server.connect();
    stream.write_all(&whole).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = until_closed(&mut stream);
    assert!(matches!(status(&answer), None | Some(200)));
    settles(&server);
}

#[test]
fn the_length_of_a_body_is_clear_or_there_is_none() {
    let p = trained_project();
    let server = p.serve_ready("");
    let picture = stripes(0, 1);
    for (version, headers, expected) in [
        // No length is no body, whatever follows.
        ("1.1", "", 422),
        ("1.0", "", 422),
        ("1.1", "Content-Length: 0\r\n", 422),
        ("1.1", "Content-Length:\r\n", 400),
        ("1.1", "Content-Length: -1\r\n", 400),
        ("1.1", "Content-Length: +5\r\n", 400),
        ("1.1", "Content-Length: 0x10\r\n", 400),
        ("1.1", "Content-Length: 5, 5\r\n", 400),
        ("1.1", "Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("1.1", "Content-Length: 18446744073709551616\r\n", 400),
        ("1.1", "Content-Length: 999999999999999999\r\n", 413),
        ("1.1", "Transfer-Encoding: gzip\r\n", 400),
        ("1.1", "Transfer-Encoding: chunked, gzip\r\n", 400),
        ("1.1", "Transfer-Encoding: identity\r\n", 400),
        ("1.0", "Transfer-Encoding: chunked\r\n", 400),
    ] {
        let head = format!(
            "POST /predict HTTP/{version}\r\nHost: x\r\nConnection: close\r\n{PNG}{headers}\r\n"
        );
        let answer = raw(&server, &[head.as_bytes(), &picture].concat());
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(status(&answer), Some(expected), "{headers}: {text}");
    }
    let many = "a".repeat(100_000);
    for body in [
        "fffffffffffffffff\r\n",
        "-1\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        &format!("5;{many}\r\nhello\r\n0\r\n\r\n"),
        &format!("0\r\nX-Trailer: {many}\r\n\r\n"),
    ] {
        let head = format!(
            "POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{PNG}Transfer-Encoding: chunked\r\n\r\n"
        );
        let answer = raw(&server, format!("{head}{body}").as_bytes());
        let status = status(&answer);
        let start = &body[..body.len().min(20)];
        assert!(
            status.is_some_and(|s| (400..500).contains(&s)),
            "{start}: {status:?}"
        );
    }
    // Both lengths: the body is the chunked one, and what stands behind it is no request of its own.
    let both = format!(
        "POST /predict HTTP/1.1\r\nHost: x\r\n{PNG}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    );
    let answer = String::from_utf8(raw(&server, both.as_bytes())).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
    settles(&server);
}

#[test]
fn heads_that_are_none_are_refused() {
    let p = project();
    let server = p.serve("");
    let many = "X-Same: x\r\n".repeat(200);
    let long = "x".repeat(300_000);
    let refused = |bytes: &[u8], expected: &[u16]| {
        let answer = raw(&server, bytes);
        let text = String::from_utf8_lossy(&answer);
        let status = status(&answer);
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
        assert!(
            status.is_none_or(|status| expected.contains(&status)),
            "{start:?}: {text}"
        );
        // Silence is an answer to what is no HTTP, and to nothing else.
        assert!(status.is_some() || expected.is_empty(), "{start:?}");
        assert_eq!(server.get("/health").status, 200, "{start:?}");
    };
    let health = |headers: &str| format!("GET /health HTTP/1.1\r\n{headers}\r\n").into_bytes();
    refused(&health("Bad Name: x\r\n"), &[400]);
    refused(&health("X: a\0b\r\n"), &[400]);
    refused(&health("X: a\x7fb\r\n"), &[400]);
    refused(&health(": x\r\n"), &[400]);
    refused(&health("no colon\r\n"), &[400]);
    refused(&health("X: y\rZ: z\r\n"), &[400]);
    refused(&health(&many), &[431]);
    refused(&health(&format!("X: {long}\r\n")), &[431]);
    refused(b"GET /health HTTP/9.9\r\n\r\n", &[400]);
    refused(b"GET /health\r\n\r\n", &[400]);
    refused(b"G@T\x01 /health HTTP/1.1\r\n\r\n", &[400]);
    refused(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", &[400]);
    refused(
        format!("GET /{long} HTTP/1.1\r\n\r\n").as_bytes(),
        &[414, 431],
    );
    refused(format!("{long} / HTTP/1.1\r\n\r\n").as_bytes(), &[400, 431]);
    // The start of HTTP/2, which is not spoken here.
    refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", &[]);
}

#[test]
fn requests_on_one_connection_are_answered_in_their_order() {
    let p = trained_project();
    let server = p.serve_ready("");
    let picture = stripes(0, 1);
    let mut bytes = Vec::new();
    const PAIRS: usize = 20;
    for number in 0..PAIRS {
        let health = format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: {number}a\r\n\r\n");
        let predict = format!(
            "POST /predict HTTP/1.1\r\nHost: x\r\nX-Request-Id: {number}b\r\n{PNG}Content-Length: {}\r\n\r\n",
            picture.len()
        );
        bytes.extend([health.as_bytes(), predict.as_bytes(), &picture].concat());
    }
    bytes.extend(request("GET /health", "X-Request-Id: last\r\n", b""));
    let answers = String::from_utf8(raw(&server, &bytes)).unwrap();
    let answered = answers.matches("HTTP/1.1 200 OK\r\n").count();
    assert_eq!(answered, 2 * PAIRS + 1, "{answers}");
    let ids: Vec<&str> = answers
        .lines()
        .filter_map(|line| line.strip_prefix("x-request-id: "))
        .collect();
    let pairs = (0..PAIRS).flat_map(|number| [format!("{number}a"), format!("{number}b")]);
    let expected: Vec<String> = pairs.chain(["last".to_owned()]).collect();
    assert_eq!(ids, expected);
    // One that is broken ends the connection, and those before it are answered.
    let broken = [
        &b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    .concat();
    let answers = String::from_utf8(raw(&server, &broken)).unwrap();
    assert!(answers.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
    assert!(
        answers.contains("HTTP/1.1 400 Bad Request\r\n"),
        "{answers}"
    );
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{answers}");
    settles(&server);
}

/// At a Unix socket, since there the system keeps little between both sides.
#[test]
fn of_a_client_that_takes_no_answers_nothing_more_is_read() {
    /// Far more than the system and the server keep.
    const MUCH: usize = 4 << 20;
    let p = project();
    p.write("params.yaml", "serve: {}\n");
    let server = p.serve_with(&mut p.command("serve --json --unix s"));
    let before = memory::peak(&server);
    let mut stream = UnixStream::connect(p.path("s")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    // Their answers have no body, so nothing but the client's reading holds up the next one.
    let one = b"OPTIONS /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let many = one.repeat(100);
    let mut sent = 0;
    while sent < MUCH {
        match stream.write(&many[sent % one.len()..]) {
            Ok(count) => sent += count,
            Err(error) => {
                let kind = error.kind();
                let is_full = matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(is_full, "{error}");
                break;
            }
        }
    }
    assert!(sent < MUCH, "the server reads on and on");
    memory::peak(&server).grew_at_most(16, before);

    // As soon as the client listens, all of them are answered.
    let mut answers = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut count = 0;
    while count < sent / one.len() {
        let read = stream.read(&mut buffer).unwrap();
        assert!(0 < read, "{count} of {} are answered", sent / one.len());
        let from = answers.len().saturating_sub(3);
        answers.extend_from_slice(&buffer[..read]);
        let heads = answers[from..].windows(4);
        count += heads.filter(|bytes| *bytes == b"\r\n\r\n").count();
    }
    assert_eq!(status(&answers), Some(204));
    let begun = sent % one.len();
    if 0 < begun {
        stream.write_all(&one[begun..]).unwrap();
    }
    stream.write_all(&request("GET /health", "", b"")).unwrap();
    let rest = until_closed(&mut stream);
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("HTTP/1.1 200 OK"), "{rest}");
}

#[test]
fn no_path_leads_out_of_the_routes() {
    let p = trained_project();
    let server = p.serve_ready("");
    let secret = "a secret of the house";
    p.write("secret.txt", secret);
    p.write("models/secret.txt", secret);
    for path in [
        "/../secret.txt",
        "/./health",
        "/health/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/health%00",
        "/health;x=1",
        "/health%2f",
        "/HEALTH",
        "/docs/../secret.txt",
        "/docs/..%2f..%2fsecret.txt",
        "/docs/%2e%2e%2fsecret.txt",
        "/docs/..%5csecret.txt",
        "/docs/%2fetc%2fpasswd",
        "/docs/%00",
        "/docs/%ff",
        "/docs/%",
        "/docs/....//....//secret.txt",
        "/redoc/..%2fsecret.txt",
        "/models/..%2fclassifier/reload",
        "/models/%2e%2e/unload",
        "/models/%00/reload",
        "/v1/models/..%2fsecret.txt",
        "/v1/models/..%2f..:predict",
        "/v1/models/classifier/versions/..%2f1",
        "/v1/models/classifier/versions/99999999999999999999",
        "/v1/models/classifier/versions/-1:predict",
        "/v2/models/..%2f..%2fclassifier/infer",
        "/v2/models/%/ready",
        "/v2/models/%ff%fe/ready",
        "/v2/repository/models/..%2fclassifier/load",
        "/v2/repository/models/%2e%2e%2f%2e%2e/unload",
        "http://localhost/secret.txt",
        "http://localhost/../secret.txt",
        "*",
    ] {
        for method in ["GET", "POST"] {
            let answer = server.send(&format!("{method} {path}"), "", b"");
            let status = answer.status;
            assert!(
                [400, 404, 405].contains(&status),
                "{method} {path}: {status}"
            );
            let text = String::from_utf8_lossy(&answer.body);
            assert!(!text.contains(secret), "{method} {path}: {text}");
        }
    }
    for path in [
        "/predict?model=..%2fmodels%2fclassifier",
        "/predict?model=%00",
        "/predict?version=..%2f1",
        "/predict?alias=%2e%2e",
    ] {
        let answer = server.post(path, "image/png", stripes(0, 1));
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    // What is no character of a URL, a proxy's request, and one that is addressed in full.
    for line in [
        "GET /h\u{e4}lth",
        "GET /hea lth",
        "CONNECT localhost:22",
        "GET localhost:22",
    ] {
        let answer = raw(&server, &request(line, "", b""));
        let status = status(&answer);
        assert!(
            status.is_some_and(|s| (400..500).contains(&s)),
            "{line}: {status:?}"
        );
    }
    assert_eq!(server.get("http://elsewhere.example/health").status, 200);
    settles(&server);
}

#[test]
fn files_that_would_be_huge_take_little() {
    let p = trained_project();
    let server = p.serve_ready("");
    is_well(&server);
    let before = memory::peak(&server);
    let predict = |file: &[u8]| server.post("/predict", "image/png", file);
    for (width, height) in [(50_000, 50_000), (8192, 8192), (1, 0x7fff_ffff)] {
        let answer = predict(&bombs::png(width, height, 64));
        assert_eq!(answer.outcome(), "413 image_too_large", "{width}x{height}");
    }
    for (name, file) in bombs::claims() {
        assert!(file.len() < 300, "{name}");
        let outcome = predict(&file).outcome();
        assert!(
            ["413 image_too_large", "422 image_decode"].contains(&outcome.as_str()),
            "{name}: {outcome}"
        );
        if name == "a GIF" {
            assert_eq!(outcome, "413 image_too_large");
        }
    }
    // More rows than the picture has.
    let answer = predict(&bombs::png(16, 16, 128));
    assert!([200, 422].contains(&answer.status), "{}", answer.text());
    // The picture itself is in order.
    for kind in [*b"iCCP", *b"zTXt"] {
        let answer = predict(&bombs::png_with(kind, 1024));
        assert_eq!(answer.status, 200, "{kind:?}: {}", answer.text());
    }
    let gzip = bombs::gzip(1024);
    let headers = format!("Content-Type: {JSON}\r\nContent-Encoding: gzip\r\n");
    let answer = server.send("POST /v2/models/classifier/infer", &headers, &gzip);
    assert_eq!(answer.status, 413, "{}", answer.text());
    // All at once, as one request.
    let files: Vec<Vec<u8>> = bombs::claims()
        .into_iter()
        .map(|(_, file)| file)
        .chain([
            bombs::png(50_000, 50_000, 1),
            bombs::png_with(*b"iCCP", 256),
        ])
        .collect();
    let mut fields: Vec<(&str, &[u8])> = Vec::new();
    for _ in 0..8 {
        fields.extend(files.iter().map(|file| ("files", file.as_slice())));
    }
    let answer = server.form("/predict/batch", &fields);
    assert_eq!(answer.status, 200, "{}", answer.text());
    settles(&server);
    memory::peak(&server).grew_at_most(160, before);
}

#[test]
fn bodies_of_many_small_things_take_little() {
    /// Below the limit of a body.
    const BYTES: usize = 4 << 20;
    let p = trained_project();
    let server = p.serve_ready("");
    is_well(&server);
    let before = memory::peak(&server);
    let full = |start: &str, item: &str, end: &str| {
        let items = item.repeat(BYTES / item.len());
        format!("{start}{}{end}", items.trim_end_matches(','))
    };
    let infer = "/v2/models/classifier/infer";
    let tensor = "{\"inputs\":[{\"name\":\"image_bytes\",\"datatype\":\"BYTES\",";
    let form = "multipart/form-data; boundary=x";
    for (path, content_type, body) in [
        ("/invocations", JSON, full("{\"inputs\":[", "\"\",", "]}")),
        (
            "/invocations",
            JSON,
            full("{\"instances\":[", "{\"b64\":\"?\"},", "]}"),
        ),
        (
            "/invocations",
            JSON,
            full("{\"dataframe_records\":[", "{\"a\":\"?\"},", "]}"),
        ),
        (
            "/invocations",
            JSON,
            full("{\"dataframe_split\":{\"data\":[", "[\"?\"],", "]}}"),
        ),
        ("/invocations", JSON, full("{\"inputs\":[", "[],", "]}")),
        ("/invocations", "text/csv", full("image\n", "?\n", "")),
        (
            "/v1/models/classifier:predict",
            JSON,
            full("{\"instances\":[", "{\"b64\":\"?\"},", "]}"),
        ),
        (
            "/v1/models/classifier:classify",
            JSON,
            full("{\"examples\":[", "{\"b64\":\"\"},", "]}"),
        ),
        (
            infer,
            JSON,
            full(
                &format!("{tensor}\"shape\":[1],\"data\":["),
                "\"\",",
                "]}]}",
            ),
        ),
        (
            infer,
            JSON,
            full(&format!("{tensor}\"shape\":["), "1,", "]}]}"),
        ),
        (infer, JSON, full("{\"inputs\":[", "{},", "]}")),
        ("/predict/batch", JSON, full("{\"images\":[", "\"\",", "]}")),
        ("/predict/batch", JSON, full("{\"images\":[", "1,", "]}")),
        (
            "/predict/batch",
            "application/x-ndjson",
            full("", "1\n", ""),
        ),
        (
            "/predict/batch",
            form,
            full(
                "",
                "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n\r\n",
                "--x--\r\n",
            ),
        ),
        ("/predict", form, full("--x\r\n", "X: y\r\n", "\r\n")),
        ("/predict", form, full("--x\r\n", "x", "")),
        ("/predict/model", JSON, full("{\"data\":[", "0,", "]}")),
        ("/predict/model", JSON, full("{\"data\":[", "[],", "]}")),
    ] {
        let answer = server.post(path, content_type, &body);
        let start = &body[..body.len().min(60)];
        let text = answer.text();
        assert!(
            (400..500).contains(&answer.status),
            "{path} {start}: {} {text}",
            answer.status
        );
        assert!(
            text.len() < 4096,
            "{path} {start}: an answer of {}",
            text.len()
        );
    }
    // Lists in lists without end take no stack.
    let deep = "[".repeat(100_000);
    for (path, key) in [
        ("/invocations", "inputs"),
        ("/invocations", "params"),
        ("/v1/models/classifier:predict", "instances"),
        (infer, "inputs"),
        (infer, "unknown"),
        ("/predict", "image"),
        ("/predict/batch", "images"),
        ("/predict/model", "data"),
        ("/explain", "image"),
        ("/models/classifier/reload", "version"),
    ] {
        let answer = server.post(path, JSON, format!("{{\"{key}\": {deep}"));
        let status = answer.status;
        assert!((400..500).contains(&status), "{path} {key}: {status}");
    }
    let answer = server.post("/feedback", JSON, &deep[..60_000]);
    assert_eq!(answer.status, 422);
    settles(&server);
    memory::peak(&server).grew_at_most(128, before);
}

#[test]
fn clients_that_come_and_go_leave_the_server_as_it_was() {
    let p = trained_project();
    let server = p.serve_ready("");
    let port = server.port;
    let whole = request("POST /predict", PNG, &stripes(1, 1));
    // Each way to go away, many times and from several sides at once.
    let come_and_go = || {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..50 {
                        let mut stream = connect(port);
                        let cut = whole.len() * (number % 5) / 4;
                        stream.write_all(&whole[..cut]).unwrap();
                        match number % 3 {
                            0 => {}
                            1 => {
                                // The server may have closed it already.
                                let _ = stream.shutdown(Shutdown::Write);
                            }
                            _ => {
                                // Gone in the middle of the answer.
                                stream
                                    .set_read_timeout(Some(Duration::from_millis(1)))
                                    .unwrap();
                                let _ = stream.read(&mut [0; 8]);
                            }
                        }
                    }
                });
            }
        });
    };
    come_and_go();
    settles(&server);
    let before = memory::resident(&server);
    for _ in 0..3 {
        come_and_go();
        is_well(&server);
    }
    settles(&server);
    memory::resident(&server).grew_at_most(24, before);
}

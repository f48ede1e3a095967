//! `cvops ui`: the conventions of MLflow's REST API and its artifacts, seen from its clients.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};
use snapbox::str;

use crate::support::client::{Answer, Server, receive};
use crate::support::stages::{wait_until, with_pipeline};
use crate::support::{Exit, Project, check, project};

/// Where the artifact proxy of the client is.
const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

fn empty_project() -> Project {
    let p = project();
    p.ok("init");
    p
}

fn put(server: &Server, path: &str, body: &[u8]) -> Answer {
    server.send(&format!("PUT {PROXY}/{path}"), "", body)
}

fn get(server: &Server, path: &str) -> Answer {
    server.get(&format!("{PROXY}/{path}"))
}

/// Lists a folder: `name=size` of files, `name/` of folders.
#[track_caller]
fn list(server: &Server, path: &str) -> String {
    let answer = server.get(&format!("{PROXY}?path={path}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    names(&answer.json(), "path")
}

fn names(answer: &Value, key: &str) -> String {
    let files = answer["files"].as_array().cloned().unwrap_or_default();
    let names = files.iter().map(|file| {
        let name = file[key].as_str().unwrap();
        match file["file_size"].as_u64() {
            Some(size) => format!("{name}={size}"),
            None => format!("{name}/"),
        }
    });
    names.collect::<Vec<_>>().join(" ")
}

/// Returns status and `error_code`.
#[track_caller]
fn refusal(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    assert!(body["message"].is_string(), "{body}");
    (
        answer.status,
        body["error_code"].as_str().unwrap().to_owned(),
    )
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// Returns all objects of the cache.
fn objects(p: &Project) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in fs::read_dir(p.path(".cvops/cache/blake3"))
        .into_iter()
        .flatten()
    {
        for object in fs::read_dir(folder.unwrap().path()).unwrap() {
            found.push(object.unwrap().path());
        }
    }
    found
}

/// Returns the number of files that are being written into the cache.
fn in_the_making(p: &Project) -> usize {
    fs::read_dir(p.path(".cvops/cache/tmp")).map_or(0, Iterator::count)
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn clients_find_the_conventions_of_mlflow() {
    let p = empty_project();
    let server = p.ui("");
    let health = server.get("/health");
    assert_eq!((health.status, health.text().as_str()), (200, "OK"));
    let version = server.get("/version").text();
    assert!(version.starts_with("3."), "{version}");
    for prefix in ["/api", "/ajax-api"] {
        let info = server
            .get(&format!("{prefix}/3.0/mlflow/server-info"))
            .json();
        assert_eq!(info["store_type"], "SqlStore");
        assert_eq!(info["multipart_uploads_enabled"], false);
    }
    assert!(
        1.0 <= server.metric(r#"http_requests_total{handler="/health",method="GET",status="2xx"}"#)
    );

    let unknown = server.get("/api/2.0/mlflow/traces/search");
    assert_eq!(refusal(&unknown), refused(404, "ENDPOINT_NOT_FOUND"));
    let method = server.post("/api/2.0/mlflow/artifacts/list", "application/json", "{}");
    assert_eq!(refusal(&method), refused(405, "BAD_REQUEST"));
    assert_eq!(method.header("Allow"), Some("GET, HEAD, OPTIONS"));
    let missing = server.get("/api/2.0/mlflow/artifacts/list");
    assert_eq!(refusal(&missing), refused(400, "INVALID_PARAMETER_VALUE"));
    assert_eq!(
        missing.json()["message"],
        "Missing value for required parameter 'run_id'. See the API docs for more information \
         about request parameters."
    );
    let nobody =
        server.get("/api/2.0/mlflow/artifacts/list?run_id=00000000000000000000000000000000");
    assert_eq!(refusal(&nobody), refused(404, "RESOURCE_DOES_NOT_EXIST"));
    for path in ["mpu/create/0/x", "mpu/complete/0/x", "mpu/abort/0/x"] {
        let path = format!("/api/2.0/mlflow-artifacts/{path}");
        let answer = server.post(&path, "application/json", "{}");
        assert_eq!(refusal(&answer), refused(501, "NOT_IMPLEMENTED"));
    }
    let presigned = server.get("/api/2.0/mlflow-artifacts/presigned/0/x");
    assert_eq!(refusal(&presigned), refused(501, "NOT_IMPLEMENTED"));

    server.signal(Signal::TERM);
    server.event("draining");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn files_go_up_and_come_back() {
    let p = empty_project();
    let server = p.ui("");
    let html = b"<script>alert(1)</script>";
    let answer = put(&server, "7/r/artifacts/reports/index.html", html);
    assert_eq!(
        (answer.status, answer.body.len()),
        (200, 0),
        "{}",
        answer.text()
    );
    put(&server, "7/r/artifacts/b%20%C3%BC.bin", b"");
    put(&server, "7/r/artifacts/one.txt", b"hello\n");
    let other = server.send(
        "PUT /ajax-api/2.0/mlflow-artifacts/artifacts/7/r/artifacts/one.txt",
        "Content-Type: text/plain\r\n",
        b"hello again\n",
    );
    assert_eq!(other.status, 200);

    let back = get(&server, "7/r/artifacts/reports/index.html");
    assert_eq!((back.status, back.body.as_slice()), (200, html.as_slice()));
    for (name, value) in [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Disposition", "attachment; filename=\"index.html\""),
        ("Content-Length", "25"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Security-Policy", "sandbox; default-src 'none'"),
        ("Accept-Ranges", "bytes"),
    ] {
        assert_eq!(back.header(name), Some(value));
    }
    assert!(back.header("Last-Modified").unwrap().ends_with(" GMT"));
    assert_eq!(
        get(&server, "7/r/artifacts/one.txt").text(),
        "hello again\n"
    );
    let empty = get(&server, "7/r/artifacts/b%20%C3%BC.bin");
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    assert_eq!(
        empty.header("Content-Disposition"),
        Some("attachment; filename=\"b _.bin\"; filename*=UTF-8''b%20%C3%BC.bin")
    );
    let absent = get(&server, "7/r/artifacts/no/such.file");
    assert_eq!(refusal(&absent), refused(404, "RESOURCE_DOES_NOT_EXIST"));
    assert_eq!(
        absent.json()["message"],
        "No such artifact: '7/r/artifacts/no/such.file'"
    );

    assert_eq!(
        list(&server, "7%2Fr%2Fartifacts"),
        "b ü.bin=0 one.txt=12 reports/"
    );
    assert_eq!(list(&server, "/7/r/artifacts/reports/"), "index.html=25");
    assert_eq!(list(&server, "7/r/artifacts/./reports"), "index.html=25");
    assert_eq!(list(&server, "7/./r/artifacts/reports/."), "index.html=25");
    assert_eq!(list(&server, "7/r/artifacts/one.txt"), "");
    assert_eq!(server.get(&format!("{PROXY}?path=nothing")).text(), "{}");
    assert_eq!(list(&server, ""), "7/");

    // A name is a file or a folder.
    for path in ["7/r/artifacts/reports", "7/r/artifacts/one.txt/x"] {
        let answer = put(&server, path, b"x");
        assert_eq!(refusal(&answer), refused(400, "INVALID_PARAMETER_VALUE"));
    }
    let delete = |path: &str| server.send(&format!("DELETE {PROXY}/{path}"), "", b"");
    assert_eq!(delete("7/r/artifacts/reports").text(), "{}");
    assert_eq!(delete("7/r/artifacts/reports").text(), "{}");
    assert_eq!(delete("7/r/artifacts/one.txt").status, 200);
    assert_eq!(list(&server, "7/r/artifacts"), "b ü.bin=0");
    // Clients so ask for all of a run.
    assert_eq!(delete("7/r/artifacts/").text(), "{}");
    assert_eq!(list(&server, "7/r/artifacts"), "");

    // What is acknowledged is there after a kill.
    put(&server, "7/kept", b"kept");
    server.signal(Signal::KILL);
    server.end();
    let server = p.ui("");
    assert_eq!(get(&server, "7/kept").text(), "kept");
}

#[test]
fn parts_of_a_file_can_be_asked_for() {
    let p = empty_project();
    let server = p.ui("");
    put(&server, "0/ten", b"0123456789");
    let ask = |headers: &str| server.send(&format!("GET {PROXY}/0/ten"), headers, b"");
    let whole = ask("");
    let etag = whole.header("ETag").unwrap().to_owned();
    assert_eq!(etag.len(), 66);
    let part = ask("Range: bytes=2-4\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    assert_eq!(part.header("Content-Range"), Some("bytes 2-4/10"));
    assert_eq!(part.header("Content-Length"), Some("3"));
    assert_eq!(ask("Range: bytes=-2\r\n").text(), "89");
    assert_eq!(ask("Range: bytes=8-\r\n").text(), "89");
    assert_eq!(ask("Range: bytes=0-1,4-5\r\n").status, 200);
    let beyond = ask("Range: bytes=10-\r\n");
    assert_eq!(refusal(&beyond), refused(416, "INVALID_PARAMETER_VALUE"));
    assert_eq!(beyond.header("Content-Range"), Some("bytes */10"));
    let same = ask(&format!("If-None-Match: {etag}\r\n"));
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(same.header("ETag"), Some(etag.as_str()));
    let if_range = |tag: &str| ask(&format!("Range: bytes=2-4\r\nIf-Range: {tag}\r\n")).status;
    assert_eq!(if_range(&etag), 206);
    assert_eq!(if_range("\"other\""), 200);
    let head = server.send(&format!("HEAD {PROXY}/0/ten"), "", b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("Content-Length"), Some("10"));
}

#[test]
fn paths_stay_below_the_artifacts() {
    let p = empty_project();
    p.write("secret.txt", "secret");
    let server = p.ui("");
    for path in [
        "../secret.txt",
        "0/../../../secret.txt",
        "%2e%2e/secret.txt",
        "0/%2E%2E/x",
        "%252e%252e/secret.txt",
        "0%2f..%2fx",
        "0%255c..%255cx",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "C:/x",
        "0%5c..%5cx",
        "0/a%00b",
        "0//x",
        "0/./x",
        "0/x/",
        "0/%ff",
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            // All of a folder may be removed by its name with `/` behind it.
            if (method, path) == ("DELETE", "0/x/") {
                continue;
            }
            let line = format!("{method} {PROXY}/{path}");
            let answer = server.send(&line, "", b"");
            let expected = refused(400, "INVALID_PARAMETER_VALUE");
            assert_eq!(refusal(&answer), expected, "{line}");
        }
    }
    for path in ["..", "0%2F..%2Fx", "a%5Cb", "%252e%252e"] {
        let answer = server.get(&format!("{PROXY}?path={path}"));
        assert_eq!(refusal(&answer), refused(400, "INVALID_PARAMETER_VALUE"));
    }
    let run = "00000000000000000000000000000000";
    let answer = server.get(&format!("/get-artifact?run_id={run}&path=..%2Fx"));
    assert_eq!(refusal(&answer), refused(400, "INVALID_PARAMETER_VALUE"));
    assert_eq!(list(&server, ""), "");
    // A per cent sign is a character like others.
    assert_eq!(put(&server, "0/100%25.txt", b"x").status, 200);
    assert_eq!(get(&server, "0/100%25.txt").status, 200);
    assert_eq!(list(&server, "0"), "100%.txt=1");
}

#[test]
fn large_files_are_streamed_and_kept_once() {
    let p = empty_project();
    let server = p.ui("--upload-max 13");
    let large = noise(12 << 20);
    assert_eq!(put(&server, "0/a/artifacts/net.bin", &large).status, 200);
    // The same once more, in chunks of odd sizes.
    let mut stream = server.connect();
    let head = format!(
        "PUT {PROXY}/0/b/artifacts/net.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    for chunk in large.chunks(77_777) {
        write!(stream, "{:x}\r\n", chunk.len()).unwrap();
        stream.write_all(chunk).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(receive(&mut stream).status, 200);
    assert_eq!(objects(&p).len(), 1);
    for run in ["a", "b"] {
        let back = get(&server, &format!("0/{run}/artifacts/net.bin"));
        assert_eq!(back.status, 200);
        assert!(back.body == large);
    }
    let range = format!("Range: bytes={}-\r\n", 5 << 20);
    let rest = server.send(&format!("GET {PROXY}/0/a/artifacts/net.bin"), &range, b"");
    assert!(rest.status == 206 && rest.body == large[5 << 20..]);
    // Bytes that nobody else names stay until they are collected; what is used stays.
    p.ok("gc --workspace --force");
    assert_eq!(objects(&p).len(), 1);

    let too_large = put(&server, "0/c/artifacts/net.bin", &noise((13 << 20) + 1));
    assert_eq!(refusal(&too_large), refused(413, "INVALID_PARAMETER_VALUE"));
    assert_eq!(get(&server, "0/c/artifacts/net.bin").status, 404);
    assert_eq!(in_the_making(&p), 0);

    // What the cache has lost is said so.
    fs::remove_file(&objects(&p)[0]).unwrap();
    let lost = get(&server, "0/a/artifacts/net.bin");
    assert_eq!(refusal(&lost), refused(404, "RESOURCE_DOES_NOT_EXIST"));
    let message = lost.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("is not in the cache"), "{message}");
}

#[test]
fn a_broken_upload_leaves_nothing() {
    let p = empty_project();
    let begin = |server: &Server| {
        let mut stream = server.connect();
        let head = format!(
            "PUT {PROXY}/0/r/artifacts/net.bin HTTP/1.1\r\nHost: localhost\r\n\
             Content-Length: 12000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&noise(5_000_000)).unwrap();
        wait_until("the upload is on its way", || in_the_making(&p) == 1);
        stream
    };
    // The client goes away.
    let server = p.ui("");
    drop(begin(&server));
    wait_until("the upload is given up", || in_the_making(&p) == 0);
    assert_eq!(get(&server, "0/r/artifacts/net.bin").status, 404);

    // The server is killed.
    let mut stream = begin(&server);
    server.signal(Signal::KILL);
    server.end();
    let _ = stream.read(&mut [0; 16]);
    let server = p.ui("");
    assert_eq!(get(&server, "0/r/artifacts/net.bin").status, 404);
    assert_eq!(list(&server, ""), "");
    assert_eq!(objects(&p), Vec::<PathBuf>::new());
    // The same upload works now.
    assert_eq!(put(&server, "0/r/artifacts/net.bin", b"x").status, 200);
}

#[test]
fn the_tree_of_a_run_shows_what_its_stages_made() {
    let p = with_pipeline(
        r#"stages:
  train:
    cmd: mkdir -p out/deep && echo net > out/net.bin && echo x > out/deep/x.txt && echo 1 > note.txt
    outs: [out, note.txt]
"#,
    );
    p.ok("repro");
    let runs: Value = serde_json::from_str(&p.ok("runs list --json").stdout).unwrap();
    let run = runs["runs"][0]["id"].as_str().unwrap();
    let server = p.ui("");
    let rest = |path: &str| {
        let answer = server.get(&format!(
            "/api/2.0/mlflow/artifacts/list?run_id={run}&path={path}"
        ));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let top = rest("");
    assert_eq!(
        top["root_uri"],
        format!("mlflow-artifacts:/0/{run}/artifacts")
    );
    assert_eq!(names(&top, "path"), "note.txt=2 out/");
    assert_eq!(names(&rest("out"), "path"), "out/deep/ out/net.bin=4");
    assert_eq!(names(&rest("out/deep/"), "path"), "out/deep/x.txt=2");
    assert_eq!(rest("out/net.bin")["files"], Value::Null);
    let traversal = server.get(&format!(
        "/api/2.0/mlflow/artifacts/list?run_id={run}&path=../.."
    ));
    assert_eq!(refusal(&traversal), refused(400, "INVALID_PARAMETER_VALUE"));

    let root = format!("0/{run}/artifacts");
    assert_eq!(list(&server, &root), "note.txt=2 out/");
    assert_eq!(
        get(&server, &format!("{root}/out/deep/x.txt")).text(),
        "x\n"
    );
    let page = server.get(&format!("/get-artifact?run_uuid={run}&path=out%2Fnet.bin"));
    assert_eq!((page.status, page.text().as_str()), (200, "net\n"));
    let disposition = page.header("Content-Disposition").unwrap();
    assert!(disposition.starts_with("attachment"), "{disposition}");

    // What is uploaded stands beside it.
    let line =
        format!("POST /ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=out/extra.txt");
    let uploaded = server.send(&line, "", b"extra");
    assert_eq!((uploaded.status, uploaded.json()), (200, json!({})));
    assert_eq!(
        list(&server, &format!("{root}/out")),
        "deep/ extra.txt=5 net.bin=4"
    );
    let delete = server.send(&format!("DELETE {PROXY}/{root}/out/net.bin"), "", b"");
    assert_eq!(refusal(&delete), refused(400, "INVALID_PARAMETER_VALUE"));
}

#[test]
fn long_lists_are_compressed_for_those_who_ask() {
    let p = empty_project();
    let server = p.ui("");
    for i in 0..40 {
        put(&server, &format!("0/f/name-{i}.txt"), b"x");
    }
    let ask = |accepted: &str| {
        let headers = format!("Accept-Encoding: {accepted}\r\n");
        server.send(&format!("GET {PROXY}?path=0/f"), &headers, b"")
    };
    let plain = ask("identity");
    assert_eq!(plain.header("Content-Encoding"), None);
    let zipped = ask("gzip, deflate");
    assert_eq!(zipped.header("Content-Encoding"), Some("gzip"));
    assert!(zipped.body.starts_with(&[0x1f, 0x8b]) && zipped.body.len() < plain.body.len() / 2);
    // Files come as they are.
    put(&server, "0/large.txt", &vec![b'x'; 100_000]);
    let headers = "Accept-Encoding: gzip\r\n";
    let file = server.send(&format!("GET {PROXY}/0/large.txt"), headers, b"");
    assert_eq!(file.body.len(), 100_000);
}

#[test]
fn pages_of_other_sites_are_refused() {
    let p = empty_project();
    let server = p.ui("--allow-host ml.example.org");
    let ask = |headers: &str| {
        let mut stream = server.connect();
        let head = format!("GET /metrics HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let answer = receive(&mut stream);
        if answer.status != 200 {
            assert_eq!(refusal(&answer), refused(403, "PERMISSION_DENIED"));
        }
        answer.status
    };
    let port = server.port;
    assert_eq!(ask("Host: localhost\r\n"), 200);
    assert_eq!(ask(&format!("Host: 127.0.0.1:{port}\r\n")), 200);
    assert_eq!(ask("Host: [::1]:5000\r\n"), 200);
    assert_eq!(ask("Host: ml.example.org\r\n"), 200);
    assert_eq!(ask(&format!("Host: evil.example.org:{port}\r\n")), 403);
    let origin = |origin: &str| ask(&format!("Host: localhost:{port}\r\nOrigin: {origin}\r\n"));
    assert_eq!(origin(&format!("http://localhost:{port}")), 200);
    assert_eq!(origin("https://evil.example.org"), 403);
    assert_eq!(origin("null"), 403);
    let proxied = "X-Forwarded-Host: ml.example.org\r\nOrigin: https://ml.example.org\r\n";
    assert_eq!(ask(&format!("Host: localhost:{port}\r\n{proxied}")), 200);
    // Also for uploads, before a byte of them is kept.
    let headers = "Origin: https://evil.example.org\r\n";
    let answer = server.send(&format!("PUT {PROXY}/0/x"), headers, b"x");
    assert_eq!(refusal(&answer), refused(403, "PERMISSION_DENIED"));
    assert_eq!(list(&server, ""), "");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let p = project();
    check(
        &p.cvops("ui --port 0"),
        str![[r#"
--- stderr ---
error: `[ROOT]` is not inside a cvops project
...
[exit 2]
"#]],
    );
    p.ok("init");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let busy = p.cvops(&format!("ui --port {port}"));
    assert_eq!(busy.exit, Exit::Code(1), "{}", busy.transcript());
    assert!(
        busy.stderr.contains(&format!("port {port} is in use by"))
            && busy.stderr.contains("--port"),
        "{}",
        busy.transcript()
    );
    check(
        &p.cvops("ui --host nowhere.invalid"),
        str![[r#"
--- stderr ---
error: the host `nowhere.invalid` is not known: [..]
 |
 = help: use `127.0.0.1` for this machine alone, `0.0.0.0` for all its addresses
[exit 2]
"#]],
    );
}

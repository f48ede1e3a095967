//! `cvops serve` at a Unix socket.

use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use snapbox::str;

use crate::support::client::{Answer, Server, receive, request};
use crate::support::pictures::{stripes, trained_project};
use crate::support::{Project, check, project};

impl Project {
    /// Starts `cvops serve` at `run/cvops.sock`.
    fn serve_unix(&self) -> Server {
        std::fs::create_dir_all(self.path("run")).unwrap();
        self.serve_with(&mut self.command("serve --json --unix run/cvops.sock"))
    }

    fn send_unix(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = UnixStream::connect(self.path("run/cvops.sock")).unwrap();
        stream.write_all(&request(line, headers, body)).unwrap();
        receive(&mut stream)
    }
}

#[test]
fn predictions_go_through_a_socket_that_only_its_user_may_open() {
    let p = trained_project();
    let server = p.serve_unix();
    server.event("ready");
    let path = p.path("run/cvops.sock");
    assert_eq!(server.listening["unix"], path.display().to_string());
    let url = format!("unix:{}", path.display());
    assert_eq!(server.listening["url"], url);
    assert_eq!(server.listening["port"], serde_json::Value::Null);
    let file = std::fs::metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);

    let answer = p.send_unix(
        "POST /predict",
        "Content-Type: image/png\r\n",
        &stripes(0, 1),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    check(
        &p.cvops(&format!("health {url}")),
        str![[r#"
--- stderr ---
`unix:[ROOT]/run/cvops.sock` is well
[exit 0]
"#]],
    );

    server.signal(Signal::TERM);
    assert_eq!(server.end(), Some(0));
    assert!(!path.exists());
    check(
        &p.cvops(&format!("health {url}")),
        str![[r#"
--- stderr ---
error: nothing listens at `unix:[ROOT]/run/cvops.sock`
[exit 1]
"#]],
    );
}

#[test]
fn without_keys_models_are_exchanged_through_a_socket_of_its_user_only() {
    const RELOAD: &str = "POST /models/classifier/reload";
    let p = trained_project();
    let server = p.serve_unix();
    server.event("ready");
    assert_eq!(p.send_unix(RELOAD, "", b"").outcome(), "200 -");
    for header in ["Via: 1.1 proxy", "X-Real-IP: 192.0.2.1"] {
        let answer = p.send_unix(RELOAD, &format!("{header}\r\n"), b"");
        assert_eq!(answer.outcome(), "403 forbidden", "{header}");
    }
    drop(server);
    let params = p.read("params.yaml") + "serve: {unix_access: group}\n";
    p.write("params.yaml", params);
    let server = p.serve_unix();
    server.event("ready");
    let refused = p.send_unix(RELOAD, "", b"");
    assert_eq!(refused.outcome(), "403 forbidden");
    assert!(refused.text().contains("serve.unix_access"));
    assert_eq!(p.send_unix("GET /models", "", b"").status, 200);
}

#[test]
fn access_may_be_wider() {
    let p = project();
    p.write("params.yaml", "serve: {unix: s, unix_access: group}\n");
    let _server = p.serve_with(&mut p.command("serve --json"));
    let mode = std::fs::metadata(p.path("s")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn the_socket_of_a_dead_server_is_replaced_and_that_of_a_living_one_is_not() {
    let p = project();
    p.write("params.yaml", "serve: {}\n");
    let killed = p.serve_unix();
    killed.signal(Signal::KILL);
    killed.end();
    assert!(p.path("run/cvops.sock").exists());
    let living = p.serve_unix();
    assert_eq!(p.send_unix("GET /health", "", b"").status, 200);
    check(
        &p.cvops("serve --unix run/cvops.sock"),
        str![[r#"
--- stderr ---
error: a server listens at `[ROOT]/run/cvops.sock` already
 |
 = help: choose another path, or stop that server; `ss -lxp src [ROOT]/run/cvops.sock` shows who it is
[exit 1]
"#]],
    );
    assert_eq!(p.send_unix("GET /health", "", b"").status, 200);
    drop(living);
}

#[test]
fn what_is_no_place_for_a_socket_is_told() {
    let p = project();
    p.write("params.yaml", "serve: {}\n");
    p.write("file", "mine");
    check(
        &p.cvops("serve --unix file"),
        str![[r#"
--- stderr ---
error: `[ROOT]/file` is there already and no socket
 |
 = help: choose another path, or remove it
[exit 2]
"#]],
    );
    assert_eq!(p.read("file"), "mine");
    check(
        &p.cvops("serve --unix absent/s"),
        str![[r#"
--- stderr ---
error: could not listen at `[ROOT]/absent/s`: No such file or directory (os error 2)
 |
 = help: the folder must be there and writable, and the whole path shorter than 108 bytes
[exit 1]
"#]],
    );
    check(
        &p.cvops("serve --unix s --port 0"),
        str![[r#"
--- stderr ---
error: the argument [..] cannot be used with [..]

Usage: [..]

For more information, try '--help'.
[exit 2]
"#]],
    );
    p.write("params.yaml", "serve: {tls: {cert: a, key: b}}\n");
    check(
        &p.cvops("serve --unix s"),
        str![[r#"
--- stderr ---
error: `--unix` and `serve.tls` of params.yaml exclude each other
 |
 = help: a Unix socket does not leave this machine and needs no TLS: leave one of them out
[exit 2]
"#]],
    );
}

#[test]
fn a_port_that_is_asked_for_goes_before_the_socket_of_the_file() {
    let p = project();
    p.write("params.yaml", "serve: {unix: s}\n");
    let server = p.serve("");
    assert_eq!(server.get("/health").status, 200);
    assert!(!p.exists("s"));
}

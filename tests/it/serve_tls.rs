//! `cvops serve` with TLS, seen from its clients.

use std::io::{Read, Write};
use std::sync::Arc;

use rustix::process::Signal;
use snapbox::str;

use crate::support::client::{Server, connect, failed_start, receive, request};
use crate::support::pictures::{stripes, trained_project};
use crate::support::stages::wait_until;
use crate::support::tls::{Identity, TlsClient, identity, send, shake_hands, shows};
use crate::support::{Project, check, project};

const FLAGS: &str = "--tls-cert cert.pem --tls-key key.pem";

/// A project without a model, whose server speaks TLS, with these further keys of `serve`.
fn serving(keys: &str) -> (Project, Identity, Server) {
    let p = project();
    let shown = identity();
    p.write_identity(&shown);
    p.write("params.yaml", format!("serve: {{{keys}}}\n"));
    let server = p.serve(FLAGS);
    (p, shown, server)
}

/// Sends a request and reads the beginning of its answer; the connection stays.
fn ask_on(stream: &mut TlsClient) -> String {
    let head = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(head).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"{\"status\":\"ok\"}") {
        let mut piece = [0; 512];
        let read = stream.read(&mut piece).unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(answer).unwrap()
}

#[test]
fn predictions_go_over_tls() {
    let p = trained_project();
    let shown = identity();
    p.write_identity(&shown);
    // Paths in the file are relative to its folder, wherever the server is started.
    p.write(
        "params.yaml",
        p.read("params.yaml") + "serve: {tls: {cert: cert.pem, key: key.pem}}\n",
    );
    p.write("sub/empty.txt", "");
    let server = p.serve_ready("-C sub --params ../params.yaml --model ../models/classifier");
    let url = server.listening["url"].as_str().unwrap().to_owned();
    assert_eq!(url, format!("https://127.0.0.1:{}", server.port));
    let picture = stripes(1, 3);

    // A client of its own make, with nothing but the certificate.
    let roots = vec![ureq::tls::Certificate::from_pem(shown.cert.as_bytes()).unwrap()];
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(ureq::tls::RootCerts::Specific(Arc::new(roots)))
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
    for _ in 0..3 {
        let mut answer = agent
            .post(format!("{url}/predict"))
            .header("Content-Type", "image/png")
            .send(&picture)
            .unwrap();
        assert_eq!(answer.status(), 200);
        let text = answer.body_mut().read_to_string().unwrap();
        assert!(text.starts_with("{\"label\":\"a"), "{text}");
    }
    // Nobody else's certificate is taken for it.
    let stranger = identity();
    assert!(shake_hands(server.port, &[&stranger], &[]).is_err());

    server.signal(Signal::TERM);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn http_1_1_is_agreed_on() {
    let (_p, shown, server) = serving("");
    let agreed = |protocols: &[&str]| {
        let stream = shake_hands(server.port, &[&shown], protocols)?;
        Ok::<_, std::io::Error>(stream.conn.alpn_protocol().map(<[u8]>::to_vec))
    };
    let http = Some(b"http/1.1".to_vec());
    assert_eq!(agreed(&["h2", "http/1.1"]).unwrap(), http);
    assert_eq!(agreed(&[]).unwrap(), None);
    assert!(agreed(&["h2"]).is_err(), "nobody here speaks HTTP/2");
}

#[test]
fn clients_without_tls_are_let_go_without_noise() {
    let (p, shown, server) = serving("");
    for sent in [
        &request("GET /health", "", b"")[..],
        b"\x16\x03\x01\xff\xff rubbish",
        b"",
    ] {
        let mut stream = connect(server.port);
        stream.write_all(sent).unwrap();
        // It may have been closed already.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut answer);
        assert!(
            !answer.starts_with(b"HTTP"),
            "nothing goes out in the clear"
        );
    }
    let answer = send(server.port, &shown, "GET /health", "", b"");
    assert_eq!(answer.status, 200);
    let log = p.serve_log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_new_certificate_is_shown_and_old_connections_stay() {
    // On a loaded machine an idle connection may wait for long.
    let (p, first, server) = serving("header_timeout_s: 600");
    let (second, third) = (identity(), identity());
    let all = [&first, &second, &third];
    let mut old = shake_hands(server.port, &all, &[]).unwrap();
    ask_on(&mut old);
    assert!(shows(server.port, &first, &all));

    p.write_identity(&second);
    wait_until("the second certificate is shown", || {
        shows(server.port, &second, &all)
    });
    assert!(ask_on(&mut old).starts_with("HTTP/1.1 200"));

    // A pair that does not fit changes nothing.
    p.write("key.pem", &third.key);
    let told = || {
        let log = p.serve_log();
        log.matches("the new certificate cannot be used, the old one stays")
            .count()
    };
    wait_until("the pair is refused", || told() == 1);
    let log = p.serve_log();
    assert!(log.contains("does not belong to the certificate"), "{log}");
    assert!(shows(server.port, &second, &all));

    p.write_identity(&third);
    wait_until("the third certificate is shown", || {
        shows(server.port, &third, &all)
    });
    assert_eq!(told(), 1);
    assert!(ask_on(&mut old).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_client_that_says_nothing_is_counted_and_let_go() {
    let (_p, shown, server) = serving("header_timeout_s: 600, connections_max: 2");
    let silent = connect(server.port);
    let connections = || {
        let text = send(server.port, &shown, "GET /metrics", "", b"").text();
        let series = "cvops_http_connections ";
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap().parse::<f64>().unwrap()
    };
    wait_until("both are counted", || connections() == 2.0);
    drop(silent);
    drop(server);

    let (_p, shown, server) = serving("header_timeout_s: 2");
    let mut silent = connect(server.port);
    let mut end = Vec::new();
    silent.read_to_end(&mut end).unwrap();
    assert_eq!(end, b"", "closed without a word");

    // One that said half of its request is told why.
    let mut slow = shake_hands(server.port, &[&shown], &[]).unwrap();
    slow.write_all(b"GET /health HTTP/1.1\r\nHost").unwrap();
    let answer = receive(&mut slow);
    assert_eq!(answer.outcome(), "408 header_timeout");
}

#[test]
fn a_body_that_nobody_reads_does_not_cost_its_sender_the_answer() {
    let (_p, shown, server) = serving("max_body_mib: 1, header_timeout_s: 600");
    let mut stream = shake_hands(server.port, &[&shown], &[]).unwrap();
    let head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 2097152\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    // A server that closed at once, with bytes unread, would reset the connection.
    stream.write_all(&vec![0; 2 << 20]).unwrap();
    let mut bytes = Vec::new();
    // An end of TLS, not only of TCP: nothing was cut off.
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    assert!(text.contains("\"code\":\"body_too_large\""), "{text}");
}

#[test]
fn a_drain_ends_idle_connections_of_tls_at_once() {
    let (_p, shown, server) = serving("header_timeout_s: 600, drain_timeout_s: 600");
    let mut idle = shake_hands(server.port, &[&shown], &[]).unwrap();
    ask_on(&mut idle);
    let _in_its_handshake = connect(server.port);
    server.signal(Signal::TERM);
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn files_that_cannot_be_used_are_told_at_the_start() {
    let p = project();
    let (one, other) = (identity(), identity());
    p.write("params.yaml", "serve: {}\n");
    check(
        &failed_start(&p, FLAGS),
        str![[r#"
--- stderr ---
error: the certificate `[ROOT]/cert.pem` cannot be read: No such file or directory (os error 2)
 |
 = help: check `serve.tls.cert` in params.yaml, or `--tls-cert`
[exit 2]
"#]],
    );
    p.write_identity(&one);
    p.write("key.pem", &other.key);
    check(
        &failed_start(&p, FLAGS),
        str![[r#"
--- stderr ---
error: the private key `[ROOT]/key.pem` does not belong to the certificate `[ROOT]/cert.pem`
 |
 = help: both must come from one request; the server's own certificate comes first in its file
[exit 2]
"#]],
    );
    p.write("key.pem", &one.cert);
    check(
        &failed_start(&p, FLAGS),
        str![[r#"
--- stderr ---
error: `[ROOT]/key.pem` holds no private key
 |
 = help: it must be PEM: a block `-----BEGIN PRIVATE KEY-----`
[exit 2]
"#]],
    );
    p.write("cert.pem", "no certificate\n");
    check(
        &failed_start(&p, FLAGS),
        str![[r#"
--- stderr ---
error: `[ROOT]/cert.pem` holds no certificate
 |
 = help: it must be PEM: a block `-----BEGIN CERTIFICATE-----`, the server's own first
[exit 2]
"#]],
    );
    p.write_identity(&one);
    p.write(
        "key.pem",
        one.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
    );
    check(
        &failed_start(&p, FLAGS),
        str![[r#"
--- stderr ---
error: the private key `[ROOT]/key.pem` is encrypted
 |
 = help: a server has nobody to ask for the password: `openssl pkey -in [ROOT]/key.pem -out plain.pem`, readable by its user alone
[exit 2]
"#]],
    );
    check(
        &failed_start(&p, "--tls-cert cert.pem"),
        str![[r#"
--- stderr ---
error: the following required arguments were not provided:
  --tls-key <FILE>

Usage: [..]

For more information, try '--help'.
[exit 2]
"#]],
    );
    p.write("params.yaml", "serve:\n  tls: {cert: cert.pem}\n");
    check(
        &failed_start(&p, ""),
        str![[r#"
--- stderr ---
error: `serve.tls.cert` needs `key` beside it
 --> params.yaml:2:9
  |
2 |   tls: {cert: cert.pem}
  |         ^^^^
  |
  = help: TLS wants a certificate and its private key
[exit 2]
"#]],
    );
}

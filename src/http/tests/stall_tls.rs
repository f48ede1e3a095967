//! Clients that speak TLS and read nothing: what TLS has taken into its own buffer waits in a flush or in
//! a shutdown, where nobody but the stall timer notices.

use std::io;

use rcgen::generate_simple_self_signed;
use rustix::net::{AddressFamily, SocketType, sockopt};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;
use crate::base::fs;

/// What the system may hold for each end, bytes: less than an answer.
const SYSTEM_BYTES: usize = 4 << 10;

type TlsClient = StreamOwned<ClientConnection, TcpStream>;

/// Starts a server with a certificate, which is returned for its clients.
fn start_tls(limits: Limits) -> (TestServer, CertificateDer<'static>) {
    let tmp = tempfile::tempdir().unwrap();
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        cert: tmp.path().join("cert.pem"),
        key: tmp.path().join("key.pem"),
    };
    fs::write_atomic(&files.cert, made.cert.pem().as_bytes()).unwrap();
    fs::write_atomic(&files.key, made.signing_key.serialize_pem().as_bytes()).unwrap();
    let tls = Arc::new(Tls::load(files).unwrap());
    let listener = |bound: Bound| {
        // Connections inherit it.
        sockopt::set_socket_send_buffer_size(&bound.listener, SYSTEM_BYTES).unwrap();
        Listener::Tls(bound, tls)
    };
    let server = start_on(listener, limits, |app| app);
    (server, made.cert.der().clone())
}

/// Asks for `/page` and reads nothing.
fn ask(server: &TestServer, trusted: &CertificateDer<'static>, headers: &str) -> TlsClient {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_recv_buffer_size(&socket, SYSTEM_BYTES).unwrap();
    rustix::net::connect(&socket, &server.addr).unwrap();
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, socket);
    let request = format!("GET /page HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.flush().unwrap();
    stream
}

/// Reads to the end of the connection: an end of TLS, or an error.
fn read(mut client: TlsClient) -> io::Result<usize> {
    let mut answer = Vec::new();
    client.read_to_end(&mut answer)
}

const OK: &str = r#"http_requests_total{handler="/page",method="GET",status="2xx"}"#;

/// Both ways in which an answer may end: the connection stays, or it is closed.
const HEADERS: [&str; 2] = ["", "Connection: close\r\n"];

#[test]
fn a_client_of_tls_that_takes_nothing_of_its_answer_is_given_up() {
    for headers in HEADERS {
        let (server, trusted) = start_tls(Limits {
            stall_timeout: Duration::ZERO,
            header_timeout: Duration::from_hours(1),
            ..Limits::default()
        });
        let client = ask(&server, &trusted, headers);
        server.until(OK, 1.0);
        server.until("cvops_http_connections", 0.0);
        let end = read(client);
        assert!(end.is_err(), "{headers:?} {end:?}");
        server.stop();
    }
}

#[test]
fn a_client_of_tls_that_takes_nothing_holds_up_no_drain() {
    for headers in HEADERS {
        let (server, trusted) = start_tls(Limits {
            stall_timeout: Duration::from_hours(1),
            drain_stall_timeout: Duration::ZERO,
            drain_timeout: Duration::from_hours(1),
            header_timeout: Duration::from_hours(1),
            ..Limits::default()
        });
        let client = ask(&server, &trusted, headers);
        server.until(OK, 1.0);
        // It would last for an hour.
        assert_eq!(server.stop().aborted, 0);
        assert!(read(client).is_err(), "{headers:?}");
    }
}

#[test]
fn a_client_of_tls_that_reads_has_all_of_its_answer() {
    let (server, trusted) = start_tls(Limits::default());
    let client = ask(&server, &trusted, "Connection: close\r\n");
    let read = read(client).unwrap();
    assert!(PAGE < read, "{read}");
    server.stop();
}

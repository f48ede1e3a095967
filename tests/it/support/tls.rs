//! Certificates, made for one test, and a client that speaks TLS and shows what it was shown.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::Project;
use super::client::{Answer, connect, receive, request};

/// A certificate that vouches for itself.
pub(crate) struct Identity {
    pub(crate) cert: String,
    pub(crate) key: String,
    der: CertificateDer<'static>,
}

/// A connection after its handshake.
pub(crate) type TlsClient = StreamOwned<ClientConnection, TcpStream>;

/// Makes a new certificate for this machine.
pub(crate) fn identity() -> Identity {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    Identity {
        cert: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
        der: made.cert.der().clone(),
    }
}

impl Project {
    /// Writes a certificate and its key to `cert.pem` and `key.pem`.
    pub(crate) fn write_identity(&self, identity: &Identity) {
        self.write("cert.pem", &identity.cert);
        self.write("key.pem", &identity.key);
    }
}

/// Shakes hands with the server on `port`, which must show one of `trusted`; these protocols are offered
/// above TLS.
pub(crate) fn shake_hands(
    port: u16,
    trusted: &[&Identity],
    protocols: &[&str],
) -> std::io::Result<TlsClient> {
    let mut roots = RootCertStore::empty();
    for identity in trusted {
        roots.add(identity.der.clone()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, connect(port));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Does the server on `port` show this certificate to a new client?
pub(crate) fn shows(port: u16, identity: &Identity, trusted: &[&Identity]) -> bool {
    let stream = shake_hands(port, trusted, &[]).unwrap();
    let shown = stream.conn.peer_certificates().unwrap();
    shown == std::slice::from_ref(&identity.der)
}

/// Sends a request on a connection of its own and waits for the answer.
pub(crate) fn send(
    port: u16,
    trusted: &Identity,
    line: &str,
    headers: &str,
    body: &[u8],
) -> Answer {
    let mut stream = shake_hands(port, &[trusted], &[]).unwrap();
    stream.write_all(&request(line, headers, body)).unwrap();
    receive(&mut stream)
}

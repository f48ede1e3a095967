//! The keys of the section `serve` about how clients reach the server: TLS, a Unix socket, time limits
//! of the wire, and an address of its own for the metrics. `config` has the table.
//! Imports: `base::doc`, http, `serve::error`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::base::doc::{Fields, On};
use crate::base::unix_socket::Access;
use crate::http::{self, Bound, Limits, Listener, Proxies, Proxy, Tls, TlsFiles};

use super::error::Error;

/// How clients reach the server. Paths are relative to the folder of the file that names them, until
/// `relative_to`.
#[derive(Clone, Debug, PartialEq)]
pub struct Transport {
    /// A Unix socket instead of a port.
    pub unix: Option<PathBuf>,
    /// Who may connect to it.
    pub unix_access: Access,
    /// The certificate; without one, nothing is encrypted.
    pub tls: Option<TlsFiles>,
    /// Where `/metrics` is answered, if not with the rest.
    pub metrics: Option<HostPort>,
    /// Longest time for a handshake, for the head of a request, and between two requests.
    pub header_timeout: Duration,
    /// Longest time for a request's body.
    pub body_timeout: Duration,
    /// Connections that one address may have open.
    pub connections_per_ip_max: Option<NonZeroUsize>,
    /// Who is believed when it says for whom it asks.
    pub trusted_proxies: Vec<Proxy>,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address.
    pub host: String,
    /// 0 takes any free one.
    pub port: u16,
}

impl HostPort {
    /// Reads `HOST:PORT`; an address of IPv6 stands in brackets.
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let is_bare = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        (!host.trim().is_empty() && is_bare && is_number).then_some(Self {
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    }
}

impl Transport {
    /// Reads the keys; whoever calls reports unknown ones.
    pub(super) fn read(fields: &Fields<'_, '_>) -> Self {
        let seconds =
            |key, default| Duration::from_secs_f64(fields.float(key, default, 0.1..=3600.0));
        Self {
            unix: path(fields, "unix"),
            unix_access: fields.choice(
                "unix_access",
                Access::Owner,
                &[
                    ("owner", Access::Owner),
                    ("group", Access::Group),
                    ("everyone", Access::Everyone),
                ],
            ),
            tls: tls(&fields.section("tls"), fields),
            metrics: metrics(fields.section("metrics")),
            header_timeout: seconds("header_timeout_s", 10.0),
            body_timeout: seconds("body_timeout_s", 30.0),
            connections_per_ip_max: fields
                .optional_int("connections_per_ip_max", 1..=100_000)
                .and_then(|max| NonZeroUsize::new(max as usize)),
            trusted_proxies: proxies(fields),
        }
    }

    /// Makes the paths relative to where `dir` is.
    pub fn relative_to(&mut self, dir: &Path) {
        let files = self.tls.iter_mut();
        let files = files.flat_map(|tls| [&mut tls.cert, &mut tls.key]);
        for path in files.chain(self.unix.as_mut()) {
            *path = dir.join(&*path);
        }
    }

    /// Puts the limits of connections into `limits`.
    pub(super) fn limit(&self, limits: &Limits) -> Limits {
        Limits {
            header_timeout: self.header_timeout,
            body_timeout: self.body_timeout,
            connections_per_ip_max: self.connections_per_ip_max,
            ..limits.clone()
        }
    }

    /// Returns who is believed.
    pub(super) fn proxies(&self) -> Proxies {
        Proxies::new(self.trusted_proxies.clone())
    }

    /// Listens where clients are to come: at the Unix socket, else at `host` and `port`.
    pub(super) fn listen(&self, host: &str, port: u16) -> Result<Listener, Error> {
        // A bad certificate is told before a port is taken.
        let tls = self.tls.clone().map(Tls::load).transpose();
        let tls = tls.map_err(http::Error::from)?;
        if let Some(path) = &self.unix {
            return Ok(Listener::Unix(http::bind_unix(path, self.unix_access)?));
        }
        let bound = http::bind(http::resolve(host, port)?)?;
        Ok(match tls {
            None => bound.into(),
            Some(tls) => Listener::Tls(bound, Arc::new(tls)),
        })
    }

    /// Listens where metrics are to be asked for, if that is a place of its own.
    pub(super) fn listen_for_metrics(&self) -> Result<Option<Bound>, Error> {
        let Some(HostPort { host, port }) = &self.metrics else {
            return Ok(None);
        };
        Ok(Some(http::bind(http::resolve(host, *port)?)?))
    }
}

fn proxies(fields: &Fields<'_, '_>) -> Vec<Proxy> {
    let mut proxies = Vec::new();
    for text in fields.texts("trusted_proxies") {
        match text.parse::<Proxy>() {
            Ok(proxy) => proxies.push(proxy),
            Err(error) => {
                let at = fields.path("trusted_proxies");
                let headline = format!("`{text}` in `{at}` is no proxy");
                let help = Some(error.to_string());
                fields.problem("trusted_proxies", On::Value, "bad-value", headline, help);
            }
        }
    }
    proxies
}

fn path(fields: &Fields<'_, '_>, key: &'static str) -> Option<PathBuf> {
    let text = fields.optional_text(key)?;
    if text.is_empty() {
        let headline = format!("`{}` must not be empty", fields.path(key));
        let help = Some("give the path of a file, or leave the key out".to_owned());
        fields.problem(key, On::Value, "out-of-range", headline, help);
        return None;
    }
    Some(PathBuf::from(text))
}

/// Both files or none: half a pair would leave the server without the encryption that was meant.
fn tls(section: &Fields<'_, '_>, serve: &Fields<'_, '_>) -> Option<TlsFiles> {
    let pair = (path(section, "cert"), path(section, "key"));
    for (key, other) in [("cert", "key"), ("key", "cert")] {
        if section.has(key) && !section.has(other) {
            let headline = format!("`{}` needs `{other}` beside it", section.path(key));
            let help = Some("TLS wants a certificate and its private key".to_owned());
            section.problem(key, On::Key, "missing-key", headline, help);
        }
    }
    section.check_unknown();
    let (Some(cert), Some(key)) = pair else {
        return None;
    };
    if serve.has("unix") {
        let headline = format!(
            "`{}` and `{}` exclude each other",
            serve.path("unix"),
            section.at()
        );
        let help = Some("a Unix socket does not leave this machine: it needs no TLS".to_owned());
        serve.problem("unix", On::Key, "exclusive-keys", headline, help);
    }
    Some(TlsFiles { cert, key })
}

fn metrics(section: Fields<'_, '_>) -> Option<HostPort> {
    let text = section.optional_text("listen");
    let parsed = text.and_then(HostPort::parse);
    if text.is_some() && parsed.is_none() {
        let path = section.path("listen");
        let headline = format!("`{path}` must be an address with a port");
        let help = Some("for example `127.0.0.1:9100`, `[::1]:9100`, `0.0.0.0:9100`".to_owned());
        section.problem("listen", On::Value, "out-of-range", headline, help);
    }
    section.finish();
    parsed
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::read;
    use super::*;

    #[test]
    fn nothing_is_set_by_default() {
        let transport = read("serve: {}\n").unwrap().transport;
        assert_eq!((transport.unix, transport.tls), (None, None));
        assert_eq!(transport.metrics, None);
        assert_eq!(transport.header_timeout, Duration::from_secs(10));
        assert_eq!(transport.body_timeout, Duration::from_secs(30));
        assert_eq!(transport.connections_per_ip_max, None);
        assert_eq!(transport.trusted_proxies, []);
    }

    #[test]
    fn proxies_are_addresses_networks_or_the_socket() {
        let text = "serve: {trusted_proxies: [10.0.0.0/8, '::1', unix]}\n";
        let proxies = ["10.0.0.0/8", "::1", "unix"].map(|proxy| proxy.parse().unwrap());
        assert_eq!(read(text).unwrap().transport.trusted_proxies, proxies);
    }

    #[test]
    fn paths_are_relative_to_the_file_that_names_them() {
        let text = "serve: {tls: {cert: tls/cert.pem, key: /etc/key.pem}}\n";
        let mut transport = read(text).unwrap().transport;
        transport.relative_to(Path::new("/project"));
        let expected = TlsFiles {
            cert: PathBuf::from("/project/tls/cert.pem"),
            key: PathBuf::from("/etc/key.pem"),
        };
        assert_eq!(transport.tls, Some(expected));
        let mut transport = read("serve: {unix: run/s, unix_access: group}\n")
            .unwrap()
            .transport;
        transport.relative_to(Path::new("/project"));
        assert_eq!(transport.unix, Some(PathBuf::from("/project/run/s")));
        assert_eq!(transport.unix_access, Access::Group);
    }

    #[test]
    fn says_what_is_accepted() {
        for (text, expected) in [
            (
                "tls: {cert: a.pem}",
                "`serve.tls.cert` needs `key` beside it (TLS wants a certificate and its private key)",
            ),
            (
                "tls: {key: a.pem}",
                "`serve.tls.key` needs `cert` beside it (TLS wants a certificate and its private key)",
            ),
            (
                "{tls: {cert: a, key: b}, unix: s}",
                "`serve.unix` and `serve.tls` exclude each other (a Unix socket does not leave this machine: it needs no TLS)",
            ),
            (
                "tls: {certificate: a, cert: b, key: c}",
                "unknown key `certificate` in `serve.tls` (known keys: `cert`, `key`)",
            ),
            (
                "unix: ''",
                "`serve.unix` must not be empty (give the path of a file, or leave the key out)",
            ),
            (
                "metrics: {listen: 9100}",
                "`serve.metrics.listen` must be a text ()",
            ),
            (
                "metrics: {listen: '::1:9100'}",
                "`serve.metrics.listen` must be an address with a port (for example `127.0.0.1:9100`, `[::1]:9100`, `0.0.0.0:9100`)",
            ),
            (
                "header_timeout_s: 0",
                "`serve.header_timeout_s` must be a number from 0.1 to 3600 ()",
            ),
            (
                "trusted_proxies: [10.0.0.0/8, nginx]",
                "`nginx` in `serve.trusted_proxies` is no proxy (give an address (`10.0.0.1`), a network (`10.0.0.0/8`), or `unix` for the Unix socket)",
            ),
            (
                "connections_per_ip_max: 0",
                "`serve.connections_per_ip_max` must be a whole number from 1 to 100000 ()",
            ),
        ] {
            assert_eq!(
                read(&format!("serve:\n  {text}\n")),
                Err(vec![expected.to_owned()]),
                "{text}"
            );
        }
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        let read = |text: &str| HostPort::parse(text).map(|at| (at.host, at.port));
        for (text, host, port) in [
            ("127.0.0.1:9100", "127.0.0.1", 9100),
            ("[::1]:0", "[::1]", 0),
            ("metrics.local:65535", "metrics.local", 65535),
        ] {
            assert_eq!(read(text), Some((host.to_owned(), port)));
        }
        for text in [
            "",
            ":9100",
            "host",
            "host:",
            "host:65536",
            "host:+1",
            "::1:1",
            "[::1:1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

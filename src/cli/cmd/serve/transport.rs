//! Flags of `cvops serve` about how clients reach the server, and how it says where it is.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::base::Diagnostic;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::http::{Endpoint, TlsFiles};
use crate::serve::Transport;

/// How clients reach the server. The keys of params.yaml count where a flag is not given.
#[derive(Debug, clap::Args)]
pub(super) struct TransportArgs {
    /// Unix socket to listen on instead of a port (default: `serve.unix`)
    #[arg(long, value_name = "PATH", conflicts_with_all = ["tls_cert", "tls_key"])]
    unix: Option<PathBuf>,
    /// Certificate for TLS, PEM (default: `serve.tls.cert`)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM (default: `serve.tls.key`)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl TransportArgs {
    /// Puts the flags before the keys of params.yaml.
    pub(super) fn apply(&self, ctx: &Ctx, transport: &mut Transport) -> Result<(), CliError> {
        if let Some(path) = &self.unix {
            if transport.tls.is_some() {
                return Err(exclusive("--unix", "serve.tls"));
            }
            transport.unix = Some(ctx.dir.join(path));
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            if transport.unix.is_some() {
                return Err(exclusive("--tls-cert", "serve.unix"));
            }
            transport.tls = Some(TlsFiles {
                cert: ctx.dir.join(cert),
                key: ctx.dir.join(key),
            });
        }
        Ok(())
    }
}

/// A flag does not take away what the file says: encryption would be gone without a word.
fn exclusive(flag: &str, key: &str) -> CliError {
    let headline = format!("`{flag}` and `{key}` of params.yaml exclude each other");
    CliError::usage(
        Diagnostic::error("exclusive-keys", headline).help(
            "a Unix socket does not leave this machine and needs no TLS: leave one of them out",
        ),
    )
}

/// Says for programs where the server is.
pub(super) fn listening(at: &Endpoint, metrics: Option<SocketAddr>) -> Value {
    let mut event = json!({"event": "listening", "url": at.to_string()});
    match at {
        Endpoint::Http(addr) | Endpoint::Https(addr) => {
            event["host"] = json!(addr.ip().to_string());
            event["port"] = json!(addr.port());
        }
        Endpoint::Unix(path) => event["unix"] = json!(path.display().to_string()),
    }
    if let Some(addr) = metrics {
        event["metrics"] = json!(format!("http://{addr}/metrics"));
    }
    event
}

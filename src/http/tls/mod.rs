//! TLS of a server: handshakes, and a certificate that is looked at again while it serves.
//!
//! `load` makes what rustls needs of two files; `watch` notices that they changed. A new certificate is
//! a whole new configuration: sessions of the old one cannot be taken up again, so every new connection
//! sees the new certificate. Connections that are open keep what they began with.
//! Imports: nothing of ours.

mod load;
mod problem;
mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

pub use problem::{FileKind, TlsProblem};

use super::stream::Wire;
use watch::Watch;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The files of a server's certificate, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that lead to a known authority.
    pub cert: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

/// A certificate with its key, ready to be shown.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    watch: std::sync::Mutex<Watch>,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// One is missing or holds something else, or the key is another certificate's.
    pub fn load(files: TlsFiles) -> Result<Self, TlsProblem> {
        // Before the files are read: what changes meanwhile is seen at the next look.
        let watch = Watch::begin(&files);
        let config = load::server_config(&files)?;
        Ok(Self {
            files,
            watch: std::sync::Mutex::new(watch),
            current: RwLock::new(config),
        })
    }

    /// Shakes hands on a new connection.
    ///
    /// # Errors
    /// The client speaks no TLS, no version or cipher of ours, does not like the certificate, or goes away.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<Wire>> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(Wire::new(stream)).await
    }

    /// Looks at the files now and then, for ever.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let tls = Arc::clone(&self);
            // The files may lie on a file system that takes its time.
            let looked = tokio::task::spawn_blocking(move || tls.look()).await;
            if looked.is_err() {
                tracing::warn!(target: "cvops::http", "the certificate cannot be looked at");
                return;
            }
        }
    }

    /// Looks at the files once.
    fn look(&self) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        match watch.look(&self.files) {
            watch::Seen::Nothing => {}
            watch::Seen::New(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                tracing::info!(
                    target: "cvops::http",
                    cert = %self.files.cert.display(),
                    "read the certificate again: new connections are shown it"
                );
            }
            watch::Seen::Bad(problem) => tracing::warn!(
                target: "cvops::http",
                %problem,
                "the new certificate cannot be used, the old one stays"
            ),
        }
    }
}

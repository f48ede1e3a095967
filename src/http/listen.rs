//! Where connections come from: TCP, TCP with TLS, or a Unix socket, and the first steps with a new one.
//! Imports: `base::unix_socket`.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::base::unix_socket::{self, Access, Occupant, SocketFile};

use super::bind::Bound;
use super::error::Error;
use super::stream::Stream;
use super::tls::Tls;

/// What a server listens on: clients can connect already and wait for `serve`.
#[derive(Debug)]
pub enum Listener {
    /// A port, without TLS.
    Plain(Bound),
    /// A port, with TLS.
    Tls(Bound, Arc<Tls>),
    /// A Unix socket.
    Unix(UnixBound),
}

/// Where a server can be reached, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// By HTTP.
    Http(SocketAddr),
    /// By HTTP over TLS.
    Https(SocketAddr),
    /// By HTTP over a Unix socket.
    Unix(PathBuf),
}

/// A Unix socket that is ours. Its file goes with it.
#[derive(Debug)]
pub struct UnixBound {
    listener: StdUnixListener,
    file: SocketFile,
}

/// Listens at `path`; the socket of a server that is gone is replaced.
///
/// # Errors
/// A server listens there, something else is there, or no socket can be made there.
pub fn bind_unix(path: &Path, access: Access) -> Result<UnixBound, Error> {
    let failed = |source: io::Error| Error::BindUnix {
        path: path.to_owned(),
        source,
    };
    match unix_socket::occupant(path).map_err(failed)? {
        Occupant::Nobody => {}
        Occupant::Dead => crate::base::fs::remove_file(path).map_err(failed)?,
        Occupant::Alive => {
            return Err(Error::SocketBusy {
                path: path.to_owned(),
            });
        }
        Occupant::Other => {
            return Err(Error::NoSocket {
                path: path.to_owned(),
            });
        }
    }
    let (listener, file) = unix_socket::listen(path, access).map_err(failed)?;
    Ok(UnixBound { listener, file })
}

impl Listener {
    /// Returns where clients find it.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        match self {
            Self::Plain(bound) => Endpoint::Http(bound.addr()),
            Self::Tls(bound, _) => Endpoint::Https(bound.addr()),
            Self::Unix(bound) => Endpoint::Unix(bound.file.path().to_owned()),
        }
    }

    /// Registers it with the runtime around; whoever closes it drops the file of a Unix socket, too.
    pub(super) fn open(self) -> io::Result<(Open, Option<SocketFile>)> {
        Ok(match self {
            Self::Plain(bound) => {
                let listener = TcpListener::from_std(bound.listener)?;
                (Open::Tcp(listener, None), None)
            }
            Self::Tls(bound, tls) => {
                let listener = TcpListener::from_std(bound.listener)?;
                (Open::Tcp(listener, Some(tls)), None)
            }
            Self::Unix(bound) => {
                let listener = UnixListener::from_std(bound.listener)?;
                (Open::Unix(listener), Some(bound.file))
            }
        })
    }
}

impl From<Bound> for Listener {
    fn from(bound: Bound) -> Self {
        Self::Plain(bound)
    }
}

impl Endpoint {
    /// Returns address and port, if it has them.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Http(addr) | Self::Https(addr) => Some(*addr),
            Self::Unix(_) => None,
        }
    }
}

/// As a URL: `http://127.0.0.1:5001`, `https://…`, `unix:PATH`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(addr) => write!(f, "http://{addr}"),
            Self::Https(addr) => write!(f, "https://{addr}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listener in its runtime; dropped, it refuses connections.
#[derive(Debug)]
pub(super) enum Open {
    Tcp(TcpListener, Option<Arc<Tls>>),
    Unix(UnixListener),
}

/// A client that has connected and said nothing yet.
#[derive(Debug)]
pub(super) struct Caller {
    /// The address at the other end; a Unix socket has none.
    pub(super) peer: Option<IpAddr>,
    line: Line,
}

#[derive(Debug)]
enum Line {
    Plain(Stream),
    /// The handshake is still to come.
    Tls(TcpStream, Arc<Tls>),
}

impl Open {
    /// Waits for the next client.
    pub(super) async fn accept(&self) -> io::Result<Caller> {
        match self {
            Self::Tcp(listener, tls) => {
                let (stream, from) = listener.accept().await?;
                // An answer is one write; waiting for more to send would only delay it.
                let _ = stream.set_nodelay(true);
                Ok(Caller {
                    // An IPv4 address is one also where it came through a socket of IPv6.
                    peer: Some(from.ip().to_canonical()),
                    line: match tls {
                        None => Line::Plain(Stream::Tcp(stream)),
                        Some(tls) => Line::Tls(stream, Arc::clone(tls)),
                    },
                })
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Caller {
                    peer: None,
                    line: Line::Plain(Stream::Unix(stream)),
                })
            }
        }
    }

    /// Returns what is to be looked at while it is open, for ever.
    pub(super) fn tls(&self) -> Option<Arc<Tls>> {
        match self {
            Self::Tcp(_, tls) => tls.clone(),
            Self::Unix(_) => None,
        }
    }
}

impl Caller {
    /// Does what comes before the first request. `None`: it will not send one.
    pub(super) async fn greet(self, timeout: Duration) -> Option<Stream> {
        let (stream, tls) = match self.line {
            Line::Plain(stream) => return Some(stream),
            Line::Tls(stream, tls) => (stream, tls),
        };
        match tokio::time::timeout(timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) => Some(Stream::Tls(Box::new(stream))),
            // Scanners, clients without TLS, and those that know another authority: nothing of ours.
            Ok(Err(error)) => {
                tracing::debug!(target: "cvops::http", %error, "a handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!(target: "cvops::http", "a handshake took too long");
                None
            }
        }
    }
}

//! The error of this room. Imports: `base`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::base;
use crate::base::diag::{Diagnostic, ToDiagnostics};
use crate::base::ports::Owner;

use super::tls::TlsProblem;

/// What can go wrong with a server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host to listen on has no address.
    #[error("the host `{host}` is not known: {problem}")]
    UnknownHost {
        /// As given.
        host: String,
        /// The system's words.
        problem: String,
    },
    /// Something else listens there.
    #[error("port {} is in use{}", addr.port(), by(owner.as_ref()))]
    PortBusy {
        /// Where the server was to listen.
        addr: SocketAddr,
        /// Who listens there, if the system tells.
        owner: Option<Owner>,
    },
    /// The system reserves the port.
    #[error("port {} may not be listened on by this user", addr.port())]
    PortForbidden {
        /// Where the server was to listen.
        addr: SocketAddr,
    },
    /// The address belongs to another machine.
    #[error("the address `{}` is not one of this machine", addr.ip())]
    AddressNotHere {
        /// Where the server was to listen.
        addr: SocketAddr,
    },
    /// Another reason not to listen.
    #[error("could not listen on `{addr}`: {source}")]
    Bind {
        /// Where the server was to listen.
        addr: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// A server listens on the Unix socket.
    #[error("a server listens at `{}` already", path.display())]
    SocketBusy {
        /// Where the server was to listen.
        path: PathBuf,
    },
    /// Something else than a socket is in its place.
    #[error("`{}` is there already and no socket", path.display())]
    NoSocket {
        /// Where the server was to listen.
        path: PathBuf,
    },
    /// No socket can be made there.
    #[error("could not listen at `{}`: {source}", path.display())]
    BindUnix {
        /// Where the server was to listen.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsProblem),
    /// Threads or timers could not be started.
    #[error("could not start the server's threads: {0}")]
    Runtime(
        /// The system's answer.
        io::Error,
    ),
    /// Two metrics of one name, or a name that is none: a mistake of ours.
    #[error("this is a bug in cvops: metrics: {0}")]
    Metrics(
        /// What the registry says.
        #[from]
        prometheus::Error,
    ),
    /// A file operation, document or database failed.
    #[error(transparent)]
    Base(#[from] base::Error),
}

fn by(owner: Option<&Owner>) -> String {
    owner.map_or_else(String::new, |owner| format!(" by {owner}"))
}

impl ToDiagnostics for Error {
    fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let error = |code| Diagnostic::error(code, self.to_string());
        vec![match self {
            Self::UnknownHost { .. } => error("unknown-host")
                .help("use `127.0.0.1` for this machine alone, `0.0.0.0` for all its addresses"),
            Self::PortBusy { addr, owner } => error("port-busy").help(match owner {
                Some(owner) => format!(
                    "choose another port with `--port`, or stop it: `kill {}`",
                    owner.pid
                ),
                None => format!(
                    "choose another port with `--port`; `ss -ltnp 'sport = :{}'` shows who holds it",
                    addr.port()
                ),
            }),
            Self::PortForbidden { .. } => error("port-forbidden")
                .help("ports below 1024 need the rights of root: choose a higher one with `--port`"),
            Self::AddressNotHere { .. } => error("address-not-here")
                .help("use `127.0.0.1` for this machine only, or `0.0.0.0` for all its addresses"),
            Self::Bind { .. } => error("cannot-listen").help("check host and port"),
            Self::SocketBusy { path } => error("socket-busy").help(format!(
                "choose another path, or stop that server; `ss -lxp src {}` shows who it is",
                path.display()
            )),
            Self::NoSocket { .. } => error("no-socket").help("choose another path, or remove it"),
            Self::BindUnix { .. } => error("cannot-listen").help(
                "the folder must be there and writable, and the whole path shorter than 108 bytes",
            ),
            Self::Tls(problem) => problem.diagnostic(),
            Self::Runtime(_) => {
                error("cannot-start").help("the limit on threads or open files may be reached (`ulimit -a`)")
            }
            Self::Metrics(_) => error("bug").help("please report it with the command"),
            Self::Base(error) => return error.to_diagnostics(),
        }]
    }
}

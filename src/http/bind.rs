//! Finds the address to listen on and takes its port, or says who has it. Imports: base.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use crate::base::ports;

use super::error::Error;

/// A port that is ours: clients can connect already and wait for `run`.
#[derive(Debug)]
pub struct Bound {
    pub(super) listener: TcpListener,
    addr: SocketAddr,
}

impl Bound {
    /// Returns where it listens; with the real port if 0 was asked for.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// Returns the first address of `host`, a name or an address (an IPv6 one may stand in brackets), with
/// `port`.
///
/// # Errors
/// The host has no address.
pub fn resolve(host: &str, port: u16) -> Result<SocketAddr, Error> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let unknown = |problem: String| Error::UnknownHost {
        host: host.to_owned(),
        problem,
    };
    let mut found = (bare, port)
        .to_socket_addrs()
        .map_err(|e| unknown(e.to_string()))?;
    found
        .next()
        .ok_or_else(|| unknown("the name has no address".to_owned()))
}

/// Listens on `addr`; port 0 asks the system for a free one.
///
/// # Errors
/// The port is busy or forbidden, or the address is not one of this machine.
pub fn bind(addr: SocketAddr) -> Result<Bound, Error> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortBusy {
            addr,
            owner: ports::owner(addr.port()),
        },
        io::ErrorKind::PermissionDenied => Error::PortForbidden { addr },
        io::ErrorKind::AddrNotAvailable => Error::AddressNotHere { addr },
        _ => Error::Bind { addr, source },
    };
    let listener = TcpListener::bind(addr).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, addr })
}

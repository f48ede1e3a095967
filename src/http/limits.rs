//! How much a server lets its clients do. Imports: nothing of ours.

use std::num::NonZeroUsize;
use std::time::Duration;

/// The limits of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections. Further ones wait in the system's queue; of a server with probes
    /// (`Route::probe`) those are answered on a few more, and everybody else is told so there.
    pub connections_max: usize,
    /// How long a connection beyond `connections_max` may take, from its start to its end.
    pub spare_timeout: Duration,
    /// Open connections of one address; further ones are closed at once. `None`: any number.
    pub connections_per_ip_max: Option<NonZeroUsize>,
    /// From the end of the last answer (or the start of the connection) to the end of a request's
    /// head; so an idle connection is closed after it as well. A handshake of TLS has as long again.
    pub header_timeout: Duration,
    /// From the end of a request's head to the end of its body.
    pub body_timeout: Duration,
    /// A client that takes nothing of its answer for so long is given up, and its connection broken
    /// off.
    pub stall_timeout: Duration,
    /// The same after the server was asked to stop: it would hold up the end.
    pub drain_stall_timeout: Duration,
    /// How long requests in flight may go on after the server was asked to stop.
    pub drain_timeout: Duration,
    /// Bytes that the bodies of all requests may take together, from the announcement of a body until
    /// nobody holds it any more; bodies up to 64 KiB are not counted. A larger body than this is never
    /// read, so it should be a few of the routes' largest ones.
    pub bodies_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            spare_timeout: Duration::from_secs(2),
            connections_per_ip_max: None,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_mins(1),
            drain_stall_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(30),
            bodies_bytes_max: 256 << 20,
        }
    }
}

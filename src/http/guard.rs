//! What a server may ask before it reads a request's body: who asks, may they, and may they now?
//!
//! This room knows no keys and no rates. A server hands in a function (`App::with_guard`) that sees
//! the head of a request and the address of its peer; it is asked about requests to its routes only,
//! and must not wait: it runs on a thread that serves sockets. Imports: nothing of ours.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::{HeaderMap, Method};

use super::problem::Problem;

/// A request before its body is read.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// The method of its route; HEAD is GET.
    pub method: &'a Method,
    /// The template of its route.
    pub template: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The other end of the connection. A Unix socket has no address.
    pub peer: Option<IpAddr>,
    /// Where it comes from: `peer`, or for whom that asks, if it is a proxy that is trusted.
    pub client: Option<IpAddr>,
}

/// What the guard says.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Who asks, for the access log.
    pub who: Option<Arc<str>>,
    /// Headers of the answer, whatever that is.
    pub headers: HeaderMap,
    /// Why the request is not answered, if it is not.
    pub problem: Option<Problem>,
}

/// Judges requests.
pub(super) type Guard = Arc<dyn Fn(&Visitor<'_>) -> Verdict + Send + Sync>;

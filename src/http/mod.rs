//! What servers share: binding, accept loop, connection and body limits, request ids, metrics of
//! requests, error bodies, drain.
//!
//! No route of its own, no word of models or runs. A server hands in an `App`: the table of its
//! routes, a `warp` filter that answers them, and a function that puts a `Problem` into the words of
//! the protocol that the path belongs to.
//!
//! # The way of a request
//! `bind` or `listen` (TCP, `tls` above it, or a Unix socket) → `run` (in the runtime of its caller, `Cancel`) →
//! `accept` (`places` for at most `connections_max` connections, and a few for probes; so many `per_address`) → `connection` (the handshake; hyper over a `stream`, timeouts, lingering close) → `answer`: route, request id, `trace`, the server's `guard`
//! (who asks, through which `proxies`, how often; `cors` for pages of other origins), body within its
//! limit and the `budget` of all bodies (or an `Upload` that the handler reads), then warp, with the panic of a handler caught → `record` (metrics, access log) when the
//! last byte of the answer was handed on.
//!
//! warp's own server is not used: it panics on a busy port, accepts without limit and cannot tell a
//! draining connection when to stop. Imports: base.

mod accept;
mod answer;
mod app;
mod bind;
mod body;
mod budget;
mod coding;
mod connection;
mod cors;
pub mod error;
mod exposition;
mod guard;
mod limits;
mod listen;
mod live;
mod metrics;
mod per_address;
mod piecemeal;
mod places;
mod problem;
mod proxies;
mod record;
mod reply;
mod request_id;
mod routes;
mod run;
mod stream;
mod tls;
mod trace;
mod upload;

#[cfg(test)]
mod tests;

pub use hyper::{HeaderMap, Method, StatusCode, header};

pub use app::App;
pub use bind::{Bound, bind, resolve};
pub use coding::{BodyBudget, Coding};
pub use cors::{BadOrigin, Cors, Origin};
pub use error::Error;
pub use exposition::{EXPOSITION_TYPE, exposition, exposition_response};
pub use guard::{Verdict, Visitor};
pub use limits::Limits;
pub use listen::{Endpoint, Listener, UnixBound, bind_unix};
pub use live::{EndSwitch, Ending, LiveEvent, ending, live};
pub use metrics::Metrics;
pub use piecemeal::piecemeal;
pub use problem::{Asked, Problem, ProblemCode, Rendered};
pub use prometheus::Registry;
pub use proxies::{BadProxy, Network, Proxies, Proxy};
pub use reply::{stream, text};
pub use request_id::RequestId;
pub use routes::{Admission, Intake, Matched, Route, RouteTable};
pub use run::{Drained, serve, serve_until};
pub use tls::{FileKind, Tls, TlsFiles, TlsProblem};
pub use trace::{SpanId, TraceContext, TraceId};
pub use upload::{Pieces, Upload};
pub use warp::reply::Response;

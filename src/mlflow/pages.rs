//! What a server may show beside MLflow's API: pages, brought by whoever starts it. This room knows
//! none of them; it lets requests reach them once they passed the guard. Imports: http, track.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;

use crate::http::{Ending, HeaderMap, Rendered, Response, Route};
use crate::track::{Artifacts, Shared};

use super::refused::Refused;
use super::rest::{Access, User};

/// Paths below these belong to programs: what is refused there is said in JSON.
const FOR_PROGRAMS: [&str; 7] = [
    "/api/",
    "/ajax-api/",
    "/get-artifact",
    "/health",
    "/metrics",
    "/model-versions/",
    "/version",
];

/// Pages of a server.
pub trait Pages: Debug + Send + Sync {
    /// Returns their routes, and who may see each.
    fn routes(&self) -> Vec<(Route, Access)>;

    /// Answers a request; runs on a thread that may wait.
    ///
    /// # Errors
    /// What the reader is told.
    fn answer(&self, asked: PageAsk) -> Result<Response, Refused>;

    /// Returns a page that says what was refused, protected.
    fn refused(&self, refused: &Refused) -> Rendered;

    /// Puts the headers of a page on an answer: what a browser may do with it.
    fn protect(&self, headers: &mut HeaderMap);
}

/// A request for a page.
#[derive(Debug)]
pub struct PageAsk {
    /// The place of its route among `Pages::routes`.
    pub route: usize,
    /// The path as it was asked for, not decoded.
    pub path: String,
    /// What stands for the placeholders of the path, decoded, in order.
    pub params: Vec<String>,
    /// The pairs of the query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// When it came, milliseconds since 1970.
    pub now_ms: i64,
    /// Who asks, if that was shown.
    pub user: Option<User>,
    /// The record of runs.
    pub shared: Shared,
    /// The artifacts of the project.
    pub artifacts: Arc<Artifacts>,
    /// Ends live answers.
    pub ending: Ending,
}

/// Does a path belong to people rather than to programs?
pub(super) fn is_for_people(path: &str) -> bool {
    !FOR_PROGRAMS.iter().any(|prefix| path.starts_with(prefix))
}

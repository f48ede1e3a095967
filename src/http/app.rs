//! What a server hands to this room: routes, a filter that answers them, words for problems.
//! Imports: nothing of ours.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use super::cors::Cors;
use super::guard::{Guard, Verdict, Visitor};
use super::metrics::{Metrics, RouteMetrics};
use super::problem::{Asked, Problem, Rendered};
use super::proxies::Proxies;
use super::routes::RouteTable;

/// Puts a problem into the words of the protocol that its path belongs to.
pub(super) type Render = Arc<dyn Fn(&Problem, &Asked<'_>) -> Rendered + Send + Sync>;

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// The filter with its type forgotten: one allocation per request instead of this whole room being
/// compiled once per server.
type Handler = Arc<dyn Fn(Request<Bytes>) -> Answering + Send + Sync>;

/// A server's own part.
#[derive(Clone)]
pub struct App {
    pub(super) routes: Arc<RouteTable>,
    pub(super) handler: Handler,
    pub(super) render: Render,
    pub(super) metrics: Metrics,
    pub(super) of_routes: Arc<Vec<RouteMetrics>>,
    pub(super) guard: Option<Guard>,
    pub(super) cors: Option<Arc<Cors>>,
    pub(super) proxies: Arc<Proxies>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

impl App {
    /// Puts a server together. `filter` is only asked about routes of the table, with the whole body
    /// in memory (or an `Upload`, if the route is streamed) and `Matched` among the extensions; a HEAD
    /// request reaches it as GET. What it rejects is answered by warp's own words,
    /// so it should end with `.recover(…)` or reject nothing. Series of the routes are created in
    /// `metrics` with 0.
    pub fn new<F>(
        routes: RouteTable,
        filter: F,
        render: impl Fn(&Problem, &Asked<'_>) -> Rendered + Send + Sync + 'static,
        metrics: &Metrics,
    ) -> Self
    where
        F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
        F::Extract: Reply,
        F::Future: Send,
    {
        let service = TowerToHyperService::new(warp::service(filter));
        let handler: Handler = Arc::new(move |request: Request<Bytes>| {
            let answering = service.call(request.map(Full::new));
            Box::pin(async move {
                let answer: Result<Response, Infallible> = answering.await;
                match answer {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            })
        });
        let of_routes = metrics.of_routes(&routes);
        Self {
            routes: Arc::new(routes),
            handler,
            render: Arc::new(render),
            metrics: metrics.clone(),
            of_routes: Arc::new(of_routes),
            guard: None,
            cors: None,
            proxies: Arc::default(),
        }
    }

    /// Asks `guard` about every request to a route, before its body is read. It must not wait.
    #[must_use]
    pub fn with_guard(
        mut self,
        guard: impl Fn(&Visitor<'_>) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.guard = Some(Arc::new(guard));
        self
    }

    /// Believes these when they say for whom they ask.
    #[must_use]
    pub fn with_proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = Arc::new(proxies);
        self
    }

    /// Lets pages of other origins read answers.
    #[must_use]
    pub fn with_cors(mut self, cors: Cors) -> Self {
        self.cors = Some(Arc::new(cors));
        self
    }
}

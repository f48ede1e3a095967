//! The table of routes, each with what answers it, and the one filter behind all of them.
//! Imports: base, http, track, warp, `mlflow::*`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use warp::Filter;
use warp::path::FullPath;

use crate::base::clock;
use crate::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use crate::http::{
    self, App, Asked, Ending, HeaderMap, Intake, Matched, Method, Metrics, Problem, Registry,
    Response, Route, RouteTable, Upload,
};
use crate::track::{Artifacts, Shared};

use super::access::Guard;
use super::artifacts;
use super::origin::Names;
use super::pages::{PageAsk, Pages, is_for_people};
use super::refused::{Code, Refused, refused_of, render};
use super::rest::{self, Access, Ask, Endpoint, User};

/// The version of MLflow that clients are told: the one whose REST API is answered.
const MLFLOW_VERSION: &str = "3.17.2";

/// The prefixes of the artifact proxy.
const ARTIFACT_PREFIXES: [&str; 2] = [
    "/api/2.0/mlflow-artifacts/",
    "/ajax-api/2.0/mlflow-artifacts/",
];

/// The largest body of routes of artifacts that are no uploads, bytes.
const SMALL_BODY_BYTES_MAX: u64 = 1 << 20;

/// The prefixes of what is younger.
const YOUNG_PREFIXES: [&str; 2] = ["/api/3.0/mlflow/", "/ajax-api/3.0/mlflow/"];

/// A page waits so long for its turn.
const PAGE_PATIENCE: Duration = Duration::from_secs(5);

/// What answers a route.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// An endpoint of the REST API.
    Endpoint(&'static Endpoint),
    /// A small text.
    Page(Page),
    /// Artifacts.
    Artifacts(artifacts::Verb),
    /// A page that somebody else brought: its place among theirs.
    Brought(usize, Access),
}

/// A small text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Page {
    Health,
    Version,
    ServerInfo,
    Metrics,
}

/// The state of one server.
pub(super) struct Service {
    pub(super) shared: Shared,
    pub(super) artifacts: Arc<Artifacts>,
    pub(super) guard: Guard,
    pub(super) names: Names,
    pub(super) registry: Registry,
    pub(super) pages: Option<Arc<dyn Pages>>,
    pub(super) ending: Ending,
    /// One for each page that may be made at a time.
    pub(super) page_turns: Arc<Semaphore>,
    /// By the place of their route in the table.
    pub(super) targets: Vec<(Route, Target)>,
}

/// One request.
struct Request {
    method: Method,
    path: String,
    headers: HeaderMap,
    query: String,
    matched: Matched,
    upload: Option<Upload>,
    body: Bytes,
}

/// Returns all routes with what answers them.
pub(super) fn targets(upload_bytes_max: u64, pages: Option<&dyn Pages>) -> Vec<(Route, Target)> {
    let page = |path: &'static str, page| (Route::get(path), Target::Page(page));
    let mut targets = vec![
        page("/health", Page::Health),
        page("/version", Page::Version),
        page("/metrics", Page::Metrics),
    ];
    if let Some(pages) = pages {
        let brought = pages.routes().into_iter().enumerate();
        targets.extend(
            brought.map(|(place, (route, access))| (route, Target::Brought(place, access))),
        );
    }
    for prefix in YOUNG_PREFIXES {
        let route = Route::get(format!("{prefix}server-info"));
        targets.push((route, Target::Page(Page::ServerInfo)));
    }
    for endpoint in rest::TABLES.iter().copied().flatten() {
        for prefix in rest::PREFIXES {
            let template = format!("{prefix}{}", endpoint.path);
            let route = Route::new(endpoint.method.clone(), template, endpoint.body_max());
            targets.push((route, Target::Endpoint(endpoint)));
        }
    }
    for verb in artifacts::Verb::ALL {
        for template in verb.templates(&ARTIFACT_PREFIXES) {
            let template = Cow::Owned(template);
            let route = match verb.intake() {
                Intake::Streamed => {
                    Route::new(verb.method(), template, upload_bytes_max).streamed()
                }
                Intake::Collected if verb.method() == Method::GET => Route::get(template),
                Intake::Collected => Route::new(verb.method(), template, SMALL_BODY_BYTES_MAX),
            };
            targets.push((route, Target::Artifacts(verb)));
        }
    }
    targets
}

/// Puts the server together.
pub(super) fn app(service: Service, metrics: &Metrics) -> App {
    let routes = service.targets.iter().map(|(route, _)| route.clone());
    let routes = RouteTable::new(routes.collect());
    let pages = service.pages.clone();
    let service = Arc::new(service);
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let filter = warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(query)
        .and(warp::ext::get::<Matched>())
        .and(warp::ext::optional::<Upload>())
        .and(warp::body::bytes())
        .map(
            |method, path: FullPath, headers, query, matched, upload, body| Request {
                method,
                path: path.as_str().to_owned(),
                headers,
                query,
                matched,
                upload,
                body,
            },
        )
        .then(move |request: Request| {
            let service = Arc::clone(&service);
            async move {
                let is_for_people = is_for_people(&request.path) && !asks_for_data(&request.query);
                let answered = service.answer(request).await;
                let mut response = answered.unwrap_or_else(|refused| match &service.pages {
                    Some(pages) if is_for_people => refused.respond_as_page(&**pages),
                    _ => refused.respond(),
                });
                protect(response.headers_mut());
                response
            }
        });
    let render = move |problem: &Problem, asked: &Asked<'_>| match &pages {
        Some(pages) if is_for_people(asked.path) => pages.refused(&refused_of(problem, asked)),
        _ => render(problem, asked),
    };
    App::new(routes, filter, render, metrics)
}

/// A browser is not to guess what an answer is.
fn protect(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

impl Service {
    async fn answer(self: &Arc<Self>, request: Request) -> Result<Response, Refused> {
        self.names.check(&request.headers)?;
        let (_, target) = self
            .targets
            .get(request.matched.route)
            .ok_or_else(Refused::bug)?;
        match *target {
            Target::Endpoint(endpoint) => {
                let user = self.admit(&request.headers, endpoint.access).await?;
                require_json(&request.method, &request.headers, &request.body)?;
                let ask = Ask {
                    query: pairs(&request.query),
                    path_params: decoded(&request.matched.params)?,
                    body: request.body,
                    now_ms: clock::now().as_millisecond(),
                    user,
                    artifacts: Arc::clone(&self.artifacts),
                };
                rest::dispatch(&self.shared, endpoint.handler, ask, request.headers).await
            }
            Target::Page(page) => {
                if let Some(access) = page.access() {
                    self.admit(&request.headers, access).await?;
                }
                self.page(page, &request.headers)
            }
            Target::Brought(place, access) => {
                let user = self.admit(&request.headers, access).await?;
                self.brought(place, user, request).await
            }
            Target::Artifacts(verb) => {
                self.admit(&request.headers, verb.access()).await?;
                let place = artifacts::Place {
                    shared: self.shared.clone(),
                    artifacts: Arc::clone(&self.artifacts),
                };
                let params = decoded(&request.matched.params)?;
                let asked = artifacts::Asked {
                    path: params.into_iter().next_back(),
                    query: pairs(&request.query),
                    headers: request.headers,
                    upload: request.upload,
                };
                artifacts::answer(verb, place, asked).await
            }
        }
    }

    /// Finds out who asks and whether they may.
    async fn admit(&self, headers: &HeaderMap, access: Access) -> Result<Option<User>, Refused> {
        Ok(self.guard.check(headers, access).await?)
    }

    async fn brought(
        &self,
        route: usize,
        user: Option<User>,
        request: Request,
    ) -> Result<Response, Refused> {
        let pages = self.pages.clone().ok_or_else(Refused::bug)?;
        let asked = PageAsk {
            route,
            path: request.path,
            params: decoded(&request.matched.params)?,
            query: pairs(&request.query),
            headers: request.headers,
            body: request.body,
            now_ms: clock::now().as_millisecond(),
            user,
            shared: self.shared.clone(),
            artifacts: Arc::clone(&self.artifacts),
            ending: self.ending.clone(),
        };
        let turn = turn(&self.page_turns, PAGE_PATIENCE).await?;
        rest::blocking(move || {
            // Held by the thread: a browser that gives up does not stop it.
            let _turn = turn;
            let mut response = pages.answer(asked)?;
            pages.protect(response.headers_mut());
            Ok(response)
        })
        .await
    }

    fn page(&self, page: Page, headers: &HeaderMap) -> Result<Response, Refused> {
        Ok(match page {
            Page::Health => text("text/plain; charset=utf-8", "OK"),
            Page::Version => text("text/plain; charset=utf-8", MLFLOW_VERSION),
            Page::ServerInfo => {
                let info = json!({
                    "store_type": "SqlStore",
                    "workspaces_enabled": false,
                    "trace_archival_enabled": false,
                    "multipart_uploads_enabled": false,
                    "multipart_downloads_enabled": false,
                    "presigned_upload_run_id_supported": false,
                    "presigned_upload_model_id_supported": false,
                    "features_enabled": {"gateway": false},
                });
                text("application/json", info.to_string())
            }
            Page::Metrics => {
                let accepted = headers.get(ACCEPT_ENCODING);
                let accepted = accepted.and_then(|value| value.to_str().ok());
                http::exposition_response(&self.registry, accepted).map_err(|error| {
                    tracing::error!(target: "cvops::mlflow", %error, "the metrics cannot be written");
                    Refused::bug()
                })?
            }
        })
    }
}

impl Page {
    /// Returns who may see it; `None`: everybody.
    fn access(self) -> Option<Access> {
        match self {
            Self::Health | Self::Version => None,
            Self::ServerInfo | Self::Metrics => Some(Access::Read),
        }
    }
}

/// Waits until a page may be made; slow ones must leave threads to those who log.
async fn turn(turns: &Arc<Semaphore>, patience: Duration) -> Result<OwnedSemaphorePermit, Refused> {
    let turn = tokio::time::timeout(patience, Arc::clone(turns).acquire_owned());
    turn.await.ok().and_then(Result::ok).ok_or_else(|| {
        Refused::new(
            Code::TemporarilyUnavailable,
            "Too many pages are being made: try again in a moment",
        )
    })
}

fn text(content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    let value = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}

/// Is the body declared as what it must be? Pages of other sites can send other types only.
fn require_json(method: &Method, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
    let needs = match *method {
        Method::GET => false,
        Method::POST | Method::PUT => true,
        _ => !body.is_empty(),
    };
    if !needs {
        return Ok(());
    }
    let Some(declared) = headers.get(CONTENT_TYPE) else {
        return Err(Refused::invalid("Bad Request. Content-Type is missing."));
    };
    let kind = declared.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Refused::invalid(
            "Bad Request. Content-Type must be one of ['application/json'].",
        ))
    }
}

/// Does a query ask for a table as a file rather than for a page?
fn asks_for_data(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == "format")
}

/// Returns the pairs of a query, decoded.
fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

/// Decodes what stands for placeholders, once.
fn decoded(params: &[String]) -> Result<Vec<String>, Refused> {
    params
        .iter()
        .map(|param| {
            let decoded = percent_encoding::percent_decode_str(param).decode_utf8();
            decoded.map(Cow::into_owned).map_err(|_| {
                Refused::new(
                    Code::InvalidParameterValue,
                    format!("Invalid path: `{param}` is not UTF-8"),
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_declared_as_json() {
        #[track_caller]
        fn check(method: &Method, declared: Option<&str>, body: &str, expected: Result<(), &str>) {
            let mut headers = HeaderMap::new();
            if let Some(declared) = declared {
                headers.insert(CONTENT_TYPE, declared.parse().unwrap());
            }
            let found = require_json(method, &headers, body.as_bytes());
            let found = found.map_err(|refused| refused.message.into_owned());
            assert_eq!(found, expected.map_err(str::to_owned));
        }
        let wrong = Err("Bad Request. Content-Type must be one of ['application/json'].");
        let absent = Err("Bad Request. Content-Type is missing.");
        check(&Method::POST, Some("application/json"), "{}", Ok(()));
        check(
            &Method::POST,
            Some("Application/JSON; charset=utf-8"),
            "{}",
            Ok(()),
        );
        check(&Method::POST, Some("text/plain"), "{}", wrong);
        check(&Method::POST, None, "", absent);
        check(&Method::PATCH, None, "{}", absent);
        check(&Method::DELETE, None, "", Ok(()));
        check(&Method::GET, None, "", Ok(()));
    }

    #[tokio::test]
    async fn a_page_that_gets_no_turn_is_refused_for_now() {
        let turns = Arc::new(Semaphore::new(1));
        let held = turn(&turns, Duration::ZERO).await.unwrap();
        let refused = turn(&turns, Duration::ZERO).await.unwrap_err();
        assert_eq!(refused.code, Code::TemporarilyUnavailable);
        drop(held);
        assert!(turn(&turns, Duration::ZERO).await.is_ok());
    }

    #[test]
    fn every_endpoint_stands_behind_both_prefixes() {
        let targets = targets(1 << 30, None);
        let has = |method: Method, template: &str| {
            let mut routes = targets.iter().map(|(route, _)| route);
            routes.any(|route| route.method == method && route.template == template)
        };
        for prefix in ["/api", "/ajax-api"] {
            assert!(has(
                Method::GET,
                &format!("{prefix}/2.0/mlflow/artifacts/list")
            ));
            assert!(has(
                Method::PUT,
                &format!("{prefix}/2.0/mlflow-artifacts/artifacts/{{*path}}")
            ));
            assert!(has(
                Method::GET,
                &format!("{prefix}/3.0/mlflow/server-info")
            ));
        }
    }
}

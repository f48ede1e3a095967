//! Answers one request: route, request id, the server's guard, body, then its filter. Imports: nothing of ours.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONNECTION, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::app::App;
use super::body;
use super::coding::BodyBudget;
use super::connection::Visit;
use super::guard::{Verdict, Visitor};
use super::places::Standing;
use super::problem::{self, After, Asked, Problem, ProblemCode};
use super::record::{Record, Recorded};
use super::request_id::RequestId;
use super::routes::{Admission, Found, Intake, Path};
use super::run::Server;
use super::trace::TraceContext;
use super::upload::Upload;

/// When a place may be free again.
const CROWDED_RETRY: Duration = Duration::from_secs(1);

/// Answers `request`; whatever goes wrong becomes an answer too.
pub(super) async fn answer(
    server: Arc<Server>,
    visit: Arc<Visit>,
    request: Request<Incoming>,
) -> Result<Response<impl Body<Data = Bytes, Error = warp::Error>>, Infallible> {
    let id = RequestId::of(request.headers());
    let trace = TraceContext::of(request.headers());
    let app = &server.app;
    let found = app.routes.find(request.method(), request.uri().path());
    let path = match found {
        Found::Nothing => app.routes.paths().len(),
        Found::OtherMethods { path } | Found::Route { path, .. } => path,
    };
    let method = request.method().clone();
    let client = app.proxies.client(visit.peer, request.headers());
    let mut record = Record::start(&server, &visit, client, method, path, id, trace);
    let has_body = !request.body().is_end_stream();
    let origin = app
        .cors
        .as_ref()
        .and_then(|cors| cors.allowed(request.headers()));
    let is_beyond = visit.place.standing() == Standing::Spare;
    let mut response = match found {
        _ if is_beyond && app.routes.admission(&found) == Admission::WithinLimit => {
            refuse(app, &request, None, &record.id, crowded())
        }
        Found::Nothing => {
            let problem = Problem::new(
                StatusCode::NOT_FOUND,
                ProblemCode::NotFound,
                format!("there is no `{}` here", request.uri().path()),
            );
            refuse(app, &request, None, &record.id, problem)
        }
        Found::OtherMethods { path } if request.method() == Method::OPTIONS => {
            let allow = &app.routes.paths()[path].allow;
            let mut response = options(allow.clone());
            if let Some(cors) = &app.cors {
                cors.preflight(request.headers(), allow, &mut response);
            }
            response
        }
        Found::OtherMethods { path } => {
            let path = &app.routes.paths()[path];
            let mut problem = Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                ProblemCode::MethodNotAllowed,
                format!(
                    "`{}` does not know the method `{}`",
                    path.template,
                    request.method()
                ),
            );
            problem.allow = Some(path.allow.clone());
            refuse(app, &request, Some(&path.template), &record.id, problem)
        }
        Found::Route { path, method } => {
            let path = &app.routes.paths()[path];
            let verdict = judge(app, &request, visit.peer, client, path, method);
            record.who = verdict.who;
            let mut response = match verdict.problem {
                Some(problem) => {
                    let template = Some(&*path.template);
                    refuse(app, &request, template, &record.id, problem)
                }
                None => handle(&server, request, path, method, &mut record).await,
            };
            response.headers_mut().extend(verdict.headers);
            response
        }
    };
    let unread = has_body && !matches!(found, Found::Route { .. });
    if unread || is_beyond {
        close(&mut response);
    }
    if response
        .headers()
        .get(CONNECTION)
        .is_some_and(|v| v == "close")
    {
        visit.lingers.store(true, Ordering::SeqCst);
    }
    problem::stamp(&mut response, &record.id, &record.trace);
    if let Some(cors) = &app.cors {
        cors.stamp(origin, &mut response);
    }
    record.answered(response.status());
    Ok(response.map(|body| Recorded::new(body, record)))
}

/// What somebody is told who has a spare place and asks no probe.
fn crowded() -> Problem {
    let detail = "the server has as many connections as it may: try again later";
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ProblemCode::Crowded,
        detail,
    );
    problem.retry_after(CROWDED_RETRY)
}

/// Asks the server's guard, if it has one.
fn judge(
    app: &App,
    request: &Request<Incoming>,
    peer: Option<IpAddr>,
    client: Option<IpAddr>,
    path: &Path,
    method: usize,
) -> Verdict {
    app.guard.as_ref().map_or_else(Verdict::default, |guard| {
        guard(&Visitor {
            method: &path.methods[method].method,
            template: &path.template,
            headers: request.headers(),
            peer,
            client,
        })
    })
}

/// Reads the body, or lets the filter do so, and asks it.
async fn handle(
    server: &Server,
    request: Request<Incoming>,
    path: &Path,
    method: usize,
    record: &mut Record,
) -> warp::reply::Response {
    let app = &server.app;
    let template = &*path.template;
    let (mut head, incoming) = request.into_parts();
    let asked = |problem: &Problem, path: &str, id: &RequestId| {
        let asked = Asked {
            path,
            template: Some(template),
            request_id: id,
        };
        problem.respond((app.render)(problem, &asked))
    };
    let known = &path.methods[method];
    let timeout = server.limits.body_timeout;
    let mut upload = None;
    let bytes = match known.intake {
        Intake::Collected => {
            match body::read(incoming, known.body_max, timeout, &server.bodies).await {
                Ok(bytes) => bytes,
                Err(problem) => return asked(&problem, head.uri.path(), &record.id),
            }
        }
        Intake::Streamed => match Upload::new(incoming, known.body_max, timeout) {
            Ok(streamed) => {
                upload = Some(streamed.clone());
                head.extensions.insert(streamed);
                Bytes::new()
            }
            Err(problem) => return asked(&problem, head.uri.path(), &record.id),
        },
    };
    record.received = bytes.len() as u64;
    head.extensions
        .insert(BodyBudget(Arc::clone(&server.bodies)));
    head.extensions
        .insert(path.matched(method, head.uri.path()));
    if head.method == Method::HEAD {
        // hyper remembers what was asked and leaves the body away, but not its length.
        head.method = Method::GET;
    }
    head.extensions.insert(record.id.clone());
    head.extensions.insert(record.trace);
    let uri = head.uri.clone();
    let answering =
        AssertUnwindSafe(async { (app.handler)(Request::from_parts(head, bytes)).await });
    let answered = answering.catch_unwind().await;
    let mut response = match answered {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(
                target: "cvops::http",
                route = template,
                request_id = record.id.as_str(),
                "a handler panicked"
            );
            let problem = Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                ProblemCode::Internal,
                "this is a bug in cvops; the server's log has more under this request id",
            );
            asked(&problem, uri.path(), &record.id)
        }
    };
    if let Some(upload) = upload {
        record.received = upload.received();
        if !upload.is_read() {
            close(&mut response);
        }
    }
    response
}

/// Ends the connection after the answer: a body that nobody read stands before the next request.
fn close(response: &mut warp::reply::Response) {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}

fn refuse(
    app: &App,
    request: &Request<Incoming>,
    template: Option<&str>,
    id: &RequestId,
    mut problem: Problem,
) -> warp::reply::Response {
    if !request.body().is_end_stream() {
        problem.after = After::Close;
    }
    let asked = Asked {
        path: request.uri().path(),
        template,
        request_id: id,
    };
    problem.respond((app.render)(&problem, &asked))
}

fn options(allow: HeaderValue) -> warp::reply::Response {
    let mut response = warp::reply::Response::new(Bytes::new().into());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow);
    response
}

//! Answers one request: route, request id, body, then the server's filter. Imports: nothing of ours.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONNECTION, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::app::App;
use super::body;
use super::connection::Visit;
use super::problem::{self, After, Asked, Problem, ProblemCode};
use super::record::{Record, Recorded};
use super::request_id::RequestId;
use super::routes::Found;
use super::run::Server;

/// Answers `request`; whatever goes wrong becomes an answer too.
pub(super) async fn answer(
    server: Arc<Server>,
    visit: Arc<Visit>,
    request: Request<Incoming>,
) -> Result<Response<impl Body<Data = bytes::Bytes, Error = warp::Error>>, Infallible> {
    let id = RequestId::of(request.headers());
    let app = &server.app;
    let found = app.routes.find(request.method(), request.uri().path());
    let path = match found {
        Found::Nothing => app.routes.paths().len(),
        Found::OtherMethods { path } | Found::Route { path, .. } => path,
    };
    let mut record = Record::start(&server, &visit, request.method().clone(), path, id);
    let has_body = !request.body().is_end_stream();
    let mut response = match found {
        Found::Nothing => {
            let problem = Problem::new(
                StatusCode::NOT_FOUND,
                ProblemCode::NotFound,
                format!("there is no `{}` here", request.uri().path()),
            );
            refuse(app, &request, None, &record.id, problem)
        }
        Found::OtherMethods { path } if request.method() == Method::OPTIONS => {
            options(app.routes.paths()[path].allow.clone())
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
            refuse(app, &request, Some(path.template), &record.id, problem)
        }
        Found::Route { path, method } => {
            let path = &app.routes.paths()[path];
            let body_max = path.methods[method].1;
            handle(&server, request, path.template, body_max, &mut record).await
        }
    };
    // A body that nobody read stands between this answer and the next request.
    let unread = has_body && !matches!(found, Found::Route { .. });
    if unread {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if response
        .headers()
        .get(CONNECTION)
        .is_some_and(|v| v == "close")
    {
        visit.lingers.store(true, Ordering::SeqCst);
    }
    problem::stamp(&mut response, &record.id);
    record.answered(response.status());
    Ok(response.map(|body| Recorded::new(body, record)))
}

/// Reads the body and asks the server's filter.
async fn handle(
    server: &Server,
    request: Request<Incoming>,
    template: &'static str,
    body_max: u64,
    record: &mut Record,
) -> warp::reply::Response {
    let app = &server.app;
    let (mut head, incoming) = request.into_parts();
    let asked = |problem: &Problem, path: &str, id: &RequestId| {
        let asked = Asked {
            path,
            template: Some(template),
            request_id: id,
        };
        problem.respond((app.render)(problem, &asked))
    };
    let timeout = server.limits.body_timeout;
    let bytes = match body::read(incoming, body_max, timeout, &server.bodies).await {
        Ok(bytes) => bytes,
        Err(problem) => return asked(&problem, head.uri.path(), &record.id),
    };
    record.received = bytes.len() as u64;
    if head.method == Method::HEAD {
        // hyper remembers what was asked and leaves the body away, but not its length.
        head.method = Method::GET;
    }
    head.extensions.insert(record.id.clone());
    let uri = head.uri.clone();
    let answering =
        AssertUnwindSafe(async { (app.handler)(Request::from_parts(head, bytes)).await });
    match answering.catch_unwind().await {
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
    }
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
    let mut response = warp::reply::Response::new(bytes::Bytes::new().into());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow);
    response
}

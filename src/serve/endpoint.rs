//! A route with what answers it. `http` finds the route of a request; here its handler is called,
//! without looking at the path again: a chain of filters, one for each route, would try one after
//! another and be compiled as one huge type. Imports: http, warp, `serve::{ask, refusal, service}`.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use warp::{Filter, Rejection};

use crate::http::{Response, Route};

use super::ask::{Ask, ask};
use super::refusal::Refusal;
use super::service::Service;

/// An answer that is still being made.
pub(super) type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// What answers a route.
pub(super) type Handler = fn(Arc<Service>, Ask) -> Answering;

/// Has `handler` answer a route that takes no body.
pub(super) fn get(path: impl Into<Cow<'static, str>>, handler: Handler) -> (Route, Handler) {
    (Route::get(path), handler)
}

/// Has `handler` answer a route that says how the server is: also to a few connections beyond their limit.
pub(super) fn probe(path: impl Into<Cow<'static, str>>, handler: Handler) -> (Route, Handler) {
    (Route::probe(path), handler)
}

/// Has `handler` answer a route that takes a body of at most `body_max` bytes.
pub(super) fn post(
    path: impl Into<Cow<'static, str>>,
    body_max: u64,
    handler: Handler,
) -> (Route, Handler) {
    (Route::post(path, body_max), handler)
}

/// An answer for which nothing has to be waited for.
pub(super) fn ready_now(response: Response) -> Answering {
    Box::pin(std::future::ready(response))
}

/// Returns the filter that hands a request to the handler of its route: `handlers` in the order of the
/// table.
pub(super) fn filter(
    service: Arc<Service>,
    handlers: Vec<Handler>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone {
    let handlers: Arc<[Handler]> = handlers.into();
    ask().then(move |ask: Ask| {
        let service = Arc::clone(&service);
        let handler = handlers.get(ask.route).copied();
        async move {
            match handler {
                Some(handler) => handler(service, ask).await,
                // The table is made of the same list.
                None => service.refuse(&Refusal::internal("a route has no handler"), &ask.id),
            }
        }
    })
}

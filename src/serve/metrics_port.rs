//! `/metrics` at an address of its own, so that the port for clients need not show it. The same keys
//! open it. Imports: http, tokio, `serve::*`.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::base::Cancel;
use crate::http::{self, App, Bound, Limits, RouteTable};

use super::access::Access;
use super::endpoint;
use super::protocol;
use super::routes;
use super::service::Service;

/// A scrape that is under way when all requests are finished may end.
const LAST_SCRAPE: Duration = Duration::from_secs(1);

/// The server of metrics, beside the one for clients.
pub(super) struct MetricsPort {
    /// Ends it when it is dropped.
    end: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl MetricsPort {
    /// Answers on `bound` from now on, also while the other server drains.
    pub(super) fn start(
        runtime: &Runtime,
        bound: Bound,
        service: Arc<Service>,
        access: Arc<Access>,
        metrics: &http::Metrics,
        limits: &Limits,
    ) -> Self {
        let rendering = Arc::clone(&service);
        let (route, handler) = routes::scrape();
        let app = App::new(
            RouteTable::new(vec![route]),
            endpoint::filter(service, vec![handler]),
            move |problem, asked| protocol::render(&rendering.metrics, problem, asked),
            metrics,
        )
        .with_guard(move |visitor| access.judge(visitor));
        let limits = Limits {
            drain_timeout: LAST_SCRAPE,
            ..limits.clone()
        };
        let (end, told) = oneshot::channel::<()>();
        let ended = runtime.spawn(async move {
            let told = async { drop(told.await) };
            let never = Cancel::new();
            if let Err(error) = http::serve_until(bound, app, limits, told, &never, || ()).await {
                tracing::error!(%error, "metrics are not answered");
            }
        });
        Self { end, ended }
    }

    /// Ends it.
    pub(super) fn end(self, runtime: &Runtime) {
        let Self { end, ended } = self;
        drop(end);
        // A panic of it was told where it happened.
        let _ = runtime.block_on(ended);
    }
}

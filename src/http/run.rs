//! Runs a server from its first connection to the end of its drain. Imports: base.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::base::{Cancel, CancelReason};

use super::accept::Door;
use super::app::App;
use super::budget::Budget;
use super::error::Error;
use super::limits::Limits;
use super::listen::Listener;
use super::per_address::PerAddress;
use super::tls::Tls;

/// How often the cancel token is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What all connections of a server share.
pub(super) struct Server {
    pub(super) app: App,
    pub(super) limits: Limits,
    /// What is left for bodies.
    pub(super) bodies: Arc<Budget>,
    /// Who may open one more connection?
    pub(super) per_address: Arc<PerAddress>,
    /// Requests being answered now.
    pub(super) in_flight: AtomicU64,
    /// Requests that are over, answered or given up by their clients.
    pub(super) finished: AtomicU64,
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were answered after the server was asked to stop.
    pub finished: u64,
    /// Requests that were cut off at the deadline, or by a second signal.
    pub aborted: u64,
}

/// Serves `app` until `cancel` is requested and the drain is over. `on_drain` is called once, before
/// the drain begins: what readiness says should change then. The threads of the runtime around it only
/// move bytes: work belongs on its blocking ones.
///
/// # Errors
/// The listener cannot be registered with the runtime.
pub async fn serve(
    listener: impl Into<Listener>,
    app: App,
    limits: Limits,
    cancel: &Cancel,
    on_drain: impl FnOnce(),
) -> Result<Drained, Error> {
    let never = std::future::pending();
    serve_until(listener, app, limits, never, cancel, on_drain).await
}

/// As `serve`; ends as soon as `stop` does, too. `cancel` is only looked at now and then, which is
/// long for whoever waits for a server of the same process.
///
/// # Errors
/// As `serve`.
pub async fn serve_until(
    listener: impl Into<Listener>,
    app: App,
    limits: Limits,
    stop: impl Future<Output = ()>,
    cancel: &Cancel,
    on_drain: impl FnOnce(),
) -> Result<Drained, Error> {
    let (listener, file) = listener.into().open().map_err(Error::Runtime)?;
    let server = Arc::new(Server {
        app,
        bodies: Budget::new(limits.bodies_bytes_max),
        per_address: PerAddress::new(limits.connections_per_ip_max),
        limits,
        in_flight: AtomicU64::new(0),
        finished: AtomicU64::new(0),
    });
    let mut connections = JoinSet::new();
    let (draining, _) = watch::channel(false);
    let mut door = Door::new(&server, &listener, &mut connections, &draining);
    tokio::select! {
        () = door.open() => {}
        () = look_after(listener.tls()) => {}
        () = reached(cancel, CancelReason::StageFailed) => {}
        () = stop => {}
    }
    let before = server.finished.load(Ordering::SeqCst);
    on_drain();
    door.last_call().await;
    drop(door);
    drop((listener, file));
    draining.send_replace(true);
    let deadline = Instant::now() + server.limits.drain_timeout;
    let all_gone = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = all_gone => {}
        () = tokio::time::sleep_until(deadline) => {}
        () = reached(cancel, CancelReason::SecondInterrupt) => {}
    }
    let drained = Drained {
        aborted: server.in_flight.load(Ordering::SeqCst),
        finished: server.finished.load(Ordering::SeqCst) - before,
    };
    connections.shutdown().await;
    Ok(drained)
}

/// Keeps the certificate up to date; never ends.
async fn look_after(tls: Option<Arc<Tls>>) {
    if let Some(tls) = tls {
        tls.follow().await;
    }
    std::future::pending::<()>().await;
}

/// Ends when `cancel` was requested with at least this reason.
async fn reached(cancel: &Cancel, reason: CancelReason) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while cancel.reason() < Some(reason) {
        ticks.tick().await;
    }
}

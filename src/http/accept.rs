//! The accept loop: at most so many connections, and a system that is out of files is no reason to
//! spin. Imports: nothing of ours.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection;
use super::listen::Open;
use super::run::Server;

/// How long to wait after the system refused to hand a connection over.
const BREATHE: Duration = Duration::from_millis(100);

/// Accepts connections for ever; each is a task of `connections`. Dropping this future stops
/// accepting and leaves the connections alone.
pub(super) async fn accept(
    server: &Arc<Server>,
    listener: &Open,
    connections: &mut JoinSet<()>,
    draining: &watch::Sender<bool>,
) {
    let places = Arc::new(Semaphore::new(server.limits.connections_max.max(1)));
    let mut told = false;
    loop {
        // Tasks that ended are forgotten here, so that the set stays as large as the connections.
        while connections.try_join_next().is_some() {}
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let caller = match listener.accept().await {
            Ok(caller) => caller,
            // The client went away before its turn.
            Err(error) if is_of_client(&error) => continue,
            Err(error) => {
                if !told {
                    tracing::warn!(target: "cvops::http", %error, "cannot accept connections");
                }
                told = true;
                tokio::time::sleep(BREATHE).await;
                continue;
            }
        };
        told = false;
        let Some(seat) = server.per_address.take(caller.peer) else {
            server.app.metrics.refused.inc();
            continue;
        };
        let (server, draining) = (Arc::clone(server), draining.subscribe());
        connections.spawn(async move {
            let open = Counted::new(&server);
            connection::serve(server, caller, draining).await;
            drop((open, seat, place));
        });
    }
}

fn is_of_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Counts a connection as open for as long as it lives, also when its task is aborted.
struct Counted(prometheus::IntGauge);

impl Counted {
    fn new(server: &Server) -> Self {
        let gauge = server.app.metrics.connections.clone();
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

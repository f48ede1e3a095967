//! The accept loop: at most so many connections, and a system that is out of files is no reason to
//! spin. Imports: nothing of ours.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::connection;
use super::listen::Open;
use super::places::Places;
use super::run::Server;

/// How long to wait after the system refused to hand a connection over.
const BREATHE: Duration = Duration::from_millis(100);

/// How long the end waits for each client that may stand before the door. Any time that is not none
/// lets the runtime ask the system once more.
const LAST_CALL: Duration = Duration::from_millis(1);

/// How long the end may take, if clients keep coming.
const LAST_CALL_MAX: Duration = Duration::from_secs(1);

/// Where connections come in; each becomes a task of `connections`.
pub(super) struct Door<'s> {
    server: &'s Arc<Server>,
    listener: &'s Open,
    connections: &'s mut JoinSet<()>,
    draining: &'s watch::Sender<bool>,
    /// For connections that may still be opened.
    places: Places,
    /// The log has it that the system refuses connections.
    told: bool,
}

impl<'s> Door<'s> {
    pub(super) fn new(
        server: &'s Arc<Server>,
        listener: &'s Open,
        connections: &'s mut JoinSet<()>,
        draining: &'s watch::Sender<bool>,
    ) -> Self {
        Self {
            server,
            listener,
            connections,
            draining,
            places: Places::new(server.limits.connections_max, server.app.routes.probes()),
            told: false,
        }
    }

    /// Accepts connections for ever. Dropping this future stops accepting and leaves the connections
    /// alone.
    pub(super) async fn open(&mut self) {
        loop {
            self.accept().await;
        }
    }

    /// Accepts those who have connected and still wait in the system's queue: closing the listener would
    /// break them off, with requests that they may have sent.
    pub(super) async fn last_call(&mut self) {
        let over = Instant::now() + LAST_CALL_MAX;
        while Instant::now() < over && timeout(LAST_CALL, self.accept()).await.is_ok() {}
    }

    /// Waits for the next connection, if there is a place for it.
    async fn accept(&mut self) {
        // Tasks that ended are forgotten here, so that the set stays as large as the connections.
        while self.connections.try_join_next().is_some() {}
        let place = self.places.take().await;
        let caller = match self.listener.accept().await {
            Ok(caller) => caller,
            // The client went away before its turn.
            Err(error) if is_of_client(&error) => return,
            Err(error) => {
                if !self.told {
                    tracing::warn!(target: "cvops::http", %error, "cannot accept connections");
                }
                self.told = true;
                return tokio::time::sleep(BREATHE).await;
            }
        };
        self.told = false;
        // While nobody came, others may have gone.
        place.standing();
        let Some(seat) = self.server.per_address.take(caller.peer) else {
            self.server.app.metrics.refused.inc();
            return;
        };
        let (server, draining) = (Arc::clone(self.server), self.draining.subscribe());
        self.connections.spawn(async move {
            let open = Counted::new(&server);
            connection::serve(server, caller, place, draining).await;
            drop((open, seat));
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

//! Signs of life for whoever watches over the server, such as a service manager.
//! Imports: tokio.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

/// A sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Connections are accepted, and the model that is there is loaded.
    Started,
    /// The threads that answer requests are still at work.
    Alive,
    /// The server was asked to end.
    Ending,
}

/// Who watches over the server.
#[derive(Clone)]
pub struct Watcher {
    /// Is told, from the server's threads.
    pub tell: Arc<dyn Fn(Life) + Send + Sync>,
    /// How often it wants to hear that the server is alive.
    pub alive_every: Option<Duration>,
}

impl Watcher {
    pub(super) fn tell(&self, life: Life) {
        (self.tell)(life);
    }

    /// Says again and again that the server is alive, if that is wanted. A task of the runtime that
    /// answers requests: if that stands still, so does this.
    pub(super) async fn pulse(self) {
        let Some(every) = self.alive_every else {
            return;
        };
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tell(Life::Alive);
        }
    }
}

//! What a service manager is told (`sd_notify(3)`): ready, alive, ending, and a line of status. Without
//! one that asks for it, nothing happens.
//!
//! Where to tell it, and how often it wants a sign of life, stands in `NOTIFY_SOCKET` and
//! `WATCHDOG_USEC`, which the crate reads by itself. Imports: serve.

use std::sync::Arc;

use sd_notify::NotifyState;

use crate::serve::{Life, Watcher};

/// Returns what hands a server's signs of life on.
pub(super) fn watcher() -> Watcher {
    Watcher {
        tell: Arc::new(|life| match life {
            Life::Started => send(NotifyState::Ready),
            Life::Alive => send(NotifyState::Watchdog),
            Life::Ending => send(NotifyState::Stopping),
        }),
        // Twice as often as it must be, as sd_watchdog_enabled(3) recommends.
        alive_every: sd_notify::watchdog_enabled().map(|limit| limit / 2),
    }
}

/// Says in one line what the server is doing.
pub(super) fn status(text: &str) {
    send(NotifyState::Status(text));
}

fn send(state: NotifyState<'_>) {
    // One that cannot be told is no reason to end; if it waits for a word, it says so itself.
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

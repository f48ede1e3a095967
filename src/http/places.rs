//! Places for connections: so many as the server may have, and a few spare ones beyond. Who gets a spare
//! one is asked what he wants: a probe is answered, everybody else is told that there is no place, and
//! then the connection ends. So a server that others have filled up still says how it is. What a
//! connection wants is known with its first request only, so a spare place is for a short time. Imports:
//! nothing of ours.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Spare places of a server that has probes. The system's queue may hold others before a probe: they
/// pass by so many at a time.
const SPARE: usize = 64;

/// The places of a server.
#[derive(Debug)]
pub(super) struct Places {
    usual: Arc<Semaphore>,
    spare: Arc<Semaphore>,
}

/// Are there requests that are answered in a spare place?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probes {
    Absent,
    Present,
}

/// What a connection's place is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Everything.
    Usual,
    /// A probe.
    Spare,
}

/// The place of one connection, for as long as it lives.
#[derive(Debug)]
pub(super) struct Place {
    is_spare: AtomicBool,
    held: Mutex<OwnedSemaphorePermit>,
    usual: Arc<Semaphore>,
}

impl Places {
    /// Makes `max` places, at least one, and spare ones if they are of use.
    pub(super) fn new(max: usize, probes: Probes) -> Self {
        let spare = match probes {
            Probes::Absent => 0,
            Probes::Present => SPARE,
        };
        Self {
            usual: Arc::new(Semaphore::new(max.max(1))),
            spare: Arc::new(Semaphore::new(spare)),
        }
    }

    /// Waits for a place: a usual one if there is one.
    pub(super) async fn take(&self) -> Place {
        let (usual, spare) = (Arc::clone(&self.usual), Arc::clone(&self.spare));
        let (held, is_spare) = tokio::select! {
            biased;
            Ok(held) = usual.acquire_owned() => (held, false),
            Ok(held) = spare.acquire_owned() => (held, true),
            // They are never closed.
            else => std::future::pending().await,
        };
        Place {
            is_spare: AtomicBool::new(is_spare),
            held: Mutex::new(held),
            usual: Arc::clone(&self.usual),
        }
    }
}

impl Place {
    /// Is it a spare one?
    pub(super) fn is_spare(&self) -> bool {
        self.is_spare.load(Ordering::SeqCst)
    }

    /// Says what the place is good for; a spare one is exchanged for a usual one if there is one by now.
    pub(super) fn standing(&self) -> Standing {
        if !self.is_spare() {
            return Standing::Usual;
        }
        let Ok(usual) = Arc::clone(&self.usual).try_acquire_owned() else {
            return Standing::Spare;
        };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = usual;
        self.is_spare.store(false, Ordering::SeqCst);
        Standing::Usual
    }
}

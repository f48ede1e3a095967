//! Cancellation: one token handed down, checked at every natural pause. Imports: nothing of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Why work should stop, in rising order: a later reason outranks an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CancelReason {
    /// A sibling failed and the caller asked to stop at the first failure.
    StageFailed = 1,
    /// The process was asked to end (SIGTERM, SIGHUP).
    Terminated = 2,
    /// Ctrl-C.
    Interrupted = 3,
    /// A second Ctrl-C: kill, do not wait.
    SecondInterrupt = 4,
}

/// A shared flag with a reason; cheap to clone and to check.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicU8>);

impl Cancel {
    /// Returns a token that nobody has cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks all holders to stop; a weaker reason never replaces a stronger one.
    pub fn request(&self, reason: CancelReason) {
        self.0.fetch_max(reason as u8, Ordering::SeqCst);
    }

    /// Returns the strongest reason given so far.
    #[must_use]
    pub fn reason(&self) -> Option<CancelReason> {
        match self.0.load(Ordering::SeqCst) {
            1 => Some(CancelReason::StageFailed),
            2 => Some(CancelReason::Terminated),
            3 => Some(CancelReason::Interrupted),
            4 => Some(CancelReason::SecondInterrupt),
            _ => None,
        }
    }

    /// Has anybody asked to stop?
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.reason().is_some()
    }
}

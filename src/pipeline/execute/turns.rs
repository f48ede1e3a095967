//! Repros in one process that share a cache take turns: of those that are about to run a stage with
//! the same inputs, one runs it, and the others find its result. Imports: base, `pipeline::inputs`.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::Cancel;
use crate::pipeline::inputs::RunKey;

/// How often one who waits looks at the cancel token.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is being run now, by repros that share this.
#[derive(Debug, Default)]
pub struct Turns {
    taken: Mutex<BTreeSet<RunKey>>,
    given_back: Condvar,
}

/// The right to run a stage, given back when dropped: after its result is recorded, or has failed.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    key: RunKey,
}

/// What came of asking for a turn.
#[derive(Debug)]
pub(super) enum Asked {
    /// Nobody runs it.
    Mine(Turn),
    /// Somebody ran it, and is done now: there may be a result.
    WasTaken,
    /// The wait was cut short.
    Cancelled,
}

impl Turns {
    /// Takes the turn for `key`; if somebody has it, waits until it is given back.
    pub(super) fn ask(self: &Arc<Self>, key: RunKey, cancel: &Cancel) -> Asked {
        let mut taken = self.taken();
        if taken.insert(key) {
            return Asked::Mine(Turn {
                turns: Arc::clone(self),
                key,
            });
        }
        while taken.contains(&key) {
            if cancel.is_requested() {
                return Asked::Cancelled;
            }
            taken = self
                .given_back
                .wait_timeout(taken, LOOK_EVERY)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Asked::WasTaken
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<RunKey>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.taken().remove(&self.key);
        self.turns.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::base::CancelReason;

    fn key(digit: &str) -> RunKey {
        digit.repeat(64).parse().unwrap()
    }

    #[test]
    fn one_at_a_time_has_a_turn() {
        let (turns, cancel) = (Arc::new(Turns::default()), Cancel::new());
        let other = turns.ask(key("b"), &cancel);
        assert!(matches!(other, Asked::Mine(_)));
        let (running, had) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    // Whoever waited asks again, as a stage is judged again.
                    let turn = loop {
                        match turns.ask(key("a"), &cancel) {
                            Asked::Mine(turn) => break turn,
                            Asked::WasTaken => {}
                            Asked::Cancelled => panic!("nobody asked for that"),
                        }
                    };
                    assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    had.fetch_add(1, Ordering::SeqCst);
                    drop(turn);
                });
            }
        });
        assert_eq!(had.into_inner(), 8);
    }

    #[test]
    fn a_wait_ends_with_the_command() {
        let (turns, cancel) = (Arc::new(Turns::default()), Cancel::new());
        let turn = turns.ask(key("a"), &cancel);
        cancel.request(CancelReason::Interrupted);
        assert!(matches!(turns.ask(key("a"), &cancel), Asked::Cancelled));
        drop(turn);
    }
}

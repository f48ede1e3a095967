//! Remembers what was read from files last: a hundred thousand predictions are parsed once, and a
//! colleague who follows the link waits for nothing. Imports: nothing of ours.
//!
//! **Bounds.** Whoever asks for what is being read waits for it, and one file is read at a time, so a
//! hundred readers at once take the memory of one. What is remembered is weighed in bytes: the values
//! used last stay, as long as they weigh no more than the bound in all.

use std::any::{Any, TypeId};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What can be remembered.
pub(in crate::ui) trait Weighed: Send + Sync + 'static {
    /// Returns about how many bytes of memory it takes.
    fn bytes(&self) -> usize;
}

/// Returns about how many bytes a text takes beside what points to it.
pub(in crate::ui) fn heap_bytes(text: &str) -> usize {
    // What an allocator rounds up and notes, on average.
    const MORE: usize = 16;
    if text.is_empty() {
        0
    } else {
        text.len() + MORE
    }
}

/// Each type has keys of its own.
type Key = (TypeId, String);

/// What came of reading.
type Outcome = Result<Kept, String>;

#[derive(Clone, Debug)]
struct Kept {
    value: Arc<dyn Any + Send + Sync>,
    bytes: usize,
}

/// Empty while somebody reads.
type Cell = Arc<OnceLock<Outcome>>;

/// Values by a key that changes when what they were made of changes.
#[derive(Debug)]
pub(in crate::ui) struct Memo {
    /// The one used last comes last.
    cells: Mutex<Vec<(Key, Cell)>>,
    /// Held by who reads a file.
    turn: Mutex<()>,
    bytes_max: usize,
}

impl Memo {
    /// Remembers values of `bytes_max` bytes in all.
    pub(in crate::ui) fn new(bytes_max: usize) -> Self {
        Self {
            cells: Mutex::default(),
            turn: Mutex::default(),
            bytes_max,
        }
    }

    /// Returns the value of `key`, made by `make` if it is not remembered and nobody else is making it;
    /// who waits for another gets what that one gets. If `make` panics the next reader makes it.
    ///
    /// # Errors
    /// What `make` says; that is not remembered.
    pub(in crate::ui) fn get<T: Weighed>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<T, String>,
    ) -> Result<Arc<T>, String> {
        let cell = self.cell((TypeId::of::<T>(), key.to_owned()));
        let outcome = cell.get_or_init(|| {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let value = make()?;
            Ok(Kept {
                bytes: value.bytes(),
                value: Arc::new(value),
            })
        });
        let outcome = outcome.clone();
        drop(cell);
        self.tidy();
        let other = |_| "it was read as something else".to_owned();
        outcome?.value.downcast().map_err(other)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Key, Cell)>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the place of a value, which now is the one used last.
    fn cell(&self, key: Key) -> Cell {
        let mut cells = self.lock();
        let known = cells.iter().position(|(known, _)| *known == key);
        let cell = known.map_or_else(Cell::default, |at| cells.remove(at).1);
        cells.push((key, Arc::clone(&cell)));
        cell
    }

    /// Forgets what weighs too much, what went wrong, and places that a panic left empty.
    fn tidy(&self) {
        let mut cells = self.lock();
        let mut left = self.bytes_max;
        let mut at = cells.len();
        while let Some(before) = at.checked_sub(1) {
            at = before;
            let cell = &cells[at].1;
            let stays = match cell.get() {
                // Places are handed out under the lock: what only the list holds nobody is making.
                None => 1 < Arc::strong_count(cell),
                Some(Err(_)) => false,
                // One that is larger than all there is room for takes no other's room.
                Some(Ok(kept)) => match left.checked_sub(kept.bytes) {
                    Some(rest) => {
                        left = rest;
                        true
                    }
                    None => {
                        if kept.bytes <= self.bytes_max {
                            left = 0;
                        }
                        false
                    }
                },
            };
            if !stays {
                cells.remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// A value that weighs what it says.
    #[derive(Debug, PartialEq)]
    struct Heavy(usize);

    impl Weighed for Heavy {
        fn bytes(&self) -> usize {
            self.0
        }
    }

    /// Another kind of value.
    #[derive(Debug, PartialEq)]
    struct Other;

    impl Weighed for Other {
        fn bytes(&self) -> usize {
            0
        }
    }

    /// Asks for a value; was it made anew?
    fn is_made(memo: &Memo, key: &str, bytes: usize) -> bool {
        let mut made = false;
        let make = || {
            made = true;
            Ok(Heavy(bytes))
        };
        assert_eq!(memo.get(key, make).unwrap().0, bytes);
        made
    }

    #[test]
    fn the_values_used_last_stay_within_the_bound() {
        let memo = Memo::new(10);
        assert!(is_made(&memo, "a", 4) && is_made(&memo, "b", 4));
        assert!(!is_made(&memo, "a", 4));
        assert!(is_made(&memo, "c", 5));
        assert!(!is_made(&memo, "a", 4) && !is_made(&memo, "c", 5));
        assert!(is_made(&memo, "b", 4));
        // One larger than the bound is given, and others stay.
        assert!(is_made(&memo, "large", 11) && is_made(&memo, "large", 11));
        assert!(!is_made(&memo, "b", 4) && !is_made(&memo, "c", 5));
        assert!(is_made(&memo, "whole", 10) && !is_made(&memo, "whole", 10));
        assert!(is_made(&memo, "b", 4));
    }

    #[test]
    fn a_key_is_one_of_its_type() {
        let memo = Memo::new(10);
        assert!(is_made(&memo, "a", 1));
        assert_eq!(*memo.get("a", || Ok(Other)).unwrap(), Other);
        assert!(!is_made(&memo, "a", 1));
    }

    /// What a reader got, if it did not panic.
    type Got = thread::Result<Result<Arc<Heavy>, String>>;

    /// Asks with eight readers at once; returns how many made it, and what they got.
    fn asked_at_once(
        memo: &Memo,
        make: &(dyn Fn(usize) -> Result<Heavy, String> + Sync),
    ) -> (usize, Vec<Got>) {
        let (start, made) = (Barrier::new(8), AtomicUsize::new(0));
        let ask = || {
            start.wait();
            memo.get("key", || {
                let which = made.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(50));
                make(which)
            })
        };
        let got = thread::scope(|scope| {
            let readers: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            let got = readers.into_iter().map(thread::ScopedJoinHandle::join);
            got.collect()
        });
        (made.into_inner(), got)
    }

    #[test]
    fn who_comes_while_it_is_read_waits_for_it() {
        // Also if it is not kept.
        for bytes_max in [10, 0] {
            let memo = Memo::new(bytes_max);
            let (made, got) = asked_at_once(&memo, &|_| Ok(Heavy(1)));
            assert_eq!((made, got.len()), (1, 8));
            assert!(got.into_iter().all(|got| got.unwrap().is_ok()));
        }
    }

    #[test]
    fn nobody_waits_for_what_went_wrong() {
        let memo = Memo::new(10);
        let (made, got) = asked_at_once(&memo, &|_| Err("broken".to_owned()));
        assert_eq!(made, 1);
        for got in got {
            assert_eq!(got.unwrap().unwrap_err(), "broken");
        }
        assert!(memo.lock().is_empty());
        let (made, got) = asked_at_once(&memo, &|which| {
            assert!(0 < which, "the first one panics");
            Ok(Heavy(1))
        });
        assert_eq!(made, 2);
        assert_eq!(got.iter().filter(|got| got.is_err()).count(), 1);
        assert!(!is_made(&memo, "key", 1));
        // What panicked without anybody waiting is no longer there after the next one.
        let panics = || memo.get::<Heavy>("other", || panic!("no"));
        assert!(thread::scope(|scope| scope.spawn(panics).join()).is_err());
        is_made(&memo, "key", 1);
        assert_eq!(memo.lock().len(), 1);
    }
}

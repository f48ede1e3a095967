//! The memory that bodies of requests may take together, whoever sends them. Imports: nothing of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// Bodies up to this size are not counted: the number of connections bounds what they take.
pub(super) const FREE_BYTES: u64 = 64 << 10;

/// What is left for bodies, in bytes. Nobody waits for it: who does not find enough is refused.
#[derive(Debug)]
pub(super) struct Budget(AtomicU64);

impl Budget {
    pub(super) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(bytes)))
    }

    /// Starts a share of 0 bytes.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }
}

/// The budget cannot give what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

/// What one body has taken from the budget; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Share {
    /// Checks that the share could grow to `bytes` now, and takes nothing.
    pub(super) fn require(&self, bytes: u64) -> Result<(), Exhausted> {
        let left = self.budget.0.load(Ordering::SeqCst);
        if bytes <= FREE_BYTES || bytes <= self.bytes + left {
            return Ok(());
        }
        Err(Exhausted)
    }

    /// Makes the share large enough for `bytes` in all.
    pub(super) fn grow_to(&mut self, bytes: u64) -> Result<(), Exhausted> {
        if bytes <= FREE_BYTES || bytes <= self.bytes {
            return Ok(());
        }
        let more = bytes - self.bytes;
        let take = |left: u64| left.checked_sub(more);
        self.budget
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .map_err(|_| Exhausted)?;
        self.bytes = bytes;
        Ok(())
    }

    /// Ties the share to `body`: it is given back when the last copy of that is gone, which may be
    /// after the request's end, on a thread that still decodes.
    pub(super) fn tie(self, body: Bytes) -> Bytes {
        if self.bytes == 0 {
            return body;
        }
        Bytes::from_owner(Tied { body, _share: self })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes != 0 {
            self.budget.0.fetch_add(self.bytes, Ordering::SeqCst);
        }
    }
}

struct Tied {
    body: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Tied {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_back_with_the_last_copy_of_a_body() {
        let budget = Budget::new(3 * FREE_BYTES);
        let left = || budget.0.load(Ordering::SeqCst);
        let mut share = budget.share();
        assert_eq!(share.grow_to(FREE_BYTES), Ok(()));
        assert_eq!(left(), 3 * FREE_BYTES, "small bodies are free");
        assert_eq!(share.grow_to(2 * FREE_BYTES), Ok(()));
        assert_eq!(share.grow_to(FREE_BYTES), Ok(()), "never smaller");
        assert_eq!(left(), FREE_BYTES);
        assert_eq!(share.grow_to(4 * FREE_BYTES), Err(Exhausted));
        assert_eq!(budget.share().grow_to(2 * FREE_BYTES), Err(Exhausted));
        assert_eq!(share.require(3 * FREE_BYTES), Ok(()));
        assert_eq!(share.require(3 * FREE_BYTES + 1), Err(Exhausted));
        assert_eq!(left(), FREE_BYTES, "who is refused takes nothing");
        let body = share.tie(Bytes::from_static(b"abc"));
        let part = body.slice(1..2);
        drop(body);
        assert_eq!((part.as_ref(), left()), (&b"b"[..], FREE_BYTES));
        drop(part);
        assert_eq!(left(), 3 * FREE_BYTES);
    }
}

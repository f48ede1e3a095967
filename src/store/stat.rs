//! What the file system says about a file without reading it, and when that can be trusted.
//! Imports: nothing of ours.
//!
//! A hash may be remembered for a stat only if any later write must change the stat. Time stamps
//! advance in kernel ticks (up to 10 ms), so a file written in the tick in which it was read can be
//! written again, to the same size, without a trace. A stat is therefore *settled* only when its
//! modification time lies a whole window away from the moment at which it was taken; git calls the
//! others racily clean. Times far in the future are settled as well: a write would set them to now
//! (near ones are not: the moment may have been taken before a long walk).
//! The change time is part of the stat, because `cp -p`, `rsync -t` and `tar` restore the
//! modification time, unless the file has several names: then it changes whenever a link comes or
//! goes, which says nothing about the bytes.

use std::fs::Metadata;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Two ticks of the slowest usual kernel clock (100 Hz).
const WINDOW_NS: i64 = 20_000_000;
/// The window where time stamps are whole seconds (some network and removable file systems).
const COARSE_WINDOW_NS: i64 = 2_100_000_000;
/// From here on a time in the future is no clock that went on during a walk.
const FUTURE_NS: i64 = 3600 * SECOND_NS;
const SECOND_NS: i64 = 1_000_000_000;

/// Size, times and inode of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) size: u64,
    pub(crate) mtime_ns: i64,
    pub(crate) ctime_ns: i64,
    pub(crate) inode: u64,
}

impl Stat {
    /// Bytes of the stored form.
    pub(crate) const LEN: usize = 32;

    #[cfg(unix)]
    pub(crate) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let ns = |s: i64, ns: i64| s.saturating_mul(SECOND_NS).saturating_add(ns);
        Self {
            size: metadata.len(),
            mtime_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: if metadata.nlink() == 1 {
                ns(metadata.ctime(), metadata.ctime_nsec())
            } else {
                0
            },
            inode: metadata.ino(),
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let mtime_ns = metadata.modified().map_or(0, as_ns);
        Self {
            size: metadata.len(),
            mtime_ns,
            ctime_ns: 0,
            inode: 0,
        }
    }

    /// Must every write after `now_ns`, a moment before this stat was taken, change it?
    pub(crate) fn is_settled(&self, now_ns: i64) -> bool {
        let window = if self.mtime_ns % SECOND_NS == 0 {
            COARSE_WINDOW_NS
        } else {
            WINDOW_NS
        };
        self.mtime_ns.saturating_add(window) <= now_ns
            || now_ns.saturating_add(FUTURE_NS) <= self.mtime_ns
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.size.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.mtime_ns.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.ctime_ns.to_le_bytes());
        bytes[24..].copy_from_slice(&self.inode.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let word = |i: usize| bytes.get(8 * i..8 * i + 8)?.try_into().ok();
        Some(Self {
            size: u64::from_le_bytes(word(0)?),
            mtime_ns: i64::from_le_bytes(word(1)?),
            ctime_ns: i64::from_le_bytes(word(2)?),
            inode: u64::from_le_bytes(word(3)?),
        })
    }
}

/// How long a wait makes most fresh stats settled.
pub(crate) const SETTLE_WAIT: Duration = Duration::from_nanos(WINDOW_NS as u64 + 1_000_000);

/// The modification time that is given to files we write: so old that their stat is settled at once.
pub(crate) fn backdated() -> SystemTime {
    clock() - Duration::from_nanos(5 * WINDOW_NS as u64)
}

pub(crate) fn now_ns() -> i64 {
    as_ns(clock())
}

#[expect(
    clippy::disallowed_methods,
    reason = "compared with time stamps that the kernel sets meanwhile, so it cannot be handed in"
)]
fn clock() -> SystemTime {
    SystemTime::now()
}

fn as_ns(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_quiet_file_is_settled() {
        let now = 1_700_000_000_123_456_789;
        let check = |mtime_ns: i64, settled: bool| {
            let stat = Stat {
                size: 1,
                mtime_ns,
                ctime_ns: 0,
                inode: 1,
            };
            assert_eq!(stat.is_settled(now), settled, "{}", now - mtime_ns);
            assert_eq!(Stat::from_bytes(&stat.to_bytes()), Some(stat));
        };
        check(now, false);
        check(now - WINDOW_NS + 1, false);
        check(now - WINDOW_NS, true);
        check(now + WINDOW_NS, false);
        check(now + FUTURE_NS, true);
        check(1_700_000_000 * SECOND_NS, false);
        check(1_699_999_990 * SECOND_NS, true);
    }
}

//! Fault points: numbered places in every write path where a test can kill the process or make the
//! operation fail. Always compiled in, because tests drive the release binary; one relaxed load
//! when not armed.

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

/// What happens at the chosen point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process ends at once, as by `kill -9`.
    Crash,
    /// The operation fails with this error number, once.
    Error(i32),
}

const OFF: u8 = 0;
const CRASH: u8 = 1;
const ERROR: u8 = 2;

static MODE: AtomicU8 = AtomicU8::new(OFF);
static ERRNO: AtomicI64 = AtomicI64::new(0);
static LEFT: AtomicI64 = AtomicI64::new(0);

/// Arms the `n`-th point from now (1 = the next one).
pub fn arm(n: u32, fault: Fault) {
    LEFT.store(n.into(), Ordering::SeqCst);
    match fault {
        Fault::Crash => MODE.store(CRASH, Ordering::SeqCst),
        Fault::Error(errno) => {
            ERRNO.store(errno.into(), Ordering::SeqCst);
            MODE.store(ERROR, Ordering::SeqCst);
        }
    }
}

/// Marks a point before a write step. `name` tells a reader of the trace which one it was.
///
/// # Errors
/// Only the armed error, at the armed point.
pub fn point(name: &'static str) -> io::Result<()> {
    let mode = MODE.load(Ordering::Relaxed);
    if mode == OFF || LEFT.fetch_sub(1, Ordering::SeqCst) != 1 {
        return Ok(());
    }
    tracing::debug!(name, "fault point fires");
    if mode == CRASH {
        // Like kill -9: no destructor runs, no buffer is flushed.
        let me = rustix::process::getpid();
        let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
        std::thread::park();
    }
    let errno = i32::try_from(ERRNO.load(Ordering::SeqCst)).unwrap_or(5);
    Err(io::Error::from_raw_os_error(errno))
}

//! The signal ladder: the first Ctrl-C (or SIGTERM, SIGHUP) asks for an orderly stop, the second
//! kills what still runs, the third ends this process. Imports: base.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::base::{Cancel, CancelReason};

/// Watches for signals from now on and tells `cancel`.
pub(super) fn install(cancel: &Cancel) {
    // `nohup` and shells that start background jobs ask for some signals to be ignored.
    let ignored = ignored_at_start();
    let wanted = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|s| ignored & (1 << (s - 1)) == 0);
    let Ok(mut signals) = Signals::new(wanted) else {
        return;
    };
    let cancel = cancel.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let reason = match (cancel.reason(), signal) {
                (Some(CancelReason::SecondInterrupt), _) => {
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                    CancelReason::SecondInterrupt
                }
                (Some(CancelReason::Interrupted | CancelReason::Terminated), _) => {
                    CancelReason::SecondInterrupt
                }
                (_, SIGINT) => CancelReason::Interrupted,
                _ => CancelReason::Terminated,
            };
            cancel.request(reason);
        }
    });
}

/// Returns the set of signals that this process was started to ignore, bit n-1 for signal n (Linux:
/// `SigIgn` of proc(5); elsewhere none).
fn ignored_at_start() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

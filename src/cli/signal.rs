//! The signal ladder: the first Ctrl-C (or SIGTERM, SIGHUP) asks for an orderly stop, the second
//! kills what still runs, the third ends this process. Imports: base.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::base::{Cancel, CancelReason};

/// Watches for signals from now on and tells `cancel`.
pub(super) fn install(cancel: &Cancel) {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else {
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

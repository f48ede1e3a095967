//! In which pages the program has its memory. Imports: rustix.
//!
//! The allocator takes memory in pages of 2 MiB where the system has them. Trainings may be faster for it;
//! a server touches a corner of each. They are turned off for a server only, and before anything else is
//! done, since a page that is there stays as it is.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};

/// Were large pages turned off here? Who started this process may have done it for reasons of their own.
static TURNED_OFF: AtomicBool = AtomicBool::new(false);

/// Turns large pages off if the command line is that of a server. It is not read as a whole here, so a
/// server that is started in an unusual way is not seen, and turns them off later (`small_pages`).
pub(super) fn small_pages_for_servers(args: impl IntoIterator<Item = OsString>) {
    if is_server(args) {
        small_pages();
    }
}

/// Turns large pages off for this process, and for those that it starts otherwise than by [`as_before`].
pub(super) fn small_pages() {
    #[cfg(target_os = "linux")]
    if !rustix::thread::transparent_huge_pages_are_disabled().unwrap_or(false) {
        match rustix::thread::disable_transparent_huge_pages(true) {
            Ok(()) => TURNED_OFF.store(true, Ordering::Relaxed),
            Err(error) => tracing::debug!(%error, "large pages stay on"),
        }
    }
}

/// Starts a process that has large pages if this one had them before they were turned off: it may train.
/// A process inherits what is set when it starts, so they are on here for that moment.
pub(super) fn as_before<T>(start: impl FnOnce() -> T) -> T {
    /// Turns them off again, however `start` ends.
    struct Off;
    impl Drop for Off {
        fn drop(&mut self) {
            #[cfg(target_os = "linux")]
            let _ = rustix::thread::disable_transparent_huge_pages(true);
        }
    }
    if !TURNED_OFF.load(Ordering::Relaxed) {
        return start();
    }
    let _off = Off;
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(false);
    start()
}

/// Is the first command `serve`? With `--repro` it trains first, in processes that inherit what is turned
/// off.
fn is_server(args: impl IntoIterator<Item = OsString>) -> bool {
    let mut args = args.into_iter().skip(1);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            // Their values.
            Some("-C" | "--directory" | "--color") => drop(args.next()),
            Some(option) if option.starts_with('-') => {}
            command => return command == Some("serve") && args.all(|arg| arg != "--repro"),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_command() {
        #[track_caller]
        fn check(line: &str, expected: bool) {
            let args = line.split(' ').map(OsString::from);
            assert_eq!(is_server(args), expected, "{line}");
        }
        check("cvops serve", true);
        check("cvops serve --model m --port 8080", true);
        check("cvops -C /srv/cvops serve --log-format json", true);
        check("cvops --json -v --directory=x serve", true);
        check("cvops", false);
        check("cvops -C serve", false);
        check("cvops repro serve", false);
        check("cvops ui", false);
        // It trains first.
        check("cvops serve --repro", false);
    }
}

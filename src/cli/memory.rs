//! In which pages the program has its memory. Imports: rustix.
//!
//! The allocator takes memory in pages of 2 MiB where the system has them. Trainings may be faster for it;
//! a server touches a corner of each. They are turned off for a server only, and before anything else is
//! done, since a page that is there stays as it is.

use std::ffi::OsString;

/// Turns large pages off if the command line is that of a server. It is not read as a whole here, so a
/// server that is started in an unusual way is not seen, and turns them off later (`small_pages`).
pub(super) fn small_pages_for_servers(args: impl IntoIterator<Item = OsString>) {
    if is_server(args) {
        small_pages();
    }
}

/// Turns large pages off for this process, and for those that it starts.
pub(super) fn small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "large pages stay on");
    }
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

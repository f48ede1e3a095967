//! How much memory a server takes, as Linux tells it (proc(5)). Elsewhere nothing is known, and nothing
//! is asserted.

use super::client::Server;

/// Bytes, where they are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory(Option<u64>);

/// Returns what the server takes now.
pub(crate) fn resident(server: &Server) -> Memory {
    Memory(field(server, "status", "VmRSS:"))
}

/// Returns the most that the server has taken so far.
pub(crate) fn peak(server: &Server) -> Memory {
    Memory(field(server, "status", "VmHWM:"))
}

/// Returns what the server has in pages of 2 MiB, touched or not.
pub(crate) fn in_large_pages(server: &Server) -> Memory {
    Memory(field(server, "smaps_rollup", "AnonHugePages:"))
}

impl Memory {
    /// Fails if it is more than `mebibytes`.
    #[track_caller]
    pub(crate) fn is_at_most(self, mebibytes: u64) {
        let taken = self.0.unwrap_or_default() >> 20;
        assert!(
            taken <= mebibytes,
            "{taken} MiB, {mebibytes} MiB at most were expected"
        );
    }

    /// Fails if `self`, which was measured later, is more than `before` and `mebibytes`.
    #[track_caller]
    pub(crate) fn grew_at_most(self, mebibytes: u64, before: Self) {
        let (Some(after), Some(before)) = (self.0, before.0) else {
            return;
        };
        let grown = after.saturating_sub(before) >> 20;
        assert!(
            grown <= mebibytes,
            "the server took {grown} MiB more, {mebibytes} MiB at most were expected"
        );
    }
}

fn field(server: &Server, file: &str, name: &str) -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let text = std::fs::read_to_string(format!("/proc/{}/{file}", server.pid())).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let value = value.unwrap_or_else(|| panic!("no `{name}` in\n{text}"));
    let kibibytes: u64 = value.trim().trim_end_matches(" kB").parse().unwrap();
    Some(kibibytes << 10)
}

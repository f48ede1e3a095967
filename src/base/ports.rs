//! Who listens on a port of this machine: so that "the port is busy" can name the culprit.
//!
//! Linux tells it in two steps (proc(5)): `/proc/net/tcp` maps a listening port to a socket's inode,
//! and `/proc/PID/fd` maps inodes to processes. Elsewhere, and for processes of other users, nobody
//! is named. Imports: nothing of ours.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// State `LISTEN` in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Longer command lines are cut in messages.
const COMMAND_CHARS_MAX: usize = 80;

/// A process that holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its process id.
    pub pid: u32,
    /// Its command line, cut at 80 characters.
    pub command: String,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` (pid {})", self.command, self.pid)
    }
}

/// Is the port on the loopback address free to listen on?
///
/// A socket that listens on every address of the machine holds it as well. The answer may be out of
/// date a moment later.
#[must_use]
pub fn is_free(port: u16) -> bool {
    !matches!(
        TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse
    )
}

/// Returns the process that listens on `port`, as far as the system tells us.
#[must_use]
pub fn owner(port: u16) -> Option<Owner> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|&pid| holds(pid, &inodes))
        .map(|pid| Owner {
            pid,
            command: command_of(pid),
        })
}

/// Returns the inodes of sockets that listen on `port` according to a table in the form of
/// `/proc/net/tcp`.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let wanted = format!(":{port:04X}");
    table
        .lines()
        .filter_map(|line| {
            // sl, local address, remote address, state, queues, timer, retransmits, uid, timeout, inode
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else {
                return None;
            };
            (state == LISTEN && local.ends_with(&wanted)).then(|| format!("socket:[{inode}]"))
        })
        .collect()
}

fn holds(pid: u32, inodes: &[String]) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    files
        .flatten()
        .filter_map(|file| std::fs::read_link(file.path()).ok())
        .any(|target| {
            inodes
                .iter()
                .any(|inode| target.as_os_str() == inode.as_str())
        })
}

fn command_of(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    let text = text.trim();
    match text.char_indices().nth(COMMAND_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if text.is_empty() => "unknown".to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_found_by_port() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0
   1: 0100007F:1389 0100007F:A001 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1 0
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0\n";
        assert_eq!(listening_inodes(table, 5001), ["socket:[4242]"]);
        assert_eq!(listening_inodes(table, 22), ["socket:[77]"]);
        assert!(listening_inodes(table, 80).is_empty());
    }

    #[test]
    fn our_own_listener_is_ours() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_free(port));
        if cfg!(target_os = "linux") {
            assert_eq!(owner(port).map(|o| o.pid), Some(std::process::id()));
        }
    }
}

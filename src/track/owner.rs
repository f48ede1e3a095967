//! Which process writes a run, and whether it still lives: a run whose process died is no longer
//! going on, however it died. Imports: nothing of ours.
//!
//! Process numbers are reused, so a process is known by its number *and* the time it started, in
//! the boot of one machine. About a process on another machine (a shared folder, a container)
//! nothing can be known; it counts as alive.

use std::fmt;
use std::str::FromStr;

/// A process, told apart from a later one of the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    host: String,
    boot: String,
    pid: u32,
    /// Clock ticks since boot; 0 where the system does not tell.
    started: u64,
}

impl Owner {
    /// Returns this very process.
    pub(super) fn this() -> Self {
        let pid = std::process::id();
        Self {
            host: fact("/proc/sys/kernel/hostname"),
            boot: fact("/proc/sys/kernel/random/boot_id"),
            pid,
            started: started(pid).unwrap_or(0),
        }
    }

    /// Has the process ended for certain?
    pub(super) fn is_dead(&self) -> bool {
        if self.host != fact("/proc/sys/kernel/hostname") {
            return false;
        }
        if self.boot != fact("/proc/sys/kernel/random/boot_id") {
            return true;
        }
        if self.started == 0 {
            let pid = i32::try_from(self.pid)
                .ok()
                .and_then(rustix::process::Pid::from_raw);
            return pid.is_none_or(|pid| {
                rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
            });
        }
        started(self.pid) != Some(self.started)
    }
}

/// Returns a one-word fact about the machine; `-` where there is none.
fn fact(path: &str) -> String {
    std::fs::read_to_string(path)
        .ok()
        .and_then(|text| text.split_whitespace().next().map(str::to_owned))
        .unwrap_or_else(|| "-".to_owned())
}

/// Returns when a process started; `None` if there is none, or only what a parent has yet to bury.
///
/// `proc_pid_stat(5)`: the command in parentheses may hold anything, so fields count from the last
/// one; the state is field 3, the start time field 22.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    if matches!(fields.first(), Some(&("Z" | "X"))) {
        return None;
    }
    fields.get(19)?.parse().ok()
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            boot,
            pid,
            started,
        } = self;
        write!(f, "{host} {boot} {pid} {started}")
    }
}

/// A text that names no owner.
#[derive(Debug)]
pub(super) struct ParseOwnerError;

impl FromStr for Owner {
    type Err = ParseOwnerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split(' ').collect();
        let [host, boot, pid, started] = words[..] else {
            return Err(ParseOwnerError);
        };
        Ok(Self {
            host: host.to_owned(),
            boot: boot.to_owned(),
            pid: pid.parse().map_err(|_| ParseOwnerError)?,
            started: started.parse().map_err(|_| ParseOwnerError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_an_earlier_one_of_its_number() {
        let me = Owner::this();
        assert_eq!(me.to_string().parse::<Owner>().unwrap(), me);
        assert!(!me.is_dead());
        let earlier = Owner {
            started: me.started + 1,
            ..me.clone()
        };
        assert!(earlier.is_dead());
        let before_reboot = Owner {
            boot: "other".into(),
            ..me.clone()
        };
        assert!(before_reboot.is_dead());
        let elsewhere = Owner {
            host: "elsewhere".into(),
            ..before_reboot
        };
        assert!(!elsewhere.is_dead());
        assert!("x".parse::<Owner>().is_err());
    }
}

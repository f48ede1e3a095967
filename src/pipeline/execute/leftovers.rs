//! Stops stage processes that outlived a killed cvops, before anything else touches their outputs.
//!
//! A stage's paths are claimed (`project::claims`) before its first process starts: no instant at
//! which a process runs and nothing tells of it. Claims whose command is gone were left by a cvops
//! that died. Process numbers are reused, so a process counts as left over only if its environment
//! says that it belongs to a stage of this very project, run by that very command (Linux:
//! `/proc/PID/environ`). Imports: base, project, spec.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::base::fs;
use crate::pipeline::spec::StageName;
use crate::project::claims::{self, Dead, Tidy};
use crate::project::{self, Layout};

/// The variable that tells a service's processes which cvops started them, by process id.
pub(super) const SERVICE_OF: &str = "CVOPS_SERVICE_OF";

/// The variable that tells a stage's processes which command runs them, by the id of its claims.
pub(super) const CLAIMED_BY: &str = "CVOPS_CLAIMED_BY";

/// What killed commands left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Stages whose processes were still there, and are stopped now.
    pub stopped: Vec<String>,
    /// Did a command die?
    pub somebody_died: bool,
}

/// Stops what commands that were killed left running in the project at `root`. `tidy` says whether
/// the caller is alone, and tidies up.
///
/// # Errors
/// The claims cannot be read or written.
pub fn stop_leftovers(
    layout: &Layout,
    root: &Path,
    tidy: Tidy,
) -> Result<Leftovers, project::Error> {
    let stopped = std::cell::RefCell::default();
    let somebody_died = claims::bury_dead(layout, tidy, &|dead| bury(root, dead, &stopped))?;
    let mut stopped = stopped.into_inner();
    stopped.sort_unstable();
    Ok(Leftovers {
        stopped,
        somebody_died,
    })
}

/// Kills the processes of a command that died; adds the names of their stages to `stopped`.
pub(super) fn bury(root: &Path, dead: &Dead<'_>, stopped: &std::cell::RefCell<Vec<String>>) {
    let mut stopped = stopped.borrow_mut();
    // Twice: a process may have started another one while the table was read.
    for _ in 0..2 {
        for process in stage_processes(root) {
            let is_theirs = process.claimed_by.as_deref() == Some(dead.id);
            if is_theirs
                && kill_process(process.pid, Signal::KILL).is_ok()
                && !stopped.contains(&process.stage)
            {
                stopped.push(process.stage);
            }
        }
    }
}

/// Stops the service `stage` of the project at `root` if the cvops that started it died; returns
/// whether there was one. Needs no lock: the processes of a living cvops are left alone.
pub(super) fn stop_service(root: &Path, stage: &StageName) -> bool {
    let mut stopped = false;
    for process in stage_processes(root) {
        stopped |= process.stage == stage.as_str()
            && process.claimed_by.is_none()
            && kill_process(process.pid, Signal::KILL).is_ok();
    }
    stopped
}

/// Returns the living cvops whose service the process `pid` belongs to.
pub(super) fn keeper_of(pid: u32) -> Option<u32> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let keeper = keeper(&environ).filter(|keeper| is_alive(keeper))?;
    keeper.parse().ok()
}

/// Returns which cvops started the service whose process has the environment `environ`.
fn keeper(environ: &[u8]) -> Option<String> {
    let mut vars = environ.split(|b| *b == 0);
    let value = vars.find_map(|v| v.strip_prefix(SERVICE_OF.as_bytes())?.strip_prefix(b"="))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Removes temporary files that a cvops killed while it replaced a file left beside it in the
/// workspace. Call it only while holding the project lock.
pub fn remove_temporary(root: &Path) {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        // What cannot be read or removed stays: this is tidiness, no condition for going on.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_folder = entry.file_type().is_ok_and(|t| t.is_dir());
            if is_folder && name != ".git" && name != ".cvops" {
                folders.push(entry.path());
            } else if !is_folder && name.to_str().is_some_and(fs::is_temp_name) {
                let _ = fs::remove_file(&entry.path());
            }
        }
    }
}

/// Is there a process with this id?
fn is_alive(pid: &str) -> bool {
    !pid.is_empty()
        && pid.bytes().all(|b| b.is_ascii_digit())
        && Path::new("/proc").join(pid).exists()
}

/// A process of a stage.
struct StageProcess {
    pid: Pid,
    stage: String,
    /// The command that runs it; none runs a service.
    claimed_by: Option<String>,
}

/// Returns the processes whose environment names `root` as their stage's project, without those of a
/// service whose cvops lives.
fn stage_processes(root: &Path) -> Vec<StageProcess> {
    let wanted = [b"CVOPS_ROOT=", root.as_os_str().as_encoded_bytes()].concat();
    let me = std::process::id();
    let Ok(table) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in table.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<i32>().ok())
        else {
            continue;
        };
        let Ok(environ) = std::fs::read(entry.path().join("environ")) else {
            continue;
        };
        let value = |name: &str| {
            let mut vars = environ.split(|b| *b == 0);
            let value = vars.find_map(|v| v.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        let mut vars = environ.split(|b| *b == 0);
        if !vars.any(|v| v == wanted) || u32::try_from(pid) == Ok(me) {
            continue;
        }
        // A service outlives the command that made what it needs, but not its cvops.
        if keeper(&environ).is_some_and(|keeper| is_alive(&keeper)) {
            continue;
        }
        if let Some(pid) = Pid::from_raw(pid) {
            found.push(StageProcess {
                pid,
                stage: value("CVOPS_STAGE").unwrap_or_default(),
                claimed_by: value(CLAIMED_BY),
            });
        }
    }
    found
}

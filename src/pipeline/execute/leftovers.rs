//! Stops stage processes that outlived a killed cvops, before anything else touches their outputs.
//!
//! While a stage runs there is a marker file, written before its first process starts: no instant at
//! which a process runs and nothing tells of it. A marker that is there when the project lock has
//! just been taken was left by a cvops that died. Process numbers are reused, so
//! a process counts as left over only if its environment says that it belongs to a stage of this
//! very project (Linux: `/proc/PID/environ`). Imports: base, project, spec.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::base::{Error, fs};
use crate::pipeline::spec::StageName;

/// The variable that tells a service's processes which cvops started them, by process id.
pub(super) const SERVICE_OF: &str = "CVOPS_SERVICE_OF";

/// The marker of one running stage.
pub(super) struct Marker(PathBuf);

impl Marker {
    /// Writes the marker of `stage` into the folder `dir`.
    pub(super) fn write(dir: &Path, stage: &StageName) -> Result<Self, Error> {
        let path = dir.join(stage.file_name());
        fs::create_dir_all(dir).map_err(Error::io("create folder", dir))?;
        let staged = fs::Staged::new_in(dir).map_err(Error::io("write", &path))?;
        staged.commit(&path).map_err(Error::io("write", &path))?;
        Ok(Self(path))
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        // A marker that stays only costs the next command a look through the process table.
        let _ = fs::remove_file(&self.0);
    }
}

/// Kills processes of stages of the project at `root` if markers in `dir` say that a cvops died
/// while stages ran; returns the names of those stages whose processes were still there. Call it
/// only while holding the project lock.
///
/// # Errors
/// The marker folder cannot be read or cleaned.
pub fn stop_leftovers(dir: &Path, root: &Path) -> Result<Vec<String>, Error> {
    let markers: Vec<PathBuf> = match std::fs::read_dir(dir) {
        Ok(entries) => entries.flatten().map(|e| e.path()).collect(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", dir)(e)),
    };
    if markers.is_empty() {
        return Ok(Vec::new());
    }
    let mut stopped = Vec::new();
    // Twice: a process may have started another one while the table was read.
    for _ in 0..2 {
        for (pid, stage) in stage_processes(root) {
            if kill_process(pid, Signal::KILL).is_ok() && !stopped.contains(&stage) {
                stopped.push(stage);
            }
        }
    }
    for marker in markers {
        fs::remove_file(&marker).map_err(Error::io("remove", &marker))?;
    }
    stopped.sort_unstable();
    Ok(stopped)
}

/// Stops the service `stage` of the project at `root` if the cvops that started it died; returns
/// whether there was one. Needs no lock: the processes of a living cvops are left alone.
pub(super) fn stop_service(root: &Path, stage: &StageName) -> bool {
    let mut stopped = false;
    for (pid, name) in stage_processes(root) {
        stopped |= name == stage.as_str() && kill_process(pid, Signal::KILL).is_ok();
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

/// Returns the processes whose environment names `root` as their stage's project, without those of a
/// service whose cvops lives.
fn stage_processes(root: &Path) -> Vec<(Pid, String)> {
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
        let mut vars = environ.split(|b| *b == 0);
        if !vars.clone().any(|v| v == wanted) || u32::try_from(pid) == Ok(me) {
            continue;
        }
        // A service outlives the lock under which it was started, but not its cvops.
        if keeper(&environ).is_some_and(|keeper| is_alive(&keeper)) {
            continue;
        }
        let stage = vars
            .find_map(|v| v.strip_prefix(b"CVOPS_STAGE="))
            .map_or_else(String::new, |s| String::from_utf8_lossy(s).into_owned());
        if let Some(pid) = Pid::from_raw(pid) {
            found.push((pid, stage));
        }
    }
    found
}

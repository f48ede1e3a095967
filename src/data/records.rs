//! Records of the run cache as files: between here and remotes, and what they name. Imports: base,
//! project, store, `data::used`.
//!
//! A record is small and has the hash of what it says in its name or its folder's, so one that is
//! there is right. It is written after what it names: on a remote as here.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::base::fs::{Staged, fault, is_temp_name};
use crate::base::{self, Cancel, ObjectId};
use crate::project::{Project, Sharing};
use crate::store::remote::Body;
use crate::store::{self, Remote};

use super::error::Error;
use super::used;

/// The folder of records on a remote.
const FOLDER: &str = "runs";
/// Larger files are no records.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How deep records lie below their folder.
const DEPTH_MAX: usize = 4;

/// A record here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Its name, relative to the folder of records.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Returns the records of `project`, sorted.
///
/// # Errors
/// The folder cannot be read.
pub fn list(project: &Project) -> Result<Vec<Record>, Error> {
    let top = project.layout.runs();
    let mut records = Vec::new();
    let mut open = vec![(top.clone(), 0)];
    while let Some((dir, depth)) = open.pop() {
        if is_aside(project, &dir) {
            continue;
        }
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(base::Error::io("read folder", &dir)(e).into()),
        };
        for entry in entries {
            let entry = entry.map_err(base::Error::io("read folder", &dir))?;
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth < DEPTH_MAX {
                    open.push((path, depth + 1));
                }
                continue;
            }
            let name = path.strip_prefix(&top).ok().and_then(Path::to_str);
            let is_temp = entry.file_name().to_str().is_none_or(is_temp_name);
            if let (Some(name), false) = (name, is_temp) {
                let name = name.to_owned();
                records.push(Record { name, path });
            }
        }
    }
    records.sort();
    Ok(records)
}

/// Returns what a record names; nothing if it cannot be read, as for the run cache itself.
#[must_use]
pub fn read(record: &Record) -> Option<BTreeSet<ObjectId>> {
    let text = std::fs::read_to_string(&record.path).ok()?;
    used::of_record(&record.name, text).ok()
}

/// Returns what all records name.
///
/// # Errors
/// The folder cannot be read.
pub fn objects(project: &Project) -> Result<BTreeSet<ObjectId>, Error> {
    let records = list(project)?;
    Ok(records.iter().filter_map(read).flatten().collect())
}

/// Sends the records that `remote` lacks; returns how many.
///
/// # Errors
/// The remote cannot be used, or the caller cancelled.
pub fn push(project: &Project, remote: &Remote, cancel: &Cancel) -> Result<u64, Error> {
    let records = list(project)?;
    let keys: Vec<String> = records
        .iter()
        .map(|r| format!("{FOLDER}/{}", r.name))
        .collect();
    let there = remote.service().exists_many(&keys);
    let there = there.map_err(remote.failed("ask"))?;
    let mut sent = 0;
    for ((record, key), there) in records.iter().zip(&keys).zip(there) {
        if cancel.is_requested() {
            return Err(store::Error::Cancelled.into());
        }
        if !there {
            let done = remote.service().upload(&record.path, key);
            done.map_err(remote.failed("write to"))?;
            sent += 1;
        }
    }
    if sent != 0 {
        remote
            .service()
            .settle()
            .map_err(remote.failed("write to"))?;
    }
    Ok(sent)
}

/// Brings the records that are not here; returns how many.
///
/// # Errors
/// As `push`; a record cannot be written.
pub fn fetch(project: &Project, remote: &Remote, cancel: &Cancel) -> Result<u64, Error> {
    let top = project.layout.runs();
    let items = remote
        .service()
        .list(FOLDER)
        .map_err(remote.failed("list"))?;
    let mut come = 0;
    for item in items {
        if cancel.is_requested() {
            return Err(store::Error::Cancelled.into());
        }
        let name = item
            .key
            .strip_prefix(FOLDER)
            .map(|name| name.trim_start_matches('/'));
        // A name that leads out of the folder is none of ours.
        let Some(name) = name.filter(|name| is_inside(name)) else {
            continue;
        };
        let path = top.join(name);
        if path.exists() || path.ancestors().any(|dir| is_aside(project, dir)) {
            continue;
        }
        let Body::Whole(bytes) = remote
            .service()
            .read(&item.key, BYTES_MAX)
            .map_err(remote.failed("read from"))?
        else {
            continue;
        };
        write(&path, &bytes, project.config.shared)?;
        come += 1;
    }
    Ok(come)
}

/// Is `dir` beside the records and holds none? Which files a source folder held, and what a run told
/// and how long it took, concern this machine alone.
fn is_aside(project: &Project, dir: &Path) -> bool {
    dir == project.layout.listings() || dir == project.layout.told()
}

fn is_inside(name: &str) -> bool {
    let parts = || name.split('/');
    parts().all(|part| !matches!(part, "" | "." | "..") && !is_temp_name(part))
        && parts().count() <= DEPTH_MAX
}

fn write(path: &Path, bytes: &[u8], sharing: Sharing) -> Result<(), base::Error> {
    let dir = path.parent().unwrap_or(path);
    let created = sharing.create_dir_all(dir);
    created.map_err(base::Error::io("create folder", dir))?;
    let mut staged = Staged::new_in(dir).map_err(base::Error::io("write", path))?;
    fault::point("records.write").map_err(base::Error::io("write", path))?;
    std::io::Write::write_all(staged.file(), bytes).map_err(base::Error::io("write", path))?;
    staged.commit(path).map_err(base::Error::io("write", path))
}

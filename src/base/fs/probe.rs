//! What a file system is and can do: its kind, its free space, the kinds of links that work.

use std::io;
use std::path::Path;

use super::atomic::{create_dir_all, remove_dir_all, temp_path, write_atomic};
use super::link::{LinkKind, place};

/// A file system, as far as the system tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// `ext4`, `nfs`; `None` where the kind is not known.
    pub kind: Option<&'static str>,
    /// Do several machines share it? Locks and SQLite's WAL are not safe there.
    pub is_network: bool,
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// Kinds by `f_type` of statfs(2), `linux/magic.h`: the number, the name, shared by machines or not.
#[cfg(target_os = "linux")]
const KINDS: [(u32, &str, bool); 22] = [
    (0xef53, "ext4", false),
    (0x9123_683e, "btrfs", false),
    (0x5846_5342, "xfs", false),
    (0x2fc1_2fc1, "zfs", false),
    (0xf2f5_2010, "f2fs", false),
    (0xca45_1a4e, "bcachefs", false),
    (0x0102_1994, "tmpfs", false),
    (0x8584_58f6, "ramfs", false),
    (0x794c_7630, "overlayfs", false),
    (0x4d44, "vfat", false),
    (0x2011_bab0, "exfat", false),
    (0x7366_746e, "ntfs", false),
    // It may be anything, sshfs included.
    (0x6573_5546, "fuse", false),
    (0x0102_1997, "9p", true),
    (0x6969, "nfs", true),
    (0x517b, "smb", true),
    (0xff53_4d42, "cifs", true),
    (0xfe53_4d42, "smb2", true),
    (0x00c3_6400, "ceph", true),
    (0x5346_414f, "afs", true),
    (0x0bd0_0bd0, "lustre", true),
    (0x4750_4653, "gpfs", true),
];

/// Looks at the file system of `path`, which must exist.
///
/// # Errors
/// It cannot be inspected.
#[cfg(unix)]
pub fn volume(path: &Path) -> io::Result<Volume> {
    let space = rustix::fs::statvfs(path)?;
    let (kind, is_network) = kind(path);
    Ok(Volume {
        kind,
        is_network,
        free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
        total_bytes: space.f_blocks.saturating_mul(space.f_frsize),
    })
}

/// Looks at the file system of `path`.
///
/// # Errors
/// Always: this system is not known.
#[cfg(not(unix))]
pub fn volume(_: &Path) -> io::Result<Volume> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(target_os = "linux")]
fn kind(path: &Path) -> (Option<&'static str>, bool) {
    let Ok(stat) = rustix::fs::statfs(path) else {
        return (None, false);
    };
    // The field is wider on some processors; all numbers have 32 bits.
    let number = stat.f_type as u32;
    let found = KINDS.iter().find(|(magic, ..)| *magic == number);
    found.map_or((None, false), |(_, name, shared)| (Some(name), *shared))
}

#[cfg(all(unix, not(target_os = "linux")))]
fn kind(_: &Path) -> (Option<&'static str>, bool) {
    (None, false)
}

/// Tries to link a file in the folder `from` into the folder `to` by each of `kinds`; returns those
/// that work. Both folders must exist; nothing stays in them.
///
/// # Errors
/// Nothing can be written there at all.
pub fn working_links(from: &Path, to: &Path, kinds: &[LinkKind]) -> io::Result<Vec<LinkKind>> {
    let (from, to) = (temp_path(from), temp_path(to));
    let tried = (|| {
        create_dir_all(&from)?;
        create_dir_all(&to)?;
        let object = from.join("object");
        write_atomic(&object, b"probe")?;
        let mut works = Vec::new();
        for (i, kind) in kinds.iter().enumerate() {
            let link = to.join(i.to_string());
            // A link that is made but cannot be followed helps nobody.
            if place(&object, &link, &[*kind]).is_ok()
                && std::fs::read(&link).is_ok_and(|bytes| bytes == b"probe")
            {
                works.push(*kind);
            }
        }
        Ok(works)
    })();
    for dir in [&from, &to] {
        // What cannot be removed has a temporary name, and is swept with the others.
        let _ = remove_dir_all(dir);
    }
    tried
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_leaves_nothing_and_copies_work_everywhere() {
        let dir = tempfile::tempdir().unwrap();
        let all = [LinkKind::Reflink, LinkKind::Copy, LinkKind::Symlink];
        let works = working_links(dir.path(), dir.path(), &all).unwrap();
        assert!(works.contains(&LinkKind::Copy), "{works:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let volume = volume(dir.path()).unwrap();
        assert!(volume.free_bytes <= volume.total_bytes, "{volume:?}");
        assert!(super::volume(&dir.path().join("none")).is_err());
    }
}

//! Putting a file's bytes at another path by the cheapest permitted way, and permission bits.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the door behind which files are written"
)]

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::fault;

/// How a cached file may reach the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// Copy on write; shares blocks, writes stay private. Needs btrfs, xfs, APFS, …
    Reflink,
    /// A plain copy.
    Copy,
    /// A second name of the same file: in-place writes would damage the cache.
    Hardlink,
    /// A symbolic link into the cache.
    Symlink,
}

impl LinkKind {
    /// Returns its name, as settings spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reflink => "reflink",
            Self::Copy => "copy",
            Self::Hardlink => "hardlink",
            Self::Symlink => "symlink",
        }
    }
}

/// Creates `to` (which must not exist) with the bytes of `from` by the first of `kinds` that works;
/// returns which one it was.
///
/// # Errors
/// The last kind's error when none worked; a full disk ends the search at once.
pub fn place(from: &Path, to: &Path, kinds: &[LinkKind]) -> io::Result<LinkKind> {
    fault::point("file.place")?;
    let mut last = io::Error::new(io::ErrorKind::Unsupported, "no link kind is configured");
    for kind in kinds {
        let tried = match kind {
            LinkKind::Reflink => reflink_copy::reflink(from, to),
            LinkKind::Copy => fs::copy(from, to).map(drop),
            LinkKind::Hardlink => fs::hard_link(from, to),
            #[cfg(unix)]
            LinkKind::Symlink => std::os::unix::fs::symlink(from, to),
            #[cfg(not(unix))]
            LinkKind::Symlink => Err(io::Error::from(io::ErrorKind::Unsupported)),
        };
        match tried {
            Ok(()) => return Ok(*kind),
            Err(e) => {
                if *kind == LinkKind::Copy && e.kind() != io::ErrorKind::AlreadyExists {
                    // A copy that broke off leaves a torn file behind.
                    let _ = fs::remove_file(to);
                }
                let full = matches!(
                    e.kind(),
                    io::ErrorKind::StorageFull
                        | io::ErrorKind::QuotaExceeded
                        | io::ErrorKind::AlreadyExists
                );
                last = e;
                if full {
                    break;
                }
            }
        }
    }
    Err(last)
}

/// Bytes that are read at once while a file is copied.
const BLOCK_BYTES: usize = 1024 * 1024;
/// Blocks that may wait to be written.
const BLOCKS_WAITING: usize = 4;

/// Copies the file `from` to the new file `to` and shows each block on the way to `see`: exactly the
/// bytes that are written. They are written on a thread of their own while `see` looks at them.
///
/// # Errors
/// `from` cannot be read or `to` not written; then there is no `to`.
pub fn copy_seen(from: &Path, to: &Path, see: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    fault::point("file.copy")?;
    let source = fs::File::open(from)?;
    let target = fs::File::create_new(to)?;
    let copied = std::thread::scope(|scope| {
        let (blocks, waiting) = std::sync::mpsc::sync_channel::<Arc<Vec<u8>>>(BLOCKS_WAITING);
        let writer = scope.spawn(move || {
            let mut target = target;
            waiting
                .into_iter()
                .try_for_each(|block| target.write_all(&block))
        });
        let read = (|| {
            loop {
                let mut block = Vec::with_capacity(BLOCK_BYTES);
                let limit = BLOCK_BYTES as u64;
                if (&source).take(limit).read_to_end(&mut block)? == 0 {
                    return Ok(());
                }
                let block = Arc::new(block);
                // The writer ends early only where it failed, which is told below.
                if blocks.send(Arc::clone(&block)).is_err() {
                    return Ok(());
                }
                see(&block);
            }
        })();
        drop(blocks);
        let written = writer
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the writing thread broke off")));
        read.and(written)
    });
    if copied.is_err() {
        // A copy that broke off leaves a torn file behind.
        let _ = fs::remove_file(to);
    }
    copied
}

/// Fills the empty file `to` with the bytes of `from`: by reflink where the file system can.
///
/// # Errors
/// `from` cannot be read or `to` not written.
pub fn fill(to: &mut fs::File, mut from: &fs::File) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if rustix::fs::ioctl_ficlone(&*to, from).is_ok() {
        return Ok(());
    }
    // Between files this is `copy_file_range`, in the kernel.
    io::copy(&mut from, to).map(drop)
}

/// Makes an open file readable for everybody and writable for nobody.
///
/// # Errors
/// The mode cannot be changed.
#[cfg(unix)]
pub fn share_read_only(file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o444))
}

/// Makes an open file readable for everybody and writable for nobody.
///
/// # Errors
/// The mode cannot be changed.
#[cfg(not(unix))]
pub fn share_read_only(_: &fs::File) -> io::Result<()> {
    Ok(())
}

/// Is the owner's execute bit set?
#[cfg(unix)]
#[must_use]
pub fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

/// Is the owner's execute bit set? Systems without the bit say no.
#[cfg(not(unix))]
#[must_use]
pub fn is_executable(_: &fs::Metadata) -> bool {
    false
}

#[cfg(unix)]
fn change_mode(path: &Path, change: impl FnOnce(u32) -> u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let old = fs::metadata(path)?.permissions().mode() & 0o7777;
    let new = change(old);
    if new == old {
        Ok(())
    } else {
        fs::set_permissions(path, fs::Permissions::from_mode(new))
    }
}

#[cfg(not(unix))]
fn change_mode(_: &Path, _: impl FnOnce(u32) -> u32) -> io::Result<()> {
    Ok(())
}

/// Takes a file away from everybody but its owner and group.
///
/// # Errors
/// There is none, or it is somebody else's.
pub fn keep_from_others(path: &Path) -> io::Result<()> {
    change_mode(path, |mode| mode & !0o007)
}

/// Sets or clears the execute bits (where the read bits are).
///
/// # Errors
/// The mode cannot be changed.
pub fn set_executable(path: &Path, executable: Executable) -> io::Result<()> {
    change_mode(path, |mode| match executable {
        Executable::Yes => mode | ((mode & 0o444) >> 2),
        Executable::No => mode & !0o111,
    })
}

/// Takes all write permission away (cache objects).
///
/// # Errors
/// The mode cannot be changed.
pub fn set_read_only(path: &Path) -> io::Result<()> {
    change_mode(path, |mode| mode & !0o222)
}

/// Gives the owner write permission.
///
/// # Errors
/// The mode cannot be changed.
pub fn set_writable(path: &Path) -> io::Result<()> {
    change_mode(path, |mode| mode | 0o200)
}

/// The execute bit, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executable {
    /// It may be run.
    Yes,
    /// It may not.
    No,
}

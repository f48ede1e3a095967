//! Replacing files so that a crash at any line leaves the old bytes or the new ones.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the door behind which files are written"
)]

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::fault;

/// Prefix of temporary files: recognisable, so leftovers of killed processes can be swept.
const TEMP_PREFIX: &str = ".cvops-tmp-";

/// Who a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The number of the user.
    pub user: u32,
    /// The number of the group.
    pub group: u32,
}

impl Owner {
    /// Returns the owner of a file or folder with this metadata.
    #[must_use]
    pub fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            user: metadata.uid(),
            group: metadata.gid(),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {} and group {}", self.user, self.group)
    }
}

/// A temporary file that becomes a real one by `commit`; dropped without it, it is removed.
pub struct Staged(tempfile::NamedTempFile);

impl Staged {
    /// Creates an empty temporary file in `dir`, which must be on the target's file system.
    ///
    /// # Errors
    /// The folder is missing or not writable.
    pub fn new_in(dir: &Path) -> io::Result<Self> {
        fault::point("staged.create")?;
        tempfile::Builder::new()
            .prefix(TEMP_PREFIX)
            // `tempfile_in` would put the temporary name into its errors; callers name the file.
            .make_in(dir, |path| {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                options.open(path)
            })
            .map(Self)
    }

    /// Returns the temporary file, for writing.
    pub fn file(&mut self) -> &mut File {
        self.0.as_file_mut()
    }

    /// Returns where the temporary file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Gives the file to `owner`. Before its mode is set: the system takes bits away when it changes hands.
    ///
    /// # Errors
    /// This process may not give files to that user or group: it is root, or the user itself in that group,
    /// who may.
    pub fn give_to(&mut self, owner: Owner) -> io::Result<()> {
        fault::point("staged.give")?;
        let file = self.0.as_file();
        // Some file systems refuse even what changes nothing.
        if Owner::of(&file.metadata()?) == owner {
            return Ok(());
        }
        std::os::unix::fs::fchown(file, Some(owner.user), Some(owner.group))
    }

    /// Renames the file to `target`, replacing what is there. Durability is the caller's: a batch
    /// ends with `sync_filesystem`, a single file uses `write_atomic`.
    ///
    /// # Errors
    /// The rename failed; the temporary file is gone.
    pub fn commit(self, target: &Path) -> io::Result<()> {
        fault::point("staged.commit")?;
        self.0.persist(target).map(drop).map_err(|e| e.error)
    }

    /// As `commit`, for a file of the user's: with the mode of the file that is replaced (a new one
    /// gets 0644 less the umask), and on disk when this returns.
    ///
    /// # Errors
    /// Any step failed; `target` is as it was before.
    pub fn finish(mut self, target: &Path) -> io::Result<()> {
        copy_mode(target, self.file())?;
        fault::point("write.sync")?;
        self.file().sync_all()?;
        self.commit(target)?;
        sync_dir(parent(target))
    }
}

/// Is this the name of a temporary file of ours?
#[must_use]
pub fn is_temp_name(name: &str) -> bool {
    name.starts_with(TEMP_PREFIX)
}

/// Writes `bytes` to `path`: temporary file beside it, fsync, rename, fsync of the folder. Keeps
/// the mode of a file that is replaced; new files get 0644 less the umask.
///
/// # Errors
/// Any step failed; `path` is as it was before.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = parent(path);
    let mut staged = Staged::new_in(dir)?;
    fault::point("write.bytes")?;
    staged.file().write_all(bytes)?;
    staged.finish(path)
}

/// As `write_atomic`, but a symbolic link at `path` stays: what it points to is replaced. For files
/// that a user may have put elsewhere.
///
/// # Errors
/// As `write_atomic`; the links go in a circle.
pub fn write_through_links(path: &Path, bytes: &[u8]) -> io::Result<()> {
    /// As many as Linux follows (`path_resolution(7)`).
    const LINKS_MAX: usize = 40;
    let mut target = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&target) {
            // A link may point to a file that is not there yet, so it is followed step by step.
            Ok(next) => target = parent(&target).join(next),
            Err(_) => return write_atomic(&target, bytes),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

#[cfg(unix)]
fn copy_mode(old: &Path, new: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = match fs::metadata(old) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(_) => 0o666 & !umask(),
    };
    new.set_permissions(fs::Permissions::from_mode(mode & 0o7777))
}

/// Returns the process's umask. Reading it means setting it, so it is done once, under a lock.
#[cfg(unix)]
fn umask() -> u32 {
    static UMASK: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *UMASK.get_or_init(|| {
        let old = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        rustix::process::umask(old);
        old.bits()
    })
}

#[cfg(not(unix))]
fn copy_mode(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    }
}

/// Makes the names in `dir` durable.
///
/// # Errors
/// The folder cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes everything written so far on the file system of `path` durable: one `syncfs` for a whole
/// batch of objects instead of one fsync each.
///
/// # Errors
/// The folder cannot be opened or the system reports a write error.
pub fn sync_filesystem(path: &Path) -> io::Result<()> {
    fault::point("sync.filesystem")?;
    let dir = File::open(path)?;
    #[cfg(target_os = "linux")]
    {
        rustix::fs::syncfs(&dir).map_err(io::Error::from)
    }
    #[cfg(not(target_os = "linux"))]
    {
        dir.sync_all()
    }
}

/// Creates `dir` and its parents.
///
/// # Errors
/// A parent is no folder or not writable.
pub fn create_dir_all(dir: &Path) -> io::Result<()> {
    fault::point("dir.create")?;
    fs::create_dir_all(dir)
}

/// Creates `dir` and its parents; what is new belongs to the group of the folder above it, which may
/// write into it, whatever the umask says.
///
/// # Errors
/// As `create_dir_all`; or the permissions cannot be set.
pub fn create_dir_all_for_group(dir: &Path) -> io::Result<()> {
    fault::point("dir.create")?;
    let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
    let missing: Vec<&Path> = dir.ancestors().take_while(is_missing).collect();
    for dir in missing.into_iter().rev() {
        match fs::create_dir(dir) {
            Ok(()) => set_group_permissions(dir)?,
            // Another process was faster.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn set_group_permissions(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o2775))
}

#[cfg(not(unix))]
fn set_group_permissions(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Creates a new file for writing; fails if it exists.
///
/// # Errors
/// It exists, or cannot be created.
pub fn create_new(path: &Path) -> io::Result<File> {
    fault::point("file.create")?;
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Renames within one file system.
///
/// # Errors
/// As `rename(2)`.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fault::point("file.rename")?;
    fs::rename(from, to)
}

/// Removes a file; it being gone already is fine.
///
/// # Errors
/// It is there and cannot be removed.
pub fn remove_file(path: &Path) -> io::Result<()> {
    fault::point("file.remove")?;
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a folder with everything in it; it being gone already is fine. Symbolic links are
/// removed, not followed.
///
/// # Errors
/// Something in it cannot be removed.
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    fault::point("dir.remove")?;
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Returns an unused path in `dir` for a temporary folder or file of ours.
#[must_use]
pub fn temp_path(dir: &Path) -> PathBuf {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    dir.join(format!("{TEMP_PREFIX}{}-{n}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_keeps_the_mode_and_leaves_nothing_behind() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("script");
        write_atomic(&path, b"one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o755
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_root_gives_files_away() {
        let dir = tempfile::tempdir().unwrap();
        let mut staged = Staged::new_in(dir.path()).unwrap();
        let own = Owner::of(&staged.file().metadata().unwrap());
        staged.give_to(own).unwrap();
        let other = Owner {
            user: own.user + 1,
            group: own.group + 1,
        };
        let given = staged.give_to(other).map_err(|error| error.kind());
        let now = Owner::of(&staged.file().metadata().unwrap());
        if rustix::process::geteuid().is_root() {
            assert_eq!((given, now), (Ok(()), other));
        } else {
            assert_eq!((given, now), (Err(io::ErrorKind::PermissionDenied), own));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_what_it_points_to_is_replaced() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        create_dir_all(&at("conf")).unwrap();
        write_atomic(&at("conf/real"), b"one").unwrap();
        symlink("real", at("conf/second")).unwrap();
        symlink("conf/second", at("first")).unwrap();
        symlink("conf/new", at("dangling")).unwrap();
        symlink("circle", at("circle")).unwrap();
        write_through_links(&at("first"), b"two").unwrap();
        write_through_links(&at("dangling"), b"three").unwrap();
        write_through_links(&at("plain"), b"four").unwrap();
        assert!(write_through_links(&at("circle"), b"").is_err());
        for (name, content) in [
            ("conf/real", "two"),
            ("conf/new", "three"),
            ("plain", "four"),
        ] {
            assert_eq!(fs::read_to_string(at(name)).unwrap(), content);
        }
        for link in ["first", "conf/second", "dangling", "circle"] {
            assert!(at(link).is_symlink(), "{link}");
        }
    }
}

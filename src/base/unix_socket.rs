//! Unix sockets: listening at a path that only some may connect to, and connecting without waiting
//! for a server that accepts nobody.
//!
//! The socket's file is the one thing that is written past `base::fs`: it appears by `bind`, whole.
//! Imports: `base::fs`, rustix.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

use super::fs;

/// Clients that wait for a server that is busy; the system lowers it to its own limit.
const BACKLOG: i32 = 1024;

/// Who may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// The user of the server (mode 0600).
    #[default]
    Owner,
    /// The users of its group, too (mode 0660).
    Group,
    /// Every user of the machine (mode 0666).
    Everyone,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o660,
            Self::Everyone => 0o666,
        }
    }
}

/// What is at a path where a server wants to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupant {
    /// Nothing.
    Nobody,
    /// The socket of a server that is gone.
    Dead,
    /// A socket on which somebody listens.
    Alive,
    /// Something that is no socket.
    Other,
}

/// The file of a socket on which this process listens; gone when this is dropped, if it is still that
/// file.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    /// Returns where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // Left behind, it is replaced by the next server.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Says what is at `path`.
///
/// # Errors
/// It cannot be looked at.
pub fn occupant(path: &Path) -> io::Result<Occupant> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::Nobody),
        Err(error) => return Err(error),
        Ok(meta) if !meta.file_type().is_socket() => return Ok(Occupant::Other),
        Ok(_) => {}
    }
    match connect(path) {
        // One that has no room for another client lives, too.
        Ok(_) => Ok(Occupant::Alive),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Occupant::Alive),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Occupant::Dead),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Occupant::Nobody),
        Err(error) => Err(error),
    }
}

/// Listens at `path`, where nothing may be. The listener does not block.
///
/// # Errors
/// Something is there, the path is too long for a socket, or the folder is not there or not writable.
pub fn listen(path: &Path, access: Access) -> io::Result<(UnixListener, SocketFile)> {
    let address = SocketAddrUnix::new(path)?;
    let socket = open()?;
    ioctl_fionbio(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: identity(path)?,
    };
    // Nobody can connect before the socket listens, whatever the process's mask allowed.
    allow(path, access.mode())?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok((UnixListener::from(socket), file))
}

/// Connects to the server at `path`.
///
/// # Errors
/// There is none; `WouldBlock` says that it has no room for another client now.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let socket = open()?;
    // A server that accepts nobody would be waited for without a limit.
    ioctl_fionbio(&socket, true)?;
    rustix::net::connect(&socket, &address)?;
    ioctl_fionbio(&socket, false)?;
    Ok(UnixStream::from(socket))
}

fn open() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    Ok(socket)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let meta = std::fs::symlink_metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the file of a socket; base::fs writes no such file"
)]
fn allow(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_is_at_a_path_is_told_apart() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("s");
        assert_eq!(occupant(&path).unwrap(), Occupant::Nobody);
        let (listener, file) = listen(&path, Access::Owner).unwrap();
        assert_eq!(occupant(&path).unwrap(), Occupant::Alive);
        // A killed server leaves the file.
        drop(listener);
        assert_eq!(occupant(&path).unwrap(), Occupant::Dead);
        drop(file);
        assert_eq!(occupant(&path).unwrap(), Occupant::Nobody);
        fs::write_atomic(&path, b"").unwrap();
        assert_eq!(occupant(&path).unwrap(), Occupant::Other);
    }

    #[test]
    fn access_is_the_mode_of_the_file() {
        let tmp = tempfile::tempdir().unwrap();
        for (access, mode) in [
            (Access::Owner, 0o600),
            (Access::Group, 0o660),
            (Access::Everyone, 0o666),
        ] {
            let path = tmp.path().join("s");
            let (_listener, _file) = listen(&path, access).unwrap();
            let found = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{access:?}");
        }
    }

    #[test]
    fn bytes_go_both_ways_and_another_file_is_not_removed() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("s");
        let (listener, file) = listen(&path, Access::Owner).unwrap();
        assert_eq!(file.path(), path);
        let mut client = connect(&path).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        let mut read = [0; 5];
        served.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"hello");
        // Whoever took the path over keeps it.
        fs::remove_file(&path).unwrap();
        let (_next, _kept) = listen(&path, Access::Owner).unwrap();
        drop(file);
        assert_eq!(occupant(&path).unwrap(), Occupant::Alive);
    }

    #[test]
    fn a_path_that_is_too_long_is_refused() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
        let error = listen(&path, Access::Owner).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidFilename);
    }
}

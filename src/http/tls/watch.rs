//! Notices that the files of a certificate changed. Imports: nothing of ours.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;

use super::TlsFiles;
use super::load::server_config;
use super::problem::TlsProblem;

/// What is known of the files.
#[derive(Debug)]
pub(super) struct Watch {
    /// The files as they were when the last word about them was said.
    settled: Stamp,
    /// Files that could not be used at the last look. They may be half of a change (the certificate is
    /// new, its key not yet), so nothing is said before the look after.
    doubtful: Option<Stamp>,
}

/// What a look brought.
#[derive(Debug)]
pub(super) enum Seen {
    /// Nothing to tell.
    Nothing,
    /// Another certificate.
    New(Arc<ServerConfig>),
    /// Files that cannot be used; told once.
    Bad(TlsProblem),
}

/// Which bytes the two files hold, if they are there: writing or replacing one changes it. Links are
/// followed: a secret of Kubernetes is renewed by turning a link.
type Stamp = [Option<[i64; 5]>; 2];

impl Watch {
    /// Begins with the files as they are.
    pub(super) fn begin(files: &TlsFiles) -> Self {
        Self {
            settled: stamp(files),
            doubtful: None,
        }
    }

    /// Looks at the files.
    pub(super) fn look(&mut self, files: &TlsFiles) -> Seen {
        let now = stamp(files);
        if now == self.settled {
            self.doubtful = None;
            return Seen::Nothing;
        }
        match server_config(files) {
            Ok(config) => {
                *self = Self {
                    settled: now,
                    doubtful: None,
                };
                Seen::New(config)
            }
            Err(problem) if self.doubtful == Some(now) => {
                *self = Self {
                    settled: now,
                    doubtful: None,
                };
                Seen::Bad(problem)
            }
            Err(_) => {
                self.doubtful = Some(now);
                Seen::Nothing
            }
        }
    }
}

fn stamp(files: &TlsFiles) -> Stamp {
    let of = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        let (size, inode) = (meta.size().cast_signed(), meta.ino().cast_signed());
        let device = meta.dev().cast_signed();
        Some([meta.mtime(), meta.mtime_nsec(), size, inode, device])
    };
    [of(&files.cert), of(&files.key)]
}

#[cfg(test)]
mod tests {
    use super::super::load::tests::{in_folder, renew};
    use super::*;
    use crate::base::fs::{remove_file, write_atomic};

    #[test]
    fn a_new_pair_is_taken_and_a_bad_one_is_told_once() {
        let tmp = tempfile::tempdir().unwrap();
        let files = in_folder(tmp.path());
        renew(&files);
        let mut watch = Watch::begin(&files);
        assert!(matches!(watch.look(&files), Seen::Nothing));
        renew(&files);
        assert!(matches!(watch.look(&files), Seen::New(_)));
        assert!(matches!(watch.look(&files), Seen::Nothing));

        // Half of a change: the key is not there yet.
        let key = std::fs::read(&files.key).unwrap();
        renew(&files);
        let new_key = std::fs::read(&files.key).unwrap();
        write_atomic(&files.key, &key).unwrap();
        assert!(matches!(watch.look(&files), Seen::Nothing));
        write_atomic(&files.key, &new_key).unwrap();
        assert!(matches!(watch.look(&files), Seen::New(_)));

        // A change that stays bad.
        remove_file(&files.key).unwrap();
        assert!(matches!(watch.look(&files), Seen::Nothing));
        assert!(matches!(
            watch.look(&files),
            Seen::Bad(TlsProblem::Unreadable { .. })
        ));
        assert!(matches!(watch.look(&files), Seen::Nothing));
        renew(&files);
        assert!(matches!(watch.look(&files), Seen::New(_)));
    }
}

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
    /// What that word was.
    word: Word,
    /// Files that could not be used at the last look. They may be half of a change (the certificate is
    /// new, its key not yet), so nothing is said before the look after.
    doubtful: Option<Stamp>,
}

/// What was said of the files last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// They are in use.
    Good,
    /// They cannot be used. That need not be the files' fault (a disk that fails for a moment, a folder that
    /// was closed), so they are tried again at each look, in silence.
    Bad,
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

/// Which bytes the two files hold and who may read them, if they are there: writing, replacing, `chmod` and
/// `chown` change it. Links are followed: a secret of Kubernetes is renewed by turning a link.
type Stamp = [Option<[i64; 7]>; 2];

impl Watch {
    /// Begins with the files as they are.
    pub(super) fn begin(files: &TlsFiles) -> Self {
        Self {
            settled: stamp(files),
            word: Word::Good,
            doubtful: None,
        }
    }

    /// Looks at the files.
    pub(super) fn look(&mut self, files: &TlsFiles) -> Seen {
        let now = stamp(files);
        if now == self.settled && self.word == Word::Good {
            self.doubtful = None;
            return Seen::Nothing;
        }
        match server_config(files) {
            Ok(config) => {
                self.settle(now, Word::Good);
                Seen::New(config)
            }
            // Told already.
            Err(_) if now == self.settled => {
                self.doubtful = None;
                Seen::Nothing
            }
            Err(problem) if self.doubtful == Some(now) => {
                self.settle(now, Word::Bad);
                Seen::Bad(problem)
            }
            Err(_) => {
                self.doubtful = Some(now);
                Seen::Nothing
            }
        }
    }

    fn settle(&mut self, settled: Stamp, word: Word) {
        *self = Self {
            settled,
            word,
            doubtful: None,
        };
    }
}

fn stamp(files: &TlsFiles) -> Stamp {
    let of = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        let (size, inode) = (meta.size().cast_signed(), meta.ino().cast_signed());
        let device = meta.dev().cast_signed();
        let (written, changed) = (meta.mtime(), meta.ctime());
        let (written_ns, changed_ns) = (meta.mtime_nsec(), meta.ctime_nsec());
        Some([
            written, written_ns, changed, changed_ns, size, inode, device,
        ])
    };
    [of(&files.cert), of(&files.key)]
}

#[cfg(test)]
mod tests {
    use super::super::load::tests::{in_folder, renew};
    use super::*;
    use crate::base::fs::{self, remove_file, write_atomic};

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

    #[test]
    fn what_was_refused_is_tried_again_and_told_once() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("tls");
        fs::create_dir_all(&dir).unwrap();
        let files = in_folder(&dir);
        renew(&files);
        let mut watch = Watch::begin(&files);
        // Files that cannot be had for a while, and then are the same again to the last nanosecond.
        let away = tmp.path().join("away");
        fs::rename(&dir, &away).unwrap();
        assert!(matches!(watch.look(&files), Seen::Nothing));
        assert!(matches!(watch.look(&files), Seen::Bad(_)));
        assert!(matches!(watch.look(&files), Seen::Nothing));
        fs::rename(&away, &dir).unwrap();
        assert!(matches!(watch.look(&files), Seen::New(_)));
        assert!(matches!(watch.look(&files), Seen::Nothing));

        // What made reading fail may be gone without a trace in the stamp.
        let good = Watch::begin(&files);
        let mut refused = Watch {
            word: Word::Bad,
            ..good
        };
        assert!(matches!(refused.look(&files), Seen::New(_)));
        assert!(matches!(refused.look(&files), Seen::Nothing));
    }

    #[test]
    fn a_change_of_who_may_read_is_noticed() {
        let tmp = tempfile::tempdir().unwrap();
        let files = in_folder(tmp.path());
        renew(&files);
        let before = stamp(&files);
        // Where the clock of files ticks coarsely, the first changes may fall into the tick of the writing.
        let is_noticed = || {
            for executable in [fs::Executable::Yes, fs::Executable::No] {
                fs::set_executable(&files.key, executable).unwrap();
            }
            stamp(&files) != before
        };
        assert!(
            std::iter::repeat_with(is_noticed)
                .take(100_000)
                .any(|is| is)
        );
    }
}

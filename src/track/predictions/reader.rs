//! Reads the log, newest first and never more than asked for. Imports: base, `predictions::*`.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::base;

use super::folder::{Segment, segments};
use super::record::{Feedback, KeptPicture, Prediction, Record};
use super::window::{Joining, Window};

/// Of one segment no more is read, from its end: writers keep them smaller.
const SEGMENT_READ_MAX: u64 = 64 << 20;
/// Of all segments together.
const READ_MAX: u64 = 256 << 20;
/// A kept picture is a small PNG; nothing larger is read.
const PICTURE_BYTES_MAX: u32 = 4 << 20;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The log in one folder, to be read. Others may write it meanwhile.
#[derive(Clone, Debug)]
pub struct Predictions {
    dir: PathBuf,
}

/// Which segments there are and how large: equal if nothing was written since.
pub type Stamp = Vec<(Segment, u64)>;

impl Predictions {
    /// Returns the log in `dir`, which need not be there.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Returns which segments there are and how large: another value if anything was written.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn stamp(&self) -> Result<Stamp, base::Error> {
        segments(&self.dir).map_err(base::Error::io("read", &self.dir))
    }

    /// Returns the last predictions, at most `most`, with their feedback.
    ///
    /// # Errors
    /// The folder or a file in it cannot be read.
    pub fn window(&self, most: usize) -> Result<Window, base::Error> {
        let mut joining = Joining::new(most);
        let mut budget = READ_MAX;
        for (segment, _) in self.stamp()?.iter().rev() {
            if joining.is_full() || budget == 0 {
                joining.cut();
                break;
            }
            let Some(tail) = self.tail(segment, budget)? else {
                continue;
            };
            budget -= tail.bytes.len() as u64;
            for line in tail.lines().rev() {
                if joining.is_full() {
                    joining.cut();
                    break;
                }
                match serde_json::from_slice(line) {
                    Ok(Record::Prediction(prediction)) => joining.prediction(segment, *prediction),
                    Ok(Record::Feedback(feedback)) => joining.feedback(feedback),
                    Ok(Record::Shadow(_)) => {}
                    Err(_) => joining.unreadable(),
                }
            }
            if tail.is_cut {
                joining.cut();
            }
        }
        Ok(joining.finish())
    }

    /// Returns the predictions of a request, in the order of its pictures.
    ///
    /// # Errors
    /// The folder or a file in it cannot be read.
    pub fn of_request(&self, id: &str) -> Result<Vec<Prediction>, base::Error> {
        // Most lines are passed over without being read as JSON.
        let Ok(quoted) = serde_json::to_string(id) else {
            return Ok(Vec::new());
        };
        let mut budget = READ_MAX;
        let mut found: Vec<Prediction> = Vec::new();
        for (segment, _) in self.stamp()?.iter().rev() {
            let Some(tail) = self.tail(segment, budget)? else {
                continue;
            };
            budget -= tail.bytes.len() as u64;
            let text = String::from_utf8_lossy(&tail.bytes);
            if !text.contains(&quoted) {
                continue;
            }
            for line in text.lines().rev().filter(|line| line.contains(&quoted)) {
                if let Ok(Record::Prediction(prediction)) = serde_json::from_str(line)
                    && prediction.request_id == id
                    && found.iter().all(|other| other.index != prediction.index)
                {
                    found.push(*prediction);
                }
            }
            if !found.is_empty() || budget == 0 {
                break;
            }
        }
        found.sort_by_key(|prediction| prediction.index);
        Ok(found)
    }

    /// Returns a kept picture, a PNG file; `None` if it is not there any more.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn picture(
        &self,
        segment: &Segment,
        kept: KeptPicture,
    ) -> Result<Option<Vec<u8>>, base::Error> {
        if PICTURE_BYTES_MAX < kept.len {
            return Ok(None);
        }
        let path = segment.pictures(&self.dir);
        let Some(file) = open(&path)? else {
            return Ok(None);
        };
        let len = file
            .metadata()
            .map_err(base::Error::io("read", &path))?
            .len();
        let end = kept.at.checked_add(u64::from(kept.len));
        if end.is_none_or(|end| len < end) {
            return Ok(None);
        }
        let mut bytes = vec![0; kept.len as usize];
        match file.read_exact_at(&mut bytes, kept.at) {
            Ok(()) => Ok(bytes.starts_with(PNG).then_some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(base::Error::io("read", &path)(e)),
        }
    }

    /// Reads the last bytes of a segment, if it is still there.
    fn tail(&self, segment: &Segment, budget: u64) -> Result<Option<Tail>, base::Error> {
        let path = segment.lines(&self.dir);
        let Some(mut file) = open(&path)? else {
            return Ok(None);
        };
        let most = SEGMENT_READ_MAX.min(budget);
        let read = || -> io::Result<Tail> {
            let len = file.metadata()?.len();
            let from = len.saturating_sub(most);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            // It may grow meanwhile.
            file.take(most).read_to_end(&mut bytes)?;
            Ok(Tail {
                bytes,
                is_cut: 0 < from,
            })
        };
        read().map(Some).map_err(base::Error::io("read", &path))
    }
}

fn open(path: &Path) -> Result<Option<std::fs::File>, base::Error> {
    match std::fs::File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(base::Error::io("read", path)(e)),
    }
}

/// The end of a segment.
struct Tail {
    bytes: Vec<u8>,
    /// Is its beginning left out?
    is_cut: bool,
}

impl Tail {
    /// Returns the lines; the first one of a cut tail is no whole one.
    fn lines(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let first = if self.is_cut {
            self.bytes.iter().position(|b| *b == b'\n')
        } else {
            None
        };
        let bytes = first.map_or(self.bytes.as_slice(), |first| &self.bytes[first + 1..]);
        bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty())
    }
}

/// Which picture of which request.
pub(super) type Key = (String, u32);

pub(super) fn key(of: &Feedback) -> Key {
    (of.request_id.clone(), of.index)
}

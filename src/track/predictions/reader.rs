//! Reads the log, newest first and never more than asked for. Imports: base, `predictions::*`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::base;
use crate::base::clock::Timestamp;

use super::folder::{Segment, segments};
use super::record::{Feedback, KeptPicture, Prediction, Record};
use super::window::{Joining, Window, keep_latest};

/// Of one segment no more is read, from its end: writers keep them smaller.
const SEGMENT_READ_MAX: u64 = 64 << 20;
/// Of all segments together.
const READ_MAX: u64 = 256 << 20;
/// A kept picture is a small PNG; nothing larger is read.
const PICTURE_BYTES_MAX: u32 = 4 << 20;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Lines stand in the order in which they were written, which is nearly that of their times: requests wait in
/// a queue and writers a quarter of a second.
const DISORDER_MS: i64 = 60_000;

/// The log in one folder, to be read. Others may write it meanwhile.
#[derive(Clone, Debug)]
pub struct Predictions {
    dir: PathBuf,
}

/// The predictions of a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Between<T> {
    /// In no order.
    pub rows: Vec<Row<T>>,
    /// May there be older ones of that time that were not read?
    pub is_cut: bool,
    /// Lines that are no records, of that time and later.
    pub unreadable: usize,
}

/// What was kept of a prediction, and the last thing that was said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<T> {
    /// The request's id.
    pub request_id: String,
    /// Which picture of the request, from 0.
    pub index: u32,
    /// What was kept of it.
    pub kept: T,
    /// What the picture shows, if anybody said so.
    pub feedback: Option<Feedback>,
}

/// What the log holds of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct OfRequest {
    /// In the order of its pictures.
    pub predictions: Vec<Prediction>,
    /// Which of these pictures somebody judged.
    pub judged: BTreeSet<u32>,
}

/// What is read after a line.
enum Next {
    /// The line before it.
    On,
    /// The segment before this one.
    Segment,
    /// Nothing.
    Enough,
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

    /// Returns the last predictions, at most `most` (from 1 on), with their feedback.
    ///
    /// # Errors
    /// The folder or a file in it cannot be read.
    pub fn window(&self, most: usize) -> Result<Window, base::Error> {
        let mut joining = Joining::new(most);
        let is_cut = self.backwards(|segment, record| {
            match record {
                Some(Record::Prediction(prediction)) => joining.prediction(segment, *prediction),
                Some(Record::Feedback(feedback)) => joining.feedback(feedback),
                Some(Record::Shadow(_)) => {}
                None => joining.unreadable(),
            }
            if joining.is_full() {
                Next::Enough
            } else {
                Next::On
            }
        })?;
        if is_cut {
            joining.cut();
        }
        Ok(joining.finish())
    }

    /// Hands over what `keep` makes of each prediction in `time` and the segment it stands in, at most `most` (from 1
    /// on) of the newest, with their feedback, whenever that was given.
    ///
    /// # Errors
    /// The folder or a file in it cannot be read.
    pub fn between<T>(
        &self,
        time: &Range<Timestamp>,
        most: usize,
        mut keep: impl FnMut(&Segment, Prediction) -> Option<T>,
    ) -> Result<Between<T>, base::Error> {
        let over_ms = time.start.as_millisecond().saturating_sub(DISORDER_MS);
        let mut found: Vec<(Key, T)> = Vec::new();
        let mut feedback = BTreeMap::new();
        let mut unreadable = 0;
        let is_cut = self.backwards(|segment, record| {
            match record {
                Some(Record::Prediction(one)) if one.ts.as_millisecond() < over_ms => {
                    return Next::Segment;
                }
                Some(Record::Prediction(one)) if time.contains(&one.ts) => {
                    let key = (one.request_id.clone(), one.index);
                    found.extend(keep(segment, *one).map(|kept| (key, kept)));
                }
                Some(Record::Prediction(_) | Record::Shadow(_)) => {}
                Some(Record::Feedback(said)) => keep_latest(&mut feedback, said),
                None => unreadable += 1,
            }
            if most <= found.len() {
                Next::Enough
            } else {
                Next::On
            }
        })?;
        let rows = found.into_iter().map(|(key, kept)| Row {
            feedback: feedback.remove(&key),
            request_id: key.0,
            index: key.1,
            kept,
        });
        Ok(Between {
            rows: rows.collect(),
            is_cut,
            unreadable,
        })
    }

    /// Hands each line to `take`, `None` for what is no record: of the newest segment first, the last line
    /// first, until that is enough. Returns whether there is more.
    fn backwards(
        &self,
        mut take: impl FnMut(&Segment, Option<Record>) -> Next,
    ) -> Result<bool, base::Error> {
        let mut budget = READ_MAX;
        let mut is_cut = false;
        let segments = self.stamp()?;
        for (at, (segment, _)) in segments.iter().enumerate().rev() {
            if budget == 0 {
                return Ok(true);
            }
            let Some(tail) = self.tail(segment, budget)? else {
                continue;
            };
            budget -= tail.bytes.len() as u64;
            let mut lines = tail.lines().rev();
            loop {
                let Some(line) = lines.next() else {
                    is_cut |= tail.is_cut;
                    break;
                };
                match take(segment, serde_json::from_slice(line).ok()) {
                    Next::On => {}
                    Next::Segment => break,
                    Next::Enough => {
                        let is_last = at == 0 && !tail.is_cut && lines.next().is_none();
                        return Ok(is_cut || !is_last);
                    }
                }
            }
        }
        Ok(is_cut)
    }

    /// Returns the predictions of a request, in the order of its pictures.
    ///
    /// # Errors
    /// The folder or a file in it cannot be read.
    pub fn of_request(&self, id: &str) -> Result<Vec<Prediction>, base::Error> {
        Ok(self.request(id)?.predictions)
    }

    /// Returns the predictions of a request, and which of them somebody judged.
    ///
    /// # Errors
    /// As of [`Self::of_request`].
    pub fn request(&self, id: &str) -> Result<OfRequest, base::Error> {
        let mut found: Vec<Prediction> = Vec::new();
        let mut judged = BTreeSet::new();
        // Most lines are passed over without being read as JSON.
        let Ok(quoted) = serde_json::to_string(id) else {
            return Ok(OfRequest {
                predictions: found,
                judged,
            });
        };
        let mut budget = READ_MAX;
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
                // Newest first: feedback that is met after the prediction is on an earlier one of the same id.
                let is_open = |index: u32| found.iter().all(|other| other.index != index);
                match serde_json::from_str(line) {
                    Ok(Record::Prediction(one)) if one.request_id == id && is_open(one.index) => {
                        found.push(*one);
                    }
                    Ok(Record::Feedback(one)) if one.request_id == id && is_open(one.index) => {
                        judged.insert(one.index);
                    }
                    _ => {}
                }
            }
            if !found.is_empty() || budget == 0 {
                break;
            }
        }
        found.sort_by_key(|prediction| prediction.index);
        Ok(OfRequest {
            predictions: found,
            judged,
        })
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

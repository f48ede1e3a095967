//! Appends to the log and keeps it within its bounds. Imports: `base::{fs, clock}`, `predictions::*`.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::clock::Timestamp;
use crate::base::fs;

use super::folder::{Segment, segments};
use super::record::{KeptPicture, Record};

/// A segment that is larger is followed by a new one.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;
/// So many segments fit into the bound at least, so that removing one removes little.
const SEGMENTS_MIN: u64 = 8;
/// So many bytes are gathered before they are written.
const PORTION_BYTES: usize = 128 << 10;
/// Names that are tried when others are taken: processes of containers share their ids.
const NAMES_MAX: i64 = 16;

/// A record with the picture that belongs to it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The record; where its picture is kept is filled in.
    pub record: Record,
    /// The PNG file of a prediction; empty for none.
    pub picture: Vec<u8>,
}

/// Writes the log in one folder. Creates nothing before the first record.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    bytes_max: u64,
    open: Option<Open>,
    gathered: Gathered,
}

/// What is written next. Its memory is used again: texts that grow anew for each batch, to whatever size
/// that has, leave free memory of all sizes, and a server that logs much keeps tens of MiB of it.
#[derive(Debug, Default)]
struct Gathered {
    lines: Vec<u8>,
    pictures: Vec<u8>,
}

/// The segment that is written.
#[derive(Debug)]
struct Open {
    segment: Segment,
    lines: fs::Appender,
    lines_len: u64,
    pictures: Option<fs::Appender>,
    pictures_len: u64,
    /// Does the file end in the middle of a line?
    torn: bool,
}

impl Writer {
    /// Returns what appends to the log in `dir` and keeps it below `bytes_max` bytes.
    #[must_use]
    pub fn new(dir: PathBuf, bytes_max: u64) -> Self {
        Self {
            dir,
            bytes_max,
            open: None,
            gathered: Gathered::default(),
        }
    }

    /// Appends entries, in a segment that was begun `now` if it needs a new one. They are with the
    /// operating system then and survive the end of the process.
    ///
    /// # Errors
    /// The disk is full, or the folder cannot be written: some of the entries may be there. The next
    /// call tries anew.
    pub fn write(
        &mut self,
        entries: impl IntoIterator<Item = Entry>,
        now: Timestamp,
    ) -> io::Result<()> {
        let done = self.write_open(entries, now);
        if done.is_err() {
            // How much of it is there is looked up when it is opened again.
            self.open = None;
        }
        done
    }

    /// Returns how much memory is kept for what comes next.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.gathered.lines.capacity() + self.gathered.pictures.capacity()
    }

    fn write_open(
        &mut self,
        entries: impl IntoIterator<Item = Entry>,
        now: Timestamp,
    ) -> io::Result<()> {
        let segment_max = self.segment_max();
        let is_full = |open: &Open| segment_max <= open.lines_len + open.pictures_len;
        if self.open.as_ref().is_some_and(is_full) {
            self.open = None;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(now)?,
        };
        open.append(&self.dir, entries, &mut self.gathered)?;
        self.open = Some(open);
        Ok(())
    }

    fn segment_max(&self) -> u64 {
        (self.bytes_max / SEGMENTS_MIN).min(SEGMENT_BYTES_MAX)
    }

    /// Goes on with the newest segment, or begins a new one.
    fn begin(&self, now: Timestamp) -> io::Result<Open> {
        fs::create_dir_all(&self.dir)?;
        let found = segments(&self.dir)?;
        if let Some((newest, bytes)) = found.last()
            && *bytes < self.segment_max()
            && let Some(open) = Open::of(&self.dir, newest)?
        {
            return Ok(open);
        }
        self.make_room(found)?;
        for later in 0..NAMES_MAX {
            let at = Timestamp::from_millisecond(now.as_millisecond() + later).unwrap_or(now);
            let segment = Segment::begun(at, std::process::id());
            if let Some(open) = Open::of(&self.dir, &segment)? {
                return Ok(open);
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes the oldest segments that nobody writes until a new one fits.
    fn make_room(&self, found: Vec<(Segment, u64)>) -> io::Result<()> {
        let mut total: u64 = found.iter().map(|(_, bytes)| bytes).sum();
        for (segment, bytes) in found {
            if total + self.segment_max() <= self.bytes_max {
                break;
            }
            let lines = segment.lines(&self.dir);
            // Held while it is removed, so that nobody begins to write it meanwhile.
            let Some(_held) = hold(&lines)? else {
                continue;
            };
            // The lines first: pictures that nothing points to are found as well.
            for file in [lines, segment.pictures(&self.dir)] {
                match fs::remove_file(&file) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
            total -= bytes;
        }
        Ok(())
    }
}

impl Open {
    /// Opens a segment, if no other process writes it.
    fn of(dir: &Path, segment: &Segment) -> io::Result<Option<Self>> {
        let path = segment.lines(dir);
        let Some(lines) = hold(&path)? else {
            return Ok(None);
        };
        let pictures_len = std::fs::metadata(segment.pictures(dir)).map_or(0, |meta| meta.len());
        Ok(Some(Self {
            lines,
            lines_len: std::fs::metadata(&path)?.len(),
            pictures: None,
            pictures_len,
            torn: ends_torn(&path)?,
            segment: segment.clone(),
        }))
    }

    /// Appends entries, in portions.
    fn append(
        &mut self,
        dir: &Path,
        entries: impl IntoIterator<Item = Entry>,
        gathered: &mut Gathered,
    ) -> io::Result<()> {
        // What an earlier call failed to write is counted as lost.
        gathered.clear();
        if self.torn {
            gathered.lines.push(b'\n');
        }
        for mut entry in entries {
            if let Record::Prediction(prediction) = &mut entry.record {
                let before = &gathered.pictures;
                prediction.picture = KeptPicture::of(&entry.picture, self.pictures_len, before);
                gathered.pictures.extend_from_slice(&entry.picture);
            }
            serde_json::to_writer(&mut gathered.lines, &entry.record)?;
            gathered.lines.push(b'\n');
            if PORTION_BYTES <= gathered.lines.len() + gathered.pictures.len() {
                self.append_gathered(dir, gathered)?;
            }
        }
        self.append_gathered(dir, gathered)
    }

    /// Appends what was gathered; pictures first, so that no line points to one that is not there.
    fn append_gathered(&mut self, dir: &Path, gathered: &mut Gathered) -> io::Result<()> {
        if !gathered.pictures.is_empty() {
            let file = match &mut self.pictures {
                Some(file) => file,
                none => none.insert(fs::Appender::open(&self.segment.pictures(dir))?),
            };
            file.append(&gathered.pictures)?;
            self.pictures_len += gathered.pictures.len() as u64;
        }
        if !gathered.lines.is_empty() {
            self.lines.append(&gathered.lines)?;
            self.torn = false;
            self.lines_len += gathered.lines.len() as u64;
        }
        gathered.clear();
        Ok(())
    }
}

impl Gathered {
    fn clear(&mut self) {
        for bytes in [&mut self.lines, &mut self.pictures] {
            bytes.clear();
            // A single picture may be larger than a portion.
            bytes.shrink_to(2 * PORTION_BYTES);
        }
    }
}

/// Opens the lines of a segment, if no other process writes it and none has just removed it.
fn hold(path: &Path) -> io::Result<Option<fs::Appender>> {
    let lines = fs::Appender::open(path)?;
    match lines.try_lock() {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        // Without locks, names with process ids keep writers apart.
        Err(e) if e.kind() == io::ErrorKind::Unsupported => {}
        Err(e) => return Err(e),
    }
    Ok(lines.is_at(path).then_some(lines))
}

impl KeptPicture {
    /// Returns where a picture will be, after `before` and those bytes that go with it.
    fn of(picture: &[u8], before: u64, with: &[u8]) -> Option<Self> {
        let len = u32::try_from(picture.len()).ok().filter(|len| 0 < *len)?;
        let at = before + with.len() as u64;
        Some(Self { at, len })
    }
}

fn ends_torn(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::open(path)?;
    let len = file.metadata()?.len();
    let Some(last) = len.checked_sub(1) else {
        return Ok(false);
    };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

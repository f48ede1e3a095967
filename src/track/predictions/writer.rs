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
        }
    }

    /// Appends entries, in a segment that was begun `now` if it needs a new one. They are with the
    /// operating system then and survive the end of the process.
    ///
    /// # Errors
    /// The disk is full, or the folder cannot be written: some of the entries may be there. The next
    /// call tries anew.
    pub fn write(&mut self, entries: Vec<Entry>, now: Timestamp) -> io::Result<()> {
        let done = self.write_open(entries, now);
        if done.is_err() {
            // How much of it is there is looked up when it is opened again.
            self.open = None;
        }
        done
    }

    fn write_open(&mut self, entries: Vec<Entry>, now: Timestamp) -> io::Result<()> {
        let segment_max = self.segment_max();
        let is_full = |open: &Open| segment_max <= open.lines_len + open.pictures_len;
        if self.open.as_ref().is_some_and(is_full) {
            self.open = None;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(now)?,
        };
        open.append(&self.dir, entries)?;
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

    fn append(&mut self, dir: &Path, mut entries: Vec<Entry>) -> io::Result<()> {
        let mut pictures = Vec::new();
        let mut text = Vec::new();
        if self.torn {
            text.push(b'\n');
        }
        for entry in &mut entries {
            if let Record::Prediction(prediction) = &mut entry.record {
                prediction.picture = KeptPicture::of(&entry.picture, self.pictures_len, &pictures);
                pictures.append(&mut entry.picture);
            }
            serde_json::to_writer(&mut text, &entry.record)?;
            text.push(b'\n');
        }
        if !pictures.is_empty() {
            let file = match &mut self.pictures {
                Some(file) => file,
                none => none.insert(fs::Appender::open(&self.segment.pictures(dir))?),
            };
            file.append(&pictures)?;
            self.pictures_len += pictures.len() as u64;
        }
        self.lines.append(&text)?;
        self.torn = false;
        self.lines_len += text.len() as u64;
        Ok(())
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

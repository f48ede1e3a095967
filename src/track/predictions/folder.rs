//! The segments in the folder of the log: their names, sizes and files. Imports: base.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::base::clock::Timestamp;

/// What a name begins with: a time to the millisecond, in UTC.
const TIME_CHARS: usize = "20261128T004907123Z".len();
/// Longer process ids do not exist.
const PID_CHARS_MAX: usize = 10;

/// Name of a segment: when it was begun, and by which process. Names sort by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment(String);

impl Segment {
    /// Names the segment that the process `pid` begins now.
    pub(super) fn begun(at: Timestamp, pid: u32) -> Self {
        let time: String = at.to_string();
        let whole = time.split(['.', 'Z']).next().unwrap_or_default();
        let digits: String = whole.chars().filter(|c| !matches!(c, '-' | ':')).collect();
        let ms = at.as_millisecond().rem_euclid(1000);
        Self(format!("{digits}{ms:03}Z-{pid}"))
    }

    /// Returns its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn lines(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{}.jsonl", self.0))
    }

    pub(super) fn pictures(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{}.pictures", self.0))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Segment {
    type Err = ();

    /// Takes what `begun` makes and nothing else: a name from outside never leaves the folder.
    fn from_str(text: &str) -> Result<Self, ()> {
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (time, pid) = text.split_once('-').ok_or(())?;
        let (day, clock) = time.split_once('T').ok_or(())?;
        let clock = clock.strip_suffix('Z').ok_or(())?;
        let is_name = time.len() == TIME_CHARS
            && is_digits(day)
            && is_digits(clock)
            && is_digits(pid)
            && pid.len() <= PID_CHARS_MAX;
        is_name.then(|| Self(text.to_owned())).ok_or(())
    }
}

/// Returns the segments of a folder with their sizes in bytes, pictures included, oldest first; none
/// if there is no folder.
pub(super) fn segments(dir: &Path) -> io::Result<Vec<(Segment, u64)>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = std::collections::BTreeMap::<Segment, u64>::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some((stem, "jsonl" | "pictures")) = name.to_str().and_then(|n| n.rsplit_once('.'))
        else {
            continue;
        };
        let Ok(segment) = stem.parse::<Segment>() else {
            continue;
        };
        // Another process may have removed it since.
        let bytes = entry.metadata().map_or(0, |meta| meta.len());
        *found.entry(segment).or_default() += bytes;
    }
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_are_the_only_ones() {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let early = Segment::begun(at(1_795_826_947_003), 4711);
        assert_eq!(early.as_str(), "20261128T004907003Z-4711");
        assert!(early < Segment::begun(at(1_795_826_947_103), 1));
        assert_eq!(early.as_str().parse(), Ok(early));
        assert_eq!(
            Segment::begun(at(1_795_826_947_000), 9).as_str(),
            "20261128T004907000Z-9"
        );
        for name in [
            "",
            "../20261128T004907003Z-1",
            "20261128T004907003Z-",
            "20261128T004907003Z-1/2",
            "20261128T004907003Z-12345678901",
            "20261128T0049070033Z-1",
            "20261128T00490700é-1",
        ] {
            assert_eq!(name.parse::<Segment>(), Err(()), "{name}");
        }
    }
}

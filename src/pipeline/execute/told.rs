//! What a run told: its output, how long it took, and by which version of this program it was run.
//! Kept beside the record of the run and shown again when its result is restored.
//!
//! One file per run key below `.cvops/runs/told/`: a line of JSON, then the lines of output, each
//! with the name of its pipe before it; compressed when large. It is a companion: whatever goes wrong
//! with it, the result stands, so a file that cannot be read counts as absent.
//! Imports: base, inputs, execute.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::Stream;
use crate::base::{Error, fs};
use crate::pipeline::inputs::RunKey;

/// Of each pipe, the last so many bytes are kept.
const BYTES_MAX: usize = 1024 * 1024;
/// Larger texts are compressed.
const PLAIN_MAX: usize = 4 * 1024;
/// No more than this is read back: a bound for a file that is not ours.
const READ_MAX: u64 = 16 * 1024 * 1024;
/// The version of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a run told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The version of this program that ran it.
    pub by: String,
    /// How long it took.
    pub took: Duration,
    /// Lines before the first that is kept.
    pub dropped: u64,
    /// Its output.
    pub lines: Vec<(Stream, String)>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    by: String,
    seconds: f64,
    #[serde(default)]
    dropped: u64,
}

/// Listens to a stage's output.
#[derive(Debug, Default)]
pub(super) struct Listener(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    next: u64,
    /// Lines with their number, by pipe.
    pipes: [VecDeque<(u64, String)>; 2],
    bytes: [usize; 2],
    dropped: u64,
}

impl Listener {
    pub(super) fn hear(&self, stream: Stream, line: &str) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Heard {
            next,
            pipes,
            bytes,
            dropped,
        } = &mut *heard;
        let pipe = match stream {
            Stream::Out => 0,
            Stream::Err => 1,
        };
        let (lines, bytes) = (&mut pipes[pipe], &mut bytes[pipe]);
        lines.push_back((*next, line.to_owned()));
        *next += 1;
        *bytes += line.len() + 1;
        while BYTES_MAX < *bytes {
            let Some((_, line)) = lines.pop_front() else {
                break;
            };
            *bytes -= line.len() + 1;
            *dropped += 1;
        }
    }

    /// Returns what was heard of a run that took `took`.
    pub(super) fn into_told(self, took: Duration) -> Told {
        let heard = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let [out, err] = heard.pipes;
        let named = |lines: VecDeque<(u64, String)>, stream| {
            lines.into_iter().map(move |(n, line)| (n, stream, line))
        };
        let mut all: Vec<_> = named(out, Stream::Out)
            .chain(named(err, Stream::Err))
            .collect();
        all.sort_unstable();
        Told {
            by: VERSION.to_owned(),
            took,
            dropped: heard.dropped,
            lines: all.into_iter().map(|(_, s, line)| (s, line)).collect(),
        }
    }
}

/// The folder of what runs told.
#[derive(Clone, Debug)]
pub(super) struct Shelf(PathBuf);

impl Shelf {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    fn path(&self, key: &RunKey) -> PathBuf {
        let name = key.to_string();
        self.0.join(&name[..2]).join(&name[2..])
    }

    /// Returns what the run with exactly these inputs told.
    pub(super) fn find(&self, key: &RunKey) -> Option<Told> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(self.path(key)).ok()?;
        file.take(READ_MAX).read_to_end(&mut bytes).ok()?;
        of_bytes(&bytes)
    }

    /// Puts down what a run told.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn put(&self, key: &RunKey, told: &Told) -> Result<(), Error> {
        let path = self.path(key);
        let write = |path: &Path| -> std::io::Result<()> {
            let dir = path.parent().unwrap_or(&self.0);
            if !dir.is_dir() {
                fs::create_dir_all(dir)?;
            }
            fs::fault::point("told.write")?;
            let mut staged = fs::Staged::new_in(dir)?;
            staged.file().write_all(&to_bytes(told)?)?;
            staged.commit(path)
        };
        write(&path).map_err(Error::io("write", &path))
    }
}

fn to_bytes(told: &Told) -> std::io::Result<Vec<u8>> {
    let head = Head {
        by: told.by.clone(),
        seconds: told.took.as_secs_f64(),
        dropped: told.dropped,
    };
    let mut text = serde_json::to_string(&head)?;
    text.push('\n');
    for (stream, line) in &told.lines {
        let name = match stream {
            Stream::Out => "out",
            Stream::Err => "err",
        };
        // A string takes what it is given.
        let _ = writeln!(text, "{name} {line}");
    }
    if text.len() <= PLAIN_MAX {
        return Ok(text.into_bytes());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

fn of_bytes(bytes: &[u8]) -> Option<Told> {
    let text = if bytes.first() == Some(&b'{') {
        String::from_utf8(bytes.to_vec()).ok()?
    } else {
        let mut text = String::new();
        let plain = GzDecoder::new(bytes).take(READ_MAX);
        { plain }.read_to_string(&mut text).ok()?;
        text
    };
    let (head, rest) = text.split_once('\n')?;
    let head: Head = serde_json::from_str(head).ok()?;
    // Lines end with `\n` alone: a carriage return in the middle of one is part of it.
    let lines = rest.split_terminator('\n').map(|line| {
        let (name, line) = line.split_once(' ')?;
        let stream = match name {
            "out" => Stream::Out,
            "err" => Stream::Err,
            _ => return None,
        };
        Some((stream, line.to_owned()))
    });
    Some(Told {
        by: head.by,
        took: Duration::try_from_secs_f64(head.seconds).ok()?,
        dropped: head.dropped,
        lines: lines.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream() -> impl Strategy<Value = Stream> {
        prop_oneof![Just(Stream::Out), Just(Stream::Err)]
    }

    proptest! {
        #[test]
        fn what_is_put_down_is_found(
            lines in proptest::collection::vec((stream(), "[^\n]{0,80}"), 0..200),
            millis in 0..10_000_000u64,
        ) {
            let listener = Listener::default();
            for (stream, line) in &lines {
                listener.hear(*stream, line);
            }
            let told = listener.into_told(Duration::from_millis(millis));
            prop_assert_eq!(&told.lines, &lines);
            prop_assert_eq!(of_bytes(&to_bytes(&told).unwrap()), Some(told));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = of_bytes(&bytes);
        }
    }

    #[test]
    fn only_the_end_of_much_is_kept() {
        let listener = Listener::default();
        let long = "x".repeat(1023);
        for _ in 0..2000 {
            listener.hear(Stream::Out, &long);
        }
        listener.hear(Stream::Err, "the reason");
        let told = listener.into_told(Duration::ZERO);
        assert_eq!(told.lines.len(), 1025);
        assert_eq!(told.dropped, 976);
        assert_eq!(told.lines[1024], (Stream::Err, "the reason".to_owned()));
        assert!(to_bytes(&told).unwrap().len() < 100_000);
    }
}

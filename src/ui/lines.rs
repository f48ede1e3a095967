//! Reads files of one JSON object per line as they come, never a whole file in memory, and never more
//! than a page is worth. Imports: base.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Take};

use crate::base::units;

/// The largest file that is read for a page.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// The longest line: two thousand classes with long names and their probabilities.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Lines that are read one after the other.
pub(in crate::ui) struct Lines<R> {
    from: R,
    number: usize,
    line: Vec<u8>,
}

impl Lines<BufReader<Take<File>>> {
    /// Reads those of a file.
    ///
    /// # Errors
    /// The file is too large; `instead` says what to do then.
    pub(in crate::ui) fn of_file(file: File, instead: &str) -> Result<Self, String> {
        let bytes = file.metadata().map_err(|e| e.to_string())?.len();
        if FILE_BYTES_MAX < bytes {
            let (bytes, most) = (units::bytes(bytes), units::bytes(FILE_BYTES_MAX));
            return Err(format!(
                "it has {bytes}, and at most {most} are read for a page: {instead}"
            ));
        }
        Ok(Self::new(BufReader::new(file.take(FILE_BYTES_MAX))))
    }
}

impl<R: BufRead> Lines<R> {
    pub(in crate::ui) fn new(from: R) -> Self {
        Self {
            from,
            number: 0,
            line: Vec::new(),
        }
    }

    /// Returns the next line that is not empty with its number, from 1; `None` after the last one.
    ///
    /// # Errors
    /// It cannot be read, or is too long.
    pub(in crate::ui) fn advance(&mut self) -> Result<Option<(usize, &[u8])>, String> {
        loop {
            self.line.clear();
            self.number += 1;
            let wrong = |problem: String| format!("line {}: {problem}", self.number);
            let mut rest = self.from.by_ref().take(LINE_BYTES_MAX as u64 + 1);
            let read = rest.read_until(b'\n', &mut self.line);
            if read.map_err(|e| wrong(e.to_string()))? == 0 {
                return Ok(None);
            }
            if LINE_BYTES_MAX < self.line.len() {
                let most = units::bytes(LINE_BYTES_MAX as u64);
                return Err(wrong(format!("it has more than {most}")));
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some((self.number, self.line.trim_ascii_end())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_with_their_numbers() {
        let mut lines = Lines::new(&b"a\n \n\nb\r\nc"[..]);
        for expected in [(1, &b"a"[..]), (4, b"b"), (5, b"c")] {
            assert_eq!(lines.advance().unwrap(), Some(expected));
        }
        assert_eq!(lines.advance().unwrap(), None);
    }

    #[test]
    fn a_line_without_an_end_is_not_read_to_it() {
        let endless = BufReader::new(std::io::repeat(b'x'));
        let said = Lines::new(endless).advance().unwrap_err();
        assert_eq!(said, "line 1: it has more than 1.0 MiB");
        let mut long = vec![b'x'; LINE_BYTES_MAX];
        assert!(Lines::new(&long[..]).advance().unwrap().is_some());
        long.push(b'x');
        assert!(Lines::new(&long[..]).advance().is_err());
    }

    #[test]
    fn a_large_file_is_not_begun() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(FILE_BYTES_MAX + (1 << 20)).unwrap();
        let said = Lines::of_file(file, "write less").err().unwrap();
        assert_eq!(
            said,
            "it has 257.0 MiB, and at most 256.0 MiB are read for a page: write less"
        );
    }
}

//! Small pictures made of nothing: PNG files with stored (uncompressed) deflate blocks.
//!
//! Formats: PNG (W3C, second edition), zlib (RFC 1950), deflate (RFC 1951 §3.2.4).

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use super::{Project, project};

/// A network that learns stripes in a blink.
pub(crate) const PARAMS: &str = "\
preprocess: {size: 16, val: 0.2, test: 0.2}
model:
  blocks: [{filters: 4, pool: max}]
  head: {dense: [8]}
train: {epochs: 3, batch_size: 8}
evaluate: {bootstrap: 50}
";

/// Returns a project with 20 pictures of each of two classes in `data/raw`, and `PARAMS`.
pub(crate) fn stripes_project() -> Project {
    let p = project();
    p.write("params.yaml", PARAMS);
    p.pictures("data/raw", &["across", "along"], 20);
    p
}

/// Returns the same, prepared.
pub(crate) fn prepared_project() -> Project {
    let p = stripes_project();
    p.ok("preprocess");
    p
}

/// Returns the same, prepared and trained.
pub(crate) fn trained_project() -> Project {
    let p = prepared_project();
    p.ok("train");
    p
}

/// Returns a PNG file of 8-bit colour; `pixel(x, y)` says red, green and blue.
pub(crate) fn png(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let mut rows = Vec::new();
    for y in 0..height {
        rows.push(0); // filter type: none
        for x in 0..width {
            rows.extend(pixel(x, y));
        }
    }
    let mut file = start(width, height);
    chunk(&mut file, *b"IDAT", &zlib(&rows));
    chunk(&mut file, *b"IEND", &[]);
    file
}

/// Returns the start of a PNG file that claims a size and holds no pixel.
pub(crate) fn claims(width: u32, height: u32) -> Vec<u8> {
    let mut file = start(width, height);
    chunk(&mut file, *b"IDAT", &zlib(&[0; 64]));
    chunk(&mut file, *b"IEND", &[]);
    file
}

/// Returns picture `number` of class `class`: stripes whose direction is the class, whose colour and
/// phase are the number. No two are equal.
pub(crate) fn stripes(class: usize, number: usize) -> Vec<u8> {
    png(16, 16, move |x, y| stripe(class, number, x, y))
}

/// Returns one pixel of it.
pub(crate) fn stripe(class: usize, number: usize, x: u32, y: u32) -> [u8; 3] {
    let (class, number) = (class as u32, number as u32);
    let along = match class % 3 {
        0 => x,
        1 => y,
        _ => x + y,
    };
    let light = (along + number) % 4 < 2;
    let base = if light { 200 } else { 40 };
    let tint = (number * 7 % 50) as u8;
    // The number itself, in the corner: equal stripes are still different pictures.
    let mark = if (x, y) == (0, 0) { number as u8 } else { 0 };
    [base + tint, base, mark.wrapping_add(base)]
}

impl Project {
    /// Writes `each` pictures into each of the class folders `DIR/CLASS`.
    pub(crate) fn pictures(&self, dir: &str, classes: &[&str], each: usize) -> &Self {
        for (label, class) in classes.iter().enumerate() {
            for number in 0..each {
                let file = format!("{dir}/{class}/{number:02}.png");
                self.write(&file, stripes(label, number));
            }
        }
        self
    }

    /// Returns the names in a folder, sorted; hidden ones as well.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(dir)).unwrap_or_else(|e| panic!("{dir}: {e}"));
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Starts cvops and returns it as soon as it has printed a line that holds `text`.
    pub(crate) fn start_until(&self, args: &str, text: &str) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        if !lines.any(|line| line.contains(text)) {
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            panic!("`cvops {args}` ended without `{text}`\n{stderr}");
        }
        child
    }
}

/// Returns an IDX file of unsigned bytes.
pub(crate) fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    for size in sizes {
        file.extend(size.to_be_bytes());
    }
    file.extend(values);
    file
}

/// Returns the head of a PNG file of 8-bit colour.
pub(crate) fn start(width: u32, height: u32) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    // 8 bits, colour type 2 (red, green, blue), the only methods there are, not interlaced.
    header.extend([8, 2, 0, 0, 0]);
    chunk(&mut file, *b"IHDR", &header);
    file
}

/// Adds a chunk to a PNG file.
pub(crate) fn chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let from = file.len();
    file.extend(kind);
    file.extend(data);
    let sum = crc32(&file[from..]);
    file.extend(sum.to_be_bytes());
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let blocks = data.chunks(0xffff);
    let last = blocks.len() - 1;
    for (i, block) in blocks.enumerate() {
        let length = block.len() as u16;
        out.push(u8::from(i == last));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for byte in data {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    out.extend((b << 16 | a).to_be_bytes());
    out
}

/// CRC-32 as in PNG, annex D, bit by bit: the files are small.
fn crc32(data: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in data {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(sum & 1));
        }
    }
    !sum
}

#[test]
fn sums_are_those_of_the_standards() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(zlib(b"Wikipedia")[2 + 5 + 9..], [0x11, 0xe6, 0x03, 0x98]);
}

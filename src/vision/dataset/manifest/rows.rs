//! The rows of a manifest and what is wrong with them. Pure. Imports: `base::units`,
//! `dataset::{found, manifest, split}`.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde_json::{Map, Value};

use crate::base::units;
use crate::vision::dataset::found::PICTURES_MAX;
use crate::vision::dataset::split::Split;

use super::{Format, Mistake};

/// Characters of a path or a word that a message shows.
const SHOWN: usize = 80;

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// From 1.
    pub(super) line: u64,
    /// Below the manifest's folder, without `.` and `..`.
    pub(super) path: String,
    /// Not empty.
    pub(super) label: String,
    /// All rows have one, or none.
    pub(super) split: Option<Split>,
}

/// What a line says, unchecked.
struct Line {
    number: u64,
    path: String,
    label: String,
    split: Option<String>,
}

/// Takes the bytes of a manifest. Rows with mistakes are left out. Each text is read to its end.
pub(super) fn read(bytes: &[u8], format: Format) -> (Vec<Row>, Vec<Mistake>) {
    let mut mistakes = Vec::new();
    let text = match std::str::from_utf8(bytes) {
        // Spreadsheets put a byte order mark at the front.
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = Some(1 + newlines(before));
            let text = "it is not UTF-8".to_owned();
            return (Vec::new(), vec![Mistake { line, text }]);
        }
    };
    // Whichever of the two ends lines.
    let lines = ends(bytes, b'\n').max(ends(bytes, b'\r'));
    if (PICTURES_MAX as u64) < lines {
        let text = format!("it has more than {PICTURES_MAX} lines");
        return (Vec::new(), vec![Mistake { line: None, text }]);
    }
    let lines = match format {
        Format::Csv => table(text, &mut mistakes),
        Format::JsonLines => objects(text, &mut mistakes),
    };
    let rows = checked(lines, &mut mistakes);
    (rows, mistakes)
}

/// Reads lines of JSON.
fn objects(text: &str, mistakes: &mut Vec<Mistake>) -> Vec<Line> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        match object(number, line) {
            Ok(line) => lines.push(line),
            Err(text) => mistakes.push(at(number, text)),
        }
    }
    lines
}

fn object(number: u64, line: &str) -> Result<Line, String> {
    let fields: Map<String, Value> = serde_json::from_str(line).map_err(|error| {
        // The parser counts lines as well, and sees but one.
        let words = error.to_string();
        let words = words.split(" at line ").next().unwrap_or_default();
        format!("it is no JSON object: {words}")
    })?;
    let field = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let text = |name: &str| match field(name) {
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("`{name}` must be a text")),
        None => Ok(None),
    };
    let absent = |name: &str| format!("there is no `{name}`");
    let label = match field("label") {
        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
        Some(Value::String(label)) => label.clone(),
        Some(_) => return Err("`label` must be a text or a whole number".to_owned()),
        None => return Err(absent("label")),
    };
    Ok(Line {
        number,
        path: text("path")?.ok_or_else(|| absent("path"))?,
        label,
        split: text("split")?,
    })
}

/// Reads a table.
fn table(text: &str, mistakes: &mut Vec<Mistake>) -> Vec<Line> {
    // Ragged lines are told here, by their number.
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut places = Places {
        text: text.as_bytes(),
        at: 0,
        line: 1,
    };
    let mut columns: Option<Columns> = None;
    let mut record = csv::StringRecord::new();
    let mut lines = Vec::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let text = format!("it is no table: {error}");
                mistakes.push(Mistake { line: None, text });
                break;
            }
        }
        let number = places.line_of(record.position().map_or(0, csv::Position::byte));
        let Some(columns) = &columns else {
            match Columns::of(&record) {
                Ok(found) => columns = Some(found),
                Err(text) => {
                    mistakes.push(at(number, text));
                    return Vec::new();
                }
            }
            continue;
        };
        if record.len() != columns.count {
            let found = units::count(record.len(), "field");
            let text = format!("it has {found}, the first line {}", columns.count);
            mistakes.push(at(number, text));
            continue;
        }
        let field = |index: usize| record.get(index).unwrap_or_default().to_owned();
        lines.push(Line {
            number,
            path: field(columns.path),
            label: field(columns.label),
            split: columns.split.map(field),
        });
    }
    if columns.is_none() && mistakes.is_empty() {
        let text = "it is empty".to_owned();
        mistakes.push(Mistake { line: None, text });
    }
    lines
}

/// Which fields of a table are read.
struct Columns {
    count: usize,
    path: usize,
    label: usize,
    split: Option<usize>,
}

impl Columns {
    fn of(names: &csv::StringRecord) -> Result<Self, String> {
        let find = |wanted: &str| {
            let mut found = names
                .iter()
                .enumerate()
                .filter(|(_, name)| name.eq_ignore_ascii_case(wanted))
                .map(|(index, _)| index);
            match (found.next(), found.next()) {
                (Some(_), Some(_)) => Err(format!("two columns are called `{wanted}`")),
                (found, _) => Ok(found),
            }
        };
        let require = |wanted: &str| {
            find(wanted)?.ok_or_else(|| {
                let names: Vec<&str> = names.iter().collect();
                let names = short(&names.join("`, `"));
                format!("there is no column `{wanted}`: they are `{names}`")
            })
        };
        Ok(Self {
            count: names.len(),
            path: require("path")?,
            label: require("label")?,
            split: find("split")?,
        })
    }
}

/// Counts lines from one record to the next. The reader's own count is where it began to look: before
/// empty lines, and between the two characters of a line's end.
struct Places<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
}

impl Places<'_> {
    /// Returns the line of the record that was looked for from `byte` on; bytes do not descend.
    fn line_of(&mut self, byte: u64) -> u64 {
        let mut start = usize::try_from(byte).unwrap_or(usize::MAX);
        while matches!(self.text.get(start), Some(b'\n' | b'\r')) {
            start += 1;
        }
        self.line += self.text.get(self.at..start).map_or(0, newlines);
        self.at = start.max(self.at);
        self.line
    }
}

/// Checks each line, and all of them against each other.
fn checked(lines: Vec<Line>, mistakes: &mut Vec<Mistake>) -> Vec<Row> {
    let is_split = lines.iter().any(|line| line.split.is_some());
    let mut rows: Vec<Row> = Vec::with_capacity(lines.len());
    let mut seen: BTreeMap<String, (u64, String)> = BTreeMap::new();
    for line in lines {
        let row = match row(&line, is_split) {
            Ok(row) => row,
            Err(text) => {
                mistakes.push(at(line.number, text));
                continue;
            }
        };
        if let Some((first, label)) = seen.get(&row.path) {
            let path = short(&row.path);
            let differs = if *label == row.label {
                String::new()
            } else {
                format!(", as `{}`", short(label))
            };
            let text = format!("`{path}` is in line {first} already{differs}");
            mistakes.push(at(row.line, text));
            continue;
        }
        seen.insert(row.path.clone(), (row.line, row.label.clone()));
        rows.push(row);
    }
    rows
}

fn row(line: &Line, is_split: bool) -> Result<Row, String> {
    let path = below(&line.path)?;
    let label = line.label.trim();
    if label.is_empty() {
        return Err("the label is empty".to_owned());
    }
    if label.contains(char::is_control) {
        return Err("the label holds a line break or another control character".to_owned());
    }
    let split = match line.split.as_deref().map(str::trim) {
        Some("") => return Err("the split is empty".to_owned()),
        Some(name) => {
            let found = Split::from_given_name(&name.to_ascii_lowercase());
            Some(found.ok_or_else(|| {
                let name = short(name);
                format!("there is no split `{name}`: it must be `train`, `val` or `test`")
            })?)
        }
        None if is_split => return Err("it has no split, and other lines have one".to_owned()),
        None => None,
    };
    Ok(Row {
        line: line.number,
        path,
        label: label.to_owned(),
        split,
    })
}

/// Returns the path as the folder's own walk would spell it.
fn below(path: &str) -> Result<String, String> {
    if path.contains(char::is_control) {
        return Err("the path holds a line break or another control character".to_owned());
    }
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::CurDir => {}
            Component::ParentDir => {
                let path = short(path);
                return Err(format!("`{path}` leaves the folder of the manifest"));
            }
            Component::RootDir | Component::Prefix(_) => {
                let path = short(path);
                return Err(format!(
                    "`{path}` is absolute: paths are relative to the folder of the manifest"
                ));
            }
        }
    }
    if parts.is_empty() {
        return Err("the path is empty".to_owned());
    }
    Ok(parts.join("/"))
}

fn at(line: u64, text: String) -> Mistake {
    Mistake {
        line: Some(line),
        text,
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    ends(bytes, b'\n')
}

/// Returns how often `end` is there.
fn ends(bytes: &[u8], end: u8) -> u64 {
    bytes.split(|byte| *byte == end).skip(1).count() as u64
}

/// A text as a message shows it.
fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_over_quotes_and_empty_lines() {
        let text = "\r\npath,label\r\n\r\n\"1.png\",\"a\"\r\n2.png,\"x\ny\"\r\n3.png,b\r\n";
        let (rows, mistakes) = read(text.as_bytes(), Format::Csv);
        let lines: Vec<u64> = rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [4, 7]);
        assert_eq!(mistakes[0].line, Some(5));
        let broken = b"path,label\n1.png,a\n2.png,\xff\n";
        let (_, mistakes) = read(broken, Format::Csv);
        assert_eq!(mistakes, [at(3, "it is not UTF-8".to_owned())]);
        for (end, format) in [("\n", Format::JsonLines), ("\r", Format::Csv)] {
            let (rows, mistakes) = read(end.repeat(PICTURES_MAX + 1).as_bytes(), format);
            assert!(rows.is_empty() && mistakes.len() == 1, "{mistakes:?}");
            assert_eq!(mistakes[0].text, "it has more than 4000000 lines");
        }
    }

    proptest::proptest! {
        /// Whatever stands in a file, it is read to its end, and what comes out of it is sound.
        #[test]
        fn no_bytes_are_fatal(
            head in 0_usize..3,
            rest in proptest::collection::vec(proptest::num::u8::ANY, 0..120),
            json: bool,
        ) {
            let format = if json { Format::JsonLines } else { Format::Csv };
            let heads: [&[u8]; 3] = [b"", b"path,label,split\n", b"{\"path\": \"a\", \"label\":"];
            let (rows, _) = read(&[heads[head], &rest].concat(), format);
            for row in rows {
                proptest::prop_assert!(!row.label.is_empty() && !row.path.starts_with('/'));
                proptest::prop_assert!(!row.path.split('/').any(|part| part == ".."));
            }
        }

        /// Texts of few kinds of characters, which come nearer to a manifest than bytes do.
        #[test]
        fn no_text_is_fatal(text in "[ab,.\"/\r\n\u{e9}]{0,60}") {
            let text = format!("path,label\n{text}");
            let (rows, mistakes) = read(text.as_bytes(), Format::Csv);
            let lines = text.lines().count() as u64;
            let told = mistakes.iter().filter_map(|mistake| mistake.line);
            for line in rows.iter().map(|row| row.line).chain(told) {
                proptest::prop_assert!(1 < line && line <= lines, "{} of {}", line, lines);
            }
        }

        /// What another program wrote as a table, whatever the names, is read as it was.
        #[test]
        fn tables_of_others_are_read(names in proptest::collection::btree_set("[a-z,\"# \u{e9}]{0,6}x", 1..8)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["path", "label"]).unwrap();
            for name in &names {
                writer.write_record([&format!("d/{name}"), &format!("y{name}")]).unwrap();
            }
            let (rows, mistakes) = read(&writer.into_inner().unwrap(), Format::Csv);
            proptest::prop_assert!(mistakes.is_empty(), "{:?}", mistakes);
            let paths: Vec<String> = rows.iter().map(|row| row.path.clone()).collect();
            let expected: Vec<String> = names.iter().map(|name| format!("d/{name}")).collect();
            proptest::prop_assert_eq!(paths, expected);
        }
    }
}

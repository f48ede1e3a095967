//! What a page shows of a file. Of a long one it shows the beginning, and says so.
//! Imports: base, track, `ui::*`.

use std::fmt::Write as _;

use askama::Template;
use askama::filters::HtmlSafe;
use serde_json::Value;

use super::console::plain;
use super::raw::{SHOWN_BYTES_MAX, beginning, download_href, ending, file_href, picture_of};
use super::seen::Seen;
use crate::base::units;
use crate::mlflow::Refused;
use crate::track::artifacts::FileRecord;
use crate::ui::asked::Asked;
use crate::ui::parts::markdown::{self, Prose};
use crate::ui::parts::table::{Cell, Column, DataTable};

/// So much of a file is read for a preview.
const READ_BYTES_MAX: u64 = 1 << 20;
const LINES_MAX: usize = 5000;
const LINE_CHARS_MAX: usize = 2000;
const ROWS_MAX: usize = 500;
const COLUMNS_MAX: usize = 60;
const CELL_CHARS_MAX: usize = 300;
const HEX_BYTES: usize = 512;

/// A line of a text, with a class that says what it is.
pub(super) struct Line {
    class: &'static str,
    text: String,
}

/// What is shown.
enum What {
    Picture,
    /// A page, in a frame without rights.
    Page,
    Prose(Prose),
    Lines(Vec<Line>),
    Table(DataTable),
    Hex(String),
    /// Nothing; why.
    Nothing(&'static str),
}

/// A file as a page shows it. Shown as HTML.
#[derive(Template)]
#[template(path = "pages/run/preview.html")]
pub(super) struct Preview {
    path: String,
    size: String,
    src: String,
    download: String,
    what: What,
    /// What is left out.
    cut: String,
}

/// Its template escapes.
impl HtmlSafe for Preview {}

impl Preview {
    /// Reads as much of a file as is shown.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn of(
        asked: &Asked,
        seen: &Seen,
        path: &str,
        file: &FileRecord,
    ) -> Result<Self, Refused> {
        let run = seen.id().to_string();
        let bytes = beginning(asked, file, READ_BYTES_MAX)?;
        let is_whole = file.size <= READ_BYTES_MAX;
        let (what, cut) = match bytes {
            None => (
                What::Nothing("The cache has lost this file: `cvops pull` may bring it back."),
                String::new(),
            ),
            Some(bytes) => shown(asked, path, &bytes, file.size, is_whole),
        };
        Ok(Self {
            path: path.to_owned(),
            size: units::bytes(file.size),
            src: file_href(&run, path),
            download: download_href(&run, path),
            what,
            cut,
        })
    }
}

fn shown(asked: &Asked, path: &str, bytes: &[u8], size: u64, is_whole: bool) -> (What, String) {
    let ending = ending(path);
    let is_small = size <= SHOWN_BYTES_MAX;
    let too_large = || What::Nothing("This file is too large to be shown; it can be downloaded.");
    if picture_of(bytes).is_some() {
        let what = if is_small { What::Picture } else { too_large() };
        return (what, String::new());
    }
    let Some(text) = text_of(bytes, is_whole) else {
        return (What::Hex(hex(bytes)), String::new());
    };
    match ending.as_str() {
        "svg" | "html" | "htm" if !is_small => return (too_large(), String::new()),
        "svg" => return (What::Picture, String::new()),
        "html" | "htm" => return (What::Page, String::new()),
        "md" | "markdown" => return (What::Prose(markdown::render(text)), cut_text(is_whole)),
        "csv" | "tsv" => {
            let divider = if ending == "csv" { b',' } else { b'\t' };
            if let Some((table, more)) = separated(asked, text, divider) {
                return (What::Table(table), cut_rows(more || !is_whole));
            }
        }
        "jsonl" | "ndjson" => {
            if let Some((table, more)) = json_lines(asked, text) {
                return (What::Table(table), cut_rows(more || !is_whole));
            }
        }
        "json" if is_whole => {
            if let Some(found) = json(asked, text) {
                return found;
            }
        }
        _ => {}
    }
    let (lines, more) = lines(text, &ending);
    (What::Lines(lines), cut_text(is_whole && !more))
}

fn cut_text(is_whole: bool) -> String {
    if is_whole {
        String::new()
    } else {
        "Only the beginning is shown: the file goes on.".to_owned()
    }
}

fn cut_rows(more: bool) -> String {
    if more {
        format!("Only the first rows are shown, at most {ROWS_MAX}: the file goes on.")
    } else {
        String::new()
    }
}

/// Returns bytes as a text, if they are one; a character that is cut at the end is left out.
fn text_of(bytes: &[u8], is_whole: bool) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if !is_whole && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    (!text.contains('\0')).then_some(text)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, chunk) in bytes[..bytes.len().min(HEX_BYTES)].chunks(16).enumerate() {
        let digits: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let letter = |&byte: &u8| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '.',
        };
        let letters: String = chunk.iter().map(letter).collect();
        // Writing into a text cannot fail.
        let _ = writeln!(
            text,
            "{:08x}  {:<47}  {letters}",
            row * 16,
            digits.join(" ")
        );
    }
    text
}

fn cut_line(line: &str) -> String {
    let mut text: String = line.chars().take(LINE_CHARS_MAX).collect();
    if text.len() < line.len() {
        text.push('…');
    }
    text
}

fn lines(text: &str, ending: &str) -> (Vec<Line>, bool) {
    let is_diff = matches!(ending, "diff" | "patch");
    let mut all = text.lines();
    let lines = all.by_ref().take(LINES_MAX).map(|line| Line {
        class: match line.as_bytes() {
            [b'+', ..] if is_diff => "added",
            [b'-', ..] if is_diff => "removed",
            [b'@', ..] if is_diff => "place",
            _ => "",
        },
        text: cut_line(&if ending == "log" {
            plain(line)
        } else {
            line.to_owned()
        }),
    });
    let lines = lines.collect();
    (lines, all.next().is_some())
}

fn cell(text: &str) -> Cell {
    let mut shown: String = text.chars().take(CELL_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    Cell::Text(shown)
}

fn json_cell(value: Option<&Value>) -> Cell {
    match value {
        None | Some(Value::Null) => Cell::Empty,
        Some(Value::String(text)) => cell(text),
        Some(Value::Number(number)) => match number.as_f64() {
            Some(value) => Cell::Shown {
                value,
                text: number.to_string(),
            },
            None => cell(&number.to_string()),
        },
        Some(other) => cell(&other.to_string()),
    }
}

fn table(asked: &Asked, columns: Vec<Column>, rows: Vec<Vec<Cell>>) -> DataTable {
    let mut table = DataTable::new(asked, "preview", "Rows");
    table.columns = columns;
    table.rows = rows;
    "The table has no rows.".clone_into(&mut table.empty);
    // The file itself is there to be downloaded.
    table.csv_href = String::new();
    table.json_href = String::new();
    table
}

/// Reads a table whose values are divided by a character; `None` if it is none.
fn separated(asked: &Asked, text: &str, divider: u8) -> Option<(DataTable, bool)> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(divider)
        .flexible(true)
        .from_reader(text.as_bytes());
    let heading = reader.headers().ok()?.clone();
    let columns: Vec<Column> = heading
        .iter()
        .take(COLUMNS_MAX)
        .map(|title| Column::text(title, title))
        .collect();
    if columns.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    let mut records = reader.records();
    for record in records.by_ref().take(ROWS_MAX) {
        let record = record.ok()?;
        let mut row: Vec<Cell> = record.iter().take(columns.len()).map(cell).collect();
        row.resize(columns.len(), Cell::Empty);
        rows.push(row);
    }
    let more = records.next().is_some() || COLUMNS_MAX < heading.len();
    Some((table(asked, columns, rows), more))
}

/// Reads rows that are objects, one a line; `None` if they are none.
fn json_lines(asked: &Asked, text: &str) -> Option<(DataTable, bool)> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let mut objects = Vec::new();
    for line in lines.by_ref().take(ROWS_MAX) {
        match serde_json::from_str(line) {
            Ok(Value::Object(object)) => objects.push(object),
            // A file that is cut ends within a line.
            _ if objects.is_empty() => return None,
            _ => break,
        }
    }
    let mut names: Vec<String> = Vec::new();
    for object in &objects {
        for name in object.keys() {
            if names.len() < COLUMNS_MAX && !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    let rows = objects.iter();
    let rows = rows.map(|object| {
        names
            .iter()
            .map(|name| json_cell(object.get(name)))
            .collect()
    });
    let rows = rows.collect();
    let columns = names.iter().map(|name| Column::text(name, name)).collect();
    Some((table(asked, columns, rows), lines.next().is_some()))
}

/// Shows JSON: a table in the form of MLflow's `log_table` as such, anything else indented.
fn json(asked: &Asked, text: &str) -> Option<(What, String)> {
    let value: Value = serde_json::from_str(text).ok()?;
    if let (Some(names), Some(data)) = (value["columns"].as_array(), value["data"].as_array())
        && data.iter().all(Value::is_array)
    {
        let name = |value: &Value| match value {
            Value::String(text) => Column::text(text, text),
            other => Column::text(&other.to_string(), &other.to_string()),
        };
        let columns: Vec<Column> = names.iter().take(COLUMNS_MAX).map(name).collect();
        let rows = data.iter().take(ROWS_MAX);
        let rows = rows.map(|row| (0..columns.len()).map(|i| json_cell(row.get(i))).collect());
        let rows = rows.collect();
        let more = ROWS_MAX < data.len() || COLUMNS_MAX < names.len();
        return Some((What::Table(table(asked, columns, rows)), cut_rows(more)));
    }
    let pretty = serde_json::to_string_pretty(&value).ok()?;
    let (lines, more) = lines(&pretty, "json");
    Some((What::Lines(lines), cut_text(!more)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_be_cut_within_a_character() {
        let bytes = "aé".as_bytes();
        assert_eq!(text_of(&bytes[..2], false), Some("a"));
        assert_eq!(text_of(&bytes[..2], true), None);
        assert_eq!(text_of(b"a\0", true), None);
    }

    #[test]
    fn bytes_are_shown_with_their_letters() {
        let shown = hex(b"\x00PK <script>\xff");
        assert!(
            shown.starts_with("00000000  00 50 4b 20 3c") && shown.ends_with(".PK <script>.\n"),
            "{shown}"
        );
    }
}

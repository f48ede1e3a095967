//! Plot data as rows: JSON, JSON lines, CSV and TSV. Imports: base, error, values.

use indexmap::IndexMap;

use crate::base::doc::{Document, Format, Value};

use super::error::Error;
use super::parse::special_numbers;

/// One row: values by column, in file order.
pub type DataRow = IndexMap<String, Value>;

/// Columns that count the rows of a table, in the order in which they are looked for.
pub const STEP_COLUMNS: [&str; 5] = ["step", "epoch", "iteration", "iter", "batch"];

/// A table with more rows is thinned out over its whole length.
pub const ROWS_MAX: usize = 100_000;

/// The rows of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Its rows, or every so many of them.
    pub rows: Vec<DataRow>,
    /// Of how many rows one was taken; 1: all are there.
    pub stride: usize,
}

impl Table {
    /// Keeps what a drawing can hold of `rows`, which are `count`; the last one always: it is how a
    /// training ended.
    fn thinned<T>(
        rows: impl Iterator<Item = T>,
        count: usize,
        mut read: impl FnMut(T) -> Result<DataRow, Error>,
    ) -> Result<Self, Error> {
        let stride = count.div_ceil(ROWS_MAX).max(1);
        let is_kept = |at: usize| at.is_multiple_of(stride) || at + 1 == count;
        let kept = rows.enumerate().filter(|(at, _)| is_kept(*at));
        Ok(Self {
            rows: kept.map(|(_, row)| read(row)).collect::<Result<_, _>>()?,
            stride,
        })
    }
}

/// Returns the rows of a table, whose kind `extension` tells; `None` if that is no kind of table.
///
/// # Errors
/// The text is no such table; the line is named.
pub fn read(name: &str, extension: &str, bytes: &[u8]) -> Option<Result<Table, Error>> {
    let read = match extension {
        "jsonl" | "ndjson" => json_lines,
        "json" | "yaml" | "yml" => document,
        "csv" => |_: &str, text: &str| separated(text, ','),
        "tsv" => |_: &str, text: &str| separated(text, '\t'),
        _ => return None,
    };
    Some(text(name, bytes).and_then(|text| read(name, text)))
}

/// Hands all rows of a table to `row`, one after the other, however many they are; `None` if
/// `extension` tells of no kind of table that is read so: JSON lines, CSV and TSV are.
///
/// # Errors
/// The text is no such table; the line is named.
pub fn each(
    name: &str,
    extension: &str,
    bytes: &[u8],
    row: &mut dyn FnMut(DataRow),
) -> Option<Result<(), Error>> {
    let separator = match extension {
        "jsonl" | "ndjson" => None,
        "csv" => Some(','),
        "tsv" => Some('\t'),
        _ => return None,
    };
    let mut read = || {
        let text = text(name, bytes)?;
        match separator {
            None => lines(text).try_for_each(|(at, line)| {
                row(json_line(name, at + 1, line)?);
                Ok(())
            }),
            Some(separator) => {
                let (heading, records) = split(text, separator);
                records.for_each(|record| row(labelled(&heading, record)));
                Ok(())
            }
        }
    };
    Some(read())
}

fn text<'b>(name: &str, bytes: &'b [u8]) -> Result<&'b str, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::NotText {
        file: name.to_owned(),
    })?;
    // A byte order mark is no part of the first heading.
    Ok(text.trim_start_matches('\u{feff}'))
}

fn no_table(name: &str, why: String) -> Error {
    Error::NoTable {
        file: name.to_owned(),
        why,
    }
}

fn json_lines(name: &str, text: &str) -> Result<Table, Error> {
    Table::thinned(lines(text), lines(text).count(), |(at, line)| {
        json_line(name, at + 1, line)
    })
}

/// Returns the lines that are not empty, with their places.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let all = text.lines().enumerate();
    all.filter(|(_, line)| !line.trim().is_empty())
}

fn json_line(name: &str, number: usize, line: &str) -> Result<DataRow, Error> {
    let value = match serde_json::from_str::<Value>(line) {
        // Python writes NaN, which is no JSON; in YAML it is a text.
        Err(_) if line.contains("NaN") || line.contains("Infinity") => {
            let mut root = Document::parse(name, line.to_owned(), Format::Yaml)?.root;
            special_numbers(&mut root);
            Ok(root)
        }
        read => read,
    };
    match value {
        Ok(Value::Map(map)) => Ok(map),
        Ok(other) => {
            let kind = other.kind();
            Err(no_table(
                name,
                format!("line {number} is {kind}, no mapping"),
            ))
        }
        Err(e) => {
            let mut why = e.to_string();
            why.truncate(why.rfind(" at line ").unwrap_or(why.len()));
            Err(no_table(name, format!("line {number} is no JSON ({why})")))
        }
    }
}

/// A list of mappings, or a mapping that holds one (DVC takes the first as well).
fn document(name: &str, text: &str) -> Result<Table, Error> {
    let mut root = Document::parse(name, text.to_owned(), Format::Yaml)
        .or_else(|_| Document::parse(name, text.to_owned(), Format::Json))?
        .root;
    special_numbers(&mut root);
    fn maps(value: &Value) -> Option<&[Value]> {
        let items = value.as_list()?;
        items
            .iter()
            .all(|item| item.as_map().is_some())
            .then_some(items)
    }
    let inside = || root.as_map()?.values().find_map(maps);
    let missing = || no_table(name, "it holds no list of mappings".to_owned());
    let items = maps(&root).or_else(inside).ok_or_else(missing)?;
    Table::thinned(items.iter(), items.len(), |item| {
        item.as_map().cloned().ok_or_else(missing)
    })
}

/// Reads a table with a heading (RFC 4180: cells in quotes may hold separators, line breaks and
/// doubled quotes). Cells are numbers where they look like one.
fn separated(text: &str, separator: char) -> Result<Table, Error> {
    let (heading, records) = split(text, separator);
    let count = records.len();
    Table::thinned(records, count, |record| Ok(labelled(&heading, record)))
}

/// Returns the heading of a table, and its other records.
fn split(text: &str, separator: char) -> (Vec<String>, impl ExactSizeIterator<Item = Vec<String>>) {
    let mut records = records(text, separator).into_iter();
    (records.next().unwrap_or_default(), records)
}

fn labelled(heading: &[String], record: Vec<String>) -> DataRow {
    let cells = record.into_iter().map(|cell| value_of(&cell));
    heading.iter().cloned().zip(cells).collect()
}

fn records(text: &str, separator: char) -> Vec<Vec<String>> {
    let (mut records, mut record, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    let mut is_quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if is_quoted => is_quoted = false,
            '"' if cell.is_empty() => is_quoted = true,
            c if is_quoted => cell.push(c),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => {
                record.push(std::mem::take(&mut cell));
                let done = std::mem::take(&mut record);
                // An empty line is none.
                if done != [""] {
                    records.push(done);
                }
            }
            c if c == separator => record.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !record.is_empty() {
        record.push(cell);
        records.push(record);
    }
    records
}

fn value_of(cell: &str) -> Value {
    let trimmed = cell.trim();
    if let Ok(whole) = trimmed.parse::<i64>() {
        return Value::Int(whole);
    }
    match trimmed.parse::<f64>() {
        Ok(number) => Value::Float(number),
        Err(_) => Value::Str(cell.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(extension: &str, text: &str) -> String {
        match read("f", extension, text.as_bytes()).unwrap() {
            Ok(table) => table
                .rows
                .into_iter()
                .map(|row| Value::Map(row).to_string())
                .collect::<Vec<_>>()
                .join(" "),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn four_formats_say_the_same() {
        let expected = r#"{"step": 1, "loss": 0.5} {"step": 2, "loss": 0.25}"#;
        for (extension, text) in [
            (
                "jsonl",
                "{\"step\": 1, \"loss\": 0.5}\n\n{\"step\": 2, \"loss\": 0.25}\n",
            ),
            (
                "json",
                "{\"train\": [{\"step\": 1, \"loss\": 0.5}, {\"step\": 2, \"loss\": 0.25}]}",
            ),
            ("csv", "step,loss\n1,0.5\r\n2,0.25"),
            ("tsv", "\u{feff}step\tloss\n1\t0.5\n2\t0.25\n"),
        ] {
            assert_eq!(shown(extension, text), expected, "{extension}");
        }
    }

    #[test]
    fn a_long_table_is_thinned_out_over_its_whole_length() {
        let lines: Vec<String> = (0..250_002).map(|i| i.to_string()).collect();
        let table = read("f", "csv", format!("step\n{}", lines.join("\n")).as_bytes());
        let table = table.unwrap().unwrap();
        assert_eq!((table.stride, table.rows.len()), (3, 83_335));
        let last = table.rows.last().unwrap();
        assert_eq!(last["step"], Value::Int(250_001));
    }

    #[test]
    fn what_python_writes_for_no_number_is_a_number() {
        assert_eq!(
            shown("jsonl", "{\"a\": NaN, \"b\": [-Infinity]}\n"),
            r#"{"a": NaN, "b": [-inf]}"#
        );
        assert_eq!(shown("json", "[{\"a\": NaN}]"), r#"{"a": NaN}"#);
    }

    #[test]
    fn quotes_keep_what_they_hold() {
        assert_eq!(
            shown("csv", "a,b\n\"x, \"\"y\"\"\nz\",2\n"),
            r#"{"a": "x, \"y\"\nz", "b": 2}"#
        );
    }

    #[test]
    fn what_is_no_table_is_said() {
        assert_eq!(
            shown("jsonl", "{}\n[1]\n"),
            "`f` is no table: line 2 is a list, no mapping"
        );
        assert!(shown("jsonl", "{\"a\": \n").starts_with("`f` is no table: line 1 is no JSON"));
        assert_eq!(
            shown("json", "{\"a\": 1}"),
            "`f` is no table: it holds no list of mappings"
        );
        assert!(read("f", "txt", b"").is_none());
        assert!(read("f", "csv", b"\xff").unwrap().is_err());
    }

    proptest! {
        #[test]
        fn any_cell_survives_its_quotes(cells in proptest::collection::vec("[a-z\", \n\r;é]{0,6}", 1..4)) {
            let quoted: Vec<_> = cells.iter().map(|c| format!("\"{}\"", c.replace('"', "\"\""))).collect();
            let found = records(&format!("{}\n", quoted.join(",")), ',');
            let expected = if cells == [""] { vec![] } else { vec![cells] };
            prop_assert_eq!(found, expected);
        }
    }
}

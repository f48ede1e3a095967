//! Plot data as rows: JSON, JSON lines, CSV and TSV. Imports: base.

use indexmap::IndexMap;

use crate::base::doc::{Document, Format, Value};

use super::error::Error;

/// One row: values by column, in file order.
pub type DataRow = IndexMap<String, Value>;

/// Rows beyond this are left out of a drawing.
pub const ROWS_MAX: usize = 100_000;

/// Returns the rows of a table, whose kind `extension` tells; `None` if that is no kind of table.
///
/// # Errors
/// The text is no such table; the line is named.
pub fn read(name: &str, extension: &str, bytes: &[u8]) -> Option<Result<Vec<DataRow>, Error>> {
    let read = match extension {
        "jsonl" | "ndjson" => json_lines,
        "json" | "yaml" | "yml" => document,
        "csv" => |_: &str, text: &str| Ok(separated(text, ',')),
        "tsv" => |_: &str, text: &str| Ok(separated(text, '\t')),
        _ => return None,
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        let file = name.to_owned();
        return Some(Err(Error::NotText { file }));
    };
    // A byte order mark is no part of the first heading.
    Some(read(name, text.trim_start_matches('\u{feff}')))
}

fn no_table(name: &str, why: String) -> Error {
    Error::NoTable {
        file: name.to_owned(),
        why,
    }
}

fn json_lines(name: &str, text: &str) -> Result<Vec<DataRow>, Error> {
    let mut rows = Vec::new();
    for (at, line) in text.lines().enumerate().take(ROWS_MAX) {
        if line.trim().is_empty() {
            continue;
        }
        let value = match serde_json::from_str::<Value>(line) {
            // Python writes NaN, which is no JSON; in YAML it is a text, and no point in a curve.
            Err(_) if line.contains("NaN") || line.contains("Infinity") => {
                Ok(Document::parse(name, line.to_owned(), Format::Yaml)?.root)
            }
            read => read,
        };
        match value {
            Ok(Value::Map(map)) => rows.push(map),
            Ok(other) => {
                let kind = other.kind();
                return Err(no_table(
                    name,
                    format!("line {} is {kind}, no mapping", at + 1),
                ));
            }
            Err(e) => {
                let mut why = e.to_string();
                why.truncate(why.rfind(" at line ").unwrap_or(why.len()));
                return Err(no_table(
                    name,
                    format!("line {} is no JSON ({why})", at + 1),
                ));
            }
        }
    }
    Ok(rows)
}

/// A list of mappings, or a mapping that holds one (DVC takes the first as well).
fn document(name: &str, text: &str) -> Result<Vec<DataRow>, Error> {
    let root = Document::parse(name, text.to_owned(), Format::Yaml)
        .or_else(|_| Document::parse(name, text.to_owned(), Format::Json))?
        .root;
    fn maps(value: &Value) -> Option<Vec<DataRow>> {
        let items = value.as_list()?;
        let rows = items.iter().map(|item| item.as_map().cloned());
        rows.take(ROWS_MAX).collect()
    }
    let inside = |root: &Value| root.as_map()?.values().find_map(maps);
    maps(&root)
        .or_else(|| inside(&root))
        .ok_or_else(|| no_table(name, "it holds no list of mappings".to_owned()))
}

/// Reads a table with a heading (RFC 4180: cells in quotes may hold separators, line breaks and
/// doubled quotes). Cells are numbers where they look like one.
fn separated(text: &str, separator: char) -> Vec<DataRow> {
    let mut records = records(text, separator).into_iter();
    let heading = records.next().unwrap_or_default();
    records
        .take(ROWS_MAX)
        .map(|record| {
            let cells = record.into_iter().map(|cell| value_of(&cell));
            heading.iter().cloned().zip(cells).collect()
        })
        .collect()
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
            Ok(rows) => rows
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

//! A table as a file, CSV or JSON: rows are written as they come, so that a long table is never held
//! in memory. Imports: base, mlflow, `ui::{asked, reply, parts}`.
//!
//! **CSV** (RFC 4180) has a heading of the columns' keys, all digits, exact times. A text that a
//! spreadsheet would take for a formula – it begins with `=`, `+`, `-`, `@`, a tab or a carriage
//! return, and is no plain number – has a `'` before it; `#csv` of `chart.js` does the same. **JSON**
//! is an array of objects.

use std::fmt::Display;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::number::number;
use super::table::{Cell, Column, DataTable};
use super::time::Ago;
use crate::base::clock;
use crate::http::Response;
use crate::mlflow::Refused;
use crate::ui::asked::{Asked, Format};
use crate::ui::reply;

/// Some rows of a long table, the next ones.
#[derive(Debug)]
pub(in crate::ui) struct SomeRows {
    /// Each with a cell for each column.
    pub(in crate::ui) rows: Vec<Vec<Cell>>,
    /// Do others follow?
    pub(in crate::ui) has_more: bool,
}

/// Answers with a long table, in the form in which it is asked for: `next` is asked for some rows at
/// a time, on a thread that may wait, and only as fast as they are read.
///
/// # Errors
/// The first rows cannot be had; behind them the answer is broken off.
pub(in crate::ui) fn long(
    asked: &Asked,
    name: &str,
    columns: &[Column],
    mut next: impl FnMut() -> Result<SomeRows, Refused> + Send + 'static,
) -> Result<Response, Refused> {
    let mut file = File::new(asked.format()?, columns)?;
    let first = next()?;
    file.add(&first.rows)?;
    if !first.has_more {
        return Ok(file.answer(asked, name));
    }
    let mut is_over = false;
    let mut begun = Some(file.take());
    let form = file.form;
    let pieces = move || {
        if let Some(first) = begun.take() {
            return Ok(Some(first));
        }
        if is_over {
            return Ok(None);
        }
        let some = next()?;
        file.add(&some.rows)?;
        if !some.has_more {
            is_over = true;
            file.end();
        }
        Ok(Some(file.take()))
    };
    let response = reply::piecemeal(asked, form.content_type(), pieces);
    Ok(form.saved(response, name))
}

/// Answers with a table in the form in which it is asked for.
///
/// # Errors
/// No such form.
pub(super) fn whole(asked: &Asked, table: &DataTable) -> Result<Response, Refused> {
    let mut file = File::new(asked.format()?, &table.columns)?;
    file.add(&table.rows)?;
    Ok(file.answer(asked, table.id))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Csv,
    Json,
}

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Self::Csv => reply::CSV,
            Self::Json => reply::JSON,
        }
    }

    /// A browser saves CSV, and shows JSON.
    fn saved(self, response: Response, name: &str) -> Response {
        match self {
            Self::Csv => reply::saved_as(response, &format!("{name}.csv")),
            Self::Json => response,
        }
    }
}

/// A file that is being written.
struct File {
    form: Form,
    keys: Vec<String>,
    /// What was written and is not yet taken.
    text: Vec<u8>,
    /// Was a row written?
    has_rows: bool,
}

impl File {
    fn new(format: Format, columns: &[Column]) -> Result<Self, Refused> {
        let mut file = Self {
            form: match format {
                Format::Csv => Form::Csv,
                Format::Json | Format::Html => Form::Json,
            },
            keys: keys(columns),
            text: Vec::new(),
            has_rows: false,
        };
        match file.form {
            Form::Csv => {
                let heading = file.keys.iter().map(|key| harmless(key.clone()));
                let heading: Vec<String> = heading.collect();
                file.records([heading].into_iter())?;
            }
            Form::Json => file.text.push(b'['),
        }
        Ok(file)
    }

    fn add(&mut self, rows: &[Vec<Cell>]) -> Result<(), Refused> {
        if self.form == Form::Csv {
            return self.records(rows.iter().map(|row| row.iter().map(Cell::csv).collect()));
        }
        for row in rows {
            let before: &[u8] = if self.has_rows { b",\n" } else { b"\n" };
            self.text.extend_from_slice(before);
            self.has_rows = true;
            let object = Object {
                keys: &self.keys,
                row,
            };
            serde_json::to_writer(&mut self.text, &object).map_err(|e| bug(&e))?;
        }
        Ok(())
    }

    fn records(&mut self, rows: impl Iterator<Item = Vec<String>>) -> Result<(), Refused> {
        let mut writer = csv::Writer::from_writer(&mut self.text);
        for row in rows {
            writer.write_record(row).map_err(|e| bug(&e))?;
        }
        writer.flush().map_err(|e| bug(&e))
    }

    fn end(&mut self) {
        if self.form == Form::Json {
            let end: &[u8] = if self.has_rows { b"\n]" } else { b"]" };
            self.text.extend_from_slice(end);
        }
    }

    /// Takes what was written.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    /// Answers with it, whole.
    fn answer(mut self, asked: &Asked, name: &str) -> Response {
        self.end();
        let response = reply::written(asked, self.take(), self.form.content_type());
        self.form.saved(response, name)
    }
}

fn bug(error: &dyn Display) -> Refused {
    tracing::error!(target: "cvops::ui", %error, "a table cannot be written");
    Refused::bug()
}

/// Returns what columns are called in files.
pub(super) fn keys(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| column.key.clone()).collect()
}

/// Returns a row as JSON has it.
pub(super) fn object(keys: &[String], row: &[Cell]) -> Value {
    // A map of texts always has a form as a value.
    serde_json::to_value(Object { keys, row }).unwrap_or_default()
}

/// A row.
struct Object<'a> {
    keys: &'a [String],
    row: &'a [Cell],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.keys.iter().zip(self.row))
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Empty => serializer.serialize_unit(),
            Self::Text(text)
            | Self::Code(text)
            | Self::Link { text, .. }
            | Self::Markup { text, .. } => serializer.serialize_str(text),
            // JSON has no NaN: it is a text there, as in MLflow's API.
            Self::Number(value) | Self::Meter(value) | Self::Shown { value, .. } => {
                if value.is_finite() {
                    serializer.serialize_f64(*value)
                } else {
                    serializer.serialize_str(&number(*value))
                }
            }
            Self::Time(Ago { at_ms, .. }) => serializer.serialize_i64(*at_ms),
            Self::Duration(ms) => serializer.serialize_i64(*ms),
            Self::State(chip) => serializer.serialize_str(&chip.text),
            Self::Links(links) => serializer.collect_seq(links.iter().map(|(text, _)| text)),
            Self::Picture { src, .. } => serializer.serialize_str(src),
        }
    }
}

impl Cell {
    /// Returns it as CSV has it.
    fn csv(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Number(value) | Self::Meter(value) | Self::Shown { value, .. } => {
                value.to_string()
            }
            Self::Time(Ago { at_ms, .. }) => clock::utc(*at_ms),
            Self::Duration(ms) => ms.to_string(),
            Self::Links(links) => {
                let texts: Vec<&str> = links.iter().map(|(text, _)| text.as_str()).collect();
                harmless(texts.join(", "))
            }
            Self::Text(text)
            | Self::Code(text)
            | Self::Link { text, .. }
            | Self::Markup { text, .. }
            | Self::Picture { src: text, .. } => harmless(text.clone()),
            Self::State(chip) => harmless(chip.text.clone()),
        }
    }
}

/// Returns a text that a spreadsheet takes for text.
fn harmless(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_plain_number(&text) {
        format!("'{text}")
    } else {
        text
    }
}

/// Is it a number in digits, with or without a sign, a point, an exponent?
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    // `inf` and `nan` are numbers, too, but no plain ones.
    digits.starts_with(|c: char| c == '.' || c.is_ascii_digit()) && digits.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_a_formula_stays_text_and_numbers_stay_numbers() {
        for formula in [
            "=HYPERLINK(\"http://example.org\")",
            "+1+cmd|' /C calc'!A0",
            "-2+3",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "-",
            "+-5",
            "-inf",
            "-1 ",
            "=1",
        ] {
            assert_eq!(harmless(formula.to_owned()), format!("'{formula}"));
        }
        for plain in [
            "-0.5", "+3", "-1e-05", "-.5", "-5.", "+1E+9", "", "a=b", " =1", "0.1", "'=1", "val-1",
        ] {
            assert_eq!(harmless(plain.to_owned()), plain);
        }
        assert_eq!(Cell::Number(f64::NEG_INFINITY).csv(), "-inf");
    }

    fn text(format: Format, pages: &[Vec<Vec<Cell>>]) -> String {
        let columns = [Column::text("=name", "Name"), Column::number("n", "N")];
        let mut file = File::new(format, &columns).unwrap();
        let mut text = Vec::new();
        for page in pages {
            file.add(page).unwrap();
            text.append(&mut file.take());
        }
        file.end();
        text.append(&mut file.take());
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_file_in_pieces_is_the_file_as_a_whole() {
        let row = |name: &str, value: f64| vec![Cell::Text(name.to_owned()), Cell::Number(value)];
        let rows = [row("a,\"b\"", 0.5), row("-x", f64::NAN), row("", -1.0)];
        let pages = [rows[..1].to_vec(), Vec::new(), rows[1..].to_vec()];
        let csv = "'=name,n\n\"a,\"\"b\"\"\",0.5\n'-x,NaN\n,-1\n";
        let json = serde_json::json!([
            {"=name": "a,\"b\"", "n": 0.5}, {"=name": "-x", "n": "NaN"}, {"=name": "", "n": -1.0}
        ]);
        for pages in [&pages[..], &[rows.to_vec()]] {
            assert_eq!(text(Format::Csv, pages), csv);
            let told: Value = serde_json::from_str(&text(Format::Json, pages)).unwrap();
            assert_eq!(told, json);
        }
        assert_eq!(text(Format::Csv, &[]), "'=name,n\n");
        assert_eq!(text(Format::Json, &[]), "[]");
    }
}

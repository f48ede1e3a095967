//! Tables of short texts, for the terminal and for Markdown. Imports: `report::escape`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table as ComfyTable, TableStyle};

use super::escape::one_line;

/// Where the cells of a column sit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Whether something is good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Neither good nor bad.
    Neutral,
    /// Right, or better.
    Good,
    /// Wrong, or worse.
    Bad,
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// Names and numbers, which are shown as they are.
    Verbatim,
    /// Words of ours, in which backticks mark code where there is a form for it.
    Sentence,
}

/// A column's heading and alignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The heading.
    pub title: String,
    /// Alignment of heading and cells.
    pub align: Align,
}

/// Shows a text in the colour of a tone.
pub type Paint<'a> = &'a dyn Fn(Tone, &str) -> String;

/// A table: columns, and rows with one cell per column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// Tones other than neutral, by row and column.
    tones: BTreeMap<(usize, usize), Tone>,
    /// Columns whose cells are sentences.
    sentences: BTreeSet<usize>,
}

impl Table {
    /// Starts a table without rows.
    #[must_use]
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        let columns = columns
            .into_iter()
            .map(|(title, align)| Column {
                title: title.to_owned(),
                align,
            })
            .collect();
        Self {
            columns,
            rows: Vec::new(),
            tones: BTreeMap::new(),
            sentences: BTreeSet::new(),
        }
    }

    /// Says that the cells of a column are sentences.
    pub fn sentences(&mut self, column: usize) -> &mut Self {
        self.sentences.insert(column);
        self
    }

    /// Returns what the cells of a column are.
    #[must_use]
    pub fn wording_of(&self, column: usize) -> Wording {
        if self.sentences.contains(&column) {
            Wording::Sentence
        } else {
            Wording::Verbatim
        }
    }

    /// Appends a row; missing cells stay empty, cells beyond the last column are dropped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) -> &mut Self {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
        self
    }

    /// Says of one cell of the last row whether it is good news; shown where there are colours.
    pub fn tone(&mut self, column: usize, tone: Tone) -> &mut Self {
        if let Some(row) = self.rows.len().checked_sub(1) {
            self.tones.insert((row, column), tone);
        }
        self
    }

    /// Returns whether the cell is good news.
    #[must_use]
    pub fn tone_of(&self, row: usize, column: usize) -> Tone {
        self.tones
            .get(&(row, column))
            .copied()
            .unwrap_or(Tone::Neutral)
    }

    /// Returns the columns.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns the rows, each with as many cells as there are columns.
    #[must_use]
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Returns the table for a terminal: columns two spaces apart, a heading, no borders, each line
    /// ended by a line break and without trailing blanks. With a `width` (in terminal columns) long
    /// cells are wrapped to fit it.
    #[must_use]
    pub fn text(&self, width: Option<u16>) -> String {
        self.render(width, None)
    }

    /// Returns the same with each cell that has a tone painted. A cell that had to be wrapped stays
    /// as it is.
    #[must_use]
    pub fn painted(&self, width: Option<u16>, paint: Paint<'_>) -> String {
        self.render(width, Some(paint))
    }

    fn render(&self, width: Option<u16>, paint: Option<Paint<'_>>) -> String {
        if self.columns.is_empty() {
            return String::new();
        }
        let mut table = ComfyTable::new();
        table.load_style(TableStyle::new()).force_no_tty();
        table.set_content_arrangement(ContentArrangement::Disabled);
        if let Some(width) = width {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width.max(1));
        }
        table.set_header(self.columns.iter().map(|column| one_line(&column.title)));
        for (at, row) in self.rows.iter().enumerate() {
            table.add_row(row.iter().enumerate().map(|(column, text)| {
                let text = one_line(text);
                let mark = match self.tone_of(at, column) {
                    Tone::Neutral => None,
                    Tone::Good => Some(GOOD),
                    Tone::Bad => Some(BAD),
                };
                match mark.filter(|_| paint.is_some()) {
                    None => text,
                    Some(mark) => format!("{mark}{}{END}", text.replace([GOOD, BAD, END], "")),
                }
            }));
        }
        for (index, column) in self.columns.iter().enumerate() {
            if let Some(target) = table.column_mut(index) {
                let right_padding = if index + 1 == self.columns.len() {
                    0
                } else {
                    2
                };
                target.set_padding((0, right_padding));
                target.set_cell_alignment(match column.align {
                    Align::Left => CellAlignment::Left,
                    Align::Right => CellAlignment::Right,
                });
            }
        }
        let mut text = String::new();
        for line in table.lines() {
            match paint {
                None => text.push_str(line.trim_end()),
                Some(paint) => text.push_str(&painted_line(line.trim_end(), paint)),
            }
            text.push('\n');
        }
        text
    }

    /// Returns the table in GitHub's Markdown (GFM, section 4.10), columns padded to be readable
    /// as text as well.
    #[must_use]
    pub fn markdown(&self) -> String {
        if self.columns.is_empty() {
            return String::new();
        }
        let heading: Vec<String> = self
            .columns
            .iter()
            .map(|column| markdown_cell(&column.title))
            .collect();
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| markdown_cell(cell)).collect())
            .collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|i| {
                rows.iter()
                    .chain([&heading])
                    .map(|row| display_width(&row[i]))
                    .max()
                    .unwrap_or(0)
                    .max(3)
            })
            .collect();
        let mut text = String::new();
        self.markdown_row(&mut text, &heading, &widths);
        for (column, width) in self.columns.iter().zip(&widths) {
            let dashes = "-".repeat(width - 1);
            let end = match column.align {
                Align::Left => '-',
                Align::Right => ':',
            };
            let _ = write!(text, "| {dashes}{end} ");
        }
        text.push_str("|\n");
        for row in &rows {
            self.markdown_row(&mut text, row, &widths);
        }
        text
    }

    fn markdown_row(&self, text: &mut String, cells: &[String], widths: &[usize]) {
        for ((cell, width), column) in cells.iter().zip(widths).zip(&self.columns) {
            let blanks = " ".repeat(width.saturating_sub(display_width(cell)));
            let (before, after) = match column.align {
                Align::Left => ("", &*blanks),
                Align::Right => (&*blanks, ""),
            };
            let _ = write!(text, "| {before}{cell}{after} ");
        }
        text.push_str("|\n");
    }
}

/// Marks around a cell with a tone, exchanged for colours after the table is laid out: invisible
/// operators of Unicode, which take no width. Colour codes would count as text.
const GOOD: char = '\u{2061}';
const BAD: char = '\u{2062}';
const END: char = '\u{2063}';

/// Exchanges the marks of a line for colours; of a cell that was wrapped they are dropped.
fn painted_line(line: &str, paint: Paint<'_>) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find([GOOD, BAD]) {
        let tone = if rest[at..].starts_with(GOOD) {
            Tone::Good
        } else {
            Tone::Bad
        };
        out.push_str(&rest[..at]);
        rest = &rest[at + GOOD.len_utf8()..];
        if let Some(end) = rest.find([GOOD, BAD, END])
            && rest[end..].starts_with(END)
        {
            out.push_str(&paint(tone, &rest[..end]));
            rest = &rest[end + END.len_utf8()..];
        }
    }
    out.push_str(rest);
    out.replace(END, "")
}

/// Returns how many terminal columns a text of one line takes.
///
/// Asked of the crate that pads our tables, so that boxes and tables agree about wide characters.
#[must_use]
pub fn display_width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let mut table = ComfyTable::new();
    table.add_row([text]);
    table
        .column_max_content_widths()
        .first()
        .copied()
        .map_or(0, usize::from)
}

/// Escapes what Markdown or the HTML inside it would interpret; the text shows as it is.
fn markdown_cell(text: &str) -> String {
    let mut cell = String::new();
    for c in one_line(text).chars() {
        match c {
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' => cell.extend(['\\', c]),
            '<' => cell.push_str("&lt;"),
            '>' => cell.push_str("&gt;"),
            '&' => cell.push_str("&amp;"),
            c => cell.push(c),
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new([
            ("Path", Align::Left),
            ("Metric", Align::Left),
            ("New", Align::Right),
        ]);
        table.row(["reports/metrics.json", "accuracy", "0.841"]);
        table.row(["标签|x", "a_b", "12"]);
        table
    }

    #[test]
    fn text_is_plain_and_aligned() {
        assert_eq!(
            sample().text(None),
            "Path                  Metric      New\n\
             reports/metrics.json  accuracy  0.841\n\
             标签|x                a_b          12\n"
        );
        assert_eq!(Table::new([]).text(None), "");
        assert_eq!(Table::new([("A", Align::Left)]).text(Some(20)), "A\n");
    }

    #[test]
    fn tones_are_colours_and_change_nothing_else() {
        let mut table = sample();
        table.tone(2, Tone::Good);
        let paint = |tone, text: &str| format!("<{tone:?} {text}>");
        assert_eq!(table.text(None), sample().text(None));
        assert_eq!(
            table.painted(None, &paint),
            table.text(None).replace("   12\n", "   <Good 12>\n")
        );
        // Too narrow for the cell: the same without paint.
        let mut wide = Table::new([("A", Align::Left)]);
        wide.row(["much too long for this"]).tone(0, Tone::Bad);
        assert_eq!(wide.painted(Some(8), &paint), wide.text(Some(8)));
    }

    #[test]
    fn text_wraps_to_the_width() {
        let text = sample().text(Some(28));
        assert!(text.lines().all(|line| display_width(line) <= 28), "{text}");
        assert!(text.lines().count() > 3, "{text}");
    }

    #[test]
    fn markdown_escapes_and_aligns() {
        assert_eq!(
            sample().markdown(),
            "| Path                 | Metric   |   New |\n\
             | -------------------- | -------- | ----: |\n\
             | reports/metrics.json | accuracy | 0.841 |\n\
             | 标签\\|x              | a\\_b     |    12 |\n"
        );
    }

    #[test]
    fn rows_are_made_to_fit() {
        let mut table = Table::new([("A", Align::Left), ("B", Align::Left)]);
        table.row(["1"]).row(["1", "2", "3"]);
        assert_eq!(
            table.rows(),
            [
                vec!["1".to_owned(), String::new()],
                vec!["1".into(), "2".into()]
            ]
        );
    }
}

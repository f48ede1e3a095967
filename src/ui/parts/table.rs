//! The one kind of table: a page, a CSV file and JSON (`table_file`) of the same rows.
//! Imports: http, mlflow, `ui::{asked, reply, parts}`.

use askama::Template;
use askama::filters::HtmlSafe;
use serde_json::Value;

use super::chip::Chip;
use super::number::number;
use super::table_file;
use super::time::{Ago, took};
use crate::http::Response;
use crate::mlflow::Refused;
use crate::ui::asked::{Asked, Format};

/// A column.
#[derive(Clone, Debug)]
pub(in crate::ui) struct Column {
    /// Its name in CSV and JSON.
    pub(in crate::ui) key: String,
    /// Its heading.
    pub(in crate::ui) title: String,
    /// Numbers stand on the right.
    pub(in crate::ui) is_number: bool,
    /// If the table can be sorted by it: where its heading leads.
    pub(in crate::ui) sort: Option<Sort>,
}

/// How a table can be sorted by a column.
#[derive(Clone, Debug)]
pub(in crate::ui) struct Sort {
    /// Where a click leads.
    pub(in crate::ui) href: String,
    /// How it is sorted by it now.
    pub(in crate::ui) now: Sorted,
}

/// How a table is sorted by a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ui) enum Sorted {
    Not,
    Ascending,
    Descending,
}

impl Column {
    pub(in crate::ui) fn text(key: &str, title: &str) -> Self {
        Self {
            key: key.to_owned(),
            title: title.to_owned(),
            is_number: false,
            sort: None,
        }
    }

    pub(in crate::ui) fn number(key: &str, title: &str) -> Self {
        Self {
            is_number: true,
            ..Self::text(key, title)
        }
    }

    /// Lets the table be sorted by it.
    pub(in crate::ui) fn sort(mut self, href: String, now: Sorted) -> Self {
        self.sort = Some(Sort { href, now });
        self
    }

    fn aria_sort(&self) -> &'static str {
        match self.sort.as_ref().map(|sort| sort.now) {
            Some(Sorted::Ascending) => "ascending",
            Some(Sorted::Descending) => "descending",
            Some(Sorted::Not) | None => "none",
        }
    }
}

/// What stands in a cell.
#[derive(Clone, Debug)]
pub(in crate::ui) enum Cell {
    Empty,
    Text(String),
    /// A hash, a path, a command.
    Code(String),
    Number(f64),
    /// A number with what it is shown as.
    Shown {
        value: f64,
        text: String,
    },
    /// A share, 0 to 1, with a bar.
    Meter(f64),
    Time(Ago),
    /// Milliseconds.
    Duration(i64),
    State(Chip),
    Link {
        text: String,
        href: String,
    },
    Links(Vec<(String, String)>),
    /// A picture with what it shows.
    Picture {
        src: String,
        alt: String,
    },
    /// Markup of our own, with what it says.
    Markup {
        html: Markup,
        text: String,
    },
}

/// Markup that a template of ours or the `report` room wrote: everything from outside is escaped.
#[derive(Clone, Debug)]
pub(in crate::ui) struct Markup(String);

impl Markup {
    /// Writes a template.
    ///
    /// # Errors
    /// It cannot be written, which is a mistake of ours.
    pub(in crate::ui) fn of(template: &impl Template) -> Result<Self, Refused> {
        template.render().map(Self).map_err(|error| {
            tracing::error!(target: "cvops::ui", %error, "a part of a page cannot be written");
            Refused::bug()
        })
    }

    /// Takes a picture that `report` has drawn.
    pub(in crate::ui) fn svg(svg: &crate::report::Svg) -> Self {
        Self(svg.embedded().as_str().to_owned())
    }
}

impl std::fmt::Display for Markup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Markup {}

/// Texts of more bytes scroll inside their cell.
const LONG: usize = 300;

impl Cell {
    /// Returns a number or a duration as people read it, nothing for other cells.
    pub(in crate::ui) fn shown(&self) -> String {
        match self {
            Self::Number(value) => number(*value),
            Self::Duration(ms) => took(*ms),
            Self::Meter(share) => format!("{:.1} %", share * 100.0),
            _ => String::new(),
        }
    }

    /// Is the text one that would make its row taller than a screen?
    fn is_long(&self) -> bool {
        matches!(self, Self::Text(text) | Self::Code(text) | Self::Link { text, .. } if LONG < text.len())
    }
}

/// A table.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/table.html")]
pub(in crate::ui) struct DataTable {
    /// Its id in the page, and its name as a file.
    pub(in crate::ui) id: &'static str,
    /// What it shows.
    pub(in crate::ui) caption: String,
    pub(in crate::ui) columns: Vec<Column>,
    /// Each with a cell for each column.
    pub(in crate::ui) rows: Vec<Vec<Cell>>,
    /// What stands there if there are no rows.
    pub(in crate::ui) empty: String,
    /// Where the same rows are as CSV and as JSON; empty for neither.
    pub(in crate::ui) csv_href: String,
    pub(in crate::ui) json_href: String,
}

/// Its template escapes.
impl HtmlSafe for DataTable {}

impl DataTable {
    /// Starts a table that is the page's only one to be had as a file: `?format=csv`.
    pub(in crate::ui) fn new(asked: &Asked, id: &'static str, caption: &str) -> Self {
        Self {
            id,
            caption: caption.to_owned(),
            columns: Vec::new(),
            rows: Vec::new(),
            empty: "Nothing here yet.".to_owned(),
            csv_href: asked.href_with(&[("format", Some("csv")), ("table", Some(id))]),
            json_href: asked.href_with(&[("format", Some("json")), ("table", Some(id))]),
        }
    }

    /// Returns its rows as objects with a value for each column.
    pub(in crate::ui) fn json(&self) -> Value {
        let keys = table_file::keys(&self.columns);
        let rows = self.rows.iter().map(|row| table_file::object(&keys, row));
        rows.collect()
    }
}

/// Answers with one of the page's tables if the query asks for it as a file (`?format=csv&table=ID`;
/// the first one if it names none), `None` for the page itself.
///
/// # Errors
/// No such form or table.
pub(in crate::ui) fn as_file(
    asked: &Asked,
    tables: &[&DataTable],
) -> Result<Option<Response>, Refused> {
    let format = asked.format()?;
    if format == Format::Html {
        return Ok(None);
    }
    let named = asked.query.filled("table");
    let found = match named {
        None => tables.first(),
        Some(id) => tables.iter().find(|table| table.id == id),
    };
    let table = found.ok_or_else(|| {
        let known: Vec<&str> = tables.iter().map(|table| table.id).collect();
        Refused::missing(format!(
            "there is no table `{}` on this page: {}",
            named.unwrap_or_default(),
            if known.is_empty() {
                "it has none".to_owned()
            } else {
                known.join(", ")
            }
        ))
    })?;
    table_file::whole(asked, table).map(Some)
}

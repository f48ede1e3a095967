//! A message with its place: what `cvops` says on a terminal, the caret included. Imports: base.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::base::diag::{Diagnostic, Label, Severity};

/// Longer lines of a file are cut.
const LINE_CHARS_MAX: usize = 200;

/// A message.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/notice.html")]
pub(in crate::ui) struct Notice {
    /// `bad` or `warn`.
    tone: &'static str,
    headline: String,
    places: Vec<Place>,
    notes: Vec<String>,
    help: Option<String>,
}

/// A place in a file.
#[derive(Clone, Debug)]
struct Place {
    /// `pipeline.yaml:14:9`.
    at: String,
    number: usize,
    line: String,
    /// Spaces and carets that stand below the line.
    carets: String,
    text: String,
}

/// Its template escapes.
impl HtmlSafe for Notice {}

impl Notice {
    pub(in crate::ui) fn of(diagnostic: &Diagnostic) -> Self {
        Self {
            tone: match diagnostic.severity {
                Severity::Error => "bad",
                Severity::Warning => "warn",
            },
            headline: diagnostic.headline.clone(),
            places: diagnostic.labels.iter().map(Place::of).collect(),
            notes: diagnostic.notes.clone(),
            help: diagnostic.help.clone(),
        }
    }

    /// Returns it as a warning: the page goes on.
    pub(in crate::ui) fn warning(diagnostic: &Diagnostic) -> Self {
        Self {
            tone: "warn",
            ..Self::of(diagnostic)
        }
    }
}

impl Place {
    fn of(label: &Label) -> Self {
        let source = &label.source;
        let (number, column) = source.line_column(label.span.start);
        let (last, end) = source.line_column(label.span.end);
        let line = source.text.lines().nth(number - 1).unwrap_or_default();
        let length = line.chars().count();
        // A place of several lines is marked to the end of the first.
        let end = if last == number { end } else { length + 1 };
        let shown: String = line
            .chars()
            .take(LINE_CHARS_MAX)
            .map(|c| if c == '\t' { ' ' } else { c })
            .collect();
        let start = column.min(LINE_CHARS_MAX);
        let carets = end.min(LINE_CHARS_MAX + 1).saturating_sub(start).max(1);
        Self {
            at: format!("{}:{number}:{column}", source.name),
            number,
            line: shown,
            carets: format!("{}{}", " ".repeat(start - 1), "^".repeat(carets)),
            text: label.text.clone(),
        }
    }

    /// Returns it as on a terminal.
    fn text(&self) -> String {
        let Self {
            at,
            number,
            line,
            carets,
            text,
        } = self;
        let gap = " ".repeat(number.to_string().len());
        format!("{gap} --> {at}\n{number} | {line}\n{gap} | {carets} {text}")
    }
}

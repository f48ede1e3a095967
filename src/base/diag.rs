//! The one diagnostic form: what happened, where, why, and what to do next.
//!
//! Rooms build diagnostics; only `cli` renders them (as text or as `--json`). Imports: nothing.

use std::sync::Arc;

/// Byte offsets into a `Source`: `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A text that diagnostics point into, with the name it is shown under.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The file as the user would name it: `pipeline.yaml`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// Returns 1-based line and column (in characters) of a byte offset.
    #[must_use]
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The command failed.
    Error,
    /// The command goes on; the user should know.
    Warning,
}

/// A marked place in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The text pointed into.
    pub source: Arc<Source>,
    /// The place.
    pub span: Span,
    /// What is wrong exactly there; may be empty.
    pub text: String,
}

/// One message to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable machine name, for example `unknown-key`.
    pub code: &'static str,
    /// What happened: lower case, no full stop, values in backticks.
    pub headline: String,
    /// Places, the most important one first.
    pub labels: Vec<Label>,
    /// Further facts.
    pub notes: Vec<String>,
    /// The next step.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Starts an error.
    #[must_use]
    pub fn error(code: &'static str, headline: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            headline: headline.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// Starts a warning.
    #[must_use]
    pub fn warning(code: &'static str, headline: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, headline)
        }
    }

    /// Adds a place.
    #[must_use]
    pub fn label(mut self, source: &Arc<Source>, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            source: Arc::clone(source),
            span,
            text: text.into(),
        });
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Implemented by every room's error: how it looks to the user. Several problems of one file are
/// several diagnostics, in source order.
pub trait ToDiagnostics {
    /// Returns the messages, at least one.
    fn to_diagnostics(&self) -> Vec<Diagnostic>;
}

/// Returns the known name that `name` was probably meant to be, if one is near enough. Never `name`
/// itself: that would be no advice.
///
/// Damerau-Levenshtein distance at most a third of the length (at least 1), as cargo and clap do.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|k| *k != name)
        .map(|k| {
            (
                strsim::damerau_levenshtein(&name.to_lowercase(), &k.to_lowercase()),
                k,
            )
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_suggests_slips_and_nothing_far() {
        assert_eq!(nearest("dpes", ["deps", "outs", "cmd"]), Some("deps"));
        assert_eq!(nearest("epoch", ["epochs", "batch_size"]), Some("epochs"));
        assert_eq!(nearest("colour", ["deps", "outs"]), None);
        assert_eq!(nearest("deps", ["deps"]), None);
        assert_eq!(nearest("Deps", ["deps"]), Some("deps"));
    }

    #[test]
    fn line_and_column_count_characters() {
        let source = Source {
            name: "p".into(),
            text: "a: é\nb: x".into(),
        };
        assert_eq!(source.line_column(0), (1, 1));
        assert_eq!(source.line_column(5), (1, 5));
        assert_eq!(source.line_column(6), (2, 1));
        assert_eq!(source.line_column(999), (2, 5));
    }
}

//! What is wrong with the templates of a file, each with its place. Imports: base.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::base::Diagnostic;
use crate::base::diag::Span;
use crate::base::doc::{Document, KeyPath, On};

/// Point, machine name, headline and help of a problem.
pub(super) type Report = (On, &'static str, String, Option<String>);

/// The problems of one file: what many stages of one text have in common is told once.
pub(super) struct Found<'d> {
    document: &'d Document,
    problems: RefCell<BTreeMap<(Span, String), Diagnostic>>,
}

impl<'d> Found<'d> {
    pub(super) fn new(document: &'d Document) -> Self {
        Self {
            document,
            problems: RefCell::default(),
        }
    }

    /// Records a problem of the value (or key) at `at`, more exactly of the part of it that reads
    /// `part`; `stage` is the stage that was being made.
    pub(super) fn report(&self, at: &KeyPath, part: &str, report: Report, stage: Option<&str>) {
        let (on, code, headline, help) = report;
        let span = self.span(at, part, on);
        let mut diagnostic = Diagnostic::error(code, headline);
        diagnostic = diagnostic.label(&self.document.source, span, "");
        if let Some(stage) = stage {
            diagnostic = diagnostic.note(format!("in the stage `{stage}`"));
        }
        diagnostic.help = help;
        self.add(span, diagnostic);
    }

    /// Records that no expression may stand in `what`.
    pub(super) fn no_expression_in(&self, at: &KeyPath, on: On, expression: &str, what: &str) {
        let headline = format!("`{expression}` may not stand in `{what}`");
        let help = match what {
            "vars" => "variables cannot be made of others: write the value itself",
            _ => "write `true` or `false`",
        };
        let report = (on, "no-template-here", headline, Some(help.to_owned()));
        self.report(at, expression, report, None);
    }

    /// Records a problem that has its places already.
    pub(super) fn take(&self, diagnostic: Diagnostic) {
        let span = diagnostic
            .labels
            .first()
            .map_or(Span { start: 0, end: 0 }, |label| label.span);
        self.add(span, diagnostic);
    }

    fn add(&self, span: Span, diagnostic: Diagnostic) {
        let key = (span, diagnostic.headline.clone());
        self.problems.borrow_mut().entry(key).or_insert(diagnostic);
    }

    /// Is anything wrong so far?
    pub(super) fn any(&self) -> bool {
        self.count() != 0
    }

    /// Returns how much is wrong so far.
    pub(super) fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// Returns all problems, in the order of the file.
    pub(super) fn into_problems(self) -> Vec<Diagnostic> {
        self.problems.into_inner().into_values().collect()
    }

    fn span(&self, at: &KeyPath, part: &str, on: On) -> Span {
        let mut at = Some(at.clone());
        let located = loop {
            match at {
                None => return Span { start: 0, end: 0 },
                Some(path) => match self.document.locate(&path) {
                    Some(located) => break located,
                    None => at = path.parent(),
                },
            }
        };
        let span = match on {
            On::Key => located.key.unwrap_or(located.value),
            On::Value => located.value,
        };
        // A text of several lines is located by its first one only, and may be folded or escaped:
        // the part is looked for a little behind it as well.
        let text = &self.document.source.text;
        let mut end = text.len().min(span.start + WINDOW);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        match text[span.start..end].find(part) {
            Some(i) if !part.is_empty() => Span {
                start: span.start + i,
                end: span.start + i + part.len(),
            },
            _ => span,
        }
    }
}

/// How far behind the beginning of a value a part of it is looked for, in bytes.
const WINDOW: usize = 4096;

//! Diagnostics as text (through annotate-snippets) or JSON. Imports: base, out.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_json::{Value, json};

use crate::base::diag::Label;
use crate::base::{Diagnostic, Severity};
use crate::cli::out::{Form, Out};

/// Shows every diagnostic, the last one last.
pub(in crate::cli) fn show_all(out: &Out, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        match out.form {
            Form::Text | Form::Md => out.error(&to_text(diagnostic, out.color())),
            Form::Json => out.json(&event(diagnostic)),
        }
    }
}

/// Returns the line that tells of a diagnostic in machine form.
pub(in crate::cli) fn event(diagnostic: &Diagnostic) -> Value {
    json!({"event": "error", "error": to_json(diagnostic)})
}

/// Returns the text form.
pub(in crate::cli) fn to_text(diagnostic: &Diagnostic, color: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level
        .primary_title(diagnostic.headline.as_str())
        .elements(snippets(&diagnostic.labels));
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.render(&[group])
}

/// One snippet per source, the first label of each pointing, the others as context.
fn snippets(labels: &[Label]) -> Vec<Snippet<'_, annotate_snippets::Annotation<'_>>> {
    let mut names: Vec<&str> = Vec::new();
    for label in labels {
        if !names.contains(&label.source.name.as_str()) {
            names.push(&label.source.name);
        }
    }
    names
        .into_iter()
        .filter_map(|name| {
            let mut here = labels.iter().filter(|l| l.source.name == name);
            let first = here.next()?;
            let annotate = |kind: AnnotationKind, label: &'_ Label| {
                let (start, end) = (label.span.start, label.span.end.max(label.span.start));
                kind.span(start..end)
            };
            let mut snippet = Snippet::source(first.source.text.as_str()).path(name);
            let primary = annotate(AnnotationKind::Primary, first);
            snippet = snippet.annotation(if first.text.is_empty() {
                primary
            } else {
                primary.label(first.text.as_str())
            });
            for label in here {
                let context = annotate(AnnotationKind::Context, label);
                snippet = snippet.annotation(context.label(label.text.as_str()));
            }
            Some(snippet)
        })
        .collect()
}

/// Returns the machine form: severity, code, message, places (1-based lines and columns), notes,
/// help.
pub(in crate::cli) fn to_json(diagnostic: &Diagnostic) -> Value {
    let places: Vec<Value> = diagnostic
        .labels
        .iter()
        .map(|label| {
            let (line, column) = label.source.line_column(label.span.start);
            let (end_line, end_column) = label.source.line_column(label.span.end);
            json!({
                "file": label.source.name, "line": line, "column": column,
                "end_line": end_line, "end_column": end_column, "text": label.text,
            })
        })
        .collect();
    json!({
        "severity": match diagnostic.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "code": diagnostic.code,
        "message": diagnostic.headline,
        "places": places,
        "notes": diagnostic.notes,
        "help": diagnostic.help,
    })
}

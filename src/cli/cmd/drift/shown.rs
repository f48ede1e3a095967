//! What `cvops drift check` found, as tables and lines, or as JSON.

use serde_json::Value;

use crate::base::{Diagnostic, units};
use crate::cli::ctx::Ctx;
use crate::cli::out::{Form, Style};
use crate::cli::render::diagnostic;
use crate::detect::checked::Verdict;
use crate::detect::{Checked, tables};
use crate::report::{Align, Table};

use super::new_data::NewData;

/// Pictures that are named.
const PICTURES_MAX: usize = 5;

/// Shows all of it; what could not be computed comes last and on stderr, except in JSON, which holds it.
pub(super) fn show(ctx: &Ctx, checked: &Checked, new: &NewData) {
    if ctx.out.form == Form::Json {
        ctx.out.json(&json_of(checked, new));
        return;
    }
    ctx.out.table(&tables::detectors(&checked.detectors));
    let moved = moved(checked);
    if !moved.rows().is_empty() {
        ctx.out.result("\n");
        ctx.out.table(&moved);
    }
    ctx.out.result("\n");
    for line in lines(checked) {
        ctx.out.result(&line);
    }
    let verdict = ctx.out.paint(style(checked.verdict), &checked.in_words());
    ctx.out.result(&verdict);
    for note in &checked.notes {
        ctx.out.note(note);
    }
    for one in &checked.detectors {
        let notes = one
            .measured()
            .into_iter()
            .flat_map(|measured| &measured.notes);
        for note in notes {
            ctx.out.note(&format!("{}: {note}", one.name));
        }
    }
    show_failures(ctx, checked);
}

/// Says on stderr which detectors could not be computed.
pub(super) fn show_failures(ctx: &Ctx, checked: &Checked) {
    for (one, reason) in checked.failed() {
        let headline = format!(
            "the detector `{}` could not be computed: {reason}",
            one.name
        );
        diagnostic::show_all(&ctx.out, &[Diagnostic::error("detector", headline)]);
    }
}

/// Returns all that was found, with what could not be read.
fn json_of(checked: &Checked, new: &NewData) -> Value {
    // Plain data with texts as keys always has a JSON form.
    let mut value = serde_json::to_value(checked).unwrap_or(Value::Null);
    if let Value::Object(map) = &mut value {
        map.insert("is_drift".to_owned(), Value::Bool(checked.is_drift()));
        map.insert("unreadable".to_owned(), new.unreadable_json());
        map.insert("unreadable_count".to_owned(), new.unreadable.len().into());
    }
    value
}

/// Returns the classes that became more or less frequent, those that moved most first.
fn moved(checked: &Checked) -> Table {
    let mut table = Table::new([
        ("predicted class", Align::Left),
        ("reference", Align::Right),
        ("here", Align::Right),
        ("difference", Align::Right),
    ]);
    for one in checked.moved() {
        table.row([
            one.class.clone(),
            percent(one.reference),
            percent(one.new),
            format!("{:+.1} %", 100.0 * one.difference),
        ]);
    }
    table
}

fn lines(checked: &Checked) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(accuracy) = &checked.accuracy {
        let counted = accuracy.actual.map_or_else(String::new, |actual| {
            format!("; {actual:.3} by their folders")
        });
        lines.push(format!(
            "accuracy: {:.3} on the reference, about {:.3} here as far as confidence tells{counted}",
            accuracy.reference, accuracy.estimated
        ));
    }
    if let Some(outliers) = &checked.outliers {
        lines.push(format!(
            "outliers: {} of {} ({}, where {} are usual)",
            units::count(outliers.rows, "picture"),
            checked.rows,
            percent(outliers.share),
            percent(outliers.false_positives)
        ));
    }
    if checked.is_drift() {
        let pictures = most_unlike(checked);
        lines.extend(pictures.map(|names| format!("most unlike the reference: {names}")));
    }
    lines
}

/// Names the pictures that are most unlike the reference; `None` if none has a name.
pub(super) fn most_unlike(checked: &Checked) -> Option<String> {
    let unlike = checked.witnesses.iter().flat_map(|found| &found.unlike);
    let names: Vec<&str> = unlike
        .filter_map(|one| one.picture.as_deref())
        .take(PICTURES_MAX)
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::NoDrift => Style::Good,
        Verdict::Drift | Verdict::Incomplete => Style::Bad,
    }
}

/// Returns a share as it is shown.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

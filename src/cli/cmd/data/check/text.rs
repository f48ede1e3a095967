//! What `cvops data check` says on the terminal and in JSON.

use serde_json::Value;

use super::Args;
use crate::audit::{Audit, Checked, Finding, Item, Severity};
use crate::base::units;
use crate::cli::ctx::Ctx;
use crate::cli::out::{Form, Style};
use crate::report::{Align, Table, Tone};

/// Items of a finding that are shown.
const ITEMS_SHOWN: usize = 5;

/// Shows what was found, and what was written.
pub(super) fn show(ctx: &Ctx, args: &Args, checked: &Checked) {
    let audit = &checked.audit;
    if ctx.out.form == Form::Json {
        let mut value = audit.to_json();
        if let (Value::Object(map), Some(path)) = (&mut value, &args.write_exclude) {
            map.insert(
                "exclude".to_owned(),
                Value::from(path.display().to_string()),
            );
            map.insert("to_exclude".to_owned(), Value::from(checked.remedies.len()));
        }
        ctx.out.json(&value);
        return;
    }
    if !audit.findings.is_empty() {
        ctx.out.table(&table(&audit.findings));
        let details = details(ctx, &audit.findings);
        if !details.is_empty() {
            ctx.out.result(&details);
        }
    }
    if ctx.out.is_verbose() && !audit.clean.is_empty() {
        let clean: Vec<&str> = audit.clean.iter().map(|check| check.id()).collect();
        ctx.out
            .note(&format!("nothing found: {}", clean.join(", ")));
    }
    if let Some(text) = accuracy(audit) {
        ctx.out.result(&format!("accuracy {text}"));
    }
    for note in &audit.notes {
        ctx.out
            .note(&ctx.out.paint(Style::Dim, &format!("note: {note}")));
    }
    if let Some(path) = &args.write_exclude {
        ctx.out.note(&format!(
            "{} to leave out in `{}`; `preprocess: {{exclude: …}}` in params.yaml makes it so",
            units::count(checked.remedies.len(), "picture"),
            path.display()
        ));
    }
    if let Some(path) = &args.html {
        ctx.out.note(&format!("look at {}", path.display()));
    }
    ctx.out.result(&verdict(ctx, audit));
}

fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new([
        ("Finding", Align::Left),
        ("Severity", Align::Left),
        ("Count", Align::Right),
        ("Limit", Align::Right),
        ("What", Align::Left),
    ]);
    for finding in findings {
        let limit = finding
            .limit
            .map_or_else(|| "-".to_owned(), |limit| limit.to_string());
        let row = [
            finding.check.id().to_owned(),
            finding.severity.name().to_owned(),
            finding.count.to_string(),
            limit,
            finding.title.clone(),
        ];
        let tone = if finding.fails() {
            Tone::Bad
        } else {
            Tone::Neutral
        };
        table.row(row).tone(2, tone);
    }
    table
}

/// Lists the first items of findings that matter; of all with `-v`, and all of them.
fn details(ctx: &Ctx, findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let matters = finding.fails() || finding.severity != Severity::Info;
        if !matters && !ctx.out.is_verbose() {
            continue;
        }
        let most = if ctx.out.is_verbose() {
            usize::MAX
        } else {
            ITEMS_SHOWN
        };
        text.push_str(&format!("\n{}: {}", finding.check.id(), finding.help));
        for item in finding.items.iter().take(most) {
            text.push_str(&format!("\n  {}", line(item)));
            for picture in item.pictures.iter().take(most) {
                text.push_str(&format!("\n    {}", line(picture)));
            }
            if most < item.pictures.len() {
                text.push_str(&format!(
                    "\n    and {} more (-v)",
                    item.pictures.len() - most
                ));
            }
        }
        if most < finding.count {
            text.push_str(&format!("\n  and {} more (-v)", finding.count - most));
        }
        text.push('\n');
    }
    text
}

/// Says one item: where it is, what is wrong, and what it is like.
fn line(item: &Item) -> String {
    let place = match (&item.path, item.split, &item.class) {
        (Some(path), _, _) => path.clone(),
        (None, Some(split), Some(class)) => format!("`{class}` in {}", split.name()),
        (None, Some(split), None) => split.name().to_owned(),
        (None, None, Some(class)) => format!("`{class}`"),
        (None, None, None) => String::new(),
    };
    let colon = if place.is_empty() { "" } else { ": " };
    let detail = &item.detail;
    item.other.as_ref().map_or_else(
        || format!("{place}{colon}{detail}"),
        |other| format!("{place} ~ {}{colon}{detail}", other.path),
    )
}

fn verdict(ctx: &Ctx, audit: &Audit) -> String {
    let failed = audit.failures().count();
    let images = units::count(audit.images, "image");
    let excluded = match audit.excluded {
        0 => String::new(),
        excluded => format!(" ({excluded} left out)"),
    };
    let findings = units::count(audit.findings.len(), "finding");
    match failed {
        0 => {
            let text = format!("passed: {findings} in {images}{excluded}, none above its limit");
            ctx.out.paint(Style::Good, &text)
        }
        failed => {
            let text =
                format!("failed: {failed} of {findings} in {images}{excluded} above the limit");
            ctx.out.paint(Style::Bad, &text)
        }
    }
}

/// Says what accuracy becomes without leaked pictures.
pub(super) fn accuracy(audit: &Audit) -> Option<String> {
    let found = audit.leak_accuracy?;
    let clean = found.clean_accuracy.map_or_else(
        || "nothing is left without them".to_owned(),
        |clean| format!("{clean:.3} without them"),
    );
    Some(format!(
        "{:.3} on the test split, {:.3} on its {} that are in train too, {clean}",
        found.accuracy,
        found.leaked_accuracy,
        units::count(found.leaked, "picture")
    ))
}

//! An audit as one self-contained page. Pure. Imports: report, `base::units`, `vision::dataset`,
//! `audit::{finding, learned, outliers, pictures, segments, shortcut}`.
//!
//! The page stays below 2 MB: each finding shows so many pictures, lists so many rows, and long names
//! are cut. The JSON form has all of it.

use crate::base::units;
use crate::report::chart::NumberFormat;
use crate::report::page::{Block, Page, Section, Tile, cut};
use crate::report::wording::{keep_end, sentence};
use crate::report::{Align, Table, Tone};

use super::finding::{Audit, Check, Finding, Severity};
use super::learned::{Judge, Learned};
use super::outliers::short;
use super::pictures::Pictures;
use super::segments::Segment;
use super::{FeatureSource, Shortcut};

mod charts;
mod items;

/// Rows of a table on the page.
const ROWS_MAX: usize = 50;
/// Characters of a name or path.
const NAME_MAX: usize = 100;

const PERCENT: NumberFormat = NumberFormat::Percent(1);

/// Returns the page of `audit`, which is about `pictures`. `facts` say what was checked: dataset, model,
/// date, each as name and value.
#[must_use]
pub fn page(audit: &Audit, pictures: &Pictures, facts: &[(String, String)]) -> Page {
    let mut sections = vec![verdict(audit)];
    let shown = audit
        .findings
        .iter()
        .filter(|finding| items::has_pictures(finding))
        .count();
    for finding in &audit.findings {
        sections.push(Section {
            heading: format!("{} ({})", name(finding.check), finding.count),
            blocks: of_finding(finding, audit, pictures, shown),
        });
    }
    if let Some(learned) = &audit.learned
        && !learned.shortcuts.is_empty()
    {
        sections.push(Section {
            heading: "What single properties tell".to_owned(),
            blocks: vec![Block::Table {
                table: shortcut_table(&learned.shortcuts, audit),
                caption:
                    "Skill is where the balanced accuracy of a classifier that sees only this \
                          property lies between chance (0) and certainty (1)."
                        .to_owned(),
            }],
        });
    }
    sections.push(Section {
        heading: "Classes".to_owned(),
        blocks: charts::classes(audit),
    });
    let properties = charts::properties(pictures);
    if !properties.is_empty() {
        sections.push(Section {
            heading: "Properties by split".to_owned(),
            blocks: vec![Block::Charts(properties)],
        });
    }
    if !audit.notes.is_empty() {
        sections.push(Section {
            heading: "What was not checked".to_owned(),
            blocks: audit.notes.iter().cloned().map(Block::Prose).collect(),
        });
    }
    Page {
        title: "Data check".to_owned(),
        subtitle: subtitle(audit),
        facts: facts.to_vec(),
        sections,
        footer: "Written by cvops data check; its JSON form holds the same facts in full."
            .to_owned(),
    }
}

fn subtitle(audit: &Audit) -> String {
    let failures = audit.failures().count();
    let findings = units::count(audit.findings.len(), "finding");
    match (failures, audit.findings.len()) {
        (_, 0) => "Passed: nothing was found".to_owned(),
        (0, _) => format!("Passed: {findings}, none above its limit"),
        (1, 1) => "Failed: the one finding is above its limit".to_owned(),
        (_, _) => format!("Failed: {failures} of {findings} above the limit"),
    }
}

fn verdict(audit: &Audit) -> Section {
    let tile = |label: &str, value: usize, note: &str| Tile {
        label: label.to_owned(),
        value: value.to_string(),
        note: note.to_owned(),
    };
    let of = |severity| {
        let findings = audit.findings.iter();
        findings
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let mut tiles = vec![
        tile("images", audit.images, "usable"),
        tile(
            "errors",
            of(Severity::Error),
            "findings that harm a model or its figures",
        ),
        tile("warnings", of(Severity::Warning), "findings that may"),
        tile("notices", of(Severity::Info), "good to know"),
    ];
    if 0 < audit.excluded {
        tiles.push(tile("excluded", audit.excluded, "not looked at"));
    }
    let mut blocks = vec![Block::Tiles(tiles)];
    if !audit.findings.is_empty() {
        blocks.push(Block::Table {
            table: finding_table(&audit.findings),
            caption: String::new(),
        });
    }
    if !audit.clean.is_empty() {
        let clean = audit.clean.iter().map(|check| format!("`{}`", check.id()));
        let clean: Vec<String> = clean.collect();
        blocks.push(Block::Prose(format!(
            "Nothing was found by {}.",
            clean.join(", ")
        )));
    }
    Section {
        heading: "Verdict".to_owned(),
        blocks,
    }
}

fn finding_table(findings: &[Finding]) -> Table {
    let mut table = Table::new([
        ("finding", Align::Left),
        ("severity", Align::Left),
        ("count", Align::Right),
        ("limit", Align::Right),
        ("verdict", Align::Left),
        ("what", Align::Left),
    ]);
    for finding in findings {
        let limit = finding
            .limit
            .map_or("none".to_owned(), |limit| limit.to_string());
        let (verdict, tone) = if finding.fails() {
            ("above the limit", Tone::Bad)
        } else {
            ("within", Tone::Good)
        };
        table
            .row([
                finding.check.id(),
                finding.severity.name(),
                &finding.count.to_string(),
                &limit,
                verdict,
                &finding.title,
            ])
            .tone(4, tone);
    }
    table
}

/// Returns the blocks of one of the findings, `shown` of which have pictures.
fn of_finding(finding: &Finding, audit: &Audit, pictures: &Pictures, shown: usize) -> Vec<Block> {
    let mut blocks = vec![Block::Prose(format!(
        "{}: {}.",
        sentence(&finding.title),
        finding.help
    ))];
    match (&audit.learned, finding.check) {
        (Some(learned), Check::LabelErrors) => {
            blocks.extend(about_labels(learned, audit));
            blocks.extend(items::blocks(finding, audit, pictures, shown));
        }
        (Some(learned), Check::WeakSegments) => {
            blocks.push(Block::Table {
                table: segment_table(&learned.segments, audit),
                caption: match learned.judge {
                    Some(Judge::Model) => {
                        "Accuracy of the model on pictures that it was not trained on."
                    }
                    Some(Judge::Probe) | None => {
                        "Accuracy of a simple classifier on pictures that it has not seen."
                    }
                }
                .to_owned(),
            });
            blocks.extend(cut(learned.segments.len(), ROWS_MAX));
            blocks.extend(items::of_groups(finding, audit, pictures, shown));
        }
        (_, _) => blocks.extend(items::blocks(finding, audit, pictures, shown)),
    }
    blocks
}

fn about_labels(learned: &Learned, audit: &Audit) -> Vec<Block> {
    let Some(labels) = &learned.labels else {
        return Vec::new();
    };
    let seen = match learned.features {
        Some(FeatureSource::Embedding) => "what the model makes of the pictures",
        Some(FeatureSource::Logits) => "the model's logits",
        Some(FeatureSource::Pixels) | None => "principal components of the pixels",
    };
    let accuracy = learned.balanced_accuracy.unwrap_or(f64::NAN);
    let text = format!(
        "About {:.0} of {} labels are wrong by confident learning. The classifier sees {seen}, and agrees \
         with {} of the labels that it has not seen (mean over the classes).",
        labels.estimated,
        audit.images,
        PERCENT.show(accuracy)
    );
    let mut table = Table::new([
        ("labelled", Align::Left),
        ("rather", Align::Left),
        ("labels", Align::Right),
    ]);
    for pair in labels.pairs.iter().take(ROWS_MAX / 5) {
        table.row([
            class(audit, pair.given),
            class(audit, pair.right),
            format!("{:.1}", pair.estimated),
        ]);
    }
    let mut blocks = vec![Block::Prose(text)];
    if !labels.pairs.is_empty() {
        blocks.push(Block::Table {
            table,
            caption: "Estimated number of wrong labels, the most frequent pairs of classes."
                .to_owned(),
        });
    }
    blocks
}

fn segment_table(segments: &[Segment], audit: &Audit) -> Table {
    let mut table = Table::new([
        ("property", Align::Left),
        ("class", Align::Left),
        ("from", Align::Right),
        ("to", Align::Right),
        ("images", Align::Right),
        ("accuracy", Align::Right),
        ("rest", Align::Right),
        ("lost", Align::Right),
        ("p", Align::Right),
    ]);
    for segment in segments.iter().take(ROWS_MAX) {
        let mut properties = vec![segment.property];
        properties.extend(&segment.also);
        table
            .row([
                properties.join(", "),
                segment
                    .class
                    .map_or("all".to_owned(), |index| class(audit, index)),
                short(segment.from),
                short(segment.to),
                segment.support.to_string(),
                PERCENT.show(segment.accuracy),
                PERCENT.show(segment.rest_accuracy),
                format!("{:.1}", segment.loss),
                p_value(segment.p),
            ])
            .tone(5, Tone::Bad);
    }
    table
}

fn shortcut_table(shortcuts: &[Shortcut], audit: &Audit) -> Table {
    let mut table = Table::new([
        ("property", Align::Left),
        ("tells", Align::Left),
        ("balanced accuracy", Align::Right),
        ("by chance", Align::Right),
        ("skill", Align::Right),
        ("ROC AUC", Align::Right),
        ("p", Align::Right),
        ("verdict", Align::Left),
    ]);
    for shortcut in shortcuts.iter().take(ROWS_MAX) {
        let (verdict, tone) = if shortcut.alarm {
            ("shortcut", Tone::Bad)
        } else {
            ("none", Tone::Neutral)
        };
        table
            .row([
                shortcut.property.to_owned(),
                shortcut
                    .class
                    .map_or("all classes".to_owned(), |index| class(audit, index)),
                PERCENT.show(shortcut.balanced_accuracy),
                PERCENT.show(shortcut.chance),
                format!("{:.2}", shortcut.skill),
                shortcut
                    .auc
                    .map_or(String::new(), |area| format!("{area:.3}")),
                p_value(shortcut.p),
                verdict.to_owned(),
            ])
            .tone(7, tone);
    }
    table
}

fn p_value(p: f64) -> String {
    if p < 0.0001 {
        "< 0.0001".to_owned()
    } else {
        format!("{p:.4}")
    }
}

/// Returns the name of a class, as long as it may be shown.
fn class(audit: &Audit, index: u32) -> String {
    audit
        .classes
        .get(index as usize)
        .map_or(String::new(), |name| shortened(name))
}

/// Cuts the front of a long name: paths differ at their end.
fn shortened(name: &str) -> String {
    keep_end(name, NAME_MAX)
}

/// Returns the heading of a check.
fn name(check: Check) -> String {
    sentence(&check.id().replace('-', " "))
}

#[cfg(test)]
mod tests;

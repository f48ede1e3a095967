//! A check as one self-contained page. Pure: the same input gives the same bytes. Imports: report, `base::units`,
//! vision, `detect::{checked, features, fitted, tables}`.
//!
//! The page stays below 2 MB whatever was checked: so many pictures, points, curves and rows are shown, and
//! long names are cut. The JSON form has all of it. `served::page` shares parts of it.

use std::path::PathBuf;

use crate::base::units;
use crate::report::chart::NumberFormat;
use crate::report::page::{Block, Page, Section, Tile, cut};
use crate::report::wording::{keep_end, keep_start, sentence};
use crate::report::{Align, Table};

use super::checked::{Checked, Verdict};
use super::features::Features;
use super::fitted::{Fitted, Thumbnails};
use super::tables;

pub(super) mod classes;
mod curves;
pub(super) mod next;
mod pictures;
mod plane;

/// Rows of a table on the page.
const ROWS_MAX: usize = 50;
/// Characters of a name or path, and of a reason or note.
const NAME_MAX: usize = 100;
pub(super) const TEXT_MAX: usize = 400;
/// Digits of a hash that are shown.
const HASH_SHOWN: usize = 12;

pub(super) const PERCENT: NumberFormat = NumberFormat::Percent(1);

/// What the page shows beside what was found.
#[derive(Clone, Copy, Debug)]
pub struct Illustration<'a> {
    /// The detectors that found it.
    pub fitted: &'a Fitted,
    /// The rows that were compared.
    pub new: &'a Features,
    /// Pictures of those that [`Checked::rows_shown`] names; `None` where only the model's answers are known.
    pub pictures: Option<&'a Thumbnails>,
    /// Files that are no pictures, and why.
    pub unreadable: &'a [(PathBuf, String)],
    /// What was compared, for the head of the page: name and value.
    pub facts: &'a [(String, String)],
}

/// Returns the page of `checked`, which `about.fitted` found of `about.new`.
#[must_use]
pub fn page(checked: &Checked, about: Illustration<'_>) -> Page {
    let sections = [
        Some(verdict(checked, about)),
        Some(detectors(checked)),
        classes::section(checked),
        pictures::unlike(checked, about),
        curves::answers(checked, about),
        curves::properties(checked, about),
        plane::section(checked, about),
        pictures::outliers(checked, about),
        unreadable(about.unreadable),
        notes(checked, about.fitted),
        Some(next::section(checked, about.unreadable.len())),
    ];
    Page {
        title: "Drift check".to_owned(),
        subtitle: keep_start(&format!("{}.", sentence(&checked.in_words())), TEXT_MAX),
        facts: facts(checked, about.facts),
        sections: sections.into_iter().flatten().collect(),
        footer: "Written by cvops drift check; its JSON form holds the same facts in full."
            .to_owned(),
    }
}

/// Returns what the head of the page says: `given`, then what is known of the reference.
pub(super) fn facts(checked: &Checked, given: &[(String, String)]) -> Vec<(String, String)> {
    let reference = &checked.reference;
    let hash = |text: &str| text.chars().take(HASH_SHOWN).collect::<String>();
    let split = format!(
        "{} of the {} split",
        units::count(reference.rows, "picture"),
        reference.split
    );
    let told = [
        ("Reference", split),
        ("Prepared data of the reference", hash(&reference.data)),
        ("Weights", hash(&reference.model)),
        ("Chance of a false alarm", tables::number(checked.alpha)),
    ];
    let given = given
        .iter()
        .map(|(name, value)| (name.clone(), keep_start(value, TEXT_MAX)));
    let told = told.map(|(name, value)| (name.to_owned(), value));
    given.chain(told).collect()
}

fn verdict(checked: &Checked, about: Illustration<'_>) -> Section {
    let all = checked.detectors.len();
    let against = format!("compared with {}", checked.reference.rows);
    let mut tiles = vec![
        tile(
            "detectors that found drift",
            format!("{} of {all}", checked.fired().count()),
            "",
        ),
        tile("pictures", checked.rows.to_string(), &against),
    ];
    let failed = checked.failed().count();
    if 0 < failed {
        tiles.push(tile("not computed", failed.to_string(), "see the notes"));
    }
    if let Some(accuracy) = &checked.accuracy {
        let reference = format!("{} on the reference", PERCENT.show(accuracy.reference));
        if let Some(actual) = accuracy.actual {
            let value = PERCENT.show(actual);
            tiles.push(tile("accuracy, counted", value, &reference));
        }
        let value = PERCENT.show(accuracy.estimated);
        let note = format!("{reference}; by average thresholded confidence, which knows no labels");
        tiles.push(tile("accuracy, estimated", value, &note));
    }
    if let Some(outliers) = &checked.outliers {
        let note = format!("{} are usual", PERCENT.show(outliers.false_positives));
        tiles.push(tile("outliers", PERCENT.show(outliers.share), &note));
    }
    if !about.unreadable.is_empty() {
        let count = about.unreadable.len().to_string();
        tiles.push(tile("files that are no pictures", count, "left out"));
    }
    Section {
        heading: "Verdict".to_owned(),
        blocks: vec![Block::Prose(in_words(checked)), Block::Tiles(tiles)],
    }
}

/// Returns a key figure.
pub(super) fn tile(label: &str, value: String, note: &str) -> Tile {
    Tile {
        label: label.to_owned(),
        value,
        note: note.to_owned(),
    }
}

/// Returns what was found in a few sentences.
fn in_words(checked: &Checked) -> String {
    let verdict = match checked.verdict {
        Verdict::Drift => {
            "The new pictures are not like those that the model was tested on, beyond what chance explains."
        }
        Verdict::NoDrift => {
            "Nothing says that the new pictures differ from those that the model was tested on, beyond what \
             chance explains."
        }
        Verdict::Incomplete => {
            "What was computed shows no difference, but not all could be: that is no \"no drift\"."
        }
    };
    let accuracy = checked.accuracy.as_ref().map_or(String::new(), |accuracy| {
        let reference = PERCENT.show(accuracy.reference);
        match accuracy.actual {
            Some(actual) => format!(
                " The model is right on {} of them, on the reference on {reference}.",
                PERCENT.show(actual)
            ),
            None => format!(
                " As far as its confidence tells, the model is right on about {} of them, on the reference on \
                 {reference}.",
                PERCENT.show(accuracy.estimated)
            ),
        }
    });
    format!("{verdict}{accuracy}")
}

pub(super) fn detectors(checked: &Checked) -> Section {
    let shown = &checked.detectors[..checked.detectors.len().min(ROWS_MAX)];
    let mut blocks = vec![Block::Table {
        table: tables::detectors(shown),
        caption: "The p-value is the chance of a statistic at least as large if nothing changed; of several \
                  features it is the smallest, and what it must fall below allows for their number. The effect \
                  says how large the difference is, whatever the number of pictures: in standard deviations of \
                  the reference, as Cramér's V of classes, or as a distance (mmd, lsdd)."
            .to_owned(),
    }];
    blocks.extend(cut(checked.detectors.len(), ROWS_MAX));
    let notes = shown.iter().flat_map(|one| {
        let notes = one.measured().into_iter().flat_map(|found| &found.notes);
        notes.map(move |note| format!("{}: {note}", one.name))
    });
    blocks.extend(prose(notes));
    Section {
        heading: "What each detector says".to_owned(),
        blocks,
    }
}

fn unreadable(files: &[(PathBuf, String)]) -> Option<Section> {
    if files.is_empty() {
        return None;
    }
    let mut table = Table::new([("file", Align::Left), ("why", Align::Left)]);
    for (path, reason) in files.iter().take(ROWS_MAX) {
        let path = shortened(&path.display().to_string());
        table.row([path, keep_start(reason, TEXT_MAX)]);
    }
    let mut blocks = vec![Block::Table {
        table,
        caption: "They were not compared.".to_owned(),
    }];
    blocks.extend(cut(files.len(), ROWS_MAX));
    Some(Section {
        heading: "Files that are no pictures".to_owned(),
        blocks,
    })
}

/// Returns what could not be told, and why.
fn notes(checked: &Checked, fitted: &Fitted) -> Option<Section> {
    let failed = checked
        .failed()
        .map(|(one, reason)| format!("The detector {} could not be computed: {reason}.", one.name));
    let left_out = checked.notes.iter().chain(fitted.notes());
    let left_out = left_out.map(|note| sentence(note));
    let blocks = prose(failed.chain(left_out));
    (!blocks.is_empty()).then(|| Section {
        heading: "What could not be told".to_owned(),
        blocks,
    })
}

/// Returns a paragraph for each of the first texts.
pub(super) fn prose(texts: impl Iterator<Item = String>) -> Vec<Block> {
    let texts: Vec<String> = texts.collect();
    let first = texts.iter().take(ROWS_MAX);
    let mut blocks: Vec<Block> = first
        .map(|text| Block::Prose(keep_start(text, TEXT_MAX)))
        .collect();
    blocks.extend(cut(texts.len(), ROWS_MAX));
    blocks
}

/// Cuts a long name.
pub(super) fn shortened(name: &str) -> String {
    keep_end(name, NAME_MAX)
}

#[cfg(test)]
mod tests;

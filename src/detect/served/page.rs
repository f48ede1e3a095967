//! What was served over a time as one self-contained page. Pure: the same input gives the same bytes.
//! Imports: report, `base::{clock, units}`, `detect::{checked, fitted, page, served, tables}`.
//!
//! `windows` is the table of windows, `over_time` the charts. What all answers together say is shown as a check shows
//! it. The page stays below 2 MB, as windows, curves and pictures are bounded and long names are cut.

use std::collections::BTreeMap;

use crate::base::clock;
use crate::base::units;
use crate::report::Tone;
use crate::report::page::{Block, Page, Picture, PictureFact, Section, Tile, fitting};
use crate::report::wording::{keep_start, sentence};

use super::super::checked::{Checked, Verdict, Witness};
use super::super::fitted::Fitted;
use super::super::page::{
    PERCENT, TEXT_MAX, classes, detectors, facts, next, prose, shortened, tile,
};
use super::super::tables::number;
use super::Served;

mod over_time;
mod windows;

/// Bytes that pictures may add to the page.
const ROOM: usize = 400_000;

/// What the page shows beside what was found.
#[derive(Clone, Copy, Debug)]
pub struct Illustration<'a> {
    /// The detectors that found it.
    pub fitted: &'a Fitted,
    /// What was compared, for the head of the page: name and value.
    pub facts: &'a [(String, String)],
    /// What should be known of the numbers.
    pub notes: &'a [String],
    /// Pictures of answers as PNG files, by the names of the answers.
    pub pictures: &'a BTreeMap<String, Vec<u8>>,
}

/// Returns the page of `served`.
#[must_use]
pub fn page(served: &Served, about: Illustration<'_>) -> Page {
    let checked = &served.whole.checked;
    let sections = [
        Some(verdict(served)),
        Some(windows::section(served)),
        over_time::detectors(served, about.fitted),
        over_time::classes(served),
        over_time::accuracy(served),
        over_time::confidence(served),
        Some(all_together(detectors(checked))),
        classes::section(checked).map(all_together),
        unlike(checked, about.pictures),
        notes(checked, about),
        Some(what_next(served)),
    ];
    Page {
        title: "Drift report".to_owned(),
        subtitle: keep_start(&format!("{}.", sentence(&served.in_words())), TEXT_MAX),
        facts: facts(checked, &[of_time(served).as_slice(), about.facts].concat()),
        sections: sections.into_iter().flatten().collect(),
        footer: "Written by cvops drift report; its JSON form holds the same facts in full."
            .to_owned(),
    }
}

fn of_time(served: &Served) -> Vec<(String, String)> {
    let [from, until] = [served.from, served.until].map(clock::utc_minute);
    let mut told = vec![("Time (UTC)".to_owned(), format!("{from} to {until}"))];
    if served.update.follows() {
        let rule = format!("follows: {}", served.update);
        told.push(("Reference of the windows".to_owned(), rule));
    }
    told
}

fn verdict(served: &Served) -> Section {
    let whole = &served.whole;
    let all = served.windows.len();
    let against = format!("compared with {}", whole.checked.reference.rows);
    let mut tiles = vec![
        tile(
            "windows with drift",
            format!("{} of {all}", served.drifted().count()),
            "",
        ),
        tile("answers", whole.images.to_string(), &against),
    ];
    if let Some(lasting) = served.lasting {
        let note = if lasting.perhaps_longer {
            "UTC; from the first window on, so perhaps longer"
        } else {
            "UTC"
        };
        tiles.push(tile("drift since", clock::utc_minute(lasting.since), note));
    }
    tiles.extend(accuracy_tiles(served));
    if let Some(outliers) = &whole.checked.outliers {
        let note = format!("{} are usual", PERCENT.show(outliers.false_positives));
        tiles.push(tile("outliers", PERCENT.show(outliers.share), &note));
    }
    let verdict = match served.verdict {
        Verdict::Drift => {
            "What was served is not like the pictures that the model was tested on, beyond what chance explains."
        }
        Verdict::NoDrift => {
            "Nothing says that what was served differs from the pictures that the model was tested on, beyond what \
             chance explains."
        }
        Verdict::Incomplete => {
            "What was computed shows no difference, but not all could be: that is no \"no drift\"."
        }
    };
    Section {
        heading: "Verdict".to_owned(),
        blocks: vec![Block::Prose(verdict.to_owned()), Block::Tiles(tiles)],
    }
}

fn accuracy_tiles(served: &Served) -> Vec<Tile> {
    let whole = &served.whole;
    let mut tiles = Vec::new();
    if let Some(accuracy) = whole.figures.accuracy {
        let judged = format!("of the {} that somebody judged", whole.judged);
        tiles.push(tile("accuracy, judged", PERCENT.show(accuracy), &judged));
    }
    if let Some(accuracy) = &whole.checked.accuracy {
        let note = format!(
            "{} on the reference; by average thresholded confidence, which knows no labels",
            PERCENT.show(accuracy.reference)
        );
        let value = PERCENT.show(accuracy.estimated);
        tiles.push(tile("accuracy, estimated", value, &note));
    }
    tiles
}

/// Says of a section of a check that it is about all answers.
fn all_together(section: Section) -> Section {
    Section {
        heading: format!("All together: {}", section.heading.to_lowercase()),
        ..section
    }
}

/// Returns the pictures that are most unlike the reference; `None` if none is there.
fn unlike(checked: &Checked, pictures: &BTreeMap<String, Vec<u8>>) -> Option<Section> {
    let found = checked.witnesses.as_ref()?;
    let shown = |one: &Witness| {
        let name = one.picture.as_ref()?;
        let png = pictures.get(name)?.clone();
        let class = shortened(&one.class);
        Some(Picture {
            png,
            alt: format!("answer {}: taken for {class}", shortened(name)),
            facts: vec![
                PictureFact::new("taken for", class, Tone::Neutral),
                PictureFact::new("witness", number(one.value), Tone::Neutral),
                PictureFact::new("answer", shortened(name), Tone::Neutral),
            ],
        })
    };
    let shown = fitting(found.unlike.iter().filter_map(shown), ROOM);
    if shown.is_empty() {
        return None;
    }
    let text = format!(
        "As the model saw them, the most unlike first: by the witness function of the maximum mean discrepancy of the \
         {}. An answer is named by its request's id and the place of the picture in it.",
        found.input.name()
    );
    Some(Section {
        heading: "Served pictures most unlike the reference".to_owned(),
        blocks: vec![Block::Prose(text), Block::Pictures(shown)],
    })
}

fn notes(checked: &Checked, about: Illustration<'_>) -> Option<Section> {
    let failed = checked
        .failed()
        .map(|(one, reason)| format!("The detector {} could not be computed: {reason}.", one.name));
    let told = about.notes.iter().chain(about.fitted.notes());
    let blocks = prose(failed.chain(told.map(|note| sentence(note))));
    (!blocks.is_empty()).then(|| Section {
        heading: "What to know of these numbers".to_owned(),
        blocks,
    })
}

fn what_next(served: &Served) -> Section {
    let whole = &served.whole;
    let mut steps = Vec::new();
    match served.verdict {
        Verdict::Drift => {
            if let Some(lasting) = served.lasting {
                steps.push(format!(
                    "Find out what changed about {} (UTC), or in the window before: what was released, who began to \
                     send, from which cameras.",
                    clock::utc_minute(lasting.since)
                ));
            }
            let last = served.drifted().last();
            let last = last.filter(|_| !whole.checked.is_drift());
            steps.extend(next::after_drift(&last.unwrap_or(whole).checked));
            if whole.judged == 0 {
                steps.push(
                    "Nobody has judged an answer of this time. Judge some (cvops ui, page Serving, or POST /feedback): the \
                     next report then says how often the model is right."
                        .to_owned(),
                );
            }
        }
        Verdict::NoDrift => steps.push(
            "Nothing has to be done. The fewer answers a window has, and the more windows there are, the larger a \
             difference must be to be found in one."
                .to_owned(),
        ),
        Verdict::Incomplete => steps.push(format!(
            "See what could not be computed, and why; {} in all may be too few. Take a longer time, or longer windows.",
            units::count(whole.images, "answer")
        )),
    }
    if served.update.follows() {
        steps.push(
            "The reference of the windows followed what was served. Hold this report against one without an update \
             before you conclude that nothing moved: slow drift shows there only."
                .to_owned(),
        );
    }
    Section {
        heading: "What to do next".to_owned(),
        blocks: steps.into_iter().map(Block::Prose).collect(),
    }
}

#[cfg(test)]
mod tests;

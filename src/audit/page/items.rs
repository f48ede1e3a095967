//! What a finding is about, on the page: its pictures, or its rows as a table.
//! Imports: report, `vision::{dataset`, image}, `audit::{finding, learned, pictures}`.

use std::collections::BTreeMap;

use crate::report::page::{Block, Picture, PictureFact, fitting};
use crate::report::{Align, Table, Tone};
use crate::vision::dataset::Split;
use crate::vision::image::{Channels, shrunk, thumbnail_of};

use super::super::finding::{Audit, Check, Finding, Item, Place};
use super::super::learned::DoubtfulLabel;
use super::super::pictures::Pictures;
use super::{PERCENT, ROWS_MAX, class, cut, shortened};

/// Pictures of a finding.
const PICTURES_MAX: usize = 24;
/// Items with pictures of their own that show them, and how many each shows.
const GROUPS_MAX: usize = 8;
const GROUP_MAX: usize = 6;
/// Bytes that all pictures may add to the page.
const BYTES_MAX: usize = 1_000_000;
/// Longest side of a pair.
const PAIR_MAX: u32 = 132;
/// Between two pictures of a pair.
const GAP: usize = 2;
const GAP_GREY: u8 = 128;

/// Is any item of the finding a picture that can be shown?
pub(super) fn has_pictures(finding: &Finding) -> bool {
    let mut items = finding.items.iter();
    items.any(|item| item.row.is_some() || !item.pictures.is_empty())
}

/// Returns the first pictures of each of the first items that have some of their own. `findings` share
/// the room for pictures.
pub(super) fn of_groups(
    finding: &Finding,
    audit: &Audit,
    pictures: &Pictures,
    findings: usize,
) -> Vec<Block> {
    let with_pictures = || {
        finding
            .items
            .iter()
            .filter(|item| !item.pictures.is_empty())
    };
    let groups = with_pictures().count();
    let room = BYTES_MAX / findings.max(1) / groups.clamp(1, GROUPS_MAX);
    let mut blocks = Vec::new();
    for item in with_pictures().take(GROUPS_MAX) {
        let of_class = item.class.as_deref().map(shortened);
        let of_class = of_class.map_or(String::new(), |class| format!("`{class}`: "));
        blocks.push(Block::Prose(format!("{of_class}{}", item.detail)));
        let first = item.pictures.iter().take(GROUP_MAX);
        let made = first.filter_map(|item| picture(item, audit, pictures, &BTreeMap::new()));
        let shown = fitting(made, room);
        let count = shown.len();
        if !shown.is_empty() {
            blocks.push(Block::Pictures(shown));
        }
        blocks.extend(cut(item.pictures.len(), count));
    }
    if GROUPS_MAX < groups {
        blocks.push(Block::Prose(format!(
            "The pictures of the first {GROUPS_MAX} of {groups}."
        )));
    }
    blocks
}

/// Returns the first items of a finding, as pictures if they are some. `findings` of them share the room
/// for pictures.
pub(super) fn blocks(
    finding: &Finding,
    audit: &Audit,
    pictures: &Pictures,
    findings: usize,
) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (pictured, plain): (Vec<&Item>, Vec<&Item>) =
        finding.items.iter().partition(|item| item.row.is_some());
    if !pictured.is_empty() {
        let suspects = suspects(finding, audit);
        let first = pictured.iter().take(PICTURES_MAX);
        let made = first.filter_map(|item| picture(item, audit, pictures, &suspects));
        let shown = fitting(made, BYTES_MAX / findings.max(1));
        let count = shown.len();
        if !shown.is_empty() {
            blocks.push(Block::Pictures(shown));
        }
        blocks.extend(cut(pictured.len(), count));
    }
    if !plain.is_empty() {
        blocks.push(Block::Table {
            table: table(&plain),
            caption: String::new(),
        });
        blocks.extend(cut(plain.len(), ROWS_MAX));
    }
    blocks
}

/// Returns what was said of the labels of pictures, by row.
fn suspects<'a>(finding: &Finding, audit: &'a Audit) -> BTreeMap<usize, &'a DoubtfulLabel> {
    let learned = audit
        .learned
        .iter()
        .filter(|_| finding.check == Check::LabelErrors);
    let labels = learned.filter_map(|learned| learned.labels.as_ref());
    labels
        .flat_map(|labels| &labels.suspects)
        .map(|suspect| (suspect.row, suspect))
        .collect()
}

fn picture(
    item: &Item,
    audit: &Audit,
    pictures: &Pictures,
    suspects: &BTreeMap<usize, &DoubtfulLabel>,
) -> Option<Picture> {
    let row = item.row?;
    let path = shortened(item.path.as_deref().unwrap_or_default());
    let split = item.split.map_or("", Split::name);
    let of_class = shortened(item.class.as_deref().unwrap_or_default());
    let neutral = |name: &str, value: &str| PictureFact::new(name, value, Tone::Neutral);
    if let Some(suspect) = suspects.get(&row) {
        let with =
            |index, probability| format!("{}, {}", class(audit, index), PERCENT.show(probability));
        let suggested = class(audit, suspect.suggested);
        return Some(Picture {
            png: thumbnail_of(&pictures.pixels, row)?,
            alt: format!("{path}: labelled {of_class}, rather {suggested}"),
            facts: vec![
                PictureFact::new(
                    "labelled",
                    with(suspect.given, suspect.given_probability),
                    Tone::Bad,
                ),
                PictureFact::new(
                    "rather",
                    with(suspect.suggested, suspect.suggested_probability),
                    Tone::Good,
                ),
                neutral("split", split),
                neutral("file", &path),
            ],
        });
    }
    if let Some(other) = &item.other {
        let place = |path: &str, split: &str, class: &str| format!("{path} ({split}, {class})");
        let Place {
            path: second,
            split: other_split,
            class: other_class,
            row: other_row,
        } = other;
        let second = shortened(second);
        return Some(Picture {
            png: pair(pictures, row, *other_row)?,
            alt: format!("{path} beside {second}"),
            facts: vec![
                neutral("left", &place(&path, split, &of_class)),
                neutral(
                    "right",
                    &place(&second, other_split.name(), &shortened(other_class)),
                ),
                PictureFact::sentence("what", &item.detail),
            ],
        });
    }
    Some(Picture {
        png: thumbnail_of(&pictures.pixels, row)?,
        alt: format!("{path}: {}", item.detail.replace('`', "")),
        facts: vec![
            PictureFact::sentence("what", &item.detail),
            neutral("class", &of_class),
            neutral("split", split),
            neutral("file", &path),
        ],
    })
}

/// Returns two pictures beside each other as one PNG file.
fn pair(pictures: &Pictures, left: usize, right: usize) -> Option<Vec<u8>> {
    let pixels = &pictures.pixels;
    let channels = Channels::from_count(pixels.channels() as u64)?;
    if pixels.count() <= left.max(right) {
        return None;
    }
    let stride = pixels.width() * pixels.channels();
    let gap = vec![GAP_GREY; GAP * pixels.channels()];
    let values: Vec<u8> = pixels
        .image(left)
        .chunks_exact(stride)
        .zip(pixels.image(right).chunks_exact(stride))
        .flat_map(|(left, right)| [left, &gap, right].concat())
        .collect();
    let png = shrunk(
        &values,
        pixels.height(),
        2 * pixels.width() + GAP,
        channels,
        PAIR_MAX,
    );
    (!png.is_empty()).then_some(png)
}

/// Lists items that are no pictures, with the columns that any of them fills.
fn table(items: &[&Item]) -> Table {
    const TITLES: [&str; 5] = ["file", "split", "class", "what", "other file"];
    const WHAT: usize = 3;
    let other = |other: &Place| format!("{} ({})", shortened(&other.path), other.split.name());
    let cells = |item: &&Item| {
        [
            item.path.as_deref().map(shortened),
            item.split.map(|split| split.name().to_owned()),
            item.class.as_deref().map(shortened),
            Some(item.detail.clone()),
            item.other.as_ref().map(other),
        ]
    };
    let rows: Vec<_> = items.iter().take(ROWS_MAX).map(cells).collect();
    let used: Vec<usize> = (0..TITLES.len())
        .filter(|at| rows.iter().any(|row| row[*at].is_some()))
        .collect();
    let mut table = Table::new(used.iter().map(|at| (TITLES[*at], Align::Left)));
    if let Some(what) = used.iter().position(|at| *at == WHAT) {
        table.sentences(what);
    }
    for row in &rows {
        table.row(used.iter().map(|at| row[*at].clone().unwrap_or_default()));
    }
    table
}

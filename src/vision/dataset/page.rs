//! The data card as a page: `card.html` of prepared data. Pure.
//! Imports: `dataset::{card, split}`, `report`.

use crate::base::units;
use crate::report::chart::{Bar, BarChart, NumberFormat};
use crate::report::page::{Block, Chart, Page, Picture, Section, Tile};
use crate::report::{Align, Table};

use super::card::{DataCard, Group};
use super::split::Split;

/// Rows of a list on the page; `card.json` has them all.
const ROWS_MAX: usize = 100;
/// Classes in the bar chart; the table has them all.
const BARS_MAX: usize = 50;
/// Thumbnails of one class, and of the whole page.
const THUMBNAILS_PER_CLASS_MAX: usize = 8;
const THUMBNAILS_MAX: usize = 400;

/// A training picture as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thumbnail {
    /// Relative to the dataset's folder.
    pub(crate) path: String,
    /// Index of its class.
    pub(crate) label: u32,
    /// A PNG file.
    pub(crate) png: Vec<u8>,
}

/// Returns how many thumbnails of each class a page of `classes` classes shows.
pub(crate) fn thumbnails_per_class(classes: usize) -> usize {
    (THUMBNAILS_MAX / classes.max(1)).clamp(1, THUMBNAILS_PER_CLASS_MAX)
}

/// Returns the page.
pub(crate) fn card_page(card: &DataCard, thumbnails: &[Thumbnail]) -> String {
    let classes = vec![balance(card), class_table(card)];
    let mut sections = vec![
        summary(card),
        Section {
            heading: "Classes".to_owned(),
            blocks: classes,
        },
    ];
    let odd = [
        unusable(card),
        groups(
            "Leakage",
            "The same picture in more than one split: results on it flatter the network.",
            &card.leakage,
        ),
        groups(
            "Conflicting labels",
            "The same picture under more than one class.",
            &card.conflicts,
        ),
        groups(
            "Duplicates",
            "The same picture more than once.",
            &card.duplicates,
        ),
        skipped(card),
    ];
    // What needs a decision stands before the pictures.
    sections.extend(odd.into_iter().flatten());
    sections.push(pictures(card, thumbnails));
    Page {
        title: "Data card".to_owned(),
        subtitle: format!(
            "{} in {}",
            units::count(card.images(), "image"),
            // A dataset has at least two.
            format_args!("{} classes", card.classes.len())
        ),
        facts: Vec::new(),
        sections,
        footer: "Written by cvops preprocess; card.json holds the same facts in full.".to_owned(),
    }
    .html()
}

fn summary(card: &DataCard) -> Section {
    let tile = |label: &str, value: usize, note: &str| Tile {
        label: label.to_owned(),
        value: value.to_string(),
        note: note.to_owned(),
    };
    let mut tiles: Vec<Tile> = Split::ALL
        .iter()
        .map(|split| tile(split.name(), card.counts.total(*split), "images"))
        .collect();
    tiles.push(tile("unusable", card.corrupt.len(), "left out"));
    if card.excluded != 0 {
        tiles.push(tile("excluded", card.excluded, "by the list"));
    }
    tiles.push(tile("duplicates", card.duplicates.len(), "groups"));
    tiles.push(tile("leakage", card.leakage.len(), "groups across splits"));
    Section {
        heading: "Overview".to_owned(),
        blocks: vec![Block::Tiles(tiles)],
    }
}

fn balance(card: &DataCard) -> Block {
    let bars = card.classes.iter().zip(&card.counts.train).take(BARS_MAX);
    let chart = BarChart {
        title: "Training images per class".to_owned(),
        subtitle: String::new(),
        axis_title: "images".to_owned(),
        axis_max: None,
        format: NumberFormat::Decimals(0),
        bars: bars
            .map(|(class, &count)| Bar {
                label: class.clone(),
                value: count as f64,
                interval: None,
            })
            .collect(),
    };
    Block::Charts(vec![Chart {
        svg: chart.svg(),
        caption: String::new(),
    }])
}

fn class_table(card: &DataCard) -> Block {
    let mut table = Table::new([
        ("class", Align::Left),
        ("train", Align::Right),
        ("val", Align::Right),
        ("test", Align::Right),
        ("all", Align::Right),
    ]);
    for (label, class) in card.classes.iter().enumerate() {
        let counts = Split::ALL.map(|split| card.counts.of(split)[label]);
        let all = counts.iter().sum::<usize>().to_string();
        table.row(
            [
                vec![class.clone()],
                counts.map(|c| c.to_string()).to_vec(),
                vec![all],
            ]
            .concat(),
        );
    }
    Block::Table {
        table,
        caption: String::new(),
    }
}

fn pictures(card: &DataCard, thumbnails: &[Thumbnail]) -> Section {
    let mut blocks = Vec::new();
    for (label, class) in card.classes.iter().enumerate().take(THUMBNAILS_MAX) {
        let shown = thumbnails
            .iter()
            .filter(|thumbnail| thumbnail.label as usize == label);
        blocks.push(Block::Prose(class.clone()));
        blocks.push(Block::Pictures(
            shown
                .map(|thumbnail| Picture {
                    png: thumbnail.png.clone(),
                    alt: format!("{class}: {}", thumbnail.path),
                    facts: Vec::new(),
                })
                .collect(),
        ));
    }
    Section {
        heading: "Training images".to_owned(),
        blocks,
    }
}

fn unusable(card: &DataCard) -> Option<Section> {
    let mut table = Table::new([("file", Align::Left), ("reason", Align::Left)]);
    for image in card.corrupt.iter().take(ROWS_MAX) {
        table.row([&image.path, &image.reason].map(String::as_str));
    }
    listed(
        "Unusable images",
        "Left out of all splits.",
        card.corrupt.len(),
        table,
    )
}

fn groups(heading: &str, caption: &str, groups: &[Group]) -> Option<Section> {
    let mut table = Table::new([("files", Align::Left)]);
    for group in groups.iter().take(ROWS_MAX) {
        table.row([group.paths.join(", ")]);
    }
    listed(heading, caption, groups.len(), table)
}

fn skipped(card: &DataCard) -> Option<Section> {
    let mut table = Table::new([("path", Align::Left)]);
    for path in card.skipped.iter().take(ROWS_MAX) {
        table.row([path.as_str()]);
    }
    listed(
        "Passed over",
        "Files and folders beside the images that are none.",
        card.skipped.len(),
        table,
    )
}

/// Returns a section with a table, or none when there is nothing to list.
fn listed(heading: &str, caption: &str, count: usize, table: Table) -> Option<Section> {
    if count == 0 {
        return None;
    }
    let mut blocks = vec![Block::Table {
        table,
        caption: caption.to_owned(),
    }];
    if ROWS_MAX < count {
        blocks.push(Block::Prose(format!("The first {ROWS_MAX} of {count}.")));
    }
    Some(Section {
        heading: format!("{heading} ({count})"),
        blocks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::dataset::{ClassCounts, CorruptImage};

    #[test]
    fn names_are_escaped_and_empty_lists_left_out() {
        let card = DataCard {
            classes: vec!["<b>".to_owned(), "dog".to_owned()],
            counts: ClassCounts {
                train: vec![3, 4],
                val: vec![1, 0],
                test: vec![0, 2],
            },
            corrupt: vec![CorruptImage {
                path: "<i>.png".to_owned(),
                reason: "cut".to_owned(),
            }],
            skipped: vec![],
            duplicates: vec![],
            leakage: vec![],
            conflicts: vec![],
            excluded: 3,
        };
        let html = card_page(
            &card,
            &[Thumbnail {
                path: "a.png".to_owned(),
                label: 1,
                png: vec![1],
            }],
        );
        assert!(html.contains("&lt;b&gt;") && !html.contains("<b>") && !html.contains("<i>.png"));
        assert!(html.contains("excluded") && html.contains("by the list"));
        assert!(html.contains("Unusable images (1)") && !html.contains("Duplicates ("));
        assert!(html.contains("data:image/png;base64,AQ"));
    }

    #[test]
    fn many_classes_show_fewer_pictures_each() {
        assert_eq!([1, 10, 100, 1000].map(thumbnails_per_class), [8, 8, 4, 1]);
    }
}

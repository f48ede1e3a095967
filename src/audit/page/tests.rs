//! Tests of the page of an audit.

use rand::RngExt;

use super::super::drawn::{Drawn, table};
use super::super::finding::{Item, Place};
use super::super::learned::{ClassPair, DoubtfulLabel, DoubtfulLabels};
use super::super::segments::Mistake;
use super::*;
use crate::base::rng;
use crate::report::svg::tests::assert_well_formed;
use crate::vision::dataset::{ClassCounts, Split};
use crate::vision::image::Pixels;

const NASTY: &str = "<b>\"&'</b>";

fn pictures(count: usize) -> Pictures {
    let split = |row: u64| Split::ALL[row as usize % 3];
    let drawn: Vec<Drawn> = (0..count as u64)
        .map(|row| Drawn::new(row, split(row), (row % 2) as u32))
        .collect();
    let mut pictures = table(&drawn);
    pictures.classes = vec![NASTY.to_owned(), "dog".to_owned()];
    for picture in &mut pictures.rows {
        picture.path = format!("{NASTY}/{}", picture.path);
    }
    pictures
}

fn audit(pictures: &Pictures, findings: Vec<Finding>) -> Audit {
    let third = pictures.rows.len() / 3;
    Audit {
        classes: pictures.classes.clone(),
        counts: ClassCounts {
            train: vec![third, 0],
            val: vec![0, third],
            test: vec![third, 1],
        },
        images: pictures.rows.len(),
        excluded: 3,
        findings,
        clean: vec![Check::Converted, Check::Transparent],
        leak_accuracy: None,
        learned: None,
        notes: vec!["something & nothing".to_owned()],
    }
}

fn finding(check: Check, items: Vec<Item>) -> Finding {
    Finding::new(check, format!("pictures {NASTY}"), "do something", items).unwrap()
}

fn learned(pictures: &Pictures) -> Learned {
    let suspect = |row: usize| DoubtfulLabel {
        path: pictures.rows[row].path.clone(),
        split: pictures.rows[row].split,
        given: pictures.rows[row].class,
        suggested: 1 - pictures.rows[row].class,
        given_probability: 0.021,
        suggested_probability: 0.979,
        margin: -0.958,
        row,
    };
    Learned {
        features: Some(FeatureSource::Embedding),
        balanced_accuracy: Some(0.934),
        labels: Some(DoubtfulLabels {
            estimated: 7.4,
            pairs: vec![ClassPair {
                given: 0,
                right: 1,
                estimated: 7.4,
            }],
            suspects: vec![suspect(0), suspect(3)],
        }),
        judge: Some(Judge::Model),
        segments: vec![Segment {
            property: "brightness",
            also: vec!["red"],
            class: Some(1),
            from: 0.125,
            to: 0.25,
            support: 40,
            accuracy: 0.5,
            rest_accuracy: 0.91,
            loss: 16.4,
            p: 1e-9,
            mistakes: vec![Mistake {
                path: pictures.rows[1].path.clone(),
                split: pictures.rows[1].split,
                given: 1,
                taken: 0,
                given_probability: 0.12,
                taken_probability: 0.88,
                row: 1,
            }],
            rows: vec![0, 1],
        }],
        shortcuts: vec![Shortcut {
            property: "saturation",
            class: Some(1),
            balanced_accuracy: 0.95,
            chance: 0.5,
            skill: 0.9,
            auc: Some(0.987),
            p: 0.0123,
            alarm: true,
        }],
        notes: Vec::new(),
    }
}

#[test]
fn all_parts_are_there_and_escaped() {
    let pictures = pictures(12);
    let mut leak = pictures.item(1, "the same pixels");
    leak.other = Some(pictures.place(4));
    let corrupt = Item {
        path: Some("a<i>.png".to_owned()),
        detail: "cut".to_owned(),
        ..Item::default()
    };
    let learned = learned(&pictures);
    let mut findings = vec![
        finding(Check::Corrupt, vec![corrupt]),
        finding(Check::Leaks, vec![leak]),
    ];
    findings.extend(learned.findings(&pictures.classes));
    let mut audit = audit(&pictures, findings);
    audit.learned = Some(learned);
    let html = page(
        &audit,
        &pictures,
        &[("dataset".to_owned(), "data".to_owned())],
    )
    .html();
    assert_well_formed(&html);
    assert!(!html.contains("<b>") && !html.contains("<i>") && !html.contains("<script"));
    for text in [
        "Failed: 2 of 5 findings above the limit",
        "Corrupt (1)",
        "Leaks (1)",
        "a&lt;i&gt;.png",
        "beside",
        "Label errors (2)",
        "About 7 of 12 labels are wrong",
        "what the model makes of the pictures",
        "93.4 %",
        "97.9 %",
        "labelled &lt;b&gt;",
        "brightness, red",
        "Accuracy of the model",
        "Nothing was found by <code>converted</code>, <code>transparent</code>.",
        "<code>dog</code>: <code>brightness</code> from 0.125",
        "<dt>what</dt><dd>taken for <code>&lt;b&gt;",
        "&lt; 0.0001",
        "0.0123",
        "Images per class and split",
        "share of the split",
        "something &amp; nothing",
    ] {
        assert!(html.contains(text), "no `{text}`");
    }
    // Two suspects, a pair, and the mistake of the segment.
    assert_eq!(html.matches("data:image/png").count(), 4);
    for picture in html.split("<img ").skip(1) {
        assert!(!picture.contains("alt=\"\""), "a picture without words");
    }
}

#[test]
fn nothing_found_is_a_short_page() {
    let pictures = pictures(3);
    let html = page(&audit(&pictures, Vec::new()), &pictures, &[]).html();
    assert_well_formed(&html);
    assert!(html.contains("Passed: nothing was found") && !html.contains("<img"));
}

#[test]
fn an_empty_table_is_a_page_too() {
    let pictures = pictures(0);
    assert_well_formed(&page(&audit(&pictures, Vec::new()), &pictures, &[]).html());
}

#[test]
fn the_page_stays_below_two_megabytes() {
    // Noise in colour does not compress; names are as long as file systems allow.
    let mut pictures = pictures(600);
    let mut rng = rng::stream(1, "test.audit.page", 0);
    let data = (0..600 * 64 * 64 * 3).map(|_| rng.random::<u8>()).collect();
    pictures.pixels = Pixels::from_data(64, 64, 3, data).unwrap();
    let long = |row: usize| format!("{}/{row}.png", "long-name&".repeat(100));
    for (row, picture) in pictures.rows.iter_mut().enumerate() {
        picture.path = long(row);
    }
    pictures.classes = (0..1000)
        .map(|class| format!("{class}{}", "ö".repeat(120)))
        .collect();
    let items = |plain: bool| -> Vec<Item> {
        (0..600)
            .map(|row| {
                let mut item = pictures.item(row, "x".repeat(100));
                let other = (row + 1) % 600;
                item.other = Some(Place {
                    path: long(other),
                    ..pictures.place(other)
                });
                if plain {
                    item.row = None;
                }
                item
            })
            .collect()
    };
    let findings = Check::ALL
        .into_iter()
        .enumerate()
        .map(|(at, check)| finding(check, items(at % 5 == 0)))
        .collect();
    let mut audit = audit(&pictures, findings);
    let mut learned = learned(&pictures);
    learned.segments = vec![learned.segments[0].clone(); 500];
    learned.shortcuts = vec![learned.shortcuts[0].clone(); 500];
    audit.learned = Some(learned);
    let html = page(&audit, &pictures, &[]).html();
    // The checker takes the name for a broken number.
    assert_well_formed(&html.replace("low-information", ""));
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
    assert!(html.contains("of 600.") && html.contains("The first 50 of 500."));
    assert!(html.matches("data:image/png").count() >= 15);
}

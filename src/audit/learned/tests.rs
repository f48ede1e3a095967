//! Tests of what is learnt from pictures, with drawn ones.

use super::super::asking::Seen;
use super::super::copies::copies;
use super::super::drawn::{Drawn, table};
use super::super::params::NearParams;
use super::*;

/// Draws noise that is brighter in the upper half (class 0) or in the lower one (class 1).
fn halves(count: usize) -> Vec<Drawn> {
    (0..count)
        .map(|row| {
            let class = (row % 2) as u32;
            let split = Split::ALL[usize::from(row % 5 == 3) + 2 * usize::from(row % 5 == 4)];
            let mut drawn = Drawn::new(row as u64, split, class);
            let half = drawn.values.len() / 2;
            for (at, value) in drawn.values.iter_mut().enumerate() {
                let lit = (at < half) == (class == 0);
                *value = *value / 3 * 2 + if lit { 60 } else { 0 };
            }
            drawn
        })
        .collect()
}

fn learnt(pictures: &Pictures) -> Learned {
    learnt_with(pictures, None)
}

/// Learns with what a model makes of the pictures.
fn learnt_with(pictures: &Pictures, answers: Option<Answers>) -> Learned {
    let copies = copies(pictures, &NearParams::USUAL, &Cancel::new()).unwrap();
    let evidence = Evidence {
        pictures,
        groups: &copies.groups,
        answers,
    };
    learn(evidence, &LearnedParams::new(1), &Cancel::new()).unwrap()
}

#[test]
fn flipped_labels_of_drawn_pictures_are_found_without_a_model() {
    let mut drawn = halves(240);
    let flipped = [5, 50, 91, 130, 177, 222];
    for row in flipped {
        drawn[row].class ^= 1;
    }
    let pictures = table(&drawn);
    let learned = learnt(&pictures);
    assert_eq!(learned.features, Some(FeatureSource::Pixels));
    assert!(learned.balanced_accuracy.unwrap() > 0.9, "{learned:?}");
    let labels = learned.labels.as_ref().unwrap();
    let mut rows: Vec<usize> = labels.suspects.iter().map(|suspect| suspect.row).collect();
    rows.sort_unstable();
    let found = rows.iter().filter(|row| flipped.contains(row)).count();
    assert!(5 <= found && rows.len() <= found + 1, "{rows:?}");
    assert!(
        (4.0..9.0).contains(&labels.estimated),
        "{}",
        labels.estimated
    );
    let [first, second] = &labels.pairs[..] else {
        panic!("{:?}", labels.pairs);
    };
    assert_eq!((first.given, first.right), (second.right, second.given));
    assert!(learned.notes.iter().any(|note| note.contains("`--model`")));
    assert!(learned.segments.is_empty(), "{:?}", learned.segments);

    let findings = learned.findings(&pictures.classes);
    assert_eq!(findings.len(), 1, "{findings:?}");
    let finding = &findings[0];
    assert_eq!(
        (finding.check, finding.count),
        (Check::LabelErrors, rows.len())
    );
    let item = &finding.items[0];
    let row = item.row.unwrap();
    assert_eq!(item.path.as_deref(), Some(&*pictures.rows[row].path));
    assert_eq!(item.class.as_deref(), Some(pictures.class(row)));
    let other = if drawn[row].class == 0 { "b" } else { "a" };
    assert!(
        item.detail.starts_with(&format!("rather `{other}` (")),
        "{}",
        item.detail
    );
}

#[test]
fn a_class_that_is_brighter_is_a_shortcut() {
    let drawn = halves(200).into_iter().map(|drawn| match drawn.class {
        0 => drawn.brighter(40),
        _ => drawn,
    });
    let pictures = table(&drawn.collect::<Vec<_>>());
    let learned = learnt(&pictures);
    let findings = learned.findings(&pictures.classes);
    let shortcuts = findings
        .iter()
        .find(|finding| finding.check == Check::Shortcuts)
        .unwrap();
    let named = "`brightness` alone tells `a` from the rest";
    let mut items = shortcuts.items.iter();
    assert!(
        items.any(|item| item.detail.starts_with(named)),
        "{shortcuts:?}"
    );
}

#[test]
fn a_file_format_for_each_class_is_a_shortcut() {
    let mut pictures = table(&halves(120));
    for row in pictures.rows.iter_mut().filter(|row| row.class == 1) {
        row.facts.format = Some(crate::vision::image::Format::Jpeg);
    }
    let learned = learnt(&pictures);
    let first = &learned.shortcuts[0];
    assert!(
        first.alarm && first.property == "file format" && first.skill == 1.0,
        "{first:?}"
    );
    assert!(
        learnt(&table(&halves(120)))
            .shortcuts
            .iter()
            .all(|shortcut| !shortcut.alarm)
    );
}

#[test]
fn a_probe_that_does_not_know_the_classes_doubts_no_label() {
    let noise: Vec<Drawn> = (0..100)
        .map(|row| Drawn::new(row, Split::Train, (row % 2) as u32))
        .collect();
    let learned = learnt(&table(&noise));
    let left_out = [Check::LabelErrors, Check::WeakSegments];
    assert_eq!(learned.left_out(), left_out);
    assert_eq!((learned.labels, learned.judge), (None, None));
    assert!(learned.balanced_accuracy.unwrap() < 0.8);
    assert!(
        learned
            .notes
            .iter()
            .any(|note| note.starts_with("labels were not doubted"))
    );
}

#[test]
fn too_few_or_equal_pictures_are_told_in_a_note() {
    let few = learnt(&table(&halves(12)));
    assert!(few.notes[0].contains("fewer than two classes have 10 different pictures"));
    // Copies are no other pictures.
    let two = halves(2);
    let copies: Vec<Drawn> = (0..40).map(|row| two[row % 2].clone()).collect();
    assert!(learnt(&table(&copies)).notes[0].contains("fewer than two classes"));
    let none = learnt(&table(&[]));
    assert!(none.shortcuts.is_empty() && none.notes.len() == 1);
}

#[test]
fn near_copies_do_not_vouch_for_a_wrong_label() {
    // Each picture is there four times, nearly; two of them, wrongly labelled, with all their copies.
    let mut drawn: Vec<Drawn> = Vec::new();
    for picture in halves(60) {
        drawn.extend((0..4).map(|copy| picture.clone().brighter(copy)));
    }
    for row in (20..24).chain(104..108) {
        drawn[row].class ^= 1;
    }
    let pictures = table(&drawn);
    let groups = copies(&pictures, &NearParams::USUAL, &Cancel::new())
        .unwrap()
        .groups;
    let labels: Vec<u32> = drawn.iter().map(|drawn| drawn.class).collect();
    let folds = folds(&labels, &groups, 1);
    for four in folds.chunks(4) {
        assert!(four.iter().all(|fold| *fold == four[0]), "{four:?}");
    }
    let learned = learnt(&pictures);
    let suspects = learned.labels.unwrap().suspects;
    let found = |row: usize| suspects.iter().any(|suspect| suspect.row == row);
    let wrong = (20..24).chain(104..108).filter(|row| found(*row)).count();
    assert!(6 <= wrong, "{suspects:?}");
}

#[test]
fn the_pictures_of_a_weak_segment_are_listed_the_surest_mistakes_first() {
    // The model takes dark pictures of the first class for the second, the darker the surer.
    let drawn: Vec<Drawn> = (0..200_usize)
        .map(|row| {
            let bright = Drawn::new(row as u64, Split::Test, (row % 2) as u32);
            bright.brighter(if row < 50 { 0 } else { 30 })
        })
        .collect();
    let pictures = table(&drawn);
    let said = drawn.iter().enumerate().map(|(row, drawn)| {
        let mistaken = row < 50 && drawn.class == 0;
        let sure = 0.99 - 0.001 * row as f64;
        Said {
            class: drawn.class ^ u32::from(mistaken),
            probability: sure,
            of_label: if mistaken { 1.0 - sure } else { sure },
        }
    });
    let answers = Answers {
        said: said.collect(),
        seen: Some(Seen {
            values: drawn.iter().map(|drawn| drawn.class as f32).collect(),
            width: 1,
            source: FeatureSource::Embedding,
        }),
    };
    let learned = learnt_with(&pictures, Some(answers));
    assert_eq!(learned.judge, Some(Judge::Model));
    let constant =
        "weak segments were not looked for by saturation, aspect ratio, pixels, file size";
    let mut notes = learned.notes.iter();
    assert!(notes.any(|note| note.starts_with(constant)), "{learned:?}");
    let findings = learned.findings(&pictures.classes);
    let weak = findings
        .iter()
        .find(|finding| finding.check == Check::WeakSegments)
        .unwrap();
    assert_eq!(weak.count, learned.segments.len());
    let first = &weak.items[0];
    let rows: Vec<usize> = first.pictures.iter().filter_map(|item| item.row).collect();
    assert_eq!(rows, (0..50).step_by(2).collect::<Vec<usize>>());
    assert_eq!(first.pictures[0].path.as_deref(), Some("00000.png"));
    assert_eq!(first.pictures[0].detail, "taken for `b` (0.99), `a` 0.01");
    let json = serde_json::to_value(&weak.items).unwrap();
    assert_eq!(json[0]["pictures"][1]["path"], "00002.png");
    assert!(json[0]["pictures"][1].get("pictures").is_none());
}

#[test]
fn json_names_files_and_indices_of_classes() {
    let mut drawn = halves(240);
    drawn[50].class = 1;
    let learned = learnt(&table(&drawn));
    let json = serde_json::to_value(&learned).unwrap();
    assert_eq!(json["features"], "pixels");
    assert_eq!(json["judge"], "probe");
    let suspect = &json["labels"]["suspects"][0];
    assert_eq!(suspect["path"], "00050.png");
    assert_eq!(suspect["given"], 1);
    assert!(suspect.get("row").is_none() && json.get("notes").is_none());
}

//! The log written and read: kills, bounds, several writers. Imports: `predictions::*`, proptest.

use std::path::Path;

use proptest::prelude::*;

use super::folder::segments;
use super::*;
use crate::base::clock::Timestamp;
use crate::base::fs;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const ROOMY: u64 = 64 << 20;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_826_947_000 + ms).unwrap()
}

fn prediction(id: &str, ms: i64, label: &str) -> Prediction {
    Prediction {
        ts: at(ms),
        request_id: id.to_owned(),
        index: 0,
        route: "/predict".to_owned(),
        model: "m".to_owned(),
        version: "1".to_owned(),
        weights: "ab".to_owned(),
        label: label.to_owned(),
        confidence: 0.75,
        classes: 2,
        probabilities: [("z".to_owned(), 0.25), ("a".to_owned(), 0.75)].into(),
        latency_ms: 1.5,
        image_blake3: "cd".to_owned(),
        size: [3, 2],
        format: Some("PNG".to_owned()),
        picture: None,
    }
}

fn entry(prediction: Prediction, picture: &[u8]) -> Entry {
    Entry {
        record: Record::Prediction(Box::new(prediction)),
        picture: picture.to_vec(),
    }
}

fn feedback(id: &str, ms: i64, label: &str) -> Entry {
    let feedback = Feedback {
        ts: at(ms),
        request_id: id.to_owned(),
        index: 0,
        label: label.to_owned(),
        source: "api".to_owned(),
        comment: None,
    };
    Entry {
        record: Record::Feedback(feedback),
        picture: Vec::new(),
    }
}

fn ids(window: &Window) -> Vec<&str> {
    let predictions = window.predictions.iter();
    predictions
        .map(|l| l.prediction.request_id.as_str())
        .collect()
}

fn only_segment(dir: &Path) -> Segment {
    let found = segments(dir).unwrap();
    assert_eq!(found.len(), 1);
    found[0].0.clone()
}

#[test]
fn what_is_written_is_read_with_pictures_and_the_last_feedback() {
    let dir = tempfile::tempdir().unwrap();
    let log = Predictions::new(dir.path().join("predictions"));
    assert_eq!(log.window(9).unwrap(), Window::default(), "no folder");
    let mut writer = Writer::new(dir.path().join("predictions"), ROOMY);
    let before = log.stamp().unwrap();
    let pictures = [[PNG, b"one"].concat(), [PNG, b"other"].concat()];
    let entries = vec![
        entry(prediction("a", 1, "a"), &pictures[0]),
        entry(prediction("b", 2, "a"), &pictures[1]),
    ];
    writer.write(entries, at(1)).unwrap();
    assert_ne!(log.stamp().unwrap(), before);
    let more = vec![
        feedback("a", 4, "z"),
        entry(prediction("c", 3, "z"), b""),
        feedback("b", 6, "a"),
        feedback("a", 5, "a"),
        feedback("nobody", 5, "a"),
        feedback("b", 5, "z"),
    ];
    writer.write(more, at(6)).unwrap();
    let window = log.window(9).unwrap();
    assert_eq!(ids(&window), ["c", "b", "a"]);
    assert!(!window.is_cut);
    for (labelled, picture) in window.predictions[1..].iter().rev().zip(&pictures) {
        let kept = labelled.prediction.picture.unwrap();
        let found = log.picture(&labelled.segment, kept).unwrap();
        assert_eq!(found.as_ref(), Some(picture));
        let wrong = KeptPicture { at: 1, ..kept };
        assert_eq!(log.picture(&labelled.segment, wrong).unwrap(), None);
        let beyond = KeptPicture {
            at: u64::MAX >> 2,
            ..kept
        };
        assert_eq!(log.picture(&labelled.segment, beyond).unwrap(), None);
    }
    assert_eq!(window.predictions[0].prediction.picture, None);
    assert_eq!(
        window.predictions[2].is_right(),
        Some(true),
        "the later word"
    );
    assert_eq!(
        window.accuracy(),
        Accuracy {
            right: 2,
            judged: 2
        }
    );
    assert_eq!(window.class_mix(), [("a", 2), ("z", 1)]);
    let confidence = window.confidence(4);
    assert_eq!(confidence.right, [0, 0, 0, 2]);
    assert_eq!(confidence.not_judged, [0, 0, 0, 1]);
    let probabilities = &window.predictions[0].prediction.probabilities;
    assert_eq!(probabilities.keys().collect::<Vec<_>>(), ["z", "a"]);

    let last = log.window(1).unwrap();
    assert_eq!((ids(&last), last.is_cut), (vec!["c"], true));
    let found = log.of_request("a").unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].label, "a");
    assert!(log.of_request("nobody").unwrap().is_empty());

    let is_judged = |id: &str| log.request(id).unwrap().judged.contains(&0);
    assert!(is_judged("a") && !is_judged("c"));
    // A client uses an id again: nobody has judged that answer.
    writer
        .write(vec![entry(prediction("a", 7, "z"), b"")], at(7))
        .unwrap();
    assert!(!is_judged("a"));
}

#[test]
fn a_time_is_read_whatever_the_order_and_feedback_may_come_later() {
    let dir = tempfile::tempdir().unwrap();
    let log = Predictions::new(dir.path().to_owned());
    let [mut one, mut other] = [0, 1].map(|_| Writer::new(dir.path().to_owned(), ROOMY));
    let hour = 3_600_000;
    let entries = |ids: &[(&str, i64)]| -> Vec<Entry> {
        let made = ids
            .iter()
            .map(|(id, ms)| entry(prediction(id, *ms, "a"), b""));
        made.collect()
    };
    let old = [("old", 0), ("a", hour + 20), ("b", hour + 10)];
    one.write(entries(&old), at(0)).unwrap();
    let late = [("before", 5), ("c", hour + 30), ("after", 2 * hour)];
    other.write(entries(&late), at(1)).unwrap();
    let said = vec![
        feedback("a", 3 * hour, "z"),
        feedback("after", 3 * hour, "z"),
        feedback("a", 4 * hour, "a"),
    ];
    one.write(said, at(2)).unwrap();
    let time = at(hour + 10)..at(2 * hour);
    let read = |most: usize| {
        let kept = |_: &Segment, one: Prediction| (one.request_id != "b").then_some(one.ts);
        let found = log.between(&time, most, kept).unwrap();
        let mut rows = found.rows;
        rows.sort_by_key(|row| row.kept);
        (rows, found.is_cut, found.unreadable)
    };
    let (rows, is_cut, unreadable) = read(9);
    assert_eq!((is_cut, unreadable), (false, 0));
    let ids: Vec<&str> = rows.iter().map(|row| row.request_id.as_str()).collect();
    assert_eq!(ids, ["a", "c"]);
    let said = rows[0].feedback.as_ref().map(|said| said.label.as_str());
    assert_eq!((said, &rows[1].feedback), (Some("a"), &None));
    let (rows, is_cut, _) = read(1);
    assert_eq!((rows.len(), is_cut), (1, true));
}

#[test]
fn two_writers_do_not_meet_in_one_segment() {
    let dir = tempfile::tempdir().unwrap();
    let [mut one, mut other] = [0, 1].map(|_| Writer::new(dir.path().to_owned(), ROOMY));
    one.write(vec![entry(prediction("a", 1, "a"), b"")], at(1))
        .unwrap();
    other
        .write(vec![entry(prediction("b", 2, "a"), b"")], at(1))
        .unwrap();
    one.write(vec![entry(prediction("c", 3, "a"), b"")], at(1))
        .unwrap();
    assert_eq!(segments(dir.path()).unwrap().len(), 2);
    let window = Predictions::new(dir.path().to_owned()).window(9).unwrap();
    assert_eq!(ids(&window), ["c", "b", "a"]);
    // Whoever comes next goes on with the newest that is free.
    drop(other);
    let mut next = Writer::new(dir.path().to_owned(), ROOMY);
    next.write(vec![entry(prediction("d", 4, "a"), b"")], at(9))
        .unwrap();
    assert_eq!(segments(dir.path()).unwrap().len(), 2);
}

#[test]
fn a_segment_that_was_removed_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lines");
    // One process has opened it when another removes it to make room.
    let opened = crate::base::fs::Appender::open(&path).unwrap();
    assert!(opened.is_at(&path));
    crate::base::fs::remove_file(&path).unwrap();
    assert!(!opened.is_at(&path));
    let again = crate::base::fs::Appender::open(&path).unwrap();
    assert!(again.is_at(&path) && !opened.is_at(&path));
}

#[test]
fn the_oldest_go_when_all_become_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let bound = 1 << 20;
    let mut writer = Writer::new(dir.path().to_owned(), bound);
    let picture = [PNG, &[7; 9000]].concat();
    let mut most = 0;
    for ms in 0..400 {
        let entry = entry(prediction(&format!("r{ms}"), ms, "a"), &picture);
        writer.write(vec![entry], at(ms)).unwrap();
        let total: u64 = segments(dir.path()).unwrap().iter().map(|(_, b)| b).sum();
        most = most.max(total);
    }
    assert!(most <= bound + 20_000, "{most}");
    assert!(bound / 2 < most, "{most}");
    let log = Predictions::new(dir.path().to_owned());
    let window = log.window(1000).unwrap();
    let kept = window.predictions.len();
    assert!((50..200).contains(&kept), "{kept}");
    let expected: Vec<String> = (0..400)
        .rev()
        .take(kept)
        .map(|ms| format!("r{ms}"))
        .collect();
    assert_eq!(ids(&window), expected);
    for labelled in &window.predictions {
        let kept = labelled.prediction.picture.unwrap();
        assert_eq!(
            log.picture(&labelled.segment, kept).unwrap(),
            Some(picture.clone())
        );
    }
    // No picture without lines, no lines without pictures.
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, 2 * segments(dir.path()).unwrap().len());
}

#[test]
fn a_large_batch_is_whole_and_its_memory_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(dir.path().to_owned(), ROOMY);
    let picture = |i: i64| [PNG, &[i as u8; 3000][..]].concat();
    // Some 1.8 MiB of pictures, and one that alone is larger than what is gathered.
    let mut large = PNG.to_vec();
    large.resize(1 << 20, 7);
    for batch in 0..3 {
        let from = batch * 601;
        let mut entries: Vec<Entry> = (from..from + 600)
            .map(|i| entry(prediction(&format!("r{i}"), i, "a"), &picture(i)))
            .collect();
        let last = from + 600;
        entries.push(entry(prediction(&format!("r{last}"), last, "a"), &large));
        writer.write(entries, at(0)).unwrap();
        assert!(writer.kept_bytes() <= 1 << 20, "{}", writer.kept_bytes());
    }
    let log = Predictions::new(dir.path().to_owned());
    let window = log.window(10_000).unwrap();
    assert_eq!(window.predictions.len(), 3 * 601);
    for (i, labelled) in window.predictions.iter().rev().enumerate() {
        assert_eq!(labelled.prediction.request_id, format!("r{i}"));
        let kept = labelled.prediction.picture.unwrap();
        let found = log.picture(&labelled.segment, kept).unwrap();
        let expected = if i % 601 == 600 {
            large.clone()
        } else {
            picture(i as i64)
        };
        assert_eq!(found, Some(expected), "{i}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_and_the_next_write_tries_again() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("predictions");
    fs::write_atomic(&place, b"a file").unwrap();
    let mut writer = Writer::new(place.clone(), ROOMY);
    let one = || vec![entry(prediction("a", 1, "a"), b"")];
    writer.write(one(), at(1)).unwrap_err();
    fs::remove_file(&place).unwrap();
    writer.write(one(), at(1)).unwrap();
    assert_eq!(ids(&Predictions::new(place).window(9).unwrap()), ["a"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_kill_at_any_byte_costs_one_line_at_most(count in 1_usize..6, cut in 0.0_f64..1.0) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(dir.path().to_owned(), ROOMY);
        for i in 0..count {
            let one = prediction(&format!("r{i}"), i as i64, "a");
            writer.write(vec![entry(one, PNG)], at(0)).unwrap();
        }
        drop(writer);
        let path = only_segment(dir.path()).lines(dir.path());
        let bytes = std::fs::read(&path).unwrap();
        let len = (cut * bytes.len() as f64) as usize;
        fs::write_atomic(&path, &bytes[..len]).unwrap();
        // The last line may lack nothing but its end.
        let kept = &bytes[..=len.min(bytes.len() - 1)];
        let whole = kept.split(|b| *b == b'\n').count() - 1;
        let log = Predictions::new(dir.path().to_owned());
        let window = log.window(99).unwrap();
        let expected: Vec<String> = (0..whole).rev().map(|i| format!("r{i}")).collect();
        prop_assert_eq!(ids(&window), expected.iter().map(String::as_str).collect::<Vec<_>>());

        let mut writer = Writer::new(dir.path().to_owned(), ROOMY);
        writer.write(vec![entry(prediction("next", 99, "a"), b"")], at(1)).unwrap();
        let window = log.window(99).unwrap();
        prop_assert_eq!(window.predictions.len(), whole + 1);
        prop_assert_eq!(ids(&window)[0], "next");
        prop_assert_eq!(only_segment(dir.path()).lines(dir.path()), path);
    }

    #[test]
    fn any_text_survives(id in "\\PC{1,20}", label in ".{0,20}", noise in ".{0,40}") {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(dir.path().to_owned(), ROOMY);
        let one = prediction(&id, 1, &label);
        writer.write(vec![entry(one.clone(), b"")], at(0)).unwrap();
        drop(writer);
        let path = only_segment(dir.path()).lines(dir.path());
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(noise.replace('\n', " ").as_bytes());
        fs::write_atomic(&path, &text).unwrap();
        let log = Predictions::new(dir.path().to_owned());
        prop_assert_eq!(log.of_request(&id).unwrap(), vec![one]);
        prop_assert_eq!(log.window(9).unwrap().predictions.len(), 1);
    }
}

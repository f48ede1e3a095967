//! Who is asked, what is kept of the answers, and what a model that fails means.

use super::*;
use crate::vision::image::{Channels, Filter};
use crate::vision::model::Preset;

const SIDE: u32 = 12;

fn predictor(classes: &[&str]) -> Predictor {
    let target = Target {
        height: SIDE,
        width: SIDE,
        channels: Channels::Grey,
        filter: Filter::Bilinear,
        background: [0; 3],
    };
    Predictor::untrained(&Preset::Resnet8.spec(), target, classes)
}

fn begin(asked: Asked<'_>, probe: Probe) -> (Result<Option<Asking<'_>>, Error>, Vec<String>) {
    let mut notes = Vec::new();
    let classes = ["a", "b"].map(str::to_owned);
    let begun = Asking::begin(asked, &classes, probe, 1, &mut notes);
    (begun, notes)
}

fn pixels(side: usize, count: usize) -> Pixels {
    let values = (0..side * side * count).map(|at| (at * at % 251) as u8);
    Pixels::from_data(side, side, 1, values.collect()).unwrap()
}

#[test]
fn answers_in_batches_are_those_of_all_at_once() {
    let model = predictor(&["a", "b"]);
    let all = pixels(12, 9);
    let (asking, notes) = begin(Asked::Named(&model), Probe::Trained);
    let mut asking = asking.unwrap().unwrap();
    assert_eq!(asking.target(), model.model().target);
    for from in [0, 4, 8] {
        let mut batch = Pixels::new(12, 12, 1);
        (from..all.count().min(from + 4)).for_each(|at| batch.push(all.image(at)));
        let labels = vec![1; batch.count()];
        asking.ask(&batch, &labels, &Cancel::new()).unwrap();
    }
    let mut later = Vec::new();
    let answers = asking.finish(&mut later).unwrap();
    assert!(notes.is_empty() && later.is_empty());
    let observed = model.observe(&all, &Cancel::new()).unwrap();
    let expected = observed.logits.probabilities();
    assert_eq!(answers.said.len(), expected.len());
    for (said, row) in answers.said.iter().zip(&expected) {
        assert!((said.of_label - row[1]).abs() < 1e-6, "{said:?} {row:?}");
    }
    let (seen, embeddings) = (answers.seen.unwrap(), observed.embeddings.unwrap());
    assert_eq!(
        (seen.source, seen.width),
        (FeatureSource::Embedding, embeddings.width)
    );
    assert_eq!(seen.values.len(), embeddings.rows.len());
    for (seen, expected) in seen.values.iter().zip(&embeddings.rows) {
        assert!((seen - expected).abs() <= 1e-4 * expected.abs().max(1.0));
    }
}

#[test]
fn without_a_probe_only_what_is_said_is_kept() {
    let model = predictor(&["a", "b"]);
    let (asking, _) = begin(Asked::Found(&model), Probe::Skipped);
    let mut asking = asking.unwrap().unwrap();
    asking
        .ask(&pixels(12, 3), &[0, 1, 0], &Cancel::new())
        .unwrap();
    let answers = asking.finish(&mut Vec::new()).unwrap();
    assert_eq!((answers.said.len(), answers.seen), (3, None));
}

#[test]
fn a_model_that_was_named_must_fit_and_another_is_passed_over_with_a_note() {
    let other = predictor(&["a", "c"]);
    let (begun, _) = begin(Asked::Named(&other), Probe::Trained);
    assert!(matches!(begun, Err(Error::OtherClasses { .. })));
    let known = "it knows other classes than the data has; labels and weak segments are judged by the pixels";
    for (asked, probe, note) in [
        (Asked::Found(&other), Probe::Trained, known),
        (
            Asked::Broken("it is cut off"),
            Probe::Skipped,
            "it is cut off; what accuracy becomes",
        ),
    ] {
        let (begun, notes) = begin(asked, probe);
        assert!(begun.unwrap().is_none());
        assert!(notes.len() == 1 && notes[0].contains(note), "{notes:?}");
    }
}

#[test]
fn a_model_that_fails_is_asked_no_more_unless_it_was_named() {
    let model = predictor(&["a", "b"]);
    let fail = |asked| {
        let mut asking = begin(asked, Probe::Trained).0.unwrap().unwrap();
        // Of another size than it takes: stands for all that a network may refuse.
        let failed = asking.ask(&pixels(5, 1), &[0], &Cancel::new());
        (failed.is_ok(), asking)
    };
    assert!(!fail(Asked::Named(&model)).0);
    let (is_ok, mut asking) = fail(Asked::Found(&model));
    assert!(is_ok);
    asking.ask(&pixels(12, 1), &[0], &Cancel::new()).unwrap();
    let mut notes = Vec::new();
    assert!(asking.finish(&mut notes).is_none());
    assert!(
        notes[0].starts_with("the model was not asked: "),
        "{notes:?}"
    );
}

#[test]
fn wide_features_become_as_many_as_are_kept() {
    let model = predictor(&["a", "b"]);
    let mut asking = begin(Asked::Found(&model), Probe::Trained)
        .0
        .unwrap()
        .unwrap();
    let row: Vec<f32> = (0..2000_u16).map(|at| f32::from(at % 7)).collect();
    for _ in 0..2 {
        asking.see(
            [&row[..], &row[..]].concat(),
            2000,
            FeatureSource::Embedding,
        );
    }
    let seen = asking.answers.seen.unwrap();
    assert_eq!(
        (seen.width, seen.values.len()),
        (FEATURES_MAX, 4 * FEATURES_MAX)
    );
    assert_eq!(seen.values[..FEATURES_MAX], seen.values[3 * FEATURES_MAX..]);
}

#[test]
fn numbers_that_are_none_are_refused_with_their_place() {
    let model = predictor(&["a", "b"]);
    let asking = begin(Asked::Named(&model), Probe::Trained)
        .0
        .unwrap()
        .unwrap();
    assert!(asking.finite(&[1.0, 2.0], 2).is_ok());
    let error = asking.finite(&[1.0, 2.0, 3.0, f32::NAN], 2).unwrap_err();
    assert!(error.to_string().contains("row 1, column 1"), "{error}");
}

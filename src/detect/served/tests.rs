//! Answers over hours, made up: what is found, since when, and what it is shared with.

use crate::detect::check::enough;
use crate::detect::kind::TestKind;
use crate::detect::tests::{detector, features, fit, params};

use super::*;

const HOUR_MS: u64 = 3_600_000;

fn at(ms: u64) -> Timestamp {
    // Half past some hour.
    Timestamp::from_millisecond(1_795_825_800_000 + ms as i64).unwrap()
}

/// `rows` answers of the hour `hour`, moved by `shift`; somebody judged every tenth, and every twentieth is wrong.
fn answers(hour: u64, rows: usize, shift: f64) -> Vec<Answer> {
    let features = features(rows, shift, hour + 10);
    let told = features.probabilities().unwrap();
    let answer = |row: usize| {
        let probabilities: Vec<f32> = told.row(row).iter().map(|p| *p as f32).collect();
        Answer {
            at: at(hour * HOUR_MS + row as u64 * 1000),
            name: format!("r{hour}/{row}"),
            label: features.labels()[row],
            confidence: probabilities.iter().copied().fold(0.0, f32::max),
            probabilities: Some(probabilities),
            is_right: row.is_multiple_of(10).then_some(!row.is_multiple_of(20)),
        }
    };
    (0..rows).map(answer).collect()
}

fn all(hours: &[(usize, f64)]) -> Vec<Answer> {
    let hours = (0..).zip(hours);
    hours
        .flat_map(|(hour, (rows, shift))| answers(hour, *rows, *shift))
        .collect()
}

fn report_of(answers: Vec<Answer>, hours: u64) -> Result<Served, Error> {
    let fitted = fit(&params()).unwrap();
    let time = at(0)..at(hours * HOUR_MS);
    report(&fitted, answers, &time, HOUR_MS, &Cancel::new())
}

#[test]
fn it_is_found_since_when_there_is_drift() {
    let mut given = all(&[(60, 0.0), (60, 0.0), (60, 3.0), (1, 3.0), (60, 3.0)]);
    // Whatever the order in which a log is read.
    given.reverse();
    let served = report_of(given, 5).unwrap();
    let verdicts: Vec<Verdict> = served.windows.iter().map(|w| w.checked.verdict).collect();
    let (none, drift) = (Verdict::NoDrift, Verdict::Drift);
    assert_eq!(verdicts, [none, none, drift, Verdict::Incomplete, drift]);
    assert_eq!(
        served.lasting,
        Some(Lasting {
            since: served.windows[2].from,
            windows: 2,
            perhaps_longer: false,
        })
    );
    assert_eq!((served.verdict, served.drifted().count()), (drift, 2));
    assert_eq!(served.whole.images, 241);
    // The first window is cut by the begin of the time, the others begin with an hour.
    assert_eq!(served.windows[0].from, at(0));
    assert_eq!(served.windows[0].until, at(HOUR_MS / 2));
    assert_eq!(served.windows[1].from, at(HOUR_MS / 2));
    for slot in served.windows.iter().chain([&served.whole]) {
        // Six checks of four detectors.
        let checked = &slot.checked;
        assert_eq!(checked.alpha, 0.001 / 6.0);
        assert_eq!(checked.detectors.len(), 4);
        let level = 0.001 / 6.0 / 4.0;
        assert!(checked.detectors.iter().all(|one| one.alpha == level));
        assert_eq!(slot.images, checked.rows);
    }
    let [first, _, third, ..] = &served.windows[..] else {
        panic!("{}", served.windows.len());
    };
    assert_eq!((first.judged, first.figures.accuracy), (6, Some(0.5)));
    assert!(first.figures.entropy > third.figures.entropy);
    assert!(first.figures.confidence < third.figures.confidence);
    assert!(third.surest.as_ref().unwrap().p < 1e-6);
    assert_eq!(first.checked.witnesses, None);
    let unlike = &served.whole.checked.witnesses.as_ref().unwrap().unlike[0];
    let named = unlike.picture.as_ref().unwrap();
    assert!(named.starts_with('r') && named.contains('/'), "{named}");
    assert!(served.reference.accuracy.is_some());
    let json = serde_json::to_value(&served).unwrap();
    assert_eq!(json["verdict"], "drift");
    assert_eq!(json["from"], "2026-11-28T00:30:00Z");
    assert_eq!(json["windows"][0]["checked"]["rows"], 60);
}

#[test]
fn drift_that_is_over_does_not_last_and_drift_from_the_start_may_be_older() {
    let over = report_of(all(&[(60, 3.0), (60, 0.0)]), 2).unwrap();
    assert_eq!((over.verdict, over.lasting), (Verdict::Drift, None));
    let always = report_of(all(&[(60, 3.0), (60, 3.0)]), 2).unwrap();
    assert!(always.lasting.unwrap().perhaps_longer);
    let never = report_of(all(&[(60, 0.0), (60, 0.0)]), 2).unwrap();
    assert_eq!((never.verdict, never.lasting), (Verdict::NoDrift, None));
}

#[test]
fn a_single_window_is_a_check_like_any_other() {
    let served = report_of(all(&[(60, 0.1)]), 1).unwrap();
    assert_eq!(served.windows.len(), 1);
    let checked = Checked {
        witnesses: None,
        ..served.whole.checked
    };
    assert_eq!(served.windows[0].checked, checked);
    assert_eq!(checked.alpha, 0.001);
}

#[test]
fn a_few_answers_are_no_verdict() {
    let served = report_of(all(&[(1, 3.0)]), 1).unwrap();
    assert_eq!(served.verdict, Verdict::Incomplete);
    assert_eq!(served.lasting, None);
    let error = report_of(Vec::new(), 1);
    assert!(matches!(error, Err(Error::NoPictures)));
}

#[test]
fn where_not_all_probabilities_are_kept_classes_are_compared() {
    let mut given = all(&[(60, 3.0), (60, 3.0)]);
    given[7].probabilities = None;
    let served = report_of(given.clone(), 2).unwrap();
    assert_eq!(served.verdict, Verdict::Drift);
    let detectors = &served.whole.checked.detectors;
    assert_eq!(detectors.len(), 1);
    assert_eq!(detectors[0].input, Input::Label);
    assert_eq!(served.whole.figures.entropy, None);
    assert!(served.whole.figures.confidence.is_some());
    assert!(served.whole.checked.classes[0].moved);

    let mut params = params();
    params.detectors = vec![detector(Input::Softmax, TestKind::Ks)];
    let fitted = fit(&params).unwrap();
    let time = at(0)..at(2 * HOUR_MS);
    let error = report(&fitted, given, &time, HOUR_MS, &Cancel::new()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with("the prediction log holds: `label`"),
        "{text}"
    );
}

#[test]
fn too_many_windows_are_refused() {
    let hours = WINDOWS_MAX as u64 + 1;
    let given: Vec<Answer> = (0..hours).flat_map(|hour| answers(hour, 1, 0.0)).collect();
    let error = report_of(given, hours).unwrap_err();
    assert!(matches!(
        error,
        Error::Windows {
            found: 501,
            most: 500
        }
    ));
}

#[test]
fn there_are_permutations_enough_for_the_level() {
    assert_eq!(enough(1000, 0.01), 1000);
    let count = enough(1000, 0.0001);
    assert!(
        1.0 / (count as f64 + 1.0) < 0.0001 && count < 10_100,
        "{count}"
    );
    assert_eq!(enough(1000, 1e-9), 100_000);
}

//! Answers over hours, made up: what is found, since when, and what it is shared with.

use std::num::NonZeroUsize;

use crate::detect::DriftParams;
use crate::detect::check::enough;
use crate::detect::kind::TestKind;
use crate::detect::tests::{detector, features, fit, params};

use super::*;

pub(super) const HOUR_MS: u64 = 3_600_000;

pub(super) fn at(ms: u64) -> Timestamp {
    // Half past some hour.
    Timestamp::from_millisecond(1_795_825_800_000 + ms as i64).unwrap()
}

/// `rows` answers of the hour `hour`, moved by `shift`; somebody judged every tenth, and every twentieth is wrong.
fn answers(hour: u64, rows: usize, shift: f64) -> Vec<Answer> {
    if rows == 0 {
        return Vec::new();
    }
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
            seen: None,
        }
    };
    (0..rows).map(answer).collect()
}

pub(super) fn all(hours: &[(usize, f64)]) -> Vec<Answer> {
    let hours = (0..).zip(hours);
    hours
        .flat_map(|(hour, (rows, shift))| answers(hour, *rows, *shift))
        .collect()
}

fn report_of(answers: Vec<Answer>, hours: u64) -> Result<Served, Error> {
    report_with(
        &fit(&params()).unwrap(),
        answers,
        hours,
        ReferenceUpdate::None,
    )
}

pub(super) fn report_with(
    fitted: &Fitted,
    answers: Vec<Answer>,
    hours: u64,
    update: ReferenceUpdate,
) -> Result<Served, Error> {
    let terms = Terms {
        time: &(at(0)..at(hours * HOUR_MS)),
        window_ms: HOUR_MS,
        update,
    };
    report(fitted, answers, &terms, &Cancel::new())
}

/// Parameters that take few permutations.
pub(super) fn quick() -> DriftParams {
    DriftParams {
        alpha: 0.01,
        permutations: 1000,
        ..params()
    }
}

pub(super) fn last(rows: usize) -> ReferenceUpdate {
    ReferenceUpdate::Last(NonZeroUsize::new(rows).unwrap())
}

fn verdicts(served: &Served) -> Vec<Verdict> {
    let windows = served.windows.iter();
    windows.map(|window| window.checked.verdict).collect()
}

/// Writes beside each answer what was seen in its picture: that of the pictures of `features`.
pub(super) fn with_seen(mut answers: Vec<Answer>, shift: f64) -> Vec<Answer> {
    let features = features(answers.len(), shift, 99);
    let sample = |input| features.sample(input).unwrap();
    let (embeddings, properties) = (sample(Input::Embedding), sample(Input::Properties));
    for (row, answer) in answers.iter_mut().enumerate() {
        let embedding = embeddings.row(row).iter().map(|value| *value as f32);
        let properties = properties.row(row).try_into().unwrap();
        answer.seen = Some(Seen::new(properties, Some(embedding.collect())));
    }
    answers
}

#[test]
fn it_is_found_since_when_there_is_drift() {
    let mut given = all(&[(60, 0.0), (60, 0.0), (60, 3.0), (1, 3.0), (60, 3.0)]);
    // Whatever the order in which a log is read.
    given.reverse();
    let served = report_of(given, 5).unwrap();
    let (none, drift) = (Verdict::NoDrift, Verdict::Drift);
    assert_eq!(
        verdicts(&served),
        [none, none, drift, Verdict::Incomplete, drift]
    );
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
    let error = report_with(&fitted, given, 2, ReferenceUpdate::None).unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with("the prediction log holds: `label`"),
        "{text}"
    );
}

#[test]
fn a_reference_that_follows_takes_along_what_lasts() {
    let fitted = fit(&params()).unwrap();
    let given = || all(&[(60, 0.0), (60, 3.0), (60, 3.0)]);
    let of = |update| report_with(&fitted, given(), 3, update).unwrap();
    let (none, drift) = (Verdict::NoDrift, Verdict::Drift);
    let still = of(ReferenceUpdate::None);
    assert_eq!(verdicts(&still), [none, drift, drift]);
    assert!(still.windows.iter().all(|slot| slot.reference_arrived == 0));
    let followed = of(last(60));
    assert_eq!(verdicts(&followed), [none, drift, none]);
    assert_eq!((followed.verdict, followed.lasting), (drift, None));
    let arrived = |served: &Served| -> Vec<usize> {
        let windows = served.windows.iter();
        windows.map(|slot| slot.reference_arrived).collect()
    };
    assert_eq!(arrived(&followed), [0, 60, 60]);
    assert!(
        followed
            .windows
            .iter()
            .all(|slot| slot.checked.reference.rows == 60)
    );
    // What needs labels knows those of the fitted reference only, and so does the whole.
    let accuracy = |served: &Served| served.windows[2].checked.accuracy.clone();
    assert!(accuracy(&still).is_some() && accuracy(&still) == accuracy(&followed));
    assert_eq!(still.whole, followed.whole);
    assert_eq!(
        serde_json::to_value(&followed).unwrap()["update"],
        "last:60"
    );

    // Room for all of it: the first window meets the reference as it was fitted.
    let roomy = of(last(1000));
    let ps = |served: &Served| -> Vec<f64> {
        let detectors = served.windows[0].checked.detectors.iter();
        detectors.map(|one| one.measured().unwrap().p_val).collect()
    };
    assert_eq!(ps(&roomy), ps(&still));
    assert_eq!(arrived(&roomy), [0, 60, 120]);
    assert_eq!(roomy.windows[2].checked.reference.rows, 80 + 120);

    let reservoir = ReferenceUpdate::Reservoir(NonZeroUsize::new(50).unwrap());
    let drawn = of(reservoir);
    assert_eq!(drawn, of(reservoir));
    let came = arrived(&drawn);
    assert!(
        came[0] == 0 && came[1] < came[2] && came[2] < 50,
        "{came:?}"
    );
}

#[test]
fn a_detector_that_cannot_be_set_up_anew_is_no_verdict() {
    let mut params = params();
    params.detectors = vec![detector(Input::Softmax, TestKind::Mmd)];
    let fitted = fit(&params).unwrap();
    let mut given = all(&[(60, 0.0), (60, 0.0)]);
    // All alike: no kernel has a width.
    for one in &mut given[..60] {
        one.probabilities = Some(vec![0.25, 0.25, 0.5]);
    }
    let served = report_with(&fitted, given, 2, last(20)).unwrap();
    assert_eq!(verdicts(&served)[1], Verdict::Incomplete);
    let (one, reason) = served.windows[1].checked.failed().next().unwrap();
    assert_eq!(
        (one.name.as_str(), reason.is_empty()),
        ("softmax_mmd", false)
    );
}

#[test]
fn pictures_are_compared_where_all_of_a_window_are_there() {
    let fitted = fit(&quick()).unwrap();
    let given = all(&[(60, 0.0), (60, 0.0), (60, 0.0)]);
    // The answers are as ever, the pictures are not.
    let mut given = with_seen(given, 3.0);
    let complete = report_with(&fitted, given.clone(), 3, last(100)).unwrap();
    assert_eq!(complete.whole.pictures, 180);
    let fired = |slot: &Slot| -> Vec<Input> { slot.checked.fired().map(|one| one.input).collect() };
    let pictures = [Input::Embedding, Input::Properties, Input::Properties];
    assert_eq!(fired(&complete.whole), pictures);
    assert_eq!(fired(&complete.windows[0]), pictures);
    assert!(complete.windows[0].checked.outliers.is_some());

    given[70].seen = None;
    let served = report_with(&fitted, given, 3, ReferenceUpdate::None).unwrap();
    let count = |slot: &Slot| (slot.pictures, slot.checked.detectors.len());
    let counts: Vec<(usize, usize)> = served.windows.iter().map(count).collect();
    assert_eq!(counts, [(60, 7), (59, 4), (60, 7)]);
    assert_eq!(count(&served.whole), (179, 4));
    let (none, drift) = (Verdict::NoDrift, Verdict::Drift);
    assert_eq!(verdicts(&served), [drift, none, drift]);
    let notes = served.windows[1].checked.notes.join("; ");
    assert!(notes.contains("`embedding_mmd`"), "{notes}");

    // Detectors of pictures alone are enough, where there are pictures.
    let mut params = params();
    params.detectors = vec![detector(Input::Properties, TestKind::Ks)];
    assert!(wants_pictures(&fit(&params).unwrap()));
    let fitted = fit(&params).unwrap();
    let given = with_seen(all(&[(60, 0.0)]), 3.0);
    let served = report_with(&fitted, given, 1, ReferenceUpdate::None).unwrap();
    assert_eq!(served.verdict, drift);
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

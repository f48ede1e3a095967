//! Feedback before the detectors of one model.

use crate::detect::Features;
use crate::detect::fitted::ReferenceData;
use crate::detect::kind::{Correction, Family, TestKind, WatchMethod};
use crate::detect::params::{DetectorParams, DriftParams, OnlineParams, Origin, OutlierParams};
use crate::serve::drift::seen::tests::plain;
use crate::vision::artifact::Described;
use crate::vision::image::{Channels, Filter, Pixels, Target};
use crate::vision::shard::Split;

use super::*;

const ROWS: usize = 60;

fn params() -> DriftParams {
    let detector = |input: Input, test| DetectorParams {
        origin: Origin::Given,
        name: input.name().to_owned(),
        input,
        test: Some(test),
        correction: Correction::None,
        min_effect: 0.0,
    };
    DriftParams {
        split: Split::Test,
        rows: ROWS,
        alpha: 0.01,
        family: Family::None,
        permutations: 100,
        pca: 1,
        detectors: vec![
            detector(Input::Softmax, TestKind::Ks),
            detector(Input::Error, TestKind::Fisher),
        ],
        online: vec![OnlineParams {
            origin: Origin::Given,
            name: "errors".to_owned(),
            input: Input::Error,
            method: WatchMethod::Fisher,
            windows: vec![5],
            ert: 50,
            every: 1,
        }],
        outlier: OutlierParams {
            origin: Origin::Given,
            method: None,
            false_positives: 0.1,
            neighbours: 1,
            components: 1,
        },
        seed: 3,
    }
}

/// Fitted to a model that is wrong once in ten pictures.
fn begin() -> Active {
    let wrong = |row: usize| row.is_multiple_of(10);
    let surest = (0..ROWS).map(|row| 0.6 + (row % 7) as f64 / 20.0);
    let rows: Vec<Vec<f64>> = surest.map(|p| vec![p, 1.0 - p]).collect();
    let truth = (0..ROWS).map(|row| u32::from(wrong(row))).collect();
    let features = Features::of_probabilities(&rows).unwrap();
    let features = features.with_truth(truth).unwrap();
    let pixels = Pixels::from_data(2, 2, 3, vec![128; ROWS * 12]).unwrap();
    let reference = ReferenceData {
        features: &features,
        pixels: &pixels,
        split: Split::Test,
        data: ContentHash::of(b"data"),
    };
    let model = Described {
        classes: ["a", "b"].map(str::to_owned).to_vec(),
        target: Target {
            height: 2,
            width: 2,
            channels: Channels::Rgb,
            filter: Filter::Bilinear,
            background: [0; 3],
        },
        parameters: 1,
        weights_hash: ContentHash::of(b"weights"),
    };
    let fitted = Fitted::fit(reference, &model, &params(), &Cancel::new()).unwrap();
    let pace = Pace {
        window: 10,
        every: Every::Images(10),
    };
    let id = ContentHash::of(b"fitted");
    Active::new(fitted, id, pace, Wants::default(), Instant::now())
}

/// Returns the alarms while so many answers are called right, or wrong.
fn hear(active: &mut Active, correct: bool, times: usize) -> usize {
    let mut alarms = 0;
    for _ in 0..times {
        active.hear(correct, Instant::now(), &mut |standing, news| {
            assert_eq!(standing.name, "errors");
            alarms += usize::from(news == News::Alarm);
        });
    }
    alarms
}

fn errors(active: &Active) -> &Standing {
    let mut all = active.standings();
    all.find(|one| one.name == "errors").unwrap()
}

#[test]
fn a_stream_hears_feedback_and_a_window_does_not() {
    let mut active = begin();
    let names: Vec<&str> = active.standings().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["softmax", "errors"]);
    assert_eq!(active.left_out, ["error"]);
    active.take(plain(&[0.9, 0.1]), Instant::now(), &mut |_, _| {
        panic!("an answer says nothing of errors")
    });
    assert_eq!(hear(&mut active, true, 20), 0);
    assert_eq!((active.images, errors(&active).is_detected), (1, false));
    assert_eq!(hear(&mut active, false, 20), 1, "an alarm is told once");
    assert!(errors(&active).is_detected);

    // Another life of the server goes on.
    let mut again = begin();
    let problems = again.resume(&active.state());
    assert!(problems.is_empty(), "{problems:?}");
    assert!(errors(&again).is_detected);
    assert_eq!(errors(&again).since, errors(&active).since);
    again.reset(Instant::now());
    assert!(!errors(&again).is_detected);
    assert_eq!(hear(&mut again, true, 20), 0);
}

#[test]
fn a_window_of_wide_answers_is_smaller() {
    let mut active = begin();
    let asked = active.window_max();
    active.fit_window(WINDOW_BYTES_MAX / asked);
    assert_eq!(active.window_max(), asked);
    active.fit_window(WINDOW_BYTES_MAX / 2);
    assert_eq!(active.window_max(), 2);
}

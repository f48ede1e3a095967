//! Detectors that are written down and read back.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::drift::Error;

fn reopened(online: &Online) -> Online {
    let mut again = Online::from_fitted_bytes(&online.fitted_bytes().unwrap()).unwrap();
    again.resume(&online.state_bytes().unwrap()).unwrap();
    again
}

fn edited(bytes: &[u8], edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut file: Value = serde_json::from_slice(bytes).unwrap();
    edit(&mut file);
    serde_json::to_vec(&file).unwrap()
}

#[test]
fn after_each_step_the_future_is_the_same() {
    let mut normal = Normal::new("future", 0);
    for mut online in one_of_each(9) {
        for _ in 0..40 {
            let mut again = reopened(&online);
            assert_eq!(again.state_bytes(), online.state_bytes());
            assert_eq!(again.parts(), online.parts());
            let mut original = online.clone();
            for _ in 0..25 {
                let row = observation(&online, &mut normal);
                let (a, b) = (
                    original.observe(&row).unwrap(),
                    again.observe(&row).unwrap(),
                );
                assert_eq!(a, b, "{}", online.method());
            }
            assert_eq!(again.state_bytes(), original.state_bytes());
            assert_eq!(again.drift_since(), original.drift_since());
            again.reset();
            original.reset();
            assert_eq!(again.state_bytes(), original.state_bytes());
            let row = observation(&online, &mut normal);
            online.observe(&row).unwrap();
        }
    }
}

#[test]
fn another_schema_is_refused() {
    for mut online in one_of_each(10) {
        let later = |bytes: Vec<u8>| edited(&bytes, |file| file["schema"] = json!(2));
        let expected = Error::Schema {
            found: 2,
            expected: 1,
        };
        let error = Online::from_fitted_bytes(&later(online.fitted_bytes().unwrap())).unwrap_err();
        assert_eq!(error, expected);
        let state = later(online.state_bytes().unwrap());
        assert_eq!(online.resume(&state), Err(expected));
    }
}

#[test]
fn the_state_of_another_detector_is_refused() {
    let (mut here, there) = (one_of_each(11), one_of_each(12));
    for (online, other) in here.iter_mut().zip(&there) {
        let error = online.resume(&other.state_bytes().unwrap()).unwrap_err();
        assert!(matches!(error, Error::Foreign { .. }), "{error}");
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let mut normal = Normal::new("damage", 0);
    for mut online in one_of_each(13) {
        for _ in 0..5 {
            let row = observation(&online, &mut normal);
            online.observe(&row).unwrap();
        }
        let (fitted, state) = (
            online.fitted_bytes().unwrap(),
            online.state_bytes().unwrap(),
        );
        for key in ["time", "history", "moving", "drift_since"] {
            for value in [
                json!(3),
                json!(u64::MAX),
                json!(""),
                json!([]),
                json!("AAAA"),
                json!({}),
            ] {
                let damaged = edited(&state, |file| file[key] = value.clone());
                let found = online.resume(&damaged);
                let same = key == "drift_since" && value == json!(3);
                assert_eq!(
                    found.is_ok(),
                    same,
                    "{}: {key} {value} {found:?}",
                    online.method()
                );
            }
        }
        let parts: Value = serde_json::from_slice(&fitted).unwrap();
        for (key, was) in parts["fitted"].as_object().unwrap() {
            // Numbers have a range of their own, and `tail` is only a record.
            if was.is_number() || key == "tail" {
                continue;
            }
            for value in [
                json!(""),
                json!([]),
                json!(7),
                json!("AAAAAAAA+H8="),
                json!(null),
            ] {
                let damaged = edited(&fitted, |file| file["fitted"][key] = value.clone());
                let found = Online::from_fitted_bytes(&damaged);
                assert!(found.is_err(), "{}: {key} {value}", online.method());
            }
        }
        for bytes in [&fitted[..fitted.len() / 2], b"", b"[]", b"{}"] {
            assert!(Online::from_fitted_bytes(bytes).is_err());
            assert!(online.resume(bytes).is_err());
        }
        assert!(
            Online::from_fitted_bytes(&edited(&fitted, |f| f["method"] = json!("psi"))).is_err()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_bring_a_detector_down(
        which in 0usize..4,
        at in 0.0..1.0f64,
        byte in 0u8..128,
        rows in prop::collection::vec(0.0..1.0f64, 24),
    ) {
        let mut online = DETECTORS[which].clone();
        let spoil = |mut bytes: Vec<u8>| {
            let place = (at * bytes.len() as f64) as usize;
            bytes[place] = byte;
            bytes
        };
        let fitted = spoil(online.fitted_bytes().unwrap());
        let state = spoil(online.state_bytes().unwrap());
        // Damage that is no longer seen as such is another detector, which works.
        let read = Online::from_fitted_bytes(&fitted);
        let mut all = vec![];
        all.extend(read.ok());
        if online.resume(&state).is_ok() {
            all.push(online);
        }
        for mut online in all {
            for row in rows.chunks_exact(2) {
                let row: Vec<f64> = row.iter().map(|v| v.round()).collect();
                if row.len() == online.width() {
                    online.observe(&row).unwrap();
                }
            }
        }
    }
}

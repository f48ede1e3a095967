//! Tests of the page of a report.

use crate::detect::served::WINDOWS_MAX;
use crate::detect::served::tests::{HOUR_MS, all, at, last, quick, report_with, with_seen};
use crate::detect::tests::fit;
use crate::drift::reference_update::ReferenceUpdate;
use crate::report::svg::tests::assert_well_formed;

use super::super::Answer;
use super::*;

const NASTY: &str = "<b>\"&'</b>";

/// Three hours of which the last one moved, in the answers and in the pictures.
fn moved() -> Vec<Answer> {
    let mut usual = with_seen(all(&[(60, 0.0), (60, 0.0)]), 0.0);
    let later = all(&[(0, 0.0), (0, 0.0), (60, 3.0)]);
    usual.extend(with_seen(later, 3.0));
    usual
}

fn html(served: &Served, fitted: &Fitted, pictures: &BTreeMap<String, Vec<u8>>) -> String {
    let about = Illustration {
        fitted,
        facts: &[("Served as".to_owned(), NASTY.to_owned())],
        notes: &[format!("it is {NASTY}")],
        pictures,
    };
    let html = page(served, about).html();
    assert_well_formed(&html);
    assert_eq!(html, page(served, about).html());
    assert!(!html.contains("<b>") && !html.contains("<script"));
    html
}

#[test]
fn all_parts_are_there_and_escaped() {
    let fitted = fit(&quick()).unwrap();
    let served = report_with(&fitted, moved(), 3, last(100)).unwrap();
    let unlike = &served.whole.checked.witnesses.as_ref().unwrap().unlike;
    let named = unlike.iter().filter_map(|one| one.picture.clone());
    let pictures = named.map(|name| (name, vec![0; 100])).collect();
    let html = html(&served, &fitted, &pictures);
    for text in [
        "Drift since 2026-11-28 02:00 (UTC), in 1 of 3 windows; 180 answers against ",
        "windows with drift",
        "accuracy, judged",
        "accuracy, estimated",
        "follows: last:100",
        "Window by window",
        "2026-11-28 02:00 to 2026-11-28 03:00",
        "reference: arrived",
        "60 of 100",
        "all together",
        "softmax_ks: p",
        "properties_lsdd: effect",
        "effect (Cramér&#39;s V)",
        "minutes since 2026-11-28 00:00 (UTC)",
        "Predicted classes over time",
        "Of the reference: ",
        "Accuracy over time",
        "of judged answers",
        "Confidence over time",
        "mean entropy (nats)",
        "All together: what each detector says",
        "All together: which classes moved",
        "Served pictures most unlike the reference",
        "It is &lt;b&gt;",
        "Find out what changed about 2026-11-28 02:00 (UTC)",
        "The pictures themselves changed",
        "The reference of the windows followed",
    ] {
        assert!(html.contains(text), "no `{text}`");
    }
    assert_eq!(html.matches("data:image/png").count(), 16);
    // p and effect of seven detectors, classes of the windows and of all, accuracy, confidence, entropy.
    assert_eq!(html.matches("<svg").count(), 19);
}

#[test]
fn no_drift_is_said_as_such_and_too_few_are_no_verdict() {
    let fitted = fit(&quick()).unwrap();
    let none = ReferenceUpdate::None;
    let usual = report_with(&fitted, all(&[(60, 0.0), (60, 0.0)]), 2, none).unwrap();
    let page = html(&usual, &fitted, &BTreeMap::new());
    assert!(
        page.contains("No drift; 120 answers against ") && page.contains("Nothing has to be done.")
    );
    assert!(!page.contains("reference: arrived") && !page.contains("<img"));
    let few = report_with(&fitted, all(&[(1, 0.0)]), 1, none).unwrap();
    let page = html(&few, &fitted, &BTreeMap::new());
    for text in [
        "No verdict; 1 answer ",
        "cannot be told",
        "1 answer in all may be too few",
    ] {
        assert!(page.contains(text), "no `{text}`");
    }
}

#[test]
fn the_page_stays_below_two_megabytes() {
    let fitted = fit(&quick()).unwrap();
    let few = all(&[(60, 0.0), (60, 3.0)]);
    let mut served = report_with(&fitted, few, 2, ReferenceUpdate::None).unwrap();
    // As many windows as there may be, of a model with many classes with names as long as file systems allow.
    let mut window = served.windows[1].clone();
    let class = window.checked.classes[0].clone();
    window.checked.classes = (0..100)
        .map(|number| {
            let mut one = class.clone();
            one.class = format!("{number}{}", "&ö".repeat(85));
            one
        })
        .collect();
    served.whole.checked.classes = window.checked.classes.clone();
    let hour = |number: usize| at(number as u64 * HOUR_MS);
    served.windows = (0..WINDOWS_MAX)
        .map(|number| {
            let mut one = window.clone();
            (one.from, one.until) = (hour(number), hour(number + 1));
            one
        })
        .collect();
    let pictures: BTreeMap<String, Vec<u8>> = served
        .whole
        .checked
        .witnesses
        .iter()
        .flat_map(|found| &found.unlike)
        .filter_map(|one| Some((one.picture.clone()?, vec![7; 100_000])))
        .collect();
    let page = html(&served, &fitted, &pictures);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert!(page.contains("days since "));
    assert_eq!(page.matches("data:image/png").count(), 2);
}

#[test]
fn what_the_log_does_not_have_leaves_gaps() {
    let fitted = fit(&quick()).unwrap();
    // No answers in the second hour, no probabilities in any.
    let mut given = all(&[(60, 0.0), (0, 0.0), (60, 0.0)]);
    for one in &mut given {
        one.probabilities = None;
    }
    let served = report_with(&fitted, given, 3, ReferenceUpdate::None).unwrap();
    assert_eq!(served.windows.len(), 2);
    let page = html(&served, &fitted, &BTreeMap::new());
    assert!(page.contains("label_chi2: p") && !page.contains("softmax_ks: p"));
    assert!(page.contains("Confidence over time") && !page.contains("mean entropy"));
    assert!(page.contains("of judged answers"));
}

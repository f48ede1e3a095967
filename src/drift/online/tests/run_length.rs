//! How long it takes to a false alarm while nothing moves: a few hundred runs of each method. Thousands,
//! and how soon a change is seen, are in `benches/drift_power.rs`.

use super::*;

/// Steps to the first alarm; at most 40 times the expected ones.
fn run_length(online: &mut Online, mut next: impl FnMut() -> Vec<f64>) -> f64 {
    online.reset();
    let limit = (40.0 * online.ert()) as u64;
    while online.time() < limit {
        if online.observe(&next()).unwrap().is_drift {
            break;
        }
    }
    online.time() as f64
}

/// Compares the mean of run lengths, less the steps before the first window, with the expected one.
#[track_caller]
fn check_mean(lengths: &[f64], silent: f64, ert: f64, tolerance: f64) {
    let mean = lengths.iter().sum::<f64>() / lengths.len() as f64 - silent;
    let off = (mean / ert - 1.0).abs();
    assert!(off < tolerance, "{mean} steps on average instead of {ert}");
}

#[test]
fn mmd_and_lsdd() {
    let (mut mmd, mut lsdd) = (Vec::new(), Vec::new());
    for fit in 0..24 {
        let mut normal = Normal::new("run length", fit);
        let reference = normal.sample(150, 2);
        let mut options = mmd_options(5, 25.0, fit);
        options.bootstraps = Some(2000);
        let mut online = Online::mmd(&reference, &options).unwrap();
        mmd.extend((0..20).map(|_| run_length(&mut online, || normal.row(2))));
        let mut options = lsdd_options(5, 25.0, fit);
        options.bootstraps = Some(2000);
        let mut online = Online::lsdd(&reference, &options).unwrap();
        lsdd.extend((0..20).map(|_| run_length(&mut online, || normal.row(2))));
    }
    check_mean(&mmd, 0.0, 25.0, 0.15);
    check_mean(&lsdd, 0.0, 25.0, 0.15);
}

#[test]
fn cvm_and_fisher() {
    let (mut cvm, mut fisher) = (Vec::new(), Vec::new());
    for fit in 0..24 {
        let mut normal = Normal::new("run length of one", fit);
        let mut options = cvm_options(&[5, 10], 25.0, fit);
        options.bootstraps = Some(4000);
        let mut online = Online::cvm(&normal.sample(400, 2), &options).unwrap();
        cvm.extend((0..20).map(|_| run_length(&mut online, || normal.row(2))));
        let mut options = fisher_options(&[5, 10], 25.0, fit);
        options.bootstraps = Some(4000);
        // A rate of exactly one fifth: thresholds are for the rate of the reference.
        let bits = (0..200)
            .map(|at| f64::from(u8::from(at % 5 == 0)))
            .collect();
        let reference = Sample::new(bits, 1).unwrap();
        let mut online = Online::fisher(&reference, &options).unwrap();
        fisher.extend((0..20).map(|_| run_length(&mut online, || normal.bits(1, 0.2))));
    }
    check_mean(&cvm, 4.0, 25.0, 0.15);
    check_mean(&fisher, 4.0, 25.0, 0.15);
}

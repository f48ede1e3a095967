//! What detectors cost: of two samples, fitting, drawing the permutations and judging one batch; of a stream,
//! the configuration and one observation.
//!
//! `cargo bench --bench drift --no-default-features`; one of them: `… -- mmd`, `… -- ks`, `… -- online`. All on
//! one thread, so that a time is a time of processor. The bars, of 32 features: MMD of 1,000 rows against 1,000
//! with 100 permutations 60 ms, of 1,000 against 5,000 1 s; Kolmogorov-Smirnov of 1,000 against 5,000 5 ms; online
//! MMD 500 ms for its configuration (1,000 rows, W 20, ERT 150) and 20 µs for an observation. Run lengths and
//! power are measured by `drift_power`.
#![expect(
    clippy::unwrap_used,
    reason = "the samples are good by construction; where that fails there is nothing to measure"
)]

use std::hint::black_box;

use criterion::Criterion;
use cvops::base::rng;
use cvops::drift::Sample;
use cvops::drift::correction::Correction;
use cvops::drift::lsdd::Lsdd;
use cvops::drift::mmd::Mmd;
use cvops::drift::online::{Draws, FirstWindow, LsddOptions, MmdOptions, Online};
use cvops::drift::outlier::{Mahalanobis, NearestNeighbours};
use cvops::drift::univariate::{Alternative, Method, Rule, Sorted, Test, features};
use rand::RngExt;

const WIDTH: usize = 32;
const PERMUTATIONS: usize = 100;

/// Returns sums of uniform numbers, which look normal enough for a measurement.
fn sample(rows: usize, seed: u64) -> Sample {
    let mut rng = rng::stream(seed, "bench.drift", 0);
    let mut value = || (0..4).map(|_| rng.random::<f64>() - 0.5).sum();
    Sample::new((0..rows * WIDTH).map(|_| value()).collect(), WIDTH).unwrap()
}

/// As a server compares: the reference is sorted once.
fn ks(c: &mut Criterion) {
    let mut group = c.benchmark_group("ks");
    group.sample_size(20);
    let (reference, test) = (sample(5000, 1), sample(1000, 2));
    let rule = Rule {
        test: Test::KolmogorovSmirnov {
            alternative: Alternative::TwoSided,
            method: Method::Auto,
        },
        correction: Correction::Bonferroni,
        alpha: 0.05,
        min_effect: 0.0,
    };
    let sorted = Sorted::new(&reference);
    group.bench_function("5000 v 1000", |b| {
        b.iter(|| features(black_box(&sorted), &test, &rule).unwrap());
    });
    group.bench_function("5000 v 1000, the reference sorted too", |b| {
        b.iter(|| features(&Sorted::new(black_box(&reference)), &test, &rule).unwrap());
    });
    group.finish();
}

fn online(c: &mut Criterion) {
    let mut group = c.benchmark_group("online");
    group.sample_size(10);
    let (reference, stream) = (sample(1000, 1), sample(1000, 2));
    let fit_mmd = || {
        let options = MmdOptions {
            window: 20,
            ert: 150.0,
            bootstraps: None,
            bandwidth: None,
            draws: Draws::Seed(1),
        };
        Online::mmd(black_box(&reference), &options).unwrap()
    };
    let fit_lsdd = || {
        let options = LsddOptions {
            window: 20,
            ert: 150.0,
            bootstraps: None,
            bandwidth: None,
            centres: None,
            first_window: FirstWindow::Filtered,
            draws: Draws::Seed(1),
        };
        Online::lsdd(black_box(&reference), &options).unwrap()
    };
    group.bench_function("mmd, configuration", |b| b.iter(fit_mmd));
    group.bench_function("lsdd, configuration", |b| b.iter(fit_lsdd));
    for mut detector in [fit_mmd(), fit_lsdd()] {
        let mut rows = (0..stream.rows()).cycle();
        group.bench_function(format!("{}, observation", detector.method()), |b| {
            b.iter(|| {
                let row = rows.next().unwrap_or(0);
                detector.observe(stream.row(row)).unwrap()
            });
        });
    }
    group.finish();
}

fn mmd(c: &mut Criterion) {
    let mut group = c.benchmark_group("mmd");
    group.sample_size(10);
    for rows in [1000, 5000] {
        let (reference, test) = (sample(rows, 1), sample(1000, 2));
        group.bench_function(format!("{rows} v 1000"), |b| {
            b.iter(|| {
                let mmd = Mmd::fit(black_box(&reference).clone()).unwrap();
                mmd.test_drawn(&test, PERMUTATIONS, 3).unwrap()
            });
        });
    }
    group.finish();
}

fn lsdd(c: &mut Criterion) {
    let mut group = c.benchmark_group("lsdd");
    group.sample_size(10);
    for rows in [1000, 5000] {
        let (reference, test) = (sample(rows, 1), sample(1000, 2));
        group.bench_function(format!("{rows} v 1000"), |b| {
            b.iter(|| {
                let lsdd = Lsdd::fit(black_box(&reference), 4).unwrap();
                lsdd.test_drawn(&test, PERMUTATIONS, 3).unwrap()
            });
        });
    }
    group.finish();
}

fn outliers(c: &mut Criterion) {
    let mut group = c.benchmark_group("outlier");
    group.sample_size(10);
    let (reference, test) = (sample(5000, 1), sample(1000, 2));
    group.bench_function("Mahalanobis, 5000 v 1000", |b| {
        b.iter(|| {
            let fitted = Mahalanobis::fit(black_box(&reference)).unwrap();
            fitted.scores(&test).unwrap()
        });
    });
    group.bench_function("10th neighbour, 5000 v 1000", |b| {
        b.iter(|| {
            let fitted = NearestNeighbours::fit(black_box(&reference), &[10]).unwrap();
            fitted.scores(&test).unwrap()
        });
    });
    group.finish();
}

fn main() {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1);
    one.build_global().unwrap();
    let mut c = Criterion::default().configure_from_args();
    ks(&mut c);
    online(&mut c);
    mmd(&mut c);
    lsdd(&mut c);
    outliers(&mut c);
    c.final_summary();
}

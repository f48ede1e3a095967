//! What tests of two samples cost: fitting the detector, drawing the permutations and judging one batch.
//!
//! `cargo bench --bench drift --no-default-features`; one of them: `… -- mmd`. All on one thread, so that a
//! time is a time of processor. The bars: MMD of 1,000 rows against 1,000 with 100 permutations 60 ms, of
//! 1,000 against 5,000 1 s.
#![expect(
    clippy::unwrap_used,
    reason = "the samples are good by construction; where that fails there is nothing to measure"
)]

use std::hint::black_box;

use criterion::Criterion;
use cvops::base::rng;
use cvops::drift::Sample;
use cvops::drift::lsdd::Lsdd;
use cvops::drift::mmd::Mmd;
use cvops::drift::outlier::{Mahalanobis, NearestNeighbours};
use rand::RngExt;

const WIDTH: usize = 32;
const PERMUTATIONS: usize = 100;

/// Returns sums of uniform numbers, which look normal enough for a measurement.
fn sample(rows: usize, seed: u64) -> Sample {
    let mut rng = rng::stream(seed, "bench.drift", 0);
    let mut value = || (0..4).map(|_| rng.random::<f64>() - 0.5).sum();
    Sample::new((0..rows * WIDTH).map(|_| value()).collect(), WIDTH).unwrap()
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
    mmd(&mut c);
    lsdd(&mut c);
    outliers(&mut c);
    c.final_summary();
}

//! How often detectors of two samples raise a false alarm and see a change; what online detectors cost, how
//! long they run without a false alarm, and how soon they see a change.
//!
//! `cargo bench --bench drift_power`; one of the four: `cargo bench --bench drift_power -- run-length`
//! (or `error-rates`, `cost`, `delay`). Prints rows of `docs/benchmarks.md`. Seconds are of the CPU, all threads
//! together; run lengths are means over many seeded references and streams, with standard errors.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program of its own: it reads what to measure and prints what it found"
)]

use cvops::base::rng::{self, ChaCha8Rng};
use cvops::drift::Sample;
use cvops::drift::correction::Correction;
use cvops::drift::lsdd::Lsdd;
use cvops::drift::mmd::Mmd;
use cvops::drift::online::{
    CvmOptions, Direction, Draws, FirstWindow, FisherOptions, LsddOptions, MmdOptions, Online,
};
use cvops::drift::univariate::{Alternative, Method, Rule, Sorted, Test, features};
use rand::RngExt;
use rustix::time::{ClockId, clock_gettime};

/// References of a mean run length, and streams for each.
const REFERENCES: u64 = 100;
const STREAMS: usize = 40;
const ERT: f64 = 50.0;
const METHODS: [&str; 4] = ["mmd", "lsdd", "cvm", "fisher"];

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| {
        let parts = ["error-rates", "cost", "run-length", "delay"];
        let named = |arg: &String| parts.contains(&arg.as_str());
        !asked.iter().any(named) || asked.iter().any(|arg| arg == name)
    };
    println!("| what | figure | bar |\n|---|---|---|");
    if wanted("error-rates") {
        error_rates();
    }
    if wanted("cost") {
        cost();
    }
    if wanted("run-length") {
        run_length();
    }
    if wanted("delay") {
        delay();
    }
}

/// A source of observations.
struct Source(ChaCha8Rng);

impl Source {
    fn new(name: &str, index: u64) -> Self {
        Self(rng::stream(1, name, index))
    }

    fn normal(&mut self, count: usize) -> Vec<f64> {
        (0..count)
            .map(|_| {
                let radius = (-2.0 * (1.0 - self.0.random::<f64>()).ln()).sqrt();
                radius * (std::f64::consts::TAU * self.0.random::<f64>()).cos()
            })
            .collect()
    }

    fn bits(&mut self, count: usize, rate: f64) -> Vec<f64> {
        (0..count)
            .map(|_| f64::from(u8::from(self.0.random::<f64>() < rate)))
            .collect()
    }
}

/// Draws of two samples for a rate.
const TRIALS: u64 = 1000;
/// Rows of the reference and of the test sample, and columns of both.
const REFERENCE_ROWS: usize = 100;
const TEST_ROWS: usize = 80;
const WIDTH: usize = 8;
const PERMUTATIONS: usize = 200;

/// Returns the smallest p-value of `method`, corrected for the number of columns. Classes (of five, equally
/// likely) and bits (one in five) come out of one column, and `moved` makes a class or a one likelier; the
/// others compare normal columns, of which the first is moved.
fn p_value(method: &str, moved: f64, trial: u64) -> f64 {
    let mut source = Source::new("bench.error-rates", trial);
    let mut draw = |rows: usize, moved: f64| {
        let (values, width) = match method {
            "chi2" => {
                let classes = (0..rows).map(|_| {
                    let u = source.0.random::<f64>();
                    if u < moved {
                        0.0
                    } else {
                        (source.0.random::<f64>() * 5.0).floor()
                    }
                });
                (classes.collect(), 1)
            }
            "fisher" => (source.bits(rows, 0.2 + moved), 1),
            _ => {
                let mut values = source.normal(rows * WIDTH);
                values.iter_mut().step_by(WIDTH).for_each(|v| *v += moved);
                (values, WIDTH)
            }
        };
        Sample::new(values, width).unwrap()
    };
    let (reference, test) = (draw(REFERENCE_ROWS, 0.0), draw(TEST_ROWS, moved));
    let of_columns = |kind: Test| {
        let rule = Rule {
            test: kind,
            correction: Correction::Bonferroni,
            alpha: 0.05,
            min_effect: 0.0,
        };
        let report = features(&Sorted::new(&reference), &test, &rule).unwrap();
        let adjusted = report.features.iter().map(|feature| feature.adjusted_p);
        adjusted.fold(1.0, f64::min)
    };
    let (alternative, exact) = (Alternative::TwoSided, Method::Auto);
    match method {
        "ks" => of_columns(Test::KolmogorovSmirnov {
            alternative,
            method: exact,
        }),
        "cvm" => of_columns(Test::CramerVonMises { method: exact }),
        "chi2" => of_columns(Test::ChiSquare {
            permutations: PERMUTATIONS as u32 - 1,
            seed: trial,
        }),
        "fisher" => of_columns(Test::Fisher { alternative }),
        "mmd" => {
            let mmd = Mmd::fit(reference).unwrap();
            let tested = mmd.test_drawn(&test, PERMUTATIONS - 1, trial).unwrap();
            tested.p_value()
        }
        _ => {
            let lsdd = Lsdd::fit(&reference, trial).unwrap();
            let tested = lsdd.test_drawn(&test, PERMUTATIONS - 1, trial).unwrap();
            tested.test.p_value()
        }
    }
}

/// False alarms where nothing moved, and changes seen.
fn error_rates() {
    const ALPHA: f64 = 0.05;
    // 99.9 % of all binomial draws lie within so many standard deviations.
    let band = 3.29 * (ALPHA * (1.0 - ALPHA) / TRIALS as f64).sqrt();
    for (method, moved) in [
        ("ks", 1.0),
        ("cvm", 1.0),
        ("mmd", 1.0),
        ("lsdd", 1.0),
        ("chi2", 0.3),
        ("fisher", 0.3),
    ] {
        let share = |moved: f64, alpha: f64| {
            let below = (0..TRIALS).filter(|trial| p_value(method, moved, *trial) < alpha);
            below.count() as f64 / TRIALS as f64
        };
        let (alarms, seen) = (share(0.0, ALPHA), share(moved, 0.01));
        // Of few different p-values none may lie just below alpha: then alarms are rarer.
        println!(
            "| {method}, {REFERENCE_ROWS} v {TEST_ROWS}: false alarms at 0.05 of {TRIALS} draws | {alarms:.3} | ≤ {:.3} |",
            ALPHA + band
        );
        println!("| {method}: seen at 0.01, moved by {moved} | {seen:.3} | recorded |");
    }
}

/// How a detector is set up.
#[derive(Clone, Copy)]
struct Case {
    rows: usize,
    width: usize,
    window: usize,
    ert: f64,
    bootstraps: Option<usize>,
}

/// Sets up `method` on a reference of stream `index`; Fisher's is of zeros and ones at a rate of 0.1.
fn fit(method: &str, case: Case, index: u64) -> Online {
    let mut source = Source::new("bench.reference", index);
    let Case {
        window,
        ert,
        bootstraps,
        ..
    } = case;
    let windows = vec![window, 2 * window];
    let draws = Draws::Seed(index);
    let reference = if method == "fisher" {
        // Exactly one in ten: thresholds are for the rate of the reference.
        let bits = (0..case.rows).map(|at| f64::from(u8::from(at % 10 == 0)));
        Sample::new(bits.collect(), 1).unwrap()
    } else {
        Sample::new(source.normal(case.rows * case.width), case.width).unwrap()
    };
    let online = match method {
        "mmd" => Online::mmd(
            &reference,
            &MmdOptions {
                window,
                ert,
                bootstraps,
                bandwidth: None,
                draws,
            },
        ),
        "lsdd" => Online::lsdd(
            &reference,
            &LsddOptions {
                window,
                ert,
                bootstraps,
                bandwidth: None,
                centres: None,
                first_window: FirstWindow::Filtered,
                draws,
            },
        ),
        "cvm" => Online::cvm(
            &reference,
            &CvmOptions {
                windows,
                ert,
                bootstraps,
                seed: index,
            },
        ),
        _ => Online::fisher(
            &reference,
            &FisherOptions {
                windows,
                ert,
                bootstraps,
                direction: Direction::Greater,
                smoothing: 0.99,
                seed: index,
            },
        ),
    };
    online.unwrap()
}

/// An observation: `moved` adds to each feature, or to the rate of ones.
fn observation(online: &Online, source: &mut Source, moved: f64) -> Vec<f64> {
    if online.method() == "fisher" {
        return source.bits(1, 0.1 + moved);
    }
    let mut row = source.normal(online.width());
    for value in &mut row {
        *value += moved;
    }
    row
}

fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn cost() {
    const STEPS: usize = 2000;
    for method in METHODS {
        let case = Case {
            rows: 1000,
            width: 32,
            window: 20,
            ert: 150.0,
            bootstraps: match method {
                "cvm" => None,
                "fisher" => Some(10_000),
                _ => Some(1500),
            },
        };
        let mut seconds: Vec<f64> = (0..5)
            .map(|index| {
                let before = cpu_s();
                std::hint::black_box(fit(method, case, index));
                cpu_s() - before
            })
            .collect();
        seconds.sort_by(f64::total_cmp);
        let bar = if method == "mmd" {
            "≤ 0.5 s"
        } else {
            "recorded"
        };
        println!(
            "| online {method}, n 1000, W 20, ERT 150: configuration | {:.3} CPU s | {bar} |",
            seconds[2]
        );
        let mut online = fit(method, case, 0);
        let mut source = Source::new("bench.update", 0);
        let rows: Vec<Vec<f64>> = (0..STEPS)
            .map(|_| observation(&online, &mut source, 0.0))
            .collect();
        let before = cpu_s();
        for row in &rows {
            std::hint::black_box(online.observe(row).unwrap());
        }
        let step_ms = (cpu_s() - before) * 1e3 / STEPS as f64;
        let bar = if method == "mmd" {
            "≤ 0.02 ms"
        } else {
            "recorded"
        };
        println!("| online {method}: update | {step_ms:.4} ms | {bar} |");
        let before = cpu_s();
        let bytes = online.state_bytes().unwrap().len();
        println!(
            "| online {method}: state written | {:.2} ms, {} KiB; fitted {} KiB | recorded |",
            (cpu_s() - before) * 1e3,
            bytes.div_ceil(1024),
            online.fitted_bytes().unwrap().len().div_ceil(1024),
        );
    }
}

/// Steps to the first alarm, at most 40 times the expected ones.
fn steps_to_alarm(online: &mut Online, source: &mut Source, moved: f64) -> f64 {
    online.reset();
    let limit = (40.0 * online.ert()) as u64;
    while online.time() < limit && online.drift_since().is_none() {
        let row = observation(online, source, moved);
        online.observe(&row).unwrap();
    }
    online.time() as f64
}

/// Mean and standard error over references, each the mean of its streams: streams that share a reference
/// are not independent.
fn over_references(mut one: impl FnMut(u64) -> f64) -> (f64, f64) {
    let means: Vec<f64> = (0..REFERENCES).map(&mut one).collect();
    let count = means.len() as f64;
    let mean = means.iter().sum::<f64>() / count;
    let squares: f64 = means.iter().map(|m| (m - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}

fn run_length() {
    for bootstraps in [None, Some(5000)] {
        for method in METHODS {
            let case = Case {
                rows: 500,
                width: 4,
                window: 10,
                ert: ERT,
                bootstraps,
            };
            // Until its first window is full, a univariate method cannot raise an alarm.
            let silent = match method {
                "cvm" | "fisher" => case.window as f64 - 1.0,
                _ => 0.0,
            };
            let (mean, error) = over_references(|index| {
                let mut online = fit(method, case, index);
                let mut source = Source::new("bench.run-length", index);
                let sum: f64 = (0..STREAMS)
                    .map(|_| steps_to_alarm(&mut online, &mut source, 0.0) - silent)
                    .sum();
                sum / STREAMS as f64
            });
            let told = bootstraps.map_or("usual".to_owned(), |count| count.to_string());
            println!(
                "| online {method}, ERT {ERT}, {told} bootstraps: mean run length of {} runs | {mean:.1} ± {error:.1} ({:+.1} %) | within 15 % |",
                REFERENCES * STREAMS as u64,
                (mean / ERT - 1.0) * 100.0,
            );
        }
    }
}

fn delay() {
    for method in METHODS {
        for moved in [0.25, 0.5, 1.0] {
            // A rate of ones cannot rise by so much.
            let moved = if method == "fisher" {
                moved * 0.8
            } else {
                moved
            };
            let case = Case {
                rows: 500,
                width: 4,
                window: 10,
                ert: 500.0,
                bootstraps: None,
            };
            let (mean, error) = over_references(|index| {
                let mut online = fit(method, case, index % 10);
                let mut source = Source::new("bench.delay", index);
                steps_to_alarm(&mut online, &mut source, moved)
            });
            let what = if method == "fisher" {
                "rate of 0.1 rises by"
            } else {
                "each of 4 features moves by"
            };
            println!(
                "| online {method}, ERT 500, {what} {moved}: steps to the alarm | {mean:.1} ± {error:.1} | recorded |"
            );
        }
    }
}

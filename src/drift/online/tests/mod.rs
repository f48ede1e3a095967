//! Tests of the detectors as a caller holds them.

mod golden;
mod laws;
mod run_length;
mod state;

use std::sync::LazyLock;

use rand::RngExt;

use super::{
    CvmOptions, Direction, Draws, FirstWindow, FisherOptions, LsddOptions, MmdOptions, Online,
};
use crate::base::rng;
use crate::drift::Sample;
use crate::drift::normal::standard_normal;

/// Standard normal numbers, and bits, of a stream.
struct Normal(rng::ChaCha8Rng);

impl Normal {
    fn new(name: &str, index: u64) -> Self {
        Self(rng::stream(7, name, index))
    }

    fn draw(&mut self) -> f64 {
        standard_normal(&mut self.0)
    }

    fn row(&mut self, width: usize) -> Vec<f64> {
        (0..width).map(|_| self.draw()).collect()
    }

    fn sample(&mut self, rows: usize, width: usize) -> Sample {
        Sample::new(self.row(rows * width), width).unwrap()
    }

    /// Zeros, and ones at the rate `rate`.
    fn bits(&mut self, count: usize, rate: f64) -> Vec<f64> {
        (0..count)
            .map(|_| f64::from(u8::from(self.0.random::<f64>() < rate)))
            .collect()
    }
}

fn mmd_options(window: usize, ert: f64, seed: u64) -> MmdOptions {
    MmdOptions {
        window,
        ert,
        bootstraps: None,
        bandwidth: None,
        draws: Draws::Seed(seed),
    }
}

fn lsdd_options(window: usize, ert: f64, seed: u64) -> LsddOptions {
    LsddOptions {
        window,
        ert,
        bootstraps: None,
        bandwidth: None,
        centres: None,
        first_window: FirstWindow::Filtered,
        draws: Draws::Seed(seed),
    }
}

fn cvm_options(windows: &[usize], ert: f64, seed: u64) -> CvmOptions {
    CvmOptions {
        windows: windows.to_vec(),
        ert,
        bootstraps: None,
        seed,
    }
}

fn fisher_options(windows: &[usize], ert: f64, seed: u64) -> FisherOptions {
    FisherOptions {
        windows: windows.to_vec(),
        ert,
        bootstraps: None,
        direction: Direction::Greater,
        smoothing: 0.99,
        seed,
    }
}

/// One of each method, of two features, with few bootstraps.
fn one_of_each(seed: u64) -> Vec<Online> {
    let sample = Normal::new("reference", 0).sample(60, 2);
    let bits = Sample::new(Normal::new("bits", 0).bits(160, 0.2), 2).unwrap();
    let bootstraps = Some(200);
    let mmd = MmdOptions {
        bootstraps,
        ..mmd_options(5, 20.0, seed)
    };
    let lsdd = LsddOptions {
        bootstraps,
        ..lsdd_options(5, 20.0, seed)
    };
    let cvm = CvmOptions {
        bootstraps,
        ..cvm_options(&[4, 9], 20.0, seed)
    };
    let fisher = FisherOptions {
        bootstraps,
        ..fisher_options(&[4, 9], 20.0, seed)
    };
    vec![
        Online::mmd(&sample, &mmd).unwrap(),
        Online::lsdd(&sample, &lsdd).unwrap(),
        Online::cvm(&sample, &cvm).unwrap(),
        Online::fisher(&bits, &fisher).unwrap(),
    ]
}

/// The same for all cases of a property.
static DETECTORS: LazyLock<Vec<Online>> = LazyLock::new(|| one_of_each(8));

/// An observation that `online` takes.
fn observation(online: &Online, normal: &mut Normal) -> Vec<f64> {
    if online.method() == "fisher" {
        normal.bits(2, 0.3)
    } else {
        normal.row(2)
    }
}

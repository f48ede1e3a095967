//! How fast this machine multiplies and adds, and how much of that the convolutions of `cnn35` reach.
//!
//! `cargo bench --bench kernels` prints a table: for each form of the kernels the peak of one core
//! (multiply-adds on registers alone), then each layer forward and backward on one thread, in GFLOP/s
//! of direct convolution, so that Winograd may pass the peak. The best of many rounds each: what
//! neighbours on the machine take away is not the kernels' doing.
#![expect(
    clippy::print_stdout,
    reason = "a program of its own, whose result is a table"
)]

use std::hint::black_box;
use std::time::Instant;

use cvops::vision::kernels::conv::{Gradients, Saved, backward, forward};
use cvops::vision::kernels::{ConvShape, Cpu, Finish};
use pulp::{Simd, WithSimd};

/// Layers of `cnn35`: channels in and out, side of the maps, pooling.
const LAYERS: [(usize, usize, usize, usize); 4] = [
    (3, 32, 35, 1),
    (32, 32, 33, 2),
    (32, 64, 15, 1),
    (64, 64, 13, 2),
];
const BATCH: usize = 64;
const ROUNDS: usize = 40;

/// Independent sums, enough to hide the latency of a multiply-add.
const SUMS: usize = 12;
const STEPS: usize = 200_000;

struct Peak;

impl WithSimd for Peak {
    type Output = usize;

    /// Returns how many operations were done.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "to be compiled for the instructions")]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let (factor, term) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(0.001));
        let mut sums = [simd.splat_f32s(black_box(1.0)); SUMS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, term);
            }
        }
        for sum in sums {
            black_box(simd.reduce_sum_f32s(sum));
        }
        2 * SUMS * STEPS * S::F32_LANES
    }
}

/// Returns GFLOP/s of registers alone, in the form of this name.
fn peak(cpu: Cpu) -> f64 {
    best(|| match cpu.name() {
        #[cfg(target_arch = "x86_64")]
        "avx512" => pulp::x86::V4::try_new().map(|v4| Simd::vectorize(v4, Peak)),
        #[cfg(target_arch = "x86_64")]
        "avx2" => pulp::x86::V3::try_new().map(|v3| Simd::vectorize(v3, Peak)),
        #[cfg(target_arch = "aarch64")]
        "neon" => pulp::aarch64::Neon::try_new().map(|neon| Simd::vectorize(neon, Peak)),
        _ => Some(pulp::Scalar.vectorize(Peak)),
    })
}

/// Returns the most GFLOP/s of some rounds of `work`, which says how many operations it did.
fn best(mut work: impl FnMut() -> Option<usize>) -> f64 {
    let mut best = 0.0f64;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let operations = work().unwrap_or_default() as f64;
        best = best.max(operations / started.elapsed().as_secs_f64() / 1e9);
    }
    best
}

fn layer(cpu: Cpu, peak: f64, (inputs, outputs, side, pool): (usize, usize, usize, usize)) {
    let shape = ConvShape {
        batch: BATCH,
        height: side,
        width: side,
        inputs,
        outputs,
        kernel: 3,
        stride: 1,
        border: 0,
    };
    let finish = Finish { slope: 0.0, pool };
    let values = |len: usize, scale: f32| -> Vec<f32> {
        (0..len)
            .map(|i| ((i * 7919) % 1000) as f32 * scale)
            .collect()
    };
    let x = values(BATCH * shape.in_len(), 1e-3);
    let (w, bias) = (values(shape.weights_len(), 1e-4), values(outputs, 1e-3));
    let out_len = BATCH * shape.out_len(finish);
    let (mut y, mut places) = (vec![0.0; out_len], vec![0; out_len]);
    let operations = 2 * BATCH * shape.map_len() * 9 * inputs;
    let ahead = best(|| {
        let places = Some(&mut places[..]);
        forward(cpu, &shape, finish, &x, &w, Some(&bias), &mut y, places);
        Some(operations)
    });
    let dy = values(out_len, 1e-3);
    let (mut dx, mut dw, mut dbias) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; outputs]);
    // The pictures need no gradient.
    let sides = if inputs == 3 { 1 } else { 2 };
    let back = best(|| {
        let saved = Saved {
            x: &x,
            w: &w,
            y: &y,
            places: Some(&places),
        };
        let gradients = Gradients {
            dx: (inputs != 3).then_some(&mut dx[..]),
            dw: &mut dw,
            dbias: Some(&mut dbias),
        };
        backward(cpu, &shape, finish, saved, &dy, gradients);
        Some(sides * operations)
    });
    let name = format!("conv {inputs} -> {outputs}, {side}x{side}, pool {pool}");
    for (what, speed) in [("forward", ahead), ("backward", back)] {
        println!(
            "{:7} {name:32} {what:9} {speed:7.1}  {:.2}",
            cpu.name(),
            speed / peak
        );
    }
}

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let Ok(pool) = pool else {
        return println!("no thread could be started");
    };
    pool.install(|| {
        println!(
            "{:7} {:32} {:9} {:>7}  of the peak",
            "form", "what", "", "GFLOP/s"
        );
        for cpu in Cpu::available().into_iter().rev() {
            let peak = peak(cpu);
            println!(
                "{:7} {:32} {:9} {peak:7.1}",
                cpu.name(),
                "registers alone",
                ""
            );
            for sizes in LAYERS {
                layer(cpu, peak, sizes);
            }
        }
    });
}

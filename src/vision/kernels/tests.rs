//! Convolution against its definition in f64, in every form that this machine runs.

use super::conv::{self, Gradients, Saved};
use super::{ConvShape, Cpu, Finish};

/// Numbers between -1 and 1, the same for the same seed.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        // Knuth's MMIX generator; its high bits are good enough for test data.
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    pub(super) fn values(&mut self, len: usize) -> Vec<f32> {
        (0..len)
            .map(|_| self.next() as f32 / (1u64 << 30) as f32 - 1.0)
            .collect()
    }
}

/// The definition: calls `each` with the indices of every output, input and weight that meet.
fn taps(shape: &ConvShape, mut each: impl FnMut(usize, usize, usize)) {
    let ConvShape {
        batch,
        height,
        width,
        inputs,
        outputs,
        kernel,
        stride,
        border,
    } = *shape;
    let (rows, columns) = (shape.out_height(), shape.out_width());
    for n in 0..batch {
        for r in 0..rows {
            for c in 0..columns {
                for i in 0..kernel {
                    for j in 0..kernel {
                        let (row, column) = (r * stride + i, c * stride + j);
                        if row < border
                            || column < border
                            || height + border <= row
                            || width + border <= column
                        {
                            continue;
                        }
                        let pixel = (n * height + row - border) * width + column - border;
                        for o in 0..outputs {
                            for k in 0..inputs {
                                each(
                                    ((n * rows + r) * columns + c) * outputs + o,
                                    pixel * inputs + k,
                                    ((o * inputs + k) * kernel + i) * kernel + j,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Checks |found - expected| ≤ bound · the sum of the absolute values of all terms.
#[track_caller]
fn close(what: &str, found: &[f32], expected: &[f64], terms: &[f64], bound: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = terms.iter().copied().fold(0.0, f64::max);
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(
            error <= bound * largest,
            "{what}[{i}]: {found} for {expected}, {error:e} of {largest}"
        );
    }
}

fn check(cpu: Cpu, shape: ConvShape, finish: Finish, with_bias: bool, seed: u64) {
    let what = format!("{cpu:?} {shape:?} {finish:?} bias {with_bias} seed {seed}");
    let mut numbers = Numbers(seed);
    let x = numbers.values(shape.batch * shape.in_len());
    let w = numbers.values(shape.weights_len());
    let bias = numbers.values(shape.outputs);
    let bias = with_bias.then_some(&bias[..]);
    let out_len = shape.batch * shape.out_len(finish);
    let (mut y, mut places) = (
        vec![f32::NAN; out_len],
        vec![if finish.pool == 1 { 0 } else { 255u8 }; out_len],
    );
    conv::forward(cpu, &shape, finish, &x, &w, bias, &mut y, Some(&mut places));

    // The bounds cover Winograd, whose constants multiply the rounding; more so in the gradient of
    // the weights, where it also mixes in what pooling multiplies with zeros.
    let bound = 2e-6;
    let map_len = shape.batch * shape.map_len();
    let (mut map, mut terms) = (vec![0.0; map_len], vec![1.0; map_len]);
    taps(&shape, |o, i, k| {
        let product = f64::from(x[i]) * f64::from(w[k]);
        map[o] += product;
        terms[o] += product.abs();
    });
    for (o, map) in map.iter_mut().enumerate() {
        *map += bias.map_or(0.0, |bias| f64::from(bias[o % shape.outputs]));
        if *map < 0.0 {
            *map *= f64::from(finish.slope);
        }
    }
    let (rows, columns, pool) = (shape.out_height(), shape.out_width(), finish.pool);
    let (pooled_rows, pooled_columns) = (rows / pool, columns / pool);
    // Of each value of `y`, the window of `map` that it comes from.
    let window = |at: usize| {
        let (pixel, o) = (at / shape.outputs, at % shape.outputs);
        let (n, r, c) = (
            pixel / (pooled_rows * pooled_columns),
            pixel / pooled_columns % pooled_rows,
            pixel % pooled_columns,
        );
        (0..pool * pool).map(move |place| {
            let (row, column) = (r * pool + place / pool, c * pool + place % pool);
            ((n * rows + row) * columns + column) * shape.outputs + o
        })
    };
    let largest: Vec<f64> = (0..out_len)
        .map(|at| window(at).map(|i| map[i]).fold(f64::MIN, f64::max))
        .collect();
    close(&format!("y of {what}"), &y, &largest, &terms, bound);
    let chosen: Vec<f64> = (0..out_len)
        .map(|at| map[window(at).nth(places[at].into()).unwrap()])
        .collect();
    close(&format!("places of {what}"), &y, &chosen, &terms, bound);

    // Backward, from the outputs that were computed: near a kink of the activation, or a tie, f64
    // would have gone another way.
    let dy = numbers.values(out_len);
    let mut dx = vec![f32::NAN; x.len()];
    let mut dw = vec![f32::NAN; w.len()];
    let mut dbias = vec![f32::NAN; shape.outputs];
    let saved = Saved {
        x: &x,
        w: &w,
        y: &y,
        places: Some(&places),
    };
    let gradients = Gradients {
        dx: Some(&mut dx),
        dw: &mut dw,
        dbias: Some(&mut dbias),
    };
    conv::backward(cpu, &shape, finish, saved, &dy, gradients);
    let mut dmap = vec![0.0; map_len];
    for (at, &dy) in dy.iter().enumerate() {
        let slope = if 0.0 < y[at] {
            1.0
        } else {
            f64::from(finish.slope)
        };
        dmap[window(at).nth(places[at].into()).unwrap()] = f64::from(dy) * slope;
    }
    let mut expected = [
        vec![0.0; x.len()],
        vec![0.0; w.len()],
        vec![0.0; shape.outputs],
    ];
    let mut terms = [
        vec![1.0; x.len()],
        vec![1.0; w.len()],
        vec![1.0; shape.outputs],
    ];
    taps(&shape, |o, i, k| {
        let products = [dmap[o] * f64::from(w[k]), dmap[o] * f64::from(x[i])];
        for (part, at) in [i, k].into_iter().enumerate() {
            expected[part][at] += products[part];
            terms[part][at] += products[part].abs();
        }
    });
    for (o, dmap) in dmap.iter().enumerate() {
        expected[2][o % shape.outputs] += dmap;
        terms[2][o % shape.outputs] += dmap.abs();
    }
    for (part, found) in [&dx, &dw, &dbias].into_iter().enumerate() {
        let name = ["dx", "dw", "dbias"][part];
        close(
            &format!("{name} of {what}"),
            found,
            &expected[part],
            &terms[part],
            [bound, 3.0 * bound, bound][part],
        );
    }

    // Without the gradient of the input, the others are the same bits.
    let mut alone = vec![f32::NAN; w.len()];
    let gradients = Gradients {
        dx: None,
        dw: &mut alone,
        dbias: None,
    };
    conv::backward(cpu, &shape, finish, saved, &dy, gradients);
    assert_eq!(alone, dw, "{what}");
}

#[test]
fn convolutions_are_what_they_are_defined_to_be() {
    let mut numbers = Numbers(1);
    for cpu in Cpu::available() {
        for round in 0..120 {
            let kernel = [1, 3, 3, 3, 5, 7][numbers.below(6)];
            let border = [0, kernel / 2, numbers.below(kernel)][numbers.below(3)];
            let side = |numbers: &mut Numbers| {
                kernel.saturating_sub(2 * border).max(1) + numbers.below(14)
            };
            let channels =
                |numbers: &mut Numbers| [1, 3, 6, 8, 16, 17, 32, 33, 40][numbers.below(9)];
            let shape = ConvShape {
                batch: 1 + numbers.below(11),
                height: side(&mut numbers),
                width: side(&mut numbers),
                inputs: channels(&mut numbers),
                outputs: channels(&mut numbers),
                kernel,
                stride: [1, 1, 1, 2, 3][numbers.below(5)],
                border,
            };
            let pool = [1, 1, 2, 3][numbers.below(4)]
                .min(shape.out_height())
                .min(shape.out_width());
            let slope = [0.0, 0.01, 1.0][numbers.below(3)];
            check(cpu, shape, Finish { slope, pool }, round % 3 != 0, round);
        }
    }
}

/// The convolutions of the reference network, whose sums are long.
#[test]
fn the_reference_network_is_computed_within_its_bounds() {
    for cpu in Cpu::available() {
        for (inputs, outputs, side, pool) in [
            (3, 32, 35, 1),
            (32, 32, 33, 2),
            (32, 64, 15, 1),
            (64, 64, 13, 2),
        ] {
            let shape = ConvShape {
                batch: 3,
                height: side,
                width: side,
                inputs,
                outputs,
                kernel: 3,
                stride: 1,
                border: 0,
            };
            check(cpu, shape, Finish { slope: 0.0, pool }, true, 7);
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let shape = ConvShape {
        batch: 37,
        height: 11,
        width: 9,
        inputs: 32,
        outputs: 24,
        kernel: 3,
        stride: 1,
        border: 1,
    };
    for cpu in Cpu::available() {
        for shape in [
            shape,
            ConvShape { stride: 2, ..shape },
            ConvShape {
                kernel: 1,
                border: 0,
                ..shape
            },
        ] {
            let finish = Finish {
                slope: 0.0,
                pool: 2,
            };
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                pool.install(|| {
                    let mut numbers = Numbers(3);
                    let x = numbers.values(shape.batch * shape.in_len());
                    let w = numbers.values(shape.weights_len());
                    let out_len = shape.batch * shape.out_len(finish);
                    let (mut y, mut places) = (vec![0.0; out_len], vec![0; out_len]);
                    conv::forward(cpu, &shape, finish, &x, &w, None, &mut y, Some(&mut places));
                    let dy = numbers.values(out_len);
                    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
                    let saved = Saved {
                        x: &x,
                        w: &w,
                        y: &y,
                        places: Some(&places),
                    };
                    let gradients = Gradients {
                        dx: Some(&mut dx),
                        dw: &mut dw,
                        dbias: None,
                    };
                    conv::backward(cpu, &shape, finish, saved, &dy, gradients);
                    (y, dx, dw)
                })
            };
            let one = run(1);
            assert!(one == run(2) && one == run(5), "{cpu:?} {shape:?}");
        }
    }
}

/// A diverged training must be seen: ReLU and pooling may not turn NaN into numbers.
#[test]
fn nan_is_passed_on() {
    for cpu in Cpu::available() {
        for inputs in [3, 32] {
            let shape = ConvShape {
                batch: 1,
                height: 10,
                width: 10,
                inputs,
                outputs: 32,
                kernel: 3,
                stride: 1,
                border: 0,
            };
            let finish = Finish {
                slope: 0.0,
                pool: 2,
            };
            let mut x = vec![1.0; shape.in_len()];
            x[(4 * 10 + 5) * inputs] = f32::NAN;
            let w = vec![0.1; shape.weights_len()];
            let mut y = vec![0.0; shape.out_len(finish)];
            conv::forward(cpu, &shape, finish, &x, &w, None, &mut y, None);
            // Outputs 2..=4 × 3..=5 read the pixel; it is in the windows 1..=2 × 1..=2.
            for (row, column) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
                assert!(y[(row * 4 + column) * 32].is_nan(), "{cpu:?} {inputs}");
            }
        }
    }
}

/// Patches and windows that lie in the border alone.
#[test]
fn a_border_may_be_wider_than_the_kernel() {
    for cpu in Cpu::available() {
        for (kernel, stride, border) in [(3, 1, 4), (3, 1, 9), (2, 1, 7), (3, 2, 8), (1, 3, 5)] {
            let shape = ConvShape {
                batch: 2,
                height: 6,
                width: 3,
                inputs: 9,
                outputs: 18,
                kernel,
                stride,
                border,
            };
            check(cpu, shape, Finish::NONE, true, 5);
        }
    }
}

#[test]
fn no_pictures_are_no_work() {
    let shape = ConvShape {
        batch: 0,
        height: 1,
        width: 1,
        inputs: 5,
        outputs: 7,
        kernel: 1,
        stride: 1,
        border: 0,
    };
    for cpu in Cpu::available() {
        check(cpu, shape, Finish::NONE, true, 1);
        let prepared = conv::Prepared::new(cpu, &shape, &[0.5; 35], None);
        conv::forward_here(cpu, &shape, Finish::NONE, &[], &prepared, &mut [], None);
    }
}

/// Sizes whose products wrap around to the lengths of the slices would be read out of bounds.
#[test]
fn impossible_sizes_are_refused() {
    let shape = ConvShape {
        batch: 1,
        height: 1,
        width: 1,
        inputs: 1,
        outputs: 1,
        kernel: 1,
        stride: 1,
        border: 0,
    };
    for shape in [
        ConvShape { kernel: 3, ..shape },
        ConvShape { kernel: 0, ..shape },
        ConvShape { stride: 0, ..shape },
        ConvShape { inputs: 0, ..shape },
        ConvShape { height: 0, ..shape },
        ConvShape {
            border: 1 << 63,
            ..shape
        },
        ConvShape {
            height: (1 << 63) + 1,
            width: 2,
            batch: 1 << 63,
            ..shape
        },
    ] {
        let refused = std::panic::catch_unwind(|| {
            let x = [1.0; 9];
            let weights = &x[..shape.kernel.pow(2)];
            let mut y = [0.0];
            let cpu = Cpu::best();
            conv::forward(
                cpu,
                &shape,
                Finish::NONE,
                &x[..1],
                weights,
                None,
                &mut y,
                None,
            );
        });
        let text = refused.expect_err("a panic");
        let text = text
            .downcast_ref::<String>()
            .expect("a text with the shape");
        assert!(text.contains("ConvShape"), "{text}");
    }
}

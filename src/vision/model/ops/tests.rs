//! Each operation against burn's own, forward and backward, on all routes.

use burn::tensor::{Device, Tensor, TensorData};

use super::bytes::tensor_of;
use super::norm::Normed;
use super::*;

/// An operation over flat inputs, which it shapes itself.
type Form<'a> = &'a (dyn Fn(&[Tensor<1>]) -> Tensor<1> + Sync);

/// Values from -1 to 1, another row of them for each seed (a linear congruential generator).
fn values(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn tensor(len: usize, seed: u64, device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values(len, seed), [len]), device)
}

/// Returns the result of `form` and the gradients of the first `tracked` inputs of a weighted sum
/// of it.
fn results(form: Form<'_>, lens: &[usize], tracked: usize, device: &Device) -> Vec<Vec<f32>> {
    let mut inputs = Vec::new();
    for (i, len) in lens.iter().enumerate() {
        let input = tensor(*len, i as u64 + 1, device);
        inputs.push(if device.is_autodiff() && i < tracked {
            input.require_grad()
        } else {
            input
        });
    }
    let y = form(&inputs);
    let len = y.dims()[0];
    let mut results = vec![read(y.clone().without_autodiff())];
    if device.is_autodiff() && tracked != 0 {
        let gradients = (y * tensor(len, 99, device)).sum().backward();
        for input in &inputs[..tracked] {
            results.push(read(input.grad(&gradients).expect("the input is tracked")));
        }
    }
    results
}

fn read(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Largest difference, relative to the largest value.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = b.iter().fold(1e-6, |l: f32, v| l.max(v.abs()));
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max) / largest
}

#[track_caller]
fn near(what: &str, found: &[Vec<f32>], expected: &[Vec<f32>]) {
    // Sums of some hundred products in another order.
    const BOUND: f32 = 2e-5;
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let distance = distance(a, b);
        assert!(distance < BOUND, "{what}, result {i}: {distance}");
    }
}

/// Checks `ours` against `stock`: training, inference, the fall-back, and several numbers of
/// threads.
#[track_caller]
fn check(name: &str, lens: &[usize], tracked: usize, ours: Form<'_>, stock: Form<'_>) {
    let device = Device::flex().autodiff();
    let expected = results(stock, lens, tracked, &device);
    let trained = results(ours, lens, tracked, &device);
    near(name, &trained, &expected);

    let inferred = results(ours, lens, tracked, &Device::flex());
    assert_eq!(inferred[0], trained[0], "{name}: inference");

    let other = Device::flex().autodiff().gradient_checkpointing();
    let other = results(ours, lens, tracked, &other);
    near(&format!("{name}: fall-back"), &other, &expected);

    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.build().expect("a pool of a few threads");
        let again = pool.install(|| results(ours, lens, tracked, &device));
        assert_eq!(again, trained, "{name}: {threads} threads");
    }
}

fn flat4(x: Tensor<4>) -> Tensor<1> {
    x.flatten(0, 3)
}

#[test]
fn convolutions() {
    let cases = [
        // batch, height, width, in, out, kernel, stride, border, pool, slope
        (3, 7, 9, 3, 5, 3, 1, 0, 1, 0.0),
        (2, 9, 8, 4, 6, 3, 1, 1, 2, 0.0),
        (5, 6, 11, 1, 3, 5, 2, 2, 1, 0.01),
        (2, 10, 10, 5, 7, 1, 1, 0, 3, 0.01),
        (9, 8, 5, 16, 17, 3, 1, 1, 1, 1.0),
        (1, 12, 13, 32, 32, 3, 1, 0, 2, 0.0),
        (4, 7, 7, 2, 4, 3, 3, 1, 1, 1.0),
    ];
    for (batch, height, width, ins, outs, kernel, stride, border, pool, slope) in cases {
        let geometry = Geometry { stride, border };
        let finish = Finish { slope, pool };
        let x = batch * height * width * ins;
        let lens = [x, outs * ins * kernel * kernel, outs];
        let shaped = |t: &[Tensor<1>]| {
            let x = t[0].clone().reshape([batch, height, width, ins]);
            let weight = t[1].clone().reshape([outs, ins, kernel, kernel]);
            (x, weight, t.get(2).cloned())
        };
        let ours = |t: &[Tensor<1>]| {
            let (x, weight, bias) = shaped(t);
            flat4(conv(x, weight, bias, geometry, finish))
        };
        let stock = |t: &[Tensor<1>]| {
            let (x, weight, bias) = shaped(t);
            flat4(super::conv::stock(x, weight, bias, geometry, 1, finish))
        };
        let name = format!("{batch}x{height}x{width}x{ins} to {outs}, {geometry:?} {finish:?}");
        check(&name, &lens, 3, &ours, &stock);
        check(
            &format!("{name} without bias"),
            &lens[..2],
            2,
            &ours,
            &stock,
        );
    }
}

/// Pictures need no gradient; a frozen network needs none at all.
#[test]
fn gradients_are_made_for_who_wants_them() {
    let geometry = Geometry {
        stride: 1,
        border: 1,
    };
    let finish = Finish {
        slope: 0.0,
        pool: 2,
    };
    let lens = [5 * 3 * 3 * 3, 5, 2 * 6 * 8 * 3];
    let shaped = |t: &[Tensor<1>]| {
        let weight = t[0].clone().reshape([5, 3, 3, 3]);
        (
            t[2].clone().reshape([2, 6, 8, 3]),
            weight,
            Some(t[1].clone()),
        )
    };
    let ours = |t: &[Tensor<1>]| {
        let (x, weight, bias) = shaped(t);
        flat4(conv(x, weight, bias, geometry, finish))
    };
    let stock = |t: &[Tensor<1>]| {
        let (x, weight, bias) = shaped(t);
        flat4(super::conv::stock(x, weight, bias, geometry, 1, finish))
    };
    for tracked in 0..=3 {
        check("frozen", &lens, tracked, &ours, &stock);
    }
}

/// Inputs and gradients may be views in any order.
#[test]
fn views_are_put_in_order() {
    let geometry = Geometry {
        stride: 1,
        border: 0,
    };
    let finish = Finish {
        slope: 0.0,
        pool: 1,
    };
    let lens = [2 * 3 * 7 * 8, 4 * 3 * 3 * 3, 4];
    let with = |t: &[Tensor<1>], block: &dyn Fn(Tensor<4>, Tensor<4>, Tensor<1>) -> Tensor<4>| {
        let x = maps(t[0].clone().reshape([2, 3, 7, 8]));
        let weight = t[1].clone().reshape([3, 4, 3, 3]).swap_dims(0, 1);
        let y = block(x, weight, t[2].clone());
        flat4(planes(y).slice([0..2, 1..3]))
    };
    let ours = |t: &[Tensor<1>]| with(t, &|x, w, b| conv(x, w, Some(b), geometry, finish));
    let stock = |t: &[Tensor<1>]| {
        with(t, &|x, w, b| {
            super::conv::stock(x, w, Some(b), geometry, 1, finish)
        })
    };
    check("views", &lens, 3, &ours, &stock);
}

#[test]
fn depthwise_convolutions() {
    let cases = [
        // batch, height, width, channels, kernel, stride, border, slope
        (2, 7, 9, 5, 3, 1, 1, 0.0),
        (3, 8, 8, 17, 3, 2, 1, 0.01),
        (1, 11, 6, 32, 5, 1, 2, 1.0),
        (9, 5, 5, 3, 3, 1, 0, 0.0),
    ];
    for (batch, height, width, channels, kernel, stride, border, slope) in cases {
        let geometry = Geometry { stride, border };
        let x = batch * height * width * channels;
        let lens = [x, channels * kernel * kernel, channels];
        let shaped = |t: &[Tensor<1>]| {
            let x = t[0].clone().reshape([batch, height, width, channels]);
            let weight = t[1].clone().reshape([channels, 1, kernel, kernel]);
            (x, weight, t.get(2).cloned())
        };
        let ours = |t: &[Tensor<1>]| {
            let (x, weight, bias) = shaped(t);
            flat4(depthwise(x, weight, bias, geometry, slope))
        };
        let stock = |t: &[Tensor<1>]| {
            let (x, weight, bias) = shaped(t);
            let finish = Finish { slope, pool: 1 };
            flat4(super::conv::stock(
                x, weight, bias, geometry, channels, finish,
            ))
        };
        let name = format!("{batch}x{height}x{width}x{channels}, {geometry:?} {slope}");
        check(&name, &lens, 3, &ours, &stock);
        check(
            &format!("{name} without bias"),
            &lens[..2],
            2,
            &ours,
            &stock,
        );
    }
}

#[test]
fn norms() {
    for (sides, slope) in [
        ([3, 5, 4, 7], 0.0),
        ([2, 9, 7, 16], 0.01),
        ([4, 3, 3, 33], 1.0),
        // With two rows the gradient of `x` all but cancels, in burn as here.
        ([1, 5, 1, 1], 0.0),
    ] {
        let [batch, height, width, channels] = sides;
        let len = batch * height * width * channels;
        let lens = [len, channels, channels, len];
        type Normal = fn(Tensor<4>, Tensor<1>, Tensor<1>, f32, Option<Tensor<4>>, f32) -> Normed;
        let with = |t: &[Tensor<1>], norm: Normal| {
            let residual = t.get(3).map(|t| t.clone().reshape(sides));
            let x = t[0].clone().reshape(sides);
            let normed = norm(x, t[1].clone(), t[2].clone(), 1e-3, residual, slope);
            assert!(!normed.mean.is_require_grad());
            Tensor::cat(vec![flat4(normed.y), normed.mean, normed.variance], 0)
        };
        let ours = |t: &[Tensor<1>]| with(t, norm);
        let stock = |t: &[Tensor<1>]| with(t, super::norm::stock);
        check(&format!("{sides:?} {slope}"), &lens[..3], 3, &ours, &stock);
        check(
            &format!("{sides:?} {slope} residual"),
            &lens,
            4,
            &ours,
            &stock,
        );
    }
}

#[test]
fn pools() {
    type Windows = fn(Tensor<4>, usize) -> Tensor<4>;
    type Whole = fn(Tensor<4>) -> Tensor<2>;
    let windows: [(Windows, Windows); 2] = [
        (max_pool, super::pool::stock_max),
        (avg_pool, super::pool::stock_avg),
    ];
    let wholes: [(Whole, Whole); 2] = [
        (global_max_pool, super::pool::stock_global_max),
        (global_avg_pool, super::pool::stock_global_avg),
    ];
    for (sides, size) in [
        ([2, 7, 9, 5], 2),
        ([3, 6, 6, 16], 3),
        ([1, 5, 4, 33], 4),
        ([2, 3, 3, 1], 1),
    ] {
        let lens = [sides.iter().product()];
        for (i, (pool, stock)) in windows.into_iter().enumerate() {
            let ours = |t: &[Tensor<1>]| flat4(pool(t[0].clone().reshape(sides), size));
            let stock = |t: &[Tensor<1>]| flat4(stock(t[0].clone().reshape(sides), size));
            check(
                &format!("windows {i} {sides:?} {size}"),
                &lens,
                1,
                &ours,
                &stock,
            );
        }
        for (i, (pool, stock)) in wholes.into_iter().enumerate() {
            let ours = |t: &[Tensor<1>]| pool(t[0].clone().reshape(sides)).flatten(0, 1);
            let stock = |t: &[Tensor<1>]| stock(t[0].clone().reshape(sides)).flatten(0, 1);
            check(&format!("whole {i} {sides:?}"), &lens, 1, &ours, &stock);
        }
    }
}

#[test]
fn dense_layers() {
    // The last is large enough for the product to be shared between threads.
    let cases = [
        (3, 7, 5, 0.0),
        (1, 1, 1, 1.0),
        (33, 20, 10, 0.01),
        (64, 700, 180, 0.0),
    ];
    for (batch, ins, outs, slope) in cases {
        let lens = [batch * ins, ins * outs, outs];
        let shaped = |t: &[Tensor<1>]| {
            let x = t[0].clone().reshape([batch, ins]);
            (x, t[1].clone().reshape([ins, outs]), t.get(2).cloned())
        };
        let ours = |t: &[Tensor<1>]| {
            let (x, weight, bias) = shaped(t);
            dense(x, weight, bias, slope).flatten(0, 1)
        };
        let stock = |t: &[Tensor<1>]| {
            let (x, weight, bias) = shaped(t);
            super::dense::stock(x, weight, bias, slope).flatten(0, 1)
        };
        let name = format!("{batch}x{ins} to {outs}, {slope}");
        check(&name, &lens, 3, &ours, &stock);
        check(
            &format!("{name} without bias"),
            &lens[..2],
            2,
            &ours,
            &stock,
        );
    }
}

#[test]
fn losses() {
    for (batch, classes, scale) in [(1, 2, 1.0), (7, 3, 10.0), (64, 10, 0.1), (5, 1000, 50.0)] {
        let lens = [batch * classes, batch * classes];
        let shaped = |t: &[Tensor<1>]| {
            let logits = t[0].clone().mul_scalar(scale).reshape([batch, classes]);
            (logits, t[1].clone().reshape([batch, classes]).abs())
        };
        let ours = |t: &[Tensor<1>]| {
            let (logits, targets) = shaped(t);
            cross_entropy(logits, targets)
        };
        let stock = |t: &[Tensor<1>]| {
            let (logits, targets) = shaped(t);
            super::cross_entropy::stock(logits, targets)
        };
        check(
            &format!("{batch}x{classes}, {scale}"),
            &lens,
            1,
            &ours,
            &stock,
        );
    }
}

#[test]
fn losses_survive_large_logits_and_tell_of_nan() {
    let device = Device::flex().autodiff();
    let loss = |logits: [[f32; 3]; 2]| {
        let logits = Tensor::<2>::from_data(logits, &device).require_grad();
        let targets = Tensor::<2>::from_data([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]], &device);
        let loss = cross_entropy(logits.clone(), targets);
        let gradients = loss.backward();
        let gradient = logits.grad(&gradients).expect("the logits are tracked");
        (read(loss)[0], read(gradient.flatten(0, 1)))
    };
    let (value, gradient) = loss([[1e30, -1e30, f32::NEG_INFINITY], [-200.0, 200.0, 200.0]]);
    assert!((value - 0.5 * 2f32.ln()).abs() < 1e-6, "{value}");
    assert!(gradient.iter().all(|g| g.abs() < 1e-6), "{gradient:?}");
    assert!(loss([[f32::NAN, 0.0, 0.0], [0.0; 3]]).0.is_nan());
    assert!(loss([[f32::INFINITY, 0.0, 0.0], [0.0; 3]]).0.is_nan());
}

/// A tensor that owns a buffer behaves as one of burn's in every way.
#[test]
fn buffers_become_tensors_and_bytes() {
    use crate::vision::kernels::Buffer;
    use burn::backend::Flex;
    let numbers = values(6 * 1000, 5);
    let buffer = Buffer::copy_of(&numbers);
    let start = buffer.as_ptr();
    let tensor = tensor_of(buffer, [6, 1000]);
    assert_eq!(flat(&tensor).as_ptr(), start);
    let tensor = Tensor::<2>::from_primitive::<Flex>(tensor);
    let before = tensor.clone();
    // In place when alone, in a copy when shared.
    let twice = tensor.mul_scalar(2.0);
    let kept: Vec<f32> = before.to_data().iter::<f32>().collect();
    assert_eq!(kept, numbers);
    let all: Vec<f32> = twice.into_data().iter::<f32>().collect();
    assert!(all.iter().zip(&numbers).all(|(a, b)| *a == 2.0 * b));
    let data = before.into_data();
    let bytes = data.clone().into_bytes();
    assert_eq!(bytes.len(), numbers.len() * size_of::<f32>());
    let again = Tensor::<2>::from_data(data, &Device::flex());
    assert_eq!(again.dims(), [6, 1000]);
}

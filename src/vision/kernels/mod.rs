//! What a convolutional network computes on a CPU: convolution, pooling, normalisation, dense
//! layers and optimiser steps on f32 slices, forward and backward.
//!
//! Maps are NHWC: `[batch, height, width, channels]`, last dimension fastest. Every kernel is
//! written once over `pulp::Simd` and runs in the form that `Cpu` names: AVX-512, AVX2 with FMA,
//! NEON, or scalar, which is the fall-back and the oracle of the tests.
//!
//! Invariants: no type of burn, no I/O, no environment. Results are the same bits for any number of
//! threads: work is cut into chunks by its size alone, and sums are added in the order of the
//! chunks. They differ in the last bits between forms. This room holds the only `unsafe` of vision,
//! but for the handing over of memory to burn (`model::ops`); each block says why it is sound.
//! Imports: pulp, rayon.
#![expect(
    unsafe_code,
    reason = "the inner loops read and write through pointers: a bounds check for each vector would cost as much as its arithmetic"
)]
#![expect(
    clippy::inline_always,
    reason = "what is not inlined into `Simd::vectorize` is not compiled for its instructions"
)]
#![warn(clippy::undocumented_unsafe_blocks)]

mod buffer;
pub mod conv;
mod cpu;
pub mod depthwise;
mod direct;
mod finish;
pub mod norm;
pub mod optimise;
pub mod plain;
pub mod pool;
mod scratch;
mod shape;
mod simd;
mod tile;
mod winograd;

pub use buffer::{Buffer, release};
pub use cpu::Cpu;
pub use pool::MapShape;
pub use shape::{ConvShape, Finish};

#[cfg(test)]
mod tests;

//! Sets of pictures become prepared data: scan, hash, split, decode, write.
//!
//! Two passes. The first hashes every file, because a picture's split depends on its content; the
//! second decodes each picture once, a shard at a time, so memory holds one shard and not the whole
//! dataset. Decoding is parallel, everything that decides is not: results are collected by index,
//! sums are whole numbers, and so the bytes written do not depend on the number of threads.
//!
//! The folder is written under a temporary name beside the target and renamed when it is complete
//! and durable; only then is the old one removed. Killed before that, the old data is still whole
//! (at worst under its second name), and the next run puts it back and sweeps the leftovers.
//!
//! Imports: base, `params`, `image`, `dataset`, `shard`.

mod folder;
mod moments;
mod run;
#[cfg(test)]
mod tests;

pub(crate) use run::{Hashed, split_all};
pub use run::{PreprocessEvent, preprocess};

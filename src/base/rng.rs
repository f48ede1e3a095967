//! Named random streams of one seed: every draw in the program comes from here, so a result is a
//! function of the seed and never of thread timing. Imports: `base::canon`.

use rand::SeedableRng;
pub use rand_chacha::ChaCha8Rng;

use super::canon::Canon;

/// Returns the stream `name` number `index` of `seed`; different names or indices are independent.
///
/// ChaCha8 is used because its output is specified and the same on every platform.
#[must_use]
pub fn stream(seed: u64, name: &str, index: u64) -> ChaCha8Rng {
    let key = Canon::new("cvops.rng.v1")
        .int(seed.into())
        .text(name)
        .int(index.into())
        .digest();
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn streams_are_stable_and_distinct() {
        let draw = |seed, name, index| stream(seed, name, index).random::<u64>();
        assert_eq!(draw(1, "augment", 0), draw(1, "augment", 0));
        let all = [
            draw(1, "augment", 0),
            draw(2, "augment", 0),
            draw(1, "shuffle", 0),
            draw(1, "augment", 1),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b));
        }
    }
}

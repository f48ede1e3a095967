//! An exponential function that a compiler can turn into vector instructions. Imports: nothing of ours.

/// Below, the result would no longer be a normal number.
const LOWEST: f64 = -708.0;
/// 1.5 · 2⁵²: adding it rounds to a whole number, which then stands in the lowest bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts; the upper one has so few digits that its multiples up to 2¹⁰ are exact.
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// 1/12!, …, 1/2!, 1/1!, 1/0!.
const TAYLOR: [f64; 13] = [
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// Returns e to the power of `x` ≤ 0, with a relative error below 6e-16 (measured by the test below)
/// down to −708, and e^−708 ≈ 3e-308 for all that is smaller.
///
/// e^x = 2^k · e^r with k = round(x / ln 2) and |r| ≤ ln 2 / 2, where the Taylor polynomial of degree 12 is
/// off by less than 2e-16. No branch, no table, no call: what the library's `exp` cannot offer a loop.
#[inline]
pub(super) fn exp_of_negative(x: f64) -> f64 {
    let x = if x > LOWEST { x } else { LOWEST };
    let rounded = x * std::f64::consts::LOG2_E + ROUNDER;
    let k = rounded - ROUNDER;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    let mut e = TAYLOR[0];
    for coefficient in &TAYLOR[1..] {
        e = e * r + coefficient;
    }
    // Adds k to the exponent; all bits of `rounded` above the lowest twelve are shifted out.
    f64::from_bits(e.to_bits().wrapping_add(rounded.to_bits() << 52))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_as_good_as_the_library_s() {
        assert_eq!(exp_of_negative(0.0), 1.0);
        assert_eq!(exp_of_negative(-0.0), 1.0);
        let mut worst = 0.0f64;
        for step in 0..200_000 {
            let x = -708.0 * (step as f64 / 200_000.0).powi(3);
            let expected = x.exp();
            worst = worst.max((exp_of_negative(x) / expected - 1.0).abs());
        }
        assert!(worst < 6e-16, "{worst}");
    }

    #[test]
    fn goes_towards_zero_and_never_below() {
        for x in [-708.5, -1e3, -1e300, f64::NEG_INFINITY] {
            let e = exp_of_negative(x);
            assert!(0.0 < e && e < 4e-308, "{x}: {e}");
        }
    }
}

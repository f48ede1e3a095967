//! A curve as bytes: for each point its step (`i64`), then its value (`f64`, NaN as any other), both
//! little-endian, in the order of the steps. Imports: nothing of ours.

/// Bytes of a point.
const POINT: usize = 16;

/// Returns the bytes of a curve.
pub(super) fn to_bytes(points: &[(i64, f64)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(points.len() * POINT);
    for (step, value) in points {
        bytes.extend(step.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

/// Reads what `to_bytes` wrote; bytes too few for a point are dropped.
pub(super) fn of_bytes(bytes: &[u8]) -> Vec<(i64, f64)> {
    let (points, _) = bytes.as_chunks::<POINT>();
    points
        .iter()
        .map(|point| {
            let [step, value] = [0, 8].map(|from| {
                let mut word = [0; 8];
                word.copy_from_slice(&point[from..from + 8]);
                word
            });
            (i64::from_le_bytes(step), f64::from_le_bytes(value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_its_bytes() {
        let points = [(-1, f64::NEG_INFINITY), (0, 0.5), (i64::MAX, f64::NAN)];
        let bytes = to_bytes(&points);
        assert_eq!(
            bytes[16..32],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f]
        );
        let read = of_bytes(&bytes);
        assert_eq!(read[..2], points[..2]);
        assert!(read[2].0 == i64::MAX && read[2].1.is_nan() && read.len() == 3);
    }
}

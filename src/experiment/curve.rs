//! A curve thinned out while it is read, so that a table of any length makes a record of bounded
//! size. Pure. Imports: nothing of ours.

/// Points of a curve that a run keeps at most.
pub(super) const POINTS_MAX: usize = 10_000;

/// Takes the points of a curve one by one and keeps every so many of them, evenly over the whole
/// length, and the one of the highest step: it is the metric's value.
#[derive(Debug)]
pub(super) struct Thinned {
    points: Vec<(i64, f64)>,
    /// Of how many points one is kept.
    stride: usize,
    seen: usize,
    /// The point of the highest step so far, of several the latest, and its place.
    last: Option<(usize, (i64, f64))>,
}

impl Thinned {
    pub(super) fn new() -> Self {
        Self {
            points: Vec::new(),
            stride: 1,
            seen: 0,
            last: None,
        }
    }

    pub(super) fn push(&mut self, step: i64, value: f64) {
        let point = (step, value);
        if self.last.is_none_or(|(_, (highest, _))| highest <= step) {
            self.last = Some((self.seen, point));
        }
        if self.seen.is_multiple_of(self.stride) {
            self.points.push(point);
            if POINTS_MAX < self.points.len() {
                let mut at = 0..;
                self.points
                    .retain(|_| at.next().is_some_and(|n: usize| n.is_multiple_of(2)));
                self.stride *= 2;
            }
        }
        self.seen += 1;
    }

    /// Returns the points that are kept, and of how many one was.
    pub(super) fn finish(mut self) -> (Vec<(i64, f64)>, usize) {
        if let Some((at, last)) = self.last
            && !at.is_multiple_of(self.stride)
        {
            self.points.truncate(POINTS_MAX - 1);
            self.points.push(last);
        }
        (self.points, self.stride)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thinned(steps: impl Iterator<Item = i64>) -> (Vec<(i64, f64)>, usize) {
        let mut curve = Thinned::new();
        for (at, step) in steps.enumerate() {
            curve.push(step, at as f64);
        }
        curve.finish()
    }

    #[test]
    fn a_long_curve_keeps_its_shape_and_its_end() {
        assert_eq!(thinned(0..0), (vec![], 1));
        let (points, stride) = thinned(1..=10_000);
        assert_eq!((points.len(), stride), (10_000, 1));
        for (count, len, every) in [
            (10_001, 5_001, 2),
            (20_000, 10_000, 2),
            (400_000, 6_251, 64),
        ] {
            let (points, stride) = thinned(0..count);
            assert_eq!((points.len(), stride), (len, every), "{count}");
            assert_eq!(points[..2], [(0, 0.0), (every as i64, every as f64)]);
            let last = count - 1;
            assert_eq!(points.last(), Some(&(last, last as f64)));
        }
    }

    #[test]
    fn the_highest_step_stays_wherever_it_stands() {
        let steps = (0..30_001).chain(0..15_000);
        let (points, stride) = thinned(steps);
        assert_eq!(stride, 8);
        assert!(points.contains(&(30_000, 30_000.0)));
        let (points, _) = thinned((0..30_000).chain([29_999, 29_999, 5]));
        assert_eq!(points.last(), Some(&(29_999, 30_001.0)));
    }
}

//! A metric's history in few buckets, for a chart: what is drawn of a million points is what can be
//! seen of them. Pure. Imports: nothing of ours.
//!
//! **Buckets.** A bucket is a power of two wide and begins at a multiple of its width, so that it
//! stays the same bucket while points arrive, and a chart that is drawn again does not flicker. Points
//! are added one by one, in any order. As long as there are no more than were asked for each is kept
//! as it is; behind that they go into buckets as narrow as can be, which are joined in pairs whenever
//! there would be more than twice as many as were asked for. Memory is bounded, whatever comes.
//!
//! **Strange numbers.** NaN and infinities have no place on an axis: they are counted apart.

/// What a point is drawn over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Its step.
    Step,
    /// Milliseconds since the run began.
    Relative,
    /// Milliseconds since 1970.
    Wall,
}

/// Points that lie next to one another on the axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// Where the last of its points lies on the axis.
    pub x: i64,
    /// The lowest number.
    pub min: f64,
    /// The highest number.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
    /// The number of the last point, by the axis, then by time.
    pub last: f64,
    /// How many numbers it holds, at least one.
    pub count: u64,
}

/// NaNs and infinities that lie next to one another on the axis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strange {
    /// Where the last of them lies.
    pub x: i64,
    /// How many are NaN.
    pub nan: u64,
    /// How many are infinite.
    pub infinite: u64,
}

/// A history in buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Downsampled {
    /// How many points there are in the range, NaN and infinities included.
    pub total: u64,
    /// Is each point a bucket of its own?
    pub is_whole: bool,
    /// Numbers, from left to right.
    pub buckets: Vec<Bucket>,
    /// NaN and infinities, from left to right; as few places as there are buckets.
    pub strange: Vec<Strange>,
}

/// Points that are being put into buckets.
#[derive(Debug)]
pub(super) struct Buckets {
    points: usize,
    range: Option<(i64, i64)>,
    total: u64,
    /// As long as there are few.
    whole: Vec<Placed>,
    cells: Option<Cells>,
}

/// A point: its place on the axis, its time (or what else tells which of two in one place is the
/// later), its value.
#[derive(Clone, Copy, Debug)]
struct Placed {
    x: i64,
    order: i64,
    value: f64,
}

/// Buckets side by side.
#[derive(Debug)]
struct Cells {
    /// Each is `1 << shift` wide.
    shift: u32,
    /// The number of the first one.
    first: i64,
    all: Vec<Cell>,
    max: usize,
}

#[derive(Clone, Debug)]
struct Cell {
    last: Placed,
    min: f64,
    max: f64,
    sum: f64,
    count: u64,
    strange: Strange,
}

impl Cell {
    const EMPTY: Self = Self {
        last: Placed {
            x: i64::MIN,
            order: i64::MIN,
            value: f64::NAN,
        },
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        sum: 0.0,
        count: 0,
        strange: Strange {
            x: i64::MIN,
            nan: 0,
            infinite: 0,
        },
    };

    fn add(&mut self, point: Placed) {
        let value = point.value;
        if !value.is_finite() {
            self.strange.x = self.strange.x.max(point.x);
            *if value.is_nan() {
                &mut self.strange.nan
            } else {
                &mut self.strange.infinite
            } += 1;
            return;
        }
        if self.count == 0 || (self.last.x, self.last.order) <= (point.x, point.order) {
            self.last = point;
        }
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += value;
        self.count += 1;
    }

    fn join(&mut self, other: &Self) {
        if 0 < other.count {
            if self.count == 0 || (self.last.x, self.last.order) <= (other.last.x, other.last.order)
            {
                self.last = other.last;
            }
            self.min = self.min.min(other.min);
            self.max = self.max.max(other.max);
            self.sum += other.sum;
            self.count += other.count;
        }
        self.strange.x = self.strange.x.max(other.strange.x);
        self.strange.nan += other.strange.nan;
        self.strange.infinite += other.strange.infinite;
    }

    fn bucket(&self) -> Option<Bucket> {
        #[expect(clippy::cast_precision_loss, reason = "a mean")]
        let mean = self.sum / self.count as f64;
        // A sum of numbers can be more than there is; their mean lies between them.
        let mean = if mean.is_finite() {
            mean.clamp(self.min, self.max)
        } else {
            self.min / 2.0 + self.max / 2.0
        };
        (0 < self.count).then_some(Bucket {
            x: self.last.x,
            min: self.min,
            max: self.max,
            mean,
            last: self.last.value,
            count: self.count,
        })
    }

    fn strange(&self) -> Option<Strange> {
        (0 < self.strange.nan + self.strange.infinite).then(|| self.strange.clone())
    }
}

impl Cells {
    fn of(first: Placed, max: usize) -> Self {
        let mut cells = Self {
            shift: 0,
            first: first.x,
            all: vec![Cell::EMPTY],
            max,
        };
        cells.add(first);
        cells
    }

    /// Makes buckets wider until there are no more than may be from here to `x`.
    fn reach(&mut self, x: i64) -> usize {
        loop {
            let at = i128::from(x >> self.shift);
            let first = i128::from(self.first);
            let (low, high) = (at.min(first), at.max(first + self.all.len() as i128 - 1));
            if high - low < self.max as i128 {
                let before = usize::try_from(first - low).unwrap_or(0);
                self.all
                    .splice(0..0, std::iter::repeat_n(Cell::EMPTY, before));
                self.first = self.first.min(x >> self.shift);
                let at = usize::try_from(at - low).unwrap_or(0);
                if self.all.len() <= at {
                    self.all.resize(at + 1, Cell::EMPTY);
                }
                return at;
            }
            self.widen();
        }
    }

    fn widen(&mut self) {
        let mut joined: Vec<Cell> = Vec::with_capacity(self.all.len() / 2 + 1);
        // Pairs begin at even places. Places are not counted: the last of them has no next one.
        let mut is_odd = self.first & 1 == 1;
        for cell in &self.all {
            match joined.last_mut() {
                Some(last) if is_odd => last.join(cell),
                _ => joined.push(cell.clone()),
            }
            is_odd = !is_odd;
        }
        self.all = joined;
        self.first >>= 1;
        self.shift += 1;
    }

    fn add(&mut self, point: Placed) {
        let at = self.reach(point.x);
        if let Some(cell) = self.all.get_mut(at) {
            cell.add(point);
        }
    }
}

impl Buckets {
    /// Makes room for about so many buckets (at most twice as many) of points within a range of the
    /// axis, both ends included.
    pub(super) fn new(points: usize, range: Option<(i64, i64)>) -> Self {
        Self {
            points: points.max(1),
            range,
            total: 0,
            whole: Vec::new(),
            cells: None,
        }
    }

    /// Adds a point; of two in one place the one of the higher `order` is the later.
    pub(super) fn add(&mut self, x: i64, order: i64, value: f64) {
        if self.range.is_some_and(|(low, high)| x < low || high < x) {
            return;
        }
        self.total += 1;
        let point = Placed { x, order, value };
        match &mut self.cells {
            Some(cells) => cells.add(point),
            None if self.whole.len() < self.points => self.whole.push(point),
            None => {
                let mut cells = Cells::of(point, self.points * 2);
                for point in std::mem::take(&mut self.whole) {
                    cells.add(point);
                }
                self.cells = Some(cells);
            }
        }
    }

    /// Returns what there is.
    pub(super) fn done(mut self) -> Downsampled {
        let cells = match self.cells {
            Some(cells) => {
                return Downsampled {
                    total: self.total,
                    is_whole: false,
                    buckets: cells.all.iter().filter_map(Cell::bucket).collect(),
                    strange: cells.all.iter().filter_map(Cell::strange).collect(),
                };
            }
            None => {
                self.whole.sort_by_key(|point| (point.x, point.order));
                self.whole.iter().map(|point| {
                    let mut cell = Cell::EMPTY;
                    cell.add(*point);
                    cell
                })
            }
        };
        let cells: Vec<Cell> = cells.collect();
        Downsampled {
            total: self.total,
            is_whole: true,
            buckets: cells.iter().filter_map(Cell::bucket).collect(),
            strange: cells.iter().filter_map(Cell::strange).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(points: &[(i64, f64)], n: usize) -> Downsampled {
        let mut buckets = Buckets::new(n, None);
        for (order, (x, value)) in (0..).zip(points) {
            buckets.add(*x, order, *value);
        }
        buckets.done()
    }

    #[test]
    fn few_points_are_kept_as_they_are() {
        let found = of(&[(5, 1.0), (-2, f64::NAN), (5, 3.0)], 3);
        assert!(found.is_whole && found.total == 3);
        let seen: Vec<(i64, f64)> = found.buckets.iter().map(|b| (b.x, b.last)).collect();
        assert_eq!(seen, [(5, 1.0), (5, 3.0)]);
        assert_eq!(found.strange.len(), 1);
        assert_eq!((found.strange[0].x, found.strange[0].nan), (-2, 1));
    }

    #[test]
    fn ends_of_the_axis_are_places_like_others() {
        let points = [
            (i64::MAX, 1.0),
            (i64::MIN, 2.0),
            (0, f64::MAX),
            (-1, f64::MAX),
            (i64::MAX, f64::INFINITY),
        ];
        let found = of(&points, 1);
        assert!(found.buckets.len() <= 2, "{found:?}");
        assert_eq!(found.buckets.iter().map(|b| b.count).sum::<u64>(), 4);
        assert_eq!(found.strange[0].infinite, 1);
        assert!(found.buckets.iter().all(|b| b.mean.is_finite()));
    }

    #[test]
    fn the_last_place_of_the_axis_has_no_next_one() {
        // The last point opens the first bucket, at the place `i64::MAX`.
        let found = of(&[(0, 1.0), (i64::MAX - 1, 3.0), (i64::MAX, 2.0)], 2);
        let seen: Vec<(i64, u64)> = found.buckets.iter().map(|b| (b.x, b.count)).collect();
        assert_eq!(seen, [(0, 1), (i64::MAX, 2)]);
    }

    proptest! {
        /// Whatever the order of points: buckets lie side by side, and each holds the lowest, highest
        /// and last of exactly its points.
        #[test]
        fn a_bucket_keeps_the_lowest_the_highest_and_the_last_of_its_points(
            points in prop::collection::vec(
                (prop_oneof![-40..40_i64, any::<i64>()],
                 prop_oneof![8 => -9.0..9.0, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)]),
                0..200),
            n in 1..30_usize,
        ) {
            let found = of(&points, n);
            prop_assert_eq!(found.total, points.len() as u64);
            prop_assert!(found.buckets.len() <= 2 * n && found.strange.len() <= 2 * n);
            let mut numbers: Vec<(i64, usize, f64)> = points.iter().enumerate()
                .filter(|(_, (_, value))| value.is_finite())
                .map(|(at, (x, value))| (*x, at, *value)).collect();
            numbers.sort_by_key(|(x, at, _)| (*x, *at));
            let mut rest = numbers.as_slice();
            for bucket in &found.buckets {
                let (of_it, behind) = rest.split_at(usize::try_from(bucket.count).unwrap());
                rest = behind;
                let values = || of_it.iter().map(|point| point.2);
                prop_assert_eq!(bucket.min, values().fold(f64::INFINITY, f64::min));
                prop_assert_eq!(bucket.max, values().fold(f64::NEG_INFINITY, f64::max));
                let last = of_it.last().unwrap();
                prop_assert_eq!((bucket.x, bucket.last), (last.0, last.2));
                prop_assert!(bucket.min <= bucket.mean && bucket.mean <= bucket.max);
                // No bucket begins before the one before it ended.
                prop_assert!(behind.first().is_none_or(|next| found.is_whole || last.0 < next.0));
            }
            prop_assert!(rest.is_empty());
            let strange: u64 = found.strange.iter().map(|one| one.nan + one.infinite).sum();
            prop_assert_eq!(strange, (points.len() - numbers.len()) as u64);
        }
    }
}

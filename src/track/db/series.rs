//! A metric's history for a chart: read point by point, kept in buckets. Imports: base, run, series,
//! curve, rusqlite.

use std::ops::ControlFlow;

use rusqlite::Row;

use crate::track::error::Error;
use crate::track::run::RunId;
use crate::track::series::{Axis, Buckets, Downsampled};

use super::{Reader, curve};

/// More buckets than a screen has columns are seen by nobody.
const POINTS_MAX: usize = 20_000;

/// Asks for a metric's history.
#[derive(Clone, Copy, Debug)]
pub struct SeriesQuery<'a> {
    /// The run.
    pub run: RunId,
    /// The flat name of the metric.
    pub metric: &'a str,
    /// What it is drawn over.
    pub axis: Axis,
    /// From where to where on the axis, both included; `None`: all of it.
    pub range: Option<(i64, i64)>,
    /// About so many buckets: at most twice as many.
    pub points: usize,
}

/// How many points may still be read for one answer, of all its histories together.
#[derive(Clone, Copy, Debug)]
pub struct PointsLeft {
    left: u64,
    is_exceeded: bool,
}

impl PointsLeft {
    /// As many as `max` may be read.
    #[must_use]
    pub fn new(max: u64) -> Self {
        Self {
            left: max,
            is_exceeded: false,
        }
    }

    /// Returns how many that are.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Were there more points than may be read?
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }

    /// Takes one; breaks if none is left.
    fn take(&mut self) -> ControlFlow<()> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                ControlFlow::Continue(())
            }
            None => {
                self.is_exceeded = true;
                ControlFlow::Break(())
            }
        }
    }
}

impl Reader<'_> {
    /// Returns a metric's history in buckets; `None` if the run does not have the metric. A range of
    /// time reads the points within it only, any other all points, at about 5 million a second.
    /// Once more were to be read than are `left` there is no history at all, which `left` then tells.
    ///
    /// Curves that a stage wrote as a whole have one time for all points: over time they are one
    /// place.
    ///
    /// # Errors
    /// There is no such run.
    pub fn series(
        &self,
        query: &SeriesQuery<'_>,
        left: &mut PointsLeft,
    ) -> Result<Option<Downsampled>, Error> {
        if left.is_exceeded {
            return Ok(None);
        }
        let number = self.number(query.run)?;
        let metric = self.row(
            "SELECT m.id, m.at_ms, c.points, r.started_ms FROM metrics m
             JOIN runs r ON r.number = m.run LEFT JOIN curves c ON c.id = m.curve
             WHERE m.run = ?1 AND m.name = ?2",
            &[&number, &query.metric],
            |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, Option<Vec<u8>>>(2)?,
                    row.get::<_, i64>(3)?,
                ))
            },
        )?;
        let Some((metric, at_ms, bytes, started)) = metric else {
            return Ok(None);
        };
        let mut buckets = Buckets::new(query.points.min(POINTS_MAX), query.range);
        let mut add = |at: i64, step: i64, value: f64| match query.axis {
            Axis::Step => buckets.add(step, at, value),
            Axis::Relative => buckets.add(at.saturating_sub(started), step, value),
            Axis::Wall => buckets.add(at, step, value),
        };
        for (step, value) in bytes.as_deref().map(curve::of_bytes).unwrap_or_default() {
            if left.take().is_break() {
                return Ok(None);
            }
            add(at_ms, step, value);
        }
        let times = match (query.axis, query.range) {
            (Axis::Step, _) | (_, None) => (i64::MIN, i64::MAX),
            (Axis::Wall, Some(range)) => range,
            (Axis::Relative, Some((low, high))) => {
                (low.saturating_add(started), high.saturating_add(started))
            }
        };
        let mut work = || -> rusqlite::Result<()> {
            let mut points = self.db.prepare_cached(
                "SELECT at_ms, step, is_number, value FROM points
                 WHERE metric = ?1 AND at_ms BETWEEN ?2 AND ?3",
            )?;
            let mut rows = points.query((metric, times.0, times.1))?;
            while let Some(row) = rows.next()? {
                if left.take().is_break() {
                    break;
                }
                let (at, step, value) = point(row)?;
                add(at, step, value);
            }
            Ok(())
        };
        work().map_err(|e| self.failed(e))?;
        Ok((!left.is_exceeded).then(|| buckets.done()))
    }
}

fn point(row: &Row<'_>) -> rusqlite::Result<(i64, i64, f64)> {
    let value = if row.get(2)? { row.get(3)? } else { f64::NAN };
    Ok((row.get(0)?, row.get(1)?, value))
}

#[cfg(test)]
mod tests {
    use super::super::Tracking;
    use super::*;
    use crate::project::Layout;
    use crate::project::personality::CVOPS;
    use crate::track::entity::{ExperimentId, MetricPoint};
    use crate::track::{LoggedBatch, LoggedPoint, NewRecord};

    fn logged(points: &[(i64, i64, f64)]) -> (tempfile::TempDir, Tracking, RunId) {
        let tmp = tempfile::tempdir().unwrap();
        let mut tracking = Tracking::open(&Layout::new(tmp.path(), &CVOPS)).unwrap();
        let metrics = points.iter().map(|(step, at_ms, value)| LoggedPoint {
            point: MetricPoint {
                name: "loss".into(),
                value: *value,
                at_ms: *at_ms,
                step: *step,
            },
            model: None,
            dataset: None,
        });
        let batch = LoggedBatch {
            metrics: metrics.collect(),
            ..LoggedBatch::default()
        };
        let work = |writing: &super::super::Writing<'_>| {
            let new = NewRecord {
                experiment: ExperimentId(0),
                user: String::new(),
                name: None,
                started_ms: 1000,
                tags: Vec::new(),
            };
            let id = writing.create_record(&new)?.info.id;
            writing.log_batch_of(id, &batch)?;
            Ok(id)
        };
        let id = tracking.change(work).unwrap();
        (tmp, tracking, id)
    }

    #[test]
    fn a_history_is_drawn_over_steps_or_time() {
        let points = [
            (0, 1000, 5.0),
            (1, 1010, 4.0),
            (1, 1020, 3.0),
            (2, 1005, f64::NAN),
            (3, 2000, 1.0),
        ];
        let (_tmp, tracking, run) = logged(&points);
        let ask = |axis: Axis, range: Option<(i64, i64)>| {
            let query = SeriesQuery {
                run,
                metric: "loss",
                axis,
                range,
                points: 100,
            };
            let mut left = PointsLeft::new(100);
            let found = tracking.reader().series(&query, &mut left);
            let found = found.unwrap().unwrap();
            let seen: Vec<(i64, f64)> = found.buckets.iter().map(|one| (one.x, one.last)).collect();
            (
                found.total,
                seen,
                found.strange.iter().map(|one| one.x).collect(),
            )
        };
        let all = vec![(0, 5.0), (1, 4.0), (1, 3.0), (3, 1.0)];
        assert_eq!(ask(Axis::Step, None), (5, all, vec![2_i64]));
        let some = vec![(1, 4.0), (1, 3.0)];
        assert_eq!(ask(Axis::Step, Some((1, 2))), (3, some, vec![2]));
        let times = vec![(0, 5.0), (10, 4.0), (20, 3.0)];
        assert_eq!(ask(Axis::Relative, Some((0, 20))), (4, times, vec![5]));
        assert_eq!(
            ask(Axis::Wall, Some((1020, i64::MAX))),
            (2, vec![(1020, 3.0), (2000, 1.0)], vec![])
        );
        let none = SeriesQuery {
            run,
            metric: "none",
            axis: Axis::Step,
            range: None,
            points: 0,
        };
        let mut left = PointsLeft::new(0);
        let found = tracking.reader().series(&none, &mut left).unwrap();
        assert_eq!((found, left.is_exceeded()), (None, false));
    }

    #[test]
    fn no_more_points_are_read_than_may_be() {
        let points: Vec<(i64, i64, f64)> = (0..5).map(|n| (n, n, 1.0)).collect();
        let (_tmp, tracking, run) = logged(&points);
        let query = SeriesQuery {
            run,
            metric: "loss",
            axis: Axis::Step,
            // What lies beside the range is read as well.
            range: Some((0, 1)),
            points: 100,
        };
        let read = |left: &mut PointsLeft| {
            let found = tracking.reader().series(&query, left).unwrap();
            (found.map(|found| found.total), left.is_exceeded())
        };
        let mut left = PointsLeft::new(14);
        assert_eq!(read(&mut left), (Some(2), false));
        assert_eq!(read(&mut left), (Some(2), false));
        assert_eq!(read(&mut left), (None, true));
        assert_eq!(read(&mut left), (None, true));
        assert_eq!(read(&mut PointsLeft::new(5)), (Some(2), false));
    }

    #[test]
    fn many_points_keep_their_lowest_and_highest() {
        let points: Vec<(i64, i64, f64)> = (0..5000)
            .map(|n| {
                (
                    n,
                    n,
                    if n == 777 {
                        100.0
                    } else {
                        f64::from(n as i32 % 10)
                    },
                )
            })
            .collect();
        let (_tmp, tracking, run) = logged(&points);
        let query = SeriesQuery {
            run,
            metric: "loss",
            axis: Axis::Step,
            range: None,
            points: 100,
        };
        let mut left = PointsLeft::new(5000);
        let found = tracking.reader().series(&query, &mut left);
        let found = found.unwrap().unwrap();
        assert!((100..=200).contains(&found.buckets.len()) && !found.is_whole);
        assert_eq!(found.buckets.iter().map(|one| one.count).sum::<u64>(), 5000);
        assert_eq!(
            found.buckets.iter().filter(|one| one.max == 100.0).count(),
            1
        );
    }
}

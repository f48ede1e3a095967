//! How the values of several groups are spread, as curves over one axis. Imports: `report::chart::{frame, line}`.

use super::{Axis, LineChart, Naming, Series};

/// A quantity that was measured in several groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// The title of the chart.
    pub title: String,
    /// What was measured, with the unit.
    pub x_title: String,
    /// Shares of what are drawn: `share of the split`.
    pub y_title: String,
    /// Name and values of each group. Values that are not finite do not count; a group without
    /// values has no curve.
    pub groups: Vec<(String, Vec<f64>)>,
}

impl Spread {
    /// Returns the share of each group's values in each of `intervals` equal intervals; `None` where no two
    /// values differ.
    #[must_use]
    pub fn shares(&self, intervals: usize) -> Option<LineChart> {
        let (least, most) = self.ends()?;
        let last = intervals.saturating_sub(1);
        let step = (most - least) / (last + 1) as f64;
        let middle = |interval: usize| least + step * (interval as f64 + 0.5);
        Some(self.chart(|values| {
            let mut counts = vec![0_usize; last + 1];
            for value in values {
                // Saturates.
                let interval = ((value - least) / step) as usize;
                counts[interval.min(last)] += 1;
            }
            let counts = counts.iter().enumerate();
            counts
                .map(|(interval, count)| (middle(interval), *count as f64 / values.len() as f64))
                .collect()
        }))
    }

    /// Returns the share of each group's values up to each value (the empirical distribution function), in at
    /// most `steps` steps; `None` where no two values differ.
    #[must_use]
    pub fn cumulative(&self, steps: usize) -> Option<LineChart> {
        let (least, most) = self.ends()?;
        Some(self.chart(|values| {
            let mut sorted = values.to_vec();
            sorted.sort_unstable_by(f64::total_cmp);
            let count = sorted.len();
            let stride = count.div_ceil(steps.max(1)).max(1);
            let mut share = 0.0;
            let mut points = vec![(least, share)];
            for end in (stride..count).step_by(stride).chain([count]) {
                let value = sorted[end - 1];
                let up_to = sorted.partition_point(|one| *one <= value) as f64 / count as f64;
                if share < up_to {
                    points.extend([(value, share), (value, up_to)]);
                    share = up_to;
                }
            }
            points.push((most, share));
            points
        }))
    }

    fn chart(&self, curve: impl Fn(&[f64]) -> Vec<(f64, f64)>) -> LineChart {
        let series = self.groups.iter().filter_map(|(name, values)| {
            let values: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
            (!values.is_empty()).then(|| Series {
                name: name.clone(),
                points: curve(&values),
            })
        });
        LineChart {
            title: self.title.clone(),
            x: Axis::linear(&self.x_title),
            y: Axis::linear(&self.y_title),
            series: series.collect(),
            naming: Naming::Marked,
        }
    }

    /// Returns the least and the greatest value, if they differ.
    fn ends(&self) -> Option<(f64, f64)> {
        let values = || {
            let all = self.groups.iter().flat_map(|(_, values)| values);
            all.copied().filter(|value| value.is_finite())
        };
        let least = values().fold(f64::INFINITY, f64::min);
        let most = values().fold(f64::NEG_INFINITY, f64::max);
        (least < most && (most - least).is_finite()).then_some((least, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::svg::tests::assert_well_formed;

    fn spread(groups: &[&[f64]]) -> Spread {
        let named = groups.iter().enumerate();
        Spread {
            title: "brightness".to_owned(),
            x_title: "brightness".to_owned(),
            y_title: "share".to_owned(),
            groups: named
                .map(|(at, values)| (format!("group {at}"), values.to_vec()))
                .collect(),
        }
    }

    #[test]
    fn shares_are_of_each_group() {
        let groups: [&[f64]; 3] = [&[0.0, 1.0, 2.0, 4.0], &[4.0, f64::NAN], &[f64::INFINITY]];
        let chart = spread(&groups).shares(4).unwrap();
        assert_well_formed(chart.svg().as_str());
        let of = |at: usize| chart.series[at].points.clone();
        assert_eq!(chart.series.len(), 2);
        assert_eq!(of(0), [(0.5, 0.25), (1.5, 0.25), (2.5, 0.25), (3.5, 0.25)]);
        assert_eq!(of(1), [(0.5, 0.0), (1.5, 0.0), (2.5, 0.0), (3.5, 1.0)]);
    }

    #[test]
    fn steps_are_where_the_values_are() {
        let chart = spread(&[&[3.0, 1.0, 1.0, 2.0], &[0.0]])
            .cumulative(10)
            .unwrap();
        assert_well_formed(chart.svg().as_str());
        let first = [
            (0.0, 0.0),
            (1.0, 0.0),
            (1.0, 0.5),
            (2.0, 0.5),
            (2.0, 0.75),
            (3.0, 0.75),
            (3.0, 1.0),
            (3.0, 1.0),
        ];
        assert_eq!(chart.series[0].points, first);
        assert_eq!(
            chart.series[1].points,
            [(0.0, 0.0), (0.0, 0.0), (0.0, 1.0), (3.0, 1.0)]
        );
    }

    #[test]
    fn many_values_are_few_steps_on_the_same_curve() {
        let values: Vec<f64> = (0..1003).map(f64::from).collect();
        let chart = spread(&[&values]).cumulative(50).unwrap();
        let points = &chart.series[0].points;
        assert!(points.len() <= 2 * 50 + 2, "{}", points.len());
        for (value, share) in points.iter().skip(2).step_by(2) {
            assert_eq!(*share, ((value + 1.0) / 1003.0).min(1.0));
        }
    }

    #[test]
    fn what_does_not_vary_has_no_curve() {
        let cases: [&[&[f64]]; 4] = [&[], &[&[]], &[&[2.0, 2.0], &[2.0]], &[&[-1e308], &[1e308]]];
        for groups in cases {
            assert_eq!(spread(groups).shares(9), None);
            assert_eq!(spread(groups).cumulative(9), None);
        }
    }
}

//! Which parameter matters: how much of the metric's variation goes with one parameter alone.
//! Pure. Imports: base, `sweep::{domain, journal}`.
//!
//! A number from an interval: the square of Spearman's rank correlation (Spearman 1904), which sees
//! every effect that goes one way. A choice: epsilon squared (Kelley 1935), the share of the
//! variance between the groups, less what groups of this size share by chance. Both lie in 0..=1.
//! Interactions between parameters are seen by neither.

use std::collections::BTreeMap;

use super::study::{AxisKind, Study};

/// Fewer finished trials say nothing.
const TRIALS_MIN: usize = 4;

/// How much one parameter matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// The parameter.
    pub name: String,
    /// The share, 0..=1; `None` if there are too few trials to say.
    pub share: Option<f64>,
    /// How it was found.
    pub method: &'static str,
}

/// Returns the importance of every parameter, in their order.
#[must_use]
pub fn importance(study: &Study) -> Vec<Importance> {
    let metrics: Vec<f64> = study.trials.iter().map(|trial| trial.value).collect();
    let axes = study.axes.iter().enumerate();
    axes.map(|(index, axis)| {
        let (share, method) = match axis.kind {
            AxisKind::Range(_) => {
                let numbers = study.trials.iter().filter_map(|t| t.number_at(index));
                let numbers: Vec<f64> = numbers.collect();
                (
                    spearman(&numbers, &metrics).map(|r| r * r),
                    "squared rank correlation",
                )
            }
            AxisKind::Choices { .. } => {
                let groups = study.trials.iter().map(|t| t.text_at(index).to_owned());
                let groups: Vec<String> = groups.collect();
                (
                    epsilon_squared(&groups, &metrics),
                    "variance between groups",
                )
            }
        };
        Importance {
            name: axis.name.clone(),
            share,
            method,
        }
    })
    .collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Spearman's rank correlation: Pearson's of the ranks, ties sharing their mean rank.
fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() != y.len() || x.len() < TRIALS_MIN {
        return None;
    }
    let (x, y) = (ranks(x), ranks(y));
    let (mx, my) = (mean(&x), mean(&y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(&y) {
        xy += (a - mx) * (b - my);
        xx += (a - mx) * (a - mx);
        yy += (b - my) * (b - my);
    }
    // One that never varies explains nothing.
    Some(if xx * yy == 0.0 {
        0.0
    } else {
        xy / (xx * yy).sqrt()
    })
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same = order[start..]
            .iter()
            .take_while(|&&i| values[i] == values[order[start]])
            .count();
        for &i in &order[start..start + same] {
            ranks[i] = start as f64 + (same as f64 - 1.0) / 2.0;
        }
        start += same.max(1);
    }
    ranks
}

fn epsilon_squared(groups: &[String], metrics: &[f64]) -> Option<f64> {
    let n = metrics.len();
    let mut by_group: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (group, metric) in groups.iter().zip(metrics) {
        by_group.entry(group).or_default().push(*metric);
    }
    let k = by_group.len();
    if groups.len() != n || n < TRIALS_MIN || n <= k {
        return None;
    }
    let all = mean(metrics);
    let total: f64 = metrics.iter().map(|m| (m - all) * (m - all)).sum();
    let within: f64 = by_group
        .values()
        .flat_map(|group| {
            let own = mean(group);
            group.iter().map(move |m| (m - own) * (m - own))
        })
        .sum();
    if total == 0.0 {
        return Some(0.0);
    }
    let chance = (k as f64 - 1.0) * within / (n - k) as f64;
    Some(((total - within - chance) / total).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monotone_effect_is_one_and_none_is_nought() {
        let x: Vec<f64> = (1..=10).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| x.exp()).collect();
        assert!((spearman(&x, &y).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(spearman(&x, &[3.0; 10]), Some(0.0));
        assert_eq!(spearman(&x[..3], &y[..3]), None);
        // scipy.stats.spearmanr([1,2,2,4,5],[5,6,6,8,7]).statistic
        let r = spearman(&[1.0, 2.0, 2.0, 4.0, 5.0], &[5.0, 6.0, 6.0, 8.0, 7.0]).unwrap();
        assert!((r - 0.8947368421052632).abs() < 1e-12, "{r}");
    }

    #[test]
    fn groups_explain_what_lies_between_them() {
        let groups: Vec<String> = ["a", "a", "a", "b", "b", "b"].map(str::to_owned).into();
        let all = epsilon_squared(&groups, &[1.0, 1.0, 1.0, 2.0, 2.0, 2.0]).unwrap();
        assert!((all - 1.0).abs() < 1e-12);
        assert_eq!(
            epsilon_squared(&groups, &[1.0, 2.0, 3.0, 1.0, 2.0, 3.0]),
            Some(0.0)
        );
        // SSB 13.5, SSW 4, SST 17.5: (13.5 - 1 * 4 / 4) / 17.5
        let some = epsilon_squared(&groups, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert!((some - 12.5 / 17.5).abs() < 1e-12);
    }
}

//! Runs that differ in nothing but some params, such as the seed, as one curve with a band. Pure.
//! Imports: nothing.

use std::collections::BTreeMap;

/// A point of a band: x, low, middle, high.
pub(super) type BandPoint = (f64, f64, f64, f64);

/// At so many places at most a band is worked out.
const PLACES_MAX: usize = 4000;

/// Runs that have the same params but for some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ui) struct GroupOfRuns {
    /// What sets it apart from the other groups: `lr=0.1, model=small`.
    pub(in crate::ui) name: String,
    /// The places of its runs in the list.
    pub(in crate::ui) members: Vec<usize>,
}

/// Puts runs together that have the same params but for `over`; in the order of their first runs.
pub(in crate::ui) fn groups(
    params: &[BTreeMap<String, String>],
    over: &[String],
) -> Vec<GroupOfRuns> {
    let mut found: Vec<(BTreeMap<&str, &str>, Vec<usize>)> = Vec::new();
    for (index, run) in params.iter().enumerate() {
        let rest: BTreeMap<&str, &str> = run
            .iter()
            .filter(|(name, _)| !over.contains(name))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        match found.iter_mut().find(|(known, _)| *known == rest) {
            Some((_, members)) => members.push(index),
            None => found.push((rest, vec![index])),
        }
    }
    let differs = |name: &str| {
        let first = found.first().and_then(|(rest, _)| rest.get(name));
        found.iter().any(|(rest, _)| rest.get(name) != first)
    };
    let mut names: Vec<&str> = found
        .iter()
        .flat_map(|(rest, _)| rest.keys().copied())
        .collect();
    names.sort_unstable();
    names.dedup();
    let apart: Vec<&str> = names.into_iter().filter(|name| differs(name)).collect();
    found
        .iter()
        .map(|(rest, members)| {
            let parts = apart.iter().map(|name| {
                let value = rest.get(name).copied().unwrap_or("none");
                format!("{name}={value}")
            });
            let name = parts.collect::<Vec<_>>().join(", ");
            GroupOfRuns {
                name: if name.is_empty() {
                    "all runs".to_owned()
                } else {
                    name
                },
                members: members.clone(),
            }
        })
        .collect()
}

/// Returns mean and standard deviation of curves wherever one of them has a point. Between its points
/// a curve is taken as straight, before its first and behind its last one it does not count.
pub(super) fn band(curves: &[Vec<(f64, f64)>]) -> Vec<BandPoint> {
    let mut places: Vec<f64> = curves.iter().flatten().map(|point| point.0).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let stride = places.len().div_ceil(PLACES_MAX).max(1);
    places
        .into_iter()
        .step_by(stride)
        .filter_map(|x| {
            let values: Vec<f64> = curves
                .iter()
                .filter_map(|curve| value_at(curve, x))
                .filter(|value| value.is_finite())
                .collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            let deviation = if 1.0 < n {
                (squares / (n - 1.0)).sqrt()
            } else {
                0.0
            };
            mean.is_finite()
                .then_some((x, mean - deviation, mean, mean + deviation))
        })
        .collect()
}

/// Returns the value of a curve, whose points ascend, at a place.
fn value_at(curve: &[(f64, f64)], x: f64) -> Option<f64> {
    let next = curve.partition_point(|point| point.0 < x);
    let (x1, y1) = *curve.get(next)?;
    if x1 <= x {
        return Some(y1);
    }
    let (x0, y0) = *curve.get(next.checked_sub(1)?)?;
    Some(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        pairs.collect()
    }

    #[test]
    fn runs_that_differ_in_the_seed_only_are_one_group() {
        let runs = [
            params(&[("seed", "1"), ("lr", "0.1"), ("net", "a")]),
            params(&[("seed", "1"), ("lr", "0.2"), ("net", "a")]),
            params(&[("seed", "2"), ("lr", "0.1"), ("net", "a")]),
            params(&[("seed", "3"), ("net", "a")]),
        ];
        let found = groups(&runs, &["seed".to_owned()]);
        let seen: Vec<(&str, &[usize])> = found
            .iter()
            .map(|group| (group.name.as_str(), &group.members[..]))
            .collect();
        let expected: [(&str, &[usize]); 3] =
            [("lr=0.1", &[0, 2]), ("lr=0.2", &[1]), ("lr=none", &[3])];
        assert_eq!(seen, expected);
        assert_eq!(groups(&runs[..1], &[])[0].name, "all runs");
        assert!(groups(&[], &[]).is_empty());
    }

    #[test]
    fn a_band_is_mean_and_deviation_of_what_is_known_at_a_place() {
        let found = band(&[
            vec![(0.0, 1.0), (2.0, 3.0)],
            vec![(0.0, 3.0), (1.0, 4.0)],
            vec![(5.0, f64::NAN)],
        ]);
        let root = 2f64.sqrt();
        assert_eq!(found[0], (0.0, 2.0 - root, 2.0, 2.0 + root));
        assert_eq!((found[1].0, found[1].2), (1.0, 3.0));
        assert_eq!(found[2], (2.0, 3.0, 3.0, 3.0));
        assert_eq!(found.len(), 3);
        assert!(band(&[]).is_empty());
    }
}

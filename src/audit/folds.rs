//! Which pictures a classifier learns from and which it is then asked about, so that every picture is
//! asked about once by a classifier that has not seen it. Imports: base.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rand::seq::SliceRandom;

use crate::base::rng;

/// Parts into which the pictures are cut: each is asked about by what was learnt from the others.
pub(super) const FOLDS: usize = 5;

/// Returns the fold, 0..`FOLDS`, of each picture. The pictures of a class spread evenly; those of a
/// group, which are copies of each other, exact or near, stay together, since a copy would tell the label
/// of the other. A group counts for the class of its first picture.
pub(super) fn folds(labels: &[u32], groups: &[usize], seed: u64) -> Vec<usize> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, group) in groups.iter().enumerate() {
        members.entry(*group).or_default().push(row);
    }
    let mut classes: BTreeMap<u32, Vec<Vec<usize>>> = BTreeMap::new();
    for rows in members.into_values() {
        classes.entry(labels[rows[0]]).or_default().push(rows);
    }
    let mut folds = vec![0; labels.len()];
    let mut filled = [0; FOLDS];
    for (class, mut groups) in classes {
        groups.shuffle(&mut rng::stream(seed, "audit.folds", class.into()));
        // The large ones first: the small ones fill what they leave.
        groups.sort_by_key(|rows| Reverse(rows.len()));
        let mut of_class = [0; FOLDS];
        for rows in groups {
            let emptiest = (0..FOLDS).min_by_key(|fold| (of_class[*fold], filled[*fold]));
            let fold = emptiest.unwrap_or(0);
            of_class[fold] += rows.len();
            filled[fold] += rows.len();
            for row in rows {
                folds[row] = fold;
            }
        }
    }
    folds
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(folds: &[usize], of: impl Fn(usize) -> bool) -> Vec<usize> {
        let rows = |fold: usize| (0..folds.len()).filter(move |row| folds[*row] == fold);
        (0..FOLDS)
            .map(|fold| rows(fold).filter(|row| of(*row)).count())
            .collect()
    }

    #[test]
    fn classes_spread_evenly() {
        let labels: Vec<u32> = (0..103).map(|row| u32::from(row % 10 == 0)).collect();
        let groups: Vec<usize> = (0..103).collect();
        let found = folds(&labels, &groups, 7);
        for class in 0..2 {
            let counts = counts(&found, |row| labels[row] == class);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{counts:?}");
        }
        let all = counts(&found, |_| true);
        assert!(all.iter().all(|count| (20..=21).contains(count)), "{all:?}");
    }

    #[test]
    fn the_seed_decides() {
        let labels = vec![0; 50];
        let groups: Vec<usize> = (0..50).collect();
        assert_eq!(folds(&labels, &groups, 1), folds(&labels, &groups, 1));
        assert_ne!(folds(&labels, &groups, 1), folds(&labels, &groups, 2));
    }

    proptest! {
        #[test]
        fn groups_stay_together(pictures in prop::collection::vec((0..4_u32, 0..20_usize), 1..80), seed: u64) {
            let (labels, groups): (Vec<u32>, Vec<usize>) = pictures.into_iter().unzip();
            let found = folds(&labels, &groups, seed);
            for a in 0..labels.len() {
                prop_assert!(found[a] < FOLDS);
                for b in 0..a {
                    prop_assert!(groups[a] != groups[b] || found[a] == found[b]);
                }
            }
        }
    }
}

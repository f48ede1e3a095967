//! Tests of the search for copies, with drawn pictures.

use proptest::prelude::*;

use super::*;
use crate::audit::drawn::{Drawn, table};

fn find(drawn: &[Drawn]) -> Copies {
    copies(&table(drawn), &NearParams::USUAL, &Cancel::new()).unwrap()
}

#[test]
fn copies_form_groups_exact_and_near_across_classes_and_splits() {
    let found = find(&[
        Drawn::new(1, Split::Train, 0),
        Drawn::new(2, Split::Train, 0),
        Drawn::new(1, Split::Test, 1),              // the same as 0
        Drawn::new(1, Split::Train, 0).brighter(3), // nearly 0 and 2
        Drawn::new(2, Split::Val, 1).brighter(2),   // nearly 1
        Drawn::new(3, Split::Train, 1),
        Drawn::new(1, Split::Train, 0).brighter(3), // the same as 3
    ]);
    assert_eq!(found.groups, [0, 1, 0, 0, 1, 5, 0]);
}

fn row(found: Option<Match>) -> Option<usize> {
    found.map(|m| m.row)
}

#[test]
fn bands_cover_all_bits_once() {
    for bands in 1..=8 {
        let all: Vec<u64> = (0..bands).map(|band| bits_of(band, bands)).collect();
        assert_eq!(all.iter().fold(0, |sum, bits| sum | bits), u64::MAX);
        assert_eq!(all.iter().map(|bits| bits.count_ones()).sum::<u32>(), 64);
    }
}

#[test]
fn copies_are_told_by_where_they_lie() {
    use Split::{Test, Train, Val};
    let found = find(&[
        Drawn::new(1, Train, 0),
        Drawn::new(1, Train, 0),            // twin of 0
        Drawn::new(1, Train, 1),            // conflict with 0 and 1
        Drawn::new(2, Train, 0),            // leaks into 5, nearly
        Drawn::new(3, Val, 0),              // nothing
        Drawn::new(2, Test, 0).brighter(3), // nearly 3
        Drawn::new(1, Test, 0),             // exactly 0
    ]);
    let exact: Vec<_> = found
        .exact
        .iter()
        .map(|k| (row(k.earlier), row(k.later)))
        .collect();
    assert_eq!(exact[0], (None, Some(6)));
    assert_eq!(exact[6], (Some(0), None));
    assert_eq!(row(found.exact[1].twin), Some(0));
    assert_eq!(row(found.exact[0].twin), None);
    assert_eq!(row(found.exact[0].conflict), Some(2));
    assert_eq!(row(found.exact[2].conflict), Some(0));
    let near: Vec<_> = found
        .near
        .iter()
        .map(|k| (row(k.earlier), row(k.later)))
        .collect();
    assert_eq!((near[3], near[5]), ((None, Some(5)), (Some(3), None)));
    assert_eq!(found.near[4], Kin::default());
    // Equal contents are not near ones.
    assert_eq!(near[0], (None, None));
}

#[test]
fn a_copy_of_a_copy_knows_its_near_kin() {
    let found = find(&[
        Drawn::new(1, Split::Train, 0),
        Drawn::new(1, Split::Train, 0),
        Drawn::new(1, Split::Test, 0).brighter(3),
    ]);
    assert_eq!(row(found.near[0].later), Some(2));
    assert_eq!(row(found.near[1].later), Some(2));
    assert_eq!(row(found.near[2].earlier), Some(0));
}

#[test]
fn a_crowd_is_bounded_and_copies_in_it_are_found() {
    let crowd = Crowd {
        min: 200,
        neighbours: 20,
    };
    // Pictures with one hash, all different.
    let mut drawn: Vec<Drawn> = (0..220)
        .map(|seed| Drawn::new(seed, Split::Train, 0).with_hash(0))
        .collect();
    drawn.push(Drawn::new(77, Split::Test, 0).brighter(2).with_hash(1));
    let found = copies_with(crowd, &table(&drawn), &NearParams::USUAL, &Cancel::new()).unwrap();
    assert_eq!(found.crowded, drawn.len());
    assert_eq!(find(&drawn).crowded, 0);
    assert_eq!(row(found.near[drawn.len() - 1].earlier), Some(77));
}

proptest! {
    /// The order of pictures that are compared does not decide who is found.
    #[test]
    fn kin_is_the_best_in_any_order(rmse in prop::collection::vec(0.0..0.05_f64, 1..6)) {
        let pictures = table(&vec![Drawn::new(1, Split::Train, 0); rmse.len() + 1]);
        let matches: Vec<Match> = rmse.iter().enumerate().map(|(row, &rmse)| Match {
            row,
            likeness: Some(Likeness { rmse, correlation: None }),
        }).collect();
        let take = |found: &mut dyn Iterator<Item = &Match>| {
            let mut kin = Kin::default();
            found.for_each(|m| kin.take(&pictures.rows, rmse.len(), *m));
            kin
        };
        prop_assert_eq!(take(&mut matches.iter()), take(&mut matches.iter().rev()));
    }
}

//! Which things belong together because a chain of pairs connects them. Pure. Imports: nothing of ours.
//!
//! Threads may join pairs at the same time without a lock (Anderson and Woll 1991). A root is only ever
//! put below a smaller one, so the root of a group is its least member, whatever the order of the pairs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Things 0, 1, 2, … in groups; at first each is alone.
#[derive(Debug)]
pub(super) struct Groups {
    /// Of each thing another one of its group, nearer to the root; the root has itself.
    above: Vec<AtomicUsize>,
}

impl Groups {
    /// Puts each of `count` things into a group of its own.
    pub(super) fn new(count: usize) -> Self {
        Self {
            above: (0..count).map(AtomicUsize::new).collect(),
        }
    }

    /// Makes one group of those of `a` and `b`, both below the count.
    pub(super) fn join(&self, a: usize, b: usize) {
        let (mut a, mut b) = (a, b);
        loop {
            (a, b) = (self.root(a), self.root(b));
            if a == b {
                return;
            }
            let (low, high) = (a.min(b), a.max(b));
            // Fails if another thread has just put `high` below something else.
            let put =
                self.above[high].compare_exchange(high, low, Ordering::AcqRel, Ordering::Acquire);
            if put.is_ok() {
                return;
            }
        }
    }

    /// Returns the least member of each thing's group.
    pub(super) fn roots(&self) -> Vec<usize> {
        (0..self.above.len()).map(|at| self.root(at)).collect()
    }

    fn root(&self, thing: usize) -> usize {
        let mut at = thing;
        loop {
            let up = self.above[at].load(Ordering::Acquire);
            if up == at {
                return at;
            }
            let next = self.above[up].load(Ordering::Acquire);
            // Halves the way for those who come later; if another thread was first, that is as good.
            let _ = self.above[at].compare_exchange(up, next, Ordering::AcqRel, Ordering::Acquire);
            at = next;
        }
    }
}

/// Returns how many groups each class has pictures of: how many different ones. Both lists are by picture.
pub(super) fn different(classes: &[u32], groups: &[usize]) -> BTreeMap<u32, usize> {
    let mut different: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
    for (class, group) in classes.iter().zip(groups) {
        different.entry(*class).or_default().insert(*group);
    }
    different
        .into_iter()
        .map(|(class, groups)| (class, groups.len()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn chains_are_one_group() {
        let groups = Groups::new(6);
        for (a, b) in [(4, 3), (5, 4), (1, 3)] {
            groups.join(a, b);
        }
        assert_eq!(groups.roots(), [0, 1, 2, 1, 1, 1]);
    }

    proptest! {
        #[test]
        fn groups_are_the_same_in_any_order_and_by_many_threads(
            pairs in prop::collection::vec((0..40_usize, 0..40_usize), 0..60),
        ) {
            let (one, many) = (Groups::new(40), Groups::new(40));
            pairs.iter().rev().for_each(|(a, b)| one.join(*a, *b));
            pairs.par_iter().for_each(|(a, b)| many.join(*b, *a));
            let roots = one.roots();
            prop_assert_eq!(&roots, &many.roots());
            for (a, b) in pairs {
                prop_assert_eq!(roots[a], roots[b]);
            }
            for (thing, root) in roots.iter().enumerate() {
                prop_assert!(*root <= thing && roots[*root] == *root);
            }
        }
    }
}

//! Which of many things a page shows. Pure. Imports: nothing of ours.

use std::ops::Range;

/// A page of things, numbered from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ui) struct Paging {
    page: usize,
    total: usize,
    /// The things on it.
    pub(in crate::ui) range: Range<usize>,
}

impl Paging {
    /// Returns page `page` of `total` things, `size` of them on each; the last page is the end, whatever
    /// a link asks for.
    pub(in crate::ui) fn new(page: usize, size: usize, total: usize) -> Self {
        let page = page.clamp(1, total.div_ceil(size).max(1));
        let from = (page - 1) * size;
        Self {
            page,
            total,
            range: from..from.saturating_add(size).min(total),
        }
    }

    /// Returns the number of its first thing as people count; 0 if there is none.
    pub(in crate::ui) fn first(&self) -> usize {
        self.range.start + usize::from(!self.range.is_empty())
    }

    /// Returns the page before it.
    pub(in crate::ui) fn previous(&self) -> Option<usize> {
        (1 < self.page).then(|| self.page - 1)
    }

    /// Returns the page behind it.
    pub(in crate::ui) fn next(&self) -> Option<usize> {
        (self.range.end < self.total).then(|| self.page + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_where_things_do() {
        for (page, total, range, first, previous, next) in [
            (1, 0, 0..0, 0, None, None),
            (usize::MAX, 0, 0..0, 0, None, None),
            (0, 5, 0..5, 1, None, None),
            (1, 10, 0..10, 1, None, None),
            (1, 11, 0..10, 1, None, Some(2)),
            (2, 30, 10..20, 11, Some(1), Some(3)),
            (3, 21, 20..21, 21, Some(2), None),
            (usize::MAX, 21, 20..21, 21, Some(2), None),
        ] {
            let paging = Paging::new(page, 10, total);
            assert_eq!(paging.range, range, "{page} of {total}");
            assert_eq!(paging.first(), first, "{page} of {total}");
            let around = (paging.previous(), paging.next());
            assert_eq!(around, (previous, next), "{page} of {total}");
        }
        let last = Paging::new(usize::MAX, 60, usize::MAX);
        assert!(last.range.end == usize::MAX && last.next().is_none());
    }
}

//! Which pictures are there more than once, exactly or nearly. Pure.
//!
//! Equal contents are grouped. For near copies, difference hashes that differ in at most `b` bits are
//! candidates: cut into `b + 1` bands, two such hashes agree in one of them. Pictures that agree in a
//! band are compared with each other; where they are too many (pictures of centred objects on black have
//! whole bands in common), each is compared with those nearest in brightness and with those nearest in
//! contrast, as in the sorted neighbourhood method of Hernández and Stolfo (1995). So work grows with the
//! number of pictures and not with its square. `likeness` decides. Imports: vision, rayon,
//! `audit::{error, groups, likeness, params, pictures}`.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::base::Cancel;
use crate::vision;
use crate::vision::dataset::Split;

use super::error::Error;
use super::groups::Groups;
use super::likeness::{Likeness, Sketch};
use super::params::NearParams;
use super::pictures::{Picture, Pictures};

/// When not all pictures that agree in a band are compared with each other.
#[derive(Clone, Copy)]
struct Crowd {
    /// More pictures than this are a crowd.
    min: usize,
    /// In a crowd: pictures on either side that a picture is compared with, in each of the two orders.
    neighbours: usize,
}

const CROWD: Crowd = Crowd {
    min: 2_000,
    neighbours: 500,
};

/// A picture that another is a copy of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Match {
    pub(super) row: usize,
    /// None: the same picture.
    pub(super) likeness: Option<Likeness>,
}

/// What a picture is a copy of, the most alike of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Kin {
    /// A copy in an earlier split (train, val, test), best in train.
    pub(super) earlier: Option<Match>,
    /// A copy in a later split, best in test.
    pub(super) later: Option<Match>,
    /// A copy of another class.
    pub(super) conflict: Option<Match>,
    /// A copy before it in its split and class.
    pub(super) twin: Option<Match>,
}

/// All copies, by row.
#[derive(Debug)]
pub(super) struct Copies {
    /// Of the same content.
    pub(super) exact: Vec<Kin>,
    /// Of nearly the same.
    pub(super) near: Vec<Kin>,
    /// The group of each picture: copies, exact and near, and copies of copies have the same number.
    pub(super) groups: Vec<usize>,
    /// Pictures that had too many candidates to be compared with all of them.
    pub(super) crowded: usize,
}

/// Finds copies among `pictures`.
///
/// # Errors
/// `cancel` was requested.
pub(super) fn copies(
    pictures: &Pictures,
    near: &NearParams,
    cancel: &Cancel,
) -> Result<Copies, Error> {
    copies_with(CROWD, pictures, near, cancel)
}

fn copies_with(
    crowd: Crowd,
    pictures: &Pictures,
    near: &NearParams,
    cancel: &Cancel,
) -> Result<Copies, Error> {
    let rows = &pictures.rows;
    // The rows of one content, split and class; the first stands for all of them.
    let mut same: BTreeMap<_, BTreeMap<(Split, u32), Vec<usize>>> = BTreeMap::new();
    for (row, picture) in rows.iter().enumerate() {
        let places = same.entry(picture.content).or_default();
        let place = places.entry((picture.split, picture.class)).or_default();
        place.push(row);
    }
    let mut copies = Copies {
        exact: vec![Kin::default(); rows.len()],
        near: vec![Kin::default(); rows.len()],
        groups: Vec::new(),
        crowded: 0,
    };
    let groups = Groups::new(rows.len());
    for places in same.values() {
        let mut all = places.values().flatten();
        if let Some(&first) = all.next() {
            all.for_each(|&row| groups.join(first, row));
        }
        let firsts: Vec<usize> = places.values().map(|place| place[0]).collect();
        for place in places.values() {
            for &row in place {
                let others = firsts.iter().filter(|&&first| first != row);
                for &first in others {
                    let found = Match {
                        row: first,
                        likeness: None,
                    };
                    copies.exact[row].take(rows, row, found);
                }
            }
        }
    }
    let firsts: Vec<usize> = same
        .values()
        .flat_map(BTreeMap::values)
        .map(|place| place[0])
        .collect();
    let search = Search::new(crowd, pictures, firsts, near, &groups);
    let found = search.run(cancel)?;
    copies.crowded = found.crowded;
    copies.groups = groups.roots();
    for (&row, kin) in search.rows.iter().zip(found.kin) {
        copies.near[row] = kin;
    }
    for place in same.values().flat_map(BTreeMap::values) {
        for &row in &place[1..] {
            copies.near[row] = Kin {
                twin: None,
                ..copies.near[place[0]]
            };
        }
    }
    Ok(copies)
}

impl Kin {
    /// Notes that row `row` is a copy of `found`.
    fn take(&mut self, rows: &[Picture], row: usize, found: Match) {
        let (own, other) = (&rows[row], &rows[found.row]);
        match other.split.cmp(&own.split) {
            Ordering::Less => better(&mut self.earlier, found, &|m| rows[m.row].split),
            Ordering::Greater => better(&mut self.later, found, &|m| Reverse(rows[m.row].split)),
            Ordering::Equal => {}
        }
        if own.class != other.class {
            better(&mut self.conflict, found, &|_| ());
        } else if own.split == other.split && found.row < row {
            better(&mut self.twin, found, &|_| ());
        }
    }

    /// Takes what is better in `other`, which was found for the same row.
    fn merge(&mut self, rows: &[Picture], row: usize, other: Self) {
        let all = [other.earlier, other.later, other.conflict, other.twin];
        for found in all.into_iter().flatten() {
            self.take(rows, row, found);
        }
    }
}

/// Puts `found` into `slot` if it comes first: by `rank`, likeness and row.
fn better<R: Ord>(slot: &mut Option<Match>, found: Match, rank: &dyn Fn(&Match) -> R) {
    let rmse = |m: &Match| m.likeness.map_or(0.0, |likeness| likeness.rmse);
    let is_better = slot.as_ref().is_none_or(|old| {
        let by_rank = rank(&found).cmp(&rank(old));
        let by_likeness = by_rank.then(rmse(&found).total_cmp(&rmse(old)));
        by_likeness.then(found.row.cmp(&old.row)).is_lt()
    });
    if is_better {
        *slot = Some(found);
    }
}

/// The search for near copies among some rows.
struct Search<'a> {
    crowd: Crowd,
    pictures: &'a Pictures,
    near: &'a NearParams,
    /// Of all pictures; those that are nearly the same are joined.
    groups: &'a Groups,
    /// In the order of the sketches.
    rows: Vec<usize>,
    sketches: Vec<Sketch>,
}

/// What a search found, in the order of its rows.
struct Found {
    kin: Vec<Kin>,
    crowded: usize,
}

/// An order of pictures in which those of one band follow each other.
struct Line {
    /// Places in `Search::rows`.
    order: Vec<usize>,
    /// For each place in `order`, where the pictures of its band begin and end.
    runs: Vec<(usize, usize)>,
}

impl<'a> Search<'a> {
    fn new(
        crowd: Crowd,
        pictures: &'a Pictures,
        rows: Vec<usize>,
        near: &'a NearParams,
        groups: &'a Groups,
    ) -> Self {
        let sketches = rows
            .par_iter()
            .map(|&row| Sketch::new(&pictures.pixels, row))
            .collect();
        Self {
            crowd,
            pictures,
            near,
            groups,
            rows,
            sketches,
        }
    }

    fn run(&self, cancel: &Cancel) -> Result<Found, Error> {
        let bands = self.near.hash_bits_max + 1;
        let mut kin = vec![Kin::default(); self.rows.len()];
        let mut is_crowded = vec![false; self.rows.len()];
        for band in 0..bands {
            let by_mean = self.line(band, bands, |sketch| sketch.mean);
            self.walk(&by_mean, Reach::All, &mut kin, cancel)?;
            let crowds = by_mean.order.iter().zip(&by_mean.runs);
            for (&at, (from, to)) in crowds {
                is_crowded[at] |= self.crowd.min < to - from;
            }
            let by_deviation = self.line(band, bands, |sketch| sketch.deviation);
            self.walk(&by_deviation, Reach::Crowds, &mut kin, cancel)?;
        }
        Ok(Found {
            kin,
            crowded: is_crowded.into_iter().filter(|is| *is).count(),
        })
    }

    fn hash(&self, at: usize) -> u64 {
        self.pictures.rows[self.rows[at]].dhash
    }

    /// Lines the pictures up by their bits in `band`, then by `key`.
    fn line(&self, band: u32, bands: u32, key: impl Fn(&Sketch) -> f64 + Sync) -> Line {
        let bits = bits_of(band, bands);
        let part = |at: usize| self.hash(at) & bits;
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.par_sort_unstable_by(|&a, &b| {
            let by_key = || key(&self.sketches[a]).total_cmp(&key(&self.sketches[b]));
            part(a).cmp(&part(b)).then_with(by_key).then(a.cmp(&b))
        });
        let mut runs = Vec::with_capacity(order.len());
        for run in order.chunk_by(|&a, &b| part(a) == part(b)) {
            let from = runs.len();
            runs.extend(run.iter().map(|_| (from, from + run.len())));
        }
        Line { order, runs }
    }

    /// Compares each picture with its neighbours in the line.
    fn walk(
        &self,
        line: &Line,
        reach: Reach,
        kin: &mut [Kin],
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let found: Vec<(usize, Kin)> = (0..line.order.len())
            .into_par_iter()
            .filter_map(|place| {
                if cancel.reason().is_some() {
                    return None;
                }
                let (from, to) = line.runs[place];
                let neighbours = match (self.crowd.min < to - from, reach) {
                    (false, Reach::All) => from..to,
                    (false, Reach::Crowds) => return None,
                    (true, Reach::All | Reach::Crowds) => {
                        let reach = self.crowd.neighbours;
                        from.max(place.saturating_sub(reach))..to.min(place + reach + 1)
                    }
                };
                let at = line.order[place];
                let kin = self.compare(at, &line.order[neighbours]);
                (kin != Kin::default()).then_some((at, kin))
            })
            .collect();
        if let Some(reason) = cancel.reason() {
            return Err(vision::Error::Cancelled(reason).into());
        }
        for (at, more) in found {
            kin[at].merge(&self.pictures.rows, self.rows[at], more);
        }
        Ok(())
    }

    /// Compares a picture with others.
    fn compare(&self, at: usize, others: &[usize]) -> Kin {
        let rows = &self.pictures.rows;
        let pixels = &self.pictures.pixels;
        let (row, hash, sketch) = (self.rows[at], self.hash(at), &self.sketches[at]);
        let mut kin = Kin::default();
        for &other in others {
            let (other_row, other_sketch) = (self.rows[other], &self.sketches[other]);
            if self.near.hash_bits_max < (hash ^ self.hash(other)).count_ones()
                || rows[row].content == rows[other_row].content
                || !sketch.may_be_near(other_sketch, self.near)
            {
                continue;
            }
            let likeness = Likeness::of(
                (pixels.image(row), sketch),
                (pixels.image(other_row), other_sketch),
            );
            if likeness.is_near(self.near) {
                self.groups.join(row, other_row);
                let found = Match {
                    row: other_row,
                    likeness: Some(likeness),
                };
                kin.take(rows, row, found);
            }
        }
        kin
    }
}

/// Who is compared.
#[derive(Clone, Copy)]
enum Reach {
    /// Everybody.
    All,
    /// Pictures in crowds only; the others were compared with all there are.
    Crowds,
}

/// Returns the bits of a hash that belong to a band.
fn bits_of(band: u32, bands: u32) -> u64 {
    let (from, to) = (band * u64::BITS / bands, (band + 1) * u64::BITS / bands);
    (u64::MAX >> (u64::BITS - (to - from))) << from
}

#[cfg(test)]
mod tests;

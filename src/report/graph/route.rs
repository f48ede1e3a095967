//! Leads the edges through the gap between two rows: each bundle of lines goes down to a track of
//! its own, along it, and down to where its lines arrive. Lines of different bundles meet only at
//! right angles, so a drawing can be read without guessing. Imports: nothing.

/// The lines of one bundle in one gap: they have a common source or a common target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Net {
    /// Columns where they come from above.
    pub(super) tops: Vec<i32>,
    /// Columns where they arrive below.
    pub(super) bottoms: Vec<i32>,
}

impl Net {
    fn span(&self) -> (i32, i32) {
        let all = || self.tops.iter().chain(&self.bottoms).copied();
        (all().min().unwrap_or(0), all().max().unwrap_or(0))
    }

    fn is_straight(&self) -> bool {
        let (left, right) = self.span();
        left == right
    }
}

/// Returns the track of each net (0 is the topmost; `None`: it goes straight down) and the number
/// of tracks. Nets nearer than `apart` columns do not share a track.
pub(super) fn tracks(nets: &[Net], apart: i32) -> (Vec<Option<usize>>, usize) {
    let mut tracks: Vec<Option<usize>> = vec![None; nets.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut count = 0;
    for net in order(nets) {
        let (left, right) = nets[net].span();
        let track = placed
            .iter()
            .filter(|&&other| {
                let (other_left, other_right) = nets[other].span();
                (left <= other_right + apart && other_left <= right + apart)
                    || must_be_above(&nets[other], &nets[net])
            })
            .filter_map(|&other| tracks[other].map(|track| track + 1))
            .max()
            .unwrap_or(0);
        tracks[net] = Some(track);
        count = count.max(track + 1);
        placed.push(net);
    }
    (tracks, count)
}

/// Returns the nets that need a track, from top to bottom, with few crossings.
fn order(nets: &[Net]) -> Vec<usize> {
    let mut waiting: Vec<usize> = (0..nets.len())
        .filter(|&net| !nets[net].is_straight())
        .collect();
    let mut order: Vec<usize> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        // If each of the rest has to be above another, one shared column cannot be avoided.
        let free = waiting
            .iter()
            .position(|&net| {
                waiting
                    .iter()
                    .all(|&other| other == net || !must_be_above(&nets[other], &nets[net]))
            })
            .unwrap_or(0);
        order.push(waiting.remove(free));
    }
    // Bubble sort by pairwise crossings; as many rounds as nets is its natural bound.
    for _ in 0..order.len() {
        let mut moved = false;
        for lower in 1..order.len() {
            let (a, b) = (&nets[order[lower - 1]], &nets[order[lower]]);
            if !must_be_above(a, b) && crossings(b, a) < crossings(a, b) {
                order.swap(lower - 1, lower);
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    order
}

/// Whether `a` needs the higher track because `b` arrives in a column that `a` comes from.
fn must_be_above(a: &Net, b: &Net) -> bool {
    a.tops.iter().any(|top| b.bottoms.contains(top))
}

fn crossings(above: &Net, below: &Net) -> usize {
    let inside = |(left, right): (i32, i32), columns: &[i32]| {
        columns
            .iter()
            .filter(|&&column| left < column && column < right)
            .count()
    };
    inside(above.span(), &below.tops) + inside(below.span(), &above.bottoms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(top: i32, bottoms: &[i32]) -> Net {
        Net {
            tops: vec![top],
            bottoms: bottoms.to_vec(),
        }
    }

    #[test]
    fn straight_nets_need_no_track() {
        assert_eq!(
            tracks(&[net(3, &[3]), net(9, &[9])], 1),
            (vec![None, None], 0)
        );
    }

    #[test]
    fn parallel_nets_nest_without_crossing() {
        let (tracks, count) = tracks(&[net(0, &[20]), net(4, &[24])], 1);
        assert_eq!((tracks, count), (vec![Some(1), Some(0)], 2));
    }

    #[test]
    fn distant_nets_share_a_track() {
        assert_eq!(
            tracks(&[net(0, &[4]), net(10, &[14])], 1),
            (vec![Some(0), Some(0)], 1)
        );
    }

    #[test]
    fn a_shared_column_is_left_before_it_is_entered() {
        let (tracks, _) = tracks(&[net(0, &[6]), net(6, &[12])], 1);
        assert!(tracks[1] < tracks[0], "{tracks:?}");
    }
}

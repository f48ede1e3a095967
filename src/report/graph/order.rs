//! Orders each row so that edges cross little: barycentre sweeps, then swaps of neighbours.
//! Imports: nothing.

/// Sweeps down and up; the best order seen is kept, so more sweeps never harm.
const SWEEPS: usize = 24;
/// Above this many elements the swaps cost more than they are worth.
const SWAP_ELEMENTS_MAX: usize = 600;

/// Reorders `rows` (of elements) in place. `links[r]` are the links from row `r` to row `r + 1`.
pub(super) fn reduce_crossings(rows: &mut Vec<Vec<usize>>, links: &[Vec<(usize, usize)>]) {
    let count: usize = rows.iter().map(Vec::len).sum();
    let mut position = vec![0; count];
    note_positions(rows, &mut position);
    let mut upper = vec![Vec::new(); count];
    let mut lower = vec![Vec::new(); count];
    for &(from, to) in links.iter().flatten() {
        lower[from].push(to);
        upper[to].push(from);
    }
    let mut best = (crossings(links, &position), rows.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        let down = sweep % 2 == 0;
        for step in 1..rows.len() {
            let row = if down { step } else { rows.len() - 1 - step };
            let near = if down { &upper } else { &lower };
            sort_by_barycentre(&mut rows[row], near, &mut position);
        }
        if count <= SWAP_ELEMENTS_MAX {
            swap_neighbours(rows, &upper, &lower, &mut position);
        }
        let crossed = crossings(links, &position);
        if crossed < best.0 {
            best = (crossed, rows.clone());
        }
    }
    *rows = best.1;
}

fn note_positions(rows: &[Vec<usize>], position: &mut [usize]) {
    for row in rows {
        for (index, &element) in row.iter().enumerate() {
            position[element] = index;
        }
    }
}

fn sort_by_barycentre(row: &mut [usize], near: &[Vec<usize>], position: &mut [usize]) {
    let mut keyed: Vec<(f64, usize)> = row
        .iter()
        .map(|&element| {
            let others = &near[element];
            let sum: usize = others.iter().map(|&other| position[other]).sum();
            // Elements without neighbours there keep their place.
            (
                if others.is_empty() {
                    position[element] as f64
                } else {
                    sum as f64 / others.len() as f64
                },
                element,
            )
        })
        .collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (index, (slot, (_, element))) in row.iter_mut().zip(keyed).enumerate() {
        *slot = element;
        position[element] = index;
    }
}

fn swap_neighbours(
    rows: &mut [Vec<usize>],
    upper: &[Vec<usize>],
    lower: &[Vec<usize>],
    position: &mut [usize],
) {
    for row in rows {
        for left in 1..row.len() {
            let (a, b) = (row[left - 1], row[left]);
            let cost = |a: usize, b: usize| {
                pair_crossings(&upper[a], &upper[b], position)
                    + pair_crossings(&lower[a], &lower[b], position)
            };
            if cost(b, a) < cost(a, b) {
                row.swap(left - 1, left);
                position[a] = left;
                position[b] = left - 1;
            }
        }
    }
}

/// Counts crossings between the links of two elements when the first stands left of the second.
fn pair_crossings(left: &[usize], right: &[usize], position: &[usize]) -> usize {
    left.iter()
        .map(|&l| right.iter().filter(|&&r| position[r] < position[l]).count())
        .sum()
}

fn crossings(links: &[Vec<(usize, usize)>], position: &[usize]) -> usize {
    links
        .iter()
        .map(|gap| {
            let mut ends: Vec<(usize, usize)> = gap
                .iter()
                .map(|&(a, b)| (position[a], position[b]))
                .collect();
            ends.sort_unstable();
            ends.iter()
                .enumerate()
                .map(|(i, right)| {
                    ends[..i]
                        .iter()
                        .filter(|left| left.0 < right.0 && right.1 < left.1)
                        .count()
                })
                .sum::<usize>()
        })
        .sum()
}

//! Gives each node its row: edges lead from higher to lower rows, and no row is too wide.
//! Imports: nothing.

use std::collections::BTreeSet;

/// Edges as pairs of nodes, from the upper to the lower.
type Edges = Vec<(usize, usize)>;

/// Splits edges into those that can all point down, and those that close a cycle. Our callers'
/// graphs have none of the second kind; a drawing must still end if one has.
pub(super) fn without_cycles(nodes: usize, edges: &[(usize, usize)]) -> (Edges, Edges) {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        Never,
        Open,
        Closed,
    }
    let next = neighbours(nodes, edges.iter().copied());
    let mut visits = vec![Visit::Never; nodes];
    let (mut forward, mut closing) = (Vec::new(), Vec::new());
    for start in 0..nodes {
        if visits[start] != Visit::Never {
            continue;
        }
        // A depth-first search with its own stack: graphs may be deeper than the thread's stack.
        visits[start] = Visit::Open;
        let mut path = vec![(start, 0)];
        while let Some((node, at)) = path.last_mut() {
            let node = *node;
            let Some(&target) = next[node].get(*at) else {
                visits[node] = Visit::Closed;
                path.pop();
                continue;
            };
            *at += 1;
            match visits[target] {
                Visit::Open => closing.push((node, target)),
                Visit::Closed => forward.push((node, target)),
                Visit::Never => {
                    forward.push((node, target));
                    visits[target] = Visit::Open;
                    path.push((target, 0));
                }
            }
        }
    }
    forward.sort_unstable();
    closing.sort_unstable();
    (forward, closing)
}

/// Groups the nodes into connected parts: larger parts first, then by their first node; the nodes
/// of a part in ascending order.
pub(super) fn components(nodes: usize, edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let near = neighbours(nodes, edges.iter().flat_map(|&(a, b)| [(a, b), (b, a)]));
    let mut seen = vec![false; nodes];
    let mut parts = Vec::new();
    for start in 0..nodes {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let mut part = vec![start];
        let mut done = 0;
        while done < part.len() {
            for &node in &near[part[done]] {
                if !seen[node] {
                    seen[node] = true;
                    part.push(node);
                }
            }
            done += 1;
        }
        part.sort_unstable();
        parts.push(part);
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts
}

/// Returns the row of each node, by longest path from the top; nodes that nothing leads to stand
/// right above their first reader. A row that is wider than `width_max` goes on in the next one,
/// as in Coffman and Graham's layering. `edges` must be acyclic; a node alone may be wider.
pub(super) fn rows(
    widths: &[i32],
    gap: i32,
    edges: &[(usize, usize)],
    width_max: i32,
) -> Vec<usize> {
    let count = widths.len();
    let next = neighbours(count, edges.iter().copied());
    let previous = neighbours(count, edges.iter().map(|&(a, b)| (b, a)));
    let mut wanted = vec![0; count];
    let order = topological(&next, &previous);
    for &node in &order {
        for &target in &next[node] {
            wanted[target] = wanted[target].max(wanted[node] + 1);
        }
    }
    for node in 0..count {
        if let (true, Some(reader)) = (
            previous[node].is_empty(),
            next[node].iter().map(|&target| wanted[target]).min(),
        ) {
            wanted[node] = reader - 1;
        }
    }
    let mut by_row: Vec<usize> = (0..count).collect();
    by_row.sort_by_key(|&node| (wanted[node], node));
    let mut rows = vec![0; count];
    let mut used: Vec<i32> = Vec::new();
    for node in by_row {
        // `wanted` grows along each edge, so all that lead here have their row already.
        let mut row = previous[node]
            .iter()
            .map(|&p| rows[p] + 1)
            .max()
            .unwrap_or(0)
            .max(wanted[node]);
        loop {
            if used.len() <= row {
                used.resize(row + 1, 0);
            }
            if used[row] == 0 || used[row] + gap + widths[node] <= width_max {
                break;
            }
            row += 1;
        }
        used[row] += widths[node] + if used[row] == 0 { 0 } else { gap };
        rows[node] = row;
    }
    // Rows that a pulled-down source left empty above the first used one are dropped.
    let filled: BTreeSet<usize> = rows.iter().copied().collect();
    rows.iter().map(|row| filled.range(..row).count()).collect()
}

fn topological(next: &[Vec<usize>], previous: &[Vec<usize>]) -> Vec<usize> {
    let mut waiting: Vec<usize> = previous.iter().map(Vec::len).collect();
    let mut ready: BTreeSet<usize> = (0..next.len()).filter(|&node| waiting[node] == 0).collect();
    let mut order = Vec::with_capacity(next.len());
    while let Some(node) = ready.pop_first() {
        order.push(node);
        for &target in &next[node] {
            waiting[target] -= 1;
            if waiting[target] == 0 {
                ready.insert(target);
            }
        }
    }
    order
}

fn neighbours(nodes: usize, edges: impl Iterator<Item = (usize, usize)>) -> Vec<Vec<usize>> {
    let mut lists = vec![Vec::new(); nodes];
    for (from, to) in edges {
        lists[from].push(to);
    }
    lists
}

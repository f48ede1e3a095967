//! Gives each element of a row its column: near its neighbours above and below, in order, apart.
//! Imports: nothing.

/// Rounds of moving everything towards its neighbours.
const ROUNDS: usize = 12;

/// What placing knows of an element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    /// Its width.
    pub(super) width: i32,
    /// Whether it is a box or the trunk of a long edge passing by.
    pub(super) is_trunk: bool,
}

/// The distances that placing keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gaps {
    /// Between two boxes.
    pub(super) boxes: i32,
    /// Where at least one of the two is a trunk.
    pub(super) trunks: i32,
    /// Rows stay within this width if they fit into it at all.
    pub(super) width_max: i32,
}

/// Returns the left edge of each element. `links[r]` are the links from row `r` to row `r + 1`.
pub(super) fn columns(
    bodies: &[Body],
    rows: &[Vec<usize>],
    links: &[Vec<(usize, usize)>],
    gaps: Gaps,
) -> Vec<i32> {
    let count = bodies.len();
    let mut upper = vec![Vec::new(); count];
    let mut lower = vec![Vec::new(); count];
    for &(from, to) in links.iter().flatten() {
        lower[from].push(to);
        upper[to].push(from);
    }
    // A trunk follows the trunk it continues, and nothing else.
    for lists in [&mut upper, &mut lower] {
        for (element, near) in lists.iter_mut().enumerate() {
            if let Some(&trunk) = near.iter().find(|&&other| bodies[other].is_trunk)
                && bodies[element].is_trunk
            {
                *near = vec![trunk];
            }
        }
    }
    let half = |element: usize| f64::from(bodies[element].width) / 2.0;
    let mut centre = vec![0.0; count];
    for row in rows {
        let wanted: Vec<f64> = row.iter().map(|_| 0.0).collect();
        let weights = vec![1.0; row.len()];
        for (&element, left) in row.iter().zip(spread(bodies, row, gaps, &wanted, &weights)) {
            centre[element] = left + half(element);
        }
    }
    for round in 0..ROUNDS {
        let down = round % 2 == 0;
        let both = ROUNDS <= round + 4;
        for step in 0..rows.len() {
            let row = &rows[if down { step } else { rows.len() - 1 - step }];
            let mut wanted = Vec::with_capacity(row.len());
            let mut weights = Vec::with_capacity(row.len());
            for &element in row {
                let (first, second) = if down {
                    (&upper[element], &lower[element])
                } else {
                    (&lower[element], &upper[element])
                };
                let mean = match (mean(first, &centre), mean(second, &centre)) {
                    (Some(a), Some(b)) if both => f64::midpoint(a, b),
                    (Some(a), _) => a,
                    (None, Some(b)) if both => b,
                    (None, _) => centre[element],
                };
                wanted.push(mean - half(element));
                weights.push(weight(bodies, element, first));
            }
            for (&element, left) in row.iter().zip(spread(bodies, row, gaps, &wanted, &weights)) {
                centre[element] = left + half(element);
            }
        }
    }
    whole_columns(bodies, rows, &upper, &centre, gaps)
}

/// Rounds to whole columns from the top down, with each trunk exactly below where it comes from
/// if there is room: rounding on its own would bend it by one column here and there.
fn whole_columns(
    bodies: &[Body],
    rows: &[Vec<usize>],
    upper: &[Vec<usize>],
    centre: &[f64],
    gaps: Gaps,
) -> Vec<i32> {
    let mut left = vec![0; bodies.len()];
    for row in rows {
        let mut wanted = Vec::with_capacity(row.len());
        let mut weights = Vec::with_capacity(row.len());
        for &element in row {
            let body = bodies[element];
            match upper[element].first() {
                Some(&from) if body.is_trunk => {
                    wanted.push(f64::from(
                        left[from] + bodies[from].width / 2 - body.width / 2,
                    ));
                    weights.push(weight(bodies, element, &upper[element]));
                }
                _ => {
                    wanted.push(centre[element] - f64::from(body.width) / 2.0);
                    weights.push(1.0);
                }
            }
        }
        let exact = spread(bodies, row, gaps, &wanted, &weights);
        // Rounding the places less the room that all to the left need keeps order and distances.
        let mut room = 0;
        for (index, (&element, exact)) in row.iter().zip(exact).enumerate() {
            left[element] = (exact - f64::from(room)).round() as i32 + room;
            if let Some(&right) = row.get(index + 1) {
                room += bodies[element].width + gap(bodies[element], bodies[right], gaps);
            }
        }
    }
    let min = left.iter().copied().min().unwrap_or(0);
    for x in &mut left {
        *x -= min;
    }
    left
}

/// Returns how strongly an element holds its place. A bend in a long edge hurts more than a box off
/// the middle; and with a weaker trunk the boxes beside it would push it on, a little in each row.
fn weight(bodies: &[Body], element: usize, near: &[usize]) -> f64 {
    match near {
        _ if !bodies[element].is_trunk => 1.0,
        [other] if bodies[*other].is_trunk => 1000.0,
        _ => 4.0,
    }
}

fn mean(others: &[usize], centre: &[f64]) -> Option<f64> {
    (!others.is_empty())
        .then(|| others.iter().map(|&o| centre[o]).sum::<f64>() / others.len() as f64)
}

fn gap(left: Body, right: Body, gaps: Gaps) -> i32 {
    if left.is_trunk || right.is_trunk {
        gaps.trunks
    } else {
        gaps.boxes
    }
}

/// Returns left edges as near as possible to the wanted ones (least weighted squares) such that
/// order and distances hold.
fn spread(bodies: &[Body], row: &[usize], gaps: Gaps, wanted: &[f64], weights: &[f64]) -> Vec<f64> {
    let mut room = Vec::with_capacity(row.len());
    let mut sum = 0;
    for (index, &element) in row.iter().enumerate() {
        room.push(f64::from(sum));
        if let Some(&right) = row.get(index + 1) {
            sum += bodies[element].width + gap(bodies[element], bodies[right], gaps);
        }
    }
    let free: Vec<f64> = wanted.iter().zip(&room).map(|(w, r)| w - r).collect();
    let mut places = ascending(&free, weights);
    // All rows share the middle, 0. Cutting off the free part alone keeps order and distances.
    let half = f64::from(gaps.width_max) / 2.0;
    let row_width = f64::from(sum + row.last().map_or(0, |&element| bodies[element].width));
    for (place, r) in places.iter_mut().zip(&room) {
        if row_width <= 2.0 * half {
            *place = place.clamp(-half, half - row_width);
        }
        *place += r;
    }
    places
}

/// Returns the ascending sequence nearest to `values` in weighted least squares, by pooling
/// adjacent violators (Barlow and others, "Statistical Inference under Order Restrictions", 1972).
pub(super) fn ascending(values: &[f64], weights: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (&value, &weight) in values.iter().zip(weights) {
        let mut pool = (value, weight, 1);
        while let Some(&(mean, sum, len)) = pools.last() {
            if mean <= pool.0 {
                break;
            }
            pools.pop();
            pool = (
                (mean * sum + pool.0 * pool.1) / (sum + pool.1),
                sum + pool.1,
                len + pool.2,
            );
        }
        pools.push(pool);
    }
    pools
        .into_iter()
        .flat_map(|(mean, _, len)| std::iter::repeat_n(mean, len))
        .collect()
}

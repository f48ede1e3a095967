//! Turns boxes and edges into places and lines, in the unit of the caller (cells or pixels).
//! Imports: report::graph::{layer, order, place, route}.

use std::collections::BTreeMap;

use super::layer;
use super::order::reduce_crossings;
use super::place::{self, Body, Gaps};
use super::route::{self, Net};

/// The measures of a drawing, all in its unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measures {
    /// Between two boxes of a row.
    pub(super) box_gap: i32,
    /// Beside a line that passes between boxes.
    pub(super) trunk_gap: i32,
    /// From a row to the first track below it.
    pub(super) lead: i32,
    /// From one track to the next.
    pub(super) track: i32,
    /// From the last track to the row below: room for the arrow's head.
    pub(super) arrow: i32,
    /// Between two lines that arrive at one box, and between a box's corner and the first of them.
    pub(super) port_gap: i32,
    /// Between parts that are not connected.
    pub(super) part_gap: i32,
    /// Rows wider than this are broken.
    pub(super) width_max: i32,
}

/// Place and size of a box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
}

/// The line from one box to another: corners from the source's lower to the target's upper border.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wire {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Wires with the same number share a part of their way; others only cross.
    pub(super) bundle: usize,
    pub(super) points: Vec<(i32, i32)>,
}

/// A finished layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) boxes: Vec<Rect>,
    pub(super) wires: Vec<Wire>,
    /// Edges that would close a cycle; they have no line.
    pub(super) closing: Vec<(usize, usize)>,
}

/// Lays out boxes of the given `(width, height)`; the `edges` name existing boxes, each once.
pub(super) fn layout(sizes: &[(i32, i32)], edges: &[(usize, usize)], measures: &Measures) -> Layout {
    let (forward, closing) = layer::without_cycles(sizes.len(), edges);
    let mut whole = Layout { boxes: vec![Rect::default(); sizes.len()], closing, ..Layout::default() };
    // Parts stand side by side as long as the width allows, then on a new shelf.
    let (mut x, mut y, mut shelf_height) = (0, 0, 0);
    for part in layer::components(sizes.len(), &forward) {
        let laid = part_within_width(sizes, &part, &forward, measures);
        if 0 < x && measures.width_max < x + laid.width {
            (x, y, shelf_height) = (0, y + shelf_height + measures.lead + measures.arrow, 0);
        }
        for (&node, rect) in part.iter().zip(&laid.boxes) {
            whole.boxes[node] = Rect { x: rect.x + x, y: rect.y + y, ..*rect };
        }
        whole.wires.extend(laid.wires.into_iter().map(|wire| Wire {
            from: part[wire.from],
            to: part[wire.to],
            // Numbers of bundles are those of boxes, twice over; parts must not share any.
            bundle: if wire.bundle < part.len() {
                part[wire.bundle]
            } else {
                sizes.len() + part[wire.bundle - part.len()]
            },
            points: wire.points.into_iter().map(|(px, py)| (px + x, py + y)).collect(),
        }));
        whole.width = whole.width.max(x + laid.width);
        whole.height = whole.height.max(y + laid.height);
        shelf_height = shelf_height.max(laid.height);
        x += laid.width + measures.part_gap;
    }
    whole
}

/// Lays out one part; if lines passing by have made it too wide, once more with narrower rows.
fn part_within_width(sizes: &[(i32, i32)], part: &[usize], edges: &[(usize, usize)], measures: &Measures) -> Layout {
    const ATTEMPTS: usize = 4;
    let local = |node: usize| part.binary_search(&node).ok();
    let edges: Vec<(usize, usize)> =
        edges.iter().filter_map(|&(a, b)| Some((local(a)?, local(b)?))).collect();
    let sizes: Vec<(i32, i32)> = part.iter().map(|&node| sizes[node]).collect();
    let mut row_width = measures.width_max;
    let mut best: Option<Layout> = None;
    for _ in 0..ATTEMPTS {
        let laid = connected(&sizes, &edges, measures, row_width);
        let excess = laid.width - measures.width_max;
        if best.as_ref().is_none_or(|best| laid.width < best.width) {
            best = Some(laid);
        }
        if excess <= 0 {
            break;
        }
        row_width -= excess.clamp(measures.box_gap, row_width / 4 + 1);
    }
    best.unwrap_or_default()
}

fn connected(sizes: &[(i32, i32)], edges: &[(usize, usize)], measures: &Measures, row_width: i32) -> Layout {
    let bundles = Bundles::of(sizes.len(), edges);
    // A box is wide enough for all bundles that arrive at it.
    let widths: Vec<i32> = sizes
        .iter()
        .zip(&bundles.arriving)
        .map(|(size, &lines)| size.0.max((lines as i32 + 1) * measures.port_gap + 1))
        .collect();
    let row_of = layer::rows(&widths, measures.box_gap, edges, row_width);
    let mut elements = Elements::of(&widths, &row_of, &bundles);
    reduce_crossings(&mut elements.rows, &elements.links);
    let gaps = Gaps {
        boxes: measures.box_gap,
        trunks: measures.trunk_gap,
        width_max: measures.width_max,
    };
    let left = place::columns(&elements.bodies, &elements.rows, &elements.links, gaps);

    let mut laid = Layout { boxes: vec![Rect::default(); sizes.len()], ..Layout::default() };
    // Per element, the lines that have come as far as its lower end: their source and corners.
    let mut lines: Vec<Vec<(usize, Vec<(i32, i32)>)>> = vec![Vec::new(); elements.bodies.len()];
    let mut y = 0;
    for (row, members) in elements.rows.iter().enumerate() {
        let height = members.iter().filter_map(|&e| sizes.get(e)).map(|size| size.1).max().unwrap_or(0);
        for &element in members {
            let (x, width) = (left[element], elements.bodies[element].width);
            laid.width = laid.width.max(x + width);
            if let Some(size) = sizes.get(element) {
                laid.boxes[element] = Rect { x, y, width, height: size.1 };
                lines[element] = vec![(element, vec![(x + width / 2, y + size.1)])];
            }
        }
        y += height;
        let Some(links) = elements.links.get(row) else { continue };
        let gap = Gap::of(members, links, &elements, &left, measures.port_gap);
        let (tracks, count) = route::tracks(&gap.nets, measures.trunk_gap);
        let below = match count {
            0 => y + measures.arrow.max(measures.lead),
            _ => y + measures.lead + measures.track * count as i32 + measures.arrow,
        };
        for hop in &gap.hops {
            for (source, mut points) in lines[hop.from].clone() {
                if let Some(track) = tracks[hop.net] {
                    let along = y + measures.lead + measures.track * track as i32;
                    points.extend([(hop.top, along), (hop.bottom, along)]);
                }
                points.push((hop.bottom, below));
                let points = corners(&points);
                if hop.to < sizes.len() {
                    let bundle = elements.bundle[hop.from];
                    laid.wires.push(Wire { from: source, to: hop.to, bundle, points });
                } else {
                    lines[hop.to].push((source, points));
                }
            }
        }
        y = below;
    }
    laid.height = y;
    laid.wires.sort_by_key(|wire| (wire.from, wire.to));
    laid
}

/// Which edges are drawn as one line for a part of their way: those from a common source, which
/// branch, and those to a common target, which join. Either way a reader who follows the line from
/// its single end meets exactly the right boxes.
struct Bundles {
    /// Targets of each box that its own bundle leads to.
    branching: Vec<Vec<usize>>,
    /// Sources of each box that join on the way to it; they have no other target.
    joining: Vec<Vec<usize>>,
    /// How many bundles arrive at each box.
    arriving: Vec<usize>,
}

impl Bundles {
    /// From this many sources on, lines with a common target join.
    const JOINING_MIN: usize = 4;

    fn of(boxes: usize, edges: &[(usize, usize)]) -> Self {
        let mut branching = vec![Vec::new(); boxes];
        for &(from, to) in edges {
            branching[from].push(to);
        }
        let mut joining = vec![Vec::new(); boxes];
        for (from, targets) in branching.iter().enumerate() {
            if let [only] = targets[..] {
                joining[only].push(from);
            }
        }
        for sources in &mut joining {
            if sources.len() < Self::JOINING_MIN {
                sources.clear();
            }
            for &from in sources.iter() {
                branching[from].clear();
            }
        }
        let mut arriving: Vec<usize> = joining.iter().map(|sources| usize::from(!sources.is_empty())).collect();
        for &to in branching.iter().flatten() {
            arriving[to] += 1;
        }
        Self { branching, joining, arriving }
    }
}

/// What stands in the rows: boxes (the first elements, in their order), and the trunks of bundles
/// that pass by.
struct Elements {
    bodies: Vec<Body>,
    /// The bundle of the lines that leave each element downwards.
    bundle: Vec<usize>,
    rows: Vec<Vec<usize>>,
    /// Links from each row to the next.
    links: Vec<Vec<(usize, usize)>>,
}

impl Elements {
    fn of(widths: &[i32], row_of: &[usize], bundles: &Bundles) -> Self {
        let count = row_of.iter().max().map_or(0, |row| row + 1);
        let mut elements = Self {
            bodies: widths.iter().map(|&width| Body { width, is_trunk: false }).collect(),
            bundle: (0..widths.len()).collect(),
            rows: vec![Vec::new(); count],
            links: vec![Vec::new(); count.saturating_sub(1)],
        };
        for (node, &row) in row_of.iter().enumerate() {
            elements.rows[row].push(node);
        }
        for (source, targets) in bundles.branching.iter().enumerate() {
            let Some(last) = targets.iter().map(|&target| row_of[target]).max() else { continue };
            let mut at = source;
            for row in row_of[source] + 1..=last {
                let above = at;
                if row < last {
                    at = elements.trunk(row, source);
                    elements.links[row - 1].push((above, at));
                }
                let here = targets.iter().filter(|&&target| row_of[target] == row);
                elements.links[row - 1].extend(here.map(|&target| (above, target)));
            }
        }
        for (target, sources) in bundles.joining.iter().enumerate() {
            let Some(first) = sources.iter().map(|&source| row_of[source]).min() else { continue };
            let bundle = widths.len() + target;
            let mut above = None;
            for row in first + 1..=row_of[target] {
                let at = if row < row_of[target] { elements.trunk(row, bundle) } else { target };
                elements.links[row - 1].extend(above.map(|above| (above, at)));
                for &source in sources.iter().filter(|&&source| row_of[source] + 1 == row) {
                    elements.bundle[source] = bundle;
                    elements.links[row - 1].push((source, at));
                }
                above = Some(at);
            }
        }
        elements
    }

    fn trunk(&mut self, row: usize, bundle: usize) -> usize {
        let element = self.bodies.len();
        self.bodies.push(Body { width: 1, is_trunk: true });
        self.bundle.push(bundle);
        self.rows[row].push(element);
        element
    }
}

/// The way of one link through a gap.
struct Hop {
    from: usize,
    to: usize,
    net: usize,
    top: i32,
    bottom: i32,
}

/// All links between two rows.
struct Gap {
    nets: Vec<Net>,
    hops: Vec<Hop>,
}

impl Gap {
    fn of(upper: &[usize], links: &[(usize, usize)], elements: &Elements, left: &[i32], port_gap: i32) -> Self {
        let middle = |element: usize| left[element] + elements.bodies[element].width / 2;
        // Bundles in the order of the upper row, so that numbers of nets ascend from left to right.
        let mut net_of: BTreeMap<usize, usize> = BTreeMap::new();
        let mut nets: Vec<Net> = Vec::new();
        for &element in upper {
            let net = *net_of.entry(elements.bundle[element]).or_insert_with(|| {
                nets.push(Net { tops: Vec::new(), bottoms: Vec::new() });
                nets.len() - 1
            });
            nets[net].tops.push(middle(element));
        }
        // A box from which no line goes on must not keep a column free.
        let mut leaves = vec![false; nets.len()];
        let mut arriving: BTreeMap<usize, BTreeMap<usize, Vec<usize>>> = BTreeMap::new();
        for &(from, to) in links {
            let net = net_of[&elements.bundle[from]];
            leaves[net] = true;
            arriving.entry(to).or_default().entry(net).or_default().push(from);
        }
        for (net, leaves) in nets.iter_mut().zip(leaves) {
            if !leaves {
                net.tops.clear();
            }
        }
        let mut hops = Vec::with_capacity(links.len());
        for (to, bundles) in arriving {
            let mut bundles: Vec<(i32, usize, Vec<usize>)> = bundles
                .into_iter()
                .map(|(net, from)| {
                    let sum: i32 = from.iter().map(|&element| middle(element)).sum();
                    (sum / from.len() as i32, net, from)
                })
                .collect();
            bundles.sort_unstable();
            let columns = if elements.bodies[to].is_trunk {
                vec![middle(to)]
            } else {
                let wanted: Vec<(i32, usize)> = bundles.iter().map(|bundle| (bundle.0, bundle.1)).collect();
                ports(left[to], elements.bodies[to].width, &wanted, &nets, port_gap)
            };
            for ((_, net, from), bottom) in bundles.into_iter().zip(columns) {
                nets[net].bottoms.push(bottom);
                hops.extend(from.into_iter().map(|from| Hop { from, to, net, top: middle(from), bottom }));
            }
        }
        Self { nets, hops }
    }
}

/// Returns the columns at which bundles arrive at a box, given where each comes from and its net:
/// straight below that if possible, else as near as the box allows, and not below the start of
/// another net, since the two lines would then share a column.
fn ports(left: i32, width: i32, bundles: &[(i32, usize)], nets: &[Net], port_gap: i32) -> Vec<i32> {
    let (first, last) = (left + port_gap, left + width - 1 - port_gap);
    if let [(top, _)] = bundles {
        return vec![if first <= *top && *top <= last { *top } else { left + width / 2 }];
    }
    let room = |index: usize| index as i32 * port_gap;
    let wanted: Vec<f64> =
        bundles.iter().enumerate().map(|(i, (top, _))| f64::from(*top.clamp(&first, &last) - room(i))).collect();
    let highest = f64::from((last - room(bundles.len().saturating_sub(1))).max(first));
    let spread: Vec<i32> = place::ascending(&wanted, &vec![1.0; bundles.len()])
        .iter()
        .enumerate()
        .map(|(i, column)| column.clamp(f64::from(first), highest).round() as i32 + room(i))
        .collect();
    let foreign =
        |column: i32, own: usize| nets.iter().enumerate().any(|(net, n)| net != own && n.tops.contains(&column));
    let mut columns: Vec<i32> = Vec::with_capacity(bundles.len());
    for (i, (&(_, net), &column)) in bundles.iter().zip(&spread).enumerate() {
        let is_free = |c: i32| {
            left < c
                && c < left + width - 1
                && !foreign(c, net)
                && columns.last().is_none_or(|&before| before < c)
                && spread.get(i + 1).is_none_or(|&after| c < after)
        };
        columns.push([column, column + 1, column - 1].into_iter().find(|&c| is_free(c)).unwrap_or(column));
    }
    columns
}

/// Drops points that repeat or lie on a straight line.
fn corners(points: &[(i32, i32)]) -> Vec<(i32, i32)> {
    let mut kept: Vec<(i32, i32)> = Vec::with_capacity(points.len());
    for &point in points {
        if kept.last() == Some(&point) {
            continue;
        }
        if let [.., a, b] = kept[..]
            && ((a.0 == b.0 && b.0 == point.0) || (a.1 == b.1 && b.1 == point.1))
        {
            kept.pop();
        }
        kept.push(point);
    }
    kept
}

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
    const ATTEMPTS: usize = 5;
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

/// What stands in a row: a box, or the trunk of a source whose targets are further below.
struct Elements {
    bodies: Vec<Body>,
    rows: Vec<Vec<usize>>,
    /// Links from each row to the next.
    links: Vec<Vec<(usize, usize)>>,
}

fn connected(sizes: &[(i32, i32)], edges: &[(usize, usize)], measures: &Measures, row_width: i32) -> Layout {
    let mut arriving = vec![0; sizes.len()];
    for &(_, to) in edges {
        arriving[to] += 1;
    }
    // A box is wide enough for all lines that arrive at it.
    let widths: Vec<i32> =
        sizes.iter().zip(&arriving).map(|(size, lines)| size.0.max((lines + 1) * measures.port_gap + 1)).collect();
    let row_of = layer::rows(&widths, measures.box_gap, edges, row_width);
    let mut elements = elements(&widths, &row_of, edges);
    reduce_crossings(&mut elements.rows, &elements.links);
    let gaps = Gaps { boxes: measures.box_gap, trunks: measures.trunk_gap };
    let left = place::columns(&elements.bodies, &elements.rows, &elements.links, gaps);

    let mut laid = Layout { boxes: vec![Rect::default(); sizes.len()], ..Layout::default() };
    // The line so far from each box to where its trunk stands; only its corners.
    let mut trunk: Vec<Vec<(i32, i32)>> = vec![Vec::new(); elements.bodies.len()];
    let source_of = sources(sizes.len(), &elements);
    let mut y = 0;
    for (row, members) in elements.rows.iter().enumerate() {
        let height = members.iter().filter_map(|&e| sizes.get(e)).map(|size| size.1).max().unwrap_or(0);
        for &element in members {
            let (x, width) = (left[element], elements.bodies[element].width);
            laid.width = laid.width.max(x + width);
            if let Some(size) = sizes.get(element) {
                laid.boxes[element] = Rect { x, y, width, height: size.1 };
                trunk[element] = vec![(x + width / 2, y + size.1)];
            }
        }
        y += height;
        let Some(links) = elements.links.get(row) else { continue };
        let gap = gap(members, &elements.rows[row + 1], links, &elements.bodies, &left, measures);
        let (tracks, count) = route::tracks(&gap.nets, measures.trunk_gap);
        let gap_height =
            if count == 0 { measures.arrow.max(measures.lead) } else { measures.lead + measures.track * count as i32 + measures.arrow };
        for (net, targets) in gap.targets.iter().enumerate() {
            let from = members[net];
            for (&to, &column) in targets.iter().zip(&gap.nets[net].bottoms) {
                let mut points = trunk[from].clone();
                if let Some(track) = tracks[net] {
                    let along = y + measures.lead + measures.track * track as i32;
                    points.extend([(gap.nets[net].top, along), (column, along)]);
                }
                points.push((column, y + gap_height));
                if to < sizes.len() {
                    laid.wires.push(Wire { from: source_of[from], to, points: corners(&points) });
                } else {
                    trunk[to] = corners(&points);
                }
            }
        }
        y += gap_height;
    }
    laid.height = y;
    laid.wires.sort_by_key(|wire| (wire.from, wire.to));
    laid
}

fn elements(widths: &[i32], row_of: &[usize], edges: &[(usize, usize)]) -> Elements {
    let count = row_of.iter().max().map_or(0, |row| row + 1);
    let mut bodies: Vec<Body> = widths.iter().map(|&width| Body { width, is_trunk: false }).collect();
    let mut rows = vec![Vec::new(); count];
    let mut links = vec![Vec::new(); count.saturating_sub(1)];
    for (node, &row) in row_of.iter().enumerate() {
        rows[row].push(node);
    }
    let mut targets = vec![Vec::new(); row_of.len()];
    for &(from, to) in edges {
        targets[from].push(to);
    }
    for (source, &row) in row_of.iter().enumerate() {
        let targets = &targets[source];
        let Some(last) = targets.iter().map(|&target| row_of[target]).max() else { continue };
        let mut at = source;
        for below in row + 1..=last {
            let standing = at;
            if below < last {
                at = bodies.len();
                bodies.push(Body { width: 1, is_trunk: true });
                rows[below].push(at);
                links[below - 1].push((standing, at));
            }
            links[below - 1]
                .extend(targets.iter().filter(|&&t| row_of[t] == below).map(|&t| (standing, t)));
        }
    }
    Elements { bodies, rows, links }
}

/// Returns the box each element belongs to: itself, or the source of the trunk.
fn sources(boxes: usize, elements: &Elements) -> Vec<usize> {
    let mut source: Vec<usize> = (0..elements.bodies.len()).collect();
    for &(from, to) in elements.links.iter().flatten() {
        if boxes <= to {
            source[to] = source[from];
        }
    }
    source
}

/// The nets of one gap, by place in the upper row, with their targets in the order of `bottoms`.
struct Gap {
    nets: Vec<Net>,
    targets: Vec<Vec<usize>>,
}

fn gap(
    upper: &[usize],
    lower: &[usize],
    links: &[(usize, usize)],
    bodies: &[Body],
    left: &[i32],
    measures: &Measures,
) -> Gap {
    let middle = |element: usize| left[element] + bodies[element].width / 2;
    let tops: Vec<i32> = upper.iter().map(|&element| middle(element)).collect();
    let mut nets: Vec<Net> = tops.iter().map(|&top| Net { top, bottoms: Vec::new() }).collect();
    let mut targets = vec![Vec::new(); upper.len()];
    // Tops ascend along the row, so each list of lines that arrive is in their order as well.
    let mut arriving: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let net_of: BTreeMap<usize, usize> = upper.iter().enumerate().map(|(i, &element)| (element, i)).collect();
    let mut ends: Vec<(usize, usize)> = links.iter().map(|&(from, to)| (net_of[&from], to)).collect();
    ends.sort_unstable();
    for (net, to) in ends {
        arriving.entry(to).or_default().push(net);
    }
    for &element in lower {
        let from = arriving.remove(&element).unwrap_or_default();
        let columns = if bodies[element].is_trunk {
            vec![middle(element)]
        } else {
            ports(left[element], bodies[element].width, &from, &tops, measures.port_gap)
        };
        for (net, column) in from.into_iter().zip(columns) {
            nets[net].bottoms.push(column);
            targets[net].push(element);
        }
    }
    Gap { nets, targets }
}

/// Returns the columns at which lines from `tops[from]` arrive at a box: straight below where they
/// come from if possible, else spread about the middle; not below the start of a foreign line.
fn ports(left: i32, width: i32, from: &[usize], tops: &[i32], port_gap: i32) -> Vec<i32> {
    let (first, last) = (left + port_gap, left + width - 1 - port_gap);
    let middle = left + width / 2;
    if let [only] = from {
        let top = tops[*only];
        if first <= top && top <= last {
            return vec![top];
        }
    }
    let needed = |index: usize| index as i32 * port_gap;
    let centred = middle - needed(from.len().saturating_sub(1)) / 2;
    let wanted: Vec<f64> = from
        .iter()
        .enumerate()
        .map(|(i, &net)| {
            let top = tops[net];
            let column = if first <= top && top <= last { top } else { centred + needed(i) };
            f64::from(column - needed(i))
        })
        .collect();
    let highest = f64::from((last - needed(from.len().saturating_sub(1))).max(first));
    let spread: Vec<i32> = place::ascending(&wanted, &vec![1.0; from.len()])
        .iter()
        .enumerate()
        .map(|(i, column)| column.clamp(f64::from(first), highest).round() as i32 + needed(i))
        .collect();
    let foreign = |column: i32, net: usize| tops.iter().enumerate().any(|(i, &top)| top == column && i != net);
    let mut columns: Vec<i32> = Vec::with_capacity(from.len());
    for (i, (&net, &column)) in from.iter().zip(&spread).enumerate() {
        let free = |c: i32| {
            left < c
                && c < left + width - 1
                && !foreign(c, net)
                && columns.last().is_none_or(|&before| before < c)
                && spread.get(i + 1).is_none_or(|&after| c < after)
        };
        columns.push([column, column + 1, column - 1].into_iter().find(|&c| free(c)).unwrap_or(column));
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

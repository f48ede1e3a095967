//! Turns boxes and edges into places and lines, in the unit of the caller (cells or pixels).
//! Imports: `report::graph::{bundle`, gap, layer, order, place, route}.

use super::bundle::{Bundles, Elements};
use super::gap::Gap;
use super::layer;
use super::order::reduce_crossings;
use super::place::{self, Gaps};
use super::route;

/// A line on its way down: the element it starts from, and its corners so far.
type Line = (usize, Vec<(i32, i32)>);

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
pub(super) fn layout(
    sizes: &[(i32, i32)],
    edges: &[(usize, usize)],
    measures: &Measures,
) -> Layout {
    let (forward, closing) = layer::without_cycles(sizes.len(), edges);
    let mut whole = Layout {
        boxes: vec![Rect::default(); sizes.len()],
        closing,
        ..Layout::default()
    };
    // Parts stand side by side as long as the width allows, then on a new shelf.
    let (mut x, mut y, mut shelf_height) = (0, 0, 0);
    for part in layer::components(sizes.len(), &forward) {
        let laid = part_within_width(sizes, &part, &forward, measures);
        if 0 < x && measures.width_max < x + laid.width {
            (x, y, shelf_height) = (0, y + shelf_height + measures.lead + measures.arrow, 0);
        }
        for (&node, rect) in part.iter().zip(&laid.boxes) {
            whole.boxes[node] = Rect {
                x: rect.x + x,
                y: rect.y + y,
                ..*rect
            };
        }
        whole.wires.extend(laid.wires.into_iter().map(|wire| {
            Wire {
                from: part[wire.from],
                to: part[wire.to],
                // Numbers of bundles are those of boxes, twice over; parts must not share any.
                bundle: if wire.bundle < part.len() {
                    part[wire.bundle]
                } else {
                    sizes.len() + part[wire.bundle - part.len()]
                },
                points: wire
                    .points
                    .into_iter()
                    .map(|(px, py)| (px + x, py + y))
                    .collect(),
            }
        }));
        whole.width = whole.width.max(x + laid.width);
        whole.height = whole.height.max(y + laid.height);
        shelf_height = shelf_height.max(laid.height);
        x += laid.width + measures.part_gap;
    }
    whole
}

/// Lays out one part; if lines passing by have made it too wide, once more with narrower rows.
fn part_within_width(
    sizes: &[(i32, i32)],
    part: &[usize],
    edges: &[(usize, usize)],
    measures: &Measures,
) -> Layout {
    const ATTEMPTS: usize = 4;
    let local = |node: usize| part.binary_search(&node).ok();
    let edges: Vec<(usize, usize)> = edges
        .iter()
        .filter_map(|&(a, b)| Some((local(a)?, local(b)?)))
        .collect();
    let sizes: Vec<(i32, i32)> = part.iter().map(|&node| sizes[node]).collect();
    let mut row_width = measures.width_max;
    let mut best: Option<Layout> = None;
    for _ in 0..ATTEMPTS {
        let laid = connected(&sizes, &edges, measures, row_width);
        let excess = laid.width - measures.width_max;
        if best.as_ref().is_none_or(|best| laid.width < best.width) {
            best = Some(laid);
        }
        // Twice as wide as it should be, the part is made of lines and not of boxes.
        if excess <= 0 || measures.width_max < excess {
            break;
        }
        // Rows narrower than a gap give way as they can.
        row_width -= excess.max(measures.box_gap).min(row_width / 4 + 1);
    }
    best.unwrap_or_default()
}

fn connected(
    sizes: &[(i32, i32)],
    edges: &[(usize, usize)],
    measures: &Measures,
    row_width: i32,
) -> Layout {
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

    let mut laid = Layout {
        boxes: vec![Rect::default(); sizes.len()],
        ..Layout::default()
    };
    // Per element, the lines that have come as far as its lower end: their source and corners.
    let mut lines: Vec<Vec<Line>> = vec![Vec::new(); elements.bodies.len()];
    let mut y = 0;
    for (row, members) in elements.rows.iter().enumerate() {
        let height = members
            .iter()
            .filter_map(|&e| sizes.get(e))
            .map(|size| size.1)
            .max()
            .unwrap_or(0);
        for &element in members {
            let (x, width) = (left[element], elements.bodies[element].width);
            laid.width = laid.width.max(x + width);
            if let Some(size) = sizes.get(element) {
                laid.boxes[element] = Rect {
                    x,
                    y,
                    width,
                    height: size.1,
                };
                lines[element] = vec![(element, vec![(x + width / 2, y + size.1)])];
            }
        }
        y += height;
        let Some(links) = elements.links.get(row) else {
            continue;
        };
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
                    laid.wires.push(Wire {
                        from: source,
                        to: hop.to,
                        bundle,
                        points,
                    });
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

//! Finds where the lines between two rows begin and arrive.
//! Imports: `report::graph::{bundle`, place, route}.

use std::collections::BTreeMap;

use super::bundle::Elements;
use super::place;
use super::route::Net;

/// The way of one link through a gap.
pub(super) struct Hop {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) net: usize,
    pub(super) top: i32,
    pub(super) bottom: i32,
}

/// All links between two rows.
pub(super) struct Gap {
    pub(super) nets: Vec<Net>,
    pub(super) hops: Vec<Hop>,
}

impl Gap {
    pub(super) fn of(
        upper: &[usize],
        links: &[(usize, usize)],
        elements: &Elements,
        left: &[i32],
        port_gap: i32,
    ) -> Self {
        let middle = |element: usize| left[element] + elements.bodies[element].width / 2;
        // Bundles in the order of the upper row, so that numbers of nets ascend from left to right.
        let mut net_of: BTreeMap<usize, usize> = BTreeMap::new();
        let mut nets: Vec<Net> = Vec::new();
        for &element in upper {
            let net = *net_of.entry(elements.bundle[element]).or_insert_with(|| {
                nets.push(Net {
                    tops: Vec::new(),
                    bottoms: Vec::new(),
                });
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
            arriving
                .entry(to)
                .or_default()
                .entry(net)
                .or_default()
                .push(from);
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
                let wanted: Vec<(i32, usize)> =
                    bundles.iter().map(|bundle| (bundle.0, bundle.1)).collect();
                ports(
                    left[to],
                    elements.bodies[to].width,
                    &wanted,
                    &nets,
                    port_gap,
                )
            };
            for ((_, net, from), bottom) in bundles.into_iter().zip(columns) {
                nets[net].bottoms.push(bottom);
                hops.extend(from.into_iter().map(|from| Hop {
                    from,
                    to,
                    net,
                    top: middle(from),
                    bottom,
                }));
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
        return vec![if first <= *top && *top <= last {
            *top
        } else {
            left + width / 2
        }];
    }
    let room = |index: usize| index as i32 * port_gap;
    let wanted: Vec<f64> = bundles
        .iter()
        .enumerate()
        .map(|(i, (top, _))| f64::from(*top.clamp(&first, &last) - room(i)))
        .collect();
    let highest = f64::from((last - room(bundles.len().saturating_sub(1))).max(first));
    let spread: Vec<i32> = place::ascending(&wanted, &vec![1.0; bundles.len()])
        .iter()
        .enumerate()
        .map(|(i, column)| column.clamp(f64::from(first), highest).round() as i32 + room(i))
        .collect();
    let foreign = |column: i32, own: usize| {
        nets.iter()
            .enumerate()
            .any(|(net, n)| net != own && n.tops.contains(&column))
    };
    let mut columns: Vec<i32> = Vec::with_capacity(bundles.len());
    for (i, (&(_, net), &column)) in bundles.iter().zip(&spread).enumerate() {
        let is_free = |c: i32| {
            left < c
                && c < left + width - 1
                && !foreign(c, net)
                && columns.last().is_none_or(|&before| before < c)
                && spread.get(i + 1).is_none_or(|&after| c < after)
        };
        // Outwards first, so that lines do not crowd.
        let out = if 2 * i < bundles.len() - 1 { -1 } else { 1 };
        columns.push(
            [column, column + out, column - out]
                .into_iter()
                .find(|&c| is_free(c))
                .unwrap_or(column),
        );
    }
    columns
}

//! Decides which edges share a line, and where the lines of edges that span several rows stand.
//! Imports: `report::graph::place`.

use super::place::Body;

/// Which edges are drawn as one line for a part of their way: those from a common source, which
/// branch, and those to a common target, which join. Either way a reader who follows the line from
/// its single end meets exactly the right boxes.
pub(super) struct Bundles {
    /// Targets of each box that its own bundle leads to.
    pub(super) branching: Vec<Vec<usize>>,
    /// Sources of each box that join on the way to it; they have no other target.
    pub(super) joining: Vec<Vec<usize>>,
    /// How many bundles arrive at each box.
    pub(super) arriving: Vec<usize>,
}

impl Bundles {
    /// From this many sources on, lines with a common target join.
    const JOINING_MIN: usize = 4;

    pub(super) fn of(boxes: usize, edges: &[(usize, usize)]) -> Self {
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
        let mut arriving: Vec<usize> = joining
            .iter()
            .map(|sources| usize::from(!sources.is_empty()))
            .collect();
        for &to in branching.iter().flatten() {
            arriving[to] += 1;
        }
        Self {
            branching,
            joining,
            arriving,
        }
    }
}

/// What stands in the rows: boxes (the first elements, in their order), and the trunks of bundles
/// that pass by.
pub(super) struct Elements {
    pub(super) bodies: Vec<Body>,
    /// The bundle of the lines that leave each element downwards.
    pub(super) bundle: Vec<usize>,
    pub(super) rows: Vec<Vec<usize>>,
    /// Links from each row to the next.
    pub(super) links: Vec<Vec<(usize, usize)>>,
}

impl Elements {
    pub(super) fn of(widths: &[i32], row_of: &[usize], bundles: &Bundles) -> Self {
        let count = row_of.iter().max().map_or(0, |row| row + 1);
        let mut elements = Self {
            bodies: widths
                .iter()
                .map(|&width| Body {
                    width,
                    is_trunk: false,
                })
                .collect(),
            bundle: (0..widths.len()).collect(),
            rows: vec![Vec::new(); count],
            links: vec![Vec::new(); count.saturating_sub(1)],
        };
        for (node, &row) in row_of.iter().enumerate() {
            elements.rows[row].push(node);
        }
        for (source, targets) in bundles.branching.iter().enumerate() {
            let Some(last) = targets.iter().map(|&target| row_of[target]).max() else {
                continue;
            };
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
            let Some(first) = sources.iter().map(|&source| row_of[source]).min() else {
                continue;
            };
            let bundle = widths.len() + target;
            let mut above = None;
            for row in first + 1..=row_of[target] {
                let at = if row < row_of[target] {
                    elements.trunk(row, bundle)
                } else {
                    target
                };
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
        self.bodies.push(Body {
            width: 1,
            is_trunk: true,
        });
        self.bundle.push(bundle);
        self.rows[row].push(element);
        element
    }
}

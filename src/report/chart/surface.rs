//! A surface through scattered points, and the lines of equal height on it. Pure numbers.
//! Imports: nothing.

use std::collections::BTreeMap;

/// Place of a point in the unit square.
pub(super) type Place = (f64, f64);

/// A smooth surface that (almost) goes through its points: thin plate splines (Duchon 1977), with a
/// little stiffness so that two runs at one place, or noise, do not bend it wildly.
pub(super) struct Surface {
    points: Vec<Place>,
    weights: Vec<f64>,
    /// Height at the origin, slope along x, slope along y.
    plane: [f64; 3],
}

const STIFFNESS: f64 = 1e-3;

impl Surface {
    /// Returns the surface, `None` if the points lie on one line, which leaves it open.
    /// The time grows with the cube of the number of points.
    pub(super) fn through(points: &[(Place, f64)]) -> Option<Self> {
        let n = points.len();
        let size = n + 3;
        let mut rows = vec![vec![0.0; size + 1]; size];
        for (i, &((x, y), z)) in points.iter().enumerate() {
            for (j, &((u, v), _)) in points.iter().enumerate() {
                rows[i][j] = kernel(x - u, y - v);
            }
            rows[i][i] += STIFFNESS;
            for (k, term) in [1.0, x, y].into_iter().enumerate() {
                rows[i][n + k] = term;
                rows[n + k][i] = term;
            }
            rows[i][size] = z;
        }
        let solved = solve(rows)?;
        Some(Self {
            points: points.iter().map(|point| point.0).collect(),
            weights: solved[..n].to_vec(),
            plane: [solved[n], solved[n + 1], solved[n + 2]],
        })
    }

    /// Returns the height at a place.
    pub(super) fn at(&self, (x, y): Place) -> f64 {
        let plane = self.plane[0] + self.plane[1] * x + self.plane[2] * y;
        let bends = self.points.iter().zip(&self.weights);
        plane
            + bends
                .map(|(&(u, v), weight)| weight * kernel(x - u, y - v))
                .sum::<f64>()
    }
}

/// r² ln r.
fn kernel(dx: f64, dy: f64) -> f64 {
    let square = dx * dx + dy * dy;
    if square <= 0.0 {
        0.0
    } else {
        square * square.ln() / 2.0
    }
}

/// Solves linear equations, the right side as last column; `None` if they have no one solution.
fn solve(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let n = rows.len();
    for column in 0..n {
        let pivot =
            (column..n).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        if rows[pivot][column].abs() < 1e-9 {
            return None;
        }
        rows.swap(column, pivot);
        let (done, below) = rows.split_at_mut(column + 1);
        let lead = &done[column];
        for row in below {
            let factor = row[column] / lead[column];
            if factor != 0.0 {
                for (value, above) in row[column..].iter_mut().zip(&lead[column..]) {
                    *value -= factor * above;
                }
            }
        }
    }
    let mut solved = vec![0.0; n];
    for column in (0..n).rev() {
        let known: f64 = (column + 1..n).map(|k| rows[column][k] * solved[k]).sum();
        solved[column] = (rows[column][n] - known) / rows[column][column];
    }
    solved.iter().all(|x| x.is_finite()).then_some(solved)
}

/// Returns the corners of the smallest convex shape around the places, in order (Andrew 1979).
pub(super) fn hull(places: &[Place]) -> Vec<Place> {
    let mut sorted = places.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    sorted.dedup();
    let turn = |o: Place, a: Place, b: Place| (a.0 - o.0) * (b.1 - o.1) - (a.1 - o.1) * (b.0 - o.0);
    let half = |places: &mut dyn Iterator<Item = Place>| {
        let mut chain: Vec<Place> = Vec::new();
        for place in places {
            while let [.., a, b] = chain[..] {
                if 0.0 < turn(a, b, place) {
                    break;
                }
                chain.pop();
            }
            chain.push(place);
        }
        chain.pop();
        chain
    };
    let mut shape = half(&mut sorted.iter().copied());
    shape.extend(half(&mut sorted.iter().rev().copied()));
    shape
}

/// Heights on a regular grid over the unit square, row by row.
pub(super) struct Grid {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) heights: Vec<f64>,
}

/// A corner of a cell, counted from the rim of low ground that is laid around the grid.
type Corner = (usize, usize);
/// An edge of a cell, the lesser corner first.
type Edge = (Corner, Corner);

impl Grid {
    /// Returns the grid of a surface.
    pub(super) fn of(surface: &Surface, columns: usize, rows: usize) -> Self {
        let mut heights = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                let x = column as f64 / (columns - 1) as f64;
                let y = row as f64 / (rows - 1) as f64;
                heights.push(surface.at((x, y)));
            }
        }
        Self {
            columns,
            rows,
            heights,
        }
    }

    /// Returns the outlines of all ground of at least this height (marching squares, Lorensen and
    /// Cline 1987): closed rings of places; filled by the rule of even and odd, they are that ground.
    pub(super) fn outlines(&self, level: f64) -> Vec<Vec<Place>> {
        let mut next: BTreeMap<Edge, Edge> = BTreeMap::new();
        for row in 0..=self.rows {
            for column in 0..=self.columns {
                self.cross(level, (column, row), &mut next);
            }
        }
        let mut rings = Vec::new();
        while let Some((start, mut edge)) = next.pop_first() {
            let mut ring = vec![self.crossing(level, start)];
            while edge != start {
                ring.push(self.crossing(level, edge));
                match next.remove(&edge) {
                    Some(further) => edge = further,
                    None => break,
                }
            }
            rings.push(ring);
        }
        rings
    }

    /// Adds the pieces of outline within one cell. Its corners are walked clockwise: where the walk
    /// leaves the high ground the outline begins, where it last entered it the outline ends.
    fn cross(&self, level: f64, (column, row): Corner, next: &mut BTreeMap<Edge, Edge>) {
        let corners = [
            (column, row),
            (column + 1, row),
            (column + 1, row + 1),
            (column, row + 1),
        ];
        let high = corners.map(|corner| level <= self.height(corner));
        let edge = |i: usize| {
            let (a, b) = (corners[i % 4], corners[(i + 1) % 4]);
            (a.min(b), a.max(b))
        };
        for leave in (0..4).filter(|&i| high[i] && !high[(i + 1) % 4]) {
            let enter = (1..4)
                .map(|back| (leave + 4 - back) % 4)
                .find(|&i| !high[i] && high[(i + 1) % 4]);
            if let Some(enter) = enter {
                next.insert(edge(leave), edge(enter));
            }
        }
    }

    fn height(&self, (column, row): Corner) -> f64 {
        let inside = (1..=self.columns).contains(&column) && (1..=self.rows).contains(&row);
        if inside {
            self.heights[(row - 1) * self.columns + column - 1]
        } else {
            f64::NEG_INFINITY
        }
    }

    /// Returns where the height is reached between two corners; at the grid's border, the border.
    fn crossing(&self, level: f64, (a, b): Edge) -> Place {
        let (low, high) = (self.height(a), self.height(b));
        let share = match (low.is_finite(), high.is_finite()) {
            (true, true) => ((level - low) / (high - low)).clamp(0.0, 1.0),
            (true, false) => 0.0,
            (false, _) => 1.0,
        };
        let between = |from: usize, to: usize, last: usize| {
            let place = from as f64 + share * (to as f64 - from as f64);
            ((place - 1.0) / (last - 1) as f64).clamp(0.0, 1.0)
        };
        (
            between(a.0, b.0, self.columns),
            between(a.1, b.1, self.rows),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surface_goes_through_its_points_and_is_flat_between_points_of_a_plane() {
        let plane = |x: f64, y: f64| 2.0 + 3.0 * x - y;
        let places = [(0.0, 0.0), (1.0, 0.1), (0.2, 0.9), (0.8, 0.8), (0.5, 0.4)];
        let points: Vec<(Place, f64)> =
            places.iter().map(|&(x, y)| ((x, y), plane(x, y))).collect();
        let surface = Surface::through(&points).unwrap();
        for (x, y) in [(0.0, 0.0), (0.3, 0.3), (0.7, 0.6)] {
            assert!((surface.at((x, y)) - plane(x, y)).abs() < 1e-6);
        }
        let line = [((0.0, 0.0), 1.0), ((0.5, 0.5), 2.0), ((1.0, 1.0), 4.0)];
        assert!(Surface::through(&line).is_none());
    }

    #[test]
    fn an_outline_lies_at_its_height() {
        let heights = (0..5).flat_map(|_| (0..5).map(|column| f64::from(column) / 4.0));
        let grid = Grid {
            columns: 5,
            rows: 5,
            heights: heights.collect(),
        };
        let rings = grid.outlines(0.4);
        assert_eq!(rings.len(), 1);
        let least = rings[0].iter().map(|p| p.0).fold(1.0, f64::min);
        assert!((least - 0.4).abs() < 1e-12);
        assert!(rings[0].iter().any(|p| p.0 == 1.0 && p.1 == 1.0));
        assert!(grid.outlines(2.0).is_empty());
    }

    #[test]
    fn a_hull_has_the_outer_places_only() {
        let places = [
            (0.0, 0.0),
            (1.0, 0.0),
            (0.5, 0.2),
            (1.0, 1.0),
            (0.0, 1.0),
            (0.0, 0.5),
        ];
        assert_eq!(
            hull(&places),
            [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
        );
    }
}

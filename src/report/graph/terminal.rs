//! Draws a layout in character cells with box-drawing characters.
//! Imports: `report::{escape`, table, `graph::layout`}.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::layout::{Layout, Measures, Rect, Wire, layout};
use super::{GraphView, NodeState, NodeView};
use crate::report::escape::one_line;
use crate::report::table::display_width;

/// Width of a drawing when the terminal does not say.
const WIDTH_DEFAULT: u16 = 100;
/// Longer lines of a box are cut: an endless name must not push everything else off the screen.
const LABEL_COLUMNS_MAX: usize = 60;

pub(super) fn draw(view: &GraphView, width: Option<u16>) -> String {
    let measures = Measures {
        box_gap: 3,
        trunk_gap: 1,
        lead: 0,
        track: 1,
        arrow: 1,
        port_gap: 2,
        part_gap: 4,
        width_max: i32::from(width.unwrap_or(WIDTH_DEFAULT).max(20)),
    };
    let texts: Vec<Vec<String>> = view.nodes.iter().map(lines).collect();
    let sizes: Vec<(i32, i32)> = texts
        .iter()
        .map(|lines| {
            let widest = lines
                .iter()
                .map(|line| display_width(line))
                .max()
                .unwrap_or(0);
            (widest as i32 + 4, lines.len() as i32 + 2)
        })
        .collect();
    let laid = layout(&sizes, &view.clean_edges(), &measures);
    let mut grid = Grid::new(&laid);
    for wire in &laid.wires {
        grid.wire(wire);
    }
    for ((node, rect), lines) in view.nodes.iter().zip(&laid.boxes).zip(&texts) {
        grid.node(*rect, node.state, lines);
    }
    for wire in &laid.wires {
        grid.ends(wire);
    }
    let mut text = grid.text();
    for &(from, to) in &laid.closing {
        let name = |node: usize| one_line(&view.nodes[node].label);
        let _ = writeln!(text, "↺ {} → {} closes a cycle", name(from), name(to));
    }
    text
}

fn lines(node: &NodeView) -> Vec<String> {
    let label = cut(&one_line(&node.label));
    let label = match node.state.mark() {
        Some(mark) => format!("{mark} {label}"),
        None => label,
    };
    let detail = node.detail.as_deref().map(|detail| cut(&one_line(detail)));
    std::iter::once(label).chain(detail).collect()
}

fn cut(text: &str) -> String {
    if display_width(text) <= LABEL_COLUMNS_MAX {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if LABEL_COLUMNS_MAX - 1 < display_width(&short) {
            short.pop();
            break;
        }
    }
    short + "…"
}

const NORTH: u8 = 1;
const EAST: u8 = 2;
const SOUTH: u8 = 4;
const WEST: u8 = 8;

/// One character cell; small, because a thousand stages take millions of them.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// Directions in which a line leaves the cell.
    arms: u8,
    /// The bundle whose line runs across, and the one whose line runs down; 0 is none.
    across: u32,
    down: u32,
    /// What stands here instead of a line.
    glyph: Option<char>,
}

impl Cell {
    fn character(self) -> char {
        if let Some(glyph) = self.glyph {
            return glyph;
        }
        // Lines of two bundles cross: the one that runs down is drawn in front, so that `┼` always
        // is a branch and never a crossing.
        let crossing = self.across != 0 && self.down != 0 && self.across != self.down;
        match if crossing { NORTH | SOUTH } else { self.arms } {
            0 => ' ',
            a if a & (NORTH | SOUTH) == 0 => '─',
            a if a & (EAST | WEST) == 0 => '│',
            a if a == EAST | SOUTH => '┌',
            a if a == WEST | SOUTH => '┐',
            a if a == NORTH | EAST => '└',
            a if a == NORTH | WEST => '┘',
            a if a == NORTH | EAST | SOUTH => '├',
            a if a == NORTH | WEST | SOUTH => '┤',
            a if a == EAST | SOUTH | WEST => '┬',
            a if a == NORTH | EAST | WEST => '┴',
            _ => '┼',
        }
    }
}

struct Grid {
    width: usize,
    cells: Vec<Cell>,
    /// Texts by row and column; they cover as many cells as they are wide.
    texts: BTreeMap<(usize, usize), String>,
}

impl Grid {
    fn new(laid: &Layout) -> Self {
        let (width, height) = (laid.width.max(0) as usize, laid.height.max(0) as usize);
        Self {
            width,
            cells: vec![Cell::default(); width * height],
            texts: BTreeMap::new(),
        }
    }

    fn at(&mut self, x: i32, y: i32) -> Option<&mut Cell> {
        let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
        (x < self.width).then(|| self.cells.get_mut(y * self.width + x))?
    }

    fn wire(&mut self, wire: &Wire) {
        let bundle = wire.bundle as u32 + 1;
        for (index, pair) in wire.points.windows(2).enumerate() {
            let (from, to) = (pair[0], pair[1]);
            // The last point lies on the border of the target, which the arrow's head touches.
            let is_last = index + 2 == wire.points.len();
            if from.0 == to.0 {
                let end = if is_last { to.1 - 1 } else { to.1 };
                for y in from.1..=end {
                    let arms = if y == from.1 && 0 < index {
                        SOUTH
                    } else if y == end && !is_last {
                        NORTH
                    } else {
                        NORTH | SOUTH
                    };
                    if let Some(cell) = self.at(from.0, y) {
                        cell.arms |= arms;
                        cell.down = bundle;
                    }
                }
                continue;
            }
            let (left, right) = (from.0.min(to.0), from.0.max(to.0));
            for x in left..=right {
                let arms = if x == left {
                    EAST
                } else if x == right {
                    WEST
                } else {
                    EAST | WEST
                };
                if let Some(cell) = self.at(x, from.1) {
                    cell.arms |= arms;
                    cell.across = bundle;
                }
            }
            // A corner turns down on one side and comes from above on the other.
            for (x, arm) in [(from.0, NORTH), (to.0, SOUTH)] {
                if let Some(cell) = self.at(x, from.1) {
                    cell.arms |= arm;
                    cell.down = bundle;
                }
            }
        }
    }

    fn node(&mut self, rect: Rect, state: NodeState, lines: &[String]) {
        let [top_left, top_right, bottom_left, bottom_right] = if state == NodeState::Input {
            ['╭', '╮', '╰', '╯']
        } else {
            ['┌', '┐', '└', '┘']
        };
        let (right, bottom) = (rect.x + rect.width - 1, rect.y + rect.height - 1);
        for x in rect.x..=right {
            for y in rect.y..=bottom {
                let glyph = if y == rect.y || y == bottom {
                    '─'
                } else if x == rect.x || x == right {
                    '│'
                } else {
                    ' '
                };
                self.put(x, y, glyph);
            }
        }
        self.put(rect.x, rect.y, top_left);
        self.put(right, rect.y, top_right);
        self.put(rect.x, bottom, bottom_left);
        self.put(right, bottom, bottom_right);
        for (line, y) in lines.iter().zip(rect.y + 1..) {
            let start = rect.x + (rect.width - display_width(line) as i32) / 2;
            if let (Ok(x), Ok(y), false) =
                (usize::try_from(start), usize::try_from(y), line.is_empty())
            {
                self.texts.insert((y, x), line.clone());
            }
        }
    }

    fn ends(&mut self, wire: &Wire) {
        if let Some(&(x, y)) = wire.points.first() {
            self.put(x, y - 1, '┬');
        }
        if let Some(&(x, y)) = wire.points.last() {
            self.put(x, y - 1, '▼');
        }
    }

    fn put(&mut self, x: i32, y: i32, glyph: char) {
        if let Some(cell) = self.at(x, y) {
            cell.glyph = Some(glyph);
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (y, row) in self.cells.chunks(self.width.max(1)).enumerate() {
            let mut line = String::new();
            let mut x = 0;
            while let Some(cell) = row.get(x) {
                if let Some(label) = self.texts.get(&(y, x)) {
                    line.push_str(label);
                    x += display_width(label).max(1);
                } else {
                    line.push(cell.character());
                    x += 1;
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

//! A confusion matrix as a heat map. Imports: `report::svg`, `report::chart::frame`.

use std::fmt::Write;

use super::WIDTH;
use super::frame::heading;
use crate::report::escape::Escaped;
use crate::report::svg::{Anchor, Canvas, Look, Num, Svg, fit_text, text_width};

/// How often each class was taken for each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// Its title.
    pub title: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// `counts[true][predicted]`; missing cells are 0.
    pub counts: Vec<Vec<u64>>,
    /// `links[true][predicted]`: where a cell that is not empty leads; none where there is no link.
    pub links: Vec<Vec<String>>,
}

/// Names longer than this are cut.
const NAME_WIDTH_MAX: f64 = 120.0;
/// Smallest and largest side of a cell.
const CELL_MIN: f64 = 4.0;
const CELL_MAX: f64 = 56.0;
/// Smallest cells that hold the count, and count and share.
const CELL_WITH_COUNT: f64 = 26.0;
const CELL_WITH_SHARE: f64 = 40.0;
/// In a description for the ear, more than the worst mistakes is noise.
const MISTAKES_DESCRIBED: usize = 5;

pub(super) const LOOK: Look = Look {
    kind: "confusion",
    css: ".cvops-svg .right{fill:var(--c0)}.cvops-svg .wrong{fill:var(--c1)}\
.cvops-svg .cell{stroke:var(--grid);stroke-width:1;fill:none}.cvops-svg .on{fill:var(--paper)}",
};

impl ConfusionMatrix {
    /// Returns the chart: true classes down, predicted classes across; each cell as strong as its
    /// share of its row, hits in one colour, mistakes in another.
    #[must_use]
    pub fn svg(&self) -> Svg {
        let n = self.classes.len();
        let (font, class) = if n <= 24 { (12.0, "") } else { (9.5, "tiny") };
        let names: Vec<String> = self
            .classes
            .iter()
            .map(|name| fit_text(name, font, NAME_WIDTH_MAX))
            .collect();
        let widest = names
            .iter()
            .map(|name| text_width(name, font))
            .fold(10.0, f64::max);
        let left = 44.0 + widest + 8.0;
        // Turned names of the last columns lean out to the right.
        let lean = widest * 0.71 + 8.0;
        let level = (WIDTH - left - 20.0) / n.max(1) as f64;
        let turned = level.min(CELL_MAX) - 6.0 < widest;
        let room = if turned {
            (WIDTH - left - lean) / (n as f64 - 0.5).max(1.0)
        } else {
            level
        };
        let cell = room.clamp(CELL_MIN, CELL_MAX);
        let head = if turned { widest * 0.71 + 16.0 } else { 20.0 };
        let side = cell * n as f64;
        let width = WIDTH.max(left + side + if turned { lean - cell / 2.0 } else { 20.0 });
        let top_of_names = 56.0 + 22.0;
        let (x0, y0) = (left, top_of_names + head);
        let mut canvas = Canvas::new(
            width,
            y0 + side.max(40.0) + 24.0,
            &self.title,
            &self.description(),
            &LOOK,
        );
        if !self.links.is_empty() {
            canvas.has_links();
        }
        heading(
            &mut canvas,
            &self.title,
            "share of each true class; the diagonal is right, everything else a mistake",
        );
        if n == 0 {
            canvas.text(WIDTH / 2.0, y0 + 20.0, Anchor::Middle, "muted", "no data");
            return canvas.finish();
        }
        canvas.text(
            x0,
            top_of_names - 4.0,
            Anchor::Start,
            "small muted",
            "predicted →",
        );
        canvas.turned_text((32.0, y0), -90.0, Anchor::End, "small muted", "← true");
        // Where rows are lower than a line of text, only some of the names fit; turned names stand
        // closer together than their columns.
        let stride = |room: f64| (font / room).ceil().max(1.0) as usize;
        for (index, name) in names.iter().enumerate().step_by(stride(cell)) {
            let y = y0 + cell * (index as f64 + 0.5) + font * 0.35;
            canvas.text(x0 - 8.0, y, Anchor::End, class, name);
        }
        for (index, name) in
            names
                .iter()
                .enumerate()
                .step_by(stride(if turned { cell * 0.71 } else { cell }))
        {
            let middle = cell * (index as f64 + 0.5);
            if turned {
                canvas.turned_text(
                    (x0 + middle + 3.0, y0 - 6.0),
                    -45.0,
                    Anchor::Start,
                    class,
                    name,
                );
            } else {
                canvas.text(x0 + middle, y0 - 7.0, Anchor::Middle, class, name);
            }
        }
        for row in 0..n {
            for column in 0..n {
                self.cell(
                    &mut canvas,
                    (row, column),
                    (x0 + cell * column as f64, y0 + cell * row as f64),
                    cell,
                );
            }
        }
        let (x, y, s) = (Num(x0), Num(y0), Num(side));
        canvas.raw(format_args!(
            "<rect class=\"axis\" x=\"{x}\" y=\"{y}\" width=\"{s}\" height=\"{s}\"/>"
        ));
        canvas.finish()
    }

    fn cell(
        &self,
        canvas: &mut Canvas,
        (row, column): (usize, usize),
        (x, y): (f64, f64),
        size: f64,
    ) {
        let count = self.count(row, column);
        let share = self.share(row, column);
        let labelled = CELL_WITH_COUNT <= size;
        if count == 0 {
            // Empty cells of a large matrix would be most of its bytes.
            if labelled {
                let (x, y, s) = (Num(x), Num(y), Num(size));
                canvas.raw(format_args!(
                    "<rect class=\"cell\" x=\"{x}\" y=\"{y}\" width=\"{s}\" height=\"{s}\"/>"
                ));
            }
            return;
        }
        // The power lets rare mistakes show: 1 % is drawn with a strength of 15 %.
        let strength = if row == column {
            share
        } else {
            share.powf(0.4)
        }
        .clamp(0.06, 1.0)
            * 0.92;
        let class = if row == column { "right" } else { "wrong" };
        let (cx, cy, s) = (Num(x), Num(y), Num(size));
        let (label, predicted) = (Escaped(&self.classes[row]), Escaped(&self.classes[column]));
        let percent = if share < 0.1 {
            format!("{:.1} %", share * 100.0)
        } else {
            format!("{:.0} %", share * 100.0)
        };
        // What is read out begins with what is seen (WCAG 2.5.3).
        let link = self.links.get(row).and_then(|links| links.get(column));
        if let Some(link) = link {
            canvas.raw(format_args!(
                "<a href=\"{}\" aria-label=\"{count} {percent}: true {label}, predicted {predicted}\">",
                Escaped(link)
            ));
        }
        canvas.raw(format_args!(
            "<g><title>true {label}, predicted {predicted}: {count} ({:.1} %)</title><rect class=\"{class}\" fill-opacity=\"{}\" \
             x=\"{cx}\" y=\"{cy}\" width=\"{s}\" height=\"{s}\"/>",
            share * 100.0,
            Num(strength)
        ));
        let text = count.to_string();
        let fits = text_width(&text, 11.0) <= size - 2.0;
        if labelled && fits {
            let on = if 0.62 < strength { "small on" } else { "small" };
            let middle = x + size / 2.0;
            if CELL_WITH_SHARE <= size {
                canvas.text(middle, y + size / 2.0 - 1.0, Anchor::Middle, on, &text);
                let on = if 0.62 < strength { "tiny on" } else { "tiny" };
                canvas.text(middle, y + size / 2.0 + 11.0, Anchor::Middle, on, &percent);
            } else {
                canvas.text(middle, y + size / 2.0 + 4.0, Anchor::Middle, on, &text);
            }
        }
        canvas.raw(format_args!(
            "</g>{}",
            if link.is_some() { "</a>" } else { "" }
        ));
    }

    fn count(&self, row: usize, column: usize) -> u64 {
        self.counts
            .get(row)
            .and_then(|row| row.get(column))
            .copied()
            .unwrap_or(0)
    }

    fn share(&self, row: usize, column: usize) -> f64 {
        let total: f64 = (0..self.classes.len())
            .map(|column| self.count(row, column) as f64)
            .sum();
        if total == 0.0 {
            0.0
        } else {
            self.count(row, column) as f64 / total
        }
    }

    fn description(&self) -> String {
        let n = self.classes.len();
        let mut text = format!("Confusion matrix of {n} classes.");
        let mut mistakes: Vec<(u64, usize, usize)> = (0..n)
            .flat_map(|row| (0..n).map(move |column| (row, column)))
            .filter(|(row, column)| row != column && 0 < self.count(*row, *column))
            .map(|(row, column)| (self.count(row, column), row, column))
            .collect();
        mistakes.sort_by_key(|&(count, row, column)| (std::cmp::Reverse(count), row, column));
        for (index, (count, row, column)) in
            mistakes.into_iter().take(MISTAKES_DESCRIBED).enumerate()
        {
            text.push_str(if index == 0 {
                " Most frequent mistakes: "
            } else {
                ", "
            });
            let _ = write!(
                text,
                "{} taken for {} ({count})",
                self.classes[row], self.classes[column]
            );
        }
        text
    }
}

//! What tells series apart without colour: a shape for each. And the steps of a scale of shades.
//! Imports: `report::svg`.

use super::colour;
use super::frame::Scale;
use super::ticks;
use crate::report::svg::{Anchor, Canvas, Num, text_width};

/// Shapes of about equal area around the origin, one for each colour.
const SHAPES: [&str; 8] = [
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "M-3.6 -3.6h7.2v7.2h-7.2z",
    "M0 -4.8L4.6 3.4H-4.6z",
    "M0 -5.2L4.6 0L0 5.2L-4.6 0z",
    "M0 4.8L4.6 -3.4H-4.6z",
    "M-1.6 -4.8h3.2v3.2h3.2v3.2h-3.2v3.2h-3.2v-3.2h-3.2v-3.2h3.2z",
    "M-4.4 -2.2l2.2 -2.2L0 -2.2L2.2 -4.4L4.4 -2.2L2.2 0L4.4 2.2L2.2 4.4L0 2.2L-2.2 4.4L-4.4 2.2L-2.2 0z",
    "M0 -5.4L1.4 -1.8L5.1 -1.7L2.2 .7L3.2 4.4L0 2.3L-3.2 4.4L-2.2 .7L-5.1 -1.7L-1.4 -1.8z",
];

/// Returns the outline of the shape of series `index`.
pub(super) fn shape(index: usize) -> &'static str {
    SHAPES[index % SHAPES.len()]
}

/// Draws the shape of series `index` in its colour.
pub(super) fn symbol(canvas: &mut Canvas, index: usize, (x, y): (f64, f64)) {
    canvas.raw(format_args!(
        "<path class=\"symbol\" style=\"fill:{}\" transform=\"translate({} {})\" d=\"{}\"/>",
        colour(index),
        Num(x),
        Num(y),
        shape(index)
    ));
}

/// Number of shades, from the least to the most.
pub(super) const SHADES: usize = 9;

/// The rules of the shades `v0` to `v8`: lightness alone tells them apart, on light paper and dark.
macro_rules! shades {
    () => {
        ".cvops-svg .v0{fill:color-mix(in oklab,var(--c0) 5%,var(--paper))}\
.cvops-svg .v1{fill:color-mix(in oklab,var(--c0) 17%,var(--paper))}\
.cvops-svg .v2{fill:color-mix(in oklab,var(--c0) 30%,var(--paper))}\
.cvops-svg .v3{fill:color-mix(in oklab,var(--c0) 44%,var(--paper))}\
.cvops-svg .v4{fill:color-mix(in oklab,var(--c0) 59%,var(--paper))}\
.cvops-svg .v5{fill:color-mix(in oklab,var(--c0) 76%,var(--paper))}\
.cvops-svg .v6{fill:color-mix(in oklab,var(--c0) 94%,var(--paper))}\
.cvops-svg .v7{fill:color-mix(in oklab,var(--c0) 74%,var(--ink))}\
.cvops-svg .v8{fill:color-mix(in oklab,var(--c0) 48%,var(--ink))}"
    };
}
pub(super) use shades;

/// Returns the shade of a share 0..=1 of the scale.
pub(super) fn shade(share: f64) -> usize {
    (share.clamp(0.0, 1.0) * (SHADES - 1) as f64).round() as usize
}

/// Room that `shade_key` takes.
pub(super) const SHADE_KEY: f64 = 22.0;

/// Draws what the shades mean: title, least value, the shades, greatest value.
pub(super) fn shade_key(canvas: &mut Canvas, title: &str, scale: &Scale, top: f64) {
    let (low, high) = scale.ends();
    let step = ticks::step(low, high, 20);
    let y = top + 14.0;
    let mut x = 20.0;
    for text in [title, &ticks::number(low, step)] {
        canvas.text(x, y, Anchor::Start, "small muted", text);
        x += text_width(text, 11.0) + 10.0;
    }
    for shade in 0..SHADES {
        canvas.raw(format_args!(
            "<rect class=\"v{shade} rim\" x=\"{}\" y=\"{}\" width=\"14\" height=\"11\"/>",
            Num(x),
            Num(y - 9.0)
        ));
        x += 14.0;
    }
    let text = ticks::number(high, step);
    canvas.text(x + 8.0, y, Anchor::Start, "small muted", &text);
}

//! What all our SVG drawings share: the finished picture as a type, its theme, and number and text
//! measures. Imports: `report::escape`.

use std::fmt::{self, Display, Formatter, Write};
use std::ops::Range;

use super::escape::Escaped;

/// A complete SVG document made by this room: well formed, self-contained, everything escaped.
/// Only this room can make one, so a page may embed it as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Svg {
    text: String,
    /// Where the style element is.
    style: Range<usize>,
    /// The kind of drawing, whose rules the style element has beside the theme.
    kind: &'static str,
}

impl Svg {
    /// Returns the document.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the document as bytes for a file, ending in a line break.
    #[must_use]
    pub fn into_string(self) -> String {
        self.text
    }

    /// Returns the drawing for a page that forbids styles within it, which a `Content-Security-Policy`
    /// of `style-src 'self'` does: classes only. The page links a style sheet with [`theme_css`].
    #[must_use]
    pub fn embedded(&self) -> EmbeddedSvg {
        let (head, tail) = (&self.text[..self.style.start], &self.text[self.style.end..]);
        let kind = format!("class=\"cvops-svg cvops-{}\"", self.kind);
        let mut text = head.replacen("class=\"cvops-svg\"", &kind, 1);
        text.reserve(tail.len());
        // Texts and values are escaped: a quote after `style=` can only be of an attribute of ours.
        let mut rest = tail;
        while let Some(found) = rest.find(STYLE) {
            let start = rest[..found].rfind('<').unwrap_or(0);
            let value = &rest[found + STYLE.len()..];
            let end = value.find('"').unwrap_or(value.len());
            let class = class_of(&value[..end]);
            text.push_str(&rest[..start]);
            match rest[start..found].split_once("class=\"") {
                Some((before, classes)) => {
                    let _ = write!(text, "{before}class=\"{class} {classes}");
                }
                None => {
                    let _ = write!(text, "{} class=\"{class}\"", &rest[start..found]);
                }
            }
            rest = value.get(end + 1..).unwrap_or_default();
        }
        text.push_str(rest);
        EmbeddedSvg(text)
    }
}

/// What stands before a colour that an element sets by itself.
const STYLE: &str = " style=\"";

/// Returns the class that says what `fill:var(--c0)` says: `fill-c0`.
fn class_of(style: &str) -> String {
    style.replace(":var(--", "-").replace(')', "")
}

/// An SVG element without any style of its own, for a page whose style sheet has [`theme_css`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedSvg(String);

impl EmbeddedSvg {
    /// Returns the element.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for EmbeddedSvg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the style sheet that embedded drawings need: the theme of the files, dark where the root
/// element says `data-theme="dark"` or the system is dark and it does not say `light`.
#[must_use]
pub fn theme_css() -> String {
    let mut css = format!(
        ".cvops-svg{{{LIGHT}{FACE};display:block;max-width:100%;height:auto}}\n\
         @media screen{{:root[data-theme=dark] .cvops-svg{{{DARK}}}}}\n\
         @media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]) .cvops-svg{{{DARK}}}}}\n\
         {RULES}\n.cvops-svg .paper{{fill:none}}\n"
    );
    for colour in (0..COLOURS)
        .map(|i| format!("c{i}"))
        .chain(["paper".to_owned()])
    {
        let _ = writeln!(
            css,
            ".cvops-svg .fill-{colour}{{fill:var(--{colour})}}.cvops-svg .stroke-{colour}{{stroke:var(--{colour})}}"
        );
    }
    // On one page stand drawings of many kinds, and what is a mark in one is another in the next.
    for look in super::chart::LOOKS.into_iter().chain([&super::graph::LOOK]) {
        let kind = format!(".cvops-{} ", look.kind);
        css += &look.css.replace(".cvops-svg ", &kind);
        css.push('\n');
    }
    css
}

impl Display for Svg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Number of series colours; further series repeat them with other dashes.
pub(super) const COLOURS: usize = 8;

/// Colours after Okabe and Ito ("Color Universal Design", 2008), darkened for white paper and
/// lightened for dark paper until each has a contrast of at least 3:1 (WCAG 2.2, 1.4.11).
/// Every rule is bound to the class of our root element: inlined in a page, a style sheet of an
/// SVG counts for the whole page.
macro_rules! light {
    () => {
        "--paper:#fff;--ink:#1c2430;--muted:#5a6675;--grid:#e3e7ec;--axis:#9aa5b1;\
--c0:#0072b2;--c1:#d55e00;--c2:#00805d;--c3:#b5548a;--c4:#a87400;--c5:#2b8fcb;--c6:#6b7280;--c7:#7048b6;\
--ok:#00805d;--bad:#c43d1b;--warn:#a87400;"
    };
}
macro_rules! face {
    () => {
        "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'Noto Sans',sans-serif;\
font-size:12px;font-variant-numeric:tabular-nums"
    };
}
macro_rules! dark {
    () => {
        "--paper:#141a22;--ink:#e6ebf1;--muted:#a0acba;--grid:#2a333e;\
--axis:#5c6875;--c0:#56b4e9;--c1:#ff8a4c;--c2:#2fc79c;--c3:#e39ac6;--c4:#e8b02f;--c5:#9ccbff;--c6:#b4bcc6;--c7:#b79af0;\
--ok:#2fc79c;--bad:#ff7d5c;--warn:#e8b02f"
    };
}
macro_rules! rules {
    () => {
        ".cvops-svg .paper{fill:var(--paper)}.cvops-svg text{fill:var(--ink)}.cvops-svg .muted{fill:var(--muted)}\
.cvops-svg .title{font-size:15px;font-weight:600}.cvops-svg .small{font-size:11px}.cvops-svg .tiny{font-size:9.5px}\
.cvops-svg .grid{stroke:var(--grid);stroke-width:1;fill:none}.cvops-svg .axis{stroke:var(--axis);stroke-width:1;fill:none}\
.cvops-svg .s{text-anchor:start}.cvops-svg .m{text-anchor:middle}.cvops-svg .e{text-anchor:end}\
.cvops-svg .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}"
    };
}
const LIGHT: &str = light!();
const FACE: &str = face!();
const DARK: &str = dark!();
const RULES: &str = rules!();
const THEME: &str = concat!(
    ".cvops-svg{",
    light!(),
    face!(),
    "}@media screen and (prefers-color-scheme:dark){.cvops-svg{",
    dark!(),
    "}}",
    rules!()
);

/// A kind of drawing: its name, and its rules beside the theme's.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) kind: &'static str,
    pub(super) css: &'static str,
}

impl Look {
    /// The theme alone.
    pub(super) const PLAIN: Self = Self {
        kind: "plain",
        css: "",
    };
}

/// Builds one SVG document, element by element.
pub(super) struct Canvas {
    body: String,
    style: Range<usize>,
    kind: &'static str,
}

/// Where a text sits relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn class(self) -> &'static str {
        match self {
            Self::Start => "s",
            Self::Middle => "m",
            Self::End => "e",
        }
    }
}

impl Canvas {
    /// Starts a document; size in pixels, `title` and `description` are what a screen reader says.
    pub(super) fn new(
        width: f64,
        height: f64,
        title: &str,
        description: &str,
        look: &Look,
    ) -> Self {
        let (w, h) = (Num(width), Num(height));
        let mut body = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"cvops-svg\" role=\"img\" width=\"{w}\" \
             height=\"{h}\" viewBox=\"0 0 {w} {h}\"><title>{}</title>",
            Escaped(title)
        );
        if !description.is_empty() {
            let _ = write!(body, "<desc>{}</desc>", Escaped(description));
        }
        let start = body.len();
        let _ = write!(body, "<style>{THEME}{}</style>", look.css);
        let style = start..body.len();
        let _ = writeln!(body, "<rect class=\"paper\" width=\"{w}\" height=\"{h}\"/>");
        Self {
            body,
            style,
            kind: look.kind,
        }
    }

    /// Says that there are links inside: what a picture holds is hidden from those who only hear it.
    pub(super) fn has_links(&mut self) {
        self.body = self.body.replacen("role=\"img\"", "role=\"group\"", 1);
        self.style.start += 2;
        self.style.end += 2;
    }

    /// Appends an element that the caller has put together from numbers, constants and `Escaped`.
    pub(super) fn raw(&mut self, element: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }

    /// Appends a text; `class` names theme classes.
    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let (x, y, a) = (Num(x), Num(y), anchor.class());
        self.raw(format_args!(
            "<text class=\"{a} {class}\" x=\"{x}\" y=\"{y}\">{}</text>",
            Escaped(text)
        ));
    }

    /// Appends a text turned by `degrees` about its point.
    pub(super) fn turned_text(
        &mut self,
        at: (f64, f64),
        degrees: f64,
        anchor: Anchor,
        class: &str,
        text: &str,
    ) {
        let (x, y, a, d) = (Num(at.0), Num(at.1), anchor.class(), Num(degrees));
        self.raw(format_args!(
            "<text class=\"{a} {class}\" transform=\"translate({x} {y}) rotate({d})\">{}</text>",
            Escaped(text)
        ));
    }

    /// Appends a straight line.
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let (x1, y1, x2, y2) = (Num(from.0), Num(from.1), Num(to.0), Num(to.1));
        self.raw(format_args!(
            "<path class=\"{class}\" d=\"M{x1} {y1}L{x2} {y2}\"/>"
        ));
    }

    /// Closes the document.
    pub(super) fn finish(mut self) -> Svg {
        self.body.push_str("</svg>\n");
        Svg {
            text: self.body,
            style: self.style,
            kind: self.kind,
        }
    }
}

/// A number as SVG wants it: at most two decimals, no exponent, no `-0`; never NaN or infinity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Num(pub(super) f64);

impl Display for Num {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.0.is_finite() {
            return f.write_str("0");
        }
        let text = format!("{:.2}", self.0.clamp(-1e9, 1e9));
        let text = text.trim_end_matches('0').trim_end_matches('.');
        f.write_str(if text == "-0" { "0" } else { text })
    }
}

/// Estimates the width in pixels of a text in a common sans-serif face at `font_px`, rather too
/// wide than too narrow: the face of the reader is unknown, and overlap is worse than air.
pub(super) fn text_width(text: &str, font_px: f64) -> f64 {
    let em: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' | ' ' => 0.32,
            'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '-' | '"' => 0.42,
            'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.95,
            'A'..='Z' | '&' => 0.71,
            '\u{300}'..='\u{36f}' => 0.0,
            c if c.is_ascii() => 0.59,
            '\u{1100}'.. => 1.05,
            _ => 0.66,
        })
        .sum();
    em * font_px
}

/// Shortens a text with an ellipsis until it is at most `limit_px` wide.
pub(super) fn fit_text(text: &str, font_px: f64, limit_px: f64) -> String {
    if text_width(text, font_px) <= limit_px {
        return text.to_owned();
    }
    let mut short = text.to_owned();
    while !short.is_empty() && limit_px < text_width(&short, font_px) + 0.9 * font_px {
        short.pop();
    }
    format!("{}…", short.trim_end())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Checks that a text is well-formed XML as far as our output needs it: balanced tags, quoted
    /// attributes, only known entities, no forbidden characters; and that no number is broken.
    pub(crate) fn assert_well_formed(xml: &str) {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = xml;
        while let Some(start) = rest.find('<') {
            assert_entities(&rest[..start]);
            rest = &rest[start + 1..];
            if let Some(after) = rest.strip_prefix("!--") {
                rest = &after[after.find("-->").expect("comment ends") + 3..];
                continue;
            }
            if rest.starts_with("!doctype") {
                rest = &rest[rest.find('>').expect("doctype ends") + 1..];
                continue;
            }
            let end = rest.find('>').expect("tag ends");
            let (tag, after) = (&rest[..end], &rest[end + 1..]);
            assert!(!tag.contains('<'), "`<` inside tag `{tag}`");
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "closing tag");
                continue;
            }
            let name = tag.split([' ', '/']).next().expect("has a name");
            assert!(
                name.chars().all(|c| c.is_ascii_alphanumeric()),
                "tag name `{name}`"
            );
            assert_eq!(tag.matches('"').count() % 2, 0, "quotes of `{tag}`");
            tag.split('"').skip(1).step_by(2).for_each(assert_entities);
            if !tag.ends_with('/') && !matches!(name, "meta" | "img" | "br" | "hr") {
                open.push(name);
            }
        }
        assert_entities(rest);
        assert!(open.is_empty(), "left open: {open:?}");
        // The digits of an embedded picture may spell anything.
        let drawn: String = xml
            .split("base64,")
            .enumerate()
            .map(|(at, part)| {
                part.split_at(if at == 0 { 0 } else { part.find('"').unwrap() })
                    .1
            })
            .collect();
        for broken in ["NaN", "\"inf", " inf ", "-inf"] {
            assert!(!drawn.contains(broken), "broken number {broken}");
        }
        assert!(
            xml.chars()
                .all(|c| c == '\n' || c == '\t' || c == '\r' || !c.is_control())
        );
    }

    fn assert_entities(text: &str) {
        for part in text.split('&').skip(1) {
            let name = &part[..part.find(';').expect("entity ends")];
            assert!(
                ["amp", "lt", "gt", "quot", "#39"].contains(&name),
                "entity `{name}`"
            );
        }
    }

    #[test]
    fn numbers_are_short_and_never_broken() {
        let shown = |x| Num(x).to_string();
        assert_eq!(shown(1.0), "1");
        assert_eq!(shown(-0.001), "0");
        assert_eq!(shown(2.456), "2.46");
        assert_eq!(shown(f64::NAN), "0");
        assert_eq!(shown(f64::INFINITY), "0");
        assert_eq!(shown(1e300), "1000000000");
    }

    #[test]
    fn long_texts_are_shortened_to_the_limit() {
        let short = fit_text("a very long class name", 12.0, 60.0);
        assert!(
            short.ends_with('…') && text_width(&short, 12.0) <= 66.0,
            "{short}"
        );
        assert_eq!(fit_text("cat", 12.0, 60.0), "cat");
        assert_eq!(fit_text("cat", 12.0, 0.0), "…");
    }
}

//! A report as one HTML page that needs nothing else: no script, no network, no second file.
//! Imports: `report::{escape`, svg, table}.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::escape::{Escaped, Marked};
use super::svg::Svg;
use super::table::{Align, Table};

pub use super::table::{Tone, Wording};

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The page's title and main heading.
    pub title: String,
    /// A sentence below it; may be empty.
    pub subtitle: String,
    /// What the report is about: data, model, date, each as name and value.
    pub facts: Vec<(String, String)>,
    /// The content.
    pub sections: Vec<Section>,
    /// The last line; may be empty.
    pub footer: String,
}

/// A part of a page with its own heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The heading, also in the list of contents.
    pub heading: String,
    /// What stands below it, in order.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A paragraph of plain text; what stands between backticks is shown as code.
    Prose(String),
    /// Key figures in large type.
    Tiles(Vec<Tile>),
    /// Charts, two beside each other where the screen is wide enough.
    Charts(Vec<Chart>),
    /// A table; its first column heads the rows.
    Table {
        /// The table.
        table: Table,
        /// What it shows; may be empty.
        caption: String,
    },
    /// A grid of pictures.
    Pictures(Vec<Picture>),
    /// Images as large as charts, two beside each other where the screen is wide enough.
    Images(Vec<Image>),
}

/// A key figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// What it is: `accuracy`.
    pub label: String,
    /// Its value as shown: `84.1 %`.
    pub value: String,
    /// More about it, such as an interval; may be empty.
    pub note: String,
}

/// A chart with a caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// The drawing.
    pub svg: Svg,
    /// How to read it; may be empty.
    pub caption: String,
}

/// An image from a file, with a caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The bytes of the file; embedded as they are.
    pub bytes: Vec<u8>,
    /// What kind of file it is.
    pub kind: ImageKind,
    /// What a screen reader says instead of the image.
    pub alt: String,
    /// What it shows; may be empty.
    pub caption: String,
}

/// Kinds of image files that browsers show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// GIF.
    Gif,
    /// WebP.
    Webp,
    /// SVG; inside an image it can run no script and load nothing.
    Svg,
}

impl ImageKind {
    /// Returns the kind that a file name's extension (in lower case, without the dot) tells.
    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "png" => Self::Png,
            "jpg" | "jpeg" => Self::Jpeg,
            "gif" => Self::Gif,
            "webp" => Self::Webp,
            "svg" => Self::Svg,
            _ => return None,
        })
    }

    /// Returns the media type (IANA).
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Svg => "image/svg+xml",
        }
    }
}

/// A small picture with facts below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The bytes of a PNG file; embedded as they are.
    pub png: Vec<u8>,
    /// What a screen reader says instead of the picture.
    pub alt: String,
    /// Facts below it: `true: cat`, `predicted: dog`, `confidence: 0.93`.
    pub facts: Vec<PictureFact>,
}

/// A fact below a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureFact {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether it is good news.
    pub tone: Tone,
    /// Whether backticks in the value mark code.
    pub wording: Wording,
}

impl PictureFact {
    /// Returns the fact.
    #[must_use]
    pub fn new(name: &str, value: impl Into<String>, tone: Tone) -> Self {
        Self {
            name: name.to_owned(),
            value: value.into(),
            tone,
            wording: Wording::Verbatim,
        }
    }

    /// Returns a fact that is a sentence: what stands between backticks is shown as code.
    #[must_use]
    pub fn sentence(name: &str, value: impl Into<String>) -> Self {
        Self {
            wording: Wording::Sentence,
            ..Self::new(name, value, Tone::Neutral)
        }
    }
}

impl Wording {
    /// Returns the text for a page.
    fn html(self, text: &str) -> String {
        match self {
            Self::Verbatim => Escaped(text).to_string(),
            Self::Sentence => Marked(text).to_string(),
        }
    }
}

/// Says that a list is longer than the `shown` items of it; `None` if it is not.
#[must_use]
pub fn cut(count: usize, shown: usize) -> Option<Block> {
    (shown < count).then(|| Block::Prose(format!("The first {shown} of {count}.")))
}

/// Takes pictures while all of them together add at most `room` bytes to a page, in base64. What comes
/// later is not asked for.
pub fn fitting(pictures: impl IntoIterator<Item = Picture>, room: usize) -> Vec<Picture> {
    let mut left = room;
    let taken = pictures.into_iter().map_while(|picture| {
        left = left.checked_sub(picture.png.len() * 4 / 3 + 4)?;
        Some(picture)
    });
    taken.collect()
}

const CSS: &str = include_str!("page.css");

impl Page {
    /// Returns the page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let mut html = String::new();
        // The policy lets the browser itself hold us to "needs nothing else".
        html.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        html.push_str(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src &#39;none&#39;; img-src data:; \
             style-src &#39;unsafe-inline&#39;\">\n<meta name=\"color-scheme\" content=\"light dark\">\n",
        );
        add(
            &mut html,
            format_args!(
                "<title>{}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n",
                Escaped(&self.title)
            ),
        );
        self.header(&mut html);
        html.push_str("<main>\n");
        for (index, section) in self.sections.iter().enumerate() {
            let heading = Escaped(&section.heading);
            add(
                &mut html,
                format_args!(
                    "<section aria-labelledby=\"s{index}\">\n<h2 id=\"s{index}\">{heading}</h2>\n"
                ),
            );
            for block in &section.blocks {
                add_block(&mut html, block);
            }
            html.push_str("</section>\n");
        }
        html.push_str("</main>\n");
        if !self.footer.is_empty() {
            add(
                &mut html,
                format_args!("<footer>{}</footer>\n", Escaped(&self.footer)),
            );
        }
        html.push_str("</body>\n</html>\n");
        html
    }

    fn header(&self, html: &mut String) {
        add(
            html,
            format_args!("<header>\n<h1>{}</h1>\n", Escaped(&self.title)),
        );
        if !self.subtitle.is_empty() {
            add(
                html,
                format_args!("<p class=\"subtitle\">{}</p>\n", Escaped(&self.subtitle)),
            );
        }
        if !self.facts.is_empty() {
            html.push_str("<dl class=\"facts\">\n");
            for (name, value) in &self.facts {
                add(
                    html,
                    format_args!(
                        "<div><dt>{}</dt><dd>{}</dd></div>\n",
                        Escaped(name),
                        Escaped(value)
                    ),
                );
            }
            html.push_str("</dl>\n");
        }
        html.push_str("</header>\n");
        if 1 < self.sections.len() {
            html.push_str("<nav aria-label=\"Contents\"><ul>\n");
            for (index, section) in self.sections.iter().enumerate() {
                add(
                    html,
                    format_args!(
                        "<li><a href=\"#s{index}\">{}</a></li>\n",
                        Escaped(&section.heading)
                    ),
                );
            }
            html.push_str("</ul></nav>\n");
        }
    }
}

fn add(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = html.write_fmt(text);
}

fn add_block(html: &mut String, block: &Block) {
    match block {
        Block::Prose(text) => add(html, format_args!("<p>{}</p>\n", Marked(text))),
        Block::Tiles(tiles) => add_tiles(html, tiles),
        Block::Charts(charts) => {
            html.push_str("<div class=\"charts\">\n");
            for chart in charts {
                // A chart wider than the screen is moved with the finger or, focused, with the keys.
                add(
                    html,
                    format_args!(
                        "<figure class=\"chart\"><div class=\"scroll\" tabindex=\"0\">{}</div>",
                        chart.svg
                    ),
                );
                if !chart.caption.is_empty() {
                    add(
                        html,
                        format_args!("<figcaption>{}</figcaption>", Escaped(&chart.caption)),
                    );
                }
                html.push_str("</figure>\n");
            }
            html.push_str("</div>\n");
        }
        Block::Table { table, caption } => add_table(html, table, caption),
        Block::Pictures(pictures) => add_pictures(html, pictures),
        Block::Images(images) => add_images(html, images),
    }
}

fn add_tiles(html: &mut String, tiles: &[Tile]) {
    html.push_str("<div class=\"tiles\">\n");
    for tile in tiles {
        let (label, value) = (Escaped(&tile.label), Escaped(&tile.value));
        add(
            html,
            format_args!("<dl class=\"tile\"><dt>{label}</dt><dd class=\"value\">{value}</dd>"),
        );
        if !tile.note.is_empty() {
            add(
                html,
                format_args!("<dd class=\"note\">{}</dd>", Escaped(&tile.note)),
            );
        }
        html.push_str("</dl>\n");
    }
    html.push_str("</div>\n");
}

fn add_table(html: &mut String, table: &Table, caption: &str) {
    html.push_str("<div class=\"scroll\" tabindex=\"0\"><table>\n");
    if !caption.is_empty() {
        add(
            html,
            format_args!("<caption>{}</caption>\n", Escaped(caption)),
        );
    }
    let class = |index: usize| match table.columns()[index].align {
        Align::Left => "",
        Align::Right => " class=\"r\"",
    };
    html.push_str("<thead><tr>");
    for (index, column) in table.columns().iter().enumerate() {
        add(
            html,
            format_args!(
                "<th scope=\"col\"{}>{}</th>",
                class(index),
                Escaped(&column.title)
            ),
        );
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for (at, row) in table.rows().iter().enumerate() {
        html.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let class = match (table.tone_of(at, index), table.columns()[index].align) {
                (Tone::Neutral, _) => class(index),
                (Tone::Good, Align::Left) => " class=\"good\"",
                (Tone::Good, Align::Right) => " class=\"r good\"",
                (Tone::Bad, Align::Left) => " class=\"bad\"",
                (Tone::Bad, Align::Right) => " class=\"r bad\"",
            };
            let cell = table.wording_of(index).html(cell);
            if index == 0 {
                add(html, format_args!("<th scope=\"row\"{class}>{cell}</th>"));
            } else {
                add(html, format_args!("<td{class}>{cell}</td>"));
            }
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
}

fn add_images(html: &mut String, images: &[Image]) {
    html.push_str("<div class=\"charts\">\n");
    for image in images {
        let (alt, data) = (Escaped(&image.alt), STANDARD.encode(&image.bytes));
        add(
            html,
            format_args!(
                "<figure class=\"chart\"><img src=\"data:{};base64,{data}\" alt=\"{alt}\">",
                image.kind.media_type()
            ),
        );
        if !image.caption.is_empty() {
            add(
                html,
                format_args!("<figcaption>{}</figcaption>", Escaped(&image.caption)),
            );
        }
        html.push_str("</figure>\n");
    }
    html.push_str("</div>\n");
}

fn add_pictures(html: &mut String, pictures: &[Picture]) {
    html.push_str("<ul class=\"pictures\">\n");
    for picture in pictures {
        let (alt, data) = (Escaped(&picture.alt), STANDARD.encode(&picture.png));
        add(
            html,
            format_args!(
                "<li><figure class=\"picture\"><img src=\"data:image/png;base64,{data}\" alt=\"{alt}\">"
            ),
        );
        if !picture.facts.is_empty() {
            html.push_str("<figcaption><dl>");
            for fact in &picture.facts {
                let class = match fact.tone {
                    Tone::Neutral => "",
                    Tone::Good => " class=\"good\"",
                    Tone::Bad => " class=\"bad\"",
                };
                let (name, value) = (Escaped(&fact.name), fact.wording.html(&fact.value));
                add(html, format_args!("<dt>{name}</dt><dd{class}>{value}</dd>"));
            }
            html.push_str("</dl></figcaption>");
        }
        html.push_str("</figure></li>\n");
    }
    html.push_str("</ul>\n");
}

#[cfg(test)]
mod tests;

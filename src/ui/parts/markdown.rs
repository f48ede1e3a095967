//! Notes and descriptions of people (`CommonMark` with tables, strikethrough and task lists) as HTML
//! of ours. Imports: report.
//!
//! The text is from outside, so only what `CommonMark` itself makes becomes markup. HTML in it stays
//! text; a link leads to http, https, mailto or a place of this server, any other is only its text; a
//! picture of another server becomes a link, so that a page asks nobody but us; headings begin below
//! those of the page; nothing carries a style, which the policy of pages forbids.

use std::fmt::{self, Display, Formatter};

use askama::filters::HtmlSafe;
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// The longest text that is rendered, bytes: what stands behind it is left out, and said to be.
pub(in crate::ui) const TEXT_BYTES_MAX: usize = 256 << 10;

/// A rendered text. Shown as HTML, in a block of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ui) struct Prose(String);

impl Prose {
    /// Does it say nothing?
    pub(in crate::ui) fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl Display for Prose {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "<div class=\"prose\" dir=\"auto\">{}</div>", self.0)
    }
}

/// Nothing of the text is markup but what `render` made of it.
impl HtmlSafe for Prose {}

/// Renders a text.
pub(in crate::ui) fn render(text: &str) -> Prose {
    let shown = cut(text);
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut filter = Filter::default();
    let events = Parser::new_ext(shown, options).filter_map(|event| filter.take(event));
    let mut out = String::with_capacity(shown.len() * 3 / 2);
    html::push_html(&mut out, events);
    if shown.len() < text.len() {
        out.push_str("<p class=\"muted\">The text goes on; only its beginning is shown.</p>");
    }
    Prose(out)
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What becomes of an open link or picture at its end.
#[derive(Clone, Copy, Debug)]
enum Open {
    Link,
    Picture,
    /// Only its text is shown.
    Nothing,
}

/// Turns what the parser finds into what may be shown.
#[derive(Default)]
struct Filter {
    open: Vec<Open>,
}

impl Filter {
    fn take<'t>(&mut self, event: Event<'t>) -> Option<Event<'t>> {
        Some(match event {
            Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
            Event::TaskListMarker(is_done) => {
                Event::Text(CowStr::Borrowed(if is_done { "☑ " } else { "☐ " }))
            }
            Event::Start(tag) => return self.start(tag),
            Event::End(end) => return self.end(end),
            other => other,
        })
    }

    fn start<'t>(&mut self, tag: Tag<'t>) -> Option<Event<'t>> {
        Some(Event::Start(match tag {
            // A block of HTML is a paragraph of text.
            Tag::HtmlBlock => Tag::Paragraph,
            Tag::Heading { level, .. } => Tag::Heading {
                level: below(level),
                id: None,
                classes: Vec::new(),
                attrs: Vec::new(),
            },
            // Alignment would be a style.
            Tag::Table(columns) => Tag::Table(vec![pulldown_cmark::Alignment::None; columns.len()]),
            Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            } => {
                if !may_lead(&dest_url) {
                    self.open.push(Open::Nothing);
                    return None;
                }
                self.open.push(Open::Link);
                Tag::Link {
                    link_type,
                    dest_url,
                    title,
                    id,
                }
            }
            Tag::Image {
                link_type,
                dest_url,
                title,
                id,
            } => {
                if is_here(&dest_url) {
                    self.open.push(Open::Picture);
                    Tag::Image {
                        link_type,
                        dest_url,
                        title,
                        id,
                    }
                } else {
                    let is_inside_link = self.open.iter().any(|open| matches!(open, Open::Link));
                    if is_inside_link || !may_lead(&dest_url) {
                        self.open.push(Open::Nothing);
                        return None;
                    }
                    self.open.push(Open::Link);
                    Tag::Link {
                        link_type,
                        dest_url,
                        title,
                        id,
                    }
                }
            }
            other => other,
        }))
    }

    fn end<'t>(&mut self, end: TagEnd) -> Option<Event<'t>> {
        Some(Event::End(match end {
            TagEnd::HtmlBlock => TagEnd::Paragraph,
            TagEnd::Heading(level) => TagEnd::Heading(below(level)),
            TagEnd::Link | TagEnd::Image => match self.open.pop().unwrap_or(Open::Nothing) {
                Open::Link => TagEnd::Link,
                Open::Picture => TagEnd::Image,
                Open::Nothing => return None,
            },
            other => other,
        }))
    }
}

/// The page has `h1`, the section around the text `h2`.
fn below(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        HeadingLevel::H3 => HeadingLevel::H5,
        HeadingLevel::H4 | HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

/// May a link lead there: http, https, mailto, or a place of this server? Browsers skip control
/// characters and read `\` as `/` (WHATWG URL, section 4.4), so neither may stand in it.
fn may_lead(url: &str) -> bool {
    if url.chars().any(char::is_control) || url.contains('\\') || url.starts_with(' ') {
        return false;
    }
    let end = url.find(['/', '?', '#']).unwrap_or(url.len());
    match url[..end].split_once(':') {
        Some((scheme, _)) => ["http", "https", "mailto"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known)),
        None => true,
    }
}

/// Does it name a picture of this server, from its root?
fn is_here(url: &str) -> bool {
    may_lead(url) && url.starts_with('/') && !url.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(text: &str) -> String {
        render(text).0.trim_end().to_owned()
    }

    #[test]
    fn common_text_becomes_markup() {
        for (text, expected) in [
            (
                "a *b* **c** `d`",
                "<p>a <em>b</em> <strong>c</strong> <code>d</code></p>",
            ),
            ("# Top", "<h3>Top</h3>"),
            ("###### Low", "<h6>Low</h6>"),
            ("~~old~~", "<p><del>old</del></p>"),
            (
                "[run](/runs/1) [x](https://e.org/?a=1&b=2) [m](mailto:a@e.org)",
                "<p><a href=\"/runs/1\">run</a> <a href=\"https://e.org/?a=1&amp;b=2\">x</a> \
                 <a href=\"mailto:a@e.org\">m</a></p>",
            ),
            (
                "![cat](/p.png)",
                "<p><img src=\"/p.png\" alt=\"cat\" /></p>",
            ),
            (
                "![cat](https://e.org/p.png)",
                "<p><a href=\"https://e.org/p.png\">cat</a></p>",
            ),
            (
                "- [x] done\n- [ ] open",
                "<ul>\n<li>☑ done</li>\n<li>☐ open</li>\n</ul>",
            ),
        ] {
            assert_eq!(inner(text), expected, "{text}");
        }
    }

    #[test]
    fn tables_carry_no_style() {
        let table = inner("|a|b|\n|:-|-:|\n|1|2|");
        assert!(table.contains("<th>a</th><th>b</th>"), "{table}");
        assert!(!table.contains("style"), "{table}");
    }

    #[test]
    fn html_stays_text() {
        for text in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<div\nonclick='x'>\n\n**b**\n\n</div>",
            "<!-- x --><?php ?><![CDATA[ <b> ]]>",
            "<iframe srcdoc='<script>1</script>'>",
            "`<b>`\n\n```html\"><script>\n<script>\n```",
            "[a](/x \"t\\\"><script>\")",
            "![\"><script>](/x)",
            "<a href=\"javascript:1\">x</a>",
        ] {
            let html = inner(text);
            for tag in [
                "<script",
                "<img src=x",
                "<div",
                "<iframe",
                "<!--",
                "<?",
                "<b>",
                "<a href=\"j",
            ] {
                assert!(!html.contains(tag), "{text} -> {html}");
            }
            // The text is still to be read.
            assert!(
                html.contains("&lt;") || html.contains("&quot;"),
                "{text} -> {html}"
            );
        }
    }

    #[test]
    fn links_lead_nowhere_else() {
        for text in [
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](&#106;avascript:alert(1))",
            "[x](java&#10;script:alert(1))",
            "[x](&#1;javascript:alert(1))",
            "[x](<  javascript:alert(1)>)",
            "[x](data:text/html,<script>1</script>)",
            "[x](vbscript:x)",
            "[x](file:///etc/passwd)",
            "[x](\\\\e.org\\x)",
            "[x]\n\n[x]: javascript:1",
            "<javascript:alert(1)>",
            "![x](javascript:1)",
            "![x](data:image/svg+xml,<svg/>)",
        ] {
            let html = inner(text);
            assert!(
                !html.contains("href") && !html.contains("src"),
                "{text} -> {html}"
            );
        }
    }

    #[test]
    fn a_picture_inside_a_link_is_one_link() {
        let html = inner("[![a](https://e.org/a.png)](https://e.org/)");
        assert_eq!(html, "<p><a href=\"https://e.org/\">a</a></p>");
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let text = "é".repeat(TEXT_BYTES_MAX);
        let html = inner(&text);
        assert!(html.len() < TEXT_BYTES_MAX + 200 && html.contains("only its beginning"));
        // Deep nesting costs no more than its length.
        let deep = inner(&format!("{}x", "> ".repeat(20_000)));
        assert!(deep.contains('x'));
    }
}

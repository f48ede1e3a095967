//! Makes any text safe for XML and HTML (content and quoted attributes) and for one terminal line.
//! Imports: nothing.

use std::fmt::{self, Display, Formatter, Write};

/// A text that `Display`s escaped for XML and HTML, in content as well as in quoted attributes.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if is_xml_char(c) => f.write_char(c)?,
                _ => f.write_char(char::REPLACEMENT_CHARACTER)?,
            }
        }
        Ok(())
    }
}

/// A sentence that `Display`s escaped for HTML, with what stands between two backticks as `<code>`.
#[derive(Clone, Copy, Debug)]
pub struct Marked<'a>(pub &'a str);

impl Display for Marked<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((before, inside)) = rest.split_once('`')
            && let Some((code, after)) = inside.split_once('`')
        {
            write!(f, "{}<code>{}</code>", Escaped(before), Escaped(code))?;
            rest = after;
        }
        Escaped(rest).fmt(f)
    }
}

/// Returns the text escaped for XML and HTML; characters that XML forbids become U+FFFD.
#[must_use]
pub fn xml(text: &str) -> String {
    Escaped(text).to_string()
}

/// Returns the text on one line and without control characters, so that a name from outside can
/// neither break a layout nor send commands to the terminal.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            c if c.is_control() || is_bidi_control(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// The `Char` production of XML 1.0, section 2.2, less the C1 controls, which HTML refuses.
fn is_xml_char(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        c => !c.is_control(),
    }
}

/// Overrides and isolates reorder the rest of a line; in a drawing they would move the borders.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_markup_and_forbidden_characters() {
        assert_eq!(xml(r#"<a b="c">&'"#), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;");
        assert_eq!(
            xml("a\u{0}b\u{1b}c\u{ffff}d\u{85}"),
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}"
        );
        assert_eq!(xml("Übung 标签\n"), "Übung 标签\n");
    }

    #[test]
    fn backticks_mark_code() {
        for (text, expected) in [
            (
                "run `a <b>`, then `c`.",
                "run <code>a &lt;b&gt;</code>, then <code>c</code>.",
            ),
            ("one ` alone & <i>", "one ` alone &amp; &lt;i&gt;"),
            ("`a` and `b", "<code>a</code> and `b"),
            ("", ""),
        ] {
            assert_eq!(Marked(text).to_string(), expected);
        }
    }

    #[test]
    fn one_line_disarms_terminal_commands() {
        assert_eq!(one_line("a\nb\tc"), "a b c");
        assert_eq!(one_line("\u{1b}[31mred"), "\u{fffd}[31mred");
        assert_eq!(one_line("a\u{202e}b"), "a\u{fffd}b");
    }
}

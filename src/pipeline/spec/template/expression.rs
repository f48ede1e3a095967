//! The grammar of `${…}`: where expressions stand in a text, and the steps that each names.
//!
//! An expression is a name followed by `.name`s and `[name]`s; spaces around a name do not count. A
//! backslash before `${` makes it plain text. Imports: nothing.

use std::ops::Range;

/// How an expression begins.
pub(super) const OPEN: &str = "${";

/// One `${…}` of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expression<'t> {
    /// The whole of it, braces included.
    pub(super) text: &'t str,
    /// What stands between the braces.
    pub(super) inner: &'t str,
    /// Where it begins in the text.
    start: usize,
}

impl Expression<'_> {
    /// Returns the bytes of the text that it takes up.
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }
}

/// Returns the expressions of a text, from left to right.
///
/// What has no closing brace on its line is plain text, as in the shell's `${name:-\n}`.
pub(super) fn expressions(text: &str) -> Vec<Expression<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(OPEN).map(|i| at + i) {
        let inner_at = start + OPEN.len();
        at = inner_at;
        if text[..start].ends_with('\\') {
            continue;
        }
        let line = text[inner_at..].split('\n').next().unwrap_or_default();
        let Some(length) = line.find('}') else {
            continue;
        };
        at = inner_at + length + 1;
        found.push(Expression {
            text: &text[start..at],
            inner: &line[..length],
            start,
        });
    }
    found
}

/// Returns the plain text of what was escaped.
pub(super) fn unescape(text: &str) -> String {
    text.replace("\\${", OPEN)
}

/// Returns the names that an expression goes through.
///
/// # Errors
/// What is wrong with it, in a few words.
pub(super) fn steps(inner: &str) -> Result<Vec<&str>, &'static str> {
    let end_of_word = |text: &str| text.find(['.', '[', ']']).unwrap_or(text.len());
    let mut steps = Vec::new();
    let (first, mut rest) = inner.split_at(end_of_word(inner));
    if first.is_empty() {
        return Err("a name must stand between the braces");
    }
    steps.push(first.trim());
    while let Some(mark) = rest.chars().next() {
        rest = &rest[1..];
        let (word, after) = rest.split_at(end_of_word(rest));
        rest = match mark {
            '.' if !word.is_empty() => after,
            '[' if !word.is_empty() => after.strip_prefix(']').ok_or("a `[` has no `]`")?,
            '.' => return Err("a name must follow the dot"),
            '[' => return Err("a number or name must stand between the brackets"),
            _ => return Err("a `]` has no `[`"),
        };
        // `a[0]b`: only a dot or a bracket may follow.
        if mark == '[' && !rest.is_empty() && !rest.starts_with(['.', '[']) {
            let spaces_only = rest.trim_start();
            if !spaces_only.is_empty() && !spaces_only.starts_with(['.', '[']) {
                return Err("a dot must stand between `]` and a name");
            }
            rest = spaces_only;
        }
        steps.push(word.trim());
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn expressions_are_found() {
        for (text, expected) in [
            ("x ${a} y${b.c}", vec!["a", "b.c"]),
            ("\\${a} \\\\${a} ${b}", vec!["b"]),
            ("${a ${b}", vec!["a ${b"]),
            ("${a\n} ${b}", vec!["b"]),
            ("${}", vec![""]),
            ("$${a}", vec!["a"]),
            ("${ $a {x ü", vec![]),
        ] {
            let found = expressions(text);
            let inner: Vec<_> = found.iter().map(|e| e.inner).collect();
            assert_eq!(inner, expected, "{text}");
            for e in found {
                assert_eq!(&text[e.range()], e.text);
            }
        }
        assert_eq!(unescape("\\${a} \\\\${b} $c"), "${a} \\${b} $c");
    }

    #[test]
    fn expressions_are_taken_apart() {
        for (inner, expected) in [
            ("a", Ok(vec!["a"])),
            (" a .b[ 0 ][c].d ", Ok(vec!["a", "b", "0", "c", "d"])),
            ("a[-1]", Ok(vec!["a", "-1"])),
            ("a b", Ok(vec!["a b"])),
            ("", Err("a name must stand between the braces")),
            (".a", Err("a name must stand between the braces")),
            ("a.", Err("a name must follow the dot")),
            ("a..b", Err("a name must follow the dot")),
            (
                "a[",
                Err("a number or name must stand between the brackets"),
            ),
            (
                "a[]",
                Err("a number or name must stand between the brackets"),
            ),
            ("a[0", Err("a `[` has no `]`")),
            ("a[0.5]", Err("a `[` has no `]`")),
            ("a]", Err("a `]` has no `[`")),
            ("a[0]b", Err("a dot must stand between `]` and a name")),
        ] {
            assert_eq!(steps(inner), expected, "{inner}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([a${}\\[\\].\\\\\n é]|\\$\\{){0,24}") {
            for expression in expressions(&text) {
                prop_assert_eq!(&text[expression.range()], expression.text);
                if let Ok(steps) = steps(expression.inner) {
                    prop_assert!(!steps.is_empty());
                }
            }
        }

        #[test]
        fn what_is_written_is_read(names in proptest::collection::vec("[a-z0-9_-]{1,4}", 1..5), brackets: u8) {
            let mut text = names[0].clone();
            for (i, name) in names.iter().enumerate().skip(1) {
                if brackets >> (i % 8) & 1 == 1 {
                    text += &format!("[{name}]");
                } else {
                    text += &format!(".{name}");
                }
            }
            let whole = format!("x${{{text}}}y");
            let found = expressions(&whole);
            prop_assert_eq!(steps(found[0].inner), Ok(names.iter().map(String::as_str).collect()));
        }
    }
}

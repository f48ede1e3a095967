//! Words of others, cut short before they are repeated in an answer. Imports: `serde_json`.

use std::borrow::Cow;

/// No more than this of a name that a client sent is repeated, characters.
const NAME_CHARS_MAX: usize = 64;
/// No more than this of a parser's words is repeated, characters: they may hold what was sent.
const PARSER_CHARS_MAX: usize = 200;

/// Returns the start of a text that a client sent.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    cut(text, NAME_CHARS_MAX)
}

/// Returns what the parser of JSON says.
pub(super) fn parsers_words(error: &serde_json::Error) -> String {
    cut(&error.to_string(), PARSER_CHARS_MAX).into_owned()
}

fn cut(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shown("ümage"), "ümage");
        let shown = shown(&"ü".repeat(1000)).into_owned();
        assert_eq!(shown, "ü".repeat(64) + "…");
        let text = format!("\"{}\"", "x".repeat(1000));
        let error = serde_json::from_str::<u64>(&text).unwrap_err();
        assert!(parsers_words(&error).len() < 210);
    }
}

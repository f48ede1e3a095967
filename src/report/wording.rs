//! Makes texts of any length fit for a page. Imports: nothing.

/// Cuts the front of a text that has more than `most` characters: names and paths differ at their end.
#[must_use]
pub fn keep_end(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let end = text.chars().skip(length + 1 - most.max(1));
    std::iter::once('…').chain(end).collect()
}

/// Cuts the end of a text that has more than `most` characters: what it is about stands in front.
#[must_use]
pub fn keep_start(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let start = text.chars().take(most.saturating_sub(1));
    start.chain(['…']).collect()
}

/// Begins a text with a capital.
#[must_use]
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_lose_one_of_their_ends() {
        let name = format!("{}/cat.png", "ä".repeat(200));
        for short in [keep_end(&name, 100), keep_start(&name, 100)] {
            assert_eq!(short.chars().count(), 100);
        }
        assert!(
            keep_end(&name, 100).starts_with('…') && keep_end(&name, 100).ends_with("ä/cat.png")
        );
        assert!(keep_start(&name, 100).starts_with("ää") && keep_start(&name, 100).ends_with('…'));
        for most in [7, 8] {
            assert_eq!(keep_end("cat.png", most), "cat.png");
            assert_eq!(keep_start("cat.png", most), "cat.png");
        }
        assert_eq!(
            (keep_end("abc", 0), keep_start("abc", 0)),
            ("…".to_owned(), "…".to_owned())
        );
    }

    #[test]
    fn sentences_begin_with_capitals() {
        assert_eq!(sentence("no drift"), "No drift");
        assert_eq!(sentence("öl"), "Öl");
        assert_eq!(sentence(""), "");
    }
}

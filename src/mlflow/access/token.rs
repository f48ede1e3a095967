//! Tokens: 256 random bits as text, and what is kept of them. Imports: base.

use crate::base;
use crate::base::secret::{self, Mark};

/// How a token begins, so that people and scanners for leaked secrets recognise one.
const PREFIX: &str = "cvops_";

/// Draws a token: its text, which is shown once, and the mark that is kept.
///
/// # Errors
/// The system has no random numbers.
pub fn draw() -> Result<(String, Mark), base::Error> {
    secret::token(PREFIX)
}

/// Returns what is kept of a token.
pub(super) fn mark(text: &str) -> Mark {
    Mark::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recognised_by_its_text() {
        let (text, mark) = draw().unwrap();
        assert!(text.starts_with("cvops_"), "{text}");
        assert_eq!(super::mark(&text), mark);
    }
}

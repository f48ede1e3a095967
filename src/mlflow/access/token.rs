//! Tokens: 256 random bits as text, and what is kept of them. Imports: base.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base;
use crate::base::secret::{self, Mark};

/// How a token begins, so that people and scanners for leaked secrets recognise one.
const PREFIX: &str = "cvops_";

/// Draws a token: its text, which is shown once, and the mark that is kept.
///
/// # Errors
/// The system has no random numbers.
pub fn draw() -> Result<(String, Mark), base::Error> {
    let random: [u8; 32] = secret::random()?;
    let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let mark = mark(&text);
    Ok((text, mark))
}

/// Returns what is kept of a token.
pub(super) fn mark(text: &str) -> Mark {
    Mark::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let ((one, mark), (other, _)) = (draw().unwrap(), draw().unwrap());
        assert!(
            one != other && one.starts_with("cvops_") && one.len() == 6 + 43,
            "{one}"
        );
        assert_eq!(super::mark(&one), mark);
    }
}

//! Secrets: keys and tokens that are drawn at random, and marks under which secrets are recognised without being
//! kept. Imports: error.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;

use super::error::Error;

/// Returns random bytes of the system (`getrandom`), unlike `rng` never the same twice.
///
/// # Errors
/// The system has none to give.
pub fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| Error::Io {
            doing: "draw random numbers from",
            path: Path::new("/dev/urandom").to_owned(),
            source: std::io::Error::other(error),
        })?;
    Ok(bytes)
}

/// Draws a token of 256 random bits: its text, which begins with `prefix` so that people and scanners
/// for leaked secrets recognise it, and the mark that is kept.
///
/// # Errors
/// As `random`.
pub fn token(prefix: &str) -> Result<(String, Mark), Error> {
    let random: [u8; 32] = random()?;
    let text = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random));
    let mark = Mark::of(text.as_bytes());
    Ok((text, mark))
}

/// A key of this process: drawn at random, never written down.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// Draws a key.
    ///
    /// # Errors
    /// As `random`.
    pub fn random() -> Result<Self, Error> {
        random().map(Self)
    }

    /// Returns the mark of some texts under this key (BLAKE3's keyed mode); where one ends and the
    /// next begins counts.
    #[must_use]
    pub fn mark(&self, parts: &[&[u8]]) -> Mark {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Mark(hasher.finalize())
    }
}

/// What is kept of a secret to recognise it. Compared in the same time whatever it holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mark(blake3::Hash);

impl Mark {
    /// Returns the mark of a secret that nobody can guess (256 random bits): it needs no key.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(blake3::hash(secret))
    }

    /// Returns a mark that was kept.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes.into())
    }

    /// Reads a mark as `Display` writes it.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text).ok().map(Self)
    }

    /// Returns what is kept.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// Lower-case hexadecimal digits: 64 of them.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mark({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_differ_with_the_key_and_with_where_texts_end() {
        let (one, other) = (Key::random().unwrap(), Key::random().unwrap());
        assert_eq!(one.mark(&[b"ada", b"x"]), one.mark(&[b"ada", b"x"]));
        assert_ne!(one.mark(&[b"ada", b"x"]), other.mark(&[b"ada", b"x"]));
        assert_ne!(one.mark(&[b"ada", b"x"]), one.mark(&[b"ad", b"ax"]));
        assert_ne!(random::<32>().unwrap(), random::<32>().unwrap());
        assert_eq!(format!("{one:?}"), "Key(…)");
    }

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let ((one, mark), (other, _)) = (token("x_").unwrap(), token("x_").unwrap());
        assert!(one != other && one.starts_with("x_") && one.len() == 2 + 43);
        assert_eq!(Mark::of(one.as_bytes()), mark);
    }

    #[test]
    fn a_mark_is_kept_as_bytes() {
        let mark = Mark::of(b"secret");
        assert_eq!(Mark::from_bytes(*mark.as_bytes()), mark);
        let text = mark.to_string();
        assert_eq!((text.len(), Mark::from_hex(&text)), (64, Some(mark)));
        for text in ["", "0", &text[1..], &text.replace(&text[..1], "g")] {
            assert_eq!(Mark::from_hex(text), None, "{text}");
        }
    }
}

//! Passwords: hashed with argon2id under a random salt, as PHC strings, with the parameters that OWASP
//! advises (19 MiB, two passes; "Password Storage Cheat Sheet"). Imports: base, argon2.

use std::hint::black_box;

use argon2::Argon2;
use argon2::password_hash::phc;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::base;
use crate::base::secret;
use crate::track::db::PasswordHash;

/// Fewest characters of a password (NIST SP 800-63B, section 5.1.1.2).
pub const CHARS_MIN: usize = 8;
/// Most bytes of one: nobody's password is longer, and hashing it costs time.
pub const BYTES_MAX: usize = 1024;

/// Hashes a password. Takes tens of milliseconds and 19 MiB.
///
/// # Errors
/// The system has no random numbers.
pub fn hash(password: &str) -> Result<PasswordHash, base::Error> {
    let salt: [u8; 16] = secret::random()?;
    let hashed = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    let hashed = hashed.map_err(|error| base::Error::Io {
        doing: "hash a password with",
        path: "argon2id".into(),
        source: std::io::Error::other(error.to_string()),
    })?;
    Ok(PasswordHash::from_phc(hashed.to_string()))
}

/// Is this the password that was hashed? Takes as long where there is none, so that an answer's time
/// does not tell who has one. Hashes are compared in the same time whatever they hold.
#[must_use]
pub(super) fn matches(password: &str, stored: Option<&PasswordHash>) -> bool {
    // Nobody chose one so long; checking it would cost whoever sends it nothing and this machine much.
    if BYTES_MAX < password.len() {
        return false;
    }
    let argon2 = Argon2::default();
    let stored = stored.and_then(|stored| phc::PasswordHash::new(stored.as_str()).ok());
    let Some(stored) = stored else {
        let _ = black_box(argon2.hash_password_with_salt(password.as_bytes(), &[0; 16]));
        return false;
    };
    argon2.verify_password(password.as_bytes(), &stored).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_hash_alone() {
        let hashed = hash("open sesame").unwrap();
        assert!(
            hashed
                .as_str()
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
        );
        assert_ne!(hashed.as_str(), hash("open sesame").unwrap().as_str());
        assert!(matches("open sesame", Some(&hashed)));
        assert!(!matches("open sesamE", Some(&hashed)));
        assert!(!matches("", Some(&hashed)));
        assert!(!matches("open sesame", None));
        let broken = PasswordHash::from_phc("open sesame".to_owned());
        assert!(!matches("open sesame", Some(&broken)));
    }
}

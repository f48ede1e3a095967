//! Reads the key that a request brings: `Authorization: Bearer KEY` (RFC 6750) or `X-API-Key: KEY`.
//! Pure. Imports: base, http.

use crate::base::secret::Mark;
use crate::http::HeaderMap;
use crate::http::header::{AUTHORIZATION, HeaderName};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// No key is nearly as long: what is longer is not hashed.
const BYTES_MAX: usize = 512;

/// What a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// No key.
    None,
    /// Something that is no key, or two keys.
    Unreadable,
    /// A key, by its mark: the text is not kept.
    Key(Mark),
}

impl Credential {
    /// Reads it. A key in both headers must be the same one. `Authorization` with another scheme
    /// than `Bearer` is what a proxy asked for; it counts only where there is no `X-API-Key`.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut plain = headers.get_all(X_API_KEY).iter();
        let own = match (plain.next(), plain.next()) {
            (None, _) => Self::None,
            (Some(value), None) => key(value.as_bytes()),
            (Some(_), Some(_)) => Self::Unreadable,
        };
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let bearer = match (given.next(), given.next()) {
            (None, _) => return own,
            (Some(value), None) => bearer(value.as_bytes()),
            (Some(_), Some(_)) => Some(Self::Unreadable),
        };
        match (own, bearer) {
            (Self::None, None) => Self::Unreadable,
            (Self::None, Some(bearer)) => bearer,
            (own, None) => own,
            (own, Some(bearer)) if own == bearer => own,
            (_, Some(_)) => Self::Unreadable,
        }
    }
}

/// Reads `Bearer KEY`; `None` for another scheme.
fn bearer(value: &[u8]) -> Option<Credential> {
    const SCHEME: &[u8] = b"bearer";
    let value = value.trim_ascii();
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    match rest.first() {
        None => Some(Credential::Unreadable),
        Some(b' ' | b'\t') => Some(key(rest)),
        Some(_) => None,
    }
}

fn key(text: &[u8]) -> Credential {
    let text = text.trim_ascii();
    if (1..=BYTES_MAX).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic) {
        Credential::Key(Mark::of(text))
    } else {
        Credential::Unreadable
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "cvk_x";

    fn of(pairs: &[(&str, &str)]) -> Credential {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, value.parse().unwrap());
        }
        Credential::of(&headers)
    }

    #[test]
    fn both_headers_are_read() {
        let expected = Credential::Key(Mark::of(KEY.as_bytes()));
        let rows: &[&[(&str, &str)]] = &[
            &[("authorization", "Bearer cvk_x")],
            &[("Authorization", "bearer   cvk_x ")],
            &[("x-api-key", "cvk_x")],
            &[("X-API-Key", " cvk_x")],
            &[("authorization", "Bearer cvk_x"), ("x-api-key", "cvk_x")],
            &[("authorization", "Basic YTpi"), ("x-api-key", "cvk_x")],
        ];
        for row in rows {
            assert_eq!(of(row), expected, "{row:?}");
        }
        assert_eq!(of(&[("cookie", "cvk_x")]), Credential::None);
    }

    #[test]
    fn everything_else_is_unreadable() {
        let long = "x".repeat(BYTES_MAX + 1);
        let rows: &[&[(&str, &str)]] = &[
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer ")],
            &[("authorization", "")],
            &[("authorization", "cvk_x")],
            &[("authorization", "Bearer cvk_x cvk_y")],
            &[("authorization", "Bearercvk_x")],
            &[("authorization", "Basic YTpi")],
            &[("x-api-key", "")],
            &[("x-api-key", long.as_str())],
            &[("x-api-key", "cvk_x"), ("x-api-key", "cvk_x")],
            &[("x-api-key", "cvk_x"), ("authorization", "Bearer cvk_y")],
            &[("x-api-key", ""), ("authorization", "Bearer cvk_x")],
            &[
                ("authorization", "Bearer cvk_x"),
                ("authorization", "Bearer cvk_x"),
            ],
        ];
        for row in rows {
            assert_eq!(of(row), Credential::Unreadable, "{row:?}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_found_whatever_surrounds_it(
            key in "[!-~]{1,80}",
            scheme in "[Bb][Ee][Aa][Rr][Ee][Rr]",
            gap in "[ \t]{1,4}",
        ) {
            let expected = Credential::Key(Mark::of(key.as_bytes()));
            let value = format!("{scheme}{gap}{key}");
            prop_assert_eq!(of(&[("authorization", &value)]), expected);
            prop_assert_eq!(of(&[("x-api-key", &key)]), expected);
        }

        #[test]
        fn no_header_makes_it_stumble(value in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = crate::http::header::HeaderValue::from_bytes(&value) {
                for name in [AUTHORIZATION, X_API_KEY] {
                    let mut headers = HeaderMap::new();
                    headers.insert(name, value.clone());
                    let _ = Credential::of(&headers);
                }
            }
        }
    }
}

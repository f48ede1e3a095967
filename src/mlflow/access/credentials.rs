//! Reads the header `Authorization`. Pure. Imports: base, http.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::secret::Mark;
use crate::http::HeaderMap;
use crate::http::header::AUTHORIZATION;

use super::token;

/// What a request brings to say who asks.
#[derive(PartialEq, Eq)]
pub(super) enum Credentials {
    /// Nothing.
    None,
    /// Something that is neither of the others.
    Unreadable,
    /// Name and password.
    Basic {
        /// The name, as it was given.
        name: String,
        /// The password.
        password: String,
    },
    /// A token.
    Bearer(Mark),
}

impl Credentials {
    /// Reads them.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        match (given.next(), given.next()) {
            (None, _) => Self::None,
            // Two of them may mean two users.
            (Some(_), Some(_)) => Self::Unreadable,
            (Some(value), None) => value
                .to_str()
                .ok()
                .and_then(Self::read)
                .unwrap_or(Self::Unreadable),
        }
    }

    fn read(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Bearer(token::mark(rest)));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (name, password) = pair.split_once(':')?;
        Some(Self::Basic {
            name: name.to_owned(),
            password: password.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Credentials {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        Credentials::of(&headers)
    }

    #[test]
    fn both_schemes_are_read() {
        let basic = |name: &str, password: &str| Credentials::Basic {
            name: name.to_owned(),
            password: password.to_owned(),
        };
        assert!(of(&[]) == Credentials::None);
        // The example of RFC 7617, section 2, and that of section 2.1 with its `£` in UTF-8.
        assert!(of(&["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]) == basic("Aladdin", "open sesame"));
        assert!(of(&["basic dGVzdDoxMjPCow=="]) == basic("test", "123£"));
        assert!(of(&["Basic  YTpiOmM="]) == basic("a", "b:c"));
        assert!(of(&["Basic Og=="]) == basic("", ""));
        assert!(of(&["Bearer cvops_x"]) == Credentials::Bearer(Mark::of(b"cvops_x")));
        assert!(of(&["BEARER cvops_x "]) == Credentials::Bearer(Mark::of(b"cvops_x")));
    }

    #[test]
    fn everything_else_is_unreadable() {
        let rows: &[&[&str]] = &[
            &["Basic"],
            &["Basic ???"],
            &["Basic YQ=="],
            &["Basic /zph"],
            &["Digest username=\"a\""],
            &[""],
            &["Basic Og==", "Bearer cvops_x"],
        ];
        for row in rows {
            assert!(of(row) == Credentials::Unreadable, "{row:?}");
        }
    }
}

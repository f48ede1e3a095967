//! A request as pages see it. Imports: http, mlflow, track.

use std::sync::Arc;

use bytes::Bytes;
use form_urlencoded::Serializer;

use crate::http::{Ending, HeaderMap};
use crate::mlflow::rest::User;
use crate::mlflow::{PageAsk, Refused};
use crate::track::{Artifacts, Shared};

/// The form in which a table is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A page.
    Html,
    /// `?format=csv`.
    Csv,
    /// `?format=json`.
    Json,
}

/// A request for a page.
#[derive(Debug)]
pub(super) struct Asked {
    /// The path, as it was asked for: not decoded.
    pub(super) path: String,
    /// What stands for the placeholders of the path, decoded, in order.
    pub(super) params: Vec<String>,
    /// What stands behind the question mark.
    pub(super) query: Query,
    /// The headers.
    pub(super) headers: HeaderMap,
    /// The body.
    pub(super) body: Bytes,
    /// When it came, milliseconds since 1970.
    pub(super) now_ms: i64,
    /// Who asks, if that was shown.
    pub(super) user: Option<User>,
    /// The record of runs.
    pub(super) shared: Shared,
    /// The artifacts of the project.
    pub(super) artifacts: Arc<Artifacts>,
    /// Ends live answers.
    pub(super) ending: Ending,
}

impl From<PageAsk> for Asked {
    fn from(ask: PageAsk) -> Self {
        Self {
            path: ask.path,
            params: ask.params,
            query: Query(ask.query),
            headers: ask.headers,
            body: ask.body,
            now_ms: ask.now_ms,
            user: ask.user,
            shared: ask.shared,
            artifacts: ask.artifacts,
            ending: ask.ending,
        }
    }
}

impl Asked {
    /// Returns placeholder `index` of the path, empty if there is none.
    pub(super) fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }

    /// Returns the pairs of a form that was sent.
    pub(super) fn form(&self) -> Query {
        Query(form_urlencoded::parse(&self.body).into_owned().collect())
    }

    /// Returns the form in which a table is wanted.
    ///
    /// # Errors
    /// It is none that we have.
    pub(super) fn format(&self) -> Result<Format, Refused> {
        match self.query.get("format") {
            None | Some("html") => Ok(Format::Html),
            Some("csv") => Ok(Format::Csv),
            Some("json") => Ok(Format::Json),
            Some(other) => Err(Refused::invalid(format!(
                "there is no format `{other}`: `csv` and `json` are known"
            ))),
        }
    }

    /// Returns the URL of this page with other pairs in its query: each pair of `changes` replaces all
    /// of its name, `None` removes them.
    pub(super) fn href_with(&self, changes: &[(&str, Option<&str>)]) -> String {
        let query = self.query.with(changes).encoded();
        if query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{query}", self.path)
        }
    }
}

/// The pairs of a query or of a form, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(pub(super) Vec<(String, String)>);

impl Query {
    /// Returns the last value of a name, `None` if there is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().rev();
        values
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the last value of a name, `None` if there is none or it is empty: an empty field of a
    /// form says nothing.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.trim().is_empty())
    }

    /// Returns all values of a name.
    pub(super) fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        let values = self.0.iter().filter(move |(key, _)| key == name);
        values.map(|(_, value)| value.as_str())
    }

    /// Returns the number that a name says, `default` if it says nothing.
    ///
    /// # Errors
    /// It is no number of this kind.
    pub(super) fn number<T: std::str::FromStr>(
        &self,
        name: &str,
        default: T,
    ) -> Result<T, Refused> {
        let Some(text) = self.filled(name) else {
            return Ok(default);
        };
        text.trim()
            .parse()
            .map_err(|_| Refused::invalid(format!("`{name}={text}`: a number was expected")))
    }

    /// Returns the pairs with others: each of `changes` replaces all of its name where the first of
    /// them stood, or comes last; `None` removes them.
    pub(super) fn with(&self, changes: &[(&str, Option<&str>)]) -> Self {
        let mut pairs = self.0.clone();
        for (name, value) in changes {
            let at = pairs.iter().position(|(key, _)| key == name);
            pairs.retain(|(key, _)| key != name);
            if let Some(value) = value {
                let at = at.unwrap_or(pairs.len()).min(pairs.len());
                pairs.insert(at, ((*name).to_owned(), (*value).to_owned()));
            }
        }
        Self(pairs)
    }

    /// Returns the pairs as they stand in a URL.
    pub(super) fn encoded(&self) -> String {
        Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish()
    }
}

/// Returns a text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, SEGMENT).to_string()
}

/// What is escaped in a segment of a path (RFC 3986: all but `pchar` without `'` and `&`).
const SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'$')
    .remove(b'!')
    .remove(b',')
    .remove(b'=');

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query(
            form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    #[test]
    fn a_changed_query_keeps_the_places_of_its_pairs() {
        let asked = query("run=a&order=x&run=b");
        assert_eq!(
            asked.with(&[("order", Some("y z"))]).encoded(),
            "run=a&order=y+z&run=b"
        );
        assert_eq!(asked.with(&[("run", None)]).encoded(), "order=x");
        assert_eq!(
            asked
                .with(&[("run", Some("c")), ("k", Some("&"))])
                .encoded(),
            "run=c&order=x&k=%26"
        );
        assert_eq!(asked.all("run").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_segment_holds_whatever_a_name_holds() {
        assert_eq!(segment("a/b?c#d e%"), "a%2Fb%3Fc%23d%20e%25");
        assert_eq!(segment("sub/dvc.yaml:train@x"), "sub%2Fdvc.yaml:train@x");
    }
}

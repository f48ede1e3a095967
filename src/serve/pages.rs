//! Pages for people: the page to drop a picture on, and Swagger UI. Both come from this binary; the
//! browser fetches nothing from anywhere else. Imports: utoipa-swagger-ui.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use utoipa_swagger_ui::Config;

/// The page at `/`.
pub(super) const INDEX: &str = include_str!("page.html");

/// Returns type and content of one of Swagger UI's files.
///
/// The page itself names its files relative to `/docs/`; a browser at `/docs` needs to be told so.
pub(super) fn swagger(name: &str) -> Option<(String, Bytes)> {
    let config = Arc::new(Config::from("/openapi.json").try_it_out_enabled(true));
    let file = utoipa_swagger_ui::serve(name, config).ok().flatten()?;
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    if name != "index.html" {
        return Some((file.content_type, bytes));
    }
    let page =
        String::from_utf8_lossy(&bytes).replacen("<head>", "<head>\n<base href=\"/docs/\">", 1);
    Some(("text/html; charset=utf-8".to_owned(), Bytes::from(page)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_fetch_nothing_from_elsewhere() {
        let (_, page) = swagger("index.html").unwrap();
        let page = String::from_utf8(page.to_vec()).unwrap();
        for page in [page.as_str(), INDEX] {
            for attribute in [
                "src=\"http",
                "href=\"http",
                "url(http",
                "src=\"//",
                "href=\"//",
            ] {
                assert!(!page.contains(attribute), "{attribute}");
            }
        }
        let (kind, script) = swagger("swagger-initializer.js").unwrap();
        assert!(kind.contains("javascript"), "{kind}");
        assert!(
            String::from_utf8(script.to_vec())
                .unwrap()
                .contains("/openapi.json")
        );
        assert!(swagger("../Cargo.toml").is_none());
    }
}

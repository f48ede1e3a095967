//! Is a page complete in itself?

/// Returns everything in a page or picture that a browser would fetch from elsewhere.
pub(crate) fn fetched(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, inside) in [
        ("src=\"", &["data:"][..]),
        ("href=\"", &["#", "data:"]),
        ("url(", &["data:", "#", "\"#", "'#"]),
        ("@import", &[]),
        ("https://", &[]),
        ("http://", &["www.w3.org/"]), // names of XML namespaces, which nothing fetches
    ] {
        for (at, _) in html.match_indices(start) {
            let rest = &html[at + start.len()..];
            if !inside.iter().any(|i| rest.starts_with(i)) {
                found.push(html[at..].chars().take(60).collect());
            }
        }
    }
    found
}

#[test]
fn what_is_fetched_is_found() {
    for (html, found) in [
        ("<svg xmlns=\"http://www.w3.org/2000/svg\"/>", 0),
        ("<img src=\"data:image/png;base64,AA\"><a href=\"#top\">", 0),
        ("<script src=\"https://example.org/x.js\">", 2),
        ("<style>@import 'x.css'; p { background: url(x.png) }", 2),
    ] {
        assert_eq!(fetched(html).len(), found, "{html}");
    }
}

//! Is a request from a page of another site? A browser sends what any page asks it to, to servers of
//! this machine too, and with a password that its user once typed. `Host` holds a foreign name when a
//! name of the page's site was made to point here (DNS rebinding). When the page calls by our address
//! (CSRF), browsers of today say so in `Sec-Fetch-Site` (Fetch Metadata Request Headers, W3C), which
//! holds behind any proxy; older ones, and those that speak plain HTTP to another machine, send
//! `Origin`. Programs send neither. Imports: http.

use std::net::IpAddr;

use crate::http::HeaderMap;
use crate::http::header::{HOST, ORIGIN};

use super::refused::{Code, Refused};

const SEC_FETCH_SITE: &str = "sec-fetch-site";
const X_FORWARDED_HOST: &str = "x-forwarded-host";

/// Which names a server goes by.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Does it listen for this machine alone? Then other names than its own are no names of it.
    pub(super) loopback_only: bool,
    /// More names, without ports: those under which a proxy on this machine is known.
    pub(super) more: Vec<String>,
}

impl Names {
    /// Looks at the host that was asked for.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let mut hosts = headers.get_all(HOST).iter();
        if self.loopback_only && !hosts.all(|host| host.to_str().is_ok_and(|h| self.is_ours(h))) {
            return Err(Refused::new(
                Code::PermissionDenied,
                "the header `Host` is no name of this machine: use the address that the server \
                 listens on, or name the host with `--allow-host`",
            ));
        }
        Ok(())
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = without_port(host);
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let mut names = self.more.iter().map(String::as_str).chain(["localhost"]);
        is_loopback || names.any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Returns the site of the page that sent a request, if that is not this server's.
pub(super) fn foreign_page(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = headers.get(ORIGIN);
    let shown = origin.map_or("unknown", |value| value.to_str().unwrap_or("unreadable"));
    match text(SEC_FETCH_SITE) {
        // `none`: the user's own doing, such as a bookmark.
        Some("same-origin" | "none") => return None,
        Some(_) => return Some(shown.to_owned()),
        None => {}
    }
    origin?;
    // A proxy that puts its own name into `Host` says here which one was asked for. A page cannot set
    // this header without being allowed to.
    let hosts = [text(X_FORWARDED_HOST), text(HOST.as_str())];
    let mut hosts = hosts.into_iter().flatten();
    (!hosts.any(|host| is_same(shown, host))).then(|| shown.to_owned())
}

fn without_port(host: &str) -> &str {
    if let Some(end) = host.find(']') {
        // An IPv6 address stands in brackets.
        return &host[..=end];
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// Is `origin` (`http://localhost:5000`) the site that answers to `host` (`localhost:5000`)?
fn is_same(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    // A port is left out of one and written in the other where it is the usual one.
    let usual = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let plain = |text: &str| {
        text.strip_suffix(usual)
            .unwrap_or(text)
            .to_ascii_lowercase()
    };
    plain(authority) == plain(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn foreign_names_of_this_machine_are_told_by_host() {
        let here = Names {
            loopback_only: true,
            more: vec!["ml.example.org".to_owned()],
        };
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:5000", true),
            ("127.0.0.1:5000", true),
            ("127.8.8.8", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("ml.example.org", true),
            ("ml.example.org:443", true),
            ("evil.example.org:5000", false),
            ("localhost.evil.org", false),
            ("127.0.0.1.evil.org", false),
            ("192.168.1.7:5000", false),
            ("0.0.0.0:5000", false),
            ("", false),
            ("[::2]", false),
        ] {
            let found = here.check(&headers(&[("host", host)]));
            assert_eq!(found.is_ok(), expected, "{host}");
        }
        assert!(here.check(&headers(&[])).is_ok());
        let everywhere = Names {
            loopback_only: false,
            more: Vec::new(),
        };
        let elsewhere = headers(&[("host", "gpu7:5000")]);
        assert!(everywhere.check(&elsewhere).is_ok());
    }

    #[test]
    fn pages_of_this_server_and_programs_are_not_foreign() {
        let rows: &[&[(&str, &str)]] = &[
            &[],
            &[("host", "a:5000")],
            &[("host", "a:5000"), ("origin", "http://a:5000")],
            &[("host", "A.org"), ("origin", "https://a.org:443")],
            &[("host", "localhost:80"), ("origin", "http://localhost")],
            &[("host", "[::1]:5000"), ("origin", "http://[::1]:5000")],
            &[
                ("host", "x"),
                ("origin", "https://y"),
                ("sec-fetch-site", "same-origin"),
            ],
            &[("host", "x"), ("sec-fetch-site", "none")],
            &[
                ("host", "x:1"),
                ("x-forwarded-host", "y"),
                ("origin", "https://y"),
            ],
        ];
        for row in rows {
            assert_eq!(foreign_page(&headers(row)), None, "{row:?}");
        }
    }

    #[test]
    fn other_pages_are() {
        let rows: &[&[(&str, &str)]] = &[
            &[("host", "a:5000"), ("origin", "http://b:5000")],
            &[("host", "a:5000"), ("origin", "http://a:5001")],
            &[("host", "a:5000"), ("origin", "http://a")],
            &[
                ("host", "localhost:5000"),
                ("origin", "http://127.0.0.1:5000"),
            ],
            &[("host", "a"), ("origin", "null")],
            &[("host", "a"), ("origin", "file://")],
            &[("host", "a"), ("origin", "")],
            &[("origin", "http://a")],
            &[("host", "a"), ("origin", "http://a.evil.example")],
            &[
                ("host", "a"),
                ("origin", "http://a"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[("host", "a"), ("sec-fetch-site", "same-site")],
        ];
        for row in rows {
            assert!(foreign_page(&headers(row)).is_some(), "{row:?}");
        }
    }
}

//! Asks a server on this network whether it is well (one GET, one status), or for a short text, or
//! tells it something short. No TLS: this goes to a container or to this machine. `unix` asks over a
//! Unix socket. Imports: ureq.

mod unix;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// A key that is shown to a server as `Authorization: Bearer …` (RFC 6750).
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer(String);

impl FromStr for Bearer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() {
            Err("a key is not empty")
        } else if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a key has visible ASCII characters only, and no blank")
        }
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(…)")
    }
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The HTTP status, 100..=599.
    pub status: u16,
    /// What the server says beside a status that is not 2xx: the text `detail` of a JSON body.
    pub detail: Option<String>,
}

impl Probe {
    /// Is the status 2xx?
    #[must_use]
    pub fn is_well(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Says in one line what `url` answered.
    #[must_use]
    pub fn told(&self, url: &str) -> String {
        match &self.detail {
            Some(detail) => format!("`{url}` answered {}: {detail}", self.status),
            None => format!("`{url}` answered {}", self.status),
        }
    }
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The URL is none, or not `http://`.
    #[error("`{url}` cannot be asked: {why}")]
    BadUrl {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// No such host.
    #[error("the host of `{url}` is not known: check its spelling")]
    UnknownHost {
        /// As given.
        url: String,
    },
    /// Nobody listens there.
    #[error("nothing listens at `{url}`")]
    Refused {
        /// As given.
        url: String,
    },
    /// No answer in time.
    #[error("`{url}` did not answer within {}", crate::base::units::duration(*after))]
    TimedOut {
        /// As given.
        url: String,
        /// The limit.
        after: Duration,
    },
    /// Anything else: a broken answer.
    #[error("`{url}` did not answer: {why}")]
    Broken {
        /// As given.
        url: String,
        /// What the system or the protocol says.
        why: String,
    },
}

/// Bodies of answers are read up to here; a longer one has no detail.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// Longer details are cut.
const DETAIL_CHARS_MAX: usize = 400;

/// What the standard library says when a name has no address; there is no kind for it.
const LOOKUP_FAILED: &str = "failed to lookup address information";

/// Sends `GET url` and returns the status of the answer, whatever it is; redirects are not followed.
/// `unix:PATH` asks the server at that socket whether it is ready.
///
/// # Errors
/// No whole answer head within `timeout`, which covers everything from the look-up of the name on.
pub fn probe(url: &str, timeout: Duration) -> Result<Probe, ProbeError> {
    match url.strip_prefix(unix::SCHEME) {
        Some("") => {
            return Err(ProbeError::BadUrl {
                url: url.to_owned(),
                why: "the path of the socket is missing".to_owned(),
            });
        }
        Some(path) => return unix::probe(url, Path::new(path), timeout),
        None => {}
    }
    let answer = call(url, timeout, None, None)?;
    let mut probe = Probe {
        status: answer.status().as_u16(),
        detail: None,
    };
    if !probe.is_well() {
        probe.detail = detail(answer.into_body());
    }
    Ok(probe)
}

/// Sends `GET url` and returns the status of the answer with its text, at most `bytes_max` of it;
/// redirects are not followed.
///
/// # Errors
/// No whole answer within `timeout`, or a larger one, or one that is no text.
pub fn read(url: &str, timeout: Duration, bytes_max: u64) -> Result<(u16, String), ProbeError> {
    read_as(None, url, timeout, bytes_max)
}

/// As `read`, showing a key.
///
/// # Errors
/// As `read`.
pub fn read_as(
    key: Option<&Bearer>,
    url: &str,
    timeout: Duration,
    bytes_max: u64,
) -> Result<(u16, String), ProbeError> {
    let answer = call(url, timeout, key, None)?;
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    let config = body.with_config().limit(bytes_max);
    match config.read_to_string() {
        Ok(text) => Ok((status, text)),
        Err(error) => Err(problem(url, timeout, error)),
    }
}

/// Sends `POST url` with a JSON document and returns what was answered.
///
/// # Errors
/// No whole answer head within `timeout`.
pub fn tell(url: &str, json: &str, timeout: Duration) -> Result<Probe, ProbeError> {
    let answer = call(url, timeout, None, Some(json))?;
    Ok(Probe {
        status: answer.status().as_u16(),
        detail: detail(answer.into_body()),
    })
}

/// Sends a request, with `json` as its body if there is one.
fn call(
    url: &str,
    timeout: Duration,
    key: Option<&Bearer>,
    json: Option<&str>,
) -> Result<ureq::http::Response<ureq::Body>, ProbeError> {
    let url_owned = || url.to_owned();
    if let Some(rest) = url.strip_prefix("https://") {
        return Err(ProbeError::BadUrl {
            url: url_owned(),
            why: format!(
                "TLS is not spoken here; ask the server behind the proxy: `http://{rest}`"
            ),
        });
    }
    if !url.starts_with("http://") {
        return Err(ProbeError::BadUrl {
            url: url_owned(),
            why: "it must start with `http://`".to_owned(),
        });
    }
    if let Some(port) = port(url)
        && !port.parse::<u16>().is_ok_and(|port| port != 0)
    {
        return Err(ProbeError::BadUrl {
            url: url_owned(),
            why: format!("`{port}` is not a port, which is 1 to 65535"),
        });
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("cvops/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let answer = match json {
        None => {
            let mut request = agent.get(url);
            if let Some(Bearer(key)) = key {
                request = request.header("Authorization", format!("Bearer {key}"));
            }
            request.call()
        }
        Some(json) => {
            let request = agent.post(url).header("Content-Type", "application/json");
            request.send(json)
        }
    };
    answer.map_err(|error| problem(url, timeout, error))
}

/// Sorts what went wrong.
fn problem(url: &str, timeout: Duration, error: ureq::Error) -> ProbeError {
    let url = url.to_owned();
    match error {
        ureq::Error::HostNotFound => ProbeError::UnknownHost { url },
        ureq::Error::Io(e) if e.to_string().starts_with(LOOKUP_FAILED) => {
            ProbeError::UnknownHost { url }
        }
        ureq::Error::Timeout(_) => ProbeError::TimedOut {
            url,
            after: timeout,
        },
        ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
            ProbeError::Refused { url }
        }
        ureq::Error::ConnectionFailed => ProbeError::Refused { url },
        e @ (ureq::Error::BadUri(_) | ureq::Error::Http(_)) => ProbeError::BadUrl {
            url,
            why: e.to_string(),
        },
        e => ProbeError::Broken {
            url,
            why: e.to_string(),
        },
    }
}

/// Returns what stands after the host's `:` in `url`, which begins with `http://`.
fn port(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    // The address of IPv6 has colons of its own: `[::1]:80`.
    let host = authority.rsplit(['@', ']']).next()?;
    host.rsplit_once(':').map(|(_, port)| port)
}

/// Returns the text `detail` of a JSON body, in one line.
fn detail(body: ureq::Body) -> Option<String> {
    // A body that breaks off takes nothing from the status.
    let mut body = body;
    let config = body.with_config().limit(BODY_BYTES_MAX);
    detail_of(&config.read_to_vec().ok()?)
}

fn detail_of(body: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = json.get("detail")?.as_str()?;
    let line = text.split(char::is_control).collect::<Vec<_>>().join(" ");
    Some(line.chars().take(DETAIL_CHARS_MAX).collect()).filter(|line: &String| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    const SHORT: Duration = Duration::from_secs(5);

    /// Answers one request with `answer`, or never if it is empty; returns the address.
    fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer.as_bytes());
            if answer.is_empty() {
                // Until the client hangs up.
                let _ = stream.read(&mut head);
            }
        });
        url
    }

    #[test]
    fn a_status_is_an_answer_whatever_it_is() {
        for (line, status, well) in [
            ("HTTP/1.1 200 OK", 200, true),
            ("HTTP/1.1 204 No Content", 204, true),
            ("HTTP/1.1 302 Found\r\nLocation: /elsewhere", 302, false),
            ("HTTP/1.1 503 Service Unavailable", 503, false),
        ] {
            let answer: &'static str =
                Box::leak(format!("{line}\r\nContent-Length: 0\r\n\r\n").into_boxed_str());
            let found = probe(&server(answer), SHORT).unwrap();
            assert_eq!((found.status, found.is_well()), (status, well), "{line}");
            assert_eq!(found.detail, None, "{line}");
        }
    }

    #[test]
    fn what_the_server_says_beside_its_status_is_told() {
        for (body, detail) in [
            (r#"{"detail": "no model\nyet"}"#, Some("no model yet")),
            (r#"{"detail": ""}"#, None),
            (r#"{"detail": [1]}"#, None),
            (r#"{"status": "loading"}"#, None),
            ("no JSON", None),
        ] {
            let length = body.len();
            let answer = format!("HTTP/1.1 503 x\r\nContent-Length: {length}\r\n\r\n{body}");
            let found = probe(&server(Box::leak(answer.into_boxed_str())), SHORT).unwrap();
            assert_eq!(found.detail.as_deref(), detail, "{body}");
            let told = found.told("http://x");
            let tail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
            assert_eq!(told, format!("`http://x` answered 503{tail}"));
        }
    }

    #[test]
    fn a_key_is_shown_to_the_server_and_to_nobody_else() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap());
        let seen = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let length = stream.read(&mut head).unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na\n");
            String::from_utf8_lossy(&head[..length]).to_lowercase()
        });
        let key: Bearer = " secret \n".parse().unwrap();
        assert_eq!(format!("{key:?}"), "Bearer(…)");
        let read = read_as(Some(&key), &url, SHORT, 10).unwrap();
        assert_eq!(read, (200, "a\n".to_owned()));
        let head = seen.join().unwrap();
        assert!(
            head.contains("\r\nauthorization: bearer secret\r\n"),
            "{head}"
        );
        for bad in ["", " ", "a b", "a\nb", "ä"] {
            assert!(bad.parse::<Bearer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_port_is_what_follows_the_host() {
        for (url, expected) in [
            ("http://localhost", None),
            ("http://localhost/a:b", None),
            ("http://localhost?a:b", None),
            ("http://localhost:80/x", Some("80")),
            ("http://[::1]", None),
            ("http://[::1]:80", Some("80")),
            ("http://a:b@host", None),
            ("http://a:b@host:1", Some("1")),
        ] {
            assert_eq!(port(url), expected, "{url}");
        }
    }

    #[test]
    fn silence_and_absence_are_told_apart() {
        let free = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            format!("http://{}", listener.local_addr().unwrap())
        };
        assert_eq!(
            probe(&free, SHORT),
            Err(ProbeError::Refused { url: free.clone() })
        );
        let silent = server("");
        assert!(matches!(
            probe(&silent, Duration::from_millis(50)),
            Err(ProbeError::TimedOut { .. })
        ));
        let rubbish = server("no http\r\n\r\n");
        assert!(matches!(
            probe(&rubbish, SHORT),
            Err(ProbeError::Broken { .. } | ProbeError::BadUrl { .. })
        ));
    }

    #[test]
    fn urls_that_cannot_be_asked_say_why() {
        for url in [
            "https://localhost/health",
            "localhost:5001",
            "ftp://x",
            "http://",
            "http://localhost:99999/health",
            "http://localhost:0/",
            "http://localhost:http/",
            "http://localhost:",
        ] {
            assert!(
                matches!(probe(url, SHORT), Err(ProbeError::BadUrl { .. })),
                "{url}: {:?}",
                probe(url, SHORT)
            );
        }
    }
}

//! The same question over a Unix socket. ureq knows none, and one GET with its answer is little.
//! Imports: `base::unix_socket`.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{BODY_BYTES_MAX, Probe, ProbeError, detail_of};
use crate::base::unix_socket;

/// What such an address begins with: `unix:/run/cvops.sock`.
pub(super) const SCHEME: &str = "unix:";

/// What is asked: an address of this form has no room for it.
const ASKED: &str = "/health/ready";

/// Heads of answers are read up to here, beside the body.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// Asks the server at `path`; `url` is the whole address, for messages.
pub(super) fn probe(url: &str, path: &Path, timeout: Duration) -> Result<Probe, ProbeError> {
    let asked = ask(path, timeout);
    let answer = asked.map_err(|error| problem(url, timeout, &error))?;
    parse(&answer).ok_or_else(|| ProbeError::Broken {
        url: url.to_owned(),
        why: "what it answered is no HTTP".to_owned(),
    })
}

fn ask(path: &Path, timeout: Duration) -> io::Result<Vec<u8>> {
    let begun = Instant::now();
    let mut stream = unix_socket::connect(path)?;
    stream.set_write_timeout(Some(timeout))?;
    let request = format!(
        "GET {ASKED} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nUser-Agent: cvops/{}\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while (answer.len() as u64) < HEAD_BYTES_MAX + BODY_BYTES_MAX {
        let left = timeout.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => break,
            read => answer.extend_from_slice(&piece[..read]),
        }
    }
    Ok(answer)
}

/// Returns status and detail of an answer of which nothing is missing before its body.
fn parse(answer: &[u8]) -> Option<Probe> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut line = head.lines().next()?.split(' ');
    line.next().filter(|word| word.starts_with("HTTP/1."))?;
    let status = line.next()?.parse().ok()?;
    let mut probe = Probe {
        status: (100..600).contains(&status).then_some(status)?,
        detail: None,
    };
    if !probe.is_well() {
        probe.detail = detail_of(&answer[end + 4..]);
    }
    Some(probe)
}

fn problem(url: &str, timeout: Duration, error: &io::Error) -> ProbeError {
    let url = url.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ProbeError::Refused { url },
        // `WouldBlock`: it has no room for another client, or a read took too long.
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ProbeError::TimedOut {
            url,
            after: timeout,
        },
        _ => ProbeError::Broken {
            url,
            why: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::super::probe;
    use super::*;

    const SHORT: Duration = Duration::from_secs(5);

    /// Answers one request with `answer`, or never if it is empty.
    fn server(path: &Path, answer: &'static str) {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let read = stream.read(&mut head).unwrap();
            assert!(head[..read].starts_with(b"GET /health/ready HTTP/1.1\r\n"));
            let _ = stream.write_all(answer.as_bytes());
            if answer.is_empty() {
                // Until the client hangs up.
                let _ = stream.read(&mut head);
            }
        });
    }

    #[test]
    fn a_socket_is_asked_like_a_port() {
        let tmp = tempfile::tempdir().unwrap();
        for (name, answer, status, detail) in [
            ("well", "HTTP/1.1 200 OK\r\n\r\n{}", 200, None),
            (
                "loading",
                "HTTP/1.1 503 x\r\nContent-Length: 26\r\n\r\n{\"detail\": \"no model yet\"}",
                503,
                Some("no model yet"),
            ),
        ] {
            let path = tmp.path().join(name);
            server(&path, answer);
            let found = probe(&format!("unix:{}", path.display()), SHORT).unwrap();
            assert_eq!((found.status, found.detail.as_deref()), (status, detail));
        }
    }

    #[test]
    fn absence_silence_and_rubbish_are_told_apart() {
        let tmp = tempfile::tempdir().unwrap();
        let url = |name: &str| format!("unix:{}", tmp.path().join(name).display());
        let absent = url("absent");
        let expected = Err(ProbeError::Refused {
            url: absent.clone(),
        });
        assert_eq!(probe(&absent, SHORT), expected);
        server(&tmp.path().join("silent"), "");
        assert!(matches!(
            probe(&url("silent"), Duration::from_millis(50)),
            Err(ProbeError::TimedOut { .. })
        ));
        for (name, answer) in [("a", "no http\r\n\r\n"), ("b", "HTTP/1.1 200 OK\r\n")] {
            server(&tmp.path().join(name), answer);
            let found = probe(&url(name), SHORT);
            assert!(matches!(found, Err(ProbeError::Broken { .. })), "{found:?}");
        }
        assert!(matches!(
            probe("unix:", SHORT),
            Err(ProbeError::BadUrl { .. })
        ));
    }
}

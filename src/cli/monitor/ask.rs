//! Asks a server how it is. Imports: base, `monitor::reading`.

use std::time::Duration;

use crate::base::clock;
use crate::base::probe::{self, Bearer, ProbeError};

use super::reading::Reading;

/// A server on this network answers in milliseconds; one that hangs is told of soon.
const PATIENCE: Duration = Duration::from_secs(2);
/// Metrics of one server are some hundred kilobytes at most.
const BYTES_MAX: u64 = 4 << 20;

/// Whom to ask, and as whom.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Asker {
    /// Without a slash at its end.
    url: String,
    key: Option<Bearer>,
}

/// What a look saw.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Seen {
    pub(in crate::cli) reading: Reading,
    /// Why it is not ready, if it says so.
    pub(in crate::cli) why_not_ready: Option<String>,
}

/// Why a look saw nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Trouble {
    /// No server can have such an address.
    BadUrl(String),
    /// Nobody answers.
    Silent(String),
    /// It wants a key, or another one.
    Denied(String),
    /// Somebody answers who is no prediction server.
    Strange(String),
}

impl Trouble {
    /// Says what it is.
    pub(in crate::cli) fn text(&self) -> &str {
        match self {
            Self::BadUrl(text) | Self::Silent(text) | Self::Denied(text) | Self::Strange(text) => {
                text
            }
        }
    }
}

impl Asker {
    pub(in crate::cli) fn new(url: &str, key: Option<Bearer>) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            key,
        }
    }

    pub(in crate::cli) fn url(&self) -> &str {
        &self.url
    }

    /// Looks once.
    pub(in crate::cli) fn look(&self) -> Result<Seen, Trouble> {
        let url = format!("{}/metrics", self.url);
        let read = probe::read_as(self.key.as_ref(), &url, PATIENCE, BYTES_MAX);
        let (status, text) = read.map_err(|error| match error {
            ProbeError::BadUrl { .. } => Trouble::BadUrl(error.to_string()),
            ProbeError::UnknownHost { .. }
            | ProbeError::Refused { .. }
            | ProbeError::TimedOut { .. }
            | ProbeError::Broken { .. } => Trouble::Silent(error.to_string()),
        })?;
        match (status, &self.key) {
            (200, _) => {}
            (401 | 403, None) => {
                return Err(Trouble::Denied(format!("`{url}` wants a key ({status})")));
            }
            (401 | 403, Some(_)) => {
                return Err(Trouble::Denied(format!(
                    "`{url}` does not take this key ({status})"
                )));
            }
            _ => return Err(Trouble::Strange(format!("`{url}` answered {status}"))),
        }
        let reading = Reading::of(&text, clock::now().as_millisecond());
        let reading = reading.ok_or_else(|| {
            Trouble::Strange(format!("`{}` is no prediction server of cvops", self.url))
        })?;
        let why_not_ready = if reading.is_ready() {
            None
        } else {
            let ready = probe::probe(&format!("{}/health/ready", self.url), PATIENCE);
            ready.ok().and_then(|probe| probe.detail)
        };
        Ok(Seen {
            reading,
            why_not_ready,
        })
    }
}

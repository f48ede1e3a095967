//! Who may ask what, and how often: the guard that stands before the routes of a server, asked
//! before a body is read.
//!
//! **Keys.** As soon as the file of keys has one, requests must bring one, as
//! `Authorization: Bearer KEY` or `X-API-Key: KEY`, whose scopes cover what the route needs (`scope`).
//! Health checks, pages and, unless told otherwise, the metrics are open. Without keys everything is
//! open, but what changes a server (`admin`) to programs on this machine only: not to what a proxy
//! hands on and says so, not through a Unix socket that others may open than the server's user, and not
//! to a page in a browser, which could be anybody's (it says with each `POST` where it comes from, in
//! `Origin`: RFC 6454, section 7.3).
//!
//! **Rates.** Each key, and where there are no keys each address (of whom a trusted proxy asks for, if one hands it on), has a bucket (`rates`). Requests
//! with a wrong key take from the bucket of their address, so guessing is limited as well and cannot
//! use up what belongs to a key. Health and metrics are never limited.
//!
//! Nothing here waits: a look-up by hash and a map under a short lock. The file is looked at by `tend`.
//! Imports: base, http, tokio, `serve::metrics` (the reasons that are counted).

mod config;
mod credential;
mod described;
pub(super) mod file;
pub(super) mod key;
mod rates;
mod scope;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::{self, Timestamp};
use crate::base::unix_socket;
use crate::http::header::{HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use crate::http::{Cors, Problem, ProblemCode, StatusCode, Verdict, Visitor};

pub(super) use described::describe;

pub use config::{AccessConfig, CorsConfig, MetricsAccess};
pub use rates::RateLimit;
pub use watched::KeySource;

use self::credential::Credential;
use self::key::{KeyName, Scope};
use self::rates::{Rates, Whose};
use self::scope::{is_limited, scope_of};
use self::watched::{Keys, Known, Watched};
use super::Error;
use super::metrics::Rejection;

/// How often the file of keys is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After so many looks the buckets that are full are forgotten.
const SWEEP_EVERY: u32 = 10;

/// What proxies add to a request: RFC 7239, RFC 9110 (section 7.6.3), and what they did before those.
const HANDED_ON: [&str; 6] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

/// What pages of other origins see of an answer, beside its body.
const EXPOSED: &str = "x-request-id, x-model-name, x-model-version, server-timing, retry-after, \
     ratelimit-limit, ratelimit-remaining, ratelimit-reset, www-authenticate";

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Denied {
    /// It brings no key.
    #[error(
        "this server asks for a key: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
    )]
    NoKey,
    /// What it brings is no key, or two different ones.
    #[error("the headers `Authorization` and `X-API-Key` hold no key that can be read")]
    Unreadable,
    /// Nobody has this key.
    #[error("this key was never given, or was removed")]
    Unknown,
    /// Its time is over.
    #[error("the key `{name}` has expired: ask for another one")]
    Expired {
        /// The key.
        name: KeyName,
    },
    /// The key does not open this.
    #[error("the key `{name}` does not open this: it needs the scope `{needed}`")]
    OutOfScope {
        /// The key.
        name: KeyName,
        /// What it takes.
        needed: Scope,
    },
    /// There are no keys, and this is not for everybody on the network.
    #[error(
        "without keys only the machine that the server runs on may do this: `cvops serve keys add NAME --scope admin` makes a key"
    )]
    FromAfar,
    /// There are no keys, and a proxy on this machine speaks for others.
    #[error(
        "without keys nothing that a proxy hands on may do this: `cvops serve keys add NAME --scope admin` makes a key"
    )]
    HandedOn,
    /// There are no keys, and who is at the other end of the socket cannot be told.
    #[error(
        "without keys this may be done through a Unix socket of the server's user only, and this one is open to others (`serve.unix_access`): `cvops serve keys add NAME --scope admin` makes a key"
    )]
    SharedSocket,
    /// There are no keys, and this is not for whatever page is open in a browser.
    #[error(
        "without keys models are not exchanged for pages in a browser: `cvops serve keys add NAME --scope admin` makes a key"
    )]
    FromPage,
}

impl Denied {
    fn problem(&self) -> Problem {
        let (status, code) = match self {
            Self::NoKey | Self::Unreadable | Self::Unknown | Self::Expired { .. } => {
                (StatusCode::UNAUTHORIZED, "unauthorized")
            }
            Self::OutOfScope { .. } | Self::FromAfar | Self::HandedOn | Self::SharedSocket => {
                (StatusCode::FORBIDDEN, "forbidden")
            }
            Self::FromPage => (StatusCode::FORBIDDEN, "from_page"),
        };
        Problem::new(status, ProblemCode::Other(code), self.to_string())
    }

    /// Returns what would help (RFC 6750, section 3).
    fn challenge(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::NoKey => "Bearer realm=\"cvops\"".to_owned(),
            Self::Unreadable => "Bearer realm=\"cvops\", error=\"invalid_request\"".to_owned(),
            Self::Unknown | Self::Expired { .. } => {
                "Bearer realm=\"cvops\", error=\"invalid_token\"".to_owned()
            }
            Self::OutOfScope { needed, .. } => {
                format!("Bearer realm=\"cvops\", error=\"insufficient_scope\", scope=\"{needed}\"")
            }
            Self::FromAfar | Self::HandedOn | Self::SharedSocket | Self::FromPage => return None,
        };
        HeaderValue::from_str(&text).ok()
    }
}

/// What stands before the routes of a server.
pub(super) struct Access {
    keys: Option<Watched>,
    rates: Option<Rates>,
    metrics: MetricsAccess,
    /// Who may open the Unix socket, if requests come through one.
    socket: unix_socket::Access,
    counted: Box<dyn Fn(Rejection) + Send + Sync>,
}

impl Access {
    /// Reads the keys. `socket` says who may open the Unix socket, where there is one; `counted` is told of
    /// each request that is refused.
    ///
    /// # Errors
    /// Their file is broken; one that was named is not there or has no key.
    pub(super) fn new(
        config: &AccessConfig,
        socket: unix_socket::Access,
        keys: Option<&KeySource>,
        counted: impl Fn(Rejection) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Ok(Self {
            keys: keys.map(Watched::start).transpose()?,
            rates: config.rate_limit.map(Rates::new),
            metrics: config.metrics,
            socket,
            counted: Box::new(counted),
        })
    }

    /// Judges a request before its body is read.
    pub(super) fn judge(&self, visitor: &Visitor<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let Some(needed) = scope_of(visitor.method, visitor.template) else {
            return verdict;
        };
        if needed == Scope::Metrics && self.metrics == MetricsAccess::Open {
            return verdict;
        }
        let keys = self.keys.as_ref().map(Watched::keys);
        let keys = keys.as_deref().filter(|keys| keys.are_required());
        let holder = match keys {
            None => open_to(needed, visitor, self.socket).map(|()| None),
            Some(keys) => holder(keys, visitor, clock::now()).map(Some),
        };
        if let Ok(Some(known)) = &holder {
            verdict.who = Some(Arc::clone(&known.name));
        }
        if let Some(rates) = self.rates.as_ref().filter(|_| is_limited(needed)) {
            let whose = match &holder {
                Ok(Some(known)) => Whose::Key(Arc::clone(&known.name)),
                Ok(None) | Err(_) => Whose::of_peer(visitor.client),
            };
            let share = rates.take(&whose);
            share.write(&mut verdict.headers);
            if let Some(wait) = share.wait {
                (self.counted)(Rejection::RateLimit);
                verdict.problem = Some(too_often(wait));
                return verdict;
            }
        }
        let judged = holder.and_then(|known| match known {
            Some(known) if !known.key.opens(needed) => Err(Denied::OutOfScope {
                name: known.key.name.clone(),
                needed,
            }),
            _ => Ok(()),
        });
        if let Err(denied) = judged {
            (self.counted)(Rejection::Unauthorized);
            if let Some(challenge) = denied.challenge() {
                verdict.headers.insert(WWW_AUTHENTICATE, challenge);
            }
            verdict.problem = Some(denied.problem());
        }
        verdict
    }

    /// Keeps the keys as their file has them and forgets who has not asked for long; for ever.
    pub(super) async fn tend(self: Arc<Self>) {
        if self.keys.is_none() && self.rates.is_none() {
            return;
        }
        for look in 1_u32.. {
            tokio::time::sleep(LOOK_EVERY).await;
            let access = Arc::clone(&self);
            // A panic is in the log already; the next look may do better.
            let _ = tokio::task::spawn_blocking(move || {
                if let Some(keys) = &access.keys {
                    keys.look();
                }
                if look.is_multiple_of(SWEEP_EVERY)
                    && let Some(rates) = &access.rates
                {
                    rates.sweep();
                }
            })
            .await;
        }
    }
}

/// Returns what lets pages of other origins ask, if any may.
pub(super) fn cors(config: &AccessConfig) -> Option<Cors> {
    let cors = config.cors.as_ref()?;
    Some(Cors::new(&cors.origins, cors.max_age, EXPOSED))
}

/// Returns the key that a request brings, if it is valid.
fn holder(keys: &Keys, visitor: &Visitor<'_>, now: Timestamp) -> Result<Arc<Known>, Denied> {
    let mark = match Credential::of(visitor.headers) {
        Credential::None => return Err(Denied::NoKey),
        Credential::Unreadable => return Err(Denied::Unreadable),
        Credential::Key(mark) => mark,
    };
    let known = keys.find(&mark).ok_or(Denied::Unknown)?;
    if known.key.is_expired(now) {
        return Err(Denied::Expired {
            name: known.key.name.clone(),
        });
    }
    Ok(Arc::clone(known))
}

/// Without keys: everybody may ask, and programs on this machine may change what is served.
fn open_to(
    needed: Scope,
    visitor: &Visitor<'_>,
    socket: unix_socket::Access,
) -> Result<(), Denied> {
    match needed {
        Scope::Predict | Scope::Feedback | Scope::Metrics => return Ok(()),
        Scope::Admin => {}
    }
    match visitor.peer {
        Some(peer) if peer.to_canonical().is_loopback() => {}
        Some(_) => return Err(Denied::FromAfar),
        None => match socket {
            unix_socket::Access::Owner => {}
            unix_socket::Access::Group | unix_socket::Access::Everyone => {
                return Err(Denied::SharedSocket);
            }
        },
    }
    // One that adds none of these cannot be told from a program: the guide says so.
    if HANDED_ON
        .into_iter()
        .any(|name| visitor.headers.contains_key(name))
    {
        return Err(Denied::HandedOn);
    }
    if visitor.headers.contains_key(ORIGIN) {
        return Err(Denied::FromPage);
    }
    Ok(())
}

fn too_often(wait: Duration) -> Problem {
    let code = ProblemCode::Other("rate_limit");
    let detail = "too many requests: `Retry-After` says when to ask again";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail).retry_after(wait)
}

#[cfg(test)]
mod tests;

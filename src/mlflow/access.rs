//! Who may do what: the guard that stands before every route but `/health` and `/version`.
//! Imports: base, http, track, tokio, `mlflow::*`.
//!
//! **Who is asked.** Without users a server on the loopback is open to whoever works on this machine.
//! As soon as there is one user, everybody is asked, there as well. A server that other machines
//! reach does not start without users, and answers nobody when the last one goes.
//!
//! **Passwords** (HTTP's basic authentication, RFC 7617) are kept as argon2id. That check takes tens
//! of milliseconds and 19 MiB by design, so a password that was right is recognised for some minutes
//! by its mark under a key that only this process has. Wrong ones always cost the full check; at most
//! `CHECKS` of them go on at once, and after a few for one name further ones must wait, longer each
//! time. A name that nobody has costs as much as one that somebody has, in time and in waiting.
//!
//! **Tokens** (bearer tokens, RFC 6750) are 256 random bits: nothing to try, so their BLAKE3 is looked
//! up and that is all.
//!
//! **Changes count at once.** Every request asks the database (one lookup by key, some microseconds,
//! and a reader never waits there): a token that was removed and a password that was changed by
//! another process open no door any more. The lookup is made on the thread that asks, which is one of
//! those that serve sockets: handing it to another would cost more than it. What is remembered of a password includes the hash that it
//! was checked against.
//!
//! **Foreign pages.** A browser sends a password that it knows by itself, whichever page asks. Requests
//! must therefore come from pages of this server, or from no page at all (`origin`).

mod credentials;
mod known;
pub mod password;
mod pauses;
pub mod token;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::clock;
use crate::base::secret::{Key, Mark};
use crate::http::HeaderMap;
use crate::http::header::{HeaderValue, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use crate::track::db::{self, Bearer, PasswordHash, Role};
use crate::track::{self, Reader, Tracking};

use super::origin;
use super::refused::{Code, Refused};
use super::rest::{Access, User};

use self::credentials::Credentials;
use self::known::Known;
use self::pauses::Pauses;

/// Passwords that are checked at the same time: each takes a core and 19 MiB.
const CHECKS: usize = 2;
/// Requests that may wait for such a check.
const WAITING_MAX: usize = 64;
/// How long they wait for their turn.
const TURN_MAX: Duration = Duration::from_secs(10);

/// What asks a browser's user for name and password; programs do not mind.
const ASK_BASIC: &str = r#"Basic realm="cvops", charset="UTF-8""#;
const ASK_BEARER: &str = r#"Bearer realm="cvops", error="invalid_token""#;

/// Who can reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// This machine alone.
    Loopback,
    /// Other machines.
    Network,
}

/// Why somebody may not pass.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// Nobody was named.
    #[error(
        "this server asks who you are: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    )]
    Anonymous,
    /// The header `Authorization` says nothing that can be read.
    #[error("the header `Authorization` has neither a name with a password nor a token")]
    Unreadable,
    /// Nobody has this name and password.
    #[error("no user has this name and password")]
    WrongPassword,
    /// The token opens nothing.
    #[error("this token was never given, was removed, or has expired")]
    WrongToken,
    /// The last user was removed while the server is on the network.
    #[error("this server has no users: whoever runs it adds one with `cvops ui user add`")]
    NoUsers,
    /// The user may not do this.
    #[error("`{}` may only {}: this needs the role `{needed}`", user.name, verb(user.role))]
    Forbidden {
        /// Who.
        user: db::User,
        /// What it takes.
        needed: Role,
    },
    /// A page of another site asks.
    #[error(
        "the request comes from a page of another site (`{from}`): only pages of this server may ask"
    )]
    ForeignPage {
        /// The page's site.
        from: String,
    },
    /// Several wrong passwords came for this name.
    #[error("too many wrong passwords for this name: wait a little")]
    Paused {
        /// How long.
        wait: Duration,
    },
    /// Too many passwords are to be checked.
    #[error("too many passwords are being checked: ask again")]
    Busy,
    /// The record cannot be read.
    #[error(transparent)]
    Record(#[from] track::Error),
}

fn verb(role: Role) -> &'static str {
    match role {
        Role::Read => "read",
        Role::Write => "read and write",
        Role::Admin => "do everything",
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        let message = denied.to_string();
        let refused = |code| Self::new(code, message);
        match denied {
            Denied::Record(error) => error.into(),
            // RFC 9110, section 15.5.2: a 401 says what would help.
            Denied::Anonymous | Denied::Unreadable | Denied::WrongPassword | Denied::NoUsers => {
                let ask = HeaderValue::from_static(ASK_BASIC);
                refused(Code::Unauthenticated).with(WWW_AUTHENTICATE, ask)
            }
            Denied::WrongToken => {
                let ask = HeaderValue::from_static(ASK_BEARER);
                refused(Code::Unauthenticated).with(WWW_AUTHENTICATE, ask)
            }
            Denied::Forbidden { .. } | Denied::ForeignPage { .. } => {
                refused(Code::PermissionDenied)
            }
            Denied::Paused { wait } => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() != 0);
                refused(Code::RequestLimitExceeded).with(RETRY_AFTER, seconds.into())
            }
            Denied::Busy => refused(Code::TemporarilyUnavailable),
        }
    }
}

fn role(access: Access) -> Role {
    match access {
        Access::Read => Role::Read,
        Access::Write => Role::Write,
        Access::Admin => Role::Admin,
    }
}

/// What the routes know of a user.
fn seen(user: &db::User) -> User {
    User {
        name: user.name.to_string(),
        access: match user.role {
            Role::Read => Access::Read,
            Role::Write => Access::Write,
            Role::Admin => Access::Admin,
        },
    }
}

/// Lets pass who may.
#[derive(Debug)]
pub struct Guard {
    record: Mutex<Tracking>,
    exposure: Exposure,
    pass: Option<Mark>,
    memory: Arc<Memory>,
    checks: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// What a process knows of passwords that it has seen.
#[derive(Debug)]
struct Memory {
    key: Key,
    known: Mutex<Known>,
    pauses: Mutex<Pauses>,
}

/// What the record says about whoever asks.
enum Found {
    NoUsers,
    Login(Option<(db::User, Option<PasswordHash>)>),
    Token(Option<Bearer>),
    Nothing,
}

impl Guard {
    /// Makes a guard for a server that can be reached so far. It has the record for itself: it never
    /// waits for those who read much.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(record: Tracking, exposure: Exposure) -> Result<Self, crate::base::Error> {
        Ok(Self {
            record: Mutex::new(record),
            exposure,
            pass: None,
            memory: Arc::new(Memory {
                key: Key::random()?,
                known: Mutex::default(),
                pauses: Mutex::default(),
            }),
            checks: Arc::new(Semaphore::new(CHECKS)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        })
    }

    /// Lets pass, as somebody without a name, whoever shows this token as well: children of this
    /// process, to which it hands one that nobody else ever sees.
    #[must_use]
    pub fn with_pass(self, pass: Mark) -> Self {
        Self {
            pass: Some(pass),
            ..self
        }
    }

    /// Returns who asks for something that needs `access`, if anybody is asked who they are.
    ///
    /// # Errors
    /// They may not.
    pub async fn check(&self, headers: &HeaderMap, access: Access) -> Result<Option<User>, Denied> {
        // A link on another site may lead here; its scripts, which name their origin, may not ask.
        if (access != Access::Read || headers.contains_key(ORIGIN))
            && let Some(from) = origin::foreign_page(headers)
        {
            return Err(Denied::ForeignPage { from });
        }
        let offered = Credentials::of(headers);
        if let (Credentials::Bearer(shown), Some(pass)) = (&offered, &self.pass)
            && shown == pass
            && access != Access::Admin
        {
            return Ok(None);
        }
        let found = find(lock(&self.record).reader(), &offered)?;
        let user = match (offered, found) {
            (_, Found::NoUsers) if self.exposure == Exposure::Loopback => return Ok(None),
            (_, Found::NoUsers) => return Err(Denied::NoUsers),
            (Credentials::None, _) => return Err(Denied::Anonymous),
            (Credentials::Basic { name, password }, Found::Login(login)) => {
                self.login(&name, password, login).await?
            }
            (Credentials::Bearer(_), Found::Token(bearer)) => holder(bearer)?,
            _ => return Err(Denied::Unreadable),
        };
        let needed = role(access);
        if user.role < needed {
            return Err(Denied::Forbidden { user, needed });
        }
        Ok(Some(seen(&user)))
    }

    async fn login(
        &self,
        name: &str,
        password: String,
        login: Option<(db::User, Option<PasswordHash>)>,
    ) -> Result<db::User, Denied> {
        let (user, stored) = login.map_or((None, None), |(user, stored)| (Some(user), stored));
        let attempt = self.memory.attempt(name, &password, stored.as_ref());
        // The second look is after the wait: another request may have told meanwhile.
        for turn in [false, true] {
            let permit = if turn { Some(self.turn().await?) } else { None };
            if let Some(user) = &user
                && self.memory.is_known(&attempt)
            {
                return Ok(user.clone());
            }
            if let Some(wait) = self.memory.pause(&attempt) {
                return Err(Denied::Paused { wait });
            }
            let Some(permit) = permit else { continue };
            let memory = Arc::clone(&self.memory);
            let checking = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let right = password::matches(&password, stored.as_ref());
                // In here, so that it counts for whoever hangs up before the answer as well.
                memory.learn(&attempt, right);
                right
            });
            return match (checking.await, user) {
                (Ok(true), Some(user)) => Ok(user),
                (Ok(_), _) => {
                    tracing::info!(user = ?name, "wrong name or password");
                    Err(Denied::WrongPassword)
                }
                (Err(_), _) => Err(Denied::Busy),
            };
        }
        Err(Denied::Busy)
    }

    /// Waits until a password may be checked.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Denied> {
        let _place = self.waiting.try_acquire().map_err(|_| Denied::Busy)?;
        let turn = Arc::clone(&self.checks).acquire_owned();
        match tokio::time::timeout(TURN_MAX, turn).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Denied::Busy),
        }
    }
}

fn find(record: Reader<'_>, offered: &Credentials) -> Result<Found, track::Error> {
    let found = match offered {
        Credentials::Basic { name, .. } => {
            let account = record.find_account(name)?;
            Found::Login(account.map(|account| (account.user, account.password)))
        }
        Credentials::Bearer(mark) => Found::Token(record.bearer(mark)?),
        Credentials::None | Credentials::Unreadable => Found::Nothing,
    };
    // Whoever is found is a user.
    match found {
        Found::Login(Some(_)) | Found::Token(Some(_)) => Ok(found),
        _ if record.has_users()? => Ok(found),
        _ => Ok(Found::NoUsers),
    }
}

fn holder(bearer: Option<Bearer>) -> Result<db::User, Denied> {
    let bearer = bearer.ok_or(Denied::WrongToken)?;
    if bearer.expires.is_some_and(|at| at <= clock::now()) {
        return Err(Denied::WrongToken);
    }
    Ok(bearer.user)
}

/// A name with a password, as marks: neither is kept.
#[derive(Clone, Copy)]
struct Attempt {
    name: Mark,
    password: Mark,
}

impl Memory {
    fn attempt(&self, name: &str, password: &str, stored: Option<&PasswordHash>) -> Attempt {
        let (name, stored) = (name.as_bytes(), stored.map_or("", PasswordHash::as_str));
        Attempt {
            name: self.key.mark(&[name]),
            // With the hash that it is checked against: a changed password is not known any more.
            password: self
                .key
                .mark(&[name, stored.as_bytes(), password.as_bytes()]),
        }
    }

    fn is_known(&self, attempt: &Attempt) -> bool {
        lock(&self.known).has(&attempt.name, &attempt.password, Instant::now())
    }

    fn pause(&self, attempt: &Attempt) -> Option<Duration> {
        lock(&self.pauses).of(&attempt.name, Instant::now())
    }

    fn learn(&self, attempt: &Attempt, right: bool) {
        let now = Instant::now();
        if right {
            lock(&self.known).add(attempt.name, attempt.password, now);
            lock(&self.pauses).forget(&attempt.name);
        } else {
            lock(&self.pauses).add(attempt.name, now);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

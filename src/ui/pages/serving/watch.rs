//! Looks at the prediction server and its log while somebody looks at the page: never oftener than
//! once a second, for whoever asks. Imports: base, track, `serving::reading`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::base;
use crate::base::probe::{self, ProbeError};
use crate::track::predictions::{Predictions, Stamp, Window};

use super::reading::{Reading, Traffic};

/// Looks that are younger are used again.
const AGE_MAX: Duration = Duration::from_secs(1);
/// Older ones are not told while somebody looks: who comes waits for the next.
const TOLD_AGE_MAX: Duration = Duration::from_secs(10);
/// A server on this machine answers in milliseconds; a page does not wait long for one that hangs.
const PATIENCE: Duration = Duration::from_secs(1);
/// Metrics of one server are some hundred kilobytes at most.
const METRICS_BYTES_MAX: u64 = 4 << 20;
/// What a server says of its health is short.
const HEALTH_BYTES_MAX: u64 = 64 << 10;
/// How the address of a Unix socket begins.
const UNIX: &str = "unix:";
/// Looks that are remembered.
const LOOKS_MAX: usize = 150;
/// Rates are of this time at most.
const RATE_MS: i64 = 60_000;
/// Predictions that are looked at: the last ones.
const WINDOW: usize = 5000;

/// How the server is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Server {
    /// Nobody answers; why.
    Down(String),
    /// Somebody else answers; what is wrong with it.
    Strange(String),
    /// It is there, and its figures are not to be seen.
    Unseen {
        /// Does it answer predictions, as far as it says so?
        is_ready: Option<bool>,
        /// Why they are not, and what to do.
        why: String,
    },
    /// It answers.
    Up(Box<Up>),
}

/// Returns whom to ask whether the server at `url` is ready.
pub(in crate::ui) fn ready_url(url: &str) -> String {
    let url = url.trim_end_matches('/');
    if url.starts_with(UNIX) {
        url.to_owned()
    } else {
        format!("{url}/health/ready")
    }
}

/// A server that answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Up {
    pub(super) reading: Reading,
    /// Of the last minute, if it was looked at before, else since it began.
    pub(super) traffic: Traffic,
    /// Since it began.
    pub(super) total: Traffic,
    /// Why it is not ready.
    pub(super) why_not_ready: Option<String>,
    /// What went on between looks.
    pub(super) steps: Vec<Step>,
}

/// What went on between two looks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// When the later one was: seconds before the last of all, negative.
    pub(super) at: f64,
    pub(super) traffic: Traffic,
}

/// Remembers what was seen. Who comes while somebody looks gets what is known, and waits only if that
/// is nothing, or old.
#[derive(Debug, Default)]
pub(in crate::ui) struct Watch {
    /// Held while the server is asked.
    state: Mutex<State>,
    server: Known<Server>,
    /// Held while the log is read.
    reading: Mutex<Option<Stamp>>,
    window: Known<Arc<Window>>,
}

/// What was found last, and when.
#[derive(Debug)]
struct Known<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Known<T> {
    fn last(&self) -> Option<(Instant, T)> {
        held(&self.0).clone()
    }

    /// Returns what is known, if at `now` it is younger than `age_max`.
    fn younger(&self, age_max: Duration, now: Instant) -> Option<T> {
        let (at, found) = self.last()?;
        (now.saturating_duration_since(at) < age_max).then_some(found)
    }

    fn put(&self, found: &T) {
        *held(&self.0) = Some((Instant::now(), found.clone()));
    }

    /// Waits for `busy`, unless something of now or a moment ago is known meanwhile.
    fn or_turn<'m, S>(&self, busy: &'m Mutex<S>) -> Result<T, MutexGuard<'m, S>> {
        if let Some(found) = self.younger(AGE_MAX, Instant::now()) {
            return Ok(found);
        }
        let turn = match busy.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => match self.younger(TOLD_AGE_MAX, Instant::now()) {
                Some(found) => return Ok(found),
                None => held(busy),
            },
        };
        // Somebody may have found it while this one waited.
        self.younger(AGE_MAX, Instant::now()).ok_or(turn)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct State {
    looks: VecDeque<Reading>,
}

impl Watch {
    /// Says how the server at `url` is.
    pub(super) fn server(&self, url: &str, now_ms: i64) -> Server {
        match self.server.or_turn(&self.state) {
            Ok(server) => server,
            Err(mut state) => {
                let server = state.look(url, now_ms);
                self.server.put(&server);
                server
            }
        }
    }

    /// Returns the last predictions of the log.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn window(&self, log: &Predictions) -> Result<Arc<Window>, base::Error> {
        let mut of = match self.window.or_turn(&self.reading) {
            Ok(window) => return Ok(window),
            Err(of) => of,
        };
        let stamp = log.stamp()?;
        let window = match self.window.last() {
            Some((_, window)) if of.as_ref() == Some(&stamp) => window,
            _ => Arc::new(log.window(WINDOW)?),
        };
        *of = Some(stamp);
        self.window.put(&window);
        Ok(window)
    }

    /// Something was added to the log: whoever did it wants to see it.
    pub(super) fn forget_window(&self) {
        *held(&self.window.0) = None;
    }
}

impl State {
    fn look(&mut self, url: &str, now_ms: i64) -> Server {
        let url = url.trim_end_matches('/');
        let metrics = probe::read(&format!("{url}/metrics"), PATIENCE, METRICS_BYTES_MAX);
        let text = match metrics {
            Ok((200, text)) => text,
            Ok((status, _)) => {
                self.looks.clear();
                return without_figures(url, status);
            }
            Err(error @ ProbeError::BadUrl { .. }) => {
                self.looks.clear();
                return unreachable(url, &error);
            }
            Err(error) => {
                self.looks.clear();
                return Server::Down(error.to_string());
            }
        };
        let Some(reading) = Reading::of(&text, now_ms) else {
            self.looks.clear();
            return Server::Strange(format!("`{url}` is no prediction server of cvops"));
        };
        let why_not_ready = if reading.is_ready {
            None
        } else {
            let ready = probe::probe(&ready_url(url), PATIENCE);
            ready.ok().and_then(|probe| probe.detail)
        };
        if self.looks.back().is_some_and(|last| !reading.follows(last)) {
            self.looks.clear();
        }
        self.looks.push_back(reading.clone());
        if LOOKS_MAX < self.looks.len() {
            self.looks.pop_front();
        }
        let total = Traffic::until(&reading, None);
        let mut recent = self.looks.iter();
        let first = recent.find(|look| reading.at_ms - look.at_ms <= RATE_MS);
        let first = first.filter(|look| look.at_ms < reading.at_ms);
        Server::Up(Box::new(Up {
            traffic: Traffic::until(&reading, first),
            total,
            why_not_ready,
            steps: self.steps(reading.at_ms),
            reading,
        }))
    }

    fn steps(&self, now_ms: i64) -> Vec<Step> {
        let pairs = self.looks.iter().zip(self.looks.iter().skip(1));
        pairs
            .filter(|(earlier, later)| earlier.at_ms < later.at_ms)
            .map(|(earlier, later)| Step {
                at: (later.at_ms - now_ms) as f64 / 1000.0,
                traffic: Traffic::until(later, Some(earlier)),
            })
            .collect()
    }
}

/// Says why the server at `url` answers `status` instead of its figures.
fn without_figures(url: &str, status: u16) -> Server {
    let why = match status {
        401 | 403 => format!(
            "its metrics want a key ({status}), and this page has none: `serve.open_metrics: true` lets everybody read them, and `cvops monitor` takes a key"
        ),
        404 => "its metrics are answered at an address of their own (`serve.metrics.listen`), which this page does not ask: `cvops monitor http://HOST:PORT` does".to_owned(),
        429 | 503 => format!("it has other things to do ({status})"),
        _ => return Server::Strange(format!("`{url}/metrics` answered {status}")),
    };
    match is_ready(url) {
        Some(is_ready) => Server::Unseen {
            is_ready: Some(is_ready),
            why: format!("The prediction server does not show its figures: {why}."),
        },
        None => Server::Strange(format!("`{url}/metrics` answered {status}")),
    }
}

/// Asks a server of ours whether it is ready; `None`: it is none.
fn is_ready(url: &str) -> Option<bool> {
    let (status, text) = probe::read(&ready_url(url), PATIENCE, HEALTH_BYTES_MAX).ok()?;
    let told: serde_json::Value = serde_json::from_str(&text).ok()?;
    let is_ours = told.get("models").is_some_and(serde_json::Value::is_array);
    is_ours.then_some(status == 200)
}

/// Says of a server that cannot be asked for figures from here whether it is ready.
fn unreachable(url: &str, error: &ProbeError) -> Server {
    let is_ready = probe::probe(&ready_url(url), PATIENCE).ok();
    let why = if url.starts_with(UNIX) {
        "The prediction server listens at a Unix socket, where this page asks for its health only."
            .to_owned()
    } else {
        format!("{error}. `cvops ui --serve-url URL` names another address.")
    };
    Server::Unseen {
        is_ready: is_ready.map(|probe| probe.is_well()),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_be_asked_is_not_taken_for_none() {
        let watch = Watch::default();
        let server = watch.server("https://127.0.0.1:9", 0);
        let Server::Unseen { is_ready, why } = server else {
            panic!("{server:?}");
        };
        assert_eq!(is_ready, None);
        assert!(why.contains("TLS is not spoken here"), "{why}");
        let socket = Watch::default().server("unix:/nowhere/at/all", 0);
        assert!(
            matches!(&socket, Server::Unseen { is_ready: None, why } if why.contains("Unix socket")),
            "{socket:?}"
        );
        assert_eq!(ready_url("unix:/run/s"), "unix:/run/s");
        assert_eq!(ready_url("http://a:1/"), "http://a:1/health/ready");
    }

    #[test]
    fn a_server_that_is_not_there_is_down() {
        let watch = Watch::default();
        let server = watch.server("http://127.0.0.1:9", 0);
        assert!(
            matches!(&server, Server::Down(why) if why.contains("nothing listens")),
            "{server:?}"
        );
        assert!(matches!(
            watch.server("http://127.0.0.1:9/", 0),
            Server::Down(_)
        ));
    }

    #[test]
    fn who_comes_while_somebody_asks_gets_what_is_known() {
        let known = Known::default();
        let busy = Mutex::new(());
        assert!(known.or_turn(&busy).is_err());
        *held(&known.0) = Instant::now().checked_sub(AGE_MAX).map(|at| (at, 7));
        assert!(known.or_turn(&busy).is_err());
        let _asking = busy.lock().unwrap();
        assert_eq!(known.or_turn(&busy).ok(), Some(7));
    }

    #[test]
    fn what_is_old_is_told_to_nobody() {
        let known = Known::default();
        let at = Instant::now();
        *held(&known.0) = Some((at, 7));
        assert_eq!(known.younger(TOLD_AGE_MAX, at), Some(7));
        let second = Duration::from_secs(1);
        assert_eq!(known.younger(TOLD_AGE_MAX, at + 9 * second), Some(7));
        assert_eq!(known.younger(TOLD_AGE_MAX, at + 10 * second), None);
    }
}

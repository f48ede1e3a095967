//! What outlives a server: where the detectors of each model stand, and when a command was last run.
//! Files of `.cvops/drift/`, which one server of a project has at a time. Imports: base, `serve::drift::stream`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::fs::{self, Appender};
use crate::base::{ContentHash, clock};

use super::stream::Progress;

/// The version of the files. Another one is set aside.
const SCHEMA: u64 = 1;
/// Digits of the hash of a model's name in the name of its file: a name may hold what a file's cannot.
const NAME_DIGITS: usize = 16;
/// When a command was last run.
const REACTION: &str = "on-drift.json";
/// Who has the folder holds this file.
const LOCK: &str = "lock";

/// Where the detectors of a model stand.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct State {
    schema: u64,
    pub(super) model: String,
    /// Of the network that they watch.
    pub(super) weights: String,
    /// Of what was fitted.
    pub(super) fitted: String,
    saved_at: String,
    pub(super) detectors: BTreeMap<String, DetectorState>,
}

/// Where a detector stands.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct DetectorState {
    /// Since when it finds drift.
    pub(super) since: Option<String>,
    /// Of a stream, its own account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stream: Option<Value>,
    /// Of a stream, which answers it sees from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) draws: Option<Progress>,
}

/// A command that was run because drift was found.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Ran {
    pub(super) schema: u64,
    pub(super) started_at: String,
    pub(super) model: String,
    pub(super) detector: String,
    /// Once it has ended.
    pub(super) exit_code: Option<i32>,
}

impl State {
    pub(super) fn new(
        model: &str,
        weights: ContentHash,
        fitted: ContentHash,
        detectors: BTreeMap<String, DetectorState>,
    ) -> Self {
        Self {
            schema: SCHEMA,
            model: model.to_owned(),
            weights: weights.to_string(),
            fitted: fitted.to_string(),
            saved_at: clock::now().to_string(),
            detectors,
        }
    }

    /// Says why this is no state of detectors that were fitted as `fitted` to `weights`.
    pub(super) fn misfit(&self, weights: ContentHash, fitted: ContentHash) -> Option<String> {
        if self.weights != weights.to_string() {
            return Some(format!("it belongs to the weights {}", self.weights));
        }
        if self.fitted != fitted.to_string() {
            return Some("the detectors were fitted anew since".to_owned());
        }
        None
    }
}

impl DetectorState {
    /// Where a detector of a window stands: the window itself is not kept.
    pub(super) fn of_window(since: Option<String>) -> Self {
        Self {
            since,
            stream: None,
            draws: None,
        }
    }
}

impl Ran {
    pub(super) fn new(model: &str, detector: &str) -> Self {
        Self {
            schema: SCHEMA,
            started_at: clock::now().to_string(),
            model: model.to_owned(),
            detector: detector.to_owned(),
            exit_code: None,
        }
    }
}

/// What the files begin with.
#[derive(Deserialize)]
struct Head {
    schema: u64,
}

/// The folder.
pub(super) struct Kept {
    dir: PathBuf,
    /// Held while the folder is ours.
    lock: Option<Appender>,
    /// Why it is not, as far as that was told.
    told: Option<String>,
}

impl Kept {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            lock: None,
            told: None,
        }
    }

    /// Returns whether the folder is ours, and takes it if nobody has it. Why it cannot be had is told once.
    pub(super) fn is_ours(&mut self) -> bool {
        let place = self.dir.join(LOCK);
        if self.lock.as_ref().is_some_and(|lock| lock.is_at(&place)) {
            return true;
        }
        // Somebody has removed the folder: what is locked there is another file now.
        self.lock = None;
        let problem = match self.take() {
            Ok(true) => {
                self.told = None;
                return true;
            }
            Ok(false) => "another server of this project has it".to_owned(),
            Err(error) => error.to_string(),
        };
        if self.told.as_ref() != Some(&problem) {
            tracing::warn!(
                folder = %self.dir.display(), problem,
                "where the detectors of drift stand is not kept, and no command is run when they find drift"
            );
            self.told = Some(problem);
        }
        false
    }

    fn take(&mut self) -> io::Result<bool> {
        fs::create_dir_all(&self.dir)?;
        let lock = Appender::open(&self.dir.join(LOCK))?;
        if lock.try_lock()? {
            self.lock = Some(lock);
        }
        Ok(self.lock.is_some())
    }

    /// Returns where the detectors of a model stood. What does not parse is set aside, with a warning.
    ///
    /// # Errors
    /// It cannot be read now: too many open files, a disk that fails, permissions. That says nothing of what it
    /// holds, so it stays where it is.
    pub(super) fn state(&self, model: &str) -> io::Result<Option<State>> {
        Self::read(&self.state_file(model))
    }

    /// Keeps where the detectors of a model stand.
    ///
    /// # Errors
    /// The disk is full or the folder cannot be written.
    pub(super) fn keep(&self, state: &State) -> io::Result<()> {
        write(&self.state_file(&state.model), state)
    }

    /// Puts the file of a model aside, where it can be looked at.
    pub(super) fn set_aside(&self, model: &str, problem: &str) {
        set_aside(&self.state_file(model), problem);
    }

    /// Returns the command that was run last.
    ///
    /// # Errors
    /// As of [`Kept::state`].
    pub(super) fn ran(&self) -> io::Result<Option<Ran>> {
        Self::read(&self.ran_file())
    }

    /// Returns the file of the command that was run last.
    pub(super) fn ran_file(&self) -> PathBuf {
        self.dir.join(REACTION)
    }

    fn state_file(&self, model: &str) -> PathBuf {
        let mut name = ContentHash::of(model.as_bytes()).to_string();
        name.truncate(NAME_DIGITS);
        self.dir.join(format!("state-{name}.json"))
    }

    fn read<T: DeserializeOwned>(file: &Path) -> io::Result<Option<T>> {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let problem = match serde_json::from_slice::<Head>(&bytes) {
            Ok(Head { schema: SCHEMA }) => match serde_json::from_slice(&bytes) {
                Ok(read) => return Ok(Some(read)),
                Err(error) => error.to_string(),
            },
            Ok(Head { schema }) => format!("its schema is {schema}, expected {SCHEMA}"),
            Err(error) => error.to_string(),
        };
        set_aside(file, &problem);
        Ok(None)
    }
}

/// Writes when a command was run.
///
/// # Errors
/// The disk is full or the folder cannot be written.
pub(super) fn keep_ran(file: &Path, ran: &Ran) -> io::Result<()> {
    write(file, ran)
}

fn write(file: &Path, value: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    fs::write_atomic(file, &bytes)
}

fn set_aside(file: &Path, problem: &str) {
    let mut aside = file.as_os_str().to_owned();
    aside.push(".set-aside");
    let aside = PathBuf::from(aside);
    match fs::rename(file, &aside) {
        Ok(()) => tracing::warn!(
            file = %aside.display(), problem,
            "what was kept of drift does not fit and is set aside; the detectors begin anew"
        ),
        Err(error) => tracing::warn!(
            file = %file.display(), problem, %error,
            "what was kept of drift does not fit, and cannot be set aside; the detectors begin anew"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(model: &str) -> State {
        let since = Some("2026-03-01T10:00:00Z".to_owned());
        let stream = Some(serde_json::json!({"time": 5}));
        let one = DetectorState {
            stream,
            ..DetectorState::of_window(since)
        };
        let detectors = BTreeMap::from([("mmd".to_owned(), one)]);
        let (weights, fitted) = (ContentHash::of(b"w"), ContentHash::of(b"f"));
        State::new(model, weights, fitted, detectors)
    }

    #[test]
    fn a_state_is_read_back_and_names_what_it_belongs_to() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = Kept::new(dir.path().join("drift"));
        assert!(kept.is_ours());
        // A name that is no file's.
        for model in ["..", "a b\u{e9}"] {
            let written = state(model);
            assert_eq!(kept.state(model).unwrap(), None);
            kept.keep(&written).unwrap();
            assert_eq!(kept.state(model).unwrap(), Some(written));
        }
        let (weights, fitted) = (ContentHash::of(b"w"), ContentHash::of(b"f"));
        assert_eq!(state("m").misfit(weights, fitted), None);
        let other = ContentHash::of(b"other");
        let of_weights = state("m").misfit(other, fitted).unwrap();
        assert!(of_weights.contains("weights"), "{of_weights}");
        let of_fit = state("m").misfit(weights, other).unwrap();
        assert!(of_fit.contains("fitted anew"), "{of_fit}");
    }

    #[test]
    fn what_does_not_parse_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = Kept::new(dir.path().to_owned());
        assert!(kept.is_ours());
        for text in ["", "{}", "{\"schema\": 2}", "{\"schema\": 1, \"model\": 5}"] {
            let file = kept.state_file("m");
            fs::write_atomic(&file, text.as_bytes()).unwrap();
            assert_eq!(kept.state("m").unwrap(), None, "{text}");
            assert!(!file.exists(), "{text}");
            let aside = file.with_extension("json.set-aside");
            assert_eq!(std::fs::read(aside).unwrap(), text.as_bytes());
        }
        // A folder cannot be read as a file: as little is known of what a file holds that the system cannot read.
        let file = kept.state_file("m");
        fs::create_dir_all(&file).unwrap();
        assert!(kept.state("m").is_err());
        assert!(file.exists(), "it stays");
        fs::write_atomic(&kept.ran_file(), b"[]").unwrap();
        assert_eq!(kept.ran().unwrap(), None);
        let ran = Ran::new("m", "mmd");
        keep_ran(&kept.ran_file(), &ran).unwrap();
        assert_eq!(kept.ran().unwrap(), Some(ran));
    }

    #[test]
    fn one_server_has_the_folder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Kept::new(dir.path().to_owned());
        let mut second = Kept::new(dir.path().to_owned());
        assert!(first.is_ours() && first.is_ours());
        assert!(!second.is_ours());
        drop(first);
        assert!(second.is_ours());
        // The folder is removed, and there again.
        crate::base::fs::remove_dir_all(dir.path()).unwrap();
        assert!(second.is_ours());
        second.keep(&state("m")).unwrap();
        let mut other = Kept::new(dir.path().to_owned());
        assert!(!other.is_ours());
        // A file stands where the folder is to be.
        let mut third = Kept::new(dir.path().join(LOCK));
        assert!(!third.is_ours());
    }
}

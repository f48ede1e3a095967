//! Waiting for a model, and following one of a registry from version to version.
//!
//! Another version is read, checked and warmed up beside the one that is served; only then does the
//! pointer move that requests read. A request keeps the model that it began with, and a batch holds
//! pictures of one model (`queue`), so an exchange fails nobody and mixes nothing: it delays a batch by
//! the time of two blank ones, since a model gets its memory on the thread that will use it. A version
//! that cannot be loaded changes nothing but what is told: an event, a metric, `behind` in `/model`.
//!
//! Imports: base, tokio, `serve::{model, run, service}`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Error;
use super::answer::Behind;
use super::model::{self, Absence, Found, LOOK_EVERY, Model, Origin, Status};
use super::run::{Observer, ServerEvent, ready};
use super::service::Service;

/// After this time a version that could not be loaded is tried again: its files may have come back.
const RETRY_EVERY: Duration = Duration::from_secs(10);

/// Loads what was found and lets requests find it.
///
/// # Errors
/// As `model::load`; what was served before is served on.
pub(super) fn load(service: &Service, found: &Found) -> Result<Arc<Model>, Error> {
    let loaded = model::load(&service.source, found, &service.queue, &service.metrics);
    let model = Arc::new(loaded?);
    service.metrics.loaded(&model);
    service.model.set(Status::Ready(Arc::clone(&model)));
    catch_up(service);
    Ok(model)
}

/// Looks for a model until one can be served; with a registry, as long as the server lives.
pub(super) async fn follow(service: Arc<Service>, observe: Observer) {
    let mut failed: Option<Failed> = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (service, observe) = (Arc::clone(&service), Arc::clone(&observe));
        let seen = failed.clone();
        let looked = tokio::task::spawn_blocking(move || look_once(&service, &observe, seen)).await;
        match looked {
            Ok(Looked::Done) => return,
            Ok(Looked::Again { seen }) => failed = seen,
            // A panic is in the log already; the next look may do better.
            Err(_) => {}
        }
    }
}

/// What could not be loaded.
#[derive(Clone)]
struct Failed {
    found: Found,
    at: Instant,
}

impl Failed {
    /// Would loading it now most likely fail again?
    fn stays(&self, found: &Found) -> bool {
        self.found == *found
            && match found {
                // A change of a file changes what is found.
                Found::Folder(_) => true,
                Found::Version(_) => self.at.elapsed() < RETRY_EVERY,
            }
    }
}

enum Looked {
    /// There is a model, and nothing that could change it.
    Done,
    /// Look again.
    Again {
        /// What could not be loaded, if there is any.
        seen: Option<Failed>,
    },
}

impl Looked {
    const NOTHING: Self = Self::Again { seen: None };
}

fn look_once(service: &Service, observe: &Observer, seen: Option<Failed>) -> Looked {
    let serving = match &*service.model.get() {
        Status::Ready(model) => Some(Arc::clone(model)),
        Status::Absent(_) | Status::Loading | Status::Broken { .. } => None,
    };
    let found = match service.source.look() {
        Ok(found) => found,
        Err(absence) => {
            match (serving, absence) {
                (Some(serving), Absence::Version(problem)) => {
                    fall_behind(service, observe, &serving, None, problem);
                }
                (Some(_), Absence::File(_)) => {}
                (None, absence) => service.model.set(Status::Absent(absence)),
            }
            return Looked::NOTHING;
        }
    };
    if let (Some(serving), Found::Version(named)) = (&serving, &found)
        && serving.version == *named
    {
        catch_up(service);
        return Looked::NOTHING;
    }
    if seen.as_ref().is_some_and(|seen| seen.stays(&found)) {
        return Looked::Again { seen };
    }
    match serving {
        None => begin(service, observe, found),
        Some(serving) => exchange(service, observe, &serving, found),
    }
}

/// Loads the first model.
fn begin(service: &Service, observe: &Observer, found: Found) -> Looked {
    let before = match &*service.model.get() {
        Status::Broken { problem } => Some(problem.clone()),
        Status::Absent(_) | Status::Loading | Status::Ready(_) => None,
    };
    service.model.set(Status::Loading);
    match load(service, &found) {
        Ok(model) => {
            observe(ready(service, &model));
            match service.source.origin {
                Origin::Folder(_) => Looked::Done,
                Origin::Registry(_) => Looked::NOTHING,
            }
        }
        Err(error) => {
            let problem = error.to_string();
            service.model.set(Status::Broken {
                problem: problem.clone(),
            });
            // The lock is written after the model: what it says may change with no file of the model.
            let lock_may_change =
                matches!(error, Error::LockDiffers { .. } | Error::LockAbsent { .. });
            let is_news = before.as_ref() != Some(&problem);
            let is_version = matches!(found, Found::Version(_));
            if is_news || !(lock_may_change || is_version) {
                service.metrics.load_failed();
                observe(ServerEvent::Broken { problem });
            }
            let at = Instant::now();
            let seen = (!lock_may_change).then_some(Failed { found, at });
            Looked::Again { seen }
        }
    }
}

/// Loads another version than the one that is served.
fn exchange(service: &Service, observe: &Observer, serving: &Model, found: Found) -> Looked {
    match load(service, &found) {
        Ok(model) => {
            observe(ready(service, &model));
            Looked::NOTHING
        }
        Err(error) => {
            service.metrics.load_failed();
            let wanted = match &found {
                Found::Version(named) => Some(named.version.clone()),
                Found::Folder(_) => None,
            };
            fall_behind(service, observe, serving, wanted, error.to_string());
            let at = Instant::now();
            Looked::Again {
                seen: Some(Failed { found, at }),
            }
        }
    }
}

/// Tells, once, why `serving` goes on.
fn fall_behind(
    service: &Service,
    observe: &Observer,
    serving: &Model,
    version: Option<String>,
    problem: String,
) {
    let behind = Behind { version, problem };
    if service.behind.load().as_deref() == Some(&behind) {
        return;
    }
    let Behind { version, problem } = behind.clone();
    service.metrics.behind(true);
    service.behind.store(Some(Arc::new(behind)));
    observe(ServerEvent::Behind {
        wanted: version,
        serving: serving.version.version.clone(),
        problem,
    });
}

/// The version that is meant is served.
fn catch_up(service: &Service) {
    service.metrics.behind(false);
    service.behind.store(None);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::sync::atomic::AtomicBool;
    use std::sync::{Mutex, mpsc};

    use arc_swap::ArcSwapOption;

    use super::*;
    use crate::serve::config;
    use crate::serve::metrics::Metrics;
    use crate::serve::model::tests::BUILD;
    use crate::serve::model::{
        Brought, LockState, ModelSlot, ModelSource, Named, Registry, Strictness,
    };
    use crate::serve::queue::Queue;
    use crate::serve::worker::{self, Batching};
    use crate::vision::artifact::ModelArtifact;

    /// A registry in which the test says what is named, and where the files are.
    #[derive(Default)]
    struct Shelf {
        named: Mutex<Option<u8>>,
        dirs: Mutex<BTreeMap<String, PathBuf>>,
    }

    impl Registry for Shelf {
        fn named(&self) -> Result<Named, String> {
            let named = *self.named.lock().unwrap();
            let version = named.ok_or("no `champion`")?.to_string();
            Ok(Named {
                version,
                alias: Some("champion".to_owned()),
                run_id: None,
            })
        }

        fn bring(&self, named: &Named) -> Result<Brought, String> {
            let dirs = self.dirs.lock().unwrap();
            let dir = dirs.get(&named.version).ok_or("its files are gone")?;
            Ok(Brought {
                dir: dir.clone(),
                kept: Box::new(()),
            })
        }
    }

    fn service(shelf: &Arc<Shelf>) -> Service {
        let registry = prometheus::Registry::new();
        let queue = Arc::new(Queue::new(1));
        let metrics = Metrics::new(&registry, "tiny", "", BUILD, &queue).unwrap();
        let batching = Batching {
            max: 1,
            wait: Duration::ZERO,
        };
        worker::start(Arc::clone(&queue), batching).unwrap();
        Service {
            log: None,
            config: config::tests::read("").unwrap(),
            source: ModelSource {
                origin: Origin::Registry(Arc::clone(shelf) as Arc<dyn Registry>),
                shown: PathBuf::from("models:/tiny@champion"),
                name: "tiny".to_owned(),
                check: Arc::new(|_| LockState::Absent),
                strictness: Strictness::Warn,
                made_by: None,
            },
            build: BUILD,
            model: ModelSlot::new(Status::Loading),
            behind: ArcSwapOption::empty(),
            queue,
            metrics,
            registry,
            draining: AtomicBool::new(false),
        }
    }

    /// What a look did: the version that is served, and what was told.
    fn look(service: &Service, seen: &mut Option<Failed>) -> (String, Vec<String>) {
        let (sender, events) = mpsc::channel();
        let sender = Mutex::new(sender);
        let observe: Observer = Arc::new(move |event| {
            let told = match event {
                ServerEvent::Ready { version, .. } => format!("ready {}", version.unwrap()),
                ServerEvent::Behind { problem, .. } => format!("behind: {problem}"),
                ServerEvent::Broken { problem } => format!("broken: {problem}"),
                other => format!("{other:?}"),
            };
            sender.lock().unwrap().send(told).unwrap();
        });
        match look_once(service, &observe, seen.take()) {
            Looked::Again { seen: now } => *seen = now,
            Looked::Done => panic!("a registry is followed as long as the server lives"),
        }
        let serving = service.ready().map_or_else(
            |_| "nothing".to_owned(),
            |model| model.version.version.clone(),
        );
        (serving, events.try_iter().collect())
    }

    #[test]
    fn a_version_is_exchanged_only_for_one_that_loads() {
        let dir = tempfile::tempdir().unwrap();
        ModelArtifact::tiny().save(dir.path()).unwrap();
        let shelf = Arc::new(Shelf::default());
        for version in ["1", "3"] {
            let mut dirs = shelf.dirs.lock().unwrap();
            dirs.insert(version.to_owned(), dir.path().to_owned());
        }
        let service = service(&shelf);
        let mut seen = None;
        let mut after = |named: Option<u8>| {
            *shelf.named.lock().unwrap() = named;
            let (serving, told) = look(&service, &mut seen);
            let behind = service.behind.load().as_deref().cloned();
            (serving, told.join(", "), behind.map(|b| b.version))
        };
        let is = |serving: &str, told: &str, behind| (serving.to_owned(), told.to_owned(), behind);
        let missing = "behind: version 2 of `tiny` cannot be loaded: its files are gone";
        let two = Some("2".to_owned());
        assert_eq!(after(None), is("nothing", "", None));
        assert_eq!(after(Some(1)), is("1", "ready 1", None));
        assert_eq!(after(Some(1)), is("1", "", None));
        assert_eq!(after(Some(2)), is("1", missing, Some(two.clone())));
        // Told once, and not tried each second.
        assert_eq!(after(Some(2)), is("1", "", Some(two)));
        assert_eq!(after(Some(1)), is("1", "", None));
        assert_eq!(after(None), is("1", "behind: no `champion`", Some(None)));
        assert_eq!(after(Some(3)), is("3", "ready 3", None));
        service.queue.close();
    }
}

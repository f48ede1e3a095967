//! Loading models while the server runs: waiting for one, following one of a registry from version to
//! version, and doing what an operator asks for.
//!
//! Another version is read, checked and warmed up beside the one that is served; only then does the
//! pointer move that requests read. A request keeps the model that it began with, and a batch holds
//! pictures of one model (`queue`), so an exchange fails nobody and mixes nothing: it delays a batch by
//! the time of two blank ones, since a model gets its memory on the thread that will use it. A version
//! that cannot be loaded changes nothing but what is told: an event, a metric, `behind` in `/model`.
//!
//! A place without a model looks once a second whether its folder is complete. A folder that does not
//! load is tried again when one of its files changes; one that was loaded is read again only when an
//! operator says so.
//!
//! Imports: tokio, `serve::{model, run, served, service, source}`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Error;
use super::answer::Behind;
use super::model::{self, Model, Status};
use super::run::{About, ServerEvent};
use super::served::{Order, Place, Served};
use super::service::Service;
use super::source::{Absence, Found, Origin, Target};

/// How often a place without a model looks for one, and a registry is asked which version is meant.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After this time a version that could not be loaded is tried again: its files may have come back.
const RETRY_EVERY: Duration = Duration::from_secs(10);

/// Loads what was found and lets requests find it.
///
/// # Errors
/// As `model::load`; what was served before is served on.
fn load(
    service: &Service,
    served: &Served,
    place: &Place,
    found: &Found,
) -> Result<Arc<Model>, Error> {
    let model = model::load(&place.source, found, &service.queue, |version, classes| {
        served.metrics.of_model(version, classes)
    })?;
    let model = Arc::new(model);
    served.metrics.loaded(model.load_time);
    place.slot.set(Status::Ready(Arc::clone(&model)));
    served.tell();
    catch_up(served, place);
    give_back(service);
    Ok(model)
}

/// Returns to the system what the files took on this thread, and the weights on the model thread, where
/// they were put into the form in which they are multiplied.
fn give_back(service: &Service) {
    (service.give_back)();
    // Without an answer the server is about to end.
    let _ = service.queue.on_model_thread(service.give_back);
}

/// Looks at a place for the first time; returns what is to be told of it.
///
/// # Errors
/// What is there cannot be loaded.
pub(super) fn first(
    service: &Service,
    served: &Served,
    place: &Place,
) -> Result<ServerEvent, Error> {
    match place.source.look(None) {
        Ok(found) => {
            let model = load(service, served, place, &found)?;
            Ok(ready(place, &model))
        }
        Err(absence) => {
            place.slot.set(Status::Absent(absence.clone()));
            Ok(ServerEvent::NoModel {
                about: About::of(place),
                said: place.source.absence(&absence),
                absence,
            })
        }
    }
}

/// Notes that what is there cannot be loaded.
pub(super) fn broken(served: &Served, place: &Place, error: &Error) -> ServerEvent {
    let problem = error.to_string();
    served.metrics.load_failed();
    place.slot.set(Status::Broken {
        problem: problem.clone(),
    });
    let about = About::of(place);
    ServerEvent::Broken { about, problem }
}

/// Which place of a server is followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlaceId {
    /// Position of the model.
    pub(super) served: usize,
    /// Position of the place among its places.
    pub(super) place: usize,
}

/// Looks at a place as long as something may change by itself.
pub(super) async fn follow(service: Arc<Service>, id: PlaceId) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let service = Arc::clone(&service);
        let looked = tokio::task::spawn_blocking(move || {
            let served = service.models.get(id.served)?;
            let place = served.places().nth(id.place)?;
            look(&service, served, place);
            Some(())
        });
        // A panic is in the log already; the next look may do better.
        if let Ok(None) = looked.await {
            return;
        }
    }
}

fn look(service: &Service, served: &Served, place: &Place) {
    // Whoever exchanges the model now sees what there is.
    let Some(mut order) = place.try_order() else {
        return;
    };
    if order.is_unloaded {
        return;
    }
    let serving = place.model();
    if let (Some(serving), Origin::Folder(_)) = (&serving, &place.source.origin) {
        evaluate(served, place, serving);
        return;
    }
    let found = match place.source.look(order.target.as_ref()) {
        Ok(found) => found,
        Err(absence) => {
            match (serving, absence) {
                (Some(serving), Absence::Version(problem)) => {
                    fall_behind(service, served, place, &serving, None, problem);
                }
                (Some(_), Absence::File(_)) => {}
                (None, absence) => place.slot.set(Status::Absent(absence)),
            }
            order.failed = None;
            return;
        }
    };
    if let (Some(serving), Found::Version(named)) = (&serving, &found)
        && serving.version == *named
    {
        catch_up(served, place);
        order.failed = None;
        return;
    }
    let stays_broken = order.failed.as_ref().is_some_and(|(failed, at)| {
        *failed == found
            && match found {
                // A change of a file changes what is found.
                Found::Folder(_) => true,
                Found::Version(_) => at.elapsed() < RETRY_EVERY,
            }
    });
    if stays_broken {
        return;
    }
    match serving {
        None => begin(service, served, place, &mut order, found),
        Some(serving) => exchange(service, served, place, &mut order, &serving, found),
    }
}

/// A folder may be evaluated after it was loaded, or once more.
fn evaluate(served: &Served, place: &Place, serving: &Model) {
    let scores = (place.source.evaluated)();
    if **serving.scores.load() != scores {
        serving.scores.store(Arc::new(scores));
        served.tell();
    }
}

/// Loads the first model.
fn begin(service: &Service, served: &Served, place: &Place, order: &mut Order, found: Found) {
    let before = match &*place.slot.get() {
        Status::Broken { problem } => Some(problem.clone()),
        Status::Absent(_) | Status::Loading | Status::Unloaded | Status::Ready(_) => None,
    };
    place.slot.set(Status::Loading);
    match load(service, served, place, &found) {
        Ok(model) => {
            order.failed = None;
            (service.observe)(ready(place, &model));
        }
        Err(error) => {
            let problem = error.to_string();
            // The lock is written after the model: what it says may change with no file of the model.
            let lock_may_change =
                matches!(error, Error::LockDiffers { .. } | Error::LockAbsent { .. });
            let is_news = before.as_ref() != Some(&problem);
            let is_version = matches!(found, Found::Version(_));
            if is_news || !(lock_may_change || is_version) {
                (service.observe)(broken(served, place, &error));
            } else {
                place.slot.set(Status::Broken { problem });
            }
            order.failed = (!lock_may_change).then(|| (found, Instant::now()));
        }
    }
}

/// Loads another version than the one that is served.
fn exchange(
    service: &Service,
    served: &Served,
    place: &Place,
    order: &mut Order,
    serving: &Model,
    found: Found,
) {
    match load(service, served, place, &found) {
        Ok(model) => {
            order.failed = None;
            (service.observe)(ready(place, &model));
        }
        Err(error) => {
            served.metrics.load_failed();
            let wanted = match &found {
                Found::Version(named) => Some(named.version.clone()),
                Found::Folder(_) => None,
            };
            fall_behind(service, served, place, serving, wanted, error.to_string());
            order.failed = Some((found, Instant::now()));
        }
    }
}

/// Why a model was not loaded when an operator asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotLoaded {
    /// A folder has neither versions nor aliases.
    NoVersions,
    /// What is meant is not there, or cannot be loaded; what was served, if anything, goes on.
    Failed(String),
}

/// Loads a model anew, or the version that `target` means, which is then followed instead of what the
/// server was started with. Blocks.
///
/// # Errors
/// Nothing has changed.
pub(super) fn reload(
    service: &Service,
    served: &Served,
    target: Option<Target>,
) -> Result<Arc<Model>, NotLoaded> {
    let place = &served.main;
    if target.is_some() && matches!(place.source.origin, Origin::Folder(_)) {
        return Err(NotLoaded::NoVersions);
    }
    let mut order = place.order();
    let meant = target.or_else(|| order.target.clone());
    let found = place.source.look(meant.as_ref());
    let found = found.map_err(|absence| NotLoaded::Failed(place.source.absence(&absence)))?;
    match load(service, served, place, &found) {
        Ok(model) => {
            *order = Order {
                target: meant,
                failed: None,
                is_unloaded: false,
            };
            (service.observe)(ready(place, &model));
            Ok(model)
        }
        Err(error) => {
            served.metrics.load_failed();
            tracing::warn!(model = served.name, %error, "a model was to be loaded, and cannot be");
            Err(NotLoaded::Failed(error.to_string()))
        }
    }
}

/// Takes a model out of service until it is loaded again, with its canary and its shadow. Requests that hold
/// it end on it. Blocks.
pub(super) fn unload(served: &Served) {
    let place = &served.main;
    let mut order = place.order();
    order.is_unloaded = true;
    place.slot.set(Status::Unloaded);
    served.tell();
    catch_up(served, place);
}

/// Tells, once, why `serving` goes on.
fn fall_behind(
    service: &Service,
    served: &Served,
    place: &Place,
    serving: &Model,
    version: Option<String>,
    problem: String,
) {
    let behind = Behind { version, problem };
    if place.behind.load().as_deref() == Some(&behind) {
        return;
    }
    let Behind { version, problem } = behind.clone();
    place.behind.store(Some(Arc::new(behind)));
    note_behind(served);
    (service.observe)(ServerEvent::Behind {
        about: About::of(place),
        wanted: version,
        serving: serving.version.version.clone(),
        problem,
    });
}

/// The version that is meant is served.
fn catch_up(served: &Served, place: &Place) {
    if place.behind.swap(None).is_some() {
        note_behind(served);
    }
}

fn note_behind(served: &Served) {
    let is_behind = served.places().any(|place| place.behind.load().is_some());
    served.metrics.behind.set(i64::from(is_behind));
}

fn ready(place: &Place, model: &Model) -> ServerEvent {
    ServerEvent::Ready {
        about: About::of(place),
        version: match place.source.origin {
            Origin::Folder(_) => None,
            Origin::Registry(_) => Some(model.version.version.clone()),
        },
        classes: model.predictor.model().classes.len(),
        took: model.load_time,
    }
}

//! A model as it is served: the version that answers, one that answers a share of the requests in its
//! stead (canary), and one that is asked as well and only compared (shadow). Imports: base, arc-swap,
//! `serve::{source, model, answer, drift, model_metrics}`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use arc_swap::ArcSwapOption;

use crate::base::ContentHash;

use super::answer::Behind;
use super::drift::Tap;
use super::model::{Model, ModelSlot, Status};
use super::model_metrics::ServedMetrics;
use super::source::{Found, ModelSource, Target};

/// What a version is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It answers.
    Main,
    /// It answers a share of the requests.
    Canary,
    /// It is asked as well, and its answer only compared.
    Shadow,
}

impl Role {
    /// Returns the word of metrics and answers.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}

/// One version's place: where it comes from, and what requests find.
pub(super) struct Place {
    pub(super) role: Role,
    pub(super) source: ModelSource,
    pub(super) slot: ModelSlot,
    /// Why another version than the one that is meant is served, if so.
    pub(super) behind: ArcSwapOption<Behind>,
    order: Mutex<Order>,
}

/// What a place is to load. Whoever loads holds it, so loads of one place take turns.
#[derive(Default)]
pub(super) struct Order {
    /// What an operator asked for, instead of what the server was started with.
    pub(super) target: Option<Target>,
    /// What could not be loaded, and when that was tried.
    pub(super) failed: Option<(Found, Instant)>,
    /// An operator took the model out of service.
    pub(super) is_unloaded: bool,
}

impl Place {
    pub(super) fn new(role: Role, source: ModelSource) -> Self {
        Self {
            role,
            source,
            slot: ModelSlot::new(Status::Loading),
            behind: ArcSwapOption::empty(),
            order: Mutex::default(),
        }
    }

    /// Waits for its turn.
    pub(super) fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As `order`, unless somebody else has it.
    pub(super) fn try_order(&self) -> Option<MutexGuard<'_, Order>> {
        match self.order.try_lock() {
            Ok(order) => Some(order),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Returns the model that is here, if it is ready.
    pub(super) fn model(&self) -> Option<Arc<Model>> {
        match &*self.slot.get() {
            Status::Ready(model) => Some(Arc::clone(model)),
            Status::Absent(_) | Status::Loading | Status::Broken { .. } | Status::Unloaded => None,
        }
    }

    /// Says why there is no model, and what to do.
    pub(super) fn why_not_ready(&self, status: &Status) -> String {
        let name = &self.source.name;
        match status {
            Status::Ready(_) => format!("the model `{name}` is ready"),
            Status::Loading => format!("the model `{name}` is being loaded"),
            Status::Absent(absence) => self.source.absence(absence),
            Status::Broken { problem } => format!("the model `{name}` cannot be loaded: {problem}"),
            Status::Unloaded => {
                format!("the model `{name}` was unloaded; `POST /models/{name}/reload` loads it")
            }
        }
    }
}

/// A version that answers a share of the requests.
pub(super) struct Canary {
    pub(super) place: Place,
    /// 0 to 1.
    pub(super) share: f64,
}

/// A model that is served under a name.
pub(super) struct Served {
    pub(super) name: String,
    pub(super) main: Place,
    pub(super) canary: Option<Canary>,
    pub(super) shadow: Option<Place>,
    pub(super) metrics: ServedMetrics,
    /// Where its answers go to be watched for drift, if that is wanted.
    pub(super) drift: Option<Arc<Tap>>,
}

/// Which version of a model is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// Whichever is to answer requests with this key: the canary gets its share of all keys.
    Any { key: &'a str },
    /// This version.
    Version(&'a str),
    /// The version that is served under this alias.
    Alias(&'a str),
}

impl Served {
    /// Returns all places, the main one first.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        let canary = self.canary.iter().map(|canary| &canary.place);
        std::iter::once(&self.main)
            .chain(canary)
            .chain(&self.shadow)
    }

    /// Returns all models that are in memory, with their role and the share of the requests that each
    /// answers.
    pub(super) fn models(&self) -> Vec<(Role, f64, Arc<Model>)> {
        let canary = self
            .canary
            .as_ref()
            .and_then(|c| Some((c.share, c.place.model()?)));
        let rest = 1.0 - canary.as_ref().map_or(0.0, |(share, _)| *share);
        let main = self.main.model().map(|model| (Role::Main, rest, model));
        let canary = canary.map(|(share, model)| (Role::Canary, share, model));
        let shadow = self.shadow_model().map(|model| (Role::Shadow, 0.0, model));
        main.into_iter().chain(canary).chain(shadow).collect()
    }

    /// Returns the model that is to be compared with the one that answers.
    pub(super) fn shadow_model(&self) -> Option<Arc<Model>> {
        self.shadow.as_ref()?.model()
    }

    /// Returns how far the version of one of its places is, as requests meet it: while an operator has the
    /// model out of service, no version of it answers.
    pub(super) fn status(&self, place: &Place) -> Arc<Status> {
        let main = self.main.slot.get();
        match &*main {
            Status::Unloaded => main,
            Status::Ready(_) | Status::Absent(_) | Status::Loading | Status::Broken { .. } => {
                place.slot.get()
            }
        }
    }

    /// Returns the model that answers; `None` if it is not ready, or there is no such version.
    pub(super) fn find(&self, wanted: Wanted<'_>) -> Option<Arc<Model>> {
        if self.is_unloaded() {
            return None;
        }
        let mut models = self.places().filter_map(Place::model);
        match wanted {
            Wanted::Any { key } => {
                // While the main version is not ready, nothing is: a canary is no substitute.
                let main = self.main.model()?;
                let canary = self.canary.as_ref();
                let chosen = canary.filter(|canary| is_in_share(key, canary.share));
                // A canary that is not ready leaves its share to the main version.
                Some(
                    chosen
                        .and_then(|canary| canary.place.model())
                        .unwrap_or(main),
                )
            }
            Wanted::Version(version) => models.find(|model| model.version.version == version),
            Wanted::Alias(alias) => {
                models.find(|model| model.version.alias.as_deref() == Some(alias))
            }
        }
    }

    fn is_unloaded(&self) -> bool {
        matches!(&*self.main.slot.get(), Status::Unloaded)
    }

    /// Notes in the metrics what is served now.
    pub(super) fn tell(&self) {
        let models = if self.is_unloaded() {
            Vec::new()
        } else {
            self.models()
        };
        let told: Vec<(Role, f64, &Model)> = models
            .iter()
            .map(|(role, share, model)| (*role, *share, &**model))
            .collect();
        self.metrics.tell(&told, self.main.source.version_before());
    }
}

/// Does `key` belong to this share of all keys? The same key always does or never.
fn is_in_share(key: &str, share: f64) -> bool {
    // Another hash than that of the prediction log's sample, so that both choose independently.
    let hash = ContentHash::of(format!("canary:{key}").as_bytes());
    let first = hash.as_bytes().first_chunk::<8>().copied();
    let place = u64::from_le_bytes(first.unwrap_or_default());
    (place as f64) < share * 2.0_f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_gets_its_share_and_keys_stick_to_it() {
        let keys: Vec<String> = (0..10_000).map(|i| format!("key-{i}")).collect();
        let within = |share: f64| keys.iter().filter(|key| is_in_share(key, share)).count();
        assert_eq!((within(0.0), within(1.0)), (0, 10_000));
        // Five standard deviations around 2,000: sqrt(10,000 × 0.2 × 0.8) = 40.
        assert!((1800..2200).contains(&within(0.2)), "{}", within(0.2));
        // A larger share holds the smaller one: nobody is moved back when it grows.
        let grown = |key: &&String| is_in_share(key, 0.2) && !is_in_share(key, 0.5);
        assert_eq!(keys.iter().filter(grown).count(), 0);
    }
}

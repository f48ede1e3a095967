//! One model that is served, with the detectors that watch it: which they are, and whether they may look.
//! Imports: base, detect, `serve::{run, served, model}`, `serve::drift::*`.
//!
//! What may look is judged anew whenever the model is another one, or a file of the detectors' folder is.
//! A folder that goes away while its detectors look changes nothing: a fit that writes it anew takes the old
//! one away first.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::hash::{HashAlgo, hash_file};
use crate::base::{Cancel, ContentHash, ToDiagnostics};
use crate::detect;
use crate::detect::features::Input;
use crate::detect::fitted::Fitted;
use crate::serve::model::Model;
use crate::serve::run::{Observer, ServerEvent};
use crate::serve::served::Served;

use super::active::{Active, Pace, can_look, guarded};
use super::config::Every;
use super::kept::{Kept, State};
use super::metrics::DriftMetrics;
use super::rate::Rate;
use super::reaction::DriftFound;
use super::seen::{Seen, Tapped, Wants};
use super::shown::DriftInfo;
use super::source::{DriftEvent, DriftSource, Given, Stamp};
use super::standing::{News, Standing};
use super::tap::Tap;

/// The file of the folder that says what was fitted.
const FITTED_FILE: &str = "drift.json";

/// While answers come that nobody may look at, that is counted at least so often.
const REFUSED_EVERY: Duration = Duration::from_mins(1);

/// What all models share.
pub(super) struct Around {
    pub(super) metrics: DriftMetrics,
    pub(super) observe: Observer,
    pub(super) pace: Pace,
    pub(super) cancel: Cancel,
}

/// A model with its detectors.
pub(super) struct Watched {
    served: Arc<Served>,
    tap: Arc<Tap>,
    source: DriftSource,
    phase: Phase,
    /// What was judged last: the weights, and what the folder held.
    judged: Option<(ContentHash, Option<Stamp>)>,
    rate: Rate,
    /// Of answers that somebody judged.
    judged_rate: Rate,
    /// Did anything change since it was kept?
    is_changed: bool,
    /// Is it still to be read where the detectors stood? What is kept must not be written over before.
    is_unread: bool,
}

/// What becomes of answers.
enum Phase {
    /// There are no detectors, and nobody misses them.
    Nothing,
    /// There are some, or should be, and they may not look at answers of these weights.
    Refused(Refused),
    /// They look.
    Active(Box<Active>),
}

struct Refused {
    weights: ContentHash,
    /// Pictures since the last one that was counted as a check that could not be.
    fresh: u64,
    counted_at: Instant,
}

impl Watched {
    pub(super) fn new(served: Arc<Served>, tap: Arc<Tap>, source: DriftSource) -> Self {
        Self {
            served,
            tap,
            source,
            phase: Phase::Nothing,
            judged: None,
            rate: Rate::new(Instant::now()),
            judged_rate: Rate::new(Instant::now()),
            is_changed: false,
            is_unread: false,
        }
    }

    /// Is this the model at the position `served`?
    pub(super) fn is_at(&self, served: usize) -> bool {
        self.tap.is_at(served)
    }

    /// Judges which detectors may look, if that may have changed.
    pub(super) fn look(&mut self, around: &Around, mut kept: Option<&mut Kept>) {
        if self.is_unread
            && let Some(kept) = kept.as_deref_mut()
        {
            self.read_again(around, kept);
        }
        let Some(model) = self.served.main.model() else {
            // Nothing is answered; what comes next is judged then.
            return;
        };
        let stamp = Stamp::of(&self.source.dir);
        let now = (model.weights, stamp);
        if self.judged.as_ref() == Some(&now) {
            return;
        }
        let is_same_model =
            matches!(&self.phase, Phase::Active(active) if active.weights() == model.weights);
        if is_same_model && now.1.is_none() {
            return;
        }
        let has_folder = now.1.is_some();
        self.judged = Some(now);
        if !has_folder {
            match self.source.given {
                Given::Usual => self.become_nothing(around),
                Given::Named => {
                    let problem = format!(
                        "there are no fitted detectors in `{}`; `cvops drift fit` makes them",
                        self.source.shown.display()
                    );
                    self.refuse(around, &model, &problem);
                }
            }
            return;
        }
        match guarded(|| self.load(&model)) {
            // Written anew, and the same.
            Ok((_, id)) if is_same_model && self.is_fitted_as(id) => {}
            Ok((fitted, id)) => self.begin(around, kept, &model, fitted, id),
            Err(problem) => self.refuse(around, &model, &problem),
        }
    }

    /// Reads the detectors and whether they are the model's.
    fn load(&self, model: &Model) -> Result<(Fitted, ContentHash), String> {
        let shown = self.source.shown.display();
        let file = self.source.dir.join(FITTED_FILE);
        let id = hash_file(HashAlgo::Blake3, &file);
        let id = id.map_err(|e| format!("`{shown}/{FITTED_FILE}` cannot be read: {e}"))?;
        let fitted = Fitted::load(&self.source.dir).map_err(|e| told(&e))?;
        let misfit = fitted.require_model(model.predictor.model());
        misfit.map_err(|e| format!("`{shown}`: {}", told(&e)))?;
        if !can_look(&fitted, known(model)) {
            return Err(format!(
                "none of the detectors in `{shown}` can look at answers of this model: embeddings are known of networks that were trained here, errors to streams alone (`drift.online`); add one of softmax, label, entropy, margin or properties to `drift.detectors`, then run `cvops drift fit`"
            ));
        }
        Ok((fitted, id))
    }

    fn is_fitted_as(&self, id: ContentHash) -> bool {
        matches!(&self.phase, Phase::Active(active) if active.id == id)
    }

    fn become_nothing(&mut self, around: &Around) {
        self.leave(around);
        self.phase = Phase::Nothing;
        self.tap.open(false);
        self.tap.show(None);
    }

    fn refuse(&mut self, around: &Around, model: &Model, problem: &str) {
        self.leave(around);
        self.phase = Phase::Refused(Refused {
            weights: model.weights,
            fresh: 0,
            counted_at: Instant::now(),
        });
        around.metrics.refused(&self.served.name);
        self.tap.open(true);
        self.tap.show(Some(DriftInfo::refused(problem)));
        let problem = problem.to_owned();
        self.tell(around, DriftEvent::Refused { problem });
    }

    fn begin(
        &mut self,
        around: &Around,
        kept: Option<&mut Kept>,
        model: &Model,
        fitted: Fitted,
        id: ContentHash,
    ) {
        self.leave(around);
        let mut active = Active::new(fitted, id, around.pace, known(model), Instant::now());
        let name = &self.served.name;
        self.is_unread = false;
        if let Some(kept) = kept
            && kept.is_ours()
            && let Err(error) = take_up(&mut active, name, kept)
        {
            tracing::warn!(
                model = name, %error,
                "where the detectors of drift stood cannot be read; it is tried again every second"
            );
            self.is_unread = true;
        }
        for standing in active.standings() {
            around.metrics.begin(name, standing);
        }
        let wants = active.wants();
        if wants.properties {
            around.metrics.begin_properties(name);
        }
        let mut detectors: Vec<String> = active.standings().map(|one| one.name.clone()).collect();
        if let Some(outliers) = active.outliers() {
            around.metrics.begin_outliers(name, outliers);
            detectors.push(outliers.name.clone());
        }
        let left_out = active.left_out.clone();
        self.rate = Rate::new(Instant::now());
        self.judged_rate = Rate::new(Instant::now());
        self.phase = Phase::Active(Box::new(active));
        self.is_changed = false;
        self.tap.want(model.weights, wants);
        self.tap.open(true);
        self.show(around);
        self.tell(
            around,
            DriftEvent::Watching {
                detectors,
                left_out,
            },
        );
    }

    /// Tries again to take up where the detectors stood.
    fn read_again(&mut self, around: &Around, kept: &Kept) {
        let Phase::Active(active) = &mut self.phase else {
            self.is_unread = false;
            return;
        };
        let name = &self.served.name;
        if take_up(active, name, kept).is_ok() {
            self.is_unread = false;
            for standing in active.standings() {
                around.metrics.begin(name, standing);
            }
        }
    }

    /// Ends what the detectors so far say.
    fn leave(&self, around: &Around) {
        if let Phase::Active(active) = &self.phase {
            for standing in active.standings() {
                around.metrics.end(&self.served.name, &standing.name);
            }
            if let Some(outliers) = active.outliers() {
                let name = &self.served.name;
                around.metrics.end_outliers(name, &outliers.name);
            }
        }
        self.tap.want_nothing();
    }

    fn tell(&self, around: &Around, event: DriftEvent) {
        (around.observe)(ServerEvent::Drift {
            model: self.served.name.clone(),
            event,
        });
    }

    /// Is this an answer of a model that the detectors were not judged for yet?
    pub(super) fn is_new(&self, tapped: &Tapped) -> bool {
        let judged = self.judged.as_ref().map(|(weights, _)| *weights);
        judged != Some(tapped.weights)
            && self
                .served
                .main
                .model()
                .is_some_and(|model| model.weights == tapped.weights)
    }

    /// Takes what was seen; returns whether there was an alarm.
    pub(super) fn take(&mut self, around: &Around, tapped: Tapped) -> bool {
        let answer = match tapped.seen {
            Seen::Answer(answer) => answer,
            Seen::Feedback { correct } => return self.hear(around, tapped.weights, correct),
        };
        let now = Instant::now();
        match &mut self.phase {
            Phase::Nothing => false,
            // A canary's answers, or the last of an earlier model.
            Phase::Refused(refused) if refused.weights != tapped.weights => false,
            Phase::Active(active) if active.weights() != tapped.weights => false,
            Phase::Refused(refused) => {
                refused.fresh += 1;
                if refused.is_due(around.pace.every, now) {
                    (refused.fresh, refused.counted_at) = (0, now);
                    around.metrics.refused(&self.served.name);
                }
                false
            }
            Phase::Active(active) if !active.can_take(&answer) => {
                around.metrics.dropped(&self.served.name).inc();
                false
            }
            Phase::Active(active) => {
                self.rate.add();
                self.is_changed = true;
                let name = &self.served.name;
                if let Some(properties) = &answer.properties {
                    around.metrics.properties(name, properties);
                }
                let scored = active.score(&answer, now);
                if let (Some(scored), Some(outliers)) = (scored, active.outliers()) {
                    around.metrics.scored(name, &outliers.name, scored.ok());
                }
                let (weights, mut is_alarm) = (active.weights(), false);
                active.take(answer, now, &mut |standing, news| {
                    is_alarm |= looked(around, &self.served, weights, standing, news);
                });
                is_alarm
            }
        }
    }

    /// Takes whether an answer of the network with these `weights` was right; returns whether there was an
    /// alarm.
    fn hear(&mut self, around: &Around, weights: ContentHash, correct: bool) -> bool {
        let Phase::Active(active) = &mut self.phase else {
            return false;
        };
        // A canary's answers, or those of an earlier model.
        if active.weights() != weights {
            return false;
        }
        self.judged_rate.add();
        self.is_changed = true;
        let mut is_alarm = false;
        active.hear(correct, Instant::now(), &mut |standing, news| {
            is_alarm |= looked(around, &self.served, weights, standing, news);
        });
        is_alarm
    }

    /// Compares the window, if it is time to; returns whether there was an alarm.
    pub(super) fn check(&mut self, around: &Around) -> bool {
        let Phase::Active(active) = &mut self.phase else {
            return false;
        };
        let now = Instant::now();
        if !active.is_due(now) {
            return false;
        }
        self.is_changed = true;
        let (weights, mut is_alarm) = (active.weights(), false);
        active.check(now, &around.cancel, &mut |standing, news| {
            is_alarm |= looked(around, &self.served, weights, standing, news);
        });
        self.show(around);
        is_alarm
    }

    /// Begins anew; returns whether there is anything that could.
    pub(super) fn reset(&mut self, around: &Around) -> bool {
        let Phase::Active(active) = &mut self.phase else {
            return false;
        };
        active.reset(Instant::now());
        // What was kept is forgotten as well, read or not.
        self.is_unread = false;
        for standing in active.standings() {
            around.metrics.begin(&self.served.name, standing);
        }
        self.is_changed = true;
        self.show(around);
        true
    }

    /// Tells what follows from the time alone, and shows how everything stands.
    pub(super) fn tick(&mut self, around: &Around) {
        let Phase::Active(active) = &self.phase else {
            return;
        };
        let images_per_s = self.rate.per_second(Instant::now());
        let judged_per_s = self.judged_rate.per_second(Instant::now());
        for standing in active.standings() {
            if let Some(false_alarm) = standing.false_alarm {
                let seconds = false_alarm.seconds(if standing.input == Input::Error {
                    judged_per_s
                } else {
                    images_per_s
                });
                let name = &self.served.name;
                around.metrics.false_alarm(name, &standing.name, seconds);
            }
        }
        self.show(around);
    }

    fn show(&self, around: &Around) {
        let Phase::Active(active) = &self.phase else {
            return;
        };
        let images = active.window_images();
        for standing in active.windowed() {
            around
                .metrics
                .window(&self.served.name, &standing.name, images);
        }
        self.tap.show(Some(DriftInfo::watched(active)));
    }

    /// Returns the drift that has lasted for so long, if any has.
    pub(super) fn lasting(&self, after: Duration) -> Option<DriftFound> {
        let Phase::Active(active) = &self.phase else {
            return None;
        };
        let now = Instant::now();
        let lasts = |one: &&Standing| one.held_for(now).is_some_and(|held| after <= held);
        let standing = active.standings().find(lasts)?;
        Some(found(&self.served, active.weights(), standing))
    }

    /// Keeps where the detectors stand, if that changed.
    pub(super) fn keep(&mut self, kept: &mut Kept) {
        let Phase::Active(active) = &self.phase else {
            return;
        };
        if !self.is_changed || self.is_unread || !kept.is_ours() {
            return;
        }
        let name = &self.served.name;
        let state = State::new(name, active.weights(), active.id, active.state());
        match kept.keep(&state) {
            Ok(()) => self.is_changed = false,
            Err(error) => tracing::warn!(
                model = name, %error,
                "where the detectors of drift stand cannot be kept; they go on"
            ),
        }
    }
}

impl Refused {
    /// Is a check missed, or a minute without one over?
    fn is_due(&self, every: Every, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.counted_at);
        let is_missed = match every {
            Every::Images(images) => images <= self.fresh,
            Every::Time(time) => time <= passed,
        };
        is_missed || REFUSED_EVERY <= passed
    }
}

/// Returns what is found out about pictures that this model answers, if somebody wants to know.
fn known(model: &Model) -> Wants {
    Wants {
        embedding: model.predictor.embedding_width().is_some(),
        properties: true,
    }
}

/// Says what is wrong, and what to do.
fn told(error: &detect::Error) -> String {
    let help = error.to_diagnostics().into_iter().find_map(|d| d.help);
    help.map_or_else(|| error.to_string(), |help| format!("{error}; {help}"))
}

/// Goes on where the detectors of `model` stood, as far as that is kept and fits.
fn take_up(active: &mut Active, model: &str, kept: &Kept) -> io::Result<()> {
    let Some(state) = kept.state(model)? else {
        return Ok(());
    };
    let misfit = state.misfit(active.weights(), active.id);
    let problem = misfit.or_else(|| {
        let problems = active.resume(&state.detectors);
        (!problems.is_empty()).then(|| problems.join("; "))
    });
    if let Some(problem) = problem {
        kept.set_aside(&state.model, &problem);
    }
    Ok(())
}

/// Tells what a detector says after a look at answers of these weights; returns whether that is an
/// alarm.
fn looked(
    around: &Around,
    served: &Served,
    weights: ContentHash,
    standing: &Standing,
    news: News,
) -> bool {
    let name = &served.name;
    around.metrics.looked(name, standing);
    match news {
        News::None => false,
        News::Problem => {
            let (detector, problem) = (&standing.name, &standing.problem);
            tracing::warn!(
                model = name,
                detector,
                problem,
                "a detector of drift cannot look"
            );
            false
        }
        News::Alarm => {
            let event = DriftEvent::Found(found(served, weights, standing));
            (around.observe)(ServerEvent::Drift {
                model: name.clone(),
                event,
            });
            true
        }
    }
}

fn found(served: &Served, weights: ContentHash, standing: &Standing) -> DriftFound {
    // Another one may have taken its place meanwhile.
    let model = served.main.model().filter(|model| model.weights == weights);
    DriftFound {
        model: served.name.clone(),
        version: model.map_or_else(String::new, |model| model.version.version.clone()),
        detector: standing.name.clone(),
        p_value: standing.p_value,
        score: standing.score,
        threshold: standing.threshold,
        since: standing.since.map_or_else(String::new, |at| at.to_string()),
    }
}

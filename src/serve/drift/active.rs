//! The detectors of one model at work: a window of its last answers, which is compared with the
//! reference, and streams that see them as they come.
//! Imports: base, detect, `serve::drift::*`.
//!
//! The window keeps of an answer what its detectors look at: at most so many rows of probabilities and
//! embeddings.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::base::{Cancel, ContentHash, clock};
use crate::detect::checked::{Checked, Detected, Outcome};
use crate::detect::fitted::{Fitted, Selection};
use crate::detect::{Input, OutlierScore};

use super::config::Every;
use super::kept::DetectorState;
use super::outliers::{Outliers, Scored};
use super::seen::{Answer, Wants, features};
use super::standing::{FalseAlarm, Looks, News, Said, Standing};
use super::stream::Stream;

/// After a check, the monitor rests for so many times as long: at most a tenth of a core is its share.
const REST: u32 = 9;
/// Memory of a window; a check takes a few times as much.
const WINDOW_BYTES_MAX: usize = 64 << 20;

/// Who is told after each look of a detector.
pub(super) type Tell<'t> = dyn FnMut(&Standing, News) + 't;

/// What is compared when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Pictures in the window.
    pub(super) window: usize,
    /// When it is compared again.
    pub(super) every: Every,
}

/// Detectors that look at the answers of one model.
pub(super) struct Active {
    fitted: Fitted,
    /// Of the file that says what was fitted.
    pub(super) id: ContentHash,
    pace: Pace,
    window: VecDeque<Answer>,
    /// What the detectors of the window look at.
    window_wants: Wants,
    /// What all detectors together look at.
    wants: Wants,
    /// Pictures in it that were not compared yet.
    fresh: u64,
    compared_at: Instant,
    rest_until: Instant,
    windowed: Vec<Standing>,
    streams: Vec<Stream>,
    outliers: Option<Outliers>,
    /// Pictures since the beginning.
    pub(super) images: u64,
    /// Names of detectors that cannot look here.
    pub(super) left_out: Vec<String>,
}

/// Can a stream look at it, where this is `known` of pictures? Of errors, feedback tells.
fn comes_in_stream(input: Input, known: Wants) -> bool {
    input == Input::Error || known.include(input)
}

/// Does a server that finds out `known` about pictures know what any of these detectors look at?
pub(super) fn can_look(fitted: &Fitted, known: Wants) -> bool {
    let of_windows = fitted.detectors().map(|one| one.input);
    let mut of_streams = fitted.watches().iter().map(|watch| watch.input);
    let of_outliers = fitted.outliers().map(OutlierScore::input);
    let mut others = of_windows.chain(of_outliers);
    others.any(|input| known.include(input))
        || of_streams.any(|input| comes_in_stream(input, known))
}

impl Active {
    /// Has the fitted detectors begin, as far as they look at what is `known` of pictures here.
    pub(super) fn new(
        fitted: Fitted,
        id: ContentHash,
        pace: Pace,
        known: Wants,
        now: Instant,
    ) -> Self {
        let mut left_out = Vec::new();
        let mut windowed = Vec::new();
        for one in fitted.detectors() {
            if !known.include(one.input) {
                left_out.push(one.name.clone());
                continue;
            }
            let (name, test) = (one.name.clone(), one.test.name());
            windowed.push(Standing::new(name, one.input, Looks::Window, test));
        }
        let mut streams: Vec<Stream> = Vec::new();
        for (at, watch) in fitted.watches().iter().enumerate() {
            if !comes_in_stream(watch.input, known) {
                left_out.push(watch.name.clone());
                continue;
            }
            streams.push(Stream::new(at, watch, fitted.seed()));
        }
        let mut outliers: Option<Outliers> = None;
        if let Some(score) = fitted.outliers() {
            let found = Outliers::new(score, now);
            if known.include(score.input()) {
                outliers = Some(found);
            } else {
                left_out.push(found.name);
            }
        }
        let of_streams = streams.iter().map(|stream| &stream.standing);
        let inputs = windowed.iter().chain(of_streams).map(|one| one.input);
        let of_outliers = outliers.as_ref().map(|one| one.input);
        let wants = Wants::of(inputs.chain(of_outliers));
        let window_wants = Wants::of(windowed.iter().map(|one| one.input));
        Self {
            fitted,
            id,
            pace,
            window: VecDeque::with_capacity(pace.window),
            window_wants,
            wants,
            fresh: 0,
            compared_at: now,
            rest_until: now,
            windowed,
            streams,
            outliers,
            images: 0,
            left_out,
        }
    }

    /// Returns the weights whose answers it looks at.
    pub(super) fn weights(&self) -> ContentHash {
        self.fitted.model()
    }

    /// Returns how full the window is.
    pub(super) fn window_images(&self) -> usize {
        self.window.len()
    }

    /// Returns how large it is.
    pub(super) fn window_max(&self) -> usize {
        self.pace.window
    }

    /// Returns the detectors that compare the window.
    pub(super) fn windowed(&self) -> &[Standing] {
        &self.windowed
    }

    /// Returns all detectors, those of the window first.
    pub(super) fn standings(&self) -> impl Iterator<Item = &Standing> {
        let streams = self.streams.iter().map(|stream| &stream.standing);
        self.windowed.iter().chain(streams)
    }

    /// Returns what is to be found out about pictures.
    pub(super) fn wants(&self) -> Wants {
        self.wants
    }

    /// Returns what scores single pictures.
    pub(super) fn outliers(&self) -> Option<&Outliers> {
        self.outliers.as_ref()
    }

    /// Is all known of an answer that is looked at? Not of the few that were asked before this began.
    pub(super) fn can_take(&self, answer: &Answer) -> bool {
        answer.has(self.wants)
    }

    /// Scores an answer, if single pictures are scored and this one's turn has come.
    pub(super) fn score(
        &mut self,
        answer: &Answer,
        now: Instant,
    ) -> Option<Result<Scored, String>> {
        let outliers = self.outliers.as_mut()?;
        outliers.score(&self.fitted, answer, now)
    }

    /// Takes an answer: into the window, and before the streams whose turn it is.
    pub(super) fn take(&mut self, answer: Answer, now: Instant, tell: &mut Tell<'_>) {
        self.images += 1;
        for stream in &mut self.streams {
            stream.take(&self.fitted, &answer, now, tell);
        }
        let answer = answer.only(self.window_wants);
        self.fit_window(answer.bytes());
        while self.pace.window <= self.window.len() {
            self.window.pop_front();
        }
        self.window.push_back(answer);
        self.fresh += 1;
    }

    /// Makes the window smaller if so many answers of `bytes` would take too much memory.
    fn fit_window(&mut self, bytes: usize) {
        let most = (WINDOW_BYTES_MAX / bytes.max(1)).max(1);
        if self.pace.window <= most {
            return;
        }
        tracing::warn!(
            model_weights = %self.fitted.model().short(),
            asked = self.pace.window,
            images = most,
            "the window of the drift detectors is smaller than asked for: its answers are wide",
        );
        self.pace.window = most;
        if let Every::Images(images) = self.pace.every {
            self.pace.every = Every::Images(images.min(most as u64));
        }
    }

    /// Takes what somebody said about an answer: whether it was right.
    pub(super) fn hear(&mut self, correct: bool, now: Instant, tell: &mut Tell<'_>) {
        for stream in &mut self.streams {
            stream.hear(&self.fitted, correct, now, tell);
        }
    }

    /// Is it time to compare the window?
    pub(super) fn is_due(&self, now: Instant) -> bool {
        if self.windowed.is_empty() || now < self.rest_until {
            return false;
        }
        match self.pace.every {
            Every::Images(images) => images <= self.fresh && self.window.len() == self.pace.window,
            Every::Time(time) => {
                0 < self.fresh && time <= now.saturating_duration_since(self.compared_at)
            }
        }
    }

    /// Compares the window with the reference, if it is full.
    pub(super) fn check(&mut self, began: Instant, cancel: &Cancel, tell: &mut Tell<'_>) {
        (self.fresh, self.compared_at) = (0, began);
        if self.window.len() < self.pace.window {
            for standing in &mut self.windowed {
                let news = standing.waits();
                tell(standing, news);
            }
            return;
        }
        let checked = guarded(|| {
            let features = features(&self.window)?;
            let checked = self.fitted.check(&features, Selection::Possible, cancel);
            checked.map_err(|e| e.to_string())
        });
        self.rest_until = Instant::now() + began.elapsed() * REST;
        if cancel.is_requested() {
            return;
        }
        match checked {
            Ok(checked) => self.apply(&checked, tell),
            Err(problem) => {
                for standing in &mut self.windowed {
                    let news = standing.failed(problem.clone());
                    tell(standing, news);
                }
            }
        }
    }

    fn apply(&mut self, checked: &Checked, tell: &mut Tell<'_>) {
        let (at, now) = (clock::now(), Instant::now());
        let every = self.pace.every;
        for standing in &mut self.windowed {
            let mut all = checked.detectors.iter();
            let found = all.find(|one| one.name == standing.name);
            let news = match found.map(|one| (one, &one.outcome)) {
                Some((one, Outcome::Measured(_))) => {
                    standing.false_alarm = Some(false_alarm(one.alpha, every));
                    standing.said(said(one), at, now)
                }
                Some((_, Outcome::Failed(problem))) => standing.failed(problem.clone()),
                None => standing.failed("it was not computed: this is a bug in cvops".to_owned()),
            };
            tell(standing, news);
        }
    }

    /// Begins anew.
    pub(super) fn reset(&mut self, now: Instant) {
        self.window.clear();
        (self.fresh, self.images, self.compared_at) = (0, 0, now);
        for standing in &mut self.windowed {
            standing.reset();
        }
        for stream in &mut self.streams {
            stream.reset();
        }
    }

    /// Returns where each detector stands, to be kept.
    pub(super) fn state(&self) -> BTreeMap<String, DetectorState> {
        let of_window = |standing: &Standing| {
            let since = standing.since.map(|at| at.to_string());
            (standing.name.clone(), DetectorState::of_window(since))
        };
        let of_stream = |stream: &Stream| (stream.standing.name.clone(), stream.state());
        let windowed = self.windowed.iter().map(of_window);
        windowed.chain(self.streams.iter().map(of_stream)).collect()
    }

    /// Goes on where the detectors stood; returns what is wrong with the states that do not fit, whose
    /// detectors begin anew.
    pub(super) fn resume(&mut self, states: &BTreeMap<String, DetectorState>) -> Vec<String> {
        let mut problems = Vec::new();
        let since = |state: &DetectorState| state.since.as_ref().and_then(|at| at.parse().ok());
        for standing in &mut self.windowed {
            if let Some(state) = states.get(&standing.name) {
                standing.resume(since(state));
            }
        }
        for stream in &mut self.streams {
            let Some(state) = states.get(&stream.standing.name) else {
                continue;
            };
            if let Err(problem) = stream.resume(state, since(state)) {
                problems.push(format!("`{}`: {problem}", stream.standing.name));
            }
        }
        problems
    }
}

/// Returns what a detector of the window says.
fn said(one: &Detected) -> Said {
    let Some(measured) = one.measured() else {
        return Said::default();
    };
    // Benjamini and Hochberg compare the smallest p with this, where no larger one is significant.
    let least = one.alpha / measured.features.len().max(1) as f64;
    Said {
        is_drift: measured.is_drift,
        p_value: Some(measured.p_val),
        score: measured.statistic,
        threshold: Some(measured.threshold.unwrap_or(least)),
    }
}

/// A check is wrong once in 1/α; between two of them are so many pictures, or so much time. Windows
/// that overlap err together: then it is longer.
fn false_alarm(alpha: f64, every: Every) -> FalseAlarm {
    match every {
        Every::Images(images) => FalseAlarm::Images(images as f64 / alpha),
        Every::Time(time) => FalseAlarm::Seconds(time.as_secs_f64() / alpha),
    }
}

/// Does `work`; a panic in it is an error: the thread must go on.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("this is a bug in cvops: the detector panicked".to_owned()))
}

#[cfg(test)]
mod tests;

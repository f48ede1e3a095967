//! How a detector stands: what it said last, and since when. Imports: base, detect.

use std::time::{Duration, Instant};

use crate::base::clock::Timestamp;
use crate::detect::features::Input;

/// Drift that was found once may be chance, however long ago that was.
const HELD_LOOKS_MIN: u64 = 2;

/// What a detector looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// The last pictures together.
    Window,
    /// One after the other.
    Stream,
}

impl Looks {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Stream => "stream",
        }
    }
}

/// What came of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookResult {
    Ok,
    Drift,
    Error,
    TooFew,
}

impl LookResult {
    pub(super) const ALL: [Self; 4] = [Self::Ok, Self::Drift, Self::Error, Self::TooFew];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Drift => "drift",
            Self::Error => "error",
            Self::TooFew => "too_few",
        }
    }
}

/// How far a detector is from a false alarm, on average, while nothing moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum FalseAlarm {
    /// So many pictures.
    Images(f64),
    /// So many seconds, as it looks by the clock.
    Seconds(f64),
}

impl FalseAlarm {
    /// Returns the seconds between two, where so many pictures come per second.
    pub(super) fn seconds(self, images_per_s: f64) -> f64 {
        match self {
            Self::Images(images) => images / images_per_s,
            Self::Seconds(seconds) => seconds,
        }
    }
}

/// What a detector measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Said {
    /// Does this look find drift?
    pub(super) is_drift: bool,
    pub(super) p_value: Option<f64>,
    pub(super) score: Option<f64>,
    /// What the p-value, or else the score, is compared with.
    pub(super) threshold: Option<f64>,
}

/// What is new after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that has to be told.
    None,
    /// Drift, where the look before found none; of a stream, the first since the beginning.
    Alarm,
    /// It could not look, for another reason than before.
    Problem,
}

/// A detector as it stands.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) name: String,
    pub(super) input: Input,
    pub(super) looks: Looks,
    /// How it compares.
    pub(super) method: &'static str,
    /// Of the last look.
    pub(super) result: Option<LookResult>,
    /// Did the last look find drift? Of a stream: was there an alarm since the beginning?
    pub(super) is_detected: bool,
    pub(super) p_value: Option<f64>,
    pub(super) score: Option<f64>,
    pub(super) threshold: Option<f64>,
    /// When drift was found first since the beginning; of a window, since it was last compared without finding
    /// any.
    pub(super) since: Option<Timestamp>,
    /// When it last measured something.
    pub(super) looked_at: Option<Timestamp>,
    /// Why the last look came to nothing.
    pub(super) problem: Option<String>,
    pub(super) false_alarm: Option<FalseAlarm>,
    /// Since when each look has found drift, and how many looks those are.
    held: Option<(Instant, u64)>,
}

impl Standing {
    pub(super) fn new(name: String, input: Input, looks: Looks, method: &'static str) -> Self {
        Self {
            name,
            input,
            looks,
            method,
            result: None,
            is_detected: false,
            p_value: None,
            score: None,
            threshold: None,
            since: None,
            looked_at: None,
            problem: None,
            false_alarm: None,
            held: None,
        }
    }

    /// Notes what a look measured.
    pub(super) fn said(&mut self, said: Said, at: Timestamp, now: Instant) -> News {
        self.problem = None;
        self.looked_at = Some(at);
        (self.p_value, self.score, self.threshold) = (said.p_value, said.score, said.threshold);
        if !said.is_drift {
            self.result = Some(LookResult::Ok);
            self.held = None;
            if self.looks == Looks::Window {
                self.is_detected = false;
                // It is over; the next one is told again.
                self.since = None;
            }
            return News::None;
        }
        self.result = Some(LookResult::Drift);
        self.is_detected = true;
        let (since, looks) = self.held.unwrap_or((now, 0));
        self.held = Some((since, looks + 1));
        if self.since.is_some() {
            return News::None;
        }
        self.since = Some(at);
        News::Alarm
    }

    /// Notes that a look could not be. What was found before stays: not to know is not to find nothing.
    pub(super) fn failed(&mut self, problem: String) -> News {
        self.result = Some(LookResult::Error);
        self.held = None;
        let news = if self.problem.as_ref() == Some(&problem) {
            News::None
        } else {
            News::Problem
        };
        self.problem = Some(problem);
        news
    }

    /// Notes that there is too little to look at yet.
    pub(super) fn waits(&mut self) -> News {
        self.result = Some(LookResult::TooFew);
        self.held = None;
        self.problem = None;
        News::None
    }

    /// Begins anew.
    pub(super) fn reset(&mut self) {
        let name = std::mem::take(&mut self.name);
        *self = Self {
            false_alarm: self.false_alarm,
            ..Self::new(name, self.input, self.looks, self.method)
        };
    }

    /// Takes over an alarm of another life of the server.
    pub(super) fn resume(&mut self, since: Option<Timestamp>) {
        self.since = since;
        // The window is gone; a stream goes on where it stood.
        self.is_detected = self.looks == Looks::Stream && since.is_some();
    }

    /// Returns whether drift was found; `None` before anybody could have found any.
    pub(super) fn detected(&self) -> Option<bool> {
        (self.looked_at.is_some() || self.is_detected).then_some(self.is_detected)
    }

    /// Returns how long all looks, of which there are several, have found drift.
    pub(super) fn held_for(&self, now: Instant) -> Option<Duration> {
        let (since, looks) = self.held?;
        (HELD_LOOKS_MIN <= looks).then(|| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock;

    fn drift(p_value: f64) -> Said {
        Said {
            is_drift: p_value < 0.05,
            p_value: Some(p_value),
            ..Said::default()
        }
    }

    #[test]
    fn a_window_tells_of_its_last_look_and_a_stream_of_its_first_alarm() {
        let (at, now) = (clock::now(), Instant::now());
        for (looks, found_at_last) in [(Looks::Window, false), (Looks::Stream, true)] {
            let mut one = Standing::new("one".to_owned(), Input::Softmax, looks, "ks");
            assert_eq!(one.detected(), None);
            one.waits();
            assert_eq!(one.detected(), None, "there was too little to look at");
            assert_eq!(one.said(drift(0.5), at, now), News::None);
            assert_eq!(one.said(drift(0.01), at, now), News::Alarm);
            assert_eq!((one.is_detected, one.since), (true, Some(at)));
            assert_eq!(one.said(drift(0.01), at, now), News::None, "told already");
            assert_eq!(one.said(drift(0.5), at, now), News::None);
            let since = found_at_last.then_some(at);
            assert_eq!((one.detected(), one.since), (Some(found_at_last), since));
            // What a stream has found stays; a window has lost it, and finds it anew.
            let again = if found_at_last {
                News::None
            } else {
                News::Alarm
            };
            assert_eq!(one.said(drift(0.01), at, now), again);
            one.reset();
            assert_eq!((one.detected(), one.since), (None, None));
            assert_eq!(one.said(drift(0.01), at, now), News::Alarm, "after a reset");
        }
    }

    #[test]
    fn a_look_that_fails_keeps_what_was_found_and_is_told_once() {
        let (at, now) = (clock::now(), Instant::now());
        let mut one = Standing::new("one".to_owned(), Input::Softmax, Looks::Window, "ks");
        one.said(drift(0.01), at, now);
        assert_eq!(one.failed("no".to_owned()), News::Problem);
        assert_eq!(one.failed("no".to_owned()), News::None);
        assert!(one.is_detected);
        assert_eq!(one.result, Some(LookResult::Error));
        assert_eq!(one.failed("another".to_owned()), News::Problem);
        one.said(drift(0.5), at, now);
        assert_eq!((one.is_detected, &one.problem), (false, &None));
    }

    #[test]
    fn drift_holds_while_every_look_finds_it_and_once_is_not_enough() {
        let (at, now) = (clock::now(), Instant::now());
        let later = |minutes| now + Duration::from_mins(minutes);
        let mut one = Standing::new("one".to_owned(), Input::Softmax, Looks::Window, "ks");
        one.said(drift(0.01), at, now);
        assert_eq!(one.held_for(later(60)), None);
        one.said(drift(0.01), at, later(1));
        assert_eq!(one.held_for(later(2)), Some(Duration::from_mins(2)));
        one.said(drift(0.5), at, later(3));
        one.said(drift(0.01), at, later(4));
        assert_eq!(one.held_for(later(9)), None);
        one.said(drift(0.01), at, later(10));
        assert_eq!(one.held_for(later(10)), Some(Duration::from_mins(6)));
    }

    #[test]
    fn false_alarms_are_rarer_where_less_comes() {
        assert_eq!(FalseAlarm::Images(500.0).seconds(10.0), 50.0);
        assert_eq!(FalseAlarm::Images(500.0).seconds(0.0), f64::INFINITY);
        assert_eq!(FalseAlarm::Seconds(7.0).seconds(10.0), 7.0);
    }
}

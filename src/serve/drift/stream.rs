//! A detector of a stream at work: of each so many answers, or words of feedback, it sees one that is drawn
//! at random. Imports: base, detect, drift, `serve::drift::*`.
//!
//! If it saw every tenth, ten cameras that send in turns would show it one of them only. An answer of each ten
//! in a row, drawn anew each time, is from any of them alike; and as it is one of ten still, the expected run
//! time in pictures is the same.

use std::time::Instant;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::base::clock::{self, Timestamp};
use crate::base::rng;
use crate::detect::fitted::Fitted;
use crate::detect::{Input, Watch};
use crate::drift::online::Online;

use super::active::{Tell, guarded};
use super::kept::DetectorState;
use super::seen::{Answer, features};
use super::standing::{FalseAlarm, Looks, Said, Standing};

/// A detector of a stream.
pub(super) struct Stream {
    pub(super) standing: Standing,
    /// Position among the fitted ones.
    at: usize,
    online: Online,
    draw: Draw,
}

/// How far the draws of a stream have come: answers, or words of feedback, come in turns of so many, of each
/// of which one is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Progress {
    /// Turns that are over.
    turns: u64,
    /// What has come of this one.
    passed: u64,
}

/// Draws which one of each turn is seen. It depends on the seed, the detector and the number of the turn alone,
/// so a server that is started again goes on with the same draws.
struct Draw {
    seed: u64,
    /// Of the stream of random numbers.
    name: String,
    /// At least 1.
    every: u64,
    progress: Progress,
    /// Which one of this turn, from 0.
    chosen: u64,
}

impl Stream {
    /// Has the detector at position `at` of the fitted ones begin.
    pub(super) fn new(at: usize, watch: &Watch, seed: u64) -> Self {
        let (name, method) = (watch.name.clone(), watch.online.method());
        let mut standing = Standing::new(name, watch.input, Looks::Stream, method);
        let images = watch.online.ert() * watch.every as f64;
        standing.false_alarm = Some(FalseAlarm::Images(images));
        Self {
            standing,
            at,
            online: watch.online.clone(),
            draw: Draw::new(seed, &watch.name, watch.every),
        }
    }

    /// Takes an answer.
    pub(super) fn take(
        &mut self,
        fitted: &Fitted,
        answer: &Answer,
        now: Instant,
        tell: &mut Tell<'_>,
    ) {
        if self.standing.input == Input::Error {
            return;
        }
        self.look(fitted, now, tell, |watch| {
            let observed = fitted.observations(watch, &features([answer])?);
            Ok(observed.map_err(|e| e.to_string())?.row(0).to_vec())
        });
    }

    /// Takes what somebody said about an answer: whether it was right.
    pub(super) fn hear(
        &mut self,
        fitted: &Fitted,
        correct: bool,
        now: Instant,
        tell: &mut Tell<'_>,
    ) {
        if self.standing.input == Input::Error {
            let error = f64::from(u8::from(!correct));
            self.look(fitted, now, tell, |_| Ok(vec![error]));
        }
    }

    /// Takes an observation, if it is the one of its turn.
    fn look(
        &mut self,
        fitted: &Fitted,
        now: Instant,
        tell: &mut Tell<'_>,
        observation: impl FnOnce(&Watch) -> Result<Vec<f64>, String>,
    ) {
        let Some(watch) = fitted.watches().get(self.at) else {
            return;
        };
        if !self.draw.is_next_seen() {
            return;
        }
        let online = &mut self.online;
        let step = guarded(|| {
            let row = observation(watch)?;
            online.observe(&row).map_err(|e| e.to_string())
        });
        let news = match step {
            Ok(step) if step.statistic.is_none() => self.standing.waits(),
            Ok(step) => {
                let said = Said {
                    is_drift: step.is_drift,
                    p_value: None,
                    score: step.statistic,
                    threshold: step.threshold,
                };
                self.standing.said(said, clock::now(), now)
            }
            Err(problem) => self.standing.failed(problem),
        };
        tell(&self.standing, news);
    }

    /// Begins anew.
    pub(super) fn reset(&mut self) {
        self.standing.reset();
        self.online.reset();
        self.draw.begin_next_turn();
    }

    /// Returns where it stands, to be kept.
    pub(super) fn state(&self) -> DetectorState {
        let bytes = self.online.state_bytes().ok();
        DetectorState {
            since: self.standing.since.map(|at| at.to_string()),
            stream: bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
            draws: Some(self.draw.progress),
        }
    }

    /// Goes on where it stood, with an alarm `since` then if it had one.
    ///
    /// # Errors
    /// The state is that of another detector, or damaged: it begins anew.
    pub(super) fn resume(
        &mut self,
        state: &DetectorState,
        since: Option<Timestamp>,
    ) -> Result<(), String> {
        let Some(bytes) = state.stream.as_ref().map(ToString::to_string) else {
            return Ok(());
        };
        let online = &mut self.online;
        guarded(|| online.resume(bytes.as_bytes()).map_err(|e| e.to_string()))?;
        let found = self.online.drift_since();
        self.standing.resume(found.and(since));
        self.draw.resume(state.draws.unwrap_or_default());
        Ok(())
    }
}

impl Draw {
    fn new(seed: u64, detector: &str, every: u64) -> Self {
        let mut draw = Self {
            seed,
            name: format!("serve.drift.{detector}"),
            every: every.max(1),
            progress: Progress::default(),
            chosen: 0,
        };
        draw.resume(Progress::default());
        draw
    }

    /// Counts what comes next; returns whether it is seen.
    fn is_next_seen(&mut self) -> bool {
        let is_seen = self.progress.passed == self.chosen;
        self.progress.passed += 1;
        if self.progress.passed == self.every {
            self.begin_next_turn();
        }
        is_seen
    }

    fn begin_next_turn(&mut self) {
        let turns = self.progress.turns.wrapping_add(1);
        self.resume(Progress { turns, passed: 0 });
    }

    /// Goes on where it stood.
    fn resume(&mut self, progress: Progress) {
        // A file may say anything.
        let passed = progress.passed.min(self.every - 1);
        self.progress = Progress { passed, ..progress };
        let mut random = rng::stream(self.seed, &self.name, progress.turns);
        self.chosen = random.random_range(0..self.every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of which phases of something periodic the seen ones are.
    fn seen_by_phase(draw: &mut Draw, period: u64, turns: u64) -> Vec<u64> {
        let mut counts = vec![0; period as usize];
        for time in 0..turns * draw.every {
            counts[(time % period) as usize] += u64::from(draw.is_next_seen());
        }
        counts
    }

    #[test]
    fn a_periodic_stream_is_seen_evenly_over_its_phases() {
        // The same period, a part of it, a multiple.
        for (every, period) in [(10, 10), (10, 5), (10, 20), (2, 2), (7, 7)] {
            let mut draw = Draw::new(42, "online_softmax", every);
            let counts = seen_by_phase(&mut draw, period, 10_000);
            assert_eq!(counts.iter().sum::<u64>(), 10_000, "one of each turn");
            let expected = 10_000.0 / period as f64;
            // Five standard deviations of a binomial count.
            let allowed = 5.0 * expected.sqrt();
            for count in &counts {
                let off = (*count as f64 - expected).abs();
                assert!(off < allowed, "every {every}, period {period}: {counts:?}");
            }
        }
        let mut all = Draw::new(42, "online_softmax", 1);
        assert_eq!(seen_by_phase(&mut all, 1, 50), [50]);
    }

    #[test]
    fn draws_go_on_after_a_restart_and_differ_between_detectors() {
        fn next(draw: &mut Draw) -> Vec<bool> {
            (0..200).map(|_| draw.is_next_seen()).collect()
        }
        let mut draw = Draw::new(7, "one", 10);
        // In the middle of a turn.
        for _ in 0..37 {
            draw.is_next_seen();
        }
        let mut again = Draw::new(7, "one", 10);
        again.resume(draw.progress);
        assert_eq!(next(&mut again), next(&mut draw));
        let of = |seed, name| next(&mut Draw::new(seed, name, 10));
        assert_ne!(of(7, "one"), of(7, "two"));
        assert_ne!(of(7, "one"), of(8, "one"));
        // Damaged: a turn comes to its end all the same.
        again.resume(Progress {
            turns: u64::MAX,
            passed: 99,
        });
        assert!(next(&mut again).contains(&true));
    }
}

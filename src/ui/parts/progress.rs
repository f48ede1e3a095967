//! The commands that run stages now: how far they are, and what their stages write. Imports:
//! experiment, `ui::{asked, looks, parts}`.

use std::collections::BTreeMap;
use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;

use super::chip::{Chip, Tone};
use super::time::took;
use crate::experiment::progress::{Judgement, StageState, StageStory, Story};
use crate::ui::asked::segment;
use crate::ui::looks::Going;

/// Of a stage that runs, so many of its newest lines are shown.
const LINES_SHOWN: usize = 8;
/// Longer lines are cut.
const LINE_CHARS_MAX: usize = 400;
/// So many commands are shown one by one.
const COMMANDS_MAX: usize = 6;

/// All of them.
#[derive(Debug, Template)]
#[template(path = "parts/progress.html")]
pub(in crate::ui) struct Progress {
    commands: Vec<Command>,
    /// How many more there are.
    more: usize,
}

/// Its template escapes.
impl HtmlSafe for Progress {}

#[derive(Debug)]
struct Command {
    /// As typed.
    line: String,
    elapsed: String,
    run: Option<(String, String)>,
    done: usize,
    of: usize,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    name: String,
    href: String,
    chip: Chip,
    elapsed: String,
    /// How long it took last time, and per cent of that.
    usual: Option<(String, u64)>,
    message: Option<String>,
    lines: Vec<String>,
}

impl Progress {
    /// Shows `going` as it is at `now_ms`; `usual` says how long stages took last time.
    pub(in crate::ui) fn of(
        going: &[Going],
        usual: &BTreeMap<String, Duration>,
        now_ms: i64,
    ) -> Self {
        let shown = going.iter().take(COMMANDS_MAX);
        Self {
            commands: shown
                .map(|one| command(&one.story, usual, now_ms))
                .collect(),
            more: going.len().saturating_sub(COMMANDS_MAX),
        }
    }
}

fn command(story: &Story, usual: &BTreeMap<String, Duration>, now_ms: i64) -> Command {
    let running = story
        .in_order()
        .filter(|(_, stage)| matches!(stage.state, StageState::Running | StageState::Waiting));
    let (done, of) = story.done_of();
    Command {
        line: story
            .head
            .as_ref()
            .map(|head| head.command.clone())
            .unwrap_or_default(),
        elapsed: took(now_ms - story.began_ms),
        run: story.run.clone(),
        done,
        of,
        running: running
            .map(|(name, stage)| running_stage(name, stage, usual.get(name), now_ms))
            .collect(),
    }
}

fn running_stage(name: &str, stage: &StageStory, usual: Option<&Duration>, now_ms: i64) -> Running {
    let elapsed = stage.started_ms.map_or(0, |at| (now_ms - at).max(0));
    let restores = stage.decision == Some(Judgement::Restore);
    let usual = usual.filter(|_| !restores).map(|usual| {
        let usual_ms = i64::try_from(usual.as_millis()).unwrap_or(i64::MAX).max(1);
        let percent = (elapsed.saturating_mul(100) / usual_ms).min(100);
        (took(usual_ms), percent.unsigned_abs())
    });
    let skipped = stage.lines.len().saturating_sub(LINES_SHOWN);
    let cut = |line: &String| line.chars().take(LINE_CHARS_MAX).collect();
    Running {
        name: name.to_owned(),
        href: format!("/pipeline/{}", segment(name)),
        chip: stage_chip(stage),
        elapsed: took(elapsed),
        usual,
        message: stage.message.clone(),
        lines: stage.lines.iter().skip(skipped).map(cut).collect(),
    }
}

/// Returns how far a stage is.
pub(in crate::ui) fn stage_chip(stage: &StageStory) -> Chip {
    let tone = match stage.state {
        StageState::Pending => Tone::Plain,
        StageState::Waiting => Tone::Warn,
        StageState::Running => Tone::Busy,
        StageState::Done(_) => Tone::Good,
        StageState::Failed => Tone::Bad,
    };
    let restores = stage.state == StageState::Running && stage.decision == Some(Judgement::Restore);
    Chip::new(
        tone,
        if restores {
            "restoring"
        } else {
            stage.state.word()
        },
    )
}

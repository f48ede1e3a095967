//! `cvops drift report`: compare what was served with the reference, by windows of time.

mod logged;
mod shown;

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::clock::{self, Timestamp};
use crate::base::doc::Problems;
use crate::base::{Diagnostic, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::params::{ParamsArg, section};
use crate::detect::checked::Verdict;
use crate::detect::fitted::Fitted;
use crate::detect::served;
use crate::serve::Config;
use crate::track::predictions::Predictions;

use super::one_is_drift;
use logged::{Asked, Logged};

/// Answers that are compared at most: the newest ones.
const ANSWERS_MAX: usize = 100_000;
/// A shorter window is hardly one of the pictures that a service gets.
const WINDOW_MIN: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Of a longer time, days are told apart unless somebody asks for something else.
const BY_HOUR_MAX: Duration = Duration::from_hours(48);

/// Compare what was served with the pictures that a model knows
///
/// Reads the prediction log of `cvops serve` and compares the answers of the fitted model with those that it gave
/// of the reference: all together, and by windows of time. A row for each window says how many pictures there
/// were, whether the answers moved, which classes became more or less frequent, how sure the model was, and how
/// often right where feedback says so; below stands since when drift lasts. All detectors are computed whose
/// inputs the log has: softmax, label, entropy, margin.
///
/// Ends with 0 if no detector found drift, 1 if one did, and 2 if that could not be found out: an error, no
/// answers, or too few.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops drift report\n  cvops drift report --since 7d --window 1d\n  cvops drift report --since 2026-03-01 --until 2026-03-08T12:00:00Z --json"
)]
pub(super) struct Args {
    /// The begin: how long ago (24h, 7d), a day (2026-03-01) or a time (2026-03-01T14:00:00Z)
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = moment)]
    since: Moment,
    /// The end, as `--since` (default: now)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,
    /// How long a window is: 1h, 1d, 15m (default: 1h; of more than two days 1d)
    #[arg(long, value_name = "DURATION", value_parser = window)]
    window: Option<Duration>,
    /// Only answers of the model that is served by this name
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Folder of the fitted detectors
    #[arg(long, value_name = "DIR", default_value = "models/drift")]
    drift: PathBuf,
    /// End with 0 also where there is drift
    #[arg(long)]
    no_fail: bool,
    #[command(flatten)]
    params: ParamsArg,
}

/// A time as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Before now.
    Ago(Duration),
    At(Timestamp),
}

impl Moment {
    /// Returns the time; the beginning of all times, if there was none so long ago.
    fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => {
                let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                let at_ms = now.as_millisecond().saturating_sub(ago_ms);
                Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::MIN)
            }
        }
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    let text = text.trim();
    let day = || {
        clock::start_of_day(text)
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .map(Moment::At)
    };
    let time = || text.parse::<Timestamp>().ok().map(Moment::At);
    let found = day().or_else(time);
    found
        .or_else(|| units::parse_age(text).map(Moment::Ago))
        .ok_or_else(|| {
            "a time looks like 24h or 7d (ago), 2026-03-01, or 2026-03-01T14:00:00Z".to_owned()
        })
}

fn window(text: &str) -> Result<Duration, String> {
    let read = units::parse_duration(text).filter(|window| WINDOW_MIN <= *window);
    read.ok_or_else(|| "a window looks like 1h, 1d or 15m, and is at least 1m".to_owned())
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    work(ctx, args).map_err(|error| one_is_drift(error.seen_from(&ctx.dir)))
}

fn work(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let time = args.time(clock::now())?;
    let window = args.window.unwrap_or_else(|| usual_window(&time));
    let project = ctx.project()?;
    let fitted = Fitted::load(&ctx.dir.join(&args.drift))?;
    let asked = Asked {
        time: &time,
        model: args.model.as_deref(),
        most: ANSWERS_MAX,
    };
    let log = Predictions::new(project.layout.predictions());
    let sample = args.sample(ctx)?;
    let mut logged = Logged::read(&log, &asked, &fitted, sample)?;
    if logged.answers.is_empty() {
        return Err(CliError::usage(logged.nothing(&asked)));
    }
    let answers = std::mem::take(&mut logged.answers);
    let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    let served = served::report(&fitted, answers, &time, window_ms, &ctx.cancel)?;
    shown::show(ctx, &served, &logged);
    Ok(match served.verdict {
        Verdict::Drift if args.no_fail => Outcome::Done,
        Verdict::Drift => Outcome::Failed,
        Verdict::NoDrift => Outcome::Done,
        Verdict::Incomplete => Outcome::Unmade,
    })
}

impl Args {
    fn time(&self, now: Timestamp) -> Result<Range<Timestamp>, CliError> {
        let until = self.until.map_or(now, |until| until.before(now));
        let time = self.since.before(now)..until;
        if time.is_empty() {
            let [since, until] = [time.start, time.end].map(clock::utc_minute);
            let headline =
                format!("this time ends before it begins: from {since} to {until} (UTC)");
            return Err(CliError::usage(
                Diagnostic::error("empty-time", headline)
                    .help("give an `--until` that is later than `--since`"),
            ));
        }
        Ok(time)
    }

    /// Returns the share of the requests that is logged, as the parameters now have it.
    fn sample(&self, ctx: &Ctx) -> Result<f64, CliError> {
        let Some(document) = self.params.document_if_any(ctx)? else {
            return Ok(1.0);
        };
        let problems = Problems::new(&document);
        let config = Config::read(section(ctx, &problems, "serve"));
        Ok(problems.into_result(config)?.log.sample)
    }
}

fn usual_window(time: &Range<Timestamp>) -> Duration {
    let length_ms = time.end.as_millisecond() - time.start.as_millisecond();
    if u128::try_from(length_ms).is_ok_and(|length| length <= BY_HOUR_MAX.as_millis()) {
        HOUR
    } else {
        DAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_nonsense_is_refused() {
        let now: Timestamp = "2026-03-08T00:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("24h", "2026-03-07T00:00:00Z"),
            (" 7d ", "2026-03-01T00:00:00Z"),
            ("0.5d", "2026-03-07T12:00:00Z"),
            ("2026-03-01T14:00:00Z", "2026-03-01T14:00:00Z"),
            ("2026-03-01T14:00:00+02:00", "2026-03-01T12:00:00Z"),
        ] {
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(moment(text).unwrap().before(now), expected, "{text}");
        }
        assert!(matches!(moment("2026-03-01"), Ok(Moment::At(_))));
        for text in ["", "yesterday", "2026-02-30", "2026-03-01T14:00:00", "-1h"] {
            assert!(moment(text).is_err(), "{text}");
        }
        let ages = Moment::Ago(Duration::MAX);
        assert_eq!(ages.before(now), Timestamp::MIN);
        assert_eq!(window("1d"), Ok(DAY));
        assert!(window("59s").is_err() && window("0").is_err());
    }

    #[test]
    fn longer_times_have_longer_windows() {
        let start: Timestamp = "2026-03-08T00:00:00Z".parse().unwrap();
        for (hours, expected) in [(1, HOUR), (48, HOUR), (49, DAY), (24 * 90, DAY)] {
            let end = start.as_millisecond() + hours * 3_600_000;
            let time = start..Timestamp::from_millisecond(end).unwrap();
            assert_eq!(usual_window(&time), expected, "{hours}");
        }
    }
}

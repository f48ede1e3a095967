//! `cvops drift report`: compare what was served with the reference, by windows of time.

mod kept;
mod logged;
mod shown;

use std::num::NonZeroUsize;
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
use crate::cli::written::write;
use crate::detect::checked::Verdict;
use crate::detect::fitted::Fitted;
use crate::detect::served::{self, Illustration, Terms, UPDATE_ROWS};
use crate::drift::reference_update::ReferenceUpdate;
use crate::serve::Config;
use crate::track::predictions::Predictions;

use super::one_is_drift;
use kept::Eye;
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
/// inputs the log has: softmax, label, entropy, margin, and where it keeps the pictures and the model that
/// answered is at hand, embedding and properties.
///
/// The reference stays as it was fitted, unless `--update` has it follow: `last:N` are the last N rows, `reservoir:N`
/// are N of all that were ever seen, drawn from the seed. After each window, what it holds joins the reference of
/// the next ones. That hides what moves slowly, and what has moved for good is soon the rule; all together is
/// always compared with the fitted reference. The folder of the fitted detectors is not changed.
///
/// Ends with 0 if no detector found drift, 1 if one did, and 2 if that could not be found out: an error, no
/// answers, or too few.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops drift report\n  cvops drift report --since 7d --window 1d\n  cvops drift report --since 2026-03-01 --until 2026-03-08T12:00:00Z --json\n  cvops drift report --since 7d --html reports/served.html\n  cvops drift report --since 30d --update last:2000"
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
    /// The model that answered, a folder or an ONNX file, which looks at the kept pictures (default:
    /// models/classifier, if that is it)
    #[arg(long, value_name = "PATH")]
    network: Option<PathBuf>,
    /// Leave the kept pictures alone: less is compared, and sooner
    #[arg(long, conflicts_with = "network")]
    answers_only: bool,
    /// How the reference follows from window to window: none, last:N or reservoir:N
    #[arg(long, value_name = "RULE", default_value = "none", value_parser = update)]
    update: ReferenceUpdate,
    /// Write all of it as one page, with charts over time
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
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

fn update(text: &str) -> Result<ReferenceUpdate, String> {
    let rows = |text: &str| {
        let rows: NonZeroUsize = text.parse().ok()?;
        UPDATE_ROWS.contains(&(rows.get() as u64)).then_some(rows)
    };
    let read = match text.split_once(':') {
        None if text == "none" => Some(ReferenceUpdate::None),
        Some(("last", of)) => rows(of).map(ReferenceUpdate::Last),
        Some(("reservoir", of)) => rows(of).map(ReferenceUpdate::Reservoir),
        _ => None,
    };
    read.ok_or_else(|| {
        format!(
            "a rule looks like none, last:500 or reservoir:500, with {} to {} rows",
            UPDATE_ROWS.start(),
            UPDATE_ROWS.end()
        )
    })
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
    kept::look(ctx, &log, &mut logged, &fitted, args.eye())?;
    let answers = std::mem::take(&mut logged.answers);
    let terms = Terms {
        time: &time,
        window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
        update: args.update,
    };
    let served = served::report(&fitted, answers, &terms, &ctx.cancel)?;
    if let Some(path) = &args.html {
        let about = Illustration {
            fitted: &fitted,
            facts: &args.facts(),
            notes: &shown::notes(&served, &logged),
            pictures: &kept::of_page(&log, &logged, &served)?,
        };
        let html = served::page(&served, about).html();
        write(&ctx.dir.join(path), html.as_bytes())?;
    }
    shown::show(ctx, &served, &logged);
    ctx.out.note(&match &args.html {
        Some(path) => format!("with charts over time: `{}`", path.display()),
        None => "`--html FILE` writes all of it as a page, with charts over time".to_owned(),
    });
    Ok(match served.verdict {
        Verdict::Drift if args.no_fail => Outcome::Done,
        Verdict::Drift => Outcome::Failed,
        Verdict::NoDrift => Outcome::Done,
        Verdict::Incomplete => Outcome::Unmade,
    })
}

impl Args {
    fn eye(&self) -> Eye<'_> {
        match &self.network {
            _ if self.answers_only => Eye::Closed,
            Some(path) => Eye::Named(path),
            None => Eye::Usual,
        }
    }

    /// Says what was compared, for the head of the page.
    fn facts(&self) -> Vec<(String, String)> {
        let name = self.model.clone();
        let facts = [
            ("Served as", name.unwrap_or_else(|| "any name".to_owned())),
            ("Detectors", self.drift.display().to_string()),
        ];
        let facts = facts.map(|(name, value)| (name.to_owned(), value));
        facts.to_vec()
    }

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
    fn rules_of_updates_are_read_and_nonsense_is_refused() {
        let rows = |rows| NonZeroUsize::new(rows).unwrap();
        for (text, expected) in [
            ("none", ReferenceUpdate::None),
            ("last:10", ReferenceUpdate::Last(rows(10))),
            ("reservoir:20000", ReferenceUpdate::Reservoir(rows(20_000))),
        ] {
            let read = update(text).unwrap();
            assert_eq!((read, read.to_string()), (expected, text.to_owned()));
        }
        for text in [
            "",
            "last",
            "last:",
            "last:9",
            "reservoir:20001",
            "first:50",
            "none:50",
        ] {
            let error = update(text).unwrap_err();
            assert!(error.ends_with("with 10 to 20000 rows"), "{text}: {error}");
        }
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

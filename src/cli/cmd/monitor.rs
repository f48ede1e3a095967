//! `cvops monitor`: a dashboard of a running prediction server, on the terminal.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::base::probe::Bearer;
use crate::base::{Diagnostic, clock, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::{ErrorClass, Outcome};
use crate::cli::monitor::{
    self, Asker, History, Key, Overlay, Pace, Screen, Seen, Server, Theme, Trouble, View,
};
use crate::cli::out::Form;

/// How long the screen waits for a key before it looks for news.
const KEY_WAIT: Duration = Duration::from_millis(100);
/// How often somebody who waits looks whether the user wants to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Asked more often, a server would count more questions of ours than requests of others.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// The variable that holds the key.
const KEY_VARIABLE: &str = "CVOPS_API_KEY";

/// Watch a running prediction server: requests, latency, queue, models, predictions
///
/// On a terminal it is a dashboard, which a server that restarts or goes away does not end: `q` ends it,
/// `p` lets it stand still, arrows choose the model, `?` explains. Elsewhere, and with `--once`, `--json`
/// or `--md`, it looks twice, an interval apart, and prints what went on between.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops monitor\n  cvops monitor http://10.0.0.7:5001\n  cvops monitor --once --json | jq .predictions.latency_s.p99\n\nExit code: 0, also if the server is not ready (`cvops health` asks that); 1 if nobody answers, or somebody else does; 2 if it wants another key."
)]
pub(in crate::cli) struct Args {
    /// Address of the server (no TLS)
    #[arg(default_value = "http://127.0.0.1:5001", value_name = "URL")]
    url: String,
    /// Print one table and end
    #[arg(long)]
    once: bool,
    /// API key of the server, if it wants one; the variable `CVOPS_API_KEY` is seen by fewer people
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// How often to look: seconds, or with `ms`, `s`, `m`
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
}

fn interval(text: &str) -> Result<Duration, String> {
    let read = units::parse_duration(text).filter(|interval| INTERVAL_MIN <= *interval);
    read.ok_or_else(|| format!("expected 100ms or more: {}", units::DURATION_FORM))
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let asker = Asker::new(&args.url, key(ctx, args)?);
    ctx.listen();
    let is_terminal = Screen::is_there() && ctx.env.get("TERM") != Some("dumb");
    if args.once || ctx.out.form != Form::Text || !is_terminal {
        return once(ctx, &asker, args.interval);
    }
    // What nobody can ever answer ends before the screen is taken.
    if let Err(trouble @ Trouble::BadUrl(_)) = asker.look() {
        return Err(refused(&trouble));
    }
    watch(ctx, asker, args.interval)
}

fn key(ctx: &Ctx, args: &Args) -> Result<Option<Bearer>, CliError> {
    let (text, place) = match (&args.key, ctx.env.get(KEY_VARIABLE)) {
        (Some(key), _) => (key.as_str(), "--key"),
        (None, Some(key)) => (key, KEY_VARIABLE),
        (None, None) => return Ok(None),
    };
    let key = text.parse().map_err(|why| {
        // The key itself is nobody's business.
        CliError::usage(Diagnostic::error("bad-key", format!("`{place}`: {why}")))
    });
    key.map(Some)
}

fn refused(trouble: &Trouble) -> CliError {
    let (code, class, help) = match trouble {
        Trouble::BadUrl(_) => (
            "bad-url",
            ErrorClass::Usage,
            "for example `cvops monitor http://127.0.0.1:5001`",
        ),
        Trouble::Silent(_) => (
            "no-server",
            ErrorClass::Failed,
            "start one with `cvops serve`, or name its address: `cvops monitor http://HOST:PORT`",
        ),
        Trouble::Denied(_) => (
            "no-key",
            ErrorClass::Usage,
            "hand a key of the server over in `CVOPS_API_KEY`, or with `--key`",
        ),
        Trouble::Strange(_) => (
            "no-server",
            ErrorClass::Failed,
            "name the address of a server that `cvops serve` started",
        ),
    };
    CliError {
        class,
        diagnostics: vec![Diagnostic::error(code, trouble.text()).help(help)],
    }
}

/// Looks twice, and prints what went on between.
fn once(ctx: &Ctx, asker: &Asker, interval: Duration) -> Result<Outcome, CliError> {
    let mut history = History::default();
    let mut look = || {
        let seen = asker.look().map_err(|trouble| refused(&trouble))?;
        history.saw(seen.reading);
        Ok::<_, CliError>(seen.why_not_ready)
    };
    look()?;
    let began = Instant::now();
    while began.elapsed() < interval {
        if ctx.cancel.is_requested() {
            return Ok(Outcome::Interrupted);
        }
        std::thread::sleep(LOOK_EVERY.min(interval.saturating_sub(began.elapsed())));
    }
    let why = look()?;
    let Some(figures) = history.figures() else {
        return Ok(Outcome::Failed);
    };
    if ctx.out.form == Form::Json {
        let json = monitor::json(asker.url(), &figures, why.as_deref());
        ctx.out.json(&json);
    } else {
        let table = monitor::table(asker.url(), &figures, why.as_deref());
        ctx.out.table(&table);
    }
    Ok(Outcome::Done)
}

/// Looks again and again, until nobody listens any more.
fn ask(asker: &Asker, interval: Duration, told: &SyncSender<Result<Seen, Trouble>>) {
    loop {
        let began = Instant::now();
        if told.send(asker.look()).is_err() {
            return;
        }
        std::thread::sleep(interval.saturating_sub(began.elapsed()));
    }
}

/// What is shown, and what the user chose.
struct Dashboard {
    url: String,
    theme: Theme,
    server: Server,
    history: History,
    /// What is shown while it stands still.
    still: Option<Still>,
    model: Option<String>,
    overlay: Overlay,
}

/// What was seen when the user let it stand still.
struct Still {
    server: Server,
    history: History,
    at_ms: i64,
}

/// Does it go on?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It does.
    Go,
    /// It ends.
    End(Outcome),
}

fn watch(ctx: &Ctx, asker: Asker, interval: Duration) -> Result<Outcome, CliError> {
    let mut dashboard = Dashboard {
        url: asker.url().to_owned(),
        theme: if ctx.out.color() {
            Theme::coloured()
        } else {
            Theme::plain()
        },
        server: Server::Asked,
        history: History::default(),
        still: None,
        model: None,
        overlay: Overlay::Nothing,
    };
    let (tell, told) = sync_channel(1);
    // It may be waiting for a server that hangs: it ends with the process, not before.
    std::thread::spawn(move || ask(&asker, interval, &tell));
    let mut screen = Screen::enter().map_err(|error| broken(&error))?;
    let ended = dashboard.run(ctx, &mut screen, &told);
    drop(screen);
    ended.map_err(|error| broken(&error))
}

fn broken(error: &std::io::Error) -> CliError {
    let diagnostic = Diagnostic::error("terminal", format!("cannot use the terminal: {error}"))
        .help("`cvops monitor --once` needs none");
    CliError {
        class: ErrorClass::Failed,
        diagnostics: vec![diagnostic],
    }
}

impl Dashboard {
    fn run(
        &mut self,
        ctx: &Ctx,
        screen: &mut Screen,
        told: &Receiver<Result<Seen, Trouble>>,
    ) -> std::io::Result<Outcome> {
        let mut is_stale = true;
        loop {
            while let Ok(looked) = told.try_recv() {
                self.take(looked, clock::now().as_millisecond());
                is_stale = true;
            }
            if is_stale {
                screen.show(&self.view(clock::now().as_millisecond()))?;
                is_stale = false;
            }
            if let Some(key) = screen.key(KEY_WAIT)? {
                is_stale = true;
                if let Next::End(outcome) = self.press(key, clock::now().as_millisecond()) {
                    return Ok(outcome);
                }
            }
            if ctx.cancel.is_requested() {
                return Ok(Outcome::Interrupted);
            }
        }
    }

    /// Takes in what a look saw.
    fn take(&mut self, looked: Result<Seen, Trouble>, now_ms: i64) {
        self.server = match looked {
            Ok(seen) => {
                self.history.saw(seen.reading);
                Server::Up {
                    why_not_ready: seen.why_not_ready,
                }
            }
            Err(trouble) => {
                self.history.missed();
                let since_ms = match &self.server {
                    Server::Lost { since_ms, .. } => *since_ms,
                    Server::Asked | Server::Up { .. } => now_ms,
                };
                Server::Lost { trouble, since_ms }
            }
        };
    }

    fn view(&self, now_ms: i64) -> View<'_> {
        let (server, history, pace, now_ms) = match &self.still {
            Some(still) => (&still.server, &still.history, Pace::Paused, still.at_ms),
            None => (&self.server, &self.history, Pace::Live, now_ms),
        };
        View {
            url: &self.url,
            server,
            history,
            model: self.model.as_deref(),
            pace,
            overlay: self.overlay,
            theme: self.theme,
            now_ms,
            time: clock::local_time(u64::try_from(now_ms / 1000).unwrap_or_default()),
        }
    }

    fn press(&mut self, key: Key, now_ms: i64) -> Next {
        match key {
            Key::Quit => return Next::End(Outcome::Done),
            Key::Interrupt => return Next::End(Outcome::Interrupted),
            Key::Escape => match self.overlay {
                Overlay::Nothing => return Next::End(Outcome::Done),
                Overlay::Help => self.overlay = Overlay::Nothing,
            },
            Key::Help => {
                self.overlay = match self.overlay {
                    Overlay::Nothing => Overlay::Help,
                    Overlay::Help => Overlay::Nothing,
                }
            }
            Key::Pause => {
                self.still = match self.still.take() {
                    Some(_) => None,
                    None => Some(Still {
                        server: self.server.clone(),
                        history: self.history.clone(),
                        at_ms: now_ms,
                    }),
                }
            }
            Key::Next => self.model = self.neighbour(1),
            Key::Previous => self.model = self.neighbour(-1),
            Key::Resized => {}
        }
        Next::Go
    }

    /// Returns the model so many places further, round and round.
    fn neighbour(&self, places: isize) -> Option<String> {
        let figures = self.history.figures()?;
        let names = figures.model_names();
        let chosen = self.model.as_deref().unwrap_or_default();
        let at = names.iter().position(|name| *name == chosen).unwrap_or(0);
        let count = isize::try_from(names.len()).ok().filter(|n| 0 < *n)?;
        let next = (at as isize + places).rem_euclid(count);
        names.get(next as usize).map(|name| (*name).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::monitor::Reading;

    fn dashboard() -> Dashboard {
        Dashboard {
            url: "http://x".to_owned(),
            theme: Theme::plain(),
            server: Server::Asked,
            history: History::default(),
            still: None,
            model: None,
            overlay: Overlay::Nothing,
        }
    }

    fn seen(at_ms: i64) -> Seen {
        let text = "cvops_model_ready{model=\"a\",version=\"1\"} 1\ncvops_model_ready{model=\"b\",version=\"1\"} 1\n";
        Seen {
            reading: Reading::of(text, at_ms).unwrap(),
            why_not_ready: None,
        }
    }

    #[test]
    fn keys_choose_a_model_stop_the_picture_and_end() {
        let mut d = dashboard();
        assert_eq!(d.press(Key::Next, 1000), Next::Go);
        assert_eq!(d.model, None, "there is none yet");
        d.take(Ok(seen(1000)), 1000);
        for (key, model) in [
            (Key::Next, "b"),
            (Key::Next, "a"),
            (Key::Previous, "b"),
            (Key::Previous, "a"),
        ] {
            d.press(key, 1000);
            assert_eq!(d.model.as_deref(), Some(model));
        }
        d.press(Key::Pause, 1000);
        d.take(Err(Trouble::Silent("gone".to_owned())), 2000);
        assert_eq!(d.view(3000).pace, Pace::Paused);
        assert!(matches!(d.view(3000).server, Server::Up { .. }));
        d.press(Key::Pause, 1000);
        d.take(Err(Trouble::Silent("gone".to_owned())), 3000);
        assert!(matches!(
            d.view(3000).server,
            Server::Lost { since_ms: 2000, .. }
        ));
        d.press(Key::Help, 1000);
        assert_eq!(d.press(Key::Escape, 1000), Next::Go);
        assert_eq!(d.press(Key::Escape, 1000), Next::End(Outcome::Done));
        assert_eq!(d.press(Key::Quit, 1000), Next::End(Outcome::Done));
        assert_eq!(
            d.press(Key::Interrupt, 1000),
            Next::End(Outcome::Interrupted)
        );
    }
}

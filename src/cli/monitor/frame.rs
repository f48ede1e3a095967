//! A frame of the dashboard: where what stands. A function of what was seen, the size of the terminal and
//! what the user chose; nothing is asked here. Imports: ratatui, `monitor::*`.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::ask::Trouble;
use super::figures::{Figures, ModelFigures};
use super::history::History;
use super::panels::{self, Panels};
use super::words;

/// What is shown.
#[derive(Clone, Debug)]
pub(in crate::cli) struct View<'v> {
    pub(in crate::cli) url: &'v str,
    pub(in crate::cli) server: &'v Server,
    pub(in crate::cli) history: &'v History,
    /// The name of the model that is looked at; the first if there is none of this name.
    pub(in crate::cli) model: Option<&'v str>,
    pub(in crate::cli) pace: Pace,
    pub(in crate::cli) overlay: Overlay,
    pub(in crate::cli) theme: Theme,
    pub(in crate::cli) now_ms: i64,
    /// The same, as a clock shows it.
    pub(in crate::cli) time: String,
}

/// How the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Server {
    /// It has not answered yet.
    Asked,
    /// It answers.
    Up {
        /// Why it is not ready, if it is not.
        why_not_ready: Option<String>,
    },
    /// It does not answer as it should.
    Lost {
        /// What is wrong.
        trouble: Trouble,
        /// Since when.
        since_ms: i64,
    },
}

/// Does the picture move?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Pace {
    /// With the server.
    Live,
    /// It stands still.
    Paused,
}

/// What lies over the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Overlay {
    /// Nothing.
    Nothing,
    /// The keys.
    Help,
}

/// How things are emphasised. Whatever a colour says, a word says as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Theme {
    pub(super) strong: Style,
    pub(super) dim: Style,
    pub(super) good: Style,
    pub(super) bad: Style,
    pub(super) curve: Style,
    pub(super) chosen: Style,
}

impl Theme {
    /// Colours of the terminal's own palette.
    pub(in crate::cli) fn coloured() -> Self {
        let colour = |colour| Style::new().fg(colour);
        Self {
            strong: Style::new().add_modifier(Modifier::BOLD),
            dim: colour(Color::DarkGray),
            good: colour(Color::Green).add_modifier(Modifier::BOLD),
            bad: colour(Color::Red).add_modifier(Modifier::BOLD),
            curve: colour(Color::Cyan),
            chosen: Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// No colour at all (`NO_COLOR`).
    pub(in crate::cli) fn plain() -> Self {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        Self {
            strong: bold,
            dim: Style::new(),
            good: bold,
            bad: bold,
            curve: Style::new(),
            chosen: Style::new().add_modifier(Modifier::REVERSED),
        }
    }
}

/// Terminals of so many columns have one curve more.
pub(super) const WIDE: u16 = 110;
/// A terminal of so many lines has curves so high; of what it has more, they get a sixth.
const LINES: u16 = 24;
const CURVE_LINES: u16 = 5;
const CURVE_LINES_MAX: u16 = 15;

/// Draws the dashboard.
pub(in crate::cli) fn draw(frame: &mut Frame<'_>, view: &View<'_>) {
    let figures = view.history.figures();
    let model = figures
        .as_ref()
        .and_then(|figures| chosen(figures, view.model));
    let problem = problem(view, model);
    let area = frame.area();
    let curves = CURVE_LINES + area.height.saturating_sub(LINES) / 6;
    let [header, models, told, rest, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(u16::from(problem.is_some())),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(headline(view, figures.as_ref()), header);
    if let Some(figures) = &figures {
        frame.render_widget(tabs(view, figures, model), models);
    }
    if let Some(problem) = &problem {
        frame.render_widget(Line::styled(format!(" {problem}"), view.theme.bad), told);
    }
    match &figures {
        None => absent(frame, view, rest),
        Some(figures) => {
            let panels = Panels {
                figures,
                model,
                history: view.history,
                theme: view.theme,
            };
            body(frame, &panels, curves.min(CURVE_LINES_MAX), rest);
        }
    }
    frame.render_widget(keys(view, figures.as_ref(), area.width), footer);
    if view.overlay == Overlay::Help {
        help(frame, view.theme, area);
    }
}

/// Returns the model of this name, else the first.
fn chosen<'f>(figures: &'f Figures, name: Option<&str>) -> Option<&'f ModelFigures> {
    let mut models = figures.models.iter();
    let named = name.and_then(|name| models.clone().find(|model| model.name == name));
    named.or_else(|| models.next())
}

fn body(frame: &mut Frame<'_>, panels: &Panels<'_>, curves: u16, area: Rect) {
    let [top, middle, bottom, state] = Layout::vertical([
        Constraint::Length(curves),
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(4),
    ])
    .areas(area);
    panels::curves(frame, panels, top);
    let columns = Layout::horizontal([Constraint::Fill(13), Constraint::Fill(7)]).spacing(2);
    let [left, right] = columns.areas(middle);
    panels::routes(frame, panels, left);
    panels::stages(frame, panels, right);
    let [left, right] = columns.areas(bottom);
    panels::versions(frame, panels, left);
    panels::classes(frame, panels, right);
    panels::state(frame, panels, state);
}

/// What is wrong, in one line.
fn problem(view: &View<'_>, model: Option<&ModelFigures>) -> Option<String> {
    match view.server {
        Server::Asked => None,
        Server::Lost { trouble, since_ms } => {
            let since = words::ago((view.now_ms - since_ms).max(0) as f64 / 1000.0);
            Some(format!("{}, for {since}; asking on", trouble.text()))
        }
        Server::Up {
            why_not_ready: Some(why),
        } => Some(why.clone()),
        Server::Up { .. } => {
            let model = model.filter(|model| model.is_behind)?;
            Some(format!(
                "another version of `{}` is meant than the one that is served; it cannot be loaded",
                model.name
            ))
        }
    }
}

fn headline<'v>(view: &View<'v>, figures: Option<&Figures>) -> Line<'v> {
    let theme = view.theme;
    let (word, style) = match view.server {
        Server::Asked => ("ASKING", theme.strong),
        Server::Lost { trouble, .. } => match trouble {
            Trouble::BadUrl(_) | Trouble::Strange(_) => ("NOT OURS", theme.bad),
            Trouble::Silent(_) => ("NO ANSWER", theme.bad),
            Trouble::Denied(_) => ("NO KEY", theme.bad),
        },
        Server::Up { .. } if figures.is_some_and(|figures| figures.is_ready) => {
            ("READY", theme.good)
        }
        Server::Up { .. } => ("NOT READY", theme.bad),
    };
    let mut line = Line::from(vec![
        Span::raw(" "),
        Span::styled(view.url, theme.strong),
        Span::raw("  "),
        Span::styled(word, style),
    ]);
    if view.pace == Pace::Paused {
        line.push_span(Span::raw("  "));
        line.push_span(Span::styled("PAUSED", theme.chosen));
    }
    if let Some(figures) = figures {
        line.push_span(format!(
            "  cvops {}, up {}, {}",
            figures.program,
            words::long(figures.up_s),
            view.time
        ));
    }
    line
}

fn tabs<'f>(view: &View<'_>, figures: &'f Figures, chosen: Option<&ModelFigures>) -> Line<'f> {
    let theme = view.theme;
    let mut line = Line::from(" model");
    for model in &figures.models {
        let is_chosen = chosen.is_some_and(|chosen| chosen.name == model.name);
        let style = if is_chosen {
            theme.chosen
        } else {
            Style::new()
        };
        line.push_span(Span::raw(" "));
        line.push_span(Span::styled(format!(" {} ", model.name), style));
        if !model.is_ready {
            line.push_span(Span::styled(" not ready", theme.bad));
        }
    }
    line
}

/// There is nothing to show yet.
fn absent(frame: &mut Frame<'_>, view: &View<'_>, area: Rect) {
    let text = match view.server {
        Server::Asked | Server::Up { .. } => "Asking the server …",
        Server::Lost { trouble, .. } => match trouble {
            Trouble::Silent(_) => {
                "Start it with `cvops serve`; what it does is shown here as soon as it answers."
            }
            Trouble::Denied(_) => "Hand a key over in `CVOPS_API_KEY`, or with `--key`.",
            Trouble::BadUrl(_) | Trouble::Strange(_) => {
                "Name the address of a prediction server: `cvops monitor http://HOST:PORT`."
            }
        },
    };
    let [_, middle, _] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(2),
        Constraint::Fill(1),
    ])
    .areas(area);
    let paragraph = Paragraph::new(text).centered().wrap(Wrap { trim: true });
    frame.render_widget(paragraph, middle);
}

fn keys<'v>(view: &View<'v>, figures: Option<&Figures>, width: u16) -> Line<'v> {
    let pause = match view.pace {
        Pace::Live => "pause",
        Pace::Paused => "go on",
    };
    let mut text = format!(" q quit  p {pause}  ←→ model  ? help");
    if let Some(figures) = figures {
        let of = format!("rates of the last {} ", words::ago(figures.seconds));
        let used = text.chars().count() + of.chars().count();
        text.push_str(&" ".repeat(usize::from(width).saturating_sub(used)));
        text.push_str(&of);
    }
    Line::styled(text, view.theme.dim)
}

/// What the keys do, and what the figures are of.
const HELP: [&str; 13] = [
    "q, Ctrl-C   end",
    "p, Space    stand still, go on",
    "← →, Tab    another model",
    "?, h        this help; Esc closes it",
    "",
    "Rates, times, batches: the last 10 s, estimated",
    "from buckets as Prometheus does.",
    "Classes and confidence: the last 5 minutes.",
    "Judged and compared: since the server began.",
    "Curves: one point a second, the newest right.",
    "In brackets: since the server began.",
    "–           nothing happened",
    "gone        a version that gave way",
];

fn help(frame: &mut Frame<'_>, theme: Theme, area: Rect) {
    let width = HELP.iter().map(|line| line.chars().count()).max();
    let (width, height) = (width.unwrap_or_default() as u16 + 4, HELP.len() as u16 + 2);
    let area = area.centered(Constraint::Length(width), Constraint::Length(height));
    let block = Block::bordered()
        .title(" Help ")
        .title_style(theme.strong)
        .padding(ratatui::widgets::Padding::horizontal(1));
    let lines: Vec<Line<'_>> = HELP.iter().map(|line| Line::from(*line)).collect();
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

#[cfg(test)]
mod tests;

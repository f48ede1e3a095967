//! The panels of the dashboard, each drawn into the place it gets; what does not fit is cut.
//! Imports: base, ratatui, `monitor::*`.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, Table};

use crate::base::units;

use super::figures::{Count, Figures, ModelFigures, Times};
use super::frame::{Theme, WIDE};
use super::history::{History, Point};
use super::words::{self, NOTHING, count, percent, rate, took};

/// What all panels show.
pub(super) struct Panels<'v> {
    pub(super) figures: &'v Figures,
    pub(super) model: Option<&'v ModelFigures>,
    pub(super) history: &'v History,
    pub(super) theme: Theme,
}

/// Steps of a curve.
const STEPS: f64 = 1e6;
/// A table of routes or versions of so many columns has all its columns.
const ROOMY: u16 = 66;
/// Columns of a class's name, and of its bar.
const CLASS_COLUMNS: usize = 12;
/// Parts of a column that a bar can fill, from none to all.
const EIGHTHS: [&str; 9] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];

/// Draws the curves.
pub(super) fn curves(frame: &mut Frame<'_>, panels: &Panels<'_>, area: Rect) {
    let figures = panels.figures;
    let is_wide = WIDE <= area.width;
    let places = Layout::horizontal(vec![Constraint::Fill(1); if is_wide { 4 } else { 3 }])
        .spacing(2)
        .split(area);
    let all: f64 = figures.handlers.iter().map(|(_, r)| r.count.per_s).sum();
    let of = |status: &str| {
        let handlers = figures.handlers.iter();
        let all = handlers.filter_map(|(_, r)| r.statuses.get(status));
        rate(all.sum())
    };
    let requests = format!("{}/s  4xx {}  5xx {}", rate(all), of("4xx"), of("5xx"));
    let title = format!("Requests, {} in flight", count(figures.in_flight));
    curve(frame, panels, places[0], &title, &requests, &|point| {
        Some(point.requests)
    });
    let latency = figures.predictions.latency;
    let (p50, p99) = (took(latency.p50), took(latency.p99));
    let text = if is_wide {
        format!("p50 {p50}  p90 {}  p99 {p99}", took(latency.p90))
    } else {
        format!("p50 {p50}  p99 {p99}")
    };
    curve(
        frame,
        panels,
        places[1],
        "Predictions, p99",
        &text,
        &|point| point.p99,
    );
    let name = panels.model.map_or("", |model| model.name.as_str());
    let text = panels.model.map_or_else(String::new, |model| {
        let batch = model
            .batch
            .map_or(NOTHING.to_owned(), |n| format!("{n:.1}"));
        let (queue, limit) = (count(model.queue), count(model.queue_limit));
        format!("{queue} of {limit}  batch {batch}")
    });
    curve(frame, panels, places[2], "Queue", &text, &|point| {
        point.queues.get(name).copied()
    });
    if is_wide {
        let memory = units::bytes(figures.process.memory_bytes as u64);
        let text = format!("{:.2} cores  {memory}", figures.cpu_cores);
        curve(frame, panels, places[3], "CPU", &text, &|point| {
            Some(point.cpu_cores)
        });
    }
}

fn titled(theme: Theme, title: &str) -> Block<'static> {
    Block::new()
        .borders(Borders::TOP)
        .border_style(theme.dim)
        .title(format!(" {title} "))
        .title_style(theme.strong)
}

fn curve(
    frame: &mut Frame<'_>,
    panels: &Panels<'_>,
    area: Rect,
    title: &str,
    text: &str,
    value: &dyn Fn(&Point) -> Option<f64>,
) {
    let block = titled(panels.theme, title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [line, rest] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(inner);
    frame.render_widget(Line::from(text), line);
    let points = panels.history.curve(usize::from(rest.width), value);
    let most = points.iter().flatten().copied().fold(0.0, f64::max);
    let scaled = points.into_iter().map(|point| {
        let step = |value: f64| (value / most * STEPS) as u64;
        point.map(|value| if 0.0 < most { step(value) } else { 0 })
    });
    let line = Sparkline::default()
        .data(scaled)
        .max(STEPS as u64)
        .style(panels.theme.curve);
    frame.render_widget(line, rest);
}

/// A column of a table: its heading, its width, and the narrowest table that has it.
struct Column {
    title: &'static str,
    width: Constraint,
    from: u16,
}

const fn column(title: &'static str, width: u16) -> Column {
    Column {
        title,
        width: Constraint::Length(width),
        from: 0,
    }
}

const fn roomy(title: &'static str, width: u16) -> Column {
    Column {
        from: ROOMY,
        ..column(title, width)
    }
}

/// The first column of a table, which takes what the others leave.
const fn first(title: &'static str) -> Column {
    Column {
        title,
        width: Constraint::Fill(1),
        from: 0,
    }
}

/// Draws a table under its title: the first column stands left, numbers right.
fn table(
    frame: &mut Frame<'_>,
    theme: Theme,
    title: &str,
    columns: &[Column],
    rows: Vec<Vec<(String, Style)>>,
    area: Rect,
) {
    let is_shown = |column: &Column| column.from <= area.width;
    let cell = |at: usize, text: String, style: Style| {
        let text = Text::styled(text, style);
        Cell::from(if at == 0 { text } else { text.right_aligned() })
    };
    let heads = columns.iter().enumerate().filter(|(_, c)| is_shown(c));
    let heads = heads.map(|(at, column)| cell(at, column.title.to_owned(), theme.dim));
    let rows = rows.into_iter().map(|row| {
        let cells = row.into_iter().enumerate().zip(columns);
        let cells = cells.filter(|(_, column)| is_shown(column));
        Row::new(cells.map(|((at, (text, style)), _)| cell(at, text, style)))
    });
    let widths = columns.iter().filter(|c| is_shown(c)).map(|c| c.width);
    let table = Table::new(rows, widths)
        .header(Row::new(heads))
        .block(titled(theme, title));
    frame.render_widget(table, area);
}

/// Draws what was asked for.
pub(super) fn routes(frame: &mut Frame<'_>, panels: &Panels<'_>, area: Rect) {
    const COLUMNS: [Column; 8] = [
        first("route"),
        column("/s", 6),
        roomy("2xx", 6),
        column("4xx", 6),
        column("5xx", 6),
        column("p50", 7),
        roomy("p90", 7),
        column("p99", 7),
    ];
    let theme = panels.theme;
    let rows = panels.figures.handlers.iter().map(|(name, requests)| {
        let status = |class: &str| {
            let per_s = requests.statuses.get(class).copied().unwrap_or_default();
            let is_bad = class == "5xx" && 0.0 < per_s;
            let style = if is_bad { theme.bad } else { Style::new() };
            (rate(per_s), style)
        };
        let plain = |text: String| (text, Style::new());
        let Times { p50, p90, p99, .. } = requests.latency;
        vec![
            plain(name.clone()),
            plain(rate(requests.count.per_s)),
            status("2xx"),
            status("4xx"),
            status("5xx"),
            plain(took(p50)),
            plain(took(p90)),
            plain(took(p99)),
        ]
    });
    table(frame, theme, "Requests", &COLUMNS, rows.collect(), area);
}

/// Draws where the time of a prediction goes.
pub(super) fn stages(frame: &mut Frame<'_>, panels: &Panels<'_>, area: Rect) {
    const COLUMNS: [Column; 3] = [first("stage"), column("mean", 8), column("p99", 8)];
    let Some(model) = panels.model else { return };
    let rows = model.stages.iter().map(|(stage, times)| {
        let texts = [stage.clone(), took(times.mean), took(times.p99)];
        texts.map(|text| (text, Style::new())).to_vec()
    });
    let title = "Where the time goes";
    table(frame, panels.theme, title, &COLUMNS, rows.collect(), area);
}

/// Draws which versions answer.
pub(super) fn versions(frame: &mut Frame<'_>, panels: &Panels<'_>, area: Rect) {
    const COLUMNS: [Column; 7] = [
        first("version"),
        column("images/s", 8),
        column("judged right", 13),
        roomy("agrees", 13),
        roomy("test", 6),
        roomy("backend", 8),
        column("loaded", 7),
    ];
    let Some(model) = panels.model else { return };
    let theme = panels.theme;
    let rows = model.versions.iter().map(|version| {
        let style = match (version.is_loaded, version.is_ready) {
            (false, _) => theme.dim,
            (true, false) => theme.bad,
            (true, true) => Style::new(),
        };
        let loaded = version.loaded_s.map_or(NOTHING.to_owned(), words::ago);
        let texts = [
            format!("{} {}", version.version, words::part(version)),
            rate(version.images.per_s),
            words::judged(version.judged),
            words::judged(version.agreed),
            version.accuracy.map_or(NOTHING.to_owned(), percent),
            version.backend.clone(),
            loaded,
        ];
        texts.map(|text| (text, style)).to_vec()
    });
    let mut title = "Versions".to_owned();
    if 0.0 < model.load_failures {
        title.push_str(&format!(", {} failed loads", count(model.load_failures)));
    }
    table(frame, theme, &title, &COLUMNS, rows.collect(), area);
}

/// Draws what is predicted.
pub(super) fn classes(frame: &mut Frame<'_>, panels: &Panels<'_>, area: Rect) {
    let Some(model) = panels.model else { return };
    let title = format!("Classes, last {}", words::ago(panels.figures.long_seconds));
    let block = titled(panels.theme, &title);
    let inner = block.inner(area);
    let (width, height) = (usize::from(inner.width), usize::from(inner.height));
    let largest = model.classes.first().map_or(1.0, |(_, share)| *share);
    // ` 100 %` behind the bar, a blank before it.
    let bar_columns = width.saturating_sub(CLASS_COLUMNS + 8);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (class, share) in &model.classes {
        let name: String = class.chars().take(CLASS_COLUMNS).collect();
        let eighths = (share / largest * bar_columns as f64 * 8.0).round() as usize;
        let bar = format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8]);
        lines.push(Line::from(vec![
            Span::raw(format!("{name:<CLASS_COLUMNS$} ")),
            Span::styled(format!("{bar:<bar_columns$}"), panels.theme.curve),
            Span::raw(format!("{:>6}", percent(*share))),
        ]));
    }
    if height < lines.len() && 0 < height {
        let hidden = lines.len() - (height - 1);
        lines.truncate(height - 1);
        let more = format!("and {hidden} more");
        lines.push(Line::styled(more, panels.theme.dim));
    }
    if lines.is_empty() {
        lines.push(Line::styled("nothing was predicted", panels.theme.dim));
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// Draws what must not be overlooked, in three lines.
pub(super) fn state(frame: &mut Frame<'_>, panels: &Panels<'_>, area: Rect) {
    let theme = panels.theme;
    let lines = vec![
        refused(panels.figures, theme),
        predictions(panels, theme),
        process(panels.figures, theme),
    ];
    let block = titled(theme, "State");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// A line with its heading.
fn line(theme: Theme, title: &'static str) -> Line<'static> {
    Line::from(Span::styled(format!("{title:<9}"), theme.dim))
}

fn counted(Count { per_s, total }: Count) -> String {
    format!("{}/s ({})", rate(per_s), count(total))
}

fn refused(figures: &Figures, theme: Theme) -> Line<'static> {
    let mut line = line(theme, "refused");
    for (reason, refused) in &figures.refused {
        let style = if 0.0 < refused.per_s {
            theme.bad
        } else {
            Style::new()
        };
        let text = format!("{reason} {}  ", counted(*refused));
        line.push_span(Span::styled(text, style));
    }
    if figures.refused.is_empty() {
        line.push_span("nothing  ");
    }
    if 0.0 < figures.undecodable.total {
        let text = format!("unreadable pictures {}", counted(figures.undecodable));
        line.push_span(text);
    }
    line
}

fn predictions(panels: &Panels<'_>, theme: Theme) -> Line<'static> {
    let mut line = line(theme, "model");
    let Some(model) = panels.model else {
        return line;
    };
    // First, so that a narrow terminal does not cut it off.
    if model.is_drift_refused {
        let text = format!("drift {}  ", words::DRIFT_REFUSED);
        line.push_span(Span::styled(text, theme.bad));
    }
    for (detector, drift) in &model.drift {
        let p = drift
            .p_value
            .map_or(String::new(), |p| format!(" p {p:.3}"));
        let (word, style) = if drift.is_found {
            ("DRIFT", theme.bad)
        } else {
            ("no drift", Style::new())
        };
        line.push_span(Span::styled(format!("{word} ({detector}{p})  "), style));
    }
    let share = |share: Option<f64>| share.map_or(NOTHING.to_owned(), percent);
    line.push_span(format!(
        "confidence {}  unsure {}  right {}",
        share(model.confidence),
        share(model.unsure),
        words::judged(model.judged)
    ));
    line
}

fn process(figures: &Figures, theme: Theme) -> Line<'static> {
    let process = &figures.process;
    let mut line = line(theme, "server");
    line.push_span(format!(
        "cpu {:.2}  {}  files {}/{}  connections {}  log {}",
        figures.cpu_cores,
        units::bytes(process.memory_bytes as u64),
        count(process.open_fds),
        count(process.max_fds),
        count(figures.connections),
        count(figures.logged.total),
    ));
    if 0.0 < figures.log_dropped.total {
        let lost = format!(", {} LOST", count(figures.log_dropped.total));
        line.push_span(Span::styled(lost, theme.bad));
    }
    line
}

//! `/runs/{id}/metrics`: every metric with its curve. `?metric=NAME` shows one, `?format=csv&table=history`
//! all points. Imports: report, track, `ui::*`.

use askama::Template;

use super::charts::{Budget, ChartOf, groups, is_of_system};
use super::head::{Head, Part, layout};
use super::seen::Seen;
use super::tables::{self, Which};
use crate::base::clock;
use crate::http::Response;
use crate::mlflow::Refused;
use crate::track::entity::MetricPoint;
use crate::track::series::Axis;
use crate::track::{Error, Reader, RunId, Shared};
use crate::ui::asked::{Asked, Format};
use crate::ui::layout::Layout;
use crate::ui::pages::series::{self, SeriesAsk};
use crate::ui::parts::figure::{AXES, Figure, SeriesOf};
use crate::ui::parts::table::{Cell, Column, DataTable, as_file};
use crate::ui::parts::table_file::{self, SomeRows};
use crate::ui::reply;
use crate::ui::site::Site;

/// More charts than this nobody looks at: the page says how to see the others.
const CHARTS_MAX: usize = 200;

/// Points of a chart that the server draws.
const POINTS: usize = 300;

/// Points of a history that are read at once for a file.
const ROWS_AT_ONCE: usize = 10_000;

/// What the charts of the run's own metrics share, and those of system metrics.
const OWN: &str = "m";
const SYSTEM: &str = "s";

/// Charts under a heading.
struct Shown {
    heading: String,
    figures: Vec<Figure>,
}

#[derive(Template)]
#[template(path = "pages/run/metrics.html")]
struct Page {
    layout: Layout,
    head: Head,
    /// The one metric that is shown.
    only: Option<String>,
    here: String,
    own: Vec<Shown>,
    system: Vec<Shown>,
    own_table: DataTable,
    system_table: DataTable,
    left_out: usize,
    history_csv: String,
    history_json: String,
}

pub(super) fn answer(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let seen = Seen::of(asked)?;
    let only = asked.query.filled("metric").map(str::to_owned);
    if let Some(name) = &only
        && !seen
            .record
            .metrics
            .iter()
            .any(|metric| metric.name == *name)
    {
        return Err(Refused::missing(format!("this run has no metric `{name}`")));
    }
    if asked.format()? != Format::Html && asked.query.get("table") == Some("history") {
        return History::of(asked, &seen, only.as_deref()).answer(asked);
    }
    let (own_table, system_table, own, system, left_out) = asked.shared.read(|reader| {
        let mut budget = Budget::new();
        let own_table = tables::metrics(asked, reader, &seen, Which::Own, &mut budget)?;
        let system_table = tables::metrics(asked, reader, &seen, Which::System, &mut budget)?;
        let mut left = CHARTS_MAX;
        let mut drawer = Drawer {
            reader,
            asked,
            seen: &seen,
            budget: budget.renewed(),
        };
        let (own, more) = drawer.shown(OWN, only.as_deref(), &mut left)?;
        let (system, system_more) = drawer.shown(SYSTEM, only.as_deref(), &mut left)?;
        Ok((own_table, system_table, own, system, more + system_more))
    })?;
    if let Some(file) = as_file(asked, &[&own_table, &system_table])? {
        return Ok(file);
    }
    let file = |format| asked.href_with(&[("format", Some(format)), ("table", Some("history"))]);
    let page = Page {
        layout: layout(site, asked, &seen, Part::Metrics).module("chart.js"),
        head: Head::new(asked, &seen, Part::Metrics),
        here: format!("{}/metrics", seen.href()),
        history_csv: file("csv"),
        history_json: file("json"),
        only,
        own,
        system,
        own_table,
        system_table,
        left_out,
    };
    reply::html(asked, &page)
}

/// Draws what the page is sent with.
struct Drawer<'a> {
    reader: &'a Reader<'a>,
    asked: &'a Asked,
    seen: &'a Seen,
    budget: Budget,
}

impl Drawer<'_> {
    /// Returns the charts of a group, and how many were left out.
    fn shown(
        &mut self,
        group: &'static str,
        only: Option<&str>,
        left: &mut usize,
    ) -> Result<(Vec<Shown>, usize), Error> {
        let names = self.seen.record.metrics.iter().map(|m| m.name.as_str());
        let wanted = names.filter(|name| {
            is_of_system(name) == (group == SYSTEM) && only.is_none_or(|only| only == *name)
        });
        let mut shown = Vec::new();
        let mut left_out = 0;
        for charts in groups(wanted) {
            let mut figures = Vec::new();
            for chart in charts.charts {
                if *left == 0 {
                    left_out += 1;
                } else if let Some(figure) = self.figure(group, &chart)? {
                    *left -= 1;
                    figures.push(figure);
                }
            }
            if !figures.is_empty() {
                shown.push(Shown {
                    heading: charts.heading,
                    figures,
                });
            }
        }
        Ok((shown, left_out))
    }

    /// Returns a chart; `None` if there is no curve to draw and none is to come.
    fn figure(&mut self, group: &'static str, chart: &ChartOf) -> Result<Option<Figure>, Error> {
        let ask = SeriesAsk {
            runs: vec![(self.seen.id(), self.seen.record.info.name.clone())],
            keys: chart.keys.clone(),
            axis: self.axis(group),
            range: None,
            points: POINTS,
            band_over: Vec::new(),
        };
        let told = if self.budget.is_spent() {
            Vec::new()
        } else {
            series::load(self.reader, &ask, &mut self.budget.left)?
        };
        let is_known = !self.budget.is_spent();
        for one in &told {
            self.budget.spend(one.total());
        }
        let has_curve = told.iter().any(series::OneSeries::is_curve);
        if is_known && !has_curve && !self.seen.goes_on() {
            return Ok(None);
        }
        let x_title = match ask.axis {
            Axis::Step => "step",
            Axis::Relative => "seconds",
            Axis::Wall => "time",
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("run", &self.seen.id().to_string());
        query.extend_pairs(chart.keys.iter().map(|key| ("key", key)));
        let figure = Figure::new(series::drawn(&chart.title, x_title, &told), "");
        Ok(Some(figure.series(SeriesOf {
            href: format!("/ajax-api/cvops/series?{}", query.finish()),
            title: chart.title.clone(),
            y_title: String::new(),
            x: if group == SYSTEM { "time" } else { "step" },
            axes: AXES,
            x_title: String::new(),
            group,
        })))
    }

    /// Returns what a group is drawn over: what the page's address says (as the script writes it).
    fn axis(&self, group: &str) -> Axis {
        match self.asked.query.get(&format!("{group}.x")) {
            Some("step") => Axis::Step,
            Some("time") => Axis::Relative,
            Some("wall") => Axis::Wall,
            _ if group == SYSTEM => Axis::Relative,
            _ => Axis::Step,
        }
    }
}

/// All points of a run, or of one metric, as a file.
struct History {
    shared: Shared,
    run: RunId,
    /// Those that were not yet begun, the next one last.
    metrics: Vec<String>,
    /// The one that was begun, with the place behind which it goes on.
    begun: Option<(String, Option<String>)>,
}

impl History {
    fn of(asked: &Asked, seen: &Seen, only: Option<&str>) -> Self {
        let names = seen.record.metrics.iter().map(|m| m.name.clone()).rev();
        Self {
            shared: asked.shared.clone(),
            run: seen.id(),
            metrics: names
                .filter(|name| only.is_none_or(|only| only == name))
                .collect(),
            begun: None,
        }
    }

    fn answer(mut self, asked: &Asked) -> Result<Response, Refused> {
        let columns = [
            Column::text("metric", "Metric"),
            Column::number("step", "Step"),
            Column::text("time", "Time"),
            Column::number("value", "Value"),
        ];
        table_file::long(asked, "history", &columns, move || Ok(self.some()?))
    }

    /// Reads the next points, in a moment of their own: what comes meanwhile is among them, if it
    /// belongs behind those that were read.
    fn some(&mut self) -> Result<SomeRows, Error> {
        let mut rows = Vec::new();
        let (run, metrics, begun) = (self.run, &mut self.metrics, &mut self.begun);
        self.shared.read(|reader| {
            while rows.len() < ROWS_AT_ONCE {
                let next = || metrics.pop().map(|name| (name, None));
                let Some((name, place)) = begun.take().or_else(next) else {
                    break;
                };
                let room = Some(ROWS_AT_ONCE - rows.len());
                let page = reader.metric_history(run, &name, room, place.as_deref())?;
                rows.extend(page.items.into_iter().map(row));
                if page.next.is_some() {
                    *begun = Some((name, page.next));
                }
            }
            Ok(())
        })?;
        Ok(SomeRows {
            rows,
            has_more: self.begun.is_some() || !self.metrics.is_empty(),
        })
    }
}

fn row(point: MetricPoint) -> Vec<Cell> {
    vec![
        Cell::Text(point.name),
        Cell::Shown {
            value: point.step as f64,
            text: point.step.to_string(),
        },
        Cell::Text(clock::utc(point.at_ms)),
        Cell::Number(point.value),
    ]
}

//! `/runs/{id}` and what lies below: one run, with everything that is recorded of it.
//!
//! `seen` reads the record once for a page; `head` is what stands above each part; the parts are
//! `overview`, `metrics`, `artifacts` (with `preview` of a file, `raw` for its bytes), `console`.
//! `changes` answers forms, `live` tells of what goes on. Imports: `ui::*`, track, pipeline,
//! experiment.

mod artifacts;
mod changes;
mod charts;
mod console;
mod difference;
mod head;
mod live;
mod metrics;
mod overview;
mod preview;
mod raw;
mod seen;
mod tables;

pub(super) use head::{Head, Part, layout};
pub(super) use raw::file_href;
pub(super) use seen::Seen;

use crate::ui::site::Endpoint;

pub(in crate::ui) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/runs/{id}", overview::answer),
    Endpoint::get("/runs/{id}/metrics", metrics::answer),
    Endpoint::get("/runs/{id}/artifacts", artifacts::answer),
    Endpoint::get("/runs/{id}/artifacts/{*path}", artifacts::answer),
    Endpoint::get("/runs/{id}/file/{*path}", raw::answer),
    Endpoint::get("/runs/{id}/log", console::answer),
    Endpoint::get("/runs/{id}/live", live::answer),
    Endpoint::post("/runs/{id}/name", changes::rename),
    Endpoint::post("/runs/{id}/tag", changes::tag),
    Endpoint::post("/runs/{id}/untag", changes::untag),
    Endpoint::post("/runs/{id}/note", changes::note),
    Endpoint::post("/runs/{id}/delete", changes::delete),
    Endpoint::post("/runs/{id}/restore", changes::restore),
    Endpoint::post("/runs/{id}/register", changes::register),
];

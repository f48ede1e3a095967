//! The pages, one module with its templates each. Imports: everything that `ui` may.

mod compare;
mod conflict;
mod data;
pub(super) mod evaluation;
mod images;
mod models;
mod overview;
mod pipeline;
mod run;
mod runs;
mod series;
pub(super) mod serving;
mod sweeps;

use super::site::Endpoint;

pub(super) use overview::Disk;

/// What every page answers.
pub(super) const TABLES: &[&[Endpoint]] = &[
    ASSETS,
    // One line each.
    compare::ENDPOINTS,
    data::ENDPOINTS,
    evaluation::ENDPOINTS,
    images::ENDPOINTS,
    models::ENDPOINTS,
    overview::ENDPOINTS,
    pipeline::ENDPOINTS,
    run::ENDPOINTS,
    runs::ENDPOINTS,
    series::ENDPOINTS,
    serving::ENDPOINTS,
    sweeps::ENDPOINTS,
];

const ASSETS: &[Endpoint] = &[Endpoint::get("/assets/{name}", |_, asked| {
    super::asset::answer(asked)
})];

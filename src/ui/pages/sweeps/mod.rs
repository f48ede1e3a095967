//! `/sweeps…`: what was tried and what came of it, while it goes on and after. Sweeps of this project's
//! journals, and runs of any program that are parts of one run (MLflow's nested runs).
//! Imports: experiment, track, `ui::*`.

mod curves;
mod figures;
mod list;
mod live;
mod nested;
mod ours;
mod page;
mod shown;
mod trials;

use crate::ui::site::Endpoint;

pub(in crate::ui) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/sweeps", list::page),
    Endpoint::get("/sweeps/{name}", page::page),
    Endpoint::get("/sweeps/{name}/live", live::live),
];

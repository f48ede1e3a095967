//! `/`: what the state of the project is, in five seconds. Imports: `ui::*`.

mod disk;
mod page;
mod runs;
mod server;

use crate::ui::site::Endpoint;

pub(in crate::ui) use disk::Disk;

pub(in crate::ui) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/", page::overview),
    Endpoint::get("/overview/live", page::live),
];

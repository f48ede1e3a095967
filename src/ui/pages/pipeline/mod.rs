//! `/pipeline`: the stages, how they stand, why, and what goes on. Imports: `ui::*`.

mod graph;
mod live;
mod page;
mod stage;
mod view;

use crate::ui::site::Endpoint;

pub(in crate::ui) use live::{Follower, is_for_events};
pub(in crate::ui) use view::{StageView, Tally, stage_href, views};

pub(in crate::ui) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/pipeline", page::pipeline),
    Endpoint::get("/pipeline/live", live::live),
    Endpoint::get("/pipeline/{*stage}", stage::stage),
];

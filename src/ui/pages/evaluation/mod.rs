//! `/evaluation` and `/runs/{id}/evaluation`: how good a model is and where it is wrong, of the
//! workspace or of any run, from the predictions that the evaluation left as an output.
//!
//! `source` finds and reads the files, `judge` and `confusion` (pure) have the figures, `pictures`
//! chooses what is shown of the pictures, `charts` draws, `tables` lists, `page` and `versus` put
//! pages together.
//! Imports: report, track, `ui::*`.

mod charts;
mod confusion;
mod judge;
mod page;
mod pictures;
mod predictions;
mod source;
mod tables;
mod versus;

use crate::ui::site::Endpoint;

/// What is answered.
pub(in crate::ui) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/evaluation", page::answer),
    Endpoint::get("/ajax-api/cvops/evaluation/thresholds", page::thresholds),
    Endpoint::get("/runs/{id}/evaluation", page::answer),
];

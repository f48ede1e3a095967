//! The web pages: what people look at. Rendered here, whole, from templates beside the code;
//! `assets/` are the style sheet and small ES modules that add what a page cannot do by itself (zoom,
//! live points, remembered columns). Everything works without them, and without a network.
//!
//! # The way of a request
//! `mlflow` finds the route, lets pass who may, and hands it to `Site` on a thread that may wait →
//! an `Endpoint` of `pages` reads it (`Asked`), asks the record and the project, fills its template
//! (`layout`, `parts`) → `reply`.
//!
//! A page shows what its URL says and nothing else, so that a link shows a colleague the same. Every
//! text of a user is escaped by the template; no script or style stands in a page
//! (`site::PAGE_POLICY`). Imports: base, http, project, report, store, pipeline, track, compare,
//! mlflow, experiment.

mod asked;
mod asset;
pub mod eye;
mod layout;
mod lines;
mod looks;
mod memo;
mod outputs;
mod pages;
mod parts;
mod prepared;
mod reply;
mod site;

pub use eye::Eye;
pub use site::{Options, Site};

//! What `cvops monitor` knows and shows of a prediction server.
//!
//! `ask` looks at a server; a `reading` is what one look saw; the `history` keeps some of them and says
//! in `figures` what went on between them. `frame` draws figures on a terminal, `text` writes them as a
//! table or as JSON: both are functions of what they are given. `screen` is the terminal itself.
//! Imports: base, report, ratatui.

mod ask;
mod figures;
mod frame;
mod history;
mod panels;
mod reading;
mod screen;
mod text;
mod words;

pub(super) use ask::{Asker, Seen, Trouble};
pub(super) use frame::{Overlay, Pace, Server, Theme, View};
pub(super) use history::History;
#[cfg(test)]
pub(super) use reading::Reading;
pub(super) use screen::{Key, Screen};
pub(super) use text::{json, table};

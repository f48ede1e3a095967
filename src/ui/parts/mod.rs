//! What several pages are made of: tables, chips, times, numbers. Imports: base, http, mlflow,
//! `ui::{asked, looks, reply}`.

pub(super) mod as_of;
pub(super) mod chip;
pub(super) mod drawn;
pub(super) mod figure;
pub(super) mod live;
pub(super) mod markdown;
pub(super) mod notice;
pub(super) mod number;
pub(super) mod paging;
pub(super) mod progress;
pub(super) mod table;
pub(super) mod table_file;
pub(super) mod tags;
pub(super) mod time;

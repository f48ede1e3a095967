//! One file per command: arguments → options → a call into a room below → rendering.

pub(super) mod cache;
pub(super) mod check_ignore;
pub(super) mod checkout;
pub(super) mod commit;
pub(super) mod completions;
pub(super) mod config;
pub(super) mod dag;
pub(super) mod doctor;
pub(super) mod freeze;
pub(super) mod health;
pub(super) mod init;
pub(super) mod install;
pub(super) mod man;
pub(super) mod merge_driver;
pub(super) mod metrics;
pub(super) mod params;
pub(super) mod params_sweep;
pub(super) mod plots;
pub(super) mod remote;
pub(super) mod repro;
pub(super) mod root;
pub(super) mod runs;
pub(super) mod schema;
pub(super) mod stage;
pub(super) mod status;
pub(super) mod unfreeze;
pub(super) mod version;
pub(super) mod why;

#[cfg(feature = "vision")]
pub(super) mod evaluate;
#[cfg(feature = "vision")]
mod init_template;
#[cfg(feature = "vision")]
pub(super) mod predict;
#[cfg(feature = "vision")]
pub(super) mod preprocess;
#[cfg(feature = "vision")]
pub(super) mod serve;
#[cfg(feature = "vision")]
pub(super) mod summary;
#[cfg(feature = "vision")]
pub(super) mod train;

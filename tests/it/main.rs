//! The one integration binary: drives the real program and reads the source of the house.
//!
//! One file per command, named after it; `tidy` fails when a file is not listed here. Nothing here
//! uses the library: what a user cannot reach is tested where it lives.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests build projects with plain file functions; a failed one fails the test"
)]

mod access;
mod add;
mod bad_input;
mod browser;
mod cache;
mod check_ignore;
mod checkout;
mod commit;
mod concurrency;
mod config;
mod crash;
mod crash_data;
mod dag;
mod data;
#[cfg(feature = "vision")]
mod data_check;
#[cfg(feature = "vision")]
mod data_check_labels;
mod doctor;
#[cfg(feature = "vision")]
mod drift;
#[cfg(feature = "vision")]
mod drift_report;
#[cfg(feature = "vision")]
mod drift_test;
mod dvc;
mod dvc_beside;
mod dvc_compare;
mod dvc_data;
mod dvc_locks;
mod dvc_settings;
mod dvc_templates;
mod edges;
#[cfg(feature = "vision")]
mod evaluate;
#[cfg(feature = "vision")]
mod example_emoji;
mod exchange;
mod forward;
mod freeze;
mod gc;
mod health;
mod help;
mod init;
#[cfg(feature = "vision")]
mod init_template;
mod inputs;
mod install;
#[cfg(feature = "vision")]
mod kubernetes;
mod links;
mod manual;
mod metrics;
mod migrate;
mod mlflow_bad_input;
mod mlflow_client;
mod mlflow_golden;
mod mlflow_server;
mod models;
mod monitor;
#[cfg(feature = "vision")]
mod monitoring;
#[cfg(feature = "vision")]
mod onnx;
mod params;
#[cfg(feature = "vision")]
mod params_reference;
mod pipelines;
mod plots;
#[cfg(feature = "vision")]
mod predict;
#[cfg(feature = "vision")]
mod preprocess;
mod progress;
mod push;
mod random;
mod relocate;
mod remote;
mod repro;
mod runs;
#[cfg(feature = "vision")]
mod serve;
#[cfg(feature = "vision")]
mod serve_access;
#[cfg(feature = "vision")]
mod serve_drift;
#[cfg(feature = "vision")]
mod serve_explain;
#[cfg(feature = "vision")]
mod serve_hostile;
#[cfg(feature = "vision")]
mod serve_lines;
#[cfg(feature = "vision")]
mod serve_log;
#[cfg(feature = "vision")]
mod serve_mlflow;
#[cfg(feature = "vision")]
mod serve_models;
#[cfg(feature = "vision")]
mod serve_openapi;
#[cfg(feature = "vision")]
mod serve_pages;
#[cfg(feature = "vision")]
mod serve_pressure;
#[cfg(feature = "vision")]
mod serve_registry;
#[cfg(feature = "vision")]
mod serve_routes;
#[cfg(feature = "vision")]
mod serve_tfserving;
#[cfg(feature = "vision")]
mod serve_tls;
#[cfg(feature = "vision")]
mod serve_transport;
#[cfg(feature = "vision")]
mod serve_unix;
#[cfg(feature = "vision")]
mod serve_v2;
mod service;
mod stage;
mod stage_runs;
mod status;
#[cfg(feature = "vision")]
mod summary;
mod support;
mod sweep;
mod sweep_templates;
mod template;
mod tidy;
mod tracking;
mod tracking_crash;
mod tracking_faults;
#[cfg(feature = "vision")]
mod train;
mod ui;
#[cfg(feature = "vision")]
mod vision_bad_input;
mod why;

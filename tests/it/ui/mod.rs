//! The web pages, as browsers and programs see them. One file per page; `browser_*` drive a headless
//! Chromium and are skipped where there is none (`CVOPS_TEST_BROWSER`).

mod browser_all;
mod browser_charts;
mod browser_evaluation;
mod browser_models;
mod browser_pipeline;
mod browser_run;
mod browser_runs;
mod browser_serving;
mod browser_sweeps;
mod compare;
mod data;
mod evaluation;
mod frame;
mod images;
mod models;
mod overview;
mod pipeline;
mod run;
mod runs;
mod serving;
mod support;
mod sweeps;
mod words;

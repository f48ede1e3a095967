//! The one integration binary: drives the real program and reads the source of the house.
//!
//! One file per command, named after it; `tidy` fails when a file is not listed here. Nothing here
//! uses the library: what a user cannot reach is tested where it lives.
#![expect(
    clippy::disallowed_methods,
    reason = "tests build projects with plain file functions and read their own environment"
)]

mod support;
mod tidy;

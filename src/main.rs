//! The `cvops` program: everything is in the library.

use std::process::ExitCode;

/// Documents are many small pieces and training asks for the same large blocks at each step: both
/// are faster with an allocator that keeps what it was given back (measured: ADR 14).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cvops::cli::main()
}

//! The `cvops` program: everything is in the library.

use std::process::ExitCode;

/// Documents are many small pieces and training asks for the same large blocks at each step: both
/// are faster with an allocator that keeps what it was given back (measured: ADR 14).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(
    unsafe_code,
    reason = "the allocator's crate has no form of this function that is safe"
)]
// SAFETY: declared as in `mimalloc.h`, whose library comes with the allocator. Any thread may call it at
// any time: it touches only memory that is free.
unsafe extern "C" {
    safe fn mi_collect(force: bool);
}

/// Returns the memory to the system that is free and that the calling thread or no thread has. By itself
/// the allocator does so a second after it became free, if somebody asks for memory then: who loads and
/// then waits keeps all that loading took.
fn give_back() {
    mi_collect(true);
}

fn main() -> ExitCode {
    cvops::cli::main(give_back)
}

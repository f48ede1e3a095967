//! The `cvops` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    cvops::cli::main()
}

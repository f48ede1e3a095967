//! The top floor: arguments, commands, rendering, exit codes. The only room that prints, reads the
//! environment, looks at the terminal, or decides the exit code.
//!
//! `args` is the command table; each command is one file in `cmd/`: arguments → options → a call
//! into a room below → rendering. Imports: every room.

mod args;
mod cloud;
mod cmd;
mod compare;
mod confirm;
mod ctx;
mod doctor;
mod env;
mod error;
mod exit;
mod fetch;
mod forwarding;
mod hints;
#[cfg(feature = "vision")]
mod memory;
mod monitor;
mod out;
mod panic;
#[cfg(feature = "vision")]
mod params;
#[cfg(feature = "vision")]
mod pictures;
mod progress;
mod reference;
mod render;
mod services;
mod settings;
mod signal;
mod sources;
mod sync;
#[cfg(feature = "vision")]
mod systemd;
#[cfg(feature = "vision")]
mod templates;
mod tracked;
mod usage;
mod validity;
#[cfg(feature = "vision")]
mod written;

use std::process::ExitCode;

use clap::Parser;

use crate::base::{Cancel, Diagnostic};

use ctx::Ctx;
use exit::Outcome;

/// Runs the command that the process was started with. `give_back` returns memory to the system that the
/// calling thread has and does not use: the allocator is the program's.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the command line comes in here; clap has not read it yet, or has not understood it"
)]
pub fn main(give_back: fn()) -> ExitCode {
    #[cfg(feature = "vision")]
    memory::small_pages_for_servers(std::env::args_os());
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(mut error) => {
            if !hints::add_hint(&mut error) {
                usage::mend_suggestion(&mut error);
            }
            // Help and version count as results: clap prints them to stdout with code 0.
            let code = if error.use_stderr() {
                exit::USAGE
            } else {
                exit::DONE
            };
            if error.use_stderr() && usage::wants_json(std::env::args_os()) {
                let shown = render::diagnostic::event(&usage::diagnostic(&error));
                out::machine_line(&shown);
            } else {
                let printed = error.print();
                if code == exit::DONE && printed.is_err_and(|e| out::is_loss(&e)) {
                    return ExitCode::from(exit::error_code(exit::ErrorClass::Failed));
                }
            }
            return ExitCode::from(code);
        }
    };
    let env = env::Env::of_process();
    let prepared = env::arm_faults(&env);
    #[cfg(feature = "vision")]
    let prepared = prepared.and_then(|()| env::choose_cpu(&env));
    if let Err(error) = prepared {
        return finish(&out::Out::new(&args.global, &env), Err(error));
    }
    let out = out::Out::new(&args.global, &env);
    panic::install();
    out::start_log(&args.global, &env, &out, args.command.log_format());
    let cancel = Cancel::new();
    let ctx = Ctx::new(args.global, env, out, cancel, give_back);
    let result = match &ctx {
        Ok(ctx) => args.command.run(ctx),
        Err((_, error)) => Err(error.clone()),
    };
    match ctx {
        Ok(ctx) => finish(&ctx.out, result),
        Err((out, _)) => finish(&out, result),
    }
}

fn finish(out: &out::Out, result: Result<Outcome, error::CliError>) -> ExitCode {
    let code = match result {
        Ok(outcome) => exit::code(outcome),
        Err(error) => {
            render::diagnostic::show_all(out, &error.diagnostics);
            exit::error_code(error.class)
        }
    };
    // A script that keeps the results of a full disk must not take them for whole.
    match out.take_lost() {
        Some(error) if matches!(code, exit::DONE | exit::CHANGES) => {
            let headline = format!("cannot write the result to stdout: {error}");
            let diagnostic = Diagnostic::error("io", headline)
                .help("check the free space and the permissions of where stdout goes");
            out.error(&render::diagnostic::to_text(&diagnostic, out.color()));
            ExitCode::from(exit::error_code(exit::ErrorClass::Failed))
        }
        _ => ExitCode::from(code),
    }
}

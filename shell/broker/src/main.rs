//! `chronik-server`: a Kafka-compatible event log, and its command line.

mod args;
mod banner;
mod clock;
mod config;
mod disk;
mod event_loop;
mod http;
mod hub;
mod journal;
mod logging;
mod memory;
mod metrics;
mod server;
mod signals;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use args::Invocation;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match args::parse() {
        Invocation::Serve(flags) => {
            abort_on_panic();
            server::run(&flags)
        }
        Invocation::Client(command, globals) => chronik_cli::run(
            &command,
            &globals,
            &mut std::io::stdout(),
            &mut std::io::stderr(),
        ),
        Invocation::Version => {
            let written = writeln!(std::io::stdout(), "chronik-server {}", args::VERSION_LINE);
            if written.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// A machine that failed an assertion must not go on: what is on disk is safe, and the next start
/// recovers from it.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// One problem per line on stderr. Nobody may be reading it; that changes nothing.
fn complain(problem: &dyn Display) {
    drop(writeln!(std::io::stderr(), "{problem}"));
}

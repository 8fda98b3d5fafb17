//! From a parsed command to an exit status.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::{Command, Subcommand};

use crate::args::{ClientCommand, GlobalArgs};
use crate::client::Client;
use crate::error::CliError;
use crate::{config, consume, group, produce, topic};

/// The client commands as clap subcommands, for completions and manual pages.
#[must_use]
pub fn commands() -> Vec<Command> {
    ClientCommand::augment_subcommands(Command::new("client"))
        .get_subcommands()
        .cloned()
        .collect()
}

/// Runs a command against the cluster of `globals`: results go to `stdout`, one line about a
/// failure goes to `stderr`. `produce` without values reads the standard input of the process.
///
/// The status is 0 when all went well or the reader of `stdout` went away, 1 when the command
/// failed, 2 when its arguments do not fit the cluster.
pub fn run(
    command: &ClientCommand,
    globals: &GlobalArgs,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> ExitCode {
    let mut out = BufWriter::new(stdout);
    let done = execute(command, globals, &mut out);
    match done.and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_broken_pipe() => {
            // Dropping the writer would try the closed pipe once more.
            drop(out.into_parts());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let flushed = out.flush();
            let told = writeln!(stderr, "{error}");
            drop((flushed, told)); // The status says it all when nobody can be told.
            ExitCode::from(error.exit_status())
        }
    }
}

fn execute(
    command: &ClientCommand,
    globals: &GlobalArgs,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut client = Client::new(globals);
    match command {
        ClientCommand::Topic(command) => topic::run(command, &mut client, globals.output, out),
        ClientCommand::Config(command) => config::run(command, &mut client, globals.output, out),
        ClientCommand::Group(command) => group::run(command, &mut client, globals.output, out),
        ClientCommand::Produce(args) => {
            produce::run(args, &mut client, io::stdin().lock(), globals.output, out)
        }
        ClientCommand::Consume(args) => consume::run(args, &mut client, globals, out),
    }
}

//! `chronik-reference`: the least that a durable Kafka server can do, as a measuring stick.
//!
//! One event loop receives Produce requests, checks their checksums, gives out offsets and copies the
//! batches into a buffer; one thread writes the buffer to a journal with one synchronous write, again
//! and again; then the replies leave. There are no topics, indexes, consumers, limits or recovery:
//! what a whole broker reaches of this server's speed on the same machine says what the rest costs.

mod answers;
mod connection;
mod journal;
mod server;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::journal::{Journal, Safety};

/// The least that a durable Kafka server can do: receives, journals, answers.
#[derive(Debug, Parser)]
#[command(name = "chronik-reference")]
struct Args {
    /// Port to listen on at 127.0.0.1; 0 takes a free one, which is printed.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Directory of the journal; without one, batches are answered and forgotten.
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Answer when the page cache has a batch, not the disk.
    #[arg(long, requires = "journal")]
    unsynced: bool,
    /// Partitions that every topic has.
    #[arg(long, default_value_t = 1)]
    partitions: i32,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let written = writeln!(io::stderr(), "chronik-reference: {error}");
            drop(written);
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    let safety = if args.unsynced {
        Safety::PageCache
    } else {
        Safety::Disk
    };
    let mut server = server::Server::bind(args.port, args.partitions)?;
    let journal = match &args.journal {
        Some(directory) => Some(Journal::start(directory, safety, server.waker()?)?),
        None => None,
    };
    writeln!(io::stdout(), "listening on {}", server.address()?)?;
    server.run(journal.as_ref())
}

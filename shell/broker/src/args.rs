//! The command line of `chronik-server`.
//!
//! Server flags are taken before and after `standalone` and `start`; client commands come from
//! `chronik_cli` and keep their own flags, some of which have the same names (`topic create
//! --config retention.ms=1000`). That is why the server flags are not global in clap's sense.

use std::path::PathBuf;

use chronik_cli::{ClientCommand, GlobalArgs};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::{Advertise, NotBuilt};

/// A Kafka-compatible event log that acknowledges only what is on disk.
#[derive(Debug, Parser)]
#[command(
    name = "chronik-server",
    version = VERSION_LINE,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = EXAMPLES
)]
pub(crate) struct Cli {
    /// Server flags in front of the command.
    #[command(flatten)]
    server: ServerFlags,
    /// Flags of the client commands.
    #[command(flatten, next_help_heading = "Options of client commands")]
    client: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server on its own, with nothing to configure.
    Standalone(ServerFlags),
    /// Run a server from a cluster file or a server.properties.
    Start(ServerFlags),
    /// Print the version.
    Version,
    #[command(flatten)]
    Client(ClientCommand),
}

/// Flags of `standalone` and `start`. What is not given comes from the environment, the
/// configuration file, or a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Server options")]
pub(crate) struct ServerFlags {
    /// Configuration file: a cluster file if it ends in .toml, else Kafka's server.properties.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Port for Kafka clients, 0 for any free one [default: 9092].
    #[arg(long, value_name = "PORT")]
    pub(crate) kafka_port: Option<u16>,
    /// Port for metrics and health over HTTP, 0 for any free one [default: 9990].
    #[arg(long, value_name = "PORT")]
    pub(crate) metrics_port: Option<u16>,
    /// Port for full-text search.
    #[arg(long, value_name = "PORT")]
    pub(crate) search_port: Option<u16>,
    /// Where everything is stored [default: ./chronik-data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Number of this node in its cluster.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) node_id: Option<i32>,
    /// Address that clients are told to connect to.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) advertise: Option<Advertise>,
    /// Level of logs: error, warn, info, debug or trace, or target=level pairs [default: info].
    #[arg(long, value_name = "LEVEL", value_parser = crate::logging::parse_level)]
    pub(crate) log_level: Option<String>,
}

impl ServerFlags {
    /// These flags, and for those not given the ones of `earlier`.
    fn over(self, earlier: Self) -> Self {
        Self {
            config: self.config.or(earlier.config),
            kafka_port: self.kafka_port.or(earlier.kafka_port),
            metrics_port: self.metrics_port.or(earlier.metrics_port),
            search_port: self.search_port.or(earlier.search_port),
            data_dir: self.data_dir.or(earlier.data_dir),
            node_id: self.node_id.or(earlier.node_id),
            advertise: self.advertise.or(earlier.advertise),
            log_level: self.log_level.or(earlier.log_level),
        }
    }

    /// Refuses flags that ask for something this version can not do.
    ///
    /// # Errors
    /// `--search-port` was given: the server would look as if it could search.
    pub(crate) fn check_built(&self) -> Result<(), NotBuilt> {
        match self.search_port {
            Some(port) => Err(NotBuilt::new(format!(
                "full-text search is not built yet: start without --search-port {port}"
            ))),
            None => Ok(()),
        }
    }
}

/// A command line that was understood.
#[derive(Debug)]
pub(crate) enum Invocation {
    /// Run a server.
    Serve(ServerFlags),
    /// Run a client command.
    Client(ClientCommand, GlobalArgs),
    /// Print [`VERSION_LINE`] behind the name of the program.
    Version,
}

/// Reads the command line of this process. Help and mistakes are printed and end the process, with
/// status 0 or 2.
pub(crate) fn parse() -> Invocation {
    invocation(Cli::parse()).unwrap_or_else(|error| error.exit())
}

fn invocation(cli: Cli) -> Result<Invocation, clap::Error> {
    match cli.command {
        Command::Standalone(flags) | Command::Start(flags) => {
            Ok(Invocation::Serve(flags.over(cli.server)))
        }
        Command::Version => Ok(Invocation::Version),
        Command::Client(_) if cli.server != ServerFlags::default() => Err(Cli::command().error(
            ErrorKind::ArgumentConflict,
            "server flags such as --kafka-port go with `standalone` or `start`; client commands \
             find their cluster with --brokers",
        )),
        Command::Client(command) => Ok(Invocation::Client(command, cli.client)),
    }
}

/// Our version, and the release of Kafka whose protocol is spoken.
pub(crate) const VERSION_LINE: &str = concat!(env!("CARGO_PKG_VERSION"), " (Kafka protocol 4.3)");

const EXAMPLES: &str = "\
Examples:
  chronik-server standalone
  chronik-server --kafka-port 9192 --data-dir /var/lib/chronik standalone
  chronik-server start --config server.properties
  echo hi | chronik-server produce hello
  chronik-server consume hello --from-beginning";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parsed(line: &str) -> Result<Invocation, clap::Error> {
        let words = std::iter::once("chronik-server").chain(line.split_whitespace());
        invocation(Cli::try_parse_from(words)?)
    }

    fn flags(line: &str) -> ServerFlags {
        match parsed(line) {
            Ok(Invocation::Serve(flags)) => flags,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn server_flags_stand_on_either_side() {
        let expected = flags("standalone --kafka-port 9192 --data-dir /d --node-id 3");
        assert_eq!(expected.kafka_port, Some(9192));
        assert_eq!(expected.data_dir.as_deref(), Some(Path::new("/d")));
        assert_eq!(expected.node_id, Some(3));
        for line in [
            "--kafka-port 9192 --data-dir /d --node-id 3 standalone",
            "--kafka-port 9192 start --data-dir /d --node-id 3",
            "--kafka-port 1 standalone --kafka-port 9192 --data-dir /d --node-id 3",
        ] {
            assert_eq!(flags(line), expected, "{line}");
        }
    }

    #[test]
    fn commands_as_documented() {
        let wanted = flags("--kafka-port 9092 --metrics-port 9990 --search-port 6080 standalone");
        assert_eq!(
            (wanted.kafka_port, wanted.metrics_port),
            (Some(9092), Some(9990))
        );
        assert!(wanted.check_built().is_err());
        assert!(flags("standalone").check_built().is_ok());
        let started = flags("start --config node1.toml --log-level debug --data-dir d --node-id 1");
        assert_eq!(started.config.as_deref(), Some(Path::new("node1.toml")));
        assert!(matches!(parsed("version"), Ok(Invocation::Version)));
        assert!(matches!(
            parsed("produce hello"),
            Ok(Invocation::Client(..))
        ));
        let created = parsed("topic create t --config retention.ms=1000");
        assert!(matches!(created, Ok(Invocation::Client(..))), "{created:?}");
    }

    #[test]
    fn mistakes_are_named() {
        let check = |line: &str, hint: &str| {
            let error = parsed(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(hint), "{line}: {error}");
        };
        check("standalone --kafka-prot 9092", "--kafka-port");
        check("standalon", "standalone");
        check("standalone --kafka-port 70000", "70000");
        check("standalone --node-id -1", "-1");
        check("standalone --advertise 0.0.0.0", "0.0.0.0");
        check("standalone --log-level loud", "loud");
        check("--kafka-port 1 produce hello", "--brokers");
        check("produce hello --kafka-port 1", "--kafka-port");
    }
}

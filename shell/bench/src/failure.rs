//! Why a run ends badly, and with which exit status.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chronik_cli::CliError;

/// What keeps a run from being made, or from ending well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments contradict each other or the cluster.
    #[error("{0}")]
    Usage(String),
    /// The cluster can not be reached, or did not go on in time.
    #[error("{0}")]
    Unreachable(String),
    /// The cluster said no.
    #[error(transparent)]
    Cluster(#[from] CliError),
    /// A file of results can not be written or read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        error: io::Error,
    },
    /// The client library refused.
    #[error("librdkafka: {0}")]
    Library(String),
}

impl Failure {
    /// For `map_err`: a failure about this file.
    pub(crate) fn of_file(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File {
            path: path.clone(),
            error,
        }
    }

    /// Its exit status.
    pub(crate) const fn status(&self) -> Status {
        match self {
            Self::Usage(_) | Self::Cluster(CliError::Usage(_)) => Status::Usage,
            Self::Unreachable(_)
            | Self::Cluster(
                CliError::Unreachable { .. }
                | CliError::Connect { .. }
                | CliError::TimedOut { .. }
                | CliError::Lost { .. },
            ) => Status::Unreachable,
            Self::Cluster(
                CliError::Unsupported { .. }
                | CliError::Malformed { .. }
                | CliError::Refused { .. }
                | CliError::Several { .. }
                | CliError::Input(_)
                | CliError::Output(_),
            )
            | Self::File { .. }
            | Self::Library(_) => Status::Failed,
        }
    }
}

/// The exit status of the process, as `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// All went well.
    Success,
    /// Records failed, or the validation did.
    Failed,
    /// The arguments contradict each other or the cluster.
    Usage,
    /// A bound was missed.
    BoundMissed,
    /// The cluster can not be reached, or did not go on in time.
    Unreachable,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Success => 0,
            Status::Failed => 1,
            Status::Usage => 2,
            Status::BoundMissed => 3,
            Status::Unreachable => 4,
        })
    }
}

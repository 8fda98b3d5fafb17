//! What goes wrong, each in one line: what, where, why, and what to do next.

use std::borrow::Cow;
use std::io;

use chronik_model::ErrorCode;

use crate::args::BrokerAddress;
use crate::output::plain;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments contradict each other or the cluster.
    #[error("{0}")]
    Usage(String),
    /// No bootstrap address answered; nothing was sent.
    #[error(
        "cannot reach any of {brokers}: {reason}. Is the server running? Start one with: \
         chronik-server standalone"
    )]
    Unreachable {
        /// All addresses tried, with commas.
        brokers: String,
        /// The failure of the last.
        reason: String,
    },
    /// One broker could not be connected to; nothing was sent.
    #[error(
        "cannot connect to {address}: {reason}. The cluster gave this address out: check that it \
         is reachable from here, or fix advertised.listeners"
    )]
    Connect {
        /// The broker.
        address: BrokerAddress,
        /// The operating system's word.
        reason: String,
    },
    /// The connection broke with a request under way: it may or may not have been carried out.
    #[error(
        "lost the connection to {address} during {api}: {reason}. {}",
        if *changes { "It may have been carried out: check before repeating it" }
        else { "Try again" }
    )]
    Lost {
        /// The broker.
        address: BrokerAddress,
        /// The request.
        api: &'static str,
        /// The operating system's word.
        reason: String,
        /// Whether the request changes anything.
        changes: bool,
    },
    /// The deadline passed with a request under way.
    #[error(
        "{address} did not answer {api} within {seconds} s. It may be starting or overloaded; try \
         again with a longer --timeout"
    )]
    TimedOut {
        /// The broker.
        address: BrokerAddress,
        /// The request.
        api: &'static str,
        /// How long was waited.
        seconds: f64,
    },
    /// No version in common.
    #[error(
        "{address} does not speak {api} as this client does: it has {theirs}, needed is {ours}. \
         Use a client as old as the broker, or upgrade the broker"
    )]
    Unsupported {
        /// The broker.
        address: BrokerAddress,
        /// The request.
        api: &'static str,
        /// The broker's versions, or "none".
        theirs: String,
        /// Our versions.
        ours: String,
    },
    /// The bytes of an answer make no sense.
    #[error(
        "{address} sent a malformed answer to {api}: {reason}. Is it the plain-text listener of a \
         Kafka broker?"
    )]
    Malformed {
        /// The broker.
        address: BrokerAddress,
        /// The request.
        api: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The cluster said no.
    #[error("cannot {what}: {why}{next}")]
    Refused {
        /// What was asked, as the end of "cannot".
        what: String,
        /// The cluster's message and the name of its code.
        why: String,
        /// A sentence of advice with its leading ". ", or nothing.
        next: Cow<'static, str>,
    },
    /// More than one of several things failed.
    #[error("{first} ({more} more failed)")]
    Several {
        /// The first failure.
        first: Box<Self>,
        /// How many others there were.
        more: usize,
    },
    /// Standard input failed.
    #[error("cannot read standard input: {0}")]
    Input(#[source] io::Error),
    /// Standard output failed; a closed pipe is not worth a word.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// The cluster answered `code`, maybe with a message of its own.
    pub fn refused(what: impl Into<String>, code: i16, message: Option<&str>) -> Self {
        let known = ErrorCode::from_code(code);
        let name = known.map_or_else(|| format!("error code {code}"), |known| known.to_string());
        let why = match message {
            Some(message) if !message.is_empty() => {
                format!("{} ({name})", plain(message).trim_end_matches('.'))
            }
            Some(_) | None => name,
        };
        Self::Refused {
            what: what.into(),
            why,
            next: known.map_or("", advice).into(),
        }
    }

    /// Whether nothing was sent, so that the same request may be sent again without harm.
    #[must_use]
    pub const fn nothing_was_sent(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }

    /// Whether the reader of our output went away, as `head` does.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The exit status of the process.
    pub(crate) const fn exit_status(&self) -> u8 {
        if matches!(self, Self::Usage(_)) { 2 } else { 1 }
    }
}

/// Codes that pass with time or after new metadata: the request was not carried out.
#[must_use]
pub fn is_transient(code: i16) -> bool {
    ErrorCode::from_code(code).is_some_and(|code| TRANSIENT.contains(&code))
}

/// Whether `code` says that the topic or partition is not there (yet).
#[must_use]
pub fn is_unknown_topic(code: i16) -> bool {
    code == ErrorCode::UnknownTopicOrPartition.code() || code == ErrorCode::UnknownTopicId.code()
}

fn advice(code: ErrorCode) -> &'static str {
    ADVICE
        .iter()
        .find(|(known, _)| *known == code)
        .map_or("", |(_, advice)| advice)
}

const TRANSIENT: &[ErrorCode] = &[
    ErrorCode::UnknownTopicOrPartition,
    ErrorCode::LeaderNotAvailable,
    ErrorCode::NotLeaderOrFollower,
    ErrorCode::ReplicaNotAvailable,
    ErrorCode::BrokerNotAvailable,
    ErrorCode::NotEnoughReplicas,
    ErrorCode::NotController,
    ErrorCode::KafkaStorageError,
    ErrorCode::FencedLeaderEpoch,
    ErrorCode::UnknownLeaderEpoch,
    ErrorCode::OffsetNotAvailable,
    ErrorCode::UnknownTopicId,
    ErrorCode::ThrottlingQuotaExceeded,
    ErrorCode::CoordinatorLoadInProgress,
    ErrorCode::CoordinatorNotAvailable,
    ErrorCode::NotCoordinator,
];

const ADVICE: &[(ErrorCode, &str)] = &[
    (
        ErrorCode::UnknownTopicOrPartition,
        ". See the topics that are there with: topic list",
    ),
    (
        ErrorCode::TopicAlreadyExists,
        ". Add --if-not-exists to accept that",
    ),
    (
        ErrorCode::InvalidReplicationFactor,
        ". Ask for at most as many --replicas as there are brokers",
    ),
    (ErrorCode::InvalidConfig, ". See the keys with: config get"),
    (
        ErrorCode::NotEnoughReplicas,
        ". Too few replicas are in sync: see topic describe",
    ),
    (
        ErrorCode::NotEnoughReplicasAfterAppend,
        ". Too few replicas are in sync: see topic describe",
    ),
    (
        ErrorCode::MessageTooLarge,
        ". Raise max.message.bytes of the topic, or send less at once",
    ),
    (
        ErrorCode::RecordListTooLarge,
        ". Raise max.message.bytes of the topic, or send less at once",
    ),
    (
        ErrorCode::OffsetOutOfRange,
        ". Start at --offset earliest or latest",
    ),
    (
        ErrorCode::LeaderNotAvailable,
        ". Its brokers may be down: see topic describe",
    ),
    (
        ErrorCode::GroupIdNotFound,
        ". See the groups that are there with: group list",
    ),
    (
        ErrorCode::NonEmptyGroup,
        ". Stop its consumers first; see them with: group describe",
    ),
    (
        ErrorCode::TopicAuthorizationFailed,
        ". Ask for an ACL on this topic",
    ),
    (
        ErrorCode::ClusterAuthorizationFailed,
        ". Ask for an ACL on the cluster",
    ),
    (
        ErrorCode::TopicDeletionDisabled,
        ". Set delete.topic.enable=true on the brokers",
    ),
];

#[cfg(test)]
mod tests {
    use super::{CliError, is_transient};
    use chronik_model::ErrorCode;

    #[test]
    fn refusals_say_what_why_and_what_next_in_one_line() {
        let check = |code: i16, message: Option<&str>, expected: &str| {
            assert_eq!(
                CliError::refused("do it", code, message).to_string(),
                expected
            );
        };
        check(
            36,
            Some("Topic 't' already exists."),
            "cannot do it: Topic 't' already exists (TOPIC_ALREADY_EXISTS). Add --if-not-exists \
             to accept that",
        );
        check(7, None, "cannot do it: REQUEST_TIMED_OUT");
        check(7, Some(""), "cannot do it: REQUEST_TIMED_OUT");
        check(7, Some("a\nb"), "cannot do it: a\\nb (REQUEST_TIMED_OUT)");
        check(9999, None, "cannot do it: error code 9999");
    }

    #[test]
    fn only_codes_that_pass_are_tried_again() {
        let check = |code: ErrorCode, expected| {
            assert_eq!(is_transient(code.code()), expected, "{code}");
        };
        check(ErrorCode::NotLeaderOrFollower, true);
        check(ErrorCode::UnknownTopicOrPartition, true);
        check(ErrorCode::None, false);
        check(ErrorCode::NotEnoughReplicasAfterAppend, false);
        check(ErrorCode::TopicAlreadyExists, false);
        assert!(!is_transient(9999));
    }
}

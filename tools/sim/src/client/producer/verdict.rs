//! What an error code of Produce means for the batch.

use chronik_model::ErrorCode;

use crate::history::End;

/// What a producer does with an answered attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The batch is done with.
    Settled,
    /// The same batch may be sent again.
    Retry,
    /// The batch does not continue what the producer wrote; whether that can be mended depends on
    /// what is in flight.
    Sequence,
    /// Sending it again is of no use.
    GiveUp,
}

/// How an attempt ended, and what comes next. `None` for a code that no broker may give here.
pub(super) fn judge(code: i16, base_offset: i64) -> Option<(End<i64>, Next)> {
    let error = ErrorCode::from_code(code)?;
    let refused = End::Refused(code);
    if error == ErrorCode::None {
        return Some((End::Done(base_offset), Next::Settled));
    }
    if error == ErrorCode::DuplicateSequenceNumber {
        return Some((End::Done(-1), Next::Settled));
    }
    if UNKNOWN.contains(&error) {
        return Some((End::Unknown, Next::Retry));
    }
    if ELSEWHERE.contains(&error) {
        return Some((refused, Next::Retry));
    }
    if SEQUENCE.contains(&error) {
        return Some((refused, Next::Sequence));
    }
    FINAL.contains(&error).then_some((refused, Next::GiveUp))
}

/// The batch may have been appended: the broker stopped waiting for its safety, or its disk failed
/// before or after the append.
const UNKNOWN: [ErrorCode; 4] = [
    ErrorCode::UnknownServerError,
    ErrorCode::RequestTimedOut,
    ErrorCode::KafkaStorageError,
    ErrorCode::NotEnoughReplicasAfterAppend,
];

/// Decided before the append, and different after a look at the metadata.
///
/// A topic that is removed while its batches wait answers with these as well; what they held has
/// never been visible, and is gone with the topic.
const ELSEWHERE: [ErrorCode; 5] = [
    ErrorCode::UnknownTopicOrPartition,
    ErrorCode::UnknownTopicId,
    ErrorCode::NotLeaderOrFollower,
    ErrorCode::LeaderNotAvailable,
    ErrorCode::NotEnoughReplicas,
];

const SEQUENCE: [ErrorCode; 3] = [
    ErrorCode::OutOfOrderSequenceNumber,
    ErrorCode::InvalidProducerEpoch,
    ErrorCode::UnknownProducerId,
];

/// The batch itself is not acceptable.
const FINAL: [ErrorCode; 6] = [
    ErrorCode::MessageTooLarge,
    ErrorCode::RecordListTooLarge,
    ErrorCode::InvalidTimestamp,
    ErrorCode::InvalidRecord,
    ErrorCode::CorruptMessage,
    ErrorCode::UnsupportedForMessageFormat,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_ends_as_it_must() {
        let cases = [
            (0, Some((End::Done(7), Next::Settled))),
            (46, Some((End::Done(-1), Next::Settled))),
            (7, Some((End::Unknown, Next::Retry))),
            (56, Some((End::Unknown, Next::Retry))),
            (3, Some((End::Refused(3), Next::Retry))),
            (100, Some((End::Refused(100), Next::Retry))),
            (45, Some((End::Refused(45), Next::Sequence))),
            (10, Some((End::Refused(10), Next::GiveUp))),
            (27, None),
            (12_345, None),
        ];
        for (code, expected) in cases {
            assert_eq!(judge(code, 7), expected, "{code}");
        }
    }
}

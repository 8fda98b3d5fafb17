//! The one place that turns what goes wrong inside into the error codes of Kafka.
//!
//! Refused batches know their own code ([`chronik_model::batch::BatchError::error_code`]), and so
//! do requests that the controller refuses ([`RequestError::code`]).

use chronik_controller::{ControllerReply, RequestError};
use chronik_model::ErrorCode;
use chronik_storage::disk::{DiskError, DiskErrorKind};
use chronik_storage::log::producers::SequenceError;
use chronik_storage::store::StoreError;

/// The store takes no appends. Clients refresh their metadata and try again, which is right in all
/// three cases: space may be freed, and another broker may take over.
pub(crate) const fn of_store(error: &StoreError) -> ErrorCode {
    match error {
        StoreError::Offline(_) | StoreError::LogFailed(_) | StoreError::Full => {
            ErrorCode::KafkaStorageError
        }
    }
}

/// A batch does not continue what its producer wrote before (KIP-98, KIP-360).
pub(crate) const fn of_sequence(error: &SequenceError) -> ErrorCode {
    match error {
        SequenceError::OutOfOrder { .. } => ErrorCode::OutOfOrderSequenceNumber,
        SequenceError::FencedEpoch { .. } => ErrorCode::InvalidProducerEpoch,
    }
}

/// A read failed.
pub(crate) const fn of_disk(error: &DiskError) -> ErrorCode {
    match error.kind {
        DiskErrorKind::Corrupt => ErrorCode::CorruptMessage,
        DiskErrorKind::NotFound | DiskErrorKind::Full | DiskErrorKind::Failed => {
            ErrorCode::KafkaStorageError
        }
    }
}

/// The partition of a group's coordinator refused. Clients of groups know the codes of coordinators
/// only: they look for another one, or ask again.
pub(crate) const fn of_coordinator(error: ErrorCode) -> ErrorCode {
    let is_elsewhere = matches!(
        error,
        ErrorCode::UnknownTopicOrPartition
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::KafkaStorageError
    );
    let is_unsafe = matches!(
        error,
        ErrorCode::NotEnoughReplicas
            | ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::RequestTimedOut
    );
    let is_our_fault = matches!(
        error,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize
    );
    if is_elsewhere {
        ErrorCode::NotCoordinator
    } else if is_unsafe {
        ErrorCode::CoordinatorNotAvailable
    } else if is_our_fault {
        ErrorCode::UnknownServerError
    } else {
        error
    }
}

/// The controller did not decide the request at all; `None` when it did. Nothing but a new attempt
/// tells whether a change that was under way has happened.
pub(crate) fn of_undecided(reply: &ControllerReply) -> Option<RequestError> {
    match reply {
        ControllerReply::NotController { leader } => {
            let message = leader.map_or_else(
                || "there is no active controller at the moment".to_owned(),
                |leader| format!("the active controller is node {}", leader.0),
            );
            Some(refusal(ErrorCode::NotController, message))
        }
        ControllerReply::Overloaded => {
            let message = "nothing was tried: too many requests wait for the controller";
            Some(refusal(ErrorCode::RequestTimedOut, message))
        }
        ControllerReply::TooLarge => {
            let message = "nothing was tried: the request changes too much at once";
            Some(refusal(ErrorCode::PolicyViolation, message))
        }
        ControllerReply::RegisterBroker(_)
        | ControllerReply::CreateTopics(_)
        | ControllerReply::DeleteTopics(_)
        | ControllerReply::CreatePartitions(_)
        | ControllerReply::AlterConfigs(_)
        | ControllerReply::AllocateProducerIds(_) => None,
    }
}

/// A refusal by a handler, in the form of those by the controller.
pub(crate) fn refusal(code: ErrorCode, message: impl Into<String>) -> RequestError {
    let message = message.into();
    RequestError { code, message }
}

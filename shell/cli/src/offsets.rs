//! Offsets of partitions, from their leaders.

use chronik_model::{ErrorCode, Offset, PartitionIndex, TopicName};
use chronik_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use chronik_protocol::messages::{BrokerId, ListOffsetsRequest};

use crate::client::{Client, Target, wire_name};
use crate::error::{CliError, is_transient};
use crate::retry::Retry;

/// The high watermark.
pub const LATEST: i64 = -1;
/// The log start offset.
pub const EARLIEST: i64 = -2;

/// The offset for a time in ms, or for [`LATEST`] or [`EARLIEST`]; -1 where no record is that young.
///
/// # Errors
/// Those of [`Client::leader`] and [`Client::call`].
pub fn list_offset(
    client: &mut Client,
    topic: &TopicName,
    index: PartitionIndex,
    timestamp: i64,
) -> Result<Offset, CliError> {
    let mut partition = ListOffsetsPartition::default();
    partition.partition_index = index.0;
    partition.timestamp = timestamp;
    let mut wanted = ListOffsetsTopic::default();
    wanted.name = wire_name(topic);
    wanted.partitions = vec![partition];
    let mut request = ListOffsetsRequest::default();
    request.replica_id = BrokerId(-1);
    request.topics = vec![wanted];

    let mut retry = Retry::within(client.timeout());
    loop {
        let leader = client.leader(topic, index)?;
        let code = match client.call(Target::Broker(leader), &request) {
            Ok(answer) => {
                let found = answer
                    .topics
                    .first()
                    .and_then(|topic| topic.partitions.first());
                match found {
                    Some(found) if found.error_code == ErrorCode::None.code() => {
                        return Ok(Offset(found.offset));
                    }
                    Some(found) => found.error_code,
                    None => ErrorCode::UnknownServerError.code(),
                }
            }
            Err(error) if !error.nothing_was_sent() => return Err(error),
            Err(error) => {
                if !retry.again() {
                    return Err(error);
                }
                client.forget_topic(topic);
                continue;
            }
        };
        if !is_transient(code) || !retry.again() {
            let what = format!("find the offsets of {topic} [{}]", index.0);
            return Err(CliError::refused(what, code, None));
        }
        client.forget_topic(topic);
    }
}

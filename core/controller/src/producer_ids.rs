//! AllocateProducerIds: blocks of producer ids for brokers (KIP-730).

use chronik_model::{ErrorCode, ProducerId};

use crate::controller::{Context, Outcome};
use crate::record::MetadataRecord;
use crate::request::{AllocateProducerIds, ControllerReply, ProducerIdBlock, RequestError};

/// The next free block. The reply leaves after the record is committed, so a controller that lost
/// its leadership can not hand out ids that its successor hands out too.
pub(crate) fn allocate(context: &Context<'_>, request: &AllocateProducerIds) -> Outcome {
    match check(context, request) {
        Err(error) => Outcome::unchanged(ControllerReply::AllocateProducerIds(Err(error))),
        Ok(next_producer_id) => {
            let block = ProducerIdBlock {
                first: context.image.next_producer_id(),
                count: request.count,
            };
            Outcome {
                records: vec![MetadataRecord::ProducerIdsReserved {
                    node_id: request.node_id,
                    next_producer_id,
                }],
                reply: ControllerReply::AllocateProducerIds(Ok(block)),
            }
        }
    }
}

fn check(context: &Context<'_>, request: &AllocateProducerIds) -> Result<ProducerId, RequestError> {
    if context.image.broker(request.node_id).is_none() {
        let message = format!("broker {} is not registered", request.node_id.0);
        return Err(RequestError::new(ErrorCode::BrokerIdNotRegistered, message));
    }
    if !(1..=MAX_BLOCK).contains(&request.count) {
        let message = format!(
            "a block has 1 to {MAX_BLOCK} producer ids, not {}",
            request.count
        );
        return Err(RequestError::new(ErrorCode::InvalidRequest, message));
    }
    let first = context.image.next_producer_id();
    first
        .0
        .checked_add(i64::from(request.count))
        .map(ProducerId)
        .ok_or_else(|| {
            RequestError::new(
                ErrorCode::UnknownServerError,
                "all producer ids are handed out",
            )
        })
}

/// Producer ids in one block, at most.
const MAX_BLOCK: i32 = 1_000_000;

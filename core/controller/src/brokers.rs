//! RegisterBroker: a broker process begins its life (KIP-631).

use chronik_model::{BrokerEpoch, ErrorCode, Offset};

use crate::controller::{Context, Outcome};
use crate::image::BrokerImage;
use crate::record::{BrokerRegistered, MetadataRecord};
use crate::request::{ControllerReply, RegisterBroker, RequestError};

/// `next_offset` is where the record will be, which makes it the broker's epoch.
pub(crate) fn register(
    context: &Context<'_>,
    request: &RegisterBroker,
    next_offset: Offset,
) -> Outcome {
    let refused = |error| Outcome::unchanged(ControllerReply::RegisterBroker(Err(error)));
    if let Err(error) = check(context, request) {
        return refused(error);
    }
    let existing = context.image.broker(request.node_id);
    if let Some(existing) = existing.filter(|existing| is_retry(existing, request)) {
        return Outcome::unchanged(ControllerReply::RegisterBroker(Ok(existing.epoch)));
    }
    let record = MetadataRecord::BrokerRegistered(BrokerRegistered {
        node_id: request.node_id,
        incarnation: request.incarnation,
        endpoints: request.endpoints.clone(),
        rack: request.rack.clone(),
        broker_epoch: None,
    });
    Outcome {
        records: vec![record],
        reply: ControllerReply::RegisterBroker(Ok(BrokerEpoch(next_offset.0))),
    }
}

fn check(context: &Context<'_>, request: &RegisterBroker) -> Result<(), RequestError> {
    if request.node_id.0 < 0 {
        let message = format!("node id {} is negative", request.node_id.0);
        return Err(RequestError::new(ErrorCode::InvalidRegistration, message));
    }
    if context.image.cluster_id() != Some(&*request.cluster_id) {
        let message = format!(
            "the broker belongs to cluster {}, this is {}",
            request.cluster_id,
            context.image.cluster_id().unwrap_or("not yet a cluster")
        );
        return Err(RequestError::new(ErrorCode::InconsistentClusterId, message));
    }
    // The controller's own process has replaced the one that registered before it, which had the
    // same data directory. Of other brokers the old process might still live.
    let replaceable = request.node_id == context.node_id;
    match context.image.broker(request.node_id) {
        Some(existing) if existing.incarnation != request.incarnation && !replaceable => {
            let message = format!(
                "another process is registered as broker {}",
                request.node_id.0
            );
            Err(RequestError::new(
                ErrorCode::DuplicateBrokerRegistration,
                message,
            ))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether the first answer got lost and the broker asks again.
fn is_retry(existing: &BrokerImage, request: &RegisterBroker) -> bool {
    existing.incarnation == request.incarnation
        && existing.endpoints == request.endpoints
        && existing.rack == request.rack
}

//! OffsetDelete.

use std::sync::Arc;

use chronik_model::ErrorCode;

use crate::classic::{ClassicGroup, State};
use crate::coordinator::GroupCoordinator;
use crate::group::Group;
use crate::outcome::Waiter;
use crate::record::CoordinatorRecord;
use crate::request::DeleteOffsets;
use crate::response::GroupResponse;
use crate::step::{Step, batch_bytes, record_bytes};

impl GroupCoordinator {
    /// OffsetDelete. Offsets of topics that members read stay.
    pub(crate) fn delete_offsets(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &DeleteOffsets,
    ) {
        let response = match self.delete_partitions(step, request) {
            Ok(codes) => GroupResponse::DeleteOffsets(ErrorCode::None, codes),
            Err(error) => GroupResponse::DeleteOffsets(error, Vec::new()),
        };
        step.reply(waiter, response);
    }

    fn delete_partitions(
        &mut self,
        step: &mut Step<'_>,
        request: &DeleteOffsets,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let known = self.groups.get_key_value(request.group_id.as_str());
        let (group_id, group) = known.ok_or(ErrorCode::GroupIdNotFound)?;
        if let Group::Classic(group) = group {
            group.check_offset_delete()?;
        }
        let group_id = Arc::clone(group_id);
        let mut codes = Vec::new();
        let mut records = Vec::new();
        let mut bytes = batch_bytes(&step.out.records);
        for (topic, partitions) in &request.topics {
            if group.is_subscribed_to(topic) {
                codes.resize(
                    codes.len() + partitions.len(),
                    ErrorCode::GroupSubscribedToTopic,
                );
                continue;
            }
            codes.resize(codes.len() + partitions.len(), ErrorCode::None);
            for partition in partitions {
                if self.offsets.get(&group_id, topic, *partition).is_some() {
                    let record = CoordinatorRecord::OffsetCommit {
                        group_id: Arc::clone(&group_id),
                        topic: topic.as_str().into(),
                        partition: *partition,
                        value: None,
                    };
                    let encoded = record.encode();
                    bytes = bytes.saturating_add(record_bytes(&encoded));
                    records.push((record, encoded));
                }
            }
        }
        if bytes > self.config.max_batch_bytes {
            return Err(ErrorCode::UnknownServerError);
        }
        for (record, encoded) in records {
            self.emit_encoded(step, record, encoded);
        }
        Ok(codes)
    }
}

impl ClassicGroup {
    /// Of groups with members, only what consumers read is known.
    fn check_offset_delete(&self) -> Result<(), ErrorCode> {
        match self.state() {
            State::Empty => Ok(()),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                if self.is_of_consumers() {
                    Ok(())
                } else {
                    Err(ErrorCode::NonEmptyGroup)
                }
            }
        }
    }
}

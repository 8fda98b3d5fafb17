//! What is wrong with a ConsumerGroupHeartbeat, as far as the request itself and the member's own
//! state tell.

use chronik_model::ErrorCode;

use crate::config::GroupConfig;
use crate::consumer::member::{LEAVE_EPOCH, Member, STATIC_LEAVE_EPOCH};
use crate::consumer::partitions::is_subset;
use crate::consumer::regex::Pattern;
use crate::consumer::{ConsumerGroup, Refusal};
use crate::request::{ConsumerHeartbeat, TopicAssignment};

/// Longest id, in bytes: keys of records have no room for longer ones.
const MAX_ID_BYTES: usize = 32_767;

/// Checks what holds for every group.
///
/// That newer versions of the request have a member id where they join is checked where versions
/// are known.
pub(super) fn check_request(
    request: &ConsumerHeartbeat,
    config: &GroupConfig,
) -> Result<(), Refusal> {
    let invalid = |text: &str| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    let is_empty = |text: &Option<String>| text.as_deref() == Some("");
    let epoch = request.member_epoch;
    if request.member_id.is_empty() && (epoch > 0 || epoch == LEAVE_EPOCH) {
        return invalid("MemberId can't be empty.");
    }
    if request.group_id.is_empty() {
        return invalid("GroupId can't be empty.");
    }
    if request.group_id.len() > MAX_ID_BYTES {
        return invalid("GroupId is too long.");
    }
    check_member_id(&request.member_id)?;
    if is_empty(&request.instance_id) {
        return invalid("InstanceId can't be empty.");
    }
    if is_empty(&request.rack_id) {
        return invalid("RackId can't be empty.");
    }
    if epoch < STATIC_LEAVE_EPOCH {
        return invalid("MemberEpoch is invalid.");
    }
    if epoch == STATIC_LEAVE_EPOCH && request.instance_id.is_none() {
        return invalid("InstanceId can't be null.");
    }
    if epoch == 0 {
        check_join(request)?;
    }
    match &request.server_assignor {
        Some(name) if !config.consumer_assignors.contains(name) => Err(Refusal::new(
            ErrorCode::UnsupportedAssignor,
            format!(
                "ServerAssignor {name} is not supported. Supported assignors: {}.",
                config.consumer_assignors.join(", ")
            ),
        )),
        Some(_) | None => Ok(()),
    }
}

/// Checks that a record can have this member in its key.
pub(super) fn check_member_id(member_id: &str) -> Result<(), Refusal> {
    if member_id.len() <= MAX_ID_BYTES {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::InvalidRequest,
        "MemberId is too long.",
    ))
}

fn check_join(request: &ConsumerHeartbeat) -> Result<(), Refusal> {
    let invalid = |text: &str| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    if request.rebalance_timeout_ms == -1 {
        return invalid("RebalanceTimeoutMs must be provided in first request.");
    }
    if request.owned_partitions.as_deref() != Some(&[]) {
        return invalid("TopicPartitions must be empty when (re-)joining.");
    }
    if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
        return invalid(
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when \
             (re-)joining.",
        );
    }
    Ok(())
}

/// Checks a regular expression that nobody in the group uses yet.
pub(super) fn check_regex(
    group: Option<&ConsumerGroup>,
    regex: Option<&str>,
) -> Result<(), Refusal> {
    let Some(regex) = regex.filter(|regex| !regex.is_empty()) else {
        return Ok(());
    };
    if group.is_some_and(|group| group.regexes.contains_key(regex)) {
        return Ok(());
    }
    match Pattern::new(regex) {
        Ok(_) => Ok(()),
        Err(reason) => Err(Refusal::new(
            ErrorCode::InvalidRegularExpression,
            format!("SubscribedTopicRegex `{regex}` is not a valid regular expression: {reason}."),
        )),
    }
}

/// Checks the epoch that a member sends. The previous epoch passes where the member owns no more
/// than it was given since: the response that told the new one may have been lost.
pub(super) fn check_epoch(
    member: &Member,
    epoch: i32,
    reported: Option<&[TopicAssignment]>,
) -> Result<(), Refusal> {
    let current = &member.current;
    let relation = if epoch == 0 || epoch == current.epoch {
        return Ok(());
    } else if epoch > current.epoch {
        "greater"
    } else if epoch == current.previous_epoch
        && reported.is_some_and(|reported| is_subset(reported, &current.assigned))
    {
        return Ok(());
    } else {
        "smaller"
    };
    Err(Refusal::new(
        ErrorCode::FencedMemberEpoch,
        format!(
            "The consumer group member has a {relation} member epoch ({epoch}) than the one known \
             by the group coordinator ({}). The member must abandon all its partitions and rejoin.",
            current.epoch
        ),
    ))
}

/// Checks that a group has room for `member_id`.
pub(super) fn check_room(
    members: usize,
    is_member: bool,
    config: &GroupConfig,
) -> Result<(), Refusal> {
    if members < config.consumer_max_size || is_member {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::GroupMaxSizeReached,
        format!(
            "The consumer group has reached its maximum capacity of {} members.",
            config.consumer_max_size
        ),
    ))
}

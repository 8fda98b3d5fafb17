//! DeleteTopics (API 20), v1 to v6: each topic succeeds or fails on its own.
//!
//! - By name; v6 also by id (KIP-516), and then it answers with both. A topic that is named both
//!   ways, or neither, is INVALID_REQUEST.
//! - `delete.topic.enable=false` is TOPIC_DELETION_DISABLED, a code that v3 brought; before that it
//!   is INVALID_REQUEST. v5 adds messages.

use chronik_controller::{
    ControllerReply, ControllerRequest, DeleteTopics, DeletedTopic, RequestError, TopicRef,
};
use chronik_model::{ErrorCode, TopicId};
use chronik_protocol::messages::delete_topics_request::DeleteTopicState;
use chronik_protocol::messages::delete_topics_response::DeletableTopicResult;
use chronik_protocol::messages::{
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName, topic_id, uuid,
};

use super::errors::refusal;
use super::support::{ReplyTo, decode, results, text, verdict};
use super::{Context, HandlerError, Outcome, Request};

const FIRST_VERSION_BY_ID: i16 = 6;
const FIRST_VERSION_WITH_DELETION_DISABLED: i16 = 3;

pub(super) fn handle(
    _context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DeleteTopicsRequest = decode(request)?;
    let reply_to = ReplyTo::new(request);
    let (topics, ambiguous) = if reply_to.version >= FIRST_VERSION_BY_ID {
        sort_out(body.topics)
    } else {
        let names = body
            .topic_names
            .into_iter()
            .map(|name| TopicRef::Name(name.to_string()));
        (names.collect(), Vec::new())
    };
    let delete = DeleteTopics {
        topics: topics.clone(),
    };
    Ok(Outcome::Controller(
        ControllerRequest::DeleteTopics(delete),
        Box::new(move |_context, reply| {
            let deleted = results(reply, topics, |reply| {
                if let ControllerReply::DeleteTopics(results) = reply {
                    Some(results)
                } else {
                    None
                }
            })?;
            let deleted = deleted
                .into_iter()
                .map(|(topic, result)| answer(reply_to.version, topic, result));
            let responses = ambiguous.into_iter().chain(deleted).collect();
            reply_to.encode(&DeleteTopicsResponse::default().with_responses(responses))
        }),
    ))
}

/// The topics to ask for, and the answers to those that are named both ways.
fn sort_out(topics: Vec<DeleteTopicState>) -> (Vec<TopicRef>, Vec<DeletableTopicResult>) {
    let mut clear = Vec::with_capacity(topics.len());
    let mut ambiguous = Vec::new();
    for topic in topics {
        match (topic.name, topic_id(topic.topic_id)) {
            (Some(name), TopicId::ZERO) => clear.push(TopicRef::Name(name.to_string())),
            (None, id) => clear.push(TopicRef::Id(id)),
            (Some(name), id) => {
                let error = refusal(ErrorCode::InvalidRequest, "give a topic's name or its id");
                ambiguous.push(respond(Some(name), id, &Err::<(), _>(error)));
            }
        }
    }
    (clear, ambiguous)
}

fn answer(
    version: i16,
    topic: TopicRef,
    result: Result<DeletedTopic, RequestError>,
) -> DeletableTopicResult {
    let (name, id) = match (&result, topic) {
        (Ok(deleted), _) => (Some(deleted.name.clone()), deleted.topic_id),
        (Err(_), TopicRef::Name(name)) => (Some(name), TopicId::ZERO),
        (Err(_), TopicRef::Id(id)) => (None, id),
    };
    let result = result.map_err(|error| known_to(version, error));
    respond(name.map(|name| TopicName(text(name))), id, &result)
}

fn known_to(version: i16, mut error: RequestError) -> RequestError {
    let too_new = version < FIRST_VERSION_WITH_DELETION_DISABLED;
    if too_new && error.code == ErrorCode::TopicDeletionDisabled {
        error.code = ErrorCode::InvalidRequest;
    }
    error
}

fn respond<T>(
    name: Option<TopicName>,
    id: TopicId,
    result: &Result<T, RequestError>,
) -> DeletableTopicResult {
    let (code, message) = verdict(result);
    DeletableTopicResult::default()
        .with_name(name)
        .with_topic_id(uuid(id))
        .with_error_code(code)
        .with_error_message(message)
}

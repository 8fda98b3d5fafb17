//! Answers to requests of a version that nobody here knows.
//!
//! Clients that ask for too much should learn so instead of losing the connection. ApiVersions has
//! a form for it (KIP-511). The other APIs get an empty response with UNSUPPORTED_VERSION, where
//! the schema has a place for it, in the nearest version that is known.

use bytes::{Bytes, BytesMut};
use chronik_model::ErrorCode;

use crate::api_key::{ApiKey, ApiVersionRange};
use crate::frame::FrameTooLong;
use crate::header::{RequestHeader, response_header_version};
use crate::messages::{
    AddOffsetsToTxnResponse, AddPartitionsToTxnResponse, ConsumerGroupHeartbeatResponse,
    CreateTopicsResponse, DeleteGroupsResponse, DeleteTopicsResponse, DescribeClusterResponse,
    DescribeConfigsResponse, DescribeGroupsResponse, Encodable, EndTxnResponse, FetchResponse,
    FindCoordinatorResponse, HeartbeatResponse, InitProducerIdResponse, JoinGroupResponse,
    LeaveGroupResponse, ListGroupsResponse, ListOffsetsResponse, Message, MetadataResponse,
    OffsetCommitResponse, OffsetFetchResponse, ProduceResponse, SaslAuthenticateResponse,
    SaslHandshakeResponse, SyncGroupResponse, encode_body, frame_response,
};
use crate::wire::Writer;

const UNSUPPORTED: i16 = ErrorCode::UnsupportedVersion.code();

/// The whole frame that refuses the version of a request; `served` is what ApiVersions tells.
/// `None` when the API has no answer that its clients could read: close the connection then.
///
/// # Errors
/// [`FrameTooLong`], which answers this small never are.
pub fn unsupported_version_response(
    request: &RequestHeader<'_>,
    served: &[ApiVersionRange],
) -> Result<Option<Bytes>, FrameTooLong> {
    let (body, header_version) = if request.api_key == ApiKey::ApiVersions.code() {
        (
            Some(api_versions_v0_body(ErrorCode::UnsupportedVersion, served)),
            0,
        )
    } else {
        let version = nearest_known_version(request.api_key, request.api_version);
        let header_version = response_header_version(request.api_key, version);
        (
            unsupported_version_body(request.api_key, request.api_version),
            header_version,
        )
    };
    body.map(|body| frame_response(header_version, request.correlation_id, &body))
        .transpose()
}

/// The body of an ApiVersions response v0, which every client can read.
#[must_use]
pub fn api_versions_v0_body(error: ErrorCode, served: &[ApiVersionRange]) -> Bytes {
    let mut body = BytesMut::new();
    let mut writer = Writer::new(&mut body, false);
    writer.i16(error.code());
    writer.long_length(served.len());
    for range in served {
        writer.i16(range.api_key.code());
        writer.i16(range.min_version);
        writer.i16(range.max_version);
    }
    body.freeze()
}

/// An empty response body that says UNSUPPORTED_VERSION where the schema can, in the known version
/// nearest to `api_version`. `None` for APIs without such an answer.
#[must_use]
pub fn unsupported_version_body(api_key: i16, api_version: i16) -> Option<Bytes> {
    let api_key = ApiKey::from_i16(api_key)?;
    let version = api_version;
    if api_version <= newest_bare_array(api_key) {
        // The number of elements, and nothing else.
        return Some(Bytes::from_static(&[0; 4]));
    }
    macro_rules! answers {
        (
            coded { $($coded:ident $coded_type:ident,)* }
            empty { $($empty:ident $empty_type:ident,)* }
        ) => {
            match api_key {
                $(ApiKey::$coded => {
                    nearest(version, &$coded_type::default().with_error_code(UNSUPPORTED))
                })*
                $(ApiKey::$empty => nearest(version, &$empty_type::default()),)*
                // The others have no clients that would ask for an unknown version.
                _ => None,
            }
        };
    }
    answers! {
        coded {
            Fetch FetchResponse,
            Metadata MetadataResponse,
            OffsetFetch OffsetFetchResponse,
            FindCoordinator FindCoordinatorResponse,
            JoinGroup JoinGroupResponse,
            Heartbeat HeartbeatResponse,
            LeaveGroup LeaveGroupResponse,
            SyncGroup SyncGroupResponse,
            ListGroups ListGroupsResponse,
            SaslHandshake SaslHandshakeResponse,
            SaslAuthenticate SaslAuthenticateResponse,
            InitProducerId InitProducerIdResponse,
            AddPartitionsToTxn AddPartitionsToTxnResponse,
            AddOffsetsToTxn AddOffsetsToTxnResponse,
            EndTxn EndTxnResponse,
            DescribeCluster DescribeClusterResponse,
            ConsumerGroupHeartbeat ConsumerGroupHeartbeatResponse,
        }
        empty {
            Produce ProduceResponse,
            ListOffsets ListOffsetsResponse,
            OffsetCommit OffsetCommitResponse,
            DescribeGroups DescribeGroupsResponse,
            CreateTopics CreateTopicsResponse,
            DeleteTopics DeleteTopicsResponse,
            DescribeConfigs DescribeConfigsResponse,
            DeleteGroups DeleteGroupsResponse,
        }
    }
}

/// `message` in the known version nearest to `version`; without its error code where that version
/// has no place for it.
fn nearest<T: Encodable + Message + Default>(version: i16, message: &T) -> Option<Bytes> {
    let version = version.clamp(T::VERSIONS.min, T::VERSIONS.max);
    encode_body(version, message)
        .or_else(|_no_place| encode_body(version, &T::default()))
        .ok()
}

/// The newest version, below those that the generated structs know, whose response is one array;
/// -1 if there is none.
fn newest_bare_array(api_key: ApiKey) -> i16 {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only these have such versions"
    )]
    match api_key {
        ApiKey::Produce | ApiKey::Fetch | ApiKey::DeleteTopics => 0,
        ApiKey::CreateTopics => 1,
        _ => -1,
    }
}

/// `version`, or the newest version of the schemas if that is older.
fn nearest_known_version(api_key: i16, version: i16) -> i16 {
    match proto_kafka::messages::ApiKey::try_from(api_key) {
        Ok(known) => version.min(known.valid_versions().max),
        Err(()) => version,
    }
}

#[cfg(test)]
#[path = "unsupported_tests.rs"]
mod tests;

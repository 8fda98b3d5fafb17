//! Bodies by API: how requests are read by the broker, and replies by clients.

use bytes::Bytes;
use chronik_protocol::ApiKey;
use chronik_protocol::fetch::FetchRequest;
use chronik_protocol::messages as wire;
use chronik_protocol::produce::ProduceRequest;

macro_rules! generated {
    ($($api:ident $request:ident $response:ident,)*) => {
        fn generated_request(key: ApiKey, version: i16, body: &Bytes) -> Option<Result<(), String>> {
            Some(match key {
                $(ApiKey::$api => {
                    let decoded = wire::decode_request::<wire::$request>(body, version);
                    decoded.map(drop).map_err(|error| error.to_string())
                })*
                _ => return None,
            })
        }

        fn generated_reply(key: ApiKey, version: i16, frame: &Bytes) -> Option<Result<i32, String>> {
            Some(match key {
                $(ApiKey::$api => {
                    let decoded = wire::decode_response::<wire::$response>(frame, key.code(), version);
                    decoded.map(|(id, _)| id).map_err(|error| error.to_string())
                })*
                _ => return None,
            })
        }
    };
}

generated! {
    ListOffsets ListOffsetsRequest ListOffsetsResponse,
    Metadata MetadataRequest MetadataResponse,
    OffsetCommit OffsetCommitRequest OffsetCommitResponse,
    OffsetFetch OffsetFetchRequest OffsetFetchResponse,
    FindCoordinator FindCoordinatorRequest FindCoordinatorResponse,
    JoinGroup JoinGroupRequest JoinGroupResponse,
    Heartbeat HeartbeatRequest HeartbeatResponse,
    LeaveGroup LeaveGroupRequest LeaveGroupResponse,
    SyncGroup SyncGroupRequest SyncGroupResponse,
    DescribeGroups DescribeGroupsRequest DescribeGroupsResponse,
    ListGroups ListGroupsRequest ListGroupsResponse,
    ApiVersions ApiVersionsRequest ApiVersionsResponse,
    CreateTopics CreateTopicsRequest CreateTopicsResponse,
    DeleteTopics DeleteTopicsRequest DeleteTopicsResponse,
    DeleteRecords DeleteRecordsRequest DeleteRecordsResponse,
    InitProducerId InitProducerIdRequest InitProducerIdResponse,
    OffsetForLeaderEpoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse,
    DescribeAcls DescribeAclsRequest DescribeAclsResponse,
    CreateAcls CreateAclsRequest CreateAclsResponse,
    DeleteAcls DeleteAclsRequest DeleteAclsResponse,
    DescribeConfigs DescribeConfigsRequest DescribeConfigsResponse,
    AlterConfigs AlterConfigsRequest AlterConfigsResponse,
    DescribeLogDirs DescribeLogDirsRequest DescribeLogDirsResponse,
    CreatePartitions CreatePartitionsRequest CreatePartitionsResponse,
    DeleteGroups DeleteGroupsRequest DeleteGroupsResponse,
    ElectLeaders ElectLeadersRequest ElectLeadersResponse,
    IncrementalAlterConfigs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse,
    AlterPartitionReassignments AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse,
    ListPartitionReassignments ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse,
    OffsetDelete OffsetDeleteRequest OffsetDeleteResponse,
    DescribeClientQuotas DescribeClientQuotasRequest DescribeClientQuotasResponse,
    DescribeUserScramCredentials DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse,
    DescribeQuorum DescribeQuorumRequest DescribeQuorumResponse,
    DescribeCluster DescribeClusterRequest DescribeClusterResponse,
    DescribeProducers DescribeProducersRequest DescribeProducersResponse,
    DescribeTransactions DescribeTransactionsRequest DescribeTransactionsResponse,
    ListTransactions ListTransactionsRequest ListTransactionsResponse,
    ConsumerGroupHeartbeat ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse,
    ConsumerGroupDescribe ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse,
    ListConfigResources ListConfigResourcesRequest ListConfigResourcesResponse,
    DescribeTopicPartitions DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse,
}

/// The first version of Produce whose reply clients of today can read.
const FIRST_KNOWN_PRODUCE: i16 = 3;

/// Reads the body of a request as its handler does, every part of it.
///
/// # Errors
/// Why it is no such body.
pub(super) fn read_request(key: ApiKey, version: i16, body: &Bytes) -> Result<(), String> {
    if key == ApiKey::Produce {
        let request = ProduceRequest::decode(body, version).map_err(|error| error.to_string())?;
        let counted = |topics: usize| {
            if topics == request.topics.len() {
                Ok(())
            } else {
                Err(())
            }
        };
        let partitions = request.topics.clone().inspect(|topic| {
            let parts = topic.partitions.clone().count();
            assert_eq!(
                parts,
                topic.partitions.len(),
                "partitions that can not be read again"
            );
        });
        return counted(partitions.count())
            .map_err(|()| "topics that can not be read again".to_owned());
    }
    if key == ApiKey::Fetch {
        let request = FetchRequest::decode(body, version).map_err(|error| error.to_string())?;
        for topic in request.topics.clone() {
            let parts = topic.partitions.clone().count();
            assert_eq!(
                parts,
                topic.partitions.len(),
                "partitions that can not be read again"
            );
        }
        for topic in request.forgotten_topics.clone() {
            topic.partitions.clone().for_each(drop);
        }
        return Ok(());
    }
    generated_request(key, version, body).unwrap_or_else(|| Err("not served".to_owned()))
}

/// Reads a reply without its length prefix as a client does, and returns its correlation id.
///
/// # Errors
/// Why no client could read it.
pub(super) fn read_reply(key: ApiKey, version: i16, frame: &Bytes) -> Result<i32, String> {
    if key == ApiKey::Produce && version >= FIRST_KNOWN_PRODUCE {
        let decoded = wire::decode_response::<wire::ProduceResponse>(frame, key.code(), version);
        return decoded.map(|(id, _)| id).map_err(|error| error.to_string());
    }
    if key == ApiKey::Fetch {
        let decoded = wire::decode_response::<wire::FetchResponse>(frame, key.code(), version);
        return decoded.map(|(id, _)| id).map_err(|error| error.to_string());
    }
    generated_reply(key, version, frame).unwrap_or_else(|| correlation_id(frame))
}

/// The correlation id in front of any reply.
///
/// # Errors
/// It is not there.
pub(super) fn correlation_id(frame: &Bytes) -> Result<i32, String> {
    let id = frame.first_chunk().copied().map(i32::from_be_bytes);
    id.ok_or_else(|| "a reply of fewer than four bytes".to_owned())
}

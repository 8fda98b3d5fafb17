use super::*;
use crate::messages::{ApiVersionsResponse, Decodable, decode_response};

fn answer(api_key: ApiKey, api_version: i16) -> Option<Bytes> {
    let served = [ApiVersionRange {
        api_key: ApiKey::ApiVersions,
        min_version: 0,
        max_version: 4,
    }];
    let request = RequestHeader {
        api_key: api_key.code(),
        api_version,
        correlation_id: 77,
        client_id: None,
    };
    let frame = unsupported_version_response(&request, &served).unwrap();
    frame.map(|frame| frame.slice(4..))
}

/// `readable_as` is the version in which a client reads the answer.
fn check<T: Decodable>(api_key: ApiKey, asked: i16, readable_as: i16, error_of: fn(&T) -> i16) {
    let frame = answer(api_key, asked).unwrap();
    let (correlation_id, message) = decode_response(&frame, api_key.code(), readable_as).unwrap();
    assert_eq!(
        (correlation_id, error_of(&message)),
        (77, 35),
        "{api_key} v{asked}"
    );
}

#[test]
fn answers_carry_the_error_where_the_schema_has_a_place() {
    check(ApiKey::Fetch, 99, 18, |read: &FetchResponse| {
        read.error_code
    });
    check(ApiKey::Metadata, 99, 13, |read: &MetadataResponse| {
        read.error_code
    });
    check(
        ApiKey::FindCoordinator,
        0,
        0,
        |read: &FindCoordinatorResponse| read.error_code,
    );
    check(
        ApiKey::InitProducerId,
        99,
        6,
        |read: &InitProducerIdResponse| read.error_code,
    );
    check(
        ApiKey::DescribeCluster,
        99,
        2,
        |read: &DescribeClusterResponse| read.error_code,
    );
    check(ApiKey::JoinGroup, 99, 9, |read: &JoinGroupResponse| {
        read.error_code
    });
    check(ApiKey::Heartbeat, 2, 2, |read: &HeartbeatResponse| {
        read.error_code
    });
    check(ApiKey::LeaveGroup, 99, 5, |read: &LeaveGroupResponse| {
        read.error_code
    });
    check(ApiKey::SyncGroup, 99, 5, |read: &SyncGroupResponse| {
        read.error_code
    });
    check(ApiKey::ListGroups, 99, 5, |read: &ListGroupsResponse| {
        read.error_code
    });
}

#[test]
fn api_versions_lists_what_is_served_in_version_0() {
    for asked in [-1, 5, i16::MAX] {
        let frame = answer(ApiKey::ApiVersions, asked).unwrap();
        let (_, read): (_, ApiVersionsResponse) = decode_response(&frame, 18, 0).unwrap();
        assert_eq!(read.error_code, 35);
        let keys: Vec<_> = read
            .api_keys
            .iter()
            .map(|key| (key.api_key, key.min_version, key.max_version))
            .collect();
        assert_eq!(keys, [(18, 0, 4)]);
    }
}

#[test]
fn every_promised_api_has_an_answer_in_every_known_version() {
    let promised = [
        0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19, 20, 22, 32, 42, 60,
    ];
    for code in promised {
        for version in -1..40 {
            assert!(
                unsupported_version_body(code, version).is_some(),
                "API {code} v{version}"
            );
        }
    }
    assert_eq!(answer(ApiKey::UpdateRaftVoter, 9), None);
    assert_eq!(unsupported_version_body(1234, 0), None);
}

#[test]
fn ancient_versions_get_an_array_and_nothing_else() {
    let correlation_and_empty_array = [0, 0, 0, 77, 0, 0, 0, 0];
    for (api_key, version) in [
        (ApiKey::Produce, 0),
        (ApiKey::Fetch, 0),
        (ApiKey::CreateTopics, 1),
    ] {
        assert_eq!(
            answer(api_key, version).unwrap(),
            correlation_and_empty_array[..]
        );
    }
    assert_eq!(answer(ApiKey::Fetch, 2).unwrap().len(), 12);
}

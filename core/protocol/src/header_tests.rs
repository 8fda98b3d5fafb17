use proptest::prelude::*;

use super::*;

#[test]
fn versions_agree_with_the_generated_schemas() {
    for known in proto_kafka::messages::ApiKey::iter() {
        let code = known as i16;
        assert!(ApiKey::from_i16(code).is_some(), "{known:?} is missing");
        let versions = known.valid_versions();
        for version in versions.min..=versions.max {
            let expected = (
                known.request_header_version(version),
                known.response_header_version(version),
            );
            let ours = (
                request_header_version(code, version),
                response_header_version(code, version),
            );
            assert_eq!(ours, expected, "{known:?} v{version}");
        }
    }
}

#[test]
fn every_number_leads_back_to_its_api() {
    for api_key in ApiKey::ALL {
        assert_eq!(ApiKey::from_i16(api_key.code()), Some(*api_key));
    }
    assert_eq!(ApiKey::from_i16(7), None);
    assert_eq!(ApiKey::from_i16(-1), None);
}

fn check(bytes: &[u8], expected: Result<(i16, i16, i32, Option<&str>), RequestHeaderError>) {
    let frame = Bytes::copy_from_slice(bytes);
    let read = RequestHeader::decode(&frame);
    let read = read.map(|(header, body)| {
        assert_eq!(body, b"body"[..]);
        (
            header.api_key,
            header.api_version,
            header.correlation_id,
            header.client_id,
        )
    });
    assert_eq!(read, expected, "{bytes:02x?}");
}

#[test]
fn headers_of_every_version() {
    check(b"\0\x07\0\0\0\0\0\x09body", Ok((7, 0, 9, None)));
    check(
        b"\0\x00\0\x08\0\0\0\x09\0\x01xbody",
        Ok((0, 8, 9, Some("x"))),
    );
    check(b"\0\x00\0\x08\0\0\0\x09\xff\xffbody", Ok((0, 8, 9, None)));
    check(
        b"\0\x00\0\x09\0\0\0\x09\0\x01x\0body",
        Ok((0, 9, 9, Some("x"))),
    );
    check(
        b"\0\x00\0\x09\0\0\0\x09\0\x01x\x01\x05\x02abbody",
        Ok((0, 9, 9, Some("x"))),
    );
    check(
        b"\x03\xe7\0\x09\0\0\0\x09\0\x01xbody",
        Ok((999, 9, 9, Some("x"))),
    );
}

#[test]
fn a_broken_header_keeps_what_could_be_read() {
    let error = |api_key, api_version, correlation_id, cause| {
        Err(RequestHeaderError {
            api_key,
            api_version,
            correlation_id,
            cause,
        })
    };
    let truncated = |wanted, present| WireError::Truncated { wanted, present };
    check(b"\0", error(None, None, None, truncated(2, 1)));
    check(
        b"\0\x03\0\x01\0",
        error(Some(3), Some(1), None, truncated(4, 1)),
    );
    check(
        b"\0\x03\0\x01\0\0\0\x02",
        error(Some(3), Some(1), Some(2), truncated(2, 0)),
    );
    let not_utf8 = b"\0\x03\0\x01\0\0\0\x02\0\x01\xff";
    check(
        not_utf8,
        error(Some(3), Some(1), Some(2), WireError::NotUtf8),
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        api_key in 0i16..100, api_version in 0i16..20, correlation_id: i32,
        client_id in proptest::option::of(".{0,20}"),
    ) {
        let client_id = client_id.as_deref();
        let header = RequestHeader { api_key, api_version, correlation_id, client_id };
        let mut frame = BytesMut::new();
        header.write(&mut frame);
        let has_client_id = request_header_version(api_key, api_version) > 0;
        let expected = RequestHeader { client_id: client_id.filter(|_| has_client_id), ..header };
        let frame = frame.freeze();
        prop_assert_eq!(RequestHeader::decode(&frame), Ok((expected, Bytes::new())));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        drop(RequestHeader::decode(&Bytes::from(bytes)));
    }
}

use std::io::{ErrorKind, Read};

use bytes::{Buf, Bytes};
use chronik_protocol::messages::{ApiVersionsRequest, MetadataRequest};

use super::{
    MAX_RESPONSE_BYTES, decode_answer, encode_request, is_unsupported_version, read_frame,
};

#[test]
fn requests_are_framed_with_their_length_and_header() {
    let mut frame = encode_request(&MetadataRequest::default(), 12, 77)
        .unwrap()
        .freeze();
    assert_eq!(usize::try_from(frame.get_i32()).unwrap(), frame.len());
    assert_eq!(
        (frame.get_i16(), frame.get_i16(), frame.get_i32()),
        (3, 12, 77)
    );
}

#[test]
fn frames_are_read_within_their_limit() {
    let check = |bytes: &[u8], expected: Result<&[u8], ErrorKind>| {
        let read = read_frame(&mut &*bytes).map_err(|error| error.kind());
        assert_eq!(read.as_deref().map_err(|kind| *kind), expected, "{bytes:?}");
    };
    check(&[0, 0, 0, 2, 7, 8], Ok(&[7, 8]));
    check(&[0, 0, 0, 2, 7, 8, 9], Ok(&[7, 8]));
    check(&[0, 0, 0, 0], Ok(&[]));
    check(&[0, 0, 0, 2, 7], Err(ErrorKind::UnexpectedEof));
    check(&[0, 0], Err(ErrorKind::UnexpectedEof));
    check(&[], Err(ErrorKind::UnexpectedEof));
    check(&[0xFF; 8], Err(ErrorKind::InvalidData));
    let beyond = u32::try_from(MAX_RESPONSE_BYTES + 1).unwrap().to_be_bytes();
    check(&beyond, Err(ErrorKind::InvalidData));
    check(b"HTTP/1.1 400 Bad Request", Err(ErrorKind::InvalidData));
}

#[test]
fn an_announced_length_alone_takes_no_memory() {
    let largest = u32::try_from(MAX_RESPONSE_BYTES).unwrap().to_be_bytes();
    let mut source = Read::chain(largest.as_slice(), [1_u8; 10].as_slice());
    assert_eq!(
        read_frame(&mut source).unwrap_err().kind(),
        ErrorKind::UnexpectedEof
    );
}

#[test]
fn old_brokers_answer_version_3_in_the_form_of_version_0() {
    // Correlation id 9, error 35 and one key: ApiVersions 0 to 2.
    let answer = Bytes::from_static(&[0, 0, 0, 9, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 2]);
    assert!(is_unsupported_version(&answer));
    let answer = decode_answer::<ApiVersionsRequest>(answer, 0).unwrap();
    assert_eq!((answer.error_code, answer.api_keys.len()), (35, 1));
    assert_eq!(answer.api_keys[0].max_version, 2);
}

#[test]
fn answers_that_make_no_sense_are_errors() {
    let check = |after_correlation_id: &[u8], expected: bool| {
        let answer = [&[0, 0, 0, 9], after_correlation_id].concat();
        let decoded = decode_answer::<MetadataRequest>(Bytes::from(answer), 12);
        assert_eq!(decoded.is_ok(), expected, "{after_correlation_id:?}");
    };
    // No tagged fields; throttle time, no brokers, no cluster id, controller 0, no topics.
    let whole = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0];
    check(&whole, true);
    check(&whole[..whole.len() - 1], false);
    check(&[whole.as_slice(), &[9]].concat(), false);
    check(&[], false);
    check(&[0xFF; 40], false);
    // More brokers than there are bytes.
    check(&[0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], false);
}

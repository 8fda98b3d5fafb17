use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::super::Writer;
use super::*;

fn check_varint(bytes: &'static [u8], expected: Result<u32, WireError>) {
    let source = Bytes::from_static(bytes);
    assert_eq!(
        Reader::new(&source, true).unsigned_varint(),
        expected,
        "{bytes:02x?}"
    );
}

#[test]
fn unsigned_varints() {
    check_varint(&[0], Ok(0));
    check_varint(&[0x7f], Ok(127));
    check_varint(&[0x80, 0x01], Ok(128));
    check_varint(&[0xff, 0xff, 0xff, 0xff, 0x0f], Ok(u32::MAX));
    check_varint(
        &[0xff, 0xff, 0xff, 0xff, 0x1f],
        Err(WireError::MalformedVarint),
    );
    check_varint(
        &[0xff, 0xff, 0xff, 0xff, 0x8f, 0],
        Err(WireError::MalformedVarint),
    );
    check_varint(
        &[0x80],
        Err(WireError::Truncated {
            wanted: 1,
            present: 0,
        }),
    );
}

fn check_array(flexible: bool, bytes: &'static [u8], expected: Result<Option<usize>, WireError>) {
    let source = Bytes::from_static(bytes);
    assert_eq!(
        Reader::new(&source, flexible).nullable_array_len(2),
        expected,
        "{bytes:02x?}"
    );
}

#[test]
fn array_counts_are_bounded_by_the_bytes_behind_them() {
    check_array(false, &[0, 0, 0, 1, 9, 9], Ok(Some(1)));
    check_array(false, &[0xff, 0xff, 0xff, 0xff], Ok(None));
    check_array(
        false,
        &[0xff, 0xff, 0xff, 0xfe],
        Err(WireError::NegativeLength(-2)),
    );
    let too_many = |count, limit| Err(WireError::TooManyElements { count, limit });
    check_array(false, &[0, 0, 0, 2, 9, 9, 9], too_many(2, 1));
    check_array(false, &[0x7f, 0xff, 0xff, 0xff], too_many(0x7fff_ffff, 0));
    check_array(true, &[0], Ok(None));
    check_array(true, &[1], Ok(Some(0)));
    check_array(
        true,
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        too_many(0xffff_fffe, 0),
    );
}

#[test]
fn an_array_of_more_than_a_million_elements_is_refused() {
    let mut frame = BytesMut::new();
    Writer::new(&mut frame, false).long_length(MAX_ELEMENTS + 1);
    frame.resize(frame.len() + MAX_ELEMENTS + 1, 0);
    let frame = frame.freeze();
    let expected = WireError::TooManyElements {
        count: MAX_ELEMENTS + 1,
        limit: MAX_ELEMENTS,
    };
    assert_eq!(Reader::new(&frame, false).array_len(1), Err(expected));
}

#[test]
fn tagged_fields_are_skipped_up_to_the_limit() {
    for (count, accepted) in [
        (0, true),
        (MAX_TAGGED_FIELDS, true),
        (MAX_TAGGED_FIELDS + 1, false),
    ] {
        let mut frame = BytesMut::new();
        let mut writer = Writer::new(&mut frame, true);
        writer.tag_count(u32::try_from(count).unwrap());
        for tag in 0..count {
            writer.tag(u32::try_from(tag).unwrap(), |value| value.i8(1));
        }
        let frame = frame.freeze();
        let mut reader = Reader::new(&frame, true);
        let expected = if accepted {
            Ok(())
        } else {
            Err(WireError::TooManyTaggedFields { count })
        };
        assert_eq!(reader.skip_tags(), expected);
        assert_eq!(reader.finish().is_ok(), accepted);
    }
}

#[test]
fn a_tagged_field_can_not_read_past_its_size() {
    let frame = Bytes::from_static(&[1, 0, 2, 0xaa, 0xbb, 0xcc, 0xdd]);
    let outcome = Reader::new(&frame, true).visit_tags(|_, mut value| value.i32().map(drop));
    assert_eq!(
        outcome,
        Err(WireError::Truncated {
            wanted: 4,
            present: 2
        })
    );
}

#[test]
fn strings_must_be_utf8_and_long_texts_are_cut_between_characters() {
    let frame = Bytes::from_static(&[0, 1, 0xff]);
    assert_eq!(Reader::new(&frame, false).string(), Err(WireError::NotUtf8));
    let long = "\u{20ac}".repeat(20_000);
    let mut frame = BytesMut::new();
    Writer::new(&mut frame, false).string(&long);
    let frame = frame.freeze();
    let read = Reader::new(&frame, false).string().unwrap();
    assert_eq!(read.len(), 32_766);
    assert!(long.starts_with(read));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        flexible: bool, text in proptest::option::of(".{0,40}"),
        data in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
        number: i32, long: i64, count: u32,
    ) {
        let mut frame = BytesMut::new();
        let mut writer = Writer::new(&mut frame, flexible);
        writer.nullable_string(text.as_deref());
        writer.nullable_bytes(data.as_deref());
        writer.varint(number);
        writer.unsigned_varint(count);
        writer.i64(long);
        writer.tag_count(0);
        let frame = frame.freeze();
        let mut reader = Reader::new(&frame, flexible);
        prop_assert_eq!(reader.nullable_string().unwrap(), text.as_deref());
        let read_data = reader.nullable_bytes().unwrap();
        prop_assert_eq!(read_data.as_deref(), data.as_deref());
        prop_assert_eq!(reader.varint().unwrap(), number);
        prop_assert_eq!(reader.unsigned_varint().unwrap(), count);
        prop_assert_eq!(reader.i64().unwrap(), long);
        reader.skip_tags().unwrap();
        reader.finish().unwrap();
    }
}

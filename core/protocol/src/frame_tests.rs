use proptest::prelude::*;

use super::*;

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = i32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

fn reader(max_frame_bytes: u32) -> FrameReader {
    FrameReader::new(FrameLimits { max_frame_bytes })
}

fn check_refused(prefix: [u8; 4], expected: FrameError) {
    let mut input = BytesMut::from(&prefix[..]);
    assert_eq!(reader(1000).next(&mut input), Err(expected));
}

#[test]
fn prefixes_beyond_the_limit_are_refused() {
    check_refused([0xff; 4], FrameError::Negative(-1));
    check_refused(
        [0, 0, 3, 0xe9],
        FrameError::TooLarge {
            size: 1001,
            limit: 1000,
        },
    );
    check_refused(
        *b"GET ",
        FrameError::TooLarge {
            size: 0x4745_5420,
            limit: 1000,
        },
    );
}

#[test]
fn whole_frames_are_slices_of_the_input() {
    let mut input = BytesMut::from(&[framed(b"one"), framed(b""), framed(b"three")].concat()[..]);
    let memory = input.as_ptr_range();
    let mut reader = reader(1000);
    for expected in [&b"one"[..], b"", b"three"] {
        let frame = reader.next(&mut input).unwrap().unwrap();
        assert_eq!(frame, expected);
        assert!(frame.is_empty() || memory.contains(&frame.as_ptr()));
    }
    assert_eq!(reader.next(&mut input), Ok(None));
    assert_eq!((reader.wanted(), reader.buffered_bytes()), (0, 0));
}

#[test]
fn a_large_prefix_with_nothing_behind_it_costs_one_small_buffer() {
    let mut reader = reader(u32::MAX);
    let mut input = BytesMut::from(&i32::MAX.to_be_bytes()[..]);
    assert_eq!(reader.next(&mut input), Ok(None));
    assert_eq!(reader.buffered_bytes(), 0);
    assert_eq!(reader.wanted(), 0x7fff_ffff);
    reader.next(&mut BytesMut::from(&[7u8; 100][..])).unwrap();
    assert_eq!(reader.buffered_bytes(), FIRST_CAPACITY);
}

#[test]
fn large_frames_can_be_read_without_the_scratch() {
    let body: Vec<u8> = (0..300_000u32)
        .map(|number| number.to_be_bytes()[3])
        .collect();
    let mut reader = reader(1_000_000);
    let wire = framed(&body);
    let (first, mut rest) = wire.split_at(1000);
    assert_eq!(reader.next(&mut BytesMut::from(first)), Ok(None));
    while reader.wanted() > 0 {
        let wanted = reader.wanted();
        let buffer = reader.partial_buffer().unwrap();
        let spare = buffer.capacity() - buffer.len();
        assert!(spare > 0 && spare <= wanted);
        buffer.put_slice(&rest[..spare]);
        rest = &rest[spare..];
    }
    assert_eq!(reader.buffered_bytes(), body.len());
    let frame = reader.next(&mut BytesMut::new()).unwrap().unwrap();
    assert_eq!(frame, body);
    assert_eq!(reader.buffered_bytes(), 0);
}

#[test]
fn a_smaller_limit_counts_from_the_next_prefix_on() {
    let mut reader = reader(1000);
    let mut input = BytesMut::from(&framed(&[1; 500])[..300]);
    assert_eq!(reader.next(&mut input), Ok(None));
    reader.set_limits(FrameLimits {
        max_frame_bytes: 100,
    });
    let mut input = BytesMut::from(&[vec![1; 204], framed(&[2; 101])].concat()[..]);
    assert_eq!(reader.next(&mut input).unwrap().unwrap(), [1; 500][..]);
    let refused = FrameError::TooLarge {
        size: 101,
        limit: 100,
    };
    assert_eq!(reader.next(&mut input), Err(refused));
}

#[test]
fn a_sealed_frame_counts_foreign_bytes() {
    let mut frame = start_frame(3);
    frame.put_slice(b"abc");
    seal_frame(&mut frame, 7).unwrap();
    assert_eq!(&frame[..], b"\0\0\0\x0aabc");
    let size = usize::try_from(i32::MAX).unwrap() + 1;
    assert_eq!(seal_frame(&mut frame, size - 3), Err(FrameTooLong { size }));
}

proptest! {
    #[test]
    fn frames_survive_any_cut_of_the_stream(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..8),
        cuts in proptest::collection::vec(1usize..60, 1..40),
    ) {
        let wire: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
        let mut reader = reader(200);
        let mut frames = Vec::new();
        let mut rest = &wire[..];
        for size in cuts.iter().cycle() {
            let (part, tail) = rest.split_at(rest.len().min(*size));
            rest = tail;
            let mut input = BytesMut::from(part);
            while let Some(frame) = reader.next(&mut input).unwrap() {
                frames.push(frame.to_vec());
            }
            prop_assert!(input.is_empty());
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(frames, bodies);
        prop_assert_eq!(reader.wanted(), 0);
    }
}

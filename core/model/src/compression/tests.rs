//! Round trips, bounds and foreign bytes.

use proptest::prelude::{any, prop, proptest};

use super::{Codec, CompressionError, DecompressLimits, Decompressor, compress, decompress};

/// Compressible, and not periodic in any codec's block size.
fn sample(length: usize) -> Vec<u8> {
    let mut rng = crate::rng::Rng::new(7);
    let words: Vec<_> = (0..64).map(|_| rng.next_u64().to_le_bytes()).collect();
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let index = usize::try_from(rng.below(64)).unwrap();
        bytes.extend_from_slice(&words[index]);
    }
    bytes.truncate(length);
    bytes
}

fn noise(length: usize) -> Vec<u8> {
    let mut rng = crate::rng::Rng::new(11);
    (0..length)
        .map(|_| rng.next_u64().to_le_bytes()[0])
        .collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

#[test]
fn every_codec_gives_back_what_it_took() {
    let mut shared = Decompressor::new();
    for codec in Codec::ALL {
        for length in [0, 1, 100, 32_768, 65_536, 65_537, 300_000] {
            for input in [sample(length), noise(length), vec![0; length]] {
                let packed = compress(codec, None, &input).unwrap();
                assert_eq!(
                    decompress(codec, &packed, length).unwrap(),
                    input,
                    "{codec} {length}"
                );
                assert_eq!(shared.decompress(codec, &packed, 1 << 20).unwrap(), input);
            }
        }
    }
}

#[test]
fn levels_are_taken_from_the_whole_range_of_each_codec() {
    let input = sample(10_000);
    let check = |codec, level| {
        let packed = compress(codec, Some(level), &input).unwrap();
        assert_eq!(
            decompress(codec, &packed, input.len()).unwrap(),
            input,
            "{codec} {level}"
        );
    };
    for level in [-1, 1, 6, 9, i32::MAX] {
        check(Codec::Gzip, level);
    }
    for level in [1, 9, 17] {
        check(Codec::Lz4, level);
    }
    for level in [i32::MIN, -131_072, 1, 22, i32::MAX] {
        check(Codec::Zstd, level);
    }
}

#[test]
fn one_byte_above_the_limit_is_refused() {
    for codec in Codec::ALL {
        for input in [sample(200_000), vec![7; 200_000], noise(5_000)] {
            let packed = compress(codec, None, &input).unwrap();
            for limit_bytes in [0, 1, input.len() / 2, input.len() - 1] {
                assert_eq!(
                    decompress(codec, &packed, limit_bytes),
                    Err(CompressionError::LimitExceeded { codec, limit_bytes }),
                );
            }
            assert!(decompress(codec, &packed, input.len()).is_ok());
        }
    }
}

#[test]
fn output_never_gets_more_room_than_the_limit() {
    for codec in Codec::ALL {
        let bomb = compress(codec, None, &vec![0; 8 << 20]).unwrap();
        let mut decompressor = Decompressor::new();
        let limit = 100_000;
        assert!(decompressor.decompress(codec, &bomb, limit).is_err());
        assert!(decompressor.output.capacity() <= limit, "{codec}");
    }
}

#[test]
fn claimed_sizes_are_not_believed() {
    // Each header announces gigabytes and brings nothing.
    let check = |codec, bytes: &str| {
        let mut decompressor = Decompressor::new();
        assert!(
            decompressor
                .decompress(codec, &hex(bytes), 1 << 30)
                .is_err(),
            "{codec}"
        );
        assert!(decompressor.output.capacity() <= 64 * 1024, "{codec}");
    };
    check(Codec::Snappy, "ff ff ff ff 0f 00");
    check(
        Codec::Zstd,
        "28 b5 2f fd e0 00 00 00 00 01 00 00 00 01 00 00",
    );
    check(
        Codec::Lz4,
        "04 22 4d 18 60 70 73 05 00 00 00 ff ff ff ff ff",
    );
}

#[test]
fn truncated_input_is_malformed() {
    let input = sample(70_000);
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let packed = compress(codec, None, &input).unwrap();
        for keep in [0, 1, 5, 10, packed.len() / 2, packed.len() - 1] {
            let result = decompress(codec, &packed[..keep], 1 << 20);
            assert!(
                matches!(result, Err(CompressionError::Corrupt { .. })),
                "{codec} {keep}"
            );
        }
    }
}

#[test]
fn bare_snappy_blocks_are_read() {
    let input = sample(50_000);
    let packed = snap::raw::Encoder::new().compress_vec(&input).unwrap();
    assert_eq!(
        decompress(Codec::Snappy, &packed, input.len()).unwrap(),
        input
    );
}

#[test]
fn concatenated_snappy_streams_and_gzip_members_are_one() {
    for codec in [Codec::Snappy, Codec::Gzip, Codec::Zstd] {
        let mut packed = compress(codec, None, b"one, ").unwrap();
        packed.extend(compress(codec, None, b"two").unwrap());
        assert_eq!(
            decompress(codec, &packed, 100).unwrap(),
            b"one, two",
            "{codec}"
        );
    }
}

#[test]
fn lz4_frames_of_other_writers_are_read() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    use std::io::Write;
    let input = sample(700_000);
    for block_mode in [BlockMode::Independent, BlockMode::Linked] {
        for block_size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max4MB] {
            let info = FrameInfo::new()
                .block_mode(block_mode)
                .block_size(block_size)
                .block_checksums(true)
                .content_checksum(true)
                .content_size(Some(700_000));
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(&input).unwrap();
            let mut packed = encoder.finish().unwrap();
            assert_eq!(decompress(Codec::Lz4, &packed, input.len()).unwrap(), input);
            *packed.last_mut().unwrap() ^= 1;
            assert!(decompress(Codec::Lz4, &packed, input.len()).is_err());
        }
    }
}

#[test]
fn our_lz4_frames_satisfy_another_reader() {
    use std::io::Read;
    let input = sample(200_000);
    let packed = compress(Codec::Lz4, None, &input).unwrap();
    let mut output = Vec::new();
    lz4_flex::frame::FrameDecoder::new(packed.as_slice())
        .read_to_end(&mut output)
        .unwrap();
    assert_eq!(output, input);
}

#[test]
fn limits_follow_the_input_between_a_floor_and_a_ceiling() {
    let limits = DecompressLimits {
        max_bytes: 50 << 20,
        max_ratio: 100,
    };
    let check = |input, expected| assert_eq!(limits.for_input(input), expected, "{input}");
    check(0, DecompressLimits::RATIO_FREE_BYTES);
    check(100_000, 10_000_000);
    check(10 << 20, 50 << 20);
    check(20 << 20, 80 << 20);
    check(usize::MAX, usize::MAX);
}

#[test]
fn a_frame_behind_an_empty_one_is_read() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let mut input = compress(codec, None, b"").unwrap();
        input.extend(compress(codec, None, b"not empty").unwrap());
        let output = Decompressor::new()
            .decompress(codec, &input, 1 << 20)
            .map(<[u8]>::to_vec);
        assert_eq!(output, Ok(b"not empty".to_vec()), "{codec}");
    }
}

#[test]
fn names_and_numbers_lead_back_to_their_codec() {
    for codec in Codec::ALL {
        assert_eq!(Codec::from_id(codec.id()), Some(codec));
        assert_eq!(Codec::from_name(codec.name()), Some(codec));
    }
    assert_eq!(Codec::from_id(5), None);
    assert_eq!(Codec::from_name("producer"), None);
}

proptest! {
    #[test]
    fn random_bytes_neither_panic_nor_pass_the_limit(
        input in prop::collection::vec(any::<u8>(), 0..300),
        limit in 0_usize..5_000,
    ) {
        for codec in Codec::ALL {
            let mut decompressor = Decompressor::new();
            let length = decompressor.decompress(codec, &input, limit).map_or(0, <[u8]>::len);
            assert!(length <= limit);
            assert!(decompressor.output.capacity() <= limit);
        }
    }

    #[test]
    fn mutated_bytes_neither_panic_nor_pass_the_limit(
        length in 0_usize..5_000,
        position in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        for codec in Codec::ALL {
            let mut packed = compress(codec, None, &sample(length)).unwrap();
            if !packed.is_empty() {
                let position = position.index(packed.len());
                packed[position] = value;
            }
            let mut decompressor = Decompressor::new();
            let length = decompressor.decompress(codec, &packed, 6_000).map_or(0, <[u8]>::len);
            assert!(length <= 6_000);
            assert!(decompressor.output.capacity() <= 6_000);
        }
    }
}

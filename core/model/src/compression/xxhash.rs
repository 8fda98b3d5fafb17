//! xxHash32 with seed 0, the checksum of LZ4 frames.

/// The hash of `bytes`.
pub(super) fn xxh32(bytes: &[u8]) -> u32 {
    let (blocks, mut rest) = bytes.as_chunks::<16>();
    let mut hash = if blocks.is_empty() {
        PRIME_5
    } else {
        hash_blocks(blocks)
    };
    // The format wants the length modulo 2^32.
    let length = u32::try_from(bytes.len() & 0xFFFF_FFFF).unwrap_or(u32::MAX);
    hash = hash.wrapping_add(length);
    while let Some((word, tail)) = rest.split_first_chunk::<4>() {
        let lane = u32::from_le_bytes(*word).wrapping_mul(PRIME_3);
        hash = hash
            .wrapping_add(lane)
            .rotate_left(17)
            .wrapping_mul(PRIME_4);
        rest = tail;
    }
    for byte in rest {
        let lane = u32::from(*byte).wrapping_mul(PRIME_5);
        hash = hash
            .wrapping_add(lane)
            .rotate_left(11)
            .wrapping_mul(PRIME_1);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(PRIME_2);
    hash = (hash ^ (hash >> 13)).wrapping_mul(PRIME_3);
    hash ^ (hash >> 16)
}

fn hash_blocks(blocks: &[[u8; 16]]) -> u32 {
    let mut lanes = [
        PRIME_1.wrapping_add(PRIME_2),
        PRIME_2,
        0,
        0_u32.wrapping_sub(PRIME_1),
    ];
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<4>().0) {
            let input = u32::from_le_bytes(*word).wrapping_mul(PRIME_2);
            *lane = lane
                .wrapping_add(input)
                .rotate_left(13)
                .wrapping_mul(PRIME_1);
        }
    }
    let [a, b, c, d] = lanes;
    a.rotate_left(1)
        .wrapping_add(b.rotate_left(7))
        .wrapping_add(c.rotate_left(12))
        .wrapping_add(d.rotate_left(18))
}

const PRIME_1: u32 = 0x9E37_79B1;
const PRIME_2: u32 = 0x85EB_CA77;
const PRIME_3: u32 = 0xC2B2_AE3D;
const PRIME_4: u32 = 0x27D4_EB2F;
const PRIME_5: u32 = 0x1656_67B1;

#[cfg(test)]
mod tests {
    use super::xxh32;

    #[test]
    fn hashes_equal_the_reference() {
        let check = |input: &[u8], expected: u32| assert_eq!(xxh32(input), expected, "{input:?}");
        check(b"", 0x02CC_5D05);
        check(b"a", 0x550D_7456);
        check(b"abc", 0x32D1_53FF);
        check(b"Nobody inspects the spammish repetition", 0xE229_3B2F);
    }
}

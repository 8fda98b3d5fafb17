//! Changing a CRC-32C along with a few bytes at the front of what it covers.
//!
//! A CRC is linear: `crc(head | tail) = shift(crc(head), len(tail)) ^ crc(tail)`, where `shift`
//! appends zeros. Two heads over one tail thus differ by the shifted difference of their own
//! checksums, and the tail need not be read. That is cheaper than a second pass, and damage that
//! the tail took after its checksum was computed stays detectable.

/// The CRC of `head | tail` after `old_head` became `new_head` of equal length; `tail_bytes` is the
/// length of the tail.
pub(super) fn replace_head(crc: u32, old_head: &[u8], new_head: &[u8], tail_bytes: usize) -> u32 {
    crc ^ shift(
        crc32c::crc32c(old_head) ^ crc32c::crc32c(new_head),
        tail_bytes,
    )
}

/// Multiplies by x to the power of eight times `zeros`.
fn shift(mut crc: u32, zeros: usize) -> u32 {
    for (bit, power) in BYTE_POWERS.iter().enumerate() {
        if (zeros >> bit) & 1 == 1 {
            crc = multiply(*power, crc);
        }
    }
    crc
}

/// Product of two polynomials modulo Castagnoli's; the highest bit is the coefficient of 1.
const fn multiply(left: u32, mut right: u32) -> u32 {
    let mut product = 0;
    let mut bit = 1 << 31;
    while bit != 0 {
        if left & bit != 0 {
            product ^= right;
        }
        right = (right >> 1) ^ (POLYNOMIAL & (right & 1).wrapping_neg());
        bit >>= 1;
    }
    product
}

/// x^(8 * 2^i): one zero byte, two, four and so on, up to the size of a batch.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time, which refuses a panic"
)]
const BYTE_POWERS: [u32; 31] = {
    let mut powers = [X_TO_THE_8; 31];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = multiply(powers[i - 1], powers[i - 1]);
        i += 1;
    }
    powers
};

const X_TO_THE_8: u32 = 1 << 23;

/// Castagnoli's polynomial, reflected.
const POLYNOMIAL: u32 = 0x82F6_3B78;

#[cfg(test)]
mod tests {
    use super::{replace_head, shift};

    #[test]
    fn shifting_equals_the_crates_combination() {
        for zeros in [0, 1, 2, 3, 7, 40, 255, 4_096, 1_000_003, (1 << 31) - 1] {
            for crc in [0, 1, 0x8000_0000, 0xDEAD_BEEF] {
                assert_eq!(
                    shift(crc, zeros),
                    crc32c::crc32c_combine(crc, 0, zeros),
                    "{zeros}"
                );
            }
        }
    }

    #[test]
    fn a_replaced_head_gives_the_crc_of_the_new_whole() {
        for tail_bytes in [0, 1, 300, 70_000] {
            let tail = vec![0xA5; tail_bytes];
            let whole = |head: &[u8]| crc32c::crc32c(&[head, &tail].concat());
            let (old, new) = (b"before", b"after!");
            assert_eq!(replace_head(whole(old), old, new, tail_bytes), whole(new));
        }
    }
}

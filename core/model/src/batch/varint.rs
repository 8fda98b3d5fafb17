//! Zigzag varints: Protocol Buffers' `sint32` and `sint64`, seven bits per byte, lowest first.

use super::error::RecordError;

/// Splits a 64-bit number off the front.
#[inline]
pub(super) fn take_i64(rest: &mut &[u8]) -> Result<i64, RecordError> {
    let mut bits = 0_u64;
    let mut shift = 0;
    loop {
        let (byte, tail) = rest.split_first().ok_or(RecordError::CutOff)?;
        *rest = tail;
        bits |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
        }
        shift += 7;
        if shift >= 64 {
            return Err(RecordError::Varint);
        }
    }
}

/// Splits a 32-bit number off the front.
#[inline]
pub(super) fn take_i32(rest: &mut &[u8]) -> Result<i32, RecordError> {
    // Nearly all lengths and deltas of records have one byte.
    if let Some((byte @ 0..0x80, tail)) = rest.split_first() {
        *rest = tail;
        let bits = i32::from(*byte);
        return Ok((bits >> 1) ^ -(bits & 1));
    }
    let number = take_i64(rest)?;
    i32::try_from(number).map_err(|_out_of_range| RecordError::Varint)
}

/// Appends a number.
pub(super) fn put(output: &mut Vec<u8>, number: i64) {
    let mut bits = zigzag(number);
    while bits > 0x7F {
        let [low, ..] = bits.to_le_bytes();
        output.push(low | 0x80);
        bits >>= 7;
    }
    let [low, ..] = bits.to_le_bytes();
    output.push(low);
}

/// Bytes that [`put`] appends.
pub(super) fn len(number: i64) -> usize {
    let mut bits = zigzag(number);
    let mut count = 1;
    while bits > 0x7F {
        bits >>= 7;
        count += 1;
    }
    count
}

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{RecordError, len, put, take_i32, take_i64};

    #[test]
    fn numbers_stand_as_protocol_buffers_write_them() {
        let check = |number: i64, expected: &[u8]| {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            assert_eq!(bytes, expected, "{number}");
            assert_eq!(len(number), expected.len(), "{number}");
            assert_eq!(take_i64(&mut bytes.as_slice()), Ok(number));
        };
        check(0, &[0]);
        check(-1, &[1]);
        check(1, &[2]);
        check(63, &[0x7E]);
        check(-64, &[0x7F]);
        check(64, &[0x80, 1]);
        check(i64::from(i32::MAX), &[0xFE, 0xFF, 0xFF, 0xFF, 0x0F]);
        check(i64::from(i32::MIN), &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]);
        check(
            i64::MAX,
            &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1],
        );
        check(
            i64::MIN,
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1],
        );
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let check = |mut bytes: &[u8], expected| assert_eq!(take_i32(&mut bytes), expected);
        check(&[], Err(RecordError::CutOff));
        check(&[0x80], Err(RecordError::CutOff));
        check(&[0xFE, 0xFF, 0xFF, 0xFF, 0x0F], Ok(i32::MAX));
        check(&[0x80, 0x80, 0x80, 0x80, 0x10], Err(RecordError::Varint));
        check(&[0x80; 11], Err(RecordError::Varint));
    }

    proptest! {
        #[test]
        fn every_number_comes_back(number in any::<i64>(), small in any::<i32>()) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            put(&mut bytes, i64::from(small));
            let mut rest = bytes.as_slice();
            assert_eq!(take_i64(&mut rest), Ok(number));
            assert_eq!(take_i32(&mut rest), Ok(small));
            assert!(rest.is_empty());
        }
    }
}

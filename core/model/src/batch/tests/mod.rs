//! Tests of the batch format as a whole.

mod door;
mod golden;
mod reading;

use super::{BatchBuilder, BatchSpec, Header, ProducerState};
use crate::compression::Codec;
use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// Three records with all that records can have.
fn sample_builder(codec: Codec) -> BatchBuilder {
    let mut builder = BatchBuilder::new(BatchSpec {
        base_offset: Offset(100),
        leader_epoch: LeaderEpoch(7),
        producer: Some(ProducerState {
            id: ProducerId(4_711),
            epoch: ProducerEpoch(3),
            base_sequence: 9,
        }),
        codec,
        transactional: true,
        ..BatchSpec::default()
    });
    let headers = [
        Header {
            key: b"h",
            value: Some(b"x"),
        },
        Header {
            key: b"n",
            value: None,
        },
    ];
    let base = 1_700_000_000_000;
    builder
        .append(
            base,
            Some(b"k1"),
            Some(b"value value value value"),
            &headers,
        )
        .unwrap();
    builder
        .append(base + 5, None, Some(b"second"), &[])
        .unwrap();
    builder.append(base - 10, Some(b"k3"), None, &[]).unwrap();
    builder
}

fn sample(codec: Codec) -> Vec<u8> {
    sample_builder(codec).finish().unwrap()
}

/// Makes the checksum right after a test changed covered bytes.
fn reseal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn bytes_of_hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

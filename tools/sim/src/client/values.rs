//! Records whose values tell who wrote them, and when they are not what was written.

use bytes::Bytes;
use chronik_model::batch::{BatchBuilder, BatchSpec, Header, ProducerState, batches, records};
use chronik_model::compression::{Codec, DecompressLimits, Decompressor};

use super::dice::Dice;
use crate::actor::ActorId;
use crate::history::Value;

/// How the batches of one producer look.
#[derive(Debug, Clone, Copy)]
pub struct BatchStyle {
    /// How they are compressed.
    pub codec: Codec,
    /// Most records of a batch.
    pub records: u64,
    /// Most bytes of a value.
    pub value_bytes: u64,
    /// Of a hundred batches, those with headers.
    pub headers_percent: u64,
    /// Of a hundred batches, those with keys; all where the topic wants them.
    pub keys_percent: u64,
}

impl BatchStyle {
    /// Draws a style for producers that may or may not use zstd.
    #[must_use]
    pub fn draw(dice: &mut Dice, zstd: bool) -> Self {
        let codecs = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
        let codec = match dice.between(0, 9) {
            drawn @ 0..=3 => codecs.get(usize::try_from(drawn).unwrap_or(0)).copied(),
            _ => None,
        };
        let codec = codec.filter(|codec| zstd || *codec != Codec::Zstd);
        Self {
            codec: codec.unwrap_or(Codec::None),
            records: dice.pick(&[1, 3, 8, 20]),
            value_bytes: dice.pick(&[SMALLEST, 40, 200]),
            headers_percent: dice.pick(&[0, 0, 30]),
            keys_percent: dice.pick(&[0, 50, 100]),
        }
    }

    /// Writes a batch of these values.
    ///
    /// # Panics
    /// Never: batches this small can be built.
    #[must_use]
    pub fn write(
        &self,
        values: &[Value],
        (wall_ms, producer): (i64, Option<ProducerState>),
        needs_keys: bool,
        dice: &mut Dice,
    ) -> Bytes {
        let spec = BatchSpec {
            producer,
            codec: self.codec,
            ..BatchSpec::default()
        };
        let has_keys = needs_keys || dice.chance(self.keys_percent);
        let header = Header {
            key: b"h",
            value: Some(b"a header's value"),
        };
        let headers = dice.chance(self.headers_percent).then_some(header);
        let mut builder = BatchBuilder::new(spec);
        let mut bytes = Vec::with_capacity(usize::try_from(self.value_bytes).unwrap_or(0));
        for (value, ms) in values.iter().zip(0..) {
            let length = dice.between(SMALLEST, self.value_bytes);
            write_value(*value, length, &mut bytes);
            let key = [b'k', u8::try_from(dice.between(0, 15)).unwrap_or(0)];
            let key = has_keys.then_some(key.as_slice());
            builder
                .append(wall_ms + ms, key, Some(&bytes), headers.as_slice())
                .expect("a small record");
        }
        builder.finish().expect("a small batch").into()
    }
}

/// What came back from a fetch.
#[derive(Debug, Default)]
pub struct Found {
    /// Offset and value of each record.
    pub records: Vec<(i64, Value)>,
    /// Offset behind the last whole batch; none where there is no batch.
    pub next_offset: Option<i64>,
}

/// Reads the records at or behind `position`.
///
/// # Errors
/// What is wrong with them.
pub fn read_records(
    bytes: &[u8],
    position: i64,
    scratch: &mut Decompressor,
) -> Result<Found, String> {
    let mut found = Found::default();
    for batch in batches(bytes) {
        let batch = batch.map_err(|error| format!("a fetched batch: {error}"))?;
        batch
            .check_crc()
            .map_err(|error| format!("a fetched batch: {error}"))?;
        found.next_offset = Some(batch.header().next_offset().0);
        let read = records(&batch, scratch, DecompressLimits::default());
        for record in read.map_err(|error| format!("a fetched batch: {error}"))? {
            let record = record.map_err(|error| format!("a fetched record: {error}"))?;
            if record.offset.0 < position {
                continue;
            }
            let value = read_value(record.value.unwrap_or_default());
            let value =
                value.ok_or_else(|| format!("nobody wrote the value at {}", record.offset.0))?;
            found.records.push((record.offset.0, value));
        }
    }
    Ok(found)
}

fn write_value(value: Value, length: u64, bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.extend_from_slice(&value.actor.0.to_be_bytes());
    bytes.extend_from_slice(&value.number.to_be_bytes());
    let filling = filling(value);
    bytes.resize(
        usize::try_from(length).unwrap_or(0).max(NAME_BYTES),
        filling,
    );
}

fn read_value(bytes: &[u8]) -> Option<Value> {
    let (name, rest) = bytes.split_first_chunk::<NAME_BYTES>()?;
    let (actor, number) = name.split_first_chunk::<2>()?;
    let value = Value {
        actor: ActorId(u16::from_be_bytes(*actor)),
        number: u64::from_be_bytes(number.try_into().ok()?),
    };
    let filling = filling(value);
    rest.iter().all(|byte| *byte == filling).then_some(value)
}

/// The rest of a value is one byte that depends on its name.
fn filling(value: Value) -> u8 {
    let [low, ..] = value.number.to_le_bytes();
    low.wrapping_mul(31) ^ value.actor.0.to_le_bytes()[0]
}

const NAME_BYTES: usize = 10;
/// Fewest bytes of a value.
const SMALLEST: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_model::rng::Rng;

    #[test]
    fn values_come_back_from_a_batch_of_any_style() {
        let mut dice = Dice::new(Rng::new(3));
        for number in 0..200 {
            let style = BatchStyle::draw(&mut dice, true);
            let values: Vec<Value> = (number..number + 5)
                .map(|number| Value {
                    actor: ActorId(3),
                    number,
                })
                .collect();
            let batch = style.write(&values, (1_000, None), false, &mut dice);
            let found = read_records(&batch, 2, &mut Decompressor::new()).unwrap();
            let expected: Vec<_> = (0..).zip(values).skip(2).collect();
            assert_eq!((found.records, found.next_offset), (expected, Some(5)));
        }
    }

    #[test]
    fn a_changed_value_is_nobodys() {
        let value = Value {
            actor: ActorId(1),
            number: 9,
        };
        let mut bytes = Vec::new();
        write_value(value, 20, &mut bytes);
        assert_eq!(read_value(&bytes), Some(value));
        bytes[19] ^= 1;
        assert_eq!(read_value(&bytes), None);
        assert_eq!(read_value(&bytes[..9]), None);
    }
}

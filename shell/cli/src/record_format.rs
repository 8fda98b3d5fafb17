//! One consumed record as a line.

use std::io::{self, Write};

use chronik_model::batch::RecordView;
use chronik_model::{PartitionIndex, TopicName};
use serde_json::{Map, Value, json};

use crate::args::RecordFormat;
use crate::output::{plain, timestamp};

/// Writes a record and a line feed.
pub(crate) fn write_record(
    topic: &TopicName,
    partition: PartitionIndex,
    record: &RecordView<'_>,
    format: RecordFormat,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        RecordFormat::Simple => {
            let (partition, offset) = (partition.0, record.offset);
            let time = timestamp(record.timestamp);
            let (key, value) = (text(record.key), text(record.value));
            writeln!(
                out,
                "{topic} [{partition}] offset {offset}  {time}  {key} -> {value}"
            )
        }
        RecordFormat::Value => {
            out.write_all(record.value.unwrap_or_default())?;
            out.write_all(b"\n")
        }
        RecordFormat::Json => writeln!(out, "{}", record_json(topic, partition, record)),
    }
}

fn record_json(topic: &TopicName, partition: PartitionIndex, record: &RecordView<'_>) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value| drop(fields.insert(name.to_owned(), value));
    put("topic", json!(topic.as_str()));
    put("partition", json!(partition.0));
    put("offset", json!(record.offset.0));
    put("timestamp", json!(timestamp(record.timestamp)));
    let headers = record.headers.map(|header| {
        let mut fields = Map::new();
        put_bytes(&mut fields, "name", Some(header.key));
        put_bytes(&mut fields, "value", header.value);
        Value::Object(fields)
    });
    put("headers", Value::Array(headers.collect()));
    put_bytes(&mut fields, "key", record.key);
    put_bytes(&mut fields, "value", record.value);
    Value::Object(fields)
}

/// Text as a string; other bytes in hexadecimal under `NAME_hex`, so that nothing is lost.
fn put_bytes(fields: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    let (name, value) = match bytes.map(|bytes| (bytes, str::from_utf8(bytes))) {
        None => (name.to_owned(), Value::Null),
        Some((_, Ok(text))) => (name.to_owned(), json!(text)),
        Some((bytes, Err(_))) => (format!("{name}_hex"), json!(hex(bytes))),
    };
    fields.insert(name, value);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(
        || "null".to_owned(),
        |bytes| plain(&String::from_utf8_lossy(bytes)).into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::write_record;
    use crate::args::RecordFormat;
    use chronik_model::batch::{BatchBuilder, BatchSpec, BatchView, Header, records};
    use chronik_model::compression::{DecompressLimits, Decompressor};
    use chronik_model::{Offset, PartitionIndex, TopicName};
    use serde_json::{Value, json};

    /// A record with a header as it is read from a batch, and printed.
    fn written(key: Option<&[u8]>, value: Option<&[u8]>, format: RecordFormat) -> Vec<u8> {
        let spec = BatchSpec {
            base_offset: Offset(7),
            ..BatchSpec::default()
        };
        let mut builder = BatchBuilder::new(spec);
        builder
            .append(
                1_000,
                key,
                value,
                &[Header {
                    key: b"h",
                    value: Some(b"\xff"),
                }],
            )
            .unwrap();
        let bytes = builder.finish().unwrap();
        let batch = BatchView::parse(&bytes).unwrap();
        let limits = DecompressLimits {
            max_bytes: 1 << 20,
            max_ratio: 10,
        };
        let mut scratch = Decompressor::new();
        let record = records(&batch, &mut scratch, limits)
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        let mut out = Vec::new();
        let topic = TopicName::new("t").unwrap();
        write_record(&topic, PartitionIndex(3), &record, format, &mut out).unwrap();
        out
    }

    #[test]
    fn simple_lines_show_nulls_and_escape_control_characters() {
        let check = |key: Option<&[u8]>, value: Option<&[u8]>, expected: &str| {
            let line = written(key, value, RecordFormat::Simple);
            let expected = format!("t [3] offset 7  1970-01-01T00:00:01.000Z  {expected}\n");
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        };
        check(None, Some(b"hi"), "null -> hi");
        check(Some(b"k"), None, "k -> null");
        check(Some(b""), Some(b"a\nb\x1b"), " -> a\\nb\\u{1b}");
    }

    #[test]
    fn values_are_written_byte_for_byte() {
        let check = |value: Option<&[u8]>, expected: &[u8]| {
            assert_eq!(written(None, value, RecordFormat::Value), expected);
        };
        check(Some(b"\x00\xff"), b"\x00\xff\n");
        check(None, b"\n");
    }

    #[test]
    fn json_keeps_every_byte() {
        let line = written(None, Some(b"\x00\xff"), RecordFormat::Json);
        let value: Value = serde_json::from_slice(&line).unwrap();
        let expected = json!({
            "topic": "t", "partition": 3, "offset": 7, "timestamp": "1970-01-01T00:00:01.000Z",
            "key": null, "value_hex": "00ff", "headers": [{"name": "h", "value_hex": "ff"}],
        });
        assert_eq!(value, expected);
    }
}

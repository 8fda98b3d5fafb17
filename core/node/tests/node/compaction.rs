//! Topics with `cleanup.policy=compact`.

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_model::batch::{BatchBuilder, BatchSpec, batches, records};
use chronik_model::compression::{DecompressLimits, Decompressor};
use chronik_protocol::messages::ProduceResponse;

use crate::admin::{NO_SESSION, Wait};
use crate::harness::client::{Batch, Topic, produce_errors};
use crate::harness::node::Options;
use crate::harness::{Sim, seeds};

const KEYS: u64 = 4;

/// A record with one of a few keys and a value of its own.
fn update(sim: &mut Sim, number: u64) -> Batch {
    let (key, value) = (format!("{}", number % KEYS), format!("{number:0>200}"));
    let mut builder = BatchBuilder::new(BatchSpec::default());
    let timestamp = sim.now().wall_ms;
    let value_bytes = Some(value.as_bytes());
    builder
        .append(timestamp, Some(key.as_bytes()), value_bytes, &[])
        .unwrap();
    Batch {
        values: vec![value],
        bytes: builder.finish().unwrap().into(),
    }
}

/// Offsets, keys and values of a partition, read to its end.
fn read(sim: &mut Sim, connection: usize, topic: Topic) -> Vec<(i64, String, String)> {
    let mut found = Vec::new();
    let mut next = 0;
    loop {
        let wait = Wait {
            max_bytes: 1000,
            ..Wait::NONE
        };
        let response = sim.fetch(connection, &[(topic, 0, next)], wait, NO_SESSION);
        let part = &response.responses[0].partitions[0];
        if next >= part.high_watermark {
            return found;
        }
        let bytes: Bytes = part.records.clone().unwrap();
        assert!(!bytes.is_empty(), "nothing at {next}");
        for view in batches(&bytes) {
            let view = view.unwrap();
            let mut scratch = Decompressor::new();
            let limits = DecompressLimits::default();
            for record in records(&view, &mut scratch, limits).unwrap() {
                let record = record.unwrap();
                let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec());
                let (key, value) = (text(record.key).unwrap(), text(record.value).unwrap());
                found.push((record.offset.0, key, value));
            }
            next = view.header().next_offset().0;
        }
    }
}

#[test]
fn a_compacted_topic_keeps_the_newest_value_of_each_key_and_then_rests() {
    for seed in seeds(6) {
        let options = Options {
            broker: &[("log.cleaner.backoff.ms", "1000")],
            ..Options::default()
        };
        let mut sim = Sim::with(seed, options);
        let mut connection = sim.connect(0);
        let configs = [
            ("cleanup.policy", "compact"),
            ("segment.bytes", "1024"),
            ("min.cleanable.dirty.ratio", "0.01"),
        ];
        let topic = sim.create(connection, "t", 1, &configs);
        let mut newest = BTreeMap::new();
        for number in 0..40 {
            let part = (0, update(&mut sim, number));
            newest.insert(part.1.values[0].clone(), (number % KEYS).to_string());
            let call = sim.produce(connection, topic, -1, &[part]).unwrap();
            let response: ProduceResponse = sim.wait(call);
            assert_eq!(produce_errors(&response), [0]);
        }
        sim.run_for(30_000);
        let expected: Vec<i64> = (36..40).collect();
        for _ in 0..2 {
            let records = read(&mut sim, connection, topic);
            let offsets: Vec<i64> = records.iter().map(|(offset, ..)| *offset).collect();
            assert!(offsets.len() < 12, "seed {seed}: {offsets:?}");
            assert!(offsets.ends_with(&expected), "seed {seed}: {offsets:?}");
            let values = records
                .iter()
                .all(|(_, key, value)| newest.get(value) == Some(key));
            assert!(values, "seed {seed}: {records:?}");
            assert_eq!(
                sim.node.shard_deadline(),
                None,
                "seed {seed}: nothing is left to do"
            );
            sim.crash(true);
            connection = sim.connect(0);
        }
    }
}

//! Valid bytes of every kind, made by the product's own writers.

use bytes::Bytes;
use chronik_model::batch::{BatchBuilder, BatchSpec, Header, ProducerState};
use chronik_model::compression::Codec;
use chronik_model::rng::Rng;
use chronik_model::{ProducerEpoch, ProducerId};
use chronik_protocol::ApiKey;

use super::handlers::Client;
use crate::chance::{byte, one_in, pick};
use crate::mutate::mutate;
use crate::node::{MemoryDisk, Node};
use crate::requests::{Requests, TOPICS};
use crate::seal;

/// What time it is for those that are told.
pub(super) const NOW_MS: i64 = 1_700_000_000_000;

/// Record batches of every codec, with and without producer, keys and headers.
#[must_use]
pub(super) fn batches() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for codec in Codec::ALL {
        for count in [1, 3, 40] {
            let producer = (count == 3).then_some(ProducerState {
                id: ProducerId(7),
                epoch: ProducerEpoch(0),
                base_sequence: 0,
            });
            all.extend(batch(codec, count, producer));
        }
    }
    all
}

/// Batches that are small as they come and large once decompressed.
#[must_use]
pub(super) fn bombs() -> Vec<Vec<u8>> {
    let codecs = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    let zeros = vec![0; 2 << 20];
    let bombs = codecs.into_iter().filter_map(|codec| {
        let mut builder = BatchBuilder::new(BatchSpec {
            codec,
            ..BatchSpec::default()
        });
        builder.append(NOW_MS, Some(b"k"), Some(&zeros), &[]).ok()?;
        builder.finish().ok()
    });
    bombs.collect()
}

fn batch(codec: Codec, count: i64, producer: Option<ProducerState>) -> Option<Vec<u8>> {
    let mut builder = BatchBuilder::new(BatchSpec {
        codec,
        producer,
        ..BatchSpec::default()
    });
    let header = Header {
        key: b"trace",
        value: Some(b"on"),
    };
    for number in 0..count {
        let value = format!("a value, not very long, with number {number}");
        let headers: &[Header<'_>] = if number % 2 == 0 { &[header] } else { &[] };
        builder
            .append(
                NOW_MS + number,
                Some(b"key"),
                Some(value.as_bytes()),
                headers,
            )
            .ok()?;
    }
    builder.finish().ok()
}

/// A batch that is damaged mostly, and of which half have a fitting checksum.
pub(super) fn damaged_batch(rng: &mut Rng, all: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = pick(rng, all).clone();
    if !one_in(rng, 8) {
        let other = pick(rng, all);
        mutate(rng, &mut bytes, other);
    }
    if one_in(rng, 2) {
        seal::batch(&mut bytes);
    }
    bytes
}

/// What a broker leaves behind that was killed: topics with segments and their indexes, groups,
/// metadata, and a journal that knows more than the segments. With enough topics the metadata has a
/// snapshot.
///
/// # Panics
/// A broker without hostile input does not work.
#[must_use]
pub(super) fn directory(topics: usize) -> MemoryDisk {
    let mut node = Node::start(MemoryDisk::default()).expect("an empty directory opens");
    let mut client = Client::new(&mut node);
    for name in TOPICS {
        client.create_topic(&mut node, name);
    }
    for number in 0..topics {
        client.create_topic(&mut node, &format!("small-{number}"));
    }
    let mut rng = Rng::new(5);
    let mut requests = Requests::new(batches());
    requests.topic_ids = client.topic_ids(&node);
    let noise: Vec<u8> = (0..9_000).map(|_| byte(&mut rng)).collect();
    for round in 0..24 {
        let large = batch_of(&noise);
        for name in TOPICS {
            client.produce(&mut node, name, &large);
        }
        for api in requests
            .apis
            .iter()
            .filter(|api| changes_groups_or_topics(api.key))
        {
            let frame = requests.write(api, round, &mut rng);
            client.send(&mut node, Bytes::from(frame));
        }
        node.pass(2_000).expect("time passes");
    }
    client.produce(&mut node, TOPICS[0], &batch_of(b"the last one"));
    node.into_disk()
}

fn batch_of(value: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchSpec::default());
    builder
        .append(NOW_MS, Some(b"key"), Some(value), &[])
        .expect("it is small");
    builder.finish().expect("it is small")
}

const fn changes_groups_or_topics(key: ApiKey) -> bool {
    matches!(
        key,
        ApiKey::OffsetCommit
            | ApiKey::JoinGroup
            | ApiKey::SyncGroup
            | ApiKey::ConsumerGroupHeartbeat
            | ApiKey::CreateTopics
            | ApiKey::FindCoordinator
            | ApiKey::DeleteRecords
    )
}

//! How one run is set up. What a seed does not vary can not be what a bug waits for.

use chronik_model::rng::Rng;

use crate::random::{Purpose, Seed};

/// The world of one seed. Times are in nanoseconds of true time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Brokers there are.
    pub brokers: u16,
    /// Shards of each.
    pub shards: u16,
    /// Frontends of each.
    pub frontends: u16,
    /// Requests of one connection that may wait for their replies.
    pub max_pipelined: usize,
    /// Files of the journal ring.
    pub journal_files: usize,
    /// Bytes of each.
    pub journal_file_bytes: u64,
    /// Bytes of the hot tail of a shard.
    pub tail_bytes: usize,
    /// A partition with this many bytes waiting is written back.
    pub write_back_bytes: u64,
    /// Largest request in bytes.
    pub max_frame_bytes: u32,
    /// Bytes of segments of topics, for those who create them.
    pub segment_bytes: u64,
    /// Settings of the brokers, as `server.properties` has them.
    pub settings: Vec<(String, String)>,
    /// How long things take.
    pub pace: Pace,
    /// Operations that the clients together are to do.
    pub operations: u64,
    /// The time in which they do them, and in which faults happen.
    pub duration_ns: u64,
}

/// How long things take, in ns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// A message between two machines of a broker, at most.
    pub message_ns: u64,
    /// The class of messages that is slow in this run, if one is.
    pub slow_class: Option<u8>,
    /// One way through the network, at least.
    pub network_ns: u64,
    /// What the network may add.
    pub jitter_ns: u64,
    /// Of a hundred writes to the network, those that arrive in pieces.
    pub cut_percent: u64,
    /// A write of the journal, at most.
    pub journal_ns: u64,
    /// An operation on a segment, at most.
    pub disk_ns: u64,
    /// Rate of the broker's monotonic clock against true time.
    pub skew_ppm: i64,
}

impl Setup {
    /// Draws a setup for about so many client operations.
    #[must_use]
    pub fn draw(seed: Seed, operations: u64) -> Self {
        let mut rng = seed.stream(Purpose::Setup, 0);
        let file_kib = pick(&mut rng, &[64, 64, 128, 256, 1024]);
        Self {
            brokers: 1,
            shards: pick(&mut rng, &[2, 2, 3]),
            frontends: pick(&mut rng, &[1, 2, 2, 3]),
            max_pipelined: pick(&mut rng, &[1, 2, 5, 16, 256]),
            journal_files: pick(&mut rng, &[3, 4, 4, 6, 8]),
            journal_file_bytes: file_kib << 10,
            tail_bytes: pick(&mut rng, &[2 << 10, 16 << 10, 64 << 10, 1 << 20]),
            write_back_bytes: pick(&mut rng, &[1, 1 << 10, 8 << 10, 64 << 10]),
            max_frame_bytes: 4 << 20,
            segment_bytes: pick(&mut rng, &[1 << 10, 4 << 10, 16 << 10, 1 << 20]),
            settings: settings(&mut rng),
            pace: Pace::draw(&mut rng),
            operations,
            duration_ns: pick(&mut rng, &[30, 40, 50]) * 1_000_000_000,
        }
    }
}

impl Pace {
    fn draw(rng: &mut Rng) -> Self {
        let slow = rng.below(16);
        Self {
            message_ns: pick(rng, &[2_000, 20_000, 200_000]),
            slow_class: u8::try_from(slow).ok().filter(|class| *class < 8),
            network_ns: pick(rng, &[20_000, 100_000, 1_000_000]),
            jitter_ns: pick(rng, &[10_000, 300_000, 5_000_000]),
            cut_percent: pick(rng, &[0, 3, 30]),
            journal_ns: pick(rng, &[100_000, 1_000_000, 10_000_000]),
            disk_ns: pick(rng, &[100_000, 1_000_000, 20_000_000]),
            skew_ppm: pick(rng, &[-400, 0, 0, 30, 400]),
        }
    }
}

fn settings(rng: &mut Rng) -> Vec<(String, String)> {
    let drawn = [
        (
            "group.initial.rebalance.delay.ms",
            pick(rng, &[0, 0, 50, 300]),
        ),
        ("offsets.topic.num.partitions", pick(rng, &[1, 2, 5])),
        ("log.retention.check.interval.ms", pick(rng, &[500, 5_000])),
        ("log.cleaner.backoff.ms", pick(rng, &[100, 2_000])),
        (
            "metadata.log.max.record.bytes.between.snapshots",
            pick(rng, &[400, 4_000, 20_971_520]),
        ),
        (
            "offsets.topic.segment.bytes",
            pick(rng, &[2_048, 65_536, 104_857_600]),
        ),
        (
            "max.incremental.fetch.session.cache.slots",
            pick(rng, &[1, 4, 1_000]),
        ),
        ("group.min.session.timeout.ms", 500),
        ("group.consumer.min.session.timeout.ms", 1_000),
        ("group.consumer.session.timeout.ms", 3_000),
        ("group.consumer.min.heartbeat.interval.ms", 100),
        ("group.consumer.heartbeat.interval.ms", 300),
    ];
    drawn
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .collect()
}

/// One of several values, the same one being likelier where it is named twice.
fn pick<T: Copy>(rng: &mut Rng, values: &[T]) -> T {
    let drawn = usize::try_from(rng.below(values.len() as u64)).unwrap_or(0);
    values[drawn]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drawn_setting_exists_and_is_valid() {
        use chronik_model::config::{broker_key, validate};
        for seed in 0..50 {
            for (name, value) in Setup::draw(Seed(seed), 1).settings {
                let key = broker_key(&name).unwrap_or_else(|| panic!("{name}"));
                assert_eq!(validate(key, &value), Ok(()), "{name}={value}");
            }
        }
    }
}

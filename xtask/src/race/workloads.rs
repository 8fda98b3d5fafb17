//! The table of workloads: everything that is measured, as data.

/// One row: what runs against a server that has been started and warmed up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Workload {
    /// The group, a blank, and what tells it from the others of the group.
    pub(super) id: &'static str,
    /// In words.
    pub(super) shape: &'static str,
    /// Workloads of one life share a server process.
    pub(super) life: &'static str,
    pub(super) partitions: u32,
    pub(super) kind: Kind,
    pub(super) who: Who,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// chronik-bench for a time, with these arguments.
    Timed(&'static str),
    /// So many records are written with chronik-bench, then read, cached, with these arguments.
    Read { records: u64, args: &'static str },
    /// Readers at the tail at this rate, while another one reads so many cold records.
    TailWhileCold { rate: u32, records: u64 },
    /// Idle connections.
    Connections(u32),
    /// Topics one after the other, each with a first record.
    Topics(u32),
    /// SIGKILL under load and a start at once, with so many topics of 1,000 partitions besides.
    Kill { topics: u32 },
    /// Nothing, with so many topics of 1,000 partitions.
    Idle { topics: u32 },
}

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Both brokers in both modes, and the reference server.
    Everybody,
    /// The same, and Kafka with a heap of 4 GB.
    WithBigHeap,
    /// Both brokers in both modes: there is more to do than to take records.
    Brokers,
    /// Both brokers as they come: the mode changes nothing.
    AsTheyCome,
}

impl Workload {
    /// `P1` of `P1 c=16`.
    pub(super) fn group(&self) -> &'static str {
        self.id.split(' ').next().unwrap_or(self.id)
    }

    /// Whether the server is to be warm: memory per connection is seen on one that has done nothing.
    pub(super) const fn wants_warm_up(&self) -> bool {
        !matches!(self.kind, Kind::Connections(_))
    }

    /// Whether the reference server can run it.
    pub(super) const fn has_reference(&self) -> bool {
        matches!(self.who, Everybody | WithBigHeap)
    }
}

/// The workloads of these groups or ids; all without any.
pub(super) fn choose(names: &[String]) -> Result<Vec<Workload>, String> {
    let is = |workload: &Workload, name: &String| workload.group() == name || workload.id == name;
    if let Some(unknown) = names
        .iter()
        .find(|name| !WORKLOADS.iter().any(|it| is(it, name)))
    {
        return Err(format!("no workload is called {unknown}"));
    }
    let chosen = WORKLOADS.iter().copied();
    Ok(chosen
        .filter(|it| names.is_empty() || names.iter().any(|name| is(it, name)))
        .collect())
}

/// The lives of servers, in order.
pub(super) fn lives(workloads: &[Workload]) -> Vec<&'static str> {
    let mut lives = Vec::new();
    for workload in workloads {
        if !lives.contains(&workload.life) {
            lives.push(workload.life);
        }
    }
    lives
}

const fn timed(
    id: &'static str,
    shape: &'static str,
    (life, partitions): (&'static str, u32),
    args: &'static str,
    who: Who,
) -> Workload {
    Workload {
        id,
        shape,
        life,
        partitions,
        kind: Kind::Timed(args),
        who,
    }
}

const fn scene(id: &'static str, shape: &'static str, life: &'static str, kind: Kind) -> Workload {
    Workload {
        id,
        shape,
        life,
        partitions: 1,
        kind,
        who: AsTheyCome,
    }
}

use Who::{AsTheyCome, Brokers, Everybody, WithBigHeap};

/// P4, P6 and the like need what one syncing node has not; delayed flushes (S1) would need a hook for
/// tests inside the product.
pub(super) const WORKLOADS: &[Workload] = &[
    timed(
        "P1 c=1",
        "librdkafka, 1 record in flight, acks=all",
        ("P1", 1),
        "-c 1 --acks all",
        Everybody,
    ),
    timed(
        "P1 c=16",
        "librdkafka, 16 in flight, acks=all",
        ("P1", 1),
        "-c 16 --acks all",
        Everybody,
    ),
    timed(
        "P1 c=128",
        "librdkafka, 128 in flight, acks=all",
        ("P1", 1),
        "-c 128 --acks all",
        Everybody,
    ),
    timed(
        "P1 c=1000",
        "librdkafka, 1,000 in flight, acks=all",
        ("P1", 1),
        "-c 1000 --acks all",
        Everybody,
    ),
    timed(
        "P1 c=1 acks=1",
        "librdkafka, 1 record in flight, acks=1",
        ("P1", 1),
        "-c 1 --acks 1",
        Everybody,
    ),
    timed(
        "P1 c=16 acks=1",
        "librdkafka, 16 in flight, acks=1",
        ("P1", 1),
        "-c 16 --acks 1",
        Everybody,
    ),
    timed(
        "P1 c=128 acks=1",
        "librdkafka, 128 in flight, acks=1",
        ("P1", 1),
        "-c 128 --acks 1",
        Everybody,
    ),
    timed(
        "P1 c=1000 acks=1",
        "librdkafka, 1,000 in flight, acks=1",
        ("P1", 1),
        "-c 1000 --acks 1",
        Everybody,
    ),
    timed(
        "P2 128 connections",
        "128 connections, 1 record in flight each",
        ("P2", 1),
        "--driver native -c 128",
        Everybody,
    ),
    timed(
        "P2 16 partitions",
        "the same over 16 partitions",
        ("P2", 16),
        "--driver native -c 128",
        Everybody,
    ),
    timed(
        "P2 128 partitions",
        "the same over 128 partitions",
        ("P2", 128),
        "--driver native -c 128",
        Everybody,
    ),
    timed(
        "P2 1000 connections",
        "1,000 connections, 1 record in flight each",
        ("P2", 1),
        "--driver native -c 1000",
        Everybody,
    ),
    timed(
        "P2 8 x 64",
        "8 connections with 64 requests in flight each",
        ("P2", 1),
        "--driver native --connections 8 --pipeline 64",
        Everybody,
    ),
    timed(
        "P3 16 KiB",
        "open loop, 256 B, batches of 16 KiB, linger 0",
        ("P3", 1),
        "-c 100000 --batch-size 16384 --linger-ms 0",
        Everybody,
    ),
    timed(
        "P3 64 KiB",
        "open loop, 256 B, batches of 64 KiB, linger 5 ms",
        ("P3", 1),
        "-c 100000 --batch-size 65536 --linger-ms 5",
        Everybody,
    ),
    timed(
        "P3 1 MB",
        "open loop, 256 B, batches of 1 MB, linger 5 ms",
        ("P3", 1),
        "-c 100000 --batch-size 1000000 --linger-ms 5",
        WithBigHeap,
    ),
    timed(
        "P3 16 KiB of 1 KiB",
        "open loop, 1 KiB, batches of 16 KiB, linger 0",
        ("P3", 1),
        "-c 50000 -s 1024 --batch-size 16384 --linger-ms 0",
        Everybody,
    ),
    timed(
        "P3 1 MB of 1 KiB",
        "open loop, 1 KiB, batches of 1 MB, linger 5 ms",
        ("P3", 1),
        "-c 50000 -s 1024 --batch-size 1000000 --linger-ms 5",
        Everybody,
    ),
    timed(
        "P3 64 KiB lz4",
        "open loop, 1 KiB, batches of 64 KiB, linger 5 ms, lz4",
        ("P3", 1),
        "-c 20000 -s 1024 --batch-size 65536 --linger-ms 5 --compression lz4",
        Everybody,
    ),
    timed(
        "P3 64 KiB zstd",
        "the same with zstd",
        ("P3", 1),
        "-c 20000 -s 1024 --batch-size 65536 --linger-ms 5 --compression zstd",
        Everybody,
    ),
    timed(
        "P3 1 MB zstd",
        "open loop, 256 B, batches of 1 MB, linger 5 ms, zstd",
        ("P3", 1),
        "-c 20000 --batch-size 1000000 --linger-ms 5 --compression zstd",
        Everybody,
    ),
    timed(
        "P5 1 partition",
        "16 producers, 1 KiB, linger 5 ms, 1 partition",
        ("P5", 1),
        P5,
        Brokers,
    ),
    timed(
        "P5 100 partitions",
        "the same over 100 partitions",
        ("P5", 100),
        P5,
        Brokers,
    ),
    timed(
        "P5 1000 partitions",
        "the same over 1,000 partitions",
        ("P5", 1000),
        P5,
        Brokers,
    ),
    Workload {
        id: "F1 1 partition",
        shape: "consume what is cached, 256 B, 1 partition",
        life: "F",
        partitions: 1,
        kind: Kind::Read {
            records: 3_000_000,
            args: "--mode consume",
        },
        who: AsTheyCome,
    },
    Workload {
        id: "F1 8 partitions",
        shape: "the same over 8 partitions",
        life: "F",
        partitions: 8,
        kind: Kind::Read {
            records: 3_000_000,
            args: "--mode consume",
        },
        who: AsTheyCome,
    },
    timed(
        "F2 1k/s",
        "end to end, 1,000 records/s, open loop",
        ("F", 1),
        "--mode round-trip --rate 1000 -c 1000",
        Brokers,
    ),
    timed(
        "F2 10k/s",
        "end to end, 10,000 records/s, open loop",
        ("F", 1),
        "--mode round-trip --rate 10000 -c 2000",
        Brokers,
    ),
    timed(
        "F2 50k/s",
        "end to end, 50,000 records/s, open loop",
        ("F", 1),
        "--mode round-trip --rate 50000 -c 5000",
        Brokers,
    ),
    scene(
        "F3 tail",
        "end to end at 1,000 records/s while another reads 1 GB from disk",
        "F",
        Kind::TailWhileCold {
            rate: 1000,
            records: 1_000_000,
        },
    ),
    scene(
        "C1 1000 connections",
        "1,000 connections that say nothing",
        "C1k",
        Kind::Connections(1000),
    ),
    scene(
        "C1 10000 connections",
        "10,000 connections that say nothing",
        "C10k",
        Kind::Connections(10_000),
    ),
    scene(
        "M1 topics",
        "topics created one by one, each with a first record",
        "M",
        Kind::Topics(40),
    ),
    scene(
        "R1 kill",
        "SIGKILL at 10,000 records/s, started again at once",
        "M",
        Kind::Kill { topics: 0 },
    ),
    scene(
        "R1 1000 partitions",
        "SIGKILL under load with 1,000 partitions",
        "M",
        Kind::Kill { topics: 1 },
    ),
    scene(
        "I1 10000 partitions",
        "nothing to do, with 10,000 partitions",
        "M",
        Kind::Idle { topics: 10 },
    ),
];

const P5: &str = "--connections 16 -c 4096 -s 1024 --linger-ms 5";

#[cfg(test)]
mod tests {
    use super::{Kind, WORKLOADS, choose, lives};

    #[test]
    fn names_choose_groups_and_single_workloads() {
        let check = |names: &[&str], expected: Option<usize>| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(
                choose(&names).ok().map(|it| it.len()),
                expected,
                "{names:?}"
            );
        };
        check(&[], Some(WORKLOADS.len()));
        check(&["P1 c=16"], Some(1));
        check(&["P2"], Some(5));
        check(&["P2", "P2 8 x 64"], Some(5));
        check(&["P9"], None);
    }

    #[test]
    fn ids_are_unique_and_lives_come_once() {
        for (index, workload) in WORKLOADS.iter().enumerate() {
            let same = |other: &super::Workload| other.id == workload.id;
            assert_eq!(
                WORKLOADS.iter().position(same),
                Some(index),
                "{}",
                workload.id
            );
        }
        assert_eq!(
            lives(WORKLOADS),
            ["P1", "P2", "P3", "P5", "F", "C1k", "C10k", "M"]
        );
    }

    #[test]
    fn arguments_leave_time_and_topic_to_the_runner() {
        for workload in WORKLOADS {
            let (Kind::Timed(args) | Kind::Read { args, .. }) = workload.kind else {
                continue;
            };
            for taken in ["-d", "--warmup", "--topic", "-b", "--json"] {
                assert!(!args.split(' ').any(|arg| arg == taken), "{}", workload.id);
            }
        }
    }
}

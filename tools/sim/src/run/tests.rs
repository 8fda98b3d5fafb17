//! The world on its own, with clients that know next to nothing.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chronik_model::Mono;
use chronik_protocol::messages::{
    CreateTopicsRequest, Encodable, StrBytes, TopicName, create_topics_request::CreatableTopic,
};

use super::*;
use crate::actor::{ActorOutputs, Link, LinkOp};
use crate::random::Seed;
use crate::world::Unwatched;

const CREATE_TOPICS: i16 = 19;
const VERSION: i16 = 5;

/// Creates one topic after the other, and waits for each answer.
#[derive(Debug, Default)]
struct Creator {
    links: u32,
    link: Option<Link>,
    received: BytesMut,
    sent: u64,
    answered: u64,
    wake_at: Option<Mono>,
    asks_at: Option<Mono>,
    ending: bool,
}

impl Creator {
    fn request(&mut self) -> Bytes {
        self.sent += 1;
        let topic = CreatableTopic::default()
            .with_name(TopicName(StrBytes::from_string(format!("t{}", self.sent))))
            .with_num_partitions(2)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(10_000);
        let mut body = BytesMut::new();
        body.put_i16(CREATE_TOPICS);
        body.put_i16(VERSION);
        body.put_i32(i32::try_from(self.sent).unwrap());
        body.put_i16(-1);
        body.put_u8(0);
        request.encode(&mut body, VERSION).unwrap();
        let mut frame = BytesMut::new();
        frame.put_i32(i32::try_from(body.len()).unwrap());
        frame.extend_from_slice(&body);
        frame.freeze()
    }

    fn received(&mut self, bytes: &Bytes) -> bool {
        self.received.extend_from_slice(bytes);
        let Some(prefix) = self.received.first_chunk::<4>() else {
            return false;
        };
        let size = usize::try_from(i32::from_be_bytes(*prefix)).unwrap();
        if self.received.len() < 4 + size {
            return false;
        }
        self.received.advance(4);
        let number = self.received.split_to(size).get_i32();
        assert_eq!(u64::try_from(number).unwrap(), self.sent);
        self.answered += 1;
        true
    }
}

impl Actor for Creator {
    fn step(&mut self, now: Mono, input: ActorInput, out: &mut ActorOutputs) {
        self.wake_at = None;
        match input {
            ActorInput::Tick if self.link.is_none() && !self.ending => {
                self.links += 1;
                self.link = Some(Link(self.links));
                let open = LinkOp::Open(Link(self.links), BrokerId(0));
                out.links.push(open);
                self.wake_at = Some(now.plus_ms(3_000));
            }
            ActorInput::Tick if self.asks_at.take().is_some() => {
                let request = self.request();
                let link = self.link.map(|link| LinkOp::Send(link, request));
                out.links.extend(link);
                self.wake_at = Some(now.plus_ms(5_000));
            }
            ActorInput::Tick => {
                // Nothing came for long: the connection may be dead.
                out.links.extend(self.link.take().map(LinkOp::Close));
                self.received.clear();
                self.wake_at = (!self.ending).then(|| now.plus_ms(1));
            }
            ActorInput::Opened(link) => {
                out.links.push(LinkOp::Send(link, self.request()));
                self.wake_at = Some(now.plus_ms(5_000));
            }
            ActorInput::Received(link, bytes) => {
                self.wake_at = Some(now.plus_ms(5_000));
                if self.received(&bytes) {
                    if self.ending {
                        self.link = None;
                        self.wake_at = None;
                        out.links.push(LinkOp::Close(link));
                    } else {
                        self.asks_at = Some(now.plus_ms(40));
                    }
                }
            }
            ActorInput::Lost(_) => {
                self.asks_at = None;
                self.link = None;
                self.received.clear();
                self.wake_at = Some(now.plus_ms(20));
            }
            ActorInput::WindDown => {
                self.ending = true;
                self.asks_at = None;
                self.wake_at = Some(now.plus_ms(5_000));
            }
        }
    }

    fn deadline(&self) -> Option<Mono> {
        self.asks_at.or(self.wake_at)
    }

    fn is_done(&self) -> bool {
        self.ending && self.link.is_none()
    }

    fn state(&self) -> String {
        format!("{} of {} answered", self.answered, self.sent)
    }

    fn operations(&self) -> u64 {
        self.answered
    }
}

/// What a failed run did last.
fn story(report: &Report) -> String {
    let lines = report.last.iter();
    let lines = lines.map(|(at, line)| format!("{:>12} us  {line}\n", at.0 / 1_000));
    lines.collect()
}

fn script(seed: u64, options: &Options) -> Script {
    let mut script = Script::draw(Seed(seed), options);
    script.setup.duration_ns = 3_000_000_000;
    for fault in &mut script.plan.faults {
        fault.at = Mono(fault.at.0 % script.setup.duration_ns);
    }
    script
}

fn cast() -> Cast {
    Cast {
        actors: (0..2).map(|_| Box::<Creator>::default() as _).collect(),
        scanners: Vec::new(),
        watch: Box::new(Unwatched),
    }
}

fn run(seed: u64, options: &Options) -> Report {
    play(&script(seed, options), cast(), None)
}

#[test]
fn a_quiet_world_answers() {
    let options = Options {
        kinds: Vec::new(),
        operations: 20,
        ..Options::default()
    };
    for seed in 0..5 {
        let report = run(seed, &options);
        assert_eq!(report.violation, None, "seed {seed}\n{}", story(&report));
        assert!(report.counters["operations"] > 20, "seed {seed}");
        assert_eq!(report.counters["crashes-power"], 1, "seed {seed}");
    }
}

#[test]
fn a_world_of_faults_comes_right_in_the_end() {
    let mut seen = BTreeMap::new();
    for seed in 0..40 {
        let report = run(seed, &Options::default());
        assert_eq!(report.violation, None, "seed {seed}\n{}", story(&report));
        for (name, count) in report.counters {
            *seen.entry(name).or_insert(0) += count;
        }
    }
    let must = [
        "checkpoints",
        "crashes-journal-write-underway",
        "crashes-power",
        "crashes-process",
        "crashes-recovery",
        "offline",
        "recoveries",
        "resets",
        "stops-clean",
    ];
    for name in must {
        assert!(seen[name] > 0, "{name}: {seen:#?}");
    }
}

/// A stop finds a segment that can not be synced: what the journal has may not be given up.
#[test]
fn an_offline_directory_is_not_stopped_cleanly() {
    let fault = |at_ms: u64, kind| Fault {
        at: Mono(at_ms * 1_000_000),
        broker: BrokerId(0),
        kind,
        lasts_ns: 1_000_000,
        seed: at_ms,
    };
    let mut offline = 0;
    for seed in 0..20 {
        let quiet = Options {
            kinds: Vec::new(),
            operations: 20,
            ..Options::default()
        };
        let mut script = script(seed, &quiet);
        script.plan.faults = vec![
            fault(1_000, FaultKind::Fsync),
            fault(1_001, FaultKind::Restart),
        ];
        let report = play(&script, cast(), None);
        assert_eq!(report.violation, None, "seed {seed}\n{}", story(&report));
        offline += report.counters["offline"];
    }
    assert!(offline > 0);
}

#[test]
fn a_seed_decides_every_byte() {
    for seed in 0..5 {
        let [first, second] = [(), ()].map(|()| run(seed, &Options::default()));
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_eq!(first.steps, second.steps, "seed {seed}");
        assert_eq!(first.counters, second.counters, "seed {seed}");
    }
}

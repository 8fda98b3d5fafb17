//! Everything at once: rolling segments, evicted tails, deletions, changes of mode, long polls, hangups
//! and crashes.

use chronik_protocol::messages::ProduceResponse;

use crate::admin::{NO_SESSION, Wait};
use crate::harness::client::Topic;
use crate::harness::node::Options;
use crate::harness::{Sim, seeds};
use crate::idempotent::Producer;
use crate::produce::plain;

/// Partition of the rolling topic that records are deleted from.
const DELETED_FROM: i32 = 2;

struct World {
    admin: usize,
    client: usize,
    consumer: usize,
    rolling: Topic,
    lazy: Topic,
    passing: Topic,
    producers: Vec<Producer>,
}

impl World {
    fn new(sim: &mut Sim) -> Self {
        let [admin, client, consumer] = [sim.connect(0), sim.connect(1), sim.connect(1)];
        let rolling = sim.create(admin, "rolling", 3, &[("segment.ms", "40")]);
        let lazy = sim.create(admin, "lazy", 1, &[("flush.messages", "3")]);
        sim.ledger.lazy.insert(lazy.id);
        let passing = sim.create(admin, "passing", 2, &[]);
        let producers = (0..2)
            .map(|index| Producer::new(sim, client, rolling, index))
            .collect();
        Self {
            admin,
            client,
            consumer,
            rolling,
            lazy,
            passing,
            producers,
        }
    }

    fn reconnect(&mut self, sim: &mut Sim) {
        let frontend = u16::try_from(sim.rng.below(2)).unwrap();
        [self.admin, self.client, self.consumer] = [
            sim.connect(1 - frontend),
            sim.connect(frontend),
            sim.connect(0),
        ];
        for producer in &mut self.producers {
            producer.reconnect(sim, self.client);
        }
    }

    fn act(&mut self, sim: &mut Sim) {
        match sim.rng.below(16) {
            0..=4 => self
                .producers
                .iter_mut()
                .for_each(|producer| producer.push(sim)),
            5 | 6 => {
                let part = (0, plain(sim));
                sim.produce(self.client, self.lazy, 1, &[part]);
            }
            7 => {
                let parts = [(0, plain(sim)), (1, plain(sim))];
                sim.produce(self.client, self.passing, -1, &parts);
            }
            8 => {
                let part = (DELETED_FROM, plain(sim));
                let acks = i16::try_from(sim.rng.below(2)).unwrap();
                sim.produce(self.admin, self.rolling, acks, &[part]);
            }
            9 => {
                let (_, end) = sim.list_offset(self.admin, self.rolling, DELETED_FROM, -1);
                let before = i64::try_from(sim.rng.below(end.unsigned_abs() + 1)).unwrap();
                assert_eq!(
                    sim.delete_records(self.admin, self.rolling, DELETED_FROM, before)
                        .0,
                    0
                );
            }
            10 => {
                let value = if sim.rng.below(2) == 0 { "1" } else { "3" };
                sim.configure(self.admin, self.lazy, "flush.messages", value);
            }
            11 => {
                assert_eq!(sim.delete(self.admin, self.passing), 0);
                self.passing = sim.create(self.admin, "passing", 2, &[]);
            }
            12 | 13 => self.poll(sim),
            14 => sim.run_for(60),
            _ => {
                sim.hang_up(self.client);
                self.client = sim.connect(1);
                for producer in &mut self.producers {
                    producer.reconnect(sim, self.client);
                }
            }
        }
    }

    fn poll(&self, sim: &mut Sim) {
        let mut draw = |bound| i32::try_from(sim.rng.below(bound)).unwrap();
        let wait = Wait {
            max_ms: draw(100),
            min_bytes: draw(500),
            max_bytes: 1 + draw(3000),
        };
        let from = [
            (self.rolling, 0, i64::from(draw(20))),
            (self.rolling, 1, 0),
            (self.lazy, 0, 0),
        ];
        sim.send_fetch(self.consumer, &from, wait, NO_SESSION);
    }

    fn check(&self, sim: &mut Sim) {
        for index in 0..3 {
            sim.read_whole(self.admin, self.rolling, index);
        }
        sim.read_whole(self.admin, self.lazy, 0);
        for index in 0..2 {
            sim.read_whole(self.admin, self.passing, index);
        }
    }
}

fn live_and_die(seed: u64) {
    let mut options = Options::default();
    options.limits.tail_bytes = 8 << 10;
    options.limits.write_back_bytes = 200;
    let mut sim = Sim::with(seed, options);
    let mut world = World::new(&mut sim);
    for _ in 0..4 {
        for _ in 0..60 {
            world.act(&mut sim);
            let steps = sim.rng.below(25);
            sim.run_steps(steps);
        }
        if sim.rng.below(2) == 0 {
            world.check(&mut sim);
        }
        let power = sim.rng.below(2) == 0;
        sim.crash(power);
        world.reconnect(&mut sim);
        world.check(&mut sim);
    }
    for producer in &mut world.producers {
        producer.finish(&mut sim);
        assert!(producer.acknowledged > 10);
    }
    let part = (0, plain(&mut sim));
    let last = sim.produce(world.client, world.lazy, -1, &[part]).unwrap();
    sim.wait::<ProduceResponse>(last);
    world.check(&mut sim);
    sim.run_for(1000);
    sim.check_all_answered();
}

#[test]
fn nothing_is_lost_doubled_or_left_waiting() {
    for seed in seeds(15) {
        live_and_die(seed);
    }
}

use chronik_model::rng::Rng;
use chronik_protocol::messages::{HeartbeatRequest, HeartbeatResponse, encode_response};

use super::*;

const HEARTBEAT: (ApiKey, i16) = (ApiKey::Heartbeat, 4);

/// A connection that stands, and what it has done so far.
struct Bench {
    connection: Connection<u32>,
    dice: Dice,
    out: ActorOutputs,
    now: Mono,
}

impl Bench {
    fn open() -> Self {
        let mut connection = Connection::new(Habits {
            index: 1,
            of: 2,
            broker: BrokerId(0),
            timeout: 100 * MS,
        });
        connection.open_at(Mono(0));
        let mut bench = Self {
            connection,
            dice: Dice::new(Rng::new(1)),
            out: ActorOutputs::default(),
            now: Mono(0),
        };
        assert!(bench.take(&ActorInput::Tick).is_empty());
        let [LinkOp::Open(Link(1), BrokerId(0))] = bench.out.links[..] else {
            panic!("{:?}", bench.out.links);
        };
        assert!(matches!(
            bench.take(&ActorInput::Opened(Link(1)))[..],
            [Event::Opened]
        ));
        bench
    }

    fn take(&mut self, input: &ActorInput) -> Vec<Event<u32>> {
        let chance = (self.now, &mut self.dice);
        self.connection.step(chance, input, &mut self.out)
    }

    fn ask(&mut self, about: u32) {
        let request = HeartbeatRequest::default();
        let now = self.now;
        self.connection
            .send(now, HEARTBEAT, &request, about, &mut self.out);
    }
}

fn reply(correlation_id: i32, error_code: i16) -> Bytes {
    let response = HeartbeatResponse::default().with_error_code(error_code);
    encode_response(1, correlation_id, HEARTBEAT.1, &response).unwrap()
}

#[test]
fn replies_are_put_together_from_any_cuts() {
    let bytes: Vec<u8> = (0..3)
        .zip(10..)
        .flat_map(|(id, code)| reply(id, code))
        .collect();
    for step in 1..=bytes.len() {
        let mut bench = Bench::open();
        (0..3).for_each(|about| bench.ask(about));
        let mut seen = Vec::new();
        for piece in bytes.chunks(step) {
            let piece = Bytes::copy_from_slice(piece);
            for event in bench.take(&ActorInput::Received(Link(1), piece)) {
                let Event::Reply(reply) = event else {
                    panic!("{event:?}");
                };
                let response: HeartbeatResponse = reply.decode().unwrap();
                seen.push((reply.about, response.error_code));
            }
        }
        assert_eq!(seen, [(0, 10), (1, 11), (2, 12)], "in steps of {step}");
        assert_eq!(bench.connection.in_flight(), 0);
    }
}

#[test]
fn a_reply_out_of_turn_breaks_the_connection() {
    let mut bench = Bench::open();
    (0..2).for_each(|about| bench.ask(about));
    let events = bench.take(&ActorInput::Received(Link(1), reply(1, 0)));
    let [Event::Broken(_), Event::Lost(lost)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(lost, &[0, 1]);
    assert!(matches!(
        bench.out.links.last(),
        Some(LinkOp::Close(Link(1)))
    ));
}

#[test]
fn what_is_not_answered_in_time_is_lost_and_a_new_link_opens() {
    let mut bench = Bench::open();
    bench.ask(7);
    assert_eq!(bench.connection.deadline(), Some(Mono(100 * MS)));
    bench.now = Mono(100 * MS);
    let events = bench.take(&ActorInput::Tick);
    assert!(matches!(&events[..], [Event::Lost(lost)] if lost == &[7]));
    let wakes = bench.connection.deadline().unwrap();
    assert!(wakes > bench.now && wakes <= Mono(bench.now.0 + FIRST_BACKOFF));
    bench.now = wakes;
    bench.take(&ActorInput::Tick);
    assert!(matches!(
        bench.out.links.last(),
        Some(LinkOp::Open(Link(3), _))
    ));
    // What still comes from the old link is nothing.
    assert!(
        bench
            .take(&ActorInput::Received(Link(1), reply(0, 0)))
            .is_empty()
    );
    assert!(bench.take(&ActorInput::Lost(Link(1))).is_empty());
}

#[test]
fn waits_grow_until_something_is_answered() {
    let mut bench = Bench::open();
    let mut waits = Vec::new();
    for _ in 0..8 {
        let link = bench.connection.link;
        bench.take(&ActorInput::Lost(link));
        let wakes = bench.connection.deadline().unwrap();
        waits.push(wakes.0 - bench.now.0);
        bench.now = wakes;
        bench.take(&ActorInput::Tick);
    }
    assert!(waits[0] <= FIRST_BACKOFF);
    assert!(waits[7] >= FIRST_BACKOFF << (MOST_DOUBLINGS - 1));
    assert!(
        waits
            .iter()
            .all(|wait| *wait <= FIRST_BACKOFF << MOST_DOUBLINGS)
    );
}

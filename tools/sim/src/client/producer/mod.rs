//! Producers. An idempotent one sends the same batch again until it knows its fate, up to five
//! batches of a partition at a time; a plain one may write a batch twice; one without acknowledgement
//! never knows.

mod doomed;
mod lane;
mod verdict;

use chronik_model::batch::ProducerState;
use chronik_model::{Mono, ProducerEpoch, ProducerId};
use chronik_protocol::ApiKey;
use chronik_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use chronik_protocol::messages::{
    self, InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse,
};

use self::lane::{Lane, Pending};
use self::verdict::{Next, judge};
use super::catalog::Spot;
use super::connection::Reply;
use super::desk::{Desk, News, Terms};
use super::dice::{Dice, MS};
use super::values::BatchStyle;
use crate::actor::{Actor, ActorInput, ActorOutputs};
use crate::history::{End, Fact, OpId, Safety, Value};

/// What kind of producer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With a producer id, and retries that write nothing twice.
    Idempotent,
    /// Retries may write twice; `acks` as given.
    Plain {
        /// 1 or -1.
        acks: i16,
    },
    /// `acks=0`.
    FireAndForget,
}

/// What a request is about.
#[derive(Debug)]
enum About {
    ProducerId,
    /// The batches in it, in its order.
    Batches(Vec<(Spot, OpId)>),
}

/// Habits that a producer keeps.
#[derive(Debug)]
struct Manner {
    style: BatchStyle,
    version: (ApiKey, i16),
    /// Requests in flight.
    most_in_flight: usize,
    /// Partitions of one request.
    most_parts: usize,
    /// `timeout_ms` of the request.
    timeout_ms: i32,
    /// How long a batch is sent again and again.
    delivery_ns: u64,
    /// What the clock of the client shows at world time 0.
    wall_start_ms: i64,
    /// Of a thousand pauses, those in which it closes and begins anew.
    restless: u64,
    /// Whether it goes on with its id under the next epoch where a sequence has a gap.
    bumps: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Producer {
    kind: Kind,
    desk: Desk<About>,
    manner: Manner,
    producer_id: Option<(i64, i16)>,
    asked_for_id: bool,
    lanes: Vec<Lane>,
    /// When the next new batch is made.
    next_at: Mono,
    /// When batches are sent again.
    retry_at: Option<Mono>,
}

impl Producer {
    /// A producer with manners of its own. `wall_start_ms` is what its clock shows at world time 0.
    #[must_use]
    pub fn new(terms: Terms, kind: Kind, wall_start_ms: i64, dice: Dice) -> Self {
        let mut desk = Desk::new(terms, dice);
        let dice = &mut desk.dice;
        let version = desk.versions.from(ApiKey::Produce, FIRST_WITH_BATCHES);
        let manner = Manner {
            style: BatchStyle::draw(dice, version.1 >= FIRST_WITH_ZSTD),
            version,
            most_in_flight: dice.pick(&[1, 2, 5, 5]),
            most_parts: dice.pick(&[1, 2, 4]),
            timeout_ms: dice.pick(&[30_000, 30_000, 1_000, 20]),
            delivery_ns: dice.pick(&[4_000, 15_000, 30_000]) * MS,
            wall_start_ms,
            restless: dice.pick(&[0, 0, 5, 20]),
            bumps: dice.chance(70),
        };
        let next_at = desk.dice.later(Mono(0), 0, 100);
        Self {
            kind,
            desk,
            manner,
            producer_id: None,
            asked_for_id: false,
            lanes: Vec::new(),
            next_at,
            retry_at: None,
        }
    }

    const fn acks(&self) -> i16 {
        match self.kind {
            Kind::Idempotent => -1,
            Kind::Plain { acks } => acks,
            Kind::FireAndForget => 0,
        }
    }

    const fn by_id(&self) -> bool {
        self.manner.version.1 >= FIRST_BY_ID
    }

    fn has_pending(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.pending.is_empty())
    }

    fn act(&mut self, now: Mono, out: &mut ActorOutputs) {
        self.expire(now);
        if !self.desk.is_ready() || !self.has_id(now, out) {
            return;
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            while self.has_room() && self.send_request(now, true, out) {}
        }
        if self.next_at <= now && self.desk.may_begin() {
            self.next_at = self.desk.think(now);
            if self.desk.dice.between(0, 999) < self.manner.restless {
                self.begin_anew(now, out);
            } else if self.has_room() {
                self.send_request(now, false, out);
            }
        }
        let mut pending = self.lanes.iter().flat_map(|lane| &lane.pending);
        if pending.any(|batch| !batch.in_flight) {
            self.retry_soon(now, 1, 20);
        }
    }

    fn has_room(&self) -> bool {
        self.desk.in_flight() < self.manner.most_in_flight
    }

    /// Whether the producer has an id, if it wants one; asks for it otherwise.
    fn has_id(&mut self, now: Mono, out: &mut ActorOutputs) -> bool {
        if self.kind != Kind::Idempotent || self.producer_id.is_some() {
            return true;
        }
        let is_time = self.retry_at.is_none_or(|at| at <= now);
        if is_time && !self.desk.catalog.knows_lasting() {
            // Nothing would tell whether the id is worth anything after another wipe.
            self.desk.refresh(now);
            self.retry_at = Some(self.desk.dice.later(now, 50, 200));
            return false;
        }
        if !self.asked_for_id && is_time && self.desk.may_begin() {
            self.asked_for_id = true;
            self.retry_at = None;
            let request = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(i32::MAX);
            let api = self.desk.versions.within(ApiKey::InitProducerId, 0, 5);
            self.desk.send(now, api, &request, About::ProducerId, out);
        }
        false
    }

    /// Closes in the middle of everything, and comes back as a new producer.
    fn begin_anew(&mut self, now: Mono, out: &mut ActorOutputs) {
        let at = self.desk.dice.later(now, 1, 300);
        for about in self.desk.reconnect(at, out) {
            self.lose(about, out);
        }
        self.renew();
    }

    /// Whatever is not settled stays unknown; sequences count from 0 under the next id.
    fn renew(&mut self) {
        self.producer_id = None;
        self.asked_for_id = false;
        for lane in &mut self.lanes {
            lane.begin_anew(None);
        }
    }

    /// The same where a sequence has a gap: the next epoch of an id will do as well.
    fn bump(&mut self) {
        let Some((id, epoch)) = self.producer_id.filter(|_| self.manner.bumps) else {
            return self.renew();
        };
        self.producer_id = Some((id, epoch + 1));
        for lane in &mut self.lanes {
            lane.begin_anew(Some((id, epoch)));
        }
    }

    /// Gives up batches that were tried for too long, or whose topic is gone.
    fn expire(&mut self, now: Mono) {
        let (patience, ends) = (self.manner.delivery_ns, self.desk.is_winding_down());
        let desk = &self.desk;
        let mut abandoned = false;
        for lane in &mut self.lanes {
            let gone = desk.is_ready() && !desk.catalog.is_current(&lane.spot);
            let before = lane.pending.len();
            lane.pending.retain(|batch| {
                let late = expiry(batch, patience, ends).is_some_and(|at| at <= now);
                batch.in_flight || !(gone || late)
            });
            abandoned |= lane.pending.len() != before && !gone;
        }
        self.lanes.retain(|lane| {
            !lane.pending.is_empty() || !desk.is_ready() || desk.catalog.is_current(&lane.spot)
        });
        if abandoned && self.kind == Kind::Idempotent {
            // The sequence has a gap now.
            self.bump();
        }
    }

    /// Sends what waits to be sent again, or new batches. Whether there was anything to send.
    fn send_request(&mut self, now: Mono, again: bool, out: &mut ActorOutputs) -> bool {
        let count = self.desk.dice.index(self.manner.most_parts) + 1;
        let mut chosen: Vec<(Spot, OpId)> = Vec::with_capacity(count);
        if again {
            for lane in &mut self.lanes {
                let spot = lane.spot;
                let waiting = lane.waiting().map(|batch| (spot, batch.op));
                chosen.extend(waiting.filter(|_| chosen.len() < self.manner.most_parts));
            }
        } else {
            for spot in self.draw_spots(now, count) {
                chosen.extend(self.new_batch(now, spot));
            }
        }
        if chosen.is_empty() {
            return false;
        }
        chosen.sort_unstable();
        let request = self.request(&chosen, out);
        let acks = self.acks();
        if acks == 0 {
            self.desk.post(self.manner.version, &request, out);
            self.lose(About::Batches(chosen), out);
        } else {
            let about = About::Batches(chosen);
            let api = self.manner.version;
            self.desk.send(now, api, &request, about, out);
        }
        true
    }

    /// Partitions for new batches, each once.
    fn draw_spots(&mut self, now: Mono, count: usize) -> Vec<Spot> {
        let usable = self.desk.catalog.usable(self.by_id());
        let mut spots = Vec::with_capacity(count);
        for _ in 0..count {
            let plan = self.desk.dice.pick(&usable);
            let of_topic: Vec<Spot> = self.desk.catalog.spots(plan).collect();
            if of_topic.is_empty() {
                self.desk.refresh(now);
                continue;
            }
            let spot = self.desk.dice.pick(&of_topic);
            if !spots.contains(&spot) {
                spots.push(spot);
            }
        }
        spots
    }

    fn new_batch(&mut self, now: Mono, spot: Spot) -> Option<(Spot, OpId)> {
        let index = self.lane_index(spot);
        let lane = self.lanes.get_mut(index)?;
        let waits = lane.pending.iter().any(|batch| !batch.in_flight);
        if lane.pending.len() >= MOST_PENDING || waits {
            return None;
        }
        let count = self.desk.dice.between(1, self.manner.style.records);
        let values: Vec<_> = (0..count).map(|_| self.desk.new_value()).collect();
        let lane = self.lanes.get_mut(index)?;
        let sequence = self
            .producer_id
            .map(|(id, epoch)| (id, epoch, lane.take_sequence(values.len())));
        let batch = self.batch((now, spot), values, sequence);
        let op = batch.op;
        self.lanes.get_mut(index)?.pending.push_back(batch);
        Some((spot, op))
    }

    fn batch(
        &mut self,
        (now, spot): (Mono, Spot),
        values: Vec<Value>,
        sequence: Option<(i64, i16, i32)>,
    ) -> Pending {
        let producer = sequence.map(|(id, epoch, base_sequence)| ProducerState {
            id: ProducerId(id),
            epoch: ProducerEpoch(epoch),
            base_sequence,
        });
        let plan = self.desk.catalog.topics().get(spot.plan);
        let needs_keys = plan.is_some_and(|plan| plan.compacted);
        let passed_ms = i64::try_from(now.0 / MS).unwrap_or(0);
        let stamp = (self.manner.wall_start_ms + passed_ms, producer);
        let style = self.manner.style;
        let bytes = style.write(&values, stamp, needs_keys, &mut self.desk.dice);
        Pending {
            op: self.desk.new_op(),
            values,
            bytes,
            sequence,
            attempts: 0,
            since: now,
            in_flight: false,
            failed: false,
            doomed: false,
        }
    }

    fn lane_index(&mut self, spot: Spot) -> usize {
        let found = self.lanes.iter().position(|lane| lane.spot == spot);
        found.unwrap_or_else(|| {
            self.lanes.push(Lane::new(spot));
            self.lanes.len() - 1
        })
    }

    /// Writes a request of these batches, by topic, and tells of each.
    fn request(&mut self, chosen: &[(Spot, OpId)], out: &mut ActorOutputs) -> ProduceRequest {
        let acks = self.acks();
        let mut topics = Vec::new();
        for of_topic in chosen.chunk_by(|one, other| one.0.plan == other.0.plan) {
            let mut partitions = Vec::with_capacity(of_topic.len());
            for (spot, op) in of_topic {
                let lane = self.lanes.iter_mut().find(|lane| lane.spot == *spot);
                let Some(batch) = lane.and_then(|lane| lane.find(*op)) else {
                    continue;
                };
                batch.in_flight = true;
                batch.attempts += 1;
                out.facts.push(Fact::Sent {
                    op: *op,
                    place: spot.place,
                    values: batch.values.clone(),
                    acks,
                    sequence: batch.sequence,
                });
                let mut data = PartitionProduceData::default();
                data.index = spot.place.partition;
                data.records = Some(batch.bytes.clone());
                partitions.push(data);
            }
            let mut topic = TopicProduceData::default();
            topic.partition_data = partitions;
            match of_topic.first() {
                Some((spot, _)) if self.by_id() => {
                    topic.topic_id = messages::uuid(spot.place.topic);
                }
                Some((spot, _)) => topic.name = self.desk.catalog.name(spot.plan),
                None => continue,
            }
            topics.push(topic);
        }
        ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(self.manner.timeout_ms)
            .with_topic_data(topics)
    }

    fn hear(&mut self, now: Mono, news: News<About>, out: &mut ActorOutputs) {
        match news {
            News::Learnt => {
                if self.desk.catalog.take_wiped() {
                    self.renew();
                }
                self.retry_soon(now, 0, 1);
            }
            News::Lost(abouts) => {
                for about in abouts {
                    self.lose(about, out);
                }
            }
            News::Reply(reply) => match reply.about {
                About::ProducerId => self.take_id(now, &reply, out),
                About::Batches(_) => self.take_answer(now, &reply, out),
            },
        }
    }

    fn retry_soon(&mut self, now: Mono, low_ms: u64, high_ms: u64) {
        if self.retry_at.is_none() {
            self.retry_at = Some(self.desk.dice.later(now, low_ms, high_ms));
        }
    }

    /// Nobody will say how these ended.
    fn lose(&mut self, about: About, out: &mut ActorOutputs) {
        let About::Batches(batches) = about else {
            self.asked_for_id = false;
            return;
        };
        let gives_up = self.kind == Kind::FireAndForget;
        for (spot, op) in batches {
            let end = End::Unknown;
            out.facts.push(Fact::SendEnded { op, end });
            let lane = self.lanes.iter_mut().find(|lane| lane.spot == spot);
            let Some(lane) = lane else { continue };
            match lane.find(op) {
                Some(batch) if !gives_up && !batch.doomed => batch.in_flight = false,
                Some(_) => lane.remove(op),
                None => {}
            }
        }
    }

    fn take_id(&mut self, now: Mono, reply: &Reply<About>, out: &mut ActorOutputs) {
        self.asked_for_id = false;
        let Some(response) = self.desk.read::<InitProducerIdResponse>(reply, out) else {
            return;
        };
        if response.error_code == 0 {
            let (id, epoch) = (response.producer_id.0, response.producer_epoch);
            self.producer_id = Some((id, epoch));
            out.facts.push(Fact::ProducerId {
                id,
                asked: reply.sent_at,
            });
        } else {
            self.retry_at = Some(self.desk.dice.later(now, 20, 200));
        }
    }

    fn take_answer(&mut self, now: Mono, reply: &Reply<About>, out: &mut ActorOutputs) {
        let About::Batches(batches) = &reply.about else {
            return;
        };
        let response = self.desk.read::<ProduceResponse>(reply, out);
        let answers: Vec<_> = response
            .iter()
            .flat_map(|response| &response.responses)
            .flat_map(|topic| &topic.partition_responses)
            .map(|part| (part.index, part.error_code, part.base_offset))
            .collect();
        let fits = |((spot, _), (index, ..)): (&(Spot, OpId), &(i32, i16, i64))| {
            spot.place.partition == *index
        };
        if answers.len() != batches.len() || !batches.iter().zip(&answers).all(fits) {
            let what = "Produce does not answer for what it was asked";
            out.facts.push(Fact::Protocol(what.to_owned()));
            return;
        }
        let mut broken = false;
        for ((spot, op), (_, code, base_offset)) in batches.iter().zip(answers) {
            broken |= self.settle(now, (*spot, *op), (code, base_offset), out);
        }
        if broken {
            self.bump();
        }
    }

    /// Takes the answer for one batch; whether the producer has to begin anew.
    fn settle(
        &mut self,
        now: Mono,
        (spot, op): (Spot, OpId),
        (code, base_offset): (i16, i64),
        out: &mut ActorOutputs,
    ) -> bool {
        let Some((end, next)) = judge(code, base_offset) else {
            let what = format!("Produce answers with error {code}");
            out.facts.push(Fact::Protocol(what));
            return false;
        };
        out.facts.push(Fact::SendEnded { op, end });
        let lane = self.lanes.iter_mut().find(|lane| lane.spot == spot);
        let Some(lane) = lane else { return false };
        let has_older = lane.has_older(op);
        let Some(batch) = lane.find(op) else {
            return false;
        };
        batch.in_flight = false;
        if batch.doomed {
            self.settle_doomed((spot, op), end, out);
            return false;
        }
        batch.failed |= !matches!(next, Next::Settled) && code != REQUEST_TIMED_OUT;
        match next {
            Next::Settled => {
                lane.remove(op);
                self.try_doomed(now, spot, out);
            }
            Next::Retry => {
                self.desk.refresh(now);
                self.retry_soon(now, 10, 200);
            }
            // Its turn comes once the older ones have been sent again.
            Next::Sequence if has_older => self.retry_soon(now, 0, 20),
            Next::Sequence => {
                let plan = self.desk.catalog.topics().get(spot.plan);
                let sequence = lane.find(op).and_then(|batch| batch.sequence);
                // A producer that a partition does not know may begin anywhere, so what was sent behind its
                // first batch is taken where the first itself found no space.
                let first = sequence.is_some_and(|(_, _, number)| number == 0);
                if !first && plan.is_some_and(|plan| plan.safety == Safety::Durable) {
                    let what = format!(
                        "Produce answers with error {code} where all before {sequence:?} of \
                         {:?} is acknowledged",
                        spot.place
                    );
                    out.facts.push(Fact::Protocol(what));
                }
                return true;
            }
            Next::GiveUp => {
                lane.remove(op);
                return self.kind == Kind::Idempotent;
            }
        }
        false
    }
}

impl Actor for Producer {
    fn step(&mut self, now: Mono, input: ActorInput, out: &mut ActorOutputs) {
        for news in self.desk.step(now, &input, out) {
            self.hear(now, news, out);
        }
        self.act(now, out);
        if self.is_done() {
            self.desk.close(out);
        }
    }

    fn deadline(&self) -> Option<Mono> {
        let ready = self.desk.is_ready();
        let next = Some(self.next_at).filter(|_| ready && self.desk.may_begin());
        let retry = self.retry_at.filter(|_| ready);
        let lacks_id = self.kind == Kind::Idempotent && self.producer_id.is_none();
        // Without an id there is nothing to do but to ask for one.
        let next = match (lacks_id, self.asked_for_id) {
            (false, _) => next,
            (true, false) => next.filter(|_| retry.is_none()),
            (true, true) => None,
        };
        let retry = retry.filter(|_| !lacks_id || (!self.asked_for_id && self.desk.may_begin()));
        let (patience, ends) = (self.manner.delivery_ns, self.desk.is_winding_down());
        let pending = self.lanes.iter().flat_map(|lane| &lane.pending);
        let pending = pending.filter(|batch| !batch.in_flight);
        let expiry = pending
            .filter_map(|batch| expiry(batch, patience, ends))
            .min();
        [self.desk.deadline(), next, retry, expiry]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_done(&self) -> bool {
        self.desk.is_winding_down() && !self.has_pending()
    }

    fn state(&self) -> String {
        let pending: usize = self.lanes.iter().map(|lane| lane.pending.len()).sum();
        format!(
            "{:?} producer, {} requests in flight, {pending} batches pending, ready: {}",
            self.kind,
            self.desk.in_flight(),
            self.desk.is_ready()
        )
    }

    fn operations(&self) -> u64 {
        self.desk.operations()
    }
}

/// When a batch is given up. Once all is well again that is never, if no error speaks against it.
fn expiry(batch: &Pending, patience: u64, all_is_well: bool) -> Option<Mono> {
    let at = Mono(batch.since.0 + patience);
    (batch.failed || !all_is_well).then_some(at)
}

const REQUEST_TIMED_OUT: i16 = 7;
/// First version with record batches of the one format that there is.
const FIRST_WITH_BATCHES: i16 = 3;
const FIRST_WITH_ZSTD: i16 = 7;
const FIRST_BY_ID: i16 = 13;
/// What brokers remember of an idempotent producer.
const MOST_PENDING: usize = 5;

#[cfg(test)]
mod tests;

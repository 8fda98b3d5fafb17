//! A consumer that assigns partitions itself: it reads, seeks, asks for ends, and may commit without
//! being a member.

use chronik_model::Mono;
use chronik_protocol::ApiKey;
use chronik_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use chronik_protocol::messages::{
    FetchResponse, ListOffsetsResponse, OffsetCommitResponse, OffsetDeleteResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};

use super::catalog::Spot;
use super::connection::Reply;
use super::desk::{Desk, News, Terms};
use super::dice::{Dice, MS};
use super::fetcher::{Asked, FetchManner, Fetcher, Lane, Trouble};
use super::offsets::{
    Credentials, commit_end, commit_request, forget_request, forgotten, list_request, listed,
};
use super::topics::Role;
use crate::actor::{Actor, ActorInput, ActorOutputs};
use crate::history::{Fact, OpId, Reader};

#[derive(Debug)]
enum About {
    Fetch(Asked),
    /// Where to go on, and whether it asks for the end.
    Seek(Spot, bool),
    /// The ends of partitions, for nothing but to know them.
    Ends(Vec<Spot>),
    Epoch,
    Commit(OpId),
    /// Offsets that are to be committed no longer.
    Forget(OpId),
}

/// See the module.
#[derive(Debug)]
pub struct Consumer {
    desk: Desk<About>,
    fetcher: Fetcher,
    /// Topics that it reads.
    plans: Vec<usize>,
    /// Commits as this group, of which nobody is a member.
    group: Option<u16>,
    wall_start_ms: i64,
    fetching: bool,
    next_at: Mono,
    /// Counts all seeks, so that none is taken for another.
    seeks: u32,
    /// Of a hundred steps, those that are something else than a fetch.
    fickle: u64,
}

impl Consumer {
    /// A consumer with manners of its own; it commits as `group`, if there is one.
    #[must_use]
    pub fn new(terms: Terms, group: Option<u16>, wall_start_ms: i64, dice: Dice) -> Self {
        let mut desk: Desk<About> = Desk::new(terms, dice);
        let manner = FetchManner::draw(&mut desk.dice, &desk.versions);
        let mut plans = desk.catalog.usable(manner.by_id() && group.is_none());
        let keep = desk.dice.pick(&[100, 60]);
        let dice = &mut desk.dice;
        plans.retain(|_| dice.chance(keep));
        Self {
            fetcher: Fetcher::new(manner),
            plans,
            group,
            wall_start_ms,
            fetching: false,
            next_at: desk.dice.later(Mono(0), 0, 200),
            seeks: 0,
            fickle: desk.dice.pick(&[0, 5, 20]),
            desk,
        }
    }

    fn act(&mut self, now: Mono, out: &mut ActorOutputs) {
        if !self.desk.is_ready() || self.next_at > now || !self.desk.may_begin() {
            return;
        }
        self.next_at = self.desk.think(now);
        if self.desk.dice.chance(self.fickle) && !self.fetcher.lanes.is_empty() {
            let index = self.desk.dice.index(self.fetcher.lanes.len());
            if let Some(lane) = self.fetcher.lanes.get(index).copied() {
                self.be_fickle(now, lane, out);
            }
        }
        self.fetch(now, out);
    }

    fn fetch(&mut self, now: Mono, out: &mut ActorOutputs) {
        if self.fetching {
            return;
        }
        let Some((request, asked)) = self.fetcher.request(now, &self.desk.catalog) else {
            return;
        };
        self.fetching = true;
        let manner = self.fetcher.manner;
        let patience = (now, manner.wait_ms() + 5_000);
        let about = About::Fetch(asked);
        self.desk
            .send_patiently(patience, manner.version, &request, about, out);
    }

    fn be_fickle(&mut self, now: Mono, lane: Lane, out: &mut ActorOutputs) {
        match self.desk.dice.between(0, 9) {
            0 | 1 => self.seek_to(lane.spot, 0),
            2 => {
                let target = self
                    .desk
                    .dice
                    .between(0, lane.high_watermark.unsigned_abs());
                self.seek_to(lane.spot, i64::try_from(target).unwrap_or(0));
            }
            3 => self.seek_by_timestamp(now, lane.spot, LATEST, out),
            4 => {
                let passed = self.desk.dice.between(0, now.0 / MS);
                let timestamp = self.wall_start_ms + i64::try_from(passed).unwrap_or(0);
                self.seek_by_timestamp(now, lane.spot, timestamp, out);
            }
            5 => self.ask_epoch(now, lane.spot, out),
            6 => self.ask_ends(now, out),
            7 => self.forget(now, lane.spot, out),
            _ => self.commit(now, out),
        }
    }

    fn is_lasting(&self, spot: Spot) -> bool {
        let plan = self.desk.catalog.topics().get(spot.plan);
        plan.is_some_and(|plan| plan.role == Role::Lasting)
    }

    /// Goes on elsewhere: what was read before has nothing to do with what is read then.
    fn seek_to(&mut self, spot: Spot, position: i64) {
        self.seeks += 1;
        let seek = self.seeks;
        if let Some(lane) = self.fetcher.lane_mut(spot) {
            lane.reader = Reader::Assigned { seek };
            lane.position = Some(position);
        }
    }

    fn seek_by_timestamp(&mut self, now: Mono, spot: Spot, timestamp: i64, out: &mut ActorOutputs) {
        if !self.is_lasting(spot) {
            return self.seek_to(spot, 0);
        }
        if let Some(lane) = self.fetcher.lane_mut(spot) {
            lane.position = None;
        }
        let request = list_request(timestamp, &[spot], &self.desk.catalog);
        let api = self.desk.versions.of(ApiKey::ListOffsets);
        let about = About::Seek(spot, timestamp == LATEST);
        self.desk.send(now, api, &request, about, out);
    }

    fn ask_ends(&mut self, now: Mono, out: &mut ActorOutputs) {
        let lanes = self.fetcher.lanes.iter().map(|lane| lane.spot);
        let mut spots: Vec<Spot> = lanes.filter(|spot| self.is_lasting(*spot)).collect();
        spots.sort_unstable();
        if spots.is_empty() {
            return;
        }
        let request = list_request(LATEST, &spots, &self.desk.catalog);
        let api = self.desk.versions.of(ApiKey::ListOffsets);
        self.desk.send(now, api, &request, About::Ends(spots), out);
    }

    fn ask_epoch(&mut self, now: Mono, spot: Spot, out: &mut ActorOutputs) {
        if !self.is_lasting(spot) {
            return;
        }
        let partition = OffsetForLeaderPartition::default()
            .with_partition(spot.place.partition)
            .with_leader_epoch(self.desk.dice.small(0, 3));
        let topic = OffsetForLeaderTopic::default()
            .with_topic(self.desk.catalog.name(spot.plan))
            .with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        let api = self.desk.versions.of(ApiKey::OffsetForLeaderEpoch);
        self.desk.send(now, api, &request, About::Epoch, out);
    }

    fn commit(&mut self, now: Mono, out: &mut ActorOutputs) {
        let Some(group) = self.group else { return };
        let lanes = self.fetcher.lanes.iter();
        let mut offsets: Vec<(Spot, i64)> = lanes
            .filter_map(|lane| Some((lane.spot, lane.position?)))
            .collect();
        offsets.sort_unstable();
        if offsets.is_empty() {
            return;
        }
        let op = self.desk.new_op();
        let who = Credentials::outsider();
        let api = self.desk.versions.of(ApiKey::OffsetCommit);
        let request = commit_request((group, api.1), &who, &offsets, &self.desk.catalog);
        out.facts.push(Fact::Committing {
            op,
            group,
            member: who.member,
            epoch: who.epoch,
            offsets: offsets.iter().map(|(spot, at)| (spot.place, *at)).collect(),
        });
        self.desk.send(now, api, &request, About::Commit(op), out);
    }

    /// Takes back what the group has committed for a partition.
    fn forget(&mut self, now: Mono, spot: Spot, out: &mut ActorOutputs) {
        let Some(group) = self.group else { return };
        let op = self.desk.new_op();
        let who = Credentials::outsider();
        out.facts.push(Fact::Committing {
            op,
            group,
            member: who.member,
            epoch: who.epoch,
            offsets: vec![(spot.place, -1)],
        });
        let request = forget_request(group, spot, &self.desk.catalog);
        let api = self.desk.versions.of(ApiKey::OffsetDelete);
        self.desk.send(now, api, &request, About::Forget(op), out);
    }

    fn hear(&mut self, now: Mono, news: News<About>, out: &mut ActorOutputs) {
        match news {
            News::Learnt => self.take_topics(),
            News::Lost(abouts) => {
                self.fetcher.forget_session();
                for about in abouts {
                    self.lose(about, out);
                }
            }
            News::Reply(reply) => self.take(now, &reply, out),
        }
    }

    /// Reads all partitions of its topics as they are now.
    fn take_topics(&mut self) {
        let catalog = &self.desk.catalog;
        let lanes = &mut self.fetcher.lanes;
        lanes.retain(|lane| catalog.is_current(&lane.spot));
        for plan in &self.plans {
            for spot in catalog.spots(*plan) {
                if lanes.iter().all(|lane| lane.spot != spot) {
                    self.seeks += 1;
                    let seek = self.seeks;
                    lanes.push(Lane {
                        spot,
                        reader: Reader::Assigned { seek },
                        position: Some(0),
                        high_watermark: 0,
                    });
                }
            }
        }
    }

    fn lose(&mut self, about: About, out: &mut ActorOutputs) {
        match about {
            About::Fetch(_) => self.fetching = false,
            About::Seek(spot, _) => self.seek_to(spot, 0),
            About::Commit(op) | About::Forget(op) => out.facts.push(Fact::CommitEnded {
                op,
                end: crate::history::End::Unknown,
            }),
            About::Ends(_) | About::Epoch => {}
        }
    }

    fn take(&mut self, now: Mono, reply: &Reply<About>, out: &mut ActorOutputs) {
        match &reply.about {
            About::Fetch(asked) => {
                self.fetching = false;
                let Some(response) = self.desk.read::<FetchResponse>(reply, out) else {
                    return;
                };
                let troubles = self.fetcher.take(asked, &response, &self.desk.catalog, out);
                self.mend(now, troubles, out);
            }
            About::Seek(spot, is_end) => {
                let response = self.desk.read::<ListOffsetsResponse>(reply, out);
                let found = response.map(|response| listed(&response));
                match found.as_deref() {
                    Some([(0, offset)]) => {
                        if *is_end {
                            self.note_end(*spot, reply.sent_at, *offset, out);
                        }
                        self.seek_to(*spot, (*offset).max(0));
                    }
                    Some(_) | None => self.seek_to(*spot, 0),
                }
            }
            About::Ends(spots) => {
                if let Some(response) = self.desk.read::<ListOffsetsResponse>(reply, out) {
                    for (spot, (code, offset)) in spots.iter().zip(listed(&response)) {
                        if code == 0 {
                            self.note_end(*spot, reply.sent_at, offset, out);
                        }
                    }
                }
            }
            About::Epoch => {
                self.desk.read::<OffsetForLeaderEpochResponse>(reply, out);
            }
            About::Commit(op) => {
                if let Some(response) = self.desk.read::<OffsetCommitResponse>(reply, out) {
                    note_commit(*op, &response, out);
                }
            }
            About::Forget(op) => {
                if let Some(response) = self.desk.read::<OffsetDeleteResponse>(reply, out) {
                    let (op, end) = (*op, forgotten(&response));
                    out.facts.push(Fact::CommitEnded { op, end });
                }
            }
        }
    }

    fn note_end(&self, spot: Spot, asked: Mono, end: i64, out: &mut ActorOutputs) {
        out.facts.push(Fact::EndRead {
            place: spot.place,
            asked,
            end,
        });
    }

    fn mend(&mut self, now: Mono, troubles: Vec<(Spot, Trouble)>, out: &mut ActorOutputs) {
        for (spot, trouble) in troubles {
            match trouble {
                Trouble::OutOfRange => {
                    let target = self.desk.dice.pick(&[EARLIEST, EARLIEST, LATEST]);
                    self.seek_by_timestamp(now, spot, target, out);
                }
                Trouble::Missing => self.desk.refresh(now),
                Trouble::Later(_) => {}
            }
        }
    }
}

/// Tells how a commit ended.
pub(super) fn note_commit(
    op: OpId,
    response: &OffsetCommitResponse,
    out: &mut ActorOutputs,
) -> i16 {
    match commit_end(response) {
        Ok((end, code)) => {
            out.facts.push(Fact::CommitEnded { op, end });
            code
        }
        Err(what) => {
            out.facts.push(Fact::Protocol(what));
            0
        }
    }
}

impl Actor for Consumer {
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
        let next = Some(self.next_at).filter(|_| self.desk.is_ready() && self.desk.may_begin());
        [self.desk.deadline(), next].into_iter().flatten().min()
    }

    fn is_done(&self) -> bool {
        self.desk.is_winding_down() && self.desk.in_flight() == 0
    }

    fn state(&self) -> String {
        format!(
            "consumer of {} partitions, {} requests in flight, ready: {}",
            self.fetcher.lanes.len(),
            self.desk.in_flight(),
            self.desk.is_ready()
        )
    }

    fn operations(&self) -> u64 {
        self.desk.operations()
    }
}

/// The special timestamps of ListOffsets.
pub(super) const LATEST: i64 = -1;
pub(super) const EARLIEST: i64 = -2;

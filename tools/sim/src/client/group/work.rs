//! What members of every protocol do with the partitions that they were given: find where to begin,
//! read, commit what they have read, and tell when they have them and when not.

use chronik_model::Mono;
use chronik_protocol::ApiKey;
use chronik_protocol::messages::{
    FetchResponse, ListOffsetsResponse, OffsetCommitResponse, OffsetFetchResponse,
};

use super::About;
use crate::actor::{ActorInput, ActorOutputs};
use crate::client::catalog::Spot;
use crate::client::connection::{Connection, Event, Habits, Reply};
use crate::client::consumer::{EARLIEST, note_commit};
use crate::client::desk::{Desk, Terms};
use crate::client::dice::MS;
use crate::client::fetcher::{Asked, FetchManner, Fetcher, Lane, Trouble};
use crate::client::offsets::{
    Credentials, commit_request, committed, committed_request, list_request, listed,
};
use crate::history::{End, Fact, OpId, Place, Reader};

/// A request about offsets.
#[derive(Debug)]
pub(super) enum Task {
    /// Where the group has read to.
    Committed(Vec<Spot>),
    /// Where the log of a partition that was never committed begins.
    Start(Vec<Spot>),
    Commit(OpId),
    /// A commit under a generation that is over.
    Stale(OpId),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) group: u16,
    /// Topics that the group reads.
    pub(super) plans: Vec<usize>,
    /// Who it is in the group.
    pub(super) who: Credentials,
    /// Who it was in an earlier generation, until it has tried what that is still good for.
    former: Option<Credentials>,
    fetcher: Fetcher,
    /// Fetches go over a connection of their own, so that no heartbeat waits behind them.
    data: Connection<Asked>,
    fetch_at: Mono,
    fetching: bool,
    /// Time between two commits, in ns.
    commit_ns: u64,
    commit_at: Mono,
    committing: bool,
    dirty: bool,
    /// When to ask where to begin, while that is unknown.
    positions_at: Mono,
    asking: bool,
}

impl Work {
    pub(super) fn new(
        group: u16,
        plans: Vec<usize>,
        terms: &Terms,
        desk: &mut Desk<About>,
    ) -> Self {
        let manner = FetchManner::draw(&mut desk.dice, &desk.versions);
        let mut data = Connection::new(Habits {
            index: 1,
            of: 2,
            broker: terms.broker,
            timeout: 5_000 * MS,
        });
        data.open_at(desk.dice.later(Mono(0), 0, 50));
        Self {
            group,
            plans,
            who: Credentials::outsider(),
            former: None,
            fetcher: Fetcher::new(manner),
            data,
            fetch_at: Mono(0),
            fetching: false,
            commit_ns: desk.dice.pick(&[100, 500, 2_000]) * MS,
            commit_at: Mono(0),
            committing: false,
            dirty: false,
            positions_at: Mono(0),
            asking: false,
        }
    }

    pub(super) fn operations(&self) -> u64 {
        self.data.operations()
    }

    pub(super) fn is_committing(&self) -> bool {
        self.committing
    }

    /// What it has now.
    pub(super) fn owned(&self) -> Vec<Spot> {
        let mut spots: Vec<Spot> = self.fetcher.lanes.iter().map(|lane| lane.spot).collect();
        spots.sort_unstable();
        spots
    }

    pub(super) fn owns_any(&self) -> bool {
        !self.fetcher.lanes.is_empty()
    }

    /// The member works on these from now on, and on nothing else.
    pub(super) fn own(&mut self, now: Mono, spots: &[Spot], out: &mut ActorOutputs) {
        let (group, epoch) = (self.group, self.who.epoch);
        let lanes = &mut self.fetcher.lanes;
        lanes.retain(|lane| spots.contains(&lane.spot));
        for spot in spots {
            if lanes.iter().any(|lane| lane.spot == *spot) {
                continue;
            }
            lanes.push(Lane {
                spot: *spot,
                reader: Reader::Member { group, epoch },
                position: None,
                high_watermark: 0,
            });
        }
        self.positions_at = now;
        out.facts.push(Fact::Owns {
            group,
            member: self.who.member.clone(),
            epoch,
            places: places(spots),
        });
    }

    /// The member stops working on some, or on all.
    pub(super) fn give_up(&mut self, spots: Option<&[Spot]>, out: &mut ActorOutputs) {
        if !self.owns_any() {
            return;
        }
        let lanes = &mut self.fetcher.lanes;
        lanes.retain(|lane| spots.is_some_and(|gone| !gone.contains(&lane.spot)));
        out.facts.push(Fact::GivesUp {
            group: self.group,
            member: self.who.member.clone(),
            places: spots.map(places),
        });
    }

    /// The member is one of a new generation.
    pub(super) fn enter(&mut self, who: Credentials) {
        let before = std::mem::replace(&mut self.who, who);
        if before.member == self.who.member && (0..self.who.epoch).contains(&before.epoch) {
            self.former = Some(before);
        }
    }

    /// Commits as the member that it was, as one does that has not heard of the new generation. Of use
    /// only where the coordinator is known to have the new one on disk.
    pub(super) fn commit_stale(
        &mut self,
        now: Mono,
        desk: &mut Desk<About>,
        out: &mut ActorOutputs,
    ) {
        let known = self.fetcher.lanes.iter();
        let known = known.filter_map(|lane| Some((lane.spot, lane.position?)));
        let mut offsets: Vec<(Spot, i64)> = known.collect();
        if offsets.is_empty() || !desk.is_ready() {
            return;
        }
        let Some(former) = self.former.take() else {
            return;
        };
        if former.member != self.who.member || former.epoch >= self.who.epoch {
            return;
        }
        offsets.sort_unstable();
        let op = desk.new_op();
        self.send_commit((now, &former), (op, &offsets), Task::Stale(op), (desk, out));
    }

    /// Reads, commits, and finds out where to begin.
    pub(super) fn act(&mut self, now: Mono, desk: &mut Desk<About>, out: &mut ActorOutputs) {
        if !self.owns_any() {
            return;
        }
        if desk.is_ready() {
            if self.positions_at <= now {
                self.ask_positions(now, desk, out);
            }
            if self.commit_at <= now {
                self.commit_at = Mono(now.0 + self.commit_ns);
                self.commit(now, desk, out);
            }
        }
        let may_fetch = desk.is_ready() && desk.may_begin() && self.data.is_open();
        if may_fetch && !self.fetching && self.fetch_at <= now {
            self.fetch_at = desk.think(now);
            self.fetch(now, desk, out);
        }
    }

    fn fetch(&mut self, now: Mono, desk: &Desk<About>, out: &mut ActorOutputs) {
        let Some((request, asked)) = self.fetcher.request(now, &desk.catalog) else {
            return;
        };
        self.fetching = true;
        let version = self.fetcher.manner.version;
        self.data.send(now, version, &request, asked, out);
    }

    fn ask_positions(&mut self, now: Mono, desk: &mut Desk<About>, out: &mut ActorOutputs) {
        let unknown = self.fetcher.lanes.iter();
        let unknown = unknown.filter(|lane| lane.position.is_none());
        let mut spots: Vec<Spot> = unknown.map(|lane| lane.spot).collect();
        if spots.is_empty() || self.asking {
            return;
        }
        spots.sort_unstable();
        self.asking = true;
        let api = desk.versions.of(ApiKey::OffsetFetch);
        let member = self.is_new_protocol().then_some(&self.who);
        let request = committed_request((self.group, api.1), member, &spots, &desk.catalog);
        let about = About::Work(Task::Committed(spots));
        desk.send(now, api, &request, about, out);
    }

    /// Commits what was read; whether there was anything to commit.
    pub(super) fn commit(
        &mut self,
        now: Mono,
        desk: &mut Desk<About>,
        out: &mut ActorOutputs,
    ) -> bool {
        if self.committing || !self.dirty || !desk.is_ready() {
            return false;
        }
        let lanes = self.fetcher.lanes.iter();
        let mut offsets: Vec<(Spot, i64)> = lanes
            .filter_map(|lane| Some((lane.spot, lane.position?)))
            .collect();
        if offsets.is_empty() {
            return false;
        }
        offsets.sort_unstable();
        self.dirty = false;
        self.committing = true;
        let op = desk.new_op();
        let who = self.who.clone();
        self.send_commit((now, &who), (op, &offsets), Task::Commit(op), (desk, out));
        true
    }

    fn send_commit(
        &self,
        (now, who): (Mono, &Credentials),
        (op, offsets): (OpId, &[(Spot, i64)]),
        task: Task,
        (desk, out): (&mut Desk<About>, &mut ActorOutputs),
    ) {
        // Members of the new protocol are known by epochs, which came with v9.
        let oldest = if who.instance.is_some() { 7 } else { 0 };
        let oldest = if self.is_new_protocol() { 9 } else { oldest };
        let api = desk.versions.from(ApiKey::OffsetCommit, oldest);
        let request = commit_request((self.group, api.1), who, offsets, &desk.catalog);
        out.facts.push(Fact::Committing {
            op,
            group: self.group,
            member: who.member.clone(),
            epoch: who.epoch,
            offsets: offsets.iter().map(|(spot, at)| (spot.place, *at)).collect(),
        });
        desk.send(now, api, &request, About::Work(task), out);
    }

    fn is_new_protocol(&self) -> bool {
        super::is_new_protocol(self.group)
    }

    pub(super) fn lose(&mut self, task: &Task, out: &mut ActorOutputs) {
        match task {
            Task::Committed(_) | Task::Start(_) => self.asking = false,
            Task::Commit(op) => {
                self.committing = false;
                self.dirty = true;
                let (op, end) = (*op, End::Unknown);
                out.facts.push(Fact::CommitEnded { op, end });
            }
            Task::Stale(op) => {
                let (op, end) = (*op, End::Unknown);
                out.facts.push(Fact::CommitEnded { op, end });
            }
        }
    }

    /// Takes an answer about offsets; returns the error of a commit.
    pub(super) fn take(
        &mut self,
        now: Mono,
        (task, reply): (&Task, &Reply<About>),
        desk: &mut Desk<About>,
        out: &mut ActorOutputs,
    ) -> Option<i16> {
        match task {
            Task::Committed(spots) => {
                self.asking = false;
                self.positions_at = desk.dice.later(now, 20, 100);
                if let Some(response) = desk.read::<OffsetFetchResponse>(reply, out)
                    && let Ok(offsets) = committed(&response, spots, &desk.catalog)
                {
                    self.begin_at(now, (spots, &offsets), desk, out);
                    out.facts.push(Fact::CommitsRead {
                        group: self.group,
                        asked: reply.sent_at,
                        offsets,
                    });
                }
                None
            }
            Task::Start(spots) => {
                self.asking = false;
                let response = desk.read::<ListOffsetsResponse>(reply, out)?;
                for (spot, (code, offset)) in spots.iter().zip(listed(&response)) {
                    let lane = self.fetcher.lane_mut(*spot);
                    if let Some(lane) = lane.filter(|it| it.position.is_none() && code == 0) {
                        lane.position = Some(offset);
                    }
                }
                None
            }
            Task::Commit(op) => {
                self.committing = false;
                let response = desk.read::<OffsetCommitResponse>(reply, out)?;
                Some(note_commit(*op, &response, out))
            }
            Task::Stale(op) => {
                let response = desk.read::<OffsetCommitResponse>(reply, out)?;
                if note_commit(*op, &response, out) == 0 {
                    let what = "a member commits under a generation that is over";
                    out.facts.push(Fact::Protocol(what.to_owned()));
                }
                None
            }
        }
    }

    fn begin_at(
        &mut self,
        now: Mono,
        (spots, offsets): (&[Spot], &[(Place, i64)]),
        desk: &mut Desk<About>,
        out: &mut ActorOutputs,
    ) {
        let mut fresh = Vec::new();
        for spot in spots {
            let Some(lane) = self.fetcher.lane_mut(*spot) else {
                continue;
            };
            let offset = offsets.iter().find(|(place, _)| *place == spot.place);
            match offset {
                Some((_, offset)) if *offset >= 0 => lane.position = Some(*offset),
                Some(_) | None => fresh.push(*spot),
            }
        }
        self.find_start(now, fresh, desk, out);
    }

    /// Asks where the logs begin.
    fn find_start(
        &mut self,
        now: Mono,
        spots: Vec<Spot>,
        desk: &mut Desk<About>,
        out: &mut ActorOutputs,
    ) {
        if spots.is_empty() || self.asking {
            return;
        }
        self.asking = true;
        let request = list_request(EARLIEST, &spots, &desk.catalog);
        let api = desk.versions.of(ApiKey::ListOffsets);
        let about = About::Work(Task::Start(spots));
        desk.send(now, api, &request, about, out);
    }

    /// Takes an input of the actor that may concern the connection for fetches.
    pub(super) fn step(
        &mut self,
        now: Mono,
        input: &ActorInput,
        desk: &mut Desk<About>,
        out: &mut ActorOutputs,
    ) {
        for event in self.data.step((now, &mut desk.dice), input, out) {
            match event {
                Event::Opened => {}
                Event::Lost(_) => {
                    self.fetching = false;
                    self.fetcher.forget_session();
                }
                Event::Broken(what) => out.facts.push(Fact::Protocol(what)),
                Event::Reply(reply) => {
                    self.fetching = false;
                    match reply.decode::<FetchResponse>() {
                        Ok(response) => self.take_records(now, &reply, &response, desk, out),
                        Err(what) => out.facts.push(Fact::Protocol(what)),
                    }
                }
            }
        }
    }

    fn take_records(
        &mut self,
        now: Mono,
        reply: &Reply<Asked>,
        response: &FetchResponse,
        desk: &mut Desk<About>,
        out: &mut ActorOutputs,
    ) {
        let (asked, catalog) = (&reply.about, &desk.catalog);
        let before: Vec<Option<i64>> = self.fetcher.lanes.iter().map(|it| it.position).collect();
        let troubles = self.fetcher.take(asked, response, catalog, out);
        let after = self.fetcher.lanes.iter().map(|it| it.position);
        self.dirty |= !before.into_iter().eq(after);
        for (spot, trouble) in troubles {
            match trouble {
                Trouble::Later(_) => {}
                Trouble::Missing => desk.refresh(now),
                Trouble::OutOfRange if desk.is_ready() => {
                    if let Some(lane) = self.fetcher.lane_mut(spot) {
                        lane.position = None;
                    }
                    self.find_start(now, vec![spot], desk, out);
                }
                Trouble::OutOfRange => {}
            }
        }
    }

    pub(super) fn deadline(&self, desk: &Desk<About>) -> Option<Mono> {
        let mut wanted = vec![self.data.deadline()];
        if self.owns_any() && desk.is_ready() {
            let unknown = self.fetcher.lanes.iter().any(|it| it.position.is_none());
            let fetches = desk.may_begin() && self.data.is_open() && !self.fetching;
            wanted.push(Some(self.positions_at).filter(|_| unknown && !self.asking));
            wanted.push(Some(self.commit_at).filter(|_| self.dirty && !self.committing));
            wanted.push(Some(self.fetch_at).filter(|_| fetches));
        }
        wanted.into_iter().flatten().min()
    }

    /// The process dies: its connection closes, and it forgets where it was.
    pub(super) fn restart(&mut self, at: Mono, out: &mut ActorOutputs) {
        self.give_up(None, out);
        self.close(out);
        self.data.open_at(at);
    }

    /// Hangs up for good.
    pub(super) fn close(&mut self, out: &mut ActorOutputs) {
        self.data.close(out);
        self.fetcher.forget_session();
        self.fetching = false;
        self.dirty = false;
    }
}

fn places(spots: &[Spot]) -> Vec<Place> {
    spots.iter().map(|spot| spot.place).collect()
}

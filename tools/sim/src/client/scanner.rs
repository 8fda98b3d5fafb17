//! Reads every partition whole when all is over.

use std::collections::{BTreeMap, BTreeSet};

use chronik_model::Mono;
use chronik_protocol::ApiKey;
use chronik_protocol::messages::{FetchResponse, ListOffsetsResponse};

use super::catalog::Spot;
use super::connection::Reply;
use super::desk::{Desk, News, Terms};
use super::dice::Dice;
use super::fetcher::{Asked, FetchManner, Fetcher, Lane, Trouble};
use super::offsets::{list_request, listed};
use crate::actor::{Actor, ActorInput, ActorOutputs};
use crate::history::{Fact, Reader, Value};

#[derive(Debug)]
enum About {
    Start(Vec<Spot>),
    Fetch(Asked),
}

/// What was found of one partition.
#[derive(Debug, Default)]
struct Contents {
    log_start: i64,
    records: Vec<(i64, Value)>,
}

/// See the module. It begins at its first tick, and is done when all is read.
#[derive(Debug)]
pub struct Scanner {
    desk: Desk<About>,
    fetcher: Fetcher,
    /// Partitions that are not read to their end.
    unread: BTreeMap<Spot, Contents>,
    scanned: BTreeSet<Spot>,
    begun: bool,
    /// How often it began again from the log starts.
    restarts: u32,
    finished: bool,
    /// Sends nothing before.
    pause_until: Mono,
    /// What kept it from reading last.
    trouble: Option<(Spot, Trouble)>,
    /// How often a partition could not be read.
    failures: BTreeMap<Spot, u32>,
}

impl Scanner {
    /// Whoever begins after the last writer has ended sees everything that is left.
    #[must_use]
    pub fn new(terms: Terms, dice: Dice) -> Self {
        let desk: Desk<About> = Desk::new(terms, dice);
        let manner = FetchManner::greedy(&desk.versions);
        Self {
            desk,
            fetcher: Fetcher::new(manner),
            unread: BTreeMap::new(),
            scanned: BTreeSet::new(),
            begun: false,
            restarts: 0,
            finished: false,
            pause_until: Mono(0),
            trouble: None,
            failures: BTreeMap::new(),
        }
    }

    fn act(&mut self, now: Mono, out: &mut ActorOutputs) {
        if self.finished
            || !self.desk.is_ready()
            || self.desk.in_flight() > 0
            || self.pause_until > now
        {
            return;
        }
        if !self.begun {
            return self.begin(now, out);
        }
        let manner = self.fetcher.manner;
        match self.fetcher.request(now, &self.desk.catalog) {
            Some((request, asked)) => {
                let about = About::Fetch(asked);
                self.desk.send(now, manner.version, &request, about, out);
            }
            None => self.finished = true,
        }
    }

    /// Partitions start where the log does, which may have been cut.
    fn begin(&mut self, now: Mono, out: &mut ActorOutputs) {
        let catalog = &self.desk.catalog;
        let plans = 0..catalog.topics().all().len();
        let spots = plans.flat_map(|plan| catalog.spots(plan));
        let spots: Vec<Spot> = spots.filter(|spot| !self.scanned.contains(spot)).collect();
        if spots.is_empty() {
            self.finished = true;
            return;
        }
        let request = list_request(EARLIEST, &spots, catalog);
        let api = self.desk.versions.of(ApiKey::ListOffsets);
        self.desk.send(now, api, &request, About::Start(spots), out);
    }

    fn take_start(&mut self, spots: &[Spot], found: &[(i16, i64)]) {
        if found.len() != spots.len() || found.iter().any(|(code, _)| *code != 0) {
            return;
        }
        self.begun = true;
        for (spot, (_, log_start)) in spots.iter().zip(found) {
            let contents = Contents {
                log_start: *log_start,
                records: Vec::new(),
            };
            self.unread.insert(*spot, contents);
            self.fetcher.lanes.push(Lane {
                spot: *spot,
                reader: Reader::Assigned {
                    seek: self.restarts,
                },
                position: Some(*log_start),
                high_watermark: -1,
            });
        }
    }

    fn take(&mut self, now: Mono, reply: &Reply<About>, out: &mut ActorOutputs) {
        match &reply.about {
            About::Start(spots) => {
                if let Some(response) = self.desk.read::<ListOffsetsResponse>(reply, out) {
                    self.take_start(spots, &listed(&response));
                }
                if !self.begun {
                    self.pause_until = self.desk.dice.later(now, 50, 100);
                    self.desk.refresh(now);
                }
            }
            About::Fetch(asked) => {
                if let Some(response) = self.desk.read::<FetchResponse>(reply, out) {
                    self.take_records(now, asked, &response, out);
                }
            }
        }
    }

    fn take_records(
        &mut self,
        now: Mono,
        asked: &Asked,
        response: &FetchResponse,
        out: &mut ActorOutputs,
    ) {
        let mut seen = ActorOutputs::default();
        let catalog = &self.desk.catalog;
        let troubles = self.fetcher.take(asked, response, catalog, &mut seen);
        for fact in seen.facts {
            if let Fact::Read { place, records, .. } = &fact {
                let found = self
                    .unread
                    .iter_mut()
                    .find(|(spot, _)| spot.place == *place);
                if let Some((_, contents)) = found {
                    contents.records.extend_from_slice(records);
                }
            }
            out.facts.push(fact);
        }
        for (spot, trouble) in troubles {
            self.trouble = Some((spot, trouble));
            self.pause_until = self.desk.dice.later(now, 20, 50);
            if trouble == Trouble::OutOfRange {
                // Retention has moved the start.
                self.start_again();
            }
            self.count_failure(spot);
        }
        self.finish_read(out);
    }

    /// What stays unreadable is never told as scanned, which is for others to judge.
    fn count_failure(&mut self, spot: Spot) {
        let failures = self.failures.entry(spot).or_default();
        *failures += 1;
        if *failures >= MOST_FAILURES {
            self.scanned.insert(spot);
            self.unread.remove(&spot);
            self.fetcher.lanes.retain(|lane| lane.spot != spot);
        }
    }

    fn start_again(&mut self) {
        self.restarts += 1;
        self.begun = false;
        self.fetcher.lanes.clear();
        self.unread.clear();
    }

    /// Tells of partitions that are read to their end.
    fn finish_read(&mut self, out: &mut ActorOutputs) {
        let (unread, scanned) = (&mut self.unread, &mut self.scanned);
        self.fetcher.lanes.retain(|lane| {
            let at_end = lane.high_watermark >= 0 && lane.position >= Some(lane.high_watermark);
            if !at_end {
                return true;
            }
            scanned.insert(lane.spot);
            if let Some(contents) = unread.remove(&lane.spot) {
                out.facts.push(Fact::Scanned {
                    place: lane.spot.place,
                    log_start: contents.log_start,
                    high_watermark: lane.high_watermark,
                    records: contents.records,
                });
            }
            false
        });
    }
}

impl Actor for Scanner {
    fn step(&mut self, now: Mono, input: ActorInput, out: &mut ActorOutputs) {
        for news in self.desk.step(now, &input, out) {
            match news {
                News::Reply(reply) => self.take(now, &reply, out),
                News::Learnt | News::Lost(_) => {}
            }
        }
        self.act(now, out);
        if self.finished {
            self.desk.close(out);
        }
    }

    fn deadline(&self) -> Option<Mono> {
        let waits = !self.finished && self.desk.is_ready() && self.desk.in_flight() == 0;
        let next = waits.then_some(self.pause_until);
        [self.desk.deadline(), next].into_iter().flatten().min()
    }

    fn is_done(&self) -> bool {
        self.finished
    }

    fn state(&self) -> String {
        format!(
            "scanner, {} partitions unread, ready: {}, last trouble: {:?}",
            self.unread.len(),
            self.desk.is_ready(),
            self.trouble
        )
    }

    fn operations(&self) -> u64 {
        self.desk.operations()
    }
}

const EARLIEST: i64 = -2;
/// A partition whose bytes are damaged stays unreadable.
const MOST_FAILURES: u32 = 40;

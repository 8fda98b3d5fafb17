//! Reading partitions from positions on, as consumers of all kinds do it: one Fetch at a time, with
//! or without a session.

use chronik_model::compression::Decompressor;
use chronik_model::{Mono, TopicId};
use chronik_protocol::ApiKey;
use chronik_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use chronik_protocol::messages::fetch_response::PartitionData;
use chronik_protocol::messages::{self, FetchRequest, FetchResponse};

use super::catalog::{Catalog, Spot};
use super::dice::Dice;
use super::values::read_records;
use super::versions::Versions;
use crate::actor::ActorOutputs;
use crate::history::{Fact, Reader};

/// A partition that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Which it is.
    pub spot: Spot,
    /// On whose account.
    pub reader: Reader,
    /// The next offset; none until it is known where to begin.
    pub position: Option<i64>,
    /// The last high watermark that came.
    pub high_watermark: i64,
}

/// How a consumer fetches.
#[derive(Debug, Clone, Copy)]
pub struct FetchManner {
    /// API and version.
    pub(crate) version: (ApiKey, i16),
    max_wait_ms: i32,
    min_bytes: i32,
    max_bytes: i32,
    partition_bytes: i32,
    has_session: bool,
    isolation_level: i8,
}

impl FetchManner {
    /// Draws a manner.
    #[must_use]
    pub fn draw(dice: &mut Dice, versions: &Versions) -> Self {
        let version = versions.of(ApiKey::Fetch);
        Self {
            version,
            max_wait_ms: dice.pick(&[0, 20, 100, 500]),
            min_bytes: dice.pick(&[0, 1, 1, 1, 1_000]),
            max_bytes: dice.pick(&[1, 2_000, 50 << 20, 50 << 20]),
            partition_bytes: dice.pick(&[1, 1_000, 1 << 20, 1 << 20]),
            has_session: version.1 >= FIRST_WITH_SESSIONS && dice.chance(50),
            isolation_level: dice.pick(&[0, 0, 1]),
        }
    }

    /// Reads everything as fast as it can.
    #[must_use]
    pub fn greedy(versions: &Versions) -> Self {
        Self {
            version: versions.from(ApiKey::Fetch, FIRST_BY_ID),
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: 50 << 20,
            partition_bytes: 1 << 20,
            has_session: false,
            isolation_level: 0,
        }
    }

    /// Whether topics are named by id.
    #[must_use]
    pub const fn by_id(&self) -> bool {
        self.version.1 >= FIRST_BY_ID
    }

    /// Most ms that the broker keeps a fetch.
    #[must_use]
    pub fn wait_ms(&self) -> u64 {
        u64::from(self.max_wait_ms.unsigned_abs())
    }
}

/// What a Fetch in flight asked for.
#[derive(Debug)]
pub struct Asked {
    at: Mono,
    lanes: Vec<Lane>,
}

/// Why a partition gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The position is outside of the log.
    OutOfRange,
    /// The topic is not there, or not known to be there.
    Missing,
    /// Records can not be read at the moment, with this code.
    Later(i16),
}

#[derive(Debug)]
struct Session {
    id: i32,
    epoch: i32,
    /// What the broker knows: partition and position.
    told: Vec<(Spot, i64)>,
}

/// See the module.
#[derive(Debug)]
pub struct Fetcher {
    /// How it fetches.
    pub(crate) manner: FetchManner,
    /// What it reads.
    pub(crate) lanes: Vec<Lane>,
    session: Option<Session>,
    scratch: Decompressor,
}

impl Fetcher {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(manner: FetchManner) -> Self {
        Self {
            manner,
            lanes: Vec::new(),
            session: None,
            scratch: Decompressor::new(),
        }
    }

    /// One of the partitions.
    pub fn lane_mut(&mut self, spot: Spot) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.spot == spot)
    }

    /// The broker has forgotten sessions, or may have.
    pub fn forget_session(&mut self) {
        self.session = None;
    }

    /// A Fetch for all partitions whose position is known; none where there is no such partition.
    pub fn request(&mut self, now: Mono, catalog: &Catalog) -> Option<(FetchRequest, Asked)> {
        self.lanes.sort_unstable_by_key(|lane| lane.spot);
        let ready = self.lanes.iter().filter(|lane| lane.position.is_some());
        let ready: Vec<Lane> = ready.copied().collect();
        if ready.is_empty() {
            return None;
        }
        let manner = self.manner;
        let mut request = FetchRequest::default()
            .with_max_wait_ms(manner.max_wait_ms)
            .with_min_bytes(manner.min_bytes)
            .with_max_bytes(manner.max_bytes)
            .with_isolation_level(manner.isolation_level);
        let wanted: Vec<(Spot, i64)> = ready
            .iter()
            .filter_map(|lane| Some((lane.spot, lane.position?)))
            .collect();
        let (news, gone) = self.session_part(&mut request, wanted);
        request.topics = self.topics(&news, catalog);
        request.forgotten_topics_data = self.forgotten(&gone, catalog);
        Some((
            request,
            Asked {
                at: now,
                lanes: ready,
            },
        ))
    }

    /// What of the wanted partitions has to be named, and which are no longer wanted.
    fn session_part(
        &mut self,
        request: &mut FetchRequest,
        wanted: Vec<(Spot, i64)>,
    ) -> (Vec<(Spot, i64)>, Vec<Spot>) {
        if !self.manner.has_session {
            return (wanted, Vec::new());
        }
        let Some(session) = &mut self.session else {
            request.session_epoch = 0;
            self.session = Some(Session {
                id: 0,
                epoch: 0,
                told: wanted.clone(),
            });
            return (wanted, Vec::new());
        };
        request.session_id = session.id;
        request.session_epoch = session.epoch;
        let told = std::mem::replace(&mut session.told, wanted.clone());
        let is_wanted = |spot: &Spot| wanted.iter().any(|(it, _)| it == spot);
        let gone = told.iter().map(|(spot, _)| *spot);
        let gone = gone.filter(|spot| !is_wanted(spot)).collect();
        let news = wanted.iter().filter(|it| !told.contains(it));
        (news.copied().collect(), gone)
    }

    fn topics(&self, wanted: &[(Spot, i64)], catalog: &Catalog) -> Vec<FetchTopic> {
        let of_topic = wanted.chunk_by(|one, other| one.0.place.topic == other.0.place.topic);
        let topics = of_topic.filter_map(|parts| {
            let first = parts.first()?.0;
            let partitions = parts.iter().map(|(spot, position)| {
                FetchPartition::default()
                    .with_partition(spot.place.partition)
                    .with_fetch_offset(*position)
                    .with_partition_max_bytes(self.manner.partition_bytes)
            });
            let topic = FetchTopic::default().with_partitions(partitions.collect());
            Some(if self.manner.by_id() {
                topic.with_topic_id(messages::uuid(first.place.topic))
            } else {
                topic.with_topic(catalog.name(first.plan))
            })
        });
        topics.collect()
    }

    fn forgotten(&self, gone: &[Spot], catalog: &Catalog) -> Vec<ForgottenTopic> {
        let of_topic = gone.chunk_by(|one, other| one.place.topic == other.place.topic);
        let topics = of_topic.filter_map(|parts| {
            let first = parts.first()?;
            let partitions = parts.iter().map(|spot| spot.place.partition);
            let topic = ForgottenTopic::default().with_partitions(partitions.collect());
            Some(if self.manner.by_id() {
                topic.with_topic_id(messages::uuid(first.place.topic))
            } else {
                topic.with_topic(catalog.name(first.plan))
            })
        });
        topics.collect()
    }

    /// Takes the answer: positions go on, records are told, and what gave nothing is returned.
    pub fn take(
        &mut self,
        asked: &Asked,
        response: &FetchResponse,
        catalog: &Catalog,
        out: &mut ActorOutputs,
    ) -> Vec<(Spot, Trouble)> {
        if response.error_code != 0 {
            self.session = None;
            if !SESSION_ERRORS.contains(&response.error_code) {
                let what = format!("Fetch answers with error {}", response.error_code);
                out.facts.push(Fact::Protocol(what));
            }
            return Vec::new();
        }
        self.next_epoch(response.session_id);
        let mut troubles = Vec::new();
        for topic in &response.responses {
            let id = messages::topic_id(topic.topic_id);
            let plan = catalog.topics().index_of(&topic.topic);
            for part in &topic.partitions {
                let is_it = |lane: &&Lane| {
                    let spot = lane.spot;
                    let same_topic = if id == TopicId::ZERO {
                        Some(spot.plan) == plan
                    } else {
                        spot.place.topic == id
                    };
                    same_topic && spot.place.partition == part.partition_index
                };
                let Some(lane) = asked.lanes.iter().find(is_it) else {
                    let what = "Fetch answers with a partition that nobody asked for";
                    out.facts.push(Fact::Protocol(what.to_owned()));
                    continue;
                };
                let trouble = self.take_part((asked.at, lane), part, out);
                troubles.extend(trouble.map(|trouble| (lane.spot, trouble)));
            }
        }
        troubles
    }

    fn next_epoch(&mut self, id: i32) {
        if let Some(session) = &mut self.session {
            session.id = id;
            session.epoch += 1;
            if id == 0 {
                // The broker has no room for this session.
                self.session = None;
            }
        }
    }

    fn take_part(
        &mut self,
        (at, asked): (Mono, &Lane),
        part: &PartitionData,
        out: &mut ActorOutputs,
    ) -> Option<Trouble> {
        let lane = self.lanes.iter_mut().find(|lane| lane.spot == asked.spot)?;
        // A position that has changed meanwhile makes the answer worthless.
        let position = asked.position?;
        if lane.position != asked.position || lane.reader != asked.reader {
            return None;
        }
        match part.error_code {
            0 => {}
            OFFSET_OUT_OF_RANGE => return Some(Trouble::OutOfRange),
            code if MISSING.contains(&code) => return Some(Trouble::Missing),
            code if LATER.contains(&code) => return Some(Trouble::Later(code)),
            code => {
                let what = format!("Fetch answers with error {code} for {:?}", asked.spot.place);
                out.facts.push(Fact::Protocol(what));
                return Some(Trouble::Later(code));
            }
        }
        let bytes = part.records.as_deref().unwrap_or_default();
        let found = match read_records(bytes, position, &mut self.scratch) {
            Ok(found) => found,
            Err(what) => {
                let what = format!("{what}, in {:?}", asked.spot.place);
                out.facts.push(Fact::Protocol(what));
                return Some(Trouble::Later(0));
            }
        };
        let moved = lane.high_watermark != part.high_watermark;
        lane.high_watermark = part.high_watermark;
        lane.position = Some(found.next_offset.unwrap_or(position).max(position));
        if moved || !found.records.is_empty() {
            out.facts.push(Fact::Read {
                reader: lane.reader,
                place: lane.spot.place,
                asked: at,
                position,
                records: found.records,
                high_watermark: part.high_watermark,
                log_start: part.log_start_offset,
            });
        }
        None
    }
}

const FIRST_WITH_SESSIONS: i16 = 7;
const FIRST_BY_ID: i16 = 13;
const OFFSET_OUT_OF_RANGE: i16 = 1;
/// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR.
const SESSION_ERRORS: [i16; 3] = [70, 71, 106];
/// UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_ID, INCONSISTENT_TOPIC_ID.
const MISSING: [i16; 4] = [3, 6, 100, 103];
/// UNKNOWN_SERVER_ERROR, CORRUPT_MESSAGE, REQUEST_TIMED_OUT, KAFKA_STORAGE_ERROR, and
/// OFFSET_NOT_AVAILABLE.
const LATER: [i16; 5] = [-1, 2, 7, 56, 78];

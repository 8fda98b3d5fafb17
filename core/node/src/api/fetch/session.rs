//! Fetch sessions (KIP-227): a client names its partitions once and then only what changed.
//!
//! A session lives in one frontend. A client that comes back over a connection of another one is told
//! FETCH_SESSION_ID_NOT_FOUND and opens a new session, as it would after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_controller::MetadataImage;
use chronik_model::{ErrorCode, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};
use chronik_protocol::TopicRef;
use chronik_protocol::fetch::{FetchPartition, FetchRequest};
use rustc_hash::FxHashMap;

use crate::messages::{FetchedPart, FrontendId};

/// Epoch of a request that opens a session.
const OPEN: i32 = 0;
/// Epoch of a request that ends its session, or that wants none.
const FINAL: i32 = -1;

/// A topic as the client named it, and must be answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum TopicKey {
    Name(Arc<str>),
    Id(TopicId),
}

impl TopicKey {
    fn of(topic: TopicRef<'_>) -> Self {
        match topic {
            TopicRef::Name(name) => Self::Name(name.into()),
            TopicRef::Id(id) => Self::Id(id),
        }
    }

    pub(super) fn reference(&self) -> TopicRef<'_> {
        match self {
            Self::Name(name) => TopicRef::Name(name),
            Self::Id(id) => TopicRef::Id(*id),
        }
    }

    fn topic_id(&self, image: &MetadataImage) -> Result<TopicId, ErrorCode> {
        match self {
            Self::Name(name) => {
                let topic = image
                    .topic_by_name(name)
                    .ok_or(ErrorCode::UnknownTopicOrPartition);
                topic.map(|topic| topic.id)
            }
            Self::Id(id) => image
                .topic(*id)
                .map(|topic| topic.id)
                .ok_or(ErrorCode::UnknownTopicId),
        }
    }
}

/// Partitions that all sessions of one frontend remember at most: clients pay nothing for them.
const MAX_KEPT_PARTITIONS: usize = 100_000;

/// One partition that a fetch asks for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) topic: TopicKey,
    pub(super) index: PartitionIndex,
    /// The partition by identity; `None` when there is no such topic.
    pub(super) partition: Option<TopicPartition>,
    /// Why there is none.
    pub(super) error: ErrorCode,
    pub(super) offset: Offset,
    pub(super) current_leader_epoch: LeaderEpoch,
    pub(super) last_fetched_epoch: LeaderEpoch,
    pub(super) max_bytes: usize,
}

impl Wanted {
    fn new(topic: TopicKey, asked: &FetchPartition) -> Self {
        Self {
            topic,
            index: asked.index,
            partition: None,
            error: ErrorCode::None,
            offset: asked.fetch_offset,
            current_leader_epoch: asked.current_leader_epoch,
            last_fetched_epoch: asked.last_fetched_epoch,
            max_bytes: usize::try_from(asked.partition_max_bytes).unwrap_or(0),
        }
    }

    /// Finds the partition in the metadata of now.
    fn resolve(&mut self, image: &MetadataImage) {
        match self.topic.topic_id(image) {
            Ok(topic_id) => {
                let partition = TopicPartition {
                    topic_id,
                    partition: self.index,
                };
                self.partition = image.partition(partition).map(|_| partition);
                self.error = ErrorCode::UnknownTopicOrPartition;
            }
            Err(error) => (self.partition, self.error) = (None, error),
        }
    }
}

/// What a request asks for, session considered.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) session_id: i32,
    pub(super) incremental: bool,
    pub(super) wanted: Vec<Wanted>,
}

#[derive(Debug)]
struct Session {
    /// Whether it was opened by a version that names topics by id; others can not continue it.
    by_id: bool,
    /// Epoch that the next request must carry.
    next_epoch: i32,
    parts: Vec<Known>,
    places: FxHashMap<(TopicKey, i32), usize>,
    /// Where the next answer begins, so that no partition starves behind busy ones.
    turn: usize,
    last_used: u64,
}

#[derive(Debug)]
struct Known {
    wanted: Wanted,
    high_watermark: Offset,
    log_start: Offset,
}

/// The sessions of one frontend, the longest unused of which give way.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    sessions: BTreeMap<i32, Session>,
    most: usize,
    next_id: i32,
    clock: u64,
}

impl FetchSessions {
    pub(crate) fn new(frontend: FrontendId, most: usize) -> Self {
        // Ids of different frontends start far apart, so that one is not taken for another's.
        let next_id = 1 + (i32::from(frontend.0) << 20);
        Self {
            sessions: BTreeMap::new(),
            most,
            next_id,
            clock: 0,
        }
    }

    pub(super) fn open(
        &mut self,
        fetch: &FetchRequest<'_>,
        by_id: bool,
        image: &MetadataImage,
    ) -> Result<Opened, ErrorCode> {
        self.clock += 1;
        match (fetch.session_id, fetch.session_epoch) {
            (id, FINAL) => {
                self.sessions.remove(&id);
                Ok(Opened {
                    session_id: 0,
                    incremental: false,
                    wanted: named(fetch, image),
                })
            }
            (id, OPEN) => {
                self.sessions.remove(&id);
                let wanted = named(fetch, image);
                let session_id = self.remember(&wanted, by_id);
                Ok(Opened {
                    session_id,
                    incremental: false,
                    wanted,
                })
            }
            (id, epoch) => {
                let known = self
                    .sessions
                    .get(&id)
                    .ok_or(ErrorCode::FetchSessionIdNotFound)?;
                if known.by_id != by_id {
                    return Err(ErrorCode::FetchSessionTopicIdError);
                }
                self.continue_session(id, epoch, fetch, image)
            }
        }
    }

    fn remember(&mut self, wanted: &[Wanted], by_id: bool) -> i32 {
        if wanted.is_empty() || self.most == 0 || wanted.len() > MAX_KEPT_PARTITIONS {
            return 0;
        }
        while self.sessions.len() >= self.most || self.kept() + wanted.len() > MAX_KEPT_PARTITIONS {
            if !self.drop_oldest() {
                break;
            }
        }
        let id = self.next_id;
        self.next_id = if id == i32::MAX { 1 } else { id + 1 };
        let mut session = Session {
            by_id,
            next_epoch: 1,
            parts: Vec::new(),
            places: FxHashMap::default(),
            turn: 0,
            last_used: self.clock,
        };
        for wanted in wanted {
            session.put(wanted.clone());
        }
        self.sessions.insert(id, session);
        id
    }

    /// Partitions of all sessions.
    fn kept(&self) -> usize {
        self.sessions
            .values()
            .map(|session| session.parts.len())
            .sum()
    }

    fn drop_oldest(&mut self) -> bool {
        let oldest = self
            .sessions
            .iter()
            .min_by_key(|(_, session)| session.last_used);
        let oldest = oldest.map(|(id, _)| *id);
        oldest.is_some_and(|id| self.sessions.remove(&id).is_some())
    }

    fn continue_session(
        &mut self,
        id: i32,
        epoch: i32,
        fetch: &FetchRequest<'_>,
        image: &MetadataImage,
    ) -> Result<Opened, ErrorCode> {
        let session = self
            .sessions
            .get_mut(&id)
            .ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.next_epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        session.next_epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        session.last_used = self.clock;
        session.change(fetch);
        if fetch.topics.len() > 0 {
            // The oldest give way; the last of them is this one, whose client then begins anew.
            while self.kept() > MAX_KEPT_PARTITIONS && self.drop_oldest() {}
        }
        let session = self
            .sessions
            .get_mut(&id)
            .ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let mut wanted: Vec<Wanted> = session
            .parts
            .iter()
            .map(|known| known.wanted.clone())
            .collect();
        if !wanted.is_empty() {
            session.turn = (session.turn + 1) % wanted.len();
            wanted.rotate_left(session.turn);
        }
        for wanted in &mut wanted {
            wanted.resolve(image);
        }
        Ok(Opened {
            session_id: id,
            incremental: true,
            wanted,
        })
    }

    /// Notes what a partition is answered with; true when that is news to the client.
    pub(super) fn note(&mut self, session_id: i32, wanted: &Wanted, found: &FetchedPart) -> bool {
        let known = self
            .sessions
            .get_mut(&session_id)
            .and_then(|session| session.known(wanted));
        let Some(known) = known else { return true };
        let moved =
            known.high_watermark != found.high_watermark || known.log_start != found.log_start;
        known.high_watermark = found.high_watermark;
        known.log_start = found.log_start;
        moved || found.bytes > 0 || !found.error.is_none() || found.diverging.is_some()
    }
}

impl Session {
    /// Takes partitions in and out, as an incremental request asks.
    fn change(&mut self, fetch: &FetchRequest<'_>) {
        for topic in fetch.topics.clone() {
            let key = TopicKey::of(topic.topic);
            for partition in topic.partitions {
                self.put(Wanted::new(key.clone(), &partition));
            }
        }
        for topic in fetch.forgotten_topics.clone() {
            let key = TopicKey::of(topic.topic);
            for partition in topic.partitions {
                self.forget(&key, partition);
            }
        }
    }

    fn put(&mut self, wanted: Wanted) {
        let key = (wanted.topic.clone(), wanted.index.0);
        match self
            .places
            .get(&key)
            .and_then(|place| self.parts.get_mut(*place))
        {
            Some(known) => known.wanted = wanted,
            None => {
                self.places.insert(key, self.parts.len());
                self.parts.push(Known {
                    wanted,
                    high_watermark: Offset(-1),
                    log_start: Offset(-1),
                });
            }
        }
    }

    fn forget(&mut self, topic: &TopicKey, index: PartitionIndex) {
        let Some(place) = self.places.remove(&(topic.clone(), index.0)) else {
            return;
        };
        self.parts.swap_remove(place);
        if let Some(moved) = self.parts.get(place) {
            self.places
                .insert((moved.wanted.topic.clone(), moved.wanted.index.0), place);
        }
    }

    fn known(&mut self, wanted: &Wanted) -> Option<&mut Known> {
        let place = self.places.get(&(wanted.topic.clone(), wanted.index.0))?;
        self.parts.get_mut(*place)
    }
}

/// The partitions that a request names itself.
fn named(fetch: &FetchRequest<'_>, image: &MetadataImage) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for topic in fetch.topics.clone() {
        let key = TopicKey::of(topic.topic);
        for partition in topic.partitions {
            let mut part = Wanted::new(key.clone(), &partition);
            part.resolve(image);
            wanted.push(part);
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chronik_protocol::messages::{self, StrBytes, TopicName, fetch_request};

    use super::*;

    fn body(session: (i32, i32), topic: Option<&'static str>, version: i16) -> Bytes {
        let mut request = messages::FetchRequest::default();
        (request.session_id, request.session_epoch) = session;
        if let Some(name) = topic {
            let mut topic = fetch_request::FetchTopic::default();
            topic.topic = TopicName(StrBytes::from_static_str(name));
            topic.partitions = vec![fetch_request::FetchPartition::default()];
            request.topics.push(topic);
        }
        messages::encode_body(version, &request).unwrap()
    }

    #[test]
    fn a_session_opened_by_name_is_not_continued_by_id() {
        let image = MetadataImage::default();
        let mut sessions = FetchSessions::new(FrontendId(0), 10);
        let opening = body((0, OPEN), Some("t"), 12);
        let fetch = FetchRequest::decode(&opening, 12).unwrap();
        let id = sessions.open(&fetch, false, &image).unwrap().session_id;
        assert_ne!(id, 0);
        let by_id = body((id, 1), None, 13);
        let fetch = FetchRequest::decode(&by_id, 13).unwrap();
        let refused = sessions.open(&fetch, true, &image).err();
        assert_eq!(refused, Some(ErrorCode::FetchSessionTopicIdError));
        let by_name = body((id, 1), None, 12);
        let fetch = FetchRequest::decode(&by_name, 12).unwrap();
        assert!(sessions.open(&fetch, false, &image).unwrap().incremental);
    }
}

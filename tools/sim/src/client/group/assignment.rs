//! What members of classic groups tell each other through the coordinator, and how their leader
//! shares the partitions out.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use chronik_protocol::messages::consumer_protocol_assignment::TopicPartition as Assigned;
use chronik_protocol::messages::consumer_protocol_subscription::TopicPartition as Owned;
use chronik_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, Decodable, Encodable,
};

use crate::client::catalog::{Catalog, Spot};

/// What a member wants, and what it has at which generation.
#[must_use]
pub(super) fn subscription(
    plans: &[usize],
    owned: &[Spot],
    generation: i32,
    catalog: &Catalog,
) -> Bytes {
    let names = plans.iter().map(|plan| catalog.name(*plan).0);
    let by_topic = owned.chunk_by(|one, other| one.plan == other.plan);
    let by_topic = by_topic.filter_map(|spots| {
        let partitions = spots.iter().map(|spot| spot.place.partition);
        let mut topic = Owned::default();
        topic.topic = catalog.name(spots.first()?.plan);
        topic.partitions = partitions.collect();
        Some(topic)
    });
    let mut message = ConsumerProtocolSubscription::default();
    message.topics = names.collect();
    message.owned_partitions = by_topic.collect();
    message.generation_id = generation;
    write(&message, SUBSCRIPTION_VERSION)
}

/// The partitions of one member.
#[must_use]
pub(super) fn assignment(spots: &[Spot], catalog: &Catalog) -> Bytes {
    let by_topic = spots.chunk_by(|one, other| one.plan == other.plan);
    let by_topic = by_topic.filter_map(|spots| {
        let partitions = spots.iter().map(|spot| spot.place.partition);
        let mut topic = Assigned::default();
        topic.topic = catalog.name(spots.first()?.plan);
        topic.partitions = partitions.collect();
        Some(topic)
    });
    let mut message = ConsumerProtocolAssignment::default();
    message.assigned_partitions = by_topic.collect();
    write(&message, ASSIGNMENT_VERSION)
}

/// Reads [`assignment`]; none where a topic is not known.
#[must_use]
pub(super) fn read_assignment(bytes: &Bytes, catalog: &Catalog) -> Option<Vec<Spot>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let message: ConsumerProtocolAssignment = read(bytes, ASSIGNMENT_VERSION)?;
    let mut spots = Vec::new();
    for topic in &message.assigned_partitions {
        let plan = catalog.topics().index_of(&topic.topic)?;
        let known: Vec<Spot> = catalog.spots(plan).collect();
        for index in &topic.partitions {
            spots.push(*known.iter().find(|it| it.place.partition == *index)?);
        }
    }
    spots.sort_unstable();
    Some(spots)
}

/// Shares all partitions of `plans` out. With `sticky`, members keep what they have, and what
/// another one has to give up first is nobody's for now.
#[must_use]
pub(super) fn share(
    members: &[(String, Bytes)],
    plans: &[usize],
    sticky: bool,
    catalog: &Catalog,
) -> BTreeMap<String, Vec<Spot>> {
    let spots: Vec<Spot> = plans.iter().flat_map(|plan| catalog.spots(*plan)).collect();
    let mut shares: BTreeMap<String, Vec<Spot>> = members
        .iter()
        .map(|(member, _)| (member.clone(), Vec::new()))
        .collect();
    let most = spots.len().div_ceil(members.len().max(1));
    let claims = if sticky {
        claims(members, catalog)
    } else {
        BTreeMap::new()
    };
    let mut free = Vec::new();
    for spot in spots {
        let keeper = claims
            .get(&spot)
            .and_then(|(_, member)| shares.get_mut(member));
        match keeper {
            Some(share) if share.len() < most => share.push(spot),
            // It moves, but not before its owner has given it up.
            Some(_) => {}
            None => free.push(spot),
        }
    }
    for spot in free {
        if let Some(share) = shares.values_mut().min_by_key(|share| share.len()) {
            share.push(spot);
        }
    }
    for share in shares.values_mut() {
        share.sort_unstable();
    }
    shares
}

/// Who has what; of two that say so, the one of the later generation.
fn claims(members: &[(String, Bytes)], catalog: &Catalog) -> BTreeMap<Spot, (i32, String)> {
    let mut claims = BTreeMap::new();
    for (member, metadata) in members {
        let message: Option<ConsumerProtocolSubscription> = read(metadata, SUBSCRIPTION_VERSION);
        let Some(message) = message else { continue };
        for topic in &message.owned_partitions {
            let plan = catalog.topics().index_of(&topic.topic);
            let known: Vec<Spot> = plan
                .map(|it| catalog.spots(it).collect())
                .unwrap_or_default();
            let owned = known.iter();
            for spot in owned.filter(|it| topic.partitions.contains(&it.place.partition)) {
                let claim = (message.generation_id, member.clone());
                let best = claims.entry(*spot).or_insert_with(|| claim.clone());
                if best.0 < claim.0 {
                    *best = claim;
                }
            }
        }
    }
    claims
}

fn write<T: Encodable>(message: &T, version: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(version);
    message
        .encode(&mut bytes, version)
        .expect("its fields are those of this version");
    bytes.freeze()
}

fn read<T: Decodable>(bytes: &Bytes, version: i16) -> Option<T> {
    let mut rest = bytes.clone();
    let found = rest.split_to_checked(VERSION_BYTES)?;
    if found.as_ref() != version.to_be_bytes() {
        return None;
    }
    T::decode(&mut rest, version).ok()
}

trait SplitChecked: Sized {
    fn split_to_checked(&mut self, at: usize) -> Option<Self>;
}

impl SplitChecked for Bytes {
    fn split_to_checked(&mut self, at: usize) -> Option<Self> {
        (self.len() >= at).then(|| self.split_to(at))
    }
}

const VERSION_BYTES: usize = 2;
/// The first version with a generation.
const SUBSCRIPTION_VERSION: i16 = 2;
const ASSIGNMENT_VERSION: i16 = 0;

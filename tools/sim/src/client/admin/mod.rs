//! Whoever makes, changes and removes topics. One admin makes those of the run, and makes them again
//! where they are gone with their disk.

mod look;

use std::collections::{BTreeMap, BTreeSet};

use chronik_model::{Mono, TopicId};
use chronik_protocol::ApiKey;
use chronik_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use chronik_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use chronik_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use chronik_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use chronik_protocol::messages::delete_topics_request::DeleteTopicState;
use chronik_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource as Resource, AlterableConfig as Change,
};
use chronik_protocol::messages::{
    self, AlterConfigsRequest, AlterConfigsResponse, CreatePartitionsRequest,
    CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ListOffsetsResponse, StrBytes,
};

use self::look::Look;
use super::catalog::Spot;
use super::connection::Reply;
use super::consumer::LATEST;
use super::desk::{Desk, News, Terms};
use super::dice::Dice;
use super::offsets::{list_request, listed};
use super::topics::{Role, TopicPlan};
use crate::actor::{Actor, ActorInput, ActorOutputs};
use crate::history::Fact;

#[derive(Debug)]
enum About {
    Create(Vec<usize>),
    /// The topic, and whether it was meant by its name.
    Delete(usize, TopicId, bool),
    Grow,
    Alter,
    AlterAll,
    Ends(Vec<Spot>),
    DeleteRecords(Spot),
    Look(Look),
}

/// See the module.
#[derive(Debug)]
pub struct Admin {
    desk: Desk<About>,
    next_at: Mono,
    /// Topics that are being made or removed.
    busy: BTreeSet<usize>,
    /// Removed by name, and nobody knows whether: the name is not used again.
    retired: BTreeSet<usize>,
    /// Fleeting topics that are to be missing for a while, until then.
    resting: BTreeMap<usize, Mono>,
    ends: BTreeMap<Spot, i64>,
}

impl Admin {
    /// The admin of the run.
    #[must_use]
    pub fn new(terms: Terms, dice: Dice) -> Self {
        let desk = Desk::new(terms, dice);
        Self {
            desk,
            next_at: Mono(0),
            busy: BTreeSet::new(),
            retired: BTreeSet::new(),
            resting: BTreeMap::new(),
            ends: BTreeMap::new(),
        }
    }

    fn act(&mut self, now: Mono, out: &mut ActorOutputs) {
        if !self.desk.is_ready() || self.next_at > now || self.desk.is_winding_down() {
            return;
        }
        self.next_at = self.desk.think(now);
        if self.create_missing(now, out) || !self.desk.may_begin() {
            return;
        }
        match self.desk.dice.between(0, 19) {
            0..=2 => self.delete(now, out),
            3..=5 => self.alter(now, out),
            6 => self.alter_all(now, out),
            7 => self.grow(now, out),
            8..=10 => self.ask_ends(now, out),
            11..=14 => self.delete_records(now, out),
            _ => {
                let look = Look::draw(&mut self.desk.dice);
                let plans = self.desk.catalog.topics().all().len();
                let plan = self.desk.dice.index(plans);
                look.send(now, plan, &mut self.desk, out);
            }
        }
    }

    /// Makes the topics that should be there and are not; whether any is missing.
    fn create_missing(&mut self, now: Mono, out: &mut ActorOutputs) -> bool {
        let topics = self.desk.catalog.topics().clone();
        let missing = (0..topics.all().len()).filter(|plan| {
            let rests = self.resting.get(plan).is_some_and(|until| *until > now);
            let unknown = self.desk.catalog.known(*plan).is_none();
            unknown && !rests && !self.busy.contains(plan) && !self.retired.contains(plan)
        });
        let missing: Vec<usize> = missing.collect();
        if missing.is_empty() {
            return false;
        }
        let wanted = missing.iter().filter_map(|plan| topics.get(*plan));
        let request = CreateTopicsRequest::default()
            .with_topics(wanted.map(creatable).collect())
            .with_timeout_ms(30_000);
        self.busy.extend(&missing);
        let api = self.desk.versions.of(ApiKey::CreateTopics);
        self.desk
            .send(now, api, &request, About::Create(missing), out);
        true
    }

    /// One of the existing topics of which this is true.
    fn draw(&mut self, is: impl Fn(&TopicPlan) -> bool) -> Option<usize> {
        let mut plans = self.desk.catalog.topics().which(is);
        plans.retain(|plan| self.desk.catalog.known(*plan).is_some() && !self.busy.contains(plan));
        (!plans.is_empty()).then(|| self.desk.dice.pick(&plans))
    }

    fn delete(&mut self, now: Mono, out: &mut ActorOutputs) {
        let Some(plan) = self.draw(|plan| plan.role == Role::Fleeting) else {
            return;
        };
        let Some(known) = self.desk.catalog.known(plan) else {
            return;
        };
        let (key, version) = self.desk.versions.of(ApiKey::DeleteTopics);
        let by_name = version < FIRST_BY_ID && self.desk.dice.chance(20);
        let name = self.desk.catalog.name(plan);
        let request = DeleteTopicsRequest::default().with_timeout_ms(30_000);
        let (version, request) = if by_name {
            (version, request.with_topic_names(vec![name]))
        } else {
            let topic = DeleteTopicState::default()
                .with_name(None)
                .with_topic_id(messages::uuid(known.id));
            (FIRST_BY_ID, request.with_topics(vec![topic]))
        };
        self.busy.insert(plan);
        out.facts.push(Fact::Deleting(known.id));
        let about = About::Delete(plan, known.id, by_name);
        self.desk.send(now, (key, version), &request, about, out);
    }

    fn take_deleted(
        &mut self,
        now: Mono,
        (plan, id, by_name): (usize, TopicId, bool),
        response: &DeleteTopicsResponse,
        out: &mut ActorOutputs,
    ) {
        self.busy.remove(&plan);
        let code = response.responses.first().map_or(-1, |it| it.error_code);
        match code {
            0 | UNKNOWN_TOPIC_OR_PARTITION | UNKNOWN_TOPIC_ID => {
                out.facts.push(Fact::Deleted(id));
                if self.desk.catalog.known(plan).is_some_and(|it| it.id == id) {
                    self.desk.catalog.forget(plan);
                }
                let until = self.desk.dice.later(now, 0, 1_500);
                self.resting.insert(plan, until);
            }
            code if UNDECIDED.contains(&code) => {
                if by_name {
                    self.retired.insert(plan);
                }
                self.desk.refresh(now);
            }
            code => complain("DeleteTopics", code, out),
        }
    }

    /// Changes one setting, and leaves the others.
    fn alter(&mut self, now: Mono, out: &mut ActorOutputs) {
        let Some(plan) = self.draw(|plan| plan.role == Role::Lasting) else {
            return;
        };
        let (key, value) = self.new_setting(plan);
        let change = Change::default()
            .with_name(StrBytes::from_static_str(key))
            .with_config_operation(SET)
            .with_value(Some(StrBytes::from_string(value)));
        let resource = Resource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(self.desk.catalog.name(plan).0)
            .with_configs(vec![change]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let api = self.desk.versions.of(ApiKey::IncrementalAlterConfigs);
        self.desk.send(now, api, &request, About::Alter, out);
    }

    fn new_setting(&mut self, plan: usize) -> (&'static str, String) {
        let plan = self.desk.catalog.topics().get(plan).cloned();
        let dice = &mut self.desk.dice;
        if plan.is_some_and(|plan| plan.switches) && dice.chance(70) {
            return ("flush.messages", dice.pick(&[1, 1, 2, 50]).to_string());
        }
        match dice.between(0, 3) {
            0 => (
                "segment.bytes",
                dice.pick(&[1_024, 4_096, 1 << 20]).to_string(),
            ),
            1 => (
                "segment.ms",
                dice.pick(&[200, 2_000, 604_800_000]).to_string(),
            ),
            2 => (
                "index.interval.bytes",
                dice.pick(&[0, 100, 4_096]).to_string(),
            ),
            _ => (
                "compression.type",
                dice.pick(&["producer", "lz4", "zstd"]).to_owned(),
            ),
        }
    }

    /// Sets what the topic was made with, and forgets every other setting.
    fn alter_all(&mut self, now: Mono, out: &mut ActorOutputs) {
        let Some(plan) = self.draw(|plan| plan.role == Role::Lasting) else {
            return;
        };
        let configs = self.desk.catalog.topics().get(plan);
        let configs = configs.into_iter().flat_map(|plan| &plan.configs);
        let configs = configs.map(|(key, value)| {
            AlterableConfig::default()
                .with_name(StrBytes::from_static_str(key))
                .with_value(Some(StrBytes::from_string(value.clone())))
        });
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_configs(configs.collect())
            .with_resource_name(self.desk.catalog.name(plan).0);
        let request = AlterConfigsRequest::default().with_resources(vec![resource]);
        let api = self.desk.versions.of(ApiKey::AlterConfigs);
        self.desk.send(now, api, &request, About::AlterAll, out);
    }

    fn grow(&mut self, now: Mono, out: &mut ActorOutputs) {
        let Some(plan) = self.draw(|plan| plan.grows) else {
            return;
        };
        let partitions = self.desk.catalog.known(plan).map_or(0, |it| it.partitions);
        if partitions >= MOST_PARTITIONS {
            return;
        }
        let topic = CreatePartitionsTopic::default()
            .with_name(self.desk.catalog.name(plan))
            .with_count(partitions + 1)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        let api = self.desk.versions.of(ApiKey::CreatePartitions);
        self.desk.send(now, api, &request, About::Grow, out);
    }

    fn ask_ends(&mut self, now: Mono, out: &mut ActorOutputs) {
        let Some(plan) = self.draw(|plan| plan.cut) else {
            return;
        };
        let spots: Vec<Spot> = self.desk.catalog.spots(plan).collect();
        let request = list_request(LATEST, &spots, &self.desk.catalog);
        let api = self.desk.versions.of(ApiKey::ListOffsets);
        self.desk.send(now, api, &request, About::Ends(spots), out);
    }

    fn delete_records(&mut self, now: Mono, out: &mut ActorOutputs) {
        let catalog = &self.desk.catalog;
        self.ends.retain(|spot, _| catalog.is_current(spot));
        let known: Vec<(Spot, i64)> = self.ends.iter().map(|(spot, end)| (*spot, *end)).collect();
        if known.is_empty() {
            return;
        }
        let (spot, end) = self.desk.dice.pick(&known);
        let drawn = self.desk.dice.between(0, end.unsigned_abs());
        let before = i64::try_from(drawn).unwrap_or(0);
        let partition = DeleteRecordsPartition::default()
            .with_partition_index(spot.place.partition)
            .with_offset(before);
        let topic = DeleteRecordsTopic::default()
            .with_name(self.desk.catalog.name(spot.plan))
            .with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        let place = spot.place;
        out.facts.push(Fact::DeletingRecords { place, before });
        let api = self.desk.versions.of(ApiKey::DeleteRecords);
        self.desk
            .send(now, api, &request, About::DeleteRecords(spot), out);
    }

    fn take(&mut self, now: Mono, reply: &Reply<About>, out: &mut ActorOutputs) {
        match &reply.about {
            About::Create(plans) => {
                for plan in plans {
                    self.busy.remove(plan);
                }
                let response = self.desk.read::<CreateTopicsResponse>(reply, out);
                let topics = response.iter().flat_map(|it| &it.topics);
                check("CreateTopics", topics.map(|it| it.error_code), out);
                self.desk.refresh(now);
            }
            About::Delete(plan, id, by_name) => {
                if let Some(response) = self.desk.read::<DeleteTopicsResponse>(reply, out) {
                    self.take_deleted(now, (*plan, *id, *by_name), &response, out);
                }
            }
            About::Grow => {
                let response = self.desk.read::<CreatePartitionsResponse>(reply, out);
                let results = response.iter().flat_map(|it| &it.results);
                check("CreatePartitions", results.map(|it| it.error_code), out);
                self.desk.refresh(now);
            }
            About::Alter => {
                let response = self
                    .desk
                    .read::<IncrementalAlterConfigsResponse>(reply, out);
                let results = response.iter().flat_map(|it| &it.responses);
                let codes = results.map(|it| it.error_code);
                check("IncrementalAlterConfigs", codes, out);
            }
            About::AlterAll => {
                let response = self.desk.read::<AlterConfigsResponse>(reply, out);
                let results = response.iter().flat_map(|it| &it.responses);
                check("AlterConfigs", results.map(|it| it.error_code), out);
            }
            About::Ends(spots) => {
                let response = self.desk.read::<ListOffsetsResponse>(reply, out);
                let found = response.map(|it| listed(&it)).unwrap_or_default();
                for (spot, (code, end)) in spots.iter().zip(found) {
                    if code == 0 {
                        self.ends.insert(*spot, end);
                        out.facts.push(Fact::EndRead {
                            place: spot.place,
                            asked: reply.sent_at,
                            end,
                        });
                    }
                }
            }
            About::DeleteRecords(spot) => self.take_cut(*spot, reply, out),
            About::Look(look) => look.take(reply, &self.desk, out),
        }
    }

    fn take_cut(&mut self, spot: Spot, reply: &Reply<About>, out: &mut ActorOutputs) {
        let response = self.desk.read::<DeleteRecordsResponse>(reply, out);
        let parts = response.iter().flat_map(|it| &it.topics);
        for part in parts.flat_map(|topic| &topic.partitions) {
            if part.error_code == 0 {
                out.facts.push(Fact::DeletedRecords {
                    place: spot.place,
                    asked: reply.sent_at,
                    log_start: part.low_watermark,
                });
            } else if part.error_code == OFFSET_OUT_OF_RANGE {
                // The log has lost its end, as it may where it was not synced.
                self.ends.remove(&spot);
            } else {
                check("DeleteRecords", [part.error_code], out);
            }
        }
    }

    fn lose(&mut self, now: Mono, about: &About) {
        match about {
            About::Create(plans) => {
                for plan in plans {
                    self.busy.remove(plan);
                }
            }
            About::Delete(plan, _, by_name) => {
                self.busy.remove(plan);
                if *by_name {
                    self.retired.insert(*plan);
                }
            }
            About::Grow
            | About::Alter
            | About::AlterAll
            | About::Ends(_)
            | About::DeleteRecords(_)
            | About::Look(_) => {}
        }
        self.desk.refresh(now);
    }
}

fn creatable(plan: &TopicPlan) -> CreatableTopic {
    let configs = plan.configs.iter().map(|(key, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(key))
            .with_value(Some(StrBytes::from_string(value.clone())))
    });
    CreatableTopic::default()
        .with_name(messages::TopicName(StrBytes::from_string(
            plan.name.clone(),
        )))
        .with_num_partitions(plan.partitions)
        .with_replication_factor(1)
        .with_configs(configs.collect())
}

/// Tells of codes that are no answer to what was asked.
fn check(what: &str, codes: impl IntoIterator<Item = i16>, out: &mut ActorOutputs) {
    for code in codes {
        if code != 0 && !UNDECIDED.contains(&code) && !PASSING.contains(&code) {
            complain(what, code, out);
        }
    }
}

fn complain(what: &str, code: i16, out: &mut ActorOutputs) {
    let what = format!("{what} answers with error {code}");
    out.facts.push(Fact::Protocol(what));
}

impl Actor for Admin {
    fn step(&mut self, now: Mono, input: ActorInput, out: &mut ActorOutputs) {
        for news in self.desk.step(now, &input, out) {
            match news {
                News::Learnt => {}
                News::Lost(abouts) => abouts.iter().for_each(|about| self.lose(now, about)),
                News::Reply(reply) => self.take(now, &reply, out),
            }
        }
        self.act(now, out);
        if self.is_done() {
            self.desk.close(out);
        }
    }

    fn deadline(&self) -> Option<Mono> {
        let ready = self.desk.is_ready() && !self.desk.is_winding_down();
        let next = Some(self.next_at).filter(|_| ready);
        [self.desk.deadline(), next].into_iter().flatten().min()
    }

    fn is_done(&self) -> bool {
        self.desk.is_winding_down() && self.desk.in_flight() == 0
    }

    fn state(&self) -> String {
        let (in_flight, ready) = (self.desk.in_flight(), self.desk.is_ready());
        format!("admin, {in_flight} requests in flight, ready: {ready}")
    }

    fn operations(&self) -> u64 {
        self.desk.operations()
    }
}

const FIRST_BY_ID: i16 = 6;
const MOST_PARTITIONS: i32 = 6;
/// The resource type of topics.
const TOPIC: i8 = 2;
/// The operation that sets a value.
const SET: i8 = 0;
const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const UNKNOWN_TOPIC_ID: i16 = 100;
/// Nobody knows whether it has happened: UNKNOWN_SERVER_ERROR, REQUEST_TIMED_OUT, NOT_CONTROLLER,
/// KAFKA_STORAGE_ERROR.
const UNDECIDED: [i16; 4] = [-1, 7, 41, 56];
/// What an answer may be after an earlier attempt, or while metadata spreads:
/// UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, TOPIC_ALREADY_EXISTS, INVALID_PARTITIONS.
const PASSING: [i16; 4] = [3, 6, 36, 37];

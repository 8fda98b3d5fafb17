//! Requests of every API in every version that is served.

use chronik_model::TopicId;
use chronik_model::rng::Rng;
use chronik_node::api::served_versions;
use chronik_protocol::{ApiKey, api_key};

use crate::chance::{byte, index, one_in, pick};
use crate::schema::{Field, Kind, parse};

/// Every API that is served, by its body. A test compares it with what the broker tells clients.
const BODIES: &[(ApiKey, &str)] = &[
    (
        ApiKey::Produce,
        "txn?@3- acks ms [topic@-12 topicid@13- [part records?]]",
    ),
    (
        ApiKey::Fetch,
        "replica@-14 wait size size isolation session@7- sessionepoch@7- [topic@-12 topicid@13- [part epoch@9- offset epoch@12- offset@5- size]] [topic@7-12 topicid@13- <part>]@7- text@11-",
    ),
    (
        ApiKey::ListOffsets,
        "replica isolation@2- [topic [part epoch@4- offset]] ms@10-",
    ),
    (
        ApiKey::Metadata,
        "[topicid@10- topic?]? flag@4- flag@8-10 flag@8-",
    ),
    (
        ApiKey::OffsetCommit,
        "group epoch member instance?@7- long@2-4 [topic [part offset epoch@6- text?]]",
    ),
    (
        ApiKey::OffsetFetch,
        "group@-7 [topic <part>]?@-7 [group member?@9- epoch@9- [topic <part>]?]@8- flag@7-",
    ),
    (ApiKey::FindCoordinator, "group@-3 small@1- <group>@4-"),
    (
        ApiKey::JoinGroup,
        "group ms ms@1- member instance?@5- protocoltype [protocol subscription] text?@8-",
    ),
    (ApiKey::Heartbeat, "group epoch member instance?@3-"),
    (
        ApiKey::LeaveGroup,
        "group member@-2 [member instance?@3- text?@5-]@3-",
    ),
    (
        ApiKey::SyncGroup,
        "group epoch member instance?@3- protocoltype?@5- protocol?@5- [member bytes]",
    ),
    (ApiKey::DescribeGroups, "<group> flag@3-"),
    (ApiKey::ListGroups, "<text>@4- <text>@5-"),
    (ApiKey::ApiVersions, "text@3- text@3-"),
    (
        ApiKey::CreateTopics,
        "[newtopic count factor [part <node>] [setting value?]] ms flag",
    ),
    (
        ApiKey::DeleteTopics,
        "[victim? strangeid]@6- <victim>@-5 ms",
    ),
    (ApiKey::DeleteRecords, "[topic [part offset]] ms"),
    (ApiKey::InitProducerId, "txn? ms long@3- epoch16@3-"),
    (
        ApiKey::OffsetForLeaderEpoch,
        "replica@3- [topic [part epoch epoch]]",
    ),
    (
        ApiKey::DescribeAcls,
        "small text? small text? text? small small",
    ),
    (
        ApiKey::CreateAcls,
        "[small text small text text small small]",
    ),
    (
        ApiKey::DeleteAcls,
        "[small text? small text? text? small small]",
    ),
    (
        ApiKey::DescribeConfigs,
        "[resource topic <setting>?] flag flag@3-",
    ),
    (
        ApiKey::AlterConfigs,
        "[resource topic [setting value?]] flag",
    ),
    (ApiKey::DescribeLogDirs, "[topic <part>]?"),
    (ApiKey::CreatePartitions, "[topic count [<node>]?] ms flag"),
    (ApiKey::DeleteGroups, "<group>"),
    (ApiKey::ElectLeaders, "small@1- [topic <part>]? ms"),
    (
        ApiKey::IncrementalAlterConfigs,
        "[resource topic [setting small value?]] flag",
    ),
    (
        ApiKey::AlterPartitionReassignments,
        "ms flag@1- [topic [part <node>?]]",
    ),
    (ApiKey::ListPartitionReassignments, "ms [topic <part>]?"),
    (ApiKey::OffsetDelete, "group [topic [part]]"),
    (ApiKey::DescribeClientQuotas, "[text small text?] flag"),
    (ApiKey::DescribeUserScramCredentials, "[text]?"),
    (ApiKey::DescribeQuorum, "[topic [part]]"),
    (ApiKey::DescribeCluster, "flag small@1- flag@2-"),
    (ApiKey::DescribeProducers, "[topic <part>]"),
    (ApiKey::DescribeTransactions, "<text>"),
    (ApiKey::ListTransactions, "<text> <long> long@1- text?@2-"),
    (
        ApiKey::ConsumerGroupHeartbeat,
        "group member epoch instance? text? ms <topic>? pattern?@1- assignor? [topicid <part>]?",
    ),
    (ApiKey::ConsumerGroupDescribe, "<group> flag"),
    (ApiKey::ListConfigResources, "<small>@1-"),
    (
        ApiKey::DescribeTopicPartitions,
        "[topic] size {topic part}?",
    ),
];

/// Topics that every broker under test has.
pub const TOPICS: [&str; 2] = ["orders", "ledger"];

/// One API in one version.
#[derive(Debug, Clone)]
pub struct Api {
    /// The API.
    pub key: ApiKey,
    /// The version.
    pub version: i16,
    /// Its body.
    pub fields: std::rc::Rc<[Field]>,
}

/// What requests are made of.
#[derive(Debug)]
pub struct Requests {
    /// Every API in every version.
    pub apis: Vec<Api>,
    /// Ids of [`TOPICS`], where the broker has told them.
    pub topic_ids: Vec<TopicId>,
    /// Record batches for Produce.
    pub batches: Vec<Vec<u8>>,
    /// Member ids that the broker has given out.
    pub members: Vec<String>,
}

impl Requests {
    /// All APIs, with these batches.
    #[must_use]
    pub fn new(batches: Vec<Vec<u8>>) -> Self {
        let mut apis = Vec::new();
        for range in served_versions() {
            let body = BODIES.iter().find(|(key, _)| *key == range.api_key);
            let fields: std::rc::Rc<[Field]> = parse(body.map_or("", |(_, body)| body)).into();
            apis.extend((range.min_version..=range.max_version).map(|version| Api {
                key: range.api_key,
                version,
                fields: fields.clone(),
            }));
        }
        Self {
            apis,
            topic_ids: Vec::new(),
            batches,
            members: Vec::new(),
        }
    }

    /// A request without its length prefix.
    pub fn write(&self, api: &Api, correlation_id: i32, rng: &mut Rng) -> Vec<u8> {
        let flexible = api_key::is_flexible(api.key.code(), api.version);
        let mut out = Vec::new();
        out.extend(api.key.code().to_be_bytes());
        out.extend(api.version.to_be_bytes());
        out.extend(correlation_id.to_be_bytes());
        let mut body = Body {
            all: self,
            version: api.version,
            flexible: false,
            rng,
            out,
        };
        body.string(Some("hostile"));
        body.flexible = flexible;
        body.tags();
        body.fields(&api.fields);
        body.tags();
        body.out
    }
}

struct Body<'a> {
    all: &'a Requests,
    version: i16,
    flexible: bool,
    rng: &'a mut Rng,
    out: Vec<u8>,
}

impl Body<'_> {
    fn fields(&mut self, fields: &[Field]) {
        let version = self.version;
        for field in fields.iter().filter(|it| it.versions.contains(&version)) {
            self.field(field);
        }
    }

    fn field(&mut self, field: &Field) {
        let null = field.nullable && one_in(self.rng, 4);
        match &field.kind {
            Kind::Value(name) => self.value(name, null),
            Kind::Optional(_) if null => self.out.push(0xff),
            Kind::Optional(fields) => {
                self.out.push(1);
                self.fields(fields);
                self.tags();
            }
            Kind::Structs(fields) => {
                for _ in 0..self.count(null) {
                    self.fields(fields);
                    self.tags();
                }
            }
            Kind::Values(value) => {
                for _ in 0..self.count(null) {
                    self.field(value);
                }
            }
        }
    }

    /// Writes the number of elements of an array, and returns it.
    fn count(&mut self, null: bool) -> usize {
        if null {
            self.long_length(None);
            return 0;
        }
        let most = if one_in(self.rng, 16) { 12 } else { 3 };
        let count = index(self.rng, most);
        self.long_length(Some(count));
        count
    }

    fn value(&mut self, name: &str, null: bool) {
        if let Some(width) = width(name) {
            let value = self.number(name);
            let bytes = value.to_be_bytes();
            self.out.extend(&bytes[bytes.len() - width..]);
        } else if let Some(texts) = texts(name) {
            let text = self.text(name, texts);
            self.string(Some(text.as_str()).filter(|_| !null));
        } else if let "topicid" | "strangeid" = name {
            let id = self.topic_id(name == "topicid");
            self.out.extend(id.0);
        } else {
            let bytes = self.bytes(name);
            self.long_length(Some(bytes.len()).filter(|_| !null));
            self.out.extend(bytes.iter().filter(|_| !null));
        }
    }

    fn number(&mut self, name: &str) -> i64 {
        let choices: &[i64] = match name {
            "acks" => &[-1, -1, 1, 0],
            "part" => &[0, 0, 1, 2, -1],
            "ms" => &[1_000, 30_000, 6_000, 0, -1],
            "wait" => &[0, 0, 0, 100, 500],
            "size" => &[1, 1_024, 1 << 20, i32::MAX as i64, 0],
            "offset" => &[0, 0, 1, 5, -1, -2, -3, 1_700_000_000_000],
            "epoch" | "epoch16" => &[-1, 0, 0, 1, 2],
            "replica" => &[-1, -1, -1, 1],
            "isolation" | "flag" => &[0, 1],
            "session" => &[0, 0, 1, 7],
            "sessionepoch" => &[-1, 0, 1],
            "count" => &[-1, 1, 2, 3],
            "factor" => &[-1, 1],
            "node" => &[1, 1, 2],
            "resource" => &[2, 2, 4, 8, 32],
            _ => &[0, 1, 2, 3, -1],
        };
        *pick(self.rng, choices)
    }

    fn text(&mut self, name: &str, texts: &[&str]) -> String {
        match name {
            "newtopic" | "victim" if !one_in(self.rng, 8) => format!("t{}", self.rng.below(20)),
            "member" if !self.all.members.is_empty() && !one_in(self.rng, 3) => {
                pick(self.rng, &self.all.members).clone()
            }
            _ => (*pick(self.rng, texts)).to_owned(),
        }
    }

    fn topic_id(&mut self, may_exist: bool) -> TopicId {
        let known = &self.all.topic_ids;
        if known.is_empty() || !may_exist || one_in(self.rng, 4) {
            return TopicId(if one_in(self.rng, 2) {
                [0; 16]
            } else {
                self.rng.bytes16()
            });
        }
        *pick(self.rng, known)
    }

    fn bytes(&mut self, name: &str) -> Vec<u8> {
        match name {
            "records" => pick(self.rng, &self.all.batches).clone(),
            "subscription" => pick(self.rng, SUBSCRIPTIONS).to_vec(),
            _ => {
                let length = index(self.rng, 40);
                (0..length).map(|_| byte(self.rng)).collect()
            }
        }
    }

    fn string(&mut self, text: Option<&str>) {
        let length = text.map(str::len);
        if self.flexible {
            self.compact_length(length);
        } else {
            let length = length.map_or(-1, |length| i16::try_from(length).unwrap_or(i16::MAX));
            self.out.extend(length.to_be_bytes());
        }
        self.out.extend(text.unwrap_or_default().bytes());
    }

    fn long_length(&mut self, length: Option<usize>) {
        if self.flexible {
            self.compact_length(length);
        } else {
            let length = length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX));
            self.out.extend(length.to_be_bytes());
        }
    }

    fn compact_length(&mut self, length: Option<usize>) {
        let raw = length.map_or(0, |length| u32::try_from(length + 1).unwrap_or(u32::MAX));
        put_varint(&mut self.out, raw);
    }

    /// Mostly none, sometimes some that nobody knows.
    fn tags(&mut self) {
        if !self.flexible {
            return;
        }
        if !one_in(self.rng, 32) {
            self.out.push(0);
            return;
        }
        let count = index(self.rng, 4);
        put_varint(&mut self.out, u32::try_from(count).unwrap_or(0));
        for tag in 0..count {
            put_varint(&mut self.out, u32::try_from(tag * 37 + 20).unwrap_or(0));
            let bytes = self.bytes("bytes");
            put_varint(&mut self.out, u32::try_from(bytes.len()).unwrap_or(0));
            self.out.extend(bytes);
        }
    }
}

/// Writes an unsigned varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Bytes of a number; none for other kinds.
fn width(name: &str) -> Option<usize> {
    Some(match name {
        "isolation" | "flag" | "small" | "resource" => 1,
        "acks" | "factor" | "epoch16" => 2,
        "part" | "ms" | "wait" | "size" | "epoch" | "replica" | "session" | "sessionepoch"
        | "count" | "node" => 4,
        "offset" | "long" => 8,
        _ => return None,
    })
}

/// Strings of a kind; none for other kinds.
fn texts(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "topic" => &[
            "orders",
            "orders",
            "ledger",
            "nothing",
            "__consumer_offsets",
        ],
        "newtopic" => &["orders", "a b", "", "..", "new"],
        "victim" => &["nothing", "", "new"],
        "group" => &["g0", "g1", "g2", "c0", "c1", ""],
        "member" => &["", "m1", "m2"],
        "instance" => &["i1", "i2", ""],
        "protocoltype" => &["consumer", "consumer", "connect", ""],
        "protocol" => &["range", "roundrobin", "sticky"],
        "assignor" => &["range", "uniform", "other"],
        "pattern" => &["o.*", "(a|b)+", "[", ".*", ""],
        "setting" => &[
            "retention.ms",
            "cleanup.policy",
            "segment.bytes",
            "max.message.bytes",
            "compression.type",
            "x",
        ],
        "value" => &["1000", "compact", "delete", "zstd", "-1", "65536", ""],
        "txn" => &["t1", ""],
        "text" => &[
            "",
            "one",
            "Stable",
            "consumer",
            "a longer text that goes on for a while",
        ],
        _ => return None,
    })
}

/// Subscriptions of classic consumers, versions 0 to 3.
const SUBSCRIPTIONS: &[&[u8]] = &[
    b"",
    b"\0\0\0\0\0\x01\0\x06orders\xff\xff\xff\xff",
    b"\0\x01\0\0\0\x01\0\x06orders\xff\xff\xff\xff\0\0\0\x01\0\x06orders\0\0\0\x01\0\0\0\0",
    b"\0\x03\0\0\0\x02\0\x06orders\0\x06ledger\0\0\0\x01x\0\0\0\0\0\0\0\x05\0\x01r",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{BODIES, Requests};

    #[test]
    fn every_api_that_is_served_has_a_body() {
        let served: BTreeSet<_> = Requests::new(Vec::new())
            .apis
            .iter()
            .map(|it| it.key)
            .collect();
        let bodies: BTreeSet<_> = BODIES.iter().map(|(key, _)| *key).collect();
        assert_eq!(served, bodies);
    }
}

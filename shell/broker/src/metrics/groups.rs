//! Consumer groups: who is in them, and how far behind they are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::registry::Unit;

use super::sheet::Sheet;

/// A group at the moment of a scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupSample {
    /// Its id: any text that a client made up.
    pub(crate) group: Arc<str>,
    /// As the tools write it.
    pub(crate) state: &'static str,
    /// "classic" or "consumer".
    pub(crate) group_type: &'static str,
    /// Number of members.
    pub(crate) members: u64,
    /// What it committed, by topic and partition; only partitions that exist.
    pub(crate) offsets: Vec<GroupOffset>,
}

/// A committed offset and what is ahead of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupOffset {
    /// Topic.
    pub(crate) topic: Arc<str>,
    /// Partition.
    pub(crate) partition: i32,
    /// Next offset to consume.
    pub(crate) offset: i64,
    /// Records from there to the high watermark.
    pub(crate) lag_records: u64,
    /// At least so long ago the first of them was made, in ms; 0 where none is left.
    pub(crate) lag_ms: u64,
}

/// Where groups are counted. Asked by the HTTP thread, once per scrape; it may take locks that the
/// event loops hold only briefly, and must not make them wait.
pub(crate) trait GroupStats: Send + Sync + 'static {
    /// All groups that this node coordinates, in no order.
    fn groups(&self) -> Vec<GroupSample>;
}

/// Groups of one scrape with their sums.
#[derive(Debug)]
pub(super) struct Groups(Vec<Summed>);

#[derive(Debug)]
struct Summed {
    sample: GroupSample,
    topics: BTreeMap<Arc<str>, TopicSum>,
}

/// All partitions of one topic.
#[derive(Debug, Default)]
struct TopicSum {
    offset: i64,
    lag_records: u64,
    /// Of the partition that is furthest behind.
    lag_ms: u64,
}

impl Groups {
    pub(super) fn new(samples: Vec<GroupSample>) -> Self {
        let mut groups: Vec<Summed> = samples.into_iter().map(Summed::of).collect();
        groups.sort_unstable_by(|one, other| one.sample.group.cmp(&other.sample.group));
        Self(groups)
    }

    /// Chronik's own names; those with one series for each partition only `with_partitions`.
    pub(super) fn write(&self, sheet: &mut Sheet<'_>, with_partitions: bool) -> fmt::Result {
        let states = self.0.iter().map(|group| {
            let GroupSample {
                state, group_type, ..
            } = &group.sample;
            let labels = [
                ("group", &*group.sample.group),
                ("type", *group_type),
                ("state", *state),
            ];
            (labels, 1u64)
        });
        let help = "The state that a group is in";
        sheet.gauges("chronik_group_state", None, help, states)?;
        self.members(sheet, "chronik_group_members", "group")?;
        let help = "Records of a topic that are ahead of a group";
        let sums = self.of_topics("group", |sum| saturated(sum.lag_records));
        sheet.gauges("chronik_group_topic_lag_records", None, help, sums)?;
        let help = "At least so long ago the next record was made, in the partition that is furthest behind";
        let sums = self.of_topics("group", |sum| seconds(sum.lag_ms));
        sheet.gauges("chronik_group_topic_lag", Some(Unit::Seconds), help, sums)?;
        if !with_partitions {
            return Ok(());
        }
        let help = "Records of a partition that are ahead of a group";
        let lags = self.of_partitions("group", |one| saturated(one.lag_records));
        sheet.gauges("chronik_group_lag_records", None, help, lags)?;
        let help = "At least so long ago the next record was made; 0 without one";
        let lags = self.of_partitions("group", |one| seconds(one.lag_ms));
        sheet.gauges("chronik_group_lag", Some(Unit::Seconds), help, lags)
    }

    /// The names of `kafka_exporter`.
    pub(super) fn write_kafka_names(
        &self,
        sheet: &mut Sheet<'_>,
        with_partitions: bool,
    ) -> fmt::Result {
        const GROUP: &str = "consumergroup";
        self.members(sheet, "kafka_consumergroup_members", GROUP)?;
        let help = "Committed offsets of a topic";
        let sums = self.of_topics(GROUP, |sum| sum.offset);
        sheet.gauges("kafka_consumergroup_current_offset_sum", None, help, sums)?;
        let help = "Records of a topic that are ahead of a group";
        let sums = self.of_topics(GROUP, |sum| saturated(sum.lag_records));
        sheet.gauges("kafka_consumergroup_lag_sum", None, help, sums)?;
        if !with_partitions {
            return Ok(());
        }
        let help = "Committed offset";
        let offsets = self.of_partitions(GROUP, |one| one.offset);
        sheet.gauges("kafka_consumergroup_current_offset", None, help, offsets)?;
        let help = "Records of a partition that are ahead of a group";
        let lags = self.of_partitions(GROUP, |one| saturated(one.lag_records));
        sheet.gauges("kafka_consumergroup_lag", None, help, lags)
    }

    fn members(&self, sheet: &mut Sheet<'_>, name: &str, label: &'static str) -> fmt::Result {
        let groups = self.0.iter();
        let members = groups.map(|group| ([(label, &*group.sample.group)], group.sample.members));
        sheet.gauges(name, None, "Members of a group", members)
    }

    fn of_topics<V>(
        &self,
        label: &'static str,
        value: impl Fn(&TopicSum) -> V + Copy,
    ) -> impl Iterator<Item = ([(&'static str, &str); 2], V)> {
        self.0.iter().flat_map(move |group| {
            let topics = group.topics.iter();
            topics.map(move |(topic, sum)| {
                let labels = [(label, &*group.sample.group), ("topic", &**topic)];
                (labels, value(sum))
            })
        })
    }

    fn of_partitions<V>(
        &self,
        label: &'static str,
        value: impl Fn(&GroupOffset) -> V + Copy,
    ) -> impl Iterator<Item = (OffsetLabels<'_>, V)> {
        self.0.iter().flat_map(move |group| {
            let offsets = group.sample.offsets.iter();
            offsets.map(move |one| {
                let names = [(label, &*group.sample.group), ("topic", &*one.topic)];
                let labels = OffsetLabels(names, [("partition", one.partition)]);
                (labels, value(one))
            })
        })
    }
}

impl Summed {
    fn of(sample: GroupSample) -> Self {
        let mut topics: BTreeMap<Arc<str>, TopicSum> = BTreeMap::new();
        for one in &sample.offsets {
            let sum = topics.entry(Arc::clone(&one.topic)).or_default();
            sum.offset = sum.offset.saturating_add(one.offset);
            sum.lag_records = sum.lag_records.saturating_add(one.lag_records);
            sum.lag_ms = sum.lag_ms.max(one.lag_ms);
        }
        Self { topics, sample }
    }
}

/// The group, `topic` and `partition`.
#[derive(Debug)]
struct OffsetLabels<'a>([(&'static str, &'a str); 2], [(&'static str, i32); 1]);

impl EncodeLabelSet for OffsetLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)?;
        self.1.encode(encoder)
    }
}

fn saturated(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

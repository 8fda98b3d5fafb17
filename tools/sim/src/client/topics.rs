//! Which topics a run has. All actors know their names and what they are for; which of them exist,
//! and under which id, they learn from Metadata ([`super::catalog`]).

use std::rc::Rc;

use super::dice::Dice;
use crate::history::Safety;

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Made once and never deleted: requests that can only name it mean this life and no other.
    Lasting,
    /// Deleted and made again, so it is produced to and fetched by id alone.
    Fleeting,
}

/// One topic by convention.
#[derive(Debug, Clone)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Partitions that it is made with.
    pub partitions: i32,
    /// How it keeps records.
    pub safety: Safety,
    /// Whether `flush.messages` is switched on it.
    pub switches: bool,
    /// Whether compaction takes records away, so that each must have a key.
    pub compacted: bool,
    /// Whether records may go by themselves.
    pub keeps_all: bool,
    /// Whether DeleteRecords is used on it.
    pub cut: bool,
    /// Whether it gets more partitions.
    pub grows: bool,
    /// What it is made with.
    pub configs: Vec<(&'static str, String)>,
}

/// Every topic of a run; shared by its actors.
#[derive(Debug, Clone)]
pub struct Topics(Rc<[TopicPlan]>);

impl Topics {
    /// Draws the topics of a run, with segments of about so many bytes.
    #[must_use]
    pub fn draw(dice: &mut Dice, segment_bytes: u64) -> Self {
        let lasting = dice.between(2, 5);
        let fleeting = dice.between(0, 2);
        let mut plans = Vec::new();
        for number in 0..lasting {
            // The first keeps all it gets, so that no run has nothing to lose.
            let purpose = if number == 0 { 0 } else { dice.between(0, 9) };
            plans.push(lasting_topic(number, purpose, segment_bytes, dice));
        }
        for number in 0..fleeting {
            let partitions = dice.small(1, 3);
            let name = format!("fleeting-{number}");
            plans.push(plain(
                (name, Role::Fleeting),
                partitions,
                segment_bytes,
                dice,
            ));
        }
        Self(plans.into())
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[TopicPlan] {
        &self.0
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&TopicPlan> {
        self.0.get(index)
    }

    /// Which of them has that name.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|plan| plan.name == name)
    }

    /// Those of which this is true.
    pub fn which(&self, is: impl Fn(&TopicPlan) -> bool) -> Vec<usize> {
        let found = self.0.iter().enumerate().filter(|(_, plan)| is(plan));
        found.map(|(index, _)| index).collect()
    }
}

fn plain(
    (name, role): (String, Role),
    partitions: i32,
    segment_bytes: u64,
    dice: &mut Dice,
) -> TopicPlan {
    let bytes = dice.pick(&[1 << 10, segment_bytes, segment_bytes, 1 << 20]);
    let mut configs = vec![("segment.bytes", bytes.to_string())];
    if dice.chance(25) {
        configs.push(("segment.ms", dice.between(300, 5_000).to_string()));
    }
    if dice.chance(25) {
        let codec = dice.pick(&["gzip", "lz4", "snappy", "zstd", "uncompressed"]);
        configs.push(("compression.type", codec.to_owned()));
    }
    if dice.chance(20) {
        configs.push(("message.timestamp.type", "LogAppendTime".to_owned()));
    }
    if dice.chance(30) {
        let bytes = dice.pick(&[0, 64, 512]).to_string();
        configs.push(("index.interval.bytes", bytes));
    }
    // The wall clock leaps, and time alone must not take records of topics that keep them.
    configs.push(("retention.ms", "-1".to_owned()));
    TopicPlan {
        name,
        role,
        partitions,
        safety: Safety::Durable,
        switches: false,
        compacted: false,
        keeps_all: true,
        cut: false,
        grows: false,
        configs,
    }
}

fn lasting_topic(number: u64, purpose: u64, segment_bytes: u64, dice: &mut Dice) -> TopicPlan {
    let partitions = dice.small(1, 4);
    let name = (format!("lasting-{number}"), Role::Lasting);
    let mut plan = plain(name, partitions, segment_bytes, dice);
    match purpose {
        0..=3 => {
            plan.grows = dice.chance(30);
            plan.cut = dice.chance(30);
        }
        4 => {
            plan.safety = Safety::Lazy;
            let messages = dice.between(2, 100).to_string();
            plan.configs.push(("flush.messages", messages));
            if dice.chance(50) {
                let ms = dice.between(5, 500).to_string();
                plan.configs.push(("flush.ms", ms));
            }
        }
        5 => {
            plan.safety = Safety::Lazy;
            plan.switches = true;
        }
        6 => {
            plan.compacted = true;
            plan.keeps_all = false;
            plan.configs.push(("cleanup.policy", "compact".to_owned()));
            let ratio = ("min.cleanable.dirty.ratio", "0.01".to_owned());
            plan.configs.push(ratio);
        }
        7 => {
            plan.keeps_all = false;
            let bytes = dice.between(2 << 10, 32 << 10).to_string();
            plan.configs.push(("retention.bytes", bytes));
        }
        8 => {
            plan.keeps_all = false;
            plan.configs.retain(|(key, _)| *key != "retention.ms");
            let ms = dice.between(500, 10_000).to_string();
            plan.configs.push(("retention.ms", ms));
        }
        _ => plan.cut = true,
    }
    if !plan.keeps_all {
        let delay = dice.between(0, 2_000).to_string();
        plan.configs.push(("file.delete.delay.ms", delay));
    }
    plan
}

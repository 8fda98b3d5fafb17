use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_model::TopicId;
use chronik_model::rng::Rng;

use super::{Assignor, MemberSpec, Spec};
use crate::consumer::Target;

const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

fn topic(number: u8) -> TopicId {
    TopicId([number; 16])
}

/// A group: topics with their partitions, and members with topics and what they had.
#[derive(Debug, Clone, Default)]
struct Group {
    topics: BTreeMap<TopicId, i32>,
    members: BTreeMap<String, (BTreeSet<TopicId>, Target)>,
}

impl Group {
    fn new(topics: &[(u8, i32)], members: &[(&str, &[u8])]) -> Self {
        let mut group = Self::default();
        for (number, partitions) in topics {
            group.topics.insert(topic(*number), *partitions);
        }
        for (id, subscribed) in members {
            let subscribed = subscribed.iter().map(|number| topic(*number)).collect();
            let member = (subscribed, Target::new());
            group.members.insert((*id).to_owned(), member);
        }
        group
    }

    /// Assigns, checks what holds for every assignment, and remembers it.
    fn assign(&mut self, assignor: Assignor) -> Vec<Target> {
        let targets = self.compute(assignor);
        assert_eq!(
            targets,
            self.compute(assignor),
            "equal inputs, equal outputs"
        );
        self.check_complete(&targets);
        for (member, target) in self.members.values_mut().zip(&targets) {
            member.1.clone_from(target);
        }
        targets
    }

    fn compute(&self, assignor: Assignor) -> Vec<Target> {
        let members = self
            .members
            .iter()
            .map(|(id, (topics, previous))| MemberSpec {
                member_id: id.as_str().into(),
                instance_id: None,
                topics: Arc::new(topics.clone()),
                previous: Some(previous),
            });
        let subscribed: BTreeSet<TopicId> = self
            .members
            .values()
            .flat_map(|(topics, _)| topics.iter().copied())
            .collect();
        let spec = Spec {
            members: members.collect(),
            topics: (self.topics.iter())
                .filter(|(id, _)| subscribed.contains(*id))
                .map(|(id, partitions)| (*id, *partitions))
                .collect(),
        };
        assignor.assign(&spec)
    }

    /// Every partition of a subscribed topic has exactly one owner, who subscribes to it.
    fn check_complete(&self, targets: &[Target]) {
        let mut owned = BTreeSet::new();
        for ((id, (topics, _)), target) in self.members.iter().zip(targets) {
            for (topic, partitions) in target {
                assert!(topics.contains(topic), "{id} does not subscribe to {topic}");
                assert!(!partitions.is_empty(), "no topic without partitions");
                for partition in partitions {
                    assert!(
                        owned.insert((*topic, *partition)),
                        "{topic}-{partition} twice"
                    );
                    assert!(
                        (0..self.topics[topic]).contains(partition),
                        "{topic}-{partition}"
                    );
                }
            }
        }
        for (id, partitions) in &self.topics {
            let anyone = self.members.values().any(|(topics, _)| topics.contains(id));
            for partition in 0..*partitions {
                assert_eq!(
                    owned.contains(&(*id, partition)),
                    anyone,
                    "{id}-{partition}"
                );
            }
        }
    }

    /// No partition could move between two subscribers and make them more even.
    fn check_balanced(&self, targets: &[Target]) {
        for id in self.topics.keys() {
            let subscribers = self.members.values().zip(targets);
            let subscribers = subscribers.filter(|((topics, _), _)| topics.contains(id));
            let least = subscribers.map(|(_, target)| load(target)).min();
            let owners = targets.iter().filter(|target| target.contains_key(id));
            let most = owners.map(load).max();
            if let (Some(least), Some(most)) = (least, most) {
                assert!(most <= least + 1, "{id} could move from {most} to {least}");
            }
        }
    }
}

fn load(target: &Target) -> usize {
    target.values().map(BTreeSet::len).sum()
}

/// How many partitions have another owner than before.
fn moved(before: &[Target], after: &[Target]) -> usize {
    let pairs = before.iter().zip(after);
    pairs
        .map(|(before, after)| {
            let partitions = |target: &Target| -> BTreeSet<(TopicId, i32)> {
                let topics = target.iter();
                topics
                    .flat_map(|(t, ps)| ps.iter().map(|p| (*t, *p)))
                    .collect()
            };
            partitions(after).difference(&partitions(before)).count()
        })
        .sum()
}

#[test]
fn range_cuts_topics_alike() {
    let check = |group: &mut Group, expected: &[&[(u8, &[i32])]]| {
        let expected: Vec<Target> = expected
            .iter()
            .map(|topics| {
                let topics = topics.iter();
                topics
                    .map(|(t, ps)| (topic(*t), ps.iter().copied().collect()))
                    .collect()
            })
            .collect();
        assert_eq!(group.assign(Assignor::Range), expected);
    };
    check(
        &mut Group::new(&[(1, 5), (2, 5)], &[("a", &[1, 2]), ("b", &[1, 2])]),
        &[
            &[(1, &[0, 1, 2]), (2, &[0, 1, 2])],
            &[(1, &[3, 4]), (2, &[3, 4])],
        ],
    );
    check(
        &mut Group::new(
            &[(1, 2), (2, 3)],
            &[("a", &[1]), ("b", &[1, 2]), ("c", &[2])],
        ),
        &[&[(1, &[0])], &[(1, &[1]), (2, &[0, 1])], &[(2, &[2])]],
    );
    check(
        &mut Group::new(&[(1, 1)], &[("a", &[1]), ("b", &[1])]),
        &[&[(1, &[0])], &[]],
    );
}

#[test]
fn range_puts_static_members_first() {
    let topics: Arc<BTreeSet<TopicId>> = Arc::new([topic(1)].into());
    let member = |id: &str, instance_id| MemberSpec {
        member_id: id.into(),
        instance_id,
        topics: Arc::clone(&topics),
        previous: None,
    };
    let spec = Spec {
        members: vec![
            member("a", None),
            member("b", Some("y")),
            member("c", Some("x")),
        ],
        topics: [(topic(1), 3)].into(),
    };
    let owned: Vec<i32> = Assignor::Range
        .assign(&spec)
        .iter()
        .map(|target| *target[&topic(1)].first().unwrap())
        .collect();
    assert_eq!(owned, [2, 1, 0]);
}

#[test]
fn uniform_moves_no_more_than_it_has_to() {
    let mut group = Group::new(&[(1, 6), (2, 3)], &[("a", &[1, 2]), ("b", &[1, 2])]);
    let two = group.assign(Assignor::Uniform);
    assert_eq!(two.iter().map(load).collect::<Vec<_>>(), [5, 4]);

    group
        .members
        .insert("c".to_owned(), ([topic(1), topic(2)].into(), Target::new()));
    let mut before = two;
    before.push(Target::new());
    let three = group.assign(Assignor::Uniform);
    assert_eq!(three.iter().map(load).collect::<Vec<_>>(), [3, 3, 3]);
    assert_eq!(moved(&before, &three), 3, "only what the newcomer gets");

    group.members.remove("a");
    let rest = group.assign(Assignor::Uniform);
    assert_eq!(moved(&three[1..], &rest), 3, "only what was left behind");
}

#[test]
fn nobody_and_nothing_are_no_trouble() {
    for assignor in ALL {
        assert_eq!(Group::default().assign(assignor), []);
        let mut idle = Group::new(&[(1, 3)], &[("a", &[])]);
        assert_eq!(idle.assign(assignor), [Target::new()]);
        let mut empty = Group::new(&[(1, 0)], &[("a", &[1])]);
        assert_eq!(empty.assign(assignor), [Target::new()]);
    }
}

/// Groups that change at random: what each assignor promises holds after every change.
#[test]
fn promises_hold_for_random_groups() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let homogeneous = rng.below(2) == 0;
        for assignor in ALL {
            let mut group = Group::default();
            for _change in 0..12 {
                change(&mut group, &mut rng, homogeneous);
                let before: Vec<Target> = group
                    .members
                    .values()
                    .map(|(_, previous)| previous.clone())
                    .collect();
                let after = group.assign(assignor);
                if assignor == Assignor::Uniform {
                    group.check_balanced(&after);
                    let again = group.assign(assignor);
                    assert_eq!(moved(&after, &again), 0, "seed {seed}: nothing changed");
                    check_sticky(&group, &before, &after, homogeneous, seed);
                }
            }
        }
    }
}

/// With equal subscriptions, nobody who has no more than its share gives anything up.
fn check_sticky(group: &Group, before: &[Target], after: &[Target], homogeneous: bool, seed: u64) {
    if !homogeneous || group.members.is_empty() {
        return;
    }
    let share = after.iter().map(load).min().unwrap();
    for (before, after) in before.iter().zip(after) {
        let valid: usize = before
            .iter()
            .map(|(topic, partitions)| {
                let count = group.topics.get(topic).copied().unwrap_or(0);
                partitions.iter().filter(|p| **p < count).count()
            })
            .sum();
        if valid <= share {
            let lost = moved(std::slice::from_ref(after), std::slice::from_ref(before));
            let gone = load(before) - valid;
            assert_eq!(lost, gone, "seed {seed}: {before:?} to {after:?}");
        }
    }
}

fn change(group: &mut Group, rng: &mut Rng, homogeneous: bool) {
    let number = |rng: &mut Rng, bound| u8::try_from(rng.below(bound)).unwrap();
    match rng.below(4) {
        0 => {
            let id = topic(number(rng, 6));
            let partitions = i32::from(number(rng, 12));
            group.topics.insert(id, partitions);
        }
        1 => {
            let id = format!("m{}", rng.below(8));
            group.members.remove(&id);
        }
        _ => {
            let id = format!("m{}", rng.below(8));
            let member = group.members.entry(id).or_default();
            member.0 = (0..6).filter(|_| rng.below(2) == 0).map(topic).collect();
        }
    }
    for number in 0..6 {
        group.topics.entry(topic(number)).or_insert(0);
    }
    if homogeneous {
        let all: BTreeSet<TopicId> = group.topics.keys().copied().collect();
        for member in group.members.values_mut() {
            member.0.clone_from(&all);
        }
    }
}

/// A large group, for what it takes; a debug build of this stays in seconds as well.
#[test]
fn large_groups_are_assigned() {
    let mut group = Group::default();
    for number in 0..100 {
        group.topics.insert(topic(number), 100);
    }
    let all: BTreeSet<TopicId> = group.topics.keys().copied().collect();
    for number in 0..1_000 {
        let member = (all.clone(), Target::new());
        group.members.insert(format!("m{number:04}"), member);
    }
    for assignor in ALL {
        let targets = group.compute(assignor);
        group.check_complete(&targets);
    }
    for (number, member) in (0..100).cycle().zip(group.members.values_mut()) {
        member.0.remove(&topic(number));
    }
    let targets = group.compute(Assignor::Uniform);
    group.check_complete(&targets);
    group.check_balanced(&targets);
}

//! Consensus among several voters.

use bytes::Bytes;
use chronik_model::NodeId;

use crate::{Consensus, Entry, RaftConsensus, Recovered};

/// Voters on a perfect network with disks that are instant.
struct Group {
    voters: Vec<RaftConsensus>,
    committed: Vec<Vec<Entry>>,
    unreachable: Option<usize>,
    /// This voter's disk never finishes a write.
    stalled: Option<usize>,
}

impl Group {
    fn new(count: i32, seed: u64) -> Self {
        let ids: Vec<NodeId> = (0..count).map(NodeId).collect();
        let voter = |id: &NodeId| {
            let seed = seed + u64::try_from(id.0).unwrap();
            RaftConsensus::new(*id, &ids, Recovered::default(), seed).unwrap()
        };
        let voters: Vec<_> = ids.iter().map(voter).collect();
        Self {
            committed: vec![Vec::new(); voters.len()],
            voters,
            unreachable: None,
            stalled: None,
        }
    }

    fn run(&mut self) {
        let mut progress = true;
        while progress {
            progress = false;
            for from in 0..self.voters.len() {
                let ready = self.voters[from].ready();
                progress |= !ready.is_empty();
                if let Some(sequence) = ready.sequence.filter(|_| self.stalled != Some(from)) {
                    self.voters[from].persisted(sequence);
                }
                self.committed[from].extend(ready.committed);
                for message in ready.messages {
                    let to = usize::try_from(message.to().0).unwrap();
                    if self.unreachable != Some(to) && self.unreachable != Some(from) {
                        self.voters[to].step(message);
                    }
                }
            }
        }
    }

    fn tick_until_led(&mut self) -> usize {
        for _ in 0..200 {
            for voter in &mut self.voters {
                voter.tick();
            }
            self.run();
            let reachable = |index: &usize| Some(*index) != self.unreachable;
            let leads = |index: &usize| self.voters[*index].leading_term().is_some();
            if let Some(leader) = (0..self.voters.len()).filter(reachable).find(leads) {
                return leader;
            }
        }
        panic!("no leader");
    }
}

#[test]
fn three_voters_elect_replicate_and_fail_over() {
    let mut group = Group::new(3, 5);
    assert!(group.voters.iter().all(Consensus::needs_ticks));
    let first = group.tick_until_led();
    group.voters[first]
        .propose(Bytes::from_static(b"one"))
        .unwrap();
    group.run();
    group.unreachable = Some(first);
    let second = group.tick_until_led();
    assert_ne!(first, second);
    let proposal = group.voters[second]
        .propose(Bytes::from_static(b"two"))
        .unwrap();
    group.run();
    let data: Vec<_> = group.committed[second]
        .iter()
        .map(|entry| &entry.data[..])
        .collect();
    assert_eq!(data, [&b""[..], b"one", b"", b"two"]);
    assert_eq!(
        group.committed[second].last().unwrap().index,
        proposal.index
    );
    group.unreachable = None;
    group.tick_until_led();
    for _ in 0..5 {
        group.tick_until_led();
    }
    assert_eq!(group.committed[first], group.committed[second]);
    assert!(group.voters[first].propose(Bytes::new()).is_err());
}

#[test]
fn a_vote_counts_once_it_is_durable() {
    let mut group = Group::new(3, 5);
    group.unreachable = Some(2);
    group.stalled = Some(1);
    for _ in 0..100 {
        for voter in &mut group.voters {
            voter.tick();
        }
        group.run();
        assert!(
            group
                .voters
                .iter()
                .all(|voter| voter.leading_term().is_none())
        );
    }
    group.unreachable = None;
    assert_ne!(
        group.tick_until_led(),
        1,
        "a voter that can not write can not lead"
    );
}

#[test]
fn the_seed_decides_elections() {
    let leader = |seed| Group::new(3, seed).tick_until_led();
    let leaders: Vec<_> = (0..40).map(|seed| leader(seed * 10)).collect();
    assert_eq!(
        leaders,
        (0..40).map(|seed| leader(seed * 10)).collect::<Vec<_>>()
    );
    assert!((0..3).all(|id| leaders.contains(&id)), "{leaders:?}");
}
